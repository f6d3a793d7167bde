"""Gravity frames of sensors with three axes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sktext_vq import VQTextClassifier, VQTextTransformer
from sktext_vq._heads.ridge import cross_validate
from sktext_vq._utils.channels import find_triads
from sktext_vq.nn import GravityFrame
from sktext_vq.nn.gravity import PARTS
from sktext_vq.nn.windows import Batch

NAMES = ["acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z"]
FAST = {"n_codes": 16, "max_epochs": 0, "random_state": 0}


def worn(n_cases=24, seed=0, n_timepoints=64):
    """Return acceleration with gravity and rotation rates of a device."""
    rng = np.random.default_rng(seed)
    X = 0.3 * rng.normal(size=(n_cases, 6, n_timepoints))
    y = np.arange(n_cases) % 2
    beat = np.sin(np.arange(n_timepoints) / 2)
    X[:, 2] += 1 + 0.8 * y[:, None] * beat  # vertical movement
    X[:, 3] += 0.8 * (1 - y)[:, None] * beat
    return X, np.array(["still", "nodding"])[y]


def turned(X, angle=2.0):
    """Rotate both sensors about the vertical, z."""
    turn = np.eye(3)
    turn[:2, :2] = [
        [np.cos(angle), -np.sin(angle)],
        [np.sin(angle), np.cos(angle)],
    ]
    return np.concatenate([turn @ X[:, :3], turn @ X[:, 3:]], axis=1)


def frame_of(X, triads=((0, 1, 2), (3, 4, 5))):
    mean = torch.from_numpy(X.mean((0, 2))).float()
    scale = torch.from_numpy(X.std((0, 2))).float()
    frame = GravityFrame(triads, mean, scale)
    batch = standardised(X, frame)
    frame.fit(batch)
    return frame, batch


def standardised(X, frame):
    series = torch.from_numpy(X).float()
    return Batch((series - frame.mean[:, None]) / frame.scale[:, None])


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (NAMES, {"acc": (0, 1, 2), "gyro": (3, 4, 5)}),
        (["gravity.z", "gravity.y", "gravity.x"], {"gravity": (2, 1, 0)}),
        (["AccX", "AccY", "AccZ"], {"Acc": (0, 1, 2)}),
        (["x acc", "y acc", "z acc"], {"acc": (0, 1, 2)}),
        (["x", "y", "z"], {"sensor": (0, 1, 2)}),
        (["acc_x", "acc_y", "temperature"], {}),
        (["index", "energy", "voltz"], {}),
        ([], {}),
    ],
)
def test_sensors_are_found_by_the_names_of_their_axes(names, expected):
    assert find_triads(names) == expected


def test_added_channels_are_parts_along_and_across_gravity():
    X = worn()[0]
    frame, batch = frame_of(X)
    assert frame.reference == 0
    added = frame(batch).series[:, 6:]
    added = added * frame.added_scale[:, None] + frame.added_mean[:, None]
    up = X[:, :3].mean(2, keepdims=True)
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    for i, sensor in enumerate((X[:, :3], X[:, 3:])):
        vertical = (sensor * up).sum(1)
        across = np.linalg.norm(sensor - vertical[:, None] * up, axis=1)
        norm = np.linalg.norm(sensor, axis=1)
        found = added[:, 3 * i : 3 * i + 3].numpy()
        for part, expected in enumerate((vertical, across, norm)):
            np.testing.assert_allclose(found[:, part], expected, atol=1e-4)


def test_added_channels_are_standardised_and_do_not_see_turns():
    X = worn()[0]
    frame, batch = frame_of(X)
    added = frame(batch).series[:, 6:]
    torch.testing.assert_close(added.mean((0, 2)), torch.zeros(6), atol=1e-4, rtol=0)
    torch.testing.assert_close(added.std((0, 2)), torch.ones(6), atol=1e-3, rtol=0)
    other = frame(standardised(turned(X), frame)).series[:, 6:]
    torch.testing.assert_close(other, added, atol=1e-4, rtol=1e-4)


def test_without_a_steady_direction_nothing_is_added():
    X = worn()[0][:, 3:]
    frame, batch = frame_of(X, [(0, 1, 2)])
    assert frame.reference is None
    assert frame.n_added == 0
    assert frame(batch) is batch


def test_gaps_and_padding_of_an_axis_reach_its_sensor_only():
    X = worn()[0]
    frame, batch = frame_of(X)
    observed = torch.ones_like(batch.series)
    observed[0, 1, 10:20] = 0
    observed[1, :, 40:] = 0
    lengths = torch.full((len(X),), 64)
    lengths[1] = 40
    filled = batch.series.clone()
    filled[0, 1, 10:20] = 50
    filled[1, :, 40:] = -50
    found = frame(Batch(filled, observed, lengths))
    assert found.observed.shape == found.series.shape
    expected = torch.ones(len(X), 6, 64)
    expected[0, :3, 10:20] = 0
    expected[1, :, 40:] = 0
    assert torch.equal(found.observed[:, 6:], expected)
    cut = frame(Batch(batch.series[1:2, :, :40])).series
    torch.testing.assert_close(found.series[1:2, :, :40], cut, atol=1e-4, rtol=1e-4)


def test_a_device_worn_otherwise_is_recognised():
    X, y = worn(60)
    there, _ = worn(40, seed=1)
    z = worn(40, seed=1)[1]
    scores = {}
    for names in (None, NAMES):
        model = VQTextClassifier(channel_names=names, text=None, **FAST).fit(X, y)
        scores[names is None] = model.score(turned(there), z)
    assert scores[False] >= 0.95
    assert scores[False] >= scores[True]


def test_features_tell_what_they_are_of():
    X, y = worn()
    model = VQTextTransformer(channel_names=NAMES, **FAST).set_output(
        transform="pandas"
    )
    columns = model.fit_transform(X, y).columns
    assert columns.is_unique
    assert {name.split(" | ")[0].removesuffix(" change") for name in columns} == {
        *NAMES,
        *(f"{sensor} {part}" for sensor in ("acc", "gyro") for part in PARTS),
    }
    assert model.channel_groups_ == {"acc": (0, 1, 2), "gyro": (3, 4, 5)}
    assert set(model.describe_codes()["channel"]) <= {
        c.split(" | ")[0] for c in columns
    }
    assert model.tokens(X)["channel"].max() == 5  # only channels of the input
    assert model.reconstruct(X).shape == X.shape


@pytest.mark.parametrize("right_without", [0.5, 1.0])
def test_added_channels_that_do_not_help_on_groups_are_not_used(
    monkeypatch, right_without
):
    X, y = worn(n_cases=40)
    calls = []

    def validate(folds, n_classes, weight, class_weight):
        found = cross_validate(folds, n_classes, weight, class_weight)
        calls.append(found)
        share = right_without if len(calls) == 4 else 0.75
        is_right = np.arange(40) < 40 * share
        predicted = np.where(is_right, found.classes, (found.classes + 1) % n_classes)
        scores = np.broadcast_to(np.eye(n_classes)[predicted], found.scores.shape)
        return replace(found, scores=scores)

    monkeypatch.setattr("sktext_vq._training.fit.cross_validate", validate)
    model = VQTextClassifier(channel_names=NAMES, text=None, **FAST)
    every = model.fit(X, y).get_feature_names_out()
    model.fit(X, y, groups=np.arange(40) // 8)
    assert len(calls) == 2  # no or few groups
    model.fit(X, y, groups=np.arange(40) // 4)
    found = model.get_feature_names_out()
    assert len(calls) == 4
    assert any("vertical" in name for name in every)
    if right_without > 0.75:
        assert {name.split()[0] for name in found} == set(NAMES)
    else:
        assert list(found) == list(every)
    assert model.score(X, y) == 1


def test_added_channels_are_used_if_each_class_has_one_group():
    X, _ = worn(n_cases=40)
    y = np.char.add("move ", (np.arange(40) % 8).astype(str))
    model = VQTextClassifier(channel_names=NAMES, text=None, **FAST)
    names = model.fit(X, y, groups=y).get_feature_names_out()
    assert any("vertical" in name for name in names)


def test_sensors_are_given_by_name_or_index():
    X, y = worn()
    by_name = VQTextTransformer(channel_names=NAMES, **FAST).fit(X, y)
    given = {"acc": NAMES[:3], "gyro": [3, 4, 5]}
    by_both = VQTextTransformer(channel_names=NAMES, gravity=given, **FAST).fit(X, y)
    np.testing.assert_array_equal(by_both.transform(X), by_name.transform(X))
    without = VQTextTransformer(channel_names=NAMES, gravity=None, **FAST)
    assert without.fit(X, y).channel_groups_ == {}
    assert without.transform(X).shape[1] < by_name.transform(X).shape[1]


@pytest.mark.parametrize(
    ("groups", "error", "words"),
    [
        ("acc", ValueError, "gravity must be one of"),
        ([[0, 1, 2]], TypeError, "gravity must be one of"),
        ({"acc": [0, 1]}, ValueError, r"gravity\['acc'\] must contain three"),
        ({"acc": [0, 0, 1]}, ValueError, "three different channels"),
        ({"acc": [0, 1, 6]}, ValueError, "index from 0 to 5"),
        ({"acc": ["acc_x", "acc_y", "acc_w"]}, ValueError, "acc_w"),
        ({"acc": "xyz"}, ValueError, "xyz"),
    ],
)
def test_invalid_sensors_are_errors(groups, error, words):
    X, y = worn()
    model = VQTextTransformer(channel_names=NAMES, gravity=groups, **FAST)
    with pytest.raises(error, match=words):
        model.fit(X, y)


def test_new_channels_replace_the_axes():
    X = np.concatenate([worn()[0], worn()[0][:, :1]], axis=1)
    mean = torch.from_numpy(X.mean((0, 2))).float()
    scale = torch.from_numpy(X.std((0, 2))).float()
    frame = GravityFrame([(0, 1, 2), (3, 4, 5)], mean, scale, alone=True)
    batch = standardised(X, frame)
    frame.fit(batch)
    found = frame(batch).series
    assert frame.others == [6]
    assert found.shape[1] == 1 + frame.n_added == 13
    torch.testing.assert_close(found[:, 0], batch.series[:, 6])
    # Rotate about any axis, not only about the vertical.
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    other = np.concatenate([turn @ X[:, :3], turn @ X[:, 3:6], X[:, 6:]], axis=1)
    same = frame(standardised(other, frame)).series
    torch.testing.assert_close(same, found, atol=1e-3, rtol=1e-3)


def test_relative_channels_do_not_see_how_large_a_movement_is():
    X = worn()[0]
    strong = X.copy()
    strong[:, 3:] *= 3
    mean = torch.from_numpy(X.mean((0, 2))).float()
    scale = torch.from_numpy(X.std((0, 2))).float()
    frame = GravityFrame([(0, 1, 2), (3, 4, 5)], mean, scale, alone=True)
    batch = standardised(X, frame)
    frame.fit(batch)
    plain, relative = slice(6, 9), slice(9, 12)
    found, other = (frame(standardised(Y, frame)).series for Y in (X, strong))
    assert (other[:, plain].std() / found[:, plain].std()) > 2
    assert abs(other[:, relative].std() / found[:, relative].std() - 1) < 0.15


def test_features_are_named_where_axes_are_replaced():
    X, y = worn()
    model = VQTextTransformer(channel_names=NAMES, gravity="replace", **FAST)
    names = model.fit(X, y).get_feature_names_out()
    assert {name.split(" | ")[0].split(" change")[0] for name in names} <= {
        f"{sensor} {part}{end}"
        for sensor in ("acc", "gyro")
        for part in PARTS
        for end in ("", " relative")
    }


def test_replacing_axes_needs_a_sensor_that_shows_the_vertical():
    X, y = worn()
    with pytest.raises(ValueError, match="requires sensors with three axes"):
        VQTextClassifier(gravity="replace", **FAST).fit(X, y)
    names = ["a", "b", "c", *NAMES[3:]]
    with pytest.raises(ValueError, match=r"measures gravity.*\['gyro'\]"):
        VQTextClassifier(gravity="replace", channel_names=names, **FAST).fit(X, y)
    with pytest.raises(ValueError, match="gravity must be one of"):
        VQTextClassifier(gravity="only", **FAST).fit(X, y)


@pytest.mark.parametrize("power", [-900, -60, 60, 900])
@pytest.mark.parametrize("gravity", ["append", "replace"])
def test_units_of_any_size_change_nothing(gravity, power):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(12, 3, 40)), np.arange(12) % 2
    X[:, 1] += 9.8
    X[y == 1] *= 2
    found = [
        VQTextClassifier(
            16,
            max_epochs=0,
            channel_names=["acc_x", "acc_y", "acc_z"],
            gravity=gravity,
            random_state=0,
        )
        .fit(series, y)
        .predict_proba(series)
        for series in (X, np.ldexp(X, power))
    ]
    np.testing.assert_array_equal(*found)
