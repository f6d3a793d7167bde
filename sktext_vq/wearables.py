"""Activity recognition with body-worn sensors, without training data.

A *base model* is a classifier that was fitted to several public data sets. It assigns
each window one of the names chosen by the user, based on texts about these names.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from sktext_vq._io.recordings import Recordings
from sktext_vq._utils.files import check_path, check_target
from sktext_vq._wearables import harmonise as _harmonise
from sktext_vq._wearables.harmonise import (
    CHANNELS,
    SAMPLING_RATE,
    HarmonisedWindows,
)
from sktext_vq._wearables.pooling import LabelledSet, fit_base
from sktext_vq.classifier import VQTextClassifier
from sktext_vq.persistence import PACKAGED, load, save

__all__ = [
    "CHANNELS",
    "SAMPLING_RATE",
    "LabelledSet",
    "build_base",
    "harmonise",
    "load_base",
]


@overload
def harmonise(
    X: Recordings,
    *,
    channel_names: Sequence[str] | None = None,
    sampling_rate: float | None = None,
    units: str | Mapping[str, str] = "auto",
) -> Recordings: ...
@overload
def harmonise(
    X: Any,
    *,
    channel_names: Sequence[str] | None = None,
    sampling_rate: float | None = None,
    units: str | Mapping[str, str] = "auto",
) -> HarmonisedWindows: ...
def harmonise(
    X: Any,
    *,
    channel_names: Sequence[str] | None = None,
    sampling_rate: float | None = None,
    units: str | Mapping[str, str] = "auto",
) -> HarmonisedWindows | Recordings:
    """Convert sensor data to the channels, units and sampling rate of base models.

    Parameters
    ----------
    X : array-like of shape (n_cases, n_channels, n_timepoints), panel or Recordings
        Windows, or recordings from :func:`sktext_vq.recordings.read_recordings`.
    channel_names : sequence of str, optional
        Names of the channels, such as ``"acc_x"``. This parameter is required unless X
        contains channel names. The accelerometer and the gyroscope are identified by
        these names, and their axes by ``x``, ``y`` and ``z``. If gravity and the
        acceleration without gravity are separate channels, such as ``gravity.x`` and
        ``userAcceleration.x``, their sum is used. If names contain several places, such
        as ``chest_acc_x`` and ``wrist_acc_x``, the first accelerometer that has a
        gyroscope at the same place is used, or the first accelerometer if there is
        none. Other channels are ignored.
    sampling_rate : float, optional
        Sampling rate in Hz, at least 8. This parameter is required for windows.
    units : str or dict, default="auto"
        Unit of the acceleration: ``"g"``, ``"m/s^2"`` or ``"mg"``. Alternatively, a
        dict that maps ``"acc"`` to this unit, and ``"gyro"`` to the unit of the angular
        velocity, ``"rad/s"`` or ``"deg/s"``. With ``"auto"``, the unit of the
        acceleration is the one in which the norm of the acceleration is close to 1 g in
        the windows with the least movement. The unit of the angular velocity is deg/s
        if the angular velocity is large relative to the variation of the acceleration,
        and rad/s otherwise.

    Returns
    -------
    ndarray of shape (n_cases, 6, n_timepoints) or Recordings
        The channels acc_x, acc_y and acc_z in g, and gyro_x, gyro_y and gyro_z in
        rad/s, as float32. Without a gyroscope, the three gyro channels are NaN.
        Windows are resampled to 50 Hz. Only the central 2.56 s of longer windows are
        used, and shorter windows are padded with NaN. Recordings keep their original
        times; they are resampled by
        :meth:`~sktext_vq.recordings.Recordings.windows` and
        :func:`~sktext_vq.recordings.segment`. The attribute ``notes`` of the result
        lists the assumptions about the data.

    Raises
    ------
    ValueError
        If there is no accelerometer, if the norm of the acceleration at rest is not
        close to 1 g in any unit, or if the sampling rate is unknown or below 8 Hz.
    TypeError
        If `channel_names` is not a list of names.

    Warns
    -----
    UserWarning
        If the acceleration does not seem to include gravity. If a unit is given and the
        channel names do not contain a word such as "linear", this is only a note.

    Examples
    --------
    >>> import numpy as np
    >>> from sktext_vq.wearables import harmonise
    >>> X = np.random.default_rng(0).normal(0, 0.3, size=(5, 3, 100))
    >>> X[:, 2] += 9.81
    >>> found = harmonise(X, channel_names=["x", "y", "z"], sampling_rate=20)
    >>> found.shape, bool(abs(found[:, 2].mean() - 1) < 0.1)
    ((5, 6, 128), True)
    >>> found.notes[1]
    'acceleration is in m/s^2'
    """
    if isinstance(X, Recordings):
        return _harmonise.harmonise_recordings(X, channel_names, sampling_rate, units)
    return _harmonise.harmonise_windows(X, channel_names, sampling_rate, units)


def load_base(name: str | os.PathLike[str] = "wearables") -> VQTextClassifier:
    """Load a base model, a classifier fitted to several activity data sets.

    Parameters
    ----------
    name : str or path-like, default="wearables"
        Name of a packaged base model, or path to a file that was written by
        :func:`build_base`.

    Returns
    -------
    VQTextClassifier
        Fitted classifier for windows from :func:`harmonise`. ``predict_zero_shot`` and
        :func:`sktext_vq.recordings.segment` with ``candidate_labels`` assign names
        chosen by the user; ``predict`` assigns the labels of the data sets. The
        attribute ``card_`` is the model card. It lists the data sets, numbers of
        people, sensor positions, results and limitations.

    Raises
    ------
    ValueError
        If the file is damaged or does not contain a base model.
    OSError
        If the file does not exist.

    Notes
    -----
    The packaged base model is reliable for a few coarse activities, such as sitting,
    walking and running, and much less reliable for other activities; see
    :doc:`/wearables`. The base model is not a medical device.

    Examples
    --------
    >>> from sktext_vq.datasets import load
    >>> from sktext_vq.wearables import harmonise, load_base
    >>> base = load_base()
    >>> data = load("BasicMotions")
    >>> moving = [label in ("running", "walking") for label in data.y_test]
    >>> X = harmonise(
    ...     data.X_test[moving],
    ...     channel_names=data.channel_names,
    ...     sampling_rate=data.sampling_rate,
    ...     units="m/s^2",
    ... )
    >>> found = base.predict_zero_shot(X, ["running", "walking"])
    >>> bool((found == data.y_test[moving]).mean() > 0.9)
    True
    """
    path = check_path(PACKAGED.get(str(name), name))
    base: VQTextClassifier = load(path)
    if base.adapter_ is None:
        raise ValueError(
            f"{path} is a sktext_vq model, but not a base model. Pass a file "
            "written by build_base."
        )
    return base


def build_base(
    sets: Sequence[LabelledSet],
    path: str | os.PathLike[str],
    *,
    card: Mapping[str, Any] | None = None,
    random_state: int = 0,
) -> Path:
    """Fit a base model to labelled data sets, and save it to a file.

    Parameters
    ----------
    sets : sequence of LabelledSet
        Data sets, each with at least two classes.
    path : path-like
        File to write, such as ``base.safetensors``.
    card : dict, optional
        Entries for the model card, such as licences, results and limitations. The
        labels and the numbers of windows and people of each data set are added.
    random_state : int, default=0
        Seed of the random number generator. Fits with the same seed are identical.

    Returns
    -------
    Path
        Path to the file.

    Raises
    ------
    ValueError
        If there are no data sets, or if a data set cannot be harmonised.
    OSError
        If the file cannot be written.

    Notes
    -----
    The features do not depend on the rotation of the device about the vertical axis.
    They are centred separately for each data set, because differences between data sets
    are larger than differences between activities. The centre of a data set is the mean
    of its class means, so that all classes of a data set have equal weight. Features of
    new windows are centred by the average of these centres.
    """
    target = check_target(path)
    base = fit_base(list(sets), dict(card or {}), random_state)
    return save(base, target)
