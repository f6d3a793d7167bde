"""Transformer of series to token histograms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import TransformerMixin

from sktext_vq._base import BaseVQText
from sktext_vq._features.cluster import map_parts
from sktext_vq._features.extractor import Execution, FeatureExtractor
from sktext_vq._features.selection import FeatureScaler
from sktext_vq._training.fit import fit_features
from sktext_vq._utils.torch_defaults import torch_defaults
from sktext_vq.panel import Panel, rows_of_cases

__all__ = ["VQTextTransformer"]

# Variance of all features together: suits penalties of about 1, the default of linear
# models.
_VARIANCE = 100.0


class VQTextTransformer(TransformerMixin, BaseVQText):
    """Turn a panel of series into histograms of shape tokens.

    Windows of every dyadic length are matched with a small codebook of shapes. A
    histogram counts, for each channel, how often a shape occurs at which level and
    scale. Codes are real windows of the training series. Training brings series
    and texts about them into one workspace; see `similarity` and `transform_text`.
    Text guides training only: `transform` takes series alone.

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
    VQTextClassifier : The same model with a classifier on top.
    pretrain : Learn codes from several panels.

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

    feature_scaler_: FeatureScaler

    def __init__(
        self,
        n_codes: int = 64,
        *,
        text: Any = "auto",
        text_encoder: Any = "minilm",
        prompt_forms: Sequence[str] = ("keyword", "sentence", "affirmative"),
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
        y: ArrayLike | None = None,
        text: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        init: Any = None,
        checkpoint: Any = None,
    ) -> VQTextTransformer:
        """Learn codes and features.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Training series; see :func:`~sktext_vq.panel.as_panel` for all kinds.
        y : array-like of shape (n_cases,), optional
            Class labels, used to select features and in training.
        text : array-like of shape (n_cases,) of str, optional
            Text about each case, which replaces other text. It describes the series: a
            text that names the class gives away what is to be learned.
        sample_weight : array-like of shape (n_cases,), optional
            Weights of cases in training and in the selection of features. Only their
            ratios matter. Cases of weight 0 are ignored.
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
        VQTextTransformer
            The fitted estimator.

        Raises
        ------
        ValueError
            If X is not a panel or does not match y, text or sample_weight, if a parameter or weight is
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
                X, y, text, sample_weight=sample_weight, init=init
            )
            if data.labels is not None and len(data.labels) == 1:
                data = data.without_classes()
            fitted = fit_features(self._open_checkpoint(data, checkpoint), settings)
        selected, selection = fitted.selection.features, fitted.selection
        mean, scale = fitted.sample.moments.mean_and_scale()
        factor = np.float32((_VARIANCE / len(selected)) ** 0.5)
        self._store(spec, data, fitted)
        self.feature_scaler_ = FeatureScaler(
            mean[selected], scale[selected], selection.weight * factor
        )
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
        panel = self._check_X(X)
        compute = partial(
            _scaled_features, self.features_, self.feature_scaler_, self._execution()
        )
        features = map_parts(compute, panel, self.n_jobs)
        return rows_of_cases(features, X, self)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # float32, whatever comes in
        return tags


def _scaled_features(
    extractor: FeatureExtractor,
    scaler: FeatureScaler,
    execution: Execution,
    panel: Panel,
) -> NDArray[np.float32]:
    features = extractor.transform(panel, execution)
    scaler.scale_in_place(features)
    return features
