"""Which features of a histogram are worth keeping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

_WAITING_VALUES = 2**23
CLIP = 3.0  # standard deviations
_CHUNK = 512


class FeatureMoments:
    """Sums and squares of features by fold and class, gathered batch by batch.

    Parameters
    ----------
    n_features, n_classes, n_folds : int
        Sizes. Folds are parts of the cases that statistics may leave out.
    """

    def __init__(self, n_features: int, n_classes: int, n_folds: int) -> None:
        self.counts = np.zeros((n_folds, n_classes))
        self.sums = np.zeros((n_folds, n_classes, n_features))
        self.squares = np.zeros((n_folds, n_classes, n_features))
        self._waiting: list[tuple[NDArray[Any], ...]] = []

    def add(
        self,
        features: NDArray[np.float32],
        classes: NDArray[np.int64],
        folds: NDArray[np.int64],
    ) -> None:
        """Add cases with features of shape (n, n_features)."""
        # Few large products are faster than many small ones.
        self._waiting.append((features, classes, folds))
        if sum(part[0].size for part in self._waiting) > _WAITING_VALUES:
            self.flush()

    def flush(self) -> None:
        """Take in cases that wait for more."""
        if not self._waiting:
            return
        features, classes, folds = map(np.concatenate, zip(*self._waiting, strict=True))
        self._waiting.clear()
        n_folds, n_classes = self.counts.shape
        member = np.zeros((n_folds * n_classes, len(features)), np.float32)
        member[folds * n_classes + classes, np.arange(len(features))] = 1
        self.counts += member.sum(axis=1).reshape(self.counts.shape)
        self.sums += (member @ features).reshape(self.sums.shape)
        self.squares += (member @ np.square(features)).reshape(self.sums.shape)

    def mean_and_scale(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return mean and standard deviation over all cases; the latter is not 0."""
        n_cases = self.counts.sum()
        mean = self.sums.sum((0, 1)) / n_cases
        variance = self.squares.sum((0, 1)) / n_cases - mean**2
        scale = np.sqrt(np.maximum(variance, 0))
        scale[scale < 1e-3] = 1.0
        return mean.astype(np.float32), scale.astype(np.float32)

    def scores(self, left_out: int | None = None) -> NDArray[np.float64]:
        """F statistic of a one-way analysis of variance for each feature.

        As :func:`sklearn.feature_selection.f_classif`, but the features of all cases
        are never in memory together.

        Parameters
        ----------
        left_out : int, optional
            A fold that is not used.

        Returns
        -------
        ndarray of shape (n_features,)
            0 for features that do not vary. The variance, if there is one class.
        """
        folds = np.arange(len(self.counts)) != left_out
        counts = self.counts[folds].sum(axis=0)
        seen = counts > 0
        counts = counts[seen, None]
        sums = self.sums[folds].sum(axis=0)[seen]
        squares = self.squares[folds].sum((0, 1))
        n_cases, n_seen = counts.sum(), len(counts)
        middle = sums.sum(axis=0) ** 2 / n_cases
        total = squares - middle
        # What is left of a constant after rounding is not variance.
        total[total <= 1e-6 * squares] = 0
        if n_seen < 2 or n_cases <= n_seen:
            return np.maximum(total, 0)
        between = (sums**2 / counts).sum(axis=0) - middle
        within = np.maximum(total - between, 1e-9 * total)
        with np.errstate(divide="ignore", invalid="ignore"):
            score = (between / (n_seen - 1)) / (within / (n_cases - n_seen))
        return np.where(total > 0, score, 0.0)


@dataclass(frozen=True)
class FeatureScaler:
    """Standardise features, clip what is far out, and weigh them.

    Parameters
    ----------
    mean, scale, weight : ndarray of shape (n_features,), float32
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    weight: NDArray[np.float32]

    @classmethod
    def fit(
        cls, features: NDArray[np.float32], weight: NDArray[np.float32]
    ) -> FeatureScaler:
        """Take mean and standard deviation of each feature."""
        mean = features.mean(axis=0, dtype=np.float64)
        scale = features.std(axis=0, dtype=np.float64)
        scale[scale < 1e-6] = 1.0
        return cls(mean.astype(np.float32), scale.astype(np.float32), weight)

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scale features of shape (n_cases, n_features)."""
        found = features - self.mean
        found /= self.scale
        np.clip(found, -CLIP, CLIP, out=found)
        found *= self.weight
        return found

    def scale_in_place(self, features: NDArray[np.float32]) -> None:
        """Scale features where they are, some cases at a time."""
        for start in range(0, len(features), _CHUNK):
            part = features[start : start + _CHUNK]
            part[:] = self(part)


def balance(n_of_kind: Sequence[int]) -> NDArray[np.float32]:
    """Weights that give features of each kind the same variance in all.

    Their mean square is 1. A linear model with a penalty on its weights would otherwise
    hardly look at kinds of few features.
    """
    sizes = np.array(n_of_kind)
    share = sizes.sum() / (np.count_nonzero(sizes) * np.maximum(sizes, 1))
    return np.repeat(np.sqrt(share), sizes).astype(np.float32)


@dataclass(frozen=True)
class Selection:
    """Features chosen on some cases, and chosen again without each fold of them.

    Parameters
    ----------
    kept : ndarray of int64
        Chosen features, ascending.
    n_of_kind : tuple of int
        How many of each kind there are among them, with or without a fold: histograms,
        matches, summaries.
    moments : FeatureMoments
        What they were chosen by.
    cases, folds : ndarray of int64
        The cases, and in which fold they are.
    kept_without : list of ndarray of int64
        For each fold, the features chosen without it.
    separation : ndarray of shape (n_codes,), or None
        How surely series of the class of most lift have more of a code than others.
    """

    kept: NDArray[np.int64]
    n_of_kind: tuple[int, ...]
    moments: FeatureMoments
    cases: NDArray[np.int64]
    folds: NDArray[np.int64]
    kept_without: list[NDArray[np.int64]]
    separation: NDArray[np.float64] | None

    @property
    def weight(self) -> NDArray[np.float32]:
        """Weights of chosen features, of shape (n_kept,); see `balance`."""
        return balance(self.n_of_kind)


def assign_folds(
    classes: NDArray[np.int64], n_folds: int, groups: NDArray[Any] | None = None
) -> NDArray[np.int64]:
    """Share out the cases of each class over folds, groups or neighbours together.

    Rows next to each other are often of the same person or recording. Parted at random
    they would make held-out cases look easier than those to come; where the order says
    nothing, blocks are as good as any parts.
    """
    folds = np.zeros(len(classes), np.int64)
    if groups is not None:
        n_folds = min(n_folds, len(np.unique(groups)))
        splitter = StratifiedGroupKFold(n_folds)
        for i, (_, held_out) in enumerate(splitter.split(classes, classes, groups)):
            folds[held_out] = i
        return folds
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        block = np.arange(len(members)) * n_folds // len(members)
        folds[members] = (block + label) % n_folds
    return folds


def keep_best(scores: NDArray[np.floating[Any]], n_kept: int) -> NDArray[np.int64]:
    """Return indices of the best features in ascending order, ties to the first."""
    n_left = len(scores) - n_kept
    if n_left <= 0:
        return np.arange(len(scores))
    least = np.partition(scores, n_left)[n_left] if n_kept else np.inf
    best = scores > least
    equal = np.flatnonzero(scores == least)
    best[equal[: n_kept - np.count_nonzero(best)]] = True
    return np.flatnonzero(best)
