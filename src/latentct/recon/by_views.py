"""Settings that depend on the number of views."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from latentct.projectors import Projector
from latentct.recon.completed import Reconstructor


class ByViewCount:
    """The reconstructor that takes, of several, the one whose settings were chosen for the nearest number of views.

    Nearest is meant in ratio: 10 views are nearer to 8 than to 16.

    Attributes:
        n_views: Numbers of views for which settings were chosen.
        reconstructors: The reconstructor of each.

    Raises:
        ValueError: There is no reconstructor, or not one a number.
    """

    def __init__(self, n_views: Sequence[int], reconstructors: Sequence[Reconstructor]) -> None:
        if not n_views or len(n_views) != len(reconstructors):
            raise ValueError(f"{len(reconstructors)} reconstructors do not belong to view counts {tuple(n_views)}")
        self.n_views = tuple(n_views)
        self.reconstructors = tuple(reconstructors)

    def __call__(self, y: torch.Tensor, projector: Projector, ray_mask: torch.Tensor) -> torch.Tensor:
        """Reconstruct ``x_mu`` (B, C, D, H, W) from ``y`` (B, C, A, V, U)."""
        return self.of(projector.scan.n_views)(y, projector, ray_mask)

    def of(self, n_views: int) -> Reconstructor:
        """Return the reconstructor for a number of views."""
        distances = [abs(math.log(n_views / n)) for n in self.n_views]
        return self.reconstructors[distances.index(min(distances))]
