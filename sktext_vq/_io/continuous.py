"""Functions to read recordings from tables with one row per timepoint."""

from __future__ import annotations

import os
import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sktext_vq._io.delimited import NO_NAMES, read_table
from sktext_vq._io.forms import (
    order_times,
    plain_column,
    split_timepoint,
    value_columns,
    warn_of_columns,
    without_ignored,
)
from sktext_vq._io.joining import concatenate, with_metadata
from sktext_vq._io.ordering import drop_repeated, number_recordings, sort_rows
from sktext_vq._io.recordings import Recordings
from sktext_vq._io.search import number_key, public_set
from sktext_vq._io.stretches import usual_step
from sktext_vq._io.table import (
    CHANNEL,
    RECORDING,
    Columns,
    Table,
    as_file,
    as_table,
    numbers,
    to_frame,
)
from sktext_vq._io.times import UNITS, Times, find_times, read_times, warn_of_unit
from sktext_vq._utils.files import check_path
from sktext_vq._utils.validation import (
    check_sampling_rate,
    format_names,
)

__all__ = ["read_recordings"]

_OF_PANELS = (".npz", ".npy", ".ts", ".arff")
# Minimum number of timepoints per channel in column names of a table of windows.
_MANY_TIMEPOINTS = 8


def read_recordings(
    source: Any,
    *,
    recording_column: str | Sequence[str] | None = None,
    time_column: str | None = None,
    label_column: str | None = None,
    subject_column: str | None = None,
    ignore_columns: Sequence[str] = (),
    pattern: str | None = None,
    time_unit: str | None = None,
    sampling_rate: float | None = None,
) -> Recordings:
    r"""Read continuous recordings from files or data frames.

    Parameters
    ----------
    source : path-like, DataFrame, or list of these
        File, folder of files, or table (a pandas or polars data frame, or an Arrow
        table). Supported formats are ``.csv``, ``.tsv`` and ``.txt``, which may be
        compressed (``.csv.gz``), and ``.parquet``. A table has one row per timepoint
        and one column per channel.
    recording_column : str or list of str, optional
        Columns that identify the recording of each row, such as a session or device.
        By default, all columns with one of the names listed in the Notes are used. Rows
        of different subjects always belong to different recordings.
    time_column, label_column, subject_column : str, optional
        Names of the columns that contain the time, the class label and the subject of
        each row. By default, columns with one of the names listed in the Notes are
        used.
    ignore_columns : sequence of str, default=()
        Columns to ignore.
    pattern : str, optional
        Pattern of the paths in a folder, with the placeholders ``{label}``,
        ``{subject}`` and ``{recording}``, such as ``"{label}/person_{subject}.csv"``.
        Files with other paths are not read. Other fields, such as ``{trial}``, become
        part of the name of the recording.
    time_unit : {"s", "ms", "us", "ns"}, optional
        Unit of numeric times. By default, the unit is derived from a column name such
        as ``time_s``, or from the values if they are times since 1970.
    sampling_rate : float, optional
        Sampling rate in Hz of recordings without times.

    Returns
    -------
    Recordings
        Recordings in order of first appearance, sorted by time.

    Raises
    ------
    ValueError
        If a file is damaged or has an unsupported extension or invalid content, or if
        the table has one row per window; see `read_panel`.
    TypeError
        If `source` is not a path or table, or a column name is not a string.
    OSError
        If a file does not exist or cannot be opened.
    ImportError
        If pyarrow is required to read `source` but is not installed.

    Warns
    -----
    UserWarning
        If rows are sorted, divided into recordings or dropped because of their times,
        or if a channel looks like a subject, label or time.

    See Also
    --------
    read_panel : Read tables with one case per window.

    Notes
    -----
    Column names are not case-sensitive:

    - ``recording``, ``recording_id``, ``session``, ``session_id``, ``trial``,
      ``trial_id``, ``device``, ``device_id``, ``case``, ``case_id``;
    - ``time``, ``timepoint``, ``timepoints``, ``timestamp``, or a name with a unit such
      as ``time_s``, ``timestamp (ms)`` or ``seconds_elapsed``;
    - ``label``, ``class``, ``target``;
    - ``subject``, ``subject_id``, ``group``, ``groups``.

    A column named ``index``, or a first column without a name, contains row names. All
    other columns are channels.

    Times are numbers, dates with the year first, times of day, or durations such as
    ``23:59:59.5``. Times may be irregular; gaps are detected when windows are cut.
    Times with a time zone are converted to UTC. Times of day after midnight are
    assigned to the next day. Unsorted rows are sorted by time; if times decrease in
    only a few rows and overlap with earlier times, the rows before and after become
    separate recordings. Rows with the same time as an earlier row are dropped if they
    make up at most 1 % of all rows; otherwise, an error is raised.

    Labels and subjects are text, or integers if all of them are integers without
    leading zeros. Timepoints with an empty label are unlabelled, and empty cells of
    channels are missing values. See `read_panel` for the format of text files.

    Examples
    --------
    >>> import io
    >>> import pandas as pd
    >>> from sktext_vq.recordings import read_recordings
    >>> table = pd.read_csv(io.StringIO('''\
    ... timestamp,watch,acc_x,activity
    ... 2025-05-05 07:00:00.0,left,1.5,up
    ... 2025-05-05 07:00:00.1,left,1.6,up
    ... 2025-05-05 07:00:00.0,right,3,down
    ... '''))
    >>> recordings = read_recordings(
    ...     table, recording_column="watch", label_column="activity"
    ... )
    >>> recordings.names, recordings.channel_names, recordings.sampling_rate
    (['left', 'right'], ('acc_x',), 10.0)
    >>> recordings.values[0], recordings.labels[0].tolist()
    (array([[1.5, 1.6]]), ['up', 'up'])
    """
    if time_unit is not None and time_unit not in UNITS:
        raise ValueError(
            f"time_unit must be one of {', '.join(UNITS)}, or None, got {time_unit!r}."
        )
    check_sampling_rate(sampling_rate)
    columns = Columns(
        label_column,
        None,
        time_column,
        subject_column,
        ignore_columns,
        _recording_names(recording_column),
    )
    reader = _Reader(columns, recording_column is not None, time_unit, sampling_rate)
    try:
        return _read(reader, source, pattern)
    except ValueError as error:
        name = public_set(source) if isinstance(source, str | os.PathLike) else None
        if name is None:
            raise
        raise ValueError(
            f"{error} The file names match the data set {name}. Load it with "
            f"sktext_vq.datasets.load({name!r}, data=...)."
        ) from error


def _read(reader: _Reader, source: Any, pattern: str | None) -> Recordings:
    if isinstance(source, list | tuple):
        if not source:
            raise ValueError("source is an empty list. Pass at least one table.")
        names = [f"table {i}" for i in range(len(source))]
        return concatenate([*map(reader.read, source, names)], names)
    if isinstance(source, str | os.PathLike) and check_path(source).is_dir():
        return reader.read_folder(check_path(source), pattern)
    if pattern is not None:
        raise ValueError("pattern can be used only if source is a folder.")
    return reader.read(source, "recording")


@dataclass(frozen=True)
class _Reader:
    """Reader of tables with given column names."""

    columns: Columns
    is_named: bool  # whether all recording columns must exist
    time_unit: str | None
    sampling_rate: float | None

    def read_folder(self, folder: Path, pattern: str | None) -> Recordings:
        """Read all tables in a folder and its subfolders."""
        paths = sorted(filter(_is_table, folder.rglob("*")), key=number_key)
        if not paths:
            raise ValueError(
                f"The folder {folder} has no .csv, .tsv, .txt or .parquet files."
            )
        expression = None if pattern is None else _compile(pattern)
        names = [path.relative_to(folder).as_posix() for path in paths]
        parts: dict[str, Recordings] = {}
        for path, name in zip(paths, names, strict=True):
            match = None if expression is None else expression.fullmatch(name)
            if expression is None:
                parts[name] = self.read(path, _stem(name))
            elif match is not None:
                part = self.read(path, _stem(name))
                parts[name] = with_metadata(part, match.groupdict())
        if not parts:
            raise ValueError(
                f"No file in {folder} has a path that matches {pattern!r}. Paths: "
                f"{format_names(names)}."
            )
        found = list(parts.values())
        # Names that are given by a pattern need not be unique.
        if expression is not None and "recording" in expression.groupindex:
            return concatenate(found, None)
        stems = Counter(map(_stem, parts))
        return concatenate(
            found, [name if stems[_stem(name)] > 1 else _stem(name) for name in parts]
        )

    def read(self, source: Any, name: str) -> Recordings:
        """Read a file or data frame; a single recording is named `name`."""
        frame = to_frame(source)
        if frame is not None:
            is_time = isinstance(frame.index, pd.DatetimeIndex | pd.TimedeltaIndex)
            if is_time and frame.index.name is None and "time" not in frame.columns:
                frame = frame.rename_axis("time")
            return self._from_table(as_table(frame, "The table", self.columns), name)
        path = as_file(source, ", a data frame or a list of these")
        if path.suffix.lower() in _OF_PANELS:
            raise ValueError(
                f"{path} contains one case per window. Use read_panel or datasets.load."
            )
        found = read_table(path, self.columns)
        if found is None:
            raise ValueError(
                f"{path} has an unsupported file extension {path.suffix!r}. Supported "
                "extensions: .csv, .tsv, .txt (also with .gz), .parquet. For other "
                "files, pass a data frame."
            )
        if name == "recording" or name.startswith("table "):
            name = _stem(path.name)
        return self._from_table(found, name)

    def _from_table(self, table: Table, name: str) -> Recordings:
        """Divide the rows of a table into recordings, sorted by time."""
        table = without_ignored(table)
        if not len(table.frame):
            raise ValueError(f"{table.path} has no rows.")
        label = table.find_role("label")
        rest = replace(table, frame=table.frame.drop(columns=label or []))
        subject, keys = rest.find_role("subject"), self._find_keys(rest)
        time, channels = rest.find_role("time"), value_columns(rest)
        if time is None and (time := find_times(channels)) is not None:
            channels.remove(time)
        if not channels:
            raise ValueError(f"{table.path} has no channels.")
        _check_not_windows(rest, channels, time)
        codes, names = number_recordings(rest, keys, subject, name)
        values = numbers(rest, channels)
        times = self._read_times(rest, time, codes)
        order, codes, names = sort_rows(rest, times, codes, names)
        if times is not None:
            kept = drop_repeated(rest, times, values, order, codes)
            order, codes = order[kept], codes[kept]
        values = values[order]
        warn_of_columns(rest, values, codes, channels)
        borders = np.flatnonzero(np.diff(codes)) + 1
        starts = np.r_[0, borders]
        own_times, unit = self._own_times(times, order, borders)
        labels = None if label is None else _as_categories(table, label)
        subjects = None
        if subject is not None:
            rest.check_no_missing(subject)
            column = rest.frame[subject].iloc[order[starts]]
            subjects = plain_column(column, is_text=rest.separator is not None)
        return Recordings(
            [np.ascontiguousarray(part.T) for part in np.split(values, borders)],
            own_times,
            tuple(channels),
            unit,
            names,
            None
            if labels is None
            else [labels[each] for each in np.split(order, borders)],
            subjects,
        )

    def _find_keys(self, table: Table) -> list[str]:
        found = [table.find((name.lower(),)) for name in self.columns.recording]
        if None in found and self.is_named:
            missing = self.columns.recording[found.index(None)]
            raise ValueError(
                f"{table.path} has no recording column {missing!r}. Columns: "
                f"{format_names(table.frame.columns)}."
            )
        return [column for column in found if column is not None]

    def _read_times(
        self, table: Table, name: str | None, codes: NDArray[np.intp]
    ) -> Times | None:
        if name is None:
            return None
        times = read_times(table, name)
        if self.time_unit is not None and times.dtype is None:
            times = replace(times, seconds=UNITS[self.time_unit])
        else:
            warn_of_unit(times)
        return order_times(table, times, codes, True) if times.is_clock else times

    def _own_times(
        self, times: Times | None, order: NDArray[np.intp], borders: NDArray[np.intp]
    ) -> tuple[list[NDArray[Any]], float | None]:
        """Return the times of each recording and the duration of a unit in seconds."""
        if times is not None:
            values = times.values[order]
            if times.dtype is not None:
                values = values.view(times.dtype)
            unit = times.seconds
            if unit is None and self.sampling_rate is not None:
                # The typical step is one timepoint.
                usual = usual_step(np.split(values, borders))
                unit = 1 / (self.sampling_rate * usual)
            return np.split(values, borders), unit
        lengths = np.diff(np.r_[0, borders, len(order)])
        rate = self.sampling_rate
        if rate is None:
            return [np.arange(length) for length in lengths], None
        return [np.arange(length) / rate for length in lengths], 1.0


def _recording_names(given: Any) -> tuple[str, ...]:
    if given is None:
        return RECORDING
    names = (given,) if isinstance(given, str) else tuple(given)
    if names and all(isinstance(name, str) for name in names):
        return names
    raise TypeError(
        f"recording_column must be a string or a list of strings, got {given!r}."
    )


def _is_table(path: Path) -> bool:
    name = path.name.lower().removesuffix(".gz")
    is_hidden = name.startswith((".", "_"))
    endings = (".csv", ".tsv", ".txt", ".parquet")
    return path.is_file() and not is_hidden and name.endswith(endings)


def _stem(name: str) -> str:
    """Return the name of a file without the extension of a table."""
    return name.removesuffix(".gz").rpartition(".")[0]


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        parts = list(string.Formatter().parse(pattern))
        expression = "".join(
            re.escape(text) + (f"(?P<{field}>[^/]+?)" if field is not None else "")
            for text, field, _, _ in parts
        )
        return re.compile(expression)
    except (ValueError, re.error) as error:
        raise ValueError(
            f"pattern must be a path with fields such as {{subject}}, got {pattern!r}: "
            f"{error}."
        ) from error


def _check_not_windows(table: Table, channels: list[str], time: str | None) -> None:
    """Raise an error if column names look like values or timepoints of windows."""
    names = table.frame.columns
    is_number = pd.to_numeric(names, errors="coerce").notna()
    dates = pd.to_datetime(names, errors="coerce", format="ISO8601", utc=True)
    if set(names[is_number]) <= set(map(str, range(len(names) + 1))):
        dates, is_number = dates[~is_number], np.zeros(len(names), bool)
    if table.separator and (is_number.any() or dates.notna().any()):
        raise ValueError(
            f"{table.path} has values as column names: {format_names(names, 3)}. "
            f"{NO_NAMES}"
        )
    stems = [split_timepoint(name) for name in channels]
    counts = Counter(stem for stem, timepoint in stems if timepoint is not None)
    if time is None and counts and max(counts.values()) >= _MANY_TIMEPOINTS:
        raise ValueError(
            f"{table.path} has columns {format_names(channels, 3)}, which look like "
            "the timepoints of windows. To read a table with one row per window, use "
            "read_panel."
        )
    lower = {name.lower() for name in channels}
    has_ids = not lower.isdisjoint(CHANNEL) or table.find(CHANNEL)
    if lower - {*CHANNEL} == {"value"} and has_ids:
        raise ValueError(
            f"{table.path} has one row per value. Convert the table to one column per "
            "channel (DataFrame.pivot), or use read_panel."
        )


def _as_categories(table: Table, label: str) -> pd.Categorical:
    """Return the label of each row; empty cells are missing."""
    column = table.frame[label]
    if column.isna().all():
        return pd.Categorical([None] * len(column))
    codes, labels = pd.factorize(column)
    found = plain_column(pd.Series(labels, name=label), table.separator is not None)
    return pd.Categorical.from_codes(codes, list(found.tolist()))
