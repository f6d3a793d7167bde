"""Other recordings than those of training, few cases, and damaged test series."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from estimators import limit_threads, minirocket
from joblib import Parallel, delayed
from numpy.typing import NDArray
from protocol import Results, load_split, log, make_parser, scores
from report import write_report
from scipy.spatial.transform import Rotation
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from statistics_of_windows import window_statistics

from sktext_vq.text._statistics import fill_gaps

KEYS = ("task", "method", "seed")
VALUES = ("macro_f1", "accuracy", "seconds")

Series = NDArray[np.floating[Any]]

# What both sets of the cross-data tasks have.
CLASSES = ("sitting", "standing", "walking", "walking downstairs", "walking upstairs")
CHANNELS = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
CROSS_DATA = {
    "MotionSense to UCI-HAR": ("MotionSense", "UCI-HAR"),
    "UCI-HAR to MotionSense": ("UCI-HAR", "MotionSense"),
}
_MOST_CASES = 2000  # of the training part of a source

# Training windows of the six classes of MotionSense.
FEW = {
    "5 per class": np.full(6, 5),
    "10 per class": np.full(6, 10),
    "20 per class": np.full(6, 20),
    "long tail": np.maximum((200 * 100 ** -np.linspace(0, 1, 6)).round(), 2),
}
_WHERE_DAMAGED = np.full(6, 200)
_GAP = 0.3

# Changed copies of training series, which baselines get as well.
AUGMENT = {
    "gain": {"gain": 0.3},
    "augmented": {"noise": 0.2, "loss": 0.5, "rotation": 60, "gap": 0.4},
}
OURS: dict[str, dict[str, Any]] = {
    "ours": {},
    "ours, gravity views alone, gain": {
        "gravity": "replace",
        "augment": AUGMENT["gain"],
    },
    "ours, augmented": {"augment": AUGMENT["augmented"]},
}


def noise(size: float) -> Callable[..., Series]:
    """Make a function that adds noise, in standard deviations of channels."""

    def add(X: Series, rng: np.random.Generator, found: Any) -> Series:
        deviations = found.X_train.std(axis=(0, 2))
        return X + size * deviations[:, None] * rng.normal(size=X.shape)

    return add


def loss(*sensors: str) -> Callable[..., Series]:
    """Make a function after which sensors read 0."""

    def lose(X: Series, rng: np.random.Generator, found: Any) -> Series:
        X = X.copy()
        for sensor in sensors:
            X[:, axes_of(sensor, found)] = 0
        return X

    return lose


def rotation(degrees: float) -> Callable[..., Series]:
    """Make a function that turns devices about an axis that each case draws."""

    def turn(X: Series, rng: np.random.Generator, found: Any) -> Series:
        axes = rng.normal(size=(len(X), 3))
        axes /= np.linalg.norm(axes, axis=1, keepdims=True)
        turns = Rotation.from_rotvec(np.deg2rad(degrees) * axes).as_matrix()
        X = X.copy()
        for sensor in ("gravity", "userAcceleration", "rotationRate"):
            own = axes_of(sensor, found)
            X[:, own] = turns @ X[:, own]
        return X

    return turn


def flip(X: Series, rng: np.random.Generator, found: Any) -> Series:
    """Change the sign of the x axis of all sensors."""
    is_x = np.array([name.endswith(".x") for name in found.channel_names])
    return np.where(is_x[:, None], -X, X)


def gap(X: Series, rng: np.random.Generator, found: Any) -> Series:
    """Leave out a stretch of all channels; first and last timepoint stay."""
    n_timepoints = X.shape[2]
    size = round(_GAP * n_timepoints)
    start = rng.integers(1, n_timepoints - size, size=(len(X), 1))
    inside = (np.arange(n_timepoints) >= start) & (
        np.arange(n_timepoints) < start + size
    )
    return np.where(inside[:, None], np.nan, X)


def resampled(X: Series, rng: np.random.Generator, found: Any) -> Series:
    """Keep means of pairs of timepoints, and straight lines between them."""
    n_timepoints = X.shape[2]
    means = X.reshape(*X.shape[:2], n_timepoints // 2, 2).mean(axis=3)
    old = np.arange(n_timepoints // 2) * 2 + 0.5
    new = np.arange(n_timepoints)
    return np.apply_along_axis(lambda own: np.interp(new, old, own), 2, means)


CORRUPTIONS: dict[str, Callable[..., Series]] = {
    "clean": lambda X, rng, found: X,
    "noise .2": noise(0.2),
    "noise .4": noise(0.4),
    "gyroscope lost": loss("rotationRate"),
    "accelerometer lost": loss("gravity", "userAcceleration"),
    "gap of 30 %": gap,
    "rotation 30": rotation(30),
    "rotation 90": rotation(90),
    "axis flipped": flip,
    "resampled": resampled,
}
_BASELINES = ("MiniRocket", "statistics")
SEEDS = {"few": 6}
GROUPS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {  # tasks and methods
    "cross-data": (
        tuple(CROSS_DATA),
        (
            "ours",
            "ours, gravity views alone, gain",
            *_BASELINES,
            *(f"{name}, vertical and horizontal" for name in _BASELINES),
            *(f"{name}, vertical and horizontal, gain" for name in _BASELINES),
        ),
    ),
    "few": (tuple(FEW), ("ours", *_BASELINES)),
    "corruptions": (
        tuple(CORRUPTIONS),
        tuple(
            name + changes
            for name in ("ours", *_BASELINES)
            for changes in ("", ", augmented")
        ),
    ),
}


@dataclass(frozen=True)
class Fit:
    """A fit, and the tasks that it is scored on."""

    group: str
    method: str
    seed: int
    tasks: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Part:
    """Training series, or test series, and their classes."""

    X: Series
    y: NDArray[np.str_]
    channel_names: tuple[str, ...]


def axes_of(sensor: str, found: Any) -> list[int]:
    """Find the three channels of a sensor of MotionSense."""
    return [found.channel_names.index(f"{sensor}.{axis}") for axis in "xyz"]


def shared(X: Series, y: NDArray[np.str_], names: tuple[str, ...]) -> Part:
    """Reduce a part of either set to the channels and classes that both have."""
    cases = np.isin(y, CLASSES)
    channels = dict(zip(names, X[cases].swapaxes(0, 1), strict=True))
    if "total_acc_x" in channels:
        total = [channels[f"total_acc_{axis}"] for axis in "xyz"]
        rate = [channels[f"body_gyro_{axis}"] for axis in "xyz"]
    else:
        total = [
            channels[f"gravity.{axis}"] + channels[f"userAcceleration.{axis}"]
            for axis in "xyz"
        ]
        rate = [channels[f"rotationRate.{axis}"] for axis in "xyz"]
    return Part(np.stack([*total, *rate], axis=1), y[cases], CHANNELS)


def draw(y: NDArray[np.str_], sizes: NDArray[Any], seed: int) -> NDArray[np.intp]:
    """Draw so many cases of each class, which sizes are assigned to at random."""
    rng = np.random.default_rng(seed)
    sizes = rng.permutation(sizes.astype(int))
    chosen = [
        rng.choice(np.flatnonzero(y == label), size, replace=False)
        for label, size in zip(np.unique(y), sizes, strict=True)
    ]
    return np.sort(np.concatenate(chosen))


def training_part(fit: Fit, data: str | None) -> Part:
    """Load what a fit sees."""
    if fit.group == "cross-data":
        found = load_split(CROSS_DATA[fit.tasks[0]][0], data)
        part = shared(found.X_train, found.y_train, found.channel_names)
        cases = np.random.default_rng(fit.seed).permutation(len(part.y))
        cases = np.sort(cases[:_MOST_CASES])
        return Part(part.X[cases], part.y[cases], CHANNELS)
    found = load_split("MotionSense", data)
    sizes = _WHERE_DAMAGED if fit.group == "corruptions" else FEW[fit.tasks[0]]
    cases = draw(found.y_train, sizes, fit.seed)
    return Part(found.X_train[cases], found.y_train[cases], found.channel_names)


def test_parts(fit: Fit, data: str | None) -> Iterator[tuple[str, Part]]:
    """Load what a fit is scored on; all methods see the same damage."""
    if fit.group == "cross-data":
        found = load_split(CROSS_DATA[fit.tasks[0]][1], data)
        yield fit.tasks[0], shared(found.X_test, found.y_test, found.channel_names)
        return
    found = load_split("MotionSense", data)
    for task in fit.tasks:
        X = found.X_test
        if fit.group == "corruptions":
            rng = np.random.default_rng([fit.seed, list(CORRUPTIONS).index(task)])
            X = CORRUPTIONS[task](X, rng, found).astype(X.dtype)
        yield task, Part(X, found.y_test, found.channel_names)


def vertical_and_horizontal(X: Series) -> Series:
    """Describe sensors so that it does not matter how a device was turned.

    Parameters
    ----------
    X : ndarray of shape (n_cases, 6, n_timepoints)
        Acceleration and rotation rate.

    Returns
    -------
    ndarray of shape (n_cases, 6, n_timepoints)
        Of each the part along the mean acceleration, the size of the rest, and its
        norm.
    """
    up = X[:, :3].mean(axis=2)
    up = up / (np.linalg.norm(up, axis=1, keepdims=True) + 1e-12)
    views = []
    for sensor in (X[:, :3], X[:, 3:]):
        along = np.einsum("nc,nct->nt", up, sensor)
        rest = sensor - up[:, :, None] * along[:, None]
        views += [along, np.linalg.norm(rest, axis=1), np.linalg.norm(sensor, axis=1)]
    return np.stack(views, axis=1)


def build(fit: Fit, channel_names: tuple[str, ...]) -> Any:
    """Make an estimator of one thread; in the long tail all weigh classes alike."""
    weight = "balanced" if fit.tasks == ("long tail",) else None
    if fit.method in OURS:
        from sktext_vq import VQTextClassifier

        return VQTextClassifier(
            max_epochs=0,
            random_state=fit.seed,
            channel_names=channel_names,
            class_weight=weight,
            **OURS[fit.method],
        )
    name, *options = fit.method.split(", ")
    if name == "MiniRocket":
        model = minirocket(fit.seed, n_jobs=1)
    else:
        model = make_pipeline(
            FunctionTransformer(window_statistics),
            StandardScaler(),
            RidgeClassifierCV(alphas=np.logspace(-1, 5, 13)),
        )
    model[-1].set_params(class_weight=weight)
    if "vertical and horizontal" in options:
        return make_pipeline(FunctionTransformer(vertical_and_horizontal), model)
    return model


def with_copies(part: Part, method: str, seed: int) -> Part:
    """Add to training series the copies that a baseline asks for."""
    changes = AUGMENT.get(method.rpartition(", ")[2])
    if changes is None or method in OURS:
        return part
    from sktext_vq._features.augmentation import add_copies
    from sktext_vq._utils.channels import find_triads
    from sktext_vq.panel import as_panel

    triads = list(find_triads(part.channel_names).values())
    panel = add_copies(as_panel(part.X), triads, changes, np.random.RandomState(seed))
    y = np.repeat(part.y, panel.n_cases // len(part.y))
    return Part(fill_gaps(panel.values), y, part.channel_names)


def evaluate(fit: Fit, data: str | None) -> list[dict[str, Any]]:
    """Fit once, and score on each task; seconds are those of the fit and of a test."""
    part = training_part(fit, data)
    rows = []
    with limit_threads(1):
        start = time.perf_counter()
        part = with_copies(part, fit.method, fit.seed)
        model = build(fit, part.channel_names).fit(part.X, part.y)
        fit_seconds = time.perf_counter() - start
        for task, test in test_parts(fit, data):
            X = test.X if fit.method in OURS else fill_gaps(test.X)
            start = time.perf_counter()
            found = scores(test.y, model.predict(X))
            rows.append(
                {
                    "task": task,
                    "method": fit.method,
                    "seed": fit.seed,
                    "macro_f1": found["macro_f1"],
                    "accuracy": found["accuracy"],
                    "seconds": fit_seconds + time.perf_counter() - start,
                }
            )
    return rows


def missing_fits(
    groups: list[str], seeds: list[int] | None, results: Results
) -> list[Fit]:
    """List what is to be fitted, with the tasks that have no rows yet."""
    fits = []
    for group in groups:
        tasks, methods = GROUPS[group]
        together = [tasks] if group == "corruptions" else [(task,) for task in tasks]
        for seed in range(SEEDS.get(group, 2)) if seeds is None else seeds:
            for some in together:
                for method in methods:
                    left = [t for t in some if (t, method, seed) not in results]
                    if left:
                        fits.append(Fit(group, method, seed, tuple(left)))
    return fits


def parser() -> argparse.ArgumentParser:
    """Make the parser of options."""
    found = make_parser(
        "Score on recordings of other people, phones and places than those of "
        "training, after few training cases, and on damaged series. Rows that "
        "results/shift.csv has are not computed again."
    )
    found.add_argument(
        "--tasks",
        nargs="+",
        choices=list(GROUPS),
        default=list(GROUPS),
        help="groups of tasks",
        metavar="GROUP",
    )
    found.add_argument(
        "--seeds",
        nargs="+",
        type=int,
        help="of each; without any 0 and 1, and more where seeds draw few cases",
        metavar="SEED",
    )
    found.add_argument(
        "--processes", type=int, default=os.cpu_count(), help="of one thread each"
    )
    return found


def main() -> None:
    """Compute what is missing, and write the tables."""
    args = parser().parse_args()
    results = Results(args.results / "shift.csv", KEYS, VALUES)
    fits = missing_fits(args.tasks, args.seeds, results)
    found = Parallel(n_jobs=args.processes, return_as="generator_unordered")(
        delayed(evaluate)(fit, args.data) for fit in fits
    )
    for i, rows in enumerate(found, start=1):
        for row in rows:
            results.add(row)
            log(
                f"{i} of {len(fits)}: {row['task']}, {row['method']}, seed "
                f"{row['seed']}: macro-F1 {row['macro_f1']:.3f}"
            )
    write_report("shift", args.results)


if __name__ == "__main__":
    main()
