import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sktext_vq import VQTextTransformer
from sktext_vq._readable import shape_words
from sktext_vq.nn.segments import cut_segments, decode


def fitted(X, **params):
    return VQTextTransformer(max_epochs=0, random_state=0, **params).fit(X)


@settings(max_examples=30)
@given(
    hnp.arrays(
        np.float64,
        st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 60)),
        elements=st.floats(-1e6, 1e6),
    )
)
def test_tokens_cover_every_series_and_stay_inside(X):
    model = fitted(X, n_codes=4)
    tokens = model.tokens(X)
    assert (tokens.start >= 0).all()
    assert (tokens.length > 0).all()
    assert (tokens.start + tokens.length <= X.shape[2]).all()
    assert tokens.code.between(0, 3).all()
    assert np.isfinite(tokens[["offset", "scale"]]).all(axis=None)
    covered = np.zeros(X.shape, dtype=int)
    for row in tokens.itertuples():
        covered[row.case, row.channel, row.start : row.start + row.length] += 1
    assert (covered >= 1).all()
    # Only the last token of a series may reach back over the one before.
    assert (covered.sum(axis=2) < X.shape[2] + 8).all()
    assert np.isfinite(model.reconstruct(X)).all()


def test_tokens_of_unequal_series_end_where_these_end(har_like):
    X, _ = har_like
    series = [x[:, : 40 - i % 35] for i, x in enumerate(X)]
    model = fitted(series)
    tokens = model.tokens(series)
    ends = (tokens.start + tokens.length).groupby(tokens.case).max()
    assert ends.tolist() == [x.shape[1] for x in series]
    rebuilt = model.reconstruct(series)
    for x, row in zip(series, rebuilt, strict=True):
        assert np.isfinite(row[:, : x.shape[1]]).all()
        assert np.isnan(row[:, x.shape[1] :]).all()


def test_series_made_of_codes_is_found_again():
    """A series drawn from tokens is cut at their borders into the same codes."""
    codes = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator()))[0][:, :4].T
    codes = codes - codes.mean(1, keepdim=True)
    codes = 8**0.5 * codes / codes.norm(dim=1, keepdim=True)
    drawn = [
        decode(
            torch.tensor([code]), torch.tensor([offset]), torch.ones(1), length, codes
        )
        for code, offset, length in [(0, 0.0, 8), (1, 2.0, 8), (2, -1.0, 16)]
    ]
    found = cut_segments(torch.cat(drawn, dim=1), codes, [1, 2, 4])
    assert found.start[0].tolist() == [0, 8, 16]
    assert found.length[0].tolist() == [8, 8, 16]
    assert found.code[0].tolist() == [0, 1, 2]


def test_tokens_have_the_units_of_the_input(basic_motions):
    X = basic_motions.X_train
    tokens = fitted(X).tokens(X)
    scaled = fitted(100 * X + 7).tokens(100 * X + 7)
    assert (scaled.code == tokens.code).mean() > 0.99
    np.testing.assert_allclose(scaled.offset, 100 * tokens.offset + 7, atol=0.1)
    np.testing.assert_allclose(scaled.scale, 100 * tokens.scale, atol=0.1)


def test_reconstruction_follows_the_series(basic_motions):
    data = basic_motions
    model = fitted(data.X_train)
    X = data.X_test
    error = X - model.reconstruct(X)
    deviation = X - data.X_train.mean(axis=(0, 2))[:, None]
    explained = 1 - (error**2).sum((0, 2)) / (deviation**2).sum((0, 2))
    # At 10 Hz most of these movements last less than the smallest window.
    assert explained.mean() >= 0.65
    tokens = len(model.tokens(X)) / X.shape[0] / X.shape[1]
    assert tokens <= 13


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ([0, 0, 0, 0, 0, 0, 0, 0], "flat"),
        ([0, 1, 2, 3, 4, 5, 6, 7], "rise"),
        ([7, 6, 5, 4, 3, 2, 1, 0], "fall"),
        ([0, 0, 0, 0, 5, 5, 5, 5], "step up, middle"),
        ([0, 3, 0, 0, 0, 0, 0, 0], "peak, early"),
        ([0, 0, 0, 0, 0, 0, -3, 0], "valley, late"),
        ([0, 3, 0, -3, 0, 3, 0, -3], "wave"),
        ([0, 2, 3, 0, 0, 3, 4, 5], "up, down, up"),
    ],
)
def test_words_for_shapes(shape, words):
    assert shape_words(np.array(shape, dtype=float)) == words


def test_codes_are_counted_over_channels_and_lengths(har_like):
    X, y = har_like
    model = fitted(X)
    shares = model.transform_codes(X)
    assert shares.shape == (24, 64)
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    # Every window counts once in each of the four heads.
    heads = shares.reshape(24, 4, 16).sum(axis=2)
    np.testing.assert_allclose(heads, 0.25, atol=0.01)
    # Series of a class use the same codes: their nearest neighbours are of it.
    affinity = np.sqrt(shares) @ np.sqrt(shares).T
    np.fill_diagonal(affinity, 0)
    assert (y[affinity.argmax(axis=1)] == y).mean() >= 0.9


def test_codes_are_described_by_where_they_occur():
    rng = np.random.default_rng(0)
    X = 0.01 * rng.normal(size=(40, 2, 64))
    X[::2, 0] += np.tile(np.linspace(0, 3, 16), 4)  # saw teeth in one channel
    y = np.array(["saw", "noise"] * 20)
    model = VQTextTransformer(
        16, max_epochs=0, channel_names=["a", "b"], random_state=0
    ).fit(X, y)
    table = model.describe_codes()
    assert table.index.name == "code"
    assert len(table) == 16
    np.testing.assert_allclose(table.usage.sum(), 1)
    rises = table[(table["shape"] == "rise") & (table["class"] == "saw")]
    assert len(rises)
    assert (rises.lift > 1).all()
    assert (rises.sort_values("lift").channel.iloc[-1:] == "a").all()
    assert not {"class", "lift"} & set(fitted(X).describe_codes())
