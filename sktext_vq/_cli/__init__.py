"""Command-line interface: parser, commands and demo."""
