"""Checks of numeric arrays, with positions in error messages."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sktext_vq._utils.data_frames import pandas_to_numpy

MAX_INTEGER = 2**53  # float64 rounds larger integers


def as_numbers(X: Any, case: int | None = None) -> NDArray[Any]:
    """Convert X to an array; raise an error for values that are not real numbers.

    NumPy would convert or round some of these values silently.
    """
    if isinstance(X, np.ma.MaskedArray):
        raise TypeError(
            "X is a masked array, whose mask would be lost. Use X.filled(numpy.nan) to "
            "mark values as missing."
        )
    dtype = getattr(X, "dtype", None)
    if hasattr(X, "to_numpy") and not isinstance(dtype, np.dtype | None):
        X = pandas_to_numpy(X, [dtype])
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
            _check_object(value, position_phrase((*first, *index)))
    elif array.dtype.kind not in "biuf":
        raise ValueError(
            f"X{_in_case(case)} has dtype {array.dtype}, which is not numeric. "
            "Convert text and times to numbers."
        )
    elif array.dtype.kind in "iu" and array.dtype.itemsize == 8 and array.size:
        if array.max() > MAX_INTEGER or array.min() < -MAX_INTEGER:
            large = (array > MAX_INTEGER) | (array < -MAX_INTEGER)
            index = tuple(np.argwhere(large)[0].tolist())
            raise ValueError(
                _integer_message(array[index], position_phrase((*first, *index)))
            )
    return array


def _check_object(value: Any, place: str) -> None:
    """Check that an object is a number, a series, or None (a missing value)."""
    if isinstance(value, str | bytes):
        raise ValueError(_text_message(value, place))
    if value is None or np.ndim(value) > 0:
        return
    if isinstance(value, complex):
        raise ValueError(
            f"Complex data not supported: X contains {value!r} at {place}."
        )
    try:
        float(value)
    except (TypeError, OverflowError) as error:
        raise TypeError(
            f"X contains a value of type {type(value).__name__} at {place}: {error}. "
            "Use a number, or NaN for a missing value."
        ) from error
    if isinstance(value, Integral) and abs(int(value)) > MAX_INTEGER:
        raise ValueError(_integer_message(value, place))


def position_phrase(index: Sequence[int]) -> str:
    """Describe the position with index ``(case, [channel,] timepoint)`` in words."""
    axes = (
        ("case", "timepoint") if len(index) == 2 else ("case", "channel", "timepoint")
    )
    named = (f"{axis} {i}" for axis, i in zip(axes, index, strict=False))
    return f"{', '.join(named)} (counted from 0)"


def _in_case(case: int | None) -> str:
    return "" if case is None else f" in case {case}"


def _text_message(value: str | bytes, place: str) -> str:
    return (
        f"X contains text: {value!r} at {place}. Convert it to a number, or to NaN for "
        "a missing value."
    )


def _integer_message(value: Any, place: str) -> str:
    return (
        f"X contains the integer {value} at {place}, but float64 rounds integers "
        "beyond 2**53. Subtract an offset, or convert X to float64 explicitly."
    )


def fill_missing(values: NDArray[Any], empty: float = 0.0) -> NDArray[Any]:
    """Interpolate missing values along the last axis, in a copy.

    Series without values are filled with `empty`.
    """
    missing = np.isnan(values)
    if not missing.any():
        return values
    filled, places = values.copy(), np.arange(values.shape[-1])
    for index in map(tuple, np.argwhere(missing.any(axis=-1))):
        gaps, series = missing[index], filled[index]
        if gaps.all():
            series[:] = empty
        else:
            series[gaps] = np.interp(places[gaps], places[~gaps], series[~gaps])
    return filled
