"""Command-line parser and help texts."""

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
Interpretable classification of sensor series by shape tokens, and zero-shot
classification by text.

Start with the demo, which takes about a minute and downloads nothing. Then fit a
model to a file of labelled recordings or series, and use it on other files.
"""
_DEMO = """\
Classify activities in a small data set that is included in sktime: four activities
recorded with a smartwatch. The demo

  - predicts activities without labels, using a base model fitted to other data sets;
  - fits a classifier to all labels and to a few labels;
  - compares its accuracy and run time with those of MiniRocket on the same series;
  - writes a report as a single HTML page, which can be read offline.
"""
_FIT = """\
Fit a classifier to labelled series and save it to a single file, which contains no
code. Channel names such as acc_x, acc_y, acc_z and the sampling rate are read from the
data file if it contains them. Labels that are words are used as text in training. If
the data file contains groups or subjects, hyperparameters are cross-validated by group.
"""
_PREDICT = """\
Write the predicted class and the class probabilities of every series, as CSV, to
standard output or to a file. If the file has labels, print the accuracy. Several files
are read one after another; "-" reads file names from standard input, one per line.

With --explain, write the tokens that contribute most to the prediction of each series.
A row contains the contribution of a token to the log-odds of the class "label" over the
class "against" (by default the most probable other class), a description of the shape
of the token, its channel, its start and length in timepoints, and its code. The row
"remainder" contains the sum of all other contributions, so the contributions of a
series sum to the log-odds. This row and the rows for channel statistics have no start.
With --window, "window_start" and "window_end" are the times of the window.
"""
_REPORT = """\
Write an HTML page about a model: scores on the series in a file, warnings, series with
the contributions of their tokens, the codebook, and the texts used in training.
"""
_SEGMENT = """\
Divide continuous recordings into segments of one class each. Write the recording,
start, end, label and probability of each segment. Start and end have the time unit of
the recording.
"""
_LABEL = """\
Divide recordings of a body-worn accelerometer into segments, and label the segments
with the activity names given in --names. Labels are not required: a packaged base model
compares the recordings and texts about the names with activities in public data sets.
Channels are found by names such as acc_x; units and sampling rate are inferred from the
data. Predictions are reliable only for a few coarse activities; see docs/wearables.md.
With --report, write an HTML page with the recordings, their labels and similar
activities.
"""
_BUILD_BASE = """\
Fit a base model for the command "label" to labelled series from body-worn
accelerometers. Pass one file per data set. Labels must be words, and channels must have
names such as acc_x.
"""
_SEARCH = """\
Rank series, or windows of recordings, by similarity to a text such as "a person jumps".
"""
_EXPORT = """\
Export a model to an ONNX file, which can be used for prediction without Python.
Requires the package onnx.
"""
_ZERO_SHOT = """\
Classify series into candidate classes by texts about the classes. Candidates may be
unseen, that is, without training data. Print the texts of each candidate and its most
similar training classes, and write the reasons for each prediction. If the file has
labels, print the accuracy.
"""
_FILES = """\
files of series:
  .npz      arrays X (cases, channels, timepoints) and optionally y, subject,
            channel_names and sampling_rate; or X_train, y_train, X_test, y_test, ...,
            of which fit reads the training part and other commands the test part.
            .npy contains X only. Files with pickled objects are not supported
  .ts       format of the UEA and UCR archives
  .csv      also .tsv, .txt, .csv.gz, .parquet: a table in one of three layouts, which
            is detected from its columns:
            long  one row per case and timepoint: case, time, one column per channel
            wide  one row per case and one column per timepoint: 0, 1, 2, ...; with
                  several channels, acc_x_0, acc_x_1, ..., acc_y_0, ...
            tidy  one row per value: case, channel, time, value
            Columns label and subject are optional. Set other column names with
            options such as --case-column window --label-column activity
            Series in long and tidy tables may have unequal lengths; empty cells are
            missing values
"""
_RECORDINGS = """\

continuous recordings:
  --window 2.56s (in seconds) or --window 128 (in timepoints) extracts windows from
  continuous recordings: a file or a folder of tables (.csv, .tsv, .txt, .parquet) with
  one row per timepoint. Columns recording, time, label and subject are optional.
  By default, windows do not span gaps, several recordings or several labels
"""
_EXAMPLES = """\
examples:
  python -m sktext_vq demo
  python -m sktext_vq fit recordings --model model.safetensors --window 2.56s
  python -m sktext_vq segment day.csv --model model.safetensors --output segments.csv
  python -m sktext_vq fit train.csv --model model.safetensors
  python -m sktext_vq label day.csv --names "walking, running, sitting" \\
      --report labels.html
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
    """Parser that supports closed standard streams in all releases of Python 3.11."""

    def _print_message(self, message: str, file: Any = None) -> None:
        stream = file or sys.stderr
        if message and stream is not None:
            stream.write(message)


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
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(
            f"must be a positive, finite number (in Hz), got {text!r}"
        )
    return value


def _duration(text: str) -> tuple[float, bool]:
    """Parse ``2.56s`` or ``128``; return the length and whether it is in seconds."""
    match = re.fullmatch(r"(\d+|\d*\.\d+)\s*(s?)", text.strip())
    value = float(match[1]) if match else 0.0
    if match is None or value <= 0 or not (match[2] or value.is_integer()):
        raise argparse.ArgumentTypeError(
            'must be a number of seconds followed by "s", such as 2.56s, or a whole '
            f"number of timepoints, such as 128, got {text!r}"
        )
    return value, bool(match[2])


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _value(metavar: str, help: str, **others: Any) -> dict[str, Any]:
    return {"metavar": metavar, "help": help, **others}


def _file(metavar: str, help: str, **others: Any) -> dict[str, Any]:
    return _value(metavar, help, type=Path, **others)


def _flag(help: str) -> dict[str, Any]:
    return {"action": "store_true", "help": help}


_MODEL = _file("MODEL", "model file", required=True)
_NEW_MODEL = _file("MODEL", "model file to write", required=True)
_TABLE = _file("FILE", "file to write the table to")
_JSON = _flag("write JSON instead of CSV")
_QUIET = _flag("print results only")
_TEXTS = "JSON file that maps each name to a text or a list of texts about the "
_RATE = _value("HZ", "sampling rate in Hz", type=_rate)
_SEED = _value(
    "N", "random state (default: %(default)s)", type=_whole(0, 2**32 - 1), default=0
)
_UNITS = {
    "choices": ("auto", "g", "m/s^2", "mg"),
    "default": "auto",
    "help": "unit of acceleration (default: %(default)s)",
}

# Options by command, in the order of its help.
_OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "demo": {
        "--report": _value(
            "PATH",
            "HTML file to write (default: %(default)s in this folder)",
            default="sktext_vq_demo.html",
        ),
        "--quiet": _flag("print errors only"),
    },
    "fit": {
        "--texts": _file("JSON", f"{_TEXTS}class"),
        "--channel-names": _value(
            "NAMES",
            "channel names, separated by commas, such as acc_x,acc_y,acc_z",
            type=_names,
        ),
        "--sampling-rate": _RATE,
        "--init": _value(
            "NAME",
            "base model whose scores are added if there are few series from "
            'body-worn sensors: "wearables"',
        ),
        "--epochs": _value(
            "N",
            "maximum number of epochs of training by gradient descent, which starts "
            "from the closed-form solution (default: %(default)s)",
            type=_whole(0),
            default=0,
        ),
        "--codes": _value(
            "N",
            "number of codes (default: %(default)s)",
            type=_whole(2, _MOST_CODES),
            default=64,
        ),
        "--text-encoder": _value(
            "NAME",
            'text encoder: "minilm", "hashing" or a folder (default: %(default)s)',
            default="minilm",
        ),
        "--seed": _SEED,
    },
    "predict": {
        "--output": _TABLE,
        "--json": _JSON,
        "--explain": _flag("write the tokens that contribute most"),
        "--against": _value("CLASS", "with --explain: class to compare with"),
        "--top": _value(
            "N",
            "with --explain: number of tokens per series (default: %(default)s)",
            type=_whole(1),
            default=5,
        ),
    },
    "segment": {"--output": _TABLE, "--json": _JSON},
    "label": {
        "--output": _TABLE,
        "--json": _JSON,
        "--report": _file(
            "HTML", "HTML file to write, which shows recordings and their labels"
        ),
        "--names": {
            "required": True,
            "help": 'names, separated by commas, such as "walking, running, sitting"',
        },
        "--unknown": _value("NAME", "label for segments of other activities"),
        "--units": _UNITS,
        "--sampling-rate": _RATE,
        "--base": _value(
            "NAME",
            "base model, or a file written by build-base (default: %(default)s)",
            default="wearables",
        ),
    },
    "build-base": {
        "--output": _file("BASE", "file to write", required=True),
        "--units": _UNITS,
        "--sampling-rate": _RATE,
        "--seed": _SEED,
    },
    "search": {
        "--output": _TABLE,
        "--json": _JSON,
        "--text": {"required": True, "help": "text to search for"},
    },
    "report": {
        "--output": _file("HTML", "HTML file to write", required=True),
        "--training": _file(
            "DATA",
            "file with the training series; the report lists series that are in both "
            "files, because they inflate scores",
        ),
    },
    "zero-shot": {
        "--output": _TABLE,
        "--json": _JSON,
        "--labels": _value(
            "NAMES", 'candidates, separated by commas, such as "jumping rope, cycling"'
        ),
        "--texts": _file(
            "JSON", f"{_TEXTS}candidate; without --labels, the names are the candidates"
        ),
    },
    "export": {
        "--model": _MODEL,
        "--output": _file("ONNX", "file to write", required=True),
        "--quiet": _QUIET,
    },
}
_ABOUT = {
    "demo": ("run an example on a small data set", _DEMO),
    "fit": ("fit a model to labelled series", _FIT),
    "predict": ("predict the class of each series", _PREDICT),
    "segment": ("divide recordings into segments of one class", _SEGMENT),
    "label": ("label recordings with activity names, using a base model", _LABEL),
    "build-base": ('fit a base model for the command "label"', _BUILD_BASE),
    "search": ("rank series by similarity to a text", _SEARCH),
    "report": ("write an HTML report about a model", _REPORT),
    "zero-shot": ("classify series into unseen classes", _ZERO_SHOT),
    "export": ("export a model to an ONNX file", _EXPORT),
}
_COLUMNS = {
    "label": "that contains the class labels",
    "case": "that identifies the case of each row",
    "recording": "that identifies the recording of each row; may be repeated",
    "time": "that contains the times",
    "subject": "that identifies the person or machine of each row",
}


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
    for name, (help_text, about) in _ABOUT.items():
        reads_series = name not in ("demo", "export")
        is_segment = name in ("segment", "label")
        files = _RECORDINGS.lstrip() if is_segment else _FILES + _RECORDINGS
        command = commands.add_parser(
            name,
            help=help_text,
            description=about,
            epilog=files if reads_series else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if reads_series:
            _add_data(command, name, is_segment)
        for option, arguments in _OPTIONS[name].items():
            command.add_argument(option, **arguments)
    return parser


def _add_data(command: Any, name: str, is_segment: bool) -> None:
    """Add options for series files, their columns, and windows."""
    what = "files or folders with recordings" if is_segment else "files of series"
    if is_segment or name in ("predict", "build-base"):
        command.add_argument("data", **_file("DATA", f"one or more {what}", nargs="+"))
    else:
        command.add_argument("data", **_file("DATA", "file of series"))
    if name not in ("label", "build-base"):
        command.add_argument("--model", **(_NEW_MODEL if name == "fit" else _MODEL))
    for column, text in _COLUMNS.items():
        if is_segment and column == "case":
            continue
        command.add_argument(
            *[f"--{column}-column", *(["--group"] if column == "subject" else [])],
            dest=f"{column}_column",
            metavar="NAME",
            action="append" if column == "recording" else "store",
            help=f"column {text} (default: {column})",
        )
    command.add_argument(
        "--ignore",
        metavar="NAME",
        action="append",
        default=[],
        help="column to ignore; may be repeated",
    )
    default = " (default: length of the training windows)" if is_segment else ""
    for option, text in (
        ("--window", f"length of the windows, such as 2.56s{default}"),
        (
            "--step",
            "time between the starts of windows (default: half the window length)",
        ),
    ):
        command.add_argument(option, **_value("LENGTH", text, type=_duration))
    command.add_argument(
        "--pattern",
        **_value(
            "PATH",
            "pattern of the file paths in a folder of recordings, such as "
            '"{label}/person_{subject}.csv"',
        ),
    )
    command.add_argument(
        "--time-unit",
        choices=("s", "ms", "us", "ns"),
        help="unit of numeric times in recordings",
    )
    if not is_segment:
        command.add_argument(
            "--purity",
            **_value(
                "SHARE",
                "minimum share of the most frequent label in each window of a "
                "recording (default: %(default)s)",
                type=float,
                default=1.0,
            ),
        )
    command.add_argument("--quiet", **_QUIET)
