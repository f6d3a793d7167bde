"""Experiments and the tables of their results. `python -m benchmarks --help`."""
