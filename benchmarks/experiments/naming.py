"""Agreement of names of codes with series of other people.

Names come from the training part. A class name is correct if the code has its highest
lift in that class on the test part; a word for strength, pace or place is correct if
the test part alone results in the same word. For comparison, the same names are
assigned to random codes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.data import about, load_parts
from benchmarks.estimators import classifier
from benchmarks.internals import use_of_codes
from benchmarks.runner import Experiment, Options, Row, grid
from benchmarks.store import Frames
from benchmarks.tables import markdown, spread, spread_of

KINDS = ("class", "class, all codes", "sentence", "strength", "pace", "place")
_MOST_TRAINING_CASES, _MOST_TEST_CASES = 900, 1500
_DEALS = 200


def compare(names: Sequence[Any], truth: Sequence[Any], seed: int) -> dict[str, float]:
    """Count names, correct names, and names that are correct by chance."""
    known = [i for i, name in enumerate(names) if isinstance(name, str)]
    own = np.array([names[i] for i in known], dtype=object)
    true = np.array([truth[i] for i in known], dtype=object)
    rng = np.random.default_rng(seed)
    deals = [
        (rng.permutation(own) == true).mean() for _ in range(_DEALS if known else 0)
    ]
    return {
        "codes": len(names),
        "named": len(known),
        "right": float((own == true).mean()) if known else float("nan"),
        "by_chance": float(np.mean(deals)) if known else float("nan"),
    }


def evaluate(keys: list[Row], options: Options) -> Iterator[Row]:
    """Fit, name the codes, and compare names with test series."""
    name, seed = keys[0]["set"], keys[0]["seed"]
    train, test = load_parts(name, options.data, _MOST_TRAINING_CASES, _MOST_TEST_CASES)
    model = classifier(seed, **about(name, options.data)).fit(train.X, train.y)
    by_text = model.describe_codes([f"a person {label}" for label in model.classes_])
    here, there, channels = use_of_codes(model, test.X, test.y)
    table = model.describe_codes()
    best = model.classes_[there.class_lift.argmax(axis=0)].astype(str).tolist()
    found = (
        (table["phrase"], best),
        (table["class"].astype(str), best),
        (by_text["phrase"].str.removeprefix("a person "), best),
        (here.strength(), there.strength()),
        (here.pace(), there.pace()),
        (here.channel_words(channels), there.channel_words(channels)),
    )
    for kind, (names, truth) in zip(KINDS, found, strict=True):
        key = {"set": name, "kind": kind, "seed": seed}
        yield key | compare(list(names), truth, seed)


def table(frames: Frames) -> str:
    """Number of codes with names, and share of correct names."""
    rows = [
        [
            *key,
            f"{own['named'].mean():.0f} of {own['codes'].mean():.0f}",
            spread_of(own["right"], 2),
            spread(own["by_chance"].mean(), digits=2),
        ]
        for key, own in frames["naming"].groupby(["set", "kind"], sort=False)
    ]
    return markdown(["set", "name", "named codes", "correct", "by chance"], rows)


EXPERIMENT = Experiment(
    name="naming",
    about="agreement of the names of codes with test series",
    keys=("set", "kind", "seed"),
    values=("codes", "named", "right", "by_chance"),
    tasks=lambda options: grid(set=options.sets, kind=KINDS, seed=options.seeds),
    evaluate=evaluate,
    fit=lambda key: (key["set"], key["seed"]),
    sets=("MotionSense", "UCI-HAR", "UTD-MHAD-inertial"),
    seeds=(0, 1),
    processes=0,
    tables={"naming": table},
    page="# Code names\n\n"
    "The codes are named on the training set. The column *correct* is the share of "
    "names that agree with the test set. The column *by chance* is this share when "
    "the same names are assigned to other codes. The values are means over seeds. "
    "*Class* is the class with the highest lift, if its confidence is sufficient. "
    '*Sentence* is the sentence "a person CLASS" with the largest share of the '
    "code.\n\n"
    "{naming}\n",
)
