from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sktext_vq import DriftWarning, VQTextClassifier
from sktext_vq.datasets import Dataset
from sktext_vq.text import SeriesCaptioner, TextEncoder

RATE = 50.0
TIME = np.arange(150) / RATE


def waves(frequency: float, amplitude: float, n: int = 6) -> np.ndarray:
    """Return noisy sine waves ``(n, 3, 150)``, strongest along z."""
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 2 * np.pi, (n, 1, 1))
    wave = amplitude * np.sin(2 * np.pi * frequency * TIME + phase)
    noise = rng.normal(scale=0.02, size=(n, 3, len(TIME)))
    return np.array([0.1, 0.2, 1.0])[:, None] * wave + noise


@pytest.fixture(scope="module")
def captioner() -> SeriesCaptioner:
    X = np.concatenate([waves(1, 0.5), waves(2, 1), waves(2.7, 3), waves(0, 0)])
    return SeriesCaptioner(
        channel_names=["body_acc_x", "body_acc_y", "body_acc_z"],
        sampling_rate=RATE,
        n_sentences=None,
    ).fit(X)


def test_rhythm_is_in_cycles_per_second(captioner: SeriesCaptioner) -> None:
    for frequency in (1.0, 1.6, 2.5, 4.0, 8.0):
        for caption in captioner.transform(waves(frequency, 2)):
            assert f"rhythm of about {frequency:.2g} cycle" in caption, caption
            assert "per second" in caption


def test_rhythm_without_a_rate_is_per_recording() -> None:
    X = np.sin(2 * np.pi * 5 * np.arange(100) / 100 + np.arange(4)[:, None])
    for caption in SeriesCaptioner().fit_transform(X):
        assert "of about 5 cycles in the recording" in caption


def test_noise_has_no_rhythm(captioner: SeriesCaptioner) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(20, 3, 400))
    captions = captioner.transform(noise)
    assert sum("no steady rhythm" in caption for caption in captions) >= 18


def test_strength_grows_with_the_series(captioner: SeriesCaptioner) -> None:
    def word(amplitude: float) -> str:
        return captioner.sentences(waves(2, amplitude, 1))[0][0]

    assert "almost still" in word(0.01)
    assert "is gentle, mostly along the z axis" in word(0.4)
    assert "is very strong, mostly along the z axis" in word(6)


def test_direction_level_and_rest(captioner: SeriesCaptioner) -> None:
    lying = waves(0, 0, 1)
    lying[:, 0] -= 9.81
    caption = captioner.transform(lying)[0]
    assert "rests on the negative x axis" in caption
    assert "level of the body acceleration along the x axis is far below" in caption


def test_course_of_a_series() -> None:
    rng = np.random.default_rng(0)
    n = 60
    X = rng.normal(scale=0.1, size=(12, n))
    captioner = SeriesCaptioner(n_sentences=None).fit(X)
    rise, fall, burst, peak = rng.normal(scale=0.1, size=(4, n))
    rise += np.linspace(-3, 3, n)
    fall -= np.linspace(-3, 3, n)
    burst[45:] += 2 * np.sin(np.arange(15))
    peak[30] += 9
    said = captioner.transform(np.stack([rise, fall, burst, peak]))
    assert "rises steadily" in said[0] and "falls" not in said[0]
    assert "falls steadily" in said[1]
    assert "happens at the end" in said[2]
    assert "has one sharp peak" in said[3]


def test_constant_short_and_broken_series_have_sentences() -> None:
    X = [
        np.full((2, 30), 4.0),
        np.array([[1.0], [2.0]]),
        np.array([[1.0, 2.0], [2.0, np.nan]]),
        np.where(np.arange(40) % 3 == 0, 1.0, np.nan)[None] * np.ones((2, 1)),
        1e300 * np.stack([np.sin(TIME), np.cos(TIME)]),
        1e-300 * np.stack([np.sin(TIME), np.cos(TIME)]),
        np.arange(10).reshape(2, 5),
    ]
    captions = SeriesCaptioner().fit_transform(X)
    assert captions.shape == (7,) and captions.dtype == object
    assert "channel 1 is constant" in captions[0]
    assert "channel 1 is missing" in captions[3]
    for caption in captions:
        assert caption.endswith(".") and "nan" not in caption and "inf" not in caption


def test_number_of_sentences_is_kept_and_the_telling_ones_stay() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(10, 5, 80))
    X[0, 3] = 0.0
    sentences = SeriesCaptioner(n_sentences=4).fit(X).sentences(X)
    assert all(1 <= len(case) <= 4 for case in sentences)
    assert "The channel 4 is constant." in sentences[0]
    assert "The channel 4 is constant." not in sentences[1]
    assert len(SeriesCaptioner(n_sentences=1).fit(X).sentences(X)[0]) == 1


def test_is_deterministic_and_cases_do_not_mix(basic_motions: Dataset) -> None:
    X = np.asarray(basic_motions.X_train)
    captioner = SeriesCaptioner(channel_names=basic_motions.channel_names)
    captions = captioner.fit_transform(X)
    assert_array_equal(clone(captioner).fit(X).transform(X), captions)
    assert_array_equal(captioner.transform(X[::-1]), captions[::-1])
    assert_array_equal(captioner.transform(X[3:4]), captions[3:4])


def test_captions_tell_real_activities_apart(basic_motions: Dataset) -> None:
    captioner = SeriesCaptioner(
        channel_names=basic_motions.channel_names,
        sampling_rate=basic_motions.sampling_rate,
    )
    model = make_pipeline(captioner, TextEncoder(), LogisticRegression(C=100))
    model.fit(np.asarray(basic_motions.X_train), basic_motions.y_train)
    # The accuracy of random predictions is 0.25.
    accuracy = model.score(np.asarray(basic_motions.X_test), basic_motions.y_test)
    assert accuracy > 0.7


def test_names_group_axes_and_are_read_as_words() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5, 5, 60))
    names = ["accX", "accY", "Gyro z", "heart_rate", "galaxy"]
    captioner = SeriesCaptioner(channel_names=names).fit(X)
    assert captioner.groups_ == [
        ("acceleration", [0, 1]),
        ("rotation z", [2]),
        ("heart rate", [3]),
        ("galaxy", [4]),
    ]


def test_other_words(tmp_path: Path) -> None:
    from test_prompts import tiny_writer

    X = waves(2, 1)
    plain = SeriesCaptioner().fit(X)
    seen: list[str] = []

    def shout(sentence: str) -> str:
        seen.append(sentence)
        return sentence.upper()

    loud = SeriesCaptioner(rephraser=shout).fit(X).transform(X)
    assert loud.tolist() == [caption.upper() for caption in plain.transform(X)]
    assert len(seen) == len(set(seen))
    mute = SeriesCaptioner(rephraser=lambda sentence: "").fit(X)
    assert mute.transform(X).tolist() == plain.transform(X).tolist()
    model = SeriesCaptioner(rephraser=tiny_writer(tmp_path)).fit(X)
    assert all(isinstance(caption, str) for caption in model.transform(X[:1]))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"channel_names": ["a"]}, "1 names for 3 channels"),
        ({"channel_names": ["a", "", "b"]}, "must contain non-empty strings"),
        ({"sampling_rate": 0}, "sampling_rate must be a positive, finite number"),
        ({"sampling_rate": np.nan}, "sampling_rate"),
        ({"n_sentences": 0}, "n_sentences must be at least 1"),
    ],
)
def test_bad_parameters_are_said_in_fit(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SeriesCaptioner(**params).fit(waves(1, 1))


def test_other_channels_are_refused(captioner: SeriesCaptioner) -> None:
    with pytest.raises(ValueError, match="2 channels"):
        captioner.transform(np.zeros((2, 2, 50)))


@pytest.mark.parametrize("n_timepoints", [8, 16, 32, 64])
def test_short_noise_has_no_rhythm(n_timepoints: int) -> None:
    noise = np.random.default_rng(0).normal(size=(200, 1, n_timepoints))
    captions = SeriesCaptioner(n_sentences=None).fit_transform(noise)
    assert sum("no steady rhythm" in caption for caption in captions) >= 185


def test_a_straight_line_has_no_rhythm() -> None:
    lines = np.arange(200) * 0.02 * np.array([[1.0], [2.0], [-3.0]])
    captions = SeriesCaptioner(sampling_rate=RATE, n_sentences=None).fit_transform(
        lines
    )
    for caption in captions:
        assert "no steady rhythm" in caption and "steadily over time" in caption


@pytest.mark.parametrize("pattern", ["{} acc", "{}-Accel", "acc_{}"])
def test_axes_may_be_anywhere_in_a_name(pattern: str) -> None:
    names = [pattern.format(axis) for axis in "xyz"]
    X = waves(2, 1)
    caption = SeriesCaptioner(channel_names=names).fit_transform(X)[0]
    assert "mostly along the z axis" in caption


def test_captions_of_classifiers_have_the_numbers_of_channels(
    basic_motions: Dataset,
) -> None:
    X = np.stack([*basic_motions.X_test[:2, :2]])
    model = VQTextClassifier(16, text=None, max_features=100, random_state=0)
    model.fit(basic_motions.X_train[:, :2], basic_motions.y_train)
    X[:, 0] = 1.0
    with pytest.warns(DriftWarning):
        captions = model.caption(X)
    assert all("The channel 0 is constant." in caption for caption in captions)


def test_a_norm_among_the_axes_has_no_axis() -> None:
    X = waves(2, 1)
    X = np.concatenate([np.linalg.norm(X, axis=1, keepdims=True), X], axis=1)
    names = ["acc", "acc_x", "acc_y", "acc_z"]
    captions = SeriesCaptioner(channel_names=names).fit_transform(X)
    assert not any("axis" in caption for caption in captions)
