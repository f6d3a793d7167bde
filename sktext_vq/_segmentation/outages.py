"""Outages: parts of a recording in which a channel is missing or constant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating[Any]]
# Rounded values of a device at rest may be equal for several windows. If training
# windows were constant, only channels that are constant for this number of windows are
# reported.
_LONG = 10


@dataclass(frozen=True)
class Outage:
    """Rows `first` to `last` (exclusive) in which a channel is missing or constant.

    If the channel is constant but valid, `is_missing` is False.
    """

    channel: int
    first: int
    last: int
    is_missing: bool
    note: str


def find_outages(
    values: Values,
    names: Sequence[str],
    n_rows: int,
    is_never_constant: NDArray[np.bool_] | None = None,
    is_often_constant: NDArray[np.bool_] | None = None,
) -> list[Outage]:
    """Find channels that are missing or constant for at least `n_rows` rows.

    A constant channel is treated as missing if it was not constant in any training
    window, and is not reported if it was often constant in training windows.
    """
    nothing = np.zeros(len(values), bool)
    never = nothing if is_never_constant is None else is_never_constant
    often = nothing if is_often_constant is None else is_often_constant
    found = []
    for channel, series in enumerate(values):
        for first, last in _runs(series, max(n_rows, 2)):
            is_nan = bool(np.isnan(series[first]))
            if not is_nan and often[channel]:
                continue
            note = f"{names[channel]} {'missing' if is_nan else 'constant'}"
            is_missing = is_nan or bool(never[channel])
            if not is_missing and last - first < _LONG * n_rows:
                continue
            found.append(Outage(channel, first, last, is_missing, note))
    return found


def _runs(series: Values, n_rows: int) -> list[tuple[int, int]]:
    """Return the start and end of each run of at least `n_rows` equal values."""
    missing = np.isnan(series)
    is_same = (series[1:] == series[:-1]) | (missing[1:] & missing[:-1])
    # Borders of runs, without the runs of a single row.
    edges = np.flatnonzero(np.diff(np.r_[False, is_same, False]))
    first, last = edges[::2], edges[1::2] + 1
    is_long = last - first >= n_rows
    return list(zip(first[is_long].tolist(), last[is_long].tolist(), strict=True))


def rows_with_data(values: Values, outages: Sequence[Outage]) -> NDArray[np.bool_]:
    """Return a mask of the rows in which at least one channel has a value."""
    n_channels, n_timepoints = values.shape
    n_missing = np.zeros(n_timepoints, np.intp)
    for series in values:
        n_missing += np.isnan(series)
    for outage in outages:
        rows = slice(outage.first, outage.last)
        if outage.is_missing:
            n_missing[rows] += ~np.isnan(values[outage.channel, rows])
    return n_missing < n_channels
