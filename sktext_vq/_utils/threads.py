"""Threads for parallel processing of cases, with torch limited to one thread each."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from threadpoolctl import ThreadpoolController

from sktext_vq._utils.forks import limit_threads_after_fork
from sktext_vq._utils.torch_defaults import torch_defaults

limit_threads_after_fork()

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def single_thread() -> Iterator[None]:
    """Run torch operations on the calling thread, with the default settings of torch.

    The operations are small. Parallel operations gain little on an idle machine, and on
    a busy machine each waits for the slowest thread, which can be a hundred times
    slower. Cases are processed in parallel instead; see `n_jobs`.
    """
    with _limit_threads(), torch_defaults():
        yield


def _limit_threads() -> Any:
    torch.get_num_threads()  # a later initialisation would undo the limit
    return _libraries().limit(limits=1, user_api="openmp")


@functools.cache
def _libraries() -> ThreadpoolController:
    """Search for thread pools once: a search takes as long as predicting some cases."""
    return ThreadpoolController()


def in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], n_threads: int
) -> Iterator[Result]:
    """Yield results in order, computed by threads with one torch thread each."""
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
