"""Atomic writing of files and checks of paths."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

_IN_USE: set[str] = set()  # temporary files of this process


def check_path(path: Any) -> Path:
    """Validate a path and convert it to a `pathlib.Path`.

    Raises a TypeError for bytes and other types, and a ValueError for characters that
    are invalid in file names.
    """
    name = os.fspath(path) if isinstance(path, str | os.PathLike) else path
    if not isinstance(name, str):
        raise TypeError(f"A path must be a str or a pathlib.Path, got {path!r}.")
    try:
        # Fails for unpaired surrogates.
        broken = b"\0" in os.fsencode(name)
    except UnicodeEncodeError:
        broken = True
    if broken:
        raise ValueError(
            f"{name!r} contains characters that are invalid in a file name. Use "
            "another path."
        )
    return Path(name)


def check_target(path: str | os.PathLike[str]) -> Path:
    """Check that a file can be written or replaced, and return its path.

    Raises an OSError if the path is a folder, a special file or a read-only file, or is
    in a folder that does not exist. Symbolic links are followed.
    """
    path = check_path(path)
    _check_replaceable(path)
    return path


def replace_file(path: Path, content: bytes) -> Path:
    """Write a file atomically, by renaming a temporary file.

    An existing file is unchanged if an OSError is raised. The new file has the same
    permissions and, if possible, the same owner. If the path is a symbolic link, the
    target of the link is replaced.
    """
    former = _check_replaceable(path)
    target = Path(os.path.realpath(path))
    with _errors_with_path(path), _temporary(target, former) as (part, file):
        file.write(content)
        file.flush()
        # Without fsync, a power failure could leave an empty file.
        os.fsync(file.fileno())
        file.close()
        os.replace(part, target)
    return path


def check_writable(path: Path) -> None:
    """Raise an OSError if a file cannot be written."""
    former = _check_replaceable(path)
    with _errors_with_path(path), _temporary(Path(os.path.realpath(path)), former):
        pass


def _check_replaceable(path: Path) -> os.stat_result | None:
    """Check that a path can be written and return the status of an existing file."""
    try:
        former = path.stat()  # follows symbolic links
    except (FileNotFoundError, NotADirectoryError):
        if not Path(os.path.realpath(path)).parent.is_dir():
            raise FileNotFoundError(
                f"{path} is in a folder that does not exist. Create the folder first."
            ) from None
        return None
    if stat.S_ISDIR(former.st_mode):
        raise IsADirectoryError(f"{path} is a folder, not a file.")
    if not stat.S_ISREG(former.st_mode):
        raise OSError(
            f"{path} is a FIFO, a socket or a device, and cannot be replaced. Use "
            "another path."
        )
    if not os.access(path, os.W_OK):
        raise PermissionError(f"{path} is read-only. Use another path.")
    return former


@contextlib.contextmanager
def _temporary(
    target: Path, former: os.stat_result | None
) -> Iterator[tuple[Path, BinaryIO]]:
    """Open a temporary file with a unique name in the folder of the target."""
    # File names are limited to 255 bytes.
    stem = os.fsencode(target.name)[:150].decode("utf-8", "ignore")
    host = re.sub(r"\W", "-", platform.node())[:40]
    start = f".{stem}.{host}."
    _remove_leftovers(target.parent, start)
    name = f"{start}{os.getpid()}.{secrets.token_hex(8)}.part"
    part = target.with_name(name)
    # The temporary file must not be readable by more users than the existing file.
    mode = 0o666 if former is None else 0o600
    _IN_USE.add(name)
    try:
        with open(part, "xb", opener=lambda p, flags: os.open(p, flags, mode)) as file:
            if former is not None:
                _keep_owner(part, former)
                os.chmod(part, stat.S_IMODE(former.st_mode))
            yield part, file
    finally:
        part.unlink(missing_ok=True)
        _IN_USE.discard(name)


def _remove_leftovers(folder: Path, start: str) -> None:
    """Remove temporary files of processes that were killed while writing."""
    for name in os.listdir(folder):
        if name.startswith(start) and name.endswith(".part") and name not in _IN_USE:
            process = name[len(start) :].partition(".")[0]
            if process.isdecimal() and not _is_running(int(process)):
                with contextlib.suppress(OSError):
                    (folder / name).unlink()


def _is_running(process: int) -> bool:
    """Return whether another process on this machine is still running."""
    # On Windows, os.kill would end the process, but open files cannot be removed.
    if process == os.getpid() or os.name == "nt":
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _keep_owner(part: Path, former: os.stat_result) -> None:
    """Copy the owner and group of the replaced file, if the system allows this."""
    if not hasattr(os, "chown"):  # Windows
        return
    for owner, group in ((-1, former.st_gid), (former.st_uid, -1)):
        with contextlib.suppress(OSError):
            os.chown(part, owner, group)


@contextlib.contextmanager
def _errors_with_path(path: Path) -> Iterator[None]:
    """Raise errors with the requested path instead of the path of a temporary file."""
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error
