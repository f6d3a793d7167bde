"""Export of fitted estimators to ONNX."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from sktext_vq._features.scaling import FARTHEST
from sktext_vq._features.selection import CLIP, FeatureScaler
from sktext_vq._utils.files import check_target, replace_file
from sktext_vq._utils.torch_defaults import torch_defaults
from sktext_vq._version import __version__
from sktext_vq.classifier import VQTextClassifier
from sktext_vq.nn.constants import (
    N_POINTS,
    N_QUANTILES,
    SCALE_FLOOR,
    VIEWS,
)
from sktext_vq.nn.gravity import FLOOR, GravityFrame
from sktext_vq.nn.tokenizer import ShapeTokenizer
from sktext_vq.transformer import VQTextTransformer

__all__ = ["export_onnx"]

# Versions of 2021, which all maintained runtimes support.
_OPSET, _IR_VERSION = 15, 8


def export_onnx(estimator: Any, path: str | os.PathLike[str]) -> Path:
    """Export a fitted estimator to an ONNX file.

    The exported model computes predictions from raw series, in the units of the
    training data. Prediction requires an ONNX runtime, but neither Python nor this
    package.

    Parameters
    ----------
    estimator : VQTextClassifier or VQTextTransformer
        Estimator fitted on series of at least 8 timepoints.
    path : path-like
        File to write, such as ``model.onnx``. An existing file is replaced atomically.

    Returns
    -------
    Path
        Path of the file.

    Raises
    ------
    TypeError
        If `estimator` is not a VQTextClassifier or VQTextTransformer.
    NotFittedError
        If the estimator is not fitted.
    ValueError
        If the estimator was fitted on series of fewer than 8 timepoints, or with a
        base model.
    ImportError
        If onnx is not installed.
    OSError
        If the file cannot be written.

    See Also
    --------
    save : Save a complete estimator, for use in Python.

    Notes
    -----
    The input ``series`` is a float32 tensor of shape (n_cases, n_channels,
    n_timepoints). The number of cases is variable. Series must have the channels of the
    training data and the length of the longest training series. Missing values are not
    supported: the output for a series with NaN or infinity is NaN.

    The output is ``probabilities`` of shape (n_cases, n_classes) for a classifier and
    ``features`` of shape (n_cases, n_features) for a transformer, both float32. They
    equal `predict_proba` and `transform` up to rounding. In tests, probabilities of
    measured series differed by at most 0.00003. Rounding also decides ties, for
    example if a window has the same distance to two codes. Series with few distinct
    values, such as states or counts, have many ties, and their probabilities differed
    by up to 0.04.

    A base model is exported for windows with angular velocity. Unlike `predict`, the
    file does not use another classifier for windows without it.

    The file metadata contain ``classes``, the labels in the order of the probabilities,
    and ``channel_names``, both as JSON; ``sampling_rate``, if known; and
    ``written_by``.

    Prediction uses about 8 bytes of memory per case, channel, timepoint and code.
    Batches of a few dozen cases are as fast as larger batches.

    Examples
    --------
    >>> import json, numpy as np, onnxruntime, tempfile
    >>> from sktext_vq import VQTextClassifier, export_onnx
    >>> X = np.random.default_rng(0).normal(size=(10, 3, 50)).cumsum(axis=2)
    >>> X = X.astype(np.float32)
    >>> y = np.array(["up", "down"])[(X.mean(axis=(1, 2)) < 0).astype(int)]
    >>> classifier = VQTextClassifier(random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = export_onnx(classifier, f"{folder}/model.onnx")
    ...     session = onnxruntime.InferenceSession(file)
    >>> (found,) = session.run(None, {"series": X})  # needs onnxruntime and numpy
    >>> classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
    >>> classes
    ['down', 'up']
    >>> bool((np.array(classes)[found.argmax(axis=1)] == classifier.predict(X)).all())
    True
    """
    if not isinstance(estimator, VQTextClassifier | VQTextTransformer):
        raise TypeError(
            "export_onnx expects a VQTextClassifier or VQTextTransformer, got "
            f"{type(estimator).__name__}. For a Pipeline, pass the fitted step."
        )
    check_is_fitted(estimator)
    if getattr(estimator, "enrolment_", None) is not None:
        raise ValueError(
            "A classifier that was fitted with a base model (init) cannot be exported. "
            "Fit the classifier without init."
        )
    path = check_target(path)
    if estimator.n_timepoints_ < N_POINTS:
        raise ValueError(
            f"This {type(estimator).__name__} was fitted on series of "
            f"{estimator.n_timepoints_} timepoints. Export to ONNX requires at least "
            f"{N_POINTS} timepoints. Pad the series with their last value and fit the "
            "estimator again."
        )
    graph = _Graph()
    with torch_defaults(), torch.no_grad():
        _predict(graph, estimator)
    return replace_file(path, graph.to_bytes(_metadata(estimator)))


class _Graph:
    """Builder of an ONNX graph."""

    def __init__(self) -> None:
        try:
            import onnx
        except ImportError as error:
            raise ImportError(
                "export_onnx requires onnx. Install it with `pip install "
                "'sktext_vq[onnx]'`."
            ) from error
        self._onnx = onnx
        self._nodes: list[Any] = []
        self._constants: dict[tuple[Any, ...], Any] = {}
        self._ends: dict[str, list[Any]] = {"inputs": [], "outputs": []}
        self._names = map("v{}".format, count())

    def end(self, kind: str, name: str, *shape: str | int) -> str:
        """Declare a float32 tensor of the graph's ``"inputs"`` or ``"outputs"``."""
        info = self._onnx.helper.make_tensor_value_info(
            name, self._onnx.TensorProto.FLOAT, shape
        )
        self._ends[kind].append(info)
        return name

    def add(self, operator: str, *inputs: Any, name: str = "", **options: Any) -> str:
        """Add a node with one output and return the name of the output."""
        return self.split(operator, *inputs, names=[name], **options)[0]

    def split(
        self, operator: str, *inputs: Any, names: list[str], **options: Any
    ) -> list[str]:
        """Add a node and return the names of its outputs; "" creates a new name."""
        sources = [
            each if isinstance(each, str) else self._constant(each) for each in inputs
        ]
        outputs = [name or next(self._names) for name in names]
        node = self._onnx.helper.make_node(operator, sources, outputs, **options)
        self._nodes.append(node)
        return outputs

    def cast(self, value: Any, kind: str) -> str:
        return self.add("Cast", value, to=getattr(self._onnx.TensorProto, kind))

    def _constant(self, value: Any) -> str:
        """Add a constant and return its name; Python numbers become float32."""
        if isinstance(value, torch.Tensor):
            value = value.numpy()
        array = np.asarray(value, None if hasattr(value, "dtype") else np.float32)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self._onnx.numpy_helper.from_array(
                np.ascontiguousarray(array).reshape(array.shape), next(self._names)
            )
        return str(self._constants[key].name)

    def to_bytes(self, metadata: dict[str, str]) -> bytes:
        """Check the graph and serialise it."""
        onnx = self._onnx
        graph = onnx.helper.make_graph(
            self._nodes,
            "sktext_vq",
            **self._ends,
            initializer=list(self._constants.values()),
        )
        model = onnx.helper.make_model(
            graph,
            opset_imports=[onnx.helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
            producer_name="sktext_vq",
            producer_version=__version__,
        )
        onnx.helper.set_model_props(model, metadata)
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))


def _metadata(estimator: Any) -> dict[str, str]:
    found = {
        "written_by": f"sktext_vq {__version__}",
        "channel_names": json.dumps(estimator.channel_names_),
    }
    if estimator.sampling_rate is not None:
        found["sampling_rate"] = str(float(estimator.sampling_rate))
    if isinstance(estimator, VQTextClassifier):
        found["classes"] = json.dumps(estimator.classes_.tolist(), default=str)
    return found


def _predict(graph: _Graph, estimator: Any) -> None:
    """Add the nodes that compute probabilities or features from series."""
    extractor = estimator.features_
    tokenizer, selected = extractor.tokenizer, extractor.selected
    shape = (estimator.n_channels_, estimator.n_timepoints_)
    series = graph.end("inputs", "series", "n_cases", *shape)
    standard = _standardise(graph, series, extractor.scaler)
    if tokenizer.frame is not None:
        standard = _add_channels(graph, standard, tokenizer.frame, shape[1])
    features, order = _count(graph, standard, tokenizer, shape[1])
    scaler, weight = _last_step(estimator)
    place = np.argsort(order)[selected].astype(np.int32)
    picked = graph.add("Gather", features, place, axis=1)
    scaled = graph.add("Div", graph.add("Sub", picked, scaler.mean), scaler.scale)
    found = graph.add("Clip", scaled, -CLIP, CLIP)
    if isinstance(weight, tuple):
        coef, intercept = weight
        # Stored in single precision to save space, summed in double precision.
        double = (graph.cast(found, "DOUBLE"), graph.cast(coef, "DOUBLE"))
        scores = graph.add("Add", graph.add("MatMul", *double), intercept)
        found = graph.cast(graph.add("Softmax", scores, axis=1), "FLOAT")
        output = graph.end("outputs", "probabilities", "n_cases", len(intercept))
    else:
        found = graph.add("Mul", found, weight)
        output = graph.end("outputs", "features", "n_cases", len(selected))
    # Add 0, or NaN for series with missing values.
    gaps = graph.add("Sub", series, series)
    gaps = graph.add("ReduceMean", gaps, axes=[2], keepdims=0)
    gaps = graph.add("ReduceMean", gaps, axes=[1], keepdims=1)
    graph.add("Add", found, gaps, name=output)


def _last_step(estimator: Any) -> tuple[FeatureScaler, Any]:
    """Return the scaler and the weights of the selected features.

    The weights of a classifier are a matrix and an intercept.
    """
    if not isinstance(estimator, VQTextClassifier):
        scaler = estimator.feature_scaler_
        return scaler, scaler.weight
    coef, intercept = estimator.head_.log_odds
    scaler = estimator.head_.scaler
    return scaler, ((coef * scaler.weight[:, None]).astype(np.float32), intercept)


def _standardise(graph: _Graph, series: str, scaler: Any) -> str:
    """Add the nodes of `Scaler.batch`, for series without missing values."""
    found = graph.add("Sub", graph.cast(series, "DOUBLE"), scaler.mean[:, None])
    found = graph.add("Div", found, scaler.scale[:, None])
    found = graph.add("Clip", found, np.float64(-FARTHEST), np.float64(FARTHEST))
    return graph.cast(found, "FLOAT")


def _add_channels(
    graph: _Graph, series: str, frame: GravityFrame, n_timepoints: int
) -> str:
    """Add the nodes of `GravityFrame.forward`, for series without missing values."""
    add = graph.add
    raw = add("Add", add("Mul", series, frame.scale[:, None]), frame.mean[:, None])
    vectors = add("Gather", raw, frame.triads, axis=1)  # case, sensor, axis, timepoint
    up = add("Gather", vectors, np.array([frame.reference]), axis=1)
    up = add("ReduceMean", up, axes=[3])
    up = add("Div", up, add("Max", add("ReduceL2", up, axes=[2]), 1e-12))
    # ReduceSum has different parameters in different operator sets.
    sums = np.ones((1, 3), np.float32)
    vertical = add("MatMul", sums, add("Mul", vectors, up))
    rest = add("Sub", vectors, add("Mul", vertical, up))
    lengths = (add("ReduceL2", each, axes=[2]) for each in (rest, vectors))
    added = add("Concat", vertical, *lengths, axis=2)
    if frame.alone:
        moved = add("Sub", added, add("ReduceMean", added, axes=[3]))
        variance = add("ReduceMean", add("Mul", moved, moved), axes=[3])
        size = add("Sqrt", add("MatMul", sums, variance))
        size = add("Add", size, FLOOR * frame.usual[:, None, None])
        relative = add("Div", moved, add("Max", size, 1e-12))
        added = add("Concat", added, relative, axis=2)
    added = add("Reshape", added, np.array([0, frame.n_added, n_timepoints]))
    added = add("Sub", added, frame.added_mean[:, None])
    added = add("Div", added, frame.added_scale[:, None])
    if not frame.others:
        return added
    others = add("Gather", series, np.array(frame.others), axis=1)
    return add("Concat", others, added, axis=1)


def _count(
    graph: _Graph, series: str, tokenizer: ShapeTokenizer, n_timepoints: int
) -> tuple[str, NDArray[np.int64]]:
    """Add the nodes of `ShapeTokenizer.forward`; return features and their indices."""
    add = graph.add
    if tokenizer.gains is not None:  # a linear map of the series
        series = add("MatMul", series, tokenizer.gains(torch.eye(n_timepoints)))
    ends = [np.array([end]) for end in (0, 1, -1, n_timepoints)]
    later = add("Slice", series, ends[1], ends[3], np.array([2]))
    change = add("Sub", later, add("Slice", series, ends[0], ends[2], np.array([2])))
    first = add("Slice", change, ends[0], ends[1], np.array([2]))
    change = add("Concat", first, change, axis=2)
    change = add("Div", change, tokenizer.change_scale[:, None])
    views = add("Concat", series, change, axis=1)  # case, view and channel, timepoint
    parts = [
        part
        for d in range(len(tokenizer.dilations))
        for part in _count_length(graph, views, tokenizer, d, n_timepoints)
    ]
    names, order = zip(*parts, strict=True)
    flat = [add("Flatten", name) for name in names]
    return add("Concat", *flat, axis=1), np.concatenate([ids.ravel() for ids in order])


def _count_length(
    graph: _Graph, views: str, tokenizer: ShapeTokenizer, d: int, n_timepoints: int
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield the features of windows of one length and the indices of the features.

    Windows are the last axis of all tensors, because runtimes are fastest in this
    order.
    """
    add, dilation = graph.add, tokenizer.dilations[d]
    n_series = len(VIEWS) * tokenizer.n_channels
    n_windows = n_timepoints - dilation * N_POINTS + 1
    means = views
    if dilation > 1:
        means = add("AveragePool", views, kernel_shape=[dilation])
    # Cut windows by a convolution, which is faster than Gather and equally exact.
    cut = np.tile(np.eye(N_POINTS, dtype=np.float32)[:, None], (n_series, 1, 1))
    points = add("Conv", means, cut, dilations=[dilation], group=n_series)
    points = add("Reshape", points, np.array([0, n_series, N_POINTS, n_windows]))
    offset = add("ReduceMean", points, axes=[2])
    shape = add("Sub", points, offset)
    scale = add("Sqrt", add("ReduceMean", add("Mul", shape, shape), axes=[2]))
    floored = add("Add", scale, SCALE_FLOOR)
    codes, n_heads = tokenizer.codebook.codes, tokenizer.codebook.n_heads
    n_codes = len(codes)
    # The last row contains ones, as in `Windows.points`.
    points = add("Div", add("Concat", shape, floored, axis=2), floored)
    half_norm = 0.5 * codes.square().sum(1, keepdim=True)
    scores = add("MatMul", torch.cat([codes, -half_norm], dim=1), points)

    counted, matches, summaries = _numbers(tokenizer, d)
    heads = add(
        "Reshape", scores, np.array([0, 0, n_heads, n_codes // n_heads, n_windows])
    )
    chosen = add("GreaterOrEqual", heads, add("ReduceMax", heads, axes=[3]))
    chosen = add(
        "Reshape", graph.cast(chosen, "FLOAT"), np.array([0, 0, n_codes, n_windows])
    )
    values = add("Concat", offset, scale, axis=2)
    bins = _distribute(graph, values, tokenizer, d, n_windows)
    counts = add("MatMul", chosen, add("Transpose", bins, perm=[0, 1, 3, 2]))
    counts = add("Add", add("Div", counts, float(n_windows)), 1e-6)
    yield add("Sub", add("Sqrt", counts), 1e-3), counted[:, :-1].swapaxes(1, 2)
    yield add("ReduceMax", scores, axes=[3]), counted[:, -1]

    for m, numbers in enumerate(matches.swapaxes(0, 1)):
        knots = tokenizer.match_knots[:, d, :, m].flatten(0, 1).unsqueeze(2)
        better = graph.cast(add("Greater", scores, knots), "FLOAT")
        yield add("ReduceMean", better, axes=[3]), numbers

    values = add("Concat", offset, add("Log", floored), axis=2)
    yield _summarise(graph, values, n_windows), summaries


def _numbers(tokenizer: ShapeTokenizer, d: int) -> Iterator[NDArray[Any]]:
    """Yield indices of histogram, match and summary features of one window length."""
    numbers: NDArray[Any] = np.arange(tokenizer.layout.n_features)
    for kind in tokenizer.layout.split(numbers):
        blocks = kind[:, :, d].swapaxes(0, 1)
        # Sizes are explicit, because -1 is undefined if there are no matches.
        yield blocks.reshape(len(VIEWS) * tokenizer.n_channels, *blocks.shape[2:])


def _distribute(
    graph: _Graph, values: str, tokenizer: ShapeTokenizer, d: int, n_windows: int
) -> str:
    """Add nodes that compute the share of each window in each bin."""
    add = graph.add
    kinds = (tokenizer.level_knots, tokenizer.scale_knots)
    knots = torch.stack([kind[:, d].flatten(0, 1) for kind in kinds], dim=1)
    low, width = knots[..., :-1, None], knots.diff(dim=2).unsqueeze(3)
    ramps = add("Sub", add("Unsqueeze", values, np.array([3])), low)
    ramps = add("Clip", add("Div", ramps, width), 0.0, 1.0)
    n_series, n_kinds, n_ramps = low.shape[:3]
    # Sizes are explicit, so that inputs without cases work.
    ramps = add("Reshape", ramps, np.array([0, n_series, n_kinds * n_ramps, n_windows]))
    # A bin is the difference of successive ramps; the first ramp is all ones.
    difference = np.eye(n_ramps + 1, n_ramps, -1) - np.eye(n_ramps + 1, n_ramps)
    difference = np.kron(np.eye(n_kinds), difference).astype(np.float32)
    whole = np.tile(np.eye(n_ramps + 1, 1, dtype=np.float32), (n_kinds, 1))
    return add("Add", add("MatMul", difference, ramps), whole)


def _summarise(graph: _Graph, values: str, n_windows: int) -> str:
    """Add nodes for mean, standard deviation and quantiles over the last axis."""
    add = graph.add
    mean = add("ReduceMean", values, axes=[3])
    moved = add("Sub", values, mean)
    variance = add("ReduceMean", add("Mul", moved, moved), axes=[3])
    deviation = add("Sqrt", add("Add", variance, 1e-12))
    ordered, _ = graph.split(
        "TopK", values, np.array([n_windows]), names=["", ""], axis=3, largest=0
    )
    place = ((n_windows - 1) * torch.linspace(0, 1, N_QUANTILES)).numpy()
    low = place.astype(int)
    high = np.minimum(low + 1, n_windows - 1)
    between = np.zeros((n_windows, N_QUANTILES), np.float32)
    columns = np.arange(N_QUANTILES)
    between[low, columns] += 1 - (place - low)
    between[high, columns] += place - low
    return add("Concat", mean, deviation, add("MatMul", ordered, between), axis=3)
