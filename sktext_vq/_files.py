"""Panels of series from single files, and tables to files."""

from __future__ import annotations

import csv
import gzip
import io
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sktext_vq._output import check_target, replace_file
from sktext_vq.datasets import read_ts

__all__ = ["Recordings", "read_recordings", "write_table"]

# Names of columns that say what a row is about, in any case of letters. The first
# that a table has counts; the others are not read, so that no class gets among the
# values.
_CASE = ("case", "case_id", "instance", "instances")
_CHANNEL = ("channel", "channel_id", "dim_id")
_TIME = ("time", "timepoint", "timepoints", "timestamp", "reading_id")
_LABEL = ("label", "class", "target")
_SUBJECT = ("subject", "subject_id", "group", "groups")
# Where pandas writes the names of rows. The empty name can only be the first column's.
_INDEX = ("index", "")

# Cells that are missing values. Among labels, `null` or `None` may be a class.
_MISSING = ("", *"? NA N/A n/a #N/A <NA> nan NaN NAN null NULL None".split())
_UNNAMED = "\0"  # starts what stands in for the missing name of a column

_TEXT_TABLES = (".csv", ".tsv", ".txt")
_ENDINGS = ".npz, .npy, .ts, .csv, .tsv, .txt (these three also with .gz), .parquet"


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


def read_recordings(
    path: str | os.PathLike[str],
    *,
    part: str | None = None,
    label_column: str = "label",
) -> Recordings:
    r"""Read a panel of series from a file.

    Parameters
    ----------
    path : path-like
        File to read. Its ending tells what it is; see the notes.
    part : {"train", "test"}, optional
        What to take of an ``.npz`` file in two parts. Only needed if it has both.
    label_column : str, default="label"
        Column of a table that has the classes. Where there is no ``label``, ``class``
        or ``target`` is taken; any other has to be there.

    Returns
    -------
    Recordings
        Series, labels, and what is known of subjects, channels and cases.

    Raises
    ------
    ValueError
        If the file is damaged, of another format, or not what it should be.
    OSError
        If there is no such file, or it cannot be opened.
    ImportError
        If it is a parquet file and pyarrow is not installed.

    Notes
    -----
    ``.npz`` has arrays ``X`` and, if there are any, ``y`` and ``subject`` or
    ``groups``; or the same with ``_train`` and ``_test`` behind each name. It may have
    ``channel_names`` and ``sampling_rate`` or ``sampling_rate_hz``. ``.npy`` is ``X``
    alone and stays on disk until it is used. Pickled objects are refused.

    ``.ts`` is the format of the UEA and UCR archives.

    ``.csv``, ``.tsv``, ``.txt`` (with commas, semicolons or tabs between cells, also
    compressed as ``.csv.gz``) and ``.parquet`` are tables. Which of three forms a
    table has is told by its columns:

    - *tidy*, a row per value, if there are ``case``, ``channel`` and ``value``.
      ``time`` is the only other column that is read;
    - *long*, a row per case and timepoint, if there is a ``case`` that repeats. There
      may be ``time``, and all other columns are channels;
    - *wide*, a row per case, otherwise. Other columns are timepoints: of one channel
      if their names are numbers or have none at the end, else of the channel before
      the last ``_`` or ``.``, as in ``acc_x_0, acc_x_1, ..., acc_y_0``, sorted by
      number. ``case`` may be there as a name.

    Any form may have ``label`` and ``subject``, which are the same in all rows of a
    case. Rows are sorted by time within a case, or keep their order where there is no
    time. Cases and channels are in the order in which they first appear. Empty cells
    are missing values, and so are ``NA``, ``NaN``, ``null`` or ``?`` among numbers.

    Names of columns may be in upper case, and these mean the same. Where a table has
    several of them the first counts, and the others are not read:

    - ``case``, ``case_id``, ``instance``, ``instances``;
    - ``channel``, ``channel_id``, ``dim_id``;
    - ``time``, ``timepoint``, ``timepoints``, ``timestamp``, ``reading_id``;
    - ``label``, ``class``, ``target``;
    - ``subject``, ``subject_id``, ``group``, ``groups``.

    A column ``index``, or a first one without name, holds names of rows as pandas
    writes them, and no values.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from sktext_vq._files import read_recordings
    >>> lines = ["case,time,acc_x,label", "a,0,1.5,up", "a,1,,up", "b,0,3,down"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "two.csv")
    ...     _ = path.write_text("\n".join(lines))
    ...     found = read_recordings(path)
    >>> found.X
    [array([[1.5, nan]]), array([[3.]])]
    >>> found.y.tolist(), found.channel_names
    (['up', 'down'], ('acc_x',))
    """
    if part not in (None, "train", "test"):
        raise ValueError(f"part must be 'train', 'test' or None, got {part!r}.")
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder. Give a file of series.")
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    ending = path.suffix.lower()
    if ending == ".npz":
        return _from_npz(path, part)
    if ending == ".npy":
        return _from_npy(path)
    if ending == ".ts":
        return Recordings(*read_ts(path))
    if ending == ".parquet":
        return _from_table(_read_parquet(path), label_column)
    if _is_gzip(path):
        ending = path.with_suffix("").suffix.lower()
    if ending in _TEXT_TABLES:
        return _from_table(_read_text(path, label_column), label_column)
    raise ValueError(
        f"{path} has none of the endings that tell what a file is: {_ENDINGS}."
    )


def write_table(table: pd.DataFrame, path: str | os.PathLike[str]) -> Path:
    """Write a table to a file, which is there as a whole or not at all.

    Parameters
    ----------
    table : DataFrame
        Columns to write. The index is left out.
    path : path-like
        A ``.csv`` or ``.parquet`` file. An existing one is replaced.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        If the path has another ending.
    OSError
        If the file cannot be written.
    ImportError
        If it is a parquet file and pyarrow is not installed.
    """
    path = check_target(path)
    ending = check_ending(path)
    if ending == ".csv":
        text = table.to_csv(index=False, lineterminator="\n")
        # Labels may have half a surrogate pair, which UTF-8 cannot hold.
        return replace_file(path, text.encode("utf-8", "replace"))
    buffer = io.BytesIO()
    try:
        table.to_parquet(buffer, index=False)
    except ImportError as error:
        raise _needs_pyarrow(path) from error
    return replace_file(path, buffer.getvalue())


def check_ending(path: Path) -> str:
    """Return the ending of a table to be written, or refuse it."""
    ending = path.suffix.lower()
    if ending not in (".csv", ".parquet"):
        raise ValueError(f"{path} must end in .csv or .parquet.")
    return ending


# Arrays


def _from_npz(path: Path, part: str | None) -> Recordings:
    # numpy leaves files open that it cannot read.
    with path.open("rb") as opened:
        with _blame(path, "an .npz file without pickled objects"):
            file = np.load(opened, allow_pickle=False)
        if isinstance(file, np.ndarray):
            raise ValueError(f"{path} is a single array: end its name in .npy.")
        end = _end_of_names(file.files, part, path)

        def find(*names: str) -> NDArray[Any] | None:
            with _blame(path, "an .npz file without pickled objects"):
                return next((file[name] for name in names if name in file), None)

        X = _check_X(find(f"X{end}"), path)
        y = find(f"y{end}")
        groups = find(f"subject{end}", f"groups{end}")
        names = find("channel_names")
        rate = find("sampling_rate_hz", "sampling_rate")
    if names is not None and names.shape != (X.shape[1],):
        raise ValueError(
            f"{path} has {X.shape[1]} channels, but its channel_names has shape "
            f"{names.shape}."
        )
    if rate is not None and (rate.size != 1 or rate.dtype.kind not in "iuf"):
        raise ValueError(f"{path} needs one number as sampling rate, got {rate!r}.")
    return Recordings(
        X,
        _check_about(y, "y", len(X), path),
        _check_about(groups, "subject or groups", len(X), path),
        None if names is None else tuple(names.astype(np.str_).tolist()),
        None if rate is None else float(rate.item()),
    )


def _end_of_names(names: list[str], part: str | None, path: Path) -> str:
    """Return what stands behind names of arrays: nothing, or the part."""
    if "X" in names:
        return ""
    parts = [each for each in ("train", "test") if f"X_{each}" in names]
    if part is None and len(parts) == 2:
        raise ValueError(
            f"{path} has a training and a test part. Choose one: part='train' or "
            "part='test'."
        )
    if part is None and parts:
        return f"_{parts[0]}"
    if part not in parts:
        wanted = f"X or X_{part}" if part else "X, X_train or X_test"
        raise ValueError(
            f"{path} needs an array {wanted}. It has {', '.join(names) or 'nothing'}."
        )
    return f"_{part}"


def _from_npy(path: Path) -> Recordings:
    with _blame(path, "an .npy file without pickled objects"):
        X = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(X, np.ndarray):
        raise ValueError(f"{path} has several arrays: end its name in .npz.")
    return Recordings(_check_X(X, path))


def _check_X(X: Any, path: Path) -> NDArray[Any]:
    """Return an array of three axes."""
    if X.ndim not in (2, 3) or X.dtype.kind not in "biuf":
        raise ValueError(
            f"{path} needs numbers of shape (n_cases, n_channels, n_timepoints) or "
            f"(n_cases, n_timepoints) as X, got {X.dtype} of shape {X.shape}."
        )
    return cast(NDArray[Any], X[:, np.newaxis] if X.ndim == 2 else X)


def _check_about(
    values: NDArray[Any] | None, name: str, n_cases: int, path: Path
) -> NDArray[Any] | None:
    """Return what an array says of each case, in plain types."""
    if values is None:
        return None
    if values.shape != (n_cases,):
        raise ValueError(
            f"{path} has {n_cases} cases, but its {name} has shape {values.shape}: it "
            "needs one for each case."
        )
    is_text = values.dtype.kind in "US"
    missing = np.char.str_len(values) == 0 if is_text else pd.isna(values)
    if missing.any():
        raise ValueError(
            f"{path} has no {name} for case {missing.argmax()} (counted from 0)."
        )
    return _plain(values)


def _plain(values: NDArray[Any]) -> NDArray[Any]:
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


# Tables


@dataclass(frozen=True, eq=False)
class _Table:
    """A table, and where its rows are in the file."""

    frame: pd.DataFrame
    path: Path
    separator: str | None  # None in a file without lines

    def find(self, names: tuple[str, ...]) -> str | None:
        """Return the column of the first of some names that is there."""
        columns = _by_lower_case(self.frame.columns)
        return next((columns[name] for name in names if name in columns), None)

    def place(self, row: int) -> str:
        """Say where a row is, counting from 1 as editors do."""
        if self.separator is None:
            return f"row {row + 1}"
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


def _from_table(table: _Table, label_column: str) -> Recordings:
    frame = table.frame
    if not len(frame):
        raise ValueError(f"{table.path} has no rows.")
    label = table.find(_label_names(label_column))
    if label is None and label_column != "label":
        raise ValueError(
            f"{table.path} has no column {label_column!r} for labels. It has "
            f"{_few(frame.columns)}."
        )
    # A column of labels is that alone, whatever its name says.
    rest = _Table(frame.drop(columns=label or []), table.path, table.separator)
    case, subject = rest.find(_CASE), rest.find(_SUBJECT)
    time, channel, value = (rest.find(each) for each in (_TIME, _CHANNEL, ("value",)))
    about = {"y": label, "groups": subject}
    if case is not None:
        rest.refuse_missing(case)
    if case is not None and channel is not None and value is not None:
        codes, cases = pd.factorize(frame[case])
        values, order, names = _tidy(rest, (case, channel, value, time), codes)
    elif case is not None and not frame[case].is_unique:
        codes, cases = pd.factorize(frame[case])
        names = _value_columns(rest)
        values, order = _long(rest, (case, time), names, codes)
    elif time is not None:
        raise ValueError(
            f"{table.path} has a column {time!r}, but each row is a case of its own. "
            "Add a column 'case' that says which rows belong together, or leave out "
            f"{time!r}."
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
        cases=[str(each) for each in cases],
        **_about_cases(table, about, codes, cases),
    )


def _value_columns(table: _Table) -> list[str]:
    """Return names of columns that are not about the case, the time or the row."""
    known = {*_CASE, *_TIME, *_LABEL, *_SUBJECT, *_INDEX}
    names = [name for name in table.frame.columns if name.lower() not in known]
    if not names:
        raise ValueError(f"{table.path} has no columns of values.")
    return names


def _long(
    table: _Table, columns: tuple[str, str | None], names: list[str], codes: Any
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return values of a long table and the case of each row, sorted."""
    case, time = columns
    values = _numbers(table, names)
    if time is None:
        order = np.argsort(codes, kind="stable")
        return values[order], codes[order]
    times = _times(table, time)
    order = np.lexsort((times, codes))
    codes, times = codes[order], times[order]
    repeated = (codes[1:] == codes[:-1]) & (times[1:] == times[:-1])
    if repeated.any():
        _refuse_repeated(table, order[1:][repeated], [(time, "time"), (case, "case")])
    return values[order], codes


def _tidy(
    table: _Table, columns: tuple[str, str, str, str | None], codes: Any
) -> tuple[NDArray[np.float64], NDArray[np.intp], list[str]]:
    """Return what `_long` does, and names of the channels, of a row per value."""
    case, channel, value, time = columns
    table.refuse_missing(channel)
    channels, names = pd.factorize(table.frame[channel])
    found = _numbers(table, [value])[:, 0]
    if time is None:
        place = pd.Series(codes).groupby([codes, channels]).cumcount().to_numpy()
    else:
        place = _times(table, time)
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
    table: _Table, rows: NDArray[np.intp], about: list[tuple[str, str]]
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


def _wide(table: _Table) -> tuple[NDArray[np.float64], tuple[str, ...] | None]:
    """Return the series of a table with a row per case, and names of channels."""
    columns = _value_columns(table)
    values = _numbers(table, columns)
    split = [_split(name) for name in columns]
    kinds = [tuple(map(type, each)) for each in split]
    kind = max(kinds, key=kinds.count)
    if kinds.count(kind) < len(kinds):
        name = next(n for n, k in zip(columns, kinds, strict=True) if k != kind)
        raise ValueError(
            f"{table.path} has a column {name!r}, which is no timepoint as others are: "
            f"{_few(columns)}. Leave it out or, if it has classes, name it as the "
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


def _order_timepoints(table: _Table, columns: list[str], times: list[Any]) -> Any:
    """Return the order of columns of one channel."""
    if None in times:
        return np.arange(len(times))
    order = np.argsort(times, kind="stable")
    steps = np.diff(np.array(times)[order])
    # Values of a first row in place of names are neither sorted nor evenly spaced.
    if (order[1:] < order[:-1]).any() and not np.allclose(steps, steps[0]):
        raise ValueError(
            f"{table.path} has {_few(columns)} as names of columns, which are no "
            "timepoints in order. Put names of columns in the first line."
        )
    return order


def _row_names(table: _Table, case: str | None) -> list[str] | None:
    name = table.find(_INDEX) if case is None else case
    if name is None:
        return None
    return [str(each) for each in table.frame[name]]


def _numbers(table: _Table, names: list[str]) -> NDArray[np.float64]:
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
                "value is missing. If the column has classes, name it as the label "
                "column (--label-column)."
            )
        converted[name] = numbers
    values = frame.assign(**converted).to_numpy(np.float64, na_value=np.nan)
    return cast(NDArray[np.float64], values)


def _times(table: _Table, name: str) -> NDArray[Any]:
    """Return times as numbers that sort like them."""
    table.refuse_missing(name)
    column = table.frame[name]
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy()
    if column.dtype.kind in "mM":  # pandas' types with time zones have the same kind
        return column.astype(np.int64).to_numpy()
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
    numeric = pd.api.types.is_numeric_dtype(best)
    return (best if numeric else best.astype(np.int64)).to_numpy()


def _about_cases(
    table: _Table,
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
        found[kind] = _plain(column.to_numpy())
    return found


def _label_names(label_column: str) -> tuple[str, ...]:
    name = label_column.strip().lower()
    return _LABEL if name == "label" else (name,)


def _by_lower_case(columns: Any) -> dict[str, str]:
    """Return the first column of each name, by the name in lower case."""
    return {name.lower(): name for name in reversed(list(columns))}


def _few(names: Any) -> str:
    shown = ", ".join(map(repr, list(names)[:8]))
    return f"{shown}, ..." if len(names) > 8 else shown


# Files of tables


def _read_parquet(path: Path) -> _Table:
    try:
        with _blame(path, "a parquet file"):
            frame = pd.read_parquet(path)
            # Cases and times are in the index of sktime's panels.
            if not isinstance(frame.index, pd.RangeIndex) or frame.index.name:
                frame = frame.reset_index()
    except ImportError as error:
        raise _needs_pyarrow(path) from error
    return _Table(frame.rename(columns=str), path, None)


def _needs_pyarrow(path: Path) -> ImportError:
    return ImportError(
        f"{path} is a parquet file, which pandas needs pyarrow for: pip install "
        "pyarrow, or use a .csv file."
    )


def _read_text(path: Path, label_column: str) -> _Table:
    separator, names = _read_names(path)
    columns = _by_lower_case(names)
    as_is = {*_CASE, *_INDEX}
    if "value" in columns:
        as_is |= {*_CHANNEL}
    words = {*_label_names(label_column), *_SUBJECT, *as_is}
    with _blame(path, "a table"), warnings.catch_warnings():
        # Cells in columns without a name would be lost.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        frame = pd.read_csv(
            path,
            sep=separator,
            names=names,
            header=0,
            index_col=False,
            encoding="utf-8-sig",
            compression="gzip" if _is_gzip(path) else None,
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
    return _Table(frame, path, separator)


def _read_names(path: Path) -> tuple[str, list[str]]:
    """Return what separates cells in a file, and names of its columns."""
    with _blame(path, "a table"), _open_text(path) as file:
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


def _is_gzip(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _open_text(path: Path) -> TextIO:
    if _is_gzip(path):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


@contextmanager
def _blame(path: Path, kind: str) -> Iterator[None]:
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
