"""Tables of README and docs, written from the CSV files of results."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.experiments import EXPERIMENTS
from benchmarks.store import Frames

ROOT = Path(__file__).parents[1]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
TABLES = {
    name: table
    for experiment in EXPERIMENTS.values()
    for name, table in experiment.tables.items()
}
MARK = re.compile(r"(<!-- table: (\w+) -->)\n.*?\n?(<!-- end -->)", re.DOTALL)


def filled(text: str, frames: Frames) -> str:
    """Write tables anew, each between a comment with its name and the next one."""
    return MARK.sub(
        lambda found: f"{found[1]}\n{TABLES[found[2]](frames)}\n{found[3]}", text
    )


def write(frames: Frames) -> None:
    """Write the tables of all documents."""
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        path.write_text(filled(text, frames), encoding="utf-8")
