"""Classify sensor series by readable shape tokens, guided by text in training."""

from sktext_vq.classifier import VQTextClassifier
from sktext_vq.text import PromptBank, SeriesCaptioner, SeriesVerbalizer, TextEncoder
from sktext_vq.transformer import VQTextTransformer

__version__ = "0.1.0"

# Files say by which version they were written.
from sktext_vq.persistence import load, save

__all__ = [
    "PromptBank",
    "SeriesCaptioner",
    "SeriesVerbalizer",
    "TextEncoder",
    "VQTextClassifier",
    "VQTextTransformer",
    "__version__",
    "load",
    "save",
]
