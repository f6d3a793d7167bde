"""Search of long recordings by names of classes, with and without recordings of them.

Test series of each person, in the order of the file, are put in a row. Windows of the
length of the training series are cut from it anew, half over each other, so that many
lie across two of these series. A window is of the class at its middle.
"""

from __future__ import annotations

import argparse
import os
import warnings
from typing import Any

import numpy as np
from estimators import limit_threads
from joblib import Parallel, delayed
from numpy.typing import NDArray
from protocol import Results, about, load_split, log, make_parser
from report import write_report
from sklearn.metrics import average_precision_score
from zero_shot import few_of_each

KEYS = ("set", "class", "recorded")
VALUES = ("windows", "chance", "average_precision", "least")


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


def evaluate(name: str, label: str, recorded: bool, data: str | None) -> dict[str, Any]:
    """Search the recordings of all for a class by its name."""
    from sktext_vq import VQTextClassifier

    split = load_split(name, data)
    train = few_of_each(split.y_train)
    if not recorded:
        train = train[split.y_train[train] != label]
    model = VQTextClassifier(max_epochs=0, random_state=0, **about(split))
    windows, classes, persons = put_in_rows(
        split.X_test, split.y_test, split.subjects_test
    )
    with limit_threads(1), warnings.catch_warnings():
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
        "set": name,
        "class": label,
        "recorded": recorded,
        "windows": len(windows),
        "chance": wanted.mean(),
        "average_precision": np.mean(by_person),
        "least": np.min(by_person),
    }


def main() -> None:
    """Compute what is missing, and write the table."""
    parser = make_parser(
        "Search recordings of test subjects for classes by their names. Rows that "
        "results/search.csv has are not computed again."
    )
    parser.add_argument(
        "--sets", nargs="+", default=["MotionSense"], help="data sets", metavar="SET"
    )
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count(), help="of one thread each"
    )
    args: argparse.Namespace = parser.parse_args()
    results = Results(args.results / "search.csv", KEYS, VALUES)
    tasks = [
        (name, label, recorded)
        for name in args.sets
        for label in np.unique(load_split(name, args.data).y_train).tolist()
        for recorded in (True, False)
    ]
    rows = Parallel(n_jobs=args.processes, return_as="generator")(
        delayed(evaluate)(*task, args.data) for task in tasks if task not in results
    )
    for row in rows:
        results.add(row)
        log(f"{row['class']}, recorded: {row['recorded']}: {row['average_precision']}")
    write_report("search", args.results)


if __name__ == "__main__":
    main()
