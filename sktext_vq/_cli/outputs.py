"""Output of the command-line interface: tables, JSON and messages."""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sktext_vq._cli import console
from sktext_vq._io.read import write_table
from sktext_vq._utils.files import replace_file
from sktext_vq.recordings import LabelledPanel

_SHOWN = 20  # rows of a table on a terminal


def name_cases(data: LabelledPanel) -> pd.DataFrame:
    """Return a table with the name of each case or the times of each window."""
    if data.table is not None:
        return data.table
    cases = range(len(data.X)) if data.cases is None else data.cases
    return pd.DataFrame({"case": cases})


def with_file(
    table: pd.DataFrame, path: Path, options: argparse.Namespace
) -> pd.DataFrame:
    """Return a table with the column ``file`` added if there are several files."""
    if len(options.data) == 1 and str(options.data[0]) != "-":
        return table
    table = table.copy()
    table.insert(0, "file", str(path))
    return table


def choose_verbosity(options: argparse.Namespace) -> int:
    # No progress bars in files and pipes.
    return int(not options.quiet and console.is_terminal(sys.stderr))


def print_result(options: argparse.Namespace, *lines: str) -> None:
    if not options.quiet:
        console.show(*lines)


def print_note(options: argparse.Namespace, *lines: str) -> None:
    """Print messages to standard error, separately from results."""
    if not options.quiet:
        console.note(*lines)


def show_tables(tables: Iterable[pd.DataFrame], options: argparse.Namespace) -> None:
    """Write the tables of several files as one table.

    If the output is a pipe, each table is written as soon as it is available.
    """
    is_file = options.json or options.output is not None
    if is_file or console.is_terminal(sys.stdout):
        return show_table(pd.concat(tables, ignore_index=True), options)
    columns = None
    for table in tables:
        if columns is None:
            columns = list(table.columns)
            table.to_csv(console.output(), index=False, lineterminator="\n")
        else:
            table = table.reindex(columns=columns)
            table.to_csv(
                console.output(), index=False, header=False, lineterminator="\n"
            )
        console.output().flush()


def show_table(table: pd.DataFrame, options: argparse.Namespace) -> None:
    """Write a table to a file or to standard output."""
    if options.json:
        return write_json(table.to_dict("records"), options)
    if options.output is not None:
        write_table(table, options.output)
        print_note(options, f"written to {options.output}")
    elif console.is_terminal(sys.stdout):
        shown = table.head(_SHOWN).rename(columns=console.escape)
        shown = shown.map(
            lambda value: console.escape(value) if isinstance(value, str) else value
        )
        with pd.option_context("display.width", 0, "display.max_colwidth", 60):
            print(shown.to_string(index=False))
        if len(table) > _SHOWN:
            print(
                f"... {len(table) - _SHOWN} more rows; use --output FILE to write all "
                "rows"
            )
    else:
        table.to_csv(console.output(), index=False, lineterminator="\n")


def write_json(content: Any, options: argparse.Namespace) -> None:
    text = json.dumps(_plain(content), indent=1, ensure_ascii=False, allow_nan=False)
    # Newlines occur only between strings; within strings, JSON escapes them.
    text = re.sub(r"[^\n -~]", _escape_for_json, text)
    if options.output is not None:
        replace_file(options.output, (text + "\n").encode())
        print_note(options, f"written to {options.output}")
        return
    output = console.output()
    try:
        text.encode(output.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(json.loads(text), indent=1)
    print(text, file=output)


def _escape_for_json(found: re.Match[str]) -> str:
    """Escape a character that terminals may interpret or UTF-8 cannot encode."""
    character = found[0]
    is_shown = console.escape(character) == character
    return character if is_shown else f"\\u{ord(character):04x}"


def _plain(value: Any) -> Any:
    """Convert NumPy and pandas values to JSON values; NaN is converted to null."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | None) else str(value)
