"""The command line: ``python -m sktext_vq``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from sktext_vq import __version__

_DESCRIPTION = """\
Classify sensor series by readable shape tokens, guided by text in training.

Start with the demo: it takes less than a minute and downloads nothing.
"""
_DEMO = """\
Train on a small data set that comes with sktime: a smart watch in four
activities. The demo

  - classifies, beside MiniRocket on the same series;
  - does the same in a scikit-learn Pipeline;
  - recognises a class without recordings, by texts about its name alone;
  - shows the tokens of a series, and what their codes look like;
  - writes a report, one HTML page that any browser shows offline.
"""
_EXAMPLES = """\
examples:
  python -m sktext_vq demo
  python -m sktext_vq demo --left-out running --report running.html

exit codes:
  0 done, 1 failed, 2 wrong usage, 130 interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words after the name of the program; by default those of this process.

    Returns
    -------
    int
        Exit code: 0, 1 if it failed, 130 if it was interrupted.

    Raises
    ------
    SystemExit
        With code 2 for wrong usage, and 0 for ``--help`` and ``--version``.

    Examples
    --------
    >>> from sktext_vq.__main__ import main
    >>> main(["demo", "--report", "no/such/folder/report.html"])
    1
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except BrokenPipeError:
        # Who read our output, such as `head`, has seen enough. Python would complain
        # about what is left when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ImportError, OSError) as error:
        message = " ".join(str(error).split())
        print(f"sktext_vq {options.command}: {message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"sktext_vq {options.command}: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sktext_vq",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"sktext_vq {__version__}"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    demo = commands.add_parser(
        "demo",
        help="train, compare, explain and report on a small data set",
        description=_DEMO,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    demo.add_argument(
        "--report",
        metavar="PATH",
        default="sktext_vq_demo.html",
        help="HTML file to write (default: %(default)s in this folder)",
    )
    demo.add_argument(
        "--left-out",
        choices=("badminton", "running", "standing", "walking"),
        default="walking",
        help="class that is recognised without recordings (default: %(default)s)",
    )
    demo.add_argument("--quiet", action="store_true", help="print nothing but errors")
    demo.set_defaults(run=_demo)
    return parser


def _demo(options: argparse.Namespace) -> None:
    # Only this command needs what it imports.
    from sktext_vq._demo import run_demo

    run_demo(
        options.report,
        left_out=options.left_out,
        say=_say_nothing if options.quiet else print,
        # Bars are for people, not for files and pipes.
        progress=not options.quiet and sys.stderr.isatty(),
    )


def _say_nothing(*args: Any, **kwargs: Any) -> None:
    """Stand in for print."""


if __name__ == "__main__":
    sys.exit(main())
