"""Figure of the suite: average ranks."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.estimators import BASELINE, OURS
from benchmarks.store import log

_PACKAGES = ("matplotlib", "scikit_posthocs")
_NO_DATE: Any = {"Date": None}
# Text is stored as text, and files are reproducible.
_STYLE: Any = {"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "suite"}


def draw_ranks(by_set: pd.DataFrame, p: pd.DataFrame, path: Path) -> bool:
    """Draw average ranks, with bars that join estimators that do not differ.

    Returns False if a required package is missing.
    """
    lacking = [name for name in _PACKAGES if not find_spec(name)]
    if lacking:
        log(f"No figure without {' and '.join(lacking)}.")
        return False
    import matplotlib.pyplot as plt
    from scikit_posthocs import critical_difference_diagram

    colours = dict.fromkeys(by_set, "#666666") | {BASELINE: "#d55e00"}
    colours |= dict.fromkeys(OURS, "#0072b2")
    with plt.rc_context(_STYLE):
        figure, axes = plt.subplots(figsize=(7, 1 + 0.2 * by_set.shape[1]))
        critical_difference_diagram(
            by_set.rank(axis=1, ascending=False).mean(),
            p,
            ax=axes,
            label_fmt_left="{label} ({rank:.2f}) ",
            label_fmt_right=" ({rank:.2f}) {label}",
            color_palette={name: colours[name] for name in by_set},
            crossbar_props={"marker": "."},
            text_h_margin=0.02 * by_set.shape[1],
        )
        path.parent.mkdir(exist_ok=True)
        figure.savefig(path, bbox_inches="tight", pad_inches=0.2, metadata=_NO_DATE)
        plt.close(figure)
    return True
