from types import SimpleNamespace

import numpy as np
import pytest

from sktext_vq import VQTextClassifier
from sktext_vq.recordings import cut_windows, segment


def test_windows_are_views_at_regular_starts():
    recording = np.arange(60.0).reshape(2, 30)
    windows = cut_windows(recording, 10, 4)
    assert windows.shape == (6, 2, 10)
    for i, window in enumerate(windows):
        np.testing.assert_array_equal(window, recording[:, 4 * i : 4 * i + 10])
    assert np.shares_memory(windows, recording)
    assert cut_windows(recording[0], 10).shape == (5, 1, 10)


@pytest.mark.parametrize(
    ("shape", "length", "step", "message"),
    [
        ((2, 9), 10, None, "has 9 timepoints, fewer than the window length 10"),
        ((2, 3, 9), 2, None, r"got \(2, 3, 9\)"),
        ((2, 9), 2, 0, "at least 1"),
    ],
)
def test_bad_recordings(shape, length, step, message):
    with pytest.raises(ValueError, match=message):
        cut_windows(np.zeros(shape), length, step)


def classifier_that_says(probabilities):
    return SimpleNamespace(
        classes_=np.array(["a", "b"]), predict_proba=lambda X: np.array(probabilities)
    )


def test_a_single_doubtful_window_changes_nothing():
    sure, doubtful = [0.9, 0.1], [0.4, 0.6]
    model = classifier_that_says([sure, sure, doubtful, sure, sure])
    table = segment(model, np.zeros((1, 60)), 20, 10)
    assert table["label"].tolist() == ["a"]
    assert table.loc[0, ["start", "end"]].tolist() == [0, 60]


def test_doubtful_windows_at_a_change_are_a_transition():
    a, between, b = [0.99, 0.01], [0.5, 0.5], [0.01, 0.99]
    model = classifier_that_says([a, a, between, b, b])
    table = segment(model, np.zeros((1, 60)), 20, 10)
    assert table["label"].tolist() == ["a", "a -> b", "b"]
    assert table["transition"].tolist() == [False, True, False]
    assert table["start"].tolist() == [0, 25, 35]
    assert table["end"].tolist() == [25, 35, 60]
    sharp = segment(classifier_that_says([a, a, b]), np.zeros((1, 40)), 20, 10)
    assert sharp["label"].tolist() == ["a", "b"]
    assert not sharp["transition"].any()


def test_changes_one_after_another_are_named_by_two_classes_each():
    model = SimpleNamespace(
        classes_=np.array(["a", "b", "c"]),
        predict_proba=lambda X: np.array(
            [[1, 0, 0], [1, 0, 0], [0.25, 0.5, 0.25], [0, 0, 1], [0, 0, 1]]
        ),
    )
    table = segment(model, np.zeros((1, 60)), 20, 10, stay=0.0)
    assert table["label"].tolist() == ["a", "b -> c", "c"]


def test_segments_of_real_activities_are_found(basic_motions):
    data = basic_motions
    seen = data.y_train != "walking"
    model = VQTextClassifier(max_epochs=0, random_state=0)
    model.fit(data.X_train[seen], data.y_train[seen])
    parts = ["standing", "badminton", "running"]
    recording = np.concatenate(
        [np.concatenate([*data.X_test[data.y_test == c][:5]], axis=1) for c in parts],
        axis=1,
    )
    for candidates in (None, [*parts, "walking"]):
        table = segment(model, recording, 100, candidate_labels=candidates)
        assert table["start"].iloc[0] == 0
        assert table["end"].iloc[-1] == 1500
        assert (table["start"].iloc[1:].to_numpy() == table["end"].iloc[:-1]).all()
        time = np.arange(1500)
        row = np.searchsorted(table["end"], time, side="right")
        right = table["label"].to_numpy()[row] == np.repeat(parts, 500)
        assert right.mean() > 0.7


def test_segment_says_what_is_wrong():
    model = classifier_that_says([[0.5, 0.5]])
    with pytest.raises(ValueError, match="stay must be"):
        segment(model, np.zeros((1, 60)), 20, stay=1.5)


@pytest.mark.parametrize("step", [1.5, "2"])
def test_lengths_are_whole_numbers(step):
    with pytest.raises(TypeError, match="step must be"):
        cut_windows(np.zeros((1, 60)), 20, step)
    with pytest.raises(TypeError, match="length must be"):
        cut_windows(np.zeros((1, 60)), None)
    with pytest.raises(ValueError, match="different length"):
        cut_windows([[1.0, 2.0], [3.0]], 1)
