"""Rate of `DriftWarning` for series with and without faults."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.data import load_split
from benchmarks.internals import find_sensors
from benchmarks.runner import Experiment, Options, Row, grid
from benchmarks.store import Frames
from benchmarks.tables import markdown

SIZES = (1, 10, 100)
OF = ("one person and class", "mixed")
_DRAWS, _CLEAN_DRAWS = 40, 300
_GRAVITY = 9.80665

Array = NDArray[np.float64]
# Functions from windows, and channels of acceleration and rotation by axis, to
# windows with faults.
Fault = Callable[[Array, Array, Array], Array]


def scaled(kind: str, factor: float, axis: int | None = None) -> Fault:
    """Multiply all channels of a kind, or those of an axis."""

    def damage(X: Array, acc: Array, gyro: Array) -> Array:
        X, channels = X.copy(), {"acc": acc, "gyro": gyro}[kind]
        X[:, channels.ravel() if axis is None else channels[:, axis]] *= factor
        return X

    return damage


def turned(order: tuple[int, int, int], signs: tuple[int, int, int]) -> Fault:
    """Exchange axes of all sensors, and change their signs."""

    def damage(X: Array, acc: Array, gyro: Array) -> Array:
        found = X.copy()
        for axes in (*acc, *gyro):
            found[:, axes] = X[:, axes[list(order)]] * np.array(signs)[:, None]
        return found

    return damage


def unit_of_gravity(X: Array, acc: Array) -> float:
    """Return gravity in the unit of the data: g or m/s^2."""
    return 1.0 if np.abs(X[:, acc.ravel()]).mean() < 2 else _GRAVITY


def other_unit(X: Array, acc: Array, gyro: Array) -> Array:
    is_g = unit_of_gravity(X, acc) == 1
    return scaled("acc", _GRAVITY if is_g else 1 / _GRAVITY)(X, acc, gyro)


def milli(X: Array, acc: Array, gyro: Array) -> Array:
    return scaled("acc", 1000 / unit_of_gravity(X, acc))(X, acc, gyro)


def doubled(X: Array, acc: Array, gyro: Array) -> Array:
    """Double the sampling rate: windows of the same length cover half the time."""
    place = np.arange(X.shape[2]) / 2
    first = place.astype(int)
    share = place - first
    return X[:, :, first] * (1 - share) + X[:, :, first + 1] * share


def halved(X: Array, acc: Array, gyro: Array) -> Array:
    """Halve the sampling rate, with the values of a window and of the next window."""
    return np.concatenate([X, np.roll(X, -1, axis=0)], axis=2)[:, :, ::2]


def offset(X: Array, acc: Array, gyro: Array) -> Array:
    """Add half of gravity to the last axis of an accelerometer."""
    X = X.copy()
    X[:, acc[0, 2]] += 0.5 * unit_of_gravity(X, acc)
    return X


def dead(X: Array, acc: Array, gyro: Array) -> Array:
    X = X.copy()
    X[:, acc[0, 1]] = 0.0
    return X


FAULTS: dict[str, Fault] = {
    "none": lambda X, acc, gyro: X,
    "g and m/s^2": other_unit,
    "mg": milli,
    "degrees per second": scaled("gyro", 180 / np.pi),
    "rate doubled": doubled,
    "rate halved": halved,
    "turned about x": turned((0, 1, 2), (1, -1, -1)),
    "turned about y": turned((0, 1, 2), (-1, 1, -1)),
    "turned about z": turned((0, 1, 2), (-1, -1, 1)),
    "x and y swapped": turned((1, 0, 2), (1, 1, 1)),
    "y and z swapped": turned((0, 2, 1), (1, 1, 1)),
    "sign of acceleration x": scaled("acc", -1, 0),
    "sign of acceleration y": scaled("acc", -1, 1),
    "sign of acceleration z": scaled("acc", -1, 2),
    "dead channel": dead,
    "sensors exchanged": lambda X, acc, gyro: np.roll(X, 3, axis=1),
    "channels reversed": lambda X, acc, gyro: X[:, ::-1].copy(),
    "gain .5": scaled("acc", 0.5),
    "gain 2": scaled("acc", 2.0),
    "offset": offset,
}


def draws(
    y: NDArray[Any], people: NDArray[Any], size: int, of: str, n_draws: int
) -> Iterator[NDArray[np.intp]]:
    """Yield consecutive windows of one person and class, or windows of all."""
    rng = np.random.default_rng(size)
    if of == "mixed":
        for _ in range(n_draws):
            yield rng.choice(len(y), min(size, len(y)), replace=False)
        return
    groups = [
        np.flatnonzero((people == person) & (y == label))
        for person in np.unique(people)
        for label in np.unique(y)
    ]
    groups = [group for group in groups if len(group) >= min(size, 10)]
    for i in range(n_draws):
        group = groups[int(i * 0.618034 * len(groups)) % len(groups)]
        start = rng.integers(max(len(group) - size, 0) + 1)
        yield group[start : start + size]


def tasks(options: Options) -> Iterator[Row]:
    """Yield all faults and numbers of windows; a single window is not mixed."""
    settings = {name: [value] for name, value in options.settings.items()}
    for key in grid(set=options.sets, **settings, fault=FAULTS, of=OF, windows=SIZES):
        if key["windows"] > 1 or key["of"] != "mixed":
            yield key


def evaluate(keys: list[Row], options: Options) -> Iterator[Row]:
    """Fit once, and count warnings for each fault and number of windows."""
    from sktext_vq import VQTextTransformer

    found = load_split(keys[0]["set"], options.data)
    train, subjects = np.ones(len(found.X_train), bool), found.subjects_train
    X, y, people = found.X_test, found.y_test, found.subjects_test
    if keys[0]["people"] == "training":
        train = ~np.isin(subjects, np.unique(subjects)[::3])
        X, y, people = found.X_train[~train], found.y_train[~train], subjects[~train]
    names = found.channel_names if keys[0]["names"] == "known" else None
    model = VQTextTransformer(8, max_epochs=0, channel_names=names, random_state=0)
    model.fit(found.X_train[train])
    sensors = find_sensors(found.channel_names).items()
    acc = np.array([axes for name, axes in sensors if is_acc(name)])
    gyro = np.array([axes for name, axes in sensors if not is_acc(name)])
    for key in keys:
        damaged = FAULTS[key["fault"]](X.astype(np.float64), acc, gyro)
        n_draws = _CLEAN_DRAWS if key["fault"] == "none" else _DRAWS
        drawn = draws(y, people, key["windows"], key["of"], n_draws)
        noticed = [is_noticed(model, damaged[cases]) for cases in drawn]
        yield key | {"draws": len(noticed), "noticed": float(np.mean(noticed))}


def is_acc(sensor: str) -> bool:
    return "acc" in sensor.lower() or "gravity" in sensor.lower()


def is_noticed(model: Any, X: Array) -> bool:
    """Return whether series raise a warning."""
    from sktext_vq import DriftWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DriftWarning)
        model.check_X(X)
    return any(issubclass(each.category, DriftWarning) for each in caught)


def table(frames: Frames) -> str:
    """Write shares of draws with a warning by fault, set and number of windows."""
    frame = frames["drift"]
    frame = frame[(frame["people"] == "test") & (frame["names"] == "known")]
    shares = frame.pivot_table(
        "noticed", "fault", ["set", "windows", "of"], sort=False
    ).map("{:.3f}".format)
    columns = {}
    for name, size in sorted(set(zip(frame["set"], frame["windows"], strict=True))):
        cells = shares[name, size, OF[0]]
        if (name, size, OF[1]) in shares:
            cells = cells + " (" + shares[name, size, OF[1]] + ")"
        columns[f"{name}, {size}"] = cells
    rows = zip(shares.index, *columns.values(), strict=True)
    return markdown(["fault", *columns], rows)


EXPERIMENT = Experiment(
    name="drift",
    about="detection of sensor faults by `DriftWarning`",
    keys=("set", "people", "names", "fault", "windows", "of"),
    values=("draws", "noticed"),
    tasks=tasks,
    evaluate=evaluate,
    fit=lambda key: (key["set"], key["people"], key["names"]),
    sets=("MotionSense", "WISDM-2019-watch"),
    processes=0,
    # Windows of the test part or, for the choice of thresholds, of a third of the
    # training subjects who are held out; names of channels known or unknown.
    settings={"people": "test", "names": "known"},
    tables={"drift": table},
    page="# Drift\n\n"
    "The table shows the share of draws for which a `DriftWarning` is issued. A "
    "draw consists of consecutive windows of one person and one class or, in "
    "brackets, of windows of all people and classes.\n\n"
    "{drift}\n",
)
