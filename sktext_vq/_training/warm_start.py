"""Warm start from the codes and weights of a fitted estimator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sktext_vq._training.fingerprint import fingerprint
from sktext_vq.nn.model import DualBranchModel
from sktext_vq.nn.tokenizer import ShapeTokenizer
from sktext_vq.text import TextEncoder

_MAX_INDEX = 2**20  # of dilations, and of features within a block


def find_base(init: Any) -> tuple[Any, Any]:
    """Return the argument `init` of `fit` as a base and an estimator, or None each."""
    if isinstance(init, str):
        # By name, since this layer cannot import a layer above it.
        return import_module("sktext_vq.wearables").load_packaged(init), None
    return (init, None) if hasattr(init, "enrol") else (None, init)


@dataclass(frozen=True)
class WarmStart:
    """Codes and network of a fitted estimator.

    Parameters
    ----------
    tokenizer : ShapeTokenizer
        Tokenizer with the codes.
    model : DualBranchModel or None
        Trained network; None if fitted in closed form.
    channels : sequence of str
        Names of the channels of the tokenizer.
    labels : ndarray or None
        Sorted class labels.
    text_encoder : TextEncoder
        Encoder of the texts.
    """

    tokenizer: ShapeTokenizer
    model: DualBranchModel | None
    channels: Sequence[str]
    labels: NDArray[Any] | None
    text_encoder: TextEncoder

    @torch.no_grad()
    def initialise(
        self,
        model: DualBranchModel,
        channels: Sequence[str],
        labels: NDArray[Any] | None,
        text_encoder: TextEncoder,
    ) -> None:
        """Set the initial weights of a model.

        Weights that do not depend on channels, classes or features are copied. If all
        channels have the same names, weights of the features that both models select
        are copied. Otherwise, weights of a feature are averaged over the channels for
        which it is selected. Weights of features that were not selected before are 0.
        Weights of channels are copied or averaged likewise, and weights of classes are
        matched by label.

        Parameters
        ----------
        model : DualBranchModel
            Untrained model with the codes of `tokenizer`.
        channels : sequence of str
            Names of the channels of its tokenizer.
        labels : ndarray or None
            Sorted class labels.
        text_encoder : TextEncoder
            Encoder of the texts.
        """
        source = self.model
        if source is None:
            return
        same_channels = list(channels) == list(self.channels)
        same_text_encoder = (
            fingerprint(text_encoder).digest == fingerprint(self.text_encoder).digest
        )
        target_params: dict[str, Tensor] = dict(model.named_parameters())
        source_params: dict[str, Tensor] = dict(source.named_parameters())
        rows, source_rows = _match_labels(labels, self.labels)
        columns = _FeatureMatch(model, source, same_channels)
        for name in target_params.keys() & source_params.keys():
            new, known = target_params[name], source_params[name]
            depends_on = _dependencies(model, name)
            if "text" in depends_on and not same_text_encoder:
                continue
            if "features" in depends_on:
                known = columns.transfer(known)
            if "groups" in depends_on and not same_channels:
                known = _mean_over_groups(known, source, model, new.dim())
            if "channels" in depends_on and not same_channels:
                known = known.mean(dim=0, keepdim=True).expand_as(new)
            if "classes" in depends_on:
                new[rows] = known[source_rows]
            elif new.shape == known.shape:
                new.copy_(known)


def _dependencies(model: nn.Module, name: str) -> set[str]:
    """Return the dependencies of a parameter, from the tables of its modules."""
    found: set[str] = set()
    path = name.split(".")
    for i in range(len(path)):
        own = ".".join(path[i:])
        module = model.get_submodule(".".join(path[:i]))
        for part, dependencies in getattr(module, "DEPENDS_ON", {}).items():
            if part == "" or own == part or own.startswith(f"{part}."):
                found |= dependencies
    return found


def _mean_over_groups(
    known: Tensor, source: DualBranchModel, model: DualBranchModel, n_dims: int
) -> Tensor:
    """Return weights of channel groups, all set to the mean over groups of `source`."""
    groups = known.unflatten(0, (len(source.decoder.log_usage), -1))
    n_groups = len(model.decoder.log_usage)
    return groups.mean(dim=0).repeat(n_groups, *[1] * (n_dims - 1))


class _FeatureMatch:
    """Correspondence between the features of two models.

    Parameters
    ----------
    model, source : DualBranchModel
        Model to initialise, and model from which weights are copied.
    same_channels : bool
        Whether channels correspond one to one.
    """

    def __init__(
        self, model: DualBranchModel, source: DualBranchModel, same_channels: bool
    ) -> None:
        target_keys = _feature_keys(model, same_channels)
        keys, group = np.unique(
            _feature_keys(source, same_channels), return_inverse=True
        )
        position = np.searchsorted(keys, target_keys).clip(max=len(keys) - 1)
        self._n_groups = len(keys)
        self._group = torch.from_numpy(group)
        self._position = torch.from_numpy(position)
        self._is_known = torch.from_numpy(keys[position] == target_keys)

    def transfer(self, weight: Tensor) -> Tensor:
        """Map weights of shape (n, n_source_features) to shape (n, n_features)."""
        sums = weight.new_zeros(len(weight), self._n_groups)
        sums.index_add_(1, self._group, weight)
        means = sums / torch.bincount(self._group, minlength=self._n_groups)
        return means[:, self._position] * self._is_known


def _feature_keys(model: DualBranchModel, with_channel: bool) -> NDArray[np.int64]:
    """Return an integer for each feature: its kind, view, dilation and item."""
    layout = model.tokenizer.layout
    where = layout.locate(model.selected.numpy())
    dilation = np.array(layout.dilations)[where.length]
    parts = [where.kind, where.view, dilation, where.item]
    sizes = [3, layout.blocks[1], _MAX_INDEX, _MAX_INDEX]
    if with_channel:
        parts, sizes = [where.channel, *parts], [layout.n_channels, *sizes]
    keys: NDArray[np.int64] = np.ravel_multi_index(parts, sizes)
    return keys


def _match_labels(
    labels: NDArray[Any] | None, source_labels: NDArray[Any] | None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the positions of common labels in both models."""
    if labels is None or source_labels is None:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    rows = {label: row for row, label in enumerate(source_labels.tolist())}
    both = [(i, rows[x]) for i, x in enumerate(labels.tolist()) if x in rows]
    pairs = np.array(both, np.intp).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]
