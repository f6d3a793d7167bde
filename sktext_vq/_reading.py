"""Panels of series from single files, for the command line."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sktext_vq.datasets import read_ts

FORMATS = """\
files of series:
  .npz      arrays X (cases, channels, timepoints) and, if there are any, y, groups
            (or subject), channel_names and sampling_rate; or X_train, y_train,
            X_test, y_test, ..., of which fit takes the first and others the second.
            .npy is X alone. Pickled objects are refused
  .ts       the format of the UEA and UCR archives
  .csv      or .parquet, a table in one of three forms, told by its columns:
            wide  a row per case, and a column per timepoint, such as 0, 1, 2; with
                  several channels acc_x_0, acc_x_1, ..., acc_y_0, ...
            long  a row per case and timepoint: case, time, and a column per channel
            tidy  a row per value: case, channel, time, value
            Columns label (another by --label-column) and subject may be there, too.
            Lengths may differ in the last two; empty cells are missing values
"""
_CASE = ("case", "case_id", "instance")
_CHANNEL = ("channel", "dim_id", "dimension")
_TIME = ("time", "timepoint", "timestamp", "reading_id")
_SUBJECT = ("subject", "group")


@dataclass(frozen=True, eq=False)
class Recordings:
    """Series of one file, and what it tells of them."""

    X: Any
    y: NDArray[Any] | None = None
    groups: NDArray[Any] | None = None
    channel_names: tuple[str, ...] | None = None
    sampling_rate: float | None = None
    cases: list[str] | None = None


def read_recordings(path: Path, part: str, label_column: str = "label") -> Recordings:
    """Read a panel of series.

    Parameters
    ----------
    path : Path
        A file of one of `FORMATS`.
    part : {"train", "test"}
        Which to take of a file with both.
    label_column : str, default="label"
        Column of a table with classes.

    Returns
    -------
    Recordings

    Raises
    ------
    ValueError
        If the file is damaged, of another format, or not what it should be.
    OSError
        If there is no such file.
    ImportError
        If parquet files cannot be read here.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder. Give a file of series.")
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    kind = "".join(path.suffixes[-2:]).lower().removesuffix(".gz")
    kind = f".{kind.rpartition('.')[2]}"
    if kind == ".npz":
        return _from_npz(path, part)
    if kind == ".npy":
        return Recordings(np.load(path, mmap_mode="r", allow_pickle=False))
    if kind == ".ts":
        X, y = read_ts(path)
        return Recordings(X, y)
    if kind not in _TABLES:
        raise ValueError(
            f"{path} has none of the endings that are read: .npz, .npy, .ts, .csv, "
            ".parquet."
        )
    try:
        table = _TABLES[kind](path)
    except (ValueError, UnicodeDecodeError) as error:  # pandas' errors are such
        raise ValueError(f"{path} cannot be read as a table: {error}") from error
    if table.empty:
        raise ValueError(f"{path} has no rows.")
    return _from_table(table, path, label_column)


_TABLES: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": pd.read_csv,
    ".parquet": pd.read_parquet,
}


def _from_npz(path: Path, part: str) -> Recordings:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (ValueError, BadZipFile, EOFError) as error:
        raise ValueError(
            f"{path} is damaged, or not an .npz file without pickled objects: {error}"
        ) from error
    whole = "X" in arrays

    def find(*names: str) -> NDArray[Any] | None:
        for name in names:
            key = name if whole else f"{name}_{part}"
            if key in arrays:
                return arrays[key]
        return None

    X = find("X")
    if X is None:
        raise ValueError(
            f"{path} needs an array X or X_{part}. It has "
            f"{', '.join(arrays) or 'nothing'}."
        )
    rate = arrays.get("sampling_rate", arrays.get("sampling_rate_hz"))
    names = arrays.get("channel_names")
    found = Recordings(
        X,
        find("y"),
        find("groups", "subject", "subjects"),
        None if names is None else tuple(map(str, names.tolist())),
        None if rate is None else float(rate),
    )
    for name, values in (("y", found.y), ("groups", found.groups)):
        if values is not None and values.shape != (len(X),):
            raise ValueError(
                f"{path} has {len(X)} series, but its {name} has shape {values.shape}."
            )
    return found


def _from_table(table: pd.DataFrame, path: Path, label_column: str) -> Recordings:
    table = table.rename(columns=str)
    lower = {name.lower(): name for name in table.columns}

    def find(names: tuple[str, ...]) -> str | None:
        return next((lower[name] for name in names if name in lower), None)

    case, channel, time = find(_CASE), find(_CHANNEL), find(_TIME)
    label, subject = find((label_column.lower(),)), find(_SUBJECT)
    if label is None and label_column != "label":
        raise ValueError(
            f"{path} has no column {label_column!r}. It has {_few(table.columns)}."
        )
    about = {"y": label, "groups": subject}
    if case is None or (table[case].is_unique and channel is None):
        return _from_wide(table, path, case, about)
    if table[case].isna().any():
        row = int(table[case].isna().to_numpy().argmax())
        raise ValueError(f"{path} has no case in row {row + 2} of the file.")
    codes, cases = pd.factorize(table[case])
    known: dict[str, Any] = {
        kind: _of_cases(table[column], codes, cases, path)
        for kind, column in about.items()
        if column is not None
    }
    value = find(("value",))
    if channel is not None and value is not None:
        if time is None:
            time = "time"
            table = table.assign(time=table.groupby([case, channel]).cumcount())
        keys = table.assign(**{case: codes}).set_index([case, time, channel])[value]
        _refuse_repeated(keys.index, cases, path)
        order = list(dict.fromkeys(table[channel]))
        values = keys.unstack(channel)[order]
        codes = values.index.get_level_values(0).to_numpy()
        names = [str(name) for name in order]
    else:
        names = [
            name
            for name in table.columns
            if name not in (case, time, label, subject, channel)
        ]
        if time is not None:
            place = pd.MultiIndex.from_arrays([codes, table[time]])
            _refuse_repeated(place, cases, path)
            rows = np.lexsort((table[time].to_numpy(), codes))
        else:
            rows = np.argsort(codes, kind="stable")
        values, codes = table[names].iloc[rows], codes[rows]
    series = _numbers(values, path)
    counts = np.bincount(codes)
    X: Any = np.split(series, np.cumsum(counts)[:-1])
    X = [one.T for one in X]
    if len(set(counts)) == 1:
        X = np.stack(X)
    return Recordings(
        X, channel_names=tuple(names), cases=[str(c) for c in cases], **known
    )


def _from_wide(
    table: pd.DataFrame, path: Path, case: str | None, about: dict[str, str | None]
) -> Recordings:
    every = np.arange(len(table))
    cases = pd.Index(every + 1 if case is None else table[case])
    known: dict[str, Any] = {
        kind: _of_cases(table[column], every, cases, path)
        for kind, column in about.items()
        if column is not None
    }
    values = table.drop(columns=[c for c in (case, *about.values()) if c is not None])
    series = _numbers(values, path)
    split = [re.fullmatch(r"(.+)[_.](\d+)", name) for name in values.columns]
    parts = [(each[1], int(each[2])) for each in split if each is not None]
    channels = list(dict.fromkeys(name for name, _ in parts))
    if len(parts) < len(split) or not channels:
        return Recordings(series[:, None], cases=[str(c) for c in cases], **known)
    column = {place: i for i, place in enumerate(parts)}
    times = sorted({time for _, time in parts})
    missing = [(c, t) for c in channels for t in times if (c, t) not in column]
    if missing:
        name, time = missing[0]
        raise ValueError(
            f"{path} has no column for timepoint {time} of channel {name!r}, as it has "
            "for other channels."
        )
    order = [column[c, t] for c in channels for t in times]
    X = series[:, order].reshape(len(table), len(channels), len(times))
    names = tuple(channels)
    return Recordings(X, channel_names=names, cases=[str(c) for c in cases], **known)


def _numbers(values: pd.DataFrame, path: Path) -> NDArray[np.float64]:
    """Turn columns into numbers, or say which cell is none."""
    if not len(values.columns):
        raise ValueError(f"{path} has no columns of values.")
    for name in values.columns:
        if pd.api.types.is_numeric_dtype(values[name]):
            continue
        found = pd.to_numeric(values[name], errors="coerce")
        wrong = (found.isna() & values[name].notna()).to_numpy()
        if wrong.any():
            row = values.index[wrong.argmax()]
            place = f" in row {row + 2} of the file" if isinstance(row, int) else ""
            raise ValueError(
                f"{path} has {values[name].iloc[int(wrong.argmax())]!r} in column "
                f"{name!r}{place}, which is no number. If the column has classes, give "
                f"--label-column {name}."
            )
    return values.apply(pd.to_numeric).to_numpy(np.float64)


def _of_cases(
    column: pd.Series, codes: NDArray[np.intp], cases: pd.Index, path: Path
) -> NDArray[Any]:
    """Return what is the same in all rows of a case: whole numbers, or strings."""
    if column.isna().any():
        case = cases[codes[int(column.isna().to_numpy().argmax())]]
        raise ValueError(f"{path} has no {column.name} for case {case}.")
    first = np.unique(codes, return_index=True)[1]
    own = column.to_numpy()[first]
    other = column.to_numpy() != own[codes]
    if other.any():
        case = cases[codes[int(other.argmax())]]
        raise ValueError(f"{path} has more than one {column.name} for case {case}.")
    whole = pd.api.types.is_integer_dtype(column)
    return own.astype(np.int64) if whole else own.astype(str)


def _refuse_repeated(places: pd.MultiIndex, cases: pd.Index, path: Path) -> None:
    repeated = places.duplicated()
    if repeated.any():
        code, time, *channel = places[int(repeated.argmax())]
        of = f" of channel {channel[0]}" if channel else ""
        raise ValueError(
            f"{path} has time {time}{of} of case {cases[code]} more than once."
        )


def _few(names: Any) -> str:
    shown = ", ".join(map(str, list(names)[:8]))
    return f"{shown}, ..." if len(names) > 8 else shown
