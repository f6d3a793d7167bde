"""Viterbi algorithm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def most_probable_path(
    scores: NDArray[np.float64], self_transition: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Return the most probable sequence of classes, using the Viterbi algorithm.

    `scores` are log-probabilities of shape (n_windows, n_classes), and
    `self_transition` contains the probability that the next window has the same class.
    Classes are equally probable at the start and after a change, so computation time is
    linear in the number of classes.
    """
    n_windows, n_classes = scores.shape
    if n_classes == 1:
        return np.zeros(n_windows, np.intp)
    with np.errstate(divide="ignore"):
        move = np.log((1 - self_transition) / (n_classes - 1))
        kept = np.log(self_transition)
    origin = np.empty((n_windows, n_classes), np.intp)
    best = scores[0]
    every = np.arange(n_classes)
    for i in range(1, n_windows):
        # A class is reached from itself or from the best other class.
        second, top = np.argpartition(best, -2)[-2:]
        other = np.where(every == top, second, top)
        moved, stayed = best[other] + move[i - 1], best + kept[i - 1]
        is_moved = moved > stayed
        origin[i] = np.where(is_moved, other, every)
        best = np.where(is_moved, moved, stayed) + scores[i]
    path = np.empty(n_windows, np.intp)
    path[-1] = best.argmax()
    for i in range(n_windows - 1, 0, -1):
        path[i - 1] = origin[i, path[i]]
    return path
