"""
Pipelines and grid search
=========================

:class:`~sktext_vq.VQTextTransformer` computes features that can be used with any
classifier of scikit-learn. This example shows a pipeline, a grid search for its
parameters, and the names of the features with the largest weights.
"""

# %%
# Each series of the data set contains the power demand of Italy on one day, with 24
# values. The classes are winter (October to March) and summer. There are 67 training
# days and 1,029 test days.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline

from sktext_vq import VQTextClassifier, VQTextTransformer
from sktext_vq.datasets import load

data = load("ItalyPowerDemand")
names = {"1": "winter", "2": "summer"}
y_train, y_test = ([names[y] for y in part] for part in (data.y_train, data.y_test))

# %%
# A pipeline
# ----------
# The transformer returns scaled features, so the pipeline does not need a scaler.

pipeline = Pipeline(
    [
        ("tokens", VQTextTransformer(random_state=0)),
        ("clf", LogisticRegression(max_iter=1000)),
    ]
)
print(f"accuracy: {pipeline.fit(data.X_train, y_train).score(data.X_test, y_test):.3f}")

# %%
# Grid search
# -----------
# The grid contains parameters of both steps. In each fold, the codebook is fitted
# without the held-out series. With the parameter ``memory`` of
# :class:`~sklearn.pipeline.Pipeline`, the features of a fold would be computed only
# once for all values of ``C``.

grid = {"tokens__n_codes": [4, 16, 64], "clf__C": [0.0001, 0.001, 0.01, 1]}
search = GridSearchCV(pipeline, grid, cv=4).fit(data.X_train, y_train)
print("best:", search.best_params_)
print(f"accuracy on test days: {search.score(data.X_test, y_test):.3f}")
results = pd.DataFrame(search.cv_results_).pivot(
    index="param_tokens__n_codes", columns="param_clf__C", values="mean_test_score"
)
results.round(3)

# %%
# A small value of ``C``, which is a strong penalty, decreases the accuracy. The other
# differences are within noise: there are only 67 training days, so a single day changes
# the accuracy by 0.015. A grid search is often not necessary, because the defaults were
# chosen by cross-validation on 19 data sets; see :doc:`/benchmarks`.
#
# :class:`~sktext_vq.VQTextClassifier` chooses its penalty in ``fit``, so it can be used
# without a pipeline.

classifier = VQTextClassifier(random_state=0)
scores = cross_val_score(classifier, data.X_train, y_train, cv=4)
print(f"{scores.mean():.3f} ± {scores.std() / 2:.3f}")

# %%
# Features with names
# -------------------
# With ``set_output``, the transformer returns data frames whose columns are the names
# of the features. The plot shows the features with the largest weights in a logistic
# regression.

tokens = VQTextTransformer(random_state=0)
tokens.set_output(transform="pandas")
features = tokens.fit_transform(data.X_train, y_train)
model = LogisticRegression(max_iter=1000).fit(features, y_train)
weights = pd.Series(model.coef_[0], features.columns).sort_values()

shown = pd.concat([weights[:5], weights[-5:]])
shown.index = [name.removeprefix("channel 0 | ") for name in shown.index]
axis = shown.plot.barh(
    figsize=(8, 3.2), color=np.where(shown > 0, "tab:blue", "tab:orange")
)
axis.set_title(f"weights towards {model.classes_[0]} (-) and {model.classes_[1]} (+)")
axis.figure.set_layout_engine("constrained")

figure, axis = plt.subplots(figsize=(8, 3.2), layout="constrained")
for season, colour in (("winter", "tab:blue"), ("summer", "tab:orange")):
    days = data.X_train[np.array(y_train) == season, 0]
    axis.plot(days.T, color=colour, alpha=0.15)
    axis.plot(days.mean(axis=0), color=colour, lw=2, label=season)
axis.set(xlabel="hour", ylabel="power", title="training days, and their means")
axis.legend()
plt.show()
