"""Closed-form fit of the alignment between series and texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.special import softmax

from sktext_vq._heads.alignment import (
    SHRINKAGE,
    AlignedTexts,
    TextAlignment,
    split_text,
)
from sktext_vq.text import TextEncoder

Array = NDArray[np.floating[Any]]

# Penalty of the regression, relative to the mean diagonal of the Gram matrix.
_PENALTY = 0.1
# Factor by which predicted class indicators are multiplied to obtain logits: twice the
# default inverse temperature of a ridge classifier.
_CLASS_SCALE = 6.0
_LEAST_LOGIT = -1e3  # replaces -inf, which is invalid in model files
# Maximum numbers of predicted components, and of distinct sentences about cases.
_MAX_COMPONENTS = 64
_MAX_SENTENCES_OF_CASES = 1000


@dataclass(frozen=True)
class ChosenTexts:
    """Texts about training series, before they are encoded.

    Parameters
    ----------
    prompts : list of str
        Prompts of the classes. The list may be empty.
    owner : ndarray of shape (n_prompts,)
        Index of the class of each prompt.
    case_texts : list of str, optional
        Text of each case.
    """

    prompts: list[str]
    owner: NDArray[np.intp]
    case_texts: list[str] | None

    def take(self, cases: NDArray[np.integer[Any]]) -> ChosenTexts:
        """Return the texts of the given cases."""
        texts = self.case_texts
        return replace(self, case_texts=texts and [texts[i] for i in cases])


def align_texts(
    features: NDArray[np.float32],
    shares_of_codes: Array,
    texts: ChosenTexts | None,
    classes: NDArray[np.int64] | None,
    encoder: TextEncoder,
    class_logits: tuple[Array, Array] | None = None,
) -> TextAlignment | None:
    """Fit regressions from features to texts.

    Parameters
    ----------
    features : ndarray of shape (n_cases, n_features)
        Scaled features of training cases.
    shares_of_codes : ndarray of shape (n_cases, n_codes)
        Share of each code in the series of the same cases.
    texts : ChosenTexts or None
        Texts about the same cases.
    classes : ndarray of shape (n_cases,), optional
        Index of the class of each case.
    encoder : TextEncoder
        Encoder of the texts, which is not called in this function.
    class_logits : tuple of ndarray, optional
        Coefficients, of shape (n_features, n_classes), and intercepts for class logits.
        By default, class indicators are predicted by ridge regression.

    Returns
    -------
    TextAlignment or None
        Alignment, or None if there are no texts or all texts are equal.
    """
    if texts is None:
        return None
    # Texts that are the same for all cases are not informative.
    with_classes = classes is not None and bool(texts.prompts) and np.ptp(classes) > 0
    about_cases = None
    if texts.case_texts is not None:
        about_cases = _shares_of_sentences(texts.case_texts, encoder)
        if not np.ptp(about_cases[2], axis=0).any():
            about_cases = None
    if not with_classes and about_cases is None:
        return None
    mean = features.mean(axis=0, dtype=np.float64)
    centred = features - mean.astype(np.float32)
    by_class = by_case = None
    gram: _Gram | None = None  # Gram matrix of all cases, shared by both kinds of texts
    if with_classes:
        assert classes is not None
        loadings = _class_shares(texts.owner)
        if class_logits is None:
            gram = _Gram.of(centred)
            indicators = np.eye(len(loadings))[classes]
            dual = gram.solve(indicators - indicators.mean(axis=0))
            coef = _CLASS_SCALE * (centred.T @ dual.astype(np.float32))
            class_logits = coef, _CLASS_SCALE * indicators.mean(axis=0) - mean @ coef
        coef, intercept = class_logits
        intercept = np.maximum(intercept, _LEAST_LOGIT)
        components = softmax(features @ coef.astype(np.float32) + intercept, axis=1)
        centre = components.mean(axis=0)
        by_class = _part(
            texts.prompts, coef, intercept, loadings, loadings[classes],
            components - centre, shares_of_codes, centre,
        )  # fmt: skip
    if about_cases is not None:
        sentences, cases, shares = about_cases
        own = centred if len(cases) == len(centred) else centred[cases]
        if gram is None or own is not centred:
            gram = _Gram.of(own)
        coef, loadings = _regress(own, gram, shares - shares.mean(axis=0))
        by_case = _part(
            sentences, coef, -mean @ coef, loadings, shares, own @ coef,
            shares_of_codes[cases], None,
        )  # fmt: skip
    return TextAlignment(by_class, by_case, shares_of_codes.mean(axis=0))


def _part(
    texts: list[str],
    coef: Array,
    intercept: Array,
    loadings: Array,
    shares: Array,
    components: Array,
    shares_of_codes: Array,
    centre: Array | None,
) -> AlignedTexts:
    """Compute covariances of text shares with components and codes."""
    deviations = shares - shares.mean(axis=0)
    usage = shares_of_codes - shares_of_codes.mean(axis=0)
    return AlignedTexts(
        texts,
        coef.astype(np.float32),
        np.asarray(intercept, np.float64),
        loadings.astype(np.float32),
        shares.mean(axis=0).astype(np.float32),
        _covariance(deviations, deviations),
        _covariance(components, deviations),
        _covariance(deviations, usage),
        None if centre is None else np.asarray(centre, np.float64),
    )


def _covariance(left: Array, right: Array) -> NDArray[np.float32]:
    return np.asarray(left.T @ right / len(left), np.float32)


@dataclass(frozen=True, eq=False)
class _Gram:
    """Gram matrix of cases, and its Cholesky factor after adding the penalty."""

    products: Array
    factor: Any

    @classmethod
    def of(cls, features: NDArray[np.float32]) -> _Gram:
        products = (features @ features.T).astype(np.float64)
        penalty = _PENALTY * max(np.trace(products) / len(products), 1e-12)
        return cls(products, cho_factor(products + penalty * np.eye(len(products))))

    def solve(self, targets: Array) -> Array:
        """Return the dual coefficients of a ridge regression on centred targets."""
        return np.asarray(cho_solve(self.factor, targets))


def _regress(
    features: NDArray[np.float32], gram: _Gram, deviations: Array
) -> tuple[NDArray[np.float32], Array]:
    """Return the coefficients and loadings of a reduced-rank regression.

    Features and text shares (`deviations`) must be centred. `gram` is the Gram matrix
    of the features.
    """
    left, size, right = np.linalg.svd(deviations, full_matrices=False)
    kept = size > 1e-9 * max(size[0], 1e-300)
    left, size, right = left[:, kept], size[kept], right[kept]
    # Whitened with shrinkage, so that components are ordered by predictability.
    spread = np.sqrt(size**2 + SHRINKAGE * (size**2).mean())
    white = left * (size / spread)
    dual = gram.solve(white)
    predictability = white.T @ gram.products @ dual
    _, axes = np.linalg.eigh((predictability + predictability.T) / 2)
    axes = axes[:, : -_MAX_COMPONENTS - 1 : -1]
    coef = features.T @ (dual @ axes).astype(np.float32)
    return coef, axes.T @ (spread[:, None] * right)


def _class_shares(owner: NDArray[np.intp]) -> Array:
    """Return the share of each prompt in each class."""
    shares = np.zeros((int(owner.max()) + 1, len(owner)))
    shares[owner, np.arange(len(owner))] = 1 / np.bincount(owner)[owner]
    return shares


def _shares_of_sentences(
    case_texts: Sequence[str], encoder: TextEncoder
) -> tuple[list[str], NDArray[np.intp], Array]:
    """Return unique sentences, cases, and the share of each sentence in each case.

    Cases whose sentences would exceed the maximum number of sentences are omitted.
    """
    place: dict[str, int] = {}
    cases, rows = [], []
    found: dict[str, list[int] | None] = {}
    for case, text in enumerate(case_texts):
        if text not in found:
            sentences = split_text(text, encoder)
            new = [each for each in dict.fromkeys(sentences) if each not in place]
            found[text] = None
            if len(place) + len(new) <= _MAX_SENTENCES_OF_CASES:
                place |= {each: len(place) + i for i, each in enumerate(new)}
                found[text] = [place[each] for each in sentences]
        row = found[text]
        if row is not None:
            cases.append(case)
            rows.append(row)
    shares = np.zeros((len(cases), len(place)))
    for i, row in enumerate(rows):
        np.add.at(shares[i], row, 1 / len(row))
    return list(place), np.array(cases, np.intp), shares
