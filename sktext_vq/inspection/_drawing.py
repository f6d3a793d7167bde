"""Coordinates of series as SVG lines, in a box of 1000 by 100."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 1000, 100
MAX_POINTS = 600  # enough for most screens


def limits(values: NDArray[Any]) -> tuple[float, float]:
    """Return different lower and upper limits for drawing values."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if high > low:
        return low, high
    margin = 1 + abs(low) / 2  # for constants, not lost in rounding of huge values
    return low - margin, high + margin


def lines(values: NDArray[Any], low: float, high: float) -> list[str]:
    """Return lines, such as ``"5.0,80.1 15.0,75.0"``, for each stretch without NaN.

    With more than 600 timepoints, only minima and maxima of stretches are drawn. `low`
    and `high` are the values at the bottom and at the top.
    """
    time = (np.arange(len(values)) + 0.5) * WIDTH / len(values)
    values = np.asarray(values, dtype=np.float64)
    if len(values) > MAX_POINTS:
        time, values = _thin(time, values)
    # Halved before subtraction, since huge values would overflow.
    share = (values / 2 - low / 2) / (high / 2 - low / 2)
    height = HEIGHT * (0.96 - 0.92 * share)
    found = []
    bounds = np.flatnonzero(np.diff(np.isfinite(values), prepend=False, append=False))
    for start, end in bounds.reshape(-1, 2).tolist():
        points = [f"{time[i]:.1f},{height[i]:.1f}" for i in range(start, end)]
        # A single point is repeated, to be drawn as a dot.
        found.append(" ".join(points if len(points) > 1 else points * 2))
    return found


def _thin(
    time: NDArray[Any], values: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the minimum and maximum of each stretch, in order of time."""
    kept = []
    for part in np.array_split(np.arange(len(values)), MAX_POINTS // 2):
        known = part[np.isfinite(values[part])]
        if len(known) < len(part):
            kept += part[~np.isfinite(values[part])][:1].tolist()
        if len(known):
            kept += [known[values[known].argmin()], known[values[known].argmax()]]
    order = np.unique(kept)
    return time[order], values[order]
