"""Which tokens decided, exactly: heads are linear in the features."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from sktext_vq._features.scaling import Scaler
from sktext_vq._heads.ridge import RidgeHead
from sktext_vq._interpret.segments import shape_words, token_arrays
from sktext_vq._utils.threads import single_thread
from sktext_vq.nn.attribution import attribute
from sktext_vq.nn.constants import N_POINTS, N_QUANTILES
from sktext_vq.nn.gravity import GravityFrame
from sktext_vq.nn.model import DualBranchModel
from sktext_vq.nn.segment_refiner import AttributeDecoder
from sktext_vq.nn.tokenizer import Batch, ShapeTokenizer
from sktext_vq.panel import Panel

_STATISTICS = (
    "level",
    "standard deviation",
    "mean slope",
    "size of changes",
    "unevenness",
)
# Which of them summaries are about: by view, levels or scales, location or spread.
# Levels that are far apart and large scales both make a series vary much.
_ABOUT = np.eye(len(_STATISTICS))[[0, 1, 1, 4, 2, 3, 3, 4]].reshape(2, 2, 2, -1)
# Which say whether it is high: large changes may cancel within windows.
_TELLS = _ABOUT * np.array([[[1, 1], [1, 1]], [[1, 0], [1, 1]]])[..., None]
_LEAST_NAMED = 0.1  # of the largest contribution of a statistic
_CONSTANT = "what holds for all series"


class ExplanationMixin:
    """Explanation of single predictions."""

    classes_: NDArray[Any]
    head: str
    head_: RidgeHead
    kept_: NDArray[np.int64]
    model_: DualBranchModel | None
    n_timepoints_: int
    scaler_: Scaler
    tokenizer_: ShapeTokenizer
    attributes_: AttributeDecoder | None
    _channels: list[str]
    channel_groups_: dict[str, tuple[int, int, int]]
    channel_names_: list[str]

    def _check_X(self, X: Any, *, reset: bool) -> Panel:
        raise NotImplementedError

    def _flat_features(
        self, panel: Panel, task: str
    ) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        raise NotImplementedError

    def explain(self, X: Any, label: Any = None, against: Any = None) -> pd.DataFrame:
        """Tell which tokens decided, and how much.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series with the channels of the training series. One is explained after the
            other, in about a tenth of a second: take a few.
        label : object, optional
            Class to explain; by default the most probable one of each series.
        against : object, optional
            Class to compare with; by default the most probable other one.

        Returns
        -------
        DataFrame
            Rows of each series from the largest contribution to the least: ``case``,
            ``label``, ``against``; ``channel``, ``channel_name``, ``start``, ``length``
            and ``code`` of a token as :meth:`tokens` has them, a ``phrase`` that says
            what it looks like, and its ``contribution`` to the logarithm of how many
            times as probable `label` is as `against`. Contributions of a series sum to
            that.

            What is in no place has start and code -1. Its phrase says what it is:

            - a statistic of a channel as a whole, such as ``"standard deviation of
              acc_x, higher than on average over training"``; those that contribute
              little are one row, ``"other statistics of acc_x"``;
            - ``"between tokens"``: timepoints that no token covers;
            - ``"what holds for all series"``, the last row of each, with channel -1:
              the logarithm of the odds of a series that has no shapes at all, and
              statistics as on average. No real series is like that. Other rows say
              what this one has beside, so all of them are needed for the sum.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        ValueError
            If X is no panel, or a class is not one of training, or both are the same.

        Notes
        -----
        Scores are linear in the features, which are counts of windows of many lengths.
        What a feature contributes, its weight times its count, is shared by the windows
        that it counts, and by the timepoints of each; a token has what its timepoints
        have.

        Statistics are of windows of all lengths, and count from their means in
        training. A standard deviation is that within windows, and how far levels of
        windows are apart; changes are from one timepoint to the next; a channel is
        uneven where it varies much in some windows and little in others. Higher or
        lower is said of the shortest windows.

        Channels that gravity gives share what they contribute over the axes that they
        come from: there is a row for each.

        Examples
        --------
        >>> from sktext_vq import VQTextClassifier
        >>> from sktext_vq.datasets import load
        >>> data = load("BasicMotions")
        >>> model = VQTextClassifier(max_epochs=0, random_state=0)
        >>> model = model.fit(data.X_train, data.y_train)
        >>> table = model.explain(data.X_test[:1])
        >>> table["label"][0], table["against"][0]
        ('standing', 'badminton')
        """
        check_is_fitted(self)
        panel = self._check_X(X, reset=False)
        asked = [self._index_of(each) for each in (label, against)]
        if asked[0] is not None and asked[0] == asked[1]:
            raise ValueError(f"label and against are both {label!r}.")
        n_timepoints = max(panel.n_timepoints, self.n_timepoints_, N_POINTS)
        tables = []
        with single_thread():
            tokens = pd.DataFrame(
                token_arrays(panel, self.scaler_, self.tokenizer_, self.attributes_)
            ).drop(columns=["offset", "scale"])
            shapes = self.tokenizer_.codebook.codes.detach().numpy()
            phrases = np.array([shape_words(shape) for shape in shapes], dtype=object)
            tokens["phrase"] = phrases[tokens["code"]]
            by_case = tokens.groupby("case")
            # Features as predictions see them, on a GPU if there is one.
            for part, features in self._flat_features(panel, "explanations"):
                for case, row in enumerate(features, start=part.start):
                    one = slice(case, case + 1)
                    batch = self.scaler_.batch(panel, one, n_timepoints)
                    length = int(panel.lengths[case])
                    own = by_case.get_group(case)
                    tables.append(self._explain_one(own, row, batch, length, asked))
        return pd.concat(tables, ignore_index=True)

    def _index_of(self, label: Any) -> int | None:
        if label is None:
            return None
        several = np.iterable(label) and not isinstance(label, str | bytes)
        found: Any = [] if several else np.flatnonzero(self.classes_ == label)
        if len(found) != 1:
            raise ValueError(
                f"{label!r} is no class of training: {self.classes_.tolist()}."
            )
        return int(found[0])

    def _linear(
        self, features: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Return chosen features and their values, coefficients and intercepts.

        Features have rows: those of series.
        """
        if self.head == "network":
            model = self.model_
            assert model is not None and model.class_head is not None
            with torch.inference_mode():
                picked = torch.from_numpy(features)[:, model.kept]
                values = model.standardise_picked(picked).double().numpy()
                coef = model.class_head.weight.double().numpy().T
                intercept = model.class_head.bias.double().numpy()
            return model.kept.numpy(), values, coef, intercept
        head = self.head_
        values = head.scaler(features[:, self.kept_]).astype(np.float64)
        intercept = head.sharpness * head.intercept + head.offset
        return self.kept_, values, head.sharpness * head.coef, intercept

    def _explain_one(
        self,
        tokens: pd.DataFrame,
        features: NDArray[np.float32],
        batch: Batch,
        length: int,
        asked: list[int | None],
    ) -> pd.DataFrame:
        # A series without any token, beside this one.
        nothing = np.zeros_like(features)
        n_summaries = self.tokenizer_.sizes[2]
        nothing[-n_summaries:] = self._usual_summaries(n_summaries)
        kept, (values, zero), coef, intercept = self._linear(
            np.stack([features, nothing])
        )
        order = np.argsort(-(values @ coef + intercept), kind="stable").tolist()
        label, against = asked
        if label is None:
            label = next(i for i in order if i != against)
        if against is None:
            against = next(i for i in order if i != label)
        constant = zero @ coef + intercept
        contributions = torch.zeros(len(features), dtype=torch.float64)
        contributions[torch.from_numpy(kept)] = torch.from_numpy(
            (values - zero) * (coef[:, label] - coef[:, against])
        )
        at = self._by_axis(attribute(self.tokenizer_, batch, contributions).numpy())
        at[:, length - 1] += at[:, length:].sum(axis=1)  # of what continues a series
        found, uncovered = _by_token(tokens, at[:, :length])
        table = pd.concat(
            [
                tokens.assign(contribution=found),
                self._name_statistics(
                    kept, values - zero, coef[:, label] - coef[:, against]
                ),
                _placeless(range(len(at)), "between tokens", uncovered),
            ]
        )
        # What contributes nothing in no place need not be said.
        table = table[(table["start"] >= 0) | (table["contribution"] != 0)]
        table = table.sort_values("contribution", ascending=False, kind="stable")
        base = _placeless([-1], _CONSTANT, [constant[label] - constant[against]])
        table = pd.concat([table, base])
        table["case"] = tokens["case"].iloc[0]
        names = np.array([*self.channel_names_, ""], dtype=object)
        table.insert(1, "label", self.classes_[label])
        table.insert(2, "against", self.classes_[against])
        table.insert(4, "channel_name", names[table["channel"]])
        return table

    def _name_statistics(
        self,
        kept: NDArray[np.int64],
        values: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> pd.DataFrame:
        """Return rows of statistics, from chosen features less their means."""
        every = np.zeros((2, self.tokenizer_.n_features))
        every[:, kept] = values, weights
        blocks = *self.tokenizer_.layout[:3], 2, -1
        of_summaries = every[:, -self.tokenizer_.sizes[2] :].reshape(2, *blocks)
        shares, sizes = _statistics(*of_summaries)
        all_axes = self._axes()
        shares /= np.array([len(axes) for axes in all_axes])[:, None]
        least = _LEAST_NAMED * np.abs(shares).max()
        others = np.zeros(len(self.channel_names_))
        rows = []
        for axes, channel, own, size in zip(
            all_axes, self._channels, shares, sizes, strict=True
        ):
            is_named = np.abs(own) >= least
            others[list(axes)] += own[~is_named].sum()
            for i in np.flatnonzero(is_named):
                side = "higher" if size[i] > 0 else "lower"
                phrase = f"{_STATISTICS[i]} of {channel}, {side} than on average over "
                rows.append(_placeless(axes, f"{phrase}training", own[i]))
        phrases = [f"other statistics of {name}" for name in self.channel_names_]
        return pd.concat([*rows, _placeless(range(len(others)), phrases, others)])

    def _usual_summaries(self, n_summaries: int) -> NDArray[np.float32]:
        """Return means of levels and scales in training, as far as heads know them."""
        usual = np.zeros(self.tokenizer_.n_features, np.float32)
        if self.head == "network":
            assert self.model_ is not None
            usual[self.model_.kept.numpy()] = self.model_.mean.numpy()
        else:
            usual[self.kept_] = self.head_.scaler.mean
        return usual[-n_summaries:]

    def _by_axis(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Bring what channels of the tokenizer have to those of the input."""
        found = np.zeros((len(self.channel_names_), *values.shape[1:]))
        for axes, own in zip(self._axes(), values, strict=True):
            found[list(axes)] += own / len(axes)
        return found

    def _axes(self) -> list[tuple[int, ...]]:
        """Return which channels of the input each of the tokenizer comes from."""
        frame = self.tokenizer_.frame
        if not isinstance(frame, GravityFrame):
            return [(c,) for c in range(len(self.channel_names_))]
        added = [axes for axes in self.channel_groups_.values() for _ in frame.parts]
        return [*((c,) for c in frame.others), *added]


def _placeless(channels: Iterable[int], phrase: Any, contribution: Any) -> pd.DataFrame:
    """Return rows of what is in no place."""
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
    """Sum what summaries contribute by what people call it.

    Parameters
    ----------
    values, weights : ndarray of shape (n_channels, 2, n_lengths, 2, 9)
        Of summaries by view, length, and levels or scales: mean, deviation, and
        quantiles from least to greatest.

    Returns
    -------
    contributions, sizes : ndarray of shape (n_channels, 5)
        By `_STATISTICS`; sizes are above 0 where these are higher than usual.
    """
    values, weights = _location_and_spread(values), _location_and_spread(weights)
    contributions = np.einsum("cvdkln,vkls->cs", values * weights, _ABOUT)
    # Of the shortest windows, as long ones average over what is fast.
    return contributions, np.einsum("cvkln,vkls->cs", values[:, :, 0], _TELLS)


def _location_and_spread(summaries: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn pairs of quantiles to their sum and difference, which keeps products.

    Returns
    -------
    ndarray of shape (..., 2, 5)
        For location: mean, median and sums. For spread: deviation and differences; the
        second one is 0.
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
    """Sum what timepoints have over tokens; those of several tokens are shared.

    Returns
    -------
    by_token : ndarray of shape (n_tokens,)
    uncovered : ndarray of shape (n_channels,)
        Of timepoints that are in no token.
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
