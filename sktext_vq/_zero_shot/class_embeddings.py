"""Embeddings of unseen classes, predicted from their texts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

_PENALTY = 0.1
# Penalty of the regression from classes to texts, relative to the mean diagonal of the
# Gram matrix of the centres.
_SERIES_PENALTY = 1.0
# Degree to which predictions are stretched to the mean distance of seen classes from
# their mean, since regression shrinks predictions for dissimilar texts.
_STRETCH = 0.75
# Weight of the nearest seen class in novelty, relative to unseen classes.
_NEAREST_COUNTS = 1.5
_MIN_ALIGNMENT = 0.02


class ClassEmbeddings:
    """Embeddings of unseen classes, predicted from texts by kernel ridge regression.

    Parameters
    ----------
    views : ndarray of shape (n_views, n_texts, text_dim)
        Embeddings of texts.
    seen, unseen : ndarray of int
        Indices of the texts of seen and unseen classes.
    centres : ndarray of shape (n_seen, n_dimensions)
        Centres of seen classes.
    spreads : ndarray of shape (n_seen,)
        Relative distances of series from the centres.

    Attributes
    ----------
    across, coef : ndarray of shape (n_unseen, n_seen)
        Kernel of the texts, and coefficients of the regression.
    shrunken, embeddings : ndarray of shape (n_unseen, n_dimensions)
        Predictions of the regression, before and after stretching to the mean distance
        of seen classes from their mean.
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
        # ESZSL also regularises the centres, so that directions with large differences
        # between centres do not dominate. The mean of both predictions is used.
        target /= max(np.trace(target) / len(seen), 1e-12)
        target += _SERIES_PENALTY * np.eye(len(seen))
        other = np.linalg.solve(target, self.coef.T).T @ centred
        moved = _unit(_unit(moved) + _unit(other)) * length
        self.shrunken = middle + moved
        usual = np.linalg.norm(centred, axis=1).mean()
        moved *= 1 - _STRETCH + _STRETCH * usual / np.maximum(length, 1e-12)
        self.embeddings = middle + moved

    def negative_distances(self, points: Array) -> NDArray[np.float64]:
        """Return negative squared distances of points and unseen classes."""
        return negative_distances(points, self.embeddings)

    def novelty(self, points: Array, classes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return how much closer points are to unseen classes than to seen `classes`.

        Difference of logarithms of the smallest squared distances. Distances to seen
        classes are divided by spreads.
        """
        known = -negative_distances(points, self.centres[classes])
        known = (known / self.spreads[classes]).min(axis=1)
        new = (-negative_distances(points, self.shrunken)).min(axis=1)
        known, new = (np.log(np.maximum(each, 1e-12)) for each in (known, new))
        return np.asarray(_NEAREST_COUNTS * known - new)


def _unit(vectors: Array) -> NDArray[np.float64]:
    """Return vectors of length 1; vectors of length 0 stay 0."""
    size = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(size, 1e-12))


def _centred(view: Array, seen: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return texts with mean 0 and mean squared norm 1 over seen classes.

    Missing texts are set to the mean.
    """
    said = ~np.isnan(view[:, 0])
    there = seen[said[seen]]
    if not len(there):
        return np.zeros_like(view)
    rows = np.where(said[:, None], view - view[there].mean(axis=0), 0)
    size = np.sqrt(np.square(rows[there]).sum(axis=1).mean())
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
    """Return half the negative squared distances per dimension."""
    squares = np.square(points).sum(1)[:, None] + np.square(centres).sum(1)
    return (points @ centres.T - squares / 2) / points.shape[1]
