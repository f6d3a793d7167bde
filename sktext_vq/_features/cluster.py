"""Distributed prediction with joblib."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs, parallel_config
from joblib.parallel import BACKENDS, get_active_backend
from numpy.typing import NDArray

from sktext_vq.panel import Panel

_OF_ONE_MACHINE = ("loky", "multiprocessing", "sequential", "threading")
# Minimum and maximum number of cases per task, to limit overhead and memory.
_MIN_CASES, _MAX_CASES = 64, 1024
_TASKS_PER_WORKER = 4


def on_cluster() -> bool:
    """Return whether the joblib backend runs on several machines."""
    backend, _ = get_active_backend()
    return type(backend) not in [BACKENDS[name] for name in _OF_ONE_MACHINE]


def map_parts(
    function: Callable[[Panel], NDArray[Any]], panel: Panel, n_jobs: int | None
) -> NDArray[Any]:
    """Compute an array with one row per case, on a cluster if one is configured.

    The function must return one row per case, which must not depend on other cases. If
    `n_jobs` is 1, the array is computed in this process.
    """
    if n_jobs == 1 or not on_cluster() or _in_task():
        return function(panel)
    n_at_once = _TASKS_PER_WORKER * effective_n_jobs(n_jobs)
    size = int(np.clip(-(-panel.n_cases // n_at_once), _MIN_CASES, _MAX_CASES))
    parts = [slice(i, i + size) for i in range(0, panel.n_cases, size)]
    rows = None
    # Tasks are sent in groups, which limits the memory for inputs and results.
    with Parallel(n_jobs=n_jobs) as pool:
        for start in range(0, len(parts), n_at_once):
            sent = parts[start : start + n_at_once]
            found = pool(
                delayed(_compute)(function, panel.values[part], panel.lengths[part])
                for part in sent
            )
            for part, some in zip(sent, found, strict=True):
                if rows is None:
                    rows = np.empty((panel.n_cases, *some.shape[1:]), some.dtype)
                rows[part] = some
    assert rows is not None
    return rows


def _compute(
    function: Callable[[Panel], NDArray[Any]],
    values: NDArray[Any],
    lengths: NDArray[np.int64],
) -> NDArray[Any]:
    with parallel_config(backend="sequential"):
        return function(Panel(values, lengths))


def _in_task() -> bool:
    """Return whether this process runs a dask task, in which dask is the backend."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return False
    try:
        distributed.get_worker()
    except ValueError:
        return False
    return True
