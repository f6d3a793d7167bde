"""Estimators in pipelines and grid searches of scikit-learn, with real data."""

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV
from sklearn.model_selection import (
    GridSearchCV,
    cross_val_score,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sktext_vq import VQTextClassifier, VQTextTransformer
from sktext_vq._utils.threads import multiply_rows
from sktext_vq.text import SeriesCaptioner, SeriesVerbalizer


def pipeline(**params):
    params = {"max_epochs": 1, "random_state": 0} | params
    return Pipeline(
        [
            ("tokens", VQTextTransformer(**params)),
            ("scale", StandardScaler()),
            ("clf", LogisticRegression()),
        ]
    )


def test_pipeline_classifies_motions(basic_motions):
    data = basic_motions
    model = pipeline(text_encoder="hashing", max_features=300)
    model.fit(data.X_train, data.y_train)
    assert model.named_steps["tokens"].training_stage_ == "trained with text"
    assert model.score(data.X_test, data.y_test) >= 0.95


def test_grid_search_in_two_processes(basic_motions, tmp_path):
    data = basic_motions
    model = pipeline(text_encoder="hashing", max_features=300)
    model.set_params(memory=str(tmp_path))  # tokens are cached for all values of C
    grid = {
        "tokens__n_codes": [16, 32],
        "tokens__text": [None, "labels"],
        "tokens__prompt_forms": [("keyword",), ("sentence", "attributes")],
        "clf__C": [0.1, 10],
    }
    search = GridSearchCV(model, grid, cv=2, error_score="raise", n_jobs=2)
    search.fit(data.X_train, data.y_train)
    assert len(search.cv_results_["params"]) == 16
    assert search.best_score_ >= 0.9
    assert search.score(data.X_test, data.y_test) >= 0.9
    # Scores in this process are equal to scores in other processes.
    model.set_params(**search.cv_results_["params"][-1])
    here = cross_val_score(model, data.X_train, data.y_train, cv=2)
    assert here.mean() == pytest.approx(search.cv_results_["mean_test_score"][-1])


def test_threads_give_the_same(basic_motions):
    data = basic_motions
    one = VQTextTransformer(max_epochs=0, random_state=0).fit(data.X_train)
    two = clone(one).set_params(n_jobs=2).fit(data.X_train)
    expected = pd.DataFrame(
        one.transform(data.X_test), columns=one.get_feature_names_out()
    )
    found = pd.DataFrame(
        two.transform(data.X_test), columns=two.get_feature_names_out()
    )
    # Rounding may decide between equally good features.
    both = expected.columns.intersection(found.columns)
    assert len(both) >= 0.99 * len(expected.columns)
    np.testing.assert_allclose(found[both], expected[both], rtol=1e-6, atol=1e-6)
    again = one.set_params(n_jobs=2).transform(data.X_test)
    np.testing.assert_allclose(again, expected, rtol=1e-6, atol=1e-6)


def test_rows_of_a_product_do_not_depend_on_their_number():
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(40, 300, generator=generator, dtype=torch.float64)
    matrix = torch.randn(7, 300, generator=generator, dtype=torch.float64).T
    expected = multiply_rows(rows, matrix)
    for n_rows in (0, 1, 2, 3, 5, 17):
        found = multiply_rows(rows[:n_rows], matrix)
        assert torch.equal(found, expected[:n_rows])


def test_memory_caches_the_transformer(basic_motions, tmp_path):
    data = basic_motions
    memory = joblib.Memory(tmp_path, verbose=0)
    model = Pipeline(
        [
            ("tokens", VQTextTransformer(max_epochs=0, random_state=0)),
            ("clf", RidgeClassifierCV()),
        ],
        memory=memory,
    )
    first = model.fit(data.X_train, data.y_train).predict(data.X_test)
    (cached,) = tmp_path.rglob("output.pkl")
    time = cached.stat().st_mtime_ns
    second = clone(model).fit(data.X_train, data.y_train).predict(data.X_test)
    assert list(tmp_path.rglob("output.pkl")) == [cached]
    assert cached.stat().st_mtime_ns == time
    np.testing.assert_array_equal(first, second)


def test_pandas_output_has_readable_names(basic_motions):
    data = basic_motions
    transformer = VQTextTransformer(
        max_epochs=0,
        channel_names=data.channel_names,
        sampling_rate=data.sampling_rate,
        random_state=0,
    ).set_output(transform="pandas")
    table = transformer.fit_transform(data.X_train, data.y_train)
    assert isinstance(table, pd.DataFrame)
    assert table.columns.is_unique
    pattern = (
        r"(acc|gyro)_[xyz]( change)? \| "
        r"(code \d+ \| (level \d of 4|scale \d of 4|best match|matches in the top \d+%)"
        r"|[a-z ]+ of (levels|scales)) \| [\d.]+ s"
    )
    assert table.columns.str.fullmatch(pattern).all()
    assert {name.rsplit(" | ")[-1] for name in table} == {
        "0.8 s",
        "1.6 s",
        "3.2 s",
        "6.4 s",
        "9.6 s",
    }


def test_names_of_features_describe_features():
    """Only the level differs between classes, so names contain the level."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 1, 40))
    X[::2] += 5
    transformer = VQTextTransformer(max_epochs=0, random_state=0, channel_names=["x"])
    transformer.set_output(transform="pandas")
    table = transformer.fit_transform(X)
    high = table.filter(regex=r"^x \| .*level 4 of 4").sum(axis=1)
    low = table.filter(regex=r"^x \| .*level 1 of 4").sum(axis=1)
    assert high[::2].min() > 3 * high[1::2].max()
    assert low[1::2].min() > 3 * low[::2].max()


def test_texts_of_cases_are_routed_through_a_pipeline(basic_motions):
    data = basic_motions
    texts = np.array([f"a person is {label}" for label in data.y_train], dtype=object)
    with sklearn.config_context(enable_metadata_routing=True):
        transformer = VQTextTransformer(
            max_epochs=1, text_encoder="hashing", random_state=0
        )
        model = make_pipeline(
            transformer.set_fit_request(text=True),
            StandardScaler(),
            RidgeClassifierCV(),
        )
        scores = cross_val_score(
            model, data.X_train, data.y_train, cv=2, params={"text": texts}
        )
        model.fit(data.X_train, data.y_train, text=texts)
    assert scores.min() >= 0.8
    assert set(model[0].prompts_) == set(texts)
    with sklearn.config_context(enable_metadata_routing=True):
        with pytest.raises(TypeError, match="unexpected argument"):
            model[1:].fit(data.X_train[:, 0], data.y_train, text=texts)


def test_names_of_features_suit_other_libraries(har_like):
    """LightGBM does not accept characters of JSON, and XGBoost brackets and "<"."""
    X, y = har_like
    names = ['a:b, "c"', "a[b]{c}<", "a b c"]
    model = VQTextTransformer(max_epochs=0, random_state=0, channel_names=names)
    found = model.set_params(max_features=400).fit(X, y).get_feature_names_out()
    assert not set(':,[]{}"<>') & set("".join(found))
    assert len(set(found)) == 400
    assert {name.split(" | ")[0].removesuffix(" change") for name in found} <= {
        "a b c",
        "a b c 2",
        "a b c 3",
        "a b c change 2",
        "a b c change 3",
    }
    assert model.channel_names_ == names
    # The lengths of the two longest windows are almost equal.
    model.set_params(sampling_rate=1e-3, channel_names=None).fit(X[:, :, :17], y)
    assert len(set(model.get_feature_names_out())) == 400


@pytest.mark.parametrize("kind", [VQTextTransformer, SeriesCaptioner, SeriesVerbalizer])
def test_pandas_output_has_a_row_per_case(har_like, kind):
    X, y = har_like
    names = [f"run {i}" for i in range(24)]  # not in alphabetical order
    index = pd.MultiIndex.from_product([names, range(40)], names=["run", "time"])
    frame = pd.DataFrame(X.transpose(0, 2, 1).reshape(-1, 3), index, ["a", "b", "c"])
    model = kind().set_output(transform="pandas")
    if kind is VQTextTransformer:
        model.set_params(max_epochs=0, max_features=50)
    for table in (model.fit_transform(frame, y), model.transform(frame)):
        assert table.index.tolist() == names
        assert table.index.name == "run"
        assert table.columns.tolist() == model.get_feature_names_out().tolist()


def test_global_pandas_output_does_not_affect_inner_estimators(har_like):
    X, y = har_like
    small = {"n_codes": 16, "max_features": 50, "text_encoder": "hashing"}
    model = VQTextClassifier(max_epochs=1, random_state=0, **small)
    expected = clone(model).fit(X, y).similarity(X, ["running"])
    with sklearn.config_context(transform_output="pandas"):
        model.fit(X, y)
        np.testing.assert_array_equal(model.similarity(X, ["running"]), expected)
        assert (model.predict_zero_shot(X, list(model.classes_)) == y).mean() > 0.8


def test_weights_are_routed_through_a_pipeline(har_like):
    X, y = har_like
    weight = np.where(y == "walking", 0.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        small = VQTextClassifier(n_codes=16, max_features=50, max_epochs=0)
        model = make_pipeline(small.set_fit_request(sample_weight=True))
        model.fit(X, y, sample_weight=weight)
        assert model.classes_.tolist() == ["running", "standing"]
