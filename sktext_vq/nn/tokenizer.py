"""Signal branch: windows of series become tokens, and tokens become histograms.

A token is a code `z`, an offset `mu`, a scale `sigma`, a start `t` and a length `l`.
For windows of eight piecewise means at every start and dyadic lengths, all of these
are closed-form linear algebra.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sktext_vq.nn.codebook import Codebook
from sktext_vq.nn.constants import (
    LEVEL_BINS,
    MATCH_QUANTILES,
    N_MATCHES,
    N_POINTS,
    N_QUANTILES,
    N_ROWS,
    N_SUMMARIES,
    SCALE_BINS,
    SCALE_FLOOR,
    TRAINING_STEP,
    VIEWS,
)
from sktext_vq.nn.frequency_gains import FrequencyGains
from sktext_vq.nn.layout import FeatureLayout

# Cases that statistics of windows are read from, and values they may have in all.
_MAX_SAMPLE_CASES = 512
_MAX_SAMPLE_VALUES = 2**21
_MAX_PICKS = 20_000  # windows that knots of levels and scales are read from
_MAX_RANKED = 4096  # windows that knots of matches are read from
_SCORES_PER_BLOCK = 2**22
_FEW_WINDOWS = 16
_MAX_POOLED = 64  # timepoints that means are computed of without running sums
_LEAST_WIDTH = 1e-3  # of bins, in standard deviations: levels this near are the same


class Windows(NamedTuple):
    """Windows of one length, with their attributes."""

    points: Tensor  # (N_POINTS + 1, n_series, n_windows): scaled shapes, then ones
    offset: Tensor  # (n_series, n_windows): mu
    scale: Tensor  # (n_series, n_windows): sigma
    valid: Tensor | None  # (n_series, n_windows), 0 or 1; None means all of them

    @property
    def shape(self) -> Tensor:
        """Shapes of mean 0 in units of their scale, (N_POINTS, n_series, n_windows)."""
        return self.points[:N_POINTS]


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
    means = moving_mean(series, dilation) if n_starts else series
    n_windows = len(range(first, n_starts, step))
    points = means.new_ones(N_POINTS + 1, len(means), n_windows)
    shape = points[:N_POINTS]
    if n_windows:
        reach = (N_POINTS - 1) * dilation + 1
        views = means[:, first:].unfold(1, reach, step)[:, :, ::dilation]
        shape.copy_(views.permute(2, 0, 1))
    offset = _mean_of_points(shape)
    if series.requires_grad:  # nothing that gradients need is overwritten
        centred = shape - offset
        scale = (_mean_of_points(centred.square()) + 1e-12).sqrt()
        points = torch.cat([centred / (scale + SCALE_FLOOR), points[N_POINTS:]])
    else:
        shape -= offset
        scale = _mean_of_points(shape.square()).sqrt()
        shape /= scale + SCALE_FLOOR
    valid = None
    if observed is not None and lengths is not None and n_starts:
        valid = _valid_windows(observed, lengths, length)[:, first::step]
    return Windows(points, offset, scale, valid)


def moving_mean(series: Tensor, length: int) -> Tensor:
    """Mean of each ``length`` consecutive timepoints.

    Parameters
    ----------
    series : Tensor of shape (n_series, n_timepoints)
    length : int
        At most ``n_timepoints``.

    Returns
    -------
    Tensor of shape (n_series, n_timepoints - length + 1)
    """
    if length == 1:
        return series
    if length <= _MAX_POOLED:
        return F.avg_pool1d(series.unsqueeze(1), length, stride=1).squeeze(1)
    # In double precision, differences of running sums are as good as direct sums, whose
    # time would grow with the length.
    sums = F.pad(series.double().cumsum(1), (1, 0))
    return ((sums[:, length:] - sums[:, :-length]) / length).to(series.dtype)


def _valid_windows(observed: Tensor, lengths: Tensor, length: int) -> Tensor:
    """1 for windows at every start that lie in their series and are half observed.

    Of a series without such a window, those count of which as much is observed as on
    average: no series is left without any.
    """
    share = moving_mean(observed, length)
    every = torch.arange(share.shape[1], device=observed.device)
    # The smallest window stays valid in a series shorter than itself.
    ends = lengths.clamp_min(N_POINTS).unsqueeze(1)
    inside = every + length <= ends
    share = share * inside
    mean = share.sum(dim=1, keepdim=True) / inside.sum(dim=1, keepdim=True).clamp_min(1)
    is_sparse = share.amax(dim=1, keepdim=True) < 0.5
    enough = share >= torch.where(is_sparse, mean * (1 - 1e-6), 0.5)
    return (inside & enough).to(observed.dtype)


def _mean_of_points(values: Tensor) -> Tensor:
    """Mean over the first axis, of 8, rounded alike in batches of all sizes."""
    halves = values[:4] + values[4:]
    quarters = halves[:2] + halves[2:]
    return (quarters[0] + quarters[1]) / N_POINTS


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


def summarise(values: Tensor, valid: Tensor | None) -> Tensor:
    """Mean, standard deviation and seven quantiles, from least to greatest.

    Parameters
    ----------
    values : Tensor of shape (n_series, n_windows)
        Of one window at least.
    valid : Tensor of shape (n_series, n_windows), optional
        0 where a value does not count.

    Returns
    -------
    Tensor of shape (n_series, 9)
        0 for series of which no value counts.
    """
    if valid is None:
        count = values.new_full((len(values), 1), values.shape[1])
        mean = values.mean(dim=1, keepdim=True)
        deviation = (values - mean).square().mean(dim=1, keepdim=True)
    else:
        count = valid.sum(dim=1, keepdim=True).clamp_min(1)
        mean = (values * valid).sum(dim=1, keepdim=True) / count
        deviation = ((values - mean).square() * valid).sum(1, keepdim=True) / count
        values = values.masked_fill(valid == 0, torch.inf)
    place = (count - 1) * torch.linspace(0, 1, N_QUANTILES, device=values.device)
    low = place.long()
    high = torch.minimum(low + 1, count.long() - 1)
    ordered = _sort(values)
    quantiles = ordered.gather(1, low).lerp(ordered.gather(1, high), place - low)
    found = torch.cat([mean, (deviation + 1e-12).sqrt(), quantiles], dim=1)
    return found if valid is None else found.nan_to_num(0.0, posinf=0.0)


def _quantiles(values: Tensor, counts: Tensor, wanted: Tensor) -> Tensor:
    """Quantiles of values that occur several times, as `torch.nanquantile` has them.

    Parameters
    ----------
    values, counts : Tensor of shape (n_rows, n_values)
        Counts are integers, 0 for values that are left out.
    wanted : Tensor of shape (n_quantiles,)

    Returns
    -------
    Tensor of shape (n_rows, n_quantiles)
        0 for rows without any value.
    """
    order = torch.from_numpy(np.argsort(values.numpy(), axis=1))
    ends = counts.gather(1, order).cumsum(1)
    place = (wanted * (ends[:, -1:] - 1)).clamp_min(0)
    low, high = (
        values.gather(1, order.gather(1, index.clamp_max(values.shape[1] - 1)))
        for at in (place, place.ceil())
        for index in [torch.searchsorted(ends, at.long(), right=True)]
    )
    return low.lerp(high, place - place.floor()).where(ends[:, -1:] > 0, 0.0)


def _sort(values: Tensor) -> Tensor:
    if values.requires_grad or values.device.type != "cpu":
        return values.sort(dim=1).values
    # Many times as fast as torch on a CPU.
    return torch.from_numpy(np.sort(values.numpy(), axis=1))


class ShapeTokenizer(nn.Module):
    """Histograms over codes, levels and scales, for every channel, view and length.

    Parameters
    ----------
    n_channels : int
        Channels of the series, with those that `frame` adds.
    n_timepoints : int
        Length of the longest series in training, which sets the window lengths.
    n_codes : int
        Codes of the codebook.
    frame : callable, optional
        Takes a batch and returns one with more channels.
    with_matches : bool, default=True
        Whether matches are among the features.

    Notes
    -----
    Views are the series and its first difference. Per view, window length and channel
    a code has `N_ROWS` features: square roots of its frequency in each of four level
    bins and four scale bins (quantiles of the training windows), and its best match.
    A square root makes distances of histograms those of Hellinger. `N_MATCHES` more say
    how often a code matches better than it does most training windows, whether or not
    another one matches better still: the proportions of positive values of ROCKET
    (Dempster et al., DMKD 2020), with quantiles for biases. There are
    `N_SUMMARIES` of the levels, and the logarithms of the scales, of all windows:
    mean, standard deviation and quantiles, which are finer than any bins.
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
        self.gains: FrequencyGains | None = None  # made where training learns them
        blocks = (len(VIEWS), len(self.dilations), n_channels)
        self.register_buffer("change_scale", torch.ones(n_channels))
        self.register_buffer("level_knots", torch.zeros(*blocks, LEVEL_BINS))
        self.register_buffer("scale_knots", torch.zeros(*blocks, SCALE_BINS))
        n_matches = N_MATCHES if with_matches else 0
        self.register_buffer("match_knots", torch.zeros(*blocks, n_matches, n_codes))

    @property
    def layout(self) -> FeatureLayout:
        """Where each feature of a case is."""
        return FeatureLayout(
            self.n_channels,
            tuple(self.dilations),
            self.codebook.n_codes,
            self.match_knots.shape[3] > 0,
        )

    def _extend(self, batch: Batch) -> Batch:
        return batch if self.frame is None else self.frame(batch)

    def views(self, series: Tensor) -> tuple[Tensor, Tensor]:
        """Return the series and its changes, in their own standard deviation."""
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
        """Set codes and bins from windows of training series.

        Parameters
        ----------
        batch : Batch
            Training series; see :func:`sample_size` for how many are enough.
        generator : torch.Generator
            Source of randomness.
        codebook : Codebook, optional
            Whose codes to take, of as many. By default windows become codes.
        """
        batch = self._extend(batch)
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
                found = _quantiles(values[series, starts], counts, inner)
                for k in range(1, found.shape[1]):
                    found[:, k].clamp_(min=found[:, k - 1] + _LEAST_WIDTH)
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
        """Set what a match has to be better than, from extended training series."""
        for v, d, windows in self._all_windows(batch):
            for c in range(self.n_channels):
                points = windows.points[:, c :: self.n_channels].flatten(1)
                if windows.valid is not None:
                    valid = windows.valid[c :: self.n_channels].flatten() > 0
                    points = points[:, valid]
                if points.shape[1] == 0:
                    continue
                pick = torch.randperm(points.shape[1], generator=generator)
                ordered = _sort(self.codebook.score(points[:, pick[:_MAX_RANKED]]))
                # Between two scores: at one, rounding would decide about its window.
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
            Source of randomness.

        Returns
        -------
        Tensor of shape (n_windows, N_POINTS)
        """
        batch = self._extend(batch)
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
        shapes = windows.shape.flatten(1).T
        if windows.valid is not None:
            shapes = shapes[windows.valid.flatten() > 0]
        if len(shapes) == 0:
            return shapes
        return shapes[torch.randint(len(shapes), (most,), generator=generator)]

    def _all_windows(
        self, batch: Batch, first: int = 0, step: int = 1
    ) -> Iterator[tuple[int, int, Windows]]:
        """Yield view, length and windows of all series of a batch."""
        n_timepoints = batch.series.shape[-1]
        observed, lengths = self._gaps(batch)
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

    def _gaps(self, batch: Batch) -> tuple[Tensor | None, Tensor | None]:
        """Where each series is observed, and where it ends; None without gaps."""
        if batch.observed is None or batch.lengths is None:
            return None, None
        lengths = batch.lengths.repeat_interleave(self.n_channels)
        return batch.observed.flatten(0, 1), lengths

    def forward(self, batch: Batch) -> Tensor:
        """Compute the features of series.

        Parameters
        ----------
        batch : Batch
            Series.

        Returns
        -------
        Tensor of shape (n_cases, n_features)
        """
        batch = self._extend(batch)
        if (
            (kernels := _kernels()) is not None
            and batch.series.device.type == "cpu"
            and not torch.is_grad_enabled()
        ):
            return self._count_compiled(batch, kernels)
        blocks = []
        for v, d, windows in self._all_windows(batch):
            if windows.offset.shape[-1] == 0:
                blocks.append(self._no_windows(batch))
                continue
            scores = self.codebook.score(windows.points)
            blocks.append(self._block(scores, windows, v, d, None))
        return self._join(blocks)

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
        features : Tensor of shape (n_cases, n_features)
        shape_error : Tensor, scalar
            Mean squared distance of scaled windows from their nearest codes.
        """
        batch = self._extend(batch)
        blocks, errors = [], []
        for v, d, windows in self._all_windows(batch, first, step):
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
        """How series use the codes, from their features.

        Parameters
        ----------
        features : Tensor of shape (n_cases, n_features)

        Returns
        -------
        Tensor of shape (n_cases, n_channels, n_heads, LEVEL_BINS, codes_per_head)
            Frequencies of codes and levels in windows of all lengths, of the series
            and not of its changes; each head of a channel sums to 1.
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
        """Features of one view and length.

        Returns
        -------
        histograms : Tensor of shape (n_series, N_ROWS, n_codes)
        matches : Tensor of shape (n_series, n_matches, n_codes)
        summaries : Tensor of shape (n_series, N_SUMMARIES)
        """
        # Before scores are overwritten.
        best = _best_match(scores, windows.valid)
        matches = self._count_matches(scores.detach(), windows.valid, v, d)
        chosen = self.codebook.assign(scores, temperature)
        counts = self._count(windows, chosen, v, d)
        histograms = torch.cat([_root(counts), best], dim=1)
        levels = summarise(windows.offset, windows.valid)
        scales = summarise((windows.scale + SCALE_FLOOR).log(), windows.valid)
        return histograms, matches, torch.cat([levels, scales], dim=1)

    def _count_matches(
        self, scores: Tensor, valid: Tensor | None, v: int, d: int
    ) -> Tensor:
        """Share of the windows that codes match better than each of their knots.

        Returns
        -------
        Tensor of shape (n_series, n_matches, n_codes)
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

    def _count_compiled(self, batch: Batch, kernels: ModuleType) -> Tensor:
        """Compute the features as `forward` does, in compiled code."""
        n_cases, n_channels, n_timepoints = batch.series.shape
        n_lengths = len(self.dilations)
        features = torch.zeros(n_cases, self.layout.n_features)
        summaries = features[:, -self.layout.sizes[2] :].view(
            n_cases, n_channels, -1, N_SUMMARIES
        )
        codes = self.codebook.codes.numpy()
        observed, lengths = self._gaps(batch)
        for v, view in enumerate(self.views(batch.series)):
            # Another layout would be compiled anew.
            series = view.reshape(-1, n_timepoints).contiguous().numpy()
            for d, dilation in enumerate(self.dilations):
                n_windows = n_timepoints - dilation * N_POINTS + 1
                if n_windows < 1:
                    continue
                valid = None
                if observed is not None and lengths is not None:
                    valid = _valid_windows(observed, lengths, dilation * N_POINTS)
                offset, scale = attributes = torch.empty(2, len(series), n_windows)
                kernels.count_windows(
                    series,
                    (offset[:0] if valid is None else valid).numpy(),
                    dilation,
                    codes,
                    self.codebook.n_heads,
                    self.level_knots[v, d].numpy(),
                    self.scale_knots[v, d].numpy(),
                    self.match_knots[v, d].numpy(),
                    features.numpy(),
                    v * n_lengths + d,
                    len(VIEWS) * n_lengths,
                    offset.numpy(),
                    scale.numpy(),
                )
                scale.add_(SCALE_FLOOR).log_()
                if valid is not None:
                    valid = valid.repeat(2, 1)
                found = summarise(attributes.flatten(0, 1), valid)
                found = found.view(2, n_cases, n_channels, -1).permute(1, 2, 0, 3)
                summaries[:, :, v * n_lengths + d] = found.flatten(2)
        return features

    def _no_windows(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        n_series = len(batch.series) * self.n_channels
        return (
            batch.series.new_zeros(n_series, N_ROWS, self.codebook.n_codes),
            batch.series.new_zeros(n_series, *self.match_knots.shape[3:]),
            batch.series.new_zeros(n_series, N_SUMMARIES),
        )

    def _join(self, blocks: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
        """Put blocks of (n_cases * n_channels, ...) side by side."""
        parts = []
        for kind in zip(*blocks, strict=True):
            features = torch.stack(kind, dim=1)
            parts.append(features.view(len(features) // self.n_channels, -1))
        return torch.cat(parts, dim=1)


def _root(counts: Tensor) -> Tensor:
    """Square root but for a finite slope at 0, which would blow up rounding."""
    return (counts + 1e-6).sqrt() - 1e-3


def _best_match(scores: Tensor, valid: Tensor | None) -> Tensor:
    """Best score of each code over the windows of a series; 0 without windows.

    Returns
    -------
    Tensor of shape (n_series, 1, n_codes)
    """
    if valid is not None:
        scores = scores.masked_fill(valid == 0, -torch.inf)
    # Halves against each other are faster than a reduction over the last axis.
    while (n_windows := scores.shape[-1]) > _FEW_WINDOWS:
        half = (n_windows + 1) // 2
        scores = torch.maximum(scores[..., :half], scores[..., n_windows - half :])
    best = scores.amax(dim=2)
    if valid is not None:
        best = best.nan_to_num(neginf=0.0)
    return best.T.unsqueeze(1)


@functools.cache
def _kernels() -> ModuleType | None:
    """Compiled code, where numba is installed and compiles."""
    try:
        from numba import config

        from sktext_vq.nn import _numba as kernels
    except ImportError:
        return None
    return None if vars(config)["DISABLE_JIT"] else kernels


def sample_size(n_channels: int, n_timepoints: int) -> int:
    """Return how many cases suffice for the statistics of windows."""
    affordable = _MAX_SAMPLE_VALUES // (n_channels * n_timepoints)
    return max(1, min(_MAX_SAMPLE_CASES, affordable))


def cases_per_batch(n_channels: int, n_timepoints: int, n_codes: int) -> int:
    """Return how many cases to transform at a time, so that scores stay in cache."""
    return max(1, _SCORES_PER_BLOCK // (n_channels * n_timepoints * n_codes))
