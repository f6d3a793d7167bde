import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import seconds
from hypothesis import given
from hypothesis import strategies as st

from sktext_vq.nn import tokenizer as tokens
from sktext_vq.nn.constants import N_POINTS, SCALE_FLOOR
from sktext_vq.nn.histograms import summarise
from sktext_vq.nn.tokenizer import ShapeTokenizer
from sktext_vq.nn.windows import Batch, cut_windows, dilations, moving_mean


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def walk(n_cases=6, n_channels=2, n_timepoints=50, seed=0):
    steps = torch.randn(n_cases, n_channels, n_timepoints, generator=generator(seed))
    series = steps.cumsum(-1)
    return (series - series.mean()) / series.std()


def fitted(series, n_codes=32, **options):
    tokenizer = ShapeTokenizer(series.shape[1], series.shape[2], n_codes, **options)
    with torch.no_grad():
        tokenizer.fit(Batch(series), generator())
    return tokenizer


@given(st.integers(1, 5000))
def test_window_lengths_are_dyadic_and_cover_the_series(n_timepoints):
    found = dilations(n_timepoints)
    assert found[0] == 1
    assert all(b == 2 * a for a, b in pairwise(found[:-1]))
    longest = N_POINTS * found[-1]
    if n_timepoints >= N_POINTS:
        assert longest <= n_timepoints < 2 * longest


def test_attributes_of_windows_are_exact():
    series = walk(1, 1)[0]
    windows = cut_windows(series, dilation=4)
    assert windows.offset.shape == (1, 50 - 32 + 1)
    for start in (0, 7, 18):
        means = series[0, start : start + 32].reshape(8, 4).mean(1)
        torch.testing.assert_close(windows.offset[0, start], means.mean())
        torch.testing.assert_close(windows.scale[0, start], means.std(correction=0))
        torch.testing.assert_close(
            windows.shape[:, 0, start],
            (means - means.mean()) / (means.std(correction=0) + SCALE_FLOOR),
        )


def test_windows_need_to_be_observed_and_within_the_series():
    observed = torch.ones(1, 40)
    observed[0, 10:15] = 0  # a gap
    observed[0, 30:] = 0  # after the end
    windows = cut_windows(torch.zeros(1, 40), 1, observed, torch.tensor([30]))
    valid = windows.valid[0].bool()
    for start in range(33):
        inside = start + 8 <= 30
        enough = observed[0, start : start + 8].mean() >= 0.5
        assert valid[start] == (inside and bool(enough)), start


def test_scores_equal_a_dilated_convolution():
    series = walk(3, 1)[:, 0]
    codes = F.normalize(torch.randn(5, 8, generator=generator()), dim=1)
    codes = codes - codes.mean(1, keepdim=True)
    for dilation in (1, 2, 5):
        windows = cut_windows(series, dilation)
        means = F.avg_pool1d(series[:, None], dilation, 1)
        expected = F.conv1d(means, codes[:, None], dilation=dilation)
        found = torch.einsum("kp,pnt->nkt", codes, windows.shape)
        found = found * (windows.scale + SCALE_FLOOR)[:, None]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_assigned_codes_are_the_nearest_of_each_head():
    series = walk()
    tokenizer = fitted(series)
    codes = tokenizer.codebook.codes.detach()
    windows = cut_windows(series.reshape(-1, 50), 2)
    scaled = windows.shape.permute(1, 2, 0)
    scores = tokenizer.codebook.score(windows.points)
    chosen = tokenizer.codebook.assign(scores.detach()).view(2, 16, 12, -1)
    for head in range(2):
        distance = torch.cdist(scaled, codes[16 * head : 16 * head + 16])
        found = distance.gather(2, chosen[head].argmax(0).unsqueeze(2)).squeeze(2)
        # If two codes are equally near, the choice depends on rounding.
        torch.testing.assert_close(found, distance.amin(2), atol=1e-4, rtol=0)


def test_histograms_count_every_window_once():
    series = walk()
    tokenizer = fitted(series)
    with torch.inference_mode():
        features = tokenizer(Batch(series))
    assert features.shape == (6, tokenizer.layout.n_features)
    counts = (tokenizer.layout.split(features)[0][..., :8, :] + 1e-3).square() - 1e-6
    for bins in (counts[..., :4, :], counts[..., 4:, :]):
        # Each window is counted once in each of the two heads.
        torch.testing.assert_close(bins.sum((-1, -2)), torch.full((6, 2, 2, 4), 2.0))


def test_padding_has_no_effect():
    series = walk()
    tokenizer = fitted(series)
    padded = F.pad(series, (0, 13), value=99.0)
    observed = torch.ones_like(padded)
    observed[..., 50:] = 0
    with torch.inference_mode():
        expected = tokenizer(Batch(series))
        found = tokenizer(Batch(padded, observed, torch.full((6,), 50)))
    # Rounding of means depends on the width of arrays. Frequencies are compared before
    # the square root, which is steep near 0.
    found, expected = found.clone(), expected.clone()
    for features in (found, expected):
        counts = tokenizer.layout.split(features)[0][..., :8, :]
        counts.copy_((counts + 1e-3).square())
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("n_timepoints", [8, 50, 300])
@pytest.mark.parametrize("n_codes", [17, 32])
@pytest.mark.parametrize("with_gaps", [False, True])
@pytest.mark.parametrize("with_matches", [False, True])
def test_compiled_features_equal_features_of_torch(
    monkeypatch, n_timepoints, n_codes, with_gaps, with_matches
):
    pytest.importorskip("numba")
    series = walk(20, 3, n_timepoints)
    tokenizer = fitted(series, n_codes, with_matches=with_matches)
    batch = Batch(series)
    if with_gaps:
        observed = torch.ones_like(series)
        observed[:10, 1, 3:40] = 0
        observed[0, 2] = 0
        observed[10:, :, n_timepoints - 4 :] = 0
        lengths = torch.full((20,), n_timepoints)
        lengths[10:] -= 4
        batch = Batch(series * observed, observed, lengths)
    with torch.inference_mode():
        found = tokenizer(batch)
        monkeypatch.setattr(tokens, "load_kernels", lambda: None)
        expected = tokenizer(batch)
    assert found.shape == expected.shape == (20, tokenizer.layout.n_features)
    # If two codes are equally near, the choice depends on rounding.
    unlike = (found - expected).abs() > 1e-4
    assert unlike.double().mean() < 1e-3
    assert found.std(0).max() > 0.1


def test_frequencies_of_matches_agree_with_their_quantiles():
    series = walk(40, 2, 100)
    tokenizer = fitted(series)
    with torch.inference_mode():
        features = tokenizer(Batch(series))
    start, size = tokenizer.layout.sizes[:2]
    # The longest windows are omitted, because there are few of them.
    layout = (40, 2, 2, len(tokenizer.dilations), tokens.N_MATCHES, 32)
    matches = features[:, start : start + size].view(layout)[:, :, :, 0]
    expected = 1 - torch.tensor(tokens.MATCH_QUANTILES)
    torch.testing.assert_close(matches.mean((0, 1, 2, 4)), expected, atol=0.02, rtol=0)


def test_long_windows_take_no_longer_than_short_ones():
    series, observed = walk(2, 1, 100_000)[:, 0], torch.ones(2, 100_000)
    observed[0, 20_000:30_000] = 0
    lengths = torch.tensor([100_000, 70_000])
    short = seconds(cut_windows, series, 8, observed, lengths)
    assert seconds(cut_windows, series, 4096, observed, lengths) < 10 * short


@pytest.mark.parametrize("length", [1, 2, 64, 65, 300, 1000])
def test_moving_means_are_exact(length):
    series = walk(3, 1, 1000)[:, 0] + 5
    expected = series.double().unfold(1, length, 1).mean(2)
    found = moving_mean(series, length)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-6)


def test_knots_are_quantiles_of_windows_that_count():
    """Knots are computed from 20,000 random windows, which are most windows."""
    series = walk(4, 2, 300)
    observed = torch.ones_like(series)
    observed[0, 1, 50:] = 0
    batch = Batch(series, observed, torch.full((4,), 300))
    tokenizer = ShapeTokenizer(2, 300, 16)
    with torch.no_grad():
        tokenizer.fit(batch, generator())
    inner = torch.linspace(0, 1, tokens.LEVEL_BINS + 2)[1:-1]
    for v, d, windows in tokenizer.all_windows(batch):
        for c in range(2):
            counted = windows.valid[c::2] > 0
            for values, knots in (
                (windows.offset, tokenizer.level_knots),
                (windows.scale, tokenizer.scale_knots),
            ):
                values = values[c::2][counted]
                share = (values[:, None] <= knots[v, d, c]).double().mean(0)
                assert (share - inner).abs().max() < 0.05


@pytest.mark.parametrize("with_jit", [True, False])
def test_kernels_that_numba_does_not_compile_are_not_used(with_jit):
    pytest.importorskip("numba")
    program = (
        "from sktext_vq.nn.compiled import load_kernels\n"
        "print(load_kernels() is not None)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "NUMBA_DISABLE_JIT": str(int(not with_jit))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(with_jit)


def test_histograms_do_not_depend_on_the_batch():
    series = walk(9, 2, 100)
    tokenizer = fitted(series)
    with torch.inference_mode():
        together = tokenizer(Batch(series))
        alone = torch.cat([tokenizer(Batch(case[None])) for case in series])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-6)


def test_values_are_divided_between_neighbouring_bins():
    """Windows with a level between two knots are counted in two bins."""
    tokenizer = fitted(walk(1, 1))
    knots = tokenizer.level_knots[0, 0, 0]
    for bins, share in [((1, 2), 0.25), ((2, 3), 0.6)]:
        low, high = knots[list(bins)]
        level = low + share * (high - low)
        with torch.inference_mode():
            features = tokenizer(Batch(level.expand(1, 1, 50)))
        rows = tokenizer.layout.split(features)[0][0, 0, 0, 0]
        counts = ((rows[:4] + 1e-3).square() - 1e-6).sum(-1)
        expected = torch.zeros(4)
        expected[list(bins)] = torch.tensor([1 - share, share]) * 2  # heads
        torch.testing.assert_close(counts, expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(("level", "bin"), [(-9.0, 0), (9.0, 3)])
def test_values_outside_of_the_knots_are_in_the_last_bins(level, bin):
    tokenizer = fitted(walk(1, 1))
    with torch.inference_mode():
        features = tokenizer(Batch(torch.full((1, 1, 50), level)))
    rows = tokenizer.layout.split(features)[0][0, 0, 0, 0]
    counts = ((rows[:4] + 1e-3).square() - 1e-6).sum(-1)
    torch.testing.assert_close(counts[bin], torch.tensor(2.0), atol=1e-3, rtol=0)


def test_training_features_equal_features_and_have_gradients(monkeypatch):
    series = walk()
    tokenizer = fitted(series)
    found, error = tokenizer.train_forward(Batch(series), 0.5, first=0, step=1)
    with torch.inference_mode():
        compiled = tokenizer(Batch(series)).clone()
        monkeypatch.setattr(tokens, "load_kernels", lambda: None)
        expected = tokenizer(Batch(series))
    torch.testing.assert_close(found.detach(), expected.clone(), atol=1e-4, rtol=0)
    # Frequencies are compared before the square root, which is steep near 0.
    pairs = [(features + 1e-3).square() for features in (found.detach(), compiled)]
    torch.testing.assert_close(*pairs, atol=1e-4, rtol=0)
    (found.sum() + error).backward()
    gradient = tokenizer.codebook.shift.grad
    assert torch.isfinite(gradient).all()
    assert (gradient.abs().sum(1) > 0).float().mean() > 0.9


@pytest.mark.parametrize("n_timepoints", [8, 9, 16, 20, 50, 64])
def test_features_do_not_depend_on_the_batch(n_timepoints):
    """Differences are below the tolerance of scikit-learn, even for single windows."""
    series = walk(9, 1, n_timepoints)
    tokenizer = fitted(series)
    with torch.inference_mode():
        whole = tokenizer(Batch(series))
        for part in (slice(3, 4), slice(2, 7)):
            torch.testing.assert_close(
                tokenizer(Batch(series[part])), whole[part], rtol=1e-4, atol=1e-7
            )


@pytest.mark.parametrize("n_needed", [3, 200])
def test_needed_features_equal_those_of_all_features(n_needed):
    series = walk(6, 2, 130)
    tokenizer = fitted(series, n_codes=64)
    needed = np.zeros(tokenizer.layout.n_features, bool)
    needed[np.random.default_rng(0).permutation(len(needed))[:n_needed]] = True
    with torch.inference_mode():
        expected = tokenizer(Batch(series))
        found = tokenizer(Batch(series), needed)
    assert torch.equal(found[:, needed], expected[:, needed])


def test_assigning_changes_no_state():
    series = walk()
    tokenizer = fitted(series)
    before = {k: v.clone() for k, v in tokenizer.state_dict().items()}
    with torch.inference_mode():
        tokenizer(Batch(series))
    for name, value in tokenizer.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_constant_series_have_finite_features():
    series = torch.zeros(2, 1, 30)
    tokenizer = fitted(series, n_codes=16)
    with torch.inference_mode():
        assert torch.isfinite(tokenizer(Batch(series))).all()


def test_the_global_generator_is_not_used():
    torch.manual_seed(3)
    expected = torch.get_rng_state()
    fitted(walk())
    assert torch.equal(torch.get_rng_state(), expected)


@pytest.mark.parametrize("n_windows", [1, 2, 9, 40])
def test_summaries_are_mean_deviation_and_quantiles(n_windows):
    values = torch.randn(3, n_windows, generator=generator())
    found = summarise(values, None).numpy()
    np.testing.assert_allclose(found[:, 0], values.numpy().mean(1), atol=1e-6)
    np.testing.assert_allclose(found[:, 1], values.numpy().std(1), atol=1e-5)
    quantiles = np.quantile(values.numpy(), np.linspace(0, 1, 7), axis=1).T
    np.testing.assert_allclose(found[:, 2:], quantiles, atol=1e-6)
    learned = summarise(values.clone().requires_grad_(), None)
    torch.testing.assert_close(learned.detach().numpy(), found)
    assert learned.requires_grad


def test_summaries_exclude_invalid_windows():
    values = torch.randn(3, 20, generator=generator())
    valid = torch.ones(3, 20)
    valid[1, 5:] = 0
    valid[2] = 0
    found = summarise(values, valid)
    torch.testing.assert_close(found[0], summarise(values[:1], None)[0])
    torch.testing.assert_close(found[1], summarise(values[1:2, :5], None)[0])
    assert (found[2, 2:] == 0).all()
    assert torch.isfinite(found).all()
