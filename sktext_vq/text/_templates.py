"""Templates of prompts for labels that are not in a bank."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from ._bank import SCALES, clauses_of, has_scales
from ._labels import are_words_only, as_phrase, gerund_phrase, stems

# Attributes (scale and clause) by word stem, in the wording of the packaged bank.
_HINTS: dict[str, tuple[tuple[str, str], ...]] = {}
# Scales on which hints replace the attributes of a packaged entry. On other scales,
# hints only add missing attributes.
_REPLACED_SCALES = ("strength", "rhythm", "hand movement")
_SLOW, _FAST = "slow slowly relaxed", "fast quick quickly brisk rapid rapidly"
# Slow and fast are relative to the activity, so its frequency is multiplied.
_PACES = {
    stems(word)[0]: pace
    for words, pace in ((_SLOW, 0.75), (_FAST, 1.25))
    for word in words.split()
}
_FREQUENCY = re.compile(r"\d+(?:\.\d+)?")


def _hint(words: str, *clauses: tuple[str, str]) -> None:
    for word in words.split():
        stem = stems(word)[0]
        _HINTS[stem] = (*_HINTS.get(stem, ()), *clauses)


_hint(
    "still static idle rest resting",
    ("strength", "no movement, the signal is flat"),
    ("hand movement", "almost no movement of the hand, the signal stays flat"),
)
_hint("still static idle rest resting sleep", ("rhythm", "no repeated pattern"))
_hint(
    "gentle soft light small careful",
    ("strength", "gentle movement of small size"),
    ("hand movement", "gentle movement of small amplitude of the hand"),
)
_hint(_SLOW, ("rhythm", "slow rhythm below one cycle per second"))
_hint(_FAST, ("rhythm", "fast rhythm of two cycles per second or more"))
_hint(
    "strong hard vigorous violent heavy intense",
    ("strength", "strong movement of large size"),
    ("hand movement", "strong vigorous movement of large amplitude of the hand"),
)
_hint("repeated repetitive alternating", ("rhythm", "regular repeated rhythm"))
_hint("once single", ("rhythm", "a single movement that happens once"))
_hint(
    "jump hop stamp stomp land bounce",
    ("strength", "strong movement of large size"),
    ("impact", "hard impacts with very high peaks"),
)
_hint("hit strike punch kick slap slam knock", ("impact", "distinct impacts and peaks"))
_hint("throw swing smash serve", ("strength", "strong movement of large size"))
_hint("sit seated chair sofa", ("posture", "sitting, the trunk is upright"))
_hint("stand upright", ("posture", "standing upright"))
_hint("lie bed supine prone", ("posture", "lying, the trunk is horizontal"))
_hint("bend stoop crouch bow", ("posture", "bent over, the orientation changes a lot"))
_hint("kneel knee squat", ("posture", "low posture with bent knees"))
_hint("up climb rise raise lift ascend", ("direction", "main motion upward"))
_hint("down fall lower descend drop", ("direction", "main motion downward"))
_hint("left", ("direction", "main motion to the left"))
_hint("right", ("direction", "main motion to the right"))
_hint("forward front push", ("direction", "main motion forward"))
_hint("backward back pull", ("direction", "main motion backward"))
_hint("turn rotate twist spin roll circle", ("direction", "main motion is a rotation"))
_hint("hand wrist finger write type", ("part", "felt most at the hand"))
_hint("arm elbow shoulder throw wave", ("part", "felt most at the arm"))
_hint("leg foot ankle thigh kick step walk run", ("part", "felt most at the leg"))
_hint("head neck nod", ("part", "felt most at the head"))
_hint("trunk waist hip chest torso", ("part", "felt most at the trunk"))


def guess_attributes(
    text: str, nearest: Mapping[str, Any] | None = None, form: str = "attributes"
) -> dict[str, str]:
    """Guess attributes on the scales of the bank from the words of a text.

    The other attributes are those of the entry `nearest`; see `clauses_of`.
    """
    known = {} if nearest is None else clauses_of(nearest, form)
    if nearest is not None and not has_scales(nearest):
        return known
    hinted: dict[str, str] = {}
    for word in stems(text):
        for scale, clause in _HINTS.get(word, ()):
            if scale in known and word in _PACES:
                clause = _multiply_frequency(known[scale], _PACES[word])
            if scale in _REPLACED_SCALES or scale not in known:
                hinted.setdefault(scale, clause)
    clauses = known | hinted
    return {scale: clauses[scale] for scale in SCALES if scale in clauses}


def _multiply_frequency(rhythm: str, factor: float) -> str:
    """Multiply the frequencies in a clause by a factor."""
    return _FREQUENCY.sub(lambda found: f"{float(found[0]) * factor:.2g}", rhythm)


def prompts(
    label: str,
    names: Sequence[str],
    given: Sequence[str] = (),
    attributes: Sequence[str] = (),
) -> dict[str, list[str]]:
    """Create prompts of every form for a label."""
    phrase = as_phrase(label)
    if given and not are_words_only([label]):
        phrase = given[0].strip().rstrip(".")
    gerund = gerund_phrase(phrase) if phrase.isascii() else None
    if gerund is not None:
        sentence = f"A person is {gerund}."
        affirmative = [
            f"Somebody wears the sensor while {gerund}.",
            f"The movement is that of {gerund}.",
        ]
    else:
        sentence = f"This recording shows {phrase}."
        affirmative = [
            f"The signal was recorded during {phrase}.",
            f"The pattern is typical of {phrase}.",
        ]
    summary = ", ".join(attributes[:3]) if attributes else f"a signal as in {phrase}"
    affirmative.append(f"{summary[0].upper()}{summary[1:]}.")
    others = [as_phrase(n) for n in islice((n for n in names if n != label), 4)]
    if others:
        listed = " or ".join(others)
        negative = [f"This is not {listed}.", f"Nothing here looks like {listed}."]
    else:
        negative = [f"This is nothing other than {phrase}."]
    return {
        "keyword": [phrase],
        "sentence": [sentence],
        "affirmative": affirmative,
        "negative": negative,
        "attributes": list(attributes) or [phrase],
    }
