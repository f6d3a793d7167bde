"""Search for the files of public data sets in a folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_MAX_DEPTH, _MAX_FOLDERS = 6, 5000

# Regular expression for the end of the file paths of each data set, and number of
# folders between these files and the folder of the data set.
FILES = {
    "WISDM": (r"WISDM_\w+_v[\d.]+_raw\.txt", 0),
    "WISDM-2019": (r"data_(\d+)_(accel|gyro)_(phone|watch)\.txt", 2),
    "PAMAP2": (r"subject(\d+)\.dat", 1),
    "MHEALTH": (r"mHealth_subject(\d+)\.log", 0),
    "HHAR": (r"(Phones|Watch)_(accelerometer|gyroscope)\.csv", 0),
    "MotionSense": (r"(dws|ups|sit|std|wlk|jog)_(\d+)/sub_(\d+)\.csv", 1),
    "UCI-HAR": (r"(train|test)/Inertial Signals/(\w+)_(train|test)\.txt", 2),
}
# Folders with other versions of the same data, or with metadata of macOS.
_OTHER_FOLDERS = re.compile(r"\.|__MACOSX|[BC]_\w+_data")


def find_layouts(folder: Path) -> dict[str, list[Path]]:
    """Return the files of each public data set in a folder and its subfolders.

    If there are several copies of a data set, the files of the first copy are returned.
    """
    found: dict[str, list[Path]] = {}
    for path in _walk(folder):
        for name, (pattern, _) in FILES.items():
            if re.search(f"(^|/){pattern}$", path.as_posix()):
                found.setdefault(name, []).append(path)
    for name, paths in found.items():
        root = paths[0].parents[FILES[name][1]]
        own = [path for path in paths if path.parents[FILES[name][1]] == root]
        found[name] = sorted(own, key=number_key)
    return found


def public_set(source: str | os.PathLike[str]) -> str | None:
    """Return the name of the public data set to which a file or folder belongs."""
    path = Path(source)
    if path.is_dir():
        return next(iter(find_layouts(path)), None)
    for name, (pattern, _) in FILES.items():
        if re.search(f"(^|/){pattern}$", path.absolute().as_posix()):
            return name
    return None


def _walk(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder, up to a maximum depth and number of folders."""
    walk = enumerate(os.walk(folder))
    for number, (parent, folders, files) in walk:
        if number == _MAX_FOLDERS:
            return
        if len(Path(parent).relative_to(folder).parts) >= _MAX_DEPTH:
            folders.clear()
        folders[:] = sorted(each for each in folders if not _OTHER_FOLDERS.match(each))
        yield from (Path(parent, each) for each in sorted(files) if each[0] != ".")


def number_key(path: Path) -> list[Any]:
    """Return a key that sorts numbers in names by value."""
    parts = re.split(r"(\d+)", path.as_posix())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)]
