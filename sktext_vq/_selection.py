"""Which features of a histogram are worth keeping."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def f_scores(
    batches: Iterable[tuple[NDArray[np.floating[Any]], NDArray[np.int64]]],
    n_classes: int,
) -> NDArray[np.float64]:
    """F statistic of a one-way analysis of variance for each feature.

    As :func:`sklearn.feature_selection.f_classif`, but over batches, so that the
    features of all cases are never in memory together.

    Parameters
    ----------
    batches : iterable of (features, classes)
        Arrays of shape (n, n_features) and class indices of shape (n,).
    n_classes : int
        Number of classes. With one, the variance is returned instead.

    Returns
    -------
    ndarray of shape (n_features,)
        0 for features that do not vary.
    """
    counts = np.zeros(n_classes)
    sums: Any = 0.0
    squares: Any = 0.0
    for features, classes in batches:
        member = np.zeros((n_classes, len(classes)), dtype=features.dtype)
        member[classes, np.arange(len(classes))] = 1
        counts += member.sum(1)
        sums = sums + (member @ features).astype(np.float64)
        squares = squares + np.square(features).sum(0, dtype=np.float64)
    seen = counts > 0
    n_cases, n_seen = counts.sum(), seen.sum()
    sums, counts = sums[seen], counts[seen, None]
    total = squares - sums.sum(0) ** 2 / n_cases
    # What is left of a constant after rounding is not variance.
    total[total <= 1e-6 * squares] = 0
    if n_seen < 2 or n_cases <= n_seen:
        return np.maximum(total, 0)
    between = (sums**2 / counts).sum(0) - sums.sum(0) ** 2 / n_cases
    within = np.maximum(total - between, 1e-9 * total)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = (between / (n_seen - 1)) / (within / (n_cases - n_seen))
    return np.where(total > 0, score, 0.0)


def keep_best(scores: NDArray[np.float64], n_kept: int) -> NDArray[np.int64]:
    """Return indices of the best features in ascending order, ties to the first."""
    best = np.argsort(-scores, kind="stable")[:n_kept]
    return np.sort(best).astype(np.int64)
