"""Functions to read and write files and tables."""
