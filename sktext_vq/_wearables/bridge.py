"""Zero-shot scores of a base model, based on texts of the known classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_softmax, softmax

from sktext_vq._zero_shot.class_embeddings import negative_distances
from sktext_vq._zero_shot.embedding import ZeroShotSpace
from sktext_vq._zero_shot.recognizer import EmbeddedSeries

Array = NDArray[np.floating[Any]]

# Chosen by leaving out one data set at a time (benchmarks/results/wearables.md).
_EXPONENT = 6.0  # of the probabilities of the known classes
_TEXT_TEMPERATURE = 0.03
_MIX_WEIGHT = 0.3
_USUAL_SPREADS = (5.0, 0.4)  # standard deviations of both scores over the names
# Minimum cosine between the texts of a name and a known class of the same meaning.
_MIN_COSINE = 0.85
_MAX_DIRECTIONS, _DISTANCE_WEIGHT = 15, 0.5


@dataclass(frozen=True)
class Bridge:
    """Scores of candidate names, computed from the known classes of a base model.

    The labels of another data set rarely have the same wording as a known class.
    Therefore, the candidates are not divided into seen and unseen classes. Instead, the
    score of a name is a weighted mean of two scores, each of which is scaled by its
    variation over the names:

    - The first score is suitable for synonyms of a known class. It is the logarithm of
      a weighted mean of the probabilities of the known classes. The weights depend on
      the cosines between the texts. The probabilities are raised to a power, which
      increases the weight of the most probable class.
    - The second score is suitable for other names. It is the negative squared distance
      to the centre that kernel ridge regression predicts from the texts of the name
      (see `ClassEmbeddings`).

    Parameters
    ----------
    shares : ndarray of shape (n_names, n_classes)
        Weights of the known classes. Each row sums to 1.
    centres : ndarray of shape (n_names, n_dimensions)
        Predicted centres of the names.
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
        """Compute the weights and centres of names.

        `views`, of shape (n_views, n_classes + n_names, text_dim), contains embeddings
        of the texts about the known classes, followed by those about the names.
        """
        n_classes = len(space.centres)
        cosines = views[0, n_classes:] @ views[0, :n_classes].T
        shares = softmax(cosines / text_temperature, axis=1)
        return cls(shares, space.predict_centres(views), mix_weight)

    def scores(self, series: EmbeddedSeries) -> NDArray[np.float64]:
        """Return the scores of the names, of shape (n_cases, n_names)."""
        powers = np.exp(log_softmax(_EXPONENT * series.log_probabilities, axis=1))
        mixed = np.log(powers @ self.shares.T + 1e-12)
        distances = negative_distances(series.points, self.centres)
        mixed = _standardise(mixed, _USUAL_SPREADS[0])
        distances = _standardise(distances, _USUAL_SPREADS[1])
        return self.mix_weight * mixed + (1 - self.mix_weight) * distances


@dataclass(frozen=True)
class BridgeScorer:
    """Probabilities of names, computed by a `Bridge` for a `ZeroShotRecognizer`.

    Parameters
    ----------
    novelty_threshold : float
        Novelty above which a window is assigned the unknown label. The threshold is
        infinite if the model was saved by an early version or built from too few
        windows.
    """

    novelty_threshold: float = np.inf

    def predict_proba(
        self, space: ZeroShotSpace, series: EmbeddedSeries, views: Array
    ) -> NDArray[np.float64]:
        """Return probabilities of names, of shape (n_cases, n_names)."""
        bridge = Bridge.of(space, views)
        return np.asarray(softmax(bridge.scores(series), axis=1))

    def unknown_probability(
        self, space: ZeroShotSpace, series: EmbeddedSeries, views: Array
    ) -> NDArray[np.float64]:
        """Return the probability of an unknown class, of shape (n_cases,)."""
        if np.isinf(self.novelty_threshold):
            raise ValueError(
                "The base model has no threshold for unknown_label, because it was "
                "built by an early version or from too few windows. Build the base "
                "model again."
            )
        found = novelty(series, space.centres, views)
        return np.asarray(expit(found - self.novelty_threshold))


def novelty(
    series: EmbeddedSeries, centres: Array, views: Array
) -> NDArray[np.float64]:
    """Return the novelty of windows relative to names, of shape (n_cases,).

    The novelty is high if a window resembles a known class that is not among the names,
    or no known class. It is the log-probability of the most probable class that is not
    among the names, minus the log-probability of the most probable class that is, plus
    a fraction of the logarithm of the squared distance to the nearest centre. This
    definition was chosen by leaving out half of the classes in a data set.

    Parameters
    ----------
    series : EmbeddedSeries
        Embeddings of the windows.
    centres : ndarray of shape (n_classes, n_dimensions)
        Centres of the known classes, whose mean is 0.
    views : ndarray of shape (n_views, n_classes + n_names, text_dim)
        Embeddings of texts; see `Bridge.of`.
    """
    n_classes = len(centres)
    cosines = views[0, n_classes:] @ views[0, :n_classes].T
    is_named = cosines.max(axis=0) >= _MIN_COSINE
    is_named[cosines.argmax(axis=1)] = True
    known = series.log_probabilities
    others = known[:, ~is_named].max(axis=1, initial=-np.log(n_classes))
    # Distances are computed in the subspace in which the centres differ.
    directions = np.linalg.svd(centres, full_matrices=False)[2]
    axes = directions[: min(_MAX_DIRECTIONS, n_classes - 1)].T
    near = -2 * negative_distances(series.points @ axes, centres @ axes).max(axis=1)
    far = _DISTANCE_WEIGHT * np.log(np.maximum(near, 1e-12))
    return np.asarray(others - known[:, is_named].max(axis=1) + far)


def _standardise(scores: Array, usual: float) -> NDArray[np.float64]:
    """Return scores with a mean of 0 and a variance below 1 over the names.

    The variance of a window remains small if its original variance was small compared
    with the usual one, because predictions are uncertain for windows that are equally
    close to all names.
    """
    scores = scores - scores.mean(axis=1, keepdims=True)
    return np.asarray(scores / np.hypot(scores.std(axis=1, keepdims=True), usual))
