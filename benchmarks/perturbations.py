"""Effects of changing parts of a series, and measures of the weights of these parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

Array = NDArray[Any]
Predict = Callable[[Array], Array]  # series to probabilities

PERTURBATIONS = ("gap", "mean", "noise", "swap")
MEANS = {"all": PERTURBATIONS, "all but mean": ("gap", "noise", "swap")}
STEPS = 5  # tokens that are changed one after another
COMPARABLE = 1.5  # maximum ratio between the lengths of comparable tokens
_DRAWS = 1000
_LEAST_DROP = 1e-6


class Case(NamedTuple):
    """A series, its tokens, and a series of another class for swaps."""

    series: Array  # (n_channels, n_timepoints)
    tokens: Array  # (n_tokens, 3): channel, start and length
    donor: Array


def perturb(case: Case, series: Array, token: Array, kind: str, seed: int) -> Array:
    """Return a copy of a series in which one token is changed.

    Gaps exclude the first and last timepoints, which define the length of the series.
    """
    channel, start, length = token
    at = slice(start, start + length)
    found, own = series.copy(), case.series[channel, at]
    if kind == "gap":
        found[channel, at] = np.nan
        found[channel, [0, -1]] = case.series[channel, [0, -1]]
    elif kind == "mean":
        found[channel, at] = own.mean()
    elif kind == "noise":
        rng = np.random.default_rng([seed, *token])
        found[channel, at] = rng.normal(own.mean(), own.std(), length)
    else:
        found[channel, at] = case.donor[channel, at]
    return found


def drops(predict: Predict, case: Case, kind: str, seed: int) -> Array:
    """Return how much the probability of the predicted class drops for each token."""
    changed = [perturb(case, case.series, each, kind, seed) for each in case.tokens]
    proba = predict(np.stack([case.series, *changed]))
    best = proba[0].argmax()
    return proba[0, best] - proba[1:, best]


def curve(predict: Predict, case: Case, order: Array, kind: str, seed: int) -> float:
    """Return the area under the curve of cumulative changes of the prediction.

    Tokens are changed one after another. The curve is the sum of the absolute changes
    of all probabilities up to each step (Jang et al., ICML 2025); the area is the mean
    over the steps.
    """
    states = [case.series]
    for token in case.tokens[order[:STEPS]]:
        states.append(perturb(case, states[-1], token, kind, seed))
    steps = np.abs(np.diff(predict(np.stack(states)), axis=0)).sum(axis=1)
    return float(steps.cumsum().mean())


def curves(
    predict: Predict, case: Case, weights: Array, kind: str, seed: int
) -> dict[str, float]:
    """Return CPD (large weights first), CPP (small weights first), and a random order.

    At most half of the tokens are changed, so that the orders differ.
    """
    order = np.argsort(-np.abs(weights), kind="stable")
    n = max(1, len(order) // 2)
    mixed = np.random.default_rng(seed).permutation(order)
    orders = {"cpd": order, "cpp": order[::-1], "random_order": mixed}
    return {
        name: curve(predict, case, own[:n], kind, seed) for name, own in orders.items()
    }


def correlation(weights: Array, found: Array) -> float:
    """Return Spearman's correlation of weights with drops; NaN if one is constant."""
    if np.ptp(weights) == 0 or np.ptp(found) == 0:
        return np.nan
    return float(spearmanr(weights, found).statistic)


def top_and_random(weights: Array, found: Array, lengths: Array) -> tuple[float, float]:
    """Return the drop of the top token, and the mean for tokens of similar length."""
    top = int(weights.argmax())
    others = np.arange(len(weights)) != top
    ratio = np.maximum(lengths / lengths[top], lengths[top] / lengths)
    near = others & (ratio <= COMPARABLE)
    rest = found[near if near.any() else others]
    return float(found[top]), float(rest.mean()) if len(rest) else np.nan


def gini(weights: Array) -> float:
    """Return the Gini coefficient of absolute weights; 0 if all are equal."""
    sizes = np.sort(np.abs(weights))
    n = len(sizes)
    return float(2 * np.arange(1, n + 1) @ sizes / (n * sizes.sum()) - (n + 1) / n)


def every_drop(predict: Predict, case: Case, seed: int) -> dict[str, Array]:
    """Return drops by perturbation, and means of several perturbations."""
    found = {kind: drops(predict, case, kind, seed) for kind in PERTURBATIONS}
    means = {name: np.mean([found[k] for k in own], 0) for name, own in MEANS.items()}
    return found | means


def every_curve(
    predict: Predict, case: Case, weights: Array, seed: int
) -> dict[str, dict[str, float]]:
    """Return `curves` by perturbation, and means of several perturbations."""
    found = {k: curves(predict, case, weights, k, seed) for k in PERTURBATIONS}
    for name, own in MEANS.items():
        parts = [found[kind] for kind in own]
        found[name] = {key: float(np.mean([p[key] for p in parts])) for key in parts[0]}
    return found


def measure(found: Array, weights: Array, lengths: Array) -> dict[str, float]:
    """Compare the weights of tokens with the drops caused by a perturbation."""
    top, rest = top_and_random(weights, found, lengths)
    largest, others = top_and_random(found, found, lengths)
    return {
        "correlation": correlation(weights, found),
        "top": top,
        "random": rest,
        "largest": largest,
        "largest_random": others,
        "gini": gini(weights),
    }


def interval(values: Array, statistic: Callable[[Array], Any]) -> tuple[float, float]:
    """Return the 95 % interval of a statistic, based on a bootstrap over rows."""
    rng = np.random.default_rng(0)
    draws = rng.integers(len(values), size=(_DRAWS, len(values)))
    found = np.array([statistic(values[own]) for own in draws])
    found = found[np.isfinite(found)]
    if not len(found):
        return np.nan, np.nan
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def ratio_of_means(values: Array) -> float:
    """Return the ratio of the column means; NaN if the second is close to 0 or less."""
    top, rest = np.nanmean(values, axis=0)
    return float(top / rest) if rest > _LEAST_DROP else np.nan
