import numpy as np
import pytest
from sklearn.feature_selection import f_classif

from sktext_vq._features.selection import (
    FeatureMoments,
    FeatureScaler,
    assign_folds,
    keep_best,
)


def gathered(features, classes, folds, n_folds=3, size=7):
    moments = FeatureMoments(features.shape[1], classes.max() + 1, n_folds)
    for start in range(0, len(features), size):
        part = slice(start, start + size)
        moments.add(features[part], classes[part], folds[part])
    moments.flush()
    return moments


@pytest.mark.parametrize("waiting", [0, 10**9])
def test_scores_equal_those_of_scikit_learn(monkeypatch, waiting):
    monkeypatch.setattr("sktext_vq._features.selection._WAITING_VALUES", waiting)
    sizes, flush = [], FeatureMoments.flush

    def noting(self):
        before = self.counts.sum()
        flush(self)
        sizes.append(self.counts.sum() - before)

    monkeypatch.setattr(FeatureMoments, "flush", noting)
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, 60)
    features = (rng.normal(size=(60, 20)) + classes[:, None] % 2).astype(np.float32)
    folds = assign_folds(classes, 3)
    moments = gathered(features, classes, folds)
    assert [n for n in sizes if n] == ([60] if waiting else [7] * 8 + [4])
    np.testing.assert_allclose(
        moments.scores(), f_classif(features, classes)[0], rtol=1e-4
    )
    rest = folds != 1
    np.testing.assert_allclose(
        moments.scores(left_out=1),
        f_classif(features[rest], classes[rest])[0],
        rtol=1e-4,
    )
    mean, scale = moments.mean_and_scale()
    np.testing.assert_allclose(mean, features.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(scale, features.std(axis=0), rtol=1e-4)


def test_features_that_do_not_vary_come_last():
    rng = np.random.default_rng(0)
    classes = np.arange(30) % 2
    features = rng.normal(size=(30, 4)).astype(np.float32)
    features[:, 1] = 1 / 3
    scores = gathered(features, classes, np.zeros(30, int), 1).scores()
    assert scores[1] == 0
    assert (np.delete(scores, 1) > 0).all()
    assert keep_best(scores, 3).tolist() == [0, 2, 3]


@pytest.mark.parametrize("n_kept", [0, 1, 7, 19, 20, 30])
def test_ties_prefer_the_first_features(n_kept):
    scores = np.random.default_rng(0).integers(4, size=20).astype(float)
    best = np.argsort(-scores, kind="stable")[:n_kept]
    kept = keep_best(scores, n_kept)
    assert kept.dtype == np.int64
    assert kept.tolist() == sorted(best)


def test_one_class_is_scored_by_variance():
    features = np.array([[0, 1, 5], [0, 3, 5], [0, 2, 5]], np.float32)
    zeros = np.zeros(3, int)
    scores = gathered(features, zeros, zeros, 1).scores()
    assert scores.argmax() == 1
    assert scores[0] == 0


def test_folds_are_stratified():
    classes = np.repeat([0, 1, 2], [40, 9, 1])
    folds = assign_folds(classes, 4)
    for label, least, most in [(0, 10, 10), (1, 2, 3), (2, 0, 1)]:
        counts = np.bincount(folds[classes == label], minlength=4)
        assert least <= counts.min() <= counts.max() <= most


def test_folds_keep_neighbours_and_groups_together():
    classes = np.tile([0, 1], 20)
    folds = assign_folds(classes, 4)
    assert (np.diff(folds[classes == 0]) != 0).sum() == 3
    groups = np.tile(np.repeat(np.arange(5), 2), 4)  # not sorted
    folds = assign_folds(classes, 4, groups)
    assert set(folds) == {0, 1, 2, 3}
    for group in range(5):
        assert len(set(folds[groups == group])) == 1
    assert set(assign_folds(classes, 4, groups % 2)) == {0, 1}


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e5])
def test_scales_are_standard_deviations_also_far_from_zero(size):
    random = np.random.default_rng(0)
    features = np.float32(size) + random.normal(size=(2000, 3)).astype(np.float32)
    features[:, 2] = features[0, 2]
    scaler = FeatureScaler.fit(features, np.ones(3, np.float32))
    expected = features.std(axis=0, dtype=np.float64)
    np.testing.assert_allclose(scaler.scale[:2], expected[:2], rtol=1e-6)
    assert scaler.scale[2] == 1  # a constant feature
