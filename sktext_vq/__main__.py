"""The command line: ``python -m sktext_vq``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sktext_vq import __version__
from sktext_vq._cli import commands as _commands

_DESCRIPTION = """\
Classify sensor series by readable shape tokens, guided by text in training.

Start with the demo: it takes less than a minute and downloads nothing. Then fit a
model to a file of labelled series, and use it on others.
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
_FIT = """\
Fit a classifier to labelled series and save it, as one file that holds no code.
Names of channels such as acc_x, acc_y, acc_z, and the sampling rate, help; where the
file has them they are taken from there. Labels that are words guide training. With
groups or subjects in the file, choices are made for people that are not in it.
"""
_PREDICT = """\
Write the class of every series, with probabilities, as CSV to standard output or to
a file. If the file of series has labels, say how many were found.

With --explain, write why instead: the tokens of each series that count most. A row has
the contribution of a token to the logarithm of how many times as probable the class
"label" is as the class "against", which by default is the most probable other one; what
the shape looks like; and its channel, start, length (in timepoints) and code. Positive
contributions speak for the class. Levels and scales of a channel as a whole have no
start, and neither has "all else", with which the rows of a series sum to the logarithm.
"""
_REPORT = """\
Write an HTML page about a model: scores on the series of a file and what to be careful
about, series with the tokens that decided, the vocabulary, and the texts that guided
training.
"""
_ZERO_SHOT = """\
Choose for every series among classes of which some or all had no recordings in
training, by what is said about them, and say why: what is known of each candidate,
which recorded classes it takes after, and which of them speak for the choice. If the
file of series has labels, say how many were found.
"""
_FILES = """\
files of series:
  .npz      arrays X (cases, channels, timepoints) and, if there are any, y, subject,
            channel_names and sampling_rate; or X_train, y_train, X_test, y_test, ...,
            of which fit takes the first part and other commands the second.
            .npy is X alone. Pickled objects are refused
  .ts       the format of the UEA and UCR archives
  .csv      or .tsv, .txt, .csv.gz, .parquet: a table in one of three forms, told by
            its columns:
            long  a row per case and timepoint: case, time, and a column per channel
            wide  a row per case, and a column per timepoint: 0, 1, 2, ...; with
                  several channels acc_x_0, acc_x_1, ..., acc_y_0, ...
            tidy  a row per value: case, channel, time, value
            Columns label and subject may be there, too. If yours have other names,
            say so: --case-column recording --label-column activity
            Lengths may differ in long and tidy tables; empty cells are missing values
"""
_EXAMPLES = """\
examples:
  python -m sktext_vq demo
  python -m sktext_vq fit recordings.csv --model model.safetensors
  python -m sktext_vq predict new.csv --model model.safetensors --output classes.csv
  python -m sktext_vq predict new.csv --model model.safetensors --explain
  python -m sktext_vq report new.csv --model model.safetensors --output report.html
  python -m sktext_vq zero-shot new.csv --model model.safetensors \\
      --labels "jumping rope, cycling"

"python -m sktext_vq fit --help" tells which files are read.

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
        getattr(_commands, options.command.replace("-", "_"))(options)
    except BrokenPipeError:
        # Who read our output, such as `head`, has seen enough. Python would complain
        # about what is left when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ImportError, OSError, ValueError, TypeError) as error:
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
    _add_fit(commands)
    for name, text, about in (
        ("predict", "say which class series are of", _PREDICT),
        ("report", "write a page about a model", _REPORT),
        ("zero-shot", "choose among classes without recordings", _ZERO_SHOT),
    ):
        command = _add_command(commands, name, text, about)
        if name == "report":
            command.add_argument(
                "--output", type=Path, metavar="HTML", required=True, help="page to be"
            )
            command.add_argument(
                "--training",
                type=Path,
                metavar="DATA",
                help="file that the model was fitted to; series that are in both files "
                "make scores too good, and are listed",
            )
            continue
        command.add_argument(
            "--output", type=Path, metavar="FILE", help="file to write the table to"
        )
        command.add_argument("--json", action="store_true", help="JSON, not CSV")
        if name == "predict":
            _add_explain(command)
        if name == "zero-shot":
            command.add_argument(
                "--labels",
                metavar="NAMES",
                help='candidates with commas between, such as "jumping rope, cycling"',
            )
            _add_texts(command, "candidates, which --labels may leave out then")
    return parser


def _add_command(commands: Any, name: str, text: str, about: str) -> Any:
    """Add a command that reads a file of series, and uses a model."""
    command = commands.add_parser(
        name,
        help=text,
        description=about,
        epilog=_FILES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("data", type=Path, metavar="DATA", help="file of series")
    command.add_argument(
        "--model",
        type=Path,
        metavar="MODEL",
        required=True,
        help=f"file of the model{', to be written' if name == 'fit' else ''}",
    )
    for what, text in (
        ("label", "has the classes"),
        ("case", "tells which rows are of one recording"),
        ("time", "tells when rows were recorded"),
        ("subject", "tells from whom"),
    ):
        command.add_argument(
            f"--{what}-column",
            metavar="NAME",
            help=f"column of a table that {text} (default: {what})",
        )
    command.add_argument(
        "--ignore",
        metavar="NAME",
        action="append",
        default=[],
        help="column of a table to leave out; may be given more than once",
    )
    command.add_argument("--quiet", action="store_true", help="print results only")
    return command


def _add_texts(command: Any, whose: str) -> None:
    command.add_argument(
        "--texts",
        type=Path,
        metavar="JSON",
        help=f"JSON file from names to a text or a list of texts about {whose}",
    )


def _add_explain(command: Any) -> None:
    command.add_argument(
        "--explain", action="store_true", help="write which tokens decided"
    )
    command.add_argument(
        "--against",
        metavar="CLASS",
        help="with --explain: tell why it is not this class",
    )
    command.add_argument(
        "--top",
        metavar="N",
        type=int,
        default=5,
        help="with --explain: tokens of each series (default: %(default)s)",
    )


def _add_fit(commands: Any) -> None:
    command = _add_command(commands, "fit", "fit a model to series with labels", _FIT)
    _add_texts(command, "the classes")
    command.add_argument(
        "--channel-names",
        metavar="NAMES",
        type=lambda text: [name.strip() for name in text.split(",")],
        help="with commas between, such as acc_x,acc_y,acc_z",
    )
    command.add_argument(
        "--sampling-rate", metavar="HZ", type=float, help="timepoints per second"
    )
    command.add_argument(
        "--epochs",
        metavar="N",
        type=int,
        default=20,
        help="most epochs of training, which gives search and similarity; 0 takes "
        "seconds and predicts as well (default: %(default)s)",
    )
    command.add_argument(
        "--codes",
        metavar="N",
        type=int,
        default=64,
        help="shapes in the codebook (default: %(default)s)",
    )
    command.add_argument(
        "--text-encoder",
        metavar="NAME",
        default="minilm",
        help='"minilm", "hashing", or the folder of an encoder (default: %(default)s)',
    )
    command.add_argument(
        "--seed", metavar="N", type=int, default=0, help="(default: %(default)s)"
    )


if __name__ == "__main__":
    sys.exit(main())
