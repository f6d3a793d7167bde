"""Usage of codes by series and texts."""

from __future__ import annotations

from torch import Tensor

from sktext_vq.nn.constants import LEVEL_BINS

_MAX_GROUPS = 32


def share_of_codes(usage: Tensor) -> Tensor:
    """Return the shares of codes over all groups and levels.

    Parameters
    ----------
    usage : Tensor of shape (n, n_groups, n_heads, n_symbols)

    Returns
    -------
    Tensor of shape (n, n_codes)
        Rows sum to 1.
    """
    shares = usage.unflatten(3, (LEVEL_BINS, -1)).sum(dim=(1, 3)).flatten(1)
    return shares / shares.sum(dim=1, keepdim=True)


def pool_groups(usage: Tensor) -> Tensor:
    """Keep channels separate if there are at most 32; otherwise average channels.

    Parameters
    ----------
    usage : Tensor of shape (n_cases, n_channels, n_heads, n_levels, codes_per_head)

    Returns
    -------
    Tensor of shape (n_cases, n_groups, n_heads, n_levels, codes_per_head)
    """
    if usage.shape[1] <= _MAX_GROUPS:
        return usage
    return usage.mean(dim=1, keepdim=True)
