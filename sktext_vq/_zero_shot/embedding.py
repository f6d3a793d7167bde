"""Joint embedding space of series and texts for zero-shot prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, log_softmax, logsumexp

from sktext_vq._utils.state import (
    Number,
    Numbers,
    Sizes,
    Spec,
    State,
    check_state,
    fields_of,
)
from sktext_vq._zero_shot.calibration import HeldOut, calibrate
from sktext_vq._zero_shot.class_embeddings import ClassEmbeddings, negative_distances
from sktext_vq._zero_shot.unknown import SHARE_OF_KNOWN, UnknownDetector, statistics

Array = NDArray[np.floating[Any]]

_DIMENSIONS = 50
_MAX_CASES = 600
_SHRINKAGE = 0.1
_FOLDS = 4
# Limits of log-residuals are above the mean of the held-out cases of a class by this
# number of standard deviations.
_MAX_DEVIATIONS = 2.5
_STEEPNESS = 4.0
_NO_LIMIT = 1e300
_STATE: dict[str, Spec | None] = {
    "basis": Numbers("float64", ("n_selected", "n_dimensions")),
    "centre": Numbers("float64", ("n_dimensions",)),
    "centres": Numbers("float64", ("n_classes", "n_dimensions")),
    "spreads": Numbers("float64", ("n_classes",), above=0),
    "held_out": None,
    "shift": Number(float),
    "residual_limits": Numbers("float64", ("n_classes",)),
    "residual_spread": Number(float, above=0),
}
_HELD_OUT: dict[str, Spec | None] = {
    "centres": Numbers("float64", ("n_classes", "n_own_dimensions")),
    "cases": Numbers("float64", ("n_own_cases", "n_own_dimensions")),
    "classes": Numbers("int64", ("n_own_cases",), above=-1, below="n_classes"),
}


class ZeroShotSpace:
    """Embedding space of series, into which texts are mapped.

    Series are whitened by the within-class scatter. Kernel ridge regression from texts
    to centres of seen classes predicts the centres of unseen classes. The views of a
    class are its prompts and its attributes on each scale. The kernel is the mean of
    the kernels of all views, weighted by kernel alignment with the centres (Cortes et
    al., JMLR 2012).

    Among unseen candidates, a series is assigned to the nearest one. Calibrated
    stacking (Chao et al., ECCV 2016) decides between seen and unseen candidates. The
    bias is a quantile of the novelty of held-out series from seen classes; this
    quantile is chosen by treating some of the seen classes as unseen.

    Attributes
    ----------
    basis : ndarray of shape (n_features, n_dimensions)
        Linear map from standardised features to the space.
    centre : ndarray of shape (n_dimensions,)
        Mean of the class centres.
    centres : ndarray of shape (n_classes, n_dimensions)
        Class centres, minus `centre`.
    held_out : list of HeldOut
        Training cases for calibration, each embedded in a space fitted without it.
    spreads : ndarray of shape (n_classes,)
        Root mean squared distance of held-out cases from the class centre,
        normalised to a mean square of 1 over classes.
    shift : float
        Increase in the log-distances to class centres when whole groups are held out
        instead of single cases; 0 without groups.
    residual_limits : ndarray of shape (n_classes,)
        Maximum of `log_residuals` for series whose nearest class is this class.
    residual_spread : float
        Standard deviation of `log_residuals` of held-out cases within classes.
    """

    def get_state(self) -> State:
        """Return the state as a dict of arrays."""
        return {
            **self.__dict__,
            "held_out": [fields_of(part) for part in self.held_out],
        }

    @classmethod
    def from_state(cls, state: State, sizes: Sizes) -> ZeroShotSpace:
        """Create a space from its state."""
        if isinstance(state, dict):  # files of early versions do not contain all arrays
            limits = np.full(sizes["n_classes"], _NO_LIMIT)
            defaults = {"shift": 0.0, "residual_spread": 1.0, "residual_limits": limits}
            missing = {key: v for key, v in defaults.items() if key not in state}
            state = state | missing
        check_state(state, _STATE, sizes, "space")
        if not isinstance(state["held_out"], list):
            raise ValueError("space.held_out is not a list")
        space = cls()
        space.__dict__.update(state)
        space.held_out = [
            HeldOut(**check_state(each, _HELD_OUT, Sizes(sizes), "held_out"))
            for each in state["held_out"]
        ]
        return space

    def fit(
        self,
        features: Array,
        classes: NDArray[np.int64],
        random_state: np.random.RandomState,
        max_cases: int = _MAX_CASES,
        groups: NDArray[Any] | None = None,
    ) -> ZeroShotSpace:
        """Fit to standardised features of shape (n_cases, n_features).

        With `groups`, of shape (n_cases,), all cases of a group are held out together.
        """
        n_classes = int(classes.max()) + 1
        order = random_state.permutation(len(classes))
        most = max(_FOLDS, max_cases // n_classes)
        members = [order[classes[order] == label][:most] for label in range(n_classes)]
        chosen = np.concatenate(members)
        features, classes = features[chosen].astype(np.float64), classes[chosen]
        self.basis, self.centre, self.centres = whiten(features, classes)
        fold = np.concatenate([np.arange(len(each)) % _FOLDS for each in members])
        self.held_out, residuals = self._hold_out(features, classes, fold)
        self.spreads = self._measure_spreads(n_classes)
        self.shift = 0.0
        if groups is not None and self.held_out:
            fold = np.unique(groups[chosen], return_inverse=True)[1] % _FOLDS
            apart, residuals_apart = self._hold_out(features, classes, fold)
            if apart:
                self.shift = self._distance_quantile(apart)
                self.shift -= self._distance_quantile(self.held_out)
                residuals = residuals_apart
        self._limit_residuals(residuals, classes)
        return self

    def _limit_residuals(
        self, residuals: NDArray[np.float64], classes: NDArray[np.int64]
    ) -> None:
        """Set the limits from residuals, which are NaN unless a case was held out."""
        table = pd.DataFrame({"residual": residuals, "class": classes}).dropna()
        by_class = table.groupby("class")["residual"]
        variances = by_class.var(ddof=0)
        spread = float(np.sqrt(variances.mean()))
        self.residual_spread = spread if spread > 0 else 1.0
        # Shrink variances towards their mean, because classes may have few cases.
        deviations = np.sqrt((variances + variances.mean()) / 2)
        limits = by_class.mean() + _MAX_DEVIATIONS * deviations
        every = limits.reindex(range(len(self.centres)), fill_value=_NO_LIMIT)
        self.residual_limits = every.to_numpy(np.float64)

    def _distance_quantile(self, parts: list[HeldOut]) -> float:
        """Return a quantile of the log-distances of held-out cases."""
        distances = [
            statistics(part.cases, part.centres, self.spreads)[:, 0] for part in parts
        ]
        return float(np.quantile(np.concatenate(distances), SHARE_OF_KNOWN))

    def _hold_out(
        self, features: Array, classes: NDArray[np.int64], fold: NDArray[np.intp]
    ) -> tuple[list[HeldOut], NDArray[np.float64]]:
        """Embed cases in spaces fitted to other folds and compute log-residuals."""
        n_classes, parts = len(self.centres), []
        residuals = np.full(len(classes), np.nan)
        norms = np.square(features).sum(axis=1)
        for k in range(_FOLDS):
            inside, outside = fold != k, fold == k
            if len(np.unique(classes[inside])) == n_classes and outside.any():
                basis, centre, centres = whiten(features[inside], classes[inside])
                products = features[outside] @ basis
                parts.append(HeldOut(centres, products - centre, classes[outside]))
                residuals[outside] = _log_residuals(products, norms[outside], basis)
        return parts, residuals

    def _measure_spreads(self, n_classes: int) -> NDArray[np.float64]:
        """Return the spread of each class, normalised to a mean square of 1."""
        sums, counts = np.zeros(n_classes), np.zeros(n_classes)
        for part in self.held_out:
            deviations = part.cases - part.centres[part.classes]
            np.add.at(sums, part.classes, np.square(deviations).sum(axis=1))
            np.add.at(counts, part.classes, 1)
        if not counts.all() or not sums.all():
            return np.ones(n_classes)
        spreads = sums / counts
        return np.sqrt(spreads / spreads.mean())

    def score(
        self,
        points: Array,
        log_probabilities: Array,
        views: Array,
        seen: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """Return the log-probabilities of candidates for series.

        Parameters
        ----------
        points : ndarray of shape (n_cases, n_dimensions)
            Embeddings of the series.
        log_probabilities : ndarray of shape (n_cases, n_classes)
            Log-probabilities of the training classes, predicted by the classifier.
        views : ndarray of shape (n_views, n_classes + n_candidates, text_dim)
            Embeddings of the texts of training classes, followed by the candidates.
            Embeddings of missing texts are NaN.
        seen : ndarray of shape (n_candidates,)
            Index of the training class of each candidate; -1 for unseen classes.

        Returns
        -------
        ndarray of shape (n_cases, n_candidates)
            Log-probabilities of the candidates.
        """
        n_classes = len(self.centres)
        known = seen >= 0
        classes, unseen = seen[known], n_classes + np.flatnonzero(~known)
        scores = np.empty((len(points), len(seen)))
        if len(classes):
            scores[:, known] = log_softmax(log_probabilities[:, classes], axis=1)
        if not len(unseen):
            return scores
        embeddings = self._embed_classes(views, unseen)
        found = calibrate(self.held_out, self.spreads, views, classes, unseen)
        distances = embeddings.negative_distances(points)
        scores[:, ~known] = log_softmax(found.inverse_temperature * distances, axis=1)
        if not len(classes):
            return scores
        # The margin is the difference between the best seen and unseen scores.
        novelty = embeddings.novelty(points, classes)
        # New groups are farther from all classes, which matters most for one candidate.
        bias = found.bias + max(self.shift, 0.0) / len(unseen)
        margin = found.bias_scale * (novelty - bias)
        for kind, sign in ((known, -1), (~known, 1)):
            scores[:, kind] -= scores[:, kind].max(axis=1, keepdims=True)
            scores[:, kind] += sign * margin[:, None] / 2
        return scores - logsumexp(scores, axis=1, keepdims=True)

    @property
    def can_reject(self) -> bool:
        """Whether series of unknown classes can be detected."""
        return len(self.centres) > 2 and bool(self.held_out)

    def unknown_probability(
        self,
        points: Array,
        residuals: Array | None = None,
        views: Array | None = None,
        seen: Any = (),
    ) -> NDArray[np.float64]:
        """Return the probability of an unknown class for each series.

        The probability exceeds 1/2 for 5 % of the held-out training cases. Without
        unseen candidates, it also exceeds 1/2 if `residuals`, the `log_residuals` of
        the series, exceed the limit of the nearest class. For the other parameters, see
        `score`. By default, there are no candidates.
        """
        if not self.can_reject:
            raise ValueError(
                "unknown_label requires a model that was fitted to at least three "
                "classes with at least two series per class. Set unknown_label=None."
            )
        unseen = len(self.centres) + np.flatnonzero(np.asarray(seen) < 0)
        classes = np.arange(len(self.centres))
        known_views = None if views is None else views[:, : len(self.centres)]
        detector = UnknownDetector.fit(self.held_out, self.spreads, known_views)

        def score(points: Array, centres: Array) -> NDArray[np.float64]:
            new = centres[:0]
            if views is not None and len(unseen):
                known = classes, unseen, centres, self.spreads
                new = ClassEmbeddings(views, *known).embeddings
            return detector.score(points, centres, self.spreads, new)

        known = [score(part.cases, part.centres) for part in self.held_out]
        threshold = np.quantile(np.concatenate(known), SHARE_OF_KNOWN)
        threshold += max(detector.weight[0], 0) * self.shift
        log_odds = score(points, self.centres) - threshold
        if residuals is not None and not len(unseen):
            nearest = negative_distances(points, self.centres).argmax(axis=1)
            excess = (residuals - self.residual_limits[nearest]) / self.residual_spread
            log_odds = np.maximum(log_odds, _STEEPNESS * excess)
        return np.asarray(expit(log_odds))

    def log_residuals(self, points: Array, squared_norms: Array) -> NDArray[np.float64]:
        """Return logarithms of the squared distances of series from the space.

        `squared_norms`, of shape (n_cases,), belong to the standardised features.
        """
        return _log_residuals(points + self.centre, squared_norms, self.basis)

    def predict_centres(self, views: Array) -> NDArray[np.float64]:
        """Return the predicted centres of candidates; see `score`."""
        return self._embed_classes(views).embeddings

    def cosines(self, points: Array, views: Array) -> NDArray[np.float64]:
        """Return cosine similarities of series and candidates; see `score`."""
        embeddings = self._embed_classes(views).embeddings
        size = np.linalg.norm(points, axis=1)[:, None] * np.linalg.norm(
            embeddings, axis=1
        )
        return points @ embeddings.T / np.maximum(size, 1e-12)

    def reasons(self, points: Array, views: Array) -> tuple[Array, Array]:
        """Return the similarities of candidates and of series to each seen class.

        The shapes are (n_candidates, n_classes) and (n_cases, n_classes). The product
        of the two similarities is the contribution of a class to the score of a
        candidate.
        """
        middle = self.centres.mean(axis=0)
        centred = self.centres - middle
        size = np.linalg.norm(points - middle, axis=1, keepdims=True)
        toward = (points - middle) @ centred.T / np.maximum(size, 1e-12)
        toward /= np.maximum(np.linalg.norm(centred, axis=1), 1e-12)
        return self._embed_classes(views).coef, toward

    def likeness(self, views: Array) -> NDArray[np.float64]:
        """Return the kernel between candidate texts and the texts of training classes.

        The kernel, of shape (n_candidates, n_classes), is positive for similar texts.
        """
        return self._embed_classes(views).across

    def _embed_classes(
        self, views: Array, unseen: NDArray[np.int64] | None = None
    ) -> ClassEmbeddings:
        """Predict embeddings of all candidates, or of the given unseen classes."""
        n_classes = len(self.centres)
        if unseen is None:
            unseen = np.arange(n_classes, views.shape[1])
        seen = np.arange(n_classes)
        return ClassEmbeddings(views, seen, unseen, self.centres, self.spreads)


def whiten(
    features: Array, classes: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return whitened axes, the mean of the class centres, and the class centres.

    Axes are whitened by the within-class scatter. Class centres are relative to their
    mean.
    """
    deviations = features - features.mean(axis=0)
    # There are fewer cases than features, so axes are computed from the Gram matrix.
    values, vectors = np.linalg.eigh(deviations @ deviations.T)
    kept = max(1, min(_DIMENSIONS, int((values > 1e-9 * values[-1]).sum())))
    largest = slice(-1, -kept - 1, -1)
    lengths = np.sqrt(np.maximum(values[largest], 1e-12))
    axes = deviations.T @ (vectors[:, largest] / lengths)
    scores = deviations @ axes
    centres = np.stack(
        [scores[classes == label].mean(axis=0) for label in range(classes.max() + 1)]
    )
    scatter = np.cov((scores - centres[classes]).T, bias=True).reshape(kept, kept)
    floor = _SHRINKAGE * np.trace(scatter) / kept + 1e-9
    root = np.linalg.inv(np.linalg.cholesky(scatter + floor * np.eye(kept))).T
    centres = centres @ root
    centre = centres.mean(axis=0)
    return axes @ root, features.mean(axis=0) @ axes @ root + centre, centres - centre


def _log_residuals(
    products: Array, squared_norms: Array, basis: Array
) -> NDArray[np.float64]:
    """Return log squared distances from the span of `basis`.

    `products` are the products of features and `basis`.
    """
    coordinates = products @ np.linalg.pinv(basis.T @ basis, hermitian=True)
    squares = squared_norms - (coordinates * products).sum(axis=1)
    return np.log(np.maximum(squares, 1e-9))
