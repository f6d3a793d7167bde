"""The command ``label``: segments of recordings by names, without a model."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pandas as pd

from sktext_vq import wearables
from sktext_vq._cli.inputs import check_results, list_files, read_continuous, window_of
from sktext_vq._cli.outputs import print_note, show_tables
from sktext_vq.recordings import segment


def label_recordings(options: argparse.Namespace) -> None:
    """Divide recordings of a body-worn accelerometer into segments by names."""
    names = [each.strip() for each in options.names.split(",") if each.strip()]
    if len(names) < 2:
        raise ValueError(
            f"--names must be at least two names, separated by commas: {options.names}"
        )
    check_results(options)
    length, step, seconds = window_of(options)
    base = wearables.load_base(options.base)

    def segments() -> Iterator[pd.DataFrame]:
        for path in list_files(options.data):
            recordings = wearables.harmonise(
                read_continuous(path, options), units=options.units
            )
            print_note(options, f"{path}: {recordings!r}", *recordings.notes)
            yield segment(
                base,
                recordings,
                length,
                step,
                seconds=seconds,
                candidate_labels=names,
            )

    show_tables(segments(), options)
