"""ONNX files of fitted classifiers: size, time for a window, and the same accuracy."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from estimators import limit_threads
from numpy.typing import NDArray
from protocol import Results, load_split, log, make_parser, version_of
from report import write_report

KEYS = ("set", "settings", "seed")
VALUES = (
    "features",
    "bytes",
    "onnx_ms",
    "python_ms",
    "accuracy",
    "onnx_accuracy",
    "difference",
    "beyond",
)
# From all codes and features to few, for small devices. None is picked by its results.
SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "half": {"n_codes": 32, "max_features": 3000},
    "small": {"n_codes": 16, "max_features": 1000},
}
SETS = ("UCI-HAR", "BasicMotions")
_REPEATS = 300
_AT_ONCE = 32


def median_ms(function: Callable[[NDArray[Any]], Any], X: NDArray[Any]) -> float:
    """Return milliseconds for one case, of the processor and not of the clock.

    Other work on the machine then counts as little as it can.
    """
    function(X[:1])
    found = []
    for i in range(_REPEATS):
        start = time.thread_time()
        function(X[i % len(X)][None])
        found.append(time.thread_time() - start)
    return 1000 * float(np.median(found))


def measure(name: str, settings: str, seed: int, data: str | None) -> dict[str, Any]:
    """Fit, export, and compare with prediction in Python."""
    import onnxruntime

    from sktext_vq import VQTextClassifier, export_onnx

    split = load_split(name, data)
    model = VQTextClassifier(max_epochs=0, random_state=seed, **SETTINGS[settings])
    model.fit(split.X_train, split.y_train)
    X = np.asarray(split.X_test, np.float32)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        path = export_onnx(model, Path(folder, "model.onnx"))
        n_bytes = path.stat().st_size
        session = onnxruntime.InferenceSession(path, options)

    def run(X: NDArray[np.float32]) -> NDArray[np.float32]:
        return session.run(None, {"series": X})[0]

    found = np.concatenate(
        [run(X[i : i + _AT_ONCE]) for i in range(0, len(X), _AT_ONCE)]
    )
    expected = model.predict_proba(X)
    difference = np.abs(found - expected).max(axis=1)
    return {
        "set": name,
        "settings": settings,
        "seed": seed,
        "features": len(model.features_.selected),
        "bytes": n_bytes,
        "onnx_ms": median_ms(run, X),
        "python_ms": median_ms(model.predict_proba, X),
        "accuracy": model.score(X, split.y_test),
        "onnx_accuracy": float(
            np.mean(model.classes_[found.argmax(axis=1)] == split.y_test)
        ),
        "difference": float(difference.max()),
        "beyond": float(np.mean(difference > 1e-5)),
    }


def main() -> None:
    """Compute what is missing, and write the table."""
    parser = make_parser(
        "Measure ONNX files of classifiers. Rows that results/export.csv has are not "
        "computed again."
    )
    parser.add_argument(
        "--sets", nargs="+", default=list(SETS), help="data sets", metavar="SET"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="of each")
    args: argparse.Namespace = parser.parse_args()
    facts = {"onnxruntime": version_of("onnxruntime")}
    results = Results(args.results / "export.csv", KEYS, VALUES, facts)
    for name in args.sets:
        for settings in SETTINGS:
            for seed in args.seeds:
                if (name, settings, seed) in results:
                    continue
                with limit_threads(1):
                    row = measure(name, settings, seed, args.data)
                results.add(row)
                log(f"{name}, {settings}, seed {seed}: {row}")
    write_report("export", args.results)


if __name__ == "__main__":
    main()
