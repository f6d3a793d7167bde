"""Statistics of the series in a report, and warnings about the series."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sktext_vq.classifier import VQTextClassifier
from sktext_vq.inspection._content import Answers, number, time
from sktext_vq.panel import Panel
from sktext_vq.transformer import VQTextTransformer

_UNBALANCED = 3  # ratio of cases of the largest class to those of the smallest
_FEW = 5  # classes with fewer cases cause a warning
_NAMED = 5  # maximum number of names in a list


def describe_data(
    estimator: VQTextClassifier | VQTextTransformer, panel: Panel, answers: Answers
) -> dict[str, Any]:
    """Summarise the series, in total, by channel and by class."""
    rate = estimator.sampling_rate
    low, high = int(panel.lengths.min()), int(panel.lengths.max())
    lasting = time(high, rate)
    if rate is not None and low < high:
        lasting = f"{time(low, rate)} to {lasting}"
    channels = []
    n_inside, n_missing = int(panel.lengths.sum()), 0
    for index, name in enumerate(estimator.channel_names_):
        values = panel.values[:, index]
        finite = values[np.isfinite(values)].astype(np.float64)
        n_missing += n_inside - len(finite)
        channels.append(
            {
                "name": name,
                "low": number(finite.min()),
                "middle": number(np.median(finite)),
                "high": number(finite.max()),
                "missing": 1 - len(finite) / n_inside,
            }
        )
    return {
        "n_cases": panel.n_cases,
        "n_channels": panel.n_channels,
        "length": f"{low}" if low == high else f"{low} to {high}",
        "rate": rate,
        "lasting": None if rate is None else lasting,
        "missing": n_missing / (n_inside * panel.n_channels),
        "channels": channels,
        "classes": _count(answers),
    }


def _count(answers: Answers) -> list[dict[str, Any]]:
    if answers.true is None:
        return []
    counts = np.bincount(answers.true, minlength=len(answers.labels))
    return [
        {"label": label, "count": int(count), "share": count / len(answers.true)}
        for label, count in zip(answers.labels, counts, strict=True)
    ]


def find_warnings(
    names: Sequence[str],
    panel: Panel,
    training: Panel | None,
    classes: list[dict[str, Any]],
    true: NDArray[np.int64] | None,
    case_names: Sequence[str],
) -> list[str]:
    """Return warnings that concern scores and explanations.

    `classes` contains the ``label`` and ``count`` of each class, and `true` contains
    the class index of each case.
    """
    prints = _fingerprints(panel)
    return [
        *_balance(classes),
        *_repeated(prints, true, case_names),
        *(
            []
            if training is None
            else _seen(prints, set(_fingerprints(training)), case_names)
        ),
        *_constant(names, panel),
        *_missing(names, panel),
    ]


def _balance(classes: list[dict[str, Any]]) -> list[str]:
    there = [each for each in classes if each["count"]]
    absent = [each["label"] for each in classes if not each["count"]]
    found = []
    if absent:
        found.append(f"There are no series of class {_list(absent)}.")
    if not there:
        return found
    most, least = (pick(there, key=lambda each: each["count"]) for pick in (max, min))
    if most["count"] >= _UNBALANCED * least["count"]:
        found.append(
            f"Classes are imbalanced: there are {most['count']} series of "
            f"{most['label']} and {least['count']} of {least['label']}. Use per-class "
            "scores or balanced accuracy instead of accuracy."
        )
    few = [each["label"] for each in there if each["count"] < _FEW]
    if few:
        found.append(
            f"There are fewer than {_FEW} series of {_list(few)}, so scores are "
            "imprecise."
        )
    return found


def _fingerprints(panel: Panel) -> list[bytes]:
    """Return digests that are equal for series with equal values."""
    # Single precision, since values may have been written to a file and read. Adding
    # 0 converts -0 to 0.
    return [
        blake2b(
            (values[:, :length].astype(np.float32) + np.float32(0)).tobytes()
        ).digest()
        for values, length in zip(panel.values, panel.lengths, strict=True)
    ]


def _repeated(
    prints: list[bytes], true: NDArray[np.int64] | None, case_names: Sequence[str]
) -> list[str]:
    cases = defaultdict(list)
    for case, digest in enumerate(prints):
        cases[digest].append(case)
    groups = [each for each in cases.values() if len(each) > 1]
    if not groups:
        return []
    n_extra = sum(len(each) - 1 for each in groups)

    def listed(groups: list[list[int]]) -> str:
        named = ([case_names[case] for case in each] for each in groups)
        return _list("cases " + " and ".join(each) for each in named)

    found = [
        f"{n_extra} of {len(prints)} series {'is a' if n_extra == 1 else 'are'} "
        f"duplicate{'' if n_extra == 1 else 's'}: {listed(groups)}. Scores include all "
        "duplicates."
    ]
    if true is not None:
        at_odds = [each for each in groups if len(set(true[each].tolist())) > 1]
        if at_odds:
            found.append(
                f"Identical series have different labels: {listed(at_odds)}. At least "
                "one of their predictions is wrong."
            )
    return found


def _seen(
    prints: list[bytes], known: set[bytes], case_names: Sequence[str]
) -> list[str]:
    cases = [
        name for name, digest in zip(case_names, prints, strict=True) if digest in known
    ]
    if not cases:
        return []
    return [
        f"{len(cases)} of {len(prints)} series {'was' if len(cases) == 1 else 'were'} "
        f"used in training: cases {_list(cases)}. Scores may overestimate the "
        "performance on new series."
    ]


def _constant(names: Sequence[str], panel: Panel) -> list[str]:
    flat = np.nanmin(panel.values, axis=2) == np.nanmax(panel.values, axis=2)
    always = flat.all(axis=0)
    found = []
    if always.any():
        which = _list(name for name, each in zip(names, always, strict=True) if each)
        found.append(f"Channels that are constant in every series: {which}.")
    sometimes = [
        f"{name} ({n} of {panel.n_cases})"
        for name, n, each in zip(names, flat.sum(axis=0), always, strict=True)
        if n and not each
    ]
    if sometimes:
        found.append(f"Channels that are constant in some series: {_list(sometimes)}.")
    return found


def _missing(names: Sequence[str], panel: Panel) -> list[str]:
    n_inside = int(panel.lengths.sum())
    shares = 1 - np.isfinite(panel.values).sum(axis=(0, 2)) / n_inside
    if not shares.any():
        return []
    worst = int(shares.argmax())
    return [
        f"{100 * shares.mean():.2g} % of all values are missing, most of them in "
        f"channel {names[worst]} ({100 * shares[worst]:.2g} %). Gaps are interpolated "
        "linearly, and windows in which more than half of the values are missing are "
        "not counted."
    ]


def _list(items: Iterable[Any]) -> str:
    """Join the first few names and append the number of remaining names."""
    names = list(map(str, items))
    shown = ", ".join(names[:_NAMED])
    more = len(names) - _NAMED
    return f"{shown} and {more} more" if more > 0 else shown
