"""Checks of arguments with one value per case: labels, groups and weights."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import _check_sample_weight, column_or_1d

from sktext_vq._utils.validation import format_names
from sktext_vq.panel import Panel


def check_column(values: Any, name: str, panel: Panel) -> NDArray[Any]:
    """Check an argument with one value per case and return an array.

    Raises
    ------
    ValueError
        If the length, shape or order of the values does not match the cases, or if a
        value is missing.
    TypeError
        If the values have different types.
    """
    own = getattr(values, "index", None)
    if panel.cases is not None and isinstance(own, pd.Index):
        cases = pd.Index(panel.cases)
        same = len(own) == len(cases) and not len(own.symmetric_difference(cases))
        if same and not own.equals(cases):
            raise ValueError(
                f"The index of {name} has the cases of X in a different order: "
                f"{format_names(own, 3)} instead of {format_names(cases, 3)}. Pass "
                f"{name}.loc[cases] with cases = X.index.get_level_values(0).unique()."
            )
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(
            f"{name} has elements of different lengths. Pass one value for each case."
        ) from error
    if array.size == 0:
        raise ValueError(f"{name} is empty. Pass one value for each case.")
    if array.ndim not in (1, 2) or array.dtype.kind == "V":
        raise ValueError(
            f"{name} should be a 1d array with one value for each case, got an array "
            f"of shape {array.shape} and dtype {array.dtype}."
        )
    column = np.asarray(column_or_1d(array, warn=True))
    missing = pd.isna(column)
    if missing.any():
        raise ValueError(
            f"Input {name} contains NaN or None, first in case {missing.argmax()} "
            "(counted from 0). Remove the case, or set a value."
        )
    try:
        np.unique(column)
    except TypeError as error:
        kinds = sorted({type(value).__name__ for value in column.tolist()})
        raise TypeError(
            f"{name} has values of different types that cannot be sorted: "
            f"{' and '.join(kinds)}. Convert all values to one type, such as str."
        ) from error
    if len(column) != panel.n_cases:
        raise ValueError(
            f"X and {name} have inconsistent numbers of samples: X has "
            f"{panel.n_cases} cases, but {name} has {len(column)}."
        )
    return column


def check_weights(sample_weight: Any, panel: Panel) -> NDArray[np.float64] | None:
    """Check sample weights and return the weight of each case, or None.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, or all weights are 0.
    """
    if sample_weight is None:
        return None
    if not isinstance(sample_weight, Real):
        sample_weight = check_column(sample_weight, "sample_weight", panel)
    weight: NDArray[np.float64] = _check_sample_weight(
        sample_weight, panel.lengths, dtype=np.float64, ensure_non_negative=True
    )
    if not (np.isfinite(weight).all() and weight.any()):
        raise ValueError(
            "Sample weights must contain at least one non-zero number, and all weights "
            "must be finite."
        )
    return weight
