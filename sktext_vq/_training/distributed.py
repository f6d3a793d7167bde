"""Distributed training with several processes, such as one per GPU."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from sktext_vq._utils.devices import DISTRIBUTED, accelerate_state

if TYPE_CHECKING:
    from sktext_vq.nn.auxiliary.codebook_updates import CodebookUpdates


class Processes:
    """Processes that train one model together, each on a part of every batch.

    Each process has all data and the same model, and performs the same steps: gradients
    are averaged over processes, and the codebook is updated with the matches of all
    processes.

    Parameters
    ----------
    device : str
        Parameter of the estimator. If it is not "accelerate", there is a single
        process, and the methods have no effect.

    Attributes
    ----------
    count : int
        Number of processes.
    is_first : bool
        Whether this process writes files and shows progress.

    Raises
    ------
    ImportError
        If accelerate is requested but not installed.
    """

    def __init__(self, device: str) -> None:
        self.count, self._index = 1, 0
        if device == DISTRIBUTED:
            try:
                state = accelerate_state()
            except ImportError as error:
                raise ImportError(
                    'device="accelerate" requires the package accelerate. Install it '
                    "with `pip install 'sktext_vq[accelerate]'`."
                ) from error
            self.count, self._index = state.num_processes, state.process_index
        self.is_first = self._index == 0

    def check_alike(self, digest: str) -> None:
        """Wait for all processes, and raise an error if their initial states differ."""
        if self.count > 1 and len(set(self._gather(digest))) > 1:
            raise ValueError(
                "Processes that train together have different initial weights. Use the "
                "same data and parameters in all processes, and an int as random_state."
            )

    def part(self, cases: Tensor) -> tuple[Tensor, float]:
        """Return the cases of a batch that this process computes.

        Returns
        -------
        cases : Tensor
            At least one case.
        weight : float
            Weight of this process in a mean over processes; 0 if there are too few
            cases and this process only repeats a case.
        """
        own = cases[self._index :: self.count]
        weight = len(own) * self.count / len(cases)
        return (own if len(own) else cases[:1]), weight

    @contextmanager
    def draw_alike(self, generator: torch.Generator) -> Iterator[None]:
        """Run a block, then set a generator to the same state in all processes."""
        yield
        if self.count > 1:
            from accelerate.utils import broadcast_object_list

            (state,) = broadcast_object_list([generator.get_state()])
            generator.set_state(state)

    def wait(self) -> None:
        """Wait until all processes have come here."""
        if self.count > 1:
            from accelerate.utils import wait_for_everyone

            wait_for_everyone()

    def mean(self, value: Tensor) -> Tensor:
        """Return the mean of a tensor over processes."""
        return self._reduce(value, "mean") if self.count > 1 else value

    def mean_of_each(self, values: Mapping[str, float]) -> dict[str, float]:
        """Return means of named numbers over the processes that have them."""
        if self.count == 1:
            return dict(values)
        every = self._gather(dict(values))
        names = dict.fromkeys(name for each in every for name in each)
        return {
            name: float(np.mean([each[name] for each in every if name in each]))
            for name in names
        }

    def mean_gradients(self, module: nn.Module) -> None:
        """Replace gradients by means over processes; missing gradients count as 0."""
        if self.count == 1:
            return
        weights = [weight for weight in module.parameters() if weight.requires_grad]
        known = torch.tensor([weight.grad is not None for weight in weights])
        any_known = self._reduce(known.to(weights[0].device, torch.float32), "sum") > 0
        for weight, has_one in zip(weights, any_known.tolist(), strict=True):
            if has_one:
                own = torch.zeros_like(weight) if weight.grad is None else weight.grad
                weight.grad = self._reduce(own, "mean")

    def share_matches(self, updates: CodebookUpdates) -> None:
        """Add the matches of all processes to the updates."""
        if self.count > 1:
            updates.gather(partial(self._reduce, reduction="sum"), self._cat)

    def _reduce(self, value: Tensor, reduction: str) -> Tensor:
        from accelerate.utils import reduce

        found: Tensor = reduce(value.contiguous(), reduction=reduction)
        return found

    def _gather(self, value: Any) -> list[Any]:
        from accelerate.utils import gather_object

        return list(gather_object([value]))

    def _cat(self, rows: Tensor) -> Tensor:
        every = self._gather(rows.cpu())
        return torch.cat(every).to(rows.device)
