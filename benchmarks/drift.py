"""How often `DriftWarning` notices faults, and how often it accuses series without."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from protocol import Results, load_split, log, make_parser
from report import write_report

from sktext_vq import DriftWarning
from sktext_vq._features.drift import DriftReference, likely_triads, warn_of_drift
from sktext_vq._features.scaling import Scaler
from sktext_vq._utils.channels import find_triads
from sktext_vq.panel import as_panel

SETS = ("MotionSense", "WISDM-2019-watch")
KEYS = ("set", "people", "names", "fault", "windows", "of")
VALUES = ("draws", "noticed")
SIZES = (1, 10, 100)

_DRAWS, _CLEAN_DRAWS = 100, 500
_GRAVITY = 9.80665

Array = NDArray[np.float64]
# From windows, channels of acceleration by axis, and of rotation, to damaged windows.
Fault = Callable[[Array, Array, Array], Array]


def scaled(channels: str, factor: float, axis: int | None = None) -> Fault:
    """Multiply channels of a kind, all or those of an axis."""

    def damage(X: Array, acc: Array, gyro: Array) -> Array:
        X, chosen = X.copy(), {"acc": acc, "gyro": gyro}[channels]
        X[:, chosen.ravel() if axis is None else chosen[:, axis]] *= factor
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


def other_unit(X: Array, acc: Array, gyro: Array) -> Array:
    """Give m/s^2 in place of g, or the other way round."""
    is_g = np.abs(X[:, acc.ravel()]).mean() < 2
    return scaled("acc", _GRAVITY if is_g else 1 / _GRAVITY)(X, acc, gyro)


def milli(X: Array, acc: Array, gyro: Array) -> Array:
    """Give acceleration in mg."""
    is_g = np.abs(X[:, acc.ravel()]).mean() < 2
    return scaled("acc", 1000 if is_g else 1000 / _GRAVITY)(X, acc, gyro)


def doubled(X: Array, acc: Array, gyro: Array) -> Array:
    """Sample twice as often: half the time in a window of as many timepoints."""
    n = X.shape[2]
    place = np.arange(n) / 2
    first = place.astype(int)
    share = place - first
    return X[:, :, first] * (1 - share) + X[:, :, first + 1] * share


def halved(X: Array, acc: Array, gyro: Array) -> Array:
    """Sample half as often, through a window and the next one."""
    return np.concatenate([X, np.roll(X, -1, axis=0)], axis=2)[:, :, ::2]


def offset(X: Array, acc: Array, gyro: Array) -> Array:
    """Add half of gravity to the last axis of an accelerometer."""
    is_g = np.abs(X[:, acc.ravel()]).mean() < 2
    X = X.copy()
    X[:, acc[0, 2]] += 0.5 if is_g else 0.5 * _GRAVITY
    return X


def dead(X: Array, acc: Array, gyro: Array) -> Array:
    """Let a channel stay at 0."""
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
    y: NDArray[Any], people: NDArray[Any], size: int, of: str, most: int
) -> Iterator[NDArray[np.intp]]:
    """Yield windows of one person and class that follow each other, or of anyone."""
    rng = np.random.default_rng(size)
    if of == "mixed":
        for _ in range(most):
            yield rng.choice(len(y), size, replace=False)
        return
    groups = [
        np.flatnonzero((people == person) & (y == label))
        for person in np.unique(people)
        for label in np.unique(y)
    ]
    groups = [group for group in groups if len(group) >= min(size, 10)]
    for i in range(most):
        group = groups[int(i * 0.618034 * len(groups)) % len(groups)]
        start = rng.integers(max(len(group) - size, 0) + 1)
        yield group[start : start + size]


def evaluate(name: str, people: str, names: str, data: str | None) -> Iterator[dict]:
    """Count warnings for each fault and number of windows."""
    found = load_split(name, data)
    train, subjects = np.ones(len(found.X_train), bool), found.subjects_train
    X, y, who = found.X_test, found.y_test, found.subjects_test
    if people == "training":
        train = ~np.isin(subjects, np.unique(subjects)[::3])
        X, y, who = found.X_train[~train], found.y_train[~train], subjects[~train]
    triads = find_triads(found.channel_names)
    acc = [axes for sensor, axes in triads.items() if is_acceleration(sensor)]
    gyro = [axes for sensor, axes in triads.items() if not is_acceleration(sensor)]
    panel = as_panel(found.X_train[train])
    scaler = Scaler.fit(panel)
    known = list(triads.values()) if names == "known" else []
    known = known or likely_triads(panel.n_channels)
    reference = DriftReference.fit(panel, scaler, known)
    for fault, damage in FAULTS.items():
        damaged = damage(X.astype(np.float64), np.array(acc), np.array(gyro))
        for of in ("one person and class", "mixed"):
            for size in SIZES[of == "mixed" :]:
                most = _CLEAN_DRAWS if fault == "none" else _DRAWS
                noticed = [
                    is_noticed(damaged[cases], scaler, reference)
                    for cases in draws(y, who, size, of, most)
                ]
                yield {
                    "set": name,
                    "people": people,
                    "names": names,
                    "fault": fault,
                    "windows": size,
                    "of": of,
                    "draws": len(noticed),
                    "noticed": float(np.mean(noticed)),
                }


def is_acceleration(sensor: str) -> bool:
    """Tell accelerometers from gyroscopes by their names."""
    return "acc" in sensor.lower() or "gravity" in sensor.lower()


def is_noticed(X: Array, scaler: Scaler, reference: DriftReference | None) -> bool:
    """Ask for a warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DriftWarning)
        names = [str(i) for i in range(X.shape[1])]
        warn_of_drift(as_panel(X), scaler, reference, names)
    return bool(caught)


def parser() -> argparse.ArgumentParser:
    """Make the parser of options."""
    found = make_parser(
        "Count how often faults are noticed. Rows that results/drift.csv has are not "
        "computed again."
    )
    found.add_argument(
        "--sets",
        nargs="+",
        choices=SETS,
        default=list(SETS),
        help="data sets",
        metavar="SET",
    )
    found.add_argument(
        "--people",
        nargs="+",
        choices=("training", "test"),
        default=["test"],
        help="whose windows: of the test part, or of a third of the training people, "
        "held out, for choices",
        metavar="PEOPLE",
    )
    found.add_argument(
        "--names",
        nargs="+",
        choices=("known", "unknown"),
        default=["known"],
        help="whether names of channels are known",
        metavar="NAMES",
    )
    return found


def main() -> None:
    """Compute what is missing, and write the table."""
    args = parser().parse_args()
    results = Results(args.results / "drift.csv", KEYS, VALUES)
    last = (list(FAULTS)[-1], SIZES[-1], "mixed")
    for name in args.sets:
        for people in args.people:
            for names in args.names:
                if (name, people, names, *last) in results:
                    continue
                for row in evaluate(name, people, names, args.data):
                    if tuple(row[key] for key in KEYS) not in results:
                        results.add(row)
                        log(", ".join(f"{key} {row[key]}" for key in row))
    write_report("drift", args.results)


if __name__ == "__main__":
    main()
