"""
A machine with failures and gaps
================================

Sensors of machines have irregular times, rows that were not stored, and a sensor that
is slower than another. A model of some machines finds the failures of others. Values
are measured power of appliances, from ACSF1, which is installed with sktime: fridges
stand in for a machine at work, and computers for a failure.
"""

# %%
# A table of six machines, each from four other appliances. ``power`` has a value about
# every ten seconds, and ``current`` every twenty. Three in a hundred rows are lost, and
# each machine was offline for ten minutes.

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
# Read it. Gaps and irregular times need no preparation: windows are interpolated, and
# never span a gap.

recordings = read_recordings(table, label_column="state", recording_column="machine_id")
print(recordings)
windows = recordings[:4].windows(300, 60)
print(windows.X.shape, windows.resampling)

# %%
# Fit a model to four machines, and find the failures of the others.

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
# Failures of a machine, found and true. Offline times have no label.

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
