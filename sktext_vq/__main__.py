"""Command-line interface: ``python -m sktext_vq``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from sktext_vq._cli import console
from sktext_vq._cli.parser import make_parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Command-line arguments. By default, the arguments of this process are used.

    Returns
    -------
    int
        Exit code: 0 for success, 1 for failure, 130 if interrupted.

    Raises
    ------
    SystemExit
        With code 2 for invalid usage, and 0 for ``--help`` and ``--version``.

    Examples
    --------
    >>> from sktext_vq.__main__ import main
    >>> main(["demo", "--report", "no/such/folder/report.html"])
    1
    """
    with console.standard_streams():
        options = make_parser().parse_args(arguments)
        # With --quiet, only results are printed.
        note = (lambda text: None) if options.quiet else console.note
        try:
            with console.interrupts(), console.warnings_as_notes(note):
                return _run(options)
        except (KeyboardInterrupt, console.Interrupted):
            console.note(f"sktext_vq {options.command}: interrupted")
            return 130


def _run(options: argparse.Namespace) -> int:
    """Run a command; print a one-line message if it fails."""
    try:
        # Imported here, because the import takes seconds and --help does not need it.
        from sktext_vq._cli import commands

        getattr(commands, options.command.replace("-", "_"))(options)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        # The process that reads the output, such as `head`, has ended.
        console.discard(sys.stdout)
        return 1
    except (ArithmeticError, ImportError, OSError, TypeError, ValueError) as error:
        message = " ".join(str(error).split())
    except MemoryError:
        message = "Not enough memory."
    except RuntimeError as error:  # raised by torch
        if "allocate memory" not in str(error):
            raise
        message = "Not enough memory."
    else:
        return 0
    console.note(f"sktext_vq {options.command}: {message}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
