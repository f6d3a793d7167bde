"""Common checks of scikit-learn, and equivalent checks on panels."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from sktext_vq import VQTextClassifier, VQTextTransformer

# Checks that are expected to fail.
SAMPLED = {
    "check_sample_weight_equivalence_on_dense_data": (
        "sample_weight is not equivalent to repeating cases: codes are drawn at random "
        "from the cases, and the penalty comes from folds of them"
    )
}
SMALL = {"n_codes": 16, "max_features": 300, "text_encoder": "hashing"}


@parametrize_with_checks(
    [VQTextTransformer(**SMALL), VQTextClassifier(max_epochs=1, **SMALL)],
    expected_failed_checks=lambda estimator: SAMPLED,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# Equivalent checks on panels with three channels

FAST = SMALL | {"random_state": 0}


@pytest.fixture(params=[VQTextTransformer, VQTextClassifier])
def estimator(request):
    """Return a transformer in closed form or a classifier that trains a network."""
    epochs = 2 if request.param is VQTextClassifier else 0
    return request.param(max_epochs=epochs, **FAST)


def output(estimator, X):
    if isinstance(estimator, VQTextClassifier):
        return estimator.predict_proba(X)
    return estimator.transform(X)


def test_unfitted_says_so(estimator, har_like):
    X = har_like[0]
    with pytest.raises(NotFittedError):
        output(estimator, X)
    for method in ("tokens", "reconstruct"):
        with pytest.raises(NotFittedError):
            getattr(estimator, method)(X)
    with pytest.raises(NotFittedError):
        estimator.describe_codes()
    with pytest.raises(NotFittedError):
        estimator.get_feature_names_out()


def test_fit_returns_itself_and_leaves_parameters_and_input_alone(estimator, har_like):
    X, y = har_like
    before, y_before = X.copy(), y.copy()
    params = copy.deepcopy(estimator.get_params())
    assert estimator.fit(X, y) is estimator
    output(estimator, X)
    assert estimator.get_params() == params
    np.testing.assert_array_equal(X, before)
    np.testing.assert_array_equal(y, y_before)


def test_refits_are_bitwise_equal(estimator, har_like):
    X, y = har_like
    first = output(clone(estimator).fit(X, y), X)
    again = clone(estimator).fit(X, y)
    np.testing.assert_array_equal(output(again, X), first)
    np.testing.assert_array_equal(output(again.fit(X, y), X), first)


def test_random_state_matters(har_like):
    X = har_like[0]
    one, other = (
        VQTextTransformer(**SMALL, random_state=seed).fit(X).codebook_
        for seed in (0, 1)
    )
    assert not np.array_equal(one, other)


def test_global_random_states_are_left_alone(estimator, har_like):
    X, y = har_like
    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002
    torch_state = torch.get_rng_state()
    output(estimator.fit(X, y), X)
    after = np.random.get_state(legacy=False)  # noqa: NPY002
    np.testing.assert_equal(after, numpy_state)
    assert torch.equal(torch.get_rng_state(), torch_state)


def test_kinds_of_arrays_give_the_same(estimator, har_like, tmp_path):
    X, y = har_like
    X = np.round(X, 2).astype(np.float32).astype(np.float64)
    expected = output(clone(estimator).fit(X, y), X)
    np.save(tmp_path / "X.npy", X)
    for other in (
        X.astype(np.float32),
        np.asfortranarray(X),
        np.repeat(X, 2, axis=2)[:, :, ::2],
        list(X),
        X.tolist(),
        X.astype(object),
        np.load(tmp_path / "X.npy", mmap_mode="r"),
    ):
        found = output(estimator.fit(other, y), other)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_pickle_and_deepcopy_predict_the_same(estimator, har_like):
    X, y = har_like
    expected = output(estimator.fit(X, y), X)
    for twin in (pickle.loads(pickle.dumps(estimator)), copy.deepcopy(estimator)):
        np.testing.assert_array_equal(output(twin, X), expected)


def test_pickle_is_small(har_like):
    classifier = VQTextClassifier(max_epochs=1, max_features=300).fit(*har_like)
    # The text encoder, which has 90 MB, is not part of the pickle.
    assert len(pickle.dumps(classifier)) < 20e6


@pytest.mark.parametrize("fitted_with", ["array", "list of unequal series"])
def test_a_case_does_not_depend_on_the_others(estimator, har_like, fitted_with):
    X, y = har_like
    if fitted_with != "array":
        X = [x[:, : 20 + i % 20] for i, x in enumerate(X)]
    whole = output(estimator.fit(X, y), X)
    for part in ([3], [5, 2], list(range(23, -1, -1))):
        some = [X[i] for i in part] if isinstance(X, list) else X[part]
        np.testing.assert_allclose(output(estimator, some), whole[part], atol=1e-6)


def test_bad_panels_are_refused_in_fit_and_after(estimator, har_like):
    X, y = har_like
    unfitted = clone(estimator)
    estimator.fit(X, y)
    for bad, message in (
        (np.where(np.arange(40) == 5, np.inf, X), "infinity at case 0, ch"),
        (X + 1j, "Complex data not supported"),
        (X[..., None], "4 dimensions"),
        (X[:0], "0 sample"),
        (X[:, :, :0], "0 timepoints"),
        (np.where(np.arange(3)[:, None] == 1, np.nan, X), "channel 1 .* are NaN"),
        (X.astype(str), "numeric"),
    ):
        with pytest.raises(ValueError, match=message):
            unfitted.fit(bad, y[: len(bad)])
        with pytest.raises(ValueError, match=message):
            output(estimator, bad)
    assert estimator.n_features_in_ == 3
    with pytest.raises(ValueError, match=r"2 channels.*fitted with 3"):
        output(estimator, X[:, :2])
    with pytest.raises(ValueError, match=r"1 channels.*fitted with 3"):
        output(estimator, X[:, 0])


def test_labels_must_match(estimator, har_like):
    X, y = har_like
    with pytest.raises(ValueError, match=r"24 cases.*23"):
        estimator.fit(X, y[:-1])
    with pytest.raises(ValueError, match="1d array"):
        estimator.fit(X, np.zeros((24, 2)))


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"n_codes": 1}, ValueError, "n_codes must be at least 2"),
        ({"n_codes": 6.5}, TypeError, "n_codes must be an int"),
        ({"max_epochs": -1}, ValueError, "max_epochs must be at least 0"),
        ({"max_features": 0}, ValueError, "max_features must be at least 1"),
        ({"text": "label"}, ValueError, "text must be one of"),
        ({"text": 3}, TypeError, "text must be one of"),
        ({"sampling_rate": 0}, ValueError, "sampling_rate must be a positive"),
        ({"channel_names": ["x", "y"]}, ValueError, "3 different names"),
        ({"text": {"walking": "walks"}}, ValueError, "no entry for"),
        ({"prompt_forms": ("poem",)}, ValueError, "poem"),
        ({"text_encoder": "no-such", "max_epochs": 1}, OSError, "no-such"),
    ],
)
def test_bad_parameters_are_refused_in_fit(estimator, har_like, params, error, message):
    X, y = har_like
    estimator.set_params(**params)  # set_params does not validate parameters
    with pytest.raises(error, match=message):
        estimator.fit(X, y)


def test_bad_weights_are_errors(estimator, har_like):
    X, y = har_like
    for weight, message in (
        ([np.nan] + [1] * 23, "sample_weight contains NaN or None, first in case 0"),
        ([-1] + [1] * 23, "Negative values"),
        ([np.inf] + [1] * 23, "infinity"),
        ([0] * 24, "at least one non-zero"),
        ([1] * 23, "inconsistent numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            estimator.fit(X, y, sample_weight=weight)


def test_cases_of_weight_zero_are_ignored(estimator, har_like):
    X, y = har_like
    weight = np.tile([3.0, 0.0, 1.0, 2.0], 6)
    X[weight == 0] *= 1e3
    texts = np.array([f"text {i}" for i in range(24)])
    groups = {}
    if isinstance(estimator, VQTextClassifier):
        groups = {"groups": np.arange(24) // 2}
    weighted = clone(estimator).fit(X, y, texts, sample_weight=weight, **groups)
    kept = np.flatnonzero(weight)
    groups = {name: each[kept] for name, each in groups.items()}
    estimator.fit(X[kept], y[kept], texts[kept], sample_weight=weight[kept], **groups)
    np.testing.assert_array_equal(output(weighted, X), output(estimator, X))
    assert weighted.prompts_ == estimator.prompts_


def test_equal_weights_change_nothing_and_others_do(estimator, har_like):
    X, y = har_like
    X = X + np.random.default_rng(1).normal(size=X.shape)
    method = "transform"
    if isinstance(estimator, VQTextClassifier):
        method = "decision_function"
    expected = getattr(clone(estimator).fit(X, y), method)(X)
    equal = clone(estimator).fit(X, y, sample_weight=np.full(24, 1 / 24))
    np.testing.assert_array_equal(getattr(equal, method)(X), expected)
    other = estimator.fit(X, y, sample_weight=1 + np.arange(24))
    assert np.abs(getattr(other, method)(X) - expected).max() > 1e-3


def test_a_fit_that_fails_changes_nothing(estimator, har_like, monkeypatch):
    """The estimator is unchanged regardless of the cause and time of the error."""
    X, y = har_like
    noise = np.random.default_rng(1).normal(size=(30, 2, 20))

    def end(*args, **kwargs):
        raise KeyboardInterrupt

    def interrupt(*args, **kwargs):
        with monkeypatch.context() as patch:
            patch.setattr("sktext_vq._training.fit.select_features", end)
            with pytest.raises(KeyboardInterrupt):
                estimator.fit(*args, **kwargs)

    interrupt(X, y)
    with pytest.raises(NotFittedError):
        output(estimator, X)
    expected = output(estimator.fit(X, y), X)
    before = dict(estimator.__dict__)
    interrupt(noise, np.arange(30) % 2, init=estimator)
    with pytest.raises(ValueError, match="infinity"):
        estimator.fit(np.where(noise > 1, np.inf, noise), np.arange(30) % 2)
    with pytest.raises(ValueError, match="inconsistent numbers"):
        estimator.fit(noise, y)
    estimator.set_params(n_codes=1)
    with pytest.raises(ValueError, match="n_codes"):
        estimator.fit(noise, np.arange(30) % 2)
    estimator.set_params(n_codes=16)
    np.testing.assert_array_equal(output(estimator, X), expected)
    assert estimator.__dict__.keys() == before.keys()
    assert estimator.n_channels_ == 3


def test_parameters_are_checked_before_data(estimator):
    for name in ("n_codes", "max_epochs", "max_features"):
        with pytest.raises(ValueError, match=name):
            clone(estimator).set_params(**{name: -1}).fit("no panel", None)
