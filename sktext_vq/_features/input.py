"""Shape and channel names of the training series, and checks of new series."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from sktext_vq._utils.channels import find_triads
from sktext_vq._utils.validation import find_stack_level
from sktext_vq.panel import Panel

# Default names of channels in sktime.
_GENERIC_NAME = re.compile(r"(var|dim)_\d+")
# Length, relative to the shortest training series, below which a warning is issued.
_SHORT = 0.5


class InputSpec(NamedTuple):
    """Shape and channel names of the training series.

    Parameters
    ----------
    n_channels, n_timepoints, min_timepoints : int
        Number of channels, and lengths of the longest and the shortest series.
    column_names : tuple of str or None
        Names of the channels, if X consists of data frames or `channel_names` is given.
    n_features_in : int
        Number of timepoints if X is a table of one channel, otherwise number of
        channels.
    feature_names_in : ndarray of str or None
        Column names of a table with one channel.
    """

    n_channels: int
    n_timepoints: int
    min_timepoints: int
    column_names: tuple[str, ...] | None
    n_features_in: int
    feature_names_in: NDArray[Any] | None

    @classmethod
    def of(cls, X: Any, panel: Panel) -> InputSpec:
        """Describe training series and warn if axes are probably swapped."""
        n_features, names = panel.n_channels, None
        if is_table(X, panel):
            probe = BaseEstimator()
            validate_data(probe, X, reset=True, skip_check_array=True)
            n_features = probe.n_features_in_
            names = getattr(probe, "feature_names_in_", None)
        _warn_of_axes(X, panel)
        return cls(
            panel.n_channels,
            panel.n_timepoints,
            int(panel.lengths.min()),
            panel.channel_names,
            n_features,
            names,
        )

    def check(self, panel: Panel, X: Any, estimator: str) -> None:
        """Check the number and names of the channels of new series.

        Raises
        ------
        ValueError
            If channels differ from those of the training series.

        Warns
        -----
        UserWarning
            If series are much shorter than all training series.
        """
        if panel.n_channels != self.n_channels:
            series = (self.n_channels, self.n_timepoints)
            is_series = getattr(X, "shape", None) == series
            advice = " If X is a single series, pass X[None], a panel with one case."
            raise ValueError(
                f"X has {panel.n_channels} channels, but {estimator} was fitted with "
                f"{self.n_channels} channels.{advice if is_series else ''}"
            )
        self._check_columns(panel.channel_names, estimator)
        n_short = int((panel.lengths < _SHORT * self.min_timepoints).sum())
        if n_short:
            warnings.warn(
                f"{n_short} of {panel.n_cases} series in X are much shorter than all "
                f"training series: the shortest has {panel.lengths.min()} timepoints, "
                f"whereas training series had {self.min_timepoints} to "
                f"{self.n_timepoints}. Results for short series may be wrong.",
                stacklevel=find_stack_level(),
            )

    def _check_columns(self, columns: tuple[str, ...] | None, estimator: str) -> None:
        known = self.column_names
        if not known or not columns or known == columns:
            return
        # Arrays that sktime converts have generic channel names, in the order of
        # channels.
        for names in (known, columns):
            is_generic = all(map(_GENERIC_NAME.fullmatch, names))
            if is_generic and [*names] == sorted(names, key=_trailing_number):
                return
        lacking = [name for name in known if name not in columns]
        what = (
            f"is missing {lacking}"
            if lacking
            else "has these columns in a different order"
        )
        raise ValueError(
            f"X has columns {list(columns)}, but {estimator} was fitted with columns "
            f"{list(known)}: X {what}. Pass the same columns in the same order."
        )


def is_table(X: Any, panel: Panel) -> bool:
    """Return whether X has one row per case and one column per timepoint."""
    if panel.n_channels > 1:
        return False
    if isinstance(X, list | tuple):
        lengths = {*map(len, X)}
        shape = (len(X), *lengths) if len(lengths) == np.ndim(X[0]) == 1 else ()
    else:
        shape = X.shape if hasattr(X, "shape") else np.asarray(X).shape
    # Columns after the end of all series may be empty.
    n_columns = shape[1] if len(shape) == 2 and shape[0] == panel.n_cases else 0
    return bool(n_columns >= panel.n_timepoints)


def _trailing_number(name: str) -> int:
    return int(name.rpartition("_")[2])


def _warn_of_axes(X: Any, panel: Panel) -> None:
    """Warn if timepoints and channels, or timepoints and columns, may be swapped."""
    if panel.n_channels > panel.n_timepoints:
        warnings.warn(
            f"X has {panel.n_channels} channels and {panel.n_timepoints} timepoints. "
            "The axes of X must be cases, channels and timepoints, in this order. If "
            "the last two axes are swapped, pass X.transpose(0, 2, 1).",
            stacklevel=find_stack_level(),
        )
    columns = getattr(X, "columns", ()) if panel.channel_names is None else ()
    names = [name for name in columns if isinstance(name, str)]
    # Names such as x_0, x_1, y_0 and y_1 belong to two channels.
    kinds = Counter(re.sub(r"\d+", "0", name) for name in names)
    several = len(kinds) > 1 and len({*kinds.values()}) == 1 and len(kinds) < len(names)
    if several or find_triads(names):
        warnings.warn(
            f"X has columns {list(columns)[:6]}. Rows are read as cases and columns "
            "as timepoints of one channel. If the columns are channels, convert the "
            "table to a panel with sktext_vq.recordings.read_panel.",
            stacklevel=find_stack_level(),
        )
