"""sktime estimators that wrap VQTextClassifier and VQTextTransformer.

This module requires sktime. The wrapped estimators are available as fitted attributes,
which provide the inspection methods.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

try:
    from sktime.classification.base import BaseClassifier
    from sktime.transformations.base import BaseTransformer
except ImportError as error:
    raise ImportError(
        "sktext_vq.sktime requires sktime. Install it with pip install "
        "'sktext_vq[sktime]'."
    ) from error

from sktext_vq._utils.docs import fill_docs
from sktext_vq.classifier import VQTextClassifier
from sktext_vq.transformer import VQTextTransformer

__all__ = ["VQTextSktimeClassifier", "VQTextSktimeTransformer"]

_TAGS = {
    "authors": "sktext_vq developers",
    "maintainers": "sktext_vq developers",
    "python_dependencies": ["torch", "skorch"],
    # Types that as_panel accepts, so sktime does not convert them: its conversion to
    # numpy3D fails for unequal lengths. Other types are converted to the first one.
    "X_inner_mtype": ["pd-multiindex", "numpy3D", "df-list", "nested_univ"],
    "y_inner_mtype": "numpy1D",
    "capability:multivariate": True,
    "capability:unequal_length": True,
    "capability:missing_values": True,
    "capability:categorical_in_X": False,
    "capability:random_state": True,
    "property:randomness": "derandomized",
}


def _get_test_params(cls: type, parameter_set: str = "default") -> list[dict[str, Any]]:
    """Return parameters of test instances for the checks of sktime.

    Parameters
    ----------
    parameter_set : str, default="default"
        Ignored; there is only one set.

    Returns
    -------
    list of dict
        Two small configurations, with and without text.
    """
    small = {"n_codes": 16, "max_features": 100, "random_state": 0}
    return [{**small, "text_encoder": "hashing"}, {**small, "text": None}]


def _fit_copy(estimator: Any, base: Any, X: Any, y: Any) -> None:
    """Call `fit` of the base class; leave the estimator unchanged if it fails."""
    fitted = copy.copy(estimator)
    base.fit(fitted, X, y)
    estimator.__dict__ = fitted.__dict__


@fill_docs
class VQTextSktimeClassifier(BaseClassifier):
    """Classifier based on histograms of shape tokens, with the sktime interface.

    Wraps a :class:`~sktext_vq.VQTextClassifier`.

    Parameters
    ----------
    [[text_parameters]]
    class_weight : dict, "balanced" or None, default=None
        Class weights, as in scikit-learn.
    [[other_parameters]]

    Attributes
    ----------
    classifier_ : VQTextClassifier
        Fitted classifier, with methods such as ``tokens``, ``describe_codes`` and
        ``predict_zero_shot``. Not set if y has a single class, because sktime then
        predicts this class without fitting, or if y has several columns; sktime then
        sets ``classifiers_``.
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    n_classes_ : int
        Number of classes.

    See Also
    --------
    sktext_vq.VQTextClassifier : Classifier with the scikit-learn interface.
    VQTextSktimeTransformer : Token histograms as features for any classifier.

    Notes
    -----
    The ``fit`` method of sktime estimators accepts only X and y. Texts about individual
    series and a fitted estimator to start from (``init``) are not supported. The
    parameter ``text`` is the same as in the scikit-learn version.

    X is a panel of type ``numpy3D``, ``pd-multiindex``, ``nested_univ`` or ``df-list``,
    or an array of shape (n_cases, n_timepoints); y is an array or a pandas Series.
    Unequal lengths and missing values are supported. ``numpy3D`` is the fastest type,
    and ``nested_univ`` is the slowest. Infinite values and channels without a value
    raise a ValueError; strings raise a TypeError or a ValueError.

    Examples
    --------
    >>> import numpy as np
    >>> from sktext_vq.sktime import VQTextSktimeClassifier
    >>> rng = np.random.default_rng(0)
    >>> time = np.arange(60)
    >>> X = np.stack([np.sin(time / p + rng.uniform(0, 6)) for p in [2, 5] * 10])
    >>> y = np.array(["running", "walking"] * 10)
    >>> classifier = VQTextSktimeClassifier(
    ...     text_encoder="hashing", max_epochs=2, random_state=0
    ... )
    >>> classifier.fit(X, y).predict(X[:2]).tolist()
    ['running', 'walking']
    >>> classifier.classifier_.prompts_
    ['running', 'walking']
    """

    _tags: ClassVar[dict[str, Any]] = {
        **_TAGS,
        "capability:predict_proba": True,
        "capability:class_weight": True,
        "capability:multithreading": True,
    }

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
        super().__init__()

    def fit(self, X: Any, y: Any = None) -> VQTextSktimeClassifier:
        """Fit the estimator to training series.

        Parameters
        ----------
        X : panel
            Training series of a type listed in the Notes of the class.
        y : array-like of shape (n_cases,)
            Class labels.

        Returns
        -------
        VQTextSktimeClassifier
            The estimator itself. It is unchanged if fitting fails.
        """
        if y is None:
            raise TypeError("y is required to fit a classifier.")
        _fit_copy(self, BaseClassifier, X, y)
        return self

    get_test_params: Any = classmethod(_get_test_params)

    def _fit(self, X: Any, y: NDArray[Any]) -> VQTextSktimeClassifier:
        self.classifier_ = VQTextClassifier(**self.get_params(deep=False)).fit(X, y)
        return self

    def _predict(self, X: Any) -> NDArray[Any]:
        return self.classifier_.predict(X)

    def _predict_proba(self, X: Any) -> NDArray[np.float64]:
        return self.classifier_.predict_proba(X)


@fill_docs
class VQTextSktimeTransformer(BaseTransformer):
    """Transformer from series to token histograms, with the sktime interface.

    Wraps a :class:`~sktext_vq.VQTextTransformer` and returns data frames.

    Parameters
    ----------
    [[text_parameters]]
    [[other_parameters]]

    Attributes
    ----------
    transformer_ : VQTextTransformer
        Fitted transformer, with methods such as ``tokens`` and ``describe_codes``.

    See Also
    --------
    sktext_vq.VQTextTransformer : Transformer with the scikit-learn interface.
    VQTextSktimeClassifier : Ridge classifier on the same features.

    Notes
    -----
    The ``fit`` method of sktime estimators accepts only X and y. Texts about individual
    series and a fitted estimator to start from (``init``) are not supported. The
    parameter ``text`` is the same as in the scikit-learn version. Labels y are
    optional; they are used in feature selection and in training.

    X is a panel of type ``numpy3D``, ``pd-multiindex``, ``nested_univ`` or ``df-list``;
    sktime transformers interpret an array of shape (n_timepoints, n_channels) as a
    single series. Unequal lengths and missing values are supported. ``numpy3D`` is the
    fastest type, and ``nested_univ`` is the slowest. Infinite values and channels
    without a value raise a ValueError; strings raise a TypeError or a ValueError. Rows
    of the data frame are indexed by the cases of X.

    Examples
    --------
    >>> import numpy as np
    >>> from sktext_vq.sktime import VQTextSktimeTransformer
    >>> X = np.random.default_rng(0).normal(size=(10, 3, 50)).cumsum(axis=2)
    >>> transformer = VQTextSktimeTransformer(
    ...     max_epochs=0, channel_names=["x", "y", "z"], random_state=0
    ... )
    >>> table = transformer.fit_transform(X)
    >>> table.shape
    (10, 10000)
    >>> table.columns[0]
    'x | code ...'
    """

    _tags: ClassVar[dict[str, Any]] = {
        **_TAGS,
        "scitype:transform-input": "Series",
        "scitype:transform-output": "Primitives",
        "scitype:instancewise": False,
        "fit_is_empty": False,
        "requires_y": False,
        "capability:inverse_transform": False,
        "capability:missing_values:removes": True,
    }

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
        super().__init__()

    def fit(self, X: Any, y: Any = None) -> VQTextSktimeTransformer:
        """Fit the estimator to training series.

        Parameters
        ----------
        X : panel
            Training series of a type listed in the Notes of the class.
        y : array-like of shape (n_cases,), optional
            Class labels.

        Returns
        -------
        VQTextSktimeTransformer
            The estimator itself. It is unchanged if fitting fails.
        """
        _fit_copy(self, BaseTransformer, X, y)
        return self

    get_test_params: Any = classmethod(_get_test_params)

    def _fit(self, X: Any, y: NDArray[Any] | None = None) -> VQTextSktimeTransformer:
        self.transformer_ = VQTextTransformer(**self.get_params(deep=False)).fit(X, y)
        return self

    def _transform(self, X: Any, y: Any = None) -> pd.DataFrame:
        instances = None
        if isinstance(X, pd.DataFrame):
            # sktime joins the features of several transformers by instance.
            instances = X.index.unique(level=0) if X.index.nlevels > 1 else X.index
        return pd.DataFrame(
            np.asarray(self.transformer_.transform(X)),
            index=instances,
            columns=self.transformer_.get_feature_names_out(),
        )
