"""One vocabulary from several panels, to be reused on others."""

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
    """Learn one vocabulary from several panels without labels.

    Panels may differ in channels, lengths and units: each channel is a series of its
    own, standardised within its panel.

    Parameters
    ----------
    panels : list of panels
        Each of a kind that :func:`~sktext_vq.panel.as_panel` takes, such as an array of
        shape (n_cases, n_channels, n_timepoints).
    most_series : int, default=1024
        How many series of one channel are learned from, drawn at random: as many from
        each panel, or all that it has.
    **parameters
        Those of :class:`~sktext_vq.VQTextTransformer`. ``channel_names`` is for one
        channel.

    Returns
    -------
    VQTextTransformer
        Fitted to series of one channel. Give it to ``fit(..., init=...)`` of another
        estimator with as many codes.

    Raises
    ------
    ValueError
        If there are no panels, one of them is none, or a parameter is off.
    TypeError
        If `panels` is a panel itself or no list, or a parameter is of another type.

    Notes
    -----
    What ``fit(X, y, init=fitted)`` takes over:

    - the codes. They are matched as before, so features mean the same;
    - if `fitted` was trained and ``max_epochs`` is above 0: the weights of the network
      that do not depend on channels, classes or features; those of features of
      the histograms that both keep; those of channels; those of classes that both have.
      Where names of channels are not the same, weights of features and channels are
      means over the channels. What reads words is taken over if ``text_encoder`` is the
      same.

    Everything else comes from X and y alone: how channels are standardised, levels and
    scales of histograms, which features are kept, prompts and captions, the ridge
    classifier, and what predicts classes without recordings. The series of `fitted`
    are not seen again, and nothing keeps the network from forgetting them.

    References
    ----------
    Wen et al., "Abstracted shapes as tokens - a generalizable and interpretable model
    for time-series classification", NeurIPS 2024, pretrain on single channels of many
    data sets, too.

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
            "panels must be a list of panels, got one panel: pretrain([X]) takes it."
        )
    given: Any = panels
    if not isinstance(given, Sequence):
        raise TypeError(
            f"panels must be a list of panels, got a {type(given).__name__}."
        )
    if len(panels) == 0:
        raise ValueError("panels is empty: there is nothing to learn from.")
    check_count("most_series", most_series, least=1)
    if most_series < len(panels):
        raise ValueError(
            f"most_series must be at least 1 for each of {len(panels)} panels, got "
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
            error.add_note(f"This is about panel {number}, counted from 0.")
            raise
        series += _draw(panel, most_series // len(panels), random_state)
    return transformer.fit(series)


def _draw(
    panel: Panel, most: int, random_state: np.random.RandomState
) -> list[NDArray[np.float32]]:
    """Draw single channels of cases, standardised."""
    scaler = Scaler.fit(panel)
    drawn = random_state.permutation(panel.n_cases * panel.n_channels)[:most]
    cases, channels = np.divmod(np.sort(drawn), panel.n_channels)
    found = []
    for case, channel in zip(cases, channels, strict=True):
        values = panel.values[case, channel, : panel.lengths[case]].astype(np.float64)
        values = (values - scaler.mean[channel]) / scaler.scale[channel]
        found.append(values.astype(np.float32))
    return found
