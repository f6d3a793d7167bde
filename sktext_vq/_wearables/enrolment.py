"""Scores of a base for the classes of a classifier with few labelled windows."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sktext_vq._features.extractor import Execution
from sktext_vq._training.data import TrainingData
from sktext_vq._training.settings import FitSettings
from sktext_vq._wearables.bridge import Bridge
from sktext_vq._wearables.harmonise import check_rate, plan_windows, resample
from sktext_vq._wearables.sensors import SensorPlan
from sktext_vq._zero_shot.recognizer import EmbeddedSeries
from sktext_vq.classifier import VQTextClassifier
from sktext_vq.panel import Panel
from sktext_vq.text import are_words

# Chosen by leaving out one data set at a time (benchmarks/results/wearables.md).
_PRIOR_WINDOWS = 4.0  # weight, in windows, of a centre predicted from text
_WEIGHT, _FADING = 4.0, 6.0


@dataclass(frozen=True)
class Enrolment:
    """Scores of a base that are added to the logits of a classifier.

    Parameters
    ----------
    model : VQTextClassifier
        Classifier of a base for these sensors.
    plan : SensorPlan
        Channels and units of the windows.
    sampling_rate : float
        Sampling rate of the windows in Hz.
    bridge : Bridge
        Bridge from known classes to the classes of the classifier.
    weight : float
        Weight of the scores, which decreases with the number of labelled windows.
    """

    model: VQTextClassifier
    plan: SensorPlan
    sampling_rate: float
    bridge: Bridge
    weight: float

    def embed(self, panel: Panel, execution: Execution) -> EmbeddedSeries:
        """Return embeddings of the classifier's windows in the space of the base."""
        found = resample(panel, self.plan, self.sampling_rate)
        model = self.model
        values = found.values[:, : model.n_channels_]
        is_inside = np.arange(values.shape[2]) < found.lengths[:, None]
        values[np.isnan(values) & is_inside[:, None]] = 0  # a sensor without values
        return model.zero_shot_.embed_series(
            Panel(values, found.lengths), model.features_, model.head_, execution
        )

    def logits(self, panel: Panel, execution: Execution) -> NDArray[np.float64]:
        """Return weighted scores of the classes, of shape (n_cases, n_classes)."""
        series = self.embed(panel, execution)
        log_proba = np.log(np.maximum(series.probabilities, 1e-300))
        return self.weight * self.bridge.scores(series.points, log_proba)


def enrol(base: Any, data: TrainingData, settings: FitSettings) -> Enrolment:
    """Return scores of a base for the classes of labelled windows.

    Raises
    ------
    ValueError
        If channel names or the sampling rate are unknown, there is no accelerometer, or
        labels are not words and have no texts.
    """
    labels, classes = data.labels, data.classes
    assert labels is not None and classes is not None
    if data.known_names is None or settings.sampling_rate is None:
        raise ValueError(
            "A base model as init requires the parameters channel_names and "
            "sampling_rate."
        )
    rate = check_rate(settings.sampling_rate)
    plan = plan_windows(data.panel, data.known_names, "auto")
    model = base
    if plan.rotation is None and base.accelerometer_ is not None:
        model = base.accelerometer_
    model = copy.copy(model)
    model.accelerometer_ = None
    texts = settings.text if isinstance(settings.text, Mapping) else {}
    named = {str(label): texts.get(label) for label in labels.tolist()}
    without_texts = [name for name, text in named.items() if text is None]
    if without_texts and not are_words(without_texts):
        raise ValueError(
            "A base model as init requires labels that are words, got "
            f"{without_texts}. Set text={{label: texts}} before fit."
        )
    candidates = model.zero_shot_.read(named, "y")
    views = model.zero_shot_.embed_texts(candidates, settings.text_encoder)
    bridge = Bridge.of(model.zero_shot_.space, views)
    counts = np.bincount(classes, minlength=len(labels))
    weight = _WEIGHT / (1 + np.median(counts) / _FADING)
    found = Enrolment(model, plan, rate, bridge, float(weight))
    points = found.embed(data.panel, settings.execution).points
    sums = np.zeros_like(bridge.centres)
    np.add.at(sums, classes, points)
    centres = _PRIOR_WINDOWS * bridge.centres + sums
    centres /= (_PRIOR_WINDOWS + counts)[:, None]
    return replace(found, bridge=replace(bridge, centres=centres))
