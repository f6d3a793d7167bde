"""What transformer and classifier share: parameters, input, fitting, histograms."""

from __future__ import annotations

import copy
import itertools
import warnings
from collections.abc import Iterator, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed, effective_n_jobs
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, validate_data
from tqdm.auto import tqdm

from sktext_vq._guidance import Guidance, describe_classes, guide_cases
from sktext_vq._scaling import Scaler
from sktext_vq._selection import (
    FeatureMoments,
    Selection,
    assign_folds,
    keep_best,
)
from sktext_vq._vocabulary import VocabularyMixin
from sktext_vq.nn.model import DualBranchModel
from sktext_vq.nn.tokens import (
    LEVEL_BINS,
    N_POINTS,
    N_ROWS,
    ShapeTokenizer,
    cases_per_batch,
    sample_size,
)
from sktext_vq.panel import Panel, as_panel
from sktext_vq.text import SeriesCaptioner, TextEncoder, are_words
from sktext_vq.training import move, single_thread, split_cases, train

# Cases that features are chosen from, and captions written for.
_MAX_SELECTION_CASES = 2048
_MAX_CAPTIONED_CASES = 512
# With classes, so large a share of the features is kept: chosen by cross-validation
# on the training parts of 19 data sets (benchmarks/results/choices.csv).
_KEPT_SHARE = 1 / 3
_TEXT_CHOICES = ("auto", "labels", "captions")


class VQTextBase(VocabularyMixin, BaseEstimator):
    """Shared parameters and fitting; see the public classes for their meaning."""

    def _check_params(self) -> None:
        for name, low in (("n_codes", 2), ("max_epochs", 0), ("max_features", 1)):
            value = getattr(self, name)
            if not isinstance(value, Integral):
                raise TypeError(f"{name} must be an int, got {value!r}.")
            if value < low:
                raise ValueError(f"{name} must be at least {low}, got {value}.")
        if isinstance(self.text, str) and self.text not in _TEXT_CHOICES:
            raise ValueError(
                f"text must be one of {_TEXT_CHOICES}, None, or a dict from labels to "
                f"texts, got {self.text!r}. Texts of single cases go to fit(text=...)."
            )
        if not (self.text is None or isinstance(self.text, str | Mapping)):
            raise TypeError(
                f"text must be one of {_TEXT_CHOICES}, None, or a dict from labels to "
                f"texts, got a {type(self.text).__name__}."
            )
        rate = self.sampling_rate
        if rate is not None and not (isinstance(rate, Real) and float(rate) > 0):
            raise ValueError(
                f"sampling_rate must be a positive number of timepoints per second, "
                f"or None, got {rate!r}."
            )

    def _check_X(self, X: Any, *, reset: bool) -> Panel:
        """Read a panel and hold scikit-learn's feature contract."""
        panel = as_panel(X, estimator_name=type(self).__name__)
        # A table of one channel: columns are scikit-learn's features.
        tabular = _is_table(X, panel)
        if reset:
            if tabular:
                validate_data(self, X, reset=True, skip_check_array=True)
            else:
                self.__dict__.pop("feature_names_in_", None)
                self.n_features_in_ = panel.n_channels
            self.n_channels_ = panel.n_channels
            self.n_timepoints_ = panel.n_timepoints
            return panel
        if panel.n_channels != self.n_channels_:
            raise ValueError(
                f"X has {panel.n_channels} channels, but {type(self).__name__} was "
                f"fitted with {self.n_channels_} channels."
            )
        if tabular and self.n_features_in_ == self.n_timepoints_:
            validate_data(self, X, reset=False, skip_check_array=True)
        return panel

    def _check_y(self, y: Any, panel: Panel) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Return classes in order, and the class index of every case."""
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        if len(y) != panel.n_cases:
            raise ValueError(
                f"X and y have inconsistent numbers of samples: X has {panel.n_cases} "
                f"cases, y has {len(y)}."
            )
        labels, classes = np.unique(y, return_inverse=True)
        return labels, classes.astype(np.int64)

    def _check_channel_names(self) -> list[str]:
        if self.channel_names is None:
            return [f"channel {i}" for i in range(self.n_channels_)]
        names = [str(name) for name in self.channel_names]
        if len(names) != self.n_channels_ or len(set(names)) != len(names):
            raise ValueError(
                f"channel_names must be {self.n_channels_} different names, one for "
                f"each channel of X, got {names}."
            )
        return names

    def _fit(
        self,
        panel: Panel,
        labels: NDArray[Any] | None,
        classes: NDArray[np.int64] | None,
        case_texts: Any,
        class_weight: NDArray[np.float64] | None,
        n_folds: int = 1,
    ) -> Selection:
        """Fit vocabulary, and train it unless there is nothing to train or no time.

        Parameters
        ----------
        panel : Panel
            Training series.
        labels : ndarray of shape (n_classes,), optional
            Classes in order.
        classes : ndarray of shape (n_cases,), optional
            Index of the class of every case.
        case_texts : array-like of shape (n_cases,), optional
            One text per case.
        class_weight : ndarray of shape (n_classes,), optional
            Weights of classes in the loss.
        n_folds : int, default=1
            Folds without each of which features are chosen again.

        Returns
        -------
        Selection
            Chosen features.
        """
        self._check_params()
        self.channel_names_ = self._check_channel_names()
        random_state = check_random_state(self.random_state)
        generator = torch.Generator().manual_seed(
            int(random_state.randint(np.iinfo(np.int32).max))
        )
        self.scaler_ = Scaler.fit(panel)
        n_timepoints = max(panel.n_timepoints, N_POINTS)
        tokenizer = ShapeTokenizer(panel.n_channels, n_timepoints, self.n_codes)
        tokenizer.requires_grad_(False)
        few = sample_size(panel.n_channels, n_timepoints)
        cases = np.sort(random_state.permutation(panel.n_cases)[:few])
        tokenizer.fit(self.scaler_.batch(panel, cases), generator)
        tokenizer.requires_grad_(True)
        self.tokenizer_ = tokenizer.eval()
        self.model_: DualBranchModel | None = None
        self.history_: list[dict[str, float]] = []
        self.level_ = "closed form"
        guidance = None
        if self.max_epochs > 0:
            guidance = self._guidance(panel, labels, classes, case_texts, random_state)
            self._train(panel, classes, guidance, class_weight, random_state, generator)
        self.prompts_ = None if guidance is None else guidance.texts
        selection = self._select(
            panel, classes, np.arange(panel.n_cases), random_state, n_folds
        )
        self.kept_ = selection.kept
        self._usage = self._count_codes(selection.moments)
        self._labels = labels
        return selection

    def _train(
        self,
        panel: Panel,
        classes: NDArray[np.int64] | None,
        guidance: Guidance | None,
        class_weight: NDArray[np.float64] | None,
        random_state: np.random.RandomState,
        generator: torch.Generator,
    ) -> None:
        """Train codes and heads; the tokenizer ends up with the codes learned."""
        train_cases, valid_cases = split_cases(panel.n_cases, classes, random_state)
        # What the heads see is chosen without the labels of held-out cases.
        selection = self._select(panel, classes, train_cases, random_state)
        kept = selection.kept
        mean, scale = selection.moments.mean_and_scale()
        model = DualBranchModel(
            self.tokenizer_,
            torch.from_numpy(kept),
            torch.from_numpy(mean[kept]),
            torch.from_numpy(scale[kept]),
            n_classes=0 if classes is None else int(classes.max()) + 1,
            text_dim=0 if guidance is None else guidance.embeddings.shape[1],
            generator=generator,
        )
        self.history_ = train(
            model,
            panel,
            self.scaler_,
            train_cases=train_cases,
            valid_cases=valid_cases,
            classes=classes,
            class_weight=class_weight,
            guidance=guidance,
            max_epochs=self.max_epochs,
            generator=generator,
            device=self._device(),
            verbose=self.verbose,
        )
        self.model_ = model
        self.level_ = "trained" if guidance is None else "trained with text"

    def _select(
        self,
        panel: Panel,
        classes: NDArray[np.int64] | None,
        cases: NDArray[np.int64],
        random_state: np.random.RandomState,
        n_folds: int = 1,
    ) -> Selection:
        """Choose features by their scores on up to 2,048 cases."""
        chosen = np.sort(random_state.permutation(cases)[:_MAX_SELECTION_CASES])
        part = Panel(panel.values[chosen], panel.lengths[chosen])
        groups = np.zeros(len(chosen), np.int64) if classes is None else classes[chosen]
        folds = assign_folds(groups, n_folds, random_state)
        n_features = int(np.prod(self.tokenizer_.layout))
        moments = FeatureMoments(n_features, int(groups.max()) + 1, n_folds)
        for where, features in self._flat_features(part, "choosing features"):
            moments.add(features, groups[where], folds[where])
        moments.flush()
        n_kept = min(self.max_features, n_features)
        if classes is not None:
            n_kept = min(n_kept, int(np.ceil(_KEPT_SHARE * n_features)))
        scores = moments.scores()
        if classes is None:
            # Rows of best matches have another unit than histograms: variances are
            # compared within each kind.
            rows = scores.reshape(-1, N_ROWS, self.n_codes)
            for kind in (rows[:, :-1], rows[:, -1]):
                kind /= max(kind.mean(), 1e-12)
        without = range(n_folds if n_folds > 1 else 0)
        kept_without = [keep_best(moments.scores(fold), n_kept) for fold in without]
        kept = keep_best(scores, n_kept)
        return Selection(kept, moments, chosen, folds, kept_without)

    def _count_codes(self, moments: FeatureMoments) -> NDArray[np.float64]:
        """How often codes occur in series of each class.

        Returns
        -------
        ndarray of shape (n_classes, n_channels, n_lengths, n_codes)
        """
        counts = moments.counts.sum(axis=0)
        squares = moments.squares.sum(axis=0) / counts.clip(1)[:, None]
        frequencies = squares.reshape(-1, *self.tokenizer_.layout)
        # Level bins of a code share out its windows; the first view is the series.
        return frequencies[:, :, 0, :, :LEVEL_BINS].sum(axis=3)

    def _guidance(
        self,
        panel: Panel,
        labels: NDArray[Any] | None,
        classes: NDArray[np.int64] | None,
        case_texts: Any,
        random_state: np.random.RandomState,
    ) -> Guidance | None:
        """Collect and encode the texts that guide training, if any."""
        source = self.text
        if case_texts is not None:
            cases = np.arange(panel.n_cases)
            return guide_cases(case_texts, cases, panel.n_cases, self._encoder())
        if source is None:
            return None
        of_classes = isinstance(source, Mapping) or source == "labels"
        if of_classes and labels is None:
            raise ValueError(f"text={source!r} needs labels: pass y to fit.")
        if source == "auto" and labels is not None:
            of_classes = are_words(labels)
        try:
            if of_classes:
                assert labels is not None and classes is not None
                own = source if isinstance(source, Mapping) else None
                first, vectors = self._describe_classes(list(map(str, labels)), own)
                return Guidance(first, vectors, classes, True)
            cases = np.sort(
                random_state.permutation(panel.n_cases)[:_MAX_CAPTIONED_CASES]
            )
            captioner = SeriesCaptioner(
                channel_names=self.channel_names, sampling_rate=self.sampling_rate
            )
            part = Panel(panel.values[cases], panel.lengths[cases])
            captions = captioner.fit_transform(part)
            return guide_cases(captions, cases, panel.n_cases, self._encoder())
        except ImportError as error:
            if source != "auto":
                raise
            warnings.warn(
                f"Training goes on without text, since {error} Pass text=None to "
                "choose this.",
                stacklevel=5,
            )
            return None

    def _describe_classes(
        self, names: list[str], own: Mapping[Any, Any] | None
    ) -> tuple[list[str], NDArray[np.float32]]:
        """Describe classes by the forms and the encoder of this estimator."""
        return describe_classes(names, own, self.prompt_forms, self._encoder())

    def _encoder(self) -> TextEncoder:
        if isinstance(self.text_encoder, TextEncoder):
            return self.text_encoder
        return TextEncoder(self.text_encoder, verbose=self.verbose)

    def _device(self) -> str:
        if self.device != "auto":
            return str(self.device)
        return "cuda" if torch.cuda.is_available() else "cpu"

    def _flat_features(
        self, panel: Panel, task: str
    ) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Yield histograms of consecutive cases, flattened, in bounded memory."""
        device = self._device()
        tokenizer = self.tokenizer_
        if device != "cpu":
            tokenizer = copy.deepcopy(tokenizer).to(device)
        n_timepoints = max(panel.n_timepoints, self.n_timepoints_, N_POINTS)
        size = cases_per_batch(panel.n_channels, n_timepoints, self.n_codes)
        batches = self.scaler_.batches(panel, size, n_timepoints)
        bar = tqdm(
            total=panel.n_cases, desc=task, disable=not self.verbose, leave=False
        )
        with torch.inference_mode(), single_thread(), bar:
            for where, batch in batches:
                features = tokenizer(move(batch, device)).flatten(1)
                yield where, features.cpu().numpy()
                bar.update(len(features))

    def _histograms(
        self, panel: Panel, kept: NDArray[np.int64] | None = None
    ) -> NDArray[np.float32]:
        """Compute chosen features of all cases, of shape (n_cases, n_kept)."""
        kept = self.kept_ if kept is None else kept
        histograms = np.empty((panel.n_cases, len(kept)), np.float32)

        def fill(cases: slice) -> None:
            part = Panel(panel.values[cases], panel.lengths[cases])
            for where, features in self._flat_features(part, "tokens"):
                histograms[cases][where] = features[:, kept]

        n_parts = min(effective_n_jobs(self.n_jobs), panel.n_cases)
        bounds = np.linspace(0, panel.n_cases, n_parts + 1).astype(int)
        Parallel(n_jobs=self.n_jobs, require="sharedmem")(
            delayed(fill)(slice(*pair)) for pair in itertools.pairwise(bounds)
        )
        return histograms

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        return tags


def _is_table(X: Any, panel: Panel) -> bool:
    """Whether X has the shape (n_cases, n_timepoints) of its panel."""
    if panel.n_channels > 1 or (panel.lengths < panel.n_timepoints).any():
        return hasattr(X, "shape") and X.shape == (panel.n_cases, panel.n_timepoints)
    shape = X.shape if hasattr(X, "shape") else np.asarray(X).shape
    return shape == (panel.n_cases, panel.n_timepoints)
