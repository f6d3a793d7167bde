"""Functions that run the commands of ``python -m sktext_vq``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sktext_vq._cli.inputs import (
    check_output,
    list_files,
    open_model,
    open_model_and_data,
    read_continuous,
    read_labels,
    read_matching,
    read_part,
    read_texts,
    window_of,
)
from sktext_vq._cli.outputs import (
    choose_verbosity,
    name_cases,
    print_note,
    print_result,
    show_table,
    show_tables,
    with_file,
    write_json,
)
from sktext_vq._utils.validation import label_text
from sktext_vq.classifier import VQTextClassifier
from sktext_vq.persistence import save
from sktext_vq.recordings import LabelledPanel


def demo(options: argparse.Namespace) -> None:
    # Imported here, because only this command needs the module.
    from sktext_vq._cli.demo import run_demo

    run_demo(
        options.report,
        echo=lambda text: print_result(options, *text.split("\n")),
        progress=bool(choose_verbosity(options)),
    )


def fit(options: argparse.Namespace) -> None:
    """Fit a classifier to the series in a file and save it."""
    check_output(options.model, options)  # before fitting, which may take minutes
    data = read_part(options.data, "train", options)
    y = read_labels(data, options)
    names = options.channel_names or data.channel_names
    rate = options.sampling_rate or data.sampling_rate  # a rate of 0 is invalid
    classifier = VQTextClassifier(
        options.codes,
        text=read_texts(options.texts) or "auto",
        text_encoder=options.text_encoder,
        max_epochs=options.epochs,
        channel_names=names,
        sampling_rate=rate,
        random_state=options.seed,
        verbose=choose_verbosity(options),
    )
    start = time.perf_counter()
    classifier.fit(data.X, y, groups=data.groups, init=options.init)
    seconds = time.perf_counter() - start
    save(classifier, options.model)
    labels, counts = np.unique(y, return_counts=True)
    classes = ", ".join(
        f"{label} ({n})" for label, n in zip(labels, counts, strict=True)
    )
    groups = 0 if data.groups is None else len(np.unique(data.groups))
    print_result(
        options,
        f"{len(y)} series of {classifier.n_channels_} channels and up to "
        f"{classifier.n_timepoints_} timepoints",
        *([] if names is None else [f"channels: {', '.join(names)}"]),
        f"sampling rate: {'unknown' if rate is None else f'{rate:g} Hz'}",
        f"classes: {classes}",
        *([f"groups: {groups}"] if groups else []),
        f"fitted in {seconds:.0f} s ({classifier.training_stage_})",
        f"saved as {options.model}",
    )


def predict(options: argparse.Namespace) -> None:
    """Write the class and probabilities of each series, or token contributions."""
    if options.against is not None and not options.explain:
        raise ValueError("--against requires --explain.")
    model = open_model(options)
    show_tables(_predict_files(model, options), options)


def _predict_files(
    model: VQTextClassifier, options: argparse.Namespace
) -> Iterator[pd.DataFrame]:
    """Yield the predictions or contributions of each file."""
    for path in list_files(options.data):
        data = read_matching(model, path, "test", options)
        if options.explain:
            table = _explain(model, data, options)
        else:
            table = _predict(model, data)
        table = with_file(table, path, options)
        if "file" in table:
            print_note(options, f"{path}:")
        if not options.explain:
            _note_found(table["label"], data, options)
            why = "that are not in the training data"
            _note_unknown(data, model.classes_, why, options)
        yield table


def _predict(model: VQTextClassifier, data: LabelledPanel) -> pd.DataFrame:
    probabilities = model.predict_proba(data.X)
    best = probabilities.argmax(axis=1)
    table = name_cases(data).assign(
        label=model.classes_[best], probability=probabilities.max(axis=1)
    )
    for label, column in zip(model.classes_, probabilities.T, strict=True):
        table[f"probability of {label}"] = column
    return table


def _explain(
    model: VQTextClassifier, data: LabelledPanel, options: argparse.Namespace
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
    cases = name_cases(data).iloc[table["case"]].reset_index(drop=True)
    # The columns start and length contain timepoints of tokens in a window.
    cases = cases.rename(columns={"start": "window_start", "end": "window_end"})
    placed = table["code"] >= 0
    return cases.assign(
        **{
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
    """Return the class with a given name; classes may be numbers."""
    if name is None:
        return None
    named = {label_text(label): label for label in model.classes_.tolist()}
    if name not in named:
        raise ValueError(
            f"--against must be a class of the model, got {name!r}. Classes: "
            f"{[*named]}."
        )
    return named[name]


def segment(options: argparse.Namespace) -> None:
    from sktext_vq.recordings import segment as segment_recordings

    length, step, seconds = window_of(options)
    model = open_model(options)

    def segments() -> Iterator[pd.DataFrame]:
        for path in list_files(options.data):
            recordings = read_continuous(path, options)
            print_note(options, f"{path}: {recordings!r}")
            found = segment_recordings(model, recordings, length, step, seconds=seconds)
            yield with_file(found, path, options)

    show_tables(segments(), options)


def label(options: argparse.Namespace) -> None:
    from sktext_vq._cli.labels import label_recordings

    label_recordings(options)


def build_base(options: argparse.Namespace) -> None:
    from sktext_vq._cli.labels import build_base as build

    build(options)


def search(options: argparse.Namespace) -> None:
    model, data = open_model_and_data(options)
    found = model.search(data.X, options.text)
    cases = name_cases(data).iloc[found["case"]].reset_index(drop=True)
    show_table(cases.assign(score=found["score"].to_numpy()), options)


def export(options: argparse.Namespace) -> None:
    from sktext_vq.export import export_onnx

    model = open_model(options)
    export_onnx(model, options.output)
    print_result(options, f"written to {options.output}")


def report(options: argparse.Namespace) -> None:
    from sktext_vq.inspection import write_report

    model, data = open_model_and_data(options)
    y = read_labels(data, options)
    training = None
    if options.training is not None:
        training = read_matching(model, options.training, "train", options).X
    names = data.cases
    if data.table is not None:
        about = data.table[["recording", "start"]].astype(str)
        names = about.agg(" ".join, axis=1).tolist()
    title = f"Report on {options.model}"
    write_report(
        model,
        data.X,
        y,
        options.output,
        X_train=training,
        groups=data.groups,
        case_names=names,
        title=title,
    )
    print_result(options, f"written to {options.output}")


def zero_shot(options: argparse.Namespace) -> None:
    """Classify series into candidates, which may be unseen, with explanations."""
    model, data = open_model_and_data(options)
    texts = read_texts(options.texts) or {}
    names = [each.strip() for each in (options.labels or "").split(",")]
    names = [name for name in names if name] or list(texts)
    if not names:
        raise ValueError("No candidates were given. Use --labels or --texts.")
    candidates: Any = names
    if texts:
        unknown = sorted(set(texts) - set(names))
        if unknown:
            raise ValueError(
                f"{options.texts} contains texts about {unknown}, which are not "
                "listed in --labels. Add these names to --labels or remove their "
                "texts."
            )
        candidates = {name: texts.get(name) for name in names}
    table = model.explain_zero_shot(data.X, candidates)
    described = model.describe_candidates(candidates)
    table = pd.concat([name_cases(data), table.drop(columns="case")], axis=1)
    if options.json:
        write_json(
            {
                "candidates": described.to_dict("records"),
                "cases": table.to_dict("records"),
            },
            options,
        )
    else:
        # To standard error, so that a file or a pipe receives only the table.
        for row in described.to_dict("records"):
            print_note(options, *_describe(row))
        table["reasons"] = ["; ".join(reasons) for reasons in table["reasons"]]
        show_table(table, options)
    _note_found(table["label"], data, options, described.loc[~described["seen"]])
    _note_unknown(data, names, "that are not among the candidates", options)


def _note_found(
    found: pd.Series[Any],
    data: LabelledPanel,
    options: argparse.Namespace,
    unseen: pd.DataFrame | None = None,
) -> None:
    """Print the accuracy on all series and each unseen class if labels are given."""
    if data.y is None:
        return
    labels = _texts_of(data.y)
    right = _texts_of(found) == labels
    print_note(options, _accuracy("accuracy", right))
    for name in [] if unseen is None else unseen["candidate"]:
        own = labels == name
        if own.any():
            print_note(options, _accuracy(f"accuracy on {name} (unseen)", right[own]))


def _accuracy(name: str, right: NDArray[np.bool_]) -> str:
    return f"{name}: {100 * right.mean():.1f} % ({right.sum()} of {len(right)})"


def _note_unknown(
    data: LabelledPanel, known: Any, why: str, options: argparse.Namespace
) -> None:
    """Print the labels in the file that cannot be predicted."""
    if data.y is None:
        return
    labels = _texts_of(data.y)
    unknown = labels[~np.isin(labels, _texts_of(known))]
    if len(unknown):
        classes = ", ".join(sorted(set(unknown.tolist())))
        print_note(
            options,
            f"{len(unknown)} series have labels {why}: {classes}",
        )


def _texts_of(labels: Iterable[Any]) -> NDArray[np.str_]:
    """Convert labels to text so that labels from different files can be compared."""
    return np.array([label_text(label) for label in labels], dtype=np.str_)


def _describe(row: dict[Any, Any]) -> list[str]:
    """Describe a candidate in one or two lines."""
    if row["seen"]:
        return [f"{row['candidate']}: training class"]
    like = ", ".join(row["like"]) or "none of the training classes"
    texts = "; ".join(row["texts"][:4])
    return [
        f"{row['candidate']}: unseen class, similar to {like}",
        f"    texts: {texts}{' ...' if len(row['texts']) > 4 else ''}",
    ]
