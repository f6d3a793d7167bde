"""Zero-shot recognition of classes that are described only by text."""
