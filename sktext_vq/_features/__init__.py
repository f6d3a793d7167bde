"""From a panel of series to a table of features."""
