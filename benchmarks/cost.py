"""Seconds and memory: beside MiniRocket, as data grow, and beside what is possible."""

from __future__ import annotations

import argparse
import ctypes
import gc
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from estimators import build, few_of_each, limit_threads, warm_up
from numpy.typing import NDArray
from protocol import Results, load_split, log, make_parser
from report import write_report

COMPARED = ("classifier-closed", "closed-form", "minirocket")
PARTS = ("speed", "memory", "linearity", "tokenise", "limit", "large")
ARRAYS = ("X_train", "y_train", "X_test")  # what a process that is measured needs
# 1x of the table of growth.
BASE = {"cases": 500, "channels": 3, "timepoints": 64}
FACTORS = (1, 2, 4, 8, 16)
# Of VQShape (Wen et al., NeurIPS 2024) as its authors released it, in two widths.
VQSHAPE_WIDTHS = (256, 512)
VQSHAPE_CODES = 512
VQSHAPE_PATCHES, VQSHAPE_PATCH = 64, 8
VQSHAPE_BATCH = 16  # larger ones are no faster on a CPU, and far larger ones slower
PRODUCT_SIZE = 2048  # rows and columns of what is multiplied
_PREDICTIONS = 5  # whose median counts: they are short beside what a machine does else
STEPS = ("transformer.fit", "transformer.transform", "classifier.predict_proba")


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
            fit_seconds = time.perf_counter() - start
            seconds = []
            for _ in range(_PREDICTIONS):
                start = time.perf_counter()
                predicted = model.predict(data.X_test)
                seconds.append(time.perf_counter() - start)
        predict_seconds = float(np.median(seconds))
        results.add(
            {
                "set": args.set,
                "estimator": estimator,
                "threads": n_threads,
                "repeat": repeat,
                "seed": repeat,
                "fit_seconds": fit_seconds,
                "predict_seconds": predict_seconds,
                "accuracy": float(np.mean(predicted == data.y_test)),
            }
        )
        log(
            f"{estimator}, {n_threads} threads, repeat {repeat}: fit "
            f"{fit_seconds:.1f} s, predict {predict_seconds:.2f} s"
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
    """Time a univariate series of 512 timepoints on one thread.

    An encoder of VQShape's size comes last. Its weights are random, since only the cost
    is compared; its codes are those of its codebook.
    """
    from sktext_vq import VQTextTransformer

    results = Results(
        args.results / "tokenise.csv",
        ("task", "n_codes", "repeat"),
        ("seed", "series", "ms_per_series"),
    )
    X, y = tiles(200, 1, 512)
    for n_codes in (64, 512):
        transformer = VQTextTransformer(n_codes, max_epochs=0, random_state=0)
        with limit_threads(1):
            transformer.fit(X, y)
        for task, (function, few) in TASKS.items():
            work = partial(function, transformer)
            time_series(results, args.repeats, task, n_codes, work, X[:few])
    for width in VQSHAPE_WIDTHS:
        work, n_weights = encoder_of_vqshapes_size(width)
        task = f"encoder of VQShape's size, {n_weights / 1e6:.1f} million weights"
        time_series(results, args.repeats, task, VQSHAPE_CODES, work, X)


def time_series(
    results: Results,
    repeats: int,
    task: str,
    n_codes: int,
    work: Callable[[Any], Any],
    X: NDArray[np.float32],
) -> None:
    """Time a task on one thread, as often as rows of it are missing."""
    missing = [i for i in range(repeats) if (task, n_codes, i) not in results]
    if not missing:
        return
    with limit_threads(1):
        work(X)
        for repeat in missing:
            start = time.perf_counter()
            work(X)
            ms = 1000 * (time.perf_counter() - start) / len(X)
            key = {"task": task, "n_codes": n_codes, "repeat": repeat}
            row = {"seed": 0, "series": len(X), "ms_per_series": ms}
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


def encoder_of_vqshapes_size(
    width: int,
) -> tuple[Callable[[NDArray[np.float32]], NDArray[np.float32]], int]:
    """Make what VQShape computes for a histogram of codes, and count its weights.

    The weights are random, and the histograms therefore mean nothing: nothing but the
    cost is compared, which does not depend on what the weights are.

    Sizes are those of the model that its authors released: 64 patches of 8 timepoints,
    4 layers of a transformer with 8 heads that encode them, 64 queries whose tokens
    another 4 layers find, with layers in between 4 times as wide as the model, an
    output for each of the attributes of a token, and 512 codes of 8 numbers, of which
    the nearest counts. Its decoders are left out, since histograms do not need them.
    """
    import torch
    from torch import nn

    def output(size: int) -> nn.Module:
        return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, size))

    layer = {
        "d_model": width,
        "nhead": 8,
        "dim_feedforward": 4 * width,
        "activation": "gelu",
        "batch_first": True,
    }
    torch.manual_seed(0)
    model = nn.ModuleDict(
        {
            "patches": nn.Linear(VQSHAPE_PATCH, width),
            "places": nn.Embedding(VQSHAPE_PATCHES, width),
            "encoder": nn.TransformerEncoder(nn.TransformerEncoderLayer(**layer), 4),
            "queries": nn.Embedding(VQSHAPE_PATCHES, width),
            "tokenizer": nn.TransformerDecoder(nn.TransformerDecoderLayer(**layer), 4),
            "shape": output(8),
            "place": output(2),  # start and length
            "offset": output(1),
            "scale": output(1),
            "codes": nn.Embedding(VQSHAPE_CODES, 8),
        }
    ).eval()

    def count(X: NDArray[np.float32]) -> NDArray[np.float32]:
        found = []
        with torch.inference_mode():
            for series in torch.from_numpy(X[:, 0]).split(VQSHAPE_BATCH):
                variance, mean = torch.var_mean(series, 1, correction=0, keepdim=True)
                series = (series - mean) / (variance + 1e-5).sqrt()
                patches = model["patches"](series.unflatten(1, (-1, VQSHAPE_PATCH)))
                patches = model["encoder"](patches + model["places"].weight)
                queries = model["queries"].weight.expand(len(series), -1, -1)
                tokens = model["tokenizer"](queries, patches)
                for attribute in ("place", "offset", "scale"):
                    model[attribute](tokens)
                distances = torch.cdist(model["shape"](tokens), model["codes"].weight)
                nearest = distances.argmin(dim=2)
                counts = torch.zeros(len(series), VQSHAPE_CODES)
                found.append(counts.scatter_add_(1, nearest, torch.ones(nearest.shape)))
        return torch.cat(found).numpy()

    return count, sum(weights.numel() for weights in model.parameters())


def limit(args: argparse.Namespace) -> None:
    """Time the transform, and a matrix product in the same process and on its threads.

    No other arithmetic is as fast as such a product. What the operations of all windows
    would take at its speed is therefore what the transform cannot fall below, as long
    as it scores each window against each code.
    """
    from sktext_vq import VQTextTransformer

    results = Results(
        args.results / "limit.csv",
        ("set", "threads", "repeat"),
        ("seed", "cases", "operations", "product_per_second", "transform_seconds"),
    )
    runs = [
        (repeat, n_threads)
        for repeat in range(args.repeats)
        for n_threads in sorted({1, os.cpu_count() or 1})
        if (args.set, n_threads, repeat) not in results
    ]
    if not runs:
        return
    data = load_split(args.set, args.data)
    transformer = VQTextTransformer(max_epochs=0, random_state=0)
    transformer.fit(data.X_train, data.y_train)
    tokenizer = transformer.features_.tokenizer
    n_operations = len(data.X_test) * operations(
        tokenizer.n_channels,
        transformer.n_timepoints_,
        tokenizer.dilations,
        transformer.n_codes,
    )
    for repeat, n_threads in runs:
        with limit_threads(n_threads):
            per_second = product_per_second()
            transformer.transform(data.X_test[:100])  # threads start, and code compiles
            start = time.perf_counter()
            transformer.transform(data.X_test)
            seconds = time.perf_counter() - start
        results.add(
            {
                "set": args.set,
                "threads": n_threads,
                "repeat": repeat,
                "seed": 0,
                "cases": len(data.X_test),
                "operations": n_operations,
                "product_per_second": per_second,
                "transform_seconds": seconds,
            }
        )
        log(
            f"{n_threads} threads, repeat {repeat}: {n_operations / per_second:.3f} s "
            f"as a product, transform {seconds:.3f} s"
        )


def operations(
    n_channels: int, n_timepoints: int, spacings: Sequence[int], n_codes: int
) -> int:
    """Count the operations on floating-point numbers that windows of a case need.

    Per window and code there are 2 * 8 + 1: 8 products, 7 sums and what is taken off
    for the length of the code make the score, and a comparison finds the best code.

    Per window there are 43 to cut it: 8 for the mean of its points and 8 to take that
    off, 16 for the mean square, a root, a sum and a division for what the points are
    multiplied by, and 8 to do so. Per timepoint there are 2 for each length of windows
    whose points are means, since half the sum of two means is a longer one; and 2 for
    changes, a difference and a division.

    Not counted are other comparisons of scores, bins and their sums, quantiles, roots,
    choosing and scaling of features, and all that is not arithmetic.
    """
    from sktext_vq.nn.constants import N_POINTS, VIEWS

    n_windows = sum(max(0, n_timepoints - N_POINTS * d + 1) for d in spacings)
    n_smoothed = sum(n_timepoints for d in spacings if d > 1)
    cut = 5 * N_POINTS + 3
    of_view = n_windows * (n_codes * (2 * N_POINTS + 1) + cut) + 2 * n_smoothed
    return n_channels * (len(VIEWS) * of_view + 2 * n_timepoints)


def product_per_second(size: int = PRODUCT_SIZE, repeats: int = 5) -> float:
    """Return operations per second in the fastest product of two float32 matrices.

    numpy and torch have libraries of their own for it. Which is faster depends on the
    processor, so both are timed.
    """
    import torch

    rng = np.random.default_rng(0)
    one, other = rng.random((2, size, size), dtype=np.float32)
    out = np.empty_like(one)  # no time goes into asking for memory
    tensors = [torch.from_numpy(matrix) for matrix in (one, other, out)]
    seconds = []
    for multiply in (
        lambda: np.matmul(one, other, out=out),
        lambda: torch.mm(tensors[0], tensors[1], out=tensors[2]),
    ):
        multiply()
        for _ in range(repeats):
            start = time.perf_counter()
            multiply()
            seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds)


def large(args: argparse.Namespace) -> None:
    """Measure seconds and memory on many windows, in a process of its own."""
    results = Results(
        args.results / "large.csv",
        ("set", "cases", "step"),
        (
            "seed",
            "channels",
            "timepoints",
            "threads",
            "seconds",
            "start_mib",
            "output_mib",
            "peak_mib",
        ),
    )
    name, n_cases = args.large_set, args.large_cases
    missing = [step for step in STEPS if (name, n_cases, step) not in results]
    if not missing:
        return
    found = in_new_process(measure_large, name, args.data, n_cases)
    for step in missing:
        row = found[step]
        results.add({"set": name, "cases": n_cases, "step": step, **row})
        above = row["peak_mib"] - row["start_mib"] - row["output_mib"]
        log(f"{step}: {row['seconds']:.1f} s, {above:.0f} MiB beside its output")


def measure_large(
    name: str, data: str | None, n_cases: int
) -> dict[str, dict[str, float]]:
    """Return seconds and memory of each step, on as many threads as there are cores.

    The transformer is fitted to all cases. The classifier is fitted to the training
    cases as they are, which is not measured, and predicts all.
    """
    from sktext_vq import VQTextClassifier, VQTextTransformer

    n_threads = os.cpu_count() or 1
    split = load_split(name, data)
    X, y = jittered(split.X_train, split.y_train, n_cases)
    transformer = VQTextTransformer(max_epochs=0, random_state=0)
    classifier = VQTextClassifier(max_epochs=0, random_state=0)
    steps = dict(
        zip(
            STEPS,
            (
                lambda: transformer.fit(X, y),
                lambda: transformer.transform(X),
                lambda: classifier.predict_proba(X),
            ),
            strict=True,
        )
    )
    few = few_of_each(y)
    with limit_threads(n_threads):
        transformer.fit(X[few], y[few]).transform(X[few])
        classifier.fit(split.X_train, split.y_train).predict_proba(X[few])
    found = {}
    for step, work in steps.items():
        with limit_threads(n_threads):
            start_mib = reset_peak()
            start = time.perf_counter()
            output = work()
            seconds = time.perf_counter() - start
        found[step] = {
            "seed": 0,
            "channels": X.shape[1],
            "timepoints": X.shape[2],
            "threads": n_threads,
            "seconds": seconds,
            "start_mib": start_mib,
            "output_mib": getattr(output, "nbytes", 0) / 2**20,
            "peak_mib": peak_mib(),
        }
        del output  # before the next step starts
    return found


def jittered(
    X: NDArray[np.float32], y: NDArray[np.str_], n_cases: int, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Repeat cases in random order, with noise of 5 % of each channel's deviation."""
    rng = np.random.default_rng(seed)
    case = np.resize(rng.permutation(len(X)), n_cases)
    found = X[case].astype(np.float32, copy=False)
    deviation = X.std(axis=(0, 2))[:, None].astype(np.float32)
    for part in np.array_split(found, -(-n_cases // 1000)):  # noise of all is as large
        part += 0.05 * deviation * rng.standard_normal(part.shape, dtype=np.float32)
    return found, y[case]


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
            "ms per series of 512 timepoints, beside an encoder of VQShape's size "
            "with random weights (tokenise.csv)",
            "the transform beside a matrix product of as many operations (limit.csv)",
            "seconds and memory on many windows (large.csv)",
        ),
        strict=True,
    ):
        found.add_argument(f"--{part}", action="store_true", help=text)
    found.add_argument(
        "--set",
        default="UCI-HAR",
        help="data set for comparisons with MiniRocket, and for --limit",
    )
    found.add_argument(
        "--large-set",
        default="MotionSense",
        help="data set whose training windows --large repeats; of equal length",
        metavar="SET",
    )
    found.add_argument(
        "--large-cases",
        type=int,
        default=100_000,
        help="windows for --large",
        metavar="N",
    )
    found.add_argument("--repeats", type=int, default=1, help="of each time")
    return found


def main() -> None:
    """Measure what is missing, and write the tables."""
    args = parser().parse_args()
    measures = {
        "speed": speed,
        "memory": memory,
        "linearity": linearity,
        "tokenise": tokenise,
        "limit": limit,
        "large": large,
    }
    chosen = [part for part in PARTS if getattr(args, part)] or PARTS
    for part in chosen:
        log(f"{part}:")
        measures[part](args)
    write_report("cost", args.results)


if __name__ == "__main__":
    main()
