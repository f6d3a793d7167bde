from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from sktext_vq import VQTextTransformer
from sktext_vq.nn import AttributeDecoder
from sktext_vq.nn.auxiliary.segments import (
    MIN_LENGTH,
    REACH,
    quantise,
    render,
    sample_windows,
)
from sktext_vq.nn.codebook import Codebook
from sktext_vq.nn.constants import N_POINTS, SCALE_FLOOR
from sktext_vq.nn.segmentation import decode
from sktext_vq.nn.windows import cut_windows


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def walks(n_series, n_timepoints, seed=0):
    steps = torch.randn(n_series, n_timepoints, generator=seeded(seed))
    return 0.3 * steps.cumsum(1)


def wild(decoder, factor, seed=0):
    """Set all weights to random values."""
    generator = seeded(seed)
    with torch.no_grad():
        for weight in decoder.parameters():
            weight.normal_(0, 1, generator=generator).mul_(factor)
    return decoder


def fitted_codebook(series):
    codebook = Codebook(16, N_POINTS)
    shapes = cut_windows(series, 1).shape.flatten(1).T
    codebook.seed(shapes, seeded())
    return codebook


@pytest.mark.parametrize("dilation", [1, 2, 5])
def test_samples_at_whole_borders_are_the_means_of_windows(dilation):
    series = 100 + walks(3, 47)
    windows = cut_windows(series, dilation)
    n_windows = windows.offset.shape[1]
    start = torch.arange(n_windows).expand(3, -1)
    points = sample_windows(series, start, torch.full_like(start, 8 * dilation))
    torch.testing.assert_close(points.mean(2), windows.offset)
    expected = windows.shape * (windows.scale + SCALE_FLOOR)
    centred = points - points.mean(2, keepdim=True)
    torch.testing.assert_close(centred, expected.permute(1, 2, 0), rtol=1e-4, atol=1e-4)


def test_samples_have_exact_gradients():
    series = torch.randn(2, 20, generator=seeded(), dtype=torch.float64)
    series.requires_grad_()
    start = torch.tensor([[0.3, 4.71], [2.2, 9.13]], dtype=torch.float64)
    length = torch.tensor([[5.3, 13.37], [1.7, 9.29]], dtype=torch.float64)
    start.requires_grad_(), length.requires_grad_()
    assert torch.autograd.gradcheck(sample_windows, (series, start, length))


def test_drawings_have_exact_gradients():
    points = torch.randn(1, 3, N_POINTS, generator=seeded(), dtype=torch.float64)
    start = torch.tensor([[0.0, 3.4, 12.3]], dtype=torch.float64)
    length = torch.tensor([[4.3, 9.7, 3.1]], dtype=torch.float64)
    mask = torch.ones(1, 3, dtype=torch.bool)
    inputs = points.requires_grad_(), start.requires_grad_(), length.requires_grad_()
    assert torch.autograd.gradcheck(lambda p, t, n: render(p, t, n, mask, 17), inputs)


def points_of(codes, code, offset, scale, length):
    """Return the points of a token."""
    line = F.interpolate(codes[None, None, code], size=int(length), mode="linear")
    deviation = line.std(correction=0)
    return codes[code] * (scale / deviation if deviation > 0 else 0) + offset


def test_drawing_agrees_with_decoding_at_whole_borders():
    codes = torch.randn(5, N_POINTS, generator=seeded())
    for length in (1, 3, 4, 7, 8, 12, 40):
        code, offset, scale = torch.tensor([2]), torch.tensor([1.5]), torch.ones(1) / 3
        decoded = decode(code, offset, scale, length, codes)
        points = points_of(codes, 2, 1.5, 1 / 3, length)[None]
        start, size = torch.tensor([[2.0]]), torch.tensor([[float(length)]])
        drawn = render(
            points[None], start, size, torch.ones(1, 1, dtype=torch.bool), length + 5
        )
        torch.testing.assert_close(drawn[:, 2 : length + 2], decoded)
        # Timepoints outside of tokens have the value of the nearest covered timepoint.
        assert (drawn[:, :2] == drawn[:, 2:3]).all()
        assert (drawn[:, length + 2 :] == drawn[:, length + 1 : length + 2]).all()


def test_overlaps_are_averaged_by_what_they_cover():
    points = torch.tensor([1.0, 5.0, 100.0])[None, :, None].expand(1, 3, N_POINTS)
    start, length = torch.tensor([[0.0, 3.0, 0.0]]), torch.tensor([[3.5, 3.0, 9.0]])
    mask = torch.tensor([[True, True, False]])
    drawn = render(points, start, length, mask, 8)
    third = (0.5 * 1 + 1 * 5) / 1.5
    torch.testing.assert_close(drawn[0], torch.tensor([1, 1, 1, third, 5, 5, 5, 5]))
    assert (render(points, start, length, mask & False, 8) == 0).all()


def anchors(n_series, n_timepoints):
    """Return alternating segments of 4 and 8 timepoints, and padding."""
    border = [-1, 0]
    while border[-1] + 12 < n_timepoints:
        border.append(border[-1] + (4 if len(border) % 2 else 8))
    start = torch.tensor(border).expand(n_series, -1).contiguous()
    length = torch.tensor([*np.diff([*border[1:], n_timepoints])])
    length = torch.cat([torch.zeros(1, dtype=torch.int64), length])
    return start, length.expand(n_series, -1).contiguous()


def test_untrained_decoder_is_the_closed_form():
    series = 3 + walks(5, 61)
    start, length = anchors(5, 61)
    mask = start >= 0
    tokens = AttributeDecoder(generator=seeded())(series, start, length, mask)
    assert torch.equal(tokens.start[mask], start[mask].float())
    assert torch.equal(tokens.length[mask], length[mask].float())
    points = sample_windows(series, tokens.start, tokens.length)
    assert torch.equal(tokens.offset, points.mean(2))
    centred = points - tokens.offset.unsqueeze(2)
    torch.testing.assert_close(tokens.scale, points.std(2, correction=0))
    unit = (tokens.scale + SCALE_FLOOR).unsqueeze(2)
    assert torch.equal(tokens.shape, centred / unit)
    assert tokens.mask is mask


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    factor=st.sampled_from([0.01, 1.0, 30.0, 1e18, 3e38]),
    size=st.sampled_from([0.0, 1.0, 1e6, 1e15, 1e30]),
    n_timepoints=st.integers(1, 5000),
    data=st.data(),
)
def test_bounds_hold_for_any_weights_and_inputs(seed, factor, size, n_timepoints, data):
    generator = seeded(seed)
    decoder = wild(AttributeDecoder(generator=generator), factor, seed)
    series = size * torch.randn(2, n_timepoints, generator=generator)
    ends = torch.tensor([n_timepoints, data.draw(st.integers(1, n_timepoints))])
    # Anchors may have any position, including the borders.
    share = torch.rand(2, 2, 12, generator=generator)
    share[:, :, :4] = share[:, :, :4].round()
    room = (ends - MIN_LENGTH).unsqueeze(1)
    start = share[0] * room
    length = MIN_LENGTH + share[1] * (room - start)
    mask = torch.rand(2, 12, generator=generator) < 0.9
    tokens = decoder(series, start, length, mask, ends)
    end = ends.unsqueeze(1).float()
    for t, n, whole in (
        (tokens.start, tokens.length, end),
        (tokens.start / end, tokens.length / end, torch.ones(2, 1)),
    ):
        assert (t >= 0).all()
        assert (n >= MIN_LENGTH * whole / end).all()
    assert (tokens.start + tokens.length <= end).all()
    assert ((tokens.start + tokens.length) / end <= 1).all()
    reach = (REACH * length + 1e-5 * end)[mask]
    assert ((tokens.start - start).abs()[mask] <= reach).all()
    assert ((tokens.length - length).abs()[mask] <= reach).all()
    assert (tokens.scale >= 0).all()
    if size < 1e30:
        for values in (tokens.offset, tokens.scale, tokens.shape):
            assert torch.isfinite(values).all()


@pytest.mark.parametrize("n_timepoints", [1, 5, 61])
def test_gradients_are_finite_everywhere(n_timepoints):
    """Flat windows, single timepoints and series borders do not cause division by 0."""
    series = walks(2, n_timepoints)
    series[0] = 1.0
    start, length = anchors(2, n_timepoints)
    mask = start >= 0
    decoder = wild(AttributeDecoder(generator=seeded()), 0.1)
    codebook = fitted_codebook(walks(2, 40))
    tokens = decoder(series, start, length, mask)
    points, soft = quantise(tokens.shape, codebook, 0.5)
    pieces = points * tokens.scale.unsqueeze(2) + tokens.offset.unsqueeze(2)
    drawn = render(pieces, tokens.start, tokens.length, mask, n_timepoints)
    loss = (drawn - series).square().mean() + soft.square().mean()
    loss.backward()
    for weight in decoder.parameters():
        assert torch.isfinite(weight.grad).all()
    assert torch.isfinite(codebook.shift.grad).all()
    if n_timepoints > 8:
        assert (decoder.residual.weight.grad.abs().sum(1) > 0).all()
        assert codebook.shift.grad.abs().sum() > 0


def test_shapes_are_replaced_by_codes_but_keep_their_gradient():
    codebook = fitted_codebook(walks(4, 60))
    shape = torch.randn(3, 5, N_POINTS, generator=seeded(), requires_grad=True)
    points, soft = quantise(shape, codebook, 0.5)
    index = (points.unsqueeze(2) == codebook.codes).all(3).int().argmax(2)
    assert torch.equal(points, codebook.codes[index])
    distance = torch.cdist(shape.flatten(0, 1), codebook.codes).detach()
    found = distance.gather(1, index.view(-1, 1)).squeeze(1)
    # Rounding decides between points at equal distances.
    torch.testing.assert_close(found, distance.amin(1), atol=1e-4, rtol=0)
    torch.testing.assert_close(soft.sum(2), torch.ones(3, 5))
    weight = torch.randn(points.shape, generator=seeded(1))
    (points * weight).sum().backward()
    assert torch.equal(shape.grad, weight)
    assert codebook.shift.grad.abs().sum() > 0


def test_borders_can_be_learned():
    """A segment that extends into the next segment becomes shorter."""
    series = torch.zeros(1, 32)
    series[0, 16:] = 2.0
    start, length = torch.tensor([[0, 18]]), torch.tensor([[18, 14]])
    mask = torch.ones(1, 2, dtype=torch.bool)
    decoder = AttributeDecoder(generator=seeded())
    optimiser = torch.optim.Adam(decoder.parameters(), lr=1e-3)
    errors = []
    for _ in range(200):
        tokens = decoder(series, start, length, mask)
        points = tokens.offset.unsqueeze(2).expand(-1, -1, N_POINTS)
        drawn = render(points, tokens.start, tokens.length, mask, 32)
        error = (drawn - series).square().mean()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        errors.append(error.item())
    assert errors[-1] < 0.01 * errors[0]
    # The tolerance is one timepoint, which may belong to either segment.
    assert 16 <= tokens.start[0, 1].item() < 17
    assert 15 < tokens.length[0, 0].item() <= 16


@pytest.mark.parametrize("equal", [True, False])
def test_tokens_at_moved_borders_are_whole_and_inside(har_like, equal):
    X, _ = har_like
    series = X if equal else [x[:, : 40 - i % 39] for i, x in enumerate(X)]
    model = VQTextTransformer(max_epochs=0, random_state=0).fit(series)
    closed = model.tokens(series)
    decoder = AttributeDecoder(generator=seeded())
    model.network_ = SimpleNamespace(refiner=decoder)
    for name, column in model.tokens(series).items():
        np.testing.assert_array_equal(column, closed[name])
    wild(decoder, 1.0)
    tokens = model.tokens(series)
    assert len(tokens) == len(closed)
    assert not tokens.start.equals(closed.start)
    assert tokens.start.dtype == tokens.length.dtype == np.int64
    ends = np.array([x.shape[1] for x in series])
    assert (tokens.start >= 0).all()
    assert (tokens.length >= 1).all()
    assert (tokens.start + tokens.length <= ends[tokens.case]).all()
    order = tokens.sort_values(["case", "channel", "start"], kind="stable")
    assert order.index.equals(tokens.index)
    row = tokens.iloc[-1]
    values = series[int(row.case)][int(row.channel)]
    part = values[int(row.start) : int(row.start + row.length)]
    assert row.offset == pytest.approx(part.mean(), rel=1e-4, abs=1e-4)
    # Overlaps and gaps are reconstructed up to the end of each series.
    rebuilt = model.reconstruct(series)
    for end, rows in zip(ends, rebuilt, strict=True):
        assert np.isfinite(rows[:, :end]).all()
        assert np.isnan(rows[:, end:]).all()
