"""Training of a model that is initialised in closed form."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_sequence

from sktext_vq._features.extractor import FeatureExtractor
from sktext_vq._features.selection import FeatureScaler
from sktext_vq._heads.align_texts import ChosenTexts
from sktext_vq._heads.alignment import TextAlignment, TrainedTexts
from sktext_vq._heads.ridge import RidgeHead
from sktext_vq._training.batches import BatchBuilder
from sktext_vq._training.callbacks import Part
from sktext_vq._training.data import TrainingData, split_cases
from sktext_vq._training.network import ClosedForm, Network
from sktext_vq._training.settings import FitSettings
from sktext_vq._training.texts import SentenceTable, TrainingTexts
from sktext_vq._training.trainer import train
from sktext_vq._utils.validation import find_stack_level
from sktext_vq.nn.losses import PARTS
from sktext_vq.nn.model import DualBranchModel
from sktext_vq.nn.segmentation import cut_segments
from sktext_vq.panel import Panel, spread_cases
from sktext_vq.text import SeriesVerbalizer

if TYPE_CHECKING:
    from sktext_vq._training.digits import DigitCodec

# Maximum numbers of training cases that are segmented or written as digits.
_MAX_SEGMENTED_CASES, _MAX_SEGMENTED_VALUES = 1024, 2**21
_MAX_CASES_WITH_DIGITS = 1024
# Maximum number of cases from which code usage is measured.
_MAX_OBSERVED_CASES = 256
# Parts that are initialised in closed form.
_CLOSED_FORM = {"head", "text", "codes"}
_LEAST_LOGIT = -30.0  # replaces -inf, whose gradients are NaN


@dataclass(frozen=True)
class NetworkTrainer:
    """Train a model that is initialised in closed form.

    Parameters
    ----------
    data : TrainingData
        Training series.
    extractor : FeatureExtractor
        Extractor of the selected features.
    scaler : FeatureScaler
        Scaler of the selected features.
    values : ndarray of shape (n_cases, n_selected), float32
        Scaled features.
    shares : ndarray of shape (n_cases, n_codes)
        Share of each code in each series.
    texts : ChosenTexts or None
        Texts about the series.
    settings : FitSettings
        Validated parameters.
    generator : torch.Generator
        Random generator.
    """

    data: TrainingData
    extractor: FeatureExtractor
    scaler: FeatureScaler
    values: NDArray[np.float32]
    shares: NDArray[np.floating[Any]]
    texts: ChosenTexts | None
    settings: FitSettings
    generator: torch.Generator

    def train(
        self,
        closed: ClosedForm,
        solve: Callable[[NDArray[np.int64], Any], ClosedForm],
    ) -> tuple[ClosedForm, Network | None]:
        """Train all parts of the network on features that do not change.

        In a first run, the best epoch of each part is chosen by the losses of held-out
        cases. In a second run, the model is trained on all cases for the same number of
        epochs. Each run starts from the closed form that is fitted to its training
        cases.

        Parameters
        ----------
        closed : ClosedForm
            Classifier and alignment that were fitted to all cases in closed form.
        solve : callable
            Function that fits the closed form to given cases, with a given text
            encoder.

        Returns
        -------
        trained : ClosedForm
            Trained classifier and alignment. Parts whose initial weights are best are
            copied from `closed`.
        network : Network or None
            Further results, or None if there are no losses.
        """
        closed, encoder = self._check_encoder(closed)
        losses = self._losses(closed)
        if not losses:
            return closed, None
        cases, held_out = self._split()
        # If a checkpoint contains the first run, the second run must not change.
        first, second = self._with_seed(), self._with_seed()
        checkpoint = self.data.checkpoint
        state = None if checkpoint is None else checkpoint.state
        earlier = {} if state is None else state.numbers["earlier"]
        every = np.arange(self.data.panel.n_cases)
        parts = _parts(losses)
        if not earlier and len(held_out):
            start = solve(cases, encoder)
            model, batches, _ = first._prepare(start, encoder, losses)
            history, kept = first._run(
                model, batches, parts, cases, held_out, is_last=False
            )
            earlier = {"history": history, "kept": kept}
        elif not earlier:
            n_epochs = self.settings.max_epochs
            kept = {name: 0 if name in _CLOSED_FORM else n_epochs for name in parts}
            earlier = {"history": [], "kept": kept}
        kept = {name: int(epoch) for name, epoch in earlier["kept"].items()}
        model, batches, codec = second._prepare(closed, encoder, losses)
        parts = _parts(losses, kept)
        for name, weight in model.named_parameters():
            own = [
                kept[key]
                for key, part in parts.items()
                if name.startswith(part.prefixes)
            ]
            weight.requires_grad_(bool(own) and max(own) > 0)
        history, kept = second._run(
            model, batches, parts, every, every[:0], earlier, max(kept.values())
        )
        network = self._finish(
            model, batches, codec, earlier["history"] or history, kept
        )
        return self._export(model, closed, encoder, kept), network

    def learn_features(self, closed: ClosedForm) -> Network:
        """Train the network together with the codes or frequency gains."""
        closed, encoder = self._check_encoder(closed)
        losses = self._losses(closed)
        cases, held_out = self._split()
        tokenizer = self.extractor.tokenizer
        tokenizer.requires_grad_(True)
        tokenizer.codebook.requires_grad_(
            self.settings.objective.weights["codebook"] > 0
        )
        model, batches, codec = self._prepare(closed, encoder, losses)
        parts = {"all": Part(losses, ("",))}
        history, kept = self._run(model, batches, parts, cases, held_out)
        tokenizer.requires_grad_(False)
        return self._finish(model, batches, codec, history, kept)

    def _with_seed(self) -> NetworkTrainer:
        """Return a trainer with a new random generator."""
        seed = int(torch.randint(2**31, (1,), generator=self.generator))
        return replace(self, generator=torch.Generator().manual_seed(seed))

    def _check_encoder(self, closed: ClosedForm) -> tuple[ClosedForm, Any]:
        """Return the closed form and the encoder; omit text if packages are missing."""
        encoder = SentenceTable(self.settings.text_encoder)
        if closed.alignment is not None:
            try:
                encoder.transform(["text"])
            except ImportError as error:
                if self.settings.text != "auto":
                    raise
                warnings.warn(
                    f"Training continues without text: {error} Pass text=None to "
                    "disable this warning.",
                    stacklevel=find_stack_level(),
                )
                closed = replace(closed, alignment=None)
        return closed, encoder

    def _losses(self, closed: ClosedForm) -> set[str]:
        alignment = closed.alignment
        return self.settings.objective.active(
            has_text=alignment is not None,
            has_case_texts=alignment is not None and alignment.cases is not None,
            has_classes=closed.head is not None,
        )

    def _split(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Split cases into training cases and held-out cases, which are shuffled."""
        classes = self.data.classes
        if classes is None:
            classes = np.zeros(self.data.panel.n_cases, np.int64)
        cases, held_out = split_cases(classes, self.data.groups)
        order = torch.randperm(len(held_out), generator=self.generator)
        return cases, held_out[order.numpy()]

    def _prepare(
        self, start: ClosedForm, encoder: Any, losses: set[str]
    ) -> tuple[DualBranchModel, BatchBuilder, DigitCodec | None]:
        """Build the model and its batches."""
        data, tokenizer, panel = self.data, self.extractor.tokenizer, self.data.panel
        codec = texts = None
        options: dict[str, Any] = {}
        if start.alignment is not None and self.texts is not None:
            texts = TrainingTexts.read(self.texts, start.alignment, encoder)
        if "digits" in losses:
            from sktext_vq._training.digits import DigitCodec

            codec = DigitCodec(SeriesVerbalizer().fit(panel))
            options["digits"] = codec.arguments(self.settings.text_encoder)
        weight = data.class_weight
        scaler = self.scaler
        model = DualBranchModel(
            tokenizer,
            torch.from_numpy(self.extractor.selected),
            torch.from_numpy(np.stack([scaler.mean, scaler.scale, scaler.weight])),
            head=None if start.head is None else _head_tensors(start.head),
            space=_space_tensors(start.alignment, encoder),
            text_dim=0 if texts is None else texts.texts.vectors.shape[1],
            class_weight=None if weight is None else _float(weight),
            active_losses=losses,
            options=options,
            generator=self.generator,
        )
        if data.warm_start is not None:
            data.warm_start.initialise(model)
        segmented = np.zeros(0, np.int64)
        segments = digits = None
        if "segments" in model.auxiliary:
            segmented, segments = self._segments(panel)
        if codec is not None:
            chosen = spread_cases(panel.n_cases, _MAX_CASES_WITH_DIGITS)
            digits = codec.examples(panel, chosen)
        batches = BatchBuilder(
            panel,
            self.extractor.scaler,
            torch.from_numpy(self.values),
            _float(self.shares),
            None if data.classes is None else torch.from_numpy(data.classes),
            texts,
            segments,
            segmented,
            digits,
            self.settings.objective.learns_features,
            tokenizer.codebook.n_heads,
            self.generator,
        )
        return model, batches, codec

    def _run(
        self,
        model: DualBranchModel,
        batches: BatchBuilder,
        parts: dict[str, Part],
        cases: NDArray[np.int64],
        held_out: NDArray[np.int64],
        earlier: dict[str, Any] | None = None,
        max_epochs: int | None = None,
        is_last: bool = True,
    ) -> tuple[list[dict[str, float]], dict[str, int]]:
        weight, execution = self.data.sample_weight, self.settings.execution
        return train(
            model,
            batches,
            parts,
            cases=cases,
            held_out=held_out,
            weights=self.settings.objective.weights,
            max_epochs=self.settings.max_epochs if max_epochs is None else max_epochs,
            device=execution.device,
            verbose=execution.verbose,
            checkpoint=self.data.checkpoint,
            earlier=earlier,
            is_last=is_last,
            sample_weight=None if weight is None else weight[cases],
        )

    def _finish(
        self,
        model: DualBranchModel,
        batches: BatchBuilder,
        codec: DigitCodec | None,
        history: list[dict[str, float]],
        kept: dict[str, int],
    ) -> Network:
        """Measure code usage, and return the results of training."""
        chosen = spread_cases(self.data.panel.n_cases, _MAX_OBSERVED_CASES)
        batch = batches.build_for_usage(torch.from_numpy(chosen))
        model.update_usage(batch, self.generator)
        model.requires_grad_(False)
        found: dict[str, Any] = {}
        if "segments" in model.auxiliary:
            segments: Any = model.auxiliary["segments"]
            found["refiner"] = segments.refiner
        if codec is not None and "digits" in model.auxiliary:
            digits: Any = model.auxiliary["digits"]
            found["digits"] = codec.with_branch(digits.branch)
        use = model.tokenizer.codebook.metrics()
        return Network(history, kept, use, **found)

    def _export(
        self,
        model: DualBranchModel,
        closed: ClosedForm,
        encoder: Any,
        kept: dict[str, int],
    ) -> ClosedForm:
        """Return the classifier and the alignment with trained weights."""
        head, alignment = closed.head, closed.alignment
        if kept.get("head") and head is not None and model.head is not None:
            factor = head.inverse_temperature
            weight, bias = _double(model.head.weight), _double(model.head.bias)
            head = replace(head, coef=weight.T.copy() / factor, intercept=bias / factor)
        if alignment is not None and model.decoder is not None and kept.get("codes"):
            lift = model.decoder.lift(model.tokenizer.codebook).detach().numpy()
            alignment = replace(alignment, lift=lift)
        if alignment is not None and kept.get("text"):
            assert alignment.cases is not None
            assert model.projection is not None and model.text is not None
            cases = TrainedTexts(
                alignment.cases.texts,
                model.projection.weight.detach().numpy().T.copy(),
                _double(model.projection.bias),
                model.text.mean.numpy(),
                model.text.weight.detach().numpy(),
                np.asarray(alignment.spaces(encoder)[-1].usage, np.float32),
            )
            alignment = replace(alignment, cases=cases)
        if alignment is not None:
            # Texts are encoded again, because rounding depends on the batches of texts.
            alignment = replace(alignment, _spaces={})
        return ClosedForm(head, alignment)

    def _segments(
        self, panel: Panel
    ) -> tuple[NDArray[np.int64], tuple[torch.Tensor, torch.Tensor]]:
        """Divide the series of some cases into segments."""
        n_values = panel.n_channels * panel.n_timepoints
        n_cases = max(1, min(_MAX_SEGMENTED_CASES, _MAX_SEGMENTED_VALUES // n_values))
        chosen = spread_cases(panel.n_cases, n_cases)
        part = panel.take(chosen)
        codes = self.extractor.tokenizer.codebook.codes.detach()
        starts: list[torch.Tensor] = []
        lengths: list[torch.Tensor] = []
        for where, batch in self.extractor.scaler.batches(part, max(1, n_cases // 8)):
            series = batch.series.flatten(0, 1)
            ends = torch.from_numpy(part.lengths[where].repeat(part.n_channels))
            segments = cut_segments(series, codes, ends)
            # There is one row per series. Padding follows the segments.
            starts.extend(segments.start)
            lengths.extend(segments.length)
        padded: Any = partial(pad_sequence, batch_first=True)
        return chosen, (
            padded(starts, padding_value=-1),
            padded(lengths, padding_value=0),
        )


def _parts(losses: set[str], kept: dict[str, int] | None = None) -> dict[str, Part]:
    """Return the parts of a model with active losses."""
    return {
        name: Part(own & losses, prefixes, None if kept is None else kept[name])
        for name, (own, prefixes) in PARTS.items()
        if own & losses
    }


def _head_tensors(head: RidgeHead) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return weights, intercepts and offsets of the logits."""
    factor = head.inverse_temperature
    offset = np.maximum(head.offset, _LEAST_LOGIT)
    return _float(factor * head.coef.T), _float(factor * head.intercept), _float(offset)


def _space_tensors(
    alignment: TextAlignment | None, encoder: Any
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor] | None:
    """Return maps from series and captions to the joint space."""
    if alignment is None or alignment.cases is None:
        return None
    cases, space = alignment.cases, alignment.spaces(encoder)[-1]
    return (
        _float((cases.coef @ space.from_series).T),
        _float(cases.intercept @ space.from_series),
        _float(space.mean),
        _float(space.from_texts),
    )


def _float(values: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))


def _double(values: torch.Tensor) -> NDArray[np.float64]:
    found: NDArray[np.float64] = values.detach().double().numpy()
    return found
