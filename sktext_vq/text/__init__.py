"""Class prompts, text encoders, captions and text representations of series.

``transformers`` and ``torch`` are imported only when a neural encoder is used.
"""

from .captions import SeriesCaptioner
from .encoders import TextEncoder
from .prompts import FORMS, PromptBank, are_words
from .verbalizer import SeriesVerbalizer

__all__ = [
    "FORMS",
    "PromptBank",
    "SeriesCaptioner",
    "SeriesVerbalizer",
    "TextEncoder",
    "are_words",
]
