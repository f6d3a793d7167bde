"""Consistency of the files of the repository."""

import ast
import configparser
import importlib
import itertools
import os
import pkgutil
import re
import socket
import sys
import tomllib
from functools import cache
from pathlib import Path

import grimp
import portable
import pytest
from importlinter import cli
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import sktext_vq
from sktext_vq import __version__

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
PACKAGE = ROOT / "sktext_vq"


def setup_cfg():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_no_tool_is_set_up_twice():
    # pytest ignores setup.cfg if pyproject.toml contains its settings.
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
            # Local versions, such as +cpu, are not in the public index.
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


def test_extra_all_contains_all_extras_for_users():
    extras = PROJECT["optional-dependencies"]
    (everything,) = map(Requirement, extras["all"])
    assert everything.name == PROJECT["name"]
    others = {"all", "test", "docs", "benchmark", "dask", "ray"}
    assert everything.extras == extras.keys() - others


def test_changes_contain_the_version():
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


def test_imports_go_one_way():
    """Modules import only from lower layers, which are listed in pyproject.toml."""
    settings = str(ROOT / "pyproject.toml")
    assert cli.lint_imports(config_filename=settings, no_cache=True) == 0


def test_page_lists_the_layers_of_imports():
    layers = PYPROJECT["tool"]["importlinter"]["contracts"][0]["layers"]
    page = (ROOT / "docs" / "architecture.md").read_text()
    listed = re.search(r"<!-- imports -->\n(.*?)<!-- end -->", page, re.DOTALL)
    lines = [re.sub("`", "", line[2:]) for line in listed[1].splitlines() if line]
    assert lines == [layer.replace(" | ", ", ") for layer in layers]


def test_networks_require_only_numpy_and_torch():
    graph = grimp.build_graph("sktext_vq", include_external_packages=True)
    for module in graph.find_descendants("sktext_vq.nn"):
        others = graph.find_modules_directly_imported_by(module)
        others = {name.split(".")[0] for name in others} - sys.stdlib_module_names
        if module in ("sktext_vq.nn.compiled", "sktext_vq.nn._numba"):
            others -= {"numba", "llvmlite"}
        assert others <= {"sktext_vq", "torch", "numpy"}, module


def test_size_of_the_package():
    """There are few top-level modules, and files have at most 450 lines."""
    top = [path for path in PACKAGE.glob("*.py") if not path.name.startswith("__")]
    assert len(top) <= 14
    lines = {path: len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    assert not [path for path, n_lines in lines.items() if n_lines > 450]


@cache
def trees():
    return [(path, ast.parse(path.read_text())) for path in PACKAGE.rglob("*.py")]


def test_classes_are_composed():
    """No class extends another of the package, except for both estimators."""
    bases = set()
    for module in pkgutil.walk_packages(sktext_vq.__path__, "sktext_vq."):
        for cls in vars(importlib.import_module(module.name)).values():
            if isinstance(cls, type) and cls.__module__ == module.name:
                bases.update(cls.__bases__)
    ours = {base.__name__ for base in bases if base.__module__[:9] == "sktext_vq"}
    assert ours == {"BaseVQText"}


def test_private_attributes_of_estimators_stay_private():
    """Only the classes themselves use them."""
    estimators = {"classifier.py", "transformer.py", "_base.py"}
    private = {
        node.name
        for path, tree in trees()
        if path.name in estimators and path.parent == PACKAGE
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and re.match("_[^_]", node.name)
    }
    assert private
    for path, tree in trees():
        if path.name not in estimators:
            read = [
                node.attr
                for node in ast.walk(tree)
                if isinstance(node, ast.Attribute)
                and node.attr in private
                and ast.unparse(node.value) not in ("self", "cls")
            ]
            assert not read, path
