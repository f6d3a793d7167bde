"""Texts about classes and their embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._bank import check_form, check_labels
from .encoders import TextEncoder
from .prompts import PromptBank, describe

# With more classes without an entry in a bank, only prompts of the first form are used:
# encoding takes most of the time, and templates add little information to a name.
_MAX_TEMPLATES = 100


def texts_of_classes(
    names: list[str], own: Mapping[str, Any], forms: Sequence[str]
) -> list[tuple[str, int, str]]:
    """Collect the prompts and attributes of classes.

    Parameters
    ----------
    names : list of str
        Class names.
    own : dict
        User-defined texts by class; may be empty.
    forms : sequence of str
        Forms of prompts. ``["keyword"]`` excludes attributes.

    Returns
    -------
    list of (view, class, text)
        The view is "" for prompts and the scale for attributes.
    """
    bank = PromptBank.from_texts(own) if own else PromptBank()
    for form in forms or [""]:
        check_form(form)
    known = describe(bank, check_labels(names))
    n_templates = sum(each.is_unknown for each, _ in known)
    said, clauses = [], []
    for i, (each, prompts) in enumerate(known):
        is_brief = each.is_unknown and n_templates > _MAX_TEMPLATES
        chosen = forms[:1] if is_brief else forms
        texts = dict.fromkeys(text for form in chosen for text in prompts[form])
        said += [("", i, text) for text in texts]
        clauses += [(scale, i, text) for scale, text in each.clauses.items()]
    return said if list(forms) == ["keyword"] else said + clauses


def class_views(
    said: Sequence[tuple[str, int, str]], n_classes: int, encoder: TextEncoder
) -> NDArray[np.float64]:
    """Embed the texts of `texts_of_classes`.

    Returns
    -------
    ndarray of shape (n_views, n_classes, text_dim)
        Mean embedding of each view of a class, with norm 1; NaN if a class has no text
        of the view. The first view contains prompts.
    """
    names = list(dict.fromkeys(["", *(view for view, _, _ in said)]))
    vectors = np.asarray(encoder.transform([text for _, _, text in said]))
    views = np.zeros((len(names), n_classes, vectors.shape[1]))
    where = [(names.index(view), i) for view, i, _ in said]
    np.add.at(views, tuple(np.transpose(where)), vectors)
    size = np.linalg.norm(views, axis=2, keepdims=True)
    with np.errstate(invalid="ignore"):
        return views / size
