"""Penalty and temperature chosen with and without groups, for unseen subjects."""

from __future__ import annotations

import numpy as np
import sklearn
from sklearn.model_selection import GroupKFold, cross_val_predict

from benchmarks.data import load_whole, scores, spread_cases
from benchmarks.estimators import classifier_closed
from benchmarks.runner import Experiment, Options, Row, grid, names
from benchmarks.store import Frames
from benchmarks.tables import markdown, spread_of

_MOST_CASES = {"all": 500, "six": 240}  # by number of people
_N_FEW = 6
_VALUES = names("accuracy log_loss calibration_error")


def evaluate(key: Row, options: Options) -> Row:
    """Predict each fifth of the people by a model that is fitted to the others."""
    whole = load_whole(key["set"], options.data)
    assert whole.subjects is not None
    cases = np.arange(len(whole.y))
    if key["people"] == "six":
        everybody = np.unique(whole.subjects)
        drawn = np.random.default_rng(key["seed"]).permutation(everybody)[:_N_FEW]
        cases = np.flatnonzero(np.isin(whole.subjects, drawn))
    cases = cases[spread_cases(len(cases), _MOST_CASES[key["people"]])]
    if key["order"] == "shuffled":
        cases = np.random.default_rng(key["seed"]).permutation(cases)
    X, y, people = whole.X[cases], whole.y[cases], whole.subjects[cases]
    model = classifier_closed(key["seed"], channel_names=whole.channel_names)
    with sklearn.config_context(enable_metadata_routing=True):
        found = cross_val_predict(
            model.set_fit_request(groups=key["fit"] == "with groups"),
            X,
            y,
            cv=GroupKFold(5, shuffle=True, random_state=key["seed"]),
            params={"groups": people},
            method="predict_proba",
        )
    classes = np.unique(y)
    measured = scores(y, classes[found.argmax(axis=1)], found, classes)
    return {value: measured[value] for value in _VALUES}


def table(frames: Frames) -> str:
    """Scores for unseen subjects, by order of the cases."""
    groups = frames["groups"].groupby(["set", "people", "order", "fit"], sort=False)
    rows = [
        [*key, *(spread_of(own[value]) for value in _VALUES)] for key, own in groups
    ]
    columns = ["set", "people", "order of cases", "fit"]
    return markdown([*columns, "accuracy", "log-loss", "calibration error"], rows)


EXPERIMENT = Experiment(
    name="groups",
    about="choice of penalty and temperature with and without groups of people",
    keys=("set", "people", "order", "fit", "seed"),
    values=_VALUES,
    tasks=lambda options: grid(
        set=options.sets,
        people=_MOST_CASES,
        order=("as stored", "shuffled"),
        fit=("without groups", "with groups"),
        seed=options.seeds,
    ),
    evaluate=evaluate,
    sets=("MotionSense",),
    seeds=(0, 1, 2),
    tables={"groups": table},
    page="# Groups in cross-validation\n\n"
    "The scores are computed by `cross_val_predict` with `GroupKFold(5)` over "
    "people. At most 500 cases from all people are used, or 240 cases from six "
    "randomly drawn people. In all rows, `groups=people` is passed to the splitter. "
    "In the *with groups* rows, it is also passed to `fit`. The values are means ± "
    "standard deviations over seeds, which also determine the folds.\n\n"
    "{groups}\n",
)
