"""Functions to read files from the UEA and UCR archives."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sktext_vq._utils.files import check_path
from sktext_vq._utils.validation import format_names

Series = NDArray[np.floating[Any]] | list[NDArray[np.floating[Any]]]


def read_ts(path: str | os.PathLike[str]) -> tuple[Series, NDArray[np.str_] | None]:
    r"""Read a ``.ts`` file, the format of the UEA and UCR archives.

    Parameters
    ----------
    path : path-like
        File to read. ``?`` and ``NaN`` are missing values.

    Returns
    -------
    X : ndarray of shape (n_cases, n_channels, n_timepoints) or list of ndarray
        Series; a list of (n_channels, n_timepoints_i) arrays if lengths differ.
    y : ndarray of str, shape (n_cases,), or None
        Class labels in lower case, as in sktime, or regression targets as text. None
        if the file has no labels.

    Raises
    ------
    ValueError
        If the file is not a valid ``.ts`` file in UTF-8, has timestamps, or has labels
        that its header does not declare or that differ only in upper and lower case.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from sktext_vq.datasets import read_ts
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "two_TRAIN.ts")
    ...     lines = ["@classLabel true up down", "@data", "1,2,3:up", "3,?,1:down"]
    ...     _ = path.write_text("\n".join(lines))
    ...     X, y = read_ts(path)
    >>> X.shape, y.tolist()
    ((2, 1, 3), ['up', 'down'])
    """
    path = check_path(path)
    cases: list[NDArray[np.float64]] = []
    labels: list[str] = []
    kind, declared, in_data = "", [""], False
    for place, text in _lines(path):
        line = text.lower()
        if in_data:
            channels = line.split(":")
            if kind:
                labels.append(_check_label(channels.pop(), kind, declared, place))
            cases.append(_stack([one.split(",") for one in channels], cases, place))
            continue
        key, *values = line.split()
        if key == "@timestamps" and values[:1] == ["true"]:
            raise ValueError(f"{path} has timestamps, which are not supported.")
        if key in ("@classlabel", "@targetlabel") and values[:1] == ["true"]:
            kind, declared = key, values[1:]
            _check_declared(text.split()[2:], kind, place)
        in_data = key == "@data"
    if not cases:
        raise ValueError(
            f"{path} is not a valid .ts file: there are no series after the @data line."
        )
    X: Series = [*cases]
    if len({case.shape for case in cases}) == 1:
        X = np.stack(cases)
    return X, np.array(labels, dtype=np.str_) if kind else None


def _check_declared(declared: list[str], kind: str, place: str) -> None:
    """Check the labels declared in a header."""
    if kind == "@targetlabel":
        return
    if not declared:
        raise ValueError(f"{place} must list all class labels after 'true'.")
    if len({label.lower() for label in declared}) < len(set(declared)):
        raise ValueError(
            f"{place} declares labels that differ only in letter case: "
            f"{format_names(declared)}. Rename them, since labels are converted to "
            "lower case."
        )


def _check_label(label: str, kind: str, declared: list[str], place: str) -> str:
    """Check that a label is declared, or that a target is a number."""
    label = label.strip()
    if kind == "@targetlabel":
        try:
            float(label)
        except ValueError as error:
            raise ValueError(
                f"{place} ends in {label!r}, which is not a number. According to the "
                "header, each line ends in a numeric target."
            ) from error
    elif label not in declared:
        raise ValueError(
            f"{place} ends in {label!r}, which is not among the labels declared in "
            f"the header: {format_names(declared)}. End each line with a colon and a "
            "label, and declare all labels after '@classLabel true'."
        )
    return label


def read_tsv(path: Path) -> tuple[Series, NDArray[np.str_]]:
    """Read a ``.tsv`` file from the UCR archive, whose lines begin with the label.

    Missing values at the end of a series are padding and are removed.
    """
    cases: list[NDArray[np.float64]] = []
    labels = []
    for place, line in _lines(path):
        label, *cells = line.split("\t" if "\t" in line else None)
        labels.append(label)
        cases.append(_stack([_filled(cells)], cases, place))
    return _without_padding(cases, path), np.array(labels, dtype=np.str_)


def read_arff(path: Path) -> tuple[Series, NDArray[np.str_]]:
    """Read an ``.arff`` file from the UEA archive; the last attribute is the label.

    Multivariate series are stored as a relational attribute, a quoted cell with one
    line per channel.
    """
    cases: list[NDArray[np.float64]] = []
    labels, in_data = [], False
    for place, line in _lines(path):
        if not in_data:
            in_data = line.lower() == "@data"
            continue
        # A label may be quoted.
        match = re.fullmatch(r"(.*?),\s*('[^']*'|\"[^\"]*\"|[^,'\"]*)", line)
        if match is None:
            raise ValueError(
                f"{place} does not consist of a series of values followed by a label."
            )
        labels.append(match[2].strip().strip("'\""))
        channels = match[1].strip().strip("'\"").split("\\n")
        cells = [_filled(one.split(",")) for one in channels]
        cases.append(_stack(cells, cases, place))
    return _without_padding(cases, path), np.array(labels, dtype=np.str_)


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the position and text of lines that are neither empty nor comments."""
    with path.open("rb") as file:
        for number, content in enumerate(file, start=1):
            content = content.removeprefix(codecs.BOM_UTF8).strip()
            if not content or content.startswith((b"#", b"%")):
                continue
            if fault := fault_of_text(content):
                raise ValueError(
                    f"Line {number} of {path} has {fault}. {SAVE_AS_UTF_8}"
                )
            yield f"Line {number} of {path}", content.decode()


def _filled(cells: list[str]) -> list[str]:
    return [cell.strip() or "nan" for cell in cells]


def _stack(
    channels: list[list[str]], cases: list[NDArray[np.float64]], place: str
) -> NDArray[np.float64]:
    """Parse the channels of a series and check their number and lengths."""
    cells = [[cell.strip().replace("?", "nan") for cell in one] for one in channels]
    try:
        series = np.array(cells, np.float64)
    except ValueError as error:
        raise ValueError(
            f"{place} is not a valid series: {error}. All channels must have the same "
            "number of values, separated by commas. In .ts files, channels are "
            "separated by colons."
        ) from error
    if not series.size:
        raise ValueError(f"{place} has a label but no values.")
    if cases and len(series) != len(cases[0]):
        raise ValueError(
            f"{place} has {len(series)} channels, but the first series has "
            f"{len(cases[0])}."
        )
    return series


def _without_padding(cases: list[NDArray[np.float64]], path: Path) -> Series:
    """Remove missing values at the end of series; return a list if lengths differ."""
    if not cases:
        raise ValueError(f"{path} has no series.")
    cut: list[NDArray[np.floating[Any]]] = []
    for case in cases:
        known = np.flatnonzero(~np.isnan(case).all(axis=0))
        cut.append(case[:, : known[-1] + 1] if len(known) else case)
    return np.stack(cut) if len({case.shape for case in cut}) == 1 else cut


SAVE_AS_UTF_8 = "Save the file as UTF-8 text."


def fault_of_text(line: bytes) -> str | None:
    """Return the reason why a line is not valid UTF-8 text, or None."""
    try:
        line.decode()
    except UnicodeDecodeError as error:
        byte = line[error.start]
        return f"a byte that is not UTF-8, 0x{byte:02x},"
    return "a NUL character" if b"\0" in line else None
