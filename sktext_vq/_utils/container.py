"""Safetensors files with JSON metadata and checksums."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
import sklearn
import torch
from numpy.typing import NDArray

from sktext_vq._version import __version__

_MAX_HEADER = 100_000_000  # bytes; safetensors has the same limit
# Errors that invalid content may raise.
INVALID_CONTENT = (
    *(ArithmeticError, AttributeError, LookupError),
    *(RecursionError, TypeError, ValueError),
)


@dataclass(frozen=True)
class FileFormat:
    """File format, identified by `mark` in the metadata, and its latest version.

    Error messages contain `name`, such as "model", and `advice` for damaged files.
    """

    name: str
    mark: str
    version: int
    advice: str

    def damaged(self, path: Path, why: str) -> ValueError:
        """Return the error for a damaged file."""
        return ValueError(f"{path} is damaged: {why}. {self.advice}")

    def invalid(self, path: Path, error: Exception) -> ValueError:
        """Return the error for a file with invalid content."""
        return self.damaged(path, f"its content is invalid: {error!r}")


def pack(
    file_format: FileFormat,
    content: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
) -> bytes:
    """Convert JSON content and arrays in C order to the bytes of a file."""
    document = json.dumps(
        {
            "written_by": {
                "sktext_vq": __version__,
                "torch": str(torch.__version__),
                "scikit-learn": sklearn.__version__,
                "numpy": np.__version__,
            },
            **content,
            "sha256": {name: digest(array) for name, array in arrays.items()},
        }
    )
    metadata = {
        "format": file_format.mark,
        "format_version": str(file_format.version),
        "document": document,
        "document_sha256": hashlib.sha256(document.encode()).hexdigest(),
    }
    return _sort_metadata(safetensors.numpy.save(dict(arrays), metadata=metadata))


def _sort_metadata(data: bytes) -> bytes:
    """Sort the metadata in the header of a safetensors file."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # aligns the arrays to 8 bytes
    return len(text).to_bytes(8, "little") + text + data[end:]


def unpack(
    file_format: FileFormat, data: bytes, path: Path
) -> tuple[dict[str, Any], dict[str, NDArray[Any]], int]:
    """Read the JSON content, arrays and format version from the bytes of a file.

    Raises a ValueError if the file is damaged, has a different format, or was written
    by a newer version.
    """
    metadata = _read_metadata(file_format, data, path)
    text = metadata.get("format_version", "")
    version = int(text) if re.fullmatch("[0-9]{1,9}", text) else 0
    if not 1 <= version <= file_format.version:
        if version > file_format.version:
            raise ValueError(
                f"{path} was written by a newer version of sktext_vq: its format "
                f"version is {version}, but sktext_vq {__version__} reads format "
                f"versions up to {file_format.version}. Upgrade sktext_vq."
            )
        raise file_format.damaged(path, f"its format version is {text!r}")
    document = metadata.get("document", "")
    found = hashlib.sha256(document.encode("utf-8", "replace")).hexdigest()
    if found != metadata.get("document_sha256"):
        raise file_format.damaged(path, "its metadata does not match its checksum")
    try:
        arrays = safetensors.numpy.load(data)
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise file_format.damaged(path, str(error)) from error
    try:
        content = json.loads(document)
        digests = dict(content["sha256"])
    except INVALID_CONTENT as error:
        raise file_format.invalid(path, error) from error
    if arrays.keys() != digests.keys():
        raise file_format.damaged(path, "its tensors do not match its metadata")
    for name, array in arrays.items():
        if digest(array) != digests[name]:
            raise file_format.damaged(
                path, f"its tensor {name!r} does not match its checksum"
            )
    # Arrays read by safetensors are read-only and may be unaligned, so copy them.
    return content, {name: array.copy() for name, array in arrays.items()}, version


def digest(array: NDArray[Any]) -> str:
    """Return the SHA-256 checksum of the dtype, shape and values of an array."""
    head = f"{array.dtype.str} {array.shape} "
    return hashlib.sha256(head.encode() + array.tobytes()).hexdigest()


def _read_metadata(file_format: FileFormat, data: bytes, path: Path) -> dict[str, str]:
    """Read and check the metadata of a safetensors file."""
    invalid_header = ValueError(
        f"{path} is not a {file_format.name} of sktext_vq: it does not start with a "
        "safetensors header, or the header is damaged."
    )
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 2 <= size <= _MAX_HEADER or data[8:9] != b"{":
        raise invalid_header
    if len(data) < 8 + size:
        raise file_format.damaged(path, "it is truncated")
    try:
        header = json.loads(data[8 : 8 + size])
        metadata = header.pop("__metadata__")
        ends = [int(entry["data_offsets"][1]) for entry in header.values()]
    except INVALID_CONTENT:
        raise invalid_header from None
    if not isinstance(metadata, dict) or metadata.get("format") != file_format.mark:
        raise ValueError(
            f"{path} is a safetensors file, but not a {file_format.name} of sktext_vq."
        )
    if not all(isinstance(value, str) for value in metadata.values()):
        raise file_format.damaged(
            path, "its metadata contains values that are not strings"
        )
    if len(data) < 8 + size + max(ends, default=0):
        raise file_format.damaged(path, "it is truncated")
    return metadata
