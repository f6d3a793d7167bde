"""What people look at: names of features, tokens of series, and codes in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from sktext_vq._naming import LEAST_CONFIDENCE, CodeUse
from sktext_vq._readable import COLUMNS, draw, shape_words, token_arrays
from sktext_vq._scaling import Scaler
from sktext_vq.nn.attributes import AttributeDecoder
from sktext_vq.nn.model import share_of_codes
from sktext_vq.nn.tokens import (
    LEVEL_BINS,
    MATCH_QUANTILES,
    N_POINTS,
    SCALE_BINS,
    ShapeTokenizer,
)
from sktext_vq.panel import Panel
from sktext_vq.training import single_thread

_STATISTICS = (
    "mean",
    "deviation",
    "minimum",
    "lower sixth",
    "lower third",
    "median",
    "upper third",
    "upper sixth",
    "maximum",
)
_SUMMARIES = [
    f"{name} of {kind}" for kind in ("levels", "scales") for name in _STATISTICS
]


class VocabularyMixin:
    """Views of a fitted vocabulary, shared by transformer and classifier."""

    n_codes: Any
    sampling_rate: Any
    channel_names_: list[str]
    _channels: list[str]
    kept_: NDArray[np.int64]
    scaler_: Scaler
    tokenizer_: ShapeTokenizer
    attributes_: AttributeDecoder | None
    _use: CodeUse
    _labels: NDArray[Any] | None

    def _check_X(self, X: Any, *, reset: bool) -> Panel:
        raise NotImplementedError

    def transform_text(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Histograms of texts over the codes, of shape (n_texts, n_codes)."""
        raise NotImplementedError

    def _flat_features(
        self, panel: Panel, task: str
    ) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        raise NotImplementedError

    @property
    def codebook_(self) -> NDArray[np.float32]:
        """Codes, of shape (n_codes, 8)."""
        check_is_fitted(self)
        return self.tokenizer_.codebook.codes.detach().numpy()

    @property
    def shapes_(self) -> NDArray[np.float32]:
        """Decoded shape of each code, of shape (n_codes, 8)."""
        return self.codebook_

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Name the features by channel, code, what is counted, and duration.

        Parameters
        ----------
        input_features : array-like of str, optional
            Ignored, as features are not made of single input features.

        Returns
        -------
        ndarray of shape (n_features,) of str objects
            Such as ``"acc_x: code 17, level 2 of 4, 0.32 s"``, ``"acc_x: code 17,
            matches in the top 3%, 0.32 s"`` (how often the code matches so well, of
            what it does in the training series) or ``"acc_x change: median of scales,
            0.32 s"``.
        """
        check_is_fitted(self)
        rows = [f"level {i + 1} of {LEVEL_BINS}" for i in range(LEVEL_BINS)]
        rows += [f"scale {i + 1} of {SCALE_BINS}" for i in range(SCALE_BINS)]
        rows += ["best match"]
        durations = [
            _duration(d * N_POINTS, self.sampling_rate)
            for d in self.tokenizer_.dilations
        ]
        views = ["", " change"]
        better = [f"matches in the top {1 - share:.0%}" for share in MATCH_QUANTILES]
        names = [
            *(
                [f"code {k}, {row}" for row in kind for k in range(self.n_codes)]
                for kind in (rows, better)
            ),
            _SUMMARIES,
        ]
        tokenizer, kept = self.tokenizer_, self.kept_
        ends = np.cumsum(tokenizer.sizes)
        kinds = np.split(kept, np.searchsorted(kept, ends[:-1]))
        return np.array(
            [
                f"{self._channels[c]}{views[v]}: {features[i]}, {durations[d]}"
                for indices, start, features in zip(
                    kinds, ends - tokenizer.sizes, names, strict=True
                )
                for c, v, d, i in zip(
                    *np.unravel_index(
                        indices - start, (*tokenizer.layout[:3], len(features))
                    ),
                    strict=True,
                )
            ],
            dtype=object,
        )

    def transform_codes(self, X: Any) -> NDArray[np.float64]:
        """Count codes, over all channels and lengths.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series with the channels of the training series.

        Returns
        -------
        ndarray of shape (n_cases, n_codes)
            Share of each code in the windows of a series; rows sum to 1. Every window
            counts once in each head of the codebook.
        """
        panel = self._check_X(X, reset=False)
        shares = np.empty((panel.n_cases, self.n_codes))
        for where, features in self._flat_features(panel, "codes"):
            usage = self.tokenizer_.usage(torch.from_numpy(features)).flatten(3)
            shares[where] = share_of_codes(usage.double()).numpy()
        return shares

    def tokens(self, X: Any) -> pd.DataFrame:
        """Cut series into segments, each with the shape that rebuilds it best.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series with the channels of the training series.

        Returns
        -------
        DataFrame
            A row per token, by case, channel and time: ``case``, ``channel`` (both
            counted from 0), ``start`` and ``length`` in timepoints, ``code``, and
            ``offset`` and ``scale`` in the units of the channel: a token is the shape
            of its code, drawn with a standard deviation of ``scale`` around its
            offset. Tokens of a channel cover it once where
            borders were not trained; training may let them overlap or leave gaps.
        """
        panel = self._check_X(X, reset=False)
        with single_thread():
            found = token_arrays(panel, self.scaler_, self.tokenizer_, self.attributes_)
        unit = self.scaler_.scale[found["channel"]]
        found["offset"] = found["offset"] * unit + self.scaler_.mean[found["channel"]]
        found["scale"] = found["scale"] * unit
        return pd.DataFrame(found)

    def reconstruct(self, X: Any) -> NDArray[np.float64]:
        """Rebuild series from their tokens alone.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series with the channels of the training series; or a table of tokens,
            with the columns that :meth:`tokens` returns.

        Returns
        -------
        ndarray of shape (n_cases, n_channels, n_timepoints)
            In the units of X. NaN past the end of a series. From a table, up to its
            last case; a case ends with its last token, and a channel without any
            token is NaN.
        """
        check_is_fitted(self)
        scale, mean = self.scaler_.scale, self.scaler_.mean
        if isinstance(X, pd.DataFrame) and set(COLUMNS) <= set(X.columns):
            found = {name: X[name].to_numpy() for name in COLUMNS}
            case, channel = found["case"], found["channel"]
            found["offset"] = (found["offset"] - mean[channel]) / scale[channel]
            found["scale"] = found["scale"] / scale[channel]
            lengths = np.zeros(case.max(initial=-1) + 1, dtype=np.int64)
            np.maximum.at(lengths, case, found["start"] + found["length"])
            n_timepoints = lengths.max(initial=0)
        else:
            panel = self._check_X(X, reset=False)
            lengths, n_timepoints = panel.lengths, panel.n_timepoints
            with single_thread():
                found = token_arrays(
                    panel, self.scaler_, self.tokenizer_, self.attributes_
                )
        shape = len(lengths), len(mean), n_timepoints
        with single_thread():
            drawn = draw(found, shape, torch.from_numpy(self.codebook_))
        series = drawn * scale[:, None] + mean[:, None]
        past = np.arange(n_timepoints) >= lengths[:, None]
        return np.where(past[:, None], np.nan, series)

    def describe_codes(self, texts: Sequence[str] | None = None) -> pd.DataFrame:
        """Describe the vocabulary.

        Parameters
        ----------
        texts : sequence of str, optional
            Phrases to choose names from, at least two, for an estimator that was
            trained with text. By default names are classes.

        Returns
        -------
        DataFrame
            A row per code:

            - its ``shape`` in words (``"nearly flat"`` if its eight means hardly
              differ: of segments, only those that hardly vary have such a code;
              :meth:`tokens`), ``usage`` (share of the
              windows of the training series), and the ``channel`` and ``length`` (in
              timepoints) in which it is most typical;
            - ``attributes``, such as ``"strong, quick, in acc_z"``: whether its
              windows are strong or weak for their channel and length, short or long,
              and mostly of one channel. Empty where they are neither;
            - if it was fitted with classes, the ``class`` that it speaks for most, with
              its ``lift``: how many times as often it occurs there as on average over
              classes;
            - with classes or texts, its name as ``phrase``, missing where evidence is
              thin, and the ``confidence`` in it, from 0 to 1. Of a class, that is the
              chance that a series of it has more of the code than one of the class that
              comes nearest, less 1.64 standard errors, and at least .55 for a name. Of
              a text, it is its part in how strongly all of them speak of the code
              (:meth:`transform_text`), and at least twice the mean for a name.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        TypeError
            If a text is not a string.
        ValueError
            If there are texts, but it was not trained with text; if a text is empty,
            or there is but one; if it was saved by an early version.
        """
        check_is_fitted(self)
        use: CodeUse | None = getattr(self, "_use", None)
        if use is None:
            raise ValueError(
                "This model was saved by an early version, which did not keep how "
                "codes are used. Fit it again to describe them; it predicts as before."
            )
        channel, length = (
            use.channel_lift.argmax(axis=0),
            use.length_lift.argmax(axis=0),
        )
        kinds = zip(use.strength(), use.pace(), use.place(self._channels), strict=True)
        table = pd.DataFrame(
            {
                "shape": [shape_words(shape) for shape in self.shapes_],
                "attributes": [
                    ", ".join(filter(None, [strength, pace, place and f"in {place}"]))
                    for strength, pace, place in kinds
                ],
                "usage": use.by_code / use.by_code.sum(),
                "channel": np.array(self._channels)[channel],
                "length": N_POINTS * np.array(self.tokenizer_.dilations)[length],
            },
            index=pd.RangeIndex(self.n_codes, name="code"),
        )
        if self._labels is not None and use.separation is not None:
            lift = use.class_lift
            best = lift.argmax(axis=0)
            table["class"], table["lift"] = self._labels[best], lift.max(axis=0)
            _name(table, self._labels, best, use.separation, LEAST_CONFIDENCE)
        if texts is not None:
            shares = self.transform_text(texts)
            if len(shares) < 2:
                raise ValueError("texts needs at least two phrases to choose from.")
            shares = shares / np.maximum(shares.sum(axis=0), 1e-12)
            best, confidence = shares.argmax(axis=0), shares.max(axis=0)
            _name(table, texts, best, confidence, 2 / len(shares))
        return table


def _name(
    table: pd.DataFrame,
    names: Sequence[Any] | NDArray[Any],
    best: NDArray[np.intp],
    confidence: NDArray[np.float64],
    least: float,
) -> None:
    """Give each code its best name, if that is sure enough."""
    table["phrase"] = [
        str(names[i]) if sure >= least else None
        for i, sure in zip(best, confidence, strict=True)
    ]
    table["confidence"] = confidence


def _duration(length: int, sampling_rate: float | None) -> str:
    """Length of a window in words."""
    if sampling_rate is None:
        return f"{length} timepoints"
    return f"{length / sampling_rate:.3g} s"
