"""Panels of any size made of real series, and counts of operations."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def one_thread() -> None:
    """Limit torch and linear algebra to one thread."""
    import torch
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
    torch.set_num_threads(1)


def tiles(
    n_cases: int, n_channels: int, n_timepoints: int, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Repeat, shift and jitter series of BasicMotions up to a size."""
    from sktext_vq.datasets import load

    motions = load("BasicMotions")
    source = motions.X_train
    rng = np.random.default_rng(seed)
    case = np.arange(n_cases) % len(source)
    channel = np.arange(n_channels) % source.shape[1]
    shift = rng.integers(source.shape[2], size=(n_cases, 1))
    timepoint = (shift + np.arange(n_timepoints)) % source.shape[2]
    X = source[case[:, None, None], channel[:, None], timepoint[:, None]]
    spread = source.std(axis=(0, 2))[channel, None]
    X = X + 0.05 * spread * rng.normal(size=X.shape)
    return X.astype(np.float32), motions.y_train[case]


def operations(transformer: Any) -> int:
    """Count the operations on floating-point numbers that windows of a case need.

    Per window and code there are 2 * 8 + 1: 8 products, 7 sums and what is taken off
    for the length of the code make the score, and a comparison finds the best code.
    Per window there are 43 to cut it: 8 for the mean of its points and 8 to take that
    off, 16 for the mean square, a root, a sum and a division for the factor, and 8 to
    multiply. Per timepoint there are 2 for each length of windows whose points are
    means, and 2 for changes. Comparisons of scores, bins, quantiles, and what is not
    arithmetic are not counted.
    """
    from sktext_vq.nn.tokens import N_POINTS, VIEWS

    tokenizer, n_timepoints = transformer.tokenizer_, transformer.n_timepoints_
    spacings = tokenizer.dilations
    n_windows = sum(max(0, n_timepoints - N_POINTS * d + 1) for d in spacings)
    n_smoothed = sum(n_timepoints for d in spacings if d > 1)
    of_codes = transformer.n_codes * (2 * N_POINTS + 1)
    of_view = n_windows * (of_codes + 5 * N_POINTS + 3) + 2 * n_smoothed
    return tokenizer.n_channels * (len(VIEWS) * of_view + 2 * n_timepoints)
