"""Validated training data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight

from sktext_vq._features.selection import assign_folds
from sktext_vq._training.checkpoint import Checkpoint
from sktext_vq._training.fingerprint import (
    Fingerprint,
    digest_of_tensors,
    fingerprint,
    fingerprint_of_arrays,
    tensors_of,
)
from sktext_vq._training.warm_start import WarmStart
from sktext_vq.panel import Panel

_N_PARTS = 5  # one of these parts is held out
# With fewer cases, the losses of held-out cases would be unreliable.
_MIN_CASES_TO_HOLD_OUT = 50


@dataclass(frozen=True)
class TrainingData:
    """Validated arguments of `fit`.

    Parameters
    ----------
    panel : Panel
        Training series, without cases with weight 0.
    channel_names : tuple of str
        Names of the channels.
    sensors : dict
        Indices of the channels of the three axes of each sensor, by sensor name.
    known_names : tuple of str, optional
        User-defined names of the channels.
    labels : ndarray of shape (n_classes,), optional
        Sorted class labels.
    classes : ndarray of shape (n_cases,), int64, optional
        Index of the class of each case.
    targets : ndarray of shape (n_cases,), optional
        Continuous target of each case, for regression.
    class_weight : ndarray of shape (n_classes,), optional
        Weights of the classes.
    sample_weight : ndarray of shape (n_cases,), optional
        Positive weights of the cases, with a mean of 1. None if all weights are equal.
    groups : ndarray of shape (n_cases,), optional
        Group of each case. All cases of a group are assigned to the same fold.
    case_texts : list of str, optional
        Text of each case.
    warm_start : WarmStart, optional
        Fitted model from which codes and weights are copied.
    checkpoint : Checkpoint, optional
        Checkpoint to which the training state is saved.
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
        """Return a copy with a checkpoint."""
        return dataclasses.replace(self, checkpoint=checkpoint)

    def without_classes(self) -> TrainingData:
        """Return a copy without labels."""
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
            source = {"codes": start.codebook.codes}
            for name, module in start.modules.items():
                source |= {f"{name}.{k}": v for k, v in tensors_of(module).items()}
            found["init"] = Fingerprint("a model", digest_of_tensors(source))
        return found

    def take(self, cases: NDArray[np.int64]) -> TrainingData:
        """Return the data of the given cases."""
        return self._with_rows(self.panel.take(cases), cases)

    def repeat(self, panel: Panel) -> TrainingData:
        """Return the data for a panel with the same number of copies of each case."""
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


def split_cases(
    classes: NDArray[np.int64], groups: NDArray[Any] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split cases into training and held-out cases (a fifth of each class).

    Groups are not split or, without groups, neighbouring cases are held out together.
    Every class with held-out cases also has training cases. If there are fewer than 50
    cases, no cases are held out.
    """
    cases = np.arange(len(classes))
    if len(cases) < _MIN_CASES_TO_HOLD_OUT:
        return cases, cases[:0]
    folds = assign_folds(classes, _N_PARTS, groups)
    held_out = folds == 0
    train = cases[~held_out]
    return train, cases[held_out & np.isin(classes, classes[train])]


def check_classes(
    data: TrainingData, class_weight: Any, estimator: str
) -> TrainingData:
    """Check the labels and groups of a classifier and add class weights.

    Raises
    ------
    ValueError
        If there are no labels, if there is only one class or group, or if a weight is
        invalid. The message contains the class name `estimator`.
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
