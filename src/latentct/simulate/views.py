"""Random views of one cone-beam machine, for training with any number of views at any angles."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from latentct.geometry import ConeBeam
from latentct.geometry.scan import equally_spaced_rad

HALF_TURN_SHARE, FULL_TURN_SHARE = 0.5, 0.25
"""Shares of the draws that are equally spaced over a half and over a full turn; the others have random angles."""


@dataclass(frozen=True)
class RandomViews:
    """Scans that differ from one machine's in the number of views and in their angles only.

    The count is uniform in the range. Of the draws ``HALF_TURN_SHARE`` have equally spaced angles over pi and
    ``FULL_TURN_SHARE`` over 2 pi, both from a start that is uniform in [0, 2 pi); in the rest each angle is uniform in
    [0, 2 pi) on its own, in ascending order.

    Attributes:
        scan: The machine: distances, panel and offset; its own angles are not used.
        n_views: Least and largest number of views, both included.

    Raises:
        ValueError: ``n_views`` is not an ascending pair of positive counts.
    """

    scan: ConeBeam
    n_views: tuple[int, int] = (2, 16)

    def __post_init__(self) -> None:
        lowest, highest = self.n_views
        object.__setattr__(self, "n_views", (int(lowest), int(highest)))
        if not 1 <= lowest <= highest:
            raise ValueError(f"n_views is a least and a largest number of views, not {self.n_views}")

    def draw(self, generator: torch.Generator) -> ConeBeam:
        """Return the next scan.

        Args:
            generator: Source of chance, on the CPU.
        """
        lowest, highest = self.n_views
        count = int(torch.randint(lowest, highest + 1, (), generator=generator))
        kind = float(torch.rand((), generator=generator, dtype=torch.float64))
        uniform_rad = 2 * math.pi * torch.rand(count, generator=generator, dtype=torch.float64)
        if kind < HALF_TURN_SHARE:
            return self._with(equally_spaced_rad(count, math.pi, float(uniform_rad[0])))
        if kind < HALF_TURN_SHARE + FULL_TURN_SHARE:
            return self._with(equally_spaced_rad(count, 2 * math.pi, float(uniform_rad[0])))
        return self._with(tuple(uniform_rad.sort().values.tolist()))

    def _with(self, angles_rad: tuple[float, ...]) -> ConeBeam:
        return replace(self.scan, angles_rad=angles_rad)
