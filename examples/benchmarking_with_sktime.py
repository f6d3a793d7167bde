"""
Benchmarking with sktime
========================

``sktext_vq.sktime`` has both estimators as sktime's own, for its pipelines and
benchmarks. Here ``ClassificationBenchmark`` compares one with three others on three
small data sets. Put your own data and estimators in their place.
"""

# %%
# Estimators
# ----------
# All parameters are those of :class:`~sktext_vq.VQTextClassifier`. What was fitted is
# in ``classifier_``, with all that can be looked at.

import time

import matplotlib.pyplot as plt
from sklearn.metrics import accuracy_score
from sklearn.model_selection import KFold
from sktime.benchmarking.classification import ClassificationBenchmark
from sktime.classification.dummy import DummyClassifier
from sktime.classification.feature_based import SummaryClassifier
from sktime.classification.interval_based import TimeSeriesForestClassifier

from sktext_vq.datasets import load
from sktext_vq.sktime import VQTextSktimeClassifier

estimators = {
    "shape tokens": VQTextSktimeClassifier(max_epochs=0, random_state=0),
    "time series forest": TimeSeriesForestClassifier(n_estimators=50, random_state=0),
    "summaries and forest": SummaryClassifier(random_state=0),
    "most frequent class": DummyClassifier(),
}
data = load("GunPoint")
classifier = estimators["shape tokens"].clone().fit(data.X_train, data.y_train)
print(f"accuracy on GunPoint: {classifier.score(data.X_test, data.y_test):.3f}")
codes = classifier.classifier_.describe_codes().nlargest(3, "usage")
codes[["shape", "usage", "length", "class", "lift"]].round(2)

# %%
# The benchmark
# -------------
# sktime clones, fits and scores each estimator in each fold of the training parts. Of
# ArrowHead there are 36 series, so expect noise.

benchmark = ClassificationBenchmark()
for name, estimator in estimators.items():
    benchmark.add_estimator(estimator, estimator_id=name)
folds = KFold(4, shuffle=True, random_state=0)
sets = ("GunPoint", "ItalyPowerDemand", "ArrowHead")
for name in sets:
    data = load(name)
    task = data.X_train, data.y_train
    benchmark.add_task(task, folds, [accuracy_score], task_id=name)
start = time.perf_counter()
results = benchmark.run()
print(f"{len(results)} runs of 4 folds in {time.perf_counter() - start:.0f} s")

# %%
# Accuracy, mean over folds. The lines in the figure are one standard deviation over
# folds; a lead that is shorter than these is none.

kinds = ("mean", "std")
mean, spread = (
    results.pivot(
        index="validation_id", columns="model_id", values=f"accuracy_score_{kind}"
    ).loc[list(sets), list(estimators)]
    for kind in kinds
)
axis = mean.plot.bar(yerr=spread, figsize=(8, 3.2), rot=0, ylim=(0, 1.05), width=0.8)
axis.set(xlabel="", ylabel="accuracy")
axis.legend(loc="upper center", bbox_to_anchor=(0.5, 1.2), ncols=4, frameon=False)
axis.figure.set_layout_engine("constrained")
plt.show()
mean.round(3)

# %%
# The suite that is behind :doc:`/comparison` does this for 16 estimators on 21 sets, in
# their official parts, with seeds, tests of significance, seconds and memory:
# ``python -m benchmarks run suite``, see :doc:`/generated/benchmarks/README`.
