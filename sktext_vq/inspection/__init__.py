"""Displays and reports for fitted estimators."""

from sktext_vq._interpret.shape_names import shape_words
from sktext_vq.inspection.displays import (
    CodebookDisplay,
    ExplanationDisplay,
    HistogramsDisplay,
    HistoryDisplay,
    PhrasesDisplay,
    TokensDisplay,
)
from sktext_vq.inspection.report import write_report

__all__ = [
    "CodebookDisplay",
    "ExplanationDisplay",
    "HistogramsDisplay",
    "HistoryDisplay",
    "PhrasesDisplay",
    "TokensDisplay",
    "shape_words",
    "write_report",
]
