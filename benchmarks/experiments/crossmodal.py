"""Agreement of series and texts: classes from sentences, retrieval, codes, digits."""

from __future__ import annotations

import time

import numpy as np

from benchmarks.data import about, load_split
from benchmarks.estimators import classifier
from benchmarks.experiments.ablation import VARIANTS
from benchmarks.internals import class_scores_of_text, explained
from benchmarks.memory import peak_mib
from benchmarks.runner import Experiment, Options, Row, grid, names
from benchmarks.store import Frames
from benchmarks.tables import measures

_RETRIEVED, _AT = 800, 10
_REBUILT = 500
# Both write series as digits.
MODELS = {
    "digits": {"loss_weights": {"digits": 1.0}},
    "everything": VARIANTS["everything"],
}


def evaluate(key: Row, options: Options) -> Row:
    """Fit to the training part, and compare series and texts of the test part."""
    from sktext_vq import SeriesCaptioner

    split, known = (load(key["set"], options.data) for load in (load_split, about))
    model = classifier(key["seed"], **MODELS[key["variant"]], **known)
    start = time.perf_counter()
    model.fit(split.X_train, split.y_train)
    seconds, peak_gib = time.perf_counter() - start, peak_mib() / 2**10
    X, y = split.X_test, split.y_test
    cases = np.random.default_rng(key["seed"]).permutation(len(y))[:_RETRIEVED]
    captioner = SeriesCaptioner(**known).fit(split.X_train)
    scores = model.similarity(X[cases], captioner.transform(X[cases]))
    own = np.diag(scores)
    few = X[:_REBUILT]
    return {
        "accuracy": model.score(X, y),
        **class_scores_of_text(model, X, y),
        "series_to_caption": ((scores > own[:, None]).sum(axis=1) < _AT).mean(),
        "text_to_series": ((scores > own).sum(axis=0) < _AT).mean(),
        **model.codebook_use_,
        "explained": explained(model, few, model.reconstruct(few)),
        "explained_text": explained(model, few, model.reconstruct_text(few)),
        "epochs": len(model.history_),
        "fit_seconds": seconds,
        "peak_gib": peak_gib,
    }


_SHOWN = {
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


def table(frames: Frames) -> str:
    """Write the agreement of series and texts, with a column per variant."""
    parts = dict(list(frames["crossmodal"].groupby(["set", "variant"], sort=False)))
    return measures(parts, _SHOWN, {"fit_seconds": 0, "peak_gib": 2})


EXPERIMENT = Experiment(
    name="crossmodal",
    about="agreement of series and texts: retrieval, classes and codes of sentences",
    keys=("set", "variant", "seed"),
    values=names(
        "accuracy similarity affinity series_to_caption text_to_series "
        "signal_perplexity text_perplexity signal_used text_used overlap "
        "explained explained_text epochs fit_seconds peak_gib"
    ),
    tasks=lambda options: grid(set=options.sets, variant=MODELS, seed=options.seeds),
    evaluate=evaluate,
    sets=("MotionSense",),
    seeds=(0, 1),
    threads=0,
    isolated=True,  # to measure peak memory
    tables={"crossmodal": table},
    page="# Series and texts\n\n"
    "The values are means ± standard deviations over seeds.\n\n"
    "For *class by similarity* and *class by codes*, each series is assigned to the "
    'class whose sentence "a person CLASS" is most similar to the series: by cosine '
    "similarity in the embedding space and by code usage, respectively. *Series to "
    "caption* and *text to series* are the recall@10 among 800 test series and their "
    "captions; chance level is 0.0125. *Perplexity* is the perplexity of the codes, "
    "divided by the number of codes. *Explained* is the share of the variance of "
    "test series that is reconstructed from tokens, or from digits.\n\n"
    "{crossmodal}\n",
)
