"""Conversion of all supported inputs to a `Panel`.

pandas is not imported here: if X is a data frame, pandas is already loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import check_array

from sktext_vq._utils.data_frames import (
    as_frames,
    channel_names,
    check_columns,
    float_dtype,
    frame_to_numpy,
    is_frame,
    split_frame,
)
from sktext_vq._utils.numbers import as_numbers, position_phrase

__all__ = ["Panel", "as_panel"]
FloatArray = NDArray[np.floating[Any]]
# Number of values that are checked at a time, to limit temporary arrays to a few MiB.
_CHUNK_VALUES = 2**20
_ACCEPTED = (
    "an (n_cases, n_timepoints) array, an (n_cases, n_channels, n_timepoints) array, "
    "a list of (n_channels, n_timepoints) arrays, or one of sktime's panel types"
)


@dataclass(frozen=True, eq=False)
class Panel:
    """Collection of series in one array, padded with NaN.

    Attributes
    ----------
    values : ndarray of shape (n_cases, n_channels, n_timepoints)
        Values of dtype float32 or float64. Missing values and padding are NaN. The
        array may share memory with the input and must not be modified.
    lengths : ndarray of shape (n_cases,), dtype int64
        Number of timepoints of each series, up to the last timepoint at which any
        channel has a value.
    channel_names : tuple of str, optional
        Names of the channels, if the input has named columns.
    cases : ndarray of shape (n_cases,), optional
        Names of the cases, if the input is a data frame with a level of cases in its
        index.

    See Also
    --------
    as_panel : Convert an array, list or data frame to a panel.

    Examples
    --------
    >>> from sktext_vq.panel import as_panel
    >>> panel = as_panel([[1.0, 2.0, 3.0], [4.0, 5.0]])
    >>> panel.n_cases, panel.n_channels, panel.n_timepoints, panel.has_gaps
    (2, 1, 3, True)
    """

    values: FloatArray
    lengths: NDArray[np.int64]
    channel_names: tuple[str, ...] | None = None
    cases: NDArray[Any] | None = None

    @property
    def n_cases(self) -> int:
        """Number of series."""
        return int(self.values.shape[0])

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return int(self.values.shape[1])

    @property
    def n_timepoints(self) -> int:
        """Number of timepoints of the array, including padding."""
        return int(self.values.shape[2])

    def take(self, cases: Any) -> Panel:
        """Return a panel of the selected cases."""
        names = None if self.cases is None else self.cases[cases]
        return Panel(self.values[cases], self.lengths[cases], self.channel_names, names)

    def trim(self) -> Panel:
        """Return the panel without padding after the longest series."""
        return replace(self, values=self.values[:, :, : self.lengths.max()])

    @cached_property
    def has_gaps(self) -> bool:
        """Whether any value is missing or any series is padded."""
        if (self.lengths < self.n_timepoints).any():
            return True
        return any(np.isnan(chunk).any() for _, chunk in chunks(self.values))


def spread_cases(n_cases: int, n_max: int) -> NDArray[np.int64]:
    """Return at most `n_max` evenly spaced case indices in ascending order."""
    return np.linspace(0, n_cases - 1, min(n_cases, n_max)).astype(np.int64)


def as_panel(X: Any, *, estimator_name: str = "the estimator") -> Panel:
    """Convert time-series data to a panel.

    Float arrays are not copied, and the input is never modified.

    Parameters
    ----------
    X : array-like, list, DataFrame or Panel
        One of:

        - array of shape (n_cases, n_timepoints) with one channel;
        - array of shape (n_cases, n_channels, n_timepoints);
        - list or tuple of arrays of shape (n_channels, n_timepoints_i) or
          (n_timepoints_i,), which may differ in length;
        - numeric pandas DataFrame with one row per case and one column per timepoint;
        - DataFrame with one column per channel and a MultiIndex (case, time). Cases
          keep the order of their first rows; rows of a case are sorted by time;
        - list of DataFrames of shape (n_timepoints_i, n_channels);
        - sktime's nested data frame (``nested_univ``) with one row per case and one
          column per channel, whose cells are series.

        float32 and float64 are kept, float16 is converted to float32, and other
        numeric types to float64. NaN is a missing value; trailing timepoints at
        which all channels are NaN are padding.
    estimator_name : str, default="the estimator"
        Name of the calling estimator for error messages.

    Returns
    -------
    Panel
        Values and the length of each series.

    Raises
    ------
    ValueError
        If X is empty, has an invalid shape or MultiIndex columns, or contains infinity,
        complex numbers, text, integers beyond 2**53, or a channel with only missing
        values. The error message gives the position.
    TypeError
        If X is sparse or not numeric.

    Examples
    --------
    >>> import numpy as np
    >>> from sktext_vq.panel import as_panel
    >>> as_panel(np.zeros((5, 20))).values.shape
    (5, 1, 20)
    >>> walk, run = np.ones((3, 40)), np.ones((3, 25))
    >>> panel = as_panel([walk, run])
    >>> panel.values.shape, panel.lengths.tolist()
    ((2, 3, 40), [40, 25])
    """
    if isinstance(X, Panel):
        return X
    names = cases = None
    frames: list[Any] | None
    if is_frame(X) and X.index.nlevels > 1 and 0 not in X.shape:
        cases, frames = split_frame(X)
    else:
        frames = as_frames(X)
    if frames is not None:
        names = channel_names(frames)
        X = [frame_to_numpy(frame).T for frame in frames]
    if _is_list_of_series(X):
        values = stack_series(X, estimator_name)
    else:
        values = _from_array(X, estimator_name)
    return Panel(values, _find_ends(values, estimator_name), names, cases).trim()


def rows_of_cases(rows: Any, X: Any, transformer: Any) -> Any:
    """Return the output of a transformer; in a data frame, cases are the index.

    scikit-learn would use the index of X, which may have several rows per case.
    """
    if not (is_frame(X) and X.index.nlevels > 1):
        return rows
    if _get_output_config("transform", transformer)["dense"] != "pandas":
        return rows
    cases = X.index.get_level_values(0).unique()
    return sys.modules["pandas"].DataFrame(rows, index=cases)


def _from_array(X: Any, estimator_name: str) -> FloatArray:
    """Convert X to an array of shape (n_cases, n_channels, n_timepoints)."""
    dtype: Any = [np.float64, np.float32]
    if is_frame(X):
        check_columns(X)
        X = frame_to_numpy(X)
    if not issparse(X):  # check_array raises the error for sparse input
        X = as_numbers(X)
        if X.ndim == 0 and X.dtype.kind == "O":
            raise TypeError(
                f"{estimator_name} expects {_ACCEPTED}, got {type(X[()]).__name__}."
            )
        if X.shape == (0,):
            raise ValueError(
                f"Found array with 0 sample(s): X is empty. {estimator_name} requires "
                "at least 1 case."
            )
        if X.ndim > 3:
            raise ValueError(
                f"{estimator_name} expects {_ACCEPTED}, got an array with {X.ndim} "
                f"dimensions of shape {X.shape}. Reshape X to three dimensions."
            )
        dtype = float_dtype(X.dtype)
    # scikit-learn's common checks expect its messages for 1D, sparse and empty input.
    array: FloatArray = check_array(
        X,
        dtype=dtype,
        allow_nd=True,
        ensure_2d=True,
        ensure_all_finite=False,
        estimator=estimator_name,
        input_name="X",
    )
    if array.ndim == 2:
        return array[:, np.newaxis, :]
    for axis, what in ((1, "channels"), (2, "timepoints")):
        if array.shape[axis] == 0:
            raise ValueError(
                f"X has 0 {what}: its shape (n_cases, n_channels, n_timepoints) is "
                f"{array.shape}. {estimator_name} requires at least 1."
            )
    return array


def stack_series(X: Sequence[Any], estimator_name: str = "the estimator") -> FloatArray:
    """Pad a list of series with NaN and stack them in one array."""
    series = [_series(item, case) for case, item in enumerate(X)]
    first = series[0]
    for case, array in enumerate(series):
        if array.ndim != first.ndim:
            raise ValueError(
                f"X mixes arrays of {first.ndim} and {array.ndim} dimensions. Case 0 "
                f"has shape {first.shape} and case {case} has shape {array.shape}. "
                "Reshape all cases to (n_channels, n_timepoints)."
            )
        if 0 in array.shape:
            raise ValueError(
                f"X has an empty series: case {case} has shape {array.shape}. "
                f"{estimator_name} requires at least 1 timepoint. Remove the case."
            )
        if array.ndim == 2 and len(array) != len(first):
            raise ValueError(
                "X has cases with different numbers of channels: case 0 has "
                f"{len(first)} and case {case} has {len(array)}. All cases must have "
                "the shape (n_channels, n_timepoints) with the same channels."
            )
    n_channels = 1 if first.ndim == 1 else len(first)
    n_timepoints = max(array.shape[-1] for array in series)
    dtype = np.result_type(*{array.dtype for array in series})
    values = np.full((len(series), n_channels, n_timepoints), np.nan, dtype)
    for case, array in enumerate(series):
        values[case, :, : array.shape[-1]] = array
    return values


def _series(item: Any, case: int) -> FloatArray:
    """Convert one element of a list to a float array of one or two dimensions."""
    if issparse(item):
        raise TypeError(
            f"Case {case} of X is a sparse matrix. Convert it with .toarray()."
        )
    try:
        array = as_numbers(item, case)
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
        raise ValueError(
            f"The channels of case {case} of X have different lengths. Pad them with "
            "NaN to the same length."
        ) from error
    if array.ndim not in (1, 2):
        raise ValueError(
            f"Case {case} of X is an array with {array.ndim} dimensions. Arrays in a "
            "list must have shape (n_channels, n_timepoints) or (n_timepoints,)."
        )
    return array.astype(float_dtype(array.dtype), copy=False)


def _find_ends(values: FloatArray, estimator_name: str) -> NDArray[np.int64]:
    """Return the length of each series and check for infinity and empty channels."""
    n_cases, _, n_timepoints = values.shape
    lengths = np.full(n_cases, n_timepoints, dtype=np.int64)
    for start, chunk in chunks(values):
        finite = np.isfinite(chunk)
        if finite.all():
            continue
        infinite = np.isinf(chunk)
        if infinite.any():
            case, channel, timepoint = np.argwhere(infinite)[0].tolist()
            place = position_phrase((start + case, channel, timepoint))
            raise ValueError(
                f"X contains infinity at {place}. {estimator_name} requires finite "
                "values, or NaN for missing values. Replace infinity with NaN."
            )
        empty = ~finite.any(axis=2)
        if empty.any():
            case, channel = np.argwhere(empty)[0].tolist()
            raise ValueError(
                f"X has a channel without values: all values of case {start + case}, "
                f"channel {channel} (counted from 0) are NaN. Remove the case or the "
                "channel, or impute the values."
            )
        backwards = finite[:, :, ::-1].any(axis=1)
        lengths[start : start + len(chunk)] -= np.argmax(backwards, axis=1)
    return lengths


def chunks(values: FloatArray) -> Iterator[tuple[int, FloatArray]]:
    """Yield the index of the first case and the values of each group of cases."""
    n_cases = max(1, _CHUNK_VALUES // (values.shape[1] * values.shape[2]))
    for start in range(0, values.shape[0], n_cases):
        yield start, values[start : start + n_cases]


def _is_list_of_series(X: Any) -> bool:
    """Return whether X is a sequence of series rather than of numbers."""
    is_list = isinstance(X, list | tuple)
    # Series of unequal length may also be elements of an object array.
    is_packed = isinstance(X, np.ndarray) and X.dtype.kind == "O" and X.ndim == 1
    if not (is_list or is_packed) or len(X) == 0:
        return False
    first = X[0]  # numpy.ndim fails for ragged lists, so check the type of lists
    return isinstance(first, list | tuple) or issparse(first) or np.ndim(first) > 0
