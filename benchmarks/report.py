"""Tables of results, as Markdown."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
from estimators import BASELINE, ESTIMATORS
from protocol import LARGE_SETS, RESULTS, SMALL_SETS
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


def accuracy_report(results: Path) -> str:
    """Write tables of accuracy.csv."""
    frame = pd.read_csv(results / "accuracy.csv")
    names = [name for name in ESTIMATORS if name in set(frame["estimator"])]
    by_set = frame.groupby(["set", "estimator"])["accuracy"].agg(["mean", "std"])
    order = dict.fromkeys([*SMALL_SETS, *LARGE_SETS, *frame["set"]])
    rows = [
        [name, *(spread(*_cell(by_set, (name, estimator))) for estimator in names)]
        for name in order
        if name in set(frame["set"])
    ]
    per_set = markdown(["accuracy", *names], rows)
    return (
        "# Accuracy\n\n"
        f"## Means of {len(SMALL_SETS)} small sets\n\n"
        f"{_overall(frame, names)}\n\n"
        "± after an accuracy is the standard deviation over seeds, and after a "
        "difference the standard error over sets. Differences, wins, ties and losses "
        f"are those of accuracies, averaged over seeds, to {BASELINE}. Seconds are "
        "sums over sets, and only rough: cost.md has those that were measured with "
        "care.\n\n"
        "## Each set\n\n"
        f"{per_set}\n\n"
        f"Mean ± standard deviation over seeds. {' and '.join(LARGE_SETS)} are in no "
        "mean above.\n"
    )


def _cell(table: pd.DataFrame, key: tuple[str, str]) -> tuple[float, float]:
    if key not in table.index:
        return float("nan"), float("nan")
    return tuple(table.loc[key])


def _overall(frame: pd.DataFrame, names: Sequence[str]) -> str:
    """Write one row per estimator: means over the small sets."""
    small = frame[frame["set"].isin(SMALL_SETS)]
    by_set = small.groupby(["estimator", "set"])["accuracy"].mean()
    rows = []
    for name in names:
        own = small[small["estimator"] == name]
        if own.empty:
            continue
        # A mean over all sets for each seed; seeds that lack a set have another one.
        by_seed = own.groupby("seed")[
            ["accuracy", "balanced_accuracy", "macro_f1", "log_loss"]
        ].mean()
        complete = own.groupby("seed")["set"].nunique() == own["set"].nunique()
        by_seed = by_seed[complete]
        versus = ["", ""]
        if name != BASELINE and BASELINE in by_set:
            pair = paired(by_set[name], by_set[BASELINE])
            versus = [
                spread(pair["mean"], pair["error"]),
                f"{pair['wins']} / {pair['ties']} / {pair['losses']}",
            ]
        means = by_seed.mean()
        seconds = own.groupby("set")[["fit_seconds", "predict_seconds"]].mean().sum()
        rows.append(
            [
                name,
                own["set"].nunique(),
                len(by_seed),
                spread(means["accuracy"], by_seed["accuracy"].std()),
                *versus,
                spread(means["balanced_accuracy"], np.nan),
                spread(means["macro_f1"], np.nan),
                spread(means["log_loss"], np.nan),
                f"{seconds['fit_seconds']:.1f}",
                f"{seconds['predict_seconds']:.1f}",
            ]
        )
    columns = [
        "estimator",
        "sets",
        "seeds",
        "accuracy",
        f"difference to {BASELINE}",
        "wins / ties / losses",
        "balanced accuracy",
        "macro-F1",
        "log-loss",
        "fit seconds",
        "predict seconds",
    ]
    return markdown(columns, rows)


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
        for value in sorted({*others, default}, key=Fraction):
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


def _differences(frame: pd.DataFrame) -> str:
    """Write one row per variant, as paired differences over sets and seeds."""
    values = frame.set_index(["variant", "set", "seed"]).sort_index()
    known = set(frame["variant"])
    pairs = [(name, BASE) for name in VARIANTS if name != BASE] + list(PAIRS)
    rows = []
    if BASE in known:
        means = values.loc[BASE].groupby("set")[list(_ABLATION)].mean()
        cells = [spread(means[column].mean(), np.nan) for column in _ABLATION]
        rows.append([BASE, len(means), *cells])
    for name, base in pairs:
        if not {name, base} <= known:
            continue
        cells, n_sets = [], 0
        for column, (_, more_is_better) in _ABLATION.items():
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
    return markdown(["variant", "sets", *_titles()], rows)


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
    frame = pd.read_csv(results / "crossmodal.csv")
    rows = []
    for (name, variant), part in frame.groupby(["set", "variant"], sort=False):
        row = [name, variant]
        for column in _CROSSMODAL:
            digits = 0 if column == "fit_seconds" else 2 if column == "peak_gib" else 3
            row.append(spread(part[column].mean(), part[column].std(), digits))
        rows.append(row)
    return (
        "# Series and texts\n\n"
        "Mean ± standard deviation over seeds. *Class* of a test series among the "
        'sentences "a person CLASS", a wording that is not trained on: by cosine in '
        "the workspace, and by the Hellinger affinity of codes. *Series to caption*, "
        "*text to series*: recall@10 among 800 test series and their captions; chance "
        "is .0125. *Explained*: share of the variance of test series, from their "
        "tokens and by way of digits.\n\n"
        f"{markdown(['set', 'variant', *_CROSSMODAL.values()], rows)}\n"
    )


def _titles() -> list[str]:
    return [title for title, _ in _ABLATION.values()]


def cost_report(results: Path) -> str:
    """Write tables of cost.csv, memory.csv, linearity.csv and tokenise.csv."""
    sections = {
        "cost": ("Seconds", speed_table),
        "memory": ("Memory", memory_table),
        "linearity": ("Growth", linearity_table),
        "tokenise": ("Tokens", tokenise_table),
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
    """Write medians of milliseconds per series."""
    medians = frame.groupby(["task", "n_codes"])["ms_per_series"].median()
    rows = [
        [task, n_codes, f"{ms:.3f}", f"{1000 / ms:.0f}"]
        for (task, n_codes), ms in medians.items()
    ]
    columns = ["one channel of 512 timepoints", "codes", "ms per series", "per second"]
    return f"{markdown(columns, rows)}\n\nMedians of repeats. One thread."


REPORTS: dict[str, Callable[[Path], str]] = {
    "accuracy": accuracy_report,
    "choices": choices_report,
    "ablation": ablation_report,
    "crossmodal": crossmodal_report,
    "cost": cost_report,
}


def write_report(name: str, results: Path) -> None:
    """Print the tables of a report, and write them beside the results."""
    text = REPORTS[name](results)
    (results / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)


def parser() -> argparse.ArgumentParser:
    """Make the parser of options."""
    found = argparse.ArgumentParser(
        description="Print the tables of all results, and write them beside these.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    found.add_argument(
        "--results", type=Path, default=RESULTS, help="folder of results"
    )
    return found


def main() -> None:
    """Print and write the tables."""
    results = parser().parse_args().results
    files = {path.stem for path in results.glob("*.csv")}
    for name in REPORTS:
        if name in files or (name == "cost" and files - set(REPORTS)):
            write_report(name, results)


if __name__ == "__main__":
    main()
