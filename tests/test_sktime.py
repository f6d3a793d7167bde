"""sktime adapters: checks of sktime, and equality with the wrapped estimators."""

import copy
import importlib
import inspect
import pickle
import sys

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("sktime")

import sklearn
import sklearn.base
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import accuracy_score
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler
from sktime.base import load
from sktime.benchmarking.classification import ClassificationBenchmark
from sktime.classification.compose import SklearnClassifierPipeline
from sktime.datasets import load_japanese_vowels
from sktime.datatypes import convert_to
from sktime.exceptions import NotFittedError
from sktime.pipeline import make_pipeline
from sktime.tests.test_class_register import get_test_classes_for_obj
from sktime.transformations.exponent import ExponentTransformer
from sktime.transformations.summarize import SummaryTransformer
from sktime.utils.estimator_checks import check_estimator

from sktext_vq import (
    TextEncoder,
    VQTextClassifier,
    VQTextTransformer,
)
from sktext_vq.sktime import VQTextSktimeClassifier, VQTextSktimeTransformer

FAST = {"n_codes": 16, "max_epochs": 0, "max_features": 300, "random_state": 0}
TRAINED = FAST | {"max_epochs": 2, "text_encoder": "hashing"}
PAIRS = [
    (VQTextSktimeClassifier, VQTextClassifier),
    (VQTextSktimeTransformer, VQTextTransformer),
]
both = pytest.mark.parametrize("adapter", [adapter for adapter, _ in PAIRS])
pairs = pytest.mark.parametrize(("adapter", "wrapped"), PAIRS)
MTYPES = ["numpy3D", "pd-multiindex", "nested_univ", "df-list"]


class WithoutLabels(VQTextSktimeTransformer):
    # sktime checks estimators that accept labels only with labels. This class is also
    # checked without labels, with single series and hierarchies of panels.
    __doc__ = VQTextSktimeTransformer.__doc__
    _tags = {"y_inner_mtype": "None"}  # noqa: RUF012


def output(estimator, X):
    """Return probabilities or features as an array."""
    if hasattr(estimator, "predict_proba"):
        return estimator.predict_proba(X)
    return np.asarray(estimator.transform(X))


def inside_of(estimator):
    if isinstance(estimator, VQTextSktimeClassifier):
        return estimator.classifier_
    return estimator.transformer_


@pytest.fixture
def gappy(har_like):
    """Return series with missing values in one channel or in all channels."""
    X, y = har_like
    X[:, 1, 5:9] = np.nan
    X[::3, :, 20] = np.nan
    return X, y


# Checks of sktime.


@pytest.mark.parametrize(
    "estimator", [VQTextSktimeClassifier, VQTextSktimeTransformer, WithoutLabels]
)
def test_sktime_checks(estimator, monkeypatch):
    # One instance is checked, to save time.
    made = estimator.create_test_instances_and_names()
    one = tuple(each[:1] for each in made)
    name = "create_test_instances_and_names"
    monkeypatch.setattr(estimator, name, lambda *args, **kwargs: one)
    results = check_estimator(estimator, raise_exceptions=True, verbose=False)
    assert set(results.values()) == {"PASSED"}
    # Checks may be silently skipped because of tags or missing data.
    suites = get_test_classes_for_obj(estimator)
    checks = {name for suite in suites for name in dir(suite) if name[:5] == "test_"}
    assert len(suites) == 3
    assert {key.split("[")[0] for key in results} == checks


@pairs
def test_parameters_equal_those_of_the_wrapped_estimator(adapter, wrapped):
    assert inspect.signature(adapter) == inspect.signature(wrapped)
    assert adapter().get_params() == wrapped().get_params()
    assert adapter(8).n_codes == 8
    with pytest.raises(TypeError, match="'n_code'"):
        adapter(n_code=8)
    with pytest.raises(ValueError, match="n_code"):
        adapter().set_params(n_code=8)


@pairs
def test_parameters_reach_the_wrapped_estimator(adapter, wrapped, har_like):
    params = TRAINED | {
        "text": "captions",
        "prompt_forms": ("keyword",),
        "loss_weights": {"digits": 0.1},
        "channel_names": ["x", "y", "z"],
        "sampling_rate": 20.0,
        "device": "cpu",
        "n_jobs": 2,
    }
    estimator = adapter(**params).fit(*har_like)
    inside = inside_of(estimator)
    assert type(inside) is wrapped
    assert inside.get_params(deep=False) == estimator.get_params(deep=False)
    assert params.items() <= estimator.get_params(deep=False).items()


@both
def test_invalid_parameters_are_errors_in_fit(adapter, har_like):
    estimator = adapter(n_codes=1)  # does not raise an error
    with pytest.raises(ValueError, match="n_codes must be at least 2"):
        estimator.fit(*har_like)


@both
def test_clone_and_set_params(adapter, har_like):
    X, y = har_like
    estimator = adapter(**TRAINED).set_params(
        n_codes=32, text_encoder=TextEncoder("hashing")
    )
    expected = output(estimator.fit(X, y), X)
    for twin in (sklearn.base.clone(estimator), estimator.clone()):
        assert not twin.is_fitted
        assert twin.text_encoder is not estimator.text_encoder
    np.testing.assert_array_equal(output(twin.fit(X, y), X), expected)
    estimator.set_params(text_encoder__model="minilm", n_codes=16)
    assert estimator.text_encoder.model == "minilm"
    with pytest.raises(NotFittedError):  # set_params resets the estimator
        output(estimator, X)


@both
def test_pickle_save_and_deepcopy(adapter, har_like, tmp_path):
    X, y = har_like
    estimator = adapter(**TRAINED).fit(X, y)
    expected = output(estimator, X)
    estimator.save(tmp_path / "estimator")
    twins = [pickle.loads(pickle.dumps(estimator)), copy.deepcopy(estimator)]
    for twin in [*twins, load(tmp_path / "estimator.zip")]:
        np.testing.assert_array_equal(output(twin, X), expected)


# Equality with the wrapped estimators.


@pairs
@pytest.mark.parametrize("params", [FAST, TRAINED], ids=["closed form", "trained"])
def test_output_equals_that_of_the_wrapped_estimator(
    adapter, wrapped, params, har_like
):
    X, y = har_like
    estimator, expected = adapter(**params).fit(X, y), wrapped(**params).fit(X, y)
    np.testing.assert_array_equal(output(estimator, X), output(expected, X))
    if adapter is VQTextSktimeClassifier:
        np.testing.assert_array_equal(estimator.predict(X), expected.predict(X))
        np.testing.assert_array_equal(estimator.classes_, expected.classes_)
        assert estimator.score(X, y) == expected.score(X, y)


@pairs
def test_every_panel_type_with_gaps(adapter, wrapped, gappy):
    X, y = gappy
    expected = output(wrapped(**FAST).fit(X, y), X)
    for mtype in MTYPES:
        converted = convert_to(X, mtype, as_scitype="Panel")
        found = output(adapter(**FAST).fit(converted, y), converted)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pairs
def test_unequal_length(adapter, wrapped):
    X, y = load_japanese_vowels(split="train", return_type="df-list")
    X, y = X[::9], y[::9]  # 30 of 9 speakers, with 7 to 26 timepoints
    assert len({len(x) for x in X}) > 5
    lists = [x.to_numpy().T for x in X]
    expected = output(wrapped(**FAST).fit(lists[::2], y[::2]), lists[1::2])
    for mtype in ("pd-multiindex", "nested_univ", "df-list"):
        train = convert_to(X[::2], mtype, as_scitype="Panel")
        test = convert_to(X[1::2], mtype, as_scitype="Panel")
        found = output(adapter(**FAST).fit(train, y[::2]), test)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "convert",
    [
        lambda y: y.astype(object),
        lambda y: np.unique(y, return_inverse=True)[1] * 10 - 7,
        lambda y: np.unique(y, return_inverse=True)[1].astype(float),
        lambda y: y == "walking",
        lambda y: pd.Series(y, index=range(100, 124)),
        lambda y: pd.Series(y, dtype="category"),
        lambda y: pd.DataFrame({"label": y}),
    ],
    ids=["object", "int", "float", "bool", "series", "category", "frame"],
)
def test_labels_are_returned(har_like, convert):
    X, y = har_like
    y = convert(y)
    found = VQTextSktimeClassifier(**FAST).fit(X, y).predict(X)
    expected = np.asarray(y).ravel()
    assert isinstance(found, np.ndarray)
    assert found.dtype == expected.dtype
    assert found.tolist() == expected.tolist()


def test_labels_affect_feature_selection(har_like):
    X, y = har_like
    without = VQTextSktimeTransformer(**FAST).fit(X)
    with_labels = VQTextSktimeTransformer(**FAST).fit(X, pd.Series(y))
    expected = VQTextTransformer(**FAST).fit(X, y)
    assert list(with_labels.transform(X)) == list(expected.get_feature_names_out())
    assert list(with_labels.transform(X)) != list(without.transform(X))


@both
def test_invalid_panels_are_errors(adapter, har_like):
    X, y = har_like
    estimator = adapter(**FAST).fit(X, y)
    expected = output(estimator, X)
    for bad, message in (
        (np.where(np.arange(40) == 5, np.inf, X), "infinity at case 0, ch"),
        (np.where(np.arange(3)[:, None] == 1, np.nan, X), "channel 1 .* are NaN"),
        (X.astype(str), "numeric"),
    ):
        with pytest.raises(ValueError, match=message):
            estimator.fit(bad, y)
        with pytest.raises(ValueError, match=message):
            output(estimator, bad)
    with pytest.raises(ValueError, match=r"2 channels.*fitted with 3"):
        output(estimator, X[:, :2])
    # A fit that fails does not change the fitted model.
    np.testing.assert_array_equal(output(estimator, X), expected)


def test_a_classifier_requires_labels(har_like):
    with pytest.raises(TypeError, match="y is required"):
        VQTextSktimeClassifier(**FAST).fit(har_like[0])


# Data frames returned by the transformer.


def test_table_has_readable_names(har_like):
    names = {"channel_names": ["acc_x", "acc_y", "acc_z"], "sampling_rate": 20.0}
    table = VQTextSktimeTransformer(**FAST, **names).fit_transform(*har_like)
    assert isinstance(table, pd.DataFrame)
    assert table.shape == (24, 300)
    assert (table.dtypes == np.float32).all()
    pattern = (
        r"acc_[xyz]( change)? \| (code \d+ \| (level|scale|best|matches).*|"
        r"[a-z ]+ of (levels|scales)) \| [\d.]+ s"
    )
    assert table.columns.str.fullmatch(pattern).all()


def test_rows_of_the_table_are_named_like_cases(har_like):
    X, y = har_like
    names = [f"case {i}" for i in np.random.default_rng(0).permutation(24)]
    X = convert_to(X, "pd-multiindex", as_scitype="Panel")
    X = X.rename(index=dict(enumerate(names)), level=0)
    transformer = VQTextSktimeTransformer(**FAST)
    assert transformer.fit_transform(X, y).index.tolist() == names
    with sklearn.config_context(transform_output="pandas"):
        table = transformer.transform(X)
    assert table.index.tolist() == names
    assert not table.isna().any(axis=None)
    # Features of other transformers are joined by case names.
    union = (SummaryTransformer() + transformer).fit_transform(X, y)
    assert union.index.tolist() == names
    assert not union.isna().any(axis=None)


def test_one_series_is_one_row(har_like):
    X = har_like[0]
    transformer = VQTextSktimeTransformer(**FAST).fit(X)
    row = transformer.transform(X[3].T)  # sktime has (time, channel)
    np.testing.assert_array_equal(row, transformer.transform(X[3:4]))


# Use in sktime.


@pytest.mark.parametrize(
    "build",
    [
        lambda transformer: transformer * RidgeClassifier(),
        lambda transformer: make_pipeline(transformer, LogisticRegression()),
        lambda transformer: make_pipeline(
            ExponentTransformer(1), transformer, StandardScaler(), RidgeClassifier()
        ),
    ],
    ids=["product", "pipeline", "longer"],
)
def test_transformer_in_front_of_a_tabular_classifier(basic_motions, build):
    data = basic_motions
    model = build(VQTextSktimeTransformer(**FAST))
    assert isinstance(model, SklearnClassifierPipeline)
    model.fit(data.X_train, data.y_train)
    assert model.score(data.X_test, data.y_test) >= 0.95


def test_classifier_behind_a_transformer(har_like):
    X, y = har_like
    model = ExponentTransformer(2, offset=0) * VQTextSktimeClassifier(**FAST)
    found = model.fit(X, y).predict_proba(X)
    expected = VQTextClassifier(**FAST).fit(X**2, y).predict_proba(X**2)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_benchmark(basic_motions):
    data = basic_motions
    benchmark = ClassificationBenchmark()
    benchmark.add_estimator(VQTextSktimeClassifier(**FAST), "closed form")
    benchmark.add_estimator(VQTextSktimeClassifier(**TRAINED), "trained")
    X = convert_to(data.X_train, "pd-multiindex", as_scitype="Panel")
    benchmark.add_task(
        lambda: (X, data.y_train),
        KFold(2, shuffle=True, random_state=0),  # cases are sorted by class
        [accuracy_score],
    )
    results = benchmark.run()
    # Errors are only recorded in this attribute.
    assert not benchmark.failed_experiments
    assert results["model_id"].tolist() == ["closed form", "trained"]
    assert (results["accuracy_score_mean"] >= 0.9).all()


# Missing sktime.


def test_sktime_is_not_installed(monkeypatch):
    monkeypatch.delitem(sys.modules, "sktext_vq.sktime")
    monkeypatch.setitem(sys.modules, "sktime.classification.base", None)
    with pytest.raises(
        ImportError, match=r"Install it with pip install 'sktext_vq\[sktime"
    ):
        importlib.import_module("sktext_vq.sktime")
