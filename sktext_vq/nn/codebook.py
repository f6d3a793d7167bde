"""The shared codebook: abstract shapes of eight points, in heads of a few codes."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BRANCHES = ("signal", "text")

MIN_CODES_PER_HEAD = 16

# How far training may move a code from the real window that it was seeded with, as a
# share of the code's length: further, and the shape shown for a code is no longer
# found in the data.
MAX_SHIFT = 0.15

# Text has a say in where codes move, but must not drag a shape off its signal.
BRANCH_WEIGHTS = {"signal": 1.0, "text": 0.25}

_MIN_COLUMNS = 32
_DECAY = 0.99  # of averages of use, per commit
# Shares of what each code would get if all were used alike.
_DEAD = 0.02
_USED = 0.1
_MAX_RECENT = 512
_MAX_REACH = 0.999  # of the cap: at the cap itself, `shift` would be infinite


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
        Moving average, over commits, of the share of each branch's matches that each
        code got. A row, in the order of ``BRANCHES``, starts as the first shares
        observed, and is 0 until then.
    n_heads : int
        Codes ``k * n_codes / n_heads`` and following form head ``k``.

    Notes
    -----
    Matching reads no statistics and writes none. In training, each branch reports what
    it matched to :meth:`observe`, and one :meth:`commit` per optimiser step applies
    all reports at once. So it does not matter which branch comes first: with updates
    at every match, the last caller would own the codes.
    """

    seeds: Tensor
    usage: Tensor
    _counts: Tensor
    _sums: Tensor
    _recent: Tensor

    def __init__(self, n_codes: int, code_dim: int) -> None:
        super().__init__()
        self.n_heads = count_heads(n_codes)
        self.register_buffer("seeds", torch.zeros(n_codes, code_dim))
        self.shift = nn.Parameter(torch.zeros(n_codes, code_dim))
        self.register_buffer(
            "usage", torch.zeros(len(BRANCHES), n_codes, dtype=torch.float64)
        )
        for name in ("_counts", "_sums", "_recent"):
            self.register_buffer(name, None, persistent=False)
        self.clear()

    def clear(self) -> None:
        """Forget what was matched since the last commit, and recent windows."""
        n_codes, code_dim = self.seeds.shape
        # Of the step that is under way.
        self._counts = torch.zeros_like(self.usage)
        self._sums = self.usage.new_zeros(len(BRANCHES), n_codes, code_dim)
        self._recent = self.seeds.new_zeros(0, code_dim)
        self._seen: dict[str, list[Tensor]] = {branch: [] for branch in BRANCHES}

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
        """Take the codes of another codebook, and not how often it used them."""
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

    def observe(
        self,
        branch: str,
        vectors: Tensor,
        weights: Tensor,
        mask: Tensor | None = None,
    ) -> None:
        """Note what one branch has matched in this optimiser step.

        May be called several times a step, in any order. Nothing but sums changes
        until :meth:`commit`.

        Parameters
        ----------
        branch : str
            One of ``BRANCHES``.
        vectors : Tensor of shape (n, code_dim)
            What was matched. Rows that are not finite are left out.
        weights : Tensor of shape (n, n_codes)
            How each vector is shared out over codes: 1 for the code chosen in each
            head, or probabilities per head. Rows that are not finite are left out.
        mask : Tensor of shape (n,), bool, optional
            False for padding, whose content is not looked at.
        """
        row = _row(branch)
        vectors, weights = vectors.detach(), weights.detach()
        # Rows are taken out, not multiplied by 0, since 0 * nan is nan.
        usable = vectors.isfinite().all(1) & weights.isfinite().all(1)
        if mask is not None:
            usable &= mask
        vectors, weights = vectors[usable], weights[usable].to(self._sums)
        self._counts[row] += weights.sum(0)
        self._sums[row].addmm_(weights.T, vectors.to(self._sums))
        self._seen[branch].append(_spread(vectors, _MAX_RECENT).to(self.seeds))

    def gather(
        self, add: Callable[[Tensor], Tensor], collect: Callable[[Tensor], Tensor]
    ) -> None:
        """Take in what codebooks of other processes have observed in this step.

        Parameters
        ----------
        add : callable
            Returns the sum of a tensor over processes.
        collect : callable
            Returns the rows of a tensor of all processes, in the same order in each.
        """
        self._counts.copy_(add(self._counts))
        self._sums.copy_(add(self._sums))
        self._seen = {branch: [collect(self._pool(branch))] for branch in BRANCHES}

    def commit(
        self,
        rate: float,
        generator: torch.Generator,
        *,
        weights: dict[str, float] | None = None,
        quotas: dict[str, int] | None = None,
    ) -> None:
        """Learn from what the branches have matched, once per optimiser step.

        Averages of use are updated; codes move towards what they were matched with;
        and codes that no branch uses are replaced by windows of the signal. Without
        observations, nothing happens.

        Parameters
        ----------
        rate : float
            How far codes move towards the mean of their vectors, from 0 to 1. Moves
            go into `shift` and so end at ``MAX_SHIFT``.
        generator : torch.Generator
            Source of randomness; the global one is left alone.
        weights : dict of str to float, optional
            Weight of each branch in this mean, whatever its number of vectors;
            by default ``BRANCH_WEIGHTS``. Branches not named have weight 0.
        quotas : dict of str to int, optional
            How many unused codes to replace at most, for each branch: for "signal" by
            windows at random, for "text" by the windows nearest to text vectors at
            random. By default none.

        Notes
        -----
        Windows are those of this step or, if it had none, of the last commit that
        replaced codes, 512 at most; text vectors are those of this step. A code is
        unused if each branch gives it less than 2 % of an equal share. A replaced code
        counts as having twice that, so that it has time to be found. No window becomes
        a code twice.
        """
        for branch in {*(weights or {}), *(quotas or {})}:
            _row(branch)
        weights = BRANCH_WEIGHTS if weights is None else weights
        quotas = quotas or {}
        with torch.no_grad():
            totals = self._counts.sum(1)
            seen = totals > 0
            shares = self._counts[seen] / totals[seen, None]
            before = self.usage[seen]
            first = before.sum(1, keepdim=True) == 0
            self.usage[seen] = torch.where(
                first, shares, before.lerp(shares, 1 - _DECAY)
            )
            if rate > 0:
                factors = totals.new_tensor(
                    [weights.get(name, 0.0) for name in BRANCHES]
                )
                factors = torch.where(seen, factors / totals, 0.0)
                mass = factors @ self._counts
                moved = mass > 0
                sums = torch.tensordot(factors, self._sums, 1)
                self._move(moved, sums[moved] / mass[moved, None], rate)
            if any(quotas.values()) and bool(seen.any()):
                self._revive(quotas, generator)
        self._counts.zero_()
        self._sums.zero_()
        self._seen = {branch: [] for branch in BRANCHES}

    def _move(self, moved: Tensor, means: Tensor, rate: float) -> None:
        """Move some codes a part of the way to the means of their vectors."""
        seeds = self.seeds[moved].double()
        codes = self.codes[moved].double()
        away = codes + rate * (means - codes) - seeds
        away -= away.mean(1, keepdim=True)
        reach = MAX_SHIFT * seeds.norm(dim=1, keepdim=True)
        # The inverse of what `codes` does to a shift. A flat code cannot move.
        away = torch.where(reach > 0, away / reach, 0.0)
        length = away.norm(dim=1, keepdim=True)
        away *= _MAX_REACH / length.clamp_min(_MAX_REACH)
        shift = away / (1 - away.square().sum(1, keepdim=True)).sqrt()
        self.shift[moved] = shift.to(self.shift.dtype)

    def _revive(self, quotas: dict[str, int], generator: torch.Generator) -> None:
        """Replace codes that no branch uses by recent windows of the signal."""
        windows = self._pool("signal")
        if len(windows):
            self._recent = _spread(windows, _MAX_RECENT)
        dead = (self.usage < _DEAD / self.n_codes).all(0).nonzero().squeeze(1)
        known = (self._recent[:, None] == self.seeds).all(2).any(1)
        windows = self._recent[~known]
        if len(dead) == 0 or len(windows) == 0:
            return
        # Where fewer codes are dead than are asked for, chance shares them out.
        turns = [row for row, b in enumerate(BRANCHES) for _ in range(quotas.get(b, 0))]
        turns = _shuffle(torch.tensor(turns), generator)[: len(dead)].tolist()
        texts = _shuffle(self._pool("text"), generator)[: sum(turns)]
        near = torch.unique(torch.cdist(texts, windows).argmin(1))
        left = torch.ones(len(windows), dtype=torch.bool, device=windows.device)
        left[near] = False
        chosen = _shuffle(windows[left], generator)[: len(turns) - sum(turns)]
        chosen = torch.cat([windows[near], chosen])
        dead = _shuffle(dead, generator)[: len(chosen)]
        self.seeds[dead] = chosen
        self.shift[dead] = 0
        observed = (self.usage.sum(1, keepdim=True) > 0).to(self.usage)
        self.usage[:, dead] = 2 * _DEAD / self.n_codes * observed

    def _pool(self, branch: str) -> Tensor:
        """Vectors that a branch showed in this step, whatever the order of calls."""
        rows = torch.cat([self.seeds[:0], *self._seen[branch]])
        return torch.unique(rows, dim=0)  # which sorts

    def metrics(self) -> dict[str, float]:
        """Say how the branches use and share the codes; nan if not observed.

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


def _row(branch: str) -> int:
    """Where the statistics of a branch are."""
    if branch not in BRANCHES:
        raise ValueError(f"Unknown branch {branch!r}. Known are {BRANCHES}.")
    return BRANCHES.index(branch)


def _spread(rows: Tensor, n_most: int) -> Tensor:
    """Return all rows, or as many as wanted at equal distances."""
    if len(rows) <= n_most:
        return rows
    return rows[torch.arange(n_most, device=rows.device) * len(rows) // n_most]


def _shuffle(rows: Tensor, generator: torch.Generator) -> Tensor:
    """Return rows in random order."""
    order = torch.randperm(len(rows), generator=generator, device=generator.device)
    return rows[order.to(rows.device)]


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
