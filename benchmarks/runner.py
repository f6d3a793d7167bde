"""Definition of experiments, and computation of their missing rows."""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import chain, product, starmap
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

from benchmarks.store import RESULTS, Frames, Results, log

Row = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """Sets, seeds and rows of a run, and the locations of files."""

    sets: Sequence[str] = ()
    seeds: Sequence[int] = ()
    processes: int = 1
    n_threads: int = 1  # of each process, where processes share all cores
    data: str | None = None
    results: Path = RESULTS
    only: Mapping[str, Sequence[str]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """Measurements that fill a CSV file, and the tables made of it.

    Parameters
    ----------
    name, about : str
        Name of the experiment and of its CSV file, and its topic.
    keys, values : tuple of str
        Columns that identify a row, and those that are measured.
    tasks : callable
        ``tasks(options)`` yields a dict of keys for each row.
    evaluate : callable
        ``evaluate(key, options)`` returns the values of a row as a dict. With `fit`,
        ``evaluate(keys, options)`` yields rows.
    fit : callable, optional
        Returns equal values for keys whose rows one call of `evaluate` computes.
    sets, seeds, processes, settings : optional
        Defaults of ``--sets``, ``--seeds``, ``--processes`` (0: one per core) and
        ``--set``.
    threads : int, optional
        Limit of threads in `evaluate`: a number, 0 for a share of the cores, or None
        if `evaluate` limits them itself.
    isolated : bool, default=False
        Whether each call of `evaluate` has a new process, to measure its memory.
    facts : callable, optional
        ``facts(options)`` returns values that must be equal for all rows of a file,
        in addition to the environment.
    reads : tuple of str, optional
        Other CSV files of the tables.
    tables : mapping of str to callable, optional
        Functions of `Frames` that return Markdown. README and docs refer to them.
    page : str, optional
        Markdown of ``results/NAME.md``, with names of tables in braces.
    """

    name: str
    about: str
    keys: tuple[str, ...]
    values: tuple[str, ...]
    tasks: Callable[[Options], Iterable[Row]]
    evaluate: Callable[[Any, Options], Any]
    fit: Callable[[Row], Hashable] | None = None
    sets: Sequence[str] = ()
    seeds: Sequence[int] = ()
    processes: int = 1
    threads: int | None = 1
    isolated: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    facts: Callable[[Options], Row] = lambda options: {}
    reads: tuple[str, ...] = ()
    tables: Mapping[str, Callable[[Frames], str]] = field(default_factory=dict)
    page: str = ""

    def missing(self, options: Options, results: Results) -> list[list[Row]]:
        """Return keys of rows to compute, grouped by call of `evaluate`."""
        calls: dict[Hashable, list[Row]] = {}
        for key in self.tasks(options):
            wanted = all(
                str(key[column]) in values for column, values in options.only.items()
            )
            if wanted and key not in results:
                call = self.fit(key) if self.fit else tuple(key.values())
                calls.setdefault(call, []).append(key)
        return list(calls.values())

    def rows(self, keys: list[Row], options: Options) -> Iterator[Row]:
        limit = options.n_threads if self.threads == 0 else self.threads
        with nullcontext() if limit is None else limit_threads(limit):
            if self.fit is None:
                yield keys[0] | self.evaluate(keys[0], options)
                return
            for row in self.evaluate(keys, options):
                if {name: row[name] for name in self.keys} in keys:
                    yield row

    def markdown(self, frames: Frames) -> str:
        shown = {
            name: table(frames)
            for name, table in self.tables.items()
            if f"{{{name}}}" in self.page
        }
        return self.page.format_map(shown)


def names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def grid(**columns: Iterable[Any]) -> Iterator[Row]:
    """Yield keys of all combinations; the last column changes fastest."""
    for values in product(*columns.values()):
        yield dict(zip(columns, values, strict=True))


@contextmanager
def limit_threads(n_threads: int) -> Iterator[None]:
    """Limit torch and linear algebra, but not `n_jobs` of estimators.

    Use a new context for each fit, because numba sets the threads of torch as well.
    """
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    with threadpool_limits(n_threads):
        torch.set_num_threads(n_threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def run(experiment: Experiment, options: Options) -> None:
    """Compute missing rows and write each as soon as its call of `evaluate` ends.

    A failing task stops the run, so that means do not omit failures.
    """
    path = options.results / f"{experiment.name}.csv"
    facts = experiment.facts(options)
    results = Results(path, experiment.keys, experiment.values, facts)
    tasks = experiment.missing(options, results)
    n_rows, n_done = sum(map(len, tasks)), 0
    log(f"{experiment.name}: {n_rows} rows to compute")
    start = time.monotonic()
    compute = _in_processes if experiment.isolated else _in_pool
    for row in chain.from_iterable(compute(experiment, options, tasks)):
        if isinstance(row, str):
            raise SystemExit(row)
        results.add(row)
        n_done += 1
        minutes = (time.monotonic() - start) / 60 * (n_rows / n_done - 1)
        shown = ", ".join(
            f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in row.items()
        )
        log(f"{n_done} of {n_rows}: {shown}; about {minutes:.0f} minutes left")


def _in_pool(
    experiment: Experiment, options: Options, tasks: list[list[Row]]
) -> Iterable[Iterable[Row | str]]:
    """Compute tasks by joblib; processes keep the data that they loaded."""
    calls = [(experiment, keys, options) for keys in tasks]
    if options.processes == 1:
        return starmap(_attempt, calls)
    workers = Parallel(n_jobs=options.processes, return_as="generator_unordered")
    return workers(delayed(_attempt_all)(*call) for call in calls)


def _in_processes(
    experiment: Experiment, options: Options, tasks: list[list[Row]]
) -> Iterator[Iterable[Row | str]]:
    """Compute each task in a new process, at most `options.processes` at a time."""
    for library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):  # processes inherit these
        os.environ[f"{library}_NUM_THREADS"] = str(options.n_threads)
    with _new_processes(options.processes) as pool:
        calls = {
            pool.submit(_attempt_by_name, experiment.name, keys, options): keys
            for keys in tasks
        }
        try:
            for call in as_completed(calls):
                yield call.result()
        except BrokenProcessPool as error:  # it was killed, as for lack of memory
            yield [_failure(experiment, calls[call], str(error))]
        finally:
            pool.shutdown(cancel_futures=True)


def _attempt(
    experiment: Experiment, keys: list[Row], options: Options
) -> Iterator[Row | str]:
    """Yield rows, and the message of a failure."""
    try:
        yield from experiment.rows(keys, options)
    except Exception:
        yield _failure(experiment, keys, traceback.format_exc())


def _attempt_all(*call: Any) -> list[Row | str]:
    return list(_attempt(*call))


def _attempt_by_name(name: str, keys: list[Row], options: Options) -> list[Row | str]:
    from benchmarks.experiments import EXPERIMENTS

    return _attempt_all(EXPERIMENTS[name], keys, options)


def _failure(experiment: Experiment, keys: list[Row], cause: str) -> str:
    task = ", ".join(f"{column} {value}" for column, value in keys[0].items())
    return f"{experiment.name} failed ({task}):\n{cause}"


def _new_processes(n_processes: int) -> ProcessPoolExecutor:
    """Return a pool of processes that end after a task each."""
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(n_processes, spawn, max_tasks_per_child=1)


def in_new_process(function: Callable[..., Iterable[Any]], *args: Any) -> list[Any]:
    """Return the items that a function yields in a new process."""
    with _new_processes(1) as pool:
        return pool.submit(_items, function, args).result()


def _items(function: Callable[..., Iterable[Any]], args: Any) -> list[Any]:
    return list(function(*args))
