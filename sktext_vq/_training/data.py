"""Data that a network is trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from sklearn.utils.class_weight import compute_class_weight

from sktext_vq._features.selection import FeatureMoments
from sktext_vq._training.checkpoint import Checkpoint
from sktext_vq._training.fingerprint import (
    Fingerprint,
    digest_of_tensors,
    fingerprint,
    fingerprint_of_arrays,
    tensors_of,
)
from sktext_vq._training.warm_start import WarmStart
from sktext_vq.panel import Panel, spread_cases

_VALID_SHARE = 0.2
# With fewer cases, a validation loss is unreliable, and training needs all cases.
_MIN_CASES_TO_HOLD_OUT = 50


@dataclass(frozen=True)
class TrainingData:
    """Validated arguments of `fit`.

    Parameters
    ----------
    panel : Panel
        Training series, without cases of weight 0.
    channel_names : tuple of str
        Names of the channels.
    sensors : dict
        Channels of the axes of each sensor, by the name of the sensor.
    known_names : tuple of str, optional
        User-defined names of the channels.
    labels : ndarray of shape (n_classes,), optional
        Sorted class labels.
    classes : ndarray of shape (n_cases,), int64, optional
        Index of the class of each case.
    targets : ndarray of shape (n_cases,), optional
        Continuous target of each case, in place of classes, in any unit.
    class_weight : ndarray of shape (n_classes,), optional
        Weights of the classes.
    sample_weight : ndarray of shape (n_cases,), optional
        Weights of the cases, above 0 with a mean of 1; None if all are equal.
    groups : ndarray of shape (n_cases,), optional
        Groups of cases, each of which is assigned to a single fold.
    case_texts : list of str, optional
        Text about each case.
    warm_start : WarmStart, optional
        Fitted model to start from.
    checkpoint : Checkpoint, optional
        File for the state of training.
    """

    panel: Panel
    channel_names: tuple[str, ...]
    sensors: Mapping[str, tuple[int, int, int]]
    known_names: tuple[str, ...] | None = None
    labels: NDArray[Any] | None = None
    classes: NDArray[np.int64] | None = None
    targets: NDArray[np.float64] | None = None
    class_weight: NDArray[np.float64] | None = None
    sample_weight: NDArray[np.float64] | None = None
    groups: NDArray[Any] | None = None
    case_texts: list[str] | None = None
    warm_start: WarmStart | None = None
    checkpoint: Checkpoint | None = None

    @property
    def is_supervised(self) -> bool:
        """Whether cases have classes or continuous targets."""
        return self.classes is not None or self.targets is not None

    def with_checkpoint(self, checkpoint: Checkpoint) -> TrainingData:
        """Return data with a checkpoint."""
        return dataclasses.replace(self, checkpoint=checkpoint)

    def without_classes(self) -> TrainingData:
        """Return data without labels."""
        return dataclasses.replace(self, labels=None, classes=None)

    def fingerprints(self) -> dict[str, Fingerprint]:
        """Return fingerprints of the arguments of `fit`."""
        panel, labels, classes = self.panel, self.labels, self.classes
        shape = f"of shape {(panel.n_cases, panel.n_channels, panel.n_timepoints)}"
        found = {"X": fingerprint_of_arrays(shape, panel.values, panel.lengths)}
        found["y"] = fingerprint(None)
        if labels is not None and classes is not None:
            found["y"] = fingerprint(
                [labels.astype(str).tolist(), classes.tolist()],
                f"{len(classes)} labels of {len(labels)} classes",
            )
        elif self.targets is not None:
            found["y"] = fingerprint_of_arrays(
                f"{len(self.targets)} continuous targets", self.targets
            )
        for name, each in (
            ("text", self.case_texts),
            ("groups", self.groups),
            ("sample_weight", self.sample_weight),
        ):
            found[f"{name} of fit"] = fingerprint(
                None if each is None else np.asarray(each).astype(str).tolist(),
                None if each is None else "given",
            )
        start = self.warm_start
        found["init"] = fingerprint(None)
        if start is not None:
            source = start.tokenizer if start.model is None else start.model
            found["init"] = Fingerprint(
                f"a model with {len(start.channels)} channels",
                digest_of_tensors(tensors_of(source)),
            )
        return found

    def take(self, cases: NDArray[np.int64]) -> TrainingData:
        """Return the data of some cases."""
        return self._with_rows(self.panel.take(cases), cases)

    def repeat(self, panel: Panel) -> TrainingData:
        """Return data of a panel that has the same number of copies of each case."""
        n_cases = self.panel.n_cases
        return self._with_rows(
            panel, np.arange(n_cases).repeat(panel.n_cases // n_cases)
        )

    def _with_rows(self, panel: Panel, rows: NDArray[np.int64]) -> TrainingData:
        columns: dict[str, Any] = {
            name: None if getattr(self, name) is None else getattr(self, name)[rows]
            for name in ("classes", "targets", "sample_weight", "groups")
        }
        texts = self.case_texts
        if texts is not None:
            texts = [texts[i] for i in rows]
        return dataclasses.replace(self, panel=panel, case_texts=texts, **columns)


@dataclass(frozen=True)
class TrainingSplit:
    """Split of the cases into training and validation cases of the network.

    Parameters
    ----------
    cases : ndarray of int64
        Training cases that fit in memory, ascending. All other indices are positions
        in this array.
    train_cases, valid_cases : ndarray of int64
        Training cases, and cases for early stopping.
    selection_cases : ndarray of int64
        Training cases used for feature selection.
    """

    cases: NDArray[np.int64]
    train_cases: NDArray[np.int64]
    valid_cases: NDArray[np.int64]
    selection_cases: NDArray[np.int64]

    @classmethod
    def draw(
        cls,
        n_cases: int,
        classes: NDArray[np.int64] | None,
        max_cases: int,
        max_selection_cases: int,
        random_state: np.random.RandomState,
    ) -> TrainingSplit:
        """Draw cases for training, validation and feature selection."""
        cases = np.arange(n_cases)
        if n_cases > max_cases:
            cases = np.sort(random_state.permutation(n_cases)[:max_cases])
        own = None if classes is None else classes[cases]
        train_cases, valid_cases = split_cases(len(cases), own, random_state)
        drawn = random_state.permutation(train_cases)[:max_selection_cases]
        return cls(cases, train_cases, valid_cases, np.sort(drawn))

    def spread(self, n_cases: int) -> NDArray[np.int64]:
        """Return about `n_cases` cases of both parts, evenly spread, ascending."""
        share = min(1.0, n_cases / (len(self.train_cases) + len(self.valid_cases)))
        chosen = []
        for cases in (self.train_cases, self.valid_cases):
            count = int(np.ceil(share * len(cases)))
            chosen.append(cases[spread_cases(len(cases), count)])
        return np.sort(np.concatenate(chosen))


@dataclass(frozen=True)
class TrainingFeatures:
    """Features of the cases of a split.

    Parameters
    ----------
    selected : ndarray of int64
        Features selected without the labels of validation cases.
    moments : FeatureMoments
        Statistics of all features.
    values : Tensor of shape (n_cases, n_selected), optional
        Selected features; None if training changes features.
    usage : Tensor of shape (n_cases, n_groups, n_heads, n_levels, codes_per_head)
        Usage of the codes by each series.
    """

    selected: NDArray[np.int64]
    moments: FeatureMoments
    values: torch.Tensor | None
    usage: torch.Tensor


def split_cases(
    n_cases: int, classes: NDArray[np.int64] | None, random_state: np.random.RandomState
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split cases into training cases and cases for early stopping.

    If there are fewer than 50 cases, all of them are training cases. The split is
    stratified if each class has at least two cases and there are enough validation
    cases for all classes.
    """
    cases = np.arange(n_cases)
    if n_cases < _MIN_CASES_TO_HOLD_OUT:
        return cases, cases[:0]
    stratify = None
    if classes is not None:
        counts = np.bincount(classes)
        if counts.min() >= 2 and len(counts) <= _VALID_SHARE * n_cases:
            stratify = classes
    train, valid = train_test_split(
        cases, test_size=_VALID_SHARE, stratify=stratify, random_state=random_state
    )
    return np.sort(train), np.sort(valid)


def check_classes(
    data: TrainingData, class_weight: Any, estimator: str
) -> TrainingData:
    """Check labels and groups of a classifier, and return data with class weights.

    Parameters
    ----------
    data : TrainingData
        Arguments of `fit`.
    class_weight : dict, "balanced" or None
        Parameter of the classifier.
    estimator : str
        Name of the class of the classifier, for messages.

    Raises
    ------
    ValueError
        If there are no labels, only one class or one group, or a weight is invalid.
    """
    labels, classes, groups = data.labels, data.classes, data.groups
    if labels is None or classes is None:
        raise ValueError(
            f"{estimator} requires y to be passed, but the target y is None."
        )
    if len(labels) < 2:
        raise ValueError(
            f"{estimator} needs at least two classes, but y has only 1 class: "
            f"{labels[0]!r}."
        )
    if groups is not None and len(np.unique(groups)) < 2:
        raise ValueError(
            f"groups has only one group, {groups.tolist()[0]!r}, so no group can be "
            "held out. Omit groups, or pass at least two groups."
        )
    if class_weight is None:
        return data
    weight = compute_class_weight(
        class_weight,
        classes=labels,
        y=labels[classes],
        sample_weight=data.sample_weight,
    )
    if not weight.any():
        raise ValueError(
            "class_weight must be above 0 for at least one class, got "
            f"{class_weight!r}."
        )
    return dataclasses.replace(data, class_weight=weight)
