"""A grid search and a large transform in one process and on a local cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from typing import Any

import numpy as np
from joblib import parallel_config
from numpy.typing import NDArray

from benchmarks.data import tiles
from benchmarks.estimators import classifier_closed
from benchmarks.runner import Experiment, Options, Row, grid
from benchmarks.store import Frames, log
from benchmarks.tables import markdown

ALONE = "one process"
BACKENDS = (ALONE, "dask", "ray")
TASKS = ("grid search", "transform")
N_CODES = (16, 32, 48, 64, 80, 96)
N_FOLDS = 4


@contextmanager
def cluster(backend: str, n_workers: int) -> Iterator[Any]:
    """Start workers of one thread each, and yield a context that uses them."""
    if backend == "dask":
        from distributed import Client, LocalCluster

        with (
            LocalCluster(
                n_workers=n_workers,
                threads_per_worker=1,
                dashboard_address=None,
                memory_limit=0,
            ) as workers,
            Client(workers),
        ):
            yield parallel_config(backend="dask")
    elif backend == "ray":
        import ray
        from ray.util.joblib import register_ray

        register_ray()
        ray.init(num_cpus=n_workers, include_dashboard=False, log_to_driver=False)
        try:
            yield parallel_config(backend="ray", n_jobs=-1)
        finally:
            ray.shutdown()
    else:
        yield nullcontext()


def search(n_codes: tuple[int, ...], X: Any, y: Any) -> NDArray[np.float64]:
    """Return the scores of numbers of codes in four folds."""
    from sklearn.model_selection import GridSearchCV

    options = {"n_codes": n_codes}
    found = GridSearchCV(classifier_closed(0), options, cv=N_FOLDS, refit=False)
    return found.fit(X, y).cv_results_["mean_test_score"]


def evaluate(keys: list[Row], options: Options) -> Iterator[Row]:
    """Time each task, first in a single process as the reference."""
    from sktext_vq import VQTextTransformer

    transformer = VQTextTransformer(max_features=500, max_epochs=0, random_state=0)
    few, y = tiles(80, 6, 100)
    transformer.fit(few, y)
    X, n_workers = (
        tiles(options.settings["windows"], 6, 100)[0],
        options.settings["workers"],
    )
    work = {
        "grid search": lambda: search(N_CODES, few, y),
        "transform": lambda: transformer.transform(X),
    }
    first: dict[str, NDArray[Any]] = {}
    wanted = {key["backend"] for key in keys}
    for backend in BACKENDS:
        if backend != ALONE and backend not in wanted:
            continue
        if backend == "ray" and find_spec("ray") is None:
            log(f"{backend} is not installed and is skipped.")
            continue
        with cluster(backend, n_workers) as context, context:
            search(N_CODES[:1], few, y)
            transformer.transform(tiles(256, 6, 100)[0])
            for task in TASKS:
                start = time.perf_counter()
                found = work[task]()
                seconds = time.perf_counter() - start
                expected = first.setdefault(task, found)
                yield {
                    "task": task,
                    "backend": backend,
                    "cases": len(few) if task == "grid search" else len(X),
                    "workers": 1 if backend == ALONE else n_workers,
                    "seconds": seconds,
                    "equal": bool(np.array_equal(found, expected)),
                }


def table(frames: Frames) -> str:
    """Seconds of each task on each backend, and whether results are equal."""
    frame = frames["cluster"]
    alone = frame[frame["backend"] == ALONE].set_index("task")["seconds"]
    faster = frame["task"].map(alone) / frame["seconds"]
    shown = frame[["task", "cases", "backend", "workers"]].assign(
        seconds=frame["seconds"].map("{:.1f}".format),
        faster=faster.map("{:.2f}".format),
        equal=frame["equal"].map({True: "yes", False: "no"}),
    )
    columns = ["task", "cases", "backend", "workers", "seconds", "times as fast"]
    return markdown([*columns, "same results"], shown.itertuples(index=False))


EXPERIMENT = Experiment(
    name="cluster",
    about="grid search and transformation on a local cluster",
    keys=("task", "backend"),
    values=("cases", "workers", "seconds", "equal"),
    tasks=lambda options: grid(task=TASKS, backend=BACKENDS),
    evaluate=evaluate,
    fit=lambda key: "all",
    settings={"windows": 100_000, "workers": 2},
    tables={"cluster": table},
    page="# Clusters\n\n"
    "This page compares a single process with a local cluster of single-threaded "
    "workers. The tasks are a grid search with 24 fits (six values of `n_codes` in "
    "four folds) and `transform` to 500 features. The series have 6 channels and 100 "
    "timepoints; they are modified copies of the BasicMotions series. The workers "
    "are started before the measurement.\n\n"
    "{cluster}\n",
)
