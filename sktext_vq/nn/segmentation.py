"""Readable tokens: a series as a sequence of segments that do not overlap."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from sktext_vq.nn.constants import N_POINTS, SCALE_FLOOR

# A segment has to lower the squared error by as much as two timepoints cost that are
# one standard deviation of their channel off.
_COST = 2.0
_STEP = 2  # between borders
_SHORTEST = 4
_LENGTHS_PER_OCTAVE = 4
_SCORES_PER_BLOCK = 2**21


class Segments(NamedTuple):
    """Tokens of some series, padded to the same number."""

    start: Tensor  # (n_series, n_segments) int64; -1 is padding
    length: Tensor  # timepoints
    code: Tensor
    offset: Tensor  # standardised, as is the scale
    scale: Tensor  # what the code is multiplied by


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
        Straight lines between the points of a shape, at the offset, in the scale.
    """
    lines = codes @ _lines(length, codes)
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
    errors = _grid_errors(series, codes, sizes)
    for end in range(_SHORTEST, n_timepoints + 1, _STEP):
        fits = sizes[sizes <= end]
        start = end - fits
        every = torch.arange(len(fits))
        cost = best[:, start] + errors[:, every, start // _STEP]
        least, index = cost.min(dim=1)
        best[:, end] = least + _COST
        choice[:, end] = fits[index]
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


def match(series: Tensor, start: Tensor, length: Tensor, codes: Tensor) -> Segments:
    """Describe given segments by codes.

    The offset is the mean of a segment. Code and scale are those that leave the least
    squared error over its timepoints: for each code the scale is a least squares fit,
    not below 0.

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
        per_block = max(1, _SCORES_PER_BLOCK // max(len(codes), size))
        found = []
        for rows, first in zip(
            torch.split(row, per_block),
            torch.split(start[here], per_block),
            strict=True,
        ):
            piece = series[rows.unsqueeze(1), first.unsqueeze(1) + torch.arange(size)]
            mean = piece.double().mean(dim=1, keepdim=True).to(piece.dtype)
            along = (piece - mean) @ lines.T
            best = _scores(along.unsqueeze(2), codes, lines).argmax(dim=1)
            chosen = codes[best.squeeze(1)]
            energy = (chosen @ lines).square().sum(1).clamp_min(1e-12)
            fit = ((chosen * along).sum(1) / energy).clamp_min(0)
            found.append((best.squeeze(1), mean.squeeze(1), fit))
        code[here], offset[here], scale[here] = map(torch.cat, zip(*found, strict=True))
    return Segments(start, length, code, offset, scale)


def _segment_lengths(longest: int) -> Tensor:
    """Even lengths up to the longest, the same number in each octave."""
    found = {_SHORTEST, *range(_SHORTEST, N_POINTS, _STEP)}
    octave = N_POINTS
    while octave <= longest:
        step = octave // _LENGTHS_PER_OCTAVE
        found.update(range(octave, min(2 * octave, longest + 1), step))
        octave *= 2
    return torch.tensor(sorted(found))


def _lines(length: int, like: Tensor) -> Tensor:
    """Weights of the points at each timepoint, of shape (N_POINTS, length).

    Points are means of stretches: half a stretch lies before the first of them.
    """
    points = torch.eye(N_POINTS, dtype=like.dtype, device=like.device)
    return F.interpolate(points.unsqueeze(0), size=length, mode="linear").squeeze(0)


def _scores(along: Tensor, codes: Tensor, lines: Tensor) -> Tensor:
    """Squared error that each code explains, of shape (n_series, n_codes, n_windows).

    Parameters
    ----------
    along : Tensor of shape (n_series, N_POINTS, n_windows)
        Products of centred windows with the lines.
    codes : Tensor of shape (n_codes, N_POINTS)
    lines : Tensor of shape (N_POINTS, length)
    """
    energy = (codes @ lines).square().sum(1, keepdim=True).clamp_min(1e-12)
    scores = torch.matmul(codes / energy.sqrt(), along)
    scores.clamp_min_(0).square_()
    # Any shape fits a window that is nearly flat: the flattest one shall have it.
    return scores.sub_(SCALE_FLOOR**2 * energy)


def _errors(series: Tensor, codes: Tensor, length: int, step: int) -> Tensor:
    """Squared error of the best token of each window, of shape (n_series, n_starts)."""
    n_starts = (series.shape[1] - length) // step + 1
    lines = _lines(length, series)
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
        along = F.conv1d(part.unsqueeze(1), lines.unsqueeze(1), stride=step)
        along -= lines.sum(1, keepdim=True) * mean.to(part.dtype).unsqueeze(1)
        explained = _scores(along, codes, lines).amax(dim=1)
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
