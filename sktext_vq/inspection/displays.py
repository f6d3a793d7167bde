"""Displays of a fitted estimator with matplotlib: vocabulary, tokens, use, training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted, column_or_1d

from sktext_vq._readable import shape_words
from sktext_vq.classifier import VQTextClassifier
from sktext_vq.inspection._drawing import limits
from sktext_vq.nn.segments import decode
from sktext_vq.panel import Panel, as_panel
from sktext_vq.text import SeriesCaptioner
from sktext_vq.transformer import VQTextTransformer

__all__ = [
    "CodebookDisplay",
    "HistogramsDisplay",
    "HistoryDisplay",
    "PhrasesDisplay",
    "TokensDisplay",
]

# Okabe and Ito's, without black and yellow, one of which is lost on any background.
_PALETTE = ("#E69F00", "#56B4E9", "#009E73", "#D55E00", "#0072B2", "#CC79A7")
_OTHER_COLOUR = "#999999"
_ORDERS = ("frequency", "lift", "usage", "code")
_MAX_CASES = 256  # that windows are looked for in
_MAX_CHANNELS = 24
_MAX_DOUBLINGS = 4  # lifts are drawn from 1/16 to 16


class CodebookDisplay:
    """Shapes of codes, with windows that match them and classes that they speak for.

    Make it by :meth:`from_estimator`.

    Parameters
    ----------
    shapes : ndarray of shape (n_shown, n_points)
        Decoded shapes of the codes to draw, in order.
    codes : DataFrame
        A row per shape, as `describe_codes` returns them: ``shape`` and ``usage``, and
        if they are known ``class``, ``lift`` and ``phrase``. Its index has the numbers
        of the codes.
    windows : sequence of ndarray of shape (n_windows_i, n_points), optional
        Windows of series for each shape, with offset 0 and scale 1.
    n_codes : int, optional
        Codes of the whole vocabulary; by default those that are shown.

    Attributes
    ----------
    axes_ : ndarray of shape (n_rows, n_columns), object
        A panel per code; None where there is none.
    figure_ : Figure or SubFigure
        What they are in.
    lines_ : list of Line2D
        Shapes.
    windows_ : list of LineCollection or None
        Windows of each code.
    bars_ : list of Rectangle
        Usage of each code, next to that of the code that is used most.

    See Also
    --------
    TokensDisplay : Where codes are in a series.
    HistogramsDisplay : How often classes use codes.

    Examples
    --------
    >>> import numpy as np
    >>> from sktext_vq import VQTextClassifier
    >>> from sktext_vq.inspection.displays import CodebookDisplay
    >>> X = np.random.default_rng(0).normal(size=(20, 1, 50))
    >>> X[::2] = X[::2].cumsum(axis=2)
    >>> y = np.array(["walk", "noise"] * 10)
    >>> classifier = VQTextClassifier(max_epochs=0, random_state=0).fit(X, y)
    >>> display = CodebookDisplay.from_estimator(classifier, X, n_codes=8)
    >>> display.axes_.shape
    (2, 6)
    """

    def __init__(
        self,
        shapes: NDArray[Any],
        codes: pd.DataFrame,
        *,
        windows: Sequence[NDArray[Any]] | None = None,
        n_codes: int | None = None,
    ) -> None:
        self.shapes = shapes
        self.codes = codes
        self.windows = windows
        self.n_codes = n_codes

    @classmethod
    def from_estimator(
        cls,
        estimator: VQTextClassifier | VQTextTransformer,
        X: Any = None,
        *,
        n_codes: int = 24,
        order: str = "frequency",
        n_windows: int = 8,
        n_columns: int = 6,
        ax: Any = None,
    ) -> CodebookDisplay:
        """Draw the vocabulary of an estimator.

        Parameters
        ----------
        estimator : VQTextClassifier or VQTextTransformer
            A fitted one.
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series to take windows from: those segments of at least as many timepoints
            as a shape has points that match it best, each from another case. Of more
            than 256 cases, so many are looked at, evenly spread. None draws shapes
            alone.
        n_codes : int, default=24
            Codes that are drawn at most.
        order : {"frequency", "lift", "usage", "code"}, default="frequency"
            Which codes come first: those with the most usage times lift, which is how
            often they occur in the class that they speak for; with the most lift; with
            the most usage; or with the lowest number. Without classes the lift is 1.
        n_windows : int, default=8
            Windows of a code at most.
        n_columns : int, default=6
            Panels side by side.
        ax : Axes, optional
            Its place is taken; its figure gets constrained layout if it has none. By
            default a new figure is made.

        Returns
        -------
        CodebookDisplay
            What was drawn.

        Raises
        ------
        TypeError
            If estimator is not one of ours.
        NotFittedError
            If it is not fitted.
        ValueError
            If a parameter is off, or X does not fit the estimator.
        """
        _check_matplotlib(f"{cls.__name__}.from_estimator")
        _check_estimator(estimator, cls.__name__)
        if order not in _ORDERS:
            raise ValueError(f"order must be one of {_ORDERS}, got {order!r}.")
        for name, value in (("n_codes", n_codes), ("n_columns", n_columns)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}.")
        table = estimator.describe_codes()
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
        """Draw it.

        Parameters
        ----------
        ax : Axes, optional
            Its place is taken; its figure gets constrained layout if it has none. By
            default a new figure is made.
        n_columns : int, default=6
            Panels side by side.

        Returns
        -------
        CodebookDisplay
            Itself.
        """
        _check_matplotlib(f"{type(self).__name__}.plot")
        n_shown = len(self.shapes)
        n_columns = min(n_columns, n_shown)
        n_rows = -(-n_shown // n_columns)
        has_phrases = "phrase" in self.codes and self.codes["phrase"].notna().any()
        size = max(1.75 * n_columns, 5), (1.75 if has_phrases else 1.45) * n_rows + 0.4
        canvas = self.figure_ = _take(ax, size)
        self.axes_ = _panels(canvas, n_shown, n_columns)
        width = 0.93 * _inches(canvas)[0] / n_columns
        self.lines_: list[Any] = []
        self.windows_: list[Any] = []
        self.bars_: list[Any] = []
        rows = self.codes.reset_index(drop=True).to_dict("records")
        for index, (row, code) in enumerate(zip(rows, self.codes.index, strict=True)):
            panel = self.axes_.flat[index]
            windows = None if self.windows is None else self.windows[index]
            self._draw_code(panel, self.shapes[index], windows, row["usage"])
            panel.set_title(_code_title(code, row, width), **_text(0.8))
            phrase = row.get("phrase")
            if has_phrases and isinstance(phrase, str):
                phrase = _wrap(phrase, width, 0.7, 2)
                panel.set_xlabel(phrase, style="italic", labelpad=2, **_text(0.7))
        note = "Bars and percentages: share of windows that have the code."
        if self.windows is not None:
            note += " Thin lines: windows of the series."
        n_codes = self.n_codes or n_shown
        if n_shown < n_codes:
            note += f" {n_shown} of {n_codes} codes are shown."
        note = _wrap(note, 0.95 * _inches(canvas)[0], 0.75, 3)
        canvas.supxlabel(note, **_text(0.75))
        return self

    def _draw_code(
        self, panel: Any, shape: NDArray[Any], windows: Any, usage: float
    ) -> None:
        """Draw a shape over its windows, and its usage below."""
        from matplotlib.collections import LineCollection
        from matplotlib.patches import Rectangle

        time = np.arange(len(shape))
        most = max(float(np.abs(self.shapes).max()), 1e-9)  # one scale for all panels
        panel.axhline(0, color=_ink(), alpha=0.2, linewidth=0.5)
        drawn = None
        if windows is not None:
            lines = [np.column_stack([time, window]) for window in windows]
            drawn = LineCollection(lines, color=_ink(), alpha=0.35, linewidth=0.8)
            panel.add_collection(drawn, autolim=False)
        self.windows_.append(drawn)
        self.lines_ += panel.plot(time, shape, color=_PALETTE[1], linewidth=2)
        panel.set(
            xlim=(-0.3, len(shape) - 0.7),
            ylim=(-1.55 * most, 1.15 * most),
            xticks=[],
            yticks=[],
        )
        panel.spines[:].set_linewidth(0.5)
        usual = max(float(self.codes["usage"].max()), 1e-12)
        bar = Rectangle(
            (0.02, 0.03),
            0.7 * usage / usual,
            0.06,
            color=_PALETTE[0],
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
            **_text(0.65),
        )


class TokensDisplay:
    """One series with its tokens: where each shape sits, at which level and scale.

    Make it by :meth:`from_estimator`.

    Parameters
    ----------
    series : ndarray of shape (n_channels, n_timepoints)
        The series.
    tokens : DataFrame
        A row per token, with the columns that `tokens` of an estimator returns. All
        are drawn, whatever their case.
    shapes : ndarray of shape (n_codes, n_points)
        Decoded shapes of all codes.
    reconstruction : ndarray of shape (n_channels, n_timepoints), optional
        The series as its tokens tell it.
    channel_names : sequence of str, optional
        Names of all channels.
    channels : sequence of int, optional
        Channels to draw, by default all, but for those after the 24th.
    sampling_rate : float, optional
        Timepoints per second, for an axis in seconds.
    title : str, optional
        What is said above.

    Attributes
    ----------
    axes_ : ndarray of shape (n_shown,), object
        A row per channel.
    figure_ : Figure or SubFigure
        What they are in.
    lines_ : list of Line2D
        The series, by channel.
    reconstructions_ : list of Line2D
        The reconstruction, by channel; empty if it was not given.
    spans_ : list of PolyCollection
        Stretches of the tokens of each channel.
    tokens_ : list of LineCollection
        The tokens of each channel, as pieces of a series.
    numbers_ : list of Text
        Numbers of codes, where there was room.

    See Also
    --------
    CodebookDisplay : All codes.

    Examples
    --------
    >>> import numpy as np
    >>> from sktext_vq import VQTextTransformer
    >>> from sktext_vq.inspection.displays import TokensDisplay
    >>> X = np.random.default_rng(0).normal(size=(8, 3, 50)).cumsum(axis=2)
    >>> transformer = VQTextTransformer(max_epochs=0, random_state=0).fit(X)
    >>> display = TokensDisplay.from_estimator(transformer, X, case=2)
    >>> [axes.get_ylabel() for axes in display.axes_]
    ['channel 0', 'channel 1', 'channel 2']
    """

    def __init__(
        self,
        series: NDArray[Any],
        tokens: pd.DataFrame,
        shapes: NDArray[Any],
        *,
        reconstruction: NDArray[Any] | None = None,
        channel_names: Sequence[str] | None = None,
        channels: Sequence[int] | None = None,
        sampling_rate: float | None = None,
        title: str | None = None,
    ) -> None:
        self.series = series
        self.tokens = tokens
        self.shapes = shapes
        self.reconstruction = reconstruction
        self.channel_names = channel_names
        self.channels = channels
        self.sampling_rate = sampling_rate
        self.title = title

    @classmethod
    def from_estimator(
        cls,
        estimator: VQTextClassifier | VQTextTransformer,
        X: Any,
        *,
        case: int = 0,
        channels: Sequence[int | str] | None = None,
        ax: Any = None,
    ) -> TokensDisplay:
        """Draw one case of a panel with its tokens.

        Parameters
        ----------
        estimator : VQTextClassifier or VQTextTransformer
            A fitted one.
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series with the channels of the training series. The title says what the
            case is like among them.
        case : int, default=0
            Which one, counted from 0.
        channels : sequence of int or str, optional
            Channels to draw, by index or name. By default all, but for those after
            the 24th.
        ax : Axes, optional
            Its place is taken; its figure gets constrained layout if it has none. By
            default a new figure is made.

        Returns
        -------
        TokensDisplay
            What was drawn.

        Raises
        ------
        TypeError
            If estimator is not one of ours.
        NotFittedError
            If it is not fitted.
        ValueError
            If X has no such case or channel, or does not fit the estimator.
        """
        _check_matplotlib(f"{cls.__name__}.from_estimator")
        _check_estimator(estimator, cls.__name__)
        panel = as_panel(X, estimator_name=cls.__name__)
        if not 0 <= case < panel.n_cases:
            raise ValueError(
                f"case must be from 0 to {panel.n_cases - 1}, since X has "
                f"{panel.n_cases} cases, got {case}."
            )
        part = Panel(panel.values[[case]], panel.lengths[[case]])
        tokens = estimator.tokens(part)
        length = int(panel.lengths[case])
        names = estimator.channel_names_
        # A single channel needs no name to be told from others.
        known = None if len(names) == 1 else names
        if estimator.channel_names is not None:
            known = names
        captioner = SeriesCaptioner(
            channel_names=known, sampling_rate=estimator.sampling_rate, n_sentences=3
        )
        some = _spread(panel)
        caption = captioner.fit(some).transform(part)[0]
        display = cls(
            panel.values[case, :, :length],
            tokens.assign(case=case),
            np.asarray(estimator.shapes_, dtype=np.float64),
            reconstruction=estimator.reconstruct(part)[0, :, :length],
            channel_names=names,
            channels=None if channels is None else _channel_indices(channels, names),
            sampling_rate=estimator.sampling_rate,
            title=f"Case {case}. {caption}",
        )
        return display.plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : Axes, optional
            Its place is taken; its figure gets constrained layout if it has none. By
            default a new figure is made.

        Returns
        -------
        TokensDisplay
            Itself.
        """
        _check_matplotlib(f"{type(self).__name__}.plot")
        n_channels, n_timepoints = self.series.shape
        channels = self.channels
        if channels is None:
            channels = range(min(n_channels, _MAX_CHANNELS))
        n_shown = len(channels)
        width = float(np.clip(n_timepoints / 12, 9, 16))
        height = n_shown * float(np.clip(6 / n_shown, 0.6, 2.4)) + 1.5
        canvas = self.figure_ = _take(ax, (width, height))
        axes = canvas.subplots(n_shown, 1, sharex=True, squeeze=False)
        self.axes_ = axes[:, 0]
        tokens = self.tokens[self.tokens["channel"].isin(list(channels))]
        colours = _code_colours(tokens)
        self.lines_: list[Any] = []
        self.reconstructions_: list[Any] = []
        self.spans_: list[Any] = []
        self.tokens_: list[Any] = []
        self.numbers_: list[Any] = []
        # Numbers of codes stand above a series.
        room = min(0.4, 0.16 * n_shown / (_inches(canvas)[1] / _unit() - 1.5))
        for row, channel in zip(self.axes_, channels, strict=True):
            own = tokens[tokens["channel"] == channel]
            self._draw_channel(row, channel, own, colours, room)
        rate = self.sampling_rate or 1
        below = "timepoint" if self.sampling_rate is None else "time in seconds"
        if self.channels is None and n_shown < n_channels:
            below += f"\n{n_channels - n_shown} more channels are not shown"
        self.axes_[-1].set_xlabel(below, **_text(0.9))
        self.axes_[-1].set_xlim(-0.5 / rate, (n_timepoints - 0.5) / rate)
        if self.title is not None:
            width = 0.95 * _inches(canvas)[0]
            canvas.suptitle(_wrap(self.title, width, 0.95, 4), **_text(0.95))
        self._draw_legend(canvas, colours, tokens["code"].nunique() > len(colours))
        canvas.figure.draw_without_rendering()  # lays out, so that widths are known
        for row, channel in zip(self.axes_, channels, strict=True):
            self._number(row, tokens[tokens["channel"] == channel])
        return self

    def _draw_channel(
        self,
        row: Any,
        channel: int,
        tokens: pd.DataFrame,
        colours: Mapping[int, str],
        room: float,
    ) -> None:
        """Draw a channel, and its tokens as spans and as pieces of it."""
        from matplotlib.collections import LineCollection, PolyCollection

        rate = self.sampling_rate or 1
        series = self.series[channel]
        time = np.arange(len(series)) / rate
        pieces = [
            np.column_stack(
                [
                    (token["start"] + np.arange(token["length"])) / rate,
                    _draw_token(token, self.shapes),
                ]
            )
            for token in tokens.to_dict("records")
        ]
        own = [colours.get(code, _OTHER_COLOUR) for code in tokens["code"]]
        values = [series, *(piece[:, 1] for piece in pieces)]
        low, high = limits(np.concatenate(values))
        margin = (high - low) / (0.92 - room)
        bottom, top = low - 0.08 * margin, high + room * margin
        starts = (tokens["start"].to_numpy() - 0.5) / rate
        ends = starts + tokens["length"].to_numpy() / rate
        boxes = [
            [(a, bottom), (b, bottom), (b, top), (a, top)]
            for a, b in zip(starts, ends, strict=True)
        ]
        spans = PolyCollection(boxes, facecolors=own, alpha=0.22, linewidths=0)
        self.spans_.append(row.add_collection(spans, autolim=False))
        row.vlines(starts[1:], bottom, top, color=_ink(), alpha=0.4, linewidth=0.5)
        found = LineCollection(pieces, colors=own, linewidths=2.2, zorder=2)
        self.tokens_.append(row.add_collection(found, autolim=False))
        if self.reconstruction is not None:
            self.reconstructions_ += row.plot(
                time,
                self.reconstruction[channel],
                color=_ink(),
                alpha=0.6,
                linewidth=0.6,
                linestyle=(0, (2, 1)),
            )
        self.lines_ += row.plot(time, series, color=_ink(), linewidth=0.8, zorder=3)
        row.set_ylim(bottom, top)
        row.set_yticks([low, high], [_number(low), _number(high)], **_text(0.6))
        row.tick_params(axis="x", labelsize=_points(0.8))
        names = self.channel_names
        name = f"channel {channel}" if names is None else names[channel]
        row.set_ylabel(
            _wrap(name, 1.4, 0.8, 2), rotation=0, ha="right", va="center", **_text(0.8)
        )

    def _draw_legend(
        self, canvas: Any, colours: Mapping[int, str], has_others: bool
    ) -> None:
        """Say what colours and lines mean, in as many columns as there is room for."""
        from matplotlib.lines import Line2D

        handles = [Line2D([], [], color=_ink(), linewidth=0.8, label="series")]
        if self.reconstruction is not None:
            style: Any = {"linewidth": 0.6, "linestyle": (0, (2, 1)), "alpha": 0.6}
            handles.append(
                Line2D([], [], color=_ink(), label="reconstruction", **style)
            )
        named = [
            (colour, f"{code}: {shape_words(self.shapes[code])}")
            for code, colour in colours.items()
        ]
        if has_others:
            named.append((_OTHER_COLOUR, "other codes"))
        for colour, label in named:
            handles.append(Line2D([], [], color=colour, linewidth=4, label=label))
        widest = max(_measure(str(handle.get_label()), 0.8) for handle in handles)
        n_columns = int(0.95 * _inches(canvas)[0] / (widest + 0.6 * _unit()))
        canvas.legend(
            handles=handles,
            loc="outside lower center",
            ncols=int(np.clip(n_columns, 1, len(handles))),
            fontsize=_points(0.8),
            frameon=False,
        )

    def _number(self, row: Any, tokens: pd.DataFrame) -> None:
        """Write numbers of codes where they fit, after all has been laid out."""
        rate = self.sampling_rate or 1
        box = row.get_window_extent()
        height = box.height / row.figure.figure.dpi
        if height < 0.3 * _unit():
            return
        inches = box.width / row.figure.figure.dpi / self.series.shape[1]
        for start, length, code in zip(
            tokens["start"], tokens["length"], tokens["code"], strict=True
        ):
            if _measure(f"{code}", 0.6) + 0.03 > inches * length:
                continue
            text = row.text(
                (start + length / 2 - 0.5) / rate,
                1 - 0.035 * _unit() / height,
                f"{code}",
                ha="center",
                va="top",
                transform=row.get_xaxis_transform(),
                clip_on=True,
                **_text(0.6),
            )
            text.set_in_layout(False)
            self.numbers_.append(text)


class _LiftsDisplay:
    """Heat map of how much more often than on average each row uses each code."""

    _rows: str

    def __init__(
        self,
        lifts: NDArray[np.float64],
        labels: Sequence[str],
        *,
        codes: ArrayLike | None = None,
        shapes: NDArray[Any] | None = None,
        n_codes: int | None = None,
    ) -> None:
        self.lifts = lifts
        self.labels = labels
        self.codes = codes
        self.shapes = shapes
        self.n_codes = n_codes

    @classmethod
    def _from_shares(
        cls,
        estimator: VQTextClassifier | VQTextTransformer,
        shares: NDArray[np.float64],
        labels: Sequence[str],
        n_codes: int,
    ) -> Self:
        """Compare rows of shares with their mean, and put codes in order."""
        if n_codes < 1:
            raise ValueError(f"n_codes must be at least 1, got {n_codes}.")
        mean = shares.mean(axis=0)
        lifts = shares / np.where(mean > 0, mean, 1)
        lifts[:, mean == 0] = 1
        most = 2.0**_MAX_DOUBLINGS
        lifts = np.log2(lifts.clip(1 / most, most))
        # Codes that tell rows apart by many windows; those of a row side by side.
        kept = np.argsort(-np.ptp(shares, axis=0), kind="stable")[:n_codes]
        best = lifts[:, kept]
        codes = kept[np.lexsort((-best.max(axis=0), best.argmax(axis=0)))]
        return cls(
            lifts[:, codes],
            labels,
            codes=codes,
            shapes=np.asarray(estimator.shapes_, dtype=np.float64)[codes],
            n_codes=shares.shape[1],
        )

    def plot(self, ax: Any = None, *, cmap: Any = "PuOr_r") -> Self:
        """Draw it.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw. By default a new figure is made.
        cmap : str or Colormap, default="PuOr_r"
            Colours, of which the middle one is for what is as on average.

        Returns
        -------
        HistogramsDisplay or PhrasesDisplay
            Itself.
        """
        _check_matplotlib(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        n_rows, n_shown = self.lifts.shape
        labels = [_wrap(str(label), 2.8, 0.8, 3) for label in self.labels]
        n_lines = 1 + max(label.count("\n") for label in labels)
        widest = max(
            _measure(line, 0.8) for label in labels for line in label.split("\n")
        )
        if ax is None:
            width = max(0.17 * n_shown, 3.0) + widest / _unit() + 1.3
            height = (n_rows + 1) * (0.14 * n_lines + 0.12) + 1.2
            size = _unit() * width, _unit() * max(height, 2.4)
            _, ax = plt.subplots(figsize=size, layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        most = self._limit()
        self.image_ = ax.imshow(
            self.lifts, aspect="auto", cmap=cmap, vmin=-most, vmax=most
        )
        ax.set_yticks(range(n_rows), labels, **_text(0.8))
        codes = np.arange(n_shown) if self.codes is None else np.asarray(self.codes)
        inches = ax.get_window_extent().width / ax.figure.figure.dpi
        step = max(1, int(np.ceil(n_shown * 0.125 * _unit() / inches)))
        every = range(0, n_shown, step)
        self._draw_shapes(ax, every)
        ax.set_xticks(every, [f"{codes[i]}" for i in every], rotation=90, **_text(0.65))
        note = "code"
        if self.n_codes is not None and n_shown < self.n_codes:
            note += f" ({n_shown} of {self.n_codes} are shown)"
        ax.set_xlabel(note, **_text(0.9))
        ax.set_title(f"Use of codes by {self._rows}", **_text(1))
        self._draw_colour_bar(ax, most)
        return self

    def _limit(self) -> float:
        """Choose where the colours end."""
        # Among n rows a factor is n at most, but may be nearly 0. The few strongest of
        # either side shall not make all others pale.
        above = self.lifts[self.lifts > 0]
        if not len(above):
            return 1.0
        usual = np.quantile(np.abs(self.lifts), 0.8)
        return float(max(usual, np.quantile(above, 0.98)))

    def _draw_shapes(self, ax: Any, columns: range) -> None:
        """Draw shapes of codes above their columns."""
        from matplotlib.collections import LineCollection

        self.shapes_ = None
        if self.shapes is None:
            return
        n_points = self.shapes.shape[1]
        across = (np.arange(n_points) / (n_points - 1) - 0.5) * 0.7 * columns.step
        most = max(float(np.abs(self.shapes).max()), 1e-9)
        lines = [
            np.column_stack([column + across, -1.1 - 0.45 * self.shapes[column] / most])
            for column in columns
        ]
        self.shapes_ = LineCollection(lines, color=_ink(), linewidth=0.8)
        ax.add_collection(self.shapes_, autolim=False)
        ax.set_ylim(self.lifts.shape[0] - 0.5, -1.65)

    def _draw_colour_bar(self, ax: Any, most: float) -> None:
        """Draw the scale as factors."""
        below, above = bool(self.lifts.min() < -most), bool(self.lifts.max() > most)
        extend = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}
        bar = self.colorbar_ = ax.figure.colorbar(
            self.image_,
            ax=ax,
            use_gridspec=False,  # so that a layout can be chosen later
            extend=extend[below, above],
            fraction=0.04,
            pad=0.01,
            aspect=25,
        )
        whole = int(most)
        ticks = np.arange(-whole, whole + 1) if whole else np.array([-most, 0, most])
        bar.set_ticks(ticks, labels=[_factor(tick) for tick in ticks])
        bar.ax.tick_params(labelsize=_points(0.7))
        bar.set_label(f"times the mean of {self._rows}", **_text(0.8))


class HistogramsDisplay(_LiftsDisplay):
    """How often classes use codes, next to the mean over classes.

    Make it by :meth:`from_estimator`.

    Parameters
    ----------
    lifts : ndarray of shape (n_classes, n_shown)
        Logarithms to base 2 of the share of a code in a class, divided by the mean
        over classes.
    labels : sequence of str
        Classes.
    codes : array-like of shape (n_shown,), optional
        Numbers of the codes; by default they are counted from 0.
    shapes : ndarray of shape (n_shown, n_points), optional
        Their shapes.
    n_codes : int, optional
        Codes of the whole vocabulary; by default those that are shown.

    Attributes
    ----------
    ax_ : Axes
        Where it is drawn.
    figure_ : Figure or SubFigure
        What that is in.
    image_ : AxesImage
        The heat map.
    shapes_ : LineCollection or None
        Shapes of the codes that are named below.
    colorbar_ : Colorbar
        Its scale, in factors.

    See Also
    --------
    PhrasesDisplay : The same for texts.

    Examples
    --------
    >>> import numpy as np
    >>> from sktext_vq import VQTextClassifier
    >>> from sktext_vq.inspection.displays import HistogramsDisplay
    >>> X = np.random.default_rng(0).normal(size=(20, 1, 50))
    >>> X[::2] = X[::2].cumsum(axis=2)
    >>> y = np.array(["walk", "noise"] * 10)
    >>> classifier = VQTextClassifier(max_epochs=0, random_state=0).fit(X, y)
    >>> display = HistogramsDisplay.from_estimator(classifier, X, y)
    >>> display.labels, display.lifts.shape
    (['noise', 'walk'], (2, 64))
    """

    _rows = "classes"

    @classmethod
    def from_estimator(
        cls,
        estimator: VQTextClassifier | VQTextTransformer,
        X: Any,
        y: ArrayLike,
        *,
        n_codes: int = 64,
        cmap: Any = "PuOr_r",
        ax: Any = None,
    ) -> HistogramsDisplay:
        """Draw how often classes use codes.

        Parameters
        ----------
        estimator : VQTextClassifier or VQTextTransformer
            A fitted one.
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series with the channels of the training series.
        y : array-like of shape (n_cases,)
            Their classes, two at least. They may be others than those of training.
        n_codes : int, default=64
            Codes that are drawn at most: those whose share differs most between
            classes. Codes that speak for the same class stand side by side.
        cmap : str or Colormap, default="PuOr_r"
            Colours, of which the middle one is for what is as on average.
        ax : Axes, optional
            Where to draw. By default a new figure is made.

        Returns
        -------
        HistogramsDisplay
            What was drawn.

        Raises
        ------
        TypeError
            If estimator is not one of ours.
        NotFittedError
            If it is not fitted.
        ValueError
            If X and y do not match each other or the estimator, or there is but one
            class.
        """
        _check_matplotlib(f"{cls.__name__}.from_estimator")
        _check_estimator(estimator, cls.__name__)
        panel = as_panel(X, estimator_name=cls.__name__)
        true = column_or_1d(y, warn=True)
        if len(true) != panel.n_cases:
            raise ValueError(
                f"X and y have inconsistent numbers of samples: X has {panel.n_cases} "
                f"cases, y has {len(true)}."
            )
        labels, classes = np.unique(true, return_inverse=True)
        if len(labels) < 2:
            raise ValueError(
                "y needs at least two classes, since each is compared with their mean. "
                f"It has {labels.tolist()}."
            )
        shares = estimator.transform_codes(panel)
        means = np.stack([shares[classes == i].mean(0) for i in range(len(labels))])
        names = [str(label) for label in labels]
        return cls._from_shares(estimator, means, names, n_codes).plot(ax, cmap=cmap)


class PhrasesDisplay(_LiftsDisplay):
    """How strongly texts speak of codes, next to the mean over texts.

    Make it by :meth:`from_estimator`.

    Parameters
    ----------
    lifts : ndarray of shape (n_texts, n_shown)
        Logarithms to base 2 of the share of a code that a text tells, divided by the
        mean over texts.
    labels : sequence of str
        Texts.
    codes : array-like of shape (n_shown,), optional
        Numbers of the codes; by default they are counted from 0.
    shapes : ndarray of shape (n_shown, n_points), optional
        Their shapes.
    n_codes : int, optional
        Codes of the whole vocabulary; by default those that are shown.

    Attributes
    ----------
    ax_ : Axes
        Where it is drawn.
    figure_ : Figure or SubFigure
        What that is in.
    image_ : AxesImage
        The heat map.
    shapes_ : LineCollection or None
        Shapes of the codes that are named below.
    colorbar_ : Colorbar
        Its scale, in factors.

    See Also
    --------
    HistogramsDisplay : The same for classes of series.

    Examples
    --------
    >>> import numpy as np
    >>> from sktext_vq import VQTextClassifier
    >>> from sktext_vq.inspection.displays import PhrasesDisplay
    >>> X = np.random.default_rng(0).normal(size=(20, 1, 50))
    >>> X[::2] = X[::2].cumsum(axis=2)
    >>> y = np.array(["walk", "noise"] * 10)
    >>> classifier = VQTextClassifier(
    ...     max_epochs=1, text_encoder="hashing", random_state=0
    ... )
    >>> texts = ["a random walk", "white noise", "a wave"]
    >>> display = PhrasesDisplay.from_estimator(classifier.fit(X, y), texts)
    >>> display.lifts.shape
    (3, 64)
    """

    _rows = "texts"

    @classmethod
    def from_estimator(
        cls,
        estimator: VQTextClassifier | VQTextTransformer,
        texts: Sequence[str],
        *,
        n_codes: int = 64,
        cmap: Any = "PuOr_r",
        ax: Any = None,
    ) -> PhrasesDisplay:
        """Draw how strongly texts speak of codes.

        Parameters
        ----------
        estimator : VQTextClassifier or VQTextTransformer
            A fitted one that was trained with text.
        texts : sequence of str, shape (n_texts,)
            Any wording, two texts at least.
        n_codes : int, default=64
            Codes that are drawn at most: those whose share differs most between texts.
            Codes that the same text speaks of most stand side by side.
        cmap : str or Colormap, default="PuOr_r"
            Colours, of which the middle one is for what is as on average.
        ax : Axes, optional
            Where to draw. By default a new figure is made.

        Returns
        -------
        PhrasesDisplay
            What was drawn.

        Raises
        ------
        TypeError
            If estimator is not one of ours, or a text is not a string.
        NotFittedError
            If it is not fitted.
        ValueError
            If it was not trained with text, a text is empty, or there is but one.
        """
        _check_matplotlib(f"{cls.__name__}.from_estimator")
        _check_estimator(estimator, cls.__name__)
        shares = estimator.transform_text(texts)
        if len(shares) < 2:
            raise ValueError(
                "texts needs at least two, since each is compared with their mean."
            )
        display = cls._from_shares(estimator, shares, list(texts), n_codes)
        return display.plot(ax, cmap=cmap)


class HistoryDisplay:
    """Losses of each epoch of training.

    Make it by :meth:`from_estimator`.

    Parameters
    ----------
    history : list of dict
        Of each epoch, the losses by name: ``train_loss`` and, of series that were held
        out, ``valid_loss`` are sums over all terms; ``train_text`` and so on are terms.

    Attributes
    ----------
    axes_ : ndarray of shape (n_rows, n_columns), object
        A panel per loss, the sum first; None where there is none.
    figure_ : Figure or SubFigure
        What they are in.
    lines_ : list of Line2D
        Losses, by panel: in training, then of held-out series.

    See Also
    --------
    HistogramsDisplay : What classes look like, trained or not.

    Examples
    --------
    >>> import numpy as np
    >>> from sktext_vq import VQTextClassifier
    >>> from sktext_vq.inspection.displays import HistoryDisplay
    >>> X = np.random.default_rng(0).normal(size=(20, 1, 50))
    >>> X[::2] = X[::2].cumsum(axis=2)
    >>> y = np.array(["walk", "noise"] * 10)
    >>> classifier = VQTextClassifier(
    ...     max_epochs=2, text_encoder="hashing", random_state=0
    ... )
    >>> display = HistoryDisplay.from_estimator(classifier.fit(X, y))
    >>> [panel.get_title() for panel in display.axes_.flat if panel is not None]
    ['weighted sum', 'class', 'text', 'codes', 'affinity']
    """

    def __init__(self, history: Sequence[Mapping[str, float]]) -> None:
        self.history = history

    @classmethod
    def from_estimator(
        cls, estimator: VQTextClassifier | VQTextTransformer, *, ax: Any = None
    ) -> HistoryDisplay:
        """Draw the training of an estimator.

        Parameters
        ----------
        estimator : VQTextClassifier or VQTextTransformer
            A fitted one, with ``max_epochs`` above 0.
        ax : Axes, optional
            Its place is taken; its figure gets constrained layout if it has none. By
            default a new figure is made.

        Returns
        -------
        HistoryDisplay
            What was drawn.

        Raises
        ------
        TypeError
            If estimator is not one of ours.
        NotFittedError
            If it is not fitted.
        ValueError
            If it was fitted without training.
        """
        _check_matplotlib(f"{cls.__name__}.from_estimator")
        _check_estimator(estimator, cls.__name__)
        if not estimator.history_:
            raise ValueError(
                f"This {type(estimator).__name__} has no history of training, since it "
                f"is in closed form (max_epochs={estimator.max_epochs}). Fit it with "
                "max_epochs above 0, with y or text."
            )
        return cls(estimator.history_).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : Axes, optional
            Its place is taken; its figure gets constrained layout if it has none. By
            default a new figure is made.

        Returns
        -------
        HistoryDisplay
            Itself.
        """
        _check_matplotlib(f"{type(self).__name__}.plot")
        from matplotlib.ticker import MaxNLocator

        parts = {"train": "training", "valid": "held-out series"}
        terms = dict.fromkeys(
            key.partition("_")[2]
            for epoch in self.history
            for key in epoch
            if key.partition("_")[0] in parts
        )
        terms = {"loss": None, **terms}
        n_columns = min(3, len(terms))
        n_rows = -(-len(terms) // n_columns)
        canvas = self.figure_ = _take(ax, (3 * n_columns, 2.2 * n_rows + 0.5))
        self.axes_ = _panels(canvas, len(terms), n_columns)
        epochs = np.arange(1, len(self.history) + 1)
        sums = [epoch.get("valid_loss", np.nan) for epoch in self.history]
        self.lines_ = []
        handles = {}
        styles: dict[str, Any] = {
            "train": {"color": _PALETTE[1], "marker": "o"},
            "valid": {"color": _PALETTE[0], "marker": "s", "linestyle": "--"},
        }
        for panel, term in zip(self.axes_.flat, terms, strict=False):
            for part, name in parts.items():
                key = f"{part}_{term}"
                losses = [epoch.get(key, np.nan) for epoch in self.history]
                if np.isfinite(losses).any():
                    lines = panel.plot(epochs, losses, markersize=3, **styles[part])
                    self.lines_ += lines
                    handles[name] = lines[0]
            if np.isfinite(sums).any():
                best = epochs[int(np.nanargmin(sums))]
                handles["epoch that was kept"] = panel.axvline(
                    best, color=_ink(), linewidth=0.8, linestyle=":"
                )
            title = "weighted sum" if term == "loss" else term
            panel.set_title(title, **_text(0.9))
            panel.set_xlabel("epoch", **_text(0.8))
            panel.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
            panel.yaxis.set_major_locator(MaxNLocator(4))
            panel.tick_params(labelsize=_points(0.75))
        canvas.legend(
            list(handles.values()),
            list(handles),
            loc="outside lower center",
            ncols=len(handles),
            fontsize=_points(0.8),
            frameon=False,
        )
        return self


# -- what is drawn --------------------------------------------------------------------


def _check_matplotlib(caller: str) -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{caller} needs matplotlib: pip install 'sktext_vq[plot]'"
        ) from error


def _check_estimator(estimator: Any, caller: str) -> None:
    if not isinstance(estimator, VQTextClassifier | VQTextTransformer):
        raise TypeError(
            f"{caller} takes a fitted VQTextClassifier or VQTextTransformer, got "
            f"{type(estimator).__name__}."
        )
    check_is_fitted(estimator)


def _channel_indices(channels: Sequence[int | str], names: list[str]) -> list[int]:
    """Find channels by index or name."""
    if isinstance(channels, str):
        channels = [channels]
    found = [
        names.index(channel) if channel in names else channel for channel in channels
    ]
    wrong = [
        channel
        for channel in found
        if isinstance(channel, str) or not 0 <= channel < len(names)
    ]
    if wrong or not found:
        raise ValueError(
            f"channels must be some of {names}, or of their indices from 0 to "
            f"{len(names) - 1}, got {wrong}."
        )
    return [int(channel) for channel in found]


def _spread(panel: Panel) -> Panel:
    """Take at most 256 cases, evenly spread."""
    if panel.n_cases <= _MAX_CASES:
        return panel
    cases = np.linspace(0, panel.n_cases - 1, _MAX_CASES).astype(int)
    return Panel(panel.values[cases], panel.lengths[cases])


def _find_windows(
    estimator: VQTextClassifier | VQTextTransformer,
    X: Any,
    shapes: NDArray[np.float64],
    n_windows: int,
) -> list[NDArray[np.float64]]:
    """Find the segments that match each code best.

    Parameters
    ----------
    estimator : VQTextClassifier or VQTextTransformer
    X : panel of series
    shapes : ndarray of shape (n_codes, n_points)
    n_windows : int
        Of each code at most.

    Returns
    -------
    list of ndarray of shape (n_windows_i, n_points)
        By code, the best first: means of stretches, with offset 0 and scale 1.
    """
    panel = _spread(as_panel(X, estimator_name="CodebookDisplay"))
    n_points = shapes.shape[1]
    table = estimator.tokens(panel)
    # A shorter segment has fewer values than the shape: it matches too easily.
    table = table[(table["length"] >= n_points) & (table["scale"] > 0)]
    table = table.reset_index(drop=True)
    points = np.full((len(table), n_points), np.nan)
    for length, rows in table.groupby("length").indices.items():
        part = table.iloc[rows]
        case, channel, start, offset, scale = (
            part[name].to_numpy()[:, None]
            for name in ("case", "channel", "start", "offset", "scale")
        )
        pieces = panel.values[case, channel, start + np.arange(length)]
        # Of so many equal parts of each timepoint, every point has as many as there are
        # timepoints.
        parts = np.repeat((pieces - offset) / scale, n_points, axis=1)
        points[rows] = parts.reshape(len(rows), n_points, length).mean(axis=2)
    error = np.square(points - shapes[table["code"]]).mean(axis=1)
    best = table.assign(error=error).dropna().sort_values("error", kind="stable")
    # Another case says more than another stretch of the same one.
    best = best.drop_duplicates(["code", "case"])
    return [
        points[best.index[best["code"] == code][:n_windows]]
        for code in range(len(shapes))
    ]


def _draw_token(
    token: Mapping[Any, Any], shapes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Draw a token as a piece of a series."""
    code, offset, scale = (
        torch.tensor([token[name]]) for name in ("code", "offset", "scale")
    )
    drawn = decode(code, offset, scale, token["length"], torch.from_numpy(shapes))
    return cast(NDArray[np.float64], drawn[0].numpy())


def _code_colours(tokens: pd.DataFrame) -> dict[int, str]:
    """Give colours to the codes that occur most often, the longest of these first."""
    times = tokens.groupby("code")["length"].agg(["count", "sum"])
    ranked = times.sort_values(["count", "sum"], ascending=False, kind="stable").index
    return dict(zip(map(int, ranked), _PALETTE, strict=False))


# -- how it is drawn ------------------------------------------------------------------


def _take(ax: Any, size: tuple[float, float]) -> Any:
    """Make a figure, or take the place of an Axes.

    Parameters
    ----------
    ax : Axes or None
    size : (float, float)
        Of a new figure, in inches where the font has 10 points.

    Returns
    -------
    Figure or SubFigure
        Without any Axes.
    """
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes
    from matplotlib.gridspec import GridSpecFromSubplotSpec

    if ax is None:
        size = size[0] * _unit(), size[1] * _unit()
        return plt.figure(figsize=size, layout="constrained")
    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be a matplotlib Axes, got {type(ax).__name__}.")
    if not ax.axison:
        raise ValueError("ax was taken by another plot: make a new one.")
    place = ax.get_subplotspec()
    if place is None:
        raise ValueError("ax must be on a grid: make it with plt.subplots.")
    ax.set_axis_off()
    figure = ax.figure.figure
    # Colour bars on nested grids, as without a layout, fit into none that comes later.
    places = [axes.get_subplotspec() for axes in figure.axes]
    nested = any(
        isinstance(other.get_gridspec(), GridSpecFromSubplotSpec)
        for other in places
        if other is not None
    )
    if figure.get_layout_engine() is None and not nested:
        # Without, titles and legends of single panels would lie upon each other.
        figure.set_layout_engine("constrained")
    return ax.figure.add_subfigure(place)


def _panels(canvas: Any, n_shown: int, n_columns: int) -> NDArray[Any]:
    """Make a panel for each of so many things, row by row; None where there is none."""
    panels = canvas.subplots(-(-n_shown // n_columns), n_columns, squeeze=False)
    for left_over in panels.flat[n_shown:]:
        left_over.remove()
    panels.flat[n_shown:] = None
    return cast(NDArray[Any], panels)


def _inches(canvas: Any) -> tuple[float, float]:
    """Width and height of a figure, or what a part of one will have at least."""
    # The layout of all of a figure comes later, and labels of other parts need room.
    share = (1 if canvas.figure is canvas else 0.85) / canvas.figure.dpi
    return canvas.bbox.width * share, canvas.bbox.height * share


def _ink() -> Any:
    """Colour of lines and text, which the style sets."""
    import matplotlib.pyplot as plt

    return plt.rcParams["text.color"]


def _unit() -> float:
    """Size of the font, next to the 10 points that sizes here are made for."""
    import matplotlib.pyplot as plt

    return float(plt.rcParams["font.size"]) / 10


def _points(size: float) -> float:
    return 10 * _unit() * size


def _text(size: float) -> dict[str, Any]:
    """Style of texts. Dollars in names are no mathematics."""
    return {"fontsize": _points(size), "parse_math": False}


def _measure(text: str, size: float) -> float:
    """Width of a line of text in inches, at any resolution."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=_points(size))
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return 1.08 * float(width) / 72  # hints for few pixels make letters wider


def _wrap(text: str, width: float, size: float, n_lines: int) -> str:
    """Break a text into lines of at most so many inches, and leave out what is more."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if not lines[-1] or _measure(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > n_lines:
        lines = [*lines[: n_lines - 1], " ".join(lines[n_lines - 1 :])]
    return "\n".join(_shorten(line, width, size) for line in lines)


def _shorten(line: str, width: float, size: float) -> str:
    """Leave out the end of a line that is too long."""
    if _measure(line, size) <= width:
        return line
    low, high = 0, len(line)
    while low < high:
        middle = (low + high + 1) // 2
        if _measure(line[:middle] + "…", size) <= width:
            low = middle
        else:
            high = middle - 1
    return line[:low].rstrip() + "…"


def _code_title(code: int, row: Mapping[Any, Any], width: float) -> str:
    """Write the number of a code, and what it speaks for or looks like."""
    has_class = not pd.isna(row.get("lift", np.nan))
    name = row["class"] if has_class else row["shape"]
    lines = _wrap(f"{code} · {name}", width, 0.8, 2).split("\n")
    if has_class:
        # The lift is what must not be cut off.
        lift = f" \N{MULTIPLICATION SIGN}{row['lift']:.1f}"
        room = width - _measure(lift, 0.8)
        if len(lines) == 1 and _measure(lines[0], 0.8) > room:
            lines.append("")
        lines[-1] = (_shorten(lines[-1], room, 0.8) + lift).strip()
    return "\n".join(lines)


def _number(value: float) -> str:
    """Three digits, without an exponent where that is as short."""
    return f"{float(f'{value:.3g}'):g}"


def _factor(doublings: float) -> str:
    """Power of 2 as a factor, such as 1/4, 1 or 1.3."""
    if doublings < 0 and float(doublings).is_integer():
        return f"1/{2**-doublings:.0f}"
    return f"{2**doublings:.3g}"
