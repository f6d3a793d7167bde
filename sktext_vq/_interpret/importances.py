"""Permutation importance of channels and sensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import check_scoring
from sklearn.utils import check_random_state

from sktext_vq._features.extractor import Execution, FeatureExtractor
from sktext_vq._heads.ridge import RidgeHead
from sktext_vq._utils.channels import group_channels
from sktext_vq._utils.validation import check_count
from sktext_vq.panel import Panel

Logits = NDArray[np.float64]


class LogitsClassifier(ClassifierMixin, BaseEstimator):
    """Classifier whose input X contains the logits, for scikit-learn scorers.

    The shape of X is (n_cases, n_classes).
    """

    def __init__(self, classes: NDArray[Any]) -> None:
        self.classes = classes

    @property
    def classes_(self) -> NDArray[Any]:
        """Class labels."""
        return self.classes

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, X: Logits, y: Any) -> LogitsClassifier:
        """Return the classifier; scikit-learn requires this method."""
        return self

    def decision_function(self, X: Logits) -> Logits:
        """Return the logits or, for two classes, the log-odds of the second class."""
        return X[:, 1] - X[:, 0] if X.shape[1] == 2 else X

    def predict_proba(self, X: Logits) -> Logits:
        """Return the probabilities of the classes."""
        return softmax(X, axis=1)

    def predict_log_proba(self, X: Logits) -> Logits:
        """Return the log-probabilities of the classes."""
        return log_softmax(X, axis=1)

    def predict(self, X: Logits) -> NDArray[Any]:
        """Return the class with the largest logit for each case."""
        return self.classes[X.argmax(axis=1)]


@dataclass(frozen=True)
class LinearModel:
    """Linear model on the features of series."""

    extractor: FeatureExtractor
    head: RidgeHead
    labels: NDArray[Any]

    def logits_by_channel(self, panel: Panel, execution: Execution) -> Logits:
        """Return the contribution of each channel to the logits.

        The shape is (n_tokenized, n_cases, n_classes).
        """
        extractor, head, selected = self.extractor, self.head, self.extractor.selected
        assert selected is not None
        coef = head.log_odds[0]
        channel = extractor.layout.locate(selected).channel
        columns = [np.flatnonzero(channel == i) for i in range(len(extractor.axes))]
        found = np.empty((len(columns), panel.n_cases, coef.shape[1]))

        def add(part: slice, features: NDArray[np.float32]) -> None:
            values = head.scaler(features[:, selected]).astype(np.float64)
            for own, out in zip(columns, found, strict=True):
                out[part] = values[:, own] @ coef[own]

        for _ in extractor.map(add, panel, execution, "importances"):
            pass
        return found


@dataclass(frozen=True)
class PermutationScores:
    """Scores before and after permutation of channels among cases.

    Logits are sums over channels, and the features of a channel do not depend on other
    channels. The permutation of a channel among cases therefore permutes its summand.
    """

    n_repeats: int
    random_state: Any
    scoring: Any

    def by_row(
        self,
        model: LinearModel,
        panel: Panel,
        y: NDArray[Any],
        rows: Sequence[tuple[str, str, Sequence[int]]],
        execution: Execution,
    ) -> pd.DataFrame:
        """Return the importance of the channels of each row; see `list_rows`."""
        check_count("n_repeats", self.n_repeats, least=1)
        generator = check_random_state(self.random_state)
        classifier = LogitsClassifier(model.labels)
        scorer = check_scoring(classifier, self.scoring)
        summands = model.logits_by_channel(panel, execution)
        logits = summands.sum(axis=0) + model.head.log_odds[1]
        score = scorer(classifier, logits, y)
        found = []
        for sensor, channel, members in rows:
            # Channels in the gravity frame are computed from several input channels.
            own = [not set(axes).isdisjoint(members) for axes in model.extractor.axes]
            part = summands[own].sum(axis=0)
            others = logits - part
            losses = []
            for _ in range(self.n_repeats):
                order = generator.permutation(panel.n_cases)
                losses.append(score - scorer(classifier, others + part[order], y))
            found.append((sensor, channel, np.mean(losses), np.std(losses)))
        return pd.DataFrame(found, columns=["sensor", "channel", "importance", "std"])


def list_rows(
    names: Sequence[str], sensors: Mapping[str, Sequence[int]]
) -> list[tuple[str, str, list[int]]]:
    """Return the sensor, channel and input channels of each row.

    The row of a sensor with several channels has an empty channel name and precedes the
    rows of its channels. Sensors that are not in `sensors` are recognised by `names`.
    """
    axes = {channel for triad in sensors.values() for channel in triad}
    found = {name: list(triad) for name, triad in sensors.items()}
    for name, members in group_channels(names).items():
        if others := [channel for channel in members if channel not in axes]:
            found.setdefault(name, []).extend(others)
    rows = []
    own = {name: sorted(members) for name, members in found.items()}
    for name, members in sorted(own.items(), key=lambda item: item[1]):
        if len(members) > 1:
            rows.append((name, "", members))
        rows += [(name, names[channel], [channel]) for channel in members]
    return rows
