"""Segments of recordings: stretches, outages, and rows of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sktext_vq._io.continuous import read_recordings
from sktext_vq._io.recordings import Recordings
from sktext_vq._io.stretches import Stretch, cut_stretches, estimate_rate
from sktext_vq._io.table import to_frame
from sktext_vq._io.windows import choose_rate, to_own_time
from sktext_vq._segmentation.models import (
    WindowModel,
    each_warning_once,
    log_probabilities,
    match_channels,
)
from sktext_vq._segmentation.outages import Outage, find_outages, rows_with_data
from sktext_vq._segmentation.prediction import Lost, Predictor, divide, place_windows
from sktext_vq._segmentation.viterbi import most_probable_path
from sktext_vq._utils.data_frames import float_dtype
from sktext_vq._utils.numbers import as_numbers

COLUMNS = (
    *("recording", "start", "end", "label", "probability", "transition", "note"),
)
_NO_DATA, _TOO_SHORT = "no data", "too short"
# Default step, as a share of the length of a window.
_STEP = 0.5


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
        """Check types and ranges."""
        for name in ("length", "step", "max_gap"):
            value = getattr(self, name)
            if value is None:
                continue
            if not (isinstance(value, Real) and 0 < float(value) < np.inf):
                raise ValueError(f"{name} must be a positive number, got {value!r}.")
        for name in ("self_transition", "min_probability"):
            value = getattr(self, name)
            if not (isinstance(value, Real) and 0 <= float(value) < 1):
                raise ValueError(
                    f"{name} must be at least 0 and below 1, got {value!r}."
                )

    def check_timepoints(self) -> None:
        """Check that lengths are integers."""
        for name in ("length", "step"):
            value = getattr(self, name)
            if not (value is None or isinstance(value, Integral)):
                raise TypeError(f"{name} must be an integer, got {value!r}.")

    def timepoints(self, default: int | None, rate: float | None) -> tuple[int, int]:
        """Return length and step of the windows as numbers of timepoints.

        `default` is the length of the training windows, `rate` in Hz if it is known.
        """
        if self.length is None and default is None:
            raise ValueError(
                "length is required: the classifier has no n_timepoints_, the length "
                "of the training windows."
            )
        if self.seconds and rate is None and (self.length or self.step) is not None:
            raise ValueError(
                "The sampling rate is unknown. Set time_unit or sampling_rate in "
                "read_recordings, or give lengths as numbers of timepoints with "
                "seconds=False."
            )
        unit = cast(float, rate) if self.seconds else 1.0
        length = cast(int, default)
        if self.length is not None:
            length = round(self.length * unit)
        if length < 1:
            raise ValueError(
                f"A window of {self.length} s has no timepoint at {rate:g} Hz."
            )
        if self.step is None:
            return length, max(1, round(_STEP * length))
        return length, max(1, round(self.step * unit))


def segment_recordings(
    classifier: Any,
    source: Any,
    options: SegmentOptions,
    candidates: Sequence[str] | Mapping[str, Any] | None,
) -> pd.DataFrame:
    """Segment recordings by class; see `sktext_vq.recordings.segment`."""
    model = WindowModel.of(classifier, candidates)
    recordings = as_recordings(source)
    if recordings is None:
        options.check_timepoints()
        recordings = from_array(source)
        options = SegmentOptions(**{**vars(options), "seconds": False})
        channels = list(range(len(recordings.channel_names)))
    else:
        channels = match_channels(recordings.channel_names, model)
    has_unit = recordings.time_unit is not None
    rate = choose_rate(recordings, model.sampling_rate if has_unit else None)
    length, step = options.timepoints(model.n_timepoints, rate if has_unit else None)
    seconds = sum(float(offsets[-1]) for offsets in recordings.offsets)
    tables = []
    with (
        each_warning_once(model.check is not None),
        Predictor(model, length, int(seconds * rate / step) + 1) as predictor,
    ):
        for i in range(len(recordings)):
            one = _Segmenter(recordings, i, channels, rate, length, step, options)
            tables.append(one.segment(predictor))
    if predictor.n_done == 0:
        raise ValueError(_no_windows(recordings, length))
    predictor.check()
    return pd.concat(tables, ignore_index=True)


def as_recordings(source: Any) -> Recordings | None:
    """Return recordings from recordings or a data frame; None for an array."""
    if isinstance(source, Recordings):
        return source
    frame = to_frame(source)
    return None if frame is None else read_recordings(frame)


def from_array(source: Any) -> Recordings:
    """Return a recording with timepoints as times."""
    try:
        values = as_numbers(source)
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
        raise ValueError(
            "The recording has channels of different length: pad them with NaN."
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


class _Segmenter:
    """Segment one recording."""

    def __init__(
        self,
        recordings: Recordings,
        i: int,
        channels: list[int],
        rate: float,
        length: int,
        step: int,
        options: SegmentOptions,
    ) -> None:
        self.recordings, self.i = recordings, i
        self.names = [recordings.channel_names[channel] for channel in channels]
        values = recordings.values[i]
        is_same = channels == list(range(len(values)))
        self.values = values if is_same else values[channels]
        self.offsets = recordings.offsets[i]
        self.rate, self.length, self.step = rate, length, step
        self.options = options

    def segment(self, predictor: Predictor) -> pd.DataFrame:
        """Return the rows of the recording."""
        model = predictor.model
        own_rate = estimate_rate(self.offsets) if len(self.offsets) > 1 else self.rate
        ratio = self.rate / own_rate
        outages = find_outages(
            self.values,
            self.names,
            int(np.ceil(self.length / ratio)),
            model.is_never_constant,
            model.is_often_constant,
        )
        fill = self._fill(model, outages)
        rows = np.flatnonzero(rows_with_data(self.values, outages))
        values, offsets = self.values, self.offsets
        if len(rows) < len(offsets):
            values, offsets = values[:, rows], offsets[rows]
        max_gap = self.options.max_gap
        if max_gap is not None and not self.options.seconds:
            max_gap = max_gap / self.rate
        stretches = []
        if len(offsets):
            stretches = list(cut_stretches(offsets, values, self.rate, max_gap))
        parts: list[dict[str, Any]] = []
        reached = 0.0
        end = float(self.offsets[-1]) + 1 / own_rate
        for number, stretch in enumerate(stretches):
            times = stretch.times(
                np.arange(stretch.values.shape[1]), offsets, self.rate
            )
            following = end
            if number + 1 < len(stretches):
                following = stretches[number + 1].start
            last = float(times[-1]) + 1 / self.rate
            if following - last < 1 / self.rate:
                last = following
            if stretch.start > reached:
                parts.append(self._without_label(reached, stretch.start, _NO_DATA))
            edges = np.r_[times, last]
            row = round(int(rows[stretch.first_row]) * ratio)
            parts += self._stretch(predictor, stretch, edges, row, outages, fill)
            reached = last
        if reached < end:
            parts.append(self._without_label(reached, end, _NO_DATA))
        return self._table(parts)

    def _fill(
        self, model: WindowModel, outages: Sequence[Outage]
    ) -> NDArray[np.float64]:
        """Return the value of each channel where it is missing."""
        if model.means is not None:
            return model.means
        fill = np.zeros(len(self.values))
        for channel in {outage.channel for outage in outages}:
            known = self.values[channel][~np.isnan(self.values[channel])]
            fill[channel] = known.mean() if len(known) else 0.0
        return fill

    def _stretch(
        self,
        predictor: Predictor,
        stretch: Stretch,
        edges: NDArray[np.float64],
        row: int,
        outages: Sequence[Outage],
        fill: NDArray[np.float64],
    ) -> list[dict[str, Any]]:
        """Return the segments of a stretch."""
        n_timepoints = stretch.values.shape[1]
        starts = place_windows(n_timepoints, self.length, self.step, row)
        if not len(starts):
            return [self._without_label(edges[0], edges[-1], _TOO_SHORT)]
        spans = [self._span(outage, edges) for outage in outages]
        lost = [
            Lost(outage.channel, *span)
            for outage, span in zip(outages, spans, strict=True)
            if outage.is_missing and span[0] < span[1]
        ]
        found = predictor.predict(stretch.values, starts, lost, fill)
        borders = divide(starts, n_timepoints, self.length)
        path = self._decode(found, starts, borders)
        own = found[np.arange(len(path)), path]
        labels, is_between = self._name(predictor.model.labels, path, own)
        # Cells are cut where outages start and end.
        cells = np.unique(np.r_[borders, np.array(spans, np.intp).ravel()])
        window = np.searchsorted(borders, cells[:-1], side="right") - 1
        notes = np.full(len(window), "", object)
        for outage, (first, last) in zip(outages, spans, strict=True):
            inside = (cells[:-1] >= first) & (cells[:-1] < last)
            notes[inside] += np.where(notes[inside] == "", "", ", ") + outage.note
        return self._join(
            edges, cells, labels[window], own[window], is_between[window], notes
        )

    def _span(self, outage: Outage, edges: NDArray[np.float64]) -> tuple[int, int]:
        """Return the first and last (exclusive) timepoint of an outage."""
        begin, end = self.offsets[outage.first], np.inf
        if outage.last < len(self.offsets):
            end = self.offsets[outage.last]
        first, last = np.searchsorted(edges[:-1], [begin, end])
        return int(first), int(last)

    def _decode(
        self,
        found: NDArray[np.float64],
        starts: NDArray[np.intp],
        borders: NDArray[np.intp],
    ) -> NDArray[np.intp]:
        """Return the class of each window on the most probable path.

        Windows overlap, so that each counts by its share of the timepoints, and
        `self_transition` applies to the length of a window.
        """
        shares = np.minimum(np.diff(borders) / self.length, 1.0)
        kept = float(self.options.self_transition) ** (np.diff(starts) / self.length)
        return most_probable_path(log_probabilities(found) * shares[:, None], kept)

    def _name(
        self, classes: list[Any], path: NDArray[np.intp], own: NDArray[np.float64]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the label of each window, and whether it is a transition."""
        labels = np.empty(len(path), object)
        labels[:] = [classes[i] for i in path]
        is_between = np.zeros(len(path), bool)
        for change in np.flatnonzero(np.diff(path)):
            label = f"{classes[path[change]]} -> {classes[path[change + 1]]}"
            for i in (change, change + 1):
                if own[i] < self.options.min_probability:
                    labels[i], is_between[i] = label, True
        return labels, is_between

    def _join(
        self,
        edges: NDArray[np.float64],
        cells: NDArray[np.intp],
        labels: NDArray[Any],
        own: NDArray[np.float64],
        is_between: NDArray[np.bool_],
        notes: NDArray[Any],
    ) -> list[dict[str, Any]]:
        """Join cells with the same label and note to segments."""
        is_new = (labels[1:] != labels[:-1]) | (notes[1:] != notes[:-1])
        firsts = np.r_[0, np.flatnonzero(is_new) + 1]
        lengths = np.diff(cells)
        means = np.add.reduceat(own * lengths, firsts) / np.add.reduceat(
            lengths, firsts
        )
        borders = np.r_[edges[cells[firsts]], edges[-1]]
        return [
            {
                "start": borders[k],
                "end": borders[k + 1],
                "label": labels[first],
                "probability": means[k],
                "transition": bool(is_between[first]),
                "note": notes[first],
            }
            for k, first in enumerate(firsts.tolist())
        ]

    def _without_label(self, start: float, end: float, note: str) -> dict[str, Any]:
        """Return a row without a label."""
        none: dict[str, Any] = {"label": np.nan, "probability": np.nan}
        return {"start": start, "end": end, **none, "transition": False, "note": note}

    def _table(self, parts: list[dict[str, Any]]) -> pd.DataFrame:
        """Return rows with names, in the recording's own time."""
        columns: dict[str, Any] = {
            name: [part[name] for part in parts] for name in COLUMNS if name in parts[0]
        }
        columns["recording"] = [self.recordings.names[self.i]] * len(parts)
        for name in ("start", "end"):
            offsets = np.array(columns[name], np.float64)
            columns[name] = to_own_time(self.recordings, self.i, offsets)
        return pd.DataFrame(columns)[list(COLUMNS)]


def _no_windows(recordings: Recordings, length: int) -> str:
    longest = max(map(len, recordings.times))
    return (
        f"There is no stretch of at least half a window of {length} timepoints. The "
        f"longest recording has {longest} timepoints. Use shorter windows or a larger "
        "max_gap."
    )
