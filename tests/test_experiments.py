"""Experiments of the benchmarks, on small data sets."""

import json
import os
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator

from benchmarks import __main__ as commands
from benchmarks import estimators, figures, internals, memory
from benchmarks.experiments import (
    EXPERIMENTS,
    ablation,
    choices,
    cluster,
    cost,
    crossmodal,
    drift,
    export,
    faithfulness,
    gaps,
    groups,
    naming,
    pretrain,
    regression,
    segment,
    shift,
    suite,
    training,
    zero_shot,
)
from benchmarks.runner import Options, grid
from benchmarks.store import Frames
from sktext_vq import VQTextClassifier

SET = ("BasicMotions",)


def options(name, **changes):
    experiment = EXPERIMENTS[name]
    common = {"sets": SET, "seeds": (0,), "settings": experiment.settings}
    return Options(**{**common, **changes})


def run(name, folder, *more):
    """Run an experiment in this process, and return its rows and its page."""
    command = ["run", name, "--results", str(folder), "--processes", "1", *more]
    commands.main(command)
    page = folder / f"{commands.shown_in(name)}.md"
    return pd.read_csv(folder / f"{name}.csv"), page.read_text(encoding="utf-8")


def frames_of(folder, name, rows, **environment):
    pd.DataFrame(rows).to_csv(folder / f"{name}.csv", index=False)
    path = folder / f"{name}.environment.json"
    path.write_text(json.dumps(environment), encoding="utf-8")
    return Frames(folder)


# -- Suite ---------------------------------------------------------------------------


class Recorder(BaseEstimator):
    """Classifier that thresholds the mean of a series, and stores its inputs."""

    given: ClassVar[list] = []
    classes_ = np.array(["a", "b"])

    def fit(self, X, y):
        self.given.append((X, y))
        return self

    def predict(self, X):
        self.given.append((X, None))
        return np.array(["b" if np.mean(series) > 0 else "a" for series in X])

    def predict_proba(self, X):
        return np.where(self.predict(X)[:, None] == ["a", "b"], 0.9, 0.1)


@pytest.mark.parametrize("name", ["tsf", "dtw"])
def test_suite_scores_the_test_part(monkeypatch, tmp_path, name):
    y = np.array(["a", "b"] * 12)
    rng = np.random.default_rng(0)
    X = rng.normal(0.2 * (y == "b")[:, None, None], 1, (24, 2, 9)).astype(np.float32)
    parts = {"X_train": X[:10], "y_train": y[:10], "X_test": X[10:], "y_test": y[10:]}
    np.savez(tmp_path / "Set.npz", **parts)
    monkeypatch.setattr(Recorder, "given", [])
    monkeypatch.setitem(estimators.ESTIMATORS, name, lambda *_: Recorder())
    keys = list(grid(set=["Set"], estimator=[name], seed=[0]))
    (row,) = suite.evaluate(keys, options("suite", data=str(tmp_path)))
    assert set(row) == {*suite.SUITE.keys, *suite.SUITE.values}
    given = [X for X, y in Recorder.given if y is not None]
    assert np.array_equal(given[-1], X[:10])
    assert given[-1].dtype == np.float32
    right = Recorder().predict(X[10:]) == y[10:]
    assert row["accuracy"] == right.mean()
    if name == "dtw":  # probabilities are 0 or 1
        assert row["log_loss"] == row["calibration_error"] == ""
        return
    assert row["log_loss"] == pytest.approx(-np.log(np.where(right, 0.9, 0.1)).mean())
    assert row["calibration_error"] == pytest.approx(abs(right.mean() - 0.9))


def suite_rows():
    gains = {"minirocket": 0.0, "closed-form": 0.1, "tsf": -0.1}
    for name, base in (("GunPoint", 0.8), ("NATOPS", 0.6), ("UCI-HAR", 0.2)):
        for estimator, gain in gains.items():
            for seed in (0, 1):
                is_tsf = estimator == "tsf"
                yield {
                    "set": name,
                    "estimator": estimator,
                    "seed": seed,
                    "accuracy": base + gain + 0.02 * seed,
                    "balanced_accuracy": 0.5,
                    "macro_f1": 0.25,
                    "log_loss": 1.5 if is_tsf else None,
                    "calibration_error": 0.125 if is_tsf else None,
                    "fit_seconds": 1.0,
                    "predict_seconds": 0.5,
                    "peak_mib": 9.0 if name == "NATOPS" else 7.0,
                }


def suite_page(folder, frame, name="suite", **only):
    frames = frames_of(folder, name, frame, versions={"numpy": "2", "aeon": None})
    return suite.SUITE.markdown(Frames(frames.folder, only))


def cells(page, start):
    """Return the cells of the first row that starts with a text."""
    line = next(line for line in page.splitlines() if line.startswith(f"| {start} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_what_the_suite_lacks_is_in_no_mean_and_named(tmp_path):
    frame = pd.DataFrame(suite_rows())
    of_tsf = frame["estimator"] == "tsf"
    page = suite_page(tmp_path, frame[~of_tsf | (frame["set"] != "NATOPS")])
    assert "the 2 data sets for which all estimators have results: GunPoint" in page
    assert "some of their results are missing: tsf." in page
    # A seed without all data sets is excluded from the mean over data sets.
    lacking = of_tsf & (frame["set"] == "GunPoint") & (frame["seed"] == 1)
    page = suite_page(tmp_path, frame[~lacking])
    assert cells(page, "tsf")[1:4] == ["1", "3.00", "0.605"]
    without = suite_page(tmp_path, frame, estimator=["minirocket", "closed-form"])
    assert "means over the 2 data sets" in without
    assert "tsf" not in without


def test_rows_of_aeon_are_in_the_page(tmp_path):
    frame = pd.DataFrame(suite_rows())
    suite_page(tmp_path, frame)
    other = frame[frame["estimator"] == "minirocket"].assign(estimator="quant")
    page = suite_page(tmp_path, other, "suite-aeon")
    assert cells(page, "quant")[2] == "2.50"
    assert "- suite-aeon.csv: numpy 2" in page


def test_pairs_are_tested_by_signed_ranks_and_holm():
    base = np.linspace(0.5, 0.9, 6)
    better = base + np.linspace(0.01, 0.06, 6)
    p = suite.holm(pd.DataFrame({"a": better, "b": base, "c": base - 1e-9}))
    # For six wins of six, p = 2 / 2**6, which Holm's method multiplies by three tests.
    # Adjusted p-values do not decrease in the order of p.
    assert p.loc["a", "b"] == p.loc["b", "a"] == pytest.approx(3 / 32)
    assert p.loc["b", "c"] == 1
    assert np.array_equal(np.diag(p), [1, 1, 1])


def test_ranks_are_drawn_if_packages_are_there(tmp_path, monkeypatch, capsys):
    by_set = pd.DataFrame(
        {"closed-form": [0.9, 0.8, 0.7], "minirocket": [0.8, 0.8, 0.6], "tsf": 0.5}
    )
    given = (by_set, suite.holm(by_set), tmp_path / "figures" / "ranks.svg")
    with monkeypatch.context() as patch:
        patch.setattr(figures, "find_spec", lambda name: None)
        assert not figures.draw_ranks(*given)
    assert "No figure without matplotlib" in capsys.readouterr().err
    pytest.importorskip("scikit_posthocs")
    assert figures.draw_ranks(*given)
    text = given[-1].read_text()
    assert "closed-form" in text and "minirocket" in text


# -- Choices -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("n_codes", "32"),
        ("codes_per_head", "32"),
        ("bins", "8"),
        ("kept_share", "1/5"),
        ("kinds", "no matches"),
        ("kinds", "histograms"),
    ],
)
def test_choices_take_effect(option, value, basic_motions):
    defaults = internals.defaults()
    X, y = basic_motions.X_train[::4, :1], basic_motions.y_train[::4]
    parameters = {} if internals.constants(option, value) else {option: int(value)}
    with internals.changed(option, value):
        changed = estimators.closed_form(0, **parameters)[0].fit(X, y)
        internals.check_choice(changed, {**defaults, option: value})
        with pytest.raises(RuntimeError, match="Expected"):
            internals.check_choice(changed, defaults)
    assert internals.defaults() == defaults
    internals.check_choice(estimators.closed_form(0)[0].fit(X, y), defaults)


def test_all_choices_but_the_defaults_are_tried():
    now = internals.defaults()
    keys = list(choices.tasks(options("choices")))
    assert len(keys) == 1 + sum(map(len, internals.OPTIONS.values())) - len(now)
    key = next(key for key in keys if key["value"] == "histograms")
    row = choices.evaluate(key, options("choices"))
    assert row["accuracy"] > 0.8


# -- Ablation ------------------------------------------------------------------------


def test_tasks_draw_cases_of_all_classes():
    y = np.repeat(["a", "b", "c"], [300, 400, 4])
    assert np.array_equal(ablation.draw_cases(y, "full", 0), np.arange(704))
    few = ablation.draw_cases(y, "few", 0)
    assert np.unique(y[few], return_counts=True)[1].tolist() == [10, 10, 4]
    orders = set()
    for seed in range(6):
        cases = ablation.draw_cases(y, "long tail", seed)
        assert len(set(cases)) == len(cases)
        counts = np.unique(y[cases], return_counts=True)[1].tolist()
        orders.add(tuple(counts))
        # Numbers of cases are 400, 40 and 4 in some order, if there are enough cases.
        for count, there in zip(counts, (300, 400, 4), strict=True):
            assert count in {4, 40, there}
    assert len(orders) > 1


def test_ablation_leaves_out_what_is_not_named():
    sets = EXPERIMENTS["ablation"].sets
    tasks = [
        tuple(key.values())
        for key in ablation.tasks(options("ablation", sets=sets, seeds=(0, 1)))
    ]
    assert len(tasks) == len(set(tasks))
    assert ("MotionSense", "full", "+ fused", 0) in tasks
    assert ("RacketSports", "few", "default", 0) not in tasks
    assert ("NATOPS", "few", "+ fused", 0) not in tasks
    assert ("NATOPS", "few", "captions", 1) in tasks
    only = {"variant": ["+ fused"]}
    named = ablation.tasks(options("ablation", sets=sets, only=only))
    assert sum(key["variant"] == "+ fused" for key in named) == 5 * 3


def test_variants_do_what_they_are_named_for():
    known = set(ablation.VARIANTS)
    assert {*ablation.SCARCE, *ablation.CONTROLS, *ablation.FIT_TEXTS} <= known
    assert {name for pair in ablation.PAIRS for name in pair} <= known
    model = ablation.build("- class", 0, ["a", "b"], {})
    assert model.loss_weights == {"class": 0}
    model = SimpleNamespace(
        **model.get_params(),
        training_stage_="trained with text",
        history_=[{"train_class": 1.0}],
    )
    with pytest.raises(RuntimeError, match="the loss 'class' does not follow 0"):
        ablation.check_variant("- class", model)
    model.loss_weights = {"codebook": 0.01}
    with pytest.raises(RuntimeError, match="the loss 'codebook' does not follow"):
        ablation.check_variant("+ codebook", model)
    model.training_stage_ = "trained"
    with pytest.raises(RuntimeError, match="'trained with text', but is 'trained'"):
        ablation.check_variant("- class", model)


def test_ablation_of_a_small_set(tmp_path, monkeypatch):
    fast = {"max_epochs": 1, "text_encoder": "hashing"}
    monkeypatch.setitem(ablation.VARIANTS, ablation.BASE, fast)
    monkeypatch.setattr(ablation, "warm_up", lambda *_: None)
    variants = ("--only", "variant", "default", "closed form", "--only", "task", "full")
    more = ("--sets", *SET, "--set", "most_cases=20", *variants)
    frame, page = run("ablation", tmp_path, *more)
    frame = frame.set_index("variant")
    assert (frame["cases"] == 20).all()
    assert (frame["explained"] > 0.8).all()
    scored = ["similarity", "affinity", "text_perplexity"]
    assert frame.loc["default", scored].between(0, 1).all()
    assert frame.loc["closed form", scored].isna().all()
    assert (frame["ridge_accuracy"] > 0.8).all()
    assert "nan" not in page
    facts = json.loads((tmp_path / "ablation.environment.json").read_text())
    assert facts["most_cases"] == 20


# -- Unseen classes and other recordings ---------------------------------------------


def test_class_splits_are_different_and_repeatable():
    labels = [f"class {i}" for i in range(27)]
    splits = zero_shot.class_splits(labels, "UTD-MHAD-inertial")
    assert splits == zero_shot.class_splits(labels, "UTD-MHAD-inertial")
    assert len({tuple(split) for split in splits}) == 20
    assert {len(split) for split in splits} == {5}
    # There are 15 pairs of six classes, which are all used.
    assert len(zero_shot.class_splits(labels[:6], "UCI-HAR")) == 15


@pytest.mark.parametrize("method", ["ours", "to series, statistics"])
def test_methods_find_an_unseen_class(method, tmp_path):
    more = ("--sets", *SET, "--only", "method", method)
    frame, page = run("zero_shot", tmp_path, *more)
    assert sorted(frame["unseen"]) == ["badminton", "running", "standing", "walking"]
    assert (frame["unseen_only"] == 1).all()  # there is one unseen class
    assert frame["seen"].mean() > 0.5
    assert frame["unseen_of_all"].max() > 0.5
    assert cells(page, "chance")[1] == "1.000"


@pytest.mark.parametrize("kind", ["eszsl", "to text", "to series"])
def test_baselines_use_texts(kind, monkeypatch):
    """Classes and texts are points on a line."""
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


@pytest.fixture
def two_sensor_sets(tmp_path):
    """Save small sets with the channels and classes of MotionSense and UCI-HAR."""
    axes = [f"{sensor}.{axis}" for sensor in shift.SENSORS for axis in "xyz"]
    other = ["body_acc", "body_gyro", "total_acc"]
    names = {
        "MotionSense": axes,
        "UCI-HAR": [f"{sensor}_{axis}" for sensor in other for axis in "xyz"],
    }
    rng = np.random.default_rng(0)
    for name, channels in names.items():
        labels = [*shift.CLASSES, "jogging" if name == "MotionSense" else "laying"]
        y = np.repeat(labels, 4)
        X = rng.normal(np.repeat(np.arange(6), 4)[:, None, None], 1, (24, 9, 24))
        parts = {"X_train": X, "y_train": y, "X_test": X, "y_test": y}
        np.savez(tmp_path / f"{name}.npz", channel_names=channels, **parts)
    return tmp_path


@pytest.mark.parametrize("method", ["ours", "statistics, augmented"])
def test_shift_between_sets_and_by_damage(method, two_sensor_sets, monkeypatch):
    monkeypatch.setattr(shift, "_WHERE_DAMAGED", np.full(6, 3))
    tasks = ("clean", "gap of 30 %", "MotionSense to UCI-HAR")
    more = ("--data", str(two_sensor_sets), "--seeds", "0")
    only = ("--only", "method", method, "--only", "task", *tasks)
    frame, page = run("shift", two_sensor_sets, *more, *only)
    assert set(frame["task"]) == set(tasks if method == "ours" else tasks[:2])
    assert frame["accuracy"].between(0.3, 1).all()
    assert "nan" not in page


def test_drift_of_a_small_set(tmp_path, monkeypatch):
    monkeypatch.setattr(drift, "_DRAWS", 2)
    monkeypatch.setattr(drift, "_CLEAN_DRAWS", 3)
    X = np.random.default_rng(0).normal(size=(96, 6, 50))
    X[:, 2] += 1  # gravity, in g
    y, subjects = np.tile(["walking", "running"], 48), np.repeat(range(4), 24)
    parts = {"X_train": X, "y_train": y, "X_test": X, "y_test": y}
    subjects = {"subject_train": subjects, "subject_test": subjects + 4}
    np.savez(tmp_path / "Set.npz", channel_names=shift.CHANNELS, **parts, **subjects)
    more = ("--data", str(tmp_path), "--sets", "Set")
    only = ("--only", "fault", "none", "g and m/s^2")
    frame, page = run("drift", tmp_path, *more, *only)
    assert frame["draws"].tolist() == [3] * 5 + [2] * 5
    noticed = frame.groupby("fault")["noticed"].mean()
    assert noticed["g and m/s^2"] > noticed["none"] == 0
    assert cells(page, "none")[1:] == ["0.000", "0.000 (0.000)", "0.000 (0.000)"]


def test_gaps_are_in_test_parts_and_in_training(tmp_path, monkeypatch):
    monkeypatch.setattr(gaps, "_MOST_CASES", 20)
    more = ("--sets", *SET, "--seeds", "0", "--only", "method", "ours")
    frame, page = run("gaps", tmp_path, *more)
    assert (frame["training"] == "clean").sum() == len(gaps.GAPS)
    assert len(frame) == 2 * len(gaps.GAPS) - 1
    assert (frame["accuracy"] > 0.5).all()
    assert page.count(" / ") == 3


def test_groups_reach_fit_where_a_row_says_so(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    y, people = np.tile(["a", "b"], 15), np.repeat(np.arange(10), 3)
    X = rng.normal(size=(30, 1, 20)) + 3 * (y == "a")[:, None, None]
    train = {"X_train": X, "y_train": y, "subject_train": people}
    test = {"X_test": X, "y_test": y, "subject_test": people + 10}
    np.savez(tmp_path / "Set.npz", **train, **test)
    seen, fit = [], VQTextClassifier.fit

    def spy(self, X, y, *, groups=None):
        seen.append(groups)
        return fit(self, X, y, groups=groups)

    monkeypatch.setattr(VQTextClassifier, "fit", spy)
    for asked in ("with groups", "without groups"):
        key = {"set": "Set", "people": "six", "order": "shuffled", "fit": asked}
        key["seed"] = 0
        row = groups.evaluate(key, options("groups", data=str(tmp_path)))
        assert set(row) == set(groups.EXPERIMENT.values)
        assert row["accuracy"] > 0.9
        assert len(seen) == 5
        for own in seen:
            assert (own is not None) == (asked == "with groups")
        seen.clear()


def test_regression_is_measured_on_cases_that_no_method_has_seen():
    X, y, n_train = regression.load("simulated rhythm", None)
    assert len(X) == len(y) == 2 * n_train
    for method in ("tokens, RidgeCV", "mean of training"):
        key = {"set": "simulated rhythm", "method": method, "split": 1, "seed": 0}
        row = regression.evaluate(key, options("regression"))
        assert (row["r2"] > 0.5) == (method != "mean of training")
    assert row["r2"] <= 0
    y_test = regression.load("Covid3Month", None)[1][140:]
    assert len(y_test) == 61


def test_pretraining_reads_no_test_part_of_its_source(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(16, 1, 20)), np.repeat(["walking", "running"], 8)
    parts = {"X_train": X, "y_train": y, "X_test": X + 100, "y_test": y}
    np.savez(tmp_path / "UCI-HAR.npz", **parts)
    seen = []
    monkeypatch.setattr("sktext_vq.pretrain", lambda panels, **_: seen.extend(panels))
    pretrain.source.__wrapped__("without labels", str(tmp_path))
    np.testing.assert_array_equal(np.concatenate(seen), X)


# -- Other experiments on a small data set -------------------------------------------


def test_pretraining_search_and_explanations_of_a_small_set(tmp_path):
    key = {"set": "BasicMotions", "method": "closed form", "seed": 0}
    assert pretrain.evaluate(key, options("pretrain"))["labels"] == 40
    only = ("--only", "class", "walking")
    frame, _ = run("search", tmp_path, "--sets", *SET, *only)
    assert frame["recorded"].tolist() == [True, False]
    assert frame["average_precision"][0] > 0.9 > frame["average_precision"][1]
    assert (frame["least"] <= frame["average_precision"]).all()


def test_explanations_of_a_small_set(tmp_path):
    frame, page = run("faithfulness", tmp_path, "--sets", *SET, "--seeds", "0")
    assert frame["deleted"].tolist() == list(faithfulness.DELETED)
    assert frame["probability"].between(0.5, 1).all()
    assert page.count("| BasicMotions |") == 3


def short(*args, **parameters):
    parameters |= {"max_epochs": 2, "text_encoder": "hashing"}
    return VQTextClassifier(*args, **parameters)


def test_names_and_crossmodal_of_a_small_set(monkeypatch):
    """Digits are not learned in two epochs, so only result names are checked."""
    monkeypatch.setattr("sktext_vq.VQTextClassifier", short)
    keys = list(grid(set=SET, kind=naming.KINDS, seed=[0]))
    rows = list(naming.evaluate(keys, options("naming")))
    assert [row["kind"] for row in rows] == list(naming.KINDS)
    assert all(row["codes"] == rows[0]["codes"] >= row["named"] for row in rows)
    key = {"set": "BasicMotions", "variant": "digits", "seed": 0}
    row = crossmodal.evaluate(key, options("crossmodal"))
    assert set(row) == set(EXPERIMENTS["crossmodal"].values)
    assert row["epochs"] == 2
    assert row["series_to_caption"] > 0.5  # ten of forty are expected at random


def test_closed_form_and_training_are_compared(monkeypatch):
    nan = pytest.approx(np.nan, nan_ok=True)
    rows = {
        variant: training.evaluate(
            {"set": "BasicMotions", "variant": variant, "seed": 0}, options("training")
        )
        for variant in training.VARIANTS
    }
    assert all(set(row) == set(EXPERIMENTS["training"].values) for row in rows.values())
    # With few cases, the closed form is kept.
    assert [row["head_epoch"] for row in rows.values()] == [nan, nan, 0, 0, 0]
    closed, control, trained, *_ = rows.values()
    assert trained | {"head_epoch": nan, "text_epoch": nan, "fit_seconds": 0} == (
        closed | {"fit_seconds": 0}
    )
    assert closed["similarity"] > 0.9 > control["similarity"]
    assert closed["accuracy"] == control["accuracy"]
    assert closed["search"] > 0.9 and closed["series_to_caption"] > 0.5


def test_files_of_models_are_measured(tmp_path, monkeypatch):
    tiny = {"tiny": {"n_codes": 16, "max_features": 50}}
    monkeypatch.setattr(export, "SETTINGS", tiny)
    monkeypatch.setattr(export, "_REPEATS", 2)
    frame, _ = run("export", tmp_path, "--sets", *SET)
    (row,) = frame.to_dict("records")
    assert row["features"] == 50 and 5_000 < row["bytes"] < 100_000
    assert row["onnx_ms"] > 0 and row["python_ms"] > 0
    assert row["onnx_accuracy"] == row["accuracy"] > 0.8


def test_backends_take_turns_at_the_same_tasks(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "N_CODES", (8,))
    monkeypatch.setattr(cluster, "N_FOLDS", 2)
    more = ("--set", "windows=50", "--only", "backend", cluster.ALONE)
    frame, _ = run("cluster", tmp_path, *more)
    assert frame["task"].tolist() == list(cluster.TASKS)
    assert frame["cases"].tolist() == [80, 50]
    assert frame["equal"].all()


# -- Cost ----------------------------------------------------------------------------


def test_cost_of_a_small_set(tmp_path, monkeypatch):
    monkeypatch.setattr(cost.os, "cpu_count", lambda: 1)
    monkeypatch.setattr(cost, "SIZES", ("8x2x30",))
    monkeypatch.setattr(cost, "in_new_process", lambda call, *args: call(*args))
    more = ("--sets", *SET, "--only", "estimator", "classifier-closed")
    frame, page = run("cost", tmp_path, *more, "--set", "repeats=2")
    assert frame["repeat"].tolist() == [0, 1, 0, 1]
    assert frame["set"].tolist() == [*SET, *SET, "8x2x30", "8x2x30"]
    assert (frame[["fit_seconds", "predict_seconds"]] > 0).all(axis=None)
    assert "## Memory" not in page
    frame, page = run("memory", tmp_path, *more)
    assert frame["imports_mib"][0] <= frame["fit_mib"][0] <= frame["predict_mib"][0]
    assert "## Seconds" in page and "## Memory" in page


@pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="the peak cannot be reset"
)
def test_peak_of_memory_grows_with_what_is_used():
    before = memory.reset_peak()
    used = np.ones(2**24)  # 128 MiB
    assert memory.peak_mib() >= before + used.nbytes / 2**21


# -- Segments ------------------------------------------------------------------------


def labelled(*parts):
    return np.concatenate([np.repeat(label, length) for label, length in parts])


def test_segments_are_right_if_they_share_more_than_half():
    truth = labelled(("a", 10), ("b", 10), ("a", 10))
    assert segment.count_right(truth, truth) == (3, 3, 3)
    late = labelled(("a", 16), ("b", 4), ("a", 10))
    assert segment.count_right(late, truth) == (2, 3, 3)
    split = labelled(("a", 10), ("b", 5), ("c", 1), ("b", 4), ("a", 10))
    assert segment.count_right(split, truth) == (2, 5, 3)


def test_segment_labels_recordings_of_other_people(tmp_path):
    rng = np.random.default_rng(0)
    y, subject = np.tile(np.repeat(["low", "high"], 6), 8), np.repeat(np.arange(8), 12)
    level = np.where(y == "low", -1.0, 1.0)[:, None, None]
    X = level + rng.normal(0, 0.2, (96, 1, 24))
    train, test = subject < 6, subject >= 6
    parts = {
        f"{name}_{part}": values[cases]
        for part, cases in (("train", train), ("test", test))
        for name, values in (("X", X), ("y", y), ("subject", subject))
    }
    facts = {"channel_names": np.array(["level"]), "sampling_rate_hz": 10.0}
    np.savez(tmp_path / "Set.npz", **parts, **facts)
    keys = list(segment.tasks(options("segment", sets=("Set",))))
    for people in ("training", "test"):
        own = [key for key in keys if key["people"] == people]
        rows = list(segment.evaluate(own, options("segment", data=str(tmp_path))))
        assert len(rows) == len(own)
        whole = [row for row in rows if row["smoothing"] in (0.9, 0.99)]
        assert all(row["accuracy"] > 0.9 for row in whole)
        assert all(row["segments"] == row["true_segments"] for row in whole)
