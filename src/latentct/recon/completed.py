"""Any reconstruction as the source of the rays that were not measured."""

from __future__ import annotations

from collections.abc import Callable

import torch

from latentct.projectors import Projector
from latentct.recon.fbp import fbp, plane_scan

Reconstructor = Callable[[torch.Tensor, Projector, torch.Tensor], torch.Tensor]
"""``(y, projector, ray_mask) -> x_mu``, the seam of every method."""


class CompletedFBP:
    """Filtered back-projection of the measured rays and, where none were measured, of those of another reconstruction.

    ``p = M y + (1 - M) A x``, then FBP. The result has the resolution and the amplitude of filtered back-projection, so
    that an iterative method can be compared with a reference made by it, and every measured ray enters as it is.

    Attributes:
        reconstructor: Gives ``x`` from the same measured rays.
        filter_name: One of `latentct.recon.filters.FILTER_NAMES`.
    """

    def __init__(self, reconstructor: Reconstructor, filter_name: str = "ram-lak") -> None:
        self.reconstructor = reconstructor
        self.filter_name = filter_name

    def __call__(self, y: torch.Tensor, projector: Projector, ray_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Reconstruct ``x_mu`` (B, C, H, W) from ``y`` (B, C, A, U)."""
        scan = plane_scan(projector)
        completed = y
        if ray_mask is not None:
            completed = torch.where(ray_mask, y, projector.forward(self.reconstructor(y, projector, ray_mask)))
        return fbp(completed, projector.grid, scan, self.filter_name)
