"""Gaussian blur of slices and volumes."""

import torch
from torch.nn import functional


def blur(x: torch.Tensor, sigma_px: float, radius_px: int, n_axes: int = 2) -> torch.Tensor:
    """Convolve slices (..., H, W) or volumes (..., D, H, W) with a Gaussian sampled at the pixels, edges repeated.

    Args:
        x: slices or volumes, any unit.
        sigma_px: standard deviation in pixels, the same along every axis.
        radius_px: where the Gaussian is cut off, in pixels.
        n_axes: number of last axes that are blurred, 2 for slices and 3 for volumes.
    """
    offsets_px = torch.arange(-radius_px, radius_px + 1, dtype=x.dtype, device=x.device)
    window = torch.exp(-0.5 * (offsets_px / sigma_px) ** 2)
    window = (window / window.sum()).view(1, 1, -1, 1)
    for axis in range(x.ndim - n_axes, x.ndim):
        before, after = x.shape[:axis].numel(), x.shape[axis + 1 :].numel()
        columns = functional.pad(x.reshape(before, 1, x.shape[axis], after), (0, 0, radius_px, radius_px), "replicate")
        x = functional.conv2d(columns, window).reshape(x.shape)
    return x
