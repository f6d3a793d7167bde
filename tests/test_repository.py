"""What the files of the repository promise each other."""

import ast
import configparser
import itertools
import os
import re
import socket
import sys
import tomllib
from pathlib import Path

import portable
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from sktext_vq import __version__

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
PACKAGE = ROOT / "sktext_vq"


def setup_cfg():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_setup_cfg_has_settings_of_tools_only():
    # Next to [project], setuptools ignores these.
    assert not [
        section
        for section in setup_cfg().sections()
        if section.startswith(("metadata", "options"))
    ]


def test_no_tool_is_set_up_twice():
    # pytest, for one, ignores setup.cfg where pyproject.toml has a table for it.
    tools = {
        re.split(r"[:-]", section.removeprefix("tool:"))[0]
        for section in setup_cfg().sections()
    }
    assert tools == {"pytest", "coverage", "mypy", "mutmut"}
    assert not tools & PYPROJECT["tool"].keys()


def test_constraints_are_exact_and_within_what_the_package_asks_for():
    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if not line.startswith("#"):
            name, version = line.split("==")
            # A local version, such as +cpu, is on no public index.
            assert re.fullmatch(r"[\d.]+(post\d+)?", version), line
            assert name not in pins
            pins[name] = version
    extras = PROJECT["optional-dependencies"]
    asked = itertools.chain(PROJECT["dependencies"], *extras.values())
    for requirement in map(Requirement, asked):
        if requirement.name == PROJECT["name"]:
            continue
        version = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement


def test_extra_all_is_all_that_users_need():
    extras = PROJECT["optional-dependencies"]
    (everything,) = map(Requirement, extras["all"])
    assert everything.name == PROJECT["name"]
    others = {"all", "test", "docs", "benchmark", "accelerate", "dask", "ray"}
    assert everything.extras == extras.keys() - others


def test_changes_know_the_version():
    assert f"## [{__version__}]" in (ROOT / "CHANGES.md").read_text()


def test_files_that_are_not_python_are_package_data():
    packaged = PYPROJECT["tool"]["setuptools"]["package-data"]["sktext_vq"]
    expected = {path for pattern in packaged for path in PACKAGE.glob(pattern)}
    found = {
        path
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    assert {path for path in found if path.suffix != ".py"} == expected
    assert PACKAGE / "py.typed" in expected


@pytest.mark.skipif(os.name == "nt", reason="Windows has no executable bit")
def test_ci_can_be_run():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_portable_tests_have_each_pair_of_settings():
    kinds = list(zip(*portable.VARIANTS, strict=True))
    assert [len(set(kind)) for kind in kinds] == [3, 3, 2, 2]
    for one, other in itertools.combinations(kinds, 2):
        assert len(set(zip(one, other, strict=True))) == len(set(one)) * len(set(other))
    for name in (*portable.FILES, *portable.SHORT):
        path, _, test = name.partition(".py::")
        source = (ROOT / "tests" / f"test_{path}.py").read_text()
        assert f"def {test}" in source


def test_tests_are_offline():
    with socket.socket() as client, pytest.raises(RuntimeError, match=r"192\.0\.2\.1"):
        client.connect(("192.0.2.1", 80))


def imports(path):
    """Names of all modules that a file imports, those inside functions included."""
    # Relative to the folder of the file, in the package.
    parent = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = parent[: len(parent) + 1 - node.level] if node.level else ()
            module = ".".join([*base, *filter(None, [node.module])])
            yield module
            # "from package import module" imports the module too.
            yield from (f"{module}.{alias.name}" for alias in node.names)


def within(name, packages):
    return any(
        name == package or name.startswith(f"{package}.") for package in packages
    )


PYTHON_FILES = sorted(PACKAGE.rglob("*.py"))
NAMES = [path.relative_to(PACKAGE).as_posix() for path in PYTHON_FILES]


@pytest.mark.parametrize("path", PYTHON_FILES, ids=NAMES)
def test_directions_of_import(path):
    """Networks know arrays, texts know no networks, and faces sit on top."""
    folder = path.relative_to(PACKAGE).parts[0]
    names = set(imports(path))
    if folder == "nn":
        known = ["torch", "numpy", "sktext_vq.nn"]
        if path.name == "kernels.py":
            known.append("numba")
        for name in names:
            standard = name.split(".")[0] in sys.stdlib_module_names
            assert standard or within(name, known), name
    if folder == "text":
        assert not [name for name in names if within(name, ["sktext_vq.nn"])]
    if path.name in ("panel.py", "datasets.py"):
        assert not [name for name in names if within(name, ["torch", "sktext_vq.nn"])]
    tops = {"sktime.py", "inspection", "__main__.py", "_demo.py"}
    tops |= {"_commands.py", "console.py"}
    if folder not in tops | {"__init__.py"}:
        above = [f"sktext_vq.{top.removesuffix('.py')}" for top in tops]
        assert not [name for name in names if within(name, above)]
