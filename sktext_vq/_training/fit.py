"""Fitting of codes, features and text alignments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from sktext_vq._features.augmentation import add_copies
from sktext_vq._features.extractor import FeatureExtractor
from sktext_vq._features.selection import (
    FeatureScaler,
    Selection,
    assign_folds,
    count_wanted,
    select_features,
    select_forward,
)
from sktext_vq._features.table import (
    ColumnConsumer,
    FeatureReader,
    MomentConsumer,
    ShareConsumer,
)
from sktext_vq._heads.align_texts import ChosenTexts, align_texts
from sktext_vq._heads.alignment import TextAlignment
from sktext_vq._heads.ridge import (
    FeatureTable,
    HeldOutScores,
    RidgeHead,
    cross_validate,
)
from sktext_vq._training.data import TrainingData
from sktext_vq._training.network import ClosedForm, Network
from sktext_vq._training.network_trainer import NetworkTrainer
from sktext_vq._training.settings import FitSettings
from sktext_vq._training.texts import choose_texts
from sktext_vq.panel import spread_cases

# Maximum numbers of cases for feature selection and for folds.
_MAX_SELECTION_CASES = 2048
_MAX_FOLD_CASES = 1024
# If codes are learned, windows are matched in every step, so fewer cases are used.
_MAX_LEARNED_CASES = 2048
# Classifiers with few features select them one after another, among more candidates.
_FEW_FEATURES, _CANDIDATES = 30, 10_000
# Minimum number of groups for a decision about the gravity frame, and minimum gain in
# accuracy without it. Otherwise, the decision would depend on chance.
_MIN_GROUPS, _MIN_GAIN = 8, 0.01


@dataclass(frozen=True)
class FeatureFit:
    """Fitted features from which heads and text alignments are computed.

    Parameters
    ----------
    data : TrainingData
        Training data, including augmented copies of series.
    settings : FitSettings
        Validated parameters.
    extractor : FeatureExtractor
        Extractor of the selected features.
    network : Network or None
        Network that was trained together with codes or frequency gains.
    selection : Selection
        Selected features.
    sample : MomentConsumer
        Cases from which features were selected, and statistics of their features.
    table : FeatureTable or None
        Selected features of all training series and their copies. None unless a
        classifier is fitted.
    held_out : HeldOutScores or None
        Scores of held-out cases. None unless a classifier is fitted.
    texts : ChosenTexts or None
        Texts about the cases of `sample`.
    sample_values : ndarray of shape (n_cases, n_selected), float32, optional
        Selected features of the cases of `sample`, if there is no `table`.
    shares : ndarray of shape (n_cases, n_codes), optional
        Share of each code in all training series, if a network is trained.
    generator : torch.Generator
        Random generator.
    """

    data: TrainingData
    settings: FitSettings
    extractor: FeatureExtractor
    network: Network | None
    selection: Selection
    sample: MomentConsumer
    table: FeatureTable | None
    held_out: HeldOutScores | None
    texts: ChosenTexts | None
    sample_values: NDArray[np.float32] | None
    shares: NDArray[np.float64] | None
    generator: torch.Generator

    def align(
        self,
        values: NDArray[np.float32],
        head: RidgeHead | None = None,
        cases: NDArray[np.int64] | None = None,
        *,
        encoder: Any = None,
        with_cases: bool = True,
    ) -> TextAlignment | None:
        """Fit the alignment between cases and texts.

        Parameters
        ----------
        values : ndarray of shape (n_cases, n_selected), float32
            Scaled features of the cases of `sample`, or of `table` if there is one.
        head : RidgeHead, optional
            Classifier that was fitted to the same cases.
        cases : ndarray of int, optional
            Rows of `values` to use. By default, all rows are used.
        encoder : TextEncoder, optional
            Text encoder. By default, the encoder of the settings.
        with_cases : bool, default=True
            Whether texts about single cases are used.
        """
        sample, texts = self.sample, self.texts
        rows = sample.cases if self.table is not None else np.arange(len(values))
        kept = np.arange(len(rows))
        if cases is not None:
            kept = np.flatnonzero(np.isin(rows, cases))
        if texts is not None:
            texts = texts.take(kept) if with_cases else replace(texts, case_texts=None)
        return align_texts(
            values[rows[kept]],
            sample.shares[kept],
            texts,
            None if self.data.classes is None else sample.classes[kept],
            self.settings.text_encoder if encoder is None else encoder,
            None if head is None else head.log_odds,
        )

    def train(
        self, scaler: FeatureScaler, values: NDArray[np.float32], closed: ClosedForm
    ) -> tuple[ClosedForm, Network | None]:
        """Train a model that is initialised in closed form, if training is enabled.

        `values` are scaled features as in `align`, and `closed` was fitted to all
        cases.
        """
        settings, data, texts = self.settings, self.data, self.texts
        if not settings.max_epochs or settings.objective.learns_features:
            return closed, self.network
        shares: Any = self.sample.shares
        if self.table is None:
            data = data.take(self.sample.cases)
        elif len(self.sample.cases) < len(values):
            texts = _choose_texts(data, settings)
            shares = self.shares

        def solve(cases: NDArray[np.int64], encoder: Any) -> ClosedForm:
            head = closed.head
            if head is not None and self.table is not None:
                head = head.refit(self.table.take(cases), len(cases) / len(values))
            return ClosedForm(head, self.align(values, head, cases, encoder=encoder))

        trainer = NetworkTrainer(
            data, self.extractor, scaler, values, shares, texts, settings,
            self.generator,
        )  # fmt: skip
        trained, network = trainer.train(closed, solve)
        if trained.head is not closed.head and trained.alignment is not None:
            # Alignment with class texts uses the logits of the trained classifier.
            again = self.align(values, trained.head, with_cases=False)
            alignment = replace(
                trained.alignment, classes=None if again is None else again.classes
            )
            trained = replace(trained, alignment=alignment)
        return trained, network


def fit_features(
    data: TrainingData,
    settings: FitSettings,
    *,
    n_folds: int = 1,
) -> FeatureFit:
    """Learn codes and select features.

    Features are computed once for feature selection. If they do not fit into memory,
    the selected features are computed a second time. If `n_folds` is greater than 1,
    the result contains the selected features of all cases and of the folds.
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
        # Matches are used only in addition to all histograms.
        with_matches=lambda layout: (
            sum(count_wanted(layout, is_supervised)) <= _n_candidates(settings, n_folds)
        ),
        random_state=random_state,
        generator=generator,
        codebook=None if start is None else start.codebook,
    )
    network = None
    if settings.max_epochs and settings.objective.learns_features:
        network = _learn_features(data, settings, extractor, random_state, generator)
    if settings.augment is not None:
        sensors = list(data.sensors.values())
        panel = add_copies(data.panel, sensors, settings.augment, random_state)
        data = data.repeat(panel)
    return _read_features(
        data, settings, extractor, network, n_folds, random_state, generator
    )


def _learn_features(
    data: TrainingData,
    settings: FitSettings,
    extractor: FeatureExtractor,
    random_state: np.random.RandomState,
    generator: torch.Generator,
) -> Network | None:
    """Learn codes or gains of the extractor from some cases."""
    drawn = random_state.permutation(data.panel.n_cases)[:_MAX_LEARNED_CASES]
    data = data.take(np.sort(drawn))
    fitted = _read_features(data, settings, extractor, None, 1, random_state, generator)
    values, classes, head = fitted.sample_values, data.classes, None
    assert values is not None
    scaler = FeatureScaler.fit(values, fitted.selection.weight)
    scaler.scale_in_place(values)
    if classes is not None and data.labels is not None:
        table = FeatureTable(values, classes, data.sample_weight)
        n_classes = len(data.labels)
        head = RidgeHead.fit(table, scaler, n_classes, None, data.class_weight)
    trainer = NetworkTrainer(
        data, fitted.extractor, scaler, values, fitted.sample.shares, fitted.texts,
        settings, generator,
    )  # fmt: skip
    return trainer.learn_features(ClosedForm(head, fitted.align(values, head)))


def _read_features(
    data: TrainingData,
    settings: FitSettings,
    extractor: FeatureExtractor,
    network: Network | None,
    n_folds: int,
    random_state: np.random.RandomState,
    generator: torch.Generator,
) -> FeatureFit:
    """Select features and collect their values."""
    reader = FeatureReader(extractor, data.panel, settings.execution)
    sample = _draw_sample(data, extractor, n_folds, random_state)
    is_whole = len(sample.cases) == data.panel.n_cases
    texts = _choose_texts(data if is_whole else data.take(sample.cases), settings)
    reader.feed("features", sample)
    has_folds = n_folds > 1
    select = partial(
        select_features,
        sample.moments,
        extractor.layout,
        _n_candidates(settings, n_folds),
        is_supervised=data.is_supervised,
        targets=sample.target_moments,
        n_folds=int(sample.folds.max()) + 1 if has_folds else 0,
    )
    selection = select()
    consumers: list[Any] = []
    columns = folds = held_out = sample_columns = shares = None
    most = settings.max_features
    is_few = most < len(selection.features) and most <= _FEW_FEATURES
    n_own = extractor.n_channels_without_frame
    groups = () if data.groups is None else np.unique(data.groups[sample.cases])
    if has_folds and n_own and len(groups) >= _MIN_GROUPS:
        selection, held_out = _choose_channels(
            selection, select(n_channels=n_own), reader, sample, data
        )
    if has_folds:
        columns = ColumnConsumer(np.arange(data.panel.n_cases), selection.features)
        consumers.append(columns)
        if is_few or held_out is None:
            folds = _Folds(sample, selection, most if is_few else None)
            consumers.append(folds.columns)
        if settings.max_epochs and not is_whole:
            shares = ShareConsumer(extractor, columns.cases)
            consumers.append(shares)
    elif texts is not None or settings.max_epochs:
        sample_columns = ColumnConsumer(sample.cases, selection.features)
        consumers.append(sample_columns)
    if consumers:
        reader.feed("tokens", *consumers)
    del reader
    table = None
    if columns is not None:
        assert data.classes is not None
        table = FeatureTable(columns.values, data.classes, data.sample_weight)
        if is_few:
            chosen = _choose_few(table.take(sample.cases), most)
            selection = Selection(selection.features[chosen], (most, 0, 0))
            table = replace(table, values=table.values[:, chosen])
    if folds is not None:
        held_out = folds.cross_validate(data, selection.weight)
    return FeatureFit(
        data,
        settings,
        extractor.select(selection.features),
        network,
        selection,
        sample,
        table,
        held_out,
        texts,
        None if sample_columns is None else sample_columns.values,
        None if shares is None else shares.values,
        generator,
    )


def _choose_channels(
    selection: Selection,
    without_frame: Selection,
    reader: FeatureReader,
    sample: MomentConsumer,
    data: TrainingData,
) -> tuple[Selection, HeldOutScores | None]:
    """Choose features with or without the channels that a gravity frame adds.

    The added channels are omitted if this increases the accuracy on held-out groups by
    more than `_MIN_GAIN` and more than one standard error.

    Returns
    -------
    selection : Selection
        The chosen features.
    held_out : HeldOutScores or None
        Scores of held-out cases with these features. None if each class has a single
        group.
    """
    every, own = _Folds(sample, selection), _Folds(sample, without_frame)
    reader.feed("channels", every.columns, own.columns)
    with_all = every.cross_validate(data, selection.weight)
    with_own = own.cross_validate(data, without_frame.weight)
    if with_all is None or with_own is None:
        return selection, None
    gain = with_own.is_correct.astype(float) - with_all.is_correct
    if gain.mean() > max(_MIN_GAIN, gain.std() / np.sqrt(len(gain))):
        return without_frame, with_own
    return selection, with_all


def _n_candidates(settings: FitSettings, n_folds: int) -> int:
    """Return the maximum number of features before those of few are chosen."""
    is_few = n_folds > 1 and settings.max_features <= _FEW_FEATURES
    return _CANDIDATES if is_few else settings.max_features


def _choose_few(table: FeatureTable, n_chosen: int) -> NDArray[np.int64]:
    """Return the columns of the features that together separate the classes best."""
    targets = table.targets(int(table.classes.max()) + 1)
    return select_forward(table.values, targets, n_chosen, table.weight)


def _choose_texts(data: TrainingData, settings: FitSettings) -> ChosenTexts | None:
    return choose_texts(
        data, settings.text, settings.prompt_forms, settings.sampling_rate
    )


def _draw_sample(
    data: TrainingData,
    extractor: FeatureExtractor,
    n_folds: int,
    random_state: np.random.RandomState,
) -> MomentConsumer:
    """Sample cases for feature selection and assign them to folds."""
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


class _Folds:
    """Features of the cases used to choose the penalty and the temperature.

    Of all selected features, `n_chosen` are chosen by forward selection in each fold;
    by default, all are used.
    """

    def __init__(
        self, sample: MomentConsumer, selection: Selection, n_chosen: int | None = None
    ) -> None:
        self._n_chosen = n_chosen
        cases, folds = sample.cases, sample.folds
        if len(cases) > _MAX_FOLD_CASES:
            spread = spread_cases(len(cases), _MAX_FOLD_CASES)
            cases, folds = cases[spread], folds[spread]
        self._cases, self._folds = cases, folds
        self._selected = selection.without_fold
        every = np.unique(np.concatenate(selection.without_fold))
        self.columns = ColumnConsumer(cases, every)

    def cross_validate(
        self, data: TrainingData, weight: NDArray[np.float32]
    ) -> HeldOutScores | None:
        """Return the scores of held-out cases, with the given weights of features."""
        assert data.labels is not None
        tables, n_classes = self._tables(data), len(data.labels)
        return cross_validate(tables, n_classes, weight, data.class_weight)

    def _tables(
        self, data: TrainingData
    ) -> Iterator[tuple[FeatureTable, FeatureTable]]:
        """Yield the training and the held-out cases of each fold."""
        assert data.classes is not None
        classes, weight = data.classes[self._cases], data.sample_weight
        if weight is not None:
            weight = weight[self._cases]
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
            if self._n_chosen is not None:
                few = _choose_few(train, self._n_chosen)
                train = replace(train, values=train.values[:, few])
                test = replace(test, values=test.values[:, few])
            yield train, test
