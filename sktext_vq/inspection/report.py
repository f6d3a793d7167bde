"""One HTML page about a fitted classifier: scores, vocabulary, tokens, texts."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted, column_or_1d

import sktext_vq
from sktext_vq._output import check_target, replace_file
from sktext_vq.classifier import VQTextClassifier
from sktext_vq.inspection import _content
from sktext_vq.panel import Panel, as_panel

_LEVELS = {
    "closed form": "Codes are windows of the training series, chosen without training.",
    "trained": "Codes are windows of the training series. The model around them was "
    "trained without text.",
    "trained with text": "Codes are windows of the training series. The model around "
    "them was trained with texts about these.",
}


def write_report(
    estimator: VQTextClassifier,
    X: Any,
    y: Any,
    path: str | os.PathLike[str],
    *,
    title: str = "Report of a VQTextClassifier",
    n_examples: int = 6,
) -> Path:
    """Write a page about a fitted classifier that any browser shows offline.

    The page is one HTML file without scripts and without references to other files.
    It has the scores, the vocabulary, some series with their tokens, and the texts
    that guided training. An existing file is replaced once the new one is complete.

    Parameters
    ----------
    estimator : VQTextClassifier
        A fitted one.
    X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
        Series to score and show. Take some that were not trained on.
    y : array-like of shape (n_cases,)
        Their labels.
    path : path-like
        File to write.
    title : str, default="Report of a VQTextClassifier"
        Heading of the page.
    n_examples : int, default=6
        Series that are drawn: wrong predictions first, up to a half, then right ones
        of each class in turn.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    TypeError
        If estimator is not a VQTextClassifier.
    NotFittedError
        If it is not fitted.
    ValueError
        If X and y do not match each other or the estimator.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import numpy as np, pathlib, tempfile
    >>> from sktext_vq import VQTextClassifier
    >>> from sktext_vq.inspection import write_report
    >>> X = np.random.default_rng(0).normal(size=(20, 1, 50))
    >>> X[::2] = X[::2].cumsum(axis=2)
    >>> y = np.array(["walk", "noise"] * 10)
    >>> classifier = VQTextClassifier(max_epochs=0, random_state=0).fit(X[:10], y[:10])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_report(classifier, X[10:], y[10:], f"{folder}/report.html")
    ...     print(path.read_text(encoding="utf-8")[:15])
    <!doctype html>
    """
    if not isinstance(estimator, VQTextClassifier):
        raise TypeError(
            "write_report takes a fitted VQTextClassifier, got "
            f"{type(estimator).__name__}."
        )
    check_is_fitted(estimator)
    path = check_target(path)
    panel = as_panel(X, estimator_name="write_report")
    labels, true = _check_y(y, panel, estimator.classes_)
    probabilities = estimator.predict_proba(X)
    codes = _content.draw_codes(estimator)
    page = _template().render(
        title=title,
        version=sktext_vq.__version__,
        model=repr(estimator),
        level=estimator.level_,
        level_means=_LEVELS.get(estimator.level_, ""),
        data=_content.describe_data(estimator, panel),
        scores=_content.score(labels, true, probabilities),
        codes=codes,
        groups=_content.group_codes(codes, estimator.classes_.tolist()),
        legend=_content.legend(codes),
        examples=[
            _content.draw_case(
                estimator, panel, labels, labels[true[case]], probabilities, codes, case
            )
            for case in _content.choose_cases(true, probabilities, max(n_examples, 0))
        ],
        prompts=_content.guiding_texts(estimator),
        history=_content.training_losses(estimator.history_),
    )
    # Labels may have half a surrogate pair, which UTF-8 cannot hold.
    return replace_file(path, page.encode("utf-8", "replace"))


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["share"] = lambda value: f"{100 * value:.3g} %"
    text = (files(__package__) / "report.html").read_text(encoding="utf-8")
    return environment.from_string(text)


def _check_y(
    y: Any, panel: Panel, classes: NDArray[Any]
) -> tuple[list[Any], NDArray[np.int64]]:
    """Return all labels, the classes first, and the index of each case's label."""
    y = column_or_1d(y, warn=True).tolist()
    if len(y) != panel.n_cases:
        raise ValueError(
            f"X and y have inconsistent numbers of samples: X has {panel.n_cases} "
            f"cases, y has {len(y)}."
        )
    labels = list(dict.fromkeys([*classes.tolist(), *y]))
    position = {label: i for i, label in enumerate(labels)}
    true = np.array([position[label] for label in y], dtype=np.int64)
    if true.min() >= len(classes):
        raise ValueError(
            "y has none of the classes that the estimator was fitted with: "
            f"{_few(labels[: len(classes)])}. y has {_few(labels[len(classes) :])}."
        )
    return labels, true


def _few(labels: list[Any]) -> str:
    shown = ", ".join(map(repr, labels[:5]))
    return f"{shown}, ..." if len(labels) > 5 else shown
