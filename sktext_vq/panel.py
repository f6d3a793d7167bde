"""Every accepted kind of input becomes one `Panel`: values, and where series end.

This module knows numpy and scikit-learn only. pandas is never imported, since a
data frame can only arrive where pandas is loaded already.
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
# Checks look at about this many values at a time, so that their temporary arrays
# stay at a few MiB however large the panel is.
_CHUNK_VALUES = 2**20
_ACCEPTED = (
    "an (n_cases, n_timepoints) array, an (n_cases, n_channels, n_timepoints) array, "
    "a list of (n_channels, n_timepoints) arrays, or one of sktime's panel types"
)


@dataclass(frozen=True, eq=False)
class Panel:
    """A set of series as one array, with NaN where there is no value.

    Attributes
    ----------
    values : ndarray of shape (n_cases, n_channels, n_timepoints)
        Of type float32 or float64. NaN marks what is missing or past the end of a
        series. May share memory with what it was made from: do not write to it.
    lengths : ndarray of shape (n_cases,), dtype int64
        Timepoints of each series, up to the last one at which any channel has a
        value. From there on all channels are NaN.
    channel_names : tuple of str, optional
        Names of columns, if it was made from data frames that have some.
    cases : ndarray of shape (n_cases,), optional
        Names of cases, if it was made from a data frame whose index has some.

    See Also
    --------
    as_panel : Make a panel from an array, list or data frame.

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
        """Number of channels, the same for all series."""
        return int(self.values.shape[1])

    @property
    def n_timepoints(self) -> int:
        """Number of timepoints of the array, at least that of the longest series."""
        return int(self.values.shape[2])

    def take(self, cases: Any) -> Panel:
        """Return some of the cases, by their indices, as a panel."""
        names = None if self.cases is None else self.cases[cases]
        return Panel(self.values[cases], self.lengths[cases], self.channel_names, names)

    def trim(self) -> Panel:
        """Return the panel up to the end of its longest series."""
        return replace(self, values=self.values[:, :, : self.lengths.max()])

    @cached_property
    def has_gaps(self) -> bool:
        """Whether any value is missing or any series ends early."""
        if (self.lengths < self.n_timepoints).any():
            return True
        return any(np.isnan(chunk).any() for _, chunk in _chunks(self.values))


def spread_cases(n_cases: int, most: int) -> NDArray[np.int64]:
    """Return indices of at most so many cases, at equal distances, ascending."""
    return np.linspace(0, n_cases - 1, min(n_cases, most)).astype(np.int64)


def as_panel(X: Any, *, estimator_name: str = "the estimator") -> Panel:
    """Turn any accepted kind of series data into a panel.

    Float arrays are not copied, and the input is never written to.

    Parameters
    ----------
    X : array-like, list, DataFrame or Panel
        One of

        - array of shape (n_cases, n_timepoints): one channel;
        - array of shape (n_cases, n_channels, n_timepoints);
        - list or tuple of arrays of shape (n_channels, n_timepoints_i) or
          (n_timepoints_i,), which may differ in length;
        - numeric pandas DataFrame, a row per case and a column per timepoint;
        - DataFrame with a column per channel and an index of two levels: case, and
          time of any kind. Cases are in the order of their first rows, and sorted by
          time;
        - list of DataFrames of shape (n_timepoints_i, n_channels);
        - sktime's panel types: those above, and ``nested_univ``, a data frame whose
          cells are series: a row per case and a column per channel.

        float32 and float64 are kept, float16 becomes float32, and other numbers
        become float64. NaN is a missing value; where all channels of a series are
        NaN up to the end of the array, the series is over. Timepoints after the end
        of the longest series are left out.
    estimator_name : str, default="the estimator"
        Who is asking, for error messages.

    Returns
    -------
    Panel
        The values, and the length of each series.

    Raises
    ------
    ValueError
        If X is empty, has infinite, complex or text values, a channel without any
        value, a shape that is not a panel, columns with several levels, or integers
        beyond 2**53, which float64 would round. The message says where.
    TypeError
        If X is sparse or not a container of numbers.

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
        values = _stack(X, estimator_name)
    else:
        values = _from_array(X, estimator_name)
    return Panel(values, _find_ends(values, estimator_name), names, cases).trim()


def rows_of_cases(rows: Any, X: Any, transformer: Any) -> Any:
    """Return the output of a transformer with the cases of X as its index.

    scikit-learn gives pandas output the index of X, which has several rows for each
    case if it has levels for cases and times.
    """
    if not (is_frame(X) and X.index.nlevels > 1):
        return rows
    if _get_output_config("transform", transformer)["dense"] != "pandas":
        return rows
    cases = X.index.get_level_values(0).unique()
    return sys.modules["pandas"].DataFrame(rows, index=cases)


def _from_array(X: Any, estimator_name: str) -> FloatArray:
    """View or convert an array-like as (n_cases, n_channels, n_timepoints)."""
    dtype: Any = [np.float64, np.float32]
    if is_frame(X):
        check_columns(X)
        X = frame_to_numpy(X)
    if not issparse(X):  # check_array has the message for sparse input
        X = as_numbers(X)
        if X.ndim == 0 and X.dtype.kind == "O":
            raise TypeError(
                f"{estimator_name} takes {_ACCEPTED}, got {type(X[()]).__name__}."
            )
        if X.shape == (0,):
            raise ValueError(
                f"Found array with 0 sample(s): X is empty. {estimator_name} needs at "
                "least 1 case."
            )
        if X.ndim > 3:
            raise ValueError(
                f"{estimator_name} takes {_ACCEPTED}, got an array with {X.ndim} "
                f"dimensions of shape {X.shape}. Bring it down to three."
            )
        dtype = float_dtype(X.dtype)
    # scikit-learn's own wording for 1D, sparse and empty input is what people (and
    # its common checks) look for.
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
                f"X has 0 {what}: its shape is {array.shape}, read as (n_cases, "
                f"n_channels, n_timepoints). {estimator_name} needs at least 1."
            )
    return array


def _stack(X: Sequence[Any], estimator_name: str) -> FloatArray:
    """Pad a list of series to one array, with NaN past the end of each."""
    series = [_series(item, case) for case, item in enumerate(X)]
    first = series[0]
    for case, array in enumerate(series):
        if array.ndim != first.ndim:
            raise ValueError(
                f"X mixes arrays of {first.ndim} and {array.ndim} dimensions: case 0 "
                f"has shape {first.shape} and case {case} has shape {array.shape}. "
                "Give every case the shape (n_channels, n_timepoints)."
            )
        if 0 in array.shape:
            raise ValueError(
                f"X has an empty series: case {case} has shape {array.shape}. "
                f"{estimator_name} needs at least 1 timepoint: leave the case out."
            )
        if array.ndim == 2 and len(array) != len(first):
            raise ValueError(
                f"X has cases with different channels: case {case} has {len(array)} "
                f"and case 0 has {len(first)}. Give every case the same channels, and "
                "the shape (n_channels, n_timepoints)."
            )
    n_channels = 1 if first.ndim == 1 else len(first)
    n_timepoints = max(array.shape[-1] for array in series)
    dtype = np.result_type(*{array.dtype for array in series})
    values = np.full((len(series), n_channels, n_timepoints), np.nan, dtype)
    for case, array in enumerate(series):
        values[case, :, : array.shape[-1]] = array
    return values


def _series(item: Any, case: int) -> FloatArray:
    """Return one element of a list as float array of one or two dimensions."""
    if issparse(item):
        raise TypeError(f"X has a sparse matrix as case {case}: call its .toarray().")
    try:
        array = as_numbers(item, case)
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
        raise ValueError(
            f"X has channels of different length in case {case}. Pad them with NaN."
        ) from error
    if array.ndim not in (1, 2):
        raise ValueError(
            f"X has an array with {array.ndim} dimensions as case {case}. A case in a "
            "list is (n_channels, n_timepoints) or (n_timepoints,)."
        )
    return array.astype(float_dtype(array.dtype), copy=False)


def _find_ends(values: FloatArray, estimator_name: str) -> NDArray[np.int64]:
    """Refuse infinities and empty channels, and return the length of each series."""
    n_cases, _, n_timepoints = values.shape
    lengths = np.full(n_cases, n_timepoints, dtype=np.int64)
    for start, chunk in _chunks(values):
        finite = np.isfinite(chunk)
        if finite.all():
            continue
        infinite = np.isinf(chunk)
        if infinite.any():
            case, channel, timepoint = np.argwhere(infinite)[0].tolist()
            place = position_phrase((start + case, channel, timepoint))
            raise ValueError(
                f"X contains infinity, at {place}. {estimator_name} takes finite "
                "values, and NaN for missing ones: replace it by one of these."
            )
        empty = ~finite.any(axis=2)
        if empty.any():
            case, channel = np.argwhere(empty)[0].tolist()
            raise ValueError(
                f"X has a channel without any value: case {start + case}, channel "
                f"{channel} is all NaN (counted from 0). Leave out the case or the "
                "channel, or fill it."
            )
        backwards = finite[:, :, ::-1].any(axis=1)
        lengths[start : start + len(chunk)] -= np.argmax(backwards, axis=1)
    return lengths


def _chunks(values: FloatArray) -> Iterator[tuple[int, FloatArray]]:
    """Yield the first case and the values of consecutive groups of cases."""
    n_cases = max(1, _CHUNK_VALUES // (values.shape[1] * values.shape[2]))
    for start in range(0, values.shape[0], n_cases):
        yield start, values[start : start + n_cases]


def _is_list_of_series(X: Any) -> bool:
    """Whether X is a sequence of arrays, rather than an array or a list of numbers."""
    is_list = isinstance(X, list | tuple)
    # Lists of unequal arrays also arrive packed in an object array.
    is_packed = isinstance(X, np.ndarray) and X.dtype.kind == "O" and X.ndim == 1
    if not (is_list or is_packed) or len(X) == 0:
        return False
    first = X[0]  # a ragged list has no numpy.ndim, so lists are told by type
    return isinstance(first, list | tuple) or issparse(first) or np.ndim(first) > 0
