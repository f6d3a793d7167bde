"""What a classifier does with classes that it had no recordings of."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from sktext_vq._guidance import class_views, refuse_broken, texts_of_classes
from sktext_vq._head import RidgeHead
from sktext_vq._zero_shot import ZeroShotSpace
from sktext_vq.panel import Panel
from sktext_vq.text import TextEncoder, are_words
from sktext_vq.text._bank import find_entries, nearest_name
from sktext_vq.text._labels import composed, label_key
from sktext_vq.text.prompts import listed
from sktext_vq.training import single_thread

# A text is far from all others if its nearest one is less than half as near as usual.
_FAR = 0.5
# Texts that differ by less than this in their vectors differ by rounding.
_SAME = 1e-3
_SHOWN = 3


class UnseenClassesMixin:
    """Recognition of classes from texts about them."""

    classes_: NDArray[Any]
    head_: RidgeHead
    kept_: NDArray[np.int64]
    space_: ZeroShotSpace
    text: Any
    prompt_forms: Sequence[str]

    def _check_X(self, X: Any, *, reset: bool) -> Panel:
        raise NotImplementedError

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        raise NotImplementedError

    def _probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        raise NotImplementedError

    def _map_features(
        self, function: Callable[..., Any], panel: Panel, task: str
    ) -> Iterator[tuple[slice, Any]]:
        raise NotImplementedError

    def _encoder(self) -> TextEncoder:
        raise NotImplementedError

    def predict_proba_zero_shot(
        self, X: Any, candidate_labels: Sequence[str] | Mapping[str, Any]
    ) -> NDArray[np.float64]:
        """Probability of candidate classes, of which some or all had no recordings.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series with the channels of the training series.
        candidate_labels : sequence of str, or dict
            Names of classes, or a dict from names to a text or a list of texts about
            each (None for those of the bank). Names of training classes stand for
            these, whatever is said of them. They may change from call to call.

        Returns
        -------
        ndarray of shape (n_cases, n_candidates)
            Rows sum to 1; columns in the order of the candidates.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        ValueError
            If there are no candidates, or some twice, or if classes of training are no
            words, so that there are no texts to compare with.
        TypeError
            If a candidate or its text is not a string.

        Warns
        -----
        UserWarning
            If the text of a candidate is like that of no training class, if a name is
            nearly one that is known, or if there is one candidate only.

        Notes
        -----
        Where series of seen classes lie, and what is said of these, tells where those
        of an unseen class would be: kernel ridge regression from texts to the space of
        features. Texts are the prompts of `prompt_forms`, and attributes of classes
        beside them; ``prompt_forms=("keyword",)`` has names alone. Texts of the user
        decide: an activity that they name ("a person is jogging") brings what the bank
        knows of its attributes, and the bank's for the name of the candidate hold only
        where the texts name none and say nothing themselves. If candidates are
        both seen and unseen, a bias keeps seen ones from taking everything (calibrated
        stacking: Chao et al., ECCV 2016). It comes from seen classes that are treated
        as unseen. Seen candidates alone have the probabilities of `predict_proba`.

        Examples
        --------
        >>> from sktext_vq import VQTextClassifier
        >>> from sktext_vq.datasets import load
        >>> data = load("BasicMotions")
        >>> recorded = data.y_train != "walking"
        >>> model = VQTextClassifier(max_epochs=0, random_state=0)
        >>> model = model.fit(data.X_train[recorded], data.y_train[recorded])
        >>> names = ["badminton", "running", "standing", "walking"]
        >>> found = model.predict_zero_shot(data.X_test, names)
        >>> bool((found == data.y_test).mean() > 0.7)
        True
        """
        return self._judge(X, candidate_labels)[0]

    def predict_zero_shot(
        self, X: Any, candidate_labels: Sequence[str] | Mapping[str, Any]
    ) -> NDArray[Any]:
        """Choose among candidate classes, of which some or all had no recordings.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series with the channels of the training series.
        candidate_labels : sequence of str, or dict
            As for :meth:`predict_proba_zero_shot`.

        Returns
        -------
        ndarray of shape (n_cases,) of str
            Names of candidates.

        Raises
        ------
        NotFittedError, ValueError, TypeError
            As :meth:`predict_proba_zero_shot`.
        """
        best = self._judge(X, candidate_labels)[0].argmax(axis=1)
        return np.array(list(candidate_labels))[best]

    def search(self, X: Any, text: str) -> pd.DataFrame:
        """Rank series by how well a text fits them.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series with the channels of the training series, such as the windows of a
            long recording; see :func:`~sktext_vq.recordings.cut_windows`.
        text : str
            A name of a class, or any description.

        Returns
        -------
        DataFrame
            A row per series, the best first: ``case``, and ``score``, the probability
            of a training class of that name, and else the cosine of series and text
            in the space of features.

        Raises
        ------
        NotFittedError, ValueError, TypeError
            As :meth:`predict_proba_zero_shot`.
        """
        check_is_fitted(self)
        if not isinstance(text, str):
            raise TypeError(f"text must be a string, got {text!r}.")
        panel = self._check_X(X, reset=False)
        known, names, said = self._read_candidates([text])
        points, probabilities = self._place(panel)
        if text in known:
            scores = probabilities[:, known.index(text)]
        else:
            views = self._views(said, len(known) + 1)
            for doubt in _doubts_of_strangers(views[0], known, names):
                warnings.warn(doubt, stacklevel=2)
            scores = self.space_.cosines(points, views)[:, 0]
        order = np.argsort(-scores, kind="stable")
        return pd.DataFrame({"case": order, "score": scores[order]})

    def caption(self, X: Any, texts: Sequence[str] | None = None) -> NDArray[Any]:
        """Say in words what goes on in series, in the terms of texts about classes.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series with the channels of the training series.
        texts : sequence of str, optional
            Sentences to choose from. By default a caption is put together.

        Returns
        -------
        ndarray of shape (n_cases,) of str objects
            Of `texts` the one that fits a series best, by the cosine that `search`
            ranks by. By default the training class, and on each scale (strength,
            rhythm, impact, ...) the attribute, that are more probable than all others
            together; what several classes share may be sure where the class is not.

        Raises
        ------
        NotFittedError, ValueError, TypeError
            As :meth:`predict_proba_zero_shot`.

        Notes
        -----
        The probability of an attribute is that of the classes which have it (direct
        attribute prediction the other way: Lampert et al., CVPR 2009).

        Examples
        --------
        >>> from sktext_vq import VQTextClassifier
        >>> from sktext_vq.datasets import load
        >>> data = load("BasicMotions")
        >>> model = VQTextClassifier(max_epochs=0, random_state=0)
        >>> model = model.fit(data.X_train, data.y_train)
        >>> standing = data.X_test[data.y_test == "standing"]
        >>> model.caption(standing)[0].split("; ")[:2]
        ['standing: no movement, the signal is flat', 'no repeated pattern']
        >>> model.caption(standing, ["somebody runs", "nobody moves"])[0]
        'nobody moves'
        """
        check_is_fitted(self)
        if texts is not None:
            panel = self._check_X(X, reset=False)
            check_candidates(texts, "texts")
            known, names, said = self._read_candidates(texts)
            views = self._views(said, len(known) + len(names))
            points, _ = self._place(panel)
            best = self.space_.cosines(points, views).argmax(axis=1)
            return np.array(names, dtype=object)[best]
        known, _, said = self._read_candidates([str(self.classes_[0])])
        said = [each for each in said if each[1] < len(known)]
        probabilities = self.predict_proba(X)
        best = probabilities.argmax(axis=1)
        parts = [np.where(probabilities.max(axis=1) > 0.5, np.array(known)[best], "")]
        for scale in dict.fromkeys(view for view, _, _ in said if view):
            owners = {i: text for view, i, text in said if view == scale}
            clauses = sorted(set(owners.values()))
            member = np.zeros((len(known), len(clauses)))
            for i, clause in owners.items():
                member[i, clauses.index(clause)] = 1
            chances = probabilities @ member
            best = chances.argmax(axis=1)
            is_sure = chances.max(axis=1) > 0.5
            parts.append(np.where(is_sure, np.array(clauses)[best], ""))
        said_of = zip(*parts, strict=True)
        return np.array([_join(phrases) for phrases in said_of], dtype=object)

    def explain_zero_shot(
        self, X: Any, candidate_labels: Sequence[str] | Mapping[str, Any]
    ) -> pd.DataFrame:
        """Choose among candidate classes, and say what speaks for the choice.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series with the channels of the training series.
        candidate_labels : sequence of str, or dict
            As for :meth:`predict_proba_zero_shot`.

        Returns
        -------
        DataFrame
            A row per series: ``case``; ``label`` and its ``probability``; ``second``,
            the next best candidate, and ``second_probability``; ``like``, the training
            class that the series is most like; and ``reasons``, the most important
            first: for an unseen label up to three training classes that both the
            series and what is said of the label are like, or both unlike.

        Raises
        ------
        NotFittedError, ValueError, TypeError
            As :meth:`predict_proba_zero_shot`.

        See Also
        --------
        describe_candidates : What is known of the candidates themselves.
        """
        found, points, probabilities, views = self._judge(X, candidate_labels)
        known, names = [str(label) for label in self.classes_], list(candidate_labels)
        in_text, in_series = self.space_.reasons(points, views)
        order = np.argsort(-found, axis=1, kind="stable")
        rows = []
        for case, (first, *others) in enumerate(order):
            label, like = names[first], known[probabilities[case].argmax()]
            second = others[0] if others else first
            reasons = [f"recorded, and its probability is {found[case, first]:.2f}"]
            if label not in known:
                signs = in_text[first] > 0
                weights = in_text[first] * in_series[case]
                reasons = [
                    f"series and text are {'like' if signs[k] else 'unlike'} {known[k]}"
                    for k in np.argsort(-weights)[:3]
                    if weights[k] > 0
                ]
            rows.append(
                {
                    "case": case,
                    "label": label,
                    "probability": found[case, first],
                    "second": names[second] if others else "",
                    "second_probability": found[case, second] if others else 0.0,
                    "like": like,
                    "reasons": reasons,
                }
            )
        return pd.DataFrame(rows)

    def describe_candidates(
        self, candidate_labels: Sequence[str] | Mapping[str, Any]
    ) -> pd.DataFrame:
        """Say what the recognition of candidate classes rests on.

        Parameters
        ----------
        candidate_labels : sequence of str, or dict
            As for :meth:`predict_proba_zero_shot`.

        Returns
        -------
        DataFrame
            A row per candidate: ``candidate``; ``seen``, whether it was a class of
            training; ``texts``, all that is said of it; ``nearest``, the training
            class with the nearest prompts, and ``cosine`` of both; ``like``, up to
            three training classes that it takes after most, from the middle of all
            and by what is said that agrees with how their series differ.

        Raises
        ------
        NotFittedError, ValueError, TypeError
            As :meth:`predict_proba_zero_shot`.
        """
        check_is_fitted(self)
        known, names, said = self._read_candidates(candidate_labels)
        views = self._views(said, len(known) + len(names))
        kernel = self.space_.likeness(views)
        nearest = nearest_texts(views[0], len(known))
        texts: list[list[str]] = [[] for _ in (*known, *names)]
        for _, i, text in said:
            texts[i].append(text)
        rows = []
        for i, name in enumerate(names):
            class_, cosine = nearest[len(known) + i]
            order = [j for j in kernel[i].argsort()[::-1] if kernel[i, j] > 0]
            rows.append(
                {
                    "candidate": name,
                    "seen": name in known,
                    "texts": texts[len(known) + i],
                    "nearest": known[class_],
                    "cosine": cosine,
                    "like": [known[j] for j in order[:3]],
                }
            )
        return pd.DataFrame(rows)

    def _judge(
        self, X: Any, candidates: Sequence[str] | Mapping[str, Any]
    ) -> tuple[NDArray[np.float64], ...]:
        """Find probabilities of candidates, and what they rest on.

        Returns
        -------
        found : ndarray of shape (n_cases, n_candidates)
            Probabilities of candidates.
        points, probabilities : ndarray
            As `_place` returns them.
        views : ndarray of shape (n_views, n_classes + n_candidates, text_dim)
            As `_views` returns them.
        """
        check_is_fitted(self)
        panel = self._check_X(X, reset=False)
        known, names, said = self._read_candidates(candidates)
        texts = candidates.values() if isinstance(candidates, Mapping) else names
        silent = [
            name
            for name, text in zip(names, texts, strict=True)
            if text is None or not isinstance(candidates, Mapping)
        ]
        index = {name: i for i, name in enumerate(known)}
        seen = np.array([index.get(name, -1) for name in names])
        views = self._views(said, len(known) + len(names))
        doubts = [
            *_doubts_of_names(known, names, silent),
            *_doubts_of_strangers(views[0], known, names),
            *_doubts_of_ties(views[:, len(known) :], names, seen, silent),
        ]
        if doubts:
            warnings.warn(" ".join(doubts), stacklevel=3)
        points, probabilities = self._place(panel)
        scores = self.space_.score(
            points, np.log(np.maximum(probabilities, 1e-300)), views, seen
        )
        return np.exp(scores), points, probabilities, views

    def _place(self, panel: Panel) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Bring series into the space, and find the probabilities of seen classes."""
        basis = torch.from_numpy(self.space_.basis)

        def place(part: slice, features: NDArray[np.float32]) -> tuple[Any, Any]:
            own = self.head_.scaler(features[:, self.kept_])
            # In torch, whose threads the threads that call this have limited.
            points = torch.from_numpy(own).double() @ basis
            return points.numpy() - self.space_.centre, self._probabilities(features)

        found = [each for _, each in self._map_features(place, panel, "classes")]
        points, probabilities = zip(*found, strict=True)
        return np.concatenate(points), np.concatenate(probabilities)

    def _read_candidates(
        self, candidates: Sequence[str] | Mapping[str, Any]
    ) -> tuple[list[str], list[str], list[tuple[str, int, str]]]:
        """Return seen classes, candidates, and what is said of all of these."""
        names = [composed(name) for name in check_candidates(candidates)]
        known = [composed(str(label)) for label in self.classes_]
        own = dict(self.text) if isinstance(self.text, Mapping) else {}
        own = {composed(str(label)): texts for label, texts in own.items()}
        silent = [name for name in known if name not in own]
        if silent and not are_words(silent):
            raise ValueError(
                f"The classes of training, {known}, are no words, so that no text can "
                "be compared with theirs. Give texts about them: text={label: texts} "
                f"of {type(self).__name__}, before fit."
            )
        said = texts_of_classes(known, own, self.prompt_forms)
        if isinstance(candidates, Mapping):
            given = dict(zip(names, candidates.values(), strict=True))
            given = {name: each for name, each in given.items() if each is not None}
            # Another spelling of a label would be a second text of it.
            keys = set(map(label_key, given))
            own = {
                name: each for name, each in own.items() if label_key(name) not in keys
            }
            own |= given
        about = texts_of_classes(names, own, self.prompt_forms)
        return known, names, said + [(v, len(known) + i, t) for v, i, t in about]

    def _views(
        self, said: list[tuple[str, int, str]], n_classes: int
    ) -> NDArray[np.float64]:
        """Embed what is said of classes and candidates."""
        with single_thread():
            return class_views(said, n_classes, self._encoder())


def _doubts_of_names(
    known: list[str], names: list[str], silent: list[str]
) -> list[str]:
    """Say which candidate is alone, and what may be a slip of the pen.

    Names in `silent` have no texts of the user.
    """
    doubts = []
    if len(names) == 1:
        doubts.append(
            f"{names[0]!r} is the only candidate, so every window is assigned to it. "
            f"Name others, such as the classes of training, {known}; or see which "
            "series fit it best by search."
        )
    slips = []
    classes = set(known)
    for name in silent:
        near = None if name in classes else nearest_name(name, known)
        if near is not None:
            where = "a training class" if near in classes else "in the bank of texts"
            slips.append(
                f"{name!r} is taken for a class without recordings. Is {near!r} meant, "
                f"which is {where}?"
            )
    return doubts + _first(slips, "candidates may be other spellings")


def _doubts_of_strangers(
    vectors: NDArray[np.float64], known: list[str], names: list[str]
) -> list[str]:
    """Say which unseen candidates have a text that is like that of no seen class."""
    nearest = nearest_texts(vectors, len(known))
    usual = np.median([cosine for _, cosine in nearest[: len(known)]])
    classes = set(known)
    return _first(
        [
            f"The text of {name!r} is like that of no training class: the nearest is "
            f"that of {known[class_]!r}, at a cosine of {cosine:.2f}, where "
            f"{usual:.2f} is usual. Where its series lie is little more than a guess."
            for name, (class_, cosine) in zip(names, nearest[len(known) :], strict=True)
            if name not in classes and cosine < _FAR * usual
        ],
        "candidates have such texts",
    )


def _doubts_of_ties(
    views: NDArray[np.float64],
    names: list[str],
    seen: NDArray[np.int64],
    silent: list[str],
) -> list[str]:
    """Say which candidates cannot be told apart, since their texts are the same."""
    vectors = np.nan_to_num(views).swapaxes(0, 1).reshape(len(names), -1)
    # Equal rows are neighbours in the order of any direction.
    direction = np.random.RandomState(0).normal(size=vectors.shape[1])
    order = np.argsort(vectors @ direction, kind="stable")
    steps = np.linalg.norm(np.diff(vectors[order], axis=0), axis=1)
    groups = np.split(order, np.flatnonzero(steps >= _SAME) + 1)
    # Spellings of one entry of the bank differ in their keyword at most.
    by_entry: dict[int, list[str]] = {}
    for name, entry in zip(silent, find_entries(silent), strict=True):
        if entry is not None:
            by_entry.setdefault(id(entry), []).append(name)
    ties = [[names[i] for i in sorted(group)] for group in groups]
    ties += [group for group in by_entry.values() if group not in ties]
    classes = {name for name, class_ in zip(names, seen, strict=True) if class_ >= 0}
    ties = [group for group in ties if len(group) > 1 and not classes.issuperset(group)]
    if not ties:
        return []
    return [
        f"Candidates {listed(ties)} have the same texts, and cannot be told apart. "
        "Give texts that differ: {name: text}."
    ]


def _first(doubts: list[str], what: str) -> list[str]:
    """Keep the first of many sentences, and say how many there are."""
    if len(doubts) <= _SHOWN:
        return doubts
    return [*doubts[:_SHOWN], f"{len(doubts)} {what}."]


def nearest_texts(
    vectors: NDArray[np.float64], n_known: int
) -> list[tuple[int, float]]:
    """Find the nearest other known text of each text, and the cosine of both."""
    cosines = vectors @ vectors[:n_known].T
    np.fill_diagonal(cosines, -np.inf)
    best = cosines.argmax(axis=1)
    return [(int(j), float(row[j])) for j, row in zip(best, cosines, strict=True)]


def _join(phrases: Sequence[str]) -> str:
    """Put a class and what is said of it together, where there is any of both."""
    name, *clauses = phrases
    said = "; ".join(clause for clause in clauses if clause)
    return f"{name}: {said}" if name and said else name or said or "unclear"


def check_candidates(
    candidates: Sequence[str] | Mapping[str, Any], called: str = "candidate_labels"
) -> list[str]:
    """Return names of candidates, or say what is wrong with them."""
    if isinstance(candidates, str) or not isinstance(candidates, Iterable):
        raise TypeError(f"{called} must be a list of strings, got {candidates!r}.")
    names = list(candidates)
    if not names:
        raise ValueError(f"{called} is empty: give at least one.")
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"{called} must be strings, got {name!r}.")
        if not name.strip():
            raise ValueError(f"{called} has an empty string.")
    refuse_broken(names, called)
    counts = Counter(map(composed, names))
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        raise ValueError(f"{called} has {twice} more than once.")
    return [str(name) for name in names]
