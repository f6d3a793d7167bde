"""Names for activities of a data set that was not used, by the texts of the names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from benchmarks.activities import PACKAGED, SOURCES, load_windows
from benchmarks.estimators import classifier
from benchmarks.internals import ActivityHeads, activity_features, fit_activities
from benchmarks.runner import Experiment, Options, Row, grid
from benchmarks.statistics import window_statistics
from benchmarks.store import Frames
from benchmarks.tables import markdown, spread_of
from sktext_vq import TextEncoder
from sktext_vq.wearables import CHANNELS, harmonise

METHODS = (
    *("base", "base, acceleration only", "constants chosen without the target"),
    *("known classes only", "predicted centres only", "name only, no sentences"),
    *("random vectors", "window statistics", "chance", "supervised"),
)
_MOST = 1200  # windows of a data set
_DEFAULT = (0.3, 0.05)
GRID = tuple(
    (weight, temperature)
    for weight in (0.0, 0.15, 0.3, 0.5, 0.7, 1.0)
    for temperature in (0.02, 0.05, 0.2)
)


def _random_vectors(texts: Sequence[str], seed: int) -> NDArray[np.float64]:
    """Return a random unit vector for each text."""
    rows = [
        np.random.default_rng([seed, *text.encode()]).normal(size=384) for text in texts
    ]
    return np.stack([row / np.linalg.norm(row) for row in rows])


def _macro_f1(y: Any, names: Sequence[str], scores: Any) -> float:
    found = np.array(names)[np.asarray(scores).argmax(axis=1)]
    return float(f1_score(y, found, labels=names, average="macro", zero_division=0))


def _choose(
    features: Any, pool: Any, encoder: Any, seed: int
) -> tuple[tuple[float, float], list[float]]:
    """Choose constants by leaving out one source at a time."""
    gains = np.zeros(len(GRID))
    for left_out in np.unique(pool.sets):
        inside = pool.sets != left_out
        heads = ActivityHeads(features, pool, inside, encoder, seed)
        y = pool.labels[~inside]
        names = np.unique(y).tolist()
        scores = heads.scores(features[~inside], names, GRID)
        gains += [_macro_f1(y, names, each) for each in scores]
    return GRID[int(gains.argmax())], (gains / len(np.unique(pool.sets))).tolist()


def evaluate(keys: list[Row], options: Options) -> Iterator[Row]:
    """Fit to the sources, and score all methods on the target."""
    target, seed = keys[0]["target"], keys[0]["seed"]
    chosen = PACKAGED if keys[0]["sources"] == "packaged" else SOURCES
    sets = [
        load_windows(name, options.data, "train", _MOST)
        for name in chosen
        if name != target
    ]
    part = "train" if target == "seglearn-watch" else "test"
    test = load_windows(target, options.data, part, _MOST)
    convert = partial(
        harmonise,
        channel_names=test.channel_names,
        sampling_rate=test.sampling_rate,
        units=test.units,
    )
    X, y = convert(test.X), np.asarray(test.y)
    names = np.unique(y).tolist()
    base, pool, features = fit_activities(sets, seed)
    new = activity_features(base, base.check_X(X))
    without = np.array(X)
    without[:, 3:] = np.nan

    every = np.ones(len(pool.sets), bool)

    def bridge(
        encoder: Any,
        known: Any = features,
        other: Any = new,
        at: Sequence[tuple[float, float]] = (_DEFAULT,),
        **forms: Any,
    ) -> Any:
        heads = ActivityHeads(known, pool, every, encoder, seed)
        return heads.scores(other, names, at, **forms)

    minilm = TextEncoder()
    constants, _ = _choose(features, pool, minilm, seed)
    statistics = [
        window_statistics(np.nan_to_num(each)) for each in (pool.panel.values, X)
    ]
    rng = np.random.default_rng(seed)
    vectors = TextEncoder(partial(_random_vectors, seed=seed))
    chosen_scores, known_only, centres_only = bridge(
        minilm, at=(constants, (1.0, 0.05), (0.0, 0.05))
    )
    found = {
        "base": base.predict_proba_zero_shot(X, names),
        "base, acceleration only": base.predict_proba_zero_shot(without, names),
        "constants chosen without the target": chosen_scores,
        "known classes only": known_only,
        "predicted centres only": centres_only,
        "random vectors": bridge(vectors)[0],
        "window statistics": bridge(minilm, *statistics)[0],
        "chance": rng.random((len(y), len(names))),
        "supervised": _supervised(target, options, X, names, seed, convert),
        "name only, no sentences": bridge(minilm, forms=("keyword",))[0],
    }
    for key in keys:
        method = key["method"]
        used = constants if method.startswith("constants") else _DEFAULT
        yield {
            **key,
            "macro_f1": _macro_f1(y, names, found[method]),
            "mix_weight": used[0],
            "text_temperature": used[1],
        }


def _supervised(
    target: str, options: Options, X: Any, names: Any, seed: int, convert: Any
) -> Any:
    """Return probabilities of a classifier fitted to the target's training part."""
    train = load_windows(target, options.data, "train", _MOST)
    known, y, people = convert(train.X), np.asarray(train.y), train.subjects
    out = np.ones(len(y), bool)
    if target == "seglearn-watch":  # one part: half of the people
        out = np.asarray(people) <= np.median(np.unique(np.asarray(people)))
    model = classifier(seed, channel_names=CHANNELS, sampling_rate=50.0)
    model.fit(np.asarray(known)[out], y[out])
    proba = np.asarray(model.predict_proba(np.asarray(X)))
    assert model.classes_.tolist() == names
    return proba


def table(frames: Frames) -> str:
    """Macro-F1 of each method by target."""
    frame = frames["wearables"]
    pairs = list(frame.groupby(["target", "sources"], sort=False).groups)
    rows = []
    for method in METHODS:
        own = frame[frame["method"] == method]
        cells = []
        for target, sources in pairs:
            here = (own["target"] == target) & (own["sources"] == sources)
            cells.append(spread_of(own.loc[here, "macro_f1"], 2))
        rows.append([method, *cells])
    heads = [f"{target}, {sources} sources" for target, sources in pairs]
    return markdown(["macro-F1", *heads], rows)


def _tasks(options: Options) -> Iterator[Row]:
    for key in grid(
        target=options.sets,
        sources=("packaged", "all"),
        seed=options.seeds,
        method=METHODS,
    ):
        if key["sources"] == "packaged" and key["target"] in PACKAGED:
            continue  # two data sets only
        yield key


EXPERIMENT = Experiment(
    name="wearables",
    about="names of activities in a data set that was not used for the base",
    keys=("target", "sources", "method", "seed"),
    values=("macro_f1", "mix_weight", "text_temperature"),
    tasks=_tasks,
    evaluate=evaluate,
    fit=lambda key: (key["target"], key["sources"], key["seed"]),
    sets=(*SOURCES, "BasicMotions"),
    seeds=(0, 1),
    tables={"wearables": table},
    page="# Names of activities without training data\n\n"
    "One data set is left out, and a base is fitted to the training parts of the "
    "others: MotionSense, WISDM-2019-watch and seglearn-watch (*packaged*), and also "
    "UCI-HAR (*all*), with at most 1,200 windows of each. All classes of the target "
    "are candidates; nothing is computed from the target beside the window itself. "
    "Macro-F1 on at most 1,200 windows of its test part (all people of "
    "seglearn-watch), mean ± standard deviation over seeds.\n\n{wearables}\n\n"
    "*Constants chosen without the target*: weight and temperature of the bridge with "
    "the best mean macro-F1 if each source is left out in turn. *Known classes only* "
    "and *predicted centres only* are its two parts. *Random vectors* replace the "
    "embeddings of all texts. *Window statistics* replace the features. *Supervised* "
    "is a classifier fitted to labelled windows of other people of the target; for "
    "seglearn-watch, whose scores include the training people, it is too "
    "optimistic.\n",
)
