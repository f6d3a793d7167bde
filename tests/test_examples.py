"""Examples run offline and print the expected results.

Only fast examples are tested. All examples run when the documentation is built.
"""

import re
import runpy
import sys
from pathlib import Path

import matplotlib
import pytest

FOLDER = Path(__file__).parents[1] / "examples"


@pytest.fixture
def run(capsys, monkeypatch):
    """Return a function that runs an example and returns its variables and output."""
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        left = runpy.run_path(str(FOLDER / f"{name}.py"))
        assert plt.get_fignums()  # the example shows a figure
        return left, capsys.readouterr().out

    yield run
    plt.close("all")


def test_quick_start(run):
    left, printed = run("quick_start")
    assert float(re.search(r"accuracy on test series: (\S+)", printed)[1]) > 0.9
    assert (left["reasons"]["label"] == "running").all()


def test_your_own_files(run):
    left, printed = run("your_own_files")
    assert left["right"].mean() >= 0.9
    # The command line and Python give the same result.
    assert "same classes: True" in printed
    assert float(re.search(r"1,029 other days: (\S+)", printed)[1]) > 0.9


def test_a_day(run):
    left, _ = run("a_day")
    assert left["found"]["label"].tolist() == [
        *("sitting", "walking", "walking upstairs", "jogging"),
        *("walking downstairs", "standing"),
    ]


def test_failing_machine(run):
    left, _ = run("failing_machine")
    found = left["found"][left["found"]["recording"] == "press 5"]
    states = found["label"].fillna("").tolist()
    assert states == ["ok", "failure", "", "failure", "ok", "failure"]


@pytest.mark.filterwarnings("ignore::sktext_vq._features.drift.DriftWarning")
def test_wisdm_in_five_lines(run):
    _, printed = run("wisdm_in_five_lines")
    assert float(re.search(r"new people: (\S+)", printed)[1]) > 0.85


@pytest.mark.slow
def test_unseen_people(run):
    left, _ = run("unseen_people")
    only_splitter, both = left["table"]["log-loss"]
    assert both < only_splitter / 2
    importances = left["importances"].set_index("channel")["importance"]
    assert importances[""] > 0.1 > abs(importances["acc_z"])


def test_why_this_class(run):
    left, printed = run("why_this_class")
    assert left["chances"]["running"] > 0.5  # otherwise there is no running part
    total, odds = re.findall(r"(?:contributions|log-odds) (\S+)$", printed, re.M)
    assert float(total) == pytest.approx(float(odds), abs=1.1e-4)  # rounded
    # The running part is evidence for running, and the other parts against it.
    placed = left["reasons"][left["reasons"]["start"] >= 0]
    middle = placed["start"] + placed["length"] / 2
    is_put_in = (middle >= 30) & (middle < 70)
    assert placed["contribution"][is_put_in].sum() > 0
    assert placed["contribution"][~is_put_in].sum() < 0
    # The summary in words contains positions and statistics.
    answer = printed[printed.index("Tokens from 3 to 7 s: +") :]
    places = re.findall(r"^\+\S+  \w+, \S+ to \S+ s: \w", answer, re.M)
    assert len(places) >= 3
    assert re.search(r"^\+\S+  level of acc_y, lower than on average", answer, re.M)
    # Without the running part, the prediction is walking.
    assert float(re.search(r"^3 to  7 s +(\S+)", printed, re.M)[1]) < 0.5


def test_long_recording(run):
    left, _ = run("long_recording")
    labels = left["found"]["label"].tolist()
    assert labels[0] == labels[-1] == "standing"
    assert {"no data", "gyro_z missing"} <= set(left["found"]["note"])
    assert {"walking", "running", "badminton"} <= set(labels)
    assert left["precision"] > 3 * left["is_running"].mean()


@pytest.mark.slow
def test_global_workspace(run, tmp_path):
    picture = tmp_path / "cuts.png"
    path = FOLDER / "global_workspace.py"
    assert len(path.read_text().splitlines()) < 130
    # The example uses twice as many steps.
    _, printed = run("global_workspace", "--steps", "50", "--picture", str(picture))
    found = re.findall(
        r"^(\w+): class (\S+), .* (\S+) nats, text (\S+)$", printed, re.M
    )
    found = {name: tuple(map(float, values)) for name, *values in found}
    assert found.keys() == {"series", "text", "both"}
    for accuracy, nats, cosine in found.values():
        # The accuracy of random predictions is 0.25. Rounding affects some cases.
        assert accuracy > 0.25
        assert 0 < nats < 3.46  # less than for uniform code usage
        assert 0.2 < cosine <= 1
    moved, borders, by, codes = re.search(
        r"moved (\d+) of (\d+) borders by (\S+) timepoints and changed (\d+) codes",
        printed,
    ).groups()
    assert 0 < int(moved) < int(borders) and int(codes) < int(borders)
    assert 1 <= float(by) < 25
    without, change = re.search(r"segments: (\S+), with text (\S+)", printed).groups()
    assert 0.8 < float(without) < 1 and abs(float(change)) < 0.1
    assert re.search(r"^ +start +length_x +code_x +shape_x .*shape_y$", printed, re.M)
    assert picture.read_bytes().startswith(b"\x89PNG")
