"""Times of the rows of a table: parsing, units and sampling rate."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sktext_vq._io.stretches import NO_LOSS, evenly_spaced
from sktext_vq._io.table import Table, check_comma
from sktext_vq._utils.validation import find_stack_level

# Names of times with a unit, such as time_s, Time (sec) or seconds_elapsed.
_UNIT_NAMES = re.compile(
    r"(.*[\W_])?(?P<s>s|sec|secs|seconds?|seconds_elapsed)\W*"
    r"|(.*[\W_])?(?P<ms>ms|msec|millis|milliseconds?)\W*"
    r"|(.*[\W_])?(?P<us>us|µs|micros|microseconds?)\W*"
    r"|(.*[\W_])?(?P<ns>ns|nanos|nanoseconds?)\W*",
    re.IGNORECASE,
)
# Names of time columns, in addition to those in `table`.
_TIME_NAMES = re.compile(
    r"(elapsed|elapsed[\W_]?time|time|time[\W_]?stamp|time[\W_]?elapsed)"
    r"([\W_]*(s|secs?|seconds?|ms|msec|millis|milliseconds?|us|µs|micros|microseconds?"
    r"|ns|nanos|nanoseconds?|utc))?\W*"
    r"|seconds[\W_]?elapsed|seconds|date[\W_]?time",
    re.IGNORECASE,
)
# Range of seconds since 1970 that are recognised as dates, from 1990 to 2100.
_EPOCH = (631_152_000, 4_102_444_800)
UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}  # units of pandas, in seconds
# Minimum step between dates in s, and range of rates in Hz if the unit is ns, that
# suggest that times are not dates.
_LONG_STEP, _LIKELY_RATES = 5.0, (5.0, 1000.0)
_DAY = 24 * 3600
_MAX_INTEGER = np.iinfo(np.int64).max
# Text that pandas.to_timedelta misreads, such as 11:59:59 PM or 1 000.
_NOT_A_DURATION = r"(?i)[ap]\.?m\.?$|,|^[^:a-z]*$"
_ZONE = r"(?i):.*(?:z|[-+]\d\d(?::?\d\d)?)$"


def sampling_rate(table: Table, times: Times, codes: NDArray[np.intp]) -> float | None:
    """Return the sampling rate in Hz if times are regular and in a known unit.

    Warn if timepoints are missing or not evenly spaced.
    """
    order = np.lexsort((times.values, codes))
    within = codes[order][1:] == codes[order][:-1]
    steps = np.diff(times.values[order])
    # Rows of a tidy table with the same time belong to different channels.
    rows, steps = order[1:][within & (steps > 0)], steps[within & (steps > 0)]
    if not len(steps):
        return None
    usual, is_regular, longest = regularity(steps)
    if longest is not None:
        unit = times.seconds or 1.0
        second = " s" if times.seconds else ""
        warnings.warn(
            f"{table.path} has unevenly spaced times in column {times.name!r}: steps "
            f"within a case have a median of {usual * unit:.6g}{second} and a "
            f"maximum of {steps[longest] * unit:.6g}{second}, before "
            f"{table.place(int(rows[longest]))}. {UNEVEN}",
            stacklevel=find_stack_level(),
        )
    if times.seconds is None or not is_regular:
        return None
    return float(f"{1 / (usual * times.seconds):.4g}")  # times are rounded


UNEVEN = (
    "Timepoints are assumed to be evenly spaced. Split the series at gaps into "
    "separate cases, or resample it."
)


def regularity(steps: NDArray[Any]) -> tuple[float, bool, int | None]:
    """Return the median step, whether steps are regular, and the longest step's index.

    The index is None if all steps are similar.
    """
    usual, longest = float(np.median(steps)), int(steps.argmax())
    is_regular = evenly_spaced(steps, usual)
    is_uneven = not is_regular or steps[longest] > NO_LOSS * usual
    return usual, is_regular, longest if is_uneven else None


@dataclass(frozen=True, eq=False)
class Times:
    """Times of the rows of a table."""

    name: str
    values: NDArray[Any]  # numbers in the order of the times
    seconds: float | None = None  # duration of one unit, if known
    is_clock: bool = False  # times of day without a date
    dtype: np.dtype[Any] | None = None  # of dates and durations

    @property
    def day(self) -> int:
        """Number of units in a day."""
        assert self.seconds is not None
        return round(_DAY / self.seconds)


def find_times(names: Iterable[str]) -> str | None:
    """Return the first name that looks like a time, such as time_s or datetime."""
    return next((name for name in names if _TIME_NAMES.fullmatch(name)), None)


def read_times(table: Table, name: str) -> Times:
    """Convert a time column to numbers with a unit."""
    table.check_no_missing(name)
    column = found = table.frame[name]
    if not (pd.api.types.is_numeric_dtype(column) or column.dtype.kind in "mM"):
        found = _parse_times(table, column)
    if not pd.api.types.is_numeric_dtype(found):
        # pandas dtypes with time zones also have kind "M".
        values, seconds = found.astype(np.int64).to_numpy(), UNITS[found.dt.unit]
        is_clock = found.dtype.kind == "m"
        is_clock = is_clock and bool(
            0 <= values.min() and values.max() * seconds < _DAY
        )
        kind = "m8" if found.dtype.kind == "m" else "M8"
        dtype = np.dtype(f"{kind}[{found.dt.unit}]")
        return Times(name, values, seconds, is_clock, dtype)
    values = found.to_numpy()
    is_integer = values.dtype.kind in "iu" and (values <= _MAX_INTEGER).all()
    # Differences of small or unsigned integers would overflow.
    values = found.to_numpy(np.int64 if is_integer else np.float64)
    _check_times(table, column, ~np.isfinite(values))
    return Times(name, values, _find_unit(name, values))


def _find_unit(name: str, values: NDArray[Any]) -> float | None:
    """Derive the unit of numeric times from the column name, or from their range."""
    if match := _UNIT_NAMES.fullmatch(name):
        return next(UNITS[unit] for unit, found in match.groupdict().items() if found)
    for unit in UNITS.values():
        earliest, latest = (round(border / unit) for border in _EPOCH)
        if len(values) and earliest <= values.min() and values.max() <= latest:
            return unit
    return None


def warn_of_unit(times: Times) -> None:
    """Warn if numbers that are read as dates may be times since a device started."""
    values, unit = times.values, times.seconds
    if unit is None or times.dtype is not None or _UNIT_NAMES.fullmatch(times.name):
        return
    step = float(np.median(np.abs(np.diff(values)))) if len(values) > 1 else 0.0
    low, high = _LIKELY_RATES
    if step * unit < _LONG_STEP or (step * unit) % 60 == 0:
        return
    first = pd.Timestamp(float(values.min()) * unit, unit="s")
    # A device that started weeks ago is less likely than a logger with a long step.
    is_recent = unit == UNITS["us"] and first.year >= 2010
    if low <= 1e9 / step <= high and not is_recent:
        warnings.warn(
            f"The times in column {times.name!r} are read as dates, with one timepoint "
            f"per {step * unit:g} s and the first in {first.year}. If they are "
            'nanoseconds since the start of a device, pass time_unit="ns" (--time-unit '
            "ns).",
            stacklevel=find_stack_level(),
        )


def _parse_times(table: Table, column: pd.Series[Any]) -> pd.Series[Any]:
    """Parse text as numbers, dates or durations, whichever is valid for all cells."""
    text = column.astype(str)
    # Other cells are parsed as numbers only if the first cell is a number.
    is_number = pd.to_numeric(text.iloc[:1], errors="coerce").notna().all()
    numbers = pd.to_numeric(text if is_number else text.iloc[:1], errors="coerce")
    if numbers.notna().all():
        # Integers beyond the range of int64 have dtype object.
        return numbers.astype(float) if numbers.dtype == object else numbers
    # pandas misreads fractions of seconds after a comma.
    text = text.str.replace(r"(:\d\d),(\d+)", r"\1.\2", regex=True)
    dates = pd.to_datetime(text, errors="coerce", format="ISO8601", utc=True)
    if dates.notna().all():
        has_zone = text.str.contains(_ZONE, regex=True).to_numpy(bool)
        if has_zone.any() and not has_zone.all():
            row = int((has_zone != has_zone[0]).argmax())
            raise ValueError(
                f"{table.path} has times with and without a time zone in column "
                f"{column.name!r}: {column.iloc[row]!r} in {table.place(row)} after "
                f"{column.iloc[row - 1]!r}. Add the time zone to all times, or remove "
                "it."
            )
        return dates
    is_other = text.str.contains(_NOT_A_DURATION, regex=True).to_numpy(bool)
    durations = pd.to_timedelta(text.where(~is_other), errors="coerce")
    numbers = pd.to_numeric(text, errors="coerce")
    best = min((numbers, dates, durations), key=lambda each: each.isna().sum())
    _check_times(table, column, best.isna().to_numpy())
    return best


def _check_times(
    table: Table, column: pd.Series[Any], wrong: NDArray[np.bool_]
) -> None:
    if not wrong.any():
        return
    row = int(wrong.argmax())
    text = str(column.iloc[row])
    cell = f"{table.path} has {text!r} in column {column.name!r}, {table.place(row)}"
    check_comma(text, cell)
    raise ValueError(
        f"{cell}, which is not a number or a time such as 2024-05-31 21:00:00 or "
        "21:00:00 (year first, 24-hour clock)."
    )
