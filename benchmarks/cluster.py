"""A grid search and a large transform in one process and on a local cluster."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from typing import Any

import numpy as np
from cost import tiles
from estimators import limit_threads
from joblib import parallel_config
from numpy.typing import NDArray
from protocol import Results, log, make_parser
from report import write_report

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
    """Fit with so many codes in four folds, and return the scores."""
    from sklearn.model_selection import GridSearchCV

    from sktext_vq import VQTextClassifier

    classifier = VQTextClassifier(max_epochs=0, random_state=0)
    found = GridSearchCV(classifier, {"n_codes": n_codes}, cv=N_FOLDS, refit=False)
    return found.fit(X, y).cv_results_["mean_test_score"]


def main() -> None:
    """Compute what is missing, and write the table."""
    parser = make_parser(
        "Time joblib's backends for clusters on this machine. Rows that "
        "results/cluster.csv has are not computed again."
    )
    parser.add_argument("--workers", type=int, default=2, help="of one thread each")
    parser.add_argument("--windows", type=int, default=100_000, help="to transform")
    parser.add_argument(
        "--backends", nargs="+", choices=BACKENDS, default=list(BACKENDS)
    )
    args: argparse.Namespace = parser.parse_args()
    from sktext_vq import VQTextTransformer

    results = Results(
        args.results / "cluster.csv",
        ("task", "backend"),
        ("cases", "workers", "seconds", "equal"),
    )
    transformer = VQTextTransformer(max_features=500, max_epochs=0, random_state=0)
    with limit_threads(1):
        few, y = tiles(80, 6, 100)
        transformer.fit(few, y)
        X = tiles(args.windows, 6, 100)[0]
        work = {
            "grid search": lambda: search(N_CODES, few, y),
            "transform": lambda: transformer.transform(X),
        }
        first: dict[str, NDArray[Any]] = {}
        missing = [
            backend
            for backend in args.backends
            if not all((task, backend) in results for task in TASKS)
        ]
        if "ray" in missing and find_spec("ray") is None:
            log("ray is not installed, and left out.")
            missing.remove("ray")
        if missing:  # what others are compared with
            missing = [ALONE, *(each for each in missing if each != ALONE)]
        for backend in missing:
            with cluster(backend, args.workers) as context, context:
                search(N_CODES[:1], few, y)
                transformer.transform(tiles(256, 6, 100)[0])
                for task in TASKS:
                    start = time.perf_counter()
                    found = work[task]()
                    seconds = time.perf_counter() - start
                    expected = first.setdefault(task, found)
                    row = {
                        "task": task,
                        "backend": backend,
                        "cases": len(few) if task == "grid search" else len(X),
                        "workers": 1 if backend == ALONE else args.workers,
                        "seconds": seconds,
                        "equal": bool(np.array_equal(found, expected)),
                    }
                    results.add(row)
                    log(f"{row}")
    write_report("cluster", args.results)


if __name__ == "__main__":
    main()
