"""Kill a fit again and again, and see whether it ends as if nothing had happened.

A process fits with a checkpoint and is killed (SIGKILL) at random moments, from when
its imports are done; another one goes on. In the end weights and probabilities are
compared bit for bit with those of a fit that was left alone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

_EPOCHS = 100


def fit(folder: Path) -> None:
    """Fit to what is made here, and write what came out."""
    import torch

    from sktext_vq import VQTextClassifier

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    y = np.array(["walking", "running"] * 24)
    period = np.where(y == "walking", 9.0, 4.0)[:, None, None]
    phase = rng.uniform(0, 6, (len(y), 3, 1))
    X = np.sin(np.arange(60) / period + phase) + rng.normal(0, 0.5, (len(y), 3, 60))
    print("ready", flush=True)
    model = VQTextClassifier(
        16,
        max_features=500,
        max_epochs=_EPOCHS,
        text_encoder="hashing",
        loss_weights={"codebook": 0.1, "fused": 1.0, "usage": 0.1},
        checkpoint=folder / "state",
        random_state=0,
    ).fit(X, y)
    weights = {
        name: tensor.numpy() for name, tensor in model.model_.state_dict().items()
    }
    np.savez(folder / "result.npz", probabilities=model.predict_proba(X), **weights)


def start(folder: Path) -> subprocess.Popen[str]:
    """Start a process that fits, and wait until it is about to."""
    command = [sys.executable, __file__, "--fit", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def epochs_in(path: Path) -> int:
    """Return how many epochs a checkpoint has, or -1 where there is none."""
    import safetensors

    if not path.exists():
        return -1
    with safetensors.safe_open(path, "np") as file:
        return file.metadata()["document"].count('"dur"')


def main() -> None:
    """Fit once, fit and kill, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, help="of the moments")
    parser.add_argument("--fit", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.fit is not None:
        fit(args.fit)
        return
    rng = np.random.default_rng(args.seed)
    with tempfile.TemporaryDirectory() as name:
        whole, killed = Path(name, "whole"), Path(name, "killed")
        whole.mkdir()
        killed.mkdir()
        process, begin = start(whole), time.monotonic()
        if process.wait():
            raise SystemExit("The fit that was left alone failed.")
        seconds = time.monotonic() - begin
        for number in range(1, args.kills + 1):
            process = start(killed)
            time.sleep(rng.uniform(0, 2 * seconds / args.kills))
            process.kill()
            if process.wait() == 0:
                raise SystemExit(f"It had ended before kill {number}: try again.")
            print(f"kill {number}: {epochs_in(killed / 'state')} epochs are written")
        if start(killed).wait():
            raise SystemExit("The fit that goes on failed.")
        expected, found = (np.load(each / "result.npz") for each in (whole, killed))
        other = [
            key for key in expected if not np.array_equal(expected[key], found[key])
        ]
        if other or set(expected) != set(found):
            raise SystemExit(f"Not the same: {other}")
        print(
            f"{args.kills} kills, {_EPOCHS} epochs: the same {len(found.files)} arrays"
        )


if __name__ == "__main__":
    main()
