"""Updates of codes by moving averages of the vectors that match them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sktext_vq.nn.batches import Outputs, TrainingBatch
from sktext_vq.nn.codebook import BRANCHES, MAX_SHIFT, Codebook, finite_rows

if TYPE_CHECKING:
    from sktext_vq.nn.model import DualBranchModel

# Texts have a small weight, so that codes remain shapes that occur in the signal.
BRANCH_WEIGHTS = {"signal": 1.0, "text": 0.25}
# Threshold for unused codes, relative to uniform usage.
_UNUSED = 0.02
_MAX_RECENT = 512
_MAX_REACH = 0.999  # relative to the bound; 1 would require an infinite shift


class CodebookUpdates(nn.Module):
    """Update codes by moving averages and replace unused codes.

    Parameters
    ----------
    n_codes, code_dim : int
        Sizes of the codebook.

    Notes
    -----
    In training, each branch passes its matches to :meth:`observe`, and one
    :meth:`commit` per optimiser step applies all of them. The result therefore does not
    depend on the order of the branches; with an update at every match, the last branch
    would dominate.
    """

    _counts: Tensor
    _sums: Tensor
    _recent: Tensor

    def __init__(self, n_codes: int, code_dim: int) -> None:
        super().__init__()
        # Statistics of the current step.
        counts = torch.zeros(len(BRANCHES), n_codes, dtype=torch.float64)
        self.register_buffer("_counts", counts, persistent=False)
        sums = counts.new_zeros(*counts.shape, code_dim)
        self.register_buffer("_sums", sums, persistent=False)
        # Rows are 0 until windows have been recorded.
        self.register_buffer("_recent", torch.zeros(_MAX_RECENT, code_dim))
        self._seen: dict[str, list[Tensor]] = {branch: [] for branch in BRANCHES}

    def forward(
        self, model: DualBranchModel, batch: TrainingBatch, outputs: Outputs
    ) -> dict[str, Tensor]:
        """Return the distance of windows from codes, if codes are learned."""
        error = outputs.signal.shape_error
        return {} if error is None else {"shape": error}

    def observe(self, branch: str, vectors: Tensor, weights: Tensor) -> None:
        """Record matches of one branch in this optimiser step.

        The method may be called several times per step, in any order. The codes do not
        change until :meth:`commit` is called.

        Parameters
        ----------
        branch : str
            One of ``BRANCHES``.
        vectors : Tensor of shape (n, code_dim)
            Matched vectors. Rows with NaN or infinity are ignored.
        weights : Tensor of shape (n, n_codes)
            Weights of the codes for each vector: 1 for the code chosen in each head, or
            probabilities per head. Rows with NaN or infinity are ignored.
        """
        row = _row(branch)
        vectors, weights = finite_rows(vectors.detach(), weights.detach())
        weights = weights.to(self._sums)
        self._counts[row] += weights.sum(0)
        self._sums[row].addmm_(weights.T, vectors.to(self._sums))
        self._seen[branch].append(_spread(vectors, _MAX_RECENT).to(self._recent))

    @torch.no_grad()
    def commit(
        self,
        codebook: Codebook,
        rate: float,
        generator: torch.Generator,
        *,
        quotas: dict[str, int] | None = None,
    ) -> None:
        """Update the codebook with the recorded matches, once per optimiser step.

        The average usage is updated, codes are moved towards the mean of the vectors
        that match them, and codes that no branch uses are replaced by windows of the
        signal. The mean is weighted by branch, with ``BRANCH_WEIGHTS``, regardless of
        the number of vectors. Without recorded matches, the codebook is not changed.

        Parameters
        ----------
        codebook : Codebook
        rate : float
            Fraction, from 0 to 1, of the distance to the mean by which codes are moved.
            Changes are stored in `shift` and are thus bounded by ``MAX_SHIFT``.
        generator : torch.Generator
            Random generator; the global random state is not changed.
        quotas : dict of str to int, optional
            Maximum number of unused codes to replace, for each branch. Codes are
            replaced by random windows for "signal" and by the windows nearest to random
            text vectors for "text". By default, no codes are replaced.

        Notes
        -----
        At most 512 windows are considered: the windows of this step or, if there are
        none, the windows of the last commit that replaced codes. Text vectors are from
        this step. A code is unused if its share in each branch is less than 2 % of
        uniform usage. The usage of a new code is set to twice this threshold, so that
        the code is not replaced again immediately. Each window becomes a code only
        once.
        """
        quotas = quotas or {}
        for branch in quotas:
            _row(branch)
        codebook.update_usage(self._counts)
        if rate > 0:
            self._move(codebook, rate)
        if any(quotas.values()) and bool(self._counts.any()):
            self._replace_unused(codebook, quotas, generator)
        self._counts.zero_()
        self._sums.zero_()
        self._seen = {branch: [] for branch in BRANCHES}

    def _move(self, codebook: Codebook, rate: float) -> None:
        """Move codes towards the means of their vectors."""
        totals = self._counts.sum(1)
        factors = totals.new_tensor([BRANCH_WEIGHTS[name] for name in BRANCHES])
        factors = torch.where(totals > 0, factors / totals, 0.0)
        mass = factors @ self._counts
        moved = mass > 0
        sums = torch.tensordot(factors, self._sums, 1)
        means = sums[moved] / mass[moved, None]
        seeds = codebook.seeds[moved].double()
        codes = codebook.codes[moved].double()
        away = codes + rate * (means - codes) - seeds
        away -= away.mean(1, keepdim=True)
        reach = MAX_SHIFT * seeds.norm(dim=1, keepdim=True)
        # Invert the bound of `Codebook.codes`. A flat code is not moved.
        away = torch.where(reach > 0, away / reach, 0.0)
        length = away.norm(dim=1, keepdim=True)
        away *= _MAX_REACH / length.clamp_min(_MAX_REACH)
        shift = away / (1 - away.square().sum(1, keepdim=True)).sqrt()
        codebook.shift[moved] = shift.to(codebook.shift.dtype)

    def _replace_unused(
        self, codebook: Codebook, quotas: dict[str, int], generator: torch.Generator
    ) -> None:
        """Replace codes that no branch uses with recent windows of the signal."""
        windows = self._pool("signal")
        if len(windows):
            windows = _spread(windows, _MAX_RECENT)
            self._recent.zero_()[: len(windows)] = windows
        unused = (
            (codebook.usage < _UNUSED / codebook.n_codes).all(0).nonzero().squeeze(1)
        )
        recent = self._recent[self._recent.any(1)]
        known = (recent[:, None] == codebook.seeds).all(2).any(1)
        windows = recent[~known]
        if len(unused) == 0 or len(windows) == 0:
            return
        # If there are fewer unused codes than requested, they are divided among the
        # branches at random.
        turns = [row for row, b in enumerate(BRANCHES) for _ in range(quotas.get(b, 0))]
        turns = _shuffle(torch.tensor(turns), generator)[: len(unused)].tolist()
        texts = _shuffle(self._pool("text"), generator)[: sum(turns)]
        near = torch.unique(torch.cdist(texts, windows).argmin(1))
        left = torch.ones(len(windows), dtype=torch.bool, device=windows.device)
        left[near] = False
        chosen = _shuffle(windows[left], generator)[: len(turns) - sum(turns)]
        chosen = torch.cat([windows[near], chosen])
        unused = _shuffle(unused, generator)[: len(chosen)]
        codebook.seeds[unused] = chosen
        codebook.shift[unused] = 0
        observed = (codebook.usage.sum(1, keepdim=True) > 0).to(codebook.usage)
        codebook.usage[:, unused] = 2 * _UNUSED / codebook.n_codes * observed

    def _pool(self, branch: str) -> Tensor:
        """Return the unique vectors of a branch in this step."""
        rows = torch.cat([self._recent[:0], *self._seen[branch]])
        return torch.unique(rows, dim=0)  # sorted, so the order of calls has no effect


def build(
    model: DualBranchModel,
    generator: torch.Generator,
    options: Mapping[str, Any],
) -> CodebookUpdates:
    """Build the module for the codebook of a model."""
    return CodebookUpdates(*model.tokenizer.codebook.seeds.shape)


def _row(branch: str) -> int:
    """Return the index of a branch in the statistics."""
    if branch not in BRANCHES:
        raise ValueError(f"Unknown branch {branch!r}. Available branches: {BRANCHES}.")
    return BRANCHES.index(branch)


def _spread(rows: Tensor, n_most: int) -> Tensor:
    """Return all rows, or `n_most` evenly spaced rows."""
    if len(rows) <= n_most:
        return rows
    return rows[torch.arange(n_most, device=rows.device) * len(rows) // n_most]


def _shuffle(rows: Tensor, generator: torch.Generator) -> Tensor:
    """Return rows in random order."""
    order = torch.randperm(len(rows), generator=generator, device=generator.device)
    return rows[order.to(rows.device)]
