"""Texts about classes and their embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._bank import check_form, check_labels
from .encoders import TextEncoder
from .prompts import PromptBank, describe

# If more classes than this number are not in a bank, only prompts of the first form are
# used for them: encoding is slow, and templates add little information to a name.
_MAX_TEMPLATES = 100


def texts_of_classes(
    names: list[str], own: Mapping[str, Any], forms: Sequence[str]
) -> list[tuple[str, int, str]]:
    """Return the prompts and attributes of classes, as (view, class, text).

    The view is ``""`` for prompts, and the scale for attributes. `own` contains
    user-defined texts by class. Attributes are those of both authors of the packaged
    bank; they are omitted for the single form "keyword".
    """
    bank = PromptBank.from_texts(own) if own else PromptBank()
    for form in forms or [""]:
        check_form(form)
    known = describe(bank, check_labels(names))
    n_templates = sum(each.is_unknown for each, _ in known)
    prompted, clauses = [], []
    for i, (each, prompts) in enumerate(known):
        is_brief = each.is_unknown and n_templates > _MAX_TEMPLATES
        chosen = forms[:1] if is_brief else forms
        texts = dict.fromkeys(text for form in chosen for text in prompts[form])
        prompted += [("", i, text) for text in texts]
        for scale, text in each.clauses.items():
            both = dict.fromkeys([text, each.second_clauses.get(scale, text)])
            clauses += [(scale, i, clause) for clause in both]
    return prompted if list(forms) == ["keyword"] else prompted + clauses


def class_views(
    texts: Sequence[tuple[str, int, str]], n_classes: int, encoder: TextEncoder
) -> NDArray[np.float64]:
    """Embed the texts returned by `texts_of_classes`.

    Returns the mean embedding of each view and class, normalised to unit length, in an
    array of shape (n_views, n_classes, text_dim). Embeddings are NaN if there are no
    texts. The first view contains prompts.
    """
    names = list(dict.fromkeys(["", *(view for view, _, _ in texts)]))
    vectors = np.asarray(encoder.transform([text for _, _, text in texts]))
    views = np.zeros((len(names), n_classes, vectors.shape[1]))
    where = [(names.index(view), i) for view, i, _ in texts]
    np.add.at(views, tuple(np.transpose(where)), vectors)
    size = np.linalg.norm(views, axis=2, keepdims=True)
    with np.errstate(invalid="ignore"):
        return views / size
