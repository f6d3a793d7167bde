"""Display of a series and its tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from sktext_vq._interpret.shape_names import shape_words
from sktext_vq._utils.docs import fill_docs
from sktext_vq.classifier import VQTextClassifier
from sktext_vq.inspection.displays._canvas import (
    PALETTE,
    channel_indices,
    check_estimator,
    check_matplotlib,
    inches,
    ink,
    measure,
    points,
    spread,
    unit,
)
from sktext_vq.inspection.displays._series import SeriesRows, take_case
from sktext_vq.nn.segmentation import decode
from sktext_vq.text import SeriesCaptioner
from sktext_vq.transformer import VQTextTransformer

_OTHER_COLOUR = "#999999"


@fill_docs
@dataclass(eq=False, repr=False)
class TokensDisplay:
    """Display of a series with its tokens.

    Use :meth:`from_estimator` to create a display.

    Parameters
    ----------
    series : ndarray of shape (n_channels, n_timepoints)
        Series to draw.
    tokens : DataFrame
        One row per token, as returned by the method `tokens` of an estimator. All
        tokens are drawn, regardless of their case.
    shapes : ndarray of shape (n_codes, n_points)
        Decoded shapes of all codes.
    reconstruction : ndarray of shape (n_channels, n_timepoints), optional
        Reconstruction of the series from its tokens.
    [[series_display]]

    Attributes
    ----------
    axes_ : ndarray of shape (n_shown,), object
        Axes of each channel.
    figure_ : Figure or SubFigure
        Figure that contains the axes.
    lines_ : list of Line2D
        Series of each channel.
    reconstructions_ : list of Line2D
        Reconstruction of each channel; empty if no reconstruction was given.
    spans_ : list of PolyCollection
        Spans of the tokens of each channel.
    tokens_ : list of LineCollection
        Shapes of the tokens of each channel.
    numbers_ : list of Text
        Codes of the tokens that are wide enough for a number.

    See Also
    --------
    CodebookDisplay : Shapes of the codes.

    Examples
    --------
    >>> import numpy as np
    >>> from sktext_vq import VQTextTransformer
    >>> from sktext_vq.inspection.displays import TokensDisplay
    >>> X = np.random.default_rng(0).normal(size=(8, 3, 50)).cumsum(axis=2)
    >>> transformer = VQTextTransformer(random_state=0).fit(X)
    >>> display = TokensDisplay.from_estimator(transformer, X, case=2)
    >>> [axes.get_ylabel() for axes in display.axes_]
    ['channel 0', 'channel 1', 'channel 2']
    """

    series: NDArray[Any]
    tokens: pd.DataFrame
    shapes: NDArray[Any]
    _: KW_ONLY
    reconstruction: NDArray[Any] | None = None
    channel_names: Sequence[str] | None = None
    channels: Sequence[int] | None = None
    sampling_rate: float | None = None
    title: str | None = None

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
            Fitted estimator.
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series with the channels of the training series. The title describes the
            case relative to these series.
        case : int, default=0
            Index of the case.
        channels : sequence of int or str, optional
            Channels to draw, by index or name. By default, the first channels, up to 24
            in a new figure, or up to the number of channels that fit into `ax`.
        [[ax]]

        Returns
        -------
        TokensDisplay
            Display with the drawn figure.

        Raises
        ------
        TypeError
            If `estimator` is not a VQTextClassifier or VQTextTransformer, or `case` is
            not an index.
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If a case or channel does not exist, or X does not match the estimator.
        """
        check_matplotlib(f"{cls.__name__}.from_estimator")
        check_estimator(estimator, cls.__name__)
        panel, part = take_case(X, case, cls.__name__)
        tokens = estimator.tokens(part)
        length = int(panel.lengths[case])
        names = estimator.channel_names_
        # The caption does not name a single channel.
        known = None if len(names) == 1 else names
        if estimator.channel_names is not None:
            known = names
        captioner = SeriesCaptioner(
            channel_names=known, sampling_rate=estimator.sampling_rate, n_sentences=3
        )
        some = spread(panel)
        caption = " ".join(captioner.fit(some).sentences(part)[0])
        display = cls(
            panel.values[case, :, :length],
            tokens.assign(case=case),
            np.asarray(estimator.shapes_, dtype=np.float64),
            reconstruction=estimator.reconstruct(part)[0, :, :length],
            channel_names=names,
            channels=None if channels is None else channel_indices(channels, names),
            sampling_rate=estimator.sampling_rate,
            title=f"Case {case}. {caption}",
        )
        return display.plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the display.

        [[plot]]
        """
        check_matplotlib(f"{type(self).__name__}.plot")
        rows = SeriesRows(self, ax)
        self.axes_, self.figure_ = rows.axes, rows.figure
        self.lines_, self.spans_, self.numbers_ = rows.lines, rows.spans, rows.numbers
        tokens = self.tokens[self.tokens["channel"].isin(rows.channels)]
        colours = _code_colours(tokens)
        self.reconstructions_: list[Any] = []
        self.tokens_: list[Any] = []
        by_row = [tokens[tokens["channel"] == channel] for channel in rows.channels]
        for i, own in enumerate(by_row):
            self._draw_channel(rows, i, own, colours)
        rows.label()
        self._draw_legend(colours, tokens["code"].nunique() > len(colours))
        self.figure_.figure.draw_without_rendering()  # computes the layout
        for row, own in zip(self.axes_, by_row, strict=True):
            rows.write(row, own, own["code"].astype(str))
        return self

    def _draw_channel(
        self, rows: SeriesRows, i: int, tokens: pd.DataFrame, colours: Mapping[int, str]
    ) -> None:
        from matplotlib.collections import LineCollection

        row, channel = rows.axes[i], rows.channels[i]
        rate = self.sampling_rate or 1
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
        rows.draw_series(row, channel, (piece[:, 1] for piece in pieces))
        rows.draw_spans(row, tokens, own, alpha=0.22)
        found = LineCollection(pieces, colors=own, linewidths=2.2, zorder=2)
        self.tokens_.append(row.add_collection(found, autolim=False))
        if self.reconstruction is not None:
            rebuilt = self.reconstruction[channel]
            self.reconstructions_ += row.plot(
                np.arange(len(rebuilt)) / rate,
                rebuilt,
                color=ink(),
                alpha=0.6,
                linewidth=0.6,
                linestyle=(0, (2, 1)),
            )

    def _draw_legend(self, colours: Mapping[int, str], has_others: bool) -> None:
        """Draw the legend in the number of columns that fit into the figure."""
        from matplotlib.lines import Line2D

        handles = [Line2D([], [], color=ink(), linewidth=0.8, label="series")]
        if self.reconstruction is not None:
            style: Any = {"linewidth": 0.6, "linestyle": (0, (2, 1)), "alpha": 0.6}
            handles.append(Line2D([], [], color=ink(), label="reconstruction", **style))
        named = [
            (colour, f"{code}: {shape_words(self.shapes[code])}")
            for code, colour in colours.items()
        ]
        if has_others:
            named.append((_OTHER_COLOUR, "other codes"))
        for colour, label in named:
            handles.append(Line2D([], [], color=colour, linewidth=4, label=label))
        widest = max(measure(str(handle.get_label()), 0.8) for handle in handles)
        n_columns = int(0.95 * inches(self.figure_)[0] / (widest + 0.6 * unit()))
        self.figure_.legend(
            handles=handles,
            loc="outside lower center",
            ncols=int(np.clip(n_columns, 1, len(handles))),
            fontsize=points(0.8),
            frameon=False,
        )


def _draw_token(
    token: Mapping[Any, Any], shapes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Decode the values of a token."""
    code, offset, scale = (
        torch.tensor([token[name]]) for name in ("code", "offset", "scale")
    )
    drawn = decode(code, offset, scale, token["length"], torch.from_numpy(shapes))
    return cast(NDArray[np.float64], drawn[0].numpy())


def _code_colours(tokens: pd.DataFrame) -> dict[int, str]:
    """Assign colours to the most frequent codes; ties are broken by total length."""
    times = tokens.groupby("code")["length"].agg(["count", "sum"])
    ranked = times.sort_values(["count", "sum"], ascending=False, kind="stable").index
    return dict(zip(map(int, ranked), PALETTE, strict=False))
