"""Prediction of embeddings of unseen classes from texts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

_PENALTY = 0.1
# Penalty for the centres, relative to the mean diagonal of their Gram matrix.
_SERIES_PENALTY = 1.0
# Regression shrinks predictions for dissimilar texts. Predictions are therefore scaled:
# 0 keeps their distance from the mean of the seen classes, and 1 sets it to the mean
# distance of the seen classes.
_STRETCH = 0.75
# Weight of the nearest seen class in the novelty, relative to the nearest unseen class.
_SEEN_WEIGHT = 1.5
_MIN_ALIGNMENT = 0.02


class ClassEmbeddings:
    """Embeddings of unseen classes, predicted from texts by kernel ridge regression.

    `seen` and `unseen` are the indices of texts in `views`. `centres` and `spreads` of
    seen classes are described in `ZeroShotSpace`.

    Attributes
    ----------
    across, coef : ndarray of shape (n_unseen, n_seen)
        Kernel of the texts, and coefficients of the regression.
    shrunken, embeddings : ndarray of shape (n_unseen, n_dimensions)
        Predictions of the regression, before and after scaling.
    """

    def __init__(
        self,
        views: Array,
        seen: NDArray[np.int64],
        unseen: NDArray[np.int64],
        centres: Array,
        spreads: Array,
    ) -> None:
        middle = centres.mean(axis=0)
        centred = centres - middle
        target = centred @ centred.T
        within, across, weights = [], [], []
        for view in views:
            rows = _centred(view, seen)
            gram = rows[seen] @ rows[seen].T
            within.append(gram)
            across.append(rows[unseen] @ rows[seen].T)
            weights.append(max(_alignment(gram, target), _MIN_ALIGNMENT))
        self.centres, self.spreads = centres, spreads
        shares = np.array(weights) / sum(weights)
        self.across = np.tensordot(shares, across, 1)
        gram = np.tensordot(shares, within, 1) + _PENALTY * np.eye(len(seen))
        self.coef = np.linalg.solve(gram, self.across.T).T
        moved = self.coef @ centred
        length = np.linalg.norm(moved, axis=1, keepdims=True)
        # As in ESZSL (Romera-Paredes and Torr, ICML 2015), the centres are regularised
        # so that directions with large differences do not dominate. The mean of the
        # predictions with and without this penalty is used.
        target /= max(np.trace(target) / len(seen), 1e-12)
        target += _SERIES_PENALTY * np.eye(len(seen))
        other = np.linalg.solve(target, self.coef.T).T @ centred
        moved = _unit(_unit(moved) + _unit(other)) * length
        self.shrunken = middle + moved
        usual = np.linalg.norm(centred, axis=1).mean()
        moved *= 1 - _STRETCH + _STRETCH * usual / np.maximum(length, 1e-12)
        self.embeddings = middle + moved

    def negative_distances(self, points: Array) -> NDArray[np.float64]:
        """Return the negative squared distances between points and unseen classes."""
        return negative_distances(points, self.embeddings)

    def novelty(self, points: Array, classes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the novelty of points relative to the seen classes `classes`.

        The novelty is the weighted logarithm of the smallest squared distance to a seen
        class, divided by the spread of the class, minus the logarithm of the smallest
        squared distance to an unseen class.
        """
        known = -negative_distances(points, self.centres[classes])
        known = (known / self.spreads[classes]).min(axis=1)
        new = (-negative_distances(points, self.shrunken)).min(axis=1)
        known, new = (np.log(np.maximum(each, 1e-12)) for each in (known, new))
        return np.asarray(_SEEN_WEIGHT * known - new)


def _unit(vectors: Array) -> NDArray[np.float64]:
    """Normalise vectors to length 1, except for zero vectors."""
    size = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(size, 1e-12))


def _centred(view: Array, seen: NDArray[np.int64]) -> NDArray[np.float64]:
    """Scale embeddings to mean 0 and mean squared norm 1 over seen classes.

    Embeddings of missing texts are set to 0.
    """
    has_text = ~np.isnan(view[:, 0])
    present = seen[has_text[seen]]
    if not len(present):
        return np.zeros_like(view)
    rows = np.where(has_text[:, None], view - view[present].mean(axis=0), 0)
    size = np.sqrt(np.square(rows[present]).sum(axis=1).mean())
    return rows / max(size, 1e-12)


def _alignment(a: Array, b: Array) -> float:
    """Return the cosine of two centred kernels."""
    a, b = (
        kernel - kernel.mean(axis=0) - kernel.mean(axis=1)[:, None] + kernel.mean()
        for kernel in (a, b)
    )
    size = np.linalg.norm(a) * np.linalg.norm(b)
    return float((a * b).sum() / size) if size > 0 else 0.0


def negative_distances(points: Array, centres: Array) -> NDArray[np.float64]:
    """Return the negative squared distances, divided by twice the dimension."""
    squares = np.square(points).sum(1)[:, None] + np.square(centres).sum(1)
    return (points @ centres.T - squares / 2) / points.shape[1]
