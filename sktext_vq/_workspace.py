"""Where series and texts meet: texts over the codes, similarity, text round trips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from sktext_vq._guidance import encode_texts
from sktext_vq._writing import Writer
from sktext_vq.nn.model import DualBranchModel, share_of_codes
from sktext_vq.panel import Panel
from sktext_vq.text import TextEncoder
from sktext_vq.text.encoders import check_texts
from sktext_vq.training import single_thread

_TEXTS_AT_ONCE = 256


class WorkspaceMixin:
    """Uses of the trained model beside classification."""

    model_: DualBranchModel | None
    _writer_: Writer | None

    def _check_X(self, X: Any, *, reset: bool) -> Panel:
        raise NotImplementedError

    def _histograms(
        self, panel: Panel, kept: NDArray[np.int64] | None = None
    ) -> NDArray[np.float32]:
        raise NotImplementedError

    def _encoder(self) -> TextEncoder:
        raise NotImplementedError

    def transform_text(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Say how texts use the codes, as :meth:`transform_codes` does for series.

        Parameters
        ----------
        texts : sequence of str, shape (n_texts,)
            Any wording: descriptions of classes or of single series.

        Returns
        -------
        ndarray of shape (n_texts, n_codes)
            Expected share of each code in series like these; rows sum to 1.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        ValueError
            If the model was not trained with text, or a text is empty.
        TypeError
            If a text is not a string.
        """
        _, usage = self._read(texts, {"codes", "affinity"})
        return share_of_codes(usage.double()).numpy()

    def similarity(self, X: Any, texts: Sequence[str]) -> NDArray[np.float64]:
        """Compare series with texts in the workspace that both share.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series with the channels of the training series.
        texts : sequence of str, shape (n_texts,)
            Any wording: descriptions of classes or of single series.

        Returns
        -------
        ndarray of shape (n_cases, n_texts)
            Cosines, from -1 to 1.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        ValueError
            If the model was not trained with text, X is no panel of the channels that
            were fitted, or a text is empty.
        TypeError
            If a text is not a string.
        """
        panel = self._check_X(X, reset=False)
        places, _ = self._read(texts, {"text"})
        model = self.model_
        assert model is not None
        features = torch.from_numpy(self._histograms(panel, model.kept.numpy()))
        with single_thread(), torch.inference_mode():
            parts = [
                model.place(model.standardise_picked(part)) @ places.T
                for part in features.split(1024)
            ]
        return torch.cat(parts).numpy().astype(np.float64).clip(-1, 1)

    def reconstruct_text(self, X: Any) -> NDArray[np.float64]:
        """Rebuild series by way of text.

        Each channel is written out as digits, read by the text branch, which keeps
        nothing but how well codes match, written again, and the digits read as
        numbers. Needs ``loss_weights={"digits": ...}`` in training.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series with the channels of the training series.

        Returns
        -------
        ndarray of shape (n_cases, n_channels, n_timepoints)
            In the units of X, along straight lines between the values that were
            written. NaN past the end of a series, and where digits are no number.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        ValueError
            If the model was not trained to write digits, or X is no panel of the
            channels that were fitted.
        """
        panel = self._check_X(X, reset=False)
        if self.model_ is None or self.model_.digits is None:
            raise ValueError(
                f"This {type(self).__name__} was not trained to write digits: fit it "
                'with text, max_epochs above 0 and loss_weights={"digits": 1.0}.'
            )
        assert self._writer_ is not None
        with single_thread():
            written = self._writer_.rewrite(panel, self.model_)
        series = np.full(panel.values.shape, np.nan)
        middles = (np.arange(written.shape[2]) + 0.5) / written.shape[2]
        for case, length in enumerate(panel.lengths):
            time = (np.arange(length) + 0.5) / length
            for channel in range(panel.n_channels):
                series[case, channel, :length] = np.interp(
                    time, middles, written[case, channel]
                )
        return series

    def _read(
        self, texts: Sequence[str], losses: set[str]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Place texts, and say how they use the codes; see `DualBranchModel.read`."""
        check_is_fitted(self)
        checked = check_texts(texts)
        model = self.model_
        if model is None or model.text is None or not model.parts & losses:
            raise ValueError(
                f"This {type(self).__name__} was not trained with text: fit it with "
                "max_epochs above 0, text other than None, and a weight above 0 of "
                f"{' or '.join(sorted(losses))} in loss_weights."
            )
        places, usages = [], []
        with single_thread(), torch.inference_mode():
            for start in range(0, len(checked), _TEXTS_AT_ONCE):
                part = checked[start : start + _TEXTS_AT_ONCE]
                place, log_usage = model.read(encode_texts(part, self._encoder()))
                places.append(place)
                usages.append(log_usage.exp())
        return torch.cat(places), torch.cat(usages)
