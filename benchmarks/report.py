"""Tables of results, as Markdown."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from estimators import BASELINE, ESTIMATORS
from figures import draw
from protocol import LARGE_SETS, RESULTS, SMALL_SETS
from scipy.stats import friedmanchisquare, wilcoxon
from variants import BASE, CONTROLS, PAIRS, VARIANTS

# Scores nearer than this are a tie: a thousandth of a case among a million.
_TIE = 1e-6


def markdown(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a table; all columns but the first are numbers."""
    lines = [columns, ["---"] + ["--:"] * (len(columns) - 1), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def spread(mean: float, deviation: float, digits: int = 3) -> str:
    """Write a number with what follows ±, if there is such a thing."""
    if np.isnan(mean):
        return ""
    mean = round(mean, digits) + 0.0  # never -0
    if np.isnan(deviation):
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} ± {deviation:.{digits}f}"


def paired(values: pd.Series, base: pd.Series) -> dict[str, float]:
    """Compare scores of the same data sets.

    Parameters
    ----------
    values, base : Series
        Scores by data set; sets that one of them lacks are left out.

    Returns
    -------
    dict
        Mean difference, its standard error over sets, wins, ties and losses.
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


def compared(values: pd.Series, base: pd.Series) -> list[str]:
    """Write the mean difference of paired scores, and wins, ties and losses."""
    pair = paired(values, base)
    wins = f"{pair['wins']} / {pair['ties']} / {pair['losses']}"
    return [spread(pair["mean"], pair["error"]), wins]


def suite_report(results: Path, names: Sequence[str] | None = None) -> str:
    """Write tables and figures of suite.csv, and of suite-aeon.csv if there is one.

    Parameters
    ----------
    results : Path
        Folder of the files.
    names : sequence of str, optional
        Estimators to compare; by default all.

    Returns
    -------
    str
        Markdown. Figures go to the folder ``figures`` in that of the results.
    """
    files = suite_files(results)
    frame = pd.concat(map(pd.read_csv, files), ignore_index=True)
    names = [name for name in names or ESTIMATORS if name in set(frame["estimator"])]
    frame = frame[frame["estimator"].isin(names)]
    text = "# Suite\n"
    for title, part in (
        ("Official parts", frame[frame["split"] == 0]),
        ("Resamples", frame[frame["split"] > 0]),
    ):
        if len(part):
            text += f"\n## {title}\n\n{_comparison(part, names, results, title)}\n"
    return f"{text}\n## Versions\n\n{_versions(files)}\n"


def suite_files(results: Path) -> list[Path]:
    """Return what the suite has written: by this environment, and by that of aeon."""
    files = [results / "suite.csv", results / "suite-aeon.csv"]
    return [path for path in files if path.exists()]


def _comparison(
    frame: pd.DataFrame, names: Sequence[str], results: Path, title: str
) -> str:
    """Write means, tests, figures and a table of sets, for splits of one kind."""
    done = frame[frame["status"] == "done"]
    by_split = _means(done, "accuracy", ["set", "split"])
    splits = pd.MultiIndex.from_frame(frame[["set", "split"]]).unique()
    by_split = by_split.reindex(index=splits, columns=names)
    shared = _with_shared_splits(by_split)
    text = ""
    if len(shared):
        is_shared = pd.MultiIndex.from_frame(done[["set", "split"]]).isin(shared.index)
        rows = done[is_shared & done["estimator"].isin(shared.columns)]
        by_set = _means(rows, "accuracy")
        by_set = by_set[by_set.rank(axis=1, ascending=False).mean().sort_values().index]
        text += (
            f"Means of the {len(by_set)} sets that all have: "
            f"{', '.join(by_set.index)}.\n\n"
            f"{_overall(rows, by_set)}\n\n{_OVERALL_NOTE}\n\n"
        )
        if min(by_set.shape) > 1:
            p = holm(by_set)
            text += _tests(by_set, p)
            seconds = _means(rows, "fit_seconds") + _means(rows, "predict_seconds")
            folder = results / "figures"
            for what, path in draw(by_set, p, seconds.sum(), folder, title):
                text += f"![{what}]({path.relative_to(results).as_posix()})\n\n"
    text += _missing(frame, by_split)
    cells = done.groupby(["set", "estimator"])["accuracy"].agg(["mean", "std"])
    names = [name for name in names if name in set(done["estimator"])]
    table = [
        [name, *(spread(*_cell(cells, (name, estimator))) for estimator in names)]
        for name in dict.fromkeys([*SMALL_SETS, *LARGE_SETS, *frame["set"]])
        if name in set(frame["set"])
    ]
    return (
        f"{text}### Each set\n\n{markdown(['accuracy', *names], table)}\n\n"
        "Mean ± standard deviation over seeds and splits."
    )


def _with_shared_splits(by_split: pd.DataFrame) -> pd.DataFrame:
    """Return splits that all estimators have, but for those with the fewest.

    These are left out one by one only where there would be no such split.
    """
    counts = by_split.notna().sum().sort_values(kind="stable")
    counts = counts[counts > 0]
    for first in range(len(counts)):
        kept = [name for name in by_split if name in counts.index[first:]]
        shared = by_split[kept].dropna()
        if len(shared):
            return shared
    return by_split.iloc[:0]


def _means(
    rows: pd.DataFrame, column: str, by: Sequence[str] = ("set",)
) -> pd.DataFrame:
    """Return means by set, with a column per estimator; each split counts alike."""
    by_split = rows.groupby(["set", "split", "estimator"])[column].mean()
    return by_split.groupby([*by, "estimator"]).mean().unstack()


def _missing(frame: pd.DataFrame, by_split: pd.DataFrame) -> str:
    """Name what is missing, and why."""
    other = frame[frame["status"] != "done"]
    reasons = other.groupby(["set", "estimator"])["status"].first()
    never = [name for name in by_split if name not in set(frame["estimator"])]
    lines = [f"- all sets: {', '.join(never)} (not run)\n"] if never else []
    for name, scores in by_split.drop(columns=never).groupby(level="set", sort=False):
        lacking = [
            f"{estimator}{' in part' if scores[estimator].notna().any() else ''} "
            f"({reasons.get((name, estimator), 'not run')})"
            for estimator in scores
            if scores[estimator].isna().any() or (name, estimator) in reasons
        ]
        if lacking:
            lines.append(f"- {name}: {', '.join(lacking)}\n")
    return f"{_MISSING_NOTE}\n\n{''.join(lines)}\n" if lines else ""


def _cell(table: pd.DataFrame, key: Any) -> tuple[float, float]:
    if key not in table.index:
        return float("nan"), float("nan")
    return tuple(table.loc[key])


# Columns of suite.csv that have means over sets, what they are called, and digits.
_SCORES = {
    "balanced_accuracy": ("balanced accuracy", 3),
    "macro_f1": ("macro-F1", 3),
    "log_loss": ("log-loss", 3),
    "calibration_error": ("calibration error", 3),
}
_MISSING_NOTE = (
    "Missing. Means are over those splits of sets that all estimators have; estimators "
    "that have none at all, or none that the others have, are left out:"
)
_OVERALL_NOTE = (
    "± after an accuracy is the standard deviation over seeds, and after a difference "
    "the standard error over sets. Rank 1 is the best on all sets. Wins, ties and "
    f"losses are sets, against {BASELINE}. Seconds are sums over sets, and only rough: "
    "cost.md has those that were measured with care. MiB are what fit and prediction "
    "took beside the data, on the set where it was most."
)


def _overall(rows: pd.DataFrame, by_set: pd.DataFrame) -> str:
    """Write one row per estimator, the best by ranks first."""
    ranks = by_set.rank(axis=1, ascending=False).mean()
    means = {column: _means(rows, column).mean() for column in _SCORES}
    seconds = {
        column: _means(rows, column).sum()
        for column in ("fit_seconds", "predict_seconds")
    }
    peaks = rows.groupby("estimator")["peak_mib"].max()
    table = []
    for name in by_set:
        seeds = means_by_seed(rows[rows["estimator"] == name])
        versus = ["", ""]
        if name != BASELINE and BASELINE in by_set:
            versus = compared(by_set[name], by_set[BASELINE])
        table.append(
            [
                name,
                len(seeds),
                f"{ranks[name]:.2f}",
                spread(by_set[name].mean(), seeds.std()),
                *versus,
                *(
                    spread(means[column][name], np.nan, digits)
                    for column, (_, digits) in _SCORES.items()
                ),
                *(f"{total[name]:.1f}" for total in seconds.values()),
                f"{peaks[name]:.0f}",
            ]
        )
    columns = [
        "estimator",
        "seeds",
        "rank",
        "accuracy",
        f"difference to {BASELINE}",
        "wins / ties / losses",
        *(title for title, _ in _SCORES.values()),
        "fit seconds",
        "predict seconds",
        "most MiB",
    ]
    return markdown(columns, table)


def means_by_seed(own: pd.DataFrame) -> pd.Series:
    """Return the mean over sets for each seed that has all sets and splits."""
    complete = own.groupby("seed").size() == len(
        own[["set", "split"]].drop_duplicates()
    )
    by_set = own.groupby(["seed", "set"])["accuracy"].mean()
    return by_set.groupby("seed").mean()[complete]


def _tests(by_set: pd.DataFrame, p: pd.DataFrame) -> str:
    """Write tests of differences between estimators."""
    table = [
        [name, *(_p_value(p.loc[name, other]) for other in list(by_set)[:i])]
        + [""] * (by_set.shape[1] - i)
        for i, name in enumerate(by_set)
    ]
    text = (
        "Wilcoxon's signed-rank tests of all pairs over sets, with the correction of "
        f"Holm:\n\n{markdown(['p', *by_set], table)}\n\n"
    )
    if by_set.shape[1] > 2:
        friedman = friedmanchisquare(*by_set.to_numpy().T).pvalue
        text += f"Friedman's test of all at once: {_p_value(friedman)}.\n\n"
    return text


def holm(by_set: pd.DataFrame) -> pd.DataFrame:
    """Test all pairs of estimators by Wilcoxon's signed ranks, corrected by Holm.

    Ties are split between both sides, as in Demšar (JMLR 2006).

    Parameters
    ----------
    by_set : DataFrame
        Scores, with a row per set and a column per estimator.

    Returns
    -------
    DataFrame
        p-values, with a row and a column per estimator.
    """
    pairs = list(combinations(by_set, 2))
    raw = np.array(
        [
            wilcoxon((by_set[a] - by_set[b]).round(6), zero_method="zsplit").pvalue
            for a, b in pairs
        ]
    )
    order = np.argsort(raw)
    factors = np.arange(len(pairs), 0, -1)
    found = pd.DataFrame(1.0, by_set.columns, by_set.columns)
    steps = np.maximum.accumulate(raw[order] * factors).clip(max=1)
    for i, p in zip(order, steps, strict=True):
        a, b = pairs[i]
        found.loc[a, b] = found.loc[b, a] = p
    return found


def _p_value(p: float) -> str:
    return "" if np.isnan(p) else "< .001" if p < 0.001 else f"{p:.3f}"


def _versions(files: Iterable[Path]) -> str:
    """Write what the rows of each file were made with."""
    lines = []
    for path in files:
        beside = path.with_suffix(".environment.json")
        facts = json.loads(beside.read_text(encoding="utf-8"))
        versions = {**facts.pop("versions"), **facts}
        told = [
            f"{key} {value}" for key, value in versions.items() if value is not None
        ]
        lines.append(f"- {path.name}: {', '.join(told)}")
    return "\n".join(lines)


def _by_number(value: str) -> tuple[float, str]:
    """Key that sorts numbers and fractions by size, and words after them."""
    try:
        return float(Fraction(value)), ""
    except ValueError:
        return np.inf, value


def choices_report(results: Path) -> str:
    """Write the table of choices.csv."""
    frame = pd.read_csv(results / "choices.csv", dtype={"value": str})
    beside = results / "choices.environment.json"
    defaults = json.loads(beside.read_text(encoding="utf-8"))["defaults"]
    by_set = frame.groupby(["option", "value", "set"])[
        ["accuracy", "n_features"]
    ].mean()
    base = by_set.loc[("default", "default")]
    rows = []
    for option, default in defaults.items():
        others = set(frame.loc[frame["option"] == option, "value"])
        for value in sorted({*others, default}, key=_by_number):
            is_default = value == default
            own = base if is_default else by_set.loc[(option, value)]
            row = [f"{option} = {value}", len(own), f"{own['accuracy'].mean():.4f}"]
            if is_default:
                row += ["default", ""]
            else:
                pair = paired(own["accuracy"], base["accuracy"])
                row += [
                    spread(pair["mean"], pair["error"], 4),
                    f"{pair['wins']} / {pair['ties']} / {pair['losses']}",
                ]
            rows.append([*row, f"{own['n_features'].mean():.0f}"])
    columns = [
        "option",
        "sets",
        "accuracy",
        "difference to default",
        "wins / ties / losses",
        "features",
    ]
    return (
        "# How defaults were chosen\n\n"
        "Accuracy in cross-validation inside the training parts, mean over sets and "
        f"seeds {sorted(frame['seed'].unique().tolist())}. ± is the standard error of "
        "the difference over sets. One option is changed at a time.\n\n"
        f"{markdown(columns, rows)}\n"
    )


# Columns of ablation.csv, what they are called, and whether more is better.
_ABLATION = {
    "network_accuracy": ("network accuracy", True),
    "network_macro_f1": ("network macro-F1", True),
    "ridge_accuracy": ("ridge accuracy", True),
    "ridge_macro_f1": ("ridge macro-F1", True),
    "similarity": ("similarity", True),
    "affinity": ("affinity", True),
    "explained": ("explained", True),
    "signal_perplexity": ("signal perplexity", False),
    "text_perplexity": ("text perplexity", False),
    "overlap": ("overlap", False),
    "epochs": ("epochs", False),
    "fit_seconds": ("fit seconds", False),
}


def ablation_report(results: Path) -> str:
    """Write tables of ablation.csv."""
    frame = pd.read_csv(results / "ablation.csv")
    text = (
        "# Ablation\n\n"
        "Network and ridge are the two heads of one fit. Similarity and affinity are "
        'accuracies of the class found from "a person CLASS", a wording that training '
        "has not seen, by cosines in the workspace and by use of the codes. Explained "
        "is the share of the variance of test series that their tokens rebuild. "
        "Perplexities are shares of the codes. With codes as they are, losses and text "
        "reach the network head by the epoch that training stops at, and by nothing "
        "else but distillation.\n\n"
        f"The row {BASE} has means over sets, all others differences to it: ± is the "
        "standard error over sets, of means over seeds, and in brackets are sets that "
        "are better / worse. Rows with / are differences to what follows it.\n"
    )
    for task in frame["task"].unique():
        own = frame[frame["task"] == task]
        text += f"\n## Task: {task}\n\n{_differences(own)}\n"
    for (task, name), own in frame.groupby(["task", "set"], sort=False):
        text += f"\n## {name}, {task}\n\n{_absolute(own)}\n"
    written = frame.dropna(subset="explained_text")
    if len(written):
        by = written.groupby(["task", "set", "variant"])["explained_text"]
        rows = [
            [", ".join(key), spread(*row)]
            for key, row in by.agg(["mean", "std"]).iterrows()
        ]
        text += f"\n## Series by way of text\n\n{markdown(['', 'explained'], rows)}\n"
    return f"{text}\nIn tables of a set, ± is the standard deviation over seeds.\n"


def ablation_table(results: Path) -> str:
    """Write what losses, parts and texts change on the full task, in short."""
    frame = pd.read_csv(results / "ablation.csv")
    shown = ("network_accuracy", "ridge_accuracy", "similarity", "fit_seconds")
    return _differences(frame[frame["task"] == "full"], shown)


def _differences(frame: pd.DataFrame, shown: Sequence[str] = tuple(_ABLATION)) -> str:
    """Write one row per variant, as paired differences over sets and seeds."""
    values = frame.set_index(["variant", "set", "seed"]).sort_index()
    known = set(frame["variant"])
    pairs = [(name, BASE) for name in VARIANTS if name != BASE] + list(PAIRS)
    rows = []
    if BASE in known:
        means = values.loc[BASE].groupby("set")[list(shown)].mean()
        cells = [spread(means[column].mean(), np.nan) for column in shown]
        rows.append([BASE, len(means), *cells])
    for name, base in pairs:
        if not {name, base} <= known:
            continue
        cells, n_sets = [], 0
        for column in shown:
            _, more_is_better = _ABLATION[column]
            both = pd.concat(
                [values.loc[name, column], values.loc[base, column]], axis=1
            ).dropna()
            by_set = both.groupby("set").mean()
            pair = paired(by_set.iloc[:, 0], by_set.iloc[:, 1])
            cell = spread(pair["mean"], pair["error"])
            if cell and more_is_better:
                cell += f" ({pair['wins']} / {pair['losses']})"
            cells.append(cell)
            n_sets = max(n_sets, pair["sets"])
        rows.append([name if base == BASE else f"{name} / {base}", n_sets, *cells])
    return markdown(["variant", "sets", *_titles(shown)], rows)


def _absolute(frame: pd.DataFrame) -> str:
    """Write the default and controls, for one task and set."""
    by = frame.groupby("variant")[list(_ABLATION)]
    mean, deviation = by.mean(), by.std()
    rows = [
        [name, *map(spread, mean.loc[name], deviation.loc[name])]
        for name in (BASE, *CONTROLS)
        if name in mean.index
    ]
    return markdown(["variant", *_titles()], rows)


_CROSSMODAL = {
    "similarity": "class by similarity",
    "affinity": "class by codes",
    "series_to_caption": "series to caption",
    "text_to_series": "text to series",
    "signal_perplexity": "perplexity, signal",
    "text_perplexity": "perplexity, text",
    "overlap": "overlap",
    "explained": "explained",
    "explained_text": "explained, by digits",
    "accuracy": "accuracy",
    "fit_seconds": "fit seconds",
    "peak_gib": "peak GiB",
}


def crossmodal_report(results: Path) -> str:
    """Write the table of crossmodal.csv."""
    return (
        "# Series and texts\n\n"
        "Mean ± standard deviation over seeds. *Class* of a test series among the "
        'sentences "a person CLASS", a wording that is not trained on: by cosine in '
        "the workspace, and by the Hellinger affinity of codes. *Series to caption*, "
        "*text to series*: recall@10 among 800 test series and their captions; chance "
        "is .0125. *Explained*: share of the variance of test series, from their "
        "tokens and by way of digits.\n\n"
        f"{crossmodal_table(results)}\n"
    )


def crossmodal_table(results: Path) -> str:
    """Write what series and texts share, a column per variant."""
    frame = pd.read_csv(results / "crossmodal.csv")
    parts = dict(list(frame.groupby(["set", "variant"], sort=False)))
    rows: list[list[object]] = [["seeds", *(len(part) for part in parts.values())]]
    for column, title in _CROSSMODAL.items():
        digits = {"fit_seconds": 0, "peak_gib": 2}.get(column, 3)
        rows.append(
            [
                title,
                *(
                    spread(part[column].mean(), part[column].std(), digits)
                    for part in parts.values()
                ),
            ]
        )
    return markdown(["", *map(", ".join, parts)], rows)


def zero_shot_report(results: Path) -> str:
    """Write the table of zero_shot.csv."""
    return (
        "# Classes without recordings\n\n"
        "Accuracy among the unseen classes alone, and the harmonic mean H of "
        "accuracies on test series of seen and of unseen classes, where all classes "
        "are candidates. Mean ± standard deviation over splits of the classes.\n\n"
        f"{zero_shot_table(results)}\n"
    )


def zero_shot_table(results: Path) -> str:
    """Accuracy and H of each method on each set."""
    frame = pd.read_csv(results / "zero_shot.csv")
    names = list(dict.fromkeys(frame["set"]))
    columns = ["method"]
    chance = ["chance"]
    for name in names:
        own = frame[frame["set"] == name]
        columns += [f"{name}, {own['split'].nunique()} splits", "H"]
        chance += [f"{1 / (1 + own['unseen'].iloc[0].count(';')):.3f}", ""]
    rows = [chance]
    for method in dict.fromkeys(frame["method"]):
        row = [method]
        for name in names:
            own = frame[(frame["set"] == name) & (frame["method"] == method)]
            for value in ("unseen_only", "harmonic_mean"):
                row.append(spread(own[value].mean(), own[value].std()))
        rows.append(row)
    return markdown(columns, rows)


def search_report(results: Path) -> str:
    """Write the table of search.csv."""
    return (
        "# Search of recordings by names of classes\n\n"
        "Average precision, a mean over people, and the least of them.\n\n"
        f"{search_table(results)}\n"
    )


def search_table(results: Path) -> str:
    """Average precision for each class, with and without recordings of it."""
    frame = pd.read_csv(results / "search.csv")
    rows = []
    for (name, label), own in frame.groupby(["set", "class"], sort=False):
        cells = []
        for recorded in (True, False):
            row = own[own["recorded"] == recorded].iloc[0]
            cells.append(f"{row['average_precision']:.3f} ({row['least']:.3f})")
        rows.append([name, label, f"{own['chance'].iloc[0]:.3f}", *cells])
    return markdown(
        ["set", "class", "chance", "with recordings", "without recordings"], rows
    )


def faithfulness_report(results: Path) -> str:
    """Write the table of faithfulness.csv."""
    return (
        "# Explanations\n\n"
        "How much less probable the predicted class is when the tokens with the "
        "largest contributions are missing; when as many random tokens are; and when "
        "stretches at random places are that are as long as the former. Mean over test "
        "series and seeds.\n\n"
        f"{faithfulness_table(results)}\n"
    )


def faithfulness_table(results: Path) -> str:
    """Drops of probability, and how many times as large they are as random ones."""
    frame = pd.read_csv(results / "faithfulness.csv")
    rows = []
    for (name, n), own in frame.groupby(["set", "deleted"], sort=False):
        drop = own["drop"].mean()
        cells = [f"{own['probability'].mean():.3f}", f"{drop:.3f}"]
        for control in ("random_tokens", "random_stretches"):
            other = own[control].mean()
            cells.append(f"{other:.3f} ({drop / max(other, 1e-3):.1f})")
        rows.append([name, n, *cells])
    columns = [
        "set",
        "tokens",
        "probability",
        "drop",
        "random tokens (times)",
        "random stretches (times)",
    ]
    return markdown(columns, rows)


def naming_report(results: Path) -> str:
    """Write the table of naming.csv."""
    return (
        "# Names of codes\n\n"
        "Share of the names given on the training part that the test part agrees with, "
        "and of the same names dealt to random codes; mean over seeds. *Class* is the "
        "class of most lift where its confidence is high enough, *sentence* the one of "
        'all "a person CLASS" that speaks of the code most.\n\n'
        f"{naming_table(results)}\n"
    )


def naming_table(results: Path) -> str:
    """How many codes have names, and how many of these are right."""
    frame = pd.read_csv(results / "naming.csv")
    rows = []
    for key, own in frame.groupby(["set", "kind"], sort=False):
        named, codes = own["named"].mean(), own["codes"].mean()
        right = spread(own["right"].mean(), own["right"].std(), 2)
        chance = spread(own["by_chance"].mean(), np.nan, 2)
        rows.append([*key, f"{named:.0f} of {codes:.0f}", right, chance])
    return markdown(["set", "name", "named", "right", "by chance"], rows)


def pretrain_report(results: Path) -> str:
    """Write the table of pretrain.csv."""
    return (
        "# Few labels, with what another data set taught\n\n"
        "Accuracy on test cases after ten cases of each class, mean ± standard "
        "deviation over seeds, which draw the cases; and the mean over sets of the "
        "difference to the same method without pretraining, with its standard error "
        "over seeds.\n\n"
        f"{pretrain_table(results)}\n"
    )


def pretrain_table(results: Path) -> str:
    """Accuracy of each method on each set, and what pretraining changes."""
    frame = pd.read_csv(results / "pretrain.csv")
    names = list(dict.fromkeys(frame["set"]))
    by_seed = frame.pivot_table(
        index=["method", "seed"], columns="set", values="accuracy", sort=False
    ).mean(axis=1, skipna=False)
    rows = []
    for method, own in frame.groupby("method", sort=False):
        cells = own.groupby("set")["accuracy"].agg(["mean", "std"])
        base, _, pretrained = str(method).partition(", ")
        change = ""
        if pretrained:
            difference = (by_seed[method] - by_seed[base]).dropna()
            error = difference.std() / np.sqrt(max(len(difference), 1))
            change = spread(difference.mean(), error)
        rows.append(
            [
                method,
                *(spread(*_cell(cells, name)) for name in names),
                change,
            ]
        )
    return markdown(["method", *names, "difference"], rows)


_SHIFT = (
    "MotionSense to UCI-HAR",
    "UCI-HAR to MotionSense",
    "5 per class",
    "10 per class",
    "20 per class",
    "long tail",
)


def shift_report(results: Path) -> str:
    """Write the tables of shift.csv."""
    return (
        "# Shift\n\n"
        "Macro-F1 on test parts, mean ± standard deviation over seeds, which draw the "
        "training cases.\n\n## Other recordings, and few cases\n\n"
        f"{shift_table(results)}\n\n"
        "From one set to the other: the five classes, and total acceleration and "
        "rotation rate, that both have; nothing of the target is fitted to. The "
        "other columns are MotionSense. Its long tail has from 200 to 2 training "
        "cases of a class, and all methods weigh classes alike there.\n"
        "\n## Damaged test series\n\n"
        f"{damage_table(results)}\n\n"
        "MotionSense, 200 training cases of each class, which are not damaged. "
        "One fit for all columns; the mean is over all but the first.\n"
    )


def shift_table(results: Path) -> str:
    """Macro-F1 of each method from one set to another, and after few cases."""
    frame = pd.read_csv(results / "shift.csv")
    tasks = [task for task in _SHIFT if task in set(frame["task"])]
    return _methods_by_task(frame[frame["task"].isin(tasks)], tasks)


def damage_table(results: Path) -> str:
    """Macro-F1 of each method on damaged series, and the mean of a complete row."""
    frame = pd.read_csv(results / "shift.csv")
    frame = frame[~frame["task"].isin(_SHIFT)]
    tasks = sorted(dict.fromkeys(frame["task"]), key=lambda task: task != "clean")
    by_fit = frame[frame["task"] != "clean"].pivot(
        index=["method", "seed"], columns="task", values="macro_f1"
    )
    means = by_fit.mean(axis=1, skipna=False).rename("macro_f1").reset_index()
    return _methods_by_task(
        pd.concat([frame, means.assign(task="mean")]), [*tasks, "mean"]
    )


def gaps_report(results: Path) -> str:
    """Write the table of gaps.csv."""
    return (
        "# Gaps\n\n"
        "Accuracy, mean ± standard deviation over seeds, which draw the gaps. At most "
        "1,000 training and 1,000 test cases, evenly spread. First numbers: test "
        "series with gaps after training without; second ones: after training with "
        "gaps of the same kind.\n\n"
        f"{gaps_table(results)}\n"
    )


def gaps_table(results: Path) -> str:
    """Accuracy of each method by set and kind of gaps, by what was trained on."""
    frame = pd.read_csv(results / "gaps.csv")
    kinds = list(dict.fromkeys(frame["gaps"]))
    by = frame.groupby(["set", "method", "gaps", "training"])["accuracy"]
    table = by.agg(["mean", "std"])
    rows = []
    for name, method in dict.fromkeys(zip(frame["set"], frame["method"], strict=True)):
        cells = []
        for kind in kinds:
            trained = ["clean"] if kind == "none" else ["clean", "with gaps"]
            keys = [(name, method, kind, each) for each in trained]
            cells.append(" / ".join(spread(*table.loc[key]) for key in keys))
        rows.append([name, method, *cells])
    return markdown(["set", "method", *kinds], rows)


def drift_report(results: Path) -> str:
    """Write the table of drift.csv."""
    return (
        "# Drift\n\n"
        "Share of draws of so many windows, of one person and class and (in brackets) "
        "of anyone, for which there is a `DriftWarning`.\n\n"
        f"{drift_table(results)}\n"
    )


def drift_table(results: Path) -> str:
    """Share of draws with a warning by fault, set and number of windows."""
    frame = pd.read_csv(results / "drift.csv", keep_default_na=False)
    frame = frame[(frame["people"] == "test") & (frame["names"] == "known")]
    columns = list(
        dict.fromkeys(zip(frame["set"], frame["windows"].astype(int), strict=True))
    )
    columns.sort()
    shares = frame.set_index(["fault", "set", "windows", "of"])["noticed"]
    rows = []
    for fault in dict.fromkeys(frame["fault"]):
        cells = []
        for column in columns:
            cell = f"{shares[fault, *column, 'one person and class']:.3f}"
            if (fault, *column, "mixed") in shares.index:
                cell += f" ({shares[fault, *column, 'mixed']:.3f})"
            cells.append(cell)
        rows.append([fault, *cells])
    return markdown(["fault", *(f"{name}, {n}" for name, n in columns)], rows)


def _methods_by_task(frame: pd.DataFrame, tasks: Sequence[str]) -> str:
    methods = sorted(set(frame["method"]), key=lambda name: (name[:4] != "ours", name))
    by = frame.groupby(["method", "task"])["macro_f1"]
    table = by.agg(["mean", "std"]).reindex(
        pd.MultiIndex.from_product([methods, tasks])
    )
    rows = [
        [method, *(spread(*table.loc[(method, task)]) for task in tasks)]
        for method in methods
    ]
    return markdown(["method", *tasks], rows)


def _titles(columns: Iterable[str] = _ABLATION) -> list[str]:
    return [_ABLATION[column][0] for column in columns]


def cost_report(results: Path) -> str:
    """Write tables of cost.csv, and of the other files that cost.py writes."""
    sections = {
        "cost": ("Seconds", speed_table),
        "memory": ("Memory", memory_table),
        "linearity": ("Growth", linearity_table),
        "tokenise": ("Tokens", tokenise_table),
        "limit": ("The limit of arithmetic", limit_table),
        "large": ("Many windows", large_table),
    }
    text = "# Cost\n"
    for name, (title, table) in sections.items():
        path = results / f"{name}.csv"
        if path.exists():
            text += f"\n## {title}\n\n{table(pd.read_csv(path))}\n"
    return text


def speed_table(frame: pd.DataFrame) -> str:
    """Write medians of seconds, and their ratio to those of MiniRocket."""
    keys = ["set", "threads", "estimator"]
    medians = frame.groupby(keys)[["fit_seconds", "predict_seconds", "accuracy"]]
    repeats = medians.size()
    medians = medians.median()
    rows = []
    for (name, threads, estimator), row in medians.iterrows():
        ratios = ["", ""]
        if (name, threads, BASELINE) in medians.index:
            ratio = row / medians.loc[(name, threads, BASELINE)]
            ratios = [f"{ratio['fit_seconds']:.2f}", f"{ratio['predict_seconds']:.2f}"]
        rows.append(
            [
                f"{name}, {estimator}",
                threads,
                repeats[(name, threads, estimator)],
                f"{row['fit_seconds']:.1f}",
                ratios[0],
                f"{row['predict_seconds']:.2f}",
                ratios[1],
                f"{row['accuracy']:.3f}",
            ]
        )
    columns = [
        "set, estimator",
        "threads",
        "repeats",
        "fit seconds",
        f"/ {BASELINE}",
        "predict seconds",
        f"/ {BASELINE}",
        "accuracy",
    ]
    return (
        f"{markdown(columns, rows)}\n\nMedians of repeats that took turns, after a "
        "warm-up. Each repeat has another seed."
    )


def memory_table(frame: pd.DataFrame) -> str:
    """Write peaks of memory, in MiB."""
    rows = [
        [
            f"{row['set']}, {row['estimator']}",
            f"{row['imports_mib']:.0f}",
            f"{row['start_mib']:.0f}",
            f"{row['fit_mib']:.0f}",
            f"{row['predict_mib']:.0f}",
            f"{row['predict_mib'] - row['start_mib']:.0f}",
        ]
        for _, row in frame.iterrows()
    ]
    columns = [
        "peak, MiB",
        "after imports",
        "with data, after warm-up",
        "after fit",
        "after predict",
        "fit and predict alone",
    ]
    return markdown(columns, rows)


def linearity_table(frame: pd.DataFrame) -> str:
    """Write how seconds and memory grow; a linear method has a ratio of the factor."""
    rows = []
    for dimension in frame["dimension"].unique():
        own = frame[frame["dimension"] == dimension].sort_values("factor")
        first = own.iloc[0]
        for _, row in own.iterrows():
            size = f"{row['cases']} x {row['channels']} x {row['timepoints']}"
            factor = row["factor"] / first["factor"]
            per_factor = [
                row[column] / first[column] / factor
                for column in ("fit_seconds", "transform_seconds")
            ]
            rows.append(
                [
                    f"{row['factor']}x {dimension}: {size}",
                    row["n_features"],
                    f"{row['fit_seconds']:.2f}",
                    f"{per_factor[0]:.2f}",
                    f"{row['transform_seconds']:.2f}",
                    f"{per_factor[1]:.2f}",
                    f"{row['peak_mib'] - row['start_mib']:.0f}",
                    f"{row['output_mib']:.0f}",
                ]
            )
    columns = [
        "cases x channels x timepoints",
        "features",
        "fit seconds",
        "per factor",
        "transform seconds",
        "per factor",
        "peak above start, MiB",
        "of it output, MiB",
    ]
    return (
        f"{markdown(columns, rows)}\n\nPer factor: the ratio to 1x, divided by the "
        "factor. 1 is linear, and less is better than linear. One thread."
    )


def tokenise_table(frame: pd.DataFrame) -> str:
    """Write medians of milliseconds per series, and ratios to our histograms."""
    medians = frame.groupby(["task", "n_codes"], sort=False)["ms_per_series"].median()
    ours = {
        n_codes: ms
        for (task, n_codes), ms in medians.items()
        if task == "histograms, all at once"
    }
    rows = [
        [
            task,
            n_codes,
            f"{ms:.3f}",
            f"{1000 / ms:.0f}",
            *(f"{ms / own:.2f}" for own in ours.values()),
        ]
        for (task, n_codes), ms in medians.items()
    ]
    columns = [
        "one channel of 512 timepoints",
        "codes",
        "ms per series",
        "per second",
        *(f"/ histograms of {n_codes} codes" for n_codes in ours),
    ]
    return (
        f"{markdown(columns, rows)}\n\nMedians of repeats. One thread. Ratios are to "
        "histograms of all series at once. The encoder of VQShape's size has random "
        "weights, and no decoders: only its cost is compared."
    )


def limit_table(frame: pd.DataFrame) -> str:
    """Write seconds of the transform, and those of as much arithmetic."""
    frame = frame.assign(
        product_seconds=frame["operations"] / frame["product_per_second"]
    )
    groups = frame.groupby(["set", "threads"])
    rows = [
        [
            f"{name}, {threads} thread{'s' if threads > 1 else ''}",
            f"{row['cases']:.0f}",
            f"{row['operations'] / 1e9:.1f}",
            f"{row['product_per_second'] / 1e9:.0f}",
            f"{row['product_seconds']:.3f}",
            f"{row['transform_seconds']:.3f}",
            f"{row['transform_seconds'] / row['product_seconds']:.1f}",
        ]
        for (name, threads), row in groups.median(numeric_only=True).iterrows()
    ]
    columns = [
        "transform of",
        "cases",
        "10^9 operations",
        "10^9 per second in a product",
        "seconds as a product",
        "seconds",
        "ratio",
    ]
    return (
        f"{markdown(columns, rows)}\n\nMedians of repeats. Operations are those that "
        "cut all windows and score them against all codes; cost.py counts them. The "
        "product is of two float32 matrices, in the same process and on the same "
        "number of threads."
    )


def large_table(frame: pd.DataFrame) -> str:
    """Write seconds and memory of each step."""
    rows = [
        [
            f"{row['set']}, {row['step']}",
            f"{row['cases']} x {row['channels']} x {row['timepoints']}",
            row["threads"],
            f"{row['seconds']:.1f}",
            f"{row['cases'] / row['seconds']:.0f}",
            f"{row['start_mib']:.0f}",
            f"{row['output_mib']:.0f}",
            f"{row['peak_mib'] - row['start_mib'] - row['output_mib']:.0f}",
        ]
        for _, row in frame.iterrows()
    ]
    columns = [
        "set, step",
        "cases x channels x timepoints",
        "threads",
        "seconds",
        "cases per second",
        "at start, MiB",
        "output, MiB",
        "peak above both, MiB",
    ]
    return (
        f"{markdown(columns, rows)}\n\nTraining windows repeated, with noise of 5 % "
        "of each channel's standard deviation. At start the data are loaded, and all "
        "steps have run on a few cases. The classifier was fitted to the training "
        "windows as they are."
    )


def export_report(results: Path) -> str:
    """Write the table of export.csv."""
    return (
        "# ONNX files\n\n"
        "Classifiers without training, `max_epochs=0`, written by `export_onnx`, and "
        "run by onnxruntime. *half* is `n_codes=32, max_features=3000`, and *small* is "
        "`n_codes=16, max_features=1000`.\n\n"
        f"{export_table(results)}\n\n"
        "Milliseconds are of one thread for one series, as the processor counts them: "
        "medians over 300 calls of onnxruntime and of `predict_proba`. The largest "
        "difference is that of probabilities between both, over all test cases; the "
        "last column is the share of cases where it is above 0.00001. A window that is "
        "as near to one code as to another goes to either of them by rounding.\n"
    )


def export_table(results: Path) -> str:
    """Size, time, accuracy, and how much of it is lost."""
    frame = pd.read_csv(results / "export.csv")
    rows = [
        [
            *key,
            f"{row['features']:.0f}",
            f"{row['bytes'] / 1e6:.2f}",
            f"{row['onnx_ms']:.2f}",
            f"{row['python_ms']:.1f}",
            f"{row['accuracy']:.4f}",
            f"{row['onnx_accuracy']:.4f}",
            f"{row['difference']:.0e}",
            f"{row['beyond']:.4f}",
        ]
        for key, own in frame.groupby(["set", "settings"], sort=False)
        for row in [own.mean(numeric_only=True)]
    ]
    columns = [
        "set",
        "settings",
        "features",
        "MB",
        "ms",
        "ms in Python",
        "accuracy",
        "of the file",
        "largest difference",
        "above 0.00001",
    ]
    return markdown(columns, rows)


def cluster_report(results: Path) -> str:
    """Write the table of cluster.csv."""
    return (
        "# Clusters\n\n"
        "A grid search of 24 fits (six values of `n_codes`, four folds) and "
        "`transform` to 500 features, of series of 6 x 100 (those of BasicMotions, "
        "repeated, shifted and jittered), in one process and by joblib on a local "
        "cluster of workers with one thread each. Workers have started, and have done "
        "the same on a few cases, before time is taken.\n\n"
        f"{cluster_table(results)}\n"
    )


def cluster_table(results: Path) -> str:
    """Seconds of each task on each backend, and whether results are equal."""
    frame = pd.read_csv(results / "cluster.csv")
    alone = frame[frame["backend"] == "one process"].set_index("task")["seconds"]
    rows = [
        [
            row["task"],
            row["cases"],
            row["backend"],
            row["workers"],
            f"{row['seconds']:.1f}",
            f"{alone[row['task']] / row['seconds']:.2f}",
            "yes" if row["equal"] else "no",
        ]
        for _, row in frame.iterrows()
    ]
    columns = [
        "task",
        "cases",
        "backend",
        "workers",
        "seconds",
        "times as fast",
        "same results",
    ]
    return markdown(columns, rows)


REPORTS: dict[str, Callable[..., str]] = {
    "suite": suite_report,
    "choices": choices_report,
    "ablation": ablation_report,
    "crossmodal": crossmodal_report,
    "zero_shot": zero_shot_report,
    "search": search_report,
    "faithfulness": faithfulness_report,
    "naming": naming_report,
    "shift": shift_report,
    "gaps": gaps_report,
    "drift": drift_report,
    "pretrain": pretrain_report,
    "cost": cost_report,
    "export": export_report,
    "cluster": cluster_report,
}


def write_report(name: str, results: Path, *options: Any) -> None:
    """Print the tables of a report, and write them beside the results."""
    text = REPORTS[name](results, *options)
    (results / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)


def parser() -> argparse.ArgumentParser:
    """Make the parser of options."""
    found = argparse.ArgumentParser(
        description="Print the tables of results, and write them beside these.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    found.add_argument(
        "reports",
        nargs="*",
        help=f"which of {', '.join(REPORTS)}; without any, all that have results",
        metavar="REPORT",
    )
    found.add_argument(
        "--results", type=Path, default=RESULTS, help="folder of results"
    )
    found.add_argument(
        "--estimators",
        nargs="+",
        choices=list(ESTIMATORS),
        help="which of those of the suite to compare; without any, all that have rows",
        metavar="ESTIMATOR",
    )
    return found


def main() -> None:
    """Print and write the tables."""
    args = parser().parse_args()
    unknown = set(args.reports) - set(REPORTS)
    if unknown:
        raise SystemExit(f"There are no reports {', '.join(sorted(unknown))}.")
    files = {path.stem for path in args.results.glob("*.csv")}
    if "suite-aeon" in files:
        files.add("suite")
    found = files & set(REPORTS)
    if files & {"memory", "linearity", "tokenise", "limit", "large"}:
        found.add("cost")
    for name in REPORTS:
        if name in (args.reports or found):
            options = [args.estimators] if name == "suite" else []
            write_report(name, args.results, *options)


if __name__ == "__main__":
    main()
