"""Effects of training from the closed form on accuracy, search, retrieval and time."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, f1_score, log_loss

from benchmarks.data import about, load_split
from benchmarks.estimators import classifier
from benchmarks.runner import Experiment, Options, Row, grid, names
from benchmarks.store import Frames
from benchmarks.tables import markdown, spread_of

_RETRIEVED, _AT = 800, 10
# Sentences that name an activity in the prompt bank, in different words.
SENTENCES = {
    "jogging": ("someone runs",),
    "sitting": ("a person sits on a chair",),
    "walking downstairs": ("somebody goes down the stairs",),
    "walking": ("a person walks along",),
}
# Sentences that do not name an activity in the prompt bank.
PARAPHRASES = {
    "jogging": ("a runner on a track", "fast bouncing steps"),
    "sitting": ("somebody on a sofa", "on a stool, not moving"),
    "standing": ("waiting in a queue", "on two feet, motionless"),
    "walking": ("a pedestrian on the pavement", "going on foot at normal speed"),
    "walking downstairs": ("going down the steps", "to a lower floor on foot"),
    "walking upstairs": ("going up the steps", "to a higher floor on foot"),
}
VARIANTS: dict[str, dict[str, Any]] = {
    "closed form": {"max_epochs": 0},
    "closed form, random vectors": {"max_epochs": 0},
    "trained": {"max_epochs": 20},
    "trained, random vectors": {"max_epochs": 20},
    "trained, shuffled captions": {"max_epochs": 20},
}


def evaluate(key: Row, options: Options) -> Row:
    """Fit to the training set, and score classification, search and retrieval."""
    from sktext_vq import SeriesCaptioner

    split, known = (load(key["set"], options.data) for load in (load_split, about))
    parameters = dict(VARIANTS[key["variant"]])
    if key["variant"].endswith("random vectors"):
        parameters["text_encoder"] = random_vectors
    model = classifier(key["seed"], **parameters, **known)
    captioner = SeriesCaptioner(**known).fit(split.X_train)
    text = None
    if key["variant"].endswith("shuffled captions"):
        rng = np.random.default_rng(key["seed"])
        text = rng.permutation(captioner.transform(split.X_train))
    start = time.process_time()
    model.fit(split.X_train, split.y_train, text, groups=split.subjects_train)
    seconds = time.process_time() - start
    X, y = split.X_test, split.y_test
    cases = np.random.default_rng(key["seed"]).permutation(len(y))[:_RETRIEVED]
    captions = captioner.transform(X[cases])
    pairs = model.similarity(X[cases], captions)
    own = np.diag(pairs)
    proba = model.predict_proba(X)
    predicted = model.classes_[proba.argmax(axis=1)]
    texts = [f"a person {label}" for label in model.classes_]
    by_sentence = model.classes_[model.similarity(X, texts).argmax(axis=1)]
    return {
        "accuracy": (predicted == y).mean(),
        "macro_f1": f1_score(y, predicted, average="macro"),
        "log_loss": log_loss(y, proba, labels=model.classes_),
        "similarity": (by_sentence == y).mean(),
        "search": search_precision(model, X[cases], y[cases], SENTENCES),
        "paraphrase": search_precision(model, X[cases], y[cases], PARAPHRASES),
        "series_to_caption": ((pairs > own[:, None]).sum(axis=1) < _AT).mean(),
        "text_to_series": ((pairs > own).sum(axis=0) < _AT).mean(),
        **kept_epochs(model),
        "fit_seconds": seconds,
    }


def kept_epochs(model: Any) -> dict[str, float]:
    """Return the best epoch of each part; 0 is the closed form."""
    kept = {} if model.network_ is None else model.network_.kept
    return {f"{part}_epoch": kept.get(part, np.nan) for part in ("head", "text")}


def search_precision(
    model: Any, X: Any, y: NDArray[Any], sentences: dict[str, tuple[str, ...]]
) -> float:
    """Return the mean average precision for sentences about classes in the data set."""
    found = []
    for label, own in sentences.items():
        for sentence in own if label in model.classes_ else ():
            table = model.search(X, sentence)
            is_label = y[table["case"]] == label
            found.append(average_precision_score(is_label, table["score"]))
    return float(np.mean(found)) if found else np.nan


def random_vectors(texts: list[str]) -> NDArray[np.float64]:
    """Return a random vector for each text; equal texts have equal vectors."""
    rngs = [np.random.default_rng(list(text.encode())) for text in texts]
    return np.stack([rng.normal(size=384) for rng in rngs])


_SHOWN = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "log_loss": "log-loss",
    "similarity": "class by similarity",
    "search": "search",
    "paraphrase": "search without names",
    "series_to_caption": "series to caption",
    "text_to_series": "caption to series",
    "head_epoch": "epoch of the classifier",
    "text_epoch": "epoch of captions",
    "fit_ratio": "fit time",
}
_DECIMALS = {"head_epoch": 0, "text_epoch": 0, "fit_ratio": 1}


def table(frames: Frames) -> str:
    """Return a table with a row per data set and variant, and a column per measure."""
    frame = frames["training"]
    closed = frame[frame["variant"] == "closed form"].set_index(["set", "seed"])
    seconds = frame.join(closed["fit_seconds"].rename("closed"), on=["set", "seed"])
    frame["fit_ratio"] = seconds["fit_seconds"] / seconds["closed"]
    parts = frame.groupby(["set", "variant"], sort=False)
    rows = [
        [*key, len(own), *(spread_of(own[c], _DECIMALS.get(c, 3)) for c in _SHOWN)]
        for key, own in parts
    ]
    return markdown(["set", "variant", "seeds", *_SHOWN.values()], rows)


EXPERIMENT = Experiment(
    name="training",
    about="closed form and training: accuracy, search, retrieval and time",
    keys=("set", "variant", "seed"),
    values=names(
        "accuracy macro_f1 log_loss similarity search paraphrase "
        "series_to_caption text_to_series head_epoch text_epoch fit_seconds"
    ),
    tasks=lambda options: grid(set=options.sets, variant=VARIANTS, seed=options.seeds),
    evaluate=evaluate,
    sets=(
        *("MotionSense", "UCI-HAR", "WISDM-2019-watch", "UTD-MHAD-inertial"),
        *("NATOPS", "BasicMotions", "RacketSports", "GunPoint"),
    ),
    seeds=(0, 1, 2),
    threads=0,
    tables={"training": table},
    page="# Training\n\n"
    "The values are means ± standard deviations over seeds.\n\n"
    "For *class by similarity*, each series is assigned to the class whose "
    'sentence "a person CLASS" is most similar to the series. *Search* is the mean '
    "average precision of `search` for four sentences that name an activity. "
    "`search` looks up the prompts of this activity. *Search without names* is the "
    "mean average precision for twelve sentences that do not name an activity. "
    "*Series to caption* and *caption to series* are the recall@10 of the own "
    "caption and of the own series, respectively. These columns use at most 800 "
    "test series. The epochs of the classifier and of captions are the best epochs "
    "on held-out cases; epoch 0 is the closed form. The fit time is the CPU time "
    "relative to the closed form.\n\n"
    "With random vectors in place of embeddings, sentences that are not among the "
    "training texts have no meaning. With shuffled captions, each series is fitted "
    "with the caption of a random series, and without class prompts.\n\n"
    "{training}\n",
)
