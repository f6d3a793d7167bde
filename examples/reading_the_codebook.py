"""
Reading the codebook
====================

Features are counts of 64 shapes. This example shows the shapes, the classes and
channels in which they occur, and how well they reconstruct series.
"""

# %%
# Fit a classifier to smart-watch series of four activities.

import matplotlib.pyplot as plt
import numpy as np

from sktext_vq import VQTextClassifier
from sktext_vq.datasets import load
from sktext_vq.inspection import CodebookDisplay, HistogramsDisplay, TokensDisplay

data = load("BasicMotions")
classifier = VQTextClassifier(
    channel_names=data.channel_names,
    sampling_rate=data.sampling_rate,
    random_state=0,
).fit(data.X_train, data.y_train)

# %%
# The shapes
# ----------
# A code is a shape of eight points, with mean 0 and in units of its scale. Codes are
# windows of training series. Thin lines are the best matching windows of test series.
# Titles show the class with the highest lift, and bars the usage.

CodebookDisplay.from_estimator(classifier, data.X_test, n_codes=18)
plt.show()

# %%
# The same information as a table. *Lift* is the share of a code in the class divided by
# its mean share over classes. *Channel* and *length* are those in which the code is
# most typical. The *phrase* is a name with a *confidence*; it is missing if the
# evidence is insufficient.

codes = classifier.describe_codes().sort_values("lift", ascending=False)
columns = ["shape", "channel", "length", "class", "lift", "phrase", "confidence"]
codes[columns].head(8).round(2)

# %%
# Codes by class
# --------------
# The plot has one row per class and one column per code. Brown codes occur more often
# in a class than on average, purple codes less often. Classes with similar rows are
# hard to distinguish by shapes only; features also depend on level, scale and length of
# tokens.

HistogramsDisplay.from_estimator(classifier, data.X_test, data.y_test, n_codes=32)
plt.show()

# %%
# Tokens of a series
# ------------------
# ``tokens`` cuts each channel into the segments that reconstruct it best, by dynamic
# programming. Offset and scale are in the units of the channel, start and length in
# timepoints, ten per second.

walking = np.flatnonzero(data.y_test == "walking")
tokens = classifier.tokens(data.X_test[walking[:1]])
tokens.head(8).round(2)

# %%
TokensDisplay.from_estimator(
    classifier, data.X_test, case=int(walking[0]), channels=["acc_x", "acc_y"]
)
plt.show()

# %%
# Reconstruction
# --------------
# ``reconstruct`` computes series from tokens only. The share of explained variance is
# printed for each channel. Tokens omit fast changes and noise.

rebuilt = classifier.reconstruct(data.X_test)
error = ((data.X_test - rebuilt) ** 2).mean(axis=(0, 2))
explained = 1 - error / data.X_test.var(axis=(0, 2))
for name, share in zip(data.channel_names, explained, strict=True):
    print(f"{name}: {share:.3f}")
n_tokens = len(classifier.tokens(data.X_test))
print(f"{data.X_test.size} values, {n_tokens} tokens")

# %%
# Names of features
# -----------------
# Names of features contain channel, code, statistic, and length of the windows.

names = classifier.get_feature_names_out()
print(f"{len(names)} features, for example")
print(*names[:: len(names) // 6], sep="\n")

# %%
# :func:`~sktext_vq.inspection.write_report` writes the codebook, single cases and
# scores to one HTML page.
