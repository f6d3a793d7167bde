"""What a report says: numbers, words and drawings for its template."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from sktext_vq._interpret.shape_names import FLAT
from sktext_vq.classifier import VQTextClassifier
from sktext_vq.inspection._drawing import limits, lines
from sktext_vq.panel import Panel
from sktext_vq.text import PromptBank, are_words
from sktext_vq.transformer import VQTextTransformer

_N_COLOURS = 7  # of the palette in the template; one more, grey, is for what is left
_FAMILIES = {"fast wave": "wave", "step up": "rise", "step down": "fall"}
_MAX_TEXTS = 12


@dataclass(frozen=True, eq=False)
class Answers:
    """True labels and what a classifier says, as far as there are any.

    Attributes
    ----------
    labels : list
        Classes of the estimator, and then those that only the series have.
    true : ndarray of shape (n_cases,), optional
        Index of the label of each case.
    probabilities : ndarray of shape (n_cases, n_classes), optional
        Of the classes of the estimator.
    """

    labels: list[Any]
    true: NDArray[np.int64] | None = None
    probabilities: NDArray[np.float64] | None = None

    @property
    def right(self) -> NDArray[np.bool_] | None:
        """Whether each case is put into its class."""
        if self.probabilities is None:
            return None
        return self.probabilities.argmax(axis=1) == self.true


def number(value: float) -> str:
    """Four digits, without an exponent where that is as short."""
    return f"{value:.4g}"


def time(timepoints: float, sampling_rate: float | None) -> str:
    """Timepoints as seconds, if it is known how many make one."""
    if sampling_rate is None:
        return f"{timepoints:g} timepoints"
    return f"{timepoints / sampling_rate:.3g} s"


def span(start: float, stop: float, sampling_rate: float | None) -> str:
    """From where to where, in the units of :func:`time`."""
    first, _ = time(start, sampling_rate).split(" ")
    return f"{first} to {time(stop, sampling_rate)}"


def score(answers: Answers) -> dict[str, Any] | None:
    """Score all cases and each class, and count who is taken for whom."""
    labels, true, probabilities = answers.labels, answers.true, answers.probabilities
    if true is None or probabilities is None:
        return None
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


def draw_codes(estimator: VQTextClassifier | VQTextTransformer) -> list[dict[str, Any]]:
    """Draw and describe each code of the vocabulary."""
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
            # A phrase that is missing is NaN or None, as pandas likes.
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
    """Return what a shape is called but for where it peaks and how steep it is."""
    words = words.removeprefix("slight ")
    first, _, place = words.rpartition(", ")
    kind = first if place in ("early", "middle", "late") else words
    return _FAMILIES.get(kind, kind)


def _colour(codes: list[dict[str, Any]]) -> None:
    """Give the commonest kinds of shapes colours of their own; flat ones are grey."""
    weight: dict[str, float] = defaultdict(float)
    for code in codes:
        # Where usage is unknown, kinds count by their codes.
        usage = code["usage"]
        weight[code["kind"]] += usage if np.isfinite(usage) else 1.0
    weight.pop(FLAT, None)
    ranked = sorted(weight, key=lambda kind: -weight[kind])[:_N_COLOURS]
    colours = {kind: colour for colour, kind in enumerate(ranked)}
    for code in codes:
        code["colour"] = colours.get(code["kind"], _N_COLOURS)


def legend(codes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return colours and the words for them."""
    kinds: dict[int, set[str]] = defaultdict(set)
    for code in codes:
        kinds[code["colour"]].add(code["kind"])
    return [
        {"colour": colour, "words": "other shapes" if len(of) > 1 else min(of)}
        for colour, of in sorted(kinds.items())
    ]


def by_class(codes: list[dict[str, Any]], labels: list[Any]) -> list[dict[str, Any]]:
    """Order codes by the class that they speak for, the clearest first."""
    position = {label: index for index, label in enumerate(labels)}
    return sorted(
        codes, key=lambda code: (position.get(code["class"], 0), -(code["lift"] or 0))
    )


def guiding_texts(
    estimator: VQTextClassifier | VQTextTransformer,
) -> dict[str, Any] | None:
    """Return the texts that guided training, by class if they are about classes."""
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
        "encoder": getattr(estimator.text_encoder, "model", estimator.text_encoder),
    }


def _texts_of_classes(
    estimator: VQTextClassifier | VQTextTransformer,
) -> dict[str, list[str]] | None:
    """Return texts of the classes, if their names or own texts allow it."""
    if estimator._labels is None:
        return None
    names = [str(label) for label in estimator._labels]
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


def compare_texts(
    estimator: VQTextClassifier | VQTextTransformer,
    panel: Panel,
    true: NDArray[np.int64] | None,
    prompts: dict[str, Any] | None,
) -> dict[str, Any] | None:
    """Compare the first text of each class with series, and with each other."""
    if prompts is None or not prompts["by_class"]:
        return None
    names = list(prompts["by_class"])
    texts = [first for first, *_ in prompts["by_class"].values()]
    try:
        places, _ = estimator._read(texts, {"text"})
        cosines = estimator.similarity(panel, texts)
    except ValueError:  # some weights of losses leave texts without a place
        return None
    found: dict[str, Any] = {
        "names": names,
        "texts": _cells(names, (places @ places.T).numpy()),
        "series": None,
        "nearest": None,
    }
    if true is not None:
        there = [i for i in range(len(names)) if (true == i).any()]
        means = np.array([cosines[true == i].mean(axis=0) for i in there])
        found["series"] = _cells([names[i] for i in there], means)
        found["nearest"] = (cosines.argmax(axis=1) == true).mean()
    return found


def _cells(names: list[str], values: NDArray[Any]) -> list[dict[str, Any]]:
    """Return rows of cosines, each with where it is between the least and the most."""
    least, most = float(values.min()), float(values.max())
    return [
        {
            "name": name,
            "cells": [
                {
                    "cosine": f"{value:.2f}".replace("-", "\N{MINUS SIGN}"),
                    "share": (value - least) / ((most - least) or 1.0),
                    "best": value == row.max(),
                }
                for value in row.tolist()
            ],
        }
        for name, row in zip(names, values, strict=True)
    ]


def training_losses(history: list[dict[str, float]]) -> dict[str, Any] | None:
    """List the losses of each epoch, and draw their logarithms."""
    if not history:
        return None
    names = {"train_loss": "training", "valid_loss": "held-out"}
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
