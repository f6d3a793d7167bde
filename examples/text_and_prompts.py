"""
Text and prompts
================

A classifier can be fitted with texts about classes and about series. This example shows
where the texts come from, and how they are used. Text does not raise the accuracy on
training classes, and is not required for prediction.
"""

# %%
# Texts about classes
# -------------------
# Prompts are texts about classes. If the label of a class is in the prompt bank, the
# prompts are read from the bank. For other labels, prompts are made from templates.
# Your own texts take precedence over both.

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
# A captioner describes the statistics of a series in sentences. A verbalizer writes a
# series as digits, from which the series can be reconstructed.

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
axis.step(
    np.arange(25) * 4 + 2, back[0, 0], where="mid", label="reconstructed from digits"
)
axis.set(xlabel="timepoint")
axis.legend()
plt.show()

# %%
# Fit with text
# -------------
# By default, the classifier uses captions. Since all labels of this data set are words,
# it also uses class prompts.

options = {
    "channel_names": data.channel_names,
    "sampling_rate": data.sampling_rate,
    "random_state": 0,
}
classifier = VQTextClassifier(**options).fit(data.X_train, data.y_train)
print("first text of each class:", *classifier.prompts_, sep="\n")

# %%
# Sentences and series
# --------------------
# Sentences and series are mapped to a joint embedding space. ``similarity`` returns
# their cosines. The sentences below are not among the prompts.

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
# A text does not determine the positions of shapes, but it can describe which shapes
# occur. ``transform_text`` returns the share of each code that is expected for a text.
# The plot shows the expected shares for four sentences, and corresponds to the plot of
# classes in :ref:`sphx_glr_auto_examples_reading_the_codebook.py`.

# sphinx_gallery_thumbnail_number = 2
PhrasesDisplay.from_estimator(classifier, list(sentences.values()), n_codes=32)
plt.show()

# %%
# ``describe_codes`` can name codes by sentences. The name of a code is the sentence
# with the largest expected share of this code. Codes without sufficient evidence have
# no name.

named = classifier.describe_codes(list(sentences.values())).dropna(subset="phrase")
named[["shape", "class", "lift", "phrase", "confidence"]].head(6).round(2)

# %%
# Text and accuracy
# -----------------
# The features and the classifier do not depend on text, so the predictions are the same
# as without text. See :doc:`/what-text-gives` for results on other data sets.

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
        "largest difference of a probability": [
            np.abs(found - rows["without"]).max() for found in rows.values()
        ],
    },
    index=list(rows),
)
