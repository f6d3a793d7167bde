"""HTML page about recordings that were labelled by a base model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from sktext_vq._utils.files import replace_file
from sktext_vq._version import __version__
from sktext_vq.inspection._drawing import limits, lines
from sktext_vq.inspection.report import fill_template, read_part
from sktext_vq.wearables import CHANNELS, harmonise

_MOST_DRAWN, _MOST_ROWS = 30, 200
_N_COLOURS = 7
_UNITS = {"acc": "g", "gyro": "rad/s"}


def describe_recordings(
    base: Any,
    recordings: Any,
    segments: pd.DataFrame,
    names: Sequence[str],
    labels: Sequence[str],
) -> list[dict[str, Any]]:
    """Draw recordings with their segments and find reasons for the labels.

    `labels` contains `names` and the label of unknown activities, if there is one.
    Returns the variables of the template for each recording.
    """
    reasons = _reasons(base, recordings, segments, names)
    colours = {label: i % _N_COLOURS for i, label in enumerate(labels)}
    no_reason = {"second": "", "like": ""}
    found = []
    for i, own in segments.groupby("recording", sort=False):
        at = recordings.names.index(i)
        values = recordings.values[at][:3]
        bounds = np.searchsorted(recordings.times[at], own[["start", "end"]])
        shares = 100 * bounds / values.shape[1]
        rows = []
        for (left, right), row in zip(
            shares, own.to_dict("index").items(), strict=True
        ):
            index, entry = row
            colour = colours.get(entry["label"], _N_COLOURS)
            where = {"left": left, "width": right - left, "colour": colour}
            times = {name: _format_time(entry[name]) for name in ("start", "end")}
            reason = reasons.get(index, no_reason)
            rows.append({**entry, **times, **where, **reason})
        found.append(
            {
                "name": i,
                "lines": [lines(channel, *limits(values)) for channel in values],
                "segments": rows,
                "shown": rows[:_MOST_ROWS],
            }
        )
    return found


def _reasons(
    base: Any, recordings: Any, segments: pd.DataFrame, names: Sequence[str]
) -> dict[int, dict[str, Any]]:
    """Compare the central window of each segment with known classes."""
    windows, rows = [], []
    for name, own in segments.dropna(subset="label").groupby("recording", sort=False):
        at = recordings.names.index(name)
        bounds = np.searchsorted(recordings.times[at], own[["start", "end"]])
        for index, (first, last) in zip(own.index, bounds, strict=True):
            values = recordings.values[at][:, first:last]
            if (~np.isnan(values[:3]).any(axis=0)).sum() < 2:  # no acceleration
                continue
            rows.append(index)
            window = harmonise(
                values[None],
                channel_names=CHANNELS,
                sampling_rate=recordings.rates[at],
                units=_UNITS,
            )
            windows.append(np.asarray(window)[0])
    if not windows:
        return {}
    table = base.explain_zero_shot(windows, list(names))
    # The central window may have another label than its segment.
    is_same = table["label"].to_numpy() == segments.loc[rows, "label"].to_numpy()
    table["second"] = table["second"].where(is_same, table["label"])
    return dict(zip(rows, table[["second", "like"]].to_dict("records"), strict=True))


def write_label_page(
    recordings: list[dict[str, Any]],
    notes: Sequence[str],
    labels: Sequence[str],
    card: dict[str, Any],
    path: str | os.PathLike[str],
) -> Path:
    """Write a page about recordings from `describe_recordings`."""
    page = fill_template(
        "labels.html",
        version=__version__,
        style=Markup(read_part("report.css")),
        recordings=recordings[:_MOST_DRAWN],
        n_hidden=max(len(recordings) - _MOST_DRAWN, 0),
        notes=list(dict.fromkeys(notes)),
        legend=[(label, i % _N_COLOURS) for i, label in enumerate(labels)],
        limits=card.get("limits", []),
    )
    return replace_file(Path(path), page.encode("utf-8", "replace"))


def _format_time(time: Any) -> str:
    if isinstance(time, pd.Timestamp):
        return time.isoformat(sep=" ", timespec="milliseconds")
    return str(time)
