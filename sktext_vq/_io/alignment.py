"""Alignment of rows with equal times, and of sensors with separate clocks."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sktext_vq._io.ordering import sort_parts
from sktext_vq._io.stretches import GAP, estimate_rate, interpolate


@dataclass(frozen=True, eq=False)
class Rows:
    """Times, label codes and values of a sensor; code -1 means unlabelled."""

    times: NDArray[Any]
    codes: NDArray[Any]
    values: NDArray[np.float64]

    def take(self, which: Any) -> Rows:
        """Return the rows at an index or slice."""
        return Rows(self.times[which], self.codes[which], self.values[which])


def spread_repeated(times: NDArray[Any], usual: float) -> NDArray[Any]:
    """Distribute rows with equal times evenly up to the next time.

    Equal times are due to a low time resolution. Before a gap, the typical step is
    used; `usual` is the step if all times are equal.
    """
    is_new = np.r_[True, np.diff(times) > 0]
    if is_new.all():
        return times
    starts = np.flatnonzero(is_new)
    counts = np.diff(np.r_[starts, len(times)])
    steps = np.diff(times[starts])
    if len(steps):
        usual = float(np.median(steps / counts[:-1]))
    spans = np.minimum(np.r_[steps, np.inf], counts * usual)
    places = np.arange(len(times)) - np.repeat(starts, counts)
    shifts = np.repeat(spans / counts, counts) * places
    return np.asarray(times + shifts.astype(times.dtype))


def align(base: Rows, other: Rows) -> NDArray[np.float64]:
    """Interpolate the values of a sensor at the times (in ns) of another sensor.

    Values are interpolated separately for each label. Values are missing in gaps, and
    where parts of a recording overlap in time, because it is unknown which parts match.
    """
    found = np.full((len(base.times), other.values.shape[1]), np.nan)
    parts, others = _parts(base), _parts(other)
    for code in np.unique(base.codes):
        own = [part for part in parts if base.codes[part.start] == code]
        rest = [part for part in others if other.codes[part.start] == code]
        if not (_overlap(base.times, own) or _overlap(other.times, rest)):
            pairs = [
                (one, two)
                for one in own
                for two in rest
                if base.times[one.start] <= other.times[two.stop - 1]
                and other.times[two.start] <= base.times[one.stop - 1]
            ]
        else:
            pairs = list(zip(own, rest, strict=True)) if len(own) == len(rest) else []
        for one, two in pairs:
            values = _at_times(base.times[one], other.take(two))
            found[one] = np.where(np.isnan(values), found[one], values)
    return found


def _parts(rows: Rows) -> list[slice]:
    """Divide rows into parts with one label and without decreasing times."""
    changes = (np.diff(rows.times) < 0) | (np.diff(rows.codes) != 0)
    borders = [0, *(np.flatnonzero(changes) + 1).tolist(), len(rows.times)]
    return [slice(a, b) for a, b in pairwise(borders)]


def _overlap(times: NDArray[Any], parts: list[slice]) -> bool:
    """Return whether any two parts overlap in time."""
    spans = sorted((times[part.start], times[part.stop - 1]) for part in parts)
    return any(b[0] < a[1] for a, b in pairwise(spans))


def _at_times(times: NDArray[Any], other: Rows) -> NDArray[np.float64]:
    """Interpolate the values of a sensor with sorted times at other sorted times."""
    start = min(times[0], other.times[0])
    grid, offsets = (times - start) * 1e-9, (other.times - start) * 1e-9
    offsets = spread_repeated(offsets, 0.0)
    usual = 1 / estimate_rate(offsets) if len(offsets) > 1 else 0.0
    # Extrapolate by one step, since sensors do not start simultaneously.
    around = np.r_[offsets[0] - usual, offsets, offsets[-1] + usual]
    values = np.pad(other.values.T, ((0, 0), (1, 1)), mode="edge")
    return np.asarray(interpolate(grid, around, values, GAP * usual).T, np.float64)


def join_sensors(sensors: list[Rows | None], n_channels: int) -> Rows:
    """Join the channels of sensors at common times; a missing sensor is None."""
    sensors = [
        None if rows is None else rows.take(sort_parts(rows.times)[0])
        for rows in sensors
    ]
    base = next(rows for rows in sensors if rows is not None)
    values = [
        rows.values
        if rows is base
        else np.full((len(base.times), n_channels), np.nan)
        if rows is None
        else align(base, rows)
        for rows in sensors
    ]
    return Rows(base.times, base.codes, np.concatenate(values, axis=1))
