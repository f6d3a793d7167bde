"""Similarity of series and texts, and prediction of code shares from texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from sktext_vq._features.extractor import Execution, FeatureExtractor
from sktext_vq._features.selection import FeatureScaler
from sktext_vq._heads.alignment import TextAlignment
from sktext_vq._training.digits import DigitCodec
from sktext_vq._utils.threads import single_thread
from sktext_vq.nn.codebook import Codebook
from sktext_vq.panel import Panel
from sktext_vq.text import TextEncoder
from sktext_vq.text.encoders import check_texts


def similarity(
    panel: Panel,
    texts: Sequence[str],
    extractor: FeatureExtractor,
    scaler: FeatureScaler,
    alignment: TextAlignment | None,
    encoder: TextEncoder,
    execution: Execution,
) -> NDArray[np.float64]:
    """Return cosine similarities of series and texts, of shape (n_cases, n_texts)."""
    checked, alignment = check_texts(texts), _check(alignment)

    def predict(part: slice, features: NDArray[np.float32]) -> NDArray[np.float64]:
        scaled = scaler(features[:, extractor.selected])
        return alignment.predict(torch.from_numpy(scaled))

    found = extractor.map(predict, panel, execution, "classes")
    components = np.concatenate([each for _, each in found])
    return alignment.similarity(components, checked, encoder)


def text_cosines(
    texts: Sequence[str], alignment: TextAlignment | None, encoder: TextEncoder
) -> NDArray[np.float64]:
    """Return cosine similarities between texts in the joint embedding space."""
    return _check(alignment).text_cosines(check_texts(texts), encoder)


def transform_text(
    texts: Sequence[str], alignment: TextAlignment | None, encoder: TextEncoder
) -> NDArray[np.float64]:
    """Return the predicted code shares of texts, of shape (n_texts, n_codes)."""
    checked = check_texts(texts)
    return _check(alignment).usage(checked, encoder)


def _check(alignment: TextAlignment | None) -> TextAlignment:
    """Return the alignment, or raise an error if it is None."""
    if alignment is None:
        raise ValueError(
            "The model was fitted without text. Fit the model with text other than "
            "None, and with texts that are not all equal."
        )
    return alignment


def reconstruct_text(
    panel: Panel, digits: DigitCodec | None, codebook: Codebook
) -> NDArray[np.float64]:
    """Reconstruct series from digits; see `BaseVQText.reconstruct_text`."""
    if digits is None:
        raise ValueError(
            "The model was not trained to reconstruct digits. Fit the model with text, "
            'max_epochs above 0 and loss_weights={"digits": 1.0}.'
        )
    with single_thread():
        written = digits.rewrite(panel, codebook)
    series = np.full(panel.values.shape, np.nan)
    middles = (np.arange(written.shape[2]) + 0.5) / written.shape[2]
    for case, length in enumerate(panel.lengths):
        time = (np.arange(length) + 0.5) / length
        for channel in range(panel.n_channels):
            series[case, channel, :length] = np.interp(
                time, middles, written[case, channel]
            )
    return series
