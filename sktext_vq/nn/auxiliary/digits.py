"""Reconstruction of series that are written as digits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sktext_vq.nn.batches import Outputs, TrainingBatch
from sktext_vq.nn.codebook import Codebook
from sktext_vq.nn.constants import N_POINTS
from sktext_vq.nn.initialisation import initialise_weights
from sktext_vq.nn.losses import code_loss, reconstruction_loss
from sktext_vq.nn.text_branch import MEANING_DIM

if TYPE_CHECKING:
    from sktext_vq.nn.model import DualBranchModel

# Divisor of the outputs, because most numbers are near the middle of their range.
_NUMBER_RANGE = 2.0
_SLOTS = 2  # tokens per patch: one for the shape, one for other information
PATCH = 8  # values in a patch of digits
_NUMBER_WEIGHT = 100.0  # weight of squared errors of numbers between 0 and 1
_WIDTH, _ATTENTION_HEADS = 96, 4


class DigitBranch(nn.Module):
    """Autoencoder of series that are written as digits.

    A transformer layer encodes the symbols of a patch of eight values. The patch is
    mapped to tokens, which are matched with the codes. Digits are predicted from the
    average of the codes, weighted by the softmax of the scores.

    Parameters
    ----------
    symbols : Tensor of shape (n_symbols, text_dim)
        Word vectors of the digits, of "nan" and of the comma.
    n_words : int
        Number of words in a patch.
    n_digits : int
        Number of digits of a value.
    n_values : int
        Number of different digits, plus one for missing values.
    n_codes, n_heads : int
        Sizes of the codebook.
    """

    symbols: Tensor

    def __init__(
        self,
        symbols: Tensor,
        *,
        n_words: int,
        n_digits: int,
        n_values: int,
        n_codes: int,
        n_heads: int,
    ) -> None:
        super().__init__()
        # Text encoders embed digits close to each other, so their mean is subtracted.
        apart = F.normalize(symbols - symbols.mean(0), dim=1)
        self.register_buffer("symbols", apart * symbols.shape[1] ** 0.5)
        self.n_digits, self.n_values = n_digits, n_values
        dim, z_dim = _WIDTH, N_POINTS + MEANING_DIM
        self.input_projection = nn.Sequential(
            nn.Linear(symbols.shape[1], dim), nn.LayerNorm(dim)
        )
        # Dropout is disabled, because it would use the global random state.
        self.mix = nn.TransformerEncoderLayer(
            dim, _ATTENTION_HEADS, 2 * dim, 0.0, batch_first=True, norm_first=True
        )
        self.meanings = nn.Parameter(
            torch.zeros(n_heads, n_codes // n_heads, MEANING_DIM)
        )
        self.positions = nn.Parameter(torch.zeros(n_words, dim))
        self.to_z = nn.Linear(n_words * dim, _SLOTS * z_dim)
        self.decode = nn.Sequential(
            nn.Linear(_SLOTS * n_heads * z_dim, 2 * dim),
            nn.GELU(),
            nn.Linear(2 * dim, 2 * PATCH),
        )
        self.sharpness = nn.Parameter(torch.ones(n_digits))

    def keys(self, codebook: Codebook) -> Tensor:
        """Return shapes and learned values of the codes, as keys of each head."""
        codes = codebook.codes.detach().view(*self.meanings.shape[:2], -1)
        return torch.cat([codes, self.meanings], dim=2)

    def forward(self, words: Tensor, keys: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode patches and predict their digits.

        Parameters
        ----------
        words : Tensor of shape (n_patches, n_words), int64
            Indices of symbols.
        keys : Tensor of shape (n_heads, codes_per_head, z_dim)
            Keys from :meth:`keys`.

        Returns
        -------
        numbers : Tensor of shape (n_patches, PATCH)
            Predicted numbers, most of which are between 0 and 1.
        missing : Tensor of shape (n_patches, PATCH)
            Logits of missing values.
        usage : Tensor of shape (n_patches, n_heads, codes_per_head)
            Weights of the codes for the shape token.
        """
        # There are few symbols, so each symbol is projected only once.
        read = self.mix(self.input_projection(self.symbols)[words] + self.positions)
        # Numbers have a fixed width, so each position always has the same meaning.
        z = self.to_z(read.flatten(1)).view(len(words), _SLOTS, -1)
        scores = torch.einsum("nsz,hkz->nshk", z, keys) * keys.shape[2] ** -0.5
        use = scores.softmax(dim=3)
        mixed = torch.einsum("nshk,hkz->nshz", use, keys)
        numbers, missing = self.decode(mixed.flatten(1)).chunk(2, dim=1)
        # Missing values are rare, so their initial logits are low.
        return 0.5 + numbers / _NUMBER_RANGE, missing - 5, use[:, 0]

    def write(
        self, numbers: Tensor, missing: Tensor, digits: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Compute logits of digits, each given the previous digits of its number.

        The logit of a digit decreases with its distance from the remainder of the
        number.

        Parameters
        ----------
        numbers, missing : Tensor of shape (n_patches, PATCH)
        digits : Tensor of shape (n_patches, PATCH, n_digits), int64, optional
            True digits, used as previous digits.

        Returns
        -------
        logits : Tensor of shape (n_patches, PATCH, n_digits, n_values)
            Logits of the digits; the last index stands for a missing value.
        written : Tensor of shape (n_patches, PATCH, n_digits), int64
            `digits` if given, otherwise the most likely digits.
        """
        base = self.n_values - 1
        values = torch.arange(base, device=numbers.device) + 0.5
        left, logits, written = numbers, [], []
        for i in range(self.n_digits):
            left = left * base
            # With squared distances, logits of neighbouring digits differ even if the
            # number is far away.
            near = -self.sharpness[i].abs() * (left.unsqueeze(2) - values).square()
            logits.append(torch.cat([near, missing.unsqueeze(2)], dim=2))
            digit = logits[-1].argmax(2) if digits is None else digits[..., i]
            written.append(digit)
            left = left - digit.clamp_max(base - 1)
        return torch.stack(logits, dim=2), torch.stack(written, dim=2)

    def value(self, digits: Tensor) -> Tensor:
        """Convert digits of shape (..., n_digits) to numbers from 0 to 1."""
        base = float(self.n_values - 1)
        places = base ** -torch.arange(1.0, self.n_digits + 1, device=digits.device)
        return digits.to(places.dtype) @ places + places[-1] / 2


class DigitReconstruction(nn.Module):
    """Compute the loss of reconstructed digits."""

    def __init__(self, branch: DigitBranch) -> None:
        super().__init__()
        self.branch = branch

    def forward(
        self, model: DualBranchModel, batch: TrainingBatch, outputs: Outputs
    ) -> dict[str, Tensor]:
        """Compute the loss "digits" of a batch."""
        patches, branch = batch.digits, self.branch
        if patches is None:
            return {}
        keys = branch.keys(model.tokenizer.codebook)
        numbers, missing, use = branch(patches.words, keys)
        logits, _ = branch.write(numbers, missing, patches.digits)
        exact = digit_loss(
            logits.flatten(1, 2),
            patches.digits.flatten(1),
            patches.known.repeat_interleave(branch.n_digits, dim=1),
        )
        right = branch.value(patches.digits)
        present = patches.known & (patches.digits < branch.n_values - 1).all(2)
        error = reconstruction_loss(numbers, right, present.to(right.dtype))
        alignment = code_loss((use + 1e-6).log(), patches.shares)
        return {"digits": 0.1 * exact + _NUMBER_WEIGHT * error + 0.1 * alignment}


def build(
    model: DualBranchModel,
    generator: torch.Generator,
    options: Mapping[str, Any],
) -> DigitReconstruction | None:
    """Build the module if `options` contains the arguments of `DigitBranch`."""
    if not options:
        return None
    branch = build_branch(model.tokenizer.codebook, options)
    initialise_weights(branch, generator)
    return DigitReconstruction(branch)


def build_branch(codebook: Codebook, options: Mapping[str, Any]) -> DigitBranch:
    """Build a branch for a codebook, on the "meta" device."""
    with torch.device("meta"):
        return DigitBranch(
            n_codes=codebook.n_codes, n_heads=codebook.n_heads, **options
        )


def digit_loss(logits: Tensor, symbols: Tensor, mask: Tensor) -> Tensor:
    """Compute the cross-entropy of the digits of series.

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
    NeurIPS 2023. In that paper, the digits are the input to language models.
    """
    kept = logits[mask]
    return F.cross_entropy(kept, symbols[mask]) if len(kept) else kept.sum()
