"""Thread limit of torch in forked processes."""

from __future__ import annotations

import functools
import os
import sys


@functools.cache
def limit_threads_after_fork() -> None:
    """Limit torch to one thread in processes that are forked after this call.

    Otherwise, GNU OpenMP and MKL would wait for threads that do not exist in the forked
    process.
    """
    if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
        os.register_at_fork(after_in_child=_limit_threads)


def _limit_threads() -> None:
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)
