"""Optional modules of the network, each in a separate file.

Each file has a function ``build(model, generator, options)`` that returns a module, or
None if the model lacks a part that the module requires. The ``forward`` of a module
takes the model, a `TrainingBatch`, and the `Outputs` of the network and of earlier
modules for this batch. It returns losses by name. To remove a module, delete its file,
its row in `MODULES` and its names in ``nn/__init__.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from sktext_vq.nn.model import DualBranchModel

# Losses that require each module. Modules are called in this order, because a module
# may use the outputs of earlier modules.
MODULES = {
    "frequency_gains": {"frequency"},
    "codebook_updates": {"codebook", "shape"},
    "joint_losses": {"contrastive", "demi_cycle", "translation", "calibrated"},
    "segments": {"series", "separation", "usage", "fused", "distillation"},
    "digits": {"digits"},
    "cross_attention": {"fused", "distillation"},
}


def load_module(name: str) -> Any:
    """Import a module of this folder by its name in `MODULES`."""
    return import_module(f"{__name__}.{name}")


def build_modules(
    model: DualBranchModel,
    generator: torch.Generator,
    options: Mapping[str, Mapping[str, Any]],
) -> nn.ModuleDict:
    """Build the modules required by the active losses of a model.

    The other parts of the model must already be built. `options` contains further
    arguments of the modules, by module name.
    """
    found = {}
    for name, losses in reversed(MODULES.items()):  # order of random initialisation
        if losses & model.active_losses:
            found[name] = load_module(name).build(
                model, generator, options.get(name, {})
            )
    return nn.ModuleDict(
        {name: found[name] for name in MODULES if found.get(name) is not None}
    )
