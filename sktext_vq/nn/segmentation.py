"""Segmentation of series into non-overlapping tokens."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from sktext_vq.nn.constants import N_POINTS, SCALE_FLOOR

# Cost of a segment, in units of squared error. It is equal to the error of two
# timepoints that deviate by one standard deviation of their channel.
_COST = 2.0
_STEP = 2  # timepoints between possible borders
_MIN_BEND = 1e-9  # minimum bend of lines; smaller bends are rounding errors
_MIN_DEVIATION = 1e-6  # minimum standard deviation of lines that are not flat
_SHORTEST = 4
_LENGTHS_PER_OCTAVE = 4
_SCORES_PER_BLOCK = 2**21
# Codes with a standard deviation below the first value are nearly flat. They are used
# only for segments whose standard deviation is below the second value times the
# standard deviation of their channel.
SMALL_SHAPE, _STILL = 0.3, 0.1


class Segments(NamedTuple):
    """Tokens of several series, padded to the same number of tokens."""

    start: Tensor  # (n_series, n_segments) int64; -1 is padding
    length: Tensor  # timepoints
    code: Tensor
    offset: Tensor  # standardised, like the scale
    scale: Tensor  # standard deviation over the timepoints


def decode(
    code: Tensor, offset: Tensor, scale: Tensor, length: int, codes: Tensor
) -> Tensor:
    """Reconstruct pieces of series from tokens of one length.

    Parameters
    ----------
    code, offset, scale : Tensor of shape (n_tokens,)
    length : int
        Length of the pieces in timepoints.
    codes : Tensor of shape (n_codes, N_POINTS)

    Returns
    -------
    Tensor of shape (n_tokens, length)
        Linear interpolation between the points of each code, with standard deviation
        `scale`, plus `offset`.
    """
    lines = codes @ _lines(length, codes)
    deviation = _deviation(lines).unsqueeze(1)
    # A flat line cannot be scaled to a standard deviation.
    lines = torch.where(deviation > _MIN_DEVIATION, lines / deviation, 0.0)
    return lines[code] * scale.unsqueeze(1) + offset.unsqueeze(1)


def cut_segments(
    series: Tensor, codes: Tensor, lengths: Tensor | None = None
) -> Segments:
    """Segment series, minimising the reconstruction error of their tokens.

    The segmentation is found by dynamic programming, with a fixed cost per segment, so
    that segments are long where codes fit well. Borders are even timepoints and the end
    of the series. Segments have 4, 6, 8, 10, 12, 14, 16, 20, 24, ... timepoints, four
    lengths per octave; the last segment of a series with an odd number of timepoints is
    shorter by one. A series of fewer than eight timepoints is a single segment.

    Parameters
    ----------
    series : Tensor of shape (n_series, n_timepoints)
        Standardised series.
    codes : Tensor of shape (n_codes, N_POINTS)
    lengths : Tensor of shape (n_series,), optional
        Lengths of the series. By default, all timepoints are segmented.

    Returns
    -------
    Segments
        Segments in temporal order.
    """
    n_series, n_timepoints = series.shape
    if lengths is None:
        lengths = torch.full((n_series,), n_timepoints)
    sizes = _segment_lengths(n_timepoints + 1)
    # best[:, e]: minimum cost of covering the first e timepoints.
    best = series.new_full((n_series, n_timepoints + 1), torch.inf)
    best[:, 0] = 0
    choice = torch.zeros(n_series, n_timepoints + 1, dtype=torch.int64)
    _cover(
        best.numpy(),
        choice.numpy(),
        _grid_errors(series, codes, sizes).numpy(),
        sizes.numpy(),
    )
    for end in sorted(set(lengths.tolist())):
        if end < N_POINTS:
            choice[lengths == end, end] = end
        elif end % _STEP:
            rows = (lengths == end).nonzero().squeeze(1)
            fits = sizes[(sizes > _SHORTEST) & (sizes <= end + 1)] - 1
            costs = [
                best[rows, end - size]
                + _errors(series[rows, end - size : end], codes, size, 1).squeeze(1)
                for size in fits.tolist()
            ]
            choice[rows, end] = fits[torch.stack(costs).argmin(dim=0)]
    return match(series, *_trace_back(choice, lengths), codes)


def _cover(
    best: NDArray[np.float32],
    choice: NDArray[np.int64],
    errors: NDArray[np.float32],
    sizes: NDArray[np.int64],
) -> None:
    """Compute the minimum cost and the last segment up to each even timepoint.

    NumPy is faster than torch for many small operations.
    """
    rows = np.arange(len(best))
    for end in range(_SHORTEST, best.shape[1], _STEP):
        n_fits = np.searchsorted(sizes, end, side="right")
        start = end - sizes[:n_fits]
        cost = best[:, start] + errors[:, np.arange(n_fits), start // _STEP]
        index = cost.argmin(axis=1)
        best[:, end] = cost[rows, index] + np.float32(_COST)
        choice[:, end] = sizes[index]


def match(series: Tensor, start: Tensor, length: Tensor, codes: Tensor) -> Segments:
    """Assign a code, an offset and a scale to each segment.

    The offset is the mean of the segment. Code and scale minimise the squared error
    over its timepoints; for each code, the scale is a non-negative least-squares fit.
    Nearly flat codes are used only for segments that hardly vary.

    Parameters
    ----------
    series : Tensor of shape (n_series, n_timepoints)
    start, length : Tensor of shape (n_series, n_segments), int64
        Starts and lengths in timepoints. A start of -1 marks padding.
    codes : Tensor of shape (n_codes, N_POINTS)

    Returns
    -------
    Segments
    """
    code = torch.zeros_like(start)
    offset, scale = series.new_zeros(2, *start.shape)
    for size in sorted(set(length[start >= 0].tolist())):
        here = (start >= 0) & (length == size)
        row = here.nonzero()[:, 0]
        lines = _lines(size, series)
        drawn = codes @ lines
        energy, deviation = drawn.square().sum(1).clamp_min(1e-12), _deviation(drawn)
        per_block = max(1, _SCORES_PER_BLOCK // max(len(codes), size))
        found = []
        for rows, first in zip(
            torch.split(row, per_block),
            torch.split(start[here], per_block),
            strict=True,
        ):
            piece = series[rows.unsqueeze(1), first.unsqueeze(1) + torch.arange(size)]
            mean = piece.double().mean(dim=1, keepdim=True).to(piece.dtype)
            piece = piece - mean
            along = (piece @ lines.T).unsqueeze(2)
            spread = piece.square().sum(1, keepdim=True)
            best = _scores(along, spread, codes, lines).argmax(dim=1).squeeze(1)
            fit = (codes[best] * along.squeeze(2)).sum(1) / energy[best]
            found.append((best, mean.squeeze(1), fit.clamp_min(0) * deviation[best]))
        code[here], offset[here], scale[here] = map(torch.cat, zip(*found, strict=True))
    return Segments(start, length, code, offset, scale)


def _segment_lengths(longest: int) -> Tensor:
    """Return even segment lengths up to `longest`, at most four per octave."""
    found = set(range(_SHORTEST, N_POINTS, _STEP))
    octave = N_POINTS
    while octave <= longest:
        step = octave // _LENGTHS_PER_OCTAVE
        found.update(range(octave, min(2 * octave, longest + 1), step))
        octave *= 2
    return torch.tensor(sorted(found))


def _deviation(lines: Tensor) -> Tensor:
    """Return the standard deviation of each line over its timepoints."""
    return lines.std(dim=1, correction=0)


def _lines(length: int, like: Tensor) -> Tensor:
    """Return the weight of each point at each timepoint, of shape (N_POINTS, length).

    Points are at the centres of eight equal parts of the interval.
    """
    points = torch.eye(N_POINTS, dtype=like.dtype, device=like.device)
    return F.interpolate(points.unsqueeze(0), size=length, mode="linear").squeeze(0)


def _scores(along: Tensor, spread: Tensor, codes: Tensor, lines: Tensor) -> Tensor:
    """Return the explained sum of squares, of shape (n_series, n_codes, n_windows).

    `along` contains products of centred windows with the lines, and `spread` contains
    sums of squares of centred windows.
    """
    energy = (codes @ lines).square().sum(1, keepdim=True).clamp_min(1e-12)
    scores = torch.matmul(codes / energy.sqrt(), along)
    scores.clamp_min_(0).square_()
    # Any code fits a nearly flat window, so the flattest code is preferred.
    scores.sub_(SCALE_FLOOR**2 * energy)
    small = _deviation(codes) < SMALL_SHAPE
    if small.any() and not small.all():
        moves = (spread > lines.shape[1] * _STILL**2).unsqueeze(1)
        scores[:, small] = scores[:, small].masked_fill(moves, -torch.inf)
    return scores


def _errors(series: Tensor, codes: Tensor, length: int, step: int) -> Tensor:
    """Return squared errors of the best token of each window, by series and start."""
    n_starts = (series.shape[1] - length) // step + 1
    lines = _lines(length, series)
    # Lines have few bends, so sums of products with a line are computed from its second
    # differences and double cumulative sums.
    bends = F.pad(_lines(length, series.double()), (2, 2)).diff(n=2, dim=1)
    at = (bends.abs().amax(dim=0) > _MIN_BEND).nonzero()
    bends = bends[:, at.squeeze(1)]
    errors = series.new_empty(len(series), n_starts)
    start = step * torch.arange(n_starts)
    # Direct sums over long windows would be slow; in double precision, differences of
    # cumulative sums are as accurate.
    size = max(1, _SCORES_PER_BLOCK // (len(codes) * n_starts))
    for first in range(0, len(series), size):
        part = series[first : first + size]
        sums = F.pad(part.double().cumsum(1), (1, 0))
        squares = F.pad(part.double().square().cumsum(1), (1, 0))
        total = sums[:, start + length] - sums[:, start]
        mean = total / length
        spread = squares[:, start + length] - squares[:, start] - total * mean
        along = bends @ F.pad(sums.cumsum(1), (1, 0))[:, at + start]
        along -= lines.sum(1, keepdim=True) * mean.unsqueeze(1)
        along = along.to(part.dtype)
        explained = _scores(along, spread, codes, lines).amax(dim=1)
        errors[first : first + size] = (spread - explained).clamp_min(0)
    return errors


def _grid_errors(series: Tensor, codes: Tensor, sizes: Tensor) -> Tensor:
    """Return the errors of windows that start at even timepoints.

    The shape is (n_series, n_sizes, n_starts). Errors of windows that extend beyond the
    series are infinite.
    """
    n_series, n_timepoints = series.shape
    centred = series - series.mean(dim=1, keepdim=True)  # reduces rounding errors
    n_starts = n_timepoints // _STEP + 1
    errors = series.new_full((n_series, len(sizes), n_starts), torch.inf)
    for index, size in enumerate(sizes.tolist()):
        if size <= n_timepoints:
            found = _errors(centred, codes, size, _STEP)
            errors[:, index, : found.shape[1]] = found
    return errors


def _trace_back(choice: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Trace the chosen segments back from the ends of the series."""
    rows = torch.arange(len(choice))
    end = lengths.clone()
    columns = []
    while bool((end > 0).any()):
        length = choice[rows, end]  # 0 for completed series
        columns.append((torch.where(end > 0, end - length, -1), length))
        end = end - length
    columns.reverse()
    start, length = (torch.stack(parts, 1) for parts in zip(*columns, strict=True))
    return start, length
