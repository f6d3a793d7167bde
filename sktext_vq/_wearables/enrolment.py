"""Use of a base model in a classifier that is fitted to a few labelled windows."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace

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
_PRIOR_WINDOWS = 4.0  # weight of a centre predicted from texts, in windows
_MAX_WEIGHT = 4.0  # weight of the base model if there are no labelled windows
_HALVING_WINDOWS = 6.0  # windows per class that halve the weight of the base model


@dataclass(frozen=True)
class Enrolment:
    """Scores of a base model that are added to the logits of a classifier.

    Parameters
    ----------
    model : VQTextClassifier
        Classifier of the base model for the sensors of the windows.
    plan : SensorPlan
        Channels and units of the windows.
    sampling_rate : float
        Sampling rate of the windows in Hz.
    bridge : Bridge
        Scores of the classes of the classifier.
    weight : float
        Weight of the scores, which decreases with the number of labelled windows.
    """

    model: VQTextClassifier
    plan: SensorPlan
    sampling_rate: float
    bridge: Bridge
    weight: float

    def embed(self, panel: Panel, execution: Execution) -> EmbeddedSeries:
        """Embed windows of the classifier in the embedding space of the base model."""
        found = resample(panel, self.plan, self.sampling_rate)
        model = self.model
        values = found.values[:, : model.n_channels_]
        is_inside = np.arange(values.shape[2]) < found.lengths[:, None]
        # A sensor may have no values in a window.
        values[np.isnan(values) & is_inside[:, None]] = 0
        return model.zero_shot_.embed_series(
            Panel(values, found.lengths), model.features_, model.head_, execution
        )

    def logits(self, panel: Panel, execution: Execution) -> NDArray[np.float64]:
        """Return weighted scores of the classes, of shape (n_cases, n_classes)."""
        return self.weight * self.bridge.scores(self.embed(panel, execution))


def enrol(
    base: VQTextClassifier,
    accelerometer: VQTextClassifier | None,
    data: TrainingData,
    settings: FitSettings,
) -> Enrolment:
    """Return scores of a base model for the classes of labelled windows.

    Parameters
    ----------
    base : VQTextClassifier
        Base model.
    accelerometer : VQTextClassifier, optional
        Classifier to use if the windows have no angular velocity.
    data : TrainingData
        Labelled windows.
    settings : FitSettings
        Parameters of the classifier that is fitted to the windows.

    Raises
    ------
    ValueError
        If the channel names or the sampling rate is unknown, if there is no
        accelerometer, or if there are labels that are not words and have no texts.
    """
    labels, classes = data.labels, data.classes
    assert labels is not None and classes is not None
    if data.known_names is None or settings.sampling_rate is None:
        raise ValueError(
            "A base model passed as init requires the parameters channel_names and "
            "sampling_rate."
        )
    rate = check_rate(settings.sampling_rate)
    plan = plan_windows(data.panel, data.known_names, "auto")
    model = base
    if plan.rotation is None and accelerometer is not None:
        model = accelerometer
    if model.adapter_.accelerometer is not None:  # not needed for these sensors
        model = copy.copy(model)
        model.adapter_ = replace(model.adapter_, accelerometer=None)
    texts = settings.text if isinstance(settings.text, Mapping) else {}
    named = {str(label): texts.get(label) for label in labels.tolist()}
    without_texts = [name for name, text in named.items() if text is None]
    if without_texts and not are_words(without_texts):
        raise ValueError(
            "A base model passed as init requires labels that are words, but these "
            f"labels are not: {without_texts}. Set text={{label: texts}} before fit."
        )
    candidates = model.zero_shot_.read(named, "y")
    views = model.zero_shot_.embed_texts(candidates, settings.text_encoder)
    bridge = Bridge.of(model.zero_shot_.space, views)
    counts = np.bincount(classes, minlength=len(labels))
    weight = _MAX_WEIGHT / (1 + np.median(counts) / _HALVING_WINDOWS)
    found = Enrolment(model, plan, rate, bridge, float(weight))
    points = found.embed(data.panel, settings.execution).points
    sums = np.zeros_like(bridge.centres)
    np.add.at(sums, classes, points)
    centres = _PRIOR_WINDOWS * bridge.centres + sums
    centres /= (_PRIOR_WINDOWS + counts)[:, None]
    return replace(found, bridge=replace(bridge, centres=centres))
