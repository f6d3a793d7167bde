"""Contents of model files: values, states of estimators, and earlier versions.

Version 2 is written. Its number rises when an entry of a state is added, removed or
changes its meaning, so that an older package would misread the file. Renamed classes,
functions and modules do not change it, since a file has none of their names.
"""
