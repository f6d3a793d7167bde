"""ONNX files give the same predictions without the package and without torch."""

import json
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from sktext_vq import VQTextClassifier, VQTextTransformer, export_onnx

NAMES = ["acc_x", "acc_y", "acc_z", "light"]
SMALL = {"n_codes": 32, "max_epochs": 0, "random_state": 0}
TRAINED = {
    "max_epochs": 1,
    "text": None,
    "loss_weights": {"frequency": 1.0, "codebook": 0.1},
}


def worn(n_cases=30, seed=0, n_timepoints=50):
    """Return acceleration with gravity, and labels that depend on its movement."""
    rng = np.random.default_rng(seed)
    y = np.arange(n_cases) % 3
    beat = np.sin(np.arange(n_timepoints) / 2 + rng.uniform(0, 6, (n_cases, 1)))
    X = rng.normal(size=(n_cases, 4, n_timepoints)).cumsum(axis=2) / 8
    X[:, 1] += 9.8 + y[:, None] * beat
    wrong = rng.random(n_cases) < 0.3
    return X.astype(np.float32), np.where(wrong, rng.integers(3, size=n_cases), y)


def run(path, X):
    (found,) = onnxruntime.InferenceSession(path).run(None, {"series": X})
    return found


def test_probabilities_of_a_real_set_are_the_same(basic_motions, tmp_path):
    data = basic_motions
    classifier = VQTextClassifier(max_epochs=0, random_state=0)
    classifier.fit(data.X_train, data.y_train)
    X = data.X_test.astype(np.float32)
    path = export_onnx(classifier, tmp_path / "model.onnx")
    expected = classifier.predict_proba(X)
    np.testing.assert_allclose(run(path, X), expected, atol=1e-5)
    np.testing.assert_allclose(run(path, X[:1]), expected[:1], atol=1e-5)
    about = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
    assert json.loads(about["classes"]) == classifier.classes_.tolist()


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"channel_names": NAMES},
        {"channel_names": NAMES, "gravity": "replace"},
        {"max_features": 200, "n_codes": 12},
        {"class_weight": {0: 0, 1: 1, 2: 3}},
        TRAINED,
    ],
    ids=str,
)
def test_all_kinds_of_models_give_the_same(parameters, tmp_path):
    X, y = worn()
    classifier = VQTextClassifier(**SMALL | parameters).fit(X, y)
    new = worn(seed=1)[0]
    expected = classifier.predict_proba(new)
    assert expected.max(axis=1).min() < 0.99  # probabilities are not saturated
    found = run(export_onnx(classifier, tmp_path / "model.onnx"), new)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    nothing = run(tmp_path / "model.onnx", new[:0])
    assert nothing.shape == (0, len(classifier.classes_))


@pytest.mark.parametrize("labelled", [True, False])
def test_features_are_in_the_order_of_transform(labelled, tmp_path):
    X, y = worn()
    transformer = VQTextTransformer(**SMALL).fit(X, y if labelled else None)
    path = export_onnx(transformer, tmp_path / "model.onnx")
    found, expected = run(path, X), transformer.transform(X)
    # If two codes are equally near to a window, either may be assigned.
    assert np.mean(np.abs(found - expected) < 1e-3) > 0.999
    assert found.shape == expected.shape


def test_other_lengths_are_refused_and_gaps_give_no_number(tmp_path):
    X, y = worn()
    classifier = VQTextClassifier(**SMALL).fit(X, y)
    path = export_onnx(classifier, tmp_path / "model.onnx")
    for wrong in (X[:, :, :-1], X[:, :3]):
        with pytest.raises(Exception, match=r"Got: .* Expected: "):
            run(path, wrong)
    X[0, 0, 3], X[1, 3, 49] = np.nan, np.inf
    found = run(path, X)
    assert np.isnan(found[:2]).all() and np.isfinite(found[2:]).all()


def test_files_need_no_torch(tmp_path):
    X, y = worn()
    classifier = VQTextClassifier(**SMALL).fit(X, y)
    export_onnx(classifier, tmp_path / "model.onnx")
    np.save(tmp_path / "X.npy", X)
    program = """
import sys, numpy, onnxruntime
session = onnxruntime.InferenceSession("model.onnx")
(found,) = session.run(None, {"series": numpy.load("X.npy")})
assert not {"torch", "sktext_vq", "sklearn"} & sys.modules.keys()
print(*found.argmax(axis=1))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.split() == [str(i) for i in classifier.predict(X)], done.stderr


def test_what_cannot_be_exported_is_an_error_and_the_file_stays(tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    path.write_text("as it was")
    X, y = worn(n_timepoints=7)
    classifier = VQTextClassifier(**SMALL)
    with pytest.raises(TypeError, match="For a Pipeline, pass the fitted step"):
        export_onnx(make_pipeline(classifier), path)
    with pytest.raises(NotFittedError):
        export_onnx(classifier, path)
    with pytest.raises(ValueError, match=r"series of 7 timepoints.* at least 8"):
        export_onnx(classifier.fit(X, y), path)
    classifier.fit(*worn())
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"sktext_vq\[onnx\]"):
        export_onnx(classifier, path)
    assert path.read_text() == "as it was"
