"""Functions to read public activity data sets in their original formats."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sktext_vq._io.alignment import Rows, join_sensors, spread_repeated
from sktext_vq._io.delimited import read_table
from sktext_vq._io.forms import value_columns
from sktext_vq._io.ordering import sort_parts
from sktext_vq._io.recordings import Recordings
from sktext_vq._io.records import read_numbers, read_records
from sktext_vq._io.search import FILES
from sktext_vq._io.table import Columns, Table, numbers

__all__ = ["READERS", "read_windows"]

_AXES = ("x", "y", "z")


def _axes_of(*names: str) -> list[str]:
    return [f"{name}_{axis}" for name in names for axis in _AXES]


_ACC, _GYRO = tuple(_axes_of("acc")), tuple(_axes_of("gyro"))

# Readable names of labels. Other labels are converted to lower case.
_LABELS = dict(
    pair.split("=")
    for pair in (
        "upstairs=walking upstairs,ups=walking upstairs,stairsup=walking upstairs,"
        "downstairs=walking downstairs,dws=walking downstairs,"
        "stairsdown=walking downstairs,stairs=climbing stairs,lyingdown=lying down,"
        "sit=sitting,std=standing,stand=standing,wlk=walking,walk=walking,jog=jogging,"
        "bike=biking,teeth=brushing teeth,soup=eating soup,chips=eating chips,"
        "pasta=eating pasta,sandwich=eating a sandwich,drinking=drinking from a cup,"
        "kicking=kicking a soccer ball,catch=playing catch with a tennis ball,"
        "dribbling=dribbling a basketball,folding=folding clothes"
    ).split(",")
)
_WISDM_KEY = (
    "A walking,B jogging,C stairs,D sitting,E standing,F typing,G teeth,H soup,I chips,"
    "J pasta,K drinking,L sandwich,M kicking,O catch,P dribbling,Q writing,R clapping,"
    "S folding"
)
_PAMAP2_LABELS = {
    **{1: "lying", 2: "sitting", 3: "standing", 4: "walking", 5: "running"},
    **{6: "cycling", 7: "nordic walking", 9: "watching tv", 10: "computer work"},
    **{11: "car driving", 12: "ascending stairs", 13: "descending stairs"},
    **{16: "vacuum cleaning", 17: "ironing", 18: "folding laundry"},
    **{19: "house cleaning", 20: "playing soccer", 24: "rope jumping"},
}
_MHEALTH_LABELS = {
    **{1: "standing still", 2: "sitting and relaxing", 3: "lying down", 4: "walking"},
    **{5: "climbing stairs", 6: "waist bends forward", 8: "knees bending"},
    **{7: "frontal elevation of arms", 9: "cycling", 10: "jogging", 11: "running"},
    12: "jump front and back",
}


@dataclass
class _Parts:
    """Recordings of one data set."""

    channel_names: tuple[str, ...]
    unit: float  # of times, in seconds
    rate: float  # in Hz, used if all times are equal
    values: list[Any] = field(default_factory=list)
    times: list[Any] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    labels: list[pd.Categorical] = field(default_factory=list)
    subjects: list[Any] = field(default_factory=list)

    def add(
        self, name: str, subject: Any, rows: Rows, categories: pd.Index[Any]
    ) -> None:
        """Add a recording, divided where its times decrease."""
        order, starts = sort_parts(rows.times)
        for number, own in enumerate(np.split(order, starts)):
            part = rows.take(own)
            self.values.append(np.ascontiguousarray(part.values.T))
            self.times.append(spread_repeated(part.times, 1 / (self.rate * self.unit)))
            labels = pd.Categorical.from_codes(part.codes, categories)
            self.labels.append(labels)
            self.names.append(f"{name}, part {number + 1}" if len(starts) else name)
            self.subjects.append(subject)

    def add_numbered(
        self, name: str, times: Any, numbers: Any, values: Any, words: dict[int, str]
    ) -> None:
        """Add a recording whose labels are numbers; 0 means unlabelled."""
        found = np.unique(numbers[~np.isnan(numbers)]).astype(int)
        found = pd.Index(found[found != 0])
        rows = Rows(times, found.get_indexer(pd.Index(numbers)), values)
        subject = int(re.findall(r"\d+", name)[0])
        self.add(
            name, subject, rows, found.map(lambda i: words.get(i, f"activity {i}"))
        )

    def join(self, path: Path) -> Recordings:
        if not self.names:
            raise ValueError(f"{path} has no rows.")
        return Recordings(
            self.values,
            self.times,
            self.channel_names,
            self.unit,
            self.names,
            self.labels,
            np.array(self.subjects),
        )


def read_wisdm(paths: list[Path]) -> Recordings:
    frame = read_records(paths[0])
    # Times are in ms since 1970 in v2.0, and in ns since the start in v1.1.
    steps = frame["time"].diff()
    is_ms = bool(steps[steps > 0].median() < 1e5)
    parts = _Parts(_ACC, 1e-3 if is_ms else 1e-9, rate=20.0)
    codes, words = pd.factorize(frame["activity"], sort=True)
    categories = pd.Index([_readable(word) for word in words])
    rows = _rows(frame, codes)
    for user, own in frame.groupby("user", sort=False).indices.items():
        parts.add(str(user), user, rows.take(own), categories)
    return parts.join(paths[0])


def read_wisdm_2019(paths: list[Path]) -> Recordings:
    """Read the raw files of WISDM 2019, with one recording per subject and device."""
    files = {}
    for path in paths:
        match = re.fullmatch(FILES["WISDM-2019"][0], path.name)
        assert match is not None
        files[int(match[1]), match[3], match[2]] = path
    key = _read_key(paths[0].parents[FILES["WISDM-2019"][1]])
    categories = pd.Index([_readable(word) for word in key.values()])
    sensors = [each for each in ("accel", "gyro") if any(each in key for key in files)]
    names = {"accel": _ACC, "gyro": _GYRO}
    parts = _Parts(sum((names[each] for each in sensors), ()), 1e-9, rate=20.0)
    for subject, device in dict.fromkeys((key[0], key[1]) for key in sorted(files)):
        found = {}
        for sensor in sensors:
            if (subject, device, sensor) in files:
                frame = read_records(files[subject, device, sensor])
                letters = frame["activity"].astype(str)
                codes = pd.Index(key).get_indexer(pd.Index(letters))
                found[sensor] = _rows(frame, codes)
        joined = join_sensors([found.get(each) for each in sensors], 3)
        parts.add(f"{subject}, {device}", subject, joined, categories)
    return parts.join(paths[0])


def _read_key(folder: Path) -> dict[str, str]:
    """Read the activity of each letter from ``activity_key.txt``."""
    known = dict(each.split() for each in _WISDM_KEY.split(","))
    for path in (folder / "activity_key.txt", folder.parent / "activity_key.txt"):
        if path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            for word, letter in re.findall(r"^\s*(.*\S)\s*=\s*(\w)\s*$", text, re.M):
                known[letter] = word
    return known


def read_pamap2(paths: list[Path]) -> Recordings:
    """Read the files of PAMAP2, except for orientations, which are invalid."""
    sensors = ["temperature", *_axes_of("acc16", "acc6", "gyro", "mag")]
    places = ("hand", "chest", "ankle")
    names = ("heart_rate", *(f"{place}_{name}" for place in places for name in sensors))
    columns = [2, *(3 + 17 * k + i for k in range(3) for i in range(len(sensors)))]
    parts = _Parts(names, 1.0, rate=100.0)
    for path in paths:
        cells = read_numbers(path, " ", 54, [0, 1, *columns])
        missing = np.isnan(cells[:, 0])
        if missing.any():
            raise ValueError(f"{path} has no time in line {int(missing.argmax()) + 1}.")
        name = path.stem + (", optional" if path.parent.name == "Optional" else "")
        times, numbers, values = cells[:, 0], cells[:, 1], cells[:, 2:]
        parts.add_numbered(name, times, numbers, values, _PAMAP2_LABELS)
    return parts.join(paths[0])


def read_mhealth(paths: list[Path]) -> Recordings:
    """Read the files of MHEALTH, which contain no times (the rate is 50 Hz)."""
    names = [*_axes_of("chest_acc"), "ecg_1", "ecg_2"]
    names += _axes_of(
        *(f"{p}_{s}" for p in ("ankle", "arm") for s in ("acc", "gyro", "mag"))
    )
    parts = _Parts(tuple(names), 1.0, rate=50.0)
    for path in paths:
        cells = read_numbers(path, "\t", 24, list(range(24)))
        times, numbers, values = np.arange(len(cells)) / 50, cells[:, 23], cells[:, :23]
        parts.add_numbered(path.stem, times, numbers, values, _MHEALTH_LABELS)
    return parts.join(paths[0])


def read_hhar(paths: list[Path]) -> Recordings:
    """Read the files of HHAR, with one recording per user and device."""
    kinds = {"accelerometer": _ACC, "gyroscope": _GYRO}
    kinds = {k: v for k, v in kinds.items() if any(k in path.name for path in paths)}
    # Rows of each sensor, by kind of device, user and device.
    found: dict[tuple[str, str, str], list[pd.DataFrame | None]] = {}
    for path in paths:
        device, kind = path.stem.split("_")
        frame = _read_hhar_file(path)
        for key, own in frame.groupby(["User", "Device"], sort=False).indices.items():
            sensors = found.setdefault((device, *key), [None] * len(kinds))
            sensors[list(kinds).index(kind)] = frame.take(own)
    known = [each for frames in found.values() for each in frames if each is not None]
    labels = pd.Index(sorted(set().union(*(each["gt"].dropna() for each in known))))
    labels = labels.drop("null", errors="ignore")
    parts = _Parts(sum(kinds.values(), ()), 1e-9, rate=100.0)
    for (_, user, device), frames in found.items():
        is_known = all(_is_plausible(each) for each in frames if each is not None)
        column = "created" if is_known else "arrived"
        rows = [
            None
            if each is None
            else _rows(each.assign(time=each[column]), labels.get_indexer(each["gt"]))
            for each in frames
        ]
        joined = join_sensors(rows, 3)
        parts.add(f"{user}, {device}", user, joined, labels.map(_readable))
    return parts.join(paths[0])


def _read_hhar_file(path: Path) -> pd.DataFrame:
    needed = ["Arrival_Time", *_AXES, "User", "Device", "gt"]
    columns = Columns("gt", None, None, "User", (), ("Device",))
    table = _read_columns(path, columns, needed)
    frame = table.frame.copy()
    frame[list(_AXES)] = numbers(table, list(_AXES))
    numbers(table, ["Arrival_Time"])
    for name in ("Arrival_Time", "User", "Device"):
        table.check_no_missing(name)
    arrived = frame["Arrival_Time"].to_numpy()
    is_whole = arrived.dtype.kind == "i"
    frame["arrived"] = (arrived * (10**6 if is_whole else 1e6)).astype(np.int64)
    created = frame.get("Creation_Time")
    is_known = created is not None and pd.api.types.is_integer_dtype(created)
    frame["created"] = created if is_known else 0
    return frame


def _is_plausible(frame: pd.DataFrame) -> bool:
    """Return whether sensor times increase at the same rate as arrival times."""
    created, arrived = frame["created"].to_numpy(), frame["arrived"].to_numpy()
    if len(frame) < 2:
        return bool(created.all())
    is_rising = (np.diff(created) > 0).mean() > 0.95
    return bool(is_rising and 0.9 < np.ptp(created) / max(np.ptp(arrived), 1) < 1.1)


def read_motion_sense(paths: list[Path]) -> Recordings:
    """Read the files of MotionSense, which contain no times (the rate is 50 Hz)."""
    words = sorted({path.parent.name.partition("_")[0] for path in paths})
    categories = pd.Index([_readable(word) for word in words])
    parts: _Parts | None = None
    for path in paths:
        table = _read_columns(path, Columns(), [])
        names = tuple(value_columns(table))
        parts = parts or _Parts(names, 1.0, rate=50.0)
        if set(names) != set(parts.channel_names):
            raise ValueError(
                f"{path} has columns {', '.join(names)} in line 1, but {paths[0]} has "
                f"{', '.join(parts.channel_names)}."
            )
        values = numbers(table, list(parts.channel_names))
        codes = np.full(len(values), words.index(path.parent.name.partition("_")[0]))
        rows = Rows(np.arange(len(values)) / 50, codes, values)
        subject = int(path.stem.removeprefix("sub_"))
        parts.add(f"{path.parent.name}/{path.stem}", subject, rows, categories)
    assert parts is not None
    return parts.join(paths[0])


def read_windows(paths: list[Path]) -> dict[str, Any]:
    """Read the windows of UCI-HAR and return the attributes of a `Dataset`."""
    root = paths[0].parents[FILES["UCI-HAR"][1]]
    found: dict[str, Any] = {}
    words = {}
    for line in (root / "activity_labels.txt").read_text(encoding="utf-8").splitlines():
        if line.strip():
            number, word = line.split(maxsplit=1)
            words[int(number)] = word.strip().lower().replace("_", " ")
    names: dict[str, Any] = {}
    for part in ("train", "test"):
        own = sorted(path for path in paths if path.stem.endswith(f"_{part}"))
        names[part] = tuple(path.stem.removesuffix(f"_{part}") for path in own)
        if not own or names[part] != names["train"]:
            raise ValueError(
                f"The training and test parts in {root} have different channels."
            )
        X = np.stack([read_numbers(path, r"\s+") for path in own], axis=1)
        ids = [
            read_numbers(root / part / f"{what}_{part}.txt", r"\s+", 1)[:, 0]
            for what in ("y", "subject")
        ]
        unknown = ~np.isin(ids[0], list(words))
        if len({len(X), *map(len, ids)}) > 1 or unknown.any():
            raise ValueError(
                f"{root / part} has {len(X)} windows, {len(ids[0])} labels (of which "
                f"{unknown.sum()} are not in activity_labels.txt) and {len(ids[1])} "
                "subjects. These three counts must be equal, and activity_labels.txt "
                "must list all labels."
            )
        found[f"X_{part}"] = X
        found[f"y_{part}"] = np.array([words[int(label)] for label in ids[0]])
        found[f"subjects_{part}"] = ids[1].astype(np.int64)
    found["channel_names"] = names["train"]
    found["units"] = tuple(
        "rad/s" if "gyro" in each else "g" for each in names["train"]
    )
    return found | {"sampling_rate": 50.0}


def _readable(word: str) -> str:
    word = word.strip().lower().replace("_", " ")
    return _LABELS.get(word, word)


def _rows(frame: pd.DataFrame, codes: NDArray[np.intp]) -> Rows:
    return Rows(frame["time"].to_numpy(), codes, frame[list(_AXES)].to_numpy(float))


def _read_columns(path: Path, columns: Columns, needed: list[str]) -> Table:
    """Read a .csv file and check that it has the required columns."""
    table = read_table(path, columns)
    assert table is not None
    missing = [name for name in needed if name not in table.frame.columns]
    if missing:
        raise ValueError(
            f"{path} has no column {missing[0]!r} in line 1. Columns: "
            f"{', '.join(table.frame.columns)}."
        )
    if not len(table.frame):
        raise ValueError(f"{path} has no rows after line 1.")
    return table


READERS: dict[str, Callable[[list[Path]], Recordings]] = {
    "WISDM": read_wisdm,
    "WISDM-2019": read_wisdm_2019,
    "PAMAP2": read_pamap2,
    "MHEALTH": read_mhealth,
    "HHAR": read_hhar,
    "MotionSense": read_motion_sense,
}
