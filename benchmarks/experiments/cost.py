"""Time and memory compared with MiniRocket, and scaling with the data."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.data import load_split, tiles
from benchmarks.estimators import BASELINE, build, warm_up
from benchmarks.experiments.suite import NAMES
from benchmarks.memory import peak_mib
from benchmarks.runner import (
    Experiment,
    Options,
    Row,
    grid,
    in_new_process,
    limit_threads,
)
from benchmarks.store import Frames
from benchmarks.tables import markdown

SECONDS = ("fit_seconds", "predict_seconds")
# Cases, channels and timepoints of panels made of real series, in pairs; the second
# panel of a pair is eight times as large as the first.
SIZES = ("4x1x12500", "4x1x100000", "20x125x60", "20x1000x60")
COMPARED = ("classifier-closed", "closed-form", "minirocket")
_PREDICTIONS = 5  # whose median counts: they are short beside what a machine does else


def threads() -> list[int]:
    """Return the numbers of threads to compare."""
    return sorted({1, os.cpu_count() or 1})


def tasks(options: Options) -> Iterator[Row]:
    """Yield the estimators alternately; each repeat has a different seed."""
    repeats = range(options.settings["repeats"])
    for row in grid(
        set=options.sets, repeat=repeats, threads=threads(), estimator=COMPARED
    ):
        yield {key: row[key] for key in SPEED.keys}
    yield from grid(
        set=SIZES, estimator=COMPARED[:1], threads=threads()[:1], repeat=repeats
    )


def speed(key: Row, options: Options) -> Row:
    """Time fit and predict, after a warm-up."""
    n_threads = key["threads"]
    if key["set"] in SIZES:
        X, _ = tiles(*map(int, key["set"].split("x")))
        y = np.array(["even", "odd"])[np.arange(len(X)) % 2]
        X_test, y_test = X, y
    else:
        data = load_split(key["set"], options.data)
        X, y, X_test, y_test = data.X_train, data.y_train, data.X_test, data.y_test
    with limit_threads(n_threads):
        warm_up(key["estimator"], n_threads, X, y)
    model = build(key["estimator"], key["repeat"], n_threads)
    with limit_threads(n_threads):
        start = time.perf_counter()
        model.fit(X, y)
        fit_seconds = time.perf_counter() - start
        seconds = []
        for _ in range(_PREDICTIONS):
            start = time.perf_counter()
            predicted = model.predict(X_test)
            seconds.append(time.perf_counter() - start)
    return {
        "seed": key["repeat"],
        "fit_seconds": fit_seconds,
        "predict_seconds": float(np.median(seconds)),
        "accuracy": float(np.mean(predicted == y_test)),
    }


def memory(key: Row, options: Options) -> Row:
    """Measure peaks in a new process, which loads arrays and nothing else."""
    data = load_split(key["set"], options.data)
    with tempfile.TemporaryDirectory() as folder:
        for part in ("X_train", "y_train", "X_test"):
            np.save(Path(folder, f"{part}.npy"), getattr(data, part))
        (peaks,) = in_new_process(peaks_of, key["estimator"], folder)
    return {"seed": 0, **peaks}


def peaks_of(estimator: str, folder: str) -> Iterator[Row]:
    """Yield the peak memory after imports, a warm-up, fit and predict."""
    n_threads = os.cpu_count() or 1
    model = build(estimator, 0, n_threads)
    peaks = {"imports_mib": peak_mib()}
    X_train, y_train, X_test = (
        np.load(Path(folder, f"{part}.npy"))
        for part in ("X_train", "y_train", "X_test")
    )
    warm_up(estimator, n_threads, X_train, y_train)
    peaks["start_mib"] = peak_mib()
    model.fit(X_train, y_train)
    peaks["fit_mib"] = peak_mib()
    model.predict(X_test)
    peaks["predict_mib"] = peak_mib()
    yield peaks


def sections(frames: Frames) -> str:
    """Write tables of seconds and of memory."""
    parts = {"cost": ("Seconds", speed_table), "memory": ("Memory", memory_table)}
    return "".join(
        f"\n## {title}\n\n{write(frames)}\n"
        for name, (title, write) in parts.items()
        if name in frames
    )


def speed_table(frames: Frames) -> str:
    """Write medians of seconds, and their ratio to those of MiniRocket."""
    by = frames["cost"].groupby(["set", "threads", "estimator"])
    repeats = by.size()
    medians = by[[*SECONDS, "accuracy"]].median()
    rows = []
    for (name, n_threads, estimator), row in medians.iterrows():
        ratios = ["", ""]
        if (name, n_threads, BASELINE) in medians.index:
            ratio = row / medians.loc[(name, n_threads, BASELINE)]
            ratios = [f"{ratio[part]:.2f}" for part in SECONDS]
        repeat = repeats[(name, n_threads, estimator)]
        fit, predict, accuracy = (
            f"{value:.{digits}f}" for value, digits in zip(row, (1, 2, 3), strict=True)
        )
        own = [f"{name}, {estimator}", n_threads, repeat]
        rows.append([*own, fit, ratios[0], predict, ratios[1], accuracy])
    columns = ["set, estimator", "threads", "repeats", "fit seconds", f"/ {BASELINE}"]
    columns += ["predict seconds", f"/ {BASELINE}", "accuracy"]
    return (
        f"{markdown(columns, rows)}\n\nThe values are medians over repeats with "
        "different seeds. In each repeat, the estimators are run alternately after a "
        "warm-up. Sizes are given as cases x channels x timepoints; the test set is "
        "the same as the training set."
    )


def memory_table(frames: Frames) -> str:
    """Write peaks of memory, in MiB."""
    frame = frames["memory"]
    peaks = frame[["imports_mib", "start_mib", "fit_mib", "predict_mib"]].assign(
        alone=frame["predict_mib"] - frame["start_mib"]
    )
    shown = peaks.map("{:.0f}".format)
    shown.insert(0, "name", frame["set"] + ", " + frame["estimator"])
    columns = ["peak, MiB", "after imports", "with data, after warm-up", "after fit"]
    columns += ["after predict", "fit and predict alone"]
    return markdown(columns, shown.itertuples(index=False))


def summary(frames: Frames) -> str:
    """Time and memory on UCI-HAR, compared with MiniRocket."""
    frame = frames["cost"]
    frame = frame[frame["set"] == "UCI-HAR"]
    parts = list(SECONDS)
    seconds = frame.groupby(["estimator", "threads"])[parts].median()
    peaks = frames["memory"].set_index(["set", "estimator"]).loc["UCI-HAR"]
    taken = peaks[["fit_mib", "predict_mib"]].max(axis=1) - peaks["start_mib"]
    rows = []
    for name in reversed(COMPARED):
        cells = []
        for part in parts:
            own = seconds.loc[name][part]
            for values in (own, own / seconds.loc[BASELINE][part]):
                cells.append(" / ".join(values.map("{:.2f}".format)))
        rows.append([NAMES[name], *cells, f"{taken[name] / 1024:.1f} GiB"])
    of = " / ".join(map(str, sorted(frame["threads"].unique())))
    columns = [f"UCI-HAR, {of} threads"]
    for part in ("fit", "predict"):
        columns += [f"{part} seconds", "ratio to MiniRocket"]
    return markdown([*columns, "memory"], rows)


SPEED = Experiment(
    name="cost",
    about="time of fit and prediction, compared with MiniRocket",
    keys=("set", "estimator", "threads", "repeat"),
    values=("seed", "fit_seconds", "predict_seconds", "accuracy"),
    tasks=tasks,
    evaluate=speed,
    sets=("UCI-HAR",),
    threads=None,
    settings={"repeats": 1},
    reads=("cost", "memory"),
    tables={"cost": summary, "cost_sections": sections},
    page="# Cost\n{cost_sections}",
)
MEMORY = Experiment(
    name="memory",
    about="peak memory, compared with MiniRocket (in cost.md)",
    keys=("set", "estimator"),
    values=("seed", "imports_mib", "start_mib", "fit_mib", "predict_mib"),
    tasks=lambda options: grid(set=options.sets, estimator=COMPARED),
    evaluate=memory,
    sets=("UCI-HAR",),
    threads=None,
)
