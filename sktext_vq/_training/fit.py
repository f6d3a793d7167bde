"""Fitting of codes, network and selected features."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from sktext_vq._features.augmentation import add_copies
from sktext_vq._features.extractor import FeatureExtractor
from sktext_vq._features.selection import (
    Selection,
    assign_folds,
    count_wanted,
    select_features,
)
from sktext_vq._features.table import (
    ColumnConsumer,
    FeatureReader,
    MomentConsumer,
    UsageConsumer,
)
from sktext_vq._heads.ridge import FeatureTable
from sktext_vq._training.data import TrainingData, TrainingFeatures, TrainingSplit
from sktext_vq._training.network import Network, NetworkTrainer, max_training_cases
from sktext_vq._training.settings import FitSettings
from sktext_vq._training.texts import (
    ChosenTexts,
    choose_texts,
    encode_training_texts,
)
from sktext_vq.panel import spread_cases

# Maximum numbers of cases for feature selection, and in folds.
_MAX_SELECTION_CASES = 2048
_MAX_FOLD_CASES = 1024


@dataclass(frozen=True)
class FeatureFit:
    """Result of a fit, except for the head.

    Parameters
    ----------
    extractor : FeatureExtractor
        Extractor of the selected features.
    network : Network or None
        Trained network.
    selection : Selection
        Selected features.
    sample : MomentConsumer
        Statistics of the features of the cases used for feature selection.
    table : FeatureTable or None
        Selected features of all training series and their copies, if requested.
    folds : iterable of (FeatureTable, FeatureTable)
        Training and held-out cases of each fold, with features selected without the
        held-out cases. Can be iterated once only.
    texts : ChosenTexts or None
        Texts about the cases of `sample`.
    text_features : ndarray of shape (n_cases, n_selected), float32, optional
        Selected features of the cases of `sample`, if there are texts and no `table`.
    """

    extractor: FeatureExtractor
    network: Network | None
    selection: Selection
    sample: MomentConsumer
    table: FeatureTable | None
    folds: Iterable[tuple[FeatureTable, FeatureTable]]
    texts: ChosenTexts | None
    text_features: NDArray[np.float32] | None


def fit_features(
    data: TrainingData,
    settings: FitSettings,
    *,
    n_folds: int = 1,
) -> FeatureFit:
    """Learn codes, train a network, and select features.

    Features are computed once for feature selection, and a second time for the table of
    selected features if all features do not fit in memory.

    Parameters
    ----------
    data : TrainingData
        Validated arguments of `fit`.
    settings : FitSettings
        Checked parameters.
    n_folds : int, default=1
        Number of folds to hold out. If above 1, selected features of all cases and of
        the folds are returned.

    Returns
    -------
    FeatureFit
    """
    random_state = check_random_state(settings.random_state)
    seed = int(random_state.randint(np.iinfo(np.int32).max))
    generator = torch.Generator().manual_seed(seed)
    is_supervised, start = data.is_supervised, data.warm_start
    extractor = FeatureExtractor.fit(
        data.panel,
        settings.n_codes,
        data.channel_names,
        data.sensors,
        is_named=data.known_names is not None,
        replace_axes=settings.replace_axes,
        # Matches are useful in addition to histograms, but not instead of them.
        with_matches=lambda layout: (
            sum(count_wanted(layout, is_supervised)) <= settings.max_features
        ),
        random_state=random_state,
        generator=generator,
        codebook=None if start is None else start.tokenizer.codebook,
    )
    trainer = _make_trainer(data, settings, extractor, random_state, generator)
    network = None
    if trainer is not None and settings.objective.learns_features:
        reader = FeatureReader(extractor, trainer.data.panel, settings.execution)
        network = trainer.train(_read_training_features(trainer, reader, settings))
        trainer = None
    fitted = data
    if settings.augment is not None:
        sensors = list(data.sensors.values())
        panel = add_copies(data.panel, sensors, settings.augment, random_state)
        fitted = data.repeat(panel)
    n_repeats = fitted.panel.n_cases // data.panel.n_cases
    reader = FeatureReader(extractor, fitted.panel, settings.execution)
    sample = _draw_sample(fitted, extractor, n_folds, random_state)
    texts = choose_texts(
        fitted.take(sample.cases),
        settings.text,
        settings.prompt_forms,
        settings.sampling_rate,
    )
    training = None
    if trainer is not None:
        rows = trainer.split.cases * n_repeats
        training = _TrainingPass(trainer, rows, settings.max_features)
    reader.feed("features", sample, *([] if training is None else [training.sample]))
    has_folds = n_folds > 1
    selection = select_features(
        sample.moments,
        extractor.layout,
        settings.max_features,
        is_supervised=is_supervised,
        targets=sample.target_moments,
        n_folds=int(sample.folds.max()) + 1 if has_folds else 0,
    )
    consumers: list[Any] = []
    columns = folds = text_columns = None
    if has_folds:
        columns = ColumnConsumer(np.arange(fitted.panel.n_cases), selection.features)
        folds = _FoldPass(sample, selection)
        consumers += [columns, folds.columns]
    elif texts is not None:
        text_columns = ColumnConsumer(sample.cases, selection.features)
        consumers.append(text_columns)
    if training is not None:
        consumers += training.select()
    if consumers:
        reader.feed("tokens", *consumers)
    del reader
    if trainer is not None and training is not None:
        network = trainer.train(training.features())
    table = None
    if columns is not None:
        assert fitted.classes is not None
        table = FeatureTable(columns.values, fitted.classes, fitted.sample_weight)
    return FeatureFit(
        extractor.select(selection.features),
        network,
        selection,
        sample,
        table,
        () if folds is None else folds.tables(fitted),
        texts,
        None if text_columns is None else text_columns.values,
    )


def _draw_sample(
    data: TrainingData,
    extractor: FeatureExtractor,
    n_folds: int,
    random_state: np.random.RandomState,
) -> MomentConsumer:
    """Draw cases for feature selection, and assign them to folds."""
    drawn = random_state.permutation(data.panel.n_cases)[:_MAX_SELECTION_CASES]
    cases = np.sort(drawn)
    classes = np.zeros(len(cases), np.int64)
    if data.classes is not None:
        classes = data.classes[cases]
    groups, weight, targets = (
        None if each is None else each[cases]
        for each in (data.groups, data.sample_weight, data.targets)
    )
    folds = assign_folds(classes, n_folds, groups)
    return MomentConsumer(extractor, cases, classes, folds, weight, targets)


def _make_trainer(
    data: TrainingData,
    settings: FitSettings,
    extractor: FeatureExtractor,
    random_state: np.random.RandomState,
    generator: torch.Generator,
) -> NetworkTrainer | None:
    """Draw training cases and encode texts; return None if no training is needed."""
    if settings.max_epochs == 0:
        return None
    n_features = min(settings.max_features, extractor.layout.n_features)
    split = TrainingSplit.draw(
        data.panel.n_cases,
        data.classes,
        max_training_cases(n_features, settings.objective),
        _MAX_SELECTION_CASES,
        random_state,
    )
    if len(split.cases) < data.panel.n_cases:
        data = data.take(split.cases)
    chosen = choose_texts(
        data, settings.text, settings.prompt_forms, settings.sampling_rate
    )
    texts = encode_training_texts(
        chosen, data.panel.n_cases, settings.text_encoder, settings.text
    )
    trainer = NetworkTrainer(
        data,
        split,
        extractor,
        settings.objective,
        texts,
        settings.text_encoder,
        settings.max_epochs,
        settings.execution,
        generator,
    )
    return trainer if trainer.losses else None


class _TrainingPass:
    """Features for the network, collected in passes over all features.

    Parameters
    ----------
    trainer : NetworkTrainer
        Trainer with the training cases.
    rows : ndarray of shape (n_cases,)
        Position of each case in the panel whose features are read.
    max_features : int
        Maximum number of features to select.
    """

    def __init__(
        self, trainer: NetworkTrainer, rows: NDArray[np.int64], max_features: int
    ) -> None:
        self._trainer, self._max_features = trainer, max_features
        split, data = trainer.split, trainer.data
        cases = split.selection_cases
        classes = np.zeros(len(cases), np.int64)
        if data.classes is not None:
            classes = data.classes[cases]
        self._rows = rows
        weight, targets = (
            None if each is None else each[cases]
            for each in (data.sample_weight, data.targets)
        )
        # Features for the network are selected without validation labels.
        self.sample = MomentConsumer(
            trainer.extractor,
            self._rows[cases],
            classes,
            np.zeros_like(classes),
            weight,
            targets,
        )

    def select(self) -> list[Any]:
        """Select features, and return the consumers of the second pass."""
        extractor = self._trainer.extractor
        selection = select_features(
            self.sample.moments,
            extractor.layout,
            self._max_features,
            is_supervised=self._trainer.data.is_supervised,
            targets=self.sample.target_moments,
        )
        self._selected = selection.features
        learns = self._trainer.objective.learns_features
        # If codes are learned, features are computed again in every step.
        columns = self._selected[:0] if learns else self._selected
        self._columns = ColumnConsumer(self._rows, columns)
        self._usage = UsageConsumer(extractor, self._rows)
        return [self._columns, self._usage]

    def features(self) -> TrainingFeatures:
        """Return the features of all training cases, after the second pass."""
        learns = self._trainer.objective.learns_features
        return TrainingFeatures(
            self._selected,
            self.sample.moments,
            None if learns else torch.from_numpy(self._columns.values),
            self._usage.values,
        )


def _read_training_features(
    trainer: NetworkTrainer, reader: FeatureReader, settings: FitSettings
) -> TrainingFeatures:
    """Compute features of training cases if training changes features."""
    rows = np.arange(reader.panel.n_cases)
    found = _TrainingPass(trainer, rows, settings.max_features)
    reader.feed("features", found.sample)
    reader.feed("tokens", *found.select())
    return found.features()


class _FoldPass:
    """Features of the cases used to choose penalty and temperature.

    Parameters
    ----------
    sample : MomentConsumer
        Cases with their folds.
    selection : Selection
        Features selected without each fold.
    """

    def __init__(self, sample: MomentConsumer, selection: Selection) -> None:
        cases, folds = sample.cases, sample.folds
        if len(cases) > _MAX_FOLD_CASES:
            spread = spread_cases(len(cases), _MAX_FOLD_CASES)
            cases, folds = cases[spread], folds[spread]
        self._cases, self._folds = cases, folds
        self._selected = selection.without_fold
        every = np.unique(np.concatenate(selection.without_fold))
        self.columns = ColumnConsumer(cases, every)

    def tables(self, data: TrainingData) -> Iterator[tuple[FeatureTable, FeatureTable]]:
        """Yield the training and the held-out cases of each fold."""
        assert data.classes is not None
        classes = data.classes[self._cases]
        weight = None
        if data.sample_weight is not None:
            weight = data.sample_weight[self._cases]
        for fold, selected in enumerate(self._selected):
            columns = np.searchsorted(self.columns.columns, selected)
            is_out = self._folds == fold
            train, test = (
                FeatureTable(
                    self.columns.values[rows][:, columns],
                    classes[rows],
                    None if weight is None else weight[rows],
                )
                for rows in (~is_out, is_out)
            )
            yield train, test
