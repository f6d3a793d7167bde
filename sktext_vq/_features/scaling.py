"""Standardisation of channels and interpolation of missing values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sktext_vq.nn.constants import N_POINTS
from sktext_vq.nn.windows import Batch
from sktext_vq.panel import Panel, chunks, spread_cases

# Maximum value in standard deviations, so that squares are finite in float32.
FARTHEST = 1e15
_CHUNK_VALUES = 2**20

# Levels of the quantiles over training series, and maximum number of series.
_LEVELS = (0.0, 0.01, 0.1, 0.5, 0.9, 0.99, 1.0)
_MAX_USUAL = 2048


@dataclass(frozen=True)
class Scaler:
    """Mean and standard deviation of each channel over the training series.

    Parameters
    ----------
    mean, scale : ndarray of shape (n_channels,), dtype float64
        Mean and standard deviation in the units of the input. The standard deviation of
        a constant channel is replaced by 1.
    usual : ndarray of shape (2, 7, n_channels), optional
        Quantiles, over training series, of the standard deviation and of the root mean
        square after subtraction of `mean`, in units of `scale`. None in models from
        early versions.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    usual: NDArray[np.float64] | None = None

    @classmethod
    def fit(cls, panel: Panel) -> Scaler:
        """Compute the mean and the standard deviation of each channel, in chunks."""
        parts = [part for _, part in chunks(panel.values)]
        # Values are divided by the largest absolute value, so that squares are finite.
        peak = np.zeros(panel.n_channels)
        for part in parts:
            np.fmax(peak, np.nanmax(np.abs(part), axis=(0, 2)), out=peak)
        unit = np.where(peak > 0, peak, 1.0)
        counts, totals = np.zeros(panel.n_channels), np.zeros(panel.n_channels)
        for part in parts:
            counts += np.isfinite(part).sum(axis=(0, 2))
            totals += np.nansum(part / unit[:, None], axis=(0, 2))
        mean = totals / counts
        squares = np.zeros(panel.n_channels)
        for part in parts:
            squares += np.nansum(
                (part / unit[:, None] - mean[:, None]) ** 2, axis=(0, 2)
            )
        scale = np.sqrt(squares / counts)
        rounding = 10 * np.finfo(panel.values.dtype).eps
        scale[scale <= rounding] = 1.0  # constant up to rounding
        scaler = cls(mean * unit, scale * unit)
        sizes = scaler.sizes(panel, _MAX_USUAL)
        usual = np.quantile(sizes, _LEVELS, axis=1).swapaxes(0, 1)
        return cls(scaler.mean, scaler.scale, usual)

    def sizes(self, panel: Panel, most: int) -> NDArray[np.float64]:
        """Return standard deviations and root mean squares of at most `most` series.

        The result has the shape (2, n_cases, n_channels) and is in units of `scale`.
        """
        cases = spread_cases(panel.n_cases, most)
        sizes = np.empty((2, len(cases), panel.n_channels))
        size = max(1, _CHUNK_VALUES // (panel.n_channels * panel.n_timepoints))
        for i in range(0, len(cases), size):
            values = self.standardise(panel, cases[i : i + size])
            part = slice(i, i + size)
            level = np.nanmean(values, axis=2)
            sizes[1, part] = np.sqrt(np.nanmean(np.square(values), axis=2))
            values -= level[:, :, None]
            sizes[0, part] = np.sqrt(np.nanmean(np.square(values), axis=2))
        return sizes

    def standardise(
        self, panel: Panel, cases: slice | NDArray[Any]
    ) -> NDArray[np.float64]:
        """Return the standardised values of some cases."""
        values = panel.values[cases].astype(np.float64)
        with np.errstate(over="ignore"):
            values -= self.mean[:, None]
            values /= self.scale[:, None]
        return np.clip(values, -FARTHEST, FARTHEST, out=values)

    def batch(
        self, panel: Panel, cases: slice | NDArray[Any], n_timepoints: int = N_POINTS
    ) -> Batch:
        """Standardise some cases and fill gaps.

        Gaps are interpolated linearly between observed neighbours and, at the ends,
        filled with the nearest observed value. The tokenizer ignores windows that
        consist mostly of filled values. Series shorter than `n_timepoints` are padded
        with their last value, so that rounding does not depend on the length of other
        series.
        """
        values = self.standardise(panel, cases)
        short = n_timepoints - values.shape[2]
        if short > 0:
            values = np.pad(
                values, ((0, 0), (0, 0), (0, short)), constant_values=np.nan
            )
        observed = np.isfinite(values)
        if observed.all() and short <= 0:
            return Batch(torch.from_numpy(values.astype(np.float32)))
        for case, channel in np.argwhere(~observed.all(axis=2)):
            known = observed[case, channel].nonzero()[0]
            gaps = (~observed[case, channel]).nonzero()[0]
            series = values[case, channel]
            series[gaps] = np.interp(gaps, known, series[known])
        return Batch(
            torch.from_numpy(values.astype(np.float32)),
            torch.from_numpy(observed.astype(np.float32)),
            torch.from_numpy(panel.lengths[cases].copy()),
        )

    def batches(
        self, panel: Panel, size: int, n_timepoints: int = N_POINTS
    ) -> Iterator[tuple[slice, Batch]]:
        """Yield slices of at most `size` consecutive cases, and their batches."""
        for start in range(0, panel.n_cases, size):
            cases = slice(start, start + size)
            yield cases, self.batch(panel, cases, n_timepoints)
