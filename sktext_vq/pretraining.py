"""Pretraining of one codebook on several panels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from sktext_vq._features.scaling import Scaler
from sktext_vq._training.settings import FitSettings
from sktext_vq._utils.validation import check_count
from sktext_vq.panel import Panel, as_panel
from sktext_vq.transformer import VQTextTransformer

__all__ = ["pretrain"]


def pretrain(
    panels: Sequence[Any], *, most_series: int = 1024, **parameters: Any
) -> VQTextTransformer:
    """Learn one codebook from several unlabelled panels.

    Panels may differ in channels, lengths and units: each channel is treated as a
    univariate series, standardised within its panel.

    Parameters
    ----------
    panels : list of panels
        Panels in any format that :func:`~sktext_vq.panel.as_panel` accepts, such as
        arrays of shape (n_cases, n_channels, n_timepoints).
    most_series : int, default=1024
        Maximum number of univariate training series, which are drawn at random, in
        equal numbers from each panel.
    **parameters
        Parameters of :class:`~sktext_vq.VQTextTransformer`. ``channel_names`` must
        contain one name.

    Returns
    -------
    VQTextTransformer
        Transformer fitted on univariate series. Pass it as `init` to `fit` of another
        estimator with the same ``n_codes``.

    Raises
    ------
    ValueError
        If `panels` is empty, or a panel or parameter is invalid.
    TypeError
        If `panels` is not a list, or a parameter has an invalid type.

    Notes
    -----
    ``fit(X, y, init=fitted)`` reuses

    - the codes, so that the meaning of the features does not change;
    - if `fitted` was trained with the losses ``"series"`` or ``"digits"``, and the new
      estimator has the same loss, the weights of the modules for segment borders and
      for digits.

    Everything else is fitted to X and y: standardisation, histogram bins, feature
    selection, prompts, captions, the ridge classifier, and zero-shot prediction. The
    series that `fitted` was trained on are not used again.

    Wen et al. [1]_ also pretrain on single channels of many data sets.

    References
    ----------
    .. [1] Wen et al. (2024). Abstracted shapes as tokens - a generalizable and
       interpretable model for time-series classification. NeurIPS 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from sktext_vq import VQTextClassifier, pretrain
    >>> rng = np.random.default_rng(0)
    >>> wrist = rng.normal(size=(20, 6, 50)).cumsum(axis=2)
    >>> phone = rng.normal(size=(30, 3, 80)).cumsum(axis=2)
    >>> fitted = pretrain([wrist, phone], max_epochs=1, random_state=0)
    >>> X, y = wrist[:10, :2], ["run", "walk"] * 5
    >>> classifier = VQTextClassifier(max_epochs=1, random_state=0)
    >>> classifier = classifier.fit(X, y, init=fitted)
    >>> bool((classifier.codebook_ == fitted.codebook_).all())
    True
    """
    if hasattr(panels, "shape") or isinstance(panels, Panel):
        raise TypeError(
            "panels must be a list of panels, got a single panel. Use pretrain([X])."
        )
    given: Any = panels
    if not isinstance(given, Sequence):
        raise TypeError(f"panels must be a list of panels, got {type(given).__name__}.")
    if len(panels) == 0:
        raise ValueError("panels is empty, but at least one panel is required.")
    check_count("most_series", most_series, least=1)
    if most_series < len(panels):
        raise ValueError(
            f"most_series must be at least the number of panels, {len(panels)}, got "
            f"{most_series}."
        )
    transformer = VQTextTransformer(**parameters)
    FitSettings.from_parameters(transformer.get_params(deep=False))
    random_state = check_random_state(transformer.random_state)
    series: list[NDArray[np.float32]] = []
    for number, each in enumerate(panels):
        try:
            panel = as_panel(each, estimator_name="pretrain")
        except (TypeError, ValueError) as error:
            error.add_note(f"The error occurred in panels[{number}].")
            raise
        series += _draw(panel, most_series // len(panels), random_state)
    return transformer.fit(series)


def _draw(
    panel: Panel, most: int, random_state: np.random.RandomState
) -> list[NDArray[np.float32]]:
    """Draw univariate series from a panel and standardise them."""
    scaler = Scaler.fit(panel)
    drawn = random_state.permutation(panel.n_cases * panel.n_channels)[:most]
    cases, channels = np.divmod(np.sort(drawn), panel.n_channels)
    found = []
    for case, channel in zip(cases, channels, strict=True):
        values = panel.values[case, channel, : panel.lengths[case]].astype(np.float64)
        values = (values - scaler.mean[channel]) / scaler.scale[channel]
        found.append(values.astype(np.float32))
    return found
