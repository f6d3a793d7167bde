"""Inputs and intermediate outputs of the network during training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from sktext_vq.nn.text_branch import Texts
from sktext_vq.nn.windows import Batch


class SignalFeatures(NamedTuple):
    """Features and code usage of series."""

    selected: Tensor  # (n_cases, n_selected), scaled
    shares: Tensor  # (n_cases, n_codes)
    shape_error: Tensor | None = None  # mean squared distance of windows from codes


class SegmentBatch(NamedTuple):
    """Segments of the series in a batch."""

    series: Tensor  # (n_cases, n_channels, n_timepoints)
    start: Tensor  # (n_cases, n_channels, n_segments), in timepoints
    length: Tensor
    known: Tensor  # bool, False for padding
    observed: Tensor | None  # same shape as series
    ends: Tensor  # (n_cases,) int64, ends of the series
    case: Tensor  # (n_cases,) int64, positions in the training batch
    keep_text: Tensor  # (n_cases,) bool, False where text is dropped


class DigitBatch(NamedTuple):
    """Patches of series that are written as digits."""

    words: Tensor  # (n_patches, n_words) int64
    digits: Tensor  # (n_patches, PATCH, n_digits) int64
    known: Tensor  # (n_patches, PATCH) bool, False for padding
    shares: Tensor  # (n_patches, n_heads, codes_per_head), of the series


class TrainingBatch(NamedTuple):
    """Cases with their texts, or series from which features are computed."""

    signal: SignalFeatures | None  # None if features change in training
    series: Batch | None = None  # input of the tokenizer
    first_window: int = 0  # start of the first window
    classes: Tensor | None = None
    class_texts: Texts | None = None  # one text per class
    captions: Texts | None = None
    caption_of: Tensor | None = None  # (n_cases,) int64, -1 without a caption
    segments: SegmentBatch | None = None
    digits: DigitBatch | None = None


class TextOutputs(NamedTuple):
    """Class texts or captions of a batch in the joint embedding space."""

    texts: Texts
    owner: Tensor  # (n_cases,) int64, index of a text
    are_classes: bool
    embedded: Tensor | None  # (n_texts, dim), unit vectors; None for classes
    log_shares: Tensor  # (n_texts, n_codes)


@dataclass
class Outputs:
    """Outputs of the network for a batch, from which losses are computed."""

    signal: SignalFeatures
    embedded: Tensor | None  # (n_cases, dim), unit vectors
    class_logits: Tensor | None  # (n_cases, n_classes)
    texts: list[TextOutputs]
    # Attributes of segments, (n_cases, n_tokens, N_POINTS + 4), and a mask that is
    # False for padding.
    tokens: tuple[Tensor, Tensor] | None = None
