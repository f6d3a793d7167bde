"""Windows of series, with their offsets and scales."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from sktext_vq.nn.constants import N_POINTS, SCALE_FLOOR

_MAX_POOLED = 64  # maximum length for direct sums


class Windows(NamedTuple):
    """Windows of one length, with their attributes."""

    points: Tensor  # (N_POINTS + 1, n_series, n_windows); ones in the last row
    offset: Tensor  # (n_series, n_windows)
    scale: Tensor  # (n_series, n_windows)
    valid: Tensor | None  # (n_series, n_windows), 0 or 1; None if all are valid

    @property
    def shape(self) -> Tensor:
        """Standardised windows, of shape (N_POINTS, n_series, n_windows)."""
        return self.points[:N_POINTS]


class Batch(NamedTuple):
    """Standardised series with filled gaps, and a mask of observed values."""

    series: Tensor  # (n_cases, n_channels, n_timepoints) float32
    observed: Tensor | None = None  # same shape, 0 in gaps; None without gaps
    lengths: Tensor | None = None  # (n_cases,) int64; given with `observed`


def dilations(n_timepoints: int) -> list[int]:
    """Return the dilations of windows, which are their lengths divided by eight.

    Dilations are powers of two. If the longest window does not cover most of the
    series, a dilation is added whose windows cover the series.

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
    """Cut series into windows of one length and standardise the windows.

    Parameters
    ----------
    series : Tensor of shape (n_series, n_timepoints)
        Standardised series.
    dilation : int
        Number of timepoints whose mean is one of the eight points of a window.
    observed, lengths : Tensor, optional
        Mask of observed values, and length of each series. A window is valid if it lies
        within its series and at least half of it is observed.
    first, step : int
        Start of the first window, and spacing of windows.

    Returns
    -------
    Windows
        Standardised windows, empty if the series are shorter than a window.
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
    if series.requires_grad:  # in-place operations would invalidate gradients
        centred = shape - offset
        scale = (_mean_of_points(centred.square()) + 1e-12).sqrt()
        points = torch.cat([centred / (scale + SCALE_FLOOR), points[N_POINTS:]])
    else:
        shape -= offset
        scale = _mean_of_points(shape.square()).sqrt()
        shape /= scale + SCALE_FLOOR
    valid = None
    if observed is not None and lengths is not None and n_starts:
        valid = valid_windows(observed, lengths, length)[:, first::step]
    return Windows(points, offset, scale, valid)


def moving_mean(series: Tensor, length: int) -> Tensor:
    """Compute moving means of ``length`` timepoints.

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
    # In double precision, differences of cumulative sums are as accurate as direct
    # sums, whose cost would grow with the length.
    sums = F.pad(series.double().cumsum(1), (1, 0))
    return ((sums[:, length:] - sums[:, :-length]) / length).to(series.dtype)


def valid_windows(observed: Tensor, lengths: Tensor, length: int) -> Tensor:
    """Return a mask of windows that are inside their series and at least half observed.

    If no window of a series is at least half observed, windows with at least the
    average share of observed timepoints are valid, so that every series has a valid
    window.
    """
    share = moving_mean(observed, length)
    every = torch.arange(share.shape[1], device=observed.device)
    # A series that is shorter than the shortest window has one valid window.
    ends = lengths.clamp_min(N_POINTS).unsqueeze(1)
    inside = every + length <= ends
    share = share * inside
    mean = share.sum(dim=1, keepdim=True) / inside.sum(dim=1, keepdim=True).clamp_min(1)
    is_sparse = share.amax(dim=1, keepdim=True) < 0.5
    enough = share >= torch.where(is_sparse, mean * (1 - 1e-6), 0.5)
    return (inside & enough).to(observed.dtype)


def _mean_of_points(values: Tensor) -> Tensor:
    """Compute the mean over the first axis, with a fixed order of summation."""
    halves = values[:4] + values[4:]
    quarters = halves[:2] + halves[2:]
    return (quarters[0] + quarters[1]) / N_POINTS
