"""Commands of ``python -m sktext_vq``, one function each."""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import time
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sktext_vq._cli import console
from sktext_vq._io.read import check_ending, write_table
from sktext_vq._utils.files import check_target, check_writable, replace_file
from sktext_vq._utils.validation import label_text
from sktext_vq.classifier import VQTextClassifier
from sktext_vq.panel import as_panel
from sktext_vq.persistence import load, save
from sktext_vq.recordings import Recordings, read_recordings

_SHOWN = 20  # rows of a table on a terminal


def demo(options: argparse.Namespace) -> None:
    """Train, compare, explain and report on a small data set."""
    # Only this command needs what it imports.
    from sktext_vq._cli.demo import run_demo

    run_demo(
        options.report,
        left_out=options.left_out,
        say=lambda text: _say(options, *text.split("\n")),
        progress=bool(_progress(options)),
    )


def fit(options: argparse.Namespace) -> None:
    """Fit a classifier to the series of a file, and save it."""
    _check_output(options.model, options)  # before minutes of work
    data = _read(options.data, "train", options)
    y = _labels(data, options)
    names = options.channel_names or data.channel_names
    rate = options.sampling_rate or data.sampling_rate  # options have no 0
    classifier = VQTextClassifier(
        options.codes,
        text=_read_texts(options.texts) or "auto",
        text_encoder=options.text_encoder,
        max_epochs=options.epochs,
        channel_names=names,
        sampling_rate=rate,
        random_state=options.seed,
        verbose=_progress(options),
    )
    start = time.perf_counter()
    classifier.fit(data.X, y, groups=data.groups)
    seconds = time.perf_counter() - start
    save(classifier, options.model)
    labels, counts = np.unique(y, return_counts=True)
    classes = ", ".join(
        f"{label} ({n})" for label, n in zip(labels, counts, strict=True)
    )
    panel = as_panel(data.X)
    _say(
        options,
        f"{panel.n_cases} series of {panel.n_channels} channels and up to "
        f"{panel.n_timepoints} timepoints",
    )
    if names is not None:
        _say(options, f"channels: {', '.join(names)}")
    _say(options, f"sampling rate: {'unknown' if rate is None else f'{rate:g} Hz'}")
    _say(options, f"classes: {classes}")
    if data.groups is not None:
        _say(options, f"groups: {len(np.unique(data.groups))}")
    _say(options, f"fitted in {seconds:.0f} s: {classifier.training_stage_}")
    _say(options, f"saved as {options.model}")


def predict(options: argparse.Namespace) -> None:
    """Write the class of every series with probabilities, or contributions."""
    if options.against is not None and not options.explain:
        raise ValueError("--against needs --explain.")
    model, data = _open(options)
    if options.explain:
        return _write(_explain(model, data, options), options)
    probabilities = model.predict_proba(data.X)
    best = probabilities.argmax(axis=1)
    table = pd.DataFrame(
        {
            "case": _cases(data, len(best)),
            "label": model.classes_[best],
            "probability": probabilities.max(axis=1),
        }
    )
    for label, column in zip(model.classes_, probabilities.T, strict=True):
        table[f"probability of {label}"] = column
    _write(table, options)
    _note_found(table["label"], data, options)
    _note_unknown(data, model.classes_, "that are not in the training data", options)


def _explain(
    model: VQTextClassifier, data: Recordings, options: argparse.Namespace
) -> pd.DataFrame:
    """Return the largest contributions to the class of each series."""
    table = model.explain(data.X, against=_class_of(model, options.against))
    by_size = (
        table["contribution"]
        .abs()
        .groupby(table["case"])
        .rank(method="first", ascending=False)
    )
    table["counts"] = by_size <= options.top
    rest = table[~table["counts"]].groupby(["case", "label", "against"], as_index=False)
    rest = rest.agg(contribution=("contribution", "sum"))
    rest = rest.assign(channel=-1, start=-1, length=0, code=-1, phrase="remainder")
    table = pd.concat([table[table["counts"]], rest])
    table = table.sort_values("case", kind="stable", ignore_index=True)
    names = np.array([*model.channel_names_, None], dtype=object)
    cases = np.array(_cases(data, len(data.X)), dtype=object)
    placed = table["code"] >= 0
    return pd.DataFrame(
        {
            "case": cases[table["case"]],
            "label": table["label"],
            "against": table["against"],
            "contribution": table["contribution"],
            "phrase": table["phrase"],
            "channel": names[table["channel"]],
            **{
                name: table[name].where(placed).astype("Int64").astype(object)
                for name in ("start", "length", "code")
            },
        }
    )


def _class_of(model: VQTextClassifier, name: str | None) -> Any:
    """Return the class with a name; classes may be numbers."""
    if name is None:
        return None
    named = {label_text(label): label for label in model.classes_.tolist()}
    if name not in named:
        raise ValueError(f"--against {name!r} is not a class of the model: {[*named]}.")
    return named[name]


def report(options: argparse.Namespace) -> None:
    """Write an HTML report about a model and the series of a file."""
    from sktext_vq.inspection import write_report

    model, data = _open(options)
    y = _labels(data, options)
    training = None
    if options.training is not None:
        training = _read_for(model, options.training, "train", options).X
    title = f"Report of {options.model}"
    write_report(
        model,
        data.X,
        y,
        options.output,
        X_train=training,
        groups=data.groups,
        case_names=data.cases,
        title=title,
    )
    _say(options, f"written to {options.output}")


def zero_shot(options: argparse.Namespace) -> None:
    """Classify among candidates, which may be unseen, and write reasons."""
    model, data = _open(options)
    texts = _read_texts(options.texts) or {}
    names = [each.strip() for each in (options.labels or "").split(",")]
    names = [name for name in names if name] or list(texts)
    if not names:
        raise ValueError("No candidates given. Use --labels or --texts.")
    candidates: Any = names
    if texts:
        unknown = sorted(set(texts) - set(names))
        if unknown:
            raise ValueError(
                f"{options.texts} has texts about {unknown}, which are not in --labels."
            )
        candidates = {name: texts.get(name) for name in names}
    table = model.explain_zero_shot(data.X, candidates)
    described = model.describe_candidates(candidates)
    table["case"] = _cases(data, len(table))
    if options.json:
        _write_json(
            {
                "candidates": described.to_dict("records"),
                "cases": table.to_dict("records"),
            },
            options,
        )
    else:
        # To standard error, so that a file or a pipe gets the table only.
        for row in described.to_dict("records"):
            _note(options, *_describe(row))
        table["reasons"] = ["; ".join(reasons) for reasons in table["reasons"]]
        _write(table, options)
    _note_found(table["label"], data, options, described.loc[~described["seen"]])
    _note_unknown(data, names, "that are not among the candidates", options)


def _note_found(
    found: pd.Series[Any],
    data: Recordings,
    options: argparse.Namespace,
    unseen: pd.DataFrame | None = None,
) -> None:
    """Print the accuracy, if the file has labels, and that of each unseen class."""
    if data.y is None:
        return
    labels = _texts_of(data.y)
    right = _texts_of(found) == labels
    _note(options, _accuracy("accuracy", right))
    for name in [] if unseen is None else unseen["candidate"]:
        own = labels == name
        if own.any():
            _note(options, _accuracy(f"accuracy on {name} (unseen)", right[own]))


def _accuracy(name: str, right: NDArray[np.bool_]) -> str:
    return f"{name}: {100 * right.mean():.1f} % ({right.sum()} of {len(right)})"


def _note_unknown(
    data: Recordings, known: Any, why: str, options: argparse.Namespace
) -> None:
    """Print which labels of the file cannot be predicted."""
    if data.y is None:
        return
    labels = _texts_of(data.y)
    unknown = labels[~np.isin(labels, _texts_of(known))]
    if len(unknown):
        classes = ", ".join(sorted(set(unknown.tolist())))
        _note(
            options,
            f"{len(unknown)} series have labels {why}: {classes}",
        )


def _texts_of(labels: Iterable[Any]) -> NDArray[np.str_]:
    """Return labels as text, to compare those of different files."""
    return np.array([label_text(label) for label in labels], dtype=np.str_)


def _describe(row: dict[Any, Any]) -> list[str]:
    """Describe a candidate in one or two lines."""
    if row["seen"]:
        return [f"{row['candidate']}: training class"]
    like = ", ".join(row["like"]) or "none of the training classes"
    said = "; ".join(row["texts"][:4])
    return [
        f"{row['candidate']}: unseen class, similar to {like}",
        f"    texts: {said}{' ...' if len(row['texts']) > 4 else ''}",
    ]


def _open(options: argparse.Namespace) -> tuple[Any, Recordings]:
    if options.output is not None:  # before the work
        _check_output(options.output, options)
        if options.command != "report" and not options.json:
            check_ending(options.output)
    model = load(options.model)
    if not isinstance(model, VQTextClassifier):
        raise ValueError(f"{options.model} is a transformer, not a classifier.")
    model.verbose = _progress(options)
    return model, _read_for(model, options.data, "test", options)


def _check_output(output: Path, options: argparse.Namespace) -> None:
    """Check that a file can be written, and is not one of the files to read."""
    check_target(output)
    given = vars(options)
    paths = [given.get(name) for name in ("data", "texts", "training")]
    if options.command != "fit":
        paths.append(options.model)
    elif options.text_encoder not in ("minilm", "hashing"):
        paths.append(Path(options.text_encoder))
    for path in paths:
        if path is not None and _is_part(output, path):
            raise ValueError(
                f"{output} is the same file as {path}, which this command reads: give "
                "another file to write."
                if path.is_file()
                else f"{output} is a file of {path}, which this command reads: give "
                "another file to write."
            )
    check_writable(output)


def _is_part(file: Path, path: Path) -> bool:
    """Return whether a file is the same as another one, or in a folder."""
    try:
        if path.is_dir():
            return file.exists() and file.resolve().is_relative_to(path.resolve())
        return file.samefile(path)
    except (OSError, ValueError):  # one of them is not there
        return False


def _read(path: Path, part: str, options: argparse.Namespace) -> Recordings:
    return read_recordings(
        path,
        part=part,
        label_column=options.label_column,
        case_column=options.case_column,
        time_column=options.time_column,
        subject_column=options.subject_column,
        ignore_columns=options.ignore,
    )


def _read_for(
    model: VQTextClassifier, path: Path, part: str, options: argparse.Namespace
) -> Recordings:
    """Read series, with channels in the order of training where both have names."""
    data, names = _read(path, part, options), model.channel_names_
    own = list(data.channel_names or ())
    unnamed = [f"channel {i}" for i in range(len(names))]
    if not own or own == names or names == unnamed:
        return data
    order = _match_names(names, own)
    if max(order) < 0 and len(own) == len(names):
        # They may have been given to `fit`, in place of those of the file.
        _note(
            options,
            f"warning: channel names of {path} are not those of the model. Channels "
            "are matched by position: "
            + ", ".join(f"{a} as {b}" for a, b in zip(own, names, strict=True)),
        )
        return data
    lacking = [name for name, at in zip(names, order, strict=True) if at < 0]
    if lacking:
        raise ValueError(
            f"{path} has no channels {lacking}, which the model was trained with. "
            f"Its channels are {own}."
        )
    left_out = [name for i, name in enumerate(own) if i not in order]
    if left_out:
        _note(options, f"channels ignored by the model: {', '.join(left_out)}")
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
        # If names of a file differ in case only, they have to be equal.
        if found[i] < 0 and wanted.count(name) == folded.count(name) == 1:
            found[i] = folded.index(name)
    return found


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip().casefold())


def _labels(data: Recordings, options: argparse.Namespace) -> NDArray[Any]:
    if data.y is None:
        raise ValueError(
            f"{options.data} has no labels. In a table they are read from column "
            f"{options.label_column or 'label'!r}; use --label-column to change it."
        )
    return data.y


def _read_texts(path: Path | None) -> dict[str, Any] | None:
    """Read texts about classes."""
    if path is None:
        return None
    try:
        texts = json.loads(
            path.read_text(encoding="utf-8-sig"), object_pairs_hook=_without_repeats
        )
    except RecursionError:
        raise ValueError(f"{path} has too many levels of brackets.") from None
    except ValueError as error:
        raise ValueError(f"{path} is not a valid JSON file: {error}") from error
    if not isinstance(texts, dict) or not texts:
        raise ValueError(f"{path} must be a JSON object from labels to texts.")
    return texts


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dict of the pairs of a JSON object, and check that keys are unique."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {repeated!r} occurs more than once.")
    return found


def _cases(data: Recordings, n_cases: int) -> list[Any]:
    return list(range(n_cases)) if data.cases is None else data.cases


def _progress(options: argparse.Namespace) -> int:
    # No progress bars in files and pipes.
    return int(not options.quiet and console.is_terminal(sys.stderr))


def _say(options: argparse.Namespace, *lines: str) -> None:
    if not options.quiet:
        console.show(*lines)


def _note(options: argparse.Namespace, *lines: str) -> None:
    """Print messages to standard error, apart from results."""
    if not options.quiet:
        console.note(*lines)


def _write(table: pd.DataFrame, options: argparse.Namespace) -> None:
    """Write a table to a file, as JSON, or for reading on a terminal."""
    if options.json:
        return _write_json(table.to_dict("records"), options)
    if options.output is not None:
        write_table(table, options.output)
        _note(options, f"written to {options.output}")
    elif console.is_terminal(sys.stdout):
        shown = table.head(_SHOWN).rename(columns=console.escape)
        shown = shown.map(
            lambda value: console.escape(value) if isinstance(value, str) else value
        )
        with pd.option_context("display.width", 0, "display.max_colwidth", 60):
            print(shown.to_string(index=False))
        if len(table) > _SHOWN:
            print(
                f"... {len(table) - _SHOWN} more rows; use --output FILE to write all"
            )
    else:
        table.to_csv(console.output(), index=False, lineterminator="\n")


def _write_json(content: Any, options: argparse.Namespace) -> None:
    text = json.dumps(_plain(content), indent=1, ensure_ascii=False, allow_nan=False)
    # Line ends are between strings only, and JSON escapes those within.
    text = re.sub(r"[^\n -~]", _escape_for_json, text)
    if options.output is not None:
        replace_file(options.output, (text + "\n").encode())
        _note(options, f"written to {options.output}")
        return
    output = console.output()
    try:
        text.encode(output.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(json.loads(text), indent=1)
    print(text, file=output)


def _escape_for_json(found: re.Match[str]) -> str:
    """Escape a character that a terminal may act on, or that UTF-8 cannot hold."""
    character = found[0]
    is_shown = console.escape(character) == character
    return character if is_shown else f"\\u{ord(character):04x}"


def _plain(value: Any) -> Any:
    """Convert values of numpy and pandas to those of JSON, which has no NaN."""
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
