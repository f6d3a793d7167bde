"""Transformers fitted to continuous targets."""

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.feature_selection import f_regression
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags

from sktext_vq import VQTextClassifier, VQTextTransformer, load, save
from sktext_vq._features.selection import FeatureMoments, TargetMoments

FAST = {"max_epochs": 0, "random_state": 0}
ALPHAS = np.logspace(-2, 4, 13)


@pytest.fixture(scope="module")
def waves():
    """Return noisy waves in channel 1, noise in the others, and the frequencies."""
    rng = np.random.default_rng(0)
    frequency = rng.uniform(1, 4, 90)
    phase = rng.uniform(0, 6, 90)
    X = rng.normal(scale=2, size=(90, 3, 60)).cumsum(axis=2)
    X[:, 1] = np.sin(np.outer(frequency, np.arange(60) / 4) + phase[:, None])
    X[:, 1] += rng.normal(scale=0.4, size=(90, 60))
    return X, frequency


def r2(transformer, X, y, y_fit):
    train, test = slice(0, 60), slice(60, None)
    transformer.fit(X[train], None if y_fit is None else y_fit[train])
    model = RidgeCV(ALPHAS).fit(transformer.transform(X[train]), y[train])
    return model.score(transformer.transform(X[test]), y[test])


def test_scores_are_equal_to_scikit_learn():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 8)).astype(np.float32) + 3
    features[:, 3] = 2
    y = rng.normal(size=60) + features[:, 1]
    moments, targets = FeatureMoments(8, 1, 1), TargetMoments(8)
    weight = rng.integers(0, 3, 60).astype(np.float64)
    for part in (slice(0, 25), slice(25, 60)):
        zeros = np.zeros(60, np.int64)[part]
        moments.add(features[part], zeros, zeros, weight[part])
        targets.add(features[part], y[part], weight[part])
    moments.flush()
    rows = np.arange(60).repeat(weight.astype(int))
    others = np.arange(8) != 3
    expected = f_regression(features[rows][:, others], y[rows])[0]
    found = targets.scores(moments)
    assert found[3] == 0  # a constant
    np.testing.assert_allclose(found[others], expected, rtol=1e-3, atol=1e-4)


def test_few_features_that_predict_the_target_are_selected(waves):
    X, y = waves
    few = VQTextTransformer(max_features=40, **FAST)
    assert r2(few, X, y, y) > 0.9
    names = few.get_feature_names_out()
    assert sum(name.startswith("channel 1") for name in names) > 35
    assert r2(few, X, y, None) < 0.8


def test_unit_and_offset_of_targets_do_not_matter(waves):
    X, y = waves
    model = VQTextTransformer(max_features=100, **FAST)
    names = model.fit(X, y).get_feature_names_out().tolist()
    for other in (-1e12 * y, 1e300 * y, 1e6 + y, y.astype(np.float32)):
        found = model.fit(X, other).get_feature_names_out().tolist()
        assert len(set(names) & set(found)) >= 97  # rounding decides ties


def test_pipeline_and_cross_validation(waves):
    X, y = waves
    model = make_pipeline(VQTextTransformer(**FAST), RidgeCV(ALPHAS))
    assert cross_val_score(model, X, y, cv=3).min() > 0.9


def test_whole_numbers_are_continuous_once_they_are_scaled(waves):
    X, y = waves
    counts = np.round(20 * y)  # whole floats are classes, as in scikit-learn
    model = make_pipeline(VQTextTransformer(max_features=40, **FAST), RidgeCV(ALPHAS))
    scaled = TransformedTargetRegressor(model, transformer=StandardScaler())
    scaled.fit(X[:60], counts[:60])
    assert scaled.score(X[60:], counts[60:]) > 0.9
    assert scaled.regressor_[0].code_statistics_.labels is None


def test_numbers_are_not_used_as_labels_in_training(waves):
    X, y = waves
    model = VQTextTransformer(max_epochs=2, text_encoder="hashing", random_state=0)
    model.fit(X[:, 1:2], y)
    assert model.training_stage_ == "trained with text"
    assert all(len(text.split()) > 3 for text in model.prompts_)  # captions
    assert not {"class", "valid_class"} & model.history_[-1].keys()
    table = model.describe_codes()
    assert not {"class", "lift"} & set(table)
    with pytest.raises(ValueError, match="requires labels: y is continuous"):
        model.set_params(text="labels").fit(X, y)


def test_weights_count_in_the_selection(waves):
    X, y = waves
    rng = np.random.default_rng(1)
    wrong = np.where(np.arange(90) % 3 == 0, y, rng.permutation(y))
    few = VQTextTransformer(max_features=40, **FAST)
    weighted = few.fit(X, wrong, sample_weight=(np.arange(90) % 3 == 0) + 1e-6)
    names = weighted.get_feature_names_out()
    assert sum(name.startswith("channel 1") for name in names) > 35


def test_constant_target_is_ignored(waves):
    X = waves[0][:20]
    expected = VQTextTransformer(max_features=50, **FAST).fit(X)
    found = VQTextTransformer(max_features=50, **FAST).fit(X, np.full(20, 0.5))
    np.testing.assert_array_equal(found.transform(X), expected.transform(X))


def test_saved_and_loaded(waves, tmp_path):
    X, y = waves
    model = VQTextTransformer(max_features=50, **FAST).fit(X, y)
    loaded = load(save(model, tmp_path / "model.safetensors"))
    np.testing.assert_array_equal(loaded.transform(X), model.transform(X))
    assert loaded.describe_codes().equals(model.describe_codes())


def test_checkpoint_belongs_to_its_targets(waves, tmp_path):
    X, y = waves
    model = VQTextTransformer(max_epochs=1, text_encoder="hashing", random_state=0)
    model.set_params(max_features=50)
    path = tmp_path / "state.safetensors"
    expected = model.fit(X, y, checkpoint=path).transform(X)
    again = model.fit(X, y, checkpoint=path).transform(X)
    np.testing.assert_array_equal(again, expected)
    with pytest.raises(ValueError, match=r"y \("):
        model.fit(X, y[::-1], checkpoint=path)


def test_warm_start_and_copies(waves):
    X, y = waves
    first = VQTextTransformer(**FAST).fit(X, y)
    again = VQTextTransformer(max_features=50, augment={"noise": 0.1}, **FAST)
    assert again.fit(X, y, init=first).transform(X).shape == (90, 50)
    np.testing.assert_array_equal(again.codebook_, first.codebook_)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (lambda y: np.stack([y, y], axis=1), "1d array"),
        (lambda y: np.where(y > 3, np.nan, y), "contains NaN"),
        (lambda y: np.where(y > 3, np.inf, y), "infinity"),
        (lambda y: y + 1j, "[Cc]omplex"),
        (lambda y: y[:-1], "inconsistent numbers"),
    ],
)
def test_invalid_targets_are_errors(waves, y, message):
    X, target = waves
    with pytest.raises(ValueError, match=message):
        VQTextTransformer(**FAST).fit(X, y(target))


def test_classifier_needs_classes(waves):
    X, y = waves
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        VQTextClassifier(**FAST).fit(X, y)
    assert get_tags(VQTextClassifier()).target_tags.required
    assert not get_tags(VQTextTransformer()).target_tags.required
