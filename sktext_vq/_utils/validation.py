"""Words that errors and warnings share."""

from __future__ import annotations

from collections.abc import Collection
from numbers import Integral
from typing import Any


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
