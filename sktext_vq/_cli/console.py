"""Command output that is safe for any encoding and terminal."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TextIO

# Control characters (which may move the cursor or change the window title), unpaired
# surrogates, and line separators.
_UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")
# Format characters that change the text direction; others, as in emoji, are kept.
_BIDIRECTIONAL = (
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)


class Interrupted(BaseException):
    """Interruption by Ctrl-C, which stops training without returning a model."""


def escape(text: Any) -> str:
    """Return text with control characters escaped as by ``repr``."""
    return "".join(
        ascii(character)[1:-1]
        if unicodedata.category(character) in _UNPRINTABLE
        or character in _BIDIRECTIONAL
        else character
        for character in str(text)
    )


def show(*lines: Any) -> None:
    """Print lines to standard output, if there is one."""
    for line in lines:
        print(escape(line))


def note(*lines: Any) -> None:
    """Print lines to standard error, if there is one."""
    if sys.stderr is None:  # print would use standard output
        return
    try:
        for line in lines:
            print(escape(line), file=sys.stderr)
    except OSError:  # standard error is closed; results do not depend on it
        discard(sys.stderr)


def is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def output() -> TextIO:
    """Return standard output; raise an OSError if it is closed."""
    if sys.stdout is None:
        raise OSError("Standard output is closed. Set --output to a file.")
    return sys.stdout


def discard(stream: TextIO | None) -> None:
    """Discard unwritten output of a broken stream, to avoid an error at exit."""
    if stream is not None:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextlib.contextmanager
def standard_streams() -> Iterator[None]:
    """Reopen closed streams, and escape characters that a stream cannot encode.

    Closed streams are redirected to the null device. Otherwise, the next file to be
    opened could get the descriptor of standard error, to which libraries write.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # uses the lowest free descriptor
    streams = [
        each for each in (sys.stdout, sys.stderr) if hasattr(each, "reconfigure")
    ]
    before = [each.errors for each in streams]
    for each in streams:
        each.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for each, errors in zip(streams, before, strict=True):
            try:
                each.reconfigure(errors=errors)  # this flushes, too
            except OSError:
                discard(each)


@contextlib.contextmanager
def interrupts() -> Iterator[None]:
    """Raise `Interrupted` instead of KeyboardInterrupt on Ctrl-C."""

    def stop(number: int, frame: Any) -> None:
        raise Interrupted

    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) != signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def warnings_as_notes(echo: Callable[[str], None]) -> Iterator[None]:
    """Print warning messages without source lines."""

    def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
        echo(f"warning: {' '.join(str(message).split())}")

    with warnings.catch_warnings():
        warnings.showwarning = show_warning
        yield
