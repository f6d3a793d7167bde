"""Helper functions for several test modules."""

import time

import torch


def draw(*shape, seed=0):
    """Return normally distributed random values in float64."""
    source = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=source, dtype=torch.float64)


def seconds(function, *args):
    """Return the shortest processor time of three calls, in seconds."""
    times = []
    for _ in range(3):
        start = time.process_time()
        function(*args)
        times.append(time.process_time() - start)
    return min(times)
