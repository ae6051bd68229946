"""The measured part of a scan, and the row and column sums that iterative methods take their step sizes from."""

from __future__ import annotations

from typing import NamedTuple

import torch

from latentct.projectors import Projector


class MeasuredRays(NamedTuple):
    """The system ``M A x = M y`` of the measured rays.

    Attributes:
        projector: ``A``; rays that no slice measured may be left out.
        mask: ``M`` as numbers, 1 = measured, (1, 1, A, U) or (B, 1, A, U), a detector row axis V included in 3-D.
        y: Line integrals, zero where not measured, (B, C, A, U).
        row_sums: Length of each ray in the grid in mm, (1, 1, A, U).
        column_sums: How much of each pixel the measured rays cross, in mm, (1, 1, H, W) or (B, 1, H, W).
    """

    projector: Projector
    mask: torch.Tensor
    y: torch.Tensor
    row_sums: torch.Tensor
    column_sums: torch.Tensor


def measured_rays(y: torch.Tensor, projector: Projector, ray_mask: torch.Tensor | None) -> MeasuredRays:
    """Return the system of the rays that were measured.

    Args:
        y: Line integrals (B, C, A, U) or (B, C, A, V, U); what was not measured is not read.
        projector: The projection ``A`` and its adjoint.
        ray_mask: bool, True = measured; of ``scan.sinogram_shape``, or with axes for batch and channel in front, one
            mask for all slices or one a slice. None: all rays are.
    """
    shape = projector.scan.sinogram_shape
    bools = torch.ones(shape, dtype=torch.bool, device=y.device) if ray_mask is None else ray_mask
    bools = bools.expand(*bools.shape[: -len(shape)], *shape).reshape(-1, 1, *shape)
    mask = bools.to(y.dtype)
    by_any = projector if ray_mask is None else projector.masked(bools.flatten(0, 1).any(dim=0))
    row_sums = by_any.forward(y.new_ones(1, 1, *projector.grid.shape))
    return MeasuredRays(by_any, mask, torch.where(bools, y, 0), row_sums, by_any.adjoint(mask))
