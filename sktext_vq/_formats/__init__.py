"""Contents of model files in the current and earlier format versions.

The layout of the bytes of a model file is defined in `_utils/container.py`.

Files are written in format version 3. The version must be incremented when an entry of
a state is added or removed, or when the meaning of an entry changes. It does not change
when classes, functions or modules are renamed, because files do not contain these
names; the kind of estimator in a file is one of a few fixed names.
"""
