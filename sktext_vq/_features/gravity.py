"""Fitting, state and channel names of the gravity frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from sktext_vq._features.scaling import Scaler
from sktext_vq._utils.state import Number, Sizes, Spec, State, check_state
from sktext_vq.nn.gravity import GravityFrame
from sktext_vq.nn.windows import Batch

_FAR_CHANNEL = 1e30  # maximum scale relative to sensor axes, for float32
_FRAME: dict[str, Spec | None] = {
    "triads": None,
    "replaces_axes": None,
    "reference": Number(above=-1),
}
Sensors = Mapping[str, tuple[int, int, int]]


def fit_frame(
    batch: Batch, scaler: Scaler, sensors: Sensors, replace_axes: bool
) -> GravityFrame | None:
    """Return the gravity frame, or None if no sensor defines the vertical."""
    if not sensors:
        if replace_axes:
            raise ValueError(
                'gravity="replace" requires sensors with three axes. Set '
                "channel_names to names such as acc_x, acc_y and acc_z."
            )
        return None
    triads = list(sensors.values())
    # Axes are scaled to about 1, because squares of huge values would overflow. The
    # factor is a power of two to avoid rounding. Other channels are not used.
    values = np.stack([scaler.mean, scaler.scale])
    _, power = np.frexp(np.abs(values[:, np.unique(triads)]).max())
    values = np.ldexp(values, -power).clip(-_FAR_CHANNEL, _FAR_CHANNEL)
    mean, scale = torch.from_numpy(values.astype(np.float32))
    frame = GravityFrame(triads, mean, scale, replace_axes)
    frame.fit(batch)
    if frame.reference is not None:
        return frame
    if replace_axes:
        raise ValueError(
            'gravity="replace" requires a sensor that measures gravity, such as an '
            f"accelerometer. The mean of each sensor in {list(sensors)} is less than "
            "half of its root mean square."
        )
    return None


def frame_from_state(state: State, n_channels: int, sizes: Sizes) -> GravityFrame:
    """Build a gravity frame from its state; see `frame_state`."""
    check_state(state, _FRAME, sizes, "frame")
    triads = [tuple(each) for each in state["triads"]]
    is_valid = state["reference"] < len(triads) and all(
        len(set(axes)) == len(axes) == 3
        and all(type(axis) is int and 0 <= axis < n_channels for axis in axes)
        for axes in triads
    )
    if not is_valid:
        raise ValueError("frame.triads is inconsistent with the rest of the model")
    unit = torch.ones(n_channels)
    frame = GravityFrame(triads, unit, unit, state["replaces_axes"] is True)
    frame.reference = state["reference"]
    return frame


def name_channels(
    names: Sequence[str], sensors: Sensors, frame: GravityFrame | None
) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]:
    """Return the names of the tokenizer channels and the input channels of each."""
    if frame is None:
        return tuple(names), tuple((channel,) for channel in range(len(names)))
    added = [
        (f"{name} {part}", sensors[name]) for name in sensors for part in frame.parts
    ]
    channels = [(names[channel], (channel,)) for channel in frame.others]
    found, axes = zip(*channels, *added, strict=True)
    return found, axes


def frame_state(frame: Any) -> State | None:
    """Return the configuration of a gravity frame, or None if there is no frame."""
    if not isinstance(frame, GravityFrame):
        return None
    return {
        "triads": frame.triads.tolist(),
        "replaces_axes": frame.alone,
        "reference": frame.reference,
    }
