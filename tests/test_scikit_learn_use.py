"""Groups, weights and scores in tools of scikit-learn."""

import numpy as np
import pytest
import sklearn
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import AdaBoostClassifier, StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    GroupKFold,
    LeaveOneGroupOut,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sktext_vq import VQTextClassifier, VQTextTransformer
from sktext_vq._training import fit as fit_module

SMALL = {"n_codes": 16, "max_features": 60, "max_epochs": 0, "random_state": 0}


@pytest.fixture(scope="module")
def people():
    """Return series, labels and people. Classes of different people overlap."""
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(6), 12)
    y = np.tile(["slow", "fast"], 36)
    period = np.where(y == "slow", 8.7, 7.3) + rng.normal(0, 1, 6)[people]
    phase = rng.uniform(0, 6, 72)
    X = np.sin(2 * np.pi * np.arange(40) / period[:, None] + phase[:, None])
    X = np.stack([X, rng.normal(size=(72, 40))], axis=1)
    X += rng.normal(scale=0.6, size=X.shape) + rng.normal(size=6)[people, None, None]
    order = rng.permutation(72)  # neighbours are from different people
    return X[order], y[order], people[order]


@pytest.fixture
def folds(monkeypatch):
    """Return a list to which each fit appends its groups and folds."""
    seen = []

    def spy(classes, n_folds, groups=None):
        found = assign_folds(classes, n_folds, groups)
        seen.append((groups, found))
        return found

    assign_folds = fit_module.assign_folds
    monkeypatch.setattr(fit_module, "assign_folds", spy)
    return seen


def check_folds(folds, n_fits, n_groups):
    """Check that each fit held out whole groups of its training cases."""
    assert len(folds) == n_fits
    for groups, found in folds:
        assert len(np.unique(groups)) in n_groups
        assert len(np.unique(found)) > 1
        for group in np.unique(groups):
            assert len(np.unique(found[groups == group])) == 1


# -- Groups --------------------------------------------------------------------------


def test_groups_reach_splitter_and_fit_in_cross_validation(people, folds):
    X, y, groups = people
    with sklearn.config_context(enable_metadata_routing=True):
        model = VQTextClassifier(**SMALL).set_fit_request(groups=True)
        cross_val_score(model, X, y, cv=GroupKFold(3), params={"groups": groups})
        check_folds(folds, 3, {4})
        folds.clear()
        cv = LeaveOneGroupOut()
        cross_validate(model, X, y, cv=cv, params={"groups": groups})
        check_folds(folds, 6, {5})


def test_without_a_request_groups_reach_the_splitter_only(people, folds):
    X, y, groups = people
    with sklearn.config_context(enable_metadata_routing=True):
        model = VQTextClassifier(**SMALL).set_fit_request(groups=False)
        cross_val_score(model, X, y, cv=GroupKFold(2), params={"groups": groups})
    assert [each for each, _ in folds] == [None, None]


@pytest.mark.parametrize("in_pipeline", [False, True])
def test_groups_reach_fit_in_grid_search(people, folds, in_pipeline):
    X, y, groups = people
    grid = {"max_features": [20, 40]}
    with sklearn.config_context(enable_metadata_routing=True):
        model = VQTextClassifier(**SMALL).set_fit_request(groups=True)
        if in_pipeline:
            model = make_pipeline(FunctionTransformer(np.negative), model)
            grid = {f"vqtextclassifier__{name}": grid[name] for name in grid}
        search = GridSearchCV(model, grid, cv=GroupKFold(3), error_score="raise")
        search.fit(X, y, groups=groups)
    check_folds(folds[:-1], 6, {4})
    check_folds(folds[-1:], 1, {6})  # the final fit to all people
    best = search.best_estimator_[-1] if in_pipeline else search.best_estimator_
    alone = VQTextClassifier(**SMALL | {"max_features": best.max_features})
    alone.fit(-X if in_pipeline else X, y, groups=groups)
    assert best.head_.inverse_temperature == alone.head_.inverse_temperature


def test_probabilities_for_unseen_people_are_modest_with_groups(people):
    X, y, groups = people
    certainty = {}
    with sklearn.config_context(enable_metadata_routing=True):
        for asked in (False, True):
            model = VQTextClassifier(**SMALL).set_fit_request(groups=asked)
            found = cross_val_predict(
                model,
                X,
                y,
                cv=LeaveOneGroupOut(),
                params={"groups": groups},
                method="predict_proba",
            )
            assert log_loss(y, found) < 0.6
            certainty[asked] = found.max(axis=1).mean()
    assert certainty[True] < certainty[False] - 0.02


# -- Weights -------------------------------------------------------------------------


def test_boosting(people):
    rng = np.random.default_rng(1)
    X, y = people[0][:, 0], people[1]
    y_noisy = np.where(rng.random(72) < 0.2, "fast", y)
    base = VQTextClassifier(**SMALL)
    model = AdaBoostClassifier(base, n_estimators=3, random_state=0)
    model.fit(X[:48], y_noisy[:48])
    assert len(model.estimators_) == 3
    assert model.score(X[48:], y[48:]) > 0.6
    # Cases with wrong predictions have a larger weight in the next stage.
    first, second, _ = (each.predict(X[:48]) for each in model.estimators_)
    is_wrong = first != y_noisy[:48]
    assert is_wrong.any()
    assert (second == y_noisy[:48])[is_wrong].mean() > 0.5


def test_weights_of_a_rare_class_move_the_decision(people):
    X, y, _ = people
    rare = np.flatnonzero(y == "slow")[:8]
    cases = np.sort(np.concatenate([np.flatnonzero(y == "fast"), rare]))
    X_train, y_train = X[cases], y[cases]
    weight = np.where(y_train == "slow", 5.0, 1.0)
    test = np.setdiff1d(np.arange(72), cases)
    assert (y[test] == "slow").all()
    plain, weighted = (
        VQTextClassifier(**SMALL)
        .fit(X_train, y_train, sample_weight=each)
        .predict_proba(X[test])[:, 1]
        for each in (None, weight)
    )
    assert weighted.mean() > plain.mean() + 0.05


def test_weights_reach_transformer_and_classifier_of_a_pipeline(people):
    X, y, _ = people
    weight = np.where(np.arange(72) < 40, 1.0, 0.0)
    kinds = {"sample_weight": True}
    with sklearn.config_context(enable_metadata_routing=True):
        model = make_pipeline(
            VQTextTransformer(**SMALL).set_fit_request(**kinds),
            LogisticRegression().set_fit_request(**kinds).set_score_request(**kinds),
        )
        weighted = model.fit(X, y, sample_weight=weight).predict_proba(X)
        expected = model.fit(X[:40], y[:40]).predict_proba(X)
        # The solver of LogisticRegression is accurate up to this tolerance.
        np.testing.assert_allclose(weighted, expected, atol=1e-4)
        search = GridSearchCV(model, {"logisticregression__C": [0.1, 1]}, cv=2)
        search.fit(X, y, sample_weight=1 + weight)
    assert search.best_score_ > 0.7


def test_equal_weights_have_no_effect(people):
    X, y, _ = people
    plain, scalar = (
        VQTextClassifier(**SMALL).fit(X, y, sample_weight=each).decision_function(X)
        for each in (None, 3)
    )
    np.testing.assert_array_equal(plain, scalar)
    with pytest.raises(ValueError, match="Negative values"):
        VQTextClassifier(**SMALL).fit(X, y, sample_weight=-1)


# -- Scores and probabilities --------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 3])
def test_scores_probabilities_and_predictions_agree(people, n_classes):
    X, y, _ = people
    if n_classes == 3:
        y = np.where(np.arange(72) % 3 == 0, "third", y)
    model = VQTextClassifier(**SMALL).fit(X[::2], y[::2])
    scores, proba = model.decision_function(X), model.predict_proba(X)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), proba, atol=1e-12)
    if n_classes == 2:
        assert scores.shape == (72,)
        np.testing.assert_allclose(scores, np.log(proba[:, 1] / proba[:, 0]), atol=1e-9)
        found = model.classes_[(scores > 0).astype(int)]
    else:
        assert scores.shape == (72, 3)
        found = model.classes_[scores.argmax(axis=1)]
    np.testing.assert_array_equal(found, model.predict(X))
    np.testing.assert_array_equal(model.classes_[proba.argmax(axis=1)], found)


def test_areas_under_curves_of_scores_and_probabilities_are_equal(people):
    X, y, _ = people
    model = VQTextClassifier(**SMALL).fit(X[::2], y[::2])
    by_score = roc_auc_score(y, model.decision_function(X))
    by_proba = roc_auc_score(y, model.predict_proba(X)[:, 1])
    assert by_score == pytest.approx(by_proba) and by_score > 0.8


@pytest.mark.parametrize("method", ["sigmoid", "temperature"])
def test_calibration_of_panels(people, method):
    X, y, _ = people
    model = CalibratedClassifierCV(VQTextClassifier(**SMALL), method=method, cv=2)
    proba = model.fit(X[:48], y[:48]).predict_proba(X[48:])
    assert log_loss(y[48:], proba) < 0.6


def test_thresholds(people):
    X, y, _ = people
    model = VQTextClassifier(**SMALL)
    strict = FixedThresholdClassifier(model, threshold=0.9, pos_label="slow")
    found = strict.fit(X, y).predict(X) == "slow"
    expected = strict.estimator_.predict_proba(X)[:, 1] >= 0.9
    np.testing.assert_array_equal(found, expected)
    tuned = TunedThresholdClassifierCV(model, cv=2, thresholds=20).fit(X, y)
    assert tuned.score(X, y) > 0.8


def test_stacking(people):
    X, y, _ = people
    few = VQTextClassifier(**SMALL | {"max_features": 20})
    models = [("more", VQTextClassifier(**SMALL)), ("few", few)]
    model = StackingClassifier(models, cv=2).fit(X[:48], y[:48])
    assert model.score(X[48:], y[48:]) > 0.7


# -- Importances ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def sensors():
    """Return cases whose class depends on gyro_x and on two equal temperatures."""
    rng = np.random.default_rng(0)
    y = np.tile(["b", "a", "c"], 30)
    X = rng.normal(size=(90, 5, 32))
    X[:, 1] += 3 * (y == "a")[:, None]
    X[:, 3:] += 3 * (y == "b")[:, None, None]
    names = ["gyro_y", "gyro_x", "gyro_z", "temperature 1", "temperature 2"]
    return X, y, names


def fit(sensors, **parameters):
    X, y, names = sensors
    model = VQTextClassifier(channel_names=names, **SMALL | parameters)
    return model.fit(X[:60], y[:60])


def test_importances_name_channels_and_sensors(sensors):
    X, y, _ = sensors
    model = fit(sensors)
    table = model.channel_importances(X[60:], y[60:], random_state=0)
    assert table["sensor"].tolist() == [
        *["gyro"] * 4,
        "temperature 1",
        "temperature 2",
    ]
    assert table["channel"].tolist() == [
        *("", "gyro_y", "gyro_x", "gyro_z", "temperature 1", "temperature 2"),
    ]
    found = table.set_index(table["channel"].replace("", "gyro"))["importance"]
    assert found["gyro_x"] > 0.2 and found["gyro"] > 0.2
    # A channel is not important if another channel has the same information.
    assert found[["gyro_y", "gyro_z", "temperature 1"]].abs().max() < 0.1
    assert (table["std"] >= 0).all()
    again = model.channel_importances(X[60:], y[60:], random_state=0)
    assert again.equals(table)


def test_importance_equals_the_loss_by_permutation(sensors):
    X, y, _ = sensors
    model = fit(sensors, gravity=None)
    table = model.channel_importances(X, y, n_repeats=1, random_state=3)
    rng = np.random.RandomState(3)
    members = [[0, 1, 2], [0], [1], [2], [3], [4]]
    for found, channels in zip(table["importance"], members, strict=True):
        moved = X.copy()
        moved[:, channels] = X[rng.permutation(90)][:, channels]
        assert found == pytest.approx(model.score(X, y) - model.score(moved, y))


def test_importances_by_other_scores(sensors):
    X, y, _ = sensors
    model, few = fit(sensors), {"n_repeats": 2, "random_state": 0}
    for scoring in ("neg_log_loss", "roc_auc_ovr"):
        table = model.channel_importances(X, y, scoring=scoring, **few)
        assert table["importance"].argmax() in (0, 2)  # gyro and gyro_x

    def accuracy(model, X, y):
        return np.mean(model.predict(X) == y)

    table = model.channel_importances(X, y, scoring=accuracy, **few)
    assert table.equals(model.channel_importances(X, y, **few))


def test_importances_of_series_with_gravity_and_of_unequal_length():
    rng = np.random.default_rng(0)
    y = np.tile(["lying", "upright"], 20)
    tilt = np.where(y == "lying", 1.5, 0)[:, None] + rng.normal(
        scale=0.1, size=(40, 30)
    )
    X = np.stack([np.sin(tilt), np.cos(tilt), 0 * tilt], axis=1) * 9.81
    X += rng.normal(scale=0.3, size=X.shape)
    series = [each[:, : 20 + i % 10] for i, each in enumerate(X)]
    model = VQTextClassifier(channel_names=["x", "y", "z"], **SMALL)
    model.fit(series, y)
    assert len(model.features_.axes) > 3
    table = model.channel_importances(series, y, random_state=0)
    assert table["sensor"].tolist() == ["sensor"] * 4
    assert table["importance"][0] > 0.3


def test_invalid_arguments_of_importances_are_errors(sensors):
    X, y, _ = sensors
    model = fit(sensors)
    for arguments, message in (
        ({"n_repeats": 0}, "n_repeats must be at least 1"),
        ({"scoring": "no score"}, "no score"),
        ({"random_state": "seed"}, "seed"),
    ):
        with pytest.raises(ValueError, match=message):
            model.channel_importances(X, y, **arguments)
    with pytest.raises(ValueError, match="inconsistent numbers"):
        model.channel_importances(X, y[:-1])
