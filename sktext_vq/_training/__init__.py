"""Training of the dual-branch model."""
