"""Strategies for arbitrary input, and common checks, for property-based tests."""

import dis
import os
import tempfile
import warnings
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from conftest import in_long_run
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from sktext_vq import VQTextClassifier
from sktext_vq.panel import as_panel

TINY = {"n_codes": 16, "max_features": 60, "random_state": 0, "n_jobs": 1}
# Modules that raise errors with messages for users.
CHECKS = ("sklearn.utils", "sktext_vq", "sktime.", "matplotlib.")


def fuzzed(few):
    """Return settings with `few` examples, or 30 times as many in a long run."""
    return settings(
        max_examples=few * (30 if in_long_run() else 1),
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )


def tried(function, *args, allowed=(), **kwargs):
    """Return the result of a call, or None if it raised an error for invalid input."""
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
    """Check that an error is raised deliberately and has a message."""
    assert len(str(error)) > 10, repr(error)
    if isinstance(error, OSError) and error.filename is not None:
        return  # The message of the operating system contains the file name.
    last = error.__traceback__
    while last.tb_next is not None:
        last = last.tb_next
    # The error must be raised by a `raise` statement, not by a failed operation.
    done = last.tb_frame.f_code.co_code[last.tb_lasti]
    module = last.tb_frame.f_globals["__name__"]
    deliberate = done == dis.opmap["RAISE_VARARGS"] and module.startswith(CHECKS)
    assert deliberate, f"{error!r} ({module}, line {last.tb_lineno})"


def same(left, right):
    """Check that two results are exactly equal."""
    if isinstance(left, pd.DataFrame):
        pd.testing.assert_frame_equal(left, right, check_exact=True)
    else:
        np.testing.assert_array_equal(left, right)


def frozen(X):
    """Copy an input, to check later whether the input was modified."""
    if isinstance(X, list | tuple):
        return [frozen(each) for each in X]
    return X.copy() if hasattr(X, "copy") else X


def unchanged(X, before):
    if isinstance(X, list | tuple):
        return all(unchanged(*pair) for pair in zip(X, before, strict=True))
    if isinstance(X, pd.DataFrame):
        X, before = X.to_numpy(), before.to_numpy()
    # Compare representations, because NaN is not equal to itself.
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
    made = {
        "noise": lambda: rng.normal(size=shape),
        "walk": lambda: rng.normal(size=shape).cumsum(axis=-1),
        "wave": lambda: np.sin(np.arange(shape[-1]) * rng.random((*shape[:-1], 1))),
        "constant": lambda: rng.normal(size=(*shape[:-1], 1)) * np.ones(shape),
        "zero": lambda: np.zeros(shape),
        "spike": lambda: (rng.random(shape) > 0.97) * 1.0,
        "two values": lambda: rng.integers(0, 2, shape) * 1.0,
        "steps": lambda: rng.integers(-100, 100, shape) * 1.0,
    }
    return made[kind]()


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
    if layout == "read-only":
        X.flags.writeable = False
    return {
        "F": np.asfortranarray(X),
        "strided": np.repeat(X, 2, axis=-1)[..., ::2],
        "reversed": X[..., ::-1],
    }.get(layout, X)


@st.composite
def panels(draw, n_channels=None, most_cases=10):
    """Draw series of any kind; most are valid."""
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
    return draw(forms(X, rng))


@st.composite
def forms(draw, X, rng):
    """Draw a container and memory layout for series."""
    form, layout = draw(st.sampled_from(FORMS)), draw(st.sampled_from(LAYOUTS))
    if form == "3d" and layout == "memory map" and not X.dtype.hasobject:
        mapped = np.memmap(tempfile.TemporaryFile(), X.dtype, "w+", shape=X.shape)
        mapped[:] = X
        return mapped
    ends = rng.integers(draw(st.integers(0, 1)), X.shape[2] + 1, len(X))
    return {
        "3d": lambda: lay_out(X, layout),
        "2d": lambda: lay_out(X[:, 0], layout),
        "frame": lambda: pd.DataFrame(X[:, 0]),
        "flat list": lambda: [x[0] for x in X],
        "unequal": lambda: [x[:, :end] for x, end in zip(X, ends, strict=True)],
        "nested": X.tolist,
        "tuple": lambda: tuple(X),
        "list": lambda: list(X),
    }[form]()


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
    """Draw labels of any kind for `n_cases` cases; most are valid."""
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
            *("", " ", "\0", "\ud800", "\ufeff", "\u202e", ". . .", "...", "!?", "1"),
            *("a" * 20_000, "word " * 3000, "-1e5", "walking", "\n\t", "A.B.C. d! e?"),
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


def check_tables(model, X, panel):
    """Check tokens, reconstruct and transform_codes for any series."""
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
    """Check the predictions of a fitted classifier for any series."""
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
    """Check the features of a fitted transformer for any series."""
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


@cache
def trained():
    """Return a model of three channels that was trained with text, and three series."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(24, 3, 40)).cumsum(axis=2)
    X[::2] *= 3
    model = VQTextClassifier(max_epochs=2, text_encoder="hashing", **TINY)
    return model.fit(X, np.array(["walking", "running"] * 12)), X[:3]


# Parameters and files

PARAMETERS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(),
    ANY_TEXT,
    st.lists(st.integers(0, 2), max_size=3),
    st.dictionaries(ANY_TEXT, st.one_of(ANY_TEXT, st.integers()), max_size=2),
)
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
CELLS = (b",", b"\n", b'"', b"nan", b"", b"\xff", b"1e999", b"?", b":", b"@data", b"\0")


@st.composite
def damaged(draw, content):
    """Draw file content: random bytes, or valid content with changes."""
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


class _OfBytes:
    """Path-like object that returns bytes."""

    def __fspath__(self):
        return b"model"


# File names in the working folder of a test. Texts contain no path separators.
NAMES = st.one_of(
    ANY_TEXT.map(lambda text: text.replace("/", "_")),
    st.sampled_from(
        [
            *("", ".", "..", "a/b", "folder", "folder/", "x" * 300, "file\0", "model"),
            *(Path("model"), b"model", _OfBytes(), "/proc/none/model", "\ud800/x"),
            *(None, 3, 2.5, True, [], ["model"], {}, object(), Path, np.array("a")),
        ]
    ),
)


@contextmanager
def in_folder(path):
    """Change to a temporary folder that contains only an empty folder."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory(dir=path) as own:
        os.chdir(own)
        os.mkdir("folder")
        try:
            yield Path(own)
        finally:
            os.chdir(before)
