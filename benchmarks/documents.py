"""Tables of README and docs, written from the CSV files in results."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from cost import COMPARED
from estimators import BASELINE
from protocol import RESULTS, SMALL_SETS
from report import (
    ablation_table,
    compared,
    crossmodal_table,
    damage_table,
    drift_table,
    faithfulness_table,
    gaps_table,
    markdown,
    means_by_seed,
    naming_table,
    pretrain_table,
    search_table,
    shift_table,
    spread,
    suite_files,
    zero_shot_table,
)

ROOT = Path(__file__).parents[1]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
NAMES = {
    "minirocket": "MiniRocket + ridge",
    "minirocket-calibrated": "MiniRocket + ridge, calibrated",
    "closed-form": "token histogram + ridge",
    "classifier-closed": "`VQTextClassifier(max_epochs=0)`",
    "classifier": "`VQTextClassifier()`",
    "classifier-named": "`VQTextClassifier(channel_names=..., sampling_rate=...)`",
    "multirocket": "MultiRocket + ridge",
    "multirocket-hydra": "MultiRocket-Hydra",
    "hydra": "Hydra",
    "quant": "QUANT",
    "rdst": "RDST",
    "weasel2": "WEASEL 2.0",
    "weasel": "WEASEL / MUSE",
    "catch22": "Catch22",
    "tsf": "time series forest",
    "dtw": "1-NN DTW",
}


def accuracy(results: Path) -> str:
    """Mean accuracy over the small sets, official parts, of all that were run there."""
    frame = pd.concat(map(pd.read_csv, suite_files(results)))
    frame = frame[(frame["split"] == 0) & frame["set"].isin(SMALL_SETS)]
    frame = frame[frame["status"] == "done"]
    scores = ["accuracy", "calibration_error"]
    means = frame.groupby(["estimator", "set"])[scores].mean()
    base = means.loc[BASELINE]["accuracy"]
    rows = []
    for name, own in frame.groupby("estimator"):
        by_set, seeds = means.loc[name], means_by_seed(own)
        versus = ["", ""]
        if name != BASELINE:
            versus = compared(by_set["accuracy"], base)
        rows.append(
            [
                NAMES.get(name, name),
                f"{len(by_set)}, {len(seeds)}",
                spread(by_set["accuracy"].mean(), seeds.std()),
                *versus,
                spread(by_set["calibration_error"].mean(), np.nan),
            ]
        )
    rows.sort(key=lambda row: row[2], reverse=True)
    columns = [
        "",
        "sets, seeds",
        "accuracy",
        "lead over MiniRocket",
        "wins / ties / losses",
        "calibration error",
    ]
    return markdown(columns, rows)


def large(results: Path) -> str:
    """Accuracy on the two sets of thousands of cases."""
    frame = pd.read_csv(results / "suite.csv")
    frame = frame[(frame["split"] == 0) & (frame["status"] == "done")]
    frame = frame[~frame["set"].isin(SMALL_SETS)]
    table = frame.pivot_table(index="estimator", columns="set", values="accuracy")
    seeds = frame.groupby("estimator")["seed"].nunique()
    rows = [
        [NAMES.get(name, name), seeds[name], *(spread(value, np.nan) for value in row)]
        for name, row in table.iterrows()
    ]
    return markdown(["accuracy", "seeds", *table.columns], rows)


def cost(results: Path) -> str:
    """Seconds and memory on UCI-HAR, beside MiniRocket."""
    frame = pd.read_csv(results / "cost.csv")
    frame = frame[frame["set"] == "UCI-HAR"]
    parts = ["fit_seconds", "predict_seconds"]
    seconds = frame.groupby(["estimator", "threads"])[parts].median()
    memory = pd.read_csv(results / "memory.csv").set_index(["set", "estimator"])
    threads = sorted(frame["threads"].unique())
    rows = []
    for name in reversed(COMPARED):
        cells = []
        for part in parts:
            own = seconds.loc[name][part]
            ratio = own / seconds.loc[BASELINE][part]
            cells.append(" / ".join(f"{own[n]:.2f}" for n in threads))
            cells.append(" / ".join(f"{ratio[n]:.2f}" for n in threads))
        peak = memory.loc[("UCI-HAR", name)]
        taken = max(peak["fit_mib"], peak["predict_mib"]) - peak["start_mib"]
        rows.append([NAMES[name], *cells, f"{taken / 1024:.1f} GiB"])
    of = " / ".join(map(str, threads))
    columns = [
        f"UCI-HAR, {of} threads",
        "fit seconds",
        "of MiniRocket's",
        "predict seconds",
        "of MiniRocket's",
        "memory",
    ]
    return markdown(columns, rows)


TABLES: dict[str, Callable[[Path], str]] = {
    "accuracy": accuracy,
    "large": large,
    "cost": cost,
    "crossmodal": crossmodal_table,
    "ablation": ablation_table,
    "zero_shot": zero_shot_table,
    "search": search_table,
    "faithfulness": faithfulness_table,
    "naming": naming_table,
    "shift": shift_table,
    "damage": damage_table,
    "gaps": gaps_table,
    "drift": drift_table,
    "pretrain": pretrain_table,
}


def filled(text: str, results: Path) -> str:
    """Write tables anew, each between a comment with its name and the next one."""

    def write(found: re.Match[str]) -> str:
        return f"{found[1]}\n{TABLES[found[2]](results)}\n{found[3]}"

    pattern = r"(<!-- table: (\w+) -->)\n.*?\n?(<!-- end -->)"
    return re.sub(pattern, write, text, flags=re.DOTALL)


def main() -> None:
    """Write the tables of all documents."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="folder of the CSV files"
    )
    results = parser.parse_args().results
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        path.write_text(filled(text, results), encoding="utf-8")


if __name__ == "__main__":
    main()
