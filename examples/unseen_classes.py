"""
Unseen classes
==============

In zero-shot classification, a class without training data is recognised by a sentence
about this class. The training classes have to cover the properties that the sentence
describes. This example shows a case in which zero-shot classification works, and cases
in which it fails.
"""

# %%
# Fit without a class
# -------------------
# All cases of walking are removed from the training data.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sktext_vq import VQTextClassifier
from sktext_vq.datasets import load

data = load("BasicMotions")
recorded = data.y_train != "walking"
classifier = VQTextClassifier(
    channel_names=data.channel_names,
    sampling_rate=data.sampling_rate,
    random_state=0,
)
classifier.fit(data.X_train[recorded], data.y_train[recorded])
print("training classes:", *classifier.classes_)

# %%
# Describe the class
# ------------------
# The candidates are a list of names, or a dict that maps names to one or several texts.
# With None instead of a text, the texts of the prompt bank are used. In this example,
# the unseen class has an uninformative name and is described by a sentence.

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
# ``describe_candidates`` returns the texts of each candidate, and the training classes
# that are most similar to the candidate. The texts of the unseen class are the
# sentence, and attributes of the activity that the sentence names.

described = classifier.describe_candidates(candidates)
print(*described["texts"].iloc[-1], sep="\n")
described[["candidate", "seen", "nearest", "cosine", "like"]].round(2)

# %%
# ``explain_zero_shot`` returns the reasons for the prediction of each series.

walking = np.flatnonzero(data.y_test == "walking")
reasons = classifier.explain_zero_shot(data.X_test[walking[:3]], candidates)
pd.set_option("display.max_colwidth", 90)
reasons[["label", "probability", "second", "like", "reasons"]].round(2)

# %%
# Reliability
# -----------
# In the next experiment, each of the four classes is left out in turn, and all four
# names are candidates. Three training classes provide little information about other
# classes. For example, standing is rarely recognised, because all training classes
# contain movement.

names = sorted(set(data.y_test.tolist()))
shares = pd.DataFrame(index=names, columns=["unseen class", "training classes"])
for name in names:
    kept = data.y_train != name
    classifier.fit(data.X_train[kept], data.y_train[kept])
    right = classifier.predict_zero_shot(data.X_test, names) == data.y_test
    is_unseen = data.y_test == name
    shares.loc[name] = right[is_unseen].mean(), right[~is_unseen].mean()

axis = shares.astype(float).plot.bar(figsize=(7, 3), rot=0, ylim=(0, 1))
axis.set(xlabel="unseen class", ylabel="share recognised")
axis.axhline(0.25, color="black", lw=0.8, ls=":")
axis.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
axis.figure.set_layout_engine("constrained")
plt.show()

# %%
# The results also depend on the wording. In the next experiment, running is left out.
# The class is described by its name, by a sentence that names the activity, and by a
# sentence that describes the activity without naming it.

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
    print(f"{name} ({text}): {(found == name).mean():.0%} of running recognised")

# %%
# If labelled series are available, use them to evaluate a wording. The page
# :doc:`/unseen-classes` contains results on other data sets, and limitations.
