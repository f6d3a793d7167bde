"""
Reading the codebook
====================

The features are counts of shapes, and there are only 64 of these. This page shows them
all: what they look like, in which class and channel they turn up, and how well they
tell a series.
"""

# %%
# The closed form on smart-watch series of four activities.

import matplotlib.pyplot as plt
import numpy as np

from sktext_vq import VQTextClassifier
from sktext_vq.datasets import load
from sktext_vq.inspection import CodebookDisplay, HistogramsDisplay, TokensDisplay

data = load("BasicMotions")
classifier = VQTextClassifier(
    max_epochs=0,
    channel_names=data.channel_names,
    sampling_rate=data.sampling_rate,
    random_state=0,
).fit(data.X_train, data.y_train)

# %%
# The shapes
# ----------
# A code is a shape of eight points, with mean 0 and in units of its own scale. Codes
# are real windows of training series, and the grey lines are windows of test series
# that are nearest to them. Above each is the class that it speaks for, and the bar is
# its usage.

CodebookDisplay.from_estimator(classifier, data.X_test, n_codes=18)
plt.show()

# %%
# The same as a table. *Lift* is how many times as often a code occurs in that class as
# on average over classes: 1 says nothing. *Channel* and *length* are where it is most
# typical. The *phrase* is a name, with a *confidence*; where evidence is thin there is
# none.

codes = classifier.describe_codes().sort_values("lift", ascending=False)
columns = ["shape", "channel", "length", "class", "lift", "phrase", "confidence"]
codes[columns].head(8).round(2)

# %%
# Which class uses which codes
# ----------------------------
# A row per class, a column per code. What is brown in a row occurs more often there
# than on average, what is purple less often. Rows that look alike are classes that are
# hard to tell apart by shapes alone; level, size and length of tokens count beside
# these.

HistogramsDisplay.from_estimator(classifier, data.X_test, data.y_test, n_codes=32)
plt.show()

# %%
# Where they are
# --------------
# ``tokens`` cuts each channel into the segments that rebuild it best, by dynamic
# programming. Offset and scale are in the units of the channel, start and length in
# timepoints, of which there are ten in a second.

walking = np.flatnonzero(data.y_test == "walking")
tokens = classifier.tokens(data.X_test[walking[:1]])
tokens.head(8).round(2)

# %%
TokensDisplay.from_estimator(
    classifier, data.X_test, case=int(walking[0]), channels=["acc_x", "acc_y"]
)
plt.show()

# %%
# How much is lost
# ----------------
# ``reconstruct`` draws series from tokens alone. Above is the share of the variance
# that it explains, by channel. What tokens leave out is mostly what eight points cannot
# follow, and what was noise.

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
# What the ridge sees has names, too: those of a :class:`~sktext_vq.VQTextTransformer`
# in a pipeline say channel, code, what is counted, and the length of its windows.

names = classifier.get_feature_names_out()
print(f"{len(names)} features, such as")
print(*names[:: len(names) // 6], sep="\n")

# %%
# All of this, with single cases and scores, comes as one HTML page from
# :func:`~sktext_vq.inspection.write_report`.
