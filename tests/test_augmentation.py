import numpy as np
import pytest

from sktext_vq import VQTextClassifier, VQTextTransformer
from sktext_vq._features.augmentation import add_copies
from sktext_vq.panel import as_panel

TRIADS = [(0, 1, 2), (3, 4, 5)]


@pytest.fixture
def panel():
    X = np.random.default_rng(0).normal(3, 1, size=(200, 7, 50))
    return as_panel(X)


def copies(panel, **augment):
    found = add_copies(panel, TRIADS, augment, np.random.RandomState(0))
    assert found.n_cases == 2 * panel.n_cases
    # Each original series precedes its copy and is unchanged.
    np.testing.assert_array_equal(found.values[::2], panel.values)
    return found.values[1::2]


def test_rotation_turns_all_sensors_of_a_case_together(panel):
    found = copies(panel, rotation=90)
    for axes in TRIADS:
        np.testing.assert_allclose(
            np.linalg.norm(found[:, axes], axis=1),
            np.linalg.norm(panel.values[:, axes], axis=1),
        )
    between = np.einsum("nct,nct->nt", *(found[:, axes] for axes in TRIADS))
    before = np.einsum("nct,nct->nt", *(panel.values[:, axes] for axes in TRIADS))
    np.testing.assert_allclose(between, before)
    assert not np.allclose(found[:, :6], panel.values[:, :6])
    np.testing.assert_array_equal(found[:, 6], panel.values[:, 6])


def test_gain_is_one_factor_of_the_movement_of_a_sensor(panel):
    found = copies(panel, gain=0.3)
    np.testing.assert_allclose(found.mean(axis=2), panel.values.mean(axis=2))
    factor = np.log(found.std(axis=2) / panel.values.std(axis=2))
    for axes in (*TRIADS, (6,)):
        own = factor[:, list(axes)]
        np.testing.assert_allclose(own, own[:, :1].repeat(len(axes), axis=1))
        assert 0.2 < own[:, 0].std() < 0.4


def test_noise_is_in_units_of_the_channel(panel):
    added = copies(panel, noise=0.5) - panel.values
    np.testing.assert_allclose(
        added.std(axis=(0, 2)) / panel.values.std(axis=(0, 2)), 0.5, rtol=0.05
    )


def test_dropout_silences_one_whole_sensor(panel):
    found = copies(panel, dropout=0.5)
    silent = (found == 0).all(axis=2)
    assert 0.35 < silent.any(axis=1).mean() < 0.65
    for axes in TRIADS:
        assert (silent[:, axes].sum(axis=1) % 3 == 0).all()
    lost = silent[:, [0, 3, 6]].sum(axis=1)
    assert lost.max() == 1
    np.testing.assert_array_equal(found[~silent], panel.values[~silent])


def test_gaps_are_one_stretch_in_all_channels_and_keep_the_length(panel):
    found = copies(panel, gap=0.4)
    missing = np.isnan(found)
    assert (missing == missing[:, :1]).all()
    share = missing[:, 0].mean(axis=1)
    assert share.max() <= 0.42
    assert 0.1 < share.mean() < 0.3
    assert not missing[:, :, [0, -1]].any()
    assert (np.abs(np.diff(missing[:, 0].astype(int))).sum(axis=1) <= 2).all()


def test_series_of_unequal_length_and_with_gaps_stay_so():
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(7, length)) for length in (20, 50, 35)]
    X[1][2, 10:15] = np.nan
    panel = as_panel(X)
    augment = {"gain": 0.3, "rotation": 90, "noise": 0.1, "dropout": 1, "gap": 0.5}
    found = add_copies(panel, TRIADS, augment, np.random.RandomState(0))
    assert found.lengths.tolist() == [20, 20, 50, 50, 35, 35]
    for values, length in zip(found.values, found.lengths, strict=True):
        assert np.isnan(values[:, length:]).all()
        assert np.isfinite(values[:, [0, length - 1]]).any()


def test_training_with_changes_withstands_them(basic_motions):
    data = basic_motions
    noise = np.random.default_rng(0).normal(size=data.X_test.shape)
    noisy = data.X_test + 0.3 * data.X_train.std(axis=(0, 2))[:, None] * noise
    plain, robust = (
        VQTextClassifier(max_epochs=0, augment=augment, random_state=0).fit(
            data.X_train, data.y_train
        )
        for augment in (None, {"noise": 0.3, "copies": 2})
    )
    assert robust.score(noisy, data.y_test) >= plain.score(noisy, data.y_test) + 0.1
    assert robust.score(data.X_test, data.y_test) >= 0.9


def test_fit_with_copies_is_repeatable_and_keeps_texts_and_groups_apart(har_like):
    X, y = har_like
    text = [f"somebody is {label}" for label in y]
    groups = np.arange(len(X)) % 5

    def fitted():
        model = VQTextClassifier(
            max_epochs=1,
            max_features=300,
            text_encoder="hashing",
            augment={"noise": 0.1},
            class_weight="balanced",
            random_state=0,
        )
        return model.fit(X, y, text=text, groups=groups).predict_proba(X)

    np.testing.assert_array_equal(fitted(), fitted())
    transformer = VQTextTransformer(max_epochs=0, augment={"gap": 0.2}, random_state=0)
    assert len(transformer.fit_transform(X, y)) == len(X)


@pytest.mark.parametrize(
    ("augment", "error", "message"),
    [
        ("noise", TypeError, "a dict .* got str"),
        ({"jitter": 1}, ValueError, r"\['jitter'\].*Available changes: \['copies'"),
        ({"noise": -1}, ValueError, r"augment\['noise'\].*from 0 to 10, got -1"),
        ({"gap": 1.0}, ValueError, r"augment\['gap'\].*from 0 to 0.9"),
        ({"gain": float("nan")}, ValueError, r"augment\['gain'\]"),
        ({"noise": 0.1, "copies": 0}, ValueError, r"augment\['copies'\].*got 0"),
    ],
)
def test_bad_changes(har_like, augment, error, message):
    with pytest.raises(error, match=message):
        VQTextClassifier(max_epochs=0, augment=augment).fit(*har_like)
