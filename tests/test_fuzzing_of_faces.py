"""Reports and figures of arbitrary input."""

import io
from html.parser import HTMLParser
from importlib.resources import files

import numpy as np
import pytest
from fuzz import (
    ANY_TEXT,
    ANY_TEXTS,
    ODD,
    PARAMETERS,
    TINY,
    frozen,
    fuzzed,
    labels,
    panels,
    trained,
    tried,
    unchanged,
)
from hypothesis import given
from hypothesis import strategies as st

from sktext_vq import VQTextClassifier, VQTextTransformer, inspection
from sktext_vq.inspection import write_report

pytest.importorskip("matplotlib")

import matplotlib.pyplot as plt

MARKUP = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "<!-- ",
    "</style><b>",
    "' onload='alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;script&gt;",
    "javascript:alert(1)",
    "$x_{1$ \\frac",
)
WORDS = st.one_of(st.sampled_from(MARKUP), ANY_TEXT)


@st.composite
def named(draw):
    """Draw a model with arbitrary channel names and class names, and its series."""
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    n_channels = draw(st.integers(1, 3))
    X = rng.normal(size=(8, n_channels, draw(st.integers(1, 40))))
    X[::2] *= draw(st.sampled_from([1.0, 10.0, 0.0, 1e-30, 1e30]))
    X[:, 0, 2:4] = draw(st.sampled_from([0.0, np.nan]))
    X[:, :, 0] = 1
    names = [draw(WORDS) for _ in range(n_channels)]
    words = draw(st.lists(WORDS, min_size=2, max_size=3, unique=True))
    y = np.array((words * 4)[:8], dtype=object)
    parameters = TINY | {
        "channel_names": draw(st.sampled_from([None, names])),
        "sampling_rate": draw(st.sampled_from([None, 50.0, 1e-300, 1e300])),
        "max_epochs": draw(st.sampled_from([0, 0, 0, 1])),
        "text_encoder": "hashing",
    }
    if draw(st.booleans()):
        parameters["text"] = dict.fromkeys(words, draw(WORDS))
    estimator = draw(st.sampled_from([VQTextClassifier, VQTextTransformer]))
    return tried(estimator(**parameters).fit, X, y), X, y


MODELS = st.one_of(
    named(), st.builds(lambda: (*trained(), np.array(["walking", "b", "running"])))
)
FIGURES = [name for name in inspection.__all__ if name.endswith("Display")]
ARGUMENTS = st.one_of(st.integers(0, 9), PARAMETERS, WORDS)


def draw_some(data, choices, most=2):
    """Draw few arguments, since an invalid argument hides errors of others."""
    few = st.lists(st.sampled_from(sorted(choices)), max_size=most, unique=True)
    return {name: data.draw(choices[name], name) for name in data.draw(few, "given")}


# Pages


class Page(HTMLParser):
    """Parser that checks a page as a browser reads it."""

    def __init__(self, text):
        super().__init__()
        self.scripts, self.tags, self.attributes = [], set(), set()
        self.within = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.within = tag
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        for name, value in attrs:
            # Browsers interpret "java\nscript:" as "javascript:".
            assert name != "href" or value.startswith("#"), value

    def handle_endtag(self, tag):
        self.within = None

    def handle_data(self, data):
        if self.within == "script":
            self.scripts.append(data)


SCRIPT = (files("sktext_vq.inspection") / "report.js").read_text(encoding="utf-8")


@fuzzed(8)
@given(data=st.data(), model=MODELS)
def test_pages_about_anything(tmp_path_factory, data, model):
    estimator, X, y = model
    if estimator is None:
        return
    path = tmp_path_factory.getbasetemp() / "report.html"
    path.unlink(missing_ok=True)
    choices = {
        "X": st.one_of(panels(estimator.n_channels_), ODD),
        "X_train": st.one_of(st.just(X), panels(estimator.n_channels_), ODD),
        "n_examples": ARGUMENTS,
        "title": st.one_of(WORDS, PARAMETERS),
        "y": st.one_of(labels(len(X)), st.permutations(list(y)), ODD),
    }
    given = {"X": X, "y": y, "path": path} | draw_some(data, choices)
    X, before = given["X"], frozen(given["X"])
    found = tried(write_report, estimator, **given)
    assert (found is not None) == path.exists()
    if found is not None:
        text = path.read_text(encoding="utf-8")
        page = Page(text)
        assert "".join(page.scripts).strip() == SCRIPT.strip()
        assert text.count("<script") == 1
        assert not page.tags & {"img", "b", "iframe", "object", "link"}
        assert not [name for name in page.attributes if name.startswith("on")]
        assert unchanged(X, before)


# Figures


def drawn(function, *args, **kwargs):
    """Create and render a display; an error must not leave a figure open."""
    try:
        display = tried(function, *args, **kwargs)
        if display is None:
            assert not plt.get_fignums()
        else:
            figure = display.figure_.figure
            assert tried(lambda: figure.savefig(io.BytesIO(), dpi=20) or 1)
    finally:
        plt.close("all")


@fuzzed(10)
@given(data=st.data(), model=MODELS)
def test_figures_of_anything(data, model):
    estimator, X, y = model
    if estimator is None:
        return
    name = data.draw(st.sampled_from(FIGURES), "display")
    # Required arguments, and optional arguments that replace or complement them.
    texts = st.one_of(ANY_TEXTS, st.lists(WORDS, min_size=2, max_size=3))
    series = {"X": st.one_of(panels(estimator.n_channels_), ODD)}
    channels = st.one_of(st.lists(ARGUMENTS, max_size=3), ARGUMENTS)
    classes = st.one_of(st.sampled_from(list(y)), ARGUMENTS)
    lifts = {"n_codes": ARGUMENTS, "cmap": st.one_of(st.just("RdBu"), ARGUMENTS)}
    needed, choices = {
        "CodebookDisplay": (
            {"X": X},
            series
            | dict.fromkeys(["n_codes", "n_columns", "n_windows"], ARGUMENTS)
            | {"order": st.sampled_from(["lift", "usage", "code", "x", None])}
            | {"texts": texts},
        ),
        "ExplanationDisplay": (
            {"X": X},
            series
            | {"case": ARGUMENTS, "label": classes, "against": classes}
            | {"channels": channels},
        ),
        "HistogramsDisplay": (
            {"X": X, "y": y},
            series | lifts | {"y": labels(len(X))},
        ),
        "HistoryDisplay": ({}, {}),
        "PhrasesDisplay": ({"texts": ["up", "down"]}, lifts | {"texts": texts}),
        "TokensDisplay": ({"X": X}, series | {"case": ARGUMENTS, "channels": channels}),
    }[name]
    options = needed | draw_some(data, choices | {"ax": st.one_of(ODD, PARAMETERS)})
    drawn(getattr(inspection, name).from_estimator, estimator, **options)
