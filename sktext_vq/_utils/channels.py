"""Parsing of sensors and axes from channel names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_AXIS_LAST = re.compile(r"(?P<sensor>.*?)[\s._-]*(?P<axis>[xyz])", re.IGNORECASE)
_AXIS_FIRST = re.compile(r"(?P<axis>[xyz])[\s._-]+(?P<sensor>.+)", re.IGNORECASE)


def split_axis(name: str) -> tuple[str, str] | None:
    """Split a channel name such as "acc_x", "AccX" or "x acc" into sensor and axis.

    Returns None if the name does not contain an axis.

    >>> split_axis("body_acc_X"), split_axis("heart rate")
    (('body_acc', 'x'), None)
    """
    name = name.strip()
    match = _AXIS_LAST.fullmatch(name) or _AXIS_FIRST.fullmatch(name)
    return None if match is None else (match["sensor"], match["axis"].lower())


def has_separate_axis(name: str) -> bool:
    """Return whether the axis in a channel name is separate from the sensor.

    True for ``acc_x``, ``accX`` and ``x acc``; False for ``galaxy`` and ``accx``.
    """
    name = name.strip()
    if _AXIS_LAST.fullmatch(name) is None:
        return True
    before, last = name[-2:-1], name[-1]
    return not before.isalpha() or (before.islower() and last.isupper())


def find_triads(names: Sequence[str]) -> dict[str, tuple[int, int, int]]:
    """Find triaxial sensors by their channel names.

    Returns the channel indices of the axes x, y and z by sensor.

    >>> find_triads(["acc_x", "acc_y", "acc_z", "temperature", "gyro_x"])
    {'acc': (0, 1, 2)}
    """
    found: dict[str, dict[str, int]] = {}
    for i, name in enumerate(names):
        parts = split_axis(name)
        if parts is not None:
            found.setdefault(parts[0], {}).setdefault(parts[1], i)
    return {
        sensor or "sensor": (axes["x"], axes["y"], axes["z"])
        for sensor, axes in found.items()
        if len(axes) == 3
    }


def list_sensors(n_channels: int, triads: Iterable[Sequence[int]]) -> list[list[int]]:
    """Return channels by sensor: sensors with three axes, then single channels."""
    found = [list(axes) for axes in triads]
    taken = {channel for axes in found for channel in axes}
    return found + [[i] for i in range(n_channels) if i not in taken]


def group_channels(names: Sequence[str]) -> dict[str, list[int]]:
    """Group channels that are axes of the same sensor, in order of appearance.

    A channel without an axis is a separate group.

    >>> group_channels(["acc_x", "acc_y", "hr", "galaxy"])
    {'acc': [0, 1], 'hr': [2], 'galaxy': [3]}
    """
    axes = {channel for triad in find_triads(names).values() for channel in triad}
    found: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        parts = split_axis(name)
        is_axis = parts and parts[0] and (i in axes or has_separate_axis(name))
        found.setdefault(parts[0] if parts and is_axis else name, []).append(i)
    return found
