"""Matplotlib displays of a fitted estimator."""

from sktext_vq.inspection.displays.codebook import CodebookDisplay
from sktext_vq.inspection.displays.explanation import ExplanationDisplay
from sktext_vq.inspection.displays.history import HistoryDisplay
from sktext_vq.inspection.displays.lifts import HistogramsDisplay, PhrasesDisplay
from sktext_vq.inspection.displays.tokens import TokensDisplay

__all__ = [
    "CodebookDisplay",
    "ExplanationDisplay",
    "HistogramsDisplay",
    "HistoryDisplay",
    "PhrasesDisplay",
    "TokensDisplay",
]
