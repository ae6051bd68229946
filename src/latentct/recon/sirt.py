"""SIRT: the simplest iterative reconstruction, on the measured rays only."""

import math

import torch

from latentct.projectors import Projector
from latentct.recon.measured import measured_rays


class Sirt:
    """The reconstructor made of `sirt`.

    Attributes:
        n_iterations: Number of steps.
        nonnegative: Whether negative attenuation is set to zero after each step.
        accelerated: Whether the steps gather momentum.
    """

    def __init__(self, n_iterations: int, nonnegative: bool = True, accelerated: bool = False) -> None:
        self.n_iterations = n_iterations
        self.nonnegative = nonnegative
        self.accelerated = accelerated

    def __call__(self, y: torch.Tensor, projector: Projector, ray_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Reconstruct ``x_mu`` (B, C, H, W) from ``y`` (B, C, A, U)."""
        return sirt(
            y,
            projector,
            ray_mask,
            n_iterations=self.n_iterations,
            nonnegative=self.nonnegative,
            accelerated=self.accelerated,
        )


def sirt(
    y: torch.Tensor,
    projector: Projector,
    ray_mask: torch.Tensor | None = None,
    *,
    n_iterations: int,
    nonnegative: bool = True,
    accelerated: bool = False,
    x_start: torch.Tensor | None = None,
) -> torch.Tensor:
    """Minimise the weighted misfit of the measured rays, ``x <- x + C A^T M R (y - A x)``.

    ``R`` and ``C`` are one over the row sums of ``A`` and the column sums of ``M A`` (Gilbert 1972,
    doi 10.1016/0022-5193(72)90180-4; Gregor and Benson 2008, doi 10.1109/TMI.2008.923696). Accelerated, each step
    starts ahead of ``x`` in the direction of the last one, by a share that grows towards one (Beck and Teboulle 2009,
    doi 10.1137/080716542): the misfit then falls with the square of the number of steps.

    Args:
        y: Line integrals (B, C, A, U) or (B, C, A, V, U); values that were not measured are not read.
        projector: The projection ``A`` and its adjoint.
        ray_mask: bool ``M``, broadcastable to ``y``, one for all slices or one a slice; True = measured. None: all are.
        n_iterations: Number of steps.
        nonnegative: Whether negative attenuation is set to zero after each step.
        accelerated: Whether the steps gather momentum.
        x_start: Image to start from, shape of the result; zeros when None.

    Returns:
        Images (B, C, H, W) or volumes (B, C, D, H, W) in 1/mm. Voxels that no measured ray meets keep their start.
    """
    rays = measured_rays(y, projector, ray_mask)
    row_weights = torch.where(rays.row_sums > 0, rays.mask / rays.row_sums, 0.0)
    column_weights = torch.where(rays.column_sums > 0, 1 / rays.column_sums, 0.0)
    x = y.new_zeros(*y.shape[:2], *projector.grid.shape) if x_start is None else x_start
    ahead, t = x, 1.0
    for _ in range(n_iterations):
        residual = row_weights * (rays.y - rays.projector.forward(ahead))
        x_next = torch.addcmul(ahead, column_weights, rays.projector.adjoint(residual))
        if nonnegative:
            x_next = x_next.clamp_(min=0)
        t_next = (1 + math.sqrt(1 + 4 * t * t)) / 2 if accelerated else 1.0
        ahead = x_next.lerp(x, (1 - t) / t_next) if accelerated else x_next
        x, t = x_next, t_next
    return x
