"""Recognition of activities by name, without training data."""

from __future__ import annotations

import re
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sktext_vq import VQTextClassifier, save, wearables
from sktext_vq import load as load_model
from sktext_vq.__main__ import main
from sktext_vq._formats.estimators import from_state, get_state
from sktext_vq._wearables.bridge import BridgeScorer
from sktext_vq._wearables.sensors import find_sensors
from sktext_vq.datasets import load
from sktext_vq.export import export_onnx
from sktext_vq.inspection._label_page import describe_recordings
from sktext_vq.recordings import read_recordings, segment
from sktext_vq.wearables import CHANNELS, LabelledSet, build_base, harmonise, load_base

GRAVITY = 9.80665
FOLDER = Path(wearables.__file__).parent / "data"


def windows(n_cases=6, n_timepoints=128, seed=0, turn=1.0):
    """Return acceleration in g and angular velocity in rad/s at 50 Hz."""
    rng = np.random.default_rng(seed)
    X = rng.normal(0, 0.2, size=(n_cases, 6, n_timepoints))
    X[:, 3:] *= 3 * turn
    X[:, 1] += 1
    return X


@pytest.fixture(scope="module")
def base():
    return load_base()


@pytest.mark.parametrize(
    ("unit", "size"), [("g", 1.0), ("m/s^2", GRAVITY), ("mg", 1000.0)]
)
def test_units_of_acceleration_follow_from_gravity(unit, size):
    X = windows()
    given = np.concatenate([size * X[:, :3], X[:, 3:]], axis=1)
    found = harmonise(given, channel_names=CHANNELS, sampling_rate=50)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, X, atol=1e-5)
    assert f"acceleration is in {unit}" in found.notes
    assert "angular velocity is in rad/s" in found.notes


def test_degrees_are_found_and_can_be_set():
    X = windows()
    given = X.copy()
    given[:, 3:] *= 180 / np.pi
    found = harmonise(given, channel_names=CHANNELS, sampling_rate=50)
    np.testing.assert_allclose(found, X, atol=1e-5)
    assert "angular velocity is in deg/s" in found.notes
    units = {"acc": "g", "gyro": "rad/s"}
    kept = harmonise(given, channel_names=CHANNELS, sampling_rate=50, units=units)
    np.testing.assert_allclose(kept, given, atol=1e-4)


def test_gravity_and_user_acceleration_are_added():
    X = windows()
    gravity = np.zeros_like(X[:, :3])
    gravity[:, 1] = 1
    names = [f"{s}.{a}" for s in ("gravity", "rotationRate") for a in "xyz"]
    names += [f"userAcceleration.{a}" for a in "xyz"]
    given = np.concatenate([gravity, X[:, 3:], X[:, :3] - gravity], axis=1)
    found = harmonise(given, channel_names=names, sampling_rate=50)
    np.testing.assert_allclose(found, X, atol=1e-6)
    assert "gravity + userAcceleration is the acceleration" in found.notes


def test_channels_of_other_names_and_sensors_are_found():
    X = windows()
    names = [
        "hr",
        *(f"body_acc_{a}" for a in "xyz"),
        *(f"total_acc_{a}" for a in "xyz"),
    ]
    names += [f"mag_{a}" for a in "xyz"] + [f"body_gyro_{a}" for a in "xyz"]
    noise = np.random.default_rng(1).normal(size=(6, 3, 128))
    parts = [noise[:, :1], noise, X[:, :3], noise, X[:, 3:]]
    given = np.concatenate(parts, axis=1)
    found = harmonise(given, channel_names=names, sampling_rate=50)
    np.testing.assert_allclose(found, X, atol=1e-6)


def test_missing_gyroscope_is_nan():
    X = windows()[:, :3]
    found = harmonise(X, channel_names=["x", "y", "z"], sampling_rate=50)
    assert np.isnan(found[:, 3:]).all()
    assert (
        "there is no gyroscope"
        in harmonise(X, channel_names=CHANNELS[:3], sampling_rate=50).notes
    )


def test_windows_are_resampled_and_cut_at_the_centre():
    time = np.arange(500) / 100
    X = np.zeros((2, 3, 500))
    X[:, 0] = 1 + 0.3 * np.sin(2 * np.pi * 2 * time)
    found = harmonise(X, channel_names=CHANNELS[:3], sampling_rate=100)
    assert found.shape == (2, 6, 128)
    middle = (500 - 256) // 2 / 100 + np.arange(128) / 50
    wanted = 1 + 0.3 * np.sin(2 * np.pi * 2 * middle)
    np.testing.assert_allclose(found[0, 0, 5:-5], wanted[5:-5], atol=0.01)
    assert "the central 2.56 s of windows of 5 s are used" in found.notes


def test_short_windows_are_kept_and_padded():
    X = windows()
    found = harmonise([X[0][:, :60], X[1]], channel_names=CHANNELS, sampling_rate=50)
    assert np.isnan(found[0, :, 60:]).all()
    np.testing.assert_allclose(found[0, :, :60], X[0][:, :60], atol=1e-6)


def test_the_input_is_not_changed():
    X = windows()
    X[0, 0, 4:9] = np.nan
    before = X.copy()
    found = harmonise(X, channel_names=CHANNELS, sampling_rate=50)
    np.testing.assert_array_equal(X, before)
    assert not np.isnan(found).any()


@pytest.mark.parametrize(
    ("change", "names", "rate", "message"),
    [
        (1, ["a_1", "b", "c", "gyro_x", "gyro_y", "gyro_z"], 50, "No accelerometer"),
        (1, [f"{s}_{a}" for s in ("mag", "gyro") for a in "xyz"], 50, "No accel"),
        (57, CHANNELS, 50, "which is not gravity"),
        (0.01, CHANNELS, 50, "which is not gravity"),
        (1, CHANNELS, 5, "at least 8 Hz"),
        (1, CHANNELS, np.nan, "must be a number of Hz"),
        (1, CHANNELS[:3], 50, "3 names for 6 channels"),
    ],
)
def test_data_that_are_not_of_an_accelerometer(change, names, rate, message):
    with pytest.raises(ValueError, match=message):
        harmonise(change * windows(), channel_names=names, sampling_rate=rate)


def test_unknown_units():
    for units in ("feet", {"acc": "g", "gyro": "turns"}, {"mag": "T"}):
        with pytest.raises(ValueError, match="units must be"):
            harmonise(windows(), channel_names=CHANNELS, sampling_rate=50, units=units)


def test_acceleration_without_gravity_warns():
    X = np.random.default_rng(0).normal(0, 4, size=(8, 3, 128))
    X[:3] *= 0.02
    with pytest.warns(UserWarning, match="without gravity"):
        found = harmonise(X, channel_names=CHANNELS[:3], sampling_rate=50)
    np.testing.assert_allclose(found[:, :3], X / GRAVITY, atol=1e-5)


def test_the_packaged_base_is_small_and_has_a_card(base):
    assert (FOLDER / "wearables.safetensors").stat().st_size < 8e6
    assert isinstance(base, VQTextClassifier)
    sets = {each["name"]: each for each in base.card_["sets"]}
    assert sets["MotionSense"]["licence"] == "MIT"
    assert sets["WISDM-2019-watch"]["licence"] == "CC BY 4.0"
    assert all(each["people"] > 5 and each["place"] for each in sets.values())
    assert base.card_["limits"]
    attribution = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(name.split("-")[0] in attribution for name in sets)


def test_names_of_a_watch_at_10_hz(base):
    data = load("BasicMotions")
    X = harmonise(
        data.X_test,
        channel_names=data.channel_names,
        sampling_rate=data.sampling_rate,
        units="m/s^2",
    )
    moving = np.isin(data.y_test, ["running", "walking", "standing"])
    names = ["a person runs", "standing still", "taking a walk"]
    truth = {"running": names[0], "standing": names[1], "walking": names[2]}
    found = base.predict_zero_shot(X[moving], names)
    wanted = np.array([truth[label] for label in data.y_test[moving]])
    assert (found == wanted).mean() > 0.6
    proba = base.predict_proba_zero_shot(X[moving], names)
    np.testing.assert_allclose(proba.sum(axis=1), 1)


def test_windows_without_gyroscope_use_another_classifier(base):
    X = harmonise(windows(), channel_names=CHANNELS, sampling_rate=50)
    names = ["walking", "sitting"]
    with_it = base.predict_proba_zero_shot(X, names)
    lost = np.array(X)
    lost[:, 3:] = np.nan
    without = base.predict_proba_zero_shot(lost, names)
    lost[:, 3:] = 0.5
    constant = base.predict_proba_zero_shot(lost, names)
    assert np.abs(with_it - without).max() > 0.01
    np.testing.assert_allclose(without, constant)
    assert base.predict(lost).shape == (6,)
    assert set(base.predict(X)) <= set(base.classes_)
    assert list(base.explain_zero_shot(lost, names)["label"]) == [
        names[i] for i in without.argmax(axis=1)
    ]
    assert len(base.search(lost, "jumping")) == 6
    without = base.adapter_.accelerometer.caption(lost[:, :3]).tolist()
    assert base.caption(lost).tolist() == without != base.caption(X).tolist()
    cosines = base.similarity(lost, names)
    assert cosines.shape == (6, 2) and (np.abs(cosines) <= 1).all()


def test_windows_unlike_the_names_are_unknown(base, monkeypatch):
    X, y = motionsense()
    every = np.unique(y).tolist()
    known = base.predict_zero_shot(X, every, unknown_label="none")
    assert (known == "none").mean() < 0.2
    still = ["sitting", "standing"]
    found = base.predict_zero_shot(X, still, unknown_label="none") == "none"
    assert found[np.isin(y, still)].mean() < 0.2
    assert found[~np.isin(y, still)].mean() > 0.5
    blows = np.zeros((1, 6, 128))  # a device at rest that is hit once
    blows[:, 1] = 1
    blows[:, :, 60] = 8
    names = ["walking", "sitting"]
    assert base.predict_zero_shot(blows, names, unknown_label="none") == ["none"]
    assert set(base.predict_zero_shot(blows, names)) <= set(names)
    early = replace(base.zero_shot_, scorer=BridgeScorer())
    monkeypatch.setattr(base, "zero_shot_", early)
    with pytest.raises(ValueError, match="Build the base model again"):
        base.predict_zero_shot(blows, names, unknown_label="none")


def test_early_thresholds_of_novelty_are_ignored(base):
    state = get_state(base)
    early = dict(state["zero_shot"], highest_novelty=1.0)
    del early["novelty_threshold"]
    copy = from_state("ActivityClassifier", {**state, "zero_shot": early})
    X = motionsense()[0][:4]
    np.testing.assert_array_equal(copy.predict_proba(X), base.predict_proba(X))
    with pytest.raises(ValueError, match="Build the base model again"):
        copy.predict_zero_shot(X, ["walking", "sitting"], unknown_label="none")


def test_a_base_helps_with_few_labelled_windows(base, tmp_path):
    X, y = motionsense()
    few = np.concatenate([np.flatnonzero(y == label)[:1] for label in np.unique(y)])
    rest = np.setdiff1d(np.arange(len(y)), few)
    params = {"channel_names": CHANNELS, "sampling_rate": 50, "random_state": 0}
    alone = VQTextClassifier(**params).fit(X[few], y[few])
    helped = VQTextClassifier(**params).fit(X[few], y[few], init="wearables")
    right = [(model.predict(X[rest]) == y[rest]).mean() for model in (alone, helped)]
    assert right[1] > right[0]
    proba = helped.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    np.testing.assert_allclose(helped.predict_proba(X[3:4]), proba[3:4], atol=1e-9)
    names = helped.classes_.tolist()
    found = helped.predict_proba_zero_shot(X, names)
    np.testing.assert_allclose(found, proba, atol=1e-9)
    ranked = helped.search(X, names[0])
    np.testing.assert_allclose(ranked["score"], proba[ranked["case"], 0], atol=1e-9)
    given = VQTextClassifier(**params).fit(X[few], y[few], init=base)
    np.testing.assert_array_equal(given.predict_proba(X), proba)
    saved = load_model(save(helped, tmp_path / "model.safetensors"))
    np.testing.assert_array_equal(saved.predict_proba(X), proba)
    with pytest.warns(UserWarning, match="the base model"):
        helped.explain(X[:1])
    with pytest.raises(ValueError, match="cannot be exported"):
        export_onnx(helped, tmp_path / "model.onnx")
    assert helped.fit(X[few], y[few]).enrolment_ is None
    # Acceleration is in another unit, and there is no gyroscope.
    params["channel_names"] = CHANNELS[:3]
    X = GRAVITY * X[:, :3]
    helped = VQTextClassifier(**params).fit(X[few], y[few], init="wearables")
    assert (helped.predict(X[rest]) == y[rest]).mean() > right[0] - 0.1


@pytest.mark.parametrize(
    ("params", "init", "message"),
    [
        ({"sampling_rate": 50}, "wearables", "requires the parameters channel_names"),
        ({"channel_names": CHANNELS}, "wearables", "channel_names and sampling_rate"),
        (
            {"channel_names": CHANNELS, "sampling_rate": 50},
            "model.safetensors",
            r"Packaged models: \['wearables'\]",
        ),
        (
            {"channel_names": [f"mag_{i}" for i in range(6)], "sampling_rate": 50},
            "wearables",
            "No accelerometer",
        ),
    ],
)
def test_a_base_needs_names_and_a_rate(params, init, message):
    with pytest.raises(ValueError, match=message):
        VQTextClassifier(**params).fit(windows(), ["walking", "sitting"] * 3, init=init)


def test_a_base_needs_labels_in_words():
    model = VQTextClassifier(channel_names=CHANNELS, sampling_rate=50)
    with pytest.raises(ValueError, match="labels that are words"):
        model.fit(windows(), [1, 2] * 3, init="wearables")
    model.set_params(text={1: "a person walks", 2: "a person sits"}, random_state=0)
    model.fit(
        [each[:, 40 * (i % 2) :] for i, each in enumerate(windows())],
        [1, 2] * 3,
        init="wearables",
    )
    short = [each[:, :60] for each in windows()]
    proba = model.predict_proba([*short[:2], windows()[2]])
    np.testing.assert_allclose(model.predict_proba(short[:1]), proba[:1], atol=1e-9)


def test_damaged_enrolments_are_errors(base):
    X, y = motionsense()
    model = VQTextClassifier(channel_names=CHANNELS, sampling_rate=50, random_state=0)
    state = get_state(model.fit(X[::8], y[::8], init=base))
    for part, value in (
        *(("plan", {}), ("weight", -1.0), ("bridge", {"shares": None})),
        ("plan", {**state["enrolment"]["plan"], "acceleration": (0, 1, 9)}),
    ):
        damaged = {**state, "enrolment": {**state["enrolment"], part: value}}
        with pytest.raises(ValueError):
            from_state("VQTextClassifier", damaged)


def test_a_base_is_not_fitted_to_one_panel(base):
    with pytest.raises(TypeError, match="fit\\(X, y, init=base\\)"):
        base.fit(windows(), ["walking", "sitting"] * 3)


def test_scores_do_not_depend_on_other_windows(base):
    X = harmonise(windows(), channel_names=CHANNELS, sampling_rate=50)
    names = ["walking", "sitting", "cycling"]
    every = base.predict_proba_zero_shot(X, names)
    one = base.predict_proba_zero_shot(X[2:3], names)
    np.testing.assert_allclose(every[2:3], one, atol=1e-6)


def motionsense():
    """Return windows of a phone in a pocket, with labels."""
    with np.load(Path(__file__).parent / "data" / "motionsense.npz") as file:
        return file["X"].astype(np.float64), file["y"]


def recording():
    """Return a recording of sitting followed by jogging, in m/s^2."""
    X, y = motionsense()
    values = np.concatenate([*X[y == "sitting"][:6], *X[y == "jogging"][:6]], axis=1)
    values[:3] *= GRAVITY
    table = pd.DataFrame(values.T, columns=CHANNELS)
    steps = pd.to_timedelta(np.arange(len(table)) / 50, unit="s")
    return table.assign(time=pd.Timestamp("2026-01-01") + steps)


@pytest.mark.parametrize("sensors", [6, 3])
def test_recordings_are_segmented_by_names(base, sensors):
    table = recording()[[*CHANNELS[:sensors], "time"]]
    found = harmonise(read_recordings(table))
    assert found.channel_names == CHANNELS
    assert "acceleration is in m/s^2" in found.notes
    segments = segment(base, found, candidate_labels=["sitting still", "running"])
    assert segments["label"].iloc[0] == "sitting still"
    assert segments["label"].iloc[-1] == "running"


def test_the_command_writes_segments_and_a_report(tmp_path, capsys):
    source, target = tmp_path / "day.csv", tmp_path / "segments.csv"
    recording().to_csv(source, index=False)
    names, page = "sitting, <b>running</b>", tmp_path / "page.html"
    arguments = [str(source), "--names", names, "--output", str(target), "--quiet"]
    assert main(["label", *arguments, "--report", str(page)]) == 0
    table = pd.read_csv(target)
    assert [*table.columns[:5]] == [
        *("recording", "start", "end", "label", "probability")
    ]
    assert set(table["label"].dropna()) == {"sitting", "<b>running</b>"}
    html = page.read_text(encoding="utf-8")
    assert html.count("<polyline") == 3 and html.count("<rect") == len(table)
    assert "&lt;b&gt;running" in html and "<b>" not in html
    assert "jogging" in html and "acceleration is in m/s^2" in html
    assert main(["label", str(source), "--names", "sitting", "--quiet"]) == 1
    arguments[-1:] = ["--report", str(source)]
    assert main(["label", *arguments]) == 1
    assert "same file as" in capsys.readouterr().err


def test_the_report_shows_unknown_activities_in_a_colour_of_their_own(tmp_path):
    source, page = tmp_path / "day.csv", tmp_path / "page.html"
    recording().to_csv(source, index=False)
    names = ["--names", "sitting, standing", "--unknown", "other"]
    output = ["--output", str(tmp_path / "segments.csv"), "--report", str(page)]
    assert main(["label", str(source), *names, *output, "--quiet"]) == 0
    html = page.read_text(encoding="utf-8")
    assert '<span class="key k2"></span>other</li>' in html
    drawn = re.findall(r'<rect class="lane (k\d)".*<title>(\w+)</title>', html)
    assert set(drawn) == {("k0", "sitting"), ("k2", "other")}


def test_the_command_builds_a_base(tmp_path, capsys):
    y = np.array(["walking", "sitting"] * 6)
    X = np.where((y == "sitting")[:, None, None], 0.1, 1) * (windows(12) - 1) + 1
    X[:, :3] += [[0], [1], [0]]
    names = np.array(CHANNELS)
    file, path = tmp_path / "mine.npz", tmp_path / "base.safetensors"
    np.savez(file, X=X, y=y, channel_names=names, sampling_rate=50.0)
    words = ["build-base", str(file), "--output", str(path), "--units", "g"]
    assert main(words) == 0
    assert "mine: 12 windows of sitting, walking" in capsys.readouterr().out
    assert load_base(path).card_["sets"][0]["name"] == "mine"
    np.savez(file, X=X, y=y)
    assert main(words) == 1
    assert "could not be determined" in capsys.readouterr().err


def test_a_base_from_own_data_sets(tmp_path):
    y = np.array(["walking", "sitting"] * 8)
    still = (y == "sitting")[:, None, None]
    sets = []
    for seed in (0, 1):
        X = windows(16, seed=seed)
        X = np.where(still, X.mean(axis=2, keepdims=True) + 0.02 * X, X)
        sets.append(
            LabelledSet(f"set {seed}", X, y, CHANNELS, 50, about={"place": "a"})
        )
    path = build_base(sets, tmp_path / "base.safetensors", card={"limits": ["few"]})
    again = build_base(sets, tmp_path / "again.safetensors", card={"limits": ["few"]})
    assert path.read_bytes() == again.read_bytes()
    base = load_base(path)
    assert base.card_["limits"] == ["few"]
    assert base.card_["sets"][1]["windows"] == 16
    found = base.predict_zero_shot(sets[0].X, ["sitting still", "going for a walk"])
    assert ((found == "sitting still") == still[:, 0, 0]).mean() > 0.8
    for without in (sets[0].X[:, :3], sets[0].X):
        X = np.full_like(sets[0].X, np.nan)
        X[:, : without.shape[1]] = without
        saved = load_model(save(base, tmp_path / "copy.safetensors"))
        np.testing.assert_array_equal(base.predict_proba(X), saved.predict_proba(X))


def test_classes_that_were_recorded_without_gyroscope(tmp_path):
    X, y = motionsense()
    rows = np.isin(y, np.unique(y)[:3])
    X, y = X[rows], y[rows]
    is_first = y == np.unique(y)[0]
    sets = [
        LabelledSet("both", X[~is_first], y[~is_first], CHANNELS, 50),
        LabelledSet("acceleration", X[:, :3], y, CHANNELS[:3], 50),
    ]
    base = load_base(build_base(sets, tmp_path / "base.safetensors"))
    without = X[~is_first].copy()
    without[:, 3:] = np.nan
    assert base.predict_proba(without).shape[1] == len(base.classes_) == 2
    assert (base.predict(without) == y[~is_first]).mean() > 0.8


def test_other_files_are_not_a_base(tmp_path):
    X = np.random.default_rng(0).normal(size=(8, 1, 40)).cumsum(axis=2)
    model = VQTextClassifier(text=None, random_state=0).fit(X, ["a", "b"] * 4)
    with pytest.raises(ValueError, match="not a base model"):
        load_base(save(model, tmp_path / "model.safetensors"))
    with pytest.raises(FileNotFoundError):
        load_base(tmp_path / "none.safetensors")
    damaged = tmp_path / "damaged.safetensors"
    shutil.copy(FOLDER / "wearables.safetensors", damaged)
    damaged.write_bytes(damaged.read_bytes()[:-100])
    with pytest.raises(ValueError, match="damaged"):
        load_base(damaged)


def test_no_data_sets():
    with pytest.raises(ValueError, match="sets is empty"):
        build_base([], "base.safetensors")


@pytest.mark.parametrize("state", [None, {}, {"card": []}, {"card": {}}])
def test_incomplete_states_of_a_base_are_errors(state):
    with pytest.raises(ValueError, match="the base model has no"):
        from_state("ActivityClassifier", state)


def test_windows_with_and_without_gyroscope_are_predicted_separately(base):
    X = harmonise(windows(8), channel_names=CHANNELS, sampling_rate=50)
    names = ["walking", "sitting", "cycling"]
    lost = np.array(X)
    lost[::3, 3:] = np.nan
    is_lost = np.arange(8) % 3 == 0
    apart = (lost[is_lost], X[~is_lost])

    def check(method, *arguments):
        found = method(lost, *arguments)
        for rows, own in zip((is_lost, ~is_lost), apart, strict=True):
            expected = method(own, *arguments)
            if found.dtype.kind == "f":
                np.testing.assert_allclose(found[rows], expected, atol=1e-6)
            else:
                assert found[rows].tolist() == expected.tolist()

    check(base.predict_proba)
    check(base.predict_proba_zero_shot, names, "other")
    check(base.similarity, names)
    check(base.caption)
    found = base.explain_zero_shot(lost, names)
    assert found["case"].tolist() == list(range(8))
    assert found["label"].tolist() == base.predict_zero_shot(lost, names).tolist()
    ranks = base.search(lost, "walking")
    assert sorted(ranks["case"]) == list(range(8))
    assert (np.diff(ranks["score"]) <= 0).all()
    with pytest.raises(ValueError, match="one kind of windows"):
        base.channel_importances(lost, base.predict(lost))


def test_explanations_are_of_the_classifier_without_gyroscope(base):
    X = harmonise(windows(8), channel_names=CHANNELS, sampling_rate=50)
    lost = np.array(X)
    lost[::3, 3:] = np.nan
    proba = base.predict_proba(lost)
    table = base.explain(lost)
    assert table.drop_duplicates("case")["label"].tolist() == [*base.predict(lost)]
    first, second = base.classes_[np.argsort(-proba, axis=1)[:, :2]].T
    for case, own in table.groupby("case"):
        pair = [np.flatnonzero(base.classes_ == each[case]) for each in (first, second)]
        if own["against"].iloc[0] == second[case]:
            odds = np.log(proba[case, pair[0]] / proba[case, pair[1]])
            np.testing.assert_allclose(own["contribution"].sum(), odds, atol=1e-6)


def test_gaps_have_no_effect_on_the_unit_of_time():
    table = recording().drop(columns="time")
    steps = np.arange(len(table)) * 20
    table["time"] = steps + np.where(np.arange(len(table)) < 300, 0, 50_000)
    single = table.iloc[[0]].assign(recording="a")
    both = pd.concat([single, table.assign(recording="b")])
    for source in (table, both):
        found = harmonise(read_recordings(source), sampling_rate=50)
        assert found.sampling_rate == pytest.approx(50)


def test_padding_is_found_if_a_channel_is_empty():
    X = np.full((2, 6, 300), np.nan)
    X[:, :, :128] = windows(2)
    options = {"channel_names": CHANNELS, "sampling_rate": 50}
    expected = harmonise(X, **options)
    X[1, 3:] = np.nan
    np.testing.assert_array_equal(harmonise(X, **options)[0], expected[0])


@pytest.mark.parametrize(
    ("sensors", "chosen", "rotation"),
    [
        (("chest_acc", "ankle_acc", "ankle_gyro"), 1, 2),
        (("left_wrist_acc", "right_wrist_acc", "right_wrist_gyro"), 1, 2),
        (("chest_acc", "ankle_gyro"), 0, None),
        (("phone_accel", "phone_gyro", "watch_accel", "watch_gyro"), 0, 1),
        (("hand_acc16", "hand_acc6", "hand_gyro"), 0, 2),
        (("accelerometer", "gyroscope"), 0, 1),
        (("chest_acc", "gyro"), 0, 1),
        (("acc_mg", "gyro_dps"), 0, 1),
        (("acc_6g", "gyro_500dps"), 0, 1),
        (("adxl345_acc", "itg3200_gyro"), 0, 1),
        (("accel_ms2", "gyro_rads"), 0, 1),
        (("imu1_acc", "imu2_acc", "imu2_gyro"), 1, 2),
        (("sternum_acc", "lumbar_acc", "lumbar_gyro"), 1, 2),
        (("leftwrist_acc", "rightwrist_acc", "rightwrist_gyro"), 1, 2),
        (("acc_lowpass", "gyro_highpass"), 0, 1),
        (("imu001_acc", "imu002_acc", "imu002_gyro"), 1, 2),
        (("adxl345_acc", "mpu6050_acc", "mpu6050_gyro"), 1, 2),
    ],
)
def test_sensors_of_the_same_device_are_used(sensors, chosen, rotation):
    names = [f"{sensor}_{axis}" for sensor in sensors for axis in "xyz"]
    plan = find_sensors(names)
    assert plan.acceleration == tuple(range(3 * chosen, 3 * chosen + 3))
    if rotation is None:
        assert plan.rotation is None
        assert "there is no gyroscope at the place of chest_acc" in plan.notes
    else:
        assert plan.rotation == tuple(range(3 * rotation, 3 * rotation + 3))
    accelerometers = [each for each in sensors if "acc" in each]
    note = f"of the accelerometers {accelerometers}, only {sensors[chosen]} is used"
    assert (note in plan.notes) == (len(accelerometers) > 1)


def test_gravity_of_the_same_device_is_added():
    sensors = [
        f"{device}_{sensor}"
        for sensor in ("gravity", "userAcceleration")
        for device in ("phone", "watch")
    ]
    plan = find_sensors([f"{sensor}_{axis}" for sensor in sensors for axis in "xyz"])
    assert plan.gravity == (0, 1, 2) and plan.acceleration == (6, 7, 8)
    assert "phone_gravity + phone_userAcceleration is the acceleration" in plan.notes
    assert any("only phone_userAcceleration is used" in note for note in plan.notes)


def test_an_acceleration_without_gravity_is_reported():
    X = windows()[:, :3]
    X[:, 1] -= X[:, 1].mean()
    options = {"sampling_rate": 50, "units": "g"}
    found = harmonise(X, channel_names=CHANNELS[:3], **options)
    assert "the acceleration does not seem to include gravity" in found.notes
    names = ["user_acc_x", "user_acc_y", "user_acc_z"]
    with pytest.warns(UserWarning, match="user_acc is an acceleration without gravity"):
        harmonise(X, channel_names=names, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        harmonise(windows()[:, :3], channel_names=names, **options)


def test_windows_of_recordings_need_no_gyroscope(base):
    table = recording()[[*CHANNELS[:3], "time"]]
    found = harmonise(read_recordings(table)).windows(2.56, 1.28)
    assert found.X.shape[1] == 6 and len(found.X) > 20
    assert np.isnan(found.X[:, 3:]).all()
    apart = read_recordings(table).windows(2.56, 1.28)
    X = harmonise(apart.X, channel_names=CHANNELS[:3], sampling_rate=50)
    np.testing.assert_allclose(base.predict_proba(found.X), base.predict_proba(X))


def test_lists_of_windows_may_have_empty_channels(base):
    X = np.array(harmonise(windows(), channel_names=CHANNELS, sampling_rate=50))
    X[::2, 3:] = np.nan
    expected = base.predict_proba(X)
    np.testing.assert_array_equal(base.predict_proba(list(X)), expected)
    given = [window[:, : 128 - i] for i, window in enumerate(X)]
    found = harmonise(given, channel_names=CHANNELS, sampling_rate=50)
    assert np.isnan(found[::2, 3:]).all() and not np.isnan(found[0, :3, :127]).any()


def test_the_report_explains_recordings_of_different_devices(base):
    table = recording()
    table["time"] = table["time"].dt.as_unit("ns")
    fast = table.loc[table.index.repeat(2)].assign(
        time=table["time"][0] + pd.to_timedelta(np.arange(2 * len(table)) * 10, "ms")
    )
    slow = table.copy()
    slow[[*CHANNELS[3:]]] = np.nan
    names = ["sitting", "running"]

    def rows(*tables):
        every = pd.concat(
            [each.assign(recording=str(i)) for i, each in enumerate(tables)]
        )
        recordings = harmonise(read_recordings(every))
        segments = segment(base, recordings, 2.56, candidate_labels=names)
        return describe_recordings(base, recordings, segments, names, names)

    found = rows(table, slow, fast)
    for i, alone in enumerate([table, slow, fast]):
        expected = rows(alone)[0]["segments"]
        for own, other in zip(found[i]["segments"], expected, strict=True):
            assert (own["label"], own["like"]) == (other["label"], other["like"])


def test_missing_angular_velocity_has_no_effect_on_its_unit():
    table = recording()
    table[[*CHANNELS[3:]]] *= 180 / np.pi
    table.loc[: 0.7 * len(table), CHANNELS[3:]] = np.nan
    found = harmonise(read_recordings(table))
    assert "angular velocity is in deg/s" in found.notes


def test_files_of_other_sensors_raise_an_error(tmp_path):
    table = recording()
    for file, sensor in (("TotalAcceleration", "acc"), ("Gyroscope", "gyro")):
        own = table[["time", *(f"{sensor}_{axis}" for axis in "xyz")]]
        own.columns = ["time", "x", "y", "z"]
        own.to_csv(tmp_path / f"{file}.csv", index=False)
    with pytest.raises(
        ValueError, match=r"\['Gyroscope'\] do not contain acceleration"
    ):
        harmonise(read_recordings(tmp_path))
    (tmp_path / "Gyroscope.csv").unlink()
    own = pd.read_csv(tmp_path / "TotalAcceleration.csv")
    for name in ("acc_with_gravity", "walk_with_gravity", "gyrotonic"):
        own.to_csv(tmp_path / f"{name}.csv", index=False)
    harmonise(read_recordings(tmp_path))
    one = harmonise(read_recordings(tmp_path / "TotalAcceleration.csv"))
    assert "channels x, y and z are the accelerometer" in one.notes


@pytest.mark.parametrize("sensor", ["acceleration", "accel", "accelerometer"])
def test_places_may_follow_the_sensor_in_names(sensor):
    sensors = [f"{sensor}_wrist", f"{sensor}_ankle", "gyroscope_ankle"]
    plan = find_sensors([f"{each}_{axis}" for each in sensors for axis in "xyz"])
    assert plan.acceleration == (3, 4, 5) and plan.rotation == (6, 7, 8)


def test_the_report_omits_reasons_without_acceleration(base):
    table = recording()
    table.loc[: len(table) // 2, "acc_x"] = np.nan
    recordings = harmonise(read_recordings(table))
    names = ["sitting", "running"]
    segments = segment(base, recordings, 2.56, candidate_labels=names)
    shown = describe_recordings(base, recordings, segments, names, names)[0]["shown"]
    assert shown[0]["like"] == "" and shown[-1]["like"]


def test_windows_in_an_outage_of_the_gyroscope_are_dropped():
    table = recording()
    table.loc[200:900, CHANNELS[3:]] = np.nan
    with pytest.warns(UserWarning, match="windows are dropped"):
        found = harmonise(read_recordings(table)).windows(2.56)
    assert not np.isnan(found.X).all(axis=2).any()


def test_missing_acceleration_does_not_hide_the_gyroscope(base):
    X = np.array(harmonise(windows(), channel_names=CHANNELS, sampling_rate=50))
    X[0, :3, 50:80] = np.nan
    alone = base.predict_proba(X[:1])
    X[1, 3:] = np.nan
    np.testing.assert_allclose(base.predict_proba(X)[:1], alone, atol=1e-6)


def test_recordings_with_and_without_gyroscope_have_windows():
    table = recording()
    lost = table.assign(**dict.fromkeys(CHANNELS[3:], np.nan))
    both = pd.concat([table.assign(recording="a"), lost.assign(recording="b")])
    windows = harmonise(read_recordings(both)).windows(2.56)
    counts = windows.table["recording"].value_counts()
    assert counts["a"] == counts["b"]
