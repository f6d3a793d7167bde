"""Training of a model with skorch."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.helper import predefined_split
from torch import Tensor
from torch.utils.data import Dataset, WeightedRandomSampler

from sktext_vq._training.batches import BatchBuilder
from sktext_vq._training.callbacks import (
    BestParts,
    CheckLoss,
    DivergenceError,
    LogLosses,
    Part,
    ProgressBar,
    SaveCheckpoint,
    StopTraining,
    UpdateCodebook,
    losses_of,
    mean_losses,
)
from sktext_vq._training.checkpoint import Checkpoint
from sktext_vq._training.fingerprint import digest_of_tensors, tensors_of
from sktext_vq._utils.devices import choose_device, to_device
from sktext_vq._utils.torch_defaults import deterministic_algorithms
from sktext_vq._utils.validation import find_stack_level
from sktext_vq.nn.batches import TrainingBatch
from sktext_vq.nn.model import DualBranchModel

_CODE_RATE, _RATE = 3e-2, 1e-3
# Approximate maximum change, in one step, of a logit or of a coordinate in the joint
# space.
_MAX_CHANGE = 0.2
_DECAY = 0.95  # decay of the weight average per step
_STEPS = 8  # minimum number of steps per epoch, if there are enough cases
_AVERAGED = ("head.", "projection.", "text.", "decoder.")
_MAX_BATCH, _MIN_BATCH, _BATCH_VALUES = 256, 8, 2**17


class _Cases(Dataset[int]):
    """Data set of case indices from which batches are built."""

    def __init__(self, cases: NDArray[np.int64]) -> None:
        self.cases = cases

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> int:
        return int(self.cases[index])


class _Net(NeuralNet):
    """skorch net whose inputs are case indices and whose module returns losses."""

    def __init__(
        self,
        module: DualBranchModel,
        *,
        batches: BatchBuilder,
        weights: dict[str, float],
        held_out: NDArray[np.int64],
        **kwargs: Any,
    ) -> None:
        self.batches = batches
        self.weights = weights
        self.held_out = held_out
        super().__init__(module, **kwargs)

    def initialize(self) -> Any:
        super().initialize()
        # Only weights that start from the closed form are averaged.
        self.average_ = {
            name: weight.detach().clone()
            for name, weight in self.module_.named_parameters()
            if name.startswith(_AVERAGED) and not self.batches.learns_features
        }
        return self

    def on_batch_end(
        self, net: Any, batch: Any = None, training: bool = False, **kwargs: Any
    ) -> None:
        super().on_batch_end(net, batch, training, **kwargs)
        if training:
            weights = dict(self.module_.named_parameters())
            for name, average in self.average_.items():
                average.lerp_(weights[name].detach(), 1 - _DECAY)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Temporarily use moving averages of weights (Polyak and Juditsky, 1992)."""
        weights = dict(self.module_.named_parameters())
        before = {name: weights[name].data for name in self.average_}
        for name, average in self.average_.items():
            weights[name].data = average
        try:
            yield
        finally:
            for name, weight in before.items():
                weights[name].data = weight

    def run_single_epoch(
        self, iterator: Any, training: bool, *args: Any, **kwargs: Any
    ) -> None:
        with nullcontext() if training else self.averaged():
            super().run_single_epoch(iterator, training, *args, **kwargs)

    def train_step_single(self, batch: Any, **fit_params: Any) -> Any:
        return super().train_step_single(self._prepare(batch, True), **fit_params)

    def validation_step(self, batch: Any, **fit_params: Any) -> Any:
        return super().validation_step(self._prepare(batch, False), **fit_params)

    def infer(self, x: TrainingBatch, **fit_params: Any) -> Any:
        return self.module_(x)  # skorch would unpack a named tuple

    def _prepare(self, cases: Tensor, training: bool) -> tuple[TrainingBatch, Tensor]:
        """Return a batch on the device of the model, and the case indices."""
        return to_device(self.batches.build(cases, training), self.device), cases

    def held_out_losses(self) -> dict[str, float]:
        """Return the losses of held-out cases without recording them in the history."""
        if not len(self.held_out):
            return {}
        self.history.new_epoch()
        batches = self.get_iterator(_Cases(self.held_out), training=False)
        self.run_single_epoch(batches, False, "valid", self.validation_step)
        losses = mean_losses(self.history.pop()["batches"])
        return {name.removeprefix("valid_"): loss for name, loss in losses.items()}

    def update_codebook(self, cases: Tensor) -> None:
        """Update the codes with the matches of both branches."""
        model, generator = self.module_, self.batches.generator
        updates = model.auxiliary["codebook_updates"]
        batch = self.batches.build_for_usage(cases)
        for match in model.matches(to_device(batch, self.device), generator):
            updates.observe(*match)
        updates.commit(
            model.tokenizer.codebook,
            self.weights["codebook"],
            generator,
            quotas={"signal": 1, "text": 1},
        )

    def get_loss(
        self, y_pred: dict[str, Tensor], y_true: Tensor, *args: Any, **kwargs: Any
    ) -> Any:
        prefix = "train" if self.module_.training else "valid"
        for name, loss in y_pred.items():
            self.history.record_batch(f"{prefix}_{name}", float(loss.detach()))
        if not y_pred:  # no loss can be computed for this batch
            return sum(weight.sum() * 0 for weight in self.module_.parameters())
        losses = [self.weights[name] * term for name, term in y_pred.items()]
        return torch.stack(losses).sum()


def train(
    model: DualBranchModel,
    batches: BatchBuilder,
    parts: dict[str, Part],
    *,
    cases: NDArray[np.int64],
    held_out: NDArray[np.int64],
    weights: dict[str, float],
    max_epochs: int,
    device: str,
    verbose: int,
    checkpoint: Checkpoint | None = None,
    earlier: Mapping[str, Any] | None = None,
    is_last: bool = True,
    sample_weight: NDArray[np.float64] | None = None,
) -> tuple[list[dict[str, float]], dict[str, int]]:
    """Train a model in place.

    Parameters
    ----------
    model : DualBranchModel
        Model to train. After training, the model is on the CPU, with the weights of the
        best epoch of each part.
    batches : BatchBuilder
        Builder of training batches.
    parts : dict of str to Part
        Parts of the model whose best epochs are chosen independently.
    cases, held_out : ndarray of int
        Training cases, and held-out cases for the choice of epochs.
    weights : dict
        Weight of every loss.
    max_epochs : int
        Maximum number of passes over the training cases.
    device : str
        Parameter `device` of the estimator.
    verbose : int
        If not 0, a progress bar is shown.
    checkpoint : Checkpoint, optional
        Checkpoint to which the training state is saved, and from which it is restored.
    earlier : mapping, optional
        Results of the first call in the same fit, which are saved in the checkpoint.
    is_last : bool, default=True
        Whether this is the last call of the fit.
    sample_weight : ndarray of shape (n_train,), optional
        Sampling weights of the training cases in each epoch.

    Returns
    -------
    history : list of dict
        Losses and duration in seconds of each completed epoch.
    kept : dict of str to int
        Best epoch of each part; 0 if the initial weights are best.

    Warns
    -----
    ConvergenceWarning
        If losses or weights become NaN or infinite. The best weights of earlier epochs
        are restored.
    UserWarning
        If training is interrupted. The best weights of earlier epochs are restored.

    Raises
    ------
    KeyboardInterrupt
        If training is interrupted in the first epoch.
    ValueError
        If the checkpoint belongs to a fit with different initial weights.
    OSError
        If the checkpoint cannot be written.
    """
    keep = BestParts(parts)
    callbacks: list[tuple[str, Callback]] = [
        ("finite", CheckLoss()),
        ("terms", LogLosses()),
    ]
    if weights["codebook"] and "codebook_updates" in model.auxiliary:
        callbacks.append(("commit", UpdateCodebook()))
    if verbose:
        callbacks.append(("progress", ProgressBar()))
    callbacks.append(("keep", keep))
    save = None
    if checkpoint is not None:
        drawn = {"generator": batches.generator.get_state()}
        start = digest_of_tensors({**tensors_of(model), **drawn})
        save = SaveCheckpoint(checkpoint, start, keep, dict(earlier or {}))
        callbacks.append(("save", save))
    order: dict[str, Any] = {"shuffle": True}
    if sample_weight is not None:
        order = {
            "sampler": WeightedRandomSampler(
                sample_weight.tolist(), len(cases), generator=batches.generator
            )
        }
    net = _Net(
        model,
        batches=batches,
        weights=weights,
        held_out=held_out,
        criterion=torch.nn.Identity,  # the loss is computed in get_loss
        optimizer=torch.optim.Adam,
        optimizer__lr=_RATE,
        optimizer__param_groups=_rates(batches),
        max_epochs=max_epochs,
        batch_size=_batch_size(batches, len(cases)),
        **{f"iterator_train__{name}": value for name, value in order.items()},
        iterator_train__generator=batches.generator,
        iterator_valid__generator=batches.generator,
        train_split=predefined_split(_Cases(held_out)) if len(held_out) else None,
        callbacks=callbacks,
        callbacks__print_log=None,
        verbose=0,
        device=choose_device(device),
    ).initialize()
    done = save is not None and save.restore(net)
    if not done:
        on_cpu = torch.device(net.device).type == "cpu"
        with deterministic_algorithms() if on_cpu else nullcontext():
            _run(net, cases, keep)
        keep.restore(net)
    model.to("cpu")
    model.eval()
    if save is not None and not done and is_last and not keep.interrupted:
        save.write(net, done=True)
    return losses_of(net.history if done else net.history[: keep.n_epochs]), keep.kept


def _rates(batches: BatchBuilder) -> list[tuple[str, dict[str, float]]]:
    """Return learning rates that are adapted to the number and scale of features."""
    sizes = batches.features[:_MAX_BATCH].abs().sum(1)
    rate = _MAX_CHANGE / max(float(sizes.mean()), 1.0)
    return [
        ("tokenizer.*", {"lr": _CODE_RATE}),
        ("head.*", {"lr": rate}),
        ("projection.*", {"lr": rate}),
    ]


def _batch_size(batches: BatchBuilder, n_cases: int) -> int:
    """Return the number of cases per batch."""
    size = int(np.clip(n_cases // _STEPS, _MIN_BATCH, _MAX_BATCH))
    if batches.learns_features:  # windows of all series of a batch are in memory
        n_values = batches.panel.n_channels * batches.panel.n_timepoints
        size = max(1, min(size, _BATCH_VALUES // n_values))
    return size


def _run(net: _Net, cases: NDArray[np.int64], keep: BestParts) -> None:
    """Train for the remaining epochs."""
    # NeuralNet.fit is not used, because it suppresses KeyboardInterrupt.
    try:
        net.notify("on_train_begin", X=None, y=None)
        net.fit_loop(_Cases(cases), epochs=net.max_epochs - keep.n_epochs)
    except StopTraining:
        pass
    except DivergenceError as error:
        keep.interrupted = True
        warnings.warn(
            f"{error} Training was stopped after epoch {keep.n_epochs}, and the best "
            "weights were restored. Check X for extreme values.",
            ConvergenceWarning,
            stacklevel=find_stack_level(),
        )
    except KeyboardInterrupt:
        keep.interrupted = True
        if not keep.n_epochs:
            raise
        warnings.warn(
            f"Training was interrupted after {keep.n_epochs} of {net.max_epochs} "
            "epochs. The best weights from these epochs were restored.",
            stacklevel=find_stack_level(),
        )
    finally:
        net.notify("on_train_end", X=None, y=None)
