"""Base class of the transformer and the classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from sktext_vq._features.drift import warn_of_drift
from sktext_vq._features.extractor import Execution, FeatureExtractor
from sktext_vq._features.input import InputSpec, is_table
from sktext_vq._features.selection import FeatureScaler
from sktext_vq._heads.alignment import TextAlignment
from sktext_vq._interpret import alignment, code_table, segments
from sktext_vq._interpret.code_statistics import CodeStatistics
from sktext_vq._training.arguments import validate_fit
from sktext_vq._training.checkpoint import Checkpoint
from sktext_vq._training.data import TrainingData
from sktext_vq._training.fit import FeatureFit
from sktext_vq._training.network import Network
from sktext_vq._training.settings import FitSettings, as_text_encoder
from sktext_vq._training.warm_start import WarmStart
from sktext_vq._utils.docs import fill_docs
from sktext_vq.panel import Panel, as_panel
from sktext_vq.text import TextEncoder


@fill_docs
class BaseVQText(BaseEstimator):
    """Base class of VQTextTransformer and VQTextClassifier.

    Attributes
    ----------
    input_ : InputSpec
        Shape and channel names of the training series.
    features_ : FeatureExtractor
        Feature extractor.
    network_ : Network or None
        Losses, best epochs and optional modules; None if fitted in closed form.
    code_statistics_ : CodeStatistics or None
        Code frequencies in the training series; None if the model was saved by an
        early version.
    """

    n_codes: Any
    text_encoder: Any
    max_epochs: Any
    channel_names: Any
    gravity: Any
    sampling_rate: Any
    device: Any
    n_jobs: Any
    verbose: Any

    input_: InputSpec
    features_: FeatureExtractor
    network_: Network | None
    code_statistics_: CodeStatistics | None
    channel_names_: list[str]
    channel_groups_: dict[str, tuple[int, int, int]]
    text_alignment_: TextAlignment | None
    feature_scaler_: FeatureScaler
    adapter_: Any = None  # only base models: input checks and choice of classifier
    card_: dict[str, Any]  # only base models: model card

    def _execution(self) -> Execution:
        """Return the device, number of threads and verbosity."""
        return Execution(self.device, self.n_jobs, self.verbose)

    def _encoder(self) -> TextEncoder:
        """Return the text encoder."""
        return as_text_encoder(self.text_encoder, self.verbose)

    def _settings(self) -> FitSettings:
        """Return the validated parameters."""
        return FitSettings.from_parameters(self.get_params(deep=False))

    def _validate_fit(
        self, X: Any, y: Any, text: Any, *, init: Any = None, **weights: Any
    ) -> tuple[InputSpec, TrainingData]:
        """Check the arguments of `fit`."""
        return validate_fit(
            as_panel(X, estimator_name=type(self).__name__),
            X,
            y,
            text,
            channel_names=self.channel_names,
            gravity=self.gravity,
            warm_start=None if init is None else self._read_init(init),
            **weights,
        )

    def _read_init(self, init: Any) -> WarmStart:
        """Return the codes and weights of a fitted estimator."""
        if not isinstance(init, BaseVQText):
            raise TypeError(
                "init must be a fitted VQTextTransformer or VQTextClassifier, got "
                f"{type(init).__name__}."
            )
        return WarmStart.of(init, self.n_codes)

    def _open_checkpoint(self, data: TrainingData, path: Any) -> TrainingData:
        """Return the training data with the checkpoint of this fit, if any."""
        if path is None or self.max_epochs == 0:
            return data
        parameters = self.get_params(deep=False)
        return data.with_checkpoint(
            Checkpoint.open(path, data.fingerprints(), parameters)
        )

    def _store(
        self,
        spec: InputSpec,
        data: TrainingData,
        fitted: FeatureFit,
        network: Network | None,
        alignment: TextAlignment | None,
    ) -> None:
        """Set the fitted attributes shared by the transformer and the classifier."""
        sample = fitted.sample
        statistics = CodeStatistics.fit(
            sample.moments,
            fitted.extractor.layout,
            data.labels,
            sample.shares,
            None if data.classes is None else sample.classes,
        )
        names, sensors = list(data.channel_names), dict(data.sensors)
        self.restore(
            spec, names, sensors, fitted.extractor, network, statistics, alignment,
        )  # fmt: skip

    def restore(
        self,
        spec: InputSpec,
        channel_names: list[str],
        sensors: dict[str, tuple[int, int, int]],
        extractor: FeatureExtractor,
        network: Network | None,
        statistics: CodeStatistics | None,
        alignment: TextAlignment | None,
    ) -> None:
        """Set the fitted attributes in `fit` or from a model file. For internal use."""
        self.input_ = spec
        self.n_features_in_ = spec.n_features_in
        self.__dict__.pop("feature_names_in_", None)
        if spec.feature_names_in is not None:
            self.feature_names_in_ = spec.feature_names_in
        self.n_channels_ = spec.n_channels
        self.n_timepoints_ = spec.n_timepoints
        self.channel_names_ = channel_names
        self.channel_groups_ = sensors
        self.features_ = extractor
        self.network_ = network
        self.code_statistics_ = statistics
        self.text_alignment_ = alignment

    def check_X(self, X: Any) -> Panel:
        """Validate series and convert them to a panel.

        [[parameters_X]]

        Returns
        -------
        Panel
            Validated series.

        [[raises_X]]

        Warns
        -----
        DriftWarning
            If the series differ from the training series in scale, sampling rate or
            orientation.
        """
        check_is_fitted(self)
        spec = self.input_
        if self.adapter_ is not None:
            found: Panel = self.adapter_.check(X, spec)
            return found
        panel = as_panel(X, estimator_name=type(self).__name__)
        spec.check(panel, X, type(self).__name__)
        if is_table(X, panel) and spec.n_features_in > spec.n_channels:
            validate_data(self, X, reset=False, skip_check_array=True)
        features = self.features_
        warn_of_drift(panel, features.scaler, features.drift, self.channel_names_)
        return panel

    @property
    def codebook_(self) -> NDArray[np.float32]:
        """Codes of the codebook, of shape (n_codes, 8)."""
        check_is_fitted(self)
        return self.features_.codes

    @property
    def shapes_(self) -> NDArray[np.float32]:
        """Decoded shape of each code, of shape (n_codes, 8)."""
        return self.codebook_

    @property
    def training_stage_(self) -> str:
        """Training stage: ``closed form``, ``trained`` or ``trained with text``."""
        check_is_fitted(self)
        if self.network_ is None:
            return "closed form"
        return "trained" if self.text_alignment_ is None else "trained with text"

    @property
    def history_(self) -> list[dict[str, float]]:
        """Losses and duration in seconds of each training epoch."""
        check_is_fitted(self)
        return [] if self.network_ is None else self.network_.history

    @property
    def codebook_use_(self) -> dict[str, float]:
        """Statistics of code usage in the series branch and the text branch."""
        check_is_fitted(self)
        return {} if self.network_ is None else self.network_.codebook_use

    @property
    def prompts_(self) -> list[str] | None:
        """First prompt of each class or, without prompts, sentences about series."""
        check_is_fitted(self)
        return None if self.text_alignment_ is None else self.text_alignment_.shown

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Return the names of the output features.

        Parameters
        ----------
        input_features : array-like of str, optional
            Not used, present for API consistency.

        Returns
        -------
        ndarray of shape (n_features,) of str objects
            Unique names that consist of the channel, the code or statistic, and the
            window length, for example ``"acc_x | code 17 | level 2 of 4 | 0.32 s"``,
            ``"acc_x | code 17 | matches in the top 3% | 0.32 s"`` (share of windows
            that match the code better than 97 % of the training windows) or ``"acc_x
            change | median of scales | 0.32 s"``. Characters in channel names that
            LightGBM or XGBoost do not accept are replaced by spaces.
        """
        check_is_fitted(self)
        return code_table.feature_names(self.features_, self.sampling_rate)

    def transform_codes(self, X: Any) -> NDArray[np.float64]:
        """Return the share of each code over all channels and window lengths.

        [[parameters_X]]

        Returns
        -------
        ndarray of shape (n_cases, n_codes)
            Share of each code in the windows of a series; rows sum to 1. Each window
            counts once per head of the codebook.
        """
        panel = self.check_X(X)
        return code_table.code_shares(panel, self.features_, self._execution())

    def tokens(self, X: Any) -> pd.DataFrame:
        """Segment series and find the best-matching code of each segment.

        [[parameters_X]]

        Returns
        -------
        DataFrame
            One row per token, sorted by case, channel and time. The columns are
            ``case`` and ``channel``, counted from 0; ``start`` and ``length``, in
            timepoints; ``code``; and ``offset`` and ``scale``, the mean and standard
            deviation of the token in the units of the channel. Tokens of a channel are
            contiguous unless segment borders were trained.
        """
        panel = self.check_X(X)
        return segments.token_table(panel, self.features_, self._refiner())

    def reconstruct(self, X: Any) -> NDArray[np.float64]:
        """Reconstruct series from their tokens.

        Parameters
        ----------
        X : array-like of shape (n_cases, n_channels, n_timepoints) or other panel
            Series with the channels of the training series, or a token table with the
            columns returned by :meth:`tokens`.

        Returns
        -------
        ndarray of shape (n_cases, n_channels, n_timepoints)
            Series in the units of X, padded with NaN. For a token table, the cases from
            0 to the largest case number in the table are returned. Each case ends with
            its last token, and the values of channels without tokens are NaN.
        """
        check_is_fitted(self)
        if segments.is_token_table(X):
            return segments.reconstruct_table(X, self.features_)
        panel = self.check_X(X)
        return segments.reconstruct(panel, self.features_, self._refiner())

    def _refiner(self) -> Any:
        return None if self.network_ is None else self.network_.refiner

    def describe_codes(self, texts: Sequence[str] | None = None) -> pd.DataFrame:
        """Describe the shape, usage and name of each code.

        Parameters
        ----------
        texts : sequence of str, optional
            At least two phrases to choose names from; requires an estimator that was
            trained with text. By default, codes are named after classes.

        Returns
        -------
        DataFrame
            One row per code, with the columns:

            - ``shape``, a description such as ``"rise"``; ``usage``, the share of the
              code in the windows of the training series; and ``channel`` and ``length``
              (in timepoints), where this share is largest relative to other codes;
            - ``attributes``, such as ``"strong, quick, in acc_z"``: whether the windows
              of the code are strong or weak compared with other windows of the same
              channel and length, short or long, and mostly from one channel;
            - ``class`` and ``lift``, if fitted with classes: the class with the highest
              share of the code, and the ratio of this share to the mean over classes;
            - ``phrase`` and ``confidence``, with classes or texts: the name of the
              code, which is missing if the confidence is too low. The confidence of a
              class is the probability that the code is more frequent in a series of the
              class than in a series of the most similar other class, minus 1.64
              standard errors, and must be at least 0.55. The confidence of a text is
              its share in the usage of the code over all texts (see
              :meth:`transform_text`), and must be at least twice the mean share.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        TypeError
            If a text is not a string.
        ValueError
            If `texts` is not None but the estimator was not trained with text, if there
            are fewer than two texts or a text is empty, or if the model was saved by an
            early version.
        """
        check_is_fitted(self)
        table = code_table.describe_codes(self.code_statistics_, self.features_)
        if texts is not None:
            code_table.name_codes_by_text(table, texts, self.transform_text(texts))
        return table

    def transform_text(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Predict code shares from texts.

        Parameters
        ----------
        [[texts]]

        Returns
        -------
        ndarray of shape (n_texts, n_codes)
            Expected share of each code in the series that the text describes, as in
            :meth:`transform_codes`. Rows sum to 1.

        [[raises_texts]]
        """
        check_is_fitted(self)
        return alignment.transform_text(texts, self.text_alignment_, self._encoder())

    def similarity(self, X: Any, texts: Sequence[str]) -> NDArray[np.float64]:
        """Compare series with texts in the joint embedding spaces.

        Parameters
        ----------
        [[X]]
        [[texts]]

        Returns
        -------
        ndarray of shape (n_cases, n_texts)
            Cosine similarities, from -1 to 1.

        [[raises_texts]]
            The error is also raised if X is not a panel with the channels of the
            training series.
        """
        panel, encoder, execution = self.check_X(X), self._encoder(), self._execution()
        if self.adapter_ is not None:
            found = self.adapter_.similarity(self, panel, texts, encoder, execution)
            return np.asarray(found)
        return alignment.similarity(
            panel,
            texts,
            self.features_,
            self.feature_scaler_,
            self.text_alignment_,
            encoder,
            execution,
        )

    def reconstruct_text(self, X: Any) -> NDArray[np.float64]:
        """Reconstruct series with the text branch.

        Each channel is written as a string of digits. From the string, the text branch
        predicts matches with the codes, and it decodes digits from these matches. The
        estimator must be trained with ``loss_weights={"digits": ...}``.

        [[parameters_X]]

        Returns
        -------
        ndarray of shape (n_cases, n_channels, n_timepoints)
            Series in the units of X, interpolated linearly between decoded values.
            Values are NaN after the end of a series, and where the decoded digits do
            not form a number.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        ValueError
            If the estimator was trained without the loss ``"digits"``, or X is not a
            panel with the channels of the training series.
        """
        panel = self.check_X(X)
        digits = None if self.network_ is None else self.network_.digits
        codebook = self.features_.tokenizer.codebook
        return alignment.reconstruct_text(panel, digits, codebook)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        return tags
