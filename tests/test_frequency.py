from itertools import pairwise

import numpy as np
import pytest
import torch
from helpers import draw
from scipy.fft import dct, idct

from sktext_vq.nn.auxiliary.frequency_gains import N_BANDS, FrequencyGains

LENGTHS = [1, 2, 3, 4, 7, 8, 16, 45, 128, 251]


def learned(seed=1):
    module = FrequencyGains()
    with torch.no_grad():
        module.weight.copy_(draw(N_BANDS, seed=seed))
    return module


def coefficients(series):
    return dct(series.detach().numpy(), norm="ortho", axis=-1)


@pytest.mark.parametrize("n_timepoints", LENGTHS)
def test_nothing_changes_before_training(n_timepoints):
    series = draw(3, 2, n_timepoints).float()
    assert torch.equal(FrequencyGains()(series), series)


@pytest.mark.parametrize("n_timepoints", LENGTHS)
def test_gains_are_those_of_the_orthonormal_cosine_transform(n_timepoints):
    series = draw(3, 2, n_timepoints) + 5
    module = learned()
    gains = module.gains.detach().double().numpy()
    expected = coefficients(series)
    for k in range(1, n_timepoints):
        # Each band is twice as wide as the previous band.
        band = 7
        while band > 0 and k * 2 ** (8 - band) < n_timepoints:
            band -= 1
        expected[..., k] *= gains[band]
    found = module(series).detach().numpy()
    np.testing.assert_allclose(found, idct(expected, norm="ortho"), atol=1e-12)


def test_a_band_changes_its_own_coefficients():
    series = draw(1, 1, 256)
    before = coefficients(series)[0, 0]
    changed = []
    for band in range(N_BANDS):
        module = FrequencyGains()
        with torch.no_grad():
            module.weight[band] = 1.0
        after = coefficients(module(series))[0, 0]
        where = np.flatnonzero(~np.isclose(after, before))
        gain = module.gains[band].item()
        np.testing.assert_allclose(after[where], gain * before[where])
        changed.append(where.tolist())
    edges = [1, *(2 ** np.arange(1, 9)).tolist()]
    assert changed == [list(range(low, high)) for low, high in pairwise(edges)]


@pytest.mark.parametrize("n_timepoints", LENGTHS)
def test_means_stay(n_timepoints):
    series = draw(3, 2, n_timepoints) + 100
    found = learned()(series)
    torch.testing.assert_close(found.mean(-1), series.mean(-1))
    level = torch.full((1, 1, n_timepoints), 7.0)
    torch.testing.assert_close(learned()(level), level)


def test_gains_act_linearly():
    module = learned()
    a, b = draw(2, 3, 50), draw(2, 3, 50, seed=3)
    torch.testing.assert_close(module(2 * a - b), 2 * module(a) - module(b))


def test_gains_are_bounded():
    module = FrequencyGains()
    with torch.no_grad():
        module.weight[:3] = torch.tensor([-1e6, 0.0, 1e6])
    assert module.gains[:3].tolist() == [0.5, 1.0, 2.0]


def test_gradients_reach_gains_and_series():
    module = FrequencyGains()
    series = draw(2, 3, 300).requires_grad_()
    module(series).square().sum().backward()
    assert module.weight.grad.isfinite().all()
    # A larger gain increases the energy of every band.
    assert (module.weight.grad > 0).all()
    torch.testing.assert_close(series.grad, 2 * series.detach())


@pytest.mark.parametrize("n_timepoints", [1, 2, 9])
def test_gradients_are_those_of_small_differences(n_timepoints):
    module = learned().double()
    series = draw(2, n_timepoints).requires_grad_()

    def apply(series, weight):
        return torch.func.functional_call(module, {"weight": weight}, series)

    weight = module.weight.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(apply, (series, weight))


@pytest.mark.parametrize("shape", [(20,), (4, 20), (2, 3, 20)])
def test_any_batch(shape):
    series = draw(*shape)
    module = learned()
    found = module(series)
    assert found.shape == shape
    assert found.dtype == series.dtype
    for part, row in zip(series.view(-1, 20), found.view(-1, 20), strict=True):
        torch.testing.assert_close(module(part), row)
