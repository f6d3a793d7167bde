"""Parser of the command line, and its help."""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sktext_vq._version import __version__

_MOST_CODES = 65_536

_DESCRIPTION = """\
Classify sensor series by interpretable shape tokens, with zero-shot classification by
text.

Start with the demo, which takes a minute or two and downloads nothing. Then fit a
model to a file of labelled recordings or series, and use it on other files.
"""
_DEMO = """\
Train on a small data set that comes with sktime: a smart watch in four
activities. The demo

  - compares accuracy and time with MiniRocket on the same series;
  - fits the transformer in a scikit-learn Pipeline;
  - recognises an unseen class by texts about its name;
  - prints the tokens of a series with the shapes of their codes;
  - writes a report, one HTML page that can be read offline.
"""
_FIT = """\
Fit a classifier to labelled series and save it to one file, which contains no code.
Channel names such as acc_x, acc_y, acc_z and the sampling rate are read from the file
if it has them. Labels that are words are used as text in training. If the file has
groups or subjects, penalty and temperature are chosen for people who are not in it.
"""
_PREDICT = """\
Write the class of every series with probabilities, as CSV, to standard output or to a
file. If the file has labels, print the accuracy. Several files are read one after
another; "-" reads the names of files from standard input, one per line.

With --explain, write the tokens of each series that contribute most. A row contains the
contribution of a token to the log-odds of the class "label" over the class "against"
(by default the most probable other class), its shape in words, channel, start and
length in timepoints, and code. Statistics of a channel and the row "remainder" have no
start. Contributions of a series sum to the log-odds.
"""
_REPORT = """\
Write an HTML page about a model: scores on the series of a file, warnings, series with
the contributions of their tokens, the codebook, and the texts used in training.
"""
_SEGMENT = """\
Divide continuous recordings into segments of one class. Writes the recording, start,
end, label and probability of each segment, in the time of the recording.
"""
_LABEL = """\
Divide recordings of a body-worn accelerometer into segments by names of activities,
without a model or labels: texts about the names are compared with activities of public
data sets. Channels are found by name, such as acc_x; units and sampling rate are found
from the data. Reliable for few, coarse activities only; see docs/wearables.md.
"""
_SEARCH = """\
Rank series, or windows of recordings, by similarity to a text such as "a person jumps".
"""
_EXPORT = """\
Export a model to an ONNX file, which predicts probabilities without Python. Requires
the package onnx.
"""
_ZERO_SHOT = """\
Classify series among candidate classes, some or all of which may be unseen (without
training data), by texts about them. Prints the texts of each candidate and the training
classes that it is most similar to, and writes reasons for each series. If the file has
labels, prints the accuracy.
"""
_FILES = """\
files of series:
  .npz      arrays X (cases, channels, timepoints) and optionally y, subject,
            channel_names and sampling_rate; or X_train, y_train, X_test, y_test, ...,
            of which fit reads the first part and other commands the second.
            .npy contains X only. Pickled objects are not read
  .ts       format of the UEA and UCR archives
  .csv      also .tsv, .txt, .csv.gz, .parquet: a table in one of three layouts, which
            is detected by its columns:
            long  a row per case and timepoint: case, time, and a column per channel
            wide  a row per case, and a column per timepoint: 0, 1, 2, ...; with
                  several channels acc_x_0, acc_x_1, ..., acc_y_0, ...
            tidy  a row per value: case, channel, time, value
            Columns label and subject are optional. Set other column names by
            options, such as --case-column window --label-column activity
            Series of long and tidy tables may have unequal lengths; empty cells are
            missing values
"""
_RECORDINGS = """\

continuous recordings:
  --window 2.56s (in seconds) or --window 128 (in timepoints) cuts windows from
  continuous recordings: a file or a folder of tables (.csv, .tsv, .txt, .parquet) with
  a row per timepoint. Columns recording, time, label and subject are optional.
  Windows never span a gap, two recordings or two labels
"""
_EXAMPLES = """\
examples:
  python -m sktext_vq demo
  python -m sktext_vq fit recordings --model model.safetensors --window 2.56s
  python -m sktext_vq segment day.csv --model model.safetensors --output segments.csv
  python -m sktext_vq fit train.csv --model model.safetensors
  python -m sktext_vq label day.csv --names "walking, running, sitting"
  python -m sktext_vq predict new.csv --model model.safetensors --output classes.csv
  python -m sktext_vq predict new.csv --model model.safetensors --explain
  python -m sktext_vq report new.csv --model model.safetensors --output report.html
  python -m sktext_vq zero-shot new.csv --model model.safetensors \\
      --labels "jumping rope, cycling"

"python -m sktext_vq fit --help" describes the file formats.

exit codes:
  0 success, 1 failure, 2 invalid usage, 130 interrupted
"""


class _Parser(argparse.ArgumentParser):
    """Parser that works where standard streams are closed, in each Python 3.11."""

    def _print_message(self, message: str, file: Any = None) -> None:
        stream = file or sys.stderr
        if message and stream is not None:
            stream.write(message)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = _Parser(
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
        help="class to leave out of training (default: %(default)s)",
    )
    demo.add_argument("--quiet", action="store_true", help="print errors only")
    _add_fit(commands)
    for name, text, about in (
        ("predict", "write the class of each series", _PREDICT),
        ("segment", "divide recordings into segments of one class", _SEGMENT),
        ("label", "name activities in recordings, without a model", _LABEL),
        ("search", "rank series by similarity to a text", _SEARCH),
        ("report", "write an HTML report about a model", _REPORT),
        ("zero-shot", "classify among unseen classes", _ZERO_SHOT),
    ):
        command = _add_command(commands, name, text, about)
        if name == "report":
            command.add_argument(
                "--output",
                type=Path,
                metavar="HTML",
                required=True,
                help="HTML file to write",
            )
            command.add_argument(
                "--training",
                type=Path,
                metavar="DATA",
                help="file of the training series; series that are in both files are "
                "listed, since they make scores too high",
            )
            continue
        command.add_argument(
            "--output", type=Path, metavar="FILE", help="file to write the table to"
        )
        command.add_argument(
            "--json", action="store_true", help="write JSON in place of CSV"
        )
        if name == "predict":
            _add_explain(command)
        if name == "label":
            _add_label(command)
        if name == "search":
            command.add_argument("--text", required=True, help="text to search for")
        if name == "zero-shot":
            command.add_argument(
                "--labels",
                metavar="NAMES",
                help='candidates, separated by commas: "jumping rope, cycling"',
            )
            _add_texts(command, "candidates; by default these are the candidates")
    _add_export(commands)
    return parser


def _whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return a function that converts an argument to an int within bounds."""
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
    """Convert an argument to a sampling rate."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(
            f"must be a finite number of Hz above 0, got {text!r}"
        )
    return value


def _duration(text: str) -> tuple[float, bool]:
    """Convert ``2.56s`` or ``128`` to a length, and whether it is in seconds."""
    match = re.fullmatch(r"(\d+|\d*\.\d+)\s*(s?)", text.strip())
    value = float(match[1]) if match else 0.0
    if match is None or value <= 0 or not (match[2] or value.is_integer()):
        raise argparse.ArgumentTypeError(
            'must be a number of seconds with "s" such as 2.56s, or a whole number of '
            f"timepoints such as 128, got {text!r}"
        )
    return value, bool(match[2])


def _add_command(commands: Any, name: str, text: str, about: str) -> Any:
    """Add a command with a file of series and a model."""
    is_segment = name in ("segment", "label")
    command = commands.add_parser(
        name,
        help=text,
        description=about,
        epilog=_RECORDINGS.lstrip() if is_segment else _FILES + _RECORDINGS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = "file or folder of recordings" if is_segment else "file of series"
    if is_segment or name == "predict":
        command.add_argument(
            "data", type=Path, metavar="DATA", nargs="+", help=f"{what}; may be several"
        )
    else:
        command.add_argument("data", type=Path, metavar="DATA", help=what)
    if name != "label":
        command.add_argument(
            "--model",
            type=Path,
            metavar="MODEL",
            required=True,
            help=f"model file{' to write' if name == 'fit' else ''}",
        )
    _add_columns(command, is_segment)
    _add_windows(command, is_segment)
    command.add_argument("--quiet", action="store_true", help="print results only")
    return command


def _add_columns(command: Any, is_segment: bool) -> None:
    """Add options for the roles of columns."""
    for what, text in (
        ("label", "of classes"),
        ("case", "that identifies the case of each row"),
        ("recording", "that identifies the recording of each row; may be repeated"),
        ("time", "of times"),
        ("subject", "that identifies the person or machine of each row"),
    ):
        if is_segment and what == "case":
            continue
        names = [f"--{what}-column", *(["--group"] if what == "subject" else [])]
        command.add_argument(
            *names,
            dest=f"{what}_column",
            metavar="NAME",
            action="append" if what == "recording" else "store",
            help=f"column {text} (default: {what})",
        )
    command.add_argument(
        "--ignore",
        metavar="NAME",
        action="append",
        default=[],
        help="column to ignore; may be repeated",
    )


def _add_windows(command: Any, is_segment: bool) -> None:
    """Add options for windows of recordings."""
    default = " (default: that of training)" if is_segment else ""
    for name, text in (
        ("window", f"length of windows to cut from recordings{default}"),
        ("step", "time between starts of windows (default: half of a window)"),
    ):
        command.add_argument(
            f"--{name}", metavar="LENGTH", type=_duration, help=f"{text}, such as 2.56s"
        )
    command.add_argument(
        "--pattern",
        metavar="PATH",
        help="form of the paths in a folder of recordings, such as "
        '"{label}/person_{subject}.csv"',
    )
    command.add_argument(
        "--time-unit",
        choices=("s", "ms", "us", "ns"),
        help="unit of times that are numbers, in recordings",
    )
    if not is_segment:
        command.add_argument(
            "--purity",
            metavar="SHARE",
            type=float,
            default=1.0,
            help="minimum share of the most frequent label in windows of recordings "
            "(default: %(default)s)",
        )


def _add_export(commands: Any) -> None:
    command = commands.add_parser(
        "export", help="export a model to an ONNX file", description=_EXPORT
    )
    command.add_argument(
        "--model", type=Path, metavar="MODEL", required=True, help="model file"
    )
    command.add_argument(
        "--output", type=Path, metavar="ONNX", required=True, help="file to write"
    )
    command.add_argument("--quiet", action="store_true", help="print results only")


def _add_texts(command: Any, whose: str) -> None:
    command.add_argument(
        "--texts",
        type=Path,
        metavar="JSON",
        help=f"JSON object from names to a text or a list of texts about {whose}",
    )


def _add_label(command: Any) -> None:
    command.add_argument(
        "--names",
        required=True,
        help='names, separated by commas: "walking, running, sitting"',
    )
    command.add_argument(
        "--units",
        choices=("auto", "g", "m/s^2", "mg"),
        default="auto",
        help="unit of acceleration (default: %(default)s)",
    )
    command.add_argument(
        "--sampling-rate", metavar="HZ", type=_rate, help="timepoints per second"
    )
    command.add_argument(
        "--base",
        metavar="NAME",
        default="wearables",
        help="base, or a file of build_base (default: %(default)s)",
    )


def _add_explain(command: Any) -> None:
    command.add_argument(
        "--explain", action="store_true", help="write contributions of tokens"
    )
    command.add_argument(
        "--against",
        metavar="CLASS",
        help="with --explain: class to compare with",
    )
    command.add_argument(
        "--top",
        metavar="N",
        type=_whole(1),
        default=5,
        help="with --explain: number of tokens per series (default: %(default)s)",
    )


def _add_fit(commands: Any) -> None:
    command = _add_command(commands, "fit", "fit a model to series with labels", _FIT)
    _add_texts(command, "the classes")
    command.add_argument(
        "--channel-names",
        metavar="NAMES",
        type=lambda text: [name.strip() for name in text.split(",")],
        help="channel names, separated by commas: acc_x,acc_y,acc_z",
    )
    command.add_argument(
        "--sampling-rate", metavar="HZ", type=_rate, help="timepoints per second"
    )
    command.add_argument(
        "--epochs",
        metavar="N",
        type=_whole(0),
        default=0,
        help="maximum number of epochs of training, which starts from the closed form "
        "and keeps what is better for held-out cases (default: %(default)s)",
    )
    command.add_argument(
        "--codes",
        metavar="N",
        type=_whole(2, _MOST_CODES),
        default=64,
        help="number of codes (default: %(default)s)",
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
        help="random state (default: %(default)s)",
    )
