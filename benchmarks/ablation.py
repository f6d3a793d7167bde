"""Every loss and part of the model on and off, forms of text, and controls.

Tasks are `full` (the official training part), `few` (ten cases of each class) and `long
tail` (class sizes that fall to a hundredth). Not everything is worth its time: `plan`
leaves some out if no variants are named. Those that are named are fitted to all.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from estimators import limit_threads, warm_up
from joblib import Parallel, cpu_count, delayed
from numpy.typing import NDArray
from protocol import (
    Results,
    explained,
    load_parts,
    log,
    make_parser,
    scores,
    scores_of_text,
    spread_cases,
    take,
)
from report import write_report
from variants import FIT_TEXTS, SCARCE, VARIANTS

KEYS = ("set", "task", "variant", "seed")
VALUES = (
    "cases",
    "network_accuracy",
    "network_macro_f1",
    "ridge_accuracy",
    "ridge_macro_f1",
    "similarity",
    "affinity",
    "signal_perplexity",
    "text_perplexity",
    "overlap",
    "explained",
    "explained_text",
    "epochs",
    "fit_seconds",
    "seconds",
)
SETS = ("MotionSense", "UTD-MHAD-inertial", "NATOPS", "RacketSports", "BasicMotions")
# BasicMotions has but ten cases of each class, and RacketSports little more.
SCARCE_SETS = ("MotionSense", "UTD-MHAD-inertial", "NATOPS")
TASKS = ("full", "few", "long tail")
_FEW, _IMBALANCE = 10, 100
_MAX_TEST_CASES, _MAX_REBUILT_CASES = 2000, 300
# Seconds of a row of the default, and how many times that some losses add to it.
_SECONDS = {
    "MotionSense": 22,
    "UTD-MHAD-inertial": 14,
    "NATOPS": 8,
    "RacketSports": 4,
    "BasicMotions": 3,
}
_SLOW = {"series": 1, "fused": 1, "digits": 1, "codebook": 2, "frequency": 2}


def draw_cases(y: NDArray[Any], task: str, seed: int) -> NDArray[np.intp]:
    """Draw the training cases of a task; which classes are rare depends on the seed."""
    if task == "full":
        return np.arange(len(y))
    rng = np.random.default_rng(seed)
    labels, counts = np.unique(y, return_counts=True)
    sizes = np.full(len(labels), _FEW)
    if task == "long tail":
        falling = counts.max() * _IMBALANCE ** -np.linspace(0, 1, len(labels))
        sizes = rng.permutation(np.maximum(2, falling.round().astype(int)))
    drawn = [
        rng.permutation(np.flatnonzero(y == label))[:size]
        for label, size in zip(labels, sizes, strict=True)
    ]
    return np.sort(np.concatenate(drawn))


def evaluate(
    name: str,
    task: str,
    variant: str,
    seed: int,
    data: str | None,
    most_cases: int,
    n_threads: int,
) -> dict[str, Any]:
    """Fit one variant, and measure all that it can do."""
    part = load_parts(name, data, most_cases, _MAX_TEST_CASES)
    cases = draw_cases(part.y_train, task, seed)
    X, y = take(part.X_train, cases), part.y_train[cases]
    with limit_threads(n_threads):
        warm_up("classifier", n_threads, part.X_train, part.y_train)
        start = time.perf_counter()
        model = build(variant, seed, np.unique(y).tolist(), part.about)
        make_text = FIT_TEXTS.get(variant)
        text = None if make_text is None else make_text(model, X, seed)
        model.fit(X, y, text)
        fitted = time.perf_counter()
        check_variant(variant, model)
        measured = measure(model, part.X_test, part.y_test)
        end = time.perf_counter()
    row = dict.fromkeys((*KEYS, *VALUES), float("nan"))
    return (
        row
        | measured
        | {
            "set": name,
            "task": task,
            "variant": variant,
            "seed": seed,
            "cases": len(cases),
            "fit_seconds": fitted - start,
            "seconds": end - start,
        }
    )


def build(variant: str, seed: int, labels: Sequence[str], about: dict[str, Any]) -> Any:
    """Make the classifier of a variant; its head is that of training if it has one."""
    from sktext_vq import VQTextClassifier

    parameters = dict(VARIANTS[variant])
    if callable(parameters.get("text")):
        parameters["text"] = parameters["text"](labels, seed)
    untaught = parameters.get("max_epochs") == 0
    untaught |= parameters.get("loss_weights", {}).get("class") == 0
    head = "ridge" if untaught else "network"
    return VQTextClassifier(head=head, random_state=seed, **about, **parameters)


def check_variant(variant: str, model: Any) -> None:
    """Refuse a model that left out text, or a loss that the variant is about."""
    level = "trained with text" if model.text is not None else "trained"
    if model.max_epochs == 0:
        level = "closed form"
    if model.training_stage_ != level:
        raise RuntimeError(
            f"{variant} should be {level!r}, but is {model.training_stage_!r}."
        )
    for name, weight in (model.loss_weights or {}).items():
        # "codebook" is no loss: codes that are learned have a loss of their own.
        shown = f"train_{'shape' if name == 'codebook' else name}"
        if (weight > 0) != any(shown in epoch for epoch in model.history_):
            raise RuntimeError(f"{variant}: the loss {name!r} does not follow {weight}")


def measure(model: Any, X: Any, y: NDArray[Any]) -> dict[str, float]:
    """Score both heads, text and codes."""
    found: dict[str, float] = {"epochs": len(model.history_)}
    for head in ("network", "ridge")[model.head == "ridge" :]:
        score = scores(y, model.set_params(head=head).predict(X))
        for kind in ("accuracy", "macro_f1"):
            found[f"{head}_{kind}"] = score[kind]
    if model.training_stage_ == "trained with text":
        found |= scores_of_text(model, X, y)
    for kind in ("signal_perplexity", "text_perplexity", "overlap"):
        found[kind] = model.codebook_use_.get(kind, float("nan"))
    few = take(X, spread_cases(len(y), _MAX_REBUILT_CASES))
    found["explained"] = explained(model, few, model.reconstruct(few))
    if model.network_.model is not None and model.network_.model.digits is not None:
        found["explained_text"] = explained(model, few, model.reconstruct_text(few))
    return found


def rough_seconds(name: str, task: str, variant: str) -> float:
    """Guess the seconds of a row, from some on one core."""
    weights = VARIANTS[variant].get("loss_weights", {})
    factor = 1 + sum(_SLOW.get(name, 0) for name, weight in weights.items() if weight)
    return _SECONDS.get(name, 10) * factor * {"few": 0.4, "long tail": 0.6}.get(task, 1)


def plan(args: argparse.Namespace) -> list[tuple[str, str, str, int]]:
    """List what to fit.

    If variants are named, all of it. If not, all variants on the full task, and on the
    other tasks those of `SCARCE`, on `SCARCE_SETS`.
    """

    def wanted(name: str, task: str, variant: str) -> bool:
        return task == "full" or (variant in SCARCE and name in SCARCE_SETS)

    return [
        (name, task, variant, seed)
        for seed in args.seeds
        for task in args.tasks
        for variant in args.variants or VARIANTS
        for name in args.sets
        if args.variants or wanted(name, task, variant)
    ]


def parser() -> argparse.ArgumentParser:
    """Make the parser of options."""
    found = make_parser(
        "Switch losses and parts of the model on and off, one at a time, and change "
        "the text. Rows that results/ablation.csv has are not computed again."
    )
    found.add_argument(
        "--sets", nargs="+", default=list(SETS), help="data sets", metavar="SET"
    )
    found.add_argument(
        "--variants",
        nargs="+",
        choices=list(VARIANTS),
        help="what to fit, to all sets and tasks; by default all that is worth it, "
        "see README.md",
        metavar="VARIANT",
    )
    found.add_argument(
        "--tasks", nargs="+", choices=TASKS, default=list(TASKS), help="tasks"
    )
    found.add_argument("--seeds", nargs="+", type=int, default=[0], help="of each")
    found.add_argument(
        "--most-cases", type=int, default=600, help="of training parts, evenly spread"
    )
    found.add_argument(
        "--processes", type=int, default=2, help="that share out all cores"
    )
    return found


def main() -> None:
    """Compute what is missing, and write the tables."""
    args = parser().parse_args()
    facts = {"most_cases": args.most_cases}
    results = Results(args.results / "ablation.csv", KEYS, VALUES, facts)
    tasks = [task for task in plan(args) if task not in results]
    left = sum(rough_seconds(*task[:3]) for task in tasks)
    log(f"{len(tasks)} fits, about {left / 60 / args.processes:.0f} minutes")
    n_threads = max(1, cpu_count() // args.processes)
    rows = Parallel(n_jobs=args.processes, return_as="generator_unordered")(
        delayed(evaluate)(*task, args.data, args.most_cases, n_threads)
        for task in tasks
    )
    done, start = 0.0, time.perf_counter()
    for i, row in enumerate(rows, start=1):
        results.add(row)
        guess = rough_seconds(row["set"], row["task"], row["variant"])
        done, left = done + guess, left - guess
        minutes = max(0, left) / done * (time.perf_counter() - start) / 60
        log(
            f"{i} of {len(tasks)}: {row['set']}, {row['task']}, {row['variant']}, seed "
            f"{row['seed']}: {row['network_accuracy']:.3f} by the network, "
            f"{row['ridge_accuracy']:.3f} by ridge, {row['seconds']:.0f} s; "
            f"about {minutes:.0f} minutes left"
        )
    write_report("ablation", args.results)


if __name__ == "__main__":
    main()
