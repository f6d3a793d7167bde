"""
Benchmarking with sktime
========================

``sktext_vq.sktime`` contains adapters of both estimators for sktime's pipelines and
benchmarks. In this example, ``ClassificationBenchmark`` compares the classifier with
three other classifiers on three small data sets.
"""

# %%
# Estimators
# ----------
# The adapter has the parameters of :class:`~sktext_vq.VQTextClassifier`. After ``fit``,
# its attribute ``classifier_`` is the fitted classifier.

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
# sktime fits and scores a clone of each estimator in each fold of the training data.
# ArrowHead has only 36 training series, so the scores on this data set are noisy.

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
# The bars show the mean accuracy over folds, and the error bars show one standard
# deviation over folds.

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
# The page :doc:`/comparison` compares 16 estimators on 21 data sets with their official
# splits. :doc:`/generated/benchmarks/README` describes these benchmarks.
