"""The command line on continuous recordings."""

import io
import json
import sys

import numpy as np
import onnxruntime
import pandas as pd
import pytest

from sktext_vq import load
from sktext_vq.__main__ import main

RATE = 20
PERIODS = {"walking": 16, "running": 6}


def record(subject, start, n_timepoints=400):
    """Return a table of a person who walks, rests (without a label) and runs."""
    rng = np.random.default_rng(subject)
    parts = []
    for label, period in PERIODS.items():
        wave = np.sin(2 * np.pi * np.arange(n_timepoints) / period + rng.uniform(0, 6))
        parts.append(pd.DataFrame({"acc_x": wave, "activity": label}))
    rest = pd.DataFrame({"acc_x": np.zeros(100), "activity": None})
    table = pd.concat([parts[0], rest, parts[1]], ignore_index=True)
    table["acc_x"] += rng.normal(0, 0.1, len(table))
    times = pd.date_range(start, periods=len(table), freq=f"{1000 // RATE}ms")
    table.insert(0, "time", times)
    return table


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with four recordings and a model."""
    folder = tmp_path_factory.mktemp("recordings")
    data = folder / "data"
    data.mkdir()
    for subject in range(4):
        table = record(subject, f"2025-05-0{subject + 1} 08:00")
        table.to_csv(data / f"person_{subject}.csv", index=False)
    words = ["fit", data, "--model", folder / "m.safetensors", *WINDOWS]
    words += ["--pattern", "person_{subject}.csv", "--epochs", 0, "--quiet"]
    assert run(*words) == 0
    return folder


WINDOWS = ["--window", "2s", "--step", "1s", "--label-column", "activity"]


def run(*words):
    return main([str(word) for word in words])


def test_fit_takes_rate_and_people_from_recordings(folder, capsys):
    model = load(folder / "m.safetensors")
    assert model.sampling_rate == RATE
    assert model.channel_names_ == ["acc_x"]
    assert model.classes_.tolist() == ["running", "walking"]
    assert model.n_timepoints_ == 2 * RATE
    words = ["fit", folder / "data", "--model", folder / "again.safetensors", *WINDOWS]
    assert run(*words, "--pattern", "person_{subject}.csv", "--epochs", 0) == 0
    # Each class has 20 s, cut into windows of 2 s with a step of 1 s.
    out = capsys.readouterr().out
    assert "152 series of 1 channels and up to 40 timepoints" in out
    assert "groups: 4" in out


def test_predict_takes_several_files_and_standard_input(folder, monkeypatch, capsys):
    files = [folder / "data" / f"person_{k}.csv" for k in (0, 1)]
    words = ["predict", "--model", folder / "m.safetensors", *WINDOWS]
    assert run(*words, *files) == 0
    out, err = capsys.readouterr()
    table = pd.read_csv(io.StringIO(out), parse_dates=["start", "end"])
    assert table["file"].unique().tolist() == [str(file) for file in files]
    assert (table["end"] - table["start"] == pd.Timedelta("2s")).all()
    assert table["start"].iloc[0] == pd.Timestamp("2025-05-01 08:00")
    assert err.count("accuracy: 100.0 % (38 of 38)") == 2
    lines = "".join(f"{file}\n" for file in files)
    monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
    assert run(*words, "-") == 0
    assert capsys.readouterr().out == out
    assert run(*words, *files, "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) == len(table)


def test_search_ranks_windows(folder, capsys):
    words = ["search", folder / "data" / "person_2.csv", "--text", "running"]
    assert run(*words, "--model", folder / "m.safetensors", *WINDOWS) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out), parse_dates=["start"])
    assert table["score"].is_monotonic_decreasing
    # Running starts after 20 s of walking and 5 s of rest.
    first = table["start"].head(19) - pd.Timestamp("2025-05-03 08:00")
    assert (first >= pd.Timedelta("25s")).all()


def test_report_names_windows(folder, capsys):
    page = folder / "report.html"
    words = ["report", folder / "data" / "person_3.csv", "--output", page]
    assert run(*words, "--model", folder / "m.safetensors", *WINDOWS) == 0
    assert "2025-05-04 08:00:01" in page.read_text()


def test_export_writes_a_file_that_predicts(folder, capsys):
    file = folder / "m.onnx"
    words = ["export", "--model", folder / "m.safetensors", "--output", file]
    assert run(*words) == 0
    model = load(folder / "m.safetensors")
    X = np.random.default_rng(0).normal(size=(3, 1, 40)).cumsum(axis=2)
    session = onnxruntime.InferenceSession(file)
    (found,) = session.run(None, {"series": X.astype(np.float32)})
    np.testing.assert_allclose(found, model.predict_proba(X), atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--window", "2s", "--step", "20"], "must both be in seconds"),
        (["--step", "1s"], "--step applies only to recordings"),
        (["--window", "1h"], "a whole number of timepoints"),
        (["--window", "2.5"], "a whole number of timepoints"),
        (["--window", "10min"], "a whole number of timepoints"),
        (["--window", "2s"], "recording_column (--label-column, ...)"),
        ([*WINDOWS[2:], "--window", "100s"], "no windows of 2000 timepoints"),
        (
            ["--window", "2s", "--recording-column", "watch"],
            "no recording column 'watch'",
        ),
    ],
)
def test_failures_say_what_to_do(folder, options, message, capsys):
    words = ["predict", folder / "data" / "person_0.csv", *options]
    try:
        code = run(*words, "--model", folder / "m.safetensors")
    except SystemExit as error:  # invalid usage
        code = error.code
    assert code in (1, 2)
    assert message in capsys.readouterr().err


def test_a_sampling_rate_that_contradicts_the_times_raises_an_error(folder, capsys):
    words = ["fit", folder / "data", "--model", folder / "other.safetensors", *WINDOWS]
    assert run(*words, "--sampling-rate", 2 * RATE) == 1
    error = capsys.readouterr().err
    assert "--sampling-rate is 40 Hz" in error and "is 20 Hz" in error
    assert not (folder / "other.safetensors").exists()


def test_segments_of_several_files_have_a_column_file(folder, tmp_path, capsys):
    files = [folder / "data" / f"person_{k}.csv" for k in (0, 1)]
    output = tmp_path / "segments.csv"
    words = ["--model", folder / "m.safetensors", "--output", output]
    words += ["--label-column", "activity", "--quiet"]
    assert run("segment", *files, *words) == 0
    assert pd.read_csv(output)["file"].unique().tolist() == [*map(str, files)]
    output.unlink()
    assert run("segment", *files, tmp_path / "missing.csv", *words) == 1
    assert "missing.csv does not exist" in capsys.readouterr().err


def test_explanations_of_windows_keep_their_times(folder, capsys):
    words = ["predict", folder / "data" / "person_0.csv", *WINDOWS, "--explain"]
    assert run(*words, "--model", folder / "m.safetensors", "--quiet") == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out))
    times = pd.to_datetime(table["window_end"]) - pd.to_datetime(table["window_start"])
    assert (times == pd.Timedelta("2s")).all()
    assert table["start"].max() < 2 * RATE


def test_series_at_another_rate_raise_an_error(folder, tmp_path, capsys):
    table = record(0, "2025-05-01").drop(columns="activity")[:160]
    table["time"] = np.tile(np.arange(80) / (2 * RATE), 2)
    table["case"] = np.repeat([0, 1], 80)
    file = tmp_path / "fast.csv"
    table.rename(columns={"time": "time_s"}).to_csv(file, index=False)
    words = ["predict", file, "--time-column", "time_s"]
    assert run(*words, "--model", folder / "m.safetensors") == 1
    assert "is 40 Hz, but the training series" in capsys.readouterr().err
