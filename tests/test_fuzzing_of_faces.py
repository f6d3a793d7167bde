"""Pages, figures, sktime and commands: whatever they get, they show or refuse it."""

import io
from contextlib import redirect_stderr, redirect_stdout
from html.parser import HTMLParser
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
from fuzz import (
    ANY_TEXT,
    ANY_TEXTS,
    NAMES,
    ODD,
    PARAMETERS,
    TINY,
    check_probabilities,
    frozen,
    fuzzed,
    in_folder,
    labels,
    panels,
    same,
    trained,
    tried,
    unchanged,
)
from hypothesis import given
from hypothesis import strategies as st

from sktext_vq import VQTextClassifier, VQTextTransformer, inspection, save
from sktext_vq.__main__ import main
from sktext_vq.inspection import write_report
from sktext_vq.panel import as_panel

pytest.importorskip("matplotlib")
pytest.importorskip("sktime")

import matplotlib.pyplot as plt

from sktext_vq.sktime import VQTextSktimeClassifier, VQTextSktimeTransformer

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
    """Draw a model whose channels and classes have any names, and its series."""
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
    """Draw a few arguments, as an odd one hides what others do."""
    few = st.lists(st.sampled_from(sorted(choices)), max_size=most, unique=True)
    return {name: data.draw(choices[name], name) for name in data.draw(few, "given")}


# Pages


class Page(HTMLParser):
    """What a browser would make of a page."""

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
            # A browser reads "java\nscript:" as it does "javascript:".
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
    """Draw and render; a refusal must not leave a figure behind."""
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
    # What it needs, and what it may be given beside or in place of that.
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


# sktime


def as_sktime(X, mtype):
    """Turn an array of three axes, or a list of unequal ones, into a type of sktime."""
    if mtype == "numpy3D" or isinstance(X, str):
        return X
    frames = [pd.DataFrame(np.asarray(x).T) for x in X]
    if mtype == "df-list":
        return frames
    if mtype == "pd-multiindex":
        return pd.concat(frames, keys=range(len(frames)), names=["case", "time"])
    columns = range(frames[0].shape[1])
    return pd.DataFrame({f"c{i}": [frame[i] for frame in frames] for i in columns})


@fuzzed(8)
@given(
    data=st.data(),
    kind=st.sampled_from([VQTextSktimeClassifier, VQTextSktimeTransformer]),
    mtype=st.sampled_from(["numpy3D", "df-list", "pd-multiindex", "nested_univ"]),
    given_as_is=st.sampled_from([False, False, False, True]),
)
def test_sktime_gets_a_result_or_a_refusal(data, kind, mtype, given_as_is):
    def draw(n_channels, name):
        X = data.draw(panels(n_channels, most_cases=6), name)
        if given_as_is:
            return X, X
        try:
            as_panel(X)
            array = np.asarray(X)
        except (ValueError, TypeError):
            return X, X
        if array.ndim == 2:
            array = array[:, None]
        series = array if array.ndim == 3 else X
        return as_sktime(series, mtype), series

    X, series = draw(None, "X")
    # What is no label, sktime gets to first, and has no words for.
    numbers = np.arange(len(X))
    kinds = [numbers % 2, numbers % 3 > 0, (numbers % 2).astype(str), 0 * numbers]
    y = data.draw(st.sampled_from(kinds), "y")
    before = frozen(X)
    model = kind(max_epochs=0, text=None, **TINY)
    if tried(model.fit, X, y) is None:
        return
    for each, plain in ((X, series), draw(None, "new")):
        if kind is VQTextSktimeClassifier:
            found = tried(model.predict_proba, each)
            if found is not None and hasattr(model, "classifier_"):
                check_probabilities(found, (len(each), len(model.classes_)))
                same(found, tried(model.classifier_.predict_proba, plain))
        else:
            found = tried(model.transform, each)
            if found is not None and not given_as_is:
                same(found.to_numpy(), tried(model.transformer_.transform, plain))
    assert unchanged(X, before)


# Commands


VALUES = st.one_of(
    NAMES,
    st.sampled_from(
        [
            *(*MARKUP, "walking", "u", "label", "case", "own.csv", "texts.json"),
            *("3", "-1", "1e9", "nan", "made.csv", "walking,jumping", "folder"),
        ]
    ),
)
OPTIONS = {
    "predict": "--against --top --output --explain --json",
    "report": "--training --output",
    "zero-shot": "--labels --texts --output --json",
    "fit": "--texts --channel-names --sampling-rate --codes --text-encoder --seed",
}


@fuzzed(8)
@given(command=st.sampled_from(list(OPTIONS)), column=st.booleans(), data=st.data())
def test_commands_with_any_options(tmp_path_factory, command, column, data):
    names = OPTIONS[command].split()
    if column:
        columns = ("label", "case", "time", "subject")
        names += ["--ignore", *(f"--{each}-column" for each in columns)]
    words = [
        name if name in ("--explain", "--json") else f"{name}={data.draw(VALUES, name)}"
        for name in data.draw(st.lists(st.sampled_from(names), max_size=3), "options")
    ]
    if command == "report":
        words.insert(0, "--output=report.html")
    if command == "zero-shot":
        words.insert(0, "--labels=walking,jumping")
    if command == "fit":
        words = ["--epochs=0", "--codes=16", "--text-encoder=hashing", *words]
    out, err = io.StringIO(), io.StringIO()
    with in_folder(tmp_path_factory.getbasetemp()) as folder:
        model, X = trained()
        save(model, folder / "own.safetensors")
        case, time = np.mgrid[:3, :40].reshape(2, -1)
        table = {
            "case": case,
            "time": time,
            "label": np.array(["walking", "b"])[case % 2],
        }
        table |= {name: X[:, i].ravel() for i, name in enumerate("uvw")}
        pd.DataFrame(table).to_csv("own.csv", index=False)
        (folder / "texts.json").write_text('{"jumping": "up and down"}')
        arguments = [command, "own.csv", "--model=own.safetensors", *words]
        with redirect_stdout(out), redirect_stderr(err):
            try:
                code = tried(main, arguments)
            except SystemExit as error:
                code = error.code
    assert code in (0, 1, 2)
    if code == 1:
        assert err.getvalue().splitlines()[-1].startswith(f"sktext_vq {command}: ")
    if code == 2:
        assert "usage: " in err.getvalue()
