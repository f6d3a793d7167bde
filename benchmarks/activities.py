"""Data sets of body-worn sensors, and the build of the packaged base.

``python -m benchmarks.activities --data FOLDER`` fits the base of `sktext_vq.wearables`
to the training parts of three data sets, and replaces the packaged file.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.data import load_split, spread_by_class
from benchmarks.store import RESULTS

PACKAGED = ("MotionSense", "WISDM-2019-watch", "seglearn-watch")
SOURCES = (*PACKAGED, "UCI-HAR")
BASE = Path(__file__).parents[1] / "sktext_vq" / "data" / "wearables.safetensors"

ABOUT: dict[str, dict[str, str]] = {
    "MotionSense": {
        "source": "Malekzadeh et al., IoTDI 2019",
        "licence": "MIT",
        "place": "phone in a front pocket of the trousers",
    },
    "WISDM-2019-watch": {
        "source": "Weiss, Yoneda and Hayajneh, IEEE Access 2019; UCI, id 507",
        "licence": "CC BY 4.0",
        "place": "watch on the dominant wrist",
    },
    "seglearn-watch": {
        "source": "Burns et al., arXiv 1802.01489; seglearn 1.2.5",
        "licence": "BSD-3-Clause",
        "place": "watch on the wrist",
    },
}
LIMITS = (
    "Known activities are few: postures, gaits, stairs, meals, household, ball games "
    "and seven shoulder exercises. Other activities are often confused.",
    "Sitting, standing and lying are often confused: features do not depend on the "
    "orientation of the device about the vertical, and its tilt did not help.",
    "Scores for shoulder exercises with new names are close to chance level.",
    "Healthy adults took part, mostly students. The base was not tested on children, "
    "patients or old people, and is not a medical device.",
    "Acceleration without gravity, and rates below 20 Hz, make names less reliable.",
)


# Names without words of the labels of the sources.
OTHER_WORDS = {
    "brushing teeth": "cleaning the mouth with a toothbrush",
    "climbing stairs": "going up a staircase",
    "jogging": "running at an easy pace",
    "laying": "lying down on a bed",
    "running": "moving fast on foot",
    "sitting": "being seated on a chair",
    "standing": "upright on both feet without moving",
    "typing": "using a computer keyboard",
    "walking": "going for a stroll",
    "walking downstairs": "descending a staircase",
    "walking upstairs": "ascending a staircase",
    "writing": "taking notes with a pen",
}
# Three wordings of each name, written before names were compared with them. Names that
# are not here, exercises with technical terms, keep their words.
PARAPHRASES = {
    "badminton": ("playing badminton", "a game of badminton", "a badminton match"),
    "brushing teeth": ("toothbrushing", "brushes teeth", "brushing one's teeth"),
    "clapping": ("clapping hands", "hand clapping", "claps hands"),
    "climbing stairs": ("stair climbing", "going up stairs", "climbs the stairs"),
    "dribbling a basketball": (
        *("basketball dribbling", "bouncing a basketball", "dribbles a basketball"),
    ),
    "drinking from a cup": ("drinking", "drinks from a cup", "taking a drink"),
    "eating a sandwich": ("eats a sandwich", "sandwich eating", "having a sandwich"),
    "eating chips": ("eats chips", "snacking on chips", "having chips"),
    "eating pasta": ("eats pasta", "having a plate of pasta", "pasta meal"),
    "eating soup": ("eats soup", "having a bowl of soup", "spooning soup"),
    "folding clothes": ("folds clothes", "folding laundry", "clothes folding"),
    "jogging": ("jogs", "going for a jog", "a slow run"),
    "kicking a soccer ball": ("kicks a soccer ball", "playing soccer", "ball kicking"),
    "laying": ("lying", "lying down", "a person lies down"),
    "playing catch with a tennis ball": (
        *("catching a tennis ball", "plays catch", "throwing and catching a ball"),
    ),
    "running": ("runs", "a person runs", "going for a run"),
    "sitting": ("sits", "a person sits", "sitting on a chair"),
    "standing": ("stands", "standing still", "a person stands upright"),
    "typing": ("types", "typing on a keyboard", "keyboard typing"),
    "walking": ("walks", "taking a walk", "a person walks"),
    "walking downstairs": ("going downstairs", "walks down stairs", "stairs down"),
    "walking upstairs": ("going upstairs", "walks up stairs", "stairs up"),
    "writing": ("writes", "handwriting", "writing with a pen"),
}


def paraphrases(names: Sequence[str], i: int) -> list[str]:
    """Return the paraphrases of names with an index."""
    return [PARAPHRASES[name][i] if name in PARAPHRASES else name for name in names]


@lru_cache(maxsize=6)
def load_windows(name: str, data: str | None, part: str, most: int) -> Any:
    """Load windows of a part as a LabelledSet, evenly spread within classes.

    seglearn-watch has one part.
    """
    from sktext_vq.wearables import LabelledSet

    if name == "seglearn-watch":
        found = _load_seglearn(data)
    else:
        split = load_split(name, data)
        X, y = getattr(split, f"X_{part}"), getattr(split, f"y_{part}")
        names, rate = split.channel_names, split.sampling_rate
        found = (X, y, getattr(split, f"subjects_{part}"), names, rate)
    X, y, subjects, names, rate = found
    kept = spread_by_class(y, -(-most // len(np.unique(y))))
    # BasicMotions has no gravity, which its norm would not show.
    units = "m/s^2" if name == "BasicMotions" else "auto"
    return LabelledSet(
        name,
        X[kept],
        y[kept],
        [str(each) for each in names],
        float(rate),
        None if subjects is None else subjects[kept],
        units=units,
        about=ABOUT.get(name),
    )


def _load_seglearn(data: str | None) -> tuple[Any, ...]:
    """Cut recordings of seglearn into windows of 2.56 s."""
    with np.load(Path(data or ".") / "seglearn-watch.npz") as file:
        values, lengths = file["values"], file["lengths"]
        labels, people, names = file["label"], file["subject"], file["channel_names"]
    windows, owner = [], []
    for i, (end, length) in enumerate(zip(lengths.cumsum(), lengths, strict=True)):
        for start in range(end - length, end - 127, 128):
            windows.append(values[:, start : start + 128])
            owner.append(i)
    return np.stack(windows), labels[owner], people[owner], names, 50.0


def _figures() -> dict[str, float]:
    """Return macro-F1 on data sets that were left out, from the benchmark."""
    frame = pd.read_csv(RESULTS / "wearables.csv")
    frame = frame[frame["method"] == "base"]
    found = frame.groupby("target")["macro_f1"].mean()
    return {str(name): round(float(value), 2) for name, value in found.items()}


def make_card() -> dict[str, Any]:
    """Return the card of the packaged base, without its data sets."""
    return {
        "name": "wearables",
        "limits": list(LIMITS),
        "macro_f1_if_left_out": _figures(),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Build the packaged base."""
    from sktext_vq.wearables import build_base

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder of the data sets")
    parser.add_argument("--output", type=Path, default=BASE)
    options = parser.parse_args(arguments)
    sets = [load_windows(name, options.data, "train", 10**6) for name in PACKAGED]
    card = make_card()
    path = build_base(sets, options.output, card=card)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
