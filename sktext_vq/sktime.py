"""Both estimators as sktime's: for its pipelines, benchmarks and checks.

Adapters without logic of their own. They keep a fitted scikit-learn estimator, which
has all the methods to look into it. This module needs sktime; nothing else here imports
it. scikit-learn's own tools, such as GridSearchCV, are for the estimators inside.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar, TypeVar, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

try:
    from sktime.classification.base import BaseClassifier
    from sktime.transformations.base import BaseTransformer
except ImportError as error:
    raise ImportError(
        "sktext_vq.sktime holds estimators of sktime and needs it: pip install "
        "'sktext_vq[sktime]'. Those of sktext_vq itself do without."
    ) from error

from sktext_vq.classifier import VQTextClassifier
from sktext_vq.transformer import VQTextTransformer

__all__ = ["VQTextSktimeClassifier", "VQTextSktimeTransformer"]

_TAGS = {
    "authors": "sktext_vq developers",
    "maintainers": "sktext_vq developers",
    "python_dependencies": ["torch", "skorch"],
    # All that as_panel reads, so that sktime converts none of it: its way to numpy3D
    # fails for series of unequal length. Anything else becomes the first of these.
    "X_inner_mtype": ["pd-multiindex", "numpy3D", "df-list", "nested_univ"],
    "y_inner_mtype": "numpy1D",
    "capability:multivariate": True,
    "capability:unequal_length": True,
    "capability:missing_values": True,
    "capability:categorical_in_X": False,
    "capability:random_state": True,
    "property:randomness": "derandomized",
}


Fit = TypeVar("Fit", bound=Callable[..., Any])


def all_or_nothing(fit: Fit) -> Fit:
    """Let a `fit` change its estimator at the end, and only if it succeeds."""

    @wraps(fit)
    def fit_copy(self: Any, *args: Any, **kwargs: Any) -> Any:
        fitted = copy.copy(self)
        fit(fitted, *args, **kwargs)
        self.__dict__ = fitted.__dict__
        return self

    return cast(Fit, fit_copy)


def _with_signature_of(other: Callable[..., None]) -> Callable[[Any], Any]:
    """Give a constructor the signature of another, which it passes everything on to.

    sktime and scikit-learn read the names and defaults of parameters there.
    """

    def decorate(init: Any) -> Any:
        init.__signature__ = inspect.signature(other)
        return init

    return decorate


class _Adapter:
    """What sktime asks of both."""

    _closed_form_params: ClassVar[dict[str, Any]] = {}

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Parameters that sktime's checks make instances with.

        Parameters
        ----------
        parameter_set : str, default="default"
            Ignored: there is one set for all purposes.

        Returns
        -------
        list of dict
            Two small settings, in closed form and trained with text.
        """
        small = {"n_codes": 16, "max_features": 500, "random_state": 0}
        return [
            {**small, "max_epochs": 0, **cls._closed_form_params},
            {**small, "max_epochs": 1, "text_encoder": "hashing"},
        ]


class VQTextSktimeClassifier(_Adapter, BaseClassifier):
    """Classify series by histograms of shape tokens, as sktime's classifier.

    Holds a :class:`~sktext_vq.VQTextClassifier`, and predicts what that does.

    Parameters
    ----------
    *args, **params
        Those of :class:`~sktext_vq.VQTextClassifier`, with its names, order and
        defaults.

    Attributes
    ----------
    classifier_ : VQTextClassifier
        What was fitted. It has ``tokens``, ``describe_codes``, ``predict_zero_shot``
        and so on. Missing if there was one class only, which sktime predicts itself
        after a warning, and if y had several columns, each of which is predicted by
        one of ``classifiers_``.
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    n_classes_ : int
        Number of classes.

    See Also
    --------
    sktext_vq.VQTextClassifier : The same for scikit-learn, with texts of cases.
    VQTextSktimeTransformer : Histograms for a classifier of your own.

    Notes
    -----
    sktime's ``fit`` takes X and y only, so there are no texts of single cases, and no
    ``init``. Prompts of classes, own texts about them and captions work: they are in
    ``text``.

    X is a panel of type ``numpy3D``, ``pd-multiindex``, ``nested_univ`` or ``df-list``,
    or an array of shape (n_cases, n_timepoints); y is an array or a pandas Series.
    Series of unequal length and missing values are taken as they are. ``numpy3D`` is
    the fastest, ``nested_univ`` the slowest. Infinity, and a series of which a channel
    has no value at all, raise a ValueError; text raises a TypeError or a ValueError.

    Examples
    --------
    >>> import numpy as np
    >>> from sktext_vq.sktime import VQTextSktimeClassifier
    >>> rng = np.random.default_rng(0)
    >>> time = np.arange(60)
    >>> X = np.stack([np.sin(time / p + rng.uniform(0, 6)) for p in [2, 5] * 10])
    >>> y = np.array(["running", "walking"] * 10)
    >>> classifier = VQTextSktimeClassifier(text_encoder="hashing", random_state=0)
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
    _closed_form_params: ClassVar[dict[str, Any]] = {"class_weight": "balanced"}

    @_with_signature_of(VQTextClassifier.__init__)
    def __init__(self, *args: Any, **params: Any) -> None:
        # Assigns the parameters, and nothing else.
        VQTextClassifier.__init__(self, *args, **params)
        super().__init__()

    @all_or_nothing
    def fit(self, X: Any, y: Any) -> VQTextSktimeClassifier:
        """Fit to training series.

        Parameters
        ----------
        X : panel
            Training series, of a type that the notes list.
        y : array-like of shape (n_cases,)
            Class labels.

        Returns
        -------
        VQTextSktimeClassifier
            Itself. If this raises an error, it is as it was before.
        """
        super().fit(X, y)
        return self

    def _fit(self, X: Any, y: NDArray[Any]) -> VQTextSktimeClassifier:
        self.classifier_ = VQTextClassifier(**self.get_params(deep=False)).fit(X, y)
        return self

    def _predict(self, X: Any) -> NDArray[Any]:
        return self.classifier_.predict(X)

    def _predict_proba(self, X: Any) -> NDArray[np.float64]:
        return self.classifier_.predict_proba(X)


class VQTextSktimeTransformer(_Adapter, BaseTransformer):
    """Turn series into histograms of shape tokens, as sktime's transformer.

    Holds a :class:`~sktext_vq.VQTextTransformer`, and returns what that does, as a
    data frame.

    Parameters
    ----------
    *args, **params
        Those of :class:`~sktext_vq.VQTextTransformer`, with its names, order and
        defaults.

    Attributes
    ----------
    transformer_ : VQTextTransformer
        What was fitted. It has ``tokens``, ``describe_codes``, ``similarity`` and so
        on.

    See Also
    --------
    sktext_vq.VQTextTransformer : The same for scikit-learn, with texts of cases.
    VQTextSktimeClassifier : The same model with a classifier on top.

    Notes
    -----
    sktime's ``fit`` takes X and y only, so there are no texts of single cases, and no
    ``init``. Prompts of classes, own texts about them and captions work: they are in
    ``text``. Labels y
    are optional; they choose features and guide training.

    X is a panel of type ``numpy3D``, ``pd-multiindex``, ``nested_univ`` or ``df-list``;
    an array of shape (n_timepoints, n_channels) is one series to sktime's transformers.
    Series of unequal length and missing values are taken as they are. ``numpy3D`` is
    the fastest, ``nested_univ`` the slowest. Infinity, and a series of which a channel
    has no value at all, raise a ValueError; text raises a TypeError or a ValueError.
    Rows of the data frame have the names that the cases have in X.

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

    @_with_signature_of(VQTextTransformer.__init__)
    def __init__(self, *args: Any, **params: Any) -> None:
        # Assigns the parameters, and nothing else.
        VQTextTransformer.__init__(self, *args, **params)
        super().__init__()

    @all_or_nothing
    def fit(self, X: Any, y: Any = None) -> VQTextSktimeTransformer:
        """Fit to training series.

        Parameters
        ----------
        X : panel
            Training series, of a type that the notes list.
        y : array-like of shape (n_cases,), optional
            Class labels.

        Returns
        -------
        VQTextSktimeTransformer
            Itself. If this raises an error, it is as it was before.
        """
        super().fit(X, y)
        return self

    def _fit(self, X: Any, y: NDArray[Any] | None = None) -> VQTextSktimeTransformer:
        self.transformer_ = VQTextTransformer(**self.get_params(deep=False)).fit(X, y)
        return self

    def _transform(self, X: Any, y: Any = None) -> pd.DataFrame:
        instances = None
        if isinstance(X, pd.DataFrame):
            # sktime joins the features of several transformers by these.
            instances = X.index.unique(level=0) if X.index.nlevels > 1 else X.index
        return pd.DataFrame(
            self.transformer_.transform(X),
            index=instances,
            columns=self.transformer_.get_feature_names_out(),
        )
