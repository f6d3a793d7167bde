"""Public data sets in the formats of their authors, written by the tests."""

import io
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.io import arff

from sktext_vq.datasets import available, load
from sktext_vq.recordings import Recordings


@pytest.fixture(autouse=True)
def no_other_folder(monkeypatch):
    monkeypatch.delenv("SKTEXT_VQ_DATA", raising=False)


def write(path, text, newline="\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.replace("\n", newline).encode())
    return path


def numbers(seed, n_rows, n_columns):
    return np.random.default_rng(seed).normal(size=(n_rows, n_columns)).round(5)


def load_quietly(name, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load(name, folder)


def labels_of(recordings):
    return [each.tolist() for each in recordings.labels]


def wisdm_lines(values, user, label, start, step=50_000_000):
    return [
        f"{user},{label},{start + i * step},{','.join(map(str, row))};"
        for i, row in enumerate(values.tolist())
    ]


@pytest.fixture
def wisdm(tmp_path):
    """Return a folder, a function that writes lines, and the values written."""
    values = numbers(0, 300, 3)
    lines = [
        *wisdm_lines(values[:100], 33, "Jogging", 49_105_962_326_000),
        *wisdm_lines(values[100:200], 33, "Upstairs", 49_110_962_326_000),
        *wisdm_lines(values[200:], 7, "Sitting", 1_000_000_000),
    ]
    path = tmp_path / "sets" / "WISDM_ar_v1.1" / "WISDM_ar_v1.1_raw.txt"

    def save(newline="\n"):
        write(path, "\n".join(lines) + "\n", newline)
        return tmp_path / "sets"

    return lines, save, values


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_wisdm(wisdm, newline):
    _, save, values = wisdm
    recordings = load_quietly("WISDM", save(newline))
    assert isinstance(recordings, Recordings)
    assert recordings.names == ["33", "7"]
    assert recordings.subjects.tolist() == [33, 7]
    assert recordings.channel_names == ("acc_x", "acc_y", "acc_z")
    np.testing.assert_array_equal(recordings.values[0], values[:200].T)
    np.testing.assert_array_equal(recordings.values[1], values[200:].T)
    assert recordings.times[0][:2].tolist() == [49_105_962_326_000, 49_106_012_326_000]
    assert recordings.sampling_rate == 20.0
    assert labels_of(recordings)[0] == ["jogging"] * 100 + ["walking upstairs"] * 100
    assert recordings.classes == ["jogging", "sitting", "walking upstairs"]
    windows = recordings.windows(2.5, 2.5)
    assert windows.X.shape == (6, 3, 50)
    assert windows.groups.tolist() == [33] * 4 + [7] * 2
    np.testing.assert_array_equal(windows.X[-1], values[250:].T)


def test_wisdm_quirks(wisdm):
    lines, save, values = wisdm
    lines[10] += lines.pop(11)  # two records in one line
    lines[20] = lines[20].replace(";", ",;")
    lines[30] = lines[30].rpartition(",")[0] + ",;"  # the last value is missing
    lines[40] = lines[40].rpartition(",")[0] + "abc;"
    lines[50] = "33,Jogging,0,0,0,0;"
    lines.insert(60, "")
    lines.insert(61, ";")
    folder = save()
    with pytest.warns(UserWarning) as found:
        recordings = load("WISDM", folder)
    messages = [str(each.message) for each in found]
    assert len(messages) == 2
    assert "2 incomplete or invalid records, the first in line 31" in messages[0]
    assert "1 records with time 0" in messages[1]
    kept = np.delete(np.arange(200), [31, 41, 51])  # a line was appended to another
    np.testing.assert_array_equal(recordings.values[0], values[kept].T)


def test_wisdm_without_records(tmp_path):
    path = write(tmp_path / "WISDM_ar_v1.1_raw.txt", "\nuser,activity\nsomething\n")
    with (
        pytest.warns(UserWarning, match="2 incomplete"),
        pytest.raises(
            ValueError, match=r"raw\.txt has no records .* invalid record is in line 2"
        ),
    ):
        load("WISDM", path.parent)


def test_gaps_repeated_times_and_clocks_set_back_are_not_joined(tmp_path):
    values = numbers(1, 400, 3)
    lines = [
        *wisdm_lines(values[:100], 1, "Walking", 10**12),
        *wisdm_lines(values[100:200], 1, "Walking", 10**12 + 60 * 10**9),  # gap
        *wisdm_lines(values[200:300], 1, "Walking", 10**12),  # times decrease
        *wisdm_lines(values[300:], 1, "Walking", 2 * 10**12, step=0),
    ]
    path = write(tmp_path / "WISDM_ar_v1.1_raw.txt", "\n".join(lines))
    recordings = load_quietly("WISDM", path.parent)
    # The last part follows the third in time, after a gap.
    assert [len(times) for times in recordings.times] == [200, 200]
    assert recordings.names == ["1, part 1", "1, part 2"]
    assert all((np.diff(times) > 0).all() for times in recordings.times)
    np.testing.assert_array_equal(recordings.values[1], values[200:].T)
    X = recordings.windows(2.5, 0.5).X
    written = {values[i : i + 50].tobytes() for i in range(351)}
    borders = [k for end in (100, 200, 300) for k in range(end - 49, end)]
    apart = {values[k : k + 50].tobytes() for k in borders}
    found = {np.ascontiguousarray(window.T).tobytes() for window in X}
    assert found <= written - apart
    assert len(found) == 4 * 6


def test_times_of_low_resolution_keep_the_order_of_rows(tmp_path):
    values = numbers(2, 200, 3)
    lines = wisdm_lines(values, 1, "Walking", 10**12)
    for i, line in enumerate(lines):
        cells = line.split(",")
        cells[2] = str(10**12 + i // 20 * 10**9)
        lines[i] = ",".join(cells)
    path = write(tmp_path / "WISDM_ar_v1.1_raw.txt", "\n".join(lines))
    recordings = load_quietly("WISDM", path.parent)
    np.testing.assert_array_equal(recordings.values[0], values.T)
    assert np.diff(recordings.times[0]).tolist() == [50_000_000] * 199
    assert recordings.sampling_rate == 20.0


def test_short_sessions_are_not_joined(tmp_path):
    values = numbers(13, 30, 3)
    parts = [values[i : i + 10] for i in (0, 10, 20)]
    lines = [line for x in parts for line in wisdm_lines(x, 1, "Walking", 10**12)]
    path = write(tmp_path / "WISDM_ar_v1.1_raw.txt", "\n".join(lines))
    recordings = load_quietly("WISDM", path.parent)
    for found, part in zip(recordings.values, parts, strict=True):
        np.testing.assert_array_equal(found, part.T)


def test_single_rows_in_disorder_are_sorted(tmp_path):
    values = numbers(12, 400, 3)
    lines = wisdm_lines(values, 1, "Walking", 10**12)
    for i in (50, 120, 300):
        lines[i], lines[i + 1] = lines[i + 1], lines[i]
    path = write(tmp_path / "WISDM_ar_v1.1_raw.txt", "\n".join(lines))
    recordings = load_quietly("WISDM", path.parent)
    assert recordings.names == ["1"]
    np.testing.assert_array_equal(recordings.values[0], values.T)


def write_wisdm_2019(folder, device, sensor, subject, parts):
    lines = [
        line
        for values, label, start in parts
        for line in wisdm_lines(values, subject, label, start)
    ]
    name = f"data_{subject}_{sensor}_{device}.txt"
    write(folder / "raw" / device / sensor / name, "\n".join(lines))


def test_wisdm_2019_joins_sensors_of_a_device_only(tmp_path):
    folder = tmp_path / "wisdm-dataset"
    write(folder / "activity_key.txt", "walking = A\nsoup = H\n")
    grid = np.arange(200.0)[:, None] * np.ones(3)
    for device, shift in (("phone", 0), ("watch", 1000)):
        # The gyroscope starts 10 ms later, and its first activity is interrupted.
        accel = [(grid[:100] + shift, "A", 10**9), (grid[:100] + shift, "H", 10**11)]
        gyro = [
            (grid[:40] * 2 + shift, "A", 10**9 + 10_000_000),
            (grid[60:100] * 2 + shift, "A", 4 * 10**9 + 10_000_000),
            (grid[:100] * 3 + shift, "H", 10**11 - 10_000_000),
        ]
        write_wisdm_2019(folder, device, "accel", 1600, accel)
        write_wisdm_2019(folder, device, "gyro", 1600, gyro)
    write_wisdm_2019(folder, "watch", "accel", 1601, [(grid, "H", 5)])
    for name in ("WISDM", "WISDM-2019"):
        recordings = load_quietly(name, tmp_path)
        assert recordings.names == ["1600, phone", "1600, watch", "1601, watch"]
    assert recordings.channel_names[::3] == ("acc_x", "gyro_x")
    assert recordings.subjects.tolist() == [1600, 1600, 1601]
    assert labels_of(recordings)[0] == ["walking"] * 100 + ["eating soup"] * 100
    for values, shift in zip(recordings.values, (0, 1000), strict=False):
        np.testing.assert_array_equal(values[0], np.r_[:100, :100] + shift)
        gyro = values[3]
        # 10 ms are 0.2 of a step. The first and the last value are extrapolated.
        np.testing.assert_allclose(gyro[1:40], (np.arange(1, 40) - 0.2) * 2 + shift)
        np.testing.assert_allclose(gyro[61:100], (np.arange(61, 100) - 0.2) * 2 + shift)
        assert np.isnan(gyro[42:59]).all()
        assert gyro[0] == shift
        np.testing.assert_allclose(gyro[100:199], (np.arange(99) + 0.2) * 3 + shift)
    assert np.isnan(recordings.values[2][3:]).all()


def test_sessions_of_two_sensors_at_the_same_times_are_not_mixed(tmp_path):
    rows = np.ones((100, 3))
    for sessions in (2, 1):
        for sensor, n in (("accel", 2), ("gyro", sessions)):
            parts = [(rows * (k + 1), "A", 10**9) for k in range(n)]
            write_wisdm_2019(tmp_path, "phone", sensor, 1600, parts)
        recordings = load_quietly("WISDM-2019", tmp_path)
        assert [len(times) for times in recordings.times] == [100, 100]
        gyro = np.stack([values[3] for values in recordings.values])
        if sessions == 2:
            np.testing.assert_array_equal(gyro, np.repeat([[1.0], [2.0]], 100, axis=1))
        else:  # the session is unknown
            assert np.isnan(gyro).all()


def pamap2_rows(seed, labels, start=5.0):
    rows = numbers(seed, len(labels), 54)
    rows[:, 0] = (start + np.arange(len(labels)) * 0.01).round(2)
    rows[:, 1] = labels
    rows[::3, 2] = np.nan
    rows[7, 3:] = np.nan
    return rows


def save_rows(path, rows, separator=" "):
    lines = [
        separator.join("NaN" if np.isnan(v) else f"{v:.10g}" for v in row)
        for row in rows
    ]
    text = "\n".join(lines)
    return write(path, text + "\n")


def test_pamap2(tmp_path):
    folder = tmp_path / "PAMAP2_Dataset"
    first = pamap2_rows(3, [0] * 100 + [4] * 300 + [0] * 50 + [12] * 300)
    other = pamap2_rows(4, [9] * 300)
    save_rows(folder / "Protocol" / "subject101.dat", first)
    save_rows(folder / "Protocol" / "subject110.dat", other)
    save_rows(folder / "Optional" / "subject101.dat", other)
    recordings = load_quietly("PAMAP2", tmp_path)
    assert recordings.names == ["subject101, optional", "subject101", "subject110"]
    assert recordings.subjects.tolist() == [101, 101, 110]
    assert recordings.sampling_rate == 100.0
    assert recordings.classes == ["ascending stairs", "walking", "watching tv"]
    names = recordings.channel_names
    assert len(names) == 40
    assert names[:3] == ("heart_rate", "hand_temperature", "hand_acc16_x")
    found = dict(zip(names, recordings.values[1], strict=True))
    for name, column in (
        ("heart_rate", 2),
        ("hand_acc16_z", 6),
        ("hand_acc6_x", 7),
        ("hand_mag_z", 15),
        ("chest_temperature", 20),
        ("ankle_gyro_y", 45),
        ("ankle_mag_z", 49),
    ):
        np.testing.assert_array_equal(found[name], first[:, column])
    np.testing.assert_array_equal(recordings.times[1], first[:, 0])
    labels = recordings.labels[1]
    assert labels.isna().sum() == 150
    windows = recordings.windows(2.56, 1.28)
    assert windows.y.tolist() == [
        *("watching tv", "walking", "ascending stairs", "watching tv")
    ]
    # The folder may contain only a part of the data set.
    assert len(load_quietly("PAMAP2", folder / "Protocol")) == 2


def test_mhealth(tmp_path):
    rows = numbers(5, 400, 24)
    rows[:, 23] = np.repeat([0, 1, 12, 0], 100)
    save_rows(tmp_path / "MHEALTHDATASET" / "mHealth_subject1.log", rows[:300], "\t")
    save_rows(tmp_path / "MHEALTHDATASET" / "mHealth_subject10.log", rows[300:], "\t")
    save_rows(tmp_path / "MHEALTHDATASET" / "mHealth_subject2.log", rows[100:], "\t")
    recordings = load_quietly("MHEALTH", tmp_path)
    assert recordings.subjects.tolist() == [1, 2, 10]
    np.testing.assert_array_equal(recordings.values[0], rows[:300, :23].T)
    assert recordings.sampling_rate == 50.0
    assert recordings.classes == ["jump front and back", "standing still"]
    assert recordings.labels[2].isna().all()
    names = np.array(recordings.channel_names)
    assert names[[0, 3, 5, 8, 11, 14, 20]].tolist() == [
        *("chest_acc_x", "ecg_1", "ankle_acc_x", "ankle_gyro_x", "ankle_mag_x"),
        *("arm_acc_x", "arm_mag_x"),
    ]


@pytest.mark.parametrize(
    ("name", "file", "separator", "width"),
    [
        ("PAMAP2", "subject101.dat", " ", 54),
        ("MHEALTH", "mHealth_subject1.log", "\t", 24),
    ],
)
def test_damaged_lines_of_numbers_are_named(tmp_path, name, file, separator, width):
    lines = [separator.join(["1"] * width)] * 20
    for damage, message in (
        (separator.join(["1"] * (width - 1)), f"{width - 1} columns in line 6"),
        (separator.join(["1"] * (width + 1)), f"{width + 1} columns in line 6"),
        (separator.join(["x"] * width), "line 6: could not convert"),
    ):
        path = write(tmp_path / file, "\n".join([*lines[:5], damage, *lines[5:]]))
        with pytest.raises(ValueError, match=message) as error:
            load(name, tmp_path)
        assert str(path) in str(error.value)
    write(tmp_path / file, "")
    with pytest.raises(ValueError, match=f"{file} has no rows"):
        load(name, tmp_path)


def hhar_frame(seed, n_rows, user="a", device="nexus4_1", start=1_424_696_633_000):
    step = 10
    arrival = start + np.arange(n_rows) * step
    frame = pd.DataFrame(numbers(seed, n_rows, 3), columns=list("xyz"))
    frame.insert(0, "Index", np.arange(n_rows))
    frame.insert(1, "Arrival_Time", arrival + np.arange(n_rows) % 3)
    frame.insert(2, "Creation_Time", arrival * 10**6 + 123)
    frame["User"], frame["Model"], frame["Device"] = user, device[:-2], device
    frame["gt"] = np.where(np.arange(n_rows) < n_rows // 2, "stairsup", "null")
    return frame


def test_hhar(tmp_path):
    frames = [hhar_frame(6, 200), hhar_frame(7, 200, device="nexus4_2")]
    frames.append(hhar_frame(8, 200, user="b"))
    # Rows of two devices alternate.
    mixed = pd.concat(frames[:2]).sort_values("Index", kind="stable")
    phones = pd.concat([mixed, frames[2]])
    folder = tmp_path / "Activity recognition exp"
    folder.mkdir()
    phones.to_csv(folder / "Phones_accelerometer.csv", index=False)
    recordings = load_quietly("HHAR", tmp_path)
    assert recordings.names == ["a, nexus4_1", "a, nexus4_2", "b, nexus4_1"]
    assert recordings.subjects.tolist() == ["a", "a", "b"]
    assert recordings.channel_names == ("acc_x", "acc_y", "acc_z")
    assert recordings.classes == ["walking upstairs"]
    assert recordings.sampling_rate == 100.0
    for i, frame in enumerate(frames):
        np.testing.assert_array_equal(recordings.values[i].T, frame[["x", "y", "z"]])
        np.testing.assert_array_equal(recordings.times[i], frame["Creation_Time"])
        assert recordings.labels[i].isna().tolist() == (frame["gt"] == "null").tolist()
    # Add a gyroscope of one device, and a watch whose times are not plausible.
    gyro = frames[1].assign(x=np.arange(200.0))
    gyro["Creation_Time"] += 5 * 10**6
    gyro.to_csv(folder / "Phones_gyroscope.csv", index=False)
    watch = hhar_frame(9, 200, device="gear_1")
    watch["Creation_Time"] = 7
    watch.to_csv(folder / "Watch_accelerometer.csv", index=False)
    recordings = load_quietly("HHAR", folder)
    assert recordings.names[3] == "a, gear_1"
    assert recordings.channel_names[3:] == ("gyro_x", "gyro_y", "gyro_z")
    assert np.isnan(recordings.values[0][3:]).all()
    np.testing.assert_allclose(recordings.values[1][3, 1:100], np.arange(1, 100) - 0.5)
    np.testing.assert_array_equal(recordings.times[3], watch["Arrival_Time"] * 10**6)


def test_columns_of_hhar_may_be_missing_if_they_are_not_needed(tmp_path):
    frame = hhar_frame(6, 100)
    path = tmp_path / "Phones_accelerometer.csv"
    frame.drop(columns=["Index", "Model", "Creation_Time"]).to_csv(path, index=False)
    recordings = load_quietly("HHAR", tmp_path)
    np.testing.assert_array_equal(recordings.times[0], frame["Arrival_Time"] * 10**6)
    frame.drop(columns="gt").to_csv(path, index=False)
    with pytest.raises(ValueError, match=r"accelerometer\.csv has no column 'gt'"):
        load("HHAR", tmp_path)
    frame = frame.astype({"x": object})
    frame.loc[5, "x"] = "zero"
    frame.to_csv(path, index=False)
    with pytest.raises(ValueError, match=r"accelerometer\.csv has 'zero' .* line 7"):
        load("HHAR", tmp_path)


def test_motion_sense(tmp_path):
    folder = tmp_path / "A_DeviceMotion_data" / "A_DeviceMotion_data"
    columns = ["attitude.roll", "gravity.x", "gravity.y", "userAcceleration.x"]
    written = {}
    for i, (trial, subject) in enumerate([("dws_1", 2), ("dws_1", 10), ("std_14", 2)]):
        written[f"{trial}/sub_{subject}"] = values = numbers(i, 200, 4)
        path = folder / trial / f"sub_{subject}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(values, columns=columns).to_csv(path)
    # Another part of the data set, and metadata of macOS, are not read.
    write(tmp_path / "B_Accelerometer_data" / "dws_1" / "sub_2.csv", ",x\n0,1\n")
    write(folder / "dws_1" / "._sub_2.csv", "\0")
    recordings = load_quietly("MotionSense", tmp_path)
    assert recordings.names == list(written)
    assert recordings.subjects.tolist() == [2, 10, 2]
    assert recordings.channel_names == tuple(columns)
    assert recordings.sampling_rate == 50.0
    for found, values in zip(recordings.values, written.values(), strict=True):
        np.testing.assert_array_equal(found, values.T)
    windows = recordings.windows(2.56, 1.28)
    assert windows.y.tolist() == ["walking downstairs"] * 4 + ["standing"] * 2
    assert windows.groups.tolist() == [2, 2, 10, 10, 2, 2]


def write_uci_har(root):
    write(root / "activity_labels.txt", "1 WALKING\n2 WALKING_UPSTAIRS\n")
    written = {}
    for part, labels in (("train", [1, 2, 2]), ("test", [2, 1])):
        for seed, name in enumerate(("total_acc_x", "body_gyro_x")):
            values = written[part, name] = numbers(seed, len(labels), 128)
            lines = [" ".join(f"{v: .7e}" for v in row) for row in values]
            path = root / part / "Inertial Signals" / f"{name}_{part}.txt"
            write(path, "".join(f" {line}\n" for line in lines))
        write(root / part / f"y_{part}.txt", "".join(f"{v}\n" for v in labels))
        write(root / part / f"subject_{part}.txt", "5\n" * len(labels))
    return written


def test_uci_har(tmp_path):
    root = tmp_path / "UCI HAR Dataset"
    written = write_uci_har(root)
    for folder in (tmp_path, root):
        dataset = load_quietly("UCI-HAR", folder)
    assert dataset.channel_names == ("body_gyro_x", "total_acc_x")
    assert dataset.units == ("rad/s", "g")
    assert dataset.sampling_rate == 50.0
    for part in ("train", "test"):
        X = getattr(dataset, f"X_{part}")
        for i, name in enumerate(dataset.channel_names):
            np.testing.assert_allclose(X[:, i], written[part, name], rtol=1e-7)
    assert dataset.y_train.tolist() == ["walking"] + ["walking upstairs"] * 2
    assert dataset.subjects_test.tolist() == [5, 5]
    write(root / "test" / "y_test.txt", "2\n9\n")
    with pytest.raises(ValueError, match=r"test has 2 windows, 2 labels \(of which 1"):
        load("UCI-HAR", tmp_path)


def test_tsv_of_the_ucr_archive(tmp_path):
    text = "2\t0.1\t-3e-2\t1.5\n-1\t1\tNaN\t0.25\n"
    write(tmp_path / "Even" / "Even_TRAIN.tsv", text)
    write(tmp_path / "Even" / "Even_TEST.tsv", text, newline="\r\n")
    write(tmp_path / "Uneven_TRAIN.tsv", "1\t1\t2\t3\n2\t1\t2\tNaN\n")
    write(tmp_path / "Uneven_TEST.tsv", "1\t1\tNaN\tNaN\n")
    assert {"Even", "Uneven"} <= set(available(tmp_path))
    even = load_quietly("Even", tmp_path)
    expected = [[[0.1, -3e-2, 1.5]], [[1, np.nan, 0.25]]]
    np.testing.assert_array_equal(even.X_train, expected)
    np.testing.assert_array_equal(even.X_test, expected)
    assert even.y_train.tolist() == ["2", "-1"]
    uneven = load_quietly("Uneven", tmp_path)
    assert [x.tolist() for x in uneven.X_train] == [[[1, 2, 3]], [[1, 2]]]
    assert [x.tolist() for x in uneven.X_test] == [[[1]]]
    for text, message in (
        ("1\t2\n1\tx\n", "Line 2 of .*Uneven_TRAIN.tsv is not a valid series"),
        ("1\n", "Line 1 of .* has a label but no values"),
        ("\n", "has no series"),
    ):
        write(tmp_path / "Uneven_TRAIN.tsv", text)
        with pytest.raises(ValueError, match=message):
            load("Uneven", tmp_path)


UNIVARIATE = (
    "% comment\n@RELATION One\n@attribute a numeric\n@attribute b numeric\n"
    "@attribute target {'very High',low}\n\n@DATA\n"
    "0.25,1e-3,'very High'\n-1,?,low\n"
)
RELATIONAL = (
    "@relation Two\n@attribute relationalAtt relational\n  @attribute a numeric\n"
    "  @attribute b numeric\n  @attribute c numeric\n@end relationalAtt\n"
    "@attribute activity {WALKING,Run}\n@data\n"
    "'1,2,0.1\\n4,5,6',WALKING\n\"7,8,?\\n?,11,?\",Run\n"
)


def test_arff_of_the_uea_archive(tmp_path):
    for name, text in (("One", UNIVARIATE), ("Two", RELATIONAL)):
        for part in ("TRAIN", "TEST"):
            write(tmp_path / f"{name}_{part}.arff", text, "\r\n")
    one, two = (load_quietly(name, tmp_path) for name in ("One", "Two"))
    assert one.y_train.tolist() == ["very High", "low"]
    assert two.y_test.tolist() == ["WALKING", "Run"]
    assert [x.tolist() for x in one.X_train] == [[[0.25, 1e-3]], [[-1]]]
    np.testing.assert_array_equal(two.X_train[0], [[1, 2, 0.1], [4, 5, 6]])
    np.testing.assert_array_equal(two.X_test[1], [[7, 8], [np.nan, 11]])


def test_arff_is_read_as_by_scipy(tmp_path):
    lines = RELATIONAL.splitlines()[:8]
    values = numbers(10, 20, 6)
    for i, row in enumerate(values):
        cells = [",".join(map(repr, half.tolist())) for half in (row[:3], row[3:])]
        lines.append(f"'{cells[0]}\\n{cells[1]}',{'Run' if i % 3 else 'WALKING'}")
    for part in ("TRAIN", "TEST"):
        write(tmp_path / f"Two_{part}.arff", "\n".join(lines))
    found = load_quietly("Two", tmp_path)
    rows, _ = arff.loadarff(io.StringIO("\n".join(lines)))
    for series, label, (channels, name) in zip(
        found.X_train, found.y_train, rows, strict=True
    ):
        np.testing.assert_array_equal(series, [list(channel) for channel in channels])
        assert label == name.decode()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("'1,2\\n3',Run", "Line 9 of .* is not a valid series"),
        ("'1,2\\n3,x',Run", "Line 9 of .* is not a valid series"),
        ("'1,2',Run\n'1,2\\n3,4',Run", "Line 10 of .* has 2 channels, .* has 1"),
        ("nothing", "Line 9 of .* does not consist of a series of values"),
    ],
)
def test_faults_of_arff(tmp_path, line, message):
    head = "\n".join(RELATIONAL.splitlines()[:8])
    write(tmp_path / "Two_TRAIN.arff", f"{head}\n{line}\n")
    write(tmp_path / "Two_TEST.arff", RELATIONAL)
    with pytest.raises(ValueError, match=message):
        load("Two", tmp_path)


def test_files_of_a_name_take_precedence(tmp_path, wisdm):
    _, save, _ = wisdm
    folder = save()
    write(folder / "One_TRAIN.arff", UNIVARIATE)
    assert {"WISDM", "One"} <= set(available(folder))
    with pytest.raises(ValueError, match=r"Unknown data set 'HHAR'.*One, .*WISDM"):
        load("HHAR", folder)
    arrays = {"X_train": np.ones((2, 1, 4)), "y_train": np.array(["a", "b"])}
    np.savez(
        folder / "WISDM.npz", **arrays, X_test=arrays["X_train"], y_test=["a", "b"]
    )
    assert load("WISDM", folder).X_train.shape == (2, 1, 4)


def test_search_is_bounded(tmp_path):
    deep = tmp_path / Path(*"abcdefgh")
    write(deep / "mHealth_subject1.log", "1\n")
    assert "MHEALTH" not in available(tmp_path)
    assert "MHEALTH" in available(tmp_path / Path(*"abcdef"))
    # Only one of several copies is read.
    rows = numbers(11, 100, 24).round()
    for copy in ("one", "two"):
        save_rows(tmp_path / copy / "mHealth_subject1.log", rows, "\t")
    assert len(load_quietly("MHEALTH", tmp_path)) == 1
