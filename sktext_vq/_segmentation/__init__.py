"""Segmentation of recordings: windows, probabilities, Viterbi path, and segments."""
