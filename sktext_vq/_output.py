"""Files that are written as a whole, or not at all."""

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
    """Return a path, or raise an error if no file can have it.

    Parameters
    ----------
    path : path-like
        Of an existing file or of a file to write.

    Returns
    -------
    Path
        The same path.

    Raises
    ------
    TypeError
        If it is not a path, or a path of bytes.
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
    """Return where to write a file, or raise an error if none can be written there.

    Parameters
    ----------
    path : path-like
        File to write.

    Returns
    -------
    Path
        The same path.

    Raises
    ------
    OSError
        If the path is a folder, a FIFO, a socket, a device or a read-only file, or is
        in a folder that does not exist. Symbolic links are followed.
    TypeError, ValueError
        If it is not a path; see `check_path`.
    """
    path = check_path(path)
    _check_replaceable(path)
    return path


def replace_file(path: Path, content: bytes) -> Path:
    """Write a file under another name, then move it to its place.

    An existing file keeps its permissions and, where the system allows it, its owner.
    A symbolic link stays, and the file that it refers to is replaced.

    Parameters
    ----------
    path : Path
        File to write.
    content : bytes
        All of it.

    Returns
    -------
    Path
        The same path.

    Raises
    ------
    OSError
        If the file cannot be written, or is not a regular file. An existing file is
        left as it was.
    """
    former = _check_replaceable(path)
    target = Path(os.path.realpath(path))
    with _errors_about(path), _temporary(target, former) as (part, file):
        file.write(content)
        file.flush()
        # Else a power cut could leave an empty file under the new name.
        os.fsync(file.fileno())
        file.close()
        os.replace(part, target)
    return path


def check_writable(path: Path) -> None:
    """Raise the OSError that writing a file would end with, as far as known.

    Parameters
    ----------
    path : Path
        File to write.
    """
    former = _check_replaceable(path)
    with _errors_about(path), _temporary(Path(os.path.realpath(path)), former):
        pass


def _check_replaceable(path: Path) -> os.stat_result | None:
    """Return what is known of an existing file, or raise an error if it must stay."""
    try:
        former = path.stat()  # of the file that a link refers to
    except (FileNotFoundError, NotADirectoryError):
        if not Path(os.path.realpath(path)).parent.is_dir():
            raise FileNotFoundError(
                f"{path} is in a folder that does not exist."
            ) from None
        return None
    if stat.S_ISDIR(former.st_mode):
        raise IsADirectoryError(f"{path} is a folder. Give a file to write.")
    if not stat.S_ISREG(former.st_mode):
        raise OSError(
            f"{path} is a FIFO, a socket or a device, which is never replaced. Give "
            "another path."
        )
    if not os.access(path, os.W_OK):
        raise PermissionError(f"{path} is read-only. Give another path.")
    return former


@contextlib.contextmanager
def _temporary(
    target: Path, former: os.stat_result | None
) -> Iterator[tuple[Path, BinaryIO]]:
    """Make a file beside the one to write, of a name that no other writer has."""
    # Names of files may have 255 bytes.
    stem = os.fsencode(target.name)[:150].decode("utf-8", "ignore")
    host = re.sub(r"\W", "-", platform.node())[:40]
    start = f".{stem}.{host}."
    _remove_leftovers(target.parent, start)
    name = f"{start}{os.getpid()}.{secrets.token_hex(8)}.part"
    part = target.with_name(name)
    # Not even for a moment may others read what the former file kept from them.
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
    """Remove temporary files of processes that were killed while they wrote a file."""
    for name in os.listdir(folder):
        if name.startswith(start) and name.endswith(".part") and name not in _IN_USE:
            process = name[len(start) :].partition(".")[0]
            if process.isdecimal() and not _is_running(int(process)):
                with contextlib.suppress(OSError):
                    (folder / name).unlink()


def _is_running(process: int) -> bool:
    """Whether another process of this machine may still write its file."""
    # A signal would end a process of Windows, which keeps files in use by itself.
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
    """Give a file the owner and group of the former one, where that is allowed."""
    if not hasattr(os, "chown"):  # Windows
        return
    for owner, group in ((-1, former.st_gid), (former.st_uid, -1)):
        with contextlib.suppress(OSError):
            os.chown(part, owner, group)


@contextlib.contextmanager
def _errors_about(path: Path) -> Iterator[None]:
    """Raise errors about the path that was asked for, not about temporary files."""
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error
