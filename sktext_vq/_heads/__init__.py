"""From features to scores of classes."""
