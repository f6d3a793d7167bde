"""Conversion of sensor data to the channels, units and sampling rate of base models."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import resample_poly

from sktext_vq._io.recordings import Recordings
from sktext_vq._io.stretches import usual_step
from sktext_vq._utils.numbers import fill_missing
from sktext_vq._utils.validation import find_stack_level
from sktext_vq._wearables.sensors import (
    SensorPlan,
    check_recording_names,
    find_sensors,
    find_units,
)
from sktext_vq.panel import Panel, as_panel, spread_cases, stack_series

Array = NDArray[np.floating[Any]]

CHANNELS = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
SAMPLING_RATE = 50.0
N_TIMEPOINTS = 128  # 2.56 s
_MIN_RATE = 8.0  # Hz
# Maximum denominator of the ratio between two sampling rates.
_MAX_DENOMINATOR = 100
# Maximum number of windows from which units are inferred.
_MAX_PIECES = 400


class HarmonisedWindows(np.ndarray):
    """Array of windows with the channels, units and sampling rate of base models.

    Attributes
    ----------
    notes : tuple of str
        Assumptions about the channels, units and windows.
    """

    notes: tuple[str, ...]

    def __array_finalize__(self, source: Any) -> None:
        self.notes = getattr(source, "notes", ())


def harmonise_recordings(
    recordings: Recordings,
    channel_names: Sequence[str] | None,
    sampling_rate: float | None,
    units: str | Mapping[str, str],
) -> Recordings:
    """Convert the channels and units of recordings; see `wearables.harmonise`."""
    names = recordings.channel_names if channel_names is None else channel_names
    names = _check_names(names, len(recordings.channel_names))
    rate = recordings.sampling_rate
    if sampling_rate is not None:
        rate = check_rate(sampling_rate)
        if recordings.time_unit is None:  # times are indices of timepoints
            unit = 1 / (rate * usual_step(recordings.times))
            recordings = replace(recordings, time_unit=unit)
    if rate is None:
        raise ValueError(
            "The sampling rate of the recordings is unknown. Set sampling_rate."
        )
    check_rate(rate)
    check_recording_names(names, recordings.names)
    plan = find_sensors(names)
    size = max(2, round(N_TIMEPOINTS / SAMPLING_RATE * rate))
    pieces = [
        values[:, start : start + size]
        for values in recordings.values
        for start in range(0, max(1, values.shape[1] - size + 1), size)
    ]
    plan = find_units(plan, _complete(pieces, plan), units)
    _warn(plan)
    values = [plan.convert(each, 0) for each in recordings.values]
    return replace(
        recordings,
        values=values,
        channel_names=CHANNELS,
        notes=plan.notes,
        optional_channels=CHANNELS[3:],
    )


def harmonise_windows(
    X: Any,
    channel_names: Sequence[str] | None,
    sampling_rate: float | None,
    units: str | Mapping[str, str],
) -> HarmonisedWindows:
    """Convert the windows of a panel; see `wearables.harmonise`."""
    panel = as_panel(_without_empty(X))
    names = panel.channel_names if channel_names is None else channel_names
    if names is None or sampling_rate is None:
        raise ValueError("channel_names and sampling_rate are required for windows.")
    rate = check_rate(sampling_rate)
    plan = plan_windows(panel, names, units)
    longest = int(panel.lengths.max()) / rate
    notes = list(plan.notes)
    if longest > (N_TIMEPOINTS + 1) / SAMPLING_RATE:
        notes.append(f"the central 2.56 s of windows of {longest:.3g} s are used")
    found = resample(panel, plan, rate).values.view(HarmonisedWindows)
    found.notes = tuple(notes)
    return found


def plan_windows(
    panel: Panel, names: Sequence[str], units: str | Mapping[str, str]
) -> SensorPlan:
    """Identify the sensors and the units of windows."""
    plan = find_sensors(_check_names(names, panel.n_channels))
    pieces = [panel.values[i][:, : panel.lengths[i]] for i in range(panel.n_cases)]
    plan = find_units(plan, _complete(pieces, plan), units)
    _warn(plan)
    return plan


def stack_arrays(X: Any) -> Any:
    """Return a list of arrays as one array, padded with NaN, and other X unchanged."""
    is_list = isinstance(X, list | tuple) and len(X) > 0
    if not is_list or not all(isinstance(window, np.ndarray) for window in X):
        return X
    return stack_series(X)


def _without_empty(X: Any) -> Any:
    """Return X as a Panel if a window has an empty channel: `as_panel` would fail."""
    X = stack_arrays(X)
    if isinstance(X, Panel | pd.DataFrame) or not isinstance(X, np.ndarray):
        return X
    if X.ndim != 3 or X.dtype.kind != "f":
        return X
    is_empty = np.isnan(X).all(axis=2)
    if not is_empty.any():
        return X
    has_value = np.logical_not(np.isnan(X).all(axis=1))
    return Panel(X, X.shape[2] - has_value[:, ::-1].argmax(axis=1))


def _check_names(names: Any, n_channels: int) -> list[str]:
    if isinstance(names, str) or not np.iterable(names):
        raise TypeError(f"channel_names must be a list of names, got {names!r}.")
    found = [str(name) for name in names]
    if len(found) != n_channels:
        raise ValueError(
            f"channel_names has {len(found)} names for {n_channels} channels: {found}."
        )
    return found


def check_rate(rate: Any) -> float:
    """Check a sampling rate in Hz and return it as a float."""
    if not isinstance(rate, Real) or not math.isfinite(float(rate)):
        raise ValueError(f"sampling_rate must be a number of Hz, got {rate!r}.")
    if float(rate) < _MIN_RATE:
        raise ValueError(
            f"sampling_rate is {float(rate):g} Hz, but activity recognition requires "
            f"at least {_MIN_RATE:g} Hz."
        )
    return float(rate)


def _warn(plan: SensorPlan) -> None:
    if plan.doubts:
        warnings.warn(" ".join(plan.doubts), stacklevel=find_stack_level())


def _complete(pieces: Sequence[Array], plan: SensorPlan) -> list[Array]:
    """Return a sample of the windows, excluding timepoints without acceleration."""
    used = list(plan.acceleration) + list(plan.gravity or ())
    found = []
    for i in spread_cases(len(pieces), _MAX_PIECES):
        part = pieces[i]
        part = part[:, ~np.isnan(part[used]).any(axis=0)]
        if part.shape[1] > 1:
            found.append(part)
    if not found:
        raise ValueError("The acceleration is missing in all windows.")
    return found


def resample(panel: Panel, plan: SensorPlan, rate: float) -> Panel:
    """Resample the central part of each window to the sampling rate of base models."""
    ratio = Fraction(SAMPLING_RATE / rate).limit_denominator(_MAX_DENOMINATOR)
    wanted = math.ceil(N_TIMEPOINTS / ratio)
    lengths = np.minimum(panel.lengths, wanted)
    starts = (panel.lengths - lengths) // 2
    cut = np.full((panel.n_cases, panel.n_channels, lengths.max()), np.nan)
    for i, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        cut[i, :, :length] = panel.values[i, :, start : start + length]
    values = plan.convert(cut, 1).astype(np.float64)
    sizes = np.minimum(np.round(lengths * float(ratio)).astype(int), N_TIMEPOINTS)
    found = np.full((panel.n_cases, len(CHANNELS), sizes.max()), np.nan, np.float32)
    for length in np.unique(lengths):
        rows = lengths == length
        size = int(sizes[rows][0])
        own = fill_missing(values[rows, :, :length], empty=np.nan)
        if ratio != 1:
            up, down = ratio.numerator, ratio.denominator
            own = resample_poly(own, up, down, axis=2, padtype="line")
        found[rows, :, :size] = own[:, :, :size]
    return Panel(found, sizes)
