"""A long recording: what goes on in it, from when to when, and where a sentence fits.

A smart watch in four activities. Of one of them, badminton, there are no recordings in
training. Test recordings are put in a row to make a long one; then

- `segment` says what goes on, the unseen activity included;
- `search` finds the windows that a sentence is about;
- a figure shows both on a time line.

    python examples/long_recording.py timeline.png
"""

from __future__ import annotations

import sys
from itertools import pairwise
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import average_precision_score

from sktext_vq import VQTextClassifier
from sktext_vq.datasets import load
from sktext_vq.recordings import cut_windows, segment

ACTIVITIES = ["standing", "walking", "running", "badminton"]
UNSEEN = "badminton"
SENTENCE = "somebody runs fast"
LENGTH, STEP = 100, 25  # timepoints of a window; 10 a second


def make_recording(data: Any) -> tuple[np.ndarray, np.ndarray]:
    """Put test recordings in a row, and say what is done at each timepoint."""
    parts, labels = [], []
    for activity in [*ACTIVITIES, "standing"]:
        cases = np.flatnonzero(data.y_test == activity)[:5]
        parts += list(data.X_test[cases])
        labels += [activity] * (len(cases) * data.X_test.shape[2])
    return np.concatenate(parts, axis=1), np.array(labels)


def draw(path: str, truth: np.ndarray, table: Any, scores: np.ndarray) -> None:
    """Draw what is done, what was found, and how well the sentence fits."""
    figure, (lines, curve) = plt.subplots(
        2, 1, figsize=(9, 4), sharex=True, layout="constrained"
    )
    names = [*ACTIVITIES, *(table["label"][table["transition"]].unique())]
    cycle = plt.style.library["tableau-colorblind10"]["axes.prop_cycle"]
    colours = dict(zip(names, cycle.by_key()["color"], strict=False))
    changes = np.r_[0, np.flatnonzero(truth[1:] != truth[:-1]) + 1, len(truth)]
    spans = [(a, b, truth[a]) for a, b in pairwise(changes)]
    found = list(zip(table["start"], table["end"], table["label"], strict=True))
    for height, row in enumerate((found, spans)):
        for start, end, label in row:
            lines.broken_barh(
                [(start / 10, (end - start) / 10)],
                (height - 0.4, 0.8),
                color=colours[label],
            )
    lines.set_yticks([0, 1], ["found", "true"])
    handles = [plt.Rectangle((0, 0), 1, 1, color=colours[name]) for name in names]
    lines.legend(handles, names, loc="upper center", bbox_to_anchor=(0.5, 1.4), ncols=4)
    middles = (np.arange(len(scores)) * STEP + LENGTH / 2) / 10
    curve.plot(middles, scores, color="black")
    curve.set(xlabel="seconds", ylabel="fit", title=f'"{SENTENCE}"')
    figure.savefig(path, dpi=120)


def main(path: str = "timeline.png") -> tuple[Any, float]:
    """Segment and search a recording, and draw it."""
    data = load("BasicMotions")
    recorded = data.y_train != UNSEEN
    model = VQTextClassifier(max_epochs=0, random_state=0)
    model.fit(data.X_train[recorded], data.y_train[recorded])
    recording, truth = make_recording(data)

    table = segment(model, recording, LENGTH, STEP, candidate_labels=ACTIVITIES)
    print(table.to_string(index=False))

    windows = cut_windows(recording, LENGTH, STEP)
    ranked = model.search(windows, SENTENCE)
    scores = np.empty(len(windows))
    scores[ranked["case"]] = ranked["score"]
    is_running = truth[np.arange(len(windows)) * STEP + LENGTH // 2] == "running"
    precision = float(average_precision_score(is_running, scores))
    print(f"average precision of {SENTENCE!r}: {precision:.2f}", end="")
    print(f", by chance {is_running.mean():.2f}")
    draw(path, truth, table, scores)
    return table, precision


if __name__ == "__main__":
    main(*sys.argv[1:2])
