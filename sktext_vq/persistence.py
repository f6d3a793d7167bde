"""Fitted estimators to files and back: safetensors and JSON, no code."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

from sklearn.utils.validation import check_is_fitted

from sktext_vq._formats import version_1
from sktext_vq._formats.estimators import (
    ESTIMATORS,
    from_state,
    get_state,
    is_available,
)
from sktext_vq._formats.values import ValueReader, ValueWriter
from sktext_vq._training.settings import FitSettings
from sktext_vq._utils.container import INVALID_CONTENT, FileFormat, pack, unpack
from sktext_vq._utils.files import check_path, check_target, replace_file
from sktext_vq._utils.validation import find_stack_level

__all__ = ["FORMAT_VERSION", "load", "save"]

FORMAT_VERSION = 2
_FORMAT = FileFormat("model", "sktext_vq", FORMAT_VERSION, "Save the model again.")


def save(estimator: Any, path: str | os.PathLike[str]) -> Path:
    """Write a fitted estimator to one file.

    Parameters
    ----------
    estimator : VQTextClassifier or VQTextTransformer
        Fitted estimator. For pipelines and other estimators use pickle.
    path : path-like
        File to write, such as ``model.safetensors``. An existing file is replaced once
        the new one is complete, and is left as it is if anything fails.

    Returns
    -------
    Path
        The file. One that is replaced keeps its permissions; symbolic links are
        followed.

    Raises
    ------
    TypeError
        If the estimator has another class, or a parameter that a file cannot hold.
    NotFittedError
        If it is not fitted.
    OSError
        If the file cannot be written.

    See Also
    --------
    load : Read such a file.

    Notes
    -----
    The file is a safetensors file: arrays as tensors, and all else as JSON in its
    metadata, with a SHA-256 of every part. The same model gives the same file, byte by
    byte. Weights of a text encoder are not in it, only its name; a function as text
    encoder has to be set again after loading. The ``cache`` of a
    :class:`~sktext_vq.TextEncoder` is not saved, since it is a path on this machine.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from sktext_vq import VQTextTransformer, load, save
    >>> X = np.random.default_rng(0).normal(size=(10, 3, 50)).cumsum(axis=2)
    >>> transformer = VQTextTransformer(max_epochs=0, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     loaded = load(save(transformer, f"{folder}/model.safetensors"))
    >>> bool((loaded.transform(X) == transformer.transform(X)).all())
    True
    """
    name = type(estimator).__name__
    if ESTIMATORS.get(name) is not type(estimator):
        raise TypeError(
            f"save takes a VQTextClassifier or VQTextTransformer, got a {name}. For "
            "others, such as a Pipeline, use joblib."
        )
    check_is_fitted(estimator)
    path = check_target(path)
    writer = ValueWriter()
    state = writer.encode(get_state(estimator), name)
    content = {"estimator": name, "state": state}
    return replace_file(path, pack(_FORMAT, content, writer.arrays))


def load(path: str | os.PathLike[str]) -> Any:
    """Read an estimator that `save` wrote.

    Nothing in a file is run, and parts that do not fit each other raise an error. No
    other file is read or written: a text encoder that the file names, which may be a
    folder, is looked for when texts are encoded, as in zero-shot prediction or `fit`,
    and never with code of its own or pickled weights. Set ``text_encoder`` after
    loading a file of somebody whom you do not trust.

    Parameters
    ----------
    path : path-like
        File to read.

    Returns
    -------
    VQTextClassifier or VQTextTransformer
        Fitted, with the same predictions. If the device of the model is unavailable,
        ``device`` is set to ``"auto"``, with a warning.

    Raises
    ------
    ValueError
        If the file is damaged or truncated, is of another kind, or was written by a
        newer version; the message says which.
    TypeError
        If `path` is not a path.
    OSError
        If the file does not exist or cannot be read.

    See Also
    --------
    save : Write such a file, with an example.
    """
    path = check_path(path)
    content, arrays, version = unpack(_FORMAT, path.read_bytes(), path)
    try:
        if version == 1:
            name, state = version_1.read(content, arrays)
        else:
            name = content["estimator"]
            state = ValueReader(arrays).decode(content["state"])
        estimator = from_state(name, state)
        device = estimator.device
        if not is_available(device):
            estimator.set_params(device="auto")
        FitSettings.from_parameters(estimator.get_params(deep=False))
    except (*INVALID_CONTENT, AssertionError, RuntimeError) as error:
        raise _FORMAT.invalid(path, error) from error
    if estimator.device != device:
        warnings.warn(
            f"The model was made with device={device!r}, which is not available: "
            'device is now "auto".',
            stacklevel=find_stack_level(),
        )
    return estimator
