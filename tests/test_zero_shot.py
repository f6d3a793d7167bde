import re
import warnings

import numpy as np
import pytest

from sktext_vq import DriftWarning, VQTextClassifier
from sktext_vq._utils.state import Sizes
from sktext_vq._zero_shot.embedding import ZeroShotSpace
from sktext_vq.text import TextEncoder

ALL = ["badminton", "running", "standing", "walking"]
LETTERS = "abcdefghijklmnopqrstuvwxyzäöüßåøæéèêàâíóúñç"


@pytest.fixture(scope="module")
def without_walking(basic_motions):
    data = basic_motions
    seen = data.y_train != "walking"
    classifier = VQTextClassifier(random_state=0)
    return classifier.fit(data.X_train[seen], data.y_train[seen])


def test_a_class_is_recognised_from_its_name_alone(without_walking, basic_motions):
    """Few series of the training classes are assigned to an unseen candidate."""
    data = basic_motions
    right = without_walking.predict_zero_shot(data.X_test, ALL) == data.y_test
    new = data.y_test == "walking"
    assert right[new].mean() >= 0.7
    assert right[~new].mean() >= 0.85


def test_series_of_no_known_class_are_unknown(without_walking, basic_motions):
    data = basic_motions
    found = without_walking.predict_zero_shot(data.X_test, ALL[:3], "none of these")
    new = data.y_test == "walking"
    assert (found[new] == "none of these").mean() >= 0.7
    assert (found[~new] == "none of these").mean() <= 0.15
    proba = without_walking.predict_proba_zero_shot(data.X_test, ALL[:3], "new")
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    np.testing.assert_array_equal(proba[:, -1] > 0.5, found == "none of these")
    # The order of the other candidates does not change.
    plain = without_walking.predict_proba_zero_shot(data.X_test, ALL)
    proba = without_walking.predict_proba_zero_shot(data.X_test, ALL, "new")
    np.testing.assert_allclose(proba[:, :4], plain * (1 - proba[:, 4:]))


def test_invalid_unknown_labels(without_walking, basic_motions):
    X = basic_motions.X_test[:2]
    with pytest.raises(ValueError, match="'walking' is also a candidate"):
        without_walking.predict_zero_shot(X, ALL, "walking")
    with pytest.raises(TypeError, match="string or None, got 3"):
        without_walking.predict_zero_shot(X, ALL, 3)
    two = np.isin(basic_motions.y_train, ALL[:2])
    model = VQTextClassifier(16, text_encoder="hashing", random_state=0)
    model.fit(basic_motions.X_train[two], basic_motions.y_train[two])
    with pytest.raises(ValueError, match="at least three classes"):
        model.predict_zero_shot(X, ALL[:2], "unknown")


def test_groups_are_held_out_for_the_threshold():
    """Series of new groups are farther away than new series of known groups."""
    rng = np.random.default_rng(0)
    classes, groups = np.tile(np.arange(4), 60), np.repeat(np.arange(8), 30)
    shifts = rng.normal(size=(8, 20))
    features = 4 * np.eye(4, 20)[classes] + shifts[groups] + rng.normal(size=(240, 20))
    spaces = [
        ZeroShotSpace().fit(features, classes, np.random.RandomState(0), groups=each)
        for each in (None, groups)
    ]
    assert spaces[0].shift == 0
    new = 4 * np.eye(4, 20)[classes] + rng.normal(size=20) + rng.normal(size=(240, 20))
    refused = [
        (each.unknown_probability(new @ each.basis - each.centre) > 0.5).mean()
        for each in spaces
    ]
    assert spaces[1].shift > 0 and refused[1] <= refused[0]
    views = rng.normal(size=(1, 9, 8))  # of four training classes and five candidates
    points = new @ spaces[1].basis - spaces[1].centre
    args = np.zeros((240, 4)), views, np.array([0, 1, 2, 3, -1])
    with_shift = spaces[1].score(points, *args)[:, -1]
    spaces[1].shift = 0.0
    assert (with_shift < spaces[1].score(points, *args)[:, -1]).all()


def test_features_outside_the_space_are_unknown(line):
    space, _ = line
    points = space.centres[:1].repeat(2, axis=0)
    usual = space.residual_limits[0] - 3 * space.residual_spread
    residuals = np.array([usual, space.residual_limits[0] + 1])
    found = space.unknown_probability(points, residuals)
    assert found[0] < 0.5 < found[1]


def test_models_of_early_versions_have_neither_shift_nor_limits(line):
    space, rng = line
    state = space.get_state()
    for name in ("shift", "residual_limits", "residual_spread"):
        del state[name]
    again = ZeroShotSpace.from_state(state, Sizes(n_classes=len(space.centres)))
    points = rng.normal(size=(5, len(space.centre)))
    np.testing.assert_array_equal(
        again.unknown_probability(points, np.full(5, 1e9)),
        space.unknown_probability(points),
    )


def test_captions_of_noise_name_no_class(basic_motions):
    """The classifier has high probabilities for noise in all channels."""
    model = VQTextClassifier(random_state=0, sampling_rate=10)
    model.fit(basic_motions.X_train, basic_motions.y_train)
    noise = 5 * np.random.default_rng(0).normal(size=(20, 6, 100))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DriftWarning)
        captions = model.caption(noise)
    assert not any("Probably" in caption for caption in captions)
    captions = model.caption(basic_motions.X_test)
    assert sum("Probably" in caption for caption in captions) > 30


def test_candidates_may_change_without_a_fit(without_walking, basic_motions):
    X = basic_motions.X_test
    pair = {"walking": "a person walks at an easy pace", "badminton": ["swings"]}
    found = without_walking.predict_proba_zero_shot(X, pair)
    assert found.shape == (40, 2)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    names = without_walking.predict_zero_shot(X, pair)
    np.testing.assert_array_equal(names, np.array(list(pair))[found.argmax(axis=1)])
    # Columns are in the order of the candidates.
    swapped = dict(reversed(pair.items()))
    np.testing.assert_allclose(
        without_walking.predict_proba_zero_shot(X, swapped)[:, ::-1], found
    )


@pytest.mark.parametrize(
    ("candidates", "error", "message"),
    [
        ([], ValueError, "empty"),
        (["walking", "walking"], ValueError, r"\['walking'\] more than once"),
        (["walking", 3], TypeError, "got 3"),
        ([" "], ValueError, "empty string"),
        ("walking", TypeError, "list of strings"),
        ({"walking": 3}, (TypeError, ValueError), "walking"),
        ({"walking": ""}, ValueError, "walking"),
    ],
)
def test_invalid_candidates(without_walking, basic_motions, candidates, error, message):
    with pytest.raises(error, match=message):
        without_walking.predict_zero_shot(basic_motions.X_test, candidates)


def on_a_line(positions, n_cases, rng):
    """Return series of classes that lie on a line in 20 dimensions."""
    direction = np.full(20, 1.0)
    places = 4 * np.repeat(positions, n_cases)[:, None] * direction
    return places + rng.normal(size=places.shape)


def views_of(positions):
    """Return text vectors with the position of a class on the line, in one view."""
    positions = np.asarray(positions, np.float64)
    return np.stack([positions, 1 + 0 * positions, 0 * positions], axis=1)[None]


@pytest.fixture
def line():
    rng = np.random.default_rng(0)
    positions = np.array([0.0, 1.0, 3.0, 4.0])
    classes = np.repeat(np.arange(4), 30)
    features = on_a_line(positions, 30, rng)
    return ZeroShotSpace().fit(features, classes, np.random.RandomState(0)), rng


def test_classes_between_training_classes_are_recognised(line):
    """An unseen class between two training classes is recognised."""
    space, rng = line
    features = on_a_line([2.0, 0.0, 1.0, 3.0, 4.0], 50, rng)
    true = np.repeat([4, 0, 1, 2, 3], 50)
    near = np.log(np.full((250, 4), 0.01) + np.eye(5, 4)[[4, 0, 1, 2, 3]].repeat(50, 0))
    views = views_of([0, 1, 3, 4, 0, 1, 3, 4, 2])
    scores = space.score(
        features @ space.basis - space.centre, near, views, np.array([0, 1, 2, 3, -1])
    )
    np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1)
    found = scores.argmax(axis=1)
    assert (found[true == 4] == 4).mean() >= 0.8
    assert (found[true != 4] == true[true != 4]).mean() >= 0.7


def scores_of_two_unseen(space, features, views):
    points = features @ space.basis - space.centre
    return space.score(points, np.zeros((len(points), 4)), views, np.array([-1, -1]))


@pytest.mark.parametrize("more", ["none", "noise", "silent"])
def test_unseen_candidates_are_distinguished_by_their_texts(line, more):
    """Views that contradict the series, or lack texts, have a small weight."""
    space, rng = line
    features = on_a_line([2.0, 5.0], 50, rng)
    view = views_of([0, 1, 3, 4, 2, 5])
    partly = view.copy()
    partly[:, [1, 5]] = np.nan
    others = {
        "none": [],
        "noise": [rng.normal(size=(1, 6, 3))],
        "silent": [partly, np.full_like(view, np.nan)],
    }
    scores = scores_of_two_unseen(
        space, features, np.concatenate([view, *others[more]])
    )
    assert (scores.argmax(axis=1) == np.repeat([0, 1], 50)).mean() >= 0.9


def test_unlikely_candidates_cause_a_warning_with_a_figure(
    without_walking, basic_motions
):
    X = basic_motions.X_test[:2]
    with pytest.warns(UserWarning, match=r"'quarterly tax return'.* is 0\.\d\d"):
        without_walking.predict_zero_shot(X, ["quarterly tax return", "walking"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        without_walking.predict_zero_shot(X, ALL)


def test_two_training_classes_are_sufficient(basic_motions):
    data = basic_motions
    seen = np.isin(data.y_train, ["standing", "running"])
    model = VQTextClassifier(max_epochs=0, random_state=0)
    model.fit(data.X_train[seen], data.y_train[seen])
    found = model.predict_proba_zero_shot(data.X_test, ALL)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    known = np.isin(data.y_test, ["standing", "running"])
    names = np.array(ALL)[found.argmax(axis=1)]
    assert (names[known] == data.y_test[known]).mean() >= 0.7


def test_labels_without_words_need_texts(basic_motions):
    data = basic_motions
    y = np.unique(data.y_train, return_inverse=True)[1]
    model = VQTextClassifier(max_epochs=0, random_state=0).fit(data.X_train, y)
    with pytest.raises(ValueError, match=r"not words.*text=\{label: texts\}"):
        model.predict_zero_shot(data.X_test, ["walking"])
    own = dict(enumerate(ALL))
    model = VQTextClassifier(max_epochs=0, text=own, random_state=0)
    model.fit(data.X_train, y)
    table = model.describe_candidates(["jogging", "sitting still"])
    assert table["nearest"].tolist() == ["1", "2"]


def test_candidates_are_described(without_walking):
    table = without_walking.describe_candidates(
        {"jogging": "a person runs slowly", "standing": "stands"}
    ).set_index("candidate")
    assert table["seen"].to_dict() == {"jogging": False, "standing": True}
    assert table.loc["jogging", "nearest"] == "running"
    assert 0 < table.loc["jogging", "cosine"] < 1
    assert table.loc["jogging", "like"][0] == "running"
    assert "a person runs slowly" in table.loc["jogging", "texts"]
    assert "hard impacts with very high peaks" in table.loc["jogging", "texts"]


def test_seen_candidates_have_the_probabilities_of_the_classifier(
    without_walking, basic_motions
):
    X = basic_motions.X_test
    names = ["standing", "badminton", "running"]
    found = without_walking.predict_proba_zero_shot(X, names)
    columns = [list(without_walking.classes_).index(name) for name in names]
    np.testing.assert_allclose(
        found, without_walking.predict_proba(X)[:, columns], atol=1e-9
    )


def test_results_do_not_depend_on_batches(without_walking, basic_motions):
    X = basic_motions.X_test
    every = without_walking.predict_proba_zero_shot(X, ALL)
    some = without_walking.predict_proba_zero_shot(X[3:5], ALL)
    np.testing.assert_allclose(every[3:5], some, atol=1e-6)


def test_search_ranks_series_by_a_sentence(without_walking, basic_motions):
    data = basic_motions
    for text, wanted in (
        ("running", "running"),
        ("a person runs very fast", "running"),
        ("somebody stands still", "standing"),
    ):
        table = without_walking.search(data.X_test, text)
        assert sorted(table["case"]) == list(range(40))
        assert (np.diff(table["score"]) <= 0).all()
        top = data.y_test[table["case"][:10]]
        assert (top == wanted).mean() >= 0.8, text


def test_search_raises_errors_for_invalid_texts(without_walking, basic_motions):
    with pytest.raises(TypeError, match="a string, got 3"):
        without_walking.search(basic_motions.X_test, 3)
    with pytest.raises(ValueError, match="empty"):
        without_walking.search(basic_motions.X_test, " ")


def test_captions_describe_the_series(without_walking, basic_motions):
    """Captions contain the class and its probability, if the class is likely."""
    data = basic_motions
    captions = without_walking.caption(data.X_test)
    assert captions.shape == (40,)
    for label in ALL[:3]:
        own = captions[data.y_test == label]
        assert np.mean([f"Probably {label} (" in each for each in own]) >= 0.7
    walking = captions[data.y_test == "walking"]
    assert np.mean(["Probably" in each for each in walking]) <= 0.3
    still = captions[data.y_test == "standing"]
    assert np.mean(["very weak" in each for each in still]) >= 0.9
    assert all(each.startswith("All in all the recording is ") for each in captions)


def test_captions_can_be_chosen_from_sentences(without_walking, basic_motions):
    data = basic_motions
    texts = ["somebody runs fast", "nobody moves", "hitting with a racket"]
    found = without_walking.caption(data.X_test, texts)
    for label, text in zip(["running", "standing", "badminton"], texts, strict=True):
        assert (found[data.y_test == label] == text).mean() >= 0.8
    with pytest.raises(ValueError, match="texts is empty"):
        without_walking.caption(data.X_test, [])
    with pytest.raises(TypeError, match="texts must be a list of strings"):
        without_walking.caption(data.X_test, "somebody runs")


def test_texts_take_precedence_over_names(without_walking, basic_motions):
    """Only the text of a candidate is used, whatever its name."""
    data = basic_motions
    is_walking = data.y_test == "walking"
    seen = dict.fromkeys(ALL[:3])
    for name, text in (
        ("activity 4", "walking"),
        ("activity 4", "A person is walking."),
        ("sleeping", "Somebody walks."),
    ):
        found = without_walking.predict_zero_shot(data.X_test, {**seen, name: text})
        assert (found[is_walking] == name).mean() >= 0.5, text
    wrong = {**seen, "walking": "A person sprints."}
    found = without_walking.predict_zero_shot(data.X_test, wrong)
    assert (found[is_walking] == "walking").mean() <= 0.4
    texts = without_walking.describe_candidates(wrong)["texts"].iloc[-1]
    assert not any("walk" in text or "light taps" in text for text in texts)


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        ([*ALL[:3], "walkin"], r"'walkin'.* mean 'walking', .*in the prompt bank"),
        ([*ALL, "badmington"], r"'badmington'.* mean 'badminton', .*a training class"),
        ([*ALL, "Run"], r"'Run'.* mean 'running', .*a training class"),
        (["walking"], "'walking' is the only candidate"),
        (["standing"], "'standing' is the only candidate"),
    ],
)
def test_doubtful_candidates_cause_a_warning(
    without_walking, basic_motions, candidates, message
):
    with pytest.warns(UserWarning, match=message) as caught:
        without_walking.predict_zero_shot(basic_motions.X_test[:2], candidates)
    (warning,) = [each for each in caught if re.search(message, str(each.message))]
    assert warning.filename == __file__


def test_valid_names_do_not_cause_a_warning(without_walking, basic_motions):
    names = [*ALL, "walking upstairs", "walking downstairs", "rope jumping"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        without_walking.predict_zero_shot(basic_motions.X_test[:2], names)
        # A candidate with a text does not cause a warning about its name.
        about = {**dict.fromkeys(ALL), "walkin": "A person walks."}
        without_walking.predict_zero_shot(basic_motions.X_test[:2], about)


def test_zero_shot_predictions_are_explained(without_walking, basic_motions):
    X = basic_motions.X_test
    table = without_walking.explain_zero_shot(X, ALL)
    found = without_walking.predict_proba_zero_shot(X, ALL)
    np.testing.assert_allclose(table["probability"], found.max(axis=1))
    assert table["label"].tolist() == np.array(ALL)[found.argmax(axis=1)].tolist()
    np.testing.assert_allclose(table["second_probability"], np.sort(found)[:, -2])
    assert (table["second"] != table["label"]).all()
    assert table["like"].tolist() == without_walking.predict(X).tolist()
    for label, reasons in zip(table["label"], table["reasons"], strict=True):
        if label == "walking":
            assert reasons and all("series and text are" in each for each in reasons)
        else:
            assert "training class" in reasons[0]


def doubts(model, X, candidates):
    """Return the message of the only warning of a call, or None."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.predict_proba_zero_shot(X, candidates)
    assert len(caught) <= 1
    return str(caught[0].message) if caught else None


def test_a_thousand_candidates_give_one_warning_and_encode_few_texts(basic_motions):
    data, encoded = basic_motions, []

    def encode(texts):
        encoded.extend(texts)
        return TextEncoder("hashing").transform(texts)

    model = VQTextClassifier(16, max_epochs=0, text_encoder=encode, random_state=0)
    model.fit(data.X_train, data.y_train)
    names = [f"{a}{b} {c}" for a in "bdfgk" for b in "aeiou" for c in LETTERS]
    message = doubts(model, data.X_test[:2], [*names, "walkin", "seated", "sit"])
    assert message.count("mean 'walking'") == 1
    assert "'seated' and 'sit' have the same texts" in message
    assert re.search(r"\d\d\d candidates have dissimilar texts", message)
    assert len(message) < 2000
    assert len(names) < len(encoded) < 1.2 * len(names)
    # All prompts are encoded for few candidates only.
    encoded.clear()
    doubts(model, data.X_test[:2], names[:50])
    assert len(encoded) > 200


@pytest.mark.parametrize(
    ("candidates", "tied"),
    [
        (["🏃", "🚴", "walking"], "'🏃' and '🚴' have the same"),
        ({"p": "A dog barks.", "q": "A dog barks.", "r": "rain"}, "'p' and 'q' have"),
        ({"p": "caf\u00e9", "q": "cafe\u0301", "r": "rain"}, "'p' and 'q' have"),
        (["jog", "jogging", "walking"], "'jog' and 'jogging' have the same"),
    ],
)
def test_candidates_with_the_same_texts_cause_a_warning(
    without_walking, basic_motions, candidates, tied
):
    assert tied in doubts(without_walking, basic_motions.X_test[:2], candidates)


def test_composed_and_decomposed_letters_are_equal(basic_motions):
    data = basic_motions
    names = {"standing": "caf\u00e9", "running": "na\u00efvet\u00e9"}
    y = [names.get(label, label) for label in data.y_train]
    about = {"cafe\u0301": "a person stands still", names["running"]: "someone runs"}
    about |= dict.fromkeys(["badminton", "walking"], "a person moves")
    model = VQTextClassifier(
        16, max_epochs=0, text=about, text_encoder="hashing", random_state=0
    )
    model.fit(data.X_train, y)
    found = model.describe_candidates(["cafe\u0301", "walking", "cre\u0300me"])
    assert found["seen"].tolist() == [True, True, False]
    assert "a person stands still" in found["texts"][0]
    X = data.X_test
    np.testing.assert_allclose(
        model.predict_proba_zero_shot(X, ["walking", "cre\u0300me"]),
        model.predict_proba_zero_shot(X, ["walking", "cr\u00e8me"]),
    )
    assert "cafe\u0301" in model.predict_zero_shot(X, ["walking", "cafe\u0301"])
    with pytest.raises(ValueError, match="more than once"):
        model.predict_zero_shot(X, ["cafe\u0301", "caf\u00e9"])


def test_texts_of_names_without_letters_are_used(without_walking, basic_motions):
    about = {
        "C++": "a person walks",
        "C#": "a person sits",
        "C": "a person jumps",
        "x>0": "a person falls",
        "x<0": "a person rows",
    }
    found = without_walking.describe_candidates(about).set_index("candidate")["texts"]
    for name, text in about.items():
        assert text in found[name]
        assert not ({*about.values()} - {text}) & {*found[name]}
    X = basic_motions.X_test[basic_motions.y_test == "walking"]
    assert doubts(without_walking, X, about) is None
    seen = dict.fromkeys(ALL[:3])
    for name in ("C++", "C#", "x>0"):
        walks = {**seen, name: "A person walks."}
        found = without_walking.predict_zero_shot(X, walks)
        assert (found == name).mean() >= 0.5


@pytest.mark.parametrize(
    ("labels", "keys"),
    [(["C 1", "C 2"], ["c1", "c2"]), ([0.0, 1.0], [0, 1]), ([False, True], [0, 1])],
)
def test_texts_are_found_under_other_spellings_of_labels(har_like, labels, keys):
    X, y = har_like
    classes = np.unique(y, return_inverse=True)[1]
    few = classes < 2
    texts = dict(zip(keys, ["a person walks", "a person sits"], strict=True))
    model = VQTextClassifier(16, text=texts, text_encoder="hashing", random_state=0)
    model.fit(X[few], np.array(labels)[classes[few]])
    names = [str(label) for label in labels]
    found = model.predict_zero_shot(X[few], names)
    assert (found == np.array(names)[classes[few]]).mean() > 0.8


def test_a_single_form_of_prompts(har_like):
    X, y = har_like
    both = [
        VQTextClassifier(16, prompt_forms=forms, text_encoder="hashing", random_state=0)
        .fit(X, y)
        .predict_proba_zero_shot(X, ["walking", "cycling"])
        for forms in ("sentence", ["sentence"])
    ]
    np.testing.assert_array_equal(*both)


def test_candidates_in_a_generator_raise_an_error(without_walking, basic_motions):
    X = basic_motions.X_test[:2]
    with pytest.raises(TypeError, match="candidate_labels must be a list"):
        without_walking.predict_proba_zero_shot(X, (name for name in ALL))


def test_a_training_class_may_have_a_single_case(har_like):
    X, y = har_like
    kept = np.r_[np.flatnonzero(y != "walking"), np.flatnonzero(y == "walking")[:1]]
    model = VQTextClassifier(16, text_encoder="hashing", random_state=0)
    model.fit(X[kept], y[kept])
    proba = model.predict_proba_zero_shot(X, ["walking", "vacuum cleaning"])
    np.testing.assert_allclose(proba.sum(axis=1), 1)
