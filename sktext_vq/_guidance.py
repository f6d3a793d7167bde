"""Texts that guide training: which ones, their vectors, and whose they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sktext_vq.text import PromptBank, TextEncoder


@dataclass(frozen=True)
class Guidance:
    """Texts about the training series.

    Parameters
    ----------
    texts : list of str
        Unique texts, or the first prompt of each class.
    embeddings : ndarray of shape (n_texts, text_dim), float32
        One vector for each.
    of_case : ndarray of shape (n_cases,), int64
        Which one belongs to a case; -1 for none.
    by_class : bool
        Whether texts are prompts of the classes, in order.
    """

    texts: list[str]
    embeddings: NDArray[np.float32]
    of_case: NDArray[np.int64]
    by_class: bool


def describe_classes(
    names: list[str],
    own: Mapping[Any, Any] | None,
    forms: Sequence[str],
    encoder: TextEncoder,
) -> tuple[list[str], NDArray[np.float32]]:
    """Describe classes by prompts.

    Parameters
    ----------
    names : list of str
        Classes.
    own : dict, optional
        Texts of the user, in place of those of the bank.
    forms : sequence of str
        Forms of prompts.
    encoder : TextEncoder
        Makes vectors of texts.

    Returns
    -------
    first : list of str
        The first prompt of each class.
    vectors : ndarray of shape (n_classes, text_dim)
        Mean of the embeddings of a class, of length 1.

    Raises
    ------
    ValueError
        If a class has no text among those of the user.
    """
    bank = PromptBank()
    if own is not None:
        texts_of = {str(label): texts for label, texts in own.items()}
        missing = [name for name in names if name not in texts_of]
        if missing:
            raise ValueError(
                f"text has no entry for {missing}. Its keys are {sorted(texts_of)}."
            )
        bank = PromptBank.from_texts(texts_of)
    texts, owner = bank.flat(names, forms)
    owner = np.asarray(owner)
    embeddings = encoder.transform(texts)
    vectors = np.zeros((len(names), embeddings.shape[1]), np.float32)
    np.add.at(vectors, owner, embeddings)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return [texts[int((owner == i).argmax())] for i in range(len(names))], vectors


def guide_cases(
    texts: Any, cases: NDArray[np.int64], n_cases: int, encoder: TextEncoder
) -> Guidance:
    """Let texts of single cases guide, each different one once.

    Parameters
    ----------
    texts : array-like of str
        One for each of `cases`.
    cases : ndarray of int
        Cases with a text.
    n_cases : int
        Number of all cases.
    encoder : TextEncoder
        Makes vectors of texts.
    """
    texts = np.asarray(texts, dtype=object)
    if texts.shape != cases.shape:
        raise ValueError(
            f"text must have one string per case: X has {len(cases)} cases, text has "
            f"shape {texts.shape}."
        )
    vectors = encoder.transform(list(texts))  # also checks them
    unique, first, inverse = np.unique(
        texts.astype(str), return_index=True, return_inverse=True
    )
    of_case = np.full(n_cases, -1, np.int64)
    of_case[cases] = inverse
    return Guidance(unique.tolist(), vectors[first], of_case, False)
