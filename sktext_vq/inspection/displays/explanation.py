"""Display of a series and the contributions of its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sktext_vq._utils.docs import fill_docs
from sktext_vq.classifier import VQTextClassifier
from sktext_vq.inspection._drawing import LEAST_NAMED, odds_factor, signed
from sktext_vq.inspection.displays._canvas import (
    PALETTE,
    channel_indices,
    check_matplotlib,
    inches,
    ink,
    measure,
    points,
    shorten,
    text,
)
from sktext_vq.inspection.displays._series import SeriesRows, take_case

_BESIDE = 2.6  # width of the sums by channel, in inches


@fill_docs
@dataclass(eq=False, repr=False)
class ExplanationDisplay:
    """Display of a series with contributions of its tokens to the log-odds.

    Use :meth:`from_estimator` to create a display. Bars show the sums of the
    contributions of tokens and of statistics for each channel. The intercept and the
    sum of channels that are not drawn are written below the bars, so that all sums add
    up to the log-odds in the title.

    Parameters
    ----------
    series : ndarray of shape (n_channels, n_timepoints)
        Series to draw.
    contributions : DataFrame
        Rows of one case, as returned by the method `explain` of a classifier.
    [[series_display]]

    Attributes
    ----------
    axes_ : ndarray of shape (n_shown,), object
        Axes of each channel.
    sums_axes_ : ndarray of shape (n_shown,), object
        Axes with the sums of each channel.
    figure_ : Figure or SubFigure
        Figure that contains the axes.
    lines_ : list of Line2D
        Series of each channel.
    spans_ : list of PolyCollection
        Spans of the tokens of each channel.
    numbers_ : list of Text
        Large contributions of tokens that are wide enough for a number.
    bars_ : list of BarContainer
        Sums of tokens and of statistics for each channel.
    colorbar_ : Colorbar
        Colour bar of contributions.

    See Also
    --------
    TokensDisplay : Tokens of a series with their shapes.

    Examples
    --------
    >>> from sktext_vq import VQTextClassifier
    >>> from sktext_vq.datasets import load
    >>> from sktext_vq.inspection import ExplanationDisplay
    >>> data = load("BasicMotions")
    >>> model = VQTextClassifier(random_state=0)
    >>> model = model.fit(data.X_train, data.y_train)
    >>> display = ExplanationDisplay.from_estimator(model, data.X_test, case=3)
    >>> display.title.partition(":")[0]
    'Case 3. standing against badminton'
    """

    series: NDArray[Any]
    contributions: pd.DataFrame
    _: KW_ONLY
    channel_names: Sequence[str] | None = None
    channels: Sequence[int] | None = None
    sampling_rate: float | None = None
    title: str | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: VQTextClassifier,
        X: Any,
        *,
        case: int = 0,
        label: Any = None,
        against: Any = None,
        channels: Sequence[int | str] | None = None,
        ax: Any = None,
    ) -> ExplanationDisplay:
        """Explain the prediction for one case of a panel and draw the explanation.

        Parameters
        ----------
        estimator : VQTextClassifier
            Fitted estimator.
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series with the channels of the training series.
        case : int, default=0
            Index of the case.
        label : object, optional
            Class to explain. The default is the most probable class.
        against : object, optional
            Class to compare with. The default is the most probable other class. To
            explain a wrong prediction, pass the true class.
        channels : sequence of int or str, optional
            Channels to draw, by index or name. By default, the channels with the
            largest contributions, up to 24 in a new figure, or up to the number of
            channels that fit into `ax`.
        [[ax]]

        Returns
        -------
        ExplanationDisplay
            Display with the drawn figure.

        Raises
        ------
        TypeError
            If `estimator` is not a VQTextClassifier, or `case` is not an index.
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If a case or channel does not exist, X does not match the estimator, or a
            class is not in the training data.
        """
        check_matplotlib(f"{cls.__name__}.from_estimator")
        if not isinstance(estimator, VQTextClassifier):
            raise TypeError(
                f"{cls.__name__} requires a fitted VQTextClassifier, got "
                f"{type(estimator).__name__}."
            )
        panel, part = take_case(X, case, cls.__name__)
        table = estimator.explain(part, label, against).assign(case=case)
        names = estimator.channel_names_
        first, odds = table.iloc[0], table["contribution"].sum()
        times = odds_factor(abs(odds))
        likelier = first["label" if odds >= 0 else "against"]
        display = cls(
            panel.values[case, :, : int(panel.lengths[case])],
            table,
            channel_names=names,
            channels=None if channels is None else channel_indices(channels, names),
            sampling_rate=estimator.sampling_rate,
            title=f"Case {case}. {first['label']} against {first['against']}: "
            f"{likelier} is {times} times as probable (log-odds {odds:+.2f})",
        )
        return display.plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the display.

        [[plot]]
        """
        check_matplotlib(f"{type(self).__name__}.plot")
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import LinearSegmentedColormap, Normalize

        sums = self._sums()
        size = sums.drop(-1).abs().sum(axis=1)
        ranked = size.sort_values(ascending=False, kind="stable").index.tolist()
        rows = SeriesRows(self, ax, _BESIDE, ranked)
        channels, self.sums_axes_ = rows.channels, rows.grid[:, 1]
        self.axes_, self.figure_ = rows.axes, rows.figure
        self.lines_, self.spans_, self.numbers_ = rows.lines, rows.spans, rows.numbers
        self.bars_: list[Any] = []
        table = self.contributions
        placed = table["code"] >= 0
        shown = table[placed & table["channel"].isin(channels)]
        most = max(float(shown["contribution"].abs().max()), 1e-9) if len(shown) else 1
        # Small contributions are transparent, for light and dark backgrounds.
        shades = [
            (PALETTE[1], 0.65),
            (PALETTE[1], 0),
            (PALETTE[0], 0),
            (PALETTE[0], 0.65),
        ]
        places = [0, 0.5, 0.5, 1]
        colour_map = LinearSegmentedColormap.from_list(
            "contributions", list(zip(places, shades, strict=True)), N=255
        )
        colours = ScalarMappable(Normalize(-most, most), colour_map)
        by_row = [shown[shown["channel"] == channel] for channel in channels]
        for row, channel, own in zip(self.axes_, channels, by_row, strict=True):
            own = own.sort_values("start")
            rows.draw_series(row, channel)
            rows.draw_spans(row, own, colours.to_rgba(own["contribution"]))
        for row, channel in zip(self.sums_axes_, channels, strict=True):
            self._draw_sums(row, sums.loc[channel], colours)
        rows.label()
        self._label_sums(sums.drop(channels))
        self.colorbar_ = self.figure_.colorbar(
            colours,
            ax=list(self.axes_),
            location="bottom",
            shrink=0.6,
            aspect=45,
            pad=0.02,
        )
        self.colorbar_.ax.tick_params(labelsize=points(0.7))
        self._label_colours(table)
        self.figure_.figure.draw_without_rendering()  # computes the layout
        for row, own in zip(self.axes_, by_row, strict=True):
            counting = own[own["contribution"].abs() >= LEAST_NAMED * most]
            rows.write(row, counting, map(signed, counting["contribution"]))
        return self

    def _sums(self) -> pd.DataFrame:
        """Return sums of tokens and of statistics by channel; -1 is the intercept."""
        table = self.contributions
        kind = np.where(table["code"] >= 0, "tokens", "statistics")
        sums = table.groupby(["channel", kind])["contribution"].sum().unstack()
        every = range(-1, len(self.series))
        return sums.reindex(every, columns=["tokens", "statistics"]).fillna(0.0)

    def _draw_sums(self, row: Any, sums: pd.Series[float], colours: Any) -> None:
        row.axvline(0, color=ink(), linewidth=0.5)
        bars = row.barh(
            range(len(sums)),
            sums,
            color=colours.to_rgba(sums),
            edgecolor=ink(),
            linewidth=0.6,
            height=0.6,
        )
        self.bars_.append(bars)
        row.set_ylim(len(sums) - 0.5, -0.5)
        row.yaxis.tick_right()
        row.set_yticks(
            range(len(sums)),
            [f"{signed(value)} {name}" for name, value in sums.items()],
            **text(0.6),
        )
        row.tick_params(axis="y", length=0)
        row.tick_params(axis="x", labelsize=points(0.7))
        for side in ("left", "right", "top"):
            row.spines[side].set_visible(False)

    def _label_sums(self, hidden: pd.DataFrame) -> None:
        self.sums_axes_[0].set_title("sums by channel", **text(0.8))
        constant, others = hidden.loc[-1].sum(), hidden.drop(-1)
        below = [f"{signed(constant)} intercept"]
        if len(others):
            plural = "s" if len(others) > 1 else ""
            value = signed(others.to_numpy().sum())
            below.insert(0, f"{value} in {len(others)} other channel{plural}")
        self.sums_axes_[-1].set_xlabel("\n".join(below), **text(0.7))

    def _label_colours(self, table: pd.DataFrame) -> None:
        """Label the colours with the classes that they support."""
        first, width = table.iloc[0], 0.6 * inches(self.figure_)[0]
        sides = [
            f"\N{LEFTWARDS ARROW} evidence for {first['against']}",
            f"evidence for {first['label']} \N{RIGHTWARDS ARROW}",
        ]
        line = "      contribution      ".join(sides)
        if measure(line, 0.8) > width:
            line = "\n".join(shorten(side, width, 0.8) for side in sides)
        self.colorbar_.set_label(line, **text(0.8))
