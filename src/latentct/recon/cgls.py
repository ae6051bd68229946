"""Least squares by conjugate gradients: the fast way to what a few views determine."""

from __future__ import annotations

import torch

from latentct.projectors import Projector
from latentct.recon.measured import measured_rays


@torch.no_grad()
def cgls(
    y: torch.Tensor,
    projector: Projector,
    ray_mask: torch.Tensor | None = None,
    *,
    n_iterations: int,
    x_start: torch.Tensor | None = None,
) -> torch.Tensor:
    """Approach the least-squares solution nearest to ``x_start`` by conjugate gradients on the normal equations.

    ``min |M (A x - y)|^2`` (CGLS: Hestenes and Stiefel 1952, doi 10.6028/jres.049.044; Bjorck 1996, ch. 7.4,
    doi 10.1137/1.9781611971484). What the measured rays do not see of ``x_start`` stays as it is. Stopping early
    regularises: the first iterations bring what many rays agree on, later ones the noise.

    Args:
        y: Line integrals (B, C, A, U) or (B, C, A, V, U); values that were not measured are not read.
        projector: The projection ``A`` and its adjoint.
        ray_mask: bool ``M``, broadcastable to ``y``, one for all slices or one a slice; True = measured. None: all are.
        n_iterations: Number of steps, each a projection and a back-projection.
        x_start: Image to start from, shape of the result; zeros when None.

    Returns:
        Images (B, C, H, W) or volumes (B, C, D, H, W) in 1/mm; they may be negative.
    """
    rays = measured_rays(y, projector, ray_mask)
    x = y.new_zeros(*y.shape[:2], *projector.grid.shape) if x_start is None else x_start.clone()
    residual = rays.y if x_start is None else rays.y - rays.mask * rays.projector.forward(x)
    gradient = rays.projector.adjoint(rays.mask * residual)
    direction, square = gradient, _square(gradient)
    for _ in range(n_iterations):
        projected = rays.mask * rays.projector.forward(direction)
        length = square / _square(projected).clamp(min=torch.finfo(y.dtype).tiny)
        x = torch.addcmul(x, length, direction)
        residual = torch.addcmul(residual, length, projected, value=-1)
        gradient = rays.projector.adjoint(residual)
        square_next = _square(gradient)
        direction = torch.addcmul(gradient, square_next / square.clamp(min=torch.finfo(y.dtype).tiny), direction)
        square = square_next
    return x


def _square(x: torch.Tensor) -> torch.Tensor:
    """Return the squared norm of each item, broadcastable to it."""
    return x.flatten(1).square().sum(dim=1).reshape(-1, *(1,) * (x.ndim - 1))
