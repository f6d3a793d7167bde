"""Ridge classifier on token histograms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from sktext_vq._base import BaseVQText
from sktext_vq._features.cluster import map_parts
from sktext_vq._features.columns import check_column
from sktext_vq._features.extractor import Execution
from sktext_vq._features.selection import FeatureScaler
from sktext_vq._heads.ridge import RidgeHead, predict_logits
from sktext_vq._interpret.contributions import Explainer, head_without_base
from sktext_vq._interpret.importances import LinearModel, PermutationScores, list_rows
from sktext_vq._training.data import check_classes
from sktext_vq._training.fit import fit_features
from sktext_vq._training.network import ClosedForm
from sktext_vq._training.warm_start import find_base
from sktext_vq._utils.docs import fill_docs
from sktext_vq._utils.torch_defaults import torch_defaults
from sktext_vq._zero_shot import queries
from sktext_vq._zero_shot.recognizer import ZeroShotRecognizer
from sktext_vq.panel import Panel
from sktext_vq.text import TextEncoder

__all__ = ["VQTextClassifier"]

Candidates = Sequence[str] | Mapping[str, Any]


@fill_docs
class VQTextClassifier(ClassifierMixin, BaseVQText):
    """Classify series by histograms of shape tokens.

    A ridge classifier with a cross-validated penalty and calibrated probabilities is
    fitted to the features of :class:`VQTextTransformer`. `predict` does not use texts.
    Texts are used in searches, in zero-shot prediction and by :meth:`similarity`.

    Parameters
    ----------
    [[text_parameters]]
    class_weight : dict, "balanced" or None, default=None
        Class weights, as in scikit-learn classifiers.
    [[other_parameters]]

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    [[attributes]]

    See Also
    --------
    VQTextTransformer : Token histograms as features for any classifier.
    pretrain : Fit one codebook to several panels.

    Examples
    --------
    >>> import numpy as np
    >>> from sktext_vq import VQTextClassifier
    >>> rng = np.random.default_rng(0)
    >>> time = np.arange(60)
    >>> X = np.stack([np.sin(time / p + rng.uniform(0, 6)) for p in [2, 5] * 10])
    >>> y = np.array(["running", "walking"] * 10)
    >>> classifier = VQTextClassifier(text_encoder="hashing", random_state=0)
    >>> classifier.fit(X, y).predict(X[:2]).tolist()
    ['running', 'walking']
    """

    classes_: NDArray[Any]
    head_: RidgeHead
    zero_shot_: ZeroShotRecognizer
    enrolment_: Any = None  # class scores of a base model; see parameter `init` of fit

    def __init__(
        self,
        n_codes: int = 64,
        *,
        text: Any = "auto",
        text_encoder: Any = "minilm",
        prompt_forms: Sequence[str] = ("keyword", "sentence", "affirmative"),
        class_weight: Any = None,
        max_epochs: int = 0,
        loss_weights: Mapping[str, float] | None = None,
        max_features: int = 10_000,
        channel_names: Sequence[str] | None = None,
        gravity: Any = "append",
        augment: Mapping[str, Any] | None = None,
        sampling_rate: float | None = None,
        random_state: Any = None,
        device: str = "auto",
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.n_codes = n_codes
        self.text = text
        self.text_encoder = text_encoder
        self.prompt_forms = prompt_forms
        self.class_weight = class_weight
        self.max_epochs = max_epochs
        self.loss_weights = loss_weights
        self.max_features = max_features
        self.channel_names = channel_names
        self.gravity = gravity
        self.augment = augment
        self.sampling_rate = sampling_rate
        self.random_state = random_state
        self.device = device
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        text: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        init: Any = None,
        checkpoint: Any = None,
    ) -> VQTextClassifier:
        """Fit the codebook, the features and the classifier.

        Parameters
        ----------
        [[X_train]]
        y : array-like of shape (n_cases,)
            Labels of at least two classes.
        [[text_argument]]
        groups : array-like of shape (n_cases,), optional
            Group of each case, such as the person or machine from which it was
            recorded. Cross-validation keeps the cases of a group in the same fold. With
            metadata routing, ``set_fit_request(groups=True)`` passes groups to `fit` in
            hyperparameter searches.
        [[fit_arguments]]

        Returns
        -------
        VQTextClassifier
            The fitted estimator.

        [[raises_fit]]
        """
        if self.adapter_ is not None:
            raise TypeError(
                "A base model cannot be fitted again. To add labelled windows, call "
                "VQTextClassifier(...).fit(X, y, init=base)."
            )
        enrol, init = find_base(init)
        with torch_defaults():
            settings = self._settings()
            spec, data = self._validate_fit(
                X, y, text, groups=groups, sample_weight=sample_weight, init=init
            )
            data = check_classes(data, self.class_weight, type(self).__name__)
            enrolment = None if enrol is None else enrol(data, settings)
            data = self._open_checkpoint(data, checkpoint)
            fitted = fit_features(data, settings, n_folds=4)
            table, labels, groups = fitted.table, data.labels, fitted.data.groups
            assert table is not None and labels is not None
            scaler = FeatureScaler.fit(table.values, fitted.selection.weight)
            scaler.scale_in_place(table.values)
            head = RidgeHead.fit(
                table, scaler, len(labels), fitted.held_out, data.class_weight
            )
            zero_shot = ZeroShotRecognizer.fit(table, labels, settings, groups)
            closed = ClosedForm(head, fitted.align(table.values, head))
            trained, network = fitted.train(scaler, table.values, closed)
        assert trained.head is not None
        self._store(spec, data, fitted, network, trained.alignment)
        self.classes_, self.head_, self.feature_scaler_ = labels, trained.head, scaler
        self.zero_shot_, self.enrolment_ = zero_shot, enrolment
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of each class.

        [[parameters_X]]

        Returns
        -------
        ndarray of shape (n_cases, n_classes)
            Probabilities of the classes, in the order of ``classes_``. Rows sum to 1.

        [[raises_X]]

        Notes
        -----
        See :doc:`/scale` for the reproducibility of probabilities.
        """
        return softmax(self._logits(X), axis=1)

    def predict_log_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the logarithm of the probability of each class.

        [[parameters_X]]

        Returns
        -------
        ndarray of shape (n_cases, n_classes)
            Log-probabilities of the classes, in the order of ``classes_``.

        [[raises_X]]
        """
        return log_softmax(self._logits(X), axis=1)

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Return the score of each class.

        [[parameters_X]]

        Returns
        -------
        ndarray of shape (n_cases, n_classes), or (n_cases,) if there are two classes
            Log-probabilities up to a constant per case. With two classes, the log-odds
            of ``classes_[1]``.

        [[raises_X]]
        """
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the most probable class of each series.

        [[parameters_X]]

        Returns
        -------
        ndarray of shape (n_cases,)
            Predicted labels.

        [[raises_X]]
        """
        best = self._logits(X).argmax(axis=1)
        return self.classes_[best]

    def _map(self, X: Any, function: Callable[..., Any], *options: Any) -> Any:
        """Call a function with the classifier for the series, and validated series."""
        panel = self.check_X(X)
        if self.adapter_ is None:
            return function(self, panel, *options)
        return self.adapter_.map(function, self, panel, *options)

    def _tools(self) -> tuple[TextEncoder, Execution]:
        """Return the last arguments of the functions in `queries`."""
        return self._encoder(), self._execution()

    def _logits(self, X: Any) -> NDArray[np.float64]:
        def predict(model: VQTextClassifier, panel: Panel) -> NDArray[np.float64]:
            parts = model.features_, model.head_, model._execution()
            logits = map_parts(partial(predict_logits, *parts), panel, self.n_jobs)
            if model is not self:  # a classifier with these classes, and perhaps others
                logits = logits[:, np.isin(model.classes_, self.classes_)]
            if self.enrolment_ is None:
                return logits
            added = partial(self.enrolment_.logits, execution=parts[-1])
            return logits + map_parts(added, panel, self.n_jobs)

        return np.asarray(self._map(X, predict))

    def explain(self, X: Any, label: Any = None, against: Any = None) -> pd.DataFrame:
        """Decompose the log-odds of two classes into contributions of tokens.

        [[contributions]]
        """

        def explain(model: VQTextClassifier, panel: Panel) -> pd.DataFrame:
            parts = model.features_, head_without_base(model), model._refiner()
            explainer = Explainer(*parts, model.classes_, model.channel_names_)
            return explainer.explain(panel, label, against, model._execution())

        return self._map(X, explain)

    def channel_importances(
        self,
        X: Any,
        y: ArrayLike,
        *,
        n_repeats: int = 30,
        random_state: Any = None,
        scoring: Any = None,
    ) -> pd.DataFrame:
        """Return permutation importances of channels and sensors.

        [[importances]]
        """
        labels = check_column(y, "y", self.check_X(X))
        scores = PermutationScores(n_repeats, random_state, scoring)

        def score(model: VQTextClassifier, panel: Panel) -> pd.DataFrame:
            if panel.n_cases < len(labels):
                raise ValueError(
                    "X contains windows with and without angular velocity, for which "
                    "different classifiers are used. Pass one kind of windows only."
                )
            parts = model.features_, head_without_base(model), model.classes_
            rows = list_rows(model.channel_names_, model.channel_groups_)
            own = LinearModel(*parts)
            return scores.by_row(own, panel, labels, rows, model._execution())

        return self._map(X, score)

    def predict_proba_zero_shot(
        self, X: Any, candidate_labels: Candidates, unknown_label: str | None = None
    ) -> NDArray[np.float64]:
        """Return the probabilities of candidate classes, which may be unseen.

        [[parameters_candidates]]
        [[unknown_label]]

        Returns
        -------
        ndarray of shape (n_cases, n_candidates) or (n_cases, n_candidates + 1)
            Probabilities of the candidates, in the given order, and of `unknown_label`
            if it is not None. Rows sum to 1.

        [[raises_zero_shot]]

        [[about_zero_shot]]
        """
        options = candidate_labels, unknown_label, *self._tools()
        return np.asarray(self._map(X, queries.predict_proba, *options))

    def predict_zero_shot(
        self, X: Any, candidate_labels: Candidates, unknown_label: str | None = None
    ) -> NDArray[Any]:
        """Predict the most probable candidate class, which may be an unseen class.

        [[parameters_candidates]]
        [[unknown_label]]

        Returns
        -------
        ndarray of shape (n_cases,) of str
            Candidate names, or `unknown_label` if its probability is above 0.5.

        [[raises_zero_shot]]
        """
        proba = self.predict_proba_zero_shot(X, candidate_labels, unknown_label)
        names = np.array(list(candidate_labels))
        best = names[proba[:, : len(names)].argmax(axis=1)]
        if unknown_label is None:
            return best
        return np.where(proba[:, -1] > 0.5, unknown_label, best)

    def search(self, X: Any, text: str) -> pd.DataFrame:
        """Rank series by similarity to a text.

        Parameters
        ----------
        [[X]]
        text : str
            Name of a class, or a description of the series to find.

        Returns
        -------
        DataFrame
            One row per series, with the columns ``case`` and ``score``, in descending
            order of score. If `text` is the name of a training class, the score is the
            probability of the class. Otherwise, the score is the mean of two cosine
            similarities between the series and the text, in the embedding spaces of
            zero-shot prediction and of :meth:`similarity`.

        [[raises_zero_shot]]
        """
        check_is_fitted(self)
        if not isinstance(text, str):
            raise TypeError(f"text must be a string, got {text!r}.")
        found = self._map(X, queries.search, text, *self._tools())
        by_score = found.sort_values("score", ascending=False, kind="stable")
        return by_score.reset_index(drop=True)

    def caption(self, X: Any, texts: Sequence[str] | None = None) -> NDArray[Any]:
        """Return a caption for each series.

        Parameters
        ----------
        [[X]]
        texts : sequence of str, optional
            Sentences to choose from. By default, captions are generated.

        Returns
        -------
        ndarray of shape (n_cases,) of str objects
            If `texts` are given, the sentence with the highest :meth:`similarity` to
            each series. Otherwise, sentences of :class:`~sktext_vq.SeriesCaptioner`,
            which compare the series with the training series, and the most probable
            training class if its probability is above 0.5.

        [[raises_zero_shot]]
        """
        return np.asarray(self._map(X, queries.caption, texts, *self._tools()))

    def explain_zero_shot(self, X: Any, candidate_labels: Candidates) -> pd.DataFrame:
        """Return the most probable candidates and reasons for the predictions.

        [[parameters_candidates]]

        Returns
        -------
        DataFrame
            One row per series. The columns are ``case``; ``label`` and ``probability``;
            ``second``, the second most probable candidate, and ``second_probability``;
            ``like``, the most probable training class; and ``reasons``, in descending
            order of importance. The reasons for an unseen label are up to three
            training classes that are similar both to the series and to the texts of the
            label, or dissimilar to both.

        [[raises_zero_shot]]
        """
        options = ZeroShotRecognizer.explain, candidate_labels, *self._tools()
        return self._map(X, queries.recognize, *options)

    def describe_candidates(self, candidate_labels: Candidates) -> pd.DataFrame:
        """Return the texts of candidate classes and the most similar training classes.

        Parameters
        ----------
        [[candidate_labels]]

        Returns
        -------
        DataFrame
            One row per candidate. The columns are ``candidate``; ``seen``, whether the
            candidate is a training class; ``texts``; ``nearest``, the training class
            with the most similar prompts; ``cosine``, the cosine similarity of these
            prompts; and ``like``, up to three of the most similar training classes.

        [[raises_zero_shot]]
        """
        check_is_fitted(self)
        candidates = self.zero_shot_.read(candidate_labels)
        return self.zero_shot_.describe(candidates, self._encoder())
