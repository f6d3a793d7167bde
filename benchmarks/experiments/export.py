"""ONNX files of fitted classifiers: size, time per series, and accuracy."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.data import load_split
from benchmarks.estimators import classifier_closed
from benchmarks.internals import n_features
from benchmarks.runner import Experiment, Options, Row, grid, names
from benchmarks.store import Frames, version_of
from benchmarks.tables import markdown

# From all codes and features to few, for small devices; not chosen by results.
SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "half": {"n_codes": 32, "max_features": 3000},
    "small": {"n_codes": 16, "max_features": 1000},
}
_REPEATS = 300
_AT_ONCE = 32


def median_ms(function: Callable[[NDArray[Any]], Any], X: NDArray[Any]) -> float:
    """Return milliseconds of CPU time for one case.

    Other work on the machine then counts as little as it can.
    """
    function(X[:1])
    found = []
    for i in range(_REPEATS):
        start = time.thread_time()
        function(X[i % len(X)][None])
        found.append(time.thread_time() - start)
    return 1000 * float(np.median(found))


def evaluate(key: Row, options: Options) -> Row:
    """Fit, export, and compare with prediction in Python."""
    import onnxruntime

    from sktext_vq import export_onnx

    split, parameters = load_split(key["set"], options.data), SETTINGS[key["settings"]]
    model = classifier_closed(key["seed"], **parameters)
    model.fit(split.X_train, split.y_train)
    X = np.asarray(split.X_test, np.float32)
    threads = onnxruntime.SessionOptions()
    threads.intra_op_num_threads = threads.inter_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        path = export_onnx(model, Path(folder, "model.onnx"))
        n_bytes = path.stat().st_size
        session = onnxruntime.InferenceSession(path, threads)

    def run(X: NDArray[np.float32]) -> NDArray[np.float32]:
        return session.run(None, {"series": X})[0]

    parts = [run(X[i : i + _AT_ONCE]) for i in range(0, len(X), _AT_ONCE)]
    found = np.concatenate(parts)
    difference = np.abs(found - model.predict_proba(X)).max(axis=1)
    right = model.classes_[found.argmax(axis=1)] == split.y_test
    return {
        "features": n_features(model),
        "bytes": n_bytes,
        "onnx_ms": median_ms(run, X),
        "python_ms": median_ms(model.predict_proba, X),
        "accuracy": model.score(X, split.y_test),
        "onnx_accuracy": float(np.mean(right)),
        "difference": float(difference.max()),
        "beyond": float(np.mean(difference > 1e-5)),
    }


def table(frames: Frames) -> str:
    """Size, time, and accuracy, with the loss of accuracy."""
    columns: dict[str, Callable[[Any], str]] = {
        "features": lambda row: f"{row['features']:.0f}",
        "MB": lambda row: f"{row['bytes'] / 1e6:.2f}",
        "ms": lambda row: f"{row['onnx_ms']:.2f}",
        "ms in Python": lambda row: f"{row['python_ms']:.1f}",
        "accuracy": lambda row: f"{row['accuracy']:.4f}",
        "of the file": lambda row: f"{row['onnx_accuracy']:.4f}",
        "largest difference": lambda row: f"{row['difference']:.0e}",
        "above 0.00001": lambda row: f"{row['beyond']:.4f}",
    }
    means = frames["export"].groupby(["set", "settings"], sort=False).mean()
    rows = [
        [*key, *(write(row) for write in columns.values())]
        for key, row in means.iterrows()
    ]
    return markdown(["set", "settings", *columns], rows)


EXPERIMENT = Experiment(
    name="export",
    about="size, latency and accuracy of ONNX files",
    keys=("set", "settings", "seed"),
    values=names(
        "features bytes onnx_ms python_ms accuracy onnx_accuracy difference beyond"
    ),
    tasks=lambda options: grid(set=options.sets, settings=SETTINGS, seed=options.seeds),
    evaluate=evaluate,
    sets=("UCI-HAR", "BasicMotions"),
    seeds=(0,),
    facts=lambda options: {"onnxruntime": version_of("onnxruntime")},
    tables={"export": table},
    page="# ONNX files\n\n"
    "The classifiers are fitted in closed form, exported by `export_onnx`, and run "
    "by onnxruntime. The setting *half* is `n_codes=32, max_features=3000`, and the "
    "setting *small* is `n_codes=16, max_features=1000`.\n\n"
    "{export}\n\n"
    "The times are CPU times in milliseconds for a single series with one thread, as "
    "medians over 300 calls of onnxruntime and of `predict_proba`. The column "
    "*largest difference* contains the largest difference between their probabilities "
    "over all test cases. The last column is the share of cases with a difference "
    "above 0.00001. Such differences occur if a window is at the same distance from "
    "two codes, because rounding then determines its code.\n",
)
