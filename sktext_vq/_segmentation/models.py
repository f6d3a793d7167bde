"""Interface between segmentation and a window classifier."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from sktext_vq._base import BaseVQText
from sktext_vq._features.drift import DriftWarning
from sktext_vq._utils.validation import find_stack_level, format_names

Values = NDArray[np.floating[Any]]
_LEAST_PROBABILITY = 1e-12
# Minimum standard deviation of a window that is not constant, relative to the channel.
_LEAST_DEVIATION = 1e-6


@dataclass(frozen=True, eq=False)
class WindowModel:
    """Window classifier with properties of its training windows.

    `check` warns if windows differ from the training windows. `is_never_constant` marks
    channels that were not constant in any training window, and `is_often_constant`
    marks channels that were constant in at least 1 % of the training windows.
    """

    labels: list[Any]
    predict: Callable[[Values], NDArray[np.float64]]
    check: Callable[[Values], Any] | None = None
    verbose: bool = False
    n_timepoints: int | None = None
    sampling_rate: float | None = None
    channel_names: tuple[str, ...] | None = None
    means: NDArray[np.float64] | None = None
    is_never_constant: NDArray[np.bool_] | None = None
    is_often_constant: NDArray[np.bool_] | None = None

    @classmethod
    def of(
        cls,
        classifier: Any,
        candidates: Sequence[str] | Mapping[str, Any] | None,
        unknown_label: str | None = None,
    ) -> WindowModel:
        """Create the model from a fitted classifier and optional candidate classes."""
        if unknown_label is not None and candidates is None:
            raise ValueError("unknown_label requires candidate_labels.")
        method = "predict_proba" if candidates is None else "predict_proba_zero_shot"
        if isinstance(classifier, type) or not hasattr(classifier, method):
            raise TypeError(
                f"classifier must be a fitted estimator with {method}, got "
                f"{classifier!r}."
            )
        is_own = isinstance(classifier, BaseVQText)
        verbose = is_own and bool(classifier.verbose)
        if verbose:  # one progress bar for all windows
            classifier = copy.copy(classifier)
            classifier.verbose = 0
        call = getattr(classifier, method)
        n_timepoints = getattr(classifier, "n_timepoints_", None)
        known: dict[str, Any] = {"verbose": verbose, "n_timepoints": n_timepoints}
        if is_own:
            known |= _training_windows(classifier)
        if candidates is not None:
            names, more = list(candidates), {}
            if unknown_label is not None:
                names, more = [*names, unknown_label], {"unknown_label": unknown_label}
            return cls(
                names, lambda windows: call(windows, candidates, **more), **known
            )
        if not hasattr(classifier, "classes_"):
            check_is_fitted(classifier)
        return cls(np.asarray(classifier.classes_).tolist(), call, **known)


def _training_windows(classifier: Any) -> dict[str, Any]:
    """Return the sampling rate, channels and statistics of the training windows."""
    scaler = classifier.features_.scaler
    never = often = None
    if scaler.usual is not None:
        # Quantiles of the standard deviations of training windows: 0 and 1 %.
        never, often = scaler.usual[0, 0], scaler.usual[0, 1]
        never, often = never > _LEAST_DEVIATION, often <= _LEAST_DEVIATION
    has_names = classifier.input_.column_names is not None
    return {
        "check": classifier.check_X,
        "sampling_rate": classifier.sampling_rate,
        "channel_names": tuple(classifier.channel_names_) if has_names else None,
        "means": scaler.mean,
        "is_never_constant": never,
        "is_often_constant": often,
    }


def log_probabilities(found: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log-probabilities, which are finite even if a probability is 0."""
    found = np.maximum(found, _LEAST_PROBABILITY)
    return np.asarray(np.log(found / found.sum(axis=1, keepdims=True)))


def match_channels(names: tuple[str, ...], model: WindowModel) -> list[int]:
    """Return the channels of recordings in the order of the training windows.

    Other channels are ignored with a warning; missing channels raise an error.
    """
    wanted = model.channel_names
    if wanted is None:
        return list(range(len(names)))
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ValueError(
            "The recordings are missing channels of the training windows: "
            f"{format_names(missing)}. Channels in the recordings: "
            f"{format_names(names)}."
        )
    others = [name for name in names if name not in wanted]
    if others:
        warnings.warn(
            f"Channels {format_names(others)} of the recordings are ignored, because "
            "the training windows had no channels with these names.",
            stacklevel=find_stack_level(),
        )
    return [names.index(name) for name in wanted]


@contextmanager
def each_warning_once(ignore_drift: bool) -> Iterator[None]:
    """Collect warnings and issue each of them once at the end.

    Warnings that differ only in numbers are merged. With `ignore_drift`, DriftWarning
    is not issued.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    seen = set()
    for each in caught:
        is_drift = issubclass(each.category, DriftWarning)
        kind = DriftWarning if is_drift else re.sub(r"[\d.]+", "", str(each.message))
        if kind in seen or (is_drift and ignore_drift):
            continue
        seen.add(kind)
        warnings.warn(each.message, each.category, stacklevel=find_stack_level())
