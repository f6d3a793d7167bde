"""Text branch: maps from sentence embeddings to the joint space and to codes."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sktext_vq.nn.codebook import Codebook

# Number of learned values per code, in addition to its shape.
MEANING_DIM = 8


class Texts(NamedTuple):
    """Texts as sequences of sentences with frozen embeddings."""

    vectors: Tensor  # (n_texts, text_dim), means over sentences
    usage: Tensor  # (n_texts, n_codes), code shares in closed form
    rows: Tensor  # (n_texts, most_sentences) int64, -1 for padding
    sentences: Tensor  # (n_sentences, text_dim), unit vectors

    def take(self, texts: Tensor) -> Texts:
        """Return a subset of the texts with the embeddings of all sentences."""
        return Texts(
            self.vectors[texts], self.usage[texts], self.rows[texts], self.sentences
        )


class TextBranch(nn.Module):
    """Linear map of centred text vectors to the joint embedding space.

    Parameters
    ----------
    mean : Tensor of shape (text_dim,)
        Mean text vector.
    weight : Tensor of shape (text_dim, dim)
        Initial weights.
    """

    mean: Tensor

    def __init__(self, mean: Tensor, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.weight = nn.Parameter(weight.clone())

    def forward(self, texts: Texts) -> Tensor:
        """Embed texts as unit vectors, of shape (n_texts, dim)."""
        return F.normalize((texts.vectors - self.mean) @ self.weight, dim=1)


class CodeDecoder(nn.Module):
    """Correct the code shares that the closed form predicts for a text.

    A text is mapped to a vector `z` for each head of the codebook. The predicted share
    of each code is multiplied by a factor that increases with the inner product of `z`
    and the code. Before training, all factors are 1.

    Parameters
    ----------
    text_dim, n_codes, n_heads, code_dim : int
        Sizes of text vectors and of the codebook.
    generator : torch.Generator
        Random generator for the initial weights.
    """

    def __init__(
        self,
        text_dim: int,
        n_codes: int,
        n_heads: int,
        code_dim: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        meanings = torch.randn(n_codes, MEANING_DIM, generator=generator)
        self.meanings = nn.Parameter(meanings.view(n_heads, -1, MEANING_DIM))
        size = n_heads * (code_dim + MEANING_DIM)
        self.to_z = nn.Parameter(torch.zeros(text_dim + 1, size))

    def lift(self, codebook: Codebook) -> Tensor:
        """Return the linear map from texts to log factors.

        The shape is (text_dim + 1, n_codes). The last row contains the intercepts.
        """
        # Codes are detached, so that texts change codes through moving averages only.
        # With gradients, all texts would use the same few codes.
        codes = codebook.codes.detach().view(*self.meanings.shape[:2], -1)
        keys = torch.cat([codes, self.meanings], dim=2)  # head, code, value
        z = self.to_z.view(len(self.to_z), len(keys), -1)
        return torch.einsum("dhz,hkz->dhk", z, keys).flatten(1)

    def forward(self, texts: Texts, codebook: Codebook) -> Tensor:
        """Return logarithms of code shares, of shape (n_texts, n_codes)."""
        lift = self.lift(codebook)
        change = texts.vectors @ lift[:-1] + lift[-1]
        return (texts.usage.log() + change).log_softmax(dim=1)
