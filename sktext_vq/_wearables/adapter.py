"""Adaptation of a classifier to windows of different body-worn devices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sktext_vq._features.extractor import Execution
from sktext_vq._features.input import InputSpec
from sktext_vq._training.data import TrainingData
from sktext_vq._training.settings import FitSettings
from sktext_vq._wearables.enrolment import Enrolment, enrol
from sktext_vq._wearables.harmonise import stack_arrays
from sktext_vq._zero_shot import queries
from sktext_vq._zero_shot.recognizer import EmbeddedSeries, ZeroShotRecognizer
from sktext_vq.classifier import VQTextClassifier
from sktext_vq.panel import Panel, as_panel
from sktext_vq.text import TextEncoder

_ACCELERATION, _ROTATION = slice(0, 3), slice(3, 6)


@dataclass(frozen=True)
class SensorAdapter:
    """The part of a base model that handles windows from `wearables.harmonise`.

    A base model is a `VQTextClassifier` with this part as the attribute `adapter_`.

    Parameters
    ----------
    accelerometer : VQTextClassifier, optional
        Classifier that was fitted to the acceleration only. It is used for windows
        without angular velocity, that is, if a channel of the angular velocity is
        missing or constant. The output of a gyroscope is never constant.
    """

    accelerometer: VQTextClassifier | None = None

    def check(self, X: Any, spec: InputSpec) -> Panel:
        """Check windows without comparing them with the training data.

        A base model is intended for other devices and people, so a DriftWarning would
        be issued for almost all windows.
        """
        panel = as_panel(_fill_rotation(X), estimator_name="The base model")
        spec.check(panel, X, "the base model")
        return panel

    def map(
        self,
        function: Callable[..., Any],
        base: VQTextClassifier,
        panel: Panel,
        *options: Any,
    ) -> Any:
        """Apply a function to windows with and without an angular velocity.

        The function is called with the classifier for these windows, the windows and
        `options`. It returns an array with one row per window, or a data frame with a
        column ``case``. The results are joined in the order of the windows.
        """
        has_rotation = _has_rotation(panel.values)
        if self.accelerometer is None or has_rotation.all():
            return function(base, panel, *options)
        if not has_rotation.any():
            return function(self.accelerometer, acceleration(panel), *options)
        rows = np.flatnonzero(has_rotation), np.flatnonzero(~has_rotation)
        parts = (
            function(base, panel.take(rows[0]), *options),
            function(self.accelerometer, acceleration(panel.take(rows[1])), *options),
        )
        if not isinstance(parts[0], pd.DataFrame):
            return np.concatenate(parts)[np.argsort(np.concatenate(rows))]
        every = [
            part.assign(case=own[part["case"].to_numpy()])
            for part, own in zip(parts, rows, strict=True)
        ]
        joined = pd.concat(every, ignore_index=True)
        return joined.sort_values("case", kind="stable", ignore_index=True)

    def similarity(
        self,
        base: VQTextClassifier,
        panel: Panel,
        texts: Sequence[str],
        encoder: TextEncoder,
        execution: Execution,
    ) -> NDArray[np.float64]:
        """Return cosines of windows and texts in the zero-shot embedding space."""
        options = _cosines, texts, encoder, execution
        return np.asarray(self.map(queries.recognize, base, panel, *options))

    def enrol(
        self, base: VQTextClassifier, data: TrainingData, settings: FitSettings
    ) -> Enrolment:
        """Return scores of the base model for the classes of labelled windows."""
        return enrol(base, self.accelerometer, data, settings)


def acceleration(panel: Panel) -> Panel:
    """Return the acceleration of windows."""
    return Panel(panel.values[:, _ACCELERATION], panel.lengths).trim()


def _cosines(
    recognizer: ZeroShotRecognizer, series: EmbeddedSeries, candidates: Any, views: Any
) -> NDArray[np.float64]:
    return recognizer.space.cosines(series.points, views)


def _has_rotation(values: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Return which windows have an angular velocity about every axis."""
    rotation = values[:, _ROTATION]
    low, high = np.nanmin(rotation, axis=2), np.nanmax(rotation, axis=2)
    return np.asarray((low < high).all(axis=1))


def _fill_rotation(X: Any) -> Any:
    """Replace a missing angular velocity with zeros, since no channel may be empty."""
    X = stack_arrays(X)
    if not isinstance(X, np.ndarray) or X.ndim != 3 or X.dtype.kind != "f":
        return X
    is_empty = np.isnan(X[:, _ROTATION]).all(axis=2)
    if not is_empty.any():
        return np.asarray(X)
    filled = np.array(X)
    filled[:, _ROTATION][is_empty] = 0
    # The padding at the end of short windows must remain padding.
    padding = np.isnan(X).all(axis=1, keepdims=True)
    return np.where(padding, np.nan, filled)
