"""Activity recognition with body-worn sensors, without training data.

A *base* (base model) is a classifier fitted to several public data sets. It assigns
windows to names chosen by the user, based on texts about these names.
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
    """Convert accelerometer data to the channels, units and sampling rate of a base.

    Parameters
    ----------
    X : array-like of shape (n_cases, n_channels, n_timepoints), panel or Recordings
        Windows, or recordings from :func:`sktext_vq.recordings.read_recordings`.
    channel_names : sequence of str, optional
        Names of the channels, such as ``"acc_x"``. Required unless X has names. The
        accelerometer and the gyroscope are found by name; axes are ``x``, ``y`` and
        ``z``. Gravity and acceleration without gravity, such as ``gravity.x`` and
        ``userAcceleration.x``, are added. Other channels are ignored.
    sampling_rate : float, optional
        Sampling rate in Hz, at least 8. Required for windows.
    units : str or dict, default="auto"
        Unit of acceleration, ``"g"``, ``"m/s^2"`` or ``"mg"``; or a dict with the
        keys ``"acc"`` and ``"gyro"``, whose unit is ``"rad/s"`` or ``"deg/s"``. With
        ``"auto"``, the norm of the acceleration in the windows with the least movement
        is assumed to be gravity, and the angular velocity is assumed to be in deg/s if
        the angular velocity is large relative to the variation of the acceleration.

    Returns
    -------
    ndarray of shape (n_cases, 6, n_timepoints) or Recordings
        Channels acc_x to acc_z in g and gyro_x to gyro_z in rad/s, as float32. NaN if
        there is no gyroscope. Windows are resampled to 50 Hz. Of windows longer than
        2.56 s, the centre is used; shorter windows are padded with NaN. Recordings keep
        their times; windows are cut and resampled by
        :meth:`~sktext_vq.recordings.Recordings.windows` or
        :func:`~sktext_vq.recordings.segment`. The attribute ``notes`` lists the
        assumptions made.

    Raises
    ------
    ValueError
        If there is no accelerometer, the norm of the acceleration at rest is not
        gravity in any unit, or the sampling rate is unknown or below 8 Hz.
    TypeError
        If `channel_names` is not a list of names.

    Warns
    -----
    UserWarning
        If the acceleration seems to be without gravity.

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
    """Load a base, a classifier fitted to activities of several public data sets.

    Parameters
    ----------
    name : str or path-like, default="wearables"
        Name of the packaged base, or a file written by :func:`build_base`.

    Returns
    -------
    VQTextClassifier
        Fitted classifier for windows from :func:`harmonise`. ``predict_zero_shot`` and
        :func:`sktext_vq.recordings.segment` with ``candidate_labels`` assign names
        chosen by the user; ``predict`` assigns the labels of the public data sets.
        ``card_`` is the model card, with data sets, numbers of people, sensor
        positions, results and limitations.

    Raises
    ------
    ValueError
        If the file is not a base, or is damaged.
    OSError
        If the file does not exist.

    Notes
    -----
    The packaged base is reliable for few, coarse activities, such as sitting, walking
    and running, and much less reliable for others; see :doc:`/wearables`. It is not a
    medical device.

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
            f"{path} is a model of sktext_vq, but not a base model. Pass a file "
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
    """Fit a base to labelled data sets, and save it to a file.

    Parameters
    ----------
    sets : sequence of LabelledSet
        Data sets, each with at least two classes.
    path : path-like
        File to write, such as ``base.safetensors``.
    card : dict, optional
        Entries of the model card, such as licences, results and limitations. Numbers of
        windows, classes and people of the data sets are added.
    random_state : int, default=0
        Seed. Fits with the same seed are identical.

    Returns
    -------
    Path
        Path of the file.

    Raises
    ------
    ValueError
        If there are no data sets, or a data set cannot be harmonised.
    OSError
        If the file cannot be written.

    Notes
    -----
    Features do not depend on the orientation of the device about the vertical. They are
    centred separately for each data set, by the mean over its classes, because
    differences between data sets are larger than those between activities. Features of
    new windows are centred by the mean of these means. Classes have equal weight within
    a data set.
    """
    target = check_target(path)
    base = fit_base(list(sets), dict(card or {}), random_state)
    return save(base, target)
