"""
Text and prompts
================

Text guides training, and prediction takes series alone. This page shows where texts
come from, what a model makes of them, and what they do not do: raise accuracy.
"""

# %%
# Texts about classes
# -------------------
# Labels that are words are looked up in a bank of prompts. What the bank does not know
# is made of templates, and own texts go before both.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sktext_vq import PromptBank, SeriesCaptioner, SeriesVerbalizer, VQTextClassifier
from sktext_vq.datasets import load
from sktext_vq.inspection import PhrasesDisplay

bank = PromptBank({"stirring": ["A hand stirs a pot.", "Round and round, slowly."]})
prompts = bank.prompts(["WALKING_UPSTAIRS", "stirring", "sorting screws"])
pd.DataFrame(
    {
        label: {form: texts[0] for form, texts in forms.items()}
        for label, forms in prompts.items()
    }
)

# %%
# Texts about series
# ------------------
# A captioner says in sentences what statistics tell, and a verbalizer writes a series
# as digits, which can be read back.

data = load("BasicMotions")
running = np.flatnonzero(data.y_test == "running")[0]
captioner = SeriesCaptioner(
    channel_names=data.channel_names, sampling_rate=data.sampling_rate
).fit(data.X_train)
print(*captioner.sentences(data.X_test[[running]])[0], sep="\n")

verbalizer = SeriesVerbalizer(n_timepoints=25).fit(data.X_train)
written = verbalizer.transform(data.X_test[[running]])
back = verbalizer.inverse_transform(written)
print(written.ravel()[0])

figure, axis = plt.subplots(figsize=(8, 2.4), layout="constrained")
axis.plot(data.X_test[running, 0], color="grey", label="acc_x")
axis.step(np.arange(25) * 4 + 2, back[0, 0], where="mid", label="as read back")
axis.set(xlabel="timepoint")
axis.legend()
plt.show()

# %%
# Training with text
# ------------------
# Few epochs are enough here. All labels are words, so that class prompts and captions
# both guide training.

options = {
    "channel_names": data.channel_names,
    "sampling_rate": data.sampling_rate,
    "max_epochs": 8,
    "random_state": 0,
}
classifier = VQTextClassifier(**options).fit(data.X_train, data.y_train)
print(
    f"{classifier.training_stage_}, of each class beginning with:",
    *classifier.prompts_,
    sep="\n",
)

# %%
# Sentences and series
# --------------------
# Both have a place in one workspace, and ``similarity`` is the cosine of the two. The
# sentences below were not in training.

sentences = {
    "standing": "somebody does not move at all",
    "walking": "a stroll through the park",
    "running": "somebody sprints",
    "badminton": "hitting a shuttlecock",
}
cosines = classifier.similarity(data.X_test, list(sentences.values()))
means = (
    pd.DataFrame(cosines, columns=list(sentences.values())).groupby(data.y_test).mean()
)
means = means.loc[list(sentences)]
found = np.array(list(sentences))[cosines.argmax(axis=1)]
print(f"class of the most similar sentence: {(found == data.y_test).mean():.0%} right")

figure, axis = plt.subplots(figsize=(7, 3), layout="constrained")
image = axis.imshow(means, cmap="PuOr_r", vmin=-1, vmax=1, aspect="auto")
axis.set_xticks(range(4), [text.replace(" ", "\n", 2) for text in means.columns])
axis.set_yticks(range(4), means.index)
for i, j in np.ndindex(means.shape):
    axis.text(j, i, f"{means.iloc[i, j]:.2f}", ha="center", va="center")
axis.set_title("mean cosine of test series and sentence")
plt.show()

# %%
# Sentences and codes
# -------------------
# Text has no place in time, but it can say which shapes there are. ``transform_text``
# tells the expected share of each code, and the display compares it between texts: the
# same picture as that of classes in
# :ref:`sphx_glr_auto_examples_reading_the_codebook.py`.

# sphinx_gallery_thumbnail_number = 2
PhrasesDisplay.from_estimator(classifier, list(sentences.values()), n_codes=32)
plt.show()

# %%
# Codes can be named by sentences, as well: each by the one that speaks of it most, if
# it does so much more than the others.

named = classifier.describe_codes(list(sentences.values())).dropna(subset="phrase")
named[["shape", "class", "lift", "phrase", "confidence"]].head(6).round(2)

# %%
# What text does not do
# ---------------------
# Histograms and ridge do not see text: predictions are those of a model without any. On
# all data sets that we have tried, no text has raised the accuracy on classes that have
# recordings; see :doc:`/what-text-gives`.

plain = VQTextClassifier(**{**options, "text": None}).fit(data.X_train, data.y_train)
rows = {
    "with text": classifier.predict_proba(data.X_test),
    "without": plain.predict_proba(data.X_test),
}
pd.DataFrame(
    {
        "accuracy": [
            (classifier.classes_[found.argmax(axis=1)] == data.y_test).mean()
            for found in rows.values()
        ],
        "largest change of a probability": [
            np.abs(found - rows["without"]).max() for found in rows.values()
        ],
    },
    index=list(rows),
)
