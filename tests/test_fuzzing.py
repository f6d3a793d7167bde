"""Arbitrary input gives a valid result or an error message for users.

The tests draw about two hundred cases. ``make fuzz`` draws thousands.
"""

import gzip
import io
import json
import warnings

import numpy as np
import pandas as pd
from fuzz import (
    ANY_TEXT,
    ANY_TEXTS,
    JSON,
    NAMES,
    ODD,
    PARAMETERS,
    TINY,
    check_features,
    check_predictions,
    check_probabilities,
    damaged,
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
from sktext_vq._io.read import read_panel
from sktext_vq.panel import as_panel
from sktext_vq.recordings import cut_windows, segment
from sktext_vq.text import are_words

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


@fuzzed(12)
@given(
    st.sampled_from(sorted(set(VQTextClassifier().get_params()) - {"verbose"})),
    PARAMETERS,
)
def test_parameters_of_any_kind(name, value):
    X = np.random.default_rng(0).normal(size=(6, 3, 20))
    model = VQTextClassifier(max_epochs=1, text_encoder="hashing", **TINY)
    model.set_params(**{name: value})
    allowed = (OSError,) if name == "text_encoder" else ()
    if tried(model.fit, X, ["a", "b"] * 3, allowed=allowed) is not None:
        check_probabilities(model.predict_proba(X), (6, 2))


@fuzzed(12)
@given(X=panels(n_channels=3))
def test_a_fitted_model_takes_any_series(X):
    check_predictions(trained()[0], X)


@fuzzed(12)
@given(texts=ANY_TEXTS)
def test_a_fitted_model_takes_any_texts(texts):
    model, X = trained()
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
def test_candidates_of_any_names(names):
    model, X = trained()
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
def test_long_recordings(X, length, step):
    recording = X[0] if len(X) else X
    windows = tried(cut_windows, recording, length, step)
    if windows is not None:
        assert windows.shape[2] == length
        tried(segment, trained()[0], recording, length, step)
    tried(trained()[0].caption, X)


@fuzzed(12)
@given(
    name=st.sampled_from(
        [
            *("candidate_labels", "self_transition", "min_probability", "classifier"),
            *("label", "against", "search", "caption", "digits", "available", "load"),
            *("folder", "read_ts", "are_words"),
        ]
    ),
    value=st.one_of(PARAMETERS, ODD, NAMES, ANY_TEXTS, panels(3)),
)
def test_arguments_of_any_kind(tmp_path_factory, name, value):
    model, X = trained()
    recording = np.concatenate(X, axis=1)
    calls = {
        "classifier": lambda: segment(value, recording, 20),
        "label": lambda: model.explain(X, label=value),
        "against": lambda: model.explain(X, against=value),
        "search": lambda: model.search(X, value),
        "caption": lambda: model.caption(X, value),
        "digits": lambda: model.reconstruct_text(value),
        "available": lambda: sets.available(value),
        "load": lambda: sets.load(value),
        "folder": lambda: sets.load("GunPoint", value),
        "read_ts": lambda: sets.read_ts(value),
        "are_words": lambda: are_words(value),
    }
    call = calls.get(name, lambda: segment(model, recording, 20, **{name: value}))
    with in_folder(tmp_path_factory.getbasetemp()):
        tried(call, allowed=(OSError,))


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
    assert found is None or found.shape == (len(strings), 1, 4)


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


# Texts


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
    """Return the content of a valid file of a given kind."""
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


@fuzzed(24)
@given(data=st.data(), kind=st.sampled_from(KINDS_OF_FILES))
def test_files_are_read_or_refused(tmp_path_factory, data, kind):
    path = tmp_path_factory.getbasetemp() / f"series{kind}"
    path.write_bytes(data.draw(damaged(SOUND[kind])))
    found = tried(read_panel, path, allowed=(OSError,))
    if found is not None:
        assert len(found.X) > 0
        for about in (found.y, found.groups, found.cases):
            assert about is None or len(about) == len(found.X)
        tried(as_panel, found.X)


HEADINGS = st.one_of(
    st.sampled_from(
        [
            *("case", "Case", "time", "time_s", "label", "subject", "channel", "value"),
            *("index", "instances", "acc_x_0", "acc_x_1", "acc_y_0", "u", "0", 0, 1.5),
            *(None, ("a", "b"), "", " u ", "\0", "x" * 999, "\N{GRINNING FACE}"),
        ]
    ),
    st.text(max_size=9),  # column names of pandas must not contain surrogates
)


@st.composite
def tables(draw):
    """Draw a data frame with columns of any kind, which may be a panel."""
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    n_rows = draw(st.sampled_from([6, 12, 6, 12, 6, 12, 1, 0]))
    places = np.arange(n_rows)
    times = pd.Timestamp("2026-01-01") + pd.to_timedelta(places, "s")
    kinds = {
        "cases": places // 3,
        "names": np.array(["a", "b"], dtype=object)[places % 2],
        "times": places % 3,
        "noise": rng.normal(size=n_rows),
        "gaps": np.where(rng.random(n_rows) < 0.3, np.nan, 1.0),
        "dates": times,
        "zones": times.tz_localize("UTC"),
        "clock": [str(each.time()) for each in times],
        "texts": [draw(ANY_TEXT) for _ in places] if n_rows < 9 else ["x"] * n_rows,
        "whole": pd.array(places, dtype="Int64"),
        "lacking": pd.array([None] * n_rows, dtype="Float64"),
        "classes": pd.Categorical(places % 2),
        "odd": ([None, [1], {}, 1j, b"x", True, "1"] * 2)[:n_rows],
        "mixed": ([1, "x", None, 2.5, True, b"y"] * 2)[:n_rows],
        "infinite": np.full(n_rows, np.inf),
    }
    usual = {"case": "cases", "time": "times", "u": "noise"}
    columns = [(name, kinds[kind]) for name, kind in usual.items() if draw(SOME)]
    for _ in range(draw(st.integers(0, 3))):
        columns.append((draw(HEADINGS), kinds[draw(st.sampled_from(sorted(kinds)))]))
    frame = pd.concat(
        [
            pd.Series(list(values), dtype=getattr(values, "dtype", object))
            for _, values in columns
        ]
        or [pd.Series(dtype=float)],
        axis=1,
    )
    frame.columns = pd.Index(
        [name for name, _ in columns] or ["u"], tupleize_cols=False
    )
    if draw(st.integers(0, 5)) == 0 and len(columns) > 1:
        frame = frame.iloc[:, 1:].set_axis(frame.iloc[:, 0], axis=0)
    return frame


SOME = st.sampled_from([True, True, False])
COLUMNS = ("label_column", "case_column", "time_column", "subject_column")


@fuzzed(12)
@given(data=st.data(), table=tables())
def test_tables_are_read_or_refused(data, table):
    own = st.sampled_from([*table.columns, "case"])
    choices = dict.fromkeys(COLUMNS, st.one_of(own, own, PARAMETERS))
    choices["ignore_columns"] = st.one_of(st.lists(own, max_size=2), PARAMETERS)
    choices["part"] = st.one_of(st.just("train"), PARAMETERS)
    few = data.draw(st.lists(st.sampled_from(sorted(choices)), max_size=2, unique=True))
    options = {name: data.draw(choices[name], name) for name in few}
    before = frozen(table)
    found = tried(read_panel, table, **options)
    if found is not None:
        assert len(found.X) > 0
        for about in (found.y, found.groups, found.cases):
            assert about is None or len(about) == len(found.X)
        panel = tried(as_panel, found.X)
        if panel is not None and found.channel_names is not None:
            assert len(found.channel_names) == panel.n_channels
    assert unchanged(table, before)


@fuzzed(10)
@given(data=st.data(), kind=st.sampled_from(KINDS_OF_FILES))
def test_commands_end_with_a_code_and_a_line(tmp_path_factory, data, kind):
    folder = tmp_path_factory.getbasetemp()
    path, model = folder / f"own{kind}", folder / "own.safetensors"
    path.write_bytes(data.draw(damaged(SOUND[kind])))
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
        *notes, last = err.getvalue().splitlines()
        assert last.startswith("sktext_vq fit: ")
        assert all(line.startswith("warning: ") for line in notes)
