"""Panels to histograms of tokens, as a scikit-learn transformer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import TransformerMixin

from sktext_vq._base import VQTextBase, all_or_nothing
from sktext_vq._cluster import map_parts
from sktext_vq._selection import FeatureScaler
from sktext_vq.panel import Panel, rows_of_cases

# Of all features together: penalties about 1, the default of linear models, suit it.
_VARIANCE = 100.0


class VQTextTransformer(TransformerMixin, VQTextBase):
    """Turn a panel of series into histograms of shape tokens.

    Windows of every dyadic length are matched with a small codebook of shapes. A
    histogram counts, for each channel, how often a shape occurs at which level and
    scale. Codes are real windows of the training series. Training brings series
    and texts about them into one workspace; see `similarity` and `transform_text`.
    Text guides training only: `transform` takes series alone.

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
        Features kept at most: the best by analysis of variance if there are classes,
        of which a third is kept at most, and else those that vary most.
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
    VQTextClassifier : The same model with a classifier on top.
    pretrain : Learn a vocabulary from several panels.

    Notes
    -----
    Series are standardised by channel. Missing values are NaN: windows of which less
    than half was observed are left out, unless a series has no others, and other gaps
    are bridged by straight lines. Series shorter than eight timepoints are continued by
    their last value.

    The vocabulary follows VQShape (Wen et al., NeurIPS 2024) in its tokens, which have
    a code, offset, scale, start and length; here the last four are exact.

    Examples
    --------
    >>> import numpy as np
    >>> from sktext_vq import VQTextTransformer
    >>> X = np.random.default_rng(0).normal(size=(10, 3, 50)).cumsum(axis=2)
    >>> transformer = VQTextTransformer(max_epochs=0, random_state=0)
    >>> transformer.fit_transform(X).shape
    (10, 10000)
    >>> transformer.tokens(X).columns.tolist()
    ['case', 'channel', 'start', 'length', 'code', 'offset', 'scale']
    """

    def __init__(
        self,
        n_codes: int = 64,
        *,
        text: Any = "auto",
        text_encoder: Any = "minilm",
        prompt_forms: Sequence[str] = ("keyword", "sentence", "affirmative"),
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

    @all_or_nothing
    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        text: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        init: Any = None,
    ) -> VQTextTransformer:
        """Learn the vocabulary.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Training series; see :func:`~sktext_vq.panel.as_panel` for all kinds.
        y : array-like of shape (n_cases,), optional
            Class labels. They choose features and guide training.
        text : array-like of shape (n_cases,) of str, optional
            One text about each case. Takes the place of other text. It is about the
            series: one that names the class tells more than text may.
        sample_weight : array-like of shape (n_cases,), optional
            Weights of cases in training and in the choice of features. Only their
            ratios matter. Cases of weight 0 are ignored.
        init : VQTextTransformer or VQTextClassifier, optional
            A fitted one, of as many codes, to start from: of other series, perhaps of
            other channels, such as :func:`~sktext_vq.pretrain` makes; or of earlier
            ones, to go on with new people. May be the estimator itself. See Notes of
            :func:`~sktext_vq.pretrain` for what is taken over.

        Returns
        -------
        VQTextTransformer
            Itself.

        Raises
        ------
        ValueError
            If X is not a panel or does not match y, text or sample_weight, a parameter
            or a weight is invalid, or `checkpoint` is a file of another fit or damaged.
            The estimator is then as it was before the call.
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
        data = self._validate_fit(X, y, text, None, sample_weight)
        labels = classes = None
        if data.y is not None:
            labels, classes = np.unique(data.y, return_inverse=True)
            if len(labels) == 1:  # nothing to tell apart
                labels = classes = None
        selection, _ = self._fit(data, labels, classes, None, init=init)
        kept = selection.kept
        mean, scale = selection.moments.mean_and_scale()
        weight = selection.weight * np.float32((_VARIANCE / len(kept)) ** 0.5)
        self.feature_scaler_ = FeatureScaler(mean[kept], scale[kept], weight)
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Count tokens.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series with the channels of the training series.

        Returns
        -------
        ndarray of shape (n_cases, n_features), float32
            Square roots of the frequencies of codes, best matches of codes, and
            summaries of levels and scales. Their zero is the mean of the training
            series. Scaled for linear models: at most three standard deviations from
            there, with the same variance in each feature of histograms, in each
            summary, and in both kinds as a whole.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        ValueError
            If X is no panel, or not one of the channels that were fitted.
        """
        panel = self._check_X(X, reset=False)
        features = map_parts(self._scaled_features, panel, self.n_jobs)
        return rows_of_cases(features, X, self)

    def _scaled_features(self, panel: Panel) -> NDArray[np.float32]:
        features = self._histograms(panel)
        self.feature_scaler_.scale_in_place(features)
        return features

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # float32, whatever comes in
        return tags
