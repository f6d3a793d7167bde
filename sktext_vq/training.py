"""Training of the model with skorch: losses, steps, and how training ends."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.helper import predefined_split
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.utils.data import Dataset

from sktext_vq._callbacks import (
    Commit,
    Diverged,
    Enough,
    Keep,
    NotFinite,
    Progress,
    Save,
    Terms,
    losses_of,
)
from sktext_vq._checkpoints import Checkpoint, digest_of_tensors, tensors_of
from sktext_vq._examples import Examples
from sktext_vq._forks import limit_threads_after_fork
from sktext_vq._processes import Processes, choose_device
from sktext_vq.nn.model import DualBranchModel, Step

limit_threads_after_fork()

Item = TypeVar("Item")
Result = TypeVar("Result")

_TO_USER = 7  # frames from a warning to who called fit
_VALID_SHARE = 0.2
# Below this many cases a held-out part says little and costs much.
_MIN_CASES_TO_HOLD_OUT = 50
_CODE_RATE, _RATE = 3e-2, 1e-3
_STEPS = 8  # per epoch at least, where there are cases enough
_MAX_BATCH, _MIN_BATCH, _BATCH_VALUES = 128, 8, 2**17


class _Cases(Dataset[int]):
    """Indices of cases; what a step looks at is put together when it is needed."""

    def __init__(self, cases: NDArray[np.int64]) -> None:
        self.cases = cases

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> int:
        return int(self.cases[index])


class _Net(NeuralNet):
    """skorch net whose batches are cases, with the losses of the model."""

    def __init__(
        self,
        module: DualBranchModel,
        *,
        examples: Examples,
        weights: dict[str, float],
        processes: Processes,
        **kwargs: Any,
    ) -> None:
        self.examples = examples
        self.weights = weights
        self.processes = processes
        super().__init__(module, **kwargs)

    def train_step_single(self, batch: Any, **fit_params: Any) -> Any:
        part, self._share = self.processes.part(batch)
        with self.processes.draw_alike(self.examples.generator):
            step = super().train_step_single(self._prepare(part, True), **fit_params)
        self.processes.mean_gradients(self.module_)
        return {**step, "loss": self.processes.mean(step["loss"].detach())}

    def validation_step(self, batch: Any, **fit_params: Any) -> Any:
        part, self._share = self.processes.part(batch)
        step = super().validation_step(self._prepare(part, False), **fit_params)
        return {**step, "loss": self.processes.mean(step["loss"])}

    def infer(self, x: Step, **fit_params: Any) -> Any:
        return self.module_(x)  # a named tuple would be taken for several arguments

    def _prepare(self, cases: Tensor, training: bool) -> tuple[Step, Tensor]:
        """Return what a step looks at, on the device, and which cases it is about."""
        return to_device(self.examples.step(cases, training), self.device), cases

    def observe(self, cases: Tensor) -> None:
        """Let the codebook see what both branches match with it."""
        part, share = self.processes.part(cases)
        with self.processes.draw_alike(self.examples.generator):
            if share:
                observe(self.module_, self.examples, part, self.device)
        self.processes.share_matches(self.module_.tokenizer.codebook)

    def get_loss(
        self, y_pred: dict[str, Tensor], y_true: Tensor, *args: Any, **kwargs: Any
    ) -> Any:
        prefix = "train" if self.module_.training else "valid"
        terms = {name: float(y_pred[name].detach()) for name in y_pred if self._share}
        for name, mean in self.processes.mean_of_each(terms).items():
            self.history.record_batch(f"{prefix}_{name}", mean)
        if not y_pred:  # nothing that the losses are about is in this batch
            return next(self.module_.parameters()).sum() * 0
        losses = [self.weights[name] * term for name, term in y_pred.items()]
        return torch.stack(losses).sum() * self._share


def observe(
    model: DualBranchModel, examples: Examples, cases: Tensor, device: str
) -> None:
    """Let the codebook see what both branches match with it."""
    step = Step(None, examples.scaler.batch(examples.panel, cases.numpy()))
    step = examples.add_texts(step, cases, training=False)
    model.observe(to_device(step, device), examples.generator)


def single_thread() -> AbstractContextManager[Any]:
    """Keep torch's operations on the calling thread.

    They are small here. Sharing each out over threads gains little on an idle machine,
    and on a busy one every operation waits for the slowest thread, which makes the
    whole up to a hundred times slower. Cases are what is shared out, see `n_jobs`.
    """
    torch.get_num_threads()  # sets up a new thread, which would undo the limit later
    return threadpool_limits(1, user_api="openmp")


def in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], n_threads: int
) -> Iterator[Result]:
    """Yield results in order, which threads compute a little ahead.

    Each thread works as :func:`single_thread` says.
    """
    n_threads = min(n_threads, len(items))
    if n_threads < 2:
        with single_thread():
            yield from map(function, items)
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(n_threads, initializer=single_thread) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > n_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def to_device(value: Any, device: str) -> Any:
    """Bring tensors to a device, and those in named tuples."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(to_device(part, device) for part in value))
    return value


def split_cases(
    n_cases: int, classes: NDArray[np.int64] | None, random_state: np.random.RandomState
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split cases into a part to train on and a part that says when to stop.

    The second part is empty where there are fewer than 50 cases. Classes are
    stratified where each has two cases or more.
    """
    cases = np.arange(n_cases)
    if n_cases < _MIN_CASES_TO_HOLD_OUT:
        return cases, cases[:0]
    stratify = None
    if classes is not None:
        counts = np.bincount(classes)
        if counts.min() >= 2 and len(counts) <= _VALID_SHARE * n_cases:
            stratify = classes
    train, valid = train_test_split(
        cases, test_size=_VALID_SHARE, stratify=stratify, random_state=random_state
    )
    return np.sort(train), np.sort(valid)


def train(
    model: DualBranchModel,
    examples: Examples,
    *,
    train_cases: NDArray[np.int64],
    valid_cases: NDArray[np.int64],
    weights: dict[str, float],
    max_epochs: int,
    device: str,
    verbose: int,
    checkpoint: Checkpoint | None = None,
) -> list[dict[str, float]]:
    """Train a model in place.

    Parameters
    ----------
    model : DualBranchModel
        Left on the CPU, with the weights of the epoch of least validation loss, or
        without one those of the last epoch.
    examples : Examples
        What it learns from.
    train_cases, valid_cases : ndarray of int
        Cases to learn from, and cases that decide when to stop; the second may be
        empty: then training runs for all epochs.
    weights : dict
        Weight of every loss.
    max_epochs : int
        At most so many passes over the training cases.
    device : str
        The parameter of the estimator.
    verbose : int
        1 shows a progress bar.
    checkpoint : Checkpoint, optional
        Where to write the state of training, and to go on from.

    Returns
    -------
    list of dict
        Losses and seconds of each epoch that ended.

    Warns
    -----
    ConvergenceWarning
        If losses or weights stop being finite: weights are those of epochs before.
    UserWarning
        If it was interrupted: weights are those of epochs before.

    Raises
    ------
    FloatingPointError
        If they are not finite in the first epoch.
    KeyboardInterrupt
        If it was interrupted in the first epoch.
    ValueError
        If the checkpoint is of a training that started otherwise.
    OSError
        If the checkpoint cannot be written.
    """
    processes = Processes(device)
    keep = Keep(held_out=len(valid_cases) > 0)
    callbacks: list[tuple[str, Callback]] = [
        ("finite", NotFinite()),
        ("terms", Terms()),
    ]
    if weights["codebook"]:
        callbacks.append(("commit", Commit()))
    if verbose and processes.is_first:
        callbacks.append(("progress", Progress()))
    callbacks.append(("keep", keep))
    save = None
    if checkpoint is not None or processes.count > 1:
        drawn = {"generator": examples.generator.get_state()}
        start = digest_of_tensors({**tensors_of(model), **drawn})
        processes.check_alike(start)
    if checkpoint is not None:
        save = Save(checkpoint, start, keep, writes=processes.is_first)
        callbacks.append(("save", save))
    net = _Net(
        model,
        examples=examples,
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
        batch_size=_batch_size(examples, len(train_cases)),
        iterator_train__shuffle=True,
        iterator_train__generator=examples.generator,
        iterator_valid__generator=examples.generator,
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
        interrupted = _run(net, train_cases, keep)
        keep.restore(net)
        if save is not None and not interrupted:
            save.write(net, done=True)
    model.to("cpu")
    model.eval()
    return losses_of(net.history if done else net.history[: keep.n_epochs])


def _batch_size(examples: Examples, n_cases: int) -> int:
    """Return how many cases a step looks at."""
    size = int(np.clip(n_cases // _STEPS, _MIN_BATCH, _MAX_BATCH))
    if examples.picked is None:  # windows of all series of a batch are in memory
        n_values = examples.panel.n_channels * examples.panel.n_timepoints
        size = max(1, min(size, _BATCH_VALUES // n_values))
    return size


def _run(net: _Net, cases: NDArray[np.int64], keep: Keep) -> bool:
    """Train for the epochs that are left; return whether it ended before its time."""
    # Not net.fit, which takes an interrupt for the end of training.
    try:
        net.notify("on_train_begin", X=None, y=None)
        net.fit_loop(_Cases(cases), epochs=net.max_epochs - keep.n_epochs)
    except Enough:
        pass
    except Diverged as error:
        if not keep.n_epochs:
            raise FloatingPointError(
                f"{error} Scale the input to moderate values, or set max_epochs=0 for "
                "the closed form."
            ) from None
        warnings.warn(
            f"{error} Training ended there, with the weights of epoch "
            f"{keep.best_epoch}. Scale the input to moderate values for more.",
            ConvergenceWarning,
            stacklevel=_TO_USER,
        )
        return True
    except KeyboardInterrupt:
        # Processes that train together are at different places of a step.
        if not keep.n_epochs or net.processes.count > 1:
            raise
        warnings.warn(
            f"Training was interrupted after {keep.n_epochs} of {net.max_epochs} "
            f"epochs: the model has the weights of epoch {keep.best_epoch}.",
            stacklevel=_TO_USER,
        )
        return True
    finally:
        net.notify("on_train_end", X=None, y=None)
    return False
