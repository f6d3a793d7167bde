"""Construction of training batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sktext_vq._features.scaling import Scaler
from sktext_vq._training.texts import TrainingTexts
from sktext_vq.nn.batches import (
    DigitBatch,
    SegmentBatch,
    SignalFeatures,
    TrainingBatch,
)
from sktext_vq.nn.constants import TRAINING_STEP
from sktext_vq.panel import Panel

# Maximum numbers of segmented cases and of series with digits in a batch.
_MAX_SEGMENTED, _MAX_WITH_DIGITS = 32, 64
_TEXT_DROPOUT = 0.5
# Chosen on held-out subjects in the training parts, like the learning rate and the
# weight average.
_FEATURE_DROPOUT = 0.5


@dataclass(frozen=True)
class SeriesDigits:
    """Series that are written as digits and divided into patches.

    Parameters
    ----------
    words : Tensor of shape (n_series, n_patches, n_words), int64
    digits : Tensor of shape (n_series, n_patches, PATCH, n_digits), int64
    known : Tensor of shape (n_patches, PATCH), bool
        False after the end of the series.
    case : Tensor of shape (n_series,), int64
    """

    words: Tensor
    digits: Tensor
    known: Tensor
    case: Tensor


@dataclass
class BatchBuilder:
    """Build training batches.

    Parameters
    ----------
    panel, scaler
        Training series and their scaler.
    features : Tensor of shape (n_cases, n_selected)
        Scaled features.
    shares : Tensor of shape (n_cases, n_codes)
        Share of each code in each series.
    classes : Tensor of shape (n_cases,), optional
    texts : TrainingTexts, optional
    segments : tuple of Tensors of shape (n_segmented * n_channels, n_segments)
        Starts and lengths of segments, in timepoints, for the cases in `segmented`.
        Padding follows the segments and has a start of -1.
    segmented : ndarray of int
        Indices of the cases that are divided into segments, in ascending order.
    digits : SeriesDigits, optional
    learns_features : bool
        Whether features change in training and are therefore computed in each step.
    n_heads : int
        Number of heads of the codebook.
    generator : torch.Generator
        Random generator for training.
    """

    panel: Panel
    scaler: Scaler
    features: Tensor
    shares: Tensor
    classes: Tensor | None
    texts: TrainingTexts | None
    segments: tuple[Tensor, Tensor] | None
    segmented: NDArray[np.int64]
    digits: SeriesDigits | None
    learns_features: bool
    n_heads: int
    generator: torch.Generator

    def build(self, cases: Tensor, training: bool) -> TrainingBatch:
        """Build a batch of the given cases."""
        signal = series = None
        first_window = 0
        if not self.learns_features:
            features = self.features[cases]
            if training:  # the same features are dropped for all cases
                size = features.shape[1]
                kept = torch.rand(size, generator=self.generator) >= _FEATURE_DROPOUT
                features *= kept / (1 - _FEATURE_DROPOUT)
            signal = SignalFeatures(features, self.shares[cases])
        else:
            series = self.scaler.batch(self.panel, cases.numpy())
            if training:
                draw = torch.randint(TRAINING_STEP, (1,), generator=self.generator)
                first_window = int(draw)
        classes = None if self.classes is None else self.classes[cases]
        batch = TrainingBatch(signal, series, first_window, classes)
        batch = self._add_texts(batch, cases, training)
        if self.segments is not None:
            batch = self._add_segments(batch, cases, training)
        if self.digits is not None:
            batch = self._add_digits(batch, cases, training)
        return batch

    def build_for_usage(self, cases: Tensor) -> TrainingBatch:
        """Build a batch of series and texts from which code usage is measured."""
        series = self.scaler.batch(self.panel, cases.numpy())
        classes = None if self.classes is None else self.classes[cases]
        batch = TrainingBatch(None, series, classes=classes)
        return self._add_texts(batch, cases, training=False)

    def _add_texts(
        self, batch: TrainingBatch, cases: Tensor, training: bool
    ) -> TrainingBatch:
        """Add one text per class, and the texts of the cases, if there are any."""
        known = self.texts
        if known is None:
            return batch
        owner = known.class_of_text
        if len(owner):
            firsts = np.unique(owner, return_index=True)[1]
            rows = torch.from_numpy(firsts)
            if training:  # choose a random text of each class
                draw = torch.rand(len(firsts), generator=self.generator)
                counts = torch.from_numpy(np.bincount(owner))
                rows = rows + (draw * counts).long()
            batch = batch._replace(class_texts=known.texts.take(rows))
        if known.case_text is not None:
            own = torch.from_numpy(known.case_text)[cases]
            unique, caption_of = own.unique(return_inverse=True)
            batch = batch._replace(
                captions=known.texts.take(unique), caption_of=caption_of
            )
        return batch

    def _add_segments(
        self, batch: TrainingBatch, cases: Tensor, training: bool
    ) -> TrainingBatch:
        assert self.segments is not None
        row = np.searchsorted(self.segmented, cases.numpy())
        row = row.clip(max=len(self.segmented) - 1)
        here = np.flatnonzero(self.segmented[row] == cases.numpy())[:_MAX_SEGMENTED]
        if len(here) == 0:
            return batch
        n_channels = self.panel.n_channels
        chosen = torch.from_numpy(row[here])
        start, length = (
            values.view(len(self.segmented), n_channels, -1)[chosen]
            for values in self.segments
        )
        known = start >= 0
        most = int(known.sum(2).max())
        series = self.scaler.batch(self.panel, cases.numpy()[here])
        keep = torch.rand(len(here), generator=self.generator) >= _TEXT_DROPOUT
        return batch._replace(
            segments=SegmentBatch(
                series.series,
                start[..., :most],
                length[..., :most],
                known[..., :most],
                series.observed,
                torch.from_numpy(self.panel.lengths[cases.numpy()[here]]),
                torch.from_numpy(here),
                keep if training else torch.ones_like(keep),
            )
        )

    def _add_digits(
        self, batch: TrainingBatch, cases: Tensor, training: bool
    ) -> TrainingBatch:
        digits = self.digits
        assert digits is not None
        rows = torch.isin(digits.case, cases).nonzero()[:, 0]
        if training:
            rows = rows[torch.randperm(len(rows), generator=self.generator)]
        rows = rows[:_MAX_WITH_DIGITS]
        if len(rows) == 0:
            return batch
        n_patches = digits.words.shape[1]
        shares = self.shares[digits.case[rows]].unflatten(1, (self.n_heads, -1))
        shares = shares / shares.sum(2, keepdim=True)
        return batch._replace(
            digits=DigitBatch(
                digits.words[rows].flatten(0, 1),
                digits.digits[rows].flatten(0, 1),
                digits.known.repeat(len(rows), 1),
                shares.repeat_interleave(n_patches, dim=0),
            )
        )
