"""Prompts for class labels."""

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

from sktext_vq._utils.files import check_path, check_target
from sktext_vq._utils.validation import find_stack_level

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
    """Return whether all labels contain words from which prompts can be created.

    Parameters
    ----------
    labels : iterable
        Class labels of any type.

    Returns
    -------
    bool
        True if every label is a string that contains a meaningful word. False for
        numbers, codes (``"c1"``), placeholders (``"class 2"``) and empty iterables.

    Raises
    ------
    TypeError
        If `labels` is not iterable.

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
    """Texts and attributes of a label."""

    label: str
    entry: dict[str, Any] | None  # in the packaged bank
    own: Prompts  # user-defined texts
    clauses: dict[str, str]  # attributes by scale
    second_clauses: dict[str, str]  # attributes by the second author
    is_named: bool  # whether the entry was found by the user-defined texts

    @property
    def is_unknown(self) -> bool:
        """Whether the label has neither a packaged entry nor user-defined texts."""
        return self.entry is None and not self.own


class PromptBank(BaseEstimator):
    """Prompts for class labels in five forms.

    A label is looked up in the user-defined texts and then in the packaged bank
    (activities, exercises, gestures, appliances, heart beats and shapes), regardless of
    case, underscores, plurals, gerunds and common synonyms. Prompts for other labels
    are generated from templates.

    Parameters
    ----------
    bank : dict, str or path, default=None
        User-defined texts, as ``{label: text}``, ``{label: [texts]}`` or ``{label:
        {form: texts}}``, or the path of a JSON file. Missing forms are taken from the
        packaged bank or from templates.
    packaged : bool, default=True
        Whether to use the packaged bank.
    templates : bool, default=True
        Whether to use templates for unknown labels. If False, an error is raised for
        unknown labels.

    Notes
    -----
    The forms are ``keyword``, ``sentence``, ``affirmative`` and ``negative``
    paraphrases, and ``attributes``, which are short clauses on nine scales (strength,
    rhythm, impact, posture, direction, body part, and movement, rotation and position
    of the hand) that make classes comparable.

    If a text or a list of texts is given for a label, the first text is used as the
    sentence and all texts are used as affirmative prompts. If the texts name an
    activity of the packaged bank, as in "a person is jogging", its keyword and
    attributes are used, modified by words such as "gentle" or "fast". Otherwise,
    attributes are derived from the words of the texts and of the label.

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
        """Return the prompts of every label in every form.

        Parameters
        ----------
        labels : iterable of str
            Unique, non-empty labels.

        Returns
        -------
        dict of {label: {form: list of str}}
            Prompts in the order of `labels`, with at least one text for each form.

        Raises
        ------
        TypeError, ValueError
            If a label or user-defined text is not a string, is empty or is repeated.
        LookupError
            If a label is unknown and ``templates=False``.

        Warns
        -----
        UserWarning
            If several labels have the same prompts.
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
                f"Labels {format_groups(same)} have the same prompts. Provide texts "
                "that distinguish these labels.",
                UserWarning,
                stacklevel=find_stack_level(),
            )
        return {known.label: prompts for known, prompts in described}

    def flat(
        self, labels: Iterable[str], forms: str | Sequence[str] = FORMS[:3]
    ) -> tuple[list[str], npt.NDArray[np.intp]]:
        """Return the prompts of selected forms in one list.

        Parameters
        ----------
        labels : iterable of str
            Unique, non-empty labels.
        forms : str or sequence of str, default=("keyword", "sentence", "affirmative")
            Forms to include, in this order.

        Returns
        -------
        texts : list of str
            Prompts of all labels, without duplicates within a label.
        owner : ndarray of shape (n_texts,), dtype intp
            Index of the label of each text.
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
        """Return the attributes of every label by scale.

        Parameters
        ----------
        labels : iterable of str
            Unique, non-empty labels.

        Returns
        -------
        dict of {label: {scale: str}}
            Attributes of each label. The scales of activities and gestures are
            strength, rhythm, impact, posture, direction, part, hand movement, hand
            rotation and hand position. The key of user-defined attributes is ``"own"``.

        Examples
        --------
        >>> from sktext_vq.text import PromptBank
        >>> PromptBank().clauses(["jogging"])["jogging"]["impact"]
        'hard impacts with very high peaks'
        """
        known = self._look_up(check_labels(labels))
        return {each.label: each.clauses for each in known}

    def knows(self, label: str) -> bool:
        """Return whether a label has user-defined texts or a packaged entry."""
        key = label_key(check_labels([label])[0])
        own = key in map(label_key, self._own())
        return own or (self.packaged and is_known(label))

    @classmethod
    def from_texts(cls, mapping: Mapping[str, Any], **params: Any) -> PromptBank:
        """Create a bank from user-defined texts and check the texts.

        Parameters
        ----------
        mapping : dict
            ``{label: text}``, ``{label: [texts]}`` or ``{label: {form: texts}}``.
        **params : bool
            Parameters `packaged` and `templates` of the bank.

        Returns
        -------
        PromptBank
            Bank with the texts.
        """
        return cls({k: dict(v) for k, v in check_bank(mapping).items()}, **params)

    def to_json(
        self, path: str | os.PathLike[str], labels: Iterable[str] | None = None
    ) -> Path:
        """Write prompts to a JSON file that can be edited and read by `from_json`.

        Parameters
        ----------
        path : str or path
            File to write.
        labels : iterable of str, optional
            Labels whose prompts of all five forms are written. By default, only the
            user-defined texts are written.

        Returns
        -------
        Path
            Path of the file.
        """
        entries = self._own() if labels is None else self.prompts(labels)
        return write_bank(path, check_bank(entries) if entries else {})

    @classmethod
    def from_json(cls, path: str | os.PathLike[str], **params: Any) -> PromptBank:
        """Create a bank from a JSON file.

        Parameters
        ----------
        path : str or path
            File written by `to_json`, or a JSON file with an object ``{label: texts}``.
        **params : bool
            Parameters `packaged` and `templates` of the bank.

        Returns
        -------
        PromptBank
            Bank with the texts from the file.

        Raises
        ------
        ValueError
            If the file is not valid JSON, does not contain a bank, or was written by a
            newer version.
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
        """Generate prompts with a local text-generation model.

        Parameters
        ----------
        model : str, path or callable
            Folder or name of a local ``transformers`` text-generation model, a
            pipeline, or a function that maps a prompt to a text.
        labels : iterable of str
            Unique, non-empty labels.
        cache : str or path
            JSON file in which generated prompts are saved. Prompts are generated only
            for labels that are not in the file.
        max_new_tokens : int, default=160
            Maximum number of tokens to generate for each form.
        **params : bool
            Parameters `packaged` and `templates` of the bank.

        Returns
        -------
        PromptBank
            Bank with the generated prompts. If no text is generated for a form or a
            label, the packaged bank or templates are used.
        """
        names, path = check_labels(labels), check_path(cache)
        entries = read_bank(path) if path.is_file() else {}
        known = {label_key(name): texts for name, texts in entries.items()}
        missing = [name for name in names if label_key(name) not in known]
        if missing:
            check_target(path)  # before text is generated, which takes minutes
            from ._llm import text_generator, write_prompts

            generate = text_generator(model, max_new_tokens=max_new_tokens)
            for name in missing:
                texts = write_prompts(generate, as_phrase(name), FORMS)
                if texts and label_key(name) not in known:
                    known[label_key(name)] = entries[name] = texts
                    write_bank(path, entries)  # now, in case of an interruption
        keys = {label_key(name): name for name in names}
        chosen = {name: known[key] for key, name in keys.items() if key in known}
        return cls.from_texts(chosen, **params) if chosen else cls(**params)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def _look_up(self, names: Sequence[str]) -> Iterator[_Known]:
        """Yield the texts and attributes of each label."""
        own = {label_key(name): texts for name, texts in self._own().items()}
        entries = find_entries(names) if self.packaged else [None] * len(names)
        for label, entry in zip(names, entries, strict=True):
            if entry is None and not self.templates and label_key(label) not in own:
                raise LookupError(
                    f"There are no prompts for label {label!r}. Provide texts in "
                    "bank={label: texts} or set templates=True."
                )
            yield self._gather(label, entry, own.get(label_key(label), {}))

    def _gather(self, label: str, entry: dict[str, Any] | None, own: Prompts) -> _Known:
        """Collect the texts and attributes of a label."""
        texts = _descriptions(own)
        named = named_entry(texts) if self.packaged else None
        words = " ".join(map(affirmed, texts))
        if named is not None:
            entry, words = named
        part = entry
        if entry is None:
            claimed = affirmed(as_phrase(label))
            words = f"{words} {claimed}"
            part = contained_entry(claimed) if self.packaged else None
        first, second = (
            _templates.guess_attributes(words, part, form)
            for form in ("attributes", "second_attributes")
        )
        if "attributes" in own:
            first, second = {"own": " ".join(own["attributes"])}, {}
        return _Known(label, entry, own, first, second, named is not None)

    def _own(self) -> dict[str, Prompts]:
        if self.bank is None:
            return {}
        if isinstance(self.bank, (str, os.PathLike)):
            return read_bank(self.bank)
        return check_bank(self.bank)


def describe(bank: PromptBank, names: Sequence[str]) -> list[tuple[_Known, Prompts]]:
    """Return the texts, attributes and prompts of each label."""
    return [(known, _merge(known, names)) for known in bank._look_up(names)]


def format_groups(groups: Sequence[Sequence[str]], n_shown: int = 5) -> str:
    """Format at most `n_shown` groups of at most `n_shown` names each for a message."""
    parts = []
    for group in groups[:n_shown]:
        *names, last = map(repr, group[:n_shown])
        more = f" and {len(group) - n_shown} more" if len(group) > n_shown else ""
        joined = f"{', '.join([*names, last])}{more}"
        parts.append(joined if more else f"{', '.join(names)} and {last}")
    n_others = len(groups) - n_shown
    return "; ".join([*parts, f"{n_others} more groups"] if n_others > 0 else parts)


def _descriptions(own: Prompts) -> list[str]:
    """Return the user-defined texts that describe a label."""
    forms = ("keyword", "sentence", "affirmative")
    return list(dict.fromkeys(text for form in forms for text in own.get(form, ())))


def _merge(known: _Known, names: Sequence[str]) -> Prompts:
    """Merge user-defined texts with texts of the packaged bank or templates."""
    clauses = list(known.clauses.values())
    if known.entry is None:
        texts = _descriptions(known.own)
        base = _templates.prompts(known.label, names, texts, clauses)
    else:
        base = {form: list(known.entry[form]) for form in FORMS}
        base["attributes"] = clauses
        phrase = as_phrase(known.label)
        if not known.is_named and phrase not in base["keyword"]:
            base["keyword"].append(phrase)
    return base | {form: list(texts) for form, texts in known.own.items()}
