"""Computation of features in compiled code, if numba is installed."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sktext_vq.nn.constants import N_POINTS, SCALE_FLOOR, VIEWS
from sktext_vq.nn.histograms import summarise
from sktext_vq.nn.windows import Batch, valid_windows

if TYPE_CHECKING:
    from sktext_vq.nn.tokenizer import ShapeTokenizer


@functools.cache
def load_kernels() -> ModuleType | None:
    """Return the compiled functions, or None if numba is missing or disabled."""
    try:
        from numba import config

        from sktext_vq.nn import _numba as kernels
    except ImportError:
        return None
    return None if vars(config)["DISABLE_JIT"] else kernels


def count_compiled(
    tokenizer: ShapeTokenizer,
    batch: Batch,
    kernels: ModuleType,
    needed: NDArray[np.bool_] | None = None,
) -> Tensor:
    """Compute the features of :meth:`ShapeTokenizer.forward` in compiled code.

    The batch includes the channels added by the gravity frame, and `kernels` is the
    result of `load_kernels`. Features that are not `needed` may be 0.
    """
    n_cases, n_channels, n_timepoints = batch.series.shape
    n_lengths = len(tokenizer.dilations)
    features = torch.zeros(n_cases, tokenizer.layout.n_features)
    _, _, summaries = tokenizer.layout.split(features)
    needed = np.ones(features.shape[1], bool) if needed is None else needed
    histograms, matches, _ = (
        kind.any(axis=-2) for kind in tokenizer.layout.split(needed)
    )
    of_codes = np.stack([histograms, matches], axis=3)
    codes = tokenizer.codebook.codes.numpy()
    observed, lengths = tokenizer.gaps(batch)
    for v, view in enumerate(tokenizer.views(batch.series)):
        # For other memory layouts, the function would be compiled again.
        series = view.reshape(-1, n_timepoints).contiguous().numpy()
        for d, dilation in enumerate(tokenizer.dilations):
            n_windows = n_timepoints - dilation * N_POINTS + 1
            if n_windows < 1:
                continue
            valid = None
            if observed is not None and lengths is not None:
                valid = valid_windows(observed, lengths, dilation * N_POINTS)
            offset, scale = attributes = torch.empty(2, len(series), n_windows)
            kernels.count_windows(
                series,
                (offset[:0] if valid is None else valid).numpy(),
                dilation,
                codes,
                tokenizer.codebook.n_heads,
                tokenizer.level_knots[v, d].numpy(),
                tokenizer.scale_knots[v, d].numpy(),
                tokenizer.match_knots[v, d].numpy(),
                of_codes[:, v, d].copy(),
                features.numpy(),
                v * n_lengths + d,
                len(VIEWS) * n_lengths,
                offset.numpy(),
                scale.numpy(),
            )
            scale.add_(SCALE_FLOOR).log_()
            if valid is not None:
                valid = valid.repeat(2, 1)
            found = summarise(attributes.flatten(0, 1), valid)
            found = found.view(2, n_cases, n_channels, -1).permute(1, 2, 0, 3)
            summaries[:, :, v, d] = found.flatten(2)
    return features
