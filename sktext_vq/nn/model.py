"""Network with a signal branch and a text branch, initialised in closed form."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sktext_vq.nn.auxiliary import build_modules
from sktext_vq.nn.batches import Outputs, SignalFeatures, TextOutputs, TrainingBatch
from sktext_vq.nn.codebook import BRANCHES, CODE_TEMPERATURE, finite_rows
from sktext_vq.nn.constants import N_POINTS
from sktext_vq.nn.losses import code_loss, text_loss
from sktext_vq.nn.text_branch import CodeDecoder, TextBranch
from sktext_vq.nn.tokenizer import ShapeTokenizer
from sktext_vq.nn.usage import share_of_codes

TEXT_TEMPERATURE = 0.1
AFFINITY_TEMPERATURE = 0.02  # affinities of code usage are between .9 and 1
_CLIP = 3.0  # standard deviations


class DualBranchModel(nn.Module):
    """Network that predicts classes and embeds series and texts in a joint space.

    Parameters
    ----------
    tokenizer : ShapeTokenizer
        Fitted tokenizer.
    selected : Tensor of shape (n_selected,), int64
        Indices of the features that are inputs of the linear maps.
    scaler : Tensor of shape (3, n_selected)
        Mean, standard deviation and weight of the selected features.
    head : tuple of Tensors, optional
        Initial weights, of shape (n_classes, n_selected), initial intercepts, and
        constants that are added to the logits.
    space : tuple of Tensors, optional
        Initial maps to the joint embedding space of series and captions: weights of
        shape (dim, n_selected) and intercepts for series; mean text vector and weights
        of shape (text_dim, dim) for captions.
    text_dim : int
        Dimension of text vectors; 0 if no text is used.
    class_weight : Tensor of shape (n_classes,), optional
        Weights of classes in the losses.
    active_losses : set of str
        Names of the losses to compute. Modules required only by other losses are
        not built.
    options : mapping, optional
        Arguments of the modules in ``sktext_vq.nn.auxiliary``, by module name.
    generator : torch.Generator
        Random generator for weights that are not initialised in closed form.
    """

    selected: Tensor
    scaler: Tensor
    offset: Tensor
    class_weight: Tensor | None

    def __init__(
        self,
        tokenizer: ShapeTokenizer,
        selected: Tensor,
        scaler: Tensor,
        *,
        head: tuple[Tensor, Tensor, Tensor] | None = None,
        space: tuple[Tensor, Tensor, Tensor, Tensor] | None = None,
        text_dim: int = 0,
        class_weight: Tensor | None = None,
        active_losses: set[str],
        options: Mapping[str, Mapping[str, Any]] | None = None,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.active_losses = active_losses
        self.tokenizer = tokenizer
        self.register_buffer("selected", selected)
        self.register_buffer("scaler", scaler)
        self.register_buffer("class_weight", class_weight)
        self.head = self.projection = self.text = self.decoder = None
        if head is not None:
            weight, bias, offset = head
            self.head = _linear(weight, bias)
            self.register_buffer("offset", offset)
        if space is not None:
            weight, bias, *text = space
            self.projection = _linear(weight, bias)
            self.text = TextBranch(*text)
        if text_dim:
            codebook = tokenizer.codebook
            self.decoder = CodeDecoder(
                text_dim, codebook.n_codes, codebook.n_heads, N_POINTS, generator
            )
        self.auxiliary = build_modules(self, generator, options or {})

    def forward(self, batch: TrainingBatch) -> dict[str, Tensor]:
        """Compute the active losses of a batch, by name."""
        signal = batch.signal or self._tokenize(batch)
        logits = embedded = None
        if self.head is not None:
            logits = self.head(signal.selected) + self.offset
        if self.projection is not None:
            embedded = self.embed_series(signal.selected)
        outputs = Outputs(signal, embedded, logits, self._embed_texts(batch))
        found = self._default_losses(batch, outputs)
        for module in self.auxiliary.values():
            found |= module(self, batch, outputs)
        return {name: found[name] for name in found if name in self.active_losses}

    def embed_series(self, features: Tensor) -> Tensor:
        """Embed series as unit vectors of shape (n_cases, dim).

        Features must be scaled and of shape (n_cases, n_selected).
        """
        assert self.projection is not None
        return F.normalize(self.projection(features), dim=1)

    def update_usage(self, batch: TrainingBatch, generator: torch.Generator) -> None:
        """Update the average usage of the codes by both branches."""
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
            Batch with texts, and with series from which windows of all lengths are
            sampled.
        generator : torch.Generator
            Random generator for the sample of windows.

        Yields
        ------
        branch : str
            One of ``BRANCHES``.
        vectors : Tensor of shape (n, N_POINTS)
            Matched vectors: windows, or shapes predicted from texts.
        weights : Tensor of shape (n, n_codes)
            1 for the chosen codes, or probabilities of the codes in each head.
        """
        assert batch.series is not None
        codebook = self.tokenizer.codebook
        shapes = self.tokenizer.sample_shapes(batch.series, generator)
        points = F.pad(shapes.T, (0, 0, 0, 1), value=1.0)
        yield "signal", shapes, codebook.assign(codebook.score(points)).T
        for text in self._embed_texts(batch):
            shares = text.log_shares.exp()
            by_head = shares.unflatten(1, (codebook.n_heads, -1))
            by_head = by_head / by_head.sum(2, keepdim=True)
            codes = codebook.codes.view(codebook.n_heads, -1, N_POINTS)
            mean = torch.einsum("nhk,hkp->nhp", by_head, codes)
            # Only the direction is predicted, so vectors are scaled to the norm of
            # shapes.
            mean = F.normalize(mean, dim=2) * N_POINTS**0.5
            weights = torch.stack([torch.block_diag(*each) for each in by_head])
            yield "text", mean.flatten(0, 1), weights.flatten(0, 1)

    def _tokenize(self, batch: TrainingBatch) -> SignalFeatures:
        """Compute features, with gradients, from a subset of the windows."""
        assert batch.series is not None
        features, shape_error = self.tokenizer.train_forward(
            batch.series, CODE_TEMPERATURE, batch.first_window
        )
        mean, scale, weight = self.scaler
        scaled = ((features[:, self.selected] - mean) / scale).clamp(-_CLIP, _CLIP)
        usage = self.tokenizer.usage(features.detach()).flatten(3)
        return SignalFeatures(scaled * weight, share_of_codes(usage), shape_error)

    def _embed_texts(self, batch: TrainingBatch) -> list[TextOutputs]:
        """Embed the class texts and captions that describe cases in the batch."""
        found: list[TextOutputs] = []
        if self.decoder is None:
            return found
        for texts, owner, are_classes in (
            (batch.class_texts, batch.classes, True),
            (batch.captions, batch.caption_of, False),
        ):
            if texts is None or owner is None:
                continue
            log_shares = self.decoder(texts, self.tokenizer.codebook)
            embedded = None
            if self.text is not None and not are_classes:
                embedded = self.text(texts)
            found.append(TextOutputs(texts, owner, are_classes, embedded, log_shares))
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
            shares, owner = outputs.signal.shares, text.owner
            weight = self.class_weight if text.are_classes else None
            if text.embedded is not None and outputs.embedded is not None:
                found["text"].append(
                    text_loss(
                        outputs.embedded,
                        text.embedded,
                        owner,
                        TEXT_TEMPERATURE,
                        both_ways=True,
                    )
                )
            found["codes"].append(code_loss(text.log_shares[owner], shares))
            if "affinity" in self.active_losses:
                found["affinity"].append(
                    text_loss(
                        shares.sqrt(),
                        (text.log_shares.exp() + 1e-9).sqrt(),
                        owner,
                        AFFINITY_TEMPERATURE,
                        weight,
                    )
                )
        # Mean over class texts and captions.
        return {name: torch.stack(each).mean() for name, each in found.items()}


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    """Return a linear layer with given weights."""
    n_outputs, n_inputs = weight.shape
    layer = nn.Linear(n_inputs, n_outputs, device="meta")
    layer.weight = nn.Parameter(weight.clone())
    layer.bias = nn.Parameter(bias.clone())
    return layer
