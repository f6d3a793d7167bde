"""Warm start from the codes and modules of a fitted estimator.

`ShapeTokenizer.fit` copies the codes, and `WarmStart.initialise` copies the weights of
the modules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from sklearn.utils.validation import check_is_fitted
from torch import nn

from sktext_vq.nn.codebook import Codebook
from sktext_vq.nn.model import DualBranchModel


def find_base(init: Any) -> tuple[Any, Any]:
    """Split the parameter `init` of `fit` into a base model and a warm start.

    Returns a function that enrols labelled windows in the base model, or None; and the
    estimator for a warm start, or None. A string is the name of a packaged model.
    """
    if isinstance(init, str):
        # The only import from a higher layer: files of models contain classifiers.
        from sktext_vq.persistence import load_packaged

        init = load_packaged(init)
    if getattr(init, "adapter_", None) is None:
        return None, init
    return partial(init.adapter_.enrol, init), None


@dataclass(frozen=True)
class WarmStart:
    """Codes and modules of a fitted estimator.

    Modules are independent of channels and classes. Their names are paths in
    `DualBranchModel`.
    """

    codebook: Codebook
    modules: Mapping[str, nn.Module]

    @classmethod
    def of(cls, estimator: Any, n_codes: int) -> WarmStart:
        """Return the codes and modules of an estimator with `n_codes` codes."""
        check_is_fitted(estimator)
        found = estimator.features_.layout.n_codes
        if found != n_codes:
            raise ValueError(
                f"init has {found} codes, but n_codes={n_codes}. Set n_codes={found} "
                "to start from init."
            )
        network = estimator.network_
        modules = {} if network is None else network.modules
        return cls(estimator.features_.tokenizer.codebook, modules)

    @torch.no_grad()
    def initialise(self, model: DualBranchModel) -> None:
        """Copy the weights that have the same name and shape in the model."""
        own = dict(model.named_parameters())
        for path, module in self.modules.items():
            for name, known in module.named_parameters():
                weight = own.get(f"{path}.{name}")
                if weight is not None and weight.shape == known.shape:
                    weight.copy_(known)
