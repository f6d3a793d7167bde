"""Matching and counting of windows in one pass, compiled with numba.

Results are the same as in `ShapeTokenizer.forward` without numba, up to rounding. The
compiled code is several times faster, because a block of windows stays in the fastest
cache, and windows are added to bins directly rather than by a matrix product.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import int64, njit
from numba.core.types import none
from numba.extending import intrinsic
from numpy.typing import NDArray

from sktext_vq.nn.constants import (
    LEVEL_BINS,
    N_MATCHES,
    N_POINTS,
    N_ROWS,
    SCALE_BINS,
    SCALE_FLOOR,
)

Array = NDArray[np.float32]

_BINS = LEVEL_BINS
assert _BINS == SCALE_BINS and N_MATCHES == 4  # unrolled below
_BLOCK = 128  # windows per block
_LANES = 16  # numbers per vector register
_NONE = np.float32(-1e30)  # lower than any score
# Rows of a block of windows, after the rows for the eight points of the shapes.
_OFFSET, _SCALE, _HIDDEN, _BEST, _ROWS = 8, 9, 10, 11, 12

# Optimisations that change finite results only by rounding.
_MATH = {"contract", "reassoc", "nsz", "nnan", "ninf"}


def _compiled(function: Any) -> Any:
    options: dict[str, Any] = {"nogil": True, "fastmath": _MATH, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # no writable folder for the cache
        return njit(**options)(function)


_generated: Any = intrinsic  # the decorator of numba has no types


@_generated
def _greater(context: Any, a: Any, b: Any) -> Any:
    """Return the greater number, so that a maximum over a loop is vectorised."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        above = builder.fcmp_ordered(">", *arguments, flags=("fast",))
        return builder.select(above, *arguments, flags=("fast",))

    return a(a, b), generate


@_generated
def _add_row(context: Any, into: Any, i: Any, rows: Any, k: Any) -> Any:
    """Add row k of `rows` to row i of `into`; both have eight columns."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        eight = ir.VectorType(ir.FloatType(), 8)

        def place(kind: Any, array: Any, row: Any) -> Any:
            data = context.make_array(kind)(context, builder, array).data
            return builder.gep(builder.bitcast(data, eight.as_pointer()), [row])

        target, source = (
            place(signature.args[at], *arguments[at : at + 2]) for at in (0, 2)
        )
        numbers = (builder.load(each, align=4) for each in (target, source))
        builder.store(builder.fadd(*numbers), target, align=4)
        return context.get_dummy_value()

    return none(into, int64, rows, int64), generate


@_compiled
def _smooth(series: Array, spacing: int, sums: Array, means: Array) -> None:
    """Compute moving means of `spacing` timepoints from sums over powers of two."""
    n_timepoints = len(series)
    n_means = n_timepoints - spacing + 1
    sums[:] = series
    means[:] = 0
    done, power = 0, 1
    while done < spacing:
        if spacing & power:
            for t in range(n_means):
                means[t] += sums[t + done]
            done += power
        if done < spacing:
            for t in range(n_timepoints - 2 * power + 1):
                sums[t] += sums[t + power]
        power *= 2
    share = np.float32(1 / spacing)
    for t in range(n_means):
        means[t] *= share


@_compiled
def _cut(means: Array, spacing: int, n: int, lanes: int, block: Array) -> None:
    """Compute shapes, offsets and scales of n consecutive windows."""
    for k in range(N_POINTS):
        points = means[k * spacing :]
        for w in range(n):
            block[k, w] = points[w]
    share, one, floor = np.float32(1 / N_POINTS), np.float32(1), np.float32(SCALE_FLOOR)
    for w in range(_LANES * lanes):
        mean = square = np.float32(0)
        for k in range(N_POINTS):
            mean += block[k, w]
        mean *= share
        for k in range(N_POINTS):
            square += (block[k, w] - mean) * (block[k, w] - mean)
        scale = np.sqrt(square * share)
        unit = one / (scale + floor)
        for k in range(N_POINTS):
            block[k, w] = (block[k, w] - mean) * unit
        block[_OFFSET, w], block[_SCALE, w] = mean, scale


@_compiled
def _share(
    values: Array,
    n: int,
    knots: Array,
    counted: Array,
    bins: NDArray[np.int32],
    lower: Array,
    upper: Array,
) -> None:
    """Distribute each value over two neighbouring bins; see `histograms.shares`."""
    zero, one = np.float32(0), np.float32(1)
    for w in range(n):
        value = values[w]
        place, low, high = np.int32(0), knots[0], knots[1]
        for k in range(1, _BINS - 1):
            past = value > knots[k]
            place = np.int32(k) if past else place
            low = knots[k] if past else low
            high = knots[k + 1] if past else high
        part = (value - low) / (high - low)
        part = part if part > zero else zero
        part = part if part < one else one
        bins[w] = place
        lower[w] = (one - part) * counted[w]
        upper[w] = part * counted[w]


@_compiled
def _match(
    codes: Array,
    half_norms: Array,
    head: int,
    size: int,
    lanes: int,
    block: Array,
    chosen: NDArray[np.int32],
    matches: Array,
) -> None:
    """Find the best code of each window in a head, and update the best scores."""
    for w in range(_LANES * lanes):
        block[_BEST, w] = _NONE
        chosen[head, w] = head * size
    last = (head + 1) * size - 1
    for j in range(head * size, last + 1, 2):
        k = min(j + 1, last)  # two codes at a time, so that shapes are loaded once
        first, second = np.int32(j), np.int32(k)
        p0, p1, p2, p3 = codes[j, 0], codes[j, 1], codes[j, 2], codes[j, 3]
        p4, p5, p6, p7 = codes[j, 4], codes[j, 5], codes[j, 6], codes[j, 7]
        q0, q1, q2, q3 = codes[k, 0], codes[k, 1], codes[k, 2], codes[k, 3]
        q4, q5, q6, q7 = codes[k, 4], codes[k, 5], codes[k, 6], codes[k, 7]
        p_less, q_less = half_norms[j], half_norms[k]
        p_most, q_most = matches[j], matches[k]
        for w in range(_LANES * lanes):
            a, b, c, d = block[0, w], block[1, w], block[2, w], block[3, w]
            e, f, g, h = block[4, w], block[5, w], block[6, w], block[7, w]
            x = p0 * a + p1 * b + p2 * c + p3 * d + p4 * e + p5 * f + p6 * g + p7 * h
            y = q0 * a + q1 * b + q2 * c + q3 * d + q4 * e + q5 * f + q6 * g + q7 * h
            x, y = x - p_less, y - q_less
            code, most = chosen[head, w], block[_BEST, w]
            code, most = (first, x) if x > most else (code, most)
            code, most = (second, y) if y > most else (code, most)
            chosen[head, w], block[_BEST, w] = code, most
            p_most, q_most = _greater(x, p_most), _greater(y, q_most)
        matches[j], matches[k] = p_most, q_most


@_compiled
def _compare(
    codes: Array,
    half_norms: Array,
    knots: Array,
    compared: NDArray[np.int64],
    lanes: int,
    block: Array,
    better: NDArray[np.int64],
) -> None:
    """Count, for each code, the windows whose scores are above the knots.

    Scores are computed again, because :func:`_match` would be slower if it stored them.
    """
    zero, one, both = np.float32(0), np.float32(1), np.float32(1 + 256)
    for j in compared:
        a, b, c, d = codes[j, 0], codes[j, 1], codes[j, 2], codes[j, 3]
        e, f, g, h = codes[j, 4], codes[j, 5], codes[j, 6], codes[j, 7]
        less = half_norms[j]
        p, q, r, s = knots[0, j], knots[1, j], knots[2, j], knots[3, j]  # ascending
        # Each number holds two counts of at most 128, which float32 represents exactly.
        often = seldom = zero
        for w in range(_LANES * lanes):
            x = a * block[0, w] + b * block[1, w] + c * block[2, w] + d * block[3, w]
            y = e * block[4, w] + f * block[5, w] + g * block[6, w] + h * block[7, w]
            score = x + y - less + block[_HIDDEN, w]
            few = one if score > p else zero
            few = both if score > q else few
            often += few
            few = one if score > r else zero
            few = both if score > s else few
            seldom += few
        packed = int(often)
        better[0, j] += packed & 255
        better[1, j] += packed >> 8
        packed = int(seldom)
        better[2, j] += packed & 255
        better[3, j] += packed >> 8


@_compiled
def _add(
    chosen: NDArray[np.int32],
    n_heads: int,
    n: int,
    bins: NDArray[np.int32],
    parts: Array,
    spread: Array,
    sums: Array,
) -> None:
    """Add each window to the bins of its codes."""
    spread[:n] = 0
    for w in range(n):
        level, scale = bins[0, w], _BINS + bins[1, w]
        spread[w, level] = parts[0, w]
        spread[w, level + 1] = parts[1, w]
        spread[w, scale] = parts[2, w]
        spread[w, scale + 1] = parts[3, w]
    for w in range(n):
        for head in range(n_heads):
            _add_row(sums, chosen[head, w], spread, w)


@_compiled
def _finish(
    sums: Array, total: np.float32, matches: Array, turned: Array, features: Array
) -> None:
    """Convert sums to square roots of frequencies, and add best matches."""
    zero, tiny, back = np.float32(0), np.float32(1e-6), np.float32(1e-3)
    n_codes = len(sums)
    share = np.float32(1) / total
    for j in range(n_codes):
        for row in range(2 * _BINS):
            turned[row, j] = sums[j, row]
    for row in range(2 * _BINS):
        for j in range(n_codes):
            features[row, j] = np.sqrt(turned[row, j] * share + tiny) - back
    for j in range(n_codes):
        match = matches[j]
        features[2 * _BINS, j] = match if match > _NONE / 2 else zero


@_compiled
def count_windows(  # noqa: C901 (a single pass is fastest)
    series: Array,
    valid: Array,
    spacing: int,
    codes: Array,
    n_heads: int,
    level_knots: Array,
    scale_knots: Array,
    match_knots: Array,
    needed: NDArray[np.bool_],
    features: Array,
    place: int,
    n_places: int,
    offset: Array,
    scale: Array,
) -> None:
    """Compute the histograms of all windows of one length.

    Parameters
    ----------
    series : ndarray of shape (n_series, n_timepoints), float32
        Series with at least as many timepoints as a window. The channels of a case are
        consecutive rows.
    valid : ndarray of shape (n_series, n_windows), float32
        1 for valid windows, 0 for others. If there are no rows, all windows are valid.
    spacing : int
        Number of timepoints whose mean is one of the eight points of a window.
    codes : ndarray of shape (n_codes, 8), float32
        Codes, ordered by head.
    n_heads : int
        Number of heads, all with the same number of codes.
    level_knots, scale_knots : ndarray of shape (n_channels, n_bins), float32
        Knots of the ramps.
    match_knots : ndarray of shape (n_channels, N_MATCHES, n_codes), float32
        Scores above which matches are counted. The shape is (n_channels, 0, n_codes) if
        matches are not included in the features.
    needed : ndarray of shape (n_channels, 2, n_codes), bool
        Masks of the codes whose histograms are needed, and of the codes whose matches
        are needed. If the histogram of a code is needed, histograms are computed for
        all codes of its head.
    features : ndarray of shape (n_cases, n_features), float32
        Output: level histograms, scale histograms and best matches, at position `place`
        of each channel. The shares of windows above each match knot follow the
        histograms of all channels.
    place, n_places : int
        Index of the combination of view and window length, and number of combinations.
    offset, scale : ndarray of shape (n_series, n_windows), float32
        Output: attributes of the windows.
    """
    n_series, n_timepoints = series.shape
    n_channels = len(level_knots)
    n_codes = len(codes)
    n_windows = offset.shape[1]
    size = n_codes // n_heads
    n_values = N_ROWS * n_codes
    half_norms = np.empty(n_codes, np.float32)
    for j in range(n_codes):
        half_norms[j] = np.float32(0.5) * (codes[j] * codes[j]).sum()
    powers = np.empty(n_timepoints, np.float32)
    means = np.empty(n_timepoints, np.float32)
    block = np.zeros((_ROWS, _BLOCK), np.float32)
    chosen = np.empty((n_heads, _BLOCK), np.int32)
    for head in range(n_heads):
        chosen[head] = head * size
    is_needed = np.empty(n_heads, np.bool_)
    counted = np.empty(_BLOCK, np.float32)
    bins = np.empty((2, _BLOCK), np.int32)
    parts = np.empty((4, _BLOCK), np.float32)
    sums = np.empty((n_codes, 2 * _BINS), np.float32)
    better = np.empty((N_MATCHES, n_codes), np.int64)
    turned = np.empty((2 * _BINS, n_codes), np.float32)
    matches = np.empty(n_codes, np.float32)
    spread = np.empty((_BLOCK, 2 * _BINS), np.float32)
    for s in range(n_series):
        c = s % n_channels
        _smooth(series[s], spacing, powers, means)
        for head in range(n_heads):
            is_needed[head] = needed[c, 0, head * size : (head + 1) * size].any()
        counts = is_needed.any()
        compared = np.flatnonzero(needed[c, 1])
        sums[:] = 0
        better[:] = 0
        matches[:] = _NONE
        total = np.float32(0)
        for start in range(0, n_windows, _BLOCK):
            n = min(_BLOCK, n_windows - start)
            lanes = -(-n // _LANES)
            _cut(means[start:], spacing, n, lanes, block)
            offset[s, start : start + n] = block[_OFFSET, :n]
            scale[s, start : start + n] = block[_SCALE, :n]
            counted[:n] = 1
            counted[n:] = 0
            first, seen = 0, np.float32(n)
            if len(valid):
                counted[:n] = valid[s, start : start + n]
                seen = counted[:n].sum()
                first = int(np.argmax(counted))
            if seen == 0:
                continue
            total += seen
            for w in range(_LANES * lanes):
                block[_HIDDEN, w] = np.float32(0) if counted[w] > 0 else _NONE
            # Invalid windows are replaced with a valid one, which is matched again.
            for w in range(0 if len(valid) else n, _LANES * lanes):
                if counted[w] == 0:
                    block[:_OFFSET, w] = block[:_OFFSET, first]
            for i in range(2 if counts else 0):
                _share(
                    block[_OFFSET if i == 0 else _SCALE],
                    n,
                    level_knots[c] if i == 0 else scale_knots[c],
                    counted,
                    bins[i],
                    parts[2 * i],
                    parts[2 * i + 1],
                )
            for head in range(n_heads if counts else 0):
                if is_needed[head]:
                    _match(codes, half_norms, head, size, lanes, block, chosen, matches)
            if len(compared):
                knots = match_knots[c]
                _compare(codes, half_norms, knots, compared, lanes, block, better)
            if counts:
                _add(chosen, n_heads, n, bins, parts, spread, sums)
        total = total if total > 1 else np.float32(1)
        if counts:
            into = features[s // n_channels, (c * n_places + place) * n_values :]
            into = into[:n_values].reshape((N_ROWS, n_codes))
            _finish(sums, total, matches, turned, into)
        if not len(compared):
            continue
        start = n_channels * n_places * n_values
        start += (c * n_places + place) * N_MATCHES * n_codes
        into = features[s // n_channels, start : start + N_MATCHES * n_codes]
        into = into.reshape((N_MATCHES, n_codes))
        for i in range(N_MATCHES):
            for code in compared:
                into[i, code] = better[i, code] / total
