"""The estimators that are compared, and how they are started before times count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from protocol import take
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

# sktext_vq and sktime are imported where they are used: whoever measures the memory of
# one must not have the other in the same process.


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


class MiniRocket(TransformerMixin, BaseEstimator):
    """MiniRocket of sktime, held by a transformer of scikit-learn.

    When sktime's own one is fitted, it drops every attribute, and with them what
    pipelines of scikit-learn 1.9 keep there.
    """

    def __init__(self, n_jobs: int = -1, random_state: int | None = None) -> None:
        self.n_jobs = n_jobs
        self.random_state = random_state
        # A process that measures memory or time has imported sktime by now.
        from sktime.transformations.panel.rocket import MiniRocketMultivariate

        self._rocket_class = MiniRocketMultivariate

    def fit(self, X: NDArray[np.floating[Any]], y: Any = None) -> MiniRocket:
        """Choose kernels and biases."""
        self.rocket_ = self._rocket_class(
            n_jobs=self.n_jobs, random_state=self.random_state
        )
        self.rocket_.fit(X)
        return self

    def transform(self, X: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Compute shares of positive values."""
        return self.rocket_.transform(X).to_numpy()


def ridge_on(*steps: Any) -> Pipeline:
    """Put the head of all pipelines on top: the one recommended for MiniRocket."""
    head = RidgeClassifierCV(alphas=np.logspace(-1, 5, 13))
    return make_pipeline(*steps, StandardScaler(), head)


def closed_form(seed: int, **parameters: Any) -> Pipeline:
    """Histograms without training."""
    from sktext_vq import VQTextTransformer

    return ridge_on(VQTextTransformer(max_epochs=0, random_state=seed, **parameters))


def classifier(seed: int) -> Any:
    """Return the classifier as it comes."""
    from sktext_vq import VQTextClassifier

    return VQTextClassifier(random_state=seed)


def classifier_closed(seed: int) -> Any:
    """Return the classifier without training."""
    from sktext_vq import VQTextClassifier

    return VQTextClassifier(max_epochs=0, random_state=seed)


def minirocket(seed: int, n_jobs: int = -1) -> Pipeline:
    """MiniRocket as sktime has it."""
    return ridge_on(EqualLength(), MiniRocket(n_jobs=n_jobs, random_state=seed))


ESTIMATORS: dict[str, Callable[[int], Any]] = {
    "minirocket": minirocket,
    "closed-form": closed_form,
    "classifier-closed": classifier_closed,
    "classifier": classifier,
}
BASELINE = "minirocket"
_LEVELS = {
    "closed-form": "closed form",
    "classifier-closed": "closed form",
    "classifier": "trained with text",
}


def build(estimator: str, seed: int, n_threads: int) -> Any:
    """Make an estimator for so many threads; the others follow `limit_threads`."""
    if estimator == "minirocket":
        return minirocket(seed, n_jobs=n_threads)
    return ESTIMATORS[estimator](seed)


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
        if first.level_ != _LEVELS[estimator]:
            raise RuntimeError(
                f"{estimator} should be {_LEVELS[estimator]!r}, but is "
                f"{first.level_!r}."
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
