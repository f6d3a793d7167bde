"""Pretraining, and estimators that start from a fitted estimator."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from sktext_vq import VQTextClassifier, VQTextTransformer, load, pretrain, save

SMALL = {
    "n_codes": 16,
    "max_features": 400,
    "max_epochs": 3,
    "text_encoder": "hashing",
    "random_state": 0,
}
CLOSED = SMALL | {"max_epochs": 0}


def waves(n_cases=24, n_channels=3, n_timepoints=40, seed=0):
    """Return slow walking and fast running."""
    rng = np.random.default_rng(seed)
    y = np.array(["walking", "running"] * (n_cases // 2))
    period = np.where(y == "walking", 8, 3)[:, None, None]
    phase = rng.uniform(0, 6, (n_cases, n_channels, 1))
    X = np.sin(np.arange(n_timepoints) / period + phase)
    return X + rng.normal(0, 0.2, X.shape), y


@pytest.fixture(scope="module")
def fitted():
    """Return a model that was trained with all modules on three channels."""
    weights = {"series": 1.0, "digits": 1.0}
    return VQTextClassifier(loss_weights=weights, **SMALL).fit(*waves())


@pytest.fixture(scope="module")
def pretrained():
    panels = [waves()[0], waves(30, 1, 60)[0], list(waves(10, 2, 25)[0])]
    return pretrain(panels, **SMALL)


@pytest.fixture
def untrained(monkeypatch):
    """Skip training, so that models keep their initial weights."""

    def skip(model, batches, parts, **kwargs):
        return [], dict.fromkeys(parts, 0)

    monkeypatch.setattr("sktext_vq._training.network_trainer.train", skip)


# -- init ----------------------------------------------------------------------------


@pytest.mark.parametrize("max_epochs", [0, 1])
def test_codes_of_init_are_used_for_other_channels(fitted, max_epochs):
    X, y = waves(n_channels=5, n_timepoints=70, seed=1)
    parameters = SMALL | {"max_epochs": max_epochs}
    for init in (fitted, VQTextTransformer(**CLOSED).fit(X[:, :1])):
        model = VQTextClassifier(**parameters).fit(X, y, init=init)
        np.testing.assert_array_equal(model.codebook_, init.codebook_)
        assert (model.predict(X) == y).all()
    own = VQTextClassifier(**parameters).fit(X, y)
    assert not np.isin(own.codebook_, fitted.codebook_).all()


def test_learned_codes_are_used():
    X, y = waves()
    parameters = SMALL | {"loss_weights": {"codebook": 1.0}}
    moved = VQTextClassifier(**parameters).fit(X, y)
    assert moved.features_.tokenizer.codebook.shift.any()
    model = VQTextTransformer(**CLOSED).fit(X, init=moved)
    np.testing.assert_array_equal(model.codebook_, moved.codebook_)


def test_modules_independent_of_channels_and_classes_are_used(fitted, untrained):
    X, y = waves(n_channels=2)
    weights = {"series": 1.0, "digits": 1.0}
    parameters = SMALL | {"loss_weights": weights}
    model = VQTextClassifier(**parameters).fit(X, y, init=fitted)
    old = fitted.network_.modules
    assert len(old) == 2
    for path, module in model.network_.modules.items():
        for name, weight in module.named_parameters():
            assert torch.equal(weight, old[path].get_parameter(name)), name
    scratch = VQTextClassifier(**parameters).fit(X, y)
    hidden = scratch.network_.refiner.hidden.weight
    assert not torch.equal(hidden, fitted.network_.refiner.hidden.weight)


def test_an_estimator_can_start_from_itself():
    X, y = waves()
    more, labels = waves(seed=5)
    first, expected = (VQTextClassifier(**SMALL).fit(X, y) for _ in range(2))
    other = VQTextClassifier(**SMALL).fit(more, labels, init=expected)
    first.fit(more, labels, init=first)
    np.testing.assert_array_equal(first.predict_proba(X), other.predict_proba(X))


def test_init_may_be_a_loaded_model(fitted, tmp_path):
    X, y = waves(seed=6)
    loaded = load(save(fitted, tmp_path / "model.safetensors"))
    first, second = (
        VQTextClassifier(**SMALL).fit(X, y, init=each) for each in (fitted, loaded)
    )
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    with pytest.warns(UserWarning, match="earlier version"):
        old = load(Path(__file__).parent / "data" / "model_v1.safetensors")
    assert old.get_params().keys() == fitted.get_params().keys()
    parameters = SMALL | {"n_codes": old.n_codes}
    model = VQTextClassifier(**parameters).fit(X, y, init=old)
    np.testing.assert_array_equal(model.codebook_, old.codebook_)


def test_init_goes_through_a_pipeline(fitted):
    X, y = waves()
    steps = [("tokens", VQTextTransformer(**CLOSED)), ("clf", LogisticRegression())]
    pipeline = Pipeline(steps).fit(X, y, tokens__init=fitted)
    np.testing.assert_array_equal(pipeline[0].codebook_, fitted.codebook_)


def test_invalid_init(fitted):
    X, y = waves()
    with pytest.raises(ValueError, match=r"init has 16 codes.*Set n_codes=16"):
        VQTextClassifier(**CLOSED | {"n_codes": 32}).fit(X, y, init=fitted)
    with pytest.raises(TypeError, match=r"init must be a fitted.*LogisticRegression"):
        VQTextClassifier(**CLOSED).fit(X, y, init=LogisticRegression())
    with pytest.raises(NotFittedError):
        VQTextClassifier(**CLOSED).fit(X, y, init=VQTextClassifier())


# -- pretrain ------------------------------------------------------------------------


def test_one_codebook_from_panels_of_different_shapes(pretrained):
    assert pretrained.n_channels_ == 1
    assert pretrained.training_stage_ == "trained with text"
    X, y = waves(n_channels=4, n_timepoints=33, seed=7)
    model = VQTextClassifier(**SMALL).fit(X, y, init=pretrained)
    assert (model.predict(X) == y).all()
    np.testing.assert_array_equal(model.codebook_, pretrained.codebook_)
    alone = VQTextTransformer(**SMALL).fit(X, init=pretrained)
    assert np.isfinite(alone.similarity(X, ["a slow rhythm"])).all()


def test_panels_have_equal_weight(monkeypatch):
    small, _ = waves(6, 1, 30)
    large, _ = waves(50, 2, 30, seed=1)
    seen = []
    fit = VQTextTransformer.fit

    def noting(self, X, *args, **kwargs):
        seen.append(X)
        return fit(self, X, *args, **kwargs)

    monkeypatch.setattr(VQTextTransformer, "fit", noting)
    first = pretrain([small, large], most_series=40, **CLOSED)
    second = pretrain([1000 * small - 7, large], most_series=40, **CLOSED)
    assert len(seen[0]) == 6 + 20
    np.testing.assert_allclose(seen[0], seen[1], atol=1e-5)
    np.testing.assert_allclose(first.codebook_, second.codebook_, atol=1e-4)


def test_errors_name_invalid_panels():
    X, _ = waves()
    with pytest.raises(TypeError, match=r"pretrain\(\[X\]\)"):
        pretrain(X)
    with pytest.raises(ValueError, match="panels is empty"):
        pretrain([])
    with pytest.raises(ValueError, match="at least the number of panels, 2"):
        pretrain([X, X], most_series=1)
    broken = X.copy()
    broken[3, 1, 5] = np.inf
    with pytest.raises(ValueError, match="infinity at case 3") as error:
        pretrain([X, broken], **CLOSED)
    assert "panels[1]" in error.value.__notes__[0]
