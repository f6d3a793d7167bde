"""Parameter validation and helpers for messages."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

_PACKAGE = Path(__file__).parents[1]


def format_names(names: Collection[Any], n_shown: int = 8) -> str:
    """Join names with commas; an ellipsis follows the first `n_shown`."""
    shown = ", ".join(map(repr, list(names)[:n_shown]))
    return f"{shown}, ..." if len(names) > n_shown else shown


def check_count(name: str, value: Any, least: int) -> None:
    """Check that a parameter is an int and at least `least`."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an int, got {value!r}.")
    if int(value) < least:
        raise ValueError(f"{name} must be at least {least}, got {value}.")


def check_sampling_rate(rate: Any) -> None:
    """Check that a sampling rate is a positive, finite number, or None."""
    if rate is None or (isinstance(rate, Real) and 0 < float(rate) < float("inf")):
        return
    raise ValueError(
        "sampling_rate must be a positive, finite number of timepoints per second, or "
        f"None, got {rate!r}."
    )


def check_text(names: Iterable[Any], called: str) -> None:
    """Check that strings can be stored in arrays and files; ignore other values.

    Raises a ValueError for a trailing NUL character or an unpaired surrogate.
    """
    for name in names:
        if not isinstance(name, str):
            continue
        # UTF-8 cannot encode unpaired surrogates, and NumPy drops trailing NUL.
        if name != name.encode("utf-8", "replace").decode() or name.endswith("\0"):
            raise ValueError(
                f"{called} contains {name!r}, which is not valid text: it ends with a "
                "NUL character or contains an unpaired surrogate. Remove the character."
            )


def label_text(label: Any) -> str:
    """Convert a label to text so that 1, 1.0 and ``"1"`` are equal.

    Labels may be numbers in one file and text in another.
    """
    if isinstance(label, float | np.floating) and float(label).is_integer():
        return str(int(label))
    return str(label)


def find_stack_level() -> int:
    """Return the stack level of the code that calls the package, for warnings."""
    frame = inspect.currentframe()
    level = 0
    while frame is not None and _PACKAGE in Path(frame.f_code.co_filename).parents:
        frame = frame.f_back
        level += 1
    return max(level, 1)
