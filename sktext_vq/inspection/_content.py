"""What a report says: numbers, words and drawings for its template."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from sktext_vq.classifier import VQTextClassifier
from sktext_vq.inspection._drawing import limits, lines
from sktext_vq.panel import Panel
from sktext_vq.text import PromptBank, are_words

_N_COLOURS = 7  # of the palette in the template; one more, grey, is for what is left
_FAMILIES = {"fast wave": "wave", "step up": "rise", "step down": "fall"}
_MAX_CHANNELS = 32  # drawn of one series
_OPEN_CHANNELS = 3  # seen without a click
_MAX_TEXTS = 12


def _number(value: float) -> str:
    """Four digits, without an exponent where that is as short."""
    return f"{value:.4g}"


def _time(timepoints: float, sampling_rate: float | None) -> str:
    """Timepoints as seconds, if it is known how many make one."""
    if sampling_rate is None:
        return f"{timepoints:g} timepoints"
    return f"{timepoints / sampling_rate:.3g} s"


def describe_data(estimator: VQTextClassifier, panel: Panel) -> dict[str, Any]:
    """Measure the series, over all and by channel."""
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


def score(
    labels: list[Any], true: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> dict[str, Any]:
    """Score all cases and each class, and count who is taken for whom."""
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


def draw_codes(estimator: VQTextClassifier) -> list[dict[str, Any]]:
    """Draw and describe each code of the vocabulary."""
    shapes = np.asarray(estimator.shapes_, dtype=np.float64)
    table = estimator.describe_codes()
    most = max(float(np.abs(shapes).max()), 1e-9)  # one scale for all drawings
    codes = []
    for code, shape in enumerate(shapes):
        row = table.loc[code].to_dict()
        words = str(row.get("shape", ""))
        facts = []
        if _known(row.get("lift")):
            facts.append(f"{row['lift']:.2g} times the average")
        if _known(row.get("usage")):
            facts.append(f"{100 * row['usage']:.2g} % of windows")
        if _known(row.get("channel")):
            place = f"most in {row['channel']}"
            if _known(row.get("length")):
                place += f", {_time(row['length'], estimator.sampling_rate)}"
            facts.append(place)
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
    """Return what a shape is called but for where it peaks and how steep it is."""
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
    weight.pop("flat", None)
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


def group_codes(codes: list[dict[str, Any]], labels: list[Any]) -> list[dict[str, Any]]:
    """List codes under the class that they speak for, the clearest first."""
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


def choose_cases(
    true: NDArray[np.int64], probabilities: NDArray[np.float64], n_examples: int
) -> list[int]:
    """Take the surest mistakes, up to a half, and right cases of classes in turn."""
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


def draw_case(
    estimator: VQTextClassifier,
    panel: Panel,
    labels: list[Any],
    label: Any,
    probabilities: NDArray[np.float64],
    codes: list[dict[str, Any]],
    case: int,
) -> dict[str, Any]:
    """Draw each channel of a case as a line with its tokens, and say what it is."""
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
    likely = [i for i in order if i == order[0] or probabilities[case, i] >= 0.005]
    return {
        "case": case,
        "label": label,
        "right": label == labels[order[0]],
        "likely": [
            {"label": labels[i], "probability": probabilities[case, i]} for i in likely
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


def guiding_texts(estimator: VQTextClassifier) -> dict[str, Any] | None:
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


def _texts_of_classes(estimator: VQTextClassifier) -> dict[str, list[str]] | None:
    """Return texts of the classes, if their names or own texts allow it."""
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
        "low": _number(losses.min()),
        "high": _number(losses.max()),
        "seconds": sum(epoch.get("dur", 0.0) for epoch in history),
        "epochs": losses.tolist(),
    }
