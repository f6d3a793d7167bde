import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from tokenizers.normalizers import Lowercase

from sktext_vq.text import SeriesVerbalizer

STYLES = ("digits", "llmtime", "sax")
SEPARATORS = ("blank", "comma", "none")

TEXTS = [
    "a slow rise, then a sharp drop of the signal",
    "the banana was - not quite - ready: jogging, walking, 24 steps",
    " ".join("0123456789abcdefghijklmnopqrstuvwxyz-,"),
    "3 7, 6 8, nan nan, 1 2 - 5 , 4 Nan ,",
    # WordPiece learns digits inside words only from examples.
    " ".join(str(number) for number in range(10, 200)),
    "abcdefghij klmnopqrst uvwxyzabcd zzzz hgfedcba",
]


def word_piece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[UNK]"]
    trainer = trainers.WordPieceTrainer(
        vocab_size=300, special_tokens=special, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def byte_bpe() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS * 5, trainer)
    return tokenizer


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=200,
        unk_token="<unk>",
        special_tokens=["<unk>"],
        initial_alphabet=list("0123456789,-nabcdefghijklmoz"),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS * 5, trainer)
    return tokenizer


TOKENIZERS: dict[str, Callable[[], Tokenizer]] = {
    "wordpiece": word_piece,
    "byte-bpe": byte_bpe,
    "unigram": unigram,
}


def panels() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(4, 2, 50))
    gaps = noise.copy()
    gaps[0, 0, 5:25] = np.nan
    gaps[2, 1, 30] = np.nan
    return {
        "negative": noise - 7.0,
        "constant": np.full((3, 2, 20), -2.5),
        "huge": 1e30 * noise,
        "tiny": 1e-30 * noise,
        "far from zero": 1e6 + noise,
        "gaps": gaps,
        "unequal": [noise[0, :, :13], noise[1, :, :50], noise[2, :, :1]],
        "integers": rng.integers(-5, 5, (3, 2, 30)),
    }


@pytest.fixture(scope="module", params=TOKENIZERS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return TOKENIZERS[request.param]()


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("style", STYLES)
def test_tokenizers_preserve_strings(
    tokenizer: Tokenizer, style: str, separator: str
) -> None:
    for name, X in panels().items():
        verbalizer = SeriesVerbalizer(style=style, separator=separator, n_timepoints=24)
        strings = verbalizer.fit(X).transform(X)
        decoded = [
            [tokenizer.decode(tokenizer.encode(text).ids) for text in row]
            for row in strings
        ]
        back = verbalizer.inverse_transform(decoded)
        assert_array_equal(back, verbalizer.render(X), err_msg=name)


@pytest.mark.parametrize("style", ["digits", "llmtime"])
@pytest.mark.parametrize("name", panels())
def test_error_is_at_most_half_a_bin(style: str, name: str) -> None:
    X = panels()[name]
    verbalizer = SeriesVerbalizer(style=style, n_timepoints=10).fit(X)
    if style == "digits":
        width = np.diff(verbalizer.edges_, axis=1).max(axis=1)
    else:
        width = verbalizer.step_
    for case, series in enumerate(X):
        pieces = _slow_means(np.asarray(series, dtype=float), 10)
        error = np.abs(verbalizer.render(X)[case] - pieces)
        size = np.nanmax(np.abs(pieces))
        assert np.nanmax(error - width[:, None] / 2) <= 1e-9 * max(size, width.max())
        assert_array_equal(np.isnan(error), np.isnan(pieces))


def _slow_means(series: np.ndarray, n: int) -> np.ndarray:
    """Return piecewise means, computed by dividing every timepoint into n parts."""
    while np.isnan(series[:, -1]).all():
        series = series[:, :-1]
    fine = np.repeat(series, n, axis=1).reshape(len(series), n, -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # parts without values
        return np.nanmean(fine, axis=2)


@given(
    values=st.lists(
        st.floats(-1e300, 1e300, allow_subnormal=False), min_size=1, max_size=40
    ),
    n_digits=st.integers(1, 4),
    style=st.sampled_from(STYLES),
)
def test_strings_are_read_back(values: list[float], n_digits: int, style: str) -> None:
    X = np.array([values])
    verbalizer = SeriesVerbalizer(style=style, n_timepoints=7, n_digits=n_digits)
    back = verbalizer.fit(X).inverse_transform(verbalizer.transform(X))
    assert_array_equal(back, verbalizer.render(X))
    assert np.isfinite(back).all()


def test_one_channel_has_one_string_per_case() -> None:
    X = np.random.default_rng(0).normal(size=(5, 30))
    strings = SeriesVerbalizer(n_timepoints=8).fit_transform(X)
    assert strings.shape == (5,) and strings.dtype == object
    assert all(type(text) is str for text in strings)


def test_values_beyond_training_are_written_as_the_outermost_bins() -> None:
    verbalizer = SeriesVerbalizer(n_timepoints=2).fit([[0.0, 1.0]])
    assert verbalizer.transform([[-50.0, 50.0]])[0] == "0 0 9 9"
    llmtime = SeriesVerbalizer(style="llmtime", n_timepoints=2).fit([[0.0, 1.0]])
    X = np.array([[-50.0, 50.0]])
    assert_allclose(llmtime.render(X)[0], X, atol=0.01)


@pytest.mark.parametrize(
    ("style", "separator", "expected"),
    [
        ("digits", "blank", "0 0 nan nan 3 3 9 9"),
        ("digits", "comma", "0 0, nan nan, 3 3, 9 9"),
        ("digits", "none", "00 nan 33 99"),
        ("llmtime", "blank", " 2 4 , Nan , 5 1 , 1 0 5 ,"),
        ("llmtime", "comma", " 2 4 , Nan , 5 1 , 1 0 5 ,"),
        ("llmtime", "none", "24, Nan, 51, 105,"),
        ("sax", "blank", "b z d h"),
        ("sax", "comma", "b, z, d, h"),
        ("sax", "none", "bzdh"),
    ],
)
def test_words_of_every_style(style: str, separator: str, expected: str) -> None:
    X = np.array([[0.0, np.nan, 1.0, 3.0]])
    verbalizer = SeriesVerbalizer(
        style=style, separator=separator, n_timepoints=4, margin=0.0
    )
    assert verbalizer.fit_transform(X).tolist() == [expected]
    assert_array_equal(verbalizer.inverse_transform([expected]), verbalizer.render(X))


def test_letters_without_separator_are_in_words_of_eight() -> None:
    X = np.zeros((1, 18))
    verbalizer = SeriesVerbalizer(style="sax", separator="none", n_timepoints=18)
    words = verbalizer.fit_transform(X)[0].split(" ")
    assert [len(word) for word in words] == [8, 8, 2]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_channels_have_separate_bins(style: str, unit: float) -> None:
    rng = np.random.default_rng(0)
    alone = rng.normal(3, 2, size=(5, 1, 12))
    X = np.concatenate([alone, 1000 + unit * rng.normal(size=(5, 1, 12))], axis=1)
    verbalizer = SeriesVerbalizer(style=style, n_timepoints=12)
    first = verbalizer.fit(alone).render(alone)
    assert_allclose(verbalizer.fit(X).render(X)[:, :1], first)


def test_letters_follow_a_normal_distribution_within_the_range() -> None:
    X = np.random.default_rng(0).normal(50, 4, size=(20, 1, 30))
    X[0, 0, 0] = np.nan
    verbalizer = SeriesVerbalizer(style="sax", n_symbols=4, n_timepoints=30)
    low, *inner, high = verbalizer.fit(X).edges_[0]
    quarter = 0.6744897501960817  # 75 % quantile of the standard normal distribution
    mean, spread = np.nanmean(X), np.nanstd(X)
    assert_allclose(inner, mean + spread * np.array([-quarter, 0, quarter]))
    room = 0.05 * (np.nanmax(X) - np.nanmin(X))
    assert_allclose([low, high], [np.nanmin(X) - room, np.nanmax(X) + room])
    # Quantiles of a normal distribution would be outside this range.
    two = np.repeat([[0.0, 1.0]], 8, axis=1)
    verbalizer = SeriesVerbalizer(style="sax", n_symbols=25, margin=0.0)
    edges = verbalizer.fit(two).edges_[0]
    assert (edges[0], edges[-1]) == (0, 1)
    assert (np.diff(edges) >= 0).all()


@pytest.mark.parametrize(("value", "step"), [(0.0, 0.01), (250.0, 2.5), (-0.5, 0.005)])
def test_constants_are_written_relative_to_their_size(
    value: float, step: float
) -> None:
    X = np.array([[[value] * 6, [0.0, 10.0, 5.0, 0.0, 10.0, 5.0]]])
    verbalizer = SeriesVerbalizer(style="llmtime", n_timepoints=6).fit(X)
    assert_allclose(verbalizer.offset_, [value, -3])
    assert_allclose(verbalizer.step_, [step, 0.13])


def test_llmtime_strings() -> None:
    X = np.array([[0.0, 1.0, 2.0, 3.0]])
    m = 0 - 0.3 * 3
    q = np.quantile(X - m, 0.95)
    verbalizer = SeriesVerbalizer(style="llmtime", n_timepoints=4).fit(X)
    assert_allclose(verbalizer.offset_, m)
    assert_allclose(verbalizer.step_, q / 100)
    text = verbalizer.transform(m + q * np.array([[-0.015, 0.375, 1.005, 0.004]]))[0]
    assert text == " - 1 , 3 7 , 1 0 0 , 0 ,"
    gap = verbalizer.transform([[m + 0.375 * q, np.nan, np.nan, m + 0.085 * q]])[0]
    assert gap == " 3 7 , Nan , Nan , 8 ,"


def test_codes_are_the_numbers_in_the_strings() -> None:
    X = panels()["negative"]
    verbalizer = SeriesVerbalizer(n_timepoints=6).fit(X)
    codes = verbalizer.codes(X)
    first = [int(pair) for pair in _pairs(verbalizer.transform(X)[0, 0])]
    assert codes.shape == (4, 2, 6)
    assert codes[0, 0].tolist() == first
    assert_array_equal(verbalizer.read_codes(codes), verbalizer.render(X))
    assert_array_equal(verbalizer.write_codes(codes), verbalizer.transform(X))


def _pairs(text: str) -> list[str]:
    digits = text.split()
    return ["".join(digits[i : i + 2]) for i in range(0, len(digits), 2)]


@pytest.mark.parametrize(
    "damaged", ["1 2 3", "1 2 3 4 5 6 7 8 9 0", "1 2 3 4 5 x", "[UNK] 2 3 4 5 6", ""]
)
def test_damaged_strings_are_errors_by_default(damaged: str) -> None:
    verbalizer = SeriesVerbalizer(n_timepoints=3).fit([[0.0, 1.0, 2.0]])
    with pytest.raises(ValueError, match="case 1, channel 0"):
        verbalizer.inverse_transform(["1 2 3 4 5 6", damaged])
    back = verbalizer.inverse_transform(["1 2 3 4 5 6", damaged], strict=False)
    assert back.shape == (2, 1, 3)
    assert np.isfinite(back[0]).all()


@pytest.mark.parametrize(
    ("style", "separator", "text", "codes", "fault"),
    [
        ("digits", "blank", "1 2 3 4", [12, 34, None], "2 values instead of 3"),
        (
            "digits",
            "blank",
            "1 2 3 4 5",
            [12, 34, None],
            "2 values and an incomplete value",
        ),
        (
            "digits",
            "blank",
            "1 2 3 4 5 6 7",
            [12, 34, 56],
            "3 values and an incomplete",
        ),
        ("digits", "blank", "1 2 na n 3 4 5", [12, None, 45], ""),
        ("digits", "blank", "nan nan 1 2 3 nan", [None, 12, None], ""),
        ("digits", "none", "12nan34", [12, None, 34], ""),
        ("digits", "blank", "1 2 3 4 5 6" + "!" * 30, [12, 34, 56], f"{'!' * 20}'"),
        ("llmtime", "blank", "1 2 , - 3 , Nan ,", [12, -4, None], ""),
        ("llmtime", "blank", "12,-3,nan", [12, -4, None], ""),
        ("llmtime", "blank", "1 , 2 ,", [1, 2, None], "2 values instead of 3"),
        ("llmtime", "blank", "1 , 2 , 3 , 4 ,", [1, 2, 3], "4 values instead of 3"),
        ("llmtime", "blank", "1 , x , ! ,", [1, None, None], "it contains 'x'"),
        ("llmtime", "blank", f"{'!' * 30},1,2", [None, 1, 2], f"{'!' * 20}'"),
        ("llmtime", "blank", "", [None] * 3, "0 values instead of 3"),
        ("digits", "comma", "1 2, 3, 5 6", [12, None, 56], "an incomplete value"),
        ("digits", "comma", "1 2, , 5 6", [12, None, 56], "an incomplete value"),
        ("digits", "comma", "12, 2 3 4, 56", [12, None, 56], "an incomplete value"),
        ("digits", "comma", "12 34, 56", [12, 34, 56], ""),
        ("digits", "comma", "12, 34 45, 56", [12, None, 56], "an incomplete value"),
        ("digits", "comma", "12, nan nan, 56,", [12, None, 56], ""),
        ("digits", "comma", "12, 34", [12, 34, None], "2 values instead of 3"),
        ("sax", "comma", "a, , c", [0, None, 2], "an incomplete value"),
        ("sax", "blank", "a, Z c", [0, None, 2], ""),
        ("sax", "blank", "a b", [0, 1, None], "2 values instead of 3"),
        ("sax", "blank", "a y b h", [0, 1, 7], "it contains 'y'"),
    ],
)
def test_complete_parts_of_a_string_are_read(
    style: str, separator: str, text: str, codes: list[int | None], fault: str
) -> None:
    verbalizer = SeriesVerbalizer(style=style, separator=separator, n_timepoints=3)
    verbalizer.fit([[0.0, 1.0, 2.0]])
    found = verbalizer.parse([text], strict=False)
    assert found.dtype == np.int64
    missing = np.iinfo(np.int64).min
    assert found[0, 0].tolist() == [missing if c is None else c for c in codes]
    if fault:
        with pytest.raises(ValueError) as raised:
            verbalizer.parse([text])
        assert str(raised.value).startswith(
            "The string of case 0, channel 0 is invalid"
        )
        assert f"{fault}" in str(raised.value)
        assert str(raised.value).endswith("to replace invalid values with NaN.")
    else:
        assert_array_equal(verbalizer.parse([text]), found)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"style": "words"}, "style must be one of"),
        ({"separator": ";"}, "separator must be one of"),
        ({"n_timepoints": 0}, "n_timepoints must be at least 1"),
        ({"n_digits": 9}, "n_digits must be from 1 to 6"),
        ({"n_symbols": 1}, "n_symbols must be from 2 to 25"),
        ({"margin": -1.0}, "margin must be at least 0"),
    ],
)
def test_invalid_parameters_are_errors_in_fit(
    params: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        SeriesVerbalizer(**params).fit([[0.0, 1.0]])


@pytest.mark.parametrize("name", ["n_timepoints", "n_digits", "n_symbols"])
def test_counts_must_be_integers(name: str) -> None:
    for value in (True, 2.0, "3", None):
        with pytest.raises(TypeError, match=f"^{name} must be an int, got {value!r}"):
            SeriesVerbalizer(**{name: value}).fit([[0.0, 1.0]])


def test_invalid_input_is_an_error() -> None:
    X = panels()["negative"]
    verbalizer = SeriesVerbalizer(n_timepoints=4).fit(X)
    with pytest.raises(
        ValueError,
        match=r"^X has 3 channels, but SeriesVerbalizer was fitted with 2 channels\.$",
    ):
        verbalizer.transform(np.zeros((2, 3, 10)))
    for call in (verbalizer.fit, verbalizer.transform):
        with pytest.raises(ValueError, match="SeriesVerbalizer requires finite"):
            call(np.full((2, 2, 10), np.inf))
    with pytest.raises(ValueError, match="shape"):
        verbalizer.inverse_transform(["1 2 3 4 5 6 7 8"])
    with pytest.raises(TypeError, match=r"^strings must be a sequence of strings, got"):
        verbalizer.inverse_transform("1 2 3 4")
    with pytest.raises(TypeError, match=r"strings\[0, 1\] must be a string, got int"):
        verbalizer.inverse_transform([["1 2 3 4 5 6 7 8", 2]])
    flat = SeriesVerbalizer().fit(np.zeros((3, 8)))
    with pytest.raises(
        ValueError,
        match=r"^X has 9 features, but SeriesVerbalizer is expecting 8 features as",
    ):
        flat.transform(np.zeros((3, 9)))
    assert (flat.n_features_in_, verbalizer.n_features_in_) == (8, 2)
    assert len(flat.transform([np.zeros(9)])) == 1  # shorter series are valid


def test_is_a_scikit_learn_estimator() -> None:
    X = panels()["gaps"]
    before = X.copy()
    verbalizer = SeriesVerbalizer(style="sax", n_symbols=4)
    assert clone(verbalizer).get_params() == verbalizer.get_params()
    X.setflags(write=False)
    verbalizer.fit(X).transform(X)
    assert_array_equal(X, before)
    names = verbalizer.get_feature_names_out()
    assert (names.tolist(), names.dtype) == (["text0", "text1"], object)
    tags = verbalizer.__sklearn_tags__()
    assert tags.input_tags.three_d_array
    assert tags.input_tags.allow_nan
    assert tags.transformer_tags.preserves_dtype == []


def test_huge_values_are_written_without_a_warning(recwarn):
    verbalizer = SeriesVerbalizer(style="llmtime", n_timepoints=1).fit([[1e-301]])
    strings = verbalizer.transform([[1e9]])
    assert np.isfinite(verbalizer.inverse_transform(strings)).all()
    assert not recwarn
