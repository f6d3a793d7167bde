"""Segments of recordings: best path, times, gaps, outages and channels."""

import itertools
import tracemalloc
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sktext_vq import DriftWarning, VQTextClassifier
from sktext_vq._segmentation.viterbi import most_probable_path
from sktext_vq.recordings import Recordings, read_recordings, segment

NAMES = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
COLUMNS = [
    *("recording", "start", "end", "label", "probability", "transition", "note"),
]


def classifier_with(probabilities, classes=("a", "b")):
    return SimpleNamespace(
        classes_=np.array(classes), predict_proba=lambda X: np.array(probabilities)
    )


def by_mean(X):
    """Return probabilities of "low" and "high" from the mean of the first channel."""
    high = 1 / (1 + np.exp(-10 * np.nanmean(X[:, 0], axis=1)))
    return np.stack([1 - high, high], axis=1)


BY_MEAN = SimpleNamespace(classes_=np.array(["low", "high"]), predict_proba=by_mean)


def two_states(n_timepoints=400, n_channels=1):
    rng = np.random.default_rng(0)
    level = np.where(np.arange(n_timepoints) < n_timepoints // 2, -1.0, 1.0)
    return level + rng.normal(0, 0.1, (n_channels, n_timepoints))


def as_table(values, rate=50, names=NAMES):
    table = pd.DataFrame(values.T, columns=list(names[: len(values)]))
    start = pd.Timestamp("2025-05-05 07:00")
    elapsed = np.arange(values.shape[1]) * round(1e9 / rate)
    return table.assign(time=start + pd.to_timedelta(elapsed, unit="ns"))


def covers(table):
    starts, ends = table["start"].to_numpy(), table["end"].to_numpy()
    return (starts[1:] == ends[:-1]).all() and (starts < ends).all()


# -- Viterbi -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_path_has_the_highest_score(seed):
    rng = np.random.default_rng(seed)
    n_classes = 2 + seed % 2
    scores = np.log(rng.dirichlet(np.ones(n_classes), 5))
    kept = rng.uniform(0.05, 0.99, 4)
    move = (1 - kept) / (n_classes - 1)

    def score(path):
        steps = np.where(np.diff(path) == 0, kept, move)
        return scores[np.arange(5), path].sum() + np.log(steps).sum()

    every = map(np.array, itertools.product(range(n_classes), repeat=5))
    best = max(every, key=score)
    np.testing.assert_array_equal(most_probable_path(scores, kept), best)


# -- Arrays --------------------------------------------------------------------------


def test_a_single_doubtful_window_has_no_effect():
    sure, doubtful = [0.9, 0.1], [0.4, 0.6]
    model = classifier_with([sure, sure, doubtful, sure, sure])
    table = segment(model, np.zeros((1, 60)), 20, 10)
    assert list(table) == COLUMNS
    assert table["label"].tolist() == ["a"]
    assert table.loc[0, ["recording", "start", "end"]].tolist() == ["recording", 0, 60]
    # The mean is over timepoints: 50 from certain windows, 10 from doubtful windows.
    assert table["probability"][0] == pytest.approx((50 * 0.9 + 10 * 0.4) / 60)


def test_doubtful_windows_at_a_change_are_a_transition_on_request():
    a, between, b = [0.99, 0.01], [0.5, 0.5], [0.01, 0.99]
    model = classifier_with([a, a, between, b, b])
    recording, quick = np.zeros((1, 60)), {"self_transition": 0.5}
    table = segment(model, recording, 20, 10, min_probability=0.6, **quick)
    assert table["label"].tolist() == ["a", "a -> b", "b"]
    assert table["transition"].tolist() == [False, True, False]
    assert table["start"].tolist() == [0, 25, 35]
    assert table["end"].tolist() == [25, 35, 60]
    assert len(segment(model, recording, 20, 10, **quick)) == 2


def test_labels_have_the_type_of_the_classifier():
    model = classifier_with([[1, 0], [1, 0]], classes=(7, 9))
    found = segment(model, np.zeros(40), 20, 20)["label"]
    assert found.tolist() == [7] and found.dtype.kind == "i"


def test_results_hardly_depend_on_the_step():
    values = two_states()
    for step in (5, 10, 20):
        table = segment(BY_MEAN, values, 20, step)
        assert table["label"].tolist() == ["low", "high"]
        assert abs(table["end"][0] - 200) <= step


@pytest.mark.parametrize("candidates", [None, ["standing", "badminton", "running"]])
def test_segments_of_real_activities_are_found(model, basic_motions, candidates):
    data, parts = basic_motions, ["standing", "badminton", "running"]
    values = np.concatenate(
        [np.concatenate([*data.X_test[data.y_test == c][:5]], axis=1) for c in parts],
        axis=1,
    )
    table = segment(model, values, candidate_labels=candidates)
    assert table["start"].iloc[0] == 0 and table["end"].iloc[-1] == 1500
    assert covers(table)
    row = np.searchsorted(table["end"], np.arange(1500), side="right")
    right = table["label"].to_numpy()[row] == np.repeat(parts, 500)
    assert right.mean() > 0.8


def test_segments_unlike_any_class_have_the_unknown_label(model, basic_motions):
    data = basic_motions
    standing = np.concatenate([*data.X_test[data.y_test == "standing"][:3]], axis=1)
    noise = 50 * np.random.default_rng(0).normal(size=standing.shape)
    values = np.concatenate([standing, noise], axis=1)
    names = ["standing", "running"]
    with pytest.warns(DriftWarning):
        table = segment(model, values, candidate_labels=names, unknown_label="other")
    assert table["label"].tolist() == ["standing", "other"]
    assert abs(table["end"][0] - 300) <= 50
    with pytest.raises(ValueError, match="requires candidate_labels"):
        segment(model, values, unknown_label="other")


# -- Times ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("times", "end"),
    [
        (pd.Timestamp("2025-05-05") + pd.to_timedelta(np.arange(400) / 50, "s"), None),
        (pd.to_timedelta(np.arange(400) / 50, "s"), pd.Timedelta(8, "s")),
        (1_750_000_000_000 + 20 * np.arange(400), 1_750_000_008_000),
        (3 + np.arange(400) / 50, 11.0),
    ],
    ids=["dates", "durations", "epoch", "seconds"],
)
def test_times_of_segments_are_times_of_the_recording(times, end):
    table = pd.DataFrame({"time_s" if end == 11.0 else "time": times})
    if end == 11.0:
        options = {"time_column": "time_s"}
    else:
        options = {}
    recordings = read_recordings(table.assign(acc_x=two_states()[0]), **options)
    found = segment(BY_MEAN, recordings, 0.4)
    assert found["label"].tolist() == ["low", "high"]
    assert found["start"][0] == times[0]
    assert found["end"][1] == (
        pd.Timestamp("2025-05-05 00:00:08") if end is None else end
    )
    middle = times[200] - found["end"][0]
    seconds = middle.total_seconds() if hasattr(middle, "total_seconds") else middle
    assert abs(seconds) <= (200 if isinstance(end, int) else 0.2)


def test_timepoints_are_used_without_times():
    table = pd.DataFrame({"acc_x": two_states()[0]})
    found = segment(BY_MEAN, table, 20, seconds=False)
    assert found["end"].tolist()[1] == 400
    with pytest.raises(ValueError, match="sampling rate is unknown"):
        segment(BY_MEAN, table, 0.4)


def test_recordings_have_separate_rows():
    table = pd.concat(
        [as_table(two_states()).assign(device=name) for name in ("left", "right")]
    )
    found = segment(BY_MEAN, table, 0.4)
    assert found["recording"].tolist() == ["left", "left", "right", "right"]
    assert found["label"].tolist() == ["low", "high"] * 2


# -- Gaps and outages ----------------------------------------------------------------


def test_gaps_are_rows_without_label_and_have_no_other_effect():
    table = as_table(two_states())
    whole = segment(BY_MEAN, table, 0.4)
    hour = pd.Timedelta(1, "h")
    late = np.arange(400) >= 307
    found = segment(BY_MEAN, table.assign(time=table["time"] + hour * late), 0.4)
    assert found["label"].tolist()[:2] == ["low", "high"]
    assert np.isnan(found["label"][2]) and np.isnan(found["probability"][2])
    assert found["note"].tolist() == ["", "", "no data", ""]
    assert covers(found)
    assert found["end"][2] == table["time"][307] + hour
    assert found["end"][0] == whole["end"][0]
    assert found["end"][3] == whole["end"][1] + hour


def test_short_stretches_are_labelled_from_half_a_window():
    table = as_table(two_states())
    kept = np.ones(400, bool)
    kept[300:320] = kept[329:350] = kept[365:380] = False  # 9, 15 and 20 timepoints
    found = segment(BY_MEAN, table[kept], 0.4, max_gap=0.1)
    assert covers(found)
    notes = ["", "", "no data", "too short", "no data", "", "no data", ""]
    assert found["note"].tolist() == notes
    assert found["label"].isna().tolist() == [bool(note) for note in notes]
    with pytest.raises(ValueError, match="shorter than half a window of 900"):
        segment(BY_MEAN, table, 18)


def test_times_at_which_all_channels_are_missing_are_gaps():
    values = two_states(n_channels=2)
    values[:, 100:150] = np.nan
    values[:, 390:] = np.nan
    found = segment(BY_MEAN, as_table(values), 0.4)
    assert found["note"].tolist() == ["", "no data", "", "", "no data"]
    assert found["label"].dropna().tolist() == ["low", "low", "high"]
    assert covers(found) and found["end"].iloc[-1] == pd.Timestamp(
        "2025-05-05 07:00:08"
    )
    array = segment(BY_MEAN, values, 20)
    assert array["end"].tolist()[:2] == [100, 150] and array["end"].iloc[-1] == 400


@pytest.fixture(scope="module")
def model(basic_motions):
    model = VQTextClassifier(
        16,
        text_encoder="hashing",
        max_epochs=0,
        channel_names=NAMES,
        sampling_rate=10,
        random_state=0,
    )
    return model.fit(basic_motions.X_train, basic_motions.y_train)


@pytest.fixture(scope="module")
def motions(basic_motions):
    """Return a recording of running, standing and walking, 50 s each, at 10 Hz."""
    data = basic_motions
    parts = [data.X_test[data.y_test == c][:5] for c in ("running", "standing")]
    return np.concatenate([*parts[0], *parts[1]], axis=1)


@pytest.mark.parametrize("value", [np.nan, 0.5])
def test_a_dead_channel_is_noted_and_has_no_other_effect(model, motions, value):
    whole = segment(model, as_table(motions, 10))
    assert whole["label"].tolist() == ["running", "standing"]
    values = motions.copy()
    values[1, 120:300] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error", DriftWarning)
        found = segment(model, as_table(values, 10))
    what = "missing" if np.isnan(value) else "constant"
    start = pd.Timestamp("2025-05-05 07:00")
    assert found["note"].tolist() == ["", f"acc_y {what}", "", ""]
    assert found["label"].tolist() == ["running"] * 3 + ["standing"]
    assert ((found["end"] - start) / pd.Timedelta(1, "s")).tolist()[:2] == [12, 30]
    assert found["end"].tolist()[2:] == whole["end"].tolist()


def test_a_channel_without_values_is_noted(model, motions):
    values = motions.copy()
    values[5] = np.nan
    found = segment(model, as_table(values, 10))
    assert set(found["note"]) == {"gyro_z missing"}
    assert found["label"].tolist() == ["running", "standing"]


def test_channels_that_are_constant_in_training_are_not_noted(basic_motions):
    X = basic_motions.X_train.copy()
    X[::5, 5] = 0
    model = VQTextClassifier(4, text_encoder="hashing", max_epochs=0, random_state=0)
    model.fit(X, basic_motions.y_train)
    values = np.concatenate(list(basic_motions.X_test[:4]), axis=1)
    values[4:, :250] = 0
    found = segment(model, values)
    assert found["note"].tolist() == ["channel 4 constant", ""]


def test_constant_channels_are_valid_if_the_classifier_does_not_know():
    values = np.concatenate([two_states(), np.zeros((1, 400))])
    found = segment(BY_MEAN, as_table(values), 0.4)
    assert found["label"].tolist() == ["low", "high"]
    assert set(found["note"]) == {"acc_y constant"}
    values[1, 195:] = values[0, 195:]  # constant for less than ten windows
    assert set(segment(BY_MEAN, as_table(values), 0.4)["note"]) == {""}


# -- Classifiers ---------------------------------------------------------------------


def test_channels_are_matched_by_name(model, motions):
    table = as_table(motions, 10)
    whole = segment(model, table)
    other = table[[*table.columns[::-1]]].assign(heart_rate=80.0)
    with pytest.warns(UserWarning, match="Channels 'heart_rate' of the recordings are"):
        found = segment(model, other)
    pd.testing.assert_frame_equal(found, whole)
    with pytest.raises(ValueError, match="channels of the training windows: 'acc_y'"):
        segment(model, table.drop(columns="acc_y"))


def test_recordings_at_another_rate_are_resampled(model, motions):
    quick = np.repeat(motions, 2, axis=1)
    found = segment(model, as_table(quick, 20))
    slow = segment(model, as_table(motions, 10))
    assert found["label"].tolist() == slow["label"].tolist()
    apart = (found["end"] - slow["end"]).abs().max()
    assert apart <= pd.Timedelta(2.5, "s")
    assert covers(found) and found["end"].iloc[-1] == slow["end"].iloc[-1]


def test_warnings_are_issued_once_for_all_batches(model, motions):
    table = as_table(np.tile(9.8 * motions, 3), 10)
    with pytest.warns() as caught:
        segment(model, table, step=0.5)
    assert [each.category for each in caught] == [DriftWarning]
    assert caught[0].filename == __file__

    def warn(X):
        warnings.warn(f"{len(X)} windows", stacklevel=2)
        return by_mean(X)

    loud = SimpleNamespace(classes_=np.array(["low", "high"]), predict_proba=warn)
    with pytest.warns(UserWarning, match="512 windows") as caught:
        segment(loud, two_states(1200), 10, 1)
    assert len(caught) == 1


def test_pipelines_need_the_length_of_windows(motions):
    features = FunctionTransformer(lambda X: np.concatenate([X.mean(2), X.std(2)], 1))
    pipeline = make_pipeline(features, LogisticRegression())
    windows = motions.reshape(6, 10, 100).transpose(1, 0, 2)
    pipeline.fit(windows, np.repeat(["running", "standing"], 5))
    with pytest.raises(
        ValueError, match="length is required, because the classifier has no"
    ):
        segment(pipeline, as_table(motions, 10))
    found = segment(pipeline, as_table(motions, 10), 10, 2.5)
    assert found["label"].tolist() == ["running", "standing"]
    assert abs((found["end"][0] - found["start"][0]).total_seconds() - 50) <= 2.5


def test_progress_is_shown_if_the_classifier_is_verbose(model, motions, capsys):
    model.set_params(verbose=1)
    segment(model, motions)
    model.set_params(verbose=0)
    shown = capsys.readouterr().err
    assert "Windows" in shown and shown.count("100%") <= 1
    segment(model, motions)
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"self_transition": 1.5}, ValueError, "self_transition must be at least 0"),
        ({"min_probability": -1}, ValueError, "min_probability must be at least 0"),
        ({"length": 0}, ValueError, "length must be a positive number"),
        ({"step": 1.5}, TypeError, "step must be an integer, got 1.5"),
        ({"recordings": np.zeros((2, 3, 4))}, ValueError, r"got \(2, 3, 4\)"),
        ({"recordings": [[1.0, 2.0], [3.0]]}, ValueError, "different lengths"),
        ({"recordings": np.zeros((1, 5))}, ValueError, "shorter than half a window"),
        ({"classifier": VQTextClassifier}, TypeError, "must be a fitted estimator"),
    ],
)
def test_invalid_arguments(changes, error, message):
    arguments = {"classifier": BY_MEAN, "recordings": two_states(), "length": 20}
    with pytest.raises(error, match=message):
        segment(**{**arguments, **changes})


# -- Memory --------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_number_of_windows():
    n_timepoints = 200_000
    values = np.random.default_rng(0).normal(size=(3, n_timepoints))
    recordings = Recordings(
        [values], [np.arange(n_timepoints) / 50], NAMES[:3], 1.0, ["night"]
    )
    tracemalloc.start()
    segment(BY_MEAN, recordings, 2.56, 0.64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # All windows at once would take four times the memory of the values.
    assert peak < 4 * values.nbytes


def test_a_dead_channel_is_missing_in_short_stretches():
    seen = []

    def predict(X):
        seen.append(X)
        return by_mean(X)

    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 2, 40))
    model = VQTextClassifier(16, text=None, max_features=100, random_state=0)
    model.fit(X, np.arange(20) % 2)
    model.predict_proba = predict
    values = np.stack([rng.normal(size=230), np.zeros(230)])
    times = np.arange(230.0)
    times[200:] += 1000  # 30 timepoints after a gap are one window with padding
    table = pd.DataFrame({"time": times, "a": values[0], "b": values[1]})
    model.channel_names_ = ["a", "b"]
    segment(model, table, 40, 20, seconds=False, max_gap=10)
    dead = np.concatenate(seen)[:, 1]
    assert (dead == model.features_.scaler.mean[1].astype(dead.dtype)).all()
