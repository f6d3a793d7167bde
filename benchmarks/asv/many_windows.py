"""Many windows on all cores, and the arithmetic that a transform cannot do without."""

from __future__ import annotations

from typing import Any

import numpy as np

from sktext_vq import VQTextClassifier, VQTextTransformer

from .panels import operations, tiles


class ManyWindows:
    """Both estimators without training, on windows of 9 x 128."""

    params: Any = (10_000, 100_000)
    param_names = ("n_cases",)
    timeout = 1200

    def setup(self, n_cases: int) -> None:
        self.X, self.y = tiles(n_cases, 9, 128)
        few = slice(0, 400)
        self.transformer = VQTextTransformer(max_epochs=0, random_state=0)
        self.transformer.fit(self.X[few], self.y[few]).transform(self.X[:10])
        self.classifier = VQTextClassifier(max_epochs=0, random_state=0)
        self.classifier.fit(self.X[few], self.y[few]).predict(self.X[:10])

    def time_fit(self, n_cases: int) -> None:
        VQTextTransformer(max_epochs=0, random_state=0).fit(self.X, self.y)

    def time_transform(self, n_cases: int) -> None:
        self.transformer.transform(self.X)

    def time_predict_proba(self, n_cases: int) -> None:
        self.classifier.predict_proba(self.X)

    peakmem_fit = time_fit
    peakmem_transform = time_transform
    peakmem_predict_proba = time_predict_proba


class Limit:
    """A transform beside a float32 matrix product of as many operations.

    No other arithmetic is as fast as such a product, so that a transform which scores
    each window against each code cannot be faster.
    """

    timeout = 600

    def setup(self) -> None:
        self.X, y = tiles(1000, 9, 128)
        self.transformer = VQTextTransformer(max_epochs=0, random_state=0)
        self.transformer.fit(self.X, y).transform(self.X[:100])
        size = 1024
        self.one, self.other = np.ones((2, size, size), dtype=np.float32)
        self.out = np.empty_like(self.one)
        n_operations = len(self.X) * operations(self.transformer)
        self.n_products = round(n_operations / (2 * size**3))

    def time_transform(self) -> None:
        self.transformer.transform(self.X)

    def time_as_a_product(self) -> None:
        for _ in range(self.n_products):
            np.matmul(self.one, self.other, out=self.out)
