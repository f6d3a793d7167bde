"""Measures of explanations, on series whose truth is known."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from benchmarks import perturbations
from benchmarks.experiments import faithfulness
from benchmarks.internals import fill_gaps
from benchmarks.perturbations import Case, every_curve, every_drop, measure

TOKENS = np.array([[c, s, 10] for c in range(2) for s in range(0, 60, 10)])
EFFECTS = np.array([0.6, 0.5, 0.1, 0.05, -0.2, -0.3, 0.45, 0.3, 0.2, 0.0, -0.1, 0.4])


def predict(X):
    """Probabilities whose log-odds are sums of effects of tokens with a trend."""
    filled = fill_gaps(X)
    parts = np.stack([filled[:, c, s : s + n] for c, s, n in TOKENS], axis=1)
    slopes = (parts[:, :, -3:].mean(2) - parts[:, :, :3].mean(2)) / 7
    proba = expit(slopes @ EFFECTS)
    return np.stack([1 - proba, proba], axis=1)


def make_case():
    rise = np.tile(np.arange(10.0), (2, 6))
    return Case(rise, TOKENS, np.zeros((2, 60)))


@pytest.mark.parametrize("kind", ["mean", "swap"])
def test_true_effects_correlate_and_random_weights_do_not(kind):
    case, rng = make_case(), np.random.default_rng(0)
    found = every_drop(predict, case, seed=0)[kind]
    lengths = TOKENS[:, 2]
    assert measure(found, EFFECTS, lengths)["correlation"] == pytest.approx(1)
    assert measure(found, -EFFECTS, lengths)["correlation"] == pytest.approx(-1)
    drawn = [
        measure(found, rng.normal(size=len(found)), lengths)["correlation"]
        for _ in range(200)
    ]
    assert abs(np.median(drawn)) < 0.1


def test_means_and_swaps_find_the_token_that_decides():
    case = make_case()
    alone = np.where(np.arange(len(TOKENS)) == 3, 4.0, 0.0)

    def predict_alone(X):
        slope = np.ptp(fill_gaps(X)[:, 0, 30:40], axis=1) / 9
        proba = expit(4 * np.minimum(slope, 1))
        return np.stack([1 - proba, proba], axis=1)

    # Interpolation of a gap restores the slope of the token.
    drops = every_drop(predict_alone, case, seed=0)
    for kind in ("mean", "swap"):
        assert drops[kind].argmax() == 3
        top, rest = perturbations.top_and_random(alone, drops[kind], TOKENS[:, 2])
        assert top == pytest.approx(expit(4) - 0.5)
        assert rest == pytest.approx(0)


def test_perturbations_change_one_token():
    case = make_case()
    for kind in perturbations.PERTURBATIONS:
        changed = perturbations.perturb(case, case.series, TOKENS[8], kind, seed=0)
        same = np.ones((2, 60), bool)
        same[1, 20:30] = False
        np.testing.assert_array_equal(changed[same], case.series[same])
        assert not np.array_equal(changed[~same], case.series[~same])
        again = perturbations.perturb(case, case.series, TOKENS[8], kind, seed=0)
        np.testing.assert_array_equal(changed, again)
    gap = perturbations.perturb(case, case.series, TOKENS[0], "gap", seed=0)
    assert np.isnan(gap[0, 1:10]).all()
    assert gap[0, 0] == case.series[0, 0]


def test_the_true_order_has_the_largest_cpd_and_the_smallest_cpp():
    areas = every_curve(predict, make_case(), EFFECTS, seed=0)["mean"]
    assert areas["cpd"] > 1.5 * areas["random_order"]
    assert areas["cpp"] < 0.5 * areas["random_order"]


def test_comparable_tokens_have_a_similar_length():
    found = np.array([0.9, 0.3, 0.1, 0.8])
    lengths = np.array([10, 14, 8, 40])
    weights = np.array([3.0, 1.0, 0.0, 2.0])
    top = perturbations.top_and_random(weights, found, lengths)
    assert top == pytest.approx((0.9, 0.2))


def test_gini_of_equal_and_of_single_weights():
    assert perturbations.gini(np.ones(10)) == pytest.approx(0)
    assert perturbations.gini(np.eye(10)[3]) == pytest.approx(0.9)


def test_intervals_contain_the_statistic_and_shrink():
    values = np.random.default_rng(0).normal(1, 1, 400)
    low, high = perturbations.interval(values, np.median)
    assert low < np.median(values) < high
    few = perturbations.interval(values[:20], np.median)
    assert few[1] - few[0] > 2 * (high - low)


class Tokens:
    """A model with two codes: code 1 occurs in class "b" only."""

    def tokens(self, X):
        case = np.repeat(np.arange(len(X)), 2)
        code = np.where(np.arange(2 * len(X)) % 2, np.repeat(X[:, 0, 0] > 0, 2), 0)
        return pd.DataFrame({"case": case, "channel": 0, "code": code}).assign(
            start=0, length=8, offset=0.0, scale=1.0
        )


def test_similar_series_of_a_code_of_one_class():
    X = np.resize([-1.0, 1.0], 40)[:, None, None] * np.ones((40, 1, 16))
    y = np.resize(["a", "b"], 40)
    model = Tokens()
    explained = model.tokens(X[1:2]).iloc[::-1].assign(label="b")
    found = faithfulness.similar_series(model, explained, X, y)
    # Half of the series with the other code, which is in all of them, are of "b".
    assert found == pytest.approx((1.0, 0.75, 0.5))
