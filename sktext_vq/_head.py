"""The classifier on top of histograms: ridge regression with calibrated scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.linear_model import Ridge, RidgeCV

Array = NDArray[np.floating[Any]]

# Relative to the number of features, which is the mean diagonal of their Gram matrix.
_PENALTIES = np.logspace(-2.5, 1.5, 9)
# Exact leave-one-out needs all eigenvectors of the Gram matrix, n^3. The penalty hardly
# depends on the number of cases beyond this one.
_MAX_LEAVE_ONE_OUT = 2000
_CLIP = 3.0
_CHUNK = 512


class RidgeHead:
    """Ridge classifier with leave-one-out choice of penalty and calibration.

    Features are standardised and clipped at three standard deviations. Targets are 1
    for the class and -1 for the others. Probabilities are a softmax over scores times
    one factor, which minimises the log-loss of leave-one-out scores (temperature
    scaling, Guo et al., ICML 2017).

    Attributes
    ----------
    mean, scale : ndarray of shape (n_features,)
    coef : ndarray of shape (n_features, n_classes)
    intercept : ndarray of shape (n_classes,)
    penalty : float
    sharpness : float
        Factor of scores.
    """

    def fit(
        self,
        features: Array,
        classes: NDArray[np.int64],
        n_classes: int,
        case_weight: Array | None,
        random_state: np.random.RandomState,
    ) -> RidgeHead:
        """Fit to features of shape (n_cases, n_features), which are overwritten."""
        n_cases, n_features = features.shape
        self.mean = features.mean(axis=0, dtype=np.float64)
        self.scale = features.std(axis=0, dtype=np.float64)
        self.scale[self.scale < 1e-6] = 1.0
        for start in range(0, n_cases, _CHUNK):
            part = features[start : start + _CHUNK]
            part[:] = self.standardise(part)
        targets = -np.ones((n_cases, n_classes), dtype=features.dtype)
        targets[np.arange(n_cases), classes] = 1
        chosen = np.arange(n_cases)
        if n_cases > _MAX_LEAVE_ONE_OUT:
            chosen = np.sort(random_state.permutation(n_cases)[:_MAX_LEAVE_ONE_OUT])
        weight = None if case_weight is None else case_weight[chosen]
        penalties = n_features * _PENALTIES
        search = RidgeCV(
            penalties, scoring="neg_mean_squared_error", store_cv_results=True
        )
        search.fit(features[chosen], targets[chosen], sample_weight=weight)
        # Case, class and penalty: scores of each case by a model without that case.
        left_out = search.cv_results_
        fits = [
            _fit_sharpness(left_out[:, :, i], classes[chosen], weight)
            for i in range(len(penalties))
        ]
        best = int(np.argmin([loss for _, loss in fits]))
        self.penalty = float(penalties[best])
        self.sharpness = fits[best][0]
        model = Ridge(self.penalty, solver="cholesky", copy_X=False)
        model.fit(features, targets, sample_weight=case_weight)
        self.coef = (
            np.asarray(model.coef_, dtype=np.float64).reshape(n_classes, n_features).T
        )
        self.intercept = np.asarray(model.intercept_, dtype=np.float64)
        return self

    def scores(self, features: Array) -> NDArray[np.float64]:
        """Score of each class, of shape (n_cases, n_classes)."""
        parts = [
            self.standardise(features[start : start + _CHUNK]) @ self.coef
            for start in range(0, len(features), _CHUNK)
        ]
        return np.concatenate(parts) + self.intercept

    def probabilities(self, features: Array) -> NDArray[np.float64]:
        """Probability of each class, of shape (n_cases, n_classes)."""
        return softmax(self.sharpness * self.scores(features), axis=1)

    def standardise(self, features: Array) -> NDArray[np.float64]:
        """Scale and clip features as in training."""
        return np.clip((features - self.mean) / self.scale, -_CLIP, _CLIP)


def _fit_sharpness(
    scores: Array, classes: NDArray[np.int64], case_weight: Array | None
) -> tuple[float, float]:
    """Factor of scores with the smallest log-loss, and that loss."""

    def loss(log_factor: float) -> float:
        each = log_softmax(np.exp(log_factor) * scores, axis=1)
        own = each[np.arange(len(classes)), classes]
        return float(-np.average(own, weights=case_weight))

    found = minimize_scalar(loss, bounds=(np.log(0.1), np.log(30.0)), method="bounded")
    return float(np.exp(found.x)), float(found.fun)
