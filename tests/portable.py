"""Run numerical tests with other kernels and numbers of threads, and without numba.

``make portable`` runs a set of variants in which each pair of settings occurs.
``--short``, as in ``.ci/run``, runs one variant that differs from this machine in all
settings.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np  # noqa: F401  (loads BLAS for threadpoolctl)
import torch
from threadpoolctl import threadpool_info

TESTS = Path(__file__).parent
# Tests of numerical code.
FILES = (
    *("attributes", "cluster", "codebook", "common", "export", "frames", "fusion"),
    *("inputs", "pipeline", "reference", "segments", "selection", "tokens", "writing"),
)
SHORT = (
    *("codebook", "tokens", "selection"),
    "inputs.py::test_predictions_do_not_depend_on_what_else_is_predicted",
    "common.py::test_a_case_does_not_depend_on_the_others",
    "common.py::test_refits_are_bitwise_equal",
)
# scikit-learn's checks test the interface, and use small data.
LEFT_OUT = "not test_scikit_learn_checks and not test_the_page_runs and not test_ray"
# Kernel of BLAS, vector instructions of torch (None: default), number of threads, and
# numba. Nine of the 36 possible variants contain all pairs of settings.
VARIANTS = (
    ("Haswell", "default", 1, True),
    ("Haswell", "avx2", 4, False),
    ("Haswell", None, 4, True),
    ("SkylakeX", "default", 4, False),
    ("SkylakeX", "avx2", 1, True),
    ("SkylakeX", None, 1, False),
    ("Zen", "default", 4, True),
    ("Zen", "avx2", 1, False),
    ("Zen", None, 1, True),
)


def other_variant():
    """Return settings that all differ from the settings of this machine."""
    used = {each.get("architecture") for each in threadpool_info()}
    # Zen uses the kernels of Haswell.
    kernel = "Nehalem" if used & {"Haswell", "Zen"} else "Haswell"
    found = torch.backends.cpu.get_cpu_capability()
    vector = "avx2" if found == "AVX512" else "default"
    return kernel, vector, 4 if torch.get_num_threads() == 1 else 1, False


def environment(kernel, vector, n_threads, with_numba):
    """Return the environment variables of a variant."""
    found = os.environ | {
        "OPENBLAS_CORETYPE": kernel,
        "SKTEXT_VQ_TEST_THREADS": str(n_threads),
        **{
            f"{name}_NUM_THREADS": str(n_threads)
            for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")
        },
    }
    if vector is not None:
        found["ATEN_CPU_CAPABILITY"] = vector
    if not with_numba:
        found["NUMBA_DISABLE_JIT"] = "1"
    return found


def run(variant, tests, n_processes):
    """Run tests in a variant; return whether they pass."""
    kernel, vector, n_threads, with_numba = variant
    print(
        f"\n{kernel}, vectors {vector or 'as found'}, {n_threads} threads, "
        f"{'with' if with_numba else 'without'} numba",
        flush=True,
    )
    begin = time.monotonic()
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-k", LEFT_OUT),
        *("-n", str(n_processes), *tests),
    ]
    code = subprocess.run(command, env=environment(*variant)).returncode
    print(f"{time.monotonic() - begin:.0f} s", flush=True)
    return code == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="one variant, few tests")
    options = parser.parse_args()
    names = SHORT if options.short else FILES
    tests = [
        str(TESTS / f"test_{name if '.py' in name else f'{name}.py'}") for name in names
    ]
    variants = [other_variant()] if options.short else VARIANTS
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        # SkylakeX requires AVX-512; Nehalem runs on all processors.
        print("This processor has no AVX-512, so Nehalem replaces SkylakeX.")
        variants = [
            ("Nehalem" if kernel == "SkylakeX" else kernel, *rest)
            for kernel, *rest in variants
        ]
    failed = [each for each in variants if not run(each, tests, 2)]
    if failed:
        sys.exit(f"Failed in {len(failed)} of {len(variants)} variants: {failed}")


if __name__ == "__main__":
    main()
