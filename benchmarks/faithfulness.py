"""Explanations put to the test: what is left when the tokens they name are deleted.

Values of the tokens with the largest contributions become missing, and for comparison
those of random tokens, or of stretches at random places that are as long as the former.
How much less probable is the class that was predicted?
"""

from __future__ import annotations

import argparse
import os
from typing import Any

import numpy as np
import pandas as pd
from estimators import limit_threads
from joblib import Parallel, delayed
from numpy.typing import NDArray
from protocol import Results, load_parts, log, make_parser
from report import write_report

KEYS = ("set", "deleted", "seed")
VALUES = ("cases", "probability", "drop", "random_tokens", "random_stretches")
SETS = ("MotionSense", "UTD-MHAD-inertial", "CricketX")
DELETED = (1, 3, 5)
_MOST_TRAINING_CASES, _CASES = 900, 150


def delete(
    X: NDArray[Any], stretches: list[tuple[int, int, int, int]]
) -> NDArray[np.float64]:
    """Make stretches missing: case, channel, start and length of each.

    First and last timepoints stay: a channel needs values, and a series its length.
    """
    found = X.astype(np.float64)
    for case, channel, start, length in stretches:
        found[case, channel, start : start + length] = np.nan
    found[..., [0, -1]] = X[..., [0, -1]]
    return found


def places(tokens: pd.DataFrame) -> list[tuple[int, int, int, int]]:
    """Return case, channel, start and length of tokens."""
    columns = ("case", "channel", "start", "length")
    return list(zip(*(tokens[each] for each in columns), strict=True))


def evaluate(name: str, seed: int, data: str | None) -> list[dict[str, Any]]:
    """Fit, explain test series, and delete what explanations name."""
    from sktext_vq import VQTextClassifier

    part = load_parts(name, data, _MOST_TRAINING_CASES, _CASES)
    rng = np.random.default_rng(seed)
    with limit_threads(1):
        model = VQTextClassifier(max_epochs=0, random_state=seed, **part.about)
        model.fit(part.X_train, part.y_train)
        X = part.X_test
        before = model.predict_proba(X)
        every = np.arange(len(X))
        best = before.argmax(axis=1)
        table = model.explain(X)
        tokens = table[table["start"] >= 0]
        rows = []
        for n in DELETED:
            named = places(tokens.groupby("case").head(n))
            mixed = tokens.sample(frac=1, random_state=seed)
            others = places(mixed.groupby("case").head(n))
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
                (before - model.predict_proba(delete(X, stretches)))[every, best]
                for stretches in (named, others, anywhere)
            ]
            rows.append(
                {
                    "set": name,
                    "deleted": n,
                    "seed": seed,
                    "cases": len(X),
                    "probability": before.max(axis=1).mean(),
                    "drop": drops[0].mean(),
                    "random_tokens": drops[1].mean(),
                    "random_stretches": drops[2].mean(),
                }
            )
    return rows


def main() -> None:
    """Compute what is missing, and write the table."""
    parser = make_parser(
        "Delete the tokens that explanations name, and random ones. Rows that "
        "results/faithfulness.csv has are not computed again."
    )
    parser.add_argument(
        "--sets", nargs="+", default=list(SETS), help="data sets", metavar="SET"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1], help="of each")
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count(), help="of one thread each"
    )
    args: argparse.Namespace = parser.parse_args()
    results = Results(args.results / "faithfulness.csv", KEYS, VALUES)
    tasks = [
        (name, seed)
        for name in args.sets
        for seed in args.seeds
        if any((name, n, seed) not in results for n in DELETED)
    ]
    found = Parallel(n_jobs=args.processes, return_as="generator")(
        delayed(evaluate)(*task, args.data) for task in tasks
    )
    for rows in found:
        for row in rows:
            results.add(row)
            log(
                f"{row['set']}: {row['drop']:.3f}, by chance {row['random_tokens']:.3f}"
            )
    write_report("faithfulness", args.results)


if __name__ == "__main__":
    main()
