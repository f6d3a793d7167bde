"""Panels of series from tables."""

from __future__ import annotations

import csv
import gzip
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sktext_vq._utils.validation import format_names
from sktext_vq.datasets import SAVE_AS_UTF_8, fault_of_text, plain

# Usual names of columns that say what a row is about, in any case of letters. The
# first that a table has counts; the others are not read, so that no class gets among
# the values.
_CASE = ("case", "case_id", "instance", "instances")
_CHANNEL = ("channel", "channel_id", "dim_id")
_TIME = ("time", "timepoint", "timepoints", "timestamp", "reading_id")
_LABEL = ("label", "class", "target")
_SUBJECT = ("subject", "subject_id", "group", "groups")
# Where pandas writes the names of rows. The empty name can only be the first column's.
_INDEX = ("index", "")
# Names of times in seconds, such as time_s or Time (sec).
_SECONDS = re.compile(r"(.*[\W_])?(s|sec|secs|seconds?)\W*", re.IGNORECASE)
# Sampling is regular if so many steps are so near to the median.
_REGULAR, _JITTER = 0.9, 0.1
_PAUSE = 1.5  # median steps, from which on timepoints are missing
_MANY = 20  # steps, all of which are upwards in a time, and by chance in no channel
_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}  # of pandas' times
_DAY = 24 * 3600
_MAX_INTEGER = 2**53  # beyond it, float64 rounds whole numbers
# Numbers such as 0,25 or 1.234,5, which pandas takes for 25 nanoseconds, or for text.
_COMMA = re.compile(r"\s*[-+]?[\d.' ]*,[\d.,' ]*(e[-+]?\d+)?\s*", re.IGNORECASE)
# What pandas.to_timedelta would read as another time: 11:59:59 PM, 1 000.
_NOT_A_DURATION = r"(?i)[ap]\.?m\.?$|,|^[^:a-z]*$"
_DATE = re.compile(r"\d+([.:/-]\d+){2,}.*")  # 31.12.2025, 09:00:00
_ZONE = r"(?i):.*(?:z|[-+]\d\d(?::?\d\d)?)$"

# Cells that are missing values. Among labels, `null` or `None` may be a class.
_MISSING = ("", *"? NA N/A n/a #N/A <NA> nan NaN NAN null NULL None".split())
_UNNAMED = "\0"  # starts what stands in for the missing name of a column


@dataclass(frozen=True, eq=False)
class Recordings:
    """Series of one file, and what it tells of them.

    Attributes
    ----------
    X : ndarray of shape (n_cases, n_channels, n_timepoints) or list
        Series. Where they differ in length, a list of arrays of shape (n_channels,
        n_timepoints_i).
    y : ndarray of shape (n_cases,), optional
        Labels: integers, or else strings as they are in the file.
    groups : ndarray of shape (n_cases,), optional
        Who each series was recorded from: integers, or else strings as they are in
        the file.
    channel_names : tuple of str, optional
        Names of the channels.
    sampling_rate : float, optional
        Timepoints per second, in Hz.
    cases : list of str, optional
        Names of the cases, as the file has them.

    See Also
    --------
    read_recordings : Read a panel of series from a file.
    """

    X: NDArray[Any] | list[NDArray[Any]]
    y: NDArray[Any] | None = None
    groups: NDArray[Any] | None = None
    channel_names: tuple[str, ...] | None = None
    sampling_rate: float | None = None
    cases: list[str] | None = None


# Tables


@dataclass(frozen=True)
class Columns:
    """Which columns of a table are about what; None for the usual names."""

    label: str | None = None
    case: str | None = None
    time: str | None = None
    subject: str | None = None
    ignored: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse what is no name of a column."""
        for what in _WHATS:
            name = getattr(self, what)
            if not (name is None or isinstance(name, str)):
                raise TypeError(
                    f"{what}_column must be the name of a column, a str, got {name!r}."
                )
        names: Any = self.ignored
        is_list = np.iterable(names) and not isinstance(names, str)
        if not (is_list and all(isinstance(name, str) for name in names)):
            raise TypeError(
                f"ignore_columns must be a list of names of columns, got {names!r}."
            )

    def names(self, what: str) -> tuple[str, ...]:
        """Return names in lower case that a column may have."""
        usual = {
            "label": _LABEL,
            "case": _CASE,
            "time": _TIME,
            "subject": _SUBJECT,
        }[what]
        given = getattr(self, what)
        if given is None or given.strip().lower() == usual[0]:
            return usual
        return (given.strip().lower(),)

    @property
    def about(self) -> set[str]:
        """All names in lower case of columns that are no values."""
        given = {each for what in _WHATS for each in self.names(what)}
        return given | {*_CASE, *_TIME, *_LABEL, *_SUBJECT, *_INDEX}


_WHATS = ("label", "case", "time", "subject")


@dataclass(frozen=True, eq=False)
class Table:
    """A table, and where its rows are in the file."""

    frame: pd.DataFrame
    path: Path | str
    columns: Columns
    separator: str | None = None  # None without lines
    skipped: int = 0  # lines before the names of columns

    def find(self, names: tuple[str, ...]) -> str | None:
        """Return the column of the first of some names that is there."""
        columns = _by_lower_case(self.frame.columns)
        return next((columns[name] for name in names if name in columns), None)

    def find_about(self, what: str) -> str | None:
        """Return the column that is about something, which has to be there if given."""
        given, names = getattr(self.columns, what), self.columns.names(what)
        if given in self.frame.columns:
            return str(given)
        found = self.find(names)
        if found is None and len(names) == 1:
            raise ValueError(
                f"{self.path} has no column {given!r} for {what}s. It has "
                f"{format_names(self.frame.columns)}."
            )
        return found

    def place(self, row: int) -> str:
        """Say where a row is, counting from 1 as editors do."""
        if self.separator is None:
            return f"row {row + 1}"
        assert isinstance(self.path, Path)
        # Blank lines and line breaks within quotes put lines and rows out of step.
        with _open_text(self.path) as file:
            for _ in range(self.skipped):
                next(file)
            start, row = 1, row + 1  # the names are a row, too
            reader = csv.reader(file, delimiter=self.separator)
            for cells in reader:
                if not _is_blank(cells):
                    if row == 0:
                        break
                    row -= 1
                start = reader.line_num + 1
        return f"line {self.skipped + start}"

    def refuse_missing(self, name: str) -> None:
        """Refuse empty cells in a column that needs none."""
        missing = self.frame[name].isna().to_numpy()
        if missing.any():
            raise ValueError(
                f"{self.path} has no {name!r} in {self.place(int(missing.argmax()))}. "
                "Fill the cell, or leave out the column or the row."
            )


def from_table(table: Table) -> Recordings:
    """Read series from a table of any form."""
    table = _without_ignored(table)
    frame = table.frame
    if not len(frame):
        raise ValueError(f"{table.path} has no rows.")
    label = table.find_about("label")
    # A column of labels is that alone, whatever its name says.
    rest = replace(table, frame=frame.drop(columns=label or []))
    case, time, subject = map(rest.find_about, ("case", "time", "subject"))
    channel, value = rest.find(_CHANNEL), rest.find(("value",))
    about = {"y": label, "groups": subject}
    is_tidy = case is not None and channel is not None and value is not None
    if case is None or not (is_tidy or not frame[case].is_unique):
        if case is not None:
            rest.refuse_missing(case)
        if time is not None:
            raise ValueError(
                f"{table.path} has a column {time!r}, but each row is a case of its "
                f"own. {_WHICH_CASE}, or leave out {time!r}. It has "
                f"{format_names(frame.columns)}."
            )
        X, wide_names = _wide(rest)
        return Recordings(
            X,
            channel_names=wide_names,
            cases=_row_names(rest, case),
            **_about_cases(table, about),
        )
    rest.refuse_missing(case)
    codes, cases = pd.factorize(frame[case])
    times = None if time is None else _read_times(rest, time)
    if times is not None:
        streams = codes
        if is_tidy:
            rest.refuse_missing(cast(str, channel))
            streams = frame.groupby([codes, channel], sort=False).ngroup().to_numpy()
        times = _in_order(rest, times, streams, can_pass_midnight=not is_tidy)
    places = None if times is None else times.values
    if is_tidy:
        about_values = (case, cast(str, channel), cast(str, value), time)
        values, order, names = _tidy(rest, about_values, codes, places)
    else:
        names = _value_columns(rest)
        values, order = _long(rest, (case, time), names, codes, places)
        _warn_of_columns(table, values, order, names)
    return Recordings(
        _cut(values, order),
        channel_names=tuple(names),
        sampling_rate=None if times is None else _sampling_rate(rest, times, codes),
        cases=[str(each) for each in cases],
        **_about_cases(table, about, codes, cases),
    )


def _without_ignored(table: Table) -> Table:
    """Return a table without the columns to ignore."""
    names = []
    for name in table.columns.ignored:
        found = name if name in table.frame.columns else None
        found = found or table.find((name.strip().lower(),))
        if found is None:
            raise ValueError(
                f"{table.path} has no column {name!r} to ignore. It has "
                f"{format_names(table.frame.columns)}."
            )
        names.append(found)
    return replace(table, frame=table.frame.drop(columns=names))


_WHICH_CASE = (
    "Say which column tells the rows of a recording from those of others "
    "(case_column, --case-column)"
)


def _value_columns(table: Table) -> list[str]:
    """Return names of columns that are not about the case, the time or the row."""
    known = table.columns.about
    names = [name for name in table.frame.columns if name.lower() not in known]
    if not names:
        raise ValueError(f"{table.path} has no columns of values.")
    return names


def _long(
    table: Table,
    columns: tuple[str, str | None],
    names: list[str],
    codes: NDArray[np.intp],
    times: NDArray[Any] | None,
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return values of a long table and the case of each row, sorted."""
    case, time = columns
    values = _numbers(table, names)
    if time is None or times is None:
        order = np.argsort(codes, kind="stable")
        return values[order], codes[order]
    order = np.lexsort((times, codes))
    codes, times = codes[order], times[order]
    repeated = (codes[1:] == codes[:-1]) & (times[1:] == times[:-1])
    if repeated.any():
        _refuse_repeated(table, order[1:][repeated], [(time, "time"), (case, "case")])
    return values[order], codes


def _warn_of_columns(
    table: Table, values: NDArray[np.float64], codes: Any, names: list[str]
) -> None:
    """Warn of channels that look like times, people or classes."""
    within = codes[1:] == codes[:-1]
    if not within.any():
        return
    starts = np.r_[True, ~within]
    # An infinity is refused later, by those who take the series.
    with np.errstate(invalid="ignore", over="ignore"):
        steps = np.diff(values, axis=0)[within]
        same = (steps == 0).all(axis=0) & (np.ptp(values[starts], axis=0) > 0)
    rising = (steps > 0).all(axis=0) & (len(steps) >= _MANY)
    for is_so, what, options in (
        (same, "one value in all rows of a case", "subject_column, label_column"),
        (rising, "values that rise in every case", "time_column"),
    ):
        if is_so.any():
            found = format_names(np.array(names, dtype=object)[is_so])
            warnings.warn(
                f"{table.path} has {found} among the channels, with {what}. If this is "
                f"no sensor, say what it is ({options}) or leave it out "
                "(ignore_columns, --ignore).",
                stacklevel=4,
            )


def _in_order(
    table: Table, times: _Times, streams: NDArray[np.intp], can_pass_midnight: bool
) -> _Times:
    """Add days to times of day past midnight, and warn of times that go back.

    Times are followed in the order of the rows, within each of `streams`.
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
    # Rows from the last to the first are sorted like any others.
    if times.is_clock and (midnight.any() or not back[within].all()):
        raise ValueError(
            f"{table.path} has times of day in column {times.name!r} that go back "
            f"within a case, in {place}, so that the day is unknown. Give times with "
            "dates, or sort the rows by time."
        )
    warnings.warn(
        f"{table.path} has times in column {times.name!r} that go back within a case, "
        f"first in {place}. Rows are sorted by time. If a clock was set back, as "
        "at the end of daylight saving time, ignore the column to keep the order of "
        "the rows (ignore_columns, --ignore).",
        stacklevel=4,
    )
    return times


def _sampling_rate(
    table: Table, times: _Times, codes: NDArray[np.intp]
) -> float | None:
    """Return timepoints per second, if times are in known units and regular.

    Warn if timepoints are missing or not evenly spaced.
    """
    order = np.lexsort((times.values, codes))
    within = codes[order][1:] == codes[order][:-1]
    steps = np.diff(times.values[order])
    # Channels of a tidy table share times.
    rows, steps = order[1:][within & (steps > 0)], steps[within & (steps > 0)]
    if not len(steps):
        return None
    usual, is_regular, longest = _regularity(steps)
    if not is_regular or steps[longest] > _PAUSE * usual:
        unit = times.seconds or 1.0
        second = " s" if times.seconds else ""
        warnings.warn(
            f"{table.path} has uneven times in column {times.name!r}: steps within a "
            f"case have a median of {usual * unit:.6g}{second} and a maximum of "
            f"{steps[longest] * unit:.6g}{second}, before "
            f"{table.place(int(rows[longest]))}. {_UNEVEN}",
            stacklevel=4,
        )
    if times.seconds is None or not is_regular:
        return None
    return float(f"{1 / (usual * times.seconds):.4g}")  # times are rounded


_UNEVEN = (
    "Timepoints are taken as evenly spaced. Make a case of each part between pauses, "
    "or resample to even times."
)


def _regularity(steps: NDArray[Any]) -> tuple[float, bool, int]:
    """Return the median of steps, whether most are near to it, and the longest."""
    usual = float(np.median(steps))
    is_usual = np.abs(steps - usual) < _JITTER * usual
    return usual, bool(is_usual.mean() > _REGULAR), int(steps.argmax())


def _tidy(
    table: Table,
    columns: tuple[str, str, str, str | None],
    codes: NDArray[np.intp],
    times: NDArray[Any] | None,
) -> tuple[NDArray[np.float64], NDArray[np.intp], list[str]]:
    """Return what `_long` does, and names of the channels, of a row per value."""
    case, channel, value, time = columns
    table.refuse_missing(channel)
    channels, names = pd.factorize(table.frame[channel])
    found = _numbers(table, [value])[:, 0]
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
        _refuse_repeated(table, order[1:][repeated], about)
    # A channel without a value where others have one misses it.
    values = np.full((int(is_new.sum()), len(names)), np.nan)
    values[np.cumsum(is_new) - 1, channels] = found[order]
    return values, codes[is_new], [str(name) for name in names]


def _refuse_repeated(
    table: Table, rows: NDArray[np.intp], about: list[tuple[str, str]]
) -> NoReturn:
    row = int(rows.min())
    what = " of ".join(f"{word} {table.frame[name].iloc[row]}" for name, word in about)
    raise ValueError(
        f"{table.path} has {what} more than once, again in {table.place(row)}. If the "
        "clock is coarse, ignore the column of times to keep the order of the rows "
        "(ignore_columns, --ignore). If rows are repeated, drop them. If they are of "
        f"several recordings: {_WHICH_CASE.lower()}."
    )


def _cut(
    values: NDArray[np.float64], codes: NDArray[np.intp]
) -> NDArray[np.float64] | list[NDArray[np.float64]]:
    """Cut sorted rows into the series of each case."""
    lengths = np.bincount(codes)
    if (lengths == lengths[0]).all():
        X = values.reshape(len(lengths), lengths[0], -1).transpose(0, 2, 1)
        return np.ascontiguousarray(X)
    cut = np.split(values, np.cumsum(lengths)[:-1])
    return [np.ascontiguousarray(series.T) for series in cut]


def _wide(table: Table) -> tuple[NDArray[np.float64], tuple[str, ...] | None]:
    """Return the series of a table with a row per case, and names of channels."""
    columns = _value_columns(table)
    split = [_split(name) for name in columns]
    kinds = [tuple(map(type, each)) for each in split]
    kind = max(kinds, key=kinds.count)
    if len(columns) > 1 and not any(re.search(r"\d", name) for name in columns):
        raise ValueError(
            f"{table.path} has no column 'case', and {format_names(columns)} are no timepoints "
            f"of a table with a row per case. {_WHICH_CASE}, or name columns by the "
            "numbers of timepoints."
        )
    values = _numbers(table, columns)
    if kinds.count(kind) < len(kinds):
        name = next(n for n, k in zip(columns, kinds, strict=True) if k != kind)
        raise ValueError(
            f"{table.path} has a column {name!r}, which is no timepoint as others are: "
            f"{format_names(columns)}. Leave it out or, if it has classes, name it as the "
            "label column (--label-column)."
        )
    channels = list(dict.fromkeys(channel for channel, _ in split))
    if channels == [None]:
        times = [time for _, time in split]
        order = _order_timepoints(table, columns, times)
        if None not in times:
            _warn_of_timepoints(table, sorted(times))
        return values[:, np.newaxis, order], None
    places: dict[Any, int] = {}
    for i, place in enumerate(split):
        if place in places:
            raise ValueError(
                f"{table.path} has timepoint {place[1]} of channel {place[0]!r} twice, "
                f"in columns {columns[places[place]]!r} and {columns[i]!r}."
            )
        places[place] = i
    _warn_of_points(table, columns)
    times = sorted({time for _, time in split})
    order = []
    for channel in channels:
        for time in times:
            if (channel, time) not in places:
                raise ValueError(
                    f"{table.path} has no column for timepoint {time} of channel "
                    f"{channel!r}, as it has for other channels. Add it, with empty "
                    "cells for missing values."
                )
            order.append(places[channel, time])
    _warn_of_timepoints(table, times)
    X = values[:, order].reshape(-1, len(channels), len(times))
    return X, tuple(map(str, channels))


def _warn_of_points(table: Table, columns: list[str]) -> None:
    """Warn of names whose point may separate channel and timepoint, or be a decimal."""
    name = next((name for name in columns if re.search(r"\d\.\d+$", name)), None)
    if name is not None:
        channel, time = _split(name)
        warnings.warn(
            f"{table.path} has a column {name!r}, which is read as timepoint {time} of "
            f"channel {channel!r}. If it has a time with a decimal point, number the "
            "timepoints instead.",
            stacklevel=5,
        )


def _split(name: str) -> tuple[str | None, Any]:
    """Split the name of a column into channel and timepoint, as far as it has any."""
    try:
        return None, float(name)
    except ValueError:
        if _DATE.fullmatch(name):
            return None, None
        # A channel ends in a letter, or a separator is between it and the number.
        match = re.fullmatch(r"(.*[^\W\d_]|.+(?=[_.]))[_.]?(\d+)", name)
    return (match[1], int(match[2])) if match else (None, None)


def _order_timepoints(table: Table, columns: list[str], times: list[Any]) -> Any:
    """Return the order of columns of one channel."""
    if None in times:
        _check_one_channel(table, columns)
        return np.arange(len(times))
    order = np.argsort(times, kind="stable")
    steps = np.diff(np.array(times)[order])
    # Values of a first row in place of names are neither sorted nor evenly spaced.
    if (order[1:] < order[:-1]).any() and not np.allclose(steps, steps[0]):
        raise ValueError(
            f"{table.path} has {format_names(columns)} as names of columns, which are no "
            "timepoints in order. Put names of columns in the first line."
        )
    return order


def _warn_of_timepoints(table: Table, times: Any) -> None:
    """Warn if timepoints in names of columns are missing or not evenly spaced."""
    steps = np.diff(times)
    if not len(steps):
        return
    usual, is_regular, longest = _regularity(steps)
    if not is_regular or steps[longest] > _PAUSE * usual:
        warnings.warn(
            f"{table.path} has uneven times as names of columns: after "
            f"{times[longest]:g} comes {times[longest + 1]:g}, while the median of "
            f"steps is {usual:.6g}. {_UNEVEN}",
            stacklevel=5,
        )


def _check_one_channel(table: Table, columns: list[str]) -> None:
    """Check that names of columns differ in their numbers alone, and are in order."""
    other = [name for name in columns if _frame_of(name) != _frame_of(columns[0])]
    if other:
        raise ValueError(
            f"{table.path} has columns {columns[0]!r} and {other[0]!r}, whose channels "
            "and timepoints are unknown. Use names such as acc_x_0, acc_x_1, or a row "
            "per case and timepoint."
        )
    numbers = [re.findall(r"\d+", name) for name in columns]
    places = [int(found[0]) for found in numbers if len(found) == 1]
    if len(places) == len(columns) and places != sorted(places):
        raise ValueError(
            f"{table.path} has {format_names(columns)} as names of columns, which are not in "
            "the order of their numbers. Use numbers alone, or sort the columns."
        )


def _frame_of(name: str) -> str:
    """Return what a name of a column has around its numbers."""
    return re.sub(r"\d+", "0", name)


def _row_names(table: Table, case: str | None) -> list[str] | None:
    name = table.find(_INDEX) if case is None else case
    if name is None:
        return None
    return [str(each) for each in table.frame[name]]


def _numbers(table: Table, names: list[str]) -> NDArray[np.float64]:
    """Return columns as numbers, or say which cell is none."""
    frame = table.frame[names]
    converted = {}
    for name in names:
        column = numbers = frame[name]
        if not pd.api.types.is_numeric_dtype(column):
            text = column.astype(object).where(column.notna()).astype(str)
            numbers = pd.to_numeric(text, errors="coerce")
            wrong = (numbers.isna() & column.notna()).to_numpy()
            if wrong.any():
                row = int(wrong.argmax())
                cell = f"{table.path} has {column.iloc[row]!r} in column {name!r}, "
                cell += table.place(row)
                _refuse_comma(text.iloc[row], cell)
                raise ValueError(
                    f"{cell}, which is no number. Leave the cell empty if the value is "
                    "missing. If the column is no channel, say what it has "
                    "(label_column, subject_column, case_column; --label-column, ...) "
                    "or leave it out (ignore_columns, --ignore)."
                )
            converted[name] = numbers
        if pd.api.types.is_complex_dtype(numbers):
            raise ValueError(f"{table.path} has complex numbers in column {name!r}.")
        # Not by abs, as that of the smallest int64 is negative.
        huge = (numbers > _MAX_INTEGER) | (numbers < -_MAX_INTEGER)
        huge = huge.fillna(False).to_numpy(bool)
        if huge.any():
            is_integer = column.astype(str).str.fullmatch(r"\s*[-+]?\d+\s*")
            huge = huge & is_integer.to_numpy(bool)
            if huge.any():
                row = int(huge.argmax())
                raise ValueError(
                    f"{table.path} has {column.iloc[row]} in column {name!r}, "
                    f"{table.place(row)}: as float64, integers beyond 2**53 are "
                    "rounded. Subtract an offset first, or leave the column out "
                    "(ignore_columns, --ignore)."
                )
    values = frame.assign(**converted).to_numpy(np.float64, na_value=np.nan)
    return cast(NDArray[np.float64], values)


def _refuse_comma(text: str, cell: str) -> None:
    """Say that a comma is why a cell is not a number."""
    if _COMMA.fullmatch(text):
        raise ValueError(
            f"{cell}, with a comma. Write numbers with a decimal point and without "
            "separators of thousands, or give a data frame "
            "(pandas.read_csv(..., decimal=',', thousands='.'))."
        )


@dataclass(frozen=True, eq=False)
class _Times:
    """Times of the rows of a table."""

    name: str
    values: NDArray[Any]  # numbers that sort like the times
    seconds: float | None = None  # of their unit, if that is known
    is_clock: bool = False  # times of day without a date

    @property
    def day(self) -> int:
        """A day in the unit of times of day."""
        assert self.seconds is not None
        return round(_DAY / self.seconds)


def _read_times(table: Table, name: str) -> _Times:
    """Return times as numbers that sort like them, and their unit."""
    table.refuse_missing(name)
    column = found = table.frame[name]
    if not (pd.api.types.is_numeric_dtype(column) or column.dtype.kind in "mM"):
        found = _parse_times(table, column)
    if not pd.api.types.is_numeric_dtype(found):
        # pandas' types with time zones have the same kind.
        values, seconds = found.astype(np.int64).to_numpy(), _UNITS[found.dt.unit]
        is_clock = found.dtype.kind == "m"
        is_clock = is_clock and bool(
            0 <= values.min() and values.max() * seconds < _DAY
        )
        return _Times(name, values, seconds, is_clock)
    values = found.to_numpy()
    if values.dtype.kind not in "iu":
        values = found.to_numpy(np.float64)
        _refuse_times(table, column, ~np.isfinite(values))
    return _Times(name, values, 1.0 if _SECONDS.fullmatch(name) else None)


def _parse_times(table: Table, column: pd.Series[Any]) -> pd.Series[Any]:
    """Read text as numbers, dates, or durations, whichever fits all cells."""
    text = column.astype(str)
    numbers = pd.to_numeric(text, errors="coerce")
    if numbers.notna().all():
        # Integers that no type of numpy holds are objects.
        return numbers.astype(float) if numbers.dtype == object else numbers
    # Fractions of seconds may have a comma; pandas would take them for seconds.
    text = text.str.replace(r"(:\d\d),(\d+)", r"\1.\2", regex=True)
    dates = pd.to_datetime(text, errors="coerce", format="ISO8601", utc=True)
    if dates.notna().all():
        has_zone = text.str.contains(_ZONE, regex=True).to_numpy(bool)
        if has_zone.any() and not has_zone.all():
            row = int((has_zone != has_zone[0]).argmax())
            raise ValueError(
                f"{table.path} has times with a time zone and without one in column "
                f"{column.name!r}: {column.iloc[row]!r} in {table.place(row)} after "
                f"{column.iloc[row - 1]!r}. Give all of them a zone, or none."
            )
        return dates
    is_other = text.str.contains(_NOT_A_DURATION, regex=True).to_numpy(bool)
    durations = pd.to_timedelta(text.where(~is_other), errors="coerce")
    best = min((numbers, dates, durations), key=lambda each: each.isna().sum())
    _refuse_times(table, column, best.isna().to_numpy())
    return best


def _refuse_times(
    table: Table, column: pd.Series[Any], wrong: NDArray[np.bool_]
) -> None:
    """Say which cell is not a time, if any."""
    if not wrong.any():
        return
    row = int(wrong.argmax())
    text = str(column.iloc[row])
    cell = f"{table.path} has {text!r} in column {column.name!r}, {table.place(row)}"
    _refuse_comma(text, cell)
    raise ValueError(
        f"{cell}, which is neither a number nor a time such as 2024-05-31 21:00:00 or "
        "21:00:00 (year first, 24 hours)."
    )


def _about_cases(
    table: Table,
    columns: dict[str, str | None],
    codes: Any = None,
    cases: Any = None,
) -> dict[str, Any]:
    """Return what columns say of each case, which has to be one thing."""
    found = {}
    for kind, name in columns.items():
        if name is None:
            continue
        column = table.frame[name]
        if column.isna().all():
            continue  # a column to be filled in
        table.refuse_missing(name)
        if codes is not None:
            # The last write stays, so the rows are turned around to find the first.
            first = np.empty(len(cases), dtype=np.intp)
            first[codes[::-1]] = np.arange(len(codes))[::-1]
            ids, _ = pd.factorize(column)
            other = ids != ids[first][codes]
            if other.any():
                row = int(other.argmax())
                case = codes[row]
                raise ValueError(
                    f"{table.path} has more than one {name!r} for case {cases[case]}: "
                    f"{column.iloc[first[case]]} at first and {column.iloc[row]} in "
                    f"{table.place(row)}. Give every recording a case of its own."
                )
            column = column.iloc[first]
        found[kind] = _plain_column(column, is_text=table.separator is not None)
    return found


def _plain_column(column: pd.Series[Any], is_text: bool) -> NDArray[Any]:
    """Return labels or subjects in plain types.

    Cells of a text file are integers if all of them are written as such; else 01 and 1
    would be the same label.
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


def _by_lower_case(columns: Any) -> dict[str, str]:
    """Return the first column of each name, by the name in lower case."""
    return {name.lower(): name for name in reversed(list(columns))}


# Files of tables


def to_frame(source: Any) -> pd.DataFrame | None:
    """Return a table of pandas, polars, Arrow or the like as a data frame."""
    if isinstance(source, pd.DataFrame):
        return source
    if isinstance(source, type):
        return None
    if hasattr(source, "to_pandas"):
        source = source.to_pandas()
    elif hasattr(source, "__arrow_c_stream__") and not isinstance(source, pd.Series):
        import pyarrow as pa

        source = pa.table(source).to_pandas()
    return source if isinstance(source, pd.DataFrame) else None


def as_table(frame: pd.DataFrame, name: Path | str, columns: Columns) -> Table:
    """Turn a data frame into a table, with the index among the columns."""
    if frame.columns.nlevels > 1:
        raise ValueError(
            f"{name} has columns of {frame.columns.nlevels} levels. Give a row per "
            "case and timepoint (DataFrame.stack), or names of columns such as acc_x_0."
        )
    # Cases and times are in the index of sktime's panels.
    if not isinstance(frame.index, pd.RangeIndex) or frame.index.name:
        frame = frame.reset_index(allow_duplicates=True)
    frame = frame.set_axis([str(each) for each in frame.columns], axis=1)
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise ValueError(
            f"{name} has more than one column {twice[0]!r}. Give each a name of its "
            "own, those of the index included."
        )
    return Table(frame, name, columns)


def read_parquet(path: Path, columns: Columns) -> Table:
    """Read a parquet file."""
    try:
        with blame(path, "a parquet file"):
            frame = pd.read_parquet(path)
    except ImportError as error:
        raise needs_pyarrow(path) from error
    return as_table(frame, path, columns)


def needs_pyarrow(path: Path) -> ImportError:
    """Return the error to raise without pyarrow."""
    return ImportError(
        f"{path} is a parquet file, which pandas needs pyarrow for: pip install "
        "pyarrow, or use a .csv file."
    )


def read_text(path: Path, columns: Columns) -> Table:
    """Read a file of lines."""
    _check_text(path)
    separator, names, skipped = _read_names(path)
    as_is = {*_CASE, *columns.names("case"), *_INDEX, *columns.names("label")}
    as_is |= {*_SUBJECT, *columns.names("subject")}
    if "value" in _by_lower_case(names):
        as_is |= {*_CHANNEL}
    words = {name for name in names if name.lower() in as_is}
    with blame(path, "a table"), warnings.catch_warnings():
        # Cells in columns without a name would be lost.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        frame = pd.read_csv(
            path,
            sep=separator,
            names=names,
            header=0,
            skiprows=skipped,
            index_col=False,
            encoding="utf-8-sig",
            compression="gzip" if is_gzip(path) else None,
            skipinitialspace=True,
            # Neither case nor label 01 is 1.
            dtype=dict.fromkeys(words, str),
            keep_default_na=False,
            na_values={name: [""] if name in words else _MISSING for name in names},
            # The same numbers as in an .npz file, to the last bit.
            float_precision="round_trip",
            low_memory=False,
        )
    for number, name in enumerate(names, start=1):
        if name.startswith(_UNNAMED):
            # Separators at the ends of lines make such a column.
            if frame[name].notna().any():
                raise ValueError(f"{path} has no name for column {number}.")
            frame = frame.drop(columns=name)
    table = Table(frame, path, columns, separator, skipped)
    _refuse_comments(table)
    return table


def _refuse_comments(table: Table) -> None:
    """Refuse lines of text among the rows, which would be cases of missing values."""
    first = table.frame.iloc[:, 0]
    if pd.api.types.is_numeric_dtype(first) or table.frame.shape[1] < 2:
        return
    starts = first.astype(str).str.startswith("#").to_numpy(bool)
    if starts.any():
        starts = starts & table.frame.iloc[:, 1:].isna().all(axis=1).to_numpy()
    if starts.any():
        raise ValueError(
            f"{table.path} has a comment among the rows, in "
            f"{table.place(int(starts.argmax()))}. Remove the line."
        )


def _check_text(path: Path) -> None:
    """Check that a file has text that pandas reads as it is."""
    opened = gzip.open(path) if is_gzip(path) else path.open("rb")
    with blame(path, "a table"), opened as file:
        lines = enumerate(map(fault_of_text, file), start=1)
        number, fault = next((each for each in lines if each[1]), (0, None))
    if fault:
        raise ValueError(f"{path} has {fault} in line {number}. {SAVE_AS_UTF_8}")


def _read_names(path: Path) -> tuple[str, list[str], int]:
    """Return what separates cells, names of columns, and how many lines to skip."""
    with blame(path, "a table"), _open_text(path) as file:
        separator, skipped = _read_head(file)
        file.seek(0)
        for _ in range(skipped):
            next(file)
        reader = csv.reader(file, delimiter=separator, skipinitialspace=True)
        names = next((cells for cells in reader if not _is_blank(cells)), [])
    if not names:
        raise ValueError(f"{path} is empty.")
    names = [name.strip() for name in names]
    names[0] = names[0].removeprefix("# ")  # as numpy.savetxt writes it
    for i, name in enumerate(names):
        if not name and i:
            names[i] = f"{_UNNAMED}{i}"
        elif name in names[:i]:
            raise ValueError(
                f"{path} has more than one column {name!r}. Give each a name of its "
                "own, in the first line."
            )
    return separator, names, skipped


def _read_head(file: TextIO) -> tuple[str, int]:
    """Return what separates cells, and how many lines are before the names.

    These are a line such as ``sep=;``, which spreadsheets write, and comments.
    """
    separator, skipped, comment = None, 0, ""
    for number, line in enumerate(file, start=1):
        if match := re.fullmatch(r'"?sep=([^\w"])"?\s*', line, re.IGNORECASE):
            separator, skipped = match[1], number
        elif line.startswith("#"):
            comment, before, skipped = line, skipped, number
        elif line.strip():
            if separator is None:
                separator = max(",;\t", key=line.count)
            # The last comment has the names if it has as many cells as the next line.
            if comment and 0 < comment.count(separator) == line.count(separator):
                skipped = before
            break
    return separator or ",", skipped


def _is_blank(cells: list[str]) -> bool:
    """Whether a line is one that pandas skips."""
    return not cells or (len(cells) == 1 and not cells[0].strip())


def is_gzip(path: Path) -> bool:
    """Whether a file is compressed, by its name."""
    return path.suffix.lower() == ".gz"


def _open_text(path: Path) -> TextIO:
    if is_gzip(path):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


_MORE_CELLS = (
    "Names have to be in the first line, and numbers need a decimal point where commas "
    "separate cells."
)


@contextmanager
def blame(path: Path, kind: str) -> Iterator[None]:
    """Say which file it was that could not be read."""
    try:
        yield
    except pd.errors.ParserWarning as error:
        raise ValueError(
            f"{path} has rows with more cells than the first line has names. Name all "
            f"columns. {_MORE_CELLS}"
        ) from error
    except pd.errors.ParserError as error:
        raise ValueError(
            f"{path} is damaged, or not {kind}: {error}. {_MORE_CELLS}"
        ) from error
    except ImportError:
        raise
    except Exception as error:  # of zipfile, zlib, struct, pyarrow, csv, ...
        # Those of the system know the file; others are about what is in it.
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise ValueError(f"{path} is damaged, or not {kind}: {error}") from error
