"""Classifier on top of token histograms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax, softmax
from sklearn.base import ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import check_is_fitted

from sktext_vq._base import BaseVQText
from sktext_vq._features.cluster import map_parts
from sktext_vq._features.selection import FeatureScaler
from sktext_vq._heads.ridge import RidgeHead, predict_logits
from sktext_vq._interpret.contributions import Explainer
from sktext_vq._training.data import TrainingData
from sktext_vq._training.fit import fit_features
from sktext_vq._training.settings import FitSettings
from sktext_vq._utils.torch_defaults import torch_defaults
from sktext_vq._zero_shot.candidates import Candidates
from sktext_vq._zero_shot.embedding import ZeroShotSpace
from sktext_vq._zero_shot.recognizer import EmbeddedSeries, ZeroShotRecognizer
from sktext_vq.panel import Panel

__all__ = ["VQTextClassifier"]

_N_FOLDS = 4


class VQTextClassifier(ClassifierMixin, BaseVQText):
    """Classify series by histograms of shape tokens.

    The codes and features of :class:`VQTextTransformer`, and a ridge classifier whose
    penalty and probabilities are cross-validated. Text is used in training only:
    prediction needs series alone.

    Parameters
    ----------
    n_codes : int, default=64
        Number of codes in the codebook, in heads of 16 or more: each window is matched
        with one code of each head.
    text : {"auto", "labels", "captions"}, dict or None, default="auto"
        Text to train with: captions of the series, and prompts of the classes where
        labels are words (``"auto"``); only one of these (``"labels"``,
        ``"captions"``); a dict from labels to a text or a list of texts; or None for
        training without text.
    text_encoder : str, callable or TextEncoder, default="minilm"
        Computes embeddings of texts; see :class:`~sktext_vq.TextEncoder`.
    prompt_forms : tuple of str, default=("keyword", "sentence", "affirmative")
        Forms of prompts that describe a class; see :class:`~sktext_vq.PromptBank`.
    class_weight : dict, "balanced" or None, default=None
        Weights of classes, as in scikit-learn.
    max_epochs : int, default=20
        Maximum number of passes over the training series. With 50 cases or more, a
        fifth is held out for early stopping. 0 keeps the closed form, which takes
        seconds.
    loss_weights : dict, optional
        Weights of single losses in training, by name, which replace their defaults; 0
        switches a loss off. See :mod:`sktext_vq.nn.losses` for available losses.
    max_features : int, default=10000
        Maximum number of features to keep, ranked by F statistic. At most a third of
        all histogram features is kept.
    channel_names : sequence of str, optional
        Names of channels, used in feature names and captions. By default the column
        names, if X consists of data frames that have some.
    gravity : {"append", "replace"}, dict or None, default="append"
        Channels in a frame that gravity defines, which do not depend on how a device
        was turned about the vertical; see :class:`~sktext_vq.nn.GravityFrame`.
        ``"append"`` adds them to the axes of each sensor with three axes, if channel
        names such as ``acc_x``, ``acc_y`` and ``acc_z`` show the axes and one sensor
        shows the vertical. ``"replace"`` puts them in place of the axes, for sensors
        that may be worn elsewhere at prediction; it cannot distinguish postures by the
        axis that points up. A dict from names of sensors to three channels, by name or
        index, appends for these sensors. None adds no channels.
    augment : dict, optional
        Changes to copies of the training series. Feature selection and ridge use them
        beside the series themselves; training of the network does not. ``"gain"``:
        standard deviation of the logarithm of a factor of each sensor's movement about
        its mean; ``"rotation"``: largest turn of a device, in degrees; ``"noise"``: in
        standard deviations of a channel; ``"dropout"``: probability that one sensor
        reads 0 throughout; ``"gap"``: largest share of a series that is missing in one
        stretch; ``"copies"``: number of copies of each series (1). Omitted sizes are 0.
        Time and memory of fitting grow with copies.
    sampling_rate : float, optional
        Timepoints per second, for durations and rhythms in seconds.
    random_state : int, RandomState or None, default=None
        Makes fits repeatable. Global random states are left alone.
    device : str, default="auto"
        Torch device; ``"auto"`` is a GPU if there is one. With ``"accelerate"``,
        processes that ``accelerate launch`` has started with the same data train
        together, each on its device and with a part of every batch.
    n_jobs : int or None, default=None
        Number of threads that share out the cases, as joblib counts them. None uses as
        many as torch may use (``torch.set_num_threads``), or as joblib's context
        specifies. If that context is a cluster of dask or ray, its workers share out
        the cases to predict or transform, unless `n_jobs` is 1.
    verbose : int, default=0
        1 shows progress.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    codebook_ : ndarray of shape (n_codes, 8)
        Codes: shapes of mean 0 in units of their scale.
    shapes_ : ndarray of shape (n_codes, 8)
        Shape of each code; the codes themselves in this version.
    training_stage_ : {"closed form", "trained", "trained with text"}
        How codes and network were made.
    history_ : list of dict
        Losses and seconds of each epoch of training.
    codebook_use_ : dict
        How evenly both branches use the codes after training, and how much alike; see
        :meth:`sktext_vq.nn.Codebook.metrics`.
    prompts_ : list of str or None
        Texts that the network was trained with; of each class the first.
    channel_names_ : list of str
        Names of the channels.
    channel_groups_ : dict
        Channels of the three axes of each sensor, by the name of the sensor.
    n_channels_, n_timepoints_ : int
        Number of channels, and length of the longest training series.
    n_features_in_ : int
        Timepoints for input of shape (n_cases, n_timepoints), else channels.
    feature_names_in_ : ndarray of str
        Only for data frames of such input with column names.

    See Also
    --------
    VQTextTransformer : Histograms for any classifier.
    pretrain : Learn codes from several panels.

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

    def __init__(
        self,
        n_codes: int = 64,
        *,
        text: Any = "auto",
        text_encoder: Any = "minilm",
        prompt_forms: Sequence[str] = ("keyword", "sentence", "affirmative"),
        class_weight: Any = None,
        max_epochs: int = 20,
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
        """Learn codes, features and classifier.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Training series; see :func:`~sktext_vq.panel.as_panel` for all kinds.
        y : array-like of shape (n_cases,)
            Class labels, of at least two classes.
        text : array-like of shape (n_cases,) of str, optional
            Text about each case, which replaces other text. It describes the series: a
            text that names the class gives away what is to be learned.
        groups : array-like of shape (n_cases,), optional
            Group of each case, such as the person or machine it comes from. Penalty and
            probabilities are then chosen for groups that training has not seen.
        sample_weight : array-like of shape (n_cases,), optional
            Weights of cases in training, in the selection of features and in the ridge
            classifier. Only their
            ratios matter. Cases of weight 0 are ignored, and so
            is a class that has no others.
        init : VQTextTransformer or VQTextClassifier, optional
            Fitted estimator with the same number of codes to start from: fitted to
            other series, perhaps with other channels, such as
            :func:`~sktext_vq.pretrain` returns; or to earlier series, to continue with
            new people. May be the estimator itself. See Notes of
            :func:`~sktext_vq.pretrain` for what is taken over.
        checkpoint : path-like, optional
            File that training writes its state to, for long training. After each epoch,
            or a few if these are fast, it is replaced as a whole. If `fit` was killed,
            the same call resumes from there, on the same machine with the same result.
            The file remains: once training has ended, `fit` reads its result from the
            file. Remove it to train again. Needs an int as `random_state`.

        Returns
        -------
        VQTextClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            If X is not a panel or does not match y, text, groups or
            sample_weight, if there is only one class or one group, if a parameter or weight is
            invalid, or `checkpoint` is damaged or the file of another fit. The
            estimator is then as it was before the call.
        NotFittedError
            If `init` is not fitted.
        TypeError
            If `init` is not a VQTextTransformer or VQTextClassifier, or a parameter has
            the wrong type.
        FloatingPointError
            If losses are not finite in the first epoch of training. Later, a
            ``ConvergenceWarning`` is raised, and the weights of an earlier epoch are
            kept. The same holds, with a warning, if training is interrupted (Ctrl-C).
        OSError
            If `checkpoint` cannot be written.
        """
        with torch_defaults():
            settings = self._settings()
            spec, data = self._validate_fit(
                X, y, text, groups=groups, sample_weight=sample_weight, init=init
            )
            data = self._open_checkpoint(self._check_classes(data), checkpoint)
            fitted = fit_features(data, settings, n_folds=_N_FOLDS, with_table=True)
            table, labels = fitted.table, data.labels
            assert table is not None and labels is not None
            scaler = FeatureScaler.fit(table.values, fitted.selection.weight)
            scaler.scale_in_place(table.values)
            head = RidgeHead.fit(
                table, scaler, len(labels), fitted.folds, data.class_weight
            )
            space = ZeroShotSpace().fit(
                table.values, table.classes, check_random_state(self.random_state)
            )
        self._store(spec, data, fitted)
        self.classes_ = labels
        self.head_ = head
        self.zero_shot_ = ZeroShotRecognizer(
            space,
            [str(label) for label in labels],
            dict(self.text) if isinstance(self.text, Mapping) else {},
            tuple(self.prompt_forms),
        )
        return self

    def _settings(self) -> FitSettings:
        weights = self.class_weight
        for label, weight in weights.items() if isinstance(weights, dict) else ():
            if not (isinstance(weight, Real) and 0 <= float(weight) < np.inf):
                raise ValueError(
                    f"class_weight[{label!r}] must be a finite number of at least 0, "
                    f"got {weight!r}."
                )
        return super()._settings()

    def _check_classes(self, data: TrainingData) -> TrainingData:
        """Check labels and groups, and return data with weights of classes."""
        labels, classes, groups = data.labels, data.classes, data.groups
        assert labels is not None and classes is not None
        if len(labels) < 2:
            raise ValueError(
                f"{type(self).__name__} needs at least two classes, but y has only "
                f"1 class: {labels[0]!r}."
            )
        if groups is not None and len(np.unique(groups)) < 2:
            raise ValueError(
                f"groups has only one group, {groups.tolist()[0]!r}: nothing can be "
                "held out. Leave it out, or give at least two."
            )
        if self.class_weight is None:
            return data
        class_weight = compute_class_weight(
            self.class_weight,
            classes=labels,
            y=labels[classes],
            sample_weight=data.sample_weight,
        )
        if not class_weight.any():
            raise ValueError(
                "class_weight must be above 0 for at least one class, got "
                f"{self.class_weight!r}."
            )
        return data.with_class_weight(class_weight)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series with the channels of the training series.

        Returns
        -------
        ndarray of shape (n_cases, n_classes)
            Rows sum to 1; columns as in ``classes_``.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        ValueError
            If X is not a panel with the channels of the training series.
        """
        return softmax(self._logits(self._check_X(X)), axis=1)

    def predict_log_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the logarithm of the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series with the channels of the training series.

        Returns
        -------
        ndarray of shape (n_cases, n_classes)
            Columns as in ``classes_``.

        Raises
        ------
        NotFittedError, ValueError
            As :meth:`predict_proba`.
        """
        return log_softmax(self._logits(self._check_X(X)), axis=1)

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Return the score of each class, the largest of which is predicted.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series with the channels of the training series.

        Returns
        -------
        ndarray of shape (n_cases, n_classes), or (n_cases,) if there are two classes
            Logarithms of probabilities up to a constant per case. With two classes,
            log-odds of ``classes_[1]``.

        Raises
        ------
        NotFittedError, ValueError
            As :meth:`predict_proba`.
        """
        logits = self._logits(self._check_X(X))
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable class.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series with the channels of the training series.

        Returns
        -------
        ndarray of shape (n_cases,)
            Labels.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        ValueError
            If X is not a panel with the channels of the training series.
        """
        logits = self._logits(self._check_X(X))
        return self.classes_[logits.argmax(axis=1)]

    def _logits(self, panel: Panel) -> NDArray[np.float64]:
        predict = partial(predict_logits, self.features_, self.head_, self._execution())
        return map_parts(predict, panel, self.n_jobs)

    def explain(self, X: Any, label: Any = None, against: Any = None) -> pd.DataFrame:
        """Distribute the log-odds of two classes over tokens.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series with the channels of the training series. One is explained after the
            other, in about a tenth of a second: take a few.
        label : object, optional
            Class to explain; by default the most probable one of each series.
        against : object, optional
            Class to compare with; by default the most probable other one.

        Returns
        -------
        DataFrame
            Rows of each series from the largest contribution to the least: ``case``,
            ``label``, ``against``; ``channel``, ``channel_name``, ``start``, ``length``
            and ``code`` of a token as :meth:`tokens` has them, a ``phrase`` that says
            what it looks like, and its ``contribution`` to the logarithm of how many
            times as probable `label` is as `against`. Contributions of a series sum to
            that.

            What is in no place has start and code -1. Its phrase says what it is:

            - a statistic of a channel as a whole, such as ``"standard deviation of
              acc_x, higher than on average over training"``; those that contribute
              little are one row, ``"other statistics of acc_x"``;
            - ``"between tokens"``: timepoints that no token covers;
            - ``"what holds for all series"``, the last row of each, with channel -1:
              the logarithm of the odds of a series that has no shapes at all, and
              statistics as on average. No real series is like that. Other rows say
              what this one has beside, so all of them are needed for the sum.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        ValueError
            If X is no panel, or a class is not one of training, or both are the same.

        Notes
        -----
        Scores are linear in the features, which are counts of windows of many lengths.
        What a feature contributes, its weight times its count, is shared by the windows
        that it counts, and by the timepoints of each; a token has what its timepoints
        have.

        Statistics are of windows of all lengths, and count from their means in
        training. A standard deviation is that within windows, and how far levels of
        windows are apart; changes are from one timepoint to the next; a channel is
        uneven where it varies much in some windows and little in others. Higher or
        lower is said of the shortest windows.

        Channels that gravity gives share what they contribute over the axes that they
        come from: there is a row for each.

        Examples
        --------
        >>> from sktext_vq import VQTextClassifier
        >>> from sktext_vq.datasets import load
        >>> data = load("BasicMotions")
        >>> model = VQTextClassifier(max_epochs=0, random_state=0)
        >>> model = model.fit(data.X_train, data.y_train)
        >>> table = model.explain(data.X_test[:1])
        >>> table["label"][0], table["against"][0]
        ('standing', 'badminton')
        """
        panel = self._check_X(X)
        explainer = Explainer(
            self.features_,
            self.head_,
            self._refiner(),
            self.classes_,
            self.channel_names_,
        )
        return explainer.explain(panel, label, against, self._execution())

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
        series, candidates, views = self._embed(X, candidate_labels)
        return self.zero_shot_.predict_proba(series, candidates, views)

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
        proba = self.predict_proba_zero_shot(X, candidate_labels)
        return np.array(list(candidate_labels))[proba.argmax(axis=1)]

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
        series = self._embed_series(self._check_X(X))
        return self.zero_shot_.search(series, text, self._encoder())

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
        if texts is None:
            return self.zero_shot_.caption(self.predict_proba(X))
        panel = self._check_X(X)
        self.zero_shot_.read(texts, "texts")
        series = self._embed_series(panel)
        return self.zero_shot_.choose_text(series, texts, self._encoder())

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
        series, candidates, views = self._embed(X, candidate_labels)
        return self.zero_shot_.explain(series, candidates, views)

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
        candidates = self.zero_shot_.read(candidate_labels)
        return self.zero_shot_.describe(candidates, self._encoder())

    def _embed_series(self, panel: Panel) -> EmbeddedSeries:
        return self.zero_shot_.embed_series(
            panel, self.features_, self.head_, self._execution()
        )

    def _embed(
        self, X: Any, candidate_labels: Sequence[str] | Mapping[str, Any]
    ) -> tuple[EmbeddedSeries, Candidates, NDArray[np.float64]]:
        """Return embeddings of series, candidates, and embeddings of their texts."""
        panel = self._check_X(X)
        candidates = self.zero_shot_.read(candidate_labels)
        views = self.zero_shot_.embed_texts(candidates, self._encoder())
        self.zero_shot_.warn(candidates, views)
        return self._embed_series(panel), candidates, views
