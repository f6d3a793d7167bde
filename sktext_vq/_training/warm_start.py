"""What was learned from other series, and how it is reused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from sktext_vq._training.checkpoint import Fact, digest_of_tensors, fact, tensors_of
from sktext_vq.nn.model import DualBranchModel
from sktext_vq.nn.tokenizer import ShapeTokenizer

# Where there is no other encoder, word vectors mean the same.
_OF_WORDS = ("text.", "leave.", "digits.", "memory.")
_MOST = 2**20  # of timepoints between points of windows, and of features of a window


@dataclass(frozen=True)
class Learned:
    """The vocabulary and the network of a fitted estimator.

    Parameters
    ----------
    tokenizer : ShapeTokenizer
    model : DualBranchModel or None
        None for a closed form.
    channels : list of str
        With those that were added.
    labels : ndarray or None
        Classes in order.
    text_encoder : object
        The parameter.
    """

    tokenizer: ShapeTokenizer
    model: DualBranchModel | None
    channels: list[str]
    labels: NDArray[Any] | None
    text_encoder: Any

    @classmethod
    def of(cls, estimator: Any, n_codes: int) -> Learned:
        """Take what there is from an estimator, which may be fitted anew later.

        Parameters
        ----------
        estimator : VQTextTransformer or VQTextClassifier
        n_codes : int
            How many codes there must be.

        Returns
        -------
        Learned

        Raises
        ------
        TypeError
            If it is another kind of estimator.
        NotFittedError
            If it is not fitted.
        ValueError
            If it has another number of codes.
        """
        if not hasattr(estimator, "tokenizer_"):
            if hasattr(estimator, "transform_codes"):
                check_is_fitted(estimator)
            raise TypeError(
                "init must be a fitted VQTextTransformer or VQTextClassifier, got a "
                f"{type(estimator).__name__}."
            )
        found = estimator.tokenizer_.codebook.n_codes
        if found != n_codes:
            raise ValueError(
                f"init has {found} codes, and n_codes is {n_codes}: they must be as "
                f"many. Set n_codes={found}."
            )
        return cls(
            estimator.tokenizer_,
            estimator.model_,
            estimator._channels,
            estimator._labels,
            estimator.text_encoder,
        )

    def fact(self) -> Fact:
        """Tell it from others."""
        source = self.tokenizer if self.model is None else self.model
        return Fact(
            f"a model of {len(self.channels)} channels",
            digest_of_tensors(tensors_of(source)),
        )

    @torch.no_grad()
    def give_to(
        self,
        model: DualBranchModel,
        channels: Sequence[str],
        labels: NDArray[Any] | None,
        text_encoder: Any,
    ) -> None:
        """Set the weights that a model starts training with.

        Weights that do not depend on channels, classes or features are copied. Those of
        features are copied where both models keep the feature of the same channel, if
        all channels have the same names, and otherwise are means over the channels that
        have it; features that were not kept before start at 0. Weights of channels are
        dealt with alike, and those of classes go by label.

        Parameters
        ----------
        model : DualBranchModel
            Not trained. Its codes are those of this vocabulary.
        channels : sequence of str
        labels : ndarray or None
        text_encoder : object
        """
        old = self.model
        if old is None:
            return
        same_channels = list(channels) == self.channels
        same_words = fact(text_encoder).digest == fact(self.text_encoder).digest
        here: dict[str, Tensor] = dict(model.named_parameters())
        there: dict[str, Tensor] = dict(old.named_parameters())
        pairs = _pairs_of_labels(labels, self.labels)
        columns = _Columns(model, old, same_channels)
        for name in here.keys() & there.keys():
            new, known = here[name], there[name]
            if name == "enter.weight":
                new.copy_(columns.of(known))
            elif name.startswith("class_head."):
                values = columns.of(known) if name.endswith("weight") else known
                new[pairs[0]] = values[pairs[1]]
            elif "_head." in name:  # of classes, in the fusion
                new[pairs[0]] = known[pairs[1]]
            elif name.startswith("decoder.to_z."):
                new.copy_(self._by_channel(model, new, known, same_channels))
            elif name == "channel.weight":
                if not same_channels:
                    known = known.mean(dim=0, keepdim=True)
                new.copy_(known.expand_as(new))
            elif name.startswith(_OF_WORDS) and not same_words:
                continue
            elif new.shape == known.shape:
                new.copy_(known)

    def _by_channel(
        self, model: DualBranchModel, new: Tensor, known: Tensor, same: bool
    ) -> Tensor:
        """Weights of groups of channels: the same, or for all of them their mean."""
        if same:
            return known
        assert self.model is not None
        groups = known.unflatten(0, (len(self.model.decoder.log_usage), -1))
        n_new = len(model.decoder.log_usage)
        return groups.mean(dim=0).repeat(n_new, *[1] * (new.dim() - 1))


class _Columns:
    """Which features of one model are those of another.

    Parameters
    ----------
    new, old : DualBranchModel
    same_channels : bool
        Whether channels are the same one by one.
    """

    def __init__(
        self, new: DualBranchModel, old: DualBranchModel, same_channels: bool
    ) -> None:
        mine, theirs = _keys(new, same_channels), _keys(old, same_channels)
        keys, group = np.unique(theirs, return_inverse=True)
        place = np.searchsorted(keys, mine).clip(max=len(keys) - 1)
        self._n_groups = len(keys)
        self._group = torch.from_numpy(group)
        self._place = torch.from_numpy(place)
        self._known = torch.from_numpy(keys[place] == mine)

    def of(self, weight: Tensor) -> Tensor:
        """Turn weights of shape (n, n_old) into such of (n, n_new)."""
        sums = weight.new_zeros(len(weight), self._n_groups)
        sums.index_add_(1, self._group, weight)
        means = sums / torch.bincount(self._group, minlength=self._n_groups)
        return means[:, self._place] * self._known


def _keys(model: DualBranchModel, with_channel: bool) -> NDArray[np.int64]:
    """Give features of equal kind, view, length and so on the same number."""
    tokenizer, kept = model.tokenizer, model.kept.numpy()
    n_channels, n_views, n_lengths = tokenizer.layout[:3]
    ends = np.cumsum(tokenizer.sizes)
    found = []
    for kind, (size, end) in enumerate(zip(tokenizer.sizes, ends, strict=True)):
        own = kept[(kept >= end - size) & (kept < end)] - (end - size)
        n_items = size // math.prod(tokenizer.layout[:3])
        shape = (n_channels, n_views, n_lengths, max(1, n_items))
        channel, view, length, item = np.unravel_index(own, shape)
        dilation = np.array(tokenizer.dilations)[length]
        parts = [np.full(len(own), kind), view, dilation, item]
        sizes = [3, n_views, _MOST, _MOST]
        if with_channel:
            parts, sizes = [channel, *parts], [n_channels, *sizes]
        found.append(np.ravel_multi_index(parts, sizes))
    return np.concatenate(found)


def _pairs_of_labels(
    new: NDArray[Any] | None, old: NDArray[Any] | None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where labels are that both have, in each."""
    if new is None or old is None:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    rows = {label: row for row, label in enumerate(old.tolist())}
    both = [(i, rows[x]) for i, x in enumerate(new.tolist()) if x in rows]
    pairs = np.array(both, np.intp).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]
