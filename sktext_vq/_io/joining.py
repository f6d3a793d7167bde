"""Functions to join recordings from several files and to add metadata from paths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sktext_vq._io.forms import plain_column
from sktext_vq._io.recordings import Recordings
from sktext_vq._io.times import UNITS
from sktext_vq._utils.validation import format_names


def concatenate(
    parts: Sequence[Recordings], sources: Sequence[str] | None
) -> Recordings:
    """Join recordings from several sources.

    If `sources` contains the names of the sources, they are added to the names of
    recordings that occur in several sources.
    """
    first = parts[0]
    for part in parts[1:]:
        _check_equal_kind(part, first)
    values: list[Any] = []
    times: list[Any] = []
    # The finest unit of all dates or durations, so that no time is rounded.
    unit, dtype = first.time_unit, np.result_type(*(part.times[0] for part in parts))
    if dtype.kind in "mM":
        unit = UNITS[np.datetime_data(dtype)[0]]
    for part in parts:
        order = [part.channel_names.index(name) for name in first.channel_names]
        is_same = order == sorted(order)
        values += part.values if is_same else [each[order] for each in part.values]
        if dtype.kind in "mM":
            times += [each.astype(dtype) for each in part.times]
        elif part.time_unit is None or unit is None or part.time_unit == unit:
            times += part.times
        else:
            times += [each * (part.time_unit / unit) for each in part.times]
    labels = subjects = None
    if first.labels is not None:
        labels = _one_kind_of_labels(
            [each for part in parts for each in part.labels or []]
        )
    if first.subjects is not None:
        subjects = _one_kind(
            [each for part in parts for each in cast(Any, part.subjects)]
        )
    return Recordings(
        values,
        times,
        first.channel_names,
        unit,
        _distinct_names(parts, sources),
        labels,
        subjects,
    )


def _distinct_names(
    parts: Sequence[Recordings], sources: Sequence[str] | None
) -> list[str]:
    if sources is None:
        return [name for part in parts for name in part.names]
    counts = Counter(name for part in parts for name in set(part.names))
    names = []
    for part, source in zip(parts, sources, strict=True):
        for name in part.names:
            # The file of a recording may have the same name, without its extension.
            is_same = source.rpartition("/")[2] == name or source.startswith(f"{name}.")
            longer = source if is_same else f"{source}/{name}"
            names.append(longer if counts[name] > 1 else name)
    return names


def _check_equal_kind(part: Recordings, first: Recordings) -> None:
    """Check that two recordings have the same channels, metadata and type of times."""
    if sorted(part.channel_names) != sorted(first.channel_names):
        raise ValueError(
            f"Recording {part.names[0]!r} has channels "
            f"{format_names(part.channel_names)}, but {first.names[0]!r} has "
            f"{format_names(first.channel_names)}. Ignore channels that are not in "
            "all recordings (ignore_columns)."
        )
    for name, what in _KNOWN.items():
        known = [each for each in (part, first) if getattr(each, name) is not None]
        if len(known) == 1:
            other = first if known[0] is part else part
            raise ValueError(
                f"Recording {known[0].names[0]!r} has {what}, but "
                f"{other.names[0]!r} does not."
            )
    kinds = [_KINDS.get(each.times[0].dtype.kind) for each in (part, first)]
    if kinds[0] != kinds[1]:
        raise ValueError(
            f"The times of recording {part.names[0]!r} are {kinds[0] or 'numbers'}, "
            f"but those of {first.names[0]!r} are {kinds[1] or 'numbers'}. Convert all "
            "times to the same type."
        )


_KINDS = {"M": "dates", "m": "durations"}
_KNOWN = {
    "time_unit": "times in a known unit",
    "labels": "labels",
    "subjects": "subjects",
}


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
    """Convert values to integers if possible without loss, otherwise to text."""
    return plain_column(pd.Series([str(value) for value in values]), is_text=True)


def _one_kind_of_labels(labels: list[pd.Categorical]) -> list[pd.Categorical]:
    """Convert labels to integers if possible without loss, otherwise to text."""
    names = list(dict.fromkeys(name for each in labels for name in each.categories))
    if not names:
        return labels
    found = dict(zip(names, _one_kind(names).tolist(), strict=True))
    return [
        pd.Categorical.from_codes(each.codes, [found[name] for name in each.categories])
        for each in labels
    ]
