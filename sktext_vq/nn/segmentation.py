"""Readable tokens: a series as a sequence of segments that do not overlap."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from sktext_vq.nn.constants import N_POINTS, SCALE_FLOOR

# A segment has to lower the squared error by as much as two timepoints cost that are
# one standard deviation of their channel off.
_COST = 2.0
_STEP = 2  # between borders
_LEAST_BEND = 1e-9  # of lines; below is rounding
_LEAST_DEVIATION = 1e-6  # of lines that are divided by it; others are flat
_SHORTEST = 4
_LENGTHS_PER_OCTAVE = 4
_SCORES_PER_BLOCK = 2**21
# Codes whose standard deviation is below the first are called slight or nearly flat:
# they describe only segments whose own one is below the second, in those of a channel.
SMALL_SHAPE, _STILL = 0.3, 0.1


class Segments(NamedTuple):
    """Tokens of some series, padded to the same number."""

    start: Tensor  # (n_series, n_segments) int64; -1 is padding
    length: Tensor  # timepoints
    code: Tensor
    offset: Tensor  # standardised, as is the scale
    scale: Tensor  # standard deviation over the timepoints


def decode(
    code: Tensor, offset: Tensor, scale: Tensor, length: int, codes: Tensor
) -> Tensor:
    """Draw tokens of one length as pieces of a series.

    Parameters
    ----------
    code, offset, scale : Tensor of shape (n_tokens,)
    length : int
        Timepoints of the pieces.
    codes : Tensor of shape (n_codes, N_POINTS)

    Returns
    -------
    Tensor of shape (n_tokens, length)
        Straight lines between the points of a shape, at the offset, with the scale as
        their standard deviation.
    """
    lines = codes @ _lines(length, codes)
    deviation = _deviation(lines).unsqueeze(1)
    # A flat line, such as one of a single timepoint, has no scale.
    lines = torch.where(deviation > _LEAST_DEVIATION, lines / deviation, 0.0)
    return lines[code] * scale.unsqueeze(1) + offset.unsqueeze(1)


def cut_segments(
    series: Tensor, codes: Tensor, lengths: Tensor | None = None
) -> Segments:
    """Cut each series into the tokens that rebuild it best.

    Dynamic programming over all tilings, with a cost for each segment: long shapes
    where they fit, short ones where they do not. Borders are even timepoints, and the
    end of the series. Segments have 4, 6, 8, 10, 12, 14, 16, 20, 24, ... timepoints,
    four lengths an octave; the last one of a series that ends at an odd timepoint has
    one less. A series of less than eight timepoints is a single segment.

    Parameters
    ----------
    series : Tensor of shape (n_series, n_timepoints)
        Standardised.
    codes : Tensor of shape (n_codes, N_POINTS)
    lengths : Tensor of shape (n_series,), optional
        Where series end.

    Returns
    -------
    Segments
        In order of time.
    """
    n_series, n_timepoints = series.shape
    if lengths is None:
        lengths = torch.full((n_series,), n_timepoints)
    sizes = _segment_lengths(n_timepoints + 1)
    # best[:, e]: least cost of covering the first e timepoints.
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
    """Fill in least costs and lengths of last segments at all even ends.

    In numpy, since steps are as many as timepoints and small.
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
    """Describe given segments by codes.

    The offset is the mean of a segment. Code and scale are those that leave the least
    squared error over its timepoints: for each code the scale is a least squares fit,
    not below 0. Codes of small shapes are for segments that hardly vary.

    Parameters
    ----------
    series : Tensor of shape (n_series, n_timepoints)
    start, length : Tensor of shape (n_series, n_segments), int64
        In timepoints; a start of -1 is padding.
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
    """Even lengths up to the longest, the same number in each octave."""
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
    """Weights of the points at each timepoint, of shape (N_POINTS, length).

    Points are means of stretches: half a stretch lies before the first of them.
    """
    points = torch.eye(N_POINTS, dtype=like.dtype, device=like.device)
    return F.interpolate(points.unsqueeze(0), size=length, mode="linear").squeeze(0)


def _scores(along: Tensor, spread: Tensor, codes: Tensor, lines: Tensor) -> Tensor:
    """Squared error that each code explains, of shape (n_series, n_codes, n_windows).

    Parameters
    ----------
    along : Tensor of shape (n_series, N_POINTS, n_windows)
        Products of centred windows with the lines.
    spread : Tensor of shape (n_series, n_windows)
        Sums of squares of centred windows.
    codes : Tensor of shape (n_codes, N_POINTS)
    lines : Tensor of shape (N_POINTS, length)
    """
    energy = (codes @ lines).square().sum(1, keepdim=True).clamp_min(1e-12)
    scores = torch.matmul(codes / energy.sqrt(), along)
    scores.clamp_min_(0).square_()
    # Any shape fits a window that is nearly flat: the flattest one shall have it.
    scores.sub_(SCALE_FLOOR**2 * energy)
    small = _deviation(codes) < SMALL_SHAPE
    if small.any() and not small.all():
        moves = (spread > lines.shape[1] * _STILL**2).unsqueeze(1)
        scores[:, small] = scores[:, small].masked_fill(moves, -torch.inf)
    return scores


def _errors(series: Tensor, codes: Tensor, length: int, step: int) -> Tensor:
    """Squared error of the best token of each window, of shape (n_series, n_starts)."""
    n_starts = (series.shape[1] - length) // step + 1
    lines = _lines(length, series)
    # Lines have few bends: sums of products with them are products of their second
    # differences with doubly running sums.
    bends = F.pad(_lines(length, series.double()), (2, 2)).diff(n=2, dim=1)
    at = (bends.abs().amax(dim=0) > _LEAST_BEND).nonzero()
    bends = bends[:, at.squeeze(1)]
    errors = series.new_empty(len(series), n_starts)
    start = step * torch.arange(n_starts)
    # Of all timepoints at once, long windows would be costly; in double precision,
    # differences of running sums are as good.
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
    """Errors of all windows from even starts, of shape (n_series, n_sizes, n_starts).

    Starts too late for a length are infinitely bad.
    """
    n_series, n_timepoints = series.shape
    centred = series - series.mean(dim=1, keepdim=True)  # for the sake of rounding
    n_starts = n_timepoints // _STEP + 1
    errors = series.new_full((n_series, len(sizes), n_starts), torch.inf)
    for index, size in enumerate(sizes.tolist()):
        if size <= n_timepoints:
            found = _errors(centred, codes, size, _STEP)
            errors[:, index, : found.shape[1]] = found
    return errors


def _trace_back(choice: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Follow the chosen lengths from the ends of the series to their starts."""
    rows = torch.arange(len(choice))
    end = lengths.clone()
    columns = []
    while bool((end > 0).any()):
        length = choice[rows, end]  # 0 where a series is done
        columns.append((torch.where(end > 0, end - length, -1), length))
        end = end - length
    columns.reverse()
    start, length = (torch.stack(parts, 1) for parts in zip(*columns, strict=True))
    return start, length
