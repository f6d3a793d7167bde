"""Runner and protocol of the benchmarks, and tables in README and docs."""

import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from benchmarks import __main__ as commands
from benchmarks import data, documents, estimators, runner, store, tables
from benchmarks.experiments import EXPERIMENTS
from benchmarks.runner import Experiment, Options, grid
from benchmarks.store import Frames, Results


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


# -- Data and scores -----------------------------------------------------------------


def test_choices_see_nothing_of_the_test_part(tmp_path):
    part = data.training_part("Set", save(tmp_path, "Set"))
    assert len(part.y) == 16
    assert not part.X.any()


def test_no_subject_may_be_in_both_parts(tmp_path):
    subjects = np.arange(16)
    folder = save(tmp_path, "Set", subject_train=subjects, subject_test=subjects + 15)
    with pytest.raises(ValueError, match=r"subjects \[15\] in both parts"):
        data.load_split("Set", folder)
    folder = save(tmp_path, "Set", subject_train=subjects, subject_test=subjects + 16)
    assert len(data.load_split("Set", folder).y_test) == 16


def test_folds_never_mix_subjects():
    y = np.tile(["a", "b"], 20)
    subjects = np.repeat(np.arange(5), 8)
    scored = []
    for fit_cases, score_cases in data.folds(y, subjects, seed=0):
        assert not set(subjects[fit_cases]) & set(subjects[score_cases])
        assert len(fit_cases) + len(score_cases) == len(y)
        scored.extend(score_cases)
    assert sorted(scored) == list(range(40))


def test_folds_without_subjects_are_stratified_and_follow_the_seed():
    y = np.repeat(["a", "b"], [8, 32])
    splits = [list(data.folds(y, None, seed)) for seed in (0, 0, 1)]
    for _, score_cases in splits[0]:
        assert np.sum(y[score_cases] == "a") == 2
    first, again, other = [np.concatenate([s for _, s in split]) for split in splits]
    assert sorted(first) == list(range(40))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_cases_are_drawn_by_class_and_seed():
    y = np.repeat(["a", "b", "c"], [30, 12, 4])
    first, again, other = (
        data.draw_by_class(y, [10] * 3, np.random.default_rng(seed))
        for seed in (0, 0, 1)
    )
    assert np.unique(y[first], return_counts=True)[1].tolist() == [10, 10, 4]
    assert len(set(first)) == 24
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert data.first_by_class(y[:42], 2).tolist() == [0, 1, 30, 31]
    assert len(data.spread_by_class(y, 6)) == 16


def test_calibration_error_is_of_bins():
    # Bins end at 0.6 and 0.6667. They contain two cases at 0.6 (one correct), two cases
    # at 0.65 (both correct) and, in the last bin, an incorrect case at 1.
    first = np.array([0.6, 0.6, 0.65, 0.65, 1.0])
    probabilities = np.stack([first, 1 - first], axis=1)
    y = np.array(["a", "b", "a", "a", "b"])
    found = data.calibration_error(y, probabilities, np.array(["a", "b"]))
    expected = (2 * abs(0.5 - 0.6) + 2 * abs(1 - 0.65) + abs(0 - 1)) / 5
    assert found == pytest.approx(expected)


# -- Estimators ----------------------------------------------------------------------


def test_models_that_fell_back_raise():
    class Model:
        training_stage_ = "trained"

    with pytest.raises(RuntimeError, match="'trained with text', but is 'trained'"):
        estimators.check_stage("classifier", Model())
    estimators.check_stage("minirocket", Model())
    with pytest.raises(RuntimeError, match="'closed form', but is 'trained'"):
        estimators.check_stage("classifier-closed", Model())


@pytest.mark.parametrize("name", estimators.OF_SKTIME)
def test_estimators_of_sktime_are_made_with_seed_and_threads(name, monkeypatch):
    # WEASEL sets the number of threads of numba, which is limited to one in tests.
    monkeypatch.setattr("numba.set_num_threads", lambda n: None)
    if name in ("minirocket", "minirocket-calibrated", "multirocket"):
        model = estimators.build(name, 7, 2)[1]
    else:
        model = estimators.build(name, 7, 2).make(1, 20)
    parameters = model.get_params()
    assert parameters["n_jobs"] == 2
    assert parameters.get("random_state", 7) == 7


# -- Files of results ----------------------------------------------------------------


@pytest.fixture
def some_environment(monkeypatch):
    now = {"versions": {"numpy": "1"}}
    monkeypatch.setattr(store, "environment", lambda: now)
    return now


def test_results_are_resumed(tmp_path, some_environment):
    path = tmp_path / "new" / "results.csv"
    results = Results(path, ("set", "seed"), ("accuracy",))
    results.add({"set": "A", "seed": 0, "accuracy": 0.5})
    again = Results(path, ("set", "seed"), ("accuracy",))
    assert {"set": "A", "seed": 0} in again
    assert {"set": "A", "seed": 1} not in again
    again.add({"set": "A", "seed": 1, "accuracy": 1 / 3})
    assert path.read_text() == "set,seed,accuracy\nA,0,0.5\nA,1,0.333333\n"
    with pytest.raises(ValueError, match="The row has"):
        again.add({"set": "B", "seed": 0})


def test_results_do_not_mix_environments_or_columns(tmp_path, some_environment):
    path = tmp_path / "results.csv"
    Results(path, ("set",), ("accuracy",), {"defaults": 1})
    with pytest.raises(SystemExit, match="other defaults"):
        Results(path, ("set",), ("accuracy",), {"defaults": 2})
    with pytest.raises(SystemExit, match="other columns"):
        Results(path, ("set",), ("seconds",), {"defaults": 1})
    with path.open("a") as file:
        file.write("A")  # an interrupted write
    with pytest.raises(SystemExit, match="an incomplete row"):
        Results(path, ("set",), ("accuracy",), {"defaults": 1})
    some_environment["versions"] = {"numpy": "2"}
    with pytest.raises(SystemExit, match="other versions"):
        Results(path, ("set",), ("accuracy",), {"defaults": 1})


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=list(EXPERIMENTS))
def test_committed_results_have_the_columns_of_the_experiment(experiment):
    columns = (*experiment.keys, *experiment.values)
    path = store.RESULTS / f"{experiment.name}.csv"
    assert tuple(pd.read_csv(path, nrows=1).columns) == columns
    facts = json.loads(path.with_suffix(".environment.json").read_text())
    added = set(facts) - set(store.environment())
    if experiment.name != "suite-aeon":  # aeon is not installed
        options = Options(settings=experiment.settings)
        assert added == set(experiment.facts(options))


# -- The runner ----------------------------------------------------------------------


def make_evaluate_one():
    """Return a function that can be sent to other processes without this module."""

    def evaluate_one(key, options):
        if key["method"] == "broken":
            raise ArithmeticError("It is broken.")
        return {"accuracy": 0.5 + key["seed"]}

    return evaluate_one


def evaluate_fit(keys, options):
    for key in grid(method=["a", "b"], seed=[keys[0]["seed"]]):
        yield key | {"accuracy": len(keys)}


def toy(**changes):
    parameters = {
        "name": "toy",
        "about": "nothing",
        "keys": ("method", "seed"),
        "values": ("accuracy",),
        "tasks": lambda options: grid(method=["a", "b"], seed=options.seeds),
        "evaluate": make_evaluate_one(),
    }
    return Experiment(**{**parameters, **changes})


def run_toy(folder, experiment=None, **options):
    options = {"seeds": (0, 1), "results": folder, **options}
    runner.run(experiment or toy(), Options(**options))
    return pd.read_csv(folder / "toy.csv")


def test_runs_are_resumed_and_can_be_restricted(tmp_path, capsys):
    first = run_toy(tmp_path, only={"method": ["a"], "seed": ["0"]})
    assert first.to_numpy().tolist() == [["a", 0, 0.5]]
    capsys.readouterr()
    second = run_toy(tmp_path)
    assert second[:1].equals(first)
    assert sorted(second["method"] + second["seed"].astype(str)) == [
        *("a0", "a1", "b0", "b1")
    ]
    assert "3 rows to compute" in capsys.readouterr().err
    assert run_toy(tmp_path).equals(second)


def test_a_failing_task_stops_the_run(tmp_path):
    experiment = toy(
        tasks=lambda options: grid(method=["a", "broken", "b"], seed=[0, 1])
    )
    with pytest.raises(SystemExit, match=r"method broken(.|\n)*It is broken"):
        run_toy(tmp_path, experiment)
    assert "b" not in set(pd.read_csv(tmp_path / "toy.csv")["method"])


def test_rows_of_one_fit_are_computed_together(tmp_path):
    experiment = toy(evaluate=evaluate_fit, fit=lambda key: key["seed"])
    assert (run_toy(tmp_path, experiment)["accuracy"] == 2).all()
    (tmp_path / "toy.csv").write_text("method,seed,accuracy\na,0,5\n")
    frame = run_toy(tmp_path, experiment, seeds=[0])
    assert frame.to_numpy().tolist() == [["a", 0, 5], ["b", 0, 1]]  # each data set once


def test_what_a_process_raises_is_raised_here():
    with pytest.raises(ZeroDivisionError):
        runner.in_new_process(divmod, 1, 0)


@pytest.fixture
def run_suite(monkeypatch, tmp_path):
    """Run the suite on one thread, and return its rows."""
    for library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        monkeypatch.setenv(f"{library}_NUM_THREADS", "1")
    monkeypatch.setattr(commands.os, "cpu_count", lambda: 1)

    def run(*options):
        command = ["run", "suite", "--processes", "1", "--results", str(tmp_path)]
        commands.main([*command, *options])
        return pd.read_csv(tmp_path / "suite.csv")

    return run


@pytest.mark.slow
def test_suite_is_resumed_and_stops_at_a_failure(run_suite, tmp_path):
    options = ["--sets", "GunPoint", "--only", "estimator", "tsf", "--seeds"]
    first = run_suite(*options, "0")
    assert first["accuracy"].between(0.9, 1).all()
    assert (first[["log_loss", "fit_seconds", "predict_seconds"]] > 0).all(axis=None)
    endless = np.zeros((16, 1, 20), np.float32)
    endless[-1, 0, 7] = np.inf
    folder = save(tmp_path, "Set", X_train=endless)
    options = ["--sets", "Set", "GunPoint", "--only", "estimator", "closed-form"]
    with pytest.raises(SystemExit, match=r"set Set, estimator closed-form(.|\n)*infin"):
        run_suite(*options, "--data", folder)
    assert pd.read_csv(tmp_path / "suite.csv")[:1].equals(first)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["suite", "--sets", "GunPoint", "NoSuch"], "Unknown data sets NoSuch"),
        (["pretrain"], "Unknown data sets MotionSense"),  # requires a data folder
        (["choices", "--set", "color=red"], "Unknown setting color"),
        (["choices", "--sets", "GunPoint", "--only", "colour", "red"], "columns"),
    ],
)
def test_options_are_checked_before_anything_runs(options, message, tmp_path):
    with pytest.raises(SystemExit, match=message):
        commands.main(["run", *options, "--results", str(tmp_path)])
    assert not list(tmp_path.iterdir())


def test_estimators_of_aeon_need_aeon(tmp_path):
    if store.version_of("aeon") is None:
        options = ["--sets", "GunPoint", "--results", str(tmp_path)]
        with pytest.raises(SystemExit, match="aeon is missing"):
            commands.main(["run", "suite-aeon", *options])


def test_experiments_are_listed(capsys):
    commands.main(["list"])
    listed = capsys.readouterr().out
    for experiment in EXPERIMENTS.values():
        assert f"{experiment.name} " in listed
        assert experiment.about in listed
    for action in commands.parser()._actions[1].choices["run"]._actions:
        assert action.help, action.option_strings


def test_experiments_load_neither_torch_nor_sktime():
    """The measured memory of a method must not include other packages."""
    code = (
        "import sys, benchmarks.experiments; "
        "print([name for name in ('torch', 'sktime') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == "[]", found.stderr


# -- Tables --------------------------------------------------------------------------


def test_paired_differences():
    values = pd.Series({"A": 0.9, "B": 0.8, "C": 0.7, "D": 0.5})
    base = pd.Series({"A": 0.8, "B": 0.8, "C": 0.8, "E": 0.5})
    found = tables.paired(values, base)
    assert found["sets"] == 3
    assert found["mean"] == pytest.approx(0)
    assert found["error"] == pytest.approx(0.1 / np.sqrt(3))
    assert (found["wins"], found["ties"], found["losses"]) == (1, 1, 1)


def test_tables_have_means_and_deviations_in_the_order_of_rows():
    frame = pd.DataFrame(
        [("b", "y", 0.5), ("b", "y", 0.7), ("a", "x", 0.1), ("b", "x", -0.0001)],
        columns=["method", "set", "accuracy"],
    )
    table = tables.spread_table(frame, "method", "set", "accuracy")
    assert tables.frame_markdown(table) == (
        "| method | y | x |\n| --- | --: | --: |\n"
        "| b | 0.600 ± 0.141 | 0.000 |\n| a |  | 0.100 |"
    )


@pytest.mark.parametrize("path", documents.DOCUMENTS, ids=lambda path: path.name)
def test_tables_of_documents_are_those_of_results(path):
    text = path.read_text(encoding="utf-8")
    assert documents.filled(text, Frames()) == text


@pytest.mark.parametrize("name", [n for n, e in EXPERIMENTS.items() if e.page])
def test_pages_of_results_are_those_of_the_files(name, monkeypatch):
    monkeypatch.setattr("benchmarks.experiments.suite.draw_ranks", lambda *_: True)
    page = (store.RESULTS / f"{name}.md").read_text(encoding="utf-8")
    assert EXPERIMENTS[name].markdown(Frames()) == page


def test_documents_show_every_table():
    texts = {
        path.name: path.read_text(encoding="utf-8") for path in documents.DOCUMENTS
    }
    shown = set(re.findall(r"<!-- table: (\w+) -->", "".join(texts.values())))
    on_pages = {
        name
        for experiment in EXPERIMENTS.values()
        for name in re.findall(r"{(\w+)}", experiment.page)
    }
    assert shown <= set(documents.TABLES) <= shown | on_pages
    for name in ("accuracy", "cost"):
        assert f"<!-- table: {name} -->" in texts["README.md"]
