"""Zero-shot prediction of classes that are described by texts."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.utils import check_random_state

from sktext_vq._features.extractor import Execution, FeatureExtractor
from sktext_vq._features.scaling import Scaler
from sktext_vq._heads.alignment import TextAlignment
from sktext_vq._heads.ridge import FeatureTable, RidgeHead
from sktext_vq._training.settings import FitSettings
from sktext_vq._utils.state import Sizes, Spec, State, Strings, check_state
from sktext_vq._utils.threads import multiply_rows, single_thread
from sktext_vq._utils.validation import find_stack_level
from sktext_vq._zero_shot.candidates import (
    CandidateTexts,
    nearest_texts,
    read_candidates,
)
from sktext_vq._zero_shot.embedding import ZeroShotSpace
from sktext_vq.panel import Panel
from sktext_vq.text import SeriesCaptioner, TextEncoder
from sktext_vq.text._labels import texts_by_name
from sktext_vq.text.class_texts import class_views

_STATE: dict[str, Spec | None] = {
    "space": None,
    "labels": Strings("n_classes"),
    "texts": None,
    "prompt_forms": Strings(),
}


class EmbeddedSeries(NamedTuple):
    """Series in the joint embedding space."""

    points: NDArray[np.float64]  # embeddings of shape (n_cases, n_dimensions)
    probabilities: NDArray[np.float64]  # of the training classes
    squared_norms: NDArray[np.float64] | None = None  # of the standardised features
    components: NDArray[np.float64] | None = None  # predicted by a `TextAlignment`

    @property
    def log_probabilities(self) -> NDArray[np.float64]:
        """Finite logarithms of the probabilities."""
        return np.log(np.maximum(self.probabilities, 1e-300))


@dataclass(frozen=True)
class ZeroShotRecognizer:
    """Zero-shot classifier for classes that are described by texts."""

    space: ZeroShotSpace
    labels: list[str]  # training classes
    texts: dict[str, Any]  # user-defined texts about training classes
    prompt_forms: tuple[str, ...]
    scorer: Any = None  # replaces the scores of the space; see `BridgeScorer`

    @classmethod
    def fit(
        cls,
        table: FeatureTable,
        labels: NDArray[Any],
        settings: FitSettings,
        groups: NDArray[Any] | None = None,
    ) -> ZeroShotRecognizer:
        """Fit the embedding space to standardised features of all training cases."""
        generator = check_random_state(settings.random_state)
        texts = settings.text
        return cls(
            ZeroShotSpace().fit(table.values, table.classes, generator, groups=groups),
            [str(label) for label in labels],
            texts_by_name(texts, labels) if isinstance(texts, Mapping) else {},
            tuple(settings.prompt_forms),
        )

    def get_state(self) -> State:
        """Return the state as a dict of configuration and arrays."""
        return {
            "space": self.space.get_state(),
            "labels": list(self.labels),
            "texts": dict(self.texts),
            "prompt_forms": list(self.prompt_forms),
        }

    @classmethod
    def from_state(cls, state: State, sizes: Sizes) -> Self:
        """Create a recognizer from its state."""
        check_state(state, _STATE, sizes, "zero_shot")
        if not isinstance(state["texts"], dict):
            raise ValueError("zero_shot.texts is not a dict")
        return cls(
            ZeroShotSpace.from_state(state["space"], sizes),
            state["labels"],
            state["texts"],
            tuple(state["prompt_forms"]),
        )

    def embed_series(
        self,
        panel: Panel,
        extractor: FeatureExtractor,
        head: RidgeHead,
        execution: Execution,
        alignment: TextAlignment | None = None,
        enrolment: Any = None,
    ) -> EmbeddedSeries:
        """Return embeddings of series and probabilities of the training classes.

        If `enrolment` is given, the class scores of the base model are included.
        """
        basis, selected = torch.from_numpy(self.space.basis), extractor.selected

        def embed(part: slice, features: NDArray[np.float32]) -> tuple[Any, ...]:
            own = features[:, selected]
            # Use torch instead of NumPy, because torch is limited to one thread here.
            scaled = torch.from_numpy(head.scaler(own))
            doubles = scaled.double()
            points = multiply_rows(doubles, basis).numpy() - self.space.centre
            squared_norms = doubles.square().sum(1).numpy()
            components = [] if alignment is None else [alignment.predict(scaled)]
            return points, head.probabilities(own), squared_norms, *components

        found = [
            each
            for _, each in extractor.map(embed, panel, execution, "classes", selected)
        ]
        series = EmbeddedSeries(*map(np.concatenate, zip(*found, strict=True)))
        if enrolment is None:
            return series
        logits = series.log_probabilities + enrolment.logits(panel, execution)
        return series._replace(probabilities=softmax(logits, axis=1))

    def read(
        self,
        candidates: Sequence[str] | Mapping[str, Any],
        called: str = "candidate_labels",
    ) -> CandidateTexts:
        """Validate candidates and collect their texts."""
        return read_candidates(
            candidates, self.labels, self.texts, self.prompt_forms, called
        )

    def embed_texts(
        self, candidates: CandidateTexts, encoder: TextEncoder
    ) -> NDArray[np.float64]:
        """Return the embeddings of texts, of shape (n_views, n_classes, text_dim)."""
        with single_thread():
            return class_views(candidates.texts, candidates.n_classes, encoder)

    def warn(self, candidates: CandidateTexts, views: NDArray[np.float64]) -> None:
        """Issue all warnings about the candidates as a single warning."""
        doubts = candidates.warnings(views)
        if doubts:
            warnings.warn(" ".join(doubts), stacklevel=find_stack_level())

    def predict_proba(
        self,
        series: EmbeddedSeries,
        candidates: CandidateTexts,
        views: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return the probabilities of candidates, of shape (n_cases, n_candidates)."""
        if self.scorer is not None:
            return np.asarray(self.scorer.predict_proba(self.space, series, views))
        known = series.points, series.log_probabilities
        return np.exp(self.space.score(*known, views, candidates.seen))

    def with_unknown(
        self,
        proba: NDArray[np.float64],
        series: EmbeddedSeries,
        candidates: CandidateTexts,
        views: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Append a column with the probability of an unknown class."""
        unknown = self.unknown_probability(series, candidates, views)[:, None]
        return np.concatenate([(1 - unknown) * proba, unknown], axis=1)

    def unknown_probability(
        self,
        series: EmbeddedSeries,
        candidates: CandidateTexts,
        views: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return the probability of an unknown class, of shape (n_cases,)."""
        if self.scorer is not None:
            found = self.scorer.unknown_probability(self.space, series, views)
            return np.asarray(found)
        found = series.points, self._residuals(series), views, candidates.seen
        return self.space.unknown_probability(*found)

    def _residuals(self, series: EmbeddedSeries) -> NDArray[np.float64]:
        assert series.squared_norms is not None
        return self.space.log_residuals(series.points, series.squared_norms)

    def search(
        self,
        series: EmbeddedSeries,
        text: str,
        encoder: TextEncoder,
        alignment: TextAlignment | None,
    ) -> pd.DataFrame:
        """Return the score of each series; see `VQTextClassifier.search`."""
        candidates = self.read([text], "text")
        seen = candidates.seen[0]
        if seen >= 0:
            scores = series.probabilities[:, seen]
        else:
            views = self.embed_texts(candidates, encoder)
            for doubt in candidates.warnings_of_distant(views):
                warnings.warn(doubt, stacklevel=find_stack_level())
            scores = self.space.cosines(series.points, views)[:, 0]
            if alignment is not None and series.components is not None:
                # The zero-shot space is more accurate for unseen classes, and the
                # aligned space is more accurate for synonyms of training classes.
                own = alignment.similarity(series.components, [text], encoder)
                scores = (scores + own[:, 0]) / 2
        return pd.DataFrame({"case": np.arange(len(scores)), "score": scores})

    def choose_text(
        self,
        series: EmbeddedSeries,
        texts: Sequence[str],
        encoder: TextEncoder,
        alignment: TextAlignment | None,
    ) -> NDArray[Any]:
        """Return the most similar text for each series."""
        candidates = self.read(texts, "texts")
        if alignment is not None and series.components is not None:
            names = candidates.names
            cosines = alignment.similarity(series.components, names, encoder)
        else:
            views = self.embed_texts(candidates, encoder)
            cosines = self.space.cosines(series.points, views)
        best = cosines.argmax(axis=1)
        return np.array(candidates.names, dtype=object)[best]

    def caption(
        self,
        series: EmbeddedSeries,
        panel: Panel,
        scaler: Scaler,
        channel_names: Sequence[str] | None,
        sampling_rate: float | None,
    ) -> NDArray[Any]:
        """Return a caption for each series, including the most probable training class.

        The class is omitted if its probability is at most 0.5. If unknown classes can
        be detected, the probability is multiplied by the probability of a known class.
        """
        captioner = SeriesCaptioner(
            channel_names=channel_names, sampling_rate=sampling_rate
        )
        captioner.fit_to_quantiles(scaler.mean, scaler.scale, scaler.usual)
        proba = series.probabilities
        if self.space.can_reject:
            residuals = self._residuals(series)
            found = self.space.unknown_probability(series.points, residuals)
            proba = proba * (1 - found)[:, None]
        sentences = captioner.describe(panel.values, panel.lengths)
        captions = np.empty(len(sentences), dtype=object)
        for case, (own, row) in enumerate(zip(sentences, proba, strict=True)):
            best = row.argmax()
            share = f"Probably {self.labels[best]} ({row[best]:.0%})."
            captions[case] = " ".join([*own, share] if row[best] > 0.5 else own)
        return captions

    def explain(
        self,
        series: EmbeddedSeries,
        candidates: CandidateTexts,
        views: NDArray[np.float64],
    ) -> pd.DataFrame:
        """Return a prediction for each series and reasons for the prediction."""
        proba = self.predict_proba(series, candidates, views)
        known, names = candidates.known, candidates.names
        in_text, in_series = self.space.reasons(series.points, views)
        order = np.argsort(-proba, axis=1, kind="stable")
        rows = []
        for case, (first, *others) in enumerate(order):
            label = names[first]
            second = others[0] if others else first
            reasons = [f"training class with probability {proba[case, first]:.2f}"]
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
                    "probability": proba[case, first],
                    "second": names[second] if others else "",
                    "second_probability": proba[case, second] if others else 0.0,
                    "like": known[series.probabilities[case].argmax()],
                    "reasons": reasons,
                }
            )
        return pd.DataFrame(rows)

    def describe(
        self, candidates: CandidateTexts, encoder: TextEncoder
    ) -> pd.DataFrame:
        """Return the texts and the most similar training classes for each candidate."""
        known, names = candidates.known, candidates.names
        views = self.embed_texts(candidates, encoder)
        kernel = self.space.likeness(views)
        nearest = nearest_texts(views[0], len(known))
        texts: list[list[str]] = [[] for _ in range(candidates.n_classes)]
        for _, i, text in candidates.texts:
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
