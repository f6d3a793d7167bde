"""Initial weights."""

from __future__ import annotations

import torch
from torch import nn


def draw_weights(module: nn.Module, generator: torch.Generator | None) -> None:
    """Draw the weights of a module that was built on the device "meta".

    Modules draw weights from the global generator when they are built, except on that
    device.

    Parameters
    ----------
    module : Module
    generator : torch.Generator or None
        If None, weights have only names and shapes, and no memory.
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
                else:  # of a normalisation
                    weight.fill_(1)
                setattr(part, name, weight)
