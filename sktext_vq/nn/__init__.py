"""Networks: torch modules that know nothing of scikit-learn, files or text."""

from sktext_vq.nn.codebook import Codebook
from sktext_vq.nn.model import DualBranchModel
from sktext_vq.nn.tokens import ShapeTokenizer, dilations

__all__ = ["Codebook", "DualBranchModel", "ShapeTokenizer", "dilations"]
