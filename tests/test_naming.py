import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from sktext_vq import VQTextClassifier, VQTextTransformer
from sktext_vq._interpret.code_statistics import CodeStatistics, separate
from sktext_vq.nn.constants import N_ROWS

WORDS = ["saw teeth", "square waves", "noise"]


def make_panel(seed, n_cases=30):
    """Return three kinds of series in channel a, and noise in channel b."""
    rng = np.random.default_rng(seed)
    X = 0.1 * rng.normal(size=(n_cases, 2, 96))
    kinds = np.arange(n_cases) % 3
    ramp = np.linspace(-1, 1, 16)
    X[kinds == 0, 0] += 3 * np.tile(ramp, 6)
    X[kinds == 1, 0] += 0.5 * np.tile(np.sign(ramp), 6)
    return X, np.array(WORDS)[kinds]


@pytest.fixture(scope="module")
def model():
    return VQTextClassifier(
        24, max_epochs=0, channel_names=["a", "b"], random_state=0
    ).fit(*make_panel(0))


def test_separation_is_a_lower_bound_of_the_area_under_the_curve():
    rng = np.random.default_rng(0)
    classes = rng.choice([0, 1, 3], size=90)  # class 2 has no cases
    best = rng.choice([0, 1, 3], size=8)
    shares = (rng.normal(size=(90, 8)) + (classes[:, None] == best)).round(1)
    found = separate(shares, classes, best)
    for code, own in enumerate(best):
        limits = []
        for other in {0, 1, 3} - {own}:
            two = np.isin(classes, [own, other])
            area = roc_auc_score(classes[two] == own, shares[two, code])
            n_own, n_other = (classes == own).sum(), (classes == other).sum()
            error = ((n_own + n_other + 1) / (12 * n_own * n_other)) ** 0.5
            limits.append(area - 1.64 * error)
        assert found[code] == pytest.approx(min(limits))
    np.testing.assert_array_equal(separate(shares, 0 * classes, 0 * best), 0)


def test_named_codes_belong_to_their_class_in_new_series_too(model):
    table = model.describe_codes()
    named = table[table["phrase"].notna()]
    assert set(named["phrase"]) == set(WORDS)
    assert (named["phrase"] == named["class"]).all()
    assert named["confidence"].between(0.55, 1).all()
    assert (table["confidence"][table["phrase"].isna()] < 0.55).all()
    X, y = make_panel(1)
    shares = model.transform_codes(X)
    sure = named[named["confidence"] > 0.7]
    assert len(sure) > 3
    for code, row in sure.iterrows():
        own = y == row["phrase"]
        assert shares[own, code].mean() > shares[~own, code].mean()


def test_codes_have_no_names_if_labels_are_random():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(400, 1, 60)), np.tile(["one", "other"], 200)
    small = {"max_epochs": 0, "max_features": 300}
    table = VQTextClassifier(16, random_state=0, **small).fit(X, y)
    assert table.describe_codes()["phrase"].isna().all()


def test_attributes_describe_strength_and_channel(model):
    table = model.describe_codes()
    teeth = table[table["phrase"] == "saw teeth"]
    clear = teeth[teeth["confidence"] == teeth["confidence"].max()]
    assert len(clear)
    assert clear["attributes"].str.contains("strong").all()
    assert clear["attributes"].str.contains("in a").all()
    assert not table["attributes"].str.contains("weak.*strong|quick.*slow").any()


def test_attributes_describe_usage():
    """Attributes of three codes follow from the channels and lengths they occur in."""
    squares = np.zeros((1, 3, 1, 2, N_ROWS, 3))
    # Code 0 is short and weak in channel 0, code 1 is long and strong in channel 1, and
    # code 2 occurs everywhere.
    for code, channel, length, scale in ((0, 0, 0, 4), (1, 1, 1, 7)):
        squares[0, channel, 0, length, [0, scale], code] = 1
    squares[0, :, 0, :, 0, 2] = 1
    squares[0, :, 0, :, 4:8, 2] = 0.25
    use = CodeStatistics._from_histograms(squares)
    assert use.strength() == ["weak", "strong", None]
    assert use.pace() == ["quick", "slow", None]
    assert use.channel_words(["x", "y", "z"]) == ["x", "y", None]
    np.testing.assert_allclose(use.by_code, [1 / 6, 1 / 6, 1])


def test_names_from_texts():
    X, y = make_panel(0)
    model = VQTextClassifier(
        24, max_epochs=3, text_encoder="hashing", random_state=0
    ).fit(X, y)
    shares = model.transform_text(WORDS)
    table = model.describe_codes(WORDS)
    parts = shares / shares.sum(axis=0)
    np.testing.assert_allclose(table["confidence"], parts.max(axis=0))
    for code, name in table["phrase"].items():
        best = WORDS[parts[:, code].argmax()]
        is_sure = parts[:, code].max() >= 2 / 3
        assert name == best if is_sure else pd.isna(name)
    with pytest.raises(ValueError, match="at least two phrases"):
        model.describe_codes(["one"])
    with pytest.raises(ValueError, match="fitted without text"):
        VQTextTransformer(24, text=None).fit(X).describe_codes(WORDS)


def test_unused_codes_have_no_attributes():
    windows = np.full((2, 1, 4, 3), 0.5)
    windows[..., 2] = 0
    windows[:, :, :2, 1] = 0.01
    use = CodeStatistics(windows, np.full((4, 3), 0.25))
    with np.errstate(all="raise"):
        assert use.pace() == [None, "slow", None]
