"""Fitting of base models to several labelled data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from sktext_vq._features.extractor import Execution, FeatureExtractor
from sktext_vq._features.selection import FeatureMoments, FeatureScaler, assign_folds
from sktext_vq._heads.ridge import FeatureTable, RidgeHead
from sktext_vq._interpret.code_statistics import CodeStatistics
from sktext_vq._training.settings import as_text_encoder
from sktext_vq._wearables.adapter import SensorAdapter, acceleration
from sktext_vq._wearables.bridge import BridgeScorer, novelty
from sktext_vq._wearables.harmonise import (
    CHANNELS,
    SAMPLING_RATE,
    harmonise_windows,
)
from sktext_vq._zero_shot.embedding import ZeroShotSpace, whiten
from sktext_vq._zero_shot.recognizer import EmbeddedSeries, ZeroShotRecognizer
from sktext_vq.classifier import VQTextClassifier
from sktext_vq.nn.usage import share_of_codes
from sktext_vq.panel import Panel
from sktext_vq.transformer import VQTextTransformer

# Maximum number of windows per data set, which are distributed over its classes.
_MAX_WINDOWS = 1200
MAX_FEATURES = 6000
# Maximum number of windows from which the axes of the embedding space are computed.
_MAX_SPACE_WINDOWS = 2400
# Share of windows of known classes that are predicted as an unknown class.
_SHARE_UNKNOWN = 0.05
# Numbers of folds, and of candidate draws per fold, for the novelty threshold.
_N_FOLDS, _N_DRAWS = 3, 4


@dataclass(frozen=True, eq=False)
class LabelledSet:
    """Labelled windows of a public data set.

    Parameters
    ----------
    name : str
        Name of the data set.
    X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
        Windows.
    y : array-like of shape (n_cases,) of str
        Label of each window. Labels must be words.
    channel_names : sequence of str
        Names of the channels; see :func:`harmonise`.
    sampling_rate : float
        Sampling rate in Hz.
    subjects : array-like of shape (n_cases,), optional
        Identifier of the person in each window.
    texts : dict, optional
        Texts about the labels; see the parameter `text` of
        :class:`~sktext_vq.VQTextClassifier`.
    units : str or dict, default="auto"
        Units of the channels; see :func:`harmonise`.
    about : dict, optional
        Entries for the model card, such as the source, licence and sensor position.
    """

    name: str
    X: Any
    y: ArrayLike
    channel_names: Sequence[str]
    sampling_rate: float
    subjects: ArrayLike | None = None
    texts: Mapping[str, Any] | None = None
    units: str | Mapping[str, str] = "auto"
    about: Mapping[str, Any] | None = None


@dataclass(frozen=True, eq=False)
class Pool:
    """Windows of several data sets.

    Parameters
    ----------
    panel : Panel
        Harmonised windows.
    labels : ndarray of shape (n_cases,) of str
        Label of each window.
    sets : ndarray of shape (n_cases,)
        Index of the data set of each window.
    weight : ndarray of shape (n_cases,)
        Weight of each window. All classes of a data set have equal weight.
    folds : ndarray of shape (n_cases,)
        Index of the fold of each window. All windows of a person are in the same fold.
        If the people are unknown, the windows of each class are divided into folds.
    """

    panel: Panel
    labels: NDArray[np.str_]
    sets: NDArray[np.int64]
    weight: NDArray[np.float64]
    folds: NDArray[np.int64]

    @classmethod
    def of(cls, sets: Sequence[LabelledSet], random_state: Any) -> Pool:
        """Harmonise data sets, and draw windows from each class at random."""
        generator = check_random_state(random_state)
        series: list[NDArray[np.float32]] = []
        labels, owner, weight, folds = [], [], [], []
        for i, each in enumerate(sets):
            names = np.asarray(each.y).astype(str)
            X = harmonise_windows(
                each.X, each.channel_names, each.sampling_rate, each.units
            )
            if len(names) != len(X) or len(np.unique(names)) < 2:
                raise ValueError(
                    f"{each.name} must have a label for each of its {len(X)} windows, "
                    f"and at least two classes; got {len(names)} labels."
                )
            drawn = draw_by_class(names, _MAX_WINDOWS, generator)
            series += [_trimmed(X[j]) for j in drawn]
            labels.append(names[drawn])
            owner.append(np.full(len(drawn), i))
            weight.append(balanced_weight(names[drawn]))
            people = None if each.subjects is None else np.asarray(each.subjects)[drawn]
            folds.append(_assign_folds(names[drawn], people))
        return cls(
            _stack(series),
            np.concatenate(labels),
            np.concatenate(owner),
            np.concatenate(weight),
            np.concatenate(folds),
        )

    @property
    def lacks_rotation(self) -> NDArray[np.bool_]:
        """Whether each window was recorded without a gyroscope."""
        is_missing = np.isnan(self.panel.values[:, 3:])
        return np.asarray(np.any(np.all(is_missing, axis=2), axis=1))

    def take(self, rows: NDArray[np.bool_]) -> Pool:
        """Return the selected windows as a pool."""
        return Pool(
            self.panel.take(rows),
            self.labels[rows],
            self.sets[rows],
            self.weight[rows],
            self.folds[rows],
        )

    def restrict_to_acceleration(self) -> Pool:
        """Return the pool without the angular velocity."""
        return replace(self, panel=acceleration(self.panel))


def draw_by_class(
    labels: NDArray[np.str_], most: int, generator: np.random.RandomState
) -> NDArray[np.int64]:
    """Draw at most `most` windows, the same number from each class if possible."""
    classes = np.unique(labels)
    own = [generator.permutation(np.flatnonzero(labels == each)) for each in classes]
    return np.sort(np.concatenate([each[: -(-most // len(classes))] for each in own]))


def balanced_weight(labels: NDArray[np.str_]) -> NDArray[np.float64]:
    """Return weights of windows whose sum is the same for all classes.

    The sum over all windows is the square root of the number of classes. This is a
    compromise between equal weights for data sets and equal weights for classes.
    """
    _, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return np.asarray(np.sqrt(len(counts)) / (len(counts) * counts[index]))


def _assign_folds(
    labels: NDArray[np.str_], people: NDArray[Any] | None
) -> NDArray[np.int64]:
    """Assign the windows of each person to the same fold."""
    if people is not None and len(persons := np.unique(people)) > 1:
        return np.asarray(np.searchsorted(persons, people) % _N_FOLDS, np.int64)
    return assign_folds(np.unique(labels, return_inverse=True)[1], _N_FOLDS)


def _stack(series: Sequence[NDArray[np.float32]]) -> Panel:
    """Return windows as a panel; some windows may lack a sensor."""
    lengths = np.array([each.shape[1] for each in series])
    values = np.full((len(series), len(CHANNELS), lengths.max()), np.nan, np.float32)
    for row, each in zip(values, series, strict=True):
        row[:, : each.shape[1]] = each
    return Panel(values, lengths)


def _trimmed(window: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a window without the padding at the end."""
    there = ~np.isnan(window).all(axis=0)
    return np.asarray(window[:, : np.flatnonzero(there)[-1] + 1])


def fit_base(
    sets: Sequence[LabelledSet],
    card: Mapping[str, Any],
    random_state: int,
    max_features: int = MAX_FEATURES,
) -> VQTextClassifier:
    """Fit a base model; see `wearables.build_base`."""
    if not sets:
        raise ValueError("sets is empty. Pass at least one LabelledSet.")
    pool = Pool.of(sets, random_state)
    texts = {label: text for each in sets for label, text in (each.texts or {}).items()}
    whole = pool.take(~pool.lacks_rotation)
    if not len(whole.labels):
        raise ValueError("None of the data sets has a gyroscope.")
    base = fit_pool(whole, texts, random_state, max_features)
    base.adapter_ = SensorAdapter(
        fit_pool(
            pool.restrict_to_acceleration(), texts, random_state, max_features // 2
        )
    )
    base.card_ = {
        **card,
        "sets": [_describe(each, pool, i) for i, each in enumerate(sets)],
        "classes": base.classes_.tolist(),
    }
    return base


def fit_pool(
    pool: Pool, texts: Mapping[str, Any], random_state: int, max_features: int
) -> VQTextClassifier:
    """Fit a classifier to pooled windows.

    Features are selected by their variance and not by class, because most classes occur
    in a single data set: features that separate such classes also separate data sets.
    """
    fitted = fit_features(pool.panel, random_state, max_features)
    parameters = fitted.get_params(deep=False) | {"text": dict(texts) or "auto"}
    model = VQTextClassifier(**parameters)
    model.classes_, classes = np.unique(pool.labels, return_inverse=True)
    extractor = fitted.features_
    features, statistics = _read(extractor, pool.panel, classes, model.classes_)
    model.restore(
        fitted.input_, fitted.channel_names_, fitted.channel_groups_, extractor, None,
        statistics, None,
    )  # fmt: skip
    head, space = fit_heads(features.copy(), classes, pool, random_state)
    model.head_, model.feature_scaler_ = head, head.scaler
    labels = [str(label) for label in model.classes_]
    known = ZeroShotRecognizer(space, labels, dict(texts), tuple(model.prompt_forms))
    encoder = as_text_encoder(model.text_encoder, model.verbose)
    views = known.embed_texts(known.read(labels), encoder)
    scorer = BridgeScorer(find_threshold(features, pool, views, random_state))
    model.zero_shot_ = replace(known, scorer=scorer)
    model.adapter_, model.card_ = SensorAdapter(), {}
    return model


def fit_features(
    panel: Panel, random_state: int, max_features: int
) -> VQTextTransformer:
    """Fit the feature extractor to pooled windows."""
    return VQTextTransformer(
        channel_names=CHANNELS[: panel.n_channels],
        gravity="replace",
        sampling_rate=SAMPLING_RATE,
        max_features=max_features,
        random_state=random_state,
    ).fit(panel)


def _read(
    extractor: FeatureExtractor,
    panel: Panel,
    classes: NDArray[np.int64],
    labels: NDArray[Any],
) -> tuple[NDArray[np.float32], CodeStatistics]:
    """Return the selected features of windows, and code statistics by class."""
    layout = extractor.layout
    features, shares = [], []
    moments = FeatureMoments(layout.n_features, len(labels), 1)
    for part, every in extractor.batches(panel, Execution(), "features"):
        own = classes[part]
        moments.add(every, own, np.zeros_like(own))
        usage = extractor.tokenizer.usage(torch.from_numpy(every)).flatten(3)
        shares.append(share_of_codes(usage.double()).numpy())
        features.append(every[:, extractor.selected])
    moments.flush()
    statistics = CodeStatistics.fit(
        moments, layout, labels, np.concatenate(shares), classes
    )
    return np.concatenate(features), statistics


def fit_heads(
    features: NDArray[np.float32],
    classes: NDArray[np.int64],
    pool: Pool,
    random_state: int,
) -> tuple[RidgeHead, ZeroShotSpace]:
    """Fit a classifier and an embedding space to features.

    Parameters
    ----------
    features : ndarray of shape (n_cases, n_features)
        Features of the windows. They are standardised in place.
    classes : ndarray of shape (n_cases,)
        Index of the class of each window.
    pool : Pool
        Windows with their data sets and weights.
    random_state : int
        Seed for drawing the windows from which the embedding space is computed.
    """
    scaler = _centre(features, pool)
    table = FeatureTable(features, classes, pool.weight / pool.weight.mean())
    head = RidgeHead.fit(table, scaler, int(classes.max()) + 1, None)
    order = check_random_state(random_state).permutation(len(classes))
    most = _MAX_SPACE_WINDOWS // (int(classes.max()) + 1)
    chosen = np.concatenate(
        [order[classes[order] == label][:most] for label in np.unique(classes)]
    )
    space = ZeroShotSpace()
    space.basis, space.centre, space.centres = whiten(
        features[chosen].astype(np.float64), classes[chosen]
    )
    # Not used by base models, which do not distinguish between seen and unseen classes.
    space.held_out, space.spreads = [], np.ones(len(space.centres))
    return head, space


def find_threshold(
    features: NDArray[np.float32],
    pool: Pool,
    views: NDArray[np.float64],
    random_state: int,
) -> float:
    """Return the novelty that only 5 % of the windows of known classes exceed.

    The people in each data set are divided into folds, each of which is held out in
    turn. Half of the classes in a data set, drawn at random, are the candidates.
    `views`, of shape (n_views, n_classes, text_dim), contains embeddings of the texts
    about all classes.
    """
    generator = check_random_state(random_state)
    _, classes = np.unique(pool.labels, return_inverse=True)
    found = []
    for fold in np.unique(pool.folds):
        inside = pool.folds != fold
        known, own = np.unique(classes[inside], return_inverse=True)
        if len(known) < 2:
            continue
        head, space = fit_heads(features[inside], own, pool.take(inside), random_state)
        cases, labels, sets = (
            each[pool.folds == fold] for each in (features, classes, pool.sets)
        )
        points = head.scaler(cases) @ space.basis - space.centre
        proba = head.probabilities(cases)
        for i in np.unique(pool.sets):
            names = np.intersect1d(classes[pool.sets == i], known)
            for _ in range(_N_DRAWS):
                drawn = generator.permutation(names)[: max(1, len(names) // 2)]
                rows = (sets == i) & np.isin(labels, drawn)
                series = EmbeddedSeries(points[rows], proba[rows])
                texts = views[:, [*known, *drawn]]
                if rows.any():
                    found.append(novelty(series, space.centres, texts))
    if not found:
        return np.inf
    return float(np.quantile(np.concatenate(found), 1 - _SHARE_UNKNOWN))


def _centre(features: NDArray[np.float32], pool: Pool) -> FeatureScaler:
    """Standardise features separately for each data set, in place.

    Returns
    -------
    FeatureScaler
        Scaler for new windows, with the mean over the data sets and the standard
        deviation within the data sets.
    """
    means, variances = [], []
    for i in np.unique(pool.sets):
        own = pool.sets == i
        mean = np.average(features[own], axis=0, weights=pool.weight[own])
        square = np.square(features[own] - mean)
        variances.append(np.average(square, axis=0, weights=pool.weight[own]))
        means.append(mean)
    scale = np.sqrt(np.mean(variances, axis=0))
    scale[scale < 1e-6] = 1.0
    scale, one = scale.astype(np.float32), np.ones(len(scale), np.float32)
    for i, mean in zip(np.unique(pool.sets), means, strict=True):
        own = pool.sets == i
        features[own] = FeatureScaler(mean.astype(np.float32), scale, one)(
            features[own]
        )
    return FeatureScaler(np.mean(means, axis=0).astype(np.float32), scale, one)


def _describe(each: LabelledSet, pool: Pool, i: int) -> dict[str, Any]:
    """Return the entries of the model card about a data set."""
    own = pool.labels[pool.sets == i]
    found = {"name": each.name, **(each.about or {}), "windows": len(own)}
    if each.subjects is not None:
        found["people"] = len(np.unique(np.asarray(each.subjects)))
    return {**found, "labels": np.unique(own).tolist()}
