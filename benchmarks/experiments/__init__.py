"""Experiments, one module each, with their measurements and tables."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from benchmarks.runner import Experiment

EXPERIMENTS: dict[str, Experiment] = {
    found.name: found
    for module in iter_modules(__path__)
    for found in vars(import_module(f"{__name__}.{module.name}")).values()
    if isinstance(found, Experiment)
}
