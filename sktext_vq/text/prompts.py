"""Class prompts: what a class is called, how it feels to a sensor, what it is not."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator

from . import _templates
from ._bank import (
    FORMS,
    Prompts,
    affirmed,
    check_bank,
    check_form,
    check_labels,
    contained_entry,
    find_entries,
    is_known,
    named_entry,
    read_bank,
    write_bank,
)
from ._labels import are_words_only, as_phrase, label_key

__all__ = ["FORMS", "PromptBank", "are_words"]


def are_words(labels: Iterable[Any]) -> bool:
    """Whether labels mean something when read, so that prompts can be made of them.

    Parameters
    ----------
    labels : iterable
        Class labels of any type.

    Returns
    -------
    bool
        True when every label is a string with a word in it; False for numbers,
        codes (``"c1"``), placeholders (``"class 2"``) and no labels at all.

    Raises
    ------
    TypeError
        If there are no labels, but something else.

    Examples
    --------
    >>> from sktext_vq.text import are_words
    >>> are_words(["WALKING", "climbing stairs"]), are_words(["1", "2"])
    (True, False)
    """
    if not np.iterable(labels):
        raise TypeError(f"labels must be a sequence of class labels, got {labels!r}.")
    return are_words_only(labels, is_known)


@dataclass(frozen=True)
class _Known:
    """What is known of a label.

    Parameters
    ----------
    label : str
    entry : dict or None
        Packaged entry that own texts name, or else that of the label.
    own : dict of {form: list of str}
        Own texts.
    clauses : dict of {scale: str}
        Attributes.
    is_named : bool
        Whether own texts name the entry, so that the label says nothing more.
    """

    label: str
    entry: dict[str, Any] | None
    own: Prompts
    clauses: dict[str, str]
    is_named: bool

    @property
    def is_unknown(self) -> bool:
        """Whether templates alone speak of the label."""
        return self.entry is None and not self.own


class PromptBank(BaseEstimator):
    """Prompts for class labels, in five forms.

    A label is looked up in the user's own texts, then in the packaged bank
    (activities, exercises, gestures, appliances, heart beats, shapes), where
    case, underscores, plural, gerund and common synonyms do not matter; for a label
    that neither knows, templates make prompts of its words.

    Parameters
    ----------
    bank : dict, str or path, default=None
        Own texts by label: ``{label: text}``, ``{label: [texts]}`` or
        ``{label: {form: texts}}``, or a JSON file of them. Forms that are not given
        come from the packaged bank or from templates.
    packaged : bool, default=True
        Whether the packaged bank is used.
    templates : bool, default=True
        Whether unknown labels get prompts from templates; if not, they are errors.

    Notes
    -----
    The forms are those of language-guided augmentation for wearables: keyword,
    sentence, affirmative and negative paraphrases; ``attributes`` are short clauses
    on common scales (strength, rhythm, impact, posture, direction, body part), so
    that classes can be compared. The packaged phrases are one author's; other
    people's words may do better or worse.

    A text or a list stands for the class as a whole: the first one is its sentence,
    all of them are affirmative prompts. What own texts say goes before what the bank
    knows of the label: if they name an activity of the bank ("a person is jogging"),
    its attributes and keyword hold, and single words (gentle, fast) change these; if
    they name none, words in them place the class on scales, and the attributes of the
    label hold on scales that they are silent about.

    Examples
    --------
    >>> from sktext_vq.text import PromptBank
    >>> prompts = PromptBank().prompts(["WALKING_UPSTAIRS", "drift of the gauge"])
    >>> prompts["WALKING_UPSTAIRS"]["sentence"]
    ['A person is walking up a staircase.']
    >>> prompts["drift of the gauge"]["sentence"]
    ['This recording shows drift of the gauge.']
    >>> texts, owner = PromptBank().flat(["sit", "jog"], forms=["keyword"])
    >>> texts, owner.tolist()
    (['sitting', 'sit', 'jogging', 'jog'], [0, 0, 1, 1])
    """

    def __init__(
        self, bank: Any = None, *, packaged: bool = True, templates: bool = True
    ) -> None:
        self.bank = bank
        self.packaged = packaged
        self.templates = templates

    def prompts(self, labels: Iterable[str]) -> dict[str, Prompts]:
        """Prompts of every label in every form.

        Parameters
        ----------
        labels : iterable of str, n_labels
            Different, non-empty strings.

        Returns
        -------
        dict of {label: {form: list of str}}
            In the order of ``labels``; every form has at least one text.

        Raises
        ------
        TypeError, ValueError
            For labels or own texts that are not strings, are empty or repeated.
        LookupError
            For an unknown label when ``templates=False``.

        Warns
        -----
        UserWarning
            When two labels get the same prompts, so that text cannot tell them apart.
        """
        names = check_labels(labels)
        described = describe(self, names)
        shared: dict[int, list[str]] = {}
        for known, _ in described:
            if known.entry is not None and not known.own:
                shared.setdefault(id(known.entry), []).append(known.label)
        same = [each for each in shared.values() if len(each) > 1]
        if same:
            warnings.warn(
                f"Labels {listed(same)} have the same prompts; give texts that tell "
                "them apart.",
                UserWarning,
                stacklevel=2,
            )
        return {known.label: prompts for known, prompts in described}

    def flat(
        self, labels: Iterable[str], forms: str | Sequence[str] = FORMS[:3]
    ) -> tuple[list[str], npt.NDArray[np.intp]]:
        """Texts of chosen forms in one list, with their owners.

        Parameters
        ----------
        labels : iterable of str
            As in `prompts`.
        forms : str or sequence of str, default=("keyword", "sentence", "affirmative")
            Which forms, in this order.

        Returns
        -------
        texts : list of str
            Every label has at least one; none twice for one label.
        owner : ndarray of shape (n_texts,), intp
            Position of each text's label in ``labels``.
        """
        chosen = [forms] if isinstance(forms, str) else list(forms)
        for form in chosen or [""]:
            check_form(form)
        texts: list[str] = []
        owner: list[int] = []
        for i, by_form in enumerate(self.prompts(labels).values()):
            unique = dict.fromkeys(text for form in chosen for text in by_form[form])
            texts += unique
            owner += [i] * len(unique)
        return texts, np.array(owner, dtype=np.intp)

    def clauses(self, labels: Iterable[str]) -> dict[str, dict[str, str]]:
        """Attributes of every label by scale, so that labels can be compared.

        Parameters
        ----------
        labels : iterable of str
            As in `prompts`.

        Returns
        -------
        dict of {label: {scale: str}}
            The scales of activities and gestures are strength, rhythm, impact,
            posture, direction and part. Own attributes are on no scale and go by
            ``"own"``. A label of which nothing is known has an empty dict.

        Examples
        --------
        >>> from sktext_vq.text import PromptBank
        >>> PromptBank().clauses(["jogging"])["jogging"]["impact"]
        'hard impacts with very high peaks'
        """
        known = self._look_up(check_labels(labels))
        return {each.label: each.clauses for each in known}

    def knows(self, label: str) -> bool:
        """Whether a label has own texts or a packaged entry (templates aside)."""
        key = label_key(check_labels([label])[0])
        own = key in map(label_key, self._own())
        return own or (self.packaged and is_known(label))

    @classmethod
    def from_texts(cls, mapping: Mapping[str, Any], **params: Any) -> PromptBank:
        """Merge own texts over the packaged ones, checked at once.

        Parameters
        ----------
        mapping : dict
            ``{label: text}``, ``{label: [texts]}`` or ``{label: {form: texts}}``.
        **params : bool
            ``packaged``, ``templates``.

        Returns
        -------
        PromptBank
        """
        return cls({k: dict(v) for k, v in check_bank(mapping).items()}, **params)

    def to_json(
        self, path: str | os.PathLike[str], labels: Iterable[str] | None = None
    ) -> Path:
        """Write prompts to a file that `from_json` and people can read and edit.

        Parameters
        ----------
        path : str or path
        labels : iterable of str, optional
            Write all five forms of these labels; without it, the own texts.

        Returns
        -------
        Path
        """
        entries = self._own() if labels is None else self.prompts(labels)
        return write_bank(path, entries)

    @classmethod
    def from_json(cls, path: str | os.PathLike[str], **params: Any) -> PromptBank:
        """Make a bank of the texts in a JSON file.

        Parameters
        ----------
        path : str or path
            Written by `to_json`, or a plain ``{label: texts}`` object.
        **params : bool
            ``packaged``, ``templates``.

        Returns
        -------
        PromptBank

        Raises
        ------
        ValueError
            For a file that is no JSON, no bank, or of a newer version.
        """
        return cls.from_texts(read_bank(path), **params)

    @classmethod
    def from_llm(
        cls,
        model: Any,
        labels: Iterable[str],
        *,
        cache: str | os.PathLike[str],
        max_new_tokens: int = 160,
        **params: Any,
    ) -> PromptBank:
        """Let a local text-generation model write the prompts.

        Parameters
        ----------
        model : str, path or callable
            Folder or local name of a ``transformers`` text-generation model, a
            pipeline, or a function from a prompt to a text. Loaded only when the
            file lacks a label.
        labels : iterable of str
        cache : str or path
            JSON file; labels in it are taken from there (delete it, or a label in
            it, to write anew), others are added to it.
        max_new_tokens : int, default=160
            Length of one answer.
        **params : bool
            ``packaged``, ``templates``.

        Returns
        -------
        PromptBank
            Forms for which the model gave no usable line fall back to the packaged
            bank or templates.
        """
        names, path = check_labels(labels), Path(cache)
        entries = read_bank(path) if path.exists() else {}
        missing = [name for name in names if name not in entries]
        if missing:
            from ._generation import text_generator, write_prompts

            generate = text_generator(model, max_new_tokens=max_new_tokens)
            for name in missing:
                entries[name] = write_prompts(generate, as_phrase(name), FORMS)
                write_bank(path, entries)  # an interrupted run keeps what it paid for
        chosen = {name: entries[name] for name in names if entries[name]}
        return cls.from_texts(chosen, **params)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    # -- look-up ------------------------------------------------------------------

    def _look_up(self, names: Sequence[str]) -> Iterator[_Known]:
        """Gather what is known of each label."""
        own = {label_key(name): texts for name, texts in self._own().items()}
        entries = find_entries(names) if self.packaged else [None] * len(names)
        for label, entry in zip(names, entries, strict=True):
            if entry is None and not self.templates and label_key(label) not in own:
                raise LookupError(
                    f"No prompts for label {label!r}: give texts in bank={{label: "
                    "texts}} or set templates=True."
                )
            yield self._gather(label, entry, own.get(label_key(label), {}))

    def _gather(self, label: str, entry: dict[str, Any] | None, own: Prompts) -> _Known:
        """Let own texts say what a label is, and then the label."""
        said = _said(own)
        named = named_entry(said) if self.packaged else None
        words = " ".join(map(affirmed, said))
        if named is not None:
            entry, words = named
        part = entry
        if entry is None:
            words = f"{words} {label}"
            part = contained_entry(label) if self.packaged else None
        clauses = _templates.guess_attributes(words, part)
        if "attributes" in own:
            clauses = {"own": " ".join(own["attributes"])}
        return _Known(label, entry, own, clauses, named is not None)

    def _own(self) -> dict[str, Prompts]:
        if self.bank is None:
            return {}
        if isinstance(self.bank, (str, os.PathLike)):
            return read_bank(self.bank)
        return check_bank(self.bank)


def describe(bank: PromptBank, names: Sequence[str]) -> list[tuple[_Known, Prompts]]:
    """Gather what a bank knows of each label, and make prompts of it."""
    return [(known, _merge(known, names)) for known in bank._look_up(names)]


def listed(groups: Sequence[Sequence[str]], most: int = 5) -> str:
    """List groups of names, the first ones of each, for a message."""
    parts = []
    for group in groups[:most]:
        *names, last = map(repr, group[:most])
        more = f" and {len(group) - most} more" if len(group) > most else ""
        joined = f"{', '.join([*names, last])}{more}"
        parts.append(joined if more else f"{', '.join(names)} and {last}")
    rest = len(groups) - most
    return "; ".join([*parts, f"{rest} more groups"] if rest > 0 else parts)


def _said(own: Prompts) -> list[str]:
    """Own texts that say what a label is."""
    forms = ("keyword", "sentence", "affirmative")
    return list(dict.fromkeys(text for form in forms for text in own.get(form, ())))


def _merge(known: _Known, names: Sequence[str]) -> Prompts:
    """Put own texts before those of the bank, or else of templates."""
    clauses = list(known.clauses.values())
    if known.entry is None:
        base = _templates.prompts(known.label, names, _said(known.own), clauses)
    else:
        base = {form: list(known.entry[form]) for form in FORMS}
        base["attributes"] = clauses
        phrase = as_phrase(known.label)
        if not known.is_named and phrase not in base["keyword"]:
            base["keyword"].append(phrase)
    return base | {form: list(texts) for form, texts in known.own.items()}
