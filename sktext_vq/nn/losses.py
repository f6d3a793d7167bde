"""Losses of the network. Each loss has a weight in training; 0 disables the loss.

Default losses are defined in this module; losses that are off by default are defined in
``sktext_vq.nn.auxiliary``, beside the modules that use them.

=============  ==========================================================
class          Cross-entropy of the sensor-only head, weighted by class.
text           Cross-entropy of the right text among the texts about single series
               in a batch, by cosines with the series, and vice versa (InfoNCE:
               van den Oord et al., 2018; Radford et al., ICML 2021).
codes          Cross-entropy between the usage of codes predicted from a text
               and the histograms of its series, similar to the prediction of
               codes of masked patches (Bao et al., ICLR 2022).
affinity       Cross-entropy of the right text among all texts, by the Hellinger
               affinity between its usage of codes and that of the series.
series         Mean squared error of series reconstructed from their refined
               segments (VQ-VAE: van den Oord et al., NeurIPS 2017).
separation     Squared deviation from covering each timepoint once by segments;
               VQShape (Wen et al., NeurIPS 2024) keeps segments apart instead.
digits         Cross-entropy of the digits of series encoded by the text branch,
               and squared error of the predicted numbers (format of LLMTime:
               Gruver et al., NeurIPS 2023).
contrastive    Supervised contrastive loss in the joint embedding space
               (Khosla et al., NeurIPS 2020).
demi_cycle     Reconstruction of the vector of a text from its embedding
               (Devillers et al., 2023).
translation    Prediction of the vector of a text from its series; "codes" is
               the opposite direction (Devillers et al., 2023).
calibrated     Bounded penalty for series whose predicted text vector is nearer
               to a wrong text (FS-VAE: Wu et al., ICCV 2025).
fused          Cross-entropy of both heads on top of cross-attention, weighted
               by class.
distillation   Divergence of the sensor-only head from the softened
               probabilities of the fused heads (Hinton et al., 2015).
codebook       Not a loss, but the rate at which each step moves codes towards
               the vectors matched with them by both branches (moving averages
               of VQ-VAE: van den Oord et al., NeurIPS 2017). If positive, codes
               are also learned by gradients; if 0, codes are not changed.
shape          Mean squared distance of windows from their codes, if codes are
               learned.
usage          Entropy of assignments, which is low for certain assignments and
               uniform usage, if codes are learned (LFQ: Yu et al., ICLR 2024).
frequency      Squared distance from 1 of the gains of frequency bands. If
               positive, gains are learned in front of the tokenizer (FS-VAE,
               over time instead of features).
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
# Losses that require texts, texts about single cases, and classes.
NEED_TEXT = {"codes", "affinity", "fused", "distillation", "digits"}
NEED_CASE_TEXTS = {"text", "contrastive", "demi_cycle", "translation", "calibrated"}
NEED_CLASSES = {"class", "contrastive", "fused", "distillation"}
# Parts of the network whose best epochs are chosen independently, with the losses and
# weight prefixes of each part.
PARTS = {
    "head": ({"class", "distillation"}, ("head.",)),
    "text": (NEED_CASE_TEXTS, ("projection.", "text.", "auxiliary.joint_losses.")),
    "codes": ({"codes", "affinity"}, ("decoder.",)),
    "segments": ({"series", "separation", "usage"}, ("auxiliary.segments.",)),
    "digits": ({"digits"}, ("auxiliary.digits.",)),
    "cross_attention": ({"fused"}, ("auxiliary.cross_attention.",)),
}


def text_loss(
    series: Tensor,
    texts: Tensor,
    target: Tensor,
    temperature: float,
    weight: Tensor | None = None,
    *,
    both_ways: bool = False,
) -> Tensor:
    """Compute the cross-entropy of the right text among all texts.

    Parameters
    ----------
    series : Tensor of shape (n_cases, space_dim)
        Unit vectors.
    texts : Tensor of shape (n_texts, space_dim)
        Unit vectors.
    target : Tensor of shape (n_cases,), int64
        Index of the text of each series.
    temperature : float
        Divisor of the cosines.
    weight : Tensor of shape (n_texts,), optional
        Weight of each text.
    both_ways : bool, default=False
        Whether to average with the cross-entropy of the opposite direction, from texts
        to their series. A text may have several series.

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
    """Compute the cross-entropy with histograms as targets without gradients.

    Parameters
    ----------
    log_probabilities : Tensor of shape (n_cases, ..., n_symbols)
        Each group, along the last axis, is a distribution over symbols.
    target : Tensor of the same shape
        Histograms that sum to 1; groups that sum to 0 are ignored.

    Returns
    -------
    Tensor, scalar
        Mean over groups.

    References
    ----------
    Bao et al., "BEiT: BERT pre-training of image transformers", ICLR 2022, where the
    target of a patch is a single code.
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
    """Compute the mean squared error at observed timepoints.

    Parameters
    ----------
    rebuilt, series : Tensor of shape (n_cases, n_channels, n_timepoints)
    observed : Tensor of broadcastable shape, optional
        0 for gaps and padding of `series`. By default all timepoints are observed.

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
    """Return 0 with a gradient of 0, even if values are NaN."""
    return values.flatten()[:0].sum()
