"""Learned gains of frequency bands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sktext_vq.nn.batches import Outputs, TrainingBatch

if TYPE_CHECKING:
    from sktext_vq.nn.model import DualBranchModel

N_BANDS = 8


class FrequencyGains(nn.Module):
    """Amplify or attenuate frequency bands of series.

    Each band multiplies its coefficients of the orthonormal discrete cosine transform
    (DCT-II) by a gain between 1/2 and 2, which is 1 before training. The mean of a
    series is not changed.

    The last of `N_BANDS` bands contains the upper half of the frequencies, each earlier
    band contains the upper half of the remaining frequencies, and the first band
    contains the rest. Relative to the sampling rate, the bands are thus the same for
    series of any length.

    Attributes
    ----------
    weight : Parameter of shape (N_BANDS,)
        Parameters of the gains; 0 corresponds to a gain of 1.

    References
    ----------
    Wu et al., "Frequency-semantic enhanced variational autoencoder for zero-shot
    skeleton-based action recognition", ICCV 2025. In that paper, frequencies are
    computed along features; here, they are computed along time.
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
            Series without gaps.

        Returns
        -------
        Tensor of the same shape
        """
        n_timepoints = series.shape[-1]
        # Only the change is added, so that gains of 1 do not change series by rounding.
        added = (self.gains - 1)[self._bands(n_timepoints)].to(series.dtype)
        # The DCT-II is a Fourier transform of the series and its mirror image.
        mirrored = torch.cat([series, series.flip(-1)], dim=-1)
        # The first coefficient is the mean, and the last one of a mirrored series is 0.
        spectrum = torch.fft.rfft(mirrored)[..., 1:-1] * added
        spectrum = nn.functional.pad(spectrum, (1, 1))
        return series + torch.fft.irfft(spectrum, 2 * n_timepoints)[..., :n_timepoints]

    def _bands(self, n_timepoints: int) -> Tensor:
        """Return the band of each frequency except 0."""
        frequency = torch.arange(1, n_timepoints, device=self.weight.device)
        octave = torch.frexp(frequency / n_timepoints).exponent  # 0 from 1/2 on
        return (N_BANDS - 1 + octave).clamp_min(0)


class GainPenalty(nn.Module):
    """Penalise gains of the tokenizer that are far from 1."""

    def forward(
        self, model: DualBranchModel, batch: TrainingBatch, outputs: Outputs
    ) -> dict[str, Tensor]:
        """Compute the mean squared difference between gains and 1."""
        gains = model.tokenizer.gains
        assert isinstance(gains, FrequencyGains)
        return {"frequency": (gains.gains - 1).square().mean()}


def build(
    model: DualBranchModel,
    generator: torch.Generator,
    options: Mapping[str, Any],
) -> GainPenalty:
    """Build the module and add gains to the tokenizer if it has none."""
    if model.tokenizer.gains is None:
        model.tokenizer.gains = FrequencyGains()
    return GainPenalty()
