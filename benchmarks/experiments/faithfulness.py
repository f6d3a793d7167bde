"""Faithfulness of explanations: effect of deleting tokens on the prediction.

The values of the tokens with the largest contributions are set to missing, and for
comparison those of random tokens, or of random intervals of the same length. The score
is the decrease in the probability of the predicted class.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.data import about, load_parts
from benchmarks.estimators import classifier_closed
from benchmarks.runner import Experiment, Options, Row, grid
from benchmarks.store import Frames
from benchmarks.tables import markdown

DELETED = (1, 3, 5)
_MOST_TRAINING_CASES, _CASES = 900, 150


def delete(
    X: NDArray[Any], stretches: list[tuple[int, int, int, int]]
) -> NDArray[np.float64]:
    """Set intervals to missing, given case, channel, start and length of each.

    First and last timepoints stay: a channel needs values, and a series its length.
    """
    found = X.astype(np.float64)
    for case, channel, start, length in stretches:
        found[case, channel, start : start + length] = np.nan
    found[..., [0, -1]] = X[..., [0, -1]]
    return found


def stretches_of(tokens: pd.DataFrame) -> list[tuple[int, int, int, int]]:
    """Return case, channel, start and length of tokens."""
    columns = ("case", "channel", "start", "length")
    return list(zip(*(tokens[each] for each in columns), strict=True))


def evaluate(keys: list[Row], options: Options) -> Iterator[Row]:
    """Fit, explain test series, and delete tokens with large contributions."""
    name, seed = keys[0]["set"], keys[0]["seed"]
    train, test = load_parts(name, options.data, _MOST_TRAINING_CASES, _CASES)
    X, known = test.X, about(name, options.data)
    rng = np.random.default_rng(seed)
    model = classifier_closed(seed, **known)
    before = model.fit(train.X, train.y).predict_proba(X)
    best = before.argmax(axis=1)
    table = model.explain(X)
    tokens = table[table["start"] >= 0]
    for n in DELETED:
        named = stretches_of(tokens.groupby("case").head(n))
        mixed = tokens.sample(frac=1, random_state=seed)
        anywhere = [
            (
                case,
                rng.integers(X.shape[1]),
                rng.integers(X.shape[2] - length + 1),
                length,
            )
            for case, _, _, length in named
        ]
        drops = [
            (before - model.predict_proba(delete(X, each)))[np.arange(len(X)), best]
            for each in (named, stretches_of(mixed.groupby("case").head(n)), anywhere)
        ]
        yield {
            "set": name,
            "deleted": n,
            "seed": seed,
            "cases": len(X),
            "probability": before.max(axis=1).mean(),
            "drop": drops[0].mean(),
            "random_tokens": drops[1].mean(),
            "random_stretches": drops[2].mean(),
        }


def table(frames: Frames) -> str:
    """Drops of probability, and their ratio to those of random tokens."""
    frame = frames["faithfulness"].drop(columns=["seed", "cases"])
    rows = []
    for key, own in frame.groupby(["set", "deleted"], sort=False).mean().iterrows():
        times = [
            f"{own[control]:.3f} ({own['drop'] / max(own[control], 1e-3):.1f})"
            for control in ("random_tokens", "random_stretches")
        ]
        rows.append([*key, f"{own['probability']:.3f}", f"{own['drop']:.3f}", *times])
    columns = ["set", "tokens", "probability", "drop"]
    columns += ["random tokens (ratio)", "random intervals (ratio)"]
    return markdown(columns, rows)


EXPERIMENT = Experiment(
    name="faithfulness",
    about="faithfulness of explanations: predictions after deletion of tokens",
    keys=("set", "deleted", "seed"),
    values=("cases", "probability", "drop", "random_tokens", "random_stretches"),
    tasks=lambda options: grid(set=options.sets, deleted=DELETED, seed=options.seeds),
    evaluate=evaluate,
    fit=lambda key: (key["set"], key["seed"]),
    sets=("MotionSense", "UTD-MHAD-inertial", "CricketX"),
    seeds=(0, 1),
    processes=0,
    tables={"faithfulness": table},
    page="# Explanations\n\n"
    "The table shows the decrease in the probability of the predicted class after "
    "values have been set to missing: the values of the tokens with the largest "
    "contributions, of the same number of random tokens, and of random intervals "
    "of the same length. The values are means over test series and seeds.\n\n"
    "{faithfulness}\n",
)
