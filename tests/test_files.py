"""Panels read from single files, and tables written to files."""

import gzip
import os

import numpy as np
import pandas as pd
import pytest

from sktext_vq._io.read import write_table
from sktext_vq.recordings import read_panel

NAMES = ["acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z"]


@pytest.fixture(scope="module")
def motions(basic_motions):
    return basic_motions.X_train, basic_motions.y_train


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


def wide_table(X, y, separator="_"):
    names = [f"{name}{separator}{t}" for name in NAMES for t in range(X.shape[2])]
    table = pd.DataFrame(X.reshape(len(X), -1), columns=names)
    about = {"case": [f"r{i}" for i in range(len(X))], "label": y}
    return table.assign(**about, subject=np.arange(len(X)) // 10)


def tidy_table(X, y):
    about = ["case", "time", "label", "subject"]
    return long_table(X, y).melt(about, var_name="channel", value_name="value")


def check(found, X, y):
    """Check that two panels are exactly equal."""
    np.testing.assert_array_equal(found.X, X)
    assert found.y.tolist() == y.tolist()
    assert found.channel_names == tuple(NAMES)
    assert found.groups.tolist() == [i // 10 for i in range(len(X))]
    assert found.groups.dtype.kind == "i"


def read_text(tmp_path, text, name="a.csv", **options):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read_panel(tmp_path / name, **options)


# Tables


@pytest.mark.parametrize("make", [long_table, wide_table, tidy_table])
@pytest.mark.parametrize("name", ["a.csv", "a.CSV", "a.csv.gz", "a.tsv", "a.txt"])
def test_tables_of_all_forms_give_back_what_was_written(make, name, motions, tmp_path):
    separator = "\t" if name == "a.tsv" else ","
    compression = "gzip" if name.endswith("gz") else None
    table = make(*motions)
    table.to_csv(tmp_path / name, index=False, sep=separator, compression=compression)
    found = read_panel(tmp_path / name)
    check(found, *motions)
    assert found.cases == [f"r{i}" for i in range(40)]
    assert found.sampling_rate is None


def test_numbers_of_all_digits_are_read_to_the_last_bit(tmp_path):
    X = np.random.default_rng(0).normal(size=(30, 40))
    pd.DataFrame(X).to_csv(tmp_path / "a.csv", index=False)
    np.testing.assert_array_equal(read_panel(tmp_path / "a.csv").X[:, 0], X)


@pytest.mark.parametrize("make", [long_table, wide_table, tidy_table])
def test_parquet_is_read_as_csv(make, motions, tmp_path):
    pytest.importorskip("pyarrow")
    write_table(make(*motions), tmp_path / "a.parquet")
    check(read_panel(tmp_path / "a.parquet"), *motions)


@pytest.mark.parametrize("make", [long_table, tidy_table])
def test_rows_may_be_in_any_order(make, motions, tmp_path):
    X, y = motions
    table = make(X, y).sample(frac=1, random_state=0)
    table.to_csv(tmp_path / "a.csv", index=False)
    found = read_panel(tmp_path / "a.csv")
    assert found.cases == list(dict.fromkeys(table["case"]))
    cases = [int(case.removeprefix("r")) for case in found.cases]
    channels = [NAMES.index(name) for name in found.channel_names]
    np.testing.assert_array_equal(found.X, X[cases][:, channels])
    assert found.y.tolist() == y[cases].tolist()
    assert found.groups.tolist() == [case // 10 for case in cases]


def test_timepoints_of_a_wide_table_are_sorted_by_number(motions, tmp_path):
    X, y = motions
    table = wide_table(X, y, separator=".")
    # Column names are sorted as text, so 10 precedes 2.
    table = table[sorted(table.columns)]
    table.to_csv(tmp_path / "a.csv", index=False)
    check(read_panel(tmp_path / "a.csv"), X, y)


@pytest.mark.parametrize(
    ("header", "order"),
    [
        ("0,1,2,3", [0, 1, 2, 3]),
        ("2,0,3,1", [1, 3, 0, 2]),
        ("t0,t10,t2,t3", [0, 2, 3, 1]),
        ("0.0,0.1,0.25,0.7", [0, 1, 2, 3]),
        ("00:00,00:30,01:00,01:30", [0, 1, 2, 3]),
    ],
)
def test_one_channel_has_a_column_for_each_timepoint(header, order, tmp_path):
    found = read_text(tmp_path, f"{header},label\n1,2,,4,up\n5,6,7,8,down\n")
    np.testing.assert_array_equal(
        found.X[:, 0], np.array([[1, 2, np.nan, 4], [5, 6, 7, 8]])[:, order]
    )
    assert found.y.tolist() == ["up", "down"]
    assert found.cases is None


NAN = np.nan


@pytest.mark.parametrize(
    ("text", "X", "names", "y"),
    [
        (  # names of sktime's long format
            "case_id,dim_id,reading_id,value\n"
            "0,dim_0,0,1\n0,dim_0,1,2\n0,dim_1,0,3\n0,dim_1,1,4\n",
            [[[1, 2], [3, 4]]],
            ("dim_0", "dim_1"),
            None,
        ),
        ("Case,Time,Acc_X,LABEL\na,1,2,up\na,0,1,up\n", [[[1, 2]]], ("Acc_X",), ["up"]),
        (  # unequal lengths
            "case,x,y,label\nb,1,5,0\nb,2,6,0\na,3,7,1\nb,4,,0\n",
            [[[1, 2, 4], [5, 6, NAN]], [[3], [7]]],
            ("x", "y"),
            [0, 1],
        ),
        (  # missing timepoints of a channel are NaN
            "case,channel,time,value\na,x,0,1\na,x,2,3\na,y,0,4\na,y,1,5\nb,y,0,6\n",
            [[[1, NAN, 3], [4, 5, NAN]], [[NAN], [6]]],
            ("x", "y"),
            None,
        ),
        # Without times, rows keep their order.
        ("case,x\na,3\nb,5\na,1\nb,4\n", [[[3, 1]], [[5, 4]]], ("x",), None),
        (
            "case,channel,value\na,x,3\na,y,5\na,x,1\na,y,4\n",
            [[[3, 1], [5, 4]]],
            ("x", "y"),
            None,
        ),
        *[
            (f"case,x\na,1\na,{cell}\nb,4\nb,6\n", [[[1, NAN]], [[4, 6]]], ("x",), None)
            for cell in ("", "NA", "nan", "null", "?")
        ],
        ("0,1,class\n1,2,7\n", [[[1, 2]]], None, [7]),
        ("0,1,Target\n1,2,7\n", [[[1, 2]]], None, [7]),
        ("0,1,label\n1,2,\n3,4,\n", [[[1, 2]], [[3, 4]]], None, None),
        # Files of spreadsheets may contain empty columns.
        (
            "\ufeffcase; time; x;\r\na; 0; 1;\r\n\r\na; 1; 2;\r\n",
            [[[1, 2]]],
            ("x",),
            None,
        ),
        ("31.12.2025;01.01.2026\n1;2\n", [[[1, 2]]], None, None),
    ],
)
def test_small_tables(text, X, names, y, tmp_path):
    found = read_text(tmp_path, text)
    for series, expected in zip(found.X, X, strict=True):
        np.testing.assert_array_equal(series, expected)
    assert found.channel_names == names
    assert (None if found.y is None else found.y.tolist()) == y
    assert found.groups is None


def test_sktimes_panels_are_read_from_parquet(motions, tmp_path):
    pytest.importorskip("pyarrow")
    table = long_table(*motions).rename(
        columns={"case": "instances", "time": "timepoints"}
    )
    table = table.set_index(["instances", "timepoints"])
    table.to_parquet(tmp_path / "a.parquet")
    check(read_panel(tmp_path / "a.parquet"), *motions)


@pytest.mark.parametrize(
    "times",
    [
        ["9", "10", "11"],
        ["09:59:59", "10:00:00", "10:00:00.5"],
        ["2024-05-31", "2024-06-01", "2024-06-02"],
        # Times differ by half an hour, with different UTC offsets.
        ["2024-10-27T02:30:00+02:00", "2024-10-27T02:00:00+01:00", "2024-10-27T05:00Z"],
    ],
)
def test_times_are_sorted_as_times(times, tmp_path):
    rows = [f"a,{time},{value}\n" for value, time in enumerate(times)]
    found = read_text(tmp_path, "case,time,x\n" + "".join(rows[::-1]))
    np.testing.assert_array_equal(found.X, [[[0, 1, 2]]])


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_times_of_parquet_are_sorted_as_times(zone, tmp_path):
    pytest.importorskip("pyarrow")
    for times in (
        pd.to_datetime(["2024-05-31", "2024-06-01", "1969-12-31"]).tz_localize(zone),
        pd.to_timedelta([9, 10, -1], unit="s"),
    ):
        table = pd.DataFrame({"case": 7, "time": times, "x": [1, 2, 0]})
        write_table(table, tmp_path / "a.parquet")
        found = read_panel(tmp_path / "a.parquet")
        np.testing.assert_array_equal(found.X, [[[0, 1, 2]]])
        assert found.cases == ["7"]


def test_cases_have_the_names_of_the_file(tmp_path):
    found = read_text(tmp_path, "case,x\n01,1\n01,2\n1,3\n1,4\nNA,5\nNA,6\n")
    assert found.cases == ["01", "1", "NA"]
    assert len(found.X) == 3


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["1", "2", "10"], [1, 2, 10]),
        (["1", "2", "-3"], [1, 2, -3]),
        (["1.0", "2.0", "-3.0"], ["1.0", "2.0", "-3.0"]),
        (["0.5", "1", "2"], ["0.5", "1", "2"]),
        (["01", "1", "+1"], ["01", "1", "+1"]),
        (["1E1", "10", "1_0"], ["1E1", "10", "1_0"]),
        (["1e20", "1", "2"], ["1e20", "1", "2"]),
        # Integers beyond int64, and integers that float64 rounds.
        (["9223372036854775808", "1"], ["9223372036854775808", "1"]),
        (["9007199254740993", "9007199254740992"], [2**53 + 1, 2**53]),
        (["up", "2", "null"], ["up", "2", "null"]),
        (["True", "False", "True"], ["True", "False", "True"]),
        (["True", "true", "TRUE"], ["True", "true", "TRUE"]),
    ],
)
def test_labels_are_whole_numbers_or_text(labels, expected, tmp_path):
    rows = [f"1,2,{label}\n" for label in labels]
    text = "0,1,label\n" + "".join(rows)
    found = read_text(tmp_path, text)
    assert found.y.tolist() == expected
    assert found.y.dtype.kind == ("i" if isinstance(expected[0], int) else "U")
    found = read_text(tmp_path, text.replace("label", "subject"))
    assert found.groups.tolist() == expected
    long = "case,x,label\n" + "".join(
        f"{case},{x},{label}\n" for case, label in enumerate(labels) for x in "12"
    )
    assert read_text(tmp_path, long).y.tolist() == expected


def test_a_column_of_labels_may_be_chosen_and_no_other_gets_among_the_values(tmp_path):
    text = "case,x,class,kind,subject\na,1,7,up,3\na,2,7,up,3\n"
    found = read_text(tmp_path, text, label_column="Kind")
    assert found.channel_names == ("x",)
    assert (found.y.tolist(), found.groups.tolist()) == (["up"], [3])
    # The subject may be the label.
    text = text.replace("up", "0")
    found = read_text(tmp_path, text, label_column="subject")
    assert found.channel_names == ("x", "kind")
    assert found.y.tolist() == [3]
    assert found.groups is None


@pytest.mark.parametrize("type_", [object, "string", "category"])
def test_labels_of_frames_keep_their_text(type_):
    table = pd.DataFrame({"case": list("aabb"), "x": [1.0, 2, 3, 4]})
    labels = pd.Series(["01", "01", "1", "1"]).astype(type_)
    found = read_panel(table.assign(label=labels, subject=labels))
    assert found.y.tolist() == found.groups.tolist() == ["01", "1"]
    found = read_panel(table.assign(label=pd.array([1, 1, 2, 2], dtype="Int64")))
    assert found.y.tolist() == [1, 2] and found.y.dtype.kind == "i"
    # NumPy drops trailing NUL characters.
    with pytest.raises(ValueError, match="NUL"):
        read_panel(table.assign(label=["a", "a", "a\0", "a\0"]))


def test_a_column_that_is_named_exactly_is_taken():
    table = pd.DataFrame({"case": list("aabb"), "x": [1.0, 2, 3, 4]})
    table = table.assign(label="none", Label=["up", "up", "down", "down"])
    assert read_panel(table, label_column="Label").y.tolist() == ["up", "down"]


def test_names_of_rows_that_pandas_writes_are_no_values(motions, tmp_path):
    X, y = motions
    for make in (long_table, wide_table, tidy_table):
        make(X, y).to_csv(tmp_path / "a.csv")
        check(read_panel(tmp_path / "a.csv"), X, y)
    found = read_text(tmp_path, ",0,1\nr7,1,2\nr8,3,4\n")
    np.testing.assert_array_equal(found.X, [[[1, 2]], [[3, 4]]])
    assert found.cases == ["r7", "r8"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("case,x\n", "has no rows"),
        ("label\nup\n", "has no channels"),
        ("case,time\na,0\na,1\n", "has no channels"),
        # Blank lines are counted in line numbers.
        ("0,1\n1,2\n\n3,up\n", "'up' in column '1', line 4, .* not a number.*label"),
        ('case,x,label\na,1,"u\np"\na,oops,"u\np"\n', "'oops' in column 'x', line 4"),
        (
            "case,time,x\na,0,1\na,0,2\n",
            "more than one row for time 0 of case a.*line 3",
        ),
        ("case,time,x\na,,1\na,0,2\n", "column 'time', line 2"),
        ("case,time,x\na,0,1\na,soon,2\n", "'soon' in column 'time', line 3"),
        (
            "case,channel,time,value\na,x,0,1\na,y,0,2\na,x,0,3\n",
            "one row for time 0 of channel x of case a.*line 4",
        ),
        ("case,channel,value\na,x,1\na,,2\n", "column 'channel', line 3"),
        (
            "case,x,label\na,1,up\nb,1,up\na,2,down\n",
            "more than one 'label' for case a: up .* and down in line 4",
        ),
        ("case,x,subject\na,1,1\na,2,2\n", "more than one 'subject' for case a"),
        ("0,1,label\n1,2,up\n3,4,\n5,6,\n", "column 'label', line 3"),
        ("case,x\na,1\na,2\n,3\n", "column 'case', line 4"),
        ("time,x,y\n0,1,2\n1,3,4\n", "column 'time', but each row .*--case-column"),
        ("take,acc\n1,2\n1,3\n", "no column 'case', .*'take', 'acc' are not the"),
        ("x_0,x_1,y_0\n1,2,3\n", "no column for timepoint 1 of channel 'y'"),
        ("x_0,x_1,x_01\n1,2,3\n", "timepoint 1 of channel 'x' twice.*'x_1' and 'x_01'"),
        ("0,1,age\n1,2,3\n", "column 'age' that is not a timepoint"),
        ("1,0.5,-0.3\n2,0.1,0.7\n", "insert a line of column names"),
        ("x,y,x\n1,2,3\n", "more than one column named 'x'"),
        ("case,,x\na,1,2\n", "Column 2 .* has no name"),
        ("0,1\n1,2,3\n4,5,6\n", "more cells than there are column names"),
        ("case,x,label\na,0,5,u\na,1,5,u\n", "must have a decimal point if commas"),
        ("case;x\na;1\na;2,5\n", "'2,5' in column 'x', line 3, which .* comma"),
        ("case;x\na;1\na;1.234,5\n", "line 3, .* with a comma.*thousands separators"),
        ("0;1;label\n1;-2,5e3;a\n", "'-2,5e3' in column '1', line 2, .* comma"),
        ("sep=;\ncase;x\na;1\na;2,5\n", "'2,5' in column 'x', line 4"),
        ('case,time,x\na,"0,25",1\na,"0,5",2\n', "'0,25'.*line 2, .* with a comma"),
        ("case,time,x\na,1 000,1\na,2 000,2\n", "'1 000'.* not a number or a time"),
        ("case,time,x\na,inf,1\na,1,2\n", "'inf' in column 'time', line 2"),
        ("case,time,x\na,9:59:59 PM,1\na,10:00:00 PM,2\n", "'9:59:59 PM'.*24-hour"),
        ("case,time,x\na,31.12.2025,1\na,01.01.2026,2\n", "year first"),
        (
            "case,time,x\na,2024-05-31T09:00,1\na,2024-05-31T09:00Z,2\n",
            "with and without a time zone.*line 3",
        ),
        ("case,x\na,1\na\0,2\n", "a NUL character in line 3"),
        ("case,x\na,9007199254740993\na,1\n", "rounds integers beyond 2\\*\\*53"),
        ("case,x\na,1\na,-99999999999999999999\n", "line 3.* beyond 2\\*\\*53"),
        ("case,x\na,1\n# pause\na,2\n", "a comment between rows, in line 3"),
        ("x[0],x[1],y[0],y[1]\n1,2,3,4\n", "'x\\[0\\]' and 'y\\[0\\]', whose channels"),
        ("x[0],x[10],x[2]\n1,2,3\n", "numbers are not in ascending order"),
        ("0,1\n1,2\n4,5,6\n", "not a table.*line 3"),
    ],
)
def test_errors_about_tables_say_what_and_where(content, message, tmp_path):
    with pytest.raises(ValueError, match=message) as error:
        read_text(tmp_path, content)
    assert "a.csv" in str(error.value)


@pytest.mark.parametrize("what", ["label", "case", "time", "subject"])
def test_a_chosen_column_has_to_be_there(what, tmp_path):
    with pytest.raises(ValueError, match=rf"no {what} column 'kind'\. Columns: '0'"):
        read_text(tmp_path, "0,1\n1,2\n", **{f"{what}_column": "kind"})
    with pytest.raises(ValueError, match=r"no column 'kind' to ignore\. Columns: '0'"):
        read_text(tmp_path, "0,1\n1,2\n", ignore_columns=["kind"])


def test_ignored_columns_have_no_role_whatever_their_names(tmp_path):
    text = "case,time,x,label,subject\na,0,1,u,p\na,0,2,u,p\nb,0,3,v,q\nb,1,4,v,q\n"
    with pytest.raises(ValueError, match=r"one row for time 0 of case a.*--ignore"):
        read_text(tmp_path, text)
    found = read_text(
        tmp_path, text, ignore_columns=["time", "Label", "subject", "case"]
    )
    assert found.y is found.groups is found.cases is None
    assert found.channel_names is None
    found = read_text(tmp_path, text, ignore_columns=["time", "subject"])
    np.testing.assert_array_equal(found.X, [[[1, 2]], [[3, 4]]])
    assert found.groups is None and found.y.tolist() == ["u", "v"]
    table = pd.DataFrame({"x": [1.0, 2, 3], "X": [4.0, 5, 6], "case": "a"})
    assert read_panel(table, ignore_columns=["X"]).channel_names == ("x",)


ROLES = {
    "case_column": "Take",
    "time_column": "time_s",
    "label_column": "activity",
    "subject_column": "person",
    "ignore_columns": ["battery"],
}


def with_own_names(X, y):
    """Return a long table with column names that are not those of the package."""
    names = {"case": "take", "time": "time_s", "label": "activity", "subject": "person"}
    return long_table(X, y).rename(columns=names).assign(battery="full")


def test_columns_may_have_names_of_ones_own(motions, tmp_path):
    X, y = motions
    table = with_own_names(X, y)
    check(read_panel(table, **ROLES), X, y)
    table.to_csv(tmp_path / "a.csv", index=False)
    found = read_panel(tmp_path / "a.csv", **ROLES)
    check(found, X, y)
    assert found.sampling_rate == 10
    assert found.cases == [f"r{i}" for i in range(len(X))]


def test_a_frame_may_have_its_names_in_the_index(motions):
    X, y = motions
    check(read_panel(long_table(X, y).set_index(["case", "time"])), X, y)


def test_people_and_times_among_channels_are_told(motions):
    table = with_own_names(*motions).drop(columns="battery")
    with pytest.warns(UserWarning) as caught:
        found = read_panel(table, case_column="take", label_column="activity")
    first, second = (str(warning.message) for warning in caught)
    assert "has channels that are constant within each case: 'person'" in first
    assert "has channels that increase in every case: 'time_s'" in second
    assert found.channel_names == ("time_s", "person", *NAMES)


@pytest.mark.parametrize(
    ("name", "step", "rate"),
    [
        ("time_s", 0.02, 50),
        ("Time (sec)", 1 / 30, 30),
        ("time", 0.02, None),  # the unit may be milliseconds or minutes
        ("steps", 0.02, None),
        ("time_s", 0, None),
    ],
)
def test_sampling_rate_comes_from_times_in_seconds(name, step, rate):
    times = np.arange(9) * step if step else np.arange(9) ** 2
    table = pd.DataFrame({"case": 7, name: times, "x": np.arange(9) % 2})
    found = read_panel(table, time_column=name)
    assert found.sampling_rate == rate


@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_sampling_rate_comes_from_dates(unit, tmp_path):
    times = pd.date_range("2024-05-31", periods=5, freq="2s", unit=unit)
    table = pd.DataFrame({"case": 7, "time": times, "x": [1, 2, 0, 1, 2]})
    assert read_panel(table).sampling_rate == 0.5
    table.to_csv(tmp_path / "a.csv", index=False)
    assert read_panel(tmp_path / "a.csv").sampling_rate == 0.5


def read_times(times, tmp_path, **options):
    rows = [f'{case},"{time}",{i}\n' for case in "ab" for i, time in enumerate(times)]
    return read_text(tmp_path, "case,time,x\n" + "".join(rows), **options)


@pytest.mark.parametrize(
    ("times", "rate"),
    [
        (["23:59:58", "23:59:59", "00:00:00", "00:00:01"], 1),
        (["23:59:59,5", "00:00:00,0", "00:00:00,5"], 2),
        (["23:59:59", "00:00:01"], 0.5),
        # Times span three days.
        (["22:00:00", "06:00:00", "14:00:00"] * 3, 3.472e-05),
        (["2024-12-31 23:59:59,500", "2025-01-01 00:00:00,000"], 2),
        (["5ms", "10ms", "15ms"], 200),
    ],
)
def test_times_of_day_may_pass_midnight(times, rate, tmp_path):
    found = read_times(times, tmp_path)
    np.testing.assert_array_equal(found.X, [[range(len(times))]] * 2)
    assert found.sampling_rate == rate


def test_times_of_day_of_a_frame_may_pass_midnight():
    times = pd.to_timedelta(["23:59:59", "00:00:00"])
    for each in (times, [f"{time.components.hours}:59:59" for time in times[::-1]]):
        table = pd.DataFrame({"case": "a", "time": each, "x": [0, 1]})
        np.testing.assert_array_equal(read_panel(table).X, [[[0, 1]]])


@pytest.mark.parametrize(
    "times",
    [
        ["20:00:00", "21:00:00", "15:00:00"],  # the next day or another order
        ["00:00:01", "00:00:00", "23:59:59"],
        ["10:00:00", "10:00:02", "10:00:01"],
    ],
)
def test_times_of_day_whose_day_is_unknown_are_refused(times, tmp_path):
    with pytest.raises(ValueError, match=r"column 'time' that decrease .*, in line \d"):
        read_times(times, tmp_path)
    rows = [f"a,x,{time},1\n" for time in ["23:59:59", "00:00:00"]]
    with pytest.raises(ValueError, match=r"decrease .* line 3"):
        read_text(tmp_path, "case,channel,time,value\n" + "".join(rows))


def test_times_that_go_back_are_told(tmp_path):
    # End of daylight saving time, in times without a time zone.
    times = ["2024-10-27 02:59:59", "2024-10-27 02:00:00.5", "2024-10-27 02:00:01.5"]
    with pytest.warns(UserWarning, match="decrease within a case, first in line 3"):
        read_times(times, tmp_path)
    found = read_times(times, tmp_path, ignore_columns=["time"])
    np.testing.assert_array_equal(found.X, [[[0, 1, 2]]] * 2)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (np.r_[:100, 3600:3700], "median of 1 and a maximum of 3501, before line 102"),
        (np.r_[:50, 51:100], "a maximum of 2, before line 52"),
        (np.arange(30) ** 2, "a maximum of 57"),
        (np.delete(np.arange(90), slice(1, None, 3)), "uneven"),
        (
            [*pd.date_range("2024-01-01", periods=20, freq="s"), "2024-01-01 01:00:00"],
            "median of 1 s and a maximum of 3581 s, before line 22",
        ),
    ],
)
def test_gaps_and_uneven_times_are_reported(times, message, tmp_path):
    with pytest.warns(UserWarning, match=message):
        read_times(times, tmp_path)
    rows = [f"a,{channel},{time},1\n" for channel in "xy" for time in np.r_[:20, 30:50]]
    with pytest.warns(UserWarning, match="a maximum of 11"):
        read_text(tmp_path, "case,channel,time,value\n" + "".join(rows))
    for name in ("", "x_"):
        names = [f"{name}{time}" for time in np.r_[:20, 30:50]]
        with pytest.warns(UserWarning, match="19 is followed by 30"):
            read_panel(pd.DataFrame(np.ones((2, 40)), columns=names))


@pytest.mark.filterwarnings("error")
def test_even_times_raise_no_warning(motions, tmp_path):
    for make in (long_table, wide_table, tidy_table):
        read_panel(make(*motions))
    # Times in rounded milliseconds.
    read_times((np.arange(8) * 1000 / 30).round(), tmp_path)


def test_channels_of_a_tidy_table_share_a_sampling_rate(tmp_path):
    rows = [f"a,{channel},{time / 50},1\n" for channel in "xy" for time in range(9)]
    found = read_text(
        tmp_path,
        "case,channel,time_s,value\n" + "".join(rows),
        time_column="time_s",
    )
    assert found.sampling_rate == 50


@pytest.mark.parametrize(
    "head",
    [
        "sep=;\ncase;x\n",
        '\ufeff"sep=;"\r\ncase;x\r\n',
        "# 50 Hz; wrist; left\n# by me\n\ncase;x\n",
        "# by me\n# case;x\n",
    ],
)
def test_lines_before_the_names_are_skipped(head, tmp_path):
    found = read_text(tmp_path, head + "a;1\na;2\n")
    np.testing.assert_array_equal(found.X, [[[1, 2]]])
    assert found.channel_names == ("x",) and found.cases == ["a"]
    line = head.count("\n") + 2
    with pytest.raises(ValueError, match=f"'oops' in column 'x', line {line}"):
        read_text(tmp_path, head + "a;1\na;oops\n")


def test_a_point_in_a_name_that_may_be_a_decimal_point_is_told(tmp_path):
    with pytest.warns(UserWarning, match=r"'x_0\.0', which is read as timepoint 0 of"):
        read_text(tmp_path, "x_0.0,x_0.1,x_1.0,x_1.1\n1,2,3,4\n")


def test_frames_of_other_libraries_are_converted(motions):
    pa = pytest.importorskip("pyarrow")
    table = pa.Table.from_pandas(long_table(*motions), preserve_index=False)

    class Stream:
        def __arrow_c_stream__(self, requested_schema=None):
            return table.__arrow_c_stream__(requested_schema)

    for each in (table, Stream()):
        check(read_panel(each), *motions)


@pytest.mark.parametrize("source", [np.zeros(3), {"case": [1]}, pd.Series([1, 2]), 7])
def test_other_sources_are_named_by_their_type(source):
    with pytest.raises(
        TypeError, match=rf"or a data frame, got {type(source).__name__}\."
    ):
        read_panel(source)


def test_columns_of_several_levels_are_refused():
    table = pd.DataFrame({"case": [0, 0, 1, 1], "time": [0, 1] * 2, "x": 1.0, "y": 2.0})
    with pytest.raises(ValueError, match="column index with 2 levels"):
        read_panel(table.pivot(index="case", columns="time"))
    with pytest.raises(ValueError, match="complex numbers in column 'x'"):
        read_panel(table.assign(x=1j))


def test_bytes_that_are_no_text_or_no_gzip_are_refused(tmp_path):
    path = tmp_path / "a.csv"
    text = "0,1,label\n1,2,Gehen über\n"
    for content, line in ((text.encode("latin-1"), 2), (text.encode("utf-16"), 1)):
        path.write_bytes(content)
        with pytest.raises(
            ValueError, match=rf"a\.csv has .* not UTF-8.* line {line}.*"
        ):
            read_panel(path)
        (tmp_path / "b.csv.gz").write_bytes(gzip.compress(content))
        with pytest.raises(ValueError, match=rf"not UTF-8.* line {line}\."):
            read_panel(tmp_path / "b.csv.gz")
    packed = gzip.compress(b"0,1\n" + b"1,2\n" * 1000)
    for content in (packed[:-20], b"0,1\n1,2\n"):
        (tmp_path / "a.csv.gz").write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.csv\.gz is damaged"):
            read_panel(tmp_path / "a.csv.gz")


def test_a_damaged_parquet_file_is_refused(tmp_path):
    pytest.importorskip("pyarrow")
    with pytest.raises(ValueError, match=r"a\.parquet is damaged or is not a parquet"):
        read_text(tmp_path, "0,1\n1,2\n", name="a.parquet")


def test_cells_of_parquet_that_are_no_numbers_are_named(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "a.parquet"
    write_table(pd.DataFrame({"0": [1.0, 2.0], "1": ["3", "up"]}), path)
    with pytest.raises(ValueError, match=r"'up' in column '1', row 2, .* not a number"):
        read_panel(path)
    days = pd.to_datetime(["2024-05-31", "2024-06-01"])
    write_table(pd.DataFrame({"0": [1.0, 2.0], "1": days}), path)
    with pytest.raises(ValueError, match=r"2024-05-31.* in column '1', row 1"):
        read_panel(path)


def test_parquet_without_pyarrow_says_what_to_install(monkeypatch, tmp_path):
    def refuse(*args, **kwargs):
        raise ImportError("Unable to find a usable engine")

    monkeypatch.setattr(pd, "read_parquet", refuse)
    monkeypatch.setattr(pd.DataFrame, "to_parquet", refuse)
    with pytest.raises(ImportError, match="pip install pyarrow"):
        read_text(tmp_path, "", name="a.parquet")
    with pytest.raises(ImportError, match="pip install pyarrow"):
        write_table(pd.DataFrame({"x": [1]}), tmp_path / "b.parquet")
    assert os.listdir(tmp_path) == ["a.parquet"]


# Arrays


def test_arrays_are_read_whole(motions, tmp_path):
    X, y = motions
    groups = np.arange(len(X)) // 10
    about = {"channel_names": np.array(NAMES), "y": y}
    for key, rate in (("subject", "sampling_rate_hz"), ("groups", "sampling_rate")):
        np.savez(tmp_path / "a.npz", X=X, **about, **{key: groups, rate: 10})
        # Files without splits have a single part.
        for part in (None, "train", "test"):
            found = read_panel(tmp_path / "a.npz", part=part)
            check(found, X, y)
            assert found.sampling_rate == 10.0


def test_a_part_of_a_data_set_is_chosen(basic_motions, tmp_path):
    path = tmp_path / "a.npz"
    parts = {
        "X_train": basic_motions.X_train,
        "y_train": basic_motions.y_train,
        "subject_train": np.arange(40) // 10,
        "channel_names": np.array(NAMES),
    }
    np.savez(path, **parts)
    check(read_panel(path), parts["X_train"], parts["y_train"])
    with pytest.raises(ValueError, match=r"no array X or X_test. Arrays .*: X_train"):
        read_panel(path, part="test")
    np.savez(path, **parts, X_test=basic_motions.X_test)
    with pytest.raises(ValueError, match="Set part='train' or part='test'"):
        read_panel(path)
    check(read_panel(path, part="train"), parts["X_train"], parts["y_train"])
    found = read_panel(path, part="test")
    np.testing.assert_array_equal(found.X, basic_motions.X_test)
    assert found.y is None and found.groups is None
    with pytest.raises(ValueError, match="part must be 'train', 'test' or None"):
        read_panel(path, part="valid")


def test_an_array_alone_stays_on_disk(motions, tmp_path):
    np.save(tmp_path / "a.npy", motions[0])
    found = read_panel(tmp_path / "a.npy")
    assert isinstance(found.X, np.memmap)
    np.testing.assert_array_equal(found.X, motions[0])


def test_arrays_of_two_axes_have_one_channel(tmp_path):
    X = np.arange(6.0).reshape(2, 3)
    np.save(tmp_path / "a.npy", X)
    np.savez(tmp_path / "a.npz", X=X, y=[b"up", b"down"])
    for name in ("a.npy", "a.npz"):
        np.testing.assert_array_equal(read_panel(tmp_path / name).X, X[:, None])
    assert read_panel(tmp_path / "a.npz").y.tolist() == ["up", "down"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"Z": np.zeros(3)}, "no array X, X_train or X_test. Arrays .*: Z"),
        ({"X": np.zeros(3)}, r"got float64 with shape \(3,\)"),
        ({"X": np.array([["a"]])}, "must be numeric .* got <U1"),
        ({"X": np.array([{}])}, "without pickled objects"),
        ({"y": np.zeros(2)}, r"3 cases, but y has shape \(2,\)"),
        ({"groups": np.zeros((3, 1))}, r"subject or groups has shape \(3, 1\)"),
        ({"y": np.array(["a", "", ""])}, r"no y for case 1 \(counted from 0\)"),
        ({"y": np.array([1, 2, np.nan])}, r"no y for case 2"),
        ({"y": np.array([b"a", b"b", b"\xe4"])}, "invalid UTF-8 in y"),
        ({"channel_names": np.array(["x"])}, "has 2 channels, but channel_names"),
        ({"sampling_rate": np.array([1, 2])}, "sampling rate in .* must be a number"),
    ],
)
def test_errors_about_arrays_say_what_is_wrong(arrays, message, tmp_path):
    if not arrays.keys() & {"X", "Z"}:
        arrays = {"X": np.zeros((3, 2, 9)), **arrays}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=message) as error:
        read_panel(tmp_path / "a.npz")
    assert "a.npz" in str(error.value)


def test_damaged_arrays_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, X=np.random.default_rng(0).normal(size=(9, 1, 99)))
    whole = path.read_bytes()
    middle = len(whole) // 2
    turned = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
    for content in (b"", b"no zip", whole[:-50], turned):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.npz is damaged"):
            read_panel(path)
    np.save(tmp_path / "b.npy", np.zeros((9, 99)))
    for content in (b"", b"no array", (tmp_path / "b.npy").read_bytes()[:-9]):
        (tmp_path / "a.npy").write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.npy is damaged"):
            read_panel(tmp_path / "a.npy")


def test_arrays_under_the_wrong_ending_are_told_apart(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((9, 99)))
    os.replace(tmp_path / "a.npy", tmp_path / "b.npz")
    with pytest.raises(ValueError, match=r"Change the file extension to \.npy"):
        read_panel(tmp_path / "b.npz")
    np.savez(tmp_path / "a.npz", X=np.zeros((9, 99)))
    os.replace(tmp_path / "a.npz", tmp_path / "b.npy")
    with pytest.raises(ValueError, match=r"Change the file extension to \.npz"):
        read_panel(tmp_path / "b.npy")


# Files


def test_ts_files_are_read(tmp_path):
    text = "@classLabel true 1 2\n@data\n1,2,3:4,?,6:1\n7,8:9,1:2\n"
    found = read_text(tmp_path, text, name="a.ts")
    np.testing.assert_array_equal(found.X[0], [[1, 2, 3], [4, np.nan, 6]])
    assert found.X[1].shape == (2, 2)
    assert found.y.tolist() == ["1", "2"]


@pytest.mark.parametrize("name", ["a.xlsx", "a", "a.gz", "a.npz.gz"])
def test_other_endings_are_refused(name, tmp_path):
    with pytest.raises(ValueError, match=r"unsupported file extension .*\.npz.*\.csv"):
        read_text(tmp_path, "0,1\n1,2\n", name=name)


def test_a_file_has_to_be_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.csv does not exist"):
        read_panel(tmp_path / "missing.csv")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        read_panel(str(tmp_path))


# Writing


def test_a_written_table_is_read_back(motions, tmp_path):
    X, y = motions
    X = np.random.default_rng(0).normal(size=X.shape)
    path = write_table(long_table(X, y), tmp_path / "a.csv")
    check(read_panel(path), X, y)


def test_a_table_replaces_an_old_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a.CSV"
    path.write_text("old")
    table = pd.DataFrame({"label": ["up, or so", "Gehen über"], "p": [0.1, 1.0]})
    assert write_table(table, str(path)) == path
    assert path.read_text(encoding="utf-8") == (
        'label,p\n"up, or so",0.1\nGehen über,1.0\n'
    )
    assert os.listdir(tmp_path) == ["a.CSV"]


def test_an_old_file_stays_where_a_table_cannot_be_written(monkeypatch, tmp_path):
    def refuse(*args):
        raise OSError(28, "No space left on device")

    path = tmp_path / "a.csv"
    path.write_text("old")
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match=r"No space left on device: .*a\.csv'"):
        write_table(pd.DataFrame({"x": [1]}), path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_tables_go_to_places_and_endings_that_there_are(tmp_path):
    table = pd.DataFrame({"x": [1]})
    with pytest.raises(
        ValueError, match=r"a\.xlsx must have the extension \.csv or \.parquet"
    ):
        write_table(table, tmp_path / "a.xlsx")
    with pytest.raises(FileNotFoundError, match="in a folder that does not exist"):
        write_table(table, tmp_path / "no" / "a.csv")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        write_table(table, tmp_path)
