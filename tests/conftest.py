import os

# The modules imported below read these variables. Tests do not require downloads.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["COLUMNS"] = "80"  # width of --help
os.environ.pop("SKTEXT_VQ_DATA", None)
# Tests run in parallel processes with one thread each; `make portable` uses more
# threads. Child processes inherit these variables. numba reads them, too, because it
# sets the number of torch threads when it starts.
os.environ.update(
    {
        f"{library}_NUM_THREADS": os.environ.get("SKTEXT_VQ_TEST_THREADS", "1")
        for library in ("OMP", "OPENBLAS", "MKL", "NUMBA")
    }
)

import gc
import socket
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch

from sktext_vq import VQTextClassifier
from sktext_vq.datasets import Dataset, load

# Show the values in failed assertions of this helper module.
pytest.register_assert_rewrite("fuzz")

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

# Deadlines would fail at random on a busy machine. With a fixed seed, new failures are
# caused by changes to the code.
hypothesis.settings.register_profile(
    "tests", deadline=None, derandomize=True, max_examples=60
)
# `make fuzz` uses many examples, which differ between runs.
hypothesis.settings.register_profile("fuzz", deadline=None, max_examples=1000)
hypothesis.settings.load_profile("tests")


def pytest_configure(config: pytest.Config) -> None:
    """Block network access in all tests, including docstring examples."""
    # A fixture would run too late, and would not apply to docstring examples, which are
    # outside this folder.
    patch = pytest.MonkeyPatch()
    for name in ("connect", "connect_ex"):
        patch.setattr(socket.socket, name, _local_only(getattr(socket.socket, name)))
    config.add_cleanup(patch.undo)


def pytest_collection_finish() -> None:
    """Exclude imported objects from garbage collection, which would be slow."""
    gc.collect()
    gc.freeze()


def _local_only(connect: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(self: socket.socket, address: Any) -> Any:
        host = str(address[0]) if isinstance(address, tuple) else "localhost"
        if host not in ("localhost", "::1") and not host.startswith("127."):
            raise RuntimeError(f"A test tried to connect to {host}. Tests run offline.")
        return connect(self, address)

    return guarded


def in_long_run() -> bool:
    """Return whether the profile of `make fuzz` is active."""
    return hypothesis.settings.default.max_examples == 1000


@pytest.fixture(autouse=True)
def _same_threads() -> Iterator[None]:
    """Restore the number of torch threads, which numba changes when it starts."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def basic_motions() -> Dataset:
    """Return a data set of a smartwatch with four activities and 40 training cases."""
    return load("BasicMotions")


@pytest.fixture(scope="session")
def trained_on_motions(basic_motions: Dataset) -> VQTextClassifier:
    """Return a classifier that was trained with text. Tests must not modify it."""
    data = basic_motions
    classifier = VQTextClassifier(
        channel_names=data.channel_names,
        sampling_rate=data.sampling_rate,
        max_epochs=20,
        random_state=0,
    )
    return classifier.fit(data.X_train, data.y_train)


@pytest.fixture(scope="session")
def small_on_motions(basic_motions: Dataset) -> VQTextClassifier:
    """Return a small classifier that was trained for 2 epochs, and must not change."""
    data = basic_motions
    classifier = VQTextClassifier(
        16,
        max_epochs=2,
        max_features=200,
        loss_weights={"fused": 1.0},  # is trained without held-out cases
        text_encoder="hashing",
        channel_names=data.channel_names,
        sampling_rate=data.sampling_rate,
        random_state=0,
    )
    return classifier.fit(data.X_train[::2], data.y_train[::2])


@pytest.fixture
def har_like() -> tuple[np.ndarray, np.ndarray]:
    """Return 24 series with 3 channels and 40 timepoints, and activity labels."""
    return rhythms(8)


@pytest.fixture(scope="session")
def many_rhythms() -> tuple[np.ndarray, np.ndarray]:
    """Return 60 noisy series as in `har_like`, which are enough to hold cases out."""
    X, y = rhythms(20)
    return X + np.random.default_rng(1).normal(0, 0.5, X.shape), y


def rhythms(n_of_class: int) -> tuple[np.ndarray, np.ndarray]:
    """Return series and labels.

    Walking has a slow rhythm with a moderate amplitude, running has a fast rhythm with
    a large amplitude, and standing has only noise. Classes alternate, so that the first
    cases contain all classes.
    """
    rng = np.random.default_rng(0)
    period = {"walking": 16.0, "standing": 1.0, "running": 6.0}
    amplitude = {"walking": 1.0, "standing": 0.0, "running": 4.0}
    y = np.array(list(period) * n_of_class)
    timepoints = np.arange(40)
    X = np.empty((len(y), 3, 40))
    for case, label in enumerate(y):
        phase = rng.uniform(0, 2 * np.pi, size=(3, 1))
        X[case] = amplitude[label] * np.sin(
            2 * np.pi * timepoints / period[label] + phase
        )
    return X + rng.normal(scale=0.1, size=X.shape), y
