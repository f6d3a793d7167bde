import numpy as np
import pytest

from sktext_vq.recordings import cut_windows


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
        ((2, 9), 10, None, "has 9 timepoints, but the window length is 10"),
        ((2, 3, 9), 2, None, r"got \(2, 3, 9\)"),
        ((2, 9), 2, 0, "at least 1"),
    ],
)
def test_bad_recordings(shape, length, step, message):
    with pytest.raises(ValueError, match=message):
        cut_windows(np.zeros(shape), length, step)


@pytest.mark.parametrize("step", [1.5, "2"])
def test_lengths_are_whole_numbers(step):
    with pytest.raises(TypeError, match="step must be"):
        cut_windows(np.zeros((1, 60)), 20, step)
    with pytest.raises(TypeError, match="length must be"):
        cut_windows(np.zeros((1, 60)), None)
    with pytest.raises(ValueError, match="different lengths"):
        cut_windows([[1.0, 2.0], [3.0]], 1)
