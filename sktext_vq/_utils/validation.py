"""Checks of single values, and the wording that errors and warnings share."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

_PACKAGE = Path(__file__).parents[1]


def format_names(names: Collection[Any], n_shown: int = 8) -> str:
    """Return the first names, separated by commas, and dots if there are more."""
    shown = ", ".join(map(repr, list(names)[:n_shown]))
    return f"{shown}, ..." if len(names) > n_shown else shown


def check_count(name: str, value: Any, least: int) -> None:
    """Check that a parameter is an int and not too small.

    Raises
    ------
    TypeError
        If it is not an int.
    ValueError
        If it is less than `least`.
    """
    if not isinstance(value, Integral):
        raise TypeError(f"{name} must be an int, got {value!r}.")
    if int(value) < least:
        raise ValueError(f"{name} must be at least {least}, got {value}.")


def check_text(names: Iterable[Any], called: str) -> None:
    """Check that arrays and files can hold names.

    Parameters
    ----------
    names : iterable
        Names; values other than strings are ignored.
    called : str
        Name of the argument, for the message.

    Raises
    ------
    ValueError
        If a name ends in a NUL character or contains an unpaired surrogate.
    """
    for name in names:
        if not isinstance(name, str):
            continue
        # UTF-8 has no code for an unpaired surrogate, and NumPy drops NUL at the end.
        if name != name.encode("utf-8", "replace").decode() or name.endswith("\0"):
            raise ValueError(
                f"{called} contains {name!r}, which is not valid text: it ends in a "
                "NUL character or contains an unpaired surrogate. Give it another name."
            )


def label_text(label: Any) -> str:
    """Return how a label is written: 1 and 1.0 are the same as ``"1"``.

    Labels of one file may be numbers and those of another text, as where one of them
    has a class "other".
    """
    if isinstance(label, float | np.floating) and float(label).is_integer():
        return str(int(label))
    return str(label)


def find_stack_level() -> int:
    """Return the stack level at which a warning points at the caller of the package."""
    frame = inspect.currentframe()
    level = 0
    while frame is not None and _PACKAGE in Path(frame.f_code.co_filename).parents:
        frame = frame.f_back
        level += 1
    return max(level, 1)
