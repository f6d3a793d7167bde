"""Cross-attention of both branches, for training: prediction does without."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_ATTENTION_HEADS = 4


class Fusion(nn.Module):
    """Signal asks text, text asks signal, and a head on each answer.

    Keys are sequences: with a single key attention ignores what is asked. What is
    given as text has to be the same for all cases (prompts of every class) or come from
    the series itself (captions): a prompt of the right class alone would give the
    class away. Where text is left out, a learned null token takes its place.

    Parameters
    ----------
    dim : int
        Width of tokens.
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
        """Let the branches ask each other.

        Parameters
        ----------
        signal : Tensor of shape (n_cases, n_signal_tokens, dim)
        signal_known : Tensor of shape (n_cases, n_signal_tokens), bool
            False for padding.
        text : Tensor of shape (n_cases, n_text_tokens, dim)
        text_known : Tensor of shape (n_cases, n_text_tokens), bool
        keep_text : Tensor of shape (n_cases,), bool
            Cases whose text is used; the others see the null token.

        Returns
        -------
        signal_logits, text_logits : Tensor of shape (n_cases, n_classes)
            Of the head on what signal tokens learned from text, and the other way.
        """
        signal = self.share(signal.masked_fill(~signal_known.unsqueeze(2), 0))
        text = self.share(text.masked_fill(~text_known.unsqueeze(2), 0))
        null = self.null.expand(len(text), 1, -1)
        text = torch.cat([null, text], dim=1)
        text_known = text_known & keep_text.unsqueeze(1)
        text_known = torch.cat([~keep_text.unsqueeze(1), text_known], dim=1)
        heard, _ = self.signal_asks(
            signal, text, text, key_padding_mask=~text_known, need_weights=False
        )
        told, _ = self.text_asks(
            text, signal, signal, key_padding_mask=~signal_known, need_weights=False
        )
        return (
            self.signal_head(_mean(self.signal_out(signal + heard), signal_known)),
            self.text_head(_mean(self.text_out(text + told), text_known)),
        )


def _mean(tokens: Tensor, known: Tensor) -> Tensor:
    weight = known.unsqueeze(2).to(tokens.dtype)
    return (tokens * weight).sum(1) / weight.sum(1).clamp_min(1)
