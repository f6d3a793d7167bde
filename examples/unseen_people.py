"""
Unseen people
=============

A model for new people has to be chosen and evaluated on people that it was not fitted
to. ``groups=`` has two uses: the splitter holds out whole people, and ``fit`` chooses
penalty and temperature for unseen subjects. With metadata routing, both happen in
:func:`~sklearn.model_selection.cross_validate` and
:class:`~sklearn.model_selection.GridSearchCV`.
"""

# %%
# Simulated data: eight people walk slowly or fast, with an acceleration sensor. Pace,
# strength and sensor angle differ between people. Only the first two axes show the
# steps. Cases are in random order.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sklearn
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict

from sktext_vq import VQTextClassifier

rng = np.random.default_rng(0)
n_people, n_each = 8, 24
people = rng.permutation(np.repeat(np.arange(n_people), n_each))
y = rng.choice(["walking fast", "walking slowly"], len(people))
time = np.arange(100) / 25

own_pace = rng.normal(0, 0.2, n_people)[people]
own_strength = rng.uniform(0.7, 1.5, n_people)[people]
own_angle = rng.uniform(-0.5, 0.5, n_people)[people]
pace = np.where(y == "walking fast", 2.1, 1.7) + own_pace
angle = 2 * np.pi * pace[:, None] * time + rng.uniform(0, 6, (len(y), 1))
up = 9.81 + own_strength[:, None] * (3 * np.sin(angle) + np.sin(2 * angle))
ahead = own_strength[:, None] * np.cos(angle)
tilt = own_angle[:, None]
X = np.stack(
    [
        np.cos(tilt) * ahead - np.sin(tilt) * up,
        np.sin(tilt) * ahead + np.cos(tilt) * up,
        np.zeros_like(up),
    ],
    axis=1,
)
X += rng.normal(0, 1, X.shape)
print(X.shape)

# %%
# Groups for the splitter and for ``fit``
# ---------------------------------------
# ``set_fit_request(groups=True)`` requests groups for ``fit``. Here, two people at a
# time are held out, for models with and without groups in ``fit``.

names = ["acc_x", "acc_y", "acc_z"]
classifier = VQTextClassifier(channel_names=names, gravity=None, random_state=0)


def predict(asks_for_groups: bool) -> np.ndarray:
    """Predict probabilities for people by models that are fitted to the others."""
    with sklearn.config_context(enable_metadata_routing=True):
        return cross_val_predict(
            sklearn.clone(classifier).set_fit_request(groups=asks_for_groups),
            X,
            y,
            cv=GroupKFold(4),
            params={"groups": people},
            method="predict_proba",
        )


found = {
    "groups for the splitter only": predict(False),
    "groups for splitter and fit": predict(True),
}
labels = np.unique(y)
table = pd.DataFrame(
    {
        name: {
            "accuracy": np.mean(labels[proba.argmax(axis=1)] == y),
            "mean probability of the predicted class": proba.max(axis=1).mean(),
            "log-loss": log_loss(y, proba),
        }
        for name, proba in found.items()
    }
).T
table.round(3)

# %%
# Without groups in ``fit``, both parts of its folds contain the same people. Then
# probabilities are calibrated for new cases of these people, but too high for others.
# In this simulation, people differ considerably. The effect is small if people differ
# less, as in MotionSense (see :doc:`/benchmarks`), or if cases are ordered by person,
# since folds of neighbouring cases then contain different people.

figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained", sharey=True)
for axis, (name, proba) in zip(axes, found.items(), strict=True):
    is_right = labels[proba.argmax(axis=1)] == y
    values = [proba.max(axis=1)[is_right], proba.max(axis=1)[~is_right]]
    axis.hist(values, np.linspace(0.5, 1, 11), label=["right", "wrong"], stacked=True)
    axis.set(title=name, xlabel="probability of the predicted class")
axes[0].set_ylabel("cases of unseen subjects")
axes[0].legend()

# %%
# Searches
# --------
# A grid search passes groups to its splitter and to each fit, including the final one.
# In a :class:`~sklearn.pipeline.Pipeline`, only the last step has to request groups.

with sklearn.config_context(enable_metadata_routing=True):
    search = GridSearchCV(
        sklearn.clone(classifier).set_fit_request(groups=True),
        {"n_codes": [16, 64]},
        cv=GroupKFold(4),
        scoring="neg_log_loss",
    )
    search.fit(X, y, groups=people)
for chosen, score in zip(
    search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
):
    print(f"{chosen}: log-loss {-score:.3f}")

# %%
# Channel importances
# -------------------
# :meth:`~sktext_vq.VQTextClassifier.channel_importances` permutes channels among cases
# that the model was not fitted to.

is_new = people >= 5
classifier.fit(X[~is_new], y[~is_new], groups=people[~is_new])
importances = classifier.channel_importances(X[is_new], y[is_new], random_state=0)
importances.round(3)

# %%
figure, axis = plt.subplots(figsize=(8, 2.4), layout="constrained")
rows = importances[::-1]
shown = rows["channel"].where(rows["channel"] != "", rows["sensor"] + ", all axes")
axis.barh(shown, rows["importance"], xerr=rows["std"])
axis.set_xlabel("decrease in accuracy")
plt.show()
