"""
Reading the codebook
====================

The features of a classifier are frequencies of 64 shapes, the *codebook*. This example
shows the shapes, the classes and channels in which they occur, and how well they
reconstruct the series.
"""

# %%
# Fit a classifier to smartwatch series of four activities.

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
# A code is the index of a shape. Each shape has eight points with mean 0, and was
# chosen from the windows of the training series. In the plot, thin lines are the
# windows of test series that match the shape best. The titles show the class with the
# highest lift, and the bars show how often a code is used.

CodebookDisplay.from_estimator(classifier, data.X_test, n_codes=18)
plt.show()

# %%
# ``describe_codes`` returns this information as a table. The *lift* is the share of a
# code in the class, divided by its mean share over all classes. The *channel* and the
# *length* are those in which the code is most typical. The *phrase* is a name of the
# code with a *confidence*. The phrase is missing if the evidence is insufficient.

codes = classifier.describe_codes().sort_values("lift", ascending=False)
columns = ["shape", "channel", "length", "class", "lift", "phrase", "confidence"]
codes[columns].head(8).round(2)

# %%
# Codes by class
# --------------
# The plot has one row per class and one column per code. A brown cell means that the
# code occurs more often in the class than on average, and a purple cell means that it
# occurs less often. Classes with similar rows are hard to distinguish by their shapes.
# However, the features also depend on the level, the scale and the length of tokens.

HistogramsDisplay.from_estimator(classifier, data.X_test, data.y_test, n_codes=32)
plt.show()

# %%
# Tokens of a series
# ------------------
# ``tokens`` divides each channel into the segments that reconstruct it best. The offset
# and the scale are in the units of the channel. The start and the length are in
# timepoints, of which there are ten per second.

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
# ``reconstruct`` computes series from their tokens. The share of explained variance is
# printed for each channel. This share is below 1, because tokens do not represent fast
# changes and noise.

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
# The name of a feature contains the channel, the code, the statistic, and the length of
# the windows.

names = classifier.get_feature_names_out()
print(f"{len(names)} features, for example")
print(*names[:: len(names) // 6], sep="\n")

# %%
# :func:`~sktext_vq.inspection.write_report` writes an HTML page with the codebook, the
# scores, and explanations of single cases.
