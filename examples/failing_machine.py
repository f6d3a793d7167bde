"""
A machine with failures and gaps
================================

Recordings of machines often have irregular times, missing rows, and sensors with
different sampling rates. In this example, a classifier is fitted to recordings of four
machines, and used to find the failures of two other machines. The recordings are
simulated from power measurements of appliances (the data set ACSF1, which comes with
sktime): fridges represent normal operation, and computers represent a failure.
"""

# %%
# Create a table with six machines, each of which is simulated from four appliances. The
# column ``power`` has a value about every ten seconds, and the column ``current`` about
# every twenty seconds. 3 % of the rows are missing, and each machine is offline for ten
# minutes.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sktext_vq import VQTextClassifier
from sktext_vq.datasets import load
from sktext_vq.recordings import read_recordings, segment

data = load("ACSF1")
X = np.concatenate([data.X_train, data.X_test]).reshape(-1, 365, 4)  # four quantities
y = np.concatenate([data.y_train, data.y_test])
rng = np.random.default_rng(0)
parts = []
for machine in range(6):
    start = pd.Timestamp("2025-03-03 06:00")
    for block in range(4):
        state = ["ok", "failure"][block % 2]
        cases = np.flatnonzero(y == {"ok": "3", "failure": "2"}[state])
        values = X[cases[2 * machine + block // 2]]
        seconds = np.cumsum(rng.uniform(9, 11, len(values)))
        part = pd.DataFrame({"power": values[:, 1], "current": values[:, 3]})
        part["timestamp"] = start + pd.to_timedelta(seconds, unit="s").round("ms")
        part["machine_id"], part["state"] = f"press {machine}", state
        part.loc[1::2, "current"] = np.nan
        kept = rng.random(len(part)) > 0.03
        if block == machine % 4:
            kept[150:210] = False
        parts.append(part[kept])
        start = part["timestamp"].iloc[-1]
table = pd.concat(parts, ignore_index=True)
table.head()

# %%
# Read the table, and cut four of the recordings into windows. Irregular times are
# resampled, and windows never span a gap.

recordings = read_recordings(table, label_column="state", recording_column="machine_id")
print(recordings)
windows = recordings[:4].windows(300, 60)
print(windows.X.shape, windows.resampling)

# %%
# Fit a classifier to the windows of four machines, and find the failures of the other
# two machines.

model = VQTextClassifier(
    channel_names=windows.channel_names,
    sampling_rate=windows.sampling_rate,
    random_state=0,
)
model.fit(windows.X, windows.y, groups=windows.groups)
found = segment(model, recordings[4:])
print(
    found.drop(columns="transition").to_string(
        index=False, float_format="{:.2f}".format
    )
)

# %%
# Plot the predicted and the true failures of one machine. While the machine is offline,
# there is no label.

figure, axis = plt.subplots(figsize=(9, 3), layout="constrained")
one = recordings[5]
axis.plot(one.times[0], one.values[0][0], ".", color="black", ms=2)
for row in found[found["recording"] == one.names[0]].itertuples():
    colour = {"ok": "C0", "failure": "C3"}.get(row.label, "0.6")
    axis.axvspan(row.start, row.end, color=colour, alpha=0.3, lw=0)
is_failure = np.asarray(one.labels[0]) == "failure"
axis.plot(one.times[0][is_failure], np.full(is_failure.sum(), -2), "s", color="C3")
axis.set(xlabel="time", ylabel="power, standardised", title="red: found, squares: true")
plt.show()
