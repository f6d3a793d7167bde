"""Tables and texts for people, made from fitted parts."""
