"""Assignment of table rows to recordings, sorted by time."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sktext_vq._io.table import Table
from sktext_vq._io.times import Times
from sktext_vq._utils.validation import find_stack_level

# Rows are divided into several recordings only if there are at least this number of
# rows on average between decreases of time. Otherwise, rows are in random order.
_LONG_RUN = 5
# A decrease of time of up to this multiple of the typical step is due to unsorted rows,
# and does not start another part of a recording.
_NEAR = 5.0
# Rows with the time of another row are dropped up to this share of all rows.
_MAX_REPEATED = 0.01


def number_recordings(
    table: Table, keys: list[str], subject: str | None, name: str
) -> tuple[NDArray[np.intp], list[str]]:
    """Return the recording of each row, and the names of the recordings."""
    by = [*([] if subject is None or subject in keys else [subject]), *keys]
    if not by:
        return np.zeros(len(table.frame), np.intp), [name]
    for key in by:
        table.check_no_missing(key)
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


def find_parts(values: NDArray[Any]) -> NDArray[np.intp]:
    """Return the rows at which times decrease and another part of a recording starts.

    Small decreases are ignored, because they are due to unsorted rows.
    """
    steps = np.diff(values)
    usual = np.median(steps[steps > 0]) if (steps > 0).any() else 0.0
    return np.flatnonzero((steps < 0) & (steps < -_NEAR * usual)) + 1


def sort_parts(times: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the order of rows by part and time, and the starts of later parts."""
    starts = find_parts(times)
    runs = np.searchsorted(starts, np.arange(len(times)), side="right")
    return np.lexsort((times, runs)), starts


def sort_rows(
    table: Table,
    times: Times | None,
    codes: NDArray[np.intp],
    names: list[str],
) -> tuple[NDArray[np.intp], NDArray[np.intp], list[str]]:
    """Sort rows by recording and time; return the order, recordings and names.

    A recording is divided where times decrease and overlap with earlier times.
    """
    order = np.argsort(codes, kind="stable")
    if times is None:
        return order, codes[order], names
    new_codes, new_names = np.empty_like(codes), list[str]()
    in_disorder, apart = [], []
    for rows, name in zip(np.split(order, _borders(codes[order])), names, strict=True):
        values = times.values[rows]
        back, starts = np.flatnonzero(np.diff(values) < 0) + 1, find_parts(values)
        if _are_apart(values, starts):
            runs = np.searchsorted(starts, np.arange(len(rows)), side="right")
            new_codes[rows] = len(new_names) + runs
            new_names += [f"{name}, part {k + 1}" for k in range(len(starts) + 1)]
            apart.append(rows[starts[0]])
        else:
            new_codes[rows] = len(new_names)
            new_names.append(name)
            starts = starts[:0]
        in_disorder += rows[np.setdiff1d(back, starts)].tolist()
    if in_disorder and not times.is_clock:  # otherwise, `order_times` has warned
        warnings.warn(
            f"{table.path} has times in column {times.name!r} that decrease within a "
            f"recording, first in {table.place(min(in_disorder))}. The rows are "
            "therefore sorted by time.",
            stacklevel=find_stack_level(),
        )
    if apart:
        warnings.warn(
            f"{table.path} has times in column {times.name!r} that decrease and "
            f"overlap with earlier times, first in {table.place(int(min(apart)))}. "
            "The rows before and after each decrease become separate recordings. If "
            "the rows are from several devices, set recording_column to the column "
            "that identifies the device.",
            stacklevel=find_stack_level(),
        )
    order = np.lexsort((times.values, new_codes))
    return order, new_codes[order], new_names


def _borders(codes: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.flatnonzero(np.diff(codes)) + 1


def _are_apart(values: NDArray[Any], starts: NDArray[np.intp]) -> bool:
    """Return whether parts are long and overlap in time."""
    first, last = values[np.r_[0, starts]], values[np.r_[starts, len(values)] - 1]
    by_start = np.argsort(first, kind="stable")
    overlap = (first[by_start][1:] <= last[by_start][:-1]).any()
    return bool(overlap and len(values) >= _LONG_RUN * len(first))


def drop_repeated(
    table: Table,
    times: Times,
    values: NDArray[np.float64],
    order: NDArray[np.intp],
    codes: NDArray[np.intp],
) -> NDArray[np.bool_]:
    """Return a mask of the sorted rows to keep, so that times increase."""
    sorted_times = times.values[order]
    repeated = np.r_[False, (np.diff(codes) == 0) & (np.diff(sorted_times) == 0)]
    if not repeated.any():
        return ~repeated
    rows = np.flatnonzero(repeated)
    same = np.array_equal(values[order[rows]], values[order[rows - 1]], equal_nan=True)
    place = table.place(int(order[repeated].min()))
    message = (
        f"{table.path} has {len(rows)} rows whose time in column {times.name!r} "
        f"equals the time of an earlier row of the recording, first in {place}."
    )
    if same or repeated.mean() <= _MAX_REPEATED:
        warnings.warn(
            f"{message} These rows are dropped.", stacklevel=find_stack_level()
        )
        return ~repeated
    raise ValueError(
        f"{message} If the rows are from several devices or sessions, set "
        "recording_column (--recording-column) to the column that identifies them. If "
        "the time resolution is too low, ignore the time column and set sampling_rate."
    )
