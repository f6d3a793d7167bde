"""Statistics of codes in the training series, and descriptions of codes in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sktext_vq._features.selection import FeatureMoments
from sktext_vq._utils.state import (
    Numbers,
    Sizes,
    Spec,
    State,
    check_state,
    fields_of,
)
from sktext_vq.nn.constants import LEVEL_BINS, SCALE_BINS
from sktext_vq.nn.layout import FeatureLayout

MIN_CONFIDENCE = 0.55
_STATE: dict[str, Spec | None] = {
    "windows": Numbers("float64", ("n_counted", "n_tokenized", "n_lengths", "n_codes")),
    "scales": Numbers("float64", (SCALE_BINS, "n_codes")),
    "separation": Numbers("float64", ("n_codes",), optional=True),
    "labels": None,
}
_N_ERRORS = 1.64  # number of standard errors for a one-sided 95 % bound
# Thresholds for attributes: distance of the mean from the middle of the bins, and lift.
_MIN_SHIFT = 0.08
_MIN_CHANNEL_LIFT = 1.25


@dataclass(frozen=True)
class CodeStatistics:
    """Frequencies of codes by class, channel, length and scale.

    Parameters
    ----------
    windows : ndarray of shape (n_classes, n_channels, n_lengths, n_codes)
        Mean share of each code in the windows of a class, channel and length.
    scales : ndarray of shape (SCALE_BINS, n_codes)
        Share of the windows of a code by scale, in ascending order.
    separation : ndarray of shape (n_codes,), optional
        Confidence that a code is most frequent in the class with the largest lift.
    labels : ndarray of shape (n_classes,), optional
        Class labels.
    """

    windows: NDArray[np.float64]
    scales: NDArray[np.float64]
    separation: NDArray[np.float64] | None = None
    labels: NDArray[Any] | None = None

    @classmethod
    def fit(
        cls,
        moments: FeatureMoments,
        layout: FeatureLayout,
        labels: NDArray[Any] | None = None,
        shares: NDArray[np.float64] | None = None,
        classes: NDArray[np.int64] | None = None,
    ) -> CodeStatistics:
        """Compute statistics of codes from the moments of features.

        `shares`, of shape (n_cases, n_codes), contains the code shares of each series,
        and `classes`, of shape (n_cases,), contains the class indices. If either is
        None, `separation` is None.
        """
        counts = moments.counts.sum(axis=0)
        squares = moments.squares.sum(axis=0) / counts.clip(1)[:, None]
        found = cls._from_histograms(layout.split(squares)[0])
        if classes is None or shares is None:
            return found
        best = found.class_lift.argmax(axis=0)
        separation = separate(shares, classes, best)
        return replace(found, separation=separation, labels=labels)

    @classmethod
    def _from_histograms(cls, squares: NDArray[np.float64]) -> CodeStatistics:
        """Compute statistics from the mean squares of histograms by class."""
        frequencies = squares[:, :, 0]  # view of the series, not of differences
        # The sum over level bins or over scale bins is the share of windows of a code.
        windows = frequencies[:, :, :, :LEVEL_BINS].sum(axis=3)
        scales = frequencies[:, :, :, LEVEL_BINS:][:, :, :, :SCALE_BINS]
        scales = scales.sum(axis=(0, 1, 2))
        return cls(windows, scales / np.maximum(scales.sum(axis=0), 1e-12))

    def get_state(self) -> State:
        """Return the state as a dict of arrays."""
        return fields_of(self)

    @classmethod
    def from_state(cls, state: State, sizes: Sizes) -> CodeStatistics:
        """Create statistics from their state."""
        return cls(**check_state(state, _STATE, sizes, "code_statistics"))

    @property
    def by_code(self) -> NDArray[np.float64]:
        """Mean share of each code, of shape (n_codes,)."""
        return np.maximum(self.windows.mean(axis=(0, 1, 2)), 1e-12)

    @property
    def class_lift(self) -> NDArray[np.float64]:
        """Share relative to the mean over classes, of shape (n_classes, n_codes)."""
        return self.windows.mean(axis=(1, 2)) / self.by_code

    @property
    def channel_lift(self) -> NDArray[np.float64]:
        """Share relative to the mean over channels, of shape (n_channels, n_codes)."""
        return self.windows.mean(axis=(0, 2)) / self.by_code

    @property
    def length_lift(self) -> NDArray[np.float64]:
        """Share relative to the mean over lengths, of shape (n_lengths, n_codes)."""
        return self.windows.mean(axis=(0, 1)) / self.by_code

    def strength(self) -> list[str | None]:
        """Describe the scale of each code as ``"weak"``, ``"strong"`` or None."""
        return _sides(self.scales, "weak", "strong")

    def pace(self) -> list[str | None]:
        """Describe the length of each code as ``"quick"``, ``"slow"`` or None."""
        return _sides(self.length_lift, "quick", "slow")

    def channel_words(self, channels: Sequence[str]) -> list[str | None]:
        """Return the main channel of each code, or None if there are several."""
        lift = self.channel_lift
        return [
            channels[best] if most >= _MIN_CHANNEL_LIFT else None
            for best, most in zip(lift.argmax(axis=0), lift.max(axis=0), strict=True)
        ]


def _sides(weights: NDArray[np.float64], low: str, high: str) -> list[str | None]:
    """Return `low`, `high` or None for each code, depending on its mean bin."""
    total = weights.sum(axis=0)
    centre = np.linspace(0, 1, len(weights)) @ weights / np.where(total > 0, total, 1)
    centre = np.where(total > 0, centre, 0.5)
    return [
        low if value < 0.5 - _MIN_SHIFT else high if value > 0.5 + _MIN_SHIFT else None
        for value in centre
    ]


def separate(
    shares: NDArray[np.float64], classes: NDArray[np.int64], best: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the confidence that a code is more frequent in a class than in others.

    `shares` has shape (n_cases, n_codes), and `best` contains the class of each code.
    The confidence is the area under the ROC curve between the class and another class,
    minus 1.64 standard errors (Mann and Whitney, 1947), and minimised over the other
    classes. If there are no other classes, the confidence is 0.
    """
    counts = np.bincount(classes)
    found = np.zeros(len(best))
    for code, own_class in enumerate(best):
        others = np.flatnonzero((counts > 0) & (np.arange(len(counts)) != own_class))
        own = np.sort(shares[classes == own_class, code])
        if not len(own) or not len(others):
            continue
        below = np.searchsorted(own, shares[:, code])
        below += np.searchsorted(own, shares[:, code], side="right")
        won = 1 - below / (2 * len(own))
        area = np.bincount(classes, won)[others] / counts[others]
        pairs = len(own) * counts[others]
        error = np.sqrt((len(own) + counts[others] + 1) / (12 * pairs))
        found[code] = max(0.0, (area - _N_ERRORS * error).min())
    return found
