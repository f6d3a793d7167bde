"""Functions that split labels into words, stem words and form gerunds."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

# Words that do not describe a class.
_GENERIC = frozenset(
    "activity beat category class classe cls cluster condition event exercise gesture "
    "group id index label motion movement no nr num number signal state target type "
    "unknown other null none nan true false".split()
)
_STOP = frozenset("a an the of with on in at by his her your person is".split())

# Spellings that the rules of `_stem` do not cover.
_IRREGULAR = {
    "lying": "lie",
    "lay": "lie",
    "lied": "lie",
    "stood": "stand",
    "sat": "sit",
    "fell": "fall",
    "fallen": "fall",
    "ran": "run",
    "ate": "eat",
    "drank": "drink",
    "threw": "throw",
    "typing": "type",
    "bicycle": "bike",
    "bicycling": "bike",
    "biking": "bike",
    "tv": "television",
    "telly": "television",
    "pc": "computer",
    "anticlockwise": "counterclockwise",
    "ccw": "counterclockwise",
    "cw": "clockwise",
    "fwd": "forward",
    "upward": "up",
    "downward": "down",
    "upstair": "upstairs",
    "downstair": "downstairs",
    "stairsup": "upstairs",
    "stairup": "upstairs",
    "stairsdown": "downstairs",
    "stairdown": "downstairs",
}
_EXPAND = {"upstairs": ("up", "stair"), "downstairs": ("down", "stair")}

# Base forms of verbs that fit in "A person is ...ing".
_VERBS = frozenset(
    "bend bike blow boil bounce bow bowl box brush carry catch chop clap clean climb "
    "close comb cook crawl cross cycle dance dig draw dress drill drink drive drop eat "
    "fall fold grab hammer hang hit hold hop hug iron jog jump kick kneel knit knock "
    "lean lie lift lunge march mop move nod open paint pedal peel pick play point pour "
    "press pull punch push put raise reach read ride rise roll rotate row run saw scan "
    "scratch screw scroll scrub serve sew shake shave shout sing sit skate ski skip "
    "slap sleep slice slide smash smoke spin spread squat squeeze stand step stir "
    "stretch stroke sweep swim swing swipe take talk tap text throw toss touch turn "
    "twist type use vacuum wait walk wash watch wave wipe work write".split()
)
_VOWELS = set("aeiouy")
# Characters of words and word separators. Other characters are signs.
_SEPARATORS = re.compile(r"[\w\s\-.,:;/|\\!?'\"()\[\]{}]+")


def composed(text: str) -> str:
    """Return a text in composed Unicode form (NFC)."""
    return unicodedata.normalize("NFC", text)


def signs(label: str) -> str:
    """Return the signs of a label, such as ``"++"``, without word separators."""
    return _SEPARATORS.sub("", composed(label))


def texts_by_name(texts: Mapping[Any, Any], labels: Iterable[Any]) -> dict[str, Any]:
    """Return texts by label as a string; a key such as 0 stands for the label 0.0."""
    names = {label: str(label) for label in labels}
    return {names.get(key, str(key)): each for key, each in texts.items()}


@lru_cache(maxsize=4096)
def label_key(label: str) -> tuple[tuple[str, ...] | str, str]:
    """Return a key that is equal for different spellings of the same label."""
    return stems(label) or composed(label), signs(label)


def split_words(label: str) -> list[str]:
    """Split a label into lower-case words.

    Words are separated by signs such as underscores and hyphens, by changes of case,
    and by changes between letters and digits.
    """
    text = re.sub(r"[\W_]+", " ", composed(label))
    text = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", text)
    # Digits are separate words, because most digits in labels are counters.
    text = re.sub(r"(?<=[^\W\d])(?=\d)|(?<=\d)(?=[^\W\d])", " ", text)
    return text.lower().split()


def as_phrase(label: str) -> str:
    """Convert a label to a phrase: ``"SitToStand"`` -> ``"sit to stand"``.

    Labels that consist mostly of signs, such as ``"C++"``, are not changed.
    """
    words, label = split_words(label), composed(label).strip()
    if max(map(len, words), default=0) < 3 and signs(label):
        return label
    return " ".join(words) or label


@lru_cache(maxsize=4096)
def _stem(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word in _EXPAND or not word.isascii():
        return word
    if word in ("skiing", "doing") or (word.endswith("ing") and len(word) > 5):
        word = word[:-3]
        if len(word) > 2 and word[-1] == word[-2] and word[-1] not in "lsz":
            word = word[:-1]
    elif word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith(("ches", "shes", "sses", "xes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        word = word[:-1]
    word = _IRREGULAR.get(word, word)
    # Without the final e, "cycle" and "cycling" have the same stem.
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


@lru_cache(maxsize=4096)
def stems(label: str) -> tuple[str, ...]:
    """Return the stems of the words of a label, in order and without stop words."""
    found: list[str] = []
    for word in split_words(label):
        if word not in _STOP:
            stem = _stem(word)
            found += _EXPAND.get(stem, (stem,))
    return tuple(found)


def are_words_only(
    labels: Iterable[Any], known: Callable[[str], bool] | None = None
) -> bool:
    """Return whether every label is a string that contains a meaningful word."""
    empty = True
    for label in labels:
        empty = False
        if not isinstance(label, str):
            return False
        if known is not None and known(label):
            continue
        words = [w for w in split_words(label) if w not in _GENERIC]
        if not any(_is_word(word) for word in words):
            return False
    return not empty


def _is_word(word: str) -> bool:
    if not word.isascii():
        return any(char.isalpha() for char in word)
    if word in ("up", "on", "off", "go", "tv"):
        return True
    return len(word) > 2 and word.isalpha() and bool(_VOWELS & set(word))


@lru_cache(maxsize=4096)
def gerund_phrase(phrase: str) -> str | None:
    """Convert a phrase such as ``"kick a ball"`` to a gerund phrase, if possible."""
    words = phrase.split()
    if any(w.endswith("ing") and len(w) > 4 and _stem(w) in _stem_set for w in words):
        return phrase
    for i, word in enumerate(words[:3]):
        if word in _VERBS:
            return " ".join([*words[:i], _gerund(word), *words[i + 1 :]])
    first = words[0] if words else ""
    return phrase if first.endswith("ing") and len(first) > 5 else None


def _gerund(verb: str) -> str:
    if verb == "lie":
        return "lying"
    if verb.endswith("e") and not verb.endswith("ee"):
        return verb[:-1] + "ing"
    short = len(verb) < 5 and len(verb) > 2 and verb[-1] not in "aeiouwxy"
    short = short and sum(letter in "aeiou" for letter in verb) == 1  # not open, iron
    if short and verb[-2] in "aeiou" and verb[-3] not in "aeiou":
        return verb + verb[-1] + "ing"
    return verb + "ing"


_stem_set = {_stem(_gerund(verb)) for verb in _VERBS} | {_stem(v) for v in _VERBS}
