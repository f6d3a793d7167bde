"""Training of the model with skorch: loss, early stopping, progress."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

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

from sktext_vq._guidance import Guidance
from sktext_vq._scaling import Scaler
from sktext_vq.nn.losses import WEIGHTS, text_loss
from sktext_vq.nn.model import TEXT_TEMPERATURE, DualBranchModel, Output
from sktext_vq.nn.tokens import Batch
from sktext_vq.panel import Panel

_PATIENCE = 3
_VALID_SHARE = 0.2
# Below this many cases a held-out part says little and costs much.
_MIN_CASES_TO_HOLD_OUT = 50
_CODE_RATE, _HEAD_RATE = 3e-2, 1e-3
_STEP = 4  # training sees every fourth start, from a random one
_MAX_BATCH, _MIN_BATCH, _BATCH_VALUES = 64, 4, 2**17


class _Cases(Dataset[int]):
    """Indices of cases; their batches are made when they are needed."""

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
        panel: Panel,
        scaler: Scaler,
        classes: Tensor | None,
        class_weight: Tensor | None,
        guidance: Guidance | None,
        generator: torch.Generator,
        **kwargs: Any,
    ) -> None:
        self.panel = panel
        self.scaler = scaler
        self.classes = classes
        self.class_weight = class_weight
        self.guidance = guidance
        self.generator = generator
        super().__init__(module, **kwargs)

    def infer(self, x: Any, **fit_params: Any) -> Any:
        first = 0
        if self.module_.training:
            first = int(torch.randint(_STEP, (1,), generator=self.generator))
        return self.module_(x, first=first, step=_STEP)

    def train_step_single(self, batch: Any, **fit_params: Any) -> Any:
        return super().train_step_single(self._prepare(batch), **fit_params)

    def validation_step(self, batch: Any, **fit_params: Any) -> Any:
        return super().validation_step(self._prepare(batch), **fit_params)

    def _prepare(self, cases: Tensor) -> tuple[Batch, Tensor]:
        """Series of cases, on the device, and which cases they are."""
        batch = self.scaler.batch(self.panel, cases.numpy())
        return move(batch, self.device), cases

    def get_loss(
        self, y_pred: Output, y_true: Tensor, *args: Any, **kwargs: Any
    ) -> Any:
        loss = WEIGHTS["shape"] * y_pred.shape_error
        if y_pred.class_logits is not None and self.classes is not None:
            loss = loss + WEIGHTS["class"] * torch.nn.functional.cross_entropy(
                y_pred.class_logits, self.classes[y_true], self.class_weight
            )
        if y_pred.embedding is not None and self.guidance is not None:
            target = torch.from_numpy(self.guidance.of_case)[y_true]
            texts = torch.from_numpy(self.guidance.embeddings)
            weight = self.class_weight
            if not self.guidance.by_class:
                # Only texts of this batch compete, each once.
                known = torch.unique(target[target >= 0])
                texts = texts[known]
                target = torch.where(
                    target >= 0, torch.searchsorted(known, target), target
                )
                weight = None
            device = y_pred.embedding.device
            loss = loss + WEIGHTS["text"] * text_loss(
                y_pred.embedding,
                self.module_.embed_text(texts.to(device)),
                target.to(device),
                TEXT_TEMPERATURE,
                weight,
            )
        return loss


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


def move(batch: Batch, device: str) -> Batch:
    """Bring a batch to a device."""
    if batch.observed is None or batch.lengths is None:
        return Batch(batch.series.to(device))
    return Batch(*(part.to(device) for part in batch if part is not None))


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
    panel: Panel,
    scaler: Scaler,
    *,
    train_cases: NDArray[np.int64],
    valid_cases: NDArray[np.int64],
    classes: NDArray[np.int64] | None,
    class_weight: NDArray[np.float64] | None,
    guidance: Guidance | None,
    max_epochs: int,
    generator: torch.Generator,
    device: str,
    verbose: int,
) -> list[dict[str, float]]:
    """Train a model in place.

    Parameters
    ----------
    model : DualBranchModel
        Left on the CPU, with the weights of the epoch of least validation loss.
    panel, scaler
        Series, and how to standardise them.
    train_cases, valid_cases : ndarray of int
        Cases to learn from, and cases that decide when to stop; the second may be
        empty: then training runs for all epochs.
    classes : ndarray of shape (n_cases,), optional
        Class index of every case.
    class_weight : ndarray of shape (n_classes,), optional
        Weight of each class in the loss.
    guidance : Guidance, optional
        Texts about the series.
    max_epochs : int
        At most so many passes over the training cases.
    generator : torch.Generator
        Source of all randomness; the global one is left alone.
    device : str
        Where to train.
    verbose : int
        1 shows a progress bar.

    Returns
    -------
    list of dict
        Loss and seconds of each epoch.

    Raises
    ------
    FloatingPointError
        If the loss is not finite.
    """
    size = int(
        np.clip(
            _BATCH_VALUES // (panel.n_channels * panel.n_timepoints),
            _MIN_BATCH,
            _MAX_BATCH,
        )
    )
    callbacks: list[tuple[str, Callback]] = [("finite", _StopIfNotFinite())]
    if len(valid_cases):
        stop = EarlyStopping(patience=_PATIENCE, load_best=True, sink=noop)
        callbacks.append(("stop", stop))
    if verbose:
        callbacks.append(("progress", _Progress()))

    def as_tensor(values: Any, dtype: torch.dtype) -> Tensor | None:
        return None if values is None else torch.as_tensor(values, dtype=dtype)

    weight = as_tensor(class_weight, torch.float32)
    net = _Net(
        model,
        panel=panel,
        scaler=scaler,
        classes=as_tensor(classes, torch.int64),
        class_weight=weight if weight is None else weight.to(device),
        guidance=guidance,
        generator=generator,
        criterion=torch.nn.Identity,  # the loss is in get_loss
        optimizer=torch.optim.Adam,
        optimizer__lr=_HEAD_RATE,
        optimizer__param_groups=[("tokenizer.codebook.*", {"lr": _CODE_RATE})],
        max_epochs=max_epochs,
        batch_size=size,
        iterator_train__shuffle=True,
        iterator_train__generator=generator,
        iterator_valid__generator=generator,
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
        {key: row[key] for key in ("train_loss", "valid_loss", "dur") if key in row}
        for row in net.history
    ]
