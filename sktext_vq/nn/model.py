"""The network: a signal branch and a text branch with a joint embedding space."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sktext_vq.nn.auxiliary import build_modules
from sktext_vq.nn.batches import Outputs, SignalFeatures, TextOutputs, TrainingBatch
from sktext_vq.nn.codebook import BRANCHES, CODE_TEMPERATURE, finite_rows
from sktext_vq.nn.constants import LEVEL_BINS, N_POINTS
from sktext_vq.nn.initialisation import draw_weights
from sktext_vq.nn.losses import code_loss, text_loss
from sktext_vq.nn.text_branch import ClassMemory, CodeDecoder, TextBranch, Texts
from sktext_vq.nn.tokenizer import ShapeTokenizer
from sktext_vq.nn.usage import pool_groups, share_of_codes

EMBEDDING_DIM = 96
TEXT_TEMPERATURE = 0.1
AFFINITY_TEMPERATURE = 0.02  # affinities of usages are between .9 and 1


class DualBranchModel(nn.Module):
    """Network with a classification head and a joint space of series and texts.

    Parameters
    ----------
    tokenizer : ShapeTokenizer
        Fitted tokenizer.
    selected : Tensor of shape (n_selected,), int64
        Indices of the features that the heads use.
    mean, scale : Tensor of shape (n_selected,)
        Statistics that standardise selected features.
    usage : Tensor of shape (n_groups, n_heads, n_levels, codes_per_head)
        Mean usage of the codes.
    n_classes : int
        Number of classes; 0 without classes.
    class_weight : Tensor of shape (n_classes,), optional
        Weights of classes in the losses.
    text_dim : int
        Width of word vectors; 0 without text.
    memory : tuple of Tensors, optional
        Vectors, classes and usages of class texts; see :class:`ClassMemory`.
    active_losses : set of str
        Names of the losses to compute. Modules that only other losses need are not
        built.
    options : mapping, optional
        Arguments of modules in ``sktext_vq.nn.auxiliary``, by name of the module.
    generator : torch.Generator or None
        Source of initial weights. If None, weights have only names and shapes, and no
        memory.
    """

    selected: Tensor
    mean: Tensor
    scale: Tensor
    class_weight: Tensor | None
    # Parameters that depend on features, classes, channels, groups of channels or the
    # text encoder. A warm start matches them by this table, which any module may
    # define.
    DEPENDS_ON: ClassVar = {
        "class_head": {"classes"},
        "class_head.weight": {"features"},
        "projection.weight": {"features"},
        "back_projection": {"text"},
    }

    def __init__(
        self,
        tokenizer: ShapeTokenizer,
        selected: Tensor,
        mean: Tensor,
        scale: Tensor,
        usage: Tensor,
        *,
        n_classes: int,
        class_weight: Tensor | None = None,
        text_dim: int = 0,
        memory: tuple[Tensor, Tensor, Tensor] | None = None,
        active_losses: set[str],
        options: Mapping[str, Mapping[str, Any]] | None = None,
        generator: torch.Generator | None,
    ) -> None:
        super().__init__()
        dim, n_selected = EMBEDDING_DIM, len(selected)
        self.active_losses = active_losses
        with torch.device("meta"):
            self.class_head = nn.Linear(n_selected, n_classes) if n_classes else None
            self.projection = nn.Linear(n_selected, dim)
            self.text = TextBranch(text_dim, dim) if text_dim else None
            self.back_projection = nn.Linear(dim, text_dim) if text_dim else None
            self.decoder = CodeDecoder(dim, usage, N_POINTS)
        draw_weights(self, generator)
        with torch.no_grad():
            self.decoder.to_z.weight.zero_()  # initially predicts the mean usage
        self.memory = None if memory is None else ClassMemory(*memory)
        self.tokenizer = tokenizer
        self.register_buffer("selected", selected)
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.register_buffer("class_weight", class_weight)
        self.auxiliary = build_modules(self, generator, options or {})

    def standardise(self, features: Tensor) -> Tensor:
        """Standardise selected features, of shape (n_cases, n_selected)."""
        return ((features - self.mean) / self.scale).clamp(-3, 3)

    def embed_series(self, features: Tensor) -> Tensor:
        """Embed series in the joint space.

        Parameters
        ----------
        features : Tensor of shape (n_cases, n_selected)
            Standardised features.

        Returns
        -------
        Tensor of shape (n_cases, dim)
            Unit vectors.
        """
        return F.normalize(self.projection(features), dim=1)

    def embed_text(
        self, texts: Texts, rows: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Embed texts in the joint space, and predict their usage of the codes.

        Parameters
        ----------
        texts : Texts
        rows : Tensor of shape (n_texts,), int64, optional
            Positions of the texts in the class memory, in training.

        Returns
        -------
        embedded : Tensor of shape (n_texts, dim)
            Unit vectors.
        log_usage : Tensor of shape (n_texts, n_groups, n_heads, n_symbols)
        """
        assert self.text is not None
        embedded, _ = self.text(texts)
        return embedded, self._decode_usage(embedded, texts, rows)

    def forward(self, batch: TrainingBatch) -> dict[str, Tensor]:
        """Compute the active losses of a batch by name; see :mod:`losses`."""
        signal = batch.signal or self._tokenize(batch)
        class_logits = None
        if self.class_head is not None and batch.classes is not None:
            class_logits = self.class_head(signal.selected)
        embedded = self.embed_series(signal.selected)
        outputs = Outputs(signal, embedded, class_logits, self._embed_texts(batch))
        found = self._default_losses(batch, outputs)
        for module in self.auxiliary.values():
            found |= module(self, batch, outputs)
        return {name: found[name] for name in found if name in self.active_losses}

    def update_usage(self, batch: TrainingBatch, generator: torch.Generator) -> None:
        """Update the usage of codes by both branches; see :meth:`matches`."""
        codebook = self.tokenizer.codebook
        counts = torch.zeros_like(codebook.usage)
        for branch, vectors, weights in self.matches(batch, generator):
            _, weights = finite_rows(vectors, weights)
            counts[BRANCHES.index(branch)] += weights.to(counts).sum(0)
        codebook.update_usage(counts)

    @torch.no_grad()
    def matches(
        self, batch: TrainingBatch, generator: torch.Generator
    ) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Match series and texts with the codes.

        Parameters
        ----------
        batch : TrainingBatch
            Batch with texts and series, from which windows of all lengths are sampled.
        generator : torch.Generator
            Source of randomness for sampling windows.

        Yields
        ------
        branch : str
            One of ``BRANCHES``.
        vectors : Tensor of shape (n, N_POINTS)
            Matched vectors.
        weights : Tensor of shape (n, n_codes)
            Chosen codes, or probabilities of codes in each head.
        """
        assert batch.series is not None
        codebook = self.tokenizer.codebook
        shapes = self.tokenizer.sample_shapes(batch.series, generator)
        points = F.pad(shapes.T, (0, 0, 0, 1), value=1.0)
        yield "signal", shapes, codebook.assign(codebook.score(points)).T
        for texts, rows in (
            (batch.class_texts, batch.class_rows),
            (batch.captions, None),
        ):
            if texts is None or self.text is None:
                continue
            embedded, log_usage = self.embed_text(texts, rows)
            usage = log_usage.exp().unflatten(3, (LEVEL_BINS, -1))  # n g h l k
            z = self.decoder.tokens(embedded)[..., :N_POINTS]
            # Tokens are scaled to the norm of shapes, because only their directions
            # matter.
            z = F.normalize(z, dim=4) * N_POINTS**0.5
            shape = *usage.shape[:4], codebook.n_heads, usage.shape[4]
            weights = usage.new_zeros(shape)
            for head in range(codebook.n_heads):
                weights[:, :, head, :, head] = usage[:, :, head]
            yield "text", z.flatten(0, 3), weights.flatten(4).flatten(0, 3)

    def _decode_usage(
        self, embedded: Tensor, texts: Texts, rows: Tensor | None
    ) -> Tensor:
        log_usage: Tensor = self.decoder(embedded, self.tokenizer.codebook)
        if self.memory is not None:
            log_usage = self.memory(log_usage, texts.vectors(), rows)
        return log_usage

    def _tokenize(self, batch: TrainingBatch) -> SignalFeatures:
        """Compute features, with gradients, from a part of the windows."""
        assert batch.series is not None
        features, shape_error = self.tokenizer.train_forward(
            batch.series, CODE_TEMPERATURE, batch.first_window
        )
        return SignalFeatures(
            self.standardise(features[:, self.selected]),
            pool_groups(self.tokenizer.usage(features.detach())).flatten(3),
            shape_error,
        )

    def _embed_texts(self, batch: TrainingBatch) -> list[TextOutputs]:
        """Embed class texts and captions, if they describe cases of the batch."""
        found: list[TextOutputs] = []
        if self.text is None:
            return found
        for texts, rows, owner in (
            (batch.class_texts, batch.class_rows, batch.classes),
            (batch.captions, None, batch.caption_of),
        ):
            if texts is None or owner is None or not (owner >= 0).any():
                continue
            embedded, sentences = self.text(texts)
            log_usage = self._decode_usage(embedded, texts, rows)
            found.append(
                TextOutputs(
                    texts, owner, rows is not None, embedded, sentences, log_usage
                )
            )
        return found

    def _default_losses(
        self, batch: TrainingBatch, outputs: Outputs
    ) -> dict[str, Tensor]:
        found = defaultdict(list)
        if outputs.class_logits is not None and batch.classes is not None:
            found["class"] = [
                F.cross_entropy(outputs.class_logits, batch.classes, self.class_weight)
            ]
        for text in outputs.texts:
            described = text.owner >= 0
            owner, usage = text.owner[described], outputs.signal.usage[described]
            weight = self.class_weight if text.are_classes else None
            found["text"].append(
                text_loss(
                    outputs.embedded[described],
                    text.embedded,
                    owner,
                    TEXT_TEMPERATURE,
                    weight,
                    both_ways=not text.are_classes,
                )
            )
            found["codes"].append(code_loss(text.log_usage[owner], usage))
            if "affinity" in self.active_losses:
                found["affinity"].append(
                    text_loss(
                        share_of_codes(usage).sqrt(),
                        (share_of_codes(text.log_usage.exp()) + 1e-9).sqrt(),
                        owner,
                        AFFINITY_TEMPERATURE,
                        weight,
                    )
                )
        # The mean over kinds of text.
        return {name: torch.stack(each).mean() for name, each in found.items()}
