"""All Python code of the README runs in order, as one program."""

import re
from pathlib import Path

from sklearn.model_selection import GroupKFold

README = Path(__file__).parents[1] / "README.md"


def test_snippets_run(tmp_path, monkeypatch, capsys):
    (tmp_path / "examples").symlink_to(README.parent / "examples")
    monkeypatch.chdir(tmp_path)
    # Use three folds to save time.
    folds = "sklearn.model_selection.LeaveOneGroupOut"
    monkeypatch.setattr(folds, lambda: GroupKFold(3))
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len(blocks) >= 3
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)
    printed = capsys.readouterr().out
    shares = map(float, re.findall(r"^\d\.\d+$", printed, flags=re.MULTILINE))
    other_people, accuracy, in_pipeline, unseen = shares
    assert other_people >= 0.8
    assert min(accuracy, in_pipeline) >= 0.95
    assert unseen >= 0.6
    assert "rope jumping" in printed
    for label in ("sitting", "walking", "jogging", "standing"):
        assert re.search(rf"^\d+ 2025-05-06 .* {label} ", printed, re.MULTILINE), label
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_links_are_valid():
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README.read_text())
    assert links
    for link in links:
        assert (README.parent / link).exists(), link
