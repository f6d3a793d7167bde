"""Accuracy of classifiers with few features, and decisions by ten rows of `explain`."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.data import about, load_split, spread_cases, take
from benchmarks.estimators import classifier_closed
from benchmarks.runner import Experiment, Options, Row, grid
from benchmarks.store import Frames
from benchmarks.tables import markdown, spread

MAX_FEATURES = (10, 30, 10_000)
_ROWS, _EXPLAINED = 10, 30


def evaluate(key: Row, options: Options) -> Row:
    """Fit to the training set, and score on the test set."""
    split, known = load_split(key["set"], options.data), about(key["set"], options.data)
    model = classifier_closed(key["seed"], max_features=key["max_features"], **known)
    model.fit(split.X_train, split.y_train)
    return {
        "accuracy": float(np.mean(model.predict(split.X_test) == split.y_test)),
        "classes": len(model.classes_),
        "kept": "" if key["max_features"] < MAX_FEATURES[-1] else kept(model, split),
    }


def kept(model: Any, split: Any) -> float:
    """Return the share of series for which the largest rows have a positive sum."""
    cases = spread_cases(len(split.y_test), _EXPLAINED)
    table = model.explain(take(split.X_test, cases))
    size = table["contribution"].abs()
    size[table["phrase"] == "intercept"] = np.inf
    largest = table.loc[size.sort_values(ascending=False).index]
    first = largest.groupby("case").head(_ROWS + 1)
    return float((first.groupby("case")["contribution"].sum() > 0).mean())


def table(frames: Frames) -> str:
    """Return the accuracy by number of features, and the means."""
    frame = frames["sparse"]
    wide = frame.pivot_table("accuracy", "set", "max_features", sort=False)
    own = frame.groupby("set")[["classes", "kept"]].mean()
    rows = [
        [name, f"{own.loc[name, 'classes']:.0f}"]
        + [spread(wide.loc[name, n]) for n in MAX_FEATURES]
        + [spread(own.loc[name, "kept"], digits=2)]
        for name in wide.index
    ]
    means = [spread(wide[n].mean()) for n in MAX_FEATURES]
    rows.append(["mean", "", *means, spread(own["kept"].mean(), digits=2)])
    return markdown(["set", "classes", *MAX_FEATURES, "same class by ten rows"], rows)


EXPERIMENT = Experiment(
    name="sparse",
    about="accuracy of classifiers with few features, and decisions in ten rows",
    keys=("set", "max_features", "seed"),
    values=("accuracy", "classes", "kept"),
    tasks=lambda options: grid(
        set=options.sets, max_features=MAX_FEATURES, seed=options.seeds
    ),
    evaluate=evaluate,
    sets=(
        *("GunPoint", "BasicMotions", "Epilepsy", "RacketSports", "NATOPS"),
        *("SyntheticControl", "CricketX", "UTD-MHAD-inertial"),
    ),
    seeds=(0,),
    tables={"sparse": table},
    page="# Few features\n\n"
    "Accuracy of `VQTextClassifier(max_features=n)` on the test set. The last column "
    "is the share of 30 test series for which the log-odds of the classifier with all "
    "features have the same sign as the sum of the ten largest rows of `explain` and "
    "the intercept.\n\n{sparse}\n",
)
