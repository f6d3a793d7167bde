"""Choice of defaults by cross-validation inside training parts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.data import SMALL_SETS, folds, take, training_part
from benchmarks.estimators import closed_form
from benchmarks.internals import (
    OPTIONS,
    changed,
    check_choice,
    constants,
    defaults,
    number,
)
from benchmarks.runner import Experiment, Options, Row, grid
from benchmarks.store import Frames
from benchmarks.tables import compared, markdown

# The row of all defaults, which represents the default value of every option.
DEFAULT = ("default", "default")


def tasks(options: Options) -> Iterator[Row]:
    """Yield the defaults, and the other values of each option."""
    now = defaults()
    choices = [(o, v) for o, values in OPTIONS.items() for v in values if v != now[o]]
    for option, value in (DEFAULT, *choices):
        yield from grid(
            option=[option], value=[value], set=options.sets, seed=options.seeds
        )


def evaluate(key: Row, options: Options) -> Row:
    """Cross-validate one value of one option on the training part of one set."""
    start = time.perf_counter()
    option, value, chosen = key["option"], key["value"], defaults()
    parameters: dict[str, Any] = {}
    if (option, value) != DEFAULT:
        chosen[option] = value
        if not constants(option, value):
            parameters[option] = number(value)
    part = training_part(key["set"], options.data)
    predicted = np.empty_like(part.y)
    n_features = []
    with changed(option, value):
        for fit_cases, score_cases in folds(part.y, part.subjects, key["seed"]):
            model = closed_form(key["seed"], **parameters)
            model.fit(take(part.X, fit_cases), part.y[fit_cases])
            check_choice(model[0], chosen)
            predicted[score_cases] = model.predict(take(part.X, score_cases))
            n_features.append(model[-1].n_features_in_)
    return {
        "accuracy": float(np.mean(predicted == part.y)),
        "n_features": round(np.mean(n_features)),
        "seconds": time.perf_counter() - start,
    }


def _by_number(value: str) -> tuple[float, str]:
    """Key that sorts numbers and fractions by size, and words after them."""
    try:
        return number(value), ""
    except ValueError:
        return np.inf, value


def table(frames: Frames) -> str:
    """Accuracy of each value of an option, and its difference to the default."""
    frame = frames["choices"].astype({"value": str})
    by_set = frame.groupby(["option", "value", "set"])[["accuracy", "n_features"]]
    means = by_set.mean()
    base = means.loc[DEFAULT]
    rows: list[list[Any]] = []
    for option, default in frames.environment("choices")["defaults"].items():
        others = set(frame.loc[frame["option"] == option, "value"])
        for value in sorted({*others, default}, key=_by_number):
            own: pd.DataFrame = base
            versus = ["default", ""]
            if value != default:
                own = means.loc[(option, value)]
                versus = compared(own["accuracy"], base["accuracy"], 4)
            rows.append(
                [
                    f"{option} = {value}",
                    len(own),
                    f"{own['accuracy'].mean():.4f}",
                    *versus,
                    f"{own['n_features'].mean():.0f}",
                ]
            )
    columns = ["option", "sets", "accuracy", "difference from default"]
    return (
        "The table shows the cross-validated accuracy on the training sets, as mean "
        "over data sets and seeds "
        f"{sorted(frame['seed'].unique().tolist())}. In each row, one option is "
        "changed. ± is the standard error of the difference over data sets.\n\n"
        f"{markdown([*columns, 'wins / ties / losses', 'features'], rows)}"
    )


EXPERIMENT = Experiment(
    name="choices",
    about="choice of defaults by cross-validation on training parts",
    keys=("option", "value", "set", "seed"),
    values=("accuracy", "n_features", "seconds"),
    tasks=tasks,
    evaluate=evaluate,
    sets=SMALL_SETS,
    seeds=(0, 1),
    processes=2,
    # Rows of other defaults would not be comparable.
    facts=lambda options: {"defaults": defaults()},
    tables={"choices": table},
    page="# Choice of defaults\n\n{choices}\n",
)
