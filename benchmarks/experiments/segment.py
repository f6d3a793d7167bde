"""Segmentation of long recordings, compared with windows and a rolling majority.

Series of each person are joined to one recording, in the order of trials or, if
these are unknown, of the file. A segment is correct if its intersection over union
with a true segment of the same class is more than one half.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.data import folds, spread_cases
from benchmarks.estimators import classifier_closed
from benchmarks.memory import peak_mib, reset_peak
from benchmarks.runner import Experiment, Options, Row, grid
from benchmarks.store import Frames
from benchmarks.tables import markdown

Array = NDArray[Any]
# Test people of seglearn, and the length of a window.
_TEST_PEOPLE, _LENGTH = (3, 6, 9), 200
STEPS = (0.5, 1.0)  # in lengths of a window
_MOST_CASES = 2500  # windows to fit in cross-validation, evenly spread
MAJORITY, KEPT, LEAST = (3, 7, 15), (0.9, 0.99, 0.999, 0.9999), (0.6,)
# Method, step and smoothing, as chosen on training subjects.
CHOSEN = {"windows": 0.0, "majority": 15.0, "segment": 0.99}
STEP = 0.5


@dataclass(frozen=True, eq=False)
class People:
    """Windows to fit, and recordings with the class of each timepoint."""

    X: Array
    y: Array
    subjects: Array
    recordings: dict[Any, tuple[Array, Array]]


def join(X: Array, y: Array, subjects: Array, trials: Array) -> dict[Any, Any]:
    """Join the series of each person to a recording, in the order of trials."""
    found = {}
    for person in np.unique(subjects):
        own = np.flatnonzero(subjects == person)
        own = own[np.argsort(trials[own], kind="stable")]
        values = np.concatenate(list(X[own]), axis=1)
        found[person] = values, np.repeat(y[own], X.shape[2])
    return found


def load_people(name: str, data: str | None) -> tuple[People, People, dict[str, Any]]:
    """Return training and test subjects, and parameters of the classifier."""
    with np.load(Path(data or "") / f"{name}.npz") as file:
        found = {name: file[name] for name in file.files}
    known: dict[str, Any] = {
        "channel_names": tuple(found["channel_names"].tolist()),
        "sampling_rate": float(found["sampling_rate_hz"]),
    }
    if "lengths" in found:
        return *split_recordings(found), known
    parts = []
    for part in ("train", "test"):
        X, y, subjects = (found[f"{each}_{part}"] for each in ("X", "y", "subject"))
        trials = found.get(f"trial_{part}", np.zeros(len(y)))
        parts.append(People(X, y, subjects, join(X, y, subjects, trials)))
    return parts[0], parts[1], known


def split_recordings(found: dict[str, Array]) -> tuple[People, People]:
    """Join recordings of one exercise each by person, in random order."""
    from sktext_vq.recordings import cut_windows

    series = np.split(found["values"], np.cumsum(found["lengths"])[:-1], axis=1)
    parts = []
    for is_test in (False, True):
        X, y, subjects, recordings = [], [], [], {}
        for person in np.unique(found["subject"]):
            if (person in _TEST_PEOPLE) != is_test:
                continue
            own = np.flatnonzero(found["subject"] == person)
            own = np.random.default_rng(int(person)).permutation(own)
            for i in own:
                windows = cut_windows(series[i], _LENGTH)
                X.append(windows)
                y += [found["label"][i]] * len(windows)
                subjects += [person] * len(windows)
            truth = [np.repeat(found["label"][i], series[i].shape[1]) for i in own]
            values = np.concatenate([series[i] for i in own], axis=1)
            recordings[person] = values, np.concatenate(truth)
        parts.append(
            People(np.concatenate(X), np.array(y), np.array(subjects), recordings)
        )
    return parts[0], parts[1]


class Remembered:
    """Classifier that caches predictions of windows."""

    def __init__(self, model: Any) -> None:
        self.model, self.classes_ = model, model.classes_
        self.n_timepoints_ = model.n_timepoints_
        self.known: dict[int, Array] = {}

    def predict_proba(self, X: Array) -> Array:
        """Return probabilities, from the cache for known windows."""
        keys = [hash(window.tobytes()) for window in X]
        new = [i for i, key in enumerate(keys) if key not in self.known]
        if new:
            found = self.model.predict_proba(X[new])
            self.known.update(zip((keys[i] for i in new), found, strict=True))
        return np.stack([self.known[key] for key in keys])


def by_windows(model: Any, values: Array, step: int, n_votes: int) -> Array:
    """Label each timepoint by the window around it, or by the majority of several."""
    from sktext_vq.recordings import cut_windows

    length = model.n_timepoints_
    windows = cut_windows(values, length, step)
    best = model.predict_proba(windows).argmax(axis=1)
    if n_votes > 1:
        votes = np.eye(len(model.classes_))[best]
        votes = np.pad(votes, ((n_votes // 2, n_votes // 2), (0, 0)))
        sums = np.lib.stride_tricks.sliding_window_view(votes, n_votes, axis=0)
        best = sums.sum(axis=2).argmax(axis=1)
    middles = np.arange(len(best)) * step + length / 2
    places = np.searchsorted(
        (middles[1:] + middles[:-1]) / 2, np.arange(values.shape[1]), side="right"
    )
    return model.classes_[best[places]]


def by_segments(model: Any, values: Array, step: int, **parameters: float) -> Array:
    """Label each timepoint by its segment."""
    from sktext_vq.recordings import segment

    table = segment(model, values, step=step, **parameters)
    lengths = (table["end"] - table["start"]).to_numpy()
    return np.repeat(table["label"].to_numpy(), lengths).astype(str)


def label(model: Any, values: Array, key: Row) -> Array:
    """Label each timepoint by a method."""
    step = round(key["step"] * model.n_timepoints_)
    if key["method"] in ("windows", "majority"):
        return by_windows(model, values, step, int(key["smoothing"]))
    if key["method"] == "transitions":
        return by_segments(model, values, step, min_probability=key["smoothing"])
    return by_segments(model, values, step, self_transition=key["smoothing"])


def segments_of(labels: Array) -> list[tuple[int, int, str]]:
    """Return start, end and label of each segment."""
    borders = np.flatnonzero(labels[1:] != labels[:-1]) + 1
    starts, ends = np.r_[0, borders].tolist(), np.r_[borders, len(labels)].tolist()
    return [(a, b, str(labels[a])) for a, b in zip(starts, ends, strict=True)]


def count_right(found: Array, truth: Array) -> tuple[int, int, int]:
    """Return numbers of correct segments, found segments and true segments."""
    own, true = segments_of(found), segments_of(truth)
    starts = np.array([start for start, _, _ in true])
    right = 0
    for start, end, label in own:
        i = max(int(np.searchsorted(starts, start, side="right")) - 1, 0)
        for other_start, other_end, other in true[i:]:
            if other_start >= end:
                break
            common = min(end, other_end) - max(start, other_start)
            union = max(end, other_end) - min(start, other_start)
            # At exactly one half, two segments could match the same true segment.
            right += label == other and common > 0.5 * union
    return right, len(own), len(true)


def tasks(options: Options) -> Iterator[Row]:
    """Yield all settings for training subjects, and the chosen for test subjects."""
    for name in options.sets:
        common = {"set": [name], "people": ["training"], "step": STEPS}
        yield from grid(**common, method=["windows"], smoothing=[0.0])
        yield from grid(**common, method=["majority"], smoothing=map(float, MAJORITY))
        yield from grid(**common, method=["segment"], smoothing=KEPT)
        yield from grid(**common, method=["transitions"], smoothing=LEAST)
        for method, smoothing in CHOSEN.items():
            row = {"set": name, "people": "test", "step": STEP, "method": method}
            yield {**row, "smoothing": smoothing}


def evaluate(keys: list[Row], options: Options) -> Iterator[Row]:
    """Cross-validate over training subjects, or fit to them and label test subjects."""
    train, test, known = load_people(keys[0]["set"], options.data)
    totals = {i: np.zeros(6) for i in range(len(keys))}
    if keys[0]["people"] == "test":
        rounds = [(np.arange(len(train.y)), test.recordings)]
    else:
        rounds = [
            (
                cases[spread_cases(len(cases), _MOST_CASES)],
                {p: train.recordings[p] for p in np.unique(train.subjects[out])},
            )
            for cases, out in folds(train.y, train.subjects, 0)
        ]
    for cases, recordings in rounds:
        model = classifier_closed(0, **known)
        model.fit(train.X[cases], train.y[cases], groups=train.subjects[cases])
        remembered = Remembered(model)
        for values, truth in recordings.values():
            for i, key in enumerate(keys):
                start = time.perf_counter()
                found = label(remembered, values, key)
                seconds = time.perf_counter() - start
                is_right = int((found == truth).sum())
                counts = count_right(found, truth)
                totals[i] += [len(truth), is_right, *counts, seconds]
            remembered.known.clear()
    for i, key in enumerate(keys):
        n_timepoints, n_right, right, found_, true, _ = totals[i].tolist()
        yield key | {
            "accuracy": n_right / n_timepoints,
            "event_f1": 2 * right / (found_ + true),
            "segments": int(found_),
            "true_segments": int(true),
        }


HOURS, _RATE = (3, 6, 12, 24), 50


def measure_duration(key: Row, options: Options) -> Row:
    """Segment a recording of some hours with six channels at 50 Hz."""
    from sktext_vq.recordings import segment

    train, _, known = load_people(key["set"], options.data)
    channels = slice(0, 6)
    cases = spread_cases(len(train.y), 500)
    known["channel_names"] = known["channel_names"][channels]
    model = classifier_closed(0, **known)
    model.fit(train.X[cases, channels], train.y[cases])
    n_timepoints = key["hours"] * 3600 * _RATE
    parts = [values[channels] for values, _ in train.recordings.values()]
    one = np.concatenate(parts, axis=1)
    values = np.tile(one, -(-n_timepoints // one.shape[1]))[:, :n_timepoints].copy()
    segment(model, values[:, : 60 * _RATE])  # warm-up
    before, start = reset_peak(), time.process_time()
    found = segment(model, values)
    return {
        "timepoints": n_timepoints,
        "input_mib": values.nbytes / 2**20,
        "added_mib": peak_mib() - before,
        "cpu_seconds": time.process_time() - start,
        "segments": len(found),
    }


def durations(frames: Frames) -> str:
    """Write memory and time by duration, with the ratio to the shortest."""
    frame = frames["duration"].sort_values("hours")
    first = frame.iloc[0]
    rows = [
        [
            f"{row.hours} h, {row.timepoints / 1e6:.2f} million timepoints",
            f"{row.input_mib:.0f}",
            f"{row.added_mib:.0f}",
            f"{row.cpu_seconds:.1f}",
            f"{row.hours / first.hours:.0f}",
            f"{row.cpu_seconds / first.cpu_seconds:.2f}",
        ]
        for row in frame.itertuples()
    ]
    columns = ["recording", "input MiB", "peak MiB above input", "CPU seconds"]
    return markdown([*columns, "ratio of durations", "ratio of seconds"], rows)


_COLUMNS = [
    *("timepoints correct", "event F1", "segments", "true segments"),
]


def _cells(row: Any) -> list[Any]:
    return [f"{row.accuracy:.3f}", f"{row.event_f1:.3f}", row.segments]


def table(frames: Frames) -> str:
    """Write scores on test subjects by set and method."""
    frame = frames["segment"]
    frame = frame[frame["people"] == "test"]
    rows = [
        [row.set, row.method, *_cells(row), row.true_segments]
        for row in frame.itertuples()
    ]
    return markdown(["set", "method", *_COLUMNS], rows)


def choices(frames: Frames) -> str:
    """Write means over sets of scores on training subjects."""
    frame = frames["segment"]
    frame = frame[frame["people"] == "training"]
    means = frame.groupby(["method", "smoothing", "step"], sort=False)[
        ["accuracy", "event_f1", "segments"]
    ].mean()
    rows = [
        [
            *key,
            f"{row['accuracy']:.3f}",
            f"{row['event_f1']:.3f}",
            f"{row.segments:.0f}",
        ]
        for key, row in means.iterrows()
    ]
    return markdown(["method", "smoothing", "step", *_COLUMNS[:3]], rows)


EXPERIMENT = Experiment(
    name="segment",
    about="segmentation of long recordings of people outside the training data",
    keys=("set", "people", "step", "method", "smoothing"),
    values=("accuracy", "event_f1", "segments", "true_segments"),
    tasks=tasks,
    evaluate=evaluate,
    fit=lambda key: (key["set"], key["people"]),
    sets=("MotionSense", "WISDM-2019-watch", "seglearn-watch"),
    processes=2,
    reads=("segment", "duration"),
    tables={"segment": table, "segment_choices": choices, "durations": durations},
    page="# Segmentation of recordings\n\n"
    "The table shows scores on people who are not in the training data.\n\n"
    "{segment}\n\n"
    "The next table shows means over data sets from cross-validation over training "
    "subjects. The column *step* is the distance between window starts, in window "
    "lengths. The column *smoothing* is the number of windows for *majority*, the "
    "parameter `self_transition` for *segment*, and the parameter `min_probability` "
    "for *transitions*. With `min_probability`, uncertain windows may be labelled as "
    "transitions, which count as errors.\n\n"
    "{segment_choices}\n\n"
    "The next table shows the memory and time used by `segment` for recordings with "
    "six channels at 50 Hz, with one thread.\n\n"
    "{durations}\n",
)
DURATION = Experiment(
    name="duration",
    about="memory and time of segmentation of long recordings (in segment.md)",
    keys=("set", "hours"),
    values=("timepoints", "input_mib", "added_mib", "cpu_seconds", "segments"),
    tasks=lambda options: grid(set=options.sets, hours=HOURS),
    evaluate=measure_duration,
    sets=("MotionSense",),
    isolated=True,
)
