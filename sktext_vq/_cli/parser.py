"""Parser of the command line, and its help."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sktext_vq._version import __version__

_MOST_CODES = 65_536

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


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
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


def _whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return what turns a word into a whole number within bounds."""
    wanted = f"of at least {least}" if most is None else f"from {least} to {most}"

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(
                f"must be a whole number {wanted}, got {text!r}"
            )
        return value

    return parse


def _rate(text: str) -> float:
    """Turn a word into a sampling rate."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(
            f"must be a finite number of Hz above 0, got {text!r}"
        )
    return value


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
        type=_whole(1),
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
        "--sampling-rate", metavar="HZ", type=_rate, help="timepoints per second"
    )
    command.add_argument(
        "--epochs",
        metavar="N",
        type=_whole(0),
        default=20,
        help="most epochs of training, which gives search and similarity; 0 takes "
        "seconds and predicts as well (default: %(default)s)",
    )
    command.add_argument(
        "--codes",
        metavar="N",
        type=_whole(2, _MOST_CODES),
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
        "--seed",
        metavar="N",
        type=_whole(0, 2**32 - 1),
        default=0,
        help="(default: %(default)s)",
    )
