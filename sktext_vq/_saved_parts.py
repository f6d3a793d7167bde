"""What a saved model is made of, and how its parts have to fit each other."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from sktext_vq._head import RidgeHead
from sktext_vq._naming import CodeUse
from sktext_vq._scaling import Scaler
from sktext_vq._selection import FeatureScaler
from sktext_vq._writing import Writer
from sktext_vq._zero_shot import HeldOut, ZeroShotSpace
from sktext_vq.classifier import VQTextClassifier
from sktext_vq.nn.frames import GravityFrame
from sktext_vq.nn.frequency import FrequencyGains
from sktext_vq.nn.losses import WEIGHTS
from sktext_vq.nn.model import DualBranchModel
from sktext_vq.nn.tokens import LEVEL_BINS, N_POINTS, SCALE_BINS, ShapeTokenizer
from sktext_vq.text import SeriesVerbalizer, TextEncoder

__all__ = ["UnsavedFunction", "check_parts"]

_MAX_WRITTEN = 2**20  # values that a series is written as


class UnsavedFunction:
    """Stand in for a function that a file cannot hold.

    Parameters
    ----------
    name : str
        What it was called.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, texts: Any) -> Any:
        """Raise an error that names the function."""
        raise ValueError(
            f"Texts were embedded by the function {self.name!r}, which a saved model "
            "does not hold: give it anew by set_params(text_encoder=...)."
        )


# -- what a part may be --------------------------------------------------------------


class _Sizes(dict[str, int]):
    """Sizes by name. The first array that has a new one sets it."""

    def check(self, shape: tuple[int, ...], wanted: tuple[int | str, ...]) -> bool:
        if len(shape) != len(wanted):
            return False
        return all(
            size == (name if isinstance(name, int) else self.setdefault(name, size))
            for size, name in zip(shape, wanted, strict=True)
        )


@dataclass(frozen=True)
class Numbers:
    """An array of finite numbers.

    Parameters
    ----------
    dtype : str
    shape : tuple of int or str
        Sizes, or their names: arrays with the same name have the same size.
    above, below : float
        Bounds, which the numbers are within and do not reach. Where `below` is the name
        of a size, numbers are indices.
    may_be_missing : bool
        Whether there may be None.
    """

    dtype: str
    shape: tuple[int | str, ...]
    above: float = -np.inf
    below: float | str = np.inf
    may_be_missing: bool = False

    def check(self, value: Any, sizes: _Sizes) -> bool:
        if value is None:
            return self.may_be_missing
        if not isinstance(value, np.ndarray) or value.dtype != self.dtype:
            return False
        if not sizes.check(value.shape, self.shape):
            return False
        below = sizes[self.below] if isinstance(self.below, str) else self.below
        return bool(((value > self.above) & (value < below)).all())


@dataclass(frozen=True)
class Number:
    """A single number, or None where that is allowed."""

    kind: Any = int
    above: float = -np.inf
    below: float = np.inf
    may_be_missing: bool = False

    def check(self, value: Any, sizes: _Sizes) -> bool:
        if value is None:
            return self.may_be_missing
        return type(value) is self.kind and bool(self.above < value < self.below)


@dataclass(frozen=True)
class Part:
    """Another object, or a list of such objects."""

    kind: type
    many: bool = False

    def check(self, value: Any, sizes: _Sizes) -> bool:
        if self.many and not isinstance(value, list):
            return False
        parts = value if self.many else [value]
        return all(type(part) is self.kind for part in parts)


@dataclass(frozen=True)
class Kind:
    """An object of one of some types."""

    kinds: tuple[type, ...]

    def check(self, value: Any, sizes: _Sizes) -> bool:
        return isinstance(value, self.kinds)


Spec = Numbers | Number | Part | Kind
_ANY = Kind((object,))


def _doubles(*shape: int | str, **options: Any) -> Numbers:
    return Numbers("float64", shape, **options)


def _singles(*shape: int | str, **options: Any) -> Numbers:
    return Numbers("float32", shape, **options)


# All attributes of each object that a model is made of, but for networks.
_PARTS: dict[type, dict[str, Spec]] = {
    Scaler: {
        "mean": _doubles("n_channels"),
        "scale": _doubles("n_channels", above=0),
        "usual": _doubles(2, 7, "n_channels", may_be_missing=True),
    },
    CodeUse: {
        "windows": _doubles("n_counted", "n_views", "n_lengths", "n_codes"),
        "scales": _doubles(SCALE_BINS, "n_codes"),
        "separation": _doubles("n_codes", may_be_missing=True),
    },
    FeatureScaler: {
        "mean": _singles("n_kept"),
        "scale": _singles("n_kept", above=0),
        "weight": _singles("n_kept"),
    },
    RidgeHead: {
        "scaler": Part(FeatureScaler),
        "coef": _doubles("n_kept", "n_classes"),
        "intercept": _doubles("n_classes"),
        # A class of weight 0 is never predicted: its offset is -inf.
        "offset": _ANY,
        "sharpness": Number(float),
        "penalty": Number(float),
    },
    ZeroShotSpace: {
        "basis": _doubles("n_kept", "n_dimensions"),
        "centre": _doubles("n_dimensions"),
        "centres": _doubles("n_classes", "n_dimensions"),
        "spreads": _doubles("n_classes", above=0),
        "held_out": Part(HeldOut, many=True),
    },
    HeldOut: {
        "centres": _doubles("n_classes", "n_own_dimensions"),
        "cases": _doubles("n_own_cases", "n_own_dimensions"),
        "classes": Numbers("int64", ("n_own_cases",), above=-1, below="n_classes"),
    },
    Writer: {
        "verbalizer": Part(SeriesVerbalizer),
        "n_digits": Number(),
        "base": Number(),
        "comma": Number(bool),
    },
    SeriesVerbalizer: {
        "style": Kind((str,)),
        "n_timepoints": Number(above=0, below=_MAX_WRITTEN),
        "n_digits": Number(),
        "separator": Kind((str,)),
        "n_symbols": Number(),
        "margin": Kind((int, float)),
        "n_channels_": Number(above=0),
        "n_features_in_": Number(above=0),
        "_flat_width": Number(may_be_missing=True),
        "edges_": _doubles("n_channels", "n_edges"),
        "offset_": _doubles("n_channels"),
        "step_": _doubles("n_channels"),
    },
    TextEncoder: {
        "model": Kind((str, dict, UnsavedFunction)),
        "cache": Kind((type(None),)),
        "batch_size": Number(),
        "device": Kind((str,)),
        "max_length": Number(),
        "verbose": Kind((int,)),
    },
    UnsavedFunction: {"name": Kind((str,))},
}
# What estimators may lack, since it is new, or a matter of the style or of the fit.
_OPTIONAL = {
    *((CodeUse, "separation"), (Scaler, "usual")),
    *((SeriesVerbalizer, name) for name in ("edges_", "offset_", "step_")),
    *((SeriesVerbalizer, name) for name in ("n_channels_", "n_features_in_")),
    (SeriesVerbalizer, "_flat_width"),
}


def _check(value: Any, where: str, sizes: _Sizes) -> None:
    """Raise an error if an object lacks something or has something unknown."""
    kind, own = type(value), value.__dict__
    specs = _PARTS[kind]
    for name in own.keys() - specs.keys():
        raise ValueError(f"{where} has an unknown part {name!r}")
    for name, spec in specs.items():
        if name not in own:
            if (kind, name) in _OPTIONAL:
                continue
            raise ValueError(f"{where} lacks {name}")
        part = own[name]
        if not spec.check(part, sizes):
            raise ValueError(f"{where}.{name} does not fit the rest of the model")
        if not isinstance(spec, Part):
            continue
        for i, each in enumerate(part if spec.many else [part]):
            inner = f"{where}.{name}[{i}]" if spec.many else f"{where}.{name}"
            _check(each, inner, _Sizes(sizes) if spec.many else sizes)


def _require(is_right: Any, what: str) -> None:
    if not is_right:
        raise ValueError(f"{what} does not fit the rest of the model")


# -- networks ------------------------------------------------------------------------

_TABLES = ("_parameters", "_buffers", "_modules")


def _adopt(found: nn.Module, wanted: nn.Module, where: str) -> None:
    """Take weights from a file, and everything else from a network built here.

    Parameters
    ----------
    found : Module
        Of a file. Its attributes become those of `wanted`.
    wanted : Module
        Built for the same sizes, without memory (on the device "meta").
    where : str
        What it is, for errors.
    """
    _require(type(found) is type(wanted), where)
    own = found.__dict__
    for table in _TABLES:
        there = {k: v for k, v in own[table].items() if v is not None}
        here = {k: v for k, v in wanted.__dict__[table].items() if v is not None}
        for name in there.keys() ^ here.keys():
            raise ValueError(f"{where} lacks {name!r}, or has it and should not")
        for name, expected in here.items():
            if table == "_modules":
                _adopt(there[name], expected, f"{where}.{name}")
            else:
                _check_tensor(there[name], expected, f"{where}.{name}")
    _require(isinstance(own["training"], bool), f"{where}.training")
    plain = {k: v for k, v in wanted.__dict__.items() if k not in _TABLES}
    plain |= {"training": own["training"]}
    tables = {table: own[table] for table in _TABLES}
    own.clear()
    own.update(plain | tables)


def _check_tensor(found: Any, wanted: Tensor, where: str) -> None:
    """Raise an error if a tensor is not finite, or of another shape or type."""
    _require(type(found) is type(wanted) and found.shape == wanted.shape, where)
    # The caller's default is not that of the model.
    usual = wanted.is_floating_point() and found.dtype == torch.float32
    _require(usual or found.dtype == wanted.dtype, where)
    if not found.isfinite().all():
        raise ValueError(f"{where} has values that are NaN or infinite")


def _check_tokenizer(estimator: Any) -> None:
    found = estimator.tokenizer_
    _require(isinstance(found, ShapeTokenizer), "tokenizer_")
    modules = found._modules
    codebook, there = modules["codebook"], modules.get("frame")
    seeds, knots = codebook._buffers["seeds"], found._buffers["match_knots"]
    _require(seeds.ndim == 2 and seeds.shape[1] == N_POINTS, "codebook")
    _require(len(seeds) > 0 and knots.ndim == 5, "tokenizer_")
    n_views, triads = len(estimator._channels), []
    for axes in estimator.channel_groups_.values():
        _require(len(set(axes)) == len(axes) == 3, "channel_groups_")
        for axis in axes:
            is_index = type(axis) is int and 0 <= axis < estimator.n_channels_
            _require(is_index, "channel_groups_")
        triads.append(tuple(axes))
    with torch.device("meta"):
        frame = None
        if there is not None:
            _require(isinstance(there.alone, bool) and triads, "frame")
            n_channels = estimator.n_channels_
            unit = torch.ones(n_channels)
            frame = GravityFrame(triads, unit, unit, there.alone)
            reference = there.reference
            is_index = type(reference) is int and 0 <= reference < len(triads)
            _require(is_index, "frame.reference")
            same = there._buffers["triads"].tolist() == list(map(list, triads))
            _require(same, "frame.triads")
            frame.reference = reference
            axes = {axis for triad in triads for axis in triad}
            n_wanted = n_channels - there.alone * len(axes) + frame.n_added
        else:
            n_wanted = estimator.n_channels_
        _require(n_views == n_wanted, "_channels")
        n_timepoints = max(estimator.n_timepoints_, N_POINTS)
        wanted = ShapeTokenizer(
            n_views, n_timepoints, len(seeds), frame, with_matches=knots.shape[3] > 0
        )
        if modules.get("gains") is not None:
            wanted.gains = FrequencyGains()
        recent = codebook._buffers["_recent"]
        wanted.codebook._recent = torch.zeros(len(recent), N_POINTS)
    _adopt(found, wanted, "tokenizer_")


def _check_network(estimator: Any, n_classes: int) -> None:
    """Check the network of an estimator that was trained."""
    found, tokenizer = estimator.model_, estimator.tokenizer_
    writer = estimator._writer_
    _require(isinstance(found, DualBranchModel), "model_")
    modules, buffers = found._modules, found._buffers
    _require(modules["tokenizer"] is tokenizer, "model_.tokenizer")
    parts = found.__dict__["parts"]
    _require(isinstance(parts, set) and parts <= WEIGHTS.keys(), "model_.parts")
    kept = buffers["kept"]
    _require(kept.dtype == torch.int64 and kept.ndim == 1 and len(kept), "model_.kept")
    in_range = 0 <= kept.min() and kept.max() < tokenizer.n_features
    _require(in_range, "model_.kept")
    usage = modules["decoder"]._buffers["log_usage"]
    n_heads = tokenizer.codebook.n_heads
    size = tokenizer.codebook.n_codes // n_heads
    groups = usage.shape[0]
    _require(groups in (1, tokenizer.n_channels), "model_.decoder")
    text, memory = modules.get("text"), modules.get("memory")
    text_dim = 0
    if text is not None:
        text_dim = text._modules["enter"]._modules["0"]._parameters["weight"].shape[1]
    with torch.device("meta"):
        remembered = None
        if memory is not None:
            owner = memory._buffers["owner"]
            _require(owner.dtype == torch.int64 and owner.ndim == 1, "model_.memory")
            _require(len(owner) and n_classes, "model_.memory")
            _require(0 <= owner.min() and owner.max() < n_classes, "model_.memory")
            remembered = (
                torch.zeros(len(owner), text_dim),
                torch.zeros(len(owner), dtype=torch.int64),
                torch.zeros(n_classes, groups, n_heads, LEVEL_BINS * size),
            )
        digits = None
        if writer is not None:
            digits = {
                "symbols": torch.zeros(writer.base + 2, text_dim),
                "n_words": writer.n_words,
                "n_digits": writer.n_digits,
                "n_values": writer.base + 1,
            }
        weight = buffers.get("class_weight")
        wanted = DualBranchModel(
            tokenizer,
            torch.zeros(len(kept), dtype=torch.int64),
            torch.zeros(len(kept)),
            torch.zeros(len(kept)),
            torch.zeros(groups, n_heads, LEVEL_BINS, size),
            n_classes=n_classes,
            class_weight=None if weight is None else torch.zeros(n_classes),
            text_dim=text_dim,
            memory=remembered,
            digits=digits,
            parts=parts,
            generator=None,
        )
    del modules["tokenizer"], wanted._modules["tokenizer"]  # it was checked before
    _adopt(found, wanted, "model_")
    modules["tokenizer"] = tokenizer
    _require((buffers["scale"] > 0).all(), "model_.scale")


# -- estimators ----------------------------------------------------------------------


def check_parts(estimator: Any) -> None:
    """Raise an error if parts of a loaded estimator do not fit each other.

    Parameters
    ----------
    estimator : VQTextClassifier or VQTextTransformer
        Made of what a file says, with all parameters. Attributes of networks that
        are not weights become those of networks that are built here.

    Raises
    ------
    ValueError
        With the part that does not fit. Other errors mean the same.
    """
    own, kind = estimator.__dict__, type(estimator)
    for name in own:
        # It would take the place of a method.
        _require(not hasattr(kind, name), name)
    for name in ("n_channels_", "n_timepoints_", "n_features_in_"):
        _require(type(own[name]) is int and own[name] > 0, name)
    _check_names(estimator)
    labels = _check_labels(estimator)
    n_classes = 0 if labels is None else len(labels)
    _check_tokenizer(estimator)
    tokenizer = estimator.tokenizer_
    sizes = _Sizes(
        n_channels=estimator.n_channels_,
        n_views=tokenizer.n_channels,
        n_lengths=len(tokenizer.dilations),
        n_codes=tokenizer.codebook.n_codes,
        n_features=tokenizer.n_features,
        n_classes=n_classes,
    )
    kept = Numbers("int64", ("n_kept",), above=-1, below="n_features")
    _require(kept.check(own["kept_"], sizes) and sizes["n_kept"], "kept_")
    _require((np.diff(own["kept_"]) > 0).all(), "kept_")
    parts: dict[str, type] = {"scaler_": Scaler}
    if isinstance(estimator, VQTextClassifier):
        _require(n_classes >= 2, "classes_")
        parts |= {"head_": RidgeHead, "space_": ZeroShotSpace}
    else:
        parts |= {"feature_scaler_": FeatureScaler}
    optional: tuple[tuple[str, type], ...] = (
        *(("_use", CodeUse), ("_writer_", Writer)),
        *(("verbalizer", SeriesVerbalizer), ("text_encoder", TextEncoder)),
        ("text_encoder", UnsavedFunction),
    )
    for name, wanted in optional:
        there = own.get(name)
        # Other parameters are checked by `_check_params`, or where they are used.
        if isinstance(there, wanted) or (name.startswith("_") and there is not None):
            parts[name] = wanted
    for name, wanted in parts.items():
        _require(type(own.get(name)) is wanted, name)
        _check(own[name], name, sizes)
    _check_head(estimator, sizes)
    _check_writer(estimator)
    _check_levels(estimator, n_classes)
    estimator._check_params()


def _check_names(estimator: Any) -> None:
    own, n_channels = estimator.__dict__, estimator.n_channels_
    columns = own.get("_columns")
    _require(isinstance(columns, tuple | None), "_columns")
    for name, names, count in (
        ("channel_names_", estimator.channel_names_, n_channels),
        ("_channels", estimator._channels, None),
        ("_columns", list(columns or ()), n_channels if columns else 0),
        ("prompts_", estimator.prompts_ or [], None),
    ):
        _require(isinstance(names, list) and count in (None, len(names)), name)
        _require(all(isinstance(each, str) for each in names), name)
    _require(isinstance(estimator.channel_groups_, dict), "channel_groups_")
    _require(
        all(isinstance(k, str) for k in estimator.channel_groups_), "channel_groups_"
    )
    _require(isinstance(estimator.history_, list), "history_")
    for row in [*estimator.history_, estimator.codebook_use_]:
        numbers = isinstance(row, dict) and all(
            isinstance(key, str) and isinstance(value, Real)
            for key, value in row.items()
        )
        _require(numbers, "history_")
    names = own.get("feature_names_in_")
    if names is not None:
        _require(isinstance(names, np.ndarray), "feature_names_in_")
        _require(names.shape == (estimator.n_features_in_,), "feature_names_in_")
        _require(all(isinstance(each, str) for each in names), "feature_names_in_")


def _check_labels(estimator: Any) -> Any:
    """Return classes, or None where there are none."""
    own = estimator.__dict__
    for name in ("_labels", "classes_"):
        labels = own.get(name)
        if labels is None:
            continue
        _require(isinstance(labels, np.ndarray) and labels.ndim == 1, name)
        _require(labels.dtype.kind in "biufUOMm" and len(labels) > 1, name)
        if labels.dtype.kind == "O":
            plain = (str, int, float, bool)
            _require(all(isinstance(each, plain) for each in labels), name)
        _require(not pd.isna(labels).any(), name)
        _require(np.unique(labels).tolist() == labels.tolist(), name)
    if isinstance(estimator, VQTextClassifier):
        same = own["classes_"].tolist() == own["_labels"].tolist()
        _require(same, "classes_")
    return own["_labels"]


def _check_head(estimator: Any, sizes: _Sizes) -> None:
    use = getattr(estimator, "_use", None)
    if use is not None:
        # Classes of which no case was looked at may lack at the end.
        _require(1 <= len(use.windows) <= max(1, sizes["n_classes"]), "_use")
    if not isinstance(estimator, VQTextClassifier):
        return
    offset = estimator.head_.offset
    _require(
        isinstance(offset, np.ndarray)
        and offset.dtype == np.float64
        and offset.shape == (sizes["n_classes"],)
        and (offset < np.inf).all()
        and np.isfinite(offset).any(),
        "head_.offset",
    )


def _check_writer(estimator: Any) -> None:
    writer = estimator._writer_
    if writer is None:
        return
    verbalizer = writer.verbalizer
    verbalizer._check_params()
    _require(Writer(verbalizer).__dict__ == writer.__dict__, "_writer_")
    _require(verbalizer.n_channels_ == estimator.n_channels_, "_writer_")
    n_bins = writer.base**writer.n_digits
    edges = verbalizer.edges_
    _require(edges.shape[1] == n_bins + 1, "_writer_")
    _require((np.diff(edges) >= 0).all(), "_writer_")


def _check_levels(estimator: Any, n_classes: int) -> None:
    model, attributes = estimator.model_, None
    level = "closed form"
    if model is not None:
        _check_network(estimator, n_classes)
        attributes = model.attributes
        level = "trained" if model.text is None else "trained with text"
    _require(estimator.level_ == level, "level_")
    _require(estimator.attributes_ is attributes, "attributes_")
    has_digits = model is not None and model.digits is not None
    _require(has_digits == (estimator._writer_ is not None), "_writer_")
    if getattr(estimator, "head", None) == "network":
        _require(model is not None and model.class_head is not None, "head")
