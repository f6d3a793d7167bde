"""Conversion between series and strings for language models."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ..panel import rows_of_cases
from . import _digits
from ._series import FloatPanel, check_series

__all__ = ["SeriesVerbalizer"]

_STYLES = ("digits", "llmtime", "sax")
_SEPARATORS = ("blank", "comma", "none")
_MOST_DIGITS = 6


class SeriesVerbalizer(TransformerMixin, BaseEstimator):
    """Convert series to strings of digits or letters, and back.

    Each channel is reduced to `n_timepoints` means over equal pieces, and each mean is
    written as the index of a bin. `inverse_transform` returns bin centres, regardless
    of spaces in the strings.

    Parameters
    ----------
    style : {"digits", "llmtime", "sax"}, default="digits"
        - ``"digits"``: unsigned numbers with a fixed number of digits, for ``10 **
          n_digits`` equal bins;
        - ``"llmtime"``: signed numbers of variable width, as in LLMTime;
        - ``"sax"``: letters, for `n_symbols` equiprobable bins of a normal
          distribution.
    n_timepoints : int, default=64
        Number of values per channel.
    n_digits : int, default=2
        Number of digits of a value (decimals for ``"llmtime"``), from 1 to 6.
    separator : {"blank", "comma", "none"}, default="blank"
        Separator of values: ``"blank"`` writes ``3 7 6 8``, ``"comma"`` writes ``3 7, 6
        8``, and ``"none"`` writes ``37 68`` or, for ``"sax"``, words of eight letters.
        ``"llmtime"`` always writes commas, and ``"none"`` then joins the digits.
    n_symbols : int, default=8
        Number of letters of the style ``"sax"``, from 2 to 25.
    margin : float, default=0.05
        Margin that is added at both ends of the training range, relative to its width.
        Values outside the widened range are assigned to the outermost bins.

    Attributes
    ----------
    n_channels_ : int
        Number of channels seen during `fit`.
    edges_ : ndarray of shape (n_channels, n_bins + 1)
        Edges of the bins, for the styles ``"digits"`` and ``"sax"``.
    offset_, step_ : ndarray of shape (n_channels,)
        Scaling, for the style ``"llmtime"``.

    Notes
    -----
    With the default style and separator, the number of tokens per timepoint is constant
    in WordPiece, byte-level BPE and Unigram tokenizers. Each digit of a missing value
    is written as ``nan``; the letter of a missing value is ``z``.

    References
    ----------
    Gruver, Finzi, Qiu and Wilson (2023), "Large Language Models Are Zero-Shot Time
    Series Forecasters", for ``"llmtime"``: values are ``x - m``, divided by the
    0.95-quantile of ``x - m``, with ``m = min - 0.3 (max - min)`` per channel.
    Lin, Keogh, Wei and Lonardi (2007), "Experiencing SAX", for piecewise means and
    Gaussian breakpoints.

    Examples
    --------
    >>> import numpy as np
    >>> from sktext_vq.text import SeriesVerbalizer
    >>> X = np.array([[0.0, 1.0, 2.0, 3.0], [3.0, np.nan, 1.0, 0.0]])
    >>> verbalizer = SeriesVerbalizer(n_timepoints=4, margin=0.0).fit(X)
    >>> strings = verbalizer.transform(X)
    >>> strings.tolist()
    ['0 0 3 3 6 6 9 9', '9 9 nan nan 3 3 0 0']
    >>> back = verbalizer.inverse_transform(strings)
    >>> back.shape, back[0, 0].round(3).tolist()
    ((2, 1, 4), [0.015, 1.005, 1.995, 2.985])
    """

    def __init__(
        self,
        *,
        style: str = "digits",
        n_timepoints: int = 64,
        n_digits: int = 2,
        separator: str = "blank",
        n_symbols: int = 8,
        margin: float = 0.05,
    ) -> None:
        self.style = style
        self.n_timepoints = n_timepoints
        self.n_digits = n_digits
        self.separator = separator
        self.n_symbols = n_symbols
        self.margin = margin

    def fit(self, X: Any, y: Any = None) -> SeriesVerbalizer:
        """Compute the bins of each channel.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Training series; see :func:`~sktext_vq.panel.as_panel` for accepted types.
        y : Ignored
            Not used, present for API consistency.

        Returns
        -------
        SeriesVerbalizer
            The fitted verbalizer.

        Raises
        ------
        ValueError
            If a parameter or X is invalid.
        """
        self._check_params()
        values, lengths = check_series(self, X, reset=True)
        means = _digits.piecewise_means(values, lengths, self.n_timepoints)
        if self.style == "llmtime":
            self.offset_, self.step_ = _digits.llmtime_scale(means, self.n_digits)
        elif self.style == "sax":
            self.edges_ = _digits.gaussian_edges(means, self.n_symbols, self.margin)
        else:
            n_bins = 10**self.n_digits
            self.edges_ = _digits.uniform_edges(means, n_bins, self.margin)
        return self

    def restore(
        self, n_channels: int, n_features: int, edges: npt.NDArray[np.float64]
    ) -> None:
        """Set the bins of a saved verbalizer of style digits or sax.

        Parameters
        ----------
        n_channels, n_features : int
            Values of the attributes `n_channels_` and `n_features_in_`.
        edges : ndarray of shape (n_channels, n_bins + 1)
            Edges of the bins of each channel, in ascending order.

        Raises
        ------
        ValueError
            If a parameter is invalid, or `edges` has an invalid shape or order.
        """
        self._check_params()
        n_bins = self.n_symbols if self.style == "sax" else 10**self.n_digits
        if edges.shape != (n_channels, n_bins + 1) or (np.diff(edges) < 0).any():
            raise ValueError(
                "edges must be in ascending order and have shape "
                f"({n_channels}, {n_bins + 1}), got shape {edges.shape}."
            )
        self.n_channels_, self.n_features_in_ = n_channels, n_features
        self._flat_width = None
        self.edges_ = edges

    def transform(self, X: Any) -> npt.NDArray[Any]:
        """Convert series to strings.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series with the same number of channels as in `fit`, of any length.

        Returns
        -------
        ndarray of shape (n_cases, n_channels) or (n_cases,), dtype object
            One string per case and channel. The array is one-dimensional if there is
            one channel.
        """
        return rows_of_cases(self.write_codes(self.codes(X)), X, self)

    def inverse_transform(self, strings: Any, *, strict: bool = True) -> FloatPanel:
        """Convert strings to series.

        Parameters
        ----------
        strings : array-like of str, shape (n_cases, n_channels) or (n_cases,)
            Strings as returned by `transform`, with arbitrary spacing.
        strict : bool, default=True
            Whether to raise an error for invalid strings. If False, values that cannot
            be parsed, for example in strings generated by a model, are NaN.

        Returns
        -------
        ndarray of shape (n_cases, n_channels, n_timepoints), dtype float64
            Bin centres in the units of the series, or NaN for missing values.

        Raises
        ------
        ValueError
            If `strings` has an invalid shape or, with ``strict=True``, contains an
            invalid string.
        """
        return self.read_codes(self.parse(strings, strict=strict))

    def render(self, X: Any) -> FloatPanel:
        """Compute ``inverse_transform(transform(X))`` without creating strings.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series with the same number of channels as in `fit`, of any length.

        Returns
        -------
        ndarray of shape (n_cases, n_channels, n_timepoints), dtype float64
            Bin centres in the units of the series, or NaN for missing values.
        """
        return self.read_codes(self.codes(X))

    def codes(self, X: Any) -> npt.NDArray[np.int64]:
        """Convert series to bin indices.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series with the same number of channels as in `fit`, of any length.

        Returns
        -------
        ndarray of shape (n_cases, n_channels, n_timepoints), dtype int64
            Bin indices, or signed numbers for ``"llmtime"``. Missing values are
            represented by the smallest int64.
        """
        check_is_fitted(self)
        values, lengths = check_series(self, X, reset=False)
        means = _digits.piecewise_means(values, lengths, self.n_timepoints)
        if self.style == "llmtime":
            return _digits.to_steps(means, self.offset_, self.step_)
        return _digits.to_bins(means, self.edges_)

    def read_codes(self, codes: npt.NDArray[np.int64]) -> FloatPanel:
        """Convert bin indices to bin centres.

        Parameters
        ----------
        codes : ndarray of shape (n_cases, n_channels, n_timepoints), dtype int64
            Bin indices, as returned by `codes`.

        Returns
        -------
        ndarray of shape (n_cases, n_channels, n_timepoints), dtype float64
            Bin centres in the units of the series, or NaN for missing values.
        """
        check_is_fitted(self)
        if self.style == "llmtime":
            return _digits.step_centres(codes, self.offset_, self.step_)
        return _digits.bin_centres(codes, self.edges_)

    def write_codes(self, codes: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Convert bin indices to strings.

        Parameters
        ----------
        codes : ndarray of shape (n_cases, n_channels, n_timepoints), dtype int64
            Bin indices, as returned by `codes`.

        Returns
        -------
        ndarray of shape (n_cases, n_channels) or (n_cases,), dtype object
            One string per case and channel, as returned by `transform`.
        """
        check_is_fitted(self)
        strings = np.empty(codes.shape[:2], dtype=object)
        for index in np.ndindex(*codes.shape[:2]):
            if self.style == "llmtime":
                strings[index] = _digits.write_llmtime(codes[index], self.separator)
            else:
                strings[index] = _digits.write_fixed(
                    codes[index], self.n_digits, self.separator, self.style == "sax"
                )
        return strings[:, 0] if codes.shape[1] == 1 else strings

    def parse(self, strings: Any, *, strict: bool = True) -> npt.NDArray[np.int64]:
        """Convert strings to bin indices.

        Parameters
        ----------
        strings : array-like of str, shape (n_cases, n_channels) or (n_cases,)
            Strings as returned by `transform`, with arbitrary spacing.
        strict : bool, default=True
            Whether to raise an error for invalid strings.

        Returns
        -------
        ndarray of shape (n_cases, n_channels, n_timepoints), dtype int64
            Bin indices, as returned by `codes`.
        """
        check_is_fitted(self)
        table = self._table(strings)
        codes = np.empty((*table.shape, self.n_timepoints), dtype=np.int64)
        for case, channel in np.ndindex(*table.shape):
            codes[case, channel], fault = self._parse_one(str(table[case, channel]))
            if strict and fault:
                raise ValueError(
                    f"The string of case {case}, channel {channel} is invalid: "
                    f"{fault}. Use strict=False to replace invalid values with NaN."
                )
        return codes

    def _parse_one(self, text: str) -> tuple[npt.NDArray[np.int64], str]:
        if self.style == "llmtime":
            return _digits.parse_llmtime(text, self.n_timepoints)
        letters = self.n_symbols if self.style == "sax" else 0
        return _digits.parse_fixed(
            text, self.n_timepoints, self.n_digits, self.separator, letters
        )

    def _table(self, strings: Any) -> npt.NDArray[Any]:
        if isinstance(strings, (str, bytes)):
            raise TypeError(
                "strings must be a sequence of strings, got a single string: "
                f"{strings!r}."
            )
        table = np.asarray(strings, dtype=object)
        if table.ndim == 1:
            table = table[:, None]
        if table.ndim != 2 or table.shape[1] != self.n_channels_:
            raise ValueError(
                f"strings must have shape (n_cases, {self.n_channels_}), with one "
                f"string per channel, got shape {table.shape}."
            )
        for index, text in np.ndenumerate(table):
            if not isinstance(text, str):
                raise TypeError(
                    f"strings{list(index)} must be a string, got {type(text).__name__}."
                )
        return table

    def _check_params(self) -> None:
        for name, value, allowed in (
            ("style", self.style, _STYLES),
            ("separator", self.separator, _SEPARATORS),
        ):
            if value not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {value!r}.")
        for name, low, high in (
            ("n_timepoints", 1, None),
            ("n_digits", 1, _MOST_DIGITS),
            ("n_symbols", 2, len(_digits.LETTERS)),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
                raise TypeError(f"{name} must be an int, got {value!r}.")
            if value < low or (high is not None and value > high):
                span = f"at least {low}" if high is None else f"from {low} to {high}"
                raise ValueError(f"{name} must be {span}, got {value}.")
        if not (np.isfinite(self.margin) and self.margin >= 0):
            raise ValueError(
                f"margin must be at least 0 and finite, got {self.margin!r}."
            )

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[Any]:
        """Return the names of the output features.

        Parameters
        ----------
        input_features : Ignored
            Not used, present for API consistency.

        Returns
        -------
        ndarray of shape (n_channels,), dtype object
            ``text0``, ``text1``, ...
        """
        check_is_fitted(self)
        return np.array([f"text{c}" for c in range(self.n_channels_)], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = []
        return tags
