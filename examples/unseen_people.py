"""
Unseen people
=============

If a model will be applied to new people, it should be evaluated on people who are not
in the training data. The parameter ``groups`` is used for two purposes: the splitter
holds out all cases of a person, and ``fit`` chooses the penalty and the temperature for
new people. With metadata routing, :func:`~sklearn.model_selection.cross_validate` and
:class:`~sklearn.model_selection.GridSearchCV` pass the groups to the splitter and to
``fit``.
"""

# %%
# The data are simulated: eight people with an acceleration sensor walk slowly or fast.
# The pace, the strength and the angle of the sensor differ between people. The steps
# are visible only in the first two axes. The cases are in random order.

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
# ``set_fit_request(groups=True)`` requests that groups are passed to ``fit``. In this
# example, two people at a time are held out. The predictions of models with and without
# groups in ``fit`` are compared.

names = ["acc_x", "acc_y", "acc_z"]
classifier = VQTextClassifier(channel_names=names, gravity=None, random_state=0)


def predict(asks_for_groups: bool) -> np.ndarray:
    """Predict probabilities for people by models that are fitted to other people."""
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
# ``fit`` calibrates the probabilities by cross-validation. Without groups, the training
# and test parts of its folds contain the same people. The probabilities are then
# calibrated for new cases of these people, but too high for other people.
#
# In this simulation, people differ considerably. If people differ less, as in
# MotionSense (see :doc:`/benchmarks`), the effect is smaller. The effect is also
# smaller if the cases are ordered by person, because the folds of ``fit`` consist of
# neighbouring cases.

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
# A grid search passes the groups to its splitter and to each fit, including the final
# fit. In a :class:`~sklearn.pipeline.Pipeline`, only the last step has to request the
# groups.

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
# :meth:`~sktext_vq.VQTextClassifier.channel_importances` permutes the values of a
# channel among cases, and returns the decrease in accuracy. The cases should not be in
# the training data.

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
