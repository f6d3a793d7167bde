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
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from sktext_vq import PromptBank, TextEncoder, VQTextClassifier, VQTextTransformer
from sktext_vq._utils.files import check_target
from sktext_vq.datasets import Dataset, load
from sktext_vq.inspection import write_report

_N_TOKENS = 6
_PIPELINE = """\
  Pipeline([("tokens", VQTextTransformer()), ("clf", LogisticRegression())])"""


def run_demo(
    report: str | os.PathLike[str],
    *,
    left_out: str = "walking",
    say: Callable[..., None] = print,
    progress: bool = False,
    text_encoder: Any = "minilm",
) -> Path:
    """Train, compare, explain and report on BasicMotions.

    Parameters
    ----------
    report : path-like
        HTML file to write.
    left_out : str, default="walking"
        Class to leave out of training and to recognise by text.
    say : callable, default=print
        Takes the text to show.
    progress : bool, default=False
        Whether to show progress on standard error.
    text_encoder : object, default="minilm"
        Encoder of prompts.

    Returns
    -------
    Path
        The report.

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
    report = check_target(report)  # before a minute of work
    begin = time.perf_counter()
    data = load("BasicMotions")
    params = {
        "channel_names": data.channel_names,
        "sampling_rate": data.sampling_rate,
        # Not verbose: its progress bars would mix with those of training.
        "text_encoder": TextEncoder(text_encoder),
        "random_state": 0,
        "verbose": int(progress),
    }
    n_cases, n_channels, n_timepoints = np.shape(data.X_train)
    classes = np.unique(data.y_train).tolist()
    say(
        f"BasicMotions: {n_cases} training and {len(data.y_test)} test series of a "
        f"smart watch, {n_channels} channels,\n{n_timepoints} timepoints; classes "
        f"{', '.join(classes)}.\nThe data set comes with sktime and is easy."
    )
    # One thread, as MiniRocket uses: more threads are not faster on small data, and
    # wait for each other on a busy machine.
    with threadpool_limits(1):
        say("\n1. Classification, compared with MiniRocket on the same series\n")
        classifier = _compare(data, params, say, progress)
        say("\n2. Texts about the classes\n")
        for label, forms in PromptBank().prompts(classes).items():
            say(f"  {label:<10} {forms['sentence'][0]}")
        say("\n3. Recognising an unseen class\n")
        _zero_shot(data, params, left_out, say)
        say("\n4. Tokens of a series\n")
        _read(data, classifier, say)
        title = "BasicMotions: four activities, recorded by a smart watch"
        write_report(
            classifier,
            data.X_test,
            data.y_test,
            report,
            X_train=data.X_train,
            title=title,
        )
    say(f"\n5. Report: open {report} in a browser.")
    say(f"\nTotal time: {time.perf_counter() - begin:.0f} s.")
    return report


def _note(text: str, progress: bool) -> None:
    """Print what takes time to standard error."""
    if progress:
        print(f"  {text} ...", file=sys.stderr, flush=True)


def _compare(
    data: Dataset, params: dict[str, Any], say: Callable[..., None], progress: bool
) -> VQTextClassifier:
    """Fit and score three models; return the classifier."""
    # Imported here, since only the demo needs sktime.
    from sktime.transformations.panel.rocket import MiniRocketMultivariate

    few = np.asarray(data.X_train, dtype=np.float32)[:2]
    _note("loading the text encoder, and compiling tokens", progress)
    start = time.perf_counter()
    params["text_encoder"].transform(["a text"])
    VQTextTransformer().fit(few).transform(few)
    loading = time.perf_counter() - start
    _note("compiling MiniRocket", progress)
    start = time.perf_counter()
    MiniRocketMultivariate(random_state=0).fit(few).transform(few)
    compiling = time.perf_counter() - start

    classifier = VQTextClassifier(**params)
    pipeline = Pipeline(
        [("tokens", VQTextTransformer(**params)), ("clf", LogisticRegression())]
    )
    say("                                  accuracy      fit  predict  start-up")
    models = {
        "VQTextClassifier": (classifier, loading),
        "VQTextTransformer in a Pipeline": (pipeline, loading),
        "MiniRocket and ridge classifier": (_MiniRocket(), compiling),
    }
    for name, (model, start_up) in models.items():
        start = time.perf_counter()
        model.fit(data.X_train, data.y_train)
        fitted = time.perf_counter()
        accuracy = float(np.mean(model.predict(data.X_test) == data.y_test))
        predicted = time.perf_counter()
        say(
            f"  {name:<32}{accuracy:8.3f}{fitted - start:7.1f} s"
            f"{predicted - fitted:7.1f} s{start_up:8.1f} s"
        )
    say(
        "\nOne thread. Start-up is needed once per process: loading MiniLM, the text\n"
        "encoder, and compiling by numba, which is cached for sktext_vq.\n"
        "The Pipeline is\n\n"
        f"{_PIPELINE}"
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


def _zero_shot(
    data: Dataset, params: dict[str, Any], left_out: str, say: Callable[..., None]
) -> None:
    """Fit without a class, and recognise it by its name."""
    classes = np.unique(data.y_train).tolist()
    seen = data.y_train != left_out
    classifier = VQTextClassifier(**params)
    classifier.fit(np.asarray(data.X_train)[seen], data.y_train[seen])
    predicted = classifier.predict_zero_shot(data.X_test, classes)
    right = predicted == data.y_test
    unseen = data.y_test == left_out
    say(
        f"Fitted to the other three classes. For {left_out}, only the name is given;\n"
        "the package has texts for it. All four names are candidates.\n\n"
        f"{_recognised(left_out, right[unseen])}\n"
        f"{_recognised('the other three classes', right[~unseen])}"
    )


def _recognised(what: str, right: NDArray[np.bool_]) -> str:
    """Format the share of right predictions."""
    what += " recognised"
    return f"  {what:<34}{right.mean():4.0%}{right.sum():5} of {len(right)}"


def _read(
    data: Dataset, classifier: VQTextClassifier, say: Callable[..., None]
) -> None:
    """Print the first tokens of a series with their codes."""
    case = int(np.flatnonzero(data.y_test == "running")[0])
    tokens = classifier.tokens(np.asarray(data.X_test)[[case]])
    codes = classifier.describe_codes()
    name = classifier.channel_names_[0]
    rate = data.sampling_rate or 1.0
    tokens = tokens[tokens["channel"] == 0]
    say(
        f"Test series {case} ({data.y_test[case]}), channel {name}: the first "
        f"{min(_N_TOKENS, len(tokens))} of {len(tokens)} tokens\n\n"
        "  from        to   code  shape              most frequent in"
    )
    for token in tokens.head(_N_TOKENS).to_dict("records"):
        begin, end = token["start"] / rate, (token["start"] + token["length"]) / rate
        code = codes.loc[token["code"]]
        say(
            f"  {begin:4.1f} s  {end:5.1f} s{token['code']:7}  {code['shape']:<17}  "
            f"{code['class']}, {code['lift']:.1f} times the average"
        )
