"""Continuous recordings with times, labels and subjects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sktext_vq._io.stretches import common_rate, estimate_rate
from sktext_vq._io.table import LabelledPanel
from sktext_vq._io.windows import WindowOptions, cut_windows_of


@dataclass(frozen=True, eq=False, repr=False)
class Recordings:
    """Continuous recordings from one or more people or machines.

    Attributes
    ----------
    values : list of ndarray of shape (n_channels, n_timepoints_i)
        Values of each recording. Missing values are NaN.
    times : list of ndarray of shape (n_timepoints_i,)
        Increasing times of each recording, as dates, durations or numbers.
    channel_names : tuple of str
        Names of the channels.
    time_unit : float, optional
        Duration of one unit of `times` in seconds; None if unknown.
    names : list of str
        Name of each recording.
    labels : list of pandas.Categorical, optional
        Label of each timepoint of each recording. Unlabelled timepoints are missing
        values.
    subjects : ndarray of shape (n_recordings,), optional
        Subject of each recording, as integers or strings.
    notes : tuple of str
        Assumptions of :func:`~sktext_vq.wearables.harmonise` about channels and units.
    optional_channels : tuple of str
        Channels that may be missing in all windows of a recording: the angular velocity
        in the result of :func:`~sktext_vq.wearables.harmonise`.

    See Also
    --------
    read_recordings : Read recordings from files or data frames.
    segment : Divide recordings into segments of one class.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sktext_vq.recordings import read_recordings
    >>> table = pd.DataFrame({
    ...     "time": pd.date_range("2025-05-05", periods=600, freq="20ms"),
    ...     "acc_x": np.zeros(600),
    ...     "label": ["sitting"] * 300 + ["walking"] * 300,
    ...     "subject": 3,
    ... })
    >>> recordings = read_recordings(table)
    >>> recordings
    Recordings(1 recording of 1 subject, 12 s at 50 Hz, 1 channel: acc_x, 2 labels)
    >>> windows = recordings.windows(2.56, 1.28)
    >>> windows.X.shape, windows.y.tolist()[::3], windows.groups.tolist()[:2]
    ((6, 1, 128), ['sitting', 'walking'], [3, 3])
    >>> windows.table["end"].iloc[0]
    Timestamp('2025-05-05 00:00:02.560000')
    """

    values: list[NDArray[np.floating[Any]]]
    times: list[NDArray[Any]]
    channel_names: tuple[str, ...]
    time_unit: float | None
    names: list[str]
    labels: list[pd.Categorical] | None = None
    subjects: NDArray[Any] | None = None
    notes: tuple[str, ...] = ()
    optional_channels: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, chosen: Any) -> Recordings:
        """Return the recordings at an index, slice, mask or list of indices."""
        rows = np.atleast_1d(np.arange(len(self))[chosen]).tolist()
        return Recordings(
            [self.values[row] for row in rows],
            [self.times[row] for row in rows],
            self.channel_names,
            self.time_unit,
            [self.names[row] for row in rows],
            None if self.labels is None else [self.labels[row] for row in rows],
            None if self.subjects is None else self.subjects[rows],
            self.notes,
            self.optional_channels,
        )

    def __repr__(self) -> str:
        about = _count(len(self), "recording")
        if self.subjects is not None:
            about += f" of {_count(len(np.unique(self.subjects)), 'subject')}"
        n_timepoints = sum(len(times) for times in self.times)
        if self.sampling_rate is None:
            length = _count(n_timepoints, "timepoint")
        else:
            seconds = sum(float(each[-1]) for each in self.offsets)
            seconds += len(self) / self.sampling_rate
            length = f"{_duration(seconds)}{_pace(self.sampling_rate)}"
        names = ", ".join(self.channel_names[:6])
        names += ", ..." if len(self.channel_names) > 6 else ""
        channels = f"{_count(len(self.channel_names), 'channel')}: {names}"
        labels = ""
        if self.labels is not None:
            labels = f", {_count(len(self.classes), 'label')}"
        return f"Recordings({about}, {length}, {channels}{labels})"

    @cached_property
    def classes(self) -> list[Any]:
        """Labels that occur in the recordings, in sorted order."""
        found: set[Any] = set()
        for each in self.labels or []:
            used = np.bincount(each.codes[each.codes >= 0])
            found.update(each.categories[np.flatnonzero(used)])
        return sorted(found)

    @cached_property
    def offsets(self) -> list[NDArray[np.float64]]:
        """Times since the start of each recording, in seconds if the unit is known."""
        unit = 1.0 if self.time_unit is None else self.time_unit
        return [(times - times[0]).astype(np.float64) * unit for times in self.times]

    @cached_property
    def rates(self) -> list[float]:
        """Sampling rate of each recording; in Hz if the unit of time is known."""
        return [estimate_rate(offsets) for offsets in self.offsets]

    @property
    def sampling_rate(self) -> float | None:
        """Common sampling rate in Hz, or None if the unit of time is unknown.

        If rates differ by at most 10 %, their median is returned; otherwise, the lowest
        rate is returned.
        """
        return None if self.time_unit is None else common_rate(self.rates)

    def windows(
        self,
        length: float,
        step: float | None = None,
        *,
        seconds: bool = True,
        purity: float = 1.0,
        max_gap: float | None = None,
        sampling_rate: float | None = None,
        ignore_labels: Sequence[Any] = (),
    ) -> LabelledPanel:
        """Cut the recordings into windows of equal length and sampling rate.

        Windows do not span gaps or multiple recordings. Recordings at other rates or at
        irregular times are resampled: missing rows are interpolated, and a low-pass
        filter (:func:`scipy.signal.resample_poly`) is applied if the rate is reduced.

        Parameters
        ----------
        length : float
            Length of a window, in seconds or timepoints.
        step : float, optional
            Time between the starts of successive windows. The default is half of
            `length`.
        seconds : bool, default=True
            Whether `length`, `step` and `max_gap` are in seconds. Otherwise, they are
            numbers of timepoints.
        purity : float, default=1.0
            Minimum share of the timepoints of a window that have its most frequent
            label. Other windows are dropped. If 1, windows are cut separately from each
            stretch of timepoints with the same label.
        max_gap : float, optional
            Maximum step between timepoints that is interpolated. Longer steps are gaps.
            The default is five times the typical step of the recording.
        sampling_rate : float, optional
            Sampling rate of the windows in Hz. The default is `self.sampling_rate`.
        ignore_labels : list, default=()
            Labels of windows to drop, such as ``[0]`` or ``["transition"]``.

        Returns
        -------
        LabelledPanel
            ``X``, ``y``, ``groups`` (the subject of each window, or its recording if
            subjects are unknown and there are several recordings) and ``table``, a data
            frame with the ``recording``, ``subject``, ``start`` and ``end`` (exclusive)
            of each window, in the time of the recording. ``resampling`` describes how
            recordings were resampled.

        Raises
        ------
        ValueError
            If a parameter is invalid, a length is in seconds but the time unit is
            unknown, or there are no windows.

        Warns
        -----
        UserWarning
            If sampling rates of the recordings differ and `sampling_rate` is None, or
            if windows without values in a channel are dropped.
        """
        options = WindowOptions(
            length, step, seconds, purity, max_gap, sampling_rate, tuple(ignore_labels)
        )
        return cut_windows_of(self, options)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _pace(rate: float) -> str:
    """Format a sampling rate, or the step if it is longer than a second."""
    return f" at {rate:g} Hz" if rate >= 1 else f", one timepoint per {1 / rate:g} s"


def _duration(seconds: float) -> str:
    for limit, unit, size in ((120, "s", 1), (7200, "min", 60)):
        if seconds < limit:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 3600:.3g} h"
