"""Conversion of fitted estimators to states in model files, and vice versa."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from sktext_vq._features.extractor import FeatureExtractor
from sktext_vq._features.input import InputSpec
from sktext_vq._features.selection import FeatureScaler
from sktext_vq._heads.alignment import TextAlignment
from sktext_vq._heads.ridge import RidgeHead
from sktext_vq._interpret.code_statistics import CodeStatistics
from sktext_vq._training.network import Network
from sktext_vq._utils.devices import choose_device
from sktext_vq._utils.state import (
    Number,
    Numbers,
    Sizes,
    Spec,
    State,
    Strings,
    check_state,
    fields_of,
)
from sktext_vq._wearables.adapter import SensorAdapter
from sktext_vq._wearables.bridge import Bridge, BridgeScorer
from sktext_vq._wearables.enrolment import Enrolment
from sktext_vq._wearables.sensors import SensorPlan
from sktext_vq._zero_shot.recognizer import ZeroShotRecognizer
from sktext_vq.classifier import VQTextClassifier
from sktext_vq.transformer import VQTextTransformer

ESTIMATORS: dict[str, type] = {
    cls.__name__: cls for cls in (VQTextClassifier, VQTextTransformer)
}
_BASE = "ActivityClassifier"  # name of base models in model files
_SHARED: dict[str, Spec | None] = {
    "parameters": None,
    "input": None,
    "channel_names": Strings("n_channels"),
    "sensors": None,
    "features": None,
    "network": None,
    "code_statistics": None,
    "text_alignment": None,
}
_CLASSIFIER = {**_SHARED, "classes": None, "head": None, "zero_shot": None}
_TRANSFORMER = {**_SHARED, "feature_scaler": None}
_ENROLMENT: dict[str, Spec | None] = {
    "model": None,
    "plan": None,
    "sampling_rate": Number(float, above=0),
    "bridge": None,
    "weight": Number(float, above=0),
}
_BRIDGE: dict[str, Spec | None] = {
    "shares": Numbers("float64", ("n_names", "n_known")),
    "centres": Numbers("float64", ("n_names", "n_dimensions")),
    "mix_weight": Number(float, above=-1, below=2),
}
_INPUT: dict[str, Spec | None] = {
    "n_channels": Number(above=0),
    "n_timepoints": Number(above=0),
    "min_timepoints": Number(above=-1),
    "column_names": None,
    "n_features_in": Number(above=0),
    "feature_names_in": None,
}


def name_of(estimator: Any) -> str:
    """Return the name that denotes the kind of an estimator in model files."""
    return type(estimator).__name__ if estimator.adapter_ is None else _BASE


def get_state(estimator: Any) -> State:
    """Return the parameters and fitted parts as plain values and arrays."""
    network, statistics = estimator.network_, estimator.code_statistics_
    alignment = estimator.text_alignment_
    columns = estimator.input_.column_names
    state = {
        "parameters": estimator.get_params(deep=False),
        "input": {
            **estimator.input_._asdict(),
            "column_names": None if columns is None else list(columns),
        },
        "channel_names": list(estimator.channel_names_),
        "sensors": {
            name: list(axes) for name, axes in estimator.channel_groups_.items()
        },
        "features": estimator.features_.get_state(),
        "network": None if network is None else network.get_state(),
        "code_statistics": None if statistics is None else statistics.get_state(),
        "text_alignment": None if alignment is None else alignment.get_state(),
    }
    if isinstance(estimator, VQTextTransformer):
        return {**state, "feature_scaler": fields_of(estimator.feature_scaler_)}
    state |= {
        "classes": estimator.classes_,
        "head": estimator.head_.get_state(),
        "zero_shot": estimator.zero_shot_.get_state(),
    }
    if estimator.enrolment_ is not None:
        enrolment = estimator.enrolment_
        state["enrolment"] = {
            **fields_of(enrolment),
            "model": get_state(enrolment.model),
            "plan": fields_of(enrolment.plan),
            "bridge": fields_of(enrolment.bridge),
        }
    if estimator.adapter_ is not None:
        threshold = estimator.zero_shot_.scorer.novelty_threshold
        if np.isfinite(threshold):
            state["zero_shot"]["novelty_threshold"] = threshold
        part = estimator.adapter_.accelerometer
        state["accelerometer"] = None if part is None else get_state(part)
        state["card"] = estimator.card_
    return state


def from_state(name: str, state: Any) -> Any:
    """Build a fitted estimator from its state.

    Parameters
    ----------
    name : str
        Name from `name_of`.
    state : object
        State from `get_state`, which is not trusted.

    Returns
    -------
    VQTextClassifier or VQTextTransformer

    Raises
    ------
    ValueError
        If entries of the state are missing, invalid or inconsistent.
    """
    if name == _BASE:
        return _read_base(state)
    cls = ESTIMATORS[name]
    if cls is not VQTextClassifier or not isinstance(state, dict):
        return _read_estimator(cls, state)
    state = dict(state)
    enrolment = state.pop("enrolment", None)
    estimator = _read_estimator(cls, state)
    if enrolment is not None:
        enrolment = _read_enrolment(enrolment, estimator)
    estimator.enrolment_ = enrolment
    return estimator


def _read_enrolment(state: Any, estimator: VQTextClassifier) -> Enrolment:
    """Build the scores that a base model adds to those of a classifier."""
    check_state(state, _ENROLMENT, Sizes(), "enrolment")
    model = _read_base(state["model"])
    sizes = Sizes(
        n_names=len(estimator.classes_),
        n_known=len(model.classes_),
        n_dimensions=len(model.zero_shot_.space.centre),
    )
    bridge = Bridge(**check_state(state["bridge"], _BRIDGE, sizes, "bridge"))
    plan = SensorPlan.from_state(state["plan"], estimator.n_channels_)
    if model.n_channels_ > 3 and plan.rotation is None:
        raise ValueError("enrolment.plan lacks the gyroscope of the base model")
    return Enrolment(**{**state, "model": model, "bridge": bridge, "plan": plan})


def _read_base(state: Any) -> VQTextClassifier:
    """Build a base model with its classifier for acceleration only."""
    if not isinstance(state, dict) or not isinstance(state.get("card"), dict):
        raise ValueError("the base model has no card")
    if "accelerometer" not in state:
        raise ValueError("the base model has no entry 'accelerometer'")
    state = dict(state)
    part, card = state.pop("accelerometer"), state.pop("card")
    threshold = np.inf  # files of early versions lack this entry
    zero_shot = state.get("zero_shot")
    if isinstance(zero_shot, dict):
        state["zero_shot"] = zero_shot = dict(zero_shot)
        # The threshold of an earlier definition of novelty.
        zero_shot.pop("highest_novelty", None)
        threshold = zero_shot.pop("novelty_threshold", threshold)
        if type(threshold) is not float or np.isnan(threshold):
            raise ValueError("zero_shot.novelty_threshold is not a number")
    estimator: VQTextClassifier = _read_estimator(VQTextClassifier, state)
    scorer = BridgeScorer(threshold)
    estimator.zero_shot_ = replace(estimator.zero_shot_, scorer=scorer)
    estimator.card_, estimator.adapter_ = card, SensorAdapter()
    if part is not None:
        if isinstance(part, dict) and part.get("accelerometer") is not None:
            raise ValueError("the base model has more than two classifiers")
        estimator.adapter_ = SensorAdapter(_read_base(part))
    return estimator


def _read_estimator(cls: type, state: Any) -> Any:
    """Build a fitted estimator from its class and state."""
    is_classifier = issubclass(cls, VQTextClassifier)
    name = cls.__name__
    sizes = Sizes()
    check_state(state, _CLASSIFIER if is_classifier else _TRANSFORMER, sizes, name)
    estimator = _with_parameters(cls, state["parameters"])
    spec = _read_input(state["input"], sizes)
    labels = None
    statistics = None
    if is_classifier:
        labels = _check_labels(state["classes"], "classes")
        sizes |= {"n_classes": len(labels), "n_labels": len(labels)}
    extractor = FeatureExtractor.from_state(state["features"], sizes)
    layout = extractor.layout
    sizes |= {
        "n_tokenized": layout.n_channels,
        "n_lengths": len(layout.dilations),
        "n_codes": layout.n_codes,
    }
    if state["code_statistics"] is not None:
        statistics = _read_statistics(state["code_statistics"], labels, sizes)
    network = None
    if state["network"] is not None:
        network = Network.from_state(state["network"], sizes, extractor.tokenizer)
    alignment = None
    if state["text_alignment"] is not None:
        alignment = TextAlignment.from_state(state["text_alignment"], sizes)
    if is_classifier:
        head = RidgeHead.from_state(state["head"], sizes)
        zero_shot = ZeroShotRecognizer.from_state(state["zero_shot"], sizes)
        fitted = {"classes_": labels, "head_": head, "zero_shot_": zero_shot}
        scaler = head.scaler
    else:
        fitted = {}
        scaler = FeatureScaler.from_state(state["feature_scaler"], sizes)
    estimator.restore(
        spec, state["channel_names"], _read_sensors(state, sizes), extractor, network,
        statistics, alignment,
    )  # fmt: skip
    estimator.feature_scaler_ = scaler
    for attribute, part in fitted.items():
        setattr(estimator, attribute, part)
    return estimator


def _read_statistics(
    state: Any, labels: NDArray[Any] | None, sizes: Sizes
) -> CodeStatistics:
    """Build the code statistics and check that their labels are those of the model."""
    statistics = CodeStatistics.from_state(state, sizes)
    known = statistics.labels
    if known is not None:
        _check_labels(known, "code_statistics.labels")
        if labels is not None and known.tolist() != labels.tolist():
            raise ValueError("code_statistics.labels differ from classes")
    elif labels is not None:
        raise ValueError("code_statistics lacks labels")
    sizes["n_labels"] = 0 if known is None else len(known)
    # The last classes may be missing if only a sample of cases was used.
    if not 1 <= len(statistics.windows) <= max(1, sizes["n_labels"]):
        raise ValueError("code_statistics.windows is inconsistent with the classes")
    return statistics


def is_available(device: str) -> bool:
    """Return whether predictions can be computed on a device."""
    if device.startswith("cuda") and not torch.cuda.is_available():
        return False
    try:
        return torch.empty(0, device=choose_device(device)).device.type != "meta"
    except (AssertionError, NotImplementedError, RuntimeError):
        return False


def _with_parameters(cls: type, parameters: Any) -> Any:
    """Build an estimator from parameters, which are not trusted."""
    if not isinstance(parameters, dict):
        raise ValueError("parameters is not a dict")
    estimator = cls(**parameters)
    if not isinstance(estimator.device, str):
        raise ValueError(f"device is {estimator.device!r}")
    return estimator


def _read_input(state: Any, sizes: Sizes) -> InputSpec:
    check_state(state, _INPUT, sizes, "input")
    n_channels, names = state["n_channels"], state["feature_names_in"]
    if sizes.setdefault("n_channels", n_channels) != n_channels:
        raise ValueError("input.n_channels is inconsistent with the rest of the model")
    if state["n_features_in"] != n_channels and (
        n_channels > 1 or state["n_features_in"] < state["n_timepoints"]
    ):
        raise ValueError("input.n_features_in is inconsistent with n_channels")
    if not Strings("n_channels", optional=True).is_valid(state["column_names"], sizes):
        raise ValueError("input.column_names is inconsistent with n_channels")
    if names is not None and not (
        isinstance(names, np.ndarray)
        and names.shape == (state["n_features_in"],)
        and all(isinstance(each, str) for each in names)
    ):
        raise ValueError("input.feature_names_in is inconsistent with n_features_in")
    columns = state["column_names"]
    columns = None if columns is None else tuple(columns)
    return InputSpec(**{**state, "column_names": columns})


def _read_sensors(state: State, sizes: Sizes) -> dict[str, tuple[int, int, int]]:
    found = {}
    for name, axes in dict(state["sensors"]).items():
        is_valid = isinstance(name, str) and len(set(axes)) == len(axes) == 3
        if not is_valid or not all(
            type(axis) is int and 0 <= axis < sizes["n_channels"] for axis in axes
        ):
            raise ValueError("sensors are inconsistent with n_channels")
        found[name] = tuple(axes)
    return found


def _check_labels(labels: Any, name: str) -> NDArray[Any]:
    """Return the labels after checking that they are unique and sorted."""
    is_valid = (
        isinstance(labels, np.ndarray)
        and labels.ndim == 1
        and len(labels) > 1
        and labels.dtype.kind in "biufUOMm"
        and (
            labels.dtype.kind != "O"
            or all(isinstance(each, str | int | float) for each in labels)
        )
        and not pd.isna(labels).any()
        and np.unique(labels).tolist() == labels.tolist()
    )
    if not is_valid:
        raise ValueError(
            f"{name} must contain sorted, unique labels of at least 2 classes"
        )
    return labels
