"""Contributions of tokens to log-odds.

Scores are linear in the features. The contribution of a feature is its weight times the
difference between its value and its mean over the training series. The part due to the
value is divided among the windows that the feature counts, and the part due to the mean
among all windows. The contribution of a window is divided among its timepoints. The
contribution of a token is the sum over its timepoints. Contributions of channels in
the gravity frame are divided among the axes from which the channels are computed.
Summaries and best matches are statistics of the windows of all lengths.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from sktext_vq._features.extractor import Execution, FeatureExtractor
from sktext_vq._heads.ridge import RidgeHead
from sktext_vq._interpret.segments import token_arrays
from sktext_vq._interpret.shape_names import shape_words
from sktext_vq._utils.threads import single_thread
from sktext_vq._utils.validation import find_stack_level
from sktext_vq.nn.attribution import attribute
from sktext_vq.nn.constants import N_QUANTILES
from sktext_vq.nn.windows import Batch
from sktext_vq.panel import Panel

if TYPE_CHECKING:
    from sktext_vq.nn.auxiliary.segments import SegmentRefiner

_STATISTICS = (
    "level",
    "standard deviation",
    "mean slope",
    "size of changes",
    "unevenness",
)
# Statistic that each summary belongs to, by view, levels or scales, and location or
# spread. Both dispersed levels and large scales imply a large standard deviation.
_STATISTIC_OF = np.eye(len(_STATISTICS))[[0, 1, 1, 4, 2, 3, 3, 4]].reshape(2, 2, 2, -1)
# Summaries that indicate whether a statistic is high. For the size of changes, the mean
# change in a window is excluded, because changes may cancel out.
_DIRECTIONS = _STATISTIC_OF * np.array([[[1, 1], [1, 1]], [[1, 0], [1, 1]]])[..., None]
# Minimum contribution of a named statistic, relative to the largest contribution.
_MIN_NAMED_SHARE = 0.1
INTERCEPT = "intercept"


def head_without_base(classifier: Any) -> RidgeHead:
    """Return the head of a classifier; warn if scores of a base model are excluded."""
    if classifier.enrolment_ is not None:
        warnings.warn(
            "The result does not include the scores of the base model that was "
            "passed to fit as init.",
            stacklevel=find_stack_level(),
        )
    head: RidgeHead = classifier.head_
    return head


@dataclass(frozen=True)
class Explainer:
    """Decomposition of log-odds into contributions of tokens."""

    extractor: FeatureExtractor
    head: RidgeHead
    refiner: SegmentRefiner | None
    labels: NDArray[Any]
    channel_names: Sequence[str]

    def explain(
        self, panel: Panel, label: Any, against: Any, execution: Execution
    ) -> pd.DataFrame:
        """Return contributions of tokens; see `VQTextClassifier.explain`."""
        pair = [self._index_of(each) for each in (label, against)]
        if pair[0] is not None and pair[0] == pair[1]:
            raise ValueError(
                f"label and against are both {label!r}. Pass two different classes."
            )
        extractor = self.extractor
        tables = []
        with single_thread():
            tokens = pd.DataFrame(
                token_arrays(panel, extractor.scaler, extractor.tokenizer, self.refiner)
            ).drop(columns=["offset", "scale"])
            phrases = np.array(
                [shape_words(shape) for shape in extractor.codes], object
            )
            tokens["phrase"] = phrases[tokens["code"]]
            by_case = tokens.groupby("case")
            # Compute the same features as in prediction, on a GPU if available.
            for part, features in extractor.batches(panel, execution, "explanations"):
                for case, row in enumerate(features, start=part.start):
                    batch = extractor.batch(panel, slice(case, case + 1))
                    length = int(panel.lengths[case])
                    own = by_case.get_group(case)
                    tables.append(self._explain_one(own, row, batch, length, pair))
        return pd.concat(tables, ignore_index=True)

    def _index_of(self, label: Any) -> int | None:
        if label is None:
            return None
        is_list = np.iterable(label) and not isinstance(label, str | bytes)
        found: Any = [] if is_list else np.flatnonzero(self.labels == label)
        if len(found) != 1:
            raise ValueError(
                f"{label!r} is not a class of the training data. Available classes are "
                f"{self.labels.tolist()}."
            )
        return int(found[0])

    def _explain_one(
        self,
        tokens: pd.DataFrame,
        features: NDArray[np.float32],
        batch: Batch,
        length: int,
        pair: list[int | None],
    ) -> pd.DataFrame:
        extractor, head = self.extractor, self.head
        selected = extractor.selected
        assert selected is not None
        # The second row is a series without tokens; averages are scaled to 0.
        rows = np.stack([features, np.zeros_like(features)])[:, selected]
        values, zero = head.scaler(rows).astype(np.float64)
        coef, constant = head.log_odds
        order = np.argsort(-(values @ coef + constant), kind="stable").tolist()
        label, against = pair
        if label is None:
            label = next(i for i in order if i != against)
        if against is None:
            against = next(i for i in order if i != label)
        slopes = coef[:, label] - coef[:, against]
        every = torch.zeros(2, len(features), dtype=torch.float64)
        parts = np.stack([(values - zero) * slopes, -zero * slopes])
        every[:, torch.from_numpy(selected)] = torch.from_numpy(parts)
        by_time = attribute(extractor.tokenizer, batch, *every).numpy()
        by_time = extractor.sum_by_input_channel(by_time)
        # Windows extend beyond a series that is shorter than a window.
        by_time[:, :length] += by_time[:, length:].sum(axis=1, keepdims=True) / length
        found, uncovered = _by_token(tokens, by_time[:, :length])
        table = pd.concat(
            [
                tokens.assign(contribution=found),
                self._name_statistics(values, slopes),
                _rows_without_position(
                    range(len(by_time)), "between tokens", uncovered
                ),
            ]
        )
        # Rows without a position and without a contribution are omitted.
        table = table[(table["start"] >= 0) | (table["contribution"] != 0)]
        table = table.sort_values("contribution", ascending=False, kind="stable")
        base = _rows_without_position(
            [-1], INTERCEPT, [constant[label] - constant[against]]
        )
        table = pd.concat([table, base])
        table["case"] = tokens["case"].iloc[0]
        names = np.array([*self.channel_names, ""], dtype=object)
        table.insert(1, "label", self.labels[label])
        table.insert(2, "against", self.labels[against])
        table.insert(4, "channel_name", names[table["channel"]])
        return table

    def _name_statistics(
        self, values: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> pd.DataFrame:
        """Return the contributions of statistics, from centred selected features."""
        extractor = self.extractor
        every = np.zeros((2, extractor.layout.n_features))
        every[:, extractor.selected] = values, weights
        histograms, _, summaries = extractor.layout.split(every)
        best = histograms[..., -1, :].prod(axis=0).sum(axis=(1, 2, 3))
        levels_and_scales = summaries.reshape(*summaries.shape[:-1], 2, -1)
        shares, sizes = _statistics(*levels_and_scales)
        shares /= np.array([len(axes) for axes in extractor.axes])[:, None]
        smallest = _MIN_NAMED_SHARE * np.abs(shares).max()
        others = np.zeros(len(self.channel_names))
        rows = []
        for axes, channel, own, size in zip(
            extractor.axes, extractor.channels, shares, sizes, strict=True
        ):
            is_named = np.abs(own) >= smallest
            others[list(axes)] += own[~is_named].sum()
            for i in np.flatnonzero(is_named):
                side = "higher" if size[i] > 0 else "lower"
                phrase = f"{_STATISTICS[i]} of {channel}, {side} than on average in "
                rows.append(_rows_without_position(axes, f"{phrase}training", own[i]))
        for kind, own in (
            ("best matches of codes in", extractor.sum_by_input_channel(best)),
            ("other statistics of", others),
        ):
            phrases = [f"{kind} {name}" for name in self.channel_names]
            rows.append(_rows_without_position(range(len(own)), phrases, own))
        return pd.concat(rows)


def _rows_without_position(
    channels: Iterable[int], phrase: Any, contribution: Any
) -> pd.DataFrame:
    """Return rows for contributions that do not have a position in time."""
    return pd.DataFrame(
        {
            "channel": list(channels),
            "start": -1,
            "length": 0,
            "code": -1,
            "phrase": phrase,
            "contribution": contribution,
        }
    )


def _statistics(
    values: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum the contributions of summaries by statistic.

    The `values` and `weights` of summaries have shape (n_channels, 2, n_lengths, 2, 9).
    The axes are channel, view, length, levels or scales, and mean, deviation or
    quantile. Returns contributions and sizes of shape (n_channels, 5). A size is
    positive if the statistic is above average.
    """
    values, weights = _location_and_spread(values), _location_and_spread(weights)
    contributions = np.einsum("cvdkln,vkls->cs", values * weights, _STATISTIC_OF)
    # Sizes are from the shortest windows, because long windows average fast changes.
    return contributions, np.einsum("cvkln,vkls->cs", values[:, :, 0], _DIRECTIONS)


def _location_and_spread(summaries: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace pairs of quantiles with sums and differences, which preserves products.

    Returns an array of shape (..., 2, 5) with mean, median and sums in the first row,
    and deviation, 0 and differences in the second row.
    """
    mean, deviation, *quantiles = np.moveaxis(summaries, -1, 0)
    low = np.stack(quantiles[: N_QUANTILES // 2], axis=-1)
    high = np.stack(quantiles[: N_QUANTILES // 2 : -1], axis=-1)
    sums, differences = (high + low) / np.sqrt(2), (high - low) / np.sqrt(2)
    median = quantiles[N_QUANTILES // 2]
    location = np.concatenate([np.stack([mean, median], axis=-1), sums], axis=-1)
    nothing = np.zeros_like(mean)
    spread = np.stack([deviation, nothing], axis=-1)
    spread = np.concatenate([spread, differences], axis=-1)
    return np.stack([location, spread], axis=-2)


def _by_token(
    tokens: pd.DataFrame, at: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum the contributions of timepoints by token.

    The contribution of a timepoint is divided among overlapping tokens. The second
    array contains the contributions of timepoints outside tokens, by channel.
    """
    channel, start = tokens["channel"].to_numpy(), tokens["start"].to_numpy()
    stop = start + tokens["length"].to_numpy()
    slopes = np.zeros((at.shape[0], at.shape[1] + 1))
    np.add.at(slopes, (channel, start), 1)
    np.add.at(slopes, (channel, stop), -1)
    covers = slopes.cumsum(axis=1)[:, :-1]
    shared = np.where(covers > 0, at / np.maximum(covers, 1), 0)
    sums = np.zeros_like(slopes)
    sums[:, 1:] = shared.cumsum(axis=1)
    uncovered = np.where(covers > 0, 0, at).sum(axis=1)
    return sums[channel, stop] - sums[channel, start], uncovered
