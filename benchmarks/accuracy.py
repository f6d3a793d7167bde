"""Accuracy on the official training and test parts of all data sets."""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

from estimators import ESTIMATORS, build, check_level, limit_threads, warm_up
from joblib import Parallel, delayed
from protocol import (
    LARGE_SETS,
    SMALL_SETS,
    Results,
    load_split,
    log,
    make_parser,
    scores,
)
from report import write_report

KEYS = ("set", "estimator", "seed")
VALUES = (
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "log_loss",
    "fit_seconds",
    "predict_seconds",
)


def evaluate(
    name: str, estimator: str, seed: int, data: str | None, n_threads: int
) -> dict[str, Any]:
    """Fit to the training part and score on the test part."""
    split = load_split(name, data)
    with limit_threads(n_threads):
        warm_up(estimator, n_threads, split.X_train, split.y_train)
        model = build(estimator, seed, n_threads)
        start = time.perf_counter()
        model.fit(split.X_train, split.y_train)
        fitted = time.perf_counter()
        predicted = model.predict(split.X_test)
        end = time.perf_counter()
        check_level(estimator, model)
        probabilities = None
        if hasattr(model, "predict_proba"):
            probabilities = model.predict_proba(split.X_test)
    return {
        "set": name,
        "estimator": estimator,
        "seed": seed,
        **scores(split.y_test, predicted, probabilities, model.classes_),
        "fit_seconds": fitted - start,
        "predict_seconds": end - fitted,
    }


def parser() -> argparse.ArgumentParser:
    """Make the parser of options."""
    found = make_parser(
        "Fit to the official training part and score on the official test part. Rows "
        "that results/accuracy.csv has are not computed again."
    )
    found.add_argument(
        "--sets",
        nargs="+",
        default=[*SMALL_SETS, *LARGE_SETS],
        help="data sets",
        metavar="SET",
    )
    found.add_argument(
        "--estimators",
        nargs="+",
        choices=list(ESTIMATORS),
        default=list(ESTIMATORS),
        help="what to fit",
        metavar="ESTIMATOR",
    )
    found.add_argument(
        "--seeds", nargs="+", type=int, default=[0, 1, 2], help="of each"
    )
    found.add_argument(
        "--processes", type=int, default=2, help="that share out all cores"
    )
    return found


def main() -> None:
    """Compute what is missing, and write the tables."""
    args = parser().parse_args()
    results = Results(args.results / "accuracy.csv", KEYS, VALUES)
    tasks = [
        (name, estimator, seed)
        for name in args.sets
        for seed in args.seeds
        for estimator in args.estimators
    ]
    tasks = [task for task in tasks if task not in results]
    n_threads = max(1, (os.cpu_count() or 1) // args.processes)
    rows = Parallel(n_jobs=args.processes, return_as="generator_unordered")(
        delayed(evaluate)(*task, args.data, n_threads) for task in tasks
    )
    for i, row in enumerate(rows, start=1):
        results.add(row)
        log(
            f"{i} of {len(tasks)}: {row['set']} {row['estimator']} seed {row['seed']}: "
            f"{row['accuracy']:.3f}, fit {row['fit_seconds']:.1f} s"
        )
    write_report("accuracy", args.results)


if __name__ == "__main__":
    main()
