"""Files that are there as a whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def check_target(path: str | os.PathLike[str]) -> Path:
    """Return where to write a file, or say that this is no place for one.

    Parameters
    ----------
    path : path-like
        File to be.

    Returns
    -------
    Path
        The same.

    Raises
    ------
    OSError
        If the path is a folder, or is in a folder that does not exist.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder. Give a file to write.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path} is in a folder that does not exist.")
    return path


def replace_file(path: Path, content: bytes) -> Path:
    """Write a file beside the old one, then put it in its place."""
    part = _beside(path)
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            # Else a power cut could leave an empty file under the new name.
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        # The same error, about the file that was asked for.
        raise type(error)(error.errno, error.strerror, str(path)) from error
    finally:
        part.unlink(missing_ok=True)
    return path


def check_writable(path: Path) -> None:
    """Raise the OSError that writing a file would end with, as far as that is known."""
    part = _beside(path)
    try:
        part.touch()
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error
    finally:
        part.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    """Where a file is written before it takes the place of the old one."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")
