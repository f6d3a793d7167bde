"""Choice of the torch device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def choose_device(device: Any) -> str:
    """Return the torch device for the parameter `device` of an estimator."""
    if device != "auto":
        return str(device)
    return "cuda" if torch.cuda.is_available() else "cpu"


def to_device(value: Any, device: str) -> Any:
    """Move a tensor, or the tensors in a named tuple, to a device."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(to_device(part, device) for part in value))
    return value
