"""Drawings of the series in a report, with tokens and their contributions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sktext_vq.classifier import VQTextClassifier
from sktext_vq.inspection._content import Answers, number, span, time
from sktext_vq.inspection._drawing import (
    LEAST_NAMED,
    MAX_POINTS,
    limits,
    lines,
    odds_factor,
    signed,
)
from sktext_vq.panel import Panel
from sktext_vq.transformer import VQTextTransformer

_MAX_CHANNELS = 32  # maximum number of channels drawn per series
_OPEN_CHANNELS = 3  # number of channels visible without a click
_N_TOKENS = 8  # number of tokens in the table of a series
_STRONGEST_TINT = 0.5  # opacity of the largest contribution
# Minimum width of a token for its code and its contribution, in percent of the width of
# a phone.
_ROOM_FOR_CODE, _ROOM_FOR_NUMBER = 5.5, 11.0
_MOST_BYTES = 3_500_000  # approximate maximum for all drawings
_BYTES_OF_POINT, _BYTES_OF_CHANNEL = 20, 2500


def limit_examples(panel: Panel, n_examples: int) -> int:
    """Return the number of cases to draw, limited by the size of the page."""
    n_points = min(panel.n_timepoints, MAX_POINTS) * _BYTES_OF_POINT
    size = min(panel.n_channels, _MAX_CHANNELS) * (n_points + _BYTES_OF_CHANNEL)
    return max(min(n_examples, max(_MOST_BYTES // size, 2)), 0)


def choose_cases(answers: Answers, n_cases: int, n_examples: int) -> list[int]:
    """Choose cases to draw, of which up to half are misclassified."""
    true, probabilities = answers.true, answers.probabilities
    predicted = answers.predicted
    if true is None:
        return list(range(min(n_cases, n_examples)))
    if probabilities is None or predicted is None:
        return _in_turns(range(n_cases), true.tolist())[:n_examples]
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    pairs = list(zip(true.tolist(), predicted.tolist(), strict=True))
    right = [case for case in order.tolist() if pairs[case][0] == pairs[case][1]]
    wrong = [case for case in order.tolist() if pairs[case][0] != pairs[case][1]]
    n_wrong = max(n_examples - len(right), n_examples // 2)
    cases = _in_turns(wrong, pairs)[:n_wrong] + _in_turns(right, pairs)
    return cases[:n_examples]


def _in_turns(cases: Iterable[int], kinds: Sequence[Any]) -> list[int]:
    """Order cases so that kinds alternate, in the order of their first case."""
    groups: dict[Any, list[int]] = {}
    for case in cases:
        groups.setdefault(kinds[case], []).append(case)
    return [
        case
        for turn in zip_longest(*groups.values())
        for case in turn
        if case is not None
    ]


def draw_cases(
    estimator: VQTextClassifier | VQTextTransformer,
    panel: Panel,
    answers: Answers,
    codes: list[dict[str, Any]],
    chosen: list[int],
) -> list[dict[str, Any]]:
    """Draw chosen cases with their tokens and contributions."""
    if not chosen:
        return []
    part = panel.take(chosen)
    tokens = estimator.tokens(part)
    rebuilt = estimator.reconstruct(part)
    explained = _explain(estimator, part, answers, chosen)
    by_case = dict(iter(tokens.groupby("case")))
    cases = []
    for i, case in enumerate(chosen):
        one = _OneCase(
            estimator,
            codes,
            part.values[i, :, : int(part.lengths[i])],
            rebuilt[i],
            by_case[i],
            explained[i],
        )
        cases.append({"case": case, **_predicted_classes(answers, case), **one.draw()})
    return cases


def _explain(
    estimator: Any, part: Panel, answers: Answers, chosen: list[int]
) -> list[pd.DataFrame | None]:
    """Explain predictions; compare wrong predictions with the true class."""
    right, true = answers.right, answers.true
    if right is None or true is None:
        return [None] * len(chosen)
    groups: dict[int | None, list[int]] = {}
    for i, case in enumerate(chosen):
        missed = not right[case] and true[case] < len(estimator.classes_)
        groups.setdefault(int(true[case]) if missed else None, []).append(i)
    explained: list[pd.DataFrame | None] = [None] * len(chosen)
    for missed_class, own in groups.items():
        against = None if missed_class is None else answers.labels[missed_class]
        table = estimator.explain(part.take(own), against=against)
        for i, rows in table.groupby("case"):
            explained[own[i]] = rows
    return explained


def _predicted_classes(answers: Answers, case: int) -> dict[str, Any]:
    """Return the true class of a case and its most probable classes."""
    known = answers.true is not None
    found: dict[str, Any] = {
        "label": answers.labels[answers.true[case]]
        if answers.true is not None
        else None,
        "known": known,
        "right": None,
        "likely": [],
    }
    if answers.right is None or answers.probabilities is None:
        return found
    probabilities = answers.probabilities[case]
    order = np.argsort(-probabilities, kind="stable")[:3]
    found["right"] = bool(answers.right[case])
    found["likely"] = [
        {"label": answers.labels[i], "probability": probabilities[i]}
        for i in order
        if i == order[0] or probabilities[i] >= 0.005
    ]
    return found


@dataclass(frozen=True, eq=False)
class _OneCase:
    """Case to draw."""

    estimator: VQTextClassifier | VQTextTransformer
    codes: list[dict[str, Any]]
    values: NDArray[Any]
    rebuilt: NDArray[np.float64]
    tokens: pd.DataFrame
    explained: pd.DataFrame | None

    def draw(self) -> dict[str, Any]:
        """Draw the channels, ordered by contribution, and make a table of tokens."""
        names = self.estimator.channel_names_
        placed, rest, decided = self._contributions()
        weight = dict.fromkeys(range(len(names)), 0.0)
        for (channel, *_), value in placed.items():
            weight[channel] += abs(value)
        order = sorted(weight, key=lambda channel: -weight[channel])[:_MAX_CHANNELS]
        most = max(map(abs, placed.values()), default=0.0) or 1.0
        channels = [self._channel(channel, placed, rest, most) for channel in order]
        return {
            "lasting": time(self.values.shape[1], self.estimator.sampling_rate),
            "shown": channels[:_OPEN_CHANNELS],
            "folded": channels[_OPEN_CHANNELS:],
            "n_left_out": max(0, len(names) - _MAX_CHANNELS),
            "decided": decided,
        }

    def _span(self, start: int, stop: int) -> str:
        return span(start, stop, self.estimator.sampling_rate)

    def _contributions(
        self,
    ) -> tuple[dict[tuple[int, ...], float], dict[int, float], dict[str, Any] | None]:
        """Return contributions of tokens and of channels, and a table of tokens."""
        table = self.explained
        if table is None:
            return {}, {}, None
        at = table["code"] >= 0
        tokens, others = table[at], table[~at]
        keys = tokens[["channel", "start", "length", "code"]].itertuples(index=False)
        placed = dict(zip(map(tuple, keys), tokens["contribution"], strict=True))
        rest = others.groupby("channel")["contribution"].sum().to_dict()
        by_size = tokens.sort_values(
            "contribution", key=lambda each: -each.abs(), kind="stable"
        )
        most = by_size["contribution"].abs().max() if len(by_size) else 1.0
        total = float(table["contribution"].sum())
        first = table.iloc[0]
        return (
            placed,
            rest,
            {
                "label": first["label"],
                "against": first["against"],
                "of_tokens": signed(tokens["contribution"].sum()),
                "of_channels": signed(sum(v for k, v in rest.items() if k >= 0)),
                "of_all": signed(rest.get(-1, 0.0)),
                "total": signed(total),
                "times": odds_factor(abs(total)),
                "ranked": (first["label"], first["against"])[
                    :: 1 if total >= 0 else -1
                ],
                "n_tokens": len(tokens),
                "tokens": [
                    self._token_row(row, most)
                    for row in by_size[:_N_TOKENS].to_dict("records")
                ],
            },
        )

    def _token_row(self, row: Mapping[Any, Any], most: float) -> dict[str, Any]:
        start, length = int(row["start"]), int(row["length"])
        return {
            "contribution": signed(row["contribution"]),
            "for": row["contribution"] >= 0,
            "share": abs(row["contribution"]) / (most or 1.0),
            "code": int(row["code"]),
            "words": row["phrase"],
            "channel": self.estimator.channel_names_[int(row["channel"])],
            "span": self._span(start, start + length),
        }

    def _channel(
        self,
        channel: int,
        placed: dict[tuple[int, ...], float],
        rest: dict[int, float],
        most: float,
    ) -> dict[str, Any]:
        values = self.values[channel]
        length = len(values)
        low, high = limits(values)
        own = self.tokens[self.tokens["channel"] == channel]
        keys = [
            (channel, int(start), int(lasting), int(code))
            for start, lasting, code in zip(
                own["start"], own["length"], own["code"], strict=True
            )
        ]
        # The last token may overlap the previous one.
        ends = [*(start for _, start, *_ in keys[1:]), length]
        segments = [
            self._segment(key, end, length, placed.get(key), most)
            for key, end in zip(keys, ends, strict=True)
        ]
        kinds = Counter(segment["kind"] for segment in segments)
        sums = None
        if self.explained is not None:
            sums = {
                "tokens": signed(sum(placed.get(key, 0.0) for key in keys)),
                "whole": signed(rest.get(channel, 0.0)),
            }
        return {
            "name": self.estimator.channel_names_[channel],
            "low": number(low),
            "high": number(high),
            "series": lines(values, low, high),
            "rebuilt": lines(self.rebuilt[channel, :length], low, high),
            "segments": segments,
            "kinds": ", ".join(f"{n} {kind}" for kind, n in kinds.most_common()),
            "sums": sums,
        }

    def _segment(
        self,
        key: tuple[int, ...],
        end: int,
        length: int,
        contribution: float | None,
        most: float,
    ) -> dict[str, Any]:
        """Return the code, contribution and position (in percent) of a token."""
        _, start, lasting, number_of_code = key
        code = self.codes[number_of_code]
        end = min(start + lasting, end)
        width = round(100 * (end - start) / length, 2)
        segment = {
            "code": code["code"],
            "words": code["words"],
            "kind": code["kind"],
            "colour": code["colour"],
            "span": self._span(start, end),
            "x": round(100 * start / length, 2),
            "width": width,
            "middle": round(100 * (start + end) / 2 / length, 2),
            "code_room": _room(width, _ROOM_FOR_CODE),
            "explained": None,
        }
        if contribution is not None:
            share = abs(contribution) / most
            segment["explained"] = {
                "contribution": signed(contribution),
                "for": contribution >= 0,
                "tint": f"{_STRONGEST_TINT * share:.2f}",
                "room": _room(width, _ROOM_FOR_NUMBER) if share >= LEAST_NAMED else "",
            }
        return segment


def _room(width: float, least: float) -> str:
    """Return the screens on which a number fits: "always", "wide", or "" for none."""
    if width >= least:
        return "always"
    return "wide" if width >= least / 2 else ""
