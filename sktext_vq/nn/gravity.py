"""Channels that do not depend on the rotation of a sensor about the vertical."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sktext_vq.nn.windows import Batch

PARTS = ("vertical", "horizontal", "norm")
RELATIVE = tuple(f"{part}, relative" for part in PARTS)
# Minimum ratio of mean to root mean square of a sensor with a steady direction.
_MIN_STEADINESS = 0.5
# Fraction of the mean movement that is added to the divisor of relative channels.
FLOOR = 0.1


class GravityFrame(nn.Module):
    """Add channels in a frame of reference defined by gravity.

    The vertical is the mean direction, over a series, of the sensor with the largest
    mean relative to its root mean square. Three channels are added for each sensor: its
    component along the vertical, the norm of its horizontal component, and its norm.
    These channels do not depend on the rotation of a device about the vertical as long
    as its sensors rotate together.

    Optionally, these channels replace the axes, and the same three channels are also
    added relative to the amount of movement in the series, which depends on the person
    and on the position of the sensor.

    Parameters
    ----------
    triads : sequence of (int, int, int)
        Indices of the channels of the three axes of each sensor.
    mean, scale : Tensor of shape (n_channels,)
        Statistics that standardise the channels.
    alone : bool, default=False
        Whether the new channels replace the axes, and relative channels are added.

    Attributes
    ----------
    reference : int or None
        Index of the sensor that defines the vertical. If no sensor has a mean of at
        least half of its root mean square, `reference` is None and no channels are
        added.
    """

    triads: Tensor
    mean: Tensor
    scale: Tensor
    added_mean: Tensor
    added_scale: Tensor
    usual: Tensor

    def __init__(
        self,
        triads: Sequence[tuple[int, int, int]],
        mean: Tensor,
        scale: Tensor,
        alone: bool = False,
    ) -> None:
        super().__init__()
        self.alone = alone
        self.register_buffer("triads", torch.tensor(triads))
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        n_added = len(self.parts) * len(triads)
        self.register_buffer("added_mean", torch.zeros(n_added))
        self.register_buffer("added_scale", torch.ones(n_added))
        self.register_buffer("usual", torch.zeros(len(triads)))
        self.reference: int | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the channels that are added for each sensor."""
        return PARTS + RELATIVE if self.alone else PARTS

    @property
    def others(self) -> list[int]:
        """Indices of the channels that are not replaced."""
        axes = set(self.triads.flatten().tolist()) if self.alone else set()
        return [c for c in range(len(self.mean)) if c not in axes]

    @property
    def n_added(self) -> int:
        """Number of added channels."""
        return 0 if self.reference is None else len(self.added_mean)

    def fit(self, batch: Batch) -> None:
        """Choose the sensor that defines the vertical and scale the new channels.

        Parameters
        ----------
        batch : Batch
            Standardised training series.
        """
        vectors, seen = self._vectors(batch)
        steady = _mean(vectors, seen).norm(dim=2).mean(0)
        size = _mean(vectors.square().sum(2, keepdim=True), seen).mean((0, 2)).sqrt()
        share = steady / size.clamp_min(1e-12)
        if float(share.max()) < _MIN_STEADINESS:
            return
        self.reference = int(share.argmax())
        if self.alone:
            parts = self._parts(vectors, seen)
            self.usual.copy_(_movement(parts, seen).mean((0, 2, 3)))
        added, seen = self._turn(vectors, seen)
        weight = seen.sum((0, 2)).clamp_min(1)
        mean = (added * seen).sum((0, 2)) / weight
        centred = (added - mean[:, None]) * seen
        spread = (centred.square().sum((0, 2)) / weight).sqrt()
        self.added_mean.copy_(mean)
        # If a sensor measures gravity only, its norm is constant up to rounding.
        self.added_scale.copy_(torch.where(spread > 1e-5 * mean.abs(), spread, 1.0))

    def forward(self, batch: Batch) -> Batch:
        """Add standardised channels.

        Parameters
        ----------
        batch : Batch
            Standardised series.

        Returns
        -------
        Batch
            Series with the channels in `others` and `n_added` new channels, which are
            missing where an axis of the sensor is missing.
        """
        if self.reference is None:
            return batch
        added, seen = self._turn(*self._vectors(batch))
        added = (added - self.added_mean[:, None]) / self.added_scale[:, None]
        series, observed = batch.series, batch.observed
        if self.alone:
            series = series[:, self.others]
        if observed is not None:
            if self.alone:
                observed = observed[:, self.others]
            observed = torch.cat([observed, seen], dim=1)
        return Batch(torch.cat([series, added], dim=1), observed, batch.lengths)

    def _vectors(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return sensor vectors in original units, and a mask of observed timepoints.

        The shapes are (n_cases, n_triads, 3, n_timepoints) and (n_cases, n_triads, 1,
        n_timepoints).
        """
        series = batch.series * self.scale[:, None] + self.mean[:, None]
        vectors = series[:, self.triads]
        if batch.observed is None:
            return vectors, vectors.new_ones(1).expand_as(vectors[:, :, :1])
        return vectors, batch.observed[:, self.triads].amin(dim=2, keepdim=True)

    def _turn(self, vectors: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the new channels and their masks of observed values."""
        added = self._parts(vectors, seen)
        if self.alone:
            moved = added - _mean(added, seen).unsqueeze(3)
            size = _movement(added, seen) + FLOOR * self.usual[:, None, None]
            relative = moved / size.clamp_min(1e-12)
            added = torch.cat([added, relative], dim=2)
        seen = seen.expand(-1, -1, len(self.parts), -1).flatten(1, 2)
        return added.flatten(1, 2), seen

    def _parts(self, vectors: Tensor, seen: Tensor) -> Tensor:
        """Compute vertical parts, horizontal norms and norms of the sensors."""
        reference = slice(self.reference, self.reference + 1)  # type: ignore[operator]
        up = _mean(vectors[:, reference], seen[:, reference])
        up = up / up.norm(dim=2, keepdim=True).clamp_min(1e-12)
        vertical = (vectors * up.unsqueeze(3)).sum(2)
        # The Pythagorean theorem is inaccurate for small horizontal components.
        rest = vectors - vertical.unsqueeze(2) * up.unsqueeze(3)
        parts = [vertical, rest.norm(dim=2), vectors.norm(dim=2)]
        return torch.stack(parts, dim=2)


def _movement(parts: Tensor, seen: Tensor) -> Tensor:
    """Compute the square root of the sum of variances of the parts of each sensor."""
    moved = (parts - _mean(parts, seen).unsqueeze(3)).square()
    return _mean(moved, seen).sum(2).sqrt()[:, :, None, None]


def _mean(values: Tensor, seen: Tensor) -> Tensor:
    """Return the mean over observed timepoints."""
    return (values * seen).sum(3) / seen.sum(3).clamp_min(1)
