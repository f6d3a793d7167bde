"""
A CSV file of a day
===================

Find the activities of a person, and their total durations, in a recording of a phone.
Labelled recordings of the same sensors are available for five other people.
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
# Fit a classifier to windows of 2.56 seconds, which start every 1.28 seconds. With
# channel names and a sampling rate, the new recording may have other channels as well,
# in any order, and another rate.

windows = labelled.windows(2.56, 1.28)
model = VQTextClassifier(
    channel_names=windows.channel_names,
    sampling_rate=windows.sampling_rate,
    random_state=0,
)
model.fit(windows.X, windows.y, groups=windows.groups)

# %%
# Activities from start to end of the new recording, with the times of the recording,
# and the total duration of each activity. ``found.to_csv("activities.csv")`` writes a
# file.

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
# On the command line:
#
# .. code-block:: console
#
#    python -m sktext_vq fit phones.csv.gz --model model.safetensors --window 2.56s \
#        --label-column activity --subject-column person
#    python -m sktext_vq segment walk.csv.gz --model model.safetensors \
#        --output activities.csv
