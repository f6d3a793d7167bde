"""The ``label`` and ``build-base`` commands for wearable base models."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sktext_vq import wearables
from sktext_vq._cli.inputs import (
    check_output,
    check_results,
    list_files,
    read_continuous,
    read_labels,
    read_part,
    window_of,
)
from sktext_vq._cli.outputs import print_note, print_result, show_tables, with_file
from sktext_vq.recordings import segment


def label_recordings(options: argparse.Namespace) -> None:
    """Label recordings from a body-worn accelerometer with activity names."""
    # Imported here, because only this command needs the page template.
    from sktext_vq.inspection._label_page import describe_recordings, write_label_page

    names = [each.strip() for each in options.names.split(",") if each.strip()]
    if len(names) < 2:
        raise ValueError(
            "--names must contain at least two names, separated by commas, got "
            f"{options.names!r}."
        )
    labels = names if options.unknown is None else [*names, options.unknown]
    check_results(options)
    if options.report is not None:
        check_output(options.report, options)
    length, step, seconds = window_of(options)
    base: Any = wearables.load_base(options.base)
    drawn: list[dict[str, Any]] = []
    notes: list[str] = []

    def segments() -> Iterator[pd.DataFrame]:
        for path in list_files(options.data):
            recordings = wearables.harmonise(
                read_continuous(path, options), units=options.units
            )
            print_note(options, f"{path}: {recordings!r}", *recordings.notes)
            found = segment(
                base,
                recordings,
                length,
                step,
                seconds=seconds,
                candidate_labels=names,
                unknown_label=options.unknown,
            )
            if options.report is not None:
                drawn.extend(
                    describe_recordings(base, recordings, found, names, labels)
                )
                notes.extend(recordings.notes)
            yield with_file(found, path, options)

    show_tables(segments(), options)
    if options.report is not None:
        write_label_page(drawn, notes, labels, base.card_, options.report)
        print_note(options, f"written to {options.report}")


def build_base(options: argparse.Namespace) -> None:
    """Fit a base model to files of labelled series, with one data set per file."""
    check_output(options.output, options)
    sets = [_read_set(path, options) for path in list_files(options.data)]
    wearables.build_base(sets, options.output, random_state=options.seed)
    for each in sets:
        labels = ", ".join(np.unique(np.asarray(each.y)).tolist())
        print_result(options, f"{each.name}: {len(each.X)} windows of {labels}")
    print_result(options, f"saved as {options.output}")


def _read_set(path: Path, options: argparse.Namespace) -> wearables.LabelledSet:
    data = read_part(path, "train", options)
    labels = read_labels(data, options, path)
    rate = options.sampling_rate or data.sampling_rate  # a rate of 0 is invalid
    if data.channel_names is None or rate is None:
        raise ValueError(
            f"The channel names or sampling rate of {path} could not be determined. "
            "Use channel names such as acc_x in the file and set --sampling-rate."
        )
    return wearables.LabelledSet(
        path.stem,
        data.X,
        labels,
        list(data.channel_names),
        rate,
        data.groups,
        units=options.units,
    )
