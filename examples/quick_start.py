"""
Quick start
===========

This example fits a classifier to series of sensors, computes its accuracy, and inspects
a prediction. :class:`~sktext_vq.VQTextClassifier` has the methods ``fit``, ``predict``,
``predict_proba`` and ``score``, as in scikit-learn.
"""

# %%
# The data set contains windows of ten seconds, which were recorded by smartwatches
# during four activities. ``X_train`` has shape ``(n_cases, n_channels, n_timepoints)``.

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
# The channel names are optional. If they end in x, y and z, further channels are added,
# which do not depend on the orientation of the watch about the vertical.

classifier = VQTextClassifier(
    channel_names=data.channel_names,
    sampling_rate=data.sampling_rate,
    random_state=0,
)
classifier.fit(data.X_train, data.y_train)
print(f"accuracy on test series: {classifier.score(data.X_test, data.y_test):.3f}")

# %%
# The probabilities are calibrated by cross-validation on the training series: about 90
# % of the predictions with a probability of 0.9 should be correct.

probabilities = pd.DataFrame(
    classifier.predict_proba(data.X_test[::8]), columns=classifier.classes_
)
probabilities.insert(0, "true class", data.y_test[::8])
probabilities.round(2)

# %%
# Inspect
# -------
# A series is represented by *tokens*. Each token is one of the 64 shapes in a codebook,
# with a position, a length, a level and a scale. The plot shows a series of running in
# grey, and its tokens in colour. The numbers are the codes of the tokens, which are
# indices of shapes in the codebook.

case = int(np.flatnonzero(data.y_test == "running")[0])
TokensDisplay.from_estimator(
    classifier, data.X_test, case=case, channels=["acc_x", "gyro_z"]
)
plt.show()

# %%
# ``explain`` returns the contributions of the tokens to the log-odds of the two most
# probable classes. The table shows the five largest contributions.

reasons = classifier.explain(data.X_test[[case]])
reasons[["label", "against", "channel", "start", "length", "phrase", "contribution"]][
    :5
].round(2)

# %%
# The following examples continue with your own data
# (:ref:`sphx_glr_auto_examples_your_own_files.py`), the codebook
# (:ref:`sphx_glr_auto_examples_reading_the_codebook.py`), and explanations of single
# predictions (:ref:`sphx_glr_auto_examples_why_this_class.py`).
