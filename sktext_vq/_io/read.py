"""Panels of series from single files, and tables to files."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sktext_vq._io.delimited import (
    blame,
    needs_pyarrow,
    read_parquet,
    read_text,
)
from sktext_vq._io.forms import from_table
from sktext_vq._io.table import Columns, Recordings, as_table, is_gzip, to_frame
from sktext_vq._utils.files import check_path, check_target, replace_file
from sktext_vq.datasets import about_cases, read_ts

__all__ = ["read_recordings", "write_table"]

_TEXT_TABLES = (".csv", ".tsv", ".txt")
_ENDINGS = ".npz, .npy, .ts, .csv, .tsv, .txt (these three also with .gz), .parquet"


def read_recordings(
    source: str | os.PathLike[str] | pd.DataFrame | Any,
    *,
    part: str | None = None,
    label_column: str | None = None,
    case_column: str | None = None,
    time_column: str | None = None,
    subject_column: str | None = None,
    ignore_columns: Sequence[str] = (),
) -> Recordings:
    r"""Read a panel of series from a file or a data frame.

    Parameters
    ----------
    source : path-like or DataFrame
        File to read, whose ending tells what it is, or a table; see the notes. A table
        is a data frame of pandas, or one that converts to it: of polars, or an Arrow
        table.
    part : {"train", "test"}, optional
        What to take of an ``.npz`` file in two parts. Only needed if it has both.
    label_column, case_column, time_column, subject_column : str, optional
        Columns of a table that have the classes, that tell which rows belong to one
        recording, when they were recorded, and from whom; if they have none of the
        usual names, which are listed below.
    ignore_columns : sequence of str, default=()
        Columns of a table to leave out.

    Returns
    -------
    Recordings
        Series, labels, and what is known of subjects, channels and cases.

    Raises
    ------
    ValueError
        If the file is damaged, of another format, or not what it should be.
    TypeError
        If `source` is neither, or a column is not named by a str.
    OSError
        If there is no such file, or it cannot be opened.
    ImportError
        If it is a parquet file, or a table that converts by pyarrow, and pyarrow is
        not installed.

    Warns
    -----
    UserWarning
        If a channel of a long table looks like a person, a class or a time, if times
        go back from row to row, or if they are not evenly spaced, as at a pause.

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
      if their names are numbers or times, else of the channel before
      the last ``_`` or ``.``, as in ``acc_x_0, acc_x_1, ..., acc_y_0``, sorted by
      number. ``case`` may be there as a name.

    The sampling rate is told by times that are dates or have a name such as ``time_s``
    or ``seconds``, where they are regular.

    Any form may have ``label`` and ``subject``, which are the same in all rows of a
    case. Rows are sorted by time within a case, or keep their order where there is no
    time. Cases and channels are in the order in which they first appear. Empty cells
    are missing values, and so are ``NA``, ``NaN``, ``null`` or ``?`` among numbers.

    Labels, subjects and names of cases are the text of the file, so that ``01`` and
    ``1``, or ``1E1`` and ``10``, are different. If all labels of a file are integers
    as Python writes them, ``y`` has integers, and subjects alike. Channels are numbers
    with a decimal point; integers beyond 2**53 raise an error, as float64 would round
    them.

    Times are numbers, dates with the year first, or times of day or durations such as
    ``23:59:59.5``. Times of day that pass midnight belong to the next day. All
    timepoints of a case are taken as evenly spaced.

    Text files are UTF-8. Comments before the names of columns, which start with ``#``,
    and a line such as ``sep=;`` are skipped.

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
    >>> import io
    >>> import pandas as pd
    >>> from sktext_vq.recordings import read_recordings
    >>> table = pd.read_csv(io.StringIO('''\
    ... take,time_s,acc_x,activity
    ... a,0.0,1.5,up
    ... a,0.1,,up
    ... b,0.0,3,down
    ... '''))
    >>> found = read_recordings(
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
    if not isinstance(source, str | os.PathLike):
        raise TypeError(
            "source must be a path (str or pathlib.Path) or a data frame, got "
            f"{type(source).__name__}."
        )
    path = check_path(source)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder. Give a file of series.")
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    return _read_file(path, part, columns)


def _read_file(path: Path, part: str | None, columns: Columns) -> Recordings:
    """Read a file by the reader of its extension."""
    ending = path.suffix.lower()
    if ending == ".npz":
        return _from_npz(path, part)
    if ending == ".npy":
        return _from_npy(path)
    if ending == ".ts":
        return Recordings(*read_ts(path))
    if ending == ".parquet":
        return from_table(read_parquet(path, columns))
    if is_gzip(path):
        ending = path.with_suffix("").suffix.lower()
    if ending in _TEXT_TABLES:
        return from_table(read_text(path, columns))
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
        raise needs_pyarrow(path) from error
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
        with blame(path, "an .npz file without pickled objects"):
            file = np.load(opened, allow_pickle=False)
        if isinstance(file, np.ndarray):
            raise ValueError(f"{path} is a single array: end its name in .npy.")
        end = _end_of_names(file.files, part, path)

        def find(*names: str) -> NDArray[Any] | None:
            with blame(path, "an .npz file without pickled objects"):
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
        about_cases(y, "y", len(X), path),
        about_cases(groups, "subject or groups", len(X), path),
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
    with blame(path, "an .npy file without pickled objects"):
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
