"""Peaks of memory of this process."""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import suppress
from pathlib import Path


def peak_mib() -> float:
    """Return the peak memory of this process."""
    status = Path("/proc/self/status")
    if status.exists():
        # On Linux, ru_maxrss starts at what the parent process had.
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def reset_peak() -> float:
    """Reset the peak memory if the system supports it, and return the peak."""
    gc.collect()
    with suppress(OSError, AttributeError):  # glibc keeps what is free otherwise
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):  # other than Linux: the peak so far stays
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    return peak_mib()
