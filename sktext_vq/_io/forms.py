"""Conversion of long, wide and tidy tables to series."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from typing import Any, NoReturn, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sktext_vq._io.arrays import plain
from sktext_vq._io.table import CHANNEL, LabelledPanel, Table, numbers, row_names
from sktext_vq._io.times import (
    UNEVEN,
    Times,
    read_times,
    regularity,
    sampling_rate,
)
from sktext_vq._utils.validation import find_stack_level, format_names

_MANY = 20  # minimum number of increasing steps to suspect a time column
_DATE = re.compile(r"\d+([.:/-]\d+){2,}.*")  # 31.12.2025, 09:00:00


def from_table(table: Table) -> LabelledPanel:
    """Read series from a table of any form."""
    table = without_ignored(table)
    frame = table.frame
    if not len(frame):
        raise ValueError(f"{table.path} has no rows.")
    label = table.find_role("label")
    # The label column has no other role, regardless of its name.
    rest = replace(table, frame=frame.drop(columns=label or []))
    case, time, subject = map(rest.find_role, ("case", "time", "subject"))
    channel, value = rest.find(CHANNEL), rest.find(("value",))
    about = {"y": label, "groups": subject}
    is_tidy = case is not None and channel is not None and value is not None
    if case is None or (not is_tidy and frame[case].is_unique):
        if case is not None:
            rest.check_no_missing(case)
        if time is not None:
            raise ValueError(
                f"{table.path} has a column {time!r}, but each row is a separate "
                f"case. {_WHICH_CASE}, or remove the column {time!r}. Columns: "
                f"{format_names(frame.columns)}."
            )
        X, wide_names = _wide(rest)
        return LabelledPanel(
            X,
            channel_names=wide_names,
            cases=row_names(rest, case),
            **_about_cases(table, about),
        )
    rest.check_no_missing(case)
    if is_tidy:
        rest.check_no_missing(cast(str, channel))
    codes, cases = pd.factorize(frame[case])
    times = None if time is None else read_times(rest, time)
    if times is not None:
        streams = codes
        if is_tidy:
            streams = frame.groupby([codes, channel], sort=False).ngroup().to_numpy()
        times = order_times(rest, times, streams, can_pass_midnight=not is_tidy)
    places = None if times is None else times.values
    if is_tidy:
        about_values = (case, cast(str, channel), cast(str, value), time)
        values, order, names = _tidy(rest, about_values, codes, places)
    else:
        names = value_columns(rest)
        values, order = _long(rest, (case, time), names, codes, places)
        warn_of_columns(table, values, order, names)
    return LabelledPanel(
        _cut(values, order),
        channel_names=tuple(names),
        sampling_rate=None if times is None else sampling_rate(rest, times, codes),
        cases=[str(each) for each in cases],
        **_about_cases(table, about, codes, cases),
    )


def without_ignored(table: Table) -> Table:
    names = []
    for name in table.columns.ignored:
        found = name if name in table.frame.columns else None
        found = found or table.find((name.strip().lower(),))
        if found is None:
            raise ValueError(
                f"{table.path} has no column {name!r} to ignore. Columns: "
                f"{format_names(table.frame.columns)}."
            )
        names.append(found)
    return replace(table, frame=table.frame.drop(columns=names))


_WHICH_CASE = (
    "Set case_column (--case-column) to the column that identifies the case of each row"
)


def value_columns(table: Table) -> list[str]:
    """Return the names of the columns that contain channels."""
    known = table.columns.about
    names = [name for name in table.frame.columns if name.lower() not in known]
    if not names:
        raise ValueError(f"{table.path} has no channels.")
    return names


def _long(
    table: Table,
    columns: tuple[str, str | None],
    names: list[str],
    codes: NDArray[np.intp],
    times: NDArray[Any] | None,
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Sort a long table by case and time; return values and the case of each row."""
    case, time = columns
    values = numbers(table, names)
    if time is None or times is None:
        order = np.argsort(codes, kind="stable")
        return values[order], codes[order]
    order = np.lexsort((times, codes))
    codes, times = codes[order], times[order]
    repeated = (codes[1:] == codes[:-1]) & (times[1:] == times[:-1])
    if repeated.any():
        _raise_repeated(table, order[1:][repeated], [(time, "time"), (case, "case")])
    return values[order], codes


def warn_of_columns(
    table: Table, values: NDArray[np.float64], codes: Any, names: list[str]
) -> None:
    """Warn about channels that look like times, subjects or labels."""
    within = codes[1:] == codes[:-1]
    if not within.any():
        return
    starts = np.r_[True, ~within]
    # Infinite values raise an error later, in `as_panel`.
    with np.errstate(invalid="ignore", over="ignore"):
        steps = np.diff(values, axis=0)[within]
        same = (steps == 0).all(axis=0) & (np.ptp(values[starts], axis=0) > 0)
    rising = (steps > 0).all(axis=0) & (len(steps) >= _MANY)
    for is_so, what, options in (
        (same, "are constant within each case", "subject_column or label_column"),
        (rising, "increase in every case", "time_column"),
    ):
        if is_so.any():
            found = format_names(np.array(names, dtype=object)[is_so])
            warnings.warn(
                f"{table.path} has channels that {what}: {found}. If a column is not a "
                f"channel, set {options} to its name, or ignore the column "
                "(ignore_columns, --ignore).",
                stacklevel=find_stack_level(),
            )


def order_times(
    table: Table, times: Times, streams: NDArray[np.intp], can_pass_midnight: bool
) -> Times:
    """Add days to times of day after midnight and warn if times decrease.

    Only rows with the same value of `streams` are compared.
    """
    order = np.argsort(streams, kind="stable")
    values, within = times.values[order], np.diff(streams[order]) == 0
    back = within & (values[1:] < values[:-1])
    if not back.any():
        return times
    place = table.place(int(order[1:][back].min()))
    midnight = back & times.is_clock
    if times.is_clock:
        midnight &= values[:-1] - values[1:] > times.day / 2
    if midnight.any() and can_pass_midnight and not (back & ~midnight).any():
        days = np.cumsum(np.r_[0, midnight])
        starts = np.flatnonzero(np.r_[True, ~within])
        days -= np.repeat(days[starts], np.diff(np.r_[starts, len(days)]))
        values = np.empty_like(values)
        values[order] = times.values[order] + days * times.day
        return replace(times, values=values)
    # Rows in descending order are valid.
    if times.is_clock and (midnight.any() or not back[within].all()):
        raise ValueError(
            f"{table.path} has times of day in column {times.name!r} that decrease "
            f"within a case, in {place}, so their day is unknown. Use times with "
            "dates, or sort the rows by time."
        )
    warnings.warn(
        f"{table.path} has times in column {times.name!r} that decrease within a "
        f"case, first in {place}. The rows are therefore sorted by time. If the clock "
        "was set back, for example at the end of daylight saving time, ignore the "
        "column to keep the order of the rows (ignore_columns, --ignore).",
        stacklevel=find_stack_level(),
    )
    return times


def _tidy(
    table: Table,
    columns: tuple[str, str, str, str | None],
    codes: NDArray[np.intp],
    times: NDArray[Any] | None,
) -> tuple[NDArray[np.float64], NDArray[np.intp], list[str]]:
    """Return the sorted values and cases of a tidy table, and its channel names."""
    case, channel, value, time = columns
    channels, names = pd.factorize(table.frame[channel])
    found = numbers(table, [value])[:, 0]
    place = times
    if place is None:
        place = pd.Series(codes).groupby([codes, channels]).cumcount().to_numpy()
    order = np.lexsort((channels, place, codes))
    codes, place, channels = codes[order], place[order], channels[order]
    is_new = np.ones(len(codes), dtype=np.bool_)
    is_new[1:] = (codes[1:] != codes[:-1]) | (place[1:] != place[:-1])
    repeated = ~is_new[1:] & (channels[1:] == channels[:-1])
    if time is not None and repeated.any():
        about = [(time, "time"), (channel, "channel"), (case, "case")]
        _raise_repeated(table, order[1:][repeated], about)
    # Timepoints without a row for a channel are missing values.
    values = np.full((int(is_new.sum()), len(names)), np.nan)
    values[np.cumsum(is_new) - 1, channels] = found[order]
    return values, codes[is_new], [str(name) for name in names]


def _raise_repeated(
    table: Table, rows: NDArray[np.intp], about: list[tuple[str, str]]
) -> NoReturn:
    row = int(rows.min())
    what = " of ".join(f"{word} {table.frame[name].iloc[row]}" for name, word in about)
    raise ValueError(
        f"{table.path} has more than one row for {what}, the second in "
        f"{table.place(row)}. If the time resolution is too low, ignore the time "
        "column to keep the order of the rows (ignore_columns, --ignore). If the "
        f"rows are duplicates, remove them. {_WHICH_CASE} if the rows are from "
        "several recordings."
    )


def _cut(values: NDArray[np.float64], codes: NDArray[np.intp]) -> Any:
    lengths = np.bincount(codes)
    cut = [
        np.ascontiguousarray(series.T)
        for series in np.split(values, np.cumsum(lengths)[:-1])
    ]
    return np.stack(cut) if (lengths == lengths[0]).all() else cut


def _wide(table: Table) -> tuple[NDArray[np.float64], tuple[str, ...] | None]:
    """Return the series and channel names of a table with one row per case."""
    columns = value_columns(table)
    split = [split_timepoint(name) for name in columns]
    kinds = [tuple(map(type, each)) for each in split]
    kind = max(kinds, key=kinds.count)
    if len(columns) > 1 and not any(re.search(r"\d", name) for name in columns):
        raise ValueError(
            f"{table.path} has no column 'case', and its columns "
            f"{format_names(columns)} are not the timepoints of a table with one row "
            f"per case. {_WHICH_CASE}, or use the timepoints 0, 1, 2, ... as column "
            "names."
        )
    values = numbers(table, columns)
    if kinds.count(kind) < len(kinds):
        name = next(n for n, k in zip(columns, kinds, strict=True) if k != kind)
        raise ValueError(
            f"{table.path} has a column {name!r} that is not a timepoint, unlike the "
            f"other columns: {format_names(columns)}. Ignore the column "
            "(ignore_columns, --ignore) or, if it contains labels, set label_column "
            "(--label-column)."
        )
    channels = list(dict.fromkeys(channel for channel, _ in split))
    times = [time for _, time in split]
    if channels == [None]:
        return values[:, np.newaxis, _order_timepoints(table, columns, times)], None
    places: dict[Any, int] = {}
    for i, place in enumerate(split):
        if place in places:
            raise ValueError(
                f"{table.path} has timepoint {place[1]} of channel {place[0]!r} twice, "
                f"in columns {columns[places[place]]!r} and {columns[i]!r}."
            )
        places[place] = i
        if i == 0 and re.search(r"\d\.\d+$", columns[i]):
            warnings.warn(
                f"{table.path} has a column {columns[i]!r}, which is read as "
                f"timepoint {place[1]} of channel {place[0]!r}. If the name is a time "
                "with a decimal point, use the timepoints 0, 1, 2, ... as column "
                "names.",
                stacklevel=find_stack_level(),
            )
    times = sorted(set(times))
    wanted = [(channel, time) for channel in channels for time in times]
    for channel, time in wanted:
        if (channel, time) not in places:
            raise ValueError(
                f"{table.path} has no column for timepoint {time} of channel "
                f"{channel!r}, although other channels have this timepoint. Add the "
                "column, with empty cells for missing values."
            )
    _warn_of_timepoints(table, times)
    X = values[:, [places[each] for each in wanted]]
    X = X.reshape(-1, len(channels), len(times))
    return X, tuple(map(str, channels))


def _order_timepoints(table: Table, columns: list[str], times: list[Any]) -> Any:
    """Return the order of the columns of a single channel."""
    if None in times:
        _check_one_channel(table, columns)
        return np.arange(len(times))
    order = np.argsort(times, kind="stable")
    steps = np.diff(np.array(times)[order])
    # Values of a first row without names are neither sorted nor evenly spaced.
    if (order[1:] < order[:-1]).any() and not np.allclose(steps, steps[0]):
        raise ValueError(
            f"{table.path} has the column names {format_names(columns)}, which are "
            "not timepoints in ascending order. If the first line contains values, "
            "insert a line of column names before it."
        )
    _warn_of_timepoints(table, sorted(times))
    return order


def split_timepoint(name: str) -> tuple[str | None, Any]:
    """Split a column name into channel and timepoint; missing parts are None."""
    try:
        return None, float(name)
    except ValueError:
        if _DATE.fullmatch(name):
            return None, None
        # A channel ends with a letter, or a separator precedes the number.
        match = re.fullmatch(r"(.*[^\W\d_]|.+(?=[_.]))[_.]?(\d+)", name)
    return (match[1], int(match[2])) if match else (None, None)


def _warn_of_timepoints(table: Table, times: Any) -> None:
    """Warn if timepoints in column names are missing or unevenly spaced."""
    steps = np.diff(times)
    if not len(steps):
        return
    usual, _, longest = regularity(steps)
    if longest is not None:
        warnings.warn(
            f"{table.path} has unevenly spaced times as column names: "
            f"{times[longest]:g} is followed by {times[longest + 1]:g}, but the median "
            f"step is {usual:.6g}. {UNEVEN}",
            stacklevel=find_stack_level(),
        )


def _check_one_channel(table: Table, columns: list[str]) -> None:
    """Check that column names differ only in their numbers and are in order."""
    stems = [re.sub(r"\d+", "0", name) for name in columns]
    other = [n for n, stem in zip(columns, stems, strict=True) if stem != stems[0]]
    if other:
        raise ValueError(
            f"{table.path} has columns {columns[0]!r} and {other[0]!r}, whose "
            "channels and timepoints cannot be inferred from the names. Use names "
            "such as acc_x_0, acc_x_1, or a table with one row per case and "
            "timepoint."
        )
    places = [list(map(int, re.findall(r"\d+", name))) for name in columns]
    if len(places[0]) == 1 and places != sorted(places):
        raise ValueError(
            f"{table.path} has the column names {format_names(columns)}, whose "
            "numbers are not in ascending order. Use only numbers as names, or sort "
            "the columns."
        )


def _about_cases(
    table: Table,
    columns: dict[str, str | None],
    codes: Any = None,
    cases: Any = None,
) -> dict[str, Any]:
    """Return the label and subject of each case, which must be constant in a case."""
    found = {}
    for kind, name in columns.items():
        if name is None:
            continue
        column = table.frame[name]
        if column.isna().all():
            continue  # labels are unknown
        table.check_no_missing(name)
        if codes is not None:
            first = np.unique(codes, return_index=True)[1]
            ids, _ = pd.factorize(column)
            other = ids != ids[first][codes]
            if other.any():
                row = int(other.argmax())
                case = codes[row]
                raise ValueError(
                    f"{table.path} has more than one {name!r} for case {cases[case]}: "
                    f"{column.iloc[first[case]]} in its first row, and "
                    f"{column.iloc[row]} in {table.place(row)}. Use a separate case "
                    "for each recording."
                )
            column = column.iloc[first]
        found[kind] = plain_column(column, is_text=table.separator is not None)
    return found


def plain_column(column: pd.Series[Any], is_text: bool) -> NDArray[Any]:
    """Return labels or subjects as integers or strings.

    Cells of a text file are converted to integers only if all of them are integers
    without leading zeros.
    """
    if not is_text:
        if pd.api.types.is_integer_dtype(column):
            return column.to_numpy(column.dtype.name.lower().partition("[")[0])
        return plain(column.to_numpy())
    texts = column.astype(object).to_numpy()
    try:
        numbers = {text: int(text) for text in set(texts)}
    except ValueError:
        return texts.astype(np.str_)
    in_range = all(abs(number) < 2**63 for number in numbers.values())
    if in_range and all(text == str(number) for text, number in numbers.items()):
        return np.array([numbers[text] for text in texts], dtype=np.int64)
    return texts.astype(np.str_)
