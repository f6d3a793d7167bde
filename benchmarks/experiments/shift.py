"""Transfer to another data set, few cases, and test series with faults."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from benchmarks.data import Part, load_split, scores
from benchmarks.estimators import classifier, minirocket, ridge
from benchmarks.internals import Series, add_copies, fill_gaps
from benchmarks.runner import Experiment, Options, Row, grid
from benchmarks.statistics import window_statistics
from benchmarks.store import Frames
from benchmarks.tables import markdown, spread_table

Array = NDArray[Any]
# Channels and classes that both data sets of the transfer tasks contain.
SENSORS = ("gravity", "userAcceleration", "rotationRate")
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

# Augmentation, which is also applied for the baselines.
AUGMENT = {
    "gain": {"gain": 0.3},
    "augmented": {"noise": 0.2, "dropout": 0.5, "rotation": 60, "gap": 0.4},
}
OURS: dict[str, dict[str, Any]] = {
    "ours": {},
    "ours, axes replaced, gain": {
        "gravity": "replace",
        "augment": AUGMENT["gain"],
    },
    "ours, augmented": {"augment": AUGMENT["augmented"]},
    "ours, trained": {"max_epochs": 20},
    "ours, augmented, trained": {"augment": AUGMENT["augmented"], "max_epochs": 20},
}
Change = Callable[[Series, np.random.Generator, Any], Series]


def noise(size: float) -> Change:
    """Make a function that adds noise, in standard deviations of channels."""

    def add(X: Series, rng: np.random.Generator, found: Any) -> Series:
        deviations = found.X_train.std(axis=(0, 2))
        return X + size * deviations[:, None] * rng.normal(size=X.shape)

    return add


def loss(*sensors: str) -> Change:
    """Make a function that sets sensors to 0."""

    def lose(X: Series, rng: np.random.Generator, found: Any) -> Series:
        X = X.copy()
        for sensor in sensors:
            X[:, axes_of(sensor, found)] = 0
        return X

    return lose


def rotation(degrees: float) -> Change:
    """Make a function that rotates devices about a random axis for each case."""

    def turn(X: Series, rng: np.random.Generator, found: Any) -> Series:
        axes = rng.normal(size=(len(X), 3))
        axes /= np.linalg.norm(axes, axis=1, keepdims=True)
        turns = Rotation.from_rotvec(np.deg2rad(degrees) * axes).as_matrix()
        X = X.copy()
        for sensor in SENSORS:
            own = axes_of(sensor, found)
            X[:, own] = turns @ X[:, own]
        return X

    return turn


def flip(X: Series, rng: np.random.Generator, found: Any) -> Series:
    """Change the sign of the x axis of all sensors."""
    is_x = np.array([name.endswith(".x") for name in found.channel_names])
    return np.where(is_x[:, None], -X, X)


def gap(X: Series, rng: np.random.Generator, found: Any) -> Series:
    """Delete an interval of all channels, without the first and last timepoint."""
    n_timepoints = X.shape[2]
    size = round(_GAP * n_timepoints)
    start = rng.integers(1, n_timepoints - size, size=(len(X), 1))
    time = np.arange(n_timepoints)
    inside = (time >= start) & (time < start + size)
    return np.where(inside[:, None], np.nan, X)


def resampled(X: Series, rng: np.random.Generator, found: Any) -> Series:
    """Interpolate linearly between means of pairs of timepoints."""
    means = X.reshape(*X.shape[:2], -1, 2).mean(axis=3)
    old, new = np.arange(means.shape[2]) * 2 + 0.5, np.arange(X.shape[2])
    return np.apply_along_axis(lambda own: np.interp(new, old, own), 2, means)


CORRUPTIONS: dict[str, Change] = {
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
_ADDED = (", vertical and horizontal", ", vertical and horizontal, gain")
METHODS = {
    "cross-data": (
        *("ours", "ours, axes replaced, gain", *_BASELINES),
        *(name + added for added in _ADDED for name in _BASELINES),
    ),
    "few": ("ours", *_BASELINES),
    "corruptions": (
        *("ours", "ours, augmented", "ours, trained", "ours, augmented, trained"),
        *(name + added for name in _BASELINES for added in ("", ", augmented")),
    ),
}


def tasks(options: Options) -> Iterator[Row]:
    """Yield all tasks, with more seeds if few cases are drawn."""
    groups = {"cross-data": CROSS_DATA, "few": FEW, "corruptions": CORRUPTIONS}
    for group, names in groups.items():
        seeds = options.seeds or range(6 if group == "few" else 2)
        yield from grid(task=names, method=METHODS[group], seed=seeds)


def fit_of(key: Row) -> Hashable:
    """Return an identifier of the fit: one fit is scored on all damaged series."""
    task = "damage" if key["task"] in CORRUPTIONS else key["task"]
    return task, key["method"], key["seed"]


def axes_of(sensor: str, found: Any) -> list[int]:
    """Find the three channels of a sensor of MotionSense."""
    return [found.channel_names.index(f"{sensor}.{axis}") for axis in "xyz"]


def shared(X: Series, y: Array, names: tuple[str, ...]) -> Part:
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


def draw(y: Array, sizes: Array, seed: int) -> Array:
    """Draw cases of each class; sizes are assigned to classes at random."""
    rng = np.random.default_rng(seed)
    sizes = rng.permutation(sizes.astype(int))
    chosen = [
        rng.choice(np.flatnonzero(y == label), size, replace=False)
        for label, size in zip(np.unique(y), sizes, strict=True)
    ]
    return np.sort(np.concatenate(chosen))


def train(key: Row, data: str | None) -> Part:
    """Load the training data of a fit."""
    task, seed = key["task"], key["seed"]
    if task in CROSS_DATA:
        found = load_split(CROSS_DATA[task][0], data)
        part = shared(found.X_train, found.y_train, found.channel_names)
        cases = np.random.default_rng(seed).permutation(len(part.y))
        cases = np.sort(cases[:_MOST_CASES])
        return Part(part.X[cases], part.y[cases], CHANNELS)
    found = load_split("MotionSense", data)
    cases = draw(found.y_train, FEW.get(task, _WHERE_DAMAGED), seed)
    return Part(found.X_train[cases], found.y_train[cases], found.channel_names)


def test(key: Row, data: str | None) -> Part:
    """Load the test data of a fit; faults are the same for all methods."""
    task = key["task"]
    if task in CROSS_DATA:
        found = load_split(CROSS_DATA[task][1], data)
        return shared(found.X_test, found.y_test, found.channel_names)
    found = load_split("MotionSense", data)
    X = found.X_test
    if task in CORRUPTIONS:
        rng = np.random.default_rng([key["seed"], list(CORRUPTIONS).index(task)])
        X = CORRUPTIONS[task](X, rng, found).astype(X.dtype)
    return Part(X, found.y_test, found.channel_names)


def vertical_and_horizontal(X: Series) -> Series:
    """Return channels that do not depend on rotations of the device.

    For acceleration and rotation rate: the part along the mean acceleration, the norm
    of the rest, and the norm.
    """
    up = X[:, :3].mean(axis=2)
    up = up / (np.linalg.norm(up, axis=1, keepdims=True) + 1e-12)
    views = []
    for sensor in (X[:, :3], X[:, 3:]):
        along = np.einsum("nc,nct->nt", up, sensor)
        rest = sensor - up[:, :, None] * along[:, None]
        views += [along, np.linalg.norm(rest, axis=1), np.linalg.norm(sensor, axis=1)]
    return np.stack(views, axis=1)


def build(key: Row, channel_names: Any) -> Any:
    """Make an estimator of one thread, with balanced classes for the long tail."""
    method, seed = key["method"], key["seed"]
    weight = "balanced" if key["task"] == "long tail" else None
    if method in OURS:
        known = {"channel_names": channel_names, "class_weight": weight}
        return classifier(seed, **{"max_epochs": 0, **known, **OURS[method]})
    name, *options = method.split(", ")
    if name == "MiniRocket":
        model = minirocket(seed, n_jobs=1)
    else:
        features = FunctionTransformer(window_statistics)
        model = make_pipeline(features, StandardScaler(), ridge())
    model[-1].set_params(class_weight=weight)
    if "vertical and horizontal" in options:
        return make_pipeline(FunctionTransformer(vertical_and_horizontal), model)
    return model


def with_copies(part: Part, method: str, seed: int) -> Part:
    """Add augmented copies to the training series of a baseline."""
    changes = AUGMENT.get(method.rpartition(", ")[2])
    if changes is None or method in OURS:
        return part
    X = add_copies(part.X, part.channel_names, changes, seed)
    y = np.repeat(part.y, len(X) // len(part.y))
    return Part(fill_gaps(X), y, part.channel_names)


def evaluate(keys: list[Row], options: Options) -> Iterator[Row]:
    """Fit once, and score on each task. Seconds are the time of the fit and a test."""
    method, seed = keys[0]["method"], keys[0]["seed"]
    part = train(keys[0], options.data)
    start = time.perf_counter()
    part = with_copies(part, method, seed)
    model = build(keys[0], part.channel_names).fit(part.X, part.y)
    fit_seconds = time.perf_counter() - start
    for key in keys:
        other = test(key, options.data)
        X = other.X if method in OURS else fill_gaps(other.X)
        start = time.perf_counter()
        found = scores(other.y, model.predict(X))
        yield key | {
            "macro_f1": found["macro_f1"],
            "accuracy": found["accuracy"],
            "seconds": fit_seconds + time.perf_counter() - start,
        }


def _by_method(frame: pd.DataFrame, tasks: list[str]) -> str:
    table = spread_table(frame, "method", "task", "macro_f1")
    methods = sorted(table.index, key=lambda name: (name[:4] != "ours", name))
    rows = table.loc[methods, tasks].itertuples()
    return markdown(["method", *tasks], rows)


def shift_table(frames: Frames) -> str:
    """Macro-F1 of each method on another set, and after training on few cases."""
    frame = frames["shift"]
    tasks = [task for task in (*CROSS_DATA, *FEW) if task in set(frame["task"])]
    return _by_method(frame[frame["task"].isin(tasks)], tasks)


def damage_table(frames: Frames) -> str:
    """Macro-F1 of each method on damaged series, and the mean of a complete row."""
    frame = frames["shift"]
    frame = frame[~frame["task"].isin([*CROSS_DATA, *FEW])]
    tasks = sorted(frame["task"].unique(), key=lambda task: task != "clean")
    by_fit = frame[frame["task"] != "clean"].pivot(
        index=["method", "seed"], columns="task", values="macro_f1"
    )
    means = by_fit.mean(axis=1, skipna=False).rename("macro_f1").reset_index()
    both = pd.concat([frame, means.assign(task="mean")])
    return _by_method(both, [*tasks, "mean"])


EXPERIMENT = Experiment(
    name="shift",
    about="transfer to another data set, few and rare cases, and damaged series",
    keys=("task", "method", "seed"),
    values=("macro_f1", "accuracy", "seconds"),
    tasks=tasks,
    evaluate=evaluate,
    fit=fit_of,
    processes=0,
    tables={"shift": shift_table, "damage": damage_table},
    page="# Shift\n\n"
    "The tables show the macro-F1 on test sets, as mean ± standard deviation over "
    "seeds, which determine the training cases.\n\n"
    "## Other data sets, and few cases\n\n"
    "{shift}\n\n"
    "In the first two columns, models are trained on one data set and tested on the "
    "other. Both data sets are reduced to their five common classes, and to "
    "total acceleration and rotation rate. The other columns show the scores on "
    "MotionSense after training on few cases. In the long-tailed data, classes have "
    "between 2 and 200 training cases, and all methods use balanced class weights.\n\n"
    "## Test series with faults\n\n"
    "{damage}\n\n"
    "The models are trained on 200 cases per class of MotionSense without faults. "
    "The last column is the mean over all columns except the first.\n",
)
