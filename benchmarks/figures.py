"""Figures of the suite: ranks, accuracy beside the baseline, and accuracy by time."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.estimators import BASELINE, OURS
from benchmarks.store import log

_PACKAGES = ("matplotlib", "scikit_posthocs")
_NO_DATE: Any = {"Date": None}
_OUR_COLOR, _BASE_COLOR, _OTHER_COLOR = "#0072b2", "#d55e00", "#666666"
# Texts stay texts, and files are the same each time.
_STYLE: Any = {"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "suite"}


def draw(
    by_set: pd.DataFrame, p: pd.DataFrame, seconds: pd.Series, folder: Path
) -> list[tuple[str, Path]]:
    """Draw what the suite found."""
    lacking = [name for name in _PACKAGES if not find_spec(name)]
    if lacking:
        log(f"No figures without {' and '.join(lacking)}.")
        return []
    import matplotlib.pyplot as plt

    found = []
    with plt.rc_context(_STYLE):
        for name, what, figure in (
            ("ranks", "Average ranks", ranks(by_set, p)),
            ("sets", f"Accuracy of each set beside {BASELINE}", beside(by_set)),
            ("seconds", "Accuracy by seconds", by_seconds(by_set, seconds)),
        ):
            if figure is None:
                continue
            path = folder / f"official-parts-{name}.svg"
            folder.mkdir(exist_ok=True)
            figure.savefig(path, bbox_inches="tight", pad_inches=0.2, metadata=_NO_DATE)
            plt.close(figure)
            found.append((what, path))
    return found


def color(name: str) -> str:
    """Return the colour of an estimator: ours, the baseline, and all others."""
    if name in OURS:
        return _OUR_COLOR
    return _BASE_COLOR if name == BASELINE else _OTHER_COLOR


def ranks(by_set: pd.DataFrame, p: pd.DataFrame) -> Any:
    """Draw average ranks, with bars that join what no test tells apart."""
    import matplotlib.pyplot as plt
    from scikit_posthocs import critical_difference_diagram

    figure, axes = plt.subplots(figsize=(7, 1 + 0.2 * by_set.shape[1]))
    critical_difference_diagram(
        by_set.rank(axis=1, ascending=False).mean(),
        p,
        ax=axes,
        label_fmt_left="{label} ({rank:.2f}) ",
        label_fmt_right=" ({rank:.2f}) {label}",
        color_palette={name: color(name) for name in by_set},
        crossbar_props={"marker": "."},
        text_h_margin=0.02 * by_set.shape[1],
    )
    return figure


def beside(by_set: pd.DataFrame) -> Any:
    """Draw each of our estimators against the baseline, a point per set."""
    import matplotlib.pyplot as plt

    names = [name for name in OURS if name in by_set]
    if not names or BASELINE not in by_set:
        return None
    least = by_set[[*names, BASELINE]].to_numpy().min()
    limits = (least - 0.02, 1.01)
    figure, panels = plt.subplots(
        1,
        len(names),
        figsize=(2.6 * len(names), 2.8),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for name, axes in zip(names, panels[0], strict=True):
        axes.axline((0, 0), slope=1, color="#cccccc", linewidth=1, zorder=0)
        axes.scatter(by_set[BASELINE], by_set[name], s=14, color=color(name))
        axes.set(title=name, xlabel=BASELINE, xlim=limits, ylim=limits, aspect="equal")
    panels[0, 0].set_ylabel("accuracy")
    return figure


def by_seconds(by_set: pd.DataFrame, seconds: pd.Series) -> Any:
    """Draw mean accuracies by seconds; names stand beside in the same order."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogFormatter

    means = by_set.mean().sort_values()
    figure, axes = plt.subplots(figsize=(6, 1.5 + 0.25 * len(means)))
    heights = np.linspace(0.02, 0.98, len(means))
    for height, (name, mean) in zip(heights, means.items(), strict=True):
        axes.scatter(seconds[name], mean, s=20, color=color(name), zorder=3)
        axes.annotate(
            name,
            (seconds[name], mean),
            (1.05, height),
            textcoords="axes fraction",
            va="center",
            color=color(name),
            arrowprops={"arrowstyle": "-", "color": color(name), "linewidth": 0.5},
        )
    axes.set(xscale="log", xlabel="seconds of fit and prediction, all sets")
    axes.set_ylabel("mean accuracy")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(LogFormatter())  # labels axes within a factor of 10
    return figure
