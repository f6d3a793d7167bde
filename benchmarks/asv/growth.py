"""How seconds and memory grow with cases, channels and timepoints, on one thread."""

from __future__ import annotations

from typing import Any

from sktext_vq import VQTextTransformer

from .panels import one_thread, tiles

BASE = {"cases": 500, "channels": 3, "timepoints": 64}


class Growth:
    """The transformer without training; linear methods take `factor` times as long."""

    params: Any = (tuple(BASE), (1, 2, 4, 8, 16))
    param_names = ("dimension", "factor")
    timeout = 600

    def setup(self, dimension: str, factor: int) -> None:
        one_thread()
        self.X, self.y = tiles(*{**BASE, dimension: BASE[dimension] * factor}.values())
        self.transformer = VQTextTransformer(max_epochs=0, random_state=0)
        self.transformer.fit(self.X, self.y).transform(self.X[:40])

    def time_fit(self, dimension: str, factor: int) -> None:
        self.transformer.fit(self.X, self.y)

    def time_transform(self, dimension: str, factor: int) -> None:
        self.transformer.transform(self.X)

    def peakmem_fit_and_transform(self, dimension: str, factor: int) -> None:
        self.transformer.fit(self.X, self.y).transform(self.X)
