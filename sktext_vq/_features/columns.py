"""Arguments of fit with one value for each case: labels, groups and weights."""

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
    """Return one value for each case as an array.

    Parameters
    ----------
    values : array-like of shape (n_cases,)
        Labels, groups or weights.
    name : str
        Name of the argument, for messages.
    panel : Panel
        Series.

    Raises
    ------
    ValueError
        If values have another length, shape or order than cases, or are missing.
    TypeError
        If values have different types.
    """
    own = getattr(values, "index", None)
    if panel.cases is not None and isinstance(own, pd.Index):
        cases = pd.Index(panel.cases)
        same = len(own) == len(cases) and not len(own.symmetric_difference(cases))
        if same and not own.equals(cases):
            raise ValueError(
                f"{name} has the cases of X in its index, in another order than X: "
                f"{format_names(own, 3)} in place of {format_names(cases, 3)}. "
                f"{name}.loc[cases] with cases = X.index.get_level_values(0).unique() "
                "has that order."
            )
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(
            f"{name} has elements of different length: give one value for each case."
        ) from error
    if array.size == 0:
        raise ValueError(f"{name} is empty: give one value for each case.")
    if array.ndim not in (1, 2) or array.dtype.kind == "V":
        raise ValueError(
            f"{name} should be a 1d array, one value for each case, got an array of "
            f"shape {array.shape} and dtype {array.dtype}."
        )
    column = np.asarray(column_or_1d(values, warn=True))
    missing = pd.isna(column)
    if missing.any():
        raise ValueError(
            f"{name} has no value for case {missing.argmax()} (counted from 0): input "
            f"{name} contains NaN or None. Leave the case out, or name it."
        )
    try:
        np.unique(column)
    except TypeError as error:
        kinds = sorted({type(value).__name__ for value in column.tolist()})
        raise TypeError(
            f"{name} has values of different types, {' and '.join(kinds)}, which have "
            "no order: turn all into strings, say."
        ) from error
    if len(column) != panel.n_cases:
        raise ValueError(
            f"X and {name} have inconsistent numbers of samples: X has "
            f"{panel.n_cases} cases, {name} has {len(column)}."
        )
    return column


def check_weights(sample_weight: Any, panel: Panel) -> NDArray[np.float64] | None:
    """Return the weight of each case, or None without weights.

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
            "sample_weight must be finite, and above 0 for at least one case: Sample "
            "weights must contain at least one non-zero number."
        )
    return weight
