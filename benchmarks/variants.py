"""What `ablation.py` varies: losses and parts of the model, text, and controls."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TEXT_DIM = 384  # as of the default encoder
_CODE_RATE = 0.01  # of codes that are learned


def random_vectors(texts: Sequence[str]) -> NDArray[np.float64]:
    """Stand in for an encoder: a vector that a text always gets, and no meaning."""
    seeds = [hashlib.sha256(text.encode()).digest()[:8] for text in texts]
    rows = [
        np.random.default_rng(int.from_bytes(seed, "big")).normal(size=_TEXT_DIM)
        for seed in seeds
    ]
    return np.stack([row / np.linalg.norm(row) for row in rows])


def shuffled_classes(labels: Sequence[str], seed: int) -> dict[str, Any]:
    """Give every class all the texts of another one."""
    from sktext_vq import PromptBank

    order = np.random.default_rng(seed).permutation(list(labels)).tolist()
    prompts = PromptBank().prompts(order)
    return {
        label: prompts[other]
        for label, other in zip(order, order[1:] + order[:1], strict=True)
    }


def shuffled_captions(model: Any, X: Any, seed: int) -> NDArray[np.object_]:
    """Give every series the caption of a random one."""
    from sktext_vq import SeriesCaptioner

    captioner = SeriesCaptioner(
        channel_names=model.channel_names, sampling_rate=model.sampling_rate
    )
    return np.random.default_rng(seed).permutation(captioner.fit_transform(X))


def _losses(**weights: float) -> dict[str, Any]:
    return {"loss_weights": weights}


def _labels(*forms: str) -> dict[str, Any]:
    return {"text": "labels", "prompt_forms": forms}


_SEGMENTS = {"series": 1.0, "separation": 1.0}
_EVERYTHING = {
    **_SEGMENTS,
    "digits": 1.0,
    "contrastive": 1.0,
    "demi_cycle": 1.0,
    "translation": 1.0,
    "calibrated": 1.0,
    "fused": 1.0,
    "distillation": 1.0,
    "codebook": _CODE_RATE,
    "usage": 1.0,
    "frequency": 1.0,
}
BASE = "default"
# Parameters of VQTextClassifier. A function as `text` gets class labels and the seed.
VARIANTS: dict[str, dict[str, Any]] = {
    BASE: {},
    "no text": {"text": None},
    "closed form": {"max_epochs": 0},
    # Losses that are on by default
    "- class": _losses(**{"class": 0.0}),
    "- text": _losses(text=0.0),
    "- codes": _losses(codes=0.0),
    "- affinity": _losses(affinity=0.0),
    # Losses that are off by default
    "+ series, separation": _losses(**_SEGMENTS),
    "+ digits": _losses(digits=1.0),
    "+ contrastive": _losses(contrastive=1.0),
    "+ demi_cycle": _losses(demi_cycle=1.0),
    "+ translation": _losses(translation=1.0),
    "+ calibrated": _losses(calibrated=1.0),
    "+ fused": _losses(fused=1.0),
    "+ fused, distillation": _losses(fused=1.0, distillation=1.0),
    "+ codebook": _losses(codebook=_CODE_RATE),
    "+ codebook, usage": _losses(codebook=_CODE_RATE, usage=1.0),
    "+ frequency": _losses(frequency=1.0),
    "everything": _losses(**_EVERYTHING),
    # Forms of text
    "keyword": _labels("keyword"),  # little more than the label's own words
    "sentence": _labels("sentence"),
    "affirmative": _labels("affirmative"),
    "negative": _labels("negative"),
    "attributes": _labels("attributes"),
    "all forms": _labels(
        "keyword", "sentence", "affirmative", "negative", "attributes"
    ),
    "captions": {"text": "captions"},
    # Controls
    "random vectors": {"text_encoder": random_vectors},
    "shuffled classes": {"text": shuffled_classes},
    "shuffled captions": {},
}
# Texts about single cases, for fit.
FIT_TEXTS = {"shuffled captions": shuffled_captions}
CONTROLS = (
    "no text",
    "closed form",
    "keyword",
    "captions",
    "random vectors",
    "shuffled classes",
    "shuffled captions",
)
# What is held against something else than the default, too.
PAIRS = (
    ("+ fused, distillation", "+ fused"),
    ("+ codebook, usage", "+ codebook"),
    ("shuffled captions", "captions"),
)
# With few or rare cases: text, and what changes features or the head of training. The
# other losses reach neither.
SCARCE = (
    BASE,
    *CONTROLS,
    "- text",
    "+ fused, distillation",
    "+ codebook",
    "+ frequency",
    "everything",
)
