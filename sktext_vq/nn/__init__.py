"""Networks: torch modules that know nothing of scikit-learn, files or text."""

from sktext_vq.nn.codebook import Codebook
from sktext_vq.nn.cross_attention import Fusion
from sktext_vq.nn.frequency_gains import FrequencyGains
from sktext_vq.nn.gravity import GravityFrame
from sktext_vq.nn.model import DualBranchModel
from sktext_vq.nn.segment_refiner import AttributeDecoder
from sktext_vq.nn.text_branch import ClassMemory, CodeDecoder, DigitBranch, TextBranch
from sktext_vq.nn.tokenizer import ShapeTokenizer
from sktext_vq.nn.windows import dilations

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
