"""Accuracy, calibration, seconds and memory of many estimators on many data sets."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import friedmanchisquare, wilcoxon

from benchmarks import estimators
from benchmarks.data import LARGE_SETS, SMALL_SETS, load_split, scores
from benchmarks.data import about as about_set
from benchmarks.estimators import BASELINE, ESTIMATORS, OURS
from benchmarks.figures import draw_ranks
from benchmarks.memory import peak_mib, reset_peak
from benchmarks.runner import Experiment, Options, Row, grid, names
from benchmarks.store import Frames, version_of
from benchmarks.tables import compared, frame_markdown, markdown, spread, spread_table

NAMES = {
    "minirocket": "MiniRocket + ridge",
    "minirocket-calibrated": "MiniRocket + ridge, calibrated",
    "closed-form": "token histogram + ridge",
    "classifier-closed": "`VQTextClassifier()`",
    "classifier": "`VQTextClassifier(max_epochs=20)`",
    "classifier-named": "`VQTextClassifier(channel_names=..., max_epochs=20)`",
    "multirocket": "MultiRocket + ridge",
    "multirocket-hydra": "MultiRocket-Hydra",
    "hydra": "Hydra",
    "quant": "QUANT",
    "rdst": "RDST",
    "weasel2": "WEASEL 2.0",
    "weasel": "WEASEL / MUSE",
    "catch22": "Catch22",
    "tsf": "time series forest",
    "dtw": "1-NN DTW",
}


def evaluate(keys: list[Row], options: Options) -> Iterator[Row]:
    """Fit and score one estimator on one set, after a fit to a few cases."""
    name, estimator = keys[0]["set"], keys[0]["estimator"]
    split, about = load_split(name, options.data), about_set(name, options.data)
    train, test = (split.X_train, split.y_train), (split.X_test, split.y_test)
    estimators.warm_up(estimator, options.n_threads, *train, about)
    for key in keys:
        model = estimators.build(estimator, key["seed"], options.n_threads, about)
        found = measure(estimator, model, train, test)
        yield key | found | {"threads": options.n_threads}


def measure(estimator: str, model: Any, train: Any, test: Any) -> Row:
    """Fit and score a model; memory is relative to that of the process before."""
    (X, y), (X_test, y_test) = train, test
    start_mib, start = reset_peak(), time.perf_counter()
    model.fit(X, y)
    fitted = time.perf_counter()
    estimators.check_stage(estimator, model)
    predict_start = time.perf_counter()
    predicted = model.predict(X_test)
    end, peak = time.perf_counter(), peak_mib()
    probabilities = None
    if estimator in estimators.WITH_PROBABILITIES:
        probabilities = model.predict_proba(X_test)
    return {
        **scores(y_test, predicted, probabilities, np.unique(y)),
        "fit_seconds": fitted - start,
        "predict_seconds": end - predict_start,
        "peak_mib": peak - start_mib,
    }


def tasks(
    options: Options, names: Sequence[str] = (*OURS, *estimators.OF_SKTIME)
) -> Iterator[Row]:
    """Yield each estimator and seed on each set."""
    return grid(set=options.sets, estimator=names, seed=options.seeds)


def facts_of_aeon(options: Options) -> Row:
    """Return the version of aeon, which has a separate environment."""
    found = version_of("aeon")
    if found is None:
        raise SystemExit("aeon is missing; see benchmarks/README.md.")
    return {"aeon": found}


def _all_rows(frames: Frames) -> pd.DataFrame:
    return pd.concat([frames[name] for name in _files(frames)], ignore_index=True)


def _files(frames: Frames) -> list[str]:
    return [name for name in ("suite", "suite-aeon") if name in frames]


def report(frames: Frames) -> str:
    """Write means, tests, figures, a table of sets, and versions."""
    frame = _all_rows(frames)
    is_small = frame["set"].isin(SMALL_SETS)
    by_set = _means(frame[is_small] if is_small.any() else frame, "accuracy")
    # Estimators that were run on most sets, and sets that all of these have.
    n_sets = by_set.notna().sum()
    by_set = by_set.loc[:, n_sets == n_sets.max()].dropna()
    others = sorted({*frame["estimator"]} - {*by_set})
    by_set = by_set[by_set.rank(axis=1, ascending=False).mean().sort_values().index]
    rows = frame[frame["set"].isin(by_set.index) & frame["estimator"].isin(by_set)]
    text = (
        f"\nThe table shows means over the {len(by_set)} data sets for which all "
        f"estimators have results: {', '.join(by_set.index)}.\n\n"
        f"{_overall(rows, by_set)}\n\n{_OVERALL_NOTE}\n\n"
    )
    if others:
        text += (
            "The following estimators are omitted because some of their results are "
            f"missing: {', '.join(others)}.\n\n"
        )
    if min(by_set.shape) > 1:
        p = holm(by_set)
        text += _tests(by_set, p)
        figure = Path("figures") / "official-parts-ranks.svg"
        if draw_ranks(by_set, p, frames.folder / figure):
            text += f"![Average ranks]({figure.as_posix()})\n\n"
    known = dict.fromkeys([*SMALL_SETS, *LARGE_SETS, *frame["set"]])
    each = spread_table(frame, "set", "estimator", "accuracy").reindex(
        index=pd.Index([name for name in known if name in set(frame["set"])]),
        columns=[name for name in ESTIMATORS if name in set(frame["estimator"])],
        fill_value="",
    )
    text += (
        "## Results for each data set\n\n"
        f"{frame_markdown(each.rename_axis('accuracy'))}\n\n"
        "The values are means ± standard deviations over seeds.\n\n## Versions\n"
    )
    for name in _files(frames):
        facts = frames.environment(name)
        facts = {**facts.pop("versions"), **facts}
        parts = [f"{key} {value}" for key, value in facts.items() if value is not None]
        text += f"\n- {name}.csv: {', '.join(parts)}"
    return text


def _means(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return means over seeds by set, with a column per estimator."""
    return rows.groupby(["set", "estimator"])[column].mean().unstack()


# Columns that have means over sets, and their titles.
_SCORES = {
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro-F1",
    "log_loss": "log-loss",
    "calibration_error": "calibration error",
}
_OVERALL_NOTE = (
    "For an accuracy, ± is the standard deviation over seeds; for a difference, it is "
    "the standard error over data sets. The rank is the average rank over data sets, "
    "where 1 is best. Wins, ties and losses are numbers of data sets, compared with "
    f"{BASELINE}. The times are approximate sums over data sets; cost.md contains "
    "exact measurements. The memory is the maximum over data sets of the memory used "
    "in addition to the data."
)


def _overall(rows: pd.DataFrame, by_set: pd.DataFrame) -> str:
    """Write one row per estimator, the best by ranks first."""
    ranks = by_set.rank(axis=1, ascending=False).mean()
    means = {title: _means(rows, column).mean() for column, title in _SCORES.items()}
    seconds = {
        f"{part} seconds": _means(rows, f"{part}_seconds").sum()
        for part in ("fit", "predict")
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
                *(spread(mean[name]) for mean in means.values()),
                *(f"{total[name]:.1f}" for total in seconds.values()),
                f"{peaks[name]:.0f}",
            ]
        )
    columns = ["estimator", "seeds", "rank", "accuracy", f"difference to {BASELINE}"]
    columns += ["wins / ties / losses", *means, *seconds, "most MiB"]
    return markdown(columns, table)


def means_by_seed(own: pd.DataFrame) -> pd.Series:
    """Return the mean over sets for each seed that has all sets."""
    accuracy = own.pivot_table("accuracy", "seed", "set")
    return accuracy.dropna().mean(axis=1)


def _tests(by_set: pd.DataFrame, p: pd.DataFrame) -> str:
    """Write tests of differences between estimators."""
    shown = p.map(_p_value).where(np.tri(len(p), k=-1, dtype=bool), "")
    text = (
        "The next table shows the p-values of Wilcoxon signed-rank tests for all "
        "pairs of estimators, with Holm's correction.\n\n"
        f"{frame_markdown(shown.rename_axis('p'))}\n\n"
    )
    if by_set.shape[1] > 2:
        friedman = friedmanchisquare(*by_set.to_numpy().T).pvalue
        text += f"Friedman test of all estimators: {_p_value(friedman)}.\n\n"
    return text


def holm(by_set: pd.DataFrame) -> pd.DataFrame:
    """Test all pairs of estimators by Wilcoxon's signed ranks, corrected by Holm.

    Ties are split between both sides, as in Demšar (JMLR 2006).
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


def accuracy(frames: Frames) -> str:
    """Mean accuracy over the official parts of the small sets, for all estimators."""
    frame = _all_rows(frames)
    frame = frame[frame["set"].isin(SMALL_SETS)]
    columns = ["accuracy", "calibration_error"]
    means = frame.groupby(["estimator", "set"])[columns].mean()
    rows = []
    for name, own in frame.groupby("estimator"):
        by_set, seeds = means.loc[name], means_by_seed(own)
        versus = ["", ""]
        if name != BASELINE:
            versus = compared(by_set["accuracy"], means.loc[BASELINE]["accuracy"])
        rows.append(
            [
                NAMES.get(name, name),
                f"{len(by_set)}, {len(seeds)}",
                spread(by_set["accuracy"].mean(), seeds.std()),
                *versus,
                spread(by_set["calibration_error"].mean()),
            ]
        )
    rows.sort(key=lambda row: row[2], reverse=True)
    columns = ["", "sets, seeds", "accuracy", "lead over MiniRocket"]
    return markdown([*columns, "wins / ties / losses", "calibration error"], rows)


def large(frames: Frames) -> str:
    """Accuracy on the two sets with thousands of cases."""
    frame = frames["suite"]
    frame = frame[~frame["set"].isin(SMALL_SETS)]
    table = frame.pivot_table(index="estimator", columns="set", values="accuracy")
    table = table.map(spread)
    table.insert(0, "seeds", frame.groupby("estimator")["seed"].nunique())
    return frame_markdown(table.rename(index=NAMES).rename_axis("accuracy"))


SUITE = Experiment(
    name="suite",
    about="accuracy, calibration, time and memory of estimators on 21 data sets",
    keys=("set", "estimator", "seed"),
    values=names(
        "accuracy balanced_accuracy macro_f1 log_loss calibration_error "
        "fit_seconds predict_seconds peak_mib threads"
    ),
    tasks=tasks,
    evaluate=evaluate,
    fit=lambda key: (key["set"], key["estimator"]),
    sets=(*SMALL_SETS, *LARGE_SETS),
    seeds=(0, 1, 2),
    processes=2,
    threads=None,
    isolated=True,
    reads=("suite", "suite-aeon"),
    tables={"suite": report, "accuracy": accuracy, "large": large},
    page="# Suite\n{suite}\n",
)
SUITE_OF_AEON = replace(
    SUITE,
    name="suite-aeon",
    about="the same for estimators of aeon (in suite.md)",
    tasks=lambda options: tasks(options, tuple(estimators.OF_AEON)),
    facts=facts_of_aeon,
    tables={},
    page="",
)
