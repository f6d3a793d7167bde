"""Accuracy, calibration, seconds and memory of many estimators on many data sets."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import friedmanchisquare, wilcoxon

from benchmarks import estimators
from benchmarks.data import LARGE_SETS, SMALL_SETS, load_whole, resample, scores, take
from benchmarks.data import about as about_set
from benchmarks.estimators import BASELINE, ESTIMATORS, OURS
from benchmarks.figures import draw
from benchmarks.memory import peak_mib, reset_peak
from benchmarks.runner import Experiment, Options, Row, grid, names
from benchmarks.store import Frames, version_of
from benchmarks.tables import compared, frame_markdown, markdown, spread, spread_table

DONE = "done"
NAMES = {
    "minirocket": "MiniRocket + ridge",
    "minirocket-calibrated": "MiniRocket + ridge, calibrated",
    "closed-form": "token histogram + ridge",
    "classifier-closed": "`VQTextClassifier()`",
    "classifier": "`VQTextClassifier(max_epochs=20)`, earlier version",
    "classifier-named": "`VQTextClassifier(channel_names=...)`, earlier version",
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


def evaluate(keys: list[Row], options: Options) -> Iterator[Row | None]:
    """Fit and score one estimator on splits of one set.

    A fit to a few cases comes first, before None.
    """
    name, estimator = keys[0]["set"], keys[0]["estimator"]
    whole, n_train = load_whole(name, options.data)
    n_threads, about = options.n_threads, about_set(name, options.data)
    cases = slice(n_train)
    estimators.warm_up(estimator, n_threads, whole.X[cases], whole.y[cases], about)
    yield None
    for key in keys:
        split = resample(whole.y, n_train, whole.subjects, key["split"])
        parts = [(take(whole.X, cases), whole.y[cases]) for cases in split]
        model = estimators.build(estimator, key["seed"], n_threads, about)
        found = measure(estimator, model, *parts)
        yield key | {"status": DONE, **found, "threads": n_threads}


def measure(estimator: str, model: Any, train: Any, test: Any) -> Row:
    """Fit and score a model; memory is above that of the process before."""
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
    """Yield official parts and resamples of each set for each estimator."""
    splits = range(options.settings["resamples"] + 1)
    return grid(set=options.sets, estimator=names, split=splits, seed=options.seeds)


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
    """Write tables of official parts and of resamples, and versions."""
    frame = _all_rows(frames)
    names = [name for name in ESTIMATORS if name in set(frame["estimator"])]
    text = ""
    for title, part in (
        ("Official parts", frame[frame["split"] == 0]),
        ("Resamples", frame[frame["split"] > 0]),
    ):
        if len(part):
            text += f"\n## {title}\n\n{_comparison(part, names, frames, title)}\n"
    lines = []
    for name in _files(frames):
        facts = frames.environment(name)
        facts = {**facts.pop("versions"), **facts}
        parts = [f"{key} {value}" for key, value in facts.items() if value is not None]
        lines.append(f"- {name}.csv: {', '.join(parts)}")
    return text + "\n## Versions\n\n" + "\n".join(lines)


def _comparison(
    frame: pd.DataFrame, names: Sequence[str], frames: Frames, title: str
) -> str:
    """Write means, tests, figures and a table of sets, for splits of one kind."""
    done = frame[frame["status"] == DONE]
    splits = pd.MultiIndex.from_frame(frame[["set", "split"]]).unique()
    by_split = _means(done, "accuracy", ["set", "split"])
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
            f"{', '.join(by_set.index)}.\n\n{_overall(rows, by_set)}\n\n"
            f"{_OVERALL_NOTE}\n\n"
        )
        if min(by_set.shape) > 1:
            p = holm(by_set)
            text += _tests(by_set, p)
            seconds = _means(rows, "fit_seconds") + _means(rows, "predict_seconds")
            figures = frames.folder / "figures"
            for what, path in draw(by_set, p, seconds.sum(), figures, title):
                text += f"![{what}]({path.relative_to(frames.folder).as_posix()})\n\n"
    known = dict.fromkeys([*SMALL_SETS, *LARGE_SETS, *frame["set"]])
    each = spread_table(done, "set", "estimator", "accuracy").reindex(
        index=pd.Index([name for name in known if name in set(frame["set"])]),
        columns=[name for name in names if name in set(done["estimator"])],
        fill_value="",
    )
    return (
        f"{text}{_missing(frame, by_split)}### Each set\n\n"
        f"{frame_markdown(each.rename_axis('accuracy'))}\n\n"
        "Mean ± standard deviation over seeds and splits."
    )


def _with_shared_splits(by_split: pd.DataFrame) -> pd.DataFrame:
    """Return splits that all estimators have, but for those with the fewest.

    Leave them out one by one, only if there would not be any split otherwise.
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
    other = frame[frame["status"] != DONE]
    reasons = other.groupby(["set", "estimator"])["status"].first()
    never = [name for name in by_split if name not in set(frame["estimator"])]
    lines = [f"- all sets: {', '.join(never)} (not run)\n"] if never else []
    for name, own in by_split.drop(columns=never).groupby(level="set", sort=False):
        lacking = [
            f"{estimator}{' in part' if own[estimator].notna().any() else ''} "
            f"({reasons.get((name, estimator), 'not run')})"
            for estimator in own
            if own[estimator].isna().any() or (name, estimator) in reasons
        ]
        if lacking:
            lines.append(f"- {name}: {', '.join(lacking)}\n")
    return f"{_MISSING_NOTE}\n\n{''.join(lines)}\n" if lines else ""


# Columns that have means over sets, and what they are called.
_SCORES = {
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro-F1",
    "log_loss": "log-loss",
    "calibration_error": "calibration error",
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
    """Return the mean over sets for each seed that has all sets and splits."""
    n_splits = len(own[["set", "split"]].drop_duplicates())
    by_set = own.groupby(["seed", "set"])["accuracy"].mean()
    return by_set.groupby("seed").mean()[own.groupby("seed").size() == n_splits]


def _tests(by_set: pd.DataFrame, p: pd.DataFrame) -> str:
    """Write tests of differences between estimators."""
    shown = p.map(_p_value).where(np.tri(len(p), k=-1, dtype=bool), "")
    text = (
        "Wilcoxon's signed-rank tests of all pairs over sets, with the correction of "
        f"Holm:\n\n{frame_markdown(shown.rename_axis('p'))}\n\n"
    )
    if by_set.shape[1] > 2:
        friedman = friedmanchisquare(*by_set.to_numpy().T).pvalue
        text += f"Friedman's test of all at once: {_p_value(friedman)}.\n\n"
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
    """Mean accuracy over the small sets, official parts, of all that were run there."""
    frame = _all_rows(frames)
    is_done = (frame["split"] == 0) & (frame["status"] == DONE)
    frame = frame[is_done & frame["set"].isin(SMALL_SETS)]
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
    """Accuracy on the two sets of thousands of cases."""
    frame = frames["suite"]
    frame = frame[(frame["split"] == 0) & (frame["status"] == DONE)]
    frame = frame[~frame["set"].isin(SMALL_SETS)]
    table = frame.pivot_table(index="estimator", columns="set", values="accuracy")
    table = table.map(spread)
    table.insert(0, "seeds", frame.groupby("estimator")["seed"].nunique())
    return frame_markdown(table.rename(index=NAMES).rename_axis("accuracy"))


SUITE = Experiment(
    name="suite",
    about="accuracy, calibration, seconds and memory of estimators of sktime and ours",
    keys=("set", "estimator", "split", "seed"),
    values=names(
        "status accuracy balanced_accuracy macro_f1 log_loss calibration_error "
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
    settings={"resamples": 0, "most_minutes": 60.0},
    reads=("suite", "suite-aeon"),
    tables={"suite": report, "accuracy": accuracy, "large": large},
    page="# Suite\n{suite}\n",
)
SUITE_OF_AEON = replace(
    SUITE,
    name="suite-aeon",
    about="the same of estimators of aeon, in the page of suite",
    tasks=lambda options: tasks(options, tuple(estimators.OF_AEON)),
    facts=facts_of_aeon,
    tables={},
    page="",
)
