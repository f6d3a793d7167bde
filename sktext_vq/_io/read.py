"""Functions to read series from files and to write tables."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sktext_vq._io.arrays import read_npy, read_npz
from sktext_vq._io.delimited import pyarrow_error, read_table
from sktext_vq._io.forms import from_table
from sktext_vq._io.table import Columns, LabelledPanel, as_file, as_table, to_frame
from sktext_vq._io.ts import read_arff, read_ts
from sktext_vq._utils.files import check_target, replace_file

__all__ = ["read_panel", "write_table"]

_EXTENSIONS = (
    ".npz, .npy, .ts, .arff, .csv, .tsv, .txt (these three also with .gz), .parquet"
)


def read_panel(
    source: str | os.PathLike[str] | pd.DataFrame | Any,
    *,
    part: str | None = None,
    label_column: str | None = None,
    case_column: str | None = None,
    time_column: str | None = None,
    subject_column: str | None = None,
    ignore_columns: Sequence[str] = (),
) -> LabelledPanel:
    r"""Read series from a file or a data frame.

    Parameters
    ----------
    source : path-like or DataFrame
        File to read, or a table (a pandas or polars data frame, or an Arrow table). The
        format of a file is determined by its extension; see the Notes.
    part : {"train", "test"}, optional
        Part of an ``.npz`` file to read. Required if the file has both parts.
    label_column, case_column, time_column, subject_column : str, optional
        Names of the columns of a table that contain the class label, the case, the
        time and the subject of each row. By default, columns with one of the names
        listed in the Notes are used.
    ignore_columns : sequence of str, default=()
        Columns of a table to ignore.

    Returns
    -------
    LabelledPanel
        Series, labels and metadata.

    Raises
    ------
    ValueError
        If the file is damaged, has an unsupported extension, or has invalid content.
    TypeError
        If `source` is not a path or table, or a column name is not a string.
    OSError
        If the file does not exist or cannot be opened.
    ImportError
        If pyarrow is required to read `source` but is not installed.

    Warns
    -----
    UserWarning
        If a channel of a long table looks like a subject, label or time, or if times
        decrease within a case or are unevenly spaced.

    Notes
    -----
    ``.npz`` files contain an array ``X`` and optionally ``y`` and ``subject`` or
    ``groups``, or arrays of these names with the suffixes ``_train`` and ``_test``.
    ``channel_names`` and ``sampling_rate`` (or ``sampling_rate_hz``) are optional.
    ``.npy`` files contain ``X`` and are memory-mapped. Files with pickled objects raise
    an error.

    ``.ts`` and ``.arff`` are formats of the UEA and UCR archives.

    ``.csv``, ``.tsv``, ``.txt`` (separated by commas, semicolons, tabs or spaces; also
    compressed, as ``.csv.gz``) and ``.parquet`` files are tables. The columns of a
    table determine its form:

    - *tidy*, one row per value, if there are columns ``case``, ``channel`` and
      ``value``. ``time`` is optional; other columns are ignored;
    - *long*, one row per case and timepoint, if there is a column ``case`` with
      repeated values. ``time`` is optional; other columns are channels;
    - *wide*, one row per case, otherwise. ``case`` is optional; other columns are
      timepoints. If all names are numbers or times, there is one channel. In names such
      as ``acc_x_0, acc_x_1, ..., acc_y_0``, the channel precedes the last ``_`` or
      ``.``, and columns are sorted by number.

    If times are regular, the sampling rate is computed from dates, or from numbers in a
    column with a name such as ``time_s`` or ``seconds``.

    Columns ``label`` and ``subject`` are optional and must be constant within a case.
    Rows of a case are sorted by time, if there is a time column. Cases and channels are
    in order of first appearance. Empty cells are missing values. In numeric columns,
    ``NA``, ``NaN``, ``null`` and ``?`` are also missing values.

    Labels, subjects and cases are read as text, so ``01`` and ``1`` are different. If
    all labels of a file are integers without leading zeros, ``y`` has an integer dtype;
    the same holds for subjects. Values of channels are numbers with a decimal point.
    Integers beyond 2**53, which float64 would round, raise an error.

    Times are numbers, dates with the year first, times of day, or durations such as
    ``23:59:59.5``. Times of day after midnight are assigned to the next day. Timepoints
    of a case are assumed to be evenly spaced.

    Text files must be UTF-8. Comments, which start with ``#``, and a line such as
    ``sep=;`` before the column names are skipped.

    Column names are not case-sensitive. From each of the following lists, the first
    name that occurs in the table is used; columns with the other names are ignored:

    - ``case``, ``case_id``, ``instance``, ``instances``;
    - ``channel``, ``channel_id``, ``dim_id``;
    - ``time``, ``timepoint``, ``timepoints``, ``timestamp``, ``reading_id``;
    - ``label``, ``class``, ``target``;
    - ``subject``, ``subject_id``, ``group``, ``groups``.

    A column named ``index``, or a first column without a name, contains row names.

    Examples
    --------
    >>> import io
    >>> import pandas as pd
    >>> from sktext_vq.recordings import read_panel
    >>> table = pd.read_csv(io.StringIO('''\
    ... take,time_s,acc_x,activity
    ... a,0.0,1.5,up
    ... a,0.1,,up
    ... b,0.0,3,down
    ... '''))
    >>> found = read_panel(
    ...     table,
    ...     case_column="take",
    ...     time_column="time_s",
    ...     label_column="activity",
    ... )
    >>> found.X
    [array([[1.5, nan]]), array([[3.]])]
    >>> found.y.tolist(), found.channel_names, found.sampling_rate
    (['up', 'down'], ('acc_x',), 10.0)
    """
    if part not in (None, "train", "test"):
        raise ValueError(f"part must be 'train', 'test' or None, got {part!r}.")
    columns = Columns(
        label_column, case_column, time_column, subject_column, ignore_columns
    )
    frame = to_frame(source)
    if frame is not None:
        return from_table(as_table(frame, "The table", columns))
    path = as_file(source, " or a data frame")
    extension = path.suffix.lower()
    if extension == ".npz":
        return read_npz(path, part)
    if extension == ".npy":
        return read_npy(path)
    if extension in (".ts", ".arff"):
        return LabelledPanel(*(read_ts if extension == ".ts" else read_arff)(path))
    table = read_table(path, columns)
    if table is None:
        raise ValueError(
            f"{path} has an unsupported file extension {extension!r}. Supported "
            f"extensions: {_EXTENSIONS}."
        )
    return from_table(table)


def write_table(table: pd.DataFrame, path: str | os.PathLike[str]) -> Path:
    """Write a table to a ``.csv`` or ``.parquet`` file, replacing an existing file."""
    path = check_target(path)
    extension = check_extension(path)
    if extension == ".csv":
        text = table.to_csv(index=False, lineterminator="\n")
        # Labels may contain unpaired surrogates, which UTF-8 cannot encode.
        return replace_file(path, text.encode("utf-8", "replace"))
    buffer = io.BytesIO()
    try:
        table.to_parquet(buffer, index=False)
    except ImportError as error:
        raise pyarrow_error(path) from error
    return replace_file(path, buffer.getvalue())


def check_extension(path: Path) -> str:
    """Check and return the extension of a table to write."""
    extension = path.suffix.lower()
    if extension not in (".csv", ".parquet"):
        raise ValueError(f"{path} must have the extension .csv or .parquet.")
    return extension
