import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import draw
from sklearn.metrics import log_loss
from sklearn.metrics.pairwise import cosine_similarity

from sktext_vq.nn.auxiliary.cross_attention import distillation_loss
from sktext_vq.nn.auxiliary.digits import digit_loss
from sktext_vq.nn.auxiliary.joint_losses import (
    calibrated_loss,
    cosine_loss,
    supervised_contrastive,
)
from sktext_vq.nn.auxiliary.segments import separation_loss, usage_loss
from sktext_vq.nn.losses import code_loss, reconstruction_loss, text_loss


def gradient(loss, *inputs):
    """Return the gradients of a loss, and check that they are finite."""
    assert loss.shape == ()
    assert loss.isfinite()
    gradients = torch.autograd.grad(loss, inputs)
    assert all(part.isfinite().all() for part in gradients)
    return gradients


def assert_nothing(loss, *inputs):
    """Check that a loss and its gradients are 0."""
    assert loss == 0
    assert all((part == 0).all() for part in gradient(loss, *inputs))


def leaf(values):
    return values.clone().requires_grad_()


def test_supervised_contrastive_is_equal_to_loops():
    embeddings = leaf(F.normalize(draw(9, 4), dim=1))
    classes = torch.tensor([0, 1, 0, 2, 1, 0, 3, 1, 0])  # 2 and 3 have one case
    cosines = cosine_similarity(embeddings.detach().numpy()) / 0.2
    expected = []
    for i in range(9):
        others = [j for j in range(9) if j != i]
        total = math.log(sum(math.exp(cosines[i, j]) for j in others))
        same = [cosines[i, j] - total for j in others if classes[j] == classes[i]]
        if same:
            expected.append(-np.mean(same))
    assert len(expected) == 7
    loss = supervised_contrastive(embeddings, classes, 0.2)
    assert loss.item() == pytest.approx(np.mean(expected))
    assert (gradient(loss, embeddings)[0] != 0).any(1).all()


@pytest.mark.parametrize("n_cases", [0, 1, 4])
def test_supervised_contrastive_without_positives(n_cases):
    embeddings = leaf(F.normalize(draw(n_cases, 3), dim=1))
    assert_nothing(
        supervised_contrastive(embeddings, torch.arange(n_cases)), embeddings
    )


def test_code_loss_is_a_cross_entropy():
    logits = leaf(draw(5, 2, 7))
    symbols = torch.arange(10).view(5, 2) % 7
    loss = code_loss(logits.log_softmax(-1), F.one_hot(symbols, 7).double())
    probabilities = logits.detach().softmax(-1).flatten(0, 1).numpy()
    expected = log_loss(symbols.flatten(), probabilities, labels=range(7))
    assert loss.item() == pytest.approx(expected)
    gradient(loss, logits)


def test_code_loss_leaves_out_groups_without_a_target():
    logits = leaf(draw(6, 2, 7))
    target = draw(6, 2, 7, seed=1).softmax(-1)
    target[1, 0] = 0
    target[4] = 0
    known = target.sum(-1) > 0
    loss = code_loss(logits.log_softmax(-1), target)
    expected = -(target * logits.log_softmax(-1)).sum(-1)[known].mean()
    torch.testing.assert_close(loss, expected)
    (found,) = gradient(loss, logits)
    assert torch.equal((found != 0).any(-1), known)


def test_code_loss_has_no_gradient_of_its_target():
    logits, target = leaf(draw(3, 4)), leaf(draw(3, 4, seed=1).softmax(-1))
    code_loss(logits.log_softmax(-1), target).backward()
    assert target.grad is None


def test_code_loss_ignores_impossible_symbols_without_weight():
    logits = draw(2, 3)
    logits[:, 2] = -torch.inf
    logits.requires_grad_()
    target = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
    gradient(code_loss(logits.log_softmax(-1), target), logits)


def test_code_loss_without_targets():
    logits = leaf(draw(2, 3))
    assert_nothing(code_loss(logits.log_softmax(-1), torch.zeros(2, 3)), logits)
    logits = leaf(draw(0, 3))
    assert_nothing(code_loss(logits.log_softmax(-1), torch.zeros(0, 3)), logits)


def test_reconstruction_loss_ignores_missing_values():
    rebuilt, series = leaf(draw(3, 2, 10)), draw(3, 2, 10, seed=1)
    whole = np.square(rebuilt.detach().numpy() - series.numpy())
    loss = reconstruction_loss(rebuilt, series)
    assert loss.item() == pytest.approx(whole.mean())
    observed = torch.ones(3, 1, 10)
    observed[0, :, 4:] = 0
    seen = np.broadcast_to(observed.numpy() > 0, whole.shape)
    spoilt = series.masked_fill(observed == 0, torch.nan)
    for given in (observed, observed > 0, observed.expand(3, 2, 10)):
        loss = reconstruction_loss(rebuilt, spoilt, given)
        assert loss.item() == pytest.approx(whole[seen].mean())
        (found,) = gradient(loss, rebuilt)
        assert np.array_equal(found.numpy() != 0, seen)


def test_reconstruction_loss_without_values():
    rebuilt = leaf(draw(2, 1, 5))
    nothing = torch.zeros(2, 1, 5)
    assert_nothing(reconstruction_loss(rebuilt, draw(2, 1, 5), nothing), rebuilt)
    rebuilt = leaf(draw(0, 1, 5))
    assert_nothing(reconstruction_loss(rebuilt, draw(0, 1, 5)), rebuilt)


def test_cosine_loss():
    predicted, target = leaf(draw(6, 4)), draw(6, 4, seed=1)
    loss = cosine_loss(predicted, target)
    cosines = cosine_similarity(predicted.detach().numpy(), target.numpy())
    assert loss.item() == pytest.approx(1 - np.diag(cosines).mean())
    gradient(loss, predicted)
    assert cosine_loss(target, 3 * target).item() == pytest.approx(0)
    assert cosine_loss(target, -target).item() == pytest.approx(2)


def test_cosine_loss_of_zeros_and_of_empty_input():
    zeros = leaf(torch.zeros(2, 4))
    loss = cosine_loss(zeros, torch.ones(2, 4))
    assert loss == 1
    gradient(loss, zeros)
    nothing = leaf(torch.zeros(0, 4))
    assert_nothing(cosine_loss(nothing, torch.zeros(0, 4)), nothing)


def test_calibrated_loss_is_bounded():
    right, wrong = leaf(torch.tensor([1.0, 5.0])), leaf(torch.tensor([3.0, 1.0]))
    loss = calibrated_loss(right, wrong, 2.0)
    expected = (1 / (1 + math.exp(1)) + 1 / (1 + math.exp(-2))) / 2
    assert loss.item() == pytest.approx(expected)
    nearer, farther = gradient(loss, right, wrong)
    assert (nearer > 0).all()
    assert torch.equal(nearer, -farther)
    assert calibrated_loss(wrong, wrong, 2.0) == 0.5
    assert calibrated_loss(right * 1e9, wrong, 2.0) == 1
    nothing = leaf(torch.zeros(0))
    assert_nothing(calibrated_loss(nothing, torch.zeros(0), 1.0), nothing)


def test_distillation_is_a_divergence_times_squared_temperature():
    student, teacher = leaf(draw(5, 3)), leaf(3 * draw(5, 3, seed=1))
    loss = distillation_loss(student, teacher, 2.0)
    p = (teacher.detach() / 2).softmax(1).numpy()
    q = (student.detach() / 2).softmax(1).numpy()
    assert loss.item() == pytest.approx(4 * (p * np.log(p / q)).sum(1).mean())
    loss.backward()
    assert teacher.grad is None
    assert student.grad.isfinite().all()
    assert distillation_loss(teacher, teacher).item() == pytest.approx(0)


def test_distillation_of_certain_and_of_empty_predictions():
    student = leaf(torch.zeros(1, 3))
    teacher = torch.tensor([[1e4, 0.0, -1e4]])
    loss = distillation_loss(student, teacher)
    assert loss.item() == pytest.approx(4 * math.log(3))
    gradient(loss, student)
    nothing = leaf(torch.zeros(0, 3))
    assert_nothing(distillation_loss(nothing, torch.zeros(0, 3)), nothing)


def test_usage_loss_is_lowest_for_certain_tokens_and_used_codes():
    sure = torch.eye(4).repeat(3, 1).unsqueeze(1)
    assert usage_loss(sure).item() == pytest.approx(-math.log(4))
    collapsed = torch.eye(4)[:1].repeat(9, 1).unsqueeze(1)
    assert usage_loss(collapsed).item() == pytest.approx(0)
    unsure = torch.full((9, 1, 4), 0.25)
    assert usage_loss(unsure).item() == pytest.approx(0, abs=1e-6)
    gradient(usage_loss(sure.requires_grad_()), sure)


def test_usage_loss_is_equal_to_numpy_and_ignores_nan():
    soft = draw(20, 3, 5).softmax(-1)
    mask = torch.arange(20) % 5 > 0
    kept = soft[mask].numpy()
    single = -(kept * np.log(kept)).sum(-1).mean()
    mean = kept.mean(0)
    expected = single + (mean * np.log(mean)).sum(-1).mean()
    assert usage_loss(soft[mask]).item() == pytest.approx(expected)
    for content in (math.nan, math.inf):
        spoilt = soft.clone()
        spoilt[~mask] = content
        loss = usage_loss(spoilt.requires_grad_())
        assert loss.item() == pytest.approx(expected)
        (found,) = gradient(loss, spoilt)
        assert (found[~mask] == 0).all()


def test_usage_loss_without_tokens():
    soft = leaf(draw(4, 2, 3).softmax(-1))
    assert_nothing(usage_loss(soft[:0]), soft)
    assert usage_loss(soft[:1]).item() == pytest.approx(0)
    nothing = leaf(torch.zeros(0, 2, 3))
    assert_nothing(usage_loss(nothing), nothing)


def everywhere(values):
    return torch.ones(values.shape, dtype=torch.bool)


def test_separation_loss_of_a_tiling_is_zero():
    length = torch.tensor([[0.25, 0.4, 0.35], [0.1, 0.1, 0.8]])
    start = F.pad(length.cumsum(1)[:, :-1], (1, 0))
    loss = separation_loss(start, length, everywhere(start))
    assert loss.item() == pytest.approx(0, abs=1e-9)


def test_separation_counts_gaps_and_overlaps():
    # The second half of the series is covered twice, and the first half is not covered.
    start, length = torch.tensor([[0.5, 0.5]]), torch.tensor([[0.5, 0.5]])
    assert separation_loss(start, length, everywhere(start)) == 1
    # The second half is covered three times, and the first half is covered once.
    start, length = torch.tensor([[0.5, 0.5, 0.0]]), torch.tensor([[0.5, 0.5, 1.0]])
    assert separation_loss(start, length, everywhere(start)) == 2
    # Half of one of four cells is covered, which contributes (1 / 2)^2.
    start, length = torch.tensor([[0.125]]), torch.tensor([[0.875]])
    loss = separation_loss(start, length, everywhere(start), grid=4)
    assert loss.item() == pytest.approx(0.25 / 4)


def test_separation_closes_gaps():
    start = leaf(torch.tensor([[0.0, 0.33]]))
    length = leaf(torch.tensor([[0.29, 0.67]]))  # a gap from .29 to .33

    def loss():
        # The gap is within a cell, since the gradient of whole cells is 0.
        return separation_loss(start, length, everywhere(start), grid=8)

    assert gradient(loss(), length)[0][0, 0] < 0  # a longer segment decreases the loss
    for _ in range(100):
        by_start, by_length = gradient(loss(), start, length)
        with torch.no_grad():
            start -= 0.05 * by_start
            length -= 0.05 * by_length
    assert loss() < 1e-6


def test_separation_ignores_padding():
    start, length = torch.tensor([[0.0, 0.5]]), torch.tensor([[0.5, 0.3]])
    expected = separation_loss(start, length, everywhere(start))
    padded = [
        leaf(torch.tensor([[*row.tolist(), math.nan], [math.nan] * 3]))
        for row in (start[0], length[0])
    ]
    mask = torch.tensor([[True, True, False], [False] * 3])
    loss = separation_loss(*padded, mask)
    torch.testing.assert_close(loss, expected)
    gradient(loss, *padded)
    assert_nothing(separation_loss(*padded, torch.zeros_like(mask)), *padded)


def test_digit_loss_is_a_cross_entropy():
    logits = draw(3, 6, 11)
    symbols = torch.arange(18).view(3, 6) % 11
    mask = torch.arange(6) < torch.tensor([[6], [2], [0]])
    spoilt = logits.masked_fill(~mask[..., None], torch.nan).requires_grad_()
    loss = digit_loss(spoilt, symbols.masked_fill(~mask, -100), mask)
    probabilities = logits.softmax(-1)[mask].numpy()
    expected = log_loss(symbols[mask], probabilities, labels=range(11))
    assert loss.item() == pytest.approx(expected)
    (found,) = gradient(loss, spoilt)
    assert torch.equal((found != 0).all(-1), mask)
    assert_nothing(digit_loss(spoilt, symbols, torch.zeros_like(mask)), spoilt)


def test_text_loss_is_a_cross_entropy():
    series, texts = leaf(draw(3, 4)), leaf(draw(2, 4, seed=1))
    loss = text_loss(series, texts, torch.tensor([1, 1, 0]), 0.5)
    probabilities = (series.detach() @ texts.detach().T / 0.5).softmax(1).numpy()
    expected = log_loss([1, 1, 0], probabilities, labels=[0, 1])
    assert loss.item() == pytest.approx(expected)
    gradient(loss, series, texts)
