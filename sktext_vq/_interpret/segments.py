"""Tables of tokens, and reconstruction of series from tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from sktext_vq._features.extractor import FeatureExtractor
from sktext_vq._features.scaling import Scaler
from sktext_vq._utils.threads import single_thread
from sktext_vq.nn.segmentation import Segments, cut_segments, decode, match
from sktext_vq.nn.tokenizer import ShapeTokenizer
from sktext_vq.panel import Panel

if TYPE_CHECKING:
    from sktext_vq.nn.auxiliary.segments import SegmentRefiner

_BATCH_VALUES = 2**19  # maximum number of values per batch
COLUMNS = ["case", "channel", "start", "length", "code", "offset", "scale"]


def token_arrays(
    panel: Panel,
    scaler: Scaler,
    tokenizer: ShapeTokenizer,
    refiner: SegmentRefiner | None = None,
) -> dict[str, NDArray[Any]]:
    """Segment series into tokens and return an array for each name in `COLUMNS`.

    Tokens are sorted by case, channel and time, and offset and scale are standardised.
    A `refiner` moves the borders of segments, which are rounded to timepoints before
    the code, offset and scale are computed.
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
            if refiner is not None:
                start, length = _move(series, segments, ends, refiner)
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
    refiner: SegmentRefiner,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Move the borders of segments, round them to timepoints, and sort by time."""
    mask = segments.start >= 0
    moved = refiner(series, segments.start, segments.length, mask, ends)
    end = ends.unsqueeze(1)
    start = moved.start.round().long().minimum(end - 1)
    stop = (moved.start + moved.length).round().long().maximum(start + 1)
    start = torch.where(mask, start, -1)
    length = torch.where(mask, stop.minimum(end) - start, 0)
    start, order = start.sort(dim=1, stable=True)
    return start, length.gather(1, order)


def decode_tokens(
    tokens: Mapping[Any, NDArray[Any]], shape: tuple[int, int, int], codes: torch.Tensor
) -> NDArray[np.float32]:
    """Reconstruct standardised series from their tokens.

    Overlapping tokens are averaged. A timepoint outside of tokens has the value of the
    nearest timepoint that is covered by a token. Series without tokens are NaN.
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


def token_table(
    panel: Panel, extractor: FeatureExtractor, refiner: SegmentRefiner | None
) -> pd.DataFrame:
    """Return the tokens of series in the original units; see `BaseVQText.tokens`."""
    with single_thread():
        found = token_arrays(panel, extractor.scaler, extractor.tokenizer, refiner)
    unit = extractor.scaler.scale[found["channel"]]
    found["offset"] = found["offset"] * unit + extractor.scaler.mean[found["channel"]]
    found["scale"] = found["scale"] * unit
    return pd.DataFrame(found)


def is_token_table(X: Any) -> bool:
    """Return whether X is a data frame with the columns of a token table."""
    return isinstance(X, pd.DataFrame) and set(COLUMNS) <= set(X.columns)


def reconstruct_table(
    tokens: pd.DataFrame, extractor: FeatureExtractor
) -> NDArray[Any]:
    """Reconstruct series from a token table; see `BaseVQText.reconstruct`."""
    scale, mean = extractor.scaler.scale, extractor.scaler.mean
    found = {name: tokens[name].to_numpy() for name in COLUMNS}
    case, channel = found["case"], found["channel"]
    found["offset"] = (found["offset"] - mean[channel]) / scale[channel]
    found["scale"] = found["scale"] / scale[channel]
    lengths = np.zeros(case.max(initial=-1) + 1, dtype=np.int64)
    np.maximum.at(lengths, case, found["start"] + found["length"])
    return _decode_in_units(found, lengths, extractor)


def reconstruct(
    panel: Panel, extractor: FeatureExtractor, refiner: SegmentRefiner | None
) -> NDArray[Any]:
    """Reconstruct series from their tokens; see `BaseVQText.reconstruct`."""
    with single_thread():
        found = token_arrays(panel, extractor.scaler, extractor.tokenizer, refiner)
    return _decode_in_units(found, panel.lengths, extractor)


def _decode_in_units(
    found: dict[str, NDArray[Any]],
    lengths: NDArray[np.int64],
    extractor: FeatureExtractor,
) -> NDArray[Any]:
    scale, mean = extractor.scaler.scale, extractor.scaler.mean
    n_timepoints = int(lengths.max(initial=0))
    shape = len(lengths), len(mean), n_timepoints
    with single_thread():
        decoded = decode_tokens(found, shape, torch.from_numpy(extractor.codes))
    series = decoded * scale[:, None] + mean[:, None]
    is_past = np.arange(n_timepoints) >= lengths[:, None]
    return np.where(is_past[:, None], np.nan, series)
