"""Classify sensor series by readable shape tokens, guided by text in training."""

from sktext_vq._drift import DriftWarning
from sktext_vq.classifier import VQTextClassifier
from sktext_vq.export import export_onnx
from sktext_vq.persistence import load, save
from sktext_vq.pretraining import pretrain
from sktext_vq.text import PromptBank, SeriesCaptioner, SeriesVerbalizer, TextEncoder
from sktext_vq.transformer import VQTextTransformer

__all__ = [
    "DriftWarning",
    "PromptBank",
    "SeriesCaptioner",
    "SeriesVerbalizer",
    "TextEncoder",
    "VQTextClassifier",
    "VQTextTransformer",
    "__version__",
    "export_onnx",
    "load",
    "pretrain",
    "save",
]

__version__ = "0.1.0"
