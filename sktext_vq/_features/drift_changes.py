"""Possible causes of drift and their effects on the statistics of series."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sktext_vq._utils.channels import list_sensors

Array = NDArray[np.floating[Any]]
Triads = tuple[tuple[int, ...], ...]

_MAX_SENSORS = 10
# Statistics of a channel: mean; logarithm of the standard deviation; log-ratio of first
# differences to values; log-ratio of second to first differences; cube root of the
# skewness.
PER_CHANNEL = 5
# Statistics of a sensor with three axes: correlations, and log-norm of the mean.
PER_TRIAD = 4
PAIRS = ((0, 1), (0, 2), (1, 2))
# Minimum decrease of the log-distance to training cases if a change is undone, in
# addition to the 99th percentile of training cases, and a further decrease for a single
# case. Held-out subjects in the training parts of MotionSense and WISDM are below these
# values.
MARGINS = {
    "turned": (0.12, 0.25),
    "mirrored": (0.12, 0.25),
    "order": (0.5, 0.0),
    "units": (0.65, 0.0),
    "rate": (0.1, 0.1),
}
_FACTORS = {
    9.80665: "g instead of m/s^2",
    1 / 9.80665: "m/s^2 instead of g",
    1000.0: "a unit larger by a factor of 1000",
    1 / 1000: "a unit smaller by a factor of 1000, such as mg instead of g",
    57.29578: "rad/s instead of degrees per second",
    1 / 57.29578: "degrees per second instead of rad/s",
    2.0: "half the gain",
    0.5: "twice the gain",
}


class Change(NamedTuple):
    """Possible change in the series, and the inverse linear map of statistics."""

    kind: str
    channels: tuple[int, ...]
    cause: str
    columns: NDArray[np.int64]
    factor: Array
    add: Array


@lru_cache(maxsize=8)
def list_changes(
    triads: Triads, unit: tuple[float, ...], offset: tuple[float, ...]
) -> list[Change]:
    """Return all changes; the parameters are described in `DriftReference`."""
    make = partial(_change, triads, np.array(unit), np.array(offset))
    rates = [
        _change_of_rate(make("rate", f"{cause} the sampling rate"), value, len(unit))
        for value, cause in ((2.0, "twice"), (0.5, "half"))
    ]
    return [
        *_turned(triads, len(unit), make),
        *_changed(triads, len(unit), make),
        *rates,
    ]


def _change(
    triads: Triads,
    unit: Array,
    offset: Array,
    kind: str,
    cause: str,
    index: Any = None,
    factor: Any = None,
    of: Sequence[int] = (),
) -> Change:
    """Return a change that permutes channels and multiplies them by factors."""
    index = np.arange(len(unit)) if index is None else index
    factor = np.ones(len(unit)) if factor is None else factor
    return Change(kind, tuple(of), cause, *_undone(triads, unit, offset, index, factor))


def _change_of_rate(change: Change, value: float, n_channels: int) -> Change:
    """Return a change that also multiplies differences between adjacent timepoints."""
    for column in (2, 3):
        change.add[column : PER_CHANNEL * n_channels : PER_CHANNEL] = np.log(value)
    return change


def _turned(
    triads: Triads, n_channels: int, make: Callable[..., Change]
) -> Iterator[Change]:
    """Yield all rotations and reflections that permute or negate axes."""
    for order, signs in _turns() if triads else ():
        index, factor = np.arange(n_channels), np.ones(n_channels)
        for axes in triads:
            index[list(axes)] = np.array(axes)[list(order)]
            factor[list(axes)] = signs
        turned = np.linalg.det(np.eye(3)[list(order)]) * np.prod(signs) > 0
        taken = ", ".join(
            f"{'-' if sign < 0 else ''}{'xyz'[i]}"
            for i, sign in zip(order, signs, strict=True)
        )
        how = "the device is turned" if turned else "axes are swapped or mirrored"
        kind = "turned" if turned else "mirrored"
        cause = f"{how}, so that {taken} correspond to x, y, z in training"
        yield make(kind, cause, index, factor)


def _changed(
    triads: Triads, n_channels: int, make: Callable[..., Change]
) -> Iterator[Change]:
    """Yield all swaps of two sensors and all unit changes of one sensor."""
    sensors = list_sensors(n_channels, triads)
    if len(sensors) > _MAX_SENSORS:
        return
    for a, b in itertools.combinations(sensors, 2):
        if len(a) == len(b):
            index = np.arange(n_channels)
            index[a], index[b] = b, a
            yield make("order", "these channels are swapped", index, of=[a[0], b[0]])
    for sensor, (value, cause) in itertools.product(sensors, _FACTORS.items()):
        factor = np.ones(n_channels)
        factor[sensor] = value
        yield make("units", cause, factor=factor, of=sensor)


def _turns() -> Iterator[tuple[tuple[int, ...], tuple[float, ...]]]:
    """Yield all signed permutations of three axes except the identity."""
    ways = itertools.product(
        itertools.permutations(range(3)), itertools.product((1.0, -1.0), repeat=3)
    )
    next(ways)
    yield from ways


def _undone(
    triads: Triads, unit: Array, offset: Array, channels: Any, factor: Array
) -> tuple[NDArray[np.int64], Array, Array]:
    """Return the effect of permuted and scaled channels on statistics."""
    n = len(unit)
    width = PER_CHANNEL * n + PER_TRIAD * len(triads)
    index, scale, add = np.arange(width), np.ones(width), np.zeros(width)
    gain = factor * unit[channels] / unit
    first = PER_CHANNEL * np.arange(n)
    for column in range(PER_CHANNEL):
        index[first + column] = PER_CHANNEL * channels + column
    scale[first] = gain
    add[first] = (factor * offset[channels] - offset) / unit
    add[first + 1] = np.log(np.abs(gain))
    scale[first + 4] = np.sign(factor)
    where = {c: (t, k) for t, axes in enumerate(triads) for k, c in enumerate(axes)}
    for t, axes in enumerate(triads):
        start = PER_CHANNEL * n + PER_TRIAD * t
        places = [where.get(int(channels[c]), (-1, c)) for c in axes]
        other = PER_CHANNEL * n + PER_TRIAD * places[0][0]
        for k, (a, b) in enumerate(PAIRS):
            pair = tuple(sorted((places[a][1], places[b][1])))
            index[start + k] = other + PAIRS.index(pair)
            scale[start + k] = np.sign(factor[axes[a]] * factor[axes[b]])
        index[start + 3] = other + 3
        add[start + 3] = np.log(abs(gain[axes[0]]))
    return index, scale, add
