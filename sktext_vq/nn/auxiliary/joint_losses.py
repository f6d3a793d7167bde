"""Additional losses in the joint embedding space."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sktext_vq.nn.batches import Outputs, TrainingBatch
from sktext_vq.nn.initialisation import initialise_weights
from sktext_vq.nn.losses import empty_loss

if TYPE_CHECKING:
    from sktext_vq.nn.model import DualBranchModel

# Width of the calibrated loss, in squared distances of unit vectors.
_CALIBRATION_WIDTH = 0.5
_USE_TEXT_VECTORS = {"demi_cycle", "translation", "calibrated"}


class JointLosses(nn.Module):
    """Compute contrastive, demi-cycle, translation and calibrated losses."""

    def __init__(self, dim: int, text_dim: int) -> None:
        super().__init__()
        self.back_projection = nn.Linear(dim, text_dim)

    def forward(
        self, model: DualBranchModel, batch: TrainingBatch, outputs: Outputs
    ) -> dict[str, Tensor]:
        """Compute the losses of a batch, by name."""
        found = {}
        embedded = outputs.embedded
        assert embedded is not None
        if "contrastive" in model.active_losses and batch.classes is not None:
            found["contrastive"] = supervised_contrastive(embedded, batch.classes)
        by_kind = defaultdict(list)
        texts = outputs.texts if model.active_losses & _USE_TEXT_VECTORS else []
        for text in texts:
            if text.embedded is None:
                continue
            owner = text.owner
            vectors = F.normalize(text.texts.vectors, dim=1)
            from_text = self.back_projection(text.embedded)
            from_series = self.back_projection(embedded)
            by_kind["demi_cycle"].append(cosine_loss(from_text, vectors))
            by_kind["translation"].append(cosine_loss(from_series, vectors[owner]))
            from_series = F.normalize(from_series, dim=1)
            right = (from_series - vectors[owner]).square().sum(1)
            wrong = (from_series - vectors[owner.roll(1)]).square().sum(1)
            other = owner != owner.roll(1)
            by_kind["calibrated"].append(
                calibrated_loss(right[other], wrong[other], _CALIBRATION_WIDTH)
            )
        return found | {
            name: torch.stack(each).mean() for name, each in by_kind.items()
        }


def build(
    model: DualBranchModel,
    generator: torch.Generator,
    options: Mapping[str, Any],
) -> JointLosses | None:
    """Build the module if the model has a text branch."""
    if model.text is None:
        return None
    with torch.device("meta"):
        module = JointLosses(*model.text.weight.T.shape)
    initialise_weights(module, generator)
    return module


def supervised_contrastive(
    embeddings: Tensor, classes: Tensor, temperature: float = 0.1
) -> Tensor:
    """Compute the supervised contrastive loss.

    For each case, the loss is the mean cross-entropy of identifying the other cases of
    its class among all other cases. The only case of a class serves only as a negative.

    Parameters
    ----------
    embeddings : Tensor of shape (n_cases, space_dim)
        Unit vectors.
    classes : Tensor of shape (n_cases,), int64
    temperature : float, default=0.1
        Divisor of the cosines.

    Returns
    -------
    Tensor, scalar

    References
    ----------
    Khosla et al., "Supervised contrastive learning", NeurIPS 2020, loss `L_out`.
    """
    itself = torch.eye(len(classes), dtype=torch.bool, device=classes.device)
    positive = (classes[:, None] == classes) & ~itself
    n_positives = positive.sum(1)
    known = n_positives > 0
    if not known.any():
        return empty_loss(embeddings)
    cosines = embeddings @ embeddings.T / temperature
    logs = cosines.masked_fill(itself, -torch.inf).log_softmax(1)
    # Diagonal entries are -inf, and -inf * 0 would be nan.
    sums = logs.where(positive, 0.0).sum(1)
    return -(sums[known] / n_positives[known]).mean()


def cosine_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Compute the mean of 1 minus the cosine of vectors and their targets.

    Parameters
    ----------
    predicted, target : Tensor of shape (..., n_dims)

    Returns
    -------
    Tensor, scalar
        Loss from 0 to 2; the loss of a zero vector is 1.

    References
    ----------
    Devillers, Maytié and VanRullen, "Semi-supervised multimodal representation learning
    through a global workspace", 2023, with squared errors. Cosines are used here,
    because only directions of text embeddings are meaningful.
    """
    cosines = F.cosine_similarity(predicted, target, dim=-1)
    return (1 - cosines).mean() if cosines.numel() else empty_loss(predicted)


def calibrated_loss(right: Tensor, wrong: Tensor, width: float) -> Tensor:
    """Compute a bounded penalty for correct pairs that are not closer than wrong pairs.

    The penalty is one half if both distances are equal, and approaches 1 if the correct
    pair is much farther apart, so that a few pairs do not dominate the loss.

    Parameters
    ----------
    right, wrong : Tensor of shape (n_pairs,)
        Squared distances of correct and wrong pairs.
    width : float
        Divisor of the difference between distances.

    Returns
    -------
    Tensor, scalar
        Loss from 0 to 1.

    References
    ----------
    Wu et al., "Frequency-semantic enhanced variational autoencoder for zero-shot
    skeleton-based action recognition", ICCV 2025.
    """
    if right.numel() == 0:
        return empty_loss(right) + empty_loss(wrong)
    return torch.sigmoid((right - wrong) / width).mean()
