"""The model: a signal branch and a text branch that meet in one workspace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sktext_vq.nn import losses
from sktext_vq.nn.constants import LEVEL_BINS, N_POINTS, SCALE_FLOOR
from sktext_vq.nn.cross_attention import Fusion
from sktext_vq.nn.segment_refiner import AttributeDecoder, quantise, render
from sktext_vq.nn.text_branch import (
    ClassMemory,
    CodeDecoder,
    DigitBranch,
    TextBranch,
    Texts,
)
from sktext_vq.nn.tokenizer import ShapeTokenizer
from sktext_vq.nn.usage import pool_groups, share_of_codes
from sktext_vq.nn.windows import Batch

WORKSPACE_DIM = 96
# Straight-through gradients see codes this near to the best one, in units of the
# score <shape, code> - |code|^2 / 2.
CODE_TEMPERATURE = 0.5
TEXT_TEMPERATURE = 0.1
AFFINITY_TEMPERATURE = 0.02  # affinities of usages are between .9 and 1
_NUMBER_WEIGHT = 100.0  # of squared errors of numbers between 0 and 1
# FS-VAE's calibrated loss, in squared distances of unit vectors.
_CALIBRATION_WIDTH = 0.5


class Signal(NamedTuple):
    """What the model reads of series beside their segments."""

    picked: Tensor  # (n_cases, n_kept), standardised features
    usage: Tensor  # (n_cases, n_groups, n_heads, n_symbols), frequencies
    shape_error: Tensor | None = None  # of windows from their codes


class Segmented(NamedTuple):
    """Series cut into segments, and which cases of the batch they are of."""

    series: Tensor  # (n_cases, n_channels, n_timepoints)
    start: Tensor  # (n_cases, n_channels, n_segments), in timepoints
    length: Tensor
    known: Tensor  # bool, False for padding
    observed: Tensor | None  # as series
    ends: Tensor  # (n_cases,) int64, where series end
    case: Tensor  # (n_cases,) int64


class Written(NamedTuple):
    """Patches of series written as digits."""

    words: Tensor  # (n_patches, n_words) int64
    digits: Tensor  # (n_patches, PATCH, n_digits) int64
    known: Tensor  # (n_patches, PATCH) bool, False past the end
    usage: Tensor  # (n_patches, n_heads, codes_per_head), of their series


class Step(NamedTuple):
    """What one step of training looks at."""

    signal: Signal | None  # None where codes are learned: it is computed from `batch`
    batch: Batch | None = None
    first: int = 0  # window that sampled windows start at
    classes: Tensor | None = None
    class_texts: Texts | None = None  # one text of each class
    class_rows: Tensor | None = None  # which ones
    captions: Texts | None = None
    caption_of: Tensor | None = None  # (n_cases,) int64, -1 for none
    segmented: Segmented | None = None
    keep_text: Tensor | None = None  # (n_segmented,) bool
    written: Written | None = None


class DualBranchModel(nn.Module):
    """Histograms of tokens, heads, and a workspace shared with text.

    Parameters
    ----------
    tokenizer : ShapeTokenizer
        Fitted.
    kept : Tensor of shape (n_kept,), int64
        Which features of the flattened histograms the heads see.
    mean, scale : Tensor of shape (n_kept,)
        To standardise these.
    usage : Tensor of shape (n_groups, n_heads, n_levels, codes_per_head)
        Mean usage of the codes.
    n_classes : int
        0 where there are no classes.
    class_weight : Tensor of shape (n_classes,), optional
        Weights of classes in the losses.
    text_dim : int
        Width of word vectors; 0 where there is no text.
    memory : tuple of Tensors, optional
        Vectors, classes and usages of class texts; see :class:`ClassMemory`.
    digits : dict, optional
        Arguments of :class:`DigitBranch`.
    parts : set of str
        Losses that are not switched off: what only others need is not built.
    generator : torch.Generator or None
        For the weights at the start. None leaves weights without memory: what is built
        has names and shapes only, to compare others with.
    """

    kept: Tensor
    mean: Tensor
    scale: Tensor
    class_weight: Tensor | None

    def __init__(
        self,
        tokenizer: ShapeTokenizer,
        kept: Tensor,
        mean: Tensor,
        scale: Tensor,
        usage: Tensor,
        *,
        n_classes: int,
        class_weight: Tensor | None = None,
        text_dim: int = 0,
        memory: tuple[Tensor, Tensor, Tensor] | None = None,
        digits: Mapping[str, Any] | None = None,
        parts: set[str],
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        dim, codebook = WORKSPACE_DIM, tokenizer.codebook
        self.parts = parts
        with torch.device("meta"):  # draws no random numbers
            self.class_head = nn.Linear(len(kept), n_classes) if n_classes else None
            self.enter = nn.Linear(len(kept), dim)
            self.text = TextBranch(text_dim, dim) if text_dim else None
            self.leave = nn.Linear(dim, text_dim) if text_dim else None
            self.decoder = CodeDecoder(dim, usage, N_POINTS)
            self.fusion: Fusion | None = None
            if text_dim and n_classes and parts & {"fused", "distillation"}:
                self.fusion = Fusion(dim, n_classes)
                self.embed = nn.Linear(N_POINTS + 4, dim)
                self.channel = nn.Embedding(tokenizer.n_channels, dim)
            self.digits: DigitBranch | None = None
            if digits is not None:
                self.digits = DigitBranch(
                    dim=dim,
                    z_dim=self.decoder.z_dim,
                    n_heads=codebook.n_heads,
                    **digits,
                )
        if generator is not None:
            _initialise(self, generator)
        with torch.no_grad():
            self.decoder.to_z.weight.zero_()  # starts from the usual usage
        self.memory = None if memory is None else ClassMemory(*memory)
        self.attributes: AttributeDecoder | None = None
        if parts & {"series", "separation", "usage"} or self.fusion is not None:
            self.attributes = AttributeDecoder(generator=generator or torch.Generator())
        self.tokenizer = tokenizer
        self.register_buffer("kept", kept)
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.register_buffer("class_weight", class_weight)

    def standardise(self, features: Tensor) -> Tensor:
        """Pick and standardise features of shape (n_cases, n_features)."""
        return self.standardise_picked(features[:, self.kept])

    def standardise_picked(self, picked: Tensor) -> Tensor:
        """Standardise features of shape (n_cases, n_kept)."""
        return ((picked - self.mean) / self.scale).clamp(-3, 3)

    def place(self, picked: Tensor) -> Tensor:
        """Place series in the workspace: unit vectors of shape (n_cases, dim)."""
        return F.normalize(self.enter(picked), dim=1)

    def read(self, texts: Texts, rows: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Place texts in the workspace, and say how they use the codes.

        Parameters
        ----------
        texts : Texts
        rows : Tensor of shape (n_texts,), int64, optional
            Which class texts they are, in training.

        Returns
        -------
        places : Tensor of shape (n_texts, dim)
            Unit vectors.
        log_usage : Tensor of shape (n_texts, n_groups, n_heads, n_symbols)
        """
        assert self.text is not None
        places, _ = self.text(texts)
        return places, self._usage_of(places, texts, rows)

    def _usage_of(self, places: Tensor, texts: Texts, rows: Tensor | None) -> Tensor:
        log_usage: Tensor = self.decoder(places, self.tokenizer.codebook)
        if self.memory is not None:
            log_usage = self.memory(log_usage, texts.vectors(), rows)
        return log_usage

    def forward(self, step: Step) -> dict[str, Tensor]:
        """Compute the losses of a step, each by its name in :mod:`losses`."""
        signal = step.signal or self._look(step)
        places = self.place(signal.picked)
        terms: dict[str, Tensor] = {}
        if signal.shape_error is not None:
            terms["shape"] = signal.shape_error
        if self.tokenizer.gains is not None:
            terms["frequency"] = (self.tokenizer.gains.gains - 1).square().mean()
        class_logits = None
        if self.class_head is not None and step.classes is not None:
            class_logits = self.class_head(signal.picked)
            terms["class"] = self._cross_entropy(class_logits, step.classes)
            if "contrastive" in self.parts:
                terms["contrastive"] = losses.supervised_contrastive(
                    places, step.classes
                )
        if "demi_cycle" in self.parts:
            rebuilt = self.decoder(places, self.tokenizer.codebook)
            terms["demi_cycle"] = losses.code_loss(rebuilt, signal.usage)
        sentences = self._align(step, signal, places, terms)
        if step.segmented is not None and self.attributes is not None:
            tokens, known = self._cut(step.segmented, terms)
            if self.fusion is not None and sentences:
                self._fuse(step, tokens, known, sentences, class_logits, terms)
        if step.written is not None and self.digits is not None:
            terms["digits"] = self._write(step.written)
        return {name: term for name, term in terms.items() if name in self.parts}

    def _look(self, step: Step) -> Signal:
        """Run the tokenizer, with gradients, on a part of the windows."""
        assert step.batch is not None
        features, shape_error = self.tokenizer.train_forward(
            step.batch, CODE_TEMPERATURE, step.first
        )
        return Signal(
            self.standardise(features),
            pool_groups(self.tokenizer.usage(features.detach())).flatten(3),
            shape_error,
        )

    def _cross_entropy(self, logits: Tensor, classes: Tensor) -> Tensor:
        return F.cross_entropy(logits, classes, weight=self.class_weight)

    def _align(
        self, step: Step, signal: Signal, places: Tensor, terms: dict[str, Tensor]
    ) -> list[tuple[Tensor, Tensor, bool]]:
        """Bring places of series and of their texts together.

        Returns
        -------
        list of (sentences, texts, by_class)
            Encoded sentences and which of them a text is made of: of class prompts,
            of captions, of both, or of none.
        """
        if self.text is None:
            return []
        kinds = (
            (step.class_texts, step.class_rows, step.classes),
            (step.captions, None, step.caption_of),
        )
        sums: dict[str, list[Tensor]] = {}
        found = []
        for texts, rows, owner in kinds:
            if texts is None or owner is None:
                continue
            here = owner >= 0
            if not here.any():
                continue
            text_places, sentences = self.text(texts)
            by_class = rows is not None
            found.append((sentences, texts.sentences, by_class))
            log_usage = self._usage_of(text_places, texts, rows)
            theirs, owner = places[here], owner[here]
            add = sums.setdefault
            add("text", []).append(
                losses.text_loss(
                    theirs,
                    text_places,
                    owner,
                    TEXT_TEMPERATURE,
                    self.class_weight if by_class else None,
                    both_ways=not by_class,
                )
            )
            add("codes", []).append(
                losses.code_loss(log_usage[owner], signal.usage[here])
            )
            if "affinity" in self.parts:
                add("affinity", []).append(
                    losses.text_loss(
                        share_of_codes(signal.usage[here]).sqrt(),
                        (share_of_codes(log_usage.exp()) + 1e-9).sqrt(),
                        owner,
                        AFFINITY_TEMPERATURE,
                        self.class_weight if by_class else None,
                    )
                )
            if self.parts & {"demi_cycle", "translation", "calibrated"}:
                assert self.leave is not None
                vectors = F.normalize(texts.vectors(), dim=1)
                told, heard = self.leave(text_places), self.leave(theirs)
                add("demi_cycle", []).append(losses.cosine_loss(told, vectors))
                add("translation", []).append(losses.cosine_loss(heard, vectors[owner]))
                heard = F.normalize(heard, dim=1)
                right = (heard - vectors[owner]).square().sum(1)
                wrong = (heard - vectors[owner.roll(1)]).square().sum(1)
                other = owner != owner.roll(1)
                add("calibrated", []).append(
                    losses.calibrated_loss(
                        right[other], wrong[other], _CALIBRATION_WIDTH
                    )
                )
        for name, values in sums.items():
            mean = torch.stack(values).mean()
            terms[name] = terms[name] + mean if name in terms else mean
        return found

    def _cut(
        self, segmented: Segmented, terms: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Refine segments, draw them again, and return them as tokens.

        Returns
        -------
        tokens : Tensor of shape (n_cases, n_tokens, N_POINTS + 4)
            Matched shape, offset, scale, start and length; the last two as shares of
            the series.
        known : Tensor of shape (n_cases, n_tokens), bool
        """
        assert self.attributes is not None
        n_cases, n_channels, n_timepoints = segmented.series.shape
        rows = n_cases * n_channels
        series = segmented.series.reshape(rows, n_timepoints)
        start, length, known = (
            values.reshape(rows, -1)
            for values in (segmented.start, segmented.length, segmented.known)
        )
        ends = segmented.ends.repeat_interleave(n_channels)
        refined = self.attributes(series, start, length, known, ends)
        points, _, soft = quantise(
            refined.shape, self.tokenizer.codebook, CODE_TEMPERATURE
        )
        # Drawn from codes alone: a shape that grew as its scale shrank would let
        # scales collapse.
        drawn, _, _ = quantise(
            refined.shape.detach(), self.tokenizer.codebook, CODE_TEMPERATURE
        )
        drawn = drawn * (refined.scale + SCALE_FLOOR).unsqueeze(2)
        drawn = drawn + refined.offset.unsqueeze(2)
        rebuilt = render(drawn, refined.start, refined.length, known, n_timepoints)
        observed = segmented.observed
        terms["series"] = losses.reconstruction_loss(
            rebuilt, series, None if observed is None else observed.reshape(rows, -1)
        )
        terms["separation"] = losses.separation_loss(
            refined.start / n_timepoints, refined.length / n_timepoints, known
        )
        terms["usage"] = losses.usage_loss(soft[known].unsqueeze(1))
        tokens = torch.cat(
            [
                points,
                torch.stack(
                    [
                        refined.offset,
                        refined.scale,
                        refined.start / n_timepoints,
                        refined.length / n_timepoints,
                    ],
                    dim=2,
                ),
            ],
            dim=2,
        )
        return tokens.reshape(n_cases, -1, tokens.shape[2]), known.reshape(n_cases, -1)

    def _fuse(
        self,
        step: Step,
        tokens: Tensor,
        known: Tensor,
        sentences: list[tuple[Tensor, Tensor, bool]],
        class_logits: Tensor | None,
        terms: dict[str, Tensor],
    ) -> None:
        """Let both branches attend to each other, and teach the sensor-only head."""
        segmented = step.segmented
        assert self.fusion is not None and segmented is not None
        assert step.classes is not None and step.keep_text is not None
        n_cases, n_channels = segmented.series.shape[:2]
        channel = torch.arange(n_channels, device=tokens.device)
        channel = channel.repeat_interleave(known.shape[1] // n_channels)
        signal = self.embed(tokens) + self.channel(channel)
        # Prompts of all classes are the same for every case; captions are its own.
        texts, texts_known = [], []
        for encoded, rows, by_class in sentences:
            if by_class:
                used = rows[rows >= 0]
                texts.append(encoded[used].expand(n_cases, -1, -1))
                texts_known.append(known.new_ones(n_cases, len(used)))
            else:
                assert step.caption_of is not None
                own = step.caption_of[segmented.case]
                mine = torch.where(own.unsqueeze(1) >= 0, rows[own.clamp_min(0)], -1)
                texts.append(encoded[mine.clamp_min(0)])
                texts_known.append(mine >= 0)
        text, text_known = torch.cat(texts, dim=1), torch.cat(texts_known, dim=1)
        keep = step.keep_text & text_known.any(dim=1)
        classes = step.classes[segmented.case]
        fused = self.fusion(signal, known, text, text_known, keep)
        terms["fused"] = sum(
            (self._cross_entropy(logits, classes) for logits in fused),
            start=fused[0].new_zeros(()),
        )
        if class_logits is not None:
            terms["distillation"] = losses.distillation_loss(
                class_logits[segmented.case], (fused[0] + fused[1]) / 2
            )

    @torch.no_grad()
    def observe(self, step: Step, generator: torch.Generator) -> None:
        """Let the codebook see what both branches match with it.

        Parameters
        ----------
        step : Step
            With a batch of series, of which windows of all lengths are sampled, and
            texts about them.
        generator : torch.Generator
            Source of randomness.
        """
        assert step.batch is not None
        codebook = self.tokenizer.codebook
        shapes = self.tokenizer.sample_shapes(step.batch, generator)
        points = F.pad(shapes.T, (0, 0, 0, 1), value=1.0)
        chosen = codebook.assign(codebook.score(points)).T
        codebook.observe("signal", shapes, chosen)
        for texts, rows in (
            (step.class_texts, step.class_rows),
            (step.captions, None),
        ):
            if texts is None or self.text is None:
                continue
            places, log_usage = self.read(texts, rows)
            use = log_usage.exp().unflatten(3, (LEVEL_BINS, -1))  # n g h l k
            z = self.decoder.tokens(places)[..., :N_POINTS]
            # Directions of tokens count, at the length that shapes have.
            z = F.normalize(z, dim=4) * N_POINTS**0.5
            weights = use.new_zeros(*use.shape[:4], codebook.n_heads, use.shape[4])
            for head in range(codebook.n_heads):
                weights[:, :, head, :, head] = use[:, :, head]
            codebook.observe("text", z.flatten(0, 3), weights.flatten(4).flatten(0, 3))

    def _write(self, written: Written) -> Tensor:
        """Read and write digits; tokens of shapes use the codes of their series."""
        assert self.digits is not None and self.text is not None
        keys = self.decoder.keys(self.tokenizer.codebook)
        numbers, missing, use = self.digits(written.words, self.text, keys)
        logits, _ = self.digits.write(numbers, missing, written.digits)
        exact = losses.digit_loss(
            logits.flatten(1, 2),
            written.digits.flatten(1),
            written.known.repeat_interleave(self.digits.n_digits, dim=1),
        )
        right = self.digits.value(written.digits)
        present = written.known & (written.digits < self.digits.n_values - 1).all(2)
        error = losses.reconstruction_loss(numbers, right, present.to(right.dtype))
        alignment = losses.code_loss((use + 1e-6).log(), written.usage)
        return 0.1 * exact + _NUMBER_WEIGHT * error + 0.1 * alignment


def _initialise(model: nn.Module, generator: torch.Generator) -> None:
    """Give memory to all weights, and draw them from a generator of their own."""
    with torch.no_grad():
        for module in model.modules():
            for name, empty in module.named_parameters(recurse=False):
                weight = nn.Parameter(torch.empty_like(empty, device="cpu"))
                if weight.dim() > 1:
                    weight.normal_(0, weight.shape[-1] ** -0.5, generator=generator)
                elif name.endswith("bias"):
                    weight.zero_()
                else:  # of a normalisation
                    weight.fill_(1)
                setattr(module, name, weight)
