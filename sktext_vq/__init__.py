"""Time-series classification with interpretable shape tokens and text supervision."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sktext_vq._version import __version__

if TYPE_CHECKING:
    from sktext_vq._features.drift import DriftWarning
    from sktext_vq.classifier import VQTextClassifier
    from sktext_vq.export import export_onnx
    from sktext_vq.persistence import load, save
    from sktext_vq.pretraining import pretrain
    from sktext_vq.text import (
        PromptBank,
        SeriesCaptioner,
        SeriesVerbalizer,
        TextEncoder,
    )
    from sktext_vq.transformer import VQTextTransformer

__all__ = [
    "DriftWarning",
    "PromptBank",
    "SeriesCaptioner",
    "SeriesVerbalizer",
    "TextEncoder",
    "VQTextClassifier",
    "VQTextTransformer",
    "__version__",
    "export_onnx",
    "load",
    "pretrain",
    "save",
]

# Imported on first access (PEP 562), because importing torch takes seconds.
_MODULES = {
    "_features.drift": ["DriftWarning"],
    "classifier": ["VQTextClassifier"],
    "export": ["export_onnx"],
    "persistence": ["load", "save"],
    "pretraining": ["pretrain"],
    "text": ["PromptBank", "SeriesCaptioner", "SeriesVerbalizer", "TextEncoder"],
    "transformer": ["VQTextTransformer"],
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}
_SUBMODULES = {
    "classifier",
    "datasets",
    "export",
    "inspection",
    "nn",
    "panel",
    "persistence",
    "pretraining",
    "recordings",
    "sktime",
    "text",
    "transformer",
    "wearables",
}

if not TYPE_CHECKING:  # otherwise type checkers accept any attribute name

    def __getattr__(name: str) -> Any:
        """Import a public name or submodule when it is first accessed."""
        if name in _MODULE_OF:
            found = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        elif name in _SUBMODULES:
            found = import_module(f"{__name__}.{name}")
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    """Return public names and submodules, including those not imported yet."""
    return sorted({*globals(), *__all__, *_SUBMODULES})
