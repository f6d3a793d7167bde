"""Statistics of series, from which captions are generated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from sktext_vq._utils.channels import group_channels
from sktext_vq._utils.numbers import fill_missing

from ._labels import as_phrase
from ._series import FloatPanel

_MOST_VALUES = 2**20  # to process at once
_MEANINGS = {
    "acc": "acceleration",
    "accel": "acceleration",
    "accelerometer": "acceleration",
    "gyro": "rotation",
    "gyr": "rotation",
    "gyroscope": "rotation",
    "mag": "magnetic field",
    "hr": "heart rate",
    "temp": "temperature",
    "ecg": "heart signal",
    "emg": "muscle signal",
}


def min_regularity(length: Any) -> Any:
    """Return the minimum autocorrelation of a rhythm; most noise is below this value.

    The standard error of an autocorrelation of noise is about the inverse root of the
    number of timepoints.
    """
    return np.maximum(0.35, 3.5 / np.sqrt(length))


def speed_bounds(found: dict[str, Any]) -> npt.NDArray[np.float64]:
    """Return the bounds of slow and fast rhythms, in cycles per timepoint."""
    per_step = found["cycles"] / found["length"]
    bounds = np.empty((per_step.shape[1], 2))
    for g in range(per_step.shape[1]):
        least = min_regularity(found["length"][:, g])
        regular = per_step[found["regularity"][:, g] >= least, g]
        bounds[g] = np.quantile(regular, [0.2, 0.8]) if len(regular) else (0, np.inf)
    return bounds


def channel_groups(
    names: Sequence[str] | None, n_channels: int
) -> list[tuple[str, list[int]]]:
    """Group channels whose names differ only in a final x, y or z."""
    if names is None:
        if n_channels == 1:
            return [("signal", [0])]
        return [(f"channel {c + 1}", [c]) for c in range(n_channels)]
    groups = []
    for stem, channels in group_channels(names).items():
        # The letter of a single axis remains part of the name.
        name = stem if len(channels) > 1 else names[channels[0]]
        words = as_phrase(name).split()
        groups.append((" ".join(_MEANINGS.get(w, w) for w in words), channels))
    return groups


def statistics(
    values: FloatPanel,
    lengths: npt.NDArray[np.int64],
    groups: Sequence[tuple[str, list[int]]],
) -> dict[str, npt.NDArray[np.float64]]:
    """Compute statistics of each case and group of channels."""
    n, n_groups = len(values), len(groups)
    keys = "strength regularity cycles trend crest peaks jerk rest missing length"
    found = {key: np.zeros((n, n_groups)) for key in keys.split()}
    found["thirds"] = np.zeros((n, n_groups, 3))
    found["level"] = np.zeros(values.shape[:2])
    found["share"] = np.zeros(values.shape[:2])
    for length in np.unique(lengths):
        cases = np.flatnonzero(lengths == length)
        part = values[cases, :, :length]
        missing, filled = np.isnan(part), fill_missing(part)
        found["length"][cases] = length
        for which in _equal_groups(groups, _MOST_VALUES // filled[:, 0].size):
            channels = np.array([groups[g][1] for g in which])
            rows = _group(filled[:, channels].reshape(-1, channels.shape[1], length))
            rows["missing"] = missing[:, channels].mean(axis=(2, 3)).ravel()
            for key, array in rows.items():
                array = array.reshape(len(cases), len(which), *array.shape[1:])
                if key in ("level", "share"):
                    found[key][cases[:, None, None], channels] = array
                else:
                    found[key][cases[:, None], which] = array
    return found


def _equal_groups(
    groups: Sequence[tuple[str, list[int]]], most: int
) -> Iterator[npt.NDArray[np.int64]]:
    """Yield indices of groups of equally many channels, at most `most` channels."""
    sizes = np.array([len(channels) for _, channels in groups])
    for size in np.unique(sizes):
        same = np.flatnonzero(sizes == size)
        n_at_once = max(1, most // int(size))
        for start in range(0, len(same), n_at_once):
            yield same[start : start + n_at_once]


def _divide(a: Any, b: Any) -> npt.NDArray[np.float64]:
    b = np.asarray(b)
    return np.asarray(a / np.where(b > 0, b, 1.0) * (b > 0))


def _group(x: FloatPanel) -> dict[str, npt.NDArray[np.float64]]:
    """Compute statistics of groups of series ``(n, k, t)`` without missing values."""
    n, _, t = x.shape
    # Scale the series, because squares of very large numbers would overflow.
    size = np.abs(x).max(axis=(1, 2))
    x = x / np.where(size > 0, size, 1.0)[:, None, None]
    mean = x.mean(axis=2)
    z = x - mean[:, :, None]
    # Remove rounding errors of constant series.
    z[np.abs(z).max(axis=(1, 2)) < 1e-12] = 0.0
    variance = (z**2).mean(axis=2)
    total = variance.sum(axis=1)
    magnitude = np.sqrt((z**2).sum(axis=1))
    root = np.sqrt(total)
    time = np.linspace(-1, 1, t) if t > 1 else np.zeros(1)
    covariance = (z * time).mean(axis=2)
    strongest = variance.argmax(axis=1)
    rows = np.arange(n)
    trend = _divide(
        covariance[rows, strongest],
        np.sqrt(variance[rows, strongest] * (time**2).mean()),
    )
    energy = magnitude**2
    edges = np.linspace(0, t, 4).round().astype(int)
    thirds = np.stack([energy[:, a:b].sum(axis=1) for a, b in pairwise(edges)], 1)
    steps = np.sqrt((np.diff(z, axis=2) ** 2).sum(axis=1).mean(axis=1)) if t > 1 else 0
    rest = z - trend_line(z, time)
    # Remove rounding errors of straight lines.
    rest[np.abs(rest).max(axis=(1, 2)) < 1e-9 * np.abs(z).max(axis=(1, 2))] = 0.0
    regularity, cycles = _rhythm(rest)
    return {
        "strength": root * size,
        "regularity": regularity,
        "cycles": cycles,
        "trend": trend,
        "crest": _divide(magnitude.max(axis=1), root),
        "peaks": _count_peaks(magnitude),
        "jerk": _divide(steps, root),
        "rest": _divide(np.abs(mean).max(axis=1), np.sqrt((x**2).mean(2).sum(1))),
        "thirds": _divide(thirds, energy.sum(axis=1)[:, None]),
        "level": mean * size[:, None],
        "share": _divide(variance, total[:, None]),
    }


def trend_line(z: FloatPanel, time: npt.NDArray[np.float64]) -> FloatPanel:
    """Return the linear trend of centred series ``(n, k, t)``."""
    norm = float((time**2).mean())
    slope = (z * time).mean(axis=2, keepdims=True) / (norm or 1.0)
    return np.asarray(slope * time)


def _count_peaks(magnitude: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    high = magnitude > 0.6 * magnitude.max(axis=1, keepdims=True)
    starts = high[:, 1:] & ~high[:, :-1]
    return np.asarray(starts.sum(axis=1) + high[:, 0], dtype=np.float64)


def _rhythm(
    z: FloatPanel,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the autocorrelation at the main period and the number of periods."""
    n, _, t = z.shape
    zero = np.zeros(n)
    if t < 6:
        return zero, zero.copy()
    spectrum = np.abs(np.fft.rfft(z, 2 * t, axis=2)) ** 2
    products = np.fft.irfft(spectrum.sum(axis=1), 2 * t, axis=1)
    lags = np.arange(t // 2 + 2)
    # Normalise by the number of products at each lag.
    acf = products[:, lags] / (t - lags)
    acf = _divide(acf, acf[:, :1])
    inner = acf[:, 1:-1]
    top = (inner >= acf[:, :-2]) & (inner > acf[:, 2:]) & (lags[1:-1] >= 2)
    peaks = np.where(top, inner, -np.inf)
    best = peaks.max(axis=1)
    # The first of several peaks with similar heights is the period. Later peaks are
    # multiples of the period.
    first = (peaks >= 0.85 * best[:, None]).argmax(axis=1)
    rows = np.arange(n)
    left, mid, right = (acf[rows, first + k] for k in (0, 1, 2))
    bend = left - 2 * mid + right
    shift = 0.5 * (left - right) / np.where(bend < 0, bend, -np.inf)
    is_periodic = np.isfinite(best) & (best > 0)
    period = np.maximum(first + 1 + shift, 2.0)
    return np.where(is_periodic, np.clip(best, 0, 1), 0), np.where(
        is_periodic, t / period, 0
    )
