"""Every example runs by itself, offline, and says what it should."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(path, *arguments):
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, str(path), *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_has_a_test():
    assert [path.stem for path in EXAMPLES] == ["global_workspace", "long_recording"]


@pytest.mark.slow
def test_global_workspace(tmp_path):
    picture = tmp_path / "cuts.png"
    path = ROOT / "examples" / "global_workspace.py"
    assert len(path.read_text().splitlines()) < 120
    printed = run(path, "--picture", str(picture))
    found = re.findall(
        r"^(\w+): class (\S+), .* (\S+) nats, text (\S+)$", printed, re.M
    )
    found = {name: tuple(map(float, values)) for name, *values in found}
    assert found.keys() == {"series", "text", "both"}
    for accuracy, nats, cosine in found.values():
        # Chance is .25. How a machine rounds moves some of these few cases.
        assert accuracy > 0.4
        assert 0 < nats < 4.16  # less than if all codes and levels were used alike
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


@pytest.mark.slow
def test_long_recording(tmp_path):
    picture = tmp_path / "timeline.png"
    printed = run(ROOT / "examples" / "long_recording.py", str(picture))
    labels = re.findall(r"^ *\d+ +\d+ +(\w+) +\S+ +False$", printed, re.M)
    assert labels[0] == labels[-1] == "standing"
    assert {"walking", "running", "badminton"} <= set(labels)
    precision, chance = re.search(r"fast': (\S+), by chance (\S+)", printed).groups()
    assert float(precision) > 3 * float(chance)
    assert picture.read_bytes().startswith(b"\x89PNG")
