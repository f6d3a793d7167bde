"""Piecewise means, bins and number formats for `SeriesVerbalizer`."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from ._series import FloatPanel

IntPanel = npt.NDArray[np.int64]

#: Code of a missing value.
MISSING = np.iinfo(np.int64).min

_NAN = "nan"
# The last letter of the alphabet is used for missing values.
LETTERS = "abcdefghijklmnopqrstuvwxy"
_NO_LETTER = "z"
_WORD = 8  # letters per word; tokenizers replace very long words by "unknown"
_LARGEST = 10**15  # maximum absolute code in the style "llmtime"


def _weights(length: int, n_timepoints: int) -> npt.NDArray[np.float64]:
    """Return the weights of timepoints in equal pieces; rows sum to 1.

    The shape is (n_timepoints, length).
    """
    edges = np.arange(n_timepoints + 1) * length / n_timepoints
    starts, ends = edges[:-1, None], edges[1:, None]
    steps = np.arange(length)
    overlap = np.minimum(ends, steps + 1) - np.maximum(starts, steps)
    return np.asarray(np.clip(overlap, 0, None) * (n_timepoints / length))


def piecewise_means(
    values: FloatPanel, lengths: npt.NDArray[np.int64], n_timepoints: int
) -> FloatPanel:
    """Compute means over equal pieces of each series (PAA)."""
    means = np.full((*values.shape[:2], n_timepoints), np.nan)
    for length in np.unique(lengths):
        cases = np.flatnonzero(lengths == length)
        part = values[cases, :, :length]
        known = ~np.isnan(part)
        weights = _weights(int(length), n_timepoints).T
        mass = known.astype(np.float64) @ weights
        # Sum half of each value, so that sums of very large numbers are finite.
        total = np.where(known, part / 2, 0.0) @ weights
        with np.errstate(over="ignore"):
            mean = np.divide(
                total, mass, out=np.full(mass.shape, np.nan), where=mass > 1e-9
            )
            # Clip means that are outside of the range of the values due to rounding.
            low = np.nanmin(part, axis=2, keepdims=True) / 2
            high = np.nanmax(part, axis=2, keepdims=True) / 2
            means[cases] = 2 * np.clip(mean, low, high)
    return means


def _range(means: FloatPanel, margin: float) -> tuple[Any, Any]:
    """Return the lower and upper bound of the bins of each channel.

    The range of a constant channel is widened.
    """
    low = np.nanmin(means, axis=(0, 2))
    high = np.nanmax(means, axis=(0, 2))
    largest = np.maximum(np.abs(low), np.abs(high))
    half = high / 2 - low / 2
    # Channels may be constant up to rounding.
    constant = half <= 1e-12 * largest
    room = np.where(largest > 0, largest / 2, 1.0)
    half = np.where(constant, room, half * (1 + 2 * margin))
    middle = low / 2 + high / 2
    top = np.finfo(np.float64).max / 4
    return np.clip(middle - half, -top, top), np.clip(middle + half, -top, top)


def uniform_edges(means: FloatPanel, n_bins: int, margin: float) -> FloatPanel:
    """Return edges ``(c, n_bins + 1)`` of equal bins over the range plus a margin."""
    low, high = _range(means, margin)
    steps = np.arange(n_bins + 1) / n_bins
    edges = low[:, None] * (1 - steps) + high[:, None] * steps
    return np.asarray(np.maximum.accumulate(edges, axis=1))


def gaussian_edges(means: FloatPanel, n_bins: int, margin: float) -> FloatPanel:
    """Return edges ``(c, n_bins + 1)`` of equiprobable bins of a normal distribution.

    The outermost edges are the bounds of the range plus a margin.
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
    """Return bin indices ``(n, c, n_timepoints)``, clipped to the outermost bins."""
    codes = np.empty(means.shape, dtype=np.int64)
    for channel, channel_edges in enumerate(edges):
        codes[:, channel] = np.searchsorted(
            channel_edges[1:-1], means[:, channel], side="right"
        )
    codes[np.isnan(means)] = MISSING
    return codes


def bin_centres(codes: IntPanel, edges: FloatPanel) -> FloatPanel:
    """Return the bin centre of each code, or NaN for missing values."""
    centres = edges[:, :-1] / 2 + edges[:, 1:] / 2
    known = np.where(codes == MISSING, 0, codes)
    channels = np.arange(len(edges))[None, :, None]
    return np.where(codes == MISSING, np.nan, centres[channels, known])


def llmtime_scale(
    means: FloatPanel, precision: int, alpha: float = 0.95, beta: float = 0.3
) -> tuple[FloatPanel, FloatPanel]:
    """Compute the offset and step of each channel for the affine scaling of LLMTime.

    The offset is ``m = min - beta (max - min)``, ``q`` is the alpha-quantile of ``x -
    m``, and values are written as ``(x - m) / q`` with ``precision`` decimals.
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
    """Return the signed codes that `write_llmtime` writes."""
    with np.errstate(over="ignore"):  # clipped below
        scaled = (means - offset[None, :, None]) / step[None, :, None]
    missing = np.isnan(means)
    bounded = np.clip(np.where(missing, 0, np.floor(scaled)), -_LARGEST, _LARGEST)
    codes = bounded.astype(np.int64)
    codes[missing] = MISSING
    return codes


def step_centres(codes: IntPanel, offset: FloatPanel, step: FloatPanel) -> FloatPanel:
    """Return the centre of the step of each code, or NaN for missing values."""
    known = np.where(codes == MISSING, 0, codes)
    centres = offset[None, :, None] + (known + 0.5) * step[None, :, None]
    return np.where(codes == MISSING, np.nan, centres)


def write_fixed(
    codes: npt.NDArray[np.int64], n_digits: int, separator: str, letters: bool
) -> str:
    """Write a channel of shape ``(n_timepoints,)`` as a string with fixed positions."""
    if letters:
        symbols = [_NO_LETTER if q == MISSING else LETTERS[q] for q in codes]
        if separator == "none":
            words = [symbols[i : i + _WORD] for i in range(0, len(symbols), _WORD)]
            return " ".join("".join(word) for word in words)
        return (", " if separator == "comma" else " ").join(symbols)
    apart = "" if separator == "none" else " "
    # A missing value is written with the same number of words as other values.
    missing = _NAN if separator == "none" else " ".join([_NAN] * n_digits)
    values = [
        missing if q == MISSING else apart.join(f"{q:0{n_digits}d}") for q in codes
    ]
    return (", " if separator == "comma" else " ").join(values)


def write_llmtime(codes: npt.NDArray[np.int64], separator: str) -> str:
    """Write a channel in the format of LLMTime, with a comma after each value."""
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
    """Parse a string written by `write_fixed`, regardless of spacing.

    Returns the codes, and a description of the first error or an empty string.
    """
    plain = text.lower()
    codes = np.full(n_timepoints, MISSING, dtype=np.int64)
    alphabet = f"{LETTERS[:letters]}{_NO_LETTER}"
    symbol = f"[{alphabet}]" if letters else r"n\s*a\s*n|[0-9]"
    invalid = re.sub(f"{symbol}|[\\s,]", "", plain)
    pieces = [plain]
    if separator == "comma":
        pieces = plain.rstrip().removesuffix(",").split(",")
    values: list[int] = []
    is_incomplete = False
    for piece in pieces:
        symbols = re.findall(symbol, piece)
        own, left_over = _group(symbols, n_digits, separator, letters)
        # Commas show which value is incomplete; otherwise, it is the last one.
        is_one = len(own) == 1 or len(pieces) not in (1, n_timepoints)
        if len(pieces) > 1 and (left_over or not own or not is_one):
            own, left_over = [MISSING], 1
        values += own
        is_incomplete |= left_over > 0
    codes[: len(values)] = values[:n_timepoints]
    if invalid:
        return codes, f"it contains {invalid[:20]!r}"
    if len(values) != n_timepoints or is_incomplete:
        more = " and an incomplete value" if is_incomplete else ""
        return codes, f"it has {len(values)} values{more} instead of {n_timepoints}"
    return codes, ""


def _group(
    symbols: list[str], n_digits: int, separator: str, letters: int
) -> tuple[list[int], int]:
    """Return the values of symbols, and the number of symbols that are left over."""
    if letters:
        alphabet = LETTERS[:letters]
        return [MISSING if s == _NO_LETTER else alphabet.index(s) for s in symbols], 0
    if separator == "none":  # one word for a missing value of any width
        symbols = [
            s
            for symbol in symbols
            for s in ([symbol] * n_digits if len(symbol) > 1 else [symbol])
        ]
    left_over = len(symbols) % n_digits
    groups = [
        symbols[i : i + n_digits] for i in range(0, len(symbols) - left_over, n_digits)
    ]
    values = [
        MISSING if any(len(s) > 1 for s in group) else int("".join(group))
        for group in groups
    ]
    return values, left_over


def parse_llmtime(text: str, n_timepoints: int) -> tuple[npt.NDArray[np.int64], str]:
    """Parse a string written by `write_llmtime`; see `parse_fixed` for the outputs."""
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
            fault = fault or f"it contains {piece[:20]!r}"
    if not fault and len(pieces) != n_timepoints:
        fault = f"it has {len(pieces)} values instead of {n_timepoints}"
    return codes, fault
