"""Signal branch: windows of series become tokens, and tokens become histograms.

A token is a code `z`, an offset `mu`, a scale `sigma`, a start `t` and a length `l`.
For windows of eight piecewise means at every start and dyadic lengths, all of these
are closed-form linear algebra.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sktext_vq.nn.codebook import Codebook
from sktext_vq.nn.frequency import FrequencyGains

N_POINTS = 8  # points of a window, whatever its length
SCALE_FLOOR = 0.05  # in standard deviations; keeps flat windows flat
VIEWS = ("value", "change")
LEVEL_BINS = 4
SCALE_BINS = 4
N_ROWS = LEVEL_BINS + SCALE_BINS + 1  # histogram rows per code, and the best match
TRAINING_STEP = 4  # training sees every fourth start, from a random one

# Cases that statistics of windows are read from, and values they may have in all.
_MAX_SAMPLE_CASES = 512
_MAX_SAMPLE_VALUES = 2**21
_SCORES_PER_BLOCK = 2**21


class Windows(NamedTuple):
    """Windows of one length, with their attributes."""

    points: Tensor  # (n_series, N_POINTS + 1, n_windows): scaled shapes, then ones
    offset: Tensor  # (n_series, n_windows): mu
    scale: Tensor  # (n_series, n_windows): sigma
    valid: Tensor | None  # (n_series, n_windows), 0 or 1; None means all of them

    @property
    def shape(self) -> Tensor:
        """Shapes of mean 0 in units of their scale."""
        return self.points[:, :N_POINTS]


class Batch(NamedTuple):
    """Standardised series, without gaps, and what is known of their gaps."""

    series: Tensor  # (n_cases, n_channels, n_timepoints) float32
    observed: Tensor | None = None  # same shape, 0 where filled; None: no gaps
    lengths: Tensor | None = None  # (n_cases,) int64; given with `observed`


def dilations(n_timepoints: int) -> list[int]:
    """Return the spacings of window points: windows are 8 times as long.

    Powers of two, and a last one that covers the series unless a power of two nearly
    does.

    >>> dilations(128), dilations(30), dilations(5)
    ([1, 2, 4, 8, 16], [1, 2, 3], [1])
    """
    found = [1]
    while 2 * found[-1] * N_POINTS <= n_timepoints:
        found.append(2 * found[-1])
    last = n_timepoints // N_POINTS
    if last > 1.33 * found[-1]:
        found.append(last)
    return found


def cut_windows(
    series: Tensor,
    dilation: int,
    observed: Tensor | None = None,
    lengths: Tensor | None = None,
    *,
    first: int = 0,
    step: int = 1,
) -> Windows:
    """Cut series into windows of one length and take out their offset and scale.

    Parameters
    ----------
    series : Tensor of shape (n_series, n_timepoints)
        Standardised series.
    dilation : int
        Timepoints averaged for each of the eight points of a window.
    observed, lengths : Tensor, optional
        Per series, where there is a value and where it ends. A window is valid if it
        lies within its series and at least half of it is observed.
    first, step : int
        First start and spacing of starts.

    Returns
    -------
    Windows
        With no windows where the series are shorter than one.
    """
    n_timepoints = series.shape[1]
    length = dilation * N_POINTS
    n_starts = max(0, n_timepoints - length + 1)
    means = series
    if dilation > 1 and n_starts:
        means = F.avg_pool1d(series.unsqueeze(1), dilation, stride=1).squeeze(1)
    starts = range(first, n_starts, step)
    points = means.new_ones(len(means), N_POINTS + 1, len(starts))  # n p t
    shape = points[:, :N_POINTS]
    if len(starts):
        reach = (N_POINTS - 1) * dilation + 1
        views = means[:, first:].unfold(1, reach, step)[:, :, ::dilation]  # n t p
        shape.copy_(views.transpose(1, 2))
    if series.requires_grad:  # nothing that gradients need is overwritten
        offset = shape.mean(dim=1)
        centred = shape - offset.unsqueeze(1)
        scale = (centred.square().mean(dim=1) + 1e-12).sqrt()
        centred = centred / (scale + SCALE_FLOOR).unsqueeze(1)
        points = torch.cat([centred, points[:, N_POINTS:]], dim=1)
    else:
        offset = shape.mean(dim=1)
        shape -= offset.unsqueeze(1)
        scale = shape.square().mean(dim=1).sqrt()
        shape /= (scale + SCALE_FLOOR).unsqueeze(1)
    valid = None
    if observed is not None and lengths is not None and n_starts:
        share = F.avg_pool1d(observed.unsqueeze(1), length, stride=1).squeeze(1)
        every = torch.arange(n_starts, device=series.device)
        # The smallest window stays valid in a series shorter than itself.
        ends = lengths.clamp_min(N_POINTS).unsqueeze(1)
        inside = every + length <= ends
        enough = (share >= 0.5) | (lengths.unsqueeze(1) < N_POINTS)
        valid = (inside & enough)[:, first::step].to(series.dtype)
    return Windows(points, offset, scale, valid)


def shares(whole: Tensor, above: Tensor) -> Tensor:
    """Turn sums of ramps into histograms.

    A ramp is 0 up to a knot, 1 from the next one on, and a straight line between. The
    difference of neighbouring ramps shares a value between the two knots that it lies
    between: a histogram of these changes smoothly where one of hard bins jumps.

    Parameters
    ----------
    whole : Tensor of shape (n_series, 1, n_codes)
        What all bins sum to.
    above : Tensor of shape (n_series, n_bins - 1, n_codes)
        Sums of ramps, in ascending order.

    Returns
    -------
    Tensor of shape (n_series, n_bins, n_codes)
    """
    lower = torch.cat([whole, above], dim=1)
    upper = F.pad(above, (0, 0, 0, 1))
    return (lower - upper).clamp_min(0)  # negative by rounding only


class ShapeTokenizer(nn.Module):
    """Histograms over codes, levels and scales, for every channel, view and length.

    Parameters
    ----------
    n_channels : int
        Channels of the series.
    n_timepoints : int
        Length of the longest series in training, which sets the window lengths.
    n_codes : int
        Codes of the codebook.

    Notes
    -----
    Views are the series and its first difference. Per view, window length and channel
    a code has `N_ROWS` features: square roots of its frequency in each of four level
    bins and four scale bins (quantiles of the training windows), and its best match.
    A square root makes distances of histograms those of Hellinger.
    """

    change_scale: Tensor
    level_knots: Tensor
    scale_knots: Tensor

    def __init__(self, n_channels: int, n_timepoints: int, n_codes: int) -> None:
        super().__init__()
        self.n_channels = n_channels
        self.dilations = dilations(n_timepoints)
        self.codebook = Codebook(n_codes, N_POINTS)
        self.gains: FrequencyGains | None = None  # made where training learns them
        layout = (len(VIEWS), len(self.dilations), n_channels)
        self.register_buffer("change_scale", torch.ones(n_channels))
        self.register_buffer("level_knots", torch.zeros(*layout, LEVEL_BINS))
        self.register_buffer("scale_knots", torch.zeros(*layout, SCALE_BINS))

    @property
    def layout(self) -> tuple[int, int, int, int, int]:
        """Shape of the features of a case: channel, view, length, row, code."""
        return (
            self.n_channels,
            len(VIEWS),
            len(self.dilations),
            N_ROWS,
            self.codebook.n_codes,
        )

    def views(self, series: Tensor) -> tuple[Tensor, Tensor]:
        """Return the series and its changes, in their own standard deviation."""
        if self.gains is not None:
            series = self.gains(series)
        change = F.pad(torch.diff(series, dim=-1), (1, 0), mode="replicate")
        return series, change / self.change_scale[:, None]

    def fit(self, batch: Batch, generator: torch.Generator) -> None:
        """Set codes and bins from windows of training series.

        Parameters
        ----------
        batch : Batch
            Training series; see :func:`sample_size` for how many are enough.
        generator : torch.Generator
            Source of randomness.
        """
        change = torch.diff(batch.series, dim=-1)
        spread = change.transpose(0, 1).reshape(self.n_channels, -1).std(1)
        self.change_scale.copy_(torch.where(spread > 1e-6, spread, 1.0))
        pool = []
        for v, d, windows in self._all_windows(batch):
            n_windows = windows.offset.shape[-1]
            if n_windows == 0:
                continue
            rows = torch.arange(self.n_channels)[:, None]
            pick = torch.randint(
                len(batch.series) * n_windows, (20_000,), generator=generator
            )
            cases, starts = pick // n_windows, pick % n_windows
            series = cases * self.n_channels + rows  # channel, pick
            for knots, values in (
                (self.level_knots, windows.offset),
                (self.scale_knots, windows.scale),
            ):
                values = values[series, starts]
                if windows.valid is not None:
                    usable = windows.valid[series, starts] > 0
                    values = values.where(usable, torch.nan)
                inner = torch.linspace(0, 1, knots.shape[-1] + 2)[1:-1]
                found = torch.nanquantile(values, inner, dim=1).T
                knots[v, d] = torch.nan_to_num(found)
            pool.append(self._sample_shapes(windows, generator))
        shapes = torch.cat(pool)
        if len(shapes) == 0:
            shapes = torch.zeros(1, N_POINTS)
        self.codebook.seed(shapes, generator)

    def sample_shapes(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Return scaled shapes of random valid windows of all views and lengths.

        Parameters
        ----------
        batch : Batch
            Series.
        generator : torch.Generator
            Source of randomness.

        Returns
        -------
        Tensor of shape (n_windows, N_POINTS)
        """
        pool = [
            self._sample_shapes(windows, generator, 512)
            for _, _, windows in self._all_windows(batch, step=TRAINING_STEP)
            if windows.offset.shape[-1]
        ]
        return torch.cat(pool) if pool else batch.series.new_zeros(0, N_POINTS)

    def _sample_shapes(
        self, windows: Windows, generator: torch.Generator, most: int = 4096
    ) -> Tensor:
        """Return scaled shapes of so many valid windows."""
        shapes = windows.shape.transpose(1, 2)  # n t p
        if windows.valid is None:
            shapes = shapes.reshape(-1, N_POINTS)
        else:
            shapes = shapes[windows.valid > 0]
        if len(shapes) == 0:
            return shapes
        return shapes[torch.randint(len(shapes), (most,), generator=generator)]

    def _all_windows(
        self, batch: Batch, first: int = 0, step: int = 1
    ) -> Iterator[tuple[int, int, Windows]]:
        """Yield view, length and windows of all series of a batch."""
        n_timepoints = batch.series.shape[-1]
        observed = lengths = None
        if batch.observed is not None and batch.lengths is not None:
            observed = batch.observed.reshape(-1, n_timepoints)
            lengths = batch.lengths.repeat_interleave(self.n_channels)
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
                    # Long windows change slowly with their start.
                    step=1 if step == 1 else max(step, dilation),
                )
                yield v, d, windows

    def forward(self, batch: Batch) -> Tensor:
        """Compute the features of series.

        Parameters
        ----------
        batch : Batch
            Series.

        Returns
        -------
        Tensor of shape (n_cases, *layout)
        """
        blocks = []
        for v, d, windows in self._all_windows(batch):
            if windows.offset.shape[-1] == 0:
                blocks.append(self._no_windows(batch))
                continue
            scores = self.codebook.score(windows.points)  # n k t
            blocks.append(self._block(scores, windows, v, d, None))
        return self._join(blocks, batch)

    def train_forward(
        self, batch: Batch, temperature: float, first: int, step: int = TRAINING_STEP
    ) -> tuple[Tensor, Tensor]:
        """Compute features that gradients pass through, on a part of the windows.

        Parameters
        ----------
        batch : Batch
            Series.
        temperature : float
            See :meth:`Codebook.assign`.
        first, step : int
            First start and least spacing of the windows that are used.

        Returns
        -------
        features : Tensor of shape (n_cases, *layout)
        shape_error : Tensor, scalar
            Mean squared distance of scaled windows from their nearest codes.
        """
        blocks, errors = [], []
        for v, d, windows in self._all_windows(batch, first, step):
            if windows.offset.shape[-1] == 0:
                blocks.append(self._no_windows(batch))
                continue
            scores = self.codebook.score(windows.points)
            blocks.append(self._block(scores, windows, v, d, temperature))
            heads = scores.view(
                len(scores), self.codebook.n_heads, -1, scores.shape[-1]
            )
            nearest = heads.amax(dim=2).mean(dim=1)
            error = windows.shape.square().sum(1) - 2 * nearest
            if windows.valid is not None:
                error = error * windows.valid
            errors.append(error.mean())
        return self._join(blocks, batch), torch.stack(errors).mean()

    def usage(self, features: Tensor) -> Tensor:
        """How series use the codes, from their features.

        Parameters
        ----------
        features : Tensor of shape (n_cases, *layout)

        Returns
        -------
        Tensor of shape (n_cases, n_channels, n_heads, LEVEL_BINS, codes_per_head)
            Frequencies of codes and levels in windows of all lengths, of the series
            and not of its changes; each head of a channel sums to 1.
        """
        counts = features[:, :, 0, :, :LEVEL_BINS].square().sum(dim=2)  # n c b k
        heads = counts.unflatten(3, (self.codebook.n_heads, -1)).transpose(2, 3)
        return heads / heads.sum(dim=(3, 4), keepdim=True).clamp_min(1e-12)

    def _block(
        self,
        scores: Tensor,
        windows: Windows,
        v: int,
        d: int,
        temperature: float | None,
    ) -> Tensor:
        """Features of one view and length, of shape (n_series, N_ROWS, n_codes)."""
        best = _best_match(scores, windows.valid)  # before scores are overwritten
        chosen = self.codebook.assign(scores, temperature)
        counts = self._count(windows, chosen, v, d)
        return torch.cat([_root(counts), best], dim=1)

    def _count(self, windows: Windows, chosen: Tensor, v: int, d: int) -> Tensor:
        """Histograms of chosen codes over level and scale bins.

        Returns
        -------
        Tensor of shape (n_series, LEVEL_BINS + SCALE_BINS, n_codes)
            Each kind of bins sums to 1 over the codes of a head.
        """
        n_series, n_windows = windows.offset.shape
        # Ramps of both kinds and, for what all bins sum to, a row of ones.
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
                part.copy_((values - low) / width.clamp_min(1e-6))
            else:
                torch.sub(values, low, out=part)
                part /= width.clamp_min(1e-6)
        weights = weights.clamp(0, 1) if weights.requires_grad else weights.clamp_(0, 1)
        total: Tensor | int = n_windows
        if windows.valid is not None:
            weights = weights * windows.valid.unsqueeze(1)
            total = windows.valid.sum(1).clamp_min(1)[:, None, None]
        sums = torch.bmm(weights, chosen.transpose(1, 2)) / total
        whole, level, scale = sums[:, :1], sums[:, 1:LEVEL_BINS], sums[:, LEVEL_BINS:]
        return torch.cat([shares(whole, level), shares(whole, scale)], dim=1)

    def _no_windows(self, batch: Batch) -> Tensor:
        n_series = len(batch.series) * self.n_channels
        return batch.series.new_zeros(n_series, N_ROWS, self.codebook.n_codes)

    def _join(self, blocks: list[Tensor], batch: Batch) -> Tensor:
        features = torch.stack(blocks, dim=1)  # n*c, v*d, row, code
        return features.view(len(batch.series), *self.layout)


def _root(counts: Tensor) -> Tensor:
    """Square root but for a finite slope at 0, which would blow up rounding."""
    return (counts + 1e-6).sqrt() - 1e-3


def _best_match(scores: Tensor, valid: Tensor | None) -> Tensor:
    """Best score of each code over the windows of a series; 0 without windows."""
    if valid is None:
        return scores.amax(dim=2).unsqueeze(1)
    hidden = scores.masked_fill(valid.unsqueeze(1) == 0, -torch.inf)
    return hidden.amax(dim=2).nan_to_num(neginf=0.0).unsqueeze(1)


def sample_size(n_channels: int, n_timepoints: int) -> int:
    """Return how many cases suffice for the statistics of windows."""
    affordable = _MAX_SAMPLE_VALUES // (n_channels * n_timepoints)
    return max(1, min(_MAX_SAMPLE_CASES, affordable))


def cases_per_batch(n_channels: int, n_timepoints: int, n_codes: int) -> int:
    """Return how many cases to transform at a time, so that scores stay in cache."""
    return max(1, _SCORES_PER_BLOCK // (n_channels * n_timepoints * n_codes))
