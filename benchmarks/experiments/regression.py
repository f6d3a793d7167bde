"""Regression on token features, compared with MiniRocket."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.metrics import r2_score, root_mean_squared_error
from sklearn.model_selection import GridSearchCV, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from benchmarks.estimators import Rocket
from benchmarks.runner import Experiment, Options, Row, grid, names
from benchmarks.store import Frames
from benchmarks.tables import markdown, spread_of

SETS = ("Tecator", "Covid3Month", "CardanoSentiment", "simulated rhythm")
_N_SPLITS = 3  # beside the official one


class Tokens(TransformerMixin, BaseEstimator):
    """Token histograms, whose features are selected with or without the target."""

    def __init__(self, seed: int, with_target: bool = True) -> None:
        self.seed = seed
        self.with_target = with_target

    def fit(self, X: Any, y: Any = None) -> Tokens:
        from sktext_vq import VQTextTransformer

        transformer = VQTextTransformer(max_epochs=0, random_state=self.seed)
        self.transformer_ = transformer.fit(X, y if self.with_target else None)
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        return self.transformer_.transform(X)


def ridge() -> RidgeCV:
    """Return the ridge regression that is used by all methods."""
    return RidgeCV(np.logspace(-3, 5, 17))


def tokens(seed: int) -> GridSearchCV:
    """Return a search over a pipeline, with features selected in each fold."""
    grid = {"ridge__alpha": np.logspace(-3, 5, 9)}
    return GridSearchCV(make_pipeline(Tokens(seed), Ridge()), grid)


def flat(X: NDArray[Any]) -> NDArray[Any]:
    return X.reshape(len(X), -1)


METHODS: dict[str, Callable[[int], Any]] = {
    "tokens": tokens,
    "tokens, RidgeCV": lambda seed: make_pipeline(Tokens(seed), ridge()),
    "tokens without y, RidgeCV": lambda seed: make_pipeline(
        Tokens(seed, with_target=False), ridge()
    ),
    "MiniRocket, RidgeCV": lambda seed: make_pipeline(
        Rocket(n_jobs=1, random_state=seed), StandardScaler(), ridge()
    ),
    "timepoints, RidgeCV": lambda seed: make_pipeline(
        FunctionTransformer(flat), StandardScaler(), ridge()
    ),
    "mean of training": lambda seed: make_pipeline(
        FunctionTransformer(flat), DummyRegressor()
    ),
}


def simulate(n_cases: int = 200, n_timepoints: int = 120) -> tuple[Any, Any]:
    """Return series of pulses with a drift, and the pulse rates."""
    rng = np.random.default_rng(0)
    rate = rng.uniform(0.8, 2.5, n_cases)
    time = np.arange(n_timepoints) / 20
    angle = 2 * np.pi * (rate[:, None] * time + rng.uniform(0, 1, (n_cases, 1)))
    height, sharp = rng.uniform(0.5, 2, (2, n_cases, 1))
    beats = height * np.exp(sharp * (np.cos(angle) - 1))
    drift = rng.normal(scale=0.1, size=(n_cases, n_timepoints)).cumsum(axis=1)
    noise = rng.normal(scale=0.5, size=(n_cases, n_timepoints))
    return (beats + drift + noise)[:, None], rate


def load(name: str, data: str | None) -> tuple[Any, Any, int]:
    """Return all cases and targets, and the number of training cases."""
    if name == "simulated rhythm":
        X, y = simulate()
        return X, y, len(y) // 2
    import sktime

    from sktext_vq import datasets

    packaged = Path(sktime.__file__).parent / "datasets" / "data"
    is_packaged = (packaged / name).is_dir()
    found = datasets.load(name, packaged if is_packaged else data)
    X = np.concatenate([np.stack(found.X_train), np.stack(found.X_test)])
    y = np.concatenate([found.y_train, found.y_test]).astype(np.float64)
    return X, y, len(found.y_train)


def evaluate(key: Row, options: Options) -> Row:
    X, y, n_train = load(key["set"], options.data)
    train, test = np.arange(n_train), np.arange(n_train, len(y))
    if key["split"]:
        splitter = ShuffleSplit(
            1, test_size=len(test), train_size=n_train, random_state=key["split"]
        )
        train, test = next(splitter.split(X))
    start = time.perf_counter()
    model = METHODS[key["method"]](key["seed"])
    with tempfile.TemporaryDirectory() as folder:
        if isinstance(model, GridSearchCV):  # all penalties of a fold share features
            model.set_params(estimator__memory=folder)
        predicted = model.fit(X[train], y[train]).predict(X[test])
    return {
        "rmse": root_mean_squared_error(y[test], predicted),
        "r2": r2_score(y[test], predicted),
        "seconds": time.perf_counter() - start,
    }


def tasks(options: Options) -> Iterator[Row]:
    """Yield the official split with all seeds, and other splits with one seed each."""
    columns = {"set": SETS, "method": METHODS}
    yield from grid(**columns, split=[0], seed=options.seeds)
    yield from grid(**columns, split=range(1, _N_SPLITS + 1), seed=[0])


def table(frames: Frames) -> str:
    """Errors on the official and on other splits."""
    rows = []
    for key, own in frames["regression"].groupby(["set", "method"], sort=False):
        cells = [
            spread_of(part[value])
            for part in (own[own["split"] == 0], own[own["split"] > 0])
            for value in ("rmse", "r2")
        ]
        rows.append([*key, *cells])
    columns = ["set", "features", "RMSE", "R²"]
    return markdown([*columns, "RMSE, other splits", "R², other splits"], rows)


EXPERIMENT = Experiment(
    name="regression",
    about="continuous targets, compared with MiniRocket",
    keys=("set", "method", "split", "seed"),
    values=names("rmse r2 seconds"),
    tasks=tasks,
    evaluate=evaluate,
    seeds=(0, 1, 2),
    tables={"regression": table},
    page="# Regression\n\n"
    "The first columns are for the official split, as mean ± standard deviation over "
    "three seeds. The last columns are for three random splits of the same sizes. "
    "The methods are:\n\n"
    "- *tokens*: `VQTextTransformer` and `Ridge`, whose penalty is chosen by a grid "
    "search over the whole pipeline;\n"
    "- *tokens, RidgeCV*: `VQTextTransformer` and `RidgeCV(np.logspace(-3, 5, 17))`, "
    "so features are not selected separately in each fold;\n"
    "- *tokens without y, RidgeCV*: the transformer is fitted without targets;\n"
    "- *MiniRocket, RidgeCV*: standardised features of MiniRocket;\n"
    "- *timepoints, RidgeCV*: standardised values of all timepoints.\n\n"
    "{regression}\n",
)
