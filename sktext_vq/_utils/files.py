"""Files that are there as a whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def check_path(path: Any) -> Path:
    """Return a path, or say why no file can have it.

    Parameters
    ----------
    path : path-like
        Of a file that is there, or is to be.

    Returns
    -------
    Path
        The same.

    Raises
    ------
    TypeError
        If it is no path, or one of bytes.
    ValueError
        If it has characters that names of files cannot have.
    """
    name = os.fspath(path) if isinstance(path, str | os.PathLike) else path
    if not isinstance(name, str):
        raise TypeError(f"A path must be a str or a pathlib.Path, got {path!r}.")
    try:
        # Half a surrogate pair, as a label may have, is no character of a name.
        broken = b"\0" in os.fsencode(name)
    except UnicodeEncodeError:
        broken = True
    if broken:
        raise ValueError(
            f"{name!r} has characters that the name of a file cannot have: give "
            "another path."
        )
    return Path(name)


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
    TypeError, ValueError
        If it is no path; see `check_path`.
    """
    path = check_path(path)
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
