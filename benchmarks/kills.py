"""Kill a training again and again, and see whether it ends as if nothing had happened.

A process fits with a checkpoint and is killed (SIGKILL) at random moments; another one
goes on. In the end weights and probabilities are compared bit for bit with those of a
fit that was left alone. Processes are forked, which needs Linux.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from numpy.typing import NDArray
from protocol import log

from sktext_vq import VQTextClassifier


def series() -> tuple[NDArray[np.floating[Any]], NDArray[np.str_]]:
    """Make noisy waves, fast and slow."""
    rng = np.random.default_rng(0)
    y = np.array(["walking", "running"] * 24)
    period = np.where(y == "walking", 9.0, 4.0)[:, None, None]
    phase = rng.uniform(0, 6, (len(y), 2, 1))
    X = np.sin(np.arange(60) / period + phase)
    return X + rng.normal(0, 0.5, X.shape), y


def fit(folder: Path, n_epochs: int) -> None:
    """Fit, and write what came out."""
    X, y = series()
    model = VQTextClassifier(
        16,
        max_features=300,
        max_epochs=n_epochs,
        text_encoder="hashing",
        loss_weights={"codebook": 0.1, "contrastive": 1.0},
        checkpoint=folder / "state",
        random_state=0,
    ).fit(X, y)
    found = {
        name: value.numpy() for name, value in model.network_.model.state_dict().items()
    }
    np.savez(folder / "result.npz", probabilities=model.predict_proba(X), **found)


def start(folder: Path, n_epochs: int) -> Any:
    """Start a process that fits."""
    context = multiprocessing.get_context("fork")
    process = context.Process(target=fit, args=(folder, n_epochs))
    process.start()
    return process


def epochs_in(path: Path) -> int:
    """Return how many epochs a checkpoint has; 0 where there is none."""
    if not path.exists():
        return 0
    with safetensors.safe_open(path, "np") as file:
        return int(file.metadata()["document"].count('"dur"'))


def parser() -> argparse.ArgumentParser:
    """Make the parser of options."""
    found = argparse.ArgumentParser(
        description="Kill a training again and again, and compare its result with that "
        "of one that was left alone.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    found.add_argument("--kills", type=int, default=20, help="how many")
    found.add_argument("--epochs", type=int, default=60, help="of the training")
    found.add_argument("--seed", type=int, help="of the moments; without any by chance")
    return found


def main() -> None:
    """Fit once, fit and kill, and compare."""
    args = parser().parse_args()
    rng = np.random.default_rng(args.seed)
    # Compiles what the forked processes run, so that they start at once.
    VQTextClassifier(16, max_epochs=0).fit(*series())
    with tempfile.TemporaryDirectory() as name:
        whole, killed = Path(name, "whole"), Path(name, "killed")
        whole.mkdir()
        killed.mkdir()
        begin = time.monotonic()
        start(whole, args.epochs).join()
        seconds = time.monotonic() - begin
        for number in range(1, args.kills + 1):
            process = start(killed, args.epochs)
            # A fit begins with features, which every process computes anew.
            process.join(rng.uniform(0, 4 * seconds / args.kills))
            if process.exitcode is not None:
                raise SystemExit(f"It ended before kill {number}: try more epochs.")
            process.kill()
            process.join()
            written = epochs_in(killed / "state")
            log(f"kill {number}: {written} of {args.epochs} epochs are written")
        start(killed, args.epochs).join()
        expected, found = (np.load(each / "result.npz") for each in (whole, killed))
        other = [
            key for key in expected if not np.array_equal(expected[key], found[key])
        ]
    if other:
        raise SystemExit(f"Not the same: {other}")
    log(f"After {args.kills} kills all {len(found.files)} arrays are the same.")


if __name__ == "__main__":
    main()
