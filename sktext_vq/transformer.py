"""Transformation of series into token histograms."""

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
from sktext_vq._training.network import ClosedForm
from sktext_vq._utils.docs import fill_docs
from sktext_vq._utils.torch_defaults import torch_defaults
from sktext_vq.panel import Panel, rows_of_cases

__all__ = ["VQTextTransformer"]

# Total variance of the features, such that linear models need penalties of about 1.
_VARIANCE = 100.0


@fill_docs
class VQTextTransformer(TransformerMixin, BaseVQText):
    """Transform a panel of series into histograms of shape tokens.

    Windows of dyadic lengths are matched with a codebook of shapes, which are windows
    of the training series. For each channel, histograms count how often each shape
    occurs, by level and scale. Series and texts are mapped to joint embedding spaces;
    see `similarity` and `transform_text`. `transform` does not use text.

    Parameters
    ----------
    [[text_parameters]]
    [[other_parameters]]

    Attributes
    ----------
    [[attributes]]

    See Also
    --------
    VQTextClassifier : Ridge classifier on the same features.
    pretrain : Fit one codebook to several panels.

    Notes
    -----
    Channels are standardised. Missing values are represented by NaN and interpolated
    linearly. Windows in which fewer than half of the values are observed are ignored,
    unless a series has no other windows. Series with fewer than eight timepoints are
    padded with their last value.

    A token consists of a code, offset, scale, start and length, as in VQShape (Wen et
    al., NeurIPS 2024). Offset, scale, start and length are exact, whereas VQShape
    predicts them.

    Examples
    --------
    >>> import numpy as np
    >>> from sktext_vq import VQTextTransformer
    >>> X = np.random.default_rng(0).normal(size=(10, 3, 50)).cumsum(axis=2)
    >>> transformer = VQTextTransformer(random_state=0)
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
        """Fit the codebook and select features.

        Parameters
        ----------
        [[X_train]]
        y : array-like of shape (n_cases,), optional
            Class labels, used in feature selection and training, or continuous
            regression targets, used only in feature selection. Floats are class labels
            only if all are whole numbers, as in
            :func:`~sklearn.utils.multiclass.type_of_target`.
        [[text_argument]]
        [[fit_arguments]]

        Returns
        -------
        VQTextTransformer
            The fitted estimator.

        [[raises_fit]]
        """
        with torch_defaults():
            settings = self._settings()
            spec, data = self._validate_fit(
                X,
                y,
                text,
                sample_weight=sample_weight,
                init=init,
                allow_continuous=True,
            )
            if data.labels is not None and len(data.labels) == 1:
                data = data.without_classes()
            fitted = fit_features(self._open_checkpoint(data, checkpoint), settings)
        selected, selection = fitted.selection.features, fitted.selection
        mean, scale = fitted.sample.moments.mean_and_scale()
        factor = np.float32((_VARIANCE / len(selected)) ** 0.5)
        scaler = FeatureScaler(
            mean[selected], scale[selected], selection.weight * factor
        )
        network, trained = fitted.network, ClosedForm(None, None)
        values = fitted.sample_values
        if values is not None:
            scaler.scale_in_place(values)
            with torch_defaults():
                closed = ClosedForm(None, fitted.align(values))
                trained, network = fitted.train(scaler, values, closed)
        self._store(spec, data, fitted, network, trained.alignment)
        self.feature_scaler_ = scaler
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Compute scaled histograms of tokens and summary statistics.

        [[parameters_X]]

        Returns
        -------
        ndarray of shape (n_cases, n_features), float32
            Square roots of the frequencies of codes, best matches of codes, and
            summaries of levels and scales. Features are standardised by the mean and
            standard deviation of the training series, clipped at three standard
            deviations, and weighted so that histograms, matches and summaries have the
            same total variance.

        [[raises_X]]
        """
        panel = self.check_X(X)
        compute = partial(
            _scaled_features, self.features_, self.feature_scaler_, self._execution()
        )
        features = map_parts(compute, panel, self.n_jobs)
        return rows_of_cases(features, X, self)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # always float32
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
