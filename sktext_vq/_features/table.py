"""Computation of training features for several consumers in one pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from sktext_vq._features.extractor import Execution, FeatureExtractor
from sktext_vq._features.selection import FeatureMoments, TargetMoments
from sktext_vq.nn.usage import share_of_codes
from sktext_vq.panel import Panel

# Maximum number of feature values to keep in memory (256 MiB) for another pass.
_MAX_KEPT_VALUES = 2**26


class FeatureConsumer(Protocol):
    """Protocol of objects that process features in batches."""

    cases: NDArray[np.int64]  # indices of the cases to process, ascending

    def add(self, rows: NDArray[np.int64], features: NDArray[np.float32]) -> None:
        """Process the features of ``cases[rows]``, of shape (n_rows, n_features)."""


class FeatureReader:
    """Compute the features of a panel for several consumers in one pass."""

    def __init__(
        self, extractor: FeatureExtractor, panel: Panel, execution: Execution
    ) -> None:
        self.extractor = extractor
        self.panel = panel
        self.execution = execution
        self._kept: list[tuple[slice, NDArray[np.float32]]] = []

    def feed(self, task: str, *consumers: FeatureConsumer) -> None:
        """Compute the features of each case once and pass them to the consumers.

        If the features of all cases fit into memory, they are reused in the next pass.
        """
        cases = np.unique(np.concatenate([each.cases for each in consumers]))
        # None for consumers that use all features.
        parts = [getattr(each, "columns", None) for each in consumers]
        known = [part for part in parts if part is not None]
        is_part = len(known) == len(parts)
        columns = np.unique(np.concatenate(known)) if is_part else None
        for where, features in self._batches(cases, task, columns):
            present = cases[where]
            for consumer in consumers:
                inside = np.isin(present, consumer.cases, assume_unique=True)
                if inside.any():
                    rows = np.searchsorted(consumer.cases, present[inside])
                    own = features if inside.all() else features[inside]
                    consumer.add(rows, own)

    def _batches(
        self,
        cases: NDArray[np.int64],
        task: str,
        columns: NDArray[np.int64] | None,
    ) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        panel, is_complete = self.panel, len(cases) == self.panel.n_cases
        if is_complete and self._kept:
            yield from self._kept
            return
        n_values = panel.n_cases * self.extractor.layout.n_features
        keeps = is_complete and n_values <= _MAX_KEPT_VALUES and columns is None
        part = panel if is_complete else panel.take(cases)
        found = self.extractor.batches(part, self.execution, task, columns)
        for where, features in found:
            if keeps:
                self._kept.append((where, features))
            yield where, features


class ColumnConsumer:
    """Collect selected features in ``values``, of shape (n_cases, n_columns)."""

    def __init__(self, cases: NDArray[np.int64], columns: NDArray[np.int64]) -> None:
        self.cases = cases
        self.columns = columns
        self.values = np.empty((len(cases), len(columns)), np.float32)

    def add(self, rows: NDArray[np.int64], features: NDArray[np.float32]) -> None:
        """Store the features of ``cases[rows]``."""
        first, last = rows[0], rows[-1] + 1
        if last - first == len(rows):  # a slice is written without a copy
            out = self.values[first:last]
            np.take(features, self.columns, axis=1, out=out, mode="clip")
        else:
            self.values[rows] = features[:, self.columns]


class ShareConsumer:
    """Collect the share of each code in ``values``, of shape (n_cases, n_codes)."""

    def __init__(self, extractor: FeatureExtractor, cases: NDArray[np.int64]) -> None:
        self.cases = cases
        self.values = np.empty((len(cases), extractor.layout.n_codes))
        self._tokenizer = extractor.tokenizer

    def add(self, rows: NDArray[np.int64], features: NDArray[np.float32]) -> None:
        """Store the code shares of ``cases[rows]``."""
        usage = self._tokenizer.usage(torch.from_numpy(features)).flatten(3)
        self.values[rows] = share_of_codes(usage).numpy()


class MomentConsumer:
    """Collect statistics for the selection of features.

    Without classes, `classes` contains zeros. `targets` are the targets of a
    regression. After the pass, ``shares``, of shape (n_cases, n_codes), contains the
    share of each code in each series.
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        cases: NDArray[np.int64],
        classes: NDArray[np.int64],
        folds: NDArray[np.int64],
        weight: NDArray[np.float64] | None = None,
        targets: NDArray[np.float64] | None = None,
    ) -> None:
        layout = extractor.layout
        self.cases, self.classes, self.folds = cases, classes, folds
        self._weight, self._targets = weight, targets
        self.target_moments = None
        if targets is not None:
            self.target_moments = TargetMoments(layout.n_features)
        self._moments = FeatureMoments(
            layout.n_features, int(classes.max()) + 1, int(folds.max()) + 1
        )
        self._shares = ShareConsumer(extractor, cases)
        self.shares = self._shares.values

    def add(self, rows: NDArray[np.int64], features: NDArray[np.float32]) -> None:
        """Add features of ``cases[rows]`` to the statistics."""
        weight = None if self._weight is None else self._weight[rows]
        self._moments.add(features, self.classes[rows], self.folds[rows], weight)
        if self.target_moments is not None and self._targets is not None:
            self.target_moments.add(features, self._targets[rows], weight)
        self._shares.add(rows, features)

    @property
    def moments(self) -> FeatureMoments:
        """Sums of features and of their squares, by fold and class."""
        self._moments.flush()
        return self._moments
