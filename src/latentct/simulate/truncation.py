"""Rays that a detector too narrow for the object does not measure."""

import torch


def truncate(y: torch.Tensor, ray_mask: torch.Tensor) -> torch.Tensor:
    """Set the rays that are not measured to zero.

    Args:
        y: Line integrals (B, C, A, U) or (B, C, A, V, U).
        ray_mask: bool, broadcastable to ``y``; True = measured. `latentct.geometry.truncation_ray_mask` makes one from
            the diameter of the field of measurement.

    Returns:
        Line integrals of the same shape: ``y`` bit for bit where measured, zero elsewhere.

    >>> truncate(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([False, True, False]))
    tensor([0., 2., 0.])
    """
    return torch.where(ray_mask, y, torch.zeros_like(y))
