import itertools
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from sktext_vq import VQTextClassifier, VQTextTransformer
from sktext_vq.inspection import displays
from sktext_vq.inspection.displays import (
    CodebookDisplay,
    ExplanationDisplay,
    HistogramsDisplay,
    HistoryDisplay,
    PhrasesDisplay,
    TokensDisplay,
)

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.text import Text  # noqa: E402

TEXTS = ["a person stands still", "someone runs fast", "somebody walks " * 20]
# Arguments of each display in addition to the estimator.
ARGUMENTS = {
    CodebookDisplay: lambda data: (data.X_test,),
    TokensDisplay: lambda data: (data.X_test,),
    ExplanationDisplay: lambda data: (data.X_test,),
    HistogramsDisplay: lambda data: (data.X_test, data.y_test),
    PhrasesDisplay: lambda data: (TEXTS,),
    HistoryDisplay: lambda data: (),
}
DISPLAYS = list(ARGUMENTS)


@pytest.fixture(autouse=True)
def _same_settings_and_no_figures():
    before = matplotlib.rcParams.copy()
    yield
    assert matplotlib.rcParams == before
    plt.close("all")


@pytest.fixture(scope="module")
def fitted(small_on_motions):
    return small_on_motions


@pytest.fixture(scope="module")
def wide():
    """Return a model with 26 channels and 27 classes with long names, and series."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(54, 26, 30)).cumsum(axis=2)
    y = np.array(
        [
            f"{i} is $one of many classes & has a name_that_is_far_too_long_for_a_line "
            + "that goes on and on " * (i % 3)
            for i in range(27)
        ]
        * 2
    )
    X *= 1 + np.tile(np.arange(27), 2)[:, None, None]
    classifier = VQTextClassifier(
        40,
        max_epochs=0,
        max_features=200,
        channel_names=[f"the sensor of axis number {i}" for i in range(26)],
        random_state=0,
    )
    return classifier.fit(X, y), X, y


def shown_texts(figure):
    """Return the visible texts of a figure and their bounding boxes."""
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    left_out = set()
    for axes in figure.findobj(plt.Axes):
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if not (axes.axison and low <= tick.get_loc() <= high):
                    left_out |= {tick.label1, tick.label2}
    return [
        (text.get_text(), text.get_window_extent(renderer))
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip() and text not in left_out
    ]


def assert_legible(figure):
    """Check that texts are inside the figure and do not overlap."""
    found = shown_texts(figure)
    assert len(found) > 3
    for text, box in found:
        inside = box.x0 >= 0 and box.y0 >= 0
        inside &= box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
        assert inside, (text, box, figure.bbox)
    for (one, box), (other, beside) in itertools.combinations(found, 2):
        # Bounding boxes are larger than the letters.
        width = min(box.x1, beside.x1) - max(box.x0, beside.x0)
        height = min(box.y1, beside.y1) - max(box.y0, beside.y0)
        assert min(width, height) < 1.5, (one, other, width, height)


def test_codebook_draws_shapes_in_order(fitted, basic_motions):
    display = CodebookDisplay.from_estimator(fitted, basic_motions.X_test, n_codes=10)
    table = fitted.describe_codes()
    order = (-table["usage"] * table["lift"]).sort_values(kind="stable").index[:10]
    assert display.codes.index.tolist() == order.tolist()
    assert display.axes_.shape == (2, 6)
    assert display.axes_.ravel()[10:].tolist() == [None, None]
    most = table["usage"][order].max()
    for code, line, bar, panel in zip(
        order, display.lines_, display.bars_, display.axes_.flat, strict=False
    ):
        np.testing.assert_array_equal(line.get_ydata(), fitted.shapes_[code])
        row = table.loc[code]
        title = panel.get_title().replace("\n", " ")
        assert title == f"{code} · {row['class']} \N{MULTIPLICATION SIGN}" + (
            f"{row['lift']:.1f}"
        )
        assert bar.get_width() == pytest.approx(0.6 * row["usage"] / most)
        assert f"{100 * row['usage']:.2g} %" in [t.get_text() for t in panel.texts]
    assert "10 of 16 codes" in display.figure_.get_supxlabel()
    assert_legible(display.figure_)


def test_windows_of_codes_are_real_and_match(fitted, basic_motions):
    X = basic_motions.X_test
    display = CodebookDisplay.from_estimator(fitted, X, n_codes=12, n_windows=3)
    tokens = fitted.tokens(X)
    n_found = 0
    for code, shape, drawn in zip(
        display.codes.index, display.shapes, display.windows_, strict=True
    ):
        windows = np.array([line[:, 1] for line in drawn.get_segments()])
        assert len(windows) <= 3
        own = tokens[(tokens["code"] == code) & (tokens["length"] >= 8)]
        own = own[own["scale"] > 0]
        assert len(windows) == min(3, own["case"].nunique())
        if len(windows) == 0:
            continue
        errors = np.square(windows - shape).mean(axis=1)
        assert (np.diff(errors) >= 0).all()
        # The error is smaller than the error of a constant line at 0.
        assert errors[0] < np.square(shape).mean()
        for row in own[own["length"] % 8 == 0].to_dict("records"):
            piece = X[row["case"], row["channel"], row["start"] :][: row["length"]]
            points = (piece - row["offset"]) / row["scale"] * shape.std()
            points = points.reshape(8, -1).mean(axis=1)
            n_found += np.isclose(windows, points, atol=1e-6).all(axis=1).sum()
    assert n_found > 10


def test_order_of_codes(fitted):
    for order in ("lift", "usage", "code"):
        display = CodebookDisplay.from_estimator(fitted, n_codes=99, order=order)
        assert len(display.lines_) == 16
        codes = display.codes.reset_index()
        values = codes[order] if order == "code" else -codes[order]
        assert values.is_monotonic_increasing


def test_codes_without_classes_are_told_by_shapes_and_phrases(har_like, monkeypatch):
    X, _ = har_like
    transformer = VQTextTransformer(16, max_epochs=0, random_state=0).fit(X)
    table = transformer.describe_codes()
    phrases = ["it goes up and down " * 5, None, np.nan] + ["still"] * 13
    monkeypatch.setattr(
        transformer, "describe_codes", lambda texts: table.assign(phrase=phrases)
    )
    display = CodebookDisplay.from_estimator(transformer, X, n_codes=4, order="code")
    panels = display.axes_.ravel()
    for code, panel in enumerate(panels):
        title = panel.get_title().replace("\n", " ")
        assert title == f"{code} · {table['shape'][code]}"
    below = [panel.get_xlabel() for panel in panels]
    assert below[0].startswith("it goes up") and below[0].endswith("…")
    assert below[1:] == ["", "", "still"]
    assert_legible(display.figure_)


def test_tokens_cover_the_series_and_are_its_reconstruction(fitted, basic_motions):
    X = basic_motions.X_test
    display = TokensDisplay.from_estimator(fitted, X, case=7)
    tokens, rebuilt = fitted.tokens(X[7:8]), fitted.reconstruct(X[7:8])[0]
    assert len(display.axes_) == 6
    for channel, panel in enumerate(display.axes_):
        assert panel.get_ylabel() == basic_motions.channel_names[channel]
        np.testing.assert_array_equal(
            display.lines_[channel].get_ydata(), X[7, channel]
        )
        np.testing.assert_array_equal(
            display.reconstructions_[channel].get_ydata(), rebuilt[channel]
        )
        own = tokens[tokens["channel"] == channel]
        pieces = display.tokens_[channel].get_segments()
        assert [len(piece) for piece in pieces] == own["length"].tolist()
        drawn = np.concatenate(pieces)
        np.testing.assert_allclose(drawn[:, 0], np.arange(100) / 10)
        np.testing.assert_allclose(
            drawn[:, 1], rebuilt[channel], atol=1e-5 * np.abs(rebuilt[channel]).max()
        )
        spans = np.array(
            [path.vertices[[0, 1], 0] for path in display.spans_[channel].get_paths()]
        )
        starts = own["start"].to_numpy()
        np.testing.assert_allclose(spans[:, 0], (starts - 0.5) / 10)
        np.testing.assert_allclose(spans[1:, 0], spans[:-1, 1])
        # The complete series is visible.
        low, high = panel.get_ylim()
        assert low < min(X[7, channel].min(), drawn[:, 1].min())
        assert high > max(X[7, channel].max(), drawn[:, 1].max())
    assert display.axes_[-1].get_xlabel() == "time in seconds"
    title = display.figure_.get_suptitle()
    assert title.startswith("Case 7. ") and "acceleration" in title
    assert_legible(display.figure_)


def test_code_numbers_and_colours_are_those_of_tokens(fitted, basic_motions):
    X = basic_motions.X_test
    display = TokensDisplay.from_estimator(fitted, X, case=15, channels=["gyro_x", 0])
    assert [panel.get_ylabel() for panel in display.axes_] == ["gyro_x", "acc_x"]
    tokens = fitted.tokens(X[15:16])
    shown = pd.concat([tokens[tokens["channel"] == channel] for channel in (3, 0)])
    code_at = {
        (row["channel"], (row["start"] + row["length"] / 2 - 0.5) / 10): row["code"]
        for row in shown.to_dict("records")
    }
    assert len(display.numbers_) > 3
    for number in display.numbers_:
        channel = [3, 0][display.axes_.tolist().index(number.axes)]
        assert number.get_text() == str(code_at[channel, number.get_position()[0]])
    (legend,) = display.figure_.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels[:2] == ["series", "reconstruction"]
    assert labels[-1] == "other codes" and len(labels) == 9
    named = {
        int(label.partition(":")[0]): handle.get_color()
        for label, handle in zip(labels[2:-1], legend.legend_handles[2:-1], strict=True)
    }
    own = np.concatenate([drawn.get_colors() for drawn in display.tokens_])
    for code, colour in zip(shown["code"], own, strict=True):
        expected = named.get(code, legend.legend_handles[-1].get_color())
        assert matplotlib.colors.same_color(colour, expected)
    # The most frequent codes have colours.
    counts = shown["code"].value_counts()
    assert counts[list(named)].min() >= counts.drop(list(named)).max()


def test_one_long_channel_with_a_gap_of_unequal_series():
    rng = np.random.default_rng(0)
    X = [np.sin(np.arange(n) / 30) + rng.normal(scale=0.1, size=n) for n in (2000, 900)]
    X[1][300:350] = np.nan
    transformer = VQTextTransformer(16, max_epochs=0, random_state=0).fit(X)
    display = TokensDisplay.from_estimator(transformer, X, case=1)
    (line,) = display.lines_
    np.testing.assert_array_equal(line.get_ydata(), X[1])
    assert sum(map(len, display.tokens_[0].get_segments())) == 900
    assert display.axes_[0].get_xlabel() == "timepoint"
    assert "A part of the signal is missing" in display.title
    codebook = CodebookDisplay.from_estimator(transformer, X, n_codes=6)
    assert all(np.isfinite(window).all() for window in codebook.windows)
    for figure in (display.figure_, codebook.figure_):
        assert_legible(figure)


def test_many_channels_and_long_names_are_legible(wide):
    classifier, X, y = wide
    with plt.rc_context({"figure.dpi": 80}):  # letters are wider at a low resolution
        tokens = TokensDisplay.from_estimator(classifier, X, case=53)
        explanation = ExplanationDisplay.from_estimator(classifier, X, case=53)
        histograms = HistogramsDisplay.from_estimator(classifier, X, y, n_codes=32)
        codebook = CodebookDisplay.from_estimator(classifier, X[:9], n_codes=6)
    for display in (tokens, explanation, histograms, codebook):
        assert_legible(display.figure_)
    assert len(tokens.axes_) == 24
    assert "2 more channels are not shown" in tokens.axes_[-1].get_xlabel()
    assert "32 of 40" in histograms.ax_.get_xlabel()
    # Long names are truncated, but not the statistics of a code.
    for panel, lift in zip(codebook.axes_.flat, codebook.codes["lift"], strict=True):
        assert panel.get_title().endswith(f"\N{MULTIPLICATION SIGN}{lift:.1f}")


def test_names_of_codes_stand_below_them(fitted):
    display = CodebookDisplay.from_estimator(fitted, n_codes=16, texts=TEXTS[:2])
    names = fitted.describe_codes(TEXTS[:2])["phrase"]
    assert display.codes["phrase"].equals(names[display.codes.index])
    shown = [panel.get_xlabel().replace("\n", " ") for panel in display.axes_.flat[:16]]
    assert shown == [name or "" for name in display.codes["phrase"]]
    assert_legible(display.figure_)


def test_explanation_draws_contributions_on_the_series(fitted, basic_motions):
    X = basic_motions.X_test
    display = ExplanationDisplay.from_estimator(fitted, X, case=12)
    assert_legible(display.figure_)
    table = fitted.explain(X[12:13])
    tokens = table[table["code"] >= 0]
    label, other = table["label"][0], table["against"][0]
    assert display.title.startswith(f"Case 12. {label} against {other}: ")
    assert f"log-odds {table['contribution'].sum():+.2f}" in display.title
    most = tokens["contribution"].abs().max()
    for channel, panel in enumerate(display.axes_):
        np.testing.assert_array_equal(
            display.lines_[channel].get_ydata(), X[12, channel]
        )
        own = tokens[tokens["channel"] == channel].sort_values("start")
        spans = display.spans_[channel]
        starts = [path.vertices[0, 0] for path in spans.get_paths()]
        np.testing.assert_allclose(starts, (own["start"] - 0.5) / 10)
        # Contributions are orange if positive and blue if negative, with their size as
        # opacity.
        red, _, blue, opacity = spans.get_facecolor().T
        share = own["contribution"].to_numpy() / most
        np.testing.assert_allclose(opacity, 0.65 * np.abs(share), atol=0.01)
        seen = np.abs(share) > 0.01
        assert ((red > blue) == (share > 0))[seen].all()
        everywhere = table[(table["channel"] == channel) & (table["code"] < 0)]
        np.testing.assert_allclose(
            [bar.get_width() for bar in display.bars_[channel]],
            [own["contribution"].sum(), everywhere["contribution"].sum()],
        )
        for number in display.numbers_:
            if number.axes is panel:
                middle = number.get_position()[0]
                there = (own["start"] + own["length"] / 2 - 0.5) / 10
                row = own.iloc[int(np.abs(there - middle).argmin())]
                assert f"{row['contribution']:+.2f}" == number.get_text().replace(
                    "\N{MINUS SIGN}", "-"
                )
    assert len(display.numbers_) > 5
    below = display.colorbar_.ax.get_xlabel()
    assert f"evidence for {label}" in below and f"evidence for {other}" in below


def test_explanation_of_chosen_classes_and_channels(fitted, basic_motions):
    X = basic_motions.X_test
    display = ExplanationDisplay.from_estimator(
        fitted,
        X,
        case=3,
        label="running",
        against="walking",
        channels=["gyro_x"],
    )
    odds = fitted.explain(X[3:4], "running", "walking")["contribution"].sum()
    times, likelier = np.exp(abs(odds)), "running" if odds > 0 else "walking"
    factor = f"{float(f'{times:.3g}'):,g}" if times < 1e6 else "over 1,000,000"
    assert display.title.startswith(
        f"Case 3. running against walking: {likelier} is {factor} times as probable"
    )
    assert [panel.get_ylabel() for panel in display.axes_] == ["gyro_x"]
    assert len(display.sums_axes_) == 1
    assert_legible(display.figure_)
    # The visible contributions sum to the value in the title.
    names = [text.get_text() for text in display.sums_axes_[0].get_yticklabels()]
    below = display.sums_axes_[0].get_xlabel().split("\n")
    assert "in 5 other channels" in below[0]
    numbers = [each.replace("\N{MINUS SIGN}", "-").split()[0] for each in names + below]
    assert sum(map(float, numbers)) == pytest.approx(odds, abs=0.03)


def test_explanation_in_a_small_place_shows_what_counts_most(fitted, basic_motions):
    X = basic_motions.X_test
    with plt.style.context("dark_background"):
        _, ax = plt.subplots(figsize=(6, 3.2))
        display = ExplanationDisplay.from_estimator(fitted, X, case=12, ax=ax)
        assert_legible(ax.figure)
    table = display.contributions
    kinds = table.assign(is_token=table["code"] >= 0).groupby(["channel", "is_token"])
    size = kinds["contribution"].sum().abs().groupby("channel").sum().drop(-1)
    shown = [panel.get_ylabel() for panel in display.axes_]
    assert 1 < len(shown) < 6
    best = sorted(size.nlargest(len(shown)).index)
    assert shown == [basic_motions.channel_names[channel] for channel in best]
    assert display.numbers_
    assert "other channel" in display.sums_axes_[-1].get_xlabel()
    # Bars and tokens have the same colours.
    for bars in display.bars_:
        for bar in bars:
            red, _, blue, opacity = bar.get_facecolor()
            assert opacity < 0.02 or (red > blue) == (bar.get_width() > 0)


def test_small_codes_are_drawn_larger_and_say_so():
    wave = np.sin(np.arange(8))
    codes = pd.DataFrame({"shape": "wave", "usage": 0.1}, index=range(4))
    shapes = np.stack([2 * wave, wave, wave / 4, wave / 100])
    display = CodebookDisplay(shapes, codes).plot()
    assert display.larger_ == [1, 1, 5, 20]
    limits = [panel.get_ylim() for panel in display.axes_.flat]
    assert limits[0] == limits[1]
    assert limits[0][0] == pytest.approx(5 * limits[2][0])
    marks = [[text.get_text() for text in panel.texts] for panel in display.axes_.flat]
    assert ["5:1" in each for each in marks] == [False, False, True, False]
    assert "5:1 or 20:1: enlarged" in display.figure_.get_supxlabel()
    assert_legible(display.figure_)


def test_histograms_are_lifts_of_classes(fitted, basic_motions):
    X, y = basic_motions.X_test, basic_motions.y_test
    display = HistogramsDisplay.from_estimator(fitted, X, y)
    shares = fitted.transform_codes(X)
    means = np.array([shares[y == label].mean(axis=0) for label in np.unique(y)])
    expected = np.log2((means / means.mean(axis=0)).clip(1 / 16, 16))
    np.testing.assert_allclose(display.image_.get_array(), expected[:, display.codes])
    assert sorted(display.codes) == list(range(16))
    # Codes of a class are adjacent, in order of decreasing lift.
    best = display.lifts.argmax(axis=0)
    assert (np.diff(best) >= 0).all()
    for index in range(4):
        assert (np.diff(display.lifts.max(axis=0)[best == index]) <= 0).all()
    ax = display.ax_
    assert [text.get_text() for text in ax.get_yticklabels()] == np.unique(y).tolist()
    numbers = [int(text.get_text()) for text in ax.get_xticklabels()]
    assert numbers == display.codes.tolist()
    drawn = display.shapes_.get_segments()
    for line, code in zip(drawn, display.codes, strict=True):
        height = np.corrcoef(-line[:, 1], fitted.shapes_[code])[0, 1]
        assert height == pytest.approx(1)
    low, high = display.image_.get_clim()
    assert low == -high
    assert display.colorbar_.ax.get_ylabel() == "times the mean of classes"
    assert "1" in [text.get_text() for text in display.colorbar_.ax.get_yticklabels()]
    assert_legible(display.figure_)


def test_histograms_of_other_classes_and_of_codes_that_differ(fitted, basic_motions):
    X = basic_motions.X_test
    y = np.where(basic_motions.y_test == "running", 1, 0)
    display = HistogramsDisplay.from_estimator(fitted, X, y, n_codes=5)
    assert display.labels == ["0", "1"]
    shares = fitted.transform_codes(X)
    differences = np.abs(shares[y == 0].mean(axis=0) - shares[y == 1].mean(axis=0))
    assert set(display.codes) == set(np.argsort(-differences)[:5])
    assert_legible(display.figure_)


def test_phrases_are_lifts_of_texts(fitted):
    display = PhrasesDisplay.from_estimator(fitted, TEXTS)
    assert_legible(display.figure_)
    shares = fitted.transform_text(TEXTS)
    expected = np.log2(shares / shares.mean(axis=0))
    np.testing.assert_allclose(
        display.image_.get_array(), expected[:, display.codes], atol=1e-9
    )
    labels = [text.get_text() for text in display.ax_.get_yticklabels()]
    assert labels[:2] == TEXTS[:2]
    assert labels[2].endswith("…") and labels[2].count("\n") == 2


def test_history_has_a_panel_per_loss(fitted):
    display = HistoryDisplay.from_estimator(fitted)
    assert_legible(display.figure_)
    panels = [panel for panel in display.axes_.flat if panel is not None]
    titles = [panel.get_title() for panel in panels]
    assert titles[0] == "weighted sum"
    assert set(titles[1:]) == {"class", "text", "codes", "affinity", "fused"}
    for panel, name in zip(panels, ["loss", *titles[1:]], strict=True):
        (line,) = panel.lines
        assert line.get_xdata().tolist() == [1, 2]
        losses = [epoch[f"train_{name}"] for epoch in fitted.history_]
        assert line.get_ydata().tolist() == losses


def test_history_of_held_out_series_shows_the_best_epoch():
    history = [
        {"dur": 0.1, "train_loss": 3.0, "valid_loss": 4.0, "train_text": 1.0},
        {"dur": 0.1, "train_loss": 2.0, "valid_loss": 3.0},
        {"dur": 0.1, "train_loss": 1.0, "valid_loss": 3.5, "valid_text": 2.0},
    ]
    display = HistoryDisplay(history).plot()
    first, second = (panel for panel in display.axes_.flat if panel is not None)
    train, valid, kept = first.lines
    assert train.get_ydata().tolist() == [3, 2, 1]
    assert valid.get_ydata().tolist() == [4, 3, 3.5]
    assert set(kept.get_xdata()) == {2}
    assert second.get_title() == "text"
    np.testing.assert_array_equal(second.lines[1].get_ydata(), [np.nan, np.nan, 2])
    (legend,) = display.figure_.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "training",
        "validation",
        "best epoch",
    ]
    assert_legible(display.figure_)


def test_displays_take_the_place_of_axes(fitted, basic_motions):
    figure, axes = plt.subplots(3, 3, figsize=(30, 24))
    axes[2, 2].set_title("one's own")
    options = {
        CodebookDisplay: {"n_codes": 4, "n_columns": 3},
        TokensDisplay: {"channels": [0, 5]},
        ExplanationDisplay: {"channels": [0, 5]},
    }
    # Draw in reverse order, so that a colour bar exists before other displays.
    for ax, display in zip(axes.flat[5::-1], DISPLAYS[::-1], strict=True):
        arguments = ARGUMENTS[display]
        drawn = display.from_estimator(
            fitted, *arguments(basic_motions), ax=ax, **options.get(display, {})
        )
        if hasattr(drawn, "ax_"):
            assert drawn.ax_ is ax and drawn.figure_ is figure
            continue
        assert not ax.axison
        assert drawn.figure_ in figure.subfigs
    assert_legible(figure)
    for ax in (axes[0, 0], axes[1, 2]):  # codebook and history displays
        with pytest.raises(ValueError, match="ax is already used"):
            HistoryDisplay.from_estimator(fitted, ax=ax)


def test_layout_of_a_figure_is_kept_where_another_would_not_do(fitted):
    figure, (left, right) = plt.subplots(1, 2)
    figure.colorbar(left.imshow([[0, 1]]))  # a colour bar on a nested grid
    HistoryDisplay.from_estimator(fitted, ax=right)
    assert figure.get_layout_engine() is None
    figure.draw_without_rendering()
    figure, ax = plt.subplots(layout="tight")
    layout = figure.get_layout_engine()
    HistoryDisplay.from_estimator(fitted, ax=ax)
    assert figure.get_layout_engine() is layout


def test_axes_must_be_on_a_grid(fitted):
    with pytest.raises(ValueError, match=r"plt\.subplots"):
        HistoryDisplay.from_estimator(fitted, ax=plt.figure().add_axes((0, 0, 1, 1)))
    with pytest.raises(TypeError, match="matplotlib Axes, got Figure"):
        HistoryDisplay.from_estimator(fitted, ax=plt.figure())


def test_ink_is_that_of_the_style(fitted, basic_motions):
    for style, ink in {"default": "black", "dark_background": "white"}.items():
        with plt.style.context(style):
            X = basic_motions.X_test
            display = TokensDisplay.from_estimator(fitted, X, channels=[0])
        for artist in (display.lines_[0], *display.numbers_[:2]):
            assert matplotlib.colors.same_color(artist.get_color(), ink)


def test_figures_grow_with_the_font(fitted):
    sizes = []
    for size in (10, 20):
        with plt.rc_context({"font.size": size}):
            display = CodebookDisplay.from_estimator(fitted, n_codes=4)
            assert_legible(display.figure_)
            sizes.append(display.figure_.get_size_inches())
    np.testing.assert_allclose(2 * sizes[0], sizes[1])


def test_estimator_must_be_ours_and_fitted_and_matplotlib_installed(
    fitted, basic_motions, monkeypatch
):
    for display in DISPLAYS:
        arguments = ARGUMENTS[display](basic_motions)
        with pytest.raises(NotFittedError):
            display.from_estimator(VQTextClassifier(), *arguments)
        message = f"{display.__name__} requires a fitted .* got LogisticRegression"
        with pytest.raises(TypeError, match=message):
            display.from_estimator(LogisticRegression(), *arguments)
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "matplotlib", None)
            with pytest.raises(ImportError, match=r"pip install 'sktext_vq\[plot\]'"):
                display.from_estimator(fitted, *arguments)
    assert not plt.get_fignums()


def test_matplotlib_is_imported_only_to_draw():
    for path in Path(displays.__file__).parent.glob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert not re.search("^(import|from) matplotlib", source, re.MULTILINE), path


@pytest.mark.parametrize(
    "display, options, message",
    [
        (CodebookDisplay, {"order": "size"}, "order must be one of"),
        (CodebookDisplay, {"n_codes": 0}, "n_codes must be at least 1"),
        (CodebookDisplay, {"n_columns": 0}, "n_columns must be at least 1"),
        (TokensDisplay, {"case": 40}, "case must be from 0 to 39"),
        (TokensDisplay, {"case": -1}, "from 0 to 39, got -1. X has 40 cases"),
        (TokensDisplay, {"case": "rec1015"}, r"counted from 0\), got 'rec1015'"),
        (TokensDisplay, {"channels": ["acc_x", "acc"]}, r"got \['acc'\]"),
        (TokensDisplay, {"channels": [6]}, r"indices from 0 to 5, got \[6\]"),
        (TokensDisplay, {"channels": []}, "channels must be names from"),
        (ExplanationDisplay, {"case": 40}, "case must be from 0 to 39"),
        (
            ExplanationDisplay,
            {"label": "flying"},
            "'flying' is not a class of the training",
        ),
        (HistogramsDisplay, {"n_codes": 0}, "n_codes must be at least 1"),
    ],
)
def test_options_that_are_off(fitted, basic_motions, display, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        display.from_estimator(fitted, *ARGUMENTS[display](basic_motions), **options)
    assert not plt.get_fignums()


def test_input_that_does_not_fit(fitted, basic_motions, har_like):
    X, y = basic_motions.X_test, basic_motions.y_test
    for display in (CodebookDisplay, TokensDisplay, ExplanationDisplay):
        with pytest.raises(ValueError, match="X has 3 channels"):
            display.from_estimator(fitted, X[:, :3])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        HistogramsDisplay.from_estimator(fitted, X, y[:5])
    with pytest.raises(ValueError, match="at least two classes"):
        HistogramsDisplay.from_estimator(fitted, X[:2], ["walking", "walking"])
    with pytest.raises(ValueError, match="texts must contain at least two"):
        PhrasesDisplay.from_estimator(fitted, ["a person walks"])
    closed = VQTextTransformer(16, random_state=0).fit(har_like[0])
    without_text = VQTextTransformer(16, text=None, random_state=0).fit(har_like[0])
    with pytest.raises(ValueError, match="fitted without text"):
        PhrasesDisplay.from_estimator(without_text, TEXTS)
    with pytest.raises(
        ValueError, match=r"closed form \(max_epochs=0\)\. Set max_epochs"
    ):
        HistoryDisplay.from_estimator(closed)
    assert not plt.get_fignums()
