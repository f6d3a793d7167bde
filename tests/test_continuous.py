"""Continuous recordings and their windows."""

import gzip
import re
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.signal import resample_poly

from sktext_vq.recordings import read_panel, read_recordings


def signal(times, frequency=1.0):
    return np.sin(2 * np.pi * frequency * np.asarray(times))


def table(n_rows=500, rate=50, start=0.0, **columns):
    """Return rows at regular times, with the row number as channel x."""
    times = start + np.arange(n_rows) / rate
    return pd.DataFrame({"time_s": times, "x": np.arange(n_rows) * 1.0, **columns})


def read(source, **options):
    """Read recordings, with warnings as errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*channels that increase in every case")
        return read_recordings(source, **options)


def rows_of(windows):
    """Return the row numbers of the timepoints of each window."""
    return windows.X[:, 0]


# Times


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("time_s", 1),
        ("Time (ms)", 1e-3),
        ("timestamp_us", 1e-6),
        ("elapsed [ns]", 1e-9),
    ],
)
def test_columns_of_times_are_known_by_their_unit(name, unit):
    frame = table().rename(columns={"time_s": name})
    frame[name] /= unit
    recordings = read(frame)
    assert recordings.channel_names == ("x",)
    assert recordings.sampling_rate == 50.0
    assert recordings.windows(2, 2).X.shape == (5, 1, 100)


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 1e3), ("us", 1e6)])
def test_times_since_1970_have_a_unit(unit, factor):
    frame = table().rename(columns={"time_s": "timestamp"})
    frame["timestamp"] = ((1_700_000_000 + frame["timestamp"]) * factor).round(2)
    recordings = read(frame)
    assert recordings.sampling_rate == 50.0
    end = recordings.windows(2, 2).table["end"].iloc[0]
    assert end == pytest.approx((1_700_000_002) * factor)


def test_a_unit_may_be_given():
    frame = table().rename(columns={"time_s": "time"})
    recordings = read(frame)
    assert recordings.sampling_rate is None
    assert repr(recordings) == "Recordings(1 recording, 500 timepoints, 1 channel: x)"
    with pytest.raises(ValueError, match="Set time_unit or sampling_rate"):
        recordings.windows(2)
    with pytest.raises(ValueError, match="requires times in a known unit"):
        recordings.windows(100, seconds=False, sampling_rate=20)
    assert recordings.windows(100, seconds=False).X.shape == (9, 1, 100)
    assert read(frame, time_unit="s").sampling_rate == 50.0
    assert read(frame, sampling_rate=20).sampling_rate == 20.0
    with pytest.raises(ValueError, match="time_unit must be one of s, ms, us, ns"):
        read(frame, time_unit="min")


def test_rows_without_times_are_at_the_sampling_rate():
    frame = table().drop(columns="time_s")
    assert read(frame).sampling_rate is None
    recordings = read(frame, sampling_rate=25)
    assert recordings.times[0][-1] == 499 / 25
    assert recordings.windows(2, 2).X.shape == (10, 1, 50)


@pytest.mark.parametrize("name", [None, "time"])
def test_times_may_be_the_index(name):
    index = pd.date_range("2025-01-01", periods=500, freq="20ms", name=name)
    recordings = read(table().drop(columns="time_s").set_index(index))
    assert recordings.sampling_rate == 50.0
    windows = recordings.windows(2, 2)
    assert windows.table["end"].iloc[-1] == pd.Timestamp("2025-01-01 00:00:10")


@pytest.mark.parametrize("kind", ["csv", "frame"])
def test_times_of_day_pass_midnight(kind, tmp_path):
    times = pd.date_range("2025-01-01 23:59:55", periods=500, freq="20ms")
    frame = pd.DataFrame({"time": times.strftime("%H:%M:%S.%f"), "x": np.arange(500)})
    if kind == "csv":
        frame.to_csv(tmp_path / "night.csv", index=False)
    recordings = read(frame if kind == "frame" else tmp_path / "night.csv")
    np.testing.assert_array_equal(recordings.values[0][0], np.arange(500))
    windows = recordings.windows(2, 2)
    assert windows.X.shape == (5, 1, 100)
    assert windows.table["end"].iloc[-1] == pd.Timedelta("1 days 00:00:05")


def test_times_with_a_zone_are_utc():
    index = pd.date_range("2025-03-30 01:59:55", periods=500, freq="20ms", tz="+01:00")
    frame = table().assign(time=index).drop(columns="time_s")
    windows = read(frame).windows(2, 2)
    assert windows.table["start"].iloc[0] == pd.Timestamp("2025-03-30 00:59:55")


def test_slow_recordings_have_exact_times():
    frame = table(n_rows=5000, rate=1 / 60)
    recordings = read(frame)
    assert recordings.sampling_rate == pytest.approx(1 / 60, abs=0)
    assert "83.3 h, one timepoint per 60 s" in repr(recordings)
    windows = recordings.windows(3600)
    assert windows.X.shape[2] == 60
    starts = windows.table["start"].to_numpy()
    np.testing.assert_array_equal(starts, rows_of(windows)[:, 0] * 60)


# Gaps


def test_no_window_spans_a_gap():
    frame = table()
    frame.loc[330:, "time_s"] += 0.5
    windows = read(frame).windows(2, 0.1)
    rows = rows_of(windows)
    assert (np.diff(rows, axis=1) == 1).all()
    assert not ((rows[:, 0] < 330) & (rows[:, -1] >= 330)).any()
    starts = windows.table["start"].to_numpy()
    expected = rows[:, 0] / 50 + 0.5 * (rows[:, 0] >= 330)
    np.testing.assert_allclose(starts, expected, atol=1e-9)
    # Irregular short steps are interpolated.
    frame = table()
    frame.loc[330:, "time_s"] += 0.06
    windows = read(frame).windows(2, 0.1)
    assert windows.resampling == (
        "1 of 1 recordings were interpolated from irregular times to 50 Hz"
    )
    assert ((rows_of(windows)[:, 0] < 329) & (rows_of(windows)[:, -1] >= 331)).any()
    assert len(read(frame).windows(2, 0.1, max_gap=0.05).X) < len(windows.X)


@pytest.mark.parametrize("columns", [{"device": "a"}, {"subject": 1}, {"session": 1}])
def test_rows_of_two_devices_are_two_recordings(columns):
    (name, one), *_ = columns.items()
    frames = [table(**columns), table(**{name: "b" if one == "a" else 2})]
    frames[1]["x"] += 1000
    mixed = pd.concat(frames).sort_values("time_s", kind="stable", ignore_index=True)
    for source in (pd.concat(frames, ignore_index=True), mixed, frames):
        recordings = read(source)
        assert len(recordings) == 2
        for i, frame in enumerate(frames):
            np.testing.assert_array_equal(recordings.values[i][0], frame["x"])
        rows = rows_of(recordings.windows(2, 0.1))
        assert (np.diff(rows, axis=1) == 1).all()
    if name == "subject":
        groups = recordings.windows(2, 2).groups
        assert groups.tolist() == [1] * 5 + [2] * 5


def test_two_devices_without_a_column_raise_an_error():
    mixed = pd.concat([table(), table()]).sort_values("time_s", ignore_index=True)
    mixed["x"] = np.arange(1000)
    with pytest.raises(ValueError, match=r"500 rows whose time .*recording_"):
        read(mixed)
    mixed["sensor"] = np.arange(1000) % 2
    assert len(read(mixed, recording_column="sensor")) == 2
    with pytest.raises(ValueError, match="no recording column 'watch'"):
        read(mixed, recording_column="watch")


@pytest.mark.parametrize(("n_rows", "start", "shift"), [(300, 1.0, 0), (12, 0.1, 0.01)])
def test_times_that_go_back_are_separate_recordings(n_rows, start, shift):
    parts = [table(n_rows), table(n_rows, start=start + shift)]
    frame = pd.concat(parts, ignore_index=True)
    frame["x"] = np.arange(2 * n_rows)
    place = f"with earlier times, first in row {n_rows + 1}"
    with pytest.warns(UserWarning, match=place):
        recordings = read_recordings(frame)
    assert recordings.names == ["recording, part 1", "recording, part 2"]
    assert [len(times) for times in recordings.times] == [n_rows] * 2
    assert (np.diff(rows_of(recordings.windows(0.2, 0.1)), axis=1) == 1).all()


@pytest.mark.parametrize("order", ["random", "descending", "single rows"])
def test_rows_in_another_order_are_sorted(order):
    frame = table().sample(frac=1, random_state=0)
    if order == "descending":
        frame = table()[::-1]
    elif order == "single rows":
        frame = table().iloc[np.r_[:50, 51, 50, 52:499, 499]]
    with pytest.warns(UserWarning, match="rows are therefore sorted by time") as found:
        recordings = read_recordings(frame.reset_index(drop=True))
    assert len([each for each in found if "sorted" in str(each.message)]) == 1
    np.testing.assert_array_equal(recordings.values[0][0], np.arange(500))


def test_repeated_rows_are_dropped():
    frame = pd.concat([table(), table()]).sort_values("time_s", ignore_index=True)
    with pytest.warns(UserWarning, match="500 rows whose time"):
        recordings = read_recordings(frame)
    np.testing.assert_array_equal(recordings.values[0][0], np.arange(500))
    frame = table()
    frame.loc[100, "time_s"] = frame.loc[99, "time_s"]
    with pytest.warns(UserWarning, match="1 rows .* first in row 101"):
        recordings = read_recordings(frame)
    np.testing.assert_array_equal(
        recordings.values[0][0], np.delete(np.arange(500), 100)
    )


def test_times_of_low_resolution_raise_an_error():
    frame = table()
    frame["time_s"] = np.floor(frame["time_s"])
    with pytest.raises(ValueError, match=r"490 rows whose time.*resolution"):
        read(frame)
    recordings = read(frame, ignore_columns=["time_s"], sampling_rate=50)
    assert recordings.windows(2, 2).X.shape == (5, 1, 100)


# Labels and subjects


@pytest.fixture
def labelled():
    """Return recordings with labels of 200, 150 and 150 rows, the last unlabelled."""
    labels = ["walk"] * 200 + ["sit"] * 150 + [None] * 150
    return read(table(label=labels, subject="p1"))


def test_no_window_spans_two_labels(labelled):
    windows = labelled.windows(1, 0.1)
    firsts, lasts = rows_of(windows)[:, 0], rows_of(windows)[:, -1]
    is_walk = windows.y == "walk"
    assert (lasts[is_walk] < 200).all()
    assert (firsts[~is_walk] >= 200).all() and (lasts[~is_walk] < 350).all()
    assert firsts[~is_walk][0] == 200  # windows start where a label starts
    assert set(windows.y) == {"walk", "sit"}
    assert set(windows.groups) == {"p1"}


def test_purity(labelled):
    windows = labelled.windows(1, 0.2, purity=0.8)
    codes = np.repeat([0, 1, 2], [200, 150, 150])
    names = np.array(["walk", "sit", "none"])
    found = {}
    for first in range(0, 451, 10):
        counts = np.bincount(codes[first : first + 50], minlength=3)
        if counts.max() >= 40 and counts.argmax() < 2:
            found[first] = names[counts.argmax()]
    assert rows_of(windows)[:, 0].tolist() == list(found)
    assert windows.y.tolist() == list(found.values())
    with pytest.raises(ValueError, match="purity must be above 0"):
        labelled.windows(1, purity=0)


def test_labels_may_be_ignored(labelled):
    assert set(labelled.windows(1, ignore_labels=["walk"]).y) == {"sit"}
    with pytest.raises(ValueError, match=r"ignore_labels: 'run'\. .*: 'sit', 'walk'"):
        labelled.windows(1, ignore_labels=["run"])


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([1.0, np.nan], [1]),
        ([0, 3], [0, 3]),
        (["b", ""], ["", "b"]),
        (pd.Categorical(["b", "a"]), ["a", "b"]),
        ([None, None], []),
    ],
)
def test_labels_are_integers_or_text(labels, expected):
    column = np.repeat(np.asarray(labels, dtype=object), 250)
    if isinstance(labels, pd.Categorical):
        column = pd.Categorical(column)
    elif isinstance(labels[0], float | int):
        column = np.repeat(labels, 250)
    assert read(table(label=column)).classes == expected


# Resampling


def test_lower_rates_are_filtered():
    times = np.arange(3000) / 100
    frame = pd.DataFrame(
        {"time_s": times, "slow": signal(times), "fast": signal(times, 40)}
    )
    recordings = read(frame)
    windows = recordings.windows(2, 2, sampling_rate=25)
    assert windows.sampling_rate == 25.0
    assert windows.resampling == (
        "1 of 1 recordings were filtered and resampled from 100 Hz to 25 Hz"
    )
    expected = resample_poly(
        frame[["slow", "fast"]].to_numpy().T, 1, 4, axis=1, padtype="line"
    )
    found = windows.X.transpose(1, 0, 2).reshape(2, -1)
    np.testing.assert_allclose(found, expected[:, : found.shape[1]], atol=1e-12)
    inner = slice(50, -50)
    sine = signal(np.arange(found.shape[1]) / 25)
    np.testing.assert_allclose(found[0, inner], sine[inner], atol=0.01)
    assert np.abs(found[1, inner]).max() < 0.01  # without aliasing


def test_irregular_times_are_interpolated():
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.012, 0.028, 2000))
    frame = pd.DataFrame({"time_s": times, "x": signal(times, 0.5)})
    frame.loc[700:720, "x"] = np.nan
    recordings = read(frame)
    assert recordings.sampling_rate == pytest.approx(50, rel=0.1)
    windows = recordings.windows(1, 1, sampling_rate=50)
    starts = windows.table["start"].to_numpy()
    places = starts[:, None] + np.arange(50) / 50
    gap = (places > times[699]) & (places < times[721])
    assert np.isnan(windows.X[:, 0][gap]).all()
    np.testing.assert_allclose(
        windows.X[:, 0][~gap], signal(places[~gap], 0.5), atol=0.005
    )


def test_recordings_of_different_rates_are_resampled_to_the_lowest():
    frames = [table(1000, rate=rate, subject=rate) for rate in (50, 100)]
    for frame in frames:
        frame["x"] = signal(frame["time_s"])
    recordings = read(pd.concat(frames, ignore_index=True))
    assert recordings.rates == [50.0, 100.0]
    with pytest.warns(UserWarning, match="rates from 50 to 100 Hz .* to 50 Hz"):
        windows = recordings.windows(2, 2)
    assert windows.X.shape == (15, 1, 100)
    assert windows.resampling.startswith("1 of 2 recordings were filtered")
    places = windows.table["start"].to_numpy()[:, None] + np.arange(100) / 50
    np.testing.assert_allclose(windows.X[3:8, 0], signal(places[3:8]), atol=0.02)
    np.testing.assert_allclose(windows.X[11:14, 0], signal(places[11:14]), atol=0.02)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert recordings.windows(2, 2, sampling_rate=100).sampling_rate == 100.0


# Windows


def test_origins_are_in_the_time_of_the_recording():
    start = pd.Timestamp("2025-05-05 07:00:00")
    frames = [table(200, subject=1), table(300, subject=2)]
    for i, frame in enumerate(frames):
        times = (
            start
            + pd.Timedelta(i, unit="h")
            + pd.to_timedelta(frame.pop("time_s"), "s")
        )
        frame.insert(0, "time", times)
    windows = read(pd.concat(frames, ignore_index=True)).windows(2, 1)
    origins = windows.table
    assert list(origins) == ["recording", "subject", "start", "end"]
    assert origins["recording"].tolist() == ["1"] * 3 + ["2"] * 5
    assert origins["subject"].tolist() == windows.groups.tolist()
    assert origins["start"].iloc[3] == start + pd.Timedelta(1, unit="h")
    assert (origins["end"] - origins["start"] == pd.Timedelta(2, unit="s")).all()


def test_windows_that_do_not_exist_are_explained(labelled):
    with pytest.raises(ValueError, match=r"no windows of 250 .* same label, are shor"):
        labelled.windows(5)
    with pytest.raises(ValueError, match=r"no windows of 1000 .* has 500 timepoints\."):
        labelled.windows(20)
    for options in ({"length": 0}, {"length": 1, "step": -1}, {"length": "2"}):
        with pytest.raises(ValueError, match="must be a positive number"):
            labelled.windows(**options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="no windows"):
            labelled.windows(1, max_gap=0.01)


def test_recordings_can_be_chosen():
    recordings = read([table(subject=k, label="a" if k else "b") for k in range(4)])
    assert len(recordings) == 4
    for chosen, expected in (
        (1, [1]),
        (slice(2), [0, 1]),
        ([3, 0], [3, 0]),
        (recordings.subjects > 1, [2, 3]),
    ):
        assert recordings[chosen].subjects.tolist() == expected
    assert recordings[0].classes == ["b"]
    assert [len(each) for each in recordings] == [1] * 4  # iterates by index
    assert repr(recordings) == (
        "Recordings(4 recordings of 4 subjects, 40 s at 50 Hz, 1 channel: x, 2 labels)"
    )


# Files and other inputs


def test_folders_are_read_with_a_pattern(tmp_path):
    for label in ("walk", "sit"):
        for subject in (1, 2, 10):
            path = tmp_path / label / f"p{subject}_t1.csv"
            path.parent.mkdir(exist_ok=True)
            table().to_csv(path, index=False)
    (tmp_path / "notes.md").write_text("not a table")
    recordings = read(tmp_path)
    assert recordings.names[:3] == ["sit/p1_t1", "sit/p2_t1", "sit/p10_t1"]
    assert recordings.labels is None
    recordings = read(tmp_path, pattern="{label}/p{subject}_t{trial}.csv")
    assert recordings.subjects.tolist() == [1, 2, 10] * 2
    assert recordings.windows(5, 5).y.tolist() == ["sit"] * 6 + ["walk"] * 6
    with pytest.raises(
        ValueError, match=r"No file in .* matches '\{label\}\.csv'. Paths: "
    ):
        read(tmp_path, pattern="{label}.csv")
    with pytest.raises(ValueError, match="pattern must be a path with fields"):
        read(tmp_path, pattern="{label/x.csv")
    with pytest.raises(ValueError, match="only if source is a folder"):
        read(table(), pattern="{label}.csv")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: text.replace(",", ";"),
        lambda text: "sep=;\n" + text.replace(",", ";"),
        lambda text: text.replace(",", "\t"),
        lambda text: "# Device: watch\n# Rate: 50\n" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_text_files(tmp_path, change, name):
    text = change(table(subject=3, label="up").to_csv(index=False))
    content = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if "gz" in name else content)
    recordings = read(tmp_path / name)
    assert recordings.names == ["a"]
    np.testing.assert_array_equal(recordings.values[0][0], np.arange(500))
    assert recordings.subjects.tolist() == [3]
    assert recordings.classes == ["up"]


@pytest.mark.parametrize(
    "name", ["PAMAP2/Protocol/subject101.dat", "mHealth_subject1.log"]
)
def test_files_of_public_sets_name_their_loader(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("1 2 3\n")
    for source in (path, tmp_path):
        with pytest.raises(ValueError, match=r"datasets.load\('(PAMAP2|MHEALTH)'"):
            read_recordings(source)


def test_cells_separated_by_spaces(tmp_path):
    (tmp_path / "a.txt").write_text("time_s  acc_x acc_y\n0.0 1.5  2\n0.1  1.6 3\n")
    found = read(tmp_path / "a.txt")
    assert found.channel_names == ("acc_x", "acc_y")
    np.testing.assert_array_equal(found.values[0], [[1.5, 1.6], [2, 3]])


@pytest.mark.parametrize("kind", ["DataFrame", "LazyFrame", "Categorical", "time"])
def test_tables_of_polars(kind):
    pl = pytest.importorskip("polars")
    frame = table(label=["up"] * 250 + ["down"] * 250, subject=3)
    seconds = pd.to_timedelta(frame.pop("time_s"), "s")
    frame["time"] = pd.Timestamp("2025-05-05") + seconds
    frame.loc[7, "x"] = np.nan
    source = pl.DataFrame(frame.to_dict("list"), strict=False)
    if kind == "LazyFrame":
        source = source.lazy()
    elif kind == "Categorical":
        source = source.with_columns(pl.col("label").cast(pl.Categorical))
    elif kind == "time":
        source = source.with_columns(pl.col("time").dt.time())
    found, same = read(source), read(frame)
    np.testing.assert_array_equal(found.values[0], same.values[0])
    np.testing.assert_allclose(found.offsets[0], same.offsets[0], rtol=1e-12)
    assert found.labels[0].tolist() == same.labels[0].tolist()
    assert found.subjects.tolist() == [3]


def test_tables_without_pyarrow_name_it(monkeypatch):
    class Stream:
        def __arrow_c_stream__(self, requested_schema=None):
            raise AssertionError

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match="Stream requires pyarrow"):
        read_recordings(Stream())


def test_other_tables(tmp_path):
    pa = pytest.importorskip("pyarrow")
    frame = table()
    frame.to_csv(tmp_path / "day.csv.gz", index=False)
    frame.to_parquet(tmp_path / "day.parquet")
    for source in (tmp_path / "day.csv.gz", str(tmp_path / "day.parquet")):
        assert read(source).names == ["day"]
    arrow = pa.table(frame)
    for source in (arrow, arrow.to_reader(), arrow.to_batches()[0], [frame], [arrow]):
        np.testing.assert_array_equal(read(source).values[0][0], np.arange(500))
    assert read([frame, tmp_path / "day.parquet"]).names == ["table 0", "day"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("time,größe\n1,2\n".encode("latin-1"), "a.csv has a byte that is not UTF-8"),
        (b"time,x\n1,2\n2,three\n", "a.csv has 'three' in column 'x', line 3"),
        (b"time;x\n0.5;1,5\n", "a.csv has '1,5' in column 'x', line 2, which"),
        (b"time,x\n1,2\n,3\n", "column 'time', line 3"),
        (b"time,x\nnoon,2\n", "a.csv has 'noon' in column 'time', line 2"),
        (b"time,x\n", "a.csv has no rows"),
        (b"time_s\n1\n2\n", "a.csv has no channels"),
        (b"", "a.csv is empty"),
        (b"1546344000.0\n4.0\n0.12\n0.13\n", "has values as column names"),
        (b"0.5 -0.2 1.3\n0.6 -0.1 1.2\n", "has values as column names"),
        (
            b"2025-05-05 07:00:00,0.1,0.2\n2025-05-05 07:00:01,0.1,0.2\n",
            "as column names",
        ),
        (b"time,x\nms,g\n0,1\n20,2\n", "line 2, which seems to be a line of units"),
        (
            b"Serial Number: 3\nStart 09:00\nx,y\n1,2\n",
            "skiprows=...)",
        ),
        (
            b"time_s,x\n0,9007199254740993\n",
            "set time_column if the column contains times",
        ),
    ],
)
def test_faults_of_files_are_named(tmp_path, content, message):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(message)):
        read(path)


def test_tables_of_windows_are_read_by_another_function(tmp_path):
    values = np.random.default_rng(0).normal(size=(4, 20))
    wide = pd.DataFrame(values, columns=[f"{c}_{k}" for c in "xy" for k in range(10)])
    wide.insert(0, "window_id", np.arange(4) + 1000)
    wide["activity"] = list("abab")
    path = tmp_path / "wide.csv"
    wide.to_csv(path, index=False)
    with pytest.raises(ValueError, match="one row per window, use read_panel"):
        read(path, label_column="activity")
    panel = read_panel(path, case_column="window_id", label_column="activity")
    np.testing.assert_array_equal(panel.X, values.reshape(4, 2, 10))
    assert panel.cases == ["1000", "1001", "1002", "1003"]
    np.savez(tmp_path / "a.npz", X=values)
    with pytest.raises(ValueError, match="Use read_panel"):
        read(tmp_path / "a.npz")


def test_recordings_of_several_tables_have_the_same_channels():
    other = table().rename(columns={"x": "y"})
    with pytest.raises(ValueError, match="has channels 'y', but 'table 0' has 'x'"):
        read([table(), other])
    with pytest.raises(
        ValueError, match="'table 1' has labels, but 'table 0' does not"
    ):
        read([table(), table(label="a")])
    swapped = [table(y=1.0), table(y=1.0)[["y", "x", "time_s"]]]
    recordings = read(swapped)
    np.testing.assert_array_equal(recordings.values[0], recordings.values[1])


def test_windows_without_a_channel_are_left_out():
    table = pd.DataFrame(
        {
            "time_s": np.tile(np.arange(100) / 10, 2),
            "device": np.repeat(["watch", "phone"], 100),
            "acc_x": np.arange(200.0) % 7,
            "gyro_x": np.r_[np.arange(100.0) % 5, np.full(100, np.nan)],
        }
    )
    recordings = read_recordings(table)
    with pytest.warns(UserWarning, match=r"9 of 18 windows.*Channels: 'gyro_x'"):
        windows = recordings.windows(2, 1)
    assert set(windows.table["recording"]) == {"watch"} and len(windows.X) == 9
    with pytest.raises(ValueError, match="Ignore these channels"):
        recordings[1:].windows(2, 1)


@pytest.mark.parametrize("jitter", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("rate", [20, 50])
def test_sampling_rate_of_jittered_times(rate, jitter):
    rng = np.random.default_rng(0)
    times = np.sort(np.arange(3000) + rng.uniform(-jitter, jitter, 3000)) / rate
    times += np.where(np.arange(3000) < 1000, 0, 60)  # a gap
    kept = rng.random(3000) > 0.02  # missing rows
    table = pd.DataFrame({"time_s": times[kept], "acc": rng.normal(size=kept.sum())})
    assert read_recordings(table).sampling_rate == pytest.approx(rate, rel=0.03)


@pytest.mark.parametrize(("rate", "decimals"), [(60, 2), (30, 2), (64, 3), (50, 3)])
def test_sampling_rate_of_rounded_times(rate, decimals):
    kept = np.random.default_rng(0).random(3000) > 0.03
    times = (np.arange(3000) / rate).round(decimals)[kept]
    table = pd.DataFrame({"time_s": times, "acc": np.sin(times)})
    recordings = read_recordings(table)
    assert recordings.sampling_rate == pytest.approx(rate, rel=1e-2)


# Joined recordings


@pytest.mark.parametrize("units", [("us", "ns"), ("ns", "us"), ("s", "ms")])
def test_dates_in_different_units_are_joined(units):
    frames = []
    for unit in units:
        frame = table(100, rate=1 if "s" in units else 50)
        dates = pd.Timestamp("2026-01-01") + pd.to_timedelta(frame["time_s"], unit="s")
        frames.append(frame.assign(time=dates.dt.as_unit(unit)).drop(columns="time_s"))
    recordings = read(frames)
    assert recordings.rates == pytest.approx([read(frames[0]).sampling_rate] * 2)
    for times, frame in zip(recordings.times, frames, strict=True):
        assert (times == frame["time"].to_numpy()).all()


def test_dates_and_numbers_are_not_joined():
    other = table().rename(columns={"time_s": "time"})
    other["time"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(other["time"], "s")
    with pytest.raises(ValueError, match=r"'table 1' are dates.*'table 0' are numbers"):
        read([table(), other])


def test_names_of_files_may_contain_dots(tmp_path):
    folder = tmp_path / "v1.2"
    folder.mkdir()
    for day in (1, 2):
        table().to_csv(folder / f"2024.05.0{day}.csv", index=False)
    table().to_csv(folder / "2024.05.03.csv.gz", index=False)
    names = read(tmp_path).names
    assert names == [f"v1.2/2024.05.0{day}" for day in (1, 2, 3)]


@pytest.mark.parametrize("dtype", ["uint64", "uint32", "int16"])
def test_clocks_with_small_or_unsigned_integers_may_restart(dtype):
    times = np.r_[np.arange(100), np.arange(100)] * 20
    frame = pd.DataFrame({"time_ms": times.astype(dtype), "x": np.arange(200) % 7})
    with pytest.warns(UserWarning, match="time_ms"):
        recordings = read_recordings(frame)
    assert [len(each) for each in recordings.times] == [100, 100]
    assert recordings.sampling_rate == 50


def test_a_single_row_has_no_effect_on_the_unit_of_time():
    times = np.r_[0, np.arange(100) * 20]
    frame = pd.DataFrame({"recording": np.r_[0, np.ones(100)], "time": times, "x": 0.5})
    assert read_recordings(frame, sampling_rate=50).rates[1] == pytest.approx(50)


def test_recordings_of_several_files_have_different_names(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        table(session=1).to_csv(tmp_path / folder / "log.csv", index=False)
    recordings = read(tmp_path, recording_column="session")
    assert recordings.names == ["a/log/1", "b/log/1"]
    assert len(np.unique(recordings.windows(2).groups)) == 2
    names = read([table(session=1)] * 2, recording_column="session").names
    assert names == ["table 0/1", "table 1/1"]
    files = read(
        tmp_path, pattern="{subject}/{recording}.csv", ignore_columns=["session"]
    )
    assert files.names == ["log", "log"]


def test_a_table_with_a_row_per_value_raises_an_error():
    rows = {"time": np.repeat(np.arange(50), 2), "channel": np.tile([0, 1], 50)}
    frame = pd.DataFrame({**rows, "value": np.arange(100.0)})
    for each in (frame, frame.sort_values("channel", kind="stable")):
        with pytest.raises(ValueError, match=r"one row per value.*pivot"):
            read_recordings(each)


@pytest.mark.parametrize("n_rows", [1999, 2000])
def test_the_rate_of_joined_clocks_is_that_of_all_rows(n_rows):
    times = np.sort(np.r_[np.arange(1000) * 0.02, np.arange(1000) * 0.02 + 0.007])
    frame = pd.DataFrame({"time_s": times, "x": np.arange(2000) % 7})[:n_rows]
    assert read_recordings(frame).sampling_rate == pytest.approx(100, rel=0.05)


@pytest.mark.parametrize(("rate", "tick"), [(50, None), (120, 1), (150, 1), (30, 10)])
def test_missing_rows_have_no_effect_on_the_rate(rate, tick):
    kept = np.random.default_rng(0).random(3000) < 0.7
    frame = table(3000, rate)[kept]
    if tick is not None:  # times are rounded to multiples of milliseconds
        frame["time_s"] = (frame["time_s"] * 1000 / tick).round() * tick / 1000
    assert read(frame).sampling_rate == pytest.approx(rate, rel=0.02)


def test_times_since_the_start_of_a_device_give_a_warning():
    nanoseconds = 1_200_000_000_000 + np.arange(500) * 20_000_000
    frame = pd.DataFrame({"timestamp": nanoseconds, "x": np.arange(500) % 7})
    with pytest.warns(UserWarning, match="are read as dates.*20000 s.*--time-unit ns"):
        read_recordings(frame)
    assert read(frame, time_unit="ns").sampling_rate == 50
    long = frame.assign(timestamp=1_700_000_000_000_000 + np.arange(500) * 30_000_000)
    read(long)  # 30 s in microseconds
    for minutes in (1, 30, 60):
        step = 60_000 * minutes
        read(frame.assign(timestamp=1_700_000_000_000 + np.arange(500) * step))


def test_a_channel_may_be_named_value():
    assert read(table().rename(columns={"x": "value"})).channel_names == ("value",)


def test_files_with_the_same_stem_have_different_names(tmp_path):
    table().to_csv(tmp_path / "s1.csv", index=False)
    table().to_csv(tmp_path / "s1.tsv", index=False, sep="\t")
    assert read(tmp_path).names == ["s1.csv", "s1.tsv"]
