"""Seconds and memory beside MiniRocket, and how both grow with the data."""

from __future__ import annotations

import argparse
import ctypes
import gc
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from estimators import build, limit_threads, warm_up
from numpy.typing import NDArray
from protocol import Results, load_split, log, make_parser
from report import write_report

COMPARED = ("classifier-closed", "closed-form", "minirocket")
PARTS = ("speed", "memory", "linearity", "tokenise")
ARRAYS = ("X_train", "y_train", "X_test")  # what a process that is measured needs
# 1x of the table of growth.
BASE = {"cases": 500, "channels": 3, "timepoints": 64}
FACTORS = (1, 2, 4, 8, 16)


def peak_mib() -> float:
    """Return the most memory that this process has had so far."""
    status = Path("/proc/self/status")
    if status.exists():
        # On Linux, ru_maxrss starts at what the parent process had.
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def reset_peak() -> float:
    """Let the peak of memory start anew, where the system can, and return it."""
    gc.collect()
    with suppress(OSError, AttributeError):  # glibc keeps what is free otherwise
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):  # other than Linux: the peak so far stays
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    return peak_mib()


def in_new_process(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in a process that has done nothing else."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(function, *args).result()


def tiles(
    n_cases: int, n_channels: int, n_timepoints: int, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Make a panel of any size of real series: repeated, shifted and jittered."""
    from sktext_vq.datasets import load

    motions = load("BasicMotions")
    source = motions.X_train
    rng = np.random.default_rng(seed)
    case = np.arange(n_cases) % len(source)
    channel = np.arange(n_channels) % source.shape[1]
    shift = rng.integers(source.shape[2], size=(n_cases, 1))
    timepoint = (shift + np.arange(n_timepoints)) % source.shape[2]
    X = source[case[:, None, None], channel[:, None], timepoint[:, None]]
    spread = source.std(axis=(0, 2))[channel, None]
    X = X + 0.05 * spread * rng.normal(size=X.shape)
    return X.astype(np.float32), motions.y_train[case]


def speed(args: argparse.Namespace) -> None:
    """Time fit and predict of all estimators in turn, several times."""
    results = Results(
        args.results / "cost.csv",
        ("set", "estimator", "threads", "repeat"),
        ("seed", "fit_seconds", "predict_seconds", "accuracy"),
    )
    data = load_split(args.set, args.data)
    runs = [
        (estimator, n_threads, repeat)
        for repeat in range(args.repeats)
        for n_threads in sorted({1, os.cpu_count() or 1})
        for estimator in COMPARED
    ]
    runs = [run for run in runs if (args.set, *run) not in results]
    for estimator, n_threads in dict.fromkeys(run[:2] for run in runs):
        with limit_threads(n_threads):
            warm_up(estimator, n_threads, data.X_train, data.y_train)
    for estimator, n_threads, repeat in runs:
        model = build(estimator, repeat, n_threads)
        with limit_threads(n_threads):
            start = time.perf_counter()
            model.fit(data.X_train, data.y_train)
            fitted = time.perf_counter()
            predicted = model.predict(data.X_test)
            end = time.perf_counter()
        results.add(
            {
                "set": args.set,
                "estimator": estimator,
                "threads": n_threads,
                "repeat": repeat,
                "seed": repeat,
                "fit_seconds": fitted - start,
                "predict_seconds": end - fitted,
                "accuracy": float(np.mean(predicted == data.y_test)),
            }
        )
        log(
            f"{estimator}, {n_threads} threads, repeat {repeat}: fit "
            f"{fitted - start:.1f} s, predict {end - fitted:.2f} s"
        )


def memory(args: argparse.Namespace) -> None:
    """Measure peak memory of each estimator in a process of its own."""
    results = Results(
        args.results / "memory.csv",
        ("set", "estimator"),
        ("seed", "imports_mib", "start_mib", "fit_mib", "predict_mib"),
    )
    missing = [name for name in COMPARED if (args.set, name) not in results]
    if not missing:
        return
    data = load_split(args.set, args.data)
    with tempfile.TemporaryDirectory() as folder:
        for part in ARRAYS:
            np.save(Path(folder, f"{part}.npy"), getattr(data, part))
        for estimator in missing:
            peaks = in_new_process(measure_memory, estimator, folder)
            results.add({"set": args.set, "estimator": estimator, "seed": 0, **peaks})
            log(f"{estimator}: " + ", ".join(f"{k} {v:.0f}" for k, v in peaks.items()))


def measure_memory(estimator: str, folder: str) -> dict[str, float]:
    """Return peaks after imports, a warm-up with the data loaded, fit and predict."""
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
    return peaks


def linearity(args: argparse.Namespace) -> None:
    """Time the closed form on more and more cases, channels and timepoints."""
    results = Results(
        args.results / "linearity.csv",
        ("dimension", "factor"),
        (
            *BASE,
            "seed",
            "n_features",
            "fit_seconds",
            "transform_seconds",
            "start_mib",
            "peak_mib",
            "output_mib",
        ),
    )
    for dimension in BASE:
        for factor in FACTORS:
            if (dimension, factor) in results:
                continue
            size = {**BASE, dimension: BASE[dimension] * factor}
            row = in_new_process(measure_growth, *size.values(), args.repeats)
            results.add({"dimension": dimension, "factor": factor, **size, **row})
            log(
                f"{factor}x {dimension}: fit {row['fit_seconds']:.2f} s, transform "
                f"{row['transform_seconds']:.2f} s, peak {row['peak_mib']:.0f} MiB"
            )


def measure_growth(
    n_cases: int, n_channels: int, n_timepoints: int, repeats: int
) -> dict[str, float]:
    """Return medians of seconds on one thread, and peak memory, for one size."""
    from sktext_vq import VQTextTransformer

    X, y = tiles(n_cases, n_channels, n_timepoints)
    transformer = VQTextTransformer(max_epochs=0, random_state=0)
    fit_seconds, transform_seconds = [], []
    with limit_threads(1):
        transformer.fit(X[:40], y[:40]).transform(X[:40])
        start_mib = peak_mib()
        for _ in range(repeats):
            start = time.perf_counter()
            transformer.fit(X, y)
            fitted = time.perf_counter()
            features = transformer.transform(X)
            end = time.perf_counter()
            fit_seconds.append(fitted - start)
            transform_seconds.append(end - fitted)
            output_mib, n_features = features.nbytes / 2**20, features.shape[1]
            del features  # before the next ones come
    return {
        "seed": 0,
        "n_features": n_features,
        "fit_seconds": float(np.median(fit_seconds)),
        "transform_seconds": float(np.median(transform_seconds)),
        "start_mib": start_mib,
        "peak_mib": peak_mib(),
        "output_mib": output_mib,
    }


def tokenise(args: argparse.Namespace) -> None:
    """Time a univariate series of 512 timepoints on one thread."""
    from sktext_vq import VQTextTransformer

    results = Results(
        args.results / "tokenise.csv",
        ("task", "n_codes", "repeat"),
        ("seed", "series", "ms_per_series"),
    )
    X, y = tiles(200, 1, 512)
    with limit_threads(1):
        for n_codes in (64, 512):
            transformer = VQTextTransformer(n_codes, max_epochs=0, random_state=0)
            transformer.fit(X, y)
            for task, (work, few) in TASKS.items():
                series = X[:few]
                work(transformer, series)
                for repeat in range(args.repeats):
                    key = {"task": task, "n_codes": n_codes, "repeat": repeat}
                    if tuple(key.values()) in results:
                        continue
                    start = time.perf_counter()
                    work(transformer, series)
                    ms = 1000 * (time.perf_counter() - start) / len(series)
                    row = {"seed": 0, "series": len(series), "ms_per_series": ms}
                    results.add(key | row)
                    log(f"{task}, {n_codes} codes: {ms:.3f} ms")


def _one_by_one(transformer: Any, X: NDArray[np.float32]) -> None:
    for i in range(len(X)):
        transformer.transform(X[i : i + 1])


# What is timed, and on how many series at most.
TASKS: dict[str, tuple[Callable[[Any, Any], Any], int | None]] = {
    "histograms, all at once": (lambda transformer, X: transformer.transform(X), None),
    "histograms, one by one": (_one_by_one, 50),
    "tokens, all at once": (lambda transformer, X: transformer.tokens(X), None),
}


def parser() -> argparse.ArgumentParser:
    """Make the parser of options."""
    found = make_parser(
        "Measure seconds and memory. Without a choice of parts, all of them. Rows that "
        "the files in results have are not measured again."
    )
    for part, text in zip(
        PARTS,
        (
            "fit and predict seconds beside MiniRocket (cost.csv)",
            "peak memory beside MiniRocket (memory.csv)",
            "growth with cases, channels and timepoints (linearity.csv)",
            "ms per series of 512 timepoints (tokenise.csv)",
        ),
        strict=True,
    ):
        found.add_argument(f"--{part}", action="store_true", help=text)
    found.add_argument(
        "--set", default="UCI-HAR", help="data set for comparisons with MiniRocket"
    )
    found.add_argument("--repeats", type=int, default=3, help="of each time")
    return found


def main() -> None:
    """Measure what is missing, and write the tables."""
    args = parser().parse_args()
    measures = {
        "speed": speed,
        "memory": memory,
        "linearity": linearity,
        "tokenise": tokenise,
    }
    chosen = [part for part in PARTS if getattr(args, part)] or PARTS
    for part in chosen:
        log(f"{part}:")
        measures[part](args)
    write_report("cost", args.results)


if __name__ == "__main__":
    main()
