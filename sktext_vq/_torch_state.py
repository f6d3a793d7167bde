"""Defaults of torch in place of the settings that a caller may have changed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

_lock = threading.Lock()
_inside = 0
_dtype: Any = None


@contextmanager
def torch_defaults() -> Iterator[None]:
    """Run a block with the settings that torch starts with, and restore the others.

    Covers the default dtype and device, autocast, and modes without gradients. Whether
    algorithms have to be deterministic stays the caller's choice.
    """
    import torch  # not above: texts are read without it

    with ExitStack() as stack:
        stack.enter_context(_float32())
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        yield


@contextmanager
def _float32() -> Iterator[None]:
    """Make float32 the default dtype, which all threads of a process share."""
    import torch

    global _inside, _dtype
    with _lock:
        if not _inside:
            _dtype = torch.get_default_dtype()
        _inside += 1
        torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                torch.set_default_dtype(_dtype)
