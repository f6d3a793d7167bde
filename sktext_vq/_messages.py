"""Words that errors and warnings share."""

from __future__ import annotations

from collections.abc import Collection
from numbers import Integral
from typing import Any

import numpy as np


def few(names: Collection[Any], most: int = 8) -> str:
    """Join the first names, and say whether there are more."""
    shown = ", ".join(map(repr, list(names)[:most]))
    return f"{shown}, ..." if len(names) > most else shown


def check_count(name: str, value: Any, least: int) -> None:
    """Refuse a parameter that is no whole number, or too small."""
    if not isinstance(value, Integral):
        raise TypeError(f"{name} must be an int, got {value!r}.")
    if int(value) < least:
        raise ValueError(f"{name} must be at least {least}, got {value}.")


def label_text(label: Any) -> str:
    """Return how a label is written: 1 and 1.0 are the same as ``"1"``.

    Labels of one file may be numbers and those of another text, as where one of them
    has a class "other".
    """
    if isinstance(label, float | np.floating) and float(label).is_integer():
        return str(int(label))
    return str(label)
