"""What the figures of pretraining rest on."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import kills
import pretrain
import protocol
import report


def test_ten_cases_of_each_class_or_all_are_drawn_by_the_seed():
    y = np.repeat(["a", "b", "c"], [30, 12, 4])
    first, again, other = (pretrain.draw(y, seed) for seed in (0, 0, 1))
    assert np.unique(y[first], return_counts=True)[1].tolist() == [10, 10, 4]
    assert len(set(first)) == 24
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_nothing_is_learned_from_test_parts_of_the_source(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(16, 1, 20)), np.repeat(["walking", "running"], 8)
    parts = {"X_train": X, "y_train": y, "X_test": X + 100, "y_test": y}
    np.savez(tmp_path / "UCI-HAR.npz", **parts)
    seen = []
    monkeypatch.setattr("sktext_vq.pretrain", lambda panels, **_: seen.extend(panels))
    pretrain.learned.__wrapped__("without labels", str(tmp_path))
    np.testing.assert_array_equal(np.concatenate(seen), X)


def test_the_table_holds_pretraining_against_the_same_without(tmp_path):
    accuracy = {"network": (0.5, 0.7), "network, pretrained": (0.6, 0.9)}
    rows = [
        {"set": name, "method": method, "seed": seed, "labels": 20}
        | {"accuracy": values[seed] + extra, "macro_f1": 0.0}
        for name, extra in (("A", 0.0), ("B", 0.1))
        for method, values in accuracy.items()
        for seed in (0, 1)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "pretrain.csv", index=False)
    text = report.pretrain_table(tmp_path)
    assert "| network | 0.600 ± 0.141 | 0.700 ± 0.141 |  |" in text
    # .1 and .2 by seed
    assert (
        "| network, pretrained | 0.750 ± 0.212 | 0.850 ± 0.212 | 0.150 ± 0.050 |"
        in (text)
    )


@pytest.mark.parametrize("script", [pretrain, kills])
def test_help_says_what_every_option_does(script):
    for action in script.parser()._actions:
        assert action.help, action.option_strings


def test_methods_are_named_after_what_they_are_held_against():
    for method, (parameters, kind) in pretrain.METHODS.items():
        base, _, pretrained = method.partition(", ")
        assert bool(pretrained) == (kind is not None)
        assert pretrain.METHODS[base] == (parameters, None)
    assert protocol.RESULTS.joinpath("pretrain.csv").exists()
