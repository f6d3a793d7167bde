"""Private parts of the package that are used by the benchmarks."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.floating[Any]]


def fill_gaps(X: Series) -> Series:
    """Replace missing values by linear interpolation."""
    from sktext_vq._utils.numbers import fill_missing

    return fill_missing(X)


def find_sensors(channel_names: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    """Return the channels of the axes of each sensor."""
    from sktext_vq._utils.channels import find_triads

    return find_triads(channel_names)


def add_copies(
    X: Series, channel_names: Any, changes: dict[str, float], seed: int
) -> Series:
    """Append changed copies of series, as `augment` does in training."""
    from sktext_vq._features.augmentation import add_copies as add
    from sktext_vq.panel import as_panel

    triads = list(find_sensors(channel_names).values())
    return add(as_panel(X), triads, changes, np.random.RandomState(seed)).values


def has_loss(model: Any, name: str) -> bool:
    """Return whether a classifier was trained with a loss."""
    return any(f"train_{name}" in epoch for epoch in model.history_)


def class_scores_of_text(model: Any, X: Any, y: NDArray[Any]) -> dict[str, float]:
    """Score classes by sentences whose wording is not among the training texts."""
    texts = [f"a person {label}" for label in model.classes_]
    codes = np.sqrt(model.transform_text(texts))
    scores = {
        "affinity": np.sqrt(model.transform_codes(X)) @ codes.T,
        "similarity": model.similarity(X, texts),
    }
    return {
        kind: float(np.mean(model.classes_[score.argmax(axis=1)] == y))
        for kind, score in scores.items()
    }


def explained(model: Any, X: Any, rebuilt: Series) -> float:
    """Return the share of the variance of standardised channels that was rebuilt.

    A value that could not be rebuilt counts as the mean of its channel.
    """
    from sktext_vq.panel import as_panel

    panel = as_panel(X)
    scale = model.features_.scaler.scale[:, None]
    middle = np.nanmean(panel.values, axis=(0, 2), keepdims=True)
    values, drawn = (panel.values - middle) / scale, (rebuilt - middle) / scale
    there = np.isfinite(values)  # neither missing nor past the end
    errors = values - np.where(np.isfinite(drawn), drawn, 0)
    return float(1 - np.square(errors[there]).sum() / np.square(values[there]).sum())


def n_features(model: Any) -> int:
    """Return the number of features of a fitted classifier."""
    return len(model.features_.selected)


def use_of_codes(model: Any, X: Any, y: NDArray[Any]) -> tuple[Any, Any, list[str]]:
    """Return statistics of codes in training and in `X`, and names of channels."""
    from sktext_vq._features.extractor import Execution
    from sktext_vq._features.selection import FeatureMoments
    from sktext_vq._interpret.code_statistics import CodeStatistics

    extractor, classes = model.features_, np.searchsorted(model.classes_, y)
    moments = FeatureMoments(extractor.layout.n_features, len(model.classes_), 1)
    for part, features in extractor.batches(model.check_X(X), Execution(), "codes"):
        moments.add(features, classes[part], np.zeros_like(classes[part]))
    moments.flush()
    there = CodeStatistics.fit(moments, extractor.layout)
    return model.code_statistics_, there, list(extractor.channels)


# Constants that stand for the options of the experiment `choices`.

OPTIONS = {
    "n_codes": ("16", "32", "64", "128"),
    "codes_per_head": ("16", "32", "64"),
    "bins": ("4", "8"),
    "kept_share": ("1", "1/2", "1/3", "1/5"),
    "kinds": ("all", "no matches", "no summaries", "histograms"),
    "max_features": ("5000", "10000", "20000"),
}


def number(text: str) -> int | float:
    """Return the value of an int or a fraction."""
    fraction = Fraction(text)
    return int(fraction) if fraction.denominator == 1 else float(fraction)


def defaults() -> dict[str, str]:
    """Return the default value of each option."""
    from sktext_vq import VQTextTransformer
    from sktext_vq._features import selection
    from sktext_vq.nn import codebook, constants

    parameters = VQTextTransformer().get_params()
    now = {
        "n_codes": parameters["n_codes"],
        "codes_per_head": codebook.MIN_CODES_PER_HEAD,
        "bins": constants.LEVEL_BINS,
        "kept_share": selection._SELECTED_SHARES[0],
        "max_features": parameters["max_features"],
    }
    found = {"kinds": "all"}
    for option, value in now.items():
        same = [text for text in OPTIONS[option] if number(text) == value]
        if not same:
            raise ValueError(f"The default {option}={value} is not among the values.")
        found[option] = same[0]
    return found


def constants(option: str, value: str) -> dict[str, Any]:
    """Return constants for the value of an option; none if it is a parameter."""
    if option == "kinds":
        return {"_SELECTED_SHARES": _shares(number(defaults()["kept_share"]), value)}
    if option == "codes_per_head":
        return {"MIN_CODES_PER_HEAD": number(value)}
    if option == "kept_share":
        return {"_SELECTED_SHARES": _shares(number(value), "all")}
    if option == "bins":
        return {
            "LEVEL_BINS": number(value),
            "SCALE_BINS": number(value),
            "N_ROWS": 2 * number(value) + 1,
            "load_kernels": lambda: None,  # compiled for the default number of bins
        }
    return {}


def _shares(share: float, kinds: str) -> tuple[float, float, float]:
    """Return maximum shares of histograms, matches and summaries to select."""
    only = kinds == "histograms"
    return (
        share,
        0.0 if only or kinds == "no matches" else share,
        0.0 if only or kinds == "no summaries" else 1.0,
    )


@contextmanager
def changed(option: str, value: str) -> Iterator[None]:
    """Change constants temporarily, in every module that has imported them."""
    with ExitStack() as stack:
        for name, constant in constants(option, value).items():
            modules = [
                module
                for key, module in list(sys.modules.items())
                if key.split(".")[0] == "sktext_vq" and name in vars(module)
            ]
            if not modules:
                raise AttributeError(f"The package has no constant {name} any more.")
            for module in modules:
                stack.enter_context(patch.object(module, name, constant))
        yield


def check_choice(transformer: Any, chosen: dict[str, str]) -> None:
    """Raise an error unless a fitted transformer has the values of all options."""
    now = {option: number(chosen[option]) for option in chosen if option != "kinds"}
    tokenizer = transformer.features_.tokenizer
    layout = tokenizer.layout
    shares = _shares(now["kept_share"], chosen["kinds"])
    most = [int(share * n) for share, n in zip(shares, layout.sizes, strict=True)]
    n_summaries = min(most[2], now["max_features"] // 2)
    n_histograms = min(most[0], now["max_features"] - n_summaries)
    found = {
        "codes": tokenizer.codebook.n_codes,
        "heads": tokenizer.codebook.n_heads,
        "rows": layout.item_shapes[0][0],
        "features": len(transformer.get_feature_names_out()),
    }
    expected = {
        "codes": now["n_codes"],
        "heads": max(1, now["n_codes"] // now["codes_per_head"]),
        "rows": 2 * now["bins"] + 1,
        "features": n_histograms + most[1] + n_summaries,
    }
    if found != expected:
        raise RuntimeError(f"Expected {expected} for {chosen}, but found {found}.")


def fit_activities(sets: Any, seed: int) -> Any:
    """Fit a base."""
    from sktext_vq._wearables.pooling import fit_base

    return fit_base(sets, {}, seed)


def fit_six_channels(sets: Any, seed: int) -> Any:
    """Fit the classifier of a base for accelerometer and gyroscope."""
    from sktext_vq._wearables import pooling

    return pooling.fit_pool(pooling.Pool.of(sets, seed), {}, seed, pooling.MAX_FEATURES)


def pooled_features(sets: Any, X: Any, seed: int) -> tuple[Any, Series, Series]:
    """Return a pool, and features of the pool and of other windows, before scaling.

    Other windows have six channels, or three for acceleration only.
    """
    from sktext_vq._features.extractor import Execution
    from sktext_vq._wearables import pooling
    from sktext_vq.panel import as_panel

    pool = pooling.Pool.of(sets, seed)
    if X.shape[1] == 3:
        pool = pool.restrict_to_acceleration()
    fitted = pooling.fit_features(
        pool.panel, seed, pooling.MAX_FEATURES * X.shape[1] // 6
    )
    found = [
        fitted.features_.transform(panel, Execution())
        for panel in (pool.panel, as_panel(np.asarray(X)))
    ]
    return pool, found[0], found[1]


class ActivityHeads:
    """Ridge classifier and embedding space of pooled features, and scores of names."""

    def __init__(self, features: Series, pool: Any, rows: Any, seed: int) -> None:
        from sktext_vq._wearables.pooling import fit_heads

        own = pool.take(rows)
        self.labels, classes = np.unique(own.labels, return_inverse=True)
        values = np.array(features[rows], np.float32)
        self._head, self._space = fit_heads(values, classes, own, seed)

    def views(
        self,
        names: Sequence[str],
        encoder: Any,
        forms: Sequence[str] = ("keyword", "sentence", "affirmative"),
    ) -> Series:
        """Return embeddings of the texts of known classes and names."""
        from sktext_vq.text.class_texts import class_views, texts_of_classes

        every = [*map(str, self.labels), *map(str, names)]
        unique = sorted(set(every))
        texts = texts_of_classes(unique, {}, forms)
        views = class_views(texts, len(unique), encoder)
        return views[:, [unique.index(each) for each in every]]

    def scores(
        self,
        features: Series,
        views: Series,
        constants: Sequence[tuple[float, float]],
    ) -> list[Series]:
        """Return scores of names for pairs of weight and temperature of the bridge."""
        from sktext_vq._wearables.bridge import Bridge

        series = self._embed(features)
        return [
            Bridge.of(self._space, views, *each).scores(series) for each in constants
        ]

    def mean_text(self, features: Series, views: Series) -> Series:
        """Return cosines of names and the mean text of known classes (ConSE)."""
        proba = self._embed(features).probabilities
        texts = views[0]
        mean = proba @ texts[: proba.shape[1]]
        cosines: Series = mean @ texts[proba.shape[1] :].T
        return cosines

    def _embed(self, features: Series) -> Any:
        from sktext_vq._zero_shot.recognizer import EmbeddedSeries

        own = np.asarray(features, np.float32)
        points = self._head.scaler(own) @ self._space.basis - self._space.centre
        return EmbeddedSeries(points, self._head.probabilities(own))
