"""Warnings about drift of new series."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from sktext_vq import DriftWarning, VQTextClassifier, load, save
from sktext_vq._features.drift import warn_of_drift
from sktext_vq._features.drift_reference import DriftReference, likely_triads
from sktext_vq._features.scaling import Scaler
from sktext_vq._utils.channels import find_triads
from sktext_vq.datasets import available
from sktext_vq.datasets import load as load_set
from sktext_vq.panel import as_panel

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def model(basic_motions):
    data = basic_motions
    model = VQTextClassifier(
        16, max_epochs=0, channel_names=data.channel_names, random_state=0
    )
    return model.fit(data.X_train, data.y_train)


def warned(model, X):
    """Return the text of the drift warning, or None."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.predict(X)
    found = [str(w.message) for w in caught if w.category is DriftWarning]
    assert len(found) <= 1
    return found[0] if found else None


@pytest.mark.parametrize("name", available())
def test_ordinary_test_parts_raise_no_alarm(name):
    data = load_set(name)
    train = as_panel(data.X_train)
    scaler = Scaler.fit(train)
    triads = list(find_triads(data.channel_names or ()).values())
    reference = DriftReference.fit(
        train, scaler, triads or likely_triads(train.n_channels)
    )
    test = as_panel(data.X_test)
    names = [f"channel {i}" for i in range(test.n_channels)]
    parts = [np.arange(test.n_cases), *np.arange(min(test.n_cases, 300))[:, None]]
    # Batches may contain a single class.
    parts += [np.flatnonzero(data.y_test == label) for label in set(data.y_test)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for part in parts:
            panel = type(test)(test.values[part], test.lengths[part])
            warn_of_drift(panel, scaler, reference, names)


@pytest.mark.parametrize("factor", [5, 9.8, 1 / 5, 1 / 9.8])
def test_another_unit_is_noticed_with_figures(model, basic_motions, factor):
    X = basic_motions.X_test.copy()
    assert warned(model, X) is None
    X[:, 4] *= factor
    message = warned(model, X)
    assert message.startswith("1 of 6 channels differs")
    assert "'gyro_y'" in message
    now, then = f"{X[:, 4].std():.3g}", f"{model.features_.scaler.scale[4]:.3g}"
    assert f"deviation {now}, compared" in message
    assert f"and {then} in training." in message


def test_a_dead_or_exchanged_sensor_is_noticed(model, basic_motions):
    dead = basic_motions.X_test.copy()
    dead[:, 2] = 0.0
    assert "'acc_z'" in warned(model, dead)
    celsius = basic_motions.X_test + np.array([0, 0, 0, 0, 0, 273.0])[:, None]
    assert "'gyro_z'" in warned(model, celsius)


def test_one_series_of_another_unit_is_noticed_where_it_is_clear(model, basic_motions):
    X = basic_motions.X_test
    assert all(warned(model, X[i : i + 1]) is None for i in range(len(X)))
    assert warned(model, 1000 * X[:1]).startswith("6 of 6 channels differ")


def test_missing_values_are_no_drift(model, basic_motions):
    X = basic_motions.X_test.copy()
    X[:, :, 20:] = np.nan
    assert warned(model, X) is None


def test_a_channel_that_was_constant_and_moves_now_is_noticed(har_like):
    X, y = har_like
    X = X.copy()
    X[:, 1] = 7.0
    model = VQTextClassifier(16, max_epochs=0, random_state=0).fit(X, y)
    assert warned(model, X) is None
    X[:, 1] += np.random.default_rng(0).normal(size=(24, 40))
    assert "'channel 1'" in warned(model, X)


def test_saved_models_keep_what_is_usual_and_older_files_warn_of_nothing(
    model, basic_motions, tmp_path
):
    X = 9.8 * basic_motions.X_test
    loaded = load(save(model, tmp_path / "model.safetensors"))
    assert warned(loaded, X) == warned(model, X)
    with np.load(DATA / "model_v1.npz") as expected:
        assert warned(load(DATA / "model_v1.safetensors"), 100 * expected["X"]) is None


def scaled(channels, factor):
    def change(X):
        X = X.copy()
        X[:, channels] *= factor
        return X

    return change


def turned(order, signs):
    def change(X):
        X = X.copy()
        for first in (0, 3):
            X[:, first : first + 3] = X[:, [first + i for i in order]]
            X[:, first : first + 3] *= np.array(signs)[:, None]
        return X

    return change


@pytest.fixture(scope="module")
def worn():
    """Return windows of a device with gravity and a rhythm, and a fitted model."""

    def draw(n, seed):
        rng = np.random.default_rng(seed)
        t = np.arange(100) / 20
        rate = rng.uniform(1.2, 2.2, (n, 1))
        beat = np.sin(2 * np.pi * rate * t + rng.uniform(0, 6, (n, 1)))
        X = rng.normal(0, 0.05, (n, 6, 100))
        X[:, 0] += 1.5 * beat + rng.normal(1, 0.5, (n, 1))
        X[:, 1] += 9.6 + 3 * beat**2
        X[:, 2] += 0.5 * beat + rng.normal(-1, 0.5, (n, 1))
        X[:, 3] += 0.8 * beat
        X[:, 4] += 0.3 * beat**3
        return X

    names = ["acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z"]
    X, y = draw(240, 0), np.tile(["fast", "slow"], 120)
    found = {}
    for known in (True, False):
        model = VQTextClassifier(
            8, max_epochs=0, channel_names=names if known else None, random_state=0
        )
        found[known] = model.fit(X, y)
    return found, draw(40, 1)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("n", [1, 10])
@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (scaled([0, 1, 2], 1 / 9.80665), "g|unit"),
        (scaled([0, 1, 2], 1000 / 9.80665), ""),
        (scaled([3, 4, 5], 180 / np.pi), "rad/s|degrees"),
        (turned((0, 1, 2), (-1, -1, 1)), "turned"),
        (turned((1, 0, 2), (1, 1, 1)), "exchanged|mirrored"),
        (lambda X: X[:, :, :50].repeat(2, axis=2), "half the sampling rate|rate"),
        (scaled([1], 0.0), ""),
    ],
)
def test_faults_are_noticed_in_few_windows(worn, change, cause, n, named):
    models, X = worn
    for start in (0, 10, 20):
        message = warned(models[named], change(X[start : start + n]))
        assert message is not None
        assert re.search(cause, message)


def test_few_clean_windows_are_not_accused(worn):
    models, X = worn
    for model in models.values():
        accused = [warned(model, X[i : i + 1]) for i in range(len(X))]
        accused += [warned(model, X[i : i + 10]) for i in range(0, len(X), 10)]
        assert not any(accused)


def test_windows_are_examined_alike_after_loading(worn, tmp_path):
    models, X = worn
    upside_down = turned((0, 1, 2), (1, -1, -1))(X[:1])
    loaded = load(save(models[True], tmp_path / "model.safetensors"))
    message = warned(models[True], upside_down)
    assert "the device is turned, so that x, -y, -z correspond to x, y, z" in message
    assert warned(loaded, upside_down) == message
