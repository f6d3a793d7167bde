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
    """Convert `init` of `fit` to a base or an estimator; the other one is None."""
    if isinstance(init, str):
        # Imported by name, because lower layers must not depend on higher layers.
        return import_module("sktext_vq.wearables").load_packaged(init), None
    return (init, None) if hasattr(init, "enrol") else (None, init)


@dataclass(frozen=True)
class WarmStart:
    """Codes and modules of a fitted estimator.

    Parameters
    ----------
    codebook : Codebook
        Codes.
    modules : mapping of str to Module
        Trained modules that depend neither on channels nor on classes, by path in
        `DualBranchModel`.
    """

    codebook: Codebook
    modules: Mapping[str, nn.Module]

    @torch.no_grad()
    def initialise(self, model: DualBranchModel) -> None:
        """Copy weights of modules that are also in the model, if shapes agree."""
        own = dict(model.named_parameters())
        for path, module in self.modules.items():
            for name, known in module.named_parameters():
                weight = own.get(f"{path}.{name}")
                if weight is not None and weight.shape == known.shape:
                    weight.copy_(known)
