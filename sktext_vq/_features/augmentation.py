"""Augmentation of training series with randomly modified copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from sktext_vq._utils.channels import list_sensors
from sktext_vq.panel import Panel

# Maximum size of each change.
_MAX_SIZES = {"gain": 2.0, "rotation": 180.0, "noise": 10.0, "dropout": 1.0, "gap": 0.9}


def check_augment(augment: Any) -> None:
    """Check the parameter `augment`."""
    if augment is None:
        return
    if not isinstance(augment, Mapping):
        raise TypeError(
            "augment must be None or a dict that maps each change to its size, got "
            f"{type(augment).__name__}."
        )
    unknown = sorted(set(augment) - {*_MAX_SIZES, "copies"}, key=str)
    if unknown:
        raise ValueError(
            f"Unknown changes in augment: {unknown}. Available changes: "
            f"{sorted({*_MAX_SIZES, 'copies'})}."
        )
    for name, most in _MAX_SIZES.items():
        value = augment.get(name, 0)
        if not (isinstance(value, Real) and 0 <= float(value) <= most):
            raise ValueError(
                f"augment[{name!r}] must be a number from 0 to {most:g}, got {value!r}."
            )
    copies = augment.get("copies", 1)
    if not (isinstance(copies, Integral) and int(copies) >= 1):
        raise ValueError(
            f"augment['copies'] must be an int of at least 1, got {copies!r}."
        )


def add_copies(
    panel: Panel,
    triads: Sequence[tuple[int, int, int]],
    augment: Mapping[str, Any],
    random_state: np.random.RandomState,
) -> Panel:
    """Return a panel in which each series is followed by its modified copies.

    Each channel that is not in `triads` is a separate sensor. The sizes in `augment`
    are described in :class:`~sktext_vq.VQTextClassifier`.
    """
    sensors = list_sensors(panel.n_channels, triads)
    values = [panel.values]
    for _ in range(augment.get("copies", 1)):
        values.append(_changed(panel, triads, sensors, augment, random_state))
    together = np.stack(values, axis=1).reshape(-1, *panel.values.shape[1:])
    return Panel(together, np.repeat(panel.lengths, len(values)))


def _changed(
    panel: Panel,
    triads: Sequence[tuple[int, int, int]],
    sensors: Sequence[list[int]],
    augment: Mapping[str, Any],
    random_state: np.random.RandomState,
) -> NDArray[np.floating[Any]]:
    values = panel.values.copy()
    n_cases, _, n_timepoints = values.shape
    angle = np.deg2rad(augment.get("rotation", 0))
    if angle and triads:
        # All sensors of a device are rotated together.
        axes = random_state.normal(size=(n_cases, 3))
        axes /= np.linalg.norm(axes, axis=1, keepdims=True)
        angles = random_state.uniform(0, angle, size=(n_cases, 1))
        turns = Rotation.from_rotvec(axes * angles).as_matrix()
        for axes_of in triads:
            values[:, axes_of] = turns @ values[:, axes_of]
    if augment.get("gain", 0):
        count = np.maximum(np.isfinite(values).sum(axis=2, keepdims=True), 1)
        middle = np.nansum(values, axis=2, keepdims=True) / count
        for channels in sensors:
            gain = random_state.normal(0, augment["gain"], size=(n_cases, 1, 1))
            moved = values[:, channels] - middle[:, channels]
            values[:, channels] = middle[:, channels] + np.exp(gain) * moved
    if augment.get("noise", 0):
        size = augment["noise"] * np.nanstd(panel.values, axis=(0, 2))
        values += random_state.normal(size=values.shape) * size[:, None]
    if augment.get("dropout", 0) and len(sensors) > 1:
        is_lost = random_state.uniform(size=n_cases) < augment["dropout"]
        which = random_state.randint(len(sensors), size=n_cases)
        for i, channels in enumerate(sensors):
            lost = values[:, channels]
            there = (is_lost & (which == i))[:, None, None] & np.isfinite(lost)
            values[:, channels] = np.where(there, 0, lost)
    if augment.get("gap", 0):
        size = random_state.uniform(0, augment["gap"], size=n_cases) * panel.lengths
        start = random_state.uniform(size=n_cases) * (panel.lengths - size)
        time = np.arange(n_timepoints)
        inside = (time >= start[:, None]) & (time < (start + size)[:, None])
        # The first and last timepoints are kept, so that the length does not change.
        inside &= (time > 0) & (time < panel.lengths[:, None] - 1)
        values[np.broadcast_to(inside[:, None], values.shape)] = np.nan
    return values
