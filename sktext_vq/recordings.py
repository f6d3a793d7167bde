"""Functions to read recordings, and to cut or segment them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from sktext_vq._io.continuous import read_recordings
from sktext_vq._io.read import read_panel
from sktext_vq._io.recordings import Recordings
from sktext_vq._io.table import LabelledPanel
from sktext_vq._segmentation.segments import SegmentOptions, segment_recordings

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
        Continuous recording.
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
            "The channels of the recording have different lengths. Pad them with NaN."
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
        raise ValueError(
            f"length and step must be at least 1, got length={length}, step={step}."
        )
    if values.shape[1] < length:
        raise ValueError(
            f"The recording has {values.shape[1]} timepoints, but the window length "
            f"is {length}. The shape of the recording must be (n_channels, "
            "n_timepoints)."
        )
    windows = np.lib.stride_tricks.sliding_window_view(values, length, axis=1)
    return windows[:, ::step].transpose(1, 0, 2)


def segment(
    classifier: Any,
    recordings: Any,
    length: float | None = None,
    step: float | None = None,
    *,
    seconds: bool = True,
    max_gap: float | None = None,
    candidate_labels: Sequence[str] | Mapping[str, Any] | None = None,
    unknown_label: str | None = None,
    self_transition: float = 0.99,
    min_probability: float = 0.0,
) -> pd.DataFrame:
    """Divide recordings into segments and predict the class of each segment.

    The classifier predicts the classes of overlapping windows. A hidden Markov model,
    in which class changes are rare, merges the windows into segments.

    Parameters
    ----------
    classifier : estimator
        Fitted window classifier with ``predict_proba`` and ``classes_``, such as a
        :class:`~sktext_vq.VQTextClassifier` or a pipeline.
    recordings : Recordings, DataFrame or array-like
        :class:`Recordings`; a data frame with one row per timepoint, see
        :func:`read_recordings`; or one recording as an array of shape (n_channels,
        n_timepoints) or (n_timepoints,).
    length : float, optional
        Length of a window. The default is the maximum length of the training windows.
        Required for a pipeline, which does not store this length.
    step : float, optional
        Time between the starts of successive windows. The default is half of `length`.
    seconds : bool, default=True
        Whether `length`, `step` and `max_gap` are in seconds. Otherwise, and for
        arrays, they are numbers of timepoints at the sampling rate of the windows.
    max_gap : float, optional
        Maximum step between timepoints that is not a gap; see
        :meth:`Recordings.windows`.
    candidate_labels : sequence of str, or dict, optional
        Candidate classes, which may be unseen in training; see
        :meth:`~sktext_vq.VQTextClassifier.predict_proba_zero_shot`. The default is
        the training classes.
    unknown_label : str, optional
        Label of segments that resemble neither a candidate nor a training class. A base
        model also assigns this label to activities that are not among the candidates.
        Requires `candidate_labels`.
    self_transition : float, default=0.99
        Probability that the class does not change within the length of a window. Other
        classes are equally probable after a change.
    min_probability : float, default=0.0
        Windows at a class change become a separate segment, called a transition, if the
        probability of their class is below this value. By default, there are no
        transitions.

    Returns
    -------
    DataFrame
        One row per segment. The rows of a recording are in chronological order and
        cover the recording without overlap.

        - ``recording``: name of the recording.
        - ``start`` and ``end`` (exclusive): in the time of the recording; in timepoints
          for arrays.
        - ``label``: predicted class, or NaN for a part without data.
        - ``probability``: mean probability of the class over the segment, or NaN.
        - ``transition``: True for transitions, whose label has the form ``"a -> b"``.
        - ``note``: ``"no data"`` for gaps, and for times at which all channels are
          missing; ``"too short"`` for a stretch between gaps that is shorter than half
          a window; outages, such as ``"acc_x missing"``, for channels that are missing
          or constant for at least the length of a window. Otherwise empty.

    Raises
    ------
    ValueError
        If a parameter or an array is invalid, if channels of the training windows are
        missing from the recordings, or if all stretches between gaps are shorter than
        half a window.
    TypeError
        If `classifier` has no method to predict probabilities, or if the recording is
        an array and `length` or `step` is not an integer.

    Warns
    -----
    UserWarning
        If recordings have channels that the training windows did not have. Warnings of
        the classifier, such as `DriftWarning`, are issued once for all windows.

    See Also
    --------
    read_recordings : Read recordings from files or data frames.
    cut_windows : Cut an array into windows.

    Notes
    -----
    If the classifier has ``channel_names``, channels are matched by name, in any order.
    If the classifier has a ``sampling_rate``, recordings at other rates are resampled
    as in :meth:`Recordings.windows`.

    The most probable sequence of classes is found by the Viterbi algorithm [1]_ [2]_,
    for each stretch between gaps separately. Overlapping windows are not independent,
    so the log-probabilities of a window are multiplied by the share of its timepoints
    that are nearer to its centre than to the centre of another window. Results
    therefore hardly depend on `step`. A border between segments is the midpoint between
    the centres of two windows.

    A stretch shorter than a window is extended by reflection. If a channel is missing
    for a whole window, its mean in training is used (for pipelines, its mean in the
    recording). A constant channel is treated as missing if the channel was not constant
    in any training window of a `VQTextClassifier`. Otherwise, constant values are
    valid. They are reported in ``note`` only if they last for at least ten windows, and
    only if fewer than 1 % of the training windows were constant.

    Windows are predicted in batches. For 24 hours of six channels at 50 Hz, about 230
    MiB of memory are required in addition to the recording.

    References
    ----------
    .. [1] Viterbi, A. (1967). Error bounds for convolutional codes and an
       asymptotically optimum decoding algorithm. IEEE Transactions on Information
       Theory, 13(2), 260-269.
    .. [2] Rabiner, L. R. (1989). A tutorial on hidden Markov models and selected
       applications in speech recognition. Proceedings of the IEEE, 77(2), 257-286.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sktext_vq import VQTextClassifier
    >>> from sktext_vq.datasets import load
    >>> from sktext_vq.recordings import segment
    >>> data = load("BasicMotions")
    >>> names = ["acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z"]
    >>> model = VQTextClassifier(channel_names=names, random_state=0)
    >>> model = model.fit(data.X_train, data.y_train)
    >>> run, stand = (data.X_test[data.y_test == c] for c in ("running", "standing"))
    >>> values = np.concatenate([*run[:4], *stand[:4]], axis=1)
    >>> table = pd.DataFrame(values.T, columns=names)
    >>> table["time"] = pd.Timestamp("2025-05-05 07:00") + pd.to_timedelta(
    ...     np.arange(800) / 10, unit="s"
    ... )
    >>> segment(model, table)[["start", "end", "label"]]
                        start                     end     label
    0 2025-05-05 07:00:00.000 2025-05-05 07:00:42.500   running
    1 2025-05-05 07:00:42.500 2025-05-05 07:01:20.000  standing
    """
    options = SegmentOptions(
        length, step, seconds, max_gap, self_transition, min_probability
    )
    return segment_recordings(
        classifier, recordings, options, candidate_labels, unknown_label
    )
