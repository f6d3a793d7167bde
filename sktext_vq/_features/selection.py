"""Selection and scaling of features."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from sktext_vq._utils.state import Numbers, Sizes, Spec, State, check_state
from sktext_vq.nn.layout import FeatureLayout

_WAITING_VALUES = 2**23
_BLOCK = 2**15  # features per block, so that intermediate results stay in the cache
# Fractions of histograms, matches and summaries to select with classes, chosen on the
# training parts of 19 data sets (benchmarks/results/choices.csv).
_SELECTED_SHARES = (1 / 3, 1 / 3, 1.0)
CLIP = 3.0  # standard deviations
_MIN_LEFT = 1e-2  # minimum variance of a feature, given the selected features
_CHUNK = 16  # cases at a time, whose features stay in the cache
_SCALER_STATE: dict[str, Spec | None] = {
    "mean": Numbers("float32", ("n_selected",)),
    "scale": Numbers("float32", ("n_selected",), above=0),
    "weight": Numbers("float32", ("n_selected",)),
}


class FeatureMoments:
    """Sums of features and of their squares by fold and class, updated in batches.

    Parameters
    ----------
    n_features, n_classes, n_folds : int
        Numbers of features, classes and folds. Scores can be computed with one fold
        left out.
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
        weight: NDArray[np.floating[Any]] | None = None,
    ) -> None:
        """Add the features of some cases, of shape (n_cases, n_features)."""
        if weight is None:
            weight = np.ones(len(features), np.float32)
        # Few large products are faster than many small ones.
        self._waiting.append((features, classes, folds, weight))
        if sum(part[0].size for part in self._waiting) > _WAITING_VALUES:
            self.flush()

    def flush(self) -> None:
        """Process the buffered cases."""
        if not self._waiting:
            return
        features, *columns = zip(*self._waiting, strict=True)
        classes, folds, weight = map(np.concatenate, columns)
        self._waiting.clear()
        n_folds, n_classes = self.counts.shape
        member = np.zeros((n_folds * n_classes, len(classes)), np.float32)
        member[folds * n_classes + classes, np.arange(len(classes))] = weight
        self.counts += member.sum(axis=1).reshape(self.counts.shape)
        present = np.flatnonzero(member.any(axis=1))
        member = member[present]
        fold, label = np.divmod(present, n_classes)
        for start in range(0, self.sums.shape[2], _BLOCK):
            part = slice(start, start + _BLOCK)
            values = np.concatenate([each[:, part] for each in features])
            self.sums[fold, label, part] += member @ values
            self.squares[fold, label, part] += member @ np.square(values)

    def mean_and_scale(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return means and standard deviations (1 for a constant feature)."""
        n_cases = self.counts.sum()
        mean = self.sums.sum((0, 1)) / n_cases
        variance = self.squares.sum((0, 1)) / n_cases - mean**2
        scale = np.sqrt(np.maximum(variance, 0))
        scale[scale < 1e-3] = 1.0
        return mean.astype(np.float32), scale.astype(np.float32)

    def scores(self, left_out: int | None = None) -> NDArray[np.float64]:
        """Return the F statistic of each feature in a one-way analysis of variance.

        The result is equal to :func:`sklearn.feature_selection.f_classif`, but cases
        need not be in memory at the same time. Scores are variances if there is only
        one class, and 0 for constant features. Cases of the fold `left_out` are
        omitted.
        """
        n_features = self.sums.shape[2]
        return np.concatenate(
            [
                self._scores(slice(start, start + _BLOCK), left_out)
                for start in range(0, n_features, _BLOCK)
            ]
        )

    def _scores(self, part: slice, left_out: int | None) -> NDArray[np.float64]:
        """Return the F statistics of consecutive features."""
        folds = np.arange(len(self.counts)) != left_out
        counts = self.counts[folds].sum(axis=0)
        seen = counts > 0
        counts = counts[seen, None]
        sums = self.sums[folds, :, part].sum(axis=0)[seen]
        squares = self.squares[folds, :, part].sum((0, 1))
        n_cases, n_seen = counts.sum(), len(counts)
        middle = sums.sum(axis=0) ** 2 / n_cases
        total = squares - middle
        # Rounding errors of constant features are not variance.
        total[total <= 1e-6 * squares] = 0
        if n_seen < 2 or n_cases <= n_seen:
            return np.maximum(total, 0)
        between = (sums**2 / counts).sum(axis=0) - middle
        within = np.maximum(total - between, 1e-9 * total)
        with np.errstate(divide="ignore", invalid="ignore"):
            score = (between / (n_seen - 1)) / (within / (n_cases - n_seen))
        return np.where(total > 0, score, 0.0)


class TargetMoments:
    """Sums of products of features and a continuous target, updated in batches."""

    def __init__(self, n_features: int) -> None:
        self._products = np.zeros(n_features)
        self._n_cases = self._sum = self._square = 0.0

    def add(
        self,
        features: NDArray[np.float32],
        targets: NDArray[np.float64],
        weight: NDArray[np.floating[Any]] | None = None,
    ) -> None:
        """Add the features of some cases, of shape (n_cases, n_features)."""
        if weight is None:
            weight = np.ones(len(features))
        weighted = weight * targets
        self._products += weighted.astype(np.float32) @ features
        self._n_cases += float(weight.sum())
        self._sum += float(weighted.sum())
        self._square += float(weighted @ targets)

    def scores(self, moments: FeatureMoments) -> NDArray[np.float64]:
        """Return the F statistic of a linear regression on each feature alone.

        The result is equal to :func:`sklearn.feature_selection.f_regression`, but cases
        need not be in memory at the same time. `moments` contains statistics of the
        same features and cases.
        """
        n_cases = self._n_cases
        sums, squares = moments.sums.sum((0, 1)), moments.squares.sum((0, 1))
        total = squares - sums**2 / n_cases
        # Rounding errors of constant features are not variance.
        total[total <= 1e-6 * squares] = 0
        spread = self._square - self._sum**2 / n_cases
        if n_cases <= 2 or spread <= 0:
            return np.maximum(total, 0)
        common = self._products - sums * self._sum / n_cases
        with np.errstate(divide="ignore", invalid="ignore"):
            explained = np.minimum(common**2 / (total * spread), 1 - 1e-9)
            score = explained / (1 - explained) * (n_cases - 2)
        return np.where(total > 0, score, 0.0)


@dataclass(frozen=True)
class FeatureScaler:
    """Standardise, clip and weight features.

    Parameters
    ----------
    mean, scale, weight : ndarray of shape (n_features,), float32
        Mean, standard deviation and weight of each feature.
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    weight: NDArray[np.float32]

    @classmethod
    def fit(
        cls, features: NDArray[np.float32], weight: NDArray[np.float32]
    ) -> FeatureScaler:
        """Compute the mean and the standard deviation of each feature."""
        # The first case is subtracted, so that large constants have no variance.
        first = features[0].astype(np.float64)
        total, square = np.zeros((2, features.shape[1]))
        for start in range(0, len(features), _CHUNK):
            part = features[start : start + _CHUNK] - first
            total += part.sum(axis=0)
            square += np.einsum("ij,ij->j", part, part)
        mean = total / len(features)
        scale = np.sqrt(np.maximum(square / len(features) - mean**2, 0))
        mean += first
        scale[scale < 1e-6] = 1.0
        return cls(mean.astype(np.float32), scale.astype(np.float32), weight)

    @classmethod
    def from_state(cls, state: State, sizes: Sizes) -> FeatureScaler:
        """Build a scaler from its fields."""
        return cls(**check_state(state, _SCALER_STATE, sizes, "scaler"))

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scale features of shape (n_cases, n_features)."""
        found = features - self.mean
        found /= self.scale
        np.clip(found, -CLIP, CLIP, out=found)
        found *= self.weight
        return found

    def scale_in_place(self, features: NDArray[np.float32]) -> None:
        """Scale features in place, in chunks of cases."""
        for start in range(0, len(features), _CHUNK):
            part = features[start : start + _CHUNK]
            part[:] = self(part)


def balance(n_of_kind: Sequence[int]) -> NDArray[np.float32]:
    """Return weights that give all kinds of features the same total variance.

    The mean square of the weights is 1. Without weights, a penalised linear model would
    hardly use kinds with few features.
    """
    sizes = np.array(n_of_kind)
    share = sizes.sum() / (np.count_nonzero(sizes) * np.maximum(sizes, 1))
    return np.repeat(np.sqrt(share), sizes).astype(np.float32)


@dataclass(frozen=True)
class Selection:
    """Features selected from all cases, and with each fold left out.

    Parameters
    ----------
    features : ndarray of int64
        Indices of the selected features, in ascending order.
    n_of_kind : tuple of int
        Numbers of selected histograms, matches and summaries, which are the same for
        all folds.
    without_fold : tuple of ndarray of int64
        For each fold, features selected without the cases of this fold.
    """

    features: NDArray[np.int64]
    n_of_kind: tuple[int, ...]
    without_fold: tuple[NDArray[np.int64], ...] = ()

    @property
    def weight(self) -> NDArray[np.float32]:
        """Weights of the selected features, of shape (n_selected,)."""
        return balance(self.n_of_kind)


def count_wanted(layout: FeatureLayout, is_supervised: bool) -> list[int]:
    """Return the default number of features of each kind to select."""
    return [
        int(size * share) if is_supervised else size
        for size, share in zip(layout.sizes, _SELECTED_SHARES, strict=True)
    ]


def select_features(
    moments: FeatureMoments,
    layout: FeatureLayout,
    max_features: int,
    *,
    is_supervised: bool,
    targets: TargetMoments | None = None,
    n_folds: int = 0,
    n_channels: int | None = None,
) -> Selection:
    """Select the highest-scoring features of each kind.

    Scores are F statistics of a one-way analysis of variance for classes, F statistics
    of linear regressions for continuous targets, and variances otherwise.

    Parameters
    ----------
    moments : FeatureMoments
        Statistics of the features of some cases.
    layout : FeatureLayout
        Positions of features of each kind.
    max_features : int
        Maximum number of features to select.
    is_supervised : bool
        Whether cases have classes or targets.
    targets : TargetMoments, optional
        Statistics of continuous targets of the same cases.
    n_folds : int, default=0
        Number of folds. Features are also selected without the cases of each fold.
    n_channels : int, optional
        Only features of the first `n_channels` channels are selected. By default,
        features of all channels are selected.

    Returns
    -------
    Selection
    """
    sizes = np.array(layout.sizes)
    first = replace(layout, n_channels=n_channels or layout.n_channels)
    wanted = count_wanted(first, is_supervised)
    n_summaries = min(max_features // 2, wanted[2])
    n_counts = min(wanted[0], max_features - n_summaries)
    n_of_kind = (n_counts, wanted[1], n_summaries)
    ends = np.cumsum(sizes)

    def keep(scores: NDArray[np.float64]) -> NDArray[np.int64]:
        # Features of each kind are ordered by channel.
        kinds = zip(ends - sizes, first.sizes, n_of_kind, strict=True)
        return np.concatenate(
            [
                start + keep_best(scores[start : start + size], n)
                for start, size, n in kinds
            ]
        )

    scores = moments.scores() if targets is None else targets.scores(moments)
    if not is_supervised:
        # Histograms and best matches have different units.
        histograms = layout.split(scores)[0]
        for kind in (histograms[..., :-1, :], histograms[..., -1, :]):
            np.divide(kind, max(kind.mean(), 1e-12), out=kind)
    without_fold = tuple(keep(moments.scores(fold)) for fold in range(n_folds))
    return Selection(keep(scores), n_of_kind, without_fold)


def select_forward(
    features: NDArray[np.float32],
    targets: NDArray[np.floating[Any]],
    n_selected: int,
    weight: NDArray[np.floating[Any]] | None = None,
) -> NDArray[np.int64]:
    """Select features one after another, for a linear regression of the targets.

    In each step, the feature that explains the largest part of the remaining variance
    of the targets is selected (orthogonal least squares; Chen, Billings and Luo,
    International Journal of Control, 1989).

    Parameters
    ----------
    features : ndarray of shape (n_cases, n_features)
    targets : ndarray of shape (n_cases, n_targets)
    n_selected : int
    weight : ndarray of shape (n_cases,), optional
        Weights of cases.

    Returns
    -------
    ndarray of shape (n_selected,)
        Indices of features, ascending.
    """
    ones = np.ones(features.shape[1], np.float32)
    rest = FeatureScaler.fit(features, ones)(features)
    residual = targets.astype(np.float32)
    if weight is None:
        weight = np.ones(len(rest))
    root = np.sqrt(weight / weight.mean()).astype(np.float32)[:, None]
    rest = (rest - np.average(rest, axis=0, weights=weight)).astype(np.float32) * root
    residual = (residual - np.average(residual, axis=0, weights=weight)) * root
    is_left = np.ones(rest.shape[1], bool)
    for _ in range(min(n_selected, rest.shape[1])):
        size = np.einsum("ij,ij->j", rest, rest)
        explained = np.square(residual.T @ rest).sum(axis=0)
        # The remainder of a feature that depends on selected features is rounding.
        gain = np.where(size > _MIN_LEFT * len(rest), explained / (size + 1e-9), 0)
        best = int(np.where(is_left, gain, -1).argmax())
        is_left[best] = False
        if gain[best] > 0:
            unit = rest[:, best] / np.sqrt(size[best])
            residual = residual - np.outer(unit, unit @ residual)
            rest -= np.outer(unit, unit @ rest)
    return np.flatnonzero(~is_left)


def assign_folds(
    classes: NDArray[np.int64], n_folds: int, groups: NDArray[Any] | None = None
) -> NDArray[np.int64]:
    """Assign cases to folds, stratified by class.

    Groups are not split or, without groups, neighbouring cases are kept together.
    Neighbours are often from the same person or recording, so random folds would
    underestimate errors on new cases.
    """
    folds = np.zeros(len(classes), np.int64)
    if groups is not None:
        _, members = np.unique(groups, return_inverse=True)
        n_folds = min(n_folds, int(members.max()) + 1)
        n_stratified = min(n_folds, int(np.bincount(classes).max()))
        if n_stratified < 2:
            return members % n_folds
        splitter = StratifiedGroupKFold(n_stratified)
        with warnings.catch_warnings():  # about classes with fewer cases than folds
            warnings.simplefilter("ignore")
            for i, (_, held_out) in enumerate(splitter.split(classes, classes, groups)):
                folds[held_out] = i
        return folds
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        block = np.arange(len(members)) * n_folds // len(members)
        folds[members] = (block + label) % n_folds
    return folds


def keep_best(scores: NDArray[np.floating[Any]], n_kept: int) -> NDArray[np.int64]:
    """Return ascending indices of the highest scores; ties are broken by index."""
    n_left = len(scores) - n_kept
    if n_left <= 0:
        return np.arange(len(scores))
    least = np.partition(scores, n_left)[n_left] if n_kept else np.inf
    best = scores > least
    equal = np.flatnonzero(scores == least)
    best[equal[: n_kept - np.count_nonzero(best)]] = True
    return np.flatnonzero(best)
