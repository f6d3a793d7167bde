"""Conversion of pandas data frames to arrays, without importing pandas."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def float_dtype(dtype: Any) -> type[np.floating[Any]]:
    """Return the float dtype, in native byte order, for a numeric dtype."""
    is_small = dtype.kind == "f" and getattr(dtype, "itemsize", 8) <= 4
    return np.float32 if is_small else np.float64


def is_frame(X: Any) -> bool:
    """Return whether X is a pandas DataFrame, without importing pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(X, pandas.DataFrame)


def as_frames(X: Any) -> list[Any] | None:
    """Return one data frame per case, or None if X has a different format."""
    if isinstance(X, list | tuple) and len(X) > 0 and all(map(is_frame, X)):
        return list(X)
    if not is_frame(X) or 0 in X.shape:
        return None
    if getattr(X.iloc[0, 0], "ndim", 0) == 1:
        return _from_nested(X)
    return None


def split_frame(frame: Any) -> tuple[NDArray[Any], list[Any]]:
    """Split a data frame with index levels (case, time) by case."""
    if frame.index.nlevels > 2:
        raise ValueError(
            f"The index of X has {frame.index.nlevels} levels. A data frame of series "
            "must have two index levels: case and time."
        )
    if any((codes < 0).any() for codes in frame.index.codes):
        raise ValueError(
            "The index of X contains missing values. Each row requires a case "
            "and a time."
        )
    if frame.index.has_duplicates:
        first = frame.index[frame.index.duplicated()][0]
        raise ValueError(
            f"X has several rows for case {first[0]!r} at time {first[1]!r}. Use a "
            "separate case for each recording."
        )
    codes, cases = frame.index.get_level_values(0).factorize()
    times, _ = _numbers(frame.index.get_level_values(1)).factorize(sort=True)
    frame = frame.iloc[np.lexsort((times, codes))]
    ends = np.bincount(codes).cumsum()
    found = [frame.iloc[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    return np.asarray(cases), found


def _numbers(times: Any) -> Any:
    """Convert text to numbers or dates; text would be sorted as 0, 1, 10, 11, 2."""
    if times.inferred_type != "string":
        return times
    pandas = sys.modules["pandas"]
    found = pandas.to_numeric(times, errors="coerce")
    if found.isna().any():
        text = times[found.isna()][0]
        found = pandas.to_datetime(times, errors="coerce", format="ISO8601", utc=True)
    if found.isna().any():
        raise ValueError(
            f"The index of X has the time {text!r}, which is text. Convert the index "
            "level of times to numbers or dates."
        )
    return found


def _from_nested(X: Any) -> list[Any]:
    """Convert sktime's nested data frame to one data frame per case."""
    pandas = sys.modules["pandas"]
    for (case, channel), cell in np.ndenumerate(X.to_numpy()):
        if getattr(cell, "ndim", 0) != 1:
            raise TypeError(
                "X is a nested data frame (sktime's 'nested_univ'), but the cell of "
                f"case {case}, channel {channel} (counted from 0) has type "
                f"{type(cell).__name__}. All cells must be one-dimensional series."
            )
    return [
        pandas.concat(map(pandas.Series, row), axis=1, keys=X.columns)
        for row in X.itertuples(index=False, name=None)
    ]


def channel_names(frames: list[Any]) -> tuple[str, ...] | None:
    """Return the channel names after checking that all cases have the same columns."""
    columns = list(frames[0].columns)
    for case, frame in enumerate(frames):
        # A different order of the channels would not be detected later.
        if list(frame.columns) != columns:
            raise ValueError(
                f"X has cases with different channels: case {case} has columns "
                f"{list(frame.columns)} and case 0 has {columns}. All cases must have "
                "the same columns in the same order."
            )
    named = all(isinstance(name, str) for name in columns)
    return tuple(columns) if named and len(set(columns)) == len(columns) else None


def check_columns(frame: Any) -> None:
    """Check that a data frame has numeric columns and no MultiIndex columns."""
    if frame.columns.nlevels > 1:
        raise ValueError(
            f"X has columns with {frame.columns.nlevels} levels, "
            f"{list(frame.columns.names)}. Use one row per case and time and one "
            "column per channel: move the level that contains times to the index with "
            "X.stack(level)."
        )
    for name, dtype in zip(frame.columns, frame.dtypes, strict=True):
        if dtype.kind not in "biufcO":
            raise ValueError(
                f"Column {name!r} of X has dtype {dtype}, which is not numeric. "
                "Convert the column to numbers or remove it."
            )


def frame_to_numpy(frame: Any) -> NDArray[Any]:
    """Convert a data frame to an array without rounding."""
    dtypes = list(frame.dtypes)
    plain = [isinstance(dtype, np.dtype) and dtype.kind != "O" for dtype in dtypes]
    if not dtypes or (all(plain) and len(set(dtypes)) == 1):
        array: NDArray[Any] = frame.to_numpy()
        return array
    return pandas_to_numpy(frame, dtypes)


def pandas_to_numpy(values: Any, dtypes: Sequence[Any]) -> NDArray[Any]:
    """Convert pandas values to an array without rounding; NA is converted to NaN."""
    dtype: Any = object
    if all(getattr(dtype, "kind", "O") in "bf" for dtype in dtypes):
        dtype = np.result_type(*{float_dtype(dtype) for dtype in dtypes})
    array: NDArray[Any] = values.to_numpy(dtype=dtype, na_value=np.nan)
    return array
