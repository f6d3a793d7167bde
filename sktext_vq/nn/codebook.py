"""Codebook of shapes with eight points, shared by both branches."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BRANCHES = ("signal", "text")

MIN_CODES_PER_HEAD = 16

# Maximum distance of a code from its initial window, relative to the norm of the
# window. Codes that move farther would have shapes that do not occur in the data.
MAX_SHIFT = 0.15

# Temperature of straight-through gradients, in units of the score <shape, code> -
# |code|^2 / 2.
CODE_TEMPERATURE = 0.5

_MIN_COLUMNS = 32
_DECAY = 0.99  # decay of the average usage per update
_USED = 0.1  # threshold for used codes, relative to uniform usage


def count_heads(n_codes: int) -> int:
    """Return the number of heads of equal size for ``n_codes`` codes.

    A window is assigned one code per head, so several small heads describe a window by
    several shapes. Heads with fewer than 16 codes are too coarse.
    """
    most = max(1, n_codes // MIN_CODES_PER_HEAD)
    return max(heads for heads in range(1, most + 1) if n_codes % heads == 0)


class Codebook(nn.Module):
    """Codebook shared by the signal branch and the text branch.

    Parameters
    ----------
    n_codes : int
        Number of codes.
    code_dim : int
        Number of points of a code.

    Attributes
    ----------
    seeds : Tensor of shape (n_codes, code_dim)
        Initial codes, which are scaled windows of the training series.
    shift : Parameter of shape (n_codes, code_dim)
        Learned change of the codes. Its effect is bounded by ``MAX_SHIFT`` times the
        norm of a code.
    usage : Tensor of shape (2, n_codes), float64
        Moving average of the share of each code in the matches of each branch, in the
        order of ``BRANCHES``. Shares are 0 before the first update.
    n_heads : int
        Number of heads. Head ``k`` consists of ``n_codes / n_heads`` consecutive codes.
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
        """Current codes, of shape (n_codes, code_dim), each with mean 0."""
        reach = MAX_SHIFT * self.seeds.norm(dim=1, keepdim=True)
        shift = self.shift - self.shift.mean(1, keepdim=True)
        # The norm of the change is smoothly bounded by `reach`.
        return self.seeds + reach * shift / (1 + shift.square().sum(1, True)).sqrt()

    def seed(self, shapes: Tensor, generator: torch.Generator) -> None:
        """Choose the codes from windows by k-means++, separately for each head.

        Parameters
        ----------
        shapes : Tensor of shape (n_windows, code_dim)
            Scaled windows of the training series.
        generator : torch.Generator
            Random generator; the global random state is not changed.

        References
        ----------
        Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding", SODA
        2007. Here, the square root of the distance replaces its square, which assigns
        more codes to frequent shapes, so that codes are used more evenly. Lloyd
        iterations are omitted, because accuracy is higher if codes are windows than if
        codes are means of windows.
        """
        size = self.n_codes // self.n_heads
        heads = []
        for _ in range(self.n_heads):
            order = torch.randperm(len(shapes), generator=generator)
            heads.append(_kmeans_plus_plus(shapes[order[:2048]], size, generator))
        self.seeds.copy_(torch.cat(heads))

    def copy_codes(self, other: Codebook) -> None:
        """Copy the codes of another codebook, but not its usage."""
        with torch.no_grad():
            self.seeds.copy_(other.seeds)
            self.shift.copy_(other.shift)

    def score(self, points: Tensor) -> Tensor:
        """Compute the scores of all codes for windows, in one matrix product.

        Parameters
        ----------
        points : Tensor of shape (code_dim + 1, ...)
            Scaled windows, followed by a row of ones.

        Returns
        -------
        Tensor of shape (n_codes, ...)
            ``<shape, code> - |code|^2 / 2``, which is largest for the nearest code.
        """
        codes = self.codes
        half_norm = 0.5 * codes.square().sum(1, keepdim=True)
        columns = points.flatten(1)
        n_columns = columns.shape[1]
        # Matrix products with few columns and with many columns are rounded
        # differently.
        if n_columns < _MIN_COLUMNS:
            columns = F.pad(columns, (0, _MIN_COLUMNS - n_columns))
        scores = torch.cat([codes, -half_norm], dim=1) @ columns
        return scores[:, :n_columns].reshape(-1, *points.shape[1:])

    def assign(self, scores: Tensor, temperature: float | None = None) -> Tensor:
        """Choose the code with the highest score in each head.

        Parameters
        ----------
        scores : Tensor of shape (n_codes, ...)
            Scores from :meth:`score`, which are overwritten unless `temperature` is
            given.
        temperature : float, optional
            If given, gradients pass straight through to a softmax over the codes of
            a head, as in van den Oord et al., NeurIPS 2017 and Jang et al., ICLR 2017.

        Returns
        -------
        Tensor of shape (n_codes, ...)
            1 for chosen codes, otherwise 0.
        """
        heads = scores.unflatten(0, (self.n_heads, -1))
        best = heads.amax(dim=1, keepdim=True)
        if temperature is None:
            # A comparison with the maximum is several times faster than argmax.
            return torch.ge(heads, best, out=heads).flatten(0, 1)
        soft = torch.softmax(heads / temperature, dim=1)
        hard = (heads.detach() >= best.detach()).to(soft.dtype)
        return (hard + soft - soft.detach()).flatten(0, 1)

    def update_usage(self, counts: Tensor) -> None:
        """Update the moving average of code usage with new matches.

        Parameters
        ----------
        counts : Tensor of shape (2, n_codes), float64
            Numbers of matches by branch. The average of a branch without matches is not
            changed.
        """
        totals = counts.sum(1)
        seen = totals > 0
        shares = counts[seen] / totals[seen, None]
        before = self.usage[seen]
        first = before.sum(1, keepdim=True) == 0
        self.usage[seen] = torch.where(first, shares, before.lerp(shares, 1 - _DECAY))

    def metrics(self) -> dict[str, float]:
        """Return statistics of code usage; NaN for branches without matches.

        Returns
        -------
        dict of str to float
            For each branch, ``<branch>_perplexity`` is the exponential of the entropy
            of its usage divided by `n_codes`, which is 1 for uniform usage, and
            ``<branch>_used`` is the share of codes with at least a tenth of uniform
            usage. ``overlap`` is 1 minus the Jensen-Shannon divergence in bits: 1 if
            the branches use the same codes equally often, and 0 if they have no code in
            common.
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
    """Select the matches with finite vectors and weights."""
    # Rows are removed rather than multiplied by 0, because 0 * nan is nan.
    usable = vectors.isfinite().all(1) & weights.isfinite().all(1)
    return vectors[usable], weights[usable]


def _kmeans_plus_plus(
    points: Tensor, n_chosen: int, generator: torch.Generator
) -> Tensor:
    """Choose points by k-means++ with square roots of distances."""
    chosen = [int(torch.randint(len(points), (1,), generator=generator))]
    distance = (points - points[chosen[0]]).square().sum(1)
    for _ in range(n_chosen - 1):
        total = distance.double().pow(0.25).cumsum(0)  # distances are squared here
        if total[-1] > 0:
            threshold = torch.rand(1, generator=generator, dtype=torch.float64)
            index = int(torch.searchsorted(total, threshold * total[-1], right=True))
            index = min(index, len(points) - 1)
        else:  # there are fewer distinct windows than codes
            index = int(torch.randint(len(points), (1,), generator=generator))
        chosen.append(index)
        distance.clamp_max_((points - points[index]).square().sum(1))
    return points[torch.tensor(chosen)]
