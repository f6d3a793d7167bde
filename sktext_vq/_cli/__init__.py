"""The command line: parser, commands and demo."""
