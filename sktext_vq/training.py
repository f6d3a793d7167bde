"""Training of the model with skorch: loss, early stopping, progress."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping
from skorch.helper import predefined_split
from skorch.utils import noop
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from sktext_vq._examples import Examples
from sktext_vq.nn.losses import WEIGHTS
from sktext_vq.nn.model import DualBranchModel, Step

Item = TypeVar("Item")
Result = TypeVar("Result")

_PATIENCE = 3
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
        **kwargs: Any,
    ) -> None:
        self.examples = examples
        self.weights = weights
        super().__init__(module, **kwargs)

    def train_step_single(self, batch: Any, **fit_params: Any) -> Any:
        return super().train_step_single(self._prepare(batch, True), **fit_params)

    def validation_step(self, batch: Any, **fit_params: Any) -> Any:
        return super().validation_step(self._prepare(batch, False), **fit_params)

    def infer(self, x: Step, **fit_params: Any) -> Any:
        return self.module_(x)  # a named tuple would be taken for several arguments

    def _prepare(self, cases: Tensor, training: bool) -> tuple[Step, Tensor]:
        """Return what a step looks at, on the device, and which cases it is about."""
        return to_device(self.examples.step(cases, training), self.device), cases

    def get_loss(
        self, y_pred: dict[str, Tensor], y_true: Tensor, *args: Any, **kwargs: Any
    ) -> Any:
        prefix = "train" if self.module_.training else "valid"
        for name, term in y_pred.items():
            self.history.record_batch(f"{prefix}_{name}", float(term.detach()))
        if not y_pred:  # nothing that the losses are about is in this batch
            return next(self.module_.parameters()).sum() * 0
        return torch.stack(
            [self.weights[name] * term for name, term in y_pred.items()]
        ).sum()


class _Terms(Callback):
    """Means of the single losses over the steps of an epoch."""

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        terms: dict[str, list[float]] = {}
        for row in net.history[-1]["batches"]:
            for name, value in row.items():
                if name.removeprefix("train_").removeprefix("valid_") in WEIGHTS:
                    terms.setdefault(name, []).append(value)
        for name, values in terms.items():
            net.history.record(name, float(np.mean(values)))


class _Commit(Callback):
    """Update the codebook once per step, from what both branches matched with it."""

    def on_batch_end(
        self, net: Any, batch: Any = None, training: bool = False, **kwargs: Any
    ) -> None:
        if training:
            observe(net.module_, net.examples, batch, net.device)
            net.module_.tokenizer.codebook.commit(
                net.weights["codebook"],
                net.examples.generator,
                quotas={"signal": 1, "text": 1},
            )


def observe(
    model: DualBranchModel, examples: Examples, cases: Tensor, device: str
) -> None:
    """Let the codebook see what both branches match with it."""
    step = Step(None, examples.scaler.batch(examples.panel, cases.numpy()))
    step = examples.add_texts(step, cases, training=False)
    model.observe(to_device(step, device), examples.generator)


class _Progress(Callback):
    """A bar of epochs, with an estimate of the time left."""

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        self.bar_ = tqdm(total=net.max_epochs, desc="training", unit="epoch")

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


class _StopIfNotFinite(Callback):
    """End with an error where the loss is no number any more."""

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        if not np.isfinite(net.history[-1, "train_loss"]):
            raise FloatingPointError(
                f"The training loss became {net.history[-1, 'train_loss']} in epoch "
                f"{len(net.history)}. Scale the input to moderate values, or set "
                "max_epochs=0 for the closed form."
            )


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
) -> list[dict[str, float]]:
    """Train a model in place.

    Parameters
    ----------
    model : DualBranchModel
        Left on the CPU, with the weights of the epoch of least validation loss.
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
        Where to train.
    verbose : int
        1 shows a progress bar.

    Returns
    -------
    list of dict
        Losses and seconds of each epoch.

    Raises
    ------
    FloatingPointError
        If the loss is not finite.
    """
    size = int(np.clip(len(train_cases) // _STEPS, _MIN_BATCH, _MAX_BATCH))
    if examples.picked is None:  # windows of all series of a batch are in memory
        n_values = examples.panel.n_channels * examples.panel.n_timepoints
        size = max(1, min(size, _BATCH_VALUES // n_values))
    callbacks: list[tuple[str, Callback]] = [
        ("finite", _StopIfNotFinite()),
        ("terms", _Terms()),
    ]
    if weights["codebook"]:
        callbacks.append(("commit", _Commit()))
    if len(valid_cases):
        stop = EarlyStopping(patience=_PATIENCE, load_best=True, sink=noop)
        callbacks.append(("stop", stop))
    if verbose:
        callbacks.append(("progress", _Progress()))
    net = _Net(
        model,
        examples=examples,
        weights=weights,
        criterion=torch.nn.Identity,  # the loss is in get_loss
        optimizer=torch.optim.Adam,
        optimizer__lr=_RATE,
        optimizer__param_groups=[
            ("tokenizer.*", {"lr": _CODE_RATE}),
            ("memory.*", {"lr": _CODE_RATE}),
        ],
        max_epochs=max_epochs,
        batch_size=size,
        iterator_train__shuffle=True,
        iterator_train__generator=examples.generator,
        iterator_valid__generator=examples.generator,
        train_split=(
            predefined_split(_Cases(valid_cases)) if len(valid_cases) else None
        ),
        callbacks=callbacks,
        callbacks__print_log=None,
        verbose=0,
        device=device,
    )
    net.fit(_Cases(train_cases), None)
    model.to("cpu")
    model.eval()
    return [
        {
            name: value
            for name, value in row.items()
            if isinstance(value, float) and name != "event_lr"
        }
        for row in net.history
    ]
