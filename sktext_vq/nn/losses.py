"""Losses of the model. Each has a weight in training; 0 switches it off.

=============  =========================================================
class          Cross-entropy of the class head, weighted by class.
text           Cross-entropy of the texts of a batch under their cosine with
               the series (InfoNCE: van den Oord et al., 2018; Radford et al.,
               ICML 2021). With class prompts the texts are those of all
               classes, so that no text gives away which class is the right one.
shape          Mean squared distance of windows from their codes, which keeps
               codes where the signal is (VQ-VAE's codebook term: van den Oord
               et al., NeurIPS 2017).
=============  =========================================================
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

WEIGHTS = {"class": 1.0, "text": 0.5, "shape": 0.1}


def text_loss(
    series: Tensor,
    texts: Tensor,
    target: Tensor,
    temperature: float,
    weight: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of the right text among all texts, for every series.

    Parameters
    ----------
    series : Tensor of shape (n_cases, space_dim)
        Unit vectors.
    texts : Tensor of shape (n_texts, space_dim)
        Unit vectors.
    target : Tensor of shape (n_cases,), int64
        Which text belongs to a series; -1 for series without text.
    temperature : float
        Divides cosines.
    weight : Tensor of shape (n_texts,), optional
        Weight of each text.
    """
    known = target >= 0
    if not known.any():
        return series.sum() * 0
    logits = series[known] @ texts.T / temperature
    return F.cross_entropy(logits, target[known], weight=weight)
