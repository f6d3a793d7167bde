"""Table of codes, and names of codes and features."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from sktext_vq._features.extractor import Execution, FeatureExtractor
from sktext_vq._interpret.code_statistics import MIN_CONFIDENCE, CodeStatistics
from sktext_vq._interpret.shape_names import shape_words
from sktext_vq.nn.constants import LEVEL_BINS, MATCH_QUANTILES, SCALE_BINS
from sktext_vq.nn.layout import HISTOGRAMS, MATCHES
from sktext_vq.nn.usage import share_of_codes
from sktext_vq.panel import Panel

_STATISTICS = (
    "mean",
    "deviation",
    "minimum",
    "lower sixth",
    "lower third",
    "median",
    "upper third",
    "upper sixth",
    "maximum",
)
_SUMMARIES = [
    f"{name} of {kind}" for kind in ("levels", "scales") for name in _STATISTICS
]
_VIEWS = ("", " change")
# Characters that LightGBM and XGBoost do not support in feature names, and "|", which
# separates the parts of a name.
_SPECIAL = re.compile(r'[\s:,|"<>{}\[\]]+')


def feature_names(
    extractor: FeatureExtractor, sampling_rate: float | None
) -> NDArray[Any]:
    """Return the names of the selected features; see `get_feature_names_out`."""
    layout = extractor.layout
    rows = [f"level {i + 1} of {LEVEL_BINS}" for i in range(LEVEL_BINS)]
    rows += [f"scale {i + 1} of {SCALE_BINS}" for i in range(SCALE_BINS)]
    rows += ["best match"]
    matches = [f"matches in the top {1 - share:.0%}" for share in MATCH_QUANTILES]
    items = {
        HISTOGRAMS: [
            f"code {k} | {row}" for row in rows for k in range(layout.n_codes)
        ],
        MATCHES: [
            f"code {k} | {row}" for row in matches for k in range(layout.n_codes)
        ],
    }
    channels = _unique(
        [f"{name}{view}" for name in extractor.channels for view in _VIEWS]
    )
    durations = _durations(layout.lengths, sampling_rate)
    assert extractor.selected is not None
    return np.array(
        [
            f"{channels[channel * len(_VIEWS) + view]} | "
            f"{items.get(kind, _SUMMARIES)[item]} | {durations[length]}"
            for kind, channel, view, length, item in zip(
                *layout.locate(extractor.selected), strict=True
            )
        ],
        dtype=object,
    )


def code_shares(
    panel: Panel, extractor: FeatureExtractor, execution: Execution
) -> NDArray[np.float64]:
    """Return the share of each code in the windows of series; rows sum to 1."""
    shares = np.empty((panel.n_cases, extractor.layout.n_codes))
    for where, features in extractor.batches(panel, execution, "codes"):
        usage = extractor.tokenizer.usage(torch.from_numpy(features)).flatten(3)
        shares[where] = share_of_codes(usage.double()).numpy()
    return shares


def describe_codes(
    statistics: CodeStatistics | None, extractor: FeatureExtractor
) -> pd.DataFrame:
    """Return a table of the codes; see `BaseVQText.describe_codes`."""
    if statistics is None:
        raise ValueError(
            "This model was saved by an early version of sktext_vq, which did not "
            "store code statistics. Fit the model again to describe the codes."
        )
    layout, channels = extractor.layout, extractor.channels
    channel = statistics.channel_lift.argmax(axis=0)
    length = statistics.length_lift.argmax(axis=0)
    words = zip(
        statistics.strength(),
        statistics.pace(),
        statistics.channel_words(channels),
        strict=True,
    )
    table = pd.DataFrame(
        {
            "shape": [shape_words(shape) for shape in extractor.codes],
            "attributes": [
                ", ".join(filter(None, [strength, pace, place and f"in {place}"]))
                for strength, pace, place in words
            ],
            "usage": statistics.by_code / statistics.by_code.sum(),
            "channel": np.array(channels)[channel],
            "length": np.array(layout.lengths)[length],
        },
        index=pd.RangeIndex(layout.n_codes, name="code"),
    )
    labels = statistics.labels
    if labels is not None and statistics.separation is not None:
        lift = statistics.class_lift
        best = lift.argmax(axis=0)
        table["class"], table["lift"] = labels[best], lift.max(axis=0)
        _add_names(table, labels, best, statistics.separation, MIN_CONFIDENCE)
    return table


def name_codes_by_text(
    table: pd.DataFrame, texts: Sequence[str], shares: NDArray[np.float64]
) -> None:
    """Name each code after the text with its largest share, in place."""
    if len(shares) < 2:
        raise ValueError("texts must contain at least two phrases.")
    shares = shares / np.maximum(shares.sum(axis=0), 1e-12)
    best, confidence = shares.argmax(axis=0), shares.max(axis=0)
    _add_names(table, texts, best, confidence, 2 / len(shares))


def _add_names(
    table: pd.DataFrame,
    names: Sequence[Any] | NDArray[Any],
    best: NDArray[np.intp],
    confidence: NDArray[np.float64],
    min_confidence: float,
) -> None:
    """Add names with sufficient confidence to a table of codes."""
    table["phrase"] = [
        str(names[i]) if value >= min_confidence else None
        for i, value in zip(best, confidence, strict=True)
    ]
    table["confidence"] = confidence


def _unique(names: Sequence[str]) -> list[str]:
    """Replace special characters with spaces and add numbers to repeated names."""
    found: dict[str, None] = {}
    for name in names:
        plain = _SPECIAL.sub(" ", name).strip() or "channel"
        number, own = 1, plain
        while own in found:
            number += 1
            own = f"{plain} {number}"
        found[own] = None
    return list(found)


def _durations(lengths: Sequence[int], sampling_rate: float | None) -> list[str]:
    """Format window lengths with enough digits to make the strings unique."""
    if sampling_rate is None:
        return [f"{length} timepoints" for length in lengths]
    for digits in range(3, 18):
        found = [f"{length / sampling_rate:.{digits}g} s" for length in lengths]
        if len(set(found)) == len(found):
            break
    return found
