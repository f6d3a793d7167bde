"""Benchmarks of classes without recordings and of other people's sensors."""

import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import report
import shift
import zero_shot
from statistics_of_windows import window_statistics


def test_class_splits_are_different_and_repeatable():
    labels = [f"class {i}" for i in range(27)]
    splits = zero_shot.class_splits(labels, "UTD-MHAD-inertial")
    assert splits == zero_shot.class_splits(labels, "UTD-MHAD-inertial")
    assert len({tuple(split) for split in splits}) == 10
    assert {len(split) for split in splits} == {5}
    # Of six classes there are fifteen pairs: all of them.
    assert len(zero_shot.class_splits(labels[:6], "UCI-HAR")) == 15


def test_harmonic_mean_by_hand():
    y = np.array(["a", "a", "b", "b"])
    found = zero_shot.harmonic(np.array(["a", "b", "b", "b"]), y, ["b"])
    assert found == (0.5, 1.0, pytest.approx(2 / 3))
    assert zero_shot.harmonic(np.array(["b"] * 4), y, ["b"])[2] == 0


def test_statistics_tell_what_they_should():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 3, 64))
    found = window_statistics(X)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[:, :3], X.mean(axis=2))
    np.testing.assert_allclose(found[:, -3], _correlations(X, 0, 1), atol=1e-4)
    assert np.isfinite(window_statistics(np.ones((2, 1, 8)))).all()


def _correlations(X, i, j):
    return [np.corrcoef(case)[i, j] for case in X]


@pytest.mark.parametrize("method", ["ours", "to series, statistics"])
def test_methods_find_an_unseen_class(method):
    rows = [zero_shot.evaluate("BasicMotions", method, k, None) for k in range(4)]
    assert [row["unseen"] for row in rows] == [
        "badminton",
        "running",
        "standing",
        "walking",
    ]
    for row in rows:
        assert set(row) == {*zero_shot.KEYS, *zero_shot.VALUES}
        assert row["unseen_only"] == 1  # there is but one
        both = row["seen"] + row["unseen_of_all"]
        expected = 2 * row["seen"] * row["unseen_of_all"] / max(both, 1e-12)
        assert row["harmonic_mean"] == pytest.approx(expected)
    assert np.mean([row["seen"] for row in rows]) > 0.5
    assert max(row["unseen_of_all"] for row in rows) > 0.5


@pytest.mark.parametrize("kind", ["eszsl", "to text", "to series"])
def test_baselines_use_texts(kind, monkeypatch):
    """Classes on a line, with texts on a line too."""
    monkeypatch.setattr(
        zero_shot,
        "class_vectors",
        lambda names: np.array([[float(name), 1.0] for name in names]),
    )
    rng = np.random.default_rng(0)
    classes = np.repeat([0, 1, 2, 4, 5, 6], 20)
    X = (classes[:, None] + 0.3 * rng.normal(size=(120, 8)))[:, None]
    baseline = zero_shot.Baseline(kind, lambda X, seed: lambda X: X[:, 0])
    predict = baseline(X, classes.astype(str), 0, {})
    new = np.repeat([-2, 9], 20)
    found = predict(
        (new[:, None] + 0.3 * rng.normal(size=(40, 8)))[:, None], ["-2", "9"]
    )
    assert (found == new.astype(str)).mean() > 0.9


def test_table_of_unseen_classes(tmp_path):
    rows = [
        ("A", "ours", 0, "x; y", 0.5, 0.4),
        ("A", "ours", 1, "x; z", 0.7, 0.6),
        ("A", "random", 0, "x; y", 0.5, 0.1),
    ]
    columns = ["set", "method", "split", "unseen", "unseen_only", "harmonic_mean"]
    frame = pd.DataFrame(rows, columns=columns)
    frame.to_csv(tmp_path / "zero_shot.csv", index=False)
    text = report.zero_shot_report(tmp_path)
    assert "| chance | 0.500 |  |" in text
    assert "| ours | 0.600 ± 0.141 | 0.500 ± 0.141 |" in text
    lines = [line.split("|") for line in text.splitlines() if line.startswith("|")]
    assert all(len(a) == len(b) for a, b in pairwise(lines))


def test_damage_is_what_it_is_called():
    names = [
        f"{s}.{a}"
        for s in ("gravity", "rotationRate", "userAcceleration")
        for a in "xyz"
    ]
    X = np.random.default_rng(0).normal(size=(10, 9, 128))
    found = SimpleNamespace(channel_names=tuple(names), X_train=X)

    def damaged(kind):
        return shift.CORRUPTIONS[kind](X, np.random.default_rng(1), found)

    assert (damaged("gyroscope lost")[:, 3:6] == 0).all()
    np.testing.assert_array_equal(damaged("gyroscope lost")[:, :3], X[:, :3])
    assert (damaged("accelerometer lost")[:, [0, 1, 2, 6, 7, 8]] == 0).all()
    missing = np.isnan(damaged("gap of 30 %"))
    assert (missing.sum(axis=2) == 38).all()
    assert np.isfinite(shift.fill_gaps(damaged("gap of 30 %"))).all()
    added = damaged("noise .4") - X
    np.testing.assert_allclose(added.std(axis=(0, 2)) / X.std(axis=(0, 2)), 0.4, 0.1)
    turned = damaged("rotation 90")
    np.testing.assert_allclose(
        np.linalg.norm(turned[:, 3:6], axis=1), np.linalg.norm(X[:, 3:6], axis=1)
    )
    flipped = damaged("axis flipped")
    np.testing.assert_array_equal(flipped[:, ::3], -X[:, ::3])
    assert damaged("resampled").std() < X.std()


def test_upright_views_do_not_see_turns():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5, 6, 64))
    X[:, 2] += 5
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)
    other = np.concatenate([turn @ X[:, :3], turn @ X[:, 3:]], axis=1)
    np.testing.assert_allclose(
        shift.vertical_and_horizontal(other), shift.vertical_and_horizontal(X)
    )


def test_both_tables_of_shift(tmp_path):
    rows = [
        (task, method, seed, 0.5 + 0.1 * seed)
        for task in ("5 per class", "clean", "noise .2", "resampled")
        for method in ("ours", "MiniRocket")
        for seed in (0, 1)
    ]
    frame = pd.DataFrame(rows, columns=["task", "method", "seed", "macro_f1"])
    frame.to_csv(tmp_path / "shift.csv", index=False)
    text = report.shift_report(tmp_path)
    assert "| method | 5 per class |\n" in text
    assert "| method | clean | noise .2 | resampled | mean |" in text
    assert "| ours | 0.550 ± 0.071 |\n" in text
