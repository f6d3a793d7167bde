"""Prompt banks: validation, JSON files, and lookup in the packaged bank."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from importlib import resources
from itertools import chain, product
from pathlib import Path
from typing import Any

from sktext_vq._utils.files import check_target, replace_file

from ._labels import composed, label_key, signs, split_words, stems

#: Forms of prompts.
FORMS = ("keyword", "sentence", "affirmative", "negative", "attributes")

#: Scales of the attributes of activities and gestures in the packaged bank, in order.
#: Two authors independently described all entries on the first six scales.
SCALES = (
    *("strength", "rhythm", "impact", "posture", "direction", "part"),
    *("hand movement", "hand rotation", "hand position"),
)

_FORMAT = "sktext_vq prompt bank"
_VERSION = 1

Prompts = dict[str, list[str]]
Hit = tuple[dict[str, Any], bool]


def check_labels(labels: Iterable[Any]) -> list[str]:
    if isinstance(labels, (str, bytes)) or not isinstance(labels, Iterable):
        raise TypeError(f"labels must be a sequence of strings, got {labels!r}.")
    names: dict[str, None] = {}
    for label in labels:
        if not isinstance(label, str):
            raise TypeError(
                f"Prompt labels must be strings, got {label!r} "
                f"({type(label).__name__}). Provide texts as {{'label': 'text'}}."
            )
        if not label.strip():
            raise ValueError("labels contains an empty string.")
        if label in names:
            raise ValueError(f"labels contains {label!r} more than once.")
        names[str(label)] = None
    if not names:
        raise ValueError("labels is empty. Pass at least one label.")
    return list(names)


def check_form(form: Any) -> None:
    if form not in FORMS:
        raise ValueError(
            f"Unknown form {form!r}. Available forms are {', '.join(FORMS)}."
        )


def _check_list(texts: Any, where: str) -> list[str]:
    items = [texts] if isinstance(texts, str) else texts
    if not isinstance(items, Iterable) or isinstance(items, (bytes, Mapping)):
        raise TypeError(f"Texts for {where} must be strings, got {texts!r}.")
    checked: list[str] = []
    for text in items:
        if not isinstance(text, str):
            raise TypeError(f"Texts for {where} must be strings, got {text!r}.")
        if not text.strip():
            raise ValueError(f"Texts for {where} contain an empty string.")
        text = composed(text)
        if text in checked:
            raise ValueError(f"Texts for {where} contain {text!r} more than once.")
        checked.append(text)
    if not checked:
        raise ValueError(f"There are no texts for {where}. Pass at least one text.")
    return checked


def check_bank(bank: Any) -> dict[str, Prompts]:
    """Check user-defined texts and convert them to ``{label: {form: [texts]}}``."""
    if not isinstance(bank, Mapping):
        raise TypeError(f"A bank must be a dict of texts, got {type(bank).__name__}.")
    checked: dict[str, Prompts] = {}
    for label in check_labels(bank):
        given, where = bank[label], f"label {label!r}"
        if isinstance(given, Mapping):
            for form in given:
                check_form(form)
            if not given:
                raise ValueError(
                    f"There are no texts for {where}. Pass at least one text."
                )
            checked[label] = {
                f: _check_list(given[f], f"{where}, form {f!r}") for f in given
            }
        else:
            texts = _check_list(given, where)
            checked[label] = {"sentence": texts[:1], "affirmative": texts}
    keys = Counter(map(label_key, checked))
    for label in checked:
        if keys[label_key(label)] > 1:
            raise ValueError(
                f"Label {label!r} occurs more than once, in different spellings."
            )
    return checked


def read_bank(path: str | os.PathLike[str]) -> dict[str, Prompts]:
    """Read and check the texts of a JSON file."""
    content = Path(path).read_bytes()
    try:
        text = content.decode("utf-8")
        data = json.loads(text, object_pairs_hook=_no_repeats)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{os.fspath(path)} is not a JSON file: {error}") from error
    if isinstance(data, dict) and data.get("format") == _FORMAT:
        version = data.get("version", 0)
        if not isinstance(version, int) or version > _VERSION:
            raise ValueError(
                f"{os.fspath(path)} has format version {version!r}, but this version "
                f"of sktext_vq reads versions up to {_VERSION}. Upgrade sktext_vq."
            )
        data = data.get("entries")
    if not isinstance(data, dict):
        raise ValueError(
            f"{os.fspath(path)} does not contain texts for labels. The file must "
            "contain a JSON object {label: texts}."
        )
    return check_bank(data) if data else {}


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for name, count in Counter(name for name, _ in pairs).items():
        if count > 1:
            raise ValueError(f"The JSON file contains {name!r} more than once.")
    return dict(pairs)


def write_bank(path: str | os.PathLike[str], entries: Mapping[str, Any]) -> Path:
    data = {"format": _FORMAT, "version": _VERSION, "entries": entries}
    text = json.dumps(data, indent=1, ensure_ascii=False)
    try:
        content = text.encode()
    except UnicodeEncodeError:  # unpaired surrogate
        content = json.dumps(data, indent=1).encode()
    return replace_file(check_target(path), content + b"\n")


@lru_cache(maxsize=1)
def packaged_bank() -> dict[str, dict[str, Any]]:
    """Return the entries of the packaged bank by name. Do not modify them."""
    file = resources.files(__package__) / "phrase_bank.json"
    entries: dict[str, dict[str, Any]] = json.loads(file.read_text("utf-8"))["entries"]
    return entries


def clauses_of(entry: Mapping[str, Any], form: str = "attributes") -> dict[str, str]:
    """Return the attributes of a packaged entry by scale.

    If `form` is "second_attributes", returns the attributes by the second author.
    """
    domain, clauses = entry["domain"], entry.get(form, [])
    if has_scales(entry):
        return dict(zip(SCALES, clauses, strict=False))
    return {f"{domain} {i}": clause for i, clause in enumerate(clauses, start=1)}


def has_scales(entry: Mapping[str, Any]) -> bool:
    """Return whether the attributes of a packaged entry are on `SCALES`."""
    return entry["domain"] in ("activity", "gesture")


@lru_cache(maxsize=1)
def packaged_index() -> dict[tuple[str, ...], list[Hit]]:
    """Return packaged entries by stems and whether their spelling is unambiguous.

    In the bank, ambiguous spellings such as ``normal?`` end with a question mark. An
    ambiguous spelling matches only if another label has an entry of the same domain.
    """
    index: dict[tuple[str, ...], list[Hit]] = {}
    for name, entry in packaged_bank().items():
        for spelling in (name, *entry["keyword"], *entry["aliases"]):
            hit = (entry, not spelling.endswith("?"))
            hits = index.setdefault(stems(spelling), [])
            if all(entry is not known for known, _ in hits):
                hits.append(hit)
    return index


@lru_cache(maxsize=1)
def _bag_index() -> dict[tuple[str, ...], list[Hit]]:
    bags: dict[tuple[str, ...], list[Hit]] = {}
    for key, entries in packaged_index().items():
        bags.setdefault(tuple(sorted(key)), []).extend(entries)
    return bags


def is_known(label: str) -> bool:
    """Return whether a label is the unambiguous name of a packaged entry."""
    return any(certain for _, certain in _hits(label))


def _hits(label: str) -> list[Hit]:
    key = stems(label)
    # The order of words matters only if one is "to", as in "sit to stand".
    loose: list[Hit] = []
    if "to" not in key:
        loose = _bag_index().get(tuple(sorted(key)), [])
    return packaged_index().get(key) or loose


def find_entries(labels: Sequence[str]) -> list[dict[str, Any] | None]:
    """Return the packaged entry of each label, or None.

    Ambiguous labels are resolved by the other labels: ``normal`` means a heart beat if
    another label is ``heart attack``, and noise if another label is ``cyclic``.
    """
    found = [_hits(label) for label in labels]
    votes = Counter(d for hits in found for d in {entry["domain"] for entry, _ in hits})
    entries: list[dict[str, Any] | None] = []
    for hits in found:
        safe = [e for e, certain in hits if certain or votes[e["domain"]] > 1]
        entries.append(max(safe, key=lambda e: votes[e["domain"]], default=None))
    return entries


def contained_entry(label: str) -> dict[str, Any] | None:
    """Return the entry with the longest name that is part of a label, or None."""
    key, index = stems(label), packaged_index()
    longest = max(map(len, index))  # a label may be very long
    for size in range(min(len(key) - 1, longest), 0, -1):
        for start in range(len(key) - size + 1):
            for entry, certain in index.get(key[start : start + size], []):
                if certain:
                    return entry
    return None


def nearest_name(name: str, known: Sequence[str]) -> str | None:
    """Return a similar known or packaged name for a name that may be misspelled.

    All words must be similar: ``swipe left`` is not similar to ``swipe right``.
    """
    for other in known:
        if other == name or label_key(other) == label_key(name):
            return other
    if is_known(name):
        return None
    words = split_words(name)
    for other in known:
        parts = split_words(other)
        if signs(other) == signs(name) and len(parts) == len(words):
            if all(map(_are_alike, words, parts)):
                return other
    if not words:
        return None
    near = (
        (place, other)
        for first in _alike_first_words(words[0])
        for place, other, parts in _spellings()[first]
        if len(parts) == len(words) and all(map(_are_alike, words, parts))
    )
    return min(near, default=(0, None))[1]


def _are_alike(a: str, b: str) -> bool:
    if a == b:
        return True
    # Compare an upper bound of the ratio first, because it is fast to compute.
    highest = 2 * min(len(a), len(b)) / (len(a) + len(b))
    return highest >= _ALIKE and bool(get_close_matches(a, [b], cutoff=_ALIKE))


@lru_cache(maxsize=1024)
def _alike_first_words(word: str) -> tuple[str, ...]:
    return tuple(first for first in _spellings() if _are_alike(word, first))


@lru_cache(maxsize=1)
def _spellings() -> dict[str, list[tuple[int, str, list[str]]]]:
    """Return the position, name and words of unambiguous names, by first word."""
    found: dict[str, list[tuple[int, str, list[str]]]] = {}
    names = ((name, *entry["aliases"]) for name, entry in packaged_bank().items())
    for place, name in enumerate(chain.from_iterable(names)):
        if not name.endswith("?"):
            words = split_words(name)
            found.setdefault(words[0], []).append((place, name, words))
    return found


# Negated parts extend from a negation to the next punctuation mark or "but".
_DENIED = re.compile(
    r"\b(?:not|no|nor|neither|none|never|without|unlike|than|nothing|nobody|cannot|"
    r"\w+n['\u2019]t)\b(?:(?!\bbut\b)[^,.;:!?])*|\bnon[-\s](?!stop\b|dominant\b)\w+",
    re.IGNORECASE,
)
_SOMEBODY = frozenset(
    "person people somebody someone subject user wearer man woman child boy girl "
    "he she they i we you".split()
)
_ALIKE = 0.8  # minimum ratio of difflib for similar words


def affirmed(text: str) -> str:
    """Remove negated parts of a text."""
    return _DENIED.sub(" ", text)


def named_entry(texts: Sequence[str]) -> tuple[dict[str, Any], str] | None:
    """Return the packaged entry of the activity named in texts, or None.

    Also returns the remaining words. The longest name is used. A name of one word
    matches only if the word is used as an activity: ``a person turns`` names turning,
    but ``the legs swing in turn`` does not.
    """
    best: tuple[int, dict[str, Any]] | None = None
    rests: list[str] = []
    longest = max(map(len, packaged_index()))
    for text in texts:
        words = split_words(affirmed(text))
        keys = [stems(word) for word in words]
        spoken = [i for i, key in enumerate(keys) if key]
        inside: set[int] = set()
        for first, size in product(range(len(spoken)), range(1, longest + 1)):
            span = spoken[first : first + size]
            key = tuple(chain.from_iterable(keys[i] for i in span))
            if best is not None and len(key) <= best[0]:
                continue
            hits = packaged_index().get(key, [])
            entry = next((entry for entry, certain in hits if certain), None)
            if entry and (len(key) > 1 or _is_done(words, keys, span[0])):
                best, inside = (len(key), entry), set(span)
        rests += [word for i, word in enumerate(words) if i not in inside]
    return None if best is None else (best[1], " ".join(rests))


def _is_done(words: list[str], keys: list[tuple[str, ...]], start: int) -> bool:
    """Return whether a word is used as an activity, as in ``a slow jog``.

    The word must be a gerund, be at the start of a text, soon follow a word for a
    person, or be the last of at most three words.
    """
    word, before = words[start], words[:start]
    if before[-1:] in (["the"], ["his"], ["her"], ["your"]):
        return word.endswith("ing")
    return (
        word.endswith("ing")
        or not any(keys[:start])
        or not _SOMEBODY.isdisjoint(before[-2:])
        or (start + 1 == len(words) <= 3 and not word.endswith("s"))
    )
