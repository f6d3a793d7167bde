"""Recognition of classes that are known by text only."""
