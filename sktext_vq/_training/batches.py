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
from sktext_vq.nn.constants import LEVEL_BINS, TRAINING_STEP
from sktext_vq.nn.text_branch import Texts
from sktext_vq.panel import Panel

# Maximum numbers of cases with segments, and of series with digits, in a batch.
_MAX_SEGMENTED, _MAX_WITH_DIGITS = 32, 64
_WORD_DROPOUT = 0.1
_TEXT_DROPOUT = 0.5


@dataclass(frozen=True)
class SeriesDigits:
    """Series written as digits, divided into patches.

    Parameters
    ----------
    words : Tensor of shape (n_series, n_patches, n_words), int64
    digits : Tensor of shape (n_series, n_patches, PATCH, n_digits), int64
    known : Tensor of shape (n_patches, PATCH), bool
        False after the end of the series.
    case : Tensor of shape (n_series,), int64
    group : Tensor of shape (n_series,), int64
        Group of channels of each series.
    """

    words: Tensor
    digits: Tensor
    known: Tensor
    case: Tensor
    group: Tensor


@dataclass
class BatchBuilder:
    """Build training batches.

    Parameters
    ----------
    panel, scaler
        Training series and their scaler.
    usage : Tensor of shape (n_cases, n_groups, n_heads, n_symbols)
    selected : Tensor of shape (n_cases, n_selected), optional
        Standardised features; None if training changes features.
    classes : Tensor of shape (n_cases,), optional
    texts : TrainingTexts, optional
    segments : tuple of Tensors of shape (n_segmented * n_channels, n_segments)
        Starts and lengths of segments, in timepoints, for the cases in `segmented`.
        Padding has a start of -1 and comes last.
    segmented : ndarray of int
        Cases that are divided into segments, ascending.
    digits : SeriesDigits, optional
    generator : torch.Generator
        Source of randomness in training.
    """

    panel: Panel
    scaler: Scaler
    usage: Tensor
    selected: Tensor | None
    classes: Tensor | None
    texts: TrainingTexts | None
    segments: tuple[Tensor, Tensor] | None
    segmented: NDArray[np.int64]
    digits: SeriesDigits | None
    generator: torch.Generator

    def build(self, cases: Tensor, training: bool) -> TrainingBatch:
        """Build the batch of some cases."""
        signal = series = None
        first_window = 0
        if self.selected is not None:
            signal = SignalFeatures(self.selected[cases], self.usage[cases])
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
        """Build a batch of series and texts, to measure their usage of the codes."""
        series = self.scaler.batch(self.panel, cases.numpy())
        return self._add_texts(TrainingBatch(None, series), cases, training=False)

    def _add_texts(
        self, batch: TrainingBatch, cases: Tensor, training: bool
    ) -> TrainingBatch:
        """Add a text of each class, and the texts of the cases, if there are any."""
        known_texts = self.texts
        if known_texts is None:
            return batch
        owner = known_texts.class_of_text
        if len(owner):
            firsts = np.unique(owner, return_index=True)[1]
            rows = torch.from_numpy(firsts)
            if training:  # a random text of each class in every step
                draw = torch.rand(len(firsts), generator=self.generator)
                counts = torch.from_numpy(np.bincount(owner))
                rows = rows + (draw * counts).long()
            batch = batch._replace(
                class_texts=self._texts(rows, training), class_rows=rows
            )
        own = torch.from_numpy(known_texts.case_text)[cases]
        if (own >= 0).any():
            unique, caption_of = own.clamp_min(0).unique(return_inverse=True)
            batch = batch._replace(
                captions=self._texts(unique, training),
                caption_of=torch.where(own >= 0, caption_of, -1),
            )
        return batch

    def _texts(self, rows: Tensor, training: bool) -> Texts:
        """Select texts with their sentences, and drop some words in training."""
        assert self.texts is not None
        every = self.texts.texts
        sentences = every.sentences[rows]
        used, inverse = sentences.clamp_min(0).unique(return_inverse=True)
        known = every.known[used]
        if training:
            # The first word is always kept, so that no sentence is empty.
            dropped = torch.rand(known.shape, generator=self.generator) < _WORD_DROPOUT
            dropped[:, 0] = False
            known = known & ~dropped
        return Texts(every.words[used], known, torch.where(sentences >= 0, inverse, -1))

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
        usage = self.usage[digits.case[rows], digits.group[rows]]
        usage = usage.unflatten(2, (LEVEL_BINS, -1)).sum(2)
        return batch._replace(
            digits=DigitBatch(
                digits.words[rows].flatten(0, 1),
                digits.digits[rows].flatten(0, 1),
                digits.known.repeat(len(rows), 1),
                usage.repeat_interleave(n_patches, dim=0),
            )
        )
