"""From a panel to batches that the networks take: standardised, without gaps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sktext_vq.nn.tokens import N_POINTS, Batch
from sktext_vq.panel import Panel

# Standard deviations: far outside of the training range, and what float32 can square.
FARTHEST = 1e15
_CHUNK_VALUES = 2**20


@dataclass(frozen=True)
class Scaler:
    """Mean and standard deviation of each channel over the training series.

    Parameters
    ----------
    mean, scale : ndarray of shape (n_channels,), dtype float64
        In the units of the input. The scale of a constant channel is 1.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def fit(cls, panel: Panel) -> Scaler:
        """Take mean and standard deviation of each channel, chunk by chunk."""
        size = max(1, _CHUNK_VALUES // (panel.n_channels * panel.n_timepoints))
        chunks = [panel.values[i : i + size] for i in range(0, panel.n_cases, size)]
        # Values are divided by the largest one, so that squares of 1e300 are finite.
        peak = np.zeros(panel.n_channels)
        for chunk in chunks:
            np.fmax(peak, np.nanmax(np.abs(chunk), axis=(0, 2)), out=peak)
        unit = np.where(peak > 0, peak, 1.0)
        counts, totals = np.zeros(panel.n_channels), np.zeros(panel.n_channels)
        for chunk in chunks:
            counts += np.isfinite(chunk).sum(axis=(0, 2))
            totals += np.nansum(chunk / unit[:, None], axis=(0, 2))
        mean = totals / counts
        squares = np.zeros(panel.n_channels)
        for chunk in chunks:
            squares += np.nansum(
                (chunk / unit[:, None] - mean[:, None]) ** 2, axis=(0, 2)
            )
        scale = np.sqrt(squares / counts)
        rounding = 10 * np.finfo(panel.values.dtype).eps
        scale[scale <= rounding] = 1.0  # constant, but for rounding
        return cls(mean * unit, scale * unit)

    def batch(
        self, panel: Panel, cases: slice | NDArray[Any], n_timepoints: int = N_POINTS
    ) -> Batch:
        """Standardise some cases and fill their gaps.

        Gaps are filled along straight lines between observed neighbours, and with
        the nearest observed value at the ends; windows that are mostly filled are
        left out later.

        Parameters
        ----------
        panel : Panel
            Series in the units of the input.
        cases : slice or ndarray of int
            Which ones.
        n_timepoints : int, default=8
            Shorter series are continued by their last value, so that rounding does
            not depend on how long the other series are.

        Returns
        -------
        Batch
            float32 on the CPU.
        """
        values = panel.values[cases].astype(np.float64)
        values -= self.mean[:, None]
        values /= self.scale[:, None]
        short = n_timepoints - values.shape[2]
        if short > 0:
            values = np.pad(
                values, ((0, 0), (0, 0), (0, short)), constant_values=np.nan
            )
        observed = np.isfinite(values)
        if observed.all() and short <= 0:
            return Batch(_as_float32(values))
        for case, channel in np.argwhere(~observed.all(axis=2)):
            known = observed[case, channel].nonzero()[0]
            gaps = (~observed[case, channel]).nonzero()[0]
            series = values[case, channel]
            series[gaps] = np.interp(gaps, known, series[known])
        return Batch(
            _as_float32(values),
            torch.from_numpy(observed.astype(np.float32)),
            torch.from_numpy(panel.lengths[cases].copy()),
        )

    def batches(
        self, panel: Panel, size: int, n_timepoints: int = N_POINTS
    ) -> Iterator[tuple[slice, Batch]]:
        """Yield consecutive batches of at most ``size`` cases and where they are."""
        for start in range(0, panel.n_cases, size):
            cases = slice(start, start + size)
            yield cases, self.batch(panel, cases, n_timepoints)


def _as_float32(values: NDArray[np.float64]) -> torch.Tensor:
    np.clip(values, -FARTHEST, FARTHEST, out=values)
    return torch.from_numpy(values.astype(np.float32))
