"""The estimators that are compared, and their first fit before time is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.data import first_by_class, take

Array = NDArray[Any]
# sktext_vq, sktime and aeon are imported where they are used: a process that measures
# the memory of one must not import the others.


class EqualLength(TransformerMixin, BaseEstimator):
    """Interpolate series of unequal length to the length of the longest one in `fit`.

    Arrays are returned as they are.
    """

    def fit(self, X: Any, y: Any = None) -> EqualLength:
        self.n_timepoints_ = max(np.shape(series)[-1] for series in X)
        return self

    def transform(self, X: Any) -> Array:
        if isinstance(X, np.ndarray):
            return X
        new = np.linspace(0, 1, self.n_timepoints_)
        return np.array(
            [
                [np.interp(new, np.linspace(0, 1, len(own)), own) for own in series]
                for series in X
            ]
        )


class Rocket(TransformerMixin, BaseEstimator):
    """MiniRocket or MultiRocket of sktime, as a transformer of scikit-learn.

    The transformers of sktime delete all attributes in `fit`, including attributes that
    are set by pipelines of scikit-learn 1.9.
    """

    def __init__(
        self,
        kind: str = "MiniRocketMultivariate",
        n_jobs: int = -1,
        random_state: int | None = None,
    ) -> None:
        self.kind = kind
        self.n_jobs = n_jobs
        self.random_state = random_state
        # A process that measures memory or time has imported sktime by now.
        from sktime.transformations import rocket

        self._rocket_class = getattr(rocket, kind)

    def fit(self, X: Array, y: Any = None) -> Rocket:
        self.rocket_ = self._rocket_class(
            n_jobs=self.n_jobs, random_state=self.random_state
        )
        self.rocket_.fit(self._converted(X))
        return self

    def transform(self, X: Array) -> Array:
        return self.rocket_.transform(self._converted(X)).to_numpy()

    def _converted(self, X: Array) -> Array:
        # MultiRocket of sktime 1.2 requires double precision.
        return X if self.kind == "MiniRocketMultivariate" else X.astype(np.float64)


class OfEqualLength(ClassifierMixin, BaseEstimator):
    """A classifier of sktime or aeon, with series interpolated to equal length."""

    def __init__(self, make: Callable[[int, int], Any], in_a_row: bool = False) -> None:
        self.make = make
        self.in_a_row = in_a_row

    def fit(self, X: Any, y: Array) -> OfEqualLength:
        self.length_ = EqualLength().fit(X)
        model = self.make(len(X[0]), self.length_.n_timepoints_)
        self.model_ = model.fit(self._converted(X), y)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X: Any) -> Array:
        return self.model_.predict(self._converted(X))

    def predict_proba(self, X: Any) -> Array:
        return self.model_.predict_proba(self._converted(X))

    def _converted(self, X: Any) -> Array:
        # WEASEL of sktime 1.2 requires double precision.
        X = self.length_.transform(X).astype(np.float64)
        return X.reshape(len(X), 1, -1) if self.in_a_row else X


def ridge(**parameters: Any) -> RidgeClassifierCV:
    """Return the ridge classifier that the authors of MiniRocket recommend."""
    return RidgeClassifierCV(alphas=np.logspace(-1, 5, 13), **parameters)


def closed_form(seed: int, **parameters: Any) -> Pipeline:
    """Return token histograms, which are already scaled, and the ridge classifier."""
    from sktext_vq import VQTextTransformer

    transformer = VQTextTransformer(max_epochs=0, random_state=seed, **parameters)
    return make_pipeline(transformer, ridge())


def classifier(seed: int, **parameters: Any) -> Any:
    """Return a classifier that trains a network for up to 20 epochs."""
    from sktext_vq import VQTextClassifier

    parameters = {"max_epochs": 20} | parameters
    return VQTextClassifier(random_state=seed, **parameters)


def classifier_closed(seed: int, **parameters: Any) -> Any:
    return classifier(seed, max_epochs=0, **parameters)


# Estimators of sktime and aeon, with their defaults.


def minirocket(
    seed: int, n_jobs: int = -1, kind: str = "MiniRocketMultivariate"
) -> Pipeline:
    rocket = Rocket(kind, n_jobs=n_jobs, random_state=seed)
    return make_pipeline(EqualLength(), rocket, StandardScaler(), ridge())


def minirocket_calibrated(seed: int, n_jobs: int) -> Pipeline:
    """Return MiniRocket with probabilities, from scores of held-out folds."""
    model = minirocket(seed, n_jobs)
    head = CalibratedClassifierCV(model[-1], ensemble=False)
    return make_pipeline(*model[:-1], head)


def multirocket(seed: int, n_jobs: int) -> Pipeline:
    return minirocket(seed, n_jobs, "MultiRocketMultivariate")


def _make(path: str, seed: int, n_jobs: int, **parameters: Any) -> Any:
    """Make a classifier, with a seed and threads if it has these parameters."""
    module, name = path.rsplit(".", 1)
    kind = getattr(import_module(module), name)
    common = {"random_state": seed, "n_jobs": n_jobs}
    known = signature(kind).parameters
    return kind(**{k: v for k, v in common.items() if k in known}, **parameters)


def _of(path: str) -> Callable[[int, int], OfEqualLength]:
    return lambda seed, n_jobs: OfEqualLength(lambda *_: _make(path, seed, n_jobs))


def weasel(seed: int, n_jobs: int) -> OfEqualLength:
    """Return WEASEL, or WEASEL+MUSE for several channels."""
    path = "sktime.classification.dictionary_based."
    return OfEqualLength(
        lambda n_channels, _: _make(
            path + ("MUSE" if n_channels > 1 else "WEASEL"), seed, n_jobs
        )
    )


def tsf(seed: int, n_jobs: int) -> OfEqualLength:
    """Return a forest of concatenated channels; intervals are within channels."""
    path = "sktime.classification.interval_based.TimeSeriesForestClassifier"
    return OfEqualLength(
        lambda _, length: _make(path, seed, n_jobs, inner_series_length=length),
        in_a_row=True,
    )


def weasel2(seed: int, n_jobs: int) -> OfEqualLength:
    """Return a vote of WEASEL 2.0 classifiers, one for each channel."""

    def make(n_channels: int, _: int) -> Any:
        single = _make("aeon.classification.dictionary_based.WEASEL_V2", seed, n_jobs)
        if n_channels == 1:
            return single
        from aeon.classification.compose import ClassifierChannelEnsemble

        return ClassifierChannelEnsemble(
            [single], channels=["all-split"], random_state=seed
        )

    return OfEqualLength(make)


OURS: dict[str, Callable[..., Any]] = {
    "closed-form": closed_form,
    "classifier-closed": classifier_closed,
    "classifier": classifier,
    "classifier-named": classifier,
}
OF_SKTIME: dict[str, Callable[[int, int], Any]] = {
    "minirocket": minirocket,
    "minirocket-calibrated": minirocket_calibrated,
    "multirocket": multirocket,
    "weasel": weasel,
    "catch22": _of("sktime.classification.feature_based.Catch22Classifier"),
    "tsf": tsf,
    "dtw": _of("sktime.classification.distance_based.KNeighborsTimeSeriesClassifier"),
}
_CONVOLUTIONS = "aeon.classification.convolution_based."
OF_AEON: dict[str, Callable[[int, int], Any]] = {
    "hydra": _of(_CONVOLUTIONS + "HydraClassifier"),
    "multirocket-hydra": _of(_CONVOLUTIONS + "MultiRocketHydraClassifier"),
    "quant": _of("aeon.classification.interval_based.QUANTClassifier"),
    "rdst": _of("aeon.classification.shapelet_based.RDSTClassifier"),
    "weasel2": weasel2,
}
ESTIMATORS = {**OURS, **OF_SKTIME, **OF_AEON}
BASELINE = "minirocket"
# Other estimators have no probabilities, or return 1 for the predicted class.
WITH_PROBABILITIES = (
    *("classifier-closed", "classifier", "classifier-named"),
    *("minirocket-calibrated", "catch22", "tsf", "quant"),
)


def build(
    estimator: str, seed: int, n_threads: int, about: Mapping[str, Any] | None = None
) -> Any:
    """Make an estimator for a number of threads; ours follow `limit_threads`.

    Only ``classifier-named`` gets names of channels and the sampling rate.
    """
    if estimator == "classifier-named":
        return classifier(seed, **(about or {}))
    if estimator in OURS:
        return OURS[estimator](seed)
    return ESTIMATORS[estimator](seed, n_threads)


def check_stage(estimator: str, model: Any) -> None:
    """Raise an error if the stage of training is not the expected one."""
    if estimator not in OURS:
        return
    expected = "closed form" if "closed" in estimator else "trained with text"
    found = (model[0] if isinstance(model, Pipeline) else model).training_stage_
    if found != expected:
        raise RuntimeError(f"{estimator} should be {expected!r}, but is {found!r}.")


_warm: set[tuple[str, int]] = set()  # what this process has fitted before


def warm_up(
    estimator: str, n_threads: int, X: Any, y: Array, about: Any = None
) -> None:
    """Fit once to a few cases, so that compilers and lazy imports are not timed."""
    if (estimator, n_threads) in _warm:
        return
    cases = first_by_class(y)
    small = take(X, cases)
    build(estimator, 0, n_threads, about).fit(small, y[cases]).predict(small)
    _warm.add((estimator, n_threads))
