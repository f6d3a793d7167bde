"""The classifier on top of histograms: ridge regression with calibrated scores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.linear_model import Ridge

from sktext_vq._selection import FeatureScaler

Array = NDArray[np.floating[Any]]

# Relative to the number of features, which is the mean diagonal of their Gram matrix.
_PENALTIES = np.logspace(-2.5, 1.5, 9)
_DEFAULT_PENALTY, _DEFAULT_SHARPNESS = 0.1, 3.0  # where nothing can be held out
_CHUNK = 512


@dataclass(frozen=True)
class Cases:
    """Features of some cases, with their classes and sample weights."""

    features: NDArray[np.float32]
    classes: NDArray[np.int64]
    weight: Array | None

    def weights(self, of_classes: Array | None) -> Array | None:
        """Return sample weights times weights of classes, or None without either."""
        if of_classes is None:
            return self.weight
        weight = of_classes[self.classes]
        return weight if self.weight is None else weight * self.weight

    def targets(self, n_classes: int) -> NDArray[np.float32]:
        """Return 1 for the class of a case and -1 for the others."""
        return _targets(self.classes, n_classes)


class RidgeHead:
    """Ridge classifier with cross-validated penalty and calibration.

    Features are scaled; see :class:`FeatureScaler`. Targets are 1 for the class of a
    case and -1 for the others. Probabilities are a softmax over scores times one
    factor, which minimises the log-loss of scores of held-out cases (temperature
    scaling, Guo et al., ICML 2017). The penalty is the one whose scores of held-out
    cases are nearest to their targets: least log-loss takes too strong ones where a
    fold is small.

    Attributes
    ----------
    scaler : FeatureScaler
    coef : ndarray of shape (n_features, n_classes)
    intercept : ndarray of shape (n_classes,)
    penalty : float
        Relative to the number of features. The one that is best for the cases of a
        fold grows with their number: folds know too little of how series to come
        differ from those of training.
    sharpness : float
        Factor of scores.
    offset : ndarray of shape (n_classes,)
        What is added to scores times `sharpness`.

    Notes
    -----
    Weights of classes count half in the squared errors, by their square roots, and half
    in the probabilities, as offsets (logit adjustment, Menon et al., ICLR 2021). Either
    alone is worse where some classes have but a few cases: errors of these are soon 0,
    whatever their weight.
    """

    def fit(
        self,
        cases: Cases,
        n_classes: int,
        folds: Iterable[tuple[Cases, Cases]],
        weight: NDArray[np.float32],
        class_weight: Array | None = None,
    ) -> RidgeHead:
        """Fit to cases, whose features are scaled in place.

        Parameters
        ----------
        cases : Cases
            All training cases.
        n_classes : int
            Number of classes.
        folds : iterable of (Cases, Cases)
            Parts of the cases to learn from and to hold out. Their features are to be
            chosen without the second part, or scores of the two do not compare.
        weight : ndarray of shape (n_features,)
            Weights of features, whose mean square is 1.
        class_weight : ndarray of shape (n_classes,), optional
            Weights of classes.
        """
        features = cases.features
        self.offset = np.zeros(n_classes)
        root = None
        if class_weight is not None:
            root = np.sqrt(class_weight)
            with np.errstate(divide="ignore"):
                self.offset = np.log(class_weight) / 2
        penalty, n_cases, self.sharpness = _cross_validate(
            folds, n_classes, weight, self.offset, class_weight
        )
        self.penalty = penalty * len(features) / (n_cases or len(features))
        self.scaler = FeatureScaler.fit(features, weight)
        self.scaler.scale_in_place(features)
        n_features = features.shape[1]
        model = Ridge(self.penalty * n_features, solver="cholesky")
        weights = cases.weights(root)
        model.fit(features, cases.targets(n_classes), sample_weight=weights)
        coef = np.asarray(model.coef_, dtype=np.float64)
        self.coef = coef.reshape(n_classes, n_features).T
        self.intercept = np.asarray(model.intercept_, dtype=np.float64)
        return self

    def scores(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Score of each class, of shape (n_cases, n_classes)."""
        # One row at a time: products of many rows are rounded differently from those of
        # few. In torch, whose threads the threads that call this have limited.
        coef = torch.from_numpy(self.coef.T.copy())
        rows = [
            coef.mv(row)
            for start in range(0, len(features), _CHUNK)
            for row in torch.from_numpy(
                self.scaler(features[start : start + _CHUNK])
            ).double()
        ]
        return torch.stack(rows).numpy() + self.intercept

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Logarithm of probabilities up to a constant per case, of the same shape."""
        scores: NDArray[np.float64] = self.sharpness * self.scores(features)
        return scores + self.offset

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probability of each class, of shape (n_cases, n_classes)."""
        return softmax(self.logits(features), axis=1)


def _cross_validate(
    folds: Iterable[tuple[Cases, Cases]],
    n_classes: int,
    weight: NDArray[np.float32],
    offset: Array,
    class_weight: Array | None,
) -> tuple[float, float | None, float]:
    """Return the best penalty, for how many cases, and the factor that goes with it."""
    scores, classes, case_weights, sizes = [], [], [], []
    for train, test in folds:
        # A class that is not in the other part cannot be found.
        known = np.isin(test.classes, train.classes)
        if not known.any():
            continue
        held_out = test.features[known]
        scores.append(
            _held_out_scores(train, held_out, n_classes, weight, class_weight)
        )
        sizes.append(len(train.classes))
        classes.append(test.classes[known])
        own = test.weights(class_weight)
        case_weights.append(np.ones(known.sum()) if own is None else own[known])
    if not scores:
        return _DEFAULT_PENALTY, None, _DEFAULT_SHARPNESS
    every = np.concatenate(scores, axis=1)
    labels, case_weight = np.concatenate(classes), np.concatenate(case_weights)
    errors = np.square(every - _targets(labels, n_classes)).mean(axis=2)
    choice = int(np.average(errors, axis=1, weights=case_weight).argmin())
    sharpness = _fit_sharpness(every[choice], labels, case_weight, offset)
    return float(_PENALTIES[choice]), float(np.mean(sizes)), sharpness


def _held_out_scores(
    train: Cases,
    test: NDArray[np.float32],
    n_classes: int,
    feature_weight: NDArray[np.float32],
    class_weight: Array | None,
) -> NDArray[np.float64]:
    """Scores of held-out cases by all penalties, from one eigendecomposition.

    Returns
    -------
    ndarray of shape (n_penalties, n_cases, n_classes)
    """
    scaler = FeatureScaler.fit(train.features, feature_weight)
    known, new = scaler(train.features), scaler(test)
    targets = train.targets(n_classes).astype(np.float64)
    weight = train.weights(None if class_weight is None else np.sqrt(class_weight))
    weight = np.ones(len(targets)) if weight is None else weight
    middle = np.average(known, axis=0, weights=weight).astype(np.float32)
    intercept = np.average(targets, axis=0, weights=weight)
    root = np.sqrt(weight)[:, None]
    known = (known - middle) * root.astype(np.float32)
    gram = (known @ known.T).astype(np.float64)
    values, vectors = np.linalg.eigh(gram)
    across = ((new - middle) @ known.T).astype(np.float64) @ vectors
    right = vectors.T @ ((targets - intercept) * root)
    penalties = test.shape[1] * _PENALTIES
    return np.stack(
        [
            across @ (right / (np.maximum(values, 0) + penalty)[:, None]) + intercept
            for penalty in penalties
        ]
    )


def _targets(classes: NDArray[np.int64], n_classes: int) -> NDArray[np.float32]:
    targets = -np.ones((len(classes), n_classes), np.float32)
    targets[np.arange(len(classes)), classes] = 1
    return targets


def _fit_sharpness(
    scores: Array, classes: NDArray[np.int64], weight: Array, offset: Array
) -> float:
    """Return the factor of scores with the smallest log-loss."""
    counted = weight > 0  # the others may be of classes that cannot be found
    scores, classes, weight = scores[counted], classes[counted], weight[counted]
    if not len(scores):
        return _DEFAULT_SHARPNESS

    def loss(log_factor: float) -> float:
        each = log_softmax(np.exp(log_factor) * scores + offset, axis=1)
        own = each[np.arange(len(classes)), classes]
        return float(-np.average(own, weights=weight))

    bounds = (np.log(0.01), np.log(30.0))
    found = minimize_scalar(loss, bounds=bounds, method="bounded")
    return float(np.exp(found.x))
