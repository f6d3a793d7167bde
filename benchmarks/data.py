"""Data sets, splits and scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, log_loss
from sklearn.model_selection import (
    GroupKFold,
    StratifiedKFold,
)

Array = NDArray[Any]
Cases = NDArray[np.intp]
# fmt: off
SMALL_SETS = (
    "BasicMotions", "ArrowHead", "GunPoint", "ItalyPowerDemand", "OSULeaf",
    "JapaneseVowels", "ACSF1", "RacketSports", "NATOPS", "Epilepsy",
    "UTD-MHAD-inertial", "CricketX", "SwedishLeaf", "SyntheticControl", "ECG200",
    "SmallKitchenAppliances", "AllGestureWiimoteX", "MelbournePedestrian", "Worms",
)
# fmt: on
LARGE_SETS = ("UCI-HAR", "MotionSense")
GROUPS = {"small": SMALL_SETS, "large": LARGE_SETS}


@dataclass(frozen=True, eq=False)
class Part:
    """Cases of a data set, with their labels and metadata."""

    X: Any
    y: NDArray[np.str_]
    channel_names: tuple[str, ...] | None = None
    subjects: Array | None = None


def expand(names: Sequence[str], data: str | None) -> list[str]:
    """Replace names of groups by those of their sets, and check that these exist."""
    from sktext_vq import datasets

    sets = [name for given in names for name in GROUPS.get(given, [given])]
    if unknown := set(sets) - set(datasets.available(data)):
        raise SystemExit(f"Unknown data sets {', '.join(sorted(unknown))}.")
    return sets


@lru_cache(maxsize=2)  # a process computes many rows of a set
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
    """Load training and test cases, at most a number of each, evenly spread."""
    split = load_split(name, data)
    train = spread_cases(len(split.y_train), most_train)
    test = spread_cases(len(split.y_test), most_test)
    return (
        Part(take(split.X_train, train), split.y_train[train], split.channel_names),
        Part(take(split.X_test, test), split.y_test[test], split.channel_names),
    )


def training_part(name: str, data: str | None) -> Part:
    """Load the training part only, for the choice of defaults."""
    split = load_split(name, data)
    return Part(split.X_train, split.y_train, split.channel_names, split.subjects_train)


def load_whole(name: str, data: str | None) -> Part:
    """Load all cases."""
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
    return Part(X, y, split.channel_names, subjects)


def about(name: str, data: str | None) -> dict[str, Any]:
    """Return names of channels and the sampling rate, as parameters of estimators."""
    split = load_split(name, data)
    return {k: getattr(split, k) for k in ("channel_names", "sampling_rate")}


def spread_cases(n_cases: int, most: int) -> Cases:
    """Return all cases, or a number of them at equal distances."""
    return np.linspace(0, n_cases - 1, min(n_cases, most)).astype(np.intp)


def spread_by_class(y: Array, most: int) -> Cases:
    """Return at most a number of cases of each class, evenly spread."""
    chosen = []
    for label in np.unique(y):
        cases = np.flatnonzero(y == label)
        chosen.append(cases[spread_cases(len(cases), most)])
    return np.sort(np.concatenate(chosen))


def first_by_class(y: Array, n_cases: int = 5) -> Cases:
    """Return the first cases of each class."""
    first = [np.flatnonzero(y == label)[:n_cases] for label in np.unique(y)]
    return np.sort(np.concatenate(first))


def draw_by_class(
    y: Array, sizes: Sequence[int] | Cases, rng: np.random.Generator
) -> Cases:
    """Draw cases of each class, or take all if there are fewer."""
    drawn = [
        rng.permutation(np.flatnonzero(y == label))[:size]
        for label, size in zip(np.unique(y), sizes, strict=True)
    ]
    return np.sort(np.concatenate(drawn))


def tiles(
    n_cases: int, n_channels: int, n_timepoints: int, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Repeat, shift and jitter series of BasicMotions up to a size."""
    from sktext_vq.datasets import load

    motions = load("BasicMotions")
    source = motions.X_train
    rng = np.random.default_rng(seed)
    case = np.arange(n_cases) % len(source)
    channel = np.arange(n_channels) % source.shape[1]
    shift = rng.integers(source.shape[2], size=(n_cases, 1))
    timepoint = (shift + np.arange(n_timepoints)) % source.shape[2]
    X = source[case[:, None, None], channel[:, None], timepoint[:, None]]
    spread = source.std(axis=(0, 2))[channel, None]
    X = X + 0.05 * spread * rng.normal(size=X.shape)
    return X.astype(np.float32), motions.y_train[case]


def folds(
    y: Array, subjects: Array | None, seed: int, n_folds: int = 4
) -> Iterator[tuple[Cases, Cases]]:
    """Yield cases to fit and cases to score, of different subjects if known."""
    cases = np.zeros(len(y))
    if subjects is None:
        splitter = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
        return splitter.split(cases, y)
    return GroupKFold(n_folds).split(cases, y, groups=subjects)


def take(X: Any, cases: Cases) -> Any:
    """Return cases of an array or of a list of series of unequal length."""
    return [X[case] for case in cases] if isinstance(X, list) else X[cases]


def scores(
    y: Array,
    predicted: Array,
    probabilities: NDArray[np.floating[Any]] | None = None,
    classes: Array | None = None,
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
    y: Array, probabilities: NDArray[np.floating[Any]], classes: Array, n_bins: int = 15
) -> float:
    """Return the expected calibration error of the most probable class.

    Cases are put into bins of equal width by their highest probability. The error is
    the mean over cases of the distance of accuracy and mean probability in their bin.
    """
    confidence = probabilities.max(axis=1)
    correct = classes[probabilities.argmax(axis=1)] == y
    bins = np.ceil(confidence * n_bins).astype(int)  # right ends belong to a bin
    gaps = np.bincount(bins, weights=correct - confidence)
    return float(np.abs(gaps).sum() / len(y))
