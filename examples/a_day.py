"""
A CSV file of a day
===================

This example finds the activities of a person, and their total durations, in a recording
of a phone. The classifier is fitted to labelled recordings of five other people.
"""

# %%
# Both files have one row per timepoint and columns for the time and for each channel.
# The file with labels also has columns for the activity and the person.

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from sktext_vq import VQTextClassifier
from sktext_vq.recordings import read_recordings, segment

here = Path(__file__).parent if "__file__" in globals() else Path()
labelled = read_recordings(
    here / "data" / "phones.csv.gz", label_column="activity", subject_column="person"
)
day = read_recordings(here / "data" / "walk.csv.gz")
print(labelled, day, sep="\n")

# %%
# Fit a classifier to windows of 2.56 seconds, which start every 1.28 seconds. If the
# classifier has channel names and a sampling rate, the channels of the new recording
# may be in another order, and its sampling rate may be different.

windows = labelled.windows(2.56, 1.28)
model = VQTextClassifier(
    channel_names=windows.channel_names,
    sampling_rate=windows.sampling_rate,
    random_state=0,
)
model.fit(windows.X, windows.y, groups=windows.groups)

# %%
# ``segment`` returns a table with a row for each segment of the new recording. Each
# segment has a single activity. The sums of the durations show how long the person
# performed each activity.

found = segment(model, day)
print(
    found[["start", "end", "label", "probability"]].to_string(
        index=False, float_format="{:.2f}".format
    )
)
duration = found["end"] - found["start"]
print(duration.groupby(found["label"]).sum().dt.total_seconds().round(1))

# %%
# Plot the acceleration and the activities.

figure, axis = plt.subplots(figsize=(9, 3), layout="constrained")
strength = np.linalg.norm(day.values[0][:3], axis=0)
axis.plot(day.times[0], strength, color="black", lw=0.5)
for number, row in enumerate(found.itertuples()):
    axis.axvspan(row.start, row.end, color=f"C{number}", alpha=0.3, lw=0)
    middle = row.start + (row.end - row.start) / 2
    label = row.label.replace(" ", "\n")
    axis.text(middle, 1.02, label, ha="center", transform=axis.get_xaxis_transform())
axis.set(xlabel="time", ylabel="acceleration in g")
axis.margins(x=0)
plt.show()

# %%
# The following commands do the same on the command line:
#
# .. code-block:: console
#
#    python -m sktext_vq fit phones.csv.gz --model model.safetensors --window 2.56s \
#        --label-column activity --subject-column person
#    python -m sktext_vq segment walk.csv.gz --model model.safetensors \
#        --output activities.csv
