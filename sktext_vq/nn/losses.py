"""Losses of the network. Each has a weight in training; 0 switches it off.

Formulas of the default losses are here; those of losses that are off by default are in
:mod:`sktext_vq.nn.auxiliary`, beside the modules that compute them.

=============  ==========================================================
class          Cross-entropy of the sensor-only head, weighted by class.
text           Cross-entropy of the texts of a batch under their cosine with
               the series (InfoNCE: van den Oord et al., 2018; Radford et al.,
               ICML 2021). With class prompts the texts are those of all
               classes, so that no text gives away which class is right.
codes          Cross-entropy from what a text says of the codes to the
               histograms of its series, as of masked patches to their codes
               (Bao et al., ICLR 2022).
affinity       Cross-entropy of the right text among all under the affinity of
               its codes with those of the series (Hellinger; ours).
series         Mean squared error of series drawn from their refined
               segments (VQ-VAE: van den Oord et al., NeurIPS 2017).
separation     Segments cover a series once (our own, where VQShape keeps
               segments apart: Wen et al., NeurIPS 2024).
digits         Cross-entropy of series as digits that the text branch reads, and
               squared error of the numbers expected under them (LLMTime:
               Gruver et al., NeurIPS 2023, has the writing).
contrastive    Cases of a class towards each other in the joint embedding space
               (Khosla et al., NeurIPS 2020).
demi_cycle     Each branch into the joint embedding space and back to itself
               (Devillers et al., 2023).
translation    From a series to the vector of its text; the other way is
               "codes" (Devillers et al., 2023).
calibrated     The same, right pairs against wrong ones, bounded (FS-VAE: Wu
               et al., ICCV 2025).
fused          Cross-entropy of both heads on top of cross-attention, weighted
               by class.
distillation   Softened probabilities of the fused heads as a target for the
               sensor-only head (Hinton et al., 2015).
codebook       Not a loss: how far each step moves codes towards what both
               branches matched with them (VQ-VAE's moving averages: van den
               Oord et al., NeurIPS 2017). Above 0, codes are learned by
               gradients too; at 0 they stay the windows that they are.
shape          Where codes are learned: mean squared distance of windows from
               their codes.
usage          Where codes are learned: sure choices, and use of all codes
               (LFQ: Yu et al., ICLR 2024).
frequency      Above 0, gains of frequency bands are learned in front of the
               tokenizer; the loss is their squared distance from 1 (FS-VAE,
               over time in place of features).
=============  ==========================================================
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

WEIGHTS = {
    "class": 1.0,
    "text": 1.0,
    "codes": 1.0,
    "affinity": 1.0,
    "series": 0.0,
    "separation": 0.0,
    "digits": 0.0,
    "contrastive": 0.0,
    "demi_cycle": 0.0,
    "translation": 0.0,
    "calibrated": 0.0,
    "fused": 0.0,
    "distillation": 0.0,
    "codebook": 0.0,
    "shape": 0.1,
    "usage": 0.0,
    "frequency": 0.0,
}
NEED_TEXT = {
    "text",
    "codes",
    "affinity",
    "digits",
    "translation",
    "calibrated",
    "fused",
    "distillation",
}
NEED_CLASSES = {"class", "contrastive", "fused", "distillation"}


def text_loss(
    series: Tensor,
    texts: Tensor,
    target: Tensor,
    temperature: float,
    weight: Tensor | None = None,
    *,
    both_ways: bool = False,
) -> Tensor:
    """Cross-entropy of the right text among all texts, for every series.

    Parameters
    ----------
    series : Tensor of shape (n_cases, space_dim)
        Unit vectors.
    texts : Tensor of shape (n_texts, space_dim)
        Unit vectors.
    target : Tensor of shape (n_cases,), int64
        Which text belongs to a series.
    temperature : float
        Divides cosines.
    weight : Tensor of shape (n_texts,), optional
        Weight of each text.
    both_ways : bool, default=False
        Whether texts look for their series too, where several may be right.

    Returns
    -------
    Tensor, scalar
    """
    if len(series) == 0:
        return empty_loss(series) + empty_loss(texts)
    logits = series @ texts.T / temperature
    loss = F.cross_entropy(logits, target, weight=weight)
    if not both_ways:
        return loss
    right = F.one_hot(target, len(texts)).T.to(logits.dtype)
    right = right / right.sum(1, keepdim=True).clamp_min(1)
    back = -(right * logits.T.log_softmax(1)).sum(1).mean()
    return (loss + back) / 2


def code_loss(log_probabilities: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy towards histograms, which get no gradient.

    Parameters
    ----------
    log_probabilities : Tensor of shape (n_cases, ..., n_symbols)
        Each group, along the last axis, is a distribution over symbols.
    target : Tensor of the same shape
        Histograms that sum to 1; groups that sum to 0 are left out.

    Returns
    -------
    Tensor, scalar
        Mean over groups.

    References
    ----------
    Bao et al., "BEiT: BERT pre-training of image transformers", ICLR 2022, with one
    code as the target of a patch.
    """
    target = target.detach()
    known = target.sum(-1) > 0
    if not known.any():
        return empty_loss(log_probabilities)
    # A symbol that is not in the target may have probability 0.
    products = (target * log_probabilities).where(target > 0, 0.0)
    return -products.sum(-1)[known].mean()


def reconstruction_loss(
    rebuilt: Tensor, series: Tensor, observed: Tensor | None = None
) -> Tensor:
    """Mean squared error at observed timepoints.

    Parameters
    ----------
    rebuilt, series : Tensor of shape (n_cases, n_channels, n_timepoints)
    observed : Tensor of a shape that broadcasts to it, optional
        0 where `series` has a gap or padding, whatever is written there; by default
        all is observed.

    Returns
    -------
    Tensor, scalar

    References
    ----------
    van den Oord et al., "Neural discrete representation learning", NeurIPS 2017.
    """
    errors = rebuilt - series
    if observed is not None:
        errors = errors[(observed > 0).expand_as(errors)]
    return errors.square().mean() if errors.numel() else empty_loss(rebuilt)


def empty_loss(values: Tensor) -> Tensor:
    """Return 0 with a gradient of 0, whatever the values."""
    return values.flatten()[:0].sum()
