"""Few labels, with and without codes and weights of another data set.

Ten training cases of each class are drawn, or all if there are fewer. All methods are
scored on the same test cases. The other data set, UCI-HAR, has other people, another
sensor position and mostly other activities, and its test part is not read.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np

from benchmarks.data import about, draw_by_class, load_parts, scores
from benchmarks.estimators import classifier
from benchmarks.runner import Experiment, Options, Row, grid
from benchmarks.store import Frames
from benchmarks.tables import markdown, spread, spread_table

SOURCE = "UCI-HAR"
_PER_CLASS = 10
_MOST_SOURCE_CASES, _MOST_TEST_CASES = 600, 1000
# Parameters of VQTextClassifier, and the model for `init`.
METHODS: dict[str, tuple[dict[str, Any], str | None]] = {
    "closed form": ({"max_epochs": 0}, None),
    "closed form, codes of UCI-HAR": ({"max_epochs": 0}, "without labels"),
    "network": ({}, None),
    "network, pretrained without labels": ({}, "without labels"),
    "network, pretrained with labels": ({}, "with labels"),
}


@cache
def source(kind: str, data: str | None) -> Any:
    """Train on the training part of the other data set, once for all fits."""
    from sktext_vq import pretrain

    train, _ = load_parts(SOURCE, data, _MOST_SOURCE_CASES, 1)
    if kind == "without labels":
        return pretrain([train.X], random_state=0)
    return classifier(0, **about(SOURCE, data)).fit(train.X, train.y)


def evaluate(key: Row, options: Options) -> Row:
    """Fit to few cases, and score on the test part."""
    name, seed = key["set"], key["seed"]
    train, test = load_parts(name, options.data, 10**9, _MOST_TEST_CASES)
    parameters, kind = METHODS[key["method"]]
    init = None if kind is None else source(kind, options.data)
    sizes = np.full(len(np.unique(train.y)), _PER_CLASS)
    cases = draw_by_class(train.y, sizes, np.random.default_rng(seed))
    model = classifier(seed, **parameters, **about(name, options.data))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The text of")
        model.fit(train.X[cases], train.y[cases], init=init)
    found = scores(test.y, model.predict(test.X))
    return {
        "labels": len(cases),
        "accuracy": found["accuracy"],
        "macro_f1": found["macro_f1"],
    }


def table(frames: Frames) -> str:
    """Accuracy of each method on each set, and the effect of pretraining."""
    frame = frames["pretrain"]
    cells = spread_table(frame, "method", "set", "accuracy")
    by_seed = frame.pivot_table(
        index=["method", "seed"], columns="set", values="accuracy", sort=False
    ).mean(axis=1, skipna=False)
    rows = []
    for method, row in cells.iterrows():
        base, _, pretrained = str(method).partition(", ")
        change = ""
        if pretrained:
            difference = (by_seed[method] - by_seed[base]).dropna()
            error = difference.std() / np.sqrt(max(len(difference), 1))
            change = spread(difference.mean(), error)
        rows.append([method, *row, change])
    return markdown(["method", *cells.columns, "difference"], rows)


EXPERIMENT = Experiment(
    name="pretrain",
    about="few labels, with and without pretraining on another data set",
    keys=("set", "method", "seed"),
    values=("labels", "accuracy", "macro_f1"),
    tasks=lambda options: grid(set=options.sets, method=METHODS, seed=options.seeds),
    evaluate=evaluate,
    sets=("MotionSense", "BasicMotions", "RacketSports"),
    seeds=(0, 1, 2, 3),
    tables={"pretrain": table},
    page="# Few labels, with and without pretraining\n\n"
    "The table shows the accuracy on test cases after fitting to ten cases per "
    "class, as mean ± standard deviation over draws of these cases. The last column "
    "is the mean difference over data sets from the same method without pretraining, "
    "and its standard error over draws.\n\n"
    "{pretrain}\n",
)
