"""Joint embedding space of series and texts, without training."""

import pickle

import numpy as np
import pytest
import torch

from sktext_vq import VQTextClassifier, VQTextTransformer, load, save
from sktext_vq._heads.align_texts import ChosenTexts, align_texts
from sktext_vq.text import SeriesCaptioner, TextEncoder

# None of these sentences is a prompt.
SENTENCES = {
    "badminton": "a person hits a shuttlecock",
    "running": "a person jogs in a hurry",
    "standing": "a person waits without moving",
    "walking": "a person takes a stroll",
}
LABELS = np.array(list(SENTENCES))


def share_right(scores, y):
    return (LABELS[scores.argmax(axis=1)] == y).mean()


def params(data, **others):
    return {
        "max_epochs": 0,
        "channel_names": data.channel_names,
        "sampling_rate": data.sampling_rate,
        "random_state": 0,
    } | others


@pytest.fixture(scope="module", params=[VQTextClassifier, VQTextTransformer])
def fitted(request, basic_motions):
    data = basic_motions
    return request.param(**params(data)).fit(data.X_train, data.y_train)


def test_sentences_find_series_without_training(fitted, basic_motions):
    data = basic_motions
    scores = fitted.similarity(data.X_test, list(SENTENCES.values()))
    assert scores.shape == (40, 4) and np.abs(scores).max() <= 1
    assert share_right(scores, data.y_test) >= 0.9
    # Other texts of a batch affect embeddings by rounding only.
    alone = fitted.similarity(data.X_test, [SENTENCES["running"]])
    np.testing.assert_allclose(alone[:, 0], scores[:, 1], atol=1e-4)


def test_captions_find_their_series(fitted, basic_motions):
    data = basic_motions
    captioner = SeriesCaptioner(
        channel_names=data.channel_names, sampling_rate=data.sampling_rate
    ).fit(data.X_train)
    scores = fitted.similarity(data.X_test, captioner.transform(data.X_test))
    own = np.diag(scores)
    ranks = (scores >= own[:, None]).sum(axis=1)
    # There are 40 captions, 10 of them about series of the same class.
    assert np.median(ranks) <= 5


def test_expected_codes_of_a_class_match_its_series(fitted, basic_motions):
    data = basic_motions
    expected = fitted.transform_text(LABELS.tolist())
    np.testing.assert_allclose(expected.sum(axis=1), 1)
    assert (expected > 0).all()
    shares = fitted.transform_codes(data.X_train)
    of_class = np.stack([shares[data.y_train == each].mean(axis=0) for each in LABELS])
    affinity = np.sqrt(expected) @ np.sqrt(of_class).T
    assert affinity.argmax(axis=1).tolist() == [0, 1, 2, 3]


def test_meaning_of_texts_is_used(basic_motions):
    """With random vectors as embeddings, accuracy is at chance level."""
    data = basic_motions

    def random_vectors(texts):
        rngs = [np.random.default_rng(list(text.encode())) for text in texts]
        return np.stack([rng.normal(size=64) for rng in rngs])

    model = VQTextClassifier(**params(data, text_encoder=random_vectors))
    model.fit(data.X_train, data.y_train)
    scores = model.similarity(data.X_test, list(SENTENCES.values()))
    assert share_right(scores, data.y_test) < 0.6
    scores = model.similarity(data.X_test, LABELS.tolist())
    assert share_right(scores, data.y_test) >= 0.9


def test_search_and_caption_find_sentences(basic_motions):
    data = basic_motions
    model = VQTextClassifier(**params(data)).fit(data.X_train, data.y_train)
    text = SENTENCES["standing"]
    found = model.search(data.X_test, text)
    assert found["score"].is_monotonic_decreasing
    assert set(data.y_test[found["case"][:10]]) == {"standing"}
    captions = model.caption(data.X_test, list(SENTENCES.values()))
    label_of = {text: label for label, text in SENTENCES.items()}
    right = [label_of[each] for each in captions] == data.y_test
    assert right.mean() >= 0.9


def test_texts_are_encoded_when_needed_and_once(har_like):
    X, y = har_like
    encoded = []

    def encode(texts):
        encoded.extend(texts)
        return TextEncoder("hashing").transform(texts)

    model = VQTextClassifier(max_epochs=0, text_encoder=encode, random_state=0)
    model.fit(X, y)
    assert not encoded
    model.similarity(X, ["somebody runs"])
    assert "somebody runs" in encoded and len(encoded) > 10
    encoded.clear()
    model.similarity(X, ["somebody waits"])
    assert encoded == ["somebody waits"]


def test_own_texts_of_cases(har_like):
    X, y = har_like
    own = {"walking": "gentle gait.", "running": "Fast gait!", "standing": "No motion."}
    texts = [f"{own[label]} Recorded indoors." for label in y]
    model = VQTextTransformer(max_epochs=0, text_encoder="hashing", random_state=0)
    model.fit(X, text=texts)
    assert set(model.prompts_) == {*own.values(), "Recorded indoors."}
    scores = model.similarity(X, [f"{text} Recorded indoors." for text in own.values()])
    found = np.array(list(own))[scores.argmax(axis=1)]
    assert (found == y).mean() >= 0.9


@pytest.mark.parametrize("text", [None, "labels"])
def test_models_without_text_raise_an_error(har_like, text):
    X, y = har_like
    model = VQTextTransformer(max_epochs=0, text=text, random_state=0)
    if text == "labels":
        with pytest.raises(ValueError, match="requires labels"):
            model.fit(X)
        return
    model.fit(X, y)
    assert model.text_alignment_ is None and model.prompts_ is None
    for method in (
        lambda: model.similarity(X, ["a"]),
        lambda: model.transform_text("a"),
    ):
        with pytest.raises((TypeError, ValueError), match="text"):
            method()


def test_saved_and_pickled_models_have_equal_outputs(fitted, basic_motions, tmp_path):
    X, texts = basic_motions.X_test, ["a person jogs", "level: high"]
    scores = fitted.similarity(X, texts)
    path = save(fitted, tmp_path / "model.safetensors")
    for again in (load(path), pickle.loads(pickle.dumps(fitted))):
        np.testing.assert_array_equal(again.similarity(X, texts), scores)
    assert save(load(path), tmp_path / "again").read_bytes() == path.read_bytes()


# -- Closed form ---------------------------------------------------------------------


def random_problem(n_cases=60, n_features=30, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n_cases, n_features)).astype(np.float32)
    sentences = [f"sentence {i}." for i in range(6)]
    rows = rng.integers(0, 6, size=(n_cases, 2))
    texts = [f"{sentences[i]} {sentences[j]}" for i, j in rows]
    vectors = {each: rng.normal(size=5) for each in sentences}
    return features, texts, vectors


class Table:
    """Encoder that returns given vectors."""

    model = None

    def __init__(self, vectors):
        self.vectors = {k: v / np.linalg.norm(v) for k, v in vectors.items()}

    def transform(self, texts):
        return np.stack([self.vectors[text] for text in texts])

    def get_params(self):
        return {}


def test_cosines_equal_a_canonical_correlation_analysis():
    features, texts, vectors = random_problem()
    encoder = Table(vectors)
    shares = np.full((60, 4), 0.25)
    chosen = ChosenTexts([], np.zeros(0, np.intp), texts)
    alignment = align_texts(features, shares, chosen, None, encoder)
    components = alignment.predict(torch.from_numpy(features))
    distinct = sorted(set(texts))
    found = alignment.similarity(components, distinct, encoder)

    def embed(texts):
        cut = [text.replace(". ", ".|").split("|") for text in texts]
        return np.stack([encoder.transform(each).mean(axis=0) for each in cut])

    X, T = features.astype(float), embed(texts)
    X, mean = X - X.mean(axis=0), T.mean(axis=0)
    T = T - mean
    gram = X @ X.T
    dual = np.linalg.inv(gram + 0.1 * np.trace(gram) / 60 * np.eye(60))
    covariance = T.T @ T / 60
    floor = 1e-3 * np.trace(covariance) / 5
    whiten = np.linalg.inv(np.linalg.cholesky(covariance + floor * np.eye(5))).T
    coef = X.T @ dual @ T @ whiten
    left, size, right = np.linalg.svd((X @ coef).T @ T @ whiten / 60)
    series = X @ coef @ left * np.sqrt(size)
    read = (embed(distinct) - mean) @ whiten @ right.T * np.sqrt(size)
    series /= np.linalg.norm(series, axis=1, keepdims=True)
    read /= np.linalg.norm(read, axis=1, keepdims=True)
    np.testing.assert_allclose(found, series @ read.T, atol=1e-4)


def test_many_different_texts_are_bounded():
    features, _, _ = random_problem(n_cases=1500)
    texts = [f"Text of case {i}." for i in range(1500)]
    chosen = ChosenTexts([], np.zeros(0, np.intp), texts)
    alignment = align_texts(
        features, np.full((1500, 4), 0.25), chosen, None, TextEncoder("hashing")
    )
    assert len(alignment.cases.texts) == 1000
    assert alignment.cases.coef.shape[1] <= 64


def test_equal_texts_are_not_aligned():
    features, _, _ = random_problem()
    chosen = ChosenTexts([], np.zeros(0, np.intp), ["the same"] * 60)
    encoder = TextEncoder("hashing")
    assert align_texts(features, np.full((60, 4), 0.25), chosen, None, encoder) is None


def test_a_table_of_vectors_has_whole_texts(har_like):
    X, y = har_like
    rng = np.random.default_rng(0)
    texts = {"walking": "Gentle. Slow.", "running": "Fast! Strong.", "standing": "Off."}
    table = {text: rng.normal(size=8) for text in texts.values()}
    model = VQTextTransformer(text_encoder=table, random_state=0)
    model.fit(X, text=[texts[label] for label in y])
    found = model.similarity(X, list(texts.values())).argmax(axis=1)
    assert (np.array(list(texts))[found] == y).mean() >= 0.9
