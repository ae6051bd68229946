"""A scan of a known object."""

import torch

from latentct.projectors import Projector
from latentct.simulate.truncation import truncate


def acquire(x_mu: torch.Tensor, projector: Projector, ray_mask: torch.Tensor | None = None) -> torch.Tensor:
    """Measure an object without noise: ``y = M A x``.

    Args:
        x_mu: Object (B, C, H, W) or (B, C, D, H, W) on ``projector.grid`` in 1/mm.
        projector: The projection ``A``.
        ray_mask: bool ``M``, (A, U) or (A, V, U); True = measured. None: all rays are.

    Returns:
        Line integrals (B, C, A, U) or (B, C, A, V, U), zero where not measured.
    """
    y = projector.forward(x_mu)
    return y if ray_mask is None else truncate(y, ray_mask)
