"""Naming of activities in a data set that was not used to fit the base model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from benchmarks.activities import (
    OTHER_WORDS,
    PACKAGED,
    SOURCES,
    load_windows,
    paraphrases,
)
from benchmarks.estimators import Rocket, classifier
from benchmarks.internals import ActivityHeads, pooled_features
from benchmarks.runner import Experiment, Options, Row, grid
from benchmarks.statistics import window_statistics
from benchmarks.store import Frames
from benchmarks.tables import markdown, spread_of

METHODS = (
    *("base", "base, acceleration only", "base, paraphrases", "base, other words"),
    *("constants chosen without the target", "known classes only"),
    *("predicted centres only", "mean text of known classes (ConSE)"),
    *("name only, no sentences", "equal words only", "random vectors"),
    *("window statistics", "MiniRocket", "chance", "supervised"),
)
# Windows per data set in training, as in the packaged base model, and in tests.
_MOST, _MOST_TEST = 1200, 600
_DEFAULT = (0.3, 0.03)
GRID = tuple(
    (weight, temperature)
    for weight in (0.0, 0.15, 0.3, 0.5, 1.0)
    for temperature in (0.03, 0.05, 0.2)
)


def _random_vectors(texts: Sequence[str], seed: int) -> NDArray[np.float64]:
    """Return a random unit vector for each text."""
    rows = [
        np.random.default_rng([seed, *text.encode()]).normal(size=384) for text in texts
    ]
    return np.stack([row / np.linalg.norm(row) for row in rows])


def _f1_by_class(y: Any, names: Sequence[str], scores: Any) -> NDArray[np.float64]:
    found = np.array(names)[np.asarray(scores).argmax(axis=1)]
    return np.asarray(f1_score(y, found, labels=names, average=None, zero_division=0))


def _choose(features: Any, pool: Any, encoder: Any, seed: int) -> tuple[float, float]:
    """Choose constants by leaving out one source at a time."""
    gains = np.zeros(len(GRID))
    for left_out in np.unique(pool.sets):
        inside = pool.sets != left_out
        heads = ActivityHeads(features, pool, inside, seed)
        y = pool.labels[~inside]
        names = np.unique(y).tolist()
        scores = heads.scores(features[~inside], heads.views(names, encoder), GRID)
        gains += [_f1_by_class(y, names, each).mean() for each in scores]
    return GRID[int(gains.argmax())]


def evaluate(keys: list[Row], options: Options) -> Iterator[Row]:
    """Fit to the sources, and score methods on the target."""
    from sktext_vq import TextEncoder
    from sktext_vq.wearables import harmonise

    target, seed = keys[0]["target"], keys[0]["seed"]
    sources = SOURCES if target in SOURCES else PACKAGED
    sets = [
        load_windows(name, options.data, "train", _MOST)
        for name in sources
        if name != target
    ]
    part = "train" if target == "seglearn-watch" else "test"
    test = load_windows(target, options.data, part, _MOST_TEST)
    convert = partial(
        harmonise,
        channel_names=test.channel_names,
        sampling_rate=test.sampling_rate,
        units=test.units,
    )
    X, y = convert(test.X), np.asarray(test.y)
    names = np.unique(y).tolist()
    pool, features, new = pooled_features(sets, X, seed)
    every = np.ones(len(pool.sets), bool)
    minilm = TextEncoder()
    heads = ActivityHeads(features, pool, every, seed)
    views = heads.views(names, minilm)
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=views.shape)
    noise /= np.linalg.norm(noise, axis=2, keepdims=True)
    constants = [_DEFAULT]

    def score(words: Any = None, *, at: Any = _DEFAULT, views: Any = views) -> Any:
        views = views if words is None else heads.views(words, minilm)
        return heads.scores(new, views, [at])[0]

    def chosen() -> Any:
        constants[0] = _choose(features, pool, minilm, seed)
        return score(at=constants[0])

    def with_features(transform: Any) -> Any:
        values = [np.nan_to_num(pool.panel.values), np.nan_to_num(np.asarray(X))]
        before, after = map(transform, values)
        other = ActivityHeads(before, pool, every, seed)
        return other.scores(after, views, [_DEFAULT])[0]

    def with_rocket() -> Any:
        rocket = Rocket(n_jobs=1, random_state=seed)
        return with_features(rocket.fit(np.nan_to_num(pool.panel.values)).transform)

    def accelerometer() -> Any:
        own, before, after = pooled_features(sets, np.asarray(X)[:, :3], seed)
        other = ActivityHeads(before, own, every, seed)
        return other.scores(after, views, [_DEFAULT])[0]

    by_text = TextEncoder(partial(_random_vectors, seed=seed))
    found: dict[str, Callable[[], Any]] = {
        "base": score,
        "base, acceleration only": accelerometer,
        "base, paraphrases": lambda: [score(paraphrases(names, i)) for i in range(3)],
        "base, other words": lambda: score([OTHER_WORDS.get(x, x) for x in names]),
        "constants chosen without the target": chosen,
        "known classes only": lambda: score(at=(1.0, 0.03)),
        "predicted centres only": lambda: score(at=(0.0, 0.03)),
        "mean text of known classes (ConSE)": lambda: heads.mean_text(new, views),
        "name only, no sentences": lambda: score(
            views=heads.views(names, minilm, ("keyword",))
        ),
        "equal words only": lambda: score(views=heads.views(names, by_text)),
        "random vectors": lambda: score(views=noise),
        "window statistics": lambda: with_features(window_statistics),
        "MiniRocket": with_rocket,
        "chance": lambda: rng.random((len(y), len(names))),
        "supervised": lambda: _supervised(target, options, X, names, seed, convert),
    }
    is_known = np.isin(names, pool.labels)
    for key in keys:
        scores = found[key["method"]]()
        scores = scores if isinstance(scores, list) else [scores]
        f1 = np.mean([_f1_by_class(y, names, each) for each in scores], axis=0)
        used = constants[0] if key["method"].startswith("constants") else _DEFAULT
        yield {
            **key,
            "macro_f1": f1.mean(),
            "known_f1": f1[is_known].mean() if is_known.any() else np.nan,
            "unknown_f1": f1[~is_known].mean() if not is_known.all() else np.nan,
            "mix_weight": used[0],
            "text_temperature": used[1],
        }


def _supervised(
    target: str, options: Options, X: Any, names: Any, seed: int, convert: Any
) -> Any:
    """Return probabilities of a classifier that is fitted to the target."""
    from sktext_vq.wearables import CHANNELS

    train = load_windows(target, options.data, "train", _MOST)
    known, y, people = convert(train.X), np.asarray(train.y), train.subjects
    out = np.ones(len(y), bool)
    if target == "seglearn-watch":  # no test set: half of the people
        out = np.asarray(people) <= np.median(np.unique(np.asarray(people)))
    model = classifier(seed, channel_names=CHANNELS, sampling_rate=50.0)
    model.fit(np.asarray(known)[out], y[out])
    proba = np.asarray(model.predict_proba(np.asarray(X)))
    assert model.classes_.tolist() == names
    return proba


def table(frames: Frames) -> str:
    """Return the macro-F1 of each method by target."""
    return _by_target(frames["wearables"], METHODS)


def by_knowledge(frames: Frames) -> str:
    """Return the F1 of labels that occur in a source, and of labels that do not."""
    frame = frames["wearables"]
    parts, names = [], []
    for method in ("base", "chance", "supervised"):
        own = frame[frame["method"] == method]
        for kind in ("known", "unknown"):
            names.append(f"{method}, labels {kind} to the base")
            scores = own[f"{kind}_f1"]
            parts.append(own.assign(method=names[-1], macro_f1=scores))
    return _by_target(pd.concat(parts), names)


def _by_target(frame: Any, methods: Sequence[str]) -> str:
    """Return a table of scores; cells that were not computed are empty."""
    targets = list(dict.fromkeys(frame["target"]))
    rows = []
    for method in methods:
        own = frame[frame["method"] == method].dropna(subset="macro_f1")
        cells = [own.loc[own["target"] == each, "macro_f1"] for each in targets]
        rows.append([method, *(spread_of(x, 2) if len(x) else "" for x in cells)])
    return markdown(["macro-F1", *targets], rows)


EXPERIMENT = Experiment(
    name="wearables",
    about="naming of activities in a data set outside the base",
    keys=("target", "method", "seed"),
    values=("macro_f1", "known_f1", "unknown_f1", "mix_weight", "text_temperature"),
    tasks=lambda options: grid(seed=options.seeds, target=options.sets, method=METHODS),
    evaluate=evaluate,
    fit=lambda key: (key["target"], key["seed"]),
    sets=(*SOURCES, "BasicMotions"),
    seeds=(0, 1, 2, 3, 4),
    tables={"wearables": table, "wearables_known": by_knowledge},
    page="# Names of activities without training data\n\n"
    "Each data set is left out in turn. A base model is fitted to the training "
    "parts of the other data sets among MotionSense, UCI-HAR, WISDM-2019-watch and "
    "seglearn-watch, with at most 1,200 windows of each, as in the packaged base "
    "model. For BasicMotions, which has a sampling rate of 10 Hz and no gravity, the "
    "base model is fitted to the three data sets of the packaged base model. All "
    "classes of the left-out data set (the target) are candidates, and each window "
    "is predicted separately. The tables show the macro-F1 on at most 600 windows of "
    "the test part, as mean ± standard deviation over seeds.\n\n"
    "{wearables}\n\n"
    "{wearables_known}\n\n"
    "The rows differ as follows:\n\n"
    "- *constants chosen without the target*: the weights of the two components of "
    "the score are chosen by leaving out each of the other data sets in turn;\n"
    "- *known classes only* and *predicted centres only*: only one of the two "
    "components is used;\n"
    "- *paraphrases*: mean over three other wordings of each name;\n"
    "- *other words*: descriptions without any word of the labels;\n"
    "- *mean text of known classes (ConSE)*: names are compared with the mean text "
    "of the known classes, weighted by their probabilities;\n"
    "- *equal words only*: each text has a random vector, so only equal texts are "
    "similar;\n"
    "- *random vectors*: each class and each name has a random vector;\n"
    "- *window statistics* and *MiniRocket*: other features are used;\n"
    "- *supervised*: a classifier is fitted to labelled windows of the target. For "
    "seglearn-watch, this score is too optimistic, because its training subjects "
    "are also in the test data.\n",
)
