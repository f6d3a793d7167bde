"""Validation of the parameters of an estimator."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import torch

from sktext_vq._features.augmentation import check_augment
from sktext_vq._features.extractor import Execution
from sktext_vq._training.objective import Objective
from sktext_vq._utils.validation import (
    check_count,
    check_sampling_rate,
    find_stack_level,
)
from sktext_vq.text import TextEncoder

_TEXT_CHOICES = ("auto", "labels", "captions")
_GRAVITY_CHOICES = ("append", "replace")


@dataclass(frozen=True)
class FitSettings:
    """Validated parameters of a fit.

    Parameters that are not listed here are described in
    :class:`~sktext_vq.VQTextClassifier`.

    Parameters
    ----------
    objective : Objective
        Losses of the network.
    replace_axes : bool
        Whether channels in the gravity frame replace the sensor axes.
    text_encoder : TextEncoder
        Text encoder.
    execution : Execution
        Device, number of threads and verbosity.
    """

    n_codes: int
    max_features: int
    max_epochs: int
    objective: Objective
    replace_axes: bool
    augment: Mapping[str, Any] | None
    text: Any
    text_encoder: TextEncoder
    prompt_forms: Sequence[str]
    sampling_rate: float | None
    random_state: Any
    execution: Execution

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> FitSettings:
        """Check the parameters of an estimator, as returned by `get_params`.

        Raises
        ------
        TypeError, ValueError
            If a parameter is invalid.
        """
        for name, low in (("n_codes", 2), ("max_epochs", 0), ("max_features", 1)):
            check_count(name, parameters[name], least=low)
        _check_text(parameters["text"])
        check_augment(parameters["augment"])
        _check_class_weight(parameters.get("class_weight"))
        _check_gravity(parameters["gravity"])
        check_sampling_rate(parameters["sampling_rate"])
        if parameters["loss_weights"] is not None and not parameters["max_epochs"]:
            warnings.warn(
                "loss_weights has no effect, because max_epochs is 0 and no network is "
                "trained. Set max_epochs to a positive int, such as 20.",
                stacklevel=find_stack_level(),
            )
        forms = parameters["prompt_forms"]
        return cls(
            n_codes=int(parameters["n_codes"]),
            max_features=int(parameters["max_features"]),
            max_epochs=int(parameters["max_epochs"]),
            objective=Objective.from_parameter(parameters["loss_weights"]),
            replace_axes=parameters["gravity"] == "replace",
            augment=parameters["augment"],
            text=parameters["text"],
            text_encoder=as_text_encoder(
                parameters["text_encoder"], parameters["verbose"]
            ),
            prompt_forms=[forms] if isinstance(forms, str) else forms,
            sampling_rate=parameters["sampling_rate"],
            random_state=parameters["random_state"],
            execution=_check_execution(parameters),
        )


def as_text_encoder(text_encoder: Any, verbose: int) -> TextEncoder:
    """Convert the parameter `text_encoder` to a text encoder."""
    if isinstance(text_encoder, TextEncoder):
        return text_encoder
    return TextEncoder(text_encoder, verbose=verbose)


def _check_text(text: Any) -> None:
    if text is None or isinstance(text, Mapping):
        return
    choices = (
        f"text must be one of {_TEXT_CHOICES}, None, or a dict that maps labels to "
        "texts"
    )
    if not isinstance(text, str):
        raise TypeError(f"{choices}, got {type(text).__name__}.")
    if text not in _TEXT_CHOICES:
        raise ValueError(
            f"{choices}, got {text!r}. Pass texts about single cases to fit(text=...)."
        )


def _check_class_weight(weights: Any) -> None:
    for label, weight in weights.items() if isinstance(weights, Mapping) else ():
        if not (isinstance(weight, Real) and 0 <= float(weight) < float("inf")):
            raise ValueError(
                f"class_weight[{label!r}] must be a finite number of at least 0, got "
                f"{weight!r}."
            )


def _check_gravity(gravity: Any) -> None:
    if gravity is None or isinstance(gravity, Mapping):
        return
    choices = (
        f"gravity must be one of {_GRAVITY_CHOICES}, None, or a dict that maps "
        "sensor names to the channels of three axes"
    )
    if not isinstance(gravity, str):
        raise TypeError(f"{choices}, got {gravity!r}.")
    if gravity not in _GRAVITY_CHOICES:
        raise ValueError(f"{choices}, got {gravity!r}.")


def _check_execution(parameters: Mapping[str, Any]) -> Execution:
    n_jobs, device = parameters["n_jobs"], parameters["device"]
    if n_jobs is not None and not (isinstance(n_jobs, Integral) and n_jobs):
        raise ValueError(f"n_jobs must be None or an int other than 0, got {n_jobs!r}.")
    execution = Execution(
        device, None if n_jobs is None else int(n_jobs), parameters["verbose"]
    )
    try:
        torch.empty(0, device=execution.torch_device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            'device must be "auto" or a device that torch supports on this machine, '
            f'such as "cpu", got {device!r}.'
        ) from error
    return execution
