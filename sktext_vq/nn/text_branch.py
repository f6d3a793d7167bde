"""Text branch: from words to the joint embedding space and to codes.

Tokens of texts have no offset, scale, start or length, only vectors `z`. The usage of
codes is predicted from a text: a distribution over codes and levels for each group of
channels, with the histograms of the series as target.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sktext_vq.nn.codebook import Codebook

# Number of learned values per code, in addition to its shape.
MEANING_DIM = 8
_ATTENTION_HEADS = 4


class Texts(NamedTuple):
    """Texts as sequences of sentences, which are sequences of word vectors."""

    words: Tensor  # (n_sentences, n_words, text_dim)
    known: Tensor  # (n_sentences, n_words) bool, False for padding
    sentences: Tensor  # (n_texts, most_sentences) int64, -1 for padding

    def vectors(self) -> Tensor:
        """Return the mean word vector of each text, of shape (n_texts, text_dim)."""
        words = self.words.masked_fill(~self.known.unsqueeze(2), 0)
        totals, counts = words.sum(1), self.known.sum(1, keepdim=True)
        here = (self.sentences >= 0).unsqueeze(2).to(totals.dtype)
        rows = self.sentences.clamp_min(0)
        return (totals[rows] * here).sum(1) / (counts[rows] * here).sum(1)


class TextBranch(nn.Module):
    """Transformer layer over the words of each sentence, and mean over sentences.

    Parameters
    ----------
    text_dim : int
        Width of word vectors.
    dim : int
        Width of the joint embedding space.
    """

    DEPENDS_ON: ClassVar = {"": {"text"}}

    def __init__(self, text_dim: int, dim: int) -> None:
        super().__init__()
        self.input_projection = nn.Sequential(
            nn.Linear(text_dim, dim), nn.LayerNorm(dim)
        )
        # No dropout, because it would draw from the global random state.
        self.mix = nn.TransformerEncoderLayer(
            dim, _ATTENTION_HEADS, 2 * dim, 0.0, batch_first=True, norm_first=True
        )
        self.output_projection = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim))

    def forward(self, texts: Texts) -> tuple[Tensor, Tensor]:
        """Embed texts in the joint space.

        Returns
        -------
        embedded : Tensor of shape (n_texts, dim)
            Unit vectors.
        sentences : Tensor of shape (n_sentences, dim)
        """
        # Padding may contain NaN, which multiplication by 0 would keep.
        words = texts.words.masked_fill(~texts.known.unsqueeze(2), 0)
        hidden = self.mix(
            self.input_projection(words), src_key_padding_mask=~texts.known
        )
        weight = texts.known.unsqueeze(2).to(hidden.dtype)
        sentences = (hidden * weight).sum(1) / weight.sum(1)
        here = (texts.sentences >= 0).unsqueeze(2).to(sentences.dtype)
        means = (sentences[texts.sentences.clamp_min(0)] * here).sum(1) / here.sum(1)
        return F.normalize(self.output_projection(means), dim=1), sentences


class CodeDecoder(nn.Module):
    """Predict the usage of codes from embeddings.

    For each group of channels, level bin and head of the codebook, an embedding is
    decoded into a token `z`. The mean frequency of each code is multiplied by a factor
    that depends on how well the code matches the token.

    Parameters
    ----------
    dim : int
        Width of the joint embedding space.
    usage : Tensor of shape (n_groups, n_heads, n_levels, codes_per_head)
        Mean usage of the codes.
    code_dim : int
        Points of a code.
    """

    log_usage: Tensor
    DEPENDS_ON: ClassVar = {"to_z": {"groups"}}

    def __init__(self, dim: int, usage: Tensor, code_dim: int) -> None:
        super().__init__()
        n_groups, n_heads, n_levels, size = usage.shape
        self.register_buffer("log_usage", (usage + 1e-4).log())
        self.meanings = nn.Parameter(torch.zeros(n_heads, size, MEANING_DIM))
        self.z_dim = code_dim + MEANING_DIM
        self.to_z = nn.Linear(dim, n_groups * n_heads * n_levels * (self.z_dim + 1))

    def keys(self, codebook: Codebook) -> Tensor:
        """Return the keys of tokens by head: shapes and learned values of the codes."""
        # Text changes codes only through the moving averages. With its gradient, all
        # texts would use the same few codes.
        shapes = codebook.codes.detach().view(*self.meanings.shape[:2], -1)
        return torch.cat([shapes, self.meanings], dim=2)

    def tokens(self, embedded: Tensor) -> Tensor:
        """Decode embeddings into tokens, with the lift of the level as last value.

        Returns
        -------
        Tensor of shape (n, n_groups, n_heads, n_levels, z_dim + 1)
        """
        # Scaled, because the entries of unit vectors are far below 1.
        z = self.to_z(embedded * embedded.shape[1] ** 0.5)
        return z.view(len(embedded), *self.log_usage.shape[:3], self.z_dim + 1)

    def forward(self, embedded: Tensor, codebook: Codebook) -> Tensor:
        """Return log-probabilities of shape (n, n_groups, n_heads, n_levels * size).

        Each distribution is over the levels and codes of one group and head.
        """
        tokens = self.tokens(embedded)
        z, lift = tokens[..., :-1], tokens[..., -1:]
        scores = torch.einsum("nghlz,hkz->nghlk", z, self.keys(codebook))
        return (self.log_usage + scores + lift).flatten(3).log_softmax(dim=3)


class ClassMemory(nn.Module):
    """Attention over the class texts seen in training.

    A text is compared with all class texts seen in training, and the usage of codes of
    their classes is mixed into the prediction of the network. The weight of the memory
    increases with the similarity of the most similar class text.

    Parameters
    ----------
    vectors : Tensor of shape (n_texts, text_dim)
        Mean word vectors of the class texts.
    owner : Tensor of shape (n_texts,), int64
        Class of each text.
    usage : Tensor of shape (n_classes, n_groups, n_heads, n_symbols)
        Usage of the codes by each class.
    """

    middle: Tensor
    known: Tensor
    owner: Tensor
    usage: Tensor
    DEPENDS_ON: ClassVar = {"": {"text"}}

    def __init__(self, vectors: Tensor, owner: Tensor, usage: Tensor) -> None:
        super().__init__()
        self.register_buffer("middle", vectors.mean(0))
        self.register_buffer("known", F.normalize(vectors - vectors.mean(0), dim=1))
        self.register_buffer("owner", owner)
        self.register_buffer("usage", usage)
        # Inverse temperature of the attention; slope and threshold of the weight of the
        # memory, in cosines.
        self.inverse_temperature, self.slope, self.threshold = (
            nn.Parameter(torch.tensor(value)) for value in (8.0, 10.0, 0.3)
        )

    def forward(
        self, log_usage: Tensor, vectors: Tensor, itself: Tensor | None = None
    ) -> Tensor:
        """Mix the usage of similar classes into log-probabilities.

        Parameters
        ----------
        log_usage : Tensor of shape (n, n_groups, n_heads, n_symbols)
            Predictions of the network.
        vectors : Tensor of shape (n, text_dim)
            Mean word vectors of the texts.
        itself : Tensor of shape (n,), int64, optional
            Positions of the texts in the memory, in training. They are excluded from
            the attention, because each text is most similar to itself.
        """
        cosines = F.normalize(vectors - self.middle, dim=1) @ self.known.T
        scores = self.inverse_temperature * cosines
        if itself is not None:
            scores = scores.scatter(1, itself.unsqueeze(1), -torch.inf)
            cosines = cosines.scatter(1, itself.unsqueeze(1), -1.0)
        weights = F.one_hot(self.owner, len(self.usage)).to(cosines.dtype)
        weights = scores.softmax(1) @ weights  # n_texts n_classes
        remembered = torch.einsum("nc,cghs->nghs", weights, self.usage)
        trust = self.slope * (cosines.amax(1) - self.threshold)
        trust = trust.sigmoid()[:, None, None, None]
        return ((1 - trust) * log_usage.exp() + trust * remembered + 1e-6).log()
