"""Look inside a fitted classifier."""

from sktext_vq.inspection.displays import (
    CodebookDisplay,
    HistogramsDisplay,
    HistoryDisplay,
    PhrasesDisplay,
    TokensDisplay,
)
from sktext_vq.inspection.report import write_report

__all__ = [
    "CodebookDisplay",
    "HistogramsDisplay",
    "HistoryDisplay",
    "PhrasesDisplay",
    "TokensDisplay",
    "write_report",
]
