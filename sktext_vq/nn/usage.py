"""Relative frequencies of codes."""

from __future__ import annotations

from torch import Tensor

from sktext_vq.nn.constants import LEVEL_BINS


def share_of_codes(usage: Tensor) -> Tensor:
    """Compute the relative frequency of each code in each series.

    Parameters
    ----------
    usage : Tensor of shape (n_cases, n_channels, n_heads, n_levels * codes_per_head)

    Returns
    -------
    Tensor of shape (n_cases, n_codes)
    """
    shares = usage.unflatten(3, (LEVEL_BINS, -1)).sum(dim=(1, 3)).flatten(1)
    return shares / shares.sum(dim=1, keepdim=True)
