"""Joining of the recordings of several files, and metadata in their paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sktext_vq._io.forms import plain_column
from sktext_vq._io.recordings import Recordings
from sktext_vq._utils.validation import format_names


def concatenate(parts: Sequence[Recordings]) -> Recordings:
    """Join the recordings of several files or tables."""
    first = parts[0]
    for part in parts[1:]:
        if sorted(part.channel_names) != sorted(first.channel_names):
            raise ValueError(
                f"Recording {part.names[0]!r} has channels "
                f"{format_names(part.channel_names)}, but {first.names[0]!r} has "
                f"{format_names(first.channel_names)}. Ignore columns that not all "
                "recordings have (ignore_columns)."
            )
        for name in ("time_unit", "labels", "subjects"):
            if (getattr(part, name) is None) != (getattr(first, name) is None):
                with_it, without = (
                    (part, first) if getattr(first, name) is None else (first, part)
                )
                raise ValueError(
                    f"Recording {with_it.names[0]!r} has {_KNOWN[name]}, but "
                    f"{without.names[0]!r} has not."
                )
    values, times, labels = [], [], []
    unit = first.time_unit
    for part in parts:
        order = [part.channel_names.index(name) for name in first.channel_names]
        is_same = order == sorted(order)
        values += part.values if is_same else [each[order] for each in part.values]
        if part.time_unit != unit and unit is not None:
            times += [_convert(each, part.time_unit, unit) for each in part.times]
        else:
            times += part.times
        labels += part.labels or []
    subjects = None
    if first.subjects is not None:
        subjects = _one_kind(
            [name for part in parts for name in cast(Any, part.subjects)]
        )
    return Recordings(
        values,
        times,
        first.channel_names,
        unit,
        [name for part in parts for name in part.names],
        None if first.labels is None else _one_kind_of_labels(labels),
        subjects,
    )


_KNOWN = {"time_unit": "times in a known unit", "labels": "labels"}
_KNOWN["subjects"] = "subjects"


def with_metadata(part: Recordings, fields: dict[str, str]) -> Recordings:
    """Return recordings with metadata from the path of their file."""
    changes: dict[str, Any] = {}
    if "label" in fields:
        changes["labels"] = [
            pd.Categorical([fields["label"]] * len(times)) for times in part.times
        ]
    if "subject" in fields:
        changes["subjects"] = np.array([fields["subject"]] * len(part))
    if "recording" in fields:
        changes["names"] = [fields["recording"]] * len(part)
    return replace(part, **changes)


def _one_kind(values: Sequence[Any]) -> NDArray[Any]:
    """Return integers if all values are integers in canonical form, otherwise text."""
    return plain_column(pd.Series([str(value) for value in values]), is_text=True)


def _one_kind_of_labels(labels: list[pd.Categorical]) -> list[pd.Categorical]:
    """Return labels as integers if all are canonical integers, otherwise as text."""
    names = list(dict.fromkeys(name for each in labels for name in each.categories))
    if not names:
        return labels
    found = dict(zip(names, _one_kind(names).tolist(), strict=True))
    return [
        pd.Categorical.from_codes(each.codes, [found[name] for name in each.categories])
        for each in labels
    ]


def _convert(times: NDArray[Any], unit: float | None, to: float) -> NDArray[Any]:
    if times.dtype.kind in "mM":
        return times.astype(f"{times.dtype.kind}8[ns]")
    return cast(NDArray[Any], times * ((unit or 1.0) / to))
