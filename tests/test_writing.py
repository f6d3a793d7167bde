from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone

from sktext_vq import VQTextClassifier, VQTextTransformer
from sktext_vq._training.digits import DigitCodec
from sktext_vq.nn.auxiliary.digits import PATCH, DigitBranch
from sktext_vq.nn.codebook import Codebook
from sktext_vq.panel import as_panel
from sktext_vq.text import SeriesVerbalizer, TextEncoder

STYLES = [
    {"n_digits": 1},
    {"n_digits": 2},
    {"n_digits": 3, "separator": "comma"},
    {"n_digits": 2, "separator": "none"},
    {"n_digits": 2, "separator": "comma", "n_timepoints": 13},
    {"n_digits": 3, "n_timepoints": 5},
    {"style": "sax"},
    {"style": "sax", "separator": "comma", "n_symbols": 20, "n_timepoints": 13},
    {"style": "sax", "separator": "none", "n_symbols": 2},
]


@pytest.fixture
def gappy():
    """Return five series with gaps, two channels, and 9 to 50 timepoints."""
    rng = np.random.default_rng(0)
    series = [rng.normal(size=(2, n)).cumsum(axis=1) for n in (50, 9, 30, 41, 50)]
    series[0][0, 10:30] = np.nan
    series[3][1, :5] = np.nan
    return as_panel(series)


def writer_of(panel, **params):
    params = {"n_timepoints": 16} | params
    return DigitCodec(SeriesVerbalizer(**params).fit(panel))


def symbols_of(writer):
    """Return the symbols in the order of their vectors."""
    letters = writer.verbalizer.style == "sax"
    digits = "abcdefghijklmnopqrstuvwxy" if letters else "0123456789"
    return [*digits[: writer.base], "nan", ","]


# -- Conversion of series to digits --------------------------------------------------


@pytest.mark.parametrize("params", STYLES, ids=str)
def test_digits_are_numbers_of_the_verbalizer(gappy, params):
    writer = writer_of(gappy, **params)
    _, digits, known = writer.write(gappy)
    found = digits.flatten(1, 2)[:, known.flatten()].numpy()
    missing = (found == writer.base).any(2)
    assert (found[missing] == writer.base).all()  # all digits are missing
    codes = (found * writer.base ** np.arange(writer.n_digits)[::-1]).sum(2)
    expected = writer.verbalizer.codes(gappy).reshape(10, -1)
    np.testing.assert_array_equal(missing, expected < 0)
    np.testing.assert_array_equal(codes[~missing], expected[~missing])
    assert missing.any() and not missing.all()


@pytest.mark.parametrize("params", STYLES, ids=str)
def test_words_equal_the_words_of_the_string(gappy, params):
    """Strings are compared by word or, without separator, by character."""
    writer = writer_of(gappy, **params)
    words, _, known = writer.write(gappy)
    assert words.shape == (10, len(known), writer.n_words)
    symbols = symbols_of(writer)
    strings = writer.verbalizer.transform(gappy).ravel()
    per_value = writer.n_words // PATCH
    for row, string in zip(words, strings, strict=True):
        values = row.reshape(-1, per_value)[known.flatten()]
        read = "".join(symbols[i] for i in values.flatten().tolist())
        string = string.replace(" ", "").replace("z", "nan")
        if params.get("separator") == "none" and "style" not in params:
            string = string.replace("nan", "nan" * writer.n_digits)
        assert read.removesuffix(",") == string


def test_numbers_of_variable_width_are_errors(gappy):
    with pytest.raises(ValueError, match=r'style="digits" or style="sax"'):
        writer_of(gappy, style="llmtime")


# -- Conversion of digits to series --------------------------------------------------


class Perfect(DigitBranch):
    """Branch that returns its input digits."""

    def forward(self, words, keys):
        digits = words.view(len(words), PATCH, -1)[..., : self.n_digits]
        missing = (digits == self.n_values - 1).any(dim=2)
        return self.value(digits), torch.where(missing, 1e9, -1e9), None


def perfect(writer):
    arguments = writer.arguments(TextEncoder("hashing"))
    return writer.with_branch(Perfect(n_codes=16, n_heads=1, **arguments))


@pytest.mark.parametrize("params", STYLES, ids=str)
def test_correct_digits_are_written_without_loss(gappy, params):
    writer = writer_of(gappy, **params)
    np.testing.assert_array_equal(
        perfect(writer).rewrite(gappy, Codebook(16, 8)), writer.verbalizer.render(gappy)
    )


def test_a_number_with_a_missing_digit_is_missing(gappy, monkeypatch):
    writer = writer_of(gappy)
    write = Perfect.write

    def spoil(self, *args):
        logits, written = write(self, *args)
        written[:, 3, 1] = writer.base
        return logits, written

    monkeypatch.setattr(Perfect, "write", spoil)
    found = perfect(writer).rewrite(gappy, Codebook(16, 8))
    expected = writer.verbalizer.render(gappy)
    assert np.isnan(found[:, :, [3, 11]]).all()
    rest = [i for i in range(16) if i not in (3, 11)]
    np.testing.assert_array_equal(found[:, :, rest], expected[:, :, rest])


# -- Trained branch ------------------------------------------------------------------

N_TIMEPOINTS = 40


def smooth(n, seed):
    """Return sine waves with random phases and amplitudes, and 2 to 4 periods."""
    rng = np.random.default_rng(seed)
    period = rng.uniform(10, 20, (n, 1, 1))
    phase = rng.uniform(0, 2 * np.pi, (n, 1, 1))
    wave = np.sin(2 * np.pi * np.arange(N_TIMEPOINTS) / period + phase)
    return rng.uniform(0.5, 2, (n, 1, 1)) * wave


@pytest.fixture(scope="module", params=["digits", "sax"])
def trained(request):
    transformer = VQTextTransformer(
        text="captions",
        text_encoder="hashing",
        max_epochs=20,
        loss_weights={"digits": 1.0},
        random_state=0,
    )
    style = {"style": request.param, "n_timepoints": N_TIMEPOINTS, "n_symbols": 20}
    with pytest.MonkeyPatch.context() as patch:
        verbalizer = partial(SeriesVerbalizer, **style)
        place = "sktext_vq._training.network_trainer.SeriesVerbalizer"
        patch.setattr(place, verbalizer)
        return transformer.fit(smooth(32, 0))


def r2(found, series):
    return 1 - np.square(found - series).mean() / series.var()


def test_series_are_reconstructed_from_text(trained):
    """The error of new series is small, but not below the error of rounded digits."""
    X = smooth(20, 1)
    found = trained.reconstruct_text(X)
    assert found.shape == X.shape
    assert found.dtype == np.float64
    verbalizer = trained.network_.digits.verbalizer
    words = clone(verbalizer).fit(smooth(32, 0)).render(X)
    assert 0.7 < r2(found, X) < r2(words, X)


def test_series_are_reconstructed_from_their_own_words(trained):
    X = smooth(20, 1)
    found = trained.reconstruct_text(X)
    alone = trained.reconstruct_text(X[3:4])
    np.testing.assert_allclose(alone, found[3:4], rtol=1e-9, atol=1e-9)
    errors = np.square(found[:, None] - X[None]).mean(axis=(2, 3))
    assert (errors.argmin(axis=1) == np.arange(20)).mean() >= 0.9


def test_writing_is_learned(trained):
    first, last = trained.history_[0], trained.history_[-1]
    assert last["train_digits"] < 0.3 * first["train_digits"]


def test_reconstructions_have_the_units_of_the_series(trained):
    """Between the written values, series are interpolated linearly."""
    X = smooth(3, 1)
    wide = np.repeat(X, 2, axis=2)  # the same series with twice the length
    expected = trained.reconstruct_text(X)
    assert r2(expected, X) > 0.7
    found = trained.reconstruct_text(wide)
    assert found.shape == wide.shape
    between = 0.75 * expected[..., :-1] + 0.25 * expected[..., 1:]
    np.testing.assert_allclose(found[..., 1:-1:2], between)


def test_reconstructions_have_the_length_of_the_series(trained):
    series = [x[:, :n] for x, n in zip(smooth(4, 1), (40, 12, 25, 33), strict=True)]
    found = trained.reconstruct_text(series)
    assert found.shape == (4, 1, 40)
    past = np.arange(40) >= np.array([40, 12, 25, 33])[:, None]
    np.testing.assert_array_equal(np.isnan(found[:, 0]), past)


@pytest.mark.parametrize(
    "params",
    [{}, {"loss_weights": {"digits": 0.0}}, {"text": None}, {"max_epochs": 0}],
    ids=str,
)
def test_reconstruction_requires_training(har_like, params):
    X, y = har_like
    params = {"max_epochs": 1, "text_encoder": "hashing", "random_state": 0} | params
    if "text" in params:  # digits require text
        params["loss_weights"] = {"digits": 1.0}
    classifier = VQTextClassifier(**params).fit(X, y)
    with pytest.raises(
        ValueError, match=r"not trained to reconstruct.*\"digits\": 1\.0"
    ):
        classifier.reconstruct_text(X)


def test_series_with_gaps_are_trained_on_and_reconstructed(gappy):
    transformer = VQTextTransformer(
        text="captions",
        text_encoder="hashing",
        max_epochs=2,
        loss_weights={"digits": 1.0},
        random_state=0,
    ).fit(gappy.values)
    assert all(np.isfinite(list(row.values())).all() for row in transformer.history_)
    found = transformer.reconstruct_text(gappy.values)
    past = np.arange(50) >= gappy.lengths[:, None, None]
    assert np.isnan(found[np.broadcast_to(past, found.shape)]).all()
    assert np.isfinite(found).any()
