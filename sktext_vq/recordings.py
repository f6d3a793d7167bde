"""Reading of recordings, division into windows, and segmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax

from sktext_vq._io.continuous import read_recordings
from sktext_vq._io.read import read_panel
from sktext_vq._io.recordings import Recordings
from sktext_vq._io.table import LabelledPanel

__all__ = [
    "LabelledPanel",
    "Recordings",
    "cut_windows",
    "read_panel",
    "read_recordings",
    "segment",
]


def cut_windows(
    recording: ArrayLike, length: int, step: int | None = None
) -> NDArray[Any]:
    """Cut a recording into windows.

    Parameters
    ----------
    recording : array-like of shape (n_channels, n_timepoints) or (n_timepoints,)
        One long series.
    length : int
        Number of timepoints of a window.
    step : int, optional
        Number of timepoints between the starts of successive windows. The default is
        half of `length`.

    Returns
    -------
    ndarray of shape (n_windows, n_channels, length)
        Windows; a read-only view if the recording is an array. An incomplete window at
        the end is dropped.

    Raises
    ------
    ValueError
        If the recording has an invalid shape or is shorter than a window.
    TypeError
        If `length` or `step` is not an integer.

    Examples
    --------
    >>> import numpy as np
    >>> from sktext_vq.recordings import cut_windows
    >>> cut_windows(np.zeros((3, 1000)), 100).shape
    (19, 3, 100)
    """
    try:
        values = np.asarray(recording)
    except ValueError as error:
        raise ValueError(
            "recording has channels of different length: pad them with NaN."
        ) from error
    if values.ndim == 1:
        values = values[None]
    if values.ndim != 2:
        raise ValueError(
            "recording must have shape (n_channels, n_timepoints) or (n_timepoints,), "
            f"got {values.shape}."
        )
    for name, value in (("length", length), ("step", step)):
        if not (isinstance(value, Integral) or (name == "step" and value is None)):
            raise TypeError(f"{name} must be an integer, got {value!r}.")
    step = max(1, length // 2) if step is None else step
    if length < 1 or step < 1:
        raise ValueError(f"length and step must be at least 1, got {length}, {step}.")
    if values.shape[1] < length:
        raise ValueError(
            f"The recording has {values.shape[1]} timepoints, fewer than the window "
            f"length {length}. Its shape must be (n_channels, n_timepoints)."
        )
    windows = np.lib.stride_tricks.sliding_window_view(values, length, axis=1)
    return windows[:, ::step].transpose(1, 0, 2)


def segment(
    classifier: Any,
    recording: ArrayLike,
    length: int,
    step: int | None = None,
    *,
    candidate_labels: Sequence[str] | Mapping[str, Any] | None = None,
    stay: float = 0.95,
    least: float = 0.6,
) -> pd.DataFrame:
    """Segment a long recording by class.

    Parameters
    ----------
    classifier : estimator
        Fitted classifier of windows with ``predict_proba`` and ``classes_``.
    recording : array-like of shape (n_channels, n_timepoints) or (n_timepoints,)
        One long series.
    length : int
        Number of timepoints of a window, as in training.
    step : int, optional
        Number of timepoints between the starts of successive windows. The default is
        half of `length`.
    candidate_labels : sequence of str, or dict, optional
        Candidate classes, which may be unseen in training; see
        :meth:`~sktext_vq.VQTextClassifier.predict_proba_zero_shot`. The default is
        the training classes.
    stay : float, default=0.95
        Probability that the next window has the same class.
    least : float, default=0.6
        Windows at a change of class are transitions if the probability of the class
        in the single window is below this threshold.

    Returns
    -------
    DataFrame
        One row per segment, in order of time and without gaps: ``start`` and ``end``
        (exclusive) in timepoints, ``label``, ``probability`` (mean over the windows of
        the segment), and ``transition``, True for segments between two classes, whose
        label has the form ``"a -> b"``.

    Raises
    ------
    ValueError
        If the recording has an invalid shape or is shorter than a window, or if `stay`
        or `least` is not in [0, 1).
    TypeError
        If `classifier` has no method to predict probabilities, or `length` or `step` is
        not an integer.

    Notes
    -----
    The most probable sequence of classes is found by the Viterbi algorithm (IEEE Trans.
    Inf. Theory, 1967), with the same probability `stay` for all classes.

    Examples
    --------
    >>> import numpy as np
    >>> from sktext_vq import VQTextClassifier
    >>> from sktext_vq.datasets import load
    >>> from sktext_vq.recordings import segment
    >>> data = load("BasicMotions")
    >>> model = VQTextClassifier(max_epochs=0, random_state=0)
    >>> model = model.fit(data.X_train, data.y_train)
    >>> run, stand = (data.X_test[data.y_test == c] for c in ("running", "standing"))
    >>> recording = np.concatenate([*run[:4], *stand[:4]], axis=1)
    >>> segment(model, recording, length=100, step=100)[["start", "end", "label"]]
       start  end     label
    0      0  400   running
    1    400  800  standing
    """
    chances: dict[str, Any] = {"stay": stay, "least": least}
    for name, value in chances.items():
        if not (isinstance(value, Real) and 0 <= float(value) < 1):
            raise ValueError(f"{name} must be at least 0 and below 1, got {value!r}.")
    needed = "predict_proba" if candidate_labels is None else "predict_proba_zero_shot"
    if isinstance(classifier, type) or not hasattr(classifier, needed):
        raise TypeError(
            f"classifier must be a fitted estimator with {needed}, got {classifier!r}."
        )
    windows = cut_windows(recording, length, step)
    step = max(1, length // 2) if step is None else step
    if candidate_labels is None:
        found = classifier.predict_proba(windows)
        labels = [str(label) for label in classifier.classes_]
    else:
        found = classifier.predict_proba_zero_shot(windows, candidate_labels)
        labels = list(candidate_labels)
    path = _most_probable_path(np.log(np.maximum(found, 1e-12)), stay)
    own = found[np.arange(len(path)), path]
    # A window is assigned the timepoints around its centre.
    n_timepoints = np.shape(recording)[-1]
    middles = np.arange(len(path)) * step + length / 2
    borders = ((middles[:-1] + middles[1:]) / 2).round().astype(int)
    starts, ends = np.r_[0, borders], np.r_[borders, n_timepoints]
    names = [labels[i] for i in path]
    is_between = np.zeros(len(path), bool)
    for change in np.flatnonzero(np.diff(path)):
        label = f"{labels[path[change]]} -> {labels[path[change + 1]]}"
        near = [i for i in (change, change + 1) if own[i] < least]
        for i in near:
            names[i], is_between[i] = label, True
    table = pd.DataFrame(
        {
            "start": starts,
            "end": ends,
            "label": names,
            "probability": own,
            "transition": is_between,
        }
    )
    new = (table["label"] != table["label"].shift()).cumsum()
    joined = table.groupby(new, sort=False).agg(
        start=("start", "first"),
        end=("end", "last"),
        label=("label", "first"),
        probability=("probability", "mean"),
        transition=("transition", "first"),
    )
    return joined.reset_index(drop=True)


def _most_probable_path(scores: NDArray[np.float64], stay: float) -> NDArray[np.intp]:
    """Return the most probable sequence of class indices by the Viterbi algorithm."""
    n_windows, n_classes = scores.shape
    with np.errstate(divide="ignore"):
        move = np.log((1 - stay) / max(n_classes - 1, 1))
        kept = np.log(stay)
    scores = log_softmax(scores, axis=1)
    origin = np.empty((n_windows, n_classes), np.intp)
    best = scores[0]
    every = np.arange(n_classes)
    for i in range(1, n_windows):
        top = int(best.argmax())
        moves = best[top] + move > best + kept
        origin[i] = np.where(moves, top, every)
        best = np.where(moves, best[top] + move, best + kept) + scores[i]
    path = np.empty(n_windows, np.intp)
    path[-1] = best.argmax()
    for i in range(n_windows - 1, 0, -1):
        path[i - 1] = origin[i, path[i]]
    return path
