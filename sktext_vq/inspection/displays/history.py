"""Display of the training losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from sktext_vq._utils.docs import fill_docs
from sktext_vq.classifier import VQTextClassifier
from sktext_vq.inspection.displays._canvas import (
    PALETTE,
    check_estimator,
    check_matplotlib,
    ink,
    make_figure,
    panels,
    points,
    text,
)
from sktext_vq.transformer import VQTextTransformer


@fill_docs
@dataclass(eq=False, repr=False)
class HistoryDisplay:
    """Losses in each training epoch.

    Use :meth:`from_estimator` to create a display.

    Parameters
    ----------
    history : list of dict
        Losses of each epoch by name: ``train_loss`` and ``valid_loss`` are weighted
        sums; all others, such as ``train_text``, are individual losses.

    Attributes
    ----------
    axes_ : ndarray of shape (n_rows, n_columns), object
        Axes of each loss, starting with the weighted sum; None for empty positions.
    figure_ : Figure or SubFigure
        Figure that contains the axes.
    lines_ : list of Line2D
        Losses in each Axes, first in training, then in validation.

    See Also
    --------
    HistogramsDisplay : Usage of codes in classes.

    Examples
    --------
    >>> import numpy as np
    >>> from sktext_vq import VQTextClassifier
    >>> from sktext_vq.inspection.displays import HistoryDisplay
    >>> X = np.random.default_rng(0).normal(size=(60, 1, 50))
    >>> X[::2] = X[::2].cumsum(axis=2)
    >>> y = np.array(["walk", "noise"] * 30)
    >>> classifier = VQTextClassifier(
    ...     max_epochs=2, text_encoder="hashing", random_state=0
    ... )
    >>> display = HistoryDisplay.from_estimator(classifier.fit(X, y))
    >>> [panel.get_title() for panel in display.axes_.flat if panel is not None]
    ['weighted sum', 'class', 'codes', 'affinity', 'text']
    """

    history: Sequence[Mapping[str, float]]

    @classmethod
    def from_estimator(
        cls, estimator: VQTextClassifier | VQTextTransformer, *, ax: Any = None
    ) -> HistoryDisplay:
        """Draw the training losses of an estimator.

        Parameters
        ----------
        estimator : VQTextClassifier or VQTextTransformer
            Estimator fitted to at least 50 cases with ``max_epochs`` above 0.
        [[ax]]

        Returns
        -------
        HistoryDisplay
            Display with the drawn figure.

        Raises
        ------
        [[raises_estimator]]
        ValueError
            If the estimator was not trained.
        """
        check_matplotlib(f"{cls.__name__}.from_estimator")
        check_estimator(estimator, cls.__name__)
        if not estimator.history_:
            raise ValueError(
                f"This {type(estimator).__name__} has no training history: it was "
                f"fitted in closed form (max_epochs={estimator.max_epochs}). Set "
                "max_epochs above 0, and fit the estimator to at least 50 cases with "
                "y or text."
            )
        return cls(estimator.history_).plot(ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the display.

        [[plot]]
        """
        check_matplotlib(f"{type(self).__name__}.plot")
        from matplotlib.ticker import MaxNLocator

        parts = {"train": "training", "valid": "validation"}
        terms = dict.fromkeys(
            key.partition("_")[2]
            for epoch in self.history
            for key in epoch
            if key.partition("_")[0] in parts
        )
        terms = {"loss": None, **terms}
        n_columns = min(3, len(terms))
        n_rows = -(-len(terms) // n_columns)
        canvas = self.figure_ = make_figure(ax, (3 * n_columns, 2.2 * n_rows + 0.5))
        self.axes_ = panels(canvas, len(terms), n_columns)
        epochs = np.arange(1, len(self.history) + 1)
        sums = [epoch.get("valid_loss", np.nan) for epoch in self.history]
        self.lines_ = []
        handles = {}
        styles: dict[str, Any] = {
            "train": {"color": PALETTE[1], "marker": "o"},
            "valid": {"color": PALETTE[0], "marker": "s", "linestyle": "--"},
        }
        for panel, term in zip(self.axes_.flat, terms, strict=False):
            for part, name in parts.items():
                key = f"{part}_{term}"
                losses = [epoch.get(key, np.nan) for epoch in self.history]
                if np.isfinite(losses).any():
                    lines = panel.plot(epochs, losses, markersize=3, **styles[part])
                    self.lines_ += lines
                    handles[name] = lines[0]
            if np.isfinite(sums).any():
                best = epochs[int(np.nanargmin(sums))]
                handles["best epoch"] = panel.axvline(
                    best, color=ink(), linewidth=0.8, linestyle=":"
                )
            title = "weighted sum" if term == "loss" else term
            panel.set_title(title, **text(0.9))
            panel.set_xlabel("epoch", **text(0.8))
            panel.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
            panel.yaxis.set_major_locator(MaxNLocator(4))
            panel.tick_params(labelsize=points(0.75))
        canvas.legend(
            list(handles.values()),
            list(handles),
            loc="outside lower center",
            ncols=len(handles),
            fontsize=points(0.8),
            frameon=False,
        )
        return self
