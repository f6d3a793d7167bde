"""Calibration of zero-shot scores by treating some seen classes as unseen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from sktext_vq._zero_shot.class_embeddings import ClassEmbeddings, negative_distances

Array = NDArray[np.floating[Any]]

# Share of series of seen classes that should be assigned to seen classes: weighted mean
# of this default, with weight 2, and the best share in class splits, with weight
# n_classes.
_DEFAULT_SHARE, _DEFAULT_SHARE_WEIGHT = 0.8, 2
# Maximum share of series of seen classes that may be assigned to unseen classes, if one
# candidate is unseen. The maximum is multiplied by a power of their number.
_MAX_LOSS, _MAX_LOSS_POWER = 0.06, 1.5
_SHARES = np.linspace(0.3, 1, 71)
_N_DRAWS = 3
_INVERSE_TEMPERATURES = np.geomspace(0.1, 100, 31)
_DEFAULT_INVERSE_TEMPERATURE = 3.0


@dataclass(frozen=True)
class HeldOut:
    """Held-out cases of a fold, in a space that was fitted to the other folds."""

    centres: Array  # of the classes, of shape (n_classes, n_dimensions)
    cases: Array  # embeddings of shape (n_cases, n_dimensions)
    classes: NDArray[np.int64]  # of the cases


class Calibration(NamedTuple):
    """Calibration of the scores of unseen candidates.

    A series with a novelty above `bias` is more likely to belong to an unseen class.
    """

    inverse_temperature: float  # factor of negative distances to unseen classes
    bias: float
    bias_scale: float  # factor of the difference between novelty and bias


class _Split(NamedTuple):
    """Results for held-out cases, with some seen classes treated as unseen."""

    novelty: Array
    is_correct: NDArray[np.bool_]
    is_unseen: NDArray[np.bool_]


def calibrate(
    held_out: Sequence[HeldOut],
    spreads: Array,
    views: Array,
    classes: NDArray[np.int64],
    unseen: NDArray[np.int64],
) -> Calibration:
    """Choose the temperature, bias and bias scale for unseen candidates.

    `spreads` and `views` are described in `ZeroShotSpace`. `classes` contains the seen
    classes among the candidates, and `unseen` the text indices of unseen candidates.
    """
    n_classes = len(spreads)
    gains = np.zeros(len(_SHARES))
    temperature_losses = np.zeros(len(_INVERSE_TEMPERATURES))
    results = []
    known_views = views[:, :n_classes]
    for out in _class_splits(n_classes, len(unseen)):
        parts = []
        for part in held_out:
            split, losses = _evaluate(part, spreads, known_views, out)
            parts.append(split)
            temperature_losses += losses
        if not parts:
            continue
        novelty, correct, is_unseen = (
            np.concatenate(each) for each in zip(*parts, strict=True)
        )
        if is_unseen.all() or not is_unseen.any():
            continue
        biases = np.quantile(novelty[~is_unseen], _SHARES)
        gains += _harmonic_accuracy(novelty, correct, is_unseen, biases)
        results.append((novelty, is_unseen, biases))
    share, scale = _DEFAULT_SHARE, _DEFAULT_INVERSE_TEMPERATURE
    if gains.any():
        best = _SHARES[gains >= gains.max() - 1e-9].mean()
        weight = _DEFAULT_SHARE_WEIGHT
        share = (n_classes * best + weight * share) / (n_classes + weight)
        margins = [(novelty - b[gains.argmax()], kind) for novelty, kind, b in results]
        scale = _choose_scale(margins)
    share = max(share, 1 - _MAX_LOSS * len(unseen) ** _MAX_LOSS_POWER)
    inverse_temperature = _DEFAULT_INVERSE_TEMPERATURE
    if temperature_losses.any():
        inverse_temperature = _INVERSE_TEMPERATURES[temperature_losses.argmin()]
    bias = 0.0
    if len(classes) and held_out:
        bias = _choose_bias(held_out, spreads, views, classes, unseen, share)
    return Calibration(float(inverse_temperature), bias, float(scale))


def _evaluate(
    part: HeldOut, spreads: Array, views: Array, out: NDArray[np.int64]
) -> tuple[_Split, Array]:
    """Evaluate predictions of held-out cases, with the classes `out` as unseen classes.

    Cases of seen classes are assigned only to seen classes, and cases of unseen classes
    only to unseen classes. Also returns the log-loss of cases of unseen classes for
    each inverse temperature.
    """
    seen = np.setdiff1d(np.arange(len(spreads)), out)
    middle = part.centres[seen].mean(axis=0)
    centres, points = part.centres - middle, part.cases - middle
    unseen = ClassEmbeddings(views, seen, out, centres[seen], spreads[seen])
    scores = unseen.negative_distances(points)
    is_unseen = np.isin(part.classes, out)
    best_seen = seen[negative_distances(points, centres[seen]).argmax(axis=1)]
    predicted = np.where(is_unseen, out[scores.argmax(axis=1)], best_seen)
    split = _Split(
        unseen.novelty(points, np.arange(len(seen))),
        predicted == part.classes,
        is_unseen,
    )
    losses = np.zeros(len(_INVERSE_TEMPERATURES))
    if len(out) > 1 and is_unseen.any():
        true = np.searchsorted(out, part.classes[is_unseen])
        losses = _log_losses(scores[is_unseen], true)
    return split, losses


def _harmonic_accuracy(
    novelty: Array,
    correct: NDArray[np.bool_],
    is_unseen: NDArray[np.bool_],
    biases: Array,
) -> Array:
    """Return the harmonic mean of seen and unseen accuracy for each bias."""
    is_novel = novelty > biases[:, None]
    unseen = (is_novel[:, is_unseen] * correct[is_unseen]).mean(axis=1)
    seen = (~is_novel[:, ~is_unseen] * correct[~is_unseen]).mean(axis=1)
    return 2 * unseen * seen / np.maximum(unseen + seen, 1e-12)


def _choose_scale(margins: list[tuple[Array, NDArray[np.bool_]]]) -> float:
    """Return the factor for margins with the lowest log-loss for seen versus unseen."""
    losses = np.zeros(len(_INVERSE_TEMPERATURES))
    for margin, is_unseen in margins:
        for kind, sign in ((is_unseen, 1), (~is_unseen, -1)):
            logits = sign * _INVERSE_TEMPERATURES[:, None] * margin[kind]
            losses += np.logaddexp(0, -logits).mean(axis=1)
    return float(_INVERSE_TEMPERATURES[losses.argmin()])


def _choose_bias(
    held_out: Sequence[HeldOut],
    spreads: Array,
    views: Array,
    classes: NDArray[np.int64],
    unseen: NDArray[np.int64],
    share: float,
) -> float:
    """Return the quantile `share` of the novelty of cases of the seen candidates.

    Without held-out cases of these classes, cases of all classes are used.
    """
    if not any(np.isin(part.classes, classes).any() for part in held_out):
        classes = np.arange(len(spreads))
    seen = np.arange(len(spreads))
    novelties = []
    for part in held_out:
        embeddings = ClassEmbeddings(views, seen, unseen, part.centres, spreads)
        is_asked = np.isin(part.classes, classes)
        novelties.append(embeddings.novelty(part.cases[is_asked], classes))
    return float(np.quantile(np.concatenate(novelties), share))


def _class_splits(n_classes: int, n_unseen: int) -> list[NDArray[np.int64]]:
    """Return random splits of seen classes, as arrays of classes to treat as unseen.

    The proportion of these classes is equal to the proportion of unseen candidates.
    """
    size = round(n_classes * n_unseen / (n_classes + n_unseen))
    size = min(max(1, size), n_classes - 2)
    if size < 1:
        return []
    orders = [
        np.random.RandomState(draw).permutation(n_classes) for draw in range(_N_DRAWS)
    ]
    return [
        np.sort(order[start : start + size])
        for order in orders
        for start in range(0, n_classes - size + 1, size)
    ]


def _log_losses(scores: Array, classes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the sum of log-losses of cases for each inverse temperature."""
    rows = np.arange(len(classes))
    return np.array(
        [
            -log_softmax(s * scores, axis=1)[rows, classes].sum()
            for s in _INVERSE_TEMPERATURES
        ]
    )
