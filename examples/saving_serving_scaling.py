"""
Saving, serving, scaling
========================

A fitted model is saved to one file, which contains no code. Prediction needs neither
``transformers`` nor sktime, and its time is linear in the number of series.
"""

# %%
# Save and load
# -------------
# The file has the safetensors format, with a checksum of each part. Unlike a pickle, it
# does not run code when it is loaded.

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
# A damaged file raises an error.

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
# Load the model once, and predict for each request. Input is checked: for example, a
# wrong number of channels raises an error. A web service would call this function.


def answer(request: str) -> str:
    """Classify a series in JSON, a list of values for each channel."""
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
# Prediction of many series in one call is faster than in separate calls. It uses
# batches of bounded size. Here, training series are repeated to get many series.

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
# ``n_jobs`` is the number of threads, as in joblib; results do not depend on it. The
# default is the number of threads of torch, or the number that is set in a joblib
# context.

with_two = sktext_vq.load(path).set_params(n_jobs=2)
print("same with two threads:", (with_two.predict(many) == model.predict(many)).all())

# %%
# ``max_features`` limits the memory per case in fitting: 10,000 features are 40 KB.
# Codebook, selection of features and penalty use a sample of the series. Prediction of
# 100,000 windows of 9 x 128 takes half a minute on two threads, see :doc:`/benchmarks`.
# For files larger than memory, clusters, and devices without Python, see :doc:`/scale`.
