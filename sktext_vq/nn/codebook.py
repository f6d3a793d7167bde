"""The shared codebook: abstract shapes of eight points, in heads of a few codes."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BRANCHES = ("signal", "text")

MIN_CODES_PER_HEAD = 16

# Maximum distance of a code from the window that it was seeded with, as a share of its
# norm. Shapes of codes that move farther do not occur in the data.
MAX_SHIFT = 0.15

# Straight-through gradients see codes this near to the best one, in units of the
# score <shape, code> - |code|^2 / 2.
CODE_TEMPERATURE = 0.5

_MIN_COLUMNS = 32
_DECAY = 0.99  # of the average usage, per update
_USED = 0.1  # of the share that each code would get if all were used alike


def count_heads(n_codes: int) -> int:
    """Return how many heads of equal size share ``n_codes``.

    A window is matched once per head, so that several small heads describe it by
    several shapes; heads of fewer than 16 codes describe it too coarsely.
    """
    most = max(1, n_codes // MIN_CODES_PER_HEAD)
    return max(heads for heads in range(1, most + 1) if n_codes % heads == 0)


class Codebook(nn.Module):
    """Codes that tokens of every branch are matched with.

    Parameters
    ----------
    n_codes : int
        Number of codes.
    code_dim : int
        Points of a code.

    Attributes
    ----------
    seeds : Tensor of shape (n_codes, code_dim)
        Codes before training: real windows, scaled.
    shift : Parameter of shape (n_codes, code_dim)
        What training learns, bounded to ``MAX_SHIFT`` of a code's length.
    usage : Tensor of shape (2, n_codes), float64
        Moving average of the share of each branch's matches that each code got, in the
        order of ``BRANCHES``; 0 before the first update.
    n_heads : int
        Codes ``k * n_codes / n_heads`` and following form head ``k``.
    """

    seeds: Tensor
    usage: Tensor

    def __init__(self, n_codes: int, code_dim: int) -> None:
        super().__init__()
        self.n_heads = count_heads(n_codes)
        self.register_buffer("seeds", torch.zeros(n_codes, code_dim))
        self.shift = nn.Parameter(torch.zeros(n_codes, code_dim))
        self.register_buffer(
            "usage", torch.zeros(len(BRANCHES), n_codes, dtype=torch.float64)
        )

    @property
    def n_codes(self) -> int:
        """Number of codes over all heads."""
        return len(self.seeds)

    @property
    def codes(self) -> Tensor:
        """Codes as trained, of shape (n_codes, code_dim), each with mean zero."""
        reach = MAX_SHIFT * self.seeds.norm(dim=1, keepdim=True)
        shift = self.shift - self.shift.mean(1, keepdim=True)
        # Shortens a shift smoothly to less than `reach`, whatever its direction.
        return self.seeds + reach * shift / (1 + shift.square().sum(1, True)).sqrt()

    def seed(self, shapes: Tensor, generator: torch.Generator) -> None:
        """Choose the codes among real windows, by k-means++ in each head.

        Parameters
        ----------
        shapes : Tensor of shape (n_windows, code_dim)
            Scaled windows of the training series.
        generator : torch.Generator
            Source of randomness; the global one is left alone.

        References
        ----------
        Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding",
        SODA 2007; here by the root of the distance in place of its square, which gives
        frequent shapes more codes, so that codes are used more evenly. No Lloyd steps
        follow: real windows classify better than means.
        """
        size = self.n_codes // self.n_heads
        heads = []
        for _ in range(self.n_heads):
            order = torch.randperm(len(shapes), generator=generator)
            heads.append(_plus_plus(shapes[order[:2048]], size, generator))
        self.seeds.copy_(torch.cat(heads))

    def copy_codes(self, other: Codebook) -> None:
        """Copy the codes of another codebook, without its usage."""
        with torch.no_grad():
            self.seeds.copy_(other.seeds)
            self.shift.copy_(other.shift)

    def score(self, points: Tensor) -> Tensor:
        """Score codes against windows, in one matrix product.

        Parameters
        ----------
        points : Tensor of shape (code_dim + 1, ...)
            Scaled windows, and a last row of ones.

        Returns
        -------
        Tensor of shape (n_codes, ...)
            ``<shape, code> - |code|^2 / 2``, which is largest for the nearest code.
        """
        codes = self.codes
        half_norm = 0.5 * codes.square().sum(1, keepdim=True)
        columns = points.flatten(1)
        n_columns = columns.shape[1]
        # Products with few columns are rounded differently from those with many.
        if n_columns < _MIN_COLUMNS:
            columns = F.pad(columns, (0, _MIN_COLUMNS - n_columns))
        scores = torch.cat([codes, -half_norm], dim=1) @ columns
        return scores[:, :n_columns].reshape(-1, *points.shape[1:])

    def assign(self, scores: Tensor, temperature: float | None = None) -> Tensor:
        """Choose one code per head. Reads and writes no state.

        Parameters
        ----------
        scores : Tensor of shape (n_codes, ...)
            From :meth:`score`; overwritten unless `temperature` is given.
        temperature : float, optional
            If given, gradients pass straight through to a softmax over the codes of
            a head, as in van den Oord et al., NeurIPS 2017 and Jang et al., ICLR 2017.

        Returns
        -------
        Tensor of shape (n_codes, ...)
            1 for chosen codes, else 0.
        """
        heads = scores.unflatten(0, (self.n_heads, -1))
        best = heads.amax(dim=1, keepdim=True)
        if temperature is None:
            # A comparison written as float is several times faster than an argmax.
            return torch.ge(heads, best, out=heads).flatten(0, 1)
        soft = torch.softmax(heads / temperature, dim=1)
        hard = (heads.detach() >= best.detach()).to(soft.dtype)
        return (hard + soft - soft.detach()).flatten(0, 1)

    def update_usage(self, counts: Tensor) -> None:
        """Move the average usage towards the shares of new matches.

        Parameters
        ----------
        counts : Tensor of shape (2, n_codes), float64
            Matches of each branch; a branch without any keeps its average.
        """
        totals = counts.sum(1)
        seen = totals > 0
        shares = counts[seen] / totals[seen, None]
        before = self.usage[seen]
        first = before.sum(1, keepdim=True) == 0
        self.usage[seen] = torch.where(first, shares, before.lerp(shares, 1 - _DECAY))

    def metrics(self) -> dict[str, float]:
        """Return how the branches use and share the codes; nan without matches.

        Returns
        -------
        dict of str to float
            For each branch, ``<branch>_perplexity``, the exponential of the entropy
            of its usage over `n_codes`, which is 1 if it uses all codes alike; and
            ``<branch>_used``, the share of codes that it uses at least a tenth as
            often as that. ``overlap`` is 1 for branches that use the same codes
            equally often and 0 for branches without a code in common: 1 minus the
            Jensen-Shannon divergence in bits.
        """
        usage = self.usage / self.usage.sum(1, keepdim=True)  # nan if never observed
        entropies = torch.special.entr(usage).sum(1)
        found = {}
        for branch, shares, entropy in zip(BRANCHES, usage, entropies, strict=True):
            used = (shares >= _USED / self.n_codes).double().mean()
            found[f"{branch}_perplexity"] = float(entropy.exp()) / self.n_codes
            found[f"{branch}_used"] = float(used if entropy.isfinite() else entropy)
        divergence = torch.special.entr(usage.mean(0)).sum() - entropies.mean()
        found["overlap"] = 1 - float(divergence) / math.log(2)
        return found


def finite_rows(vectors: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return the matches whose vector and weights are finite."""
    # Rows are taken out, not multiplied by 0, since 0 * nan is nan.
    usable = vectors.isfinite().all(1) & weights.isfinite().all(1)
    return vectors[usable], weights[usable]


def _plus_plus(points: Tensor, n_chosen: int, generator: torch.Generator) -> Tensor:
    """Choose points in proportion to the root of their distance from those before."""
    chosen = [int(torch.randint(len(points), (1,), generator=generator))]
    distance = (points - points[chosen[0]]).square().sum(1)
    for _ in range(n_chosen - 1):
        total = distance.double().pow(0.25).cumsum(0)  # distances are squared here
        if total[-1] > 0:
            threshold = torch.rand(1, generator=generator, dtype=torch.float64)
            index = int(torch.searchsorted(total, threshold * total[-1], right=True))
            index = min(index, len(points) - 1)
        else:  # fewer different windows than codes: duplicates share their windows
            index = int(torch.randint(len(points), (1,), generator=generator))
        chosen.append(index)
        distance.clamp_max_((points - points[index]).square().sum(1))
    return points[torch.tensor(chosen)]
