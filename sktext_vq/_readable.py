"""Words for shapes, and tables and series for tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sktext_vq._scaling import Scaler
from sktext_vq.nn.attributes import AttributeDecoder
from sktext_vq.nn.segments import SMALL_SHAPE, Segments, cut_segments, decode, match
from sktext_vq.nn.tokens import ShapeTokenizer
from sktext_vq.panel import Panel

_BATCH_VALUES = 2**19  # cut at a time
FLAT = "nearly flat"
_FLAT_SHAPE = 0.1  # standard deviation; larger ones have 1
COLUMNS = ["case", "channel", "start", "length", "code", "offset", "scale"]


def token_arrays(
    panel: Panel,
    scaler: Scaler,
    tokenizer: ShapeTokenizer,
    attributes: AttributeDecoder | None = None,
) -> dict[str, NDArray[Any]]:
    """Cut all series into segments.

    Parameters
    ----------
    panel : Panel
        Series in the units of the input.
    scaler : Scaler
    tokenizer : ShapeTokenizer
    attributes : AttributeDecoder, optional
        Moves the borders of segments, which are then rounded to timepoints. Code,
        offset and scale are those of the segment within the rounded borders.

    Returns
    -------
    dict of ndarrays, one value per token
        By `COLUMNS`, by case, channel and time; offset and scale are standardised.
    """
    codes = tokenizer.codebook.codes.detach()
    parts: list[list[NDArray[Any]]] = []
    size = max(1, _BATCH_VALUES // (panel.n_channels * panel.n_timepoints))
    for where, batch in scaler.batches(panel, size):
        n_channels, n_timepoints = batch.series.shape[1:]
        series = batch.series.reshape(-1, n_timepoints)
        ends = torch.from_numpy(panel.lengths[where].repeat(n_channels))
        with torch.inference_mode():
            segments = cut_segments(series, codes, ends)
            if attributes is not None:
                start, length = _move(series, segments, ends, attributes)
                segments = match(series, start, length, codes)
        row, column = (segments.start >= 0).nonzero(as_tuple=True)
        case, channel = np.divmod(row.numpy(), n_channels)
        parts.append(
            [where.start + case, channel]
            + [values[row, column].numpy() for values in segments]
        )
    return dict(
        zip(COLUMNS, map(np.concatenate, zip(*parts, strict=True)), strict=True)
    )


def _move(
    series: torch.Tensor,
    segments: Segments,
    ends: torch.Tensor,
    attributes: AttributeDecoder,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Move borders of segments, to whole timepoints and in order of time."""
    mask = segments.start >= 0
    moved = attributes(series, segments.start, segments.length, mask, ends)
    end = ends.unsqueeze(1)
    start = moved.start.round().long().minimum(end - 1)
    stop = (moved.start + moved.length).round().long().maximum(start + 1)
    start = torch.where(mask, start, -1)
    length = torch.where(mask, stop.minimum(end) - start, 0)
    start, order = start.sort(dim=1, stable=True)
    return start, length.gather(1, order)


def draw(
    tokens: Mapping[Any, NDArray[Any]], shape: tuple[int, int, int], codes: torch.Tensor
) -> NDArray[np.float32]:
    """Draw standardised series from their tokens.

    Where tokens overlap, they are averaged; a timepoint that none covers has the value
    of the nearest one that is covered, the earlier of two, as in `render`. Series
    without any token are NaN.
    """
    n_cases, n_channels, n_timepoints = shape
    rows = n_cases * n_channels, n_timepoints
    total, count = np.zeros((2, math.prod(shape)))
    first = (tokens["case"] * n_channels + tokens["channel"]) * n_timepoints
    first = first + tokens["start"]
    for length in np.unique(tokens["length"]):
        same = tokens["length"] == length
        pieces = decode(
            torch.from_numpy(tokens["code"][same]),
            torch.from_numpy(tokens["offset"][same]),
            torch.from_numpy(tokens["scale"][same]),
            int(length),
            codes,
        ).numpy()
        at = first[same, None] + np.arange(length)
        np.add.at(total, at, pieces)
        np.add.at(count, at, 1)
    covered = (count > 0).reshape(rows)
    series = (total / np.where(count > 0, count, np.nan)).reshape(rows)
    time = np.arange(n_timepoints)
    for row in np.flatnonzero(~covered.all(axis=1) & covered.any(axis=1)):
        known = np.flatnonzero(covered[row])
        at = np.searchsorted(known, time).clip(max=len(known) - 1)
        before, after = known[(at - 1).clip(0)], known[at]
        nearest = np.where(np.abs(time - before) <= np.abs(after - time), before, after)
        series[row] = series[row, nearest]
    return series.reshape(shape).astype(np.float32)


def shape_words(shape: NDArray[Any]) -> str:
    """Say in words what a shape of eight points looks like.

    Parameters
    ----------
    shape : ndarray of shape (n_points,)
        In units of its scale.

    Returns
    -------
    str
        Such as ``"rise"``, ``"peak, early"`` or ``"wave"``. Shapes of small scale are
        slight, as in ``"slight fall"``, and those of next to none ``"nearly flat"``:
        what is faster than the eight points is not in them.
    """
    shape = shape - shape.mean()
    spread = shape.std()
    if spread < _FLAT_SHAPE:
        return FLAT
    points = shape / spread
    words = _form(points)
    # Much of the scale of a window whose shape is small is its floor.
    return words if spread >= SMALL_SHAPE else f"slight {words}"


def _form(points: NDArray[Any]) -> str:
    """Say what a shape of mean 0 and scale 1 looks like."""
    n_points = len(points)
    steps = np.diff(points)
    # Turns count where the series really goes back, not where it trembles.
    turns = _turning_points(points, 0.6)
    jump = int(np.abs(steps).argmax())
    if abs(steps[jump]) > 0.75 * np.abs(steps).sum() and len(turns) == 0:
        kind = "step up" if steps[jump] > 0 else "step down"
        return f"{kind}, {_place(jump + 0.5, n_points)}"
    if len(turns) == 0:
        return "rise" if points[-1] > points[0] else "fall"
    if len(turns) == 1:
        kind = "peak" if points[turns[0]] > 0 else "valley"
        return f"{kind}, {_place(turns[0], n_points)}"
    if len(turns) == 2:
        first_up = points[turns[0]] > points[turns[1]]
        return "up, down, up" if first_up else "down, up, down"
    return "wave" if len(turns) < 5 else "fast wave"


def _turning_points(points: NDArray[Any], least: float) -> list[int]:
    """Where a series turns by at least so much, both before and after."""
    turns: list[int] = []
    extreme, direction = 0, 0
    for i in range(1, len(points)):
        change = points[i] - points[extreme]
        if direction == 0:
            if abs(change) >= least:
                extreme, direction = i, int(np.sign(change))
        elif change * direction >= 0:
            extreme = i
        elif abs(change) >= least:
            turns.append(extreme)
            extreme, direction = i, -direction
    return turns


def _place(position: float, n_points: int) -> str:
    third = 3 * position / (n_points - 1)
    return "early" if third < 1 else "late" if third > 2 else "middle"
