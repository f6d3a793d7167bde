"""Named data sets: those that come with sktime, and files in a folder."""

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
from sktext_vq._utils.validation import format_names

__all__ = ["Dataset", "available", "load", "read_ts"]

Series = NDArray[np.floating[Any]] | list[NDArray[np.floating[Any]]]

_FOLDER_VARIABLE = "SKTEXT_VQ_DATA"

# The classification sets in an installation of sktime; anything else that it can load
# would be a download.
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

# What files of the .ts format have no field for. BasicMotions: a smart watch's
# accelerometer and gyroscope, one value each tenth of a second, says its description.
# The order of the two shows in the data: channels 3 to 5 have mean 0 and come in the
# fixed steps of a gyroscope. Units are not documented.
_FACTS: dict[str, dict[str, Any]] = {
    "BasicMotions": {
        "channel_names": ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z"),
        "sampling_rate": 10.0,
    }
}


@dataclass(frozen=True, eq=False)
class Dataset:
    """Series with labels, split into training and test cases.

    Attributes
    ----------
    name : str
        Name of the data set.
    X_train, X_test : ndarray of shape (n_cases, n_channels, n_timepoints) or list
        Series. Where they differ in length, both are lists of arrays of shape
        (n_channels, n_timepoints_i).
    y_train, y_test : ndarray of str, shape (n_cases,)
        Class labels.
    subjects_train, subjects_test : ndarray of shape (n_cases,), optional
        Who each series was recorded from.
    channel_names : tuple of str, optional
        Names of the channels.
    units : tuple of str, optional
        Units of the channels.
    sampling_rate : float, optional
        Timepoints per second, in Hz.

    See Also
    --------
    load : Load a data set by its name.
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
    """Load a data set by its name.

    Parameters
    ----------
    name : str
        A name that `available` lists.
    data : path-like, optional
        Folder with ``NAME.npz`` files, or pairs ``NAME_TRAIN.ts`` and
        ``NAME_TEST.ts``, which may be in a subfolder ``NAME``. By default the folder
        that the environment variable ``SKTEXT_VQ_DATA`` names, if any. Files in the
        folder go before sets of the same name that come with sktime.

    Returns
    -------
    Dataset
        Series, labels, and what is known of subjects and channels.

    Raises
    ------
    ValueError
        If there is no such data set, or its files are not what they should be.

    Notes
    -----
    A ``.npz`` file has arrays ``X_train``, ``y_train``, ``X_test`` and ``y_test``, and
    may have ``subject_train``, ``subject_test``, ``channel_names``, ``units`` and
    ``sampling_rate_hz``. Pickled objects in it are refused.

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
        hint = "" if find_spec("sktime") else ", or install sktime for those it has"
        raise ValueError(
            f"There is no data set {name!r}. Available: {names}. Give a folder of .npz "
            f"or .ts files as data, or in {_FOLDER_VARIABLE}{hint}."
        )
    return sources[name]()


def available(data: str | os.PathLike[str] | None = None) -> list[str]:
    """List the names that can be loaded.

    Parameters
    ----------
    data : path-like, optional
        Folder of data sets, as for `load`.

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
    r"""Read one file of the ``.ts`` format of the UEA and UCR archives.

    Parameters
    ----------
    path : path-like
        File to read. ``?`` and ``NaN`` are missing values.

    Returns
    -------
    X : ndarray of shape (n_cases, n_channels, n_timepoints) or list of ndarray
        Series; a list of (n_channels, n_timepoints_i) arrays if they differ in length.
    y : ndarray of str, shape (n_cases,), or None
        Class labels, or targets of a regression as text, if the file has any. They are
        in lower case, as sktime's own reader returns them.

    Raises
    ------
    ValueError
        If the file is not such a file or not UTF-8, has time stamps, or has labels
        that its header does not declare or that differ by case alone.

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
                    raise ValueError(f"{path} has time stamps, which are not read.")
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
        raise ValueError(f"{path} is not a .ts file with series after a line @data.")
    X: Series = np.stack(cases) if len({case.shape for case in cases}) == 1 else cases
    return X, np.array(labels, dtype=np.str_) if kind else None


def _read_series(
    channels: list[str], cases: list[NDArray[np.floating[Any]]], place: str
) -> NDArray[np.floating[Any]]:
    """Return the values of a line, with as many channels as earlier cases."""
    try:
        series = np.array([_numbers(channel) for channel in channels])
    except ValueError as error:
        raise ValueError(
            f"{place} is not a series: channels of the same number of comma-separated "
            "values, separated by colons."
        ) from error
    if cases and len(series) != len(cases[0]):
        raise ValueError(
            f"{place} has {len(series)} channels, but the first series has "
            f"{len(cases[0])}."
        )
    return series


def _check_declared(declared: list[str], kind: str, place: str) -> None:
    """Check the labels that a header declares."""
    if kind == "@targetlabel":
        return
    if not declared:
        raise ValueError(f"{place} needs the labels of all classes after 'true'.")
    if len({label.lower() for label in declared}) < len(set(declared)):
        raise ValueError(
            f"{place} declares labels that differ by case alone: "
            f"{format_names(declared)}. Labels are read in lower case; give each its "
            "own name."
        )


def _check_label(label: str, kind: str, declared: list[str], place: str) -> str:
    """Return a label that the header declares, or a target that is a number."""
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
    """Return why a line is not text in UTF-8, if it is not."""
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
    """Return what an array says of each case, in plain types."""
    if values is None:
        return None
    if values.shape != (n_cases,):
        raise ValueError(
            f"{path} has {n_cases} cases, but its {name} has shape {values.shape}: it "
            "needs one for each case."
        )
    is_text = values.dtype.kind in "US"
    missing = np.char.str_len(values) == 0 if is_text else values != values
    if missing.any():
        raise ValueError(
            f"{path} has no {name} for case {missing.argmax()} (counted from 0)."
        )
    try:
        return plain(values)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} has {name} that is not UTF-8: {error}.") from error


def plain(values: NDArray[Any]) -> NDArray[Any]:
    """Return whole numbers as such, and all else as strings."""
    if values.dtype.kind in "iu":
        return values
    if values.dtype.kind == "f":
        # Past this, neighbours among whole numbers are the same float.
        is_whole = (values == np.trunc(values)) & (np.abs(values) < 2**53)
        if is_whole.all():
            return values.astype(np.int64)
    if values.dtype.kind == "S":
        return np.char.decode(values, "utf-8")
    texts = values.astype(np.str_)
    if values.dtype.kind == "O" and any(str(each).endswith("\0") for each in values):
        raise ValueError("Labels and subjects must not end in a NUL character.")
    return texts


def _sources(
    data: str | os.PathLike[str] | None,
) -> dict[str, Callable[[], Dataset]]:
    """Return what loads each available data set, in the order of names."""
    sources: dict[str, Callable[[], Dataset]] = {}
    sktime = find_spec("sktime")  # found without the seconds that importing it takes
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
            raise ValueError(f"The folder of data sets, {folder}, is not there.")
        for train in (*folder.glob("*_TRAIN.ts"), *folder.glob("*/*_TRAIN.ts")):
            name = train.name.removesuffix("_TRAIN.ts")
            if train.parent == folder or train.parent.name == name:
                sources[name] = partial(_load_ts, name, train.parent)
        for path in folder.glob("*.npz"):
            sources[path.stem] = partial(_load_npz, path)
    return dict(sorted(sources.items()))


def _load_ts(name: str, folder: Path) -> Dataset:
    """Load a pair of .ts files."""
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
    # numpy leaves files open that it cannot read.
    with path.open("rb") as opened:
        try:
            file = np.load(opened, allow_pickle=False)
            arrays = {key: file[key] for key in file.files}
        except Exception as error:  # of zipfile, zlib, struct, numpy, ...
            raise ValueError(
                f"{path} is damaged, or not an .npz file without pickled objects: "
                f"{error}"
            ) from error
    for split in ("train", "test"):
        X, y = (arrays.get(f"{name}_{split}") for name in "Xy")
        if X is None or y is None or X.ndim == 0 or X.shape[:1] != y.shape:
            raise ValueError(
                f"{path} needs arrays X_{split} and y_{split} of the same number of "
                f"cases. It has {', '.join(arrays) or 'nothing'}."
            )
        labels = about_cases(y, f"y_{split}", len(X), path)
        arrays[f"y_{split}"] = labels.astype(np.str_)
    rate = arrays.get("sampling_rate_hz")
    if rate is not None and (rate.size != 1 or rate.dtype.kind not in "iuf"):
        raise ValueError(f"{path} needs one number as sampling rate, got {rate!r}.")
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
    """Return an array of names as tuple, if there is one."""
    return None if array is None else tuple(map(str, array.tolist()))
