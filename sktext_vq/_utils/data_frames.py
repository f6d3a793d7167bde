"""Data frames of pandas as arrays, without importing pandas."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def float_dtype(dtype: Any) -> type[np.floating[Any]]:
    """Float type that holds a numeric type; also brings foreign byte order home."""
    is_small = dtype.kind == "f" and getattr(dtype, "itemsize", 8) <= 4
    return np.float32 if is_small else np.float64


def is_frame(X: Any) -> bool:
    """Whether X is a pandas DataFrame, without importing pandas to find out."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(X, pandas.DataFrame)


def as_frames(X: Any) -> list[Any] | None:
    """Return a data frame of channels for each case, if X is made of such."""
    if isinstance(X, list | tuple) and len(X) > 0 and all(map(is_frame, X)):
        return list(X)
    if not is_frame(X) or 0 in X.shape:
        return None
    if getattr(X.iloc[0, 0], "ndim", 0) == 1:
        return _from_nested(X)
    return None


def split_frame(frame: Any) -> tuple[NDArray[Any], list[Any]]:
    """Cut a data frame with levels for cases and times into one for each case."""
    if frame.index.nlevels > 2:
        raise ValueError(
            f"X has an index of {frame.index.nlevels} levels: it needs two, case and "
            "time."
        )
    if any((codes < 0).any() for codes in frame.index.codes):
        raise ValueError("X has rows without case or time in its index.")
    if frame.index.has_duplicates:
        first = frame.index[frame.index.duplicated()][0]
        raise ValueError(
            f"X has case {first[0]!r} at time {first[1]!r} more than once. Give every "
            "recording a case of its own."
        )
    codes, cases = frame.index.get_level_values(0).factorize()
    times, _ = frame.index.get_level_values(1).factorize(sort=True)
    frame = frame.iloc[np.lexsort((times, codes))]
    ends = np.bincount(codes).cumsum()
    found = [frame.iloc[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    return np.asarray(cases), found


def _from_nested(X: Any) -> list[Any]:
    """Turn sktime's data frame, whose cells are series, into a frame for each case."""
    pandas = sys.modules["pandas"]
    for (case, channel), cell in np.ndenumerate(X.to_numpy()):
        if getattr(cell, "ndim", 0) != 1:
            raise TypeError(
                f"X is a data frame of series, as sktime's 'nested_univ', but has a "
                f"{type(cell).__name__} as case {case}, channel {channel} (counted "
                "from 0). Every cell has to be a series of one dimension."
            )
    return [
        pandas.concat(map(pandas.Series, row), axis=1, keys=X.columns)
        for row in X.itertuples(index=False, name=None)
    ]


def channel_names(frames: list[Any]) -> tuple[str, ...] | None:
    """Return names of columns, which all cases must have in the same order."""
    columns = list(frames[0].columns)
    for case, frame in enumerate(frames):
        # Same channels in another order would go unnoticed as an array.
        if list(frame.columns) != columns:
            raise ValueError(
                f"X has cases with different channels: case {case} has columns "
                f"{list(frame.columns)} and case 0 has {columns}. Give every case the "
                "same columns in the same order."
            )
    named = all(isinstance(name, str) for name in columns)
    return tuple(columns) if named and len(set(columns)) == len(columns) else None


def check_columns(frame: Any) -> None:
    """Check that columns of a data frame can be timepoints, and are not times."""
    if frame.columns.nlevels > 1:
        raise ValueError(
            f"X has columns with {frame.columns.nlevels} levels, "
            f"{list(frame.columns.names)}. Give it a row per case and time, and a "
            "column per channel: X.stack(level) moves the level of the times there."
        )
    for name, dtype in zip(frame.columns, frame.dtypes, strict=True):
        if dtype.kind not in "biufcO":
            raise ValueError(
                f"X has dtype {dtype} in column {name!r}, which is not numeric. "
                "Convert it to numbers or leave it out."
            )


def frame_to_numpy(frame: Any) -> NDArray[Any]:
    """Return the values of a data frame with every number as it is there."""
    dtypes = list(frame.dtypes)
    plain = [isinstance(dtype, np.dtype) and dtype.kind != "O" for dtype in dtypes]
    if not dtypes or (all(plain) and len(set(dtypes)) == 1):
        array: NDArray[Any] = frame.to_numpy()
        return array
    return pandas_to_numpy(frame, dtypes)


def pandas_to_numpy(values: Any, dtypes: Sequence[Any]) -> NDArray[Any]:
    """Return values of pandas, with NaN for NA, and integers that are not rounded."""
    dtype: Any = object
    if all(getattr(dtype, "kind", "O") in "bf" for dtype in dtypes):
        dtype = np.result_type(*{float_dtype(dtype) for dtype in dtypes})
    array: NDArray[Any] = values.to_numpy(dtype=dtype, na_value=np.nan)
    return array
