"""Faithfulness of explanations: contributions of tokens, and effects of changing them.

One token of a series is changed at a time, and the prediction is computed again from
the changed series. In the baseline `occlusion`, the weight of a token is the decrease
in the probability if its values are replaced by their mean.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax

from benchmarks.data import about, load_split, spread_by_class, spread_cases
from benchmarks.estimators import classifier_closed, minirocket
from benchmarks.internals import fill_gaps
from benchmarks.perturbations import (
    COMPARABLE,
    MEANS,
    PERTURBATIONS,
    Array,
    Case,
    Predict,
    every_curve,
    every_drop,
    interval,
    measure,
    ratio_of_means,
)
from benchmarks.runner import Experiment, Options, Row, grid
from benchmarks.store import Frames
from benchmarks.tables import markdown, spread

KINDS = (*PERTURBATIONS, *MEANS)
METHODS = ("explain", "occlusion", "minirocket")
EVERY = "all classes"
_MOST_TRAINING_CASES, _CASES, _LEAST_OF_CLASS = 900, 40, 2
_NEAR = 0.5  # maximum difference of offsets of similar tokens, in standard deviations
_LEAST_SIMILAR = 5  # training series with a similar token
_CURVES = ("cpd", "cpp", "random_order")


def similar_share(token: pd.Series, near: pd.DataFrame, is_of_class: Array) -> float:
    """Return the share of a class among the training series with a similar token.

    `near` contains the training tokens of the same channel and code. The offset, scale
    and length of similar tokens are also nearly the same. The result is NaN if fewer
    than five series have a similar token.
    """
    near = near[(near["offset"] - token["offset"]).abs() <= _NEAR * token["unit"]]
    for name in ("scale", "length"):
        own = max(token[name], 1e-9)
        near = near[near[name].between(own / COMPARABLE, own * COMPARABLE)]
    cases = near["case"].unique().astype(int)
    return float(is_of_class[cases].mean()) if len(cases) >= _LEAST_SIMILAR else np.nan


def similar_series(
    model: Any, tokens: pd.DataFrame, X: Array, y: Array
) -> tuple[float, float, float]:
    """Return the share of the predicted class among similar training series (SSA).

    Training series with a token similar to the first token should belong to the
    explained class (Hahn et al., PAKDD 2026). The second value is the mean share over
    all tokens, which is the expectation for a random token, and the third value is the
    share of the class in all training series.
    """
    known = dict(list(model.tokens(X).groupby(["channel", "code"])))
    none = pd.DataFrame(columns=["case", "offset", "scale", "length"], dtype=float)
    unit = np.nanstd(X, axis=(0, 2))
    rows = []
    for _, own in tokens.groupby("case"):
        is_of_class = y == own["label"].iloc[0]
        own = own.assign(unit=unit[own["channel"]])
        shares = [
            similar_share(
                row, known.get((row["channel"], row["code"]), none), is_of_class
            )
            for _, row in own.iterrows()
        ]
        if np.isfinite(shares[0]):
            rows.append((shares[0], np.nanmean(shares), is_of_class.mean()))
    first, rest, chance = np.mean(rows, axis=0) if rows else np.full(3, np.nan)
    return float(first), float(rest), float(chance)


def agreement(model: Any, tokens: pd.DataFrame) -> float:
    """Return how often contributions agree with class names of codes; .5 by chance.

    Pairs of tokens of the same series, one with a code named after the class that is
    explained and one with a code named after the class that it is compared with, agree
    if the first token has the larger contribution.
    """
    names = model.describe_codes()["phrase"].to_numpy()
    won = []
    for _, own in tokens.groupby("case"):
        name, weight = names[own["code"]], own["contribution"].to_numpy()
        first, second = (
            weight[name == str(own[side].iloc[0])] for side in ("label", "against")
        )
        won.append((first[:, None] > second).ravel())
    pairs = np.concatenate(won)
    return float(pairs.mean()) if len(pairs) else np.nan


def evaluate(keys: list[Row], options: Options) -> Iterator[Row]:
    """Fit both classifiers, explain test series, and perturb their tokens."""
    from sktext_vq import DriftWarning

    warnings.simplefilter("ignore", DriftWarning)  # changed series differ
    name, seed = keys[0]["set"], keys[0]["seed"]
    split, known = load_split(name, options.data), about(name, options.data)
    train = spread_cases(len(split.y_train), _MOST_TRAINING_CASES)
    X_train, y_train = split.X_train[train].astype(float), split.y_train[train]
    n_of_class = max(_LEAST_OF_CLASS, _CASES // len(np.unique(y_train)))
    test = spread_by_class(split.y_test, n_of_class)
    X = split.X_test[test].astype(float)
    model = classifier_closed(seed, **known).fit(X_train, y_train)
    rocket = minirocket(seed, n_jobs=1).fit(X_train, y_train)
    table = model.explain(X)
    placed = table[table["start"] >= 0].merge(model.tokens(X), how="left")
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for case, own in placed.groupby("case"):
        donor = X_train[rng.choice(np.flatnonzero(y_train == own["against"].iloc[0]))]
        tokens = own[["channel", "start", "length"]].to_numpy()
        given = Case(X[case], tokens, donor)
        ours = every_drop(model.predict_proba, given, seed)
        theirs = every_drop(rocket_proba(rocket), given, seed)
        for method, found, weights in (
            ("explain", ours, own["contribution"].to_numpy()),
            ("occlusion", ours, ours["mean"]),
            ("minirocket", theirs, theirs["mean"]),
        ):
            areas = {}
            if method != "occlusion":
                predict = model.predict_proba
                predict = rocket_proba(rocket) if method == "minirocket" else predict
                areas = every_curve(predict, given, weights, seed)
            for kind in KINDS:
                row = {"method": method, "perturbation": kind}
                row |= {"label": str(split.y_test[test[case]])}
                row |= measure(found[kind], weights, tokens[:, 2])
                rows.append(row | areas.get(kind, {}))
    first, rest, chance = similar_series(model, placed, X_train, y_train)
    common = {
        "similar": first,
        "similar_random": rest,
        "similar_chance": chance,
        "agreement": agreement(model, placed),
    }
    for (method, kind), own in pd.DataFrame(rows).groupby(["method", "perturbation"]):
        parts = {EVERY: own} | dict(list(own.groupby("label")))
        for label, part in parts.items():
            key = {"set": name, "seed": seed, "method": method, "perturbation": kind}
            found = summarise(part) | (common if method == "explain" else {})
            yield dict.fromkeys(VALUES, "") | key | {"label": label} | found


def rocket_proba(rocket: Any) -> Predict:
    """Return a function that computes the softmax of the scores of MiniRocket."""

    def predict(X: Array) -> Array:
        scores = rocket.decision_function(fill_gaps(X))
        scores = scores if scores.ndim == 2 else np.stack([-scores, scores], axis=1)
        return softmax(scores, axis=1)

    return predict


def summarise(own: pd.DataFrame) -> dict[str, Any]:
    """Return medians, means and intervals over cases."""
    pairs = own[["top", "random"]].to_numpy()
    correlations = own["correlation"].to_numpy()
    low, high = interval(correlations, np.nanmedian)
    ratio_low, ratio_high = interval(pairs, ratio_of_means)
    largest = ratio_of_means(own[["largest", "largest_random"]].to_numpy())
    names = ("gini", "top", "random", *_CURVES)
    return {
        "cases": len(own),
        "correlation": np.nanmedian(correlations),
        "correlation_low": low,
        "correlation_high": high,
        "ratio": ratio_of_means(pairs),
        "ratio_low": ratio_low,
        "ratio_high": ratio_high,
        "ratio_largest": largest,
    } | {name: own[name].mean() for name in names}


def tasks(options: Options) -> Iterator[Row]:
    """List rows for all classes together, and for each class the mean drop."""
    methods = {"method": METHODS, "perturbation": KINDS, "label": [EVERY]}
    for name in options.sets:
        labels = np.unique(load_split(name, options.data).y_train).astype(str)
        own = {"set": [name], "seed": options.seeds}
        yield from grid(**own, **methods)
        of_class = {"method": ["explain"], "perturbation": ["all"], "label": labels}
        yield from grid(**own, **of_class)


def within(own: pd.Series, name: str, digits: int) -> str:
    """Write a value with its interval."""
    low, high = own[f"{name}_low"], own[f"{name}_high"]
    return f"{own[name]:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def shown(frames: Frames, **chosen: Any) -> pd.DataFrame:
    """Return means over seeds of chosen rows."""
    frame = frames["faithfulness"]
    for column, value in chosen.items():
        frame = frame[frame[column] == value]
    keys = ["set", "method", "perturbation", "label"]
    return frame.groupby(keys, sort=False).mean(numeric_only=True).reset_index()


def correlations(frames: Frames) -> str:
    """Median correlations of weights and drops, by perturbation."""
    rows = []
    for key, own in shown(frames, label=EVERY).groupby(["set", "method"], sort=False):
        by_kind = own.set_index("perturbation")
        # Weights of occlusion are the drops if values are replaced by their mean.
        circular = () if key[1] == "explain" else ("mean", "all")
        cells = [
            ""
            if kind in circular
            else spread(by_kind.loc[kind, "correlation"], digits=2)
            for kind in PERTURBATIONS
        ]
        cells += [
            "" if kind in circular else within(by_kind.loc[kind], "correlation", 2)
            for kind in MEANS
        ]
        rows.append([*key, *cells])
    return markdown(["set", "weights", *KINDS], rows)


def areas(frames: Frames) -> str:
    """Areas of CPD and CPP, and Gini coefficients of weights."""
    frame = shown(frames, label=EVERY, perturbation="all but mean")
    rows = [
        [own["set"], own["method"]]
        + [spread(own[name], digits=2) for name in (*_CURVES, "gini")]
        for _, own in frame[frame["method"] != "occlusion"].iterrows()
    ]
    return markdown(["set", "weights", "CPD", "CPP", "random order", "Gini"], rows)


def first_tokens(frames: Frames) -> str:
    """Drops of first tokens and random tokens, SSA, and agreement with names."""
    frame = shown(frames, method="explain", perturbation="all")
    rows = []
    for name, own in frame.groupby("set", sort=False):
        every = own[own["label"] == EVERY].iloc[0]
        of_class = own[own["label"] != EVERY]
        worst = of_class.loc[of_class["ratio"].idxmin()]
        similar = ("similar", "similar_random", "similar_chance", "agreement")
        rows.append(
            [name, within(every, "ratio", 1), spread(every["ratio_largest"], digits=1)]
            + [f"{worst['label']}: {within(worst, 'ratio', 1)}"]
            + [spread(every[each], digits=2) for each in similar]
        )
    columns = ["set", "first / random token", "maximum", "worst class", "SSA"]
    columns += ["SSA of random tokens", "by chance", "agreement with names"]
    return markdown(columns, rows)


def classes(frames: Frames) -> str:
    """Correlations and ratios of each class."""
    frame = shown(frames, method="explain", perturbation="all")
    rows = [
        [
            *(own["set"], own["label"], f"{own['cases']:.0f}"),
            *(within(own, "correlation", 2), within(own, "ratio", 1)),
        ]
        for _, own in frame[frame["label"] != EVERY].iterrows()
    ]
    return markdown(["set", "class", "cases", "correlation", "first / random"], rows)


VALUES = (
    *("cases", "correlation", "correlation_low", "correlation_high"),
    *(
        "ratio",
        "ratio_low",
        "ratio_high",
        "ratio_largest",
        "top",
        "random",
        "gini",
        *_CURVES,
    ),
    *("similar", "similar_random", "similar_chance", "agreement"),
)

EXPERIMENT = Experiment(
    name="faithfulness",
    about="faithfulness of explanations: predictions after changes of tokens",
    keys=("set", "seed", "method", "perturbation", "label"),
    values=VALUES,
    tasks=tasks,
    evaluate=evaluate,
    fit=lambda key: (key["set"], key["seed"]),
    sets=(
        *("MotionSense", "UTD-MHAD-inertial", "CricketX"),
        *("NATOPS", "BasicMotions", "OSULeaf"),
    ),
    seeds=(0,),
    tables={
        "faithfulness": correlations,
        "faithfulness_areas": areas,
        "faithfulness_first": first_tokens,
        "faithfulness_classes": classes,
    },
    page="# Explanations\n\n"
    "One token of a test series is changed at a time: its values are replaced by "
    "missing values (`gap`), by their mean (`mean`), by noise with the same mean and "
    "standard deviation (`noise`), or by the values of a training series of the second "
    "most probable class (`swap`). The decrease in the probability of the predicted "
    "class is compared with the contribution of the token (`explain`), and with the "
    "decrease for `mean`, in the same classifier (`occlusion`) and in MiniRocket with "
    "a ridge classifier (`minirocket`). The table shows medians of Spearman's "
    "correlation over series; `all` is the mean of the four decreases, with bootstrap "
    "intervals (95 %).\n\n"
    "{faithfulness}\n\n"
    "Areas under the curves of the cumulative change of the prediction while five "
    "tokens, or half of the tokens if there are fewer than ten, are changed one after "
    "the other. The tokens with the largest (CPD) or smallest (CPP) absolute weights "
    "are changed first. Gini is the coefficient of the absolute weights.\n\n"
    "{faithfulness_areas}\n\n"
    "Decrease for the token with the largest contribution, divided by the mean "
    "decrease for other tokens of similar length, with the same ratio for the "
    "token with the largest decrease, and the class with the smallest ratio. SSA is "
    "the share of the predicted class among the training series that contain a similar "
    "token. Agreement with names is the share of pairs of tokens whose contributions "
    "agree with the class names of their codes.\n\n{faithfulness_first}\n\n"
    "The same values by class of the series:\n\n{faithfulness_classes}\n",
)
