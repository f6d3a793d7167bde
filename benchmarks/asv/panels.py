"""Panels of any size made of real series."""

from __future__ import annotations

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
