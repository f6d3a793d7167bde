"""Warnings about series that differ from the training series.

This module compares the scale and offset of channels (limit `_DRIFT`) and composes the
message. ``drift_reference.py`` compares statistics of new cases with statistics of
training cases (limits `_FARTHER`, `_HEAVIER` and `_STEADY`). ``drift_changes.py`` tests
possible causes: a different orientation, channel order, unit or sampling rate (limits
`MARGINS`).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sktext_vq._features.drift_changes import MARGINS
from sktext_vq._features.drift_reference import DriftReference
from sktext_vq._features.scaling import Scaler
from sktext_vq._utils.validation import find_stack_level
from sktext_vq.panel import Panel, spread_cases

_MAX_SIZES = 512
# Minimum ratio of the medians of new and training series that indicates drift. The test
# parts of 29 data sets do not cause a warning. Multiplied by 5, all of them cause a
# warning except PLAID, whose cases differ by a factor of a thousand.
_DRIFT = 3.0
_MIN_SIZE = 1e-4  # in standard deviations; smaller sizes are rounding errors
_SHOWN = 3


class DriftWarning(UserWarning):
    """Warning that new series differ from all training series.

    Common causes are a different unit or sampling rate, a different orientation of the
    device, swapped channels, or a defective sensor. The message states the likely
    cause. Series are not corrected before prediction.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> from sktext_vq import DriftWarning, VQTextTransformer
    >>> X = np.random.default_rng(0).normal(size=(20, 1, 50))
    >>> transformer = VQTextTransformer(random_state=0).fit(X)
    >>> with warnings.catch_warnings(record=True, category=DriftWarning) as caught:
    ...     warnings.simplefilter("always")
    ...     _ = transformer.transform(9.8 * X)
    >>> print(str(caught[0].message).split(":")[0])
    1 of 1 channels differs from training in scale or offset
    """


def warn_of_drift(
    panel: Panel,
    scaler: Scaler,
    reference: DriftReference | None,
    names: Sequence[str],
) -> None:
    """Warn if new series differ from training series.

    The scale and offset of each channel are compared over all series. Statistics of
    single cases are compared with `reference`, which is None in models from early
    versions.
    """
    parts = []
    drifted = _other_scales(panel, scaler)
    if len(drifted):
        verb = "differs" if len(drifted) == 1 else "differ"
        shown = "; ".join(
            _compare(panel, scaler, c, names[c]) for c in drifted[:_SHOWN]
        )
        parts.append(
            f"{len(drifted)} of {len(names)} channels {verb} from training in scale or "
            f"offset: {shown}{'; ...' if len(drifted) > _SHOWN else ''}."
        )
    found = None if reference is None else reference.examine(panel, scaler, names)
    if found is not None:
        kind, what = found
        if kind in MARGINS:
            parts.append(f"Likely cause: {what}.")
        else:
            parts.append(f"Series differ from training series: {what}.")
    if parts:
        warnings.warn(
            f"{' '.join(parts)} Predictions may be wrong. Check the units, the "
            "sampling rate, the device orientation and the channel order.",
            DriftWarning,
            stacklevel=find_stack_level(),
        )


def _other_scales(panel: Panel, scaler: Scaler) -> NDArray[np.int64]:
    """Return the channels whose scale or offset differs from the training series.

    The median and the high quantiles of new series must both exceed the training
    quantiles, or the median and the low quantiles must both be below the training
    quantiles. A single outlying series or class is therefore not sufficient. Thresholds
    are higher if there are few series.
    """
    if scaler.usual is None:
        return np.zeros(0, np.int64)
    sizes = scaler.sizes(panel, _MAX_SIZES)
    few = 1 / np.sqrt(sizes.shape[1])
    low, middle, high = np.quantile(sizes, (0.1, 0.5, 0.9), axis=1)
    least, hundredth, _, half, nine_tenths, most_of, most = np.maximum(
        scaler.usual.swapaxes(0, 1), _MIN_SIZE
    )
    larger = middle > _DRIFT * half
    larger &= high > np.maximum((1 + 3 * few) * most_of, 10 * few * most)
    # Single series may be at rest, with a small offset.
    low = np.maximum(low, 10 * few * _MIN_SIZE)
    smaller = (_DRIFT * middle < half) & (_DRIFT * high < nine_tenths)
    smaller &= ((1 + 3 * few) * low < hundredth) & (10 * few * low < least)
    return np.flatnonzero(larger.any(axis=0) | smaller[0])


def _compare(panel: Panel, scaler: Scaler, channel: int, name: str) -> str:
    """Describe the scale and offset of a channel in new and in training series."""
    values = panel.values[spread_cases(panel.n_cases, _MAX_SIZES), channel]
    unit = float(np.nanmax(np.abs(values))) or 1.0  # avoids infinite squares
    values = values.astype(np.float64) / unit
    mean, scale = np.nanmean(values) * unit, np.nanstd(values) * unit
    return (
        f"{name!r} has mean {mean:.3g} and standard deviation {scale:.3g}, compared "
        f"with {scaler.mean[channel]:.3g} and {scaler.scale[channel]:.3g} in training"
    )
