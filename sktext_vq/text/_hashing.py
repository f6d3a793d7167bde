"""Text encoders without weights: hashed words, functions and tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ._labels import composed

__all__ = ["HASHING_DIM", "call_function", "hash_words", "look_up", "normalise"]

FloatArray = npt.NDArray[np.float32]

#: Dimension of ``TextEncoder("hashing")``, the same as for MiniLM.
HASHING_DIM = 384


def normalise(vectors: npt.NDArray[Any]) -> FloatArray:
    vectors = np.asarray(vectors, dtype=np.float64)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1.0), dtype=np.float32)


def _words(text: str) -> list[str]:
    # Texts without word characters, such as emoji, must also differ.
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
            f"model(texts) must return an array of shape ({len(texts)}, n_dims), got "
            f"shape {vectors.shape}."
        )
    if not np.isfinite(vectors).all():
        raise ValueError("model(texts) returned NaN or infinity.")
    return vectors.astype(np.float32, copy=False)


def look_up(table: Mapping[str, Any], texts: list[str]) -> FloatArray:
    table = {composed(text): vector for text, vector in table.items()}
    unknown = [text for text in texts if text not in table]
    if unknown:
        raise ValueError(
            f"model has no vector for {len(unknown)} texts, such as {unknown[0]!r}."
        )
    return normalise(
        call_function(lambda keys: np.stack([table[k] for k in keys]), texts)
    )
