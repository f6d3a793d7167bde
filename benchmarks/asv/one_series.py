"""Univariate series of 512 timepoints on one thread, beside an encoder of a network."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from sktext_vq import VQTextTransformer

from .panels import one_thread, tiles

N_SERIES = 50


class Tokens:
    """Histograms and tokens of `N_SERIES` series."""

    params: Any = (64, 512)
    param_names = ("n_codes",)
    timeout = 600

    def setup(self, n_codes: int) -> None:
        one_thread()
        X, y = tiles(200, 1, 512)
        self.X = X[:N_SERIES]
        self.transformer = VQTextTransformer(n_codes, max_epochs=0, random_state=0)
        self.transformer.fit(X, y).transform(self.X)

    def time_histograms(self, n_codes: int) -> None:
        self.transformer.transform(self.X)

    def time_histograms_one_by_one(self, n_codes: int) -> None:
        for i in range(N_SERIES):
            self.transformer.transform(self.X[i : i + 1])

    def time_tokens(self, n_codes: int) -> None:
        self.transformer.tokens(self.X)


class EncoderOfVQShapesSize:
    """What VQShape (Wen et al., NeurIPS 2024) computes for a histogram of codes.

    Weights are random: only the cost is compared, which does not depend on them. Sizes
    are those of the released model: 64 patches of 8 timepoints, 4 layers with 8 heads
    that encode them, 64 queries whose tokens another 4 layers find, an output for each
    attribute of a token, and 512 codes of 8 numbers. Decoders are left out.
    """

    params: Any = (256, 512)
    param_names = ("width",)
    timeout = 600
    batch = 16  # larger ones are no faster on a CPU

    def setup(self, width: int) -> None:
        one_thread()
        self.X = torch.from_numpy(tiles(N_SERIES, 1, 512)[0][:, 0])
        layer = {
            "d_model": width,
            "nhead": 8,
            "dim_feedforward": 4 * width,
            "activation": "gelu",
            "batch_first": True,
        }
        torch.manual_seed(0)
        sizes = {"shape": 8, "place": 2, "offset": 1, "scale": 1}
        self.model = nn.ModuleDict(
            {
                "patches": nn.Linear(8, width),
                "places": nn.Embedding(64, width),
                "encoder": nn.TransformerEncoder(
                    nn.TransformerEncoderLayer(**layer), 4
                ),
                "queries": nn.Embedding(64, width),
                "tokenizer": nn.TransformerDecoder(
                    nn.TransformerDecoderLayer(**layer), 4
                ),
                "codes": nn.Embedding(512, 8),
                **{
                    name: nn.Sequential(
                        nn.Linear(width, width), nn.ReLU(), nn.Linear(width, size)
                    )
                    for name, size in sizes.items()
                },
            }
        ).eval()

    def time_histograms(self, width: int) -> None:
        self.histograms()

    @torch.inference_mode()
    def histograms(self) -> torch.Tensor:
        model, found = self.model, []
        for series in self.X.split(self.batch):
            variance, mean = torch.var_mean(series, 1, correction=0, keepdim=True)
            series = (series - mean) / (variance + 1e-5).sqrt()
            patches = model["patches"](series.unflatten(1, (-1, 8)))
            patches = model["encoder"](patches + model["places"].weight)
            queries = model["queries"].weight.expand(len(series), -1, -1)
            tokens = model["tokenizer"](queries, patches)
            for attribute in ("place", "offset", "scale"):
                model[attribute](tokens)
            distances = torch.cdist(model["shape"](tokens), model["codes"].weight)
            nearest = distances.argmin(dim=2)
            counts = torch.zeros(len(series), 512)
            found.append(counts.scatter_add_(1, nearest, torch.ones(nearest.shape)))
        return torch.cat(found)
