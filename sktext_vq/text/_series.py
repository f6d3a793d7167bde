"""Validation of series in text estimators."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..panel import as_panel

FloatPanel = npt.NDArray[np.float64]


def check_series(
    estimator: Any, X: Any, *, reset: bool
) -> tuple[FloatPanel, npt.NDArray[np.int64]]:
    """Validate series, and set (with `reset`) or check the number of channels."""
    name = type(estimator).__name__
    panel = as_panel(X, estimator_name=name)
    flat_width = np.shape(X)[1] if getattr(X, "ndim", None) == 2 else None
    if reset:
        estimator.n_channels_ = panel.n_channels
        estimator.n_features_in_ = flat_width or panel.n_channels
        estimator._flat_width = flat_width
    elif panel.n_channels != estimator.n_channels_:
        raise ValueError(
            f"X has {panel.n_channels} channels, but {name} was fitted with "
            f"{estimator.n_channels_} channels."
        )
    elif None not in (flat_width, estimator._flat_width) and (
        flat_width != estimator._flat_width
    ):
        raise ValueError(
            f"X has {flat_width} features, but {name} is expecting "
            f"{estimator._flat_width} features as input."
        )
    return panel.values.astype(np.float64, copy=False), panel.lengths
