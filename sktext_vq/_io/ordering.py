"""Order of the rows of a table: recordings, times that go back, and equal times."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sktext_vq._io.table import Table
from sktext_vq._io.times import Times
from sktext_vq._utils.validation import find_stack_level

# Minimum mean number of rows between times that go back, so that the rows are parts
# of several recordings rather than in random order.
_LONG_RUN = 5
# Steps back of up to this multiple of the usual step are rows in disorder, not another
# part of a recording.
_NEAR = 5.0
# Maximum share of rows with the time of another row that are dropped.
_MAX_REPEATED = 0.01


def number_recordings(
    table: Table, keys: list[str], subject: str | None, name: str
) -> tuple[NDArray[np.intp], list[str]]:
    """Return the recording of each row, and the names of the recordings."""
    by = [*([] if subject is None or subject in keys else [subject]), *keys]
    if not by:
        return np.zeros(len(table.frame), np.intp), [name]
    for key in by:
        table.refuse_missing(key)
    codes = table.frame.groupby(by, sort=False, observed=True).ngroup().to_numpy()
    codes = pd.factorize(codes)[0]
    rows = np.unique(codes, return_index=True)[1]
    found = [
        ", ".join(str(cell) for cell in row)
        for row in table.frame[by].iloc[rows].itertuples(index=False)
    ]
    if name != "recording" and len(keys) == 0 and len(found) == 1:
        found = [name]
    return codes, found


def find_parts(
    values: NDArray[Any], within: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Return at which steps (`within` a recording) times go back to another part.

    Short steps back are rows in disorder.
    """
    steps = np.diff(values)
    within = np.ones(len(steps), bool) if within is None else within
    back, forward = within & (steps < 0), steps[within & (steps > 0)]
    if not len(forward):
        return back
    return back & (steps < -_NEAR * np.median(forward))


def sort_parts(times: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the order of rows by part and time, and the starts of later parts."""
    back = find_parts(times)
    runs = np.cumsum(np.r_[0, back])
    return np.lexsort((times, runs)), np.flatnonzero(back) + 1


def sort_rows(
    table: Table,
    times: Times | None,
    codes: NDArray[np.intp],
    names: list[str],
) -> tuple[NDArray[np.intp], NDArray[np.intp], list[str]]:
    """Return the order of rows by recording and time.

    Where times go back and overlap with earlier times, recordings are kept apart.
    """
    order = np.argsort(codes, kind="stable")
    if times is None:
        return order, codes[order], names
    codes, values = codes[order], times.values[order]
    within = np.diff(codes) == 0
    back, far = within & (np.diff(values) < 0), find_parts(values, within)
    if not back.any():
        return order, codes, names
    runs = np.cumsum(np.r_[0, far | ~within])
    starts = np.flatnonzero(np.r_[True, np.diff(runs) > 0])
    ends = np.r_[starts[1:], len(runs)] - 1
    new_codes, new_names = np.empty_like(codes), list[str]()
    apart, is_sorted = [], bool((back & ~far).any())
    for code, name in enumerate(names):
        own = np.flatnonzero(codes[starts] == code)
        first, last = values[starts[own]], values[ends[own]]
        by_start = np.argsort(first, kind="stable")
        overlap = (first[by_start][1:] <= last[by_start][:-1]).any()
        rows = slice(starts[own[0]], ends[own[-1]] + 1)
        n_rows = rows.stop - rows.start
        if len(own) > 1 and overlap and n_rows >= _LONG_RUN * len(own):
            new_codes[rows] = len(new_names) + runs[rows] - runs[rows.start]
            new_names += [f"{name}, part {k}" for k in range(1, len(own) + 1)]
            apart.append(order[starts[own[1]]])
        else:
            is_sorted |= len(own) > 1
            new_codes[rows] = len(new_names)
            new_names.append(name)
    if is_sorted and not times.is_clock:  # otherwise, `in_order` has warned
        place = table.place(int(order[1:][back].min()))
        warnings.warn(
            f"{table.path} has times in column {times.name!r} that go back within a "
            f"recording, first in {place}. Rows are sorted by time.",
            stacklevel=find_stack_level(),
        )
    if apart:
        warnings.warn(
            f"{table.path} has times in column {times.name!r} that go back to times "
            f"before, first in {table.place(int(min(apart)))}. The rows before and "
            "after are kept as separate recordings. If they are from several devices, "
            "name the column of devices in recording_column.",
            stacklevel=find_stack_level(),
        )
    by_time = np.lexsort((values, new_codes))
    return order[by_time], new_codes[by_time], new_names


def drop_repeated(
    table: Table,
    times: Times,
    values: NDArray[np.float64],
    order: NDArray[np.intp],
    codes: NDArray[np.intp],
) -> NDArray[np.bool_]:
    """Return which sorted rows to keep, so that times increase."""
    sorted_times = times.values[order]
    repeated = np.r_[False, (np.diff(codes) == 0) & (np.diff(sorted_times) == 0)]
    if not repeated.any():
        return ~repeated
    rows = np.flatnonzero(repeated)
    same = np.array_equal(values[order[rows]], values[order[rows - 1]], equal_nan=True)
    place = table.place(int(order[repeated].min()))
    what = f"the same time in column {times.name!r} as an earlier row of its recording"
    if same or repeated.mean() <= _MAX_REPEATED:
        warnings.warn(
            f"{table.path} has {len(rows)} rows with {what}, first in {place}. These "
            "rows are dropped.",
            stacklevel=find_stack_level(),
        )
        return ~repeated
    raise ValueError(
        f"{table.path} has {len(rows)} rows with {what}, first in {place}. If the rows "
        "are from several devices or sessions, name their column in recording_column "
        "(--recording-column). If the time resolution is too low, ignore the column of "
        "times and set sampling_rate."
    )
