"""Readable tokens: a series as a sequence of segments that do not overlap."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from sktext_vq.nn.tokens import N_POINTS, SCALE_FLOOR, Windows, cut_windows

# A segment has to lower the squared error by this much, in squared standard deviations
# of its channel and timepoints of the smallest window, to be worth its place.
_COST = 0.05


class Segments(NamedTuple):
    """Tokens of some series, padded to the same number."""

    start: Tensor  # (n_series, n_segments) int64; -1 is padding
    length: Tensor  # timepoints
    code: Tensor
    offset: Tensor  # standardised, as is the scale
    scale: Tensor


def decode(
    code: Tensor, offset: Tensor, scale: Tensor, length: int, codes: Tensor
) -> Tensor:
    """Draw tokens of one length as pieces of a series.

    Parameters
    ----------
    code, offset, scale : Tensor of shape (n_tokens,)
    length : int
        Timepoints of the pieces, a multiple of 8.
    codes : Tensor of shape (n_codes, N_POINTS)

    Returns
    -------
    Tensor of shape (n_tokens, length)
        Straight lines between the points of a shape, at the offset, in the scale.
    """
    shape = codes[code] * (scale + SCALE_FLOOR).unsqueeze(1) + offset.unsqueeze(1)
    if length == N_POINTS:
        return shape
    # Points are means of stretches: half a stretch lies before the first of them.
    return F.interpolate(shape.unsqueeze(1), size=length, mode="linear").squeeze(1)


def cut_segments(
    series: Tensor,
    codes: Tensor,
    dilations: list[int],
    lengths: Tensor | None = None,
) -> Segments:
    """Cut each series into the tokens that rebuild it best.

    Dynamic programming over all tilings by windows of the given lengths, with a small
    cost for each segment: long shapes where they fit, short ones where they do not.
    Borders are multiples of eight timepoints; where the length of a series is none,
    its last segment reaches back over the one before.

    Parameters
    ----------
    series : Tensor of shape (n_series, n_timepoints)
        Standardised, at least eight timepoints long.
    codes : Tensor of shape (n_codes, N_POINTS)
    dilations : list of int
        Lengths of windows over eight, ascending, the first 1.
    lengths : Tensor of shape (n_series,), optional
        Where series end; at least eight.

    Returns
    -------
    Segments
        In order of time.
    """
    n_series, n_timepoints = series.shape
    found: list[tuple[Windows, Tensor, Tensor]] = []
    for dilation in dilations:
        windows = cut_windows(series, dilation)
        if windows.offset.shape[1] == 0:
            break
        code = _nearest(windows, codes)
        found.append((windows, code, _errors(series, windows, code, dilation, codes)))
    # best[:, e]: least cost of covering the first e timepoints.
    best = series.new_full((n_series, n_timepoints + 1), torch.inf)
    best[:, 0] = 0
    choice = torch.zeros(n_series, n_timepoints + 1, dtype=torch.int64)
    last = {n_timepoints} if lengths is None else set(lengths.tolist())
    for end in sorted({*range(N_POINTS, n_timepoints + 1, N_POINTS), *last}):
        for d, (_, _, errors) in enumerate(found):
            start = end - dilations[d] * N_POINTS
            if start < 0:
                break
            cost = best[:, _border(start)] + errors[:, start] + _COST * N_POINTS
            better = cost < best[:, end]
            best[better, end] = cost[better]
            choice[better, end] = d
    return _trace_back(choice, found, dilations, lengths)


def _border(start: Any) -> Any:
    """Round up to a multiple of eight: where the segment before ends."""
    return -(-start // N_POINTS) * N_POINTS


def _nearest(windows: Windows, codes: Tensor) -> Tensor:
    """Index of the code nearest to each window, over all heads."""
    scores = torch.matmul(codes, windows.shape) - 0.5 * codes.square().sum(1)[:, None]
    return scores.argmax(dim=1)


def _errors(
    series: Tensor, windows: Windows, code: Tensor, dilation: int, codes: Tensor
) -> Tensor:
    """Squared error of each window's token over the timepoints of the window."""
    length = dilation * N_POINTS
    errors = torch.empty_like(windows.offset)
    size = max(1, 2**22 // (length * errors.shape[1]))
    for first in range(0, len(series), size):
        part = slice(first, first + size)
        pieces = decode(
            code[part].flatten(),
            windows.offset[part].flatten(),
            windows.scale[part].flatten(),
            length,
            codes,
        )
        actual = series[part].unfold(1, length, 1)
        difference = pieces.view(actual.shape) - actual
        errors[part] = difference.square().sum(2)
    return errors


def _trace_back(
    choice: Tensor,
    found: list[tuple[Windows, Tensor, Tensor]],
    dilations: list[int],
    lengths: Tensor | None,
) -> Segments:
    """Follow the choices from the ends of the series to their starts."""
    n_series, n_ends = choice.shape
    rows = torch.arange(n_series)
    end = torch.full((n_series,), n_ends - 1) if lengths is None else lengths.clone()
    sizes = torch.tensor(dilations) * N_POINTS
    columns = []
    while bool((end > 0).any()):
        active = end > 0
        d = choice[rows, end]
        length = sizes[d]
        start = torch.where(active, end - length, -1)
        values = torch.zeros(3, n_series)
        for index, (windows, code, _) in enumerate(found):
            here = active & (d == index)
            at = (rows[here], start[here])
            values[:, here] = torch.stack(
                [code[at].float(), windows.offset[at], windows.scale[at]]
            )
        columns.append((start, length, values))
        end = torch.where(active, _border(start), 0)
    columns.reverse()
    start = torch.stack([column[0] for column in columns], dim=1)
    length = torch.stack([column[1] for column in columns], dim=1)
    values = torch.stack([column[2] for column in columns], dim=2)
    return Segments(start, length, values[0].long(), values[1], values[2])
