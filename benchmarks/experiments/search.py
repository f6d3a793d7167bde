"""Search of long recordings by names of seen and unseen classes.

Test series of each person are concatenated in the order of the file. Windows of the
length of the training series are cut from this recording and overlap by half, so many
windows span two of the series. The class of a window is the class at its middle.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from benchmarks.data import about, load_split, spread_by_class
from benchmarks.estimators import classifier_closed
from benchmarks.experiments.zero_shot import MOST_CASES
from benchmarks.runner import Experiment, Options, Row, grid
from benchmarks.store import Frames
from benchmarks.tables import markdown


def put_in_rows(X: Any, y: NDArray[Any], subjects: NDArray[Any] | None) -> Any:
    """Make a recording of each person's series; return windows, classes, persons."""
    from sktext_vq.recordings import cut_windows

    length = X.shape[2]
    owners = np.zeros(len(y)) if subjects is None else subjects
    windows, classes, persons = [], [], []
    for person in np.unique(owners):
        own = np.flatnonzero(owners == person)
        found = cut_windows(np.concatenate(list(X[own]), axis=1), length)
        middles = np.arange(len(found)) * (length // 2) + length // 2
        windows.append(found)
        classes.append(y[own][middles // length])
        persons.append(np.full(len(found), person))
    return tuple(map(np.concatenate, (windows, classes, persons)))


def evaluate(key: Row, options: Options) -> Row:
    """Search all recordings for a class by name."""
    split, label = load_split(key["set"], options.data), key["class"]
    train = spread_by_class(split.y_train, MOST_CASES)
    if not key["recorded"]:
        train = train[split.y_train[train] != label]
    model = classifier_closed(0, **about(key["set"], options.data))
    windows, classes, persons = put_in_rows(
        split.X_test, split.y_test, split.subjects_test
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The text of")
        model.fit(split.X_train[train], split.y_train[train])
        table = model.search(windows, label)
    fit = np.empty(len(windows))
    fit[table["case"]] = table["score"]
    wanted = classes == label
    by_person = [
        average_precision_score(wanted[persons == person], fit[persons == person])
        for person in np.unique(persons[wanted])
    ]
    return {
        "windows": len(windows),
        "chance": wanted.mean(),
        "average_precision": np.mean(by_person),
        "least": np.min(by_person),
    }


def tasks(options: Options) -> Iterator[Row]:
    """Yield all classes of a set, as seen and as unseen classes."""
    for name in options.sets:
        labels = np.unique(load_split(name, options.data).y_train).tolist()
        yield from grid(**{"set": [name], "class": labels, "recorded": (True, False)})


def table(frames: Frames) -> str:
    """Write the average precision for each class, seen and unseen."""
    rows = []
    for key, own in frames["search"].groupby(["set", "class"], sort=False):
        own = own.set_index("recorded")
        cells = [
            f"{own.loc[each, 'average_precision']:.3f} ({own.loc[each, 'least']:.3f})"
            for each in (True, False)
        ]
        rows.append([*key, f"{own['chance'].iloc[0]:.3f}", *cells])
    return markdown(["set", "class", "chance", "training class", "unseen class"], rows)


EXPERIMENT = Experiment(
    name="search",
    about="search of recordings by names of training classes and unseen classes",
    keys=("set", "class", "recorded"),
    values=("windows", "chance", "average_precision", "least"),
    tasks=tasks,
    evaluate=evaluate,
    sets=("MotionSense",),
    processes=0,
    tables={"search": table},
    page="# Search of recordings by class name\n\n"
    "The table shows the mean average precision over people and, in brackets, the "
    "average precision for the person with the lowest value.\n\n"
    "{search}\n",
)
