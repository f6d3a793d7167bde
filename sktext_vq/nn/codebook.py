"""The shared codebook: abstract shapes of eight points, in heads of a few codes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

MIN_CODES_PER_HEAD = 16

# How far training may move a code from the real window that it was seeded with, as a
# share of the code's length: further, and the shape shown for a code is no longer
# found in the data.
MAX_SHIFT = 0.15


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
    n_heads : int
        Codes ``k * n_codes / n_heads`` and following form head ``k``.
    """

    seeds: Tensor

    def __init__(self, n_codes: int, code_dim: int) -> None:
        super().__init__()
        self.n_heads = count_heads(n_codes)
        self.register_buffer("seeds", torch.zeros(n_codes, code_dim))
        self.shift = nn.Parameter(torch.zeros(n_codes, code_dim))

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
        SODA 2007. No Lloyd steps follow: real windows classify better than means.
        """
        size = self.n_codes // self.n_heads
        heads = []
        for _ in range(self.n_heads):
            order = torch.randperm(len(shapes), generator=generator)
            heads.append(_plus_plus(shapes[order[:2048]], size, generator))
        self.seeds.copy_(torch.cat(heads))

    def score(self, points: Tensor) -> Tensor:
        """Score codes against windows, in one matrix product.

        Parameters
        ----------
        points : Tensor of shape (n_series, code_dim + 1, n_windows)
            Scaled windows, and a last row of ones.

        Returns
        -------
        Tensor of shape (n_series, n_codes, n_windows)
            ``<shape, code> - |code|^2 / 2``, which is largest for the nearest code.
        """
        codes = self.codes
        half_norm = 0.5 * codes.square().sum(1, keepdim=True)
        weights = torch.cat([codes, -half_norm], dim=1)
        if points.shape[2] > 1:
            return torch.matmul(weights, points)  # n k t
        # A product with a single column is rounded differently for a single series.
        return torch.matmul(weights, points.expand(-1, -1, 2))[..., :1].contiguous()

    def assign(self, scores: Tensor, temperature: float | None = None) -> Tensor:
        """Choose one code per head. Reads and writes no state.

        Parameters
        ----------
        scores : Tensor of shape (n_series, n_codes, n_windows)
            From :meth:`score`; overwritten unless `temperature` is given.
        temperature : float, optional
            If given, gradients pass straight through to a softmax over the codes of
            a head, as in van den Oord et al., NeurIPS 2017 and Jang et al., ICLR 2017.

        Returns
        -------
        Tensor of shape (n_series, n_codes, n_windows)
            1 for chosen codes, else 0.
        """
        n_series, n_codes, n_windows = scores.shape
        heads = scores.view(n_series, self.n_heads, -1, n_windows)
        best = heads.amax(dim=2, keepdim=True)
        if temperature is None:
            # A comparison written as float is several times faster than an argmax.
            return torch.ge(heads, best, out=heads).view(n_series, n_codes, n_windows)
        soft = torch.softmax(heads / temperature, dim=2)
        hard = (heads.detach() >= best.detach()).to(soft.dtype)
        return (hard + soft - soft.detach()).view(n_series, n_codes, n_windows)


def _plus_plus(points: Tensor, n_chosen: int, generator: torch.Generator) -> Tensor:
    """Choose points in proportion to their squared distance from those before."""
    chosen = [int(torch.randint(len(points), (1,), generator=generator))]
    distance = (points - points[chosen[0]]).square().sum(1)
    for _ in range(n_chosen - 1):
        total = distance.double().cumsum(0)
        if total[-1] > 0:
            threshold = torch.rand(1, generator=generator, dtype=torch.float64)
            index = int(torch.searchsorted(total, threshold * total[-1], right=True))
            index = min(index, len(points) - 1)
        else:  # fewer different windows than codes: duplicates share their windows
            index = int(torch.randint(len(points), (1,), generator=generator))
        chosen.append(index)
        distance.clamp_max_((points - points[index]).square().sum(1))
    return points[torch.tensor(chosen)]
