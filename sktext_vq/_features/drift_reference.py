"""Statistics of training series, for comparison with new series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sktext_vq._features.drift_changes import (
    MARGINS,
    PAIRS,
    PER_CHANNEL,
    PER_TRIAD,
    Change,
    list_changes,
)
from sktext_vq._features.scaling import Scaler
from sktext_vq._utils.state import Number, Numbers, Sizes, Spec, State, check_state
from sktext_vq.panel import Panel, spread_cases

Array = NDArray[np.floating[Any]]
# Maximum numbers of stored training cases and values, and of new cases to compare.
_MAX_ROWS, _MAX_VALUES, _MAX_COMPARED = 400, 2**16, 32
_NEIGHBOURS, _SHOWN = 3, 3
_EPSILON, _USUAL, _FARTHEST = 1e-3, 3.0, 20.0
_MIN_ROWS, _MAX_CHANGED, _USUAL_WIDTH = 16, 200, 40
_KINDS, _MIN_MARGIN = tuple(MARGINS), 0.05
# Minimum differences from training cases of log-distances and of log-norms of gravity,
# for one case and for many cases.
_FARTHER, _HEAVIER = (0.8, 0.1), (0.6, 0.15)
# Maximum range, from the 1st to the 99th percentile, of the log-norm of the mean of a
# sensor that measures gravity.
_STEADY = 1.5
# Constant channels indicate drift if at most this share of training cases is constant,
# and if training cases vary so much that rounding cannot make them constant.
_CONSTANT, _QUIET = 0.002, np.log(2.5 * _EPSILON)
_STATE: dict[str, Spec | None] = {
    "triads": Numbers("int64", ("n_triads", 3), above=-1, below="n_channels"),
    "unit": Numbers("float64", ("n_channels",), above=0),
    "offset": Numbers("float64", ("n_channels",)),
    "centre": Numbers("float64", ("n_statistics",)),
    "spread": Numbers("float64", ("n_statistics",), above=0),
    "rows": Numbers("float32", ("n_rows", "n_statistics")),
    "distances": Numbers("float64", (2,)),
    "gravity": Numbers("float64", (2, "n_triads")),
    "nearer": Numbers("float64", (5,)),
    "constant": Numbers("float64", ("n_channels",)),
    "n_timepoints": Number(above=0),
}


@dataclass(frozen=True)
class DriftReference:
    """Statistics of training cases, for comparison with new cases.

    Parameters
    ----------
    triads : ndarray of shape (n_triads, 3)
        Indices of the channels of the three axes of each sensor.
    unit, offset : ndarray of shape (n_channels,)
        Scale and origin of the statistics, the same for all axes of a sensor.
    centre, spread : ndarray of shape (n_statistics,)
        Median and scale of each statistic over training cases.
    rows : ndarray of shape (n_rows, n_statistics), float32
        Standardised statistics of some training cases.
    distances : ndarray of shape (2,)
        Median and maximum log-distance of training cases to their nearest neighbours.
    gravity : ndarray of shape (2, n_triads)
        1st and 99th percentile of the log-norm of the mean of each sensor.
    nearer : ndarray of shape (n_kinds,)
        For each kind of change, 99th percentile of the decrease in the log-distance
        between training cases to which the change is applied and other training cases.
    constant : ndarray of shape (n_channels,)
        Share of training cases in which each channel is constant; 1 if a channel is
        nearly constant in some cases.
    n_timepoints : int
        Median number of observed timepoints of the training cases.
    """

    triads: NDArray[np.int64]
    unit: Array
    offset: Array
    centre: Array
    spread: Array
    rows: Array
    distances: Array
    gravity: Array
    nearer: Array
    constant: Array
    n_timepoints: int

    @classmethod
    def from_state(cls, state: State, sizes: Sizes) -> DriftReference:
        """Build a reference from its fields; see `FeatureExtractor.from_state`."""
        found = cls(**check_state(state, _STATE, Sizes(sizes), "drift"))
        n_statistics = PER_CHANNEL * len(found.unit) + PER_TRIAD * len(found.triads)
        if found.rows.shape[1] != n_statistics:
            raise ValueError("drift.rows is inconsistent with the rest of the model")
        return found

    @classmethod
    def fit(
        cls,
        panel: Panel,
        scaler: Scaler,
        triads: Sequence[tuple[int, int, int]] = (),
    ) -> DriftReference | None:
        """Compute statistics of training cases, or return None if there are too few."""
        axes = np.array(triads, np.int64).reshape(-1, 3)
        unit, offset = scaler.scale.copy(), scaler.mean.copy()
        for each in axes:
            # Scales are divided by the largest scale, so that squares are finite.
            peak = scaler.scale[each].max()
            unit[each] = peak * np.sqrt(np.square(scaler.scale[each] / peak).mean())
            offset[each] = 0.0
        width = PER_CHANNEL * panel.n_channels + PER_TRIAD * len(axes)
        most = min(_MAX_ROWS, _MAX_VALUES // width)
        if min(most, panel.n_cases) < _MIN_ROWS:
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
        self = cls(
            axes,
            unit,
            offset,
            centre,
            spread,
            rows,
            np.quantile(_distances(squares), (0.5, 1.0)),
            np.quantile(norms, (0.01, 0.99), axis=0),
            np.zeros(len(_KINDS)),
            np.where(quiet > _QUIET, found.constant.mean(axis=0), 1.0),
            int(np.median(found.counts)),
        )
        own = np.arange(0, len(rows), 1 + len(rows) // _MAX_CHANGED)
        gains, kinds = self._gains(found.rows[own], own)
        for i in np.unique(kinds):
            self.nearer[i] = np.quantile(gains[:, kinds == i].max(axis=1), 0.99)
        return self

    def examine(
        self, panel: Panel, scaler: Scaler, names: Sequence[str]
    ) -> tuple[str, str] | None:
        """Return the kind and description of a difference, or None."""
        cases = spread_cases(panel.n_cases, _MAX_COMPARED)
        found = _statistics(panel, cases, scaler, self.triads, self.unit, self.offset)
        whole = 2 * found.counts >= self.n_timepoints
        if not whole.any():
            return None  # statistics of few timepoints are uncertain
        rows = found.rows[whole]
        few = self._margin_factor(rows)
        undone = self._undo(rows, few, names)
        if undone is not None:
            return undone
        share = found.constant[whole].mean(axis=0)
        changed = np.flatnonzero((share >= 0.5) & (self.constant <= _CONSTANT))
        # With few training cases, more new cases must be constant.
        if len(changed) and whole.sum() * len(self.rows) >= 100:
            listed = ", ".join(repr(names[c]) for c in changed[:_SHOWN])
            verb = "is" if len(changed) == 1 else "are"
            return "constant", f"{listed} {verb} constant, unlike in training"
        return self._size(rows, few, names)

    def _margin_factor(self, rows: Array) -> float:
        """Return a factor for margins, which is 1 for a single case.

        The factor decreases with the number of cases and their diversity. Similar cases
        are hardly more informative than a single case.
        """
        z = _standardised(rows, self.centre, self.spread).clip(-_USUAL, _USUAL)
        usual = self.rows.clip(-_USUAL, _USUAL).var(axis=0).mean()
        variety = min(1.0, float(z.var(axis=0).mean() / max(usual, 1e-12)))
        return float(1 / np.sqrt(1 + (len(rows) - 1) * variety**4))

    def _undo(
        self, rows: Array, few: float, names: Sequence[str]
    ) -> tuple[str, str] | None:
        """Find a change that, if undone, brings new cases closer to training cases."""
        if np.median(self._level(rows)) < self.distances[0]:
            return None
        gains, kinds = self._gains(rows)
        # Distances vary more if they are computed from few statistics.
        unsure = max(1.0, _USUAL_WIDTH / rows.shape[1])
        margin, single = np.array(list(MARGINS.values())).T
        margin = unsure * (margin + single / np.sqrt(len(rows)))
        limits = few * np.maximum(self.nearer + margin, _MIN_MARGIN)
        beyond = gains.mean(axis=0) - limits[kinds]
        best = int(beyond.argmax())
        if beyond[best] <= 0:
            return None
        change = self._changes()[best]
        what = change.cause
        if change.channels:
            shown = ", ".join(repr(names[c]) for c in change.channels[:_SHOWN])
            what = f"{shown}: {what}"
        return change.kind, what

    def _gains(
        self, rows: Array, own: NDArray[np.int64] | None = None
    ) -> tuple[Array, NDArray[np.int64]]:
        """Compute how much the log-distance decreases if each change is undone.

        Parameters
        ----------
        rows : ndarray of shape (n_windows, n_statistics)
        own : ndarray of shape (n_windows,), optional
            Indices of training cases, which are not compared with themselves.

        Returns
        -------
        gains : ndarray of shape (n_windows, n_changes)
        kinds : ndarray of shape (n_changes,), indices into `_KINDS`
        """
        changes = self._changes()
        columns = np.stack([change.columns for change in changes])
        factor = np.stack([change.factor for change in changes])
        add = np.stack([change.add for change in changes])
        gains = []
        for start in range(0, len(rows), _MAX_COMPARED):
            part = slice(start, start + _MAX_COMPARED)
            mine = None if own is None else own[part]
            now = self._level(rows[part], mine)
            undone = (rows[part][:, columns] * factor + add).reshape(-1, rows.shape[1])
            mine = None if mine is None else np.repeat(mine, len(changes))
            gains.append(now[:, None] - self._level(undone, mine).reshape(len(now), -1))
        kinds = np.array([_KINDS.index(change.kind) for change in changes])
        return np.concatenate(gains), kinds

    def _changes(self) -> list[Change]:
        triads = tuple(map(tuple, self.triads.tolist()))
        return list_changes(triads, tuple(self.unit), tuple(self.offset))

    def _size(
        self, rows: Array, few: float, names: Sequence[str]
    ) -> tuple[str, str] | None:
        """Check the norm of gravity and the distance to training cases."""
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
                f"{now:.3g}, outside the range of the training series (limit "
                f"{then:.3g}), which suggests a different unit"
            )
        one, many = _FARTHER
        unsure = max(1.0, np.sqrt(_USUAL_WIDTH / rows.shape[1]))
        margin = unsure * (many + (one - many) * few)
        if np.median(self._level(rows)) > self.distances[1] + margin:
            z = np.median(np.abs((rows - self.centre) / self.spread), axis=0)
            channel = int(z[: PER_CHANNEL * len(self.unit)].argmax()) // PER_CHANNEL
            return "far", f"the largest difference is in channel {names[channel]!r}"
        return None

    def _level(self, rows: Array, own: NDArray[np.int64] | None = None) -> Array:
        """Return the log-distance to the nearest training cases, excluding `own`."""
        rows = _standardised(rows, self.centre, self.spread)
        squares = _squares(rows, self.rows)
        if own is not None:
            squares[np.arange(len(own)), own] = np.inf
        return _distances(squares)


def likely_triads(n_channels: int) -> list[tuple[int, int, int]]:
    """Return triads of consecutive channels, if their number is divisible by three."""
    if n_channels % 3:
        return []
    return [(i, i + 1, i + 2) for i in range(0, n_channels, 3)]


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
    """Compute statistics of cases for each channel and sensor."""
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
        np.log(size + _EPSILON),
        np.log((first + _EPSILON) / (size + _EPSILON)),
        np.log((second + _EPSILON) / (first + _EPSILON)),
        np.cbrt(third) / (size + _EPSILON),
    ]
    found = [np.stack(parts, axis=2).reshape(len(z), -1)]
    for axes in triads:
        for i, j in PAIRS:
            a, b = axes[i], axes[j]
            n = np.maximum(np.minimum(counts[:, a], counts[:, b]), 1)
            product = (z[:, a] * z[:, b]).sum(axis=1) / n
            found.append(product[:, None] / (size[:, [a]] * size[:, [b]] + _EPSILON**2))
        norm = np.linalg.norm(level[:, axes], axis=1, keepdims=True)
        found.append(np.log(norm + 10 * _EPSILON))
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
