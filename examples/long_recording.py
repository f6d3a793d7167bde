"""
Long recordings
===============

This example divides a long recording from a smartwatch into segments of activities. One
of the activities, badminton, is not in the training data. The second part finds the
windows of the recording that match a sentence.
"""

# %%
# A recording
# -----------
# The recording consists of concatenated test series, so the true activity is known at
# each time. The data frame has one row per timepoint. The recording has a gap of ten
# minutes, and one axis of the gyroscope fails for 20 seconds.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from sktext_vq import VQTextClassifier
from sktext_vq.datasets import load
from sktext_vq.recordings import read_recordings, segment

CHANNELS = ["acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z"]
ACTIVITIES = ["standing", "walking", "running", "badminton"]
UNSEEN = "badminton"
SENTENCE = "somebody runs fast"
RATE = 10  # timepoints per second

data = load("BasicMotions")
parts, truth = [], []
for activity in [*ACTIVITIES, "standing"]:
    cases = np.flatnonzero(data.y_test == activity)[:5]
    parts += list(data.X_test[cases])
    truth += [activity] * (len(cases) * data.X_test.shape[2])
table = pd.DataFrame(np.concatenate(parts, axis=1).T, columns=CHANNELS)
seconds = np.arange(len(table)) / RATE
gap = np.where(seconds < 150, 0, 600)
table["time"] = pd.Timestamp("2025-05-05 07:00") + pd.to_timedelta(
    seconds + gap, unit="s"
)
table["label"] = truth
table.loc[600:800, "gyro_z"] = np.nan
recordings = read_recordings(table)
print(recordings)

# %%
# The classifier is fitted to windows of ten seconds, without the windows of badminton.

recorded = data.y_train != UNSEEN
model = VQTextClassifier(
    channel_names=CHANNELS,
    sampling_rate=RATE,
    random_state=0,
)
model.fit(data.X_train[recorded], data.y_train[recorded])
print("training classes:", *model.classes_)

# %%
# Segments
# --------
# :func:`~sktext_vq.recordings.segment` classifies the windows of the recording, and
# finds the most probable sequence of classes, where changes of the class are rare. The
# activities in this recording are short, so ``self_transition`` is smaller than its
# default. ``candidate_labels`` may contain unseen classes. In the result, gaps have no
# label, and the column ``note`` lists defective channels.

found = segment(
    model, recordings, step=2.5, candidate_labels=ACTIVITIES, self_transition=0.9
)
columns = ["start", "end", "label", "probability", "note"]
print(found[columns].to_string(index=False, float_format="{:.2f}".format))

# %%
# Search
# ------
# ``windows`` cuts the recording into windows, and returns their times and labels.
# ``search`` ranks the windows by their similarity to a sentence. The average precision
# is 1 if all windows of running have a higher rank than the other windows.

windows = recordings[:1].windows(10, 2.5, purity=0.5)
whole = ~np.isnan(windows.X).any(axis=(1, 2))
starts = windows.table["start"][whole].reset_index(drop=True)
ranked = model.search(windows.X[whole], SENTENCE)
scores = np.empty(len(ranked))
scores[ranked["case"]] = ranked["score"]
is_running = windows.y[whole] == "running"
precision = average_precision_score(is_running, scores)
print(f"average precision of {SENTENCE!r}: {precision:.2f}", end="")
print(f", by chance {is_running.mean():.2f}")

# %%
# The upper plot shows the predicted and the true segments. The lower plot shows the
# score of each window for the sentence.

cycle = plt.style.library["tableau-colorblind10"]["axes.prop_cycle"]
colours = dict(zip(ACTIVITIES, cycle.by_key()["color"], strict=False))
new = (table["label"] != table["label"].shift()).cumsum()
true = table.groupby(new).agg(
    start=("time", "first"), end=("time", "last"), label=("label", "first")
)

figure, (lines, curve) = plt.subplots(
    2, figsize=(9, 4), sharex=True, layout="constrained"
)
for height, rows in enumerate((found.dropna(subset="label"), true)):
    for row in rows.itertuples():
        where = [(row.start, row.end - row.start)], (height - 0.4, 0.8)
        lines.broken_barh(*where, color=colours[row.label])
lines.set_yticks([0, 1], ["found", "true"])
handles = [plt.Rectangle((0, 0), 1, 1, color=colours[name]) for name in ACTIVITIES]
lines.legend(handles, colours, loc="upper center", bbox_to_anchor=(0.5, 1.4), ncols=4)
middles = starts + pd.Timedelta(5, "s")
curve.plot(middles, scores, ".", color="black")
curve.set(xlabel="time", ylabel="score", title=f'"{SENTENCE}"')
plt.show()

# %%
# Finally, ``caption`` describes single windows in words.

for i in (5, 25):
    words = model.caption(windows.X[whole][[i]])[0]
    print(f"at {middles[i]:%H:%M:%S}:", words)
