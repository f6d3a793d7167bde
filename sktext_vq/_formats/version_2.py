"""Conversion of states of format version 2 to version 3.

In version 2, a network was trained in addition to the closed form. Only the methods
`similarity` and `transform_text` used this network. They use the closed form after the
conversion.
"""

from __future__ import annotations

from typing import Any

from sktext_vq._utils.state import State

# Former prefixes of the weights of the digit branch, which consisted of several parts,
# and their current prefixes.
_DIGITS = {
    "auxiliary.digits.branch.": "",
    "text.input_projection.": "input_projection.",
    "text.mix.": "mix.",
    "decoder.meanings": "meanings",
}
_REFINER = {"auxiliary.segments.refiner.": ""}


def upgrade(state: Any) -> tuple[State, bool]:
    """Convert a state to version 3 and report whether it had a trained text branch.

    Parameters
    ----------
    state : object
        State of version 2, which is not trusted.

    Raises
    ------
    LookupError, TypeError, ValueError
        If the state is invalid.
    """
    found, network = dict(state), state["network"]
    alignment = state["text_alignment"]
    if alignment is not None:
        kinds = {
            name: None if part is None else {**part, "centre": None}
            for name, part in ((key, alignment[key]) for key in ("classes", "cases"))
        }
        found["text_alignment"] = {**alignment, **kinds, "lift": None}
    has_text = False
    if network is not None:
        arrays, digits = network["model"], network["digits"]
        has_text = "text" in network["losses"] and network["text_dim"] > 0
        if digits is not None:
            digits = {**digits, "branch": _take(arrays, _DIGITS)}
        found["network"] = {
            "history": network["history"],
            "kept": {},
            "codebook_use": network["codebook_use"],
            "refiner": _take(arrays, _REFINER) or None,
            "digits": digits,
        }
    if isinstance(state.get("accelerometer"), dict):
        found["accelerometer"], also = upgrade(state["accelerometer"])
        has_text = has_text or also
    return found, has_text


def _take(arrays: dict[str, Any], prefixes: dict[str, str]) -> dict[str, Any]:
    """Return the arrays whose names start with one of the prefixes, renamed."""
    return {
        new + name.removeprefix(old): array
        for name, array in arrays.items()
        for old, new in prefixes.items()
        if name.startswith(old)
    }
