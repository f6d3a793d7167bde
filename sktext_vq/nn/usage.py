"""Code usage of series."""

from __future__ import annotations

from torch import Tensor

from sktext_vq.nn.constants import LEVEL_BINS


def share_of_codes(usage: Tensor) -> Tensor:
    """Return code shares over all groups and levels.

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
