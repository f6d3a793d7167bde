"""Losses of the model. Each has a weight in training; 0 switches it off.

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
digits         Cross-entropy of the digits that the text branch writes, and
               squared error of the numbers expected under them (LLMTime:
               Gruver et al., NeurIPS 2023, has the writing).
contrastive    Cases of a class towards each other in the workspace (Khosla et
               al., NeurIPS 2020).
demi_cycle     Each branch into the workspace and back to itself (Devillers et
               al., 2023).
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

import torch
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
        return _nothing(series) + _nothing(texts)
    logits = series @ texts.T / temperature
    loss = F.cross_entropy(logits, target, weight=weight)
    if not both_ways:
        return loss
    right = F.one_hot(target, len(texts)).T.to(logits.dtype)
    right = right / right.sum(1, keepdim=True).clamp_min(1)
    back = -(right * logits.T.log_softmax(1)).sum(1).mean()
    return (loss + back) / 2


def supervised_contrastive(
    embeddings: Tensor, classes: Tensor, temperature: float = 0.1
) -> Tensor:
    """Pull cases of a class together, and away from those of all others.

    For every case, the mean over the other cases of its class of their cross-entropy
    among all other cases. Cases alone in their class are compared with, no more.

    Parameters
    ----------
    embeddings : Tensor of shape (n_cases, space_dim)
        Unit vectors.
    classes : Tensor of shape (n_cases,), int64
    temperature : float, default=0.1
        Divides cosines.

    Returns
    -------
    Tensor, scalar

    References
    ----------
    Khosla et al., "Supervised contrastive learning", NeurIPS 2020: `L_out`.
    """
    itself = torch.eye(len(classes), dtype=torch.bool, device=classes.device)
    positive = (classes[:, None] == classes) & ~itself
    n_positives = positive.sum(1)
    known = n_positives > 0
    if not known.any():
        return _nothing(embeddings)
    cosines = embeddings @ embeddings.T / temperature
    logs = cosines.masked_fill(itself, -torch.inf).log_softmax(1)
    # The entry of a case itself is -inf, and -inf * 0 is nan.
    sums = logs.where(positive, 0.0).sum(1)
    return -(sums[known] / n_positives[known]).mean()


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
        return _nothing(log_probabilities)
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
    return errors.square().mean() if errors.numel() else _nothing(rebuilt)


def cosine_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """1 - cosine of vectors with their targets, on average.

    Parameters
    ----------
    predicted, target : Tensor of shape (..., n_dims)

    Returns
    -------
    Tensor, scalar
        From 0 to 2; vectors of zeros count as 1.

    References
    ----------
    Devillers, Maytié and VanRullen, "Semi-supervised multimodal representation
    learning through a global workspace", 2023, whose translations and cycles have
    squared errors: for text embeddings, only directions mean anything.
    """
    cosines = F.cosine_similarity(predicted, target, dim=-1)
    return (1 - cosines).mean() if cosines.numel() else _nothing(predicted)


def calibrated_loss(right: Tensor, wrong: Tensor, width: float) -> Tensor:
    """Bring right pairs nearer than wrong ones, with a bounded penalty.

    A pair that cannot be told from a wrong one costs one half, and one that is much
    worse costs 1, so that a few such pairs do not rule the rest.

    Parameters
    ----------
    right, wrong : Tensor of shape (n_pairs,)
        Squared distances of right and of wrong pairs.
    width : float
        Difference of distances over which the penalty rises.

    Returns
    -------
    Tensor, scalar
        From 0 to 1.

    References
    ----------
    Wu et al., "Frequency-semantic enhanced variational autoencoder for zero-shot
    skeleton-based action recognition", ICCV 2025.
    """
    if right.numel() == 0:
        return _nothing(right) + _nothing(wrong)
    return torch.sigmoid((right - wrong) / width).mean()


def distillation_loss(
    student_logits: Tensor, teacher_logits: Tensor, temperature: float = 2.0
) -> Tensor:
    """Kullback-Leibler divergence from a teacher, which gets no gradient.

    Parameters
    ----------
    student_logits, teacher_logits : Tensor of shape (n_cases, n_classes)
    temperature : float, default=2.0
        Divides logits; its square multiplies the loss, so that gradients keep their
        size.

    Returns
    -------
    Tensor, scalar
        Mean over cases.

    References
    ----------
    Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015.
    """
    if student_logits.numel() == 0:
        return _nothing(student_logits)
    student = (student_logits / temperature).log_softmax(1)
    teacher = (teacher_logits.detach() / temperature).log_softmax(1)
    divergence = F.kl_div(student, teacher, reduction="batchmean", log_target=True)
    return temperature**2 * divergence


def usage_loss(soft_assignments: Tensor, mask: Tensor | None = None) -> Tensor:
    """Entropy of each token's choice less the entropy of all tokens' mean choice.

    Low where every token is sure of its code and all codes have tokens.

    Parameters
    ----------
    soft_assignments : Tensor of shape (n_tokens, n_heads, n_codes_per_head)
        Probabilities of codes. Tokens that are not finite are left out.
    mask : Tensor of shape (n_tokens,), bool, optional
        False for padding.

    Returns
    -------
    Tensor, scalar
        Mean over heads, from minus the logarithm of their size to 0.

    References
    ----------
    Yu et al., "Language model beats diffusion: tokenizer is key to visual
    generation", ICLR 2024.
    """
    usable = soft_assignments.detach().isfinite().all(-1).all(-1)
    if mask is not None:
        usable &= mask
    kept = soft_assignments[usable]
    if len(kept) == 0:
        return kept.sum()
    return (_entropy(kept) - _entropy(kept.mean(0))).mean()


def separation_loss(
    start: Tensor, length: Tensor, mask: Tensor, grid: int = 64
) -> Tensor:
    """How far segments are from covering every timepoint exactly once.

    Parameters
    ----------
    start, length : Tensor of shape (n_series, n_segments)
        Shares of the series, from 0 to 1. Both get gradients, from the cells of the
        grid that borders lie in.
    mask : Tensor of shape (n_series, n_segments), bool
        False for padding. Series without segments are left out.
    grid : int, default=64
        Cells that coverage is computed in.

    Returns
    -------
    Tensor, scalar
        Mean squared deviation of coverage from 1.

    Notes
    -----
    VQShape (Wen et al., NeurIPS 2024) keeps segments apart pair by pair; coverage
    also sees what no segment covers.
    """
    known = mask.any(1)
    if not known.any():
        return _nothing(start) + _nothing(length)
    edges = torch.linspace(0, 1, grid + 1, dtype=start.dtype, device=start.device)
    first = start.where(mask, 0.0)[known].unsqueeze(2)
    last = first + length.where(mask, 0.0)[known].unsqueeze(2)
    overlap = torch.minimum(last, edges[1:]) - torch.maximum(first, edges[:-1])
    coverage = grid * overlap.clamp_min(0).sum(1)  # series, cell
    return (coverage - 1).square().mean()


def digit_loss(logits: Tensor, symbols: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of the symbols of written series.

    Parameters
    ----------
    logits : Tensor of shape (n_texts, length, n_symbols)
    symbols : Tensor of shape (n_texts, length), int64
    mask : Tensor of shape (n_texts, length), bool
        False for padding.

    Returns
    -------
    Tensor, scalar
        Mean over symbols.

    References
    ----------
    Gruver et al., "Large language models are zero-shot time series forecasters",
    NeurIPS 2023, where language models read series written as digits.
    """
    kept = logits[mask]
    return F.cross_entropy(kept, symbols[mask]) if len(kept) else kept.sum()


def _nothing(values: Tensor) -> Tensor:
    """Return 0 with a gradient of 0, whatever the values."""
    return values.flatten()[:0].sum()


def _entropy(probabilities: Tensor) -> Tensor:
    """Entropy along the last axis, with a finite slope at 0."""
    tiny = torch.finfo(probabilities.dtype).tiny
    return -(probabilities * probabilities.clamp_min(tiny).log()).sum(-1)
