"""Classes without recordings: from texts to places in the space of series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp

from sktext_vq._utils.state import (
    Numbers,
    Sizes,
    Spec,
    State,
    check_state,
    fields_of,
)

Array = NDArray[np.floating[Any]]

_DIMENSIONS = 50
_MAX_CASES = 600
_SHRINKAGE = 0.1
_PENALTY = 0.3
_FOLDS = 4
# How far places are moved out to the mean distance of seen classes from their centre:
# regression draws them in, and the more so the less their texts are like known ones.
_STRETCH = 0.75
# How much more than unseen places the nearest seen one counts in novelty.
_NEAREST_COUNTS = 1.5
_LEAST_ALIGNMENT = 0.02
# Share of series of seen classes that are to be taken for such. What class splits of
# training say counts as much as there are classes, and the usual share as 2 classes.
_USUAL_SHARE, _USUAL_SHARE_COUNTS = 0.8, 2
_SHARES = np.linspace(0.3, 1, 71)
_DRAWS = 3
_SHARPNESS = np.geomspace(0.1, 100, 31)
_USUAL_SHARPNESS = 3.0
_STATE: dict[str, Spec | None] = {
    "basis": Numbers("float64", ("n_selected", "n_dimensions")),
    "centre": Numbers("float64", ("n_dimensions",)),
    "centres": Numbers("float64", ("n_classes", "n_dimensions")),
    "spreads": Numbers("float64", ("n_classes",), above=0),
    "held_out": None,
}
_HELD_OUT: dict[str, Spec | None] = {
    "centres": Numbers("float64", ("n_classes", "n_own_dimensions")),
    "cases": Numbers("float64", ("n_own_cases", "n_own_dimensions")),
    "classes": Numbers("int64", ("n_own_cases",), above=-1, below="n_classes"),
}


@dataclass(frozen=True)
class HeldOut:
    """Cases that a space was made without, and the centres of classes there."""

    centres: Array
    cases: Array
    classes: NDArray[np.int64]


class ZeroShotSpace:
    """A space of series into which texts are mapped.

    Series are whitened by the scatter within classes. Kernel ridge regression from
    the texts of seen classes to their centres tells where an unseen class would lie.
    Its kernel is a mean of those of single views of the texts, weighted by how well
    each agrees with how centres lie (Cortes et al., JMLR 2012).

    Among unseen candidates a series belongs to the one that it is nearest to. Whether
    it is of a seen class is told by how much nearer it is to one of these: calibrated
    stacking (Chao et al., ECCV 2016), where the bias is such that of held-out series
    of seen classes a certain share is taken for these. The share comes from treating
    some of the seen classes as unseen.

    Attributes
    ----------
    basis : ndarray of shape (n_features, n_dimensions)
        From standardised features to the space.
    centre : ndarray of shape (n_dimensions,)
        Mean of the centres of classes.
    centres : ndarray of shape (n_classes, n_dimensions)
        Means of classes, less `centre`.
    held_out : list
        Some training cases in spaces that were made without them, for calibration.
    spreads : ndarray of shape (n_classes,)
        Root of the mean squared distance of held-out cases to the centre of their
        class, with a mean square over classes of about 1.
    """

    def get_state(self) -> State:
        """Return the arrays by name."""
        return {
            **self.__dict__,
            "held_out": [fields_of(part) for part in self.held_out],
        }

    @classmethod
    def from_state(cls, state: State, sizes: Sizes) -> ZeroShotSpace:
        """Build a space from `get_state`."""
        check_state(state, _STATE, sizes, "space")
        if not isinstance(state["held_out"], list):
            raise ValueError("space.held_out is not a list")
        space = cls()
        space.__dict__.update(state)
        space.held_out = [
            HeldOut(**check_state(each, _HELD_OUT, Sizes(sizes), "held_out"))
            for each in state["held_out"]
        ]
        return space

    def fit(
        self,
        features: Array,
        classes: NDArray[np.int64],
        random_state: np.random.RandomState,
    ) -> ZeroShotSpace:
        """Fit to standardised features of shape (n_cases, n_features)."""
        n_classes = int(classes.max()) + 1
        order = random_state.permutation(len(classes))
        most = max(_FOLDS, _MAX_CASES // n_classes)
        members = [order[classes[order] == label][:most] for label in range(n_classes)]
        chosen = np.concatenate(members)
        fold = np.concatenate([np.arange(len(member)) % _FOLDS for member in members])
        features, classes = features[chosen].astype(np.float64), classes[chosen]
        self.basis, self.centre, self.centres = _whiten(features, classes)
        self.held_out = []
        for k in range(_FOLDS):
            inside, outside = fold != k, fold == k
            if len(np.unique(classes[inside])) < n_classes or not outside.any():
                continue
            basis, centre, centres = _whiten(features[inside], classes[inside])
            cases = features[outside] @ basis - centre
            self.held_out.append(HeldOut(centres, cases, classes[outside]))
        self.spreads = self._measure_spreads(n_classes)
        return self

    def _measure_spreads(self, n_classes: int) -> NDArray[np.float64]:
        """Find how spread out each class is, halfway to what all are."""
        sums, counts = np.zeros(n_classes), np.zeros(n_classes)
        for part in self.held_out:
            away = part.cases - part.centres[part.classes]
            np.add.at(sums, part.classes, np.square(away).sum(axis=1))
            np.add.at(counts, part.classes, 1)
        if not counts.all() or not sums.all():
            return np.ones(n_classes)
        spreads = sums / counts
        return np.sqrt(spreads / spreads.mean())

    def score(
        self,
        points: Array,
        log_probabilities: Array,
        views: Array,
        seen: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """Score candidates for series.

        Parameters
        ----------
        points : ndarray of shape (n_cases, n_dimensions)
            Series in the space.
        log_probabilities : ndarray of shape (n_cases, n_classes)
            Of the classes in training, by the classifier for these.
        views : ndarray of shape (n_views, n_classes + n_candidates, text_dim)
            Texts of the classes in training, then those of candidates; NaN where a
            view says nothing.
        seen : ndarray of shape (n_candidates,)
            Class that a candidate is; -1 for unseen ones.

        Returns
        -------
        ndarray of shape (n_cases, n_candidates)
            Logarithms of probabilities.
        """
        n_classes = len(self.centres)
        known = seen >= 0
        classes, unseen = seen[known], n_classes + np.flatnonzero(~known)
        scores = np.empty((len(points), len(seen)))
        if len(classes):
            scores[:, known] = log_softmax(log_probabilities[:, classes], axis=1)
        if not len(unseen):
            return scores
        places = self._places(views, unseen)
        sharpness, bias, gate = self._calibrate(views, classes, unseen)
        scores[:, ~known] = log_softmax(sharpness * places.nearness(points), axis=1)
        if not len(classes):
            return scores
        # The best of each kind stands for it, so that the better kind has the best.
        margin = gate * (places.novelty(points, classes) - bias)
        for kind, sign in ((known, -1), (~known, 1)):
            scores[:, kind] -= scores[:, kind].max(axis=1, keepdims=True)
            scores[:, kind] += sign * margin[:, None] / 2
        return scores - logsumexp(scores, axis=1, keepdims=True)

    def cosines(self, points: Array, views: Array) -> NDArray[np.float64]:
        """Cosines of series and the places of texts, from the middle of all classes.

        Parameters
        ----------
        points : ndarray of shape (n_cases, n_dimensions)
            Series in the space.
        views : ndarray of shape (n_views, n_classes + n_candidates, text_dim)
            As in `score`.

        Returns
        -------
        ndarray of shape (n_cases, n_candidates)
        """
        places = self._places(views).places
        size = np.linalg.norm(points, axis=1)[:, None] * np.linalg.norm(places, axis=1)
        return points @ places.T / np.maximum(size, 1e-12)

    def reasons(self, points: Array, views: Array) -> tuple[Array, Array]:
        """Say what each seen class adds to the nearness of series and candidates.

        Parameters
        ----------
        points : ndarray of shape (n_cases, n_dimensions)
            Series in the space.
        views : ndarray of shape (n_views, n_classes + n_candidates, text_dim)
            As in `score`.

        Returns
        -------
        in_text : ndarray of shape (n_candidates, n_classes)
        in_series : ndarray of shape (n_cases, n_classes)
            How much of a class there is in either: it speaks for a candidate by the
            product of both.
        """
        middle = self.centres.mean(axis=0)
        centred = self.centres - middle
        size = np.linalg.norm(points - middle, axis=1, keepdims=True)
        toward = (points - middle) @ centred.T / np.maximum(size, 1e-12)
        toward /= np.maximum(np.linalg.norm(centred, axis=1), 1e-12)
        return self._places(views).coef, toward

    def likeness(self, views: Array) -> NDArray[np.float64]:
        """Say how alike candidates and seen classes are by their texts.

        Parameters
        ----------
        views : ndarray of shape (n_views, n_classes + n_candidates, text_dim)
            As in `score`.

        Returns
        -------
        ndarray of shape (n_candidates, n_classes)
            Positive where both lie on the same side of the middle of all classes.
        """
        return self._places(views).across

    def _places(self, views: Array, unseen: NDArray[np.int64] | None = None) -> _Places:
        """Find places of candidates: of all, or of those whose texts are given."""
        n_classes = len(self.centres)
        if unseen is None:
            unseen = np.arange(n_classes, views.shape[1])
        every = np.arange(n_classes)
        return _Places(views, every, unseen, self.centres, self.spreads)

    def _calibrate(
        self, views: Array, classes: NDArray[np.int64], unseen: NDArray[np.int64]
    ) -> tuple[float, float, float]:
        """Choose sharpness, bias and sharpness of the bias on seen classes only."""
        n_classes = len(self.centres)
        every = np.arange(n_classes)
        gains = np.zeros(len(_SHARES))
        losses = np.zeros((2, len(_SHARPNESS)))
        n_told_apart = 0
        for out in _class_splits(n_classes, len(unseen)):
            rest = np.setdiff1d(every, out)
            new, old = [], []
            for part in self.held_out:
                centres = part.centres - part.centres[rest].mean(axis=0)
                points = part.cases - part.centres[rest].mean(axis=0)
                places = _Places(views, rest, out, centres[rest], self.spreads[rest])
                novelty = places.novelty(points, np.arange(len(rest)))
                among = places.nearness(points)
                best = rest[_nearness(points, centres[rest]).argmax(axis=1)]
                is_new = np.isin(part.classes, out)
                right = np.where(is_new, out[among.argmax(axis=1)], best)
                right = right == part.classes
                new.append(np.stack([novelty, right])[:, is_new])
                old.append(np.stack([novelty, right])[:, ~is_new])
                if len(out) > 1 and is_new.any():
                    true = np.searchsorted(out, part.classes[is_new])
                    n_told_apart += is_new.sum()
                    losses[0] += _log_losses(among[is_new], true)
            (new_novelty, new_right), (old_novelty, old_right) = (
                np.concatenate(found, axis=1) for found in (new, old)
            )
            if not (len(new_novelty) and len(old_novelty)):
                continue
            biases = np.quantile(old_novelty, _SHARES)
            a = ((new_novelty > biases[:, None]) * new_right).mean(axis=1)
            b = ((old_novelty <= biases[:, None]) * old_right).mean(axis=1)
            gains += 2 * a * b / np.maximum(a + b, 1e-12)
            bias = biases[gains.argmax()]
            for novelty, sign in ((new_novelty, 1), (old_novelty, -1)):
                margin = sign * _SHARPNESS[:, None] * (novelty - bias)
                losses[1] += np.logaddexp(0, -margin).mean(axis=1)
        share = _USUAL_SHARE
        gate = sharpness = _USUAL_SHARPNESS
        if gains.any():
            best = _SHARES[gains >= gains.max() - 1e-9].mean()
            counts = _USUAL_SHARE_COUNTS
            share = (n_classes * best + counts * share) / (n_classes + counts)
            gate = _SHARPNESS[losses[1].argmin()]
        if n_told_apart:
            sharpness = _SHARPNESS[losses[0].argmin()]
        bias = 0.0
        if len(classes) and self.held_out:
            novelties = []
            for part in self.held_out:
                places = _Places(views, every, unseen, part.centres, self.spreads)
                is_asked = np.isin(part.classes, classes)
                novelties.append(places.novelty(part.cases[is_asked], classes))
            bias = float(np.quantile(np.concatenate(novelties), share))
        return float(sharpness), bias, float(gate)


class _Places:
    """Places of unseen classes, by what texts of seen ones and their centres say.

    Parameters
    ----------
    views : ndarray of shape (n_views, n_texts, text_dim)
    seen, unseen : ndarray of int
        Whose texts are whose.
    centres : ndarray of shape (n_seen, n_dimensions)
        Of seen classes.
    spreads : ndarray of shape (n_seen,)
        How far series are from these.

    Attributes
    ----------
    across, coef : ndarray of shape (n_unseen, n_seen)
        Kernel of the texts; and how much of each seen class, from the middle of all,
        makes up the place of an unseen one.
    drawn_in, places : ndarray of shape (n_unseen, n_dimensions)
        As regression has them, and moved out.
    """

    def __init__(
        self,
        views: Array,
        seen: NDArray[np.int64],
        unseen: NDArray[np.int64],
        centres: Array,
        spreads: Array,
    ) -> None:
        middle = centres.mean(axis=0)
        centred = centres - middle
        target = centred @ centred.T
        within, across, weights = [], [], []
        for view in views:
            rows = _centred(view, seen)
            gram = rows[seen] @ rows[seen].T
            within.append(gram)
            across.append(rows[unseen] @ rows[seen].T)
            weights.append(max(_alignment(gram, target), _LEAST_ALIGNMENT))
        self.centres, self.spreads = centres, spreads
        shares = np.array(weights) / sum(weights)
        self.across = np.tensordot(shares, across, 1)
        gram = np.tensordot(shares, within, 1) + _PENALTY * np.eye(len(seen))
        self.coef = np.linalg.solve(gram, self.across.T).T
        moved = self.coef @ centred
        self.drawn_in = middle + moved
        usual = np.linalg.norm(centred, axis=1).mean()
        length = np.linalg.norm(moved, axis=1, keepdims=True)
        moved *= 1 - _STRETCH + _STRETCH * usual / np.maximum(length, 1e-12)
        self.places = middle + moved

    def nearness(self, points: Array) -> NDArray[np.float64]:
        """Nearness of points and unseen classes."""
        return _nearness(points, self.places)

    def novelty(self, points: Array, classes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Tell how much more some unseen class explains points than given seen ones.

        Distances count less to classes that are spread out.
        """
        known = _nearness(points, self.centres[classes]) / self.spreads[classes]
        known = known.max(axis=1)
        return _nearness(points, self.drawn_in).max(axis=1) - _NEAREST_COUNTS * known


def _centred(view: Array, seen: NDArray[np.int64]) -> NDArray[np.float64]:
    """Bring the mean of seen texts to 0, and the mean square of their lengths to 1.

    Where nothing is said, a text is in the middle.
    """
    said = ~np.isnan(view[:, 0])
    there = seen[said[seen]]
    if not len(there):
        return np.zeros_like(view)
    rows = np.where(said[:, None], view - view[there].mean(axis=0), 0)
    size = np.sqrt(np.square(rows[there]).sum(axis=1).mean())
    return rows / max(size, 1e-12)


def _alignment(a: Array, b: Array) -> float:
    """Cosine of two kernels that are centred."""
    a, b = (
        kernel - kernel.mean(axis=0) - kernel.mean(axis=1)[:, None] + kernel.mean()
        for kernel in (a, b)
    )
    size = np.linalg.norm(a) * np.linalg.norm(b)
    return float((a * b).sum() / size) if size > 0 else 0.0


def _class_splits(n_classes: int, n_unseen: int) -> list[NDArray[np.int64]]:
    """Draw seen classes to leave out, about as large a share as unseen ones are."""
    size = round(n_classes * n_unseen / (n_classes + n_unseen))
    size = min(max(1, size), n_classes - 2)
    if size < 1:
        return []
    orders = [
        np.random.RandomState(draw).permutation(n_classes) for draw in range(_DRAWS)
    ]
    return [
        np.sort(order[start : start + size])
        for order in orders
        for start in range(0, n_classes - size + 1, size)
    ]


def _log_losses(scores: Array, classes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum of the log-losses of scores, for each sharpness."""
    rows = np.arange(len(classes))
    return np.array(
        [-log_softmax(s * scores, axis=1)[rows, classes].sum() for s in _SHARPNESS]
    )


def _whiten(
    features: Array, classes: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Find axes whitened by the scatter within classes, and the centres of classes."""
    deviations = features - features.mean(axis=0)
    # Fewer cases than features: the small Gram matrix has the axes too.
    values, vectors = np.linalg.eigh(deviations @ deviations.T)
    kept = max(1, min(_DIMENSIONS, int((values > 1e-9 * values[-1]).sum())))
    largest = slice(-1, -kept - 1, -1)
    lengths = np.sqrt(np.maximum(values[largest], 1e-12))
    axes = deviations.T @ (vectors[:, largest] / lengths)
    scores = deviations @ axes
    centres = np.stack(
        [scores[classes == label].mean(axis=0) for label in range(classes.max() + 1)]
    )
    scatter = np.cov((scores - centres[classes]).T, bias=True).reshape(kept, kept)
    floor = _SHRINKAGE * np.trace(scatter) / kept + 1e-9
    root = np.linalg.inv(np.linalg.cholesky(scatter + floor * np.eye(kept))).T
    centres = centres @ root
    centre = centres.mean(axis=0)
    return axes @ root, features.mean(axis=0) @ axes @ root + centre, centres - centre


def _nearness(points: Array, places: Array) -> NDArray[np.float64]:
    """Negative squared distances of points and places, per dimension, halved."""
    squares = np.square(points).sum(1)[:, None] + np.square(places).sum(1)
    return (points @ places.T - squares / 2) / points.shape[1]
