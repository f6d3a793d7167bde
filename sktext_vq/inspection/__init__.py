"""Look inside a fitted classifier."""

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
    "write_report",
]
