"""State of fitted parts: nested dicts of plain values and arrays, and their schema."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

State = dict[str, Any]


def fields_of(part: Any) -> State:
    """Return the fields of a dataclass by name."""
    return {each.name: getattr(part, each.name) for each in dataclasses.fields(part)}


class Sizes(dict[str, int]):
    """Sizes of arrays by name. The first array with a new name sets its size."""

    def fit(self, shape: tuple[int, ...], wanted: tuple[int | str, ...]) -> bool:
        """Return whether a shape has the wanted sizes."""
        if len(shape) != len(wanted):
            return False
        return all(
            size == (name if isinstance(name, int) else self.setdefault(name, size))
            for size, name in zip(shape, wanted, strict=True)
        )


@dataclass(frozen=True)
class Numbers:
    """Array of finite numbers.

    Parameters
    ----------
    dtype : str
        Type of the array.
    shape : tuple of int or str
        Sizes, or their names: arrays with the same name have the same size.
    above, below : float or str
        Exclusive bounds; the name of a size bounds indices.
    optional : bool
        Whether None is valid.
    """

    dtype: str
    shape: tuple[int | str, ...]
    above: float = -np.inf
    below: float | str = np.inf
    optional: bool = False

    def is_valid(self, value: Any, sizes: Sizes) -> bool:
        """Return whether a value is such an array."""
        if value is None:
            return self.optional
        if not isinstance(value, np.ndarray) or value.dtype != self.dtype:
            return False
        if not sizes.fit(value.shape, self.shape):
            return False
        below = sizes[self.below] if isinstance(self.below, str) else self.below
        return bool(((value > self.above) & (value < below)).all())


@dataclass(frozen=True)
class Number:
    """Single number, within exclusive bounds."""

    kind: type = int
    above: float = -np.inf
    below: float = np.inf

    def is_valid(self, value: Any, sizes: Sizes) -> bool:
        """Return whether a value is such a number."""
        if not isinstance(value, int | float) or type(value) is not self.kind:
            return False
        return self.above < value < self.below


@dataclass(frozen=True)
class Strings:
    """List of strings, as long as a size says."""

    size: str | None = None
    optional: bool = False

    def is_valid(self, value: Any, sizes: Sizes) -> bool:
        """Return whether a value is such a list."""
        if value is None:
            return self.optional
        if not isinstance(value, list) or not all(isinstance(x, str) for x in value):
            return False
        return self.size is None or sizes.fit((len(value),), (self.size,))


Spec = Numbers | Number | Strings


def check_state(
    state: Any, schema: Mapping[str, Spec | None], sizes: Sizes, where: str
) -> State:
    """Check that a state has the entries of a schema, and return it.

    Parameters
    ----------
    state : object
        Should be a dict.
    schema : mapping
        From names of entries to their specification; None for entries that are checked
        elsewhere.
    sizes : Sizes
        Sizes that are known; new ones are added.
    where : str
        Name of the part, for messages.

    Raises
    ------
    ValueError
        If an entry is missing, unknown or invalid.
    """
    if not isinstance(state, dict):
        raise ValueError(f"{where} is not a description of a part")
    for name in state.keys() ^ schema.keys():
        problem = "lacks" if name in schema else "has an unknown entry"
        raise ValueError(f"{where} {problem} {name!r}")
    for name, spec in schema.items():
        if spec is not None and not spec.is_valid(state[name], sizes):
            raise ValueError(f"{where}.{name} does not fit the rest of the model")
    return state


def module_arrays(module: nn.Module) -> State:
    """Return copies of the weights and persistent buffers of a module, by name."""
    return {
        name: tensor.detach().cpu().numpy()
        for name, tensor in module.state_dict().items()
    }


def load_arrays(module: nn.Module, arrays: Any, where: str) -> None:
    """Set the weights and buffers of a module.

    Parameters
    ----------
    module : Module
        Built for the same sizes; may be on the device "meta".
    arrays : mapping of str to ndarray
        From `module_arrays`.
    where : str
        Name of the module, for messages.

    Raises
    ------
    ValueError
        If names, shapes or types differ, or a value is NaN or infinite.
    """
    expected = module.state_dict()
    if not isinstance(arrays, dict) or arrays.keys() != expected.keys():
        raise ValueError(f"{where} has other weights than it should have")
    tensors = {}
    for name, wanted in expected.items():
        array = arrays[name]
        if not isinstance(array, np.ndarray):
            raise ValueError(f"{where}.{name} is not an array")
        tensor = torch.from_numpy(array)
        if tensor.shape != wanted.shape or tensor.dtype != wanted.dtype:
            raise ValueError(f"{where}.{name} does not fit the rest of the model")
        if not tensor.isfinite().all():
            raise ValueError(f"{where}.{name} has values that are NaN or infinite")
        tensors[name] = tensor
    module.load_state_dict(tensors, assign=True)
