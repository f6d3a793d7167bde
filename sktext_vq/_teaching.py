"""Training of an estimator's network: what it is made of, and what it learns from."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from torch.nn.utils.rnn import pad_sequence

from sktext_vq._checkpoints import Checkpoint
from sktext_vq._examples import Examples
from sktext_vq._guidance import Guidance, make_guidance, prompts_of_classes
from sktext_vq._learned import Learned
from sktext_vq._scaling import Scaler
from sktext_vq._selection import Selection
from sktext_vq._writing import Writer
from sktext_vq.nn.attributes import AttributeDecoder
from sktext_vq.nn.frequency import FrequencyGains
from sktext_vq.nn.losses import NEED_CLASSES, NEED_TEXT, WEIGHTS
from sktext_vq.nn.model import DualBranchModel, pool_groups
from sktext_vq.nn.segments import cut_segments
from sktext_vq.nn.tokens import ShapeTokenizer
from sktext_vq.panel import Panel, spread_cases
from sktext_vq.text import SeriesCaptioner, SeriesVerbalizer, TextEncoder, are_words
from sktext_vq.training import observe, single_thread, split_cases, train

# Features of the training cases are kept in memory: half a gigabyte of them at most.
_MAX_TRAINING_VALUES = 2**27
# Where codes are learned, windows are matched anew in every step: few cases do.
_MAX_LEARNED_CASES = 2048
# Cases that are cut into segments, or written as digits, to learn from.
_MAX_SEGMENTED_CASES, _MAX_SEGMENTED_VALUES = 1024, 2**21
_MAX_WRITTEN_CASES = 1024
# Cases that usage of the codebook is measured on.
_MAX_OBSERVED_CASES = 256


@dataclass(frozen=True)
class Lesson:
    """What `fit` was given.

    Parameters
    ----------
    panel : Panel
        Training series.
    labels : ndarray of shape (n_classes,), optional
        Classes in order.
    classes : ndarray of shape (n_cases,), optional
        Index of the class of every case.
    class_weight : ndarray of shape (n_classes,), optional
        Weights of classes in the losses.
    sample_weight : ndarray of shape (n_cases,), optional
        Weights of cases, above 0.
    case_texts : list of str, optional
        One text per case.
    init : Learned, optional
        What training starts with.
    checkpoint : Checkpoint, optional
        Where its state is written to.
    generator : torch.Generator
        For everything that is drawn in training.
    """

    panel: Panel
    labels: NDArray[Any] | None
    classes: NDArray[np.int64] | None
    class_weight: NDArray[np.float64] | None
    sample_weight: NDArray[np.float64] | None
    case_texts: list[str] | None
    init: Learned | None
    checkpoint: Checkpoint | None
    generator: torch.Generator

    def take(self, cases: NDArray[np.int64]) -> Lesson:
        """Return what there is about some cases."""
        classes, texts, weight = self.classes, self.case_texts, self.sample_weight
        return dataclasses.replace(
            self,
            panel=self.panel.take(cases),
            classes=None if classes is None else classes[cases],
            sample_weight=None if weight is None else weight[cases],
            case_texts=None if texts is None else [texts[i] for i in cases],
        )


@dataclass(frozen=True)
class Material:
    """What was made of it.

    Parameters
    ----------
    guidance : Guidance, optional
        Texts, where there are some.
    selection : Selection
        Features, chosen on the cases to train on.
    usage : Tensor of shape (n_cases, n_groups, n_heads, n_levels, codes_per_head)
        How often series use the codes.
    parts : set of str
        Losses that can be learned from.
    train_cases, valid_cases : ndarray of int
        Cases to train on, and those that say when to stop.
    """

    guidance: Guidance | None
    selection: Selection
    usage: torch.Tensor
    parts: set[str]
    train_cases: NDArray[np.int64]
    valid_cases: NDArray[np.int64]

    def some(self, most: int) -> NDArray[np.int64]:
        """Return about so many cases of both parts, evenly spread, ascending."""
        share = min(1.0, most / (len(self.train_cases) + len(self.valid_cases)))
        chosen = []
        for cases in (self.train_cases, self.valid_cases):
            count = int(np.ceil(share * len(cases)))
            chosen.append(cases[spread_cases(len(cases), count)])
        return np.sort(np.concatenate(chosen))


class TeachingMixin:
    """Training of what the closed form has begun."""

    attributes_: AttributeDecoder | None
    codebook_use_: dict[str, float]
    device: str
    loss_weights: Any
    max_epochs: int
    max_features: int
    model_: DualBranchModel | None
    prompt_forms: Any
    sampling_rate: Any
    scaler_: Scaler
    text: Any
    text_encoder: Any
    tokenizer_: ShapeTokenizer
    verbalizer: SeriesVerbalizer | None
    verbose: int
    _channels: list[str]
    _writer_: Writer | None

    def _encoder(self) -> TextEncoder:
        raise NotImplementedError

    def _flat_features(
        self, panel: Panel, task: str
    ) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        raise NotImplementedError

    def _known_names(self) -> Any:
        raise NotImplementedError

    def _select(
        self,
        panel: Panel,
        classes: NDArray[np.int64] | None,
        cases: NDArray[np.int64],
        random_state: np.random.RandomState,
        *,
        sample_weight: NDArray[np.float64] | None = None,
    ) -> Selection:
        raise NotImplementedError

    def _train(self, lesson: Lesson, random_state: np.random.RandomState) -> None:
        """Gather what training needs of as many cases as fit in memory, and train."""
        weights, learned = self._loss_weights(), self._learns_features
        n_features = min(self.max_features, self.tokenizer_.n_features)
        few = max(1, _MAX_TRAINING_VALUES // n_features)
        if learned:
            few = min(few, _MAX_LEARNED_CASES)
        n_cases = lesson.panel.n_cases
        if n_cases > few:
            lesson = lesson.take(np.sort(random_state.permutation(n_cases)[:few]))
        panel, classes, weight = lesson.panel, lesson.classes, lesson.sample_weight
        with single_thread():
            guidance = self._guidance(lesson)
        train_cases, valid_cases = split_cases(panel.n_cases, classes, random_state)
        # What the heads see is chosen without the labels of held-out cases.
        selection = self._select(
            panel, classes, train_cases, random_state, sample_weight=weight
        )
        kept = selection.kept
        # Where codes are learned, features are computed anew in every step.
        picked, usage = self._gather(panel, kept[:0] if learned else kept)
        parts = {name for name, weight in weights.items() if weight > 0}
        if guidance is None:
            parts -= NEED_TEXT
        if lesson.labels is None:
            parts -= NEED_CLASSES
        if not learned:
            parts -= {"shape", "usage"}
        parts -= {"codebook"}  # not a loss, but how far a step moves the codes
        if not parts:
            return
        material = Material(guidance, selection, usage, parts, train_cases, valid_cases)
        with single_thread():
            self._teach(lesson, material, picked)

    def _teach(self, lesson: Lesson, material: Material, picked: torch.Tensor) -> None:
        """Build the model, and train it."""
        tokenizer, train_cases = self.tokenizer_, material.train_cases
        writer = self._writer(lesson.panel) if "digits" in material.parts else None
        model = self._build(lesson, material, writer)
        examples = self._examples(lesson, material, model, writer, picked)
        self.history_ = train(
            model,
            examples,
            train_cases=train_cases,
            valid_cases=material.valid_cases,
            weights=self._loss_weights(),
            max_epochs=int(self.max_epochs),
            device=str(self.device),
            verbose=self.verbose,
            checkpoint=lesson.checkpoint,
            sample_weight=(
                None
                if lesson.sample_weight is None
                else lesson.sample_weight[train_cases]
            ),
        )
        tokenizer.requires_grad_(False)
        if self._learns_features and model.memory is not None:
            none = material.selection.kept[:0]
            usage = self._gather(lesson.panel, none)[1].flatten(3)
            model.memory.usage = _class_means(usage, lesson, train_cases)
        shown = train_cases[spread_cases(len(train_cases), _MAX_OBSERVED_CASES)]
        observe(model, examples, torch.from_numpy(shown), "cpu")
        tokenizer.codebook.commit(0.0, lesson.generator)
        self.codebook_use_ = tokenizer.codebook.metrics()
        self.model_ = model
        self.attributes_ = model.attributes
        self._writer_ = writer
        guidance = material.guidance
        self.prompts_ = None if guidance is None else guidance.shown
        self.level_ = "trained" if guidance is None else "trained with text"

    def _build(
        self, lesson: Lesson, material: Material, writer: Writer | None
    ) -> DualBranchModel:
        """Build the model that is trained."""
        weights, tokenizer = self._loss_weights(), self.tokenizer_
        guidance, usage = material.guidance, material.usage
        kept = material.selection.kept
        mean, scale = material.selection.moments.mean_and_scale()
        memory = None
        if guidance is not None and len(guidance.class_of_text):
            memory = (
                guidance.texts.vectors()[: len(guidance.class_of_text)],
                torch.from_numpy(guidance.class_of_text),
                _class_means(usage.flatten(3), lesson, material.train_cases),
            )
        if weights["frequency"] > 0:
            tokenizer.gains = FrequencyGains()
        tokenizer.requires_grad_(self._learns_features)
        tokenizer.codebook.requires_grad_(weights["codebook"] > 0)
        model = DualBranchModel(
            tokenizer,
            torch.from_numpy(kept),
            torch.from_numpy(mean[kept]),
            torch.from_numpy(scale[kept]),
            usage[torch.from_numpy(material.train_cases)].mean(0),
            n_classes=0 if lesson.labels is None else len(lesson.labels),
            class_weight=(
                None
                if lesson.class_weight is None
                else torch.tensor(lesson.class_weight, dtype=torch.float32)
            ),
            text_dim=0 if guidance is None else guidance.texts.words.shape[2],
            memory=memory,
            digits=None if writer is None else writer.arguments(self._encoder()),
            parts=material.parts,
            generator=lesson.generator,
        )
        if lesson.init is not None:
            own = (self._channels, lesson.labels, self.text_encoder)
            lesson.init.give_to(model, *own)
        return model

    def _examples(
        self,
        lesson: Lesson,
        material: Material,
        model: DualBranchModel,
        writer: Writer | None,
        picked: torch.Tensor,
    ) -> Examples:
        """Gather what the model learns from; `picked` is standardised in place."""
        panel, classes = lesson.panel, lesson.classes
        segmented = np.zeros(0, np.int64)
        segments = written = None
        if model.attributes is not None:
            segmented, segments = self._segments(panel, material)
        if writer is not None:
            chosen = material.some(_MAX_WRITTEN_CASES)
            written = writer.examples(panel, chosen, material.usage.shape[1])
        return Examples(
            panel,
            self.scaler_,
            material.usage.flatten(3),
            None if self._learns_features else _standardise_in_place(model, picked),
            None if classes is None else torch.from_numpy(classes),
            material.guidance,
            segments,
            segmented,
            written,
            lesson.generator,
        )

    def _loss_weights(self) -> dict[str, float]:
        """Return the weight of every loss."""
        own = self.loss_weights or {}
        return {**WEIGHTS, **{name: float(weight) for name, weight in own.items()}}

    @property
    def _learns_features(self) -> bool:
        """Whether training changes histograms, so that every step needs new ones."""
        weights = self._loss_weights()
        return weights["codebook"] > 0 or weights["frequency"] > 0

    def _gather(
        self, panel: Panel, kept: NDArray[np.int64]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute chosen features and usage of the codes."""
        picked = torch.empty(panel.n_cases, len(kept))
        usages = []
        for where, features in self._flat_features(panel, "tokens"):
            picked[where] = torch.from_numpy(features[:, kept])
            usage = self.tokenizer_.usage(torch.from_numpy(features))
            usages.append(pool_groups(usage))
        return picked, torch.cat(usages)

    def _writer(self, panel: Panel) -> Writer:
        verbalizer = self.verbalizer
        if verbalizer is None:
            verbalizer = SeriesVerbalizer()
        return Writer(clone(verbalizer).fit(panel))

    def _segments(
        self, panel: Panel, material: Material
    ) -> tuple[NDArray[np.int64], tuple[torch.Tensor, torch.Tensor]]:
        """Cut some cases into segments for training."""
        n_values = panel.n_channels * panel.n_timepoints
        most = max(1, min(_MAX_SEGMENTED_CASES, _MAX_SEGMENTED_VALUES // n_values))
        chosen = material.some(most)
        part = panel.take(chosen)
        codes = self.tokenizer_.codebook.codes.detach()
        starts: list[torch.Tensor] = []
        lengths: list[torch.Tensor] = []
        size = max(1, most // 8)
        for where, batch in self.scaler_.batches(part, size):
            series = batch.series.flatten(0, 1)
            ends = torch.from_numpy(part.lengths[where].repeat(part.n_channels))
            segments = cut_segments(series, codes, ends)
            # One row per series; padding, whose start is -1, comes last.
            starts.extend(segments.start)
            lengths.extend(segments.length)
        padded = partial(pad_sequence, batch_first=True)
        return chosen, (
            padded(starts, padding_value=-1),
            padded(lengths, padding_value=0),
        )

    def _guidance(self, lesson: Lesson) -> Guidance | None:
        """Collect and encode the texts that guide training, if any."""
        source, labels, case_texts = self.text, lesson.labels, lesson.case_texts
        of_classes = captioned = False
        if case_texts is None:
            if source is None:
                return None
            of_classes = isinstance(source, Mapping) or source == "labels"
            if of_classes and labels is None:
                raise ValueError(f"text={source!r} needs labels: pass y to fit.")
            if source == "auto" and labels is not None:
                of_classes = are_words(labels)
            captioned = (
                source in ("auto", "captions") if isinstance(source, str) else False
            )
        prompts: list[str] = []
        owner: list[int] = []
        if of_classes:
            assert labels is not None
            own = source if isinstance(source, Mapping) else None
            names = [str(label) for label in labels]
            prompts, owner = prompts_of_classes(names, own, self.prompt_forms)
        cases = np.arange(lesson.panel.n_cases)
        if captioned:
            captioner = SeriesCaptioner(
                channel_names=self._known_names(), sampling_rate=self.sampling_rate
            )
            sentences = captioner.fit(lesson.panel).sentences(lesson.panel)
            case_texts = [" ".join(each) for each in sentences]
        try:
            return make_guidance(
                prompts,
                owner,
                case_texts or [],
                cases if case_texts else cases[:0],
                lesson.panel.n_cases,
                self._encoder(),
            )
        except ImportError as error:
            if source != "auto":
                raise
            warnings.warn(
                f"Training goes on without text, since {error} Pass text=None to "
                "choose this.",
                stacklevel=7,
            )
            return None


def _standardise_in_place(model: DualBranchModel, picked: torch.Tensor) -> torch.Tensor:
    for part in picked.split(1024):
        part.copy_(model.standardise_picked(part))
    return picked


def _class_means(
    usage: torch.Tensor, lesson: Lesson, cases: NDArray[np.int64]
) -> torch.Tensor:
    """Mean usage of each class over some cases; over all where it has none."""
    labels, classes = lesson.labels, lesson.classes
    assert labels is not None and classes is not None
    means = [
        usage[torch.from_numpy(members if len(members) else cases)].mean(0)
        for members in (cases[classes[cases] == i] for i in range(len(labels)))
    ]
    return torch.stack(means)
