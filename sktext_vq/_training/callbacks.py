"""Callbacks of training: losses, codebook, early stopping and checkpoints."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback
from torch import Tensor
from tqdm.auto import tqdm

from sktext_vq._training.checkpoint import (
    Checkpoint,
    TrainingState,
    check_like,
    with_prefix,
    without_prefix,
    write_tensors,
)
from sktext_vq._training.fingerprint import tensors_of
from sktext_vq._utils.container import INVALID_CONTENT
from sktext_vq.nn.losses import WEIGHTS

_PATIENCE = 3
_LEAST_GAIN = 1e-4  # minimum relative decrease of the validation loss


class StopTraining(Exception):
    """The validation loss no longer improves."""


class DivergenceError(Exception):
    """A loss or weight became NaN or infinite."""


class LogLosses(Callback):
    """Record the means of individual losses over the steps of an epoch."""

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        terms: dict[str, list[float]] = {}
        for row in net.history[-1]["batches"]:
            for name, value in row.items():
                if name.removeprefix("train_").removeprefix("valid_") in WEIGHTS:
                    terms.setdefault(name, []).append(value)
        for name, values in terms.items():
            net.history.record(name, float(np.mean(values)))


class UpdateCodebook(Callback):
    """Update the codebook after each step, with the matches of both branches."""

    def on_batch_end(
        self, net: Any, batch: Any = None, training: bool = False, **kwargs: Any
    ) -> None:
        if training:
            net.update_codebook(batch)


class ProgressBar(Callback):
    """Show a progress bar of epochs, with an estimate of the remaining time."""

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        self.bar_ = tqdm(
            total=net.max_epochs,
            initial=len(net.history),
            desc="training",
            unit="epoch",
        )

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        shown = {
            name: f"{net.history[-1, name]:.3f}"
            for name in ("train_loss", "valid_loss")
            if name in net.history[-1]
        }
        self.bar_.set_postfix(shown)
        self.bar_.update()

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        self.bar_.close()


class CheckLoss(Callback):
    """Stop training at the first loss that is not finite."""

    def on_batch_end(
        self, net: Any, loss: Any = None, training: bool = False, **kwargs: Any
    ) -> None:
        if training and not torch.isfinite(loss).all():
            raise DivergenceError(
                f"The training loss became {loss.item()} in epoch {len(net.history)}."
            )


class BestWeights(Callback):
    """Keep the weights of the best epoch, or of the last epoch without validation.

    Parameters
    ----------
    held_out : bool
        Whether there is a validation loss. If not, every epoch counts as an
        improvement.

    Attributes
    ----------
    n_epochs : int
        Number of complete epochs with finite losses and weights.
    best_epoch : int
        Epoch with the best validation loss.
    weights : dict or None
        Weights after this epoch.
    drawn : Tensor or None
        State of the generator after the last complete epoch.
    """

    def __init__(self, held_out: bool) -> None:
        self.held_out = held_out
        self.n_epochs = self.best_epoch = self.misses = 0
        self.threshold = np.inf
        self.weights: dict[str, Tensor] | None = None
        self.drawn: Tensor | None = None

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        if not all(weight.isfinite().all() for weight in net.module_.parameters()):
            raise DivergenceError(
                f"Weights became infinite in epoch {len(net.history)}."
            )
        improved = not self.held_out
        if self.held_out:
            loss = net.history[-1, "valid_loss"]
            improved = loss < self.threshold
            self.misses = 0 if improved else self.misses + 1
            if improved:
                self.threshold = loss - _LEAST_GAIN * abs(loss)
        if improved or self.weights is None:
            self.weights = copy.deepcopy(net.module_.state_dict())
            self.best_epoch = len(net.history)
        self.drawn = net.batches.generator.get_state()
        self.n_epochs = len(net.history)
        if self.misses == _PATIENCE:
            raise StopTraining

    def restore(self, net: Any) -> None:
        """Restore the best weights and the state of the generator."""
        if self.weights is not None:
            net.module_.load_state_dict(self.weights)
        if self.drawn is not None:
            net.batches.generator.set_state(self.drawn)


class SaveCheckpoint(Callback):
    """Write the state of training after epochs, and resume from it.

    Parameters
    ----------
    checkpoint : Checkpoint
    start : str
        Hash of the initial weights and random state.
    keep : BestWeights
        Best weights, which are also written and restored.
    writes : bool
        Whether to write the file. In distributed training, only one process does.
    """

    def __init__(
        self, checkpoint: Checkpoint, start: str, keep: BestWeights, *, writes: bool
    ) -> None:
        self.checkpoint = checkpoint
        self.start = start
        self.keep = keep
        self.writes = writes

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        # A full disk should be detected before hours of training.
        if self.checkpoint.state is None:
            self.write(net)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        if self.checkpoint.is_due():
            self.write(net)

    def write(self, net: Any, done: bool = False) -> None:
        """Write the state that the next epoch needs, or less if training has ended."""
        if not self.writes:
            return
        keep = self.keep
        tensors = with_prefix("model", tensors_of(net.module_))
        tensors["generator"] = net.batches.generator.get_state()
        if not done:
            for index, state in net.optimizer_.state_dict()["state"].items():
                tensors |= with_prefix(f"optimizer.{index}", state)
            if keep.weights is not None and keep.best_epoch < keep.n_epochs:
                tensors |= with_prefix("best", keep.weights)
        numbers = {
            "history": losses_of(net.history[: keep.n_epochs]),
            "best_epoch": keep.best_epoch,
            "misses": keep.misses,
            "threshold": keep.threshold,
        }
        self.checkpoint.write(TrainingState(self.start, done, numbers, tensors))

    def restore(self, net: Any) -> bool:
        """Resume from the checkpoint, if any; return whether training has ended."""
        state = self.checkpoint.state
        if state is None:
            return False
        self.checkpoint.check_start(self.start)
        try:
            self._restore(net, state)
        except (*INVALID_CONTENT, RuntimeError) as error:
            raise self.checkpoint.damaged(error) from error
        return state.done

    def _restore(self, net: Any, state: TrainingState) -> None:
        numbers, keep = state.numbers, self.keep
        for row in numbers["history"]:
            net.history.new_epoch()
            for name, value in row.items():
                net.history.record(name, value)
        write_tensors(net.module_, without_prefix("model", state.tensors))
        net.batches.generator.set_state(state.tensors["generator"])
        if state.done:
            return
        restore_optimizer(net.optimizer_, without_prefix("optimizer", state.tensors))
        keep.n_epochs = len(numbers["history"])
        keep.best_epoch, keep.misses, keep.threshold = (
            numbers[name] for name in ("best_epoch", "misses", "threshold")
        )
        if keep.n_epochs:
            keep.drawn = state.tensors["generator"]
            best = without_prefix("best", state.tensors)
            now = net.module_.state_dict()
            if best:
                check_like(best, now)
            keep.weights = best or copy.deepcopy(now)


def restore_optimizer(optimizer: Any, tensors: dict[str, Tensor]) -> None:
    """Restore the averages of an optimizer; learning rates are not changed."""
    states: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        states.setdefault(int(index), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    weights = [each for group in optimizer.param_groups for each in group["params"]]
    for number, state in states.items():
        for key, tensor in state.items():
            # State of Adam: a number, or an array like the weight.
            wanted = () if key == "step" else weights[number].shape
            if tensor.shape != wanted or tensor.dtype != torch.float32:
                raise ValueError(
                    f"optimizer.{number}.{key} has an invalid shape or dtype"
                )
        if state.keys() != {"step", "exp_avg", "exp_avg_sq"}:  # those of Adam
            raise LookupError(f"optimizer.{number} has entries {sorted(state)}")
    optimizer.load_state_dict({"state": states, "param_groups": groups})


def losses_of(history: Any) -> list[dict[str, float]]:
    """Return losses and seconds of epochs."""
    return [
        {name: float(value) for name, value in row.items() if isinstance(value, float)}
        for row in history
    ]
