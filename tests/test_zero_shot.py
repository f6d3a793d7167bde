import numpy as np
import pytest

from sktext_vq import VQTextClassifier
from sktext_vq._zero_shot import ZeroShotSpace

ALL = ["badminton", "running", "standing", "walking"]


@pytest.fixture(scope="module")
def without_walking(basic_motions):
    data = basic_motions
    seen = data.y_train != "walking"
    classifier = VQTextClassifier(random_state=0)
    return classifier.fit(data.X_train[seen], data.y_train[seen])


def test_a_class_is_recognised_from_its_name_alone(without_walking, basic_motions):
    data = basic_motions
    found = without_walking.predict_zero_shot(data.X_test, ALL)
    walking = data.y_test == "walking"
    assert (found[walking] == "walking").mean() >= 0.6
    assert (found[~walking] == data.y_test[~walking]).mean() >= 0.9


def test_candidates_may_change_without_a_fit(without_walking, basic_motions):
    X = basic_motions.X_test
    pair = {"walking": "a person walks at an easy pace", "badminton": ["swings"]}
    found = without_walking.predict_proba_zero_shot(X, pair)
    assert found.shape == (40, 2)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    names = without_walking.predict_zero_shot(X, pair)
    np.testing.assert_array_equal(names, np.array(list(pair))[found.argmax(axis=1)])
    # The order of candidates is that of the columns.
    swapped = dict(reversed(pair.items()))
    np.testing.assert_allclose(
        without_walking.predict_proba_zero_shot(X, swapped)[:, ::-1], found
    )


def test_seen_classes_alone_are_told_apart(without_walking, basic_motions):
    data = basic_motions
    seen = data.y_test != "walking"
    found = without_walking.predict_zero_shot(data.X_test[seen], ALL[:3])
    assert (found == data.y_test[seen]).mean() >= 0.95


@pytest.mark.parametrize(
    ("candidates", "error", "message"),
    [
        ([], ValueError, "empty"),
        (["walking", "walking"], ValueError, r"\['walking'\] more than once"),
        (["walking", 3], TypeError, "got 3"),
        ([" "], ValueError, "empty name"),
        ("walking", TypeError, "list of names"),
        ({"walking": 3}, (TypeError, ValueError), "walking"),
        ({"walking": ""}, ValueError, "walking"),
    ],
)
def test_bad_candidates(without_walking, basic_motions, candidates, error, message):
    with pytest.raises(error, match=message):
        without_walking.predict_zero_shot(basic_motions.X_test, candidates)


def test_texts_lead_to_places_between_those_known():
    """Classes on a line, texts on a line: the class between is found."""
    rng = np.random.default_rng(0)
    position = np.array([0.0, 1.0, 3.0, 4.0])
    classes = np.repeat(np.arange(4), 30)
    direction = rng.normal(size=20)
    features = 4 * position[classes][:, None] * direction + rng.normal(size=(120, 20))
    texts = np.stack([position, 1 + 0 * position, np.zeros(4)], axis=1)
    space = ZeroShotSpace().fit(features, classes, np.random.RandomState(0))
    new = 4 * 2.0 * direction + rng.normal(size=(50, 20))
    everything = np.concatenate([texts, [[2.0, 1, 0]]])
    seen = np.array([0, 1, 2, 3, -1])
    found = space.scores(new, texts, everything, seen).argmax(axis=1)
    assert (found == 4).mean() >= 0.8
    known = space.scores(features, texts, everything, seen).argmax(axis=1)
    assert (known == classes).mean() >= 0.8
