"""Texts about series: prompts of classes, encoders of texts, series as words.

Nothing here imports ``transformers`` or ``torch`` until a text is encoded with a
neural encoder, and nothing here knows the networks of ``sktext_vq.nn``.
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
