"""Sizes of windows and of the features that are computed from them."""

from __future__ import annotations

N_POINTS = 8  # points of a window of any length
SCALE_FLOOR = 0.05  # in standard deviations; keeps flat windows flat
VIEWS = ("value", "change")
LEVEL_BINS = 4
SCALE_BINS = 4
N_ROWS = LEVEL_BINS + SCALE_BINS + 1  # rows of histograms and of the best match
# Quantiles of the training windows' scores that a counted match has to exceed.
MATCH_QUANTILES = (0.3, 0.6, 0.85, 0.97)
N_MATCHES = len(MATCH_QUANTILES)
N_QUANTILES = 7
N_SUMMARIES = 2 * (N_QUANTILES + 2)  # of levels and of scales, with mean and deviation
TRAINING_STEP = 4  # spacing of windows in training, from a random start
