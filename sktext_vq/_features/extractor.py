"""Extraction of features: standardisation, gravity frame, tokens and selection."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from joblib import effective_n_jobs
from numpy.typing import NDArray
from tqdm.auto import tqdm

from sktext_vq._features.cluster import on_cluster
from sktext_vq._features.drift_reference import DriftReference, likely_triads
from sktext_vq._features.gravity import (
    Sensors,
    fit_frame,
    frame_from_state,
    frame_state,
    name_channels,
)
from sktext_vq._features.scaling import Scaler
from sktext_vq._utils.devices import choose_device, to_device
from sktext_vq._utils.state import (
    Number,
    Numbers,
    Sizes,
    Spec,
    State,
    Strings,
    check_state,
    fields_of,
    load_arrays,
    module_arrays,
)
from sktext_vq._utils.threads import Result, in_threads, single_thread
from sktext_vq._utils.torch_defaults import torch_defaults
from sktext_vq.nn.auxiliary import load_module
from sktext_vq.nn.codebook import Codebook
from sktext_vq.nn.constants import N_POINTS
from sktext_vq.nn.gravity import GravityFrame
from sktext_vq.nn.layout import FeatureLayout
from sktext_vq.nn.tokenizer import ShapeTokenizer, cases_per_batch, sample_size
from sktext_vq.nn.windows import Batch
from sktext_vq.panel import Panel

_MAX_PADDED = 2**20
_SCALER: dict[str, Spec | None] = {
    "mean": Numbers("float64", ("n_channels",)),
    "scale": Numbers("float64", ("n_channels",), above=0),
    "usual": Numbers("float64", (2, 7, "n_channels"), optional=True),
}
_STATE: dict[str, Spec | None] = {
    "scaler": None,
    "drift": None,
    "n_timepoints": Number(above=N_POINTS - 1),
    "n_codes": Number(above=1, below=2**20),
    "channels": Strings(),
    "axes": None,
    "selected": Numbers("int64", ("n_selected",), above=-1),
    "with_matches": None,
    "with_gains": None,
    "frame": None,
    "tokenizer": None,
}


@dataclass(frozen=True)
class Execution:
    """Parameters `device`, `n_jobs` and `verbose` of an estimator."""

    device: str = "auto"
    n_jobs: int | None = None
    verbose: int = 0

    @property
    def torch_device(self) -> str:
        """Name of the torch device."""
        return choose_device(self.device)

    @property
    def n_threads(self) -> int:
        """Number of threads among which cases are distributed."""
        if self.torch_device != "cpu":
            return 1
        if on_cluster():  # effective_n_jobs would count the threads of all machines
            return 1 if self.n_jobs == 1 else torch.get_num_threads()
        n_jobs = effective_n_jobs(self.n_jobs)
        if self.n_jobs is None and n_jobs == 1:
            return torch.get_num_threads()
        return int(n_jobs)


@dataclass(frozen=True)
class FeatureExtractor:
    """Compute the features of series.

    Parameters
    ----------
    scaler : Scaler
        Scaler of the input channels.
    tokenizer : ShapeTokenizer
        Fitted tokenizer. If it has a gravity frame, channels are added or replaced.
    n_timepoints : int
        Length to which shorter series are padded.
    channels : tuple of str
        Names of the channels of the tokenizer.
    axes : tuple of tuple of int
        Indices of the input channels from which each channel of the tokenizer is
        computed.
    selected : ndarray of int64, optional
        Indices of the selected features, in ascending order.
    drift : DriftReference, optional
        Statistics of the training cases, used to detect drift in new series.
    """

    scaler: Scaler
    tokenizer: ShapeTokenizer
    n_timepoints: int
    channels: tuple[str, ...]
    axes: tuple[tuple[int, ...], ...]
    selected: NDArray[np.int64] | None = None
    drift: DriftReference | None = None

    @classmethod
    def fit(
        cls,
        panel: Panel,
        n_codes: int,
        channel_names: Sequence[str],
        sensors: Sensors,
        *,
        is_named: bool = True,
        replace_axes: bool = False,
        with_matches: Callable[[FeatureLayout], bool],
        random_state: np.random.RandomState,
        generator: torch.Generator,
        codebook: Codebook | None = None,
    ) -> FeatureExtractor:
        """Fit the scaler, the codes, and the bins of the histograms.

        Parameters
        ----------
        panel : Panel
            Training series.
        n_codes : int
            Number of codes.
        channel_names : sequence of str
            Names of the channels.
        sensors : dict
            Indices of the channels of the three axes of each sensor, by sensor name.
        is_named : bool, default=True
            Whether channel names are known.
        replace_axes : bool, default=False
            Whether channels in the gravity frame replace the sensor axes.
        with_matches : callable
            Function that takes a layout and returns whether matches are included.
        random_state : RandomState
            Random generator for the choice of cases from which statistics are computed.
        generator : torch.Generator
            Random generator for the choice of codes and windows.
        codebook : Codebook, optional
            Codebook whose codes are reused. By default, codes are windows of the
            series.

        Returns
        -------
        FeatureExtractor
        """
        scaler = Scaler.fit(panel)
        n_timepoints = max(panel.n_timepoints, N_POINTS)
        n_sampled = sample_size(panel.n_channels, n_timepoints)
        cases = np.sort(random_state.permutation(panel.n_cases)[:n_sampled])
        with single_thread():
            batch = scaler.batch(panel, cases)
            frame = fit_frame(batch, scaler, sensors, replace_axes)
            channels, axes = name_channels(channel_names, sensors, frame)
            triads = list(sensors.values())
            if not triads and not is_named:
                triads = likely_triads(panel.n_channels)
            drift = DriftReference.fit(panel, scaler, triads)
            arguments = (len(channels), n_timepoints, n_codes, frame)
            tokenizer = ShapeTokenizer(*arguments)
            if not with_matches(tokenizer.layout):
                tokenizer = ShapeTokenizer(*arguments, with_matches=False)
            tokenizer.requires_grad_(False)
            tokenizer.fit(batch, generator, codebook)
        tokenizer.requires_grad_(True)
        tokenizer = tokenizer.eval()
        return cls(scaler, tokenizer, n_timepoints, channels, axes, drift=drift)

    def get_state(self) -> State:
        """Return the configuration and the arrays of the extractor."""
        tokenizer = self.tokenizer
        return {
            "scaler": fields_of(self.scaler),
            "drift": None if self.drift is None else fields_of(self.drift),
            "n_timepoints": self.n_timepoints,
            "n_codes": tokenizer.codebook.n_codes,
            "channels": list(self.channels),
            "axes": [list(axes) for axes in self.axes],
            "selected": self.selected,
            "with_matches": tokenizer.layout.with_matches,
            "with_gains": tokenizer.gains is not None,
            "frame": frame_state(tokenizer.frame),
            "tokenizer": module_arrays(tokenizer),
        }

    @classmethod
    def from_state(cls, state: State, sizes: Sizes) -> FeatureExtractor:
        """Build an extractor from its state.

        Raises
        ------
        ValueError
            If entries are missing or inconsistent.
        """
        check_state(state, _STATE, sizes, "features")
        scaler = Scaler(**check_state(state["scaler"], _SCALER, sizes, "scaler"))
        drift = None
        if state["drift"] is not None:
            drift = DriftReference.from_state(state["drift"], sizes)
        n_channels, n_tokenized = sizes["n_channels"], len(state["channels"])
        axes = tuple(tuple(each) for each in state["axes"])
        is_valid = len(axes) == n_tokenized and all(
            len(set(each)) == len(each) in (1, 3)
            and all(type(axis) is int and 0 <= axis < n_channels for axis in each)
            for each in axes
        )
        if not is_valid:
            raise ValueError("features.axes is inconsistent with the rest of the model")
        frame = None
        if state["frame"] is not None:
            frame = frame_from_state(state["frame"], n_channels, sizes)
        n_expected = n_channels
        if frame is not None:
            n_expected = len(frame.others) + frame.n_added
        if n_tokenized != n_expected:
            raise ValueError(
                "features.channels is inconsistent with the rest of the model"
            )
        with torch.device("meta"):  # does not allocate memory for invalid sizes
            tokenizer = ShapeTokenizer(
                n_tokenized,
                state["n_timepoints"],
                state["n_codes"],
                frame,
                with_matches=state["with_matches"] is True,
            )
            if state["with_gains"] is True:
                tokenizer.gains = load_module("frequency_gains").FrequencyGains()
        load_arrays(tokenizer, state["tokenizer"], "tokenizer")
        if frame is not None and frame.triads.tolist() != state["frame"]["triads"]:
            raise ValueError("frame.triads is inconsistent with the rest of the model")
        tokenizer.requires_grad_(False)
        selected = state["selected"]
        n_features = tokenizer.layout.n_features
        is_ascending = bool((np.diff(selected) > 0).all())
        if not (len(selected) and is_ascending and selected[-1] < n_features):
            raise ValueError(
                "features.selected is inconsistent with the rest of the model"
            )
        return cls(
            scaler,
            tokenizer.eval(),
            state["n_timepoints"],
            tuple(state["channels"]),
            axes,
            selected,
            drift,
        )

    def select(self, selected: NDArray[np.int64]) -> FeatureExtractor:
        """Return a copy that computes only the selected features."""
        return replace(self, selected=selected)

    @property
    def layout(self) -> FeatureLayout:
        """Positions of the features."""
        return self.tokenizer.layout

    @property
    def n_channels_without_frame(self) -> int:
        """Number of channels before those that a gravity frame adds.

        The number is 0 if no channels are added, or if they replace the sensor axes.
        """
        frame = self.tokenizer.frame
        if not isinstance(frame, GravityFrame) or frame.alone:
            return 0
        return len(frame.others)

    @property
    def codes(self) -> NDArray[np.float32]:
        """Codes, of shape (n_codes, N_POINTS)."""
        codes: NDArray[np.float32] = self.tokenizer.codebook.codes.detach().numpy()
        return codes

    def batch(self, panel: Panel, cases: slice) -> Batch:
        """Return standardised series, padded to the length used in `map`."""
        return self.scaler.batch(panel, cases, self._padded_length(panel))

    def _padded_length(self, panel: Panel) -> int:
        """Return the length to which series are padded."""
        # The length is limited, because it may come from an invalid file.
        return max(panel.n_timepoints, min(self.n_timepoints, _MAX_PADDED))

    def map(
        self,
        function: Callable[[slice, NDArray[np.float32]], Result],
        panel: Panel,
        execution: Execution,
        task: str,
        columns: NDArray[np.int64] | None = None,
    ) -> Iterator[tuple[slice, Result]]:
        """Apply a function to the features of consecutive cases and yield the results.

        The function is called in threads, with a slice of cases and their features of
        shape (n_cases, n_features). The progress bar has the title `task`. If `columns`
        is given, only these features are computed, and other features may be 0.
        """
        device, n_threads = execution.torch_device, execution.n_threads
        tokenizer = self.tokenizer
        if device != "cpu":
            tokenizer = copy.deepcopy(tokenizer).to(device)
        n_timepoints = self._padded_length(panel)
        size = cases_per_batch(
            tokenizer.n_channels, n_timepoints, tokenizer.codebook.n_codes
        )
        size = min(size, -(-panel.n_cases // n_threads))
        needed = None
        if columns is not None:
            needed = np.zeros(tokenizer.layout.n_features, bool)
            needed[columns] = True
        parts = [slice(i, i + size) for i in range(0, panel.n_cases, size)]

        def compute(part: slice) -> Result:
            with torch_defaults(), torch.inference_mode():
                batch = self.scaler.batch(panel, part, n_timepoints)
                features = tokenizer(to_device(batch, device), needed).cpu().numpy()
                return function(part, features)

        found = in_threads(compute, parts, n_threads)
        bar = tqdm(
            total=panel.n_cases, desc=task, disable=not execution.verbose, leave=False
        )
        with bar:
            for part, result in zip(parts, found, strict=True):
                yield part, result
                bar.update(min(part.stop, panel.n_cases) - part.start)

    def batches(
        self,
        panel: Panel,
        execution: Execution,
        task: str,
        columns: NDArray[np.int64] | None = None,
    ) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Yield the features of consecutive cases; see :meth:`map`."""
        return self.map(
            lambda part, features: features, panel, execution, task, columns
        )

    def transform(self, panel: Panel, execution: Execution) -> NDArray[np.float32]:
        """Compute the selected features, of shape (n_cases, n_selected)."""
        selected = self.selected
        assert selected is not None
        features = np.empty((panel.n_cases, len(selected)), np.float32)

        def write(part: slice, every: NDArray[np.float32]) -> None:
            # Unlike mode="raise", mode="clip" does not copy. All indices are valid.
            np.take(every, selected, axis=1, out=features[part], mode="clip")

        deque(self.map(write, panel, execution, "tokens", selected), maxlen=0)
        return features

    def sum_by_input_channel(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Sum the values of tokenizer channels (axis 0) by input channel."""
        found = np.zeros((len(self.scaler.mean), *values.shape[1:]))
        for axes, own in zip(self.axes, values, strict=True):
            found[list(axes)] += own / len(axes)
        return found
