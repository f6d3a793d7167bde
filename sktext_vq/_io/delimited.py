"""Functions to read tables from delimited text and parquet files."""

from __future__ import annotations

import csv
import gzip
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pandas as pd

from sktext_vq._io.table import (
    CHANNEL,
    MISSING,
    UNNAMED,
    Columns,
    Table,
    as_table,
    by_lower_case,
    is_blank,
    is_gzip,
    open_text,
)
from sktext_vq._io.ts import SAVE_AS_UTF_8, fault_of_text

_TEXT_TABLES = (".csv", ".tsv", ".txt")
_BLOCK = 1 << 20  # bytes


def read_table(path: Path, columns: Columns) -> Table | None:
    """Read a text or parquet file; return None if it has a different extension."""
    extension = path.suffix.lower()
    if extension == ".parquet":
        return _read_parquet(path, columns)
    if is_gzip(path):
        extension = path.with_suffix("").suffix.lower()
    return _read_text(path, columns) if extension in _TEXT_TABLES else None


def _read_parquet(path: Path, columns: Columns) -> Table:
    try:
        with convert_errors(path, "a parquet file"):
            frame = pd.read_parquet(path)
    except ImportError as error:
        raise pyarrow_error(path) from error
    return as_table(frame, path, columns)


def pyarrow_error(path: Path) -> ImportError:
    return ImportError(
        f"{path} is a parquet file, which requires pyarrow. Install it with `pip "
        "install pyarrow`, or use a .csv file."
    )


def _read_text(path: Path, columns: Columns) -> Table:
    _check_text(path)
    separator, names, skipped = _read_names(path)
    as_is = columns.text
    if "value" in by_lower_case(names):
        as_is |= {*CHANNEL}
    words = {name for name in names if name.lower() in as_is}
    with convert_errors(path, "a table"), warnings.catch_warnings():
        # pandas drops cells in columns without a name.
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
            # Cases and labels are text: 01 and 1 are different.
            dtype=dict.fromkeys(words, str),
            keep_default_na=False,
            na_values={name: [""] if name in words else MISSING for name in names},
            # Parse numbers without rounding errors.
            float_precision="round_trip",
            low_memory=False,
        )
    for number, name in enumerate(names, start=1):
        if name.startswith(UNNAMED):
            # Separators at the ends of lines add an empty column.
            if frame[name].notna().any():
                raise ValueError(f"Column {number} of {path} has no name.")
            frame = frame.drop(columns=name)
    table = Table(frame, path, columns, separator, skipped)
    _check_comments(table)
    return table


def _check_comments(table: Table) -> None:
    """Raise an error if there are comment lines between rows."""
    first = table.frame.iloc[:, 0]
    if pd.api.types.is_numeric_dtype(first) or table.frame.shape[1] < 2:
        return
    starts = first.astype(str).str.startswith("#").to_numpy(bool)
    if starts.any():
        starts = starts & table.frame.iloc[:, 1:].isna().all(axis=1).to_numpy()
    if starts.any():
        raise ValueError(
            f"{table.path} has a comment between rows, in "
            f"{table.place(int(starts.argmax()))}. Remove the line."
        )


def _check_text(path: Path) -> None:
    fault, number = None, 1
    opened = gzip.open(path) if is_gzip(path) else path.open("rb")
    with convert_errors(path, "a table"), opened as file:
        while not fault and (lines := file.readlines(_BLOCK)):
            if fault_of_text(b"".join(lines)):
                faults = map(fault_of_text, lines)
                i, fault = next(each for each in enumerate(faults) if each[1])
                number += i
            else:
                number += len(lines)
    if fault:
        raise ValueError(f"{path} has {fault} in line {number}. {SAVE_AS_UTF_8}")


def _read_names(path: Path) -> tuple[str, list[str], int]:
    """Return the separator, the column names, and the number of lines to skip."""
    with convert_errors(path, "a table"), open_text(path) as file:
        separator, skipped = _read_head(file)
        file.seek(0)
        for _ in range(skipped):
            next(file)
        reader = csv.reader(file, delimiter=separator, skipinitialspace=True)
        names = next((cells for cells in reader if not is_blank(cells)), [])
    if not names:
        raise ValueError(f"{path} is empty.")
    names = [name.strip() for name in names]
    names[0] = names[0].removeprefix("# ")  # written by numpy.savetxt
    for i, name in enumerate(names):
        if not name and i:
            names[i] = f"{UNNAMED}{i}"
        elif name in names[:i]:
            raise ValueError(
                f"{path} has more than one column named {name!r}. Use unique column "
                f"names in the first line. {NO_NAMES}"
            )
    return separator, names, skipped


def _read_head(file: TextIO) -> tuple[str, int]:
    """Return the separator and the number of lines before the column names.

    Lines before the column names are comments, or ``sep=;``, as written by spreadsheet
    programs.
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
                n_cells = len(line.split())
                if separator not in line and len(next(file, "").split()) == n_cells > 1:
                    separator = " "
            # The last comment contains the column names if it has the same number of
            # cells as the first row.
            if comment and 0 < comment.count(separator) == line.count(separator):
                skipped = before
            break
    return separator or ",", skipped


NO_NAMES = (
    "If the file has no column names, or has other lines before them, pass a data "
    "frame: pandas.read_csv(path, header=None, names=[...], skiprows=...)."
)
_MORE_CELLS = (
    "Column names must be in the first line, and numbers must have a decimal point "
    f"if commas separate the cells. {NO_NAMES}"
)


@contextmanager
def convert_errors(path: Path, kind: str) -> Iterator[None]:
    """Convert errors in the enclosed code to a ValueError with the path of the file."""
    try:
        yield
    except pd.errors.ParserWarning as error:
        raise ValueError(
            f"{path} has rows with more cells than there are column names in the first "
            f"line. Name all columns. {_MORE_CELLS}"
        ) from error
    except pd.errors.ParserError as error:
        raise ValueError(
            f"{path} is damaged or is not {kind}: {error}. {_MORE_CELLS}"
        ) from error
    except ImportError:
        raise
    except Exception as error:  # from zipfile, zlib, struct, pyarrow, csv, ...
        # Errors of the operating system already contain the path.
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise ValueError(f"{path} is damaged or is not {kind}: {error}") from error
