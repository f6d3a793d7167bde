"""What transformer and classifier share: parameters, input, fitting, histograms."""

from __future__ import annotations

import copy
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
import torch
from joblib import effective_n_jobs
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data
from tqdm.auto import tqdm

from sktext_vq._augmentation import add_copies, check_augment
from sktext_vq._checkpoints import (
    Checkpoint,
    fact,
    fact_of_arrays,
    facts_of_parameters,
)
from sktext_vq._cluster import on_cluster
from sktext_vq._drift import DriftReference, likely_triads, warn_of_drift
from sktext_vq._guidance import check_case_texts, refuse_broken
from sktext_vq._learned import Learned
from sktext_vq._messages import check_count, few
from sktext_vq._naming import CodeUse, separate
from sktext_vq._processes import choose_device
from sktext_vq._scaling import Scaler
from sktext_vq._selection import FeatureMoments, Selection, assign_folds, keep_best
from sktext_vq._teaching import Lesson, TeachingMixin
from sktext_vq._vocabulary import VocabularyMixin
from sktext_vq._workspace import WorkspaceMixin
from sktext_vq._writing import Writer
from sktext_vq.nn.attributes import AttributeDecoder
from sktext_vq.nn.frames import GravityFrame, find_triads
from sktext_vq.nn.losses import WEIGHTS
from sktext_vq.nn.model import DualBranchModel, share_of_codes
from sktext_vq.nn.tokens import (
    N_POINTS,
    N_ROWS,
    Batch,
    ShapeTokenizer,
    cases_per_batch,
    sample_size,
)
from sktext_vq.panel import Panel, as_panel
from sktext_vq.text import TextEncoder
from sktext_vq.training import Result, in_threads, single_thread, to_device

# Cases that features are chosen from.
_MAX_SELECTION_CASES = 2048
# With classes, so large shares of histograms, matches and summaries are kept: chosen on
# the training parts of 19 data sets (benchmarks/results/choices.csv).
_KEPT_SHARES = (1 / 3, 1 / 3, 1.0)
_FAR_CHANNEL = 1e30  # in units of the axes of sensors; float32 can hold it
_GRAVITY_VIEWS = ("beside", "alone")
_TEXT_CHOICES = ("auto", "labels", "captions")


class VQTextBase(TeachingMixin, WorkspaceMixin, VocabularyMixin, BaseEstimator):
    """Shared parameters and fitting; see the public classes for their meaning."""

    def _check_params(self) -> None:
        for name, low in (("n_codes", 2), ("max_epochs", 0), ("max_features", 1)):
            check_count(name, getattr(self, name), least=low)
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
        self._check_loss_weights()
        check_augment(self.augment)
        if self.gravity_views not in _GRAVITY_VIEWS:
            raise ValueError(
                f"gravity_views must be one of {_GRAVITY_VIEWS}, got "
                f"{self.gravity_views!r}."
            )
        if self.n_jobs is not None and not (
            isinstance(self.n_jobs, Integral) and self.n_jobs
        ):
            raise ValueError(
                f"n_jobs must be an int other than 0, or None, got {self.n_jobs!r}."
            )
        try:
            torch.empty(0, device=self._device())
        except (RuntimeError, AssertionError) as error:
            raise ValueError(
                'device must be "auto", "accelerate", or a device that torch has here, '
                f'such as "cpu", got {self.device!r}.'
            ) from error
        rate = self.sampling_rate
        if rate is not None and not (isinstance(rate, Real) and float(rate) > 0):
            raise ValueError(
                f"sampling_rate must be a positive number of timepoints per second, "
                f"or None, got {rate!r}."
            )

    def _check_loss_weights(self) -> None:
        own = self.loss_weights
        if own is None:
            return
        if not isinstance(own, Mapping):
            raise TypeError(
                "loss_weights must be a dict from names of losses to weights, got a "
                f"{type(own).__name__}."
            )
        unknown = sorted(set(own) - set(WEIGHTS))
        if unknown:
            raise ValueError(
                f"loss_weights has {unknown}, which are no losses. Losses are "
                f"{sorted(WEIGHTS)}."
            )
        for name, weight in own.items():
            if not (isinstance(weight, Real) and 0 <= float(weight) < np.inf):
                raise ValueError(
                    f"loss_weights[{name!r}] must be a number of at least 0, got "
                    f"{weight!r}."
                )

    def _check_X(self, X: Any, *, reset: bool) -> Panel:
        """Read a panel and hold scikit-learn's feature contract.

        Without `reset`, an estimator that is not fitted is an error.
        """
        if not reset:
            check_is_fitted(self)
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
            self._columns = panel.channel_names
            _warn_of_axes(X, panel)
            return panel
        if panel.n_channels != self.n_channels_:
            series = (self.n_channels_, self.n_timepoints_)
            is_series = getattr(X, "shape", None) == series
            advice = " Is X a single series? Pass X[None], a panel of one."
            raise ValueError(
                f"X has {panel.n_channels} channels, but {type(self).__name__} was "
                f"fitted with {self.n_channels_} channels.{advice if is_series else ''}"
            )
        self._check_columns(panel.channel_names)
        if tabular and self.n_features_in_ == self.n_timepoints_:
            validate_data(self, X, reset=False, skip_check_array=True)
        # Models of older files have no reference.
        reference = self.__dict__.get("_drift_")
        names = self.channel_names_
        warn_of_drift(panel, self.scaler_, reference, names, stacklevel=3)
        return panel

    def _check_y(self, y: Any, panel: Panel) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Return classes in order, and the class index of every case."""
        y = check_column(y, "y", panel)
        with np.errstate(invalid="ignore"):  # it casts NaN before it refuses it
            check_classification_targets(y)
        labels, classes = np.unique(y, return_inverse=True)
        refuse_broken(labels, "y")
        return labels, classes.astype(np.int64)

    def _check_columns(self, columns: tuple[str, ...] | None) -> None:
        """Refuse channels that are others than in training, by their names."""
        known = getattr(self, "_columns", None)
        # Frames that sktime converts have names that say nothing.
        if not known or not columns or known == columns or not {*known} & {*columns}:
            return
        lacking = [name for name in known if name not in columns]
        what = f"lacks {lacking}" if lacking else "has them in another order"
        raise ValueError(
            f"X has columns {list(columns)}, but {type(self).__name__} was fitted with "
            f"{list(known)}: X {what}. Columns must be the same, in the same order."
        )

    def _known_names(self) -> Sequence[str] | None:
        """Return names of channels that were given or are those of columns."""
        return self._columns if self.channel_names is None else self.channel_names

    def _check_channel_names(self) -> list[str]:
        known = self._known_names()
        if known is None:
            return [f"channel {i}" for i in range(self.n_channels_)]
        if isinstance(known, str) or not np.iterable(known):
            raise TypeError(f"channel_names must be a list of names, got {known!r}.")
        names = [str(name) for name in known]
        if len(names) != self.n_channels_ or len(set(names)) != len(names):
            advice = ""
            if len(names) == self.n_timepoints_:
                advice = (
                    f" X has {self.n_timepoints_} timepoints: its axes must be cases, "
                    "channels, timepoints. X.transpose(0, 2, 1) swaps the last two."
                )
            n = self.n_channels_
            wanted = f"{n} different names, one for each channel of X"
            raise ValueError(
                f"channel_names must be {wanted if n > 1 else 'one name'}, got {names}."
                f"{advice}"
            )
        refuse_broken(names, "channel_names")
        return names

    def _check_channel_groups(self) -> dict[str, tuple[int, int, int]]:
        """Return the axes of each sensor, as indices of channels."""
        groups = self.channel_groups
        if groups is None:
            return {}
        if isinstance(groups, str) and groups == "auto":
            named = self._known_names() is not None
            return find_triads(self.channel_names_) if named else {}
        if not isinstance(groups, Mapping):
            raise TypeError(
                'channel_groups must be "auto", None, or a dict from names of sensors '
                f"to the three channels of their axes, got {groups!r}."
            )
        found = {}
        for name, axes in groups.items():
            is_list = np.iterable(axes) and not isinstance(axes, str)
            indices = [
                self.channel_names_.index(axis)
                if isinstance(axis, str) and axis in self.channel_names_
                else axis
                for axis in (axes if is_list else [])
            ]
            right = all(
                isinstance(i, Integral) and 0 <= int(i) < self.n_channels_
                for i in indices
            )
            if not right or not len(set(indices)) == len(indices) == 3:
                raise ValueError(
                    f"channel_groups[{name!r}] must be three different channels, by "
                    f"name or by index from 0 to {self.n_channels_ - 1}, got {axes!r}."
                )
            x, y, z = map(int, indices)
            found[str(name)] = (x, y, z)
        refuse_broken(found, "channel_groups")
        return found

    def _fit(
        self,
        panel: Panel,
        labels: NDArray[Any] | None,
        classes: NDArray[np.int64] | None,
        case_texts: Any,
        class_weight: NDArray[np.float64] | None,
        n_folds: int = 1,
        groups: NDArray[Any] | None = None,
        init: Any = None,
    ) -> tuple[Selection, Panel]:
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
        groups : ndarray of shape (n_cases,), optional
            What folds must not part.
        init : VQTextTransformer or VQTextClassifier, optional
            Where the vocabulary comes from.

        Returns
        -------
        selection : Selection
            Chosen features.
        panel : Panel
            What they were chosen on: the series with changed copies, if `augment` asks
            for such.
        """
        self._check_params()
        self.channel_names_ = self._check_channel_names()
        if case_texts is not None:
            case_texts = check_case_texts(case_texts, panel.n_cases)
        learned = None if init is None else Learned.of(init, self.n_codes)
        checkpoint = self._checkpoint(
            panel, labels, classes, case_texts, groups, learned
        )
        random_state = check_random_state(self.random_state)
        generator = torch.Generator().manual_seed(
            int(random_state.randint(np.iinfo(np.int32).max))
        )
        self.scaler_ = Scaler.fit(panel)
        n_timepoints = max(panel.n_timepoints, N_POINTS)
        few = sample_size(panel.n_channels, n_timepoints)
        cases = np.sort(random_state.permutation(panel.n_cases)[:few])
        with single_thread():
            batch = self.scaler_.batch(panel, cases)
            frame = self._frame(batch)
            triads = list(self.channel_groups_.values())
            if not triads and self._known_names() is None:
                triads = likely_triads(panel.n_channels)
            self._drift_ = DriftReference.fit(panel, self.scaler_, triads)
            arguments = (len(self._channels), n_timepoints, self.n_codes, frame)
            tokenizer = ShapeTokenizer(*arguments)
            if sum(self._wanted(tokenizer, classes)) > self.max_features:
                # Matches help beside histograms, but not in place of them.
                tokenizer = ShapeTokenizer(*arguments, with_matches=False)
            tokenizer.requires_grad_(False)
            codebook = None if learned is None else learned.tokenizer.codebook
            tokenizer.fit(batch, generator, codebook)
        tokenizer.requires_grad_(True)
        self.tokenizer_ = tokenizer.eval()
        self.model_: DualBranchModel | None = None
        self.attributes_: AttributeDecoder | None = None
        self._writer_: Writer | None = None
        self.history_: list[dict[str, float]] = []
        self.level_ = "closed form"
        self.prompts_: list[str] | None = None
        self.codebook_use_: dict[str, float] = {}
        if self.max_epochs > 0:
            lesson = Lesson(
                panel=panel,
                labels=labels,
                classes=classes,
                class_weight=class_weight,
                case_texts=case_texts,
                init=learned,
                checkpoint=checkpoint,
                generator=generator,
            )
            self._train(lesson, random_state)
        if self.augment is not None:
            n_cases, triads = panel.n_cases, list(self.channel_groups_.values())
            panel = add_copies(panel, triads, self.augment, random_state)
            classes, groups = (
                None if each is None else np.repeat(each, panel.n_cases // n_cases)
                for each in (classes, groups)
            )
        selection = self._select(
            panel, classes, np.arange(panel.n_cases), random_state, n_folds, groups
        )
        self.kept_ = selection.kept
        self._use = self._count_codes(selection.moments, selection.separation)
        self._labels = labels
        return selection, panel

    def _checkpoint(
        self,
        panel: Panel,
        labels: NDArray[Any] | None,
        classes: NDArray[np.int64] | None,
        case_texts: list[str] | None,
        groups: NDArray[Any] | None,
        init: Learned | None,
    ) -> Checkpoint | None:
        """Open the file of this fit, before anything is computed."""
        if self.checkpoint is None or self.max_epochs == 0:
            return None
        if not isinstance(self.random_state, Integral):
            raise ValueError(
                "checkpoint needs random_state to be an int, or a fit could not go on "
                f"from where another one was; got {self.random_state!r}."
            )
        shape = (panel.n_cases, panel.n_channels, panel.n_timepoints)
        facts = {"X": fact_of_arrays(f"of shape {shape}", panel.values, panel.lengths)}
        if labels is None or classes is None:
            facts["y"] = fact(None)
        else:
            y = [labels.astype(str).tolist(), classes.tolist()]
            facts["y"] = fact(y, f"{len(classes)} labels of {len(labels)} classes")
        for name, each in (("text", case_texts), ("groups", groups)):
            facts[f"{name} of fit"] = fact(
                None if each is None else np.asarray(each).astype(str).tolist(),
                None if each is None else "given",
            )
        facts["init"] = fact(None) if init is None else init.fact()
        facts |= facts_of_parameters(self.get_params(deep=False))
        return Checkpoint(self.checkpoint, facts)

    def _frame(self, batch: Batch) -> GravityFrame | None:
        """Make what adds channels of sensors, and name all channels."""
        self._channels = list(self.channel_names_)
        self.channel_groups_ = self._check_channel_groups()
        if not self.channel_groups_:
            if self.gravity_views == "alone":
                raise ValueError(
                    'gravity_views="alone" needs sensors with three axes: name them in '
                    "channel_names, such as acc_x, acc_y and acc_z, or channel_groups."
                )
            return None
        triads = list(self.channel_groups_.values())
        # Squares of huge values would overflow, so axes are about 1 here. Nothing is
        # rounded by a power of two. Other channels are not used.
        values = np.stack([self.scaler_.mean, self.scaler_.scale])
        _, power = np.frexp(np.abs(values[:, np.unique(triads)]).max())
        values = np.ldexp(values, -power).clip(-_FAR_CHANNEL, _FAR_CHANNEL)
        mean, scale = torch.from_numpy(values.astype(np.float32))
        frame = GravityFrame(triads, mean, scale, self.gravity_views == "alone")
        frame.fit(batch)
        if frame.reference is None:
            if frame.alone:
                raise ValueError(
                    'gravity_views="alone": no sensor tells where up is, since the '
                    f"mean of none of {list(self.channel_groups_)} is steady."
                )
            return None
        self._channels = [self.channel_names_[c] for c in frame.others]
        self._channels += [
            f"{name} {part}" for name in self.channel_groups_ for part in frame.parts
        ]
        return frame

    def _select(
        self,
        panel: Panel,
        classes: NDArray[np.int64] | None,
        cases: NDArray[np.int64],
        random_state: np.random.RandomState,
        n_folds: int = 1,
        groups: NDArray[Any] | None = None,
    ) -> Selection:
        """Choose features by their scores on up to 2,048 cases."""
        chosen = np.sort(random_state.permutation(cases)[:_MAX_SELECTION_CASES])
        part = panel.take(chosen)
        labels = np.zeros(len(chosen), np.int64) if classes is None else classes[chosen]
        folds = assign_folds(
            labels, n_folds, None if groups is None else groups[chosen]
        )
        sizes = np.array(self.tokenizer_.sizes)
        moments = FeatureMoments(sizes.sum(), int(labels.max()) + 1, n_folds)
        shares = np.empty((len(chosen), self.n_codes))
        for where, features in self._flat_features(part, "choosing features"):
            moments.add(features, labels[where], folds[where])
            usage = self.tokenizer_.usage(torch.from_numpy(features)).flatten(3)
            shares[where] = share_of_codes(usage).numpy()
        moments.flush()
        wanted = self._wanted(self.tokenizer_, classes)
        n_summaries = min(self.max_features // 2, wanted[2])
        n_counts = min(wanted[0], self.max_features - n_summaries)
        n_of_kind = (n_counts, wanted[1], n_summaries)
        ends = np.cumsum(sizes)

        def keep(scores: NDArray[np.float64]) -> NDArray[np.int64]:
            kinds = zip(
                np.split(scores, ends[:-1]), ends - sizes, n_of_kind, strict=True
            )
            return np.concatenate(
                [start + keep_best(kind, n) for kind, start, n in kinds]
            )

        scores = moments.scores()
        if classes is None:
            # Rows of best matches have another unit than histograms: variances are
            # compared within each.
            rows = scores[: sizes[0]].reshape(-1, N_ROWS, self.n_codes)
            for kind in (rows[:, :-1], rows[:, -1]):
                kind /= max(kind.mean(), 1e-12)
        without = range(int(folds.max()) + 1 if n_folds > 1 else 0)
        kept_without = [keep(moments.scores(fold)) for fold in without]
        separation = None
        if classes is not None:
            best = self._count_codes(moments).class_lift.argmax(axis=0)
            separation = separate(shares, labels, best)
        return Selection(
            keep(scores), n_of_kind, moments, chosen, folds, kept_without, separation
        )

    @staticmethod
    def _wanted(
        tokenizer: ShapeTokenizer, classes: NDArray[np.int64] | None
    ) -> list[int]:
        """How many features of each kind to keep, if there is room for them."""
        return [
            int(size * (share if classes is not None else share > 0))
            for size, share in zip(tokenizer.sizes, _KEPT_SHARES, strict=True)
        ]

    def _count_codes(
        self, moments: FeatureMoments, separation: NDArray[np.float64] | None = None
    ) -> CodeUse:
        """How often codes occur in series of each class."""
        counts = moments.counts.sum(axis=0)
        squares = moments.squares.sum(axis=0) / counts.clip(1)[:, None]
        counted = squares[:, : self.tokenizer_.sizes[0]]
        return CodeUse.from_squares(counted, self.tokenizer_.layout, separation)

    def _encoder(self) -> TextEncoder:
        if isinstance(self.text_encoder, TextEncoder):
            return self.text_encoder
        return TextEncoder(self.text_encoder, verbose=self.verbose)

    def _device(self) -> str:
        return choose_device(self.device)

    def _n_threads(self) -> int:
        if self._device() != "cpu":
            return 1
        if on_cluster():  # joblib would count the threads of all machines
            return 1 if self.n_jobs == 1 else torch.get_num_threads()
        n_jobs = effective_n_jobs(self.n_jobs)
        return (
            torch.get_num_threads() if self.n_jobs is None and n_jobs == 1 else n_jobs
        )

    def _flat_features(
        self, panel: Panel, task: str
    ) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Yield features of consecutive cases, in bounded memory."""
        return self._map_features(lambda part, features: features, panel, task)

    def _map_features(
        self,
        function: Callable[[slice, NDArray[np.float32]], Result],
        panel: Panel,
        task: str,
    ) -> Iterator[tuple[slice, Result]]:
        """Yield what a function makes of the features of consecutive cases.

        Threads compute features and call the function.
        """
        device = self._device()
        tokenizer = self.tokenizer_
        if device != "cpu":
            tokenizer = copy.deepcopy(tokenizer).to(device)
        n_timepoints = max(panel.n_timepoints, self.n_timepoints_, N_POINTS)
        n_threads = self._n_threads()
        size = cases_per_batch(tokenizer.n_channels, n_timepoints, self.n_codes)
        size = min(size, -(-panel.n_cases // n_threads))
        parts = [slice(i, i + size) for i in range(0, panel.n_cases, size)]

        def compute(part: slice) -> Result:
            with torch.inference_mode():
                batch = self.scaler_.batch(panel, part, n_timepoints)
                features = tokenizer(to_device(batch, device)).cpu().numpy()
                return function(part, features)

        found = in_threads(compute, parts, n_threads)
        bar = tqdm(
            total=panel.n_cases, desc=task, disable=not self.verbose, leave=False
        )
        with bar:
            for part, result in zip(parts, found, strict=True):
                yield part, result
                bar.update(min(part.stop, panel.n_cases) - part.start)

    def _histograms(
        self, panel: Panel, kept: NDArray[np.int64] | None = None
    ) -> NDArray[np.float32]:
        """Compute chosen features of all cases, of shape (n_cases, n_kept)."""
        kept = self.kept_ if kept is None else kept
        histograms = np.empty((panel.n_cases, len(kept)), np.float32)

        def write(part: slice, features: NDArray[np.float32]) -> None:
            # Unlike mode="raise", this needs no copy; no index is out of range.
            np.take(features, kept, axis=1, out=histograms[part], mode="clip")

        deque(self._map_features(write, panel, "tokens"), maxlen=0)
        return histograms

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        return tags


def check_column(values: Any, name: str, panel: Panel) -> NDArray[Any]:
    """Return one value for each case as an array, or say what is wrong."""
    own = getattr(values, "index", None)
    if panel.cases is not None and isinstance(own, pd.Index):
        cases = pd.Index(panel.cases)
        same = len(own) == len(cases) and not len(own.symmetric_difference(cases))
        if same and not own.equals(cases):
            raise ValueError(
                f"{name} has the cases of X in its index, in another order than X: "
                f"{few(own, 3)} in place of {few(cases, 3)}. {name}.loc[cases] with "
                "cases = X.index.get_level_values(0).unique() has that order."
            )
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(
            f"{name} has elements of different length: give one value for each case."
        ) from error
    if array.size == 0:
        raise ValueError(f"{name} is empty: give one value for each case.")
    if array.ndim not in (1, 2) or array.dtype.kind == "V":
        raise ValueError(
            f"{name} should be a 1d array, one value for each case, got an array of "
            f"shape {array.shape} and dtype {array.dtype}."
        )
    column = np.asarray(column_or_1d(values, warn=True))
    missing = pd.isna(column)
    if missing.any():
        raise ValueError(
            f"{name} has no value for case {missing.argmax()} (counted from 0): input "
            f"{name} contains NaN or None. Leave the case out, or name it."
        )
    try:
        np.unique(column)
    except TypeError as error:
        kinds = sorted({type(value).__name__ for value in column.tolist()})
        raise TypeError(
            f"{name} has values of different types, {' and '.join(kinds)}, which have "
            "no order: turn all into strings, say."
        ) from error
    if len(column) != panel.n_cases:
        raise ValueError(
            f"X and {name} have inconsistent numbers of samples: X has "
            f"{panel.n_cases} cases, {name} has {len(column)}."
        )
    return column


def _warn_of_axes(X: Any, panel: Panel) -> None:
    """Warn of tables whose rows or columns are likely to be something else."""
    if panel.n_channels > panel.n_timepoints:
        warnings.warn(
            f"X has {panel.n_channels} channels of {panel.n_timepoints} timepoints. "
            "Its axes are cases, channels, timepoints; if the last two are the other "
            "way around, call X.transpose(0, 2, 1).",
            stacklevel=4,
        )
    columns = getattr(X, "columns", ()) if panel.channel_names is None else ()
    triads = find_triads([name for name in columns if isinstance(name, str)])
    if triads:
        warnings.warn(
            f"X has columns {list(columns)[:6]}, each row of which is read as a case "
            "and each column as a timepoint of one channel. If columns are channels, "
            "sktext_vq.recordings.read_recordings makes a panel of the table.",
            stacklevel=4,
        )


def _is_table(X: Any, panel: Panel) -> bool:
    """Whether X has the shape (n_cases, n_timepoints) of its panel."""
    if panel.n_channels > 1 or (panel.lengths < panel.n_timepoints).any():
        return hasattr(X, "shape") and X.shape == (panel.n_cases, panel.n_timepoints)
    shape = X.shape if hasattr(X, "shape") else np.asarray(X).shape
    return shape == (panel.n_cases, panel.n_timepoints)
