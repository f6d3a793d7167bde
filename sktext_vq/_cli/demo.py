"""Demo of the package, run by ``python -m sktext_vq demo``."""

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
Echo = Callable[..., None]


def run_demo(
    report: str | os.PathLike[str],
    *,
    echo: Echo = print,
    progress: bool = False,
    text_encoder: Any = "minilm",
) -> Path:
    """Classify the BasicMotions data set and write a report.

    `echo` prints a text, and `progress` enables messages on standard error.
    """
    missing = [name for name in ("sktime", "numba") if find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(
            f"The demo requires {' and '.join(missing)}. Install the missing packages "
            "with pip install 'sktext_vq[sktime]'."
        )
    report = check_target(report)  # before fitting
    begin = time.perf_counter()
    data = load("BasicMotions")
    n_cases, n_channels, n_timepoints = np.shape(data.X_train)
    names = np.unique(data.y_train).tolist()
    echo(
        f"BasicMotions has {n_cases} training and {len(data.y_test)} test series, "
        f"recorded by a smartwatch,\nwith {n_channels} channels and {n_timepoints} "
        f"timepoints.\nActivities: {', '.join(names)}.\nThe data set is included in "
        "sktime and is easy to classify."
    )
    params = {
        "channel_names": data.channel_names,
        "sampling_rate": data.sampling_rate,
        # Not verbose, since progress bars would mix with progress bars of training.
        "text_encoder": TextEncoder(text_encoder),
        "random_state": 0,
        "verbose": int(progress),
    }
    # One thread, as in MiniRocket. More threads are not faster on small data.
    with threadpool_limits(1):
        echo("\n1. Classification by activity names, without labels\n")
        _label(data, names, echo, progress)
        echo("\n2. Classification with labels, compared with MiniRocket\n")
        classifier = _compare(data, params, echo, progress)
        write_report(
            classifier,
            data.X_test,
            data.y_test,
            report,
            X_train=data.X_train,
            title="BasicMotions: four activities recorded by a smartwatch",
        )
    echo(f"\n3. Report: open {report} in a browser.")
    echo(f"\nTotal time: {time.perf_counter() - begin:.0f} s.")
    return report


def _note(text: str, progress: bool) -> None:
    if progress:
        print(f"  {text} ...", file=sys.stderr, flush=True)


def _label(data: Dataset, names: list[str], echo: Echo, progress: bool) -> None:
    """Predict the activities of the test series with the packaged base model."""
    _note("loading the base model and the text encoder", progress)
    base = load_base()
    # The series contain no gravity, so units cannot be inferred from the data.
    X = harmonise(
        data.X_test,
        channel_names=data.channel_names,
        sampling_rate=data.sampling_rate,
        units="m/s^2",
    )
    sets = [each["name"] for each in base.card_["sets"]]
    found = base.predict_zero_shot(X, names)
    echo(
        f"The base model was fitted to {', '.join(sets)}.\n"
        "It was not fitted to this data set, and badminton is not among its "
        "activities.\n"
    )
    for name in names:
        own = data.y_test == name
        n_right = int((found[own] == name).sum())
        echo(f"  {name:<12}{n_right:3} of {own.sum()} correct")
    echo(f"  {'all':<12}{(found == data.y_test).sum():3} of {len(found)}")


def _compare(
    data: Dataset, params: dict[str, Any], echo: Echo, progress: bool
) -> VQTextClassifier:
    """Fit and score classifiers; return the VQTextClassifier fitted to all cases."""
    # Imported here, since only the demo needs sktime.
    from sktime.transformations.panel.rocket import MiniRocketMultivariate

    train, test = np.asarray(data.X_train, np.float32), data.X_test
    y = data.y_train
    few = np.concatenate([np.flatnonzero(y == name)[:_FEW] for name in np.unique(y)])
    _note("compiling sktext_vq and MiniRocket", progress)
    start = time.perf_counter()
    VQTextTransformer().fit(train[:2]).transform(train[:2])
    compiling = time.perf_counter()
    MiniRocketMultivariate(random_state=0).fit(train[:2]).transform(train[:2])
    start_up = compiling - start, time.perf_counter() - compiling

    classifier = VQTextClassifier(**params)
    echo("                                      accuracy      fit  predict")
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
        echo(
            f"  {name:<36}{accuracy:8.3f}{fitted - start:7.1f} s"
            f"{predicted - fitted:7.1f} s"
        )
    echo(
        "\nAll times were measured with one thread. Compilation took "
        f"{start_up[0]:.1f} s for\nsktext_vq, whose code is cached, and "
        f"{start_up[1]:.1f} s for MiniRocket."
    )
    return classifier


class _MiniRocket:
    """Ridge classifier on standardised MiniRocket features."""

    def __init__(self) -> None:
        from sktime.transformations.panel.rocket import MiniRocketMultivariate

        # Not a step of the Pipeline, because sktime's `fit` resets all attributes,
        # including attributes that a Pipeline sets on its steps and removes afterwards.
        self.features = MiniRocketMultivariate(random_state=0)
        self.ridge = make_pipeline(
            StandardScaler(), RidgeClassifierCV(alphas=np.logspace(-3, 3, 10))
        )

    def fit(self, X: Any, y: NDArray[Any]) -> _MiniRocket:
        self.ridge.fit(self.features.fit_transform(X).to_numpy(), y)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        return self.ridge.predict(self.features.transform(X).to_numpy())
