"""All that benchmarks use of the package's private parts, in one place."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.floating[Any]]


def fill_gaps(X: Series) -> Series:
    """Draw straight lines through missing values."""
    from sktext_vq.text._statistics import fill_gaps as fill

    return fill(X)


def add_copies(
    X: Series, channel_names: Any, changes: dict[str, float], seed: int
) -> Series:
    """Append changed copies of series, as `augment` does in training."""
    from sktext_vq._features.augmentation import add_copies as add
    from sktext_vq._utils.channels import find_triads
    from sktext_vq.panel import as_panel

    triads = list(find_triads(channel_names).values())
    return add(as_panel(X), triads, changes, np.random.RandomState(seed)).values


def class_scores_of_text(model: Any, X: Any, y: NDArray[Any]) -> dict[str, float]:
    """Find classes by sentences whose wording is not among the texts of training."""
    texts = [f"a person {label}" for label in model.classes_]
    codes = np.sqrt(model.transform_text(texts))
    scores = {"affinity": np.sqrt(model.transform_codes(X)) @ codes.T}
    if "text" in model.model_.parts:
        scores["similarity"] = model.similarity(X, texts)
    return {
        kind: float(np.mean(model.classes_[score.argmax(axis=1)] == y))
        for kind, score in scores.items()
    }


def has_digits(model: Any) -> bool:
    """Return whether series can be rebuilt from their text."""
    return model.model_ is not None and model.model_.digits is not None


def explained(model: Any, X: Any, rebuilt: Series) -> float:
    """Return the share of the variance around the mean of channels that was rebuilt.

    Channels are standardised. What could not be rebuilt counts as the mean.
    """
    from sktext_vq.panel import as_panel

    panel = as_panel(X)
    scale = model.scaler_.scale[:, None]
    middle = np.nanmean(panel.values, axis=(0, 2), keepdims=True)
    values, drawn = (panel.values - middle) / scale, (rebuilt - middle) / scale
    there = np.isfinite(values)  # neither missing nor past the end
    errors = values - np.where(np.isfinite(drawn), drawn, 0)
    return float(1 - np.square(errors[there]).sum() / np.square(values[there]).sum())


def n_features(model: Any) -> int:
    """Return the number of features of a fitted classifier."""
    return len(model.kept_)


def use_of_codes(model: Any, X: Any, y: NDArray[Any]) -> tuple[Any, Any, list[Any]]:
    """Return use of codes in training and in `X`, and names of channels."""
    from sktext_vq._interpret.code_statistics import CodeStatistics
    from sktext_vq._features.selection import FeatureMoments
    from sktext_vq.panel import as_panel

    tokenizer, panel = model.tokenizer_, as_panel(X)
    classes = np.searchsorted(model.classes_, y)
    moments = FeatureMoments(sum(tokenizer.sizes), len(model.classes_), 1)
    for part, features in model._flat_features(panel, "codes"):
        moments.add(features, classes[part], np.zeros_like(classes[part]))
    moments.flush()
    squares = moments.squares[0] / moments.counts[0][:, None].clip(1)
    squares = squares[:, : tokenizer.sizes[0]]
    there = CodeUse.from_squares(squares, tokenizer.layout)
    return model._use, there, model._channels


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
    """Return the value that a text stands for."""
    fraction = Fraction(text)
    return int(fraction) if fraction.denominator == 1 else float(fraction)


def defaults() -> dict[str, str]:
    """Return the value of each option that the package has now."""
    from sktext_vq import VQTextTransformer, _base
    from sktext_vq.nn import codebook, tokens

    parameters = VQTextTransformer().get_params()
    now = {
        "n_codes": parameters["n_codes"],
        "codes_per_head": codebook.MIN_CODES_PER_HEAD,
        "bins": tokens.LEVEL_BINS,
        "kept_share": _base._KEPT_SHARES[0],
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
        return {"_KEPT_SHARES": _shares(number(defaults()["kept_share"]), value)}
    if option == "codes_per_head":
        return {"MIN_CODES_PER_HEAD": number(value)}
    if option == "kept_share":
        return {"_KEPT_SHARES": _shares(number(value), "all")}
    if option == "bins":
        return {
            "LEVEL_BINS": number(value),
            "SCALE_BINS": number(value),
            "N_ROWS": 2 * number(value) + 1,
            "_kernels": lambda: None,  # compiled for the number of bins that is usual
        }
    return {}


def _shares(share: float, kinds: str) -> tuple[float, float, float]:
    """Return shares of histograms, matches and summaries to keep at most."""
    only = kinds == "histograms"
    return (
        share,
        0.0 if only or kinds == "no matches" else share,
        0.0 if only or kinds == "no summaries" else 1.0,
    )


@contextmanager
def changed(option: str, value: str) -> Iterator[None]:
    """Change constants for a while, in every module that has imported them."""
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
    """Raise unless a fitted transformer has the values of all options."""
    now = {option: number(chosen[option]) for option in chosen if option != "kinds"}
    tokenizer = transformer.tokenizer_
    shares = _shares(now["kept_share"], chosen["kinds"])
    most = [
        int(share * size) for share, size in zip(shares, tokenizer.sizes, strict=True)
    ]
    n_summaries = min(most[2], now["max_features"] // 2)
    found = {
        "codes": tokenizer.codebook.n_codes,
        "heads": tokenizer.codebook.n_heads,
        "rows": tokenizer.layout[3],
        "features": len(transformer.get_feature_names_out()),
    }
    expected = {
        "codes": now["n_codes"],
        "heads": max(1, now["n_codes"] // now["codes_per_head"]),
        "rows": 2 * now["bins"] + 1,
        "features": most[1]
        + n_summaries
        + min(most[0], now["max_features"] - n_summaries),
    }
    if found != expected:
        raise RuntimeError(f"Expected {expected} for {chosen}, but found {found}.")
