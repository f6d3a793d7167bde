"""Searches, captions and zero-shot predictions of a fitted classifier.

All functions expect a fitted `VQTextClassifier` and validated series.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sktext_vq._features.extractor import Execution
from sktext_vq._zero_shot.candidates import check_unknown_label
from sktext_vq._zero_shot.recognizer import EmbeddedSeries, ZeroShotRecognizer
from sktext_vq.panel import Panel
from sktext_vq.text import TextEncoder


def embed_series(
    model: Any, panel: Panel, execution: Execution, alignment: Any = None
) -> EmbeddedSeries:
    """Return embeddings of series and probabilities of the training classes."""
    recognizer: ZeroShotRecognizer = model.zero_shot_
    parts = model.features_, model.head_, execution
    return recognizer.embed_series(panel, *parts, alignment, model.enrolment_)


def recognize(
    model: Any,
    panel: Panel,
    function: Callable[..., Any],
    candidate_labels: Any,
    encoder: TextEncoder,
    execution: Execution,
) -> Any:
    """Apply a method of the recognizer to embeddings of series and candidates."""
    recognizer: ZeroShotRecognizer = model.zero_shot_
    candidates = recognizer.read(candidate_labels)
    views = recognizer.embed_texts(candidates, encoder)
    recognizer.warn(candidates, views)
    series = embed_series(model, panel, execution)
    return function(recognizer, series, candidates, views)


def predict_proba(
    model: Any,
    panel: Panel,
    candidate_labels: Any,
    unknown_label: str | None,
    encoder: TextEncoder,
    execution: Execution,
) -> NDArray[np.float64]:
    """Return probabilities; see `VQTextClassifier.predict_proba_zero_shot`."""

    def predict(recognizer: ZeroShotRecognizer, *inputs: Any) -> NDArray[np.float64]:
        proba = recognizer.predict_proba(*inputs)
        if unknown_label is None:
            return proba
        check_unknown_label(unknown_label, candidate_labels)
        return recognizer.with_unknown(proba, *inputs)

    options = predict, candidate_labels, encoder, execution
    return np.asarray(recognize(model, panel, *options))


def search(
    model: Any, panel: Panel, text: str, encoder: TextEncoder, execution: Execution
) -> pd.DataFrame:
    """Return the score of each series; see `VQTextClassifier.search`."""
    recognizer: ZeroShotRecognizer = model.zero_shot_
    alignment = model.text_alignment_
    series = embed_series(model, panel, execution, alignment)
    return recognizer.search(series, text, encoder, alignment)


def caption(
    model: Any,
    panel: Panel,
    texts: Sequence[str] | None,
    encoder: TextEncoder,
    execution: Execution,
) -> NDArray[Any]:
    """Return a caption for each series; see `VQTextClassifier.caption`."""
    recognizer: ZeroShotRecognizer = model.zero_shot_
    if texts is None:
        is_named = model.channel_names is not None or model.input_.column_names
        names = model.channel_names_ if is_named or model.n_channels_ > 1 else None
        about = model.features_.scaler, names, model.sampling_rate
        series = embed_series(model, panel, execution)
        return recognizer.caption(series, panel, *about)
    recognizer.read(texts, "texts")
    alignment = model.text_alignment_
    series = embed_series(model, panel, execution, alignment)
    return recognizer.choose_text(series, texts, encoder, alignment)
