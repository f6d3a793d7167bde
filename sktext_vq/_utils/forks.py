"""Processes that are forked: torch works on one thread there."""

from __future__ import annotations

import functools
import os
import sys


@functools.cache
def limit_threads_after_fork() -> None:
    """Let torch use one thread in processes that are forked from now on.

    Threads do not survive a fork, but what GNU OpenMP and MKL know of them does: any
    operation that is shared out over threads would wait for them forever.
    """
    if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
        os.register_at_fork(after_in_child=_limit_threads)


def _limit_threads() -> None:
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)
