"""What an experiment is, and how its missing rows are computed."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
import traceback
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import product
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

from benchmarks.store import RESULTS, Frames, Results, log

Row = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """What a run is restricted to, and where files are."""

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
    name : str
        Name of the experiment and of its CSV file.
    about : str
        What it measures.
    keys, values : tuple of str
        Columns that identify a row, and those that are measured.
    tasks : callable
        ``tasks(options)`` yields a dict of keys for each row of the experiment.
    evaluate : callable
        ``evaluate(key, options)`` returns the values of a row as a dict. With `fit`,
        ``evaluate(keys, options)`` yields rows.
    fit : callable, optional
        Returns something equal for the keys of all rows that one call of `evaluate`
        computes, as those of one fitted model.
    sets, seeds : sequence, optional
        Defaults of ``--sets`` and ``--seeds``.
    processes : int, default=1
        Default of ``--processes``; 0 stands for one per core.
    threads : int, optional
        Limit of threads in `evaluate`: a number, 0 for a share of the cores, or None
        if `evaluate` limits them itself.
    isolated : bool, default=False
        Whether each call of `evaluate` has a new process, so that it can measure
        memory and can be stopped.
    settings : mapping, optional
        Names and defaults of what ``--set`` changes.
    facts : callable, optional
        ``facts(options)`` returns what has to be the same for all rows of a file,
        beside the environment.
    reads : tuple of str, optional
        CSV files of the tables; by default the one of the experiment.
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
        """Return keys of rows to compute, those of one call of `evaluate` together."""
        calls: dict[Hashable, list[Row]] = {}
        for key in self.tasks(options):
            wanted = all(
                str(key[column]) in values for column, values in options.only.items()
            )
            if wanted and key not in results:
                call = self.fit(key) if self.fit else tuple(key.values())
                calls.setdefault(call, []).append(key)
        return list(calls.values())

    def rows(self, keys: list[Row], options: Options) -> Iterator[Row | None]:
        """Yield rows; None says that the next one only starts now."""
        limit = options.n_threads if self.threads == 0 else self.threads
        with nullcontext() if limit is None else limit_threads(limit):
            if self.fit is None:
                yield keys[0] | self.evaluate(keys[0], options)
                return
            for row in self.evaluate(keys, options):
                if row is None or {name: row[name] for name in self.keys} in keys:
                    yield row

    def markdown(self, frames: Frames) -> str:
        """Return the page of the experiment."""
        shown = {
            name: table(frames)
            for name, table in self.tables.items()
            if f"{{{name}}}" in self.page
        }
        return self.page.format_map(shown)


def names(text: str) -> tuple[str, ...]:
    """Return the names of columns in a text."""
    return tuple(text.split())


def grid(**columns: Iterable[Any]) -> Iterator[Row]:
    """Yield keys of all combinations; the last column changes fastest."""
    for values in product(*columns.values()):
        yield dict(zip(columns, values, strict=True))


@contextmanager
def limit_threads(n_threads: int) -> Iterator[None]:
    """Limit torch and linear algebra; estimators with `n_jobs` have it beside.

    To be entered anew for each fit: numba, when it starts, sets those of torch too.
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
    """Compute missing rows and write each as soon as it is known.

    Raises
    ------
    SystemExit
        If a task fails: no mean may leave out what did not work.
    """
    path = options.results / f"{experiment.name}.csv"
    facts = experiment.facts(options)
    results = Results(path, experiment.keys, experiment.values, facts)
    tasks = experiment.missing(options, results)
    n_rows, n_done = sum(map(len, tasks)), 0
    log(f"{experiment.name}: {n_rows} rows to compute")
    start, lock = time.monotonic(), threading.Lock()

    def add(row: Row) -> None:
        nonlocal n_done
        with lock:
            results.add(row)
            n_done += 1
            minutes = (time.monotonic() - start) / 60 * (n_rows / n_done - 1)
            shown = ", ".join(
                f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
                for key, value in row.items()
            )
            log(f"{n_done} of {n_rows}: {shown}; about {minutes:.0f} minutes left")

    compute = _in_processes if experiment.isolated else _in_pool
    compute(experiment, options, tasks, add)


def _in_pool(
    experiment: Experiment,
    options: Options,
    tasks: list[list[Row]],
    add: Callable[[Row], None],
) -> None:
    """Compute tasks by joblib; processes keep what they have loaded."""
    if options.processes == 1:
        for keys in tasks:
            try:
                for row in filter(None, experiment.rows(keys, options)):
                    add(row)
            except Exception:
                cause = traceback.format_exc()
                raise SystemExit(_failure(experiment, keys, cause)) from None
        return
    found = Parallel(n_jobs=options.processes, return_as="generator_unordered")(
        delayed(_rows_or_failure)(experiment, keys, options) for keys in tasks
    )
    for rows, failure in found:
        for row in rows:
            add(row)
        if failure:
            raise SystemExit(failure)


def _rows_or_failure(
    experiment: Experiment, keys: list[Row], options: Options
) -> tuple[list[Row], str | None]:
    rows: list[Row] = []
    try:
        rows += [row for row in experiment.rows(keys, options) if row is not None]
    except Exception:
        return rows, _failure(experiment, keys, traceback.format_exc())
    return rows, None


def _failure(experiment: Experiment, keys: list[Row], cause: str) -> str:
    task = ", ".join(f"{column} {value}" for column, value in keys[0].items())
    return f"{experiment.name} failed ({task}):\n{cause}"


def _in_processes(
    experiment: Experiment,
    options: Options,
    tasks: list[list[Row]],
    add: Callable[[Row], None],
) -> None:
    """Compute each task in a new process, at most `options.processes` at a time."""
    for library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):  # processes inherit these
        os.environ[f"{library}_NUM_THREADS"] = str(options.n_threads)
    minutes = options.settings.get("most_minutes")
    running: set[Any] = set()
    stopped = threading.Event()

    def work(keys: list[Row]) -> None:
        if stopped.is_set():
            return
        left = list(keys)
        given = (_rows_by_name, experiment.name, keys, options)
        try:
            for row in in_new_process(*given, minutes=minutes, running=running):
                if row is not None:
                    left.remove({name: row[name] for name in experiment.keys})
                    add(row)
        except TimeoutError:
            status = f"over {minutes:g} minutes"
            for key in left:
                add({**dict.fromkeys(experiment.values, ""), **key, "status": status})
                status = f"not run since another took over {minutes:g} minutes"
        except RuntimeError as error:
            stopped.set()
            raise SystemExit(_failure(experiment, left, str(error))) from None

    with ThreadPoolExecutor(options.processes) as pool:
        futures = [pool.submit(work, keys) for keys in tasks]
        try:
            for future in as_completed(futures):
                future.result()
        finally:
            stopped.set()
            while not all(future.done() for future in futures):
                for process in list(running):
                    process.kill()
                time.sleep(0.1)


def _rows_by_name(name: str, keys: list[Row], options: Options) -> Iterator[Any]:
    from benchmarks.experiments import EXPERIMENTS

    yield from EXPERIMENTS[name].rows(keys, options)


def in_new_process(
    function: Callable[..., Iterator[Any]],
    *args: Any,
    minutes: float | None = None,
    running: set[Any] | None = None,
) -> Iterator[Any]:
    """Yield what a generator function yields in a process that has done nothing else.

    Parameters
    ----------
    function : callable
        Generator function of a module.
    *args
        Its arguments.
    minutes : float, optional
        Limit of time between two items.
    running : set, optional
        Has the process while it runs.

    Raises
    ------
    TimeoutError
        If an item takes longer. The process is stopped.
    RuntimeError
        If the function or the process fails.
    """
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_send, args=(there, function, args))
    process.start()
    there.close()  # so that there is an end to read, if the process dies
    running = set() if running is None else running
    running.add(process)
    try:
        while True:
            if minutes is not None and not here.poll(60 * minutes):
                raise TimeoutError
            try:
                kind, item = here.recv()
            except EOFError:
                process.join()
                raise RuntimeError(
                    f"The process ended with exit code {process.exitcode}. Was there "
                    "enough memory?"
                ) from None
            if kind == "failure":
                raise RuntimeError(item)
            if kind == "end":
                return
            yield item
    finally:
        process.kill()
        process.join()
        running.discard(process)
        here.close()


def _send(there: Connection, function: Callable[..., Any], args: Any) -> None:
    try:
        for item in function(*args):
            there.send(("item", item))
        there.send(("end", None))
    except Exception:
        there.send(("failure", traceback.format_exc()))
