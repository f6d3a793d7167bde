"""Training texts about classes and cases, as word vectors."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sktext_vq._training.data import TrainingData
from sktext_vq._utils.threads import single_thread
from sktext_vq._utils.validation import find_stack_level
from sktext_vq.nn.text_branch import Texts
from sktext_vq.text import PromptBank, SeriesCaptioner, TextEncoder, are_words
from sktext_vq.text._labels import label_key
from sktext_vq.text.encoders import check_texts

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
# Longer texts add little information, but padding costs memory.
_MAX_WORDS, _MAX_SENTENCES = 64, 16
_ENCODED_AT_ONCE = 256


@dataclass(frozen=True)
class TrainingTexts:
    """Texts about the training series.

    Parameters
    ----------
    texts : Texts
        Word vectors of all texts; those of classes come first.
    class_of_text : ndarray of shape (n_class_texts,), int64
        Class of each class text.
    case_text : ndarray of shape (n_cases,), int64
        Index of the text of each case; -1 for none.
    shown : list of str
        Unique texts of cases, or the first prompt of each class.
    """

    texts: Texts
    class_of_text: NDArray[np.int64]
    case_text: NDArray[np.int64]
    shown: list[str]


@dataclass(frozen=True)
class ChosenTexts:
    """Texts about training series, before they are encoded.

    Parameters
    ----------
    prompts : list of str
        Texts of classes; may be empty.
    owner : ndarray of shape (n_prompts,)
        Class of each prompt.
    case_texts : list of str, optional
        Text of each case.
    """

    prompts: list[str]
    owner: NDArray[np.intp]
    case_texts: list[str] | None


def choose_texts(
    data: TrainingData,
    text: Any,
    prompt_forms: Sequence[str],
    sampling_rate: float | None,
) -> ChosenTexts | None:
    """Collect the texts about training series.

    Parameters
    ----------
    data : TrainingData
        Series, labels, and texts of cases if there are any.
    text : "auto", "labels", "captions", mapping or None
        Parameter `text` of the estimator.
    prompt_forms : sequence of str
        Forms of class prompts.
    sampling_rate : float or None
        Timepoints per second, for captions.

    Returns
    -------
    ChosenTexts or None
        None if there are no texts.

    Raises
    ------
    ValueError
        If class texts are requested without labels.
    """
    labels, case_texts = data.labels, data.case_texts
    if case_texts is None and text is None:
        return None
    by_class = by_caption = False
    if case_texts is None:
        by_class = isinstance(text, Mapping) or text == "labels"
        if by_class and labels is None:
            advice = "pass y to fit"
            if data.targets is not None:
                advice = 'y is continuous. Set text="captions" or None'
            raise ValueError(f"text={text!r} requires labels: {advice}.")
        if labels is not None and not by_class and text == "auto":
            by_class = are_words(labels)
        by_caption = text in ("auto", "captions")
    prompts: list[str] = []
    owner = np.zeros(0, np.intp)
    if by_class:
        assert labels is not None
        own = text if isinstance(text, Mapping) else None
        names = [str(label) for label in labels]
        prompts, owner = prompts_of_classes(names, own, prompt_forms)
    if by_caption:
        captioner = SeriesCaptioner(
            channel_names=data.known_names, sampling_rate=sampling_rate
        )
        captioner.set_output(transform="default")
        with single_thread():
            case_texts = captioner.fit_transform(data.panel).tolist()
    return ChosenTexts(prompts, owner, case_texts)


def encode_training_texts(
    chosen: ChosenTexts | None, n_cases: int, encoder: TextEncoder, text: Any
) -> TrainingTexts | None:
    """Encode the texts that a network is trained with.

    Parameters
    ----------
    chosen : ChosenTexts or None
        From `choose_texts`.
    n_cases : int
        Number of training cases.
    encoder : TextEncoder
        Computes vectors of words.
    text : "auto", "labels", "captions", mapping or None
        Parameter of the estimator.

    Returns
    -------
    TrainingTexts or None
        None if there are no texts.

    Raises
    ------
    ImportError
        If the encoder needs a package that is not installed. With ``text="auto"``,
        training continues without text, with a warning.
    """
    if chosen is None:
        return None
    try:
        with single_thread():
            return _encode(
                chosen.prompts, chosen.owner, chosen.case_texts or [], n_cases, encoder
            )
    except ImportError as error:
        if text != "auto":
            raise
        warnings.warn(
            f"Training continues without text: {error} Pass text=None to disable "
            "this warning.",
            stacklevel=find_stack_level(),
        )
        return None


def _encode(
    class_texts: Sequence[str],
    owner: NDArray[np.int64],
    case_texts: Sequence[str],
    n_cases: int,
    encoder: TextEncoder,
) -> TrainingTexts:
    """Encode texts of classes and unique texts of cases."""
    unique, inverse = np.unique(np.array(case_texts, dtype=object), return_inverse=True)
    case_text = np.full(n_cases, -1, np.int64)
    if len(case_texts):
        case_text = len(owner) + inverse
    texts = encode_texts([*class_texts, *unique], encoder)
    shown = unique.tolist()
    if len(owner):
        firsts = np.unique(owner, return_index=True)[1]
        shown = [class_texts[i] for i in firsts]
    return TrainingTexts(texts, owner, case_text, shown)


def check_case_texts(texts: Any, n_cases: int) -> list[str]:
    """Check texts of all cases, and return them as a list."""
    array = np.asarray(texts, dtype=object)
    if array.shape != (n_cases,):
        raise ValueError(
            f"text must have one string per case: X has {n_cases} cases, text has "
            f"shape {array.shape}."
        )
    return check_texts(array, "text")


def prompts_of_classes(
    names: list[str], own: Mapping[Any, Any] | None, forms: Sequence[str]
) -> tuple[list[str], NDArray[np.intp]]:
    """Collect the prompts of classes.

    Parameters
    ----------
    names : list of str
        Names of classes.
    own : dict, optional
        User-defined texts, which replace those of the bank.
    forms : sequence of str
        Forms of prompts.

    Returns
    -------
    texts : list of str
    owner : ndarray of shape (n_texts,)
        Index of the class of each text.

    Raises
    ------
    ValueError
        If a class has no user-defined text.
    """
    bank = PromptBank()
    if own is not None:
        texts_of = {str(label): texts for label, texts in own.items()}
        known = set(map(label_key, texts_of))
        missing = [name for name in names if label_key(name) not in known]
        if missing:
            raise ValueError(
                f"text has no entry for {missing}. Its keys are {sorted(texts_of)}."
            )
        bank = PromptBank.from_texts(texts_of)
    return bank.flat(names, forms)


def encode_texts(texts: Sequence[str], encoder: TextEncoder) -> Texts:
    """Split texts into sentences, and encode the words of unique sentences.

    Parameters
    ----------
    texts : sequence of str
    encoder : TextEncoder
        Encoder of words. If it is a table of vectors, texts are not split.

    Returns
    -------
    Texts
    """
    cut = [split_text(text, encoder) for text in texts]
    unique = list(dict.fromkeys(sentence for text in cut for sentence in text))
    row = {sentence: i for i, sentence in enumerate(unique)}
    most = max(map(len, cut))
    sentences = torch.full((len(cut), most), -1, dtype=torch.int64)
    for i, text in enumerate(cut):
        sentences[i, : len(text)] = torch.tensor([row[sentence] for sentence in text])
    pieces, masks = [], []
    for start in range(0, len(unique), _ENCODED_AT_ONCE):
        found, mask = encoder.tokens(unique[start : start + _ENCODED_AT_ONCE])
        pieces.append(torch.from_numpy(found[:, :_MAX_WORDS].astype(np.float32)))
        masks.append(torch.from_numpy(mask[:, :_MAX_WORDS].copy()))
    longest = max(piece.shape[1] for piece in pieces)
    shape = len(unique), longest, pieces[0].shape[2]
    words, known = torch.zeros(shape), torch.zeros(shape[:2], dtype=torch.bool)
    start = 0
    for piece, here in zip(pieces, masks, strict=True):
        words[start : start + len(piece), : piece.shape[1]] = piece
        known[start : start + len(piece), : piece.shape[1]] = here
        start += len(piece)
    return Texts(words, known, sentences)


def split_text(text: str, encoder: TextEncoder) -> list[str]:
    """Split a text into sentences; an encoder that is a table contains whole texts."""
    if isinstance(encoder.model, Mapping) or not isinstance(text, str):
        return [text]
    found = [part for part in _SENTENCE_END.split(text.strip()) if part]
    # The encoder raises an error for empty texts.
    return found[:_MAX_SENTENCES] or [text]
