"""sktime estimators that wrap VQTextClassifier and VQTextTransformer.

This module requires sktime. The wrapped estimators are available as fitted attributes,
and provide the methods for inspection.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, ClassVar, Concatenate, ParamSpec, cast

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


P = ParamSpec("P")


def _parameters_of(
    init: Callable[Concatenate[Any, P], None], base: Any
) -> Callable[Concatenate[Any, P], None]:
    """Return an `__init__` that sets the parameters of a scikit-learn estimator."""

    @wraps(init)
    def __init__(self: Any, *args: P.args, **kwargs: P.kwargs) -> None:
        init(self, *args, **kwargs)
        base.__init__(self)

    __init__.__signature__ = signature(init)  # type: ignore[attr-defined]
    return cast(Callable[Concatenate[Any, P], None], __init__)


def _fit_of(base: Any) -> Callable[..., Any]:
    """Return a `fit` that leaves the estimator unchanged if it fails."""

    def fit(self: Any, X: Any, y: Any = None) -> Any:
        """Fit the estimator to training series.

        Parameters
        ----------
        X : panel
            Training series of a type listed in the Notes of the class.
        y : array-like of shape (n_cases,)
            Class labels. Optional for the transformer.

        Returns
        -------
        VQTextSktimeClassifier or VQTextSktimeTransformer
            The estimator itself. It is unchanged if fitting fails.
        """
        if y is None and base is BaseClassifier:
            raise TypeError("y is required to fit a classifier.")
        fitted = copy.copy(self)
        base.fit(fitted, X, y)
        self.__dict__ = fitted.__dict__
        return self

    return fit


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


@fill_docs
class VQTextSktimeClassifier(BaseClassifier):
    """Classifier based on histograms of shape tokens, with the interface of sktime.

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
    sktext_vq.VQTextClassifier : Classifier with the interface of scikit-learn.
    VQTextSktimeTransformer : Token histograms as features for any classifier.

    Notes
    -----
    The method ``fit`` of sktime accepts only X and y. Texts of single series, and a
    fitted estimator to start from (``init``), are not supported. The parameter ``text``
    is the same as in scikit-learn's version.

    X is a panel of type ``numpy3D``, ``pd-multiindex``, ``nested_univ`` or ``df-list``,
    or an array of shape (n_cases, n_timepoints); y is an array or a pandas Series.
    Unequal lengths and missing values are supported. ``numpy3D`` is the fastest type,
    ``nested_univ`` the slowest. Infinite values and channels without a value raise a
    ValueError; strings raise a TypeError or a ValueError.

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

    __init__ = _parameters_of(VQTextClassifier.__init__, BaseClassifier)
    fit = _fit_of(BaseClassifier)
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
    """Transformer of series to histograms of tokens, with the interface of sktime.

    Wraps a :class:`~sktext_vq.VQTextTransformer`, and returns data frames.

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
    sktext_vq.VQTextTransformer : Transformer with the interface of scikit-learn.
    VQTextSktimeClassifier : Ridge classifier on the same features.

    Notes
    -----
    The method ``fit`` of sktime accepts only X and y. Texts of single series, and a
    fitted estimator to start from (``init``), are not supported. The parameter ``text``
    is the same as in scikit-learn's version. Labels y are optional;
    they are used in feature selection and in training.

    X is a panel of type ``numpy3D``, ``pd-multiindex``, ``nested_univ`` or ``df-list``;
    sktime transformers interpret an array of shape (n_timepoints, n_channels) as a
    single series. Unequal lengths and missing values are supported. ``numpy3D`` is the
    fastest type, ``nested_univ`` the slowest. Infinite values and channels without a
    value raise a ValueError; strings raise a TypeError or a ValueError. Rows of the
    data frame are indexed by the cases of X.

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

    __init__ = _parameters_of(VQTextTransformer.__init__, BaseTransformer)
    fit = _fit_of(BaseTransformer)
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
