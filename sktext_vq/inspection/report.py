"""HTML report about a fitted estimator: scores, cases, codebook, texts."""

from __future__ import annotations

import os
import warnings
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from sktext_vq._features.columns import check_column
from sktext_vq._features.drift import DriftWarning
from sktext_vq._utils.files import check_target, replace_file
from sktext_vq._utils.validation import check_count, format_names, label_text
from sktext_vq._version import __version__
from sktext_vq.classifier import VQTextClassifier
from sktext_vq.inspection import _content
from sktext_vq.inspection._cases import choose_cases, draw_cases, limit_examples
from sktext_vq.inspection._checks import describe_data, find_warnings
from sktext_vq.inspection._content import AboutCases, Answers, known_labels
from sktext_vq.inspection.displays._canvas import check_estimator
from sktext_vq.panel import Panel, as_panel
from sktext_vq.transformer import VQTextTransformer

_STAGES = {
    "closed form": "Codes are windows of the training series.",
    "trained": "Codes are windows of the training series. The model was trained "
    "without text.",
    "trained with text": "Codes are windows of the training series. The model was "
    "trained with text.",
}


def write_report(
    estimator: VQTextClassifier | VQTextTransformer,
    X: Any,
    y: Any,
    path: str | os.PathLike[str],
    *,
    X_train: Any = None,
    groups: Any = None,
    case_names: Any = None,
    title: str | None = None,
    n_examples: int = 40,
) -> Path:
    """Write an HTML report about a fitted estimator.

    The report is a single HTML file that requires no network access and no other files.
    It contains scores and warnings, series with the contributions of their tokens, the
    codebook, the texts used in training, and losses. Search, filters and arrow keys
    need JavaScript; all other parts work without it. An existing file is replaced
    atomically.

    Parameters
    ----------
    estimator : VQTextClassifier or VQTextTransformer
        Fitted estimator. The report of a transformer has no scores.
    X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
        Series to score and show. Use series that are not in the training data.
    y : array-like of shape (n_cases,) or None
        Labels. Optional for a transformer.
    path : path-like
        File to write.
    X_train : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
        Training series, if available. The report lists the series in X that were used
        in training.
    groups : array-like of shape (n_cases,), optional
        Group of each case, such as the person it comes from, for scores by group.
    case_names : array-like of shape (n_cases,), optional
        Name of each case. By default, the index of a data frame, or numbers from 0.
    title : str, optional
        Heading of the page. By default, it contains the class of the estimator.
    n_examples : int, default=40
        Maximum number of series to draw. Up to half of the series are misclassified
        and chosen from each pair of classes in turn; the others are chosen from each
        class in turn. The number is reduced if the page would exceed about 4 MB.

    Returns
    -------
    Path
        Path of the file.

    Raises
    ------
    TypeError
        If `estimator` is not a VQTextClassifier or VQTextTransformer, `y` is None for a
        classifier or has mixed types, or `path` or `n_examples` has the wrong type.
    NotFittedError
        If the estimator is not fitted.
    ValueError
        If X, y, X_train, groups and case_names do not match each other or the
        estimator, or `n_examples` is below 0.
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
    >>> classifier = VQTextClassifier(random_state=0).fit(X[:10], y[:10])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_report(classifier, X[10:], y[10:], f"{folder}/report.html")
    ...     print(path.read_text(encoding="utf-8")[:15])
    <!doctype html>
    """
    check_estimator(estimator, "write_report")
    check_count("n_examples", n_examples, least=0)
    path = check_target(path)
    panel = as_panel(X, estimator_name="write_report")
    training = None if X_train is None else _check_training(X_train, panel)
    about = AboutCases.of(panel, groups, case_names)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator.check_X(X)
    drift = [
        str(each.message) for each in caught if issubclass(each.category, DriftWarning)
    ]
    with warnings.catch_warnings():
        # The warnings are shown on the page.
        warnings.simplefilter("ignore", DriftWarning)
        answers = _answer(estimator, X, y, panel)
        content = _fill(estimator, panel, training, answers, about, drift, n_examples)
    title = title or f"Report on a {type(estimator).__name__}"
    page = fill_template("report.html", title=title, **content)
    # Labels may contain unpaired surrogates, which UTF-8 cannot encode.
    return replace_file(path, page.encode("utf-8", "replace"))


def _fill(
    estimator: VQTextClassifier | VQTextTransformer,
    panel: Panel,
    training: Panel | None,
    answers: Answers,
    about: AboutCases,
    drift: list[str],
    n_examples: int,
) -> dict[str, Any]:
    """Return the variables of the template, except the title."""
    data = describe_data(estimator, panel, answers)
    codes = _content.draw_codes(estimator)
    labels = known_labels(estimator)
    named = [] if labels is None else labels.tolist()
    chosen = choose_cases(answers, panel.n_cases, limit_examples(panel, n_examples))
    prompts = _content.training_texts(estimator)
    script = read_part("report.js")
    return {
        "version": __version__,
        "style": Markup(read_part("report.css")),
        "script": Markup(script),
        # The browser runs no other script, regardless of the content of labels.
        "script_hash": b64encode(sha256(script.encode()).digest()).decode(),
        "model": repr(estimator),
        "stage": estimator.training_stage_,
        "stage_means": _STAGES.get(estimator.training_stage_, ""),
        "data": data,
        "warnings": drift
        + find_warnings(
            estimator.channel_names_,
            panel,
            training,
            data["classes"],
            answers.true,
            about.names,
        ),
        "compared": training is not None,
        "scores": _content.score(answers),
        "groups": _content.score_groups(answers, about.groups),
        "about": about,
        "first_cases": _first_cases(answers, chosen),
        "codes": _content.by_class(codes, named),
        "named": named,
        "legend": _content.legend(codes),
        "which": _filters(answers, chosen),
        "examples": draw_cases(estimator, panel, answers, codes, chosen),
        "prompts": prompts,
        "similarity": _content.compare_texts(estimator, panel, answers.true, prompts),
        "history": _content.training_losses(estimator.history_),
    }


def read_part(name: str) -> str:
    """Return the text of a file in this package."""
    return (files(__package__) / name).read_text(encoding="utf-8")


def fill_template(name: str, **content: Any) -> str:
    """Return a page from a template in this package."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["share"] = lambda value: f"{100 * value:.3g} %"
    # The script treats an empty string as unknown.
    environment.filters["finite"] = lambda value: value if np.isfinite(value) else ""
    return environment.from_string(read_part(name)).render(content)


def _answer(
    estimator: VQTextClassifier | VQTextTransformer, X: Any, y: Any, panel: Panel
) -> Answers:
    """Check labels and predict probabilities with a classifier."""
    if isinstance(estimator, VQTextClassifier):
        if y is None:
            raise TypeError("write_report requires y if the estimator is a classifier.")
        labels, true = _check_y(y, panel, estimator.classes_)
        return Answers(labels, true, estimator.predict_proba(X))
    if y is None:
        return Answers([])
    return Answers(*_check_y(y, panel, known_labels(estimator)))


def _check_training(X_train: Any, panel: Panel) -> Panel:
    training = as_panel(X_train, estimator_name="write_report")
    if training.n_channels != panel.n_channels:
        raise ValueError(
            f"X_train has {training.n_channels} channels, but X has "
            f"{panel.n_channels} channels."
        )
    return training


def _first_cases(answers: Answers, chosen: list[int]) -> dict[tuple[int, int], int]:
    """Return the first drawn case of each cell of the confusion matrix."""
    predicted = answers.predicted
    if answers.true is None or predicted is None:
        return {}
    cells = [(int(answers.true[case]), int(predicted[case])) for case in chosen]
    return dict(zip(reversed(cells), reversed(chosen), strict=True))


def _filters(answers: Answers, chosen: list[int]) -> list[dict[str, Any]]:
    """Return case filters by outcome and by class."""
    if answers.true is None:
        return []
    found = [("all", "all", len(chosen))]
    if answers.right is not None:
        n_right = int(answers.right[chosen].sum())
        found += [
            ("wrong", "misclassified", len(chosen) - n_right),
            ("right", "correctly classified", n_right),
        ]
    counts = np.bincount(answers.true[chosen], minlength=len(answers.labels))
    found += [
        (f"class {label}", f"class {label}", int(count))
        for label, count in zip(answers.labels, counts, strict=True)
    ]
    return [
        {"value": value, "words": words, "count": count}
        for value, words, count in found
        if count
    ]


def _check_y(
    y: Any, panel: Panel, classes: NDArray[Any] | None
) -> tuple[list[Any], NDArray[np.int64]]:
    """Return all labels and the index of the label of each case."""
    y = check_column(y, "y", panel).tolist()
    known = [] if classes is None else classes.tolist()
    # Labels may be numbers in one file and texts in another.
    named = {label_text(label): label for label in reversed([*known, *y])}
    labels = list(dict.fromkeys(named[label_text(label)] for label in [*known, *y]))
    position = {label: i for i, label in enumerate(labels)}
    true = np.array([position[named[label_text(label)]] for label in y], dtype=np.int64)
    if known and true.min() >= len(known):
        raise ValueError(
            "y contains none of the classes in the training data. Classes in the "
            f"training data: {format_names(known, 5)}. Classes in y: "
            f"{format_names(labels[len(known) :], 5)}."
        )
    return labels, true
