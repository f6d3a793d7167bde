"""Training of the model with skorch."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
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
    BestWeights,
    CheckLoss,
    DivergenceError,
    LogLosses,
    ProgressBar,
    SaveCheckpoint,
    StopTraining,
    UpdateCodebook,
    losses_of,
)
from sktext_vq._training.checkpoint import Checkpoint
from sktext_vq._training.distributed import Processes
from sktext_vq._training.fingerprint import digest_of_tensors, tensors_of
from sktext_vq._utils.devices import choose_device, to_device
from sktext_vq._utils.torch_defaults import deterministic_algorithms
from sktext_vq._utils.validation import find_stack_level
from sktext_vq.nn.batches import TrainingBatch
from sktext_vq.nn.model import DualBranchModel

_CODE_RATE, _RATE = 3e-2, 1e-3
_STEPS = 8  # minimum number per epoch, if there are enough cases
_MAX_BATCH, _MIN_BATCH, _BATCH_VALUES = 128, 8, 2**17


class _Cases(Dataset[int]):
    """Indices of cases, for which batches are built on demand."""

    def __init__(self, cases: NDArray[np.int64]) -> None:
        self.cases = cases

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> int:
        return int(self.cases[index])


class _Net(NeuralNet):
    """skorch net with indices of cases as input, and the losses of the model."""

    def __init__(
        self,
        module: DualBranchModel,
        *,
        batches: BatchBuilder,
        weights: dict[str, float],
        processes: Processes,
        **kwargs: Any,
    ) -> None:
        self.batches = batches
        self.weights = weights
        self.processes = processes
        super().__init__(module, **kwargs)

    def train_step_single(self, batch: Any, **fit_params: Any) -> Any:
        part, self._share = self.processes.part(batch)
        with self.processes.draw_alike(self.batches.generator):
            step = super().train_step_single(self._prepare(part, True), **fit_params)
        self.processes.mean_gradients(self.module_)
        return {**step, "loss": self.processes.mean(step["loss"].detach())}

    def validation_step(self, batch: Any, **fit_params: Any) -> Any:
        part, self._share = self.processes.part(batch)
        step = super().validation_step(self._prepare(part, False), **fit_params)
        return {**step, "loss": self.processes.mean(step["loss"])}

    def infer(self, x: TrainingBatch, **fit_params: Any) -> Any:
        return self.module_(x)  # skorch would unpack a named tuple to several arguments

    def _prepare(self, cases: Tensor, training: bool) -> tuple[TrainingBatch, Tensor]:
        """Return the batch of some cases on the device, and the cases."""
        return to_device(self.batches.build(cases, training), self.device), cases

    def update_codebook(self, cases: Tensor) -> None:
        """Update the codes with the matches of both branches."""
        model, generator = self.module_, self.batches.generator
        updates = model.auxiliary["codebook_updates"]
        part, share = self.processes.part(cases)
        with self.processes.draw_alike(generator):
            if share:
                batch = to_device(self.batches.build_for_usage(part), self.device)
                for match in model.matches(batch, generator):
                    updates.observe(*match)
        self.processes.share_matches(updates)
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
        terms = {name: float(y_pred[name].detach()) for name in y_pred if self._share}
        for name, mean in self.processes.mean_of_each(terms).items():
            self.history.record_batch(f"{prefix}_{name}", mean)
        if not y_pred:  # no loss can be computed for this batch
            return next(self.module_.parameters()).sum() * 0
        losses = [self.weights[name] * term for name, term in y_pred.items()]
        return torch.stack(losses).sum() * self._share


def train(
    model: DualBranchModel,
    batches: BatchBuilder,
    *,
    train_cases: NDArray[np.int64],
    valid_cases: NDArray[np.int64],
    weights: dict[str, float],
    max_epochs: int,
    device: str,
    verbose: int,
    checkpoint: Checkpoint | None = None,
    sample_weight: NDArray[np.float64] | None = None,
) -> list[dict[str, float]]:
    """Train a model in place.

    Parameters
    ----------
    model : DualBranchModel
        Model to train. Training ends on the CPU, with the weights of the epoch with the
        lowest validation loss, or of the last epoch without validation cases.
    batches : BatchBuilder
        Builder of training batches.
    train_cases, valid_cases : ndarray of int
        Training cases, and cases for early stopping. Without the latter, training runs
        for all epochs.
    weights : dict
        Weight of every loss.
    max_epochs : int
        Maximum number of passes over the training cases.
    device : str
        Parameter of the estimator.
    verbose : int
        1 shows a progress bar.
    checkpoint : Checkpoint, optional
        File to write the state of training to, and to resume from.
    sample_weight : ndarray of shape (n_train,), optional
        Weights of the training cases, with which they are sampled in each epoch.

    Returns
    -------
    list of dict
        Losses and seconds of each complete epoch.

    Warns
    -----
    ConvergenceWarning
        If losses or weights become NaN or infinite. The best weights of earlier epochs
        are restored.
    UserWarning
        If training is interrupted. The best weights of earlier epochs are restored.

    Raises
    ------
    FloatingPointError
        If losses or weights become NaN or infinite in the first epoch.
    KeyboardInterrupt
        If training is interrupted in the first epoch.
    ValueError
        If the checkpoint belongs to a fit with other initial weights.
    OSError
        If the checkpoint cannot be written.
    """
    processes = Processes(device)
    keep = BestWeights(held_out=len(valid_cases) > 0)
    callbacks: list[tuple[str, Callback]] = [
        ("finite", CheckLoss()),
        ("terms", LogLosses()),
    ]
    if weights["codebook"] and "codebook_updates" in model.auxiliary:
        callbacks.append(("commit", UpdateCodebook()))
    if verbose and processes.is_first:
        callbacks.append(("progress", ProgressBar()))
    callbacks.append(("keep", keep))
    save = None
    if checkpoint is not None or processes.count > 1:
        drawn = {"generator": batches.generator.get_state()}
        start = digest_of_tensors({**tensors_of(model), **drawn})
        processes.check_alike(start)
    if checkpoint is not None:
        save = SaveCheckpoint(checkpoint, start, keep, writes=processes.is_first)
        callbacks.append(("save", save))
    order: dict[str, Any] = {"shuffle": True}
    if sample_weight is not None:
        order = {
            "sampler": WeightedRandomSampler(
                sample_weight.tolist(), len(train_cases), generator=batches.generator
            )
        }
    net = _Net(
        model,
        batches=batches,
        weights=weights,
        processes=processes,
        criterion=torch.nn.Identity,  # the loss is in get_loss
        optimizer=torch.optim.Adam,
        optimizer__lr=_RATE,
        optimizer__param_groups=[
            ("tokenizer.*", {"lr": _CODE_RATE}),
            ("memory.*", {"lr": _CODE_RATE}),
        ],
        max_epochs=max_epochs,
        batch_size=_batch_size(batches, len(train_cases)),
        **{f"iterator_train__{name}": value for name, value in order.items()},
        iterator_train__generator=batches.generator,
        iterator_valid__generator=batches.generator,
        train_split=(
            predefined_split(_Cases(valid_cases)) if len(valid_cases) else None
        ),
        callbacks=callbacks,
        callbacks__print_log=None,
        verbose=0,
        device=choose_device(device),
    ).initialize()
    done = save is not None and save.restore(net)
    if not done:
        on_cpu = torch.device(net.device).type == "cpu"
        with deterministic_algorithms() if on_cpu else nullcontext():
            interrupted = _run(net, train_cases, keep)
        keep.restore(net)
        if save is not None and not interrupted:
            save.write(net, done=True)
            # Another fit may read the file at once.
            processes.wait()
    model.to("cpu")
    model.eval()
    return losses_of(net.history if done else net.history[: keep.n_epochs])


def _batch_size(batches: BatchBuilder, n_cases: int) -> int:
    """Return the batch size."""
    size = int(np.clip(n_cases // _STEPS, _MIN_BATCH, _MAX_BATCH))
    if batches.selected is None:  # windows of all series of a batch are in memory
        n_values = batches.panel.n_channels * batches.panel.n_timepoints
        size = max(1, min(size, _BATCH_VALUES // n_values))
    return size


def _run(net: _Net, cases: NDArray[np.int64], keep: BestWeights) -> bool:
    """Train for the remaining epochs; return whether training was interrupted."""
    # Not net.fit, which treats an interrupt as the end of training.
    try:
        net.notify("on_train_begin", X=None, y=None)
        net.fit_loop(_Cases(cases), epochs=net.max_epochs - keep.n_epochs)
    except StopTraining:
        pass
    except DivergenceError as error:
        if not keep.n_epochs:
            raise FloatingPointError(
                f"{error} Scale the input to moderate values, or set max_epochs=0 for "
                "the closed form."
            ) from None
        warnings.warn(
            f"{error} Training was stopped, and the weights of epoch {keep.best_epoch} "
            "were restored. Scale the input to moderate values to train longer.",
            ConvergenceWarning,
            stacklevel=find_stack_level(),
        )
        return True
    except KeyboardInterrupt:
        # Processes that train together are interrupted at different points of a step.
        if not keep.n_epochs or net.processes.count > 1:
            raise
        warnings.warn(
            f"Training was interrupted after {keep.n_epochs} of {net.max_epochs} "
            f"epochs: the model has the weights of epoch {keep.best_epoch}.",
            stacklevel=find_stack_level(),
        )
        return True
    finally:
        net.notify("on_train_end", X=None, y=None)
    return False
