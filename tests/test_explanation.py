"""Explanations: exact sums, tokens of the series, and their positions."""

import numpy as np
import pytest

from sktext_vq import VQTextClassifier

PLACE = ["case", "channel", "start", "length", "code"]


def log_odds(model, X, table):
    """Return the log-odds to which contributions should sum."""
    with np.errstate(divide="ignore"):  # the probability of a class with weight 0 is 0
        logs = np.log(model.predict_proba(X))
    names = table.groupby("case")[["label", "against"]].first()
    columns = {label: i for i, label in enumerate(model.classes_)}
    return [
        logs[case, columns[row["label"]]] - logs[case, columns[row["against"]]]
        for case, row in names.iterrows()
    ]


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"class_weight": {"running": 0}},
        {"channel_names": ["acc_x", "acc_y", "acc_z"]},
        {"gravity": {"acc": (0, 1, 2)}},
        {"gravity": "replace", "channel_names": ["acc_x", "acc_y", "acc_z"]},
        {"max_epochs": 1, "class_weight": "balanced"},
        {"max_epochs": 1, "loss_weights": {"series": 1.0, "frequency": 0.1}},
    ],
    ids=[
        "closed",
        "left out",
        "gravity",
        "gravity of indices",
        "gravity in place of axes",
        "trained",
        "moved borders",
    ],
)
def test_contributions_sum_to_the_logarithm_of_the_odds(parameters, har_like):
    X, y = har_like
    X = X + np.array([0, 0, 9.0])[:, None]  # gravity, for the gravity frame
    X[3, 1, 10:20] = np.nan
    options = {"max_epochs": 0, "text_encoder": "hashing", "random_state": 0}
    model = VQTextClassifier(**{**options, **parameters}).fit(X, y)
    table = model.explain(X[:5])
    sums = table.groupby("case")["contribution"].sum()
    np.testing.assert_allclose(sums, log_odds(model, X[:5], table), atol=1e-6)
    assert table.groupby("case")["label"].first().tolist() == list(model.predict(X[:5]))
    names = np.array([*model.channel_names_, ""])
    assert (table["channel_name"] == names[table["channel"]]).all()
    # The intercept is the last row, regardless of its size.
    last = table.groupby("case").tail(1)
    assert (last["phrase"] == "intercept").all()
    assert ((table["channel"] < 0).groupby(table["case"]).sum() == 1).all()
    rest = table.drop(last.index).groupby("case")["contribution"]
    assert rest.apply(lambda each: each.is_monotonic_decreasing).all()
    told = table[table["start"] >= 0].sort_values(PLACE[:4])
    tokens = model.tokens(X[:5]).sort_values(PLACE[:4])
    np.testing.assert_array_equal(told[PLACE], tokens[PLACE])


def test_series_may_differ_in_length(har_like):
    X, y = har_like
    model = VQTextClassifier(max_epochs=0, random_state=0).fit(X, y)
    few = [X[0], X[1][:, :5], X[2][:, :21]]
    table = model.explain(few)
    sums = table.groupby("case")["contribution"].sum()
    np.testing.assert_allclose(sums, log_odds(model, few, table), atol=1e-6)
    ends = (table["start"] + table["length"]).groupby(table["case"]).max()
    assert ends.tolist() == [40, 5, 21]


def test_the_place_that_differs_is_found():
    rng = np.random.default_rng(0)
    X = rng.normal(scale=0.3, size=(60, 2, 96))
    y = np.array(["still", "bump"] * 30)
    starts = rng.integers(0, 72, 60)
    for case in np.flatnonzero(y == "bump"):
        X[case, 1, starts[case] : starts[case] + 24] += 4 * np.hanning(24)
    model = VQTextClassifier(max_epochs=0, random_state=0).fit(X[:40], y[:40])
    cases = np.arange(40, 60)[y[40:] == "bump"]
    table = model.explain(X[cases], label="bump", against="still")
    top = table[table["start"] >= 0].groupby("case").head(1)
    assert (top["channel"] == 1).mean() >= 0.9
    middle = starts[cases] + 12
    inside = (top["start"] <= middle) & (middle < top["start"] + top["length"])
    assert inside.mean() >= 0.8


def unevenness(series):
    return series.reshape(10, 8).std(axis=1).std()


@pytest.mark.parametrize(
    ("statistic", "measure", "change"),
    [
        ("level", np.mean, lambda noise: noise + 3),
        ("standard deviation", np.std, lambda noise: 3 * noise),
        (
            "mean slope",
            lambda series: series[-1] - series[0],
            lambda noise: noise + 0.3 * np.arange(80) - 12,
        ),
        (
            "size of changes",
            lambda series: np.diff(series).std(),
            lambda noise: abs(noise) * np.resize([1, -1], 80),
        ),
        ("unevenness", unevenness, lambda noise: noise * np.linspace(0, 2, 80) ** 3),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_statistics_that_differ_are_named(statistic, measure, change):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 2, 80))
    y = np.array(["usual", "other"] * 20)
    X[1::2, 1] = [change(series) for series in X[1::2, 1]]
    names = ["still", "shaken"]
    model = VQTextClassifier(max_epochs=0, channel_names=names, random_state=0)
    table = model.fit(X[:36], y[:36]).explain(X[36:], "other", "usual")
    values = np.array([measure(series) for series in X[:, 1]])
    for case, value in enumerate(values[36:]):
        side = "higher" if value > values[:36].mean() else "lower"
        phrase = f"{statistic} of shaken, {side} than on average in training"
        found = table[(table["case"] == case) & (table["phrase"] == phrase)]
        assert found[["channel", "start", "code"]].to_numpy().tolist() == [[1, -1, -1]]
        assert (found["contribution"].item() > 0) == (y[36 + case] == "other")


def test_statistics_of_gravity_are_named_for_each_axis(har_like):
    X, y = har_like
    X = X + np.array([0, 0, 9.0])[:, None]
    names = ["acc_x", "acc_y", "acc_z"]
    model = VQTextClassifier(
        max_epochs=0, channel_names=names, gravity="replace", random_state=0
    )
    table = model.fit(X, y).explain(X[:1])
    own = table[table["phrase"].str.contains("of acc norm|of acc vertical")]
    assert len(own) >= 3
    for _, axes in own.groupby("phrase"):
        assert sorted(axes["channel_name"]) == names
        assert axes["contribution"].nunique() == 1


def test_the_other_way_round_has_the_other_sign(har_like):
    X, y = har_like
    model = VQTextClassifier(max_epochs=0, random_state=0).fit(X, y)
    one = model.explain(X[:2], "walking", "running").sort_values(PLACE)
    other = model.explain(X[:2], "running", "walking").sort_values(PLACE)
    there = one["start"].to_numpy() >= 0
    np.testing.assert_allclose(
        one["contribution"][there], -other["contribution"][there], atol=1e-9
    )


def test_wrong_classes_are_refused(har_like):
    X, y = har_like
    model = VQTextClassifier(max_epochs=0, random_state=0).fit(X, y)
    with pytest.raises(
        ValueError, match=r"'flying' is not a class of the training data"
    ):
        model.explain(X[:1], "flying")
    with pytest.raises(ValueError, match="both 'walking'"):
        model.explain(X[:1], "walking", "walking")
    # If `against` is the most probable class, the next class is explained.
    table = model.explain(X[:1], against=model.predict(X[:1])[0])
    assert (table["label"] != table["against"]).all()
