"""Data sets, splits and scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    log_loss,
)
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    StratifiedKFold,
    StratifiedShuffleSplit,
)

SMALL_SETS = (
    "BasicMotions",
    "ArrowHead",
    "GunPoint",
    "ItalyPowerDemand",
    "OSULeaf",
    "JapaneseVowels",
    "ACSF1",
    "RacketSports",
    "NATOPS",
    "Epilepsy",
    "UTD-MHAD-inertial",
    "CricketX",
    "SwedishLeaf",
    "SyntheticControl",
    "ECG200",
    "SmallKitchenAppliances",
    "AllGestureWiimoteX",
    "MelbournePedestrian",
    "Worms",
)
LARGE_SETS = ("UCI-HAR", "MotionSense")
GROUPS = {"small": SMALL_SETS, "large": LARGE_SETS}


@dataclass(frozen=True, eq=False)
class Part:
    """Cases of a data set, and what is known about them."""

    X: Any
    y: NDArray[np.str_]
    channel_names: tuple[str, ...] | None = None
    subjects: NDArray[Any] | None = None


def expand(names: Sequence[str], data: str | None) -> list[str]:
    """Replace names of groups by those of their sets, and check that these exist."""
    from sktext_vq import datasets

    sets = [name for given in names for name in GROUPS.get(given, [given])]
    if unknown := set(sets) - set(datasets.available(data)):
        raise SystemExit(f"Unknown data sets {', '.join(sorted(unknown))}.")
    return sets


@lru_cache(maxsize=2)  # processes that share out work come back to a set many times
def load_split(name: str, data: str | None) -> Any:
    """Load a data set, and check that no subject is in both parts."""
    from sktext_vq import datasets

    found = datasets.load(name, data)
    if found.subjects_train is not None and found.subjects_test is not None:
        both = set(found.subjects_train.tolist()) & set(found.subjects_test.tolist())
        if both:
            raise ValueError(f"{name} has subjects {sorted(both)} in both parts.")
    return found


def load_parts(
    name: str, data: str | None, most_train: int, most_test: int
) -> tuple[Part, Part]:
    """Load training and test cases, at most so many of each, evenly spread."""
    split = load_split(name, data)
    train = spread_cases(len(split.y_train), most_train)
    test = spread_cases(len(split.y_test), most_test)
    return (
        Part(take(split.X_train, train), split.y_train[train], split.channel_names),
        Part(take(split.X_test, test), split.y_test[test], split.channel_names),
    )


def training_part(name: str, data: str | None) -> Part:
    """Load the training part alone, for choices."""
    split = load_split(name, data)
    return Part(split.X_train, split.y_train, split.channel_names, split.subjects_train)


def load_whole(name: str, data: str | None) -> tuple[Part, int]:
    """Load all cases, and the number of training cases, which come first."""
    split = load_split(name, data)
    X: Any
    if isinstance(split.X_train, list):
        X = [*split.X_train, *split.X_test]
    else:
        X = np.concatenate([split.X_train, split.X_test])
    subjects = None
    if split.subjects_train is not None and split.subjects_test is not None:
        subjects = np.concatenate([split.subjects_train, split.subjects_test])
    y = np.concatenate([split.y_train, split.y_test])
    return Part(X, y, split.channel_names, subjects), len(split.y_train)


def about(name: str, data: str | None) -> dict[str, Any]:
    """Return what is known about the series, as parameters of our estimators."""
    split = load_split(name, data)
    return {
        "channel_names": split.channel_names,
        "sampling_rate": split.sampling_rate,
    }


def spread_cases(n_cases: int, most: int) -> NDArray[np.intp]:
    """Return all cases, or so many at equal distances."""
    return np.linspace(0, n_cases - 1, min(n_cases, most)).astype(np.intp)


def spread_by_class(y: NDArray[Any], most: int) -> NDArray[np.intp]:
    """Return cases of each class, at most so many, evenly spread."""
    chosen = []
    for label in np.unique(y):
        cases = np.flatnonzero(y == label)
        chosen.append(cases[spread_cases(len(cases), most)])
    return np.sort(np.concatenate(chosen))


def first_by_class(y: NDArray[Any], n_cases: int = 5) -> NDArray[np.intp]:
    """Return the first cases of each class."""
    first = [np.flatnonzero(y == label)[:n_cases] for label in np.unique(y)]
    return np.sort(np.concatenate(first))


def draw_by_class(
    y: NDArray[Any], sizes: Sequence[int] | NDArray[np.intp], rng: np.random.Generator
) -> NDArray[np.intp]:
    """Draw so many cases of each class, or all if there are fewer."""
    drawn = [
        rng.permutation(np.flatnonzero(y == label))[:size]
        for label, size in zip(np.unique(y), sizes, strict=True)
    ]
    return np.sort(np.concatenate(drawn))


def resample(
    y: NDArray[Any], n_train: int, subjects: NDArray[Any] | None, number: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Split all cases of a set into training and test cases, in ascending order.

    Parameters
    ----------
    y : ndarray of shape (n_cases,)
        Labels of the official training cases, followed by those of the test cases.
    n_train : int
        Number of the former.
    subjects : ndarray of shape (n_cases,), optional
        Subject of each case.
    number : int
        0 for the official parts. Other numbers are seeds of new parts: stratified and
        of the same sizes, or with the same number of other test subjects.
    """
    cases = np.arange(len(y))
    if number == 0:
        return cases[:n_train], cases[n_train:]
    if subjects is None:
        sizes = {"train_size": n_train, "test_size": len(y) - n_train}
        splitter = StratifiedShuffleSplit(1, **sizes, random_state=number)
    else:
        n_test_subjects = len(np.unique(subjects[n_train:]))
        splitter = GroupShuffleSplit(1, test_size=n_test_subjects, random_state=number)
    train, test = next(splitter.split(cases, y, groups=subjects))
    return np.sort(train), np.sort(test)


def folds(
    y: NDArray[Any], subjects: NDArray[Any] | None, seed: int, n_folds: int = 4
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield cases to fit and cases to score, of different subjects if known."""
    cases = np.zeros(len(y))
    if subjects is None:
        splitter = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
        return splitter.split(cases, y)
    return GroupKFold(n_folds).split(cases, y, groups=subjects)


def take(X: Any, cases: NDArray[np.intp]) -> Any:
    """Return cases of an array or of a list of series of unequal length."""
    return [X[case] for case in cases] if isinstance(X, list) else X[cases]


def scores(
    y: NDArray[Any],
    predicted: NDArray[Any],
    probabilities: NDArray[np.floating[Any]] | None = None,
    classes: NDArray[Any] | None = None,
) -> dict[str, float | str]:
    """Compute scores of labels and, if they are given, of probabilities."""
    found: dict[str, float | str] = {
        "accuracy": float(accuracy_score(y, predicted)),
        "balanced_accuracy": float(balanced_accuracy_score(y, predicted)),
        "macro_f1": float(f1_score(y, predicted, average="macro")),
        "log_loss": "",
        "calibration_error": "",
    }
    if probabilities is not None and classes is not None:
        found["log_loss"] = float(log_loss(y, probabilities, labels=classes))
        found["calibration_error"] = calibration_error(y, probabilities, classes)
    return found


def calibration_error(
    y: NDArray[Any],
    probabilities: NDArray[np.floating[Any]],
    classes: NDArray[Any],
    n_bins: int = 15,
) -> float:
    """Return the expected calibration error of the class that is most probable.

    Cases are put into bins of equal width by their highest probability. The error is
    the mean over cases of how far the accuracy in a bin is from the mean probability.
    """
    confidence = probabilities.max(axis=1)
    correct = classes[probabilities.argmax(axis=1)] == y
    bins = np.ceil(confidence * n_bins).astype(int)  # right ends belong to a bin
    gaps = np.bincount(bins, weights=correct - confidence)
    return float(np.abs(gaps).sum() / len(y))
