"""Prompts and paraphrases from local text-generation models."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import Any

Generator = Callable[[str], str]

_INSTRUCTIONS = {
    "keyword": "Write one or two words that name the class '{label}' in sensor data.",
    "sentence": "Write one plain sentence about what happens during '{label}'.",
    "affirmative": (
        "Write three different sentences that describe '{label}' as a motion sensor "
        "would feel it: body part, rhythm, strength, posture. One sentence a line."
    ),
    "negative": (
        "Write two sentences about what '{label}' is not and what does not happen "
        "during it. One sentence a line."
    ),
    "attributes": (
        "List five short clauses about the strength, rhythm, impacts, posture and "
        "direction of '{label}'. One clause a line."
    ),
}
_MAX_LINES = {
    "keyword": 2,
    "sentence": 1,
    "affirmative": 5,
    "negative": 3,
    "attributes": 6,
}


def text_generator(model: Any, *, max_new_tokens: int = 160) -> Generator:
    """Return a function that generates text from a prompt, with greedy decoding."""
    if isinstance(model, (str, os.PathLike)):
        model = _pipeline(os.fspath(model))
    if not callable(model):
        raise TypeError(
            "The language model must be a folder, the name of a cached model, a "
            f"pipeline or a function, got {type(model).__name__}."
        )
    tokenizer = getattr(model, "tokenizer", None)
    if tokenizer is None or not hasattr(model, "model"):
        return lambda prompt: _answer(model(prompt))
    chat = bool(getattr(tokenizer, "chat_template", None))

    def generate(prompt: str) -> str:
        inputs: Any = [{"role": "user", "content": prompt}] if chat else prompt
        return _answer(
            model(
                inputs,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                return_full_text=False,
            )
        )

    return generate


def _pipeline(source: str) -> Any:
    from .._utils.torch_defaults import torch_defaults
    from ._huggingface import (
        import_torch,
        load_pretrained,
        quiet_library,
        reason,
    )

    import_torch()
    import torch
    from transformers import AutoModelForCausalLM, pipeline

    with quiet_library(), torch_defaults(), torch.random.fork_rng(devices=[]):
        try:
            tokenizer, network = load_pretrained(AutoModelForCausalLM, source)
        except (OSError, ValueError) as error:
            raise OSError(
                f"Text-generation model {source!r} cannot be loaded: "
                f"{reason(source, error)}. Models are not downloaded at run time, and "
                "custom model code is not executed. Use a folder with a tokenizer "
                "and model.safetensors."
            ) from None
        network.eval()
        network.generation_config.max_length = None  # max_new_tokens is the limit
        if network.generation_config.pad_token_id is None:
            network.generation_config.pad_token_id = tokenizer.eos_token_id
        return pipeline(
            "text-generation", model=network, tokenizer=tokenizer, device="cpu"
        )


def _answer(result: Any) -> str:
    while isinstance(result, list) and result:
        result = result[-1]
    if isinstance(result, dict):
        result = result.get("generated_text", result.get("content", ""))
        return _answer(result)
    if not isinstance(result, str):
        raise TypeError(
            f"The language model must return a str, got {type(result).__name__}."
        )
    return result


# Bullets and numbers of a list, but not the number in "1.9 Hz".
_MARKER = re.compile(r"^\s*(?:[-*•]+\s*)?(?:\(?\d+[.)](?!\d)\s*)?")


def _lines(text: str) -> list[str]:
    """Return the unique non-empty lines of an answer, without bullets."""
    lines: list[str] = []
    for line in text.splitlines():
        line = _MARKER.sub("", line).strip(" \t\"'")
        line = " ".join(line.split())
        if any(char.isalpha() for char in line) and len(line) <= 300:
            lines.append(line)
    return list(dict.fromkeys(lines))


def write_prompts(
    generate: Generator, phrase: str, forms: Sequence[str]
) -> dict[str, list[str]]:
    """Generate prompts for a label and omit forms for which no text is generated."""
    found: dict[str, list[str]] = {}
    for form in forms:
        lines = _lines(generate(_INSTRUCTIONS[form].format(label=phrase)))
        if lines:
            found[form] = lines[: _MAX_LINES[form]]
    return found


def rephrase(generate: Generator, sentence: str, *, is_model: bool) -> str:
    """Paraphrase a sentence, or return the sentence if no text is generated."""
    prompt = f"Say the same in other words, in one sentence: {sentence}\n"
    lines = _lines(generate(prompt if is_model else sentence))
    return lines[0] if lines else sentence
