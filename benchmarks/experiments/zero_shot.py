"""Unseen classes: our method, controls and baselines over many class splits."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from benchmarks.data import about, load_split, spread_by_class
from benchmarks.estimators import classifier_closed
from benchmarks.experiments.ablation import random_vectors
from benchmarks.runner import Experiment, Options, Row, grid, names
from benchmarks.statistics import window_statistics
from benchmarks.store import Frames
from benchmarks.tables import markdown, spreads

# Sets, with numbers of unseen classes and of splits.
SETS = {
    "UTD-MHAD-inertial": (5, 20),
    "WISDM-2019-watch": (4, 20),
    "MotionSense": (2, 15),
    "UCI-HAR": (2, 15),
    "NATOPS": (2, 15),
    "CricketX": (3, 20),
}
N_SPLITS_UNKNOWN = 8
VALUES = names(
    "unseen unseen_only seen unseen_of_all harmonic_mean seen_alone auroc refused "
    "refused_of_unknown seconds"
)
MOST_CASES = 60  # of a class, evenly spread, in training and test

Array, Labels = NDArray[Any], NDArray[np.str_]
Fitted = Callable[[Any, Sequence[str]], Labels]


def class_splits(
    labels: Sequence[str], name: str, n_unseen: int | None = None
) -> list[list[str]]:
    """Draw different sets of unseen classes, or return all sets if there are few."""
    default, n_splits = SETS.get(name, (max(1, len(labels) // 5), 10))
    n_unseen = default if n_unseen is None else n_unseen
    rng = np.random.default_rng(0)
    n_splits = min(n_splits, comb(len(labels), n_unseen))
    drawn: dict[tuple[str, ...], None] = {}
    while len(drawn) < n_splits:
        drawn[tuple(sorted(rng.choice(labels, n_unseen, replace=False).tolist()))] = (
            None
        )
    return [list(split) for split in drawn]


def _fit_ours(X: Any, y: Array, seed: int, known: dict[str, Any], groups: Any) -> Any:
    several = groups is not None and len(np.unique(groups)) > 1
    return classifier_closed(seed, **known).fit(
        X, y, groups=groups if several else None
    )


def _ours(**parameters: Any) -> Callable[..., Fitted]:
    def fit(X: Any, y: Array, seed: int, known: dict[str, Any], groups: Any) -> Fitted:
        model = _fit_ours(X, y, seed, {**known, **parameters}, groups)

        def predict(X: Any, names: Sequence[str]) -> Labels:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "The text of")
                return model.predict_zero_shot(X, names)

        return predict

    return fit


def _of_statistics(X: Any, seed: int) -> Callable[[Any], Array]:
    return window_statistics


class Baseline:
    """Linear zero-shot learners on given features, with calibrated stacking.

    `kind` is "eszsl" (Romera-Paredes and Torr, ICML 2015), "to text" (ridge regression
    from series to texts), "to series" (kernel ridge regression from texts to means of
    series) or "conse" (mean text of the classes, weighted by probabilities; Norouzi et
    al., ICLR 2014); `features` makes the function that computes features.
    """

    penalties = (0.01, 0.1, 1.0, 10.0)
    biases = np.linspace(-1, 2, 121)

    def __init__(self, kind: str, features: Callable[..., Any]) -> None:
        self.kind, self.features = kind, features

    def __call__(
        self, X: Any, y: Array, seed: int, known: dict[str, Any], groups: Any = None
    ) -> Fitted:
        """Fit; penalty and bias come from splits of the seen classes."""
        compute = self.features(X, seed)
        scaler = StandardScaler()
        F = np.clip(scaler.fit_transform(compute(X)), -6, 6)
        labels = np.unique(y)
        texts = class_vectors(labels.tolist())
        rng = np.random.default_rng(seed)
        held_out = rng.random(len(y)) < 0.25
        best = (-1.0, self.penalties[0], 0.0)
        for penalty in self.penalties:
            gains = np.zeros(len(self.biases))
            for out in np.array_split(
                rng.permutation(len(labels)), min(5, len(labels))
            ):
                is_out = np.isin(labels, labels[out])
                inside = ~held_out & np.isin(y, labels[~is_out])
                score = self._fit(F[inside], y[inside], texts, labels, penalty)
                scores = score(F[held_out], texts)
                for i, bias in enumerate(self.biases):
                    gains[i] += harmonic(
                        labels[(scores - bias * ~is_out).argmax(axis=1)],
                        y[held_out],
                        labels[out],
                    )[2]
            i = gains.argmax()
            best = max(best, (gains[i], penalty, self.biases[i]))
        _, penalty, bias = best
        score = self._fit(F, y, texts, labels, penalty)

        def predict(X: Any, names: Sequence[str]) -> Labels:
            F = np.clip(scaler.transform(compute(X)), -6, 6)
            scores = score(F, class_vectors(list(names)))
            seen = np.isin(names, labels)
            if not seen.all() and seen.any():
                scores -= bias * seen
            return np.array(names)[scores.argmax(axis=1)]

        return predict

    def _fit(
        self, F: Array, y: Array, texts: Array, labels: Array, penalty: float
    ) -> Callable[..., Array]:
        seen = np.unique(y)
        own = texts[np.searchsorted(labels, seen)]
        middle = own.mean(axis=0)
        T = own - middle
        targets = -np.ones((len(y), len(seen)))
        targets[np.arange(len(y)), np.searchsorted(seen, y)] = 1
        if self.kind == "to series":
            centres = np.stack([F[y == label].mean(axis=0) for label in seen])
            gram = T @ T.T
            gram += penalty * np.trace(gram) / len(gram) * np.eye(len(gram))
            mapping = np.linalg.solve(gram, centres)
        else:
            gram = F @ F.T
            gram += penalty * np.trace(gram) / len(gram) * np.eye(len(gram))
            goal = {"eszsl": targets @ T, "conse": targets}.get(
                self.kind, T[targets.argmax(axis=1)]
            )
            mapping = F.T @ np.linalg.solve(gram, goal)
            if self.kind == "eszsl":
                across = T.T @ T
                across += 0.1 * np.trace(across) / len(T) * np.eye(len(across))
                mapping = np.linalg.solve(across, mapping.T).T

        def score(F: Array, texts: Array) -> Any:
            moved = texts - middle
            if self.kind == "to series":
                return _cosines(F, moved @ T.T @ mapping)
            if self.kind == "conse":
                return _cosines(softmax(4 * F @ mapping, axis=1) @ own, texts)
            return _cosines(F @ mapping, moved)

        return score


def _cosines(A: Array, B: Array) -> Array:
    A, B = (M / (np.linalg.norm(M, axis=1, keepdims=True) + 1e-12) for M in (A, B))
    return A @ B.T


def class_vectors(names: list[str]) -> Array:
    """Embed prompts of the packaged bank, the mean of the default forms."""
    from sktext_vq import PromptBank, TextEncoder

    texts, owner = PromptBank().flat(names)
    vectors = TextEncoder().transform(texts).astype(np.float64)
    return np.stack([vectors[owner == i].mean(axis=0) for i in range(len(names))])


def harmonic(
    predicted: Array, y: Array, unseen: Sequence[str]
) -> tuple[float, float, float]:
    """Accuracy on series of seen and of unseen classes, and their harmonic mean."""
    is_new = np.isin(y, unseen)
    if is_new.all() or not is_new.any():
        return 0.0, 0.0, 0.0
    old, new = (float((predicted == y)[rows].mean()) for rows in (~is_new, is_new))
    return old, new, 2 * old * new / max(old + new, 1e-12)


METHODS: dict[str, Callable[..., Fitted]] = {
    "ours": _ours(),
    "ours, names of classes only": _ours(prompt_forms=("keyword",)),
    "ours, random vectors of phrases": _ours(text_encoder=random_vectors),
    "ours, random vectors of classes": _ours(
        text_encoder=random_vectors, prompt_forms=("keyword",)
    ),
    **{
        f"{kind}, statistics": Baseline(kind, _of_statistics)
        for kind in ("eszsl", "to text", "to series", "conse")
    },
}


def tasks(options: Options) -> Iterator[Row]:
    """Yield all methods for each split of the classes, and two tests of our method.

    One class is unseen, or half of the classes are unknown.
    """
    for name in options.sets:
        labels = np.unique(load_split(name, options.data).y_train).tolist()
        splits = range(len(class_splits(labels, name)))
        yield from grid(set=[name], method=METHODS, split=splits)
        ones = range(len(class_splits(labels, name, 1)))
        yield from grid(set=[name], method=["one unseen"], split=ones)
        if len(labels) < 6:  # at least three classes must be known
            continue
        halves = range(N_SPLITS_UNKNOWN)
        yield from grid(set=[name], method=["half unknown"], split=halves)


def evaluate(key: Row, options: Options) -> Row:
    """Fit to seen classes, and score on the test part."""
    name, split, method = key["set"], key["split"], key["method"]
    found = load_split(name, options.data)
    labels = np.unique(found.y_train).tolist()
    n_unseen = {"one unseen": 1, "half unknown": len(labels) // 2}.get(method)
    unseen = class_splits(labels, name, n_unseen)[split]
    train = spread_by_class(found.y_train, MOST_CASES)
    train = train[~np.isin(found.y_train[train], unseen)]
    test = spread_by_class(found.y_test, MOST_CASES)
    X, y = found.X_test[test], found.y_test[test]
    is_new = np.isin(y, unseen)
    groups = None if found.subjects_train is None else found.subjects_train[train]
    known = about(name, options.data)
    start = time.perf_counter()
    parts = found.X_train[train], found.y_train[train], split, known, groups
    row: Row = {**dict.fromkeys(VALUES, np.nan), "unseen": "; ".join(unseen)}
    if method == "half unknown":
        seen = [label for label in labels if label not in unseen]
        model = _fit_ours(*parts)
        unknown = model.predict_proba_zero_shot(X, seen, "unknown")[:, -1]
        row |= {
            "auroc": roc_auc_score(is_new, unknown),
            "refused": float((unknown[~is_new] > 0.5).mean()),
            "refused_of_unknown": float((unknown[is_new] > 0.5).mean()),
        }
    else:
        if method == "one unseen":
            model = _fit_ours(*parts)
            right = model.predict(X[~is_new]) == y[~is_new]
            row["seen_alone"] = float(right.mean())
            predict: Fitted = model.predict_zero_shot
        else:
            predict = METHODS[method](*parts)
            only = predict(X[is_new], unseen) == y[is_new]
            row["unseen_only"] = float(only.mean())
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The text of")
            old, new, both = harmonic(predict(X, labels), y, unseen)
        row |= {"seen": old, "unseen_of_all": new, "harmonic_mean": both}
    return {**row, "seconds": time.perf_counter() - start}


def table(frames: Frames) -> str:
    """Accuracy and H of each method on each set."""
    frame = frames["zero_shot"]
    frame = frame[frame["unseen_only"].notna()]
    columns, chance = ["method"], ["chance"]
    for name, own in frame.groupby("set", sort=False):
        columns += [f"{name}, {own['split'].nunique()} splits", "H"]
        chance += [f"{1 / (1 + own['unseen'].iloc[0].count(';')):.3f}", ""]
    by = frame.groupby(["method", "set"], sort=False)
    cells = spreads(by[["unseen_only", "harmonic_mean"]])
    rows = []
    for method in frame["method"].unique():
        own = cells.loc[method].reindex(frame["set"].unique(), fill_value="")
        rows.append([method, *own.to_numpy().ravel()])
    return markdown(columns, [chance, *rows])


def table_of_others(frames: Frames) -> str:
    """Accuracy with one unseen class, and detection of unknown classes."""
    frame = frames["zero_shot"]
    frame = frame[frame["method"].isin(["one unseen", "half unknown"])]
    rows = []
    for name, own in frame.groupby("set", sort=False):
        one, half = (
            own[own["method"] == each] for each in ("one unseen", "half unknown")
        )
        values = one[["seen_alone", "seen", "unseen_of_all"]].mean().tolist()
        values += half[["auroc", "refused", "refused_of_unknown"]].mean().tolist()
        rows.append([name, *("" if each != each else f"{each:.2f}" for each in values)])
    columns = ["set", "training classes", "with an unseen class", "unseen class"]
    columns += ["AUROC", "labelled unknown: training classes", "withheld classes"]
    return markdown(columns, rows)


EXPERIMENT = Experiment(
    name="zero_shot",
    about="recognition of unseen classes, over many splits, compared with baselines",
    keys=("set", "method", "split"),
    values=VALUES,
    tasks=tasks,
    evaluate=evaluate,
    sets=tuple(SETS),
    processes=0,
    tables={"zero_shot": table, "zero_shot_others": table_of_others},
    page="# Unseen classes\n\n"
    "The table shows the accuracy among the unseen classes only, and the harmonic "
    "mean H of the accuracies on test series of seen and unseen classes when all "
    "classes are candidates. The values are means ± standard deviations over splits "
    "of the classes.\n\n"
    "{zero_shot}\n\n"
    "The next table shows two more tests of our method. In the first test, one class "
    "is unseen, and the table shows the accuracy on the training classes without and "
    "with the unseen class among the candidates, and the accuracy on the unseen "
    "class. In the second test, half of the classes are withheld, and "
    "`unknown_label` is used. The table shows the area under the ROC curve of the "
    "probability that a series is unknown, and the shares of the series of training "
    "classes and of withheld classes that are labelled unknown.\n\n"
    "{zero_shot_others}\n",
)
