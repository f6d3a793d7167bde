"""Schemas of states of fitted parts, which are nested dicts of values and arrays."""

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
    """Sizes of array axes by name. The first array with a named axis sets its size."""

    def match(self, shape: tuple[int, ...], expected: tuple[int | str, ...]) -> bool:
        """Return whether a shape matches the expected sizes."""
        if len(shape) != len(expected):
            return False
        return all(
            size == (name if isinstance(name, int) else self.setdefault(name, size))
            for size, name in zip(shape, expected, strict=True)
        )


@dataclass(frozen=True)
class Numbers:
    """Specification of an array of finite numbers within exclusive bounds.

    `shape` contains sizes or names of sizes, and `below` may be the name of a size. If
    `optional`, None is also valid.
    """

    dtype: str
    shape: tuple[int | str, ...]
    above: float = -np.inf
    below: float | str = np.inf
    optional: bool = False

    def is_valid(self, value: Any, sizes: Sizes) -> bool:
        """Return whether a value is a valid array."""
        if value is None:
            return self.optional
        if not isinstance(value, np.ndarray) or value.dtype != self.dtype:
            return False
        if not sizes.match(value.shape, self.shape):
            return False
        below = sizes[self.below] if isinstance(self.below, str) else self.below
        return bool(((value > self.above) & (value < below)).all())


@dataclass(frozen=True)
class Number:
    """Specification of a single number within exclusive bounds."""

    kind: type = int
    above: float = -np.inf
    below: float = np.inf

    def is_valid(self, value: Any, sizes: Sizes) -> bool:
        """Return whether a value is a valid number."""
        if not isinstance(value, int | float) or type(value) is not self.kind:
            return False
        return self.above < value < self.below


@dataclass(frozen=True)
class Strings:
    """Specification of a list of strings, whose length may be given by name."""

    size: str | None = None
    optional: bool = False

    def is_valid(self, value: Any, sizes: Sizes) -> bool:
        """Return whether a value is a valid list."""
        if value is None:
            return self.optional
        if not isinstance(value, list) or not all(isinstance(x, str) for x in value):
            return False
        return self.size is None or sizes.match((len(value),), (self.size,))


Spec = Numbers | Number | Strings


def check_state(
    state: Any, schema: Mapping[str, Spec | None], sizes: Sizes, where: str
) -> State:
    """Return the state after checking that it matches a schema.

    Entries with the specification None are checked elsewhere. New sizes are added to
    `sizes`. `where` is the name of the part in error messages.
    """
    if not isinstance(state, dict):
        raise ValueError(f"{where} is not a dict")
    for name in state.keys() ^ schema.keys():
        problem = "a missing" if name in schema else "an unknown"
        raise ValueError(f"{where} has {problem} entry {name!r}")
    for name, spec in schema.items():
        if spec is not None and not spec.is_valid(state[name], sizes):
            raise ValueError(f"{where}.{name} has an invalid type, shape or value")
    return state


def module_arrays(module: nn.Module) -> State:
    """Return the parameters and persistent buffers of a module by name."""
    return {
        name: tensor.detach().cpu().numpy()
        for name, tensor in module.state_dict().items()
    }


def load_arrays(module: nn.Module, arrays: Any, where: str) -> None:
    """Set the parameters and buffers of a module, which may be on the device "meta".

    Raises a ValueError if names, shapes or dtypes differ, or a value is not finite.
    """
    expected = module.state_dict()
    if not isinstance(arrays, dict) or arrays.keys() != expected.keys():
        raise ValueError(f"{where} has missing or unknown weights")
    tensors = {}
    for name, wanted in expected.items():
        array = arrays[name]
        if not isinstance(array, np.ndarray):
            raise ValueError(f"{where}.{name} is not an array")
        tensor = torch.from_numpy(array)
        if tensor.shape != wanted.shape or tensor.dtype != wanted.dtype:
            raise ValueError(f"{where}.{name} has an invalid shape or dtype")
        if not tensor.isfinite().all():
            raise ValueError(f"{where}.{name} contains NaN or infinity")
        tensors[name] = tensor
    module.load_state_dict(tensors, assign=True)
