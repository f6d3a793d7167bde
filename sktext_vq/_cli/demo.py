"""Demo: ``python -m sktext_vq demo``."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from sktext_vq import TextEncoder, VQTextClassifier, VQTextTransformer
from sktext_vq._utils.files import check_target
from sktext_vq.datasets import Dataset, load
from sktext_vq.inspection import write_report
from sktext_vq.wearables import harmonise, load_base

_FEW = 2  # labelled series of each class
Say = Callable[..., None]


def run_demo(
    report: str | os.PathLike[str],
    *,
    say: Say = print,
    progress: bool = False,
    text_encoder: Any = "minilm",
) -> Path:
    """Name activities of BasicMotions, classify, compare and report.

    Parameters
    ----------
    report : path-like
        HTML file to write.
    say : callable, default=print
        Function that prints a text.
    progress : bool, default=False
        Whether to show progress on standard error.
    text_encoder : object, default="minilm"
        Encoder of the texts about classes.

    Returns
    -------
    Path
        Path of the report.

    Raises
    ------
    ModuleNotFoundError
        If sktime or numba is not installed.
    OSError
        If the report cannot be written.
    """
    missing = [name for name in ("sktime", "numba") if find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(
            f"The demo needs {' and '.join(missing)} for its data and the comparison: "
            "pip install 'sktext_vq[sktime]'"
        )
    report = check_target(report)  # before the work
    begin = time.perf_counter()
    data = load("BasicMotions")
    n_cases, n_channels, n_timepoints = np.shape(data.X_train)
    names = np.unique(data.y_train).tolist()
    say(
        f"BasicMotions: {n_cases} training and {len(data.y_test)} test series of a "
        f"smart watch, {n_channels} channels,\n{n_timepoints} timepoints; activities "
        f"{', '.join(names)}.\nThe data set is included in sktime and easy to classify."
    )
    params = {
        "channel_names": data.channel_names,
        "sampling_rate": data.sampling_rate,
        # Not verbose: its progress bars would mix with those of training.
        "text_encoder": TextEncoder(text_encoder),
        "random_state": 0,
        "verbose": int(progress),
    }
    # One thread, as MiniRocket uses: more threads are not faster on small data, and
    # wait for each other on a busy machine.
    with threadpool_limits(1):
        say("\n1. Activities by their names, without labels of this data set\n")
        _label(data, names, say, progress)
        say("\n2. Classification with labels, compared with MiniRocket\n")
        classifier = _compare(data, params, say, progress)
        write_report(
            classifier,
            data.X_test,
            data.y_test,
            report,
            X_train=data.X_train,
            title="BasicMotions: four activities, recorded by a smart watch",
        )
    say(f"\n3. Report: open {report} in a browser.")
    say(f"\nTotal time: {time.perf_counter() - begin:.0f} s.")
    return report


def _note(text: str, progress: bool) -> None:
    """Print a progress message to standard error."""
    if progress:
        print(f"  {text} ...", file=sys.stderr, flush=True)


def _label(data: Dataset, names: list[str], say: Say, progress: bool) -> None:
    """Name the activities of the test series with the packaged base."""
    _note("loading the base and the text encoder", progress)
    base = load_base()
    # Recorded without gravity, so units cannot be inferred from the data.
    X = harmonise(
        data.X_test,
        channel_names=data.channel_names,
        sampling_rate=data.sampling_rate,
        units="m/s^2",
    )
    sets = [each["name"] for each in base.card_["sets"]]
    found = base.predict_zero_shot(X, names)
    say(
        f"The base model was fitted to {', '.join(sets)}.\n"
        "It was not fitted to this data set, and badminton is not among its "
        "activities.\n"
    )
    for name in names:
        own = data.y_test == name
        n_right = int((found[own] == name).sum())
        say(f"  {name:<12}{n_right:3} of {own.sum()} correct")
    say(f"  {'all':<12}{(found == data.y_test).sum():3} of {len(found)}")


def _compare(
    data: Dataset, params: dict[str, Any], say: Say, progress: bool
) -> VQTextClassifier:
    """Fit and score classifiers; return the one that is fitted to all labels."""
    # Imported here, since only the demo needs sktime.
    from sktime.transformations.panel.rocket import MiniRocketMultivariate

    train, test = np.asarray(data.X_train, np.float32), data.X_test
    y = data.y_train
    few = np.concatenate([np.flatnonzero(y == name)[:_FEW] for name in np.unique(y)])
    _note("compiling tokens and MiniRocket", progress)
    start = time.perf_counter()
    VQTextTransformer().fit(train[:2]).transform(train[:2])
    compiling = time.perf_counter()
    MiniRocketMultivariate(random_state=0).fit(train[:2]).transform(train[:2])
    start_up = compiling - start, time.perf_counter() - compiling

    classifier = VQTextClassifier(**params)
    say("                                      accuracy      fit  predict")
    for name, model, rows in (
        (f"VQTextClassifier, {len(few)} labels", VQTextClassifier(**params), few),
        (f"MiniRocket and ridge, {len(few)} labels", _MiniRocket(), few),
        ("VQTextClassifier, all labels", classifier, slice(None)),
        ("MiniRocket and ridge, all labels", _MiniRocket(), slice(None)),
    ):
        start = time.perf_counter()
        model.fit(train[rows], y[rows])
        fitted = time.perf_counter()
        accuracy = float(np.mean(model.predict(test) == data.y_test))
        predicted = time.perf_counter()
        say(
            f"  {name:<36}{accuracy:8.3f}{fitted - start:7.1f} s"
            f"{predicted - fitted:7.1f} s"
        )
    say(
        f"\nOne thread. Compiling took {start_up[0]:.1f} s for sktext_vq, whose code "
        f"is cached, and\n{start_up[1]:.1f} s for MiniRocket."
    )
    return classifier


class _MiniRocket:
    """MiniRocket features, standardised, and a ridge classifier."""

    def __init__(self) -> None:
        from sktime.transformations.panel.rocket import MiniRocketMultivariate

        # Not in a Pipeline with the ridge: sktime's `fit` resets all attributes, among
        # them those that scikit-learn 1.9 sets on steps and removes afterwards.
        self.features = MiniRocketMultivariate(random_state=0)
        self.ridge = make_pipeline(
            StandardScaler(), RidgeClassifierCV(alphas=np.logspace(-3, 3, 10))
        )

    def fit(self, X: Any, y: NDArray[Any]) -> _MiniRocket:
        self.ridge.fit(self.features.fit_transform(X).to_numpy(), y)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        return self.ridge.predict(self.features.transform(X).to_numpy())
