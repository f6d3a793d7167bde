"""Every accepted kind of input becomes one `Panel`: values, and where series end.

This module knows numpy and scikit-learn only. pandas is never imported, since a
data frame can only arrive where pandas is loaded already.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import check_array

__all__ = ["Panel", "as_panel"]

FloatArray = NDArray[np.floating[Any]]

# Checks look at about this many values at a time, so that their temporary arrays
# stay at a few MiB however large the panel is.
_CHUNK_VALUES = 2**20

# Integers beyond are rounded in float64.
_MAX_INTEGER = 2**53

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
    if _is_frame(X) and X.index.nlevels > 1 and 0 not in X.shape:
        cases, frames = _cut(X)
    else:
        frames = _frames(X)
    if frames is not None:
        names = _channel_names(frames)
        X = [_frame_to_numpy(frame).T for frame in frames]
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
    if not (_is_frame(X) and X.index.nlevels > 1):
        return rows
    if _get_output_config("transform", transformer)["dense"] != "pandas":
        return rows
    cases = X.index.get_level_values(0).unique()
    return sys.modules["pandas"].DataFrame(rows, index=cases)


def _from_array(X: Any, estimator_name: str) -> FloatArray:
    """View or convert an array-like as (n_cases, n_channels, n_timepoints)."""
    dtype: Any = [np.float64, np.float32]
    if _is_frame(X):
        _check_columns(X)
        X = _frame_to_numpy(X)
    if not issparse(X):  # check_array has the message for sparse input
        X = _numbers(X)
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
        dtype = _float_dtype(X.dtype)
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
        array = _numbers(item, case)
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
    return array.astype(_float_dtype(array.dtype), copy=False)


def _numbers(X: Any, case: int | None = None) -> NDArray[Any]:
    """Return X as array, refusing what would turn into numbers without a word."""
    if isinstance(X, np.ma.MaskedArray):
        raise TypeError(
            "X is a masked array, whose mask would be lost. "
            "Call its .filled(numpy.nan) to mark those values as missing."
        )
    dtype = getattr(X, "dtype", None)
    if hasattr(X, "to_numpy") and not isinstance(dtype, np.dtype | None):
        X = _pandas_to_numpy(X, [dtype])
    array = np.asarray(X)
    if array.dtype.kind == "c":
        raise ValueError(
            f"Complex data not supported: X{_in_case(case)} has dtype {array.dtype}. "
            "Use its real and imaginary parts as two channels."
        )
    first = () if case is None else (case,)
    if array.dtype.kind == "O":
        for index, value in np.ndenumerate(array):
            if isinstance(value, float) or (case is None and not index):
                continue
            _check_object(value, _place((*first, *index)))
    elif array.dtype.kind not in "biuf":
        raise ValueError(
            f"X{_in_case(case)} has dtype {array.dtype}, which is not numeric. "
            "Convert text and times to numbers first."
        )
    elif array.dtype.kind in "iu" and array.dtype.itemsize == 8 and array.size:
        if array.max() > _MAX_INTEGER or array.min() < -_MAX_INTEGER:
            large = (array > _MAX_INTEGER) | (array < -_MAX_INTEGER)
            index = tuple(np.argwhere(large)[0].tolist())
            raise ValueError(_integer_message(array[index], _place((*first, *index))))
    return array


def _check_object(value: Any, place: str) -> None:
    """Check that an object is a number, None for a missing one, or a series."""
    if isinstance(value, str | bytes):
        raise ValueError(_text_message(value, place))
    if value is None or np.ndim(value) > 0:
        return
    if isinstance(value, complex):
        raise ValueError(f"Complex data not supported: X has {value!r} at {place}.")
    try:
        float(value)
    except (TypeError, OverflowError) as error:
        raise TypeError(
            f"X has a {type(value).__name__} at {place}: {error}. Give a number, or "
            "NaN if it is missing."
        ) from error
    if isinstance(value, Integral) and abs(int(value)) > _MAX_INTEGER:
        raise ValueError(_integer_message(value, place))


def _float_dtype(dtype: Any) -> type[np.floating[Any]]:
    """Float type that holds a numeric type; also brings foreign byte order home."""
    is_small = dtype.kind == "f" and getattr(dtype, "itemsize", 8) <= 4
    return np.float32 if is_small else np.float64


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
            place = _place((start + case, channel, timepoint))
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


def _is_frame(X: Any) -> bool:
    """Whether X is a pandas DataFrame, without importing pandas to find out."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(X, pandas.DataFrame)


def _frames(X: Any) -> list[Any] | None:
    """Return a data frame of channels for each case, if X is made of such."""
    if isinstance(X, list | tuple) and len(X) > 0 and all(map(_is_frame, X)):
        return list(X)
    if not _is_frame(X) or 0 in X.shape:
        return None
    if getattr(X.iloc[0, 0], "ndim", 0) == 1:
        return _from_nested(X)
    return None


def _cut(frame: Any) -> tuple[NDArray[Any], list[Any]]:
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


def _channel_names(frames: list[Any]) -> tuple[str, ...] | None:
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


def _check_columns(frame: Any) -> None:
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


def _frame_to_numpy(frame: Any) -> NDArray[Any]:
    """Return the values of a data frame with every number as it is there."""
    dtypes = list(frame.dtypes)
    plain = [isinstance(dtype, np.dtype) and dtype.kind != "O" for dtype in dtypes]
    if not dtypes or (all(plain) and len(set(dtypes)) == 1):
        array: NDArray[Any] = frame.to_numpy()
        return array
    return _pandas_to_numpy(frame, dtypes)


def _pandas_to_numpy(values: Any, dtypes: Sequence[Any]) -> NDArray[Any]:
    """Return values of pandas, with NaN for NA, and integers that are not rounded."""
    dtype: Any = object
    if all(getattr(dtype, "kind", "O") in "bf" for dtype in dtypes):
        dtype = np.result_type(*{_float_dtype(dtype) for dtype in dtypes})
    array: NDArray[Any] = values.to_numpy(dtype=dtype, na_value=np.nan)
    return array


def _place(index: Sequence[int]) -> str:
    """Name a position in a panel, or in the one channel of an array of two axes."""
    axes = (
        ("case", "timepoint") if len(index) == 2 else ("case", "channel", "timepoint")
    )
    named = (f"{axis} {i}" for axis, i in zip(axes, index, strict=False))
    return f"{', '.join(named)} (counted from 0)"


def _in_case(case: int | None) -> str:
    """Name a case where there is one."""
    return "" if case is None else f" in case {case}"


def _text_message(value: str | bytes, place: str) -> str:
    """Word the error for a text among numbers."""
    return (
        f"X contains text: {value!r} at {place}. Convert it to a number, or to NaN if "
        "it is missing."
    )


def _integer_message(value: Any, place: str) -> str:
    """Word the error for an integer that float64 cannot hold."""
    return (
        f"X has the integer {value} at {place}, which is beyond 2**53, so that float64 "
        "would round it. Subtract an offset first, or convert X to float64 yourself."
    )
