"""Scores of names, based on texts of known classes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_softmax, softmax

from sktext_vq._utils.state import Number, Sizes, State
from sktext_vq._zero_shot.candidates import CandidateTexts
from sktext_vq._zero_shot.class_embeddings import negative_distances
from sktext_vq._zero_shot.embedding import ZeroShotSpace
from sktext_vq._zero_shot.recognizer import EmbeddedSeries, ZeroShotRecognizer

Array = NDArray[np.floating[Any]]

# Chosen by leaving out one data set at a time (benchmarks/results/wearables.md).
_SHARPNESS = 6.0  # exponent of the probabilities of known classes
_TEXT_TEMPERATURE = 0.03
_MIX_WEIGHT = 0.3
_USUAL_SPREADS = (5.0, 0.4)  # of both scores over names
_MOST_DIRECTIONS = 15


@dataclass(frozen=True)
class Bridge:
    """Scores of names, from known classes and from predicted centres.

    Labels of another data set rarely have the wording of a known class, so no decision
    between seen and unseen classes is made. The score of a name is a weighted mean of
    two scores, each scaled by its variation over names:

    - the logarithm of a weighted mean of the probabilities of known classes, for names
      that are synonyms of a known class. Weights depend on the cosine of the texts, and
      probabilities are raised to a power, which increases the weight of the best class;
    - the distance to the centre that kernel ridge regression predicts from the texts of
      a name (`ClassEmbeddings`), for other names.

    Parameters
    ----------
    shares : ndarray of shape (n_names, n_classes)
        Weights of the known classes; rows sum to 1.
    centres : ndarray of shape (n_names, n_dimensions)
        Predicted centres.
    mix_weight : float
        Weight of the first score.
    """

    shares: NDArray[np.float64]
    centres: NDArray[np.float64]
    mix_weight: float = _MIX_WEIGHT

    @classmethod
    def of(
        cls,
        space: ZeroShotSpace,
        views: Array,
        mix_weight: float = _MIX_WEIGHT,
        text_temperature: float = _TEXT_TEMPERATURE,
    ) -> Bridge:
        """Build the bridge to names.

        `views`, of shape (n_views, n_classes + n_names, text_dim), are embeddings of
        the texts of the known classes and the names.
        """
        n_classes = len(space.centres)
        cosines = views[0, n_classes:] @ views[0, :n_classes].T
        shares = softmax(cosines / text_temperature, axis=1)
        return cls(shares, space.predict_centres(views), mix_weight)

    def scores(self, points: Array, log_proba: Array) -> NDArray[np.float64]:
        """Return scores of names, of shape (n_cases, n_names).

        Parameters
        ----------
        points : ndarray of shape (n_cases, n_dimensions)
            Windows in the embedding space.
        log_proba : ndarray of shape (n_cases, n_classes)
            Log-probabilities of the known classes.
        """
        sharp = np.exp(log_softmax(_SHARPNESS * log_proba, axis=1))
        mixed = np.log(sharp @ self.shares.T + 1e-12)
        distances = negative_distances(points, self.centres)
        mixed = _standardise(mixed, _USUAL_SPREADS[0])
        distances = _standardise(distances, _USUAL_SPREADS[1])
        return self.mix_weight * mixed + (1 - self.mix_weight) * distances


@dataclass(frozen=True)
class ActivityRecognizer(ZeroShotRecognizer):
    """Recognise names with a `Bridge`.

    Parameters
    ----------
    highest_novelty : float
        Novelty above which a window resembles no class; infinite in files of early
        versions, which lack this value.
    """

    highest_novelty: float = np.inf

    def get_state(self) -> State:
        """Return configuration and arrays."""
        state = super().get_state()
        if np.isfinite(self.highest_novelty):
            state["highest_novelty"] = self.highest_novelty
        return state

    @classmethod
    def from_state(cls, state: State, sizes: Sizes) -> Self:
        """Build a recogniser from `get_state`."""
        if not isinstance(state, dict) or "highest_novelty" not in state:
            return super().from_state(state, sizes)
        rest = dict(state)
        highest = rest.pop("highest_novelty")
        if not Number(float).is_valid(highest, sizes):
            raise ValueError("zero_shot.highest_novelty is not a finite number")
        return replace(super().from_state(rest, sizes), highest_novelty=highest)

    def predict_proba(
        self,
        series: EmbeddedSeries,
        candidates: CandidateTexts,
        views: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return probabilities of names, of shape (n_cases, n_candidates)."""
        log_proba = np.log(np.maximum(series.probabilities, 1e-300))
        bridge = Bridge.of(self.space, views)
        return np.asarray(softmax(bridge.scores(series.points, log_proba), axis=1))

    def unknown_probability(
        self,
        series: EmbeddedSeries,
        candidates: CandidateTexts,
        views: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return the probability of an unknown class, of shape (n_cases,)."""
        if np.isinf(self.highest_novelty):
            raise ValueError(
                "The base model was built by an early version, which did not support "
                "unknown_label. Build the base model again."
            )
        names = self.space.predict_centres(views)
        found = novelty(series, self.space.centres, names) - self.highest_novelty
        return np.asarray(expit(found))


def novelty(
    series: EmbeddedSeries, centres: Array, names: Array | None = None
) -> NDArray[np.float64]:
    """Return the novelty of windows relative to classes, of shape (n_cases,).

    The novelty is the logarithm of the squared distance to the nearest centre, in the
    directions in which centres differ, minus the logarithm of the largest probability
    of a known class. It was chosen by leaving out half of the classes of a data set.

    Parameters
    ----------
    series : EmbeddedSeries
        Windows.
    centres : ndarray of shape (n_classes, n_dimensions)
        Centres of known classes, with mean 0.
    names : ndarray of shape (n_names, n_dimensions), optional
        Predicted centres of names.
    """
    directions = np.linalg.svd(centres, full_matrices=False)[2]
    axes = directions[: min(_MOST_DIRECTIONS, len(centres) - 1)].T
    others = centres if names is None else np.concatenate([centres, names])
    near = -2 * negative_distances(series.points @ axes, others @ axes).max(axis=1)
    probable = np.maximum(series.probabilities.max(axis=1), 1e-12)
    return np.asarray(np.log(np.maximum(near, 1e-12)) - np.log(probable))


def _standardise(scores: Array, usual: float) -> NDArray[np.float64]:
    """Return scores with mean 0 and variance below 1 over the names of each window.

    The variance is small if it was small relative to the usual variance, because
    predictions are uncertain for windows that are equally close to all names.
    """
    scores = scores - scores.mean(axis=1, keepdims=True)
    return np.asarray(scores / np.hypot(scores.std(axis=1, keepdims=True), usual))
