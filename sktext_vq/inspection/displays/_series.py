"""Drawing of one series, with a row per channel."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sktext_vq.inspection._drawing import limits
from sktext_vq.inspection.displays._canvas import (
    inches,
    ink,
    make_figure,
    measure,
    number,
    points,
    text,
    unit,
    wrap,
)
from sktext_vq.panel import Panel, as_panel

_MAX_CHANNELS = 24
_AROUND = 1.5  # inches above and below rows
_LEAST_HEIGHT = 0.4  # of a row, in inches


def take_case(X: Any, case: Any, caller: str) -> tuple[Panel, Panel]:
    """Convert X to a panel; return the panel, and one case as another panel."""
    panel = as_panel(X, estimator_name=caller)
    try:
        if isinstance(case, bool):  # numpy would use it as a mask
            raise TypeError
        case = operator.index(case)
    except TypeError:
        raise TypeError(
            f"case must be the index of a case in X (counted from 0), got {case!r}."
        ) from None
    if not 0 <= case < panel.n_cases:
        raise ValueError(
            f"case must be from 0 to {panel.n_cases - 1}, got {case}. X has "
            f"{panel.n_cases} cases."
        )
    return panel, panel.take([case])


class SeriesRows:
    """Axes with one row per channel of a displayed series.

    Parameters
    ----------
    display : TokensDisplay or ExplanationDisplay
        Display with the series, channels, sampling rate and title.
    ax : Axes, Figure, SubFigure or None
        Axes to replace; see `make_figure`.
    beside : float, default=0
        Width of a second column of axes in inches. By default, there is one column.
    ranked : sequence of int, optional
        All channels in descending order of importance. The first channels are drawn if
        not all of them fit into the axes. By default, channels are drawn in index
        order.
    """

    def __init__(
        self,
        display: Any,
        ax: Any,
        beside: float = 0,
        ranked: Sequence[int] | None = None,
    ) -> None:
        self.display = display
        n_channels, n_timepoints = display.series.shape
        channels = display.channels
        if channels is None:
            ranked = range(n_channels) if ranked is None else ranked
            channels = sorted(ranked[: self._n_fitting(ax)])
        n_shown = len(channels)
        width = float(np.clip(n_timepoints / 12, 9, 16))
        height = n_shown * float(np.clip(6 / n_shown, 0.6, 2.4)) + _AROUND
        self.figure: Any = make_figure(ax, (width, height))
        self.grid: NDArray[Any] = self.figure.subplots(
            n_shown,
            2 if beside else 1,
            sharex="col",
            squeeze=False,
            width_ratios=(width - beside, beside) if beside else None,
        )
        self.axes = self.grid[:, 0]
        self.channels = list(channels)
        self.lines: list[Any] = []
        self.spans: list[Any] = []
        self.numbers: list[Any] = []

    def _n_fitting(self, ax: Any) -> int:
        """Return the number of channels that fit into `ax`, or into a new figure."""
        if not hasattr(ax, "bbox"):
            return _MAX_CHANNELS
        # Labels may be drawn outside of the Axes.
        height = ax.bbox.height / 0.8 / ax.figure.figure.dpi / unit()
        return int(np.clip((height - _AROUND) / _LEAST_HEIGHT, 1, _MAX_CHANNELS))

    def _room(self) -> float:
        """Return the fraction of an Axes reserved for numbers above the series."""
        return min(
            0.4, 0.16 * len(self.axes) / (inches(self.figure)[1] / unit() - _AROUND)
        )

    def draw_series(
        self, row: Any, channel: int, others: Iterable[NDArray[Any]] = ()
    ) -> None:
        """Draw a channel and its name, with limits that include other series."""
        series = self.display.series[channel]
        low, high = limits(np.concatenate([series, *others]))
        room = self._room()
        margin = (high - low) / (0.92 - room)
        time = np.arange(len(series)) / (self.display.sampling_rate or 1)
        self.lines += row.plot(time, series, color=ink(), linewidth=0.8, zorder=3)
        row.set_ylim(low - 0.08 * margin, high + room * margin)
        row.set_yticks([low, high], [number(low), number(high)], **text(0.6))
        row.tick_params(axis="x", labelsize=points(0.8))
        names = self.display.channel_names
        name = f"channel {channel}" if names is None else names[channel]
        row.set_ylabel(
            wrap(name, 1.4, 0.8, 2), rotation=0, ha="right", va="center", **text(0.8)
        )

    def draw_spans(
        self, row: Any, tokens: pd.DataFrame, colours: Any, alpha: float | None = None
    ) -> None:
        """Draw spans of tokens, within the limits that `draw_series` has set."""
        from matplotlib.collections import PolyCollection

        rate = self.display.sampling_rate or 1
        bottom, top = row.get_ylim()
        starts = (tokens["start"].to_numpy() - 0.5) / rate
        ends = starts + tokens["length"].to_numpy() / rate
        boxes = [
            [(a, bottom), (b, bottom), (b, top), (a, top)]
            for a, b in zip(starts, ends, strict=True)
        ]
        spans = PolyCollection(boxes, facecolors=colours, alpha=alpha, linewidths=0)
        self.spans.append(row.add_collection(spans, autolim=False))
        row.vlines(starts[1:], bottom, top, color=ink(), alpha=0.4, linewidth=0.5)

    def label(self) -> None:
        """Label the time axis and write the title."""
        (n_channels, n_timepoints), n_shown = self.display.series.shape, len(self.axes)
        rate = self.display.sampling_rate or 1
        below = "timepoint" if self.display.sampling_rate is None else "time in seconds"
        if self.display.channels is None and n_shown < n_channels:
            n_more = n_channels - n_shown
            are = "channel is" if n_more == 1 else "channels are"
            below += f"\n{n_more} more {are} not shown"
        self.axes[-1].set_xlabel(below, **text(0.9))
        self.axes[-1].set_xlim(-0.5 / rate, (n_timepoints - 0.5) / rate)
        if self.display.title is not None:
            width = 0.95 * inches(self.figure)[0]
            self.figure.suptitle(wrap(self.display.title, width, 0.95, 4), **text(0.95))

    def write(self, row: Any, tokens: pd.DataFrame, texts: Iterable[str]) -> None:
        """Write texts above tokens where there is room, after the layout is known."""
        rate = self.display.sampling_rate or 1
        box = row.get_window_extent()
        height = box.height / row.figure.figure.dpi
        if height < 0.3 * unit():
            return
        width = box.width / row.figure.figure.dpi / self.display.series.shape[1]
        for start, length, words in zip(
            tokens["start"], tokens["length"], texts, strict=True
        ):
            if measure(words, 0.6) + 0.03 > width * length:
                continue
            written = row.text(
                (start + length / 2 - 0.5) / rate,
                1 - 0.035 * unit() / height,
                words,
                ha="center",
                va="top",
                transform=row.get_xaxis_transform(),
                clip_on=True,
                **text(0.6),
            )
            written.set_in_layout(False)
            self.numbers.append(written)
