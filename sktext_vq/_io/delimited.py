"""Tables from delimited text and Parquet files, with errors that name the line."""

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
    CASE,
    CHANNEL,
    INDEX,
    MISSING,
    SUBJECT,
    UNNAMED,
    Columns,
    Table,
    as_table,
    by_lower_case,
    is_blank,
    is_gzip,
    open_text,
)
from sktext_vq.datasets import SAVE_AS_UTF_8, fault_of_text


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
    as_is = {*CASE, *columns.names("case"), *INDEX, *columns.names("label")}
    as_is |= {*SUBJECT, *columns.names("subject")}
    if "value" in by_lower_case(names):
        as_is |= {*CHANNEL}
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
            na_values={name: [""] if name in words else MISSING for name in names},
            # The same numbers as in an .npz file, to the last bit.
            float_precision="round_trip",
            low_memory=False,
        )
    for number, name in enumerate(names, start=1):
        if name.startswith(UNNAMED):
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
    with blame(path, "a table"), open_text(path) as file:
        separator, skipped = _read_head(file)
        file.seek(0)
        for _ in range(skipped):
            next(file)
        reader = csv.reader(file, delimiter=separator, skipinitialspace=True)
        names = next((cells for cells in reader if not is_blank(cells)), [])
    if not names:
        raise ValueError(f"{path} is empty.")
    names = [name.strip() for name in names]
    names[0] = names[0].removeprefix("# ")  # as numpy.savetxt writes it
    for i, name in enumerate(names):
        if not name and i:
            names[i] = f"{UNNAMED}{i}"
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
