"""Panels read from single files."""

import numpy as np
import pandas as pd
import pytest

from sktext_vq._reading import read_recordings

NAMES = ["acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z"]


@pytest.fixture(scope="module")
def motions(basic_motions):
    return basic_motions.X_train[:, :, :20], basic_motions.y_train


def long_table(X, y):
    n_cases, n_channels, n_timepoints = X.shape
    table = pd.DataFrame(
        {
            "case": np.repeat([f"r{i}" for i in range(n_cases)], n_timepoints),
            "time": np.tile(np.arange(n_timepoints) / 10, n_cases),
            "label": np.repeat(y, n_timepoints),
            "subject": np.repeat(np.arange(n_cases) // 10, n_timepoints),
        }
    )
    values = X.transpose(0, 2, 1).reshape(-1, n_channels)
    return table.join(pd.DataFrame(values, columns=NAMES))


def wide_table(X, y):
    values = X.reshape(len(X), -1)
    names = [f"{name}_{t}" for name in NAMES for t in range(X.shape[2])]
    return pd.DataFrame(values, columns=names).assign(label=y)


def tidy_table(X, y):
    table = long_table(X, y)
    return table.melt(
        ["case", "time", "label", "subject"], var_name="channel", value_name="value"
    )


def check(found, X, y, groups=False):
    np.testing.assert_allclose(found.X, X)
    assert found.y.tolist() == y.tolist()
    assert found.channel_names == tuple(NAMES)
    if groups:
        assert found.groups.tolist() == [i // 10 for i in range(len(X))]


@pytest.mark.parametrize("make", [long_table, wide_table, tidy_table])
@pytest.mark.parametrize("shuffled", [False, True])
def test_tables_of_all_forms_give_the_same_series(make, shuffled, motions, tmp_path):
    X, y = motions
    table = make(X, y)
    if shuffled:
        # Columns, too, but for the order that channels have in the file.
        first = table.iloc[:1]
        rest = table.iloc[1:].sample(frac=1, random_state=0)
        table = pd.concat([first, rest])
    path = tmp_path / "motions.csv"
    table.to_csv(path, index=False)
    found = read_recordings(path, "train")
    if not shuffled:
        return check(found, X, y, groups=make is not wide_table)
    order = list(dict.fromkeys(table["case"])) if "case" in table else table.index
    cases = [int(str(case).removeprefix("r")) for case in order]
    channels = range(6)
    if make is tidy_table:
        channels = [NAMES.index(name) for name in dict.fromkeys(table["channel"])]
    np.testing.assert_allclose(found.X, X[cases][:, list(channels)])
    assert found.y.tolist() == y[cases].tolist()


def test_parquet_is_read_as_csv(motions, tmp_path):
    pytest.importorskip("pyarrow")
    long_table(*motions).to_parquet(tmp_path / "motions.parquet")
    check(read_recordings(tmp_path / "motions.parquet", "train"), *motions, groups=True)


def test_arrays_are_read_whole_or_in_parts(motions, tmp_path):
    X, y = motions
    about = {"channel_names": np.array(NAMES), "sampling_rate_hz": 10.0}
    np.savez(tmp_path / "whole.npz", X=X, y=y, subject=np.arange(len(X)) // 10, **about)
    found = read_recordings(tmp_path / "whole.npz", "test")
    check(found, X, y, groups=True)
    assert found.sampling_rate == 10
    np.savez(
        tmp_path / "parts.npz", X_train=X[:20], y_train=y[:20], X_test=X[20:], **about
    )
    check(read_recordings(tmp_path / "parts.npz", "train"), X[:20], y[:20])
    assert read_recordings(tmp_path / "parts.npz", "test").y is None
    np.save(tmp_path / "only.npy", X)
    np.testing.assert_array_equal(read_recordings(tmp_path / "only.npy", "test").X, X)


def test_lengths_may_differ(tmp_path):
    path = tmp_path / "two.csv"
    path.write_text("case,x,y,label\nb,1,5,0\nb,2,6,0\na,3,7,1\nb,4,,0\n")
    found = read_recordings(path, "train")
    assert [each.tolist() for each in found.X][1] == [[3], [7]]
    np.testing.assert_array_equal(found.X[0], [[1, 2, 4], [5, 6, np.nan]])
    assert found.cases == ["b", "a"]
    assert found.y.tolist() == [0, 1] and found.y.dtype.kind == "i"


def test_one_channel_has_a_column_for_each_timepoint(tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text("0,1,2,kind\n1,2,,up\n3,4,5,down\n")
    found = read_recordings(path, "train", "kind")
    np.testing.assert_array_equal(found.X, [[[1, 2, np.nan]], [[3, 4, 5]]])
    assert found.y.tolist() == ["up", "down"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "cannot be read as a table"),
        ("a.csv", "case,x\n", "no rows"),
        ("a.csv", "label\nup\n", "no columns of values"),
        ("a.csv", "0,1\n1,2\n3,up\n", r"'up' in column '1' in row 3.*--label-column"),
        ("a.csv", "case,time,x\na,0,1\na,0,2\n", "time 0 of case a more than once"),
        (
            "a.csv",
            "case,channel,time,value\na,x,0,1\na,x,0,2\n",
            "time 0 of channel x of case a more than once",
        ),
        (
            "a.csv",
            "case,x,label\na,1,up\na,2,down\n",
            "more than one label for case a",
        ),
        ("a.csv", "case,x,label\na,1,up\na,2,\n", "no label for case a"),
        ("a.csv", "case,x\na,1\na,2\n,3\n", "no case in row 4"),
        ("a.csv", "x_0,x_1,y_0\n1,2,3\n", "no column for timepoint 1 of channel 'y'"),
        ("a.npz", "not a zip", "damaged"),
        ("a.xlsx", "", r"endings that are read: \.npz"),
    ],
)
def test_errors_say_what_and_where(name, content, message, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        read_recordings(tmp_path / name, "train")
    assert name in str(error.value)


def test_errors_about_arrays_and_files(tmp_path):
    np.savez(tmp_path / "a.npz", Z=np.zeros(3))
    with pytest.raises(ValueError, match=r"X or X_test\. It has Z"):
        read_recordings(tmp_path / "a.npz", "test")
    np.savez(tmp_path / "a.npz", X=np.zeros((3, 1, 9)), y=np.zeros(2))
    with pytest.raises(ValueError, match=r"3 series, but its y has shape \(2,\)"):
        read_recordings(tmp_path / "a.npz", "test")
    np.savez(tmp_path / "a.npz", X=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="without pickled objects"):
        read_recordings(tmp_path / "a.npz", "test")
    with pytest.raises(OSError, match="no file"):
        read_recordings(tmp_path / "missing.csv", "test")
    with pytest.raises(OSError, match="is a folder"):
        read_recordings(tmp_path, "test")
    (tmp_path / "a.csv").write_text("0,1\n1,2\n")
    with pytest.raises(ValueError, match=r"no column 'kind'. It has 0, 1"):
        read_recordings(tmp_path / "a.csv", "test", "kind")
