"""Look inside a fitted classifier."""

from sktext_vq.inspection.report import write_report

__all__ = ["write_report"]
