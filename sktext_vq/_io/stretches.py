"""Stretches of recordings between gaps, resampled to a common sampling rate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from sktext_vq._utils.numbers import fill_missing

# Steps longer than this multiple of the typical step are gaps by default.
GAP = 5.0
# Sampling is regular if this share of steps has at most this relative deviation.
_REGULAR, _JITTER = 0.9, 0.1
_MULTIPLE = 0.8  # minimum share of steps that are multiples of the typical step
# A step of up to this multiple of the median step contains no missing row.
NO_LOSS = 1.5
_BLOCK = 8  # number of steps whose mean is hardly affected by jitter
# Maximum relative difference of sampling rates that are treated as equal, so that
# recordings are not resampled.
_SAME_RATE, _CLOSE_RATE = 0.1, 0.01
_MAX_FACTOR = 1000  # maximum numerator and denominator of a ratio of rates

Values = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Stretch:
    """Part of a recording between two gaps, at regular times.

    `start` is the time in seconds since the start of the recording. `rows` contains the
    nearest row of the recording for each timepoint; by default, rows are consecutive
    and begin at `first_row`.
    """

    start: float
    values: Values
    first_row: int
    rows: NDArray[np.intp] | None = None
    resampling: str | None = None

    def take(self, codes: NDArray[Any]) -> NDArray[Any]:
        """Select the entry of each timepoint from an array with one entry per row."""
        if self.rows is not None:
            return codes[self.rows]
        return codes[self.first_row : self.first_row + self.values.shape[1]]

    def times(
        self, timepoints: NDArray[np.intp], offsets: NDArray[np.float64], rate: float
    ) -> NDArray[np.float64]:
        """Return the times of timepoints since the start of the recording.

        `offsets` contains the times of all rows of the recording, which are used unless
        the stretch was resampled.
        """
        if self.rows is None:
            return offsets[self.first_row + timepoints]
        return self.start + timepoints / rate


def usual_step(times: Sequence[NDArray[Any]]) -> float:
    """Return the median step of recordings, or 1 if all have a single timepoint."""
    steps = np.concatenate([np.diff(each) for each in times])
    return float(np.median(steps)) if len(steps) else 1.0


def estimate_rate(offsets: NDArray[np.float64]) -> float:
    """Estimate the sampling rate of a recording with increasing times.

    The rate is the inverse of the mean step, excluding steps that span missing rows. It
    is rounded to four significant digits for regular times, and to two for irregular
    times. Below 1 Hz, the step is rounded instead. For a single timepoint, it is NaN.
    """
    steps = np.diff(offsets)
    if not len(steps):
        return np.nan
    usual = float(np.median(steps))
    own, digits = steps[steps <= NO_LOSS * usual], 2
    # If rows are missing, steps are multiples of the usual step. If the rows of two
    # clocks were joined, they are not.
    mean = float(own.mean())
    tolerance = max(_JITTER * mean, float(np.ptp(own)))  # times may be rounded
    is_multiple = np.abs(steps - (steps / mean).round() * mean) <= tolerance
    if evenly_spaced(steps, usual):
        # Not the median, which is inexact if times are rounded.
        own, digits = own[own >= usual / NO_LOSS], 4
    elif len(np.unique((own / usual).round(6))) > 2 or is_multiple.mean() < _MULTIPLE:
        # Irregular, not just rounded.
        # The median of jittered steps is too small. Means over several steps are
        # unbiased, and similar to each other where no rows are missing.
        steps = steps[steps <= GAP * usual]
        size = min(_BLOCK, len(steps))
        means = steps[: len(steps) // size * size].reshape(-1, size).mean(axis=1)
        usual = float(np.quantile(means, 0.5, method="lower"))
        own = means[np.abs(means - usual) <= _JITTER * usual]
    step = float(own.mean())
    if step > 1:
        return 1 / float(f"{step:.{digits}g}")
    return float(f"{1 / step:.{digits}g}")


def common_rate(rates: Sequence[float]) -> float:
    """Return the median sampling rate, or the lowest rate if the rates differ."""
    rates = [rate for rate in rates if not np.isnan(rate)]
    if not rates:
        return 1.0
    median = float(np.median(rates))
    # The median of an even number of rates need not be one of them.
    nearest = min(rates, key=lambda rate: abs(rate - median))
    return min(rates) if differ(rates) else nearest


def differ(rates: Sequence[float]) -> bool:
    """Return whether some sampling rates differ by more than 10 %."""
    return bool(np.nanmax(rates) > (1 + _SAME_RATE) * np.nanmin(rates))


def cut_stretches(
    offsets: NDArray[np.float64], values: Values, rate: float, max_gap: float | None
) -> Iterator[Stretch]:
    """Cut a recording at its gaps and resample each part if necessary.

    Steps longer than `max_gap`, by default five times the typical step, are gaps.
    """
    if not len(offsets):
        return
    own_rate = estimate_rate(offsets) if len(offsets) > 1 else rate
    longest = GAP / own_rate if max_gap is None else max_gap
    steps = np.diff(offsets)
    breaks = np.flatnonzero(steps > longest) + 1
    for first, last in zip(np.r_[0, breaks], np.r_[breaks, len(offsets)], strict=True):
        inner = steps[first : last - 1]
        is_even = (
            evenly_spaced(inner, 1 / own_rate)
            and not (inner > NO_LOSS / own_rate).any()
        )
        is_close = abs(rate / own_rate - 1) <= _CLOSE_RATE
        own = values[:, first:last]
        if is_close and (is_even or last - first < 2):
            yield Stretch(float(offsets[first]), own, int(first))
        elif last - first > 1:
            yield _resample(
                offsets[first:last], own, int(first), rate, own_rate, is_even, longest
            )


def evenly_spaced(steps: NDArray[Any], usual: float) -> bool:
    """Return whether nearly all steps are close to the typical step."""
    return not len(steps) or bool(
        (np.abs(steps - usual) <= _JITTER * usual).mean() > _REGULAR
    )


def _resample(
    offsets: NDArray[np.float64],
    values: Values,
    first: int,
    rate: float,
    own_rate: float,
    is_even: bool,
    longest: float,
) -> Stretch:
    """Resample a part of a recording at evenly spaced times."""
    start, duration = offsets[0], offsets[-1] - offsets[0]
    ratio = Fraction(rate / own_rate).limit_denominator(_MAX_FACTOR)
    is_lower = rate < (1 - _CLOSE_RATE) * own_rate and ratio > 0
    done = []
    # The low-pass filter requires evenly spaced times at the rate of the recording.
    grid_rate = rate / float(ratio) if is_lower else rate
    grid = start + np.arange(int(duration * grid_rate + 1e-6) + 1) / grid_rate
    even = interpolate(grid, offsets, values, longest)
    if not is_even:
        done.append("interpolated from irregular times")
    if is_lower:
        even = _downsample(even, ratio)
        grid = start + np.arange(even.shape[1]) / rate
        done.append(f"filtered and resampled from {own_rate:g} Hz")
    elif is_even:
        done.append(f"interpolated from {own_rate:g} Hz")
    # Each timepoint belongs to the nearest row; borders are midpoints between rows.
    borders = (offsets[1:] + offsets[:-1]) / 2
    rows = first + np.searchsorted(borders, grid)
    return Stretch(float(start), even, first, rows, " and ".join(done))


def interpolate(
    grid: NDArray[np.float64],
    offsets: NDArray[np.float64],
    values: Values,
    longest: float,
) -> Values:
    """Interpolate values linearly, except in gaps that are longer than `longest`."""
    found = np.full((len(values), len(grid)), np.nan, values.dtype)
    for channel, series in enumerate(values):
        known = np.flatnonzero(~np.isnan(series))
        if not len(known):
            continue
        times = offsets[known]
        found[channel] = np.interp(grid, times, series[known], np.nan, np.nan)
        apart = np.flatnonzero(np.diff(times) > longest)
        # Timepoints strictly within a stretch without values.
        left = np.searchsorted(grid, times[apart], side="right")
        right = np.searchsorted(grid, times[apart + 1], side="left")
        for begin, end in zip(left, right, strict=True):
            found[channel, begin:end] = np.nan
    return found


def _downsample(values: Values, ratio: Fraction) -> Values:
    """Apply a low-pass filter and reduce the sampling rate; keep missing values."""
    up, down = ratio.numerator, ratio.denominator
    missing = np.isnan(values)
    lower = resample_poly(fill_missing(values), up, down, axis=1, padtype="line")
    if missing.any():
        nearest = np.round(np.arange(lower.shape[1]) * (down / up)).astype(np.intp)
        lower[missing[:, np.minimum(nearest, missing.shape[1] - 1)]] = np.nan
    return np.asarray(lower, values.dtype)
