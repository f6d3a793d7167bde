"""Segmentation of recordings: windows, probabilities, the best path, and segments."""
