"""Choice of the torch device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

DISTRIBUTED = "accelerate"  # device of distributed training


def choose_device(device: Any) -> str:
    """Return the torch device for the parameter `device` of an estimator."""
    if device not in ("auto", DISTRIBUTED):
        return str(device)
    usual = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "auto":
        return usual
    try:
        state = accelerate_state()
    except ImportError:  # accelerate is not needed for prediction
        return usual
    return str(state.device) if state.num_processes > 1 else usual


def accelerate_state() -> Any:
    from accelerate import PartialState

    return PartialState(cpu=not torch.cuda.is_available())


def to_device(value: Any, device: str) -> Any:
    """Move a tensor, or the tensors in a named tuple, to a device."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(to_device(part, device) for part in value))
    return value
