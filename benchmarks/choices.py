"""How defaults were chosen: cross-validation inside training parts."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from typing import Any
from unittest.mock import patch

import numpy as np
from estimators import closed_form
from joblib import Parallel, delayed
from protocol import (
    SMALL_SETS,
    Results,
    folds,
    log,
    make_parser,
    take,
    training_part,
)
from report import write_report

KEYS = ("option", "value", "set", "seed")
VALUES = ("accuracy", "n_features", "seconds")
OPTIONS = {
    "n_codes": ("16", "32", "64", "128"),
    "codes_per_head": ("16", "32", "64"),
    "bins": ("4", "8"),
    "kept_share": ("1", "1/2", "1/3", "1/5"),
    "kinds": ("all", "no matches", "no summaries", "histograms"),
    "max_features": ("5000", "10000", "20000"),
}
# The row of all defaults, which stands for the default value of every option.
DEFAULT = ("default", "default")


def defaults() -> dict[str, str]:
    """Return the value of each option that the package has now."""
    from sktext_vq import VQTextTransformer, _base
    from sktext_vq.nn import codebook, tokens

    parameters = VQTextTransformer().get_params()
    now = {
        "n_codes": parameters["n_codes"],
        "codes_per_head": codebook.MIN_CODES_PER_HEAD,
        "bins": tokens.LEVEL_BINS,
        "kept_share": _base._KEPT_SHARES[0],
        "max_features": parameters["max_features"],
    }
    found = {"kinds": "all"}
    for option, value in now.items():
        same = [text for text in OPTIONS[option] if _number(text) == value]
        if not same:
            raise ValueError(f"The default {option}={value} is not among the values.")
        found[option] = same[0]
    return found


def _number(text: str) -> int | float:
    fraction = Fraction(text)
    return int(fraction) if fraction.denominator == 1 else float(fraction)


def kept_shares(share: float, kinds: str) -> tuple[float, float, float]:
    """Shares of histograms, matches and summaries that are kept at most."""
    only = kinds == "histograms"
    return (
        share,
        0.0 if only or kinds == "no matches" else share,
        0.0 if only or kinds == "no summaries" else 1.0,
    )


def constants(option: str, value: str) -> dict[str, Any]:
    """Constants of the package that an option stands for; none for a parameter."""
    if option == "kinds":
        share = _number(defaults()["kept_share"])
        return {"_KEPT_SHARES": kept_shares(share, value)}
    number = _number(value)
    if option == "codes_per_head":
        return {"MIN_CODES_PER_HEAD": number}
    if option == "bins":
        return {
            "LEVEL_BINS": number,
            "SCALE_BINS": number,
            "N_ROWS": 2 * number + 1,
            "_kernels": lambda: None,  # compiled for the number of bins that is usual
        }
    if option == "kept_share":
        return {"_KEPT_SHARES": kept_shares(number, "all")}
    return {}


@contextmanager
def patched(option: str, value: str) -> Iterator[None]:
    """Change constants for a while, in every module that has imported them."""
    with ExitStack() as stack:
        for name, number in constants(option, value).items():
            modules = [
                module
                for key, module in list(sys.modules.items())
                if key.split(".")[0] == "sktext_vq" and name in vars(module)
            ]
            if not modules:
                raise AttributeError(f"The package has no constant {name} any more.")
            for module in modules:
                stack.enter_context(patch.object(module, name, number))
        yield


def check_choice(transformer: Any, chosen: dict[str, str]) -> None:
    """Raise unless a fitted transformer is what the values of all options say."""
    kinds = chosen["kinds"]
    number = {option: _number(chosen[option]) for option in chosen if option != "kinds"}
    tokenizer = transformer.features_.tokenizer
    shares = kept_shares(number["kept_share"], kinds)
    most = [
        int(share * size)
        for share, size in zip(shares, tokenizer.layout.sizes, strict=True)
    ]
    n_summaries = min(most[2], number["max_features"] // 2)
    found = {
        "codes": tokenizer.codebook.n_codes,
        "heads": tokenizer.codebook.n_heads,
        "rows": tokenizer.layout[3],
        "features": len(transformer.get_feature_names_out()),
    }
    expected = {
        "codes": number["n_codes"],
        "heads": max(1, number["n_codes"] // number["codes_per_head"]),
        "rows": 2 * number["bins"] + 1,
        "features": most[1]
        + n_summaries
        + min(most[0], number["max_features"] - n_summaries),
    }
    if found != expected:
        raise RuntimeError(f"Asked for {chosen}, so {expected}, but found {found}.")


def evaluate(
    option: str, value: str, name: str, seed: int, data: str | None
) -> dict[str, Any]:
    """Cross-validate one value of one option on the training part of one set."""
    import torch

    torch.set_num_threads(1)  # one process per core
    start = time.perf_counter()
    chosen = defaults()
    parameters = {}
    if (option, value) != DEFAULT:
        chosen[option] = value
        if not constants(option, value):
            parameters[option] = _number(value)
    part = training_part(name, data)
    predicted = np.empty_like(part.y)
    n_features = []
    with patched(option, value) if option != "default" else ExitStack():
        for fit_cases, score_cases in folds(part.y, part.subjects, seed):
            model = closed_form(seed, **parameters)
            model.fit(take(part.X, fit_cases), part.y[fit_cases])
            check_choice(model[0], chosen)
            predicted[score_cases] = model.predict(take(part.X, score_cases))
            n_features.append(model[-1].n_features_in_)
    return {
        "option": option,
        "value": value,
        "set": name,
        "seed": seed,
        "accuracy": float(np.mean(predicted == part.y)),
        "n_features": round(np.mean(n_features)),
        "seconds": time.perf_counter() - start,
    }


def parser() -> argparse.ArgumentParser:
    """Make the parser of options."""
    found = make_parser(
        "Cross-validate values of options, one at a time, inside the training parts of "
        "the small sets. Rows that results/choices.csv has are not computed again."
    )
    found.add_argument(
        "--sets",
        nargs="+",
        default=list(SMALL_SETS),
        help="data sets",
        metavar="SET",
    )
    found.add_argument(
        "--options",
        nargs="+",
        choices=list(OPTIONS),
        default=list(OPTIONS),
        help="options to try values of; the defaults are always among them",
    )
    found.add_argument("--seeds", nargs="+", type=int, default=[0, 1], help="of each")
    found.add_argument("--processes", type=int, default=2, help="of one thread each")
    return found


def main() -> None:
    """Compute what is missing, and write the tables."""
    args = parser().parse_args()
    now = defaults()
    # Rows of other defaults would not be comparable.
    results = Results(args.results / "choices.csv", KEYS, VALUES, {"defaults": now})
    chosen = [DEFAULT]
    for option in args.options:
        chosen += [(option, v) for v in OPTIONS[option] if v != now[option]]
    tasks = [
        (*choice, name, seed)
        for choice in chosen
        for name in args.sets
        for seed in args.seeds
    ]
    tasks = [task for task in tasks if task not in results]
    rows = Parallel(n_jobs=args.processes, return_as="generator_unordered")(
        delayed(evaluate)(*task, args.data) for task in tasks
    )
    for i, row in enumerate(rows, start=1):
        results.add(row)
        log(
            f"{i} of {len(tasks)}: {row['option']} {row['value']} {row['set']} seed "
            f"{row['seed']}: {row['accuracy']:.3f} after {row['seconds']:.1f} s"
        )
    write_report("choices", args.results)


if __name__ == "__main__":
    main()
