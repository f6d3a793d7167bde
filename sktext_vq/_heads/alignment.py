"""Alignment between series and texts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, softmax

from sktext_vq._utils.state import (
    Numbers,
    Sizes,
    Spec,
    State,
    Strings,
    check_state,
    fields_of,
)
from sktext_vq._utils.threads import multiply_rows, single_thread
from sktext_vq.text import TextEncoder

Array = NDArray[np.floating[Any]]

# Shrinkage of the covariance matrix of texts.
SHRINKAGE = 1e-3
_MAX_DIMENSIONS = 50
# Difference in cosines at which the odds of the two kinds of texts are e to 1.
_NEARNESS = 0.05
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_MAX_SENTENCES = 16
_TEXTS: dict[str, Spec | None] = {
    "texts": Strings("n_texts"),
    "coef": Numbers("float32", ("n_selected", "n_components")),
    "intercept": Numbers("float64", ("n_components",)),
    "loadings": Numbers("float32", ("n_components", "n_texts")),
    "mean": Numbers("float32", ("n_texts",)),
    "covariance": Numbers("float32", ("n_texts", "n_texts")),
    "fitted": Numbers("float32", ("n_components", "n_texts")),
    "usage": Numbers("float32", ("n_texts", "n_codes")),
    "centre": Numbers("float64", ("n_components",), optional=True),
}
_STATE: dict[str, Spec | None] = {
    "classes": None,
    "cases": None,
    "mean_usage": Numbers("float64", ("n_codes",)),
    "lift": None,
}
_TRAINED: dict[str, Spec | None] = {
    "texts": Strings("n_texts"),
    "coef": Numbers("float32", ("n_selected", "n_dimensions")),
    "intercept": Numbers("float64", ("n_dimensions",)),
    "mean": Numbers("float32", ("text_dim",)),
    "from_texts": Numbers("float32", ("text_dim", "n_dimensions")),
    "usage": Numbers("float32", ("text_dim", "n_codes")),
}


@dataclass(frozen=True)
class AlignedTexts:
    """Texts about classes or about cases, and a regression from features to texts.

    The texts are encoded only if they are needed. The text of a case is therefore
    represented by the share of each prompt or sentence in the text. A reduced-rank
    regression (Izenman, J. Multivariate Anal. 1975) predicts components of the shares.

    Parameters
    ----------
    texts : list of str
        Unique prompts or sentences.
    coef : ndarray of shape (n_features, n_components), float32
        Coefficients of the ridge regression from scaled features to components.
    intercept : ndarray of shape (n_components,)
        Intercepts of the regression.
    loadings : ndarray of shape (n_components, n_texts), float32
        Map from components to centred shares.
    mean : ndarray of shape (n_texts,), float32
        Mean shares over the training cases.
    covariance : ndarray of shape (n_texts, n_texts), float32
        Covariance matrix of the shares.
    fitted : ndarray of shape (n_components, n_texts), float32
        Covariance of predicted components and shares.
    usage : ndarray of shape (n_texts, n_codes), float32
        Covariance of the shares of texts and the shares of codes.
    centre : ndarray of shape (n_components,), optional
        If given, the regression predicts logits, and components are the softmax of the
        logits minus `centre`, the mean of the softmax over the training cases.
    """

    texts: list[str]
    coef: NDArray[np.float32]
    intercept: NDArray[np.float64]
    loadings: NDArray[np.float32]
    mean: NDArray[np.float32]
    covariance: NDArray[np.float32]
    fitted: NDArray[np.float32]
    usage: NDArray[np.float32]
    centre: NDArray[np.float64] | None = None

    def solve(self, encoder: TextEncoder) -> JointSpace:
        """Encode the texts, and return the joint embedding space.

        The space is computed by canonical correlation analysis (Hotelling, Biometrika
        1936) of regularised predictions and whitened texts.
        """
        vectors = unit(np.asarray(encoder.transform(self.texts), np.float64))
        covariance = vectors.T @ self.covariance @ vectors
        n_dimensions = len(covariance)
        floor = SHRINKAGE * np.trace(covariance) / n_dimensions + 1e-12
        covariance += floor * np.eye(n_dimensions)
        whiten = np.linalg.inv(np.linalg.cholesky(covariance)).T
        predicted = self.loadings @ vectors @ whiten
        left, strength, right = np.linalg.svd(
            predicted.T @ (self.fitted @ vectors @ whiten)
        )
        kept = int((strength > 1e-9 * max(strength[0], 1e-300)).sum())
        kept = min(max(kept, 1), _MAX_DIMENSIONS)
        root = np.sqrt(strength[:kept])
        return JointSpace(
            vectors,
            self.mean @ vectors,
            predicted @ left[:, :kept] * root,
            whiten @ right[:kept].T * root,
            np.linalg.solve(covariance, vectors.T @ self.usage),
        )


@dataclass(frozen=True)
class TrainedTexts:
    """Texts about cases, and trained maps from series and texts to the joint space.

    Parameters
    ----------
    texts : list of str
        Unique sentences.
    coef : ndarray of shape (n_features, n_dimensions), float32
        Map from scaled features to the joint space.
    intercept : ndarray of shape (n_dimensions,)
        Intercepts of the map from features.
    mean : ndarray of shape (text_dim,), float32
        Mean text embedding of the training cases.
    from_texts : ndarray of shape (text_dim, n_dimensions), float32
        Map from centred texts to the joint space.
    usage : ndarray of shape (text_dim, n_codes), float32
        Map from centred texts to deviations of code shares from their mean.
    """

    texts: list[str]
    coef: NDArray[np.float32]
    intercept: NDArray[np.float64]
    mean: NDArray[np.float32]
    from_texts: NDArray[np.float32]
    usage: NDArray[np.float32]

    def solve(self, encoder: TextEncoder) -> JointSpace:
        """Encode the texts, and return the joint embedding space."""
        vectors = unit(np.asarray(encoder.transform(self.texts), np.float64))
        check_width(vectors, len(self.mean))
        eye = np.eye(len(self.intercept))
        return JointSpace(vectors, self.mean, eye, self.from_texts, self.usage)


@dataclass(frozen=True)
class JointSpace:
    """Joint embedding space of series and texts.

    Parameters
    ----------
    vectors : ndarray of shape (n_texts, text_dim)
        Embeddings of the training texts.
    mean : ndarray of shape (text_dim,)
        Mean text embedding of the training cases.
    from_series : ndarray of shape (n_components, n_dimensions)
        Map from predicted components to the joint space.
    from_texts : ndarray of shape (text_dim, n_dimensions)
        Map from centred texts to the joint space.
    usage : ndarray of shape (text_dim, n_codes)
        Map from centred texts to deviations of code shares from their mean.
    """

    vectors: Array
    mean: Array
    from_series: Array
    from_texts: Array
    usage: Array

    def embed_series(self, predicted: Array) -> Array:
        """Embed predicted components of series as unit vectors."""
        return unit(predicted @ self.from_series)

    def embed_texts(self, texts: Array) -> Array:
        """Embed text vectors as unit vectors."""
        return unit((texts - self.mean) @ self.from_texts)


@dataclass(frozen=True)
class TextAlignment:
    """Joint embedding spaces of series and texts.

    One space is for class texts, and the other is for texts about cases, such as
    captions. Each text is compared mainly in the space whose training texts are more
    similar to it.

    Parameters
    ----------
    classes : AlignedTexts, optional
        Class prompts.
    cases : AlignedTexts or TrainedTexts, optional
        Sentences about cases.
    mean_usage : ndarray of shape (n_codes,)
        Mean share of each code over the training cases.
    lift : ndarray of shape (text_dim + 1, n_codes), float32, optional
        Trained map from texts to changes in the log shares of codes. The last row
        contains the intercepts.
    """

    classes: AlignedTexts | None
    cases: AlignedTexts | TrainedTexts | None
    mean_usage: NDArray[np.float64]
    lift: NDArray[np.float32] | None = None
    _spaces: dict[str, tuple[Any, ...]] = field(default_factory=dict, repr=False)

    def get_state(self) -> State:
        """Return the texts and the arrays of the alignment."""
        return {
            "classes": None if self.classes is None else fields_of(self.classes),
            "cases": None if self.cases is None else fields_of(self.cases),
            "mean_usage": self.mean_usage,
            "lift": self.lift,
        }

    @classmethod
    def from_state(cls, state: State, sizes: Sizes) -> TextAlignment:
        """Build an alignment from its state; see `FeatureExtractor.from_state`."""
        check_state(state, _STATE, sizes, "alignment")
        if state["classes"] is None and state["cases"] is None:
            raise ValueError("alignment contains no texts")
        own, classes, cases = Sizes(sizes), state["classes"], state["cases"]
        if classes is not None:
            classes = AlignedTexts(**check_state(classes, _TEXTS, own, "classes"))
        own = Sizes(sizes)
        if isinstance(cases, dict) and "from_texts" in cases:
            cases = TrainedTexts(**check_state(cases, _TRAINED, own, "cases"))
        elif cases is not None:
            cases = AlignedTexts(**check_state(cases, _TEXTS, own, "cases"))
        lift = Numbers("float32", ("n_inputs", "n_codes"), optional=True)
        if not lift.is_valid(state["lift"], Sizes(sizes)):
            raise ValueError("alignment.lift has an invalid type, shape or value")
        return cls(classes, cases, state["mean_usage"], state["lift"])

    def __getstate__(self) -> State:
        return {**fields_of(self), "_spaces": {}}

    def predict(self, scaled: torch.Tensor) -> NDArray[np.float64]:
        """Predict the components of series from scaled features."""
        coef, intercept = self._regression
        found = multiply_rows(scaled.double(), coef).numpy() + intercept
        if self.classes is not None and self.classes.centre is not None:
            own = slice(len(self.classes.centre))  # classes come first
            found[:, own] = softmax(found[:, own], axis=1) - self.classes.centre
        return found

    def similarity(
        self, components: Array, texts: Sequence[str], encoder: TextEncoder
    ) -> NDArray[np.float64]:
        """Return the cosine similarities of series and texts.

        Parameters
        ----------
        components : ndarray of shape (n_cases, n_components)
            Predicted components of class texts and of case texts, concatenated.
        texts : sequence of str
            Validated texts.
        encoder : TextEncoder
            Encoder of the texts.

        Returns
        -------
        ndarray of shape (n_cases, n_texts)
        """
        with single_thread():
            spaces = self.spaces(encoder)
            vectors, weights = self.read(texts, encoder)
            found = np.zeros((len(components), len(texts)))
            start = 0
            for each, space, weight in zip(self.kinds, spaces, weights, strict=True):
                own = components[:, start : start + len(each.intercept)]
                start += len(each.intercept)
                cosines = space.embed_series(own) @ space.embed_texts(vectors).T
                found += weight * cosines
        return np.clip(found, -1, 1)

    def text_cosines(
        self, texts: Sequence[str], encoder: TextEncoder
    ) -> NDArray[np.float64]:
        """Return the cosine similarities of texts, of shape (n_texts, n_texts)."""
        with single_thread():
            spaces = self.spaces(encoder)
            vectors, weights = self.read(texts, encoder)
            found = np.zeros((len(texts), len(texts)))
            for space, weight in zip(spaces, weights, strict=True):
                own = np.sqrt(weight)[:, None] * space.embed_texts(vectors)
                found += own @ own.T
        return np.clip(found, -1, 1)

    def usage(self, texts: Sequence[str], encoder: TextEncoder) -> NDArray[np.float64]:
        """Return the expected shares of codes, of shape (n_texts, n_codes)."""
        with single_thread():
            spaces = self.spaces(encoder)
            vectors, weights = self.read(texts, encoder)
        found = self._linear_usage(spaces, vectors, weights)
        if self.lift is None:
            return found
        check_width(vectors, len(self.lift) - 1)
        change = vectors @ self.lift[:-1] + self.lift[-1]
        return np.asarray(softmax(np.log(found) + change, axis=1))

    def _linear_usage(
        self, spaces: Sequence[JointSpace], vectors: Array, weights: Sequence[Array]
    ) -> NDArray[np.float64]:
        """Predict the shares of codes by linear regression."""
        found = np.tile(self.mean_usage, (len(vectors), 1))
        for space, weight in zip(spaces, weights, strict=True):
            found += weight[:, None] * ((vectors - space.mean) @ space.usage)
        # Extrapolated shares may be negative.
        found = np.maximum(found, 1e-3 * self.mean_usage)
        return np.asarray(found / found.sum(axis=1, keepdims=True))

    @cached_property
    def _regression(self) -> tuple[torch.Tensor, NDArray[np.float64]]:
        """Coefficients and intercepts for class texts and case texts, concatenated.

        Double precision is used so that results hardly depend on the number of rows.
        """
        coef = np.concatenate([each.coef for each in self.kinds], axis=1)
        intercept = np.concatenate([each.intercept for each in self.kinds])
        return torch.from_numpy(coef).double(), intercept

    @property
    def shown(self) -> list[str]:
        """First prompt of each class or, without classes, all sentences about cases."""
        if self.classes is None:
            return [] if self.cases is None else list(self.cases.texts)
        firsts = (self.classes.loadings > 0).argmax(axis=1)
        return [self.classes.texts[i] for i in firsts]

    @property
    def kinds(self) -> list[AlignedTexts | TrainedTexts]:
        """Available kinds of texts: class prompts, and sentences about cases."""
        return [each for each in (self.classes, self.cases) if each is not None]

    def spaces(self, encoder: TextEncoder) -> list[JointSpace]:
        """Return the joint spaces for an encoder; the result is cached."""
        key = repr(encoder.get_params())
        if key not in self._spaces:
            self._spaces.clear()
            self._spaces[key] = tuple(each.solve(encoder) for each in self.kinds)
        return list(self._spaces[key])

    def read(
        self, texts: Sequence[str], encoder: TextEncoder
    ) -> tuple[Array, list[Array]]:
        """Return mean sentence vectors of texts, and the weight of each space."""
        cut = [split_text(text, encoder) for text in texts]
        sentences = [sentence for each in cut for sentence in each]
        owner = np.repeat(np.arange(len(cut)), list(map(len, cut)))
        each = unit(np.asarray(encoder.transform(sentences), np.float64))
        vectors = mean_by_owner(each, owner, len(texts))
        spaces = self.spaces(encoder)
        if len(spaces) == 1:
            return vectors, [np.ones(len(texts))]
        classes, cases = spaces
        to_classes = (unit(vectors) @ classes.vectors.T).max(axis=1)
        to_cases = mean_by_owner(
            (each @ cases.vectors.T).max(axis=1, keepdims=True), owner, len(texts)
        )[:, 0]
        of_classes = expit((to_classes - to_cases) / _NEARNESS)
        return vectors, [of_classes, 1 - of_classes]


def check_width(vectors: Array, width: int) -> None:
    """Check that embeddings have the same number of dimensions as in training."""
    if vectors.shape[1] != width:
        raise ValueError(
            f"The model was trained with {width}-dimensional text embeddings, but "
            f"text_encoder returns {vectors.shape[1]} dimensions. Set text_encoder to "
            "the encoder used in fit, or fit the model again."
        )


def mean_by_owner(values: Array, owner: NDArray[np.intp], n_owners: int) -> Array:
    """Return the mean of the rows that belong to each owner."""
    sums = np.zeros((n_owners, values.shape[1]))
    np.add.at(sums, owner, values)
    return sums / np.bincount(owner, minlength=n_owners)[:, None]


def unit(vectors: Array) -> Array:
    """Scale vectors to length 1; zero vectors are not changed."""
    size = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(size, 1e-12))


def split_text(text: str, encoder: TextEncoder) -> list[str]:
    """Split a text into sentences, unless the encoder is a dict."""
    if isinstance(encoder.model, Mapping) or not isinstance(text, str):
        return [text]
    found = [part for part in _SENTENCE_END.split(text.strip()) if part]
    # The encoder raises an error for empty texts.
    return found[:_MAX_SENTENCES] or [text]
