"""Names of codes: the class that uses them, and words for strength, pace and place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from sktext_vq.nn.tokens import LEVEL_BINS, SCALE_BINS

LEAST_CONFIDENCE = 0.75
# Distance of a share from what it would be on average, from which on it has a name.
_LEAST_SHIFT = 0.08
_LEAST_CHANNEL_LIFT = 1.25


@dataclass(frozen=True)
class CodeUse:
    """How often series use codes, and which kinds of windows these are.

    Parameters
    ----------
    windows : ndarray of shape (n_classes, n_channels, n_lengths, n_codes)
        Mean share of each code in the windows of a channel and length.
    scales : ndarray of shape (SCALE_BINS, n_codes)
        Share of the windows of a code by scale, the weakest first.
    separation : ndarray of shape (n_classes, n_codes), optional
        Chance that a series of a class has more of a code than one of another class.
    """

    windows: NDArray[np.float64]
    scales: NDArray[np.float64]
    separation: NDArray[np.float64] | None = None

    @classmethod
    def from_squares(
        cls,
        squares: NDArray[np.float64],
        layout: Sequence[int],
        separation: NDArray[np.float64] | None = None,
    ) -> CodeUse:
        """Make it of mean squares of histograms, of shape (n_classes, n_features)."""
        frequencies = squares.reshape(-1, *layout)[:, :, 0]  # the series, no changes
        # Level bins of a code share out its windows, and so do scale bins.
        windows = frequencies[:, :, :, :LEVEL_BINS].sum(axis=3)
        scales = frequencies[:, :, :, LEVEL_BINS:][:, :, :, :SCALE_BINS]
        scales = scales.sum(axis=(0, 1, 2))
        return cls(windows, scales / np.maximum(scales.sum(axis=0), 1e-12), separation)

    @property
    def by_code(self) -> NDArray[np.float64]:
        """Mean share of each code, of shape (n_codes,), not 0."""
        return np.maximum(self.windows.mean(axis=(0, 1, 2)), 1e-12)

    @property
    def class_lift(self) -> NDArray[np.float64]:
        """How many times the mean over classes, of shape (n_classes, n_codes)."""
        return self.windows.mean(axis=(1, 2)) / self.by_code

    @property
    def channel_lift(self) -> NDArray[np.float64]:
        """How many times the mean over channels, of shape (n_channels, n_codes)."""
        return self.windows.mean(axis=(0, 2)) / self.by_code

    @property
    def length_lift(self) -> NDArray[np.float64]:
        """How many times the mean over lengths, of shape (n_lengths, n_codes)."""
        return self.windows.mean(axis=(0, 1)) / self.by_code

    def strength(self) -> list[str | None]:
        """Say which codes have weak or strong windows, for their channel and length."""
        centre = np.linspace(0, 1, SCALE_BINS) @ self.scales
        return _sides(centre, "weak", "strong")

    def pace(self) -> list[str | None]:
        """Say which codes are found in short windows, and which in long ones."""
        lift = self.length_lift
        total = lift.sum(axis=0)
        # A code that no window has is neither.
        usual = np.full_like(lift, 1 / len(lift))
        shares = np.divide(lift, total, out=usual, where=total > 0)
        centre = np.linspace(0, 1, len(lift)) @ shares
        return _sides(centre, "quick", "slow")

    def place(self, channels: Sequence[str]) -> list[str | None]:
        """Say in which channel a code is found, where it is found in one."""
        lift = self.channel_lift
        return [
            channels[best] if most >= _LEAST_CHANNEL_LIFT else None
            for best, most in zip(lift.argmax(axis=0), lift.max(axis=0), strict=True)
        ]


def _sides(centre: NDArray[np.float64], low: str, high: str) -> list[str | None]:
    """Name what is clearly on one side of the middle of 0 and 1."""
    return [
        low
        if value < 0.5 - _LEAST_SHIFT
        else high
        if value > 0.5 + _LEAST_SHIFT
        else None
        for value in centre
    ]


def separate(
    shares: NDArray[np.float64], classes: NDArray[np.int64], n_classes: int
) -> NDArray[np.float64]:
    """Chance that a series of a class has more of a code than one of another class.

    It is the area under the ROC curve, from ranks (Mann and Whitney, 1947).

    Parameters
    ----------
    shares : ndarray of shape (n_cases, n_codes)
    classes : ndarray of shape (n_cases,)
    n_classes : int

    Returns
    -------
    ndarray of shape (n_classes, n_codes)
        .5 of a class that has no case, or all of them.
    """
    ranks = rankdata(shares, axis=0)
    member = (classes == np.arange(n_classes)[:, None]).astype(np.float64)
    n_own = member.sum(axis=1, keepdims=True)
    pairs = n_own * (len(classes) - n_own)
    won = member @ ranks - n_own * (n_own + 1) / 2
    return np.where(pairs > 0, won / np.maximum(pairs, 1), 0.5)
