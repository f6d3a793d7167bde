"""Learned segment borders, and losses of series that are reconstructed from segments.

A small network moves the borders of given segments and corrects their attributes,
within bounds. Before training, segments are not changed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sktext_vq.nn.batches import Outputs, TrainingBatch
from sktext_vq.nn.codebook import CODE_TEMPERATURE, Codebook
from sktext_vq.nn.constants import N_POINTS, SCALE_FLOOR
from sktext_vq.nn.losses import empty_loss, reconstruction_loss

if TYPE_CHECKING:
    from sktext_vq.nn.model import DualBranchModel

MIN_LENGTH = 1.0  # timepoints
REACH = 0.25  # maximum correction, relative to the length or scale of a segment
_N_INPUTS, _N_HIDDEN = 2 * N_POINTS + 4, 64


class Tokens(NamedTuple):
    """Attributes of the segments of several series; times are in timepoints."""

    start: Tensor  # (n_series, n_segments)
    length: Tensor
    offset: Tensor
    scale: Tensor
    shape: Tensor  # (n_series, n_segments, N_POINTS), to be matched with codes
    mask: Tensor  # (n_series, n_segments) bool; False is padding


def sample_windows(series: Tensor, start: Tensor, length: Tensor) -> Tensor:
    """Compute means over eight equal parts of windows.

    A timepoint `t` is the interval `[t, t + 1)`, within which the cumulative sum of a
    series is linear. Means are therefore exact for any borders and have gradients with
    respect to start and length.

    Parameters
    ----------
    series : Tensor of shape (n_series, n_timepoints)
    start, length : Tensor of shape (n_series, n_windows)
        Starts and lengths in timepoints, not necessarily integers. Windows must be
        inside the series.

    Returns
    -------
    Tensor of shape (n_series, n_windows, N_POINTS)
    """
    n_timepoints = series.shape[1]
    # In single precision, cumulative sums of long series and their differences are
    # inaccurate.
    sums = F.pad(series.double().cumsum(1), (1, 0))
    stretch = length.double().unsqueeze(2) / N_POINTS
    steps = torch.arange(N_POINTS + 1, device=series.device)
    border = (start.double().unsqueeze(2) + stretch * steps).clamp(0, n_timepoints)
    whole = border.detach().floor().clamp_max(n_timepoints - 1)
    index = whole.long().flatten(1)
    before = sums.gather(1, index).view_as(border)
    after = sums.gather(1, index + 1).view_as(border)
    at_border = before + (border - whole) * (after - before)
    means = at_border.diff(dim=2) / stretch.clamp_min(1e-6)
    return means.to(series.dtype)


def render(
    points: Tensor, start: Tensor, length: Tensor, mask: Tensor, n_timepoints: int
) -> Tensor:
    """Reconstruct series from segments.

    Values are interpolated linearly between the centres of the eight parts of a segment
    and are constant beyond the first and the last centre. Overlapping segments are
    averaged, weighted by the share of the timepoint that each segment covers. A
    timepoint that is not covered has the value of the nearest segment at its nearest
    timepoint.

    Parameters
    ----------
    points : Tensor of shape (n_series, n_segments, N_POINTS)
    start, length : Tensor of shape (n_series, n_segments)
        Starts and lengths in timepoints.
    mask : Tensor of shape (n_series, n_segments), bool
        False for segments to ignore.
    n_timepoints : int

    Returns
    -------
    Tensor of shape (n_series, n_timepoints)
        Reconstructed series; 0 for series without segments.
    """
    # The shape is (n_series, n_segments, n_timepoints) from here on.
    time = torch.arange(n_timepoints, dtype=points.dtype, device=points.device)
    begin, width = start.unsqueeze(2), length.unsqueeze(2)
    end = begin + width
    # Positions are at least half a timepoint inside the borders, as if the first and
    # last timepoints were completely covered.
    inside = (time + 0.5 - begin).maximum(width.clamp_max(1) / 2)
    inside = inside.minimum(width - width.clamp_max(1) / 2)
    place = (inside * N_POINTS / width.clamp_min(1e-6) - 0.5).clamp(0, N_POINTS - 1)
    left = place.detach().floor().clamp_max(N_POINTS - 2)
    index = left.long()
    low, high = points.gather(2, index), points.gather(2, index + 1)
    values = low + (place - left) * (high - low)
    cover = (torch.minimum(end, time + 1) - torch.maximum(begin, time)).clamp(0, 1)
    cover = cover * mask.unsqueeze(2)
    with torch.no_grad():
        away = torch.maximum(begin - time - 0.5, time + 0.5 - end)
        away = away.masked_fill(~mask.unsqueeze(2), torch.inf)
        nearest = F.one_hot(away.argmin(dim=1), points.shape[1]).transpose(1, 2)
        nearest = nearest * mask.unsqueeze(2)
        covered = cover.sum(dim=1, keepdim=True) > 0
    weight = torch.where(covered, cover, nearest.to(cover.dtype))
    total = weight.sum(dim=1)
    return (weight * values).sum(dim=1) / torch.where(total > 0, total, 1)


def quantise(
    shape: Tensor, codebook: Codebook, temperature: float
) -> tuple[Tensor, Tensor]:
    """Replace shapes by their nearest codes over all heads.

    Parameters
    ----------
    shape : Tensor of shape (..., N_POINTS)
    codebook : Codebook
    temperature : float
        Temperature of the softmax over scores, through which gradients reach codes.

    Returns
    -------
    points : Tensor of shape (..., N_POINTS)
        Nearest codes. Gradients pass straight through to the shapes, as in van den Oord
        et al., NeurIPS 2017, and to all codes in proportion to their share in the
        softmax.
    soft : Tensor of shape (..., n_codes)
        Softmax over the scores of all codes, with gradients.

    Notes
    -----
    To reconstruct series from the points, detach the shapes. Otherwise, training
    decreases scales and increases shapes to compensate, which has no effect because
    codes do not change, and the reconstruction error increases.
    """
    codes = codebook.codes
    half_norm = 0.5 * codes.square().sum(1)
    scores = shape @ codes.T - half_norm
    soft = torch.softmax(scores / temperature, dim=-1)
    # Detached, because gradients of the shapes pass straight through below.
    share = torch.softmax((shape.detach() @ codes.T - half_norm) / temperature, dim=-1)
    mixed = share @ codes
    points = codes[scores.argmax(dim=-1)].detach()
    points = points + (shape - shape.detach()) + (mixed - mixed.detach())
    return points, soft


class SegmentRefiner(nn.Module):
    """Correct start, length, offset and scale of segments from their context.

    The inputs of the network are eight points of a segment, eight points of its context
    (a window that is twice as long), and the position of the segment. Borders move by
    at most a quarter of the length; offset and scale change by at most a quarter of the
    scale. Before training, segments are not changed.

    Parameters
    ----------
    generator : torch.Generator
        Random generator for the initial weights.
    """

    def __init__(self, *, generator: torch.Generator) -> None:
        super().__init__()
        # On the "meta" device, layers do not use the global random generator.
        self.hidden = nn.Linear(_N_INPUTS, _N_HIDDEN, device="meta")
        self.residual = nn.Linear(_N_HIDDEN, 4, device="meta")
        self.to_empty(device="cpu")
        with torch.no_grad():
            self.hidden.weight.normal_(0, _N_INPUTS**-0.5, generator=generator)
            for zero in (self.hidden.bias, *self.residual.parameters()):
                zero.zero_()

    def forward(
        self,
        series: Tensor,
        start: Tensor,
        length: Tensor,
        mask: Tensor,
        ends: Tensor | None = None,
    ) -> Tokens:
        """Correct segments and compute their attributes.

        Parameters
        ----------
        series : Tensor of shape (n_series, n_timepoints)
            Standardised series.
        start, length : Tensor of shape (n_series, n_segments)
            Segments to correct, in timepoints, inside their series.
        mask : Tensor of shape (n_series, n_segments), bool
            False for padding, which is returned as a segment at the start of the
            series.
        ends : Tensor of shape (n_series,), optional
            Ends of the series, at least 1.

        Returns
        -------
        Tokens
            Tokens with ``0 <= start``, ``MIN_LENGTH <= length`` and ``start + length <=
            end``, for any weights and despite rounding.
        """
        n_series, n_timepoints = series.shape
        if ends is None:
            ends = torch.full((n_series,), n_timepoints, device=series.device)
        end = ends.to(series.dtype).unsqueeze(1)
        start, length = _inside(start * mask, length * mask, end)
        inputs = _network_inputs(series, start, length, end)
        # NaN occurs only if the weights have diverged.
        found = torch.tanh(self.residual(torch.tanh(self.hidden(inputs))).nan_to_num(0))
        start, length = _move(start, length, end, found[..., 0], found[..., 1])
        offset, scale, points = _attributes(series, start, length)
        offset = offset + REACH * (scale + SCALE_FLOOR) * found[..., 2]
        scale = scale * (1 + REACH * found[..., 3])
        shape = (points - offset.unsqueeze(2)) / (scale + SCALE_FLOOR).unsqueeze(2)
        return Tokens(start, length, offset, scale, shape, mask)


def _attributes(
    series: Tensor, start: Tensor, length: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute offset, scale and points of windows."""
    points = sample_windows(series, start, length)
    offset = points.mean(dim=2)
    # Unlike a square root, a norm has a gradient at 0.
    spread = torch.linalg.vector_norm(points - offset.unsqueeze(2), dim=2)
    return offset, spread / math.sqrt(N_POINTS), points


def _inside(start: Tensor, length: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """Clamp segments to the range of their series."""
    start = start.to(end.dtype).clamp_min(0).minimum(end - MIN_LENGTH)
    length = length.to(end.dtype).clamp_min(MIN_LENGTH).minimum(end - start)
    return start, length


def _move(
    start: Tensor, length: Tensor, end: Tensor, by: Tensor, longer: Tensor
) -> tuple[Tensor, Tensor]:
    """Move segment borders by a fraction, from -1 to 1, of the maximum change.

    The start and the length change by at most a quarter of the length, or less near the
    ends of the series.
    """
    reach = REACH * length
    later = torch.minimum(reach, end - MIN_LENGTH - start)
    earlier = torch.minimum(reach, start)
    new_start = start + torch.where(by > 0, by * later, by * earlier)
    left = torch.minimum(length, end - new_start)
    more = torch.minimum(reach, end - new_start - left).clamp_min(0)
    less = (left - (length - reach).clamp_min(MIN_LENGTH)).clamp_min(0)
    new_length = left + torch.where(longer > 0, longer * more, longer * less)
    return _inside(new_start, new_length, end)  # corrects rounding errors


def _network_inputs(
    series: Tensor, start: Tensor, length: Tensor, end: Tensor
) -> Tensor:
    """Return the network inputs, of shape (n_series, n_segments, _N_INPUTS)."""
    offset, scale, points = _attributes(series, start, length)
    begin = (start - length / 2).clamp_min(0)
    around = torch.minimum(start + 1.5 * length, end) - begin
    context = sample_windows(series, begin, around)
    unit = (scale + SCALE_FLOOR).unsqueeze(2)
    shapes = (torch.cat([points, context], dim=2) - offset.unsqueeze(2)) / unit
    rest = [
        offset,
        unit.squeeze(2).log(),
        (length / N_POINTS).log2() / 2,  # about -0.5 to 2 in practice
        2 * start / end - 1,
    ]
    inputs = torch.cat([shapes, torch.stack(rest, dim=2)], dim=2)
    # Exact values far outside the training range are not informative.
    return inputs.nan_to_num(0).clamp(-10, 10)


class SegmentReconstruction(nn.Module):
    """Refine segments and reconstruct series from the codes of the segments."""

    def __init__(self, refiner: SegmentRefiner) -> None:
        super().__init__()
        self.refiner = refiner

    def forward(
        self, model: DualBranchModel, batch: TrainingBatch, outputs: Outputs
    ) -> dict[str, Tensor]:
        """Compute the losses of a batch, by name, and add tokens to the outputs."""
        segments = batch.segments
        if segments is None:
            return {}
        n_cases, n_channels, n_timepoints = segments.series.shape
        rows = n_cases * n_channels
        series = segments.series.reshape(rows, n_timepoints)
        start, length, known = (
            values.reshape(rows, -1)
            for values in (segments.start, segments.length, segments.known)
        )
        ends = segments.ends.repeat_interleave(n_channels)
        refined = self.refiner(series, start, length, known, ends)
        codebook = model.tokenizer.codebook
        points, soft = quantise(refined.shape, codebook, CODE_TEMPERATURE)
        # Detached, because scales would collapse otherwise; see `quantise`.
        drawn, _ = quantise(refined.shape.detach(), codebook, CODE_TEMPERATURE)
        drawn = drawn * (refined.scale + SCALE_FLOOR).unsqueeze(2)
        drawn = drawn + refined.offset.unsqueeze(2)
        rebuilt = render(drawn, refined.start, refined.length, known, n_timepoints)
        observed = segments.observed
        start, length = refined.start / n_timepoints, refined.length / n_timepoints
        attributes = torch.stack([refined.offset, refined.scale, start, length], dim=2)
        tokens = torch.cat([points, attributes], dim=2)
        outputs.tokens = (
            tokens.reshape(n_cases, -1, tokens.shape[2]),
            known.reshape(n_cases, -1),
        )
        return {
            "series": reconstruction_loss(
                rebuilt,
                series,
                None if observed is None else observed.reshape(rows, -1),
            ),
            "separation": separation_loss(start, length, known),
            "usage": usage_loss(soft[known].unsqueeze(1)),
        }


def build(
    model: DualBranchModel,
    generator: torch.Generator,
    options: Mapping[str, Any],
) -> SegmentReconstruction:
    """Build the module with an untrained refiner."""
    return SegmentReconstruction(SegmentRefiner(generator=generator))


def separation_loss(
    start: Tensor, length: Tensor, mask: Tensor, grid: int = 64
) -> Tensor:
    """Penalise deviations from covering every timepoint exactly once.

    Parameters
    ----------
    start, length : Tensor of shape (n_series, n_segments)
        Fractions of the series, from 0 to 1. Gradients come from the grid cells that
        contain borders.
    mask : Tensor of shape (n_series, n_segments), bool
        False for padding. Series without segments are ignored.
    grid : int, default=64
        Number of grid cells for coverage.

    Returns
    -------
    Tensor, scalar
        Mean squared deviation of coverage from 1.

    Notes
    -----
    VQShape (Wen et al., NeurIPS 2024) penalises pairs of nearby segments. Coverage also
    penalises gaps between segments.
    """
    known = mask.any(1)
    if not known.any():
        return empty_loss(start) + empty_loss(length)
    edges = torch.linspace(0, 1, grid + 1, dtype=start.dtype, device=start.device)
    first = start.where(mask, 0.0)[known].unsqueeze(2)
    last = first + length.where(mask, 0.0)[known].unsqueeze(2)
    overlap = torch.minimum(last, edges[1:]) - torch.maximum(first, edges[:-1])
    coverage = grid * overlap.clamp_min(0).sum(1)  # series, cell
    return (coverage - 1).square().mean()


def usage_loss(soft_assignments: Tensor) -> Tensor:
    """Compute the mean entropy of assignments minus the entropy of their mean.

    The loss is low if every assignment is certain and all codes are used.

    Parameters
    ----------
    soft_assignments : Tensor of shape (n_tokens, n_heads, n_codes_per_head)
        Probabilities of codes. Tokens with NaN or infinity are ignored.

    Returns
    -------
    Tensor, scalar
        Mean over heads, from ``-log(n_codes_per_head)`` to 0.

    References
    ----------
    Yu et al., "Language model beats diffusion: tokenizer is key to visual
    generation", ICLR 2024.
    """
    usable = soft_assignments.detach().isfinite().all(-1).all(-1)
    kept = soft_assignments[usable]
    if len(kept) == 0:
        return kept.sum()
    return (_entropy(kept) - _entropy(kept.mean(0))).mean()


def _entropy(probabilities: Tensor) -> Tensor:
    """Compute the entropy along the last axis, with a finite gradient at 0."""
    tiny = torch.finfo(probabilities.dtype).tiny
    return -(probabilities * probabilities.clamp_min(tiny).log()).sum(-1)
