"""Validation of the arguments of `fit`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from sktext_vq._features.columns import check_column, check_weights
from sktext_vq._features.input import InputSpec
from sktext_vq._features.sensors import check_channel_names, check_sensors
from sktext_vq._training.data import TrainingData
from sktext_vq._training.texts import check_case_texts
from sktext_vq._training.warm_start import WarmStart
from sktext_vq._utils.validation import check_text
from sktext_vq.panel import Panel


def validate_fit(
    panel: Panel,
    X: Any,
    y: Any,
    text: Any,
    *,
    channel_names: Any,
    gravity: Any,
    warm_start: WarmStart | None = None,
    groups: Any = None,
    sample_weight: Any = None,
    allow_continuous: bool = False,
) -> tuple[InputSpec, TrainingData]:
    """Check the arguments of `fit` and remove cases with weight 0.

    Parameters
    ----------
    panel, X : Panel and object
        Training series, after and before conversion.
    y, text, groups, sample_weight : object
        Arguments of `fit`.
    channel_names, gravity : object
        Parameters of the estimator.
    warm_start : WarmStart, optional
        Fitted model from which codes and weights are copied.
    allow_continuous : bool, default=False
        Whether y may be continuous.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid or does not match the series.
    """
    spec = InputSpec.of(X, panel)
    known_names = check_channel_names(channel_names, panel)
    names = known_names
    if names is None:
        names = tuple(f"channel {i}" for i in range(panel.n_channels))
    sensors = check_sensors(gravity, names, is_named=known_names is not None)
    y = None if y is None else check_column(y, "y", panel)
    is_continuous = y is not None and _check_kind(y, allow_continuous)
    texts = None if text is None else check_case_texts(text, panel.n_cases)
    groups = None if groups is None else check_column(groups, "groups", panel)
    weight = check_weights(sample_weight, panel)
    if weight is not None and not weight.all():
        cases = np.flatnonzero(weight)
        panel, weight = panel.take(cases).trim(), weight[cases]
        y = None if y is None else y[cases]
        texts = None if texts is None else [texts[i] for i in cases]
        groups = None if groups is None else groups[cases]
    if weight is not None:
        weight = None if np.ptp(weight) == 0 else weight / weight.mean()
    labels = classes = targets = None
    if y is not None and is_continuous:
        targets = _standardise(y, weight)
    elif y is not None:
        labels, classes = np.unique(y, return_inverse=True)
    spec = spec._replace(
        n_timepoints=panel.n_timepoints,
        min_timepoints=int(panel.lengths.min()),
        column_names=panel.channel_names or known_names,
    )
    return spec, TrainingData(
        panel,
        names,
        sensors,
        known_names,
        labels,
        classes,
        targets,
        sample_weight=weight,
        groups=groups,
        case_texts=texts,
        warm_start=warm_start,
    )


def _check_kind(y: NDArray[Any], allow_continuous: bool) -> bool:
    """Check labels or targets and return whether they are continuous."""
    with np.errstate(invalid="ignore"):  # casts of NaN cause warnings
        is_float = y.dtype.kind == "f"  # continuous targets must be floats
        if allow_continuous and is_float and type_of_target(y, "y") == "continuous":
            return True
        check_classification_targets(y)
    check_text(np.unique(y), "y")
    return False


def _standardise(
    targets: NDArray[Any], weight: NDArray[np.float64] | None
) -> NDArray[np.float64] | None:
    """Return targets with mean 0 and variance 1, or None if all targets are equal."""
    if np.ptp(targets) == 0:
        return None
    found = targets.astype(np.float64) / np.abs(targets).max()  # bounds squares
    found -= np.average(found, weights=weight)
    return found / np.sqrt(np.average(found**2, weights=weight))
