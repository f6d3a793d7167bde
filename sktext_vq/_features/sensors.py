"""Checks of channel names and sensors with three axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from sktext_vq._utils.channels import find_triads
from sktext_vq._utils.validation import check_text
from sktext_vq.panel import Panel


def check_channel_names(channel_names: Any, panel: Panel) -> tuple[str, ...] | None:
    """Check and return the names of the channels, or None if there are no names.

    By default, the column names of X are used, if any.

    Raises
    ------
    TypeError
        If `channel_names` is not a list of names.
    ValueError
        If names are not unique, or their number or order does not match X.
    """
    known = panel.channel_names if channel_names is None else channel_names
    if known is None:
        return None
    if isinstance(known, str) or not np.iterable(known):
        raise TypeError(f"channel_names must be a list of names, got {known!r}.")
    names = [str(name) for name in known]
    n_channels = panel.n_channels
    if len(names) != n_channels or len(set(names)) != len(names):
        advice = ""
        if len(names) == panel.n_timepoints:
            advice = (
                f" X has {panel.n_timepoints} timepoints. The axes of X must be "
                "cases, channels and timepoints, in this order; X.transpose(0, 2, 1) "
                "swaps the last two."
            )
        wanted = f"{n_channels} different names, one for each channel of X"
        raise ValueError(
            f"channel_names must contain {wanted if n_channels > 1 else 'one name'}, "
            f"got {names}.{advice}"
        )
    check_text(names, "channel_names")
    columns = list(panel.channel_names or names)
    if names != columns and sorted(names) == sorted(columns):
        raise ValueError(
            f"channel_names has the columns of X in a different order: {names} "
            f"instead of {columns}. Use the order of X or omit channel_names."
        )
    return tuple(names)


def check_sensors(
    gravity: Any, names: Sequence[str], *, is_named: bool
) -> dict[str, tuple[int, int, int]]:
    """Check and return the channels of the axes of each sensor.

    Axes are recognised by name only if `is_named` is True.

    Raises
    ------
    ValueError
        If the axes of a sensor are not three different channels.
    """
    if not isinstance(gravity, Mapping):
        return find_triads(names) if is_named and gravity is not None else {}
    found = {}
    for sensor, axes in gravity.items():
        is_list = np.iterable(axes) and not isinstance(axes, str)
        indices = [
            names.index(axis) if isinstance(axis, str) and axis in names else axis
            for axis in (axes if is_list else [])
        ]
        is_valid = all(
            isinstance(i, Integral) and 0 <= int(i) < len(names) for i in indices
        )
        if not is_valid or not len(set(indices)) == len(indices) == 3:
            raise ValueError(
                f"gravity[{sensor!r}] must contain three different channels, given by "
                f"name or by index from 0 to {len(names) - 1}, got {axes!r}."
            )
        x, y, z = map(int, indices)
        found[str(sensor)] = (x, y, z)
    check_text(found, "gravity")
    return found
