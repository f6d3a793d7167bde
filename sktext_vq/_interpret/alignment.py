"""Similarity of series and texts, and usage of codes by texts."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from sktext_vq._features.extractor import Execution, FeatureExtractor
from sktext_vq._features.selection import FeatureScaler
from sktext_vq._training.network import Network
from sktext_vq._training.texts import encode_texts
from sktext_vq._utils.threads import single_thread
from sktext_vq._zero_shot.text_alignment import TextAlignment
from sktext_vq.nn.usage import share_of_codes
from sktext_vq.panel import Panel
from sktext_vq.text import TextEncoder
from sktext_vq.text.encoders import check_texts

_TEXTS_AT_ONCE = 256


_NO_TEXT = (
    "The model was fitted without text: fit it with text other than None, and with "
    "labels that are words or captions of the series."
)


def has_trained_text(
    network: Network | None, losses: Collection[str] = ("text",)
) -> bool:
    """Return whether a network was trained with text and one of the losses."""
    if network is None or network.model.text is None:
        return False
    return not network.model.active_losses.isdisjoint(losses)


def aligned_similarity(
    panel: Panel,
    texts: Sequence[str],
    extractor: FeatureExtractor,
    scaler: FeatureScaler,
    alignment: TextAlignment | None,
    encoder: TextEncoder,
    execution: Execution,
) -> NDArray[np.float64]:
    """Return cosines of series and texts without a trained network."""
    checked = check_texts(texts)
    if alignment is None:
        raise ValueError(_NO_TEXT)

    def predict(part: slice, features: NDArray[np.float32]) -> NDArray[np.float64]:
        scaled = scaler(features[:, extractor.selected])
        return alignment.predict(torch.from_numpy(scaled))

    found = extractor.map(predict, panel, execution, "classes")
    components = np.concatenate([each for _, each in found])
    return alignment.similarity(components, checked, encoder)


def text_cosines(
    texts: Sequence[str],
    network: Network | None,
    alignment: TextAlignment | None,
    encoder: TextEncoder,
) -> NDArray[np.float64]:
    """Return cosines between texts in the joint embedding space."""
    if network is not None and has_trained_text(network):
        embedded, _ = embed_texts(texts, network, encoder)
        return (embedded @ embedded.T).numpy().astype(np.float64)
    if alignment is None:
        raise ValueError(_NO_TEXT)
    return alignment.text_cosines(check_texts(texts), encoder)


def transform_text(
    texts: Sequence[str],
    network: Network | None,
    alignment: TextAlignment | None,
    encoder: TextEncoder,
) -> NDArray[np.float64]:
    """Return the usage of codes by texts, of shape (n_texts, n_codes)."""
    if network is None or not has_trained_text(network, {"codes", "affinity"}):
        checked = check_texts(texts)
        if alignment is None:
            raise ValueError(_NO_TEXT)
        return alignment.usage(checked, encoder)
    _, usage = embed_texts(texts, network, encoder)
    shares: NDArray[np.float64] = share_of_codes(usage.double()).numpy()
    return shares


def similarity(
    panel: Panel,
    texts: Sequence[str],
    extractor: FeatureExtractor,
    network: Network,
    encoder: TextEncoder,
    execution: Execution,
) -> NDArray[np.float64]:
    """Return cosines of series and texts, of shape (n_cases, n_texts)."""
    embedded, _ = embed_texts(texts, network, encoder)
    model = network.model
    selected = extractor.select(model.selected.numpy())
    features = torch.from_numpy(selected.transform(panel, execution))
    with single_thread(), torch.inference_mode():
        parts = [
            model.embed_series(model.standardise(part)) @ embedded.T
            for part in features.split(1024)
        ]
    return torch.cat(parts).numpy().astype(np.float64).clip(-1, 1)


def reconstruct_text(panel: Panel, network: Network | None) -> NDArray[np.float64]:
    """Reconstruct series from their digits with the text branch."""
    if network is None or network.digits is None:
        raise ValueError(
            "The model was not trained to reconstruct digits. Fit the model with text, "
            'max_epochs above 0 and loss_weights={"digits": 1.0}.'
        )
    with single_thread():
        written = network.digits.rewrite(panel, network.model)
    series = np.full(panel.values.shape, np.nan)
    middles = (np.arange(written.shape[2]) + 0.5) / written.shape[2]
    for case, length in enumerate(panel.lengths):
        time = (np.arange(length) + 0.5) / length
        for channel in range(panel.n_channels):
            series[case, channel, :length] = np.interp(
                time, middles, written[case, channel]
            )
    return series


def embed_texts(
    texts: Sequence[str],
    network: Network,
    encoder: TextEncoder,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return embeddings of texts, and their usage of the codes."""
    checked = check_texts(texts)
    embedded, usages = [], []
    with single_thread(), torch.inference_mode():
        for start in range(0, len(checked), _TEXTS_AT_ONCE):
            part = checked[start : start + _TEXTS_AT_ONCE]
            vectors, log_usage = network.model.embed_text(encode_texts(part, encoder))
            embedded.append(vectors)
            usages.append(log_usage.exp())
    return torch.cat(embedded), torch.cat(usages)
