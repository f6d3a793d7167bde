import pickle
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stnp
from scipy.sparse import csr_array
from sktime.datatypes import convert_to

import sktext_vq.panel
from sktext_vq.panel import Panel, as_panel

FINITE = st.floats(-1e6, 1e6, width=32)


def assert_same(panel, expected):
    np.testing.assert_array_equal(panel.values, expected.values)
    np.testing.assert_array_equal(panel.lengths, expected.lengths)
    assert panel.values.dtype == expected.values.dtype
    assert panel.has_gaps == expected.has_gaps


def cube(n_cases=4, n_channels=3, n_timepoints=7, dtype=np.float64):
    shape = (n_cases, n_channels, n_timepoints)
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def non_contiguous(X):
    wide = np.zeros((X.shape[0], X.shape[1], 2 * X.shape[2]), X.dtype)
    wide[:, :, ::2] = X
    return wide[:, :, ::2]


class NotAnArray:
    """Object that can only be converted to an array."""

    def __init__(self, X):
        self.X = X

    def __array__(self, dtype=None, copy=None):
        return self.X


def to_sktime(mtype):
    def convert(X):
        names = ["x", "y", "z"]
        frames = [pd.DataFrame(case.T, columns=names) for case in X]
        return convert_to(frames, mtype, as_scitype="Panel")

    return convert


KINDS = {
    "array": lambda X: X,
    "read-only": read_only,
    "non-contiguous": non_contiguous,
    "Fortran order": np.asfortranarray,
    "foreign byte order": lambda X: X.astype(X.dtype.newbyteorder()),
    "objects": lambda X: X.astype(object),
    "not an array": NotAnArray,
    "list of arrays": list,
    "tuple of arrays": tuple,
    "nested lists": lambda X: X.tolist(),
    "numpy3D": to_sktime("numpy3D"),
    "pd-multiindex": to_sktime("pd-multiindex"),
    "nested_univ": to_sktime("nested_univ"),
    "df-list": to_sktime("df-list"),
}
ONE_CHANNEL_KINDS = {
    "2D array": lambda X: X[:, 0],
    "3D array": lambda X: X,
    "list of 1D arrays": lambda X: list(X[:, 0]),
    "list of Series": lambda X: [pd.Series(row) for row in X[:, 0]],
    "list of lists": lambda X: X[:, 0].tolist(),
    "DataFrame": lambda X: pd.DataFrame(X[:, 0]),
    "DataFrame of objects": lambda X: pd.DataFrame(X[:, 0].astype(object)),
    "nullable DataFrame": lambda X: pd.DataFrame(X[:, 0]).convert_dtypes(),
}
UNEQUAL_KINDS = {
    "list": lambda series: series,
    "array of arrays": lambda series: np.fromiter(series, dtype=object),
    "nested lists": lambda series: [case.tolist() for case in series],
    "padded": lambda series: as_panel(series).values,
    "pd-multiindex": to_sktime("pd-multiindex"),
    "nested_univ": to_sktime("nested_univ"),
    "df-list": to_sktime("df-list"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("missing", [False, True])
def test_kinds_of_input_give_the_same_panel(kind, missing):
    X = cube()
    if missing:
        X[1, 2, 0] = X[2, 0, 3] = X[3, 1, -1] = np.nan
    panel = as_panel(KINDS[kind](X))
    assert_same(panel, Panel(X, np.full(4, 7)))
    assert panel.has_gaps == missing


@pytest.mark.parametrize("kind", ONE_CHANNEL_KINDS)
def test_kinds_of_one_channel_give_the_same_panel(kind):
    X = cube(n_channels=1)
    X[1, 0, 2] = np.nan
    assert_same(as_panel(ONE_CHANNEL_KINDS[kind](X)), Panel(X, np.full(4, 7)))


@pytest.mark.parametrize("kind", UNEQUAL_KINDS)
def test_kinds_of_unequal_length_give_the_same_panel(kind):
    series = [cube(1, 3, n_timepoints)[0] for n_timepoints in (2, 5, 1)]
    panel = as_panel(UNEQUAL_KINDS[kind](series))
    assert panel.values.shape == (3, 3, 5)
    assert panel.lengths.tolist() == [2, 5, 1]
    assert panel.has_gaps
    for case, expected in enumerate(series):
        np.testing.assert_array_equal(
            panel.values[case, :, : panel.lengths[case]], expected
        )
        assert np.isnan(panel.values[case, :, panel.lengths[case] :]).all()


def test_real_unequal_length():
    from sktime.datasets import load_japanese_vowels

    X, _ = load_japanese_vowels(split="train", return_type="nested_univ")
    panel = as_panel(X)
    assert panel.values.shape == (270, 12, 26)
    assert (panel.lengths.min(), panel.lengths.max()) == (7, 26)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (np.float64, np.float64),
        (np.float32, np.float32),
        (np.float16, np.float32),
        (np.longdouble, np.float64),
        (np.int64, np.float64),
        (np.uint8, np.float64),
        (bool, np.float64),
        (object, np.float64),
    ],
)
@pytest.mark.parametrize("container", [np.asarray, list])
def test_dtypes(dtype, expected, container):
    panel = as_panel(container(cube(dtype=dtype)))
    assert panel.values.dtype == expected
    assert panel.lengths.dtype == np.int64


def test_list_of_both_float_types_is_float64():
    X = [np.ones(3, dtype=np.float32), np.full(2, 0.1)]
    assert as_panel(X).values[1, 0, 0] == 0.1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("arrange", [np.array, np.asfortranarray, non_contiguous])
def test_float_arrays_are_not_copied(dtype, arrange):
    X = arrange(cube(dtype=dtype))
    assert np.shares_memory(as_panel(X).values, X)
    assert np.shares_memory(as_panel(X[:, 0]).values, X)


def test_memory_map(tmp_path):
    np.save(tmp_path / "X.npy", cube())
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    panel = as_panel(X)
    assert np.shares_memory(panel.values, X)
    np.testing.assert_array_equal(panel.values, cube())


def test_checks_need_little_memory(monkeypatch):
    monkeypatch.setattr(sktext_vq.panel, "_CHUNK_VALUES", 10_000)
    X = np.ones((2_000, 2, 500))
    X[0, 0, 0] = np.nan
    tracemalloc.start()
    try:
        assert as_panel(X).has_gaps
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < X.nbytes / 20


@pytest.mark.parametrize("kind", KINDS | ONE_CHANNEL_KINDS | UNEQUAL_KINDS)
def test_input_is_not_changed(kind):
    if kind in KINDS | ONE_CHANNEL_KINDS:
        X = (KINDS | ONE_CHANNEL_KINDS)[kind](cube())
    else:
        X = UNEQUAL_KINDS[kind]([cube(1, 3, n)[0] for n in (2, 5, 1)])
    before = pickle.dumps(X)
    as_panel(X)
    assert pickle.dumps(X) == before


def test_panel_is_passed_through():
    panel = as_panel(cube())
    assert as_panel(panel) is panel


def test_panel_is_frozen_and_pickles():
    panel = as_panel(cube())
    with pytest.raises(AttributeError):
        panel.values = None
    assert not panel.has_gaps
    assert_same(pickle.loads(pickle.dumps(panel)), panel)


@given(
    stnp.arrays(np.float32, stnp.array_shapes(min_dims=3, max_dims=3), elements=FINITE)
)
def test_finite_arrays_are_not_changed(X):
    panel = as_panel(X)
    np.testing.assert_array_equal(panel.values, X)
    assert (panel.n_cases, panel.n_channels, panel.n_timepoints) == X.shape
    assert (panel.lengths == X.shape[2]).all()
    assert not panel.has_gaps


@st.composite
def panels_with_gaps(draw):
    shape = draw(stnp.array_shapes(min_dims=3, max_dims=3, max_side=6))
    X = draw(stnp.arrays(np.float64, shape, elements=FINITE))
    X[draw(stnp.arrays(bool, shape))] = np.nan
    # Each channel has at least one value.
    kept = draw(stnp.arrays(np.intp, shape[:2], elements=st.integers(0, shape[2] - 1)))
    np.put_along_axis(X, kept[:, :, np.newaxis], 1.0, axis=2)
    return X


@given(panels_with_gaps(), st.integers(1, 40))
def test_ends_and_gaps(X, chunk_values):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sktext_vq.panel, "_CHUNK_VALUES", chunk_values)
        panel = as_panel(X)
        has_gaps = panel.has_gaps
    # The panel ends with the longest series.
    assert panel.n_timepoints == panel.lengths.max()
    assert has_gaps == np.isnan(X[:, :, : panel.n_timepoints]).any()
    for case, length in enumerate(panel.lengths):
        assert np.isnan(X[case, :, length:]).all()
        assert not np.isnan(X[case, :, length - 1]).all()


@given(panels_with_gaps())
def test_list_of_trimmed_series_is_the_padded_array(X):
    panel = as_panel(X)
    series = [case[:, :length] for case, length in zip(X, panel.lengths, strict=True)]
    trimmed = as_panel(series)
    np.testing.assert_array_equal(trimmed.lengths, panel.lengths)
    np.testing.assert_array_equal(trimmed.values, X[:, :, : int(panel.lengths.max())])


@given(panels_with_gaps(), st.data())
def test_infinity_is_found(X, data):
    index = tuple(data.draw(st.integers(0, size - 1)) for size in X.shape)
    X[index] = data.draw(st.sampled_from([np.inf, -np.inf]))
    where = "case {}, channel {}, timepoint {} ".format(*index)
    with pytest.raises(ValueError, match=f"infinity at {where}"):
        as_panel(X)


@given(panels_with_gaps(), st.data())
def test_empty_channel_is_found(X, data):
    case, channel = (data.draw(st.integers(0, size - 1)) for size in X.shape[:2])
    X[case, channel] = np.nan
    place = f"case {case}, channel {channel}"
    with pytest.raises(ValueError, match=rf"{place} \(counted from 0\) are NaN"):
        as_panel(X)


def with_value(value, dtype=object):
    X = cube().astype(dtype)
    X[2, 1, 3] = value
    return X


def frame(**columns):
    return pd.DataFrame({"a": [1.0, 2.0], **columns})


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        # sizes, with messages of scikit-learn if possible
        (np.ones(3), ValueError, "Reshape your data"),
        ([1.0, 2.0], ValueError, "Reshape your data"),
        (pd.Series([1.0]), ValueError, "Reshape your data"),
        (np.ones((2, 3, 4, 5)), ValueError, "4 dimensions of shape"),
        (np.ones((0, 3)), ValueError, r"0 sample\(s\)"),
        (np.ones((0, 2, 3)), ValueError, r"0 sample\(s\)"),
        (np.ones((3, 0)), ValueError, r"0 feature\(s\)"),
        (np.ones((3, 0, 2)), ValueError, "0 channels"),
        (np.ones((3, 2, 0)), ValueError, "0 timepoints"),
        ([], ValueError, r"0 sample\(s\)"),
        (pd.DataFrame(), ValueError, r"0 sample\(s\)"),
        # lists
        ([np.ones(3), np.ones(0)], ValueError, "empty series: case 1"),
        ([np.ones((2, 3)), np.ones((2, 0))], ValueError, "empty series: case 1"),
        ([np.ones((0, 3))], ValueError, "empty series: case 0"),
        (
            [np.ones((2, 3)), np.ones((2, 4)), np.ones((3, 4))],
            ValueError,
            "case 0 has 2 and case 2 has 3",
        ),
        (
            [np.ones((2, 3)), np.ones(3)],
            ValueError,
            r"mixes arrays of 2 and 1 dim.* \(3,\)\. Reshape all cases to "
            r"\(n_channels, n_timepoints\)\.$",
        ),
        ([np.ones(3), np.ones((1, 3))], ValueError, "mixes arrays of 1 and 2 dim"),
        ([np.ones((1, 2, 3))], ValueError, "Case 0 of X .* 3 dimensions"),
        ([np.ones(3), 1.0], ValueError, "Case 1 of X .* 0 dimensions"),
        ([[1.0, 2.0], [[1.0, 2.0], [1.0]]], ValueError, "case 1 .* different lengths"),
        ([np.ones(3), "text"], ValueError, "X in case 1 has dtype <U4"),
        ([np.ones(3), np.ones(3) * 1j], ValueError, "X in case 1 has dtype complex"),
        ([["1", "2"], ["3"]], ValueError, "X in case 0 has dtype <U1"),
        (
            [np.ones((1, 2)), np.array([[1, "2"]], dtype=object)],
            ValueError,
            "text: '2' at case 1, channel 0, timepoint 1 ",
        ),
        ([np.ones(2), np.array([1, np.inf])], ValueError, "case 1, channel 0, time"),
        ([np.ones(2), np.full(4, np.nan)], ValueError, "case 1, channel 0 .* are NaN"),
        # invalid numbers
        (
            with_value("2.5"),
            ValueError,
            r"text: '2.5' at case 2, channel 1, timepoint 3 \(counted from 0\)\. "
            r"Convert it to a number, or to NaN for a missing value\.$",
        ),
        (with_value(b"2.5"), ValueError, "text: b'2.5' at case 2"),
        (
            with_value("walk")[:, 1],
            ValueError,
            "text: 'walk' at case 2, timepoint 3 ",
        ),
        (
            with_value({}),
            TypeError,
            r"^X contains a value of type dict at case 2, channel 1, timepoint 3 "
            r".*argument must be .*\. Use a number, or NaN for a missing value\.$",
        ),
        (cube().astype(str), ValueError, "^X has dtype <U.*not numeric"),
        (cube().astype(complex), ValueError, "Complex data not supported: X has dtype"),
        (cube().astype("m8[s]"), ValueError, "not numeric"),
        (with_value(np.inf), ValueError, "case 2, channel 1, timepoint 3"),
        (["walking", "running"], ValueError, "not numeric"),
        (frame(b=["1", "2"]), ValueError, "text: '1' at case 0, timepoint 1"),
        (
            frame(b=pd.to_datetime(["2020", "2021"])),
            ValueError,
            r"^Column 'b' of X has .*, which is not numeric\. Convert the column to "
            r"numbers or remove it\.$",
        ),
        (frame(b=[1.0, np.inf]), ValueError, "case 1, channel 0, timepoint 1"),
        (frame(b=[1j, 2.0]), ValueError, "Complex data not supported"),
        # containers
        ("walking", ValueError, "not numeric"),
        (None, TypeError, "got NoneType"),
        ({"X": 1}, TypeError, "got dict"),
        ((x for x in "ab"), TypeError, "got generator"),
        (csr_array(np.eye(3)), TypeError, "[Ss]parse"),
        ([np.ones((3, 3)), csr_array(np.eye(3))], TypeError, "Case 1 .* sparse matrix"),
        ([csr_array(np.eye(3))], TypeError, "Case 0 of X is a sparse matrix"),
        (
            np.ma.masked_equal(np.eye(3), 0),
            TypeError,
            r"^X is a masked array, whose mask would be lost\. Use X"
            r"\.filled\(numpy\.nan\) to mark values as missing\.$",
        ),
        ([np.ma.masked_equal(np.eye(3), 0)], TypeError, "filled"),
    ],
)
def test_errors(X, error, message):
    with pytest.raises(error, match=message):
        as_panel(X)


def test_errors_name_the_estimator():
    for X in ([], None, np.ones((0, 3)), np.ones((1, 1, 1, 1)), with_value(np.inf)):
        with pytest.raises((ValueError, TypeError), match="VQTextClassifier"):
            as_panel(X, estimator_name="VQTextClassifier")


def test_timepoints_of_frames_are_sorted_by_any_kind_of_time():
    X = to_sktime("pd-multiindex")(cube())
    cases, times = (X.index.get_level_values(level) for level in (0, 1))
    for each in (times / 50, pd.to_datetime(times, unit="s"), times * 10):
        frame = X.set_index([cases, each]).sample(frac=1, random_state=0)
        frame = frame.sort_index(level=0, sort_remaining=False, kind="stable")
        panel = as_panel(frame)
        np.testing.assert_array_equal(panel.values, cube())
        assert panel.channel_names == tuple(X.columns)


def test_cases_of_a_frame_are_in_the_order_of_their_first_rows():
    X = to_sktime("pd-multiindex")(cube())
    shuffled = X.sample(frac=1, random_state=0)
    panel = as_panel(shuffled)
    order = shuffled.index.get_level_values(0).unique()
    assert panel.cases.tolist() == order.tolist() != sorted(order)
    np.testing.assert_array_equal(panel.values, cube()[order])


def test_selected_cases_keep_their_names():
    panel = as_panel(to_sktime("pd-multiindex")(cube()))
    part = panel.take([2, 0])
    np.testing.assert_array_equal(part.values, cube()[[2, 0]])
    assert part.cases.tolist() == [2, 0]
    assert part.channel_names == panel.channel_names
    unnamed = as_panel([np.ones(n) for n in (5, 3, 4)]).take([2, 1])
    assert (unnamed.lengths.tolist(), unnamed.cases) == ([4, 3], None)


def test_ambiguous_frames_raise_an_error():
    X = to_sktime("pd-multiindex")(cube())
    with pytest.raises(
        ValueError,
        match=r"several rows for case 1 at time 2\. Use a separate case for each "
        r"recording\.$",
    ):
        as_panel(pd.concat([X.loc[[(1, 2)]], X]))
    with pytest.raises(
        ValueError, match=r"index of X has 3 levels\. A data frame of series must"
    ):
        as_panel(X.set_index(X.columns[0], append=True))
    for level in (0, 1):
        keys = [X.index.get_level_values(each).astype(float) for each in (0, 1)]
        keys[level] = keys[level].where(np.arange(len(X)) != 3)
        with pytest.raises(ValueError, match=r"^The index of X contains missing"):
            as_panel(X.set_axis(pd.MultiIndex.from_arrays(keys)))


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        (["x", "y", "z"], ("x", "y", "z")),
        (["x", "y", "x"], None),
        ([0, 1, 2], None),
        (["x", 1, "z"], None),
    ],
)
def test_names_of_channels_are_those_of_columns_if_all_have_one(columns, names):
    for cases in (1, 2):
        frames = [pd.DataFrame(case.T, columns=columns) for case in cube(cases)]
        assert as_panel(frames).channel_names == names


@pytest.mark.parametrize("cell", ["text", 3.0, None, np.ones((2, 2))])
def test_invalid_cells_of_nested_frames(cell):
    nested = to_sktime("nested_univ")(cube())
    nested.iat[2, 1] = cell
    with pytest.raises(
        TypeError,
        match=r"^X is a nested data frame \(sktime's 'nested_univ'\), but the cell of "
        rf"case 2, channel 1 \(counted from 0\) has type {type(cell).__name__}\. All "
        r"cells must be one-dimensional series\.$",
    ):
        as_panel(nested)


def test_nested_frames_of_other_kinds():
    nested = to_sktime("nested_univ")(cube())
    arrays = nested.map(np.asarray)
    assert_same(as_panel(arrays), as_panel(cube()))
    assert as_panel(nested).channel_names == ("x", "y", "z")
    nested.iat[2, 1] = nested.iat[2, 1].iloc[:4]
    assert np.isnan(as_panel(nested).values[2, 1]).tolist() == [False] * 4 + [True] * 3
    nested.iat[1, 0] = pd.Series(["a"] * 7)
    with pytest.raises(ValueError, match="'a' at case 1, channel 0, timepoint 0"):
        as_panel(nested)


def test_one_case_among_objects():
    # Values that are not floats are checked one by one.
    X = np.array([[[1, None, np.float32(3)], [4, np.int8(5), True]]], dtype=object)
    np.testing.assert_array_equal(as_panel(X).values, [[[1, np.nan, 3], [4, 5, 1]]])
    ragged = np.empty((1, 2), dtype=object)
    ragged[0] = [np.ones(2), np.ones(3)]
    with pytest.raises(ValueError, match=r"sequence|different length"):
        as_panel(ragged)


def test_sktime_columns_out_of_order():
    X = to_sktime("df-list")(cube())
    X[2] = X[2][["y", "x", "z"]]
    with pytest.raises(
        ValueError,
        match=r"case 2 has columns \['y', 'x', 'z'\] and case 0 has \['x', 'y', 'z'\]"
        r"\. All cases must have the same columns in the same order\.$",
    ):
        as_panel(X)


def test_panels_do_not_require_sktime(monkeypatch):
    kinds = "pd-multiindex", "df-list", "nested_univ"
    frames = [to_sktime(kind)(cube()) for kind in kinds]
    monkeypatch.setitem(__import__("sys").modules, "sktime.datatypes", None)
    for X in frames:
        np.testing.assert_array_equal(as_panel(X).values, cube())


def test_columns_with_levels_raise_an_error():
    """A table of channels by times would be read as one long channel."""
    columns = pd.MultiIndex.from_product([["x", "y"], range(4)], names=["axis", "time"])
    wide = pd.DataFrame(np.arange(24.0).reshape(3, 8), columns=columns)
    for frame in (wide, wide.swaplevel(axis=1), wide[["x"]]):
        with pytest.raises(ValueError, match=r"2 levels.*'time'.*X\.stack"):
            as_panel(frame)
    assert as_panel(wide.stack("time")).values.shape == (3, 2, 4)


@pytest.mark.parametrize(
    ("X", "place"),
    [
        (np.array([[[1, 2]], [[3, -(2**53) - 1]]]), "case 1, channel 0, timepoint 1"),
        ([np.array([[1, 2**60]])], "case 0, channel 0, timepoint 1"),
        (np.array([[1, 2**64 - 1]], np.uint64), "case 0, timepoint 1"),
        (np.array([[0.5, 2**70]], object), "case 0, timepoint 1"),
        (pd.DataFrame({"a": [0, 2**60], "b": [0.5, 1]}), "case 1, timepoint 0"),
        (
            pd.DataFrame({"a": pd.array([None, 2**60], "Int64"), "b": [0.5, 1]}),
            "case 1, timepoint 0",
        ),
        (
            [pd.DataFrame({"a": [0.5, 1], "b": [0, 2**60]})],
            "case 0, channel 1, timepoint 1",
        ),
    ],
)
def test_integers_that_would_be_rounded(X, place):
    with pytest.raises(ValueError, match=rf"integer -?\d+ at {place}.*2\*\*53"):
        as_panel(X)
    assert as_panel(np.array([[2**53, -(2**53)]])).values.dtype == np.float64
