"""Fingerprints of data, parameters and weights."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from sktext_vq._utils.container import digest

_MAX_SHOWN = 60
# Parameters that do not change the fitted model.
_IRRELEVANT = {"n_jobs", "verbose", "cache"}


@dataclass(frozen=True)
class Fingerprint:
    """Fingerprint of an argument that must not change when a fit is resumed.

    Parameters
    ----------
    shown : str
        Short description for users.
    digest : str
        Hash of the value.
    """

    shown: str
    digest: str


def fingerprints_of_parameters(parameters: Mapping[str, Any]) -> dict[str, Fingerprint]:
    """Return fingerprints of the parameters that affect the fitted model."""
    return {
        name: fingerprint(value)
        for name, value in sorted(parameters.items())
        if name not in _IRRELEVANT
    }


def fingerprint(value: Any, shown: str | None = None) -> Fingerprint:
    """Return the fingerprint of a value. It is the same in all processes.

    Parameters
    ----------
    value : object
        Number, string, array, estimator or function, or a container of these types.
    shown : str, optional
        Description of the value for error messages.

    Returns
    -------
    Fingerprint
    """
    plain = _plain(value)
    if shown is None:
        shown = repr(plain)
        if len(shown) > _MAX_SHOWN:
            shown = f"{shown[: _MAX_SHOWN - 3]}..."
    return Fingerprint(shown, joblib.hash(plain))


def _plain(value: Any) -> Any:
    """Convert a value to types that are the same in all processes."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, Mapping):
        return {key: _plain(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, BaseEstimator):
        own = value.get_params(deep=False)
        kept = {name: own[name] for name in own.keys() - _IRRELEVANT}
        return [type(value).__name__, _plain(kept)]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if callable(value):
        kind = type(value)
        return f"{value.__module__}.{getattr(value, '__qualname__', kind.__qualname__)}"
    return value


def fingerprint_of_arrays(shown: str, *arrays: NDArray[Any]) -> Fingerprint:
    """Return the fingerprint of numeric arrays, which are read in chunks."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype.str} {array.shape}".encode())
        for part in np.array_split(array, max(1, array.nbytes // 2**26)):
            found.update(np.ascontiguousarray(part).data)
    return Fingerprint(shown, found.hexdigest())


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Return parameters and buffers of a module, including non-persistent buffers."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def digest_of_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 checksum of the names and values of tensors."""
    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        array = tensor.detach().cpu().contiguous().numpy()
        found.update(f"{name} {digest(array)}".encode())
    return found.hexdigest()
