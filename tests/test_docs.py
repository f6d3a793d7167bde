"""What the documentation promises: pages of all names, examples, links."""

import ast
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import sktext_vq

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
PAGES = sorted([*DOCS.glob("*.md"), *DOCS.glob("*.rst"), ROOT / "CONTRIBUTING.md"])


def settings():
    """Return what docs/conf.py assigns, as far as these are literals."""
    found = {}
    for node in ast.parse((DOCS / "conf.py").read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                found[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                continue
    return found


def documented():
    """Return the names that the reference has, without that of the package."""
    text = (DOCS / "api.rst").read_text()
    blocks = re.findall(r"\.\. autosummary::\n(?:   :.*\n)+\n((?:   \S+\n)+)", text)
    names = [name for block in blocks for name in block.split()]
    return names + re.findall(r"\.\. py:data:: sktext_vq\.(\S+)", text)


def find(name):
    """Return what has a name, such as text.FORMS, in the package."""
    module, _, last = f"sktext_vq.{name}".rpartition(".")
    module = importlib.import_module(module)
    if not hasattr(module, last):
        importlib.import_module(f"{module.__name__}.{last}")
    return getattr(module, last)


def test_every_public_name_is_in_the_reference():
    names = documented()
    assert len(names) == len(set(names)) > 20
    objects = {id(find(name)) for name in names}  # all that are listed exist
    modules = [sktext_vq]
    for module in pkgutil.iter_modules(sktext_vq.__path__, "sktext_vq."):
        if not module.name.rpartition(".")[2].startswith("_"):
            modules.append(importlib.import_module(module.name))
    missing = [
        f"{module.__name__}.{name}"
        for module in modules
        for name in getattr(module, "__all__", ())
        if name != "__version__" and id(getattr(module, name)) not in objects
    ]
    assert not missing, "Add these to docs/api.rst."


def test_examples_have_their_order():
    assert sorted(settings()["EXAMPLES"]) == [path.stem for path in EXAMPLES]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_pages(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    title, line, *_ = (ast.get_docstring(tree) or "").splitlines()
    assert line == "=" * len(title)
    # A picture in the gallery.
    assert re.search(r"^\s*(plt\.show\(|figure\.savefig\()", path.read_text(), re.M)


def test_examples_and_pages_lead_to_each_other():
    names = {path.stem for path in EXAMPLES}
    for path in (*EXAMPLES, *PAGES):
        text = path.read_text(encoding="utf-8")
        found = re.findall(r"auto_examples[/_](\w+)\.(?:rst|py)", text)
        assert set(found) <= names, path.name
        for page in re.findall(r":doc:`/([\w-]+)`", text):
            assert (DOCS / f"{page}.md").exists(), f"{path.name}: {page}"


@pytest.mark.parametrize(
    "path", [path for path in PAGES if path.suffix == ".md"], ids=lambda path: path.name
)
def test_links_of_pages_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!http)([^)#]+)", text):
        if "auto_examples/" not in link:  # made by the build
            assert (path.parent / link).exists(), link


def test_figures_of_pages_exist():
    tree = ast.parse((DOCS / "figures.py").read_text())
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    drawn = set()
    for path in PAGES:
        drawn |= set(re.findall(r"\.\. plot:: figures\.py (\w+)", path.read_text()))
    assert drawn == functions - {"fitted"}


def test_steps_of_the_architecture_exist():
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    for path in ("fit: X", "fit: text", "fit: training", "predict_proba: X"):
        part = text.partition(f"## {path}\n")[2].partition("\n## ")[0]
        steps = re.findall(r"^\| \d \| `([\w/.]+)` \| `(\w+)` \|", part, re.M)
        assert 5 < len(steps) <= 8, path
        for file, function in steps:
            source = (ROOT / "sktext_vq" / file).read_text(encoding="utf-8")
            functions = {
                node.name
                for node in ast.walk(ast.parse(source))
                if isinstance(node, ast.FunctionDef)
            }
            assert function in functions, f"{file}: {function}"
    for file in re.findall(r"`(\w[\w/]*\.py)`", text):
        root = ROOT if file.startswith("tests/") else ROOT / "sktext_vq"
        assert (root / file).exists(), file
