"""Heat maps of the usage of codes in classes and in texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sktext_vq._features.columns import check_column
from sktext_vq._utils.docs import fill_docs
from sktext_vq._utils.validation import check_count
from sktext_vq.classifier import VQTextClassifier
from sktext_vq.inspection.displays._canvas import (
    check_axes,
    check_estimator,
    check_matplotlib,
    ink,
    measure,
    points,
    text,
    unit,
    wrap,
)
from sktext_vq.panel import as_panel
from sktext_vq.transformer import VQTextTransformer

_MAX_DOUBLINGS = 4  # lifts are drawn from 1/16 to 16


@fill_docs
@dataclass(eq=False, repr=False)
class HistogramsDisplay:
    """Usage of codes in classes, relative to the mean over classes.

    Use :meth:`from_estimator` to create a display.

    Parameters
    ----------
    lifts : ndarray of shape (n_classes, n_shown)
        Base-2 logarithms of the share of a code in a class, divided by the mean over
        classes.
    labels : sequence of str
        Classes.
    [[lifts]]

    See Also
    --------
    PhrasesDisplay : Expected usage of codes in series described by texts.

    Examples
    --------
    >>> import numpy as np
    >>> from sktext_vq import VQTextClassifier
    >>> from sktext_vq.inspection.displays import HistogramsDisplay
    >>> X = np.random.default_rng(0).normal(size=(20, 1, 50))
    >>> X[::2] = X[::2].cumsum(axis=2)
    >>> y = np.array(["walk", "noise"] * 10)
    >>> classifier = VQTextClassifier(random_state=0).fit(X, y)
    >>> display = HistogramsDisplay.from_estimator(classifier, X, y)
    >>> display.labels, display.lifts.shape
    (['noise', 'walk'], (2, 64))
    """

    lifts: NDArray[np.float64]
    labels: Sequence[str]
    _: KW_ONLY
    codes: ArrayLike | None = None
    shapes: NDArray[Any] | None = None
    n_codes: int | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: VQTextClassifier | VQTextTransformer,
        X: Any,
        y: ArrayLike,
        *,
        n_codes: int = 64,
        cmap: Any = "PuOr_r",
        ax: Any = None,
    ) -> HistogramsDisplay:
        """Draw the usage of codes in classes.

        Parameters
        ----------
        estimator : VQTextClassifier or VQTextTransformer
            Fitted estimator.
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series with the channels of the training series.
        y : array-like of shape (n_cases,)
            At least two classes, which may differ from the training classes.
        n_codes : int, default=64
            Maximum number of codes to draw. The codes whose shares differ most between
            classes are drawn, sorted by class.
        [[cmap]]
        [[single_ax]]

        Returns
        -------
        HistogramsDisplay
            Display with the drawn figure.

        Raises
        ------
        [[raises_estimator]]
        ValueError
            If X and y do not match each other or the estimator, or there is only one
            class.
        """
        check_matplotlib(f"{cls.__name__}.from_estimator")
        check_estimator(estimator, cls.__name__)
        panel = as_panel(X, estimator_name=cls.__name__)
        true = check_column(y, "y", panel)
        labels, classes = np.unique(true, return_inverse=True)
        if len(labels) < 2:
            raise ValueError(
                f"y must contain at least two classes, got {labels.tolist()}. Each "
                "class is compared with the mean over classes."
            )
        shares = estimator.transform_codes(panel)
        means = np.stack([shares[classes == i].mean(0) for i in range(len(labels))])
        names = [str(label) for label in labels]
        display = cls(labels=names, **_compare(estimator, means, n_codes))
        return display.plot(ax, cmap=cmap)

    def plot(self, ax: Any = None, *, cmap: Any = "PuOr_r") -> Self:
        """Draw the display.

        Parameters
        ----------
        [[single_ax]]
        [[cmap]]

        Returns
        -------
        Self
            The display itself.
        """
        _plot(self, "classes", ax, cmap)
        return self


@fill_docs
@dataclass(eq=False, repr=False)
class PhrasesDisplay:
    """Expected usage of codes in series described by texts, relative to the mean.

    Use :meth:`from_estimator` to create a display.

    Parameters
    ----------
    lifts : ndarray of shape (n_texts, n_shown)
        Base-2 logarithms of the expected share of a code, divided by the mean over
        texts.
    labels : sequence of str
        Texts.
    [[lifts]]

    See Also
    --------
    HistogramsDisplay : Usage of codes in classes.

    Examples
    --------
    >>> import numpy as np
    >>> from sktext_vq import VQTextClassifier
    >>> from sktext_vq.inspection.displays import PhrasesDisplay
    >>> X = np.random.default_rng(0).normal(size=(20, 1, 50))
    >>> X[::2] = X[::2].cumsum(axis=2)
    >>> y = np.array(["walk", "noise"] * 10)
    >>> classifier = VQTextClassifier(
    ...     max_epochs=1, text_encoder="hashing", random_state=0
    ... )
    >>> texts = ["a random walk", "white noise", "a wave"]
    >>> display = PhrasesDisplay.from_estimator(classifier.fit(X, y), texts)
    >>> display.lifts.shape
    (3, 64)
    """

    lifts: NDArray[np.float64]
    labels: Sequence[str]
    _: KW_ONLY
    codes: ArrayLike | None = None
    shapes: NDArray[Any] | None = None
    n_codes: int | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: VQTextClassifier | VQTextTransformer,
        texts: Sequence[str],
        *,
        n_codes: int = 64,
        cmap: Any = "PuOr_r",
        ax: Any = None,
    ) -> PhrasesDisplay:
        """Draw the expected usage of codes in series described by texts.

        Parameters
        ----------
        estimator : VQTextClassifier or VQTextTransformer
            Fitted estimator that was trained with text.
        texts : sequence of str, shape (n_texts,)
            At least two texts.
        n_codes : int, default=64
            Maximum number of codes to draw. The codes whose shares differ most between
            texts are drawn, sorted by text.
        [[cmap]]
        [[single_ax]]

        Returns
        -------
        PhrasesDisplay
            Display with the drawn figure.

        Raises
        ------
        TypeError
            If `estimator` is not a VQTextClassifier or VQTextTransformer, or a text is
            not a string.
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If the estimator was not trained with text, a text is empty, or there is
            only one text.
        """
        check_matplotlib(f"{cls.__name__}.from_estimator")
        check_estimator(estimator, cls.__name__)
        shares = estimator.transform_text(texts)
        if len(shares) < 2:
            raise ValueError(
                "texts must contain at least two texts, because each text is compared "
                "with the mean over texts."
            )
        display = cls(labels=list(texts), **_compare(estimator, shares, n_codes))
        return display.plot(ax, cmap=cmap)

    def plot(self, ax: Any = None, *, cmap: Any = "PuOr_r") -> Self:
        """Draw the display.

        Parameters
        ----------
        [[single_ax]]
        [[cmap]]

        Returns
        -------
        Self
            The display itself.
        """
        _plot(self, "texts", ax, cmap)
        return self


def _compare(
    estimator: VQTextClassifier | VQTextTransformer,
    shares: NDArray[np.float64],
    n_codes: int,
) -> dict[str, Any]:
    """Compare rows of code shares with their mean and sort the codes.

    Returns the arguments of a display, except for the labels.
    """
    check_count("n_codes", n_codes, least=1)
    mean = shares.mean(axis=0)
    lifts = shares / np.where(mean > 0, mean, 1)
    lifts[:, mean == 0] = 1
    most = 2.0**_MAX_DOUBLINGS
    lifts = np.log2(lifts.clip(1 / most, most))
    # Select the codes whose shares differ most, and sort them by row.
    kept = np.argsort(-np.ptp(shares, axis=0), kind="stable")[:n_codes]
    best = lifts[:, kept]
    codes = kept[np.lexsort((-best.max(axis=0), best.argmax(axis=0)))]
    return {
        "lifts": lifts[:, codes],
        "codes": codes,
        "shapes": np.asarray(estimator.shapes_, dtype=np.float64)[codes],
        "n_codes": shares.shape[1],
    }


def _plot(display: Any, rows: str, ax: Any, cmap: Any) -> None:
    """Draw a heat map of the usage of each code in each row, relative to the mean."""
    check_matplotlib(f"{type(display).__name__}.plot")
    import matplotlib.pyplot as plt

    cmap = plt.get_cmap(cmap)  # raises an error before a figure is created
    if ax is not None:
        check_axes(ax)
    n_rows, n_shown = display.lifts.shape
    labels = [wrap(str(label), 2.8, 0.8, 3) for label in display.labels]
    n_lines = 1 + max(label.count("\n") for label in labels)
    widest = max(measure(line, 0.8) for label in labels for line in label.split("\n"))
    if ax is None:
        width = max(0.17 * n_shown, 3.0) + widest / unit() + 1.3
        height = (n_rows + 1) * (0.14 * n_lines + 0.12) + 1.2
        size = unit() * width, unit() * max(height, 2.4)
        _, ax = plt.subplots(figsize=size, layout="constrained")
    display.ax_, display.figure_ = ax, ax.figure
    most = _limit(display.lifts)
    display.image_ = ax.imshow(
        display.lifts, aspect="auto", cmap=cmap, vmin=-most, vmax=most
    )
    ax.set_yticks(range(n_rows), labels, **text(0.8))
    codes = np.arange(n_shown) if display.codes is None else np.asarray(display.codes)
    inches = ax.get_window_extent().width / ax.figure.figure.dpi
    step = max(1, int(np.ceil(n_shown * 0.125 * unit() / inches)))
    every = range(0, n_shown, step)
    _draw_shapes(display, ax, every)
    ax.set_xticks(every, [f"{codes[i]}" for i in every], rotation=90, **text(0.65))
    note = "code"
    if display.n_codes is not None and n_shown < display.n_codes:
        note += f" ({n_shown} of {display.n_codes} are shown)"
    ax.set_xlabel(note, **text(0.9))
    ax.set_title(f"Code usage in {rows}", **text(1))
    _draw_colour_bar(display, rows, ax, most)


def _limit(lifts: NDArray[np.float64]) -> float:
    # Limits are quantiles, so that colours do not depend on a few extreme values.
    above = lifts[lifts > 0]
    if not len(above):
        return 1.0
    usual = np.quantile(np.abs(lifts), 0.8)
    return float(max(usual, np.quantile(above, 0.98)))


def _draw_shapes(display: Any, ax: Any, columns: range) -> None:
    """Draw shapes of codes above their columns."""
    from matplotlib.collections import LineCollection

    display.shapes_ = None
    if display.shapes is None:
        return
    n_points = display.shapes.shape[1]
    across = (np.arange(n_points) / (n_points - 1) - 0.5) * 0.7 * columns.step
    most = max(float(np.abs(display.shapes).max()), 1e-9)
    lines = [
        np.column_stack([column + across, -1.1 - 0.45 * display.shapes[column] / most])
        for column in columns
    ]
    display.shapes_ = LineCollection(lines, color=ink(), linewidth=0.8)
    ax.add_collection(display.shapes_, autolim=False)
    ax.set_ylim(display.lifts.shape[0] - 0.5, -1.65)


def _draw_colour_bar(display: Any, rows: str, ax: Any, most: float) -> None:
    """Draw the scale as factors."""
    below, above = bool(display.lifts.min() < -most), bool(display.lifts.max() > most)
    extend = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}
    bar = display.colorbar_ = ax.figure.colorbar(
        display.image_,
        ax=ax,
        use_gridspec=False,  # so that a layout can be chosen later
        extend=extend[below, above],
        fraction=0.04,
        pad=0.01,
        aspect=25,
    )
    whole = int(most)
    ticks = np.arange(-whole, whole + 1) if whole else np.array([-most, 0, most])
    bar.set_ticks(ticks, labels=[factor(tick) for tick in ticks])
    bar.ax.tick_params(labelsize=points(0.7))
    bar.set_label(f"times the mean of {rows}", **text(0.8))


def factor(doublings: float) -> str:
    """Format a power of 2 as a factor, such as 1/4, 1 or 1.3."""
    if doublings < 0 and float(doublings).is_integer():
        return f"1/{2**-doublings:.0f}"
    return f"{2**doublings:.3g}"
