"""Loaders for data sets that are installed with sktime or stored in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from sktext_vq._io.search import find_layouts
from sktext_vq._io.ts import Series, read_arff, read_ts, read_tsv
from sktext_vq._utils.files import check_path

if TYPE_CHECKING:
    from sktext_vq._io.recordings import Recordings

__all__ = ["Dataset", "available", "load", "read_ts"]

_FOLDER_VARIABLE = "SKTEXT_VQ_DATA"

# Classification data sets installed with sktime, which downloads all other data sets.
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
# accelerometer and gyroscope of a smartwatch. The order of the sensors follows from
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


_Continuous = Literal["HHAR", "MHEALTH", "MotionSense", "PAMAP2", "WISDM", "WISDM-2019"]


@overload
def load(  # type: ignore[overload-overlap]
    name: _Continuous, data: str | os.PathLike[str] | None = None
) -> Recordings: ...
@overload
def load(name: str, data: str | os.PathLike[str] | None = None) -> Dataset: ...
def load(name: str, data: str | os.PathLike[str] | None = None) -> Dataset | Recordings:
    """Load a data set by name.

    Parameters
    ----------
    name : str
        Name of the data set; see `available`.
    data : path-like, optional
        Folder with files ``NAME.npz``, or with files ``NAME_TRAIN`` and ``NAME_TEST``
        with the extension ``.ts``, ``.arff`` or ``.tsv``, which may be in a subfolder
        ``NAME``. The folder may also contain unpacked archives of the data sets listed
        in the Notes. The default is the environment variable ``SKTEXT_VQ_DATA``.
        Files in the folder take precedence over data sets of the same name in sktime,
        and ``.npz`` files take precedence over other files.

    Returns
    -------
    Dataset or Recordings
        Series, labels and metadata. The continuous data sets listed in the Notes are
        returned as :class:`~sktext_vq.recordings.Recordings`.

    Raises
    ------
    ValueError
        If the data set is not found, or its files are invalid.

    Warns
    -----
    UserWarning
        If incomplete records or records with a time of 0 are dropped.

    Notes
    -----
    A ``.npz`` file contains arrays ``X_train``, ``y_train``, ``X_test`` and ``y_test``,
    and optionally ``subject_train``, ``subject_test``, ``channel_names``, ``units`` and
    ``sampling_rate_hz``. Files with pickled objects raise an error.

    The UCR archive (``UCRArchive_2018.zip``) contains ``.tsv`` files, and the UEA
    archive contains ``.ts`` and ``.arff`` files. Both archives are available at
    timeseriesclassification.com. Missing values at the end of series in ``.tsv`` and
    ``.arff`` files are removed.

    Continuous data sets:

    - ``"WISDM"``: ``WISDM_ar_latest.tar.gz`` (version 1.1; wisdmproject.com), with
      phone acceleration in m/s^2. If the folder contains only WISDM-2019, that data set
      is loaded;
    - ``"WISDM-2019"``: ``wisdm-dataset.zip`` (UCI repository), with a phone and a watch
      per subject as separate recordings;
    - ``"PAMAP2"``: ``PAMAP2_Dataset.zip`` (UCI repository), with three sensor units and
      the heart rate. Invalid orientations are omitted;
    - ``"MHEALTH"``: ``MHEALTHDATASET.zip`` (UCI repository);
    - ``"HHAR"``: ``Activity recognition exp.zip`` (UCI repository, heterogeneity
      activity recognition), with one recording per user and device. Sensor times are
      used if they are consistent with the arrival times;
    - ``"MotionSense"``: ``A_DeviceMotion_data.zip`` (mmalekzadeh/motion-sense on
      GitHub).

    ``"UCI-HAR"`` (``UCI HAR Dataset.zip``, UCI repository) is returned as a `Dataset`
    with the windows defined by its authors.

    Labels are words in lower case, such as ``"walking upstairs"``, and timepoints
    without an activity are unlabelled. If the timestamps of the gyroscope differ from
    those of the accelerometer, the gyroscope data are interpolated at the latter.
    Recordings are split where timestamps decrease, and rows with equal timestamps are
    spaced evenly up to the next timestamp.

    Examples
    --------
    >>> from sktext_vq.datasets import load
    >>> motions = load("BasicMotions")
    >>> motions.X_train.shape, motions.sampling_rate
    ((40, 6, 100), 10.0)
    >>> sorted(set(motions.y_train.tolist()))
    ['badminton', 'running', 'standing', 'walking']
    """
    sources: dict[str, Callable[[], Any]] = {**_sources(data)}
    if isinstance(name, str) and name not in sources:
        sources = dict(sorted((_layouts(data) | sources).items()))
    if not isinstance(name, str) or name not in sources:
        names = ", ".join(sources) or "none"
        hint = "" if find_spec("sktime") else ", or install sktime and its data sets"
        raise ValueError(
            f"Unknown data set {name!r}. Available data sets: {names}. For other data "
            "sets, set the parameter data or the environment variable "
            f"{_FOLDER_VARIABLE} to a folder that contains .npz, .ts, .arff or .tsv "
            f"files or a public data set{hint}."
        )
    return sources[name]()


def available(data: str | os.PathLike[str] | None = None) -> list[str]:
    """Return the names of available data sets.

    Parameters
    ----------
    data : path-like, optional
        Data set folder, as in `load`.

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
    return sorted({**_layouts(data), **_sources(data)})


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
    folder = _folder(data)
    if folder is not None:
        for extension in _EXTENSIONS:
            end = f"_TRAIN{extension}"
            for train in (*folder.glob(f"*{end}"), *folder.glob(f"*/*{end}")):
                name = train.name.removesuffix(end)
                if train.parent == folder or train.parent.name == name:
                    sources[name] = partial(_load_ts, name, train.parent, extension)
        for path in folder.glob("*.npz"):
            sources[path.stem] = partial(_load_npz, path)
    return dict(sorted(sources.items()))


def _folder(data: str | os.PathLike[str] | None) -> Path | None:
    if data is not None:
        check_path(data)
    data = data or os.environ.get(_FOLDER_VARIABLE)
    if not data:
        return None
    folder = Path(data)
    if not folder.is_dir():
        raise ValueError(f"The data set folder does not exist: {folder}.")
    return folder


def _layouts(data: str | os.PathLike[str] | None) -> dict[str, Callable[[], Any]]:
    """Return the loading function of each public data set, identified by file names."""
    folder = _folder(data)
    if folder is None:
        return {}
    found = find_layouts(folder)
    if "WISDM-2019" in found:
        found.setdefault("WISDM", found["WISDM-2019"])
    return {name: partial(_load_layout, name, paths) for name, paths in found.items()}


def _load_layout(name: str, paths: list[Path]) -> Dataset | Recordings:
    # Imported here, because pandas is not needed by `available`.
    from sktext_vq._io.layouts import READERS, read_windows

    if name == "UCI-HAR":
        return Dataset(name, **read_windows(paths))
    is_new = name == "WISDM" and paths[0].name.startswith("data_")
    return READERS["WISDM-2019" if is_new else name](paths)


# Readers of archive files by extension, in ascending order of precedence.
_EXTENSIONS: dict[str, Callable[[Path], Any]] = {
    ".tsv": read_tsv,
    ".arff": read_arff,
    ".ts": read_ts,
}


def _load_ts(name: str, folder: Path, extension: str = ".ts") -> Dataset:
    """Load training and test files in a format of the UCR and UEA archives."""
    read = _EXTENSIONS[extension]
    X_train, y_train = read(folder / f"{name}_TRAIN{extension}")
    X_test, y_test = read(folder / f"{name}_TEST{extension}")
    if y_train is None or y_test is None:
        raise ValueError(f"{name} in {folder} has no class labels.")
    is_ragged = isinstance(X_train, list) or isinstance(X_test, list)
    if is_ragged or X_train[0].shape != X_test[0].shape:
        X_train, X_test = list(X_train), list(X_test)
    return Dataset(name, X_train, y_train, X_test, y_test, **_FACTS.get(name, {}))


def _load_npz(path: Path) -> Dataset:
    # Imported here, because pandas is not needed by `available`.
    from sktext_vq._io.arrays import about_cases, names_of, rate_of

    # numpy.load does not close invalid files.
    with path.open("rb") as opened:
        try:
            file = np.load(opened, allow_pickle=False)
            arrays = {key: file[key] for key in file.files}
        except Exception as error:  # from zipfile, zlib, struct, numpy, ...
            raise ValueError(
                f"{path} is damaged or is not an .npz file without pickled objects: "
                f"{error}."
            ) from error
    for split in ("train", "test"):
        X, y = (arrays.get(f"{name}_{split}") for name in "Xy")
        if X is None or y is None or X.ndim == 0 or X.shape[:1] != y.shape:
            raise ValueError(
                f"{path} must contain arrays X_{split} and y_{split} with the same "
                f"number of cases. Arrays in the file: {', '.join(arrays) or 'none'}."
            )
        labels = about_cases(y, f"y_{split}", len(X), path)
        arrays[f"y_{split}"] = labels.astype(np.str_)
    shape = arrays["X_train"].shape
    n_channels = shape[1] if len(shape) == 3 else 1
    return Dataset(
        name=path.stem,
        X_train=arrays["X_train"],
        y_train=arrays["y_train"],
        X_test=arrays["X_test"],
        y_test=arrays["y_test"],
        subjects_train=arrays.get("subject_train"),
        subjects_test=arrays.get("subject_test"),
        channel_names=names_of(
            arrays.get("channel_names"), "channel_names", n_channels, path
        ),
        units=names_of(arrays.get("units"), "units", n_channels, path),
        sampling_rate=rate_of(arrays.get("sampling_rate_hz"), path),
    )
