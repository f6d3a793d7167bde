"""Torch devices: which one to use, and tensors on it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

DISTRIBUTED = "accelerate"  # the device of processes that train together


def choose_device(device: Any) -> str:
    """Return the device of this process for the parameter of an estimator."""
    if device not in ("auto", DISTRIBUTED):
        return str(device)
    usual = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "auto":
        return usual
    try:
        state = accelerate_state()
    except ImportError:  # predictions do not need it
        return usual
    return str(state.device) if state.num_processes > 1 else usual


def accelerate_state() -> Any:
    from accelerate import PartialState

    return PartialState(cpu=not torch.cuda.is_available())


def to_device(value: Any, device: str) -> Any:
    """Bring tensors to a device, and those in named tuples."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(to_device(part, device) for part in value))
    return value
