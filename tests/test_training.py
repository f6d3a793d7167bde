"""Training starts from the closed form, which is kept if no epoch is better."""

import numpy as np
import pytest
import torch

from sktext_vq import VQTextClassifier, VQTextTransformer
from sktext_vq._training import trainer
from sktext_vq._training.batches import BatchBuilder
from sktext_vq._training.data import split_cases
from sktext_vq._training.network_trainer import NetworkTrainer

TEXTS = ["a person walks", "a fast rhythm", "level: high"]


def small(estimator=VQTextClassifier, **parameters):
    given = {"text_encoder": "hashing", "max_features": 300, "random_state": 0}
    return estimator(16, **given | parameters)


@pytest.fixture
def any_epoch_is_better(monkeypatch):
    worst = dict.fromkeys(("class", "text", "codes", "affinity"), 1e9)
    monkeypatch.setattr(trainer._Net, "held_out_losses", lambda self: worst)


def outputs(model, X):
    found = [model.similarity(X, TEXTS), model.transform_text(TEXTS)]
    if isinstance(model, VQTextClassifier):
        found += [model.predict_proba(X), model.search(X, TEXTS[1])["score"]]
        found += [model.explain(X[:3]).groupby("case")["contribution"].sum()]
    return found


def test_the_network_starts_from_the_closed_form(many_rhythms, monkeypatch):
    X, y = many_rhythms
    prepare, n_prepared = NetworkTrainer._prepare, [0]

    def checked(self, start, encoder, losses):
        model, batches, codec = prepare(self, start, encoder, losses)
        features = torch.from_numpy(self.values)
        scores = self.values @ start.head.coef + start.head.intercept
        logits = start.head.inverse_temperature * scores + start.head.offset
        assert_close(model.head(features) + model.offset, logits)
        cases, space = start.alignment.cases, start.alignment.spaces(encoder)[-1]
        components = self.values @ cases.coef + cases.intercept
        assert_close(model.embed_series(features), space.embed_series(components))
        captions = batches.texts.texts
        vectors = captions.vectors.double().numpy()
        assert_close(model.text(captions), space.embed_texts(vectors))
        shares = model.decoder(captions, model.tokenizer.codebook).exp()
        assert_close(shares, captions.usage)
        n_prepared[0] += 1
        return model, batches, codec

    monkeypatch.setattr(NetworkTrainer, "_prepare", checked)
    small(max_epochs=1, class_weight="balanced").fit(X, y)
    assert n_prepared == [2]  # first run and second run


def assert_close(found, expected):
    np.testing.assert_allclose(found.detach(), expected, atol=1e-4)


@pytest.mark.parametrize("estimator", [VQTextClassifier, VQTextTransformer])
def test_the_closed_form_is_kept_if_no_epoch_is_better(
    estimator, many_rhythms, monkeypatch
):
    X, y = many_rhythms
    none = dict.fromkeys(("class", "text", "codes", "affinity"), -1e9)
    monkeypatch.setattr(trainer._Net, "held_out_losses", lambda self: none)
    trained = small(estimator, max_epochs=5).fit(X, y)
    assert len(trained.history_) == 3  # patience
    assert set(trained.network_.kept.values()) == {0}
    closed = small(estimator, max_epochs=0).fit(X, y)
    for found, expected in zip(outputs(trained, X), outputs(closed, X), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("estimator", [VQTextClassifier, VQTextTransformer])
def test_all_predictions_use_trained_values(
    estimator, many_rhythms, any_epoch_is_better
):
    X, y = many_rhythms
    trained = small(estimator, max_epochs=2).fit(X, y)
    assert min(trained.network_.kept.values()) > 0
    closed = small(estimator, max_epochs=0).fit(X, y)
    for found, expected in zip(outputs(trained, X), outputs(closed, X), strict=True):
        assert not np.array_equal(found, expected)
        np.testing.assert_allclose(found, expected, 0.2, 0.5)  # small change


def test_each_part_is_trained_on_all_cases_for_its_best_epoch(
    many_rhythms, monkeypatch
):
    X, y = many_rhythms
    seen = []
    build = BatchBuilder.build

    def watched(batches, cases, training):
        if training:
            seen.append(set(cases.tolist()))
        return build(batches, cases, training)

    monkeypatch.setattr(BatchBuilder, "build", watched)
    fitted = small(max_epochs=3).fit(X, y)
    history, kept = fitted.history_, fitted.network_.kept
    n_steps = 6  # six batches of 8 cases
    in_choice = set().union(*seen[: n_steps * len(history)])
    assert len(in_choice) == 48
    assert set().union(*seen[n_steps * len(history) :]) in (set(range(60)), set())
    losses = [row["valid_class"] for row in history]
    assert kept["head"] in (0, 1 + int(np.argmin(losses)))


def test_whole_groups_are_held_out():
    classes, groups = np.arange(100) % 2, np.arange(100) // 7
    cases, held_out = split_cases(classes, groups)
    assert not set(groups[cases]) & set(groups[held_out])
    assert 10 <= len(held_out) <= 30
    cases, held_out = split_cases(classes, None)
    assert len(cases) == 80 and np.bincount(classes[held_out]).tolist() == [10, 10]
    # A class without training cases cannot be predicted.
    rare = np.where(np.arange(100) == 0, 2, classes)
    assert 2 not in rare[split_cases(rare, None)[1]]
    assert len(split_cases(classes[:49], None)[1]) == 0


def test_few_cases_keep_the_closed_form(har_like):
    X, y = har_like
    few = small(max_epochs=5).fit(X, y)
    assert few.history_ == []
    closed = small(max_epochs=0).fit(X, y)
    np.testing.assert_array_equal(few.predict_proba(X), closed.predict_proba(X))


def test_epochs_are_fast(many_rhythms):
    """An epoch takes less time than the computation of the features."""
    X, y = many_rhythms
    model = small(max_epochs=3, max_features=10_000).fit(X, y)
    assert np.median([row["dur"] for row in model.history_]) < 1
