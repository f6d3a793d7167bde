"""
Quick start
===========

Fit a classifier to sensor series, score it, and inspect a prediction.
:class:`~sktext_vq.VQTextClassifier` has ``fit``, ``predict``, ``predict_proba`` and
``score`` as in scikit-learn. X is a *panel* of series.
"""

# %%
# The data: windows of ten seconds from the smart watches of four people, in four
# activities. X has shape ``(n_cases, n_channels, n_timepoints)``.

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
# The classifier is fitted in closed form, in a second. Channel names are optional. With
# names that end in x, y and z, channels relative to gravity are added, which do not
# depend on the orientation of the watch.

classifier = VQTextClassifier(
    channel_names=data.channel_names,
    sampling_rate=data.sampling_rate,
    random_state=0,
)
classifier.fit(data.X_train, data.y_train)
print(f"accuracy on test series: {classifier.score(data.X_test, data.y_test):.3f}")

# %%
# Probabilities are calibrated by cross-validation on the training series: predictions
# with probability .9 should be right nine times out of ten.

probabilities = pd.DataFrame(
    classifier.predict_proba(data.X_test[::8]), columns=classifier.classes_
)
probabilities.insert(0, "true class", data.y_test[::8])
probabilities.round(2)

# %%
# Inspect
# -------
# A series is represented by *tokens*: shapes from a codebook of 64, with position,
# length, level and scale. Below is one series of running, in grey, with its tokens in
# colour. Numbers are codes.

case = int(np.flatnonzero(data.y_test == "running")[0])
TokensDisplay.from_estimator(
    classifier, data.X_test, case=case, channels=["acc_x", "gyro_z"]
)
plt.show()

# %%
# ``explain`` returns the evidence for the predicted class. Contributions of tokens and
# statistics sum to the log-odds of two classes.

reasons = classifier.explain(data.X_test[[case]])
reasons[["label", "against", "channel", "start", "length", "phrase", "contribution"]][
    :5
].round(2)

# %%
# Next: :ref:`sphx_glr_auto_examples_your_own_files.py` for your own data,
# :ref:`sphx_glr_auto_examples_reading_the_codebook.py` for the codebook, and
# :ref:`sphx_glr_auto_examples_why_this_class.py` for single predictions.
