"""Text branch: words become a place in the workspace, and that a use of the codes.

Text has no offset, scale, start or length, only codes `z`. A text does not name one
code but says how often each is used: for every group of channels a distribution over
codes and levels, trained towards the histograms of its series.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sktext_vq.nn.codebook import Codebook

# What a code means beside what it looks like, in so many numbers.
MEANING_DIM = 8
_ATTENTION_HEADS = 4
# Outputs are numbers times this: most numbers are near the middle of their range.
_NUMBER_RANGE = 2.0
_SLOTS = 2  # tokens per patch of digits: one for its shape, one for the rest
PATCH = 8  # values that one patch of digits writes out


class Texts(NamedTuple):
    """Texts as sequences of sentences, and these as sequences of word vectors."""

    words: Tensor  # (n_sentences, n_words, text_dim)
    known: Tensor  # (n_sentences, n_words) bool, False for padding
    sentences: Tensor  # (n_texts, most_sentences) int64, -1 for padding

    def vectors(self) -> Tensor:
        """Mean of the words of each text, of shape (n_texts, text_dim)."""
        words = self.words.masked_fill(~self.known.unsqueeze(2), 0)
        totals, counts = words.sum(1), self.known.sum(1, keepdim=True)
        here = (self.sentences >= 0).unsqueeze(2).to(totals.dtype)
        rows = self.sentences.clamp_min(0)
        return (totals[rows] * here).sum(1) / (counts[rows] * here).sum(1)


class TextBranch(nn.Module):
    """A small transformer over the words of a sentence, and a mean over sentences.

    Parameters
    ----------
    text_dim : int
        Width of word vectors.
    dim : int
        Width of the workspace.
    """

    def __init__(self, text_dim: int, dim: int) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Linear(text_dim, dim), nn.LayerNorm(dim))
        # Dropout would draw from the global random state.
        self.mix = nn.TransformerEncoderLayer(
            dim, _ATTENTION_HEADS, 2 * dim, 0.0, batch_first=True, norm_first=True
        )
        self.leave = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim))

    def forward(self, texts: Texts) -> tuple[Tensor, Tensor]:
        """Place texts in the workspace.

        Returns
        -------
        places : Tensor of shape (n_texts, dim)
            Unit vectors.
        sentences : Tensor of shape (n_sentences, dim)
        """
        # Padding may hold anything, even NaN, which a product with 0 would keep.
        words = texts.words.masked_fill(~texts.known.unsqueeze(2), 0)
        hidden = self.mix(self.enter(words), src_key_padding_mask=~texts.known)
        weight = texts.known.unsqueeze(2).to(hidden.dtype)
        sentences = (hidden * weight).sum(1) / weight.sum(1)
        here = (texts.sentences >= 0).unsqueeze(2).to(sentences.dtype)
        means = (sentences[texts.sentences.clamp_min(0)] * here).sum(1) / here.sum(1)
        return F.normalize(self.leave(means), dim=1), sentences


class CodeDecoder(nn.Module):
    """From the workspace to a use of the codes.

    For each group of channels, level bin and head of the codebook a place is decoded
    into a token `z`. How well codes match it tilts their usual frequency.

    Parameters
    ----------
    dim : int
        Width of the workspace.
    usage : Tensor of shape (n_groups, n_heads, n_levels, codes_per_head)
        Usual frequencies.
    code_dim : int
        Points of a code.
    """

    log_usage: Tensor

    def __init__(self, dim: int, usage: Tensor, code_dim: int) -> None:
        super().__init__()
        n_groups, n_heads, n_levels, size = usage.shape
        self.register_buffer("log_usage", (usage + 1e-4).log())
        self.meanings = nn.Parameter(torch.zeros(n_heads, size, MEANING_DIM))
        self.z_dim = code_dim + MEANING_DIM
        self.to_z = nn.Linear(dim, n_groups * n_heads * n_levels * (self.z_dim + 1))

    def keys(self, codebook: Codebook) -> Tensor:
        """Return what tokens are matched with: shapes and meanings, by head."""
        # Text moves codes by its share in their statistics only: its gradient would
        # let all texts agree on a few codes.
        shapes = codebook.codes.detach().view(*self.meanings.shape[:2], -1)
        return torch.cat([shapes, self.meanings], dim=2)

    def tokens(self, places: Tensor) -> Tensor:
        """Decode places into tokens and, last, the lift of their level.

        Returns
        -------
        Tensor of shape (n, n_groups, n_heads, n_levels, z_dim + 1)
        """
        # Unit vectors have entries far below 1.
        z = self.to_z(places * places.shape[1] ** 0.5)
        return z.view(len(places), *self.log_usage.shape[:3], self.z_dim + 1)

    def forward(self, places: Tensor, codebook: Codebook) -> Tensor:
        """Return log-probabilities of (n, n_groups, n_heads, n_levels * size).

        They are over the levels and codes of a group and head.
        """
        tokens = self.tokens(places)
        z, lift = tokens[..., :-1], tokens[..., -1:]
        scores = torch.einsum("nghlz,hkz->nghlk", z, self.keys(codebook))
        return (self.log_usage + scores + lift).flatten(3).log_softmax(dim=3)


class ClassMemory(nn.Module):
    """Attention over the class texts seen in training.

    An unknown wording is compared with every known one, and what their classes look
    like is mixed into what the network says: the more, the nearer the best of them.

    Parameters
    ----------
    vectors : Tensor of shape (n_texts, text_dim)
        Mean word vectors of the class texts.
    owner : Tensor of shape (n_texts,), int64
        Their classes.
    usage : Tensor of shape (n_classes, n_groups, n_heads, n_symbols)
        How classes use the codes.
    """

    middle: Tensor
    known: Tensor
    owner: Tensor
    usage: Tensor

    def __init__(self, vectors: Tensor, owner: Tensor, usage: Tensor) -> None:
        super().__init__()
        self.register_buffer("middle", vectors.mean(0))
        self.register_buffer("known", F.normalize(vectors - vectors.mean(0), dim=1))
        self.register_buffer("owner", owner)
        self.register_buffer("usage", usage)
        # Sharpness of attention; slope and threshold of trust, in cosines.
        self.sharpness, self.slope, self.threshold = (
            nn.Parameter(torch.tensor(value)) for value in (8.0, 10.0, 0.3)
        )

    def forward(
        self, log_usage: Tensor, vectors: Tensor, itself: Tensor | None = None
    ) -> Tensor:
        """Mix what is remembered into log-probabilities of the same shape.

        Parameters
        ----------
        log_usage : Tensor of shape (n, n_groups, n_heads, n_symbols)
            What the network says.
        vectors : Tensor of shape (n, text_dim)
            Mean word vectors of the texts.
        itself : Tensor of shape (n,), int64, optional
            Which known texts they are, to be left out in training: a text would only
            ever remember itself.
        """
        cosines = F.normalize(vectors - self.middle, dim=1) @ self.known.T
        scores = self.sharpness * cosines
        if itself is not None:
            scores = scores.scatter(1, itself.unsqueeze(1), -torch.inf)
            cosines = cosines.scatter(1, itself.unsqueeze(1), -1.0)
        weights = F.one_hot(self.owner, len(self.usage)).to(cosines.dtype)
        weights = scores.softmax(1) @ weights  # n_texts n_classes
        remembered = torch.einsum("nc,cghs->nghs", weights, self.usage)
        trust = self.slope * (cosines.amax(1) - self.threshold)
        trust = trust.sigmoid()[:, None, None, None]
        return ((1 - trust) * log_usage.exp() + trust * remembered + 1e-6).log()


class DigitBranch(nn.Module):
    """Series written as digits, through the codebook, and back to digits.

    Eight values at a time are a sentence of the text branch. Its tokens are matched
    with the codes; from the codes alone, weighted by how well they match, the digits
    are written again.

    Parameters
    ----------
    symbols : Tensor of shape (n_symbols, text_dim)
        Word vectors of what can be written: of each digit, of "nan", of a comma.
    n_words : int
        Words of a patch.
    n_digits : int
        Digits of a value.
    n_values : int
        Different digits, and one for missing.
    dim : int
        Width of the workspace.
    z_dim, n_heads : int
        Width of tokens, heads of the codebook.
    """

    symbols: Tensor

    def __init__(
        self,
        symbols: Tensor,
        *,
        n_words: int,
        n_digits: int,
        n_values: int,
        dim: int,
        z_dim: int,
        n_heads: int,
    ) -> None:
        super().__init__()
        # An encoder has digits close together: what tells them apart is what counts.
        apart = F.normalize(symbols - symbols.mean(0), dim=1)
        self.register_buffer("symbols", apart * symbols.shape[1] ** 0.5)
        self.n_digits, self.n_values = n_digits, n_values
        self.positions = nn.Parameter(torch.zeros(n_words, dim))
        self.to_z = nn.Linear(n_words * dim, _SLOTS * z_dim)
        self.decode = nn.Sequential(
            nn.Linear(_SLOTS * n_heads * z_dim, 2 * dim),
            nn.GELU(),
            nn.Linear(2 * dim, 2 * PATCH),
        )
        self.sharpness = nn.Parameter(torch.ones(n_digits))

    def forward(
        self, words: Tensor, branch: TextBranch, keys: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Read patches, and say what to write.

        Parameters
        ----------
        words : Tensor of shape (n_patches, n_words), int64
            Indices of symbols.
        branch : TextBranch
        keys : Tensor of shape (n_heads, codes_per_head, z_dim)
            From :meth:`CodeDecoder.keys`.

        Returns
        -------
        numbers : Tensor of shape (n_patches, PATCH)
            What is to be written, 0 to 1 and a little beyond.
        missing : Tensor of shape (n_patches, PATCH)
            Logits that nothing is known.
        usage : Tensor of shape (n_patches, n_heads, codes_per_head)
            Which codes the token of the shape is made of.
        """
        # There are few symbols: each is projected once.
        read = branch.mix(branch.enter(self.symbols)[words] + self.positions)
        # Numbers have a fixed width, so that every word has its place.
        z = self.to_z(read.flatten(1)).view(len(words), _SLOTS, -1)
        scores = torch.einsum("nsz,hkz->nshk", z, keys) * keys.shape[2] ** -0.5
        use = scores.softmax(dim=3)
        mixed = torch.einsum("nshk,hkz->nshz", use, keys)
        numbers, missing = self.decode(mixed.flatten(1)).chunk(2, dim=1)
        # Values are rarely missing: training starts from there.
        return 0.5 + numbers / _NUMBER_RANGE, missing - 5, use[:, 0]

    def write(
        self, numbers: Tensor, missing: Tensor, digits: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Write numbers digit by digit, each given the ones before.

        A digit is the more likely the nearer its middle is to what is left of the
        number.

        Parameters
        ----------
        numbers, missing : Tensor of shape (n_patches, PATCH)
        digits : Tensor of shape (n_patches, PATCH, n_digits), int64, optional
            Right digits, which the next ones are then given.

        Returns
        -------
        logits : Tensor of shape (n_patches, PATCH, n_digits, n_values)
            The last value means missing.
        written : Tensor of shape (n_patches, PATCH, n_digits), int64
            `digits`, or else the most likely ones.
        """
        base = self.n_values - 1
        values = torch.arange(base, device=numbers.device) + 0.5
        left, logits, written = numbers, [], []
        for i in range(self.n_digits):
            left = left * base
            # Differences of squares are linear: all digits would be alike far away.
            near = -self.sharpness[i].abs() * (left.unsqueeze(2) - values).square()
            logits.append(torch.cat([near, missing.unsqueeze(2)], dim=2))
            digit = logits[-1].argmax(2) if digits is None else digits[..., i]
            written.append(digit)
            left = left - digit.clamp_max(base - 1)
        return torch.stack(logits, dim=2), torch.stack(written, dim=2)

    def value(self, digits: Tensor) -> Tensor:
        """Numbers from 0 to 1 that digits of shape (..., n_digits) write."""
        base = float(self.n_values - 1)
        places = base ** -torch.arange(1.0, self.n_digits + 1, device=digits.device)
        return digits.to(places.dtype) @ places + places[-1] / 2
