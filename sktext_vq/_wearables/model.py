"""Activity classifier fitted to several data sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from sktext_vq._training.data import TrainingData
from sktext_vq._training.settings import FitSettings
from sktext_vq._wearables.bridge import ActivityRecognizer
from sktext_vq._wearables.enrolment import Enrolment, enrol
from sktext_vq.classifier import VQTextClassifier
from sktext_vq.panel import Panel, as_panel

_ACCELERATION, _ROTATION = slice(0, 3), slice(3, 6)


class ActivityClassifier(VQTextClassifier):
    """Classifier for windows from `wearables.harmonise`.

    Two classifiers were fitted, to all channels and to acceleration only. The second is
    used if a window has no angular velocity: if a channel has no values or one value
    only, which a gyroscope never measures.

    Attributes
    ----------
    accelerometer_ : ActivityClassifier or None
        Classifier of the acceleration; None if this is itself such a classifier.
    card_ : dict
        Model card: data sets, people, sensor positions, results and limitations.
    """

    accelerometer_: ActivityClassifier | None
    card_: dict[str, Any]
    zero_shot_: ActivityRecognizer

    def fit(self, X: Any, y: Any, *args: Any, **arguments: Any) -> ActivityClassifier:
        """Raise a TypeError, since bases are fitted by `build_base`."""
        raise TypeError(
            "Base models are fitted by build_base. To add labelled windows, call "
            "VQTextClassifier(...).fit(X, y, init=base)."
        )

    def enrol(self, data: TrainingData, settings: FitSettings) -> Enrolment:
        """Return scores for the classes of labelled windows; see `fit`."""
        return enrol(self, data, settings)

    def check_X(self, X: Any) -> Panel:
        """Check windows, without comparison with the training data.

        A base is intended for other devices and people, so a DriftWarning would be
        issued for almost all windows.
        """
        check_is_fitted(self)
        panel = as_panel(_with_rotation(X), estimator_name="The base")
        self.input_.check(panel, X, "the base")
        return panel

    def _open(self, X: Any) -> tuple[VQTextClassifier, Panel]:
        panel = self.check_X(X)
        if self.accelerometer_ is None or has_rotation(panel.values):
            return self, panel
        return self.accelerometer_, acceleration(panel)

    def similarity(self, X: Any, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return cosines of windows and texts in the space of zero-shot prediction."""
        model, series, _, views = self._embed(X, texts)
        return model.zero_shot_.space.cosines(series.points, views)


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
