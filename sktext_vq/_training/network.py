"""Results of network training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from sktext_vq._heads.alignment import TextAlignment
from sktext_vq._heads.ridge import RidgeHead
from sktext_vq._utils.state import (
    Sizes,
    Spec,
    State,
    check_state,
    load_arrays,
    module_arrays,
)
from sktext_vq.nn.auxiliary import load_module
from sktext_vq.nn.tokenizer import ShapeTokenizer

if TYPE_CHECKING:
    from sktext_vq._training.digits import DigitCodec
    from sktext_vq.nn.auxiliary.segments import SegmentRefiner

_STATE: dict[str, Spec | None] = {
    "history": None,
    "kept": None,
    "codebook_use": None,
    "refiner": None,
    "digits": None,
}


@dataclass(frozen=True)
class ClosedForm:
    """Classifier and text alignment, fitted in closed form or by gradient descent."""

    head: RidgeHead | None
    alignment: TextAlignment | None


@dataclass(frozen=True)
class Network:
    """Results of network training other than the trained classifier and alignment.

    Parameters
    ----------
    history : list of dict
        Losses and duration in seconds of each epoch.
    kept : dict of str to int
        Best epoch of each part; 0 if the closed form is best.
    codebook_use : dict
        Statistics of code usage, as returned by `Codebook.metrics`.
    refiner : SegmentRefiner, optional
        Module that refines segment borders, if borders were learned.
    digits : DigitCodec, optional
        Codec of series and digits, if digits were learned.
    """

    history: list[dict[str, float]]
    kept: dict[str, int]
    codebook_use: dict[str, float]
    refiner: SegmentRefiner | None = None
    digits: DigitCodec | None = None

    def get_state(self) -> State:
        """Return the configuration and the arrays of the network."""
        return {
            "history": self.history,
            "kept": self.kept,
            "codebook_use": self.codebook_use,
            "refiner": None if self.refiner is None else module_arrays(self.refiner),
            "digits": None if self.digits is None else self.digits.get_state(),
        }

    @classmethod
    def from_state(
        cls, state: State, sizes: Sizes, tokenizer: ShapeTokenizer
    ) -> Network:
        """Build a network from its state; see `FeatureExtractor.from_state`."""
        check_state(state, _STATE, sizes, "network")
        history, kept, use = (
            state[name] for name in ("history", "kept", "codebook_use")
        )
        if not isinstance(history, list) or not all(
            map(_is_record, [*history, kept, use])
        ):
            raise ValueError("network.history must be a list of losses")
        refiner = digits = None
        if state["refiner"] is not None:
            refiner = load_module("segments").SegmentRefiner(
                generator=torch.Generator()
            )
            load_arrays(refiner, state["refiner"], "refiner")
            refiner.requires_grad_(False)
        if state["digits"] is not None:
            from sktext_vq._training.digits import DigitCodec

            digits = DigitCodec.from_state(state["digits"], sizes, tokenizer.codebook)
        return cls(history, kept, use, refiner, digits)

    @property
    def modules(self) -> dict[str, torch.nn.Module]:
        """Modules from which another model can be initialised, by path."""
        found: dict[str, torch.nn.Module] = {}
        if self.refiner is not None:
            found["auxiliary.segments.refiner"] = self.refiner
        if self.digits is not None and self.digits.branch is not None:
            found["auxiliary.digits.branch"] = self.digits.branch
        return found


def _is_record(row: Any) -> bool:
    """Return whether an object is a dict of numbers by name."""
    return isinstance(row, dict) and all(
        isinstance(name, str) and isinstance(value, int | float)
        for name, value in row.items()
    )
