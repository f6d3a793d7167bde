"""One HTML page about a fitted classifier: scores, vocabulary, tokens, texts."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from sklearn.utils.validation import check_is_fitted, column_or_1d

import sktext_vq
from sktext_vq.classifier import VQTextClassifier
from sktext_vq.inspection._drawing import limits, lines
from sktext_vq.panel import Panel, as_panel
from sktext_vq.text import PromptBank, are_words

_N_COLOURS = 7  # of the palette in the template; one more is for all other shapes
_MAX_CHANNELS = 32  # drawn of one series
_OPEN_CHANNELS = 3  # seen without a click
_MAX_TEXTS = 12
_LEVELS = {
    "closed form": "Codes are windows of the training series, chosen without training.",
    "trained": "Codes were trained on the series, without text.",
    "trained with text": "Codes were trained on the series and on texts about them.",
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
    codes = _codes(estimator)
    page = _template().render(
        title=title,
        version=sktext_vq.__version__,
        model=repr(estimator),
        level=estimator.level_,
        level_means=_LEVELS.get(estimator.level_, ""),
        data=_data(estimator, panel),
        scores=_scores(labels, true, probabilities),
        codes=codes,
        groups=_by_class(codes, estimator.classes_.tolist()),
        legend=_legend(codes),
        examples=[
            _example(
                estimator, panel, labels, labels[true[case]], probabilities, codes, case
            )
            for case in _choose(true, probabilities, n_examples)
        ],
        prompts=_prompts(estimator),
        history=_history(estimator.history_),
    )
    return _replace(path, page)


def check_target(path: str | os.PathLike[str]) -> Path:
    """Return where to write a file, or say that this is no place for one.

    Parameters
    ----------
    path : path-like
        File to be.

    Returns
    -------
    Path
        The same.

    Raises
    ------
    OSError
        If the path is a folder, or is in a folder that does not exist.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder. Give a file to write.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path} is in a folder that does not exist.")
    return path


def _replace(path: Path, page: str) -> Path:
    """Write a file beside the old one, then put it in its place."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        # Labels may have half a surrogate pair, which UTF-8 cannot hold.
        part.write_bytes(page.encode("utf-8", "replace"))
        os.replace(part, path)
    except OSError as error:
        # The same error, about the file that was asked for.
        raise type(error)(error.errno, error.strerror, str(path)) from error
    finally:
        part.unlink(missing_ok=True)
    return path


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


def _number(value: float) -> str:
    """Four digits, without an exponent where that is as short."""
    return f"{value:.4g}"


def _time(timepoints: float, sampling_rate: float | None) -> str:
    """Timepoints as seconds, if it is known how many make one."""
    if sampling_rate is None:
        return f"{timepoints:g} timepoints"
    return f"{timepoints / sampling_rate:.3g} s"


def _data(estimator: VQTextClassifier, panel: Panel) -> dict[str, Any]:
    """Numbers about the series, over all and by channel."""
    rate = estimator.sampling_rate
    low, high = int(panel.lengths.min()), int(panel.lengths.max())
    length = f"{low}" if low == high else f"{low} to {high}"
    lasting = _time(high, rate)
    if rate is not None and low < high:
        lasting = f"{_time(low, rate)} to {lasting}"
    channels = []
    n_inside, n_missing = int(panel.lengths.sum()), 0
    for index, name in enumerate(estimator.channel_names_):
        values = panel.values[:, index]
        finite = values[np.isfinite(values)].astype(np.float64)
        n_missing += n_inside - len(finite)
        channels.append(
            {
                "name": name,
                "low": _number(finite.min()),
                "middle": _number(np.median(finite)),
                "high": _number(finite.max()),
                "missing": 1 - len(finite) / n_inside,
            }
        )
    return {
        "n_cases": panel.n_cases,
        "n_channels": panel.n_channels,
        "n_classes": len(estimator.classes_),
        "length": length,
        "rate": rate,
        "lasting": None if rate is None else lasting,
        "missing": n_missing / (n_inside * panel.n_channels),
        "channels": channels,
    }


def _scores(
    labels: list[Any], true: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> dict[str, Any]:
    """Scores over all cases and by class, and who is taken for whom."""
    n_classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    every = np.arange(len(labels))
    counts = confusion_matrix(true, predicted, labels=every)
    totals = counts.sum(axis=1)
    precision, recall, f1, _ = precision_recall_fscore_support(
        true, predicted, labels=every, zero_division=0
    )
    present = totals > 0
    return {
        "n_right": int(np.trace(counts)),
        "accuracy": np.trace(counts) / len(true),
        "balanced": recall[present].mean(),
        "macro_f1": f1[present].mean(),
        "usual": {
            "label": labels[totals.argmax()],
            "share": totals.max() / len(true),
        },
        "unknown": labels[n_classes:],
        "predicted": labels[:n_classes],
        "rows": [
            {
                "label": label,
                "total": int(totals[i]),
                "precision": precision[i],
                "recall": recall[i],
                "f1": f1[i],
                "cells": [
                    {
                        "count": int(counts[i, j]),
                        "share": counts[i, j] / max(totals[i], 1),
                        "right": i == j,
                    }
                    for j in range(n_classes)
                ],
            }
            for i, label in enumerate(labels)
        ],
    }


def _codes(estimator: VQTextClassifier) -> list[dict[str, Any]]:
    """The vocabulary: a drawing and the facts of each code."""
    shapes = np.asarray(estimator.shapes_, dtype=np.float64)
    table = estimator.describe_codes()
    most = max(float(np.abs(shapes).max()), 1e-9)  # one scale for all drawings
    codes = []
    for code, shape in enumerate(shapes):
        row = table.loc[code].to_dict()
        words = str(row.get("shape", ""))
        facts = []
        if _known(row.get("channel")):
            where = f"most typical of {row['channel']}"
            if _known(row.get("length")):
                where += f", over {_time(row['length'], estimator.sampling_rate)}"
            facts.append(where)
        if _known(row.get("phrases")):
            texts = row["phrases"]
            facts.append(texts if isinstance(texts, str) else "; ".join(texts))
        codes.append(
            {
                "code": code,
                "lines": lines(shape, -most, most),
                "words": words,
                "kind": _kind(words),
                "usage": float(row.get("usage", np.nan)),
                "facts": facts,
                "class": row.get("class"),
                "lift": row.get("lift"),
            }
        )
    _colour(codes)
    return codes


def _known(value: Any) -> bool:
    """Whether a cell of the description has something to say."""
    if value is None or isinstance(value, str | list | tuple):
        return bool(value)
    return not pd.isna(value)


def _kind(words: str) -> str:
    """What a shape is called but for where it peaks."""
    first, _, place = words.rpartition(", ")
    return first if place in ("early", "middle", "late") else words


def _colour(codes: list[dict[str, Any]]) -> None:
    """Give the commonest kinds of shapes colours of their own."""
    weight: Counter[str] = Counter()
    for code in codes:
        # Where usage is unknown, kinds count by their codes.
        usage = code["usage"]
        weight[code["kind"]] += usage if np.isfinite(usage) else 1.0
    ranked = [kind for kind, _ in weight.most_common()]
    for code in codes:
        code["colour"] = min(ranked.index(code["kind"]), _N_COLOURS)


def _legend(codes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Colours and the words for them."""
    kinds = {code["colour"]: code["kind"] for code in codes}
    return [
        {"colour": colour, "words": "other shapes" if colour == _N_COLOURS else kind}
        for colour, kind in sorted(kinds.items())
    ]


def _by_class(codes: list[dict[str, Any]], labels: list[Any]) -> list[dict[str, Any]]:
    """Codes under the class that they speak for, the clearest first."""
    groups: list[dict[str, Any]] = [
        {
            "label": label,
            "codes": sorted(
                (code for code in codes if code["class"] == label),
                key=lambda code: -(code["lift"] or 0),
            ),
        }
        for label in labels
    ]
    left = [code for code in codes if code["class"] not in labels]
    groups.append({"label": None, "codes": left})
    return [group for group in groups if group["codes"]]


def _choose(
    true: NDArray[np.int64], probabilities: NDArray[np.float64], n_examples: int
) -> list[int]:
    """Cases to draw: up to a half are the surest mistakes, then classes take turns."""
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    right = probabilities.argmax(axis=1) == true
    wrong = order[~right[order]][: max(n_examples - int(right.sum()), n_examples // 2)]
    by_class = [
        [case for case in order if right[case] and true[case] == index]
        for index in range(probabilities.shape[1])
    ]
    turns = [
        cases[turn]
        for turn in range(n_examples)
        for cases in by_class
        if turn < len(cases)
    ]
    return [int(case) for case in [*wrong, *turns][:n_examples]]


def _example(
    estimator: VQTextClassifier,
    panel: Panel,
    labels: list[Any],
    label: Any,
    probabilities: NDArray[np.float64],
    codes: list[dict[str, Any]],
    case: int,
) -> dict[str, Any]:
    """Prediction, and line and tokens of each channel, of one case."""
    part = Panel(panel.values[[case]], panel.lengths[[case]])
    length = int(panel.lengths[case])
    rate = estimator.sampling_rate
    tokens = estimator.tokens(part)
    rebuilt = estimator.reconstruct(part)[0, :, :length]
    channels = []
    for index, name in enumerate(estimator.channel_names_[:_MAX_CHANNELS]):
        values = panel.values[case, index, :length]
        low, high = limits(values)
        rows = tokens[tokens["channel"] == index].to_dict("records")
        # The last token may reach back over the one before.
        ends = [*(row["start"] for row in rows[1:]), length]
        segments = [
            _segment(row, end, codes, length, rate)
            for row, end in zip(rows, ends, strict=True)
        ]
        kinds = Counter(segment["kind"] for segment in segments)
        channels.append(
            {
                "name": name,
                "low": _number(low),
                "high": _number(high),
                "series": lines(values, low, high),
                "rebuilt": lines(rebuilt[index], low, high),
                "segments": segments,
                "kinds": ", ".join(f"{n} {kind}" for kind, n in kinds.most_common()),
            }
        )
    order = np.argsort(-probabilities[case], kind="stable")[:3]
    return {
        "case": case,
        "label": label,
        "right": label == labels[order[0]],
        "likely": [
            {"label": labels[i], "probability": probabilities[case, i]} for i in order
        ],
        "lasting": _time(length, rate),
        "shown": channels[:_OPEN_CHANNELS],
        "folded": channels[_OPEN_CHANNELS:],
        "n_left_out": max(0, estimator.n_channels_ - _MAX_CHANNELS),
    }


def _segment(
    token: Mapping[Any, Any],
    end: int,
    codes: list[dict[str, Any]],
    length: int,
    rate: float | None,
) -> dict[str, Any]:
    """Where a token is drawn, in percent of the width, and what it says."""
    code = codes[int(token["code"])]
    start = int(token["start"])
    end = min(start + int(token["length"]), end)
    return {
        "code": code["code"],
        "words": code["words"],
        "kind": code["kind"],
        "colour": code["colour"],
        "from": _time(start, rate),
        "to": _time(end, rate),
        "x": round(100 * start / length, 2),
        "width": round(100 * (end - start) / length, 2),
    }


def _prompts(estimator: VQTextClassifier) -> dict[str, Any] | None:
    """Texts that guided training, by class if they are about classes."""
    texts = estimator.prompts_
    if texts is None:
        return None
    by_class = _texts_of_classes(estimator)
    # The first text of each class is kept; where these are others, all are.
    if by_class and [first for first, *_ in by_class.values()] != list(texts):
        by_class = None
    return {
        "by_class": by_class,
        "texts": texts[:_MAX_TEXTS],
        "n_texts": len(texts),
        "encoder": str(estimator.text_encoder),
    }


def _texts_of_classes(estimator: VQTextClassifier) -> dict[str, list[str]] | None:
    """What the classes are described by, if their names or own texts allow it."""
    names = [str(label) for label in estimator.classes_]
    bank = PromptBank()
    if isinstance(estimator.text, Mapping):
        own = {str(label): texts for label, texts in estimator.text.items()}
        bank = PromptBank.from_texts(own)
    elif not (estimator.text == "labels" or are_words(names)):
        return None
    texts, owner = bank.flat(names, estimator.prompt_forms)
    found: dict[str, list[str]] = {name: [] for name in names}
    for text, index in zip(texts, owner, strict=True):
        found[names[index]].append(text)
    return found


def _history(history: list[dict[str, float]]) -> dict[str, Any] | None:
    """Losses of each epoch, and lines through them."""
    if not history:
        return None
    curves = {}
    names = {"train_loss": "training", "valid_loss": "held-out"}
    shown = {key: name for key, name in names.items() if key in history[0]}
    values = np.array([[epoch[key] for key in shown] for epoch in history])
    low, high = limits(values)
    for key, curve in zip(shown, values.T, strict=True):
        curves[shown[key]] = lines(curve, low, high)
    return {
        "curves": curves,
        "low": _number(low),
        "high": _number(high),
        "seconds": sum(epoch.get("dur", 0.0) for epoch in history),
        "epochs": [[epoch[key] for key in shown] for epoch in history],
    }
