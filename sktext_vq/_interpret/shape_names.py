"""Descriptions of the shapes of codes in words."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sktext_vq.nn.segmentation import SMALL_SHAPE

FLAT = "nearly flat"
# Maximum standard deviation of a flat shape. Most shapes have a value of about 1.
_FLAT_SHAPE = 0.1


def shape_words(shape: NDArray[Any]) -> str:
    """Describe a shape in words.

    Parameters
    ----------
    shape : ndarray of shape (n_points,)
        Shape of a code, such as a row of ``shapes_``.

    Returns
    -------
    str
        Description, such as ``"rise"``, ``"peak, early"`` or ``"wave"``. A shape with a
        small standard deviation is described as ``"slight fall"`` or ``"nearly flat"``,
        for example.

    Examples
    --------
    >>> import numpy as np
    >>> from sktext_vq.inspection import shape_words
    >>> shape_words(np.array([-1.5, -1, -0.6, -0.2, 0.2, 0.6, 1, 1.5]))
    'rise'
    """
    shape = shape - shape.mean()
    spread = shape.std()
    if spread < _FLAT_SHAPE:
        return FLAT
    points = shape / spread
    words = _form(points)
    # Windows with small shapes are nearly constant, since shape = (w - mu)/(sigma + c).
    return words if spread >= SMALL_SHAPE else f"slight {words}"


def _form(points: NDArray[Any]) -> str:
    """Describe a shape with mean 0 and standard deviation 1."""
    n_points = len(points)
    steps = np.diff(points)
    turns = _turning_points(points, 0.6)
    jump = int(np.abs(steps).argmax())
    if abs(steps[jump]) > 0.75 * np.abs(steps).sum() and len(turns) == 0:
        kind = "step up" if steps[jump] > 0 else "step down"
        return f"{kind}, {_place(jump + 0.5, n_points)}"
    if len(turns) == 0:
        return "rise" if points[-1] > points[0] else "fall"
    if len(turns) == 1:
        kind = "peak" if points[turns[0]] > 0 else "valley"
        return f"{kind}, {_place(turns[0], n_points)}"
    if len(turns) == 2:
        first_up = points[turns[0]] > points[turns[1]]
        return "up, down, up" if first_up else "down, up, down"
    return "wave" if len(turns) < 5 else "fast wave"


def _turning_points(points: NDArray[Any], min_change: float) -> list[int]:
    """Return indices of extrema with changes of at least `min_change` on both sides."""
    turns: list[int] = []
    extreme, direction = 0, 0
    for i in range(1, len(points)):
        change = points[i] - points[extreme]
        if direction == 0:
            if abs(change) >= min_change:
                extreme, direction = i, int(np.sign(change))
        elif change * direction >= 0:
            extreme = i
        elif abs(change) >= min_change:
            turns.append(extreme)
            extreme, direction = i, -direction
    return turns


def _place(position: float, n_points: int) -> str:
    third = 3 * position / (n_points - 1)
    return "early" if third < 1 else "late" if third > 2 else "middle"
