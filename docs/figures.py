"""Figures of the user guide. Each function draws a figure for a plot directive."""

from functools import cache

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from sktext_vq import VQTextClassifier
from sktext_vq.datasets import load
from sktext_vq.inspection import (
    ExplanationDisplay,
    HistogramsDisplay,
    PhrasesDisplay,
    TokensDisplay,
)

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"
SENTENCES = [
    "hitting a shuttlecock",
    "somebody sprints",
    "somebody does not move at all",
    "a stroll through the park",
]


@cache
def fitted():
    """Return the data of all figures and a classifier that is fitted to them."""
    data = load("BasicMotions")
    classifier = VQTextClassifier(
        channel_names=data.channel_names,
        sampling_rate=data.sampling_rate,
        random_state=0,
    )
    return data, classifier.fit(data.X_train, data.y_train)


def overview():
    """Draw the steps of the computation for series and for texts."""
    _, axis = plt.subplots(figsize=(8.5, 3.4))
    axis.set(xlim=(0, 17), ylim=(0, 6.4))
    axis.axis("off")

    def box(x, y, text, colour, width=2.6, height=1.3):
        patch = FancyBboxPatch(
            (x, y), width, height, "round,pad=0.1", fc=colour + "22", ec=colour
        )
        axis.add_patch(patch)
        axis.text(x + width / 2, y + height / 2, text, ha="center", va="center")

    def arrow(start, end, colour=GREY, **style):
        axis.add_patch(
            FancyArrowPatch(
                start, end, arrowstyle="->", mutation_scale=12, color=colour, **style
            )
        )

    top, middle, bottom = 4.7, 2.6, 0.5
    for x, text in (
        (0.2, "panel\nof series"),
        (3.6, "windows of\neight means"),
        (7.0, "tokens: code,\nlevel, scale, ..."),
        (10.4, "histogram\nof tokens"),
        (13.8, "ridge:\nprobabilities"),
    ):
        box(x, top, text, BLUE)
    for x in (2.9, 6.3, 9.7, 13.1):
        arrow((x, top + 0.65), (x + 0.6, top + 0.65), BLUE)
    for x, text in (
        (0.2, "texts about\nclasses, series"),
        (3.6, "frozen\nencoder"),
        (7.0, "text branch"),
        (10.4, "expected\nuse of codes"),
        (13.8, "search, names,\nunseen classes"),
    ):
        box(x, bottom, text, ORANGE)
    for x in (2.9, 6.3, 9.7, 13.1):
        arrow((x, bottom + 0.65), (x + 0.6, bottom + 0.65), ORANGE)
    box(7.0, middle, "codebook:\n64 shapes", GREEN)
    arrow((8.3, middle + 1.4), (8.3, top - 0.1), GREEN)
    arrow((9.7, middle + 0.3), (11.2, bottom + 1.4), GREEN)
    arrow((11.7, top - 0.1), (11.7, bottom + 1.4), GREY, linestyle="--")
    axis.text(11.9, 3.25, "training:\nsame\ncodes", color=GREY, va="center")
    arrow((12.7, top - 0.1), (14.6, bottom + 1.4), BLUE)


def window():
    """Draw one window, its eight means, and the code that is nearest."""
    data, classifier = fitted()
    codes, dilation, best = classifier.codebook_, 2, np.inf
    all_z = (data.X_test[:, 0] - data.X_train[:, 0].mean()) / data.X_train[:, 0].std()
    # Choose a window that is similar to a code.
    for series in all_z[np.isin(data.y_test, ["badminton", "running"])]:
        for i in range(len(series) - 8 * dilation):
            means = series[i : i + 8 * dilation].reshape(8, dilation).mean(axis=1)
            found = (means - means.mean()) / (means.std() + 0.05)
            distances = ((codes - found) ** 2).sum(axis=1)
            if means.std() > 0.7 and distances.min() < best:
                z, start, points, shape = series, i, means, found
                best, code = distances.min(), int(distances.argmin())
    offset, scale = points.mean(), points.std()

    _, (left, middle, right) = plt.subplots(
        1, 3, figsize=(9, 2.7), width_ratios=(2, 1.3, 1.3), layout="constrained"
    )
    left.plot(z, color=GREY, lw=1)
    left.axvspan(start, start + 8 * dilation, color=BLUE, alpha=0.2, lw=0)
    left.set(title="a channel, standardised", xlabel="timepoint")
    time = start + dilation * (np.arange(8) + 0.5)
    middle.plot(
        np.arange(start, start + 8 * dilation) + 0.5, z[start : start + 16], color=GREY
    )
    middle.plot(time, points, "o", color=BLUE, label="eight means")
    middle.axhline(offset, color=ORANGE, label=f"offset {offset:.2f}")
    middle.axhspan(
        offset - scale,
        offset + scale,
        color=ORANGE,
        alpha=0.15,
        lw=0,
        label=f"scale {scale:.2f}",
    )
    middle.set(
        title=f"window: start {start}, length {8 * dilation}", xlabel="timepoint"
    )
    middle.legend(fontsize="x-small")
    right.plot(shape, "o", color=BLUE, label="shape of the window")
    right.plot(codes[code], color=GREEN, label=f"code {code}, the nearest")
    right.set(title="without offset and scale", xlabel="point")
    right.legend(fontsize="x-small")


def codebook():
    """Draw all codes."""
    _, classifier = fitted()
    _, axes = plt.subplots(4, 16, figsize=(9, 2.4), sharey=True)
    for code, (axis, shape) in enumerate(
        zip(axes.flat, classifier.shapes_, strict=True)
    ):
        axis.plot(shape, color=GREEN)
        axis.axis("off")
        axis.set_title(str(code), fontsize=6, pad=1)


def tokens():
    """Draw one channel of a series with its tokens."""
    data, classifier = fitted()
    case = int(np.flatnonzero(data.y_test == "badminton")[2])
    TokensDisplay.from_estimator(classifier, data.X_test, case=case, channels=["acc_x"])


def histograms():
    """Draw the frequency of codes by class."""
    data, classifier = fitted()
    HistogramsDisplay.from_estimator(classifier, data.X_test, data.y_test, n_codes=32)


def contributions():
    """Draw the contributions of tokens to the log-odds of two classes."""
    data, classifier = fitted()
    ExplanationDisplay.from_estimator(
        classifier,
        data.X_test,
        case=int(np.flatnonzero(data.y_test == "badminton")[2]),
        against="running",
        channels=["acc_x", "gyro_x"],
    )


def places():
    """Draw the mean similarity of the test series of each class to sentences."""
    data, classifier = fitted()
    cosines = classifier.similarity(data.X_test, SENTENCES)
    labels = sorted(set(data.y_test.tolist()))
    means = np.stack([cosines[data.y_test == label].mean(axis=0) for label in labels])
    _, axis = plt.subplots(figsize=(7.5, 2.6), layout="constrained")
    axis.imshow(means, cmap="PuOr_r", vmin=-1, vmax=1, aspect="auto")
    axis.set_xticks(range(4), [text.replace(" ", "\n", 2) for text in SENTENCES])
    axis.set_yticks(range(4), labels)
    for i, j in np.ndindex(means.shape):
        axis.text(j, i, f"{means[i, j]:.2f}", ha="center", va="center")


def meeting():
    """Draw the use of codes by classes of series, and as predicted from sentences."""
    data, classifier = fitted()
    figure = plt.figure(figsize=(9, 5), layout="constrained")
    above, below = figure.subfigures(2)
    HistogramsDisplay.from_estimator(
        classifier, data.X_test, data.y_test, n_codes=24, ax=above.subplots()
    )
    PhrasesDisplay.from_estimator(
        classifier, SENTENCES, n_codes=24, ax=below.subplots()
    )
