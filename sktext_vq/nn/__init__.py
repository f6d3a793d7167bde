"""Networks: torch modules that know nothing of scikit-learn, files or text."""

from sktext_vq.nn.attributes import AttributeDecoder
from sktext_vq.nn.codebook import Codebook
from sktext_vq.nn.frames import GravityFrame
from sktext_vq.nn.frequency import FrequencyGains
from sktext_vq.nn.fusion import Fusion
from sktext_vq.nn.model import DualBranchModel
from sktext_vq.nn.text import ClassMemory, CodeDecoder, DigitBranch, TextBranch
from sktext_vq.nn.tokens import ShapeTokenizer, dilations

__all__ = [
    "AttributeDecoder",
    "ClassMemory",
    "CodeDecoder",
    "Codebook",
    "DigitBranch",
    "DualBranchModel",
    "FrequencyGains",
    "Fusion",
    "GravityFrame",
    "ShapeTokenizer",
    "TextBranch",
    "dilations",
]
