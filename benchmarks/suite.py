"""Accuracy, calibration, seconds and memory of many estimators on many data sets."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from cost import peak_mib, reset_peak
from estimators import (
    ESTIMATORS,
    OF_AEON,
    OF_SKTIME,
    OURS,
    WITH_PROBABILITIES,
    build,
    check_level,
    few_of_each,
)
from numpy.typing import NDArray
from protocol import (
    LARGE_SETS,
    SMALL_SETS,
    Results,
    datasets,
    load_whole,
    log,
    make_parser,
    resample,
    scores,
    take,
    version_of,
)
from report import write_report
from sktime.benchmarking.classification import ClassificationBenchmark
from sktime.classification.base import BaseClassifier

KEYS = ("set", "estimator", "split", "seed")
OF_LABELS = ("accuracy", "balanced_accuracy", "macro_f1")
OF_PROBABILITIES = ("log_loss", "calibration_error")
MEASURED = ("fit_seconds", "predict_seconds", "peak_mib")
VALUES = ("status", *OF_LABELS, *OF_PROBABILITIES, *MEASURED, "threads")
DONE = "done"


class Job(NamedTuple):
    """Rows of one estimator on one set, which one process computes.

    They share what takes long in each process: imports, compilers, and the data.
    """

    set: str
    estimator: str
    runs: tuple[tuple[int, int], ...]  # splits and seeds

    def key(self, split: int, seed: int) -> dict[str, Any]:
        """Return what tells a row from the others."""
        return {
            "set": self.set,
            "estimator": self.estimator,
            "split": split,
            "seed": seed,
        }


# sktime's benchmark fits clones and keeps none, so that what was measured is left here.
_measured: dict[str, Any] = {}


class Measured(BaseClassifier):
    """What sktime's benchmark fits: one of `ESTIMATORS`, and a watch around it.

    The benchmark converts series to data frames and back. That is in its own seconds,
    and would be most of the memory.
    """

    _tags = {  # noqa: RUF012  (sktime's way)
        "X_inner_mtype": "numpy3D",
        "capability:multivariate": True,
        "capability:unequal_length": True,
        "capability:missing_values": True,
        "capability:predict_proba": True,
    }

    def __init__(
        self,
        estimator: str,
        seed: int = 0,
        n_threads: int = 1,
        about: Any = None,
        is_ragged: bool = False,
    ) -> None:
        self.estimator = estimator
        self.seed = seed
        self.n_threads = n_threads
        self.about = about
        self.is_ragged = is_ragged
        super().__init__()
        if is_ragged:
            self.set_tags(X_inner_mtype="df-list")

    def _fit(self, X: Any, y: NDArray[Any]) -> Measured:
        X, y = _series(X), y.astype(np.str_)
        with _cause_kept():
            self.network_.model = build(
                self.estimator, self.seed, self.n_threads, self.about
            )
            _measured["start_mib"] = reset_peak()
            start = time.perf_counter()
            self.network_.model.fit(X, y)
            _measured["fit_seconds"] = time.perf_counter() - start
            check_level(self.estimator, self.network_.model)
        return self

    def _predict(self, X: Any) -> NDArray[Any]:
        X = _series(X)
        with _cause_kept():
            start = time.perf_counter()
            predicted = self.network_.model.predict(X)
            _measured["predict_seconds"] = time.perf_counter() - start
            _measured["peak_mib"] = peak_mib() - _measured.pop("start_mib")
        return predicted

    def _predict_proba(self, X: Any) -> NDArray[np.floating[Any]]:
        with _cause_kept():
            return self.network_.model.predict_proba(_series(X))


def _series(X: Any) -> Any:
    """Return series as the estimators take them."""
    if isinstance(X, list):
        return [frame.to_numpy().T for frame in X]
    return X


@contextmanager
def _cause_kept() -> Iterator[None]:
    """Keep an exception, of which sktime's benchmark keeps the message only."""
    try:
        yield
    except Exception as error:
        _measured["cause"] = error
        raise


class Split(NamedTuple):
    """One split, in the form that sktime asks for a splitter."""

    train: NDArray[np.intp]
    test: NDArray[np.intp]

    def split(self, X: Any, y: Any = None) -> Iterator[tuple[Any, Any]]:
        """Yield the cases of both parts."""
        yield self.train, self.test


def scorer(name: str, classes: NDArray[np.str_]) -> Callable[..., float]:
    """Make a function of one of the scores.

    sktime gives it probabilities if an argument has such a name, or if it takes some
    in a trial call; `scores` refuses those in place of labels.
    """

    def of_labels(y_true: Any, y_pred: Any) -> Any:
        return scores(np.ravel(y_true).astype(np.str_), y_pred)[name]

    def of_probabilities(y_true: Any, y_proba: Any) -> Any:
        y = np.ravel(y_true).astype(np.str_)
        return scores(y, classes[y_proba.argmax(axis=1)], y_proba, classes)[name]

    function = of_labels if name in OF_LABELS else of_probabilities
    function.__name__ = name
    return function


def evaluate(model: Measured, X: Any, y: NDArray[np.str_], split: Split) -> Any:
    """Let sktime's benchmark fit and score a model once.

    Parameters
    ----------
    model : Measured
        What to fit.
    X, y : panel and labels
        All cases.
    split : Split
        Those to fit and those to score.

    Returns
    -------
    dict
        Scores, seconds and memory.

    Raises
    ------
    RuntimeError
        If anything failed, which the benchmark itself would only log.
    """
    names: tuple[str, ...] = OF_LABELS
    if model.estimator in WITH_PROBABILITIES:
        names += OF_PROBABILITIES
    classes = np.unique(y[split.train])
    if model.is_ragged:
        X = [pd.DataFrame(series.T) for series in X]
    _measured.clear()
    benchmark = ClassificationBenchmark()
    benchmark.add_estimator(model, estimator_id=model.estimator)
    benchmark.add_task(
        (X, y), split, [scorer(name, classes) for name in names], task_id="task"
    )
    with warnings.catch_warnings():
        # sktime takes the standard deviation over the one fold that there is.
        warnings.filterwarnings("ignore", "Degrees of freedom", RuntimeWarning)
        warnings.filterwarnings("ignore", "invalid value", RuntimeWarning)
        frame = benchmark.run()
    if benchmark.failed_experiments:
        failure = benchmark.failed_experiments[0]
        raise RuntimeError(
            f"{failure.exception_type}: {failure.exception_message}"
        ) from _measured.get("cause")
    found = {name: frame.at[0, f"{name}_fold_0_test"] for name in names}
    return {**dict.fromkeys(OF_PROBABILITIES, ""), **found, **_measured}


def work(connection: Connection, job: Job, data: str | None, n_threads: int) -> None:
    """Compute the rows of a job and send them one by one; the body of a process.

    Before the rows comes None, after a fit to a few cases that has compilers and lazy
    imports behind it. In place of what fails comes its traceback.
    """
    try:
        whole = load_whole(job.set, data)
        is_ragged = isinstance(whole.X, list)

        def model(seed: int) -> Measured:
            return Measured(job.estimator, seed, n_threads, whole.about, is_ragged)

        few = few_of_each(whole.y[: whole.n_train])
        every = Split(np.arange(len(few)), np.arange(len(few)))
        evaluate(model(0), take(whole.X, few), whole.y[few], every)
        connection.send(None)
        for number, seed in job.runs:
            split = Split(*resample(whole.y, whole.n_train, whole.subjects, number))
            row = evaluate(model(seed), whole.X, whole.y, split)
            key = {**job.key(number, seed), "status": DONE, "threads": n_threads}
            connection.send({**key, **row})
    except Exception:
        connection.send(traceback.format_exc())


class Worker:
    """A process that computes a job.

    Parameters
    ----------
    job : Job
        What to compute.
    data : str, optional
        Folder of data sets.
    n_threads : int
        Threads of the process.
    most_minutes : float
        For one row, and for the fit to a few cases that comes first.
    """

    def __init__(
        self, job: Job, data: str | None, n_threads: int, most_minutes: float
    ) -> None:
        self.job = job
        self.most_minutes = most_minutes
        self.runs = deque(job.runs)
        spawn = multiprocessing.get_context("spawn")
        self.connection, theirs = spawn.Pipe(duplex=False)
        self.process = spawn.Process(target=work, args=(theirs, job, data, n_threads))
        self.process.start()
        theirs.close()  # so that there is an end to read, if the process dies
        self._start_watch()

    def _start_watch(self) -> None:
        self.deadline = time.monotonic() + 60 * self.most_minutes

    def receive(self) -> dict[str, Any] | None:
        """Return the row that was sent, if it was one."""
        what = f"{self.job.estimator} on {self.job.set}"
        try:
            message = self.connection.recv()
        except EOFError:
            self.process.join()
            raise SystemExit(
                f"{what}: the process ended with exit code {self.process.exitcode}. "
                "Was there enough memory?"
            ) from None
        if isinstance(message, str):
            raise SystemExit(f"{what} failed:\n{message}")
        self._start_watch()
        if message is not None:
            self.runs.popleft()
        return message

    def give_up(self) -> Iterator[dict[str, Any]]:
        """Stop, and return rows that say so in place of those that are missing."""
        self.stop()
        limit = f"over {self.most_minutes:g} minutes"
        status = limit
        while self.runs:
            key = self.job.key(*self.runs.popleft())
            yield {**dict.fromkeys(VALUES, ""), **key, "status": status}
            status = f"not run since another took {limit}"

    def stop(self) -> None:
        """End the process, whatever it does."""
        self.process.kill()
        self.process.join()
        self.connection.close()


def compute(
    jobs: Sequence[Job],
    data: str | None,
    n_processes: int,
    n_threads: int,
    most_minutes: float,
) -> Iterator[dict[str, Any]]:
    """Share out jobs to processes, and yield rows as they come."""
    waiting = deque(jobs)
    workers: dict[Any, Worker] = {}
    try:
        while waiting or workers:
            while waiting and len(workers) < n_processes:
                worker = Worker(waiting.popleft(), data, n_threads, most_minutes)
                workers[worker.connection] = worker
            soonest = min(worker.deadline for worker in workers.values())
            for ready in wait(list(workers), max(0.0, soonest - time.monotonic())):
                row = workers[ready].receive()
                if row is not None:
                    yield row
            for connection, worker in list(workers.items()):
                if worker.runs and time.monotonic() > worker.deadline:
                    yield from worker.give_up()
                if not worker.runs:
                    worker.process.join(10)  # ends by itself, if it was not stopped
                    worker.stop()
                    del workers[connection]
    finally:
        for worker in workers.values():
            worker.stop()


def parser() -> argparse.ArgumentParser:
    """Make the parser of options."""
    found = make_parser(
        "Fit estimators to training parts and score them on test parts. Rows that "
        "results/suite.csv has, or for estimators of aeon results/suite-aeon.csv, are "
        "not computed again."
    )
    found.add_argument(
        "--sets",
        nargs="+",
        default=["small", "large"],
        help="data sets; small stands for the 19 small ones, large for the other two",
        metavar="SET",
    )
    found.add_argument(
        "--estimators",
        nargs="+",
        choices=list(ESTIMATORS),
        default=[*OURS, *OF_SKTIME],
        help=f"what to fit. {', '.join(OF_AEON)} need aeon",
        metavar="ESTIMATOR",
    )
    found.add_argument(
        "--seeds", nargs="+", type=int, default=[0, 1, 2], help="of each"
    )
    found.add_argument(
        "--resamples",
        type=int,
        default=0,
        help="splits that are drawn anew, beside the official one",
        metavar="N",
    )
    found.add_argument(
        "--most-minutes",
        type=float,
        default=60,
        help="for one row; the set is missing then, and the report says so",
        metavar="N",
    )
    found.add_argument(
        "--processes", type=int, default=2, help="that share out all cores"
    )
    return found


def plan(
    args: argparse.Namespace, estimators: Sequence[str], results: Results
) -> list[Job]:
    """List what is missing."""
    jobs = []
    for name in args.sets:
        for estimator in estimators:
            runs = [
                (split, seed)
                for split in range(args.resamples + 1)
                for seed in args.seeds
                if (name, estimator, split, seed) not in results
            ]
            if runs:
                jobs.append(Job(name, estimator, tuple(runs)))
    return jobs


def main() -> None:
    """Compute what is missing, and write the tables."""
    args = parser().parse_args()
    groups = {"small": SMALL_SETS, "large": LARGE_SETS}
    args.sets = [name for given in args.sets for name in groups.get(given, [given])]
    unknown = set(args.sets) - set(datasets.available(args.data))
    if unknown:
        raise SystemExit(f"There are no data sets {', '.join(sorted(unknown))}.")
    n_threads = max(1, (os.cpu_count() or 1) // args.processes)
    for variable in ("OMP", "OPENBLAS", "MKL", "NUMBA"):  # processes inherit these
        os.environ[f"{variable}_NUM_THREADS"] = str(n_threads)
    for file, own in (("suite", {**OURS, **OF_SKTIME}), ("suite-aeon", OF_AEON)):
        estimators = [name for name in args.estimators if name in own]
        if not estimators:
            continue
        facts = {"aeon": version_of("aeon")} if own is OF_AEON else {}
        if None in facts.values():
            raise SystemExit(
                f"{', '.join(estimators)}: aeon is missing. benchmarks/README.md says "
                "how to install it."
            )
        results = Results(args.results / f"{file}.csv", KEYS, VALUES, facts)
        jobs = plan(args, estimators, results)
        n_rows = sum(len(job.runs) for job in jobs)
        rows = compute(jobs, args.data, args.processes, n_threads, args.most_minutes)
        for i, row in enumerate(rows, start=1):
            results.add(row)
            told = row["status"]
            if told == DONE:
                told = f"{row['accuracy']:.3f}, fit {row['fit_seconds']:.1f} s"
            log(
                f"{i} of {n_rows}: {row['set']} {row['estimator']} split "
                f"{row['split']} seed {row['seed']}: {told}"
            )
    write_report("suite", args.results)


if __name__ == "__main__":
    main()
