"""Tables and the roles of their columns."""

from __future__ import annotations

import csv
import gzip
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sktext_vq._utils.files import check_path
from sktext_vq._utils.numbers import MAX_INTEGER
from sktext_vq._utils.validation import format_names

# Default column names by role, in lower case. The first name found in a table is used;
# columns with the other names are ignored, so that labels never become values.
CASE = ("case", "case_id", "instance", "instances")
CHANNEL = ("channel", "channel_id", "dim_id")
_TIME = ("time", "timepoint", "timepoints", "timestamp", "reading_id")
_LABEL = ("label", "class", "target")
SUBJECT = ("subject", "subject_id", "group", "groups")
# Columns in which pandas writes row names; only a first column can have an empty name.
INDEX = ("index", "")
# Columns that identify a recording. If a table has several of them, all are used.
RECORDING = (
    *("recording", "recording_id", "session", "session_id", "trial", "trial_id"),
    *("device", "device_id", *CASE),
)
# Numbers such as 0,25 or 1.234,5, which pandas reads as 25 nanoseconds or as text.
_COMMA = re.compile(r"\s*[-+]?[\d.' ]*,[\d.,' ]*(e[-+]?\d+)?\s*", re.IGNORECASE)
# Missing values in numeric columns. In label columns, `null` or `None` may be a class.
MISSING = ("", *"? NA N/A n/a #N/A <NA> nan NaN NAN null NULL None".split())
UNNAMED = "\0"  # prefix of placeholders for missing column names


@dataclass(frozen=True, eq=False)
class LabelledPanel:
    """Series or windows with labels and metadata.

    Attributes
    ----------
    X : ndarray of shape (n_cases, n_channels, n_timepoints) or list
        Series. If lengths differ, a list of arrays of shape (n_channels,
        n_timepoints_i).
    y : ndarray of shape (n_cases,), optional
        Labels, as integers or strings.
    groups : ndarray of shape (n_cases,), optional
        Subject of each series, as integers or strings.
    channel_names : tuple of str, optional
        Names of the channels.
    sampling_rate : float, optional
        Sampling rate in Hz.
    cases : list of str, optional
        Names of the cases.
    table : DataFrame, optional
        Origin of each window: ``recording``, ``subject``, ``start`` and ``end``.
    resampling : str, optional
        Description of how recordings were resampled to a common rate.

    See Also
    --------
    read_panel : Read series from a file or a data frame.
    Recordings.windows : Cut recordings into windows.
    """

    X: NDArray[Any] | list[NDArray[Any]]
    y: NDArray[Any] | None = None
    groups: NDArray[Any] | None = None
    channel_names: tuple[str, ...] | None = None
    sampling_rate: float | None = None
    cases: list[str] | None = None
    table: pd.DataFrame | None = None
    resampling: str | None = None


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a table by role; None for the default names."""

    label: str | None = None
    case: str | None = None
    time: str | None = None
    subject: str | None = None
    ignored: Sequence[str] = ()
    recording: Sequence[str] = ()  # columns that identify a continuous recording

    def __post_init__(self) -> None:
        for what in _USUAL:
            name = getattr(self, what)
            if not (name is None or isinstance(name, str)):
                raise TypeError(
                    f"{what}_column must be the name of a column, got {name!r}."
                )
        names: Any = self.ignored
        is_list = np.iterable(names) and not isinstance(names, str)
        if not (is_list and all(isinstance(name, str) for name in names)):
            raise TypeError(
                f"ignore_columns must be a list of column names, got {names!r}."
            )

    def names(self, what: str) -> tuple[str, ...]:
        """Return the possible names of a column, in lower case."""
        given, usual = getattr(self, what), _USUAL[what]
        name = usual[0] if given is None else given.strip().lower()
        return usual if name == usual[0] else (name,)

    @property
    def about(self) -> set[str]:
        """Names of columns that are not channels, in lower case."""
        return self.text | {*self.names("time"), *CASE, *_TIME, *_LABEL, *SUBJECT}

    @property
    def text(self) -> set[str]:
        """Names of columns that are read as text, in lower case."""
        given = {
            each for what in ("label", "case", "subject") for each in self.names(what)
        }
        recording = {name.strip().lower() for name in self.recording}
        return given | recording | {*CASE, *INDEX, *SUBJECT}


_USUAL = {"label": _LABEL, "case": CASE, "time": _TIME, "subject": SUBJECT}


@dataclass(frozen=True, eq=False)
class Table:
    """Table with the information needed to locate its rows in a file."""

    frame: pd.DataFrame
    path: Path | str
    columns: Columns
    separator: str | None = None  # None if the file is not a text file
    skipped: int = 0  # number of lines before the column names

    def find(self, names: tuple[str, ...]) -> str | None:
        """Return the first column with one of the names, or None."""
        columns = by_lower_case(self.frame.columns)
        return next((columns[name] for name in names if name in columns), None)

    def find_role(self, what: str) -> str | None:
        """Return the column with a role, or None; check that a given column exists."""
        given, names = getattr(self.columns, what), self.columns.names(what)
        if given in self.frame.columns:
            return str(given)
        found = self.find(names)
        if found is None and len(names) == 1:
            raise ValueError(
                f"{self.path} has no {what} column {given!r}. Columns: "
                f"{format_names(self.frame.columns)}."
            )
        return found

    def place(self, row: int) -> str:
        """Return the line or row number of a row, counted from 1, for messages."""
        if self.separator is None:
            return f"row {row + 1}"
        assert isinstance(self.path, Path)
        # Because of blank lines and quoted line breaks, lines differ from rows.
        with open_text(self.path) as file:
            for _ in range(self.skipped):
                next(file)
            start, row = 1, row + 1  # the column names are the first row
            reader = csv.reader(file, delimiter=self.separator, skipinitialspace=True)
            for cells in reader:
                if not is_blank(cells):
                    if row == 0:
                        break
                    row -= 1
                start = reader.line_num + 1
        return f"line {self.skipped + start}"

    def check_no_missing(self, name: str) -> None:
        """Raise an error if a column has empty cells."""
        missing = self.frame[name].isna().to_numpy()
        if missing.any():
            raise ValueError(
                f"{self.path} has an empty cell in column {name!r}, "
                f"{self.place(int(missing.argmax()))}. Fill in the cell, or remove the "
                "column or the row."
            )


def row_names(table: Table, case: str | None) -> list[str] | None:
    name = table.find(INDEX) if case is None else case
    if name is None:
        return None
    return [str(each) for each in table.frame[name]]


def numbers(table: Table, names: list[str]) -> NDArray[np.float64]:
    """Convert columns to numbers; raise an error with the position of invalid cells."""
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
                check_comma(text.iloc[row], cell)
                if row == 0 and table.separator and _is_second_header(table.frame):
                    raise ValueError(
                        f"{cell}, which seems to be a line of units or a second line "
                        "of column names. Remove the line, or pass a data frame "
                        "(pandas.read_csv(..., skiprows=[...]))."
                    )
                key = "recording" if table.columns.recording else "case"
                raise ValueError(
                    f"{cell}, which is not a number. Leave the cell empty if the value "
                    "is missing. If the column is not a channel, set label_column, "
                    f"subject_column or {key}_column (--label-column, ...) to its "
                    "name, or ignore the column (ignore_columns, --ignore)."
                )
            converted[name] = numbers
        if pd.api.types.is_complex_dtype(numbers):
            raise ValueError(
                f"{table.path} has complex numbers in column {name!r}. Use the real "
                "and imaginary parts as two columns."
            )
        # Not abs, which is negative for the smallest int64.
        huge = (numbers > MAX_INTEGER) | (numbers < -MAX_INTEGER)
        huge = huge.fillna(False).to_numpy(bool)
        if huge.any():
            is_integer = column.astype(str).str.fullmatch(r"\s*[-+]?\d+\s*")
            huge = huge & is_integer.to_numpy(bool)
            if huge.any():
                row = int(huge.argmax())
                raise ValueError(
                    f"{table.path} has {column.iloc[row]} in column {name!r}, "
                    f"{table.place(row)}, but float64 rounds integers beyond 2**53. "
                    "Subtract an offset, set time_column if the column contains times, "
                    "or ignore the column (ignore_columns, --ignore)."
                )
    values = frame.assign(**converted).to_numpy(np.float64, na_value=np.nan)
    return cast(NDArray[np.float64], values)


def _is_second_header(frame: pd.DataFrame) -> bool:
    """Return whether the second row contains numbers but the first row does not."""
    rows = [pd.to_numeric(frame.iloc[i], errors="coerce") for i in (0, 1)[: len(frame)]]
    return len(rows) == 2 and bool(rows[0].isna().all() and rows[1].notna().any())


def check_comma(text: str, cell: str) -> None:
    """Raise an error if a cell is a number that contains a comma."""
    if _COMMA.fullmatch(text):
        raise ValueError(
            f"{cell}, which is a number with a comma. Write numbers with a decimal "
            "point and without thousands separators, or pass a data frame "
            "(pandas.read_csv(..., decimal=',', thousands='.'))."
        )


def by_lower_case(columns: Any) -> dict[str, str]:
    """Return a dict that maps each lower-case name to the first column of this name."""
    return {name.lower(): name for name in reversed(list(columns))}


def to_frame(source: Any) -> pd.DataFrame | None:
    """Convert a pandas, polars or Arrow table to a data frame, or return None."""
    if isinstance(source, pd.DataFrame):
        return source
    if isinstance(source, type | pd.Series):
        return None
    if hasattr(source, "collect") and hasattr(source, "lazy"):  # of polars
        source = source.collect()
    try:
        if hasattr(source, "to_pandas"):
            source = source.to_pandas()
        elif hasattr(source, "__arrow_c_stream__"):
            import pyarrow as pa

            source = pa.table(source).to_pandas()
    except ImportError as error:
        raise ImportError(
            f"A table of type {type(source).__name__} requires pyarrow. Install it "
            "with `pip install pyarrow`, or pass a pandas data frame."
        ) from error
    return source if isinstance(source, pd.DataFrame) else None


def as_file(source: Any, others: str) -> Path:
    """Return the path of a file, after checking that it exists."""
    if not isinstance(source, str | os.PathLike):
        raise TypeError(
            f"source must be a path (str or pathlib.Path){others}, got "
            f"{type(source).__name__}."
        )
    path = check_path(source)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, not a file.")
    if not path.is_file():
        raise FileNotFoundError(f"The file {path} does not exist.")
    return path


def as_table(frame: pd.DataFrame, name: Path | str, columns: Columns) -> Table:
    """Convert a data frame to a table, with its index as columns."""
    if frame.columns.nlevels > 1:
        raise ValueError(
            f"{name} has a column index with {frame.columns.nlevels} levels. Use one "
            "row per case and timepoint (DataFrame.stack), or column names such as "
            "acc_x_0."
        )
    # The index of sktime's panels contains cases and times.
    if not isinstance(frame.index, pd.RangeIndex) or frame.index.name:
        frame = frame.reset_index(allow_duplicates=True)
    frame = frame.set_axis([str(each) for each in frame.columns], axis=1)
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise ValueError(
            f"{name} has more than one column named {twice[0]!r}. The names of "
            "columns and index levels must be unique."
        )
    return Table(frame, name, columns)


def is_blank(cells: list[str]) -> bool:
    """Return whether pandas skips a line."""
    return not cells or (len(cells) == 1 and not cells[0].strip())


def open_text(path: Path) -> TextIO:
    if is_gzip(path):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def is_gzip(path: Path) -> bool:
    return path.suffix.lower() == ".gz"
