"""Series written out as strings that a tokenizer reads, and back again."""

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
    """Write series as digits or letters, one string a channel, and read them back.

    Each series is reduced to ``n_timepoints`` means of equal pieces, each mean to one
    of a number of bins, and the bin's number is written out. `inverse_transform`
    reads bin centres back, exactly those of `render`, also after a tokenizer has
    taken the string apart and put it together with other blanks.

    Parameters
    ----------
    style : {"digits", "llmtime", "sax"}, default="digits"
        - ``"digits"``: ``10 ** n_digits`` equal bins, all numbers of the same width
          and without a sign, so that timepoint ``i`` is always at the same place;
        - ``"llmtime"``: LLMTime's numbers, of any width and sign, a comma after each;
        - ``"sax"``: ``n_symbols`` letters, equally likely under a normal law.
    n_timepoints : int, default=64
        Values per channel that are written.
    n_digits : int, default=2
        Digits of a value (for ``"llmtime"`` its decimals), 1 to 6.
    separator : {"blank", "comma", "none"}, default="blank"
        ``"blank"`` writes ``3 7 6 8``, ``"comma"`` ``3 7, 6 8`` and ``"none"``
        ``37 68`` (letters: words of eight). ``"llmtime"`` has commas in any case,
        since its numbers have no fixed width; ``"none"`` joins its digits.
    n_symbols : int, default=8
        Letters of the style ``"sax"``, 2 to 25.
    margin : float, default=0.05
        Room at both ends of the range of training, as a share of it. What lies
        further out later is written as the outermost bin (``"digits"``, ``"sax"``).

    Attributes
    ----------
    n_channels_ : int
        Number of channels in `fit`.
    edges_ : ndarray of shape (n_channels, n_bins + 1)
        Borders of the bins (``"digits"``, ``"sax"``).
    offset_, step_ : ndarray of shape (n_channels,)
        Scaling of the style ``"llmtime"``.

    Notes
    -----
    Fixed-width digits apart are the form that has the same number of tokens per
    timepoint in WordPiece, byte-level BPE and Unigram tokenizers. The expected squared
    error against the piecewise means is a twelfth of the squared bin width, and the
    largest error half a bin. A missing mean is the word ``nan``, once for every digit
    (``z`` among letters). A constant channel gets bins around its value.

    References
    ----------
    Gruver, Finzi, Qiu and Wilson (2023), "Large Language Models Are Zero-Shot Time
    Series Forecasters", for ``"llmtime"``: ``m = min - .3 (max - min)``, divided by
    the .95-quantile of ``x - m``; here over the training series, per channel.
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
        """Learn the bins of every channel.

        Parameters
        ----------
        X : panel of series
            ``(n, t)``, ``(n, c, t)``, or a list of ``(c, t_i)`` arrays; NaN is
            missing.
        y : object, ignored

        Returns
        -------
        SeriesVerbalizer

        Raises
        ------
        ValueError
            For bad parameters or series.
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
        """Set the bins that an earlier `fit` learned, for a style with bins.

        Parameters
        ----------
        n_channels, n_features : int
            ``n_channels_`` and ``n_features_in_``.
        edges : ndarray of shape (n_channels, n_bins + 1)
            Edges of the bins of every channel, ascending.

        Raises
        ------
        ValueError
            For bad parameters, or edges that do not fit them.
        """
        self._check_params()
        n_bins = self.n_symbols if self.style == "sax" else 10**self.n_digits
        if edges.shape != (n_channels, n_bins + 1) or (np.diff(edges) < 0).any():
            raise ValueError(f"edges must be ascending, of {n_bins} bins a channel.")
        self.n_channels_, self.n_features_in_ = n_channels, n_features
        self._flat_width = None
        self.edges_ = edges

    def transform(self, X: Any) -> npt.NDArray[Any]:
        """Write series.

        Parameters
        ----------
        X : panel of series
            As many channels as in `fit`, any lengths.

        Returns
        -------
        ndarray of shape (n,) or (n, c), object
            One string a case, or one a case and channel when there are several.
        """
        return rows_of_cases(self.write_codes(self.codes(X)), X, self)

    def inverse_transform(self, strings: Any, *, strict: bool = True) -> FloatPanel:
        """Read strings back, in the units of the series.

        Parameters
        ----------
        strings : array-like of str, shape (n,) or (n, c)
            From `transform`, blanks changed or not; ``(n,)`` only for one channel.
        strict : bool, default=True
            Whether a string that is not whole is an error. If not, what can be read
            is read, and the rest is NaN: for strings that a model wrote.

        Returns
        -------
        ndarray of shape (n, c, n_timepoints), float64
            Bin centres, NaN for missing ones.

        Raises
        ------
        ValueError
            For the wrong number of strings, and for a damaged one.
        """
        return self.read_codes(self.parse(strings, strict=strict))

    def render(self, X: Any) -> FloatPanel:
        """Return what a lossless way through text gives back, without the text.

        Parameters
        ----------
        X : panel of series

        Returns
        -------
        ndarray of shape (n, c, n_timepoints), float64
            Bitwise equal to ``inverse_transform(transform(X))``.
        """
        return self.read_codes(self.codes(X))

    # -- between series and strings: codes ----------------------------------------

    def codes(self, X: Any) -> npt.NDArray[np.int64]:
        """Bin numbers of series.

        Parameters
        ----------
        X : panel of series

        Returns
        -------
        ndarray of shape (n, c, n_timepoints), int64
            From 0 (``"llmtime"``: any sign); the smallest int64 for a missing one.
        """
        check_is_fitted(self)
        values, lengths = check_series(self, X, reset=False)
        means = _digits.piecewise_means(values, lengths, self.n_timepoints)
        if self.style == "llmtime":
            return _digits.to_steps(means, self.offset_, self.step_)
        return _digits.to_bins(means, self.edges_)

    def read_codes(self, codes: npt.NDArray[np.int64]) -> FloatPanel:
        """Bin centres of codes.

        Parameters
        ----------
        codes : ndarray of shape (n, c, n_timepoints), int64

        Returns
        -------
        ndarray of shape (n, c, n_timepoints), float64
        """
        check_is_fitted(self)
        if self.style == "llmtime":
            return _digits.step_centres(codes, self.offset_, self.step_)
        return _digits.bin_centres(codes, self.edges_)

    def write_codes(self, codes: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Strings of codes.

        Parameters
        ----------
        codes : ndarray of shape (n, c, n_timepoints), int64

        Returns
        -------
        ndarray of shape (n,) or (n, c), object
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
        """Codes of strings; see `inverse_transform`.

        Parameters
        ----------
        strings : array-like of str, shape (n,) or (n, c)
        strict : bool, default=True

        Returns
        -------
        ndarray of shape (n, c, n_timepoints), int64
        """
        check_is_fitted(self)
        table = self._table(strings)
        codes = np.empty((*table.shape, self.n_timepoints), dtype=np.int64)
        for case, channel in np.ndindex(*table.shape):
            codes[case, channel], fault = self._parse_one(str(table[case, channel]))
            if strict and fault:
                raise ValueError(
                    f"The string of case {case}, channel {channel} cannot be read: "
                    f"{fault}. Use strict=False to read what is whole."
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
            raise TypeError("strings must be a sequence of strings, got one string.")
        table = np.asarray(strings, dtype=object)
        if table.ndim == 1:
            table = table[:, None]
        if table.ndim != 2 or table.shape[1] != self.n_channels_:
            raise ValueError(
                f"strings must have shape (n, {self.n_channels_}) for "
                f"{self.n_channels_} channels, got {table.shape}."
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
                raise TypeError(f"{name} must be a whole number, got {value!r}.")
            if value < low or (high is not None and value > high):
                span = f"at least {low}" if high is None else f"from {low} to {high}"
                raise ValueError(f"{name} must be {span}, got {value}.")
        if not (np.isfinite(self.margin) and self.margin >= 0):
            raise ValueError(f"margin must be 0 or more, got {self.margin!r}.")

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[Any]:
        """Names of the outputs, one a channel.

        Parameters
        ----------
        input_features : object, ignored

        Returns
        -------
        ndarray of shape (n_channels,), object
        """
        check_is_fitted(self)
        return np.array([f"text{c}" for c in range(self.n_channels_)], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = []
        return tags
