"""Tables with roles of columns, and the numbers and names in them."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sktext_vq._utils.validation import format_names

# Usual names of columns that say what a row is about, in any case of letters. The
# first that a table has counts; the others are not read, so that no class gets among
# the values.
CASE = ("case", "case_id", "instance", "instances")
CHANNEL = ("channel", "channel_id", "dim_id")
_TIME = ("time", "timepoint", "timepoints", "timestamp", "reading_id")
_LABEL = ("label", "class", "target")
SUBJECT = ("subject", "subject_id", "group", "groups")
# Where pandas writes the names of rows. The empty name can only be the first column's.
INDEX = ("index", "")
_MAX_INTEGER = 2**53  # beyond it, float64 rounds whole numbers
# Numbers such as 0,25 or 1.234,5, which pandas takes for 25 nanoseconds, or for text.
_COMMA = re.compile(r"\s*[-+]?[\d.' ]*,[\d.,' ]*(e[-+]?\d+)?\s*", re.IGNORECASE)
# Cells that are missing values. Among labels, `null` or `None` may be a class.
MISSING = ("", *"? NA N/A n/a #N/A <NA> nan NaN NAN null NULL None".split())
UNNAMED = "\0"  # starts what stands in for the missing name of a column


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
            "case": CASE,
            "time": _TIME,
            "subject": SUBJECT,
        }[what]
        given = getattr(self, what)
        if given is None or given.strip().lower() == usual[0]:
            return usual
        return (given.strip().lower(),)

    @property
    def about(self) -> set[str]:
        """All names in lower case of columns that are no values."""
        given = {each for what in _WHATS for each in self.names(what)}
        return given | {*CASE, *_TIME, *_LABEL, *SUBJECT, *INDEX}


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
        columns = by_lower_case(self.frame.columns)
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
        with open_text(self.path) as file:
            for _ in range(self.skipped):
                next(file)
            start, row = 1, row + 1  # the names are a row, too
            reader = csv.reader(file, delimiter=self.separator)
            for cells in reader:
                if not is_blank(cells):
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


def row_names(table: Table, case: str | None) -> list[str] | None:
    name = table.find(INDEX) if case is None else case
    if name is None:
        return None
    return [str(each) for each in table.frame[name]]


def numbers(table: Table, names: list[str]) -> NDArray[np.float64]:
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
                refuse_comma(text.iloc[row], cell)
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


def refuse_comma(text: str, cell: str) -> None:
    """Say that a comma is why a cell is not a number."""
    if _COMMA.fullmatch(text):
        raise ValueError(
            f"{cell}, with a comma. Write numbers with a decimal point and without "
            "separators of thousands, or give a data frame "
            "(pandas.read_csv(..., decimal=',', thousands='.'))."
        )


def by_lower_case(columns: Any) -> dict[str, str]:
    """Return the first column of each name, by the name in lower case."""
    return {name.lower(): name for name in reversed(list(columns))}


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


def is_blank(cells: list[str]) -> bool:
    """Whether a line is one that pandas skips."""
    return not cells or (len(cells) == 1 and not cells[0].strip())


def open_text(path: Path) -> TextIO:
    if is_gzip(path):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def is_gzip(path: Path) -> bool:
    """Whether a file is compressed, by its name."""
    return path.suffix.lower() == ".gz"
