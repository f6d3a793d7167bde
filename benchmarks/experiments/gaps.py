"""Series with missing values and of unequal lengths, in test parts and in training."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.data import load_parts
from benchmarks.estimators import classifier_closed, minirocket
from benchmarks.experiments.shift import gap
from benchmarks.internals import Series, fill_gaps
from benchmarks.runner import Experiment, Options, Row, grid
from benchmarks.store import Frames
from benchmarks.tables import markdown, spread_table

_MOST_CASES = 1000  # of either part of a set
_MISSING = 0.2


def at_random(X: Series, rng: np.random.Generator, found: Any) -> Series:
    """Remove single values independently."""
    return np.where(rng.random(X.shape) < _MISSING, np.nan, X)


def unequal(X: Series, rng: np.random.Generator, found: Any) -> list[Series]:
    """Cut series off between the middle and the end."""
    n_timepoints = X.shape[2]
    ends = rng.integers(n_timepoints // 2, n_timepoints + 1, len(X))
    return [series[:, :end] for series, end in zip(X, ends, strict=True)]


GAPS: dict[str, Callable[..., Any]] = {
    "none": lambda X, rng, found: X,
    "20 % at random": at_random,
    "one of 30 %": gap,
    "half to full length": unequal,
}
METHODS: dict[str, Callable[[int], Any]] = {
    "ours": classifier_closed,
    "MiniRocket": lambda seed: minirocket(seed, n_jobs=1),
}


def with_gaps(method: str, gaps: str, X: Series, seed: int, part: int) -> Any:
    """Remove the same values for all methods, and fill gaps if a method requires it."""
    rng = np.random.default_rng([seed, part, list(GAPS).index(gaps)])
    found = GAPS[gaps](X, rng, None)
    if method == "ours" or isinstance(found, list):
        return found
    return fill_gaps(np.asarray(found, dtype=np.float64))


def evaluate(keys: list[Row], options: Options) -> Iterator[Row]:
    """Fit once, and score with each kind of gaps."""
    key = keys[0]
    method, seed = key["method"], key["seed"]
    train, test = load_parts(key["set"], options.data, _MOST_CASES, _MOST_CASES)
    in_training = "none" if key["training"] == "clean" else key["gaps"]
    start = time.perf_counter()
    X = with_gaps(method, in_training, train.X, seed, 0)
    model = METHODS[method](seed).fit(X, train.y)
    fit_seconds = time.perf_counter() - start
    for key in keys:
        start = time.perf_counter()
        X = with_gaps(method, key["gaps"], test.X, seed, 1)
        accuracy = float(np.mean(model.predict(X) == test.y))
        seconds = fit_seconds + time.perf_counter() - start
        yield key | {"accuracy": accuracy, "seconds": seconds}


def tasks(options: Options) -> Iterator[Row]:
    """Yield all gaps, after training on complete series and on the same gaps."""
    for key in grid(
        set=options.sets,
        gaps=GAPS,
        training=("clean", "with gaps"),
        method=METHODS,
        seed=options.seeds,
    ):
        if (key["gaps"], key["training"]) != ("none", "with gaps"):
            yield key


def table(frames: Frames) -> str:
    """Accuracy of each method by set, kind of gaps and training series."""
    frame = frames["gaps"]
    cells = {
        training: spread_table(own, ["set", "method"], "gaps", "accuracy")
        for training, own in frame.groupby("training")
    }
    clean, other = cells["clean"], cells["with gaps"]
    both = clean.add((" / " + other).reindex_like(clean).fillna(""))
    rows = [[*key, *row] for key, row in both.iterrows()]
    return markdown(["set", "method", *both.columns], rows)


EXPERIMENT = Experiment(
    name="gaps",
    about="missing values and unequal lengths, in training and in test series",
    keys=("set", "gaps", "training", "method", "seed"),
    values=("accuracy", "seconds"),
    tasks=tasks,
    evaluate=evaluate,
    fit=lambda key: tuple(
        key[column]
        for column in ("set", "method", "seed", "training", "gaps")
        if column != "gaps" or key["training"] != "clean"
    ),
    sets=("BasicMotions", "MotionSense", "UCI-HAR"),
    seeds=(0, 1),
    tables={"gaps": table},
    page="# Gaps\n\n"
    "The table shows the accuracy on test series with missing values, as mean ± "
    "standard deviation over draws of the missing values. The first number in a cell "
    "is the accuracy after training on complete series. The second number is the "
    "accuracy after training on series with missing values of the same kind. At most "
    "1,000 training cases and 1,000 test cases are used.\n\n"
    "{gaps}\n",
)
