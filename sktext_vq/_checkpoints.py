"""State of a training that is under way, in a file that it can go on from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from time import monotonic as _clock
from typing import Any

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from sktext_vq._output import check_target, check_writable, replace_file
from sktext_vq._sealed import FOREIGN, Kind, digest, pack, unpack

_KIND = Kind(
    "checkpoint",
    "sktext_vq checkpoint",
    1,
    "Remove it to train from the start, or give another path.",
)
# Writing takes at most such a share of the time.
_MOST_SHARE = 0.05
_MOST_SHOWN = 60
# Parameters that change nothing about what is learned.
_IRRELEVANT = {"checkpoint", "n_jobs", "verbose", "cache"}


@dataclass(frozen=True)
class Fact:
    """Something that must be the same for a fit to go on.

    Parameters
    ----------
    shown : str
        What it is to users, in short.
    digest : str
        What tells it from others.
    """

    shown: str
    digest: str


@dataclass(frozen=True)
class State:
    """Where a training is.

    Parameters
    ----------
    start : str
        Digest of what it started from.
    done : bool
        Whether it has ended: then there is nothing to go on with.
    numbers : dict
        What JSON can hold: losses of epochs, counters.
    tensors : dict of str to Tensor
    """

    start: str
    done: bool
    numbers: dict[str, Any]
    tensors: dict[str, Tensor]


class Checkpoint:
    """The file of one fit.

    Parameters
    ----------
    path : path-like
        File to go on from, if it is there, and to write to.
    facts : dict of str to Fact
        Data and parameters of the fit.

    Attributes
    ----------
    state : State or None
        What was there.

    Raises
    ------
    ValueError
        If the file is of a fit to other data or with other parameters, or is damaged
        or something else.
    OSError
        If it cannot be read or written.
    """

    def __init__(self, path: str | os.PathLike[str], facts: dict[str, Fact]) -> None:
        self.path = check_target(path)
        self.facts = facts
        self.state: State | None = None
        check_writable(self.path)
        self._next = -np.inf
        if self.path.exists():
            self.state = self._read()

    def _read(self) -> State:
        content, arrays = unpack(_KIND, self.path.read_bytes(), self.path)
        try:
            there = {name: Fact(*fact) for name, fact in content["facts"].items()}
            state = State(
                str(content["start"]),
                bool(content["done"]),
                dict(content["numbers"]),
                {name: torch.from_numpy(array) for name, array in arrays.items()},
            )
            _check_state(state)
        except FOREIGN as error:
            raise self.damaged(error) from error
        found = list(_differences(there, self.facts))
        if found:
            raise ValueError(
                f"{self.path} is the checkpoint of another fit: {'; '.join(found)}. "
                "Fit to the same data with the same parameters to go on from there, or "
                f"{_KIND.advice[0].lower()}{_KIND.advice[1:]}"
            )
        return state

    def damaged(self, error: Exception) -> ValueError:
        """Make the error that says that the file has not what it should have."""
        return _KIND.misdescribed(self.path, error)

    def check_start(self, start: str) -> None:
        """Raise an error if training would start from something else than before."""
        if self.state is not None and self.state.start != start:
            raise ValueError(
                f"{self.path} is of a fit to the same data with the same parameters, "
                "but training starts from other numbers here. Other versions of "
                "packages, another machine, n_jobs or number of threads do this. "
                f"{_KIND.advice}"
            )

    def is_due(self) -> bool:
        """Whether it is time to write again."""
        return _clock() >= self._next

    def write(self, state: State) -> None:
        """Replace the file, as a whole or not at all."""
        begin = _clock()
        content = {
            "facts": {name: [f.shown, f.digest] for name, f in self.facts.items()},
            "start": state.start,
            "done": state.done,
            "numbers": state.numbers,
        }
        arrays = {
            name: tensor.detach().cpu().contiguous().numpy()
            for name, tensor in state.tensors.items()
        }
        try:
            replace_file(self.path, pack(_KIND, content, arrays))
        except OSError as error:
            if self.path.exists():
                error.add_note(
                    "The state that was written before is still there: fit again to go "
                    "on from it."
                )
            raise
        end = _clock()
        self._next = end + (end - begin) / _MOST_SHARE


def _check_state(state: State) -> None:
    """Raise an error if training could not go on from a state."""
    for name, tensor in state.tensors.items():
        # Squares of gradients in the optimizer may have grown beyond all bounds.
        is_right = ~tensor.isnan() if name.startswith("opt") else tensor.isfinite()
        if not is_right.all():
            raise ValueError(f"{name} has values that are NaN or infinite")
    rows = state.numbers["history"]
    n_epochs = len(rows)
    if not isinstance(rows, list) or not all(
        isinstance(value, float) for row in rows for value in row.values()
    ):
        raise TypeError("the history is not a list of losses")
    for name in ("best_epoch", "misses"):
        value = state.numbers[name]
        if type(value) is not int or not 0 <= value <= n_epochs:
            raise ValueError(f"{name} is {value!r}")
    if not isinstance(state.numbers["threshold"], float):
        raise TypeError("the threshold is not a number")


def _differences(there: dict[str, Fact], here: dict[str, Fact]) -> Iterator[str]:
    """Say what is not the same."""
    unknown = Fact("unknown", "")
    for name in {**there, **here}:
        old, new = there.get(name, unknown), here.get(name, unknown)
        if old.digest == new.digest:
            continue
        if old.shown == new.shown:
            yield f"{name} ({new.shown}) has other content"
        else:
            yield f"{name} was {old.shown}, now it is {new.shown}"


def facts_of_parameters(parameters: Mapping[str, Any]) -> dict[str, Fact]:
    """Tell parameters of an estimator apart, but for those that change no result."""
    return {
        name: fact(value)
        for name, value in sorted(parameters.items())
        if name not in _IRRELEVANT
    }


def fact(value: Any, shown: str | None = None) -> Fact:
    """Tell a value from others, in this process and in others.

    Parameters
    ----------
    value : object
        Numbers, strings, containers and arrays of these, estimators, functions.
    shown : str, optional
        What to show in place of the value.

    Returns
    -------
    Fact
    """
    plain = _plain(value)
    if shown is None:
        shown = repr(plain)
        if len(shown) > _MOST_SHOWN:
            shown = f"{shown[: _MOST_SHOWN - 3]}..."
    return Fact(shown, joblib.hash(plain))


def _plain(value: Any) -> Any:
    """Replace what has an address or a type that does not matter."""
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


def fact_of_arrays(shown: str, *arrays: NDArray[Any]) -> Fact:
    """Tell arrays of numbers from others, without a copy of them as a whole."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype.str} {array.shape}".encode())
        for part in np.array_split(array, max(1, array.nbytes // 2**26)):
            found.update(np.ascontiguousarray(part).data)
    return Fact(shown, found.hexdigest())


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """Return parameters and buffers, also those that no state_dict has."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def digest_of_tensors(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the names and values of tensors."""
    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        array = tensor.detach().cpu().contiguous().numpy()
        found.update(f"{name} {digest(array)}".encode())
    return found.hexdigest()


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put a word before all names."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a word, and take it away."""
    start = f"{prefix}."
    return {
        name.removeprefix(start): tensor
        for name, tensor in tensors.items()
        if name.startswith(start)
    }


def check_like(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Raise an error if tensors have other names, shapes or types than those here.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        Of a file.
    own : mapping of str to Tensor
        Those whose place they are to take. Whole numbers do not change in training.
    """
    if own.keys() != tensors.keys():
        raise LookupError(f"tensors {sorted(own.keys() ^ tensors.keys())}")
    for name, tensor in tensors.items():
        shape, wanted = tensor.shape, own[name].shape
        if name.endswith("_recent"):  # of as many rows as there were
            shape, wanted = shape[1:], wanted[1:]
        if shape != wanted or tensor.dtype != own[name].dtype:
            raise ValueError(f"tensor {name} of {tensor.dtype}, {tuple(tensor.shape)}")
        if not tensor.is_floating_point() and not tensor.equal(own[name].cpu()):
            raise ValueError(f"tensor {name} is of another model")


def write_tensors(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a module the parameters and buffers that `tensors_of` returned."""
    own = tensors_of(module)
    check_like(tensors, own)
    with torch.no_grad():
        for name, tensor in tensors.items():
            if own[name].shape == tensor.shape:
                own[name].copy_(tensor)
            else:  # a buffer of as many rows as there were
                owner, _, last = name.rpartition(".")
                setattr(module.get_submodule(owner), last, tensor.to(own[name]))
