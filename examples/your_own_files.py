"""
Your own files
==============

This example fits a model to a table that is stored in a file, and predicts new series,
on the command line and in Python. There are two common layouts of tables: *long* tables
have one row per case and timepoint, and *wide* tables have one row per case.
"""

# %%
# The data are simulated: two machines run smoothly or with a loose part. Each case has
# two channels and 60 to 90 timepoints. The series have unequal lengths, and some values
# are missing.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import sktext_vq
from sktext_vq import VQTextClassifier
from sktext_vq.__main__ import main
from sktext_vq.datasets import load
from sktext_vq.recordings import read_panel

folder = Path(tempfile.mkdtemp())
rng = np.random.default_rng(0)


def record(case: int) -> pd.DataFrame:
    """Simulate a case: vibration, and current with missing values."""
    state = ["smooth running", "loose part"][case % 2]
    time = np.arange(rng.integers(60, 91))
    vibration = np.sin(time / 2 + rng.uniform(0, 6)) + rng.normal(0, 0.4, len(time))
    if state == "loose part":
        for start in rng.integers(0, len(time) - 6, 4):
            vibration[start : start + 6] += [3, -3, 2, -2, 1, -1]
    current = 5 + rng.normal(0, 0.3, len(time)).cumsum() / 3
    current[rng.random(len(time)) < 0.05] = np.nan
    return pd.DataFrame(
        {
            "case": f"run {case}",
            "time": time,
            "vibration": vibration,
            "current": current,
            "label": state,
            "subject": f"machine {case // 2 % 2}",
        }
    )


long = pd.concat([record(case) for case in range(60)], ignore_index=True)
new = long["case"].isin([f"run {case}" for case in range(40, 60)])
long[~new].round(3).to_csv(folder / "train.csv", index=False)
long[new].round(3).to_csv(folder / "new.csv", index=False)
long.head().round(3)

# %%
# On the command line
# -------------------
# The following commands fit a model to the file ``train.csv`` and predict the classes
# of the series in ``new.csv``:
#
# .. code-block:: console
#
#    python -m sktext_vq fit train.csv --model model.safetensors
#    python -m sktext_vq predict new.csv --model model.safetensors --output classes.csv
#
# The columns ``case``, ``time``, ``label`` and ``subject`` are recognised by their
# names, and all other columns are channels. With the column ``subject``, the penalty
# and the temperature are chosen for machines that are not in the training data. In this
# example, the function ``main`` runs the same commands.

model, classes = str(folder / "model.safetensors"), str(folder / "classes.csv")
main(["fit", str(folder / "train.csv"), "--model", model])
main(["predict", str(folder / "new.csv"), "--model", model, "--output", classes])
predicted = pd.read_csv(classes)
predicted.head().round(2)

# %%
# The column ``label`` is optional in the file with new series. In this example, it is
# used to compute the accuracy.

truth = long[new].groupby("case", sort=False)["label"].first()
right = predicted.set_index("case")["label"] == truth
print(f"accuracy {right.mean():.0%} ({right.sum()} of {len(right)})")

# %%
# The same in Python
# ------------------
# ``read_panel`` reads files and data frames. Other names of columns are specified by
# parameters such as ``case_column="run"``, or on the command line by options such as
# ``--case-column run``.

own = long.rename(columns={"case": "run", "label": "state"})
mine = read_panel(own[~new], case_column="run", label_column="state")
classifier = VQTextClassifier(channel_names=mine.channel_names, random_state=0)
classifier.fit(mine.X, mine.y, groups=mine.groups)

# %%
# ``predict`` accepts a data frame with the index ``(case, time)``, whose columns are
# the channels. The function ``load`` reads the model that was saved by the command
# line.

X_new = long[new].set_index(["case", "time"])[["vibration", "current"]]
print("same classes:", (classifier.predict(X_new) == predicted["label"]).all())
print(sktext_vq.load(model).channel_names_)

# %%
# Plot a case of each class with its probability. The loose part causes short and strong
# peaks of the vibration.

probability = classifier.predict_proba(X_new)[:, 0]
figure, axes = plt.subplots(2, sharex=True, figsize=(8, 3.6), layout="constrained")
for axis, case in zip(axes, (0, 1), strict=True):
    name = truth.index[case]
    axis.plot(X_new.loc[name]["vibration"].to_numpy(), color="black", lw=1)
    axis.set_title(
        f"{name}, {truth[name]}: {classifier.classes_[0]} with "
        f"probability {probability[case]:.2f}"
    )
axes[1].set(xlabel="time")
figure.supylabel("vibration", fontsize="medium")
plt.show()

# %%
# Wide tables
# -----------
# Wide tables have one row per case and one column per timepoint. The names of the
# columns are numbers, or end in numbers. With several channels, they start with the
# name of the channel, as in ``acc_x_0, acc_x_1, ..., acc_y_0``. In the following table,
# each row contains the power demand of one day.

power = load("ItalyPowerDemand")
wide = pd.DataFrame(power.X_train[:, 0])
wide["label"] = np.where(power.y_train == "1", "winter", "summer")
wide.to_csv(folder / "days.csv", index=False)
wide.iloc[:3, [0, 1, 2, 3, -3, -2, -1]].round(2)

# %%
main(["fit", str(folder / "days.csv"), "--model", model])

# %%
# In Python, X is an array or data frame of the values, of shape
# ``(n_cases, n_timepoints)``.

days = VQTextClassifier(random_state=0)
days.fit(wide.drop(columns="label"), wide["label"])
X_test, y_test = power.X_test[:, 0], np.where(power.y_test == "1", "winter", "summer")
print(f"accuracy on 1,029 other days: {days.score(X_test, y_test):.3f}")

# %%
# A third layout, *tidy*, has one row per value. Files in the formats ``.npz``, ``.ts``,
# ``.parquet`` and ``.csv.gz`` are supported as well; see :doc:`/command-line`.
