"""PyTorch modules that do not depend on scikit-learn, files or text encoders."""

from typing import TYPE_CHECKING, Any

from sktext_vq.nn.auxiliary import load_module
from sktext_vq.nn.codebook import Codebook
from sktext_vq.nn.gravity import GravityFrame
from sktext_vq.nn.model import DualBranchModel
from sktext_vq.nn.text_branch import CodeDecoder, TextBranch
from sktext_vq.nn.tokenizer import ShapeTokenizer
from sktext_vq.nn.windows import dilations

__all__ = [
    "AttributeDecoder",
    "CodeDecoder",
    "Codebook",
    "DigitBranch",
    "DualBranchModel",
    "FrequencyGains",
    "Fusion",
    "GravityFrame",
    "SegmentRefiner",
    "ShapeTokenizer",
    "TextBranch",
    "dilations",
]

# File and class of each optional module.
_AUXILIARY = {
    "AttributeDecoder": ("segments", "SegmentRefiner"),
    "DigitBranch": ("digits", "DigitBranch"),
    "FrequencyGains": ("frequency_gains", "FrequencyGains"),
    "Fusion": ("cross_attention", "Fusion"),
    "SegmentRefiner": ("segments", "SegmentRefiner"),
}

if not TYPE_CHECKING:  # otherwise type checkers would accept any name

    def __getattr__(name: str) -> Any:
        """Import an optional module on first use."""
        if name not in _AUXILIARY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        file, attribute = _AUXILIARY[name]
        return getattr(load_module(file), attribute)
