"""Validation, channel names, files, threads and devices."""
