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
_MANY = 20  # steps, all of which are upwards in a time, and by chance in no channel
_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}  # of pandas' times

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
        Labels: whole numbers, or else strings.
    groups : ndarray of shape (n_cases,), optional
        Who each series was recorded from: whole numbers, or else strings.
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
        ignored = {name.strip().lower() for name in self.ignored}
        return given | ignored | {*_CASE, *_TIME, *_LABEL, *_SUBJECT, *_INDEX}


_WHATS = ("label", "case", "time", "subject")


@dataclass(frozen=True, eq=False)
class Table:
    """A table, and where its rows are in the file."""

    frame: pd.DataFrame
    path: Path | str
    columns: Columns
    separator: str | None = None  # None without lines

    def find(self, names: tuple[str, ...]) -> str | None:
        """Return the column of the first of some names that is there."""
        columns = _by_lower_case(self.frame.columns)
        return next((columns[name] for name in names if name in columns), None)

    def find_about(self, what: str) -> str | None:
        """Return the column that is about something, which has to be there if given."""
        found, names = self.find(self.columns.names(what)), self.columns.names(what)
        if found is None and len(names) == 1:
            raise ValueError(
                f"{self.path} has no column {getattr(self.columns, what)!r} for "
                f"{what}s. It has {format_names(self.frame.columns)}."
            )
        return found

    def place(self, row: int) -> str:
        """Say where a row is, counting from 1 as editors do."""
        if self.separator is None:
            return f"row {row + 1}"
        assert isinstance(self.path, Path)
        # Blank lines and line breaks within quotes put lines and rows out of step.
        with _open_text(self.path) as file:
            start, row = 1, row + 1  # the names are a row, too
            reader = csv.reader(file, delimiter=self.separator)
            for cells in reader:
                if not _is_blank(cells):
                    if row == 0:
                        break
                    row -= 1
                start = reader.line_num + 1
        return f"line {start}"

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
    frame = table.frame
    if not len(frame):
        raise ValueError(f"{table.path} has no rows.")
    for name in table.columns.ignored:
        if table.find((name.strip().lower(),)) is None:
            raise ValueError(
                f"{table.path} has no column {name!r} to ignore. It has "
                f"{format_names(frame.columns)}."
            )
    label = table.find_about("label")
    # A column of labels is that alone, whatever its name says.
    rest = replace(table, frame=frame.drop(columns=label or []))
    case, time, subject = map(rest.find_about, ("case", "time", "subject"))
    channel, value = rest.find(_CHANNEL), rest.find(("value",))
    about = {"y": label, "groups": subject}
    times = seconds = None
    if case is not None:
        rest.refuse_missing(case)
        if time is not None:
            times, seconds = _times(rest, time)
    if case is not None and channel is not None and value is not None:
        codes, cases = pd.factorize(frame[case])
        values, order, names = _tidy(rest, (case, channel, value, time), codes, times)
    elif case is not None and not frame[case].is_unique:
        codes, cases = pd.factorize(frame[case])
        names = _value_columns(rest)
        values, order = _long(rest, (case, time), names, codes, times)
        _warn_of_columns(table, values, order, names)
    elif time is not None:
        raise ValueError(
            f"{table.path} has a column {time!r}, but each row is a case of its own. "
            f"{_WHICH_CASE}, or leave out {time!r}. It has {format_names(frame.columns)}."
        )
    else:
        X, wide_names = _wide(rest)
        return Recordings(
            X,
            channel_names=wide_names,
            cases=_row_names(rest, case),
            **_about_cases(table, about),
        )
    return Recordings(
        _cut(values, order),
        channel_names=tuple(names),
        sampling_rate=None if times is None else _sampling_rate(times, seconds, codes),
        cases=[str(each) for each in cases],
        **_about_cases(table, about, codes, cases),
    )


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


def _sampling_rate(
    times: NDArray[Any], seconds: float | None, codes: NDArray[np.intp]
) -> float | None:
    """Return timepoints per second, if times are in known units and regular."""
    if seconds is None:
        return None
    order = np.lexsort((times, codes))
    within = codes[order][1:] == codes[order][:-1]
    steps = np.diff(times[order])[within] * seconds
    if not len(steps):
        return None
    usual = float(np.median(steps))
    is_usual = np.abs(steps - usual) < _JITTER * usual
    if not (usual > 0 and is_usual.mean() > _REGULAR):
        return None
    return float(f"{1 / usual:.4g}")  # times are rounded


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
        f"{table.path} has {what} more than once, again in {table.place(row)}. Give "
        "every recording a case of its own."
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
        order = _order_timepoints(table, columns, [time for _, time in split])
        return values[:, np.newaxis, order], None
    places: dict[Any, int] = {}
    for i, place in enumerate(split):
        if place in places:
            raise ValueError(
                f"{table.path} has timepoint {place[1]} of channel {place[0]!r} twice, "
                f"in columns {columns[places[place]]!r} and {columns[i]!r}."
            )
        places[place] = i
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
    X = values[:, order].reshape(-1, len(channels), len(times))
    return X, tuple(map(str, channels))


def _split(name: str) -> tuple[str | None, Any]:
    """Split the name of a column into channel and timepoint, as far as it has any."""
    try:
        return None, float(name)
    except ValueError:
        # A channel ends in a letter, or a separator is between it and the number.
        match = re.fullmatch(r"(.*[^\W\d_]|.+(?=[_.]))[_.]?(\d+)", name)
    return (match[1], int(match[2])) if match else (None, None)


def _order_timepoints(table: Table, columns: list[str], times: list[Any]) -> Any:
    """Return the order of columns of one channel."""
    if None in times:
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
        column = frame[name]
        if pd.api.types.is_numeric_dtype(column):
            continue
        text = column.astype(object).where(column.notna()).astype(str)
        numbers = pd.to_numeric(text, errors="coerce")
        wrong = (numbers.isna() & column.notna()).to_numpy()
        if wrong.any():
            row = int(wrong.argmax())
            raise ValueError(
                f"{table.path} has {column.iloc[row]!r} in column {name!r}, "
                f"{table.place(row)}, which is no number. Leave the cell empty if the "
                "value is missing. If the column is no channel, say what it has "
                "(label_column, subject_column, case_column; --label-column, ...) or "
                "leave it out (ignore_columns, --ignore)."
            )
        converted[name] = numbers
    values = frame.assign(**converted).to_numpy(np.float64, na_value=np.nan)
    return cast(NDArray[np.float64], values)


def _times(table: Table, name: str) -> tuple[NDArray[Any], float | None]:
    """Return times as numbers that sort like them, and the seconds of their unit."""
    table.refuse_missing(name)
    column = table.frame[name]
    named = 1.0 if _SECONDS.fullmatch(name) else None
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(), named
    if column.dtype.kind in "mM":  # pandas' types with time zones have the same kind
        return column.astype(np.int64).to_numpy(), _UNITS[column.dt.unit]
    text = column.astype(str)
    readings = [
        pd.to_numeric(text, errors="coerce"),
        pd.to_datetime(text, errors="coerce", format="ISO8601", utc=True),
        pd.to_timedelta(text, errors="coerce"),
    ]
    best = min(readings, key=lambda reading: reading.isna().sum())
    wrong = best.isna().to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"{table.path} has {column.iloc[row]!r} in column {name!r}, "
            f"{table.place(row)}, which is neither a number nor a time such as "
            "2024-05-31 09:00:00 or 09:00:00."
        )
    if pd.api.types.is_numeric_dtype(best):
        return best.to_numpy(), named
    return best.astype(np.int64).to_numpy(), _UNITS[best.dt.unit]


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
        found[kind] = plain(column.to_numpy())
    return found


def _by_lower_case(columns: Any) -> dict[str, str]:
    """Return the first column of each name, by the name in lower case."""
    return {name.lower(): name for name in reversed(list(columns))}


# Files of tables


def as_table(frame: pd.DataFrame, name: Path | str, columns: Columns) -> Table:
    """Turn a data frame into a table, with the index among the columns."""
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
    separator, names = _read_names(path)
    as_is = {*_CASE, *columns.names("case"), *_INDEX}
    if "value" in _by_lower_case(names):
        as_is |= {*_CHANNEL}
    words = {*columns.names("label"), *_SUBJECT, *columns.names("subject"), *as_is}
    with blame(path, "a table"), warnings.catch_warnings():
        # Cells in columns without a name would be lost.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        frame = pd.read_csv(
            path,
            sep=separator,
            names=names,
            header=0,
            index_col=False,
            encoding="utf-8-sig",
            compression="gzip" if is_gzip(path) else None,
            skipinitialspace=True,
            # Case 01 is not case 1.
            dtype={name: str for name in names if name.lower() in as_is},
            keep_default_na=False,
            na_values={
                name: [""] if name.lower() in words else _MISSING for name in names
            },
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
    return Table(frame, path, columns, separator)


def _read_names(path: Path) -> tuple[str, list[str]]:
    """Return what separates cells in a file, and names of its columns."""
    with blame(path, "a table"), _open_text(path) as file:
        line = next((line for line in file if line.strip()), "")
        separator = max(",;\t", key=line.count)
        file.seek(0)
        reader = csv.reader(file, delimiter=separator, skipinitialspace=True)
        names = next((cells for cells in reader if not _is_blank(cells)), [])
    if not names:
        raise ValueError(f"{path} is empty.")
    names = [name.strip() for name in names]
    for i, name in enumerate(names):
        if not name and i:
            names[i] = f"{_UNNAMED}{i}"
        elif name in names[:i]:
            raise ValueError(
                f"{path} has more than one column {name!r}. Give each a name of its "
                "own, in the first line."
            )
    return separator, names


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


@contextmanager
def blame(path: Path, kind: str) -> Iterator[None]:
    """Say which file it was that could not be read."""
    try:
        yield
    except pd.errors.ParserWarning as error:
        raise ValueError(
            f"{path} has rows with more cells than the first line has names. Name all "
            "columns."
        ) from error
    except ImportError:
        raise
    except Exception as error:  # of zipfile, zlib, struct, pyarrow, csv, ...
        # Those of the system know the file; others are about what is in it.
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise ValueError(f"{path} is damaged, or not {kind}: {error}") from error


def plain(values: NDArray[Any]) -> NDArray[Any]:
    """Return whole numbers as such, and all else as strings."""
    if values.dtype.kind in "iu":
        return values
    if values.dtype.kind == "f":
        # Past this, neighbours among whole numbers are the same float.
        is_whole = (values == np.trunc(values)) & (np.abs(values) < 2**53)
        if is_whole.all():
            return values.astype(np.int64)
    if values.dtype.kind == "S":
        return np.char.decode(values, "utf-8")
    return values.astype(np.str_)
