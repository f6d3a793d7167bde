"""Variables of the report template: numbers, texts and drawings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from sktext_vq._features.columns import check_column
from sktext_vq._interpret.alignment import text_cosines
from sktext_vq._interpret.shape_names import FLAT
from sktext_vq._training.settings import as_text_encoder
from sktext_vq._utils.validation import label_text
from sktext_vq.classifier import VQTextClassifier
from sktext_vq.inspection._drawing import limits, lines
from sktext_vq.panel import Panel
from sktext_vq.text import PromptBank, are_words
from sktext_vq.transformer import VQTextTransformer

_N_COLOURS = 7  # number of colours of the template; other shapes are grey
_FAMILIES = {"fast wave": "wave", "step up": "rise", "step down": "fall"}
_MAX_TEXTS = 12
# Maximum number of classes in a large and a compact confusion matrix.
_MAX_ROOMY, _MAX_COMPACT = 10, 40
_N_PAIRS = 20  # number of confusions in a list, if there are more classes
_N_OTHERS = 3  # number of the most frequent wrong predictions of a class


@dataclass(frozen=True, eq=False)
class Answers:
    """True labels and predicted probabilities, if available.

    `labels` contains the classes of the estimator, followed by other classes in the
    series. `true` contains the index of the label of each case. `probabilities` has
    shape (n_cases, n_classes), for the classes of the estimator.
    """

    labels: list[Any]
    true: NDArray[np.int64] | None = None
    probabilities: NDArray[np.float64] | None = None

    @cached_property
    def predicted(self) -> NDArray[np.int64] | None:
        """Index of the most probable class of each case."""
        return None if self.probabilities is None else self.probabilities.argmax(axis=1)

    @cached_property
    def right(self) -> NDArray[np.bool_] | None:
        """Whether the prediction of each case is correct."""
        return None if self.predicted is None else self.predicted == self.true


@dataclass(frozen=True, eq=False)
class AboutCases:
    """Names and groups of cases; by default, names are indices."""

    names: list[str]
    groups: list[str] | None = None

    @classmethod
    def of(cls, panel: Panel, groups: Any, names: Any) -> AboutCases:
        found = (
            panel.cases if names is None else check_column(names, "case_names", panel)
        )
        return cls(
            list(map(str, range(panel.n_cases) if found is None else found)),
            None
            if groups is None
            else [label_text(each) for each in check_column(groups, "groups", panel)],
        )


def number(value: float) -> str:
    return f"{value:.4g}"


def time(timepoints: float, sampling_rate: float | None) -> str:
    """Format a duration in seconds if the sampling rate is known, or in timepoints."""
    if sampling_rate is None:
        return f"{timepoints:g} timepoints"
    return f"{timepoints / sampling_rate:.3g} s"


def span(start: float, stop: float, sampling_rate: float | None) -> str:
    """Format a time span in the units of :func:`time`."""
    first, _ = time(start, sampling_rate).split(" ")
    return f"{first} to {time(stop, sampling_rate)}"


def score(answers: Answers) -> dict[str, Any] | None:
    """Compute overall and per-class scores and the confusion matrix."""
    labels, true, probabilities = answers.labels, answers.true, answers.probabilities
    predicted = answers.predicted
    if true is None or probabilities is None or predicted is None:
        return None
    n_classes = probabilities.shape[1]
    every = np.arange(len(labels))
    counts = confusion_matrix(true, predicted, labels=every)
    totals = counts.sum(axis=1)
    precision, recall, f1, _ = precision_recall_fscore_support(
        true, predicted, labels=every, zero_division=0
    )
    present = totals > 0
    rows = [
        {
            "label": label,
            "total": int(totals[i]),
            "precision": precision[i],
            "recall": recall[i],
            "f1": f1[i],
            "others": [
                (labels[j], int(counts[i, j]))
                for j in _largest(counts[i], _N_OTHERS + 1)
                if j != i
            ][:_N_OTHERS],
        }
        for i, label in enumerate(labels)
    ]
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
        "matrix": _matrix(counts[:, :n_classes], totals),
        "many": n_classes > _MAX_ROOMY,
        "pairs": _pairs(counts) if n_classes > _MAX_ROOMY else [],
        "rows": rows,
        "by_f1": sorted(rows, key=lambda row: (not row["total"], row["f1"])),
    }


def _matrix(
    counts: NDArray[np.int64], totals: NDArray[np.int64]
) -> list[list[dict[str, Any]]] | None:
    """Return cells of a confusion matrix, or None if there are too many classes."""
    if counts.shape[1] > _MAX_COMPACT:
        return None
    return [
        [
            {"count": int(count), "share": count / max(total, 1), "right": i == j}
            for j, count in enumerate(row)
        ]
        for i, (row, total) in enumerate(zip(counts, totals, strict=True))
    ]


def _largest(counts: NDArray[np.int64], most: int) -> list[int]:
    """Return indices of the largest counts above 0, in descending order."""
    order = np.argsort(-counts, kind="stable")[:most]
    return [i for i in order.tolist() if counts[i]]


def _pairs(counts: NDArray[np.int64]) -> list[dict[str, Any]]:
    wrong = counts - np.diag(np.diag(counts))
    totals = counts.sum(axis=1)
    return [
        {
            "true": i,
            "predicted": j,
            "count": int(wrong[i, j]),
            "share": wrong[i, j] / totals[i],
        }
        for i, j in (divmod(k, len(counts)) for k in _largest(wrong.ravel(), _N_PAIRS))
    ]


def score_groups(answers: Answers, groups: list[str] | None) -> list[dict[str, Any]]:
    """Return the accuracy of each group, in ascending order."""
    right = answers.right
    if groups is None or right is None:
        return []
    names, index = np.unique(np.array(groups, dtype=np.str_), return_inverse=True)
    counts = np.bincount(index)
    found = [
        {"group": name, "count": int(n), "right": int(k), "accuracy": k / n}
        for name, n, k in zip(
            names.tolist(), counts, np.bincount(index, weights=right), strict=True
        )
    ]
    return sorted(found, key=lambda each: each["accuracy"])


def draw_codes(estimator: VQTextClassifier | VQTextTransformer) -> list[dict[str, Any]]:
    """Draw and describe each code."""
    shapes = np.asarray(estimator.shapes_, dtype=np.float64)
    table = estimator.describe_codes()
    rate = estimator.sampling_rate
    most = max(float(np.abs(shapes).max()), 1e-9)  # one scale for all drawings
    codes = [
        {
            "code": code,
            "lines": lines(shape, -most, most),
            "words": row["shape"],
            "kind": _kind(row["shape"]),
            "attributes": row["attributes"],
            "usage": row["usage"],
            "place": f"{row['channel']}, {time(row['length'], rate)}",
            "length": row["length"],
            "class": row.get("class"),
            "lift": row.get("lift"),
            # pandas has NaN or None for a missing phrase.
            "name": row["phrase"] if isinstance(row.get("phrase"), str) else None,
            "confidence": row.get("confidence"),
        }
        for code, (shape, row) in enumerate(
            zip(shapes, table.to_dict("records"), strict=True)
        )
    ]
    _colour(codes)
    return codes


def _kind(words: str) -> str:
    """Return the kind of a shape, ignoring its position and steepness."""
    words = words.removeprefix("slight ")
    first, _, place = words.rpartition(", ")
    kind = first if place in ("early", "middle", "late") else words
    return _FAMILIES.get(kind, kind)


def _colour(codes: list[dict[str, Any]]) -> None:
    """Assign colours to the most frequent kinds of shapes; others are grey."""
    weight: dict[str, float] = defaultdict(float)
    for code in codes:
        # If usage is unknown, kinds are ranked by the number of their codes.
        usage = code["usage"]
        weight[code["kind"]] += usage if np.isfinite(usage) else 1.0
    weight.pop(FLAT, None)
    ranked = sorted(weight, key=lambda kind: -weight[kind])[:_N_COLOURS]
    colours = {kind: colour for colour, kind in enumerate(ranked)}
    for code in codes:
        code["colour"] = colours.get(code["kind"], _N_COLOURS)


def legend(codes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the kind of shape of each colour."""
    kinds: dict[int, set[str]] = defaultdict(set)
    for code in codes:
        kinds[code["colour"]].add(code["kind"])
    return [
        {"colour": colour, "words": "other shapes" if len(of) > 1 else min(of)}
        for colour, of in sorted(kinds.items())
    ]


def by_class(codes: list[dict[str, Any]], labels: list[Any]) -> list[dict[str, Any]]:
    """Order codes by the class that uses them most, then by lift."""
    position = {label: index for index, label in enumerate(labels)}
    return sorted(
        codes, key=lambda code: (position.get(code["class"], 0), -(code["lift"] or 0))
    )


def training_texts(
    estimator: VQTextClassifier | VQTextTransformer,
) -> dict[str, Any] | None:
    """Return the texts used in training, grouped by class if possible."""
    texts = estimator.prompts_
    if texts is None:
        return None
    by_class = _texts_of_classes(estimator)
    # Only the first text of each class is saved. If it differs, the other texts are
    # unknown.
    if by_class and [first for first, *_ in by_class.values()] != list(texts):
        by_class = None
    return {
        "by_class": by_class,
        "texts": texts[:_MAX_TEXTS],
        "n_texts": len(texts),
        "encoder": getattr(estimator.text_encoder, "model", estimator.text_encoder),
    }


def _texts_of_classes(
    estimator: VQTextClassifier | VQTextTransformer,
) -> dict[str, list[str]] | None:
    """Return texts of the classes, or None if training used no class texts."""
    labels = known_labels(estimator)
    if labels is None:
        return None
    names = [str(label) for label in labels]
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


def known_labels(
    estimator: VQTextClassifier | VQTextTransformer,
) -> NDArray[Any] | None:
    """Return the class labels of an estimator, or None if there are no labels."""
    if isinstance(estimator, VQTextClassifier):
        return estimator.classes_
    statistics = estimator.code_statistics_
    return None if statistics is None else statistics.labels


def compare_texts(
    estimator: VQTextClassifier | VQTextTransformer,
    panel: Panel,
    true: NDArray[np.int64] | None,
    prompts: dict[str, Any] | None,
) -> dict[str, Any] | None:
    """Compare the first text of each class with the series and with the other texts."""
    if prompts is None or not prompts["by_class"]:
        return None
    names = list(prompts["by_class"])
    texts = [first for first, *_ in prompts["by_class"].values()]
    try:
        cosines = estimator.similarity(panel, texts)
        encoder = as_text_encoder(estimator.text_encoder, 0)
        between = text_cosines(texts, estimator.text_alignment_, encoder)
    except ValueError:  # the model was trained without text
        return None
    many = len(names) > _MAX_ROOMY
    found: dict[str, Any] = {
        "names": names,
        "many": many,
        "texts": _most_similar(names, between) if many else _cells(names, between),
        "series": None,
        "nearest": None,
    }
    if true is not None:
        there = [i for i in range(len(names)) if (true == i).any()]
        means = np.array([cosines[true == i].mean(axis=0) for i in there])
        if many:
            found["series"] = _own_and_others(names, there, means)
        else:
            found["series"] = _cells([names[i] for i in there], means)
        found["nearest"] = (cosines.argmax(axis=1) == true).mean()
    return found


def _cosine(value: float) -> str:
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}")


def _most_similar(names: list[str], cosines: NDArray[Any]) -> list[dict[str, Any]]:
    first, second = np.triu_indices(len(names), k=1)
    order = np.argsort(-cosines[first, second], kind="stable")[:_N_PAIRS]
    return [
        {"first": names[i], "second": names[j], "cosine": _cosine(cosines[i, j])}
        for i, j in zip(first[order].tolist(), second[order].tolist(), strict=True)
    ]


def _own_and_others(
    names: list[str], there: list[int], cosines: NDArray[Any]
) -> list[dict[str, Any]]:
    """Return mean cosines of series with the text of their class and with other texts.

    Classes whose series are more similar to other texts come first.
    """
    found = []
    for i, row in zip(there, cosines, strict=True):
        others = [j for j in np.argsort(-row, kind="stable").tolist() if j != i]
        found.append(
            {
                "name": names[i],
                "own": _cosine(row[i]),
                "lead": float(row[i] - row[others[0]]),
                "others": [(names[j], _cosine(row[j])) for j in others[:_N_OTHERS]],
            }
        )
    return sorted(found, key=lambda each: each["lead"])


def _cells(names: list[str], values: NDArray[Any]) -> list[dict[str, Any]]:
    """Return rows of cosines, both raw and scaled to the range from 0 to 1."""
    least, most = float(values.min()), float(values.max())
    return [
        {
            "name": name,
            "cells": [
                {
                    "cosine": _cosine(value),
                    "share": (value - least) / ((most - least) or 1.0),
                    "best": value == row.max(),
                }
                for value in row.tolist()
            ],
        }
        for name, row in zip(names, values, strict=True)
    ]


def training_losses(history: list[dict[str, float]]) -> dict[str, Any] | None:
    """List the losses of each epoch and draw their logarithms."""
    if not history:
        return None
    names = {"train_loss": "training", "valid_loss": "validation"}
    shown = [key for key in names if key in history[0]]
    losses = np.array([[epoch[key] for key in shown] for epoch in history])
    logarithms = np.log(np.maximum(losses, 1e-12))
    bounds = limits(logarithms)
    return {
        "curves": {
            names[key]: lines(curve, *bounds)
            for key, curve in zip(shown, logarithms.T, strict=True)
        },
        "low": number(losses.min()),
        "high": number(losses.max()),
        "seconds": sum(epoch.get("dur", 0.0) for epoch in history),
        "epochs": losses.tolist(),
    }
