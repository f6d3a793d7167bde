from itertools import combinations

import numpy as np
import pytest
import torch
from helpers import seconds
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sktext_vq import VQTextTransformer
from sktext_vq._interpret.shape_names import shape_words
from sktext_vq.nn.segmentation import cut_segments, decode, match


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
    assert (covered == 1).all()
    rebuilt = model.reconstruct(X)
    assert np.isfinite(rebuilt).all()
    again = model.reconstruct(tokens)
    assert again.shape == X.shape
    unit = model.features_.scaler.scale[:, None]
    np.testing.assert_allclose(again / unit, rebuilt / unit, rtol=1e-4, atol=1e-4)


def test_tokens_end_with_their_series(har_like):
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
    np.testing.assert_allclose(
        model.reconstruct(tokens), rebuilt[:, :, : ends.max()], atol=1e-4
    )


def test_tokens_of_a_reconstructed_series_are_recovered():
    """A series that is reconstructed from tokens has the same tokens."""
    codes = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator()))[0][:, :4].T
    codes = codes - codes.mean(1, keepdim=True)
    codes = 8**0.5 * codes / codes.norm(dim=1, keepdim=True)
    drawn = [
        decode(
            torch.tensor([code]), torch.tensor([offset]), torch.ones(1), length, codes
        )
        for code, offset, length in [(0, 0.0, 8), (1, 2.0, 8), (2, -1.0, 16)]
    ]
    found = cut_segments(torch.cat(drawn, dim=1), codes)
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
    deviation = X - X.mean(axis=(0, 2))[:, None]
    explained = 1 - (error**2).sum((0, 2)) / (deviation**2).sum((0, 2))
    assert explained.mean() >= 0.9
    tokens = len(model.tokens(X)) / X.shape[0] / X.shape[1]
    assert tokens <= 8


def squared_error(series, start, length, code, offset, scale, codes):
    piece = decode(*(torch.tensor([v]) for v in (code, offset, scale)), length, codes)
    return (series[start : start + length] - piece[0]).square().sum().item()


def test_code_and_scale_minimise_the_error():
    generator = torch.Generator().manual_seed(3)
    series = torch.randn(1, 60, generator=generator)
    codes = torch.randn(6, 8, generator=generator)
    codes -= codes.mean(1, keepdim=True)
    start, length = torch.tensor([[0, 5, 20, 33]]), torch.tensor([[5, 15, 13, 24]])
    found = match(series, start, length, codes)
    rows = zip(*(values[0].tolist() for values in found), strict=True)
    for at, size, code, offset, scale in rows:
        assert offset == pytest.approx(
            series[0, at : at + size].mean().item(), abs=1e-5
        )
        least = squared_error(series[0], at, size, code, offset, scale, codes)
        for other in range(6):
            for factor in np.linspace(0, 2, 21):
                error = squared_error(series[0], at, size, other, offset, factor, codes)
                # Flat codes are preferred if errors are similar.
                assert least <= error + 0.0025 * size * codes.square().sum(1).max()


def test_a_flat_series_has_the_flattest_code():
    codes = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))
    codes -= codes.mean(1, keepdim=True)
    codes[3] *= 0.1
    found = cut_segments(torch.full((2, 100), 7.0), codes)
    used = found.start >= 0
    assert (found.code[used] == 3).all()
    assert (found.scale == 0).all()
    assert (found.offset[used] == 7).all()
    assert used.sum() <= 4


def test_scales_are_standard_deviations_of_tokens(basic_motions):
    X = basic_motions.X_test
    model = fitted(basic_motions.X_train)
    rebuilt = model.reconstruct(X)
    for row in model.tokens(X).itertuples():
        part = row.case, row.channel, slice(row.start, row.start + row.length)
        unit = model.features_.scaler.scale[row.channel]
        assert rebuilt[part].std() == pytest.approx(row.scale, abs=1e-3 * unit)
        assert row.scale <= X[part].std() + 1e-3 * unit


def test_only_flat_segments_have_flat_codes():
    """Noisy segments and spikes do not have flat codes, even if codes fit badly."""
    rng = np.random.default_rng(0)
    X = 0.001 * rng.normal(size=(12, 1, 400))
    X[::2] += rng.normal(size=(6, 1, 400))
    X[1::2, :, 50::100] += 20
    model = fitted(X)
    words = model.describe_codes()["shape"]
    flat = words.str.contains("flat|slight")
    assert flat.any()
    tokens = model.tokens(X)
    tokens = tokens[tokens.code.map(flat)]
    assert len(tokens)
    for row in tokens.itertuples():
        piece = X[row.case, row.channel, row.start : row.start + row.length]
        assert piece.std() <= 0.11 * X.std()


def test_long_series_are_cut_in_linear_time():
    series = np.random.default_rng(0).normal(size=(1, 1, 48_000))
    model = fitted(series[:, :, :3000], n_codes=4)
    short = seconds(model.tokens, series[:, :, :6_000])
    assert seconds(model.tokens, series) < 20 * short


@pytest.mark.parametrize("end", [8, 9, 11, 13, 14])
def test_segmentation_has_the_lowest_cost(end):
    generator = torch.Generator().manual_seed(end)
    series = 3 * torch.randn(1, 14, generator=generator)
    codes = torch.randn(3, 8, generator=generator)
    codes -= codes.mean(1, keepdim=True)
    found = cut_segments(series, codes, torch.tensor([end]))

    def cost(borders):
        start = torch.tensor([borders[:-1]])
        tokens = match(series, start, torch.tensor(borders).diff().unsqueeze(0), codes)
        rows = zip(*(values[0].tolist() for values in tokens), strict=True)
        return sum(2 + squared_error(series[0], *row, codes) for row in rows)

    inner = range(4, end, 2)
    tilings = [
        [0, *chosen, end]
        for n in range(len(inner) + 1)
        for chosen in combinations(inner, n)
    ]
    tilings = [t for t in tilings if min(np.diff(t)) >= 4]
    if end % 2:
        tilings = [t for t in tilings if t[-1] - t[-2] >= 5]
    used = found.start[0] >= 0
    cut = [*found.start[0][used].tolist(), end]
    assert cost(cut) <= min(map(cost, tilings)) + 0.3  # flat codes are preferred
    assert cut[-2] + found.length[0, -1] == end


@pytest.mark.parametrize("n_timepoints", range(1, 8))
def test_a_series_shorter_than_a_shape_is_one_token(n_timepoints):
    X = np.random.default_rng(0).normal(size=(6, 2, n_timepoints))
    tokens = fitted(X, n_codes=4).tokens(X)
    assert len(tokens) == 12
    assert (tokens.start == 0).all()
    assert (tokens.length == n_timepoints).all()
    np.testing.assert_allclose(tokens.offset, X.mean(axis=2).ravel(), atol=1e-5)


def test_tokens_of_a_case_do_not_depend_on_others(har_like):
    X, _ = har_like
    model = fitted(X)
    alone = model.tokens(X[3:4])
    among = model.tokens([*X[:3, :, :37], *X[3:4]])
    among = among[among.case == 3]
    np.testing.assert_allclose(alone.iloc[:, 1:], among.iloc[:, 1:], atol=1e-5)


def test_long_series_are_segmented():
    X = np.random.default_rng(0).normal(size=(4, 1, 3001)).cumsum(axis=2)
    model = fitted(X)
    tokens = model.tokens(X)
    assert tokens.groupby("case").length.sum().tolist() == [3001] * 4
    error = X - model.reconstruct(X)
    assert (error**2).mean() <= 0.05 * X.var()


def test_series_are_rebuilt_from_a_table(basic_motions):
    X = basic_motions.X_train[:6]
    model = fitted(X)
    table = model.tokens(X)
    rebuilt = model.reconstruct(X)
    np.testing.assert_allclose(model.reconstruct(table), rebuilt, atol=1e-4)
    shuffled = table.sample(frac=1, random_state=0).assign(note="anything")
    np.testing.assert_allclose(model.reconstruct(shuffled), rebuilt, atol=1e-4)
    # Timepoints and channels without tokens are missing.
    part = table[(table.case == 2) & (table.channel != 1) & (table.start < 40)]
    found = model.reconstruct(part)
    end = (part.start + part.length).max()
    assert found.shape == (3, 6, end)
    assert np.isnan(found[:2]).all()
    assert np.isnan(found[2, 1]).all()
    assert np.isfinite(found[2, [0, 2, 3, 4, 5]]).all()
    first = part[part.channel == 0].iloc[:1]
    np.testing.assert_allclose(
        found[2, 0, : first.length.item()],
        rebuilt[2, 0, : first.length.item()],
        atol=1e-4,
    )
    assert model.reconstruct(table[:0]).shape == (0, 6, 0)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ([0, 0, 0, 0, 0, 0, 0, 0], "nearly flat"),
        ([0.2, 0.2, 0.1, 0.1, -0.1, -0.2, -0.2, -0.2], "slight fall"),
        ([0.4, 0.2, -0.1, -0.1, -0.1, -0.2, 0.1, 0.2], "slight valley, late"),
        ([-0.4, 0.4, -0.2, 0.1, 0, -0.2, 0.3, 0], "slight fast wave"),
        ([0.05, 0.02, 0, 0, 0, -0.02, -0.03, -0.04], "nearly flat"),
        ([0, 1, 2, 3, 4, 5, 6, 7], "rise"),
        ([7, 6, 5, 4, 3, 2, 1, 0], "fall"),
        ([0, 0, 0, 0, 5, 5, 5, 5], "step up, middle"),
        ([0, 3, 0, 0, 0, 0, 0, 0], "peak, early"),
        ([0, 0, 0, 0, 0, 0, -3, 0], "valley, late"),
        ([0, 3, 0, -3, 0, 3, 0, -3], "wave"),
        ([0, 2, 3, 0, 0, 3, 4, 5], "up, down, up"),
    ],
)
def test_names_of_shapes(shape, words):
    assert shape_words(np.array(shape, dtype=float)) == words


def test_codes_are_counted_over_channels_and_lengths(har_like):
    X, y = har_like
    model = fitted(X)
    shares = model.transform_codes(X)
    assert shares.shape == (24, 64)
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    # Every window is counted once in each of the four heads.
    heads = shares.reshape(24, 4, 16).sum(axis=2)
    np.testing.assert_allclose(heads, 0.25, atol=0.01)
    # Series of a class use the same codes, so nearest neighbours have the same class.
    affinity = np.sqrt(shares) @ np.sqrt(shares).T
    np.fill_diagonal(affinity, 0)
    assert (y[affinity.argmax(axis=1)] == y).mean() >= 0.9


def test_code_table_describes_where_codes_occur():
    rng = np.random.default_rng(0)
    X = 0.01 * rng.normal(size=(40, 2, 64))
    X[::2, 0] += np.tile(np.linspace(0, 3, 16), 4)  # sawtooth wave in one channel
    y = np.array(["saw", "noise"] * 20)
    model = VQTextTransformer(
        max_epochs=0, channel_names=["a", "b"], random_state=0
    ).fit(X, y)
    table = model.describe_codes()
    assert table.index.name == "code"
    assert len(table) == 64
    np.testing.assert_allclose(table.usage.sum(), 1)
    rises = table[(table["shape"] == "rise") & (table["class"] == "saw")]
    assert len(rises)
    assert (rises.lift > 1).all()
    assert (rises.sort_values("lift").channel.iloc[-1:] == "a").all()
    assert not {"class", "lift", "phrase"} & set(fitted(X).describe_codes())
