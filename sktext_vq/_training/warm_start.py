"""Warm start from the codes and modules of a fitted estimator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import nn

from sktext_vq.nn.codebook import Codebook
from sktext_vq.nn.model import DualBranchModel


def find_base(init: Any) -> tuple[Any, Any]:
    """Return `init` as a base model or as an estimator; the other value is None."""
    if isinstance(init, str):
        # This import is dynamic, because this layer must not import higher layers.
        return import_module("sktext_vq.wearables").load_packaged(init), None
    return (init, None) if hasattr(init, "enrol") else (None, init)


@dataclass(frozen=True)
class WarmStart:
    """Codes and modules of a fitted estimator.

    Modules are independent of channels and classes. Their names are paths in
    `DualBranchModel`.
    """

    codebook: Codebook
    modules: Mapping[str, nn.Module]

    @torch.no_grad()
    def initialise(self, model: DualBranchModel) -> None:
        """Copy the weights that have the same name and shape in the model."""
        own = dict(model.named_parameters())
        for path, module in self.modules.items():
            for name, known in module.named_parameters():
                weight = own.get(f"{path}.{name}")
                if weight is not None and weight.shape == known.shape:
                    weight.copy_(known)
