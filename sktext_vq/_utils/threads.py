"""Threads that share out cases, each with one thread of its own in torch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from threadpoolctl import threadpool_limits

from sktext_vq._utils.forks import limit_threads_after_fork
from sktext_vq._utils.torch_defaults import torch_defaults

limit_threads_after_fork()

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def single_thread() -> Iterator[None]:
    """Keep torch's operations on the calling thread, with the defaults of torch.

    Operations are small here. Sharing each out over threads gains little on an idle
    machine, and on a busy one every operation waits for the slowest thread, which makes
    the whole up to a hundred times slower. Cases are shared out instead, see `n_jobs`.
    """
    with _limit_threads(), torch_defaults():
        yield


def _limit_threads() -> Any:
    torch.get_num_threads()  # sets up a new thread, which would undo the limit later
    return threadpool_limits(1, user_api="openmp")


def in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], n_threads: int
) -> Iterator[Result]:
    """Yield results in order, which threads compute a little ahead.

    Each thread works as :func:`single_thread` says.
    """
    n_threads = min(n_threads, len(items))
    if n_threads < 2:
        with _limit_threads():
            yield from map(function, items)
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(n_threads, initializer=_limit_threads) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > n_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
