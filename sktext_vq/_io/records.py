"""Functions to read numbers and sensor records from files without column names."""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sktext_vq._io.delimited import convert_errors
from sktext_vq._utils.validation import find_stack_level

_RECORD = re.compile(
    rb"\s*\d+\s*,\s*[^,;\s][^,;]*,\s*\d+(\s*,\s*[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?){3}"
    rb"[\s,]*",
    re.IGNORECASE,
)


def read_records(path: Path) -> pd.DataFrame:
    """Read records of the form ``user,activity,time,x,y,z;``.

    A line may contain several records. Invalid records, and records with time 0, are
    dropped with a warning.
    """
    data = path.read_bytes()
    try:
        frame = _parse_records(data.replace(b";", b""))
        is_whole = not frame.isna().any(axis=None)
    except (ValueError, pd.errors.ParserError):
        is_whole = False
    if not is_whole:
        records = [each.strip(b" \t\r,") for each in re.split(b"[;\n]", data)]
        records = [each for each in records if each]
        whole = [each for each in records if _RECORD.fullmatch(each)]
        place = ""
        if len(whole) < len(records):
            lines = enumerate(data.split(b"\n"), start=1)
            place = f"line {next(i for i, line in lines if _is_damaged(line))}"
            n_damaged = len(records) - len(whole)
            what = f"{n_damaged} incomplete or invalid records, the first in {place}"
            _warn(f"{path} has {what}")
        if not whole:
            raise ValueError(
                f"{path} has no records of the form 'user,activity,timestamp,x,y,z;'."
                + (f" The first invalid record is in {place}." if place else "")
            )
        frame = _parse_records(b"\n".join(whole))
    n_zero = int((frame["time"] == 0).sum())
    if n_zero:
        _warn(f"{path} has {n_zero} records with time 0")
    return frame[frame["time"] != 0].reset_index(drop=True)


def _parse_records(data: bytes) -> pd.DataFrame:
    kinds = {"user": np.int64, "activity": "category", "time": np.int64}
    kinds |= dict.fromkeys("xyz", np.float64)
    return pd.read_csv(
        io.BytesIO(data),
        header=None,
        names=list(kinds),
        dtype=kinds,
        index_col=False,
        skipinitialspace=True,
        float_precision="round_trip",
    )


def _is_damaged(line: bytes) -> bool:
    records = [each.strip(b" \t\r,") for each in line.split(b";")]
    return any(each and not _RECORD.fullmatch(each) for each in records)


def _warn(what: str) -> None:
    warnings.warn(f"{what}. These records are dropped.", stacklevel=find_stack_level())


def read_numbers(
    path: Path, separator: str, n_columns: int = 0, chosen: list[int] | None = None
) -> NDArray[np.float64]:
    """Read columns of a file that contains only numbers."""
    with convert_errors(path, "a table of numbers"):
        data = path.read_bytes()
    n_columns = n_columns or len(data.partition(b"\n")[0].split())
    try:
        cells = pd.read_csv(
            io.BytesIO(data),
            sep=separator,
            header=None,
            names=range(n_columns),
            usecols=chosen,
            dtype=np.float64,
            index_col=False,
            skipinitialspace=True,
            float_precision="round_trip",
        ).to_numpy()
    except (ValueError, pd.errors.ParserError):
        cells = None
    n_separators = data.count(separator.encode())
    if cells is None or n_separators != (n_columns - 1) * len(cells):
        _check_lines(path, data, n_columns)
    if cells is None or not len(cells):
        raise ValueError(f"{path} has no rows of {n_columns} numbers.")
    return cells


def _check_lines(path: Path, data: bytes, n_columns: int) -> None:
    """Check that each line contains only numbers and has `n_columns` columns."""
    for number, line in enumerate(data.split(b"\n"), start=1):
        cells = line.split()
        try:
            [float(cell) for cell in cells]
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}.") from error
        if cells and len(cells) != n_columns:
            raise ValueError(
                f"{path} has {len(cells)} columns in line {number} instead of "
                f"{n_columns}."
            )
