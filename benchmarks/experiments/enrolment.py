"""Base models with labelled windows from the target, and with unknown activities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.activities import SOURCES, load_windows
from benchmarks.estimators import classifier
from benchmarks.internals import fit_activities, fit_six_channels
from benchmarks.runner import Experiment, Options, Row, grid
from benchmarks.store import Frames
from benchmarks.tables import markdown, spread_of

_MOST = 600  # windows per data set
COUNTS = (1, 3, 5, 10, 50)
METHODS = ("labelled windows only", "with a base")


def _load(target: str, part: str, options: Options) -> tuple[Any, Any]:
    """Return harmonised windows of a training or test set, and their labels."""
    from sktext_vq.wearables import harmonise

    found = load_windows(target, options.data, part, _MOST)
    convert = partial(harmonise, units=found.units)
    X = convert(
        found.X, channel_names=found.channel_names, sampling_rate=found.sampling_rate
    )
    return np.asarray(X), np.asarray(found.y)


def evaluate_enrolment(keys: list[Row], options: Options) -> Iterator[Row]:
    """Score classifiers that are fitted to a few windows per class."""
    from sktext_vq.wearables import CHANNELS

    target, seed = keys[0]["target"], keys[0]["seed"]
    sets = [load_windows(name, options.data, "train", _MOST) for name in SOURCES]
    base = fit_activities([each for each in sets if each.name != target], seed)
    (X, y), (X_test, y_test) = (
        _load(target, part, options) for part in ("train", "test")
    )
    rng = np.random.default_rng(seed)
    order = [rng.permutation(np.flatnonzero(y == label)) for label in np.unique(y)]
    for key in keys:
        rows = np.concatenate([own[: key["windows"]] for own in order])
        model = classifier(seed, channel_names=CHANNELS, sampling_rate=50.0)
        init = base if key["method"] == METHODS[1] else None
        model.fit(X[rows], y[rows], init=init)
        yield {**key, "accuracy": np.mean(model.predict(X_test) == y_test)}


def evaluate_unknown(keys: list[Row], options: Options) -> Iterator[Row]:
    """Score the detection of classes that are not among the candidates."""
    target, seed, is_in_base = keys[0]["target"], keys[0]["seed"], keys[0]["in_base"]
    sets = [load_windows(name, options.data, "train", _MOST) for name in SOURCES]
    X, y = _load(target, "train" if target == "seglearn-watch" else "test", options)
    classes = np.random.default_rng(seed).permutation(np.unique(y))
    known = sorted(classes[: len(classes) // 2])
    reduced = []
    for each in sets:
        own = np.isin(each.y, known) | (each.name != target)
        people = np.asarray(each.subjects)
        if target == "seglearn-watch" and each.name == target:
            out = people > np.median(np.unique(people))
            own &= ~out
            X, y = X[out], y[out]
        labels = np.asarray(each.y)[own]
        reduced.append(replace(each, X=each.X[own], y=labels, subjects=people[own]))
    base = fit_six_channels(
        [each for each in reduced if is_in_base or each.name != target], seed
    )
    unknown = base.predict_proba_zero_shot(X, known, "unknown")[:, -1]
    is_new = ~np.isin(y, known)
    is_known = ~is_new & np.isin(y, base.classes_)
    both = is_new | is_known
    yield {
        **keys[0],
        "auroc": roc_auc_score(is_new[both], unknown[both]),
        "refused_known": np.mean(unknown[is_known] > 0.5),
        "refused_unknown": np.mean(unknown[is_new] > 0.5),
    }


def enrolment_table(frames: Frames) -> str:
    """Return the accuracy by number of windows per class."""
    frame = frames["enrolment"]
    rows = [
        [f"{target}, {method}", *(spread_of(cell, 3) for cell in cells)]
        for (target, method), own in frame.groupby(["target", "method"], sort=False)
        for cells in [[own.loc[own["windows"] == k, "accuracy"] for k in COUNTS]]
    ]
    return markdown(["accuracy, windows per class", *map(str, COUNTS)], rows)


def unknown_table(frames: Frames) -> str:
    """Return measures of the detection of unknown classes by target."""
    frame = frames["unknown"]
    columns = ("auroc", "refused_known", "refused_unknown")
    rows = [
        [
            f"{target}, {'half' if in_base else 'not'} in the base",
            *(spread_of(own[column], 2) for column in columns),
        ]
        for (target, in_base), own in frame.groupby(["target", "in_base"], sort=False)
    ]
    titles = [
        "AUROC",
        "known classes: windows with the label",
        "unknown classes: windows with the label",
    ]
    return markdown(["half of the classes unknown", *titles], rows)


ENROLMENT = Experiment(
    name="enrolment",
    about="classifiers fitted to few labelled windows, with and without a base",
    keys=("target", "method", "windows", "seed"),
    values=("accuracy",),
    tasks=lambda options: grid(
        seed=options.seeds, target=options.sets, method=METHODS, windows=COUNTS
    ),
    evaluate=evaluate_enrolment,
    fit=lambda key: (key["target"], key["seed"]),
    sets=("MotionSense", "UCI-HAR"),
    seeds=(0, 1, 2, 3, 4),
    tables={"enrolment": enrolment_table},
    page="# Classifiers fitted to few labelled windows\n\n"
    "A classifier is fitted to a few windows per class drawn from the training set: "
    "`VQTextClassifier.fit(X, y, init=base)`. The base model is fitted to the other "
    "data sets among MotionSense, UCI-HAR, WISDM-2019-watch and seglearn-watch, with "
    "at most 600 windows from each. The table shows the accuracy on at most 600 "
    "windows of the test set, as mean ± standard deviation over draws.\n\n"
    "{enrolment}\n",
)
UNKNOWN = Experiment(
    name="unknown",
    about="detection of activities outside the training data of a base",
    keys=("target", "in_base", "seed"),
    values=("auroc", "refused_known", "refused_unknown"),
    tasks=lambda options: [
        key
        for key in grid(seed=options.seeds, target=options.sets, in_base=(1, 0))
        # Its labels do not occur in any other data set.
        if key["in_base"] or key["target"] != "seglearn-watch"
    ],
    evaluate=evaluate_unknown,
    fit=lambda key: (key["target"], key["in_base"], key["seed"]),
    sets=SOURCES,
    seeds=(0, 1, 2),
    tables={"unknown": unknown_table},
    page="# Detection of unknown activities\n\n"
    "Half of the classes of a data set are unknown, and the other half are the "
    "candidates. In the rows *half in the base*, the base model is fitted to the "
    "candidates and to the other three data sets, which may contain unknown classes. "
    "In the rows *not in the base*, it is fitted to the other three data sets, and "
    "known classes are those that occur in one of them. The table shows the AUROC of "
    "the novelty score, and the shares of windows that are assigned the "
    "`unknown_label`. The windows are from people who are not in the training data. "
    "The values are means ± standard deviations over draws of the known classes. The "
    "novelty score was chosen on training subjects of MotionSense, UCI-HAR and "
    "seglearn-watch.\n\n"
    "{unknown}\n",
)
