"""Encoding of parameters and states as JSON and arrays."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sktext_vq.text import TextEncoder

# Maximum number of bytes of an array of strings, unless its strings need more bytes.
_MAX_PADDED = 2**24
_ENCODER_PARAMETERS = ("model", "batch_size", "device", "max_length", "verbose")


class UnsavedFunction:
    """Placeholder for a function, which cannot be saved."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, texts: Any) -> Any:
        """Raise an error with the name of the function."""
        raise ValueError(
            f"The text encoder is the function {self.name!r}, which is not saved with "
            "the model. Set it again with set_params(text_encoder=...)."
        )


class ValueWriter:
    """Encode values as JSON that refers to arrays by name.

    A value whose type does not exist in JSON is encoded as a dict ``{kind: content}``.

    Attributes
    ----------
    arrays : dict of str to ndarray
        Arrays in C order by name.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[Any]] = {}

    def encode(self, value: Any, where: str) -> Any:
        """Encode a value.

        Parameters
        ----------
        value : object
            Plain value, container, array, text encoder or random state.
        where : str
            Name of the value in error messages and in the names of arrays.

        Raises
        ------
        TypeError
            If the value cannot be saved.
        """
        if value is None or isinstance(value, bool | np.bool_):
            return None if value is None else bool(value)
        if isinstance(value, int | np.integer):
            return int(value)
        if isinstance(value, float | np.floating):
            number = float(value)
            return number if math.isfinite(number) else {"float": repr(number)}
        if isinstance(value, str | PurePath):
            return str(value)
        if isinstance(value, list | tuple):
            items = [self.encode(v, f"{where}[{i}]") for i, v in enumerate(value)]
            return items if isinstance(value, list) else {"tuple": items}
        if isinstance(value, set | frozenset):
            return {"set": [self.encode(v, where) for v in sorted(value)]}
        if isinstance(value, Mapping):
            pairs = [
                [self.encode(key, where), self.encode(v, f"{where}.{key}")]
                for key, v in value.items()
            ]
            return {"dict": pairs}
        if isinstance(value, pd.Index | pd.Series):
            value = value.to_numpy()
        if isinstance(value, np.ndarray):
            return self._array(value, where)
        return self._object(value, where)

    def _object(self, value: Any, where: str) -> Any:
        if isinstance(value, np.random.RandomState):
            return {"random_state": self.encode(value.get_state(legacy=False), where)}
        if type(value) is TextEncoder:
            # The parameter `cache` is omitted, so that a file cannot choose a path.
            parameters = {name: getattr(value, name) for name in _ENCODER_PARAMETERS}
            return {"text_encoder": self.encode(parameters, where)}
        if isinstance(value, UnsavedFunction):
            return {"function": value.name}
        if callable(value) and where.endswith((".text_encoder", ".model")):
            name = getattr(value, "__qualname__", type(value).__name__)
            return {"function": name}
        raise TypeError(
            f"{where} cannot be saved: its type is {type(value).__name__} "
            f"({value!r}). Use set_params to set the parameter to a value of a "
            "built-in type, or use pickle."
        )

    def _array(self, array: NDArray[Any], where: str) -> Any:
        kind = array.dtype.kind
        if kind in "UOT":
            items = [self.encode(v, where) for v in array.ravel().tolist()]
            dtype = "object" if kind in "OT" else array.dtype.str
            return {"items": [items, dtype, list(array.shape)]}
        if kind in "mM":
            name, transposed = self._add(array.view(np.int64), where)
            return {"time": [name, transposed, array.dtype.str]}
        return {"array": self._add(array, where)}

    def _add(self, array: NDArray[Any], where: str) -> list[Any]:
        """Add an array and return its name and whether it is stored transposed."""
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise TypeError(f"{where} cannot be saved: its dtype is {array.dtype}.")
        # The memory order is kept because it affects rounding of matrix products.
        transposed = array.flags.f_contiguous and not array.flags.c_contiguous
        rows = array.T if transposed else array
        name = f"{len(self.arrays)} {where}"
        self.arrays[name] = rows.astype(array.dtype.newbyteorder("="), order="C")
        return [name, bool(transposed)]


class ValueReader:
    """Decode the output of `ValueWriter`.

    Parameters
    ----------
    arrays : dict of str to ndarray
        Arrays by name.
    **decoders : callable
        Functions that decode the contents of additional kinds, by name of the kind.
    """

    def __init__(
        self, arrays: Mapping[str, NDArray[Any]], **decoders: Callable[[Any], Any]
    ) -> None:
        self._arrays = arrays
        self._decoders = decoders

    def decode(self, node: Any) -> Any:
        """Decode a node of the JSON document.

        Raises
        ------
        LookupError, TypeError, ValueError
            If the node is invalid.
        """
        if isinstance(node, list):
            return [self.decode(item) for item in node]
        if not isinstance(node, dict):
            return node
        ((kind, value),) = node.items()
        decode = self._decoders.get(kind) or getattr(self, f"_decode_{kind}", None)
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

    def _decode_function(self, name: Any) -> UnsavedFunction:
        return UnsavedFunction(str(name))

    def _decode_text_encoder(self, node: Any) -> TextEncoder:
        parameters = self.decode(node)
        if parameters.keys() != set(_ENCODER_PARAMETERS):
            raise LookupError("a text encoder has missing or unknown parameters")
        return TextEncoder(**parameters)

    def _decode_random_state(self, state: Any) -> np.random.RandomState:
        random_state = np.random.RandomState()
        decoded = self.decode(state)
        # NumPy does not check the bounds of this position.
        if not 0 <= decoded["state"]["pos"] <= len(decoded["state"]["key"]):
            raise ValueError("a random state has an invalid position")
        random_state.set_state(decoded)
        return random_state

    def _decode_array(self, value: list[Any]) -> NDArray[Any]:
        name, transposed = value
        return self._arrays[name].T if transposed else self._arrays[name]

    def _decode_time(self, value: list[Any]) -> NDArray[Any]:
        if not re.fullmatch(r"[<>=]?[mM]8(\[\w+\])?", value[2]):
            raise TypeError(f"{value[2]!r} is not a datetime or timedelta dtype")
        return self._decode_array(value[:2]).view(value[2])

    def _decode_items(self, value: list[Any]) -> NDArray[Any]:
        items, dtype, shape = value
        if dtype == "object":
            array = np.empty(len(items), object)
            for i, item in enumerate(items):
                array[i] = self.decode(item)
            return array.reshape(shape)
        found = re.fullmatch(r"[<>=]?U([0-9]{1,9})", dtype)
        if not found or not all(isinstance(item, str) for item in items):
            raise TypeError(f"{dtype!r} is not a string dtype")
        longest = max(map(len, items), default=0)
        if 4 * len(items) * int(found[1]) > max(_MAX_PADDED, 4 * longest * len(items)):
            raise ValueError(f"dtype {dtype!r} is too long for its strings")
        return np.array(items, dtype).reshape(shape)
