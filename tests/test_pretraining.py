"""Vocabularies of other series: what is taken over, and what is not."""

import copy
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
    """Return a model of three channels, trained with classes and all that there is."""
    weights = {"fused": 1.0, "frequency": 0.1}
    return VQTextClassifier(loss_weights=weights, **SMALL).fit(*waves())


@pytest.fixture(scope="module")
def pretrained():
    panels = [waves()[0], waves(30, 1, 60)[0], list(waves(10, 2, 25)[0])]
    return pretrain(panels, **SMALL)


@pytest.fixture
def untrained(monkeypatch):
    """Leave models as they are when training starts."""
    monkeypatch.setattr("sktext_vq._training.network.train", lambda *args, **kwargs: [])


# -- init ----------------------------------------------------------------------------


@pytest.mark.parametrize("max_epochs", [0, 1])
def test_codes_are_those_of_init_whatever_the_channels(fitted, max_epochs):
    X, y = waves(n_channels=5, n_timepoints=70, seed=1)
    parameters = SMALL | {"max_epochs": max_epochs}
    for init in (fitted, VQTextTransformer(**CLOSED).fit(X[:, :1])):
        model = VQTextClassifier(**parameters).fit(X, y, init=init)
        np.testing.assert_array_equal(model.codebook_, init.codebook_)
        assert (model.predict(X) == y).all()
    own = VQTextClassifier(**parameters).fit(X, y)
    assert not np.isin(own.codebook_, fitted.codebook_).all()


def test_codes_that_were_moved_come_as_they_are_shown():
    X, y = waves()
    parameters = SMALL | {"loss_weights": {"codebook": 1.0}}
    moved = VQTextClassifier(**parameters).fit(X, y)
    assert moved.features_.tokenizer.codebook.shift.any()
    model = VQTextTransformer(**CLOSED).fit(X, init=moved)
    np.testing.assert_array_equal(model.codebook_, moved.codebook_)


def test_training_goes_on_from_what_was_learned(fitted):
    X, y = waves(seed=2)
    scratch = VQTextClassifier(**SMALL).fit(X, y)
    model = VQTextClassifier(**SMALL).fit(X, y, init=fitted)
    for name in ("train_class", "train_text"):
        assert model.history_[0][name] < 0.8 * scratch.history_[0][name]


def test_weights_of_texts_come_along_with_the_encoder(fitted, untrained):
    X, y = waves(n_channels=2)
    model = VQTextClassifier(**SMALL).fit(X, y, init=fitted)
    old = dict(fitted.network_.model.named_parameters())
    for name, weight in model.network_.model.named_parameters():
        if name.startswith(("text.", "back_projection.", "decoder.meanings")):
            assert torch.equal(weight, old[name]), name
    encoder = {text: np.ones(256) for text in ("walking", "running", "a b", "c")}
    parameters = SMALL | {"text_encoder": encoder, "prompt_forms": ("keyword",)}
    other = VQTextClassifier(text="labels", **parameters).fit(X, y, init=fitted)
    for name, weight in other.network_.model.text.named_parameters():
        if weight.dim() > 1:
            assert not torch.equal(weight, old[f"text.{name}"]), name


def names_and_columns(estimator, weight):
    """Return the weights of each feature of a trained estimator, by its name."""
    seen = copy.copy(estimator)
    seen.features_ = seen.features_.select(seen.network_.model.selected.numpy())
    names = seen.get_feature_names_out()
    return dict(zip(names, weight.detach().numpy().T, strict=True))


def test_weights_of_features_and_classes_go_by_name(fitted, untrained):
    X, y = waves(n_cases=40, seed=3)
    y = np.where(np.arange(40) % 4 == 3, "jumping", y)  # one more, and first in order
    model = VQTextClassifier(**SMALL).fit(X, y, init=fitted)
    new, old = (
        names_and_columns(m, m.network_.model.projection.weight)
        for m in (model, fitted)
    )
    both = new.keys() & old.keys()
    assert 0 < len(both) < len(new)
    for name, column in new.items():
        np.testing.assert_allclose(column, old.get(name, 0), atol=1e-7)
    new, old = (
        names_and_columns(m, m.network_.model.class_head.weight)
        for m in (model, fitted)
    )
    for name in both:  # jumping, running, walking; running, walking
        np.testing.assert_allclose(new[name][1:], old[name], atol=1e-7)
    bias = model.network_.model.class_head.bias
    assert torch.equal(bias[1:], fitted.network_.model.class_head.bias)


def test_weights_of_other_channels_are_means(fitted, untrained):
    X, y = waves(n_channels=2, seed=4)
    model = VQTextClassifier(**SMALL | {"channel_names": ["a", "b"]})
    model.fit(X, y, init=fitted)
    new, old = (
        names_and_columns(m, m.network_.model.projection.weight)
        for m in (model, fitted)
    )
    by_feature = {}
    for name, column in old.items():
        head, _, feature = name.partition(" | ")
        channel, _, view = head.removeprefix("channel ").partition(" ")
        by_feature.setdefault((view, feature), []).append(column)
        assert channel.isdigit()
    found = 0
    for name, column in new.items():
        view = "change" if " change | " in name else ""
        columns = by_feature.get((view, name.split(" | ", 1)[-1]))
        found += columns is not None
        mean = 0 if columns is None else np.mean(columns, axis=0)
        np.testing.assert_allclose(column, mean, atol=1e-6)
    assert found > 50
    weight = model.network_.model.decoder.to_z.weight.unflatten(0, (2, -1))
    known = fitted.network_.model.decoder.to_z.weight.unflatten(0, (3, -1))
    for channel in weight:
        torch.testing.assert_close(channel, known.mean(0))


def test_an_estimator_can_start_from_itself():
    X, y = waves()
    more, labels = waves(seed=5)
    first, expected = (VQTextClassifier(**SMALL).fit(X, y) for _ in range(2))
    other = VQTextClassifier(**SMALL).fit(more, labels, init=expected)
    first.fit(more, labels, init=first)
    np.testing.assert_array_equal(first.predict_proba(X), other.predict_proba(X))
    for name, tensor in other.network_.model.state_dict().items():
        assert torch.equal(tensor, first.network_.model.state_dict()[name]), name


def test_a_saved_model_is_as_good_a_start(fitted, tmp_path):
    X, y = waves(seed=6)
    loaded = load(save(fitted, tmp_path / "model.safetensors"))
    first, second = (
        VQTextClassifier(**SMALL).fit(X, y, init=each) for each in (fitted, loaded)
    )
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
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


def test_what_is_no_start_is_refused(fitted):
    X, y = waves()
    with pytest.raises(ValueError, match=r"init has 16 codes.*Set n_codes=16"):
        VQTextClassifier(**CLOSED | {"n_codes": 32}).fit(X, y, init=fitted)
    with pytest.raises(TypeError, match=r"init must be a fitted.*LogisticRegression"):
        VQTextClassifier(**CLOSED).fit(X, y, init=LogisticRegression())
    with pytest.raises(NotFittedError):
        VQTextClassifier(**CLOSED).fit(X, y, init=VQTextClassifier())


# -- pretrain ------------------------------------------------------------------------


def test_one_vocabulary_from_panels_of_other_shapes(pretrained):
    assert pretrained.n_channels_ == 1
    assert pretrained.training_stage_ == "trained with text"
    X, y = waves(n_channels=4, n_timepoints=33, seed=7)
    scratch = VQTextClassifier(**SMALL).fit(X, y)
    model = VQTextClassifier(**SMALL).fit(X, y, init=pretrained)
    assert (model.predict(X) == y).all()
    assert model.history_[0]["train_text"] < scratch.history_[0]["train_text"]
    alone = VQTextTransformer(**SMALL).fit(X, init=pretrained)
    assert np.isfinite(alone.similarity(X, ["a slow rhythm"])).all()


def test_panels_count_alike_whatever_their_units_and_sizes(monkeypatch):
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


def test_panels_that_are_none_are_named():
    X, _ = waves()
    with pytest.raises(TypeError, match=r"pretrain\(\[X\]\)"):
        pretrain(X)
    with pytest.raises(ValueError, match="panels is empty"):
        pretrain([])
    with pytest.raises(ValueError, match="at least the number of panels, 2"):
        pretrain([X, X], most_series=1)
    broken = X.copy()
    broken[3, 1, 5] = np.inf
    with pytest.raises(ValueError, match="infinity, at case 3") as told:
        pretrain([X, broken], **CLOSED)
    assert "panels[1]" in told.value.__notes__[0]
