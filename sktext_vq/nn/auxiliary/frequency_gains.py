"""Learned gains of frequency bands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sktext_vq.nn.auxiliary import AuxiliaryModule
from sktext_vq.nn.batches import Outputs, TrainingBatch

if TYPE_CHECKING:
    from sktext_vq.nn.model import DualBranchModel

N_BANDS = 8


class FrequencyGains(nn.Module):
    """Amplify or damp bands of frequencies over time.

    Each band multiplies its coefficients of the orthonormal discrete cosine transform
    (DCT-II) by a gain between 1/2 and 2, which is 1 before training. The mean of a
    series stays as it is.

    The last of `N_BANDS` bands has the upper half of the frequencies, each one before
    it the upper half of what is left, and the first all that is left then: bands are
    the same shares of the sampling rate in series of every length.

    Attributes
    ----------
    weight : Parameter of shape (N_BANDS,)
        From it come the gains: 0 is a gain of 1.

    References
    ----------
    Wu et al., "Frequency-semantic enhanced variational autoencoder for zero-shot
    skeleton-based action recognition", ICCV 2025, with gains over the index of
    features; here they are over time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(N_BANDS))

    @property
    def gains(self) -> Tensor:
        """Gain of each band, of shape (N_BANDS,)."""
        return torch.exp2(torch.tanh(self.weight))

    def forward(self, series: Tensor) -> Tensor:
        """Apply the gains along the last axis.

        Parameters
        ----------
        series : Tensor of shape (..., n_timepoints)
            Without gaps.

        Returns
        -------
        Tensor of the same shape
        """
        n_timepoints = series.shape[-1]
        # What gains add: nothing at all, rounding included, before training.
        added = (self.gains - 1)[self._bands(n_timepoints)].to(series.dtype)
        # Symmetric gains of a series and its mirror image are gains of its DCT-II.
        mirrored = torch.cat([series, series.flip(-1)], dim=-1)
        # The mean; and the last frequency, which a mirrored series does not have.
        spectrum = torch.fft.rfft(mirrored)[..., 1:-1] * added
        spectrum = nn.functional.pad(spectrum, (1, 1))
        return series + torch.fft.irfft(spectrum, 2 * n_timepoints)[..., :n_timepoints]

    def _bands(self, n_timepoints: int) -> Tensor:
        """Return the band of each frequency but 0."""
        frequency = torch.arange(1, n_timepoints, device=self.weight.device)
        octave = torch.frexp(frequency / n_timepoints).exponent  # 0 from 1/2 on
        return (N_BANDS - 1 + octave).clamp_min(0)


class GainPenalty(AuxiliaryModule):
    """Penalise gains of the tokenizer that are far from 1."""

    def forward(
        self, model: DualBranchModel, batch: TrainingBatch, outputs: Outputs
    ) -> dict[str, Tensor]:
        """Compute the squared distance of gains from 1."""
        gains = model.tokenizer.gains
        assert isinstance(gains, FrequencyGains)
        return {"frequency": (gains.gains - 1).square().mean()}


def build(
    model: DualBranchModel,
    generator: torch.Generator | None,
    options: Mapping[str, Any],
) -> GainPenalty:
    """Build the module, and give the tokenizer gains if it has none."""
    if model.tokenizer.gains is None:
        model.tokenizer.gains = FrequencyGains()
    return GainPenalty()
