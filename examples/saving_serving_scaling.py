"""
Saving, serving, scaling
========================

This example saves a fitted classifier to a file, uses the file in a service that
predicts single series, and measures the time for many series. Prediction requires
neither ``transformers`` nor sktime.
"""

# %%
# Save and load
# -------------
# The file is in the safetensors format, and contains checksums. Unlike a pickle file,
# it does not contain code that is executed when it is loaded.

import json
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import sktext_vq
from sktext_vq import VQTextClassifier
from sktext_vq.datasets import load

data = load("BasicMotions")
classifier = VQTextClassifier(random_state=0)
classifier.fit(data.X_train, data.y_train)
path = Path(tempfile.mkdtemp(), "model.safetensors")
sktext_vq.save(classifier, path)
model = sktext_vq.load(path)
print(f"{path.stat().st_size / 2**20:.1f} MiB")
same = model.predict_proba(data.X_test) == classifier.predict_proba(data.X_test)
print("same probabilities:", same.all())

# %%
# Loading a damaged file raises an error.

damaged = bytearray(path.read_bytes())
damaged[-1] ^= 1
(path.parent / "damaged.safetensors").write_bytes(damaged)
try:
    sktext_vq.load(path.parent / "damaged.safetensors")
except ValueError as error:
    print(str(error).replace(str(path.parent), "..."))

# %%
# Serve
# -----
# A web service could load the model once, and call the following function for each
# request. Invalid input, such as a wrong number of channels, raises an error.


def answer(request: str) -> str:
    """Return class probabilities of a series, which is given as JSON."""
    try:
        series = np.asarray(json.loads(request)["series"], dtype=float)
        (probabilities,) = model.predict_proba(series[None])
    except (KeyError, TypeError, ValueError) as error:
        return json.dumps({"error": str(error)})
    chances = zip(model.classes_.tolist(), probabilities.round(3).tolist(), strict=True)
    return json.dumps(dict(chances))


request = json.dumps({"series": data.X_test[0].round(3).tolist()})
print(answer(request))
print(answer(json.dumps({"series": data.X_test[0, :3].tolist()})))
start = time.perf_counter()
for _ in range(20):
    answer(request)
print(f"{(time.perf_counter() - start) / 20 * 1000:.0f} ms for one series")

# %%
# Scale
# -----
# The prediction of many series in one call is faster than separate calls. The series
# are processed in batches, so the memory does not depend on their number. In this
# example, the training series are repeated to get many series.

sizes = [50, 200, 800, 3200]
many = np.concatenate([data.X_train] * (max(sizes) // len(data.X_train) + 1))
seconds = []
for size in sizes:
    start = time.perf_counter()
    model.predict(many[:size])
    seconds.append(time.perf_counter() - start)
for size, taken in zip(sizes, seconds, strict=True):
    print(f"{size:5} series: {taken:.2f} s, {taken / size * 1000:.2f} ms each")

figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
axis.loglog(sizes, seconds, "o-", label="predict")
axis.loglog(sizes, seconds[-1] * np.divide(sizes, sizes[-1]), "k:", label="linear")
axis.set(xlabel="series of 6 x 100", ylabel="seconds, one thread")
axis.legend()
plt.show()

# %%
# The parameter ``n_jobs`` is the number of threads. By default, it is the number of
# threads of torch, or the number that is set in a context of joblib. The predicted
# classes do not depend on it.

with_two = sktext_vq.load(path).set_params(n_jobs=2)
print("same with two threads:", (with_two.predict(many) == model.predict(many)).all())

# %%
# During ``fit``, the features of all training cases are kept in memory. The parameter
# ``max_features`` limits this memory: 10,000 features need 40 KB per case. The page
# :doc:`/scale` describes files that are larger than the memory, clusters, and devices
# without Python.
