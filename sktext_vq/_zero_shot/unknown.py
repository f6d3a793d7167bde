"""Detection of series that resemble neither training classes nor candidates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sktext_vq._zero_shot.calibration import HeldOut
from sktext_vq._zero_shot.class_embeddings import ClassEmbeddings, negative_distances

Array = NDArray[np.floating[Any]]

# Share of held-out series of training classes that are not predicted as unknown.
SHARE_OF_KNOWN = 0.95
_SHARE_LEFT_OUT = 0.25
_N_DRAWS = 6
_SHRINKAGE = 0.1


class UnknownDetector(NamedTuple):
    """Linear discriminant between series of known and unknown classes."""

    weight: NDArray[np.float64]  # of the two `statistics`
    offset: NDArray[np.float64]  # means of the statistics for known classes
    new_spread: float = 1.0  # relative distance of series from predicted centres

    @classmethod
    def fit(
        cls, held_out: Sequence[HeldOut], spreads: Array, views: Array | None = None
    ) -> UnknownDetector:
        """Fit to held-out cases, with some of the classes treated as unknown.

        `views`, of shape (n_views, n_classes, text_dim), contains embeddings of texts.
        """
        n_classes = len(spreads)
        n_left_out = min(max(1, round(_SHARE_LEFT_OUT * n_classes)), n_classes - 2)
        generator = np.random.RandomState(0)
        found, is_unknown, ratios = [], [], [1.0]
        for _ in range(_N_DRAWS):
            order = generator.permutation(n_classes)
            left_out, seen = order[:n_left_out], order[n_left_out:]
            for part in held_out:
                found.append(statistics(part.cases, part.centres[seen], spreads[seen]))
                is_unknown.append(np.isin(part.classes, left_out))
            if views is not None:
                ratios.append(
                    _distance_ratio(held_out[0], spreads, views, left_out, seen)
                )
        values, unknown = np.concatenate(found), np.concatenate(is_unknown)
        scale = np.maximum(values.std(axis=0), 1e-9)
        kinds = [values[~unknown] / scale, values[unknown] / scale]
        scatter = sum(np.cov(each.T, bias=True) for each in kinds) / 2
        difference = kinds[1].mean(axis=0) - kinds[0].mean(axis=0)
        weight = np.linalg.solve(scatter + _SHRINKAGE * np.eye(2), difference) / scale
        spread = float(np.sqrt(np.mean(ratios[1:] or ratios)))
        return cls(weight, values[~unknown].mean(axis=0), spread)

    def score(
        self, points: Array, centres: Array, spreads: Array, new: Array
    ) -> NDArray[np.float64]:
        """Return the log-odds of an unknown class, up to a constant.

        `new`, of shape (n_unseen, n_dimensions), contains the predicted centres of
        unseen candidates.
        """
        middle = centres.mean(axis=0)
        spreads = np.concatenate([spreads, np.full(len(new), self.new_spread)])
        found = statistics(points, np.concatenate([centres, new]), spreads, middle)
        return np.asarray((found - self.offset) @ self.weight)


def _distance_ratio(
    part: HeldOut,
    spreads: Array,
    views: Array,
    left_out: NDArray[np.int64],
    seen: NDArray[np.int64],
) -> float:
    """Return the ratio of mean squared distances to predicted and to known centres."""
    known = part.centres[seen], spreads[seen]
    centres = part.centres.copy()
    centres[left_out] = ClassEmbeddings(views, seen, left_out, *known).embeddings
    distances = np.square(part.cases - centres[part.classes]).sum(axis=1)
    is_out = np.isin(part.classes, left_out)
    if not is_out.any() or is_out.all():
        return 1.0
    return float(distances[is_out].mean() / max(distances[~is_out].mean(), 1e-12))


def statistics(
    points: Array, centres: Array, spreads: Array, middle: Array | None = None
) -> NDArray[np.float64]:
    """Return two statistics of points, of shape (n_cases, 2).

    The statistics are the logarithm of the squared distance to the nearest centre, and
    the projection onto the line through `middle` and this centre, scaled to 0 at
    `middle` and 1 at the centre. By default, `middle` is the mean of all centres.
    """
    if middle is None:
        middle = centres.mean(axis=0)
    distances = -2 * negative_distances(points, centres) / spreads**2
    nearest = distances.argmin(axis=1)
    smallest = np.maximum(distances[np.arange(len(points)), nearest], 1e-9)
    toward = centres[nearest] - middle
    size = np.maximum(np.square(toward).sum(axis=1), 1e-9)
    projection = ((points - middle) * toward).sum(axis=1) / size
    return np.stack([np.log(smallest), np.clip(projection, -1, 1)], axis=1)
