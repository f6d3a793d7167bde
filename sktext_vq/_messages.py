"""Words that errors and warnings share."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any


def few(names: Collection[Any], most: int = 8) -> str:
    """Join the first names, and say whether there are more."""
    shown = ", ".join(map(repr, list(names)[:most]))
    return f"{shown}, ..." if len(names) > most else shown
