"""Words for shapes, and tables and series for tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sktext_vq._scaling import Scaler
from sktext_vq.nn.segments import cut_segments, decode
from sktext_vq.nn.tokens import N_POINTS, ShapeTokenizer
from sktext_vq.panel import Panel

_CASES = 64  # cut at a time
COLUMNS = ["case", "channel", "start", "length", "code", "offset", "scale"]


def token_arrays(
    panel: Panel, scaler: Scaler, tokenizer: ShapeTokenizer
) -> dict[str, NDArray[Any]]:
    """Cut all series into segments.

    Returns
    -------
    dict of ndarrays, one value per token
        By `COLUMNS`; offset and scale are standardised.
    """
    codes = tokenizer.codebook.codes.detach()
    parts: list[list[NDArray[Any]]] = []
    for where, batch in scaler.batches(panel, _CASES):
        n_channels, n_timepoints = batch.series.shape[1:]
        series = batch.series.reshape(-1, n_timepoints)
        lengths = np.maximum(panel.lengths[where], N_POINTS)
        ends = torch.from_numpy(lengths.repeat(n_channels))
        with torch.inference_mode():
            segments = cut_segments(series, codes, tokenizer.dilations, ends)
        row, column = (segments.start >= 0).nonzero(as_tuple=True)
        case, channel = np.divmod(row.numpy(), n_channels)
        parts.append(
            [where.start + case, channel]
            + [values[row, column].numpy() for values in segments]
        )
    return dict(
        zip(COLUMNS, map(np.concatenate, zip(*parts, strict=True)), strict=True)
    )


def draw(
    tokens: dict[str, NDArray[Any]], shape: tuple[int, int, int], codes: torch.Tensor
) -> NDArray[np.float32]:
    """Draw standardised series from their tokens, with NaN where there is none."""
    n_cases, n_channels, n_timepoints = shape
    series = np.full((n_cases, n_channels, max(n_timepoints, N_POINTS)), np.nan)
    # A last segment that reaches back is drawn over the one before.
    reaches_back = tokens["start"] % N_POINTS > 0
    for last in (False, True):
        for length in np.unique(tokens["length"]):
            same = (tokens["length"] == length) & (reaches_back == last)
            pieces = decode(
                torch.from_numpy(tokens["code"][same]),
                torch.from_numpy(tokens["offset"][same]),
                torch.from_numpy(tokens["scale"][same]),
                int(length),
                codes,
            ).numpy()
            time = tokens["start"][same, None] + np.arange(length)
            rows = tokens["case"][same, None], tokens["channel"][same, None]
            series[*rows, time] = pieces
    return series[:, :, :n_timepoints].astype(np.float32)


def shape_words(shape: NDArray[Any]) -> str:
    """Say in words what a shape of eight points looks like.

    Parameters
    ----------
    shape : ndarray of shape (n_points,)
        In units of its scale.

    Returns
    -------
    str
        Such as ``"rise"``, ``"peak, early"`` or ``"wave"``.
    """
    shape = shape - shape.mean()
    spread = shape.std()
    if spread < 0.3:  # much of the scale of such a window is its floor
        return "flat"
    points = shape / spread
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
