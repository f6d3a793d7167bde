"""Predictions for the windows of a stretch between gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from sktext_vq._segmentation.models import WindowModel
from sktext_vq._segmentation.outages import Outage

Values = NDArray[np.floating[Any]]
_BATCH = 512  # windows in a call of the classifier
_MOST_CHECKED = 512  # windows that are compared with the training windows
# Minimum length of a stretch, relative to the length of a window.
_LEAST_SHARE = 0.5


def place_windows(n_timepoints: int, length: int, step: int, row: int) -> Any:
    """Return the starts of windows in a stretch that starts at a row of a recording.

    Windows are placed at both ends of the stretch, and at all rows whose index in the
    recording is a multiple of `step`, so that gaps do not shift windows. A stretch that
    is shorter than a window has one window, or none if it is shorter than half a
    window.
    """
    if n_timepoints < length:
        is_enough = n_timepoints >= _LEAST_SHARE * length
        return np.zeros(int(is_enough), np.intp)
    last = n_timepoints - length
    return np.unique(np.r_[0, np.arange(-row % step, last + 1, step), last])


def divide(starts: NDArray[np.intp], n_timepoints: int, length: int) -> Any:
    """Assign each timepoint to the window with the nearest centre; return borders."""
    middles = starts + min(length, n_timepoints) / 2
    inner = ((middles[:-1] + middles[1:]) / 2).round().astype(np.intp)
    return np.r_[0, inner, n_timepoints]


@dataclass(eq=False)
class Predictor:
    """Predictor that processes windows in batches and stores some for `check`."""

    model: WindowModel
    length: int
    n_windows: int
    n_done: int = 0
    kept: list[Values] = field(default_factory=list)
    bar: Any = None

    def __enter__(self) -> Predictor:
        self.bar = tqdm(
            total=self.n_windows,
            desc="Windows",
            disable=not self.model.verbose,
            leave=False,
        )
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()

    def predict(
        self,
        values: Values,
        starts: NDArray[np.intp],
        lost: Sequence[Outage],
        fill: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return the class probabilities of the windows of a stretch.

        `fill` contains a value for each channel, used in windows without any values.
        """
        short = self.length - values.shape[1]
        if short > 0:
            values = values.copy()
            for part in lost:  # before they are reflected
                values[part.channel, max(part.first, 0) : part.last] = np.nan
            values = np.pad(values, ((0, 0), (0, short)), mode="reflect")
        views = np.lib.stride_tricks.sliding_window_view(values, self.length, axis=1)
        found = []
        for i in range(0, len(starts), _BATCH):
            own = starts[i : i + _BATCH]
            windows = views[:, own].transpose(1, 0, 2)
            self._keep(windows, self._remove(windows, own, lost, fill))
            found.append(self.model.predict(windows))
            self.bar.update(len(own))
        return np.concatenate(found)

    def _remove(
        self,
        windows: Values,
        starts: NDArray[np.intp],
        lost: Sequence[Outage],
        fill: NDArray[np.float64],
    ) -> NDArray[np.bool_]:
        """Replace outages in place and return a mask of windows with outages."""
        is_lost = np.zeros(len(starts), bool)
        for part in lost:
            where = (starts < part.last) & (starts + self.length > part.first)
            is_lost |= where
            for i in np.flatnonzero(where).tolist():
                first = max(part.first - starts[i], 0)
                windows[i, part.channel, first : part.last - starts[i]] = np.nan
        is_empty = np.isnan(windows).all(axis=2)
        cases, channels = np.nonzero(is_empty)
        windows[cases, channels] = fill[channels, None]
        is_lost[cases] = True
        return is_lost

    def _keep(self, windows: Values, is_lost: NDArray[np.bool_]) -> None:
        """Store evenly spaced windows without outages."""
        every = max(1, -(-self.n_windows // _MOST_CHECKED))
        rows = np.arange(-self.n_done % every, len(windows), every)
        self.n_done += len(windows)
        if self.model.check is not None:
            self.kept.append(windows[rows[~is_lost[rows]]])

    def check(self) -> None:
        if self.model.check is not None and any(map(len, self.kept)):
            self.model.check(np.concatenate(self.kept))
