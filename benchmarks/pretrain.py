"""What a vocabulary learned on another data set brings where labels are few.

Ten training cases of each class are drawn, or all where there are fewer. Everything is
scored on the same test cases. The other data set, UCI-HAR, has other people, another
place of the sensor and mostly other activities, and its test part is not read.
"""

from __future__ import annotations

import argparse
import warnings
from functools import cache
from typing import Any

import numpy as np
from estimators import limit_threads
from numpy.typing import NDArray
from protocol import Results, load_parts, log, make_parser, scores
from report import write_report

KEYS = ("set", "method", "seed")
VALUES = ("labels", "accuracy", "macro_f1")
SOURCE = "UCI-HAR"
SETS = ("MotionSense", "BasicMotions", "RacketSports")
_PER_CLASS = 10
_MOST_SOURCE_CASES, _MOST_TEST_CASES = 600, 1000

# Parameters of VQTextClassifier, and what it starts from.
NETWORK = {"head": "network"}
METHODS: dict[str, tuple[dict[str, Any], str | None]] = {
    "closed form": ({"max_epochs": 0}, None),
    "closed form, codes of UCI-HAR": ({"max_epochs": 0}, "without labels"),
    "network": (NETWORK, None),
    "network, pretrained without labels": (NETWORK, "without labels"),
    "network, pretrained with labels": (NETWORK, "with labels"),
}


@cache
def learned(kind: str, data: str | None) -> Any:
    """Learn a vocabulary from the training part of the other set, once for all."""
    from sktext_vq import VQTextClassifier, pretrain

    source = load_parts(SOURCE, data, _MOST_SOURCE_CASES, 1)
    with limit_threads(1):
        if kind == "without labels":
            return pretrain([source.X_train], random_state=0)
        classifier = VQTextClassifier(random_state=0, **source.about)
        return classifier.fit(source.X_train, source.y_train)


def draw(y: NDArray[np.str_], seed: int) -> NDArray[np.intp]:
    """Draw ten cases of each class, or all."""
    rng = np.random.default_rng(seed)
    chosen = []
    for label in np.unique(y):
        own = np.flatnonzero(y == label)
        chosen.append(rng.permutation(own)[:_PER_CLASS])
    return np.sort(np.concatenate(chosen))


def evaluate(name: str, method: str, seed: int, data: str | None) -> dict[str, Any]:
    """Fit to few cases, and score on the test part."""
    from sktext_vq import VQTextClassifier

    part = load_parts(name, data, 10**9, _MOST_TEST_CASES)
    parameters, kind = METHODS[method]
    init = None if kind is None else learned(kind, data)
    cases = draw(part.y_train, seed)
    model = VQTextClassifier(random_state=seed, **parameters, **part.about)
    with limit_threads(1), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The text of")
        model.fit(part.X_train[cases], part.y_train[cases], init=init)
        found = scores(part.y_test, model.predict(part.X_test))
    return {
        "set": name,
        "method": method,
        "seed": seed,
        "labels": len(cases),
        "accuracy": found["accuracy"],
        "macro_f1": found["macro_f1"],
    }


def parser() -> argparse.ArgumentParser:
    """Make the parser of options."""
    found = make_parser(
        "Fit to ten cases of each class, with and without what was learned from "
        "UCI-HAR. Rows that results/pretrain.csv has are not computed again."
    )
    found.add_argument(
        "--sets", nargs="+", default=list(SETS), help="data sets", metavar="SET"
    )
    found.add_argument(
        "--seeds",
        nargs="+",
        type=int,
        default=[0, 1, 2, 3],
        help="of drawn cases and of fits",
        metavar="SEED",
    )
    return found


def main() -> None:
    """Compute what is missing, and write the table."""
    args = parser().parse_args()
    results = Results(args.results / "pretrain.csv", KEYS, VALUES)
    for seed in args.seeds:
        for name in args.sets:
            for method in METHODS:
                if (name, method, seed) in results:
                    continue
                row = evaluate(name, method, seed, args.data)
                results.add(row)
                log(f"{name}, {method}, seed {seed}: {row['accuracy']:.3f}")
    write_report("pretrain", args.results)


if __name__ == "__main__":
    main()
