"""Checkpoint files from which training can be resumed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral
from time import monotonic as _clock
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sktext_vq._training.fingerprint import (
    Fingerprint,
    fingerprints_of_parameters,
)
from sktext_vq._utils.container import INVALID_CONTENT, FileFormat, pack, unpack
from sktext_vq._utils.files import check_target, check_writable, replace_file

_FORMAT = FileFormat(
    "checkpoint",
    "sktext_vq checkpoint",
    2,
    "Remove the file to train from the beginning, or use another path.",
)
# Maximum fraction of the training time that is used to write checkpoints.
_MAX_WRITING_SHARE = 0.05


@dataclass(frozen=True)
class TrainingState:
    """State of a training run.

    Parameters
    ----------
    start : str
        Hash of the initial weights and of the initial random state.
    done : bool
        Whether training has ended.
    numbers : dict
        JSON-serialisable values, such as losses and best epochs.
    tensors : dict of str to Tensor
    """

    start: str
    done: bool
    numbers: dict[str, Any]
    tensors: dict[str, Tensor]


class Checkpoint:
    """Checkpoint file of one fit.

    Parameters
    ----------
    path : path-like
        Path of the file. If the file exists, training is resumed from it.
    fingerprints : dict of str to Fingerprint
        Fingerprints of the data and parameters of the fit.

    Attributes
    ----------
    state : TrainingState or None
        State that was read from the file, if it exists.

    Raises
    ------
    ValueError
        If the file belongs to a fit with different data or parameters, is damaged, or
        is not a checkpoint.
    OSError
        If the file cannot be read or written.
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
        """Read or create the checkpoint of a fit.

        `arguments` contains fingerprints of the arguments of `fit`, and `parameters`
        contains the parameters of the estimator.

        Raises
        ------
        ValueError
            If `random_state` is not an int, or the file belongs to a different fit.
        """
        if not isinstance(parameters["random_state"], Integral):
            raise ValueError(
                "random_state must be an int if checkpoint is set, got "
                f"{parameters['random_state']!r}. Otherwise, a fit cannot be resumed "
                "with the same result."
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
                "Use the same data and parameters to resume this fit, or "
                f"{_FORMAT.advice[0].lower()}{_FORMAT.advice[1:]}"
            )
        return state

    def damaged(self, error: Exception) -> ValueError:
        """Return the exception for a file with invalid content."""
        return _FORMAT.invalid(self.path, error)

    def check_start(self, start: str) -> None:
        """Check that the initial weights are the same as in the file."""
        if self.state is not None and self.state.start != start:
            raise ValueError(
                f"{self.path} is the checkpoint of a fit with the same data and "
                "parameters but different initial weights. Possible causes are "
                "different package versions, a different machine, or a different "
                f"n_jobs or number of threads. {_FORMAT.advice}"
            )

    def is_due(self) -> bool:
        """Return whether the checkpoint should be written now."""
        return _clock() >= self._next

    def write(self, state: TrainingState) -> None:
        """Write the file atomically."""
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
                    "The previous checkpoint still exists; call fit again to resume "
                    "from it."
                )
            raise
        end = _clock()
        self._next = end + (end - begin) / _MAX_WRITING_SHARE


def _check_state(state: TrainingState) -> None:
    """Check that training can be resumed from a state."""
    for name, tensor in state.tensors.items():
        # Infinite values are valid, such as squared gradients in the optimizer.
        if tensor.isnan().any():
            raise ValueError(f"{name} contains NaN")
    rows = state.numbers["history"]
    n_epochs = len(rows)
    if not isinstance(rows, list) or not all(
        isinstance(value, float) for row in rows for value in row.values()
    ):
        raise TypeError("the history must be a list of losses")
    for value in state.numbers["kept"].values():
        if type(value) is not int or not 0 <= value <= n_epochs:
            raise ValueError(
                f"the best epoch must be an int from 0 to {n_epochs}, got {value!r}"
            )
    if not all(isinstance(x, float) for x in state.numbers["thresholds"].values()):
        raise TypeError("the loss thresholds must be floats")
    if not isinstance(state.numbers["earlier"], dict):
        raise TypeError("the earlier results must be a dict")


def _differences(
    there: dict[str, Fingerprint], here: dict[str, Fingerprint]
) -> Iterator[str]:
    """Yield descriptions of arguments and parameters that differ."""
    unknown = Fingerprint("unknown", "")
    for name in {**there, **here}:
        old, new = there.get(name, unknown), here.get(name, unknown)
        if old.digest == new.digest:
            continue
        if old.shown == new.shown:
            yield f"{name} ({new.shown}) has different content"
        else:
            yield f"{name} was {old.shown}, but is now {new.shown}"


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Add a prefix to the names of tensors."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names have a prefix, without the prefix."""
    start = f"{prefix}."
    return {
        name.removeprefix(start): tensor
        for name, tensor in tensors.items()
        if name.startswith(start)
    }
