"""Initialisation of weights."""

from __future__ import annotations

import torch
from torch import nn


def initialise_weights(module: nn.Module, generator: torch.Generator | None) -> None:
    """Initialise the weights of a module that was built on the "meta" device.

    On other devices, modules initialise their weights with the global generator.

    Parameters
    ----------
    module : Module
    generator : torch.Generator or None
        If None, the weights are not initialised and remain on the "meta" device.
    """
    if generator is None:
        return
    with torch.no_grad():
        for part in module.modules():
            for name, empty in part.named_parameters(recurse=False):
                weight = nn.Parameter(torch.empty_like(empty, device="cpu"))
                if weight.dim() > 1:
                    weight.normal_(0, weight.shape[-1] ** -0.5, generator=generator)
                elif name.endswith("bias"):
                    weight.zero_()
                else:  # scale of a normalisation layer
                    weight.fill_(1)
                setattr(part, name, weight)
