"""Text encoders without weights: hashing, functions and dicts of vectors."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ._labels import composed

FloatArray = npt.NDArray[np.float32]

#: Dimension of the vectors of ``TextEncoder("hashing")``, as for MiniLM.
HASHING_DIM = 384


def normalise(vectors: npt.NDArray[Any]) -> FloatArray:
    vectors = np.asarray(vectors, dtype=np.float64)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1.0), dtype=np.float32)


def _words(text: str) -> list[str]:
    # The characters of texts without words, such as emoji, are used as words.
    return re.findall(r"\w+", text.lower()) or list(text.replace(" ", "")) or [text]


def _hash_features(text: str) -> list[str]:
    features = []
    for word in _words(text):
        padded = f"<{word}>"
        features.append(f"word {word}")
        features += [padded[i : i + 3] for i in range(len(padded) - 2)]
    return features


def _hash(texts: Sequence[str]) -> npt.NDArray[np.float64]:
    from sklearn.feature_extraction.text import HashingVectorizer

    def rows(signed: bool) -> npt.NDArray[np.float64]:
        vectorizer = HashingVectorizer(
            analyzer=_hash_features,
            n_features=HASHING_DIM,
            alternate_sign=signed,
            norm=None,
        )
        return np.asarray(vectorizer.transform(texts).toarray(), dtype=np.float64)

    hashed = rows(True)
    cancelled = ~hashed.any(axis=1)
    if cancelled.any():
        hashed[cancelled] = rows(False)[cancelled]
    return hashed


def hash_words(texts: Sequence[str]) -> list[FloatArray]:
    words = [_words(text) for text in texts]
    unique = list(dict.fromkeys(word for text in words for word in text))
    hashed = _hash(unique).astype(np.float32)
    row = {word: i for i, word in enumerate(unique)}
    return [hashed[[row[word] for word in text]] for text in words]


def call_function(function: Callable[[list[str]], Any], texts: list[str]) -> FloatArray:
    vectors = np.asarray(function(list(texts)))
    if vectors.ndim != 2 or len(vectors) != len(texts):
        raise ValueError(
            "The function given as model must return an array of shape "
            f"({len(texts)}, n_dims) for {len(texts)} texts, got shape {vectors.shape}."
        )
    if not np.isfinite(vectors).all():
        raise ValueError(
            "The function or dict given as model must return finite vectors, got NaN "
            "or infinity."
        )
    return vectors.astype(np.float32, copy=False)


def look_up(table: Mapping[str, Any], texts: list[str]) -> FloatArray:
    table = {composed(text): vector for text, vector in table.items()}
    unknown = [text for text in texts if text not in table]
    if unknown:
        raise ValueError(
            f"The dict given as model has no vectors for {len(unknown)} texts, such "
            f"as {unknown[0]!r}. Add vectors for these texts."
        )
    return normalise(
        call_function(lambda keys: np.stack([table[k] for k in keys]), texts)
    )
