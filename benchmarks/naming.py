"""Names of codes put to the test: do they hold for series of other people?

Names come from the training part. A name is right if the code has its most lift in that
class on the test part; a word for strength, pace or place, if the test part alone gives
the same word. For comparison the same names are dealt to random codes.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from estimators import limit_threads
from joblib import Parallel, delayed
from numpy.typing import NDArray
from protocol import Results, load_parts, log, make_parser
from report import write_report

KEYS = ("set", "kind", "seed")
VALUES = ("codes", "named", "right", "by_chance")
SETS = ("MotionSense", "UCI-HAR", "UTD-MHAD-inertial")
_MOST_TRAINING_CASES, _MOST_TEST_CASES = 900, 1500
_DEALS = 200


def use_of_codes(model: Any, X: Any, y: NDArray[Any]) -> Any:
    """Measure how series of a test part use the codes, as fit does for training."""
    from sktext_vq._features.selection import FeatureMoments
    from sktext_vq._interpret.code_statistics import CodeStatistics
    from sktext_vq.panel import as_panel

    tokenizer, panel = model.features_.tokenizer, as_panel(X)
    classes = np.searchsorted(model.classes_, y)
    moments = FeatureMoments(sum(tokenizer.layout.sizes), len(model.classes_), 1)
    for part, features in model._flat_features(panel, "codes"):
        moments.add(features, classes[part], np.zeros_like(classes[part]))
    moments.flush()
    squares = moments.squares[0] / moments.counts[0][:, None].clip(1)
    return CodeStatistics.from_squares(
        squares[:, : tokenizer.layout.sizes[0]], tokenizer.layout
    )


def compare(
    names: Sequence[str | None], truth: Sequence[str | None], seed: int
) -> dict[str, float]:
    """Count names, the right ones, and those that would be right by chance."""
    known = [i for i, name in enumerate(names) if name is not None]
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


def evaluate(name: str, seed: int, data: str | None) -> list[dict[str, Any]]:
    """Fit, name the codes, and look whether test series agree."""
    from sktext_vq import VQTextClassifier

    part = load_parts(name, data, _MOST_TRAINING_CASES, _MOST_TEST_CASES)
    with limit_threads(1):
        model = VQTextClassifier(random_state=seed, **part.about)
        model.fit(part.X_train, part.y_train)
        told = model.describe_codes([f"a person {label}" for label in model.classes_])
        there = use_of_codes(model, part.X_test, part.y_test)
    table, here = model.describe_codes(), model.code_statistics_
    best = model.classes_[there.class_lift.argmax(axis=0)].astype(str).tolist()
    channels = model.features_.channels
    found = {
        "class": (table["phrase"], best),
        "class, all codes": (table["class"].astype(str), best),
        "sentence": (told["phrase"].str.removeprefix("a person "), best),
        "strength": (here.strength(), there.strength()),
        "pace": (here.pace(), there.pace()),
        "place": (here.place(channels), there.place(channels)),
    }
    return [
        {
            "set": name,
            "kind": kind,
            "seed": seed,
            **compare([w if isinstance(w, str) else None for w in names], truth, seed),
        }
        for kind, (names, truth) in found.items()
    ]


def main() -> None:
    """Compute what is missing, and write the table."""
    parser = make_parser(
        "Compare names of codes with what test series say. Rows that "
        "results/naming.csv has are not computed again."
    )
    parser.add_argument(
        "--sets", nargs="+", default=list(SETS), help="data sets", metavar="SET"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1], help="of each")
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count(), help="of one thread each"
    )
    args: argparse.Namespace = parser.parse_args()
    results = Results(args.results / "naming.csv", KEYS, VALUES)
    tasks = [
        (name, seed)
        for name in args.sets
        for seed in args.seeds
        if (name, "class", seed) not in results
    ]
    found = Parallel(n_jobs=args.processes, return_as="generator")(
        delayed(evaluate)(*task, args.data) for task in tasks
    )
    for rows in found:
        for row in rows:
            results.add(row)
        log(f"{row['set']}, seed {row['seed']}: {rows[0]}")
    write_report("naming", args.results)


if __name__ == "__main__":
    main()
