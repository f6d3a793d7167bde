"""The package and its pages do not use the words of docs/words.txt."""

import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs").glob("*.rst")),
]
SOURCES = [
    path
    for folder in ("sktext_vq", "examples")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path.name != "version_1.py"  # contains names from earlier file formats
]


def words_not_to_use():
    lines = (ROOT / "docs" / "words.txt").read_text("utf-8").splitlines()
    return dict(
        re.split(r"\s{2,}", line, maxsplit=1) for line in lines if line[:1] not in "#"
    )


def prose_of(source):
    """Return the strings and comments of a source file, with line numbers."""
    kinds = {"STRING", "COMMENT", "FSTRING_MIDDLE"}  # the last since Python 3.12
    return [
        (token.start[0], token.string)
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if tokenize.tok_name[token.type] in kinds
    ]


def found(path):
    text = path.read_text("utf-8")
    pieces = prose_of(text) if path.suffix == ".py" else [(1, text)]
    for pattern, better in words_not_to_use().items():
        for line, piece in pieces:
            for match in re.finditer(
                pattern.replace(" ", r"\s+"), piece, re.IGNORECASE
            ):
                at = line + piece[: match.start()].count("\n")
                where = f"{path.relative_to(ROOT)}:{at}"
                yield f"{where}: {match.group()!r}; better: {better}"


@pytest.mark.parametrize("path", [*PAGES, *SOURCES], ids=lambda path: path.stem)
def test_words_are_allowed(path):
    assert not list(found(path))


def test_words_not_to_use_are_found(tmp_path):
    source = '"""Refuse a file."""\nx = f"{1} is no loss"  # say whether it is\n'
    lines = [line for line, piece in prose_of(source)]
    assert lines[0] == 1 and 2 in lines
    patterns = list(words_not_to_use())
    text = " ".join(piece for _, piece in prose_of(source))
    assert sum(bool(re.search(each, text, re.IGNORECASE)) for each in patterns) == 3
