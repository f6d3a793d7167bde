"""Statistics of windows, the features of simple baselines."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

_QUANTILES = (0, 0.1, 0.25, 0.5, 0.75, 0.9, 1)
_N_BANDS = 6
_LAGS = (1, 2, 4, 8, 16)
_LITTLE = 1e-6


def window_statistics(X: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Levels, spread, quantiles, spectra, autocorrelations and correlations.

    Parameters
    ----------
    X : ndarray of shape (n_cases, n_channels, n_timepoints)

    Returns
    -------
    ndarray of shape (n_cases, n_statistics)
        43 per channel or so, and the correlations of all pairs of channels.
    """
    X = np.asarray(X, np.float64)
    n_timepoints = X.shape[2]
    mean, deviation = X.mean(axis=2), X.std(axis=2)
    moved = X - mean[:, :, None]
    steps = np.diff(X, axis=2)
    found = [mean, np.log(deviation + _LITTLE), np.abs(X).mean(axis=2)]
    found += list(np.quantile(X, _QUANTILES, axis=2))
    found += [np.log(steps.std(axis=2) + _LITTLE), np.abs(steps).mean(axis=2)]
    found += [np.mean(moved[:, :, 1:] * moved[:, :, :-1] < 0, axis=2)]
    found += [(moved**k).mean(axis=2) / (deviation + _LITTLE) ** k for k in (3, 4)]
    power = np.square(np.abs(np.fft.rfft(moved, axis=2))) / n_timepoints**2
    share = power / (power.sum(axis=2, keepdims=True) + _LITTLE)
    frequencies = np.fft.rfftfreq(n_timepoints)
    found += [share @ frequencies, frequencies[power.argmax(axis=2)]]
    found += [-(share * np.log(share + _LITTLE)).sum(axis=2)]
    edges = np.unique(np.geomspace(1, len(frequencies), _N_BANDS + 1).astype(int))
    for low, high in pairwise(edges):
        found += [share[:, :, low:high].sum(axis=2)]
        found += [np.log(power[:, :, low:high].sum(axis=2) + _LITTLE)]
    size = np.square(moved).mean(axis=2) + _LITTLE
    for lag in _LAGS:
        if lag < n_timepoints:
            product = (moved[:, :, lag:] * moved[:, :, :-lag]).mean(axis=2)
            found.append(product / size)
    for part in np.array_split(np.arange(n_timepoints), 3):
        found.append(X[:, :, part].mean(axis=2))
        found.append(np.log(X[:, :, part].std(axis=2) + _LITTLE))
    pairs = [
        (moved[:, i] * moved[:, j]).mean(axis=1) / np.sqrt(size[:, i] * size[:, j])
        for i, j in combinations(range(X.shape[1]), 2)
    ]
    return np.column_stack([*found, *pairs])
