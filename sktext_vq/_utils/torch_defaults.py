"""Context managers for default settings and deterministic algorithms of torch."""

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
    """Run a block with torch's default settings, then restore the previous settings.

    The settings are the default dtype and device, autocast, and gradient modes.
    """
    import torch  # imported here, because the text module works without torch

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
def deterministic_algorithms() -> Iterator[None]:
    """Run a block with deterministic algorithms of torch, where available.

    Otherwise, gradients of ``tensor[index]`` differ by rounding errors between runs on
    several threads.
    """
    import torch

    before = torch.are_deterministic_algorithms_enabled()
    warns = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=warns or not before)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warns)


@contextmanager
def _float32() -> Iterator[None]:
    """Set the default dtype, which is shared by all threads, to float32."""
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
