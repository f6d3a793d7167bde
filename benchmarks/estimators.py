"""The estimators that are compared, and how they are started before times count."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from protocol import take
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

# sktext_vq, sktime and aeon are imported where they are used: whoever measures the
# memory of one must not have the other in the same process.


class EqualLength(TransformerMixin, BaseEstimator):
    """Stretch series of unequal length to that of the longest training series.

    MiniRocket needs this, by straight lines between timepoints. Arrays, which hold
    series of equal length, pass through.
    """

    def fit(self, X: Any, y: Any = None) -> EqualLength:
        """Find the longest series."""
        self.n_timepoints_ = max(np.shape(series)[-1] for series in X)
        return self

    def transform(self, X: Any) -> NDArray[np.floating[Any]]:
        """Stretch each channel."""
        if isinstance(X, np.ndarray):
            return X
        return np.stack([self._stretch(series) for series in X])

    def _stretch(self, series: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        old = np.linspace(0, 1, series.shape[-1])
        new = np.linspace(0, 1, self.n_timepoints_)
        return np.stack([np.interp(new, old, channel) for channel in series])


class Rocket(TransformerMixin, BaseEstimator):
    """MiniRocket or MultiRocket of sktime, held by a transformer of scikit-learn.

    When sktime's own one is fitted, it drops every attribute, and with them what
    pipelines of scikit-learn 1.9 keep there.

    Parameters
    ----------
    kind : str, default="MiniRocketMultivariate"
        Name of the class.
    n_jobs : int, default=-1
        Threads.
    random_state : int, optional
        Makes fits repeatable.
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

    def fit(self, X: NDArray[np.floating[Any]], y: Any = None) -> Rocket:
        """Choose kernels and biases."""
        self.rocket_ = self._rocket_class(
            n_jobs=self.n_jobs, random_state=self.random_state
        )
        self.rocket_.fit(self._as_needed(X))
        return self

    def transform(self, X: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Pool what kernels give."""
        return self.rocket_.transform(self._as_needed(X)).to_numpy()

    def _as_needed(self, X: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        # MultiRocket of sktime 1.2 takes nothing but double precision.
        return X if self.kind == "MiniRocketMultivariate" else X.astype(np.float64)


class OfEqualLength(ClassifierMixin, BaseEstimator):
    """A classifier of sktime or aeon, for whom series of unequal length are stretched.

    Parameters
    ----------
    make : callable
        Makes the classifier for so many channels and timepoints.
    in_a_row : bool, default=False
        Whether channels come one after another, as one.
    """

    def __init__(self, make: Callable[[int, int], Any], in_a_row: bool = False) -> None:
        self.make = make
        self.in_a_row = in_a_row

    def fit(self, X: Any, y: NDArray[Any]) -> OfEqualLength:
        """Fit the classifier."""
        self.length_ = EqualLength().fit(X)
        model = self.make(len(X[0]), self.length_.n_timepoints_)
        self.network_.model = model.fit(self._as_needed(X), y)
        self.classes_ = self.network_.model.classes_
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict classes."""
        return self.network_.model.predict(self._as_needed(X))

    def predict_proba(self, X: Any) -> NDArray[np.floating[Any]]:
        """Predict probabilities of classes."""
        return self.network_.model.predict_proba(self._as_needed(X))

    def _as_needed(self, X: Any) -> NDArray[np.float64]:
        # WEASEL of sktime 1.2 takes nothing but double precision.
        X = self.length_.transform(X).astype(np.float64)
        return X.reshape(len(X), 1, -1) if self.in_a_row else X


def ridge_on(*steps: Any) -> Pipeline:
    """Put the head on top that is recommended for MiniRocket."""
    return make_pipeline(*steps, StandardScaler(), _ridge())


def _ridge() -> RidgeClassifierCV:
    return RidgeClassifierCV(alphas=np.logspace(-1, 5, 13))


# Ours.


def closed_form(seed: int, **parameters: Any) -> Pipeline:
    """Histograms without training; they come scaled."""
    from sktext_vq import VQTextTransformer

    transformer = VQTextTransformer(max_epochs=0, random_state=seed, **parameters)
    return make_pipeline(transformer, _ridge())


def classifier(seed: int, **parameters: Any) -> Any:
    """Return the classifier as it comes, or with what is known of the series."""
    from sktext_vq import VQTextClassifier

    return VQTextClassifier(random_state=seed, **parameters)


def classifier_closed(seed: int) -> Any:
    """Return the classifier without training."""
    return classifier(seed, max_epochs=0)


# Those of sktime, with its defaults.


def minirocket(seed: int, n_jobs: int = -1) -> Pipeline:
    """MiniRocket as sktime has it."""
    return ridge_on(EqualLength(), Rocket(n_jobs=n_jobs, random_state=seed))


def minirocket_calibrated(seed: int, n_jobs: int) -> Pipeline:
    """MiniRocket whose ridge has probabilities, from scores of held-out folds."""
    rocket = Rocket(n_jobs=n_jobs, random_state=seed)
    head = CalibratedClassifierCV(_ridge(), ensemble=False)
    return make_pipeline(EqualLength(), rocket, StandardScaler(), head)


def multirocket(seed: int, n_jobs: int) -> Pipeline:
    """MultiRocket."""
    rocket = Rocket("MultiRocketMultivariate", n_jobs=n_jobs, random_state=seed)
    return ridge_on(EqualLength(), rocket)


def weasel(seed: int, n_jobs: int) -> OfEqualLength:
    """WEASEL, and WEASEL+MUSE for several channels."""
    from sktime.classification.dictionary_based import MUSE, WEASEL

    return OfEqualLength(
        lambda n_channels, _: (MUSE if n_channels > 1 else WEASEL)(
            n_jobs=n_jobs, random_state=seed
        )
    )


def catch22(seed: int, n_jobs: int) -> OfEqualLength:
    """The 22 features of catch22 and a random forest."""
    from sktime.classification.feature_based import Catch22Classifier

    return OfEqualLength(lambda *_: Catch22Classifier(n_jobs=n_jobs, random_state=seed))


def tsf(seed: int, n_jobs: int) -> OfEqualLength:
    """TimeSeriesForest; of channels one after another, with no interval in two."""
    from sktime.classification.interval_based import TimeSeriesForestClassifier

    return OfEqualLength(
        lambda _, n_timepoints: TimeSeriesForestClassifier(
            inner_series_length=n_timepoints, n_jobs=n_jobs, random_state=seed
        ),
        in_a_row=True,
    )


def dtw(seed: int, n_jobs: int) -> OfEqualLength:
    """The nearest neighbour by dynamic time warping, which has no use for a seed."""
    from sktime.classification.distance_based import KNeighborsTimeSeriesClassifier

    return OfEqualLength(lambda *_: KNeighborsTimeSeriesClassifier(n_jobs=n_jobs))


# Those of aeon, with its defaults.


def hydra(seed: int, n_jobs: int) -> OfEqualLength:
    """Hydra."""
    from aeon.classification.convolution_based import HydraClassifier

    return OfEqualLength(lambda *_: HydraClassifier(n_jobs=n_jobs, random_state=seed))


def multirocket_hydra(seed: int, n_jobs: int) -> OfEqualLength:
    """Features of MultiRocket and Hydra."""
    from aeon.classification.convolution_based import MultiRocketHydraClassifier

    return OfEqualLength(
        lambda *_: MultiRocketHydraClassifier(n_jobs=n_jobs, random_state=seed)
    )


def quant(seed: int, n_jobs: int) -> OfEqualLength:
    """QUANT, which has one thread."""
    from aeon.classification.interval_based import QUANTClassifier

    return OfEqualLength(lambda *_: QUANTClassifier(random_state=seed))


def rdst(seed: int, n_jobs: int) -> OfEqualLength:
    """Random dilated shapelets."""
    from aeon.classification.shapelet_based import RDSTClassifier

    return OfEqualLength(lambda *_: RDSTClassifier(n_jobs=n_jobs, random_state=seed))


def weasel2(seed: int, n_jobs: int) -> OfEqualLength:
    """WEASEL 2.0, one for each channel; of several the most votes."""
    from aeon.classification.compose import ClassifierChannelEnsemble
    from aeon.classification.dictionary_based import WEASEL_V2

    def make(n_channels: int, _: int) -> Any:
        single = WEASEL_V2(n_jobs=n_jobs, random_state=seed)
        if n_channels == 1:
            return single
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
    "catch22": catch22,
    "tsf": tsf,
    "dtw": dtw,
}
OF_AEON: dict[str, Callable[[int, int], Any]] = {
    "hydra": hydra,
    "multirocket-hydra": multirocket_hydra,
    "quant": quant,
    "rdst": rdst,
    "weasel2": weasel2,
}
ESTIMATORS = {**OURS, **OF_SKTIME, **OF_AEON}
BASELINE = "minirocket"
# The others have none, or 1 for the class that they predict.
WITH_PROBABILITIES = (
    "classifier-closed",
    "classifier",
    "classifier-named",
    "minirocket-calibrated",
    "catch22",
    "tsf",
    "quant",
)
_LEVELS = {
    "closed-form": "closed form",
    "classifier-closed": "closed form",
    "classifier": "trained with text",
    "classifier-named": "trained with text",
}


def build(
    estimator: str,
    seed: int,
    n_threads: int,
    about: Mapping[str, Any] | None = None,
) -> Any:
    """Make an estimator for so many threads.

    Ours follow `limit_threads`. Only ``classifier-named`` gets what is known `about`
    the series.
    """
    if estimator == "classifier-named":
        return classifier(seed, **(about or {}))
    if estimator in OURS:
        return OURS[estimator](seed)
    return ESTIMATORS[estimator](seed, n_threads)


@contextmanager
def limit_threads(n_threads: int) -> Iterator[None]:
    """Limit torch and linear algebra; MiniRocket has `n_jobs` for its own part.

    To be entered anew for each fit: numba, when it starts, sets those of torch too.
    """
    import torch

    before = torch.get_num_threads()
    with threadpool_limits(n_threads):
        torch.set_num_threads(n_threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def check_level(estimator: str, model: Any) -> None:
    """Refuse a model that fell back, say to training without text, with a warning."""
    if estimator in _LEVELS:
        first = model[0] if isinstance(model, Pipeline) else model
        if first.training_stage_ != _LEVELS[estimator]:
            raise RuntimeError(
                f"{estimator} should be {_LEVELS[estimator]!r}, but is "
                f"{first.training_stage_!r}."
            )


def few_of_each(y: NDArray[Any], n_cases: int = 5) -> NDArray[np.intp]:
    """Pick the first cases of each class."""
    return np.sort(
        np.concatenate([np.flatnonzero(y == label)[:n_cases] for label in np.unique(y)])
    )


_warm: set[tuple[str, int]] = set()  # what this process has fitted before


def warm_up(estimator: str, n_threads: int, X: Any, y: NDArray[Any]) -> None:
    """Fit once to a few cases, so that compilers and lazy imports are not timed."""
    if (estimator, n_threads) in _warm:
        return
    cases = few_of_each(y)
    small = take(X, cases)
    model = build(estimator, 0, n_threads)
    model.fit(small, y[cases]).predict(small)
    _warm.add((estimator, n_threads))
