"""Series to classes, as a scikit-learn classifier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_class_weight

from sktext_vq._base import VQTextBase, check_column
from sktext_vq._cluster import map_parts
from sktext_vq._explanation import ExplanationMixin
from sktext_vq._head import Cases, RidgeHead
from sktext_vq._selection import Selection
from sktext_vq._unseen import UnseenClassesMixin
from sktext_vq._zero_shot import ZeroShotSpace
from sktext_vq.panel import Panel, spread_cases

_HEADS = ("ridge", "network")
# Parts that choose penalty and calibration, and how many cases they have in all.
_N_FOLDS, _MAX_FOLD_CASES = 4, 1024


class VQTextClassifier(
    ClassifierMixin, VQTextBase, ExplanationMixin, UnseenClassesMixin
):
    """Classify series by histograms of shape tokens.

    The vocabulary of :class:`VQTextTransformer`, and on top of it a ridge classifier
    whose penalty and probabilities come from cross-validated scores. Text guides
    training only: prediction takes series alone.

    Parameters
    ----------
    n_codes : int, default=64
        Shapes in the codebook, in heads of 16 or more: a window is matched with one of
        each head.
    text : {"auto", "labels", "captions"}, dict or None, default="auto"
        Text that guides training: captions of the series, and prompts of the classes
        where labels are words (``"auto"``); only one of these (``"labels"``,
        ``"captions"``); own texts for each label (a dict from labels to a text or a
        list of texts); or none (None).
    text_encoder : str, callable or TextEncoder, default="minilm"
        Makes vectors of texts; see :class:`~sktext_vq.TextEncoder`.
    prompt_forms : tuple of str, default=("keyword", "sentence", "affirmative")
        Forms of prompts that describe a class; see :class:`~sktext_vq.PromptBank`.
    class_weight : dict, "balanced" or None, default=None
        Weights of classes, as in scikit-learn.
    head : {"ridge", "network"}, default="ridge"
        What predicts: a ridge classifier with cross-validated penalty and
        calibration, or the sensor-only head that training taught, which the losses
        ``"class"`` and ``"distillation"`` are about.
    max_epochs : int, default=20
        Most passes over the training series. With 50 cases or more, a fifth is held
        out to stop earlier. 0 keeps the closed form, which takes seconds.
    loss_weights : dict, optional
        Weights of single losses in training, by name, in place of their defaults; 0
        switches a loss off. See :mod:`sktext_vq.nn.losses` for what there is.
    verbalizer : SeriesVerbalizer, optional
        How series are written out for the text branch, if ``loss_weights`` switches
        ``"digits"`` on.
    max_features : int, default=10000
        Features kept at most, the best by analysis of variance; of all features a
        third is kept at most.
    channel_names : sequence of str, optional
        Names of channels, used in feature names and captions. By default those of
        columns, if X is made of data frames that have some.
    channel_groups : "auto", dict or None, default="auto"
        Sensors with three axes: a dict from their names to three channels, by name or
        index. ``"auto"`` finds them by names of channels, such as ``acc_x``, ``acc_y``
        and ``acc_z``. If one of them tells where up is, channels are added that do not
        depend on how a device was turned; see :class:`~sktext_vq.nn.GravityFrame`.
    gravity_views : {"beside", "alone"}, default="beside"
        Whether these channels are added to the axes, or take their place, which is for
        sensors that are worn elsewhere or otherwise when it comes to prediction.
        ``"alone"`` cannot tell postures apart by which axis points up.
    augment : dict, optional
        Changes to copies of the training series, which features and ridge see beside
        the series themselves (training of the network does not): ``"gain"``, the
        standard deviation of the logarithm of a factor of each sensor's movement about
        its mean; ``"rotation"``, the largest turn of a device, in degrees; ``"noise"``,
        in standard deviations of a channel; ``"loss"``, how often one sensor reads 0
        throughout; ``"gap"``, the largest share of a series that is missing in one
        stretch; and ``"copies"``, how many of each series (1). What is left out is 0.
        Time and memory of fitting grow with copies.
    sampling_rate : float, optional
        Timepoints per second, for durations and rhythms in seconds.
    checkpoint : path-like, optional
        File that training writes its state to, for long ones. After each epoch, or a
        few if these are fast, it is replaced as a whole. Where `fit` was killed,
        another `fit` to the same data with the same parameters goes on from there, on
        the same machine to the same numbers. The file stays: once training has ended,
        `fit` takes its result from there. Remove it to train anew. For one fit at a
        time; needs an int as `random_state`.
    random_state : int, RandomState or None, default=None
        Makes fits repeatable. Global random states are left alone.
    device : str, default="auto"
        Torch device; ``"auto"`` is a GPU if there is one. With ``"accelerate"``,
        processes that ``accelerate launch`` has started with the same data train
        together, each on its device and a part of every batch.
    n_jobs : int or None, default=None
        Threads that share out the cases, as joblib counts them. None is as many as
        torch may use (``torch.set_num_threads``), or as joblib's context says. Where
        that is a cluster, of dask or ray, its workers share out the cases to predict
        or transform, unless this is 1.
    verbose : int, default=0
        1 shows progress.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    codebook_ : ndarray of shape (n_codes, 8)
        Codes: shapes of mean 0 in units of their scale.
    shapes_ : ndarray of shape (n_codes, 8)
        The shape that each code stands for; the codes themselves in this version.
    level_ : {"closed form", "trained", "trained with text"}
        How the vocabulary was made.
    history_ : list of dict
        Losses and seconds of each epoch of training.
    codebook_use_ : dict
        How evenly both branches use the codes after training, and how much alike; see
        :meth:`sktext_vq.nn.Codebook.metrics`.
    prompts_ : list of str or None
        The texts that guided training; of each class the first.
    n_channels_, n_timepoints_ : int
        Of the training series; of unequal ones the longest.
    n_features_in_ : int
        Timepoints for input of shape (n_cases, n_timepoints), else channels.
    feature_names_in_ : ndarray of str
        Only for data frames of such input with column names.

    See Also
    --------
    VQTextTransformer : Histograms for a classifier of your own.
    pretrain : Learn a vocabulary from several panels.

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

    def __init__(
        self,
        n_codes: int = 64,
        *,
        text: Any = "auto",
        text_encoder: Any = "minilm",
        prompt_forms: Sequence[str] = ("keyword", "sentence", "affirmative"),
        class_weight: Any = None,
        head: str = "ridge",
        max_epochs: int = 20,
        loss_weights: Mapping[str, float] | None = None,
        verbalizer: Any = None,
        max_features: int = 10_000,
        channel_names: Sequence[str] | None = None,
        channel_groups: Any = "auto",
        gravity_views: str = "beside",
        augment: Mapping[str, Any] | None = None,
        sampling_rate: float | None = None,
        checkpoint: Any = None,
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
        self.head = head
        self.max_epochs = max_epochs
        self.loss_weights = loss_weights
        self.verbalizer = verbalizer
        self.max_features = max_features
        self.channel_names = channel_names
        self.channel_groups = channel_groups
        self.gravity_views = gravity_views
        self.augment = augment
        self.sampling_rate = sampling_rate
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.device = device
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        text: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        init: Any = None,
    ) -> VQTextClassifier:
        """Learn vocabulary and classifier.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Training series; see :func:`~sktext_vq.panel.as_panel` for all kinds.
        y : array-like of shape (n_cases,)
            Class labels, of two classes at least.
        text : array-like of shape (n_cases,) of str, optional
            One text about each case. Takes the place of other text. It is about the
            series: one that names the class tells more than text may.
        groups : array-like of shape (n_cases,), optional
            Whom, or which machine or recording, each case is of. Penalty and
            probabilities are then chosen for groups that training has not seen.
        init : VQTextTransformer or VQTextClassifier, optional
            A fitted one, of as many codes, to start from: of other series, perhaps of
            other channels, such as :func:`~sktext_vq.pretrain` makes; or of earlier
            ones, to go on with new people. May be the estimator itself. See Notes of
            :func:`~sktext_vq.pretrain` for what is taken over.

        Returns
        -------
        VQTextClassifier
            Itself.

        Raises
        ------
        ValueError
            If X is no panel or does not match y, text or groups, if there is one class
            or one group only, if a parameter is off, or `checkpoint` is a file of
            another fit or damaged.
        NotFittedError
            If `init` is not fitted.
        TypeError
            If `init` is no such estimator.
        FloatingPointError
            If losses are not finite in the first epoch of training. Later, there is a
            ``ConvergenceWarning``, and the weights of an earlier epoch are kept. So are
            they, with a warning, if training is interrupted (Ctrl-C) later.
        OSError
            If `checkpoint` cannot be written.
        """
        if self.head not in _HEADS:
            raise ValueError(f"head must be one of {_HEADS}, got {self.head!r}.")
        panel = self._check_X(X, reset=True)
        labels, classes = self._check_y(y, panel)
        if len(labels) < 2:
            raise ValueError(
                f"{type(self).__name__} needs at least two classes, but y has only "
                f"1 class: {labels[0]!r}."
            )
        owners: NDArray[Any] | None = None
        if groups is not None:
            owners = check_column(groups, "groups", panel)
            if len(np.unique(owners)) < 2:
                raise ValueError(
                    f"groups has only one group, {owners.tolist()[0]!r}: nothing can "
                    "be held out. Leave it out, or give at least two."
                )
        weight = case_weight = None
        if self.class_weight is not None:
            weight = compute_class_weight(
                self.class_weight, classes=labels, y=labels[classes]
            )
            if weight.min() < 0 or not weight.any():
                raise ValueError(
                    "class_weight must be at least 0 and not 0 for all classes, got "
                    f"{self.class_weight!r}."
                )
            case_weight = weight[classes]
        selection, panel = self._fit(
            panel, labels, classes, text, weight, _N_FOLDS, owners, init
        )
        n_copies = panel.n_cases // len(classes)
        classes = np.repeat(classes, n_copies)
        if case_weight is not None:
            case_weight = np.repeat(case_weight, n_copies)
        if self.head == "network" and not (
            self.model_ and "class" in self.model_.parts
        ):
            raise ValueError(
                'head="network" needs training: max_epochs above 0, and a weight above '
                '0 of the loss "class".'
            )
        self.classes_ = labels
        cases = Cases(self._histograms(panel), classes, case_weight)
        folds = self._folds(panel, classes, case_weight, selection)
        self.head_ = RidgeHead().fit(
            cases, len(labels), folds, selection.weight, weight
        )
        # The head has standardised the features in place.
        self.space_ = ZeroShotSpace().fit(
            cases.features, classes, check_random_state(self.random_state)
        )
        return self

    def _folds(
        self,
        panel: Panel,
        classes: NDArray[np.int64],
        case_weight: NDArray[np.float64] | None,
        selection: Selection,
    ) -> Iterator[tuple[Cases, Cases]]:
        """Yield parts to learn from and to hold out, with features of the first."""
        chosen, folds = selection.cases, selection.folds
        if len(chosen) > _MAX_FOLD_CASES:
            spread = spread_cases(len(chosen), _MAX_FOLD_CASES)
            chosen, folds = chosen[spread], folds[spread]
        # Features of all folds in one go, since windows are the costly part.
        every = np.unique(np.concatenate(selection.kept_without))
        features = self._histograms(panel.take(chosen), every)
        weight = None if case_weight is None else case_weight[chosen]

        def cases(rows: NDArray[np.bool_], columns: NDArray[np.int64]) -> Cases:
            return Cases(
                features[rows][:, columns],
                classes[chosen[rows]],
                None if weight is None else weight[rows],
            )

        for fold, kept in enumerate(selection.kept_without):
            columns = np.searchsorted(every, kept)
            yield cases(folds != fold, columns), cases(folds == fold, columns)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probability of each class.

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
            If X is no panel, or not one of the channels that were fitted.

        Notes
        -----
        The same call on the same machine returns the same bits. Rounding differs with
        the size of a batch, ``n_jobs`` and the number of threads: probabilities are
        then equal to 1e-9. Other processors, or no numba, may differ more; see
        :doc:`/scale`.
        """
        panel = self._check_X(X, reset=False)
        return map_parts(self._probabilities_of, panel, self.n_jobs)

    def _probabilities_of(self, panel: Panel) -> NDArray[np.float64]:
        def score(part: slice, features: NDArray[np.float32]) -> NDArray[np.float64]:
            return self._probabilities(features)

        found = self._map_features(score, panel, "classes")
        return np.concatenate([probabilities for _, probabilities in found])

    def _probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probability of each class, from all features of some cases."""
        if self.head == "network":
            model = self.model_
            assert model is not None
            picked = torch.from_numpy(features)[:, model.kept]
            return model.probabilities(picked).numpy()
        return self.head_.probabilities(features[:, self.kept_])

    def predict(self, X: Any) -> NDArray[Any]:
        """Most probable class.

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
            If X is no panel, or not one of the channels that were fitted.
        """
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]
