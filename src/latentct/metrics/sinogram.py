"""Metrics of line integrals: those completed by a method, and those of its image beside the measured ones."""

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


def projection_residual(y_hat: torch.Tensor, y: torch.Tensor, ray_mask: torch.Tensor) -> torch.Tensor:
    """Return how far the line integrals of an image are from the measured ones, relative to these.

    ``residual = |M (y_hat - y)| / |M y|``, Euclidean norms: 0 where an image explains its scan, noise included, and 1
    for an empty image.

    Args:
        y_hat: line integrals of the image, ``(B, C, A, U)`` or ``(B, C, A, V, U)``.
        y: measured line integrals of the same shape.
        ray_mask: bool ``M``, broadcastable to ``y``; True = measured. Values elsewhere do not matter.

    Returns:
        ``(B,)``, not negative; NaN where no ray was measured.
    """
    return (masked_mean((y_hat - y).square(), ray_mask) / masked_mean(y.square(), ray_mask)).sqrt()
