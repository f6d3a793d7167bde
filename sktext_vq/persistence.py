"""Fitted estimators to files and back: safetensors and JSON, no code."""

from __future__ import annotations

import dataclasses
import inspect
import math
import os
import warnings
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import nn

import sktext_vq.nn
from sktext_vq._drift import DriftReference
from sktext_vq._head import RidgeHead
from sktext_vq._naming import CodeUse
from sktext_vq._output import check_path, check_target, replace_file
from sktext_vq._scaling import Scaler
from sktext_vq._sealed import Kind, pack, unpack
from sktext_vq._selection import FeatureScaler
from sktext_vq._writing import Writer
from sktext_vq._zero_shot import HeldOut, ZeroShotSpace
from sktext_vq.classifier import VQTextClassifier
from sktext_vq.text import SeriesVerbalizer, TextEncoder
from sktext_vq.transformer import VQTextTransformer

__all__ = ["FORMAT_VERSION", "load", "save"]

FORMAT_VERSION = 1
_KIND = Kind("model", "sktext_vq", FORMAT_VERSION, "Save the model again.")

_ESTIMATORS = (VQTextClassifier, VQTextTransformer)
# Everything that a file can be made of. A name that is not here is refused: a file
# cannot choose what is imported or called.
_CLASSES: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        *_ESTIMATORS,
        CodeUse,
        DriftReference,
        FeatureScaler,
        HeldOut,
        RidgeHead,
        Scaler,
        SeriesVerbalizer,
        TextEncoder,
        Writer,
        ZeroShotSpace,
        *(getattr(sktext_vq.nn, name) for name in sktext_vq.nn.__all__),
        nn.Dropout,
        nn.Embedding,
        nn.GELU,
        nn.LayerNorm,
        nn.Linear,
        nn.ModuleDict,
        nn.ModuleList,
        nn.MultiheadAttention,
        nn.Sequential,
        nn.TransformerEncoderLayer,
        nn.modules.linear.NonDynamicallyQuantizableLinear,
    )
    if isinstance(cls, type)
}
_FUNCTIONS = {"gelu": nn.functional.gelu, "relu": nn.functional.relu}
_MODULE_TABLES = ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set")


class UnsavedFunction:
    """Stand in for a function that a file cannot hold.

    Parameters
    ----------
    name : str
        What it was called.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, texts: Any) -> Any:
        """Say that the function is not here."""
        raise ValueError(
            f"Texts were embedded by the function {self.name!r}, which a saved model "
            "does not hold: give it anew by set_params(text_encoder=...)."
        )


_CLASSES[UnsavedFunction.__name__] = UnsavedFunction


def save(estimator: Any, path: str | os.PathLike[str]) -> Path:
    """Write a fitted estimator to one file.

    Parameters
    ----------
    estimator : VQTextClassifier or VQTextTransformer
        A fitted one. For pipelines and other estimators use pickle or skops.
    path : path-like
        File to write, such as ``model.safetensors``. One that is there is replaced
        once the new one is complete, and stays as it is if anything fails.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    TypeError
        If the estimator is of another class, or has a parameter that no file holds.
    NotFittedError
        If it is not fitted.
    OSError
        If the file cannot be written.

    See Also
    --------
    load : Read such a file.

    Notes
    -----
    A safetensors file: numbers as tensors, and all else as JSON in its metadata, with
    a SHA-256 of every part. Weights of a text encoder are not in it, only its name; a
    function as text encoder has to be given again after loading.

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
    if type(estimator) not in _ESTIMATORS:
        raise TypeError(
            "save takes a VQTextClassifier or VQTextTransformer, got "
            f"{type(estimator).__name__}. For others, such as a Pipeline, use joblib "
            "or skops."
        )
    check_is_fitted(estimator)
    path = check_target(path)
    encoder = _Encoder()
    root = encoder.encode(estimator, type(estimator).__name__)
    content = {"estimator": root, "objects": encoder.objects}
    data = pack(_KIND, content, encoder.arrays)
    return replace_file(path, data)


def load(path: str | os.PathLike[str]) -> Any:
    """Read an estimator that `save` wrote.

    Nothing in a file is run, and no class that is not part of a saved model is made.

    Parameters
    ----------
    path : path-like
        File to read.

    Returns
    -------
    VQTextClassifier or VQTextTransformer
        Fitted, with the same predictions. It was trained on a GPU, say, that is not
        here: ``device`` becomes ``"auto"`` then, with a warning.

    Raises
    ------
    ValueError
        If the file is damaged or cut off, is of another kind, or was written by a
        newer version; the message says which.
    TypeError
        If `path` is no path.
    OSError
        If there is no such file, or it cannot be read.

    See Also
    --------
    save : Write such a file, with an example.
    """
    path = check_path(path)
    data = path.read_bytes()
    content, arrays = unpack(_KIND, data, path)
    try:
        objects, root = list(content["objects"]), content["estimator"]
        estimator = _Decoder(objects, arrays).decode(root)
    except (
        *(ArithmeticError, AttributeError, LookupError),
        *(RecursionError, TypeError, ValueError),
    ) as error:
        raise _KIND.misdescribed(path, error) from error
    if type(estimator) not in _ESTIMATORS:
        raise _KIND.damaged(path, "it holds no estimator")
    # Parameters that there were not when the file was written.
    for name, parameter in inspect.signature(type(estimator)).parameters.items():
        estimator.__dict__.setdefault(name, parameter.default)
    device = str(estimator.device)
    if device.startswith("cuda") and not torch.cuda.is_available():
        warnings.warn(
            f"The model was made with device={device!r}, which is not here: device is "
            'now "auto".',
            stacklevel=2,
        )
        estimator.device = "auto"
    return estimator


class _Encoder:
    """Turn an estimator into JSON, and into arrays that it refers to.

    What JSON has no kind for is a dict of one entry: its kind and what it is made of.
    Objects, tensors and arrays that occur twice are written once.
    """

    def __init__(self) -> None:
        self.objects: list[Any] = []
        self.arrays: dict[str, NDArray[Any]] = {}
        self._kept: list[Any] = []  # or another object could get the same id
        self._nodes: dict[int, Any] = {}

    def encode(self, value: Any, where: str) -> Any:
        """Encode a value; `where` is for errors."""
        if value is None or isinstance(value, bool | np.bool_):
            return None if value is None else bool(value)
        if isinstance(value, int | np.integer):
            return int(value)
        if isinstance(value, float | np.floating):
            number = float(value)
            return number if math.isfinite(number) else {"float": repr(number)}
        if isinstance(value, str):
            return str(value)
        if isinstance(value, PurePath):
            return str(value)
        if isinstance(value, list | tuple):
            items = [self.encode(v, f"{where}[{i}]") for i, v in enumerate(value)]
            return items if isinstance(value, list) else {"tuple": items}
        if isinstance(value, set | frozenset):
            return {"set": [self.encode(v, where) for v in sorted(value)]}
        if isinstance(value, Mapping):
            return self._pairs(value, where)
        if isinstance(value, joblib.Memory):
            return value.location
        if id(value) not in self._nodes:
            self._kept.append(value)
            self._nodes[id(value)] = self._reference(value, where)
        return self._nodes[id(value)]

    def _pairs(self, value: Mapping[Any, Any], where: str) -> Any:
        return {
            "dict": [
                [self.encode(key, where), self.encode(v, f"{where}[{key!r}]")]
                for key, v in value.items()
            ]
        }

    def _reference(self, value: Any, where: str) -> Any:
        if isinstance(value, np.ndarray):
            return self._array(value, where)
        if isinstance(value, torch.Tensor):
            array = value.detach().cpu().numpy()
            kind = "parameter" if isinstance(value, nn.Parameter) else "tensor"
            return {kind: [*self._add(array, where), value.requires_grad]}
        if isinstance(value, np.random.RandomState):
            return {"random_state": self.encode(value.get_state(legacy=False), where)}
        name = type(value).__name__
        if _CLASSES.get(name) is type(value):
            # Its place comes before those of its parts, which may refer to it.
            index = len(self.objects)
            self.objects.append(None)
            self._nodes[id(value)] = {"object": index}
            parts = value.__dict__
            if isinstance(value, nn.Module):
                parts = _parts_of_module(value)
            self.objects[index] = [
                name,
                {key: self.encode(v, f"{where}.{key}") for key, v in parts.items()},
            ]
            return self._nodes[id(value)]
        for name, function in _FUNCTIONS.items():
            if value is function:
                return {"function": name}
        if callable(value) and where.endswith((".text_encoder", ".model")):
            name = getattr(value, "__qualname__", type(value).__name__)
            return self.encode(UnsavedFunction(name), where)
        raise TypeError(
            f"{where} is a {type(value).__name__}, which a saved model cannot hold: "
            f"{value!r}. Set it to something plain by set_params, or use pickle."
        )

    def _array(self, array: NDArray[Any], where: str) -> Any:
        kind = array.dtype.kind
        if kind in "UOT":
            items = [self.encode(v, where) for v in array.ravel().tolist()]
            dtype = "object" if kind in "OT" else array.dtype.str
            return {"items": [items, dtype, list(array.shape)]}
        if kind in "mM":
            return {"time": [*self._add(array.view(np.int64), where), array.dtype.str]}
        return {"array": self._add(array, where)}

    def _add(self, array: NDArray[Any], where: str) -> list[Any]:
        """Keep an array; return its name, and whether it is kept transposed."""
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise TypeError(f"{where} has dtype {array.dtype}, which no file can hold.")
        # Products of matrices in another order in memory would be rounded otherwise.
        transposed = array.flags.f_contiguous and not array.flags.c_contiguous
        rows = array.T if transposed else array
        name = f"{len(self.arrays)} {where}"
        native = rows.astype(array.dtype.newbyteorder("="), order="C")
        self.arrays[name] = native
        return [name, transposed]


def _parts_of_module(module: nn.Module) -> dict[str, Any]:
    """Return what a module holds beyond what every module has."""
    blank = nn.Module().__dict__
    own = {k: v for k, v in module.__dict__.items() if k not in blank}
    tables = {name: module.__dict__[name] for name in _MODULE_TABLES}
    return {**own, "training": module.training, **tables}


class _Decoder:
    """Turn JSON and arrays back into an estimator."""

    def __init__(self, objects: list[Any], arrays: dict[str, NDArray[Any]]) -> None:
        self._objects = objects
        self._arrays = arrays
        self._made: dict[int, Any] = {}
        self._tensors: dict[str, torch.Tensor] = {}

    def decode(self, node: Any) -> Any:
        """Decode a node."""
        if isinstance(node, list):
            return [self.decode(item) for item in node]
        if not isinstance(node, dict):
            return node
        ((kind, value),) = node.items()
        decode = getattr(self, f"_decode_{kind}", None)
        if decode is None:
            raise LookupError(f"unknown kind {kind!r}")
        return decode(value)

    def _decode_float(self, text: str) -> float:
        return float(text)

    def _decode_tuple(self, items: list[Any]) -> tuple[Any, ...]:
        return tuple(self.decode(item) for item in items)

    def _decode_set(self, items: list[Any]) -> set[Any]:
        return {self.decode(item) for item in items}

    def _decode_dict(self, pairs: list[Any]) -> dict[Any, Any]:
        return {self.decode(key): self.decode(value) for key, value in pairs}

    def _decode_function(self, name: str) -> Any:
        return _FUNCTIONS[name]

    def _decode_random_state(self, state: Any) -> np.random.RandomState:
        random_state = np.random.RandomState()
        random_state.set_state(self.decode(state))
        return random_state

    def _decode_array(self, value: list[Any]) -> NDArray[Any]:
        name, transposed = value
        return self._arrays[name].T if transposed else self._arrays[name]

    def _decode_time(self, value: list[Any]) -> NDArray[Any]:
        return self._decode_array(value[:2]).view(value[2])

    def _decode_items(self, value: list[Any]) -> NDArray[Any]:
        items, dtype, shape = value
        array = np.empty(len(items), dtype)
        for i, item in enumerate(items):
            array[i] = self.decode(item)
        return array.reshape(shape)

    def _decode_tensor(self, value: list[Any]) -> torch.Tensor:
        name, _, requires_grad = value
        if name not in self._tensors:
            tensor = torch.from_numpy(self._decode_array(value[:2]))
            self._tensors[name] = tensor.requires_grad_(requires_grad)
        return self._tensors[name]

    def _decode_parameter(self, value: list[Any]) -> torch.Tensor:
        name, _, requires_grad = value
        if name not in self._tensors:
            tensor = torch.from_numpy(self._decode_array(value[:2]))
            self._tensors[name] = nn.Parameter(tensor, requires_grad)
        return self._tensors[name]

    def _decode_object(self, index: int) -> Any:
        if index not in self._made:
            name, parts = self._objects[index]
            cls = _CLASSES[name]
            made: Any = object.__new__(cls)
            self._made[index] = made
            state = {key: self.decode(value) for key, value in parts.items()}
            if isinstance(made, nn.Module):
                # Modules of torch know what older versions of themselves lacked.
                made.__setstate__({**nn.Module().__dict__, **state})
            elif dataclasses.is_dataclass(made):
                for key, value in state.items():
                    object.__setattr__(made, key, value)
            else:
                made.__dict__.update(state)
        return self._made[index]
