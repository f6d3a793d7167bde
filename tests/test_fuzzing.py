"""Anything as input: a sound result, or an error that was meant for people.

The normal suite draws some two hundred cases. ``make fuzz`` draws thousands.
"""

import gzip
import io
import json
import linecache
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import in_long_run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sktext_vq
from sktext_vq import (
    PromptBank,
    SeriesCaptioner,
    SeriesVerbalizer,
    TextEncoder,
    VQTextClassifier,
    VQTextTransformer,
)
from sktext_vq import datasets as sets
from sktext_vq.__main__ import main
from sktext_vq._files import read_recordings
from sktext_vq.panel import as_panel
from sktext_vq.recordings import cut_windows, segment

TINY = {"n_codes": 16, "max_features": 60, "random_state": 0, "n_jobs": 1}
PACKAGE = Path(sktext_vq.__file__).parent
# Where errors come from that are worded for those who use scikit-learn.
CHECKS = ("sklearn/utils", "sktext_vq/")


def fuzzed(few):
    """Draw so many cases, and in a long run a number in proportion."""
    return settings(
        max_examples=few * (30 if in_long_run() else 1),
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )


def tried(function, *args, allowed=(), **kwargs):
    """Return a result, or None where input was refused in words."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = function(*args, **kwargs)
        except (ValueError, TypeError, *allowed) as error:
            check_refusal(error)
            found = None
    for each in caught:
        assert issubclass(each.category, UserWarning), str(each)
        assert "torch" not in str(each.message), str(each)
    return found


def check_refusal(error):
    """Hold that an error is raised on purpose, and says something."""
    assert len(str(error)) > 10, repr(error)
    last = error.__traceback__
    while last.tb_next is not None:
        last = last.tb_next
    name = last.tb_frame.f_code.co_filename
    line = linecache.getline(name, last.tb_lineno).strip()
    deliberate = line.startswith("raise ") and any(each in name for each in CHECKS)
    assert deliberate, f"{type(error).__name__}: {error} ({name}: {line})"


def same(left, right):
    """Hold that two results are equal to the last bit."""
    if isinstance(left, pd.DataFrame):
        pd.testing.assert_frame_equal(left, right, check_exact=True)
    else:
        np.testing.assert_array_equal(left, right)


def frozen(X):
    """Copy of an input, to see later whether it was written to."""
    if isinstance(X, list | tuple):
        return [frozen(each) for each in X]
    return X.copy() if hasattr(X, "copy") else X


def unchanged(X, before):
    if isinstance(X, list | tuple):
        return all(unchanged(*pair) for pair in zip(X, before, strict=True))
    if isinstance(X, pd.DataFrame):
        X, before = X.to_numpy(), before.to_numpy()
    # Bytes, as NaN and objects do not compare.
    left, right = np.asarray(X), np.asarray(before)
    return left.dtype == right.dtype and repr(left) == repr(right)


# Series

DTYPES = (
    *("float64",) * 6,
    *("float32", "float16", "longdouble", ">f8", ">f4"),
    *("int8", "uint8", "int16", "uint16", "int32", "int64", "uint64", ">i2", "bool"),
    *("object", "complex64", "complex128", "str", "bytes", "datetime64[s]"),
    *("timedelta64[s]",),
)
KINDS = ("noise", "walk", "wave", "constant", "zero", "spike", "two values", "steps")
GAPS = (*("none",) * 5, "some", "most", "stretch", "end", "start", "channel", "case")
LAYOUTS = ("C", "C", "F", "strided", "reversed", "read-only", "memory map")
FORMS = ("3d", "3d", "2d", "list", "unequal", "tuple", "nested", "flat list", "frame")
SIZES = (1.0, 1.0, 1.0, 1e-300, 1e-30, 1e-8, 1e8, 1e30, 1e300)


def make_series(rng, kind, shape):
    if kind == "noise":
        return rng.normal(size=shape)
    if kind == "walk":
        return rng.normal(size=shape).cumsum(axis=-1)
    if kind == "wave":
        return np.sin(np.arange(shape[-1]) * rng.uniform(0.01, 3, (*shape[:-1], 1)))
    if kind == "constant":
        return np.broadcast_to(rng.normal(size=(*shape[:-1], 1)), shape).copy()
    if kind == "zero":
        return np.zeros(shape)
    if kind == "spike":
        return (rng.random(shape) > 0.97) * 1.0
    if kind == "two values":
        return rng.integers(0, 2, shape) * 1.0
    return rng.integers(-100, 100, shape) * 1.0


def make_gaps(rng, gaps, X):
    if gaps == "some":
        X[rng.random(X.shape) < 0.2] = np.nan
    elif gaps == "most":
        X[rng.random(X.shape) < 0.9] = np.nan
    elif gaps in ("stretch", "end", "start"):
        ends = np.sort(rng.integers(0, X.shape[2] + 1, 2))
        where = {"stretch": slice(*ends), "end": slice(ends[0], None)}
        X[rng.integers(len(X)), :, where.get(gaps, slice(ends[1]))] = np.nan
    elif gaps == "channel":
        X[rng.integers(len(X)), rng.integers(X.shape[1])] = np.nan
    elif gaps == "case":
        X[rng.integers(len(X))] = np.nan


def lay_out(X, layout):
    if layout == "F":
        return np.asfortranarray(X)
    if layout == "strided":
        return np.repeat(X, 2, axis=-1)[..., ::2]
    if layout == "reversed":
        return X[..., ::-1]
    if layout == "read-only":
        X.flags.writeable = False
    return X


@st.composite
def panels(draw, n_channels=None, most_cases=10):
    """Series of any kind, mostly sound."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_cases = draw(st.integers(1, most_cases))
    if n_channels is None or draw(st.integers(0, 9)) == 0:
        n_channels = draw(st.integers(1, 4))
    short = st.integers(1, 40)
    n_timepoints = draw(st.one_of(short, short, st.integers(1, 300)))
    X = make_series(
        rng, draw(st.sampled_from(KINDS)), (n_cases, n_channels, n_timepoints)
    )
    X = X * draw(st.sampled_from(SIZES)) + draw(
        st.sampled_from((0.0, 0.0, 0.0, 1e9, -1e30))
    )
    make_gaps(rng, draw(st.sampled_from(GAPS)), X)
    if draw(st.integers(0, 15)) == 0:
        X[tuple(rng.integers(0, X.shape))] = draw(st.sampled_from((np.inf, -np.inf)))
    dtype = draw(st.sampled_from(DTYPES))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if np.dtype(dtype).kind in "mM":
            X = np.nan_to_num(X, posinf=0, neginf=0).clip(-1e9, 1e9)
        X = X.astype(dtype)
    form = draw(st.sampled_from(FORMS))
    if form == "3d":
        layout = draw(st.sampled_from(LAYOUTS))
        if layout == "memory map" and not X.dtype.hasobject:
            mapped = np.memmap(io_file(), X.dtype, "w+", shape=X.shape)
            mapped[:] = X
            return mapped
        return lay_out(X, layout)
    if form == "2d":
        return lay_out(X[:, 0], draw(st.sampled_from(LAYOUTS)))
    if form == "frame":
        return pd.DataFrame(X[:, 0])
    if form == "flat list":
        return [x[0] for x in X]
    if form == "unequal":
        ends = rng.integers(draw(st.integers(0, 1)), n_timepoints + 1, n_cases)
        return [x[:, :end] for x, end in zip(X, ends, strict=True)]
    if form == "nested":
        return X.tolist()
    return tuple(X) if form == "tuple" else list(X)


def io_file():
    import tempfile

    return tempfile.TemporaryFile()


ODD = st.sampled_from(
    [
        *(None, 3, 2.5, "text", b"bytes", [], {}, set(), np.nan, object, [None]),
        *([[]], [[[]]], np.zeros(0), np.zeros((0, 3)), np.zeros((3, 0)), np.array(5)),
        *(np.zeros((2, 0, 5)), np.zeros((2, 3, 0)), np.zeros((1, 2, 3, 4)), [1, 2, 3]),
        *([[1, 2], [3]], [[[1, 2], [3]]], [["a"]], [[None, 1.0]], {"a": [1, 2]}),
        *(iter([1, 2]), range(5), [np.zeros(3), np.zeros((2, 3))], pd.Series([1, 2])),
        *(pd.DataFrame(), pd.DataFrame({"a": ["x"]}), np.zeros(3, "f4,f4")),
        *(np.ma.masked_array([[1.0, 2.0]], [[0, 1]]), [[1j, 2]], [[True, False]]),
        *(np.array([[10**400, 1]], dtype=object), [[10**400, 1.0]], [[object(), 1]]),
        *(np.array([[[1.0, None]]], dtype=object), [{1, 2}], [{"a": 1}], "ab", [b"x"]),
    ]
)


@st.composite
def labels(draw, n_cases):
    """Classes of any kind for so many cases, mostly sound."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(
        st.sampled_from(
            [
                *("str", "str", "int", "int", "bool", "whole", "object", "bytes"),
                *("one", "single", "mixed", "fraction", "None", "NaN", "date", "huge"),
                *("column", "table", "length", "empty", "nothing", "category", "words"),
            ]
        )
    )
    y = rng.integers(0, 3, n_cases)
    y[:2] = np.arange(len(y[:2]))
    names = np.array(["walking", "standing", "a b"])
    made = {
        "str": lambda: names[y],
        "int": lambda: y - 1,
        "bool": lambda: y > 0,
        "whole": lambda: y.astype(float),
        "object": lambda: names[y].astype(object),
        "bytes": lambda: names[y].astype(bytes),
        "one": lambda: np.zeros(n_cases),
        "single": lambda: np.arange(n_cases) == 0,
        "mixed": lambda: np.array(["a" if i else 1 for i in y], dtype=object),
        "fraction": lambda: y + 0.5,
        "None": lambda: np.array([None if i else "b" for i in y], dtype=object),
        "NaN": lambda: np.where(y > 0, np.nan, 1.0),
        "date": lambda: y.astype("datetime64[D]"),
        "huge": lambda: y.astype(np.uint64) + np.uint64(2**63),
        "column": lambda: names[y][:, None],
        "table": lambda: np.eye(3)[y],
        "length": lambda: np.append(names[y], "one more"),
        "empty": lambda: np.array(["" if i else " " for i in y]),
        "nothing": lambda: None,
        "category": lambda: pd.Series(names[y]).astype("category"),
        "words": lambda: np.array(["\0", "\N{GRINNING FACE}", "x" * 999])[y],
    }
    return made[kind]()


ANY_TEXT = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=30),
    st.sampled_from(
        [
            *(
                "",
                " ",
                "\0",
                "\ud800",
                "\ufeff",
                "\u202e",
                "a" * 20_000,
                "word " * 3000,
            ),
            *(". . .", "...", "!?", "1", "-1e5", "walking", "\n\t", "A.B.C. d! e?"),
        ]
    ),
)
ANY_TEXTS = st.one_of(
    st.lists(ANY_TEXT, max_size=4),
    st.lists(st.one_of(ANY_TEXT, st.integers(), st.none(), st.binary()), max_size=3),
    ANY_TEXT,
    st.just(None),
    st.just(np.array([["a", "b"]])),
    st.lists(ANY_TEXT, min_size=1, max_size=3).map(lambda x: np.array(x, dtype=object)),
)


def n_cases_of(X):
    return as_panel(X).n_cases


def check_tables(model, X, panel):
    """Hold what tokens, reconstruct and transform_codes promise."""
    tokens = tried(model.tokens, X)
    assert np.isfinite(tokens[["offset", "scale"]].to_numpy()).all()
    assert (tokens["start"] >= 0).all()
    assert (tokens["length"] > 0).all()
    ends = (tokens["start"] + tokens["length"]).to_numpy()
    assert (ends <= panel.lengths[tokens["case"]]).all()
    rebuilt = tried(model.reconstruct, X)
    assert rebuilt.shape == panel.values.shape
    past = np.arange(panel.n_timepoints) >= panel.lengths[:, None]
    np.testing.assert_array_equal(
        np.isnan(rebuilt), np.broadcast_to(past[:, None], rebuilt.shape)
    )
    shares = tried(model.transform_codes, X)
    assert shares.shape == (panel.n_cases, model.n_codes)
    np.testing.assert_allclose(shares.sum(axis=1), 1)


def check_probabilities(found, shape):
    assert found.dtype == np.float64
    assert found.shape == shape
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)


def check_predictions(model, X):
    """Hold what a fitted classifier promises of any series."""
    before = frozen(X)
    found = tried(model.predict_proba, X)
    if found is None:
        assert tried(model.predict, X) is None
        return
    panel = as_panel(X)
    check_probabilities(found, (panel.n_cases, len(model.classes_)))
    same(found, tried(model.predict_proba, X))
    predicted = tried(model.predict, X)
    same(predicted, model.classes_[found.argmax(axis=1)])
    explained = tried(model.explain, X)
    numbers = explained.select_dtypes("number").to_numpy()
    assert np.isfinite(numbers).all()
    check_tables(model, X, panel)
    assert unchanged(X, before)


def check_features(model, X):
    """Hold what a fitted transformer promises of any series."""
    before = frozen(X)
    found = tried(model.transform, X)
    if found is None:
        return
    panel = as_panel(X)
    assert found.dtype == np.float32
    assert found.shape == (panel.n_cases, len(model.get_feature_names_out()))
    assert np.isfinite(found).all()
    same(found, tried(model.transform, X))
    check_tables(model, X, panel)
    assert unchanged(X, before)


# Estimators


@fuzzed(12)
@given(st.data())
def test_a_classifier_fits_or_says_why_not(data):
    X = data.draw(panels(), "X")
    y = data.draw(labels(len(X)), "y")
    before = frozen(X)
    model = VQTextClassifier(max_epochs=0, text=None, **TINY)
    if tried(model.fit, X, y) is None:
        return
    assert unchanged(X, before)
    names = model.classes_.tolist()
    assert len(names) >= 2
    assert set(names) <= set(np.ravel(np.asarray(y)).tolist())
    check_predictions(model, X)
    check_predictions(model, data.draw(panels(model.n_channels_), "new"))
    described = tried(model.describe_codes)
    assert len(described) == 16


@fuzzed(10)
@given(st.data())
def test_a_transformer_fits_or_says_why_not(data):
    X = data.draw(panels(), "X")
    y = data.draw(st.one_of(st.none(), labels(len(X))), "y")
    model = VQTextTransformer(max_epochs=0, text=None, **TINY)
    if tried(model.fit, X, y) is None:
        return
    check_features(model, X)
    check_features(model, data.draw(panels(model.n_channels_), "new"))


@fuzzed(4)
@given(st.data())
def test_training_takes_what_the_closed_form_takes(data):
    X = data.draw(panels(most_cases=6), "X")
    y = data.draw(labels(len(X)), "y")
    closed = VQTextClassifier(max_epochs=0, text=None, **TINY)
    model = VQTextClassifier(max_epochs=1, text_encoder="hashing", **TINY)
    accepted = tried(closed.fit, X, y) is not None
    assert (tried(model.fit, X, y) is not None) == accepted
    if accepted:
        check_predictions(model, X)


@fuzzed(12)
@given(ODD, st.sampled_from(["X", "y", "text", "groups"]))
def test_what_is_no_series_is_refused(odd, where):
    X = np.random.default_rng(0).normal(size=(6, 1, 20))
    given = {"X": X, "y": ["a", "b"] * 3, where: odd}
    model = VQTextClassifier(max_epochs=0, text=None, **TINY)
    tried(model.fit, **given)
    if where == "X":
        for other in (SeriesVerbalizer(), SeriesCaptioner()):
            tried(other.fit, odd)
        tried(cut_windows, odd, 5)


PARAMETERS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(),
    ANY_TEXT,
    st.lists(st.integers(0, 2), max_size=3),
    st.dictionaries(ANY_TEXT, st.one_of(ANY_TEXT, st.integers()), max_size=2),
)


@fuzzed(12)
@given(
    st.sampled_from(
        sorted(set(VQTextClassifier().get_params()) - {"verbose", "checkpoint", "init"})
    ),
    PARAMETERS,
)
def test_parameters_of_any_kind(name, value):
    X = np.random.default_rng(0).normal(size=(6, 3, 20))
    model = VQTextClassifier(max_epochs=1, text_encoder="hashing", **TINY)
    model.set_params(**{name: value})
    allowed = (OSError,) if name == "text_encoder" else ()
    if tried(model.fit, X, ["a", "b"] * 3, allowed=allowed) is not None:
        check_probabilities(model.predict_proba(X), (6, 2))


@pytest.fixture(scope="module")
def trained():
    """Return a model of three channels with all that text gives."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(24, 3, 40)).cumsum(axis=2)
    X[::2] *= 3
    model = VQTextClassifier(max_epochs=2, text_encoder="hashing", **TINY)
    return model.fit(X, np.array(["walking", "running"] * 12)), X[:3]


@fuzzed(12)
@given(X=panels(n_channels=3))
def test_a_fitted_model_takes_any_series(trained, X):
    check_predictions(trained[0], X)


@fuzzed(12)
@given(texts=ANY_TEXTS)
def test_a_fitted_model_takes_any_texts(trained, texts):
    model, X = trained
    found = tried(model.transform_text, texts)
    if found is not None:
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)
        cosines = tried(model.similarity, X, texts)
        assert cosines.shape == (3, len(texts))
        assert (np.abs(cosines) <= 1).all()
        same(cosines, model.similarity(X, texts))
    tried(model.describe_codes, texts)
    tried(model.search, X, texts)


@fuzzed(12)
@given(
    names=st.one_of(
        ANY_TEXTS,
        st.lists(ANY_TEXT, min_size=1, max_size=3, unique=True),
        st.dictionaries(ANY_TEXT, st.one_of(ANY_TEXTS, ANY_TEXT), max_size=3),
    )
)
def test_candidates_of_any_names(trained, names):
    model, X = trained
    found = tried(model.predict_proba_zero_shot, X, names)
    if found is None:
        assert tried(model.predict_zero_shot, X, names) is None
        return
    check_probabilities(found, (3, len(names)))
    assert set(tried(model.predict_zero_shot, X, names)) <= set(names)
    assert len(tried(model.explain_zero_shot, X, names)) == 3
    assert len(tried(model.describe_candidates, names)) == len(names)
    assert all(tried(model.caption, X, list(names)))


@fuzzed(10)
@given(
    X=panels(n_channels=3),
    length=st.one_of(st.integers(-1, 60), st.none(), st.floats(-1, 60)),
    step=st.one_of(st.integers(-1, 60), st.none(), st.floats(-1, 60)),
)
def test_long_recordings(trained, X, length, step):
    recording = X[0] if len(X) else X
    windows = tried(cut_windows, recording, length, step)
    if windows is not None:
        assert windows.shape[2] == length
        tried(segment, trained[0], recording, length, step)
    tried(trained[0].caption, X)


# Texts of series


@fuzzed(12)
@given(
    X=panels(),
    new=panels(),
    style=st.sampled_from(["digits", "llmtime", "sax"]),
    n_timepoints=st.integers(1, 70),
    n_digits=st.integers(1, 6),
    separator=st.sampled_from(["blank", "comma", "none"]),
    n_symbols=st.integers(2, 25),
    margin=st.sampled_from([0.0, 0.05, 3.0]),
)
def test_series_come_back_from_digits(X, new, **parameters):
    verbalizer = SeriesVerbalizer(**parameters)
    before = frozen(X)
    if tried(verbalizer.fit, X) is None:
        return
    for series in (X, new):
        strings = tried(verbalizer.transform, series)
        if strings is None:
            continue
        back = tried(verbalizer.inverse_transform, strings)
        np.testing.assert_array_equal(back, tried(verbalizer.render, series))
        assert not np.isinf(back).any()
    assert unchanged(X, before)
    if parameters["style"] == "digits":
        from sktext_vq.text._digits import piecewise_means

        panel = as_panel(X)
        values = panel.values.astype(np.float64)
        means = piecewise_means(values, panel.lengths, parameters["n_timepoints"])
        half = np.diff(verbalizer.edges_, axis=1).max(axis=1)[:, None] / 2
        error = np.abs(verbalizer.render(X) - means)
        tiny = 1e-9 * np.nanmax(np.abs(means), axis=(0, 2))[:, None]
        assert (np.isnan(error) | (error <= half * (1 + 1e-9) + tiny)).all()


@fuzzed(10)
@given(
    strings=ANY_TEXTS,
    strict=st.booleans(),
    style=st.sampled_from(["digits", "llmtime", "sax"]),
)
def test_strings_of_any_kind_are_read_or_refused(strings, strict, style):
    verbalizer = SeriesVerbalizer(style=style, n_timepoints=4).fit([[1.0, 2.0, 3.0]])
    found = tried(verbalizer.inverse_transform, strings, strict=strict)
    if found is not None:
        assert found.shape == (len(strings), 1, 4)


@fuzzed(12)
@given(
    X=panels(),
    new=panels(),
    names=st.one_of(st.none(), st.lists(ANY_TEXT, min_size=1, max_size=4)),
    rate=st.one_of(st.none(), st.floats()),
)
def test_captions_are_sentences(X, new, names, rate):
    captioner = SeriesCaptioner(channel_names=names, sampling_rate=rate)
    if tried(captioner.fit, X) is None:
        return
    for series in (X, new):
        captions = tried(captioner.transform, series)
        if captions is not None:
            assert all(isinstance(each, str) and each for each in captions)
            same(captions, captioner.transform(series))


# Texts

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), ANY_TEXT),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                ANY_TEXT, st.sampled_from(["format", "entries", "version", "sentence"])
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=6,
)


@fuzzed(16)
@given(content=st.one_of(JSON, st.binary(max_size=40)), labels=ANY_TEXTS)
def test_prompts_from_any_file(tmp_path_factory, content, labels):
    path = tmp_path_factory.getbasetemp() / "bank.json"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(json.dumps(content))
    bank = tried(PromptBank.from_json, path)
    again = tried(PromptBank.from_texts, content)
    for each in (bank, again, PromptBank()):
        found = each and tried(each.prompts, labels)
        if found:
            assert list(found) == list(labels)
            assert all(texts for forms in found.values() for texts in forms.values())
            written = tried(each.to_json, path, labels)
            kept = PromptBank.from_json(written).prompts(labels)
            assert kept == found


@fuzzed(12)
@given(texts=ANY_TEXTS)
def test_vectors_of_any_text(texts):
    encoder = TextEncoder("hashing")
    found = tried(encoder.transform, texts)
    if found is None:
        return
    assert found.shape == (len(texts), 384)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    same(found, encoder.transform(texts))
    embeddings, mask = tried(encoder.tokens, texts)
    assert mask.any(axis=1).all()
    assert np.isfinite(embeddings).all()


# Files


def written(kind):
    """Return what a sound file of a kind holds."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(4, 2, 9)).round(2), np.array(["a", "b"] * 2)
    buffer = io.BytesIO()
    if kind == ".npz":
        np.savez(
            buffer, X=X, y=y, channel_names=np.array(["u", "v"]), sampling_rate=9.0
        )
    elif kind == ".npy":
        np.save(buffer, X)
    elif kind == ".ts":
        lines = ["@problemName x", "@classLabel true a b", "@data"]
        for series, label in zip(X, y, strict=True):
            channels = (",".join(map(str, channel)) for channel in series)
            lines.append(":".join([*channels, label]))
        return "\n".join(lines).encode()
    else:
        case, time = np.mgrid[:4, :9].reshape(2, -1)
        columns = {"case": case, "time": time, "u": X[:, 0].ravel()}
        table = pd.DataFrame(columns | {"label": y[case]})
        if kind == ".parquet":
            table.to_parquet(buffer)
        else:
            text = table.to_csv(index=False).encode()
            return gzip.compress(text, mtime=0) if kind == ".csv.gz" else text
    return buffer.getvalue()


KINDS_OF_FILES = (".npz", ".npy", ".ts", ".csv", ".csv.gz", ".tsv", ".txt", ".parquet")
SOUND = {kind: written(kind) for kind in KINDS_OF_FILES}
CELLS = (b",", b"\n", b'"', b"nan", b"", b"\xff", b"1e999", b"?", b":", b"@data", b"\0")


@st.composite
def damaged(draw, kind):
    """Content of a file: noise, or a sound one that was changed."""
    content = SOUND[kind]
    how = draw(
        st.sampled_from(["noise", "byte", "bytes", "cut", "cell", "twice", "line"])
    )
    if how == "noise":
        return draw(st.binary(max_size=200))
    place = draw(st.integers(0, len(content) - 1))
    if how == "cut":
        return content[:place]
    if how == "cell":
        return content[:place] + draw(st.sampled_from(CELLS)) + content[place + 1 :]
    if how == "twice":
        other = draw(st.integers(0, len(content) - 1))
        return content[:place] + content[other:]
    if how == "line":
        lines = content.split(b"\n")
        i, j = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        lines[i], lines[j] = lines[j], lines[i][: len(lines[i]) // 2]
        return b"\n".join(lines)
    changed = bytearray(content)
    for _ in range(1 if how == "byte" else 8):
        changed[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    return bytes(changed)


@fuzzed(24)
@given(data=st.data(), kind=st.sampled_from(KINDS_OF_FILES))
def test_files_are_read_or_refused(tmp_path_factory, data, kind):
    path = tmp_path_factory.getbasetemp() / f"series{kind}"
    path.write_bytes(data.draw(damaged(kind)))
    found = tried(read_recordings, path, allowed=(OSError,))
    if found is not None:
        assert len(found.X) > 0
        for about in (found.y, found.groups, found.cases):
            assert about is None or len(about) == len(found.X)
        tried(as_panel, found.X)


@fuzzed(12)
@given(data=st.data(), kind=st.sampled_from([".npz", ".ts"]))
def test_sets_are_loaded_or_refused(tmp_path_factory, data, kind):
    folder = tmp_path_factory.getbasetemp() / "sets"
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    if kind == ".npz":
        changed = data.draw(damaged(kind))
        if changed == SOUND[kind]:
            return
        (folder / "own.npz").write_bytes(changed.replace(b"X.npy", b"X_train.npy"))
    else:
        (folder / "own_TRAIN.ts").write_bytes(data.draw(damaged(kind)))
        (folder / "own_TEST.ts").write_bytes(SOUND[kind])
    found = tried(sets.load, "own", folder)
    if found is not None:
        assert len(found.X_train) == len(found.y_train)


@fuzzed(10)
@given(data=st.data(), kind=st.sampled_from(KINDS_OF_FILES))
def test_commands_end_with_a_code_and_a_line(tmp_path_factory, trained, data, kind):
    folder = tmp_path_factory.getbasetemp()
    path, model = folder / f"own{kind}", folder / "own.safetensors"
    path.write_bytes(data.draw(damaged(kind)))
    out, err = io.StringIO(), io.StringIO()
    from contextlib import redirect_stderr, redirect_stdout

    with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        options = ["--epochs", "0", "--codes", "16"]
        code = main(["fit", str(path), "--model", str(model), *options])
        if code == 0:
            assert main(["predict", str(path), "--model", str(model)]) == 0
    assert code in (0, 1)
    if code:
        assert err.getvalue().startswith("sktext_vq fit: ")
        assert err.getvalue().count("\n") == 1
