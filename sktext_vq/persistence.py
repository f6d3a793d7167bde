"""Functions to save and load fitted estimators without pickle."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

from sklearn.utils.validation import check_is_fitted

from sktext_vq._formats import version_1, version_2
from sktext_vq._formats.estimators import (
    ESTIMATORS,
    from_state,
    get_state,
    is_available,
    name_of,
)
from sktext_vq._formats.values import ValueReader, ValueWriter
from sktext_vq._training.settings import FitSettings
from sktext_vq._utils.container import INVALID_CONTENT, FileFormat, pack, unpack
from sktext_vq._utils.files import check_path, check_target, replace_file
from sktext_vq._utils.torch_defaults import torch_defaults
from sktext_vq._utils.validation import find_stack_level

__all__ = ["FORMAT_VERSION", "load", "save"]

FORMAT_VERSION = 3
# Models that are part of the package, by name.
PACKAGED = {
    path.stem: path for path in (Path(__file__).parent / "data").glob("*.safetensors")
}
_FORMAT = FileFormat("model", "sktext_vq", FORMAT_VERSION, "Save the model again.")


def save(estimator: Any, path: str | os.PathLike[str]) -> Path:
    """Save a fitted estimator to a file.

    Parameters
    ----------
    estimator : VQTextClassifier or VQTextTransformer
        Fitted estimator. Use joblib for pipelines and other estimators.
    path : path-like
        File to write, such as ``model.safetensors``. An existing file is replaced
        atomically and keeps its permissions; symbolic links are followed.

    Returns
    -------
    Path
        Path of the file.

    Raises
    ------
    TypeError
        If `estimator` is not a VQTextClassifier or VQTextTransformer, or has a
        parameter that cannot be saved.
    NotFittedError
        If the estimator is not fitted.
    OSError
        If the file cannot be written.

    See Also
    --------
    load : Load a saved estimator.

    Notes
    -----
    The file format is safetensors: arrays are stored as tensors, other values as JSON
    in the metadata, each with a SHA-256 checksum. Files of equal models are identical.
    Only the name of the text encoder is saved, not its weights. If the text encoder is
    a function, it must be set again after loading. The ``cache`` of a
    :class:`~sktext_vq.TextEncoder` is not saved, because it is a local path.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from sktext_vq import VQTextTransformer, load, save
    >>> X = np.random.default_rng(0).normal(size=(10, 3, 50)).cumsum(axis=2)
    >>> transformer = VQTextTransformer(random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     loaded = load(save(transformer, f"{folder}/model.safetensors"))
    >>> bool((loaded.transform(X) == transformer.transform(X)).all())
    True
    """
    if type(estimator) not in ESTIMATORS.values():
        raise TypeError(
            "save expects a VQTextClassifier or VQTextTransformer, got "
            f"{type(estimator).__name__}. For other estimators, such as a Pipeline, "
            "use joblib."
        )
    check_is_fitted(estimator)
    path, name = check_target(path), name_of(estimator)
    writer = ValueWriter()
    state = writer.encode(get_state(estimator), name)
    content = {"estimator": name, "state": state}
    return replace_file(path, pack(_FORMAT, content, writer.arrays))


def load_packaged(name: str) -> Any:
    """Load a model that is part of the package; other files are not read."""
    if name not in PACKAGED:
        raise ValueError(
            f"Unknown model in init: {name!r}. Packaged models: {[*PACKAGED]}. Pass "
            "one of these names, a base model from load_base, or a fitted estimator."
        )
    return load(PACKAGED[name])


def load(path: str | os.PathLike[str]) -> Any:
    """Load an estimator saved by `save`.

    Loading neither executes code from the file nor reads or writes other files.

    Parameters
    ----------
    path : path-like
        File to read.

    Returns
    -------
    VQTextClassifier or VQTextTransformer
        Fitted estimator with the same predictions as the saved estimator. If its device
        is not available, ``device`` is set to ``"auto"``.

    Raises
    ------
    ValueError
        If the file is damaged, truncated, not a model file, or was written by a newer
        version.
    TypeError
        If `path` is not a path.
    OSError
        If the file does not exist or cannot be read.

    Warns
    -----
    UserWarning
        If the device of the model is not available, or the file contains a text branch
        that was trained by an earlier version.

    See Also
    --------
    save : Save a fitted estimator.

    Notes
    -----
    The text encoder named in the file, which may be a local folder, is loaded when
    texts are encoded, as in `fit` or zero-shot prediction. Code and pickled
    weights in the folder are not used. After loading a file from an untrusted source,
    set ``text_encoder`` explicitly.
    """
    path = check_path(path)
    content, arrays, version = unpack(_FORMAT, path.read_bytes(), path)
    try:
        if version == 1:
            name, state = version_1.read(content, arrays)
        else:
            name = content["estimator"]
            state = ValueReader(arrays).decode(content["state"])
        lacks_text = False
        if version < 3:
            state, lacks_text = version_2.upgrade(state)
        with torch_defaults():
            estimator = from_state(name, state)
        device = estimator.device
        if not is_available(device):
            estimator.set_params(device="auto")
        FitSettings.from_parameters(estimator.get_params(deep=False))
    except (*INVALID_CONTENT, AssertionError, RuntimeError) as error:
        raise _FORMAT.invalid(path, error) from error
    if lacks_text:
        result = "use the text alignment in closed form"
        if estimator.text_alignment_ is None:
            result = "raise an error"
        warnings.warn(
            f"{path} was written by an earlier version, whose trained text branch is "
            f"no longer supported. The methods similarity and transform_text {result}. "
            "Fit the estimator again to train it with text.",
            stacklevel=find_stack_level(),
        )
    if estimator.device != device:
        warnings.warn(
            f"The model was saved with device={device!r}, which is not available. "
            'The parameter device is set to "auto".',
            stacklevel=find_stack_level(),
        )
    return estimator
