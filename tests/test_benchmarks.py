"""What the numbers in benchmarks/results rest on."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator

# The scripts are no package and import each other.
sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import ablation
import choices
import cluster
import cost
import crossmodal
import documents
import estimators
import export
import figures
import protocol
import report
import shift
import suite
import variants
import zero_shot


def save(folder, name, **changes):
    """Save a data set whose training values are 0 and whose test values are 1."""
    y = np.repeat(["a", "b"], 8)
    arrays = {
        "X_train": np.zeros((16, 1, 20), np.float32),
        "y_train": y,
        "X_test": np.ones((16, 1, 20), np.float32),
        "y_test": y,
        **changes,
    }
    np.savez(folder / f"{name}.npz", **arrays)
    return str(folder)


def test_choices_see_nothing_of_the_test_part(tmp_path):
    part = protocol.training_part("Set", save(tmp_path, "Set"))
    assert len(part.y) == 16
    assert not part.X.any()
    assert not [field for field in vars(part) if "test" in field]


def test_sets_are_loaded_where_there_is_no_torch(tmp_path):
    data = save(tmp_path, "Set")
    code = (
        "import sys; sys.modules['torch'] = None; import protocol; "
        f"print(len(protocol.load_split('Set', {data!r}).y_test))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    assert (found.stdout, found.returncode) == ("16\n", 0), found.stderr


def test_nobody_may_be_in_both_parts(tmp_path):
    subjects = np.arange(16)
    data = save(tmp_path, "Set", subject_train=subjects, subject_test=subjects + 15)
    with pytest.raises(ValueError, match=r"subjects \[15\] in both parts"):
        protocol.load_split("Set", data)
    data = save(tmp_path, "Set", subject_train=subjects, subject_test=subjects + 16)
    assert len(protocol.load_split("Set", data).y_test) == 16


def test_folds_never_mix_subjects():
    y = np.tile(["a", "b"], 20)
    subjects = np.repeat(np.arange(5), 8)
    scored = []
    for fit_cases, score_cases in protocol.folds(y, subjects, seed=0):
        assert not set(subjects[fit_cases]) & set(subjects[score_cases])
        assert len(fit_cases) + len(score_cases) == len(y)
        scored.extend(score_cases)
    assert sorted(scored) == list(range(40))


def test_folds_without_subjects_are_stratified_and_follow_the_seed():
    y = np.repeat(["a", "b"], [8, 32])
    splits = [list(protocol.folds(y, None, seed)) for seed in (0, 0, 1)]
    for _, score_cases in splits[0]:
        assert np.sum(y[score_cases] == "a") == 2
    first, again, other = [np.concatenate([s for _, s in split]) for split in splits]
    assert sorted(first) == list(range(40))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.fixture
def some_environment(monkeypatch):
    now = {"versions": "1"}
    monkeypatch.setattr(protocol, "environment", lambda: now)
    return now


def test_results_are_resumed(tmp_path, some_environment):
    path = tmp_path / "new" / "results.csv"
    results = protocol.Results(path, ("set", "seed"), ("accuracy",))
    results.add({"set": "A", "seed": 0, "accuracy": 0.5})
    again = protocol.Results(path, ("set", "seed"), ("accuracy",))
    assert ("A", 0) in again
    assert ("A", 1) not in again
    again.add({"set": "A", "seed": 1, "accuracy": 1 / 3})
    assert path.read_text() == "set,seed,accuracy\nA,0,0.5\nA,1,0.333333\n"
    with pytest.raises(ValueError, match="The row has"):
        again.add({"set": "B", "seed": 0})


def test_results_do_not_mix_environments_or_columns(tmp_path, some_environment):
    path = tmp_path / "results.csv"
    protocol.Results(path, ("set",), ("accuracy",), {"defaults": 1})
    with pytest.raises(SystemExit, match="other defaults"):
        protocol.Results(path, ("set",), ("accuracy",), {"defaults": 2})
    with pytest.raises(SystemExit, match="other columns"):
        protocol.Results(path, ("set",), ("seconds",), {"defaults": 1})
    with path.open("a") as file:
        file.write("A")  # as if it had been stopped here
    with pytest.raises(SystemExit, match="a row that broke off"):
        protocol.Results(path, ("set",), ("accuracy",), {"defaults": 1})
    some_environment["versions"] = "2"
    with pytest.raises(SystemExit, match="other versions"):
        protocol.Results(path, ("set",), ("accuracy",), {"defaults": 1})


def test_scores():
    y = np.array(["a", "a", "a", "b"])
    found = protocol.scores(y, np.array(["a", "a", "a", "a"]))
    assert found["accuracy"] == 0.75
    assert found["balanced_accuracy"] == 0.5
    assert found["macro_f1"] == pytest.approx(0.75 / 1.75)
    assert found["log_loss"] == found["calibration_error"] == ""
    probabilities = np.tile([0.75, 0.25], (4, 1))
    found = protocol.scores(y, y, probabilities, np.array(["a", "b"]))
    assert found["log_loss"] == pytest.approx(-np.log([0.75, 0.75, 0.75, 0.25]).mean())
    assert found["calibration_error"] == 0  # three quarters are right


def test_calibration_error_is_of_bins():
    # Bins end at 0.6 and 0.6667: two cases at 0.6, one wrong, and two at 0.65, right.
    # A case at 1 is in the last bin, and wrong.
    first = np.array([0.6, 0.6, 0.65, 0.65, 1.0])
    probabilities = np.stack([first, 1 - first], axis=1)
    y = np.array(["a", "b", "a", "a", "b"])
    found = protocol.calibration_error(y, probabilities, np.array(["a", "b"]))
    expected = (2 * abs(0.5 - 0.6) + 2 * abs(1 - 0.65) + abs(0 - 1)) / 5
    assert found == pytest.approx(expected)


def test_split_0_is_the_official_one():
    train, test = protocol.resample(np.repeat(["a", "b"], 5), 6, None, 0)
    assert train.tolist() == [0, 1, 2, 3, 4, 5]
    assert test.tolist() == [6, 7, 8, 9]


def test_resamples_are_stratified_parts_of_the_same_sizes():
    # In the official parts, all of one class are for tests.
    y = np.repeat(["a", "b", "c"], [20, 20, 40])
    splits = [protocol.resample(y, 40, None, number) for number in (1, 1, 2)]
    for train, test in splits:
        assert np.unique(y[train], return_counts=True)[1].tolist() == [10, 10, 20]
        assert sorted([*train, *test]) == list(range(80))
        assert (np.diff(train) > 0).all()  # or sktime gives series other labels
        assert (np.diff(test) > 0).all()
    first, again, other = [train.tolist() for train, _ in splits]
    assert first == again != other


def test_resamples_have_as_many_other_subjects():
    subjects = np.repeat(np.arange(10), 8)
    y = np.tile(["a", "b"], 40)
    drawn = set()
    for number in (1, 2, 3):
        train, test = protocol.resample(y, 56, subjects, number)
        assert not set(subjects[train]) & set(subjects[test])
        assert len(set(subjects[test])) == 3
        assert len(train) + len(test) == 80
        assert (np.diff(test) > 0).all()
        drawn.add(frozenset(subjects[test].tolist()))
    assert len(drawn) > 1


def test_series_of_unequal_length_are_stretched():
    series = [np.array([[0.0, 2.0]]), np.array([[0.0, 1.0, 4.0]])]
    found = estimators.EqualLength().fit_transform(series)
    assert np.array_equal(found, [[[0, 1, 2]], [[0, 1, 4]]])
    # A longer one at test does not change the length that was fitted.
    longer = estimators.EqualLength().fit(series).transform([np.ones((1, 9))])
    assert longer.shape == (1, 1, 3)
    array = np.zeros((2, 1, 5))
    assert estimators.EqualLength().fit_transform(array) is array


def test_models_that_fell_back_are_refused():
    class Model:
        level_ = "trained"

    with pytest.raises(RuntimeError, match="'trained with text', but is 'trained'"):
        estimators.check_level("classifier", Model())
    estimators.check_level("trained", Model())
    assert set(estimators.OURS) == set(estimators._LEVELS)


def test_warm_up_has_all_classes():
    y = np.repeat(["a", "b"], 30)
    assert estimators.few_of_each(y, 2).tolist() == [0, 1, 30, 31]


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
    defaults = choices.defaults()
    X, y = basic_motions.X_train[::4, :1], basic_motions.y_train[::4]
    parameters = {} if choices.constants(option, value) else {option: int(value)}
    with choices.patched(option, value):
        changed = estimators.closed_form(0, **parameters)[0].fit(X, y)
        choices.check_choice(changed, {**defaults, option: value})
        with pytest.raises(RuntimeError, match="Asked for"):
            choices.check_choice(changed, defaults)
    assert choices.defaults() == defaults
    choices.check_choice(estimators.closed_form(0)[0].fit(X, y), defaults)


def test_a_constant_that_was_renamed_is_missed(monkeypatch):
    monkeypatch.setattr(choices, "constants", lambda *_: {"NO_SUCH_CONSTANT": 1})
    with (
        pytest.raises(AttributeError, match="NO_SUCH_CONSTANT"),
        choices.patched("bins", "8"),
    ):
        pass


def test_tiles_have_any_size():
    X, y = cost.tiles(50, 8, 150)
    assert X.shape == (50, 8, 150)
    assert len(y) == 50
    # The same case twice, and the same channel twice, are not the same numbers.
    assert not np.allclose(X[0], X[40])
    assert not np.allclose(X[:, 0], X[:, 6])


def test_peak_of_memory_grows_with_what_is_used():
    before = cost.peak_mib()
    used = np.ones(2**24)  # 128 MiB
    assert cost.peak_mib() >= before
    assert cost.peak_mib() >= used.nbytes / 2**20


def test_jittered_cases_keep_their_labels():
    X = np.zeros((40, 2, 50), np.float32)
    X[:, 0] = 100 * np.arange(40)[:, None]
    many, y = cost.jittered(X, np.arange(40).astype(str), 2050)
    assert many.shape == (2050, 2, 50)
    assert many.dtype == np.float32
    assert sorted(np.bincount(y.astype(int))) == [51] * 30 + [52] * 10
    noise = many[:, 0] - 100 * y.astype(int)[:, None]
    for part in (noise[:1000], noise[1000:]):  # is made in parts
        assert part.std() == pytest.approx(0.05 * X[:, 0].std(), rel=0.02)
    assert not many[:, 1].any()  # a channel that does not vary has none
    few, y = cost.jittered(X, np.arange(40).astype(str), 10)
    assert len(few) == len(np.unique(y)) == 10


def test_an_encoder_has_the_size_of_vqshape():
    count, n_weights = cost.encoder_of_vqshapes_size(256)
    # Its encoder, what finds tokens, and outputs for attributes, as published.
    assert n_weights == pytest.approx(3.18e6 + 4.23e6 + 0.27e6, rel=1e-3)
    X, _ = cost.tiles(20, 1, 512)  # of two batches
    counts = count(X)
    assert counts.shape == (20, 512)
    assert (counts.sum(axis=1) == 64).all()
    assert np.array_equal(count(X), counts)  # nothing is dropped at random


def test_operations_are_of_all_windows():
    from sktext_vq.nn.windows import cut_windows, dilations

    spacings = dilations(100)
    series = torch.zeros(6 * 2, 100)  # channels, and their changes
    windows = sum(cut_windows(series, d).offset.numel() for d in spacings)
    found = [cost.operations(6, 100, spacings, n_codes) for n_codes in (64, 65)]
    assert found[1] - found[0] == 17 * windows
    of_timepoints = found[0] - windows * (64 * 17 + 43)
    assert of_timepoints == 2 * 100 * (6 * 2 * (len(spacings) - 1) + 6)
    # One window, of timepoints: nothing but a difference and a division beside it.
    assert cost.operations(1, 8, [1], 2) == 2 * (2 * 17 + 43) + 8 * 2


def test_speed_of_a_product_is_that_of_the_fastest(monkeypatch):
    clock = iter([0, 4, 10, 12, 20, 21, 30, 38])
    monkeypatch.setattr(cost.time, "perf_counter", lambda: next(clock))
    assert cost.product_per_second(16, repeats=2) == 2 * 16**3 / 1


@pytest.fixture
def run_cost(monkeypatch, tmp_path):
    """Run the command on one thread and in this process, and return a file's rows."""
    monkeypatch.setattr(cost.os, "cpu_count", lambda: 1)
    monkeypatch.setattr(cost, "in_new_process", lambda call, *args: call(*args))

    def run(part, *options):
        command = ["cost", f"--{part}", "--results", str(tmp_path), *options]
        monkeypatch.setattr(sys, "argv", command)
        cost.main()
        return pd.read_csv(tmp_path / f"{part}.csv")

    return run


def test_series_are_tokenised_beside_an_encoder(run_cost, monkeypatch, tmp_path):
    tiles = cost.tiles
    monkeypatch.setattr(cost, "tiles", lambda _, *size: tiles(10, *size))
    monkeypatch.setattr(cost, "VQSHAPE_WIDTHS", (8,))
    first = run_cost("tokenise", "--repeats", "1")
    encoder = "encoder of VQShape's size, 0.0 million weights"
    assert first["task"].tolist() == [*cost.TASKS, *cost.TASKS, encoder]
    assert first["n_codes"].tolist() == [64] * 3 + [512] * 4
    assert (first["ms_per_series"] > 0).all()
    assert f"| {encoder} | 512 |" in (tmp_path / "cost.md").read_text()
    second = run_cost("tokenise", "--repeats", "2")  # is resumed
    assert second[: len(first)].equals(first)
    assert (second["repeat"][len(first) :] == 1).all()
    assert len(second) == 2 * len(first)


def test_transform_is_held_against_a_product(run_cost, monkeypatch, tmp_path):
    monkeypatch.setattr(cost, "product_per_second", lambda: 1e9)
    frame = run_cost("limit", "--set", "BasicMotions", "--repeats", "1")
    row = frame.iloc[0]
    per_case = cost.operations(6, 100, [1, 2, 4, 8, 12], 64)
    assert row["operations"] == 40 * per_case
    assert row["transform_seconds"] > 0
    assert frame[["threads", "cases"]].to_numpy().tolist() == [[1, 40]]
    monkeypatch.setattr(cost, "load_split", None)
    assert run_cost("limit", "--set", "BasicMotions", "--repeats", "1").equals(frame)
    # The command that makes tables finds it without any other file.
    (tmp_path / "cost.md").unlink()
    monkeypatch.setattr(sys, "argv", ["report", "--results", str(tmp_path)])
    report.main()
    expected = f"| BasicMotions, 1 thread | 40 | {40 * per_case / 1e9:.1f} | 1 |"
    assert expected in (tmp_path / "cost.md").read_text()


def test_many_windows_are_measured_step_by_step(
    run_cost, monkeypatch, tmp_path, basic_motions
):
    options = ["--large-set", "BasicMotions", "--large-cases", "300"]
    frame = run_cost("large", *options)
    assert frame["step"].tolist() == list(cost.STEPS)
    sizes = frame[["cases", "channels", "timepoints", "threads"]]
    assert (sizes == [300, 6, 100, 1]).all(axis=None)
    assert (frame["seconds"] > 0).all()
    assert (frame["peak_mib"] >= frame["start_mib"]).all()
    fit, transform, predict = frame["output_mib"]
    assert fit == 0
    few = estimators.few_of_each(basic_motions.y_train)
    transformer = estimators.closed_form(0)[0]
    transformer.fit(basic_motions.X_train[few], basic_motions.y_train[few])
    n_features = transformer.transform(basic_motions.X_test[:1]).shape[1]
    assert transform * 2**20 == pytest.approx(300 * 4 * n_features, rel=1e-5)
    assert predict * 2**20 == pytest.approx(300 * 8 * 4, rel=1e-5)  # four classes
    assert (
        "| BasicMotions, transformer.fit | 300 x 6 x 100 | 1 |"
        in (tmp_path / "cost.md").read_text()
    )
    monkeypatch.setattr(cost, "in_new_process", None)
    assert run_cost("large", *options).equals(frame)


def test_paired_differences():
    values = pd.Series({"A": 0.9, "B": 0.8, "C": 0.7, "D": 0.5})
    base = pd.Series({"A": 0.8, "B": 0.8, "C": 0.8, "E": 0.5})
    found = report.paired(values, base)
    assert found["sets"] == 3
    assert found["mean"] == pytest.approx(0)
    assert found["error"] == pytest.approx(0.1 / np.sqrt(3))
    assert (found["wins"], found["ties"], found["losses"]) == (1, 1, 1)


class Recorder(BaseEstimator):
    """Tells classes by whether the mean is above 0, and keeps what it was given."""

    given: ClassVar[list] = []

    def fit(self, X, y):
        if len(np.unique(y)) > 2:
            raise ValueError("Too many classes.")
        self.given.append((X, y))
        return self

    def predict(self, X):
        self.given.append((X, None))
        return np.array(["b" if np.mean(series) > 0 else "a" for series in X])

    def predict_proba(self, X):
        return np.where(self.predict(X)[:, None] == ["a", "b"], 0.9, 0.1)


@pytest.fixture
def recorded(monkeypatch):
    monkeypatch.setattr(Recorder, "given", [])
    for name in ("tsf", "dtw"):
        monkeypatch.setitem(estimators.ESTIMATORS, name, lambda *_: Recorder())
    return Recorder.given


def series_with_labels(n_classes=2):
    """Make float32 series that grow in length, with a class in each mean."""
    y = np.array(["a", "b", "c"][:n_classes] * 12)
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(2, 9 + i)).astype(np.float32) for i in range(len(y))]
    return [
        x - x.mean() + (1 if k == "b" else -1) for x, k in zip(X, y, strict=True)
    ], y


@pytest.mark.parametrize("is_ragged", [False, True])
def test_sktime_hands_over_the_series_of_the_split(recorded, is_ragged):
    X, y = series_with_labels()
    if not is_ragged:
        X = np.stack([series[:, :9] for series in X])
    cases = protocol.resample(y, 10, None, 1)
    model = suite.Measured("tsf", is_ragged=is_ragged)
    row = suite.evaluate(model, X, y, suite.Split(*cases))
    for (given, labels), part in zip(recorded, cases, strict=False):
        assert len(given) == len(part)
        for series, case in zip(given, part, strict=True):
            assert series.dtype == np.float32
            assert np.array_equal(series, X[case])
        if labels is not None:
            assert labels.tolist() == y[part].tolist()
    assert set(row) == {*suite.VALUES} - {"status", "threads"}
    predicted = Recorder().predict([X[case] for case in cases[1]])
    assert row["accuracy"] == np.mean(predicted == y[cases[1]])
    wrong = 1 - row["accuracy"]
    expected = -(1 - wrong) * np.log(0.9) - wrong * np.log(0.1)
    assert row["log_loss"] == pytest.approx(expected)
    assert row["calibration_error"] == pytest.approx(abs(row["accuracy"] - 0.9))


def test_probabilities_of_0_and_1_are_no_probabilities(recorded):
    X, y = series_with_labels()
    split = suite.Split(np.arange(12), np.arange(12, 24))
    row = suite.evaluate(suite.Measured("dtw", is_ragged=True), X, y, split)
    assert row["log_loss"] == row["calibration_error"] == ""


def test_what_sktime_swallows_is_raised_with_its_cause(recorded):
    X, y = series_with_labels(3)
    split = suite.Split(np.arange(12), np.arange(12, 24))
    with pytest.raises(RuntimeError, match="ValueError: Too many classes") as caught:
        suite.evaluate(suite.Measured("dtw", is_ragged=True), X, y, split)
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.fixture
def run_suite(monkeypatch, tmp_path):
    """Run the command on one thread, and return its rows."""
    for library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        monkeypatch.setenv(f"{library}_NUM_THREADS", "1")
    monkeypatch.setattr(suite.os, "cpu_count", lambda: 1)

    def run(*options):
        command = ["suite", "--processes", "1", "--results", str(tmp_path), *options]
        monkeypatch.setattr(sys, "argv", command)
        suite.main()
        return pd.read_csv(tmp_path / "suite.csv")

    return run


@pytest.mark.slow
def test_suite_is_resumed(run_suite, capsys):
    options = ["--sets", "GunPoint", "--estimators", "tsf", "--resamples", "1"]
    first = run_suite(*options, "--seeds", "0")
    assert (first["status"] == "done").all()
    assert first["accuracy"].between(0.9, 1).all()
    assert (first[["log_loss", "fit_seconds", "predict_seconds"]] > 0).all(axis=None)
    assert "2 of 2" in capsys.readouterr().err
    second = run_suite(*options, "--seeds", "0", "1")
    assert second[:2].equals(first)
    assert second[["split", "seed"]].to_numpy().tolist() == [
        [0, 0],
        [1, 0],
        [0, 1],
        [1, 1],
    ]
    assert "2 of 2" in capsys.readouterr().err


def test_a_failure_stops_the_suite(run_suite, tmp_path):
    endless = np.zeros((16, 1, 20), np.float32)
    endless[-1, 0, 7] = np.inf
    data = save(tmp_path, "Set", X_train=endless)
    options = ["--sets", "Set", "GunPoint", "--estimators", "closed-form"]
    with pytest.raises(SystemExit, match=r"closed-form on Set failed(.|\n)*infin"):
        run_suite(*options, "--data", data)
    assert len(pd.read_csv(tmp_path / "suite.csv")) == 0


def test_rows_that_take_too_long_are_kept_as_such(run_suite):
    options = ["--sets", "GunPoint", "--estimators", "tsf", "--seeds", "0", "1"]
    frame = run_suite(*options, "--most-minutes", "0")
    assert frame["status"].tolist() == [
        "over 0 minutes",
        "not run since another took over 0 minutes",
    ]
    assert frame["accuracy"].isna().all()
    assert run_suite(*options).equals(frame)  # not tried again


def test_what_is_not_there_is_missed_before_anything_runs(run_suite, tmp_path):
    with pytest.raises(SystemExit, match="no data sets NoSuch"):
        run_suite("--sets", "GunPoint", "NoSuch")
    if protocol.version_of("aeon") is None:
        with pytest.raises(SystemExit, match="hydra: aeon is missing"):
            run_suite("--sets", "GunPoint", "--estimators", "hydra")
    assert not list(tmp_path.iterdir())


def suite_rows():
    gains = {"minirocket": 0.0, "closed-form": 0.1, "tsf": -0.1}
    for name, base in (("GunPoint", 0.8), ("NATOPS", 0.6), ("UCI-HAR", 0.2)):
        for estimator, gain in gains.items():
            for seed in (0, 1):
                yield {
                    "set": name,
                    "estimator": estimator,
                    "split": 0,
                    "seed": seed,
                    "status": "done",
                    "accuracy": base + gain + 0.02 * seed,
                    "balanced_accuracy": 0.5,
                    "macro_f1": 0.25,
                    "log_loss": 1.5 if estimator == "tsf" else None,
                    "calibration_error": 0.125 if estimator == "tsf" else None,
                    "fit_seconds": 1.0,
                    "predict_seconds": 0.5,
                    "peak_mib": 9.0 if name == "NATOPS" else 7.0,
                }


def report_of(frame, folder, names=None, file="suite"):
    folder.mkdir(exist_ok=True)
    frame.to_csv(folder / f"{file}.csv", index=False)
    beside = folder / f"{file}.environment.json"
    beside.write_text('{"versions": {"numpy": "2", "aeon": null}, "cores": 4}')
    return report.suite_report(folder, names)


def test_suite_report(tmp_path):
    text = report_of(pd.DataFrame(suite_rows()), tmp_path)
    assert "Means of the 3 sets that all have: GunPoint, NATOPS, UCI-HAR." in text
    first = "| closed-form | 2 | 1.00 | 0.643 ± 0.014 | 0.100 ± 0.000 | 3 / 0 / 0 |"
    assert f"{first} 0.500 | 0.250 |  |  | 3.0 | 1.5 | 9 |" in text
    assert "| minirocket | 2 | 2.00 | 0.543 ± 0.014 |  |  |" in text
    last = "| tsf | 2 | 3.00 | 0.443 ± 0.014 | -0.100 ± 0.000 | 0 / 0 / 3 |"
    assert f"{last} 0.500 | 0.250 | 1.500 | 0.125 |" in text
    assert "| tsf | 0.750 | 0.750 |  |" in text  # 3 / 4, the least of three sets
    assert "| NATOPS | 0.710 ± 0.014 | 0.610 ± 0.014 | 0.510 ± 0.014 |" in text
    assert "- suite.csv: numpy 2, cores 4\n" in text
    assert "Resamples" not in text
    assert "Missing" not in text
    assert "nan" not in text


def test_what_the_suite_lacks_is_in_no_mean_and_named(tmp_path):
    frame = pd.DataFrame(suite_rows())
    of_tsf = frame["estimator"] == "tsf"
    late = of_tsf & (frame["set"] == "UCI-HAR")
    frame.loc[late, "status"] = "over 60 minutes"
    frame.loc[late, frame.columns[5:]] = None
    lacking = of_tsf & (frame["set"] == "GunPoint") & (frame["seed"] == 1)
    frame.loc[lacking, "status"] = "over 60 minutes"
    text = report_of(frame, tmp_path)
    assert "Means of the 2 sets that all have: GunPoint, NATOPS." in text
    assert "| closed-form | 2 | 1.00 | 0.810 ± 0.014 |" in text
    # A seed that lacks a set is in no mean over sets; the set has what it has.
    assert "| tsf | 1 | 3.00 | 0.605 |" in text
    assert "- GunPoint: tsf in part (over 60 minutes)\n" in text
    assert "- UCI-HAR: tsf (over 60 minutes)\n" in text
    assert "| UCI-HAR | 0.310 ± 0.014 | 0.210 ± 0.014 |  |" in text
    without = report_of(frame, tmp_path, ["minirocket", "closed-form"])
    assert "Means of the 3 sets" in without
    assert "tsf" not in without


def test_an_estimator_with_sets_of_its_own_does_not_empty_the_comparison(tmp_path):
    frame = pd.DataFrame(suite_rows())
    small = frame[frame["set"] != "UCI-HAR"]
    other = frame[(frame["estimator"] == "tsf") & (frame["set"] == "UCI-HAR")]
    text = report_of(pd.concat([small, other.assign(estimator="quant")]), tmp_path)
    assert "Means of the 2 sets that all have: GunPoint, NATOPS." in text
    assert "| closed-form | 2 | 1.00 | 0.810 ± 0.014 |" in text
    assert "\n| quant |" not in text
    assert "- GunPoint: quant (not run)\n" in text
    assert "| UCI-HAR |  |  |  | 0.110 ± 0.014 |" in text


def test_resamples_and_rows_of_aeon_are_in_the_report(tmp_path):
    frame = pd.DataFrame(suite_rows())
    again = frame.assign(split=2, accuracy=frame["accuracy"] - 0.1)
    again = again[again["estimator"] != "tsf"]
    report_of(pd.concat([frame, again]), tmp_path)
    other = frame[frame["estimator"] == "minirocket"].assign(estimator="quant")
    text = report_of(other, tmp_path, file="suite-aeon")
    official, resamples = text.split("## Resamples")
    assert (
        "| quant | 2 | 2.50 | 0.543 ± 0.014 | 0.000 ± 0.000 | 0 / 3 / 0 |" in official
    )
    assert "| closed-form | 2 | 1.00 | 0.543 ± 0.014 |" in resamples
    assert "- all sets: tsf, quant (not run)\n" in resamples
    assert "- suite-aeon.csv: numpy 2" in resamples


def test_pairs_are_tested_by_signed_ranks_and_holm():
    base = np.linspace(0.5, 0.9, 6)
    better = base + np.linspace(0.01, 0.06, 6)
    by_set = pd.DataFrame({"a": better, "b": base, "c": base - 1e-9})
    p = report.holm(by_set)
    # Six of six are 2 / 2**6. Three tests for the least, and no less for the next.
    assert p.loc["a", "b"] == p.loc["b", "a"] == pytest.approx(3 / 32)
    assert p.loc["b", "c"] == 1
    assert np.array_equal(np.diag(p), [1, 1, 1])


def test_figures_are_drawn_if_their_packages_are_there(tmp_path, monkeypatch, capsys):
    by_set = pd.DataFrame(
        {"closed-form": [0.9, 0.8, 0.7], "minirocket": [0.8, 0.8, 0.6], "tsf": 0.5}
    )
    seconds = pd.Series({"closed-form": 3.0, "minirocket": 2.0, "tsf": 40.0})
    given = (
        by_set,
        report.holm(by_set),
        seconds,
        tmp_path / "figures",
        "Official parts",
    )
    with monkeypatch.context() as patch:
        patch.setattr(figures, "find_spec", lambda name: None)
        assert figures.draw(*given) == []
    assert (
        "No figures without matplotlib and scikit_posthocs" in capsys.readouterr().err
    )
    pytest.importorskip("scikit_posthocs")
    drawn = figures.draw(*given)
    assert [path.name for _, path in drawn] == [
        f"official-parts-{name}.svg" for name in ("ranks", "sets", "seconds")
    ]
    for _, path in drawn:
        text = path.read_text()
        assert "closed-form" in text
        assert "minirocket" in text
    once = drawn[0][1].read_text()
    assert figures.draw(*given)[0][1].read_text() == once


def test_choices_report(tmp_path):
    defaults = {"bins": "4", "kinds": "all"}
    beside = tmp_path / "choices.environment.json"
    beside.write_text(json.dumps({"defaults": defaults}))
    rows = [
        ("default", "default", "A", 0.5),
        ("default", "default", "B", 0.7),
        ("bins", "8", "A", 0.6),
        ("bins", "8", "B", 0.7),
        ("bins", "16", "A", 0.5),
        ("kinds", "histograms", "A", 0.5),
    ]
    frame = pd.DataFrame(rows, columns=["option", "value", "set", "accuracy"])
    frame.assign(seed=0, n_features=10).to_csv(tmp_path / "choices.csv", index=False)
    text = report.choices_report(tmp_path)
    assert "| bins = 4 | 2 | 0.6000 | default |  | 10 |" in text
    assert "| bins = 8 | 2 | 0.6500 | 0.0500 ± 0.0500 | 1 / 1 / 0 | 10 |" in text
    values = re.findall(r"^\| (\w+ = \w+)", text, re.MULTILINE)
    assert values == [
        "bins = 4",
        "bins = 8",
        "bins = 16",
        "kinds = all",
        "kinds = histograms",
    ]


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
        # 400, 40 and 4 in some order, where a class has as many.
        for count, there in zip(counts, (300, 400, 4), strict=True):
            assert count in {4, 40, there}
    assert len(orders) > 1


def test_plan_leaves_out_what_is_not_named():
    plan = ablation.plan(ablation.parser().parse_args(["--seeds", "0", "1"]))
    assert len(plan) == len(set(plan))
    assert ("MotionSense", "full", "+ fused", 0) in plan
    assert ("RacketSports", "few", "default", 0) not in plan
    assert ("NATOPS", "full", "+ fused", 1) in plan
    assert ("NATOPS", "few", "+ fused", 0) not in plan
    assert ("NATOPS", "few", "captions", 1) in plan
    assert ("MotionSense", "long tail", "default", 1) in plan
    named = ablation.parser().parse_args(["--variants", "+ fused"])
    assert len(ablation.plan(named)) == 5 * 3  # sets and tasks


def test_random_vectors_know_nothing_but_the_text():
    one, other, again = variants.random_vectors(["a", "b", "a"])
    assert np.array_equal(one, again)
    assert np.linalg.norm(one) == pytest.approx(1)
    assert abs(one @ other) < 0.3


def test_shuffled_classes_keep_no_text_of_their_own():
    from sktext_vq import PromptBank

    labels = ["jogging", "sitting", "walking"]
    prompts = PromptBank().prompts(labels)
    shuffled = variants.shuffled_classes(labels, 0)
    assert sorted(shuffled) == labels
    for label, texts in shuffled.items():
        assert texts in [prompts[other] for other in labels if other != label]


def test_variants_do_what_they_are_named_for():
    known = set(variants.VARIANTS)
    assert {*variants.SCARCE, *variants.CONTROLS, *variants.FIT_TEXTS} <= known
    assert {name for pair in variants.PAIRS for name in pair} <= known
    model = ablation.build("- class", 0, ["a", "b"], {})
    assert (model.head, model.loss_weights) == ("ridge", {"class": 0})
    model.training_stage_, model.history_ = "trained with text", [{"train_class": 1.0}]
    with pytest.raises(RuntimeError, match="the loss 'class' does not follow 0"):
        ablation.check_variant("- class", model)
    model.set_params(loss_weights={"codebook": 0.01})
    with pytest.raises(RuntimeError, match="the loss 'codebook' does not follow"):
        ablation.check_variant("+ codebook", model)
    model.training_stage_ = "trained"
    with pytest.raises(RuntimeError, match="'trained with text', but is 'trained'"):
        ablation.check_variant("- class", model)


def test_ablation_of_a_small_set(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(variants.VARIANTS[variants.BASE], "max_epochs", 1)
    monkeypatch.setattr(ablation, "cpu_count", lambda: 1)
    command = "ablation --sets BasicMotions --tasks full --seeds 0 --processes 1"
    command = [*command.split(), "--most-cases", "20", "--results", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [*command, "--variants", "default", "closed form"])
    ablation.main()
    assert "2 fits, about 0 minutes" in capsys.readouterr().err
    frame = pd.read_csv(tmp_path / "ablation.csv").set_index("variant")
    assert (frame["cases"] == 20).all()
    assert frame["epochs"].tolist() == [1, 0]
    assert (frame["explained"] > 0.8).all()
    scored = ["network_accuracy", "similarity", "affinity", "text_perplexity"]
    assert frame.loc["default", scored].between(0, 1).all()
    assert frame.loc["closed form", scored].isna().all()
    assert (frame["ridge_accuracy"] > 0.8).all()
    text = (tmp_path / "ablation.md").read_text()
    assert "nan" not in text
    ablation.main()  # has all rows
    assert "0 fits" in capsys.readouterr().err


def ablation_rows():
    for name, base in (("A", 0.8), ("B", 0.6)):
        for variant, gain in (("default", 0.0), ("no text", 0.1), ("captions", -0.1)):
            for seed in (0, 1):
                yield dict.fromkeys((*ablation.KEYS, *ablation.VALUES)) | {
                    "set": name,
                    "task": "full",
                    "variant": variant,
                    "seed": seed,
                    "network_accuracy": base + gain * (name == "A") + 0.02 * seed,
                    "similarity": None if variant == "no text" else base,
                    "fit_seconds": 1 + 10 * gain,
                }


def test_ablation_report(tmp_path):
    pd.DataFrame(ablation_rows()).to_csv(tmp_path / "ablation.csv", index=False)
    text = report.ablation_report(tmp_path)
    assert "| default | 2 | 0.710 |" in text
    # Of sets, not of seeds; a text that is not there has no similarity.
    assert "| no text | 2 | 0.050 ± 0.050 (1 / 0) |  |  |  |  |" in text
    assert (
        "| captions | 2 | -0.050 ± 0.050 (0 / 1) |  |  |  | 0.000 ± 0.000 (0 / 0) |"
        in text
    )
    assert "| 1.000 ± 0.000 |\n" in text  # seconds
    assert "| default | 0.810 ± 0.014 |" in text
    assert "| no text | 0.910 ± 0.014 |" in text
    assert "nan" not in text


def test_seeds_that_the_default_lacks_are_in_no_difference(tmp_path):
    frame = pd.DataFrame(ablation_rows())
    lacking = (frame["variant"] == "default") & (frame["seed"] == 1)
    frame[~lacking].to_csv(tmp_path / "ablation.csv", index=False)
    assert "| no text | 2 | 0.050 ± 0.050 (1 / 0) |" in report.ablation_report(tmp_path)


def run_script(script, folder, monkeypatch, *options):
    monkeypatch.setattr(
        sys, "argv", [script.__name__, "--results", str(folder), *options]
    )
    script.main()
    return pd.read_csv(folder / f"{script.__name__}.csv")


def test_files_of_models_are_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(
        export, "SETTINGS", {"tiny": {"n_codes": 16, "max_features": 50}}
    )
    monkeypatch.setattr(export, "_REPEATS", 2)
    frame = run_script(export, tmp_path, monkeypatch, "--sets", "BasicMotions")
    (row,) = frame.to_dict("records")
    assert row["features"] == 50 and 5_000 < row["bytes"] < 100_000
    assert 0 < row["onnx_ms"] < row["python_ms"]
    assert row["onnx_accuracy"] == row["accuracy"] > 0.8
    assert "| BasicMotions | tiny | 50 |" in (tmp_path / "export.md").read_text()


def test_backends_take_turns_at_the_same_tasks(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "N_CODES", (8,))
    monkeypatch.setattr(cluster, "N_FOLDS", 2)
    options = ("--windows", "50", "--backends", cluster.ALONE)
    frame = run_script(cluster, tmp_path, monkeypatch, *options)
    assert frame["task"].tolist() == list(cluster.TASKS)
    assert frame["cases"].tolist() == [80, 50]
    assert frame["equal"].all()
    text = (tmp_path / "cluster.md").read_text()
    assert "| transform | 50 | one process | 1 |" in text


def test_crossmodal_on_a_small_set(tmp_path, monkeypatch, basic_motions):
    """Digits hardly learn in two epochs; what is measured is what it is called."""
    short = {"digits": {"loss_weights": {"digits": 1.0}, "max_epochs": 2}}
    monkeypatch.setattr(crossmodal, "models", lambda: short)
    row = crossmodal.evaluate("BasicMotions", "digits", 0, None, 1)
    assert set(row) == {*crossmodal.KEYS, *crossmodal.VALUES}
    assert row["epochs"] == 2
    assert row["series_to_caption"] > 0.5  # ten of forty are chance
    rows = [row | {"seed": seed, "similarity": 0.8 + 0.1 * seed} for seed in (0, 1)]
    pd.DataFrame(rows).to_csv(tmp_path / "crossmodal.csv", index=False)
    text = report.crossmodal_report(tmp_path)
    assert "| class by similarity | 0.850 ± 0.071 |" in text


def test_ratios_of_seconds_are_of_medians_at_the_same_threads():
    rows = [
        {"set": "S", "threads": threads, "estimator": estimator, "repeat": repeat}
        | {"fit_seconds": fit, "predict_seconds": 1.0, "accuracy": 1.0}
        for threads, estimator, fits in (
            (1, "minirocket", (10, 20, 90)),
            (2, "minirocket", (5, 5, 5)),
            (1, "closed-form", (2, 10, 11)),
        )
        for repeat, fit in enumerate(fits)
    ]
    text = report.speed_table(pd.DataFrame(rows))
    assert "| S, closed-form | 1 | 3 | 10.0 | 0.50 | 1.00 | 1.00 | 1.000 |" in text


def test_growth_is_relative_to_the_factor():
    rows = [
        {"dimension": "cases", "factor": factor, "cases": 500 * factor, "channels": 3}
        | {"timepoints": 64, "n_features": 9, "fit_seconds": 1.0, "start_mib": 10.0}
        | {"transform_seconds": 2.0 * factor, "peak_mib": 30.0, "output_mib": 5.0}
        for factor in (1, 4)
    ]
    text = report.linearity_table(pd.DataFrame(rows))
    expected = "500 x 3 x 64 | 9 | 1.00 | 1.00 | 2.00 | 1.00 | 20 | 5 |"
    assert f"| 1x cases: {expected}" in text
    expected = "2000 x 3 x 64 | 9 | 1.00 | 0.25 | 8.00 | 1.00 | 20 | 5 |"
    assert f"| 4x cases: {expected}" in text


def test_seconds_of_tokens_are_relative_to_histograms_of_each_size():
    ours, theirs = "histograms, all at once", "encoder"
    rows = [
        {"task": task, "n_codes": n_codes, "repeat": repeat, "ms_per_series": ms}
        for task, n_codes, times in (
            (ours, 64, (0.5, 0.5, 9.0)),
            (ours, 512, (2.0, 1.0, 9.0)),
            (theirs, 512, (8.0, 8.0, 8.0)),
        )
        for repeat, ms in enumerate(times)
    ]
    text = report.tokenise_table(pd.DataFrame(rows))
    assert "| / histograms of 64 codes | / histograms of 512 codes |" in text
    assert f"| {ours} | 64 | 0.500 | 2000 | 1.00 | 0.25 |" in text
    assert f"| {theirs} | 512 | 8.000 | 125 | 16.00 | 4.00 |" in text
    assert "random weights" in text
    alone = report.tokenise_table(pd.DataFrame(rows[6:]))
    assert f"| {theirs} | 512 | 8.000 | 125 |\n" in alone


def test_limit_is_of_the_same_threads():
    rows = [
        {"set": "S", "threads": threads, "repeat": repeat, "seed": 0, "cases": 100}
        | {"operations": 20e9, "product_per_second": per_second}
        | {"transform_seconds": seconds}
        for threads, per_second, times in ((1, 100e9, (1, 2, 9)), (2, 200e9, (1, 1, 1)))
        for repeat, seconds in enumerate(times)
    ]
    text = report.limit_table(pd.DataFrame(rows))
    assert "| S, 1 thread | 100 | 20.0 | 100 | 0.200 | 2.000 | 10.0 |" in text
    assert "| S, 2 threads | 100 | 20.0 | 200 | 0.100 | 1.000 | 10.0 |" in text


def test_memory_of_many_windows_is_beside_data_and_output():
    row = {"set": "S", "cases": 1000, "step": "transformer.transform", "seed": 0}
    row |= {"channels": 9, "timepoints": 128, "threads": 2, "seconds": 4.0}
    row |= {"start_mib": 700.0, "output_mib": 200.0, "peak_mib": 930.0}
    text = report.large_table(pd.DataFrame([row]))
    expected = "1000 x 9 x 128 | 2 | 4.0 | 250 | 700 | 200 | 30 |"
    assert f"| S, transformer.transform | {expected}" in text


@pytest.mark.parametrize(
    "script", [ablation, choices, cost, crossmodal, report, shift, suite, zero_shot]
)
def test_help_says_what_every_option_does(script):
    for action in script.parser()._actions:
        assert action.help, action.option_strings


@pytest.mark.parametrize("path", documents.DOCUMENTS, ids=lambda path: path.name)
def test_tables_of_documents_are_those_of_results(path):
    text = path.read_text(encoding="utf-8")
    assert documents.filled(text, documents.RESULTS) == text


def test_documents_show_every_table():
    texts = {
        path.name: path.read_text(encoding="utf-8") for path in documents.DOCUMENTS
    }
    for name in documents.TABLES:
        assert any(f"<!-- table: {name} -->" in text for text in texts.values()), name
    for name in ("accuracy", "cost"):
        assert f"<!-- table: {name} -->" in texts["README.md"]
