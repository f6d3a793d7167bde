"""Segmentation of recordings."""
