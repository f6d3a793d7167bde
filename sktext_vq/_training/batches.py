"""Batches of training: put together from data that were gathered once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sktext_vq._features.scaling import Scaler
from sktext_vq._training.texts import TrainingTexts
from sktext_vq.nn.constants import LEVEL_BINS, TRAINING_STEP
from sktext_vq.nn.model import Segmented, Signal, Step, Written
from sktext_vq.nn.text_branch import Texts
from sktext_vq.panel import Panel

# Cases of a step that are cut into segments, and series that are written as digits.
_MAX_SEGMENTED, _MAX_WRITTEN = 32, 64
_WORD_DROPOUT = 0.1
_TEXT_DROPOUT = 0.5


@dataclass(frozen=True)
class WrittenSeries:
    """Series written as digits, and cut into patches.

    Parameters
    ----------
    words : Tensor of shape (n_series, n_patches, n_words), int64
    digits : Tensor of shape (n_series, n_patches, PATCH, n_digits), int64
    known : Tensor of shape (n_patches, PATCH), bool
        False past the end.
    case : Tensor of shape (n_series,), int64
    group : Tensor of shape (n_series,), int64
        Which group of channels they are of.
    """

    words: Tensor
    digits: Tensor
    known: Tensor
    case: Tensor
    group: Tensor


@dataclass
class BatchBuilder:
    """Build the batches that a network is trained on.

    Parameters
    ----------
    panel, scaler
        Series, and how to standardise them.
    usage : Tensor of shape (n_cases, n_groups, n_heads, n_symbols)
    picked : Tensor of shape (n_cases, n_kept), optional
        Standardised features; None where they change while codes are learned.
    classes : Tensor of shape (n_cases,), optional
    texts : TrainingTexts, optional
    segments : tuple of Tensors of shape (n_segmented * n_channels, n_segments)
        Starts and lengths, in timepoints, of the cases in `segmented`; a start of -1
        is padding, which comes last.
    segmented : ndarray of int
        Cases that were cut, ascending.
    written : WrittenSeries, optional
    generator : torch.Generator
        For everything that is drawn in training.
    """

    panel: Panel
    scaler: Scaler
    usage: Tensor
    picked: Tensor | None
    classes: Tensor | None
    texts: TrainingTexts | None
    segments: tuple[Tensor, Tensor] | None
    segmented: NDArray[np.int64]
    written: WrittenSeries | None
    generator: torch.Generator

    def step(self, cases: Tensor, training: bool) -> Step:
        """Put together what a step on some cases looks at."""
        signal = batch = None
        first = 0
        if self.picked is not None:
            signal = Signal(self.picked[cases], self.usage[cases])
        else:
            batch = self.scaler.batch(self.panel, cases.numpy())
            if training:
                draw = torch.randint(TRAINING_STEP, (1,), generator=self.generator)
                first = int(draw)
        step = Step(
            signal,
            batch,
            first,
            None if self.classes is None else self.classes[cases],
        )
        step = self.add_texts(step, cases, training)
        if self.segments is not None:
            step = self._add_segments(step, cases, training)
        if self.written is not None:
            step = self._add_written(step, cases, training)
        return step

    def add_texts(self, step: Step, cases: Tensor, training: bool) -> Step:
        """Add a text of each class, and the texts of the cases, if there are any."""
        known_texts = self.texts
        if known_texts is None:
            return step
        owner = known_texts.class_of_text
        if len(owner):
            firsts = np.unique(owner, return_index=True)[1]
            rows = torch.from_numpy(firsts)
            if training:  # another wording of each class at every step
                draw = torch.rand(len(firsts), generator=self.generator)
                counts = torch.from_numpy(np.bincount(owner))
                rows = rows + (draw * counts).long()
            step = step._replace(
                class_texts=self._texts(rows, training), class_rows=rows
            )
        own = torch.from_numpy(known_texts.case_text)[cases]
        if (own >= 0).any():
            unique, caption_of = own.clamp_min(0).unique(return_inverse=True)
            step = step._replace(
                captions=self._texts(unique, training),
                caption_of=torch.where(own >= 0, caption_of, -1),
            )
        return step

    def _texts(self, rows: Tensor, training: bool) -> Texts:
        """Pick texts, with the sentences that they have, and leave out some words."""
        assert self.texts is not None
        every = self.texts.texts
        sentences = every.sentences[rows]
        used, inverse = sentences.clamp_min(0).unique(return_inverse=True)
        known = every.known[used]
        if training:
            # A sentence keeps its first word, so that something is left.
            dropped = torch.rand(known.shape, generator=self.generator) < _WORD_DROPOUT
            dropped[:, 0] = False
            known = known & ~dropped
        return Texts(every.words[used], known, torch.where(sentences >= 0, inverse, -1))

    def _add_segments(self, step: Step, cases: Tensor, training: bool) -> Step:
        assert self.segments is not None
        row = np.searchsorted(self.segmented, cases.numpy())
        row = row.clip(max=len(self.segmented) - 1)
        here = np.flatnonzero(self.segmented[row] == cases.numpy())[:_MAX_SEGMENTED]
        if len(here) == 0:
            return step
        n_channels = self.panel.n_channels
        chosen = torch.from_numpy(row[here])
        start, length = (
            values.view(len(self.segmented), n_channels, -1)[chosen]
            for values in self.segments
        )
        known = start >= 0
        most = int(known.sum(2).max())
        batch = self.scaler.batch(self.panel, cases.numpy()[here])
        keep = torch.rand(len(here), generator=self.generator) >= _TEXT_DROPOUT
        return step._replace(
            segmented=Segmented(
                batch.series,
                start[..., :most],
                length[..., :most],
                known[..., :most],
                batch.observed,
                torch.from_numpy(self.panel.lengths[cases.numpy()[here]]),
                torch.from_numpy(here),
            ),
            keep_text=keep if training else torch.ones_like(keep),
        )

    def _add_written(self, step: Step, cases: Tensor, training: bool) -> Step:
        written = self.written
        assert written is not None
        rows = torch.isin(written.case, cases).nonzero()[:, 0]
        if training:
            rows = rows[torch.randperm(len(rows), generator=self.generator)]
        rows = rows[:_MAX_WRITTEN]
        if len(rows) == 0:
            return step
        n_patches = written.words.shape[1]
        usage = self.usage[written.case[rows], written.group[rows]]
        usage = usage.unflatten(2, (LEVEL_BINS, -1)).sum(2)
        return step._replace(
            written=Written(
                written.words[rows].flatten(0, 1),
                written.digits[rows].flatten(0, 1),
                written.known.repeat(len(rows), 1),
                usage.repeat_interleave(n_patches, dim=0),
            )
        )
