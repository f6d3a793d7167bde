"""Attribution of feature contributions to timepoints."""

from __future__ import annotations

import torch
from torch import Tensor

from sktext_vq.nn.constants import N_POINTS
from sktext_vq.nn.tokenizer import ShapeTokenizer
from sktext_vq.nn.windows import Batch, Windows

_MIN_TOTAL = 1e-6  # smaller totals are rounding errors


@torch.inference_mode()
def attribute(
    tokenizer: ShapeTokenizer, batch: Batch, contributions: Tensor, average: Tensor
) -> Tensor:
    """Distribute feature contributions over the timepoints of a series.

    Parameters
    ----------
    tokenizer : ShapeTokenizer
        Fitted tokenizer.
    batch : Batch
        Batch that contains one series.
    contributions, average : Tensor of shape (n_features,)
        Contributions of all features of :meth:`ShapeTokenizer.forward`, relative to
        zero, and contributions of the averages of these features over the training
        series.

    Returns
    -------
    Tensor of shape (n_channels, n_timepoints), float64
        Contribution of each timepoint, relative to that of an average window. The sum
        is the contribution of histograms and counted matches, minus that of their
        averages; summaries and best matches are excluded, because they have no position
        in time. The contribution of a feature is divided among the windows that it
        counts, in proportion to their weights, and the contribution of its average is
        divided evenly among all windows. The contribution of a window is divided evenly
        among its timepoints.
    """
    rows = _rows(tokenizer, contributions)
    expected = _rows(tokenizer, average).sum(dim=(3, 4))
    n_channels = tokenizer.n_channels
    # Slopes: contributions of windows that start at a timepoint, minus contributions
    # of windows that end before the timepoint.
    n_timepoints = batch.series.shape[2]
    slopes = torch.zeros(n_channels, n_timepoints + 1, dtype=torch.float64)
    batch = tokenizer.extend(batch)
    for v, d, windows in tokenizer.all_windows(batch):
        n_windows = windows.offset.shape[1]
        if not n_windows:
            continue
        length = N_POINTS * tokenizer.dilations[d]
        scores = tokenizer.codebook.score(windows.points)
        share = _shares(windows)
        for c in range(n_channels):
            members = _members(tokenizer, windows, scores[:, c], v, d, c)
            totals = members.sum(dim=2)
            has_windows = totals > _MIN_TOTAL
            each = torch.where(
                has_windows, rows[c, v, d] / totals.clamp_min(_MIN_TOTAL), 0
            )
            # Due to rounding, a feature that is positive in compiled code may not have
            # a window here. The contribution is then divided among all windows, like
            # the contributions of averages.
            even = rows[c, v, d][~has_windows].sum() - expected[c, v, d]
            at = torch.einsum("rk,rkw->w", each, members) + even * share[c]
            at /= length
            slopes[c, :n_windows] += at
            slopes[c, length : length + n_windows] -= at
    return slopes.cumsum(dim=1)[:, :-1]


def _rows(tokenizer: ShapeTokenizer, features: Tensor) -> Tensor:
    """Return histograms and counted matches by block, without best matches."""
    histograms, matches, _ = tokenizer.layout.split(features.double())
    return torch.cat([histograms[:, :, :, :-1], matches], dim=3)


def _shares(windows: Windows) -> Tensor:
    """Return equal shares of valid windows, or of all windows if none is valid."""
    if windows.valid is None:
        return torch.full_like(windows.offset, 1 / windows.offset.shape[1]).double()
    valid = windows.valid.double()
    valid = torch.where(valid.any(dim=1, keepdim=True), valid, 1.0)
    return valid / valid.sum(dim=1, keepdim=True)


def _members(
    tokenizer: ShapeTokenizer, windows: Windows, scores: Tensor, v: int, d: int, c: int
) -> Tensor:
    """Return the weight of each window in each feature of a channel, view and length.

    The shape is (n_rows, n_codes, n_windows). Rows are level bins, scale bins and
    counted matches.
    """
    valid = torch.ones_like(windows.offset[c])
    if windows.valid is not None:
        valid = windows.valid[c]
    knots = tokenizer.match_knots[v, d, c]  # n_matches, n_codes
    better = (scores.unsqueeze(0) > knots.unsqueeze(2)).to(scores.dtype)
    chosen = tokenizer.codebook.assign(scores.clone())
    rows = [
        torch.diff(ramps, dim=0).neg().unsqueeze(1) * chosen
        for ramps in (
            _ramps(windows.offset[c], tokenizer.level_knots[v, d, c]),
            _ramps(windows.scale[c], tokenizer.scale_knots[v, d, c]),
        )
    ]
    return (torch.cat([*rows, better]) * valid).double()


def _ramps(values: Tensor, knots: Tensor) -> Tensor:
    """Compute ramps between knots, preceded by ones and followed by zeros."""
    low, width = knots[:-1, None], knots.diff().unsqueeze(1)
    inner = ((values - low) / width).clamp(0, 1)
    ends = torch.ones_like(values).unsqueeze(0)
    return torch.cat([ends, inner, torch.zeros_like(ends)])
