"""Models that are resumed, reused, saved and exported."""

import json
from functools import cache, partial
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from fuzz import (
    JSON,
    NAMES,
    ODD,
    PARAMETERS,
    TINY,
    check_features,
    check_predictions,
    check_probabilities,
    damaged,
    frozen,
    fuzzed,
    in_folder,
    labels,
    panels,
    same,
    tried,
    unchanged,
)
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sktext_vq import (
    VQTextClassifier,
    VQTextTransformer,
    export_onnx,
    load,
    pretrain,
    save,
)
from sktext_vq._training.checkpoint import _FORMAT, Checkpoint
from sktext_vq._utils.container import pack, unpack
from sktext_vq.panel import as_panel

SHORT = TINY | {"max_epochs": 2, "text": None}


def walks(n_cases=6, n_channels=1, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_cases, n_channels, 20))
    X[::2] = X[::2].cumsum(axis=2)
    return X, np.array(["walk", "noise"] * n_cases)[:n_cases]


# Checkpoints


@cache
def states():
    """Return all checkpoints of a fit, the model file and the predictions."""
    found = []
    with pytest.MonkeyPatch.context() as patch, in_folder(None) as folder:
        path = folder / "state"
        write = Checkpoint.write

        def keep(self, state):
            write(self, state)
            found.append(path.read_bytes())

        patch.setattr(Checkpoint, "write", keep)
        patch.setattr(Checkpoint, "is_due", lambda self: True)
        model = VQTextClassifier(**SHORT).fit(*walks(), checkpoint=path)
        found.append(save(model, folder / "model").read_bytes())
    return found, model.predict_proba(walks()[0])


@fuzzed(8)
@given(
    path=NAMES,
    seed=st.sampled_from([0, 0, 0, np.int64(0), None, "0", np.random.RandomState(0)]),
    epochs=st.sampled_from([2, 2, 2, 0]),
)
def test_checkpoints_of_any_name(tmp_path_factory, path, seed, epochs):
    X, y = walks()
    parameters = SHORT | {"random_state": seed, "max_epochs": epochs}
    with in_folder(tmp_path_factory.getbasetemp()):
        for _ in range(2):
            model = VQTextClassifier(**parameters)
            fit = partial(model.fit, X, y, checkpoint=path)
            if tried(fit, allowed=(OSError,)) is None:
                return
            found = model.predict_proba(X)
            if epochs and seed == 0:
                same(found, states()[1])
            else:
                check_probabilities(found, (6, 2))


@st.composite
def checkpoints(draw):
    """Draw the content of a checkpoint: a modified state, or other content."""
    kind = draw(st.sampled_from([*["changed"] * 4, "JSON", "sealed", "part"]))
    found, _ = states()
    if kind == "changed":
        return draw(damaged(draw(st.sampled_from(found))))
    other = draw(JSON)
    if kind == "JSON":
        return json.dumps(other).encode()
    if kind == "sealed":
        parts = other if isinstance(other, dict) else {"facts": other}
        return pack(_FORMAT, parts, {"x": np.zeros(2)})
    # Valid checksums, but the state of another fit.
    parts, arrays, _ = unpack(_FORMAT, draw(st.sampled_from(found[:-1])), Path("state"))
    parts[draw(st.sampled_from(["facts", "start"]))] = other
    return pack(_FORMAT, parts, arrays)


@fuzzed(8)
@given(content=checkpoints())
def test_a_damaged_checkpoint_changes_no_model(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "state"
    path.write_bytes(content)
    X, y = walks()
    model = VQTextClassifier(**SHORT)
    fit = partial(model.fit, X, y, checkpoint=path)
    if tried(fit, allowed=(OSError,)) is not None:
        same(model.predict_proba(X), states()[1])


# Reuse


@cache
def learned():
    """Return fitted estimators of all kinds, by name."""
    X, y = walks()
    three, names = walks(8, 3, seed=1)[0], ["acc_x", "acc_y", "acc_z"]
    make = partial(VQTextClassifier, **TINY | {"text_encoder": "hashing"})
    three[:, 1] += 20  # vertical axis of a sensor that is not rotated
    digits = {"digits": 1.0, "frequency": 0.1, "codebook": 0.1, "usage": 0.1}
    found = {
        "unfitted": make(),
        "closed": make(max_epochs=0).fit(X, y),
        "alone": make(max_epochs=1, text=None).fit(X, y),
        "words": make(max_epochs=1).fit(X, y),
        "other words": make(max_epochs=1, text="labels").fit(X, np.arange(6) % 3),
        "three": make(max_epochs=1, channel_names=names).fit(three, [1, 2] * 4),
        "all": make(max_epochs=1, loss_weights=digits).fit(three, ["a", "noise"] * 4),
        "larger": make(max_epochs=1).set_params(n_codes=20).fit(X, y),
        "pretrained": pretrain([X, three], max_epochs=1, text=None, **TINY),
        "kept features": VQTextTransformer(
            max_epochs=1, text=None, **TINY | {"max_features": 9}
        ).fit(three),
        "pipeline": make_pipeline(make(max_epochs=0)).fit(X, y),
        "other": LogisticRegression().fit(X[:, 0], y),
        "class": VQTextClassifier,
    }
    with in_folder(None) as folder:
        found["loaded"] = load(save(found["all"], folder / "model"))
    return found


@fuzzed(8)
@given(data=st.data(), epochs=st.integers(0, 2), text=st.sampled_from(["auto", None]))
def test_any_object_to_start_from(data, epochs, text):
    name = data.draw(st.sampled_from([*learned(), "odd"]), "init")
    init = learned().get(name)
    if name == "odd":
        init = data.draw(ODD)
    X = data.draw(st.one_of(panels(most_cases=6), st.just(walks(8, 3)[0])), "X")
    y = data.draw(st.one_of(st.just(np.arange(len(X)) % 2), labels(len(X))), "y")
    model = VQTextClassifier(max_epochs=epochs, text_encoder="hashing", **TINY)
    model.set_params(text=text)
    if data.draw(st.booleans(), "codes are learned"):
        model.set_params(loss_weights={"codebook": 0.1, "digits": 0.1, "usage": 0.1})
    if tried(model.fit, X, y, init=init) is None:
        return
    check_predictions(model, X)
    if init is not None and not (epochs and model.loss_weights):
        same(model.codebook_, init.codebook_)
    new = data.draw(labels(len(X)), "new classes")
    if tried(model.fit, X, new, init=model) is not None:
        check_predictions(model, X)


@fuzzed(8)
@given(
    given=st.one_of(
        st.lists(panels(most_cases=5), min_size=1, max_size=3),
        st.lists(panels(most_cases=5), max_size=2).map(tuple),
        st.lists(st.one_of(panels(most_cases=3), ODD), max_size=3),
        panels(),
        ODD,
    ),
    most_series=st.one_of(st.just(1024), st.integers(0, 5), PARAMETERS),
    epochs=st.sampled_from([0, 0, 0, 1]),
)
def test_pretraining_on_any_panels(given, most_series, epochs):
    before = frozen(given)
    model = tried(
        pretrain, given, most_series=most_series, max_epochs=epochs, text=None, **TINY
    )
    if model is not None:
        assert model.n_channels_ == 1
        check_features(model, walks()[0])
        assert unchanged(given, before)
        X, y = walks(6, 2)
        reused = VQTextClassifier(max_epochs=epochs, text=None, **TINY)
        check_predictions(reused.fit(X, y, init=model), X)


# Files


@fuzzed(8)
@given(path=NAMES, other=NAMES, kind=st.sampled_from(["all", "closed", "pretrained"]))
def test_files_of_any_name(tmp_path_factory, path, other, kind):
    model, X = learned()[kind], walks(6, 3 if kind == "all" else 1)[0]
    predict = getattr(model, "predict_proba", None) or model.transform
    with in_folder(tmp_path_factory.getbasetemp()) as folder:
        before = {each.name for each in folder.iterdir()}
        written = tried(save, model, path, allowed=(OSError,))
        if written is None:
            assert {each.name for each in folder.iterdir()} == before
        else:
            loaded = tried(load, path)
            same(tried(getattr(loaded, predict.__name__), X), tried(predict, X))
            assert tried(export_onnx, model, path) == written
            assert tried(load, path) is None  # the file was replaced
        tried(load, other, allowed=(OSError,))


@fuzzed(6)
@given(st.data())
def test_exported_models_predict_the_same(tmp_path_factory, data):
    X = data.draw(panels(), "X")
    y = np.arange(len(X)) % data.draw(st.integers(2, 3), "classes")
    names = data.draw(st.sampled_from([None, "xyz", ["acc_x", "acc_y", "acc_z"]]))
    model = VQTextClassifier(max_epochs=0, text=None, channel_names=names, **TINY)
    if tried(model.fit, X, y) is None:
        return
    check_predictions(model, X)
    path = tmp_path_factory.getbasetemp() / "model.onnx"
    if tried(export_onnx, model, path) is None:
        return
    session = onnxruntime.InferenceSession(path)
    about = session.get_modelmeta().custom_metadata_map
    assert len(json.loads(about["classes"])) == len(model.classes_)
    for series in (X, data.draw(panels(model.n_channels_), "new")):
        if tried(model.predict_proba, series) is None:
            continue
        with np.errstate(over="ignore"):
            values = as_panel(series).values.astype(np.float32)
        # The model does not support gaps, other lengths, or values beyond float32.
        if values.shape[2] != model.n_timepoints_ or not np.isfinite(values).all():
            continue
        (found,) = session.run(None, {"series": values})
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
        # With few distinct values, rounding decides between equally near codes.
        size = values.std(axis=(0, 2), keepdims=True, dtype=np.float64)
        if (size < 1e-3 * np.abs(values).max(axis=(0, 2), keepdims=True)).any():
            continue
        noise = np.random.default_rng(0).normal(scale=0.1, size=values.shape)
        values = (values + size * noise).astype(np.float32)
        (found,) = session.run(None, {"series": values})
        expected = tried(model.predict_proba, values)
        np.testing.assert_allclose(found, expected, atol=1e-3)
