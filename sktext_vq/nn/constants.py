"""Constants that define windows and their features."""

from __future__ import annotations

N_POINTS = 8  # number of points that represent a window of any length
SCALE_FLOOR = 0.05  # added to scales, so that flat windows stay flat
VIEWS = ("value", "change")
LEVEL_BINS = 4
SCALE_BINS = 4
N_ROWS = LEVEL_BINS + SCALE_BINS + 1  # bins, and the best match
# A match is counted if its score exceeds these quantiles of the training scores.
MATCH_QUANTILES = (0.3, 0.6, 0.85, 0.97)
N_MATCHES = len(MATCH_QUANTILES)
N_QUANTILES = 7
N_SUMMARIES = 2 * (N_QUANTILES + 2)  # with mean and standard deviation
TRAINING_STEP = 4  # spacing of the windows that are used in training
