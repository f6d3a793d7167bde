"""Histograms and summaries of the windows of series."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sktext_vq.nn.constants import N_QUANTILES

_FEW_WINDOWS = 16


def shares(whole: Tensor, above: Tensor) -> Tensor:
    """Convert sums of ramps to histograms.

    A ramp is 0 up to a knot, 1 from the next knot on, and linear in between. The
    difference between two neighbouring ramps is the weight of a value in a bin. A value
    near the border of two bins counts in part for both, so that histograms change
    smoothly.

    Parameters
    ----------
    whole : Tensor of shape (n_series, 1, n_codes)
        Sum over all bins.
    above : Tensor of shape (n_series, n_bins - 1, n_codes)
        Sums of ramps, in ascending order.

    Returns
    -------
    Tensor of shape (n_series, n_bins, n_codes)
    """
    lower = torch.cat([whole, above], dim=1)
    upper = F.pad(above, (0, 0, 0, 1))
    return (lower - upper).clamp_min(0)  # negative only due to rounding


def summarise(values: Tensor, valid: Tensor | None) -> Tensor:
    """Compute the mean, the standard deviation and seven quantiles of each series.

    Parameters
    ----------
    values : Tensor of shape (n_series, n_windows)
        Values of at least one window.
    valid : Tensor of shape (n_series, n_windows), optional
        0 for values to ignore.

    Returns
    -------
    Tensor of shape (n_series, 9)
        Statistics; 0 for series without valid values.
    """
    if valid is None:
        count = values.new_full((len(values), 1), values.shape[1])
        mean = values.mean(dim=1, keepdim=True)
        deviation = (values - mean).square().mean(dim=1, keepdim=True)
    else:
        count = valid.sum(dim=1, keepdim=True).clamp_min(1)
        mean = (values * valid).sum(dim=1, keepdim=True) / count
        deviation = ((values - mean).square() * valid).sum(1, keepdim=True) / count
        values = values.masked_fill(valid == 0, torch.inf)
    place = (count - 1) * torch.linspace(0, 1, N_QUANTILES, device=values.device)
    low = place.long()
    high = torch.minimum(low + 1, count.long() - 1)
    ordered = sort(values)
    quantiles = ordered.gather(1, low).lerp(ordered.gather(1, high), place - low)
    found = torch.cat([mean, (deviation + 1e-12).sqrt(), quantiles], dim=1)
    return found if valid is None else found.nan_to_num(0.0, posinf=0.0)


def quantiles(values: Tensor, counts: Tensor, wanted: Tensor) -> Tensor:
    """Compute quantiles of repeated values, like `torch.nanquantile`.

    Parameters
    ----------
    values, counts : Tensor of shape (n_rows, n_values)
        Values and integer counts; values with count 0 are ignored.
    wanted : Tensor of shape (n_quantiles,)

    Returns
    -------
    Tensor of shape (n_rows, n_quantiles)
        Quantiles; 0 for rows without values.
    """
    order = torch.from_numpy(np.argsort(values.numpy(), axis=1))
    ends = counts.gather(1, order).cumsum(1)
    place = (wanted * (ends[:, -1:] - 1)).clamp_min(0)
    low, high = (
        values.gather(1, order.gather(1, index.clamp_max(values.shape[1] - 1)))
        for at in (place, place.ceil())
        for index in [torch.searchsorted(ends, at.long(), right=True)]
    )
    return low.lerp(high, place - place.floor()).where(ends[:, -1:] > 0, 0.0)


def sort(values: Tensor) -> Tensor:
    """Sort values along the second axis."""
    if values.requires_grad or values.device.type != "cpu":
        return values.sort(dim=1).values
    # On a CPU, np.sort is many times faster than torch.sort.
    return torch.from_numpy(np.sort(values.numpy(), axis=1))


def root(counts: Tensor) -> Tensor:
    """Compute the square root, with a finite slope at 0 to limit rounding errors."""
    return (counts + 1e-6).sqrt() - 1e-3


def best_match(scores: Tensor, valid: Tensor | None) -> Tensor:
    """Return the best score of each code in each series, or 0 without valid windows.

    Returns
    -------
    Tensor of shape (n_series, 1, n_codes)
    """
    if valid is not None:
        scores = scores.masked_fill(valid == 0, -torch.inf)
    # Comparing halves is faster than a reduction over the last axis.
    while (n_windows := scores.shape[-1]) > _FEW_WINDOWS:
        half = (n_windows + 1) // 2
        scores = torch.maximum(scores[..., :half], scores[..., n_windows - half :])
    best = scores.amax(dim=2)
    if valid is not None:
        best = best.nan_to_num(neginf=0.0)
    return best.T.unsqueeze(1)
