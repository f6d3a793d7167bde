"""Classifier of activities, fitted to several data sets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from sktext_vq.classifier import Candidates, VQTextClassifier
from sktext_vq.panel import Panel, as_panel

_ACCELERATION, _ROTATION = slice(0, 3), slice(3, 6)


class ActivityClassifier(VQTextClassifier):
    """Classifier of windows from `wearables.harmonise`.

    Two classifiers were fitted, to all channels and to acceleration only. The second is
    used if a window has no angular velocity: if a channel has no values or one value
    only, which a gyroscope never measures.

    Attributes
    ----------
    accelerometer_ : ActivityClassifier or None
        Classifier of the acceleration; None if this is itself such a classifier.
    card_ : dict
        Data sets, people, places on the body, figures and limits.
    """

    accelerometer_: ActivityClassifier | None
    card_: dict[str, Any]

    def fit(self, X: Any, y: Any, *args: Any, **arguments: Any) -> ActivityClassifier:
        """Fit to one panel; see `VQTextClassifier`."""
        super().fit(X, y, *args, **arguments)
        self.accelerometer_ = None
        self.card_ = {}
        return self

    def check_X(self, X: Any) -> Panel:
        """Check windows, without comparison with the training data.

        A base is meant for other devices and people, so a DriftWarning would be issued
        for almost all windows.
        """
        check_is_fitted(self)
        panel = as_panel(_with_rotation(X), estimator_name="The base")
        self.input_.check(panel, X, "the base")
        return panel

    def predict_proba_zero_shot(
        self, X: Any, candidate_labels: Candidates, unknown_label: str | None = None
    ) -> NDArray[np.float64]:
        """Return probabilities of names; see `VQTextClassifier`."""
        model, panel = self._choose(X)
        call = VQTextClassifier.predict_proba_zero_shot
        return call(model, panel, candidate_labels, unknown_label)

    def explain_zero_shot(self, X: Any, candidate_labels: Candidates) -> pd.DataFrame:
        """Return names with reasons; see `VQTextClassifier`."""
        model, panel = self._choose(X)
        return VQTextClassifier.explain_zero_shot(model, panel, candidate_labels)

    def search(self, X: Any, text: str) -> pd.DataFrame:
        """Rank windows by similarity to a text; see `VQTextClassifier`."""
        model, panel = self._choose(X)
        return VQTextClassifier.search(model, panel, text)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return probabilities of the known classes; see `VQTextClassifier`."""
        model, panel = self._choose(X)
        return VQTextClassifier.predict_proba(model, panel)

    def predict_log_proba(self, X: Any) -> NDArray[np.float64]:
        """Return log-probabilities of the known classes; see `VQTextClassifier`."""
        model, panel = self._choose(X)
        return VQTextClassifier.predict_log_proba(model, panel)

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Return scores of the known classes; see `VQTextClassifier`."""
        model, panel = self._choose(X)
        return VQTextClassifier.decision_function(model, panel)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable known class; see `VQTextClassifier`."""
        model, panel = self._choose(X)
        return VQTextClassifier.predict(model, panel)

    def _choose(self, X: Any) -> tuple[ActivityClassifier, Panel]:
        """Return the classifier for the sensors of windows, and its channels."""
        panel = self.check_X(X)
        if self.accelerometer_ is None or has_rotation(panel.values):
            return self, panel
        return self.accelerometer_, acceleration(panel)


def acceleration(panel: Panel) -> Panel:
    """Return the acceleration of windows."""
    return Panel(panel.values[:, _ACCELERATION], panel.lengths).trim()


def has_rotation(values: NDArray[np.floating[Any]]) -> bool:
    """Return whether all windows have angular velocity in all axes."""
    rotation = values[:, _ROTATION]
    low, high = np.nanmin(rotation, axis=2), np.nanmax(rotation, axis=2)
    return bool((low < high).all())


def _with_rotation(X: Any) -> Any:
    """Return windows with zeros in place of angular velocity that is missing."""
    if not isinstance(X, np.ndarray) or X.ndim != 3 or X.dtype.kind != "f":
        return X
    is_empty = np.isnan(X[:, _ROTATION]).all(axis=2)
    if not is_empty.any():
        return np.asarray(X)
    filled = np.array(X)
    filled[:, _ROTATION][is_empty] = 0
    # Padding of the acceleration at the end remains padding.
    padding = np.isnan(filled[:, _ACCELERATION]).all(axis=1)
    return np.where(padding[:, None], np.nan, filled)
