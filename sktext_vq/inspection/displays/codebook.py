"""Display of codes: their shapes, and windows that match them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sktext_vq._utils.docs import fill_docs
from sktext_vq._utils.validation import check_count
from sktext_vq.classifier import VQTextClassifier
from sktext_vq.inspection.displays._canvas import (
    PALETTE,
    check_estimator,
    check_matplotlib,
    inches,
    ink,
    make_figure,
    measure,
    panels,
    shorten,
    spread,
    text,
    wrap,
)
from sktext_vq.panel import as_panel
from sktext_vq.transformer import VQTextTransformer

_LARGER = (1, 5, 20)  # factors
_ORDERS = ("frequency", "lift", "usage", "code")


@fill_docs
@dataclass(eq=False, repr=False)
class CodebookDisplay:
    """Shapes of codes, with matching windows and the class that uses each code most.

    All shapes are drawn on a common scale, except small shapes, which are enlarged by
    a factor of 5 or 20.

    Use :meth:`from_estimator` to create a display.

    Parameters
    ----------
    shapes : ndarray of shape (n_shown, n_points)
        Decoded shapes of the codes to draw, in order.
    codes : DataFrame
        One row per shape, as returned by `describe_codes`, with columns ``shape`` and
        ``usage``, and optionally ``class``, ``lift`` and ``phrase``. The index contains
        the codes.
    windows : sequence of ndarray of shape (n_windows_i, n_points), optional
        Windows that match each shape, shifted to mean 0 and scaled like the shape.
    n_codes : int, optional
        Number of codes in the codebook. The default is the number of codes shown.

    Attributes
    ----------
    axes_ : ndarray of shape (n_rows, n_columns), object
        Axes of each code; None for empty positions.
    figure_ : Figure or SubFigure
        Figure that contains the axes.
    lines_ : list of Line2D
        Shapes.
    windows_ : list of LineCollection or None
        Windows of each code.
    larger_ : list of int
        Factor by which each code is enlarged.
    bars_ : list of Rectangle
        Usage of each code, relative to the largest usage.

    See Also
    --------
    TokensDisplay : Tokens of a series.
    HistogramsDisplay : Usage of codes in classes.

    Examples
    --------
    >>> import numpy as np
    >>> from sktext_vq import VQTextClassifier
    >>> from sktext_vq.inspection.displays import CodebookDisplay
    >>> X = np.random.default_rng(0).normal(size=(20, 1, 50))
    >>> X[::2] = X[::2].cumsum(axis=2)
    >>> y = np.array(["walk", "noise"] * 10)
    >>> classifier = VQTextClassifier(random_state=0).fit(X, y)
    >>> display = CodebookDisplay.from_estimator(classifier, X, n_codes=8)
    >>> display.axes_.shape
    (2, 6)
    """

    shapes: NDArray[Any]
    codes: pd.DataFrame
    _: KW_ONLY
    windows: Sequence[NDArray[Any]] | None = None
    n_codes: int | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: VQTextClassifier | VQTextTransformer,
        X: Any = None,
        *,
        n_codes: int = 24,
        order: str = "frequency",
        texts: Sequence[str] | None = None,
        n_windows: int = 8,
        n_columns: int = 6,
        ax: Any = None,
    ) -> CodebookDisplay:
        """Draw the codebook of an estimator.

        Parameters
        ----------
        estimator : VQTextClassifier or VQTextTransformer
            Fitted estimator.
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series from which windows are selected. For each code, these are the
            best-matching segments of at least eight timepoints, each from a different
            case. At most 256 evenly spaced cases are used. If None, only shapes are
            drawn.
        n_codes : int, default=24
            Maximum number of codes to draw.
        order : {"frequency", "lift", "usage", "code"}, default="frequency"
            Order of the codes. ``"frequency"`` is usage times lift, that is, the usage
            in the class with the highest lift, and ``"code"`` is the index. Without
            classes, the lift is 1.
        texts : sequence of str, optional
            At least two phrases to use as names of codes, for an estimator that was
            trained with text. Codes without sufficient evidence have no name.
        n_windows : int, default=8
            Maximum number of windows per code.
        n_columns : int, default=6
            Number of codes per row.
        [[ax]]

        Returns
        -------
        CodebookDisplay
            Display with the drawn figure.

        Raises
        ------
        [[raises_estimator]]
        ValueError
            If a parameter is invalid, or X does not match the estimator.
        """
        check_matplotlib(f"{cls.__name__}.from_estimator")
        check_estimator(estimator, cls.__name__)
        if order not in _ORDERS:
            raise ValueError(f"order must be one of {_ORDERS}, got {order!r}.")
        check_count("n_codes", n_codes, least=1)
        check_count("n_columns", n_columns, least=1)
        check_count("n_windows", n_windows, least=0)
        table = estimator.describe_codes(texts)
        lift = table["lift"] if "lift" in table else pd.Series(1.0, table.index)
        value = {
            "frequency": table["usage"] * lift,
            "lift": lift,
            "usage": table["usage"],
            "code": -table.index.to_series(),
        }[order]
        codes = np.argsort(-value.to_numpy(), kind="stable")[:n_codes]
        shapes = np.asarray(estimator.shapes_, dtype=np.float64)
        windows = None
        if X is not None and n_windows > 0:
            found = _find_windows(estimator, X, shapes, n_windows)
            windows = [found[code] for code in codes]
        display = cls(
            shapes[codes], table.iloc[codes], windows=windows, n_codes=len(shapes)
        )
        return display.plot(ax, n_columns=n_columns)

    def plot(self, ax: Any = None, *, n_columns: int = 6) -> Self:
        """Draw the display.

        Parameters
        ----------
        [[ax]]
        n_columns : int, default=6
            Number of codes per row.

        Returns
        -------
        CodebookDisplay
            The display itself.
        """
        check_matplotlib(f"{type(self).__name__}.plot")
        n_shown = len(self.shapes)
        n_columns = min(n_columns, n_shown)
        n_rows = -(-n_shown // n_columns)
        rows = self.codes.reset_index(drop=True).to_dict("records")
        phrases = [_own_phrase(row) for row in rows]
        has_phrases = any(phrases)
        size = max(1.75 * n_columns, 5), (1.75 if has_phrases else 1.45) * n_rows + 0.4
        canvas = self.figure_ = make_figure(ax, size)
        self.axes_ = panels(canvas, n_shown, n_columns)
        width = 0.93 * inches(canvas)[0] / n_columns
        self.lines_: list[Any] = []
        self.windows_: list[Any] = []
        self.bars_: list[Any] = []
        most = max(float(np.abs(self.shapes).max()), 1e-9)
        sizes = np.maximum(np.abs(self.shapes).max(axis=1), 1e-9)
        self.larger_ = [
            max(times for times in _LARGER if times * size <= most) for size in sizes
        ]
        for index, (row, code) in enumerate(zip(rows, self.codes.index, strict=True)):
            panel = self.axes_.flat[index]
            windows = None if self.windows is None else self.windows[index]
            limit = most / self.larger_[index]
            self._draw_code(panel, self.shapes[index], windows, limit)
            self._draw_usage(panel, row["usage"])
            if limit < most:
                panel.set_ylim(top=1.5 * limit)
                panel.text(
                    0.97,
                    0.95,
                    f"{self.larger_[index]}:1",
                    ha="right",
                    va="top",
                    transform=panel.transAxes,
                    **text(0.65),
                )
            panel.set_title(_code_title(code, row, width), **text(0.8))
            if phrases[index]:
                phrase = wrap(phrases[index], width, 0.7, 2)
                panel.set_xlabel(phrase, style="italic", labelpad=2, **text(0.7))
        note = "Bars and percentages: share of windows with the code."
        if self.windows is not None:
            note += " Thin lines: windows of the series."
        if factors := sorted({times for times in self.larger_ if times > 1}):
            marks = " or ".join(f"{times}:1" for times in factors)
            note += f" {marks}: enlarged by this factor."
        n_codes = self.n_codes or n_shown
        if n_shown < n_codes:
            note += f" {n_shown} of {n_codes} codes are shown."
        note = wrap(note, 0.95 * inches(canvas)[0], 0.75, 3)
        canvas.supxlabel(note, **text(0.75))
        return self

    def _draw_code(
        self, panel: Any, shape: NDArray[Any], windows: Any, most: float
    ) -> None:
        """Draw a shape and its windows, with limits for values up to `most`."""
        from matplotlib.collections import LineCollection

        time = np.arange(len(shape))
        panel.axhline(0, color=ink(), alpha=0.2, linewidth=0.5)
        drawn = None
        if windows is not None:
            lines = [np.column_stack([time, window]) for window in windows]
            drawn = LineCollection(lines, color=ink(), alpha=0.35, linewidth=0.8)
            panel.add_collection(drawn, autolim=False)
        self.windows_.append(drawn)
        self.lines_ += panel.plot(time, shape, color=PALETTE[1], linewidth=2)
        panel.set(
            xlim=(-0.3, len(shape) - 0.7),
            ylim=(-1.55 * most, 1.15 * most),
            xticks=[],
            yticks=[],
        )
        panel.spines[:].set_linewidth(0.5)

    def _draw_usage(self, panel: Any, usage: float) -> None:
        from matplotlib.patches import Rectangle

        usual = max(float(self.codes["usage"].max()), 1e-12)
        bar = Rectangle(
            (0.02, 0.03),
            0.6 * usage / usual,
            0.06,
            color=PALETTE[0],
            transform=panel.transAxes,
        )
        self.bars_.append(panel.add_patch(bar))
        panel.text(
            0.97,
            0.06,
            f"{100 * usage:.2g} %",
            ha="right",
            va="center",
            transform=panel.transAxes,
            **text(0.65),
        )


def _find_windows(
    estimator: VQTextClassifier | VQTextTransformer,
    X: Any,
    shapes: NDArray[np.float64],
    n_windows: int,
) -> list[NDArray[np.float64]]:
    """Find the segments that match each code best.

    Returns at most `n_windows` windows for each code, starting with the best match.
    Each window consists of eight means, scaled like the shape.
    """
    panel = spread(as_panel(X, estimator_name="CodebookDisplay"))
    n_points = shapes.shape[1]
    table = estimator.tokens(panel)
    # Shorter segments have fewer values than a shape, and match any shape.
    table = table[(table["length"] >= n_points) & (table["scale"] > 0)]
    table = table.reset_index(drop=True)
    drawn = np.full((len(table), n_points), np.nan)
    for length, rows in table.groupby("length").indices.items():
        part = table.iloc[rows]
        case, channel, start, offset, scale = (
            part[name].to_numpy()[:, None]
            for name in ("case", "channel", "start", "offset", "scale")
        )
        pieces = panel.values[case, channel, start + np.arange(length)]
        # Each timepoint is divided into n_points equal parts, so that every point of a
        # window is the mean of the same number of parts.
        size = shapes[part["code"]].std(axis=1)[:, None]
        parts = np.repeat((pieces - offset) / scale * size, n_points, axis=1)
        drawn[rows] = parts.reshape(len(rows), n_points, length).mean(axis=2)
    error = np.square(drawn - shapes[table["code"]]).mean(axis=1)
    best = table.assign(error=error).dropna().sort_values("error", kind="stable")
    # Keep one window per case.
    best = best.drop_duplicates(["code", "case"])
    return [
        drawn[best.index[best["code"] == code][:n_windows]]
        for code in range(len(shapes))
    ]


def _own_phrase(row: Mapping[Any, Any]) -> str:
    """Return the name of a code, or an empty string if it equals the class."""
    phrase = row.get("phrase")
    named = isinstance(phrase, str) and phrase != str(row.get("class"))
    return str(phrase) if named else ""


def _code_title(code: int, row: Mapping[Any, Any], width: float) -> str:
    """Return the title of a code: its index, and its class or its shape in words."""
    has_class = not pd.isna(row.get("lift", np.nan))
    name = row["class"] if has_class else row["shape"]
    lines = wrap(f"{code} · {name}", width, 0.8, 2).split("\n")
    if has_class:
        # Only the name may be shortened, not the lift.
        lift = f" \N{MULTIPLICATION SIGN}{row['lift']:.1f}"
        room = width - measure(lift, 0.8)
        if len(lines) == 1 and measure(lines[0], 0.8) > room:
            lines.append("")
        lines[-1] = (shorten(lines[-1], room, 0.8) + lift).strip()
    return "\n".join(lines)
