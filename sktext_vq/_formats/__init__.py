"""Content of model files: values, estimator states, and earlier format versions.

The exact layout of a model file is defined in `_utils/container.py`.

Files are written in format version 3. The version is incremented when an entry of a
state is added, removed or changes its meaning. Renamed classes, functions and modules
do not change the version, because files do not contain their names.
"""
