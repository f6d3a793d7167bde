"""Detection of drift: units, sampling rate, orientation and order of channels."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sktext_vq._features.drift_changes import (
    PAIRS,
    PER_CHANNEL,
    PER_TRIAD,
    list_changes,
)
from sktext_vq._features.scaling import Scaler
from sktext_vq._utils.state import Number, Numbers, Sizes, Spec, State, check_state
from sktext_vq._utils.validation import find_stack_level
from sktext_vq.panel import Panel, spread_cases

Array = NDArray[np.floating[Any]]

# Maximum numbers of training cases and values to store, and of new cases to compare,
# evenly spread.
_MOST_ROWS, _MOST_VALUES, _MOST_COMPARED = 400, 2**16, 32
_MOST_SIZES = 512
_NEIGHBOURS = 3
_LEAST, _USUAL, _FARTHEST = 1e-3, 3.0, 20.0
_FEWEST_ROWS, _USUAL_WIDTH = 16, 40
# Minimum decrease of the log-distance to training cases if a change is undone, for one
# case and for many diverse cases. Decreases are smaller for held-out people in the
# training parts of MotionSense and WISDM.
_NEARER = {
    "turned": (0.75, 0.05),
    "mirrored": (0.75, 0.05),
    "order": (0.5, 0.05),
    "units": (1.0, 0.05),
    "rate": (0.2, -0.1),
}
# Minimum excess over training windows, as logarithms: of distances, and of gravity.
_FARTHER, _HEAVIER = (0.8, 0.1), (0.6, 0.15)
# Maximum range between the 1st and 99th percentile of the logarithm of a sensor's mean,
# for a sensor with gravity.
_STEADY = 1.0
# Constant windows are drift if at most this share of training windows is constant, and
# if training windows are not so quiet that rounding can make them constant.
_CONSTANT, _QUIET = 0.002, np.log(2.5 * _LEAST)
# Minimum factor between the medians of new and training series for drift. Test parts of
# 29 data sets do not warn; multiplied by 5, all warn except PLAID, whose cases differ
# by a factor of a thousand.
_DRIFT = 3.0
_LEAST_SIZE = 1e-4  # in standard deviations of training; smaller sizes are rounding
_SHOWN = 3


class DriftWarning(UserWarning):
    """Warning that new series differ from all training series.

    Common causes are another unit or sampling rate, another orientation of the device,
    swapped channels, or a dead sensor. The message names the likely cause. Predictions
    are made without a correction.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> from sktext_vq import DriftWarning, VQTextTransformer
    >>> X = np.random.default_rng(0).normal(size=(20, 1, 50))
    >>> transformer = VQTextTransformer(max_epochs=0, random_state=0).fit(X)
    >>> with warnings.catch_warnings(record=True, category=DriftWarning) as caught:
    ...     warnings.simplefilter("always")
    ...     _ = transformer.transform(9.8 * X)
    >>> print(str(caught[0].message).split(":")[0])
    1 of 1 channels differs from training in scale or offset
    """


_STATE: dict[str, Spec | None] = {
    "triads": Numbers("int64", ("n_triads", 3), above=-1, below="n_channels"),
    "unit": Numbers("float64", ("n_channels",), above=0),
    "offset": Numbers("float64", ("n_channels",)),
    "centre": Numbers("float64", ("n_statistics",)),
    "spread": Numbers("float64", ("n_statistics",), above=0),
    "rows": Numbers("float32", ("n_rows", "n_statistics")),
    "distances": Numbers("float64", (2,)),
    "gravity": Numbers("float64", (2, "n_triads")),
    "constant": Numbers("float64", ("n_channels",)),
    "n_timepoints": Number(above=0),
}


@dataclass(frozen=True)
class DriftReference:
    """Statistics of training cases, for comparison with new cases.

    Parameters
    ----------
    triads : ndarray of shape (n_triads, 3)
        Channels of the axes of each sensor.
    unit, offset : ndarray of shape (n_channels,)
        Unit and origin of the statistics; the same for the axes of a sensor.
    centre, spread : ndarray of shape (n_statistics,)
        Median and scale of each statistic over training cases.
    rows : ndarray of shape (n_rows, n_statistics), float32
        Standardised statistics of some training cases.
    distances : ndarray of shape (2,)
        Median and maximum log-distance of training cases to their nearest neighbours.
    gravity : ndarray of shape (2, n_triads)
        1st and 99th percentile of the logarithm of the norm of a sensor's mean.
    constant : ndarray of shape (n_channels,)
        Share of training cases in which a channel is constant; 1 for channels that are
        nearly constant in some cases.
    n_timepoints : int
        Median number of observed timepoints of a training case.
    """

    triads: NDArray[np.int64]
    unit: Array
    offset: Array
    centre: Array
    spread: Array
    rows: Array
    distances: Array
    gravity: Array
    constant: Array
    n_timepoints: int

    @classmethod
    def from_state(cls, state: State, sizes: Sizes) -> DriftReference:
        """Build a reference from its fields; see `FeatureExtractor.from_state`."""
        found = cls(**check_state(state, _STATE, Sizes(sizes), "drift"))
        n_statistics = PER_CHANNEL * len(found.unit) + PER_TRIAD * len(found.triads)
        if found.rows.shape[1] != n_statistics:
            raise ValueError("drift.rows does not fit the rest of the model")
        return found

    @classmethod
    def fit(
        cls,
        panel: Panel,
        scaler: Scaler,
        triads: Sequence[tuple[int, int, int]] = (),
    ) -> DriftReference | None:
        """Compute statistics of training cases, or return None for very few cases."""
        axes = np.array(triads, np.int64).reshape(-1, 3)
        unit, offset = scaler.scale.copy(), scaler.mean.copy()
        for each in axes:
            # Relative to the largest scale, so that squares of 1e300 are finite.
            peak = scaler.scale[each].max()
            unit[each] = peak * np.sqrt(np.square(scaler.scale[each] / peak).mean())
            offset[each] = 0.0
        width = PER_CHANNEL * panel.n_channels + PER_TRIAD * len(axes)
        most = min(_MOST_ROWS, _MOST_VALUES // width)
        if min(most, panel.n_cases) < _FEWEST_ROWS:
            return None
        cases = spread_cases(panel.n_cases, most)
        found = _statistics(panel, cases, scaler, axes, unit, offset)
        low, centre, high = np.quantile(found.rows, (0.1, 0.5, 0.9), axis=0)
        spread = np.maximum((high - low) / 2.56, 0.05)
        rows = _standardised(found.rows, centre, spread)
        squares = _squares(rows, rows)
        np.fill_diagonal(squares, np.inf)
        sizes = found.rows[:, 1 : PER_CHANNEL * panel.n_channels : PER_CHANNEL]
        quiet = np.quantile(sizes, 0.01, axis=0)
        norms = found.rows[:, PER_CHANNEL * panel.n_channels + 3 :: PER_TRIAD]
        return cls(
            axes,
            unit,
            offset,
            centre,
            spread,
            rows,
            np.quantile(_distances(squares), (0.5, 1.0)),
            np.quantile(norms, (0.01, 0.99), axis=0),
            np.where(quiet > _QUIET, found.constant.mean(axis=0), 1.0),
            int(np.median(found.counts)),
        )

    def examine(
        self, panel: Panel, scaler: Scaler, names: Sequence[str]
    ) -> tuple[str, str] | None:
        """Return kind and description of a difference from training cases, or None."""
        cases = spread_cases(panel.n_cases, _MOST_COMPARED)
        found = _statistics(panel, cases, scaler, self.triads, self.unit, self.offset)
        whole = 2 * found.counts >= self.n_timepoints
        if not whole.any():
            return None  # statistics of a few timepoints are too uncertain
        rows = found.rows[whole]
        few = self._fewness(rows)
        kind, what = self._undo(rows, few, names) or ("", "")
        if not kind:
            share = found.constant[whole].mean(axis=0)
            dead = np.flatnonzero((share >= 0.5) & (self.constant <= _CONSTANT))
            # With few training cases, more new cases have to be constant.
            if len(dead) and whole.sum() * len(self.rows) >= 100:
                listed = ", ".join(repr(names[c]) for c in dead[:_SHOWN])
                return "constant", f"{listed} constant, unlike in training"
        return (kind, what) if kind else self._size(rows, few, names)

    def _fewness(self, rows: Array) -> float:
        """Return 1 for a single case or similar cases, and less for diverse cases.

        Many cases of one person and activity are hardly more evidence than one case.
        """
        z = _standardised(rows, self.centre, self.spread).clip(-_USUAL, _USUAL)
        usual = self.rows.clip(-_USUAL, _USUAL).var(axis=0).mean()
        variety = min(1.0, float(z.var(axis=0).mean() / max(usual, 1e-12)))
        return float(1 / np.sqrt(1 + (len(rows) - 1) * variety**4))

    def _undo(
        self, rows: Array, few: float, names: Sequence[str]
    ) -> tuple[str, str] | None:
        """Find a change that brings cases closer to training cases if undone."""
        now = self._level(rows)
        if np.median(now) < self.distances[0]:
            return None
        # Distances vary more with few statistics.
        unsure = max(1.0, _USUAL_WIDTH / rows.shape[1])
        changes = list_changes(
            tuple(map(tuple, self.triads.tolist())),
            tuple(self.unit.tolist()),
            tuple(self.offset.tolist()),
        )
        index, factor, add = (
            np.stack(each) for each in zip(*(c[3:] for c in changes), strict=True)
        )
        undone = rows[:, index] * factor + add
        then = self._level(undone.reshape(-1, rows.shape[1])).reshape(len(rows), -1)
        limits = np.array([_NEARER[change.kind] for change in changes])
        limits = limits[:, 1] + (limits[:, 0] - limits[:, 1]) * few
        beyond = now.mean() - then.mean(axis=0) - unsure * limits
        best = int(beyond.argmax())
        if beyond[best] <= 0:
            return None
        change = changes[best]
        what = change.cause
        if change.channels:
            shown = ", ".join(repr(names[c]) for c in change.channels[:_SHOWN])
            what = f"{shown}: {what}"
        return change.kind, what

    def _size(
        self, rows: Array, few: float, names: Sequence[str]
    ) -> tuple[str, str] | None:
        """Compare gravity, and distances to training cases."""
        low, high = self.gravity
        norm = np.median(rows[:, PER_CHANNEL * len(self.unit) + 3 :: PER_TRIAD], axis=0)
        one, many = _HEAVIER
        margin = many + (one - many) * few
        away = np.maximum(norm - high, low - norm)
        if (wrong := np.flatnonzero((away > margin) & (high - low < _STEADY))).size:
            t = wrong[away[wrong].argmax()]
            axes, side = self.triads[t], high if norm[t] > high[t] else low
            now, then = np.exp((norm[t], side[t])) * self.unit[axes[0]]
            return "gravity", (
                f"{', '.join(repr(names[c]) for c in axes)}: the norm of the mean is "
                f"{now:.3g}, outside the range of training (limit {then:.3g}), as with "
                "another unit"
            )
        one, many = _FARTHER
        unsure = max(1.0, np.sqrt(_USUAL_WIDTH / rows.shape[1]))
        margin = unsure * (many + (one - many) * few)
        if np.median(self._level(rows)) > self.distances[1] + margin:
            z = np.median(np.abs((rows - self.centre) / self.spread), axis=0)
            channel = int(z[: PER_CHANNEL * len(self.unit)].argmax()) // PER_CHANNEL
            return "far", f"mainly {names[channel]!r} differs from all training series"
        return None

    def _level(self, rows: Array) -> Array:
        """Return the logarithm of the distance to the nearest training cases."""
        rows = _standardised(rows, self.centre, self.spread)
        return _distances(_squares(rows, self.rows))


def likely_triads(n_channels: int) -> list[tuple[int, int, int]]:
    """Assume that unnamed channels are axes of sensors, if divisible by three."""
    if n_channels % 3:
        return []
    return [(i, i + 1, i + 2) for i in range(0, n_channels, 3)]


def warn_of_drift(
    panel: Panel,
    scaler: Scaler,
    reference: DriftReference | None,
    names: Sequence[str],
) -> None:
    """Warn if new series differ from training series.

    Scale and offset of channels are compared over all series, and statistics of single
    cases with those of training cases. `reference` is None in models of early versions.
    """
    parts = []
    drifted = _other_scales(panel, scaler)
    if len(drifted):
        verb = "differs" if len(drifted) == 1 else "differ"
        shown = "; ".join(
            _compare(panel, scaler, c, names[c]) for c in drifted[:_SHOWN]
        )
        parts.append(
            f"{len(drifted)} of {len(names)} channels {verb} from training in scale or "
            f"offset: {shown}{'; ...' if len(drifted) > _SHOWN else ''}."
        )
    found = None if reference is None else reference.examine(panel, scaler, names)
    if found is not None:
        kind, what = found
        if kind in _NEARER:
            parts.append(f"Likely cause: {what}.")
        else:
            parts.append(f"Series differ from training series: {what}.")
    if parts:
        warnings.warn(
            f"{' '.join(parts)} Check units, sampling rate, orientation of the device "
            "and order of channels; predictions may be wrong.",
            DriftWarning,
            stacklevel=find_stack_level(),
        )


def _other_scales(panel: Panel, scaler: Scaler) -> NDArray[np.int64]:
    """Return channels whose scale or offset differs from training.

    The median size of new series has to be far from the training median, and large
    quantiles (or small ones) have to exceed those of training. A single series or class
    is therefore not sufficient. Thresholds are higher for few series.
    """
    if scaler.usual is None:
        return np.zeros(0, np.int64)
    sizes = scaler.sizes(panel, _MOST_SIZES)
    few = 1 / np.sqrt(sizes.shape[1])
    low, middle, high = np.quantile(sizes, (0.1, 0.5, 0.9), axis=1)
    least, hundredth, _, half, nine_tenths, most_of, most = np.maximum(
        scaler.usual.swapaxes(0, 1), _LEAST_SIZE
    )
    larger = middle > _DRIFT * half
    larger &= high > np.maximum((1 + 3 * few) * most_of, 10 * few * most)
    # Single series may be at rest, with a small offset.
    low = np.maximum(low, 10 * few * _LEAST_SIZE)
    smaller = (_DRIFT * middle < half) & (_DRIFT * high < nine_tenths)
    smaller &= ((1 + 3 * few) * low < hundredth) & (10 * few * low < least)
    return np.flatnonzero(larger.any(axis=0) | smaller[0])


def _compare(panel: Panel, scaler: Scaler, channel: int, name: str) -> str:
    """Describe scale and offset of a channel, in new series and in training."""
    values = panel.values[spread_cases(panel.n_cases, _MOST_SIZES), channel]
    unit = float(np.nanmax(np.abs(values))) or 1.0  # squares of 1e300 are infinite
    values = values.astype(np.float64) / unit
    mean, scale = np.nanmean(values) * unit, np.nanstd(values) * unit
    return (
        f"{name!r} has mean {mean:.3g} and standard deviation {scale:.3g}, but "
        f"{scaler.mean[channel]:.3g} and {scaler.scale[channel]:.3g} in training"
    )


class _Statistics(NamedTuple):
    rows: Array
    counts: NDArray[np.int64]
    constant: NDArray[np.bool_]


def _statistics(
    panel: Panel,
    cases: NDArray[np.int64],
    scaler: Scaler,
    triads: NDArray[np.int64],
    unit: Array,
    offset: Array,
) -> _Statistics:
    """Compute statistics of cases, for each channel and sensor."""
    z = scaler.standardise(panel, cases)
    observed = np.isfinite(z)
    counts = observed.sum(axis=2)
    z[~observed] = 0.0
    mean = z.sum(axis=2) / np.maximum(counts, 1)
    z -= mean[:, :, None]
    z[~observed] = 0.0
    constant = np.abs(z).max(axis=2) <= 1e-9 * (1 + np.abs(mean))
    z *= (scaler.scale / unit)[:, None]
    level = (mean * scaler.scale + (scaler.mean - offset)) / unit
    size = _root(z, observed)
    step, both = np.diff(z, axis=2), observed[:, :, 1:] & observed[:, :, :-1]
    first = _root(step, both)
    second = _root(np.diff(step, axis=2), both[:, :, 1:] & both[:, :, :-1])
    third = (np.square(z) * z).sum(axis=2) / np.maximum(counts, 1)
    parts = [
        level,
        np.log(size + _LEAST),
        np.log((first + _LEAST) / (size + _LEAST)),
        np.log((second + _LEAST) / (first + _LEAST)),
        np.cbrt(third) / (size + _LEAST),
    ]
    found = [np.stack(parts, axis=2).reshape(len(z), -1)]
    for axes in triads:
        for i, j in PAIRS:
            a, b = axes[i], axes[j]
            n = np.maximum(np.minimum(counts[:, a], counts[:, b]), 1)
            product = (z[:, a] * z[:, b]).sum(axis=1) / n
            found.append(product[:, None] / (size[:, [a]] * size[:, [b]] + _LEAST**2))
        norm = np.linalg.norm(level[:, axes], axis=1, keepdims=True)
        found.append(np.log(norm + 10 * _LEAST))
    return _Statistics(np.concatenate(found, axis=1), counts.min(axis=1), constant)


def _root(values: Array, seen: NDArray[np.bool_]) -> Array:
    """Return the root mean square of observed values."""
    total = np.einsum("nct,nct,nct->nc", values, values, seen.astype(np.float64))
    return np.sqrt(total / np.maximum(seen.sum(axis=2), 1))


def _standardised(rows: Array, centre: Array, spread: Array) -> Array:
    rows = np.clip((rows - centre) / spread, -_FARTHEST, _FARTHEST)
    return rows.astype(np.float32)


def _squares(a: Array, b: Array) -> Array:
    """Return mean squared differences of rows."""
    found = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2 * a @ b.T
    return np.maximum(found / a.shape[1], 1e-6)


def _distances(squares: Array) -> Array:
    """Return the logarithm of the distance to the nearest rows."""
    near = np.partition(squares, _NEIGHBOURS - 1, axis=1)[:, :_NEIGHBOURS]
    return np.log(near.mean(axis=1)) / 2
