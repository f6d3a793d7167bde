"""Saved models predict the same, and damaged files raise errors."""

import contextlib
import copy
import json
import operator
import os
import pickle
import re
import subprocess
import sys
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
import torch
from conftest import in_long_run
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from sktext_vq import TextEncoder, VQTextClassifier, VQTextTransformer, load, save
from sktext_vq._formats.values import ValueReader, ValueWriter
from sktext_vq._utils.container import pack
from sktext_vq.persistence import _FORMAT, FORMAT_VERSION

DATA = Path(__file__).parent / "data"
CHANNELS = ["acc_x", "acc_y", "acc_z"]


def panel(n_cases=24, seed=0):
    rng = np.random.default_rng(seed)
    time = np.arange(48)
    period = np.where(np.arange(n_cases) % 2, 3, 8)[:, None, None]
    phase = rng.uniform(0, 6, (n_cases, 3, 1))
    noise = rng.normal(0, 0.2, (n_cases, 3, 48))
    return np.sin(time / period + phase) + noise + [[[0], [0], [5]]]


def labels(n_cases=24):
    return np.array(["walking", "running"] * (n_cases // 2))


def small(**parameters):
    options = {
        "n_codes": 16,
        "max_features": 60,
        "max_epochs": 0,
        "text_encoder": "hashing",
        "random_state": 0,
    }
    return VQTextClassifier(**(options | parameters))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "model.safetensors"
    return save(small().fit(panel(), labels()), path)


def same(left, right, X):
    np.testing.assert_array_equal(left.predict_proba(X), right.predict_proba(X))
    assert left.classes_.dtype == right.classes_.dtype
    assert left.tokens(X).equals(right.tokens(X))
    assert left.describe_codes().equals(right.describe_codes())
    assert left.__dict__.keys() == right.__dict__.keys()
    assert repr(left.get_params()) == repr(right.get_params())


ALL_LOSSES = {
    **{"fused": 1.0, "digits": 1.0, "series": 1.0},
    **{"codebook": 0.1, "frequency": 0.1},
}
TEXTS = {"walking": ["to walk", "a slow gait"], "running": "to run"}


@pytest.mark.filterwarnings("ignore:The text of")  # texts of few short series
@pytest.mark.parametrize(
    "parameters",
    [
        {"class_weight": "balanced"},
        {"channel_names": CHANNELS, "augment": {"gain": 0.3}, "sampling_rate": 20.0},
        {"gravity": {"acc": (0, 1, 2)}, "text": TEXTS},
        {"channel_names": CHANNELS, "gravity": "replace"},
        {"max_epochs": 1},
        {"max_epochs": 1, "loss_weights": ALL_LOSSES},
    ],
    ids=["closed", "named", "gravity", "replaced", "trained", "all parts"],
)
def test_loaded_classifier_predicts_exactly_the_same(parameters, tmp_path):
    X = panel()
    model = small(**parameters).fit(X, labels())
    loaded = load(save(model, tmp_path / "model.safetensors"))
    new = panel(seed=1)
    same(model, loaded, new)
    names = ["walking", "running", "jumping"]
    np.testing.assert_array_equal(
        model.predict_proba_zero_shot(new, names),
        loaded.predict_proba_zero_shot(new, names),
    )
    if model.training_stage_ == "trained with text":
        np.testing.assert_array_equal(
            model.similarity(new, names), loaded.similarity(new, names)
        )


def test_loaded_transformer_transforms_the_same(tmp_path):
    X = panel()
    model = VQTextTransformer(
        16, max_epochs=1, text_encoder="hashing", random_state=np.random.RandomState(3)
    ).fit(X)
    loaded = load(save(model, tmp_path / "model.safetensors"))
    np.testing.assert_array_equal(model.transform(X), loaded.transform(X))
    assert list(model.get_feature_names_out()) == list(loaded.get_feature_names_out())
    np.testing.assert_array_equal(
        model.random_state.uniform(size=3), loaded.random_state.uniform(size=3)
    )


@pytest.mark.parametrize(
    "y",
    [
        [1, 2],
        [True, False],
        [1.0, 2.0],
        np.array(["a", "ü \N{GRINNING FACE}"], dtype=object),
        np.array(["2026-01-01", "2026-01-02"], dtype="datetime64[D]"),
    ],
    ids=["int", "bool", "float", "object", "date"],
)
def test_labels_of_any_type_are_saved(y, tmp_path):
    y = np.tile(y, 12)
    model = small().fit(panel(), y)
    loaded = load(save(model, tmp_path / "model.safetensors"))
    assert loaded.predict(panel()).dtype == model.predict(panel()).dtype
    assert loaded.predict(panel()).tolist() == model.predict(panel()).tolist()


def test_column_names_are_saved(tmp_path):
    frame = pd.DataFrame(panel()[:, 0], columns=[f"t{i}" for i in range(48)])
    loaded = load(save(small().fit(frame, labels()), tmp_path / "m.safetensors"))
    assert loaded.predict(frame).shape == (24,)
    with pytest.raises(ValueError, match="feature names"):
        loaded.predict(frame.rename(columns={"t0": "other"}))


def test_a_function_as_text_encoder_must_be_set_again(tmp_path):
    def embed(texts):
        return np.array([[len(t), t.count("w"), 1.0] for t in texts])

    X, names = panel(), ["walking", "running", "jumping"]
    for encoder in (embed, TextEncoder(embed)):
        model = small(text_encoder=encoder).fit(X, labels())
        loaded = load(save(model, tmp_path / "model.safetensors"))
        np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
        with pytest.raises(
            ValueError,
            match=r"^The text encoder is the function '.*\.embed', which is not saved "
            r"with the model\. Set it again with set_params\(text_encoder=\.{3}\)\.$",
        ):
            loaded.predict_zero_shot(X, names)
        loaded.set_params(text_encoder=embed)
        np.testing.assert_array_equal(
            loaded.predict_proba_zero_shot(X, names),
            model.predict_proba_zero_shot(X, names),
        )


def test_a_table_of_vectors_is_saved(tmp_path):
    table = TextEncoder("hashing")
    texts = ["walking", "running", "jumping"]
    vectors = dict(zip(texts, table.transform(texts), strict=True))
    model = small(text_encoder=vectors, prompt_forms=("keyword",))
    model.fit(panel(), labels())
    loaded = load(save(model, tmp_path / "model.safetensors"))
    np.testing.assert_array_equal(
        loaded.predict_proba_zero_shot(panel(), texts),
        model.predict_proba_zero_shot(panel(), texts),
    )


def test_a_model_of_a_gpu_loads_where_there_is_none(tmp_path, monkeypatch):
    model = small().fit(panel(), labels())
    expected = model.predict_proba(panel())
    model.device = "cuda"
    path = save(model, tmp_path / "model.safetensors")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    message = (
        r"^The model was saved with device='cuda', which is not available\. The "
        r'parameter device is set to "auto"\.$'
    )
    with pytest.warns(UserWarning, match=message):
        loaded = load(path)
    assert loaded.device == "auto"
    np.testing.assert_allclose(loaded.predict_proba(panel()), expected, atol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_model_trained_on_a_gpu_predicts_the_same_on_the_cpu(tmp_path):
    model = small(max_epochs=2, device="cuda").fit(panel(), labels())
    loaded = load(save(model, tmp_path / "model.safetensors"))
    loaded.device = "cpu"
    np.testing.assert_allclose(
        loaded.predict_proba(panel()), model.predict_proba(panel()), atol=1e-4
    )


@pytest.mark.filterwarnings("ignore")
def test_another_process_reads_and_writes_the_same(saved, trained, tmp_path):
    """The process has neither transformers nor sktime, and little memory."""
    paths, X = (saved, trained), panel(seed=1)
    damaged = list(of_declared_sizes(trained, tmp_path))
    np.save(tmp_path / "X.npy", X)
    code = """
import sys, numpy as np, sktext_vq
folder, first, second, *damaged = sys.argv[1:]
for i, path in enumerate((first, second)):
    model = sktext_vq.load(path)
    sktext_vq.save(model, f"{folder}/{i}")
    np.save(f"{folder}/{i}.npy", model.predict_proba(np.load(f"{folder}/X.npy")))
assert not {"transformers", "tokenizers", "sktime"} & sys.modules.keys()
if sys.platform != "linux":
    sys.exit()
import resource
with open("/proc/self/statm") as file:
    size = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 2**26, resource.RLIM_INFINITY))
for path in damaged:
    try:
        sktext_vq.load(path)
    except ValueError as error:
        assert "is damaged" in str(error)
    else:
        sys.exit(f"{path} was read")
"""
    command = [sys.executable, "-c", code, tmp_path, *paths, *damaged]
    subprocess.run(command, check=True)
    for i, path in enumerate(paths):
        assert (tmp_path / f"{i}").read_bytes() == path.read_bytes()
        found = np.load(tmp_path / f"{i}.npy")
        np.testing.assert_allclose(found, load(path).predict_proba(X), atol=1e-6)


def of_declared_sizes(path, folder):
    """Yield files that declare huge arrays."""
    sizes = [
        (("parameters", "verbose"), {"items": [["a"], "<U300000000", [1]]}),
        (("features", "n_timepoints"), 2 * 10**8),
        (("features", "n_timepoints"), 10**300),
        (("features", "n_codes"), 2**20 - 1),
        (("features", "channels"), ["x"] * 10**5),
        (("network", "digits", "parameters", "n_digits"), 6),
        (("network", "digits", "parameters", "n_timepoints"), 10**9),
    ]
    for number, (entry, value) in enumerate(sizes):
        document, arrays = taken_apart(path)
        put(document, value, *entry)
        yield with_valid_checksums(folder / f"damaged {number}", document, arrays)


def test_format_version_1_predicts_the_same():
    with np.load(DATA / "model_v1.npz") as expected:
        with pytest.warns(UserWarning, match="trained text branch is no longer"):
            model = load(DATA / "model_v1.safetensors")
        found = model.predict_proba(expected["X"])
        np.testing.assert_allclose(found, expected["probabilities"], atol=1e-4)
        tokens = model.tokens(expected["X"][:2])
        np.testing.assert_array_equal(tokens["code"], expected["codes"])
    with pytest.raises(
        ValueError, match=r"saved by an early version.*Fit the model again"
    ):
        model.describe_codes()


def test_format_version_2_predicts_the_same():
    texts = ["somebody runs", "a calm person"]
    model = load(DATA / "model_v2.safetensors")
    with np.load(DATA / "model_v2.npz") as expected:
        X = expected["X"]
        found = [
            model.predict_proba(X),
            model.similarity(X, texts),
            model.transform_text(texts),
        ]
        names = ("probabilities", "similarity", "usage")
        for values, name in zip(found, names, strict=True):
            np.testing.assert_allclose(values, expected[name], atol=1e-4)


def test_changed_bytes_are_detected(saved, tmp_path):
    data = saved.read_bytes()
    expected = load(saved).predict_proba(panel())
    path = tmp_path / "changed.safetensors"
    # Long runs change random bytes; errors contain the position.
    rng = np.random.default_rng(None if in_long_run() else 0)
    head = 8 + int.from_bytes(data[:8], "little")
    # Half of the changes are in the header, which is small.
    few = 500 if in_long_run() else 100
    places = np.r_[rng.integers(0, head, few), rng.integers(0, len(data), few)]
    for place in places:
        changed = bytearray(data)
        changed[place] ^= int(rng.integers(1, 256))
        path.write_bytes(changed)
        try:
            loaded = load(path)
        except ValueError as error:
            assert str(path) in str(error)
        else:
            # Only changes of whitespace do not raise an error.
            was, now = data[place : place + 1], changed[place : place + 1]
            assert was.isspace(), (place, was, now)
            np.testing.assert_array_equal(loaded.predict_proba(panel()), expected)


def test_truncated_files_are_detected(saved, tmp_path):
    data = saved.read_bytes()
    path = tmp_path / "cut.safetensors"
    n_sizes = 100 if in_long_run() else 50
    for size in np.linspace(0, len(data) - 1, n_sizes).astype(int):
        path.write_bytes(data[:size])
        with pytest.raises(ValueError, match=r"truncated|not a model"):
            load(path)
    path.write_bytes(data + b"more")
    with pytest.raises(ValueError, match="damaged"):
        load(path)


def sized(header):
    return len(header).to_bytes(8, "little") + header


def with_header(data, changes):
    """Change the header of a file."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end]) | changes
    return sized(json.dumps(header).encode()) + data[end:]


INFINITE = float("inf")
MARK = {"format": _FORMAT.mark}
FOREIGN = (
    "is not a model of sktext_vq: it does not start with a safetensors header, or the "
    "header is damaged."
)
CUT = "is damaged: it is truncated. Save the model again."


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda data: b"", FOREIGN),
        (lambda data: data[:8], FOREIGN),
        (lambda data: b"PK\x03\x04 zip", FOREIGN),
        (lambda data: pickle.dumps({}), FOREIGN),
        (lambda data: sized(b"{"), FOREIGN),
        (lambda data: sized(b"[]"), FOREIGN),
        (lambda data: sized(b"{}"), FOREIGN),
        (lambda data: sized(b'{"a": }' + b" " * 99), FOREIGN),
        (lambda data: (10**8 + 1).to_bytes(8, "little") + data[8:], FOREIGN),
        (lambda data: (10**8).to_bytes(8, "little") + data[8:], CUT),
        (lambda data: data[:9], CUT),
        (lambda data: data[: 7 + int.from_bytes(data[:8], "little")], CUT),
        (lambda data: data[: 8 + int.from_bytes(data[:8], "little")], CUT),
        (lambda data: data[:-1], CUT),
        (
            lambda data: safetensors.numpy.save({"x": np.zeros(3)}, {"format": "pt"}),
            "is a safetensors file, but not a model of sktext_vq.",
        ),
        (lambda data: safetensors.numpy.save({"x": np.zeros(3)}), FOREIGN),
        (
            lambda data: with_header(data, {"x": {"data_offsets": [0, INFINITE]}}),
            FOREIGN,
        ),
        (
            lambda data: with_header(data, {"__metadata__": MARK | {"more": 1}}),
            "is damaged: its metadata contains values that are not strings. Save the "
            "model again.",
        ),
        (
            lambda data: data.replace(b"written_by", b"written_bi"),
            "is damaged: its metadata does not match its checksum. Save the model "
            "again.",
        ),
    ],
)
def test_errors_describe_damaged_files(make, message, saved, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(make(saved.read_bytes()))
    with pytest.raises(ValueError) as raised:
        load(path)
    assert str(raised.value) == f"{path} {message}"


def rewritten(saved, path, change):
    """Write a file with changed metadata and valid checksums."""
    arrays = safetensors.numpy.load(saved.read_bytes())
    with safetensors.safe_open(saved, "np") as file:
        metadata = file.metadata()
    document = json.loads(metadata["document"])
    change(document, metadata)
    metadata["document"] = json.dumps(document)
    metadata["document_sha256"] = sha256(metadata["document"].encode()).hexdigest()
    path.write_bytes(safetensors.numpy.save(arrays, metadata))
    return path


def newer(document, metadata):
    metadata["format_version"] = str(FORMAT_VERSION + 1)


def of_version(version):
    return lambda document, metadata: metadata.update(format_version=version)


def without_a_digest(document, metadata):
    del document["sha256"][next(iter(document["sha256"]))]


def with_swapped_digests(document, metadata):
    digests = document["sha256"]
    first, second = list(digests)[:2]
    digests[first], digests[second] = digests[second], digests[first]


def with_part(name, value):
    return lambda document, metadata: document.update({name: value})


def without_part(name):
    return lambda document, metadata: document.pop(name)


INVALID = "content is invalid: "


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            newer,
            "was written by a newer version of sktext_vq: its format version is .* "
            r"reads format versions up to .*\. Upgrade sktext_vq\.$",
        ),
        *(
            (of_version(v), f"its format version is '{v}'")
            for v in ("0", "x", "-2", "")
        ),
        (of_version("9" * 5000), "its format version is"),
        (
            lambda _, metadata: metadata.pop("format_version"),
            "its format version is ''",
        ),
        (without_a_digest, "damaged: its tensors do not match its"),
        (with_swapped_digests, "its tensor '.*' does not match its checksum"),
        *(
            (with_part("estimator", name), INVALID)
            for name in ("system", "os.system", "Pipeline", "object", "eval")
        ),
        (
            with_part("state", {"eval": {}}),
            INVALID + r"LookupError.*unknown kind 'eval'",
        ),
        (with_part("state", 3), INVALID + "ValueError.*is not a dict"),
        (with_part("state", {"dict": [], "set": []}), INVALID + "ValueError"),
        (with_part("state", {"dict": []}), INVALID + "ValueError.*has a missing entry"),
        *((without_part(name), INVALID) for name in ("sha256", "state", "estimator")),
    ],
)
def test_errors_describe_invalid_metadata(change, why, saved, tmp_path):
    path = rewritten(saved, tmp_path / "other.safetensors", change)
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))} .*{why}"):
        load(path)


def entries(document, *names):
    """Return the key-value pairs of an entry of a state."""
    pairs = document["state"]["dict"]
    for name in names:
        pairs = dict(pairs)[name]["dict"]
    return pairs


def put(document, value, *names):
    """Change an entry of a state."""
    (pair,) = (p for p in entries(document, *names[:-1]) if p[0] == names[-1])
    pair[1] = value


def test_parameters_of_later_versions_have_their_defaults(saved, tmp_path):
    def change(document, metadata):
        entries(document, "parameters").remove(["gravity", "append"])

    path = rewritten(saved, tmp_path / "earlier.safetensors", change)
    loaded = load(path)
    assert loaded.gravity == "append"
    same(loaded, load(saved), panel(seed=1))


def test_a_file_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "missing")


def round_trip(value):
    """Encode a value as in a file, and decode it."""
    writer = ValueWriter()
    node = json.loads(json.dumps(writer.encode(value, "value")))
    return ValueReader(writer.arrays).decode(node)


def test_values_of_all_types_are_saved():
    square = np.random.default_rng(0).normal(size=(3, 4))
    arrays = [
        *(square, np.asfortranarray(square), square[:, ::2], square.T, square > 0),
        *(square.astype(">f4"), np.arange(3, dtype=np.uint8), np.zeros((0, 2))),
        *(np.array([["a", "bc"], ["", "ü"]]), np.array([[None, 1], ["a", 2.5]])),
        np.array(["2026-01-01", "NaT"], dtype="datetime64[D]"),
        np.array([[1], [2]], dtype="timedelta64[s]"),
    ]
    plain = [None, True, 3, 2.5, "text", [1, [2]], (1, (2,)), {1: "a", "b": (2,)}, {3}]
    odd = [*plain, np.inf, -np.inf, np.nan, np.float32(0.5), np.int8(3)]
    odd += [np.bool_(True), Path("a/b"), frozenset({4})]
    found = round_trip(odd)
    assert found[:9] == plain
    assert list(map(type, found[:9])) == list(map(type, plain))
    assert found[9:11] == [np.inf, -np.inf]
    assert np.isnan(found[11])
    assert found[12:] == [0.5, 3, True, str(Path("a/b")), {4}]
    loaded = round_trip(arrays)
    for array, expected in zip(loaded, arrays, strict=True):
        assert array.dtype == expected.dtype.newbyteorder("=")
        np.testing.assert_array_equal(array, expected)
        assert array.flags.writeable
    # The order in memory is kept, since rounding of products depends on it.
    assert loaded[1].flags.f_contiguous
    assert loaded[0].flags.c_contiguous


def test_parameters_of_a_loaded_model_can_be_used(tmp_path):
    for kind in (pd.Index, pd.Series, tuple):
        model = small(channel_names=kind(CHANNELS)).fit(panel(), labels())
        assert load(save(model, tmp_path / "model")).channel_names_ == CHANNELS
    names = ["walking", "running"]
    texts = {np.str_("walking"): ["to walk"], "running": np.array(["to run"])}
    model = small(
        channel_names=np.array(CHANNELS),
        text=texts,
        text_encoder=TextEncoder("hashing", batch_size=8),
        class_weight={"walking": np.float64(2), "running": 1},
        n_codes=np.int64(16),
        sampling_rate=np.float32(20),
        n_jobs=1,
    ).fit(panel(), labels())
    loaded = load(save(model, tmp_path / "model"))
    for other in (loaded, clone(loaded).fit(panel(), labels())):
        np.testing.assert_array_equal(
            other.predict_proba(panel()), model.predict_proba(panel())
        )
        np.testing.assert_array_equal(
            other.predict_proba_zero_shot(panel(), names),
            model.predict_proba_zero_shot(panel(), names),
        )
    assert loaded.channel_names_ == CHANNELS
    loaded.set_params(n_codes=32, text=None).fit(panel(), labels())
    assert len(loaded.codebook_) == 32


def test_a_random_state_continues_after_loading(tmp_path):
    random_state = np.random.RandomState(3)
    random_state.normal()  # a second number is stored for the next call
    model = small(random_state=random_state).fit(panel(), labels())
    loaded = load(save(model, tmp_path / "model"))
    assert loaded.random_state.normal() == random_state.normal()
    first, second = (each.fit(panel(), labels()) for each in (model, loaded))
    np.testing.assert_array_equal(first.codebook_, second.codebook_)
    np.testing.assert_array_equal(
        first.predict_proba(panel(seed=1)), second.predict_proba(panel(seed=1))
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), r"\.verbose cannot be saved: its type is object \(<object"),
        ([{"a": object()}], r"\.verbose\[0\].*a.* cannot be saved: its type is object"),
        (np.ones(2, complex), r"\.verbose cannot be saved: its dtype is complex128"),
        (
            len,
            r"\.verbose cannot be saved: its type is builtin.*, or use pickle\.$",
        ),
    ],
)
def test_values_that_cannot_be_saved_are_named(value, message, saved, tmp_path):
    model = load(saved)
    model.verbose = value
    with pytest.raises(TypeError, match=r"^VQTextClassifier\.parameters" + message):
        save(model, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file(saved, tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    path.write_bytes(saved.read_bytes())
    model = small(n_codes=32).fit(panel(), labels())

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=r"No space left.*model\.safetensors"):
        save(model, path)
    assert path.read_bytes() == saved.read_bytes()
    assert [each.name for each in tmp_path.iterdir()] == ["model.safetensors"]


def test_other_estimators_raise_an_error(saved, tmp_path):
    path, model = tmp_path / "model.safetensors", load(saved)
    with pytest.raises(TypeError, match=r"LogisticRegression.*joblib"):
        save(LogisticRegression(), path)
    with pytest.raises(NotFittedError):
        save(small(), path)
    with pytest.raises(OSError, match="folder"):
        save(model, tmp_path)
    with pytest.raises(OSError, match="does not exist"):
        save(model, tmp_path / "no" / "model.safetensors")
    assert not list(tmp_path.iterdir())


# -- changed files with valid checksums ----------------------------------------------

WATCHED = []  # contains a list of events while `watched` is active
_EVENTS = {"open", "exec", "import", "pickle.find_class", "ctypes.dlopen"}


def _watch(event, arguments):
    known = event in _EVENTS or event.split(".")[0] in ("os", "shutil", "socket")
    if WATCHED and known and "stat" not in event:
        WATCHED[0].append((event, str(arguments[0]) if arguments else ""))


sys.addaudithook(_watch)


@contextlib.contextmanager
def watched():
    """Record access to files, and execution of code."""
    WATCHED.append([])
    try:
        yield WATCHED[0]
    finally:
        WATCHED.clear()


def taken_apart(path):
    arrays = safetensors.numpy.load(path.read_bytes())
    with safetensors.safe_open(path, "np") as file:
        document = json.loads(file.metadata()["document"])
    return document, {name: array.copy() for name, array in arrays.items()}


def with_valid_checksums(path, document, arrays):
    """Write a file with any content and valid checksums."""
    content = {k: v for k, v in document.items() if k not in ("sha256", "written_by")}
    path.write_bytes(pack(_FORMAT, content, arrays))
    return path


def nodes(value, where=()):
    """Yield the path of each entry of the metadata."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in pairs:
        yield (*where, key)
        if isinstance(each, dict | list):
            yield from nodes(each, (*where, key))


def at(value, where):
    for key in where:
        value = value[key]
    return value


def other_values(value):
    """Yield other values for an entry."""
    yield from (None, True, -1, 0, 3, 10**9, 10**400, 0.5, {"float": "nan"}, "", "x")
    yield from ([], [1], {}, {"tuple": []}, {"dict": []}, {"set": []}, {"object": 0})
    yield from ({"dict": [["x", 1]]}, {"items": [["a"], "<U300000000", [1]]})
    if isinstance(value, dict | list) and value:
        yield from (list(value), [*value, 1] if isinstance(value, list) else {**value})
        yield value[:-1] if isinstance(value, list) else dict(list(value.items())[1:])
    if isinstance(value, list) and len(value) > 1:
        yield value[::-1]
        yield [value[0], *value]
    if type(value) is int:
        yield from (value + 1, value - 1, 2 * 10**8)


def other_arrays(array):
    yield from (array[None], np.zeros((0, 3), array.dtype), array.ravel())
    yield from (array.astype(np.float16), array.astype(np.int64), array > 0)
    if array.size:
        if array.dtype.kind == "f":
            for number in (np.nan, np.inf, -np.inf, 1e30):
                changed = array.copy()
                changed.flat[-1] = number
                yield changed
        yield from (array - 1, array * 0, array + 10**6, -array)
    if array.ndim:
        yield from (
            array[:0],
            array[:-1],
            np.concatenate([array, array]),
            array[::-1].copy(),
        )


def changed(document, where, change):
    document = copy.deepcopy(document)
    change(at(document, where[:-1]), where[-1])
    return document


def changes(document, arrays):
    """Yield the name of each change, and a function that makes the change."""

    def with_value(where, value):
        def put(parent, key):
            parent[key] = value

        return lambda: (changed(document, where, put), arrays)

    for where in nodes({key: document[key] for key in ("state", "estimator")}):
        own = at(document, where)
        for value in other_values(own):
            yield f"{where} = {value!r}"[:200], with_value(where, value)
        lack = partial(changed, document, where, operator.delitem)
        yield f"without {where}", lambda lack=lack: (lack(), arrays)
        if isinstance(where[-1], str):
            beside = (*where[:-1], "predict")
            yield f"predict beside {where}", with_value(beside, own)
        elif isinstance(own, list) and len(own) == 2 and isinstance(own[0], str):
            value = ["predict", own[1]]
            yield f"predict for {where}", with_value(where, value)
    for name, array in arrays.items():
        for other in other_arrays(array):
            new = np.ascontiguousarray(other).reshape(np.shape(other))
            what = f"{name}: {new.dtype}{new.shape} {new.ravel()[-2:]}"
            yield what, lambda name=name, new=new: (document, {**arrays, name: new})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    model = small(
        max_epochs=1,
        loss_weights=ALL_LOSSES,
        channel_names=CHANNELS,
        random_state=np.random.RandomState(0),
    ).fit(panel(), labels())
    path = tmp_path_factory.mktemp("trained") / "model.safetensors"
    return save(model, path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["saved", "trained"])
def test_changed_entries_raise_an_error_or_are_valid(kind, request, tmp_path):
    document, arrays = taken_apart(request.getfixturevalue(kind))
    path, X = tmp_path / "changed.safetensors", panel(3)
    every = list(changes(document, arrays))
    if not in_long_run():
        chosen = np.random.default_rng(0).permutation(len(every))[:40]
        every = [every[i] for i in chosen]
    load(request.getfixturevalue(kind)).predict_proba(X)  # so that modules are imported
    for what, change in every:
        with_valid_checksums(path, *change())
        with watched() as events:
            try:
                model = load(path)
                found = model.predict_proba(X)
            except ValueError as error:
                assert "is damaged" in str(error), what
            else:
                assert np.isfinite(found).all(), what
                assert found.shape == (3, len(model.classes_)), what
        # threadpoolctl reads the list of loaded libraries.
        touched = {name for _, name in events} - {str(path), "/proc/self/maps"}
        assert not touched, what


@pytest.mark.parametrize("kind", ["saved", "trained"])
def test_the_same_model_is_the_same_file(kind, request, tmp_path):
    path = request.getfixturevalue(kind)
    expected = path.read_bytes()
    model = load(path)
    assert save(model, tmp_path / "again").read_bytes() == expected
    model = pickle.loads(pickle.dumps(model))
    assert save(model, tmp_path / "copy").read_bytes() == expected
    if kind == "saved":
        same(model.fit(panel(), labels()), load(path), panel(seed=1))


def test_files_cannot_set_local_paths(tmp_path):
    encoder = TextEncoder("hashing", cache=str(tmp_path / "cache"))
    model = small(text_encoder=encoder).fit(panel(), labels())
    path = save(model, tmp_path / "model")
    assert str(tmp_path).encode() not in path.read_bytes()
    assert encoder.cache  # not changed by save

    def change(document, metadata):
        (node,) = (
            value
            for name, value in entries(document, "parameters")
            if name == "text_encoder"
        )
        pairs = node["text_encoder"]["dict"]
        (model,) = (pair for pair in pairs if pair[0] == "model")
        model[1] = f"{tmp_path}/weights"

    def add_cache(document, metadata):
        for name, value in entries(document, "parameters"):
            if name == "text_encoder":
                value["text_encoder"]["dict"].append(["cache", f"{tmp_path}/other"])

    def add_checkpoint(document, metadata):
        entries(document, "parameters").append(["checkpoint", f"{tmp_path}/other"])

    before = sorted(tmp_path.rglob("*"))
    for add in (add_cache, add_checkpoint):
        other = rewritten(path, tmp_path / "other", add)
        with pytest.raises(ValueError, match="content is invalid"):
            load(other)
        other.unlink()
    rewritten(path, path, change)
    with watched() as events:
        loaded = load(path)
        loaded.predict_proba(panel(2))
    assert loaded.text_encoder.cache is None
    touched = [name for _, name in events if str(tmp_path) in name]
    assert touched == [str(path)]
    # The text encoder is loaded only when texts are encoded.
    with pytest.raises(OSError, match=r"Text encoder .* cannot be loaded"):
        loaded.predict_zero_shot(panel(2), ["running", "jumping"])
    assert sorted(tmp_path.rglob("*")) == before
