"""Input of the commands: models, series, labels and texts."""

from __future__ import annotations

import argparse
import json
import sys
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sktext_vq._cli.outputs import choose_verbosity, print_note
from sktext_vq._io.read import check_extension
from sktext_vq._utils.files import check_target, check_writable
from sktext_vq._utils.validation import find_stack_level
from sktext_vq.classifier import VQTextClassifier
from sktext_vq.persistence import load
from sktext_vq.recordings import (
    LabelledPanel,
    Recordings,
    read_panel,
    read_recordings,
)


def open_model(options: argparse.Namespace) -> VQTextClassifier:
    check_results(options)  # before prediction, which may take minutes
    model = load(options.model)
    if not isinstance(model, VQTextClassifier):
        raise ValueError(
            f"{options.model} contains a transformer, but a classifier is required."
        )
    model.verbose = choose_verbosity(options)
    return model


def check_results(options: argparse.Namespace) -> None:
    """Check that results can be written to the ``--output`` file, if given."""
    if options.output is None:
        return
    check_output(options.output, options)
    if options.command not in ("report", "export") and not options.json:
        check_extension(options.output)


def open_model_and_data(
    options: argparse.Namespace,
) -> tuple[VQTextClassifier, LabelledPanel]:
    model = open_model(options)
    return model, read_matching(model, options.data, "test", options)


def list_files(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield files to read; ``-`` reads file names from standard input."""
    for path in paths:  # before the first file is read
        if str(path) != "-" and not path.exists():
            raise FileNotFoundError(f"The file {path} does not exist.")
    for path in paths:
        if str(path) != "-":
            yield path
        elif sys.stdin is None:
            raise OSError("Standard input is closed. Pass files as arguments.")
        else:
            for line in sys.stdin:
                if name := line.rstrip("\r\n"):
                    yield Path(name)


def check_output(output: Path, options: argparse.Namespace) -> None:
    """Check that a file can be written and is not an input file."""
    check_target(output)
    given = vars(options)
    data = given.get("data")
    paths = [*data] if isinstance(data, list) else [data]
    paths += [given.get(name) for name in ("texts", "training")]
    if options.command != "fit":
        paths.append(given.get("model"))
    elif options.text_encoder not in ("minilm", "hashing"):
        paths.append(Path(options.text_encoder))
    for path in paths:
        if path is not None and _is_part(output, path):
            what = "the same file as" if path.is_file() else "in the folder"
            raise ValueError(
                f"{output} is {what} {path}, which this command reads. Use another "
                "output file."
            )
    check_writable(output)


def _is_part(file: Path, path: Path) -> bool:
    """Return whether `file` is the file `path` or is in the folder `path`."""
    try:
        if path.is_dir():
            return file.exists() and file.resolve().is_relative_to(path.resolve())
        return file.samefile(path)
    except (OSError, ValueError):  # one of the paths does not exist
        return False


_RATE_TOLERANCE = 0.05  # maximum relative difference between equal sampling rates


def _are_equal(rate: float | None, other: float | None) -> bool:
    """Return whether two sampling rates are equal, or one of them is unknown."""
    return not rate or not other or abs(rate / other - 1) <= _RATE_TOLERANCE


def read_part(
    path: Path,
    part: str,
    options: argparse.Namespace,
    sampling_rate: float | None = None,
) -> LabelledPanel:
    """Read series, or cut recordings into windows with a given sampling rate."""
    if options.window is not None:
        length, step, seconds = window_of(options)
        assert length is not None
        windows = read_continuous(path, options).windows(
            length,
            step,
            seconds=seconds,
            purity=options.purity,
            sampling_rate=sampling_rate,
        )
        _check_rate(windows, path, options)
        if windows.resampling is not None:
            print_note(options, windows.resampling)
        return windows
    for name in ("step", "time_unit", "recording_column", "pattern"):
        if getattr(options, name) is not None:
            option = name.replace("_", "-")
            raise ValueError(
                f"--{option} applies only to recordings and requires --window."
            )
    panel = read_panel(
        path,
        part=part,
        label_column=options.label_column,
        case_column=options.case_column,
        time_column=options.time_column,
        subject_column=options.subject_column,
        ignore_columns=options.ignore,
    )
    _check_rate(panel, path, options)
    return panel


def _check_rate(data: LabelledPanel, path: Path, options: argparse.Namespace) -> None:
    given, found = getattr(options, "sampling_rate", None), data.sampling_rate
    if not _are_equal(given, found):
        raise ValueError(
            f"--sampling-rate is {given:g} Hz, but the sampling rate according to "
            f"{path} is {found:g} Hz. Omit --sampling-rate, or correct the times."
        )


def read_continuous(path: Path, options: argparse.Namespace) -> Recordings:
    return read_recordings(
        path,
        recording_column=options.recording_column,
        label_column=options.label_column,
        time_column=options.time_column,
        subject_column=options.subject_column,
        ignore_columns=options.ignore,
        pattern=options.pattern,
        time_unit=options.time_unit,
        sampling_rate=getattr(options, "sampling_rate", None),
    )


def window_of(
    options: argparse.Namespace,
) -> tuple[float | None, float | None, bool]:
    """Return the length and step of windows, and whether they are in seconds."""
    given = [each for each in (options.window, options.step) if each is not None]
    units = {is_seconds for _, is_seconds in given}
    if len(units) > 1:
        raise ValueError(
            "--window and --step must both be in seconds, such as 2.56s, or both in "
            "timepoints."
        )
    length, step = (
        None if each is None else each[0] for each in (options.window, options.step)
    )
    return length, step, units != {False}


def read_matching(
    model: VQTextClassifier, path: Path, part: str, options: argparse.Namespace
) -> LabelledPanel:
    """Read series and match their channels by name to the channels of a model."""
    data = read_part(path, part, options, model.sampling_rate)
    if not _are_equal(data.sampling_rate, model.sampling_rate):
        raise ValueError(
            f"The sampling rate of {path} is {data.sampling_rate:g} Hz, but the "
            f"training series of the model had {model.sampling_rate:g} Hz. Resample "
            "the series, or pass recordings with --window."
        )
    names = model.channel_names_
    own = list(data.channel_names or ())
    unnamed = [f"channel {i}" for i in range(len(names))]
    if not own or own == names or names == unnamed:
        return data
    order = _match_names(names, own)
    if max(order) < 0 and len(own) == len(names):
        # The channel names of the model may have been set by --channel-names.
        warnings.warn(
            f"The channel names of {path} differ from those in the model. Channels are "
            "matched by position: "
            + ", ".join(f"{a} as {b}" for a, b in zip(own, names, strict=True))
            + ".",
            stacklevel=find_stack_level(),
        )
        return data
    lacking = [name for name, at in zip(names, order, strict=True) if at < 0]
    if lacking:
        raise ValueError(
            f"{path} is missing channels required by the model: {lacking}. Channels "
            f"in the file: {own}."
        )
    left_out = [name for i, name in enumerate(own) if i not in order]
    if left_out:
        print_note(options, f"channels not used by the model: {', '.join(left_out)}")
    X = (
        [series[order] for series in data.X]
        if isinstance(data.X, list)
        else data.X[:, order]
    )
    return replace(data, X=X, channel_names=tuple(names))


def _match_names(names: Sequence[str], own: Sequence[str]) -> list[int]:
    """Return the position of each name, ignoring case; -1 if it is missing."""
    found = [own.index(name) if name in own else -1 for name in names]
    folded = [_fold(name) for name in own]
    wanted = [_fold(name) for name in names]
    for i, name in enumerate(wanted):
        # If names in a file differ only in case, names must match exactly.
        if found[i] < 0 and wanted.count(name) == folded.count(name) == 1:
            found[i] = folded.index(name)
    return found


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip().casefold())


def read_labels(
    data: LabelledPanel, options: argparse.Namespace, path: Path | None = None
) -> NDArray[Any]:
    if data.y is None:
        raise ValueError(
            f"{path or options.data} has no labels. In a table, labels are read from "
            f"the column {options.label_column or 'label'!r}. Use --label-column to "
            "specify a different column."
        )
    return data.y


def read_texts(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        texts = json.loads(
            path.read_text(encoding="utf-8-sig"), object_pairs_hook=_without_repeats
        )
    except RecursionError:
        raise ValueError(
            f"{path} contains brackets that are nested too deeply."
        ) from None
    except ValueError as error:
        raise ValueError(f"{path} is not a valid JSON file: {error}") from error
    if not isinstance(texts, dict) or not texts:
        raise ValueError(f"{path} must be a JSON object that maps labels to texts.")
    return texts


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Convert the pairs of a JSON object to a dict and check that keys are unique."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {repeated!r} occurs more than once.")
    return found
