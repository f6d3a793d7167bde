"""Functions to read arrays from ``.npz`` and ``.npy`` files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from sktext_vq._io.delimited import convert_errors
from sktext_vq._io.table import LabelledPanel
from sktext_vq._utils.numbers import MAX_INTEGER


def read_npz(path: Path, part: str | None) -> LabelledPanel:
    # numpy.load does not close invalid files.
    with path.open("rb") as opened:
        with convert_errors(path, "an .npz file without pickled objects"):
            file = np.load(opened, allow_pickle=False)
        if isinstance(file, np.ndarray):
            raise ValueError(
                f"{path} contains a single array. Change the file extension to .npy."
            )
        end = _end_of_names(file.files, part, path)

        def find(*names: str) -> NDArray[Any] | None:
            with convert_errors(path, "an .npz file without pickled objects"):
                return next((file[name] for name in names if name in file), None)

        X = _check_X(find(f"X{end}"), path)
        y = find(f"y{end}")
        groups = find(f"subject{end}", f"groups{end}")
        names = names_of(find("channel_names"), "channel_names", X.shape[1], path)
        rate = rate_of(find("sampling_rate_hz", "sampling_rate"), path)
    return LabelledPanel(
        X,
        about_cases(y, "y", len(X), path),
        about_cases(groups, "subject or groups", len(X), path),
        names,
        rate,
    )


def names_of(
    names: NDArray[Any] | None, what: str, n_channels: int, path: Path
) -> tuple[str, ...] | None:
    """Return the names or units of channels in an ``.npz`` file."""
    if names is None:
        return None
    if names.shape != (n_channels,):
        raise ValueError(
            f"{path} has {n_channels} channels, but {what} has shape {names.shape}."
        )
    return tuple(plain(names).astype(np.str_).tolist())


def rate_of(rate: NDArray[Any] | None, path: Path) -> float | None:
    if rate is None:
        return None
    if rate.size != 1 or rate.dtype.kind not in "iuf":
        raise ValueError(f"The sampling rate in {path} must be a number, got {rate!r}.")
    return float(rate.item())


def _end_of_names(names: list[str], part: str | None, path: Path) -> str:
    """Return the suffix of array names: "", "_train" or "_test"."""
    if "X" in names:
        return ""
    parts = [each for each in ("train", "test") if f"X_{each}" in names]
    if part is None and len(parts) == 2:
        raise ValueError(
            f"{path} has a training and a test part. Set part='train' or part='test'."
        )
    if part is None and parts:
        return f"_{parts[0]}"
    if part not in parts:
        wanted = f"X or X_{part}" if part else "X, X_train or X_test"
        raise ValueError(
            f"{path} has no array {wanted}. Arrays in the file: "
            f"{', '.join(names) or 'none'}."
        )
    return f"_{part}"


def read_npy(path: Path) -> LabelledPanel:
    """Read series from an ``.npy`` file as a memory map."""
    with convert_errors(path, "an .npy file without pickled objects"):
        X = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(X, np.ndarray):
        raise ValueError(
            f"{path} contains several arrays. Change the file extension to .npz."
        )
    return LabelledPanel(_check_X(X, path))


def _check_X(X: Any, path: Path) -> NDArray[Any]:
    if X.ndim not in (2, 3) or X.dtype.kind not in "biuf":
        raise ValueError(
            f"{path}: X must be numeric with shape (n_cases, n_channels, n_timepoints) "
            f"or (n_cases, n_timepoints), got {X.dtype} with shape {X.shape}."
        )
    return cast(NDArray[Any], X[:, np.newaxis] if X.ndim == 2 else X)


def about_cases(values: Any, name: str, n_cases: int, path: Path) -> Any:
    """Return an array with one value per case as integers or strings."""
    if values is None:
        return None
    if values.shape != (n_cases,):
        raise ValueError(
            f"{path} has {n_cases} cases, but {name} has shape {values.shape} instead "
            f"of ({n_cases},)."
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
