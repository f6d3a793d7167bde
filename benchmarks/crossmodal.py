"""What series and texts share: the class from a sentence, retrieval, codes, digits."""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

import numpy as np
from cost import in_new_process, peak_mib
from estimators import limit_threads
from joblib import Parallel, delayed
from protocol import (
    Results,
    explained,
    load_split,
    log,
    make_parser,
    scores_of_text,
)
from report import write_report
from variants import VARIANTS

KEYS = ("set", "variant", "seed")
VALUES = (
    "accuracy",
    "similarity",
    "affinity",
    "series_to_caption",
    "text_to_series",
    "signal_perplexity",
    "text_perplexity",
    "signal_used",
    "text_used",
    "overlap",
    "explained",
    "explained_text",
    "epochs",
    "fit_seconds",
    "peak_gib",
)
_RETRIEVED, _AT = 800, 10
_REBUILT = 500


def models() -> dict[str, dict[str, Any]]:
    """Return parameters of what is compared; series are written as digits in all."""
    from sktext_vq import SeriesVerbalizer

    digits = {"loss_weights": {"digits": 1.0}}
    comma = {"verbalizer": SeriesVerbalizer(separator="comma")}
    return {
        "digits": digits,
        "digits, comma": {**digits, **comma},
        "everything": VARIANTS["everything"],
    }


def evaluate(
    name: str, variant: str, seed: int, data: str | None, n_threads: int
) -> dict[str, Any]:
    """Fit to the training part, and compare series and texts of the test part."""
    from sktext_vq import SeriesCaptioner, VQTextClassifier

    split = load_split(name, data)
    about = {
        "channel_names": split.channel_names,
        "sampling_rate": split.sampling_rate,
    }
    model = VQTextClassifier(random_state=seed, **models()[variant], **about)
    start = time.perf_counter()
    with limit_threads(n_threads):
        model.fit(split.X_train, split.y_train)
    seconds = time.perf_counter() - start
    peak_gib = peak_mib() / 2**10
    X, y = split.X_test, split.y_test
    cases = np.random.default_rng(seed).permutation(len(y))[:_RETRIEVED]
    captioner = SeriesCaptioner(**about).fit(split.X_train)
    scores = model.similarity(X[cases], captioner.transform(X[cases]))
    own = np.diag(scores)
    few = X[:_REBUILT]
    return {
        "set": name,
        "variant": variant,
        "seed": seed,
        "accuracy": model.score(X, y),
        **scores_of_text(model, X, y),
        "series_to_caption": ((scores > own[:, None]).sum(axis=1) < _AT).mean(),
        "text_to_series": ((scores > own).sum(axis=0) < _AT).mean(),
        **model.codebook_use_,
        "explained": explained(model, few, model.reconstruct(few)),
        "explained_text": explained(model, few, model.reconstruct_text(few)),
        "epochs": len(model.history_),
        "fit_seconds": seconds,
        "peak_gib": peak_gib,
    }


def parser() -> argparse.ArgumentParser:
    """Make the parser of options."""
    found = make_parser(
        "Fit to the official training part, and compare test series with sentences "
        "whose wording is not among the texts of training, and with captions. Rows "
        "that results/crossmodal.csv has are not computed again."
    )
    found.add_argument(
        "--sets", nargs="+", default=["MotionSense"], help="data sets", metavar="SET"
    )
    found.add_argument(
        "--variants", nargs="+", help="what to fit, or all", metavar="VARIANT"
    )
    found.add_argument("--seeds", nargs="+", type=int, default=[0, 1], help="of each")
    found.add_argument(
        "--processes", type=int, default=1, help="that share out all cores"
    )
    return found


def main() -> None:
    """Compute what is missing, and write the table."""
    args = parser().parse_args()
    results = Results(args.results / "crossmodal.csv", KEYS, VALUES)
    tasks = [
        (name, variant, seed)
        for name in args.sets
        for seed in args.seeds
        for variant in args.variants or models()
    ]
    tasks = [task for task in tasks if task not in results]
    n_threads = max(1, (os.cpu_count() or 1) // args.processes)
    # A process for every task: the peak of its memory is its own.
    rows = Parallel(
        n_jobs=args.processes, backend="threading", return_as="generator_unordered"
    )(delayed(in_new_process)(evaluate, *task, args.data, n_threads) for task in tasks)
    for row in rows:
        results.add(row)
        log(f"{row['set']}, {row['variant']}, seed {row['seed']}: {row}")
    write_report("crossmodal", args.results)


if __name__ == "__main__":
    main()
