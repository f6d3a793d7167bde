"""Training objective: weights of the losses of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from sktext_vq.nn.losses import NEED_CASE_TEXTS, NEED_CLASSES, NEED_TEXT, WEIGHTS

# Losses that require learned codes or frequency gains.
_NEED_LEARNED_FEATURES = {"shape", "usage"}


@dataclass(frozen=True)
class Objective:
    """Weighted sum of losses.

    Parameters
    ----------
    weights : dict of str to float
        Weight of every loss in :mod:`sktext_vq.nn.losses`.
    """

    weights: dict[str, float]

    @classmethod
    def from_parameter(cls, loss_weights: Any) -> Objective:
        """Check the parameter `loss_weights` and add default weights.

        Raises
        ------
        TypeError
            If `loss_weights` is neither None nor a dict.
        ValueError
            If `loss_weights` contains an unknown loss or an invalid weight.
        """
        if loss_weights is None:
            return cls(dict(WEIGHTS))
        if not isinstance(loss_weights, Mapping):
            raise TypeError(
                "loss_weights must be a dict that maps losses to weights, got "
                f"{type(loss_weights).__name__}."
            )
        unknown = sorted(set(loss_weights) - set(WEIGHTS), key=str)
        if unknown:
            raise ValueError(
                f"Unknown losses in loss_weights: {unknown}. Available "
                f"losses: {sorted(WEIGHTS)}."
            )
        for name, weight in loss_weights.items():
            if not (isinstance(weight, Real) and 0 <= float(weight) < np.inf):
                raise ValueError(
                    f"loss_weights[{name!r}] must be a finite number of at least 0, "
                    f"got {weight!r}."
                )
        own = {name: float(weight) for name, weight in loss_weights.items()}
        return cls({**WEIGHTS, **own})

    @property
    def learns_features(self) -> bool:
        """Whether features change in training."""
        return self.weights["codebook"] > 0 or self.weights["frequency"] > 0

    def active(
        self, *, has_text: bool, has_case_texts: bool, has_classes: bool
    ) -> set[str]:
        """Return the names of the losses that can be computed from the data."""
        names = {name for name, weight in self.weights.items() if weight > 0}
        if not has_text:
            names -= NEED_TEXT
        if not has_case_texts:
            names -= NEED_CASE_TEXTS
        if not has_classes:
            names -= NEED_CLASSES
        if not self.learns_features:
            names -= _NEED_LEARNED_FEATURES
        return names
