"""Segmentation of recordings by a window classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sktext_vq._io.continuous import read_recordings
from sktext_vq._io.recordings import Recordings
from sktext_vq._io.stretches import cut_stretches, estimate_rate
from sktext_vq._io.table import to_frame
from sktext_vq._io.windows import (
    check_positive,
    choose_rate,
    in_seconds,
    in_timepoints,
    to_own_time,
)
from sktext_vq._segmentation.models import (
    WindowModel,
    each_warning_once,
    log_probabilities,
    match_channels,
)
from sktext_vq._segmentation.outages import Outage, find_outages, rows_with_data
from sktext_vq._segmentation.prediction import Predictor, divide, place_windows
from sktext_vq._segmentation.viterbi import most_probable_path
from sktext_vq._utils.data_frames import float_dtype
from sktext_vq._utils.numbers import as_numbers

COLUMNS = (
    *("recording", "start", "end", "label", "probability", "transition", "note"),
)
Columns = dict[str, list[Any]]
_NO_DATA, _TOO_SHORT = "no data", "too short"


@dataclass(frozen=True)
class SegmentOptions:
    """Parameters of `segment`, with the same names."""

    length: Any
    step: Any
    seconds: bool
    max_gap: Any
    self_transition: Any
    min_probability: Any

    def __post_init__(self) -> None:
        check_positive(length=self.length, step=self.step, max_gap=self.max_gap)
        for name in ("self_transition", "min_probability"):
            value = getattr(self, name)
            if not (isinstance(value, Real) and 0 <= float(value) < 1):
                raise ValueError(
                    f"{name} must be at least 0 and below 1, got {value!r}."
                )


def segment_recordings(
    classifier: Any,
    source: Any,
    options: SegmentOptions,
    candidates: Sequence[str] | Mapping[str, Any] | None,
    unknown_label: str | None = None,
) -> pd.DataFrame:
    """Segment recordings by class; see `sktext_vq.recordings.segment`."""
    model = WindowModel.of(classifier, candidates, unknown_label)
    recordings = as_recordings(source)
    if recordings is None:
        for name in ("length", "step"):
            value = getattr(options, name)
            if not (value is None or isinstance(value, Integral)):
                raise TypeError(f"{name} must be an integer, got {value!r}.")
        recordings = from_array(source)
        options = replace(options, seconds=False)
        channels = list(range(len(recordings.channel_names)))
    else:
        channels = match_channels(recordings.channel_names, model)
    has_unit = recordings.time_unit is not None
    rate = choose_rate(recordings, model.sampling_rate if has_unit else None)
    if options.length is None and model.n_timepoints is None:
        raise ValueError(
            "length is required, because the classifier has no attribute "
            "n_timepoints_ with the length of the training windows."
        )
    length, step = in_timepoints(
        options, rate if has_unit else None, model.n_timepoints or 0
    )
    seconds = sum(float(offsets[-1]) for offsets in recordings.offsets)
    max_gap = in_seconds(options, rate)
    tables = []
    with (
        each_warning_once(model.check is not None),
        Predictor(model, length, int(seconds * rate / step) + 1) as predictor,
    ):
        for i in range(len(recordings)):
            args = channels, rate, length, step, options, max_gap
            one = _Segmenter(recordings, i, *args)
            tables.append(one.segment(predictor))
    if predictor.n_done == 0:
        raise ValueError(_no_windows(recordings, length))
    predictor.check()
    return pd.concat(tables, ignore_index=True)


def as_recordings(source: Any) -> Recordings | None:
    """Convert a data frame to recordings; return None for an array."""
    if isinstance(source, Recordings):
        return source
    frame = to_frame(source)
    return None if frame is None else read_recordings(frame)


def from_array(source: Any) -> Recordings:
    """Convert an array to a recording whose times are numbers of timepoints."""
    try:
        values = as_numbers(source)
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
        raise ValueError(
            "The channels of the recording have different lengths. Pad them with NaN."
        ) from error
    values = values[None] if values.ndim == 1 else values
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(
            "The recording must have shape (n_channels, n_timepoints) or "
            f"(n_timepoints,), got {values.shape}."
        )
    values = values.astype(float_dtype(values.dtype), copy=False)
    names = tuple(f"channel {i}" for i in range(len(values)))
    times = np.arange(values.shape[1])
    return Recordings([values], [times], names, None, ["recording"])


@dataclass(eq=False)
class _Segmenter:
    """Segmentation of one recording."""

    recordings: Recordings
    i: int
    channels: list[int]
    rate: float
    length: int
    step: int
    options: SegmentOptions
    max_gap: float | None

    def segment(self, predictor: Predictor) -> pd.DataFrame:
        """Return the segments of the recording as a table."""
        model, values = predictor.model, self.recordings.values[self.i]
        offsets = all_offsets = self.recordings.offsets[self.i]
        if self.channels != list(range(len(values))):
            values = values[self.channels]
        own_rate = estimate_rate(offsets) if len(offsets) > 1 else self.rate
        ratio = self.rate / own_rate
        outages = find_outages(
            values,
            [self.recordings.channel_names[channel] for channel in self.channels],
            int(np.ceil(self.length / ratio)),
            model.is_never_constant,
            model.is_often_constant,
        )
        fill = model.means
        if fill is None:
            known = [series[~np.isnan(series)] for series in values]
            fill = np.array([each.mean() if len(each) else 0.0 for each in known])
        rows = np.flatnonzero(rows_with_data(values, outages))
        if len(rows) < len(offsets):
            values, offsets = values[:, rows], offsets[rows]
        parts = []
        borders = np.r_[all_offsets, np.inf]
        reached, end = 0.0, float(all_offsets[-1]) + 1 / own_rate
        stretches = list(cut_stretches(offsets, values, self.rate, self.max_gap))
        for stretch, following in zip_longest(stretches, stretches[1:]):
            times = stretch.times(
                np.arange(stretch.values.shape[1]), offsets, self.rate
            )
            last, start = float(times[-1]) + 1 / self.rate, stretch.start
            limit = end if following is None else following.start
            if limit - last < 1 / self.rate:
                last = limit
            if start > reached:
                parts.append(_without_label(reached, start, _NO_DATA))
            edges = np.r_[times, last]
            # Outages from the first to the last (exclusive) timepoint.
            spans = [
                np.searchsorted(times, borders[[outage.first, outage.last]]).tolist()
                for outage in outages
            ]
            own = [
                replace(outage, first=span[0], last=span[1])
                for outage, span in zip(outages, spans, strict=True)
            ]
            row = round(int(rows[stretch.first_row]) * ratio)
            parts.append(
                self._stretch(predictor, stretch.values, edges, row, own, fill)
            )
            reached = last
        if reached < end:
            parts.append(_without_label(reached, end, _NO_DATA))
        columns = {name: [x for part in parts for x in part[name]] for name in parts[0]}
        table = pd.DataFrame(columns).assign(recording=self.recordings.names[self.i])
        for name in ("start", "end"):
            times = table[name].to_numpy(np.float64)
            table[name] = to_own_time(self.recordings, self.i, times)
        return table[list(COLUMNS)]

    def _stretch(
        self,
        predictor: Predictor,
        values: NDArray[Any],
        edges: NDArray[np.float64],
        row: int,
        outages: Sequence[Outage],
        fill: NDArray[np.float64],
    ) -> Columns:
        starts = place_windows(values.shape[1], self.length, self.step, row)
        if not len(starts):
            return _without_label(edges[0], edges[-1], _TOO_SHORT)
        lost = [each for each in outages if each.is_missing and each.first < each.last]
        found = predictor.predict(values, starts, lost, fill)
        borders = divide(starts, values.shape[1], self.length)
        # Windows overlap, so they are weighted by their share of the timepoints, and
        # `self_transition` applies to the length of a window.
        shares = np.minimum(np.diff(borders) / self.length, 1.0)
        kept = float(self.options.self_transition) ** (np.diff(starts) / self.length)
        path = most_probable_path(log_probabilities(found) * shares[:, None], kept)
        own = found[np.arange(len(path)), path]
        labels, is_between = self._name(predictor.model.labels, path, own)
        # Cells are intervals between the borders of windows and outages.
        ends = [border for each in outages for border in (each.first, each.last)]
        cells = np.unique(np.r_[borders, np.array(ends, np.intp)])
        window = np.searchsorted(borders, cells[:-1], side="right") - 1
        labels, own, is_between = labels[window], own[window], is_between[window]
        notes = np.full(len(window), "", object)
        for each in outages:
            inside = (cells[:-1] >= each.first) & (cells[:-1] < each.last)
            notes[inside] += np.where(notes[inside] == "", "", ", ") + each.note
        # Successive cells with the same label and note form a segment.
        is_new = (labels[1:] != labels[:-1]) | (notes[1:] != notes[:-1])
        firsts, lengths = np.r_[0, np.flatnonzero(is_new) + 1], np.diff(cells)
        sums = np.add.reduceat(own * lengths, firsts)
        times = np.r_[edges[cells[firsts]], edges[-1]]
        return {
            "start": times[:-1].tolist(),
            "end": times[1:].tolist(),
            "label": labels[firsts].tolist(),
            "probability": (sums / np.add.reduceat(lengths, firsts)).tolist(),
            "transition": is_between[firsts].tolist(),
            "note": notes[firsts].tolist(),
        }

    def _name(
        self, classes: list[Any], path: NDArray[np.intp], own: NDArray[np.float64]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the label of each window and whether it is a transition."""
        labels = np.empty(len(path), object)
        labels[:] = [classes[i] for i in path]
        is_between = np.zeros(len(path), bool)
        for change in np.flatnonzero(np.diff(path)):
            label = f"{classes[path[change]]} -> {classes[path[change + 1]]}"
            for i in (change, change + 1):
                if own[i] < self.options.min_probability:
                    labels[i], is_between[i] = label, True
        return labels, is_between


def _without_label(start: float, end: float, note: str) -> Columns:
    row = [start, end, np.nan, np.nan, False, note]
    return {name: [cell] for name, cell in zip(COLUMNS[1:], row, strict=True)}


def _no_windows(recordings: Recordings, length: int) -> str:
    longest = max(map(len, recordings.times))
    return (
        f"All stretches between gaps are shorter than half a window of {length} "
        f"timepoints. The longest recording has {longest} timepoints. Use shorter "
        "windows or a larger max_gap."
    )
