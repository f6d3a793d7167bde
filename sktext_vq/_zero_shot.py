"""Classes without recordings: from texts to places in the space of series."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

_DIMENSIONS = 50
_MAX_CASES, _MAX_CASES_PER_CLASS = 600, 50
_SHRINKAGE = 0.1
_PENALTY = 0.3
_FOLDS = 4
_BIASES = np.linspace(-1, 6, 141)


class ZeroShotSpace:
    """A space of series into which texts are mapped.

    Series are whitened by the scatter within classes. Kernel ridge regression from
    the texts of seen classes to their centres tells where an unseen class would lie.
    A series belongs to the candidate whose centre it is nearest to; a bias against
    seen classes, whose centres are known better, is chosen by leaving out each seen
    class in turn (calibrated stacking: Chao et al., ECCV 2016).

    Attributes
    ----------
    basis : ndarray of shape (n_features, n_dimensions)
        From standardised features to the space.
    centre : ndarray of shape (n_dimensions,)
        Mean of the centres of classes.
    centres : ndarray of shape (n_classes, n_dimensions)
        Means of classes, less `centre`.
    held_out : list of (centres, cases, classes)
        Some training cases in spaces that were made without them, for calibration.
    """

    def fit(
        self,
        features: Array,
        classes: NDArray[np.int64],
        random_state: np.random.RandomState,
    ) -> ZeroShotSpace:
        """Fit to standardised features of shape (n_cases, n_features)."""
        n_classes = int(classes.max()) + 1
        order = random_state.permutation(len(classes))
        most = max(_FOLDS, min(_MAX_CASES_PER_CLASS, _MAX_CASES // n_classes))
        members = [order[classes[order] == label][:most] for label in range(n_classes)]
        chosen = np.concatenate(members)
        fold = np.concatenate([np.arange(len(member)) % _FOLDS for member in members])
        features, classes = features[chosen].astype(np.float64), classes[chosen]
        self.basis, self.centre, self.centres = _whiten(features, classes)
        self.held_out = []
        for k in range(_FOLDS):
            inside, outside = fold != k, fold == k
            if len(np.unique(classes[inside])) < n_classes or not outside.any():
                continue
            basis, centre, centres = _whiten(features[inside], classes[inside])
            cases = features[outside] @ basis - centre
            self.held_out.append((centres, cases, classes[outside]))
        return self

    def scores(
        self, features: Array, seen_texts: Array, texts: Array, seen: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Score candidates for series.

        Parameters
        ----------
        features : ndarray of shape (n_cases, n_features)
            Standardised.
        seen_texts : ndarray of shape (n_classes, text_dim)
            Texts of the classes in training.
        texts : ndarray of shape (n_candidates, text_dim)
            Texts of the candidates.
        seen : ndarray of shape (n_candidates,)
            Class that a candidate is; -1 for unseen ones.

        Returns
        -------
        ndarray of shape (n_cases, n_candidates)
        """
        places = _map_texts(texts, seen_texts, self.centres)
        places = np.where(seen[:, None] >= 0, self.centres[seen], places)
        scores = _nearness(features @ self.basis - self.centre, places)
        if (seen >= 0).any() and (seen < 0).any():
            scores -= self.bias(seen_texts) * (seen >= 0)
        return scores

    def bias(self, seen_texts: Array) -> float:
        """Choose what to take from the scores of seen classes.

        Each seen class in turn is treated as unseen. Of all biases, the one with the
        best mean of harmonic means of accuracies on seen and unseen classes is taken.
        """
        n_classes = len(self.centres)
        if n_classes < 3 or not self.held_out:
            return 0.0
        means = np.zeros(len(_BIASES))
        for centres, cases, classes in self.held_out:
            for left_out in np.unique(classes):
                rest = np.delete(np.arange(n_classes), left_out)
                middle = centres[rest].mean(axis=0)
                places = centres - middle
                places[left_out] = _map_texts(
                    seen_texts[[left_out]], seen_texts[rest], places[rest]
                )[0]
                scores = _nearness(cases - middle, places)
                for i, bias in enumerate(_BIASES):
                    shifted = scores - bias * (np.arange(n_classes) != left_out)
                    right = shifted.argmax(axis=1) == classes
                    a = right[classes == left_out].mean()
                    b = right[classes != left_out].mean() if len(classes) > 1 else 0.0
                    means[i] += 2 * a * b / max(a + b, 1e-12)
        best = np.flatnonzero(means >= means.max() - 1e-12)
        return float(_BIASES[best].mean())


def _whiten(
    features: Array, classes: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Find axes whitened by the scatter within classes, and the centres of classes."""
    deviations = features - features.mean(axis=0)
    # Fewer cases than features: the small Gram matrix has the axes too.
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


def _nearness(points: Array, places: Array) -> NDArray[np.float64]:
    """Negative squared distances of points and places, per dimension, halved."""
    squares = np.square(points).sum(1)[:, None] + np.square(places).sum(1)
    return (points @ places.T - squares / 2) / points.shape[1]


def _map_texts(texts: Array, seen_texts: Array, centres: Array) -> NDArray[np.float64]:
    """Kernel ridge regression from texts to places; both are centred on seen ones."""
    middle = seen_texts.mean(axis=0)

    def unit(rows: Array) -> Array:
        rows = rows.astype(np.float64) - middle
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)

    known = unit(seen_texts)
    gram = known @ known.T + _PENALTY * np.eye(len(known))
    return unit(texts) @ known.T @ np.linalg.solve(gram, centres)
