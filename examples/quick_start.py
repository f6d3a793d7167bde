"""
Quick start
===========

Fit a classifier to sensor series, score it, and see what it saw. Whoever knows
scikit-learn knows most of this: :class:`~sktext_vq.VQTextClassifier` has ``fit``,
``predict``, ``predict_proba`` and ``score``. What differs is that X is a *panel* of
series, and that what the classifier counts can be looked at.
"""

# %%
# The data: four people wore a smart watch, ten seconds at a time, in four activities. X
# has the shape ``(n_cases, n_channels, n_timepoints)``.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sktext_vq import VQTextClassifier
from sktext_vq.datasets import load
from sktext_vq.inspection import TokensDisplay

data = load("BasicMotions")
print(data.X_train.shape, sorted(set(data.y_train.tolist())))

# %%
# Fit
# ---
# ``max_epochs=0`` takes the closed form: no network is trained, and it takes a second.
# On classes that have recordings it is as good as training is; training is for search
# and similarity, see :ref:`sphx_glr_auto_examples_text_and_prompts.py`. The names of
# channels are optional. With names that end in x, y and z, the classifier finds out
# which way is up, and adds channels that do not depend on how the watch was turned.

classifier = VQTextClassifier(
    max_epochs=0,
    channel_names=data.channel_names,
    sampling_rate=data.sampling_rate,
    random_state=0,
)
classifier.fit(data.X_train, data.y_train)
print(f"accuracy on test series: {classifier.score(data.X_test, data.y_test):.3f}")

# %%
# Probabilities are calibrated by cross-validation on the training series: a .9 is meant
# to be right nine times in ten.

probabilities = pd.DataFrame(
    classifier.predict_proba(data.X_test[::8]), columns=classifier.classes_
)
probabilities.insert(0, "true class", data.y_test[::8])
probabilities.round(2)

# %%
# Look
# ----
# A series is seen as *tokens*: a shape out of a codebook of 64, and where it sits, at
# which level, how large and how long. Below is one series of running, in grey, and what
# its tokens tell of it, in colour. Numbers are those of the codes.

case = int(np.flatnonzero(data.y_test == "running")[0])
TokensDisplay.from_estimator(
    classifier, data.X_test, case=case, channels=["acc_x", "gyro_z"]
)
plt.show()

# %%
# What speaks for the class that was predicted? Contributions of tokens, and of what is
# in no place, sum to the logarithm of the odds of two classes.

reasons = classifier.explain(data.X_test[[case]])
reasons[["label", "against", "channel", "start", "length", "phrase", "contribution"]][
    :5
].round(2)

# %%
# Where to go from here: :ref:`sphx_glr_auto_examples_your_own_files.py` for data of
# your own, :ref:`sphx_glr_auto_examples_reading_the_codebook.py` for the vocabulary,
# and :ref:`sphx_glr_auto_examples_why_this_class.py` for single predictions.
