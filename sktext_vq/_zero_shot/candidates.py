"""Candidate classes of zero-shot prediction: validation, texts and warnings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sktext_vq._utils.validation import check_text
from sktext_vq.text import are_words
from sktext_vq.text._bank import find_entries, nearest_name
from sktext_vq.text._labels import composed, label_key
from sktext_vq.text.class_texts import texts_of_classes
from sktext_vq.text.prompts import format_groups

# A warning is issued if the cosine similarity to the nearest text, relative to the
# median, is below this value.
_FAR = 0.5
# Maximum distance between the embeddings of equal texts, due to rounding.
_SAME = 1e-3
_MAX_SHOWN = 3


@dataclass(frozen=True)
class CandidateTexts:
    """Texts of training classes and candidate classes.

    `texts` contains the view, the index of the class, and the text. The indices of
    training classes precede the indices of candidates.
    """

    known: list[str]  # training classes
    names: list[str]  # candidates
    texts: list[tuple[str, int, str]]
    without_texts: list[str]  # candidates without user-defined texts

    @property
    def n_classes(self) -> int:
        """Number of training classes and candidates."""
        return len(self.known) + len(self.names)

    @property
    def seen(self) -> NDArray[np.int64]:
        """Index of the training class of each candidate; -1 for unseen classes."""
        index = {name: i for i, name in enumerate(self.known)}
        return np.array([index.get(name, -1) for name in self.names])

    def warnings(self, views: NDArray[np.float64]) -> list[str]:
        """Return warnings about the candidates.

        `views`, of shape (n_views, n_classes, text_dim), contains the embeddings of the
        texts.
        """
        return [
            *_name_warnings(self.known, self.names, self.without_texts),
            *self.warnings_of_distant(views),
            *_tie_warnings(
                views[:, len(self.known) :], self.names, self.seen, self.without_texts
            ),
        ]

    def warnings_of_distant(self, views: NDArray[np.float64]) -> list[str]:
        """Return warnings about unseen candidates with dissimilar texts."""
        return _distance_warnings(views[0], self.known, self.names)


def read_candidates(
    candidates: Sequence[str] | Mapping[str, Any],
    labels: Sequence[str],
    texts: Mapping[str, Any],
    prompt_forms: Sequence[str],
    called: str = "candidate_labels",
) -> CandidateTexts:
    """Validate candidates and collect the texts of candidates and training classes.

    `called` is the name of the argument in error messages.
    """
    names = [composed(name) for name in check_candidates(candidates, called)]
    known = [composed(str(label)) for label in labels]
    own = {composed(str(label)): each for label, each in texts.items()}
    keys = set(map(label_key, own))
    without = [name for name in known if label_key(name) not in keys]
    if without and not are_words(without):
        raise ValueError(
            "Zero-shot prediction requires texts about the training classes, but the "
            f"labels {known} are not words. Set text={{label: texts}} before fit."
        )
    found = texts_of_classes(known, own, prompt_forms)
    without_texts = names
    if isinstance(candidates, Mapping):
        given = dict(zip(names, candidates.values(), strict=True))
        without_texts = [name for name, each in given.items() if each is None]
        given = {name: each for name, each in given.items() if each is not None}
        # Replace texts that were given in fit under a different spelling of the label.
        new = set(map(label_key, given))
        own = {name: each for name, each in own.items() if label_key(name) not in new}
        own |= given
    about = texts_of_classes(names, own, prompt_forms)
    found += [(view, len(known) + i, text) for view, i, text in about]
    return CandidateTexts(known, names, found, without_texts)


def _name_warnings(
    known: list[str], names: list[str], without_texts: list[str]
) -> list[str]:
    """Return warnings about a single candidate and about likely misspellings."""
    messages = []
    if len(names) == 1:
        messages.append(
            f"{names[0]!r} is the only candidate, so all series are assigned to this "
            f"class. Add other candidates, such as the training classes {known}, or "
            "rank series with the method search."
        )
    misspellings = []
    classes = set(known)
    for name in without_texts:
        near = None if name in classes else nearest_name(name, known)
        if near is not None:
            where = "a training class" if near in classes else "in the prompt bank"
            misspellings.append(
                f"{name!r} is treated as an unseen class. Did you mean {near!r}, which "
                f"is {where}?"
            )
    return messages + _first(misspellings, "candidates may be misspelled")


def _distance_warnings(
    vectors: NDArray[np.float64], known: list[str], names: list[str]
) -> list[str]:
    """Return warnings about unseen candidates with dissimilar texts."""
    nearest = nearest_texts(vectors, len(known))
    median = np.median([cosine for _, cosine in nearest[: len(known)]])
    classes = set(known)
    return _first(
        [
            f"The text of {name!r} is not similar to any training class. The cosine "
            f"similarity to the nearest class, {known[class_]!r}, is {cosine:.2f}; "
            f"between training classes, the median is {median:.2f}. Predictions of "
            f"{name!r} are unreliable."
            for name, (class_, cosine) in zip(names, nearest[len(known) :], strict=True)
            if name not in classes and cosine < _FAR * median
        ],
        "candidates have dissimilar texts",
    )


def _tie_warnings(
    views: NDArray[np.float64],
    names: list[str],
    seen: NDArray[np.int64],
    without_texts: list[str],
) -> list[str]:
    """Return a warning about candidates with equal texts."""
    vectors = np.nan_to_num(views).swapaxes(0, 1).reshape(len(names), -1)
    # Sort the rows by a random projection, so that equal rows are adjacent.
    direction = np.random.RandomState(0).normal(size=vectors.shape[1])
    order = np.argsort(vectors @ direction, kind="stable")
    steps = np.linalg.norm(np.diff(vectors[order], axis=0), axis=1)
    groups = np.split(order, np.flatnonzero(steps >= _SAME) + 1)
    # Texts of names with the same entry of the bank differ only in the keyword.
    by_entry: dict[int, list[str]] = {}
    for name, entry in zip(without_texts, find_entries(without_texts), strict=True):
        if entry is not None:
            by_entry.setdefault(id(entry), []).append(name)
    ties = [[names[i] for i in sorted(group)] for group in groups]
    ties += [group for group in by_entry.values() if group not in ties]
    classes = {name for name, class_ in zip(names, seen, strict=True) if class_ >= 0}
    ties = [group for group in ties if len(group) > 1 and not classes.issuperset(group)]
    if not ties:
        return []
    return [
        f"Candidates {format_groups(ties)} have the same texts and cannot be "
        "distinguished. Pass different texts as a dict {name: text}."
    ]


def _first(messages: list[str], problem: str) -> list[str]:
    """Return the first messages, and the total number if there are more."""
    if len(messages) <= _MAX_SHOWN:
        return messages
    return [*messages[:_MAX_SHOWN], f"In total, {len(messages)} {problem}."]


def nearest_texts(
    vectors: NDArray[np.float64], n_known: int
) -> list[tuple[int, float]]:
    """Return the index and cosine similarity of the known text nearest to each text."""
    cosines = vectors @ vectors[:n_known].T
    np.fill_diagonal(cosines, -np.inf)
    best = cosines.argmax(axis=1)
    return [(int(j), float(row[j])) for j, row in zip(best, cosines, strict=True)]


def check_candidates(
    candidates: Sequence[str] | Mapping[str, Any], called: str = "candidate_labels"
) -> list[str]:
    """Validate the names of candidates and return them as a list."""
    is_list = isinstance(candidates, Iterable) and not isinstance(candidates, Iterator)
    if isinstance(candidates, str) or not is_list:
        raise TypeError(f"{called} must be a list of strings, got {candidates!r}.")
    names = list(candidates)
    if not names:
        raise ValueError(f"{called} is empty. Pass at least one string.")
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"{called} must contain strings, got {name!r}.")
        if not name.strip():
            raise ValueError(f"{called} contains an empty string.")
    check_text(names, called)
    counts = Counter(map(composed, names))
    repeated = sorted(name for name, count in counts.items() if count > 1)
    if repeated:
        raise ValueError(
            f"{called} contains {repeated} more than once. Remove the duplicates."
        )
    return [str(name) for name in names]


def check_unknown_label(label: Any, candidates: Iterable[str]) -> None:
    """Check that `unknown_label` is a string that is not a candidate."""
    if not isinstance(label, str):
        raise TypeError(f"unknown_label must be a string or None, got {label!r}.")
    if composed(label) in map(composed, candidates):
        raise ValueError(
            f"unknown_label={label!r} is also a candidate. Choose another label."
        )
