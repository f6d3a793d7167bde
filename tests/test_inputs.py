"""Estimators with unusual data; types of panels are tested in test_panel.py."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from sktext_vq import VQTextClassifier, VQTextTransformer
from sktext_vq.datasets import load


def transformer(**params):
    return VQTextTransformer(max_epochs=0, random_state=0, **params)


def classifier(**params):
    return VQTextClassifier(max_epochs=0, random_state=0, **params)


def test_all_types_of_panels_give_equal_predictions(har_like):
    convert = pytest.importorskip("sktime.datatypes").convert_to
    X, y = har_like
    model = classifier().fit(X, y)
    expected = model.predict_proba(X)
    kinds = {
        "list": list(X),
        "nested_univ": convert(X, "nested_univ", as_scitype="Panel"),
        "pd-multiindex": convert(X, "pd-multiindex", as_scitype="Panel"),
        "df-list": convert(X, "df-list", as_scitype="Panel"),
    }
    for kind, panel in kinds.items():
        np.testing.assert_allclose(
            model.predict_proba(panel), expected, atol=1e-9, err_msg=kind
        )
        again = classifier().fit(panel, y)
        np.testing.assert_allclose(
            again.predict_proba(X), expected, atol=1e-9, err_msg=kind
        )


def test_one_channel_with_or_without_its_axis(har_like):
    X, y = har_like
    flat = X[:, 0]
    model = classifier().fit(flat, y)
    expected = model.predict_proba(flat)
    for same in (flat[:, None], list(flat), flat.tolist(), pd.DataFrame(flat)):
        np.testing.assert_allclose(model.predict_proba(same), expected, atol=1e-9)
    with pytest.raises(ValueError, match=r"39 features.*expecting 40"):
        model.predict(flat[:, 1:])


def as_frame(X, names):
    """Return a data frame with a row per case and time."""
    index = pd.MultiIndex.from_product([range(len(X)), np.arange(X.shape[2]) / 50])
    return pd.DataFrame(X.transpose(0, 2, 1).reshape(-1, 3), index, names)


def test_columns_of_frames_are_channel_names_and_are_checked(har_like):
    X, y = har_like
    X = X + np.array([0.0, 0.0, 9.8])[:, None]  # gravity
    names = ["acc_x", "acc_y", "acc_z"]
    frame = as_frame(X, names)
    model = classifier().fit(frame, y)
    named = classifier(channel_names=names).fit(X, y)
    assert model.channel_names_ == names
    assert model.channel_groups_ == named.channel_groups_ == {"acc": (0, 1, 2)}
    expected = named.predict_proba(X)
    for same in (X, frame, as_frame(X, ["var_0", "var_1", "var_2"])):
        np.testing.assert_allclose(model.predict_proba(same), expected, atol=1e-9)
    with pytest.raises(ValueError, match=r"acc_y.*X has these columns in a"):
        model.predict(frame[names[::-1]])
    with pytest.raises(ValueError, match=r"X is missing \['acc_z'\]"):
        model.predict(frame.rename(columns={"acc_z": "acc_w"}))
    for others in (["x", "y", "z"], ["ACC_X", "ACC_Y", "ACC_Z"]):
        other = as_frame(X, others)
        for method in (model.predict, model.explain, model.tokens):
            with pytest.raises(ValueError, match=r"X is missing \['acc_x'"):
                method(other)
        with pytest.raises(ValueError, match=r"X is missing \['acc_x'"):
            named.predict(other)
    with pytest.raises(ValueError, match="X is missing"):
        model.predict(as_frame(X, ["var_1", "var_0", "var_2"]))
    with pytest.raises(ValueError, match="has the columns of X in a different order"):
        classifier(channel_names=names[::-1]).fit(frame, y)
    model.fit(X, y)
    model.predict(frame[names[::-1]])  # the model has no channel names


def test_labels_in_another_order_than_cases_raise_an_error(har_like):
    X, y = har_like
    frame = as_frame(X, ["a", "b", "c"])
    cases = [f"run {i}" for i in range(len(X))]  # "run 10" is sorted before "run 2"
    frame = frame.rename(index=dict(enumerate(cases)), level=0)
    labels = pd.Series(y, cases)
    assert classifier().fit(frame, labels).score(frame, y) > 0.9
    with pytest.raises(ValueError, match="index of y has the cases of X in a diff"):
        classifier().fit(frame, labels.sort_index())
    with pytest.raises(ValueError, match="index of groups has the cases of X"):
        classifier().fit(frame, y, groups=labels.sort_index())


def test_swapped_axes_give_a_warning(har_like):
    X, y = har_like
    for swapped in (X.transpose(0, 2, 1), list(X.transpose(0, 2, 1))):
        with pytest.warns(UserWarning, match="40 channels and 3 timepoints"):
            classifier().fit(swapped, y)
    with pytest.raises(ValueError, match=r"40 different names.*transpose"):
        classifier(channel_names=["x", "y", "z"]).fit(X.transpose(0, 2, 1), y)


def test_a_table_with_a_row_per_timepoint_gives_a_warning(har_like):
    table = as_frame(har_like[0], ["acc_x", "acc_y", "acc_z"]).reset_index(drop=True)
    with pytest.warns(UserWarning, match="a panel with .*read_panel"):
        transformer().fit(table)


def test_a_single_series_raises_an_error(har_like):
    X, y = har_like
    with pytest.raises(ValueError, match=r"a single series, pass X\[None\]"):
        classifier().fit(X, y).predict(X[0])


def test_column_names_are_checked(har_like):
    X, y = har_like
    table = pd.DataFrame(X[:, 0], columns=[f"t{i}" for i in range(40)])
    model = classifier().fit(table, y)
    assert model.feature_names_in_.tolist() == list(table.columns)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(table[table.columns[::-1]])
    model.fit(X, y)  # a panel has no names
    assert not hasattr(model, "feature_names_in_")


def test_unequal_lengths_on_real_recordings():
    data = load("JapaneseVowels")
    assert len({x.shape[1] for x in data.X_train}) > 5
    model = classifier().fit(data.X_train, data.y_train)
    assert model.score(data.X_test, data.y_test) >= 0.93


def test_missing_values_hardly_affect_scores(basic_motions):
    data = basic_motions
    rng = np.random.default_rng(0)

    def with_gaps(X):
        X = X.copy()
        X[rng.random(X.shape) < 0.1] = np.nan
        for case in X:  # and a gap of a tenth of each series
            start = rng.integers(90)
            case[:, start : start + 10] = np.nan
        return X

    X_train, X_test = with_gaps(data.X_train), with_gaps(data.X_test)
    before = X_test.copy()
    model = classifier().fit(X_train, data.y_train)
    assert model.score(X_test, data.y_test) >= 0.9
    np.testing.assert_array_equal(X_test, before)
    assert np.isfinite(model.reconstruct(X_test)).all()


def test_a_window_that_is_mostly_missing_is_not_counted():
    """A gap does not have the features of a straight line."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 1, 64))
    model = transformer().fit(X)
    gap = X.copy()
    gap[:, :, 20:44] = np.nan
    bridged = X.copy()
    bridged[:, 0, 19:45] = np.linspace(X[:, 0, 19], X[:, 0, 44], 26, axis=1)
    names = model.get_feature_names_out()
    counts = np.array(["best" not in name and " 8 time" in name for name in names])
    base, missing, line = (model.transform(x)[:, counts] for x in (X, gap, bridged))
    away = [np.linalg.norm(found - base, axis=1) for found in (missing, line)]
    assert away[0].mean() < 0.8 * away[1].mean()


@pytest.mark.parametrize("n_timepoints", [1, 2, 5, 7, 8, 9])
def test_series_shorter_than_the_smallest_window(n_timepoints):
    rng = np.random.default_rng(0)
    y = np.arange(120) % 2
    X = rng.normal(size=(120, 1, n_timepoints)) + 3 * y[:, None, None]
    model = classifier().fit(X, y)
    assert model.score(X, y) >= 0.9
    tokens = model.tokens(X)
    assert (tokens.start + tokens.length <= n_timepoints).all()
    assert model.reconstruct(X).shape == X.shape


def test_new_series_may_be_shorter_or_longer(har_like):
    X, y = har_like
    model = classifier().fit(X, y)
    expected = model.predict(X)
    assert (model.predict(X[:, :, :30]) == expected).mean() >= 0.9
    assert (model.predict(np.concatenate([X, X], axis=2)) == expected).mean() >= 0.9
    with_short = [X[0], X[1][:, :5], X[2]]
    assert np.isfinite(model.predict_proba(with_short)).all()


def test_constant_channels_are_harmless(har_like):
    X, y = har_like
    X = X.copy()
    X[:, 1] = 1e9
    model = classifier().fit(X, y)
    assert model.score(X, y) >= 0.9
    assert np.isfinite(model.predict_proba(X)).all()
    everything = np.full((10, 2, 30), 3.0)
    features = transformer().fit_transform(everything)
    assert np.isfinite(features).all()
    np.testing.assert_allclose(transformer().fit(everything).reconstruct(everything), 3)


@pytest.mark.parametrize("factor", [1e-200, 1e-30, 1e30, 1e200])
def test_features_do_not_depend_on_magnitude(har_like, factor):
    X, y = har_like
    expected = transformer().fit(X, y).transform(X)
    found = transformer().fit(X * factor, y).transform(X * factor)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_series_far_outside_of_training_are_finite(har_like):
    X, y = har_like
    model = classifier().fit(X, y)
    for far in (X * 1e30, X + 1e300, -X * 1e12):
        assert np.isfinite(model.predict_proba(far)).all()


def test_one_case_suffices_for_a_transformer_only(har_like):
    X, _ = har_like
    assert transformer().fit(X[:1]).transform(X).shape[0] == 24
    with pytest.raises(ValueError, match="1 class"):
        classifier().fit(X[:1], ["walking"])


def test_two_cases_are_enough_for_two_classes(har_like):
    X, y = har_like
    model = VQTextClassifier(max_epochs=2, text_encoder="hashing", random_state=0)
    model.fit(X[[1, 2]], y[[1, 2]])
    assert model.predict(X[[1, 2]]).tolist() == y[[1, 2]].tolist()


def test_a_class_of_one_case(har_like):
    X, y = har_like
    y = np.where(np.arange(24) == 0, "badminton", y)
    model = VQTextClassifier(max_epochs=2, text_encoder="hashing", random_state=0)
    model.fit(X, y)
    assert model.predict_proba(X).shape == (24, 4)


def test_more_codes_than_different_windows():
    X = np.tile([0.0, 1.0], (6, 1, 10))
    features = transformer(n_codes=64).fit_transform(X)
    assert np.isfinite(features).all()


def test_features_are_bounded_by_max_features(har_like):
    X, y = har_like
    assert transformer(max_features=50).fit(X, y).transform(X).shape == (24, 50)
    assert transformer(max_features=50).fit(X).transform(X).shape == (24, 50)
    model = classifier(max_features=1).fit(X, y)
    assert model.predict_proba(X).shape == (24, 3)


def test_matches_are_features_only_if_histograms_fit(har_like):
    X, y = har_like
    with_room, without = (
        transformer(max_features=most).fit(X, y).get_feature_names_out()
        for most in (10_000, 1_500)
    )
    matches = {name for name in with_room if "matches in the top" in name}
    assert matches
    assert len(without) == 1_500
    assert not matches & set(without)


def test_zero_shot_needs_a_fitted_model(har_like):
    with pytest.raises(NotFittedError):
        VQTextClassifier().predict_zero_shot(har_like[0], ["walking"])


def test_most_of_all_series_may_be_missing(basic_motions):
    data = basic_motions

    def nine_tenths_missing(X):
        rng = np.random.default_rng(0)
        return np.where(rng.random(X.shape) < 0.9, np.nan, X)

    X_train, X_test = map(nine_tenths_missing, (data.X_train, data.X_test))
    model = classifier(n_codes=32).fit(X_train, data.y_train)
    assert model.score(X_test, data.y_test) >= 0.8  # 0.47 if no window is counted
    np.testing.assert_allclose(model.transform_codes(X_test).sum(axis=1), 1)


def test_codes_of_constant_series_are_described(har_like, recwarn):
    X, y = har_like
    for still in (np.zeros((6, 1, 13)), X[:6, :, :1]):
        model = classifier(n_codes=16).fit(still, y[:6])
        table = model.describe_codes()
        # All codes match equally well, so rounding decides which codes are used.
        assert table.usage.sum() == pytest.approx(1)
        unused = table[table.usage < 1e-9]
        assert (unused.attributes == "").all()
    assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning)]


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (np.array(["a", 1] * 12, dtype=object), TypeError, "sorted: int and str"),
        (np.array([None, "a"] * 12, dtype=object), ValueError, "in case 0"),
        ([1.0, np.nan] * 12, ValueError, "in case 1"),
        (np.array(["a", np.nan] * 12, dtype=object), ValueError, "in case 1"),
        ([[1, 2], [3]] * 12, ValueError, "different length"),
        (np.zeros((24, 2)), ValueError, "1d array"),
        (["a", "b"] * 11, ValueError, "inconsistent"),
    ],
    ids="mixed None NaN missing ragged table short".split(),
)
def test_invalid_labels_raise_an_error(har_like, y, error, message):
    with pytest.raises(error, match=message):
        classifier().fit(har_like[0], y)
    with pytest.raises(error, match=message):
        classifier().fit(*har_like, groups=y)


def test_errors_contain_the_position_of_invalid_values(har_like):
    X, y = har_like
    for odd in ({}, pd.NA, 10**400):
        strange = X.astype(object)
        strange[3, 1, 7] = odd
        with pytest.raises(TypeError, match="case 3, channel 1, timepoint 7"):
            classifier().fit(strange, y)


def test_unavailable_devices_raise_an_error(har_like):
    for device in ("gpu", "cuda:99", "1", None):
        with pytest.raises(ValueError, match='device must be "auto"'):
            classifier(device=device).fit(*har_like)


def test_cases_that_occur_many_times(har_like):
    X, y = har_like
    few = np.tile(np.arange(3), 8)  # one case of each class
    model = classifier().fit(X[few], y[few])
    assert model.score(X[:3], y[:3]) == 1
    assert (model.predict(X) == y).mean() >= 0.8


def test_five_hundred_classes():
    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(size=(500, 1, 30)), 2, axis=0)
    y = np.repeat(np.arange(500), 2)
    model = classifier(n_codes=16, max_features=500)
    model.fit(X + rng.normal(scale=0.05, size=X.shape), y)
    assert model.predict_proba(X).shape == (1000, 500)
    assert model.score(X, y) >= 0.9


def test_predictions_do_not_depend_on_what_else_is_predicted(basic_motions):
    data = basic_motions
    model = classifier(n_codes=32).fit(data.X_train, data.y_train)
    X = data.X_test.copy()
    X[3, :, 10:30] = np.nan
    expected = model.predict_proba(X)
    for size in (1, 7, 39):
        parts = [model.predict_proba(X[i : i + size]) for i in range(0, 40, size)]
        np.testing.assert_allclose(
            np.concatenate(parts), expected, rtol=1e-9, atol=1e-9
        )


def test_threads_do_not_disturb_each_other(har_like):
    X, y = har_like

    def fit_and_predict(seed):
        model = VQTextClassifier(
            16, max_epochs=1, text_encoder="hashing", random_state=seed, n_jobs=2
        )
        model.fit(X, y)
        return model, model.predict_proba(X)

    alone = [fit_and_predict(seed) for seed in range(2)]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(fit_and_predict, range(2)))
        for (_, left), (_, right) in zip(alone, together, strict=True):
            np.testing.assert_array_equal(left, right)
        model, expected = alone[0]
        for found in pool.map(lambda _: model.predict_proba(X), range(6)):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("axes", [3, None, "xyz", [[0], 1, 2], [0, 0, 1], [0, 1, 9]])
def test_axes_of_a_sensor_must_be_three_channels(har_like, axes):
    with pytest.raises(ValueError, match=r"gravity\['acc'\] must contain three"):
        classifier(gravity={"acc": axes}).fit(*har_like)


def test_names_with_invalid_characters_raise_an_error(har_like):
    X, y = har_like
    odd = np.where(y == "walking", "\ud800", y)
    with pytest.raises(ValueError, match=r"y contains .* not valid text"):
        classifier().fit(X, odd)
    model = classifier(text_encoder="hashing").fit(X, y)
    for name in ("\ud800", "walking\0"):
        with pytest.raises(ValueError, match=r"candidate_labels contains .* not valid"):
            model.predict_zero_shot(X, [name])
        with pytest.raises(ValueError, match=r"channel_names contains .* not valid"):
            classifier(channel_names=["x", "y", name]).fit(X, y)
        with pytest.raises(ValueError, match=r"gravity contains .* not valid text"):
            classifier(gravity={name: (0, 1, 2)}).fit(X, y)


@pytest.mark.parametrize("name", ["channel_names", "n_jobs"])
def test_parameters_of_other_types_raise_an_error(har_like, name):
    for value in (0, 1.5, "abc"):
        with pytest.raises((TypeError, ValueError), match=f"{name} must be"):
            classifier(**{name: value}).fit(*har_like)


def test_padding_after_the_longest_series_is_ignored():
    """Padding series with NaN to any length does not change predictions."""
    rng = np.random.default_rng(0)
    y = np.arange(20) % 2
    lengths = rng.integers(25, 50, 20)
    flat = [
        rng.normal(size=n).cumsum() + k * np.sin(np.arange(n))
        for n, k in zip(lengths, y, strict=True)
    ]
    table = np.full((20, 90), np.nan)
    for row, series in zip(table, flat, strict=True):
        row[: len(series)] = series
    expected = classifier().fit(flat, y).predict_proba(flat)
    for X in (table, table[:, None], pd.DataFrame(table)):
        model = classifier().fit(X, y)
        assert model.n_timepoints_ == lengths.max()
        np.testing.assert_allclose(model.predict_proba(X), expected, atol=1e-9)
        np.testing.assert_allclose(model.predict_proba(flat), expected, atol=1e-9)
    assert model.n_features_in_ == 90
    with pytest.raises(ValueError, match="features"):
        model.predict(table[:, :-1])


def test_nullable_columns(har_like):
    X, y = har_like
    X = np.round(X, 3)
    X[7, 1, 3] = np.nan
    expected = classifier().fit(X, y).predict_proba(X)
    names = ["a", "b", "c"]
    frame = as_frame(X, names)
    for dtype in ("Float64", object):
        nullable = frame.astype(dtype).where(frame.notna(), pd.NA)
        cases = [part.droplevel(0) for _, part in nullable.groupby(level=0)]
        nested = pd.DataFrame([{n: case[n] for n in names} for case in cases])
        for panel in (nullable, cases, nested):
            found = classifier().fit(panel, y).predict_proba(panel)
            np.testing.assert_allclose(found, expected, atol=1e-9)
    wide = pd.DataFrame(X[:, 1])
    flat = classifier().fit(X[:, 1], y).predict_proba(X[:, 1])
    nullable = wide.astype("Float64")
    assert nullable.isna().any(axis=None)
    found = classifier().fit(nullable, y).predict_proba(nullable)
    np.testing.assert_allclose(found, flat, atol=1e-9)


def test_series_shorter_than_the_training_series_give_a_warning(har_like):
    X, y = har_like
    model = classifier().fit([x[:, : 30 + i % 10] for i, x in enumerate(X)], y)
    short = [X[0], X[1, :, :8], X[2, :, :14]]
    with pytest.warns(UserWarning, match=r"2 of 3 .* has 8 timepoints.* 30 to 39"):
        model.predict(short)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(X[:, :, :15])


def test_times_that_are_text_are_in_the_order_of_numbers(har_like):
    X, y = har_like
    table = pd.DataFrame(X[:, 0], columns=[str(i) for i in range(40)])
    model = classifier().fit(X[:, :1], y)
    stacked = table.stack().to_frame("x")
    np.testing.assert_array_equal(
        model.predict_proba(stacked), model.predict_proba(X[:, :1])
    )
    days = pd.date_range("2026-01-01", periods=40).strftime("%Y-%m-%d")
    found = model.predict_proba(table.set_axis(days, axis=1).stack().to_frame("x"))
    np.testing.assert_array_equal(found, model.predict_proba(X[:, :1]))
    table.columns = [f"t{i}" for i in range(40)]
    with pytest.raises(ValueError, match="has the time 't0', which is text"):
        model.predict(table.stack().to_frame("x"))


def test_columns_may_be_renamed_by_channel_names(har_like):
    X, y = har_like
    frames = [pd.DataFrame(case.T, columns=["a", "b", "c"]) for case in X]
    model = classifier(channel_names=np.array(["x", "y", "z"])).fit(frames, y)
    np.testing.assert_array_equal(model.predict_proba(frames), model.predict_proba(X))
    assert model.channel_names_ == ["x", "y", "z"]
    assert "channel 1" not in model.caption(frames)[0]
    with pytest.raises(ValueError, match="different order"):
        model.predict([frame[["b", "a", "c"]] for frame in frames])


@pytest.mark.parametrize("dtype", ["Int64", "boolean", "string"])
def test_labels_of_pandas_dtypes_keep_their_type(har_like, dtype):
    X, y = har_like
    y = pd.Series(np.unique(y, return_inverse=True)[1] % 2).astype(dtype)
    model = classifier().fit(X, y)
    assert model.classes_.tolist() == sorted(set(y.tolist()))
    assert {type(label) for label in model.classes_.tolist()} == {type(y.tolist()[0])}


@pytest.mark.parametrize("n_cases", [2, 4])
def test_few_cases_of_each_class_may_be_in_groups(har_like, n_cases):
    X, y = har_like
    chosen = [np.flatnonzero(y == label)[: n_cases // 2] for label in np.unique(y)[:2]]
    rows = np.concatenate(chosen)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = classifier().fit(X[rows], y[rows], groups=np.arange(n_cases))
    assert model.score(X[rows], y[rows]) == 1
