"""Effects of each loss and part of the model, forms of text, and controls.

Tasks are `full` (the official training part), `few` (ten cases of each class) and `long
tail` (class sizes that decrease to a hundredth). To save time, `tasks` omits some tasks
if no variants are selected. Selected variants are fitted to all tasks.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.data import about, draw_by_class, load_parts, scores, spread_cases, take
from benchmarks.estimators import classifier, warm_up
from benchmarks.internals import class_scores_of_text, explained, has_loss
from benchmarks.runner import Experiment, Options, Row, grid, names
from benchmarks.store import Frames
from benchmarks.tables import frame_markdown, markdown, paired, spread, spreads

# BasicMotions has only ten cases of each class, and RacketSports hardly more.
SCARCE_SETS = ("MotionSense", "UTD-MHAD-inertial", "NATOPS")
TASKS = ("full", "few", "long tail")
_FEW, _IMBALANCE = 10, 100
_MAX_TEST_CASES, _MAX_REBUILT_CASES = 2000, 300
_TEXT_DIM = 384  # as of the default encoder
_CODE_RATE = 0.01  # of codes that are learned


def random_vectors(texts: Sequence[str]) -> NDArray[np.float64]:
    """Return a fixed random vector for each text, in place of an encoder."""
    seeds = [hashlib.sha256(text.encode()).digest()[:8] for text in texts]
    rows = [
        np.random.default_rng(int.from_bytes(seed, "big")).normal(size=_TEXT_DIM)
        for seed in seeds
    ]
    return np.stack([row / np.linalg.norm(row) for row in rows])


def shuffled_classes(labels: Sequence[str], seed: int) -> dict[str, Any]:
    """Assign the texts of another class to each class."""
    from sktext_vq import PromptBank

    order = np.random.default_rng(seed).permutation(list(labels)).tolist()
    prompts = PromptBank().prompts(order)
    return {
        label: prompts[other]
        for label, other in zip(order, order[1:] + order[:1], strict=True)
    }


def shuffled_captions(model: Any, X: Any, seed: int) -> NDArray[np.object_]:
    """Assign the caption of a random series to each series."""
    from sktext_vq import SeriesCaptioner

    captioner = SeriesCaptioner(
        channel_names=model.channel_names, sampling_rate=model.sampling_rate
    )
    return np.random.default_rng(seed).permutation(captioner.fit_transform(X))


def _losses(*names: str) -> dict[str, Any]:
    weights = {name: _CODE_RATE if name == "codebook" else 1.0 for name in names}
    return {"loss_weights": weights}


def _labels(*forms: str) -> dict[str, Any]:
    return {"text": "labels", "prompt_forms": forms}


_ON_BY_DEFAULT = ("class", "text", "codes", "affinity")
_OFF_BY_DEFAULT = [
    text.split(", ")
    for text in (
        *("series, separation", "digits", "contrastive", "demi_cycle", "translation"),
        *("calibrated", "fused", "fused, distillation"),
        *("codebook", "codebook, usage", "frequency"),
    )
]
# With "keyword", texts consist of little more than the words of the label.
_FORMS = ("keyword", "sentence", "affirmative", "negative", "attributes")
BASE = "default"
# Parameters of VQTextClassifier. A function as `text` gets class labels and the seed.
VARIANTS: dict[str, dict[str, Any]] = {
    BASE: {},
    "no text": {"text": None},
    "closed form": {"max_epochs": 0},
    **{f"- {name}": {"loss_weights": {name: 0.0}} for name in _ON_BY_DEFAULT},
    **{f"+ {', '.join(names)}": _losses(*names) for names in _OFF_BY_DEFAULT},
    "everything": _losses(*chain.from_iterable(_OFF_BY_DEFAULT)),
    **{form: _labels(form) for form in _FORMS},
    "all forms": _labels(*_FORMS),
    "captions": {"text": "captions"},
    "random vectors": {"text_encoder": random_vectors},
    "shuffled classes": {"text": shuffled_classes},
    "shuffled captions": {},
}
# Texts about single cases, for fit.
FIT_TEXTS = {"shuffled captions": shuffled_captions}
CONTROLS = (
    *("no text", "closed form", "keyword", "captions"),
    *("random vectors", "shuffled classes", "shuffled captions"),
)
# Variants that are also compared with a variant other than the default.
PAIRS = (
    ("+ fused, distillation", "+ fused"),
    ("+ codebook, usage", "+ codebook"),
    ("shuffled captions", "captions"),
)
# With few or rare cases: text, and changes of features or of the classifier. The
# other losses change neither.
SCARCE = (
    *(BASE, *CONTROLS, "- text"),
    *("+ fused, distillation", "+ codebook", "+ frequency", "everything"),
)


def draw_cases(y: NDArray[Any], task: str, seed: int) -> NDArray[np.intp]:
    """Draw the training cases of a task; which classes are rare depends on the seed."""
    if task == "full":
        return np.arange(len(y))
    rng = np.random.default_rng(seed)
    labels, counts = np.unique(y, return_counts=True)
    sizes = np.full(len(labels), _FEW)
    if task == "long tail":
        falling = counts.max() * _IMBALANCE ** -np.linspace(0, 1, len(labels))
        sizes = rng.permutation(np.maximum(2, falling.round().astype(int)))
    return draw_by_class(y, sizes, rng)


def tasks(options: Options) -> Iterator[Row]:
    """Yield the rows of selected variants, or by default omit some scarce tasks."""
    for row in grid(seed=options.seeds, task=TASKS, variant=VARIANTS, set=options.sets):
        is_scarce = row["variant"] in SCARCE and row["set"] in SCARCE_SETS
        if "variant" in options.only or row["task"] == "full" or is_scarce:
            yield {key: row[key] for key in EXPERIMENT.keys}


def evaluate(key: Row, options: Options) -> Row:
    """Fit one variant, and compute all its scores."""
    variant, seed = key["variant"], key["seed"]
    train, test = load_parts(
        key["set"], options.data, options.settings["most_cases"], _MAX_TEST_CASES
    )
    cases = draw_cases(train.y, key["task"], seed)
    X, y = take(train.X, cases), train.y[cases]
    warm_up("classifier", options.n_threads, train.X, train.y)
    start = time.perf_counter()
    known = about(key["set"], options.data)
    model = build(variant, seed, np.unique(y).tolist(), known)
    make_text = FIT_TEXTS.get(variant)
    text = None if make_text is None else make_text(model, X, seed)
    model.fit(X, y, text)
    fit_seconds = time.perf_counter() - start
    check_variant(variant, model)
    row: Row = dict.fromkeys(EXPERIMENT.values, float("nan"))
    row |= {"cases": len(cases), "fit_seconds": fit_seconds}
    row |= measure(model, test.X, test.y)
    return row | {"seconds": time.perf_counter() - start}


def build(variant: str, seed: int, labels: Sequence[str], known: dict[str, Any]) -> Any:
    """Make the classifier of a variant."""
    parameters = dict(VARIANTS[variant])
    if callable(parameters.get("text")):
        parameters["text"] = parameters["text"](labels, seed)
    return classifier(seed, **known, **parameters)


def check_variant(variant: str, model: Any) -> None:
    """Raise an error if a fit did not use the text or the loss of its variant."""
    stage = "trained with text" if model.text is not None else "trained"
    if model.max_epochs == 0:
        stage = "closed form"
    if (found := model.training_stage_) != stage:
        raise RuntimeError(f"{variant} should be {stage!r}, but is {found!r}.")
    if not model.history_:  # too few cases to train
        return
    for name, weight in (model.loss_weights or {}).items():
        # "codebook" is not a loss: codes that are learned have the loss "shape".
        if (weight > 0) != has_loss(model, "shape" if name == "codebook" else name):
            raise RuntimeError(f"{variant}: the loss {name!r} does not follow {weight}")


def measure(model: Any, X: Any, y: NDArray[Any]) -> dict[str, float]:
    """Compute the scores of both classifiers, of texts and of codes."""
    found: dict[str, float] = {"epochs": len(model.history_)}
    head = "network" if has_loss(model, "class") else "ridge"
    score = scores(y, model.predict(X))
    for kind in ("accuracy", "macro_f1"):
        found[f"{head}_{kind}"] = score[kind]
    if model.training_stage_ == "trained with text":
        found |= class_scores_of_text(model, X, y)
    for kind in ("signal_perplexity", "text_perplexity", "overlap"):
        found[kind] = model.codebook_use_.get(kind, float("nan"))
    few = take(X, spread_cases(len(y), _MAX_REBUILT_CASES))
    found["explained"] = explained(model, few, model.reconstruct(few))
    if has_loss(model, "digits"):
        found["explained_text"] = explained(model, few, model.reconstruct_text(few))
    return found


# Titles of columns that are scores, and of the others.
_SCORES = {
    f"{head}_{kind}": f"{head} {title}"
    for head in ("network", "ridge")
    for kind, title in (("accuracy", "accuracy"), ("macro_f1", "macro-F1"))
} | {name: name for name in ("similarity", "affinity", "explained")}
_COUNTS = names("signal_perplexity text_perplexity overlap epochs fit_seconds")
_SHOWN = _SCORES | {name: name.replace("_", " ") for name in _COUNTS}


def table(frames: Frames) -> str:
    """Write a short table of effects of losses, parts and texts on the full task."""
    frame = frames["ablation"]
    shown = ("network_accuracy", "ridge_accuracy", "similarity", "fit_seconds")
    return _differences(frame[frame["task"] == "full"], shown)


def all_tables(frames: Frames) -> str:
    """Write differences of all columns for each task, and means for each set."""
    frame = frames["ablation"]
    text = ""
    for task, own in frame.groupby("task", sort=False):
        text += f"\n## Task: {task}\n\n{_differences(own)}\n"
    for (task, name), own in frame.groupby(["task", "set"], sort=False):
        text += f"\n## {name}, {task}\n\n{_absolute(own)}\n"
    written = frame.dropna(subset="explained_text")
    if len(written):
        by = spreads(written.groupby(["task", "set", "variant"])[["explained_text"]])
        rows = [[", ".join(key), *row] for key, row in by.iterrows()]
        table = markdown(["", "explained"], rows)
        text += f"\n## Series reconstructed from text\n\n{table}\n"
    return text


def _differences(frame: pd.DataFrame, shown: Sequence[str] = tuple(_SHOWN)) -> str:
    """Write one row per variant, as paired differences over sets and seeds."""
    values = frame.set_index(["variant", "set", "seed"])[list(shown)].sort_index()
    known = set(frame["variant"])
    rows: list[list[Any]] = []
    if BASE in known:
        means = values.loc[BASE].groupby("set").mean()
        rows.append([BASE, len(means), *(spread(mean) for mean in means.mean())])
    for name, base in [(name, BASE) for name in VARIANTS if name != BASE] + [*PAIRS]:
        if not {name, base} <= known:
            continue
        cells, n_sets = [], 0
        for column in shown:
            both = [values.loc[each, column] for each in (name, base)]
            by_set = pd.concat(both, axis=1).dropna().groupby("set").mean()
            pair = paired(by_set.iloc[:, 0], by_set.iloc[:, 1])
            cell = spread(pair["mean"], pair["error"])
            if cell and column in _SCORES:
                cell += f" ({pair['wins']} / {pair['losses']})"
            cells.append(cell)
            n_sets = max(n_sets, int(pair["sets"]))
        rows.append([name if base == BASE else f"{name} / {base}", n_sets, *cells])
    return markdown(["variant", "sets", *(_SHOWN[each] for each in shown)], rows)


def _absolute(frame: pd.DataFrame) -> str:
    """Write the default and controls, for one task and set."""
    cells = spreads(frame.groupby("variant")[list(_SHOWN)])
    names = [name for name in (BASE, *CONTROLS) if name in cells.index]
    return frame_markdown(cells.loc[names].rename(columns=_SHOWN))


EXPERIMENT = Experiment(
    name="ablation",
    about="effect of each loss, part of the model and form of text",
    keys=("set", "task", "variant", "seed"),
    values=names(
        "cases network_accuracy network_macro_f1 ridge_accuracy ridge_macro_f1 "
        "similarity affinity signal_perplexity text_perplexity overlap explained "
        "explained_text epochs fit_seconds seconds"
    ),
    tasks=tasks,
    evaluate=evaluate,
    sets=("MotionSense", "UTD-MHAD-inertial", "NATOPS", "RacketSports", "BasicMotions"),
    seeds=(0,),
    processes=2,
    threads=0,
    settings={"most_cases": 600},  # of training parts, evenly spread
    facts=lambda options: {"most_cases": options.settings["most_cases"]},
    tables={"ablation": table, "ablation_tables": all_tables},
    page="# Ablation\n\n"
    "This page shows the effects of each loss, each part of the model, and the "
    "texts. The row *default* contains means over data sets. All other rows contain "
    "differences from the default, or from the variant after the slash. For these "
    "rows, ± is the standard error over data sets, and the counts in brackets are "
    "the numbers of data sets with better and with worse scores.\n\n"
    "*Ridge* is the classifier in closed form, and *network* is the trained "
    "classifier. For *similarity* and *affinity*, each series is assigned to the "
    'class whose sentence "a person CLASS" is most similar to the series: by cosine '
    "similarity in the embedding space and by code usage, respectively. *Explained* "
    "is the share of the variance of test series that is reconstructed from tokens. "
    "*Perplexity* is the perplexity of the codes, divided by the number of codes. If "
    "the codes are not learned, only the losses `class` and `distillation` change "
    "the classifier.\n\n"
    "{ablation_tables}\n\n"
    "In the tables for individual data sets, ± is the standard deviation over seeds.\n",
)
