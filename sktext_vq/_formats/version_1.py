"""Conversion of model files of format version 1 to states of version 2.

A file of version 1 contains the class name and the attributes of every object. This
module uses the names of version 1, regardless of later changes to the package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from sktext_vq._formats.values import UnsavedFunction, ValueReader
from sktext_vq._utils.state import State
from sktext_vq.nn.constants import N_POINTS
from sktext_vq.text import SeriesVerbalizer, TextEncoder

_ENCODER_PARAMETERS = ("model", "batch_size", "device", "max_length", "verbose")
_VERBALIZER_PARAMETERS = (
    *("style", "n_timepoints", "n_digits", "separator", "n_symbols", "margin"),
)
_PARAMETERS = (
    *("n_codes", "text", "text_encoder", "prompt_forms", "max_epochs", "loss_weights"),
    *("max_features", "channel_names", "augment", "sampling_rate", "random_state"),
    *("device", "n_jobs", "verbose"),
)
# Former prefixes of weights that have been renamed, and their current prefixes.
_WEIGHTS = {
    "text.enter.": "text.input_projection.",
    "attributes.": "auxiliary.segments.refiner.",
    "digits.": "auxiliary.digits.branch.",
}


@dataclass
class _Record:
    """Class name and attributes of an object in a file."""

    name: str
    parts: dict[str, Any] = field(default_factory=dict)

    def arrays(self, prefix: str = "") -> dict[str, NDArray[Any]]:
        """Return the parameters and persistent buffers of a module by name."""
        skipped = self.parts.get("_non_persistent_buffers_set", ())
        found = {}
        for table in ("_parameters", "_buffers"):
            for name, array in self.parts[table].items():
                if array is not None and name not in skipped:
                    found[prefix + name] = array
        for name, module in self.parts["_modules"].items():
            if module is not None:
                found |= module.arrays(f"{prefix}{name}.")
        return found

    def module(self, name: str) -> _Record | None:
        """Return a submodule by name, or None."""
        found: _Record | None = self.parts["_modules"].get(name)
        return found

    def take(self, *names: str) -> State:
        """Return attributes by name."""
        return {name: self.parts[name] for name in names}


class _Objects:
    """Decoder of the objects in a file, each of which is decoded once."""

    def __init__(self, objects: list[Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        self._objects = objects
        self._made: dict[int, _Record] = {}
        self._reader = ValueReader(
            arrays,
            object=self._record,
            tensor=lambda value: self._reader.decode({"array": value[:2]}),
            parameter=lambda value: self._reader.decode({"array": value[:2]}),
            function=lambda name: name,
        )

    def decode(self, node: Any) -> Any:
        return self._reader.decode(node)

    def _record(self, index: int) -> _Record:
        if index not in self._made:
            name, parts = self._objects[index]
            # The record is added before its parts, because they may refer to it.
            self._made[index] = _Record(str(name))
            self._made[index].parts = {
                str(key): self.decode(value) for key, value in parts.items()
            }
        return self._made[index]


def read(
    content: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> tuple[str, State]:
    """Read the class name and the state of an estimator from a file of version 1.

    Parameters
    ----------
    content : mapping
        Decoded JSON document of the file.
    arrays : mapping of str to ndarray
        Arrays of the file by name.

    Raises
    ------
    LookupError, TypeError, ValueError
        If the content is invalid.
    """
    estimator = _Objects(list(content["objects"]), arrays).decode(content["estimator"])
    own = estimator.parts
    if own.get("head") == "network":
        raise ValueError(
            'the model was fitted with head="network", which has been removed'
        )
    state = {
        "parameters": _parameters(estimator),
        "input": _input(own),
        "channel_names": own["channel_names_"],
        "sensors": {k: list(axes) for k, axes in own["channel_groups_"].items()},
        "features": _features(own),
        "network": None if own["model_"] is None else _network(own),
        "text_alignment": None,
        "code_statistics": _code_statistics(own),
    }
    if estimator.name == "VQTextTransformer":
        scaler = own["feature_scaler_"].take("mean", "scale", "weight")
        return estimator.name, {**state, "feature_scaler": scaler}
    return estimator.name, {
        **state,
        "classes": own["classes_"],
        "head": _head(own["head_"]),
        "zero_shot": {
            "space": _space(own["space_"]),
            "labels": [str(label) for label in own["classes_"]],
            "texts": own["text"] if isinstance(own["text"], dict) else {},
            "prompt_forms": list(own["prompt_forms"]),
        },
    }


def _parameters(estimator: _Record) -> State:
    own = estimator.parts
    found = {name: own[name] for name in _PARAMETERS if name in own}
    if "class_weight" in own:
        found["class_weight"] = own["class_weight"]
    groups = own.get("channel_groups", "auto")
    found["gravity"] = groups
    if isinstance(groups, str):
        is_alone = own.get("gravity_views", "beside") == "alone"
        found["gravity"] = "replace" if is_alone else "append"
    augment = found.get("augment")
    if isinstance(augment, dict) and "loss" in augment:
        found["augment"] = {
            "dropout" if name == "loss" else name: size
            for name, size in augment.items()
        }
    found["text_encoder"] = _text_encoder(found["text_encoder"])
    return found


def _text_encoder(encoder: Any) -> Any:
    if not isinstance(encoder, _Record):
        return encoder
    if encoder.name == "UnsavedFunction":
        return UnsavedFunction(str(encoder.parts["name"]))
    if encoder.name != "TextEncoder":
        raise TypeError(f"{encoder.name} is not a text encoder")
    parameters = encoder.take(*_ENCODER_PARAMETERS)
    return TextEncoder(**{**parameters, "model": _text_encoder(parameters["model"])})


def _input(own: State) -> State:
    columns = own.get("_columns")
    return {
        "n_channels": own["n_channels_"],
        "n_timepoints": own["n_timepoints_"],
        "min_timepoints": own.get("_shortest", 0),  # missing in early files
        "column_names": None if columns is None else list(columns),
        "n_features_in": own["n_features_in_"],
        "feature_names_in": own.get("feature_names_in_"),
    }


def _features(own: State) -> State:
    scaler, tokenizer = own["scaler_"], own["tokenizer_"]
    frame, triads = tokenizer.module("frame"), own["channel_groups_"].values()
    others = list(range(own["n_channels_"]))
    described, axes = None, []
    if frame is not None:
        is_alone = frame.parts["alone"]
        n_parts = 6 if is_alone else 3
        axes = [list(each) for each in triads for _ in range(n_parts)]
        used = {axis for each in triads for axis in each} if is_alone else set()
        others = [channel for channel in others if channel not in used]
        described = {
            "triads": [list(each) for each in triads],
            "replaces_axes": is_alone,
            "reference": frame.parts["reference"],
        }
    arrays = tokenizer.arrays()
    return {
        "scaler": {
            **scaler.take("mean", "scale"),
            "usual": scaler.parts.get("usual"),
        },
        "drift": None,
        "n_timepoints": max(own["n_timepoints_"], N_POINTS),
        "n_codes": len(arrays["codebook.seeds"]),
        "channels": own["_channels"],
        "axes": [[channel] for channel in others] + axes,
        "selected": own["kept_"],
        "with_matches": arrays["match_knots"].shape[3] > 0,
        "with_gains": tokenizer.module("gains") is not None,
        "frame": described,
        "tokenizer": arrays,
    }


def _network(own: State) -> State:
    model = own["model_"]
    arrays = {
        name: array
        for name, array in model.arrays().items()
        if not name.startswith("tokenizer.")
    }
    words = arrays.get("text.enter.0.weight")
    return {
        "losses": sorted(model.parts["parts"]),
        "text_dim": 0 if words is None else words.shape[1],
        "digits": None if own["_writer_"] is None else _digits(own["_writer_"]),
        "history": own["history_"],
        "codebook_use": own["codebook_use_"],
        "model": {_renamed(name): array for name, array in arrays.items()},
    }


def _renamed(name: str) -> str:
    for prefix, new in _WEIGHTS.items():
        if name.startswith(prefix):
            return new + name.removeprefix(prefix)
    return name


def _digits(writer: _Record) -> State:
    verbalizer = writer.parts["verbalizer"]
    parameters = verbalizer.take(*_VERBALIZER_PARAMETERS)
    SeriesVerbalizer(**parameters)
    return {
        "parameters": parameters,
        "n_channels": verbalizer.parts["n_channels_"],
        "n_features": verbalizer.parts["n_features_in_"],
        "edges": verbalizer.parts["edges_"],
    }


def _code_statistics(own: State) -> State | None:
    statistics = own.get("_use")
    if statistics is None:  # missing in early files
        return None
    return {
        **statistics.take("windows", "scales"),
        "separation": statistics.parts.get("separation"),
        "labels": own["_labels"],
    }


def _head(head: _Record) -> State:
    return {
        "scaler": head.parts["scaler"].take("mean", "scale", "weight"),
        **head.take("coef", "intercept", "penalty", "offset"),
        "inverse_temperature": head.parts["sharpness"],
    }


def _space(space: _Record) -> State:
    return {
        **space.take("basis", "centre", "centres", "spreads"),
        "held_out": [
            each.take("centres", "cases", "classes") for each in space.parts["held_out"]
        ],
    }
