"""Cross-attention between series and texts, used in training only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sktext_vq.nn.batches import Outputs, TrainingBatch
from sktext_vq.nn.constants import N_POINTS
from sktext_vq.nn.initialisation import initialise_weights
from sktext_vq.nn.losses import empty_loss

if TYPE_CHECKING:
    from sktext_vq.nn.model import DualBranchModel

_WIDTH, _ATTENTION_HEADS = 64, 4


class Fusion(nn.Module):
    """Cross-attention from signal to text and from text to signal.

    Keys are sequences, because attention to a single key does not depend on the query.
    Texts must be the same for all cases (prompts of all classes) or be derived from the
    series (captions), because the prompt of the true class alone would leak the label.
    If text is dropped, it is replaced by a learned null token.

    Parameters
    ----------
    dim : int
        Dimension of tokens.
    n_classes : int
    """

    def __init__(self, dim: int, n_classes: int) -> None:
        super().__init__()
        self.share = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim))
        self.null = nn.Parameter(torch.zeros(1, 1, dim))
        self.signal_asks, self.text_asks = (
            nn.MultiheadAttention(dim, _ATTENTION_HEADS, batch_first=True)
            for _ in range(2)
        )
        self.signal_out, self.text_out = (
            nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim), nn.GELU())
            for _ in range(2)
        )
        self.signal_head, self.text_head = (nn.Linear(dim, n_classes) for _ in range(2))

    def forward(
        self,
        signal: Tensor,
        signal_known: Tensor,
        text: Tensor,
        text_known: Tensor,
        keep_text: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Compute the logits of the classes for both directions of attention.

        Parameters
        ----------
        signal : Tensor of shape (n_cases, n_signal_tokens, dim)
        signal_known : Tensor of shape (n_cases, n_signal_tokens), bool
            False for padding.
        text : Tensor of shape (n_cases, n_text_tokens, dim)
        text_known : Tensor of shape (n_cases, n_text_tokens), bool
        keep_text : Tensor of shape (n_cases,), bool
            Whether the text of a case is used; otherwise the null token is used.

        Returns
        -------
        signal_logits, text_logits : Tensor of shape (n_cases, n_classes)
            Logits of the head for signal tokens that attend to text, and of the head
            for text tokens that attend to the signal.
        """
        signal = self.share(signal.masked_fill(~signal_known.unsqueeze(2), 0))
        text = self.share(text.masked_fill(~text_known.unsqueeze(2), 0))
        null = self.null.expand(len(text), 1, -1)
        text = torch.cat([null, text], dim=1)
        text_known = text_known & keep_text.unsqueeze(1)
        text_known = torch.cat([~keep_text.unsqueeze(1), text_known], dim=1)
        from_text, _ = self.signal_asks(
            signal, text, text, key_padding_mask=~text_known, need_weights=False
        )
        from_signal, _ = self.text_asks(
            text, signal, signal, key_padding_mask=~signal_known, need_weights=False
        )
        return (
            self.signal_head(_mean(self.signal_out(signal + from_text), signal_known)),
            self.text_head(_mean(self.text_out(text + from_signal), text_known)),
        )


def _mean(tokens: Tensor, known: Tensor) -> Tensor:
    weight = known.unsqueeze(2).to(tokens.dtype)
    return (tokens * weight).sum(1) / weight.sum(1).clamp_min(1)


class CrossAttention(nn.Module):
    """Classify cases by segments and sentences that attend to each other."""

    def __init__(self, text_dim: int, n_classes: int, n_channels: int) -> None:
        super().__init__()
        self.fusion = Fusion(_WIDTH, n_classes)
        self.token_projection = nn.Linear(N_POINTS + 4, _WIDTH)
        self.text_projection = nn.Linear(text_dim, _WIDTH)
        self.channel_embedding = nn.Embedding(n_channels, _WIDTH)

    def forward(
        self, model: DualBranchModel, batch: TrainingBatch, outputs: Outputs
    ) -> dict[str, Tensor]:
        """Compute the losses "fused" and "distillation" of a batch."""
        segments = batch.segments
        if segments is None or outputs.tokens is None or not outputs.texts:
            return {}
        assert batch.classes is not None and outputs.class_logits is not None
        tokens, known = outputs.tokens
        n_cases, n_channels = segments.series.shape[:2]
        channel = torch.arange(n_channels, device=tokens.device)
        channel = channel.repeat_interleave(known.shape[1] // n_channels)
        signal = self.token_projection(tokens) + self.channel_embedding(channel)
        # Prompts of all classes are the same for every case; captions differ by case.
        rows = [
            text.texts.rows.flatten().expand(n_cases, -1)
            if text.are_classes
            else text.texts.rows[text.owner[segments.case]]
            for text in outputs.texts
        ]
        sentences = torch.cat(rows, dim=1)
        words = outputs.texts[0].texts.sentences[sentences.clamp_min(0)]
        logits = self.fusion(
            signal,
            known,
            self.text_projection(words),
            sentences >= 0,
            segments.keep_text,
        )
        classes = batch.classes[segments.case]
        weight = model.class_weight
        return {
            "fused": sum(
                (F.cross_entropy(each, classes, weight) for each in logits),
                start=logits[0].new_zeros(()),
            ),
            "distillation": distillation_loss(
                outputs.class_logits[segments.case], (logits[0] + logits[1]) / 2
            ),
        }


def build(
    model: DualBranchModel,
    generator: torch.Generator,
    options: Mapping[str, Any],
) -> CrossAttention | None:
    """Build the module if the model has text and classes."""
    if model.decoder is None or model.head is None:
        return None
    with torch.device("meta"):
        module = CrossAttention(
            len(model.decoder.to_z) - 1,
            model.head.out_features,
            model.tokenizer.n_channels,
        )
    initialise_weights(module, generator)
    return module


def distillation_loss(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float = 2.0
) -> Tensor:
    """Compute the Kullback-Leibler divergence of a student from a teacher.

    Parameters
    ----------
    student_logits, teacher_logits : Tensor of shape (n_cases, n_classes)
    temperature : float, default=2.0
        Divisor of the logits. The loss is multiplied by the square of the temperature,
        so that the size of gradients does not depend on the temperature.

    Returns
    -------
    Tensor, scalar
        Mean over cases.

    References
    ----------
    Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015.
    """
    if student_logits.numel() == 0:
        return empty_loss(student_logits)
    student = (student_logits / temperature).log_softmax(1)
    teacher = (teacher_logits.detach() / temperature).log_softmax(1)
    divergence = F.kl_div(student, teacher, reduction="batchmean", log_target=True)
    return temperature**2 * divergence
