"""CSV files of results, with the environment in which they were computed."""

from __future__ import annotations

import csv
import json
import os
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

RESULTS = Path(__file__).parent / "results"
_PACKAGES = ("sktext_vq", "numpy", "scipy", "scikit-learn", "torch", "sktime", "numba")


def log(message: str) -> None:
    """Show progress."""
    print(message, file=sys.stderr, flush=True)


class Results:
    """A CSV file to which rows are appended, so that runs can be resumed.

    The environment and further `facts` are written beside it. Rows of another
    environment are not added to the same file.
    """

    def __init__(
        self,
        path: Path,
        keys: Sequence[str],
        values: Sequence[str],
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.path, self.keys = path, tuple(keys)
        self.columns = (*keys, *values)
        self.done: set[tuple[str, ...]] = set()
        beside = path.with_suffix(".environment.json")
        here = {**environment(), **(facts or {})}
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(json.dumps(here, indent=2) + "\n", encoding="utf-8")
            self._append(self.columns)
            return
        there = json.loads(beside.read_text(encoding="utf-8"))
        other = [key for key in {**here, **there} if here.get(key) != there.get(key)]
        if other:
            raise SystemExit(
                f"{path} was made with other {', '.join(other)}. Move it away to start "
                "anew."
            )
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        if {*map(len, rows)} - {len(header)} or tuple(header) != self.columns:
            raise SystemExit(f"{path} has other columns, or an incomplete row.")
        self.done = {tuple(row[: len(self.keys)]) for row in rows}

    def __contains__(self, row: Mapping[str, Any]) -> bool:
        return tuple(_text(row[key]) for key in self.keys) in self.done

    def add(self, row: Mapping[str, Any]) -> None:
        """Write a row."""
        if set(row) != set(self.columns):
            raise ValueError(f"The row has {sorted(row)}, not {self.columns}.")
        values = [_text(row[column]) for column in self.columns]
        self._append(values)
        self.done.add(tuple(values[: len(self.keys)]))

    def _append(self, values: Sequence[str]) -> None:
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow(values)


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Frames:
    """Results as data frames, read from CSV files by name.

    `only` has the values of columns to keep.
    """

    folder: Path = RESULTS
    only: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return (self.folder / f"{name}.csv").exists()

    def __getitem__(self, name: str) -> pd.DataFrame:
        frame = pd.read_csv(self.folder / f"{name}.csv")
        for column, values in self.only.items():
            if column in frame:
                frame = frame[frame[column].astype(str).isin(values)]
        return frame

    def environment(self, name: str) -> dict[str, Any]:
        """Return the environment of a file."""
        path = self.folder / f"{name}.environment.json"
        return json.loads(path.read_text(encoding="utf-8"))


def environment() -> dict[str, Any]:
    """Return versions, and properties of the machine that times depend on."""
    gpu = None
    if find_spec("torch"):
        import torch

        gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "python": platform.python_version(),
        "versions": {package: version_of(package) for package in _PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": _memory_gib(),
        "gpu": gpu,
    }


def version_of(package: str) -> str | None:
    """Return the version that is installed, if any."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"model name\s*: (.*)", cpuinfo.read_text(encoding="utf-8"))
        if found:
            return found[1].strip()
    return platform.processor()


def _memory_gib() -> int | None:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    return round(size / 2**30)
