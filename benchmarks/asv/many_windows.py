"""Many windows on all cores."""

from __future__ import annotations

from typing import Any

from sktext_vq import VQTextClassifier, VQTextTransformer

from .panels import tiles


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
