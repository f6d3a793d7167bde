"""Tables as Markdown, and the comparisons that are in them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

# Scores nearer than this are a tie: a thousandth of a case among a million.
_TIE = 1e-6


def markdown(columns: Sequence[Hashable], rows: Iterable[Sequence[Any]]) -> str:
    """Write a table; all columns but the first are numbers."""
    lines = [columns, ["---"] + ["--:"] * (len(columns) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def frame_markdown(frame: pd.DataFrame) -> str:
    """Write a data frame, whose index gives the first columns."""
    rows = frame.reset_index()
    return markdown(list(rows.columns), rows.itertuples(index=False))


def spread(mean: float, deviation: float = np.nan, digits: int = 3) -> str:
    """Write a number with its deviation after ±; "" or no ± where one is NaN."""
    if np.isnan(mean):
        return ""
    mean = round(mean, digits) + 0.0  # never -0
    if np.isnan(deviation):
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} ± {deviation:.{digits}f}"


def spread_of(values: pd.Series, digits: int = 3) -> str:
    """Write the mean ± standard deviation of values."""
    return spread(values.mean(), values.std(), digits)


def measures(
    parts: Mapping[tuple[str, ...], pd.DataFrame],
    titles: Mapping[str, str],
    digits: Mapping[str, int],
) -> str:
    """Write a row per measure and a column per part, with the number of seeds.

    Parameters
    ----------
    parts : mapping
        Results of each part, a row per seed.
    titles : mapping
        Title of each measure.
    digits : mapping
        Number of decimals, by default 3.
    """
    rows: list[list[Any]] = [["seeds", *map(len, parts.values())]]
    for column, title in titles.items():
        cells = [
            spread_of(own[column], digits.get(column, 3)) for own in parts.values()
        ]
        rows.append([title, *cells])
    return markdown(["", *map(", ".join, parts)], rows)


def spreads(groups: Any) -> pd.DataFrame:
    """Write mean ± standard deviation of each group and column of a groupby."""
    mean, deviation = groups.mean(), groups.std()
    cells = {name: list(map(spread, mean[name], deviation[name])) for name in mean}
    return pd.DataFrame(cells, mean.index)


def spread_table(
    frame: pd.DataFrame, rows: str | list[str], columns: str, value: str
) -> pd.DataFrame:
    """Return means ± standard deviations, in the order in which keys first appear.

    Cells without results are empty.
    """
    index = frame[rows].drop_duplicates()
    index = pd.MultiIndex.from_frame(index) if isinstance(rows, list) else index
    keys = [*rows, columns] if isinstance(rows, list) else [rows, columns]
    cells = spreads(frame.groupby(keys)[[value]])[value].unstack(columns)
    return cells.reindex(index=index, columns=frame[columns].unique()).fillna("")


def paired(values: pd.Series, base: pd.Series) -> dict[str, float]:
    """Return differences of scores of the same data sets, and wins, ties and losses.

    Sets that are missing in one of them are left out. The error is the standard error
    of the mean over sets.
    """
    difference = (values - base).dropna()
    return {
        "sets": len(difference),
        "mean": difference.mean(),
        "error": difference.std(ddof=1) / np.sqrt(max(len(difference), 1)),
        "wins": int((difference > _TIE).sum()),
        "ties": int((difference.abs() <= _TIE).sum()),
        "losses": int((difference < -_TIE).sum()),
    }


def compared(values: pd.Series, base: pd.Series, digits: int = 3) -> list[str]:
    """Write the mean difference of paired scores, and wins, ties and losses."""
    pair = paired(values, base)
    wins = f"{pair['wins']} / {pair['ties']} / {pair['losses']}"
    return [spread(pair["mean"], pair["error"], digits), wins]
