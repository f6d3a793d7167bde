"""Training callbacks: losses, codebook, best weights and checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback
from torch import Tensor
from tqdm.auto import tqdm

from sktext_vq._training.checkpoint import (
    Checkpoint,
    TrainingState,
    with_prefix,
    without_prefix,
)
from sktext_vq._utils.container import INVALID_CONTENT
from sktext_vq.nn.losses import WEIGHTS

_PATIENCE = 3
_LEAST_GAIN = 1e-4  # minimum relative decrease of the held-out loss


class StopTraining(Exception):
    """Raised to stop training if the losses of held-out cases no longer improve."""


class DivergenceError(Exception):
    """Raised if a loss or weight becomes NaN or infinite."""


def mean_losses(batches: list[dict[str, Any]]) -> dict[str, float]:
    """Return the mean over cases of each loss that is recorded per batch."""
    values: dict[str, list[float]] = {}
    sizes: dict[str, list[int]] = {}
    for row in batches:
        for name, value in row.items():
            prefix, _, loss = name.partition("_")
            if loss in WEIGHTS:
                values.setdefault(name, []).append(value)
                sizes.setdefault(name, []).append(row[f"{prefix}_batch_size"])
    return {
        name: float(np.average(each, weights=sizes[name]))
        for name, each in values.items()
    }


class LogLosses(Callback):
    """Record the mean of each loss over the cases of an epoch."""

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        for name, value in mean_losses(net.history[-1]["batches"]).items():
            net.history.record(name, value)


class UpdateCodebook(Callback):
    """Update the codebook with the matches of both branches after each step."""

    def on_batch_end(
        self, net: Any, batch: Any = None, training: bool = False, **kwargs: Any
    ) -> None:
        if training:
            net.update_codebook(batch)


class ProgressBar(Callback):
    """Show a progress bar with an estimate of the remaining time."""

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


@dataclass
class Part:
    """Part of a network, with the weights of its best epoch.

    Parameters
    ----------
    losses : set of str
        Losses that determine the best epoch.
    prefixes : tuple of str
        Name prefixes of the weights.
    epoch : int or None
        Epoch whose weights are kept. If None, the epoch with the lowest loss of
        held-out cases is chosen.

    Attributes
    ----------
    best : int
        Best epoch so far; 0 if the initial weights are best.
    threshold : float
        Loss of held-out cases. Epochs with a lower loss are better.
    weights : dict
        Weights of the best epoch.
    """

    losses: set[str]
    prefixes: tuple[str, ...]
    epoch: int | None = None
    best: int = 0
    threshold: float = np.inf
    weights: dict[str, Tensor] = field(default_factory=dict)

    def names(self, module: Any) -> list[str]:
        """Return the names of weights and buffers of this part of a module."""
        return [name for name in module.state_dict() if name.startswith(self.prefixes)]

    def observe(
        self, net: Any, epoch: int, losses: Mapping[str, float] | None = None
    ) -> None:
        """Store the weights of an epoch if its loss is lower."""
        is_better = self.epoch is not None and epoch <= self.epoch
        if self.epoch is None:
            terms = [
                net.weights[name] * value
                for name, value in (losses or {}).items()
                if name in self.losses
            ]
            loss = float(sum(terms))
            # Without held-out cases, the last epoch is kept.
            is_better = not terms or loss < self.threshold
            if terms and is_better:
                self.threshold = loss - _LEAST_GAIN * abs(loss)
        if is_better or not self.weights:
            with net.averaged():
                state = net.module_.state_dict()
                names = self.names(net.module_)
                self.weights = {name: state[name].clone() for name in names}
            self.best = epoch


class BestParts(Callback):
    """Keep the weights of the best epoch of each part of a network.

    Attributes
    ----------
    n_epochs : int
        Number of completed epochs with finite losses and weights.
    drawn : Tensor or None
        State of the random generator after the last completed epoch.
    interrupted : bool
        Whether training was stopped by an interrupt or by an infinite loss.
    """

    def __init__(self, parts: dict[str, Part]) -> None:
        self.parts = parts
        self.n_epochs = 0
        self.interrupted = False
        self.drawn: Tensor | None = None

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        if not all(part.weights for part in self.parts.values()):
            losses = net.held_out_losses()
            for part in self.parts.values():
                part.observe(net, 0, losses)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        epoch = len(net.history)
        if not all(weight.isfinite().all() for weight in net.module_.parameters()):
            raise DivergenceError(f"Weights became NaN or infinite in epoch {epoch}.")
        losses = {
            name.removeprefix("valid_"): value
            for name, value in net.history[-1].items()
            if name.startswith("valid_")
        }
        for part in self.parts.values():
            part.observe(net, epoch, losses)
        self.drawn = net.batches.generator.get_state()
        self.n_epochs = epoch
        if epoch - max(self.kept.values()) == _PATIENCE:
            raise StopTraining

    @property
    def kept(self) -> dict[str, int]:
        """Best epoch of each part."""
        return {name: part.best for name, part in self.parts.items()}

    def restore(self, net: Any) -> None:
        """Restore the best weights and the state of the random generator."""
        for part in self.parts.values():
            net.module_.load_state_dict(part.weights, strict=False)
        if self.drawn is not None:
            net.batches.generator.set_state(self.drawn)


class SaveCheckpoint(Callback):
    """Save the training state after epochs and resume training from a checkpoint.

    Parameters
    ----------
    checkpoint : Checkpoint
    start : str
        Hash of the initial weights and of the initial random state.
    keep : BestParts
        Callback whose best weights are also saved and restored.
    earlier : dict
        Results of an earlier run of the same fit, which are also saved.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        start: str,
        keep: BestParts,
        earlier: dict[str, Any],
    ) -> None:
        self.checkpoint = checkpoint
        self.start = start
        self.keep = keep
        self.earlier = earlier

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        # If the file cannot be written, an error is raised before training.
        if self.checkpoint.state is None:
            self.write(net)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        if self.checkpoint.is_due():
            self.write(net)

    def write(self, net: Any, done: bool = False) -> None:
        """Save the training state, or only the results if training has ended."""
        keep = self.keep
        tensors = with_prefix("model", net.module_.state_dict())
        tensors["generator"] = net.batches.generator.get_state()
        if not done:
            for index, state in net.optimizer_.state_dict()["state"].items():
                tensors |= with_prefix(f"optimizer.{index}", state)
            tensors |= with_prefix("average", net.average_)
            for part in keep.parts.values():
                tensors |= with_prefix("best", part.weights)
        numbers = {
            "history": losses_of(net.history[: keep.n_epochs]),
            "kept": keep.kept,
            "thresholds": {name: part.threshold for name, part in keep.parts.items()},
            "earlier": self.earlier,
        }
        self.checkpoint.write(TrainingState(self.start, done, numbers, tensors))

    def restore(self, net: Any) -> bool:
        """Resume from the checkpoint, if any, and return whether training has ended."""
        state = self.checkpoint.state
        if state is None or state.numbers["earlier"] != self.earlier:
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
        net.module_.load_state_dict(without_prefix("model", state.tensors))
        net.batches.generator.set_state(state.tensors["generator"])
        keep.n_epochs = len(numbers["history"])
        best, now = without_prefix("best", state.tensors), net.module_.state_dict()
        for name, part in keep.parts.items():
            part.best = numbers["kept"][name]
            part.threshold = float(numbers["thresholds"][name])
            kept = now if state.done or not keep.n_epochs else best
            part.weights = {
                each: kept[each].clone().view_as(now[each])
                for each in part.names(net.module_)
            }
        if keep.n_epochs:
            keep.drawn = state.tensors["generator"]
        if not state.done:
            average = without_prefix("average", state.tensors)
            for name, own in net.average_.items():
                own.copy_(average[name])
            optimizer = without_prefix("optimizer", state.tensors)
            restore_optimizer(net.optimizer_, optimizer)


def restore_optimizer(optimizer: Any, tensors: dict[str, Tensor]) -> None:
    """Restore the state of an optimizer, except for its learning rates."""
    states: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, key = name.partition(".")
        states.setdefault(int(index), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    weights = [each for group in optimizer.param_groups for each in group["params"]]
    for number, state in states.items():
        averages = state["exp_avg"], state["exp_avg_sq"]  # state of Adam
        if any(each.shape != weights[number].shape for each in averages):
            raise ValueError(f"optimizer.{number} has an invalid shape")
    optimizer.load_state_dict({"state": states, "param_groups": groups})


def losses_of(history: Any) -> list[dict[str, float]]:
    """Return the losses and the duration in seconds of each epoch."""
    return [
        {name: float(value) for name, value in row.items() if isinstance(value, float)}
        for row in history
    ]
