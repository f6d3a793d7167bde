"""Signal branch: conversion of series to tokens and histograms."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from sktext_vq.nn.codebook import Codebook
from sktext_vq.nn.compiled import count_compiled, load_kernels
from sktext_vq.nn.constants import (
    LEVEL_BINS,
    MATCH_QUANTILES,
    N_MATCHES,
    N_POINTS,
    N_ROWS,
    N_SUMMARIES,
    SCALE_BINS,
    SCALE_FLOOR,
    TRAINING_STEP,
    VIEWS,
)
from sktext_vq.nn.histograms import best_match, quantiles, root, shares, sort, summarise
from sktext_vq.nn.layout import FeatureLayout
from sktext_vq.nn.windows import Batch, Windows, cut_windows, dilations

# Maximum numbers of cases and of values from which windows are sampled.
_MAX_SAMPLE_CASES = 512
_MAX_SAMPLE_VALUES = 2**21
_MAX_PICKS = 20_000  # sampled windows per view and length
_MAX_RANKED = 4096  # windows that are ranked to set the knots of matches
_SCORES_PER_BLOCK = 2**22
_MIN_WIDTH = 1e-3  # minimum bin width, in standard deviations


class ShapeTokenizer(nn.Module):
    """Compute histograms of codes, levels and scales of the windows of series.

    Parameters
    ----------
    n_channels : int
        Number of channels, including channels added by `frame`.
    n_timepoints : int
        Length of the longest training series, which determines the window lengths.
    n_codes : int
        Number of codes in the codebook.
    frame : callable, optional
        Function that adds channels to a batch.
    with_matches : bool, default=True
        Whether matches are included in the features.

    Notes
    -----
    The views of a series are the series and its first difference. For each view, window
    length and channel, a code has `N_ROWS` features: square roots of its frequency in
    each of four level bins and four scale bins (quantiles of the training windows), and
    its best match. With square roots, distances between histograms are Hellinger
    distances. `N_MATCHES` further features are the proportions of windows that a code
    matches better than most training windows, even if another code matches better. They
    correspond to the proportions of positive values of ROCKET (Dempster et al., DMKD
    2020), with quantiles as biases. `N_SUMMARIES` features summarise the levels and the
    logarithms of the scales of all windows: mean, standard deviation and quantiles.
    """

    change_scale: Tensor
    level_knots: Tensor
    scale_knots: Tensor
    match_knots: Tensor

    def __init__(
        self,
        n_channels: int,
        n_timepoints: int,
        n_codes: int,
        frame: Callable[[Batch], Batch] | None = None,
        with_matches: bool = True,
    ) -> None:
        super().__init__()
        self.n_channels = n_channels
        self.frame = frame
        self.dilations = dilations(n_timepoints)
        self.codebook = Codebook(n_codes, N_POINTS)
        self.gains: nn.Module | None = None  # set if gains are learned
        blocks = (len(VIEWS), len(self.dilations), n_channels)
        self.register_buffer("change_scale", torch.ones(n_channels))
        self.register_buffer("level_knots", torch.zeros(*blocks, LEVEL_BINS))
        self.register_buffer("scale_knots", torch.zeros(*blocks, SCALE_BINS))
        n_matches = N_MATCHES if with_matches else 0
        self.register_buffer("match_knots", torch.zeros(*blocks, n_matches, n_codes))

    @property
    def layout(self) -> FeatureLayout:
        """Layout of the features of a case."""
        return FeatureLayout(
            self.n_channels,
            tuple(self.dilations),
            self.codebook.n_codes,
            self.match_knots.shape[3] > 0,
        )

    def extend(self, batch: Batch) -> Batch:
        """Return a batch with the channels added by the frame."""
        return batch if self.frame is None else self.frame(batch)

    def views(self, series: Tensor) -> tuple[Tensor, Tensor]:
        """Return the series, and their first differences scaled to unit variance."""
        if self.gains is not None:
            series = self.gains(series)
        change = F.pad(torch.diff(series, dim=-1), (1, 0), mode="replicate")
        return series, change / self.change_scale[:, None]

    def fit(
        self,
        batch: Batch,
        generator: torch.Generator,
        codebook: Codebook | None = None,
    ) -> None:
        """Fit codes and bins to windows of the training series.

        Parameters
        ----------
        batch : Batch
            Training series; :func:`sample_size` returns a sufficient number.
        generator : torch.Generator
            Random generator.
        codebook : Codebook, optional
            Codebook of the same size whose codes are copied. By default, windows are
            chosen as codes.
        """
        batch = self.extend(batch)
        change = torch.diff(batch.series, dim=-1)
        spread = change.transpose(0, 1).reshape(self.n_channels, -1).std(1)
        self.change_scale.copy_(torch.where(spread > 1e-6, spread, 1.0))
        pool = []
        for v, d, windows in self.all_windows(batch):
            n_windows = windows.offset.shape[-1]
            if n_windows == 0:
                continue
            rows = torch.arange(self.n_channels)[:, None]
            pick = torch.randint(
                len(batch.series) * n_windows, (_MAX_PICKS,), generator=generator
            )
            pick, times = torch.unique(pick, return_counts=True)
            cases, starts = pick // n_windows, pick % n_windows
            series = cases * self.n_channels + rows  # channel, pick
            for knots, values in (
                (self.level_knots, windows.offset),
                (self.scale_knots, windows.scale),
            ):
                counts = times.expand(len(series), -1)
                if windows.valid is not None:
                    counts = counts * (windows.valid[series, starts] > 0)
                inner = torch.linspace(0, 1, knots.shape[-1] + 2)[1:-1]
                found = quantiles(values[series, starts], counts, inner)
                for k in range(1, found.shape[1]):
                    found[:, k].clamp_(min=found[:, k - 1] + _MIN_WIDTH)
                knots[v, d] = found
            pool.append(self._sample_shapes(windows, generator))
        if codebook is None:
            shapes = torch.cat(pool)
            if len(shapes) == 0:
                shapes = torch.zeros(1, N_POINTS)
            self.codebook.seed(shapes, generator)
        else:
            self.codebook.copy_codes(codebook)
        if self.match_knots.numel():
            self._fit_matches(batch, generator)

    def _fit_matches(self, batch: Batch, generator: torch.Generator) -> None:
        """Fit the thresholds of matches to series that include the added channels."""
        for v, d, windows in self.all_windows(batch):
            for c in range(self.n_channels):
                points = windows.points[:, c :: self.n_channels].flatten(1)
                if windows.valid is not None:
                    valid = windows.valid[c :: self.n_channels].flatten() > 0
                    points = points[:, valid]
                if points.shape[1] == 0:
                    continue
                pick = torch.randperm(points.shape[1], generator=generator)
                ordered = sort(self.codebook.score(points[:, pick[:_MAX_RANKED]]))
                # Knots lie between scores, so that counts do not depend on rounding.
                low = (torch.tensor(MATCH_QUANTILES) * (ordered.shape[1] - 1)).long()
                high = (low + 1).clamp_max(ordered.shape[1] - 1)
                knots = (ordered[:, low] + ordered[:, high]) / 2
                self.match_knots[v, d, c] = knots.T

    def sample_shapes(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Return scaled shapes of random valid windows of all views and lengths.

        Parameters
        ----------
        batch : Batch
            Series.
        generator : torch.Generator
            Random generator.

        Returns
        -------
        Tensor of shape (n_windows, N_POINTS)
        """
        batch = self.extend(batch)
        pool = [
            self._sample_shapes(windows, generator, 512)
            for _, _, windows in self.all_windows(batch, step=TRAINING_STEP)
            if windows.offset.shape[-1]
        ]
        return torch.cat(pool) if pool else batch.series.new_zeros(0, N_POINTS)

    def _sample_shapes(
        self, windows: Windows, generator: torch.Generator, most: int = 4096
    ) -> Tensor:
        """Return scaled shapes of `most` random valid windows."""
        shapes = windows.shape.flatten(1).T
        if windows.valid is not None:
            shapes = shapes[windows.valid.flatten() > 0]
        if len(shapes) == 0:
            return shapes
        return shapes[torch.randint(len(shapes), (most,), generator=generator)]

    def all_windows(
        self, batch: Batch, first: int = 0, step: int = 1
    ) -> Iterator[tuple[int, int, Windows]]:
        """Yield the index of the view, the index of the length, and the windows."""
        n_timepoints = batch.series.shape[-1]
        observed, lengths = self.gaps(batch)
        for v, view in enumerate(self.views(batch.series)):
            series = view.reshape(-1, n_timepoints)
            for d, dilation in enumerate(self.dilations):
                n_starts = max(1, n_timepoints - dilation * N_POINTS + 1)
                windows = cut_windows(
                    series,
                    dilation,
                    observed,
                    lengths,
                    first=first % n_starts,
                    # Neighbouring long windows are similar.
                    step=1 if step == 1 else max(step, dilation),
                )
                yield v, d, windows

    def gaps(self, batch: Batch) -> tuple[Tensor | None, Tensor | None]:
        """Return a mask of observed values and the lengths if the batch has gaps."""
        if batch.observed is None or batch.lengths is None:
            return None, None
        lengths = batch.lengths.repeat_interleave(self.n_channels)
        return batch.observed.flatten(0, 1), lengths

    def forward(self, batch: Batch, needed: NDArray[np.bool_] | None = None) -> Tensor:
        """Compute the features of series.

        Parameters
        ----------
        batch : Batch
            Series.
        needed : ndarray of shape (n_features,), optional
            Mask of the features to compute. Other features may be 0. By default, all
            features are computed.

        Returns
        -------
        Tensor of shape (n_cases, n_features)
        """
        batch = self.extend(batch)
        if (
            (kernels := load_kernels()) is not None
            and batch.series.device.type == "cpu"
            and not torch.is_grad_enabled()
        ):
            return count_compiled(self, batch, kernels, needed)
        blocks = []
        for v, d, windows in self.all_windows(batch):
            if windows.offset.shape[-1] == 0:
                blocks.append(self._no_windows(batch))
                continue
            scores = self.codebook.score(windows.points)
            blocks.append(self._block(scores, windows, v, d, None))
        return self._join(blocks)

    def train_forward(
        self, batch: Batch, temperature: float, first: int, step: int = TRAINING_STEP
    ) -> tuple[Tensor, Tensor]:
        """Compute features with gradients, from a subset of the windows.

        Parameters
        ----------
        batch : Batch
            Series.
        temperature : float
            See :meth:`Codebook.assign`.
        first, step : int
            Start of the first window, and minimum spacing of windows.

        Returns
        -------
        features : Tensor of shape (n_cases, n_features)
        shape_error : Tensor, scalar
            Mean squared distance of scaled windows from their nearest codes.
        """
        batch = self.extend(batch)
        blocks, errors = [], []
        for v, d, windows in self.all_windows(batch, first, step):
            if windows.offset.shape[-1] == 0:
                blocks.append(self._no_windows(batch))
                continue
            scores = self.codebook.score(windows.points)
            blocks.append(self._block(scores, windows, v, d, temperature))
            heads = scores.unflatten(0, (self.codebook.n_heads, -1))
            nearest = heads.amax(dim=1).mean(dim=0)
            error = windows.shape.square().sum(0) - 2 * nearest
            if windows.valid is not None:
                error = error * windows.valid
            errors.append(error.mean())
        return self._join(blocks), torch.stack(errors).mean()

    def usage(self, features: Tensor) -> Tensor:
        """Compute the code usage of series from their features.

        Parameters
        ----------
        features : Tensor of shape (n_cases, n_features)

        Returns
        -------
        Tensor of shape (n_cases, n_channels, n_heads, LEVEL_BINS, codes_per_head)
            Frequencies of codes and levels in windows of all lengths, excluding windows
            of first differences. Frequencies sum to 1 for each channel and head.
        """
        histograms, _, _ = self.layout.split(features)
        counts = histograms[:, :, 0, :, :LEVEL_BINS].square().sum(dim=2)  # n c b k
        heads = counts.unflatten(3, (self.codebook.n_heads, -1)).transpose(2, 3)
        return heads / heads.sum(dim=(3, 4), keepdim=True).clamp_min(1e-12)

    def _block(
        self,
        scores: Tensor,
        windows: Windows,
        v: int,
        d: int,
        temperature: float | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the features of one view and window length for each series."""
        # Computed first, because `assign` overwrites the scores.
        best = best_match(scores, windows.valid)
        matches = self._count_matches(scores.detach(), windows.valid, v, d)
        chosen = self.codebook.assign(scores, temperature)
        counts = self._count(windows, chosen, v, d)
        histograms = torch.cat([root(counts), best], dim=1)
        levels = summarise(windows.offset, windows.valid)
        scales = summarise((windows.scale + SCALE_FLOOR).log(), windows.valid)
        return histograms, matches, torch.cat([levels, scales], dim=1)

    def _count_matches(
        self, scores: Tensor, valid: Tensor | None, v: int, d: int
    ) -> Tensor:
        """Compute the share of windows with a score above each knot of a code.

        The shape is (n_series, n_matches, n_codes).
        """
        n_codes, n_series, n_windows = scores.shape
        by_channel = scores.unflatten(1, (-1, self.n_channels))
        shares = [scores.new_zeros(n_series, 0, n_codes)]
        for knots in self.match_knots[v, d].unbind(1):  # (n_channels, n_codes)
            better = (by_channel > knots.T[:, None, :, None]).flatten(1, 2)
            if valid is None:
                share = better.sum(2) / n_windows
            else:
                share = (better * valid).sum(2) / valid.sum(1).clamp_min(1)
            shares.append(share.T.unsqueeze(1))
        return torch.cat(shares, dim=1)

    def _count(self, windows: Windows, chosen: Tensor, v: int, d: int) -> Tensor:
        """Compute histograms of chosen codes over level and scale bins.

        The shape is (n_series, LEVEL_BINS + SCALE_BINS, n_codes). Level bins and scale
        bins each sum to 1 over the codes of a head.
        """
        n_series, n_windows = windows.offset.shape
        # A row of ones for the sum of all bins, followed by ramps of levels and scales.
        weights = windows.offset.new_ones(
            n_series, LEVEL_BINS + SCALE_BINS - 1, n_windows
        )
        by_channel = weights.view(-1, self.n_channels, *weights.shape[1:])
        for values, knots, rows in (
            (windows.offset, self.level_knots[v, d], slice(1, LEVEL_BINS)),
            (windows.scale, self.scale_knots[v, d], slice(LEVEL_BINS, None)),
        ):
            low, width = knots[:, :-1, None], knots.diff(dim=1).unsqueeze(2)
            part = by_channel[:, :, rows]
            values = values.view(-1, self.n_channels, 1, n_windows)
            if values.requires_grad:
                part.copy_((values - low) / width)
            else:
                torch.sub(values, low, out=part)
                part /= width
        weights = weights.clamp(0, 1) if weights.requires_grad else weights.clamp_(0, 1)
        total: Tensor | int = n_windows
        if windows.valid is not None:
            weights = weights * windows.valid.unsqueeze(1)
            total = windows.valid.sum(1).clamp_min(1)[:, None, None]
        sums = torch.bmm(weights, chosen.permute(1, 2, 0)) / total
        whole, level, scale = sums[:, :1], sums[:, 1:LEVEL_BINS], sums[:, LEVEL_BINS:]
        return torch.cat([shares(whole, level), shares(whole, scale)], dim=1)

    def _no_windows(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        n_series = len(batch.series) * self.n_channels
        return (
            batch.series.new_zeros(n_series, N_ROWS, self.codebook.n_codes),
            batch.series.new_zeros(n_series, *self.match_knots.shape[3:]),
            batch.series.new_zeros(n_series, N_SUMMARIES),
        )

    def _join(self, blocks: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
        """Concatenate blocks of shape (n_cases * n_channels, ...)."""
        parts = []
        for kind in zip(*blocks, strict=True):
            features = torch.stack(kind, dim=1)
            parts.append(features.view(len(features) // self.n_channels, -1))
        return torch.cat(parts, dim=1)


def sample_size(n_channels: int, n_timepoints: int) -> int:
    """Return a sufficient number of training cases for :meth:`ShapeTokenizer.fit`."""
    affordable = _MAX_SAMPLE_VALUES // (n_channels * n_timepoints)
    return max(1, min(_MAX_SAMPLE_CASES, affordable))


def cases_per_batch(n_channels: int, n_timepoints: int, n_codes: int) -> int:
    """Return the number of cases per batch whose scores fit into the cache."""
    return max(1, _SCORES_PER_BLOCK // (n_channels * n_timepoints * n_codes))
