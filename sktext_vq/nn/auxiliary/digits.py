"""Series as digits: read by the text branch, and written again from codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sktext_vq.nn.auxiliary import AuxiliaryModule
from sktext_vq.nn.batches import Outputs, TrainingBatch
from sktext_vq.nn.initialisation import draw_weights
from sktext_vq.nn.losses import code_loss, reconstruction_loss
from sktext_vq.nn.text_branch import TextBranch

if TYPE_CHECKING:
    from sktext_vq.nn.model import DualBranchModel

# Outputs are numbers times this: most numbers are near the middle of their range.
_NUMBER_RANGE = 2.0
_SLOTS = 2  # tokens per patch of digits: one for its shape, one for the rest
PATCH = 8  # values that one patch of digits writes out
_NUMBER_WEIGHT = 100.0  # of squared errors of numbers between 0 and 1


class DigitBranch(nn.Module):
    """Series written as digits, through the codebook, and back to digits.

    Eight values at a time are a sentence of the text branch. Its tokens are matched
    with the codes; from the codes alone, weighted by how well they match, the digits
    are written again.

    Parameters
    ----------
    symbols : Tensor of shape (n_symbols, text_dim)
        Word vectors of what can be written: of each digit, of "nan", of a comma.
    n_words : int
        Words of a patch.
    n_digits : int
        Digits of a value.
    n_values : int
        Different digits, and one for missing.
    dim : int
        Width of the joint embedding space.
    z_dim, n_heads : int
        Width of tokens, heads of the codebook.
    """

    symbols: Tensor
    DEPENDS_ON: ClassVar = {"": {"text"}}

    def __init__(
        self,
        symbols: Tensor,
        *,
        n_words: int,
        n_digits: int,
        n_values: int,
        dim: int,
        z_dim: int,
        n_heads: int,
    ) -> None:
        super().__init__()
        # An encoder has digits close together: what tells them apart is what counts.
        apart = F.normalize(symbols - symbols.mean(0), dim=1)
        self.register_buffer("symbols", apart * symbols.shape[1] ** 0.5)
        self.n_digits, self.n_values = n_digits, n_values
        self.positions = nn.Parameter(torch.zeros(n_words, dim))
        self.to_z = nn.Linear(n_words * dim, _SLOTS * z_dim)
        self.decode = nn.Sequential(
            nn.Linear(_SLOTS * n_heads * z_dim, 2 * dim),
            nn.GELU(),
            nn.Linear(2 * dim, 2 * PATCH),
        )
        self.sharpness = nn.Parameter(torch.ones(n_digits))

    def forward(
        self, words: Tensor, branch: TextBranch, keys: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Encode patches, and predict their digits.

        Parameters
        ----------
        words : Tensor of shape (n_patches, n_words), int64
            Indices of symbols.
        branch : TextBranch
        keys : Tensor of shape (n_heads, codes_per_head, z_dim)
            From :meth:`CodeDecoder.keys`.

        Returns
        -------
        numbers : Tensor of shape (n_patches, PATCH)
            What is to be written, 0 to 1 and a little beyond.
        missing : Tensor of shape (n_patches, PATCH)
            Logits that nothing is known.
        usage : Tensor of shape (n_patches, n_heads, codes_per_head)
            Which codes the token of the shape is made of.
        """
        # There are few symbols: each is projected once.
        read = branch.mix(branch.input_projection(self.symbols)[words] + self.positions)
        # Numbers have a fixed width, so that every word has its place.
        z = self.to_z(read.flatten(1)).view(len(words), _SLOTS, -1)
        scores = torch.einsum("nsz,hkz->nshk", z, keys) * keys.shape[2] ** -0.5
        use = scores.softmax(dim=3)
        mixed = torch.einsum("nshk,hkz->nshz", use, keys)
        numbers, missing = self.decode(mixed.flatten(1)).chunk(2, dim=1)
        # Values are rarely missing: training starts from there.
        return 0.5 + numbers / _NUMBER_RANGE, missing - 5, use[:, 0]

    def write(
        self, numbers: Tensor, missing: Tensor, digits: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Write numbers digit by digit, each given the ones before.

        A digit is the more likely the nearer its middle is to what is left of the
        number.

        Parameters
        ----------
        numbers, missing : Tensor of shape (n_patches, PATCH)
        digits : Tensor of shape (n_patches, PATCH, n_digits), int64, optional
            Right digits, which the next ones are then given.

        Returns
        -------
        logits : Tensor of shape (n_patches, PATCH, n_digits, n_values)
            The last value means missing.
        written : Tensor of shape (n_patches, PATCH, n_digits), int64
            `digits`, or else the most likely ones.
        """
        base = self.n_values - 1
        values = torch.arange(base, device=numbers.device) + 0.5
        left, logits, written = numbers, [], []
        for i in range(self.n_digits):
            left = left * base
            # Differences of squares are linear: all digits would be alike far away.
            near = -self.sharpness[i].abs() * (left.unsqueeze(2) - values).square()
            logits.append(torch.cat([near, missing.unsqueeze(2)], dim=2))
            digit = logits[-1].argmax(2) if digits is None else digits[..., i]
            written.append(digit)
            left = left - digit.clamp_max(base - 1)
        return torch.stack(logits, dim=2), torch.stack(written, dim=2)

    def value(self, digits: Tensor) -> Tensor:
        """Numbers from 0 to 1 that digits of shape (..., n_digits) write."""
        base = float(self.n_values - 1)
        places = base ** -torch.arange(1.0, self.n_digits + 1, device=digits.device)
        return digits.to(places.dtype) @ places + places[-1] / 2


class DigitReconstruction(AuxiliaryModule):
    """Read digits, and write them again.

    Parameters
    ----------
    branch : DigitBranch
    """

    def __init__(self, branch: DigitBranch) -> None:
        super().__init__()
        self.branch = branch

    def forward(
        self, model: DualBranchModel, batch: TrainingBatch, outputs: Outputs
    ) -> dict[str, Tensor]:
        """Compute the loss; tokens of shapes use the codes of their series."""
        patches, branch = batch.digits, self.branch
        if patches is None:
            return {}
        keys = model.decoder.keys(model.tokenizer.codebook)
        numbers, missing, use = branch(patches.words, model.text, keys)
        logits, _ = branch.write(numbers, missing, patches.digits)
        exact = digit_loss(
            logits.flatten(1, 2),
            patches.digits.flatten(1),
            patches.known.repeat_interleave(branch.n_digits, dim=1),
        )
        right = branch.value(patches.digits)
        present = patches.known & (patches.digits < branch.n_values - 1).all(2)
        error = reconstruction_loss(numbers, right, present.to(right.dtype))
        alignment = code_loss((use + 1e-6).log(), patches.usage)
        return {"digits": 0.1 * exact + _NUMBER_WEIGHT * error + 0.1 * alignment}


def build(
    model: DualBranchModel,
    generator: torch.Generator | None,
    options: Mapping[str, Any],
) -> DigitReconstruction | None:
    """Build the module if its options have the sizes of `DigitBranch`."""
    if model.text is None or not options:
        return None
    with torch.device("meta"):
        branch = DigitBranch(
            dim=model.projection.out_features,
            z_dim=model.decoder.z_dim,
            n_heads=model.tokenizer.codebook.n_heads,
            **options,
        )
    draw_weights(branch, generator)
    return DigitReconstruction(branch)


def digit_loss(logits: Tensor, symbols: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of the symbols of written series.

    Parameters
    ----------
    logits : Tensor of shape (n_texts, length, n_symbols)
    symbols : Tensor of shape (n_texts, length), int64
    mask : Tensor of shape (n_texts, length), bool
        False for padding.

    Returns
    -------
    Tensor, scalar
        Mean over symbols.

    References
    ----------
    Gruver et al., "Large language models are zero-shot time series forecasters",
    NeurIPS 2023, where language models read series written as digits.
    """
    kept = logits[mask]
    return F.cross_entropy(kept, symbols[mask]) if len(kept) else kept.sum()
