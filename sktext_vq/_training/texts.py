"""Training texts about classes and cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sktext_vq._heads.align_texts import ChosenTexts
from sktext_vq._heads.alignment import TextAlignment, split_text, unit
from sktext_vq._training.data import TrainingData
from sktext_vq._utils.threads import single_thread
from sktext_vq.nn.text_branch import Texts
from sktext_vq.text import PromptBank, SeriesCaptioner, TextEncoder, are_words
from sktext_vq.text._labels import label_key, texts_by_name
from sktext_vq.text.encoders import check_texts


class SentenceTable:
    """Text encoder that encodes each sentence once."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self.model = encoder.model
        self._known: dict[str, NDArray[Any]] = {}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters of the encoder."""
        return self._encoder.get_params(deep)

    def transform(self, texts: Sequence[str]) -> NDArray[Any]:
        """Return the embeddings of texts."""
        new = [each for each in dict.fromkeys(texts) if each not in self._known]
        if new:
            vectors = np.asarray(self._encoder.transform(new))  # converts data frames
            self._known |= zip(new, vectors, strict=True)
        return np.stack([self._known[each] for each in texts])


@dataclass(frozen=True)
class TrainingTexts:
    """Texts about the training series.

    Parameters
    ----------
    texts : Texts
        Class prompts, followed by the unique texts of cases.
    class_of_text : ndarray of shape (n_class_texts,), int64
        Index of the class of each class prompt.
    case_text : ndarray of shape (n_cases,), int64, optional
        Index of the text of each case.
    """

    texts: Texts
    class_of_text: NDArray[np.int64]
    case_text: NDArray[np.int64] | None

    @classmethod
    def read(
        cls, chosen: ChosenTexts, alignment: TextAlignment, encoder: Any
    ) -> TrainingTexts:
        """Encode texts and predict the shares of codes with the alignment."""
        cases: list[str] = []
        inverse = None
        if chosen.case_texts is not None:
            place: dict[str, int] = {}
            order = [place.setdefault(each, len(place)) for each in chosen.case_texts]
            cases = list(place)
            inverse = len(chosen.prompts) + np.array(order, np.int64)
        every = [*chosen.prompts, *cases]
        cut = [split_text(text, encoder) for text in every]
        row: dict[str, int] = {}
        rows = np.full((len(cut), max(map(len, cut))), -1)
        for i, sentences in enumerate(cut):
            rows[i, : len(sentences)] = [row.setdefault(x, len(row)) for x in sentences]
        with single_thread():
            vectors, _ = alignment.read(every, encoder)
            usage = alignment.usage(every, encoder)
            own = unit(np.asarray(encoder.transform(list(row)), np.float64))
        texts = Texts(
            torch.from_numpy(vectors.astype(np.float32)),
            torch.from_numpy(usage.astype(np.float32)),
            torch.from_numpy(rows),
            torch.from_numpy(own.astype(np.float32)),
        )
        return cls(texts, np.asarray(chosen.owner, np.int64), inverse)


def choose_texts(
    data: TrainingData,
    text: Any,
    prompt_forms: Sequence[str],
    sampling_rate: float | None,
) -> ChosenTexts | None:
    """Collect the texts about training series, or return None if there are no texts.

    Parameters
    ----------
    data : TrainingData
        Training series, with labels and texts of cases if available.
    text, prompt_forms, sampling_rate : object
        Parameters of the estimator.

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
        own = texts_by_name(text, labels) if isinstance(text, Mapping) else None
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


def check_case_texts(texts: Any, n_cases: int) -> list[str]:
    """Check the texts of all cases and return a list."""
    array = np.asarray(texts, dtype=object)
    if array.shape != (n_cases,):
        raise ValueError(
            f"text must have one string per case: X has {n_cases} cases, but text has "
            f"shape {array.shape}."
        )
    return check_texts(array, "text")


def prompts_of_classes(
    names: list[str], own: Mapping[str, Any] | None, forms: Sequence[str]
) -> tuple[list[str], NDArray[np.intp]]:
    """Collect the prompts of the classes.

    User-defined texts in `own` replace the texts of the prompt bank.

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
        known = set(map(label_key, own))
        missing = [name for name in names if label_key(name) not in known]
        if missing:
            raise ValueError(
                f"text has no entry for the classes {missing}. The keys of text are "
                f"{sorted(own)}."
            )
        bank = PromptBank.from_texts(own)
    return bank.flat(names, forms)
