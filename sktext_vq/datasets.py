"""Loaders for data sets that are installed with sktime or stored in a folder."""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from sktext_vq._utils.files import check_path
from sktext_vq._utils.numbers import MAX_INTEGER
from sktext_vq._utils.validation import format_names

__all__ = ["Dataset", "available", "load", "read_ts"]

Series = NDArray[np.floating[Any]] | list[NDArray[np.floating[Any]]]

_FOLDER_VARIABLE = "SKTEXT_VQ_DATA"

# Classification data sets installed with sktime; loaders of others download files.
_PACKAGED = (
    "ACSF1",
    "ArrowHead",
    "BasicMotions",
    "GunPoint",
    "ItalyPowerDemand",
    "JapaneseVowels",
    "OSULeaf",
    "PLAID",
)

# Metadata that .ts files do not contain. BasicMotions was recorded at 10 Hz by the
# accelerometer and gyroscope of a smart watch. The order of the sensors follows from
# the data: channels 3 to 5 have mean 0 and the resolution of a gyroscope.
_FACTS: dict[str, dict[str, Any]] = {
    "BasicMotions": {
        "channel_names": ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z"),
        "sampling_rate": 10.0,
    }
}


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled series, split into training and test data.

    Attributes
    ----------
    name : str
        Name of the data set.
    X_train, X_test : ndarray of shape (n_cases, n_channels, n_timepoints) or list
        Series. If lengths differ, both are lists of arrays of shape
        (n_channels, n_timepoints_i).
    y_train, y_test : ndarray of str, shape (n_cases,)
        Class labels.
    subjects_train, subjects_test : ndarray of shape (n_cases,), optional
        Subject of each series.
    channel_names : tuple of str, optional
        Names of the channels.
    units : tuple of str, optional
        Units of the channels.
    sampling_rate : float, optional
        Sampling rate in Hz.

    See Also
    --------
    load : Load a data set by name.
    """

    name: str
    X_train: Series
    y_train: NDArray[np.str_]
    X_test: Series
    y_test: NDArray[np.str_]
    subjects_train: NDArray[Any] | None = None
    subjects_test: NDArray[Any] | None = None
    channel_names: tuple[str, ...] | None = None
    units: tuple[str, ...] | None = None
    sampling_rate: float | None = None


def load(name: str, data: str | os.PathLike[str] | None = None) -> Dataset:
    """Load a data set by name.

    Parameters
    ----------
    name : str
        Name of the data set; see `available`.
    data : path-like, optional
        Folder with files ``NAME.npz``, or ``NAME_TRAIN.ts`` and ``NAME_TEST.ts``,
        which may be in a subfolder ``NAME``. The default is the environment variable
        ``SKTEXT_VQ_DATA``, if set. Files in the folder take precedence over data sets
        of the same name in sktime.

    Returns
    -------
    Dataset
        Series, labels and metadata.

    Raises
    ------
    ValueError
        If the data set is not found, or its files are invalid.

    Notes
    -----
    A ``.npz`` file contains arrays ``X_train``, ``y_train``, ``X_test`` and ``y_test``,
    and optionally ``subject_train``, ``subject_test``, ``channel_names``, ``units`` and
    ``sampling_rate_hz``. Pickled objects raise an error.

    Examples
    --------
    >>> from sktext_vq.datasets import load
    >>> motions = load("BasicMotions")
    >>> motions.X_train.shape, motions.sampling_rate
    ((40, 6, 100), 10.0)
    >>> sorted(set(motions.y_train.tolist()))
    ['badminton', 'running', 'standing', 'walking']
    """
    sources = _sources(data)
    if not isinstance(name, str) or name not in sources:
        names = ", ".join(sources) or "none"
        hint = "" if find_spec("sktime") else ", or install sktime and its data sets"
        raise ValueError(
            f"Unknown data set {name!r}. Available: {names}. Set the parameter "
            f"data or the environment variable {_FOLDER_VARIABLE} to a folder of .npz "
            f"or .ts files{hint}."
        )
    return sources[name]()


def available(data: str | os.PathLike[str] | None = None) -> list[str]:
    """Return the names of available data sets.

    Parameters
    ----------
    data : path-like, optional
        Folder of data sets, as in `load`.

    Returns
    -------
    list of str
        Names in alphabetical order.

    Examples
    --------
    >>> from sktext_vq.datasets import available
    >>> "BasicMotions" in available()
    True
    """
    return list(_sources(data))


def read_ts(path: str | os.PathLike[str]) -> tuple[Series, NDArray[np.str_] | None]:
    r"""Read a ``.ts`` file, the format of the UEA and UCR archives.

    Parameters
    ----------
    path : path-like
        File to read. ``?`` and ``NaN`` are missing values.

    Returns
    -------
    X : ndarray of shape (n_cases, n_channels, n_timepoints) or list of ndarray
        Series; a list of (n_channels, n_timepoints_i) arrays if lengths differ.
    y : ndarray of str, shape (n_cases,), or None
        Class labels in lower case, as in sktime, or regression targets as text. None
        if the file has no labels.

    Raises
    ------
    ValueError
        If the file is not a valid ``.ts`` file in UTF-8, has time stamps, or has labels
        that its header does not declare or that differ only in upper and lower case.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from sktext_vq.datasets import read_ts
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "two_TRAIN.ts")
    ...     lines = ["@classLabel true up down", "@data", "1,2,3:up", "3,?,1:down"]
    ...     _ = path.write_text("\n".join(lines))
    ...     X, y = read_ts(path)
    >>> X.shape, y.tolist()
    ((2, 1, 3), ['up', 'down'])
    """
    path = check_path(path)
    cases: list[NDArray[np.floating[Any]]] = []
    labels: list[str] = []
    kind, declared, in_data = "", [""], False
    with path.open("rb") as file:
        for number, content in enumerate(file, start=1):
            content = content.removeprefix(codecs.BOM_UTF8).strip()
            if not content or content.startswith((b"#", b"%")):
                continue
            place = f"Line {number} of {path}"
            if fault := fault_of_text(content):
                raise ValueError(f"{place} has {fault}. {SAVE_AS_UTF_8}")
            line = content.decode().lower()
            if not in_data:
                key, *values = line.split()
                if key == "@timestamps" and values[:1] == ["true"]:
                    raise ValueError(f"{path} has time stamps: not supported.")
                if key in ("@classlabel", "@targetlabel") and values[:1] == ["true"]:
                    kind, declared = key, values[1:]
                    _check_declared(content.decode().split()[2:], kind, place)
                in_data = key == "@data"
                continue
            channels = line.split(":")
            if kind:
                labels.append(_check_label(channels.pop(), kind, declared, place))
            cases.append(_read_series(channels, cases, place))
    if not cases:
        raise ValueError(f"{path} is not a .ts file: no series after a line @data.")
    X: Series = np.stack(cases) if len({case.shape for case in cases}) == 1 else cases
    return X, np.array(labels, dtype=np.str_) if kind else None


def _read_series(
    channels: list[str], cases: list[NDArray[np.floating[Any]]], place: str
) -> NDArray[np.floating[Any]]:
    """Parse the values of a line, and check the number of channels."""
    try:
        series = np.array([_numbers(channel) for channel in channels])
    except ValueError as error:
        raise ValueError(
            f"{place} is not a valid series. Channels must be separated by colons and "
            "have the same number of comma-separated values."
        ) from error
    if cases and len(series) != len(cases[0]):
        raise ValueError(
            f"{place} has {len(series)} channels, but the first series has "
            f"{len(cases[0])}."
        )
    return series


def _check_declared(declared: list[str], kind: str, place: str) -> None:
    """Check the labels declared in a header."""
    if kind == "@targetlabel":
        return
    if not declared:
        raise ValueError(f"{place} must list all class labels after 'true'.")
    if len({label.lower() for label in declared}) < len(set(declared)):
        raise ValueError(
            f"{place} declares labels that differ only in upper and lower case: "
            f"{format_names(declared)}. Labels are read in lower case: rename them."
        )


def _check_label(label: str, kind: str, declared: list[str], place: str) -> str:
    """Return a declared label or a numeric target; raise if it is neither."""
    label = label.strip()
    if kind == "@targetlabel":
        try:
            float(label)
        except ValueError as error:
            raise ValueError(
                f"{place} ends in {label!r}, which is not a number. The header "
                "announces a target at the end of each line."
            ) from error
    elif label not in declared:
        raise ValueError(
            f"{place} ends in {label!r}, which is not among the labels that the header "
            f"declares: {format_names(declared)}. End each line in a colon and a "
            "label, and declare all labels after @classLabel true."
        )
    return label


def _numbers(channel: str) -> NDArray[np.float64]:
    """Parse the values of one channel."""
    return np.array(channel.replace("?", "nan").split(","), dtype=np.float64)


SAVE_AS_UTF_8 = "Save the file as UTF-8 text."


def fault_of_text(line: bytes) -> str | None:
    """Return the reason why a line is not valid UTF-8 text, or None."""
    try:
        line.decode()
    except UnicodeDecodeError as error:
        byte = line[error.start]
        return f"a byte that is not UTF-8, 0x{byte:02x},"
    return "a NUL character" if b"\0" in line else None


@overload
def about_cases(
    values: NDArray[Any], name: str, n_cases: int, path: Path
) -> NDArray[Any]: ...
@overload
def about_cases(
    values: NDArray[Any] | None, name: str, n_cases: int, path: Path
) -> NDArray[Any] | None: ...
def about_cases(
    values: NDArray[Any] | None, name: str, n_cases: int, path: Path
) -> NDArray[Any] | None:
    """Return an array with one value per case as integers or strings."""
    if values is None:
        return None
    if values.shape != (n_cases,):
        raise ValueError(
            f"{path} has {n_cases} cases, but its {name} has shape {values.shape}: "
            f"expected ({n_cases},)."
        )
    is_text = values.dtype.kind in "US"
    missing = np.char.str_len(values) == 0 if is_text else values != values
    if missing.any():
        raise ValueError(
            f"{path} has a missing {name} for case {missing.argmax()} (counted from 0)."
        )
    try:
        return plain(values)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} has invalid UTF-8 in {name}: {error}.") from error


def plain(values: NDArray[Any]) -> NDArray[Any]:
    """Convert integral numbers to integers and other values to strings."""
    if values.dtype.kind in "iu":
        return values
    if values.dtype.kind == "f":
        is_whole = (values == np.trunc(values)) & (np.abs(values) < MAX_INTEGER)
        if is_whole.all():
            return values.astype(np.int64)
    if values.dtype.kind == "S":
        return np.char.decode(values, "utf-8")
    texts = values.astype(np.str_)
    if values.dtype.kind == "O" and any(str(each).endswith("\0") for each in values):
        raise ValueError("Labels and subjects must not end with a NUL character.")
    return texts


def _sources(
    data: str | os.PathLike[str] | None,
) -> dict[str, Callable[[], Dataset]]:
    """Return the loading function of each available data set, sorted by name."""
    sources: dict[str, Callable[[], Dataset]] = {}
    sktime = find_spec("sktime")  # importing sktime would take seconds
    if sktime is not None and sktime.submodule_search_locations:
        packaged = Path(sktime.submodule_search_locations[0], "datasets", "data")
        for name in _PACKAGED:
            if (packaged / name / f"{name}_TRAIN.ts").is_file():
                sources[name] = partial(_load_ts, name, packaged / name)
    if data is not None:
        check_path(data)
    data = data or os.environ.get(_FOLDER_VARIABLE)
    if data:
        folder = Path(data)
        if not folder.is_dir():
            raise ValueError(f"The folder of data sets does not exist: {folder}.")
        for train in (*folder.glob("*_TRAIN.ts"), *folder.glob("*/*_TRAIN.ts")):
            name = train.name.removesuffix("_TRAIN.ts")
            if train.parent == folder or train.parent.name == name:
                sources[name] = partial(_load_ts, name, train.parent)
        for path in folder.glob("*.npz"):
            sources[path.stem] = partial(_load_npz, path)
    return dict(sorted(sources.items()))


def _load_ts(name: str, folder: Path) -> Dataset:
    """Load the .ts files of training and test data."""
    X_train, y_train = read_ts(folder / f"{name}_TRAIN.ts")
    X_test, y_test = read_ts(folder / f"{name}_TEST.ts")
    if y_train is None or y_test is None:
        raise ValueError(f"{name} in {folder} has no class labels.")
    is_ragged = isinstance(X_train, list) or isinstance(X_test, list)
    if is_ragged or X_train[0].shape != X_test[0].shape:
        X_train, X_test = list(X_train), list(X_test)
    return Dataset(name, X_train, y_train, X_test, y_test, **_FACTS.get(name, {}))


def _load_npz(path: Path) -> Dataset:
    """Load an .npz file."""
    # numpy does not close invalid files.
    with path.open("rb") as opened:
        try:
            file = np.load(opened, allow_pickle=False)
            arrays = {key: file[key] for key in file.files}
        except Exception as error:  # from zipfile, zlib, struct, numpy, ...
            raise ValueError(
                f"{path} is damaged, or not an .npz file without pickled objects: "
                f"{error}."
            ) from error
    for split in ("train", "test"):
        X, y = (arrays.get(f"{name}_{split}") for name in "Xy")
        if X is None or y is None or X.ndim == 0 or X.shape[:1] != y.shape:
            raise ValueError(
                f"{path} needs arrays X_{split} and y_{split} with the same number of "
                f"cases. Arrays in the file: {', '.join(arrays) or 'none'}."
            )
        labels = about_cases(y, f"y_{split}", len(X), path)
        arrays[f"y_{split}"] = labels.astype(np.str_)
    rate = arrays.get("sampling_rate_hz")
    if rate is not None and (rate.size != 1 or rate.dtype.kind not in "iuf"):
        raise ValueError(f"{path} must have one number as sampling rate, got {rate!r}.")
    return Dataset(
        name=path.stem,
        X_train=arrays["X_train"],
        y_train=arrays["y_train"],
        X_test=arrays["X_test"],
        y_test=arrays["y_test"],
        subjects_train=arrays.get("subject_train"),
        subjects_test=arrays.get("subject_test"),
        channel_names=_names(arrays.get("channel_names")),
        units=_names(arrays.get("units")),
        sampling_rate=None if rate is None else float(rate.item()),
    )


def _names(array: NDArray[Any] | None) -> tuple[str, ...] | None:
    """Convert an optional array of names to a tuple."""
    return None if array is None else tuple(map(str, array.tolist()))
