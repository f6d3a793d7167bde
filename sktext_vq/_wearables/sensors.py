"""Sensors of a body-worn device: names, units and assumptions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sktext_vq._utils.channels import find_triads
from sktext_vq._utils.state import Sizes, check_state

Array = NDArray[np.floating[Any]]
Triad = tuple[int, int, int]

# Size of one unit in g and in rad/s.
ACCELERATION_UNITS = {"g": 1.0, "m/s^2": 1 / 9.80665, "mg": 1e-3}
ROTATION_UNITS = {"rad/s": 1.0, "deg/s": np.pi / 180}
_ALIASES = {"m/s2": "m/s^2", "m/s²": "m/s^2", "ms-2": "m/s^2", "dps": "deg/s"}
# Norm of the acceleration at rest, in g, that may be gravity.
_GRAVITY = (0.75, 1.75)
# Norm above which a twentieth of all values of an acceleration without gravity, in
# m/s^2, is expected. In g, people rarely reach it.
_LEAST_LINEAR = 2.0
# Angular velocity in the unit of the channels, relative to acceleration in g, above
# which the unit is deg/s: medians of public data sets are 1.4 to 8 rad/s and 115 to 450
# deg/s per g.
_DEGREES_PER_G = 30.0
_LEAST_MOVEMENT = 0.005  # g

_FIELDS = ("acceleration", "gravity", "rotation", "factors", "notes", "doubts")
_ROTATION = re.compile(r"gyr|rotation|angular|(^|[\W_])(gy?|w|omega)$", re.IGNORECASE)
_GRAVITY_NAME = re.compile(r"grav", re.IGNORECASE)
_ACCELERATION = re.compile(r"acc|(^|[\W_])a$", re.IGNORECASE)
_LINEAR = re.compile(r"user|linear|body|lin_?acc", re.IGNORECASE)
_OTHER = re.compile(r"mag|orient|quat|euler|field", re.IGNORECASE)


@dataclass(frozen=True)
class SensorPlan:
    """Channels and units of a device.

    Parameters
    ----------
    acceleration : tuple of int
        Channels of the acceleration.
    gravity : tuple of int, optional
        Channels to add to the acceleration.
    rotation : tuple of int, optional
        Channels of the angular velocity.
    factors : tuple of float
        Size of the units of acceleration and angular velocity, in g and rad/s.
    notes : tuple of str
        Assumptions about channels and units.
    doubts : tuple of str
        Assumptions that may be wrong, for a warning.
    """

    acceleration: Triad
    gravity: Triad | None
    rotation: Triad | None
    factors: tuple[float, float] = (1.0, 1.0)
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @classmethod
    def from_state(cls, state: Any, n_channels: int) -> SensorPlan:
        """Build a plan for `n_channels` channels from its fields."""
        check_state(state, dict.fromkeys(_FIELDS), Sizes(), "plan")
        triads = [state[name] for name in _FIELDS[:3]]
        factors = state["factors"]
        is_valid = triads[0] is not None and all(
            each is None or _is_tuple(each, 3, int, -1, n_channels) for each in triads
        )
        if not is_valid or not _is_tuple(factors, 2, float, 0, np.inf):
            raise ValueError("plan is inconsistent with the number of channels")
        return cls(triads[0], triads[1], triads[2], factors)

    def convert(self, values: Array, axis: int) -> NDArray[np.float32]:
        """Return acceleration in g and angular velocity in rad/s, by channel."""
        found = values.take(self.acceleration, axis).astype(np.float64)
        if self.gravity is not None:
            found += values.take(self.gravity, axis)
        found *= self.factors[0]
        if self.rotation is None:
            rotation = np.full_like(found, np.nan)
        else:
            rotation = values.take(self.rotation, axis).astype(np.float64)
            rotation *= self.factors[1]
        return np.concatenate([found, rotation], axis).astype(np.float32)


def _is_tuple(value: Any, size: int, kind: Any, above: float, below: float) -> bool:
    """Return whether a value is a tuple of numbers within exclusive bounds."""
    return (
        isinstance(value, tuple)
        and len(value) == size
        and all(type(each) is kind and above < each < below for each in value)
    )


def find_sensors(names: Sequence[str]) -> SensorPlan:
    """Find the channels of accelerometer and gyroscope by name.

    Raises
    ------
    ValueError
        If no accelerometer has three axes.
    """
    triads = find_triads(names)
    if list(triads) == ["sensor"]:  # x, y and z only
        note = "channels x, y and z are the accelerometer"
        return SensorPlan(triads["sensor"], None, None, notes=(note,))
    kinds: dict[str, list[str]] = {"rotation": [], "gravity": [], "linear": []}
    total: list[str] = []
    for sensor in triads:
        kind = _kind_of(sensor)
        if kind == "total":
            total.append(sensor)
        elif kind:
            kinds[kind].append(sensor)
    if not total and not kinds["linear"]:
        raise ValueError(
            "No accelerometer: no three channels such as acc_x, acc_y and acc_z among "
            f"{list(names)}. Name the channels of one accelerometer in channel_names."
        )
    notes = []
    gravity = None
    chosen = (total or kinds["linear"])[0]
    if not total and kinds["gravity"]:
        gravity = triads[_nearest(chosen, kinds["gravity"])]
        notes.append(f"{kinds['gravity'][0]} + {chosen} is the acceleration")
    elif len(total) > 1:
        notes.append(f"of the accelerometers {total}, {chosen} is used")
    rotation = None
    if kinds["rotation"]:
        rotation = triads[_nearest(chosen, kinds["rotation"])]
    else:
        notes.append("there is no gyroscope")
    return SensorPlan(triads[chosen], gravity, rotation, notes=tuple(notes))


def _kind_of(sensor: str) -> str | None:
    if _OTHER.search(sensor):
        return None
    if _ROTATION.search(sensor):
        return "rotation"
    if _GRAVITY_NAME.search(sensor) and not _ACCELERATION.search(sensor):
        return "gravity"
    if _ACCELERATION.search(sensor):
        return "linear" if _LINEAR.search(sensor) else "total"
    return None


def _nearest(sensor: str, others: Sequence[str]) -> str:
    """Return the sensor whose name shares the longest prefix or suffix."""

    def shared(other: str) -> int:
        return max(_n_equal(sensor, other), _n_equal(sensor[::-1], other[::-1]))

    return max(others, key=shared)


def _n_equal(a: str, b: str) -> int:
    """Return the number of equal characters at the start."""
    pairs = zip(a, b, strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))


def find_units(
    plan: SensorPlan, parts: Iterable[Array], units: str | Mapping[str, str]
) -> SensorPlan:
    """Return a plan with units.

    Parameters
    ----------
    plan : SensorPlan
        Channels.
    parts : iterable of ndarray of shape (n_channels, n_timepoints)
        Windows without missing values, or a sample.
    units : str or dict
        See `sktext_vq.wearables.harmonise`.

    Raises
    ------
    ValueError
        If units are unknown, or the norm at rest is not gravity in any unit.
    """
    given = _read_units(units)
    pieces = list(parts)
    unit = given["acc"]
    notes, doubts = list(plan.notes), list(plan.doubts)
    if unit == "auto":
        unit, doubt = _guess_acceleration(plan, pieces)
        notes.append(f"acceleration is in {unit}")
        doubts += doubt
    factor, rotation = ACCELERATION_UNITS[unit], given["gyro"]
    if plan.rotation is not None and rotation == "auto":
        ratio = _movement_ratio(plan, pieces, factor)
        rotation = "deg/s" if ratio > _DEGREES_PER_G else "rad/s"
        notes.append(f"angular velocity is in {rotation}")
    scale = ROTATION_UNITS.get(rotation, 1.0)
    return SensorPlan(
        plan.acceleration,
        plan.gravity,
        plan.rotation,
        (factor, scale),
        tuple(notes),
        tuple(doubts),
    )


def _read_units(units: Any) -> dict[str, str]:
    """Check the argument `units`."""
    given = units if isinstance(units, Mapping) else {"acc": units}
    found = {"acc": "auto", "gyro": "auto"}
    known = {"acc": ACCELERATION_UNITS, "gyro": ROTATION_UNITS}
    for name, unit in given.items():
        unit = _ALIASES.get(unit, unit) if isinstance(unit, str) else unit
        if name not in found or unit not in ("auto", *known[name]):
            raise ValueError(
                'units must be "auto", a unit of acceleration '
                f"{[*ACCELERATION_UNITS]}, or a dict with the keys 'acc' and 'gyro' "
                f"{[*ROTATION_UNITS]}, got {units!r}."
            )
        found[name] = unit
    return found


def _acceleration(plan: SensorPlan, part: Array) -> Array:
    found = part[list(plan.acceleration)]
    return found if plan.gravity is None else found + part[list(plan.gravity)]


def _guess_acceleration(
    plan: SensorPlan, pieces: Sequence[Array]
) -> tuple[str, list[str]]:
    """Return the unit in which the norm at rest is gravity, and doubts."""
    norms = [np.linalg.norm(_acceleration(plan, part), axis=0) for part in pieces]
    # Rest is the quarter of the windows with the least movement.
    order = np.argsort([norm.std() for norm in norms], kind="stable")
    still = [norms[i] for i in order[: max(1, len(order) // 4)]]
    rest = float(np.median([np.median(norm) for norm in still]))
    for unit, factor in ACCELERATION_UNITS.items():
        if _GRAVITY[0] < rest * factor < _GRAVITY[1]:
            return unit, []
    often = float(np.median([np.quantile(norm, 0.95) for norm in norms]))
    if rest < _GRAVITY[0] and often > _LEAST_LINEAR:
        return "m/s^2", [
            "The acceleration seems to be in m/s^2 and without gravity: its norm at "
            f"rest is {rest:.3g}. Names are much less reliable without gravity."
        ]
    raise ValueError(
        f"The norm of the acceleration at rest is {rest:.3g}, which is not gravity in "
        "g (1), m/s^2 (9.8) or mg (1000). Pass values in one of these units, including "
        "gravity, or set units."
    )


def _movement_ratio(plan: SensorPlan, pieces: Sequence[Array], factor: float) -> float:
    """Return the median ratio of angular velocity to variation of acceleration."""
    assert plan.rotation is not None
    ratios = []
    for part in pieces:
        moved = np.sqrt(_acceleration(plan, part).var(axis=1).sum()) * factor
        turned = np.sqrt(np.square(part[list(plan.rotation)]).mean(axis=1).sum())
        ratios.append(turned / max(float(moved), _LEAST_MOVEMENT))
    return float(np.median(ratios))
