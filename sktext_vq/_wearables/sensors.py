"""Identification of the sensors in a body-worn device, and of their units."""

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

# Sizes of the units in g and in rad/s.
ACCELERATION_UNITS = {"g": 1.0, "m/s^2": 1 / 9.80665, "mg": 1e-3}
ROTATION_UNITS = {"rad/s": 1.0, "deg/s": np.pi / 180}
_ALIASES = {"m/s2": "m/s^2", "m/s²": "m/s^2", "ms-2": "m/s^2", "dps": "deg/s"}
# Range of norms of the acceleration at rest, in g, that are accepted as gravity.
_GRAVITY = (0.75, 1.75)
# An acceleration without gravity is assumed to be in m/s^2 if 5 % of its norms exceed
# this value. In g, people rarely reach this value.
_MIN_LINEAR = 2.0
# Ratio of the angular velocity to the variation of the acceleration in g above which
# the angular velocity is assumed to be in deg/s. In public data sets, the median ratio
# is 1.4 to 8 rad/s and 115 to 450 deg/s per g.
_DEGREES_PER_G = 30.0
_MIN_MOVEMENT = 0.005  # minimum variation of the acceleration in g, as a divisor

_FIELDS = ("acceleration", "gravity", "rotation", "factors", "notes", "doubts")
_ROTATION = re.compile(r"gyr|rotation|angular|(^|[\W_])(gy?|w|omega)$", re.IGNORECASE)
_GRAVITY_NAME = re.compile(r"grav", re.IGNORECASE)
_ACCELERATION = re.compile(r"acc|(^|[\W_])a$", re.IGNORECASE)
_LINEAR = re.compile(r"user|linear|body|lin_?acc", re.IGNORECASE)
_KIND_WORDS = re.compile(
    r"accel[a-z]*|acc|gyr[a-z]*|rotation|rate|angular|velocity|grav[a-z]*|user|linear|lin|"
    r"body|total|raw|calibrated|sensor|(?<![^\W_])(?:a|g|gy|w|omega)(?![^\W_])"
)
_OTHER_FILE = re.compile(
    r"(?:^|[\W_])(gyro(scope)?|magnet(ometer)?)(uncalibrated)?(?![a-z])|^gravity$",
    re.IGNORECASE,
)
# Units, ranges and names of chips, which do not tell devices apart.
_NO_PLACE = re.compile(
    r"m?g|dps|degs?|rads?|m|s|s2|ms2|mps2|si|hz|filtered|corrected|\d+(g|dps|hz)|"
    r"[a-z]+\d{3,}[a-z]*"
)
_PLACES = re.compile(
    r"left|right|upper|lower|head|ear|neck|chest|sternum|trunk|torso|back|lumbar|pelvis|"
    r"shoulder|arm|elbow|wrist|hand|finger|ring|waist|hip|belt|pocket|thigh|leg|knee|shin"
    r"|tibia|ankle|foot|shoe|phone|watch|glass|\d"
)
_OTHER = re.compile(r"mag|orient|quat|euler|field", re.IGNORECASE)


@dataclass(frozen=True)
class SensorPlan:
    """Channels and units of a device.

    Parameters
    ----------
    acceleration : tuple of int
        Channels of the acceleration.
    gravity : tuple of int, optional
        Channels of gravity, which are added to the acceleration.
    rotation : tuple of int, optional
        Channels of the angular velocity.
    factors : tuple of float
        Sizes of the units of acceleration and angular velocity, in g and rad/s.
    notes : tuple of str
        Assumptions about the channels and units.
    doubts : tuple of str
        Sentences about uncertain assumptions, which are issued as a warning. Before
        units are added, they apply only if the acceleration does not include gravity.
    """

    acceleration: Triad
    gravity: Triad | None
    rotation: Triad | None
    factors: tuple[float, float] = (1.0, 1.0)
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @classmethod
    def from_state(cls, state: Any, n_channels: int) -> SensorPlan:
        """Build a plan from its fields, and check it against the number of channels."""
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
        """Return the channels of acceleration in g and angular velocity in rad/s."""
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


def check_recording_names(names: Sequence[str], recordings: Sequence[str]) -> None:
    """Check that channels x, y and z are not those of another sensor.

    Raises
    ------
    ValueError
        If names of recordings, such as names of files, are names of other sensors.
    """
    files = {each: each.rpartition("/")[2] for each in recordings}
    others = [
        each
        for each, file in files.items()
        if _OTHER_FILE.search(file) and not _ACCELERATION.search(each)
    ]
    if others and list(find_triads(names)) == ["sensor"]:
        raise ValueError(
            f"According to their names, the recordings {others} do not contain "
            "acceleration. Join the files of all sensors to one table with channel "
            "names such as acc_x and gyro_x, or pass only files with acceleration."
        )


def find_sensors(names: Sequence[str]) -> SensorPlan:
    """Identify the channels of the accelerometer and the gyroscope by name.

    Raises
    ------
    ValueError
        If there is no accelerometer with three axes.
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
            "No accelerometer was found: channel_names must contain three names such "
            f"as acc_x, acc_y and acc_z, got {list(names)}."
        )
    candidates = total or kinds["linear"]
    words = [_words(each) for each in kinds["rotation"]]
    with_equal_words = (each for each in candidates if _words(each) in words)
    with_gyroscope = (
        each for each in candidates if _of_same_device(each, kinds["rotation"])
    )
    chosen = next(with_equal_words, next(with_gyroscope, candidates[0]))
    notes, doubts = [], []
    if len(candidates) > 1:
        notes.append(f"of the accelerometers {candidates}, only {chosen} is used")
    gravity = None if total else _of_same_device(chosen, kinds["gravity"])
    if gravity is not None:
        notes.append(f"{gravity} + {chosen} is the acceleration")
    elif not total:
        doubts.append(
            f"According to its name, {chosen} is an acceleration without gravity. "
            "Predictions are much less reliable without gravity."
        )
    rotation, remark = _choose_gyroscope(chosen, candidates, kinds["rotation"])
    notes += [] if remark is None else [remark]
    return SensorPlan(
        triads[chosen],
        None if gravity is None else triads[gravity],
        None if rotation is None else triads[rotation],
        notes=tuple(notes),
        doubts=tuple(doubts),
    )


def _choose_gyroscope(
    chosen: str, accelerometers: Sequence[str], gyroscopes: Sequence[str]
) -> tuple[str | None, str | None]:
    """Return the gyroscope in the device of an accelerometer, and a note."""
    found = _of_same_device(chosen, gyroscopes)
    if found is not None:
        return found, None
    if not gyroscopes:
        return None, "there is no gyroscope"
    if len(accelerometers) == len(gyroscopes) == 1:
        # Words that are not known as places may be settings of a sensor.
        words = [" ".join(_place(each)) for each in (chosen, gyroscopes[0])]
        if not all(map(_PLACES.search, words)):
            note = f"{gyroscopes[0]} is assumed to be in the device of {chosen}"
            return gyroscopes[0], note
    return None, f"there is no gyroscope at the place of {chosen}"


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


def _of_same_device(sensor: str, others: Sequence[str]) -> str | None:
    """Return the other sensor that is probably in the same device, or None.

    Names of sensors in different devices contain different words, such as chest and
    ankle. Of several sensors, the one whose name has the longest prefix or suffix in
    common is returned.
    """
    place = _place(sensor)

    def similarity(other: str) -> tuple[bool, int]:
        n_equal = max(_n_equal(sensor, other), _n_equal(sensor[::-1], other[::-1]))
        return _place(other) == place, n_equal

    found = [each for each in others if place <= _place(each) or _place(each) <= place]
    return max(found, key=similarity) if found else None


def _place(sensor: str) -> set[str]:
    """Return the words of a name that tell devices apart."""
    return {word for word in _words(sensor) if not _NO_PLACE.fullmatch(word)}


def _words(sensor: str) -> set[str]:
    """Return the words of a name that do not describe the kind of sensor."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", sensor).lower()
    return set(re.findall(r"[^\W_]+", _KIND_WORDS.sub(" ", words)))


def _n_equal(a: str, b: str) -> int:
    """Return the number of equal characters at the start of two strings."""
    pairs = zip(a, b, strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))


def find_units(
    plan: SensorPlan, parts: Iterable[Array], units: str | Mapping[str, str]
) -> SensorPlan:
    """Return the plan with the units of the channels added.

    Parameters
    ----------
    plan : SensorPlan
        Channels of the sensors.
    parts : iterable of ndarray of shape (n_channels, n_timepoints)
        Sample of the windows. Only the angular velocity may be missing.
    units : str or dict
        Units, or "auto"; see `sktext_vq.wearables.harmonise`.

    Raises
    ------
    ValueError
        If `units` is invalid, or if the norm of the acceleration at rest is not close
        to 1 g in any unit.
    """
    given = _read_units(units)
    pieces = list(parts)
    unit = given["acc"]
    notes = list(plan.notes)
    doubts: list[str] = []
    if unit == "auto":
        unit, doubts = _guess_acceleration(plan, pieces)
        notes.append(f"acceleration is in {unit}")
    elif _norm_at_rest(plan, pieces) * ACCELERATION_UNITS[unit] < _GRAVITY[0]:
        notes.append("the acceleration does not seem to include gravity")
        doubts = list(plan.doubts)
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
    """Check the argument `units`, and return the unit of each sensor."""
    given = units if isinstance(units, Mapping) else {"acc": units}
    found = {"acc": "auto", "gyro": "auto"}
    known = {"acc": ACCELERATION_UNITS, "gyro": ROTATION_UNITS}
    for name, unit in given.items():
        unit = _ALIASES.get(unit, unit) if isinstance(unit, str) else unit
        if name not in found or unit not in ("auto", *known[name]):
            raise ValueError(
                'units must be "auto", a unit of acceleration '
                f"{[*ACCELERATION_UNITS]}, or a dict that maps 'acc' to one of these "
                f"units and 'gyro' to a unit of angular velocity {[*ROTATION_UNITS]}, "
                f"got {units!r}."
            )
        found[name] = unit
    return found


def _acceleration(plan: SensorPlan, part: Array) -> Array:
    found = part[list(plan.acceleration)]
    return found if plan.gravity is None else found + part[list(plan.gravity)]


def _norms(plan: SensorPlan, pieces: Sequence[Array]) -> list[Array]:
    return [np.linalg.norm(_acceleration(plan, part), axis=0) for part in pieces]


def _norm_at_rest(plan: SensorPlan, pieces: Sequence[Array]) -> float:
    """Return the median norm of the acceleration in windows with little movement."""
    norms = _norms(plan, pieces)
    # The quarter of the windows with the least movement is assumed to be at rest.
    order = np.argsort([norm.std() for norm in norms], kind="stable")
    still = [norms[i] for i in order[: max(1, len(order) // 4)]]
    return float(np.median([np.median(norm) for norm in still]))


def _guess_acceleration(
    plan: SensorPlan, pieces: Sequence[Array]
) -> tuple[str, list[str]]:
    """Return the unit in which the norm at rest is about 1 g, and doubts about it."""
    rest = _norm_at_rest(plan, pieces)
    for unit, factor in ACCELERATION_UNITS.items():
        if _GRAVITY[0] < rest * factor < _GRAVITY[1]:
            return unit, []
    norms = _norms(plan, pieces)
    often = float(np.median([np.quantile(norm, 0.95) for norm in norms]))
    if rest < _GRAVITY[0] and often > _MIN_LINEAR:
        return "m/s^2", [
            "The acceleration seems to be in m/s^2 and without gravity, because its "
            f"norm at rest is {rest:.3g}. Predictions are much less reliable without "
            "gravity."
        ]
    raise ValueError(
        f"The norm of the acceleration at rest is {rest:.3g}, which is not gravity in "
        "g (1), m/s^2 (9.8) or mg (1000). Pass values that include gravity in one of "
        "these units, or set the parameter units."
    )


def _movement_ratio(plan: SensorPlan, pieces: Sequence[Array], factor: float) -> float:
    """Return the median ratio of the angular velocity to the acceleration variation."""
    assert plan.rotation is not None
    ratios = []
    for part in pieces:
        rotation = part[list(plan.rotation)]
        rotation = rotation[:, ~np.isnan(rotation).any(axis=0)]
        if not rotation.size:
            continue
        moved = np.sqrt(_acceleration(plan, part).var(axis=1).sum()) * factor
        turned = np.sqrt(np.square(rotation).mean(axis=1).sum())
        ratios.append(turned / max(float(moved), _MIN_MOVEMENT))
    return float(np.median(ratios)) if ratios else 0.0
