"""Ridge classifier on features, with calibrated probabilities."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, eigh
from scipy.linalg.blas import ssyrk
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from sktext_vq._features.extractor import Execution, FeatureExtractor
from sktext_vq._features.selection import FeatureScaler
from sktext_vq._utils.state import (
    Number,
    Numbers,
    Sizes,
    Spec,
    State,
    check_state,
    fields_of,
)
from sktext_vq._utils.threads import multiply_rows
from sktext_vq.panel import Panel

Array = NDArray[np.floating[Any]]

# Candidates for the penalty, relative to the number of features.
_PENALTIES = np.logspace(-2.5, 1.5, 9)
# Defaults if there are no held-out cases.
_DEFAULT_PENALTY, _DEFAULT_INVERSE_TEMPERATURE = 0.1, 3.0
# Prior of the temperature, chosen on splits of the training sets of 19 data sets. Odds
# above `_USUAL_ODDS` per 1000 cases (in total if there are fewer cases) must increase
# the log-likelihood of held-out cases by `_PRICE` per unit of log-odds.
_USUAL_ODDS, _PRICE = 1e6, 0.3
# The fit to all cases separates the classes better than the fits to folds.
_GROWTH = 1.05
_CHUNK = 16  # number of cases whose features stay in the cache
_STATE: dict[str, Spec | None] = {
    "scaler": None,
    "coef": Numbers("float64", ("n_selected", "n_classes")),
    "intercept": Numbers("float64", ("n_classes",)),
    "penalty": Number(float),
    "inverse_temperature": Number(float),
    "offset": None,
}


@dataclass(frozen=True)
class FeatureTable:
    """Features of some cases, with their classes and weights.

    Parameters
    ----------
    values : ndarray of shape (n_cases, n_features), float32
        Features of the cases.
    classes : ndarray of shape (n_cases,), int64
        Index of the class of each case.
    weight : ndarray of shape (n_cases,), optional
        Weight of each case.
    """

    values: NDArray[np.float32]
    classes: NDArray[np.int64]
    weight: Array | None = None

    def weights(self, class_weight: Array | None) -> Array | None:
        """Return the products of case weights and class weights, or None."""
        if class_weight is None:
            return self.weight
        weight = class_weight[self.classes]
        return weight if self.weight is None else weight * self.weight

    def targets(self, n_classes: int) -> NDArray[np.float32]:
        """Return 1 for the class of each case, and -1 for other classes."""
        return _targets(self.classes, n_classes)

    def take(self, cases: NDArray[np.int64]) -> FeatureTable:
        """Return a subset of the cases."""
        weight = None if self.weight is None else self.weight[cases]
        return FeatureTable(self.values[cases], self.classes[cases], weight)


@dataclass(frozen=True)
class HeldOutScores:
    """Scores of held-out cases for each candidate of the penalty.

    Parameters
    ----------
    scores : ndarray of shape (n_penalties, n_cases, n_classes)
        Scores of all held-out cases.
    classes : ndarray of shape (n_cases,)
        Index of the class of each case.
    case_weight : ndarray of shape (n_cases,)
        Weight of each case.
    n_fitted : float
        Mean number of training cases.
    choice : int
        Index of the penalty with the smallest squared error.
    """

    scores: NDArray[np.float64]
    classes: NDArray[np.int64]
    case_weight: NDArray[np.float64]
    n_fitted: float
    choice: int

    @property
    def best(self) -> NDArray[np.float64]:
        """Scores for the chosen penalty, of shape (n_cases, n_classes)."""
        best: NDArray[np.float64] = self.scores[self.choice]
        return best

    @property
    def is_correct(self) -> NDArray[np.bool_]:
        """Whether each case has the highest score for its class."""
        return np.asarray(self.best.argmax(axis=1) == self.classes)


@dataclass(frozen=True)
class RidgeHead:
    """Ridge classifier with cross-validated penalty and temperature.

    Targets are 1 for the class of a case and -1 for other classes. Probabilities are
    the softmax of the scores multiplied by an inverse temperature, which minimises the
    log-loss on held-out cases (temperature scaling, Guo et al., ICML 2017). Odds above
    one million (or above a thousand times the number of cases, if this is larger) have
    a low prior probability, so that probabilities are not too extreme for small data
    sets with separable classes. The penalty minimises the squared error of the scores
    of held-out cases; with the log-loss as the criterion, the penalty would be too
    large for small folds.

    Parameters
    ----------
    scaler : FeatureScaler
        Scaler of the features.
    coef : ndarray of shape (n_features, n_classes)
        Coefficients of the standardised features.
    intercept : ndarray of shape (n_classes,)
        Intercepts of the scores.
    penalty : float
        Penalty per feature. The penalty is proportional to the number of cases, because
        cases in different folds are more similar to each other than new cases are to
        training cases.
    inverse_temperature : float
        Factor by which the scores are multiplied to obtain logits.
    offset : ndarray of shape (n_classes,)
        Constants added to the logits.

    Notes
    -----
    Squared errors are weighted by the square roots of the class weights, and the
    logarithms of these roots are added to the logits (logit adjustment, Menon et al.,
    ICLR 2021). Weights or offsets alone perform worse for classes with few cases, whose
    training errors are near 0 for any weight.
    """

    scaler: FeatureScaler
    coef: NDArray[np.float64]
    intercept: NDArray[np.float64]
    penalty: float
    inverse_temperature: float
    offset: NDArray[np.float64]

    @classmethod
    def fit(
        cls,
        table: FeatureTable,
        scaler: FeatureScaler,
        n_classes: int,
        held_out: HeldOutScores | None,
        class_weight: Array | None = None,
    ) -> RidgeHead:
        """Fit the classifier to all training cases, with features scaled by `scaler`.

        The penalty and the temperature are chosen with the scores of held-out cases.
        """
        offset, root = np.zeros(n_classes), None
        if class_weight is not None:
            root = np.sqrt(class_weight)
            with np.errstate(divide="ignore"):
                offset = np.log(class_weight) / 2
        penalty, inverse_temperature = _DEFAULT_PENALTY, _DEFAULT_INVERSE_TEMPERATURE
        if held_out is not None:
            penalty = float(_PENALTIES[held_out.choice])
            penalty *= len(table.values) / held_out.n_fitted
            inverse_temperature = _fit_inverse_temperature(
                held_out.best, held_out.classes, held_out.case_weight, offset
            )
        coef, intercept = _solve(table, n_classes, penalty, root)
        return cls(scaler, coef, intercept, penalty, inverse_temperature, offset)

    def refit(self, table: FeatureTable, share: float) -> RidgeHead:
        """Fit to a fraction of the training cases, without a new cross-validation."""
        root = np.exp(self.offset) if self.offset.any() else None
        n_classes, penalty = len(self.intercept), self.penalty * share
        coef, intercept = _solve(table, n_classes, penalty, root)
        return replace(self, coef=coef, intercept=intercept)

    def get_state(self) -> State:
        """Return the configuration and the arrays of the head."""
        return {**fields_of(self), "scaler": fields_of(self.scaler)}

    @classmethod
    def from_state(cls, state: State, sizes: Sizes) -> RidgeHead:
        """Build a head from its state; see `FeatureExtractor.from_state`."""
        check_state(state, _STATE, sizes, "head")
        scaler = FeatureScaler.from_state(state["scaler"], sizes)
        offset = state["offset"]
        # The offset of a class with weight 0, which is never predicted, is -inf.
        is_valid = (
            isinstance(offset, np.ndarray)
            and offset.dtype == np.float64
            and offset.shape == (sizes["n_classes"],)
            and (offset < np.inf).all()
            and np.isfinite(offset).any()
        )
        if not is_valid:
            raise ValueError("head.offset is inconsistent with the rest of the model")
        return cls(**{**state, "scaler": scaler})

    @property
    def log_odds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Coefficients and intercepts of the logits."""
        coef = self.inverse_temperature * self.coef
        return coef, self.inverse_temperature * self.intercept + self.offset

    def scores(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return class scores, of shape (n_cases, n_classes)."""
        # torch is used because the callers limit its number of threads.
        coef = torch.from_numpy(self.coef.T.copy()).T  # faster in this memory layout
        starts = range(0, len(features), _CHUNK)
        parts = (self.scaler(features[start : start + _CHUNK]) for start in starts)
        scores = [multiply_rows(torch.from_numpy(p).double(), coef) for p in parts]
        return torch.cat(scores).numpy() + self.intercept

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return log-probabilities up to a constant, of shape (n_cases, n_classes)."""
        scores: NDArray[np.float64] = self.inverse_temperature * self.scores(features)
        return scores + self.offset

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return class probabilities, of shape (n_cases, n_classes)."""
        return softmax(self.logits(features), axis=1)


def predict_logits(
    extractor: FeatureExtractor, head: RidgeHead, execution: Execution, panel: Panel
) -> NDArray[np.float64]:
    """Compute class logits of series, of shape (n_cases, n_classes)."""
    selected = extractor.selected
    assert selected is not None

    def score(part: slice, features: NDArray[np.float32]) -> NDArray[np.float64]:
        # Several times faster than indexing.
        return head.logits(np.take(features, selected, axis=1, mode="clip"))

    found = extractor.map(score, panel, execution, "classes", selected)
    return np.concatenate([logits for _, logits in found])


def _solve(
    table: FeatureTable, n_classes: int, penalty: float, root: Array | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return coefficients and intercepts of a ridge regression of the class targets."""
    centred = _Centred.of(table.values, table, n_classes, root)
    coef = centred.solve(penalty * table.values.shape[1])
    return coef, centred.intercept - centred.middle @ coef


def cross_validate(
    folds: Iterable[tuple[FeatureTable, FeatureTable]],
    n_classes: int,
    weight: NDArray[np.float32],
    class_weight: Array | None = None,
) -> HeldOutScores | None:
    """Return the scores of held-out cases, or None if no cases can be scored.

    `folds` contains the training cases and held-out cases of each fold. Their features
    are not scaled, and are selected without the held-out cases. `weight` contains the
    weights of the features.
    """
    scores, classes, case_weights, sizes = [], [], [], []
    for train, test in folds:
        # Classes without training cases cannot be predicted.
        known = np.isin(test.classes, train.classes)
        if not known.any():
            continue
        held_out = test.values[known]
        scores.append(
            _held_out_scores(train, held_out, n_classes, weight, class_weight)
        )
        sizes.append(len(train.classes))
        classes.append(test.classes[known])
        own = test.weights(class_weight)
        case_weights.append(np.ones(known.sum()) if own is None else own[known])
    if not scores:
        return None
    every = np.concatenate(scores, axis=1)
    labels, case_weight = np.concatenate(classes), np.concatenate(case_weights)
    errors = np.square(every - _targets(labels, n_classes)).mean(axis=2)
    choice = int(np.average(errors, axis=1, weights=case_weight).argmin())
    return HeldOutScores(every, labels, case_weight, float(np.mean(sizes)), choice)


def _held_out_scores(
    train: FeatureTable,
    test: NDArray[np.float32],
    n_classes: int,
    feature_weight: NDArray[np.float32],
    class_weight: Array | None,
) -> NDArray[np.float64]:
    """Return scores of held-out cases, of shape (n_penalties, n_cases, n_classes)."""
    scaler = FeatureScaler.fit(train.values, feature_weight)
    root = None if class_weight is None else np.sqrt(class_weight)
    known = _Centred.of(scaler(train.values), train, n_classes, root)
    values, vectors = eigh(known.gram().astype(np.float64), overwrite_a=True)
    across = ((scaler(test) - known.middle) @ known.values.T).astype(np.float64)
    across, right = across @ vectors, vectors.T @ known.targets
    penalties = test.shape[1] * _PENALTIES
    return known.intercept + np.stack(
        [
            across @ (right / (np.maximum(values, 0) + penalty)[:, None])
            for penalty in penalties
        ]
    )


class _Centred(NamedTuple):
    """Centred features and targets, multiplied by square roots of case weights."""

    values: NDArray[np.float32]  # (n_cases, n_features)
    targets: NDArray[np.float64]  # (n_cases, n_classes)
    middle: NDArray[np.float32]
    intercept: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        values: NDArray[np.float32],
        table: FeatureTable,
        n_classes: int,
        root_class_weight: Array | None,
    ) -> _Centred:
        targets = table.targets(n_classes).astype(np.float64)
        weight = table.weights(root_class_weight)
        if weight is None:
            middle = values.mean(axis=0, dtype=np.float64).astype(np.float32)
            intercept = targets.mean(axis=0)
            return cls(values - middle, targets - intercept, middle, intercept)
        middle = np.average(values, axis=0, weights=weight).astype(np.float32)
        intercept = np.average(targets, axis=0, weights=weight)
        root = np.sqrt(weight)[:, None]
        values = values - middle
        values *= root.astype(np.float32)
        return cls(values, (targets - intercept) * root, middle, intercept)

    def gram(self, of_features: bool = False) -> NDArray[np.float32]:
        """Return the lower triangle of the Gram matrix of cases, or of features."""
        gram: NDArray[np.float32] = ssyrk(
            1.0, self.values.T, trans=not of_features, lower=1
        )
        return gram

    def solve(self, penalty: float) -> NDArray[np.float64]:
        """Return the coefficients of ridge regression."""
        n_cases, n_features = self.values.shape
        gram = self.gram(of_features=n_features <= n_cases)
        gram[np.diag_indices_from(gram)] += np.float32(penalty)
        factor = cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
        right = self.targets.astype(np.float32)
        if n_features <= n_cases:
            coef = cho_solve(factor, self.values.T @ right)
        else:
            coef = self.values.T @ cho_solve(factor, right)
        return coef.astype(np.float64)


def _targets(classes: NDArray[np.int64], n_classes: int) -> NDArray[np.float32]:
    targets = -np.ones((len(classes), n_classes), np.float32)
    targets[np.arange(len(classes)), classes] = 1
    return targets


def _fit_inverse_temperature(
    scores: Array, classes: NDArray[np.int64], weight: Array, offset: Array
) -> float:
    """Return the inverse temperature with the highest posterior probability."""
    counted = weight > 0  # classes with weight 0 cannot be predicted
    scores, classes, weight = scores[counted], classes[counted], weight[counted]
    if not len(scores):
        return _DEFAULT_INVERSE_TEMPERATURE

    n_cases = len(classes)
    widest = np.ptp(scores, axis=1).max()
    usual = np.log(_USUAL_ODDS * max(1, n_cases / 1000))

    def loss(log_factor: float) -> float:
        factor = np.exp(log_factor)
        each = log_softmax(factor * scores + offset, axis=1)
        own = each[np.arange(n_cases), classes]
        excess = max(0.0, _GROWTH * factor * widest - usual)
        return float(-np.average(own, weights=weight) + _PRICE * excess / n_cases)

    bounds = (np.log(0.01), np.log(30.0))
    found = minimize_scalar(loss, bounds=bounds, method="bounded")
    return float(_GROWTH * np.exp(found.x))
