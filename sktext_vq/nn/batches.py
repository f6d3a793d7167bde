"""Inputs and intermediate outputs of the network in training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from sktext_vq.nn.text_branch import Texts
from sktext_vq.nn.windows import Batch


class SignalFeatures(NamedTuple):
    """Features of series, and their usage of the codes."""

    selected: Tensor  # (n_cases, n_selected), standardised
    usage: Tensor  # (n_cases, n_groups, n_heads, n_symbols), frequencies
    shape_error: Tensor | None = None  # distance of windows from their codes


class SegmentBatch(NamedTuple):
    """Segments of the series of some cases."""

    series: Tensor  # (n_cases, n_channels, n_timepoints)
    start: Tensor  # (n_cases, n_channels, n_segments), in timepoints
    length: Tensor
    known: Tensor  # bool, False for padding
    observed: Tensor | None  # same shape as series
    ends: Tensor  # (n_cases,) int64, ends of the series
    case: Tensor  # (n_cases,) int64, positions in the training batch
    keep_text: Tensor  # (n_cases,) bool, False where text is dropped


class DigitBatch(NamedTuple):
    """Patches of series as digits."""

    words: Tensor  # (n_patches, n_words) int64
    digits: Tensor  # (n_patches, PATCH, n_digits) int64
    known: Tensor  # (n_patches, PATCH) bool, False past the end
    usage: Tensor  # (n_patches, n_heads, codes_per_head), of their series


class TrainingBatch(NamedTuple):
    """Cases and the texts about them."""

    signal: SignalFeatures | None  # None if training changes features
    series: Batch | None = None  # to compute features from
    first_window: int = 0  # start of the first window
    classes: Tensor | None = None
    class_texts: Texts | None = None  # one text of each class
    class_rows: Tensor | None = None  # positions in the class memory
    captions: Texts | None = None
    caption_of: Tensor | None = None  # (n_cases,) int64, -1 for none
    segments: SegmentBatch | None = None
    digits: DigitBatch | None = None


class TextOutputs(NamedTuple):
    """Class texts or captions of a batch in the joint embedding space."""

    texts: Texts
    owner: Tensor  # (n_cases,) int64, text of each case, -1 for none
    are_classes: bool
    embedded: Tensor  # (n_texts, dim), unit vectors
    sentences: Tensor  # (n_sentences, dim)
    log_usage: Tensor  # (n_texts, n_groups, n_heads, n_symbols)


@dataclass
class Outputs:
    """Outputs of the network for a batch, from which losses are computed."""

    signal: SignalFeatures
    embedded: Tensor  # (n_cases, dim), unit vectors
    class_logits: Tensor | None  # (n_cases, n_classes)
    texts: list[TextOutputs]
    # Attributes of segments, (n_cases, n_tokens, N_POINTS + 4), and a mask of padding.
    tokens: tuple[Tensor, Tensor] | None = None
