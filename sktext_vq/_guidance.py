"""Texts that guide training: which ones, their word vectors, and whose they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sktext_vq.nn.text import Texts
from sktext_vq.text import PromptBank, TextEncoder
from sktext_vq.text._bank import check_form, check_labels
from sktext_vq.text._labels import composed
from sktext_vq.text.encoders import check_texts
from sktext_vq.text.prompts import describe

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
# What is longer says little more, but padding costs memory.
_MAX_WORDS, _MAX_SENTENCES = 64, 16
_ENCODED_AT_ONCE = 256
# Classes that nothing is known of get all prompts of templates, if they are so few. The
# encoder takes most of the time, and templates add little to a name.
_MOST_TEMPLATES = 100


@dataclass(frozen=True)
class Guidance:
    """Texts about the training series.

    Parameters
    ----------
    texts : Texts
        Word vectors of all texts; those of classes come first.
    class_of_text : ndarray of shape (n_class_texts,), int64
        Whose class texts they are.
    case_text : ndarray of shape (n_cases,), int64
        Which text belongs to a case; -1 for none.
    shown : list of str
        Unique texts of cases, or the first prompt of each class.
    """

    texts: Texts
    class_of_text: NDArray[np.int64]
    case_text: NDArray[np.int64]
    shown: list[str]


def make_guidance(
    class_texts: Sequence[str],
    class_of_text: Sequence[int],
    case_texts: Sequence[str],
    cases: NDArray[np.int64],
    n_cases: int,
    encoder: TextEncoder,
) -> Guidance:
    """Encode texts of classes and of cases, each different one once.

    Parameters
    ----------
    class_texts : sequence of str
        Prompts; may be empty.
    class_of_text : sequence of int
        Their classes.
    case_texts : sequence of str
        One for each of `cases`; may be empty.
    cases : ndarray of int
        Cases with a text.
    n_cases : int
        Number of all cases.
    encoder : TextEncoder
        Makes vectors of words.
    """
    owner = np.array(class_of_text, np.int64)
    unique, inverse = np.unique(np.array(case_texts, dtype=object), return_inverse=True)
    case_text = np.full(n_cases, -1, np.int64)
    case_text[cases] = len(owner) + inverse
    texts = encode_texts([*class_texts, *unique], encoder)
    shown = unique.tolist()
    if len(owner):
        firsts = np.unique(owner, return_index=True)[1]
        shown = [class_texts[i] for i in firsts]
    return Guidance(texts, owner, case_text, shown)


def refuse_broken(names: Iterable[Any], called: str) -> None:
    """Refuse names that tables and arrays of strings cannot hold."""
    for name in names:
        if not isinstance(name, str):
            continue
        # Half a surrogate pair has no code in UTF-8, and numpy drops NUL at the end.
        if name != name.encode("utf-8", "replace").decode() or name.endswith("\0"):
            raise ValueError(
                f"{called} has {name!r}, which is no whole text: it ends in NUL, or "
                "has half a surrogate pair. Give it another name."
            )


def check_case_texts(texts: Any, n_cases: int) -> list[str]:
    """Return texts of all cases as a list, or say what is wrong with them."""
    array = np.asarray(texts, dtype=object)
    if array.shape != (n_cases,):
        raise ValueError(
            f"text must have one string per case: X has {n_cases} cases, text has "
            f"shape {array.shape}."
        )
    return check_texts(array, "text")


def prompts_of_classes(
    names: list[str], own: Mapping[Any, Any] | None, forms: Sequence[str]
) -> tuple[list[str], list[int]]:
    """Describe classes by prompts.

    Parameters
    ----------
    names : list of str
        Classes.
    own : dict, optional
        Texts of the user, in place of those of the bank.
    forms : sequence of str
        Forms of prompts.

    Returns
    -------
    texts : list of str
    owner : list of int
        Which class a text is about.

    Raises
    ------
    ValueError
        If a class has no text among those of the user.
    """
    bank = PromptBank()
    if own is not None:
        texts_of = {composed(str(label)): texts for label, texts in own.items()}
        missing = [name for name in names if composed(name) not in texts_of]
        if missing:
            raise ValueError(
                f"text has no entry for {missing}. Its keys are {sorted(texts_of)}."
            )
        bank = PromptBank.from_texts(texts_of)
    texts, owner = bank.flat(names, forms)
    return list(texts), [int(i) for i in owner]


def texts_of_classes(
    names: list[str], own: Mapping[str, Any], forms: Sequence[str]
) -> list[tuple[str, int, str]]:
    """Say all that there is to say of classes, as a whole and by scale.

    Parameters
    ----------
    names : list of str
        Classes.
    own : dict
        Texts of the user about some of them; may be empty.
    forms : sequence of str
        Forms of prompts. The keyword alone means names and nothing else: attributes
        are left out then.

    Returns
    -------
    list of (view, class, text)
        The view is "" for prompts, and the scale of an attribute. Of many classes
        that only templates speak of, the prompts are those of the first form.
    """
    bank = PromptBank.from_texts(own) if own else PromptBank()
    for form in forms or [""]:
        check_form(form)
    known = describe(bank, check_labels(names))
    n_templates = sum(each.is_unknown for each, _ in known)
    said, clauses = [], []
    for i, (each, prompts) in enumerate(known):
        is_brief = each.is_unknown and n_templates > _MOST_TEMPLATES
        chosen = forms[:1] if is_brief else forms
        texts = dict.fromkeys(text for form in chosen for text in prompts[form])
        said += [("", i, text) for text in texts]
        clauses += [(scale, i, text) for scale, text in each.clauses.items()]
    return said if list(forms) == ["keyword"] else said + clauses


def class_views(
    said: Sequence[tuple[str, int, str]], n_classes: int, encoder: TextEncoder
) -> NDArray[np.float64]:
    """Embed what `texts_of_classes` says.

    Returns
    -------
    ndarray of shape (n_views, n_classes, text_dim)
        Mean embedding of each view of a class, of length 1; NaN where nothing is said.
        Prompts come first.
    """
    names = list(dict.fromkeys(["", *(view for view, _, _ in said)]))
    vectors = encoder.transform([text for _, _, text in said])
    views = np.zeros((len(names), n_classes, vectors.shape[1]))
    where = [(names.index(view), i) for view, i, _ in said]
    np.add.at(views, tuple(np.transpose(where)), vectors)
    size = np.linalg.norm(views, axis=2, keepdims=True)
    with np.errstate(invalid="ignore"):
        return views / size


def encode_texts(texts: Sequence[str], encoder: TextEncoder) -> Texts:
    """Cut texts into sentences, and encode the words of each different one.

    Parameters
    ----------
    texts : sequence of str
    encoder : TextEncoder
        A table of vectors knows whole texts only, so that these are not cut.

    Returns
    -------
    Texts
    """
    table = isinstance(encoder.model, Mapping)
    cut = [
        [text] if table or not isinstance(text, str) else _sentences(text)
        for text in texts
    ]
    unique = list(dict.fromkeys(sentence for text in cut for sentence in text))
    row = {sentence: i for i, sentence in enumerate(unique)}
    most = max(map(len, cut))
    sentences = torch.full((len(cut), most), -1, dtype=torch.int64)
    for i, text in enumerate(cut):
        sentences[i, : len(text)] = torch.tensor([row[sentence] for sentence in text])
    pieces, masks = [], []
    for start in range(0, len(unique), _ENCODED_AT_ONCE):
        found, mask = encoder.tokens(unique[start : start + _ENCODED_AT_ONCE])
        pieces.append(torch.from_numpy(found[:, :_MAX_WORDS].astype(np.float32)))
        masks.append(torch.from_numpy(mask[:, :_MAX_WORDS].copy()))
    longest = max(piece.shape[1] for piece in pieces)
    shape = len(unique), longest, pieces[0].shape[2]
    words, known = torch.zeros(shape), torch.zeros(shape[:2], dtype=torch.bool)
    start = 0
    for piece, here in zip(pieces, masks, strict=True):
        words[start : start + len(piece), : piece.shape[1]] = piece
        known[start : start + len(piece), : piece.shape[1]] = here
        start += len(piece)
    return Texts(words, known, sentences)


def _sentences(text: str) -> list[str]:
    found = [part for part in _SENTENCE_END.split(text.strip()) if part]
    return found[:_MAX_SENTENCES] or [
        text
    ]  # an empty text is for the encoder to refuse
