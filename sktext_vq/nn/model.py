"""The model: a signal branch and a text branch that meet in one space."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sktext_vq.nn.tokens import Batch, ShapeTokenizer

# Straight-through gradients see codes this near to the best one, in units of the
# score <shape, code> - |code|^2 / 2.
CODE_TEMPERATURE = 0.5
TEXT_TEMPERATURE = 0.1


class Output(NamedTuple):
    """What the model says of a batch of series in training."""

    class_logits: Tensor | None  # (n_cases, n_classes)
    embedding: Tensor | None  # (n_cases, space_dim), normalised
    shape_error: Tensor  # mean squared distance of windows from their codes


class DualBranchModel(nn.Module):
    """Histograms of tokens, a class head, and a space shared with text.

    Parameters
    ----------
    tokenizer : ShapeTokenizer
        Fitted.
    kept : Tensor of shape (n_kept,), int64
        Which features of the flattened histograms the heads see.
    mean, scale : Tensor of shape (n_kept,)
        To standardise these.
    n_classes : int
        0 where there are no classes.
    text_dim : int
        Width of text embeddings; 0 where there is no text.
    space_dim : int
        Width of the shared space.
    generator : torch.Generator
        For the weights at the start.
    """

    kept: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        tokenizer: ShapeTokenizer,
        kept: Tensor,
        mean: Tensor,
        scale: Tensor,
        *,
        n_classes: int,
        text_dim: int,
        space_dim: int = 128,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.register_buffer("kept", kept)
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.class_head: nn.Linear | None = None
        if n_classes:
            self.class_head = _linear(len(kept), n_classes, generator)
        self.signal_projection: nn.Linear | None = None
        self.text_projection: nn.Linear | None = None
        if text_dim:
            self.signal_projection = _linear(len(kept), space_dim, generator)
            self.text_projection = _linear(text_dim, space_dim, generator)

    def standardise(self, features: Tensor) -> Tensor:
        """Pick and standardise features of shape (n_cases, *layout)."""
        picked = features.flatten(1)[:, self.kept]
        return ((picked - self.mean) / self.scale).clamp(-3, 3)

    def embed_text(self, embeddings: Tensor) -> Tensor:
        """Return unit vectors of texts in the shared space, from their embeddings."""
        assert self.text_projection is not None
        return F.normalize(self.text_projection(embeddings), dim=1)

    def forward(self, batch: Batch, first: int, step: int) -> Output:
        """Run the signal branch for training, on a part of the windows."""
        features, shape_error = self.tokenizer.train_forward(
            batch, CODE_TEMPERATURE, first, step
        )
        picked = self.standardise(features)
        embedding = None
        if self.signal_projection is not None:
            embedding = F.normalize(self.signal_projection(picked), dim=1)
        class_logits = None if self.class_head is None else self.class_head(picked)
        return Output(class_logits, embedding, shape_error)


def _linear(n_in: int, n_out: int, generator: torch.Generator) -> nn.Linear:
    """Linear layer that draws its weights from a generator of its own."""
    layer = nn.Linear(n_in, n_out, device="meta").to_empty(device="cpu")
    with torch.no_grad():
        layer.weight.normal_(0, n_in**-0.5, generator=generator)
        layer.bias.zero_()
    return layer
