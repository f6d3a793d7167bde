"""Windows of recordings, with labels and subjects."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sktext_vq._io.stretches import Stretch, common_rate, cut_stretches, differ
from sktext_vq._io.table import LabelledPanel
from sktext_vq._utils.validation import (
    check_sampling_rate,
    find_stack_level,
    format_names,
)

if TYPE_CHECKING:
    from sktext_vq._io.recordings import Recordings

_NS = 1_000_000_000


@dataclass(frozen=True)
class WindowOptions:
    """Parameters of `Recordings.windows`, with the same names."""

    length: Any
    step: Any
    seconds: bool
    purity: Any
    max_gap: Any
    sampling_rate: Any
    ignore_labels: tuple[Any, ...]

    def __post_init__(self) -> None:
        if self.length is None:
            raise ValueError("length must be a positive number, got None.")
        check_positive(length=self.length, step=self.step, max_gap=self.max_gap)
        if not (isinstance(self.purity, Real) and 0 < float(self.purity) <= 1):
            raise ValueError(
                f"purity must be above 0 and at most 1, got {self.purity!r}."
            )
        check_sampling_rate(self.sampling_rate)


def check_positive(**values: Any) -> None:
    for name, value in values.items():
        is_positive = isinstance(value, Real) and 0 < float(value) < np.inf
        if not (value is None or is_positive):
            raise ValueError(f"{name} must be a positive number, got {value!r}.")


def in_timepoints(options: Any, rate: float | None, default: int = 0) -> list[int]:
    """Return the length and step of windows in timepoints.

    `rate` is the sampling rate in Hz, or None if it is unknown. The length is `default`
    if `options` has no length, and the step is half the length if it has no step.
    """
    given = [options.length, options.step]
    if options.seconds and given != [None, None]:
        if rate is None:
            raise ValueError(
                "The sampling rate is unknown. Set time_unit or sampling_rate in "
                "read_recordings, or pass lengths in timepoints and set seconds=False."
            )
        given = [None if each is None else each * rate for each in given]
        if options.length is not None and round(given[0]) < 1:
            raise ValueError(
                f"A window of {options.length} s contains no timepoints at "
                f"{rate:g} Hz. Use longer windows."
            )
    length = default if given[0] is None else given[0]
    step = length / 2 if given[1] is None else given[1]
    return [max(1, round(length)), max(1, round(step))]


def in_seconds(options: Any, rate: float) -> float | None:
    if options.max_gap is None or options.seconds:
        return cast(float | None, options.max_gap)
    return float(options.max_gap / rate)


def cut_windows_of(recordings: Recordings, options: WindowOptions) -> LabelledPanel:
    rate = choose_rate(recordings, options.sampling_rate)
    length, step = in_timepoints(options, rate if recordings.time_unit else None)
    max_gap = in_seconds(options, rate)
    all_codes = _codes(recordings, options.ignore_labels)
    parts, rows, labels = [], [], []
    # Number of windows without values in each channel, and in at least one channel.
    empty = np.zeros(len(recordings.channel_names) + 1, np.intp)
    is_optional = np.isin(recordings.channel_names, recordings.optional_channels)
    resampling: dict[str, set[int]] = {}
    for i, values in enumerate(recordings.values):
        offsets = recordings.offsets[i]
        codes = all_codes[i]
        for stretch in cut_stretches(offsets, values, rate, max_gap):
            if stretch.resampling is not None:
                resampling.setdefault(stretch.resampling, set()).add(i)
            if stretch.values.shape[1] < length:
                continue
            own = None if codes is None else stretch.take(codes)
            starts, found = _starts(own, stretch, length, step, float(options.purity))
            if not len(starts):
                continue
            missing = np.stack(
                [
                    _count_in_windows(np.isnan(series), starts, length) == length
                    for series in stretch.values
                ]
            )
            missing[is_optional & np.isnan(values).all(axis=1)] = False
            is_empty = missing.any(axis=0)
            empty += np.append(missing.sum(axis=1), is_empty.sum())
            starts, found = starts[~is_empty], found[~is_empty]
            view = np.lib.stride_tricks.sliding_window_view(
                stretch.values, length, axis=1
            )
            parts.append(view[:, starts].transpose(1, 0, 2))
            labels.append(found)
            begin = stretch.times(starts, offsets, rate)
            rows.append((i, begin, begin + length / rate))
    n_windows = sum(map(len, parts))
    if not n_windows and not empty.any():
        raise ValueError(_no_windows(recordings, length))
    _report_empty(empty, n_windows, recordings.channel_names)
    table = _table(recordings, rows)
    y = None
    if recordings.labels is not None:
        y = np.array(recordings.classes)[np.concatenate(labels)]
    groups = recordings.subjects
    if groups is None and len(recordings) > 1:
        groups = np.array(recordings.names)
    of_recording = np.repeat(
        [i for i, _, _ in rows], [len(begin) for _, begin, _ in rows]
    )
    return LabelledPanel(
        np.concatenate(parts),
        y,
        None if groups is None else groups[of_recording],
        recordings.channel_names,
        None if recordings.time_unit is None else rate,
        table=table,
        resampling="; ".join(
            f"{len(which)} of {len(recordings)} recordings were {how} to {rate:g} Hz"
            for how, which in resampling.items()
        )
        or None,
    )


def _report_empty(
    empty: NDArray[np.intp], n_windows: int, channel_names: tuple[str, ...]
) -> None:
    """Warn about dropped windows, or raise an error if all windows are dropped."""
    *by_channel, n_empty = empty.tolist()
    if not n_empty:
        return
    names = [name for name, n in zip(channel_names, by_channel, strict=True) if n]
    message = (
        f"{n_empty} of {n_windows + n_empty} windows are dropped, because a channel "
        f"has no values. Channels: {format_names(names)}."
    )
    if not n_windows:
        raise ValueError(
            f"{message} No windows are left. Ignore these channels (ignore_columns)."
        )
    warnings.warn(message, stacklevel=find_stack_level())


def choose_rate(recordings: Recordings, given: float | None) -> float:
    """Return the sampling rate of windows.

    Warn if the rates of the recordings differ and no rate is given. If the unit of time
    is unknown, the rate is in timepoints per unit.
    """
    if given is not None:
        if recordings.time_unit is None:
            raise ValueError(
                "sampling_rate requires times in a known unit. Set time_unit in "
                "read_recordings."
            )
        return float(given)
    if recordings.time_unit is None:
        return common_rate(recordings.rates)
    rate = recordings.sampling_rate
    assert rate is not None
    if differ(recordings.rates):
        warnings.warn(
            f"Recordings have sampling rates from {min(recordings.rates):g} to "
            f"{max(recordings.rates):g} Hz and are resampled to {rate:g} Hz. Set "
            "sampling_rate to choose another rate.",
            stacklevel=find_stack_level(),
        )
    return rate


def to_own_time(
    recordings: Recordings, i: int, offsets: NDArray[np.float64]
) -> NDArray[Any]:
    """Convert offsets in seconds to times of a recording."""
    start = recordings.times[i][0]
    if start.dtype.kind in "mM":
        elapsed = np.round(offsets * _NS).astype("timedelta64[ns]")
        return np.asarray(start.astype(f"{start.dtype.kind}8[ns]") + elapsed)
    own = offsets / (recordings.time_unit or 1.0)
    if start.dtype.kind in "iu":
        return np.asarray(start + np.round(own).astype(np.int64))
    return np.asarray(start + own)


def _codes(
    recordings: Recordings, ignored: tuple[Any, ...]
) -> list[NDArray[np.intp] | None]:
    """Return the class index of each row of each recording, or -1 if unlabelled."""
    unknown = [name for name in ignored if name not in recordings.classes]
    if unknown:
        raise ValueError(
            f"Unknown labels in ignore_labels: {format_names(unknown)}. Labels of the "
            f"recordings: {format_names(recordings.classes)}."
        )
    if recordings.labels is None:
        return [None] * len(recordings)
    index = {
        name: i for i, name in enumerate(recordings.classes) if name not in ignored
    }
    return [
        # The code of a missing label is -1, which selects the last entry.
        np.array([*(index.get(name, -1) for name in each.categories), -1])[each.codes]
        for each in recordings.labels
    ]


def _starts(
    codes: NDArray[np.intp] | None,
    stretch: Stretch,
    length: int,
    step: int,
    purity: float,
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first timepoint and the class index of each window of a stretch."""
    n = stretch.values.shape[1]
    if codes is None:
        starts = np.arange(0, n - length + 1, step)
        return starts, np.zeros(len(starts), np.intp)
    if purity == 1:
        starts = np.concatenate(
            [np.empty(0, np.intp)]
            + [
                np.arange(first, last - length + 1, step)
                for first, last in _runs(codes)
                if codes[first] >= 0
            ]
        )
        return starts, codes[starts]
    starts = np.arange(0, n - length + 1, step)
    kinds = np.unique(codes)
    counts = np.stack(
        [_count_in_windows(codes == kind, starts, length) for kind in kinds]
    )
    best = counts.argmax(axis=0)
    found = kinds[best]
    kept = (counts.max(axis=0) >= purity * length) & (found >= 0)
    return starts[kept], found[kept]


def _runs(codes: NDArray[np.intp]) -> Iterator[tuple[int, int]]:
    """Return the start and end index of each run of equal codes."""
    borders = np.flatnonzero(np.diff(codes)) + 1
    return zip(
        np.r_[0, borders].tolist(), np.r_[borders, len(codes)].tolist(), strict=True
    )


def _count_in_windows(
    is_kind: NDArray[np.bool_], starts: NDArray[np.intp], length: int
) -> NDArray[np.intp]:
    sums = np.r_[0, np.cumsum(is_kind)]
    return np.asarray(sums[starts + length] - sums[starts])


def _table(recordings: Recordings, rows: list[Any]) -> pd.DataFrame:
    parts = []
    for i, begin, end in rows:
        part: dict[str, Any] = {"recording": recordings.names[i]}
        if recordings.subjects is not None:
            part["subject"] = recordings.subjects[i]
        for name, offsets in (("start", begin), ("end", end)):
            part[name] = to_own_time(recordings, i, offsets)
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def _no_windows(recordings: Recordings, length: int) -> str:
    longest = max(map(len, recordings.times))
    message = (
        f"The recordings contain no windows of {length} timepoints. The longest "
        f"recording has {longest} timepoints"
    )
    if longest < length:
        return f"{message}."
    if recordings.labels is None:
        return (
            f"{message}, but its stretches between gaps are shorter. Use shorter "
            "windows or a larger max_gap."
        )
    return (
        f"{message}, but its stretches between gaps, or with the same label, are "
        "shorter. Use shorter windows, a larger max_gap or a smaller purity."
    )
