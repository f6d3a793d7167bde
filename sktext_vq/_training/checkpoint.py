"""State of a training run, in a file to resume from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral
from time import monotonic as _clock
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sktext_vq._training.fingerprint import (
    Fingerprint,
    fingerprints_of_parameters,
    tensors_of,
)
from sktext_vq._utils.container import INVALID_CONTENT, FileFormat, pack, unpack
from sktext_vq._utils.files import check_target, check_writable, replace_file

_FORMAT = FileFormat(
    "checkpoint",
    "sktext_vq checkpoint",
    1,
    "Remove it to train from the start, or give another path.",
)
# Maximum share of training time spent writing checkpoints.
_MAX_WRITING_SHARE = 0.05


@dataclass(frozen=True)
class TrainingState:
    """State of a training run.

    Parameters
    ----------
    start : str
        Hash of the initial weights.
    done : bool
        Whether training has ended.
    numbers : dict
        Values that JSON can hold: losses of epochs, counters.
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
    fingerprints : dict of str to Fingerprint
        Data and parameters of the fit.

    Attributes
    ----------
    state : TrainingState or None
        What was there.

    Raises
    ------
    ValueError
        If the file is of a fit to other data or with other parameters, or is damaged
        or something else.
    OSError
        If it cannot be read or written.
    """

    def __init__(
        self, path: str | os.PathLike[str], fingerprints: dict[str, Fingerprint]
    ) -> None:
        self.path = check_target(path)
        self.fingerprints = fingerprints
        self.state: TrainingState | None = None
        check_writable(self.path)
        self._next = -np.inf
        if self.path.exists():
            self.state = self._read()

    @classmethod
    def open(
        cls,
        path: Any,
        arguments: Mapping[str, Fingerprint],
        parameters: Mapping[str, Any],
    ) -> Checkpoint:
        """Open the file of a fit, before anything is computed.

        Parameters
        ----------
        path : path-like
            File to resume from, if it exists, and to write to.
        arguments : mapping of str to Fingerprint
            Identity of the arguments of `fit`.
        parameters : mapping
            Parameters of the estimator.

        Raises
        ------
        ValueError
            If `random_state` is not an int, or the file belongs to another fit.
        """
        if not isinstance(parameters["random_state"], Integral):
            raise ValueError(
                "checkpoint needs random_state to be an int, or a fit could not resume "
                f"where another one stopped; got {parameters['random_state']!r}."
            )
        return cls(path, {**arguments, **fingerprints_of_parameters(parameters)})

    def _read(self) -> TrainingState:
        content, arrays, _ = unpack(_FORMAT, self.path.read_bytes(), self.path)
        try:
            there = {
                name: Fingerprint(*each) for name, each in content["facts"].items()
            }
            state = TrainingState(
                str(content["start"]),
                bool(content["done"]),
                dict(content["numbers"]),
                {name: torch.from_numpy(array) for name, array in arrays.items()},
            )
            _check_state(state)
        except INVALID_CONTENT as error:
            raise self.damaged(error) from error
        found = list(_differences(there, self.fingerprints))
        if found:
            raise ValueError(
                f"{self.path} is the checkpoint of another fit: {'; '.join(found)}. "
                "Fit to the same data with the same parameters to go on from there, or "
                f"{_FORMAT.advice[0].lower()}{_FORMAT.advice[1:]}"
            )
        return state

    def damaged(self, error: Exception) -> ValueError:
        """Make the error that says that the file has not what it should have."""
        return _FORMAT.invalid(self.path, error)

    def check_start(self, start: str) -> None:
        """Raise an error if training would start from something else than before."""
        if self.state is not None and self.state.start != start:
            raise ValueError(
                f"{self.path} is of a fit to the same data with the same parameters, "
                "but training starts from other numbers here. Other versions of "
                "packages, another machine, n_jobs or number of threads do this. "
                f"{_FORMAT.advice}"
            )

    def is_due(self) -> bool:
        """Whether it is time to write again."""
        return _clock() >= self._next

    def write(self, state: TrainingState) -> None:
        """Replace the file, as a whole or not at all."""
        begin = _clock()
        content = {
            "facts": {
                name: [f.shown, f.digest] for name, f in self.fingerprints.items()
            },
            "start": state.start,
            "done": state.done,
            "numbers": state.numbers,
        }
        arrays = {
            name: tensor.detach().cpu().contiguous().numpy()
            for name, tensor in state.tensors.items()
        }
        try:
            replace_file(self.path, pack(_FORMAT, content, arrays))
        except OSError as error:
            if self.path.exists():
                error.add_note(
                    "The state that was written before is still there: fit again to go "
                    "on from it."
                )
            raise
        end = _clock()
        self._next = end + (end - begin) / _MAX_WRITING_SHARE


def _check_state(state: TrainingState) -> None:
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


def _differences(
    there: dict[str, Fingerprint], here: dict[str, Fingerprint]
) -> Iterator[str]:
    """Yield the arguments and parameters that differ."""
    unknown = Fingerprint("unknown", "")
    for name in {**there, **here}:
        old, new = there.get(name, unknown), here.get(name, unknown)
        if old.digest == new.digest:
            continue
        if old.shown == new.shown:
            yield f"{name} ({new.shown}) has other content"
        else:
            yield f"{name} was {old.shown}, now it is {new.shown}"


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
        if name.endswith("_recent"):  # whose number of rows varies
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
            else:  # a buffer whose number of rows varies
                owner, _, last = name.rpartition(".")
                setattr(module.get_submodule(owner), last, tensor.to(own[name]))
