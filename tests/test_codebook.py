import copy
import math
import pickle

import numpy as np
import pytest
import torch

from sktext_vq.nn.auxiliary.codebook_updates import BRANCH_WEIGHTS, CodebookUpdates
from sktext_vq.nn.codebook import BRANCHES, MAX_SHIFT, Codebook, count_heads


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(n, seed=0, scale=1.0):
    vectors = scale * torch.randn(n, 8, generator=generator(seed))
    return vectors - vectors.mean(1, keepdim=True)


class LearnedCodebook(Codebook):
    """Codebook whose codes are updated."""

    def __init__(self, n_codes, code_dim):
        super().__init__(n_codes, code_dim)
        self.updates = CodebookUpdates(n_codes, code_dim)

    def observe(self, *matches):
        self.updates.observe(*matches)

    def commit(self, rate, generator, **options):
        self.updates.commit(self, rate, generator, **options)


def seeded(n_codes=32, seed=0):
    codebook = LearnedCodebook(n_codes, 8)
    codebook.seed(draw(500, seed + 100), generator(seed))
    return codebook


def match(codebook, vectors):
    points = torch.cat([vectors, torch.ones(len(vectors), 1)], dim=1).T
    with torch.no_grad():
        return codebook.assign(codebook.score(points)).T


def observe(codebook, branch, vectors):
    codebook.observe(branch, vectors, match(codebook, vectors))


def state(codebook):
    """Return all state of a codebook."""
    return {name: value.clone() for name, value in codebook.state_dict().items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert torch.equal(value, b[name]), name


QUOTAS = {"signal": 3, "text": 3}


def test_observing_changes_nothing_before_the_commit():
    codebook = seeded()
    before = state(codebook)
    vectors = draw(50)
    weights = match(codebook, vectors)
    expected = weights.clone()
    codebook.observe("signal", vectors, weights)
    codebook.metrics()
    assert_same(state(codebook), before)
    assert torch.equal(weights, expected)
    codebook.commit(0.5, generator())
    after = state(codebook)
    assert not torch.equal(after["usage"], before["usage"])
    assert not torch.equal(after["shift"], before["shift"])
    assert torch.equal(after["seeds"], before["seeds"])  # only changed by quotas


def test_commits_without_observations_change_nothing():
    codebook, source = seeded(), generator()
    for _ in range(2):
        before, drawn = state(codebook), source.get_state()
        codebook.observe("signal", draw(5), torch.zeros(5, 32))
        codebook.observe("text", draw(0), torch.zeros(0, 32))
        codebook.commit(0.5, source, quotas=QUOTAS)
        codebook.commit(0.5, source, quotas=QUOTAS)
        assert_same(state(codebook), before)
        assert torch.equal(source.get_state(), drawn)
        observe(codebook, "signal", draw(20))
        codebook.commit(0.5, source)


def test_commits_are_those_of_numpy():
    """Repeat the updates in NumPy, one code at a time."""
    codebook = seeded()
    signal = [(draw(40, 2 * s), torch.rand(40, 32)) for s in range(3)]
    text = [(draw(7, 2 * s + 1), torch.rand(7, 32)) for s in range(3)]
    signal[1][1][:, 4] = 0
    text[1][1][:, 4] = 0  # this code is unused in the second step
    seeds = codebook.seeds.double().numpy()
    usage = np.zeros((2, 32))
    for s in range(3):
        codes = codebook.codes.detach().double().numpy()
        expected = codes.copy()
        steps = [
            signal[s],
            text[s] if s else None,
        ]  # the first step has no text
        for row, step in enumerate(steps):
            if step is None:
                continue
            share = step[1].double().numpy().sum(0) / step[1].double().sum().item()
            usage[row] = 0.99 * usage[row] + 0.01 * share if usage[row].any() else share
            codebook.observe(BRANCHES[row], *step)
        for k in range(32):
            total, mass = np.zeros(8), 0.0
            for step, weight in zip(steps, (1.0, 0.25), strict=True):
                if step is not None:
                    vectors, weights = step[0].double().numpy(), step[1].double()
                    factor = weight / weights.sum().item()
                    total += factor * weights[:, k].numpy() @ vectors
                    mass += factor * weights[:, k].sum().item()
            if mass:
                away = codes[k] + 0.02 * (total / mass - codes[k]) - seeds[k]
                away -= away.mean()
                cap = MAX_SHIFT * np.linalg.norm(seeds[k])
                if np.linalg.norm(away) > cap:
                    away *= cap / np.linalg.norm(away)
                expected[k] = seeds[k] + away
        unused = codebook.shift[4].clone()
        codebook.commit(0.02, generator())
        found = codebook.codes.detach().double().numpy()
        np.testing.assert_allclose(found, expected, atol=2e-3 if s == 2 else 1e-3)
        np.testing.assert_allclose(codebook.usage.numpy(), usage, rtol=1e-12)
        assert torch.equal(codebook.shift[4], unused) == (s == 1)


@pytest.mark.parametrize(
    ("n_codes", "n_heads"),
    [
        (1, 1),
        (2, 1),
        (16, 1),
        (31, 1),
        (32, 2),
        (34, 2),
        (48, 3),
        (64, 4),
        (100, 5),
        (61, 1),
    ],
)
def test_heads_are_of_equal_size_and_of_sixteen_codes_if_that_goes(n_codes, n_heads):
    assert count_heads(n_codes) == n_heads


def test_codes_are_windows_of_the_data_and_stay_near_them():
    shapes = torch.randn(500, 8, generator=generator())
    shapes -= shapes.mean(1, keepdim=True)
    codebook = Codebook(32, 8)
    codebook.seed(shapes, generator())
    assert (torch.cdist(codebook.seeds, shapes).amin(1) < 1e-2).all()
    with torch.no_grad():
        codebook.shift.copy_(1e3 * torch.randn(32, 8, generator=generator()))
    moved = (codebook.codes - codebook.seeds).norm(dim=1)
    assert (moved <= (MAX_SHIFT + 1e-5) * codebook.seeds.norm(dim=1)).all()
    assert (moved > 0).all()


def test_seeding_spreads_codes():
    """k-means++ finds nearly all of eight clusters; random choice finds about five."""
    centres = 10 * torch.eye(8)
    shapes = centres.repeat(50, 1) + 0.1 * torch.randn(400, 8, generator=generator())
    codebook = Codebook(8, 8)
    found = []
    for seed in range(10):
        codebook.seed(shapes, generator(seed))
        nearest = torch.cdist(codebook.seeds, centres).argmin(1)
        found.append(len(nearest.unique()))
    assert sum(found) >= 68


def test_seeds_are_windows_in_proportion_to_the_root_of_their_distance():
    # For points 0, 1 and 16, the second seed after 0 is 1 with a probability of 1/5.
    line = torch.tensor([0.0, 1.0, 16.0])
    shapes = torch.zeros(3, 8)
    shapes[:, 0] = line
    source, pairs = generator(), []
    for _ in range(1500):
        codebook = Codebook(2, 8)
        codebook.seed(shapes, source)
        assert not codebook.seeds[:, 1:].any()
        pairs.append(codebook.seeds[:, 0].tolist())
    assert all(first != second for first, second in pairs)
    for first in line.tolist():
        others = {x: abs(x - first) ** 0.5 for x in line.tolist() if x != first}
        seconds = [second for one, second in pairs if one == first]
        assert 400 < len(seconds) < 600
        for x, weight in others.items():
            share = weight / sum(others.values())
            assert seconds.count(x) / len(seconds) == pytest.approx(share, abs=0.07)


def test_fewer_windows_than_codes_are_shared():
    for shapes in (draw(1), draw(1).expand(5, 8), draw(3)):
        codebook = Codebook(32, 8)
        codebook.seed(shapes, generator())
        assert (codebook.seeds[:, None] == shapes).all(2).any(1).all()
        for head in codebook.seeds.split(16):
            assert len(head.unique(dim=0)) == len(shapes.unique(dim=0))


def test_the_nearest_code_of_each_head_is_chosen():
    codebook = seeded(48)
    assert codebook.n_heads == 3
    with torch.no_grad():
        codebook.shift.normal_(generator=generator())
    codes = codebook.codes.detach().double()
    vectors = draw(50, 7)
    points = torch.cat([vectors, torch.ones(50, 1)], dim=1).T
    scores = codebook.score(points).detach()
    expected = codes @ vectors.double().T - codes.square().sum(1)[:, None] / 2
    torch.testing.assert_close(scores.double(), expected, atol=1e-5, rtol=1e-5)
    nearest = torch.cdist(codes, vectors.double()).unflatten(0, (3, 16)).argmin(1)
    chosen = codebook.assign(scores.clone()).unflatten(0, (3, 16))
    assert torch.equal(chosen.argmax(1), nearest)
    assert torch.equal(chosen.sum(1), torch.ones(3, 50))
    # Scores do not depend on the number of windows.
    for n_few in (1, 31, 32, 33):
        few = codebook.score(points[:, :n_few]).detach()
        torch.testing.assert_close(few, scores[:, :n_few], atol=1e-6, rtol=1e-6)


def test_choices_have_the_gradient_of_a_softmax_in_each_head():
    codebook = seeded(48)
    scores = torch.randn(48, 5, 2, generator=generator()).requires_grad_()
    weights = torch.randn(48, 5, 2, generator=generator(1))
    before = scores.detach().clone()
    chosen = codebook.assign(scores, temperature=0.5)
    hard = codebook.assign(before.clone())
    assert chosen.shape == scores.shape
    torch.testing.assert_close(chosen.detach(), hard, atol=1e-6, rtol=0)
    assert torch.equal(scores.detach(), before)
    (found,) = torch.autograd.grad((chosen * weights).sum(), scores)
    soft = torch.softmax(scores.unflatten(0, (3, 16)) / 0.5, dim=1).flatten(0, 1)
    (expected,) = torch.autograd.grad((soft * weights).sum(), scores)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("rate", [0.0, 0.1])
def test_the_order_of_branches_changes_nothing(rate):
    codebooks = seeded(), seeded()
    for step in range(5):
        vectors = {"signal": draw(60, step), "text": draw(9, step + 50)}
        for codebook, order in zip(codebooks, (BRANCHES, BRANCHES[::-1]), strict=True):
            for branch in order:
                observe(codebook, branch, vectors[branch])
            codebook.commit(rate, generator(step), quotas=QUOTAS)
    assert_same(state(codebooks[0]), state(codebooks[1]))


def test_the_order_of_calls_changes_rounding_at_most():
    codebooks = seeded(), seeded()
    for step in range(5):
        calls = [draw(600, 10 * step + i) for i in range(4)]
        for codebook, order in zip(codebooks, (calls, calls[::-1]), strict=True):
            codebook.usage[:, :8] = 0  # unused codes are replaced
            for vectors in order:
                observe(codebook, "signal", vectors)
                observe(codebook, "text", vectors[:9])
            codebook.commit(0.1, generator(step), quotas=QUOTAS)
    for name, value in state(codebooks[0]).items():
        torch.testing.assert_close(state(codebooks[1])[name], value)


@pytest.mark.parametrize("where", ["vectors", "weights"])
def test_tokens_that_are_not_finite_are_left_out(where):
    codebooks = seeded(), seeded()
    vectors = draw(40)
    weights = match(codebooks[0], vectors)
    kept = torch.arange(40) != 7
    codebooks[0].observe("signal", vectors[kept], weights[kept])
    {"vectors": vectors, "weights": weights}[where][7, 3] = math.nan
    codebooks[1].observe("signal", vectors, weights)
    for codebook in codebooks:
        codebook.commit(0.1, generator(), quotas=QUOTAS)
    assert_same(state(codebooks[0]), state(codebooks[1]))
    assert all(value.isfinite().all() for value in state(codebooks[1]).values())


def clusters(order, quotas, seed):
    """Train a codebook on 512 signal and 64 text vectors per step, from clusters."""
    source = generator(seed)
    centres = draw(64, seed + 1, scale=3)

    def sample(n, first, last):
        chosen = torch.randint(first, last, (n,), generator=source)
        noise = torch.randn(n, 8, generator=source)
        return centres[chosen] + 0.3 * (noise - noise.mean(1, keepdim=True))

    codebook = LearnedCodebook(61, 8)  # a prime number of codes, so one head
    codebook.seed(sample(500, 0, 4), source)  # seeds contain few of the clusters
    for step in range(80):
        vectors = {"signal": sample(512, 0, 32), "text": sample(64, 32, 64)}
        for branch in order:
            observe(codebook, branch, vectors[branch])
        codebook.commit(0.05, generator(step), quotas=quotas)
    return codebook


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_neither_branch_owns_the_codes(seed):
    quotas = {"signal": 2, "text": 2}
    codebook = clusters(BRANCHES, quotas, seed)
    found = codebook.metrics()
    assert found["signal_used"] >= 0.25
    assert found["text_used"] >= 0.25
    assert_same(state(clusters(BRANCHES[::-1], quotas, seed)), state(codebook))
    # Without replacement, fewer codes are used.
    less = clusters(BRANCHES, None, seed).metrics()
    for name in ("signal_perplexity", "text_perplexity", "signal_used"):
        assert found[name] > less[name], name


def test_a_branch_has_no_more_say_for_more_vectors():
    signal, text = draw(20), draw(20, 1)
    codebooks = seeded(), seeded()
    for codebook, n in zip(codebooks, (1, 50), strict=True):
        observe(codebook, "signal", signal)
        observe(codebook, "text", text.repeat(n, 1))
        codebook.commit(0.05, generator())
    torch.testing.assert_close(codebooks[0].codes, codebooks[1].codes)


def test_text_without_a_weight_moves_nothing(monkeypatch):
    monkeypatch.setitem(BRANCH_WEIGHTS, "text", 0.0)
    codebooks = seeded(), seeded()
    for codebook in codebooks:
        observe(codebook, "signal", draw(20))
    observe(codebooks[0], "text", draw(500, 1))
    for codebook in codebooks:
        codebook.commit(0.05, generator())
    assert torch.equal(codebooks[0].shift, codebooks[1].shift)


def test_codes_stay_near_their_seeds_whatever_text_says():
    codebook = seeded()
    codebook.seeds[3] = 0  # a flat seed, which has no direction
    for step in range(50):
        text = draw(64, step, scale=1e4)
        observe(codebook, "text", text)
        codebook.observe("text", text, torch.ones(64, 32))
        codebook.commit(0.9, generator())
        moved = (codebook.codes - codebook.seeds).norm(dim=1)
        assert (moved <= (MAX_SHIFT + 1e-5) * codebook.seeds.norm(dim=1)).all()
    assert (moved[:3] > 0.9 * MAX_SHIFT * codebook.seeds[:3].norm(dim=1)).all()
    assert codebook.shift.isfinite().all()
    assert codebook.codes.mean(1).abs().max() < 1e-5


def test_codes_follow_the_signal():
    """If all vectors move slightly, codes converge to the means of their vectors."""
    codebook = seeded(16)
    target = codebook.seeds + 0.05 * draw(16, 7)
    for _ in range(100):
        codebook.observe("signal", target, torch.eye(16))
        codebook.commit(0.2, generator())
    torch.testing.assert_close(codebook.codes.detach(), target, atol=1e-4, rtol=0)


@pytest.mark.parametrize("branch", BRANCHES)
def test_replaced_codes_are_windows_of_the_signal(branch):
    codebook = seeded()
    with torch.no_grad():
        codebook.shift.normal_(generator=generator())
    signal, text = draw(40, 1), draw(40, 2)
    weights = torch.eye(32)[torch.arange(40) % 20]  # the last 12 codes are unused
    codebook.observe("signal", signal, weights)
    codebook.observe("text", text, weights)
    before = state(codebook)
    codebook.commit(0.0, generator(), quotas={branch: 5})
    changed = (codebook.seeds != before["seeds"]).any(1)
    assert not changed[:20].any()
    # Several texts may have the same nearest window.
    assert 3 <= changed.sum() <= 5
    assert (codebook.shift[changed] == 0).all()
    assert torch.equal(codebook.shift[~changed], before["shift"][~changed])
    same = (codebook.seeds[changed][:, None] == signal).all(2)
    assert (same.sum(1) == 1).all()
    assert same.sum(0).max() == 1
    near = torch.zeros(40, dtype=torch.bool)
    near[torch.cdist(text, signal).argmin(1)] = True
    if branch == "text":
        assert near[same.nonzero()[:, 1]].all()


def test_replaced_codes_have_time_to_be_found():
    codebook = seeded()
    weights = torch.eye(32)[torch.arange(40) % 20]
    seen = [codebook.seeds.clone()]
    for step in range(40):
        codebook.observe("signal", draw(40, step), weights)
        codebook.commit(0.0, generator(), quotas={"signal": 12})
        seen.append(codebook.seeds.clone())
    assert not torch.equal(seen[0], seen[1])
    assert torch.equal(seen[1], seen[-1])
    # New codes are unused at first.
    assert codebook.metrics()["signal_used"] == pytest.approx(20 / 32)


@pytest.mark.parametrize("heard", [("signal",), BRANCHES])
def test_one_dead_code_is_replaced_and_counts_as_used_where_something_was(heard):
    codebook = seeded()
    weights = torch.eye(32)[:31].repeat(2, 1)
    for name in heard:
        codebook.observe(name, draw(62), weights)
    before = codebook.seeds.clone()
    codebook.commit(0.0, generator(), quotas={"signal": 5})
    changed = (codebook.seeds != before).any(1)
    assert changed.nonzero().squeeze(1).tolist() == [31]
    expected = [2 * 0.02 / 32 if name in heard else 0.0 for name in BRANCHES]
    assert codebook.usage[:, 31].tolist() == pytest.approx(expected)


def test_codes_are_copied_without_their_use():
    codebook, other = Codebook(32, 8), seeded()
    observe(other, "signal", draw(30))
    other.commit(0.1, generator())
    codebook.copy_codes(other)
    assert torch.equal(codebook.codes, other.codes)
    assert not codebook.usage.any()
    other.shift.data.zero_()
    other.seeds.zero_()
    assert codebook.codes.any()
    assert codebook.shift.any()


def test_codes_that_one_branch_uses_stay():
    codebook = seeded()
    before = codebook.seeds.clone()
    codebook.observe("signal", draw(16), torch.eye(32)[:16])
    codebook.observe("text", draw(16, 1), torch.eye(32)[16:])
    codebook.commit(0.0, generator(), quotas=QUOTAS)
    assert torch.equal(codebook.seeds, before)


def test_no_window_becomes_a_code_twice():
    codebook = seeded()
    window = draw(1, 3)
    for _ in range(3):
        codebook.usage.zero_()
        codebook.observe("signal", window.expand(9, 8), torch.eye(32)[:9])
        codebook.observe("text", draw(5), torch.eye(32)[:5])
        codebook.commit(0.0, generator(), quotas=QUOTAS)
    assert (codebook.seeds == window).all(1).sum() == 1


def test_windows_are_remembered_where_a_step_has_none():
    codebook = seeded()
    signal = draw(2000)
    codebook.observe("signal", signal, torch.ones(2000, 32))
    codebook.commit(0.0, generator(), quotas=QUOTAS)
    before = codebook.seeds.clone()
    codebook.usage.zero_()
    codebook.observe("text", draw(5), torch.eye(32)[:5])
    codebook.commit(0.0, generator(), quotas=QUOTAS)
    changed = (codebook.seeds != before).any(1)
    assert changed.any()
    assert (codebook.seeds[changed][:, None] == signal).all(2).any(1).all()


def test_metrics_before_any_observation():
    found = Codebook(16, 8).metrics()
    assert len(found) == 5
    assert all(math.isnan(value) for value in found.values())


def test_metrics_of_known_usage():
    codebook = Codebook(8, 8)
    codebook.usage[0] = torch.tensor([0.25] * 4 + [0.0] * 4)
    found = codebook.metrics()
    assert found["signal_perplexity"] == pytest.approx(0.5)
    assert found["signal_used"] == 0.5
    assert math.isnan(found["text_perplexity"])
    assert math.isnan(found["text_used"])
    assert math.isnan(found["overlap"])
    codebook.usage[1] = torch.tensor([0.0] * 4 + [0.97, 0.01, 0.01, 0.01])
    found = codebook.metrics()
    entropy = -0.97 * math.log(0.97) - 0.03 * math.log(0.01)
    assert found["text_perplexity"] == pytest.approx(math.exp(entropy) / 8)
    assert found["text_used"] == 1 / 8
    assert found["overlap"] == pytest.approx(0, abs=1e-12)
    codebook.usage[1] = codebook.usage[0]
    assert codebook.metrics()["overlap"] == pytest.approx(1)
    # P = (1/2, 1/2, 0), Q = (0, 1/2, 1/2): each diverges from the mean by 1/2 bit.
    codebook.usage.zero_()
    codebook.usage[0, :2] = 0.5
    codebook.usage[1, 1:3] = 0.5
    assert codebook.metrics()["overlap"] == pytest.approx(0.5)


def test_unknown_branches_are_named():
    codebook = seeded()
    with pytest.raises(ValueError, match="'image'"):
        codebook.observe("image", draw(2), torch.zeros(2, 32))
    with pytest.raises(ValueError, match="'image'"):
        codebook.commit(0.1, generator(), quotas={"image": 1})


def test_gradients_do_not_pass_and_are_not_lost():
    codebook = seeded()
    vectors = draw(20).requires_grad_()
    weights = match(codebook, vectors.detach()).requires_grad_()
    (codebook.codes.square().sum() + (vectors * 2).sum()).backward()
    expected = codebook.shift.grad.clone()
    codebook.observe("signal", vectors * 1, weights * 1)
    codebook.commit(0.1, generator(), quotas=QUOTAS)
    assert codebook.shift.requires_grad
    assert codebook.shift.is_leaf
    assert torch.equal(codebook.shift.grad, expected)
    assert not codebook.usage.requires_grad
    assert not codebook.seeds.requires_grad


def test_the_global_generator_is_left_alone():
    torch.manual_seed(3)
    expected = torch.get_rng_state()
    clusters(BRANCHES, QUOTAS, 0)
    assert torch.equal(torch.get_rng_state(), expected)


def reloaded(codebook):
    twin = LearnedCodebook(32, 8)
    twin.load_state_dict(codebook.state_dict())
    return twin


@pytest.mark.parametrize(
    "twin_of",
    [copy.deepcopy, lambda codebook: pickle.loads(pickle.dumps(codebook)), reloaded],
    ids=["deepcopy", "pickle", "state_dict"],
)
def test_copies_go_on_alike_and_apart(twin_of):
    codebook = seeded()
    observe(codebook, "signal", draw(30))
    observe(codebook, "text", draw(5, 1))
    codebook.commit(0.1, generator(), quotas=QUOTAS)
    twin = twin_of(codebook)
    assert_same(state(twin), state(codebook))
    assert twin.usage.dtype == torch.float64
    assert twin.metrics() == codebook.metrics()
    for one in (codebook, twin):
        observe(one, "signal", draw(30, 2))
        one.commit(0.1, generator(), quotas=QUOTAS)
    assert_same(state(twin), state(codebook))
    before = state(codebook)
    observe(twin, "text", draw(5, 3))
    twin.commit(0.1, generator())
    codebook.commit(0.1, generator())
    assert_same(state(codebook), before)
