"""Conversion between series and digits."""

from __future__ import annotations

import string
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from sktext_vq._training.batches import SeriesDigits
from sktext_vq._utils.state import (
    Number,
    Numbers,
    Sizes,
    Spec,
    State,
    check_state,
    load_arrays,
    module_arrays,
)
from sktext_vq.nn.auxiliary.digits import PATCH, DigitBranch, build_branch
from sktext_vq.nn.codebook import Codebook
from sktext_vq.panel import Panel
from sktext_vq.text import SeriesVerbalizer, TextEncoder
from sktext_vq.text._digits import LETTERS

_PATCHES_AT_ONCE = 4096
_MAX_WRITTEN = 2**20  # maximum number of values per series
_STATE: dict[str, Spec | None] = {
    "parameters": None,
    "n_channels": Number(above=0),
    "n_features": Number(above=0),
    "edges": Numbers("float64", ("n_channels", "n_edges")),
    "branch": None,
}


class DigitCodec:
    """Convert series to patches of digits, and reconstruct series from digits.

    Parameters
    ----------
    verbalizer : SeriesVerbalizer
        Fitted verbalizer that writes numbers of fixed width.
    branch : DigitBranch, optional
        Trained branch.
    """

    def __init__(
        self, verbalizer: SeriesVerbalizer, branch: DigitBranch | None = None
    ) -> None:
        if verbalizer.style == "llmtime":
            raise ValueError(
                'The text branch requires numbers of fixed width. Use style="digits" '
                'or style="sax" in the verbalizer.'
            )
        self.verbalizer = verbalizer
        self.branch = branch
        letters = verbalizer.style == "sax"
        self.n_digits = 1 if letters else verbalizer.n_digits
        self.base = verbalizer.n_symbols if letters else 10
        self.comma = verbalizer.separator == "comma"

    def get_state(self) -> State:
        """Return the parameters and bins of the verbalizer, and the trained weights."""
        verbalizer, branch = self.verbalizer, self.branch
        return {
            "parameters": verbalizer.get_params(deep=False),
            "n_channels": verbalizer.n_channels_,
            "n_features": verbalizer.n_features_in_,
            "edges": verbalizer.edges_,
            "branch": None if branch is None else module_arrays(branch),
        }

    @classmethod
    def from_state(cls, state: State, sizes: Sizes, codebook: Codebook) -> DigitCodec:
        """Build a codec from its state; see `FeatureExtractor.from_state`."""
        check_state(state, _STATE, sizes, "digits")
        verbalizer = SeriesVerbalizer(**state["parameters"])
        if verbalizer.n_timepoints >= _MAX_WRITTEN:
            raise ValueError(
                "digits.n_timepoints is inconsistent with the rest of the model"
            )
        verbalizer.restore(state["n_channels"], state["n_features"], state["edges"])
        if state["n_channels"] != sizes["n_channels"]:
            raise ValueError(
                "digits.n_channels is inconsistent with the rest of the model"
            )
        codec, arrays = cls(verbalizer), state["branch"]
        if not isinstance(arrays, dict) or "symbols" not in arrays:
            raise ValueError("digits.branch has no symbols")
        with torch.device("meta"):
            symbols = torch.zeros(codec.base + 2, arrays["symbols"].shape[1])
        branch = build_branch(codebook, {"symbols": symbols, **codec.sizes})
        load_arrays(branch, arrays, "digits.branch")
        branch.requires_grad_(False)
        return codec.with_branch(branch.eval())

    def with_branch(self, branch: DigitBranch) -> DigitCodec:
        """Return a copy with a trained branch."""
        return type(self)(self.verbalizer, branch)

    @property
    def sizes(self) -> dict[str, int]:
        """Arguments of :class:`DigitBranch` that define its size."""
        return {
            "n_words": self.n_words,
            "n_digits": self.n_digits,
            "n_values": self.base + 1,  # one for missing values
        }

    @property
    def _places(self) -> Tensor:
        """Place value of each digit, of shape (n_digits,)."""
        return self.base ** torch.arange(self.n_digits - 1, -1, -1)

    @property
    def n_words(self) -> int:
        """Number of words in a patch."""
        return PATCH * (self.n_digits + self.comma)

    def arguments(self, encoder: TextEncoder) -> dict[str, Any]:
        """Return the arguments of :class:`DigitBranch`."""
        symbols = LETTERS if self.verbalizer.style == "sax" else string.digits
        words = symbols[: self.base]
        vectors = np.asarray(encoder.transform([*words, "nan", ","]))
        return {
            "symbols": torch.from_numpy(vectors.astype(np.float32)),
            **self.sizes,
        }

    def write(self, panel: Panel) -> tuple[Tensor, Tensor, Tensor]:
        """Convert series to digits and words.

        Parameters
        ----------
        panel : Panel

        Returns
        -------
        words : Tensor of shape (n_cases * n_channels, n_patches, n_words), int64
        digits : Tensor of shape (n_cases * n_channels, n_patches, PATCH, n_digits)
        known : Tensor of shape (n_patches, PATCH), bool
            False after the end of the series.
        """
        codes = torch.from_numpy(self.verbalizer.codes(panel)).flatten(0, 1)
        missing = codes < 0
        digits = codes.clamp_min(0).unsqueeze(2) // self._places % self.base
        digits = torch.where(missing.unsqueeze(2), self.base, digits)
        n_values = codes.shape[1]
        short = -n_values % PATCH
        digits = F.pad(digits, (0, 0, 0, short), value=self.base)
        known = (torch.arange(n_values + short) < n_values).view(-1, PATCH)
        words = digits
        if self.comma:
            words = F.pad(digits, (0, 1), value=self.base + 1)
        n_series, n_patches = len(codes), len(known)
        return (
            words.reshape(n_series, n_patches, self.n_words),
            digits.view(n_series, n_patches, PATCH, self.n_digits),
            known,
        )

    def examples(self, panel: Panel, cases: NDArray[np.int64]) -> SeriesDigits:
        """Convert the series of some cases to digits and words for training."""
        words, digits, known = self.write(panel.take(cases))
        owner = torch.from_numpy(cases).repeat_interleave(panel.n_channels)
        return SeriesDigits(words, digits, known, owner)

    def rewrite(self, panel: Panel, codebook: Codebook) -> NDArray[np.float64]:
        """Reconstruct series with the trained branch.

        Parameters
        ----------
        panel : Panel
        codebook : Codebook

        Returns
        -------
        ndarray of shape (n_cases, n_channels, n_values)
            Reconstructed series in the original units; NaN for missing values.
        """
        branch = self.branch
        assert branch is not None
        words, digits, known = self.write(panel)
        keys = branch.keys(codebook)
        parts = []
        with torch.inference_mode():
            for patches in words.flatten(0, 1).split(_PATCHES_AT_ONCE):
                numbers, missing, _ = branch(patches, keys)
                parts.append(branch.write(numbers, missing)[1])
        found = torch.cat(parts).view_as(digits)
        codes = (found * self._places).sum(3)
        # A number with a missing digit is missing.
        unknown = (found == self.base).any(dim=3)
        codes = codes.masked_fill(unknown, torch.iinfo(torch.int64).min)
        codes = codes.flatten(1)[:, known.flatten()]
        return self.verbalizer.read_codes(
            codes.view(panel.n_cases, panel.n_channels, -1).numpy()
        )
