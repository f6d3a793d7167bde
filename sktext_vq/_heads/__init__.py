"""Classification heads, and alignment of series and texts."""
