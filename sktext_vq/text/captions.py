"""Captions of series, generated from statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from sktext_vq._utils.channels import split_axis
from sktext_vq._utils.validation import check_count, check_sampling_rate

from ..panel import rows_of_cases
from ._series import check_series
from ._statistics import channel_groups, min_regularity, speed_bounds, statistics

__all__ = ["SeriesCaptioner"]

_STRENGTH = ("very weak", "gentle", "moderate", "strong", "very strong")
# A group is called still if its strength is below this share of the median strength of
# the training series.
_STILL = 0.1
# Relative tolerance of comparisons with bounds.
_TOLERANCE = 1e-9
_BY_CHANNEL = ("level", "share", "deviation")  # other statistics are by group


class SeriesCaptioner(TransformerMixin, BaseEstimator):
    """Describe series in sentences about strength, rhythm, direction, trend and peaks.

    Channels whose names differ only in a final x, y or z form a group, which is
    described as a whole. Thresholds of strength, speed, jerk and level are quantiles of
    the training series. Captions are deterministic.

    Parameters
    ----------
    channel_names : sequence of str, default=None
        Name of each channel, such as ``"body_acc_x"``. By default, channels are
        numbered from 1.
    sampling_rate : float, default=None
        Sampling rate in Hz. If given, rhythms are described in cycles per second
        instead of cycles per recording.
    n_sentences : int or None, default=6
        Maximum number of sentences per series. The most informative sentences are
        selected. None selects all sentences.
    rephraser : callable, str or path, default=None
        Function that rephrases a sentence, or a local ``transformers`` text-generation
        model.

    Attributes
    ----------
    n_channels_ : int
        Number of channels seen during `fit`.
    groups_ : list of (str, list of int)
        Name and channel indices of each group.
    strength_thresholds_ : ndarray of shape (n_groups, 4)
        Thresholds of the standard deviation that separate the five words for strength.

    Notes
    -----
    Missing values are interpolated linearly. Captions mention missing values if their
    share is above 5 %.

    Examples
    --------
    >>> import numpy as np
    >>> from sktext_vq.text import SeriesCaptioner
    >>> time = np.arange(100) / 50
    >>> X = np.sin(2 * np.pi * 3 * time) * np.array([[1.0], [2.0], [9.0]])
    >>> captioner = SeriesCaptioner(channel_names=["acc_z"], sampling_rate=50)
    >>> print(captioner.fit_transform(X)[2])
    The acceleration z is very strong. The acceleration z has a regular rhythm of
    about 3 cycles per second.
    """

    def __init__(
        self,
        *,
        channel_names: Sequence[str] | None = None,
        sampling_rate: float | None = None,
        n_sentences: int | None = 6,
        rephraser: Any = None,
    ) -> None:
        self.channel_names = channel_names
        self.sampling_rate = sampling_rate
        self.n_sentences = n_sentences
        self.rephraser = rephraser

    def fit(self, X: Any, y: Any = None) -> SeriesCaptioner:
        """Compute the thresholds of strength, speed, jerk and level.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Training series; see :func:`~sktext_vq.panel.as_panel` for accepted types.
        y : Ignored
            Not used, present for API consistency.

        Returns
        -------
        SeriesCaptioner
            The fitted captioner.

        Raises
        ------
        ValueError
            If a parameter is invalid, or `channel_names` does not have one name per
            channel.
        """
        self._fit(X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> npt.NDArray[Any]:
        """Compute the thresholds, and return a caption for each series.

        The statistics of the series are computed once.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Training series; see :func:`~sktext_vq.panel.as_panel` for accepted types.
        y : Ignored
            Not used, present for API consistency.

        Returns
        -------
        ndarray of shape (n_cases,), dtype object
            Sentences about each series, separated by spaces.
        """
        return self._captions(self._sentences(self._fit(X)), X)

    def _fit(self, X: Any) -> dict[str, npt.NDArray[np.float64]]:
        """Compute the thresholds, and return the statistics of the series."""
        self._check_params()
        values, lengths = check_series(self, X, reset=True)
        names = self.channel_names
        if names is not None and len(names) != self.n_channels_:
            raise ValueError(
                f"channel_names has {len(names)} names for {self.n_channels_} "
                "channels. Pass one name per channel."
            )
        self.groups_ = channel_groups(names, self.n_channels_)
        found = statistics(values, lengths, self.groups_)
        quantiles = np.array([0.2, 0.4, 0.6, 0.8])
        self.strength_thresholds_ = np.quantile(found["strength"], quantiles, axis=0).T
        self._median_strength = np.median(found["strength"], axis=0)
        self._jerk_bounds = np.quantile(found["jerk"], [0.1, 0.9], axis=0)
        self._median_level = np.median(found["level"], axis=0)
        self._level_spread = _spread(found["level"])
        self._speed_bounds = speed_bounds(found)
        return found

    def fit_to_quantiles(
        self,
        mean: npt.NDArray[np.float64],
        scale: npt.NDArray[np.float64],
        usual: npt.NDArray[np.float64] | None,
    ) -> SeriesCaptioner:
        """Set the thresholds from statistics of the training series.

        Sentences about speed and jerk, which require other statistics, are omitted.

        Parameters
        ----------
        mean, scale : ndarray of shape (n_channels,)
            Mean and standard deviation of each channel.
        usual : ndarray of shape (2, 7, n_channels), optional
            Quantiles of the standard deviations of series, as in a fitted scaler.

        Returns
        -------
        SeriesCaptioner
            The fitted captioner.
        """
        self.n_channels_ = len(mean)
        self.groups_ = channel_groups(self.channel_names, self.n_channels_)
        levels = (0.1, 0.5, 0.9)
        sizes = np.ones((3, len(mean))) if usual is None else usual[0, 2:5]
        by_group = np.stack(
            [np.linalg.norm((sizes * scale)[:, own], axis=1) for _, own in self.groups_]
        )
        quantiles = (0.2, 0.4, 0.6, 0.8)
        self.strength_thresholds_ = np.stack(
            [np.interp(quantiles, levels, row) for row in by_group]
        )
        self._median_strength = by_group[:, 1]
        unbounded = np.array([[0.0, np.inf]] * len(self.groups_))
        self._jerk_bounds, self._speed_bounds = unbounded.T, unbounded
        self._median_level, self._level_spread = mean, scale
        return self

    def transform(self, X: Any) -> npt.NDArray[Any]:
        """Return a caption for each series.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series with the same number of channels as in `fit`, of any length.

        Returns
        -------
        ndarray of shape (n_cases,), dtype object
            Sentences about each series, separated by spaces.
        """
        return self._captions(self.sentences(X), X)

    def _captions(self, sentences: list[list[str]], X: Any) -> npt.NDArray[Any]:
        array = np.empty(len(sentences), dtype=object)
        array[:] = [" ".join(case) for case in sentences]
        return rows_of_cases(array, X, self)

    def sentences(self, X: Any) -> list[list[str]]:
        """Return the sentences about each series.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series with the same number of channels as in `fit`, of any length.

        Returns
        -------
        list of list of str
            Between 1 and `n_sentences` sentences per series.
        """
        check_is_fitted(self)
        return self.describe(*check_series(self, X, reset=False))

    def describe(self, values: npt.NDArray[Any], lengths: Any) -> list[list[str]]:
        """Return the sentences about validated series. For internal use.

        Parameters
        ----------
        values : ndarray of shape (n_cases, n_channels, n_timepoints)
            Series, padded with NaN.
        lengths : ndarray of shape (n_cases,)
            Length of each series.

        Returns
        -------
        list of list of str
            Sentences about each series.
        """
        found = statistics(values.astype(np.float64), lengths, self.groups_)
        return self._sentences(found)

    def _sentences(self, found: dict[str, Any]) -> list[list[str]]:
        """Return the sentences about series with the given statistics."""
        strength, limits = found["strength"][:, :, None], self.strength_thresholds_
        # The mean of both sides ranks a value common to all cases in the middle.
        below = (limits < strength * (1 - _TOLERANCE)).sum(axis=2)
        above = (limits <= strength * (1 + _TOLERANCE)).sum(axis=2)
        found["rank"] = (below + above) // 2
        found["deviation"] = self._deviation(found)
        sentences = [self._describe(found, case) for case in range(len(strength))]
        return sentences if self.rephraser is None else self._rephrase(sentences)

    def _deviation(self, found: dict[str, Any]) -> npt.NDArray[np.float64]:
        """Return the deviation of each channel from its usual level, in spreads."""
        offset, size = found["level"] - self._median_level, np.abs(self._median_level)
        floor = np.sqrt(found["share"])
        for g, (_, channels) in enumerate(self.groups_):
            floor[:, channels] *= 0.25 * found["strength"][:, [g]]
        # Ignore offsets that are small relative to the movement or rounding errors.
        offset[np.abs(offset) <= floor + 1e-9 * size] = 0.0
        spread = self._level_spread
        safe = np.where(spread > 0, spread, 1.0)
        return np.where(spread > 0, offset / safe, np.sign(offset) * 3)

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[Any]:
        """Return the name of the output feature.

        Parameters
        ----------
        input_features : Ignored
            Not used, present for API consistency.

        Returns
        -------
        ndarray of shape (1,), dtype object
            ``["caption"]``.
        """
        return np.array(["caption"], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _check_params(self) -> None:
        if self.channel_names is not None:
            if isinstance(self.channel_names, str):
                raise TypeError(
                    "channel_names must be a sequence of names, got a single string: "
                    f"{self.channel_names!r}."
                )
            for name in self.channel_names:
                if not isinstance(name, str) or not name.strip():
                    raise ValueError(
                        f"channel_names must contain non-empty strings, got {name!r}."
                    )
        check_sampling_rate(self.sampling_rate)
        if self.n_sentences is not None:
            check_count("n_sentences", self.n_sentences, least=1)

    def _describe(self, found: dict[str, Any], case: int) -> list[str]:
        scored: list[tuple[float, str]] = []
        ranks = []
        for g, (name, channels) in enumerate(self.groups_):
            row = {
                key: array[case, g]
                for key, array in found.items()
                if key not in _BY_CHANNEL
            }
            row |= {key: found[key][case, channels] for key in _BY_CHANNEL}
            ranks.append(row["rank"])
            scored += self._group_sentences(g, name, row)
        if len(self.groups_) > 1:
            word = _STRENGTH[round(float(np.mean(ranks)))]
            scored.insert(0, (np.inf, f"All in all the recording is {word}."))
        # Select the sentences with the highest scores, in their original order.
        best = sorted(range(len(scored)), key=lambda i: -scored[i][0])
        kept = sorted(best[: self.n_sentences])
        return [scored[i][1] for i in kept]

    def _group_sentences(
        self, g: int, name: str, row: dict[str, Any]
    ) -> list[tuple[float, str]]:
        axes, rank = self._axes(g), row["rank"]
        scored: list[tuple[float, str]] = []
        moving = bool(row["strength"] > _STILL * self._median_strength[g])
        if row["strength"] == 0:
            scored.append((3.5, f"The {name} is constant."))
        elif not moving:
            scored.append((3.2, f"The {name} is almost still."))
        else:
            along = ""
            top = int(np.argmax(row["share"]))
            if axes and row["share"][top] > 0.6:
                along = f", mostly along the {axes[top]} axis"
            scored.append(
                (1.0 + abs(rank - 2), f"The {name} is {_STRENGTH[rank]}{along}.")
            )
            scored.append(self._rhythm(g, name, row))
        scored += self._level(name, axes, row)
        if moving:
            scored += self._course(g, name, row)
        if row["missing"] > 0.05:
            share = "Most" if row["missing"] > 0.5 else "A part"
            scored.append((1.5, f"{share} of the {name} is missing."))
        return scored

    def _axes(self, g: int) -> list[str]:
        if self.channel_names is None or len(self.groups_[g][1]) < 2:
            return []
        found = [split_axis(self.channel_names[c]) for c in self.groups_[g][1]]
        axes = [each[1] for each in found if each is not None]
        # The norm of a sensor, which may be in the same group, has no axis.
        return axes if len(axes) == len(found) else []

    def _rhythm(self, g: int, name: str, row: dict[str, Any]) -> tuple[float, str]:
        regularity, cycles = row["regularity"], row["cycles"]
        if regularity < min_regularity(row["length"]):
            return 0.5, f"The {name} has no steady rhythm."
        kind = "regular" if regularity >= 0.6 else "loose"
        slow, fast = self._speed_bounds[g]
        per_step = cycles / row["length"]
        speed = _side(per_step, slow, fast, (" slow", "", " fast"))
        if self.sampling_rate is None:
            number, unit = cycles, "in the recording"
        else:
            number, unit = per_step * self.sampling_rate, "per second"
        count = f"{number:.2g}" if number < 0.95 else f"{round(number, 1):g}"
        cycle = "cycle" if count == "1" else "cycles"
        text = f"The {name} has a {kind}{speed} rhythm of about {count} {cycle} {unit}."
        return 1.0 + 2 * float(regularity), text

    def _level(
        self, name: str, axes: list[str], row: dict[str, Any]
    ) -> list[tuple[float, str]]:
        scored = []
        if axes and row["rest"] > 0.75:
            top = int(np.argmax(np.abs(row["level"])))
            sign = "positive" if row["level"][top] > 0 else "negative"
            text = f"The {name} rests on the {sign} {axes[top]} axis."
            scored.append((1.5, text))
        deviation = row["deviation"]
        top = int(np.argmax(np.abs(deviation)))
        if abs(deviation[top]) > 1:
            far = "far " if abs(deviation[top]) > 2 else ""
            side = "above" if deviation[top] > 0 else "below"
            where = f" along the {axes[top]} axis" if axes else ""
            text = f"The level of the {name}{where} is {far}{side} the usual one."
            scored.append((min(3.0, float(abs(deviation[top]))), text))
        return scored

    def _course(
        self, g: int, name: str, row: dict[str, Any]
    ) -> list[tuple[float, str]]:
        scored = []
        if abs(row["trend"]) > 0.6:
            verb = "rises" if row["trend"] > 0 else "falls"
            how = " steadily" if abs(row["trend"]) > 0.9 else ""
            scored.append((3 * abs(row["trend"]), f"The {name} {verb}{how} over time."))
        if row["crest"] > 4:
            count = int(row["peaks"])
            peaks = "one sharp peak" if count == 1 else f"{count} sharp peaks"
            scored.append((row["crest"] / 2, f"The {name} has {peaks}."))
        low, high = self._jerk_bounds[:, g]
        kinds = ("smooth with slow changes", "", "jerky with quick changes")
        kind = _side(row["jerk"], low, high, kinds)
        if kind:
            scored.append((1.2, f"The {name} is {kind}."))
        third = int(np.argmax(row["thirds"]))
        if row["thirds"][third] > 0.6 and row["length"] >= 3:
            when = ("at the start", "in the middle", "at the end")[third]
            share = float(row["thirds"][third])
            scored.append((2.5 * share, f"Most of the {name} happens {when}."))
        return scored

    def _rephrase(self, sentences: list[list[str]]) -> list[list[str]]:
        from ._llm import rephrase, text_generator

        generate = text_generator(self.rephraser, max_new_tokens=60)
        is_model = not callable(self.rephraser) or hasattr(self.rephraser, "model")
        unique = dict.fromkeys(sentence for case in sentences for sentence in case)
        other = {s: rephrase(generate, s, is_model=is_model) for s in unique}
        return [[other[sentence] for sentence in case] for case in sentences]


def _side(value: float, low: float, high: float, words: tuple[str, str, str]) -> str:
    """Return the word for a value below, between or above two bounds."""
    if value < low * (1 - _TOLERANCE):
        return words[0]
    return words[2] if value > high * (1 + _TOLERANCE) else words[1]


def _spread(levels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    low, high = np.quantile(levels, [0.16, 0.84], axis=0)
    return np.asarray(high / 2 - low / 2)
