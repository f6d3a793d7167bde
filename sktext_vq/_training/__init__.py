"""Fitting of features, heads and networks."""
