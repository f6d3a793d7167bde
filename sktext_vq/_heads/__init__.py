"""Classification heads: class scores from features."""
