"""Figures, colours and texts of displays."""

from __future__ import annotations

from numbers import Integral
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from sktext_vq.classifier import VQTextClassifier
from sktext_vq.panel import Panel, spread_cases
from sktext_vq.transformer import VQTextTransformer

# Okabe and Ito's palette, without black and yellow, for light and dark backgrounds.
PALETTE = ("#E69F00", "#56B4E9", "#009E73", "#D55E00", "#0072B2", "#CC79A7")
_MAX_CASES = 256  # maximum number of cases to search for windows


def check_matplotlib(caller: str) -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{caller} requires matplotlib. Install it with `pip install "
            "'sktext_vq[plot]'`."
        ) from error


def check_estimator(estimator: Any, caller: str) -> None:
    if not isinstance(estimator, VQTextClassifier | VQTextTransformer):
        raise TypeError(
            f"{caller} requires a fitted VQTextClassifier or VQTextTransformer, got "
            f"{type(estimator).__name__}."
        )
    check_is_fitted(estimator)


def check_axes(ax: Any) -> None:
    from matplotlib.axes import Axes

    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be a matplotlib Axes, got {type(ax).__name__}.")


def channel_indices(channels: Any, names: list[str]) -> list[int]:
    """Return channel indices from indices or names."""
    if isinstance(channels, str) or not np.iterable(channels):
        channels = [channels]
    found = [
        names.index(channel)
        if isinstance(channel, str) and channel in names
        else channel
        for channel in channels
    ]
    wrong = [
        channel
        for channel in found
        if not isinstance(channel, Integral) or not 0 <= int(channel) < len(names)
    ]
    if wrong or not found:
        raise ValueError(
            f"channels must be names from {names}, or indices from 0 to "
            f"{len(names) - 1}, got {wrong}."
        )
    return [int(channel) for channel in found]


def spread(panel: Panel) -> Panel:
    if panel.n_cases <= _MAX_CASES:
        return panel
    return panel.take(spread_cases(panel.n_cases, _MAX_CASES))


def make_figure(ax: Any, size: tuple[float, float]) -> Any:
    """Create a figure, or a subfigure that replaces an Axes.

    `size` is the size of a new figure in inches, for a font size of 10 points.
    """
    import matplotlib.pyplot as plt
    from matplotlib.gridspec import GridSpecFromSubplotSpec

    if ax is None:
        size = size[0] * unit(), size[1] * unit()
        return plt.figure(figsize=size, layout="constrained")
    check_axes(ax)
    if not ax.axison:
        raise ValueError("ax is already used by another plot. Create new Axes.")
    place = ax.get_subplotspec()
    if place is None:
        raise ValueError("ax must be part of a grid. Create it with plt.subplots.")
    ax.set_axis_off()
    figure = ax.figure.figure
    # Colour bars on nested grids do not fit into a layout that is set later.
    places = [axes.get_subplotspec() for axes in figure.axes]
    nested = any(
        isinstance(other.get_gridspec(), GridSpecFromSubplotSpec)
        for other in places
        if other is not None
    )
    if figure.get_layout_engine() is None and not nested:
        # Without a layout, titles and legends would overlap.
        figure.set_layout_engine("constrained")
    return ax.figure.add_subfigure(place)


def panels(canvas: Any, n_shown: int, n_columns: int) -> NDArray[Any]:
    """Create Axes in a grid, row by row; empty positions are None."""
    panels = canvas.subplots(-(-n_shown // n_columns), n_columns, squeeze=False)
    for left_over in panels.flat[n_shown:]:
        left_over.remove()
    panels.flat[n_shown:] = None
    return cast(NDArray[Any], panels)


def inches(canvas: Any) -> tuple[float, float]:
    """Return the width and height of a figure, or lower bounds for a subfigure."""
    # The layout is computed later, and labels of other subfigures need room.
    share = (1 if canvas.figure is canvas else 0.85) / canvas.figure.dpi
    return canvas.bbox.width * share, canvas.bbox.height * share


def ink() -> Any:
    """Return the colour of lines and texts in the current style."""
    import matplotlib.pyplot as plt

    return plt.rcParams["text.color"]


def unit() -> float:
    """Return the font size relative to 10 points."""
    import matplotlib.pyplot as plt

    return float(plt.rcParams["font.size"]) / 10


def points(size: float) -> float:
    return 10 * unit() * size


def text(size: float) -> dict[str, Any]:
    """Return text properties, which disable mathematics between dollar signs."""
    return {"fontsize": points(size), "parse_math": False}


def measure(text: str, size: float) -> float:
    """Return the width of a line of text in inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=points(size))
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return 1.08 * float(width) / 72  # hinting makes letters wider


def wrap(text: str, width: float, size: float, n_lines: int) -> str:
    """Wrap a text into at most `n_lines` lines of a given width in inches."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if not lines[-1] or measure(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > n_lines:
        lines = [*lines[: n_lines - 1], " ".join(lines[n_lines - 1 :])]
    return "\n".join(shorten(line, width, size) for line in lines)


def shorten(line: str, width: float, size: float) -> str:
    if measure(line, size) <= width:
        return line
    low, high = 0, len(line)
    while low < high:
        middle = (low + high + 1) // 2
        if measure(line[:middle] + "…", size) <= width:
            low = middle
        else:
            high = middle - 1
    return line[:low].rstrip() + "…"


def number(value: float) -> str:
    return f"{float(f'{value:.3g}'):g}"
