"""Computation of features from panels of series."""
