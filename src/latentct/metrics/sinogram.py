"""Metrics of completed sinograms."""

import torch

from latentct.metrics.masked import masked_mean


def mae_sinogram(y_hat: torch.Tensor, y: torch.Tensor, ray_mask: torch.Tensor) -> torch.Tensor:
    """Return the mean absolute error of the line integrals on the rays that were not measured.

    Args:
        y_hat: completed projections, ``(B, C, A, U)`` or ``(B, C, A, V, U)``, line integrals.
        y: complete projections of the same shape.
        ray_mask: bool, broadcastable to ``y``; True = measured.

    Returns:
        ``(B,)``; NaN where every ray was measured.
    """
    return masked_mean((y_hat - y).abs(), ~ray_mask)
