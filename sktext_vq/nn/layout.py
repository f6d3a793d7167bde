"""Positions of features in the feature vector of a case."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from sktext_vq.nn.constants import N_MATCHES, N_POINTS, N_ROWS, N_SUMMARIES, VIEWS

HISTOGRAMS, MATCHES, SUMMARIES = range(3)
Values = TypeVar("Values", NDArray[np.generic], torch.Tensor)


class Location(NamedTuple):
    """Locations of features, as arrays with one value per feature."""

    kind: NDArray[np.int64]  # HISTOGRAMS, MATCHES or SUMMARIES
    channel: NDArray[np.int64]
    view: NDArray[np.int64]
    length: NDArray[np.int64]  # index of the window length
    item: NDArray[np.int64]  # index within channel, view and length


@dataclass(frozen=True)
class FeatureLayout:
    """Order of the features of a case.

    The features are histograms, matches and summaries, in this order. Features of each
    kind are ordered by channel, view and window length.

    Parameters
    ----------
    n_channels : int
        Number of channels, including channels added by a gravity frame.
    dilations : tuple of int
        Number of timepoints per point of a window, for each window length.
    n_codes : int
        Number of codes.
    with_matches : bool, default=True
        Whether matches are included in the features.

    Examples
    --------
    >>> from sktext_vq.nn.layout import FeatureLayout
    >>> layout = FeatureLayout(n_channels=3, dilations=(1, 2), n_codes=16)
    >>> layout.sizes, layout.n_features
    ((1728, 768, 216), 2712)
    """

    n_channels: int
    dilations: tuple[int, ...]
    n_codes: int
    with_matches: bool = True

    @property
    def blocks(self) -> tuple[int, int, int]:
        """Numbers of channels, views and window lengths."""
        return self.n_channels, len(VIEWS), len(self.dilations)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Window lengths in timepoints."""
        return tuple(N_POINTS * dilation for dilation in self.dilations)

    @property
    def item_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the features of one channel, view and window length, by kind."""
        n_matches = N_MATCHES if self.with_matches else 0
        return (N_ROWS, self.n_codes), (n_matches, self.n_codes), (N_SUMMARIES,)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Numbers of histogram, match and summary features."""
        n_blocks = math.prod(self.blocks)
        counts, matches, summaries = (
            n_blocks * math.prod(shape) for shape in self.item_shapes
        )
        return counts, matches, summaries

    @property
    def n_features(self) -> int:
        """Number of features of a case."""
        return sum(self.sizes)

    def split(self, features: Values) -> tuple[Values, Values, Values]:
        """Split features into histograms, matches and summaries.

        Parameters
        ----------
        features : ndarray or Tensor of shape (..., n_features)

        Returns
        -------
        histograms : shape (..., n_channels, n_views, n_lengths, N_ROWS, n_codes)
        matches : shape (..., n_channels, n_views, n_lengths, n_matches, n_codes)
        summaries : shape (..., n_channels, n_views, n_lengths, N_SUMMARIES)
        """
        ends = np.cumsum(self.sizes)
        histograms, matches, summaries = (
            features[..., end - size : end].reshape(
                *features.shape[:-1], *self.blocks, *shape
            )
            for end, size, shape in zip(ends, self.sizes, self.item_shapes, strict=True)
        )
        return histograms, matches, summaries

    def locate(self, indices: NDArray[np.int64]) -> Location:
        """Return the kind, channel, view, window length and item of each feature.

        Parameters
        ----------
        indices : ndarray of shape (n,), int64
            Indices of features.
        """
        ends = np.cumsum(self.sizes)
        kind = np.searchsorted(ends, indices, side="right")
        n_items = np.array([math.prod(shape) for shape in self.item_shapes])
        starts = ends - self.sizes
        block, item = np.divmod(indices - starts[kind], n_items[kind].clip(1))
        channel, view, length = np.unravel_index(block, self.blocks)
        return Location(kind, channel, view, length, item)
