import ast
import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import sktext_vq
from sktext_vq import __version__
from sktext_vq.__main__ import main
from sktext_vq._cli import demo as _demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Run the demo in a fast setting; return its output and its report."""
    lines = []
    path = tmp_path_factory.mktemp("demo") / "report.html"
    written = _demo.run_demo(path, echo=lines.append, text_encoder="hashing")
    assert written == path
    return "\n".join(lines), path.read_text(encoding="utf-8")


def test_demo_shows_results(demo):
    text, report = demo
    for name in ("VQTextClassifier", "MiniRocket and ridge"):
        row = re.search(rf"  {name}, all labels +(\d\.\d+) +[\d.]+ s +[\d.]+ s\n", text)
        assert float(row[1]) > 0.8
    assert int(re.search(r"  all +(\d+) of 40\n", text)[1]) > 25
    assert "report.html" in text
    assert "of 40 series" in report and "gyro_z" in report


def test_demo_output_fits_a_terminal(demo):
    text, _ = demo
    lines = [line for line in text.splitlines() if "report.html" not in line]
    assert max(map(len, lines)) <= 80
    assert text.isascii()


def test_demo_names_missing_packages(monkeypatch, tmp_path, capsys):
    def find(name):
        return None if name in ("sktime", "numba") else find_spec(name)

    monkeypatch.setattr(_demo, "find_spec", find)
    assert main(["demo", "--report", str(tmp_path / "report.html")]) == 1
    out, err = capsys.readouterr()
    assert not out
    assert err == (
        "sktext_vq demo: The demo requires sktime and numba. Install the "
        "missing packages with pip install 'sktext_vq[sktime]'.\n"
    )


def test_demo_fails_early_if_the_report_cannot_be_written(tmp_path, capsys):
    for path, reason in ((tmp_path / "no" / "file", "folder"), (tmp_path, "a folder")):
        assert main(["demo", "--report", str(path)]) == 1
        out, err = capsys.readouterr()
        assert not out
        assert err.startswith("sktext_vq demo: ") and reason in err
        assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "is_terminal", "output", "progress"),
    [
        ([], True, "working", True),
        (["--quiet"], True, "", False),
        ([], False, "working", False),
    ],
)
def test_options_reach_the_demo(
    options, is_terminal, output, progress, monkeypatch, capsys
):
    found = {}

    def run_demo(report, *, echo, **kwargs):
        found.update(kwargs, report=report)
        echo("working")

    monkeypatch.setattr(_demo, "run_demo", run_demo)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal, raising=False)
    assert main(["demo", *options]) == 0
    assert found == {"report": "sktext_vq_demo.html", "progress": progress}
    assert capsys.readouterr().out.strip() == output


def test_interrupt(monkeypatch, capsys):
    def run_demo(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(_demo, "run_demo", run_demo)
    assert main(["demo"]) == 130
    assert capsys.readouterr().err == "sktext_vq demo: interrupted\n"


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--help"], ["demo", "exit codes", "python -m sktext_vq fit"]),
        (["demo", "--help"], ["--report PATH", "sktext_vq_demo.html", "MiniRocket"]),
        (["--version"], [f"sktext_vq {__version__}"]),
    ],
)
def test_help_and_version(arguments, shown, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    assert exit_info.value.code == 0
    out = capsys.readouterr().out
    for text in shown:
        assert text in out


@pytest.mark.parametrize("arguments", [[], ["dance"], ["fit"], ["--nothing"]])
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    assert exit_info.value.code == 2
    assert "usage: python -m sktext_vq" in capsys.readouterr().err


def run(code, **kwargs):
    """Run Python in a subprocess, with this checkout."""
    path = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)])
    return subprocess.Popen(
        [sys.executable, *code],
        env={**os.environ, "PYTHONPATH": path},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **kwargs,
    )


def test_as_a_module():
    process = run(["-m", "sktext_vq", "demo", "--report", "no/folder/report.html"])
    out, err = process.communicate()
    assert (process.returncode, out) == (1, "")
    assert err.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes")
def test_closed_pipe_prints_no_traceback():
    code = (
        "import sys\n"
        "from sktext_vq import __main__\nfrom sktext_vq._cli import demo as _demo\n"
        "def run_demo(*args, echo, **kwargs):\n"
        "    for _ in range(100_000): echo('line')\n"
        "_demo.run_demo = run_demo\n"
        "sys.exit(__main__.main(['demo']))\n"
    )
    process = run(["-c", code])
    assert process.stdout.readline() == "line\n"
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 1
    process.stderr.close()


@pytest.mark.parametrize(
    "code",
    [
        "import sktext_vq",
        "import sktext_vq; assert 'load' in dir(sktext_vq)",
        "from sktext_vq.datasets import available; available()",
        "from sktext_vq._cli.parser import make_parser; make_parser().format_help()",
    ],
)
def test_torch_is_imported_only_if_needed(code):
    heavy = ["torch", "sklearn", "pandas", "scipy", "transformers"]
    block = f"import sys; sys.modules |= dict.fromkeys({heavy}); "
    process = run(["-c", block + code])
    _, err = process.communicate()
    assert (process.returncode, err) == (0, "")


def test_public_names_are_imported_when_used():
    code = (
        "import sys, sktext_vq\n"
        "assert 'torch' not in sys.modules\n"
        "assert not hasattr(sktext_vq, 'nothing')\n"
        "sktext_vq.panel.as_panel([[1.0, 2.0]])\n"
        "from sktext_vq import *\n"
        "assert save is sktext_vq.persistence.save\n"
    )
    process = run(["-c", code])
    _, err = process.communicate()
    assert (process.returncode, err) == (0, "")


def test_type_checkers_see_all_public_names():
    (block,) = (
        node
        for node in ast.parse(Path(sktext_vq.__file__).read_text()).body
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
    )
    seen = {alias.name: each.module for each in block.body for alias in each.names}
    assert seen.keys() == {*sktext_vq.__all__} - {"__version__"}
    for name, module in seen.items():
        assert sktext_vq._MODULE_OF[name] == module.removeprefix("sktext_vq.")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams(closed):
    for words, code in (("--version", 0), ("dance", 2)):
        command = f"{shlex.quote(sys.executable)} -m sktext_vq {words} {closed}"
        found = subprocess.run(command, shell=True, capture_output=True, text=True)
        assert found.returncode == code
        assert "Traceback" not in found.stderr and "Exception" not in found.stderr
