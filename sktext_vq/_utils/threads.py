"""Parallel processing of cases in threads."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from threadpoolctl import ThreadpoolController

from sktext_vq._utils.forks import limit_threads_after_fork
from sktext_vq._utils.torch_defaults import torch_defaults

limit_threads_after_fork()

_BLOCK_ROWS = 16  # number of rows that are multiplied at a time

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def single_thread() -> Iterator[None]:
    """Run torch operations on the calling thread, with the default settings of torch.

    The operations are too small to benefit from several threads and can be a hundred
    times slower if other processes use the CPU.
    """
    with _limit_threads(), torch_defaults():
        yield


def _limit_threads() -> Any:
    torch.get_num_threads()  # initialises torch, which would otherwise reset the limit
    return _libraries().limit(limits=1, user_api="openmp")


@functools.cache
def _libraries() -> ThreadpoolController:
    """Return the thread pools of the process, which are searched only once."""
    return ThreadpoolController()


def in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], n_threads: int
) -> Iterator[Result]:
    """Apply a function to items in parallel threads and yield the results in order."""
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


def multiply_rows(rows: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Return the matrix product, whose rows do not depend on the number of rows.

    Rounding in libraries depends on the number of rows. Therefore, blocks of equal size
    are multiplied; otherwise, results would depend on `n_jobs`.
    """
    products = []
    for block in rows.split(_BLOCK_ROWS):
        n_missing = _BLOCK_ROWS - len(block)
        full = F.pad(block, (0, 0, 0, n_missing)) if n_missing else block
        products.append((full @ matrix)[: len(block)])
    return torch.cat(products)
