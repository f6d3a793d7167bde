"""
Pipelines and grid search
=========================

:class:`~sktext_vq.VQTextTransformer` computes features for any classifier of
scikit-learn. This example shows a pipeline, the choice of its parameters by
cross-validation, and the weights of features by name.
"""

# %%
# Data: power demand of Italy, with 24 values per day. Classes are winter (October to
# March) and summer. There are 67 training and 1,029 test days.

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
# Features are scaled for linear models, so no scaler is needed.

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
# One grid with parameters of both steps. The codebook is fitted in every fold without
# the held-out series. ``memory=`` of :class:`~sklearn.pipeline.Pipeline` caches the
# features of a fold for all values of ``C``.

grid = {"tokens__n_codes": [4, 16, 64], "clf__C": [0.0001, 0.001, 0.01, 1]}
search = GridSearchCV(pipeline, grid, cv=4).fit(data.X_train, y_train)
print("best:", search.best_params_)
print(f"accuracy on test days: {search.score(data.X_test, y_test):.3f}")
results = pd.DataFrame(search.cv_results_).pivot(
    index="param_tokens__n_codes", columns="param_clf__C", values="mean_test_score"
)
results.round(3)

# %%
# A strong penalty reduces accuracy. Other differences are noise: with 67 days, one day
# changes accuracy by .015. Defaults were chosen by cross-validation on 19 data sets,
# see :doc:`/benchmarks`, so a search is often not needed.
#
# :class:`~sktext_vq.VQTextClassifier` chooses its penalty in ``fit``, and needs no
# pipeline.

classifier = VQTextClassifier(random_state=0)
scores = cross_val_score(classifier, data.X_train, y_train, cv=4)
print(f"{scores.mean():.3f} ± {scores.std() / 2:.3f}")

# %%
# Features with names
# -------------------
# With ``set_output``, features are data frames. Below are the largest weights of the
# logistic regression.

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
