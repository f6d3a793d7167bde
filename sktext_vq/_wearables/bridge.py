"""Scores of names by the texts of known classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from sktext_vq._zero_shot.candidates import CandidateTexts
from sktext_vq._zero_shot.recognizer import EmbeddedSeries, ZeroShotRecognizer

Array = NDArray[np.floating[Any]]

# Chosen by leaving out one data set at a time (benchmarks/results/wearables.md).
_TEXT_TEMPERATURE = 0.05
_MIX_WEIGHT = 0.3
_INVERSE_TEMPERATURE = 1.0


class ActivityRecognizer(ZeroShotRecognizer):
    """Recognise names, without a difference between known and unknown classes.

    Labels of another data set hardly ever have the wording of a known class, so that a
    decision between seen and unseen classes is of no use. The score of a name is a
    weighted mean of two scores, each standardised over the names of a window:

    - the log-probabilities of the known classes, averaged with weights that depend on
      the cosine of the texts, for names that mean a known class;
    - the distance to the centre that kernel ridge regression predicts from the texts of
      a name (`ClassEmbeddings`), for the others.
    """

    def predict_proba(
        self,
        series: EmbeddedSeries,
        candidates: CandidateTexts,
        views: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return probabilities of names, of shape (n_cases, n_candidates)."""
        log_proba = np.log(np.maximum(series.probabilities, 1e-300))
        distances = self.space.negative_distances(series.points, views)
        scores = bridge_scores(log_proba, distances, views[0])
        return np.asarray(softmax(_INVERSE_TEMPERATURE * scores, axis=1))


def bridge_scores(
    log_proba: Array,
    distances: Array,
    texts: Array,
    mix_weight: float = _MIX_WEIGHT,
    text_temperature: float = _TEXT_TEMPERATURE,
) -> NDArray[np.float64]:
    """Return scores of names.

    Parameters
    ----------
    log_proba : ndarray of shape (n_cases, n_classes)
        Log-probabilities of the known classes.
    distances : ndarray of shape (n_cases, n_candidates)
        Negative distances to the predicted centres of names.
    texts : ndarray of shape (n_classes + n_candidates, text_dim)
        Embeddings of the known classes and the names, with norm 1.
    mix_weight : float
        Weight of the averaged log-probabilities.
    text_temperature : float
        Temperature of the cosines.

    Returns
    -------
    ndarray of shape (n_cases, n_candidates)
    """
    n_classes = log_proba.shape[1]
    cosines = texts[n_classes:] @ texts[:n_classes].T
    mixed = log_proba @ softmax(cosines / text_temperature, axis=1).T
    return mix_weight * _standardise(mixed) + (1 - mix_weight) * _standardise(distances)


def _standardise(scores: Array) -> NDArray[np.float64]:
    """Return scores with mean 0 and variance 1 over the names of each window."""
    scores = scores - scores.mean(axis=1, keepdims=True)
    return np.asarray(scores / np.maximum(scores.std(axis=1, keepdims=True), 1e-9))
