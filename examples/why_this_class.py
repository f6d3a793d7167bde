"""
Why was this case misclassified?
================================

``explain`` returns the contribution of each token to the log-odds of two classes. The
contributions sum to the log-odds exactly. This example explains why a window of walking
is classified as running.
"""

# %%
# A misclassified case
# --------------------
# The classifier predicts all test series correctly. Therefore, one of these series is
# changed: in a series of ten seconds of walking, four seconds are replaced by running.
# With your own data, choose a case from
# ``np.flatnonzero(classifier.predict(X) != y)``.

import matplotlib.pyplot as plt
import numpy as np

from sktext_vq import VQTextClassifier
from sktext_vq.datasets import load
from sktext_vq.inspection import ExplanationDisplay

data = load("BasicMotions")
classifier = VQTextClassifier(
    channel_names=data.channel_names,
    sampling_rate=data.sampling_rate,
    random_state=0,
)
classifier.fit(data.X_train, data.y_train)
print(f"accuracy on test series: {classifier.score(data.X_test, data.y_test):.2f}")

walking, running = (
    np.flatnonzero(data.y_test == name) for name in ("walking", "running")
)
case = data.X_test[[walking[2]]].copy()
case[0, :, 30:70] = data.X_test[running[0], :, 30:70]
(found,) = classifier.predict_proba(case).tolist()
chances = dict(zip(classifier.classes_.tolist(), found, strict=True))
print(*(f"{name}: {chance:.3f}" for name, chance in chances.items()), sep="\n")

# %%
# Contributions
# -------------
# The parameter ``label`` is the class to explain, and ``against`` is the class to
# compare it with. By default, they are the two most probable classes. Positive
# contributions are evidence for the label. The start and the length are in timepoints,
# of which there are ten per second. Rows with a start of -1 are statistics of a
# channel.

reasons = classifier.explain(case, label="running", against="walking")
shown = reasons[["channel_name", "start", "length", "phrase", "contribution"]]
shown.head(8).round(2)

# %%
# The last rows contain the evidence for walking, and the intercept.

shown.tail(5).round(2)

# %%
# The contributions sum to the log-odds of running versus walking.

odds = chances["running"] / chances["walking"]
print(f"sum of contributions {reasons['contribution'].sum():.4f}")
print(f"log-odds {np.log(odds):.4f}")

# %%
# Contributions over time
# -----------------------
# Orange tokens are evidence for running, and blue tokens are evidence for walking. The
# bars show the sums for each channel. The numbers below the bars are the intercept and
# the sum for the channels that are not shown. The part with running is from 3 to 7 s.

ExplanationDisplay.from_estimator(
    classifier,
    case,
    label="running",
    against="walking",
    channels=["acc_x", "acc_z", "gyro_z"],
)
plt.show()

# %%
# Test of the explanation
# -----------------------
# If the explanation is correct, the probability of running should decrease if the part
# with running is removed. To test this, intervals of four seconds are set to missing
# values.

chosen = list(classifier.classes_).index("running")
print("missing        probability of running")
for start in range(0, 61, 10):
    changed = case.copy()
    changed[0, :, start : start + 40] = np.nan
    probability = classifier.predict_proba(changed)[0, chosen]
    print(f"{start / 10:.0f} to {start / 10 + 4:2.0f} s{probability:12.3f}")

# %%
# Summary in words
# ----------------
# The most important contributions can be described in words: tokens with their
# positions, and statistics that are higher or lower than on average.

tokens = reasons[reasons["start"] >= 0]
middle = (tokens["start"] + tokens["length"] / 2) / data.sampling_rate
is_put_in = middle.between(3, 7)
put_in, others = (
    tokens[chosen]["contribution"].sum() for chosen in (is_put_in, ~is_put_in)
)
print(f"Tokens from 3 to 7 s: {put_in:+.1f}, all others: {others:+.1f}. Most of all:")
is_named = (reasons["start"] >= 0) | reasons["phrase"].str.contains("than on average")
for reason in reasons[is_named].head(6).itertuples():
    where = ""
    if reason.start >= 0:
        first, last = reason.start, reason.start + reason.length
        where = f"{reason.channel_name}, {first / 10:.1f} to {last / 10:.1f} s: "
    print(f"{reason.contribution:+.1f}  {where}{reason.phrase}")

# %%
# The four seconds of running determine the prediction. If activities change within a
# recording, use shorter windows, as in :ref:`sphx_glr_auto_examples_long_recording.py`.
#
# The page :doc:`/benchmarks` contains a systematic test of explanations on three data
# sets.
