"""Losses of the network. Each loss has a weight in training; a weight of 0 disables it.

Default losses are defined in this module. Losses that are disabled by default are
defined in ``sktext_vq.nn.auxiliary``, beside the modules that use them.

=============  ==========================================================
class          Cross-entropy of the class logits, weighted by class.
text           Contrastive cross-entropy of the series and captions of a batch, in
               both directions, by cosine similarity (InfoNCE: van den Oord et
               al., 2018; Radford et al., ICML 2021).
codes          Cross-entropy between the code shares predicted from a text and the
               code shares of its series, similar to the prediction of codes of
               masked patches (Bao et al., ICLR 2022).
affinity       Cross-entropy of assigning each series to its text, by the Hellinger
               affinity of predicted and observed code shares.
series         Mean squared error of series that are reconstructed from refined
               segments (VQ-VAE: van den Oord et al., NeurIPS 2017).
separation     Mean squared difference between 1 and the number of segments that
               cover a timepoint. VQShape (Wen et al., NeurIPS 2024) penalises
               nearby segments instead.
digits         Cross-entropy of the digits of series that are written as text, and
               squared error of the predicted numbers (format of LLMTime: Gruver
               et al., NeurIPS 2023).
contrastive    Supervised contrastive loss in the joint embedding space
               (Khosla et al., NeurIPS 2020).
demi_cycle     Error of a text vector that is reconstructed from its embedding
               (Devillers et al., 2023).
translation    Error of a text vector that is predicted from its series (Devillers
               et al., 2023); "codes" is the opposite direction.
calibrated     Bounded penalty for series whose predicted text vector is closer to
               a wrong text (FS-VAE: Wu et al., ICCV 2025).
fused          Cross-entropy of both heads of the cross-attention module, weighted
               by class.
distillation   Kullback-Leibler divergence of the predicted classes from the
               softened predictions of cross-attention (Hinton et al., 2015).
codebook       Not a loss, but the rate at which each step moves codes towards the
               vectors that both branches match with them (moving averages of
               VQ-VAE: van den Oord et al., NeurIPS 2017). If positive, codes are
               also learned by gradients; if 0, codes are not changed.
shape          Mean squared distance of windows from their codes, if codes are
               learned.
usage          Mean entropy of code assignments minus the entropy of their mean,
               if codes are learned (LFQ: Yu et al., ICLR 2024).
frequency      Squared difference between 1 and the gains of frequency bands. If
               positive, gains are learned and applied to the input of the
               tokenizer (FS-VAE, over time instead of features).
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
# Losses that require texts, texts about single cases, and classes, respectively.
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
    """Compute the cross-entropy of assigning each series to its text.

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
    """Compute the cross-entropy of predicted code shares with histograms as targets.

    Parameters
    ----------
    log_probabilities : Tensor of shape (n_cases, ..., n_symbols)
        Logarithms of distributions along the last axis.
    target : Tensor of the same shape
        Histograms that sum to 1; histograms that sum to 0 are ignored.

    Returns
    -------
    Tensor, scalar
        Mean over histograms.

    References
    ----------
    Bao et al., "BEiT: BERT pre-training of image transformers", ICLR 2022, where the
    target of a patch is a single code.
    """
    target = target.detach()
    known = target.sum(-1) > 0
    if not known.any():
        return empty_loss(log_probabilities)
    # A code that is not in the target may have probability 0.
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
        0 for gaps and padding of `series`. By default, all timepoints are observed.

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
