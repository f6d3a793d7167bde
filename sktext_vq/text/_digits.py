"""Piecewise means, bins, and the words of a value: the parts of `SeriesVerbalizer`."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from ._series import FloatPanel

__all__ = [
    "MISSING",
    "bin_centres",
    "gaussian_edges",
    "llmtime_scale",
    "parse_fixed",
    "parse_llmtime",
    "piecewise_means",
    "to_bins",
    "uniform_edges",
    "write_fixed",
    "write_llmtime",
]

IntPanel = npt.NDArray[np.int64]

#: Code of a missing value.
MISSING = np.iinfo(np.int64).min

_NAN = "nan"
# Letters leave the last one of the alphabet to missing values: "nan" is made of them.
LETTERS = "abcdefghijklmnopqrstuvwxy"
_NO_LETTER = "z"
_WORD = 8  # letters in one word, so that no tokenizer gives up on its length
_LARGEST = 10**15  # of a code in the style "llmtime"


def _weights(length: int, n_timepoints: int) -> npt.NDArray[np.float64]:
    """Overlap of ``n_timepoints`` equal pieces with ``length`` steps, rows sum to 1."""
    edges = np.arange(n_timepoints + 1) * length / n_timepoints
    starts, ends = edges[:-1, None], edges[1:, None]
    steps = np.arange(length)
    overlap = np.minimum(ends, steps + 1) - np.maximum(starts, steps)
    return np.asarray(np.clip(overlap, 0, None) * (n_timepoints / length))


def piecewise_means(
    values: FloatPanel, lengths: npt.NDArray[np.int64], n_timepoints: int
) -> FloatPanel:
    """Means over equal pieces of each series (piecewise aggregate approximation).

    Parameters
    ----------
    values : ndarray of shape (n, c, t)
        NaN where a value is missing.
    lengths : ndarray of shape (n,)
        Where each series ends.
    n_timepoints : int
        Pieces. A step that two pieces share counts in both by its overlap; a series
        that is shorter than this is drawn out in steps.

    Returns
    -------
    ndarray of shape (n, c, n_timepoints), float64
        NaN for a piece without a value; others leave missing values out.
    """
    means = np.full((*values.shape[:2], n_timepoints), np.nan)
    for length in np.unique(lengths):
        cases = np.flatnonzero(lengths == length)
        part = values[cases, :, :length]
        there = ~np.isnan(part)
        weights = _weights(int(length), n_timepoints).T
        mass = there.astype(np.float64) @ weights
        # Halved, so that sums of the largest floating point numbers stay finite.
        total = np.where(there, part / 2, 0.0) @ weights
        with np.errstate(over="ignore"):
            mean = np.divide(
                total, mass, out=np.full(mass.shape, np.nan), where=mass > 1e-9
            )
            # A mean lies between the values; rounding must not carry it outside.
            low = np.nanmin(part, axis=2, keepdims=True) / 2
            high = np.nanmax(part, axis=2, keepdims=True) / 2
            means[cases] = 2 * np.clip(mean, low, high)
    return means


def _range(means: FloatPanel, margin: float) -> tuple[Any, Any]:
    """Per channel, the bounds of the bins; a constant gets some room around it."""
    low = np.nanmin(means, axis=(0, 2))
    high = np.nanmax(means, axis=(0, 2))
    largest = np.maximum(np.abs(low), np.abs(high))
    half = high / 2 - low / 2
    # Fewer floating point numbers than bins between the bounds: as good as constant.
    constant = half <= 1e-12 * largest
    room = np.where(largest > 0, largest / 2, 1.0)
    half = np.where(constant, room, half * (1 + 2 * margin))
    middle = low / 2 + high / 2
    top = np.finfo(np.float64).max / 4
    return np.clip(middle - half, -top, top), np.clip(middle + half, -top, top)


def uniform_edges(means: FloatPanel, n_bins: int, margin: float) -> FloatPanel:
    """Edges ``(c, n_bins + 1)`` of equal bins over the range and a margin beside it."""
    low, high = _range(means, margin)
    steps = np.arange(n_bins + 1) / n_bins
    edges = low[:, None] * (1 - steps) + high[:, None] * steps
    return np.asarray(np.maximum.accumulate(edges, axis=1))


def gaussian_edges(means: FloatPanel, n_bins: int, margin: float) -> FloatPanel:
    """Edges ``(c, n_bins + 1)`` of bins that are equally likely under a normal law.

    The outermost ones are bounded by the range and its margin, so that every bin has
    a centre.
    """
    from scipy.special import ndtri

    low, high = _range(means, margin)
    scale = np.maximum(np.abs(low), np.abs(high))[:, None, None]
    z = means.transpose(1, 0, 2) / scale
    centre = np.nanmean(z, axis=(1, 2)) * scale[:, 0, 0]
    spread = np.nanstd(z, axis=(1, 2)) * scale[:, 0, 0]
    points = ndtri(np.arange(1, n_bins) / n_bins)
    inner = centre[:, None] + spread[:, None] * points
    inner = np.clip(inner, low[:, None], high[:, None])
    return np.concatenate([low[:, None], inner, high[:, None]], axis=1)


def to_bins(means: FloatPanel, edges: FloatPanel) -> IntPanel:
    """Codes ``(n, c, n_timepoints)`` from 0; values outside go to the outermost bin."""
    codes = np.empty(means.shape, dtype=np.int64)
    for channel, channel_edges in enumerate(edges):
        codes[:, channel] = np.searchsorted(
            channel_edges[1:-1], means[:, channel], side="right"
        )
    codes[np.isnan(means)] = MISSING
    return codes


def bin_centres(codes: IntPanel, edges: FloatPanel) -> FloatPanel:
    """Return the middle of each code's bin; NaN for a missing one."""
    centres = edges[:, :-1] / 2 + edges[:, 1:] / 2
    known = np.where(codes == MISSING, 0, codes)
    channels = np.arange(len(edges))[None, :, None]
    return np.where(codes == MISSING, np.nan, centres[channels, known])


def llmtime_scale(
    means: FloatPanel, precision: int, alpha: float = 0.95, beta: float = 0.3
) -> tuple[FloatPanel, FloatPanel]:
    """Offset ``m`` and step of LLMTime's affine scaling, per channel.

    ``m = min - beta (max - min)``, ``q`` the alpha-quantile of ``x - m``, and values
    are written as ``(x - m) / q`` with ``precision`` decimals.
    """
    low = np.nanmin(means, axis=(0, 2))
    high = np.nanmax(means, axis=(0, 2))
    offset = low - beta * (high - low)
    above = means - offset[None, :, None]
    q = np.nanquantile(above, alpha, axis=(0, 2))
    largest = np.maximum(np.abs(low), np.abs(high))
    constant = high - low <= 1e-12 * largest
    q = np.where(constant, np.where(largest > 0, largest, 1.0), q)
    step = np.maximum(q / 10**precision, 4 * np.spacing(largest))
    return offset, step


def to_steps(means: FloatPanel, offset: FloatPanel, step: FloatPanel) -> IntPanel:
    """Signed codes of LLMTime's scheme, for `write_llmtime`."""
    with np.errstate(over="ignore"):  # bounded below
        scaled = (means - offset[None, :, None]) / step[None, :, None]
    missing = np.isnan(means)
    bounded = np.clip(np.where(missing, 0, np.floor(scaled)), -_LARGEST, _LARGEST)
    codes = bounded.astype(np.int64)
    codes[missing] = MISSING
    return codes


def step_centres(codes: IntPanel, offset: FloatPanel, step: FloatPanel) -> FloatPanel:
    """Return the middle of each code's step; NaN for a missing one."""
    known = np.where(codes == MISSING, 0, codes)
    centres = offset[None, :, None] + (known + 0.5) * step[None, :, None]
    return np.where(codes == MISSING, np.nan, centres)


# -- words ------------------------------------------------------------------------


def write_fixed(
    codes: npt.NDArray[np.int64], n_digits: int, separator: str, letters: bool
) -> str:
    """One channel ``(n_timepoints,)`` as a string of fixed width."""
    if letters:
        symbols = [_NO_LETTER if q == MISSING else LETTERS[q] for q in codes]
        if separator == "none":
            words = [symbols[i : i + _WORD] for i in range(0, len(symbols), _WORD)]
            return " ".join("".join(word) for word in words)
        return (", " if separator == "comma" else " ").join(symbols)
    apart = "" if separator == "none" else " "
    # As many words for a missing value as for another one: the grid stays the same.
    missing = _NAN if separator == "none" else " ".join([_NAN] * n_digits)
    values = [
        missing if q == MISSING else apart.join(f"{q:0{n_digits}d}") for q in codes
    ]
    return (", " if separator == "comma" else " ").join(values)


def write_llmtime(codes: npt.NDArray[np.int64], separator: str) -> str:
    """One channel in LLMTime's words: sign, digits apart, `` ,`` after each step."""
    apart = "" if separator == "none" else " "
    written = []
    for q in codes.tolist():
        if q == MISSING:
            written.append("Nan")
        else:
            digits = str(q if q >= 0 else -q - 1)
            written.append(apart.join(f"-{digits}" if q < 0 else digits))
    if separator == "none":
        return ", ".join(written) + ","
    return "".join(f" {value} ," for value in written)


def parse_fixed(
    text: str, n_timepoints: int, n_digits: int, separator: str, letters: int
) -> tuple[npt.NDArray[np.int64], str]:
    """Codes of a string, however a tokenizer spaced it, and what was wrong with it.

    Returns
    -------
    codes : ndarray of shape (n_timepoints,)
        As far as they could be read, missing otherwise.
    fault : str
        Empty when the string is whole.
    """
    plain = text.lower()
    codes = np.full(n_timepoints, MISSING, dtype=np.int64)
    if letters:
        alphabet = LETTERS[:letters]
        symbols = re.findall(f"[{alphabet}{_NO_LETTER}]", plain)
        rest = re.sub(f"[{alphabet}{_NO_LETTER}\\s,]", "", plain)
        values = [
            MISSING if symbol == _NO_LETTER else alphabet.index(symbol)
            for symbol in symbols
        ]
        left_over = 0
    else:
        symbols = re.findall(r"n\s*a\s*n|[0-9]", plain)
        rest = re.sub(r"n\s*a\s*n|[0-9\s,]", "", plain)
        if separator == "none":  # one word for a missing value of any width
            symbols = [
                s
                for symbol in symbols
                for s in ([symbol] * n_digits if len(symbol) > 1 else [symbol])
            ]
        left_over = len(symbols) % n_digits
        groups = [
            symbols[i : i + n_digits]
            for i in range(0, len(symbols) - left_over, n_digits)
        ]
        values = [
            MISSING if any(len(s) > 1 for s in group) else int("".join(group))
            for group in groups
        ]
    codes[: len(values)] = values[:n_timepoints]
    if rest:
        return codes, f"it has {rest[:20]!r} in it"
    if len(values) != n_timepoints or left_over:
        more = " and a part of one" if left_over else ""
        return codes, f"it has {len(values)} values{more} instead of {n_timepoints}"
    return codes, ""


def parse_llmtime(text: str, n_timepoints: int) -> tuple[npt.NDArray[np.int64], str]:
    """Codes of a string in LLMTime's words; see `parse_fixed`."""
    codes = np.full(n_timepoints, MISSING, dtype=np.int64)
    pieces = re.sub(r"\s+", "", text.lower()).split(",")
    if pieces and not pieces[-1]:
        pieces = pieces[:-1]
    fault = ""
    for i, piece in enumerate(pieces[:n_timepoints]):
        if re.fullmatch(r"-?[0-9]+", piece):
            size = min(int(piece.lstrip("-")), _LARGEST)
            codes[i] = -size - 1 if piece.startswith("-") else size
        elif piece != _NAN:
            fault = fault or f"it has {piece[:20]!r} in it"
    if not fault and len(pieces) != n_timepoints:
        fault = f"it has {len(pieces)} values instead of {n_timepoints}"
    return codes, fault
