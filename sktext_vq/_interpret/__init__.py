"""Interpretation of fitted models: tables, names and contributions."""
