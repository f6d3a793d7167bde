"""Functions that format numbers and draw series in an SVG box of 1000 by 100."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 1000, 100
MAX_POINTS = 600  # about the width of a line in pixels on most screens


LEAST_NAMED = 0.05  # minimum contribution to label, relative to the largest
_MAX_FACTOR = 1_000_000  # larger factors are not shown


def signed(value: float) -> str:
    """Format a number with two decimals and a sign of constant width."""
    return f"{round(value, 2) + 0.0:+.2f}".replace("-", "\N{MINUS SIGN}")


def odds_factor(log_odds: float) -> str:
    """Format odds with three significant digits."""
    if log_odds > np.log(_MAX_FACTOR):
        return f"over {_MAX_FACTOR:,}"
    return f"{float(f'{np.exp(log_odds):.3g}'):,g}"


def limits(values: NDArray[Any]) -> tuple[float, float]:
    """Return the lowest and the highest value to draw, which are always different."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if high > low:
        return low, high
    margin = 1 + abs(low) / 2  # for constant series, of any magnitude
    return low - margin, high + margin


def lines(values: NDArray[Any], low: float, high: float) -> list[str]:
    """Convert a series to points of SVG lines, such as ``"5.0,80.1 15.0,75.0"``.

    Missing values split a series into several lines. For more than 600 values, only
    minima and maxima of neighbouring values are drawn. `low` is drawn at the bottom,
    and `high` at the top.
    """
    time = (np.arange(len(values)) + 0.5) * WIDTH / len(values)
    values = np.asarray(values, dtype=np.float64)
    if len(values) > MAX_POINTS:
        time, values = _thin(time, values)
    # Halved before subtraction, because the difference of huge values would overflow.
    share = (values / 2 - low / 2) / (high / 2 - low / 2)
    height = HEIGHT * (0.96 - 0.92 * share)
    found = []
    bounds = np.flatnonzero(np.diff(np.isfinite(values), prepend=False, append=False))
    for start, end in bounds.reshape(-1, 2).tolist():
        points = [f"{time[i]:.1f},{height[i]:.1f}" for i in range(start, end)]
        # A repeated point is drawn as a dot.
        found.append(" ".join(points if len(points) > 1 else points * 2))
    return found


def _thin(
    time: NDArray[Any], values: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Select the lowest and the highest of neighbouring values, sorted by time."""
    kept = []
    for part in np.array_split(np.arange(len(values)), MAX_POINTS // 2):
        known = part[np.isfinite(values[part])]
        if len(known) < len(part):
            kept += part[~np.isfinite(values[part])][:1].tolist()
        if len(known):
            kept += [known[values[known].argmin()], known[values[known].argmax()]]
    order = np.unique(kept)
    return time[order], values[order]
