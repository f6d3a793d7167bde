"""Files and tables, read as recordings and panels."""
