"""Checks that arrays hold numbers, with messages that name the place."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sktext_vq._utils.data_frames import pandas_to_numpy

# Integers beyond are rounded in float64.
_MAX_INTEGER = 2**53


def as_numbers(X: Any, case: int | None = None) -> NDArray[Any]:
    """Return X as array, refusing what would turn into numbers without a word."""
    if isinstance(X, np.ma.MaskedArray):
        raise TypeError(
            "X is a masked array, whose mask would be lost. "
            "Call its .filled(numpy.nan) to mark those values as missing."
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
            "Convert text and times to numbers first."
        )
    elif array.dtype.kind in "iu" and array.dtype.itemsize == 8 and array.size:
        if array.max() > _MAX_INTEGER or array.min() < -_MAX_INTEGER:
            large = (array > _MAX_INTEGER) | (array < -_MAX_INTEGER)
            index = tuple(np.argwhere(large)[0].tolist())
            raise ValueError(
                _integer_message(array[index], position_phrase((*first, *index)))
            )
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


def position_phrase(index: Sequence[int]) -> str:
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
