"""Warm start from the codes and modules of a fitted estimator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from sktext_vq.nn.codebook import Codebook
from sktext_vq.nn.model import DualBranchModel


@dataclass(frozen=True)
class WarmStart:
    """Codes and modules of a fitted estimator.

    Parameters
    ----------
    codebook : Codebook
        Codes.
    modules : mapping of str to Module
        Trained modules that depend neither on channels nor on classes, by their path in
        `DualBranchModel`.
    """

    codebook: Codebook
    modules: Mapping[str, nn.Module]

    @torch.no_grad()
    def initialise(self, model: DualBranchModel) -> None:
        """Copy the weights of modules that the model has as well, if shapes agree."""
        own = dict(model.named_parameters())
        for path, module in self.modules.items():
            for name, known in module.named_parameters():
                weight = own.get(f"{path}.{name}")
                if weight is not None and weight.shape == known.shape:
                    weight.copy_(known)
