"""
Long recordings
===============

Segment a long recording of a smart watch into activities, one of which, badminton, is
not in the training data. Then find the windows that match a sentence.
"""

# %%
# A recording
# -----------
# Test series are concatenated to a recording, so that the activity at each time is
# known.

from itertools import pairwise

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

data = load("BasicMotions")
parts, labels = [], []
for activity in [*ACTIVITIES, "standing"]:
    cases = np.flatnonzero(data.y_test == activity)[:5]
    parts += list(data.X_test[cases])
    labels += [activity] * (len(cases) * data.X_test.shape[2])
recording, truth = np.concatenate(parts, axis=1), np.array(labels)
print(recording.shape, "channels and timepoints")

# %%
# The classifier is fitted to windows of ten seconds, without badminton.

recorded = data.y_train != UNSEEN
model = VQTextClassifier(max_epochs=0, random_state=0)
model.fit(data.X_train[recorded], data.y_train[recorded])
print("training classes:", *model.classes_)

# %%
# Segments
# --------
# :func:`~sktext_vq.recordings.segment` classifies the windows of the recording, and
# finds the most probable sequence of classes, in which changes are rare. With
# ``candidate_labels``, classes may be unseen. A window next to a change with a low
# probability is a transition.

table = segment(model, recording, LENGTH, STEP, candidate_labels=ACTIVITIES)
print(table.to_string(index=False))

# %%
# Search
# ------
# :func:`~sktext_vq.recordings.cut_windows` returns a view without copying, and
# ``search`` ranks windows by their similarity to a sentence. Average precision is 1 if
# all windows of running come first.

windows = cut_windows(recording, LENGTH, STEP)
ranked = model.search(windows, SENTENCE)
scores = np.empty(len(windows))
scores[ranked["case"]] = ranked["score"]
is_running = truth[np.arange(len(windows)) * STEP + LENGTH // 2] == "running"
precision = average_precision_score(is_running, scores)
print(f"average precision of {SENTENCE!r}: {precision:.2f}", end="")
print(f", by chance {is_running.mean():.2f}")

# %%
# Segments and scores over time.

names = [*ACTIVITIES, *table["label"][table["transition"]].unique()]
cycle = plt.style.library["tableau-colorblind10"]["axes.prop_cycle"]
colours = dict(zip(names, cycle.by_key()["color"], strict=False))
changes = np.r_[0, np.flatnonzero(truth[1:] != truth[:-1]) + 1, len(truth)]
spans = [(a, b, truth[a]) for a, b in pairwise(changes)]
found = list(zip(table["start"], table["end"], table["label"], strict=True))

figure, (lines, curve) = plt.subplots(
    2, figsize=(9, 4), sharex=True, layout="constrained"
)
for height, row in enumerate((found, spans)):
    for start, end, label in row:
        where = [(start / 10, (end - start) / 10)], (height - 0.4, 0.8)
        lines.broken_barh(*where, color=colours[label])
lines.set_yticks([0, 1], ["found", "true"])
handles = [plt.Rectangle((0, 0), 1, 1, color=colours[name]) for name in names]
lines.legend(handles, names, loc="upper center", bbox_to_anchor=(0.5, 1.4), ncols=4)
middles = (np.arange(len(scores)) * STEP + LENGTH / 2) / 10
curve.plot(middles, scores, color="black")
curve.set(xlabel="seconds", ylabel="score", title=f'"{SENTENCE}"')
plt.show()

# %%
# ``caption`` describes windows in words.

for window in (5, 45):
    print(f"at {middles[window]:.0f} s:", model.caption(windows[[window]])[0])
