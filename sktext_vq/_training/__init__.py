"""Fit of features, heads and networks."""
