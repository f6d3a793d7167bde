"""Series with missing values and of unequal lengths, in test parts and in training."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from estimators import classifier_closed, limit_threads, minirocket
from protocol import Results, load_parts, log, make_parser
from report import write_report
from shift import Series, gap

from sktext_vq.text._statistics import fill_gaps

SETS = ("BasicMotions", "MotionSense", "UCI-HAR")
KEYS = ("set", "gaps", "training", "method", "seed")
VALUES = ("accuracy", "seconds")

_MOST_CASES = 1000  # of either part of a set
_MISSING = 0.2


def at_random(X: Series, rng: np.random.Generator, found: Any) -> Series:
    """Leave out single values, each for itself."""
    return np.where(rng.random(X.shape) < _MISSING, np.nan, X)


def unequal(X: Series, rng: np.random.Generator, found: Any) -> list[Series]:
    """Cut series off, at the earliest in the middle."""
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


def as_needed(method: str, X: Any) -> Any:
    """Draw straight lines through gaps for those who take none."""
    if method == "ours" or isinstance(X, list):
        return X
    return fill_gaps(np.asarray(X, dtype=np.float64))


def with_gaps(gaps: str, X: Series, seed: int, part: int) -> Any:
    """Damage series, for all methods alike."""
    rng = np.random.default_rng([seed, part, list(GAPS).index(gaps)])
    return GAPS[gaps](X, rng, None)


def evaluate(
    name: str, in_training: str, method: str, seed: int, data: str | None
) -> list[dict[str, Any]]:
    """Fit to series with such gaps; score with these, or with all after none."""
    found = load_parts(name, data, _MOST_CASES, _MOST_CASES)
    rows = []
    with limit_threads(1):
        start = time.perf_counter()
        X = as_needed(method, with_gaps(in_training, found.X_train, seed, 0))
        model = METHODS[method](seed).fit(X, found.y_train)
        fit_seconds = time.perf_counter() - start
        for gaps in GAPS if in_training == "none" else (in_training,):
            start = time.perf_counter()
            X = as_needed(method, with_gaps(gaps, found.X_test, seed, 1))
            accuracy = float(np.mean(model.predict(X) == found.y_test))
            rows.append(
                {
                    "set": name,
                    "gaps": gaps,
                    "training": "clean" if in_training == "none" else "with gaps",
                    "method": method,
                    "seed": seed,
                    "accuracy": accuracy,
                    "seconds": fit_seconds + time.perf_counter() - start,
                }
            )
    return rows


def parser() -> argparse.ArgumentParser:
    """Make the parser of options."""
    found = make_parser(
        "Score on series with gaps, after training with and without such. Rows that "
        "results/gaps.csv has are not computed again."
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
        "--seeds",
        nargs="+",
        type=int,
        default=[0, 1],
        help="of gaps and estimators",
        metavar="SEED",
    )
    return found


def main() -> None:
    """Compute what is missing, and write the table."""
    args = parser().parse_args()
    results = Results(args.results / "gaps.csv", KEYS, VALUES)
    for seed in args.seeds:
        for name in args.sets:
            for in_training in GAPS:
                for method in METHODS:
                    training = "clean" if in_training == "none" else "with gaps"
                    key = (name, in_training, training, method, seed)
                    if key in results:
                        continue
                    for row in evaluate(name, in_training, method, seed, args.data):
                        results.add(row)
                        log(", ".join(f"{key} {row[key]}" for key in row))
    write_report("gaps", args.results)


if __name__ == "__main__":
    main()
