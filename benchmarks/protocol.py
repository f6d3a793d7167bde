"""What all benchmarks share: data sets, splits, scores, and files of results."""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

# This module imports neither torch nor scikit-learn at its top: a process that measures
# the memory of another method must not have them.
from sktext_vq import __version__, datasets

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

RESULTS = Path(__file__).parent / "results"
_PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "sktime", "numba")


def make_parser(description: str) -> argparse.ArgumentParser:
    """Make a parser with the options that all benchmarks have."""
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--data",
        default=os.environ.get("SKTEXT_VQ_DATA"),
        help="folder of data sets, as in sktext_vq.datasets.load; or set "
        "SKTEXT_VQ_DATA. Without it there are the sets that come with sktime",
        metavar="FOLDER",
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=RESULTS,
        help="folder that results go to",
        metavar="FOLDER",
    )
    return parser


def log(message: str) -> None:
    """Show progress."""
    print(message, file=sys.stderr, flush=True)


@dataclass(frozen=True, eq=False)
class TrainingPart:
    """The training part of a data set, and nothing of its test part."""

    X: Any
    y: NDArray[np.str_]
    subjects: NDArray[Any] | None


@cache  # processes that share out work come back to a set many times
def training_part(name: str, data: str | None) -> TrainingPart:
    """Load what choices may be made on."""
    found = load_split(name, data)
    return TrainingPart(found.X_train, found.y_train, found.subjects_train)


@cache
def load_parts(name: str, data: str | None, most_train: int, most_test: int) -> Any:
    """Load a set, and at most so many cases of each part, evenly spread."""
    split = load_split(name, data)
    train = spread_cases(len(split.y_train), most_train)
    test = spread_cases(len(split.y_test), most_test)
    return SimpleNamespace(
        X_train=take(split.X_train, train),
        y_train=split.y_train[train],
        X_test=take(split.X_test, test),
        y_test=split.y_test[test],
        about=about(split),
    )


def about(split: Any) -> dict[str, Any]:
    """Return what is known of the series, as parameters of our estimators."""
    return {
        "channel_names": split.channel_names,
        "sampling_rate": split.sampling_rate,
    }


def spread_cases(n_cases: int, most: int) -> NDArray[np.intp]:
    """Return all cases, or so many at equal distances."""
    return np.linspace(0, n_cases - 1, min(n_cases, most)).astype(np.intp)


def load_split(name: str, data: str | None) -> Any:
    """Load a data set, and check that nobody is in both parts of it."""
    found = datasets.load(name, data)
    if found.subjects_train is not None and found.subjects_test is not None:
        both = set(found.subjects_train.tolist()) & set(found.subjects_test.tolist())
        if both:
            raise ValueError(f"{name} has subjects {sorted(both)} in both parts.")
    return found


@dataclass(frozen=True, eq=False)
class Whole:
    """All cases of a data set, the official training cases before those for tests."""

    X: Any
    y: NDArray[np.str_]
    subjects: NDArray[Any] | None
    n_train: int
    about: dict[str, Any]


def load_whole(name: str, data: str | None) -> Whole:
    """Load both parts of a data set as one, for `resample` to split again."""
    split = load_split(name, data)
    X: Any
    if isinstance(split.X_train, list):
        X = [*split.X_train, *split.X_test]
    else:
        X = np.concatenate([split.X_train, split.X_test])
    subjects = None
    if split.subjects_train is not None and split.subjects_test is not None:
        subjects = np.concatenate([split.subjects_train, split.subjects_test])
    return Whole(
        X=X,
        y=np.concatenate([split.y_train, split.y_test]),
        subjects=subjects,
        n_train=len(split.y_train),
        about=about(split),
    )


def resample(
    y: NDArray[Any], n_train: int, subjects: NDArray[Any] | None, number: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Split all cases of a set into training and test cases.

    Parameters
    ----------
    y : ndarray of shape (n_cases,)
        Labels of the official training cases, and after them of the test cases.
    n_train : int
        How many there are of the former.
    subjects : ndarray of shape (n_cases,), optional
        Who they are from, if it is known.
    number : int
        0 for the official parts. Any other is the seed of new ones: stratified ones of
        the same sizes, or ones of different subjects, as many for tests as before.

    Returns
    -------
    tuple of two ndarrays of int
        Cases in ascending order. sktime's `evaluate` needs that: it keeps series in
        their own order and takes labels in the order of the split.
    """
    from sklearn import model_selection

    cases = np.arange(len(y))
    if number == 0:
        return cases[:n_train], cases[n_train:]
    if subjects is None:
        sizes = {"train_size": n_train, "test_size": len(y) - n_train}
        splitter = model_selection.StratifiedShuffleSplit(
            1, **sizes, random_state=number
        )
    else:
        n_test_subjects = len(np.unique(subjects[n_train:]))
        splitter = model_selection.GroupShuffleSplit(
            1, test_size=n_test_subjects, random_state=number
        )
    train, test = next(splitter.split(cases, y, groups=subjects))
    return np.sort(train), np.sort(test)


def folds(
    y: NDArray[Any], subjects: NDArray[Any] | None, seed: int, n_folds: int = 4
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield cases to fit and cases to score, of different people if they are known."""
    from sklearn import model_selection

    cases = np.zeros(len(y))
    if subjects is None:
        splitter = model_selection.StratifiedKFold(
            n_folds, shuffle=True, random_state=seed
        )
        return splitter.split(cases, y)
    return model_selection.GroupKFold(n_folds).split(cases, y, groups=subjects)


def take(X: Any, cases: NDArray[np.intp]) -> Any:
    """Pick cases of an array or of a list of series of unequal length."""
    return [X[case] for case in cases] if isinstance(X, list) else X[cases]


def scores(
    y: NDArray[Any],
    predicted: NDArray[Any],
    probabilities: NDArray[np.floating[Any]] | None = None,
    classes: NDArray[Any] | None = None,
) -> dict[str, float | str]:
    """Compute scores of predictions; two of them are of probabilities, if given."""
    from sklearn import metrics

    found: dict[str, float | str] = {
        "accuracy": float(metrics.accuracy_score(y, predicted)),
        "balanced_accuracy": float(metrics.balanced_accuracy_score(y, predicted)),
        "macro_f1": float(metrics.f1_score(y, predicted, average="macro")),
        "log_loss": "",
        "calibration_error": "",
    }
    if probabilities is not None and classes is not None:
        found["log_loss"] = float(metrics.log_loss(y, probabilities, labels=classes))
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


def scores_of_text(model: Any, X: Any, y: NDArray[Any]) -> dict[str, float]:
    """Find classes by sentences whose wording is not among the texts of training."""
    texts = [f"a person {label}" for label in model.classes_]
    told = np.sqrt(model.transform_text(texts))
    likenesses = {"affinity": np.sqrt(model.transform_codes(X)) @ told.T}
    if "text" in model.network_.model.parts:
        likenesses["similarity"] = model.similarity(X, texts)
    return {
        kind: float(np.mean(model.classes_[likeness.argmax(1)] == y))
        for kind, likeness in likenesses.items()
    }


def explained(model: Any, X: Any, rebuilt: NDArray[np.floating[Any]]) -> float:
    """Return the share of the variance around the mean of channels that was rebuilt.

    Channels are standardised. What could not be rebuilt counts as the mean.
    """
    from sktext_vq.panel import as_panel

    panel = as_panel(X)
    scale = model.features_.scaler.scale[:, None]
    middle = np.nanmean(panel.values, axis=(0, 2), keepdims=True)
    values, drawn = (panel.values - middle) / scale, (rebuilt - middle) / scale
    there = np.isfinite(values)  # neither missing nor past the end
    errors = values - np.where(np.isfinite(drawn), drawn, 0)
    return float(1 - np.square(errors[there]).sum() / np.square(values[there]).sum())


class Results:
    """A CSV file of results that grows by a row at a time, so runs can be resumed.

    Versions and machine are kept beside it, and rows of other ones are not mixed in.

    Parameters
    ----------
    path : Path
        The file.
    keys : sequence of str
        Columns that tell rows apart.
    values : sequence of str
        The other columns.
    facts : mapping, optional
        What else must be the same in all rows; for the file of versions.
    """

    def __init__(
        self,
        path: Path,
        keys: Sequence[str],
        values: Sequence[str],
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = path
        self.keys = tuple(keys)
        self.columns = (*keys, *values)
        self.done: set[tuple[str, ...]] = set()
        beside = path.with_suffix(".environment.json")
        here = {**environment(), **(facts or {})}
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(json.dumps(here, indent=2) + "\n", encoding="utf-8")
            self._append(self.columns)
            return
        there = json.loads(beside.read_text(encoding="utf-8"))
        other = [key for key in {**here, **there} if here.get(key) != there.get(key)]
        if other:
            raise SystemExit(
                f"{path} was made with other {', '.join(other)}. Move it away to start "
                "anew."
            )
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        damaged = [row for row in rows if len(row) != len(self.columns)]
        if tuple(header) != self.columns or damaged:
            raise SystemExit(f"{path} has other columns, or a row that broke off.")
        self.done = {tuple(row[: len(self.keys)]) for row in rows}

    def __contains__(self, key: Sequence[Any]) -> bool:
        return tuple(map(str, key)) in self.done

    def add(self, row: Mapping[str, Any]) -> None:
        """Write a row."""
        if set(row) != set(self.columns):
            raise ValueError(f"The row has {sorted(row)}, not {self.columns}.")
        values = [_text(row[column]) for column in self.columns]
        self._append(values)
        self.done.add(tuple(values[: len(self.keys)]))

    def _append(self, values: Sequence[str]) -> None:
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow(values)


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def environment() -> dict[str, Any]:
    """Return versions, and facts of the machine that times depend on."""
    versions = {"sktext_vq": __version__}
    versions |= {package: version_of(package) for package in _PACKAGES}
    cuda = False
    if find_spec("torch"):
        import torch

        cuda = torch.cuda.is_available()
    return {
        "python": platform.python_version(),
        "versions": versions,
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": _memory_gib(),
        "gpu": torch.cuda.get_device_name() if cuda else None,
    }


def version_of(package: str) -> str | None:
    """Return the version that is installed, if any."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def _memory_gib() -> int | None:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    return round(size / 2**30)
