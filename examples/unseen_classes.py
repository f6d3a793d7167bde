"""
Classes without recordings
==========================

Recognise an activity that nobody has recorded, from a sentence about it. It works where
recorded classes span what the sentence tells, and badly elsewhere: this page shows
both.
"""

# %%
# Fit without a class
# -------------------
# All recordings of walking are left out.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sktext_vq import VQTextClassifier
from sktext_vq.datasets import load

data = load("BasicMotions")
recorded = data.y_train != "walking"
classifier = VQTextClassifier(
    max_epochs=0,
    channel_names=data.channel_names,
    sampling_rate=data.sampling_rate,
    random_state=0,
)
classifier.fit(data.X_train[recorded], data.y_train[recorded])
print("recorded:", *classifier.classes_)

# %%
# Say what it is
# --------------
# Candidates are names, or a dict from names to a sentence or several. Names of recorded
# classes stand for these, and for None there are texts of the bank. The new class has a
# name that says little, and a sentence of ours.

candidates = {
    "badminton": None,
    "running": None,
    "standing": None,
    "going to work": "A person walks at an easy pace.",
}
found = classifier.predict_zero_shot(data.X_test, candidates)
truth = np.where(data.y_test == "walking", "going to work", data.y_test)
pd.crosstab(truth, found, rownames=["true"], colnames=["found"])

# %%
# What is that based on? ``describe_candidates`` says which recorded classes a candidate
# takes after, by what is said of it: the sentence, and attributes of the activity that
# the sentence names.

described = classifier.describe_candidates(candidates)
print(*described["texts"].iloc[-1], sep="\n")
described[["candidate", "seen", "nearest", "cosine", "like"]].round(2)

# %%
# And ``explain_zero_shot`` says for each series what speaks for the choice.

walking = np.flatnonzero(data.y_test == "walking")
reasons = classifier.explain_zero_shot(data.X_test[walking[:3]], candidates)
pd.set_option("display.max_colwidth", 90)
reasons[["label", "probability", "second", "like", "reasons"]].round(2)

# %%
# How far to trust it
# -------------------
# Each of the four classes is left out in turn, and all four names are candidates. With
# three recorded classes there is little to learn from. Nothing that is recorded tells
# what a class without movement looks like, so that standing is hardly found.

names = sorted(set(data.y_test.tolist()))
shares = pd.DataFrame(index=names, columns=["left out class", "recorded classes"])
for name in names:
    kept = data.y_train != name
    classifier.fit(data.X_train[kept], data.y_train[kept])
    right = classifier.predict_zero_shot(data.X_test, names) == data.y_test
    is_unseen = data.y_test == name
    shares.loc[name] = right[is_unseen].mean(), right[~is_unseen].mean()

axis = shares.astype(float).plot.bar(figsize=(7, 3), rot=0, ylim=(0, 1))
axis.set(xlabel="class without recordings", ylabel="share recognised")
axis.axhline(0.25, color="black", lw=0.8, ls=":")
axis.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
axis.figure.set_layout_engine("constrained")
plt.show()

# %%
# Wording matters as well. With running left out, its name finds most of it, a sentence
# that names it under another name less, and one that only describes it nothing.

recorded = data.y_train != "running"
classifier.fit(data.X_train[recorded], data.y_train[recorded])
is_running = data.y_test == "running"
for name, text in (
    ("running", None),
    ("catching the bus", "Somebody sprints, with hard and quick steps."),
    ("catching the bus", "Quick strides, arms pumping."),
):
    candidates = {"badminton": None, "standing": None, "walking": None, name: text}
    found = classifier.predict_zero_shot(data.X_test[is_running], candidates)
    print(f"{name} ({text}): {(found == name).mean():.0%} of running found")

# %%
# So try a wording on series of which you know what they are. Figures with controls and
# baselines, on 27 gestures and four other sets, are in :doc:`/unseen-classes`. With a
# random vector in place of each name, hardly more is found than by chance.
