"""Construction and training of the network of an estimator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_sequence

from sktext_vq._features.extractor import Execution, FeatureExtractor
from sktext_vq._features.table import FeatureReader, UsageConsumer
from sktext_vq._training.batches import BatchBuilder
from sktext_vq._training.data import TrainingData, TrainingFeatures, TrainingSplit
from sktext_vq._training.objective import Objective
from sktext_vq._training.texts import TrainingTexts
from sktext_vq._training.trainer import train
from sktext_vq._utils.state import (
    Number,
    Sizes,
    Spec,
    State,
    Strings,
    check_state,
    load_arrays,
    module_arrays,
)
from sktext_vq.nn.constants import LEVEL_BINS
from sktext_vq.nn.losses import WEIGHTS
from sktext_vq.nn.model import DualBranchModel
from sktext_vq.nn.segmentation import cut_segments
from sktext_vq.nn.tokenizer import ShapeTokenizer
from sktext_vq.panel import Panel, spread_cases
from sktext_vq.text import SeriesVerbalizer, TextEncoder

if TYPE_CHECKING:
    from sktext_vq._training.digits import DigitCodec
    from sktext_vq.nn.auxiliary.segments import SegmentRefiner

# Maximum number of feature values of training cases to keep in memory (512 MiB).
_MAX_TRAINING_VALUES = 2**27
# If codes are learned, every step matches windows again, so fewer cases are used.
_MAX_LEARNED_CASES = 2048
# Maximum numbers of training cases with segments, or with digits.
_MAX_SEGMENTED_CASES, _MAX_SEGMENTED_VALUES = 1024, 2**21
_MAX_CASES_WITH_DIGITS = 1024
# Maximum number of cases used to measure usage of the codebook.
_MAX_OBSERVED_CASES = 256


_STATE: dict[str, Spec | None] = {
    "losses": Strings(),
    "n_classes": Number(above=-1, below=2**20),
    "text_dim": Number(above=-1, below=2**20),
    "digits": None,
    "history": None,
    "codebook_use": None,
    "prompts": Strings(optional=True),
    "model": None,
}


@dataclass(frozen=True)
class Network:
    """A trained network and how it was trained.

    Parameters
    ----------
    model : DualBranchModel
        Trained modules.
    digits : DigitCodec, optional
        Codec of series and digits, if the model has a digit branch.
    history : list of dict
        Losses and seconds of each epoch.
    codebook_use : dict
        Usage of the codes by both branches; see `Codebook.metrics`.
    prompts : list of str, optional
        Texts that the network was trained with; for prompts, only the first of each
        class.
    """

    model: DualBranchModel
    digits: DigitCodec | None
    history: list[dict[str, float]]
    codebook_use: dict[str, float]
    prompts: list[str] | None

    def get_state(self) -> State:
        """Return configuration and arrays, without those of the tokenizer."""
        model = self.model
        arrays = module_arrays(model)
        return {
            "losses": sorted(model.active_losses),
            "n_classes": 0
            if model.class_head is None
            else len(model.class_head.weight),
            "text_dim": 0
            if model.back_projection is None
            else model.back_projection.out_features,
            "digits": None if self.digits is None else self.digits.get_state(),
            "history": self.history,
            "codebook_use": self.codebook_use,
            "prompts": self.prompts,
            "model": {
                name: array
                for name, array in arrays.items()
                if not name.startswith("tokenizer.")
            },
        }

    @classmethod
    def from_state(
        cls, state: State, sizes: Sizes, tokenizer: ShapeTokenizer
    ) -> Network:
        """Build a network from `get_state`; see `FeatureExtractor.from_state`."""
        check_state(state, _STATE, sizes, "network")
        history, use = state["history"], state["codebook_use"]
        if not (isinstance(history, list) and all(map(_is_record, [*history, use]))):
            raise ValueError("network.history is not a list of losses")
        has_text = state["text_dim"] > 0
        if has_text != (state["prompts"] is not None):
            raise ValueError(
                "network.prompts is inconsistent with the rest of the model"
            )
        n_classes = state["n_classes"]
        if n_classes not in (0, sizes.get("n_labels", n_classes)):
            raise ValueError(
                "network.n_classes is inconsistent with the rest of the model"
            )
        codec = None
        if state["digits"] is not None:
            from sktext_vq._training.digits import DigitCodec

            codec = DigitCodec.from_state(state["digits"], sizes)
            if not has_text:
                raise ValueError(
                    "network.digits is inconsistent with the rest of the model"
                )
        arrays = state["model"]
        with torch.device("meta"):
            model = _empty_model(state, arrays, tokenizer, codec)
        del model.tokenizer  # its arrays are part of the features
        load_arrays(model, arrays, "network")
        selected = model.selected
        is_valid = 0 <= selected.min() and selected.max() < tokenizer.layout.n_features
        if not (is_valid and (model.scale > 0).all()):
            raise ValueError(
                "network.selected is inconsistent with the rest of the model"
            )
        model.tokenizer = tokenizer
        model.requires_grad_(False)
        return cls(
            model.eval(),
            codec,
            history,
            use,
            state["prompts"],
        )

    @property
    def refiner(self) -> SegmentRefiner | None:
        """Module for borders of segments, if they were learned."""
        if "segments" not in self.model.auxiliary:
            return None
        segments: Any = self.model.auxiliary["segments"]
        refiner: SegmentRefiner = segments.refiner
        return refiner


@dataclass(frozen=True)
class NetworkTrainer:
    """Build a network and train it.

    Parameters
    ----------
    data : TrainingData
        Data of the cases of `split` only.
    split : TrainingSplit
        Training and validation cases.
    extractor : FeatureExtractor
        Fitted extractor. Its codes change if `objective` learns codes.
    objective : Objective
        Losses and their weights.
    texts : TrainingTexts, optional
        Encoded texts.
    text_encoder : TextEncoder
        Encoder for digits.
    max_epochs : int
        Maximum number of passes over the training cases.
    execution : Execution
        Device, threads and progress bar.
    generator : torch.Generator
        Source of randomness for weights, batches and training.
    """

    data: TrainingData
    split: TrainingSplit
    extractor: FeatureExtractor
    objective: Objective
    texts: TrainingTexts | None
    text_encoder: TextEncoder
    max_epochs: int
    execution: Execution
    generator: torch.Generator

    @property
    def losses(self) -> set[str]:
        """Names of the losses that can be computed from the data."""
        return self.objective.active(
            has_text=self.texts is not None, has_classes=self.data.labels is not None
        )

    def train(self, features: TrainingFeatures) -> Network:
        """Build the network and train it.

        Parameters
        ----------
        features : TrainingFeatures
            Features of all cases; their selected values are standardised in place.
        """
        split, tokenizer = self.split, self.extractor.tokenizer
        codec = None
        if "digits" in self.losses:
            from sktext_vq._training.digits import DigitCodec

            codec = DigitCodec(SeriesVerbalizer().fit(self.data.panel))
        model = self._build(features, codec)
        weight = self.data.sample_weight
        batches = self._batches(features, model, codec)
        history = train(
            model,
            batches,
            train_cases=split.train_cases,
            valid_cases=split.valid_cases,
            weights=self.objective.weights,
            max_epochs=self.max_epochs,
            device=self.execution.device,
            verbose=self.execution.verbose,
            checkpoint=self.data.checkpoint,
            sample_weight=None if weight is None else weight[split.train_cases],
        )
        tokenizer.requires_grad_(False)
        if self.objective.learns_features and model.memory is not None:
            model.memory.usage = self._class_means(self._read_usage().flatten(3))
        chosen = spread_cases(len(split.train_cases), _MAX_OBSERVED_CASES)
        cases = torch.from_numpy(split.train_cases[chosen])
        model.update_usage(batches.build_for_usage(cases), self.generator)
        prompts = None if self.texts is None else self.texts.shown
        return Network(model, codec, history, tokenizer.codebook.metrics(), prompts)

    def _build(
        self, features: TrainingFeatures, codec: DigitCodec | None
    ) -> DualBranchModel:
        """Build the network, with weights of the warm start if there is one."""
        data, texts, tokenizer = self.data, self.texts, self.extractor.tokenizer
        selected = features.selected
        mean, scale = features.moments.mean_and_scale()
        memory = None
        if texts is not None and len(texts.class_of_text):
            memory = (
                texts.texts.vectors()[: len(texts.class_of_text)],
                torch.from_numpy(texts.class_of_text),
                self._class_means(features.usage.flatten(3)),
            )
        tokenizer.requires_grad_(self.objective.learns_features)
        tokenizer.codebook.requires_grad_(self.objective.weights["codebook"] > 0)
        class_weight = None
        if data.class_weight is not None:
            class_weight = torch.tensor(data.class_weight, dtype=torch.float32)
        model = DualBranchModel(
            tokenizer,
            torch.from_numpy(selected),
            torch.from_numpy(mean[selected]),
            torch.from_numpy(scale[selected]),
            features.usage[torch.from_numpy(self.split.train_cases)].mean(0),
            n_classes=0 if data.labels is None else len(data.labels),
            class_weight=class_weight,
            text_dim=0 if texts is None else texts.texts.words.shape[2],
            memory=memory,
            active_losses=self.losses,
            options=(
                {} if codec is None else {"digits": codec.arguments(self.text_encoder)}
            ),
            generator=self.generator,
        )
        if data.warm_start is not None:
            data.warm_start.initialise(
                model, self.extractor.channels, data.labels, self.text_encoder
            )
        return model

    def _batches(
        self,
        features: TrainingFeatures,
        model: DualBranchModel,
        codec: DigitCodec | None,
    ) -> BatchBuilder:
        panel, classes = self.data.panel, self.data.classes
        segmented = np.zeros(0, np.int64)
        segments = digits = None
        if "segments" in model.auxiliary:
            segmented, segments = self._segments(panel)
        if codec is not None:
            chosen = self.split.spread(_MAX_CASES_WITH_DIGITS)
            digits = codec.examples(panel, chosen, features.usage.shape[1])
        if features.values is not None:
            for part in features.values.split(1024):
                part.copy_(model.standardise(part))
        return BatchBuilder(
            panel,
            self.extractor.scaler,
            features.usage.flatten(3),
            features.values,
            None if classes is None else torch.from_numpy(classes),
            self.texts,
            segments,
            segmented,
            digits,
            self.generator,
        )

    def _segments(
        self, panel: Panel
    ) -> tuple[NDArray[np.int64], tuple[torch.Tensor, torch.Tensor]]:
        """Divide the series of some cases into segments."""
        n_values = panel.n_channels * panel.n_timepoints
        n_cases = max(1, min(_MAX_SEGMENTED_CASES, _MAX_SEGMENTED_VALUES // n_values))
        chosen = self.split.spread(n_cases)
        part = panel.take(chosen)
        codes = self.extractor.tokenizer.codebook.codes.detach()
        starts: list[torch.Tensor] = []
        lengths: list[torch.Tensor] = []
        for where, batch in self.extractor.scaler.batches(part, max(1, n_cases // 8)):
            series = batch.series.flatten(0, 1)
            ends = torch.from_numpy(part.lengths[where].repeat(part.n_channels))
            segments = cut_segments(series, codes, ends)
            # One row per series; padding, whose start is -1, comes last.
            starts.extend(segments.start)
            lengths.extend(segments.length)
        padded: Any = partial(pad_sequence, batch_first=True)
        return chosen, (
            padded(starts, padding_value=-1),
            padded(lengths, padding_value=0),
        )

    def _read_usage(self) -> torch.Tensor:
        usage = UsageConsumer(self.extractor, np.arange(self.data.panel.n_cases))
        FeatureReader(self.extractor, self.data.panel, self.execution).feed(
            "tokens", usage
        )
        return usage.values

    def _class_means(self, usage: torch.Tensor) -> torch.Tensor:
        """Return mean usage by class, or of all cases if a class has no case."""
        labels, classes, cases = (
            self.data.labels,
            self.data.classes,
            self.split.train_cases,
        )
        assert labels is not None and classes is not None
        means = [
            usage[torch.from_numpy(members if len(members) else cases)].mean(0)
            for members in (cases[classes[cases] == i] for i in range(len(labels)))
        ]
        return torch.stack(means)


def _is_record(row: Any) -> bool:
    """Return whether an object is a dict of numbers by name."""
    return isinstance(row, dict) and all(
        isinstance(name, str) and isinstance(value, int | float)
        for name, value in row.items()
    )


def _empty_model(
    state: State,
    arrays: Mapping[str, NDArray[Any]],
    tokenizer: ShapeTokenizer,
    codec: DigitCodec | None,
) -> DualBranchModel:
    """Build a model for the sizes of a state, on the current device."""
    unknown = set(state["losses"]) - set(WEIGHTS)
    if unknown:
        raise ValueError(f"network.losses has unknown losses {sorted(unknown)}")
    n_classes, text_dim = state["n_classes"], state["text_dim"]
    n_selected = len(arrays["selected"])
    n_groups, n_heads, n_levels, size = arrays["decoder.log_usage"].shape
    codebook = tokenizer.codebook
    wanted = (codebook.n_heads, LEVEL_BINS, codebook.n_codes // codebook.n_heads)
    if (n_heads, n_levels, size) != wanted or n_groups not in (1, tokenizer.n_channels):
        raise ValueError("network.decoder is inconsistent with the rest of the model")
    memory = class_weight = None
    options = {}
    if "memory.owner" in arrays:
        owner = arrays["memory.owner"]
        if not (len(owner) and 0 <= owner.min() and owner.max() < n_classes):
            raise ValueError(
                "network.memory is inconsistent with the rest of the model"
            )
        memory = (
            torch.zeros(len(owner), text_dim),
            torch.zeros(len(owner), dtype=torch.int64),
            torch.zeros(n_classes, n_groups, n_heads, n_levels * size),
        )
    if codec is not None:
        symbols = torch.zeros(codec.base + 2, text_dim)
        options["digits"] = {"symbols": symbols, **codec.sizes}
    if "class_weight" in arrays:
        class_weight = torch.zeros(n_classes)
    return DualBranchModel(
        tokenizer,
        torch.zeros(n_selected, dtype=torch.int64),
        torch.zeros(n_selected),
        torch.zeros(n_selected),
        torch.zeros(n_groups, n_heads, n_levels, size),
        n_classes=n_classes,
        class_weight=class_weight,
        text_dim=text_dim,
        memory=memory,
        active_losses=set(state["losses"]),
        options=options,
        generator=None,
    )


def max_training_cases(n_features: int, objective: Objective) -> int:
    """Return the maximum number of training cases.

    Parameters
    ----------
    n_features : int
        Number of features per case that are kept in memory.
    objective : Objective
        Losses. If they change features, fewer cases are used.
    """
    n_cases = max(1, _MAX_TRAINING_VALUES // n_features)
    return min(n_cases, _MAX_LEARNED_CASES) if objective.learns_features else n_cases
