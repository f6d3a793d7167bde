import numpy as np
import pytest
from sktime.datasets import load_UCR_UEA_dataset

from sktext_vq.datasets import _PACKAGED, available, load, read_ts
from sktext_vq.panel import as_panel

TS_HEADER = (
    "#comment\n@problemName Tiny\n@timeStamps false\n@classLabel true a b\n@data\n"
)


@pytest.fixture
def arrays():
    return {
        "X_train": np.ones((2, 3, 4), dtype=np.float32),
        "y_train": np.array(["still", "moving"]),
        "X_test": np.zeros((1, 3, 4), dtype=np.float32),
        "y_test": np.array([7]),
    }


@pytest.mark.parametrize("name", _PACKAGED)
def test_packaged_sets_are_what_sktime_loads(name):
    dataset = load(name)
    for split in ("train", "test"):
        X, y = getattr(dataset, f"X_{split}"), getattr(dataset, f"y_{split}")
        X_sktime, y_sktime = load_UCR_UEA_dataset(name, split, return_type="df-list")
        assert len(X) == len(y) == len(X_sktime)
        assert y.dtype.kind == "U"
        assert y.tolist() == y_sktime.tolist()
        for series, frame in zip(X, X_sktime, strict=True):
            np.testing.assert_array_equal(series, frame.to_numpy().T)


@pytest.mark.parametrize("name", ["JapaneseVowels", "PLAID"])
def test_unequal_length_is_a_list(name):
    dataset = load(name)
    assert isinstance(dataset.X_train, list)
    assert isinstance(dataset.X_test, list)
    assert as_panel(dataset.X_train).has_gaps


def test_basic_motions(basic_motions):
    assert basic_motions.X_train.shape == basic_motions.X_test.shape == (40, 6, 100)
    assert basic_motions.sampling_rate == 10.0
    assert basic_motions.channel_names[::3] == ("acc_x", "gyro_x")
    assert basic_motions.units is None
    # Evidence for the order of channels: most values of the gyroscope are multiples of
    # a step size, and most values of the accelerometer are not.
    steps = basic_motions.X_train / 0.0026631
    on_step = (np.abs(steps - steps.round()) < 0.1).mean(axis=(0, 2))
    assert on_step[:3].max() < 0.25
    assert on_step[3:].min() > 0.7


def test_npz(tmp_path, arrays):
    facts = {
        "subject_train": np.array([1, 1]),
        "subject_test": np.array([2]),
        "channel_names": np.array(["x", "y", "z"]),
        "units": np.array(["g", "g", "g"]),
        "sampling_rate_hz": np.float32(50),
        "label_source": np.array("not read"),
    }
    np.savez(tmp_path / "Tiny.npz", **arrays, **facts)
    dataset = load("Tiny", tmp_path)
    assert dataset.name == "Tiny"
    np.testing.assert_array_equal(dataset.X_train, arrays["X_train"])
    assert dataset.X_train.dtype == np.float32
    assert dataset.y_train.tolist() == ["still", "moving"]
    assert dataset.y_test.tolist() == ["7"]
    assert dataset.subjects_train.tolist() == [1, 1]
    assert dataset.subjects_test.tolist() == [2]
    assert dataset.channel_names == ("x", "y", "z")
    assert dataset.units == ("g", "g", "g")
    assert dataset.sampling_rate == 50.0


def test_npz_with_the_least(tmp_path, arrays):
    np.savez(tmp_path / "Tiny.npz", **arrays)
    dataset = load("Tiny", str(tmp_path))
    assert dataset.subjects_train is None
    assert dataset.channel_names is None
    assert dataset.units is None
    assert dataset.sampling_rate is None


def test_npz_errors(tmp_path, arrays):
    (tmp_path / "Foreign.npz").write_bytes(b"something else")
    (tmp_path / "Cut.npz").write_bytes(b"PK\x03\x04 cut off")
    objects = arrays | {"y_train": np.array(["still", None], dtype=object)}
    np.savez(tmp_path / "Pickled.npz", **objects)
    for name in ("Foreign", "Cut", "Pickled"):
        with pytest.raises(ValueError, match=rf"{name}\.npz is damaged or is not"):
            load(name, tmp_path)
    np.savez(tmp_path / "Uneven.npz", **arrays | {"y_test": np.array(["a", "b"])})
    with pytest.raises(
        ValueError, match="must contain arrays X_test and y_test with the same"
    ):
        load("Uneven", tmp_path)
    del arrays["y_train"]
    np.savez(tmp_path / "Less.npz", **arrays)
    with pytest.raises(ValueError, match="must contain arrays X_train and y_train"):
        load("Less", tmp_path)


@pytest.mark.parametrize("subfolder", ["", "Tiny"])
def test_ts_files(tmp_path, subfolder):
    folder = tmp_path / subfolder
    folder.mkdir(exist_ok=True)
    (folder / "Tiny_TRAIN.ts").write_text(TS_HEADER + "1,2:3,?:a\n5,6:7,NaN:b\n")
    (folder / "Tiny_TEST.ts").write_text(TS_HEADER + "1,2,3:4,5,6:b\n")
    dataset = load("Tiny", tmp_path)
    nan = np.nan
    expected = [[[1, 2], [3, nan]], [[5, 6], [7, nan]]]
    np.testing.assert_array_equal(dataset.X_train, expected)
    # Lengths are equal within a split but differ between splits, so parts are lists.
    assert isinstance(dataset.X_train, list)
    assert dataset.X_test[0].shape == (2, 3)
    assert dataset.y_train.tolist() == ["a", "b"]


def test_ts_without_labels(tmp_path):
    path = tmp_path / "Tiny_TRAIN.ts"
    path.write_text("@classLabel false\n@data\n1,2:3,4\n")
    X, y = read_ts(path)
    assert X.tolist() == [[[1, 2], [3, 4]]]
    assert y is None
    (tmp_path / "Tiny_TEST.ts").write_text(path.read_text())
    with pytest.raises(ValueError, match="no class labels"):
        load("Tiny", tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a valid .ts file"),
        ("1,2\n3,4\n", "not a valid .ts file"),
        (TS_HEADER, "not a valid .ts file"),
        ("@timeStamps true\n@data\n(0,1),(1,2)\n", "timestamps"),
        (TS_HEADER + "1,2:3:a\n", "Line 6 of .*Tiny.ts is not a valid series"),
        (TS_HEADER + "1,2:a\n1,two:b\n", "Line 7 of .*Tiny.ts is not a valid series"),
        (TS_HEADER + "1,2:a\n1,2:3,4\n", "Line 7 of .* ends in '3,4', .*not among"),
        (TS_HEADER + "1,2,3\n", "Line 6 of .* ends in '1,2,3'"),
        (TS_HEADER + "1,2:\n", "Line 6 of .* ends in ''"),
        (TS_HEADER + "1,2:c\n", r"ends in 'c', .*header: 'a', 'b'\."),
        (TS_HEADER + "1,2:a\n1,2:3,4:b\n", "Line 7 of .* has 2 channels, .* has 1"),
        (TS_HEADER + "1,2\0:a\n", "Line 6 of .* NUL"),
        (
            "@classLabel true Ab aB\n@data\n1,2:Ab\n",
            "Line 1 .* differ only in letter case",
        ),
        ("@classLabel true\n@data\n1,2:a\n", "Line 1 .* must list all class labels"),
        ("@targetLabel true\n@data\n1,2:3,4\n", "Line 3 .*'3,4', .*not a number"),
        (
            TS_HEADER.replace("a b", "\xe4 \xf6").encode("latin-1") + b"1,2:\xe4\n",
            "Line 4 of .* not UTF-8, 0xe4",
        ),
        (TS_HEADER.encode("utf-16"), "Line 1 of .* not UTF-8"),
    ],
)
def test_ts_errors(tmp_path, text, message):
    path = tmp_path / "Tiny.ts"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=message):
        read_ts(path)


def test_ts_details(tmp_path):
    path = tmp_path / "Tiny.ts"
    # Comments may be in any encoding.
    text = TS_HEADER.replace("#comment", "#M\xfcller").encode("latin-1")
    path.write_bytes(text.replace(b"a b", b"Up Down") + b"1,2: up\r\n3,4:DOWN\r\n")
    assert read_ts(path)[1].tolist() == ["up", "down"]
    path.write_bytes("\ufeff@classLabel true ä ö\n@data\n1:ä\n2:Ö\n".encode())
    assert read_ts(path)[1].tolist() == ["ä", "ö"]
    path.write_text("@targetLabel true\n@data\n1,2:0.5\n3,4:-1e3\n")
    assert read_ts(path)[1].tolist() == ["0.5", "-1e3"]


def test_npz_labels_are_alike_in_both_parts(tmp_path, arrays):
    # Labels are floats in one part and integers in the other, or bytes.
    numbers = {"y_train": np.array([7.0, 8.0]), "y_test": np.array([7])}
    np.savez(tmp_path / "Tiny.npz", **arrays | numbers)
    dataset = load("Tiny", tmp_path)
    assert (dataset.y_train.tolist(), dataset.y_test.tolist()) == (["7", "8"], ["7"])
    for labels, expected in (
        (np.array(["\xe4".encode(), b"a"]), None),
        (np.array([b"\xe4", b"a"]), "invalid UTF-8"),
        (np.array([1, np.nan]), "no y_train for case 1"),
        (np.array(["a", ""]), "no y_train for case 1"),
    ):
        np.savez(tmp_path / "Tiny.npz", **arrays | {"y_train": labels})
        if expected is None:
            assert load("Tiny", tmp_path).y_train.tolist() == ["\xe4", "a"]
        else:
            with pytest.raises(ValueError, match=expected):
                load("Tiny", tmp_path)


def test_folder_by_environment(tmp_path, arrays, monkeypatch):
    np.savez(tmp_path / "Tiny.npz", **arrays)
    assert "Tiny" not in available()
    monkeypatch.setenv("SKTEXT_VQ_DATA", str(tmp_path))
    assert available() == sorted([*_PACKAGED, "Tiny"])
    assert load("Tiny").name == "Tiny"


def test_folder_goes_before_packaged(tmp_path, arrays):
    np.savez(tmp_path / "GunPoint.npz", **arrays)
    assert load("GunPoint", tmp_path).X_train.shape == (2, 3, 4)


def test_names_that_are_not_there(tmp_path):
    with pytest.raises(
        ValueError, match=r"Unknown data set 'basicmotions'.*BasicMotions"
    ):
        load("basicmotions")
    with pytest.raises(ValueError, match=r"Unknown data set '\.\./GunPoint'"):
        load("../GunPoint", tmp_path)
    with pytest.raises(ValueError, match=r"does not exist: .*nowhere"):
        load("GunPoint", tmp_path / "nowhere")


def test_without_sktime(tmp_path, monkeypatch):
    monkeypatch.setattr("sktext_vq.datasets.find_spec", lambda name: None)
    assert available() == []
    with pytest.raises(ValueError, match=r"Available data sets: none.*install sktime"):
        load("BasicMotions")


@pytest.mark.filterwarnings("error::ResourceWarning")
@pytest.mark.parametrize("change", ["empty", "seek", "array", "rate"])
def test_damaged_npz_files_are_refused(tmp_path, change):
    path = tmp_path / "own.npz"
    arrays = {f"X_{part}": np.zeros((2, 1, 9)) for part in ("train", "test")}
    arrays |= {f"y_{part}": np.array(["a", "b"]) for part in ("train", "test")}
    if change == "rate":
        arrays["sampling_rate_hz"] = np.array([1.0, 2.0])
    np.savez(path, **arrays)
    content = path.read_bytes()
    if change == "empty":
        path.write_bytes(b"")
    elif change == "seek":  # a position before the start of the file
        path.write_bytes(content[200:])
    elif change == "array":
        np.save(path.with_suffix(".npy"), np.zeros(3))
        path.with_suffix(".npy").rename(path)
    with pytest.raises(ValueError, match=r"own\.npz (is damaged|must be a number)"):
        load("own", tmp_path)
